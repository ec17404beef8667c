"""Where the posterior of theta is, and coordinates in which it is nearly Normal(0, I).

A quasi-Newton search finds the mode; the curvature there says how well each sd is known, hence
where its coordinate should bend (an sd known to a factor exp(s) has its knee at e s times the mode:
far from zero nothing changes); a second search and a Hessian, by differences of the exact gradient,
whiten.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from .coordinates import PLAIN, PROBIT, SOFT, Coordinates, evaluate
from .covariance import Places
from .crossproducts import CrossProducts
from .mode import curvature, find_mode, whitening

__all__ = ["choose_coordinates"]

KNEE_SHIFT = 1.0
"""Measured on `blossoms`: a knee above the posterior's shoulder mixes better than one below."""


def choose_coordinates(products: CrossProducts) -> Coordinates:
    """Coordinates for NUTS: bent where a boundary is near, centred and whitened at the mode."""
    d = products.theta.size
    plain = Coordinates(
        centre=np.zeros(d), scale=np.eye(d), bends=np.full(d, PLAIN), knees=np.zeros(d)
    )
    density = partial(evaluate, words=products.words)
    mode = find_mode(first_guess(products), density)
    bends, knees = choose_bends(products, mode, curvature(mode, density))
    bent = Coordinates(centre=plain.centre, scale=plain.scale, bends=bends, knees=knees)
    density = partial(evaluate, words=bent.write(products.words))
    mode = find_mode(mode, density)
    return Coordinates(
        centre=mode, scale=whitening(curvature(mode, density)), bends=bends, knees=knees
    )


def first_guess(products: CrossProducts) -> NDArray[np.float64]:
    """Every sd at half the residual sd of the common effects alone, no correlation."""
    guess = np.zeros(products.theta.size)
    for places in products.theta.places:
        guess[places.sd] = np.log(0.5 * products.residual_scale)
    if products.theta.log_sigma >= 0:
        guess[products.theta.log_sigma] = np.log(0.8 * products.residual_scale)
    return guess


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
