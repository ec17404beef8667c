"""Formula and rows into matrices: the response, the common columns, one block per grouping factor.

    eta_i = offset_i + Intercept + x_i' beta + sum_g z_i' b_{g, level(i)}

Expressions are evaluated by formulae; the levels of a factor are an index, never a dense
rows x levels matrix. Inside, numeric columns are centred and scaled,

    x_std = (x - center) / scale,      b_raw = T b_std,      Sigma_raw = T Sigma_std T'

with T from `Block.transform`, so that the answer depends neither on the unit of a column nor, where
it is centred, on its origin. Centred are the columns of X if there is an intercept, and the numeric
columns of a block that are correlated with its intercept; scaled are all numeric columns. Dummies
are centred in X alone, and scaled nowhere.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.data import Rows, all_finite, is_plain, some_rows
from hiermodels.errors import DataError, FormulaError, lookup
from hiermodels.families import Family
from hiermodels.formula import NUMPY_FUNCTIONS, Formula, GroupTerm

__all__ = ["Block", "Columns", "Design", "build_design"]

type Array = np.ndarray
#: Evaluates an expression on new rows: (rows, columns).
type Encoder = Callable[[pd.DataFrame], Array]

INTERCEPT = "Intercept"
WEIGHTS, SE = "_weights_", "_se_"
#: Names of dimensions that a factor would collide with.
RESERVED = ("chain", "draw", "row", "term")


class LevelMean:
    """The mean of x in each level, remembered for new data; a new level has the mean it has there.

    m_j = mean of x_i over the rows i of level j.
    """

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.means: pd.Series | None = None

    def level_means(self, x: pd.Series, *factors: pd.Series) -> Array:
        labels = [np.asarray(f) for f in factors]
        keys = pd.Index(labels[0]) if len(labels) == 1 else pd.MultiIndex.from_arrays(labels)
        here = pd.Series(np.asarray(x, dtype=float)).groupby(labels).mean()
        if self.means is None:
            self.means = here
        known = self.means.reindex(keys).to_numpy(copy=True)
        unseen = np.isnan(known)
        known[unseen] = here.reindex(keys).to_numpy()[unseen]
        return known


class Between(LevelMean):
    """``between(x, g)``: the mean of x in the level of g. Contextual or compositional effects.

    Source: Enders & Tofighi 2007, Psychological Methods 12(2).
    """

    def __call__(self, x: pd.Series, *factors: pd.Series) -> Array:
        return self.level_means(x, *factors)


class Within(LevelMean):
    """``within(x, g)``: the deviation of x from its mean in the level of g."""

    def __call__(self, x: pd.Series, *factors: pd.Series) -> Array:
        return np.asarray(x, dtype=float) - self.level_means(x, *factors)


def namespace() -> dict[str, Any]:
    """All that a formula can reach beside the columns and formulae's own transforms."""
    functions = {name: getattr(np, name) for name in NUMPY_FUNCTIONS}
    return {
        **functions,
        "np": SimpleNamespace(**functions),
        "within": Within,
        "between": Between,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A matrix with names. Made here, read by every stage.

    ``values`` is (rows, columns) on the user's scale; ``center`` and ``scale`` (columns,) are what
    is taken out inside; ``encoders`` evaluate the same expressions on new data: frame to columns,
    with the intercept where the expression has one.
    """

    names: tuple[str, ...]
    values: Array
    dummy: tuple[bool, ...]
    center: Array
    scale: Array
    encoders: tuple[Encoder, ...]

    @property
    def standardised(self) -> Array:
        """A new matrix; of many rows it is the largest thing there is."""
        columns: Array = self.values - self.center
        columns /= self.scale
        return columns

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The group effects of one grouping factor. Made here, read by every stage.

    ``index`` (rows,) is the level of each row, ``levels`` their labels. ``parts`` are the sets of
    columns that are correlated with each other: ``((0, 1),)`` for ``(x | g)``, ``((0,), (1,))``
    for ``(x || g)``.
    """

    factor: tuple[str, ...]
    columns: Columns
    index: Array
    levels: tuple[Any, ...]
    parts: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        return ":".join(self.factor)

    @property
    def n_levels(self) -> int:
        return len(self.levels)

    @property
    def terms(self) -> tuple[str, ...]:
        return self.columns.names

    @property
    def correlated(self) -> bool:
        return any(len(part) > 1 for part in self.parts)

    @property
    def counts(self) -> Array:
        """Rows per level."""
        return np.bincount(self.index, minlength=self.n_levels)

    @property
    def transform(self) -> Array:
        """T with b_raw = T b_std: (q, q).

        z_std' b_std = z_raw' T b_std for every row, so T has 1/scale on its diagonal and
        -center/scale in the row of the intercept.
        """
        transform = np.diag(1 / self.columns.scale)
        if INTERCEPT in self.terms:
            at = self.terms.index(INTERCEPT)
            transform[at] -= self.columns.center / self.columns.scale
        return transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """All that the model takes from the formula and the data. Made here, read by every stage.

    ``weights`` are frequencies, ``se`` known standard errors; both None where not given.
    ``offset_encoder`` evaluates the offset on new rows; None where there is none.
    """

    formula: Formula
    family: Family
    response_name: str
    response: Array
    offset: Array
    intercept: bool
    common: Columns
    blocks: tuple[Block, ...]
    weights: Array | None
    se: Array | None
    rows: Rows
    offset_encoder: Encoder | None = None

    @property
    def n(self) -> int:
        return len(self.response)

    @property
    def index(self) -> pd.Index:
        """The labels of the user's rows."""
        return self.rows.frame.index

    @property
    def terms(self) -> tuple[str, ...]:
        """The common coefficients without the intercept."""
        return self.common.names

    @property
    def factors(self) -> tuple[str, ...]:
        return tuple(block.name for block in self.blocks)

    @property
    def correlated_blocks(self) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if len(block.terms) > 1)

    def block(self, factor: str | None = None) -> Block:
        """The block of a grouping factor; None means the only one."""
        if factor is None and len(self.blocks) == 1:
            return self.blocks[0]
        if factor is None:
            raise FormulaError(
                "say which grouping factor: " + (", ".join(self.factors) or "the model has none")
            )
        return lookup(factor, {b.name: b for b in self.blocks}, what="grouping factor")


