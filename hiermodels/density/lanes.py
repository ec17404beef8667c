"""Eliminate the largest factor onto a small rest: one streaming pass, with no storage per level.

Level j has A = Z_j'Omega Z_j and B = Z_j'Omega [rest y], the rest being the other factors and X.
With Lambda = diag(sd) L,

    K = I + Lambda'A Lambda/sigma^2 = C C',    G = C^-1 Lambda'B/sigma^2,    G_A = C^-1
    Lambda'A/sigma^2, R = B/sigma^2 - G_A'G,                     N = A/sigma^2 - G_A'G_A.

T loses G'G. The gradient by the covariance Sigma = Lambda Lambda' is half the sum over levels of
R E[v v'] R' - N, where v = (rest, -1) has a distribution known only after the pass: so the pass
sums all products R_ka R_lb. Levels are worked on in lanes, innermost, so that the compiler can use
vector instructions whatever q is.
"""

from __future__ import annotations

import numpy as np

from .compilation import SUM, kernel
from .layout import Section, floats
from .rest import scaled_products

__all__ = [
    "LANES",
    "VALUE_ALONE",
    "WITH_SCORE",
    "eliminate",
    "lane_scratch",
    "level_products",
    "load_lanes",
    "log_lanes",
    "score",
    "subtract_squares",
]

LANES = 64
LOGS_AT_ONCE = 4
VALUE_ALONE, WITH_SCORE = np.bool_(False), np.bool_(True)  # not literal: see `layout`
OWN, PANELS = np.int64(Section.OWN), np.int64(Section.PANELS)


@kernel
def lane_scratch(q, columns):
    """Scratch for one batch: C and 1/C_kk; G; R; all with lanes last."""
    return np.empty((q + 1, q, LANES)), np.empty((q, columns, LANES)), np.empty((q, columns, LANES))


@kernel
def level_products(words, q, width):
    """Z_j'Omega Z_j (q, q, J) and Z_j'Omega [rest y] (q, width, J)."""
    own, panels = floats(words, OWN), floats(words, PANELS)
    n_levels = len(own) // (q * q)
    return own.reshape((q, q, n_levels)), panels.reshape((q, width, n_levels))


@kernel
def eliminate(Lambda, scale, words, n_rest, with_score):
    """Schur complement T of [rest y], sum of log C_kk, and for the score sums of R_ka R_lb and of
    N.

    `scale` is 1/sigma^2.
    """
    q = Lambda.shape[0]
    width = n_rest + 1
    own, panels = level_products(words, q, width)
    n_levels = own.shape[2]
    T = scaled_products(words, scale)
    C, G, R = lane_scratch(q, width + q)
    products = np.zeros((q, width, q, width))
    N = np.zeros((q, q))
    half_log = 0.0
    for start in range(0, n_levels, LANES):
        n = min(LANES, n_levels - start)
        load_lanes(Lambda, scale, own, panels, start, n, C, G)
        half_log += log_lanes(C, n)
        subtract_squares(T, G, n)
        if with_score:
            _residual_lanes(scale, own, panels, start, n, G, R)
            _add_products(products, R, n)
            _add_last(N, R, width, n)
    return T, half_log, products, N


@kernel
def load_lanes(Lambda, scale, own, panels, start, n, C, G):
    """Factor K into C (1/C_kk in its last row), and solve G = C^-1 Lambda'[B A]/sigma^2."""
    q, width = panels.shape[0], panels.shape[1]
    for k in range(q):
        for c in range(width):
            _combine(Lambda, scale, panels, k, c, start, n, G[k, c])
        for c in range(q):
            _combine(Lambda, scale, own, k, c, start, n, G[k, width + c])
    _factor_lanes(Lambda, G, C, n)
    for c in range(G.shape[1]):
        for k in range(q):
            g = G[k, c]
            for i in range(k):
                _subtract(g, C[k, i], G[i, c], n)
            _multiply(g, C[q, k], n)


