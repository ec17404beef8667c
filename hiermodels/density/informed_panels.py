"""The eliminated factor of `informed` where the rest is large: level by level, on the columns that
occur with it.

C is (J, q, q) and G ragged as the panels, both flat. The algebra is that of `informed`.
"""

from __future__ import annotations

import numpy as np

from .compilation import kernel
from .lapack import log_diagonal, solve_lower, solve_lower_transposed
from .layout import LEVELS, WIDTH, Section, floats
from .panels import (
    factor_level,
    level_columns,
    level_panel,
    own_products,
    solve_level,
    subtract_square,
)
from .vectors import add_scaled, dot

__all__ = ["back", "cholesky_back", "coefficients", "factor_levels", "pull", "storage", "symmetric"]

PANELS = np.int64(Section.PANELS)


@kernel
def storage(table, words):
    """Sizes of C and G as flat arrays."""
    q = table[0, WIDTH]
    return table[0, LEVELS] * q * q, len(floats(words, PANELS))


@kernel
def factor_levels(Lambda, words, C, G, T):
    """Write C and G; take G'G from T, lower triangle; return the sum of log C_kk."""
    q, own = Lambda.shape[0], own_products(words, Lambda.shape[0])
    C3 = C.reshape((len(own), q, q))
    half_log, start = 0.0, 0
    for j in range(len(own)):
        factor_level(Lambda, 1.0, own[j], C3[j])
        half_log += log_diagonal(C3[j])
        columns, panel = level_columns(words, j), level_panel(words, q, j)
        part = G[start : start + panel.size].reshape(panel.shape)
        solve_level(C3[j], Lambda, 1.0, panel, part)
        for k in range(q):
            subtract_square(T, part[k], columns)
        start += panel.size
    return half_log


@kernel
def coefficients(words, q, C, G, v, u, z):
    """Write z_j = C^-T (h_j + u_j - G_j v)."""
    C3 = C.reshape((len(C) // (q * q), q, q))
    start = 0
    for j in range(len(C3)):
        columns = level_columns(words, j)
        last = len(columns) - 1
        part = G[start : start + q * (last + 1)].reshape((q, last + 1))
        for k in range(q):
            value = part[k, last] + u[j * q + k]
            for c in range(last):
                value -= part[k, c] * v[columns[c]]
            z[j * q + k] = value
        solve_lower_transposed(C3[j], z[j * q : (j + 1) * q])
        start += q * (last + 1)


@kernel
def pull(Lambda, words, C, G, z, by_b, g, by_v):
    """Write g = C^-1 (Lambda' by_b - z), and take G'g from by_v."""
    q = Lambda.shape[0]
    C3 = C.reshape((len(C) // (q * q), q, q))
    start = 0
    for j in range(len(C3)):
        gj = g[j * q : (j + 1) * q]
        for k in range(q):
            gj[k] = -z[j * q + k]
            for i in range(k, q):
                gj[k] += Lambda[i, k] * by_b[j * q + i]
        solve_lower(C3[j], gj)
        columns = level_columns(words, j)
        width = len(columns)
        part = G[start : start + q * width].reshape((q, width))
        for k in range(q):
            for c in range(width - 1):
                by_v[columns[c]] -= part[k, c] * gj[k]
        start += q * width


@kernel
def back(Lambda, words, C, G, v, z, g, by_raw, by_b, slope):
    """Add the gradient by Lambda; by_raw (n + 1, n + 1) is that by T."""
    q = Lambda.shape[0]
    own = own_products(words, q)
    C3, K, start = C.reshape((len(own), q, q)), np.empty((q, q)), 0
    for j in range(len(own)):
        columns, panel = level_columns(words, j), level_panel(words, q, j)
        width = len(columns)
        part = G[start : start + q * width].reshape((q, width))
        start += q * width
        zj, gj = z[j * q : (j + 1) * q], g[j * q : (j + 1) * q]
        by_G = np.empty((q, width))
        for k in range(q):
            for c in range(width - 1):
                by_G[k, c] = -gj[k] * v[columns[c]]
            by_G[k, width - 1] = gj[k]
        _schur_back(part, by_raw, columns, by_G)
        _solve_transposed_columns(C3[j], by_G)
        for a in range(q):
            for b in range(a + 1):
                K[a, b] = -zj[a] * gj[b] - dot(by_G[a], part[b])
                slope[a, b] += by_b[j * q + a] * zj[b] + dot(panel[a], by_G[b])
            K[a, a] -= 1.0 / C3[j, a, a]
        cholesky_back(C3[j], K)
        symmetric(K)
        _add_own(Lambda, own[j], K, slope)


@kernel
def _schur_back(part, by_raw, columns, by_G):
    """T loses G'G and t loses G'h: subtract 2 G by_T + h by_t' from G's, and G by_t from h's."""
    q, last = part.shape[0], len(columns) - 1
    for a in range(last):
        row = by_raw[columns[a]]
        for k in range(q):
            value = 2.0 * part[k, a]
            for c in range(last):
                by_G[k, c] -= value * row[columns[c]]
    row = by_raw[columns[last]]
    for k in range(q):
        h, total = part[k, last], 0.0
        for c in range(last):
            by_G[k, c] -= h * row[columns[c]]
            total += part[k, c] * row[columns[c]]
        by_G[k, last] -= total


@kernel
def _solve_transposed_columns(C, X):
    """Overwrite X (q, width) by C^-T X."""
    for i in range(C.shape[0] - 1, -1, -1):
        inverse = 1.0 / C[i, i]
        for c in range(X.shape[1]):
            X[i, c] *= inverse
        for k in range(i):
            add_scaled(X[k], -C[i, k], X[i])


@kernel
def cholesky_back(L, back):
    """From the gradient by L make that by the lower triangle of L L', each pair counted once."""
    for j in range(L.shape[0] - 1, -1, -1):
        inverse = 1.0 / L[j, j]
        diagonal = back[j, j]
        for i in range(j + 1, L.shape[0]):
            diagonal -= back[i, j] * L[i, j] * inverse
        diagonal *= inverse
        row, row_back = L[j, :j], back[j, :j]
        add_scaled(row_back, -diagonal, row)
        for i in range(j + 1, L.shape[0]):
            below = back[i, j] * inverse
            back[i, j] = below
            add_scaled(row_back, -below, L[i, :j])
            add_scaled(back[i, :j], -below, row)
        back[j, j] = 0.5 * diagonal


@kernel
def symmetric(back):
    """Overwrite a lower triangle, each pair counted once, by the full symmetric gradient."""
    for i in range(back.shape[0]):
        for j in range(i):
            back[i, j] *= 0.5
            back[j, i] = back[i, j]


@kernel
def _add_own(Lambda, own, K, slope):
    """Add 2 W Lambda K to the lower triangle of the slope by Lambda."""
    q = Lambda.shape[0]
    for a in range(q):
        for i in range(q):
            product = 0.0
            for m in range(i, q):
                product += own[a, m] * Lambda[m, i]
            for b in range(a + 1):
                slope[a, b] += 2.0 * product * K[i, b]
