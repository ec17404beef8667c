"""A posterior and rows into predictions that say what they are predictions of.

    population   eta = offset + Intercept + x'beta                    group effects at zero
    group        eta + sum_g z'b_g                                    known levels
    new_group    eta + sum_g z'b_g,  b_new ~ Normal(0, Sigma_g)       one a level and draw
    marginal     E[y] = int g^-1(eta + u) Normal(u; 0, sum_g z'Sigma_g z) du    in each draw

``kind`` is the linear predictor, the mean of the response, a new response, or, of an ordinal one,
the probability of a category. Averages are of draws, never of the ends of intervals.

Source: Skrondal & Rabe-Hesketh 2009, J. R. Stat. Soc. A 172, for the targets.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.columns import evaluate
from hiermodels.data import PACKAGE, converted, to_numpy_dtype, to_pandas
from hiermodels.design import (
    Block,
    Columns,
    Design,
    Predictor,
    coarser,
    find_block,
    no_numbers,
)
from hiermodels.errors import (
    DataError,
    ExtrapolationWarning,
    FormulaError,
    NotAvailableError,
    UnknownNameError,
    counted,
    did_you_mean,
    lookup,
    some_rows,
)
from hiermodels.formula import Formula
from hiermodels.habits import calls_of
from hiermodels.levels import label, like_the_fit, people_key
from hiermodels.numbers import predictive
from hiermodels.numbers.averages import BEYOND, averaged
from hiermodels.numbers.draws import (
    POINT,
    Draws,
    Interval,
    averages,
    standard_covariance,
    summarise,
)
from hiermodels.numbers.expected import mean_exists
from hiermodels.numbers.predictive import Given, check_complete
from hiermodels.numbers.tails import heavy_columns
from hiermodels.response import numbers
from hiermodels.roles import find_roles

__all__ = [
    "KINDS",
    "TARGETS",
    "NewRows",
    "Prediction",
    "average",
    "axis_values",
    "block_constant",
    "chosen_kind",
    "encode_rows",
    "is_number",
    "is_several",
    "kind_words",
    "make_grid",
    "of_categories",
    "predict",
    "prediction_draws",
    "predictor",
    "predictors",
    "row_averages",
]

type Array = np.ndarray

#: What a prediction is of, in words.
TARGETS = {
    "population": "group effects at zero",
    "group": "effects of known levels",
    "new_group": "effects of unseen levels drawn anew",
    "marginal": "averaged over the distribution of the group effects",
}
KINDS = {
    "link": "linear predictor",
    "mean": "mean response",
    "response": "new response",
    "probability": "probability of each category",
}
#: Numbers that a piece of (draws, rows) may have.
PIECE = 4_000_000
#: Values of a column up to which a grid has them all instead of evenly spaced ones.
FEW_VALUES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEffects:
    """The rows of one factor. ``index`` (R,) counts known levels first, then the ``unseen``.

    ``columns`` (R, q) are z on the user's scale.
    """

    block: Block
    columns: Array
    index: Array
    unseen: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorRows:
    """The rows of one linear predictor: ``common`` (R, p) and ``offset`` (R,) on the user's scale,
    ``effects`` of the factors that count."""

    predictor: Predictor
    common: Array
    offset: Array
    effects: tuple[NewEffects, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRows:
    """Rows to predict for. Made by `encode_rows`, read by `prediction_draws`.

    ``frame`` has the user's columns; ``parts`` are those of the mean, then of the parameters that
    have a formula; ``trials`` (R,) where the family has them. ``same`` says that they are the rows
    of the fit.
    """

    frame: pd.DataFrame
    parts: tuple[PredictorRows, ...]
    trials: Array | None
    same: bool

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def effects(self) -> tuple[NewEffects, ...]:
        return tuple(e for part in self.parts for e in part.effects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What to predict. Made by `predict`, read by `prediction_draws`.

    ``draws`` are those with group effects where the target needs them; ``category`` the number of
    the one whose probability is asked for; ``heavy`` the sds of `tails.heavy_sds`.
    """

    design: Design
    draws: Draws
    rows: NewRows
    target: str
    kind: str
    seed: int
    category: int | None = None
    heavy: Mapping[str, str] = field(default_factory=dict)

    @property
    def expected(self) -> bool:
        """Whether it is of something that is counted: its average is an expectation by definition.

        A probability of a category, and a new response that is a whole number or a label.
        """
        family = self.design.family
        counted = family.discrete or family.trials or family.categories
        return self.kind == "probability" or (self.kind == "response" and counted)


