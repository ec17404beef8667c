"""Buffer and coordinates of the densities that keep the common coefficients, and perhaps the
effects.

NUTS moves in x; the point t = (theta, coefficients on the line, z) is

    t = centre + scale x  in the leading coordinates,    t = centre + x  in the others,

theta then bends as in `coordinates`, and coefficients leave the line as in `coefficientpriors`.
Where z is sampled too, t of the coefficients is less A b, with A = C_xx^-1 C_xb the least-squares
fit of the effects' columns by X: what is sampled are coefficients with the mean of the effects in
them, which the data know. The map is linear in them with Jacobian 1, whatever A; A is zero for
bounded coefficients. The buffer is that of `layout`, unchanged, with a second one of the same kind
behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from .coefficientpriors import (
    LINE,
    CoefficientPrior,
    add_coefficient_prior,
    compile_prior,
    from_line,
)
from .compilation import kernel
from .coordinates import NOT_FINITE, OK, bend
from .crossproducts import CrossProducts
from .layout import Section, Size, floats, integers
from .priors import add_log_prior

__all__ = [
    "Extra",
    "Joint",
    "buffers",
    "enter",
    "join",
    "leading_of",
    "leave",
    "point",
    "theta_of",
    "with_coordinates",
]

N_SECTIONS = len(Section)
SIZES, PARAMETERS, COMMON = np.int64(Section.SIZES), int(Size.PARAMETERS), int(Size.COMMON)
FORMS, NUMBERS = np.int64(Section.PRIOR_FORMS), np.int64(Section.PRIOR_NUMBERS)


class Extra(IntEnum):
    """What the second buffer holds."""

    CENTRE = 0  # (D,) of the sampler's coordinates
    SCALE = 1  # (m, m) linear map of the m leading ones
    BENDS = 2  # (d,) forms of the elementwise map of theta
    KNEES = 3  # (d,) where it bends
    COMMON_FORMS = 4  # (p, 3) line, form and inner form of each coefficient's prior
    COMMON_NUMBERS = 5  # (p, 6) constant, a, b, c, lower, upper
    SHIFT = 6  # (p,) beta0: coefficients less this explain the centred y
    CONSTANT = 7  # (1,) of the likelihood
    REST_POINTERS = 8  # (n + 1,) rows of the cross-products of the rest, of which only
    REST_COLUMNS = 9  # nonzeros
    REST_VALUES = 10  # are kept
    SHEAR = 11  # (p, K) what each effect is worth in coefficients: A


EXPANSION = types.int64(
    types.uint64,
    types.uint64,
    types.CPointer(types.float64),
    types.CPointer(types.float64),
    types.voidptr,
)
EXTRA_SECTIONS = len(Extra)
CENTRE, SCALE, BENDS, KNEES = (
    np.int64(Extra.CENTRE),
    np.int64(Extra.SCALE),
    np.int64(Extra.BENDS),
    np.int64(Extra.KNEES),
)
COMMON_FORMS, COMMON_NUMBERS = np.int64(Extra.COMMON_FORMS), np.int64(Extra.COMMON_NUMBERS)
SHIFT = np.int64(Extra.SHIFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """Cross-products with priors of the common coefficients: made by `join`, read by the samplers.

    `sections` are those of the second buffer, so that other coordinates can be written.
    """

    products: CrossProducts
    sections: dict[Extra, NDArray]
    words: NDArray[np.float64]

    @property
    def n_theta(self) -> int:
        """d, the number of sds, correlations and sigma."""
        return self.products.theta.size

    @property
    def n_leading(self) -> int:
        """d + p, theta and the common coefficients."""
        return self.n_theta + self.products.n_common

    @property
    def n_effects(self) -> int:
        """Number of group effects."""
        return sum(levels * width for levels, width in self.products.shapes)


def join(products: CrossProducts, common_priors: tuple[CoefficientPrior, ...]) -> Joint:
    """Put the priors of the common coefficients, and plain coordinates, behind the cross-products.

    The normal priors inside the cross-products are not used, nor is their constant.
    """
    if len(common_priors) != products.n_common:
        raise ValueError(
            f"there are {products.n_common} common coefficients, but {len(common_priors)} priors"
        )
    priors = [compile_prior(prior) for prior in common_priors]
    d = products.theta.size
    n_effects = sum(levels * width for levels, width in products.shapes)
    sections = {
        Extra.CENTRE: np.zeros(d + len(priors) + n_effects),
        Extra.SCALE: np.eye(d + len(priors)),
        Extra.BENDS: np.zeros(d, np.int64),
        Extra.KNEES: np.zeros(d),
        Extra.COMMON_FORMS: np.array([prior[:3] for prior in priors], np.int64),
        Extra.COMMON_NUMBERS: np.array([prior[3:] for prior in priors], float),
        Extra.SHIFT: products.beta0,
        Extra.CONSTANT: np.array([_likelihood_constant(products)]),
        **_nonzeros(products),
        Extra.SHEAR: _shear(products, np.array([prior.line == LINE for prior in priors], bool)),
    }
    return Joint(products=products, sections=sections, words=_append(products.words, sections))


def with_coordinates(joint: Joint, changed: dict[Extra, NDArray]) -> Joint:
    """The same with other coordinates."""
    sections = joint.sections | changed
    return Joint(
        products=joint.products, sections=sections, words=_append(joint.products.words, sections)
    )


def _likelihood_constant(products: CrossProducts) -> float:
    """The buffer's constant less that of its normal priors."""
    words = products.words
    constant = floats.py_func(words, Section.SCALARS)[2]
    mean, precision = (
        floats.py_func(words, s) for s in (Section.COMMON_MEAN, Section.COMMON_PRECISION)
    )
    return float(constant + 0.5 * np.sum(mean**2 * precision - np.log(precision)))