def build_design(formula: Formula, rows: Rows, family: Family) -> Design:
    """Evaluate the formula on the rows.

    Raises
    ------
    FormulaError
        An expression that cannot be evaluated, a column that stands twice.
    DataError
        A response, a column or a grouping factor that the model cannot use.
    """
    frame = rows.frame
    response, name = evaluate_response(formula, frame)
    family.check_response(response, name)
    raw = evaluate(formula, formula.common, frame)
    intercept = INTERCEPT in raw.names
    common = standardise(
        drop_column(raw, INTERCEPT), centred=np.full(len(raw.names) - intercept, intercept)
    )
    design = Design(
        formula=formula,
        family=family,
        response_name=name,
        response=response,
        offset=raw.offset,
        intercept=intercept,
        common=common,
        blocks=tuple(build_blocks(formula, frame)),
        weights=optional(frame, WEIGHTS, check_weights),
        se=optional(frame, SE, check_se),
        rows=rows,
        offset_encoder=raw.offset_encoder,
    )
    check_blocks(design)
    return design


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Columns before anything is standardised. Made by `evaluate`."""

    names: tuple[str, ...]
    values: Array
    dummy: tuple[bool, ...]
    offset: Array
    encoder: Encoder
    offset_encoder: Encoder | None = None


def run_formulae(formula: Formula, text: str, frame: pd.DataFrame) -> Any:
    """formulae's matrices, its failures told as ours."""
    from formulae import design_matrices
    from formulae.environment import Environment

    environment = Environment([namespace()])
    try:
        # formulae prints before it raises
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            return design_matrices(text, frame, na_action="pass", env=environment)
    except Exception as error:
        start = max(formula.text.find(text), 0)
        raise formula.error(
            f"cannot evaluate {text!r}: {str(error) or type(error).__name__}",
            start=start,
            stop=start + (len(text) if text in formula.text else len(formula.text)),
        ) from error


def evaluate_response(formula: Formula, frame: pd.DataFrame) -> tuple[Array, str]:
    if formula.response in frame.columns and is_plain(frame[formula.response]):
        return frame[formula.response].to_numpy(dtype=float), formula.response
    response = run_formulae(formula, f"{formula.response} ~ 1", frame).response
    values = np.asarray(response.design_matrix)
    if response.kind != "numeric" or values.ndim != 1:
        raise DataError(
            f"the response {response.name!r} is not a number in each row. "
            "Make a numeric column of it first."
        )
    values = values.astype(float)
    check_evaluated(values, response.name, frame)
    return values, str(response.name)


