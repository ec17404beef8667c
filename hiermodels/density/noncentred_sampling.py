"""The whole posterior where the common coefficients have any prior.

Two densities of the one model (`METHODS`):

    conditional   (theta, beta) are sampled, effects integrated out and recovered: mixes as well
                  as the collapsed engine; for a dense Schur complement that is small
    noncentred    (theta, beta, z) are sampled: O(nonzeros) a gradient; the PyMC model itself
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba.core.ccallback import CFunc
from numpy.typing import NDArray

from ..threads import available_cores, one_thread
from .coefficientpriors import (
    LINE,
    CoefficientPrior,
    CompiledPrior,
    compile_prior,
    from_line,
    to_line,
)
from .compilation import Callback
from .conditional import conditional_callbacks, conditional_expansion, recover_effects
from .coordinates import bend
from .crossproducts import CrossProducts, cross_products
from .drawing import AS_THEY_ARE, Coefficients, Store, by_block
from .joint import Extra, Joint, join, with_coordinates
from .layout import Section, floats
from .mode import curvature, find_mode, towards_zero, whitening
from .modes import Mode, find_modes, log_mass, place_of, sample_modes
from .noncentred import noncentred_callbacks, noncentred_expansion
from .nuts import run_nuts
from .pilot import choose_bends, first_guess, unbent
from .problem import GaussianProblem
from .sampling import (
    ENOUGH,
    LARGEST_FOR_NUTS,
    label,
)
from .starts import Start, draw_starts
from .trace import Trace, sample_enough

__all__ = [
    "METHODS",
    "conditional_log_density",
    "first_use",
    "noncentred_log_density",
    "sample_noncentred",
]

ENOUGH_WITH_EFFECTS = 0.1
"""Effective draws wanted per draw where effects are sampled: there more draws cost minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A density of the model: its callbacks, and whether NUTS moves in the effects, too.

    ``kernels`` are those for a dense and for a sparse problem.
    """

    kernels: tuple[Callback, Callback]
    expansion: Callable[[], CFunc]
    with_effects: bool

    def density(self, joint: Joint) -> CFunc:
        """The log-density for this buffer."""
        return self.kernels[joint.products.sparse]()

    def dimension(self, joint: Joint) -> int:
        """How many coordinates NUTS moves in."""
        return joint.n_leading + self.with_effects * joint.n_effects


METHODS = {
    "conditional": Method(
        kernels=conditional_callbacks, expansion=conditional_expansion, with_effects=False
    ),
    "noncentred": Method(
        kernels=noncentred_callbacks, expansion=noncentred_expansion, with_effects=True
    ),
}


def noncentred_log_density(
    problem: GaussianProblem,
    common_priors: tuple[CoefficientPrior, ...],
    values: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """Value and gradient at ``values`` = (theta, coefficients on the line, z).

    theta is as in `covariance.describe_theta`, Jacobians included; z (J, q) of the factor with most
    columns comes first, then the others in the order of ``cross_products(problem).order``.
    """
    joint = join(cross_products(problem), common_priors)
    # No shear: the values are those of the coefficients themselves.
    plain = with_coordinates(joint, {Extra.SHEAR: np.zeros_like(joint.sections[Extra.SHEAR])})
    return _evaluate_at("noncentred", plain, values)


def conditional_log_density(
    problem: GaussianProblem,
    common_priors: tuple[CoefficientPrior, ...],
    values: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """Value and gradient at ``values`` = (theta, coefficients on the line), without effects."""
    return _evaluate_at("conditional", join(cross_products(problem), common_priors), values)


def _evaluate_at(method: str, joint: Joint, values: NDArray) -> tuple[float, NDArray[np.float64]]:
    if len(values) != METHODS[method].dimension(joint):
        raise ValueError(f"give {METHODS[method].dimension(joint)} values, not {len(values)}")
    return _evaluate(values, METHODS[method].density(joint), joint.words)


def _evaluate(x: NDArray, density: CFunc, words: NDArray) -> tuple[float, NDArray[np.float64]]:
    x = np.ascontiguousarray(x, float)
    gradient, value = np.empty(len(x)), ctypes.c_double()
    doubles = ctypes.POINTER(ctypes.c_double)
    density.ctypes(
        len(x),
        x.ctypes.data_as(doubles),
        gradient.ctypes.data_as(doubles),
        ctypes.byref(value),
        words.ctypes.data,
    )
    return value.value, gradient


def best_method(products: CrossProducts) -> str:
    """The method of `METHODS` that is better for the size of the problem."""
    return "conditional" if products.rest_size <= LARGEST_FOR_NUTS else "noncentred"


def first_use(products: CrossProducts) -> bool:
    """Whether the kernels of this problem have yet to be compiled on this machine."""
    return not METHODS[best_method(products)].kernels[products.sparse].is_cached()


def sample_noncentred(
    problem: GaussianProblem | CrossProducts,
    common_priors: tuple[CoefficientPrior, ...],
    *,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    seed: int = 0,
    target_accept: float | None = None,
    progress: bool = False,
    progress_callback: Callable | None = None,
    method: str | None = None,
    store: Store = AS_THEY_ARE,
) -> dict[str, Any]:
    """Arrays (chains, draws, ...) as those of `sampling.sample`, for any priors of the common
    coefficients.

    ``method`` is a key of `METHODS`; None takes the better one for the size of the problem, and
    ``tune`` and ``target_accept`` None what suits it.
    """
    products = problem if isinstance(problem, CrossProducts) else cross_products(problem)
    method = method or best_method(products)
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; there are {sorted(METHODS)}")
    chosen = METHODS[method]
    cores = cores or available_cores()

    def run(joint: Joint, *, chains: int, seed: int) -> Trace:
        nuts = partial(
            _run_nuts,
            joint,
            method,
            tune=tune if tune is not None else (1000 if chosen.with_effects else 200),
            target_accept=target_accept or (0.9 if chosen.with_effects else 0.8),
            chains=chains,
            cores=min(chains, cores),
            progress=progress,
            progress_callback=progress_callback,
        )
        return sample_enough(
            nuts,
            draws=draws,
            seed=seed,
            enough=ENOUGH_WITH_EFFECTS if chosen.with_effects else ENOUGH,
            leading=joint.n_leading,
        )

    with one_thread():
        joint = _first_coordinates(join(products, common_priors), common_priors)
        found_modes = _modes(joint, common_priors, method, seed=seed)
        trace = sample_modes(found_modes, run, chains=chains, seed=seed)
    found = _coefficients(joint, chosen, trace, np.random.default_rng([seed, 1]), cores, store)
    return label(products, trace, found)


def _modes(
    joint: Joint, common_priors: tuple[CoefficientPrior, ...], method: str, *, seed: int
) -> list[Mode[Joint]]:
    """Centred; of the conditional density the modes that searches find from there and from draws of
    the prior."""
    at_first, m = joint.sections[Extra.CENTRE][: joint.n_leading], joint.n_leading
    only = Mode(coordinates=joint, place=at_first, spread=np.zeros(m), log_mass=0.0)
    if METHODS[method].with_effects:
        return [only]
    compiled = tuple(compile_prior(prior) for prior in common_priors)
    try:
        first = _mode_from(joint, compiled, method, np.zeros(m))
    except FloatingPointError:  # NUTS says so, if it cannot start either
        return [only]
    centred = first.coordinates
    density = partial(_evaluate, density=METHODS[method].density(centred), words=centred.words)
    sections = centred.sections

    def approach(start: Start) -> NDArray[np.float64]:
        theta = unbent(sections[Extra.BENDS], start.theta, sections[Extra.KNEES])
        away = np.concatenate([theta, start.t]) - sections[Extra.CENTRE][:m]
        x = towards_zero(np.linalg.solve(sections[Extra.SCALE], away), density)
        return _place(find_mode(x, density), centred, compiled)

    def settle(place: NDArray[np.float64]) -> Mode[Joint]:
        pairs = zip(place[joint.n_theta :], compiled, strict=True)
        on_line = [to_line(value, prior) for value, prior in pairs]
        away = np.concatenate([place[: joint.n_theta], on_line]) - at_first
        return _mode_from(joint, compiled, method, away / np.diag(joint.sections[Extra.SCALE]))

    starts = draw_starts(joint.products.theta.priors, compiled, seed=seed)
    return find_modes(first, starts, approach, settle)


def _mode_from(
    joint: Joint, compiled: tuple[CompiledPrior, ...], method: str, x: NDArray[np.float64]
) -> Mode[Joint]:
    """The mode that a search finds from x; whitened there, and bent where a boundary is near."""
    d, m = joint.n_theta, joint.n_leading
    start, scale = joint.sections[Extra.CENTRE].copy(), joint.sections[Extra.SCALE]
    mode, curved = _mode_and_curvature(joint, method, x)
    start[:m] += scale @ mode
    bends, knees = choose_bends(joint.products, start[:d], curved[:d, :d])
    joint = with_coordinates(joint, {Extra.CENTRE: start, Extra.BENDS: bends, Extra.KNEES: knees})
    mode, curved = _mode_and_curvature(joint, method, np.zeros(m))
    start[:m] += scale @ mode
    scale = scale @ _whitening(curved, d)
    joint = with_coordinates(joint, {Extra.CENTRE: start, Extra.SCALE: scale})
    value = _evaluate(np.zeros(m), METHODS[method].density(joint), joint.words)[0]
    place, spread = place_of(partial(_place, joint=joint, compiled=compiled), m)
    return Mode(coordinates=joint, place=place, spread=spread, log_mass=log_mass(value, scale))


def _place(
    x: NDArray[np.float64], joint: Joint, compiled: tuple[CompiledPrior, ...]
) -> NDArray[np.float64]:
    """What is stored of x: theta and the common coefficients."""
    d, m, sections = joint.n_theta, joint.n_leading, joint.sections
    t = sections[Extra.CENTRE][:m] + sections[Extra.SCALE] @ x
    bends = zip(sections[Extra.BENDS], t[:d], sections[Extra.KNEES], strict=True)
    theta = [bend.py_func(form, value, knee)[0] for form, value, knee in bends]
    common = [
        from_line.py_func(prior.line, value, prior.lower, prior.upper)[0]
        for prior, value in zip(compiled, t[d:], strict=True)
    ]
    return np.array([*theta, *common])


def _mode_and_curvature(
    joint: Joint, method: str, start: NDArray[np.float64]
) -> tuple[NDArray, NDArray]:
    density = partial(_evaluate, density=METHODS[method].density(joint), words=joint.words)
    mode = find_mode(start, density)
    return mode, curvature(mode, density)


def _first_coordinates(joint: Joint, common_priors: tuple[CoefficientPrior, ...]) -> Joint:
    """Centred at a guess, each coefficient in units of its standard error were there no groups."""
    products, d, m = joint.products, joint.n_theta, joint.n_leading
    n = products.rest_size
    rest = floats.py_func(products.words, Section.REST).reshape(n + 1, n + 1)
    information = np.diag(rest)[n - products.n_common : n]
    centre = np.zeros(m + joint.n_effects)
    centre[:d] = first_guess(products)
    centre[d:m] = [
        to_line(at, compile_prior(prior))
        for at, prior in zip(products.beta0, common_priors, strict=True)
    ]
    on_line = _on_line(common_priors)
    errors = products.residual_scale / np.sqrt(np.where(information > 0, information, 1.0))
    scale = np.diag(np.concatenate([np.ones(d), np.where(on_line, errors, 1.0)]))
    return with_coordinates(joint, {Extra.CENTRE: centre, Extra.SCALE: scale})


def _on_line(common_priors: tuple[CoefficientPrior, ...]) -> NDArray[np.bool_]:
    """Which coefficients have no bound."""
    return np.array([compile_prior(prior).line == LINE for prior in common_priors], bool)


def _whitening(curved: NDArray[np.float64], d: int) -> NDArray[np.float64]:
    """Inverse square root of the curvature, coefficients in units of their own width first."""
    if not np.all(np.isfinite(curved)):
        return np.eye(len(curved))
    width = np.ones(len(curved))
    width[d:] = 1.0 / np.sqrt(np.maximum(np.diag(curved)[d:], 1e-8))
    return width[:, None] * whitening(curved * np.outer(width, width))


def _run_nuts(joint: Joint, method: str, **settings: Any) -> Trace:
    """Draws of what the method's expansion writes."""
    chosen = METHODS[method]
    return run_nuts(
        joint.words,
        density=chosen.density(joint),
        expansion=chosen.expansion(),
        dimension=chosen.dimension(joint),
        **settings,
    )


def _coefficients(
    joint: Joint, method: Method, trace: Trace, rng: np.random.Generator, cores: int, store: Store
) -> Coefficients:
    """Effects that were sampled with the coefficients, or are recovered from them."""
    products, m, chains = joint.products, joint.n_leading, len(trace.theta)
    flat = trace.theta.reshape(-1, trace.theta.shape[2])
    if not method.with_effects:
        found = recover_effects(joint, flat, rng=rng, cores=cores, chains=chains, store=store)
        return found.of_chains(chains)
    levels, width = products.shapes[products.order[0]]
    head, others = np.split(flat[:, m:], [levels * width], axis=1)
    drawn = by_block(products, head.reshape(-1, levels, width), others)
    return Coefficients(
        beta=flat[:, joint.n_theta : m],
        effects=tuple(
            store.mapped(block, each).astype(store.dtype, copy=False)
            for block, each in enumerate(drawn)
        ),
        done=np.ones(len(flat), bool),
        interrupted=trace.interrupted,
    ).of_chains(chains)
