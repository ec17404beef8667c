"""The dense part that is left when the largest factor is eliminated: other factors and X.

`T` (n + 1, n + 1) holds cross-products of [other factors, X, y] over sigma^2, less what the
eliminated factor explains. With Lambda = blockdiag(I x Lambda_g, I_p) and the priors D0, m,

    S = Lambda' T Lambda + D0,    s = Lambda' t + D0 m,    u = S^-1 s,    P = S^-1.
"""

from __future__ import annotations

import numpy as np

from .compilation import SUM, kernel
from .covariance import add_chain_rule, covariance_factor
from .lapack import factor, invert_factored, log_diagonal, solve_lower, solve_lower_transposed
from .layout import COLUMN_START, LEVELS, PLACE_START, WIDTH, Section, Size, floats, integers

__all__ = [
    "FORWARD",
    "TRANSPOSED",
    "add_rest_gradient",
    "all_lambdas",
    "factor_table",
    "lambda_of",
    "places_of",
    "raw_moments",
    "rest_inverse",
    "rest_size",
    "rest_system",
    "scale_draw",
    "scaled_products",
]

FACTORS, PLACES = np.int64(Section.FACTORS), np.int64(Section.PLACES)
MEAN, PRECISION, SIZES = (
    np.int64(Section.COMMON_MEAN),
    np.int64(Section.COMMON_PRECISION),
    np.int64(Section.SIZES),
)
REST = np.int64(Section.REST)
FORWARD, TRANSPOSED = np.bool_(False), np.bool_(True)  # not literal: see `layout`
POTRF, POTRI = int(Size.POTRF), int(Size.POTRI)


