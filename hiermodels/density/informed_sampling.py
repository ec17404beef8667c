"""The whole posterior of a model of any family: freeze, mode, whitening, NUTS.

The pilot alternates between the mode of the density in informed coordinates and the freeze of the
likelihood there; as the coordinates contain -log|R|, that mode is the Laplace approximation of the
mode of theta. NUTS then starts from coordinates in which the posterior is near Normal(0, I).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from ..threads import available_cores, one_thread
from .coefficientpriors import from_line_many, to_line
from .coordinates import PLAIN, PROBIT, SOFT, bend
from .covariance import sds_and_correlations
from .information import Point, freeze, not_frozen
from .informed import informed_callback, informed_expansion
from .layout import Section
from .mode import Evaluate, curvature, find_mode, whitening
from .nuts import run_nuts
from .pilot import bends_of
from .rows import RowModel, RowProblem, row_model
from .trace import Trace, sample_enough

__all__ = [
    "COORDINATES",
    "Frozen",
    "evaluate",
    "expand",
    "first_freeze",
    "first_use",
    "sample_informed",
]

COORDINATES = ("informed", "plain")
"""Informed non-centring, and plain non-centring: the same density with nothing frozen."""
TUNE = {"informed": 200, "plain": 1000}
TARGET_ACCEPT = {"informed": 0.8, "plain": 0.95}
SEARCH = 300
"""Iterations of the search for a mode: there are as many coordinates as coefficients."""
ENOUGH = {"informed": 0.3, "plain": 0.1}
"""Effective draws wanted per draw; a plain draw takes many gradients."""
NEWTON = 30
FREEZES, CLOSE = 6, 0.05
"""Freezes of the pilot at most, and the largest move of theta after which it stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A row model with its coordinates: x = 0 at ``centre``. Made by `pilot`, read by sampling."""

    model: RowModel
    sections: dict[Section, NDArray]

    @property
    def words(self) -> NDArray[np.float64]:
        return self.model.words(self.sections)

    @property
    def density(self) -> Evaluate:
        """A function of x; the words are laid out once for all of its calls."""
        return partial(evaluate, words=self.words)

    def changed(self, sections: dict[Section, NDArray]) -> Frozen:
        return replace(self, sections=self.sections | sections)


def first_use() -> bool:
    """Whether the kernels have yet to be compiled on this machine, from these sources."""
    return not (informed_callback.is_cached() and informed_expansion.is_cached())


def evaluate(x: NDArray, words: NDArray) -> tuple[float, NDArray[np.float64]]:
    """Log-density and gradient at x, through the callback that NUTS calls."""
    x = np.ascontiguousarray(x, float)
    gradient, value = np.empty(len(x)), ctypes.c_double()
    doubles = ctypes.POINTER(ctypes.c_double)
    code = informed_callback().ctypes(
        len(x),
        x.ctypes.data_as(doubles),
        gradient.ctypes.data_as(doubles),
        ctypes.byref(value),
        words.ctypes.data,
    )
    return (value.value, gradient) if code == 0 else (-np.inf, np.zeros(len(x)))


def expand(x: NDArray, words: NDArray) -> NDArray[np.float64]:
    """What is stored of x: theta, t of the common coefficients, effects of others and head."""
    x, out = np.ascontiguousarray(x, float), np.empty(len(x))
    doubles = ctypes.POINTER(ctypes.c_double)
    informed_expansion().ctypes(
        len(x), len(x), x.ctypes.data_as(doubles), out.ctypes.data_as(doubles), words.ctypes.data
    )
    return out


def first_freeze(model: RowModel) -> Frozen:
    """At the starting coefficients, without effects; coordinates x = (theta, u)."""
    return Frozen(model=model, sections=_plain_coordinates(model) | freeze(model, _start(model)))


def without_freeze(model: RowModel) -> Frozen:
    """Plain non-centring, x = (theta, z of the other factors, common coefficients, z of the first).

    The common coefficients are standardised by the normal approximation of their priors.
    """
    return Frozen(
        model=model, sections=_plain_coordinates(model) | not_frozen(model, _start(model))
    )


def _start(model: RowModel) -> Point:
    pairs = zip(model.start, model.priors, strict=True)
    return Point.without_effects(model, np.array([to_line(value, prior) for value, prior in pairs]))


def _plain_coordinates(model: RowModel) -> dict[Section, NDArray]:
    d = model.n_theta
    return {
        Section.CENTRE: np.zeros(model.dimension),
        Section.SCALE: np.eye(d),
        Section.BENDS: np.full(d, PLAIN),
        Section.KNEES: np.zeros(d),
    }


def point_of(model: RowModel, expanded: NDArray) -> Point:
    """The coefficients of one stored draw."""
    d, p = model.n_theta, model.n_common
    others, head = np.split(expanded[d + p :], [model.n_others])
    effects = split_effects(model, head[None], others[None])
    return Point(model, expanded[d : d + p], tuple(effects[k][0] for k in model.order))


def unbent(form: int, theta: float, knee: float) -> float:
    """The t that bends to theta; Newton's steps, for the map increases everywhere."""
    if form == PROBIT:
        return float(ndtri(expit(2.0 * theta)))
    t = theta
    for _ in range(NEWTON if form == SOFT else 0):
        value, slope, _ = bend.py_func(form, t, knee)
        t += (theta - value) / slope
    return float(t)


