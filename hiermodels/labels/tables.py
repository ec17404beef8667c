"""Numbers into the frames that a user reads: labels, not arithmetic.

Long frames with ``estimate``, ``lower``, ``upper``; the title says which estimate and interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from hiermodels.design import INTERCEPT, Block, Design
from hiermodels.families import Parameter
from hiermodels.numbers.averages import BEYOND
from hiermodels.numbers.draws import (
    ENOUGH,
    Draws,
    Interval,
    level_interval,
    standard_covariance,
    summarise,
)
from hiermodels.numbers.effects import common_effects, group_coefficients
from hiermodels.numbers.expected import is_linear
from hiermodels.numbers.icc import Curves
from hiermodels.numbers.points import trials_of
from hiermodels.numbers.ranks import Ranking
from hiermodels.numbers.remaining import Left
from hiermodels.numbers.shrinkage import (
    complete_pooling,
    no_pooling,
    partial_pooling,
    pooling_factor,
)
from hiermodels.numbers.variance import (
    ICC,
    Components,
    RSquared,
    cv2,
    latent_words,
    mean_is_meaningful,
    monte_carlo_error,
)
from hiermodels.posterior import CUT, coefficient_terms, coordinates
from hiermodels.printing import Table

__all__ = [
    "coef_table",
    "fixef_table",
    "icc_curve_table",
    "icc_table",
    "parameters_table",
    "r2_table",
    "ranef_table",
    "ranks_table",
    "repeatability_table",
    "shrinkage_table",
    "varcorr_table",
    "variance_left_table",
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


def parameters_table(design: Design, draws: Draws, *, ci_prob: float) -> Table:
    """The family's own parameters, without the residual sd, which is among the groups.

    One without a formula is on its natural scale; of one that has a formula the coefficients, sds
    and correlations are on the scale of its link. The names are those of the posterior.
    """
    rows = [
        row
        for parameter in design.parameters
        for row in own_rows(design, draws, parameter)
        if parameter.name != design.family.residual or parameter.name in design.extras
    ]
    kinds = np.array([center for *_, center in rows], dtype=object)
    stacked = np.column_stack([v for _, _, v, _ in rows]) if rows else np.empty((draws.n, 0))
    columns = estimate_columns(summarise(stacked, center="median", ci_prob=ci_prob))
    columns["estimate"] = np.where(kinds == "mean", stacked.mean(axis=0), columns["estimate"])
    return Table(
        {"parameter": [r[0] for r in rows], "scale": [r[1] for r in rows], **columns},
        title=heading("Family", "mean of coefficients, median of the rest", ci_prob),
    )


def own_rows(
    design: Design, draws: Draws, parameter: Parameter
) -> Iterator[tuple[str, str, Array, str]]:
    """Name in the posterior, scale, draws, and which estimate it has."""
    name, link = parameter.name, parameter.link
    if name not in design.extras:
        values = draws.auxiliary[name]
        if values.ndim == 1:
            yield name, "", values, "median"
            return
        labels = coordinates(design)[CUT]
        yield from ((f"{name}[{c}]", "", values[:, k], "median") for k, c in enumerate(labels))
        return
    predictor, own = design.extras[name], draws.extras[name]
    if predictor.intercept:
        yield f"{name}_Intercept", link, own.intercept, "mean"
    for k, term in enumerate(predictor.terms):
        yield f"{name}_beta[{term}]", link, own.beta[:, k], "mean"
    for block in predictor.blocks:
        sd, cor = own.sd[block.name], own.cor[block.name]
        for k, term in enumerate(block.terms):
            yield f"{name}_sd_{block.name}[{term}]", link, sd[:, k], "median"
        for part in block.parts:
            for i, j in combinations(part, 2):
                terms = f"{block.terms[i]}, {block.terms[j]}"
                yield f"{name}_cor_{block.name}[{terms}]", "", cor[:, j, i], "median"


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
    values = np.column_stack([r[-1] for r in rows]) if rows else np.empty((draws.n, 0))
    found = summarise(values, center="median", ci_prob=ci_prob)
    return Table(
        {
            "group": [r[0] for r in rows],
            "term": [r[1] for r in rows],
            "term_bis": [r[2] for r in rows],
            "quantity": [r[3] for r in rows],
            **estimate_columns(found),
        },
        title=heading(f"Sds and correlations{link_words(design)}", "median", ci_prob),
    )


def scale_words(design: Design, parts: Components) -> str:
    """What a table of variances stands on, for its title."""
    if parts.scale == "linear":
        return ""
    if parts.scale == "latent":
        return f", latent scale ({latent_words(design)})"
    of = "share of successes in " if trials_of(design) is not None else ""
    numbered = ", categories numbered from 0" if design.family.name == "ordinal" else ""
    return f", data scale ({of}{design.response_name}{numbered})"


def variance_table(
    design: Design, draws: Draws, parts: Components, *, ci_prob: float, common: bool = False
) -> Table:
    """A row for each variance component, the residual and the total.

    ``percent`` is the posterior mean, so that it adds up; ``sd``, ``variance`` and ``cv2`` are
    medians, which do not. The total is groups and residual; ``common`` adds the common effects.
    """
    rows = [(g, t, parts.groups[:, k]) for k, (g, t) in enumerate(parts.labels)]
    if parts.scale == "data" and len(parts.labels) > 1:
        rows.append(("between factors", "", parts.between))
    rows.append(("residual", "", parts.residual))
    total = parts.total
    if common:
        rows.insert(0, ("common effects", "", parts.common))
        total = total + parts.common
    rows.append(("total", "", total))
    variances = np.column_stack([v for *_, v in rows])
    refusal = mean_is_meaningful(design, parts)
    columns = variance_columns(parts, variances, total, ci_prob)
    if not refusal:
        relative = relative_variances(design, parts, variances, [r[0] for r in rows])
        columns |= interval_columns("cv2", summarise(relative, center="median", ci_prob=ci_prob))
    words = scale_words(design, parts)
    return Table(
        without_beyond(
            {"component": [r[0] for r in rows], "term": [r[1] for r in rows], **columns},
            parts,
            ci_prob,
        ),
        title=heading(
            f"Variance components{words}", "mean of % and mean, median of the rest", ci_prob
        ),
        note=" ".join(
            [
                *([f"No CV²: {refusal}."] if refusal else []),
                *([cv2_words(parts)] if not refusal and parts.scale != "linear" else []),
                *scale_notes(parts, 100 * variances / total[:, None]),
            ]
        ),
    )


def cv2_words(parts: Components) -> str:
    if parts.scale == "latent":
        return "CV² is that of the response: exp(variance) - 1."
    return "CV²: variance over the square of each row's own mean, averaged."


def scale_notes(parts: Components, shares: Array) -> list[str]:
    """What the numbers of the data scale rest on."""
    found = []
    if parts.scale == "data":
        error = float(monte_carlo_error(shares).max())
        found.append(
            f"From {parts.n} draws: Monte Carlo error of a percentage at most {error:.1g}."
        )
    if parts.scale != "linear" and (beyond := beyond_draws(parts)).any():
        what = "mean response" if parts.scale == "latent" else "mean or variance of the response"
        found.append(
            f"In {beyond.sum()} of {parts.n} draws the {what} over all possible groups is "
            "too large for a number (a dash): the sds of the groups are large on the log scale. "
            "Shares are right."
        )
    return found


def beyond_draws(parts: Components) -> Array:
    """The draws in which a mean or variance is too large for a number: (S,)."""
    known = np.nan_to_num(parts.mean) < BEYOND
    return ~known if parts.beyond is None else parts.beyond | ~known


def without_beyond(columns: Mapping[str, Any], parts: Components, ci_prob: float) -> dict[str, Any]:
    """Numbers that are too large are missing; those draws have the largest values of all."""
    if parts.scale == "linear" or not (beyond := beyond_draws(parts)).any():
        return dict(columns)
    tail = (1 - ci_prob) / 2
    reached = {"_upper": beyond.mean() > tail, "_lower": beyond.mean() > 1 - tail}
    found = dict(columns)
    names = ("mean", "sd", "variance", "cv2") if parts.scale == "data" else ("mean", "cv2")
    for name in (n for n in names if n in columns):
        for end in ("", "_lower", "_upper"):
            values = np.asarray(columns[f"{name}{end}"], dtype=float)
            own = name in ("sd", "variance") and reached.get(end, beyond.mean() > 0.5)
            found[f"{name}{end}"] = np.where(own | (values > 0.9 * BEYOND), np.nan, values)
    return found


def relative_variances(
    design: Design, parts: Components, variances: Array, names: Sequence[str]
) -> Array:
    """CV2 of each row of the table: (S, rows)."""
    if parts.scale == "latent":
        return np.expm1(np.minimum(variances, np.log(BEYOND)))
    if parts.relative is None or parts.relative_total is None:
        return cv2(variances, parts.mean[:, None])
    common = parts.common / parts.mean**2
    kinds = [*(g for g, _ in parts.labels), "between factors", "residual"]
    each = dict(zip(kinds, parts.relative.T, strict=True))
    each["common effects"] = common
    each["total"] = parts.relative_total + (common if "common effects" in names else 0.0)
    return np.column_stack([each[name] for name in names])


def variance_columns(
    parts: Components, variances: Array, total: Array, ci_prob: float
) -> dict[str, Any]:
    def of(values: Array, center: str) -> Interval:
        return summarise(values, center=center, ci_prob=ci_prob)

    found: dict[str, Any] = {}
    if np.isfinite(parts.mean).all():
        mean = of(np.repeat(parts.mean[:, None], variances.shape[1], axis=1), "mean")
        found |= interval_columns("mean", mean)
    return {
        **found,
        **interval_columns("sd", of(np.sqrt(np.maximum(variances, 0)), "median")),
        **interval_columns("variance", of(variances, "median")),
        **interval_columns("percent", of(100 * variances / total[:, None], "mean")),
    }


def icc_table(design: Design, parts: Components, icc: ICC, *, ci_prob: float) -> Table:
    """Adjusted and unadjusted ICC of each factor; for nested factors also the cumulative ones."""
    return Table(
        {
            "component": list(icc.labels),
            "kind": list(icc.kinds),
            **interval_columns("icc", summarise(icc.adjusted, center="mean", ci_prob=ci_prob)),
            **interval_columns(
                "unadjusted", summarise(icc.unadjusted, center="mean", ci_prob=ci_prob)
            ),
        },
        title=heading(f"Intraclass correlation{scale_words(design, parts)}", "mean", ci_prob),
        note=" ".join(
            [
                "icc: share of groups + residual (adjusted); unadjusted: of these + common effects",
                *(f"({n})" for n in scale_notes(parts, 100 * icc.adjusted)),
            ]
        ),
    )


def icc_curve_table(design: Design, curves: Curves, *, ci_prob: float) -> Table:
    """A row for each value of the predictors and each factor."""
    rows: dict[str, list[Any]] = {name: [] for name in curves.at.columns}
    components, kinds, draws = [], [], []
    for k, icc in enumerate(curves.found):
        for c, (label, kind) in enumerate(zip(icc.labels, icc.kinds, strict=True)):
            for name in curves.at.columns:
                rows[name].append(curves.at[name].iloc[k])
            components.append(label)
            kinds.append(kind)
            draws.append(icc.adjusted[:, c])
    found = summarise(np.column_stack(draws), center="mean", ci_prob=ci_prob)
    words = {"linear": "", "latent": ", latent scale", "data": ", data scale"}[curves.scale]
    return Table(
        {**rows, "component": components, "kind": kinds, **interval_columns("icc", found)},
        title=heading(
            f"Intraclass correlation at {', '.join(curves.at.columns)}{words}", "mean", ci_prob
        ),
        note="Of two rows of one level with these values, given the common effects (adjusted).",
    )


def repeatability_table(
    design: Design, parts: Components, icc: ICC, *, n: int, ci_prob: float
) -> Table:
    """The adjusted ICC of means of n rows."""
    rows = [k for k, kind in enumerate(icc.kinds) if kind in ("single", "cumulative")]
    found = summarise(icc.adjusted[:, rows], center="mean", ci_prob=ci_prob)
    one = "one row" if n == 1 else f"the mean of {n} rows"
    return Table(
        {
            "component": [icc.labels[k] for k in rows],
            "n": [n] * len(rows),
            **interval_columns("repeatability", found),
        },
        title=heading(f"Repeatability of {one}{scale_words(design, parts)}", "mean", ci_prob),
        note="The correlation of two such measurements of the same level, given the predictors.",
    )


def r2_table(
    design: Design,
    parts: Components,
    found: RSquared,
    change: Mapping[str, Array] | None,
    *,
    ci_prob: float,
) -> Table:
    """Variance explained: marginal, conditional, Bayesian; of each stratum against a null model."""
    rows: list[tuple[str, Array, str]] = [
        ("marginal", found.marginal, "common effects"),
        ("conditional", found.conditional, "common effects and groups"),
        ("Bayesian", found.bayesian, "fitted values of these rows and groups"),
    ]
    rows += [(f"change of {k}", v, "1 - V / V_null") for k, v in (change or {}).items()]
    each = [summarise(v, center="mean", ci_prob=ci_prob) for _, v, _ in rows]
    note = "A change is negative where predictors bring out a difference that others had hidden."
    return Table(
        {
            "r2": [name for name, *_ in rows],
            "of": [words for *_, words in rows],
            "estimate": [float(e.estimate) for e in each],
            "lower": [float(e.lower) for e in each],
            "upper": [float(e.upper) for e in each],
        },
        title=heading(f"Variance explained{scale_words(design, parts)}", "mean", ci_prob),
        note=note if change else "",
    )


def ranks_table(block: Block, found: Ranking, *, ci_prob: float) -> Table:
    """A row for each level, the best first."""
    order = np.argsort(found.rank.mean(axis=0), kind="stable")
    value = summarise(found.values, center="mean", ci_prob=ci_prob)
    rank = summarise(found.rank, center="mean", ci_prob=ci_prob)
    table = {
        "group": [block.name] * block.n_levels,
        "level": [block.levels[j] for j in order],
        "term": [found.term] * block.n_levels,
        **{k: v[order] for k, v in interval_columns("rank", rank).items()},
        "p_best": found.p_best[order],
        **({f"p_top_{found.top}": found.p_top[order]} if found.top > 1 else {}),
        "too_close": found.too_close[order],
        **{k: v[order] for k, v in estimate_columns(value).items()},
        "n": block.counts[order],
        "reliability": found.reliability[order],
    }
    return Table(
        table,
        title=heading(f"Ranks of {block.name} by {found.term}, 1 is {found.best}", "mean", ci_prob),
        note=" ".join(found.words(block.name)),
    )


def variance_left_table(rows: Sequence[Left], *, ci_prob: float) -> Table:
    """For each factor and term: sd, its prior, and how likely it is too small to matter."""
    each = [summarise(r.sd, center="median", ci_prob=ci_prob) for r in rows]
    return Table(
        {
            "group": [r.factor for r in rows],
            "term": [r.term for r in rows],
            "sd": [float(e.estimate) for e in each],
            "sd_lower": [float(e.lower) for e in each],
            "sd_upper": [float(e.upper) for e in each],
            "prior": [r.prior_quantile(0.5) for r in rows],
            "prior_lower": [r.prior_quantile((1 - ci_prob) / 2) for r in rows],
            "prior_upper": [r.prior_quantile((1 + ci_prob) / 2) for r in rows],
            "threshold": [float(np.median(r.threshold)) for r in rows],
            "p_below": [r.p_below for r in rows],
            "prior_p_below": [r.prior_p_below for r in rows],
            "verdict": [r.verdict for r in rows],
        },
        title=heading("Variance left to explain", "median", ci_prob),
        note=" ".join(r.sentence for r in rows),
    )


def shrinkage_table(
    design: Design, draws: Draws, block: Block, reliability: Array, *, ci_prob: float
) -> Table:
    """Raw, completely pooled and partially pooled estimates of each level.

    ``raw`` least squares of each level, ``complete`` of all rows together, ``estimate`` the
    posterior; ``shrinkage`` = 1 - reliability: 0 leaves the raw estimate, 1 gives the pooled one.
    """
    raw = no_pooling(design, draws, block, ci_prob=ci_prob)
    complete = complete_pooling(design, draws, block, ci_prob=ci_prob)
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
        title=heading(f"Shrinkage of {block.name}{link_words(design)}", "mean", ci_prob),
        note=f"Pooling factor of {block.name}: {told}.{at_mean}",
    )


def link_words(design: Design) -> str:
    """The scale of the linear predictor, where it is not that of the response."""
    return "" if is_linear(design) else f", {latent_words(design)} scale"


def ends(found: Any) -> list[tuple[str, Array]]:
    return [("", found.estimate), ("_lower", found.lower), ("_upper", found.upper)]
