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
from .coefficientpriors import add_coefficient_prior, from_line
from .compilation import SUM, callback, kernel
from .coordinates import DENSITY, EXPANSION, NOT_FINITE, OK, WRONG_SIZE, bend, buffer_at
from .covariance import add_chain_rule
from .lapack import factor, log_diagonal, solve_lower, solve_lower_transposed
from .layout import COLUMN_START, LEVELS, WIDTH, Section, Size, floats, integers
from .likelihoodcall import call_likelihood
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

__all__ = ["informed_callback", "informed_expansion"]

SIZES, FORMS, NUMBERS = (
    np.int64(Section.SIZES),
    np.int64(Section.PRIOR_FORMS),
    np.int64(Section.PRIOR_NUMBERS),
)
CENTRE, SCALE, BENDS, KNEES = (
    np.int64(Section.CENTRE),
    np.int64(Section.SCALE),
    np.int64(Section.BENDS),
    np.int64(Section.KNEES),
)
MEAN, PRECISION = np.int64(Section.COMMON_MEAN), np.int64(Section.COMMON_PRECISION)
REST = np.int64(Section.REST)
RESPONSE, TRIALS, COUNTS = (
    np.int64(Section.RESPONSE),
    np.int64(Section.TRIALS),
    np.int64(Section.COUNTS),
)
OFFSETS, CONSTANT = np.int64(Section.OFFSETS), np.int64(Section.CONSTANT)
COMMON_COLUMNS, COMMON_PREDICTORS = (
    np.int64(Section.COMMON_COLUMNS),
    np.int64(Section.COMMON_PREDICTORS),
)
COMMON_FORMS, COMMON_NUMBERS = np.int64(Section.COMMON_FORMS), np.int64(Section.COMMON_NUMBERS)
GROUP_COLUMNS, GROUP_LEVELS, GROUP_PREDICTORS = (
    np.int64(Section.GROUP_COLUMNS),
    np.int64(Section.GROUP_LEVELS),
    np.int64(Section.GROUP_PREDICTORS),
)
PARAMETERS, COMMON, POTRF = int(Size.PARAMETERS), int(Size.COMMON), int(Size.POTRF)
SPARSE = int(Size.SPARSE)
ROWS, PREDICTORS, LIKELIHOOD, ORDERED = (
    int(Size.ROWS),
    int(Size.PREDICTORS),
    int(Size.LIKELIHOOD),
    int(Size.ORDERED),
)
LINK_LOG, LINK_LOGIT = 1, 2
ABOVE, BETWEEN = 1, 3
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
            t[k] += _dot(scale[k * m : (k + 1) * m], x)


@kernel
def _leave(value, by_t, words, gradient, result):
    """Write value and gradient by x; return the code that nutpie wants."""
    scale = floats(words, SCALE)
    m = int(np.sqrt(len(scale)) + 0.5)
    finite = np.isfinite(value)
    for i in range(len(gradient)):
        gradient[i] = by_t[i] if i >= m else 0.0
    for k in range(m):
        _add_scaled(gradient[:m], by_t[k], scale[k * m : (k + 1) * m])
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
        _copy(T[a], stored[a * (n + 1) : (a + 1) * (n + 1)])
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
        _copy(S[i], product[i])  # of which the lower triangle is meant
    _copy(s, T[n])
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


# --- the likelihood and the priors -------------------------------------------------------------


@kernel
def _coefficient(form, link, t, lower, upper):
    """What a coefficient adds to its predictor, and the derivative by t."""
    if link == LINK_LOG and form == ABOVE and lower == 0.0:
        return t, 1.0
    if link == LINK_LOGIT and form == BETWEEN and lower == 0.0 and upper == 1.0:
        return t, 1.0
    value, slope = from_line(form, t, lower, upper)
    if link == LINK_LOG:
        return np.log(value), slope / value
    if link == LINK_LOGIT:
        return np.log(value / (1.0 - value)), slope / (value * (1.0 - value))
    return value, slope


@kernel
def _common_prior(t, words, value, slope, gradient):
    """Log prior of t (p,); writes what each adds to its predictor, the slopes, and the gradient."""
    forms, numbers = integers(words, COMMON_FORMS), floats(words, COMMON_NUMBERS)
    ordered = integers(words, SIZES)[ORDERED]
    total = 0.0
    for k in range(len(t)):
        gradient[k] = 0.0
        own, limits = forms[4 * k : 4 * k + 3], numbers[6 * k + 4 : 6 * k + 6]
        value[k], slope[k] = _coefficient(own[0], forms[4 * k + 3], t[k], limits[0], limits[1])
        if k < ordered:
            natural = from_line(own[0], t[k], limits[0], limits[1])[0]
            total += add_coefficient_prior(
                own, numbers[6 * k : 6 * k + 6], t[k], natural, gradient[k : k + 1]
            )
    return total + _ordered_prior(t, words, ordered, gradient)


@kernel
def _ordered_prior(t, words, first, gradient):
    """Log prior of thresholds c_1 = t_1, c_k = c_(k-1) + exp(t_k), with the Jacobian."""
    forms, numbers = integers(words, COMMON_FORMS), floats(words, COMMON_NUMBERS)
    total, threshold, slopes = 0.0, 0.0, np.zeros(len(t))
    for k in range(first, len(t)):
        threshold = t[k] if k == first else threshold + np.exp(t[k])
        total += add_coefficient_prior(
            forms[4 * k : 4 * k + 3],
            numbers[6 * k : 6 * k + 6],
            threshold,
            threshold,
            slopes[k : k + 1],
        )
        total += 0.0 if k == first else t[k]
    tail = 0.0
    for k in range(len(t) - 1, first - 1, -1):
        tail += slopes[k]
        gradient[k] += tail if k == first else tail * np.exp(t[k]) + 1.0
    return total


