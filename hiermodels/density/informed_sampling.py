"""The whole posterior of a model of any family: freeze, mode, whitening, NUTS.

The pilot alternates between the mode of the density in informed coordinates and the freeze of the
likelihood there; as the coordinates contain -log|R|, that mode is the Laplace approximation of the
mode of theta. NUTS then starts from coordinates in which the posterior is near Normal(0, I).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..threads import available_cores, one_thread
from .coefficientpriors import from_line_many, to_line
from .coordinates import PLAIN
from .covariance import sds_and_correlations
from .information import Point, freeze, not_frozen
from .informed import informed_callback, informed_expansion
from .layout import Section
from .mode import HALVINGS, Evaluate, curvature, find_mode, whitening
from .modes import Mode, find_modes, is_near, log_mass, place_of, sample_modes
from .nuts import run_nuts
from .pilot import bends_of, unbent
from .rows import RowModel, RowProblem, row_model
from .starts import Start, draw_starts
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
PARTS, MOST_ROWS = 4, 5
"""Searches for a further mode from the modes of a few rows, and how many these are at most."""
APPROACH = 40
"""Iterations on the way to a further mode: enough to see whether it is the known one."""
TOO_LOW = 30.0
"""A search that ends this far below the first mode has found none that matters."""
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


def pilot(model: RowModel, found: NDArray[np.float64] | None = None) -> Frozen:
    """Freeze at the mode, bend where a boundary is near, centre, and whiten theta.

    The search begins at the starting coefficients, or at a stored draw.

    Raises
    ------
    FloatingPointError
        Where the density or its gradient is not finite on the way.
    """
    with np.errstate(all="ignore"):  # what is not finite is asked for
        return _pilot(model, found)


def _pilot(model: RowModel, found: NDArray[np.float64] | None) -> Frozen:
    frozen, d = first_freeze(model) if found is None else frozen_at(model, found), model.n_theta
    x, theta = np.zeros(model.dimension), np.full(d, np.nan)
    x[:d] = 0.0 if found is None else found[:d]
    for seed in range(1, FREEZES):
        x = find_mode(x, frozen.density, iterations=SEARCH)
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
    x[:d] = unbent(bends, x[:d], knees)
    density = frozen.density
    x = find_mode(x, density, iterations=SEARCH)
    matrix = curvature(x, density, first=d)
    if not (np.isfinite(density(x)[0]) and np.all(np.isfinite(matrix))):
        raise FloatingPointError("the density is not finite near its mode")
    return frozen.changed({Section.CENTRE: x, Section.SCALE: whitening(matrix)})


def frozen_at(model: RowModel, found: NDArray, **settings: Any) -> Frozen:
    """Frozen at a stored draw, in coordinates x = (theta, u)."""
    sections = freeze(model, point_of(model, found), **settings)
    return Frozen(model=model, sections=_plain_coordinates(model) | sections)


def modes(model: RowModel, *, seed: int) -> list[Mode[Frozen]]:
    """The modes that searches from the start and from draws of the prior find.

    Raises
    ------
    FloatingPointError
        As `pilot`, at the first of them.
    """
    first, d = as_mode(pilot(model)), model.n_theta
    known = first.coordinates.sections
    bent = {section: known[section] for section in (Section.BENDS, Section.KNEES)}
    least = first.log_mass - float(np.linalg.slogdet(known[Section.SCALE])[1]) - TOO_LOW

    def approach(found: NDArray[np.float64]) -> NDArray[np.float64] | None:
        x = np.zeros(model.dimension)
        for stay in (True, False):  # in coordinates of where it starts, then of where it ended
            # with the bends of the first mode: elsewhere an sd near zero has its mode elsewhere
            frozen = frozen_at(model, found, simulated=0, stay=stay).changed(bent)
            x[:d], x[d:] = unbent(bent[Section.BENDS], found[:d], bent[Section.KNEES]), 0.0
            x = find_mode(x, frozen.density, iterations=APPROACH)
            found = expand(x, frozen.words)
            if is_near(found, first):
                return None
        return found if frozen.density(x)[0] > least else None

    with np.errstate(all="ignore"):
        starts = [*from_priors(model, seed=seed), *from_few_rows(model, first.place, seed=seed)]
        return find_modes(first, starts, approach, lambda found: as_mode(pilot(model, found)))


def as_mode(frozen: Frozen) -> Mode[Frozen]:
    words, dimension = frozen.words, frozen.model.dimension
    value = evaluate(np.zeros(dimension), words)[0]
    place, spread = place_of(partial(expand, words=words), dimension)
    mass = log_mass(value, frozen.sections[Section.SCALE])
    return Mode(coordinates=frozen, place=place, spread=spread, log_mass=mass)


def from_priors(model: RowModel, *, seed: int) -> Iterator[NDArray[np.float64]]:
    """Draws of the prior, as stored draws; halfway back to the start of the first search, and
    again, until the density can be approximated there."""
    first, effects = _start(model).t, model.n_head + model.n_others
    places = tuple(model.theta.places[k] for k in model.order)
    shapes = [(block.n_levels, block.n_columns) for block in model.blocks]
    for start in draw_starts(model.theta.priors, model.priors, effects=effects, seed=seed, pairs=1):
        for k in range(HALVINGS):
            share = 0.5**k
            at = Start(share * start.theta, first + share * (start.t - first), share * start.z)
            head, *others = (b.ravel() for b in at.effects(places, shapes))
            found = np.concatenate([at.theta, at.t, *others, head])
            if is_possible(model, found):
                yield found
                break


def from_few_rows(
    model: RowModel, place: NDArray[np.float64], *, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Modes given a few rows alone, as many as the mean has coefficients, as stored draws.

    Where a density of the rows has heavy tails a mode may need only a part of them, and a draw of
    the prior is seldom near enough. Rows are neighbours in the order of their slopes at the known
    mode: those that would have the mean on the same side, by as much.

    The elemental sets of robust regression: Rousseeuw & Leroy 1987, chapter 5.
    """
    problem, d, rng = model.problem, model.n_theta, np.random.default_rng([seed, 5])
    eta = point_of(model, place).predictors(model)
    order = np.argsort(problem.evaluate(problem.y, problem.trials, eta)[1][0], kind="stable")
    width = min(MOST_ROWS, max(1, int((model.common_predictor == 0).sum())), len(order))
    for part in range(PARTS):
        at = (part + rng.uniform()) / PARTS * (len(order) - width + 1)
        counts = np.zeros(len(order))
        counts[order[int(at) : int(at) + width]] = 1.0
        few = replace(
            model,
            problem=replace(problem, counts=counts),
            sections=model.sections | {Section.COUNTS: counts},
        )
        try:
            frozen = frozen_at(few, place, simulated=0, stay=True)
            x = np.concatenate([place[:d], np.zeros(model.dimension - d)])
            x = find_mode(x, frozen.density, iterations=APPROACH)
        except (FloatingPointError, np.linalg.LinAlgError):
            continue
        yield expand(x, frozen.words)


