"""The log-density log p(y, theta, beta): effects integrated out exactly, common coefficients not.

Given beta the effects are normal, whatever the prior of beta: the collapsed density with the
columns of X moved to y. With T what the eliminated factor leaves of the cross-products of [others,
X, y], o the other factors' columns and x those of X,

    S = Lambda'T_oo Lambda + I,    s = Lambda'(T_oy - T_ox beta),    u = S^-1 s,
    q = T_yy - 2 beta'T_xy + beta'T_xx beta - s'u,
    log p(y | theta, beta) = const - N log sigma - q/2 - sum_j log|C_j| - log|S|/2.

u maximises, so that the gradient by beta is that of the quadratic form at u,

    dlogp/dbeta = T_xy - T_xx beta - T_xo Lambda u,

and q is quadratic in (y, beta) together, so that dlogp/dlog sigma = -N + q - sum_g <Lambda_g,
dlogp/dLambda_g>.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core.ccallback import CFunc
from numpy.typing import NDArray

from . import lanes, panels
from .collapsed import product, residual_precision
from .compilation import callback, kernel
from .coordinates import DENSITY, OK, WRONG_SIZE
from .covariance import ABSENT, add_chain_rule
from .drawing import AS_THEY_ARE, Coefficients, Store, chunks, draw_in_chunks
from .joint import EXPANSION, Extra, Joint, buffers, enter, leading_of, leave, point
from .lapack import factor, log_diagonal, solve_lower, solve_lower_transposed
from .layout import Scalar, Section, Size, floats, integers
from .recovery import (
    LANES,
    add_prediction,
    draw_lanes,
    draw_rest,
    scale_in_place,
)
from .rest import (
    FORWARD,
    TRANSPOSED,
    add_rest_gradient,
    all_lambdas,
    congruence,
    factor_table,
    lambda_of,
    places_of,
    raw_moments,
    rest_inverse,
    rest_size,
    scale_draw,
)

__all__ = ["conditional_callbacks", "conditional_expansion", "recover_effects"]

SIZES, SCALARS = np.int64(Section.SIZES), np.int64(Section.SCALARS)
LOG_SIGMA, PARAMETERS, COMMON, POTRF = (
    int(Size.LOG_SIGMA),
    int(Size.PARAMETERS),
    int(Size.COMMON),
    int(Size.POTRF),
)
N, CONSTANT = int(Scalar.N), np.int64(Extra.CONSTANT)

eliminate_lanes, score_lanes = lanes.eliminate, lanes.score
VALUE_ALONE, WITH_SCORE = lanes.VALUE_ALONE, lanes.WITH_SCORE
eliminate_panels, score_panels = panels.eliminate, panels.score
lane_scratch, level_products, load_lanes = (
    lanes.lane_scratch,
    lanes.level_products,
    lanes.load_lanes,
)
factor_level, solve_level, level_scratch = (
    panels.factor_level,
    panels.solve_level,
    panels.level_scratch,
)
level_columns, level_panel, own_products = (
    panels.level_columns,
    panels.level_panel,
    panels.own_products,
)


@kernel
def _system(lambdas, words, T, beta):
    """S (m, m), factored, u (m,), half log|S| and s'u, or ok = False."""
    table = factor_table(words)
    n, p = T.shape[0] - 1, len(beta)
    m = n - p
    S, s = congruence(lambdas, table, T, m), T[n, :m].copy()
    for k in range(p):
        for i in range(m):
            s[i] -= T[m + k, i] * beta[k]
    scale_draw(lambdas, table, s, TRANSPOSED)
    for i in range(m):
        S[i, i] += 1.0
    if not factor(S, integers(words, SIZES)[POTRF]):
        return False, S, s, 0.0, 0.0
    solve_lower(S, s)
    explained = 0.0
    for i in range(m):
        explained += s[i] ** 2
    solve_lower_transposed(S, s)
    return True, S, s, log_diagonal(S), explained


