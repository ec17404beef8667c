"""What needs several fits: the same formula with complete, no and partial pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hiermodels.data import Rows
from hiermodels.design import INTERCEPT, Block, Columns, Design, coarser, nested_in
from hiermodels.errors import DataError, FormulaError, lookup
from hiermodels.fitting import Model
from hiermodels.numbers.comparison import check_comparable, compare_table
from hiermodels.numbers.draws import POINT, Draws, point_words
from hiermodels.numbers.effects import common_effects, group_coefficients
from hiermodels.printing import Table
from hiermodels.priors import Prior, Priors, build_priors
from hiermodels.results import CI_PROB, Fit
from hiermodels.seeds import as_seed
from hiermodels.workflows.fixed_effects import FixedEffects, fixed_effects, not_in_statsmodels
from hiermodels.workflows.pooling_report import (
    Pooling,
    answer,
    outside_scores,
    pooling_table,
    scores_table,
)

__all__ = ["compare", "pooling"]

type Array = np.ndarray

#: Columns of a fixed-effect fit beyond which it is not worth making.
MAX_COLUMNS = 1000


def compare(fits: Mapping[str, Fit], *, by: str = "loo", group: str | None = None) -> Table:
    """Several fits of the same rows by how well they predict: ``hm.compare({"a": a, "b": b})``.

    ``by`` is ``"loo"``, one row left out, or ``"logo"``, one level of ``group``. Best first, with
    the difference from the best, its paired standard error, and stacking weights.

    Raises
    ------
    DataError
        Fits of other rows, or of another response.
    """
    if len(fits) < 2:
        raise DataError("a comparison takes at least two fits: {'without x': a, 'with x': b}")
    method = lookup(by, {"loo": Fit.loo, "logo": lambda f: f.logo(group)}, what="method")
    check_comparable({name: fit.design for name, fit in fits.items()})
    return compare_table({str(name): method(fit) for name, fit in fits.items()})


def pooling(
    formula: str,
    data: Any,
    group: str | None = None,
    *,
    family: str = "gaussian",
    link: str | None = None,
    dispersion: str | None = None,
    zi: str | None = None,
    priors: Mapping[str, Any] | None = None,
    weights: Any = None,
    se: Any = None,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    engine: str = "auto",
    target_accept: float | None = None,
    missing: str = "drop",
    progressbar: bool = True,
    point: str = POINT,
    ci_prob: float = CI_PROB,
) -> Pooling:
    """Coefficients of each level by complete, no and partial pooling, in one aligned table.

    Three fits of one formula. *Complete*: without the groups, ``y ~ x``. *No*: the columns of the
    group become common effects, ``y ~ x + site`` for ``(1 | site)``, ``y ~ x*site`` for
    ``(x | site)``, the finest cells for nested factors, one residual sd; predictors that are
    constant within the levels cannot be estimated beside them and are dropped by name. Each level's
    coefficients have the priors of the common ones, so that a level whose rows do not determine
    one has a wide interval. *Partial*: the hierarchical model.

    Returns a `Pooling`, a frame with ``group, level, term, n`` and the estimates ``complete``,
    ``no`` and ``partial``, each with its posterior sd and interval (``no_sd``, ``no_lower``, ...),
    and what `statsmodels` makes of the two fixed-effect designs (``no_ml`` and its
    standard error ``no_ml_se``), missing where that cannot be estimated. With it come
    ``scores``, one row and one level left out; ``answer``, why not to use the group as a fixed
    effect, with the numbers of these data; ``fits``; and ``plot()``. ``group=None`` is the only
    factor, or the finest of nested ones. The intercepts of an ordinal model are deviations from
    the mean of the levels.

    Source: Gelman & Hill 2007, Data Analysis Using Regression, chapter 12.
    """
    point_words(point)
    model = Model(
        formula,
        data,
        family=family,
        link=link,
        dispersion=dispersion,
        zi=zi,
        priors=priors,
        weights=weights,
        se=se,
        missing=missing,
    )
    block = pooled_factor(model.design, group)
    unpooled = unpool(model.design, block)
    seed = as_seed(random_seed)

    def fitted(one: Model) -> Fit:
        return one.fit(
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=seed,
            engine=engine,
            target_accept=target_accept,
            progressbar=progressbar,
        )

    complete = complete_design(model.design)
    partial = fitted(model)
    fits = {
        "complete": fitted(Model.of(complete, complete_priors(model))),
        "no": fitted(Model.of(unpooled.design, unpooled_priors(unpooled, model))),
        "partial": partial,
    }
    return report(unpooled, fits, seed=seed, point=point, ci_prob=ci_prob)


def report(
    unpooled: Unpooled, fits: dict[str, Fit], *, seed: int, point: str = POINT, ci_prob: float
) -> Pooling:
    """The three fits into the table, with its scores and sentences."""
    design, block = unpooled.full, unpooled.block
    found = {
        "complete": common_coefficients(fits["complete"].design, fits["complete"].draws, block),
        "no": unpooled_coefficients(unpooled, fits["no"].draws, block),
        "partial": partial_coefficients(design, fits["partial"].draws, block),
    }
    missing = not_in_statsmodels(design)
    fixed = {} if missing else {"complete": complete_fixed(design), "no": unpooled_fixed(unpooled)}
    notes = [
        f"{missing}." if missing else "ml: maximum likelihood by statsmodels (standard error)."
    ]
    if unpooled.dropped:
        notes.append(
            f"No pooling drops {', '.join(unpooled.dropped)}: constant within {block.name}."
        )
    table = pooling_table(block, found, fixed, notes=tuple(notes), point=point, ci_prob=ci_prob)
    outside = {kind: outside_scores(kind, fit, block, seed=seed) for kind, fit in fits.items()}
    table.fits, table.point, table.ci_prob = fits, point, ci_prob
    table.scores = scores_table(outside, block)
    table.answer = answer(table, outside, block, dropped=unpooled.dropped)
    return table


def pooled_factor(design: Design, group: str | None) -> Block:
    """The factor to compare: the named one, the only one, or the finest of a nesting."""
    if group is None and len(design.blocks) > 1:
        for block in design.blocks:
            if len(coarser(design, block)) == len(design.blocks) - 1:
                return block
        raise FormulaError(
            "say for which grouping factor: group=" + " or ".join(map(repr, design.factors))
        )
    return design.block(group)


def complete_design(design: Design) -> Design:
    """The design without its groups."""
    return replace_common(design, design.common, intercept=design.intercept)


def replace_common(design: Design, common: Columns, *, intercept: bool) -> Design:
    return replace(
        design,
        intercept=intercept,
        common=common,
        blocks=(),
        rows=Rows(frame=design.rows.frame, missing=design.rows.missing, n_dropped=0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpooled:
    """A design whose groups are common effects. Made by `unpool`, read by this module alone.

    The columns of the levels come first; ``kept`` are the positions, in the hierarchical design, of
    the common columns that follow; ``dropped`` names those that cannot be estimated beside them.
    """

    design: Design
    full: Design
    block: Block
    kept: tuple[int, ...]
    dropped: tuple[str, ...]


def unpool(design: Design, block: Block) -> Unpooled:
    """The columns of each level as common effects, without the predictors that they span.

    Level columns are standardised as the block's are, so that their coefficients have the scale of
    the common ones. Factors crossed with this one become common effects too, as deviations that
    sum to zero; factors it is nested in are spanned by its levels.
    """
    if block.n_levels * len(block.terms) > MAX_COLUMNS:
        raise DataError(
            f"no pooling of {block.name!r} needs {block.n_levels * len(block.terms)} common "
            f"effects, more than {MAX_COLUMNS}: too many levels to estimate each by itself"
        )
    own = level_columns(block)
    others = [i for i, term in enumerate(design.terms) if term not in block.terms]
    standard = design.common.standardised
    kept = tuple(i for i in others if not within_span(own, standard[:, i]))
    crossed = other_factors(design, block)
    names = (
        *(f"{block.name}[{level}]:{t}" for level in block.levels for t in block.terms),
        *(design.terms[i] for i in kept),
        *(name for b, within in crossed for name in contrast_names(b, within)),
    )
    columns = Columns(
        names=names,
        values=np.hstack([own, standard[:, kept], *(sum_to_zero(*c) for c in crossed)]),
        dummy=(False,) * len(names),
        center=np.zeros(len(names)),
        scale=np.ones(len(names)),
        encoders=(),
    )
    return Unpooled(
        design=replace_common(
            design, columns, intercept=design.intercept and INTERCEPT not in block.terms
        ),
        full=design,
        block=block,
        kept=kept,
        dropped=tuple(design.terms[i] for i in others if i not in kept),
    )


def level_columns(block: Block, values: Array | None = None) -> Array:
    """The block's columns, standardised or as given, once a level: (rows, levels x terms)."""
    z, q = block.columns.standardised if values is None else values, len(block.terms)
    out = np.zeros((len(z), block.n_levels, q))
    out[np.arange(len(z)), block.index] = z
    return out.reshape(len(z), block.n_levels * q)


