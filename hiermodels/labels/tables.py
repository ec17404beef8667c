"""Numbers into the frames that a user reads: labels, not arithmetic.

Long frames with ``estimate``, ``lower``, ``upper``; the title says which estimate and interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.design import INTERCEPT, Block, Design
from hiermodels.families import Parameter
from hiermodels.numbers.averages import BEYOND
from hiermodels.numbers.draws import (
    ENOUGH,
    POINT,
    Draws,
    Interval,
    level_interval,
    point_words,
    standard_covariance,
    summarise,
)
from hiermodels.numbers.effects import common_effects, group_coefficients
from hiermodels.numbers.expected import is_linear
from hiermodels.numbers.icc import Curves
from hiermodels.numbers.points import row_weights, trials_of
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
    Change,
    Components,
    RSquared,
    cv2,
    heterogeneity,
    latent_words,
    mean_is_meaningful,
    monte_carlo_error,
    typical_error,
)
from hiermodels.posterior import CUT, coefficient_terms, coordinates
from hiermodels.printing import Table, format_interval, printed_columns, printed_number

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
    "with_dashes",
]

type Array = np.ndarray

#: No sd with a heavy prior; and what there is where a mean stands as a dash.
NOTHING: Mapping[str, str] = MappingProxyType({})
MEDIAN_INSTEAD = "point='median' has the median"
#: Columns of a number with its interval; a point estimate and several.
ENDS, MANY = ("", "_lower", "_upper"), {"median": "medians", "mean": "means"}
#: Points of percent from which a share is told not to be the ratio of the numbers beside it, and a
#: sum of shares not to be 100.
APART, ADDED = 2.0, 0.05
#: Components that are no grouping factor.
NOT_GROUPS = ("residual", "common effects", "between factors", "total")


def heading(what: str, point: str, ci_prob: float) -> str:
    return f"{what} ({point_words(point)}, {100 * ci_prob:g} % interval)"


def with_dashes[T: Table](
    table: T, heavy: Mapping[str, str] = NOTHING, *, instead: str = MEDIAN_INSTEAD
) -> T:
    """The table, its note with the reason for each mean and sd that stands as a dash.

    ``heavy`` are the sds, with their priors, for which what the table has is infinite in the mean;
    empty where it is only these draws that cannot average it. ``instead`` names what there is.
    """
    shown = printed_columns(list(table.columns))
    means = any((table[n].isna() & table[high].notna()).any() for n, _, high in shown if high)
    sds = {"sd", "upper"} <= set(table.columns) and (table["sd"].isna() & table["upper"].notna())
    words = [*(["a mean"] if means else []), *(["an sd"] if np.any(sds) else [])]
    if not words:
        return table
    priors = " and ".join(dict.fromkeys(heavy.values()))
    why = (
        f"is infinite under the {priors} prior of {', '.join(heavy)}"
        if heavy
        else "these draws cannot average (Pareto k too high)"
    )
    note = f"A dash stands for {' or '.join(words)} that {why}{f'; {instead}' if means else ''}."
    return type(table)(table, title=table.title, note=f"{table.note} {note}".strip())


def interval_columns(name: str, found: Interval) -> dict[str, Array]:
    """``name``, ``name_lower``, ``name_upper``."""
    return {name: found.estimate, f"{name}_lower": found.lower, f"{name}_upper": found.upper}


def estimate_columns(found: Interval, name: str = "estimate") -> dict[str, Array]:
    return {
        name: found.estimate.ravel(),
        "sd": found.sd.ravel(),
        "lower": found.lower.ravel(),
        "upper": found.upper.ravel(),
    }


def fixef_table(design: Design, draws: Draws, *, point: str = POINT, ci_prob: float) -> Table:
    """Common effects, the intercept where every predictor is zero."""
    effects = common_effects(design, draws)
    found = summarise(effects.values, point=point, ci_prob=ci_prob)
    table = Table(
        {"term": list(effects.terms), **estimate_columns(found)},
        title=heading("Common effects", point, ci_prob),
        note=reference_words(design.common.references),
    )
    return with_dashes(table)


def reference_words(references: Mapping[str, str]) -> str:
    """``Reference: treatment = control.``, what the coefficients of categories compare with."""
    told = "; ".join(f"{name} = {category}" for name, category in references.items())
    return f"Reference{'s' if len(references) > 1 else ''}: {told}." if told else ""


def parameters_table(design: Design, draws: Draws, *, point: str = POINT, ci_prob: float) -> Table:
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
    stacked = np.column_stack([v for _, _, v in rows]) if rows else np.empty((draws.n, 0))
    columns = estimate_columns(summarise(stacked, point=point, ci_prob=ci_prob))
    table = Table(
        {"parameter": [r[0] for r in rows], "scale": [r[1] for r in rows], **columns},
        title=heading("Family", point, ci_prob),
        note=reference_words(
            {
                f"{name}_{variable}": category
                for name, own in design.extras.items()
                for variable, category in own.common.references.items()
            }
        ),
    )
    return with_dashes(table)


def own_rows(
    design: Design, draws: Draws, parameter: Parameter
) -> Iterator[tuple[str, str, Array]]:
    """Name in the posterior, scale and draws."""
    name, link = parameter.name, parameter.link
    if name not in design.extras:
        values = draws.auxiliary[name]
        if values.ndim == 1:
            yield name, "", values
            return
        labels = coordinates(design)[CUT]
        yield from ((f"{name}[{c}]", "", values[:, k]) for k, c in enumerate(labels))
        return
    predictor, own = design.extras[name], draws.extras[name]
    if predictor.intercept:
        yield f"{name}_Intercept", link, own.intercept
    for k, term in enumerate(predictor.terms):
        yield f"{name}_beta[{term}]", link, own.beta[:, k]
    for block in predictor.blocks:
        sd, cor = own.sd[block.name], own.cor[block.name]
        for k, term in enumerate(block.terms):
            yield f"{name}_sd_{block.name}[{term}]", link, sd[:, k]
        for part in block.parts:
            for i, j in combinations(part, 2):
                terms = f"{block.terms[i]}, {block.terms[j]}"
                yield f"{name}_cor_{block.name}[{terms}]", "", cor[:, j, i]


def moments_note(draws: Draws, block: Block) -> str:
    """What the intervals are where moments were kept instead of draws."""
    if block.name not in draws.moments:
        return ""
    n = draws.with_effects.n
    exact = all(moments.exact for moments in draws.moments[block.name].values())
    whose = "exact" if exact else "those of all draws"
    source = f"{n} draws" if n >= ENOUGH else "a normal distribution"
    return f"Means and sds are {whose}; medians and intervals have the shape of {source}."


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
    middle = 1 - np.median(reliability, axis=0)
    shrinkage = np.full((block.n_levels, len(terms)), np.nan)
    for k, term in enumerate(terms):
        if term in block.terms:
            shrinkage[:, k] = middle[:, block.terms.index(term)]
    return {"n": np.repeat(block.counts, len(terms)), "shrinkage": shrinkage.ravel()}


def ranef_table(
    draws: Draws, block: Block, reliability: Array, *, point: str = POINT, ci_prob: float
) -> Table:
    """Group effects: the deviation of each level from the common effects."""
    found = level_interval(
        draws,
        block.name,
        "effects",
        lambda: draws.effects[block.name],
        point=point,
        ci_prob=ci_prob,
    )
    table = Table(
        {
            **level_rows(block, block.terms),
            **estimate_columns(found),
            **shrunk_columns(block, block.terms, reliability),
        },
        title=heading(f"Group effects of {block.name}", point, ci_prob),
        note=moments_note(draws, block),
    )
    return with_dashes(table)


def coef_table(
    design: Design,
    draws: Draws,
    block: Block,
    reliability: Array,
    *,
    point: str = POINT,
    ci_prob: float,
) -> Table:
    """Coefficients of each level: common effects plus its group effects."""
    terms = coefficient_terms(design, block)
    found = level_interval(
        draws,
        block.name,
        "coef",
        lambda: group_coefficients(design, draws, block).values,
        point=point,
        ci_prob=ci_prob,
    )
    table = Table(
        {
            **level_rows(block, terms),
            **estimate_columns(found),
            **shrunk_columns(block, terms, reliability),
        },
        title=heading(f"Coefficients of each level of {block.name}", point, ci_prob),
        note=moments_note(draws, block),
    )
    return with_dashes(table)


def varcorr_table(design: Design, draws: Draws, *, point: str = POINT, ci_prob: float) -> Table:
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
    found = summarise(values, point=point, ci_prob=ci_prob)
    table = Table(
        {
            "group": [r[0] for r in rows],
            "term": [r[1] for r in rows],
            "term_bis": [r[2] for r in rows],
            "quantity": [r[3] for r in rows],
            **estimate_columns(found),
        },
        title=heading(f"Sds and correlations{link_words(design)}", point, ci_prob),
    )
    return with_dashes(table)


def scale_words(design: Design, parts: Components) -> str:
    """What a table of variances stands on, for its title."""
    if parts.scale == "linear":
        return ""
    if parts.scale == "latent":
        return f", latent scale ({latent_words(design)})"
    of = "share of successes in " if trials_of(design) is not None else ""
    return f", data scale ({of}{design.response_name})"


def variance_table(
    design: Design,
    parts: Components,
    *,
    point: str = POINT,
    ci_prob: float,
    common: bool = False,
    wide: bool = False,
    heavy: Mapping[str, str] = NOTHING,
) -> Table:
    """A row for each variance component, the residual and the total; or all of them in one row.

    The total is groups and residual; ``common`` adds the common effects. The mean response is in
    the note, and in ``attrs["mean"]``. ``heavy`` are the sds of `heavy_sds`.
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
    finite = not heavy or parts.scale == "linear"
    columns = variance_columns(
        variances, total, point=point, ci_prob=ci_prob, finite=finite or parts.scale == "latent"
    )
    if not refusal:
        relative = relative_variances(design, parts, variances, [r[0] for r in rows])
        columns |= interval_columns(
            "cv2", summarise(relative, point=point, ci_prob=ci_prob, exists=finite)
        )
    frame = pd.DataFrame(
        without_beyond(
            {"component": [r[0] for r in rows], "term": [r[1] for r in rows], **columns},
            parts,
            ci_prob,
        )
    )
    mean = None
    if np.isfinite(parts.mean).all():
        mean = summarise(parts.mean, point=point, ci_prob=ci_prob, exists=finite)
    notes = [
        *sum_words(frame, point),
        *([f"No CV²: {refusal}."] if refusal else []),
        *([cv2_words(parts)] if not refusal and parts.scale != "linear" else []),
        *scale_notes(parts, 100 * variances / total[:, None]),
        *known_error_words(design),
    ]
    if wide:
        notes.insert(0, "sd and percent are of the total.")
    else:
        notes = [*mean_words(design, parts, mean), *ratio_words(frame, point), *notes]
    found = Table(
        in_one_row(frame, design, mean) if wide else frame,
        title=heading(f"Variance components{scale_words(design, parts)}", point, ci_prob),
        note=" ".join(notes),
    )
    found = with_dashes(found, NOTHING if finite else heavy)
    if mean is not None:
        found.attrs["mean"] = {
            name: float(getattr(mean, name)) for name in ("estimate", "lower", "upper")
        }
    return found


