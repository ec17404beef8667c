"""From the density of one row to the C callback over all rows.

    int64 f(n, y*, trials*, predictors*, constant*, value*, slope*)

Doubles y, trials, value (n,) and predictors, slope (K, n) in C order; constant (K,) is 1 for a
predictor with one value in all rows. `trials` is read by binomial families, and by ordinal ones,
where it holds the number of categories.

A loop is a template: the names in capitals or without a definition here (`ROW`, `PREPARE`, ...) are
filled in for each family and link. What depends on the data alone is looked up first, into `value`,
as look-ups would keep the loop that follows from SIMD. What depends on one auxiliary predictor
alone, such as R(alpha), is computed once where that predictor is constant. No array may overlap
another.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from numba import carray, types

from ..compilation import Callback, elementwise

__all__ = ["LOOPS", "ROWS", "assemble", "compose"]

_DOUBLES = types.CPointer(types.float64)
ROWS = types.int64(
    types.int64, _DOUBLES, _DOUBLES, _DOUBLES, types.CPointer(types.int64), _DOUBLES, _DOUBLES
)

# Places of the templates, filled in by `assemble` and `compose`.
ROW: Any = None
PREPARE: Any = None
HOISTED, OTHER = 1, 2
TRIALS = BASED = False


def filled(template: Callable, name: str, parts: dict[str, Any]) -> FunctionType:
    """A copy of a function under another name that sees other globals.

    Not a closure: numba would take the compiled parts into the key of the cache, where they differ
    from process to process.
    """
    code = template.__code__.replace(co_name=name, co_qualname=name)
    made = FunctionType(code, {**template.__globals__, **parts}, name)
    made.__module__ = template.__module__
    return made


def assemble(loop: Callable, name: str, **parts: Any) -> Callback:
    """The callback of a loop over rows."""
    return Callback(filled(loop, name, parts), ROWS, separate=True)


def compose(row: Callable, name: str, **parts: Any) -> Any:
    """The density of a row that is made of others."""
    return elementwise(filled(row, name, parts))


@elementwise
def no_base(y, trials):
    """Nothing of the data alone."""
    return 0.0


BASE: Any = no_base


def one(n, y, trials, predictors, constant, value, slope):
    """Loop over rows with the predictor eta alone."""
    rows = int(n)
    y, trials, value = carray(y, (rows,)), carray(trials, (rows,)), carray(value, (rows,))
    predictors, slope = carray(predictors, (1, rows)), carray(slope, (1, rows))
    if BASED:
        for i in range(rows):
            value[i] = BASE(y[i], trials[i] if TRIALS else 1.0)
    for i in range(rows):
        data = y[i], trials[i] if TRIALS else 1.0, value[i] if BASED else 0.0
        value[i], slope[0, i] = ROW(data, predictors[0, i])
    return 0


def two(n, y, trials, predictors, constant, value, slope):
    """Loop over rows with eta and one auxiliary predictor."""
    rows = int(n)
    y, trials, value = carray(y, (rows,)), carray(trials, (rows,)), carray(value, (rows,))
    predictors, slope = carray(predictors, (2, rows)), carray(slope, (2, rows))
    if BASED:
        for i in range(rows):
            value[i] = BASE(y[i], trials[i] if TRIALS else 1.0)
    if rows > 0 and constant[1]:
        shared = PREPARE(predictors[1, 0])
        for i in range(rows):
            data = y[i], trials[i] if TRIALS else 1.0, value[i] if BASED else 0.0
            value[i], slope[0, i], slope[1, i] = ROW(data, predictors[0, i], shared)
        return 0
    for i in range(rows):
        data = y[i], trials[i] if TRIALS else 1.0, value[i] if BASED else 0.0
        own = PREPARE(predictors[1, i])
        value[i], slope[0, i], slope[1, i] = ROW(data, predictors[0, i], own)
    return 0


def three(n, y, trials, predictors, constant, value, slope):
    """Loop over rows with eta and two auxiliary predictors."""
    rows = int(n)
    y, trials, value = carray(y, (rows,)), carray(trials, (rows,)), carray(value, (rows,))
    predictors, slope = carray(predictors, (3, rows)), carray(slope, (3, rows))
    if BASED:
        for i in range(rows):
            value[i] = BASE(y[i], trials[i] if TRIALS else 1.0)
    if rows > 0 and constant[HOISTED]:
        shared = PREPARE(predictors[HOISTED, 0])
        for i in range(rows):
            data = y[i], trials[i] if TRIALS else 1.0, value[i] if BASED else 0.0
            value[i], slope[0, i], slope[HOISTED, i], slope[OTHER, i] = ROW(
                data, predictors[0, i], shared, predictors[OTHER, i]
            )
        return 0
    for i in range(rows):
        data = y[i], trials[i] if TRIALS else 1.0, value[i] if BASED else 0.0
        own = PREPARE(predictors[HOISTED, i])
        value[i], slope[0, i], slope[HOISTED, i], slope[OTHER, i] = ROW(
            data, predictors[0, i], own, predictors[OTHER, i]
        )
    return 0


def four(n, y, trials, predictors, constant, value, slope):
    """Loop over rows with eta and three auxiliary predictors."""
    rows = int(n)
    y, trials, value = carray(y, (rows,)), carray(trials, (rows,)), carray(value, (rows,))
    predictors, slope = carray(predictors, (4, rows)), carray(slope, (4, rows))
    if BASED:
        for i in range(rows):
            value[i] = BASE(y[i], trials[i] if TRIALS else 1.0)
    if rows > 0 and constant[1]:
        shared = PREPARE(predictors[1, 0])
        for i in range(rows):
            data = y[i], trials[i] if TRIALS else 1.0, value[i] if BASED else 0.0
            value[i], slope[0, i], slope[1, i], slope[2, i], slope[3, i] = ROW(
                data, predictors[0, i], shared, predictors[2, i], predictors[3, i]
            )
        return 0
    for i in range(rows):
        data = y[i], trials[i] if TRIALS else 1.0, value[i] if BASED else 0.0
        own = PREPARE(predictors[1, i])
        value[i], slope[0, i], slope[1, i], slope[2, i], slope[3, i] = ROW(
            data, predictors[0, i], own, predictors[2, i], predictors[3, i]
        )
    return 0


LOOPS = {1: one, 2: two, 3: three, 4: four}
"""By the number of predictors."""
