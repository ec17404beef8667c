"""What each level of a factor does to the estimates: the posterior without its rows.

    E[h(theta) | y_-j] = sum_s w_js h(theta_s),      w_js proportional to 1 / p(y_j | y_-j, theta_s)

with the weights smoothed (PSIS); where Pareto k is too high the model is fitted again without the
level. In Gaussian models the coefficients are drawn from their exact distribution given theta and
y_-j. Elsewhere theta has them, and the effects of other factors, and of the level's own effects the
density is integrated. Variances are averaged over all rows of the fit, with those of the level, so
that what changes is the posterior and not the rows.

    shift = (estimate without - estimate with all) / posterior sd with all

Source: Vehtari et al. 2024, JMLR 25(72), for the weights; Belsley, Kuh & Welsch 1980, for the shift
in units of the standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from hiermodels.design import Block, Design
from hiermodels.errors import NotAvailableError
from hiermodels.numbers import comparison
from hiermodels.numbers.draws import POINT, Draws, point_words, summarise
from hiermodels.numbers.effects import common_effects
from hiermodels.numbers.expected import is_linear
from hiermodels.numbers.held_out import integrated_groups
from hiermodels.numbers.variance import components, intraclass
from hiermodels.printing import Table
from hiermodels.workflows.refits import FEW, without_level

if TYPE_CHECKING:
    from hiermodels.pictures.groups import Panels
    from hiermodels.results import Fit

__all__ = ["Influence", "influence"]

type Array = np.ndarray

#: Rows that are printed, of the largest shifts.
PRINTED = 15
#: How an estimate without a level was made.
WEIGHTS, REFIT, UNSURE = "weights", "refit", "weights, k too high"


class Influence(Table):
    """The table of ``fit.influence()``: a row for each level and estimand, largest shift first."""

    _metadata: ClassVar[list[str]] = ["title", "note", "factor", "ci_prob"]
    factor: str
    ci_prob: float

    def text(self, *, max_rows: int = PRINTED) -> str:
        """For a terminal."""
        return super().text(max_rows=max_rows)

    def plot(self, estimand: str | Sequence[str] | None = None, *, ax: Any = None) -> Panels:
        """The shift without each level; a panel an estimand, None those that are most moved."""
        from hiermodels.pictures.influence import draw_influence

        return draw_influence(self, factor=self.factor, estimand=estimand, ax=ax)


@dataclass(frozen=True, slots=True, kw_only=True)
class Without:
    """The estimands without one level: estimate, lower, upper (E,), and how it was made."""

    estimate: Array
    lower: Array
    upper: Array
    pareto_k: float
    by: str


def influence(
    fit: Fit,
    group: str | None,
    *,
    refit: bool | None,
    point: str = POINT,
    ci_prob: float,
    seed: int,
) -> Influence:
    """See `Fit.influence`."""
    words, block = point_words(point), fit.design.block(group)
    names = estimand_names(fit)
    everything = estimands(fit.design, fit.draws, names)
    found = each_level(fit, block, names, asked=refit, point=point, ci_prob=ci_prob, seed=seed)
    whole = summarise(everything, point=point, ci_prob=ci_prob)
    rows = [
        {
            "estimand": name,
            "level": level,
            "n": int(n),
            "with all": whole.estimate[e],
            "with all_lower": whole.lower[e],
            "with all_upper": whole.upper[e],
            "without": one.estimate[e],
            "without_lower": one.lower[e],
            "without_upper": one.upper[e],
            "shift": (one.estimate[e] - whole.estimate[e]) / whole.sd[e]
            if whole.sd[e] > 0
            else 0.0,
            "pareto_k": one.pareto_k,
            "by": one.by,
        }
        for level, n, one in zip(block.levels, block.counts, found, strict=True)
        for e, name in enumerate(names)
    ]
    frame = pd.DataFrame(rows)
    order = frame["shift"].abs().sort_values(ascending=False, kind="stable").index
    made = Influence(
        frame.loc[order].reset_index(drop=True),
        title=(
            f"Influence of each level of {block.name}: {words} and {100 * ci_prob:g} % interval "
            "with all levels, and without one"
        ),
        note=explained(found),
    )
    made.factor, made.ci_prob = block.name, ci_prob
    return made


def explained(found: Sequence[Without]) -> str:
    """How to read the table, and what was refitted."""
    refitted = sum(one.by == REFIT for one in found)
    unsure = sum(one.by == UNSURE for one in found)
    parts = ["shift: how far the estimate moves when the level is left out, in posterior sds."]
    parts += [f"Refitted without each of {refitted} of {len(found)} levels."] if refitted else []
    if unsure:
        parts.append(
            f"Pareto k is too high for {unsure} of {len(found)} levels: these figures are "
            "uncertain; refit=True fits without each."
        )
    return " ".join(parts)


# --- what is estimated ----------------------------------------------------------------------------


def estimand_names(fit: Fit) -> tuple[str, ...]:
    """Common effects, sds, the family's own parameters, intraclass correlations."""
    design, draws = fit.design, fit.draws
    return tuple(estimand_values(design, draws))


def estimands(design: Design, draws: Draws, names: Sequence[str]) -> Array:
    """Draws of each, (S, E)."""
    values = estimand_values(design, draws)
    return np.column_stack([values[name] for name in names])


def estimand_values(design: Design, draws: Draws) -> dict[str, Array]:
    common = common_effects(design, draws)
    found = dict(zip(common.terms, common.values.T, strict=True))
    for block in design.blocks:
        for k, term in enumerate(block.terms):
            found[f"sd_{block.name}[{term}]"] = draws.sd[block.name][:, k]
    for name, values in draws.auxiliary.items():
        if values.ndim == 1:
            found[name] = values
    return found | intraclass_values(design, draws)


