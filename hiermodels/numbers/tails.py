"""Whether a posterior has a mean, and whether its draws can be averaged.

On a log link the mean response over all possible groups is exp(eta + V / 2), V the variance of the
group effects. Under a prior of an sd with tails heavier than those of a normal distribution, such
as the half-t, its posterior mean is infinite, however many the groups:

    E[exp(sd^2 / 2)] = int exp(sd^2 / 2) p(sd | y) dsd,      p(sd | y) ~ a power of sd

Elsewhere Pareto k says whether the average of S draws can be relied on: up to
min(0.7, 1 - 1 / log10 S).

Source: Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25(72); Fabrizi & Trivisano 2012, Bayesian
Analysis 7(4), for the log-normal mean.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from hiermodels.design import Block, Design
from hiermodels.distributions import Prior
from hiermodels.priors import Priors

__all__ = ["good_k", "heavy_columns", "heavy_sds", "pareto_k"]

type Array = np.ndarray

#: Priors of an sd whose tails are no heavier than those of a normal distribution.
LIGHT = ("HalfNormal", "TruncatedNormal", "Uniform", "Beta")
#: Distance of the farthest draw from the median, in interquartile ranges, up to which no tail is
#: heavy: with k = 0.7 one in 20 draws is farther out.
NEAR = 5.0
#: Draws from which a tail can be fitted: it has five of them.
FEWEST = 25


def good_k(n: int) -> float:
    """Pareto k up to which n draws can be averaged."""
    return float(min(0.7, 1 - 1 / np.log10(max(n, 11))))


def pareto_k(values: Array) -> Array:
    """Pareto k of the heavier tail, by ArviZ, of draws over the first axis.

    Minus infinity where no draw is far out, and where the tail has too few values for a fit.
    """
    columns = np.asarray(values, dtype=float).reshape(len(values), -1)
    found = np.full(columns.shape[1], -np.inf)
    lower, middle, upper = np.quantile(columns, [0.25, 0.5, 0.75], axis=0)
    with np.errstate(invalid="ignore"):
        farthest = np.abs(columns - middle).max(axis=0)
        far = farthest > NEAR * (upper - lower)
    for k in np.flatnonzero(far):
        found[k] = tail_k(columns[:, k])
    return found.reshape(np.shape(values)[1:])


def tail_k(draws: Array) -> float:
    """Of one quantity, (S,)."""
    from arviz_stats.base import array_stats

    if not np.isfinite(draws).all():
        return np.inf
    if len(draws) < FEWEST:
        return -np.inf
    ordered, n_tail = np.sort(draws), int(min(3 * np.sqrt(len(draws)), len(draws) / 5))
    ends = {"left": ordered[:n_tail], "right": ordered[-n_tail:]}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = [
            float(array_stats.pareto_khat(draws[None], r_eff=1.0, tail=tail))
            for tail, values in ends.items()
            if np.ptp(values) > 0
        ]
    return max((k for k in found if not np.isnan(k)), default=-np.inf)


def is_heavy(prior: Prior) -> bool:
    """Whether E[exp(c sd^2)] is infinite for every c > 0."""
    if prior.name == "Weibull":
        return float(prior.parameters["alpha"]) < 2
    return prior.name not in LIGHT


def heavy_sds(design: Design, priors: Priors) -> dict[str, str]:
    """The sds for which the mean response over all groups has no posterior mean, with their priors.

    Those of the group effects on a log link, and the residual sd of a log-normal response.
    """
    if design.family.name != "lognormal" and design.family.link != "log":
        return {}
    sds = [p for block in priors.sd for p in block]
    if design.family.name == "lognormal":
        sds += [p for p in priors.auxiliary if p.parameter == design.family.residual]
    found = {p.parameter: p.inside.name for p in sds if is_heavy(p.inside)}
    if design.family.name == "lognormal" and "sigma" in design.extras:
        # log sigma is normal there, and exp(exp(2 z) / 2) has no mean either
        found["sigma"] = "log-normal"
    return found


def heavy_columns(names: Collection[str], block: Block) -> Array:
    """Which terms of a factor have such an sd: (q,)."""
    return np.array([f"sd_{block.name}[{term}]" in names for term in block.terms], dtype=bool)