def chosen_kind(design: Design, kind: str | None) -> str:
    """The kind asked for; None is the mean, of categories that are words their probabilities.

    Raises
    ------
    NotAvailableError
        For the mean of words.
    """
    if kind is None:
        return "mean" if design.family.has_mean else "probability"
    lookup(kind, KINDS, what="kind")
    if kind in ("mean", "response") and not design.family.has_mean:
        raise NotAvailableError(
            f"{no_numbers(design)}: kind='probability' has the probability of each, 'link' the "
            "linear predictor"
        )
    return kind


def kind_words(design: Design, kind: str) -> str:
    """What a prediction is of, in the words of its response."""
    family = design.family
    if family.categories and kind == "mean":
        return "mean score"
    if family.trials and kind != "link":
        return "mean share of successes" if kind == "mean" else "new number of successes"
    return KINDS[kind]


def predict(
    design: Design,
    draws: Draws,
    newdata: Any = None,
    *,
    target: str,
    kind: str,
    seed: int,
    groups: str | Sequence[str] | None = None,
    redraw: bool = False,
    category: int | None = None,
    heavy: Mapping[str, str] | None = None,
) -> Prediction:
    """Check and encode a request.

    Parameters
    ----------
    newdata
        A table with the columns of the formula; None means the rows of the fit.
    groups
        For ``target="group"``, the factors whose effects count, with those they are nested in;
        None means all.
    redraw
        Draw every level anew, also the known ones; for checks of the fit's own rows.
    heavy
        The sds for which the mean over all groups is infinite, with their priors.

    Raises
    ------
    UnknownNameError
        No such target or kind.
    DataError
        A missing column, category or level, with what is possible.
    """
    lookup(target, TARGETS, what="target")
    lookup(kind, KINDS, what="kind")
    if kind == "probability" and not design.family.categories:
        raise NotAvailableError(
            f"kind='probability' is of the categories of an ordinal response; the "
            f"{design.family.name} family has kind='mean'"
        )
    if target == "new_group" and not any(p.blocks for p in design.predictors):
        raise DataError("the model has no grouping factor: target='population' is all that it has")
    if target == "marginal" and kind == "mean" and not mean_exists(design):
        raise NotAvailableError(
            "the mean over all groups is infinite where log sigma of a lognormal response differs "
            "between groups; kind='response' has an interval, target='population' a mean"
        )
    factors = chosen_factors(design, groups, target)
    rows = encode_rows(design, newdata, target=target, kind=kind, factors=factors, redraw=redraw)
    if kind == "response":
        check_complete(design, same=rows.same)
    known = target in ("group", "new_group") and not redraw
    return Prediction(
        design=design,
        draws=draws.with_effects if known and design.blocks else draws,
        rows=rows,
        target=target,
        kind=kind,
        seed=seed,
        category=category,
        heavy=heavy or {},
    )


def chosen_factors(
    design: Design, groups: str | Sequence[str] | None, target: str
) -> frozenset[str]:
    """The factors that count: none for the population, all, or the named and those around them."""
    if target == "population":
        return frozenset()
    every = {b.name: b for predictor in design.predictors for b in predictor.blocks}
    if groups is None:
        return frozenset(every)
    if target != "group":
        raise UnknownNameError("groups= chooses among known levels: it goes with target='group'")
    names = [groups] if isinstance(groups, str) else groups
    named = [find_block(name, every) for name in names]
    return frozenset(b.name for inner in named for b in (inner, *coarser(design, inner)))


def encode_rows(
    design: Design,
    newdata: Any,
    *,
    target: str,
    kind: str,
    factors: frozenset[str],
    redraw: bool,
) -> NewRows:
    """The columns of the model on new rows, by the transforms of the fit."""
    needed = design.predictors if kind != "link" else design.predictors[:1]
    if newdata is None:
        return own_rows(design, needed, target=target, factors=factors, redraw=redraw)
    frame = labels_of_fit(design, converted(to_pandas(newdata), to_numpy_dtype))
    if frame.empty:
        raise DataError("newdata has no rows")
    parts = tuple(encode_part(design, p, frame, target=target, factors=factors) for p in needed)
    warn_beyond_knots(design, needed, frame)
    effects = [e for part in parts for e in part.effects]
    if target == "new_group" and not any(e.unseen for e in effects):
        raise DataError(
            f"every level of {', '.join(e.block.name for e in effects)} in newdata is known: "
            "target='group' keeps their effects. A new level has a label that was not seen, or "
            "none: leave its column out of newdata."
        )
    return NewRows(
        frame=frame,
        parts=parts,
        trials=new_trials(design, frame, kind=kind),
        same=False,
    )


