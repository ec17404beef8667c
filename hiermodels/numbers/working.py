"""What a row says of its linear predictor: working weights and responses, as in Fisher scoring.

    w_i = (d E[y] / d eta)^2 / Var(y | eta)          z_i = eta_i + (y_i - E[y]) / (d E[y] / d eta)

at a draw, or at the posterior mean. In a Gaussian model w = 1 / sigma^2 and z = y.

Source: McCullagh & Nelder 1989, Generalized Linear Models, chapters 2 and 9 (quasi-likelihood).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hiermodels.design import Design
from hiermodels.numbers.draws import Draws
from hiermodels.numbers.expected import (
    fitted_rows,
    response_mean,
    response_variance,
    spread_indices,
)
from hiermodels.numbers.points import points_of, trials_of

__all__ = ["Working", "mean_rows", "needs_working", "working_response", "working_weights"]

type Array = np.ndarray

#: The step of the derivative, and what is taken for nothing.
STEP, NOTHING = 1e-4, 1e-12
#: Draws whose mean is the mean of the posterior, closely enough to start from.
SOME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """``response`` and ``weights`` (n,) of the linear predictor. Made by `working_response`."""

    response: Array
    weights: Array


def needs_working(design: Design, draws: Draws) -> bool:
    """Whether the weight of a row differs from its count over one residual variance."""
    normal = design.family.name in ("gaussian", "student", "lognormal")
    return not (normal and (draws.residual is not None or design.se is not None))


def frequencies(design: Design) -> Array:
    return np.ones(design.n) if design.weights is None else design.weights


def working_weights(design: Design, eta: Array, aux: Mapping[str, Array]) -> Array:
    """w_i at a linear predictor, times the count of the row: (n,)."""
    if design.family.name in ("gaussian", "lognormal", "student"):
        information = 1 / np.broadcast_to(aux["sigma"], eta.shape) ** 2
        if design.family.name == "student":
            information = information * (aux["nu"] + 1) / (aux["nu"] + 3)
        return np.asarray(frequencies(design) * information)
    design = by_position(design)
    trials = trials_of(design)
    slope = mean_slope(design, eta, aux)
    variance = response_variance(design, eta, aux, trials=trials)
    weights = frequencies(design) * slope**2 / np.maximum(variance, NOTHING**2)
    return np.maximum(weights, NOTHING)


def mean_slope(design: Design, eta: Array, aux: Mapping[str, Array]) -> Array:
    """d E[y] / d eta by a central difference: (n,)."""
    trials = trials_of(design)
    above = response_mean(design, eta + STEP, aux, trials=trials)
    below = response_mean(design, eta - STEP, aux, trials=trials)
    return np.asarray((above - below) / (2 * STEP))


def by_position(design: Design) -> Design:
    """The design with categories numbered by their position: eta does not depend on scores."""
    return replace(design, family=replace(design.family, scores=None))


def working_response(design: Design, eta: Array, aux: Mapping[str, Array]) -> Working:
    """z_i and w_i at a linear predictor."""
    design = by_position(design)
    trials = trials_of(design)
    y = design.response if trials is None else design.response / trials
    slope = np.maximum(mean_slope(design, eta, aux), NOTHING)
    return Working(
        response=eta + (y - response_mean(design, eta, aux, trials=trials)) / slope,
        weights=working_weights(design, eta, aux),
    )


def mean_rows(design: Design, draws: Draws) -> tuple[Array, dict[str, Array]]:
    """Posterior means of eta (n,) and of the family's own parameters."""
    points, full = points_of(design), draws.with_effects
    rows = [fitted_rows(design, full, points, s) for s in spread_indices(full.n, SOME)]
    eta = np.mean([e for e, _ in rows], axis=0)
    return eta, {k: np.mean([aux[k] for _, aux in rows], axis=0) for k in rows[0][1]}
