"""Planted faults: ``python -m benchmarks.faults --replications 40``.

How often `Fit.check` gives each verdict where the model is true, and where one thing is wrong with
it, in 200 rows of 20 groups (faults of the groups in 60 groups of 10); and how often the quantile
residuals are judged not uniform by Kolmogorov and Smirnov's test at 0.05, conditionally and, one
row of each group, with new group effects. Prints a row for each fault.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

import hiermodels as hm

ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a response is made, the family that is fitted to it, and the check that should see it."""

    family: str
    make: Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
    check: str
    normal: bool = True
    groups: int = 20
    each: int = 10


def counts(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return rng.poisson(np.exp(eta))


def overdispersed(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return rng.poisson(np.exp(eta) * rng.gamma(2, 1 / 2, len(eta)))


def inflated(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return counts(rng, eta, x) * (rng.uniform(size=len(eta)) > 0.2)


def square_link(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The mean is a square of the linear predictor, not its exponential."""
    return rng.poisson(np.square(2.5 + 1.2 * eta).clip(0.05))


def normal(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return eta + rng.normal(size=len(eta))


def uneven(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return eta + rng.normal(size=len(eta)) * np.exp(0.5 * x)


def skewed(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return eta + rng.exponential(size=len(eta))


#: Each beside the true model of its family.
FAULTS = {
    "none, gaussian": Fault(family="gaussian", make=normal, check=""),
    "none, poisson": Fault(family="poisson", make=counts, check=""),
    "overdispersion": Fault(family="poisson", make=overdispersed, check="dispersion"),
    "zero inflation": Fault(family="poisson", make=inflated, check="zeros"),
    "wrong link": Fault(family="poisson", make=square_link, check="trend"),
    "heteroscedasticity": Fault(family="gaussian", make=uneven, check="spread of predictor"),
    "skewed noise": Fault(family="gaussian", make=skewed, check="distribution"),
    "two kinds of groups": Fault(
        family="gaussian", make=normal, check="group effects", normal=False, groups=60
    ),
}


def simulated(fault: Fault, seed: int) -> pd.DataFrame:
    """Rows of the model with the fault."""
    rng = np.random.default_rng([seed, 1])
    g = np.repeat(np.arange(fault.groups), fault.each)
    x = rng.uniform(-2, 2, len(g))
    effect = rng.normal(0, 0.6, fault.groups)
    if not fault.normal:
        effect = 1.5 * np.sign(rng.normal(size=fault.groups)) + 0.2 * effect
    eta = 0.8 + 0.5 * x + effect[g]
    return pd.DataFrame({"y": fault.make(rng, eta, x), "x": x, "g": [f"g{j}" for j in g]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What the checks said of one data set."""

    look: bool
    fault: bool
    named: bool
    shares: tuple[float, float]
    conditional: bool
    new_groups: bool


def judged(fault: Fault, seed: int) -> Verdicts:
    """One data set, fitted and checked."""
    fit = hm.fit(
        "y ~ x + (1 | g)",
        simulated(fault, seed),
        family=fault.family,
        draws=250,
        random_seed=seed,
        progressbar=False,
    )
    checks = list(fit.check())
    own = [c for c in checks if c.name == fault.check]
    new = fit.residuals("quantile", new_group=True)["pit"].to_numpy()[:: fault.each]
    return Verdicts(
        look=any(c.p < ALPHA for c in own),
        fault=any(c.verdict == "fault" for c in own),
        named=any(c.verdict == "fault" for c in checks),
        shares=(
            float(np.mean([c.p < ALPHA for c in checks])),
            float(np.mean([c.verdict == "fault" for c in checks])),
        ),
        conditional=stats.kstest(fit.residuals("quantile")["pit"], "uniform").pvalue < ALPHA,
        new_groups=stats.kstest(new, "uniform").pvalue < ALPHA,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=40)
    parser.add_argument("--only", default="", help="part of the names of the faults")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", hm.HierModelsWarning)
    print(f"{arguments.replications} data sets each; shares of them, in percent")
    print(
        f"{'fault':22} {'check':20} {'look':>5} {'fault':>6} {'any fault':>10} "
        f"{'checks p<.05':>13} {'checks p<.005':>14} {'PIT':>5} {'PIT, new groups':>16}  seconds"
    )
    for name, fault in FAULTS.items():
        if arguments.only not in name:
            continue
        start = time.perf_counter()
        found = [judged(fault, seed) for seed in range(arguments.replications)]

        def percent(of: Callable[[Verdicts], float], found: list[Verdicts] = found) -> str:
            return f"{100 * np.mean([of(v) for v in found]):.1f}"

        print(
            f"{name:22} {fault.check or '(all)':20} "
            f"{percent(lambda v: v.look) if fault.check else '':>5} "
            f"{percent(lambda v: v.fault) if fault.check else '':>6} "
            f"{percent(lambda v: v.named):>10} {percent(lambda v: v.shares[0]):>13} "
            f"{percent(lambda v: v.shares[1]):>14} {percent(lambda v: v.conditional):>5} "
            f"{percent(lambda v: v.new_groups):>16}  {time.perf_counter() - start:.0f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