def mean_words(design: Design, parts: Components, mean: Interval | None) -> list[str]:
    """The mean response, which CV2 and the noise of a log link are relative to; if it has one."""
    if mean is None:
        return []
    estimate, lower, upper = (
        float(v) if v < 0.9 * BEYOND else np.nan for v in (mean.estimate, mean.lower, mean.upper)
    )
    which = ""
    if parts.scale != "linear":
        which = " over all possible groups"
    if parts.scale == "latent" and lower == upper:  # one that the user gave
        lower, upper, which = np.nan, np.nan, ", as given"
    share = "the share of successes in " if trials_of(design) is not None else ""
    number = format_interval(estimate, lower, upper)
    return [f"Mean of {share}{design.response_name}{which}: {number}."]


def sum_words(found: pd.DataFrame, point: str) -> list[str]:
    """Medians of shares need not add up."""
    whole = float(found["percent"].iloc[:-1].sum())
    if not abs(whole - 100) >= ADDED:
        return []
    return [f"{MANY[point].capitalize()} of shares need not add up to 100: these give {whole:.1f}."]


def ratio_words(found: pd.DataFrame, point: str) -> list[str]:
    """Where a share is not what a reader finds who divides the printed numbers beside it.

    The median of V / total over the draws is not the median of V over that of the total.
    """
    percent, variance = (printed_column(found, name) for name in ("percent", "variance"))
    with np.errstate(divide="ignore", invalid="ignore"):
        gaps = np.nan_to_num(np.abs(percent - 100 * variance / variance[-1]), posinf=0.0)
    at = int(np.argmax(gaps))
    if gaps[at] <= APART:
        return []
    name = " ".join(filter(None, found[["component", "term"]].iloc[at]))
    return [
        f"A share is the {point} of variance / total over the draws; the ratio of the "
        f"{MANY[point]} above differs from it by up to {gaps[at]:.2g} points ({name})."
    ]


