"""Independence Metropolis for designs where one density costs tens of milliseconds.

With so much data theta has few dimensions and is nearly normal in the pilot's coordinates.
Proposals come from a multivariate t there, whatever the state, and are accepted with

    min(1, w(x') / w(x)),    w = p / t.

Only values are needed, a third of the cost of a gradient, and all proposals can be evaluated at
once (Tierney 1994, doi:10.1214/aos/1176325750). Each state is kept for `REPEATS` draws, to each of
which `recovery` gives coefficients of its own: theta then has that many times fewer effective
draws.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from .coordinates import evaluate, to_theta
from .layout import Section, Size, integers
from .trace import Trace

__all__ = ["run_independence"]

REPEATS = 4
DEGREES_OF_FREEDOM = 10.0
BATCH = 8


def run_independence(
    words: NDArray[np.float64], *, dimension: int, draws: int, chains: int, cores: int, seed: int
) -> Trace:
    """Sample; Ctrl-C returns what the proposals evaluated so far allow."""
    words = words.copy()
    integers.py_func(words, int(Section.SIZES))[Size.VALUE_ONLY] = 1
    n_states = -(-draws // REPEATS)
    rng = np.random.default_rng([seed, 2])
    x, log_proposal = _propose(rng, chains, n_states + 1, dimension)
    values, interrupted = _evaluate_all(x, words, cores)
    accepted, chosen = _metropolis(values - log_proposal[:, : values.shape[1]], rng)
    states = np.take_along_axis(x, chosen[:, :, None], axis=1)
    theta = np.repeat(_to_theta(states, words), REPEATS, axis=1)[:, :draws]
    logp = np.take_along_axis(values, chosen, axis=1)
    statistics = {"accepted": accepted, "logp": logp, "diverging": np.zeros(chosen.shape, bool)}
    return Trace(
        theta=theta,
        statistics={
            name: np.repeat(each, REPEATS, axis=1)[:, :draws] for name, each in statistics.items()
        },
        method="independence",
        tuning_steps=0,
        interrupted=interrupted,
    )


def _propose(rng: np.random.Generator, chains: int, n: int, d: int) -> tuple[NDArray, NDArray]:
    """Draws (chains, n, d) of a multivariate t, and the log of its kernel."""
    stretch = np.sqrt(DEGREES_OF_FREEDOM / rng.chisquare(DEGREES_OF_FREEDOM, size=(chains, n, 1)))
    x = rng.standard_normal((chains, n, d)) * stretch
    kernel = -0.5 * (DEGREES_OF_FREEDOM + d) * np.log1p(np.sum(x**2, axis=2) / DEGREES_OF_FREEDOM)
    return x, kernel


def _evaluate_all(x: NDArray, words: NDArray, cores: int) -> tuple[NDArray, bool]:
    """Log-densities (chains, n), in batches over all chains, as far as one gets."""
    chains, n, d = x.shape
    done: list[NDArray] = []

    def value(point: NDArray) -> float:
        result = evaluate(point, words)[0]
        return result if np.isfinite(result) else -np.inf

    with ThreadPoolExecutor(max_workers=cores) as pool:
        try:
            for start in range(0, n, BATCH):
                points = x[:, start : start + BATCH].reshape(-1, d)
                done.append(np.reshape(list(pool.map(value, points)), (chains, -1)))
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            if not done:
                raise
            return np.concatenate(done, axis=1), True
    return np.concatenate(done, axis=1), False


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


def _to_theta(x: NDArray, words: NDArray) -> NDArray:
    theta, scratch = np.empty_like(x), np.empty(x.shape[-1])
    for place in np.ndindex(x.shape[:-1]):
        to_theta(x[place], words, theta[place], scratch, scratch.copy())
    return theta