def other_factors(design: Design, block: Block) -> list[tuple[Block, Array]]:
    """Those that the levels do not span, and within what each sums to zero, (its levels,).

    A factor within this one sums to zero in each of its levels; one across it, over all.
    """
    found = []
    for b in design.blocks:
        if b is not block and not nested_in(block, b):
            within = np.zeros(b.n_levels, dtype=int)
            if nested_in(b, block):
                within[b.index] = block.index
            found.append((b, within))
    return found


def last_levels(within: Array) -> Array:
    """For each level, the last one of the set that it sums to zero with, (levels,)."""
    last = np.zeros(within.max(initial=0) + 1, dtype=int)
    last[within] = np.arange(len(within))
    return np.asarray(last[within])


def sum_to_zero(block: Block, within: Array, values: Array | None = None) -> Array:
    """As `level_columns`, the last level of each set minus the sum of the others of it."""
    q, last = len(block.terms), last_levels(within)
    columns = level_columns(block, values).reshape(len(block.index), block.n_levels, q)
    free = np.flatnonzero(last != np.arange(len(last)))
    return (columns[:, free] - columns[:, last[free]]).reshape(len(columns), -1)


def contrast_names(block: Block, within: Array) -> list[str]:
    """The names of the columns of `sum_to_zero`."""
    last = last_levels(within)
    free = [level for k, level in enumerate(block.levels) if last[k] != k]
    return [f"{block.name}[{level}]:{t}" for level in free for t in block.terms]