@kernel
def factor_table(words):
    """(F, 4) table of the factors; row 0 is the eliminated one."""
    table = integers(words, FACTORS)
    return table.reshape((len(table) // 4, 4))


@kernel
def places_of(words, f):
    """Places in theta of the log sds (q,) and partial correlations (q, q) of factor f."""
    table = factor_table(words)
    q, start = table[f, WIDTH], table[f, PLACE_START]
    places = integers(words, PLACES)[start : start + q + q * q]
    return places[:q], places[q:].reshape((q, q))


@kernel
def all_lambdas(theta, words):
    """Lambda = diag(sd) L of every factor, one after the other; read by `lambda_of`."""
    table = factor_table(words)
    lambdas = np.empty(len(integers(words, PLACES)))
    for f in range(len(table)):
        sd_places, partial_places = places_of(words, f)
        covariance_factor(theta, sd_places, partial_places, lambda_of(lambdas, table, f))
    return lambdas


@kernel
def lambda_of(lambdas, table, f):
    """Lambda (q, q) of factor f, as a view."""
    q, start = table[f, WIDTH], table[f, PLACE_START]
    return lambdas[start : start + q * q].reshape((q, q))


@kernel
def rest_size(words):
    """n, the number of coefficients of the other factors and X."""
    table, mean = factor_table(words), floats(words, MEAN)
    n = len(mean)
    for f in range(1, len(table)):
        n += table[f, LEVELS] * table[f, WIDTH]
    return n


@kernel
def scaled_products(words, scale):
    """Cross-products (n + 1, n + 1) of [other factors, X, y], times `scale`."""
    stored = floats(words, REST)
    T = np.empty(len(stored))
    for k in range(len(stored)):
        T[k] = stored[k] * scale
    n = rest_size(words)
    return T.reshape((n + 1, n + 1))


@kernel
def rest_system(lambdas, words, T, n):
    """S (n, n), factored, and u (n,), S^-1's product with s; also half log|S| and s'u, or ok =
    False."""
    table = factor_table(words)
    S = congruence(lambdas, table, T, n)
    s = T[-1, :n].copy()
    scale_draw(lambdas, table, s, TRANSPOSED)
    mean, precision = floats(words, MEAN), floats(words, PRECISION)
    first_common = T.shape[0] - 1 - len(mean)
    for i in range(n):
        if i < first_common:
            S[i, i] += 1.0
        else:
            S[i, i] += precision[i - first_common]
            s[i] += precision[i - first_common] * mean[i - first_common]
    if not factor(S, integers(words, SIZES)[POTRF]):
        return False, S, s, 0.0, 0.0
    half = s.copy()
    solve_lower(S, half)
    quadratic = 0.0
    for i in range(n):
        quadratic += half[i] ** 2
    solve_lower_transposed(S, half)
    return True, S, half, log_diagonal(S), quadratic


@kernel
def rest_inverse(words, S):
    """Overwrite the factor of S by P = S^-1."""
    invert_factored(S, integers(words, SIZES)[POTRI])


@kernel
def congruence(lambdas, table, T, n):
    """Lambda' T Lambda of the first n rows and columns; only the lower triangle is meant."""
    S = np.empty((n, n))
    if _all_scalar(table):
        scale = _scales(lambdas, table, n)
        for i in range(n):
            _scaled_row(T[i], scale[i], scale, S[i], i + 1)
        return S
    for i in range(n):
        for j in range(n):
            S[i, j] = T[i, j]
    _apply_both(lambdas, table, S)
    return S


@kernel
def _scales(lambdas, table, n):
    """Lambda's diagonal, all of it where every factor has one effect a level."""
    scale = np.ones(n)
    scale_draw(lambdas, table, scale, FORWARD)
    return scale


@kernel
def _all_scalar(table):
    for f in range(1, len(table)):
        if table[f, WIDTH] > 1:
            return False
    return True


@kernel
def _scaled_row(row, factor, scale, target, n):
    for j in range(n):
        target[j] = row[j] * factor * scale[j]


@kernel
def _apply_both(lambdas, table, S):
    """Overwrite S by Lambda' S Lambda."""
    _times_lambda(lambdas, table, S, FORWARD)
    for f in range(1, len(table)):
        Lambda, q = lambda_of(lambdas, table, f), table[f, WIDTH]
        for level in range(table[f, LEVELS]):
            start = table[f, COLUMN_START] + level * q
            for b in range(q):
                for c in range(S.shape[1]):
                    S[start + b, c] *= Lambda[b, b]
                for a in range(b + 1, q):
                    for c in range(S.shape[1]):
                        S[start + b, c] += Lambda[a, b] * S[start + a, c]


@kernel
def _times_lambda(lambdas, table, M, transposed):
    """Overwrite M by M Lambda, or M Lambda'."""
    for i in range(M.shape[0]):
        scale_draw(lambdas, table, M[i], not transposed)


@kernel
def scale_draw(lambdas, table, x, transposed):
    """Overwrite x by Lambda x, or by Lambda' x; X is left as it is."""
    for f in range(1, len(table)):
        Lambda, q = lambda_of(lambdas, table, f), table[f, WIDTH]
        for level in range(table[f, LEVELS]):
            start = table[f, COLUMN_START] + level * q
            part = x[start : start + q]
            if transposed:
                _transposed_times(Lambda, part)
            else:
                _times(Lambda, part)


@kernel
def _times(Lambda, x):
    for a in range(len(x) - 1, -1, -1):
        x[a] *= Lambda[a, a]
        for b in range(a):
            x[a] += Lambda[a, b] * x[b]


@kernel
def _transposed_times(Lambda, x):
    for b in range(len(x)):
        x[b] *= Lambda[b, b]
        for a in range(b + 1, len(x)):
            x[b] += Lambda[a, b] * x[a]


@kernel
def raw_moments(lambdas, words, P, u):
    """Second moments of the raw coefficients v of the rest: H = E[z v'] and E[(v, -1)(v, -1)']."""
    n, table = len(u), factor_table(words)
    H = P.copy()
    for i in range(n):
        for j in range(n):
            H[i, j] += u[i] * u[j]
    moments = np.empty((n + 1, n + 1))
    for i in range(n):
        moments[n, i] = u[i]
    if _all_scalar(table):  # calls for each level of each row take longer than the products
        scale = _scales(lambdas, table, n)
        for i in range(n):
            _scaled_row(H[i], 1.0, scale, H[i], n)
        for i in range(n):
            for j in range(n):
                moments[i, j] = H[j, i] * scale[j]
    else:
        _times_lambda(lambdas, table, H, TRANSPOSED)
        for i in range(n):
            for j in range(n):
                moments[i, j] = H[j, i]
            scale_draw(lambdas, table, moments[i, :n], FORWARD)
    scale_draw(lambdas, table, moments[n, :n], FORWARD)
    for i in range(n):
        moments[n, i] = -moments[n, i]
        moments[i, n] = moments[n, i]
    moments[n, n] = 1.0
    return H, moments


@kernel
def add_rest_gradient(theta, lambdas, words, T, H, u, gradient):
    """Add dlogp/dtheta of the factors in the rest; returns sum of Lambda_ij dlogp/dLambda_ij.

    dlogp/dLambda_g sums over its levels the diagonal blocks of t u' - T Lambda E[z z'].
    """
    table = factor_table(words)
    trace = 0.0
    for f in range(1, len(table)):
        q = table[f, WIDTH]
        slope = np.zeros((q, q))
        for level in range(table[f, LEVELS]):
            start = table[f, COLUMN_START] + level * q
            for a in range(q):
                for b in range(a + 1):
                    slope[a, b] += T[-1, start + a] * u[start + b]
                    slope[a, b] -= _dot(T[start + a], H[start + b], len(u))
        sd_places, partial_places = places_of(words, f)
        trace += add_chain_rule(
            theta, sd_places, partial_places, lambda_of(lambdas, table, f), slope, gradient
        )
    return trace


@kernel(fastmath=SUM)
def _dot(a, b, n):
    total = 0.0
    for k in range(n):
        total += a[k] * b[k]
    return total
