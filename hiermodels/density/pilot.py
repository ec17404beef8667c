"""Where the posterior of theta is, and coordinates in which it is nearly Normal(0, I).

A quasi-Newton search finds the mode; the curvature there says how well each sd is known, hence
where its coordinate should bend (an sd known to a factor exp(s) has its knee at e s times the mode:
far from zero nothing changes); a second search and a Hessian, by differences of the exact gradient,
whiten.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from .coordinates import PLAIN, PROBIT, SOFT, Coordinates, evaluate
from .covariance import Places
from .crossproducts import CrossProducts

__all__ = ["choose_coordinates"]

STEP = 1e-3
"""Of the differences of the gradient; parameters are logarithms, so of order one."""
KNEE_SHIFT = 1.0
"""Measured on `blossoms`: a knee above the posterior's shoulder mixes better than one below."""
FLATTEST, STEEPEST = 0.25, 1e12
"""Curvatures are kept between: a flatter direction says more of the mode than of the posterior."""


def choose_coordinates(products: CrossProducts) -> Coordinates:
    """Coordinates for NUTS: bent where a boundary is near, centred and whitened at the mode."""
    d = products.theta.size
    plain = Coordinates(
        centre=np.zeros(d), scale=np.eye(d), bends=np.full(d, PLAIN), knees=np.zeros(d)
    )
    mode = _find_mode(first_guess(products), products.words)
    bends, knees = choose_bends(products, mode, _curvature(mode, products.words))
    bent = Coordinates(centre=plain.centre, scale=plain.scale, bends=bends, knees=knees)
    words = bent.write(products.words)
    mode = _find_mode(mode, words)
    return Coordinates(
        centre=mode, scale=whitening(_curvature(mode, words)), bends=bends, knees=knees
    )


def first_guess(products: CrossProducts) -> NDArray[np.float64]:
    """Every sd at half the residual sd of the common effects alone, no correlation."""
    guess = np.zeros(products.theta.size)
    for places in products.theta.places:
        guess[places.sd] = np.log(0.5 * products.residual_scale)
    if products.theta.log_sigma >= 0:
        guess[products.theta.log_sigma] = np.log(0.8 * products.residual_scale)
    return guess


def _find_mode(start: NDArray[np.float64], words: NDArray[np.float64]) -> NDArray[np.float64]:
    def negative(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = evaluate(x, words)
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return np.inf, np.zeros_like(x)
        return -value, -gradient

    return minimize(
        negative, start, jac=True, method="L-BFGS-B", options={"maxiter": 200, "gtol": 1e-3}
    ).x


def _curvature(x: NDArray[np.float64], words: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the Hessian of the log-density."""
    d = len(x)
    rows = np.empty((d, d))
    for k in range(d):
        step = STEP * np.eye(d)[k]
        rows[k] = (evaluate(x - step, words)[1] - evaluate(x + step, words)[1]) / (2 * STEP)
    return 0.5 * (rows + rows.T)


def choose_bends(
    products: CrossProducts, mode: NDArray, curvature: NDArray
) -> tuple[NDArray, NDArray]:
    return bends_of(products.theta.places, mode, curvature)


def bends_of(
    all_places: tuple[Places, ...], mode: NDArray, curvature: NDArray
) -> tuple[NDArray, NDArray]:
    """Forms and knees of the bends of theta, from its mode and the curvature there."""
    bends, knees = np.full(len(mode), PLAIN), np.zeros(len(mode))
    spread = np.minimum(1.0, 1.0 / np.sqrt(np.maximum(np.diag(curvature), 1e-8)))
    for places in all_places:
        bends[places.sd] = SOFT
        knees[places.sd] = mode[places.sd] + np.log(spread[places.sd]) + KNEE_SHIFT
        bends[places.partial[places.partial >= 0]] = PROBIT
    return bends, knees


def whitening(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse square root of the curvature."""
    if not np.all(np.isfinite(curvature)):
        return np.eye(len(curvature))
    values, vectors = np.linalg.eigh(curvature)
    return vectors / np.sqrt(np.clip(values, FLATTEST, STEEPEST))
