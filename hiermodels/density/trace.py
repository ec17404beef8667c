"""Draws of theta, as the samplers hand them on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hiermodels.convergence import bulk_ess

from .drawing import Coefficients

__all__ = ["Trace", "least_effective", "sample_enough"]

MOST_THINNING, FEWEST_TO_JUDGE = 8, 200
"""At most so many times the draws; too few draws to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Draws of theta (chains, draws, d) and statistics (chains, draws); shorter if `interrupted`.

    Made by `nuts` and `independence`, read by `sampling`. `thinning` is the number of draws made
    for one that is kept; `coefficients` are there where the sampler draws them on its way. `modes`
    of the posterior were found; where chains do not go between them, `mode_of_chain` (chains,) has
    the mode that each is in.
    """

    theta: NDArray[np.float64]
    statistics: dict[str, NDArray]
    method: str
    tuning_steps: int
    interrupted: bool
    thinning: int = 1
    coefficients: Coefficients | None = None
    modes: int = 1
    mode_of_chain: tuple[int, ...] = ()

    @property
    def how_made(self) -> dict[str, Any]:
        """What the samplers hand on beside draws and statistics."""
        names = ("interrupted", "thinning", "method", "modes", "mode_of_chain")
        return {name: getattr(self, name) for name in names}

    def first(self, draws: int) -> Trace:
        """The first draws of every chain, when an interrupt left no more."""
        return replace(
            self,
            theta=self.theta[:, :draws],
            statistics={name: values[:, :draws] for name, values in self.statistics.items()},
            interrupted=True,
        )

    def followed_by(self, other: Trace) -> Trace:
        """The draws of two runs, chain by chain."""
        return replace(
            self,
            theta=np.concatenate([self.theta, other.theta], axis=1),
            statistics={
                name: np.concatenate([values, other.statistics[name]], axis=1)
                for name, values in self.statistics.items()
            },
            tuning_steps=self.tuning_steps + other.tuning_steps,
            interrupted=other.interrupted,
        )

    def thin(self, every: int) -> Trace:
        """Keep one draw in `every`; divergences and steps between kept draws stay counted."""
        n = self.theta.shape[1] // every * every

        def combine(name: str, values: NDArray) -> NDArray:
            groups = values[:, :n].reshape(len(values), -1, every)
            sums: dict[str, Any] = {"diverging": np.any, "n_steps": np.sum}
            return sums[name](groups, axis=2) if name in sums else groups[:, :, -1]

        statistics = {name: combine(name, values) for name, values in self.statistics.items()}
        return replace(
            self, theta=self.theta[:, every - 1 : n : every], statistics=statistics, thinning=every
        )


def least_effective(theta: NDArray[np.float64]) -> float:
    """Smallest bulk effective sample size over the elements of theta."""
    return float(bulk_ess(np.moveaxis(theta, 2, 0)).min())


def sample_enough(
    run: Callable[..., Trace], *, draws: int, seed: int, enough: float, leading: int | None = None
) -> Trace:
    """``run(draws=..., seed=...)``; where fewer than `enough` draws in one are effective, more of
    them, thinned: those of a second run follow those of the first.

    The effective sample size is that of the `leading` elements of theta, or of all. An interrupt of
    the second run leaves the draws of the first.
    """
    trace = run(draws=draws, seed=seed)
    if trace.interrupted or draws < FEWEST_TO_JUDGE:
        return trace
    wanted = enough * len(trace.theta) * draws
    thinning = math.ceil(wanted / least_effective(trace.theta[..., :leading]))
    thinning = min(MOST_THINNING, thinning)
    if thinning <= 1:
        return trace
    # the same seed would make the draws of the first run again
    following = int(np.random.default_rng([seed, 2]).integers(2**31))
    try:
        more = run(draws=draws * (thinning - 1), seed=following)
    except InterruptedError:
        return replace(trace, interrupted=True)
    if len(more.theta) < len(trace.theta):  # interrupted before every chain had begun
        return replace(trace, interrupted=True)
    return trace.followed_by(more).thin(thinning)