def printed_column(found: pd.DataFrame, name: str) -> Array:
    """A column as a reader sees it: rounded as its intervals say."""
    ends = found[[f"{name}{end}" for end in ENDS]].to_numpy(dtype=float)
    return np.array([printed_number(*row) for row in ends])


def in_one_row(found: pd.DataFrame, design: Design, mean: Interval | None) -> pd.DataFrame:
    """The mean, the sd of the total, and a column for each share and CV2."""
    names = wide_names(found)
    columns: dict[str, Any] = {"response": design.response_name}
    columns |= {} if mean is None else interval_columns("mean", mean)
    columns |= {f"sd{end}": found[f"sd{end}"].iloc[-1] for end in ENDS}
    for quantity, shown in (("percent", names[:-1]), ("cv2", names)):
        for k, name in enumerate(shown if quantity in found else []):
            columns |= {f"{quantity}_{name}{e}": found[f"{quantity}{e}"].iloc[k] for e in ENDS}
    return pd.DataFrame([columns])


def wide_names(found: pd.DataFrame) -> list[str]:
    """``among``, ``within``, ``total``; of several ``among_pop``, of a slope ``among_site[x]``."""
    own = {name: name.replace(" ", "_") for name in NOT_GROUPS} | {"residual": "within"}
    one = sum(name not in own for name in found["component"]) == 1
    return [
        own.get(name) or ("among" if one else f"among_{name}{f'[{term}]' if slope else ''}")
        for name, term in zip(found["component"], found["term"], strict=True)
        for slope in [term not in ("", INTERCEPT)]
    ]


