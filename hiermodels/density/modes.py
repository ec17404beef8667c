"""Several modes of one posterior: the searches for them, and chains that start at each.

Chains that all start near one mode cannot tell of another one, and neither can R-hat. So the search
for the mode is repeated from draws of the prior (`starts`). Where it ends elsewhere, and the mass
there is not negligible by Laplace's approximation,

    log mass = log p(x*) + log|det S| + const,    x* = 0 in coordinates whitened by S,

that mode gets coordinates and chains of its own, in proportion to its mass and at least one.
Whether the chains go from mode to mode is seen from the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .drawing import Coefficients
from .trace import Trace

__all__ = [
    "Mode",
    "chains_of_modes",
    "find_modes",
    "is_near",
    "log_mass",
    "place_of",
    "sample_modes",
]

APART = 2.0
"""Two modes differ in some parameter by more than so many times the sum of its sds at both:
Gaussians closer than that are crossed by NUTS within a few transitions."""
NEGLIGIBLE = np.log(0.01)
"""Log of a mass relative to the largest, below which a mode is left out."""
PLACES = 64
"""Draws of an approximation from which its sds are."""
AGREE = 0.5
"""Of two chains that go from mode to mode, the shares in a mode differ by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode[C]:
    """A mode with coordinates around it. Made by the pilots, read by `sample_modes`.

    ``place`` (K,) is the mode, in what a draw stores; ``spread`` (K,) are the sds there, by the
    approximation; ``log_mass`` is Laplace's, up to a constant of the posterior.
    """

    coordinates: C
    place: NDArray[np.float64]
    spread: NDArray[np.float64]
    log_mass: float


def place_of(
    expand: Callable[[NDArray], NDArray], dimension: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mode, at x = 0, and the sds of what is stored under x ~ Normal(0, I)."""
    draws = np.random.default_rng(0).standard_normal((PLACES, dimension))
    found = np.array([expand(x) for x in draws])
    return expand(np.zeros(dimension)), found.std(axis=0)


def log_mass(value: float, scale: NDArray[np.float64]) -> float:
    """Laplace's approximation from the log density at the mode and the map that whitens there."""
    return value + float(np.linalg.slogdet(scale)[1])


def is_near[C](
    place: NDArray[np.float64], mode: Mode[C], spread: NDArray[np.float64] | None = None
) -> bool:
    """Whether it is the same mode as far as NUTS is concerned; an unknown spread is that of the
    mode."""
    both = mode.spread + (mode.spread if spread is None else spread)
    return bool(np.all(np.abs(place - mode.place) <= APART * both))


def find_modes[C, S](
    first: Mode[C],
    starts: Iterable[S],
    approach: Callable[[S], NDArray[np.float64] | None],
    settle: Callable[[NDArray[np.float64]], Mode[C]],
) -> list[Mode[C]]:
    """The first mode and those found from the starts, those with most mass first.

    ``approach`` searches from a start, cheaply, and returns where it ends, or None where that has
    too little density; ``settle`` makes a mode of a place that is no known one.
    """
    found = [first]
    for start in starts:
        try:
            place = approach(start)
            if place is None or any(is_near(place, mode) for mode in found):
                continue
            mode = settle(place)
        except (FloatingPointError, np.linalg.LinAlgError):
            continue  # this start led nowhere
        if not any(is_near(mode.place, other, mode.spread) for other in found):
            found.append(mode)
    found.sort(key=lambda mode: -mode.log_mass)
    return [mode for mode in found if mode.log_mass - found[0].log_mass > NEGLIGIBLE]


def chains_of_modes(log_masses: NDArray[np.float64], chains: int) -> NDArray[np.int64]:
    """How many chains each mode gets, largest masses first: in proportion, and at least one while
    there are any."""
    masses = np.exp(log_masses - log_masses[0])
    counts = (np.arange(len(masses)) < chains).astype(np.int64)
    while counts.sum() < chains:
        counts[np.argmax(masses / (counts + 0.5))] += 1
    return counts


def sample_modes[C](
    modes: list[Mode[C]], run: Callable[..., Trace], *, chains: int, seed: int
) -> Trace:
    """``run(coordinates, chains=..., seed=...)`` of every mode; chains of the first mode first."""
    if len(modes) == 1:
        return run(modes[0].coordinates, chains=chains, seed=seed)
    counts = chains_of_modes(np.array([mode.log_mass for mode in modes]), chains)
    seeds = [seed, *np.random.default_rng([seed, 4]).integers(2**31, size=len(modes) - 1).tolist()]
    traces: list[Trace] = []
    for mode, count, own in zip(modes, counts, seeds, strict=True):
        if count == 0 or (traces and traces[-1].interrupted):
            break
        try:
            traces.append(run(mode.coordinates, chains=int(count), seed=own))
        except InterruptedError:
            if not traces:
                raise
            traces[-1] = replace(traces[-1], interrupted=True)
    return with_modes(side_by_side(traces), modes)


def side_by_side(traces: list[Trace]) -> Trace:
    """The chains of several runs as those of one, as long as the shortest."""
    first, draws = traces[0], min(trace.theta.shape[1] for trace in traces)
    names = set.intersection(*(set(trace.statistics) for trace in traces))
    return replace(
        first,
        theta=np.concatenate([trace.theta[:, :draws] for trace in traces]),
        statistics={
            name: np.concatenate([trace.statistics[name][:, :draws] for trace in traces])
            for name in first.statistics
            if name in names
        },
        tuning_steps=sum(trace.tuning_steps for trace in traces),
        interrupted=any(trace.interrupted for trace in traces),
        thinning=max(trace.thinning for trace in traces),
        coefficients=coefficients_of(traces, draws),
    )


def coefficients_of(traces: list[Trace], draws: int) -> Coefficients | None:
    each = [trace.coefficients for trace in traces if trace.coefficients is not None]
    if len(each) < len(traces):
        return None
    return replace(
        each[0],
        beta=np.concatenate([c.beta[:, :draws] for c in each]),
        effects=tuple(
            np.concatenate([e[:, :draws] for e in effects])
            for effects in zip(*(c.effects for c in each), strict=True)
        ),
        done=np.concatenate([c.done for c in each]),
        interrupted=any(c.interrupted for c in each),
    )


def with_modes[C](trace: Trace, modes: list[Mode[C]]) -> Trace:
    """How many modes there are, and the mode of each chain where chains do not go between them."""
    nearest = nearest_mode(trace.theta, modes)
    shares = np.stack([(nearest == k).mean(axis=1) for k in range(len(modes))], axis=1)
    visited = int((shares.max(axis=0) > 0.0).sum())
    apart = bool((np.ptp(shares, axis=0) > AGREE).any())
    if not apart and len(trace.theta) >= len(modes):
        return replace(trace, modes=visited)  # each had a chain: what is empty was left
    return replace(trace, modes=len(modes), mode_of_chain=tuple(shares.argmax(axis=1).tolist()))


def nearest_mode[C](draws: NDArray[np.float64], modes: list[Mode[C]]) -> NDArray[np.int64]:
    """The mode that a draw (chains, draws, K) is nearest to, in sds of each mode."""
    distances = [
        (np.square((draws - mode.place) / np.maximum(mode.spread, 1e-12))).mean(axis=2)
        + 2.0 * np.mean(np.log(np.maximum(mode.spread, 1e-12)))
        for mode in modes
    ]
    return np.argmin(np.stack(distances), axis=0)
