"""Where a log-density is highest and how it bends there, from its value and exact gradient alone.

Parameters are logarithms, or in units of their width: of order one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = [
    "FLATTEST",
    "STEEPEST",
    "Evaluate",
    "curvature",
    "find_mode",
    "towards_zero",
    "whitening",
]

Evaluate = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]
HALVINGS = 12
STEP = 1e-3
"""Of the differences of the gradient."""
FLATTEST, STEEPEST = 0.25, 1e12
"""Curvatures are kept between: a flatter direction says more of the mode than of the posterior."""


def find_mode(
    start: NDArray[np.float64], evaluate: Evaluate, *, iterations: int = 200
) -> NDArray[np.float64]:
    """A quasi-Newton search; it steps back where the density or its gradient is not finite.

    Raises
    ------
    FloatingPointError
        Where it is not finite at the start, or the search leaves the numbers.
    """

    def negative(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = evaluate(x)
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return np.inf, np.zeros_like(x)
        return -value, -gradient

    options = {"maxiter": iterations, "gtol": 1e-3}
    with np.errstate(all="ignore"):  # what comes of numbers too large is asked for below
        found = minimize(negative, start, jac=True, method="L-BFGS-B", options=options)
    if not (np.isfinite(found.fun) and np.all(np.isfinite(found.x))):
        raise FloatingPointError("the search for the mode left the numbers")
    return found.x


def towards_zero(x: NDArray[np.float64], evaluate: Evaluate) -> NDArray[np.float64]:
    """x, or the first of x/2, x/4 ... where density and gradient are finite.

    Raises
    ------
    FloatingPointError
        Where there is none, within `HALVINGS`.
    """
    for _ in range(HALVINGS):
        with np.errstate(all="ignore"):
            value, gradient = evaluate(x)
        if np.isfinite(value) and np.all(np.isfinite(gradient)):
            return x
        x = 0.5 * x
    raise FloatingPointError("no finite density between the start and the mode")


def curvature(
    x: NDArray[np.float64], evaluate: Evaluate, *, first: int | None = None
) -> NDArray[np.float64]:
    """Minus the Hessian by the ``first`` parameters, or all, by differences of the gradient."""
    steps = STEP * np.eye(len(x))[:first]
    rows = [(evaluate(x - e)[1] - evaluate(x + e)[1])[:first] / (2 * STEP) for e in steps]
    return 0.5 * (np.array(rows) + np.transpose(rows))


def whitening(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse square root of the curvature."""
    if not np.all(np.isfinite(curvature)):
        return np.eye(len(curvature))
    values, vectors = np.linalg.eigh(curvature)
    return vectors / np.sqrt(np.clip(values, FLATTEST, STEEPEST))