def intraclass_values(design: Design, draws: Draws) -> dict[str, Array]:
    """The adjusted ICC of each factor, on the scale of the linear predictor, where there is one."""
    try:
        parts = components(
            design,
            draws,
            scale=None if is_linear(design) else "latent",
            variant="lognormal",
            expected=None,
        )
        icc = intraclass(design, parts)
    except NotAvailableError:
        return {}
    return {
        f"icc[{name}]": values
        for name, kind, values in zip(icc.labels, icc.kinds, icc.adjusted.T, strict=True)
        if kind == "single"
    }


# --- without each level ---------------------------------------------------------------------------


def each_level(
    fit: Fit,
    block: Block,
    names: Sequence[str],
    *,
    asked: bool | None,
    point: str = POINT,
    ci_prob: float,
    seed: int,
) -> list[Without]:
    """All levels, by weights, and by refits where these do not reach."""
    weighted = Weighted.of(fit, block, names, seed=seed)
    bad = weighted.pareto_k > weighted.good_k
    slow = fit.idata["posterior"].attrs["engine"] == "pymc" or bad.sum() > FEW
    refits = bad & (asked is True or (asked is None and not slow))
    return [
        refitted_level(
            fit, block, j, names, k=float(weighted.pareto_k[j]), point=point, ci_prob=ci_prob
        )
        if refits[j]
        else weighted.level(j, by=UNSURE if bad[j] else WEIGHTS, point=point, ci_prob=ci_prob)
        for j in range(block.n_levels)
    ]


def refitted_level(
    fit: Fit,
    block: Block,
    j: int,
    names: Sequence[str],
    *,
    k: float,
    point: str = POINT,
    ci_prob: float,
) -> Without:
    draws = without_level(fit, block, j).draws
    values = estimands(fit.design, draws, names)
    found = summarise(values, point=point, ci_prob=ci_prob)
    return Without(
        estimate=found.estimate, lower=found.lower, upper=found.upper, pareto_k=k, by=REFIT
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Draws of the estimands with the weights of each level, (S, J).

    ``values`` (S, E) are those that are the same whichever level is left out; ``common``
    (S, J, terms), of the first columns, those that are drawn anew without each, or None. ``moved``
    (E,) is added to what these draws say.
    """

    values: Array
    moved: Array
    common: Array | None
    weights: Array
    pareto_k: Array
    good_k: float

    @classmethod
    def of(cls, fit: Fit, block: Block, names: Sequence[str], *, seed: int) -> Weighted:
        design, common = fit.design, None
        if not comparison.not_exact(design, fit.priors):
            draws = comparison.thinned_for_groups(design, fit.draws)
            density, beta = comparison.held_out_coefficients(
                design, draws, fit.priors, block, seed=seed
            )
            common = user_coefficients(design, beta)
        else:
            density = integrated_groups(design, fit.draws, block.name, seed=seed)
        weights, pareto_k = smoothed(density, chains=fit.idata["posterior"].sizes["chain"])
        everything = estimands(design, fit.draws, names)
        values = everything[which_draws(fit.draws, len(density), exact=common is not None)]
        return cls(
            values=values,
            # some of the draws have by chance another mean than all
            moved=everything.mean(axis=0) - values.mean(axis=0),
            common=common,
            weights=weights,
            pareto_k=pareto_k,
            good_k=min(1 - 1 / np.log10(max(len(density), 11)), 0.7),
        )

    def level(self, j: int, *, by: str, point: str = POINT, ci_prob: float) -> Without:
        values = self.values
        if self.common is not None:
            values = np.hstack([self.common[:, j], values[:, self.common.shape[2] :]])
        weight, tail = self.weights[:, j], (1 - ci_prob) / 2
        middle = weight @ values if point == "mean" else weighted_quantile(values, weight, 0.5)
        return Without(
            estimate=self.moved + middle,
            lower=self.moved + weighted_quantile(values, weight, tail),
            upper=self.moved + weighted_quantile(values, weight, 1 - tail),
            pareto_k=float(self.pareto_k[j]),
            by=by,
        )


def which_draws(draws: Draws, n: int, *, exact: bool) -> Array:
    """The draws that were taken, n evenly spread: of all, or of those with group effects."""
    every = np.arange(draws.n) if exact or draws.kept is None else draws.kept
    return every[np.linspace(0, len(every) - 1, n).astype(int)] if len(every) > n else every


def user_coefficients(design: Design, beta: Array) -> Array:
    """Standardised coefficients (S, J, p) as the user has them, the intercept at zero."""
    first = int(design.intercept)
    own = beta[..., first:] / design.common.scale
    if not first:
        return own
    at_zero = beta[..., 0] - own @ design.common.center
    return np.concatenate([at_zero[..., None], own], axis=-1)


def smoothed(density: Array, *, chains: int) -> tuple[Array, Array]:
    """Normalised weights 1 / density (S, J) and Pareto k (J,), by ArviZ, from the log density."""
    if not np.isfinite(density).all():
        n, levels = density.shape
        return np.full((n, levels), 1 / n), np.full(levels, np.inf)
    efficiency = comparison.efficiency(density, chains)
    found, k = comparison.pareto_smoothed(np.ascontiguousarray(density.T), efficiency)
    weights = np.exp(found.T - found.T.max(axis=0))
    return weights / weights.sum(axis=0), k


def weighted_quantile(values: Array, weight: Array, probability: float) -> Array:
    """Of each column of (S, E)."""
    order = np.argsort(values, axis=0)
    total = np.cumsum(weight[order], axis=0)
    middle = total - 0.5 * weight[order]
    ordered = np.take_along_axis(values, order, axis=0)
    return np.array(
        [np.interp(probability, middle[:, e], ordered[:, e]) for e in range(values.shape[1])]
    )
