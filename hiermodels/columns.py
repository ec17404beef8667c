"""Expressions of a formula into matrices with names, standardised inside.

    x_std = (x - center) / scale

Expressions are evaluated by formulae, sums of plain columns without it. Nothing here knows of
group levels or of the response.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.data import all_finite, is_plain
from hiermodels.errors import DataError, some_rows
from hiermodels.families import squeeze
from hiermodels.formula import NUMPY_FUNCTIONS, Formula
from hiermodels.kinds import dates_as_text, not_numbers, numbers_in
from hiermodels.tokens import split_tokens

__all__ = [
    "INTERCEPT",
    "Columns",
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
        raise formula.error(
            f"cannot evaluate {text!r}: {str(error) or type(error).__name__}",
            start=start,
            stop=start + (len(text) if text in formula.text else len(formula.text)),
        ) from error
    # formulae keeps one of several terms of a name
    check_distinct(formula, [str(term.name) for term in description.common_terms])
    return found


def check_kinds(formula: Formula, text: str, frame: pd.DataFrame) -> None:
    """Refuse dates and the like where a number is meant; ``C(day)`` asks for labels."""
    for name in dict.fromkeys(numbers_in(text)):
        if name not in frame.columns or is_plain(frame[name]):
            continue
        if (found := not_numbers(frame[name])) is not None:
            what, repair = found
            told = f"column {name!r} holds {what} ({frame[name].dtype}); a formula takes numbers"
        elif "~" not in text and (text_dates := dates_as_text(frame[name])) is not None:
            count, repair = text_dates
            told = f"column {name!r} is text with {count} dates: each would have a coefficient"
        else:
            continue
        at = next((c for c in formula.columns if c.name == name), formula.columns[0])
        if "would" in told:
            repair += f"; or C({formula.text[at.start : at.stop]}) for a coefficient each"
        raise formula.error(told, start=at.start, stop=at.stop, repair=repair)


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