def cv2_words(parts: Components) -> str:
    if parts.scale == "latent":
        return "CV² is that of the response: exp(variance) - 1."
    return "CV²: variance over the square of each row's own mean, averaged."


def scale_notes(parts: Components, shares: Array) -> list[str]:
    """What the numbers of the data scale rest on."""
    found = []
    if parts.scale == "data":
        error = float(monte_carlo_error(shares, of=np.median).max())
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
        own = variances if parts.mean_of is None else variances[parts.mean_of]
        return cv2(own, parts.mean[:, None])
    common = parts.common / parts.mean**2
    kinds = [*(g for g, _ in parts.labels), "between factors", "residual"]
    each = dict(zip(kinds, parts.relative.T, strict=True))
    each["common effects"] = common
    each["total"] = parts.relative_total + (common if "common effects" in names else 0.0)
    return np.column_stack([each[name] for name in names])


def variance_columns(
    variances: Array, total: Array, *, point: str, ci_prob: float, finite: bool
) -> dict[str, Any]:
    """sd, variance and percent of the rows, of which the last is the total: all of itself.

    ``finite`` says whether the variances have a posterior mean.
    """

    def of(values: Array, exists: bool = True) -> Interval:
        return summarise(values, point=point, ci_prob=ci_prob, exists=exists)

    shares = interval_columns("percent", of(100 * variances / total[:, None]))
    shares["percent_lower"][-1] = shares["percent_upper"][-1] = np.nan
    return {
        **interval_columns("sd", of(np.sqrt(np.maximum(variances, 0)), finite)),
        **interval_columns("variance", of(variances, finite)),
        **shares,
    }


