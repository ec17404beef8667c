"""The coordinates x in which NUTS moves, and their C callbacks.

    t = centre + scale x,    theta_k = bend_k(t_k)
    log p(x) = log p(theta) + sum_k log bend_k'(t_k)

`scale` whitens linearly at the mode. The bends turn an exponential tail into one like the normal's,
where a posterior has mass at a boundary:

    SOFT    theta = t - softplus(knee - t)^2 / 2          an sd near zero: theta is its log
    PROBIT  theta = log(Phi(t) / Phi(-t)) / 2             a correlation near +-1: 2 Phi(t) - 1
    PLAIN   theta = t

All are increasing maps of the whole line, so the posterior is the same whatever the knee.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

import numba
import numpy as np
from numba import types
from numba.core.ccallback import CFunc
from numpy.typing import NDArray

from .collapsed import dense_likelihood, sparse_likelihood
from .compilation import Callback, callback, kernel
from .layout import Section, Size, floats, integers
from .priors import add_log_prior

__all__ = [
    "PLAIN",
    "PROBIT",
    "SOFT",
    "Coordinates",
    "dense_callback",
    "density_callback",
    "enter_theta",
    "evaluate",
    "expansion_callback",
    "first_use",
    "sparse_callback",
    "to_theta",
]

PLAIN, SOFT, PROBIT = range(3)
CENTRE, SCALE, BENDS, KNEES = (
    np.int64(Section.CENTRE),
    np.int64(Section.SCALE),
    np.int64(Section.BENDS),
    np.int64(Section.KNEES),
)
FORMS, NUMBERS = np.int64(Section.PRIOR_FORMS), np.int64(Section.PRIOR_NUMBERS)
SIZES, SPARSE = np.int64(Section.SIZES), int(Size.SPARSE)
N_SECTIONS = len(Section)
OK, WRONG_SIZE, NOT_FINITE = 0, -1, 3
INVERSE_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
SQRT_HALF = math.sqrt(0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinates:
    """A choice of coordinates; made by `pilot.choose_coordinates`, read by `nuts` through the
    buffer."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    bends: NDArray[np.int64]
    knees: NDArray[np.float64]

    def write(self, words: NDArray[np.float64]) -> NDArray[np.float64]:
        """A copy of the buffer that uses these coordinates."""
        words = words.copy()
        floats.py_func(words, CENTRE)[:] = self.centre
        floats.py_func(words, SCALE)[:] = self.scale.ravel()
        integers.py_func(words, BENDS)[:] = self.bends
        floats.py_func(words, KNEES)[:] = self.knees
        return words


@kernel
def bend(form, t, knee):
    """theta, dtheta/dt, and the derivative of its logarithm."""
    if form == SOFT:
        gap = knee - t
        soft = max(gap, 0.0) + np.log1p(np.exp(-abs(gap)))
        share = 1.0 / (1.0 + np.exp(-gap))
        slope = 1.0 + soft * share
        return t - 0.5 * soft * soft, slope, -share * (share + soft * (1.0 - share)) / slope
    if form == PROBIT:
        below, above = 0.5 * math.erfc(-t * SQRT_HALF), 0.5 * math.erfc(t * SQRT_HALF)
        density = INVERSE_SQRT_2PI * np.exp(-0.5 * t * t)
        slope = 0.5 * density / (below * above)
        return 0.5 * np.log(below / above), slope, density / above - density / below - t
    return t, 1.0, 0.0


@kernel
def to_theta(x, words, theta, slope, log_slope):
    """Write theta, dtheta/dt and d log(dtheta/dt)/dt; return the log Jacobian of t to theta."""
    d = len(x)
    centre, scale = floats(words, CENTRE), floats(words, SCALE).reshape((d, d))
    bends, knees = integers(words, BENDS), floats(words, KNEES)
    log_jacobian = 0.0
    for k in range(d):
        t = centre[k]
        for i in range(d):
            t += scale[k, i] * x[i]
        theta[k], slope[k], log_slope[k] = bend(bends[k], t, knees[k])
        log_jacobian += np.log(slope[k])
    return log_jacobian


