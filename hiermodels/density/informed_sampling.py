"""The whole posterior of a model of any family: freeze, mode, whitening, NUTS.

The pilot alternates between the mode of the density in informed coordinates and the freeze of the
likelihood there; as the coordinates contain -log|R|, that mode is the Laplace approximation of the
mode of theta. NUTS then starts from coordinates in which the posterior is near Normal(0, I).
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba.core.ccallback import CFunc
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from .coordinates import PLAIN, PROBIT, SOFT
from .covariance import sds_and_correlations
from .information import Point, coefficient, freeze
from .informed import informed_callback, informed_expansion
from .layout import Section
from .nuts import run_nuts
from .pilot import FLATTEST, KNEE_SHIFT, STEEPEST, STEP
from .recovery import by_block
from .rows import RowModel, RowProblem, row_model
from .sampling import ENOUGH, FEWEST_TO_JUDGE, MOST_THINNING, available_cores
from .trace import Trace, least_effective

__all__ = ["informed_log_density", "sample_informed"]

LARGEST_WHITENED = 300
"""Coordinates that are whitened densely; above, those of theta and the common coefficients."""
FREEZES, CLOSE = 6, 0.05
"""Freezes of the pilot at most, and the largest move, in posterior sds, after which it stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A row model with its coordinates: x = 0 at ``centre``. Made by `pilot`, read by sampling."""

    model: RowModel
    sections: dict[Section, NDArray]

    @property
    def words(self) -> NDArray[np.float64]:
        return self.model.words(self.sections)

    def changed(self, sections: dict[Section, NDArray]) -> Frozen:
        return replace(self, sections=self.sections | sections)


def evaluate(x: NDArray, words: NDArray, density: CFunc) -> tuple[float, NDArray[np.float64]]:
    """Log-density and gradient at x, through the callback that NUTS calls."""
    x = np.ascontiguousarray(x, float)
    gradient, value = np.empty(len(x)), ctypes.c_double()
    doubles = ctypes.POINTER(ctypes.c_double)
    code = density.ctypes(
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
    """At the starting coefficients, without effects."""
    t = np.array([line_of(model, k, value) for k, value in enumerate(model.start)])
    plain = {
        Section.CENTRE: np.zeros(model.dimension),
        Section.SCALE: np.zeros(0),
        Section.BENDS: np.full(model.n_theta, PLAIN),
        Section.KNEES: np.zeros(model.n_theta),
    }
    at = Point.without_effects(model, t)
    return Frozen(model=model, sections=plain | freeze(model, at))


def line_of(model: RowModel, k: int, value: float) -> float:
    """The t of a start value, by bisection where it is not on the line itself."""
    from .coefficientpriors import to_line

    return to_line(value, model.priors[k])


def point_of(model: RowModel, expanded: NDArray) -> Point:
    """The coefficients of one stored draw."""
    d, p = model.n_theta, model.n_common
    others, head = np.split(expanded[d + p :], [model.n_others])
    effects = [head.reshape(model.blocks[0].n_levels, -1)]
    start = 0
    for block in model.blocks[1:]:
        size = block.n_levels * block.n_columns
        effects.append(others[start : start + size].reshape(block.n_levels, -1))
        start += size
    return Point(model, expanded[d : d + p], tuple(effects))


def find_mode(start: NDArray, words: NDArray) -> NDArray[np.float64]:
    density = informed_callback()

    def negative(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = evaluate(x, words, density)
        return -value, -gradient

    return minimize(
        negative, start, jac=True, method="L-BFGS-B", options={"maxiter": 300, "gtol": 1e-3}
    ).x


def curvature(x: NDArray, words: NDArray, coordinates: NDArray) -> NDArray[np.float64]:
    """Minus the Hessian of the log-density, of some of the coordinates."""
    density = informed_callback()
    rows = []
    for k in coordinates:
        step = np.zeros(len(x))
        step[k] = STEP
        above, below = evaluate(x + step, words, density), evaluate(x - step, words, density)
        rows.append((below[1] - above[1])[coordinates] / (2 * STEP))
    return 0.5 * (np.array(rows) + np.transpose(rows))


def pilot(model: RowModel) -> Frozen:
    """Freeze at the mode, bend where a boundary is near, centre and whiten."""
    frozen = first_freeze(model)
    x = np.zeros(model.dimension)
    theta = np.full(model.n_theta, np.nan)
    for seed in range(1, FREEZES):
        x = find_mode(x, frozen.words)
        found = expand(x, frozen.words)
        frozen = frozen.changed(freeze(model, point_of(model, found), seed=seed))
        # in the new coordinates u = 0 is the mode of the approximation at the same theta
        x[model.n_theta :] = 0.0
        if np.all(np.abs(found[: model.n_theta] - theta) < CLOSE):
            break
        theta = found[: model.n_theta].copy()
    x = find_mode(x, frozen.words)
    leading = leading_coordinates(model)
    bends, knees = choose_bends(model, x, curvature(x, frozen.words, np.arange(model.n_theta)))
    frozen = frozen.changed({Section.BENDS: bends, Section.KNEES: knees})
    x = find_mode(x, frozen.words)
    scale = whitening(curvature(x, frozen.words, leading))
    return frozen.changed({Section.CENTRE: x, Section.SCALE: scale})


def leading_coordinates(model: RowModel) -> NDArray[np.int64]:
    if model.dimension <= LARGEST_WHITENED:
        return np.arange(model.dimension)
    return np.arange(model.n_theta)


def choose_bends(model: RowModel, mode: NDArray, bent: NDArray) -> tuple[NDArray, NDArray]:
    d = model.n_theta
    bends, knees = np.full(d, PLAIN), np.zeros(d)
    spread = np.minimum(1.0, 1.0 / np.sqrt(np.maximum(np.diag(bent), 1e-8)))
    for places in model.theta.places:
        bends[places.sd] = SOFT
        knees[places.sd] = mode[places.sd] + np.log(spread[places.sd]) + KNEE_SHIFT
        bends[places.partial[places.partial >= 0]] = PROBIT
    return bends, knees


def whitening(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse square root of the curvature."""
    if not np.all(np.isfinite(matrix)):
        return np.eye(len(matrix))
    values, vectors = np.linalg.eigh(matrix)
    return (vectors / np.sqrt(np.clip(values, FLATTEST, STEEPEST))) @ vectors.T


