"""Eliminate the largest factor onto a large rest: level by level, on the columns that occur with
it.

The algebra is that of `lanes`; here a level's panel B = Z_j'Omega [rest y] holds only the columns
of the rest that occur with level j, and the pass is made twice: to form the Schur complement T,
and, when the moments of the rest are known, for the gradient.
"""

from __future__ import annotations

import numpy as np

from .compilation import SUM, kernel
from .lapack import factor_by_hand, log_diagonal
from .layout import Section, floats, integers
from .rest import scaled_products

__all__ = [
    "eliminate",
    "factor_level",
    "level_columns",
    "level_panel",
    "level_scratch",
    "own_products",
    "score",
    "solve_level",
    "subtract_square",
]

OWN, PANELS = np.int64(Section.OWN), np.int64(Section.PANELS)
POINTERS, COLUMNS = np.int64(Section.POINTERS), np.int64(Section.COLUMNS)


@kernel
def own_products(words, q):
    """Z_j'Omega Z_j of every level, (J, q, q)."""
    own = floats(words, OWN)
    return own.reshape((len(own) // (q * q), q, q))


@kernel
def level_columns(words, j):
    """Columns of the rest, X and y that occur with level j, ascending."""
    pointers = integers(words, POINTERS)
    return integers(words, COLUMNS)[pointers[j] : pointers[j + 1]]


@kernel
def level_panel(words, q, j):
    """Z_j'Omega [rest y] on the columns of level j."""
    pointers = integers(words, POINTERS)
    start, stop = pointers[j], pointers[j + 1]
    return floats(words, PANELS)[q * start : q * stop].reshape((q, stop - start))


@kernel
def level_scratch(words, q):
    """Scratch for one level at a time: C (q, q), and two (q, widest panel)."""
    pointers = integers(words, POINTERS)
    widest = q
    for j in range(len(pointers) - 1):
        widest = max(widest, pointers[j + 1] - pointers[j])
    return np.empty((q, q)), np.empty((q, widest)), np.empty((q, widest))


@kernel
def factor_level(Lambda, scale, own, C):
    """Write the Cholesky factor C (q, q) of I + Lambda'A Lambda/sigma^2."""
    q = Lambda.shape[0]
    for k in range(q):
        for m in range(k + 1):
            C[k, m] = 0.0
            for i in range(k, q):
                for h in range(m, q):
                    C[k, m] += Lambda[i, k] * own[i, h] * Lambda[h, m]
            C[k, m] *= scale
        C[k, k] += 1.0
    factor_by_hand(C)


@kernel
def solve_level(C, Lambda, scale, panel, G):
    """G = C^-1 Lambda'B/sigma^2."""
    q, width = panel.shape
    for k in range(q):
        for c in range(width):
            G[k, c] = Lambda[k, k] * scale * panel[k, c]
        for i in range(k + 1, q):
            _add_row(G[k], Lambda[i, k] * scale, panel[i], width)
        for i in range(k):
            _add_row(G[k], -C[k, i], G[i], width)
        inverse = 1.0 / C[k, k]
        for c in range(width):
            G[k, c] *= inverse


@kernel
def _add_row(target, factor, source, width):
    for c in range(width):
        target[c] += factor * source[c]


@kernel
def eliminate(Lambda, scale, words, n):
    """Schur complement T (n + 1, n + 1) and the sum of log C_kk; `scale` is 1/sigma^2."""
    T = scaled_products(words, scale)
    q = Lambda.shape[0]
    own = own_products(words, q)
    half_log = 0.0
    C, G, _ = level_scratch(words, q)
    for j in range(len(own)):
        factor_level(Lambda, scale, own[j], C)
        half_log += log_diagonal(C)
        columns, panel = level_columns(words, j), level_panel(words, q, j)
        solve_level(C, Lambda, scale, panel, G)
        for k in range(q):
            subtract_square(T, G[k], columns)
    for a in range(n + 1):
        for b in range(a):
            T[b, a] = T[a, b]
    return T, half_log


@kernel
def subtract_square(T, g, columns):
    """Subtract g g' from the lower triangle of T, on the columns of a level."""
    for a in range(len(columns)):
        row, value = T[columns[a]], g[a]
        for b in range(a + 1):
            row[columns[b]] -= value * g[b]


@kernel
def score(Lambda, scale, words, moments):
    """Twice dlogp/dSigma, sum_j R_j E[v v'] R_j' - N_j."""
    q = Lambda.shape[0]
    own = own_products(words, q)
    total = np.zeros((q, q))
    C, G, R = level_scratch(words, q)
    explained = np.empty((q, q))
    for j in range(len(own)):
        factor_level(Lambda, scale, own[j], C)
        columns, panel = level_columns(words, j), level_panel(words, q, j)
        solve_level(C, Lambda, scale, own[j], explained)
        solve_level(C, Lambda, scale, panel, G)
        _residual(explained, scale, panel, G, R)
        _add_quadratic(total, R, moments, columns)
        _subtract_information(total, explained, scale, own[j])
    return total


@kernel
def _residual(explained, scale, panel, G, R):
    """R = B/sigma^2 - G_A' G."""
    q, width = panel.shape
    for k in range(q):
        for c in range(width):
            R[k, c] = scale * panel[k, c]
        for i in range(q):
            _add_row(R[k], -explained[i, k], G[i], width)


@kernel
def _subtract_information(total, explained, scale, own):
    """Subtract N = A/sigma^2 - G_A' G_A."""
    q = len(own)
    for k in range(q):
        for m in range(q):
            total[k, m] -= scale * own[k, m]
            for i in range(q):
                total[k, m] += explained[i, k] * explained[i, m]


@kernel(fastmath=SUM)
def _add_quadratic(total, R, moments, columns):
    """Add R E[v v'] R' on the columns of a level."""
    q, width = R.shape[0], len(columns)
    for a in range(width):
        row = moments[columns[a]]
        for m in range(q):
            value = 0.0
            for b in range(width):
                value += row[columns[b]] * R[m, b]
            for k in range(q):
                total[k, m] += R[k, a] * value
