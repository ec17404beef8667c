"""The log-density of any family in informed non-centred coordinates.

With w = (z, beta) all coefficients, M(theta) = Lambda'C Lambda + D0 and r(theta) = Lambda'c + D0 m
of the likelihood frozen at a pilot (`information`), R R' = M the Cholesky factor with the largest
factor first,

    w = R^-T (R^-1 r + u),      log p(theta, u | y) = log p(theta, w | y) - log|R|.

u is what is left of w after its Gaussian approximation given theta, which is exact where the model
is Gaussian. It is a bijection for every theta, so the posterior is the same whatever was frozen.

With f_w the gradient of the target by w, g = R^-1 f_w is that by u, and by reverse mode

    dR = -tril(w g' + (R^-T g)(R^-1 r)') - diag(1/R),    dr = R^-T g,

which is carried back through the Cholesky factorisation (Murray 2016, arXiv 1602.07527), block by
block: level j of the eliminated factor has

    K_j = Lambda'W_j Lambda + I = C C',    G = C^-1 Lambda'[B_j r_j],    T = C_rest - sum_j G'G.
"""

from __future__ import annotations

import numba
import numpy as np

from . import informed_lanes as lanes
from . import informed_panels as panels
from .compilation import callback, kernel
from .coordinates import DENSITY, EXPANSION, NOT_FINITE, OK, WRONG_SIZE, bend, buffer_at
from .covariance import add_chain_rule
from .lapack import factor, log_diagonal, solve_lower, solve_lower_transposed
from .layout import COLUMN_START, LEVELS, WIDTH, Section, Size, floats, integers
from .priors import add_log_prior
from .rest import (
    FORWARD,
    TRANSPOSED,
    all_lambdas,
    congruence,
    factor_table,
    lambda_of,
    places_of,
    rest_size,
    scale_draw,
)
from .rowdensity import common_prior, likelihood, predictors, predictors_back
from .vectors import add_scaled, copy, dot

__all__ = ["informed_callback", "informed_expansion"]

SIZES, REST = np.int64(Section.SIZES), np.int64(Section.REST)
FORMS, NUMBERS = np.int64(Section.PRIOR_FORMS), np.int64(Section.PRIOR_NUMBERS)
CENTRE, SCALE = np.int64(Section.CENTRE), np.int64(Section.SCALE)
BENDS, KNEES = np.int64(Section.BENDS), np.int64(Section.KNEES)
MEAN, PRECISION = np.int64(Section.COMMON_MEAN), np.int64(Section.COMMON_PRECISION)
PARAMETERS, COMMON, POTRF = int(Size.PARAMETERS), int(Size.COMMON), int(Size.POTRF)
SPARSE, ROWS, PREDICTORS = int(Size.SPARSE), int(Size.ROWS), int(Size.PREDICTORS)
HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)

cholesky_back, symmetric = panels.cholesky_back, panels.symmetric
lane_storage, panel_storage = lanes.storage, panels.storage
lane_factors, panel_factors = lanes.factor_levels, panels.factor_levels
lane_coefficients, panel_coefficients = lanes.coefficients, panels.coefficients
lane_pull, panel_pull = lanes.pull, panels.pull
lane_back, panel_back = lanes.back, panels.back


# --- the coordinates ---------------------------------------------------------------------------


@kernel
def _point(x, words, t):
    """Write t = centre + scale x in the leading coordinates, centre + x in the others."""
    centre, scale = floats(words, CENTRE), floats(words, SCALE)
    m = int(np.sqrt(len(scale)) + 0.5)
    for k in range(len(x)):
        t[k] = centre[k] + (x[k] if k >= m else 0.0)
        if k < m:
            t[k] += dot(scale[k * m : (k + 1) * m], x)


@kernel
def _leave(value, by_t, words, gradient, result):
    """Write value and gradient by x; return the code that nutpie wants."""
    scale = floats(words, SCALE)
    m = int(np.sqrt(len(scale)) + 0.5)
    finite = np.isfinite(value)
    for i in range(len(gradient)):
        gradient[i] = by_t[i] if i >= m else 0.0
    for k in range(m):
        add_scaled(gradient[:m], by_t[k], scale[k * m : (k + 1) * m])
    for i in range(len(gradient)):
        finite &= np.isfinite(gradient[i])
    result[0] = value
    return OK if finite else NOT_FINITE


@kernel
def _theta_of(t, words, theta, slope, log_slope):
    """Write theta and its slopes by t; return the log Jacobian."""
    bends, knees = integers(words, BENDS), floats(words, KNEES)
    value = 0.0
    for k in range(len(theta)):
        theta[k], slope[k], log_slope[k] = bend(bends[k], t[k], knees[k])
        value += np.log(slope[k])
    return value


# --- from u to coefficients --------------------------------------------------------------------


@kernel
def _storage(words, n):
    """Room for the factors of the levels; see `informed_lanes` and `informed_panels`."""
    table = factor_table(words)
    if integers(words, SIZES)[SPARSE]:
        of_C, of_G = panel_storage(table, words)
    else:
        of_C, of_G = lane_storage(table, n)
    return np.empty(of_C), np.empty(of_G)


