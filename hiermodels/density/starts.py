"""Where searches for further modes start: draws of the priors, in mirrored pairs.

A pair has the quantiles u and 1 - u of every parameter, so that of a posterior which is symmetric
like its prior both sides are tried. A quantile is found on a grid of the density of the parameter
on the line; its error moves a start, and no posterior.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from .coefficientpriors import LINE, CompiledPrior, add_coefficient_prior, from_line
from .covariance import Places, covariance_factor
from .priors import ElementPrior, log_element_prior

__all__ = ["PAIRS", "Start", "draw_starts"]

PAIRS = 2
INNERMOST = 0.05
"""Quantiles are between it and one less it: heavy tails would start where no mode can be."""
GRID = np.sinh(np.linspace(-8.0, 8.0, 121))
"""Dense at the middle of a prior and far out, in units of its width; sds are on the log scale."""


class Start(NamedTuple):
    """theta (d,), common coefficients on the line (p,), standard normals of the effects (K,)."""

    theta: NDArray[np.float64]
    t: NDArray[np.float64]
    z: NDArray[np.float64]

    def effects(self, places: tuple[Places, ...], shapes: list[tuple[int, int]]) -> list[NDArray]:
        """b (J, q) of each block, diag(sd) L z."""
        found, start = [], 0
        for (sd, partial), (levels, q) in zip(places, shapes, strict=True):
            factor = np.zeros((q, q))
            covariance_factor.py_func(self.theta, sd, partial, factor)
            found.append(self.z[start : start + levels * q].reshape(levels, q) @ factor.T)
            start += levels * q
        return found


def draw_starts(
    theta: tuple[ElementPrior, ...],
    common: tuple[CompiledPrior, ...] = (),
    *,
    effects: int = 0,
    seed: int,
    pairs: int = PAIRS,
) -> list[Start]:
    """Pairs of draws; the same seed gives the same."""
    rng, starts = np.random.default_rng([seed, 3]), []
    d, p = len(theta), len(common)
    for _ in range(pairs):
        u = rng.uniform(INNERMOST, 1.0 - INNERMOST, size=d + p + effects)
        for each in (u, 1.0 - u):
            of_theta, of_common, of_effects = np.split(each, [d, d + p])
            cdfs = [element_cdf(prior) for prior in theta]
            values = [quantile(q, cdf) for q, cdf in zip(of_theta, cdfs, strict=True)]
            cdfs = [coefficient_cdf(prior) for prior in common]
            t = [quantile(q, cdf) for q, cdf in zip(of_common, cdfs, strict=True)]
            starts.append(Start(np.array(values), np.array(t), ndtri(of_effects)))
    return starts


type Cdf = tuple[NDArray[np.float64], NDArray[np.float64]]


def quantile(u: float, cdf: Cdf) -> float:
    return float(np.interp(u, cdf[1], cdf[0]))


@lru_cache(maxsize=64)
def element_cdf(prior: ElementPrior) -> Cdf:
    def log_density(t: float) -> float:
        return float(log_element_prior.py_func(prior.form, t, prior.a, prior.b, prior.c)[0])

    return on_grid(log_density, GRID)


@lru_cache(maxsize=64)
def coefficient_cdf(prior: CompiledPrior) -> Cdf:
    forms, numbers = np.array(prior[:3]), np.array(prior[3:], float)

    def log_density(t: float) -> float:
        value = from_line.py_func(prior.line, t, prior.lower, prior.upper)[0]
        return float(add_coefficient_prior(forms, numbers, t, float(value), np.zeros(1)))

    return on_grid(log_density, prior.a + prior.b * GRID if prior.line == LINE else GRID)


def on_grid(log_density: Callable[[float], float], grid: NDArray[np.float64]) -> Cdf:
    """The grid, and the share of the density up to each of its points."""
    with np.errstate(all="ignore"):  # far out an exponential is beyond the numbers
        logs = np.array([log_density(t) for t in grid])
    logs = np.where(np.isfinite(logs), logs, -np.inf)
    density = np.exp(logs - logs.max())
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(grid)
    share = np.concatenate([[0.0], np.cumsum(steps)])
    return grid, share / share[-1]
