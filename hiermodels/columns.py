"""Expressions of a formula into matrices with names, standardised inside.

    x_std = (x - center) / scale

Expressions are evaluated by formulae, sums of plain columns without it. Nothing here knows of
group levels or of the response.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.data import all_finite, check_kinds, is_plain
from hiermodels.errors import DataError, some_rows
from hiermodels.families import squeeze
from hiermodels.formula import NUMPY_FUNCTIONS, Formula
from hiermodels.levels import label
from hiermodels.rank import relations
from hiermodels.tokens import split_tokens

__all__ = [
    "INTERCEPT",
    "Columns",
    "Dropped",
    "Evaluated",
    "evaluate",
    "namespace",
    "run_formulae",
    "standardise",
]

type Array = np.ndarray
#: Evaluates an expression on new rows: (rows, columns).
type Encoder = Callable[[pd.DataFrame], Array]

INTERCEPT = "Intercept"
#: A difference between combinations of columns that is rounding.
NEAR = 1e-6
#: Empty cells that a message names.
CELLS = 3
#: What stands for a column of that name while formulae has its own.
COLUMN = "_Intercept_"


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
        "squeeze": squeeze,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What the formula has and the matrix has not. Made by `evaluate`, read by `identification`.

    ``terms`` of one level have no column at all; ``columns`` of a product of categories are those
    that nothing but an empty cell of ``cells`` would tell from the others.
    """

    terms: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A matrix with names. Made here, read by every stage.

    ``values`` is (rows, columns) on the user's scale; ``center`` and ``scale`` (columns,) are what
    is taken out inside; ``encoders`` evaluate the same expressions on new data: frame to columns,
    with the intercept where the expression has one. ``references`` is the category without a column
    of each variable that is compared with it.
    """

    names: tuple[str, ...]
    values: Array
    dummy: tuple[bool, ...]
    center: Array
    scale: Array
    encoders: tuple[Encoder, ...]
    dropped: Dropped = Dropped()
    references: Mapping[str, str] = field(default_factory=dict)

    @property
    def standardised(self) -> Array:
        """A new matrix; of many rows it is the largest thing there is."""
        columns: Array = self.values - self.center
        columns /= self.scale
        return columns

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Columns before anything is standardised. Made by `evaluate`.

    ``offset_encoder`` evaluates the offset on new rows; None where there is none.
    """

    names: tuple[str, ...]
    values: Array
    dummy: tuple[bool, ...]
    offset: Array
    encoder: Encoder
    offset_encoder: Encoder | None = None
    dropped: Dropped = Dropped()
    references: Mapping[str, str] = field(default_factory=dict)


def run_formulae(formula: Formula, text: str, frame: pd.DataFrame) -> Any:
    """formulae's matrices, its failures told as ours."""
    from formulae import model_description
    from formulae.environment import Environment
    from formulae.matrices import DesignMatrices

    from hiermodels.expressions import in_float64  # imports formulae, which is slow

    check_kinds(formula, text, frame)
    environment = Environment([namespace()])
    try:
        # formulae prints before it raises
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            description = in_float64(model_description(text))
            found = DesignMatrices(description, frame, environment)
    except Exception as error:
        start = max(formula.text.find(text), 0)
        problem = one_label(formula, frame) or str(error) or type(error).__name__
        raise formula.error(
            f"cannot evaluate {text!r}: {problem}",
            start=start,
            stop=start + (len(text) if text in formula.text else len(formula.text)),
        ) from error
    # formulae keeps one of several terms of a name
    check_distinct(formula, [str(term.name) for term in description.common_terms])
    return found


