"""Cross-products of all columns: the only pass over the rows.

With W = [Z X] and frequencies (or 1/se^2) Omega, the likelihood knows the rows through

    C = W' Omega W,    c = W' Omega (y - X beta0),    (y - X beta0)' Omega (y - X beta0).

The factor with most columns will be eliminated level by level: for each of its levels j keep
Z_j'Omega Z_j and the panel Z_j'Omega [rest, y], where the rest are the other factors and X. With a
small rest the panels are dense and stored level-last, for vector loops over levels; with a large
one they hold only the columns that occur with level j. y is centred at a least-squares fit beta0 of
minimum norm, which loses no digits to the mean, and the prior mean moves with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compilation import kernel
from .covariance import Theta, describe_theta
from .lapack import lapack_addresses
from .layout import Section, pack
from .problem import BlockData, GaussianProblem

__all__ = ["DENSE_UP_TO", "CrossProducts", "cross_products", "make_dense"]

DENSE_UP_TO = 64
"""Columns of a dense panel; measured: below, vector loops over zeros beat indices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossProducts:
    """What the kernels need of a problem: made by `cross_products`, read by sampling and recovery.

    `order` are the blocks, the eliminated one first; `words` is the buffer of `layout`; `beta0` is
    to be added to the common coefficients.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    order: tuple[int, ...]
    theta: Theta
    beta0: NDArray[np.float64]
    words: NDArray[np.float64]
    residual_scale: float

    @property
    def sparse(self) -> bool:
        """Whether panels hold only the columns that occur."""
        width = self.shapes[self.order[0]][1]
        return len(self.order) > 1 and width * (self.rest_size + 1) > DENSE_UP_TO

    @property
    def n_common(self) -> int:
        """p, the number of common coefficients."""
        return len(self.beta0)

    @property
    def rest_size(self) -> int:
        """n, the size of the dense Schur complement."""
        return (
            sum(self.shapes[block][0] * self.shapes[block][1] for block in self.order[1:])
            + self.n_common
        )


def cross_products(problem: GaussianProblem) -> CrossProducts:
    """Read the rows once (twice for y) and pack what the kernels need."""
    rows = _Rows.of(problem)
    beta0 = _least_squares(
        _common_products(rows.X, rows.y, rows.precision, np.zeros(rows.X.shape[1]))
    )
    theta = describe_theta(problem)
    order = tuple(
        np.argsort(
            [-block.n_levels * block.n_columns for block in problem.blocks], kind="stable"
        ).tolist()
    )
    blocks = tuple(problem.blocks[block] for block in order)
    total, log_constant = _row_constants(problem)
    potrf, potri = lapack_addresses()
    sections = (
        _single_products(rows, blocks, beta0)
        if len(blocks) == 1
        else _several_products(rows, blocks, beta0)
    )
    yy = sections[Section.REST][-1, -1]
    products = CrossProducts(
        names=tuple(block.name for block in problem.blocks),
        shapes=tuple((block.n_levels, block.n_columns) for block in problem.blocks),
        order=order,
        theta=theta,
        beta0=beta0,
        words=np.empty(0),
        residual_scale=float(np.sqrt(yy / total)) if yy > 0 else 1.0,
    )
    if len(blocks) > 1 and not products.sparse:
        sections = make_dense(sections)
    sections |= _factor_sections(blocks, theta, order) | _prior_sections(problem, theta, beta0)
    sections |= _plain_coordinates(theta.size)
    sections[Section.SCALARS] = np.array(
        [total, yy, log_constant + _prior_constant(problem, beta0)]
    )
    sections[Section.SIZES] = np.array(
        [theta.size, len(beta0), theta.log_sigma, potrf, potri, products.sparse, False]
    )
    return replace(products, words=pack(sections))


def _for_kernels(values: NDArray, dtype: type) -> NDArray:
    """Make a contiguous array that NumPy believes it may write to.

    Pandas hands out read-only arrays; for numba these are another type, and every kernel of the
    rows would be compiled once more. No kernel writes to its rows.
    """
    values = np.ascontiguousarray(values, dtype)
    return values if values.flags.writeable else np.asarray(_Writeable(values))


class _Writeable:
    """The same memory; NumPy keeps this object, and so the array, as the owner of it."""

    def __init__(self, values: NDArray) -> None:
        self.values = values

    @property
    def __array_interface__(self) -> dict[str, Any]:
        interface = self.values.__array_interface__
        return {**interface, "data": (interface["data"][0], False)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Contiguous rows; `precision` is empty where every row counts once."""

    y: NDArray[np.float64]
    X: NDArray[np.float64]
    precision: NDArray[np.float64]

    @classmethod
    def of(cls, problem: GaussianProblem) -> _Rows:
        precision = np.empty(0) if problem.weights is None else np.asarray(problem.weights, float)
        if problem.se is not None:
            precision = (1.0 if problem.weights is None else precision) / problem.se**2
        return cls(
            y=_for_kernels(problem.y, np.float64),
            X=_for_kernels(problem.X, np.float64),
            precision=_for_kernels(precision, np.float64),
        )