@kernel
def _eliminate(Lambda, words, C, G, T):
    """Factor the levels, write T (n + 1, n + 1), and return the sum of log C_kk."""
    stored, n = floats(words, REST), T.shape[0] - 1
    for a in range(n + 1):
        copy(T[a], stored[a * (n + 1) : (a + 1) * (n + 1)])
    if not integers(words, SIZES)[SPARSE]:
        return lane_factors(Lambda, words, C, G, T)
    half_log = panel_factors(Lambda, words, C, G, T)
    for a in range(n + 1):
        for b in range(a):
            T[b, a] = T[a, b]
    return half_log


@kernel
def _rest_factor(lambdas, words, T, n, S, s):
    """Write S = Lambda'T Lambda + D0, factored, and s; False if it is not positive definite."""
    table = factor_table(words)
    product = congruence(lambdas, table, T, n)
    for i in range(n):
        copy(S[i], product[i])  # of which the lower triangle is meant
    copy(s, T[n])
    scale_draw(lambdas, table, s, TRANSPOSED)
    mean, precision = floats(words, MEAN), floats(words, PRECISION)
    first = n - len(mean)
    for i in range(n):
        if i < first:
            S[i, i] += 1.0
        else:
            S[i, i] += precision[i - first]
            s[i] += precision[i - first] * mean[i - first]
    return factor(S, integers(words, SIZES)[POTRF])


@kernel
def _effects_of(Lambda, z, b):
    q = Lambda.shape[0]
    for start in range(0, len(z), q):
        for k in range(q):
            total = 0.0
            for i in range(k + 1):
                total += Lambda[k, i] * z[start + i]
            b[start + k] = total


# --- reverse mode ------------------------------------------------------------------------------


@kernel
def _rest_back(lambdas, words, L, T, h, w, g, by_v, by_raw, slopes):
    """From g = dF/du of the rest make the gradient by T (n + 1, n + 1), in by_raw, and by Lambda.

    by_v (n,) is the gradient by raw coefficients v = Lambda w.
    """
    n, table = len(w), factor_table(words)
    p, S = np.empty(n), np.zeros((n, n))
    copy(p, g)
    solve_lower_transposed(L, p)
    for i in range(n):
        for j in range(i + 1):
            S[i, j] = -w[i] * g[j] - p[i] * h[j]
        S[i, i] -= 1.0 / L[i, i]
    cholesky_back(L, S)
    symmetric(S)
    _lambda_of_rest(table, T, S, p, w, by_v, lambdas, slopes)
    for i in range(n):  # Lambda S Lambda', and Lambda p
        scale_draw(lambdas, table, S[i], FORWARD)
    for i in range(n):
        for j in range(n):
            by_raw[i, j] = S[j, i]
    for i in range(n):
        scale_draw(lambdas, table, by_raw[i, :n], FORWARD)
    scale_draw(lambdas, table, p, FORWARD)
    copy(by_raw[n, :n], p)


@kernel
def _lambda_of_rest(table, T, S, p, w, by_v, lambdas, slopes):
    """Add to the slopes by Lambda: 2 T Lambda S + t p' + by_v w', on the diagonal blocks."""
    n = len(w)
    for f in range(1, len(table)):
        q = table[f, WIDTH]
        slope = lambda_of(slopes, table, f)
        for level in range(table[f, LEVELS]):
            start = table[f, COLUMN_START] + level * q
            for b in range(q):
                line = np.empty(n)
                copy(line, S[start + b])
                scale_draw(lambdas, table, line, FORWARD)
                for a in range(b, q):
                    slope[a, b] += 2.0 * dot(T[start + a, :n], line)
                    slope[a, b] += T[n, start + a] * p[start + b] + by_v[start + a] * w[start + b]


# --- value and gradient ------------------------------------------------------------------------


@kernel(inline="always")
def _map(theta, u, words, lambdas, C, G, T, L, h, w, v, z, head):
    """From u = (rest, head) to w and v of the rest, z and b of the head; return log|R| or nan.

    ``h`` gets R^-1 r of the rest.
    """
    n, table = rest_size(words), factor_table(words)
    q, Lambda = table[0, WIDTH], lambda_of(lambdas, table, 0)
    half_log = _eliminate(Lambda, words, C, G, T)
    if not _rest_factor(lambdas, words, T, n, L, h):
        return np.nan
    solve_lower(L, h)
    for i in range(n):
        w[i] = h[i] + u[i]
    solve_lower_transposed(L, w)
    copy(v, w)
    scale_draw(lambdas, table, v, FORWARD)
    if integers(words, SIZES)[SPARSE]:
        panel_coefficients(words, q, C, G, v, u[n:], z)
    else:
        lane_coefficients(words, q, C, G, v, u[n:], z)
    _effects_of(Lambda, z, head)
    return half_log + log_diagonal(L)


