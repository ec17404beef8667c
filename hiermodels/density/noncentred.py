"""The non-centred log-density log p(y, theta, beta, z), from cross-products alone.

With b_gj = Lambda_g z_gj, w = (b, beta) and e = Omega^(1/2) (y - W w), of which only cross-products
with the columns of W are needed,

    log p = -1/2 [N log 2 pi sigma^2 + e'e/sigma^2 + z'z + dim(z) log 2 pi] + log prior(beta,
    theta), e'e = y'Omega y - 2 c'w + w'C w,

and with g = (c - C w)/sigma^2, the gradient by w,

    dlogp/dz_gj = Lambda_g' g_gj - z_gj,     dlogp/dLambda_g = sum_j g_gj z_gj',
    dlogp/dlog sigma = -N + e'e/sigma^2.

This is the PyMC model, any prior of beta included; a gradient costs one pass over the nonzeros of
C.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core.ccallback import CFunc

from . import lanes, panels
from .collapsed import residual_precision
from .compilation import SUM, callback, kernel
from .coordinates import DENSITY, OK, WRONG_SIZE
from .covariance import ABSENT, add_chain_rule
from .joint import EXPANSION, Extra, buffers, enter, leading_of, leave, point, theta_of
from .layout import COLUMN_START, LEVELS, WIDTH, Scalar, Section, Size, floats, integers
from .rest import all_lambdas, factor_table, lambda_of, places_of

__all__ = ["noncentred_callbacks", "noncentred_expansion"]

SIZES, SCALARS, REST = np.int64(Section.SIZES), np.int64(Section.SCALARS), np.int64(Section.REST)
LOG_SIGMA, PARAMETERS, COMMON = int(Size.LOG_SIGMA), int(Size.PARAMETERS), int(Size.COMMON)
N, YY = int(Scalar.N), int(Scalar.YY)
CONSTANT, SHEAR = np.int64(Extra.CONSTANT), np.int64(Extra.SHEAR)
POINTERS, COLUMNS, VALUES = (
    np.int64(Extra.REST_POINTERS),
    np.int64(Extra.REST_COLUMNS),
    np.int64(Extra.REST_VALUES),
)
HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)

level_products, own_products = lanes.level_products, panels.own_products
level_columns, level_panel = panels.level_columns, panels.level_panel


@kernel
def effects_of(z, lambdas, words, b):
    """Write b_gj = Lambda_g z_gj; the eliminated factor comes first, then the rest's columns."""
    table, n_head = factor_table(words), _head_size(words)
    for f in range(len(table)):
        Lambda, q = lambda_of(lambdas, table, f), table[f, WIDTH]
        first = 0 if f == 0 else n_head + table[f, COLUMN_START]
        for start in range(first, first + table[f, LEVELS] * q, q):
            for k in range(q):
                total = 0.0
                for i in range(k + 1):
                    total += Lambda[k, i] * z[start + i]
                b[start + k] = total


@kernel
def _head_size(words):
    table = factor_table(words)
    return table[0, LEVELS] * table[0, WIDTH]


@kernel
def residual_of_rest(v, words, extra, residual):
    """Write c - C v of the rest alone; return c'v."""
    n = len(v)
    pointers, columns, values = (
        integers(extra, POINTERS),
        integers(extra, COLUMNS),
        floats(extra, VALUES),
    )
    with_y = floats(words, REST)[n * (n + 1) : n * (n + 1) + n]
    for i in range(n):
        residual[i] = with_y[i] - _sparse_dot(values, columns, pointers[i], pointers[i + 1], v)
    return _dot(with_y, v)


@kernel(fastmath=SUM)
def _sparse_dot(values, columns, start, stop, v):
    total = 0.0
    for k in range(start, stop):
        total += values[k] * v[columns[k]]
    return total


@kernel(fastmath=SUM)
def _dot(a, b):
    total = 0.0
    for t in range(len(a)):
        total += a[t] * b[t]
    return total


@kernel
def _add_scaled(target, factor, source):
    for t in range(len(target)):
        target[t] += factor * source[t]


@kernel
def _subtract_product(target, a, b):
    for t in range(len(target)):
        target[t] -= a[t] * b[t]


@kernel
def _add_head_dense(b, v, words, g, residual):
    """Write c - C w of the head (J, q) and complete that of the rest; return c'b."""
    q, n = b.shape[1], len(v)
    own, panel = level_products(words, q, n + 1)
    line, effect = np.empty(b.shape[0]), np.empty((q, b.shape[0]))
    for k in range(q):
        effect[k] = b[:, k]
    with_y = 0.0
    for k in range(q):
        line[:] = panel[k, n]
        with_y += _dot(line, effect[k])
        for c in range(n):
            _add_scaled(line, -v[c], panel[k, c])
            residual[c] -= _dot(panel[k, c], effect[k])
        for m in range(q):
            _subtract_product(line, own[k, m], effect[m])
        g[:, k] = line
    return with_y


@kernel
def _add_head_sparse(b, v, words, g, residual):
    """Do as `_add_head_dense` where panels hold only the columns that occur."""
    q = b.shape[1]
    own = own_products(words, q)
    with_y = 0.0
    for j in range(len(own)):
        columns, panel = level_columns(words, j), level_panel(words, q, j)
        last = len(columns) - 1
        for k in range(q):
            value = panel[k, last]
            with_y += value * b[j, k]
            for c in range(last):
                value -= panel[k, c] * v[columns[c]]
                residual[columns[c]] -= panel[k, c] * b[j, k]
            for m in range(q):
                value -= own[j, k, m] * b[j, m]
            g[j, k] = value
    return with_y