def _row_constants(problem: GaussianProblem) -> tuple[float, float]:
    """N and the part of the log-density that depends on rows and on nothing sampled."""
    total = float(len(problem.y) if problem.weights is None else problem.weights.sum())
    constant = -0.5 * total * np.log(2 * np.pi)
    if problem.se is not None:
        weights = 1.0 if problem.weights is None else problem.weights
        constant -= float(np.sum(weights * np.log(problem.se)))
    return total, constant


def _prior_constant(problem: GaussianProblem, beta0: NDArray) -> float:
    deviation = (problem.beta_mean - beta0) / problem.beta_sd
    return float(-0.5 * deviation @ deviation - np.log(problem.beta_sd).sum())


def _plain_coordinates(d: int) -> dict[Section, NDArray]:
    """Coordinates x = theta, until a pilot chooses better ones."""
    return {
        Section.CENTRE: np.zeros(d),
        Section.SCALE: np.eye(d),
        Section.BENDS: np.zeros(d, np.int64),
        Section.KNEES: np.zeros(d),
    }


def _prior_sections(
    problem: GaussianProblem, theta: Theta, beta0: NDArray
) -> dict[Section, NDArray]:
    return {
        Section.PRIOR_FORMS: np.array([prior.form for prior in theta.priors]),
        Section.PRIOR_NUMBERS: np.array([prior[1:] for prior in theta.priors], dtype=float),
        Section.COMMON_MEAN: np.asarray(problem.beta_mean - beta0, float),
        Section.COMMON_PRECISION: np.asarray(problem.beta_sd, float) ** -2.0,
    }


def _factor_sections(
    blocks: tuple[BlockData, ...], theta: Theta, order: tuple[int, ...]
) -> dict[Section, NDArray]:
    starts = _column_starts(blocks)
    rows, places = [], [np.empty(0, np.int64)]
    for block, start, number in zip(blocks, starts, order, strict=True):
        rows.append((block.n_levels, block.n_columns, start, sum(map(len, places))))
        places += [theta.places[number].sd, theta.places[number].partial.ravel()]
    return {Section.FACTORS: np.array(rows, np.int64), Section.PLACES: np.concatenate(places)}


def _column_starts(blocks: tuple[BlockData, ...]) -> NDArray[np.int64]:
    """First column in the rest of every factor; the eliminated one has none and says 0."""
    widths = [block.n_levels * block.n_columns for block in blocks[1:]]
    return np.array([0, *np.cumsum([0, *widths])[: len(widths)]], np.int64)


def _least_squares(products: NDArray) -> NDArray[np.float64]:
    """Minimum-norm least-squares coefficients from the cross-products of [X y]."""
    scale = np.sqrt(np.diag(products)[:-1])
    scale[scale == 0] = 1.0
    gram = products[:-1, :-1] / np.outer(scale, scale)
    return np.linalg.lstsq(gram, products[:-1, -1] / scale, rcond=1e-10)[0] / scale


