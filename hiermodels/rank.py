"""Columns that are combinations of others, and in words which.

    x_j = a_0 + sum_(k < j) a_k x_k

Looked at in the order of the formula, as R's lm does: the later column is the one too many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["in_words", "relations"]

type Array = np.ndarray

#: What may be left of a column, as a part of its spread, where it is a combination of others; that
#: of R's lm. Columns of single precision are equal to six parts in 10^8.
TOLERANCE = 1e-7
#: The square of it as cross-products tell it, which have half of the digits: what is above is free.
SUSPECT = 1e-10
#: A coefficient of standardised columns that is rounding.
NOTHING = 1e-6
#: Rows of which cross-products are summed at a time.
PIECE = 1_000_000
#: Terms that a relation in words has at most.
SHOWN = 6


def relations(columns: Array, *, intercept: bool) -> dict[int, Array]:
    """The columns (n, p) that are combinations of earlier ones: a_0, ..., a_p by their number.

    Coefficients (1 + p,) are on the scale of the columns, and zero for columns that are themselves
    combinations.
    """
    n, p = columns.shape
    center = columns.mean(axis=0) if intercept and n else np.zeros(p)
    products = np.zeros((p, p))
    for start in range(0, n, PIECE):
        some = columns[start : start + PIECE] - center
        products += some.T @ some
    # the spread of equal numbers is rounding of the size of their mean
    size = np.sqrt(np.diag(products))
    constant = size <= 1e-12 * np.abs(center) * np.sqrt(max(n, 1))
    scale = np.where(constant, 1.0, size)
    products = products / np.outer(scale, scale)
    found: dict[int, Array] = {}
    kept: list[int] = []
    factor = np.zeros((p, p))
    for j in range(p):
        a = np.zeros(1 + p)
        if constant[j]:
            a[0] = center[j]
            found[j] = a
            continue
        k = len(kept)
        row = forward(factor[:k, :k], products[kept, j])
        left = products[j, j] - float(row @ row)
        if left < SUSPECT:
            b = combination(columns, center, scale, kept, j)
            if b is not None:
                a[1 + np.array(kept, dtype=int)] = b * scale[j] / scale[kept]
                a[0] = center[j] - float(a[1:] @ center)
                found[j] = a
                continue
        factor[k, :k], factor[k, k] = row, np.sqrt(max(left, TOLERANCE**2))
        kept.append(j)
    return found


def forward(factor: Array, right: Array) -> Array:
    """L^-1 r of a lower triangle."""
    return np.linalg.solve(factor, right) if len(right) else right


def combination(
    columns: Array, center: Array, scale: Array, kept: list[int], j: int
) -> Array | None:
    """The standardised coefficients of column j on earlier ones, None where something is left."""
    y = (columns[:, j] - center[j]) / scale[j]
    if not kept:
        return np.zeros(0) if np.linalg.norm(y) <= TOLERANCE else None
    X = (columns[:, kept] - center[kept]) / scale[kept]
    b = np.linalg.lstsq(X, y, rcond=None)[0]
    if np.linalg.norm(y - X @ b) > TOLERANCE:
        return None
    return np.where(np.abs(b) < NOTHING, 0.0, b)


def in_words(name: str, coefficients: Array, names: Sequence[str]) -> str:
    """``x2 = 1 + 2 x``; a long one names its columns only."""
    a0, rest = float(coefficients[0]), coefficients[1:]
    used = [k for k in range(len(rest)) if rest[k] != 0]
    if len(used) > SHOWN:
        told = ", ".join(names[k] for k in used[:SHOWN])
        return f"{name} is a combination of {told} and {len(used) - SHOWN} more"
    largest = max((abs(float(rest[k])) for k in used), default=abs(a0))
    text = f"{a0:.4g}" if abs(a0) > 1e-6 * largest else ""
    for k in used:
        a = float(rest[k])
        size = f"{abs(a):.4g}"
        part = names[k] if size == "1" else f"{size} {names[k]}"
        sign = "-" if a < 0 else "+"
        text += f" {sign} {part}" if text else part if a > 0 else f"-{part}"
    return f"{name} = {text or '0'}"