def pilot(model: RowModel) -> Frozen:
    """Freeze at the mode, bend where a boundary is near, centre, and whiten theta.

    Raises
    ------
    FloatingPointError
        Where the density or its gradient is not finite on the way.
    """
    frozen, d = first_freeze(model), model.n_theta
    x, theta = np.zeros(model.dimension), np.full(d, np.nan)
    for seed in range(1, FREEZES):
        x = find_mode(x, frozen.density, iterations=SEARCH)
        if not np.all(np.isfinite(x)):
            raise FloatingPointError("the search for the mode left the numbers")
        found = expand(x, frozen.words)
        frozen = frozen.changed(freeze(model, point_of(model, found), seed=seed))
        x[d:] = 0.0  # the mode of the new approximation at the same theta
        if np.all(np.abs(found[:d] - theta) < CLOSE):
            break
        theta = found[:d].copy()
    density = frozen.density
    x = find_mode(x, density, iterations=SEARCH)
    bends, knees = bends_of(model.theta.places, x[:d], curvature(x, density, first=d))
    frozen = frozen.changed({Section.BENDS: bends, Section.KNEES: knees})
    x[:d] = [
        unbent(form, value, knee) for form, value, knee in zip(bends, x[:d], knees, strict=True)
    ]
    density = frozen.density
    x = find_mode(x, density, iterations=SEARCH)
    matrix = curvature(x, density, first=d)
    if not (np.isfinite(density(x)[0]) and np.all(np.isfinite(x)) and np.all(np.isfinite(matrix))):
        raise FloatingPointError("the density is not finite near its mode")
    return frozen.changed({Section.CENTRE: x, Section.SCALE: whitening(matrix)})


def sample_informed(
    problem: RowProblem,
    *,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    seed: int = 0,
    target_accept: float | None = None,
    progress: bool = False,
    progress_callback: Callable | None = None,
    coordinates: str = "informed",
) -> dict[str, Any]:
    """Arrays (chains, draws, ...): ``common`` (p,), by block ``sd_g``, ``cor_g``, ``b_g``, and
    statistics.

    ``common`` are the coefficients of all predictors, on the scale of their priors; thresholds as
    they enter their predictor. Where the pilot fails, plain non-centring; ``method`` says which.
    """
    with one_thread():
        model = row_model(problem)
        frozen, used = _choose_coordinates(model, coordinates)
        run = partial(
            run_nuts,
            frozen.words,
            density=informed_callback(),
            expansion=informed_expansion(),
            dimension=model.dimension,
            tune=TUNE[used] if tune is None else tune,
            chains=chains,
            cores=min(chains, cores or available_cores()),
            target_accept=target_accept or TARGET_ACCEPT[used],
            progress=progress,
            progress_callback=progress_callback,
        )
        leading = model.n_theta + model.n_common
        trace = sample_enough(run, draws=draws, seed=seed, enough=ENOUGH[used], leading=leading)
    return name_draws(model, replace(trace, method=used))


def _choose_coordinates(model: RowModel, wanted: str) -> tuple[Frozen, str]:
    if wanted not in COORDINATES:
        raise ValueError(f"no coordinates {wanted!r}; there are {COORDINATES}")
    if wanted == "informed":
        try:
            return pilot(model), wanted
        except (FloatingPointError, np.linalg.LinAlgError):
            pass
    return without_freeze(model), "plain"


def name_draws(model: RowModel, trace: Trace) -> dict[str, Any]:
    d, p = model.n_theta, model.n_common
    shape, flat = trace.theta.shape[:2], trace.theta.reshape(-1, trace.theta.shape[2])
    t, others, head = np.split(flat[:, d:], [p, p + model.n_others], axis=1)
    common = np.stack(
        [from_line_many(prior, t[:, k]) for k, prior in enumerate(model.priors)], axis=1
    )
    result: dict[str, Any] = {"common": common.reshape(*shape, p)}
    effects = split_effects(model, head, others)
    for name, places, b in zip(model.names, model.theta.places, effects, strict=True):
        result[f"sd_{name}"], result[f"cor_{name}"] = sds_and_correlations(
            trace.theta[..., :d], places
        )
        result[f"b_{name}"] = b.reshape(*shape, *b.shape[1:])
    return (
        result
        | trace.statistics
        | {"interrupted": trace.interrupted, "thinning": trace.thinning, "method": trace.method}
    )


def split_effects(model: RowModel, head: NDArray, others: NDArray) -> list[NDArray[np.float64]]:
    """Effects (S, J, q) of the blocks in the order of the problem."""
    parts, start = {}, 0
    for number, block in zip(model.order, model.blocks, strict=True):
        size = block.n_levels * block.n_columns
        source = head if number == model.order[0] else others[:, start : start + size]
        parts[number] = source.reshape(len(head), block.n_levels, block.n_columns)
        start += 0 if number == model.order[0] else size
    return [parts[k] for k in range(len(model.names))]
