"""Exact moments of what a user reads of each level: A b_j + D beta, without a draw of b.

Given theta, v = (other factors, beta) has a known mean and covariance; for the eliminated factor
b_j = Lambda C^-T (G (-v, 1) + e). With a = A Lambda C^-T the combination is linear in v and e,

    A b_j + D v = a G_y - (a G_v - D) v + a e,

so its mean and variance are known, too; their average over draws of theta, with the variance of the
means, is the posterior's (Rao & Blackwell). For a factor of the rest it is linear in v alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..threads import one_thread
from .collapsed import residual_precision
from .compilation import kernel
from .crossproducts import CrossProducts
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
from .recovery import copy_lane, rest_distribution
from .rest import all_lambdas, factor_table, lambda_of, rest_size

__all__ = ["combination_moments"]


def combination_moments(
    products: CrossProducts,
    theta: NDArray[np.float64],
    *,
    block: int,
    A: NDArray[np.float64],
    D: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Posterior mean and variance of A b_j + D beta for every level of a block, (J, K) each.

    `A` is (K, q) on the block's effects, `D` (K, p) on the common coefficients, `theta` (S, d).
    """
    levels, _ = products.shapes[block]
    on_rest = np.zeros((len(A), products.rest_size))
    on_rest[:, products.rest_size - products.n_common :] = D
    moments = np.zeros((3, levels, len(A)))
    accumulate = _accumulate_sparse if products.sparse else accumulate_dense
    with one_thread():
        accumulate(
            np.ascontiguousarray(theta),
            products.words,
            products.order.index(block),
            np.ascontiguousarray(A, float),
            on_rest,
            moments,
        )
    mean, squares, variance = moments
    return mean + D @ products.beta0, variance + squares / len(theta)


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
def _accumulate_sparse(theta, words, factor, A, D, moments):
    table, n_rest = factor_table(words), rest_size(words)
    q = table[0, WIDTH]
    own = own_products(words, q)
    C, G, _ = level_scratch(words, q)
    for s in range(len(theta)):
        lambdas, scale = all_lambdas(theta[s], words), residual_precision(theta[s], words)
        Lambda = lambda_of(lambdas, table, 0)
        T, _ = eliminate_panels(Lambda, scale, words, n_rest)
        v, covariance = rest_distribution(lambdas, words, T, n_rest)
        if factor > 0:
            combine_rest(table, factor, A, D, v, covariance, s, moments)
            continue
        for j in range(len(own)):
            factor_level(Lambda, scale, own[j], C)
            solve_level(C, Lambda, scale, level_panel(words, q, j), G)
            combine_level(C, G, level_columns(words, j), Lambda, A, D, v, covariance, s, j, moments)


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
    total = 0.0
    for c in range(len(loading)):
        if loading[c] != 0.0:
            for d in range(len(loading)):
                total += loading[c] * covariance[c, d] * loading[d]
    return total


@kernel
def _add_draw(moments, level, k, draw, mean, variance):
    """Welford's update of mean, centred sum of squares of means, and mean variance."""
    step = mean - moments[0, level, k]
    moments[0, level, k] += step / (draw + 1)
    moments[1, level, k] += step * (mean - moments[0, level, k])
    moments[2, level, k] += (variance - moments[2, level, k]) / (draw + 1)
