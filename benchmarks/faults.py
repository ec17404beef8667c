"""Planted faults: ``python -m benchmarks.faults --replications 40 --groups 20,100``.

How often `Fit.check` gives each verdict where the model is true, and where one thing is wrong with
it, in groups of 10 rows; and how often the quantile residuals of one posterior draw are judged not
uniform at 0.05: all of them (Kolmogorov and Smirnov's test), given the groups and, one row of each
group, with new effects; along the linear predictor (chi-squared of their linear and quadratic
trend); along the spread in a predictor (the same of their squares); and the group effects over
their sd, one for each group (Kolmogorov and Smirnov). Each of these has the level 0.05 for itself
where the model is true. Prints a row for each fault.
"""

from __future__ import annotations

import argparse
import re
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
#: Rows of a group.
EACH = 10
#: What is judged uniform or not, as the columns of the table call it.
UNIFORM = ("given", "new", "along eta", "spread along x", "effects")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a response is made, the family that is fitted to it, and the check that should see it."""

    family: str
    make: Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
    check: str
    normal: bool = True


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
        family="gaussian", make=normal, check="group effects", normal=False
    ),
}


def simulated(fault: Fault, seed: int, *, groups: int) -> pd.DataFrame:
    """Rows of the model with the fault."""
    rng = np.random.default_rng([seed, 1])
    g = np.repeat(np.arange(groups), EACH)
    x = rng.uniform(-2, 2, len(g))
    effect = rng.normal(0, 0.6, groups)
    if not fault.normal:
        effect = 1.5 * np.sign(rng.normal(size=groups)) + 0.2 * effect
    eta = 0.8 + 0.5 * x + effect[g]
    return pd.DataFrame({"y": fault.make(rng, eta, x), "x": x, "g": [f"g{j}" for j in g]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What the checks said of one data set."""

    look: bool
    fault: bool
    named: bool
    shares: tuple[float, float]
    uniform: dict[str, float]


def fitted(fault: Fault, seed: int, *, groups: int) -> hm.Fit:
    """The model that does not know of the fault."""
    return hm.fit(
        "y ~ x + (1 | g)",
        simulated(fault, seed, groups=groups),
        family=fault.family,
        draws=250,
        random_seed=seed,
        progressbar=False,
    )


def judged(fault: Fault, seed: int, *, groups: int) -> Verdicts:
    """One data set, fitted and checked."""
    fit = fitted(fault, seed, groups=groups)
    checks = list(fit.check())
    own = [c for c in checks if c.name == fault.check]
    return Verdicts(
        look=any(c.p < ALPHA for c in own),
        fault=any(c.verdict == "fault" for c in own),
        named=any(c.verdict == "fault" for c in checks),
        shares=(
            float(np.mean([c.p < ALPHA for c in checks])),
            float(np.mean([c.verdict == "fault" for c in checks])),
        ),
        uniform=uniform(fit),
    )


def uniform(fit: hm.Fit) -> dict[str, float]:
    """p-values of the quantile residuals of the rows and of the group effects; keys `UNIFORM`."""
    shown = fit.check()
    given = fit.residuals("quantile")["pit"]
    new = fit.residuals("quantile", new_group=True)["pit"].to_numpy()[::EACH]
    # residuals, fitted values and effects of one and the same draw: its own residuals alone are
    # independent of its linear predictor
    z, mean = shown.residual, shown.fitted
    eta = np.log(mean) if fit.design.family.link == "log" else mean
    x = fit.design.rows.frame["x"].to_numpy(dtype=float)
    # squares of standard normal numbers have mean 1 and variance 2
    found = (
        stats.kstest(given, "uniform").pvalue,
        stats.kstest(new, "uniform").pvalue,
        stats.chi2.sf(trend(z, eta), 2),
        stats.chi2.sf(trend((z**2 - 1) / np.sqrt(2), x), 2),
        stats.kstest(shown.effects["g", "Intercept"][0], "norm").pvalue,
    )
    return dict(zip(UNIFORM, map(float, found), strict=True))


def trend(z: np.ndarray, along: np.ndarray) -> float:
    """The squares of z along orthonormal linear and quadratic columns, together."""
    basis = np.linalg.qr(np.vander(stats.zscore(along), 3, increasing=True))[0][:, 1:]
    return float(((basis.T @ z) ** 2).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=40)
    parser.add_argument("--groups", default="20,100", help="numbers of groups of 10 rows")
    parser.add_argument("--only", default="", help="a pattern in the names of the faults")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", hm.HierModelsWarning)
    for groups in map(int, arguments.groups.split(",")):
        print(
            f"{groups * EACH} rows in {groups} groups, {arguments.replications} data sets each; "
            "shares of them, in percent"
        )
        print(
            f"{'fault':20} {'check':20} {'look':>5} {'fault':>5} {'any fault':>9} "
            f"{'checks<.05':>10} {'<.005':>6} | not uniform: "
            + " ".join(f"{name:>{len(name)}}" for name in UNIFORM)
            + "  seconds"
        )
        for name, fault in FAULTS.items():
            if re.search(arguments.only, name):
                row(name, fault, replications=arguments.replications, groups=groups)
    return 0


def row(name: str, fault: Fault, *, replications: int, groups: int) -> None:
    """Fits the data sets of one fault, and prints how often what was said."""
    start = time.perf_counter()
    found = [judged(fault, seed, groups=groups) for seed in range(replications)]

    def percent(of: Callable[[Verdicts], float]) -> str:
        return f"{100 * np.mean([of(v) for v in found]):.1f}"

    own = [percent(lambda v: v.look), percent(lambda v: v.fault)] if fault.check else ["", ""]
    not_uniform = [
        f"{100 * np.mean([v.uniform[which] < ALPHA for v in found]):{len(which)}.0f}"
        for which in UNIFORM
    ]
    print(
        f"{name:20} {fault.check or '(all)':20} {own[0]:>5} {own[1]:>5} "
        f"{percent(lambda v: v.named):>9} {percent(lambda v: v.shares[0]):>10} "
        f"{percent(lambda v: v.shares[1]):>6} |              {' '.join(not_uniform)}"
        f"  {time.perf_counter() - start:.0f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