def evaluate(formula: Formula, text: str, frame: pd.DataFrame) -> Evaluated:
    """The columns of an expression; offsets are summed apart from them."""
    plain = plain_columns(text, frame)
    return evaluate_formulae(formula, text, frame) if plain is None else plain


def plain_columns(text: str, frame: pd.DataFrame) -> Evaluated | None:
    """A sum of numeric columns, such as ``1 + x + z``, read without formulae and its copies."""
    names = [part.strip() for part in text.split("+")]
    numeric = {str(c) for c in frame.columns if is_plain(frame[c])}
    if not set(names) <= numeric | {"0", "1"} or {"0", "1"} <= set(names):
        return None
    intercept = "0" not in names
    chosen = list(dict.fromkeys(n for n in names if n not in ("0", "1")))

    def encode(rows: pd.DataFrame) -> Array:
        columns = np.empty((len(rows), intercept + len(chosen)))
        columns[:, :intercept] = 1.0
        for k, name in enumerate(chosen):
            columns[:, intercept + k] = rows[name]
        return columns

    values = encode(frame)
    return Evaluated(
        names=(*([INTERCEPT] if intercept else []), *chosen),
        values=values,
        dummy=(*([True] if intercept else []), *[False] * len(chosen)),
        offset=no_offset(len(frame)),
        encoder=encode,
    )


def no_offset(n: int) -> Array:
    """Zero in every row, without the memory."""
    return np.broadcast_to(0.0, (n,))


def evaluate_formulae(formula: Formula, text: str, frame: pd.DataFrame) -> Evaluated:
    """Any other expression, by formulae."""
    encoder = run_formulae(formula, text, frame).common
    offset = no_offset(len(frame))
    names: list[str] = []
    dummy: list[bool] = []
    values: list[Array] = []
    for term in encoder.terms.values() if encoder is not None else ():
        matrix = np.asarray(term.data, dtype=float).reshape(len(frame), -1)
        check_evaluated(matrix, term.name, frame)
        if term.kind == "offset":
            offset = offset + matrix[:, 0]
            continue
        names += term.labels
        dummy += [is_dummy(term)] * matrix.shape[1]
        values.append(matrix)
    stacked = np.hstack(values) if values else np.empty((len(frame), 0))

    def encode(rows: pd.DataFrame) -> Array:
        if encoder is None:
            return np.empty((len(rows), 0))
        new = encoder.evaluate_new_data(rows)
        kept = [new.slices[k] for k, term in encoder.terms.items() if term.kind != "offset"]
        return np.hstack([np.asarray(new.design_matrix[:, s], dtype=float) for s in kept])

    def encode_offset(rows: pd.DataFrame) -> Array:
        new = encoder.evaluate_new_data(rows)
        kept = [new.slices[k] for k, term in encoder.terms.items() if term.kind == "offset"]
        return np.sum([np.asarray(new.design_matrix[:, s], float)[:, 0] for s in kept], axis=0)

    return Evaluated(
        names=tuple(names),
        values=stacked,
        dummy=tuple(dummy),
        offset=offset,
        encoder=encode,
        offset_encoder=encode_offset if offset.any() else None,
    )


def is_dummy(term: Any) -> bool:
    """Whether a term's columns say which category a row is in; numbers are standardised."""
    return all(part.kind == "categoric" for part in getattr(term, "components", []))


def check_evaluated(values: Array, name: str, frame: pd.DataFrame) -> None:
    if all_finite(values):
        return
    bad = ~np.isfinite(values.reshape(len(frame), -1)).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name!r} is not a finite number in {some_rows(frame.index[bad])}, "
            "such as the logarithm of a zero"
        )


def drop_column(columns: Evaluated, name: str) -> Evaluated:
    kept = [i for i, n in enumerate(columns.names) if n != name]
    return Evaluated(
        names=tuple(columns.names[i] for i in kept),
        values=columns.values if len(kept) == len(columns.names) else columns.values[:, kept],
        dummy=tuple(columns.dummy[i] for i in kept),
        offset=columns.offset,
        encoder=columns.encoder,
    )


