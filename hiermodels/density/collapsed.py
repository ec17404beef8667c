"""The collapsed log-density log p(y, theta) and its gradient: coefficients integrated out exactly.

With M = Lambda'C Lambda/sigma^2 + D0 and r = Lambda'c/sigma^2 + D0 m,

    log p(y | theta) = -1/2 [N log 2 pi sigma^2 + y'Omega y/sigma^2 + m'D0 m + sum log s0^2
                             + log|M| - r'M^-1 r]

and, as every Lambda is divided by sigma wherever it occurs,

    dlogp/dlog sigma = -N + q - sum_g <Lambda_g, dlogp/dLambda_g>
                       + sum_k [1 - V_kk/s_k^2 + (2 u_k m_k - u_k^2)/s_k^2]

with q = y'Omega y/sigma^2 - r'M^-1 r, and k over the common coefficients. No inverse of an sd or of
L occurs. (DESIGN section 5; Lai, Domke & Sheldon 2024, arXiv 2410.24079, for the precedent.)
"""

from __future__ import annotations

import numpy as np

from . import lanes, panels
from .compilation import kernel
from .covariance import ABSENT, add_chain_rule
from .layout import Scalar, Section, Size, floats, integers
from .rest import (
    add_rest_gradient,
    all_lambdas,
    factor_table,
    lambda_of,
    places_of,
    raw_moments,
    rest_inverse,
    rest_size,
    rest_system,
)

__all__ = ["dense_likelihood", "log_likelihood", "residual_precision", "sparse_likelihood"]

SIZES, SCALARS = np.int64(Section.SIZES), np.int64(Section.SCALARS)
MEAN, PRECISION = np.int64(Section.COMMON_MEAN), np.int64(Section.COMMON_PRECISION)
LOG_SIGMA, VALUE_ONLY = int(Size.LOG_SIGMA), int(Size.VALUE_ONLY)
N, CONSTANT = int(Scalar.N), int(Scalar.CONSTANT)

eliminate_lanes, score_lanes, WITH_SCORE = lanes.eliminate, lanes.score, lanes.WITH_SCORE
eliminate_panels, score_panels = panels.eliminate, panels.score


@kernel
def residual_precision(theta, words):
    """1/sigma^2, or 1 where standard errors are known."""
    place = integers(words, SIZES)[LOG_SIGMA]
    return 1.0 if place == ABSENT else np.exp(-2.0 * theta[place])


@kernel(inline="always")
def dense_likelihood(theta, words, gradient):
    """Log-likelihood where the rest is small; its gradient is added to `gradient`."""
    lambdas, scale = all_lambdas(theta, words), residual_precision(theta, words)
    Lambda = lambda_of(lambdas, factor_table(words), 0)
    n = rest_size(words)
    T, half_log, products, own = eliminate_lanes(Lambda, scale, words, n, WITH_SCORE)
    ok, P, u, rest_half_log, explained = rest_system(lambdas, words, T, n)
    if not ok:
        return -np.inf
    rest_inverse(words, P)
    H, moments = raw_moments(lambdas, words, P, u)
    covariance_score = score_lanes(products, own, moments)
    quadratic = T[-1, -1] - explained
    _add_gradient(theta, lambdas, words, T, P, H, u, covariance_score, quadratic, gradient)
    return log_likelihood(theta, words, quadratic, half_log + rest_half_log, ok)


@kernel(inline="always")
def sparse_likelihood(theta, words, gradient):
    """Log-likelihood where the rest is large; its gradient is added to `gradient`."""
    lambdas, scale = all_lambdas(theta, words), residual_precision(theta, words)
    Lambda = lambda_of(lambdas, factor_table(words), 0)
    n = rest_size(words)
    T, half_log = eliminate_panels(Lambda, scale, words, n)
    ok, P, u, rest_half_log, explained = rest_system(lambdas, words, T, n)
    if not ok:
        return -np.inf
    quadratic = T[-1, -1] - explained
    if integers(words, SIZES)[VALUE_ONLY]:
        return log_likelihood(theta, words, quadratic, half_log + rest_half_log, ok)
    rest_inverse(words, P)
    H, moments = raw_moments(lambdas, words, P, u)
    covariance_score = score_panels(Lambda, scale, words, moments)
    _add_gradient(theta, lambdas, words, T, P, H, u, covariance_score, quadratic, gradient)
    return log_likelihood(theta, words, quadratic, half_log + rest_half_log, ok)


@kernel
def log_likelihood(theta, words, quadratic, half_log, ok):
    """Put together what is left of y'y, and half the log determinants; -inf where not `ok`."""
    if not ok:
        return -np.inf
    scalars = floats(words, SCALARS)
    place = integers(words, SIZES)[LOG_SIGMA]
    log_sigma = 0.0 if place == ABSENT else theta[place]
    return scalars[CONSTANT] - scalars[N] * log_sigma - 0.5 * quadratic - half_log


@kernel
def _add_gradient(theta, lambdas, words, T, P, H, u, covariance_score, quadratic, gradient):
    Lambda = lambda_of(lambdas, factor_table(words), 0)
    sd_places, partial_places = places_of(words, 0)
    slope = product(covariance_score, Lambda)
    trace = add_chain_rule(theta, sd_places, partial_places, Lambda, slope, gradient)
    trace += add_rest_gradient(theta, lambdas, words, T, H, u, gradient)
    place = integers(words, SIZES)[LOG_SIGMA]
    if place != ABSENT:
        gradient[place] += (
            quadratic - floats(words, SCALARS)[N] - trace + _common_information(words, P, u)
        )


@kernel
def product(A, B):
    C = np.zeros((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * B[k, j]
    return C


@kernel
def _common_information(words, P, u):
    mean, precision = floats(words, MEAN), floats(words, PRECISION)
    first = len(u) - len(mean)
    total = 0.0
    for k in range(len(mean)):
        value = u[first + k]
        total += 1.0 - precision[k] * (
            P[first + k, first + k] - 2.0 * value * mean[k] + value * value
        )
    return total