def within_span(columns: Array, column: Array) -> bool:
    """Whether a column is a combination of others."""
    fitted, *_ = np.linalg.lstsq(columns, column, rcond=None)
    return bool(np.abs(column - columns @ fitted).max() <= 1e-8 * (1 + np.abs(column).max()))


def complete_priors(model: Model) -> Priors:
    """The priors of the full model, of the parameters that complete pooling has."""
    full = model.priors
    return replace(full, sd=(), cor=())


def unpooled_priors(unpooled: Unpooled, model: Model) -> Priors:
    """Each level's coefficient has the standardised prior of the common one, or the default."""
    full, block = model.priors, unpooled.block
    inside = dict(zip(model.design.terms, (p.inside for p in full.beta), strict=True))
    if full.intercept is not None:
        inside[INTERCEPT] = full.intercept.inside
    each = [inside.get(term) for term in block.terms] * block.n_levels
    each += [full.beta[i].inside for i in unpooled.kept]
    given: dict[str, Prior] = {
        name: prior
        for name, prior in zip(unpooled.design.terms, each, strict=False)
        if prior is not None
    }
    own = (*full.auxiliary, *(p for extra in full.extras.values() for p in extra))
    given |= {p.parameter: p.given for p in own}
    if unpooled.design.intercept and full.intercept is not None:
        given[INTERCEPT] = full.intercept.given
    return build_priors(unpooled.design, given)


