"""Levels left out in earnest: the model fitted again without the rows of one level.

Where a level moves the posterior so far that no weights reach it (Pareto k too high), the fit
without it is made. Its posterior p(theta | y_-j) and that of all rows, p(theta | y), differ by
the factor p(y_j | y_-j, theta) = exp(l), so that from draws of both

    r = log p(y_j | y_-j)   solves   sum_all 1 / (1 + exp(l - r)) = sum_without 1 / (1 + exp(r - l))

for as many draws of each: the acceptance ratio, which has the least error that draws of the two
ends allow.

Source: Bennett 1976, J. Comput. Phys. 22; Meng & Wong 1996, Statistica Sinica 6.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from hiermodels.design import Block
from hiermodels.errors import GroupingWarning, IdentificationWarning
from hiermodels.fitting import Model
from hiermodels.merging import rows_of
from hiermodels.numbers import comparison
from hiermodels.numbers.comparison import Elpd
from hiermodels.numbers.draws import Draws
from hiermodels.numbers.held_out import integrated_groups

if TYPE_CHECKING:
    from hiermodels.results import Fit

__all__ = ["FEW", "acceptance_ratio", "fit_again", "refit_levels", "same_settings", "without_level"]

type Array = np.ndarray

#: Levels that are refitted unasked: each takes about as long as the fit.
FEW = 20


def same_settings(fit: Fit) -> dict[str, Any]:
    """How the fit was sampled, for another of a model like it."""
    posterior = fit.idata["posterior"]
    return {
        "draws": int(posterior.sizes["draw"]),
        "chains": int(posterior.sizes["chain"]),
        "random_seed": int(posterior.attrs["random_seed"]),
        "progressbar": False,
    }


def fit_again(model: Model, fit: Fit) -> Fit:
    """Another model with the settings of a fit, which has warned of its grouping already."""
    # a level without rows has no means to look at
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", GroupingWarning)
        warnings.simplefilter("ignore", IdentificationWarning)
        return model.fit(**same_settings(fit))


def without_level(fit: Fit, block: Block, j: int) -> Fit:
    """The fit to the rows of all other levels.

    Centres, scales, priors and levels stay those of all rows: the level that is left out is one
    without rows, its effects drawn from their distribution.
    """
    kept = np.flatnonzero(block.index != j)
    return fit_again(Model.of(rows_of(fit.design, kept), fit.priors), fit)


def refit_levels(found: Elpd, fit: Fit, block: Block, *, asked: bool | None, seed: int) -> Elpd:
    """The part of every level with a Pareto k too high, from a fit without it.

    ``asked`` None refits where they are not more than `FEW` and the model has a compiled engine.
    """
    bad = np.flatnonzero(found.pareto_k > found.good_k)
    slow = fit.idata["posterior"].attrs["engine"] == "pymc" or len(bad) > FEW
    if not len(bad) or asked is False or (asked is None and slow):
        return found
    pointwise = found.pointwise.copy()
    for j in bad:
        rest = without_level(fit, block, int(j))
        pointwise[j] = acceptance_ratio(
            *(level_density(fit, one, block, int(j), seed=seed) for one in (fit, rest))
        )
    refitted = (*found.refitted, *(found.labels[j] for j in bad))
    return found.with_parts(pointwise, refitted=refitted)


def level_density(fit: Fit, other: Fit, block: Block, j: int, *, seed: int) -> Array:
    """log p(y_j | y_-j, theta), or p(y_j | beta, theta), in the draws of this fit or another."""
    if comparison.not_exact(fit.design, fit.priors):
        some: Draws | None = None if other is fit else fit.draws
        found = integrated_groups(fit.design, other.draws, block.name, seed=seed, only=j, near=some)
        return found[:, 0]
    draws = comparison.thinned_for_groups(fit.design, other.draws)
    return comparison.held_out_groups(fit.design, draws, fit.priors, block)[:, j]


def acceptance_ratio(with_it: Array, without: Array) -> float:
    """r of the equation above, from l in draws of the two posteriors."""
    shift = float(np.log(len(with_it) / len(without)))

    def excess(r: float) -> float:
        return float(expit(r - shift - with_it).sum() - expit(without - r + shift).sum())

    low = min(with_it.min(), without.min()) - 50.0
    high = max(with_it.max(), without.max()) + 50.0
    return float(brentq(excess, low, high, xtol=1e-8))
