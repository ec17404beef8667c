"""The eliminated factor of `informed` where the rest is small: all levels at once, level last.

The arrays are C (q + 1, q, J), with 1/C_kk in the last row, G (q, n + 1 + q, J), whose last q
columns are scratch, and z, u, g (q, J). The algebra is that of `informed`, for dense panels.
"""

from __future__ import annotations

import numpy as np

from .compilation import kernel
from .lanes import level_products, load_lanes, log_lanes, subtract_squares
from .layout import LEVELS, WIDTH
from .vectors import add_scaled, dot, multiply, scale, subtract

__all__ = ["back", "coefficients", "factor_levels", "pull", "storage"]


@kernel
def storage(table, n):
    """Sizes of C and G as flat arrays."""
    q, levels = table[0, WIDTH], table[0, LEVELS]
    return (q + 1) * q * levels, q * (n + 1 + q) * levels


@kernel
def _shaped(C, G, q, n):
    levels = len(C) // (q * (q + 1))
    return C.reshape((q + 1, q, levels)), G.reshape((q, n + 1 + q, levels))


@kernel
def factor_levels(Lambda, words, C, G, T):
    """Write C and G; take G'G from T; return the sum of log C_kk."""
    q, n = Lambda.shape[0], T.shape[0] - 1
    C3, G3 = _shaped(C, G, q, n)
    own, panel = level_products(words, q, n + 1)
    load_lanes(Lambda, 1.0, own, panel, 0, C3.shape[2], C3, G3)
    subtract_squares(T, G3, C3.shape[2])
    return log_lanes(C3, C3.shape[2])


@kernel
def coefficients(words, q, C, G, v, u, z):
    """Write z_j = C^-T (h_j + u_j - G_j v), interleaved (J q,)."""
    n = len(v)
    C3, G3 = _shaped(C, G, q, n)
    levels = C3.shape[2]
    work = np.empty((q, levels))
    for k in range(q):
        for j in range(levels):
            work[k, j] = G3[k, n, j] + u[j * q + k]
        for c in range(n):
            add_scaled(work[k], -v[c], G3[k, c])
    for i in range(q - 1, -1, -1):
        multiply(work[i], C3[q, i])
        for k in range(i):
            subtract(work[k], C3[i, k], work[i])
    _interleave(work, z)


@kernel
def pull(Lambda, words, C, G, z, by_b, g, by_v):
    """Write g = C^-1 (Lambda' by_b - z), interleaved, and take G'g from by_v."""
    q, n = Lambda.shape[0], len(by_v)
    C3, G3 = _shaped(C, G, q, n)
    levels = C3.shape[2]
    work = np.empty((q, levels))
    for k in range(q):
        for j in range(levels):
            total = -z[j * q + k]
            for i in range(k, q):
                total += Lambda[i, k] * by_b[j * q + i]
            work[k, j] = total
        for i in range(k):
            subtract(work[k], C3[k, i], work[i])
        multiply(work[k], C3[q, k])
        for c in range(n):
            by_v[c] -= dot(G3[k, c], work[k])
    _interleave(work, g)


@kernel
def back(Lambda, words, C, G, v, z, g, by_raw, by_b, slope):
    """Add the gradient by Lambda; by_raw (n + 1, n + 1) is that by T."""
    q, n = Lambda.shape[0], len(v)
    C3, G3 = _shaped(C, G, q, n)
    levels = C3.shape[2]
    own, panel = level_products(words, q, n + 1)
    z2, g2, b2 = _apart(z, q), _apart(g, q), _apart(by_b, q)
    by_G = np.empty((q, n + 1, levels))
    for k in range(q):
        for c in range(n):
            scale(by_G[k, c], -v[c], g2[k])
            for a in range(n):
                add_scaled(by_G[k, c], -2.0 * by_raw[a, c], G3[k, a])
            add_scaled(by_G[k, c], -by_raw[n, c], G3[k, n])
        scale(by_G[k, n], 1.0, g2[k])
        for c in range(n):
            add_scaled(by_G[k, n], -by_raw[n, c], G3[k, c])
    for c in range(n + 1):
        for i in range(q - 1, -1, -1):
            multiply(by_G[i, c], C3[q, i])
            for k in range(i):
                subtract(by_G[k, c], C3[i, k], by_G[i, c])
    K = np.empty((q, q, levels))
    for a in range(q):
        for b in range(a + 1):
            scale(K[a, b], 0.0, z2[a])
            subtract(K[a, b], z2[a], g2[b])
            slope[a, b] += dot(b2[a], z2[b])
            for c in range(n + 1):
                subtract(K[a, b], by_G[a, c], G3[b, c])
                slope[a, b] += dot(panel[a, c], by_G[b, c])
        add_scaled(K[a, a], -1.0, C3[q, a])
    _cholesky_back(C3, K)
    _add_own(Lambda, own, K, slope)


@kernel
def _cholesky_back(C, K):
    """From the gradient by C make that by K, symmetric, in every lane; C has 1/C_kk last."""
    q = K.shape[0]
    for j in range(q - 1, -1, -1):
        diagonal, inverse = K[j, j], C[q, j]
        for i in range(j + 1, q):
            multiply(K[i, j], inverse)
            subtract(diagonal, K[i, j], C[i, j])
        multiply(diagonal, inverse)
        for c in range(j):
            subtract(K[j, c], diagonal, C[j, c])
            for i in range(j + 1, q):
                subtract(K[j, c], K[i, j], C[i, c])
                subtract(K[i, c], K[i, j], C[j, c])
    for i in range(q):
        for j in range(i + 1):
            for t in range(K.shape[2]):
                K[i, j, t] *= 0.5
                K[j, i, t] = K[i, j, t]


@kernel
def _add_own(Lambda, own, K, slope):
    """Add 2 W Lambda K, summed over levels, to the lower triangle of the slope by Lambda."""
    q = Lambda.shape[0]
    for a in range(q):
        for b in range(a + 1):
            for m in range(q):
                for i in range(m + 1):
                    slope[a, b] += 2.0 * Lambda[m, i] * dot(own[a, m], K[i, b])


@kernel
def _apart(x, q):
    """(J q,) as (q, J)."""
    out = np.empty((q, len(x) // q))
    for j in range(out.shape[1]):
        for k in range(q):
            out[k, j] = x[j * q + k]
    return out


@kernel
def _interleave(work, x):
    for j in range(work.shape[1]):
        for k in range(work.shape[0]):
            x[j * work.shape[0] + k] = work[k, j]
