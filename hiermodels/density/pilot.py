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
from scipy.special import expit, ndtri

from .coordinates import PLAIN, PROBIT, SOFT, Coordinates, bend, evaluate, to_theta
from .covariance import Places
from .crossproducts import CrossProducts
from .mode import curvature, find_mode, towards_zero, whitening
from .modes import Mode, find_modes, log_mass, place_of
from .starts import PAIRS, draw_starts

__all__ = ["bends_of", "choose_coordinates", "first_guess", "modes_of_theta", "unbent"]

KNEE_SHIFT = 1.0
"""Measured on `blossoms`: a knee above the posterior's shoulder mixes better than one below."""
NEWTON = 30


def choose_coordinates(
    products: CrossProducts, start: NDArray[np.float64] | None = None
) -> Coordinates:
    """Coordinates for NUTS: bent where a boundary is near, centred and whitened at the mode.

    The search starts at theta = ``start``, or at `first_guess`.

    Raises
    ------
    FloatingPointError
        Where the density is not finite at the start.
    """
    plain = plain_coordinates(products)
    density = partial(evaluate, words=products.words)
    mode = find_mode(first_guess(products) if start is None else start, density)
    bends, knees = choose_bends(products, mode, curvature(mode, density))
    bent = Coordinates(centre=plain.centre, scale=plain.scale, bends=bends, knees=knees)
    density = partial(evaluate, words=bent.write(products.words))
    mode = find_mode(mode, density)
    return Coordinates(
        centre=mode, scale=whitening(curvature(mode, density)), bends=bends, knees=knees
    )


def plain_coordinates(products: CrossProducts) -> Coordinates:
    d = products.theta.size
    return Coordinates(
        centre=np.zeros(d), scale=np.eye(d), bends=np.full(d, PLAIN), knees=np.zeros(d)
    )


def modes_of_theta(
    products: CrossProducts, *, seed: int, pairs: int = PAIRS
) -> list[Mode[NDArray[np.float64]]]:
    """The modes that searches from the guess and from draws of the prior find; coordinates are the
    buffer that has them."""

    def settled(start: NDArray[np.float64] | None) -> tuple[Coordinates, Mode[NDArray]]:
        found = choose_coordinates(products, start)
        words = found.write(products.words)
        value = evaluate(np.zeros(len(found.centre)), words)[0]
        place, spread = place_of(partial(theta_at, words=words), len(found.centre))
        return found, Mode(
            coordinates=words, place=place, spread=spread, log_mass=log_mass(value, found.scale)
        )

    try:
        at, first = settled(None)
    except FloatingPointError:  # NUTS says so, if it cannot start either
        words = plain_coordinates(products).write(products.words)
        place = np.zeros(products.theta.size)
        return [Mode(coordinates=words, place=place, spread=place, log_mass=0.0)]
    density = partial(evaluate, words=first.coordinates)

    def approach(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.linalg.solve(at.scale, unbent(at.bends, theta, at.knees) - at.centre)
        return theta_at(find_mode(towards_zero(x, density), density), first.coordinates)

    starts = draw_starts(products.theta.priors, seed=seed, pairs=pairs)
    return find_modes(
        first, [start.theta for start in starts], approach, lambda theta: settled(theta)[1]
    )


def theta_at(x: NDArray[np.float64], words: NDArray[np.float64]) -> NDArray[np.float64]:
    theta = np.empty(len(x))
    to_theta(np.ascontiguousarray(x, float), words, theta, np.empty(len(x)), np.empty(len(x)))
    return theta


def unbent(
    forms: NDArray[np.int64], theta: NDArray[np.float64], knees: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The t that bend to theta; Newton's steps, for the map increases everywhere."""
    t = np.array(theta, float)
    for k, (form, value, knee) in enumerate(zip(forms, theta, knees, strict=True)):
        if form == PROBIT:
            t[k] = ndtri(expit(2.0 * value))
        for _ in range(NEWTON if form == SOFT else 0):
            at, slope, _ = bend.py_func(form, t[k], knee)
            t[k] += (value - at) / slope
    return t


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