def standardise(columns: Evaluated, *, centred: Array) -> Columns:
    """Where to centre and by what to scale.

    ``centred`` (columns,) says which columns may be centred; dummies are never scaled.
    """
    dummy = np.asarray(columns.dummy, dtype=bool)
    mean = columns.values.mean(axis=0) if len(columns.names) else np.empty(0)
    sd = columns.values.std(axis=0) if len(columns.names) else np.empty(0)
    for name, level, spread, free in zip(columns.names, mean, sd, centred, strict=True):
        # the sd of n equal numbers is rounding error of the size of their mean
        if spread <= 1e-12 * abs(level) and free:
            raise DataError(
                f"{name!r} has the same value in every row: it cannot be told from the intercept. "
                "Leave it out."
            )
    constant = sd <= 1e-12 * np.abs(mean)
    scale = np.where(dummy, 1.0, np.where(constant, np.maximum(np.abs(mean), 1e-300), sd))
    return Columns(
        names=columns.names,
        values=columns.values,
        dummy=columns.dummy,
        center=np.where(centred, mean, 0.0),
        scale=scale,
        encoders=(columns.encoder,),
    )


def build_blocks(formula: Formula, frame: pd.DataFrame) -> Iterator[Block]:
    """One block per grouping factor, of all the group terms that have it."""
    by_factor: dict[frozenset[str], list[GroupTerm]] = {}
    for term in formula.groups:
        if term.name in RESERVED:
            raise formula.error(
                f"{term.name!r} is a dimension of every posterior, and cannot be a factor's name",
                start=term.start,
                stop=term.stop,
                repair=f"rename the column, as {term.name}_",
            )
        by_factor.setdefault(frozenset(term.factor), []).append(term)
    for terms in by_factor.values():
        factor = terms[0].factor
        index, levels = find_levels(formula, terms[0], frame)
        pieces = [group_columns(formula, term, frame) for term in terms]
        columns = join_columns(formula, terms, [columns for columns, _ in pieces])
        starts = np.cumsum([0, *(len(c) for c, _ in pieces)])
        parts = tuple(
            tuple(int(start) + k for k in part)
            for start, (_, own) in zip(starts, pieces, strict=False)
            for part in own
        )
        yield Block(factor=factor, columns=columns, index=index, levels=levels, parts=parts)


def group_columns(
    formula: Formula, term: GroupTerm, frame: pd.DataFrame
) -> tuple[Columns, tuple[tuple[int, ...], ...]]:
    """The columns of one bar, and which of them are correlated."""
    raw = evaluate(formula, term.terms, frame)
    if not raw.names:
        raise formula.error(
            "no column is left before the bar",
            start=term.start,
            stop=term.stop,
            repair="(1 | site) lets the intercept differ",
        )
    if raw.offset.any():
        raise formula.error(
            "an offset is the same for all levels: it stands outside the bar",
            start=term.start,
            stop=term.stop,
        )
    k = len(raw.names)
    parts = (tuple(range(k)),) if term.correlated else tuple((i,) for i in range(k))
    with_intercept = term.correlated and INTERCEPT in raw.names
    free = np.array([with_intercept and n != INTERCEPT for n in raw.names]) & ~np.array(
        [d and n != INTERCEPT for n, d in zip(raw.names, raw.dummy, strict=True)]
    )
    return standardise(raw, centred=free), parts