@kernel(inline="always")
def _density(t, words, by_t):
    """Log density and its gradient by t = (theta on its bends, u)."""
    sizes, table = integers(words, SIZES), factor_table(words)
    d, p, n = sizes[PARAMETERS], sizes[COMMON], rest_size(words)
    levels, q = table[0, LEVELS], table[0, WIDTH]
    theta, slope, log_slope = np.empty(d), np.empty(d), np.empty(d)
    value = _theta_of(t, words, theta, slope, log_slope)
    by_theta = np.zeros(d)
    value += add_log_prior(
        theta, integers(words, FORMS), floats(words, NUMBERS).reshape((d, 4)), by_theta
    )
    lambdas = all_lambdas(theta, words)
    C, G = _storage(words, n)
    T, L, h = np.empty((n + 1, n + 1)), np.empty((n, n)), np.empty(n)
    w, v, z, head = np.empty(n), np.empty(n), np.empty(levels * q), np.empty(levels * q)
    value -= _map(theta, t[d:], words, lambdas, C, G, T, L, h, w, v, z, head)
    if not np.isfinite(value):
        return np.nan
    # the target at w
    m = n - p
    common, common_slope, by_prior = np.empty(p), np.empty(p), np.empty(p)
    value += common_prior(v[m:], words, common, common_slope, by_prior)
    value -= 0.5 * (dot(z, z) + dot(w[:m], w[:m])) + HALF_LOG_2PI * (m + len(z))
    eta = np.empty((sizes[PREDICTORS], sizes[ROWS]))
    row_slope = np.empty(eta.shape)
    predictors(head, v[:m], common, words, eta)
    value += likelihood(eta, words, row_slope)
    by_b, by_v = np.zeros(levels * q), np.zeros(n)
    predictors_back(row_slope, words, by_b, by_v)
    for k in range(p):
        by_v[m + k] = by_v[m + k] * common_slope[k] + by_prior[k]
    _pull_back(theta, t, words, lambdas, C, G, T, L, h, w, v, z, by_b, by_v, by_theta, by_t[d:])
    for k in range(d):
        by_t[k] = by_theta[k] * slope[k] + log_slope[k]
    return value


@kernel(inline="always")
def _pull_back(theta, t, words, lambdas, C, G, T, L, h, w, v, z, by_b, by_v, by_theta, by_u):
    """Write the gradient by u = (rest, head) and add that by theta."""
    n, table = len(w), factor_table(words)
    m, Lambda = n - integers(words, SIZES)[COMMON], lambda_of(lambdas, table, 0)
    g, sparse = by_u[n:], integers(words, SIZES)[SPARSE]
    if sparse:
        panel_pull(Lambda, words, C, G, z, by_b, g, by_v)
    else:
        lane_pull(Lambda, words, C, G, z, by_b, g, by_v)
    rest = by_u[:n]
    copy(rest, by_v)
    scale_draw(lambdas, table, rest, TRANSPOSED)
    for k in range(m):
        rest[k] -= w[k]
    solve_lower(L, rest)
    slopes, by_raw = np.zeros(len(lambdas)), np.zeros((n + 1, n + 1))
    _rest_back(lambdas, words, L, T, h, w, rest, by_v, by_raw, slopes)
    slope = lambda_of(slopes, table, 0)
    if sparse:
        panel_back(Lambda, words, C, G, v, z, g, by_raw, by_b, slope)
    else:
        lane_back(Lambda, words, C, G, v, z, g, by_raw, by_b, slope)
    for f in range(len(table)):
        sd_places, partial_places = places_of(words, f)
        add_chain_rule(
            theta,
            sd_places,
            partial_places,
            lambda_of(lambdas, table, f),
            lambda_of(slopes, table, f),
            by_theta,
        )


@callback(DENSITY)
def informed_callback(n, x, gradient, value, data):
    """Nutpie's log-density: writes value and gradient, returns 0 or rejects."""
    D, words = int(n), buffer_at(data)
    t, by_t = np.empty(D), np.empty(D)
    _point(numba.carray(x, (D,)), words, t)
    result = _density(t, words, by_t)
    return _leave(result, by_t, words, numba.carray(gradient, (D,)), value)


@callback(EXPANSION)
def informed_expansion(n, n_expanded, x, expanded, data):
    """Nutpie's map of a draw to what is stored: theta, common t, effects of others, of the head."""
    D, words = int(n), buffer_at(data)
    if n != n_expanded:
        return WRONG_SIZE
    table, size = factor_table(words), rest_size(words)
    d, p = integers(words, SIZES)[PARAMETERS], integers(words, SIZES)[COMMON]
    levels, q = table[0, LEVELS], table[0, WIDTH]
    out, t = numba.carray(expanded, (D,)), np.empty(D)
    _point(numba.carray(x, (D,)), words, t)
    slope, log_slope, v = np.empty(d), np.empty(d), np.empty(size)
    _theta_of(t, words, out[:d], slope, log_slope)
    lambdas = all_lambdas(out[:d], words)
    C, G = _storage(words, size)
    T, L = np.empty((size + 1, size + 1)), np.empty((size, size))
    h, w, z = np.empty(size), np.empty(size), np.empty(levels * q)
    _map(out[:d], t[d:], words, lambdas, C, G, T, L, h, w, v, z, out[d + size :])
    copy(out[d : d + p], v[size - p :])
    copy(out[d + p : d + size], v[: size - p])
    return OK