def _nonzeros(products: CrossProducts) -> dict[Extra, NDArray]:
    """Compressed rows of the cross-products of the rest, without y."""
    n = products.rest_size
    rest = floats.py_func(products.words, Section.REST).reshape(n + 1, n + 1)[:n, :n]
    rows, columns = np.nonzero(rest)
    pointers = np.searchsorted(rows, np.arange(n + 1))
    return {
        Extra.REST_POINTERS: pointers,
        Extra.REST_COLUMNS: columns,
        Extra.REST_VALUES: rest[rows, columns],
    }


def _shear(products: CrossProducts, on_line: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A = C_xx^-1 C_xb for the coefficients that are on the line; b has the eliminated factor
    first."""
    n, p = products.rest_size, products.n_common
    rest = floats.py_func(products.words, Section.REST).reshape(n + 1, n + 1)[:n, :n]
    with_effects = np.concatenate([_head_products(products), rest[n - p :, : n - p]], axis=1)
    shear = np.zeros_like(with_effects)
    if not on_line.any():
        return shear
    gram = rest[n - p :, n - p :][np.ix_(on_line, on_line)]
    shear[on_line] = np.linalg.lstsq(gram, with_effects[on_line], rcond=1e-10)[0]
    return shear


def _head_products(products: CrossProducts) -> NDArray[np.float64]:
    """X'Omega Z (p, J q) of the eliminated factor."""
    levels, q = products.shapes[products.order[0]]
    n, p = products.rest_size, products.n_common
    panels = floats.py_func(products.words, Section.PANELS)
    if not products.sparse:
        return (
            panels.reshape(q, n + 1, levels)[:, n - p : n].transpose(1, 2, 0).reshape(p, levels * q)
        )
    pointers = integers.py_func(products.words, Section.POINTERS)
    each = [
        panels[q * a : q * b].reshape(q, b - a)[:, b - a - 1 - p : b - a - 1]
        for a, b in pairwise(pointers)
    ]
    return np.stack(each).transpose(2, 0, 1).reshape(p, levels * q)


def _append(words: NDArray[np.float64], sections: dict[Extra, NDArray]) -> NDArray[np.float64]:
    offset = 2 * EXTRA_SECTIONS
    table, parts = np.zeros((EXTRA_SECTIONS, 2), np.int64), []
    for section in Extra:
        values = np.ascontiguousarray(sections[section]).ravel()
        table[section] = offset, len(values)
        parts.append(
            values if values.dtype == np.float64 else values.astype(np.int64).view(np.float64)
        )
        offset += len(values)
    return np.concatenate([words, table.ravel().view(np.float64), *parts])


@kernel
def buffers(pointer):
    """Both buffers at an address."""
    table = numba.carray(pointer, (2 * N_SECTIONS,), np.int64)
    first = table[2 * N_SECTIONS - 2] + table[2 * N_SECTIONS - 1]
    table = numba.carray(pointer, (first + 2 * EXTRA_SECTIONS,), np.int64)[first:]
    second = table[2 * EXTRA_SECTIONS - 2] + table[2 * EXTRA_SECTIONS - 1]
    words = numba.carray(pointer, (first + second,), np.float64)
    return words[:first], words[first:]


@kernel
def point(x, extra, t):
    """Write t."""
    centre, scale = floats(extra, CENTRE), floats(extra, SCALE)
    m = int(np.sqrt(len(scale)) + 0.5)
    for k in range(len(x)):
        t[k] = centre[k] + (x[k] if k >= m else 0.0)
        if k < m:
            for i in range(m):
                t[k] += scale[k * m + i] * x[i]


@kernel
def enter(t, words, extra):
    """Log prior of t; then theta, coefficients less beta0, their slopes by t, and the prior's
    gradient by t."""
    d, p = integers(words, SIZES)[PARAMETERS], integers(words, SIZES)[COMMON]
    theta, beta = np.empty(d), np.empty(p)
    slope, log_slope, prior = np.empty(d + p), np.empty(d), np.zeros(d + p)
    value = leading_of(t, extra, theta, beta, slope, log_slope)
    value += add_log_prior(
        theta, integers(words, FORMS), floats(words, NUMBERS).reshape((d, 4)), prior[:d]
    )
    for k in range(d):
        prior[k] = prior[k] * slope[k] + log_slope[k]
    forms, numbers = integers(extra, COMMON_FORMS), floats(extra, COMMON_NUMBERS)
    shift = floats(extra, SHIFT)
    for k in range(p):
        value += add_coefficient_prior(
            forms[3 * k : 3 * k + 3], numbers[6 * k : 6 * k + 6], t[d + k], beta[k], prior[d + k :]
        )
        beta[k] -= shift[k]
    return value, theta, beta, slope, prior


@kernel
def theta_of(t, words, extra):
    """The sds, correlations and sigma."""
    bends, knees = integers(extra, BENDS), floats(extra, KNEES)
    theta = np.empty(integers(words, SIZES)[PARAMETERS])
    for k in range(len(theta)):
        theta[k] = bend(bends[k], t[k], knees[k])[0]
    return theta


@kernel
def leading_of(t, extra, theta, beta, slope, log_slope):
    """Write theta, coefficients, and slopes by t; return the log Jacobian of theta."""
    d = len(theta)
    bends, knees = integers(extra, BENDS), floats(extra, KNEES)
    forms, numbers = integers(extra, COMMON_FORMS), floats(extra, COMMON_NUMBERS)
    value = 0.0
    for k in range(d):
        theta[k], slope[k], log_slope[k] = bend(bends[k], t[k], knees[k])
        value += np.log(slope[k])
    for k in range(len(beta)):
        beta[k], slope[d + k] = from_line(
            forms[3 * k], t[d + k], numbers[6 * k + 4], numbers[6 * k + 5]
        )
    return value


@kernel
def leave(value, extra, slope, prior, inner, gradient, result):
    """Write value and gradient by x; `inner` is that of the likelihood by theta, beta and z. Return
    nutpie's code."""
    for k in range(len(slope)):
        inner[k] = inner[k] * slope[k] + prior[k]
    scale = floats(extra, SCALE)
    m = int(np.sqrt(len(scale)) + 0.5)
    finite = np.isfinite(value)
    for i in range(len(gradient)):
        gradient[i] = inner[i] if i >= m else 0.0
        if i < m:
            for k in range(m):
                gradient[i] += scale[k * m + i] * inner[k]
        finite &= np.isfinite(gradient[i])
    result[0] = value
    return OK if finite else NOT_FINITE
