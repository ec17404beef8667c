"""Coefficients after the fact: exact draws and moments of (beta, b) given theta and y.

    (z, beta) | theta, y ~ Normal(u, M^-1),    b_j = Lambda z_j.

The rest v = (other factors, beta) comes first, from its Schur complement; then every level of the
eliminated factor by itself: z_j = C^-T (G (-v, 1) + e) with e standard normal. Draws overwrite the
array of standard normals that they are made of, so nothing else of their size is ever stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import lanes, panels
from .collapsed import log_likelihood, residual_precision
from .compilation import kernel
from .crossproducts import CrossProducts
from .drawing import (
    AS_THEY_ARE,
    SINGLE,
    Coefficients,
    Store,
    chunks,
    draw_in_chunks,
)
from .lapack import solve_lower_transposed
from .rest import (
    FORWARD,
    all_lambdas,
    factor_table,
    lambda_of,
    rest_system,
    scale_draw,
)

__all__ = [
    "draw_sparse",
    "recover",
    "recover_thinned",
]

LANES, VALUE_ALONE = lanes.LANES, lanes.VALUE_ALONE
eliminate_lanes, eliminate_panels = lanes.eliminate, panels.eliminate
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


def recover_thinned(
    products: CrossProducts,
    theta: NDArray[np.float64],
    *,
    kept: NDArray[np.int64],
    rng: np.random.Generator,
    cores: int = 1,
    store: Store = SINGLE,
) -> Coefficients:
    """Common coefficients for every draw of theta (S, d), effects for the draws `kept` alone.

    An interrupt is noted when all is done, which is soon.
    """
    full, rest_alone = rng.spawn(2)
    others = np.setdiff1d(np.arange(len(theta)), kept)
    settings: dict[str, Any] = {"cores": cores, "store": store, "to_the_end": True}
    found = recover(products, theta[kept], rng=full, **settings)
    rest = recover(products, theta[others], rng=rest_alone, effects=False, **settings)
    beta = np.empty((len(theta), products.n_common))
    beta[kept], beta[others] = found.beta, rest.beta
    return Coefficients(
        beta=beta,
        effects=found.effects,
        done=np.ones(len(theta), bool),
        interrupted=found.interrupted or rest.interrupted,
    )


def recover(
    products: CrossProducts,
    theta: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    cores: int = 1,
    effects: bool = True,
    chains: int = 1,
    store: Store = AS_THEY_ARE,
    to_the_end: bool = False,
) -> Coefficients:
    """One draw of all coefficients per draw of theta (S, d), which is of `chains` chains.

    Without `effects` those of the eliminated factor are left out, (S, 0, q). Ctrl-C keeps what was
    drawn by then, at least the first chunk of every chain, or with `to_the_end` is noted alone.
    """
    theta = np.ascontiguousarray(theta)
    kernel, ignored = draw_sparse if products.sparse else draw_dense, np.empty(len(theta))

    def draw(rows: slice, rest: NDArray, head: NDArray) -> None:
        kernel(theta[rows], products.words, rest, head, ignored[rows])

    rows_of = chunks(chains, len(theta) // chains)
    return draw_in_chunks(
        products,
        draw,
        rows_of,
        rng=rng,
        cores=cores,
        store=store,
        effects=effects,
        least=len(rows_of) if to_the_end else chains,
    )


@kernel
def draw_rest(C, u, lambdas, table, noise):
    """Overwrite standard normals by v = Lambda (u + C^-T noise)."""
    solve_lower_transposed(C, noise)
    for i in range(len(u)):
        noise[i] += u[i]
    scale_draw(lambdas, table, noise, FORWARD)


@kernel
def draw_dense(theta, words, rest, effects, value):
    """Overwrite standard normals by draws: rest (S, n), effects (S, J, q); write the log-likelihood
    of theta (S,)."""
    table, q, n_rest = factor_table(words), effects.shape[2], rest.shape[1]
    C, G, _ = lane_scratch(q, n_rest + 1 + q)
    own, panels = level_products(words, q, n_rest + 1)
    for s in range(len(theta)):
        lambdas, scale = all_lambdas(theta[s], words), residual_precision(theta[s], words)
        Lambda = lambda_of(lambdas, table, 0)
        T, half_log, _, _ = eliminate_lanes(Lambda, scale, words, n_rest, VALUE_ALONE)
        ok, root, u, rest_half_log, explained = rest_system(lambdas, words, T, n_rest)
        half_log += rest_half_log
        value[s] = log_likelihood(theta[s], words, T[-1, -1] - explained, half_log, ok)
        draw_rest(root, u, lambdas, table, rest[s])
        for start in range(0, effects.shape[1], LANES):
            n = min(LANES, effects.shape[1] - start)
            load_lanes(Lambda, scale, own, panels, start, n, C, G)
            draw_lanes(Lambda, C, G, rest[s], effects[s, start : start + n])


@kernel
def draw_lanes(Lambda, C, G, v, effects):
    n, q = effects.shape
    last = len(v)
    z = np.empty((q, n))
    for k in range(q):
        for t in range(n):
            z[k, t] = effects[t, k] + G[k, last, t]
        for a in range(last):
            for t in range(n):
                z[k, t] -= G[k, a, t] * v[a]
    for k in range(q - 1, -1, -1):
        for i in range(k + 1, q):
            for t in range(n):
                z[k, t] -= C[i, k, t] * z[i, t]
        for t in range(n):
            z[k, t] *= C[q, k, t]
    for k in range(q):
        for t in range(n):
            value = 0.0
            for i in range(k + 1):
                value += Lambda[k, i] * z[i, t]
            effects[t, k] = value


@kernel
def draw_sparse(theta, words, rest, effects, value):
    """Do as `draw_dense` where the rest is large; draws of the same theta in turn cost least."""
    table, q = factor_table(words), effects.shape[2]
    own = own_products(words, q)
    C, G, _ = level_scratch(words, q)
    for s in range(len(theta)):
        if s == 0 or not _same(theta[s], theta[s - 1]):
            lambdas, scale = all_lambdas(theta[s], words), residual_precision(theta[s], words)
            Lambda = lambda_of(lambdas, table, 0)
            T, half_log = eliminate_panels(Lambda, scale, words, rest.shape[1])
            ok, root, u, rest_half_log, explained = rest_system(lambdas, words, T, rest.shape[1])
            half_log += rest_half_log
        value[s] = log_likelihood(theta[s], words, T[-1, -1] - explained, half_log, ok)
        draw_rest(root, u, lambdas, table, rest[s])
        for j in range(effects.shape[1]):
            factor_level(Lambda, scale, own[j], C)
            solve_level(C, Lambda, scale, level_panel(words, q, j), G)
            z = effects[s, j]
            add_prediction(G, level_columns(words, j), rest[s], z)
            solve_lower_transposed(C, z)
            scale_in_place(Lambda, z)


@kernel
def _same(a, b):
    for k in range(len(a)):
        if a[k] != b[k]:
            return False
    return True


@kernel
def add_prediction(G, columns, v, z):
    """Add G (-v, 1); the last column is that of y."""
    last = len(columns) - 1
    for k in range(len(z)):
        z[k] += G[k, last]
        for c in range(last):
            z[k] -= G[k, c] * v[columns[c]]


@kernel
def scale_in_place(Lambda, z):
    for k in range(len(z) - 1, -1, -1):
        z[k] *= Lambda[k, k]
        for i in range(k):
            z[k] += Lambda[k, i] * z[i]
