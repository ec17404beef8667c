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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.columns import (
    INTERCEPT,
    Columns,
    Dropped,
    Encoder,
    drop_column,
    evaluate,
    standardise,
)
from hiermodels.data import Rows
from hiermodels.errors import DataError, FormulaError, UnknownNameError, lookup, some_rows
from hiermodels.families import Family, Parameter
from hiermodels.formula import Formula, GroupTerm, parse_predictor
from hiermodels.names import dim_of, key_of
from hiermodels.response import read_response, scores_of

__all__ = [
    "INTERCEPT",
    "SE",
    "WEIGHTS",
    "Block",
    "Columns",
    "Design",
    "Predictor",
    "build_design",
    "parameter_formulas",
]

type Array = np.ndarray

WEIGHTS, SE = "_weights_", "_se_"
#: Families that can have known standard errors.
WITH_SE = ("gaussian", "student")


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
    def key(self) -> str:
        """The name within those of posterior variables, ``sd_key``."""
        return key_of(self.name)

    @property
    def dim(self) -> str:
        """The dimension of the levels in the posterior."""
        return dim_of(self.name)

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
class Predictor:
    """A linear predictor: of the mean, or of one of the family's own parameters on its link.

    eta_i = offset_i + Intercept + x_i' beta + sum_g z_i' b_{g, level(i)}

    ``parameter`` is the parameter's name, ``""`` for the mean. ``offset_encoder`` evaluates the
    offset on new rows, None where there is none. Made here, read by every stage.
    """

    parameter: str
    formula: Formula
    offset: Array
    intercept: bool
    common: Columns
    blocks: tuple[Block, ...]
    offset_encoder: Encoder | None = None

    @property
    def prefix(self) -> str:
        """What the names of its coefficients begin with: ``""``, or ``"zi_"``."""
        return f"{self.parameter}_" if self.parameter else ""

    @property
    def terms(self) -> tuple[str, ...]:
        """The common coefficients without the intercept."""
        return self.common.names

    @property
    def n(self) -> int:
        return len(self.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """All that the model takes from the formula and the data. Made here, read by every stage.

    ``weights`` are frequencies, ``se`` known standard errors; both None where not given.
    ``trials`` (rows,) of a response of successes; ``categories`` the labels that the response
    numbers from 0, of an ordinal one or of a success. ``extras`` are the linear predictors of the
    family's own parameters that have a formula, by the parameter's name, in the family's order.
    An ordinal model has no intercept, and its columns are centred all the same: the thresholds
    take the place of it.
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
    trials: Array | None = None
    categories: tuple[Any, ...] | None = None
    extras: Mapping[str, Predictor] = field(default_factory=dict)
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

    @property
    def mean(self) -> Predictor:
        """The linear predictor of the mean."""
        return Predictor(
            parameter="",
            formula=self.formula,
            offset=self.offset,
            intercept=self.intercept,
            common=self.common,
            blocks=self.blocks,
            offset_encoder=self.offset_encoder,
        )

    @property
    def predictors(self) -> tuple[Predictor, ...]:
        """That of the mean, and those of the parameters that have a formula."""
        return (self.mean, *self.extras.values())

    def coefficient_names(self, predictor: Predictor) -> tuple[str, ...]:
        """The coefficients among all parameters: ``x``, or ``beta[sigma]`` of a column sigma."""
        others = {INTERCEPT, "beta", *(p.name for p in self.family.parameters)}
        for each in self.predictors:
            others |= {f"{each.prefix}{k}_{b.name}" for b in each.blocks for k in ("sd", "cor")}
            if each.prefix != predictor.prefix:
                others |= {f"{each.prefix}{t}" for t in (INTERCEPT, "beta", *each.terms)}
        prefix = predictor.prefix
        named = [(f"{prefix}{t}", f"{prefix}beta[{t}]") for t in predictor.terms]
        return tuple(long if short in others else short for short, long in named)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The family's own parameters that the model has: known standard errors replace sigma."""
        known = self.family.residual if self.se is not None else None
        return tuple(p for p in self.family.parameters if p.name != known)

    @property
    def constants(self) -> tuple[Parameter, ...]:
        """Those of them that are the same in all rows, because they have no formula."""
        return tuple(p for p in self.parameters if p.name not in self.extras)

    @property
    def empty_categories(self) -> tuple[Any, ...]:
        """Ordered categories that were declared and have no rows."""
        if not self.family.categories:
            return ()
        here = set(np.unique(self.response).tolist())
        return tuple(c for k, c in enumerate(self.categories or ()) if k not in here)

    @property
    def observed(self) -> Array:
        """The response as the user has it."""
        return self.in_users_words(self.response)

    def in_users_words(self, y: Array) -> Array:
        """Responses as the user has them: of ordered categories his numbers, or his labels."""
        if self.family.has_mean:
            return self.family.on_scale(y)
        return np.asarray(self.categories, dtype=object)[np.asarray(y, dtype=int)]

    @property
    def n_thresholds(self) -> int:
        """K - 1 for an ordinal response of K categories, else 0."""
        return len(self.categories or ()) - 1 if self.family.categories else 0

    def block(self, factor: str | None = None) -> Block:
        """The block of a grouping factor; None means the only one."""
        if factor is None and len(self.blocks) == 1:
            return self.blocks[0]
        if factor is None:
            raise FormulaError(
                "say which grouping factor: " + (", ".join(self.factors) or "the model has none")
            )
        return find_block(factor, {b.name: b for b in self.blocks})


def find_block(factor: str, table: dict[str, Block]) -> Block:
    """The block of this name; the error knows what a part of a nested factor may mean."""
    meant = [
        name
        for name, b in table.items()
        # "site" of (1 | range/site), whose factor is range:site, and R's order of the two
        if len(b.factor) > 1
        and (b.factor[-1] == factor or sorted(b.factor) == sorted(str(factor).split(":")))
    ]
    if factor not in table and len(meant) == 1:
        raise UnknownNameError(
            f"no grouping factor {factor!r}. Valid: {', '.join(table)}. Did you mean {meant[0]!r}?"
        )
    return lookup(factor, table, what="grouping factor")


def parameter_formulas(
    family: Family, *, dispersion: str | None = None, zi: str | None = None
) -> dict[str, Formula]:
    """The formulas of the family's own parameters, by the parameter's name.

    Raises
    ------
    FormulaError
        A formula that cannot be read, or of a parameter that the family does not have.
    """
    found = {}
    for role, text in (("dispersion", dispersion), ("zi", zi)):
        if text is None:
            continue
        parameter = family.with_role(role)
        if parameter is None:
            raise FormulaError(
                f"family {family.name!r} has no parameter that {role}={text!r} could be the "
                f"formula of. {WITHOUT_ROLE[role]}"
            )
        found[parameter.name] = parse_predictor(text)
    return {name: found[name] for name in family.auxiliary if name in found}


WITHOUT_ROLE = {
    "dispersion": "Counts that vary more than a Poisson: family='negbinomial'; successes that "
    "vary more than a binomial: 'betabinomial'.",
    "zi": "Counts with more zeros: a family such as 'zi_poisson' or 'hurdle_negbinomial'; shares "
    "with zeros: 'zi_beta' or 'zoi_beta'.",
}


def build_design(
    formula: Formula,
    rows: Rows,
    family: Family,
    *,
    extras: Mapping[str, Formula] | None = None,
) -> Design:
    """Evaluate the formula on the rows, and those of the family's own parameters (``extras``).

    Raises
    ------
    FormulaError
        An expression that cannot be evaluated, a column that stands twice.
    DataError
        A response, a column or a grouping factor that the model cannot use.
    """
    rows = counted_rows(rows)
    frame = rows.frame
    response = read_response(formula, frame, family)
    mean = build_predictor(formula, frame)
    if family.categories:
        check_has_intercept(mean)
    design = Design(
        formula=formula,
        family=with_scores(family, response.categories),
        response_name=response.name,
        response=response.values,
        trials=response.trials,
        categories=response.categories,
        offset=mean.offset,
        offset_encoder=mean.offset_encoder,
        intercept=mean.intercept and not family.categories,
        common=mean.common,
        blocks=mean.blocks,
        extras={
            name: build_predictor(of, frame, parameter=name) for name, of in (extras or {}).items()
        },
        weights=optional(frame, WEIGHTS, check_weights),
        se=optional(frame, SE, check_se),
        rows=rows,
    )
    check_known_errors(design)
    check_blocks(design)
    return design


def with_scores(family: Family, labels: tuple[Any, ...] | None) -> Family:
    """The family of ordered categories with the numbers that they are."""
    return replace(family, scores=scores_of(labels or ())) if family.categories else family


def counted_rows(rows: Rows) -> Rows:
    """Without rows of weight zero: a row that counts no times is no row."""
    weights = optional(rows.frame, WEIGHTS, check_weights)
    if weights is None or (weights > 0).all():
        return rows
    return replace(rows, frame=rows.frame[weights > 0])


def build_predictor(formula: Formula, frame: pd.DataFrame, *, parameter: str = "") -> Predictor:
    """The columns of a linear predictor, centred where there is an intercept."""
    raw = evaluate(formula, formula.common, frame)
    intercept = INTERCEPT in raw.names
    return Predictor(
        parameter=parameter,
        formula=formula,
        offset=raw.offset,
        intercept=intercept,
        common=standardise(
            drop_column(raw, INTERCEPT), centred=np.full(len(raw.names) - intercept, intercept)
        ),
        blocks=tuple(build_blocks(formula, frame)),
        offset_encoder=raw.offset_encoder,
    )


def check_has_intercept(mean: Predictor) -> None:
    if not mean.intercept:
        raise FormulaError(
            f"{mean.formula.text}: the thresholds of an ordinal model are its intercept, which "
            "cannot be left out. Leave out the 0."
        )


def build_blocks(formula: Formula, frame: pd.DataFrame) -> Iterator[Block]:
    """One block per grouping factor, of all the group terms that have it."""
    by_factor: dict[frozenset[str], list[GroupTerm]] = {}
    for term in formula.groups:
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
        dropped=Dropped(
            **{
                name: tuple(dict.fromkeys(x for p in pieces for x in getattr(p.dropped, name)))
                for name in ("terms", "columns", "cells")
            }
        ),
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


def check_known_errors(design: Design) -> None:
    """Known standard errors are of responses with a residual sd, and take its place."""
    if design.se is None:
        return
    if design.family.name not in WITH_SE:
        raise DataError(
            f"se= is for the families {' and '.join(WITH_SE)}, not {design.family.name!r}, whose "
            "variance follows from its mean"
        )
    if design.family.residual in design.extras:
        raise DataError(
            "se= gives the residual sd of each row, so dispersion= has nothing to describe. "
            "Leave one of them out."
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


def effect_columns(Z: Array, index: Array, n_levels: int) -> Any:
    """The columns (rows, q) of one factor as those of its effects, level by level: (rows, J q).

    Sparse: a row has entries of its own level alone.
    """
    from scipy import sparse

    n, q = Z.shape
    rows = np.repeat(np.arange(n), q)
    columns = (index[:, None].astype(np.int64) * q + np.arange(q)).ravel()
    return sparse.csr_array((Z.ravel(), (rows, columns)), shape=(n, n_levels * q))


def no_numbers(design: Design) -> str:
    """``the categories of y are words (low, mid, high), which have no mean``."""
    labels = ", ".join(map(str, (design.categories or ())[:5]))
    return f"the categories of {design.response_name} are words ({labels}), which have no mean"


def response_scale(design: Design) -> float:
    """The unit of the linear predictor: the sd of the response where there is no link, else 1."""
    if design.family.link != "identity":
        return 1.0
    return float(design.family.location_scale(design.response, design.offset, design.trials)[1])


def new_common(design: Design | Predictor, frame: Mapping[str, Any]) -> Array:
    """The common columns on new rows, on the user's scale; of the mean, or of one predictor."""
    columns = np.hstack([encode(pd.DataFrame(frame)) for encode in design.common.encoders])
    return columns[:, columns.shape[1] - len(design.common) :]