def check_distinct(formula: Formula, names: Sequence[str]) -> None:
    """Refuse a column that is called as what the formula makes of others, ``x:z``."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise formula.error(
            f"two terms are called {twice!r}: a column, and what is made of others",
            start=0,
            stop=len(formula.text),
            repair="rename the column",
        )


def one_label(formula: Formula, frame: pd.DataFrame) -> str:
    """What is the matter where a product has a column of one label, or nothing."""
    for name in formula.column_names:
        if name in frame and not is_plain(frame[name]) and frame[name].nunique() == 1:
            return (
                f"{name!r} is {frame[name].iloc[0]!r} in every row, so that it has no product "
                "with other columns. Leave it out, or check that the right rows were kept."
            )
    return ""


def evaluate(formula: Formula, text: str, frame: pd.DataFrame) -> Evaluated:
    """The columns of an expression; offsets are summed apart from them."""
    if INTERCEPT in frame.columns and INTERCEPT in names_in(text):
        return beside_intercept(formula, text, frame)
    plain = plain_columns(text, frame)
    return evaluate_formulae(formula, text, frame) if plain is None else plain


def names_in(text: str) -> list[str]:
    return [t.text.strip("`") for t in split_tokens(text) if t.kind in ("name", "quoted")]


def beside_intercept(formula: Formula, text: str, frame: pd.DataFrame) -> Evaluated:
    """With a column that is called Intercept: its label has the backquotes of the formula."""
    own = [t for t in split_tokens(text) if t.text.strip("`") == INTERCEPT]
    for token in reversed(own):
        text = f"{text[: token.start]}`{COLUMN}`{text[token.stop :]}"

    def renamed(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.rename(columns={INTERCEPT: COLUMN})

    found = evaluate(formula, text, renamed(frame))
    offset = found.offset_encoder
    return replace(
        found,
        names=tuple(name.replace(COLUMN, f"`{INTERCEPT}`") for name in found.names),
        encoder=lambda rows: found.encoder(renamed(rows)),
        offset_encoder=None if offset is None else lambda rows: offset(renamed(rows)),
    )


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
    crossed: list[bool] = []
    references: dict[str, str] = {}
    values: list[Array] = []
    for term in encoder.terms.values() if encoder is not None else ():
        matrix = np.asarray(term.data, dtype=float).reshape(len(frame), -1)
        check_evaluated(matrix, term.name, frame)
        if term.kind == "offset":
            offset = offset + matrix[:, 0]
            continue
        names += term.labels
        references |= dict(reference_categories(term))
        dummy += [is_dummy(term)] * matrix.shape[1]
        crossed += [len(categories(term)) > 1] * matrix.shape[1]
        values.append(matrix)
    check_distinct(formula, names)
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

    terms = encoder.terms.values() if encoder is not None else ()
    found = Evaluated(
        names=tuple(names),
        values=stacked,
        dummy=tuple(dummy),
        offset=offset,
        encoder=encode,
        offset_encoder=encode_offset if offset.any() else None,
        dropped=Dropped(terms=tuple(t.name for t in terms if has_one_level(t))),
        references=references,
    )
    if not any(crossed):
        return found
    empty = tuple(dict.fromkeys(c for t in terms for c in empty_cells(categories(t))))
    return without_empty(found, np.array(crossed), empty) if empty else found


def categories(term: Any) -> list[Any]:
    """The parts of a product that are categories."""
    return [part for part in getattr(term, "components", []) if part.kind == "categoric"]


def has_one_level(term: Any) -> bool:
    """A category that is the same in all rows is no column beside the intercept."""
    return term.kind != "offset" and np.shape(term.data)[1:] == (0,)


def empty_cells(parts: list[Any]) -> list[str]:
    """The combinations of the levels of several categories that no row has, ``a[x]:b[y]``."""
    if len(parts) < 2:
        return []
    shape = [len(part.levels) for part in parts]
    code = np.ravel_multi_index([level_numbers(part) for part in parts], shape)
    seen = np.bincount(code, minlength=int(np.prod(shape))) > 0
    empty = np.unravel_index(np.flatnonzero(~seen), shape)
    return [
        ":".join(f"{p.name}[{p.levels[k]}]" for p, k in zip(parts, cell, strict=True))
        for cell in zip(*empty, strict=True)
    ]


def level_numbers(part: Any) -> Array:
    """Which level each row has, by the row of the contrasts that it is coded as."""
    contrasts = np.asarray(part.contrast_matrix.matrix, dtype=float)
    one = np.cos(np.arange(1, contrasts.shape[1] + 1))  # a number that differs for each row
    keys, rows = contrasts @ one, np.asarray(part.value, dtype=float) @ one
    order = np.argsort(keys)
    middles = (keys[order][1:] + keys[order][:-1]) / 2
    return np.asarray(order[np.searchsorted(middles, rows)])


def without_empty(found: Evaluated, crossed: Array, empty: tuple[str, ...]) -> Evaluated:
    """Without the columns of products that an empty cell makes a combination of earlier ones.

    As R, whose coefficient is NA. A new row must be as those of the data: where the columns left
    out are not the same combination of the others, as in the empty cell itself, nothing is known.
    """
    intercept = found.names[:1] == (INTERCEPT,)
    own = slice(int(intercept), None)
    dependent = relations(found.values[:, own], intercept=intercept)
    gone = {k + int(intercept): a for k, a in dependent.items() if crossed[own][k]}
    if not gone:
        return found
    kept = [k for k in range(len(found.names)) if k not in gone]
    left_out = tuple(found.names[k] for k in gone)

    def encode(rows: pd.DataFrame) -> Array:
        columns = found.encoder(rows)
        for k, a in gone.items():
            off = np.abs(columns[:, k] - a[0] - columns[:, own] @ a[1:])
            bad = off > NEAR * (1 + np.abs(columns[:, own]) @ np.abs(a[1:]))
            if bad.any():
                raise DataError(
                    f"{some_rows(rows.index[bad])} {'is' if bad.sum() == 1 else 'are'} in a cell "
                    f"that no row of the data has ({', '.join(empty[:CELLS])}): the model says "
                    "nothing of it. Leave such rows out, or fit a + b instead of a*b."
                )
        return columns[:, kept]

    return Evaluated(
        names=tuple(found.names[k] for k in kept),
        values=found.values[:, kept],
        dummy=tuple(found.dummy[k] for k in kept),
        offset=found.offset,
        encoder=encode,
        offset_encoder=found.offset_encoder,
        dropped=Dropped(terms=found.dropped.terms, columns=left_out, cells=empty),
        references=found.references,
    )


def reference_categories(term: Any) -> Iterator[tuple[str, str]]:
    """Each variable of a term with the category that has no column: a row of zeros."""
    for part in getattr(term, "components", []):
        if part.kind != "categoric":
            continue
        zero = np.flatnonzero(~np.asarray(part.contrast_matrix.matrix).any(axis=1))
        column = re.match(r"[CT]\(\s*(`[^`]+`|[\w.]+)\s*[,)]", part.name)
        name = column.group(1).strip("`") if column else part.name
        yield from ((name, str(label(part.levels[k]))) for k in zero)


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
        dropped=columns.dropped,
        references=columns.references,
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
        dropped=columns.dropped,
        references=columns.references,
    )