def join_columns(
    formula: Formula, terms: Sequence[GroupTerm], pieces: Sequence[Columns]
) -> Columns:
    if len(pieces) == 1:
        return pieces[0]
    names = tuple(name for piece in pieces for name in piece.names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise formula.error(
            f"{', '.join(twice)} of {terms[0].name!r} stands in two group terms",
            start=terms[0].start,
            stop=terms[-1].stop,
            repair="leave it out of one of them: (0 + x | site) has no intercept",
        )
    return Columns(
        names=names,
        values=np.hstack([piece.values for piece in pieces]),
        dummy=tuple(d for piece in pieces for d in piece.dummy),
        center=np.concatenate([piece.center for piece in pieces]),
        scale=np.concatenate([piece.scale for piece in pieces]),
        encoders=tuple(e for piece in pieces for e in piece.encoders),
    )


def find_levels(
    formula: Formula, term: GroupTerm, frame: pd.DataFrame
) -> tuple[Array, tuple[Any, ...]]:
    """The level of each row and the labels, of the cells that occur, sorted column by column."""
    coded = [level_codes(frame[column], column) for column in term.factor]
    index, levels = coded[0] if len(coded) == 1 else cells(coded)
    if len(levels) == 1:
        raise DataError(
            f"the grouping factor {term.name!r} has one level in these rows, so nothing differs "
            f"between levels. Leave out {term}, or check that the right rows were kept."
        )
    return index.astype(np.int32), tuple(levels)


def cells(coded: list[tuple[Array, list[Any]]]) -> tuple[Array, list[Any]]:
    """The cells of several columns that occur, labelled ``a:b``."""
    shape = [len(labels) for _, labels in coded]
    occurring, index = np.unique(
        np.ravel_multi_index([codes.astype(np.int64) for codes, _ in coded], shape),
        return_inverse=True,
    )
    codes = np.unravel_index(occurring, shape)
    parts = [[labels[i] for i in c] for c, (_, labels) in zip(codes, coded, strict=True)]
    joined = [":".join(map(str, cell)) for cell in zip(*parts, strict=True)]
    if len(set(joined)) < len(joined):  # "a:b" + "c" and "a" + "b:c"
        joined = [repr(cell) for cell in zip(*parts, strict=True)]
    return index, joined


def level_codes(column: pd.Series, name: str) -> tuple[Array, list[Any]]:
    """Codes and sorted labels of one column; whole numbers become integers."""
    if pd.api.types.is_float_dtype(column.dtype):
        fractional = column[column != np.floor(column)]
        if len(fractional):
            raise DataError(
                f"the grouping factor {name!r} has values such as {fractional.iloc[0]:g}: "
                "a measurement, not a label. Use it as a predictor, or cut it into classes first."
            )
        column = column.astype("int64")
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), column.cat.categories.tolist()
    codes, labels = pd.factorize(column)
    try:
        order = np.argsort(labels)
    except TypeError:  # labels of several types
        order = np.argsort([str(label) for label in labels])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], [labels[i] for i in order] if labels.dtype == object else list(
        np.asarray(labels)[order].tolist()
    )


def optional(frame: pd.DataFrame, name: str, check: Any) -> Array | None:
    if name not in frame.columns:
        return None
    values = frame[name].to_numpy(dtype=float)
    check(values, frame.index)
    return values


def check_weights(values: Array, index: pd.Index) -> None:
    if (values < 0).any() or not values.any():
        raise DataError(
            f"weights are counts of equal rows, so not negative and not all zero; "
            f"see {some_rows(index[values < 0])}"
        )


def check_se(values: Array, index: pd.Index) -> None:
    if (values <= 0).any():
        raise DataError(
            f"standard errors are positive; see {some_rows(index[values <= 0])}. "
            "A row that is known exactly has no place in this model."
        )


def check_blocks(design: Design) -> None:
    """An sd that cannot be told from the residual sd."""
    if design.family.residual is None or design.se is not None or design.weights is not None:
        return
    for block in design.blocks:
        if INTERCEPT in block.terms and block.counts.max() == 1:
            raise DataError(
                f"every level of {block.name!r} has one row: the sd of {block.name!r} and the "
                f"residual sd cannot be told apart. Leave the term out, group by a column with "
                "repeats, or give known standard errors with se=."
            )


def nested_in(inner: Block, outer: Block) -> bool:
    """Whether each level of ``inner`` lies in one level of ``outer``."""
    if inner.n_levels < outer.n_levels or inner is outer:
        return False
    pairs = np.unique(inner.index * np.int64(outer.n_levels) + outer.index)
    return len(pairs) == inner.n_levels


def coarser(design: Design, block: Block) -> tuple[Block, ...]:
    """The other blocks that ``block`` is nested in, coarsest first."""
    outer = [b for b in design.blocks if b is not block and nested_in(block, b)]
    return tuple(sorted(outer, key=lambda b: b.n_levels))


def nesting_chains(design: Design) -> tuple[tuple[Block, ...], ...]:
    """Blocks that are nested one in the next, coarsest first; a crossed factor is in none."""
    chains = []
    for block in design.blocks:
        if any(nested_in(other, block) for other in design.blocks if other is not block):
            continue
        chain = (*coarser(design, block), block)
        if len(chain) > 1 and all(nested_in(b, a) for a, b in pairwise(chain)):
            chains.append(chain)
    return tuple(chains)


def new_common(design: Design, frame: Mapping[str, Any]) -> Array:
    """The common columns on new rows, on the user's scale."""
    columns = [encode(pd.DataFrame(frame)) for encode in design.common.encoders]
    return np.hstack(columns)[:, int(design.intercept) :]
