"""What a formula computes is computed in float64, whatever numbers the columns are kept as.

Two columns of int8 multiplied as such are taken modulo 256, those of int64 modulo 2^64; the
logarithm of an int8 has three digits, the sum of two columns of true and false is "or". Labels are
left as they are: the column of ``C(x)``, the factor of ``within(x, g)``.

formulae evaluates a tree of lazy values on a frame. The leaves of it that are numbers are replaced
by such as give float64, so that a column is converted where it is used, one at a time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms import Call, Variable
from formulae.terms.call_resolver import LazyCall, LazyOperator, LazyVariable

from hiermodels.kinds import LABELS, LABELS_BUT_FIRST

__all__ = ["in_float64"]

COMPARISONS = (operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt)


def same_call(one: LazyCall, other: Any) -> bool:
    """Whether two lazy calls are one; formulae's own fails where the other is a column."""
    return isinstance(other, LazyCall) and (one.callee, one.args, one.kwargs) == (
        other.callee,
        other.args,
        other.kwargs,
    )


# of offset(log(b)) + offset(a), I(log(x)) + I(x)
LazyCall.__eq__ = same_call


def in_float64(description: Any) -> Any:
    """The description of a model by formulae, its terms to be evaluated in float64."""
    terms = [*description.common_terms]
    if description.response is not None:
        terms.append(description.response.term)
    for term in terms:
        if hasattr(term, "components"):
            term.components = [component(part) for part in term.components]
    return description


class NumberVariable(Variable):
    """A column that stands alone, or in a product."""

    def eval_numeric(self, x: Any) -> None:
        super().eval_numeric(number(x))

    def eval_new_data_numeric(self, x: Any) -> Any:
        return np.asarray(x, dtype=float)


class LazyNumber(LazyVariable):
    """A column within a call."""

    def eval(self, data_mask: Any, env: Any) -> Any:
        return number(super().eval(data_mask, env))


def number(values: Any) -> Any:
    """Numbers, true and false, as float64; anything else as it is."""
    column = isinstance(values, pd.Series | np.ndarray)
    if not column or not pd.api.types.is_numeric_dtype(values.dtype):
        return values
    return values if values.dtype == np.float64 else values.astype("float64")


def label(values: Any) -> Any:
    """Computed labels: whole numbers are integers, as those of a grouping factor."""
    whole = isinstance(values, pd.Series) and bool((values == np.floor(values)).all())
    return values.astype("int64") if whole else values


def component(part: Any) -> Any:
    """A component of a term: a column or a call."""
    if isinstance(part, Call):
        part.call = number_of(part.call)
        return part
    return NumberVariable(part.name, part.reference, part.is_response)


def number_of(node: Any) -> Any:
    """A lazy value that is a number where it is one."""
    if isinstance(node, LazyVariable):
        return LazyNumber(node.name)
    if isinstance(node, LazyOperator):
        node.args = tuple(number_of(arg) for arg in node.args)
        node.op = then(node.op, number)
    if isinstance(node, LazyCall):
        first = 0 if node.callee in LABELS else 1 if node.callee in LABELS_BUT_FIRST else None
        node.args = [
            label_of(arg) if first is not None and k >= first else number_of(arg)
            for k, arg in enumerate(node.args)
        ]
        own = label_of if first == 0 else number_of
        node.kwargs = {name: own(arg) for name, arg in node.kwargs.items()}
    return node


def label_of(node: Any) -> Any:
    """A lazy value that is a label: a column as it is, or one that is computed."""
    if isinstance(node, LazyVariable):
        return node
    compared = isinstance(node, LazyOperator) and node.op in COMPARISONS
    made = number_of(node)
    if isinstance(made, LazyOperator):
        made.op = then(made.op, true_or_false if compared else label)
    return made


def true_or_false(values: Any) -> Any:
    return values.astype(bool) if isinstance(values, pd.Series) else values


def then(first: Callable[..., Any], second: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda *values: second(first(*values))