@kernel
def _common_residual(lambdas, words, T, u, beta):
    """T_xy - T_xx beta - T_xo Lambda u, and q but for -s'u."""
    n, p = T.shape[0] - 1, len(beta)
    m = n - p
    b = u.copy()
    scale_draw(lambdas, factor_table(words), b, FORWARD)
    residual = np.empty(p)
    quadratic = T[n, n]
    for k in range(p):
        value = T[n, m + k]
        for i in range(p):
            value -= T[m + k, m + i] * beta[i]
        quadratic -= beta[k] * (T[n, m + k] + value)
        for i in range(m):
            value -= T[m + k, i] * b[i]
        residual[k] = value
    return residual, quadratic


@kernel
def _moments(lambdas, words, S, u, beta):
    """`raw_moments` of the rest with beta known; overwrites S by its inverse."""
    m, n = len(u), len(u) + len(beta)
    rest_inverse(words, S)
    P, mean = np.zeros((n, n)), np.empty(n)
    P[:m, :m] = S
    mean[:m] = u
    mean[m:] = beta
    H, moments = raw_moments(lambdas, words, P, mean)
    return mean, H, moments


@kernel
def _assemble(
    theta, lambdas, words, extra, T, H, mean, score, common, quadratic, half_log, gradient
):
    """Log-likelihood; its gradient by theta and beta is added to `gradient`."""
    d = len(theta)
    Lambda = lambda_of(lambdas, factor_table(words), 0)
    sd_places, partial_places = places_of(words, 0)
    trace = add_chain_rule(
        theta, sd_places, partial_places, Lambda, product(score, Lambda), gradient
    )
    trace += add_rest_gradient(theta, lambdas, words, T, H, mean, gradient)
    for k in range(len(common)):
        gradient[d + k] += common[k]
    value = floats(extra, CONSTANT)[0] - 0.5 * quadratic - half_log
    place = integers(words, SIZES)[LOG_SIGMA]
    if place != ABSENT:
        total = floats(words, SCALARS)[N]
        gradient[place] += quadratic - total - trace
        value -= total * theta[place]
    return value


@kernel(inline="always")
def _dense_likelihood(theta, beta, words, extra, gradient):
    lambdas, scale, n = (
        all_lambdas(theta, words),
        residual_precision(theta, words),
        rest_size(words),
    )
    Lambda = lambda_of(lambdas, factor_table(words), 0)
    T, half_log, products, own = eliminate_lanes(Lambda, scale, words, n, WITH_SCORE)
    ok, S, u, rest_half_log, explained = _system(lambdas, words, T, beta)
    if not ok:
        return -np.inf
    common, quadratic = _common_residual(lambdas, words, T, u, beta)
    mean, H, moments = _moments(lambdas, words, S, u, beta)
    score = score_lanes(products, own, moments)
    half_log += rest_half_log
    return _assemble(
        theta,
        lambdas,
        words,
        extra,
        T,
        H,
        mean,
        score,
        common,
        quadratic - explained,
        half_log,
        gradient,
    )


@kernel(inline="always")
def _sparse_likelihood(theta, beta, words, extra, gradient):
    lambdas, scale, n = (
        all_lambdas(theta, words),
        residual_precision(theta, words),
        rest_size(words),
    )
    Lambda = lambda_of(lambdas, factor_table(words), 0)
    T, half_log = eliminate_panels(Lambda, scale, words, n)
    ok, S, u, rest_half_log, explained = _system(lambdas, words, T, beta)
    if not ok:
        return -np.inf
    common, quadratic = _common_residual(lambdas, words, T, u, beta)
    mean, H, moments = _moments(lambdas, words, S, u, beta)
    score = score_panels(Lambda, scale, words, moments)
    half_log += rest_half_log
    return _assemble(
        theta,
        lambdas,
        words,
        extra,
        T,
        H,
        mean,
        score,
        common,
        quadratic - explained,
        half_log,
        gradient,
    )


@callback(DENSITY)
def _dense_callback(n, x, gradient, value, data):
    words, extra = buffers(data)
    t = np.empty(int(n))
    point(numba.carray(x, (int(n),)), extra, t)
    result, theta, beta, slope, prior = enter(t, words, extra)
    inner = np.zeros(len(slope))
    result += _dense_likelihood(theta, beta, words, extra, inner)
    return leave(result, extra, slope, prior, inner, numba.carray(gradient, (int(n),)), value)


