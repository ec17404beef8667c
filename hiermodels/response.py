"""The left side of a formula into the response of a family: numbers, trials, categories.

y ~ ...                     numbers; counts; 0 and 1, or two labels of which the last is 1
successes / trials ~ ...    or p(successes, trials), for the families that have trials
rating ~ ...                ordered categories, numbered from 0 inside

Ordered categories are the user's: numbers, whose mean is of them, or labels in an order that was
declared. A category that was declared and has no rows is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.columns import check_evaluated, run_formulae
from hiermodels.data import is_plain
from hiermodels.errors import DataError
from hiermodels.families import Family, Observed
from hiermodels.formula import Formula
from hiermodels.tokens import CLOSING, OPENING, split_tokens

__all__ = ["Response", "check_gaps", "missing_between", "read_response", "scores_of"]

type Array = np.ndarray

#: Categories beyond which an ordinal response was hardly meant.
MANY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response as the family takes it. Made by `read_response`, read by `design`.

    ``values`` (rows,); ``trials`` (rows,) or None; ``categories`` the labels of what ``values``
    numbers from 0, or None.
    """

    name: str
    values: Array
    trials: Array | None = None
    categories: tuple[Any, ...] | None = None


def read_response(formula: Formula, frame: pd.DataFrame, family: Family) -> Response:
    """Evaluate the response, and check that the family can have it.

    Raises
    ------
    DataError
        For a response outside the support, with the rows and the remedy.
    FormulaError
        For one that cannot be evaluated.
    """
    found = evaluate_for(family, formula, frame)
    family.check_response(
        Observed(name=found.name, values=found.values, rows=frame.index, trials=found.trials)
    )
    return found


def evaluate_for(family: Family, formula: Formula, frame: pd.DataFrame) -> Response:
    if formula.response.startswith("p(") and formula.quotient and not family.trials:
        raise formula.error(
            f"family {family.name!r} has no trials",
            start=0,
            stop=len(formula.response),
            repair="p(successes, trials) is for family='binomial' and 'betabinomial'",
        )
    if family.categories:
        return ordered_categories(formula, frame)
    if family.trials and formula.quotient:
        (successes, name), (trials, _) = (numbers(formula, t, frame) for t in formula.quotient)
        return Response(name=name, values=successes, trials=trials)
    found = two_labels(formula, frame) if family.name in ("bernoulli", "binomial") else None
    if found is None:
        values, name = numbers(formula, formula.response, frame)
        found = Response(name=name, values=values)
    if family.name == "binomial" and np.isin(found.values, (0, 1)).all():
        ones = np.ones(len(found.values))
        return Response(
            name=found.name, values=found.values, trials=ones, categories=found.categories
        )
    return found


def numbers(formula: Formula, text: str, frame: pd.DataFrame) -> tuple[Array, str]:
    """A number for each row, and what it is called."""
    column = text.strip("`")
    if column in frame.columns and is_plain(frame[column]):
        return frame[column].to_numpy(dtype=float), column
    if text.replace(".", "", 1).isdigit():
        return np.full(len(frame), float(text)), text
    composed = has_operator(text)
    response = run_formulae(
        formula, f"I({text}) ~ 1" if composed else f"{text} ~ 1", frame
    ).response
    values = np.asarray(response.design_matrix)
    if response.kind != "numeric" or values.ndim != 1:
        raise DataError(
            f"the response {response.name!r} is not a number in each row. "
            "Make a numeric column of it first."
        )
    name = text if composed else str(response.name)
    values = values.astype(float)
    check_evaluated(values, name, frame)
    return values, name


def has_operator(text: str) -> bool:
    """Whether something is computed outside all brackets."""
    depth = 0
    for token in split_tokens(text):
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth == 0 and token.text in ("+", "-", "*", "**", "/"):
            return True
    return text.startswith("(")


def two_labels(formula: Formula, frame: pd.DataFrame) -> Response | None:
    """0 and 1 from a column that is true or false, or has two labels: the second is the success."""
    name = formula.response.strip("`")
    if name not in frame.columns or is_plain(frame[name]):
        return None
    labels, codes = label_codes(frame[name])
    if len(labels) != 2:
        raise DataError(
            f"the response {name!r} has {len(labels)} labels: {', '.join(map(str, labels[:6]))}. "
            "A success or a failure has two; ordered labels are family='ordinal'."
        )
    return Response(name=name, values=codes.astype(float), categories=tuple(labels))