def common_coefficients(design: Design, draws: Draws, block: Block) -> dict[str, Array]:
    """Without groups: a term of the block is the same in all its levels, (S, J); others (S,).

    A term that only the block has, as an intercept beside thresholds, is zero.
    """
    effects = common_effects(design, draws)
    none = dict.fromkeys(block.terms, np.zeros((draws.n, block.n_levels)))
    return none | {
        term: np.repeat(values[:, None], block.n_levels, axis=1) if term in block.terms else values
        for term, values in zip(effects.terms, effects.values.T, strict=True)
    }


def partial_coefficients(design: Design, draws: Draws, block: Block) -> dict[str, Array]:
    """Of the hierarchical model: terms of the block (S, J), other common effects (S,)."""
    own = group_coefficients(design, draws, block)
    found = {
        term: own.values[:, :, k] if term in block.terms else own.values[:, 0, k]
        for k, term in enumerate(own.terms)
    }
    return beside_thresholds(design, found)


def beside_thresholds(design: Design, found: dict[str, Array]) -> dict[str, Array]:
    """Levels and thresholds can move together: the intercepts as deviations from their mean."""
    if INTERCEPT in found and design.n_thresholds:
        own = found[INTERCEPT]
        return found | {INTERCEPT: own - own.mean(axis=1, keepdims=True)}
    return found


def unpooled_coefficients(unpooled: Unpooled, draws: Draws, block: Block) -> dict[str, Array]:
    """Of the fixed-effect fit: each level its own (S, J), what stayed common (S,).

    The columns that stayed were centred for the fit; their part is taken out of the intercept,
    which is reported where every predictor is zero.
    """
    full, width = unpooled.full, block.n_levels * len(block.terms)
    own = draws.beta[:, :width].reshape(draws.n, block.n_levels, len(block.terms))
    values = own @ block.transform.T
    kept = list(unpooled.kept)
    stayed = draws.beta[:, width : width + len(kept)] / full.common.scale[kept]
    shift = stayed @ full.common.center[kept]
    found = {full.terms[i]: stayed[:, k] for k, i in enumerate(kept)}
    if unpooled.design.intercept:
        found[INTERCEPT] = draws.intercept - shift
    for k, term in enumerate(block.terms):
        found[term] = values[:, :, k] - (shift[:, None] if term == INTERCEPT else 0.0)
    return beside_thresholds(full, found)


# --- the same designs for statsmodels -------------------------------------------------------------


def complete_fixed(design: Design) -> dict[str, FixedEffects]:
    """The design without its groups, by term, on the scale of the data."""
    names, columns = list(design.terms), design.common.values
    if design.intercept:
        names, columns = [INTERCEPT, *names], np.column_stack([np.ones(design.n), columns])
    return by_term(names, fixed_effects(design, columns))


def unpooled_fixed(unpooled: Unpooled) -> dict[str, FixedEffects]:
    """The design whose groups are common effects: (J,) for a term of the levels, () for others."""
    design, block = unpooled.full, unpooled.block
    names = [design.terms[i] for i in unpooled.kept]
    columns = [
        level_columns(block, block.columns.values),
        design.common.values[:, list(unpooled.kept)],
        *(sum_to_zero(b, within, b.columns.values) for b, within in other_factors(design, block)),
    ]
    if unpooled.design.intercept:
        names, columns = [INTERCEPT, *names], [columns[0], np.ones((design.n, 1)), *columns[1:]]
    found = fixed_effects(design, np.hstack(columns))
    width, q = block.n_levels * len(block.terms), len(block.terms)
    rest = FixedEffects(estimate=found.estimate[width:], se=found.se[width:])
    return by_term(names, rest) | {
        term: FixedEffects(estimate=found.estimate[k:width:q], se=found.se[k:width:q])
        for k, term in enumerate(block.terms)
    }


def by_term(names: list[str], found: FixedEffects) -> dict[str, FixedEffects]:
    """Coefficients by name, those without one left out."""
    return {
        name: FixedEffects(estimate=found.estimate[k], se=found.se[k])
        for k, name in enumerate(names)
    }