@kernel
def enter_theta(x, words, theta, slope, log_slope, gradient):
    """Write theta and its slopes; return the log prior of t and write its gradient by theta."""
    value = to_theta(x, words, theta, slope, log_slope)
    for k in range(len(theta)):
        gradient[k] = 0.0
    numbers = floats(words, NUMBERS).reshape((len(theta), 4))
    return value + add_log_prior(theta, integers(words, FORMS), numbers, gradient)


@kernel
def _leave(value, words, slope, log_slope, inner, gradient, result):
    """Write value and gradient by x; return the code that nutpie wants."""
    d = len(slope)
    scale = floats(words, SCALE).reshape((d, d))
    finite = np.isfinite(value)
    for i in range(d):
        gradient[i] = 0.0
        for k in range(d):
            gradient[i] += scale[k, i] * (inner[k] * slope[k] + log_slope[k])
        finite &= np.isfinite(gradient[i])
    result[0] = value
    return OK if finite else NOT_FINITE


@kernel
def buffer_at(pointer):
    """The buffer at an address."""
    table = numba.carray(pointer, (2 * N_SECTIONS,), np.int64)
    return numba.carray(
        pointer, (table[2 * N_SECTIONS - 2] + table[2 * N_SECTIONS - 1],), np.float64
    )


_DOUBLES = types.CPointer(types.float64)
DENSITY = types.int64(types.uint64, _DOUBLES, _DOUBLES, _DOUBLES, types.voidptr)
EXPANSION = types.int64(types.uint64, types.uint64, _DOUBLES, _DOUBLES, types.voidptr)


@callback(DENSITY)
def dense_callback(n, x, gradient, value, data):
    """Nutpie's log-density where the rest is small: writes value and gradient, returns 0 or
    rejects."""
    d, words = int(n), buffer_at(data)
    theta, slope, log_slope, inner = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    result = enter_theta(numba.carray(x, (d,)), words, theta, slope, log_slope, inner)
    result += dense_likelihood(theta, words, inner)
    return _leave(result, words, slope, log_slope, inner, numba.carray(gradient, (d,)), value)


@callback(DENSITY)
def sparse_callback(n, x, gradient, value, data):
    """Do as `dense_callback` where the rest is large."""
    d, words = int(n), buffer_at(data)
    theta, slope, log_slope, inner = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    result = enter_theta(numba.carray(x, (d,)), words, theta, slope, log_slope, inner)
    result += sparse_likelihood(theta, words, inner)
    return _leave(result, words, slope, log_slope, inner, numba.carray(gradient, (d,)), value)


def density_callback(words: NDArray[np.float64]) -> CFunc:
    """The log-density for this buffer."""
    return _callback(bool(integers.py_func(words, SIZES)[SPARSE]))()


def _callback(sparse: bool) -> Callback:
    return sparse_callback if sparse else dense_callback


@callback(EXPANSION)
def expansion_callback(n, n_expanded, x, theta, data):
    """Nutpie's map of a draw to what is stored: theta."""
    d = int(n)
    if n != n_expanded:
        return WRONG_SIZE
    to_theta(
        numba.carray(x, (d,)), buffer_at(data), numba.carray(theta, (d,)), np.empty(d), np.empty(d)
    )
    return OK


def first_use(*, sparse: bool = False) -> bool:
    """Whether the kernels have yet to be compiled on this machine, from these sources."""
    return not _callback(sparse).is_cached()


def evaluate(
    x: NDArray[np.float64], words: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Log-density and gradient at x from Python, through the same callback as NUTS."""
    x = np.ascontiguousarray(x, float)
    gradient, value = np.empty(len(x)), ctypes.c_double()
    doubles = ctypes.POINTER(ctypes.c_double)
    density_callback(words).ctypes(
        len(x),
        x.ctypes.data_as(doubles),
        gradient.ctypes.data_as(doubles),
        ctypes.byref(value),
        words.ctypes.data,
    )
    return value.value, gradient