def _single_products(
    rows: _Rows, blocks: tuple[BlockData, ...], beta0: NDArray
) -> dict[Section, NDArray]:
    (block,) = blocks
    q, width = block.n_columns, rows.X.shape[1] + 1
    own = np.zeros((block.n_levels, q, q))
    panels = np.zeros((block.n_levels, q, width))
    index, Z = _contiguous(block)
    _add_single(index, Z, rows.X, rows.y, rows.precision, beta0, own, panels)
    return {
        Section.REST: _common_products(rows.X, rows.y, rows.precision, beta0),
        Section.OWN: own.transpose(1, 2, 0),
        Section.PANELS: panels.transpose(1, 2, 0),
    }


def _several_products(
    rows: _Rows, blocks: tuple[BlockData, ...], beta0: NDArray
) -> dict[Section, NDArray]:
    head, others = blocks[0], blocks[1:]
    starts = _column_starts(blocks)[1:]
    widths = np.array([block.n_columns for block in others])
    columns = np.stack(
        [
            block.index.astype(np.int64) * block.n_columns + start
            for block, start in zip(others, starts, strict=True)
        ],
        axis=1,
    )
    n_other = sum(block.n_levels * block.n_columns for block in others)
    index, Z = _contiguous(head)
    by_level = np.argsort(index, kind="stable")
    first_row = np.searchsorted(index[by_level], np.arange(head.n_levels + 1))
    size = n_other + rows.X.shape[1] + 1
    pointers, occurring = _occurring_columns(
        by_level, first_row, columns, widths, widths.sum(), n_other, size - n_other
    )
    occurring = _sort_by_level(pointers, occurring, size)
    rest = np.zeros((size, size))
    own = np.zeros((head.n_levels, head.n_columns, head.n_columns))
    panels = np.zeros(head.n_columns * len(occurring))
    Z_others = np.concatenate([block.Z for block in others], axis=1).astype(float)
    _add_several(
        by_level, first_row, Z, columns, widths, Z_others, rows.X, rows.y, rows.precision, beta0,
        pointers, occurring, own, panels, rest,
    )  # fmt: skip
    return {
        Section.REST: rest + np.tril(rest, -1).T,
        Section.OWN: own,
        Section.PANELS: panels,
        Section.POINTERS: pointers,
        Section.COLUMNS: occurring,
    }


def _sort_by_level(pointers: NDArray, columns: NDArray, size: int) -> NDArray[np.int64]:
    """Sort the columns of each level; by NumPy, for a sort takes numba two seconds to compile."""
    level = np.repeat(np.arange(len(pointers) - 1) * size, np.diff(pointers))
    return np.sort(level + columns) - level


def make_dense(sections: dict[Section, NDArray]) -> dict[Section, NDArray]:
    """Panels with all columns, level last."""
    own, pointers = sections[Section.OWN], sections[Section.POINTERS]
    n_levels, q, width = len(own), own.shape[1], len(sections[Section.REST])
    dense = np.zeros((n_levels, q, width))
    for j in range(n_levels):
        columns = sections[Section.COLUMNS][pointers[j] : pointers[j + 1]]
        dense[j][:, columns] = sections[Section.PANELS][
            q * pointers[j] : q * pointers[j + 1]
        ].reshape(q, -1)
    return {
        Section.REST: sections[Section.REST],
        Section.OWN: own.transpose(1, 2, 0),
        Section.PANELS: dense.transpose(1, 2, 0),
    }


def _contiguous(block: BlockData) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    return _for_kernels(block.index, np.int32), _for_kernels(block.Z, np.float64)


@kernel
def _residual(X, y, beta0, i):
    value = y[i]
    for k in range(len(beta0)):
        value -= X[i, k] * beta0[k]
    return value