def icc_table(
    design: Design, parts: Components, icc: ICC, *, point: str = POINT, ci_prob: float
) -> Table:
    """Adjusted and unadjusted ICC of each factor; for nested factors also the cumulative ones."""
    table = Table(
        {
            "component": list(icc.labels),
            "kind": list(icc.kinds),
            **interval_columns("icc", summarise(icc.adjusted, point=point, ci_prob=ci_prob)),
            **interval_columns(
                "unadjusted", summarise(icc.unadjusted, point=point, ci_prob=ci_prob)
            ),
            **heterogeneity_columns(design, parts, point=point, ci_prob=ci_prob),
        },
        title=heading(f"Intraclass correlation{scale_words(design, parts)}", point, ci_prob),
        note=" ".join(
            [
                "icc: share of groups + residual (adjusted); unadjusted: of these + common effects",
                *(f"({n})" for n in scale_notes(parts, 100 * icc.adjusted)),
                *heterogeneity_words(design),
            ]
        ),
    )
    return with_dashes(table)


def heterogeneity_columns(
    design: Design, parts: Components, *, point: str, ci_prob: float
) -> dict[str, Any]:
    """I2 beside the ICC where standard errors are known."""
    if design.se is None:
        return {}
    found = heterogeneity(design, parts).adjusted
    return interval_columns("i2", summarise(found, point=point, ci_prob=ci_prob))


def heterogeneity_words(design: Design) -> list[str]:
    """What stands for the residual variance in either."""
    return [
        *known_error_words(design),
        *(
            [
                f"i2: I² of meta-analysis, with the typical variance "
                f"{typical_error(design):.4g} of Higgins & Thompson (2002) in its place."
            ]
            if design.se is not None
            else []
        ),
    ]


def known_error_words(design: Design) -> list[str]:
    """That the residual variance is a mean of known ones."""
    if design.se is None:
        return []
    mean = float(row_weights(design) @ design.se**2)
    return [f"Residual variance: the arithmetic mean of se², {mean:.4g}."]


def icc_curve_table(design: Design, curves: Curves, *, point: str = POINT, ci_prob: float) -> Table:
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
    found = summarise(np.column_stack(draws), point=point, ci_prob=ci_prob)
    words = {"linear": "", "latent": ", latent scale", "data": ", data scale"}[curves.scale]
    table = Table(
        {**rows, "component": components, "kind": kinds, **interval_columns("icc", found)},
        title=heading(
            f"Intraclass correlation at {', '.join(curves.at.columns)}{words}", point, ci_prob
        ),
        note=" ".join(
            [
                "Of two rows of one level with these values, given the common effects (adjusted).",
                *known_error_words(design),
            ]
        ),
    )
    return with_dashes(table)


def repeatability_table(
    design: Design, parts: Components, icc: ICC, *, n: int, point: str = POINT, ci_prob: float
) -> Table:
    """The adjusted ICC of means of n rows."""
    rows = [k for k, kind in enumerate(icc.kinds) if kind in ("single", "cumulative")]
    found = summarise(icc.adjusted[:, rows], point=point, ci_prob=ci_prob)
    one = "one row" if n == 1 else f"the mean of {n} rows"
    table = Table(
        {
            "component": [icc.labels[k] for k in rows],
            "n": [n] * len(rows),
            **interval_columns("repeatability", found),
        },
        title=heading(f"Repeatability of {one}{scale_words(design, parts)}", point, ci_prob),
        note=" ".join(
            [
                "The correlation of two such measurements of the same level, given the predictors.",
                *known_error_words(design),
            ]
        ),
    )
    return with_dashes(table)


def r2_table(
    design: Design,
    parts: Components,
    found: RSquared,
    change: Mapping[str, Change] | None,
    *,
    point: str = POINT,
    ci_prob: float,
) -> Table:
    """Variance explained: marginal, conditional, Bayesian; of each stratum against a null model."""
    rows: list[tuple[str, Array, str]] = [
        ("marginal", found.marginal, "common effects"),
        ("conditional", found.conditional, "common effects and groups"),
        ("Bayesian", found.bayesian, "fitted values of these rows and groups"),
    ]
    each = [summarise(v, point=point, ci_prob=ci_prob) for _, v, _ in rows]
    changes = dict(change or {})
    missing = [np.nan] * len(changes)
    table = Table(
        {
            "r2": [*(name for name, *_ in rows), *(f"change of {k}" for k in changes)],
            "of": [*(words for *_, words in rows), *(["1 - V / V_null"] * len(changes))],
            "estimate": [
                *(float(e.estimate) for e in each),
                *(c.estimate for c in changes.values()),
            ],
            "lower": [*(float(e.lower) for e in each), *missing],
            "upper": [*(float(e.upper) for e in each), *missing],
        },
        title=heading(f"Variance explained{scale_words(design, parts)}", point, ci_prob),
        note=change_words(changes.values()) if changes else "",
    )
    return with_dashes(table)