def labels_of_fit(design: Design, frame: pd.DataFrame) -> pd.DataFrame:
    """New rows with the labels of the fit where theirs only have another type."""
    own = design.rows.frame
    groups = find_roles(p.formula for p in design.predictors).labels
    words = [c for c in predictors(design) if not is_number(own[c])]
    names = dict.fromkeys([*groups, *words])
    changed = {c: like_the_fit(own[c], frame[c], c) for c in names if c in frame}
    return frame.assign(**changed) if changed else frame


#: The share of a spline's range by which a row may lie beyond it: derivatives step so far.
SLACK = 1e-3


def warn_beyond_knots(design: Design, needed: Sequence[Predictor], frame: pd.DataFrame) -> None:
    """Tell of rows beyond the boundary knots of a ``bs()``, as R does."""
    for predictor in needed:
        formula = predictor.formula
        for call in {c.source: c for c in calls_of(formula.text, "bs")}.values():
            x = call.named(0, "x")
            if x is None or any(c not in frame.columns for c in columns_in(design, x)):
                continue
            found = evaluate(formula, f"0 + I({x})", design.rows.frame)
            own, new = found.values[:, 0], found.encoder(frame)[:, 0]
            bounds = call.named(5, "lower_bound"), call.named(6, "upper_bound")
            low, high = (
                as_float(b, otherwise=end)
                for b, end in zip(bounds, (own.min(), own.max()), strict=True)
            )
            beyond = np.maximum(low - new, new - high) > SLACK * (high - low)
            if beyond.any():
                warnings.warn(
                    f"{x} is beyond the boundary knots of {call.source}, {low:.4g} to {high:.4g}, "
                    f"in {int(beyond.sum())} of {counted(len(new), 'row')} of newdata (from "
                    f"{new.min():.4g} to {new.max():.4g}): the polynomials at the ends go on "
                    "there, and soon are far from anything in the data",
                    ExtrapolationWarning,
                    skip_file_prefixes=(PACKAGE,),
                )


def as_float(text: str | None, *, otherwise: float) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise


def encode_part(
    design: Design,
    predictor: Predictor,
    frame: pd.DataFrame,
    *,
    target: str,
    factors: frozenset[str],
) -> PredictorRows:
    """One linear predictor on new rows."""
    formula = predictor.formula
    check_columns(design, frame, columns_in(design, formula.common), formula=formula)
    effects = tuple(
        new_effects_rows(design, predictor, b, frame, target=target)
        for b in predictor.blocks
        if b.name in factors
    )
    common = encode(predictor.common, frame, what=formula.common)
    encoder = predictor.offset_encoder
    return PredictorRows(
        predictor=predictor,
        # an ordinal model has an intercept in its formula, and thresholds in its place
        common=common[:, common.shape[1] - len(predictor.common) :],
        offset=encoder(frame) if encoder else np.zeros(len(frame)),
        effects=effects,
    )


def new_trials(design: Design, frame: pd.DataFrame, *, kind: str) -> Array | None:
    """Trials of new responses; a mean is the share of successes, of one trial."""
    if not design.family.trials:
        return None
    quotient = design.formula.quotient
    if kind != "response" or quotient is None:
        return np.ones(len(frame))
    check_columns(design, frame, columns_in(design, quotient[1]), formula=design.formula)
    return numbers(design.formula, quotient[1], frame)[0]


def own_rows(
    design: Design,
    needed: Sequence[Predictor],
    *,
    target: str,
    factors: frozenset[str],
    redraw: bool,
) -> NewRows:
    """The rows of the fit."""
    if target == "new_group" and not redraw:
        raise DataError(
            "the levels of the fit's own rows are known: target='group' keeps their effects; "
            "new levels need newdata"
        )
    return NewRows(
        frame=design.rows.frame[all_columns(design)],
        parts=tuple(
            PredictorRows(
                predictor=p,
                common=p.common.values,
                offset=p.offset,
                effects=tuple(
                    own_effects(design, b, redraw=redraw) for b in p.blocks if b.name in factors
                ),
            )
            for p in needed
        ),
        trials=design.trials,
        same=True,
    )


def own_effects(design: Design, block: Block, *, redraw: bool) -> NewEffects:
    return NewEffects(
        block=block,
        columns=block.columns.values,
        index=block.index + (block.n_levels if redraw else 0),
        unseen=level_keys(design, block) if redraw else (),
    )