def is_possible(model: RowModel, found: NDArray[np.float64]) -> bool:
    """Whether the density can be approximated at a stored draw, and is finite there."""
    try:
        frozen = frozen_at(model, found, simulated=0, stay=True)
    except (FloatingPointError, np.linalg.LinAlgError):
        return False
    x = np.concatenate([found[: model.n_theta], np.zeros(model.dimension - model.n_theta)])
    return bool(np.isfinite(frozen.density(x)[0]))


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
    cores = cores or available_cores()
    with one_thread():
        model = row_model(problem)
        found, used = _choose_coordinates(model, coordinates, seed=seed)

        def run(frozen: Frozen, *, chains: int, seed: int) -> Trace:
            nuts = partial(
                run_nuts,
                frozen.words,
                density=informed_callback(),
                expansion=informed_expansion(),
                dimension=model.dimension,
                tune=TUNE[used] if tune is None else tune,
                chains=chains,
                cores=min(chains, cores),
                target_accept=target_accept or TARGET_ACCEPT[used],
                progress=progress,
                progress_callback=progress_callback,
            )
            leading = model.n_theta + model.n_common
            return sample_enough(nuts, draws=draws, seed=seed, enough=ENOUGH[used], leading=leading)

        trace = sample_modes(found, run, chains=chains, seed=seed)
    return name_draws(model, replace(trace, method=used))


def _choose_coordinates(
    model: RowModel, wanted: str, *, seed: int
) -> tuple[list[Mode[Frozen]], str]:
    if wanted not in COORDINATES:
        raise ValueError(f"no coordinates {wanted!r}; there are {COORDINATES}")
    if wanted == "informed":
        try:
            return modes(model, seed=seed), wanted
        except (FloatingPointError, np.linalg.LinAlgError):
            pass
    nowhere = np.zeros(model.dimension)
    only = Mode(coordinates=without_freeze(model), place=nowhere, spread=nowhere, log_mass=0.0)
    return [only], "plain"


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
    return result | trace.statistics | trace.how_made


def split_effects(model: RowModel, head: NDArray, others: NDArray) -> list[NDArray[np.float64]]:
    """Effects (S, J, q) of the blocks in the order of the problem."""
    parts, start = {}, 0
    for number, block in zip(model.order, model.blocks, strict=True):
        size = block.n_levels * block.n_columns
        source = head if number == model.order[0] else others[:, start : start + size]
        parts[number] = source.reshape(len(head), block.n_levels, block.n_columns)
        start += 0 if number == model.order[0] else size
    return [parts[k] for k in range(len(model.names))]