def label_codes(column: pd.Series) -> tuple[list[Any], Array]:
    """The labels that occur, in the order of the categories or else sorted; and their numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories()
        return used.cat.categories.tolist(), used.cat.codes.to_numpy()
    labels, codes = np.unique(np.asarray(column), return_inverse=True)
    return labels.tolist(), codes


def ordered_categories(formula: Formula, frame: pd.DataFrame) -> Response:
    """Ordered categories, or numbers, as 0, 1, ..., K - 1."""
    name = formula.response.strip("`")
    if name not in frame.columns:
        values, name = numbers(formula, formula.response, frame)
        column = pd.Series(values)
    else:
        column = frame[name]
    declared = isinstance(column.dtype, pd.CategoricalDtype)
    if declared:
        labels, codes = column.cat.categories.tolist(), column.cat.codes.to_numpy()
    else:
        labels, codes = label_codes(column)
    labels = [int(v) if isinstance(v, float) and v.is_integer() else v for v in labels]
    if not is_plain(column) and not (declared and column.cat.ordered):
        labels, codes = by_number(labels, codes, name)
    if not declared and (len(labels) > MANY or any(isinstance(v, float) for v in labels)):
        raise DataError(
            f"the response {name!r} has {len(labels)} different values, such as {labels[0]} and "
            f"{labels[1]}: a measurement. An ordinal response has few categories; "
            "family='gaussian' takes numbers."
        )
    return Response(name=name, values=codes.astype(float), categories=tuple(labels))


def by_number(labels: list[Any], codes: Array, name: str) -> tuple[list[Any], Array]:
    """Labels whose order nobody has told, in that of the numbers that they are."""
    scores = scores_of(labels)
    if scores is None:
        found = ", ".join(map(repr, labels[:3]))
        raise DataError(
            f"the response {name!r} has labels without an order, such as {found}. Make it an "
            "ordered categorical: data[name] = pandas.Categorical(data[name], categories=["
            "'low', 'mid', 'high'], ordered=True)."
        )
    order = np.argsort(scores)
    return [labels[k] for k in order], np.argsort(order)[codes]


def scores_of(labels: Sequence[Any]) -> tuple[float, ...] | None:
    """The numbers that all labels are, also as text; None where they are words."""
    try:
        scores = tuple(float(v) for v in labels if not isinstance(v, bool))
    except (TypeError, ValueError):
        return None
    different = len(set(scores)) == len(labels)
    return scores if different and bool(np.isfinite(scores).all()) else None


def missing_between(labels: Sequence[Any]) -> list[int]:
    """The whole numbers that equal steps from the least to the largest label would have, too."""
    if not all(isinstance(v, int) for v in labels):
        return []
    step = int(np.gcd.reduce(np.diff(labels)))
    return [v for v in range(labels[0], labels[-1], step) if v not in labels] if step else []


def check_gaps(formula: Formula, frame: pd.DataFrame, categories: Sequence[Any]) -> None:
    """Ask whether a number between the others is a category that nobody chose, or is none.

    Raises
    ------
    DataError
        For numbers with a gap. A categorical column has said what its categories are.
    """
    name = formula.response.strip("`")
    if name in frame.columns and isinstance(frame[name].dtype, pd.CategoricalDtype):
        return
    gaps = missing_between(categories)
    if not gaps:
        return
    shown = ", ".join(map(str, gaps[:5])) + (", ..." if len(gaps) > 5 else "")
    whole = sorted([*categories, *gaps])
    possible = whole if len(whole) <= 10 else [*whole[:3], "...", whole[-1]]
    raise DataError(
        f"no row has {name} {shown}; the categories found are "
        f"{', '.join(map(str, categories))}. Could a row have it? Then it has a probability, "
        f"and the model must know it: data[{name!r}] = pandas.Categorical(data[{name!r}], "
        f"categories=[{', '.join(map(str, possible))}], ordered=True). If not, say so: "
        f"categories=[{', '.join(map(str, categories))}], ordered=True."
    )