def all_columns(design: Design) -> list[str]:
    """The columns that the formulas name."""
    names = [c for p in design.predictors for c in p.formula.column_names]
    return [c for c in dict.fromkeys(names) if c in design.rows.frame]


def columns_in(design: Design, text: str) -> list[str]:
    """The columns of the data that an expression names."""
    words = set(re.findall(r"`([^`]+)`|([^\W\d][\w.]*)", text))
    found = {quoted or plain for quoted, plain in words}
    return [name for name in all_columns(design) if name in found]


def check_columns(
    design: Design, frame: pd.DataFrame, needed: Sequence[str], *, formula: Formula
) -> None:
    """The columns that are needed are there, without missing values."""
    for name in needed:
        if name not in frame.columns:
            hint = did_you_mean(name, map(str, frame.columns))
            raise DataError(
                f"newdata has no column {name!r}. {formula.text!r} needs here: "
                f"{', '.join(needed)}.{hint}"
            )
        missing = frame[name].isna().to_numpy()
        if missing.any():
            raise DataError(
                f"newdata misses {name!r} in {some_rows(frame.index[missing])}: "
                "leave these rows out, or fill them in"
            )
        check_category(design, frame[name], name)


def check_category(design: Design, column: pd.Series, name: str) -> None:
    """A predictor that is a category has only categories of the fit."""
    own = design.rows.frame[name]
    if name in {c for p in design.predictors for b in p.blocks for c in b.factor}:
        return
    if pd.api.types.is_numeric_dtype(own.dtype) and not pd.api.types.is_bool_dtype(own.dtype):
        if not pd.api.types.is_numeric_dtype(column.dtype):
            raise DataError(f"{name!r} is a number in the fit, and is of another type in newdata")
        return
    known = set(own.unique().tolist())
    unknown = [v for v in column.unique().tolist() if v not in known]
    if unknown:
        valid = ", ".join(map(str, sorted(known, key=people_key)[:20]))
        raise DataError(
            f"{name!r} is {unknown[0]!r} in newdata, which the fit has not seen. "
            f"Known: {valid}.{did_you_mean(str(unknown[0]), map(str, known))}"
        )


def encode(columns: Columns, frame: pd.DataFrame, *, what: str) -> Array:
    """The columns of an expression on new rows; failures told as ours."""
    try:
        with np.errstate(all="ignore"):
            values = np.hstack([np.asarray(e(frame), dtype=float) for e in columns.encoders])
    except (FormulaError, DataError):
        raise
    except Exception as error:
        raise DataError(f"cannot evaluate {what!r} on newdata: {error}") from error
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise DataError(f"{what!r} is not finite in {some_rows(frame.index[bad])} of newdata")
    return values


