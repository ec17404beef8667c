"""Exact moments of what a user reads of each level: A b_j + D beta, without a draw of b.

Given theta, v = (other factors, beta) has a known mean and covariance; for the eliminated factor
b_j = Lambda C^-T (G (-v, 1) + e). With a = A Lambda C^-T the combination is linear in v and e,

    A b_j + D v = a G_y - (a G_v - D) v + a e,

so its mean and variance are known, too; their average over draws of theta, with the variance of the
means, is the posterior's (Rao & Blackwell). For a factor of the rest it is linear in v alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..threads import available_cores
from .collapsed import residual_precision
from .compilation import kernel
from .crossproducts import CrossProducts
from .drawing import in_threads
from .lanes import LANES, VALUE_ALONE, lane_scratch, level_products, load_lanes
from .lanes import eliminate as eliminate_lanes
from .layout import COLUMN_START, LEVELS, WIDTH
from .panels import eliminate as eliminate_panels
from .panels import (
    factor_level,
    level_columns,
    level_panel,
    level_scratch,
    own_products,
    solve_level,
)
from .rest import (
    FORWARD,
    all_lambdas,
    factor_table,
    lambda_of,
    raw_moments,
    rest_inverse,
    rest_size,
    rest_system,
    scale_draw,
)

__all__ = ["combination_moments"]

CHUNK = 25
"""Draws per task; fixed, so that rounding does not depend on the number of cores."""
MOST_NUMBERS = 4_000_000
"""Of all tasks together: of very many levels there are two."""


def combination_moments(
    products: CrossProducts,
    theta: NDArray[np.float64],
    wanted: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    cores: int | None = None,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Posterior mean and variance of A b_j + D beta for every level of each block, (J, K) each.

    ``wanted`` has for each block A (K, q), on its effects, and D (K, p), on the common
    coefficients; `theta` is (S, d). Nothing is wanted of a model without groups, whose common
    columns may stand here as a block of their own.
    """
    if not wanted:
        return []
    combinations = [_combination(products, A, D) for A, D in wanted]
    accumulate = _accumulate_sparse if products.sparse else _accumulate_dense
    pairs = zip(products.shapes, wanted, strict=True)
    shapes = [(3, levels, len(A)) for (levels, _), (A, _) in pairs]
    most = max(2, MOST_NUMBERS // sum(map(math.prod, shapes)))
    size = max(CHUNK, -(-len(theta) // most))
    parts = [np.ascontiguousarray(theta[s : s + size]) for s in range(0, len(theta), size)]
    found = [[np.zeros(shape) for shape in shapes] for _ in parts]

    def task(part: NDArray, moments: list[NDArray]) -> None:
        accumulate(products, part, combinations, moments)

    tasks = list(zip(parts, found, strict=True))
    in_threads(task, tasks, cores or available_cores(), least=len(tasks))
    sizes = [len(part) for part in parts]
    return [
        _pool(each, sizes, D @ products.beta0)
        for each, (_, D) in zip(zip(*found, strict=True), wanted, strict=True)
    ]


def _combination(products: CrossProducts, A: NDArray, D: NDArray) -> tuple[NDArray, NDArray]:
    """A, and D with a column for every coefficient of the rest."""
    on_rest = np.zeros((len(A), products.rest_size))
    on_rest[:, products.rest_size - products.n_common :] = D
    return np.ascontiguousarray(A, float), on_rest


def _pool(
    moments: Sequence[NDArray], sizes: Sequence[int], known: NDArray
) -> tuple[NDArray, NDArray]:
    """Mean and variance of all draws from those of chunks (Chan, Golub & LeVeque 1983)."""
    means, squares, variances = np.stack(moments, axis=1)
    shares = np.array(sizes)[:, None, None] / sum(sizes)
    mean = (shares * means).sum(axis=0)
    spread = squares.sum(axis=0) / sum(sizes) + (shares * (means - mean) ** 2).sum(axis=0)
    return mean + known, spread + (shares * variances).sum(axis=0)


def _accumulate_dense(
    products: CrossProducts,
    theta: NDArray,
    combinations: Sequence[tuple[NDArray, NDArray]],
    moments: Sequence[NDArray],
) -> None:
    for block, (A, D) in enumerate(combinations):
        accumulate_dense(theta, products.words, products.order.index(block), A, D, moments[block])


def _accumulate_sparse(
    products: CrossProducts,
    theta: NDArray,
    combinations: Sequence[tuple[NDArray, NDArray]],
    moments: Sequence[NDArray],
) -> None:
    """Do as the dense one; the distribution of a large rest is made once for all blocks."""
    for draw in range(len(theta)):
        v, covariance = _rest_sparse(theta[draw], products.words)
        for block, (A, D) in enumerate(combinations):
            factor = products.order.index(block)
            _combine_sparse(
                theta[draw], products.words, factor, A, D, v, covariance, draw, moments[block]
            )


@kernel
def accumulate_dense(theta, words, factor, A, D, moments):
    table, n_rest = factor_table(words), rest_size(words)
    q = table[0, WIDTH]
    own, panels = level_products(words, q, n_rest + 1)
    C, G, _ = lane_scratch(q, n_rest + 1 + q)
    level_C, level_G = np.empty((q, q)), np.empty((q, n_rest + 1))
    columns = np.arange(n_rest + 1)
    for s in range(len(theta)):
        lambdas, scale = all_lambdas(theta[s], words), residual_precision(theta[s], words)
        Lambda = lambda_of(lambdas, table, 0)
        T, _, _, _ = eliminate_lanes(Lambda, scale, words, n_rest, VALUE_ALONE)
        v, covariance = rest_distribution(lambdas, words, T, n_rest)
        if factor > 0:
            combine_rest(table, factor, A, D, v, covariance, s, moments)
            continue
        for start in range(0, own.shape[2], LANES):
            n = min(LANES, own.shape[2] - start)
            load_lanes(Lambda, scale, own, panels, start, n, C, G)
            for t in range(n):
                copy_lane(C, G, t, level_C, level_G)
                combine_level(
                    level_C, level_G, columns, Lambda, A, D, v, covariance, s, start + t, moments
                )


@kernel
def _rest_sparse(theta, words):
    """Mean and covariance of v given theta."""
    lambdas, scale = all_lambdas(theta, words), residual_precision(theta, words)
    n_rest = rest_size(words)
    T, _ = eliminate_panels(lambda_of(lambdas, factor_table(words), 0), scale, words, n_rest)
    return rest_distribution(lambdas, words, T, n_rest)


@kernel
def _combine_sparse(theta, words, factor, A, D, v, covariance, draw, moments):
    table = factor_table(words)
    if factor > 0:
        combine_rest(table, factor, A, D, v, covariance, draw, moments)
        return
    lambdas, scale = all_lambdas(theta, words), residual_precision(theta, words)
    Lambda, q = lambda_of(lambdas, table, 0), table[0, WIDTH]
    own = own_products(words, q)
    C, G, _ = level_scratch(words, q)
    for j in range(len(own)):
        factor_level(Lambda, scale, own[j], C)
        solve_level(C, Lambda, scale, level_panel(words, q, j), G)
        combine_level(C, G, level_columns(words, j), Lambda, A, D, v, covariance, draw, j, moments)


@kernel
def combine_level(C, G, columns, Lambda, A, D, v, covariance, draw, level, moments):
    """The eliminated factor: D acts on every column of the rest, G on those of the level."""
    q, last = C.shape[0], len(columns) - 1
    row, loading = np.empty(q), np.empty(len(v))
    for k in range(A.shape[0]):
        _left_factor(A[k], Lambda, C, row)
        mean, variance = 0.0, 0.0
        for c in range(len(v)):
            loading[c] = -D[k, c]
        for i in range(q):
            mean += row[i] * G[i, last]
            variance += row[i] ** 2
            for c in range(last):
                loading[columns[c]] += row[i] * G[i, c]
        for c in range(len(v)):
            mean -= loading[c] * v[c]
        _add_draw(moments, level, k, draw, mean, variance + _quadratic(loading, covariance))


@kernel
def _left_factor(combination, Lambda, C, row):
    """row = combination Lambda C^-T."""
    for i in range(len(row)):
        row[i] = 0.0
        for a in range(i, len(row)):
            row[i] += combination[a] * Lambda[a, i]
        for m in range(i):
            row[i] -= C[i, m] * row[m]
        row[i] /= C[i, i]


@kernel
def combine_rest(table, factor, A, D, v, covariance, draw, moments):
    q = table[factor, WIDTH]
    loading = np.empty(len(v))
    for level in range(table[factor, LEVELS]):
        start = table[factor, COLUMN_START] + level * q
        for k in range(A.shape[0]):
            mean = 0.0
            for c in range(len(v)):
                loading[c] = D[k, c]
            for a in range(q):
                loading[start + a] += A[k, a]
            for c in range(len(v)):
                mean += loading[c] * v[c]
            _add_draw(moments, level, k, draw, mean, _quadratic(loading, covariance))


@kernel
def _quadratic(loading, covariance):
    """loading' covariance loading; most loadings of a large rest are zero."""
    places, n = np.empty(len(loading), np.int64), 0
    for c in range(len(loading)):
        if loading[c] != 0.0:
            places[n] = c
            n += 1
    total = 0.0
    for i in range(n):
        row, factor = covariance[places[i]], loading[places[i]]
        for j in range(n):
            total += factor * row[places[j]] * loading[places[j]]
    return total


@kernel
def _add_draw(moments, level, k, draw, mean, variance):
    """Welford's update of mean, centred sum of squares of means, and mean variance."""
    step = mean - moments[0, level, k]
    moments[0, level, k] += step / (draw + 1)
    moments[1, level, k] += step * (mean - moments[0, level, k])
    moments[2, level, k] += (variance - moments[2, level, k]) / (draw + 1)


@kernel
def rest_distribution(lambdas, words, T, n):
    """Mean (n,) of v = Lambda z, and its covariance in the first n rows and columns."""
    _, P, u, _, _ = rest_system(lambdas, words, T, n)
    rest_inverse(words, P)
    _, covariance = raw_moments(lambdas, words, P, np.zeros(n))
    scale_draw(lambdas, factor_table(words), u, FORWARD)
    return u, covariance


@kernel
def copy_lane(C, G, t, level_C, level_G):
    for k in range(level_C.shape[0]):
        for i in range(k + 1):
            level_C[k, i] = C[k, i, t]
        for c in range(level_G.shape[1]):
            level_G[k, c] = G[k, c, t]