@kernel
def _finish(theta, z, v, b, g, with_y, prior, words, extra, gradient):
    """Log density of y and z given theta and beta; adds its gradient, by theta, beta and z, from g
    = c - C w."""
    scalars, scale = floats(words, SCALARS), residual_precision(theta, words)
    n_head, d, p = _head_size(words), len(theta), integers(words, SIZES)[COMMON]
    squares = scalars[YY] - with_y - _dot(g[:n_head], b[:n_head]) - _dot(g[n_head:], v)
    for i in range(len(g)):
        g[i] *= scale
    for k in range(p):
        gradient[d + k] += g[len(z) + k]
        # Coefficients with a shear have slope 1, so that these are gradients by t.
        by_coefficient = g[len(z) + k] + prior[d + k]
        _add_scaled(
            g[: len(z)], -by_coefficient, floats(extra, SHEAR)[k * len(z) : (k + 1) * len(z)]
        )
    _effect_gradient(theta, z, g, words, gradient)
    value = (
        floats(extra, CONSTANT)[0] - 0.5 * (squares * scale + _dot(z, z)) - HALF_LOG_2PI * len(z)
    )
    place = integers(words, SIZES)[LOG_SIGMA]
    if place != ABSENT:
        gradient[place] += squares * scale - scalars[N]
        value -= scalars[N] * theta[place]
    return value


@kernel
def _effect_gradient(theta, z, g, words, gradient):
    """Add dlogp/dz and, through Lambda, dlogp/dtheta."""
    lambdas, table, n_head = all_lambdas(theta, words), factor_table(words), _head_size(words)
    by_z = gradient[len(gradient) - len(z) :]
    for f in range(len(table)):
        Lambda, q = lambda_of(lambdas, table, f), table[f, WIDTH]
        slope = np.zeros((q, q))
        first = 0 if f == 0 else n_head + table[f, COLUMN_START]
        for start in range(first, first + table[f, LEVELS] * q, q):
            for k in range(q):
                by_z[start + k] -= z[start + k]
                for i in range(k, q):
                    by_z[start + k] += Lambda[i, k] * g[start + i]
                    slope[i, k] += g[start + i] * z[start + k]
        sd_places, partial_places = places_of(words, f)
        add_chain_rule(theta, sd_places, partial_places, Lambda, slope, gradient)


@kernel
def _point_and_effects(x, words, extra):
    """t, with A b taken from its coefficients, and b."""
    t, p = np.empty(len(x)), integers(words, SIZES)[COMMON]
    point(x, extra, t)
    theta = theta_of(t, words, extra)
    d = len(theta)
    b = np.empty(len(t) - d - p)
    effects_of(t[d + p :], all_lambdas(theta, words), words, b)
    shear = floats(extra, SHEAR)
    for k in range(p):
        t[d + k] -= _dot(shear[k * len(b) : (k + 1) * len(b)], b)
    return t, b


@kernel(inline="always")
def _density(add_head, theta, beta, z, b, prior, words, extra, gradient):
    n_head, q = _head_size(words), factor_table(words)[0, WIDTH]
    v = np.concatenate((b[n_head:], beta))
    g = np.empty(n_head + len(v))
    with_y = residual_of_rest(v, words, extra, g[n_head:])
    shape = (n_head // q, q)
    with_y += add_head(b[:n_head].reshape(shape), v, words, g[:n_head].reshape(shape), g[n_head:])
    return _finish(theta, z, v, b, g, with_y, prior, words, extra, gradient)


@callback(DENSITY)
def _dense_callback(n, x, gradient, value, data):
    words, extra = buffers(data)
    t, b = _point_and_effects(numba.carray(x, (int(n),)), words, extra)
    result, theta, beta, slope, prior = enter(t, words, extra)
    inner = np.zeros(len(t))
    result += _density(_add_head_dense, theta, beta, t[len(slope) :], b, prior, words, extra, inner)
    return leave(result, extra, slope, prior, inner, numba.carray(gradient, (int(n),)), value)


@callback(DENSITY)
def _sparse_callback(n, x, gradient, value, data):
    words, extra = buffers(data)
    t, b = _point_and_effects(numba.carray(x, (int(n),)), words, extra)
    result, theta, beta, slope, prior = enter(t, words, extra)
    inner = np.zeros(len(t))
    result += _density(
        _add_head_sparse, theta, beta, t[len(slope) :], b, prior, words, extra, inner
    )
    return leave(result, extra, slope, prior, inner, numba.carray(gradient, (int(n),)), value)


@callback(EXPANSION)
def _expansion(n, n_expanded, x, expanded, data):
    words, extra = buffers(data)
    d, p = integers(words, SIZES)[PARAMETERS], integers(words, SIZES)[COMMON]
    if n != n_expanded:
        return WRONG_SIZE
    expanded = numba.carray(expanded, (int(n),))
    t, b = _point_and_effects(numba.carray(x, (int(n),)), words, extra)
    leading_of(t, extra, expanded[:d], expanded[d : d + p], np.empty(d + p), np.empty(d))
    expanded[d + p :] = b
    return OK


noncentred_callbacks = _dense_callback, _sparse_callback
"""The log-density of (theta, beta, z), for a dense and for a sparse problem."""


def noncentred_expansion() -> CFunc:
    """Nutpie's map of a draw to what is stored: theta, common coefficients, effects b."""
    return _expansion()
