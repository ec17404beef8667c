"""Quantile residuals of true models: ``python -m benchmarks.uniformity --replications 20``.

Every family with three structures: parameters drawn from their priors, a response drawn from
them, a fit, and the randomised quantile residuals of the fit. Given the groups every row is an
independent uniform number; with new groups one row of each level of the outermost factor is, for
the others share its new effect. Of each model the numbers of all replications together are held
against the uniform distribution (Kolmogorov and Smirnov), and the smallest of the K p-values
against 0.01 / K, so that true models fail one run in a hundred. Prints a row for each model, and
how often single data sets are judged not uniform at 0.05.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from hiermodels.design import Design
from hiermodels.errors import HierModelsWarning
from hiermodels.fitting import Model
from hiermodels.workflows.calibration import draw_truth, every_family

__all__ = ["STRUCTURES", "Found", "found_in", "independent_rows", "judged"]

STRUCTURES = ("(1 | g)", "(x | g)", "(1 | h/g)")
#: The probability that a run over true models fails, and the level of a single data set's test.
ALPHA, EACH = 0.01, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Probabilities of each replication, given the groups and with new ones. Made by `found_in`."""

    given: tuple[np.ndarray, ...]
    new: tuple[np.ndarray, ...]


def independent_rows(design: Design) -> np.ndarray:
    """The first row of each level of the outermost factor: no two share a group effect."""
    outermost = min(design.blocks, key=lambda block: block.n_levels)
    return np.unique(outermost.index, return_index=True)[1]


def found_in(model: Model, *, replications: int, random_seed: int) -> Found:
    """Quantile residuals of data of the model itself; its priors must not see the response."""
    rng = np.random.default_rng(random_seed)
    given, new = [], []
    for number in range(replications):
        design = replace(model.design, response=draw_truth(model, rng).response)
        fit = Model.of(design, model.priors).fit(
            draws=100, chains=1, target_accept=0.9, random_seed=number, progressbar=False
        )
        given.append(fit.residuals("quantile")["pit"].to_numpy())
        with_new = fit.residuals("quantile", new_group=True)["pit"].to_numpy()
        new.append(with_new[independent_rows(design)])
    return Found(given=tuple(given), new=tuple(new))


def judged(pits: tuple[np.ndarray, ...]) -> tuple[float, np.ndarray]:
    """The p-value of all together, and that of each."""
    each = np.array([stats.kstest(pit, "uniform").pvalue for pit in pits])
    return float(stats.kstest(np.concatenate(pits), "uniform").pvalue), each


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=20)
    parser.add_argument("--random-seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--levels", type=int, default=24)
    parser.add_argument("--only", default="", help="a pattern in the names of the models")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", HierModelsWarning)
    size = {"rows": arguments.rows, "levels": arguments.levels}
    models = {
        name: model
        for bars in STRUCTURES
        for name, model in every_family(bars, **size).items()
        if re.search(arguments.only, name)
    }
    print(f"{arguments.replications} data sets each; p of all their residuals together")
    print(f"{'model':32} {'given':>7} {'new':>7}  {'rows':>6} {'new':>6}  seconds")
    together: dict[str, list[float]] = {"given": [], "new": []}
    single: dict[str, list[np.ndarray]] = {"given": [], "new": []}
    for name, model in models.items():
        start = time.perf_counter()
        found = found_in(
            model, replications=arguments.replications, random_seed=arguments.random_seed
        )
        for which, pits in (("given", found.given), ("new", found.new)):
            p, each = judged(pits)
            together[which].append(p)
            single[which].append(each)
        print(
            f"{name:32} {together['given'][-1]:7.3f} {together['new'][-1]:7.3f}  "
            f"{sum(map(len, found.given)):6} {sum(map(len, found.new)):6}  "
            f"{time.perf_counter() - start:.0f}",
            flush=True,
        )
    limit = ALPHA / (2 * len(models))
    smallest = min(min(p) for p in together.values())
    print(f"smallest of {2 * len(models)}: {smallest:.2g}, to be above {limit:.2g}")
    for which, each in single.items():
        p = np.concatenate(each)
        alarms, most = (p < EACH).sum(), stats.binom.ppf(1 - ALPHA / 2, len(p), EACH)
        print(
            f"{which}: {alarms} of {len(p)} data sets not uniform at {EACH} "
            f"({100 * alarms / len(p):.1f} %; by chance at most {most:.0f}); "
            f"their p-values against uniform: {stats.kstest(p, 'uniform').pvalue:.3f}"
        )
    return int(smallest < limit)


if __name__ == "__main__":
    sys.exit(main())