def labels_of(block: Block, frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The label of each row, a tuple; None for a column that is not there."""
    columns = [
        [label(v) for v in frame[c].tolist()] if c in frame.columns else [None] * len(frame)
        for c in block.factor
    ]
    return list(zip(*columns, strict=True))


def level_keys(design: Design, block: Block) -> tuple[tuple[Any, ...], ...]:
    """The labels of each level of the fit, a tuple."""
    _, first = np.unique(block.index, return_index=True)
    return tuple(labels_of(block, design.rows.frame.iloc[first]))


def new_effects_rows(
    design: Design, predictor: Predictor, block: Block, frame: pd.DataFrame, *, target: str
) -> NewEffects:
    """z and the level of each row, known or unseen."""
    formula = predictor.formula
    terms = " ".join(t.terms for t in formula.groups if set(t.factor) == set(block.factor))
    check_columns(design, frame, columns_in(design, terms), formula=formula)
    columns = encode(block.columns, frame, what=terms)
    if target == "marginal":
        return NewEffects(block=block, columns=columns, index=np.zeros(len(frame), int), unseen=())
    for c in block.factor:
        check_labels(design, block, frame, c, target=target)
    known = {key: j for j, key in enumerate(level_keys(design, block))}
    labels = labels_of(block, frame)
    unseen = tuple(dict.fromkeys(key for key in labels if key not in known))
    if unseen and target == "group":
        at = [i for i, key in enumerate(labels) if key not in known]
        told = ", ".join(":".join(map(str, key)) for key in unseen[:5])
        raise DataError(
            f"{block.name!r} has levels in newdata that the fit has not seen: {told} "
            f"({some_rows(frame.index[at])}). target='new_group' draws their effects, "
            "'population' has none, 'marginal' averages over all."
        )
    known |= {key: block.n_levels + k for k, key in enumerate(unseen)}
    index = np.array([known[key] for key in labels])
    return NewEffects(block=block, columns=columns, index=index, unseen=unseen)


def check_labels(
    design: Design, block: Block, frame: pd.DataFrame, column: str, *, target: str
) -> None:
    if column not in frame.columns:
        if target == "group":
            raise DataError(
                f"newdata has no column {column!r}, which says the level of {block.name!r}. "
                "target='population' needs none; 'new_group' takes rows without it as of one new "
                f"level; groups= leaves a factor out ({', '.join(design.factors)})."
            )
        return
    missing = frame[column].isna().to_numpy()
    if missing.any():
        raise DataError(
            f"newdata misses {column!r} in {some_rows(frame.index[missing])}. For a new level "
            "give any label that was not seen."
        )


def new_effects(
    draws: Draws, block: Block, key: tuple[Any, ...], *, prefix: str, seed: int
) -> Array:
    """b ~ Normal(0, Sigma_g) of one unseen level in each draw, (S, q).

    The same seed and label give the same draws, whatever the other rows.
    """
    name = zlib.crc32(repr((prefix, block.name, key)).encode())
    rng = np.random.default_rng([seed, name])
    z = rng.standard_normal((draws.n, len(block.terms)))
    return np.einsum("sqk,sk->sq", root_covariance(draws, block), z)


def root_covariance(draws: Draws, block: Block) -> Array:
    """R with R R' = Sigma_g on the user's scale, (S, q, q); an sd of zero is allowed."""
    values, vectors = np.linalg.eigh(standard_covariance(draws, block))
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    return np.asarray(block.transform @ root)


def draws_of(draws: Draws, predictor: Predictor) -> Draws:
    """The draws of one linear predictor."""
    return draws.extras[predictor.parameter] if predictor.parameter else draws


def effect_draws(ask: Prediction, part: PredictorRows, effects: NewEffects) -> Array:
    """b of the known levels, then of the unseen ones: (S, J + new, q)."""
    block, draws = effects.block, draws_of(ask.draws, part.predictor)
    prefix = part.predictor.prefix
    new = [new_effects(draws, block, k, prefix=prefix, seed=ask.seed) for k in effects.unseen]
    if effects.index.size and effects.index.min() >= block.n_levels:
        known = np.zeros((draws.n, block.n_levels, len(block.terms)), dtype=np.float32)
    else:
        known = draws.effects[block.name]
    return np.concatenate([known, np.stack(new, axis=1)], axis=1) if new else known


def pieces(n_rows: int, n_draws: int, *, width: int = 1) -> Iterator[slice]:
    """Rows in pieces that fit in memory."""
    step = max(1, PIECE // max(1, n_draws * width))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def linear_predictors(ask: Prediction) -> Iterator[tuple[slice, dict[str, Array]]]:
    """Draws of every linear predictor, (S, rows of the piece), piece by piece."""
    rows, draws = ask.rows, ask.draws
    marginal = ask.target == "marginal"
    values = [
        [] if marginal else [effect_draws(ask, part, e) for e in part.effects]
        for part in rows.parts
    ]
    width = max([len(e.block.terms) for e in rows.effects] + [ask.design.n_thresholds, 1])
    for at in pieces(len(rows), draws.n, width=width):
        etas = {}
        for part, effects in zip(rows.parts, values, strict=True):
            own = draws_of(draws, part.predictor)
            eta = part.offset[at] + own.intercept[:, None] + own.beta @ part.common[at].T
            for e, b in zip(part.effects, effects, strict=False):
                eta = eta + np.einsum("snq,nq->sn", b[:, e.index[at]], e.columns[at], optimize=True)
            etas[part.predictor.parameter] = eta
        yield at, etas


def prediction_draws(ask: Prediction) -> Iterator[tuple[slice, Array]]:
    """Draws of what is asked for, (S, rows of the piece), piece by piece."""
    of = predictive.given(ask.design, ask.draws, trials=ask.rows.trials, same=ask.rows.same)
    rng = np.random.default_rng([ask.seed, 1])
    for at, etas in linear_predictors(ask):
        spreads = {}
        if ask.target == "marginal" and ask.kind != "link":
            spreads = {p.predictor.parameter: total_variance(ask, p, at) for p in ask.rows.parts}
        yield at, of_kind(ask.kind, etas, of.at(at), spreads, rng, category=ask.category)


def total_variance(ask: Prediction, part: PredictorRows, at: slice) -> Array:
    """Var(sum_g z'b_g) of each draw and row, (S, R)."""
    draws = draws_of(ask.draws, part.predictor)
    total = np.zeros((draws.n, at.stop - at.start))
    for e in part.effects:
        z = e.columns[at]
        sigma = draws.covariance(e.block.name)
        total += np.einsum("nq,sqr,nr->sn", z, sigma, z, optimize=True)
    return np.maximum(total, 0)


def of_kind(
    kind: str,
    etas: dict[str, Array],
    of: Given,
    spreads: dict[str, Array],
    rng: np.random.Generator,
    *,
    category: int | None = None,
) -> Array:
    """eta, E[y], y or P(y = category).

    ``spreads`` are variances of group effects that are integrated over.

    The mean of successes is their share: of one trial.
    """
    if kind == "link":
        return etas[""]
    if kind == "response":
        moved = {
            name: eta + np.sqrt(spreads[name]) * rng.standard_normal(eta.shape)
            if name in spreads
            else eta
            for name, eta in etas.items()
        }
        return of.family.on_scale(predictive.draw(rng, moved, of))
    if kind == "probability":
        return marginal_mean(
            etas, spreads, of, lambda e, o: predictive.probability(e, o, category or 0)
        )
    one = of if of.trials is None else replace(of, trials=np.ones_like(of.trials))
    return marginal_mean(etas, spreads, one)


def marginal_mean(
    etas: dict[str, Array],
    spreads: dict[str, Array],
    of: Given,
    moment: Callable[[Mapping[str, Array], Given], Array] = predictive.mean,
) -> Array:
    """E[y], or another moment, over Normal(eta, spread) of each linear predictor."""
    return averaged(
        lambda moved: moment(moved, of),
        etas,
        spreads,
        of.family,
        cuts=of.constants.get("threshold"),
    )


def summaries(ask: Prediction, *, point: str = POINT, ci_prob: float) -> Interval:
    """Estimate, sd and interval of each row; of an expectation its average, whatever ``point``."""
    exists = means_exist(ask)
    found = [
        averages(v, ci_prob=ci_prob, exists=exists[at])
        if ask.expected
        else summarise(v, point=point, ci_prob=ci_prob, exists=exists[at])
        for at, v in prediction_draws(ask)
    ]
    return known(
        Interval(
            estimate=np.concatenate([f.estimate for f in found]),
            sd=np.concatenate([f.sd for f in found]),
            lower=np.concatenate([f.lower for f in found]),
            upper=np.concatenate([f.upper for f in found]),
        )
    )


def known(found: Interval) -> Interval:
    """Not a number where a mean is beyond all of them, or an average of such means."""
    return Interval(
        **{
            each.name: np.where(beyond(value), np.nan, value)
            for each in fields(found)
            for value in [getattr(found, each.name)]
        }
    )


def differences(high: Array, low: Array) -> Array:
    """high - low; not known where both are beyond all numbers."""
    return np.where(beyond(high) & beyond(low), np.nan, high - low)


def ratios(high: Array, low: Array) -> Array:
    """high / low; not known where one is beyond all numbers."""
    return np.where(beyond(high) | beyond(low), np.nan, high / low)


def beyond(values: Array) -> Array:
    """Which are means that stand for numbers beyond `BEYOND`, or averages of such."""
    return np.abs(values) > BEYOND * 1e-4


def row_averages(ask: Prediction) -> Array:
    """The average of the draws of each row, (R,): of differences the difference."""
    return np.concatenate([v.mean(axis=0) for _, v in prediction_draws(ask)])


def means_exist(ask: Prediction) -> Array:
    """Whether what is predicted has a posterior mean, (R,): not exp(V / 2) under a heavy prior."""
    found = np.ones(len(ask.rows), dtype=bool)
    if not ask.heavy or ask.kind in ("link", "probability"):
        return found
    if ask.design.family.residual in ask.heavy:
        return ~found
    for _, size in heavy_sizes(ask):
        found &= ~size.any(axis=1)
    return found


def ratios_exist(high: Prediction, low: Prediction) -> Array:
    """The same of the ratio of two predictions of the same rows, (R,).

    What both have cancels. Where a column with a heavy prior differs the ratio has
    exp((V_high - V_low) / 2), without a bound unless V_high is the smaller whatever the sds.
    """
    found = np.ones(len(high.rows), dtype=bool)
    if high.kind in ("link", "probability"):
        return found
    for (block, top), (_, bottom) in zip(heavy_sizes(high), heavy_sizes(low), strict=True):
        larger = (top > bottom).any(axis=1)
        differs = (top != bottom).any(axis=1)
        found &= ~(differs if block.correlated or high.target == "new_group" else larger)
    return found


def heavy_sizes(ask: Prediction) -> list[tuple[Block, Array]]:
    """|z| of the standardised columns with a heavy prior, (R, q), of effects not yet known."""
    if ask.target not in ("marginal", "new_group"):
        return []
    found = []
    for e in ask.rows.parts[0].effects:
        size = np.abs(e.columns @ e.block.transform) * heavy_columns(ask.heavy, e.block)
        unseen = ask.target == "marginal" or e.index >= e.block.n_levels
        found.append((e.block, size * np.reshape(unseen, (-1, 1))))
    return found


def of_categories(ask: Prediction) -> list[Prediction]:
    """The same for each category."""
    return [replace(ask, category=k) for k in range(ask.design.n_thresholds + 1)]


def all_draws(ask: Prediction) -> Array:
    """Every draw of every row, (S, R)."""
    return np.hstack([v for _, v in prediction_draws(ask)])


# --- averages over rows ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Which average each row belongs to. ``index`` (R,), ``labels`` a row for each average."""

    index: Array
    labels: pd.DataFrame
    weights: Array

    def mean(self, values: Array, at: slice, total: Array) -> None:
        """Add a piece of (S, R) to the averages (S, K)."""
        share = self.weights[at]
        for k in np.unique(self.index[at]):
            own = self.index[at] == k
            total[:, k] += values[:, own] @ share[own]


def cells(rows: NewRows, design: Design, by: str | Sequence[str] | None) -> Cells:
    """Rows with the same values of the columns ``by``; None takes all together."""
    names = [by] if isinstance(by, str) else list(by or ())
    for name in names:
        if name not in rows.frame.columns:
            valid = ", ".join(map(str, rows.frame.columns))
            raise UnknownNameError(f"no column {name!r} to average by. Columns: {valid}.")
    weights = np.ones(len(rows))
    if rows.same and design.weights is not None:
        weights = design.weights.astype(float)
    if not names:
        return Cells(
            index=np.zeros(len(rows), int),
            labels=pd.DataFrame(index=[0]),
            weights=weights / weights.sum(),
        )
    grouped = rows.frame.groupby(names, sort=True, observed=True)
    index = grouped.ngroup().to_numpy()
    labels = rows.frame[names].iloc[np.unique(index, return_index=True)[1]].reset_index(drop=True)
    return Cells(index=index, labels=labels, weights=weights / np.bincount(index, weights)[index])


def average(
    asks: Sequence[Prediction],
    into: Cells,
    combine: Callable[[list[Array]], Array],
    *,
    row_by_row: bool = False,
) -> Array:
    """Averages over rows, (S, K), of several predictions of the same rows, combined.

    ``row_by_row`` combines before the average, else after it.
    """
    n, k = asks[0].draws.n, len(into.labels)
    if row_by_row:
        total = np.zeros((n, k))
        for parts in zip(*(prediction_draws(a) for a in asks), strict=True):
            into.mean(combine([v for _, v in parts]), parts[0][0], total)
        return total
    totals = []
    for ask in asks:
        total = np.zeros((n, k))
        for at, values in prediction_draws(ask):
            into.mean(values, at, total)
        totals.append(total)
    return combine(totals)


def with_column(design: Design, newdata: Any, values: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of the fit or new ones, with columns set to other values."""
    frame = design.rows.frame if newdata is None else converted(to_pandas(newdata), to_numpy_dtype)
    return frame.assign(**values)


def predictor(design: Design, name: str) -> pd.Series:
    """A column of the fit that predicts, or an error that lists them."""
    valid = {c: design.rows.frame[c] for c in predictors(design)}
    if name not in valid:
        raise UnknownNameError(
            f"no predictor {name!r}. Columns of the formula that predict: "
            f"{', '.join(valid) or 'none'}.{did_you_mean(name, valid)}"
        )
    return valid[name]


def predictors(design: Design) -> list[str]:
    """The columns that stand in the common effects or before a bar."""
    text = predictor_text(design)
    found = columns_in(design, text)
    labels = set(
        columns_in(design, " ".join(re.findall(r"(?:within|between)\([^,)]*,([^)]*)\)", text)))
    )
    return [c for c in found if c not in labels]


def predictor_text(design: Design) -> str:
    """All expressions of all linear predictors."""
    return " ".join(
        text
        for p in design.predictors
        for text in (p.formula.common, *(t.terms for t in p.formula.groups))
    )


def is_number(column: pd.Series) -> bool:
    dtype = column.dtype
    return bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype))


# --- grids ----------------------------------------------------------------------------------------


def make_grid(
    design: Design,
    x: str | Sequence[str],
    group: str | None = None,
    *,
    n: int = 50,
    at: Mapping[str, Any] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows over the observed range of ``x``, of each level of ``group`` its own; what stands where.

    The first of several columns is followed evenly, the others stand at their values if few, else
    at mean - sd, mean, mean + sd. ``at`` says other values; a list of several is crossed with the
    rest. Of what is left, a number is at its mean, or at the level's own value where it is constant
    within levels; a category at the most frequent.
    """
    given_at = dict(at or {})
    for name in given_at:
        predictor(design, name)
    names = [x] if isinstance(x, str) else list(x)
    names += [c for c, v in given_at.items() if is_several(v) and c not in names]
    chosen = {
        c: list(given_at[c]) if is_several(given_at[c]) else [given_at[c]]
        for c in names
        if c in given_at
    }
    frame = design.rows.frame
    columns = {name: predictor(design, name) for name in names}
    block = None if group is None else design.block(group)
    parts = [(frame, {})] if block is None else level_parts(frame, block)
    held = {c: given_at.get(c, typical(frame[c])) for c in held_columns(design, names, block)}
    rows = []
    for own, labels in parts:
        axes = [
            chosen[name]
            if name in chosen
            else axis_values(own[name], n=n if k == 0 else 0, whole=columns[name])
            for k, name in enumerate(names)
        ]
        made = pd.MultiIndex.from_product(axes, names=names).to_frame(index=False)
        here = {
            c: own[c].iloc[0]
            if block is not None
            and c not in given_at
            and own[c].nunique() == 1
            and block_constant(design, block, c)
            else v
            for c, v in held.items()
        }
        rows.append(made.assign(**here, **labels))
    return in_their_order(pd.concat(rows, ignore_index=True), frame), held


def in_their_order(made: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Categories of the fit as categories, so that tables and axes keep their order."""
    kept = {}
    for name in made.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, pd.CategoricalDtype) and made[name].isin(dtype.categories).all():
            kept[name] = made[name].astype(dtype)
    return made.assign(**kept)


def block_constant(design: Design, block: Block, name: str) -> bool:
    """Whether a column has one value in every level."""
    frame = design.rows.frame
    return bool(frame[name].groupby(block.index).nunique().max() == 1)


def level_parts(frame: pd.DataFrame, block: Block) -> list[tuple[pd.DataFrame, dict[str, Any]]]:
    """The rows of each level with its labels."""
    order = np.argsort(block.index, kind="stable")
    starts = np.cumsum(block.counts)[:-1]
    parts = []
    for own in np.split(order, starts):
        rows = frame.iloc[own]
        parts.append((rows, {c: rows[c].iloc[0] for c in block.factor}))
    return parts


def held_columns(design: Design, names: Sequence[str], block: Block | None) -> list[str]:
    """The columns that a grid must have beside x and the labels of its group."""
    text = predictor_text(design)
    own = () if block is None else block.factor
    return [c for c in columns_in(design, text) if c not in names and c not in own]


def typical(column: pd.Series) -> Any:
    return float(column.mean()) if is_number(column) else column.mode().iloc[0]


def is_several(value: Any) -> bool:
    """Whether ``at`` gives a list of values instead of one."""
    return isinstance(value, list | tuple | np.ndarray | pd.Series | pd.Index | range)


def axis_values(own: pd.Series, *, n: int, whole: pd.Series) -> list[Any]:
    """The values of one column in a grid, within the range of ``own``."""
    seen = own.unique()
    if isinstance(whole.dtype, pd.CategoricalDtype):
        known = set(seen.tolist())
        return [c for c in whole.cat.categories if c in known]
    if not is_number(whole) or (whole.nunique() <= FEW_VALUES):
        return sorted(seen.tolist(), key=people_key if not is_number(whole) else None)
    if n and own.min() == own.max():  # as a predictor of levels has in each of them
        return [float(own.min())]
    if n:
        return np.linspace(own.min(), own.max(), n).tolist()
    mean, sd = float(own.mean()), float(own.std(ddof=0))
    return np.clip([mean - sd, mean, mean + sd], own.min(), own.max()).tolist()
