"""A design whose response is an exact function of its columns: refused, for its residual is zero.

    g(y_i) - offset_i = x_i' beta + sum_g z_i' b_{g, level(i)}   in every row, with rows to spare

The density of n rows with r independent columns grows as sigma^-(n - r) where sigma goes to zero:
no prior of sigma that is finite there can stop it, and no sampler ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from hiermodels.design import Block, Design, effect_columns
from hiermodels.errors import DataError, counted, joined
from hiermodels.families import LINKS

__all__ = ["check_not_exact"]

type Array = np.ndarray

#: Families with a residual spread of their own that an exact response makes zero.
CONTINUOUS = ("gaussian", "student", "lognormal", "gamma", "beta", "zi_beta", "zoi_beta")
#: What a fit leaves of a response, as a part of its spread, where the rest is rounding: a response
#: computed in double precision leaves some 1e-16, and of numbers a million spreads from zero 1e-10.
EXACT = 1e-10
#: Roundings of a number.
ROUNDINGS = 8 * np.finfo(float).eps
#: Rows that are looked at first, beside two for each column: a response that is not exact in them
#: is not exact.
FEW = 100
#: Columns, and operations, up to which least squares are by singular values.
MOST, WORK = 600, 2e9
#: Steps of conjugate gradients at most, and their operations: some seconds.
STEPS, SPARSE_WORK = 500, 1e8
#: Fewest rows for which a residual spread is a question.
FEWEST = 3


def check_not_exact(design: Design) -> None:
    """A `DataError` for a response that leaves nothing to a residual spread.

    Rows of weight zero do not count. Nothing with known standard errors, which are no parameter.
    """
    if design.family.name not in CONTINUOUS or design.se is not None:
        return
    used = counted_rows(design)
    with np.errstate(all="ignore"):
        z = on_link(design) - design.offset
    if not np.isfinite(z[used]).all():
        return  # a mean on a logarithmic scale, which is no response below zero
    rows = np.flatnonzero(used)
    name = design.response_name
    if len(rows) < FEWEST:
        raise DataError(
            f"{counted(len(rows), 'row')} of the response {name!r}: no row is left to tell how far "
            "rows scatter around the model. Check that the right rows were kept."
        )
    if np.ptp(z[rows]) == 0:
        raise DataError(
            f"the response {name!r} is {design.response[rows[0]]:g} in all {len(rows)} rows that "
            "count: a model has nothing to explain."
        )
    for some in pieces(design, rows):
        if not leaves_nothing(design, some, z):
            return
    raise DataError(
        f"the response {name!r} is an exact function of {columns_of(design)}: nothing is left for "
        "a residual, and the model has no answer. Check whether one was computed from the other; "
        "if it is meant, there is nothing to estimate."
    )


def on_link(design: Design) -> Array:
    """g(y), the logarithm of a log-normal response."""
    if design.family.name == "lognormal":
        return np.asarray(np.log(design.response))
    return np.asarray(LINKS[design.family.link].link(design.response), dtype=float)


def counted_rows(design: Design) -> Array:
    """The rows with a weight, but for zeros and ones that have a probability of their own."""
    used = np.ones(design.n, bool) if design.weights is None else design.weights > 0
    if design.family.name in ("zi_beta", "zoi_beta"):
        used &= (design.response > 0) & (design.response < 1)
    return used


def columns_of(design: Design) -> str:
    """The columns and factors of the mean, in words."""
    names = list(dict.fromkeys(design.formula.column_names))
    words = re.findall(r"\w+", design.formula.response)
    names = [n for n in names if n in design.rows.frame and n not in words]
    return joined(names, 6) or "the offset"


def pieces(design: Design, rows: Array) -> Iterator[Array]:
    """Few rows, ten times as many, ..., all: whole levels of the factor with the most of them."""
    most = 2 * (len(design.terms) + 1) + FEW
    if design.blocks:
        block = max(design.blocks, key=lambda b: b.n_levels)
        large = np.argsort(np.argsort(-block.counts, kind="stable"))
        rows = rows[np.argsort(large[block.index[rows]], kind="stable")]
    while most < len(rows):
        # without a factor any rows will do, but for those that are sorted
        yield rows[:most] if design.blocks else rows[spread_out(len(rows), most)]
        most *= 10
    yield rows


def spread_out(n: int, some: int) -> Array:
    return np.linspace(0, n - 1, some).astype(int)


def leaves_nothing(design: Design, rows: Array, z: Array) -> bool:
    """Whether least squares leave nothing of these rows; of all rows, though some are to spare."""
    y = z[rows]
    spread = float(np.linalg.norm(y - y.mean()))
    limit = max(EXACT * spread, ROUNDINGS * float(np.abs(y).max()) * np.sqrt(len(y)))
    common = (design.common.values[rows] - design.common.center) / design.common.scale
    if design.intercept:
        y, common = y - y.mean(), np.column_stack([np.ones(len(y)), common])
    columns = [used_columns(block, rows) for block in design.blocks]
    width = common.shape[1] + sum(c.shape[1] for c in columns)
    whole = len(rows) == np.count_nonzero(counted_rows(design))
    if width <= MOST and len(rows) * width**2 <= WORK:
        A = np.hstack([common, *(c.toarray() for c in columns)])
        b, _, rank, _ = np.linalg.lstsq(A, y, rcond=1e-12)
        return bool(np.linalg.norm(y - A @ b) <= limit) and (rank < len(y) or not whole)
    if whole and len(rows) <= width:
        return False
    return bool(sparse_residual(common, columns, y) <= 10 * limit)


def used_columns(block: Block, rows: Array) -> Any:
    """The columns of a factor's effects that these rows touch, sparse."""
    levels, index = np.unique(block.index[rows], return_inverse=True)
    Z = (block.columns.values[rows] - block.columns.center) / block.columns.scale
    return effect_columns(Z, index, len(levels))


def sparse_residual(common: Array, columns: list[Any], y: Array) -> float:
    """What conjugate gradients leave; more than there is where they end too soon."""
    from scipy import sparse
    from scipy.sparse.linalg import lsmr

    A = sparse.hstack([sparse.csr_array(common), *columns]).tocsr()
    steps = int(min(STEPS, SPARSE_WORK / A.nnz))
    found = lsmr(A, y, atol=1e-14, btol=1e-14, conlim=0, maxiter=steps)
    return float(np.linalg.norm(y - A @ found[0]))