@kernel
def _combine(Lambda, scale, source, k, c, start, n, target):
    """Row k of Lambda'B/sigma^2, column c."""
    for t in range(n):
        target[t] = 0.0
    for i in range(k, Lambda.shape[0]):
        _add_scaled(target, Lambda[i, k] * scale, source[i, c, start : start + n], n)


@kernel
def _factor_lanes(Lambda, G, C, n):
    """Cholesky of I + (Lambda'A/sigma^2) Lambda, the product being in the last columns of G."""
    q = Lambda.shape[0]
    first = G.shape[1] - q
    for k in range(q):
        for m in range(k + 1):
            target = C[k, m]
            for t in range(n):
                target[t] = 1.0 if k == m else 0.0
            for i in range(m, q):
                _add_scaled(target, Lambda[i, m], G[k, first + i], n)
            for i in range(m):
                _subtract(target, C[k, i], C[m, i], n)
            if m < k:
                _multiply(target, C[q, m], n)
        _square_root(C[k, k], C[q, k], n)


@kernel
def _residual_lanes(scale, own, panels, start, n, G, R):
    """R = [B A]/sigma^2 - G_A' G."""
    q, width = panels.shape[0], panels.shape[1]
    for c in range(width + q):
        for k in range(q):
            r = R[k, c]
            b = (
                panels[k, c, start : start + n]
                if c < width
                else own[k, c - width, start : start + n]
            )
            for t in range(n):
                r[t] = scale * b[t]
            for i in range(q):
                _subtract(r, G[i, width + k], G[i, c], n)


@kernel
def log_lanes(C, n):
    """Sum of log C_kk; C_kk >= 1, and a few factors at a time do not overflow."""
    total = 0.0
    for start in range(0, n, LOGS_AT_ONCE):
        for k in range(C.shape[1]):
            product = 1.0
            for t in range(start, min(start + LOGS_AT_ONCE, n)):
                product *= C[k, k, t]
            total += np.log(product)
    return total


@kernel
def subtract_squares(T, G, n):
    for a in range(T.shape[0]):
        for b in range(a + 1):
            total = 0.0
            for k in range(G.shape[0]):
                total += _dot(G[k, a], G[k, b], n)
            T[a, b] -= total
            if b < a:
                T[b, a] -= total


@kernel
def _add_products(products, R, n):
    q, width = products.shape[0], products.shape[1]
    for k in range(q):
        for a in range(width):
            for m in range(k + 1):
                for b in range(width if m < k else a + 1):
                    products[k, a, m, b] += _dot(R[k, a], R[m, b], n)


@kernel
def _add_last(N, R, width, n):
    for k in range(N.shape[0]):
        for m in range(k + 1):
            for t in range(n):
                N[k, m] += R[k, width + m, t]


@kernel
def score(products, N, moments):
    """Twice dlogp/dSigma, sum_j R_j E[v v'] R_j' - N_j."""
    q, width = products.shape[0], products.shape[1]
    total = np.empty((q, q))
    for k in range(q):
        for m in range(k + 1):
            value = -N[k, m]
            for a in range(width):
                for b in range(width):
                    stored = products[k, a, m, b] if m < k or b <= a else products[k, b, m, a]
                    value += stored * moments[a, b]
            total[k, m] = value
            total[m, k] = value
    return total


@kernel(fastmath=SUM)
def _dot(a, b, n):
    total = 0.0
    for t in range(n):
        total += a[t] * b[t]
    return total


@kernel
def _add_scaled(target, factor, source, n):
    for t in range(n):
        target[t] += factor * source[t]


@kernel
def _subtract(target, a, b, n):
    for t in range(n):
        target[t] -= a[t] * b[t]


@kernel
def _multiply(target, a, n):
    for t in range(n):
        target[t] *= a[t]


@kernel
def _square_root(diagonal, inverse, n):
    for t in range(n):
        diagonal[t] = np.sqrt(diagonal[t])
        inverse[t] = 1.0 / diagonal[t]