@kernel
def _common_products(X, y, precision, beta0):
    """Cross-products of [X, y - X beta0]."""
    n_rows, p = X.shape
    products = np.zeros((p + 1, p + 1))
    row = np.empty(p + 1)
    for i in range(n_rows):
        for a in range(p):
            row[a] = X[i, a]
        row[p] = _residual(X, y, beta0, i)
        weight = precision[i] if len(precision) else 1.0
        for a in range(p + 1):
            weighted = weight * row[a]
            for b in range(a + 1):
                products[a, b] += weighted * row[b]
    for a in range(p + 1):
        for b in range(a):
            products[b, a] = products[a, b]
    return products


@kernel
def _add_single(index, Z, X, y, precision, beta0, own, panels):
    n_rows, q = Z.shape
    p = X.shape[1]
    for i in range(n_rows):
        j = index[i]
        residual = _residual(X, y, beta0, i)
        weight = precision[i] if len(precision) else 1.0
        for k in range(q):
            weighted = weight * Z[i, k]
            for m in range(q):
                own[j, k, m] += weighted * Z[i, m]
            for m in range(p):
                panels[j, k, m] += weighted * X[i, m]
            panels[j, k, p] += weighted * residual


@kernel
def _occurring_columns(by_level, first_row, columns, widths, n_sparse, n_other, n_dense):
    """Columns of the rest that occur with each level, in any order; X and y occur with all."""
    n_levels, n_factors = len(first_row) - 1, len(widths)
    seen = np.full(n_other, -1, np.int64)
    pointers = np.zeros(n_levels + 1, np.int64)
    found = np.empty(len(by_level) * n_sparse + n_levels * n_dense, np.int64)
    end = 0
    for j in range(n_levels):
        for row in by_level[first_row[j] : first_row[j + 1]]:
            for f in range(n_factors):
                for column in range(columns[row, f], columns[row, f] + widths[f]):
                    if seen[column] != j:
                        seen[column] = j
                        found[end] = column
                        end += 1
        for column in range(n_other, n_other + n_dense):
            found[end] = column
            end += 1
        pointers[j + 1] = end
    return pointers, found[:end]


@kernel
def _add_several(
    by_level, first_row, Z, columns, widths, Z_others, X, y, precision, beta0,
    pointers, occurring, own, panels, rest,
):  # fmt: skip
    q, n_sparse, n_dense = Z.shape[1], Z_others.shape[1], X.shape[1] + 1
    n_other = rest.shape[0] - n_dense
    at = np.empty(n_sparse + n_dense, np.int64)
    values = np.empty(n_sparse + n_dense)
    position = np.empty(rest.shape[0], np.int64)
    for a in range(n_dense):
        at[n_sparse + a] = n_other + a
    for j in range(len(first_row) - 1):
        here = occurring[pointers[j] : pointers[j + 1]]
        panel = panels[q * pointers[j] : q * pointers[j + 1]].reshape((q, len(here)))
        for c in range(len(here)):
            position[here[c]] = c
        for row in by_level[first_row[j] : first_row[j + 1]]:
            end = 0
            for f in range(len(widths)):
                for k in range(widths[f]):
                    at[end] = columns[row, f] + k
                    end += 1
            for a in range(n_sparse):
                values[a] = Z_others[row, a]
            for a in range(n_dense - 1):
                values[n_sparse + a] = X[row, a]
            values[-1] = _residual(X, y, beta0, row)
            weight = precision[row] if len(precision) else 1.0
            _add_row(weight, Z[row], at, values, position, own[j], panel, rest)


@kernel
def _add_row(weight, z, at, values, position, own, panel, rest):
    for k in range(len(z)):
        for m in range(len(z)):
            own[k, m] += weight * z[k] * z[m]
        for a in range(len(at)):
            panel[k, position[at[a]]] += weight * z[k] * values[a]
    for a in range(len(at)):
        for b in range(len(at)):
            if at[b] <= at[a]:
                rest[at[a], at[b]] += weight * values[a] * values[b]
