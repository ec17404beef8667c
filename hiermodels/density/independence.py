"""Independence Metropolis for designs where one density costs tens of milliseconds.

With so much data theta has few dimensions and is nearly normal in the pilot's coordinates.
Proposals come from a multivariate t there, whatever the state, and are accepted with

    min(1, w(x') / w(x)),    w = p / t.

Only values are needed, a third of the cost of a gradient, and all proposals can be evaluated at
once (Tierney 1994, doi:10.1214/aos/1176325750). What a value costs is the factorisation of the
rest's system, from which coefficients can be drawn, too: every proposal (theta', b') comes with
b' ~ p(b | theta', y), which leaves the ratio as it is. Each state is kept for `REPEATS` draws with
coefficients of their own; theta then has that many times fewer effective draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hiermodels.progress import counting_bar

from .compilation import kernel
from .coordinates import enter_theta
from .crossproducts import CrossProducts
from .drawing import AS_THEY_ARE, Coefficients, Store, chunks, draw_in_chunks
from .recovery import draw_sparse, recover
from .trace import Trace

__all__ = ["run_independence"]

REPEATS = 2
DEGREES_OF_FREEDOM = 10.0
BATCH = 8
"""States per task."""


def run_independence(
    products: CrossProducts,
    words: NDArray[np.float64],
    *,
    draws: int,
    chains: int,
    cores: int,
    seed: int,
    store: Store | None = None,
    progress: bool = False,
) -> Trace:
    """Sample; Ctrl-C returns the draws made so far.

    ``words`` is the buffer of ``products`` with coordinates. With a ``store`` the trace has
    coefficients, too.
    """
    rng = np.random.default_rng([seed, 2])
    n_states = -(-draws // REPEATS) + 1  # the first proposals are where the chains start
    x, log_proposal = _propose(rng, chains, n_states, products.theta.size)
    theta, log_prior = _enter(x, words)
    repeated = np.repeat(theta, REPEATS, axis=1)
    with counting_bar(chains * n_states, "Proposals", shown=progress) as advance:
        values, drawn = _draw(products, repeated, rng, cores, store, advance)
    made = drawn.complete(chains) // REPEATS
    values = (values[:, ::REPEATS] + log_prior)[:, :made]
    log_weights = np.where(np.isfinite(values), values, -np.inf) - log_proposal[:, :made]
    accepted, chosen = _metropolis(log_weights, rng)
    trace = Trace(
        theta=_repeat(np.take_along_axis(theta, chosen[:, :, None], axis=1), draws),
        statistics={
            "accepted": _repeat(accepted, draws),
            "logp": _repeat(np.take_along_axis(values, chosen, axis=1), draws),
            "diverging": np.zeros((chains, min(draws, REPEATS * (made - 1))), bool),
        },
        method="independence",
        tuning_steps=0,
        interrupted=drawn.interrupted,
    )
    if store is None:
        return trace
    found = drawn.of_chains(chains, first=REPEATS, last=REPEATS + draws)
    found = _draw_rejected(products, trace, found, accepted, rng, cores, store)
    return replace(trace, coefficients=found, interrupted=found.interrupted)


def _propose(rng: np.random.Generator, chains: int, n: int, d: int) -> tuple[NDArray, NDArray]:
    """Draws (chains, n, d) of a multivariate t, and the log of its kernel."""
    stretch = np.sqrt(DEGREES_OF_FREEDOM / rng.chisquare(DEGREES_OF_FREEDOM, size=(chains, n, 1)))
    x = rng.standard_normal((chains, n, d)) * stretch
    kernel = -0.5 * (DEGREES_OF_FREEDOM + d) * np.log1p(np.sum(x**2, axis=2) / DEGREES_OF_FREEDOM)
    return x, kernel


def _enter(x: NDArray, words: NDArray) -> tuple[NDArray, NDArray]:
    """theta, and the log prior of x."""
    d, theta = x.shape[-1], np.empty_like(x)
    return theta, _enter_all(x.reshape(-1, d), words, theta.reshape(-1, d)).reshape(x.shape[:-1])


@kernel
def _enter_all(x, words, theta):
    d = x.shape[1]
    log_prior, slope, log_slope, ignored = np.empty(len(x)), np.empty(d), np.empty(d), np.empty(d)
    for s in range(len(x)):
        log_prior[s] = enter_theta(x[s], words, theta[s], slope, log_slope, ignored)
    return log_prior


def _draw(
    products: CrossProducts,
    theta: NDArray,
    rng: np.random.Generator,
    cores: int,
    store: Store | None,
    advance: Callable[[int], None],
) -> tuple[NDArray, Coefficients]:
    """Log-likelihoods (chains, n) of theta (chains, n, d), and a draw of coefficients for each."""
    chains, n, d = theta.shape
    flat, values = theta.reshape(-1, d), np.full(chains * n, -np.inf)

    def draw(rows: slice, rest: NDArray, head: NDArray) -> None:
        draw_sparse(flat[rows], products.words, rest, head, values[rows])

    rows_of = chunks(chains, n, BATCH * REPEATS)
    drawn = draw_in_chunks(
        products,
        draw,
        rows_of,
        rng=rng,
        cores=cores,
        store=store or AS_THEY_ARE,
        effects=store is not None,
        least=chains,
        advance=lambda done: advance(rows_of[done - 1].stop - rows_of[done - 1].start),
    )
    return values.reshape(chains, n), drawn


def _metropolis(log_weights: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Whether each proposal after the first was accepted, and which proposal each state is (chains,
    n - 1)."""
    chains, n = log_weights.shape
    log_uniform = np.log(rng.uniform(size=(chains, n)))
    accepted, chosen = np.empty((chains, n - 1), bool), np.empty((chains, n - 1), np.int64)
    for chain in range(chains):
        at = 0
        for k in range(1, n):
            accepted[chain, k - 1] = (
                log_uniform[chain, k] < log_weights[chain, k] - log_weights[chain, at]
            )
            at = k if accepted[chain, k - 1] else at
            chosen[chain, k - 1] = at
    return accepted, chosen


def _repeat(values: NDArray, draws: int) -> NDArray:
    return np.repeat(values, REPEATS, axis=1)[:, :draws]


def _draw_rejected(
    products: CrossProducts,
    trace: Trace,
    found: Coefficients,
    accepted: NDArray,
    rng: np.random.Generator,
    cores: int,
    store: Store,
) -> Coefficients:
    """Where a proposal was rejected its coefficients give way to new ones of the state."""
    where = np.nonzero(~_repeat(accepted, trace.theta.shape[1]))
    new = recover(products, trace.theta[where], rng=rng, cores=cores, store=store, to_the_end=True)
    found.beta[where] = new.beta
    for each, other in zip(found.effects, new.effects, strict=True):
        each[where] = other
    return replace(found, interrupted=found.interrupted or new.interrupted)