@kernel
def _predictors(head, others, common, words, eta):
    """Write eta (K, N)."""
    n_rows = eta.shape[1]
    offsets = floats(words, OFFSETS)
    for k in range(len(eta)):
        _copy(eta[k], offsets[k * n_rows : (k + 1) * n_rows])
    columns, owners = floats(words, COMMON_COLUMNS), integers(words, COMMON_PREDICTORS)
    for k in range(len(common)):
        _add_scaled(eta[owners[k]], common[k], columns[k * n_rows : (k + 1) * n_rows])
    table, place = factor_table(words), 0
    columns, levels = floats(words, GROUP_COLUMNS), integers(words, GROUP_LEVELS)
    owners = integers(words, GROUP_PREDICTORS)
    for f in range(len(table)):
        q = table[f, WIDTH]
        b = head if f == 0 else others[table[f, COLUMN_START] :]
        level = levels[f * n_rows : (f + 1) * n_rows]
        for k in range(q):
            _gather(eta[owners[f]], columns[place : place + n_rows], b[k:], level, q)
            place += n_rows


@kernel
def _gather(eta, column, b, level, q):
    for i in range(len(eta)):
        eta[i] += column[i] * b[level[i] * q]


@kernel
def _predictors_back(slope, words, by_head, by_rest):
    """Add the gradient by effects, and by what common coefficients add to their predictors."""
    n_rows = slope.shape[1]
    columns, owners = floats(words, COMMON_COLUMNS), integers(words, COMMON_PREDICTORS)
    first = len(by_rest) - len(owners)
    for k in range(len(owners)):
        by_rest[first + k] += _dot(columns[k * n_rows : (k + 1) * n_rows], slope[owners[k]])
    table, place = factor_table(words), 0
    columns, levels = floats(words, GROUP_COLUMNS), integers(words, GROUP_LEVELS)
    owners = integers(words, GROUP_PREDICTORS)
    for f in range(len(table)):
        q = table[f, WIDTH]
        target = by_head if f == 0 else by_rest[table[f, COLUMN_START] :]
        level = levels[f * n_rows : (f + 1) * n_rows]
        for k in range(q):
            _scatter(slope[owners[f]], columns[place : place + n_rows], target[k:], level, q)
            place += n_rows


@kernel
def _scatter(slope, column, target, level, q):
    """Add to each level; rows of one level that follow each other are summed first."""
    total, current = 0.0, level[0]
    for i in range(len(slope)):
        if level[i] != current:
            target[current * q] += total
            total, current = 0.0, level[i]
        total += column[i] * slope[i]
    target[current * q] += total


@kernel
def _likelihood(eta, words, slope):
    """Sum of counts times log f, and its slopes (K, N)."""
    sizes, counts = integers(words, SIZES), floats(words, COUNTS)
    n = eta.shape[1]
    value = np.empty(n)
    code: int = call_likelihood(
        sizes[LIKELIHOOD],
        n,
        floats(words, RESPONSE),
        floats(words, TRIALS),
        eta,
        integers(words, CONSTANT),
        value,
        slope,
    )
    for k in range(eta.shape[0]):
        _multiply(slope[k], counts)
    return _dot(counts, value) if code == 0 else np.nan


# --- reverse mode ------------------------------------------------------------------------------


@kernel
def _rest_back(lambdas, words, L, T, h, w, g, by_v, by_raw, slopes):
    """From g = dF/du of the rest make the gradient by T (n + 1, n + 1), in by_raw, and by Lambda.

    by_v (n,) is the gradient by raw coefficients v = Lambda w.
    """
    n, table = len(w), factor_table(words)
    p, S = np.empty(n), np.zeros((n, n))
    _copy(p, g)
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
    _copy(by_raw[n, :n], p)


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
                _copy(line, S[start + b])
                scale_draw(lambdas, table, line, FORWARD)
                for a in range(b, q):
                    slope[a, b] += 2.0 * _dot(T[start + a, :n], line)
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
    _copy(v, w)
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
    value += _common_prior(v[m:], words, common, common_slope, by_prior)
    value -= 0.5 * (_dot(z, z) + _dot(w[:m], w[:m])) + HALF_LOG_2PI * (m + len(z))
    eta = np.empty((sizes[PREDICTORS], sizes[ROWS]))
    row_slope = np.empty(eta.shape)
    _predictors(head, v[:m], common, words, eta)
    value += _likelihood(eta, words, row_slope)
    by_b, by_v = np.zeros(levels * q), np.zeros(n)
    _predictors_back(row_slope, words, by_b, by_v)
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
    _copy(rest, by_v)
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


@kernel(fastmath=SUM)
def _dot(a, b):
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@kernel
def _add_scaled(target, factor, source):
    for k in range(len(target)):
        target[k] += factor * source[k]


@kernel
def _copy(target, source):
    for k in range(len(target)):
        target[k] = source[k]


@kernel
def _multiply(target, source):
    for k in range(len(target)):
        target[k] *= source[k]


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
    _copy(out[d : d + p], v[size - p :])
    _copy(out[d + p : d + size], v[: size - p])
    return OK