def sample_informed(
    problem: RowProblem,
    *,
    draws: int = 1000,
    tune: int = 200,
    chains: int = 4,
    cores: int | None = None,
    seed: int = 0,
    target_accept: float = 0.8,
    progress: bool = False,
    progress_callback: Callable | None = None,
) -> dict[str, Any]:
    """Arrays (chains, draws, ...): ``common`` (p,), by block ``sd_g``, ``cor_g``, ``b_g``, and
    statistics. ``common`` are the coefficients of all predictors as they enter them."""
    cores = cores or available_cores()
    with threadpool_limits(1):
        model = row_model(problem)
        frozen = pilot(model)
        trace = sample_enough(
            frozen,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=min(chains, cores),
            seed=seed,
            target_accept=target_accept,
            progress=progress,
            progress_callback=progress_callback,
        )
    return name_draws(model, trace)


def sample_enough(frozen: Frozen, *, draws: int, **settings: Any) -> Trace:
    """NUTS; where the effective sample is small, more draws, thinned."""
    words = frozen.words

    def run(n: int) -> Trace:
        return run_nuts(
            words,
            density=informed_callback(),
            expansion=informed_expansion(),
            dimension=frozen.model.dimension,
            draws=n,
            **settings,
        )

    trace, m = run(draws), frozen.model.n_theta + frozen.model.n_common
    if trace.interrupted or draws < FEWEST_TO_JUDGE:
        return trace
    wanted = ENOUGH * settings["chains"] * draws
    thinning = min(MOST_THINNING, math.ceil(wanted / least_effective(trace.theta[..., :m])))
    return trace if thinning <= 1 else run(draws * thinning).thin(thinning)


def name_draws(model: RowModel, trace: Trace) -> dict[str, Any]:
    d, p = model.n_theta, model.n_common
    shape, flat = trace.theta.shape[:2], trace.theta.reshape(-1, trace.theta.shape[2])
    t, others, head = np.split(flat[:, d:], [p, p + model.n_others], axis=1)
    common = np.stack([natural(model, k, t[:, k]) for k in range(p)], axis=1)
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


def natural(model: RowModel, k: int, t: NDArray) -> NDArray[np.float64]:
    """A common coefficient on the scale of its prior, from the line."""
    prior = model.priors[k]
    return from_line_many(prior.line, t, prior.lower, prior.upper)


def from_line_many(line: int, t: NDArray, lower: float, upper: float) -> NDArray[np.float64]:
    from .coefficientpriors import ABOVE, BELOW, BETWEEN

    if line == ABOVE:
        return lower + np.exp(t)
    if line == BELOW:
        return upper - np.exp(t)
    if line == BETWEEN:
        return lower + (upper - lower) / (1.0 + np.exp(-t))
    return t


def split_effects(model: RowModel, head: NDArray, others: NDArray) -> list[NDArray[np.float64]]:
    """Effects (S, J, q) of the blocks in the order of the problem."""
    parts, start = {}, 0
    for number, block in zip(model.order, model.blocks, strict=True):
        size = block.n_levels * block.n_columns
        source = head if number == model.order[0] else others[:, start : start + size]
        parts[number] = source.reshape(len(head), block.n_levels, block.n_columns)
        start += 0 if number == model.order[0] else size
    return [parts[k] for k in range(len(model.names))]


def informed_log_density(problem: RowProblem, x: NDArray) -> tuple[float, NDArray, NDArray]:
    """Value and gradient at x = (theta, u) of the first freeze, and what is stored of x."""
    words = first_freeze(row_model(problem)).words
    value, gradient = evaluate(x, words, informed_callback())
    return value, gradient, expand(x, words)