@callback(DENSITY)
def _sparse_callback(n, x, gradient, value, data):
    words, extra = buffers(data)
    t = np.empty(int(n))
    point(numba.carray(x, (int(n),)), extra, t)
    result, theta, beta, slope, prior = enter(t, words, extra)
    inner = np.zeros(len(slope))
    result += _sparse_likelihood(theta, beta, words, extra, inner)
    return leave(result, extra, slope, prior, inner, numba.carray(gradient, (int(n),)), value)


@callback(EXPANSION)
def _expansion(n, n_expanded, x, expanded, data):
    words, extra = buffers(data)
    d, p = integers(words, SIZES)[PARAMETERS], integers(words, SIZES)[COMMON]
    if n != n_expanded:
        return WRONG_SIZE
    t, expanded = np.empty(int(n)), numba.carray(expanded, (int(n),))
    point(numba.carray(x, (int(n),)), extra, t)
    leading_of(t, extra, expanded[:d], expanded[d : d + p], np.empty(d + p), np.empty(d))
    return OK


conditional_callbacks = _dense_callback, _sparse_callback
"""The log-density of (theta, beta), for a dense and for a sparse problem."""


def conditional_expansion() -> CFunc:
    """Nutpie's map of a draw to what is stored: theta and common coefficients."""
    return _expansion()


def recover_effects(
    joint: Joint,
    leading: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    cores: int = 1,
    chains: int = 1,
    store: Store = AS_THEY_ARE,
) -> Coefficients:
    """One draw of all effects per draw of theta and common coefficients (S, d + p), as `recover`
    does."""
    products, d = joint.products, joint.n_theta
    theta = np.ascontiguousarray(leading[:, :d])
    kernel = _draw_sparse if products.sparse else _draw_dense

    def draw(rows: slice, rest: NDArray, head: NDArray) -> None:
        kernel(theta[rows], products.words, rest, head)

    return draw_in_chunks(
        products,
        draw,
        chunks(chains, len(theta) // chains),
        rng=rng,
        cores=cores,
        store=store,
        common=leading[:, d:] - products.beta0,
        least=chains,
    )


@kernel
def _draw_dense(theta, words, rest, effects):
    """Overwrite standard normals by draws: others in rest (S, n), beta being there already; effects
    (S, J, q)."""
    table, q, n = factor_table(words), effects.shape[2], rest.shape[1]
    m = n - integers(words, SIZES)[COMMON]
    C, G, _ = lane_scratch(q, n + 1 + q)
    own, panel = level_products(words, q, n + 1)
    for s in range(len(theta)):
        lambdas, scale = all_lambdas(theta[s], words), residual_precision(theta[s], words)
        Lambda = lambda_of(lambdas, table, 0)
        T, _, _, _ = eliminate_lanes(Lambda, scale, words, n, VALUE_ALONE)
        _, root, u, _, _ = _system(lambdas, words, T, rest[s, m:])
        draw_rest(root, u, lambdas, table, rest[s, :m])
        for start in range(0, effects.shape[1], LANES):
            size = min(LANES, effects.shape[1] - start)
            load_lanes(Lambda, scale, own, panel, start, size, C, G)
            draw_lanes(Lambda, C, G, rest[s], effects[s, start : start + size])


@kernel
def _draw_sparse(theta, words, rest, effects):
    """Do as `_draw_dense` where panels hold only the columns that occur."""
    table, q, n = factor_table(words), effects.shape[2], rest.shape[1]
    m = n - integers(words, SIZES)[COMMON]
    own = own_products(words, q)
    C, G, _ = level_scratch(words, q)
    for s in range(len(theta)):
        lambdas, scale = all_lambdas(theta[s], words), residual_precision(theta[s], words)
        Lambda = lambda_of(lambdas, table, 0)
        T, _ = eliminate_panels(Lambda, scale, words, n)
        _, root, u, _, _ = _system(lambdas, words, T, rest[s, m:])
        draw_rest(root, u, lambdas, table, rest[s, :m])
        for j in range(len(own)):
            factor_level(Lambda, scale, own[j], C)
            solve_level(C, Lambda, scale, level_panel(words, q, j), G)
            add_prediction(G, level_columns(words, j), rest[s], effects[s, j])
            solve_lower_transposed(C, effects[s, j])
            scale_in_place(Lambda, effects[s, j])