def change_words(changes: Iterable[Change]) -> str:
    """What a change between two fits is, and how far it is off by Monte Carlo."""
    return (
        "A change compares the posterior medians of V in two fits. It has no interval, because the "
        "draws of two fits are not paired; its Monte Carlo error is at most "
        f"{max(c.error for c in changes):.1g}. It is negative where predictors bring out a "
        "difference that others had hidden."
    )


def ranks_table(block: Block, found: Ranking, *, point: str = POINT, ci_prob: float) -> Table:
    """A row for each level, the best first."""
    value = summarise(found.values, point=point, ci_prob=ci_prob)
    rank = summarise(found.rank, point=point, ci_prob=ci_prob)
    # many levels share a median: their means tell them apart
    order = np.lexsort((found.rank.mean(axis=0), rank.estimate))
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
    table = Table(
        table,
        title=heading(f"Ranks of {block.name} by {found.term}, 1 is {found.best}", point, ci_prob),
        note=" ".join(found.words(block.name)),
    )
    return with_dashes(table)


def variance_left_table(rows: Sequence[Left], *, point: str = POINT, ci_prob: float) -> Table:
    """For each factor and term: sd, its prior, and how likely it is too small to matter."""
    each = [summarise(r.sd, point=point, ci_prob=ci_prob) for r in rows]
    table = Table(
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
        title=heading("Variance left to explain", point, ci_prob),
        note=" ".join(r.sentence for r in rows),
    )
    return with_dashes(table)


def shrinkage_table(
    design: Design,
    draws: Draws,
    block: Block,
    reliability: Array,
    *,
    point: str = POINT,
    ci_prob: float,
) -> Table:
    """Raw, completely pooled and partially pooled estimates of each level.

    ``raw`` least squares of each level, ``complete`` of all rows together, ``estimate`` the
    posterior; ``shrinkage`` = 1 - reliability: 0 where the data settle an effect, 1 where they say
    nothing of it.
    """
    raw = no_pooling(design, draws, block, ci_prob=ci_prob)
    complete = complete_pooling(design, draws, block, ci_prob=ci_prob)
    partial = level_interval(
        draws,
        block.name,
        "pooled",
        lambda: partial_pooling(design, draws, block),
        point=point,
        ci_prob=ci_prob,
    )
    shrinkage = summarise(1 - reliability, point=point, ci_prob=ci_prob)
    factor = pooling_factor(draws, block)
    told = ", ".join(f"{t} {f:.2f}" for t, f in zip(block.terms, factor, strict=True))
    at_mean = " Intercepts are at the mean of the predictors." if len(design.common) else ""
    table = Table(
        {
            **level_rows(block, block.terms),
            "n": np.repeat(block.counts, len(block.terms)),
            **{f"raw{end}": v.ravel() for end, v in ends(raw)},
            **{f"complete{end}": v.ravel() for end, v in ends(complete)},
            **estimate_columns(partial),
            **{f"shrinkage{end}": v.ravel() for end, v in ends(shrinkage)},
        },
        title=heading(f"Shrinkage of {block.name}{link_words(design)}", point, ci_prob),
        note=f"shrinkage: 1 - reliability, what the data leave of the variance of an effect. "
        f"Pooling factor of {block.name}: {told}.{at_mean}",
    )
    return with_dashes(table)


def link_words(design: Design) -> str:
    """The scale of the linear predictor, where it is not that of the response."""
    return "" if is_linear(design) else f", {latent_words(design)} scale"


def ends(found: Any) -> list[tuple[str, Array]]:
    return [("", found.estimate), ("_lower", found.lower), ("_upper", found.upper)]
