"""Numbers into the frames that a user reads: labels, not arithmetic.

Long frames with ``estimate``, ``lower``, ``upper``; the title says which estimate and interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hiermodels.design import INTERCEPT, Block, Design
from hiermodels.draws import ENOUGH, Draws, Interval, level_interval, standard_covariance, summarise
from hiermodels.effects import common_effects, group_coefficients
from hiermodels.posterior import coefficient_terms
from hiermodels.printing import Table
from hiermodels.shrinkage import (
    complete_pooling,
    no_pooling,
    partial_pooling,
    pooling_factor,
)
from hiermodels.variance import Components, components, cv2, intraclass, mean_is_meaningful

__all__ = [
    "coef_table",
    "fixef_table",
    "icc_table",
    "ranef_table",
    "shrinkage_table",
    "varcorr_table",
    "variance_table",
]

type Array = np.ndarray


def heading(what: str, center: str, ci_prob: float) -> str:
    return f"{what} (posterior {center}, {100 * ci_prob:g} % interval)"


def interval_columns(name: str, found: Interval) -> dict[str, Array]:
    """``name``, ``name_lower``, ``name_upper``."""
    return {name: found.estimate, f"{name}_lower": found.lower, f"{name}_upper": found.upper}


def estimate_columns(found: Interval) -> dict[str, Array]:
    return {
        "estimate": found.estimate.ravel(),
        "sd": found.sd.ravel(),
        "lower": found.lower.ravel(),
        "upper": found.upper.ravel(),
    }


def fixef_table(design: Design, draws: Draws, *, ci_prob: float) -> Table:
    """Common effects, the intercept where every predictor is zero."""
    effects = common_effects(design, draws)
    found = summarise(effects.values, center="mean", ci_prob=ci_prob)
    return Table(
        {"term": list(effects.terms), **estimate_columns(found)},
        title=heading("Common effects", "mean", ci_prob),
    )


def moments_note(draws: Draws, block: Block) -> str:
    """What the intervals are where moments were kept instead of draws."""
    if block.name not in draws.moments:
        return ""
    n = draws.with_effects.n
    exact = all(moments.exact for moments in draws.moments[block.name].values())
    whose = "exact" if exact else "those of all draws"
    source = f"{n} draws" if n >= ENOUGH else "a normal distribution"
    return f"Means and sds are {whose}; the intervals have the shape of {source}."


def level_rows(block: Block, terms: Sequence[str]) -> dict[str, Any]:
    """group, level, term: level by level."""
    k = len(terms)
    return {
        "group": [block.name] * (block.n_levels * k),
        "level": [level for level in block.levels for _ in terms],
        "term": list(terms) * block.n_levels,
    }


def shrunk_columns(block: Block, terms: Sequence[str], reliability: Array) -> dict[str, Array]:
    """n and shrinkage, 1 - lambda; missing for terms that are the same in all levels."""
    mean = 1 - reliability.mean(axis=0)
    shrinkage = np.full((block.n_levels, len(terms)), np.nan)
    for k, term in enumerate(terms):
        if term in block.terms:
            shrinkage[:, k] = mean[:, block.terms.index(term)]
    return {"n": np.repeat(block.counts, len(terms)), "shrinkage": shrinkage.ravel()}


def ranef_table(draws: Draws, block: Block, reliability: Array, *, ci_prob: float) -> Table:
    """Group effects: the deviation of each level from the common effects."""
    found = level_interval(
        draws, block.name, "effects", lambda: draws.effects[block.name], ci_prob=ci_prob
    )
    return Table(
        {
            **level_rows(block, block.terms),
            **estimate_columns(found),
            **shrunk_columns(block, block.terms, reliability),
        },
        title=heading(f"Group effects of {block.name}", "mean", ci_prob),
        note=moments_note(draws, block),
    )


def coef_table(
    design: Design, draws: Draws, block: Block, reliability: Array, *, ci_prob: float
) -> Table:
    """Coefficients of each level: common effects plus its group effects."""
    terms = coefficient_terms(design, block)
    found = level_interval(
        draws,
        block.name,
        "coef",
        lambda: group_coefficients(design, draws, block).values,
        ci_prob=ci_prob,
    )
    return Table(
        {
            **level_rows(block, terms),
            **estimate_columns(found),
            **shrunk_columns(block, terms, reliability),
        },
        title=heading(f"Coefficients of each {block.name}", "mean", ci_prob),
        note=moments_note(draws, block),
    )


def varcorr_table(design: Design, draws: Draws, *, ci_prob: float) -> Table:
    """Sds, variances and correlations, a row each, in the order of lme4's, the residual last.

    With slopes also the sd of the intercepts at the mean of the slope's column, which, unlike the
    sd at zero, does not depend on where zero is.
    """
    rows: list[tuple[str, str, str, str, Array]] = []
    for block in design.blocks:
        sd, cor = draws.sd[block.name], draws.cor[block.name]
        for k, term in enumerate(block.terms):
            rows.append((block.name, term, "", "sd", sd[:, k]))
            rows.append((block.name, term, "", "variance", sd[:, k] ** 2))
            if term == INTERCEPT and block.columns.center.any():
                at_mean = standard_covariance(draws, block)[:, k, k]
                rows.append((block.name, term, "", "sd at the mean", np.sqrt(at_mean)))
            if block.correlated:
                rows += [
                    (block.name, block.terms[j], term, "correlation", cor[:, k, j])
                    for j in range(k)
                ]
    if draws.residual is not None:
        rows.append(("residual", "", "", "sd", draws.residual))
        rows.append(("residual", "", "", "variance", draws.residual**2))
    found = summarise(np.column_stack([r[-1] for r in rows]), center="median", ci_prob=ci_prob)
    return Table(
        {
            "group": [r[0] for r in rows],
            "term": [r[1] for r in rows],
            "term_bis": [r[2] for r in rows],
            "quantity": [r[3] for r in rows],
            **estimate_columns(found),
        },
        title=heading("Sds and correlations", "median", ci_prob),
    )


def variance_table(design: Design, draws: Draws, *, ci_prob: float, common: bool = False) -> Table:
    """A row for each variance component, the residual and the total.

    ``percent`` is the posterior mean, so that it adds up; ``sd``, ``variance`` and ``cv2`` are
    medians, which do not. The total is groups and residual; ``common`` adds the common effects.
    """
    parts = components(design, draws)
    rows = [(g, t, parts.groups[:, k]) for k, (g, t) in enumerate(parts.labels)]
    rows.append(("residual", "", parts.residual))
    total = parts.total
    if common:
        rows.insert(0, ("common effects", "", parts.common))
        total = total + parts.common
    rows.append(("total", "", total))
    variances = np.column_stack([v for *_, v in rows])
    refusal = mean_is_meaningful(design, parts)
    return Table(
        {
            "component": [r[0] for r in rows],
            "term": [r[1] for r in rows],
            **variance_columns(parts, variances, total, ci_prob, refusal=refusal),
        },
        title=heading("Variance components", "mean of % and mean, median of the rest", ci_prob),
        note=f"No CV²: {refusal}." if refusal else "",
    )


def variance_columns(
    parts: Components, variances: Array, total: Array, ci_prob: float, *, refusal: str
) -> dict[str, Any]:
    def of(values: Array, center: str) -> Interval:
        return summarise(values, center=center, ci_prob=ci_prob)

    mean = of(np.repeat(parts.mean[:, None], variances.shape[1], axis=1), "mean")
    found = {
        **interval_columns("mean", mean),
        **interval_columns("sd", of(np.sqrt(np.maximum(variances, 0)), "median")),
        **interval_columns("variance", of(variances, "median")),
        **interval_columns("percent", of(100 * variances / total[:, None], "mean")),
    }
    if refusal:
        return found
    relative = of(cv2(variances, parts.mean[:, None]), "median")
    return {**found, **interval_columns("cv2", relative)}


def icc_table(design: Design, draws: Draws, *, ci_prob: float) -> Table:
    """Adjusted and unadjusted ICC of each factor; for nested factors also the cumulative ones."""
    icc = intraclass(design, draws)
    return Table(
        {
            "component": list(icc.labels),
            "kind": list(icc.kinds),
            **interval_columns("icc", summarise(icc.adjusted, center="mean", ci_prob=ci_prob)),
            **interval_columns(
                "unadjusted", summarise(icc.unadjusted, center="mean", ci_prob=ci_prob)
            ),
        },
        title=heading("Intraclass correlation", "mean", ci_prob),
        note="icc: share of groups + residual (adjusted); unadjusted: of these + common effects",
    )


def shrinkage_table(
    design: Design, draws: Draws, block: Block, reliability: Array, *, ci_prob: float
) -> Table:
    """Raw, completely pooled and partially pooled estimates of each level.

    ``raw`` least squares of each level, ``complete`` of all rows together, ``estimate`` the
    posterior; ``shrinkage`` = 1 - reliability: 0 leaves the raw estimate, 1 gives the pooled one.
    """
    raw = no_pooling(design, draws, block, ci_prob=ci_prob)
    complete = complete_pooling(design, block, ci_prob=ci_prob)
    partial = level_interval(
        draws,
        block.name,
        "pooled",
        lambda: partial_pooling(design, draws, block),
        ci_prob=ci_prob,
    )
    shrinkage = summarise(1 - reliability, center="mean", ci_prob=ci_prob)
    factor = pooling_factor(draws, block)
    told = ", ".join(f"{t} {f:.2f}" for t, f in zip(block.terms, factor, strict=True))
    at_mean = " Intercepts are at the mean of the predictors." if len(design.common) else ""
    return Table(
        {
            **level_rows(block, block.terms),
            "n": np.repeat(block.counts, len(block.terms)),
            **{f"raw{end}": v.ravel() for end, v in ends(raw)},
            **{f"complete{end}": v.ravel() for end, v in ends(complete)},
            **estimate_columns(partial),
            **{f"shrinkage{end}": v.ravel() for end, v in ends(shrinkage)},
        },
        title=heading(f"Shrinkage of {block.name}", "mean", ci_prob),
        note=f"Pooling factor of {block.name}: {told}.{at_mean}",
    )


def ends(found: Any) -> list[tuple[str, Array]]:
    return [("", found.estimate), ("_lower", found.lower), ("_upper", found.upper)]
