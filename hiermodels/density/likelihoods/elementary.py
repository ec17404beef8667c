"""Exponentials, logarithms and normal tails as plain arithmetic, so that loops over rows use SIMD.

A call of the C library in a loop keeps LLVM from vectorising it. Arguments are reduced in the bits
of the double (Tang 1989, ACM TOMS 15; 1990, ACM TOMS 16), then a polynomial does the rest, summed
in pairs so that its terms need not wait for each other; errors are about one unit in the last
place. Exponents saturate at +-700, so that nothing overflows.
"""

from __future__ import annotations

import math

import numpy as np

from ..compilation import elementwise

__all__ = ["exp", "exp_less_one", "log", "log1m_exp", "log1p", "log1p_unit", "log_ratio"]

LIMIT = 700.0
LOG2_E = math.log2(math.e)
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # high: 32 bits
ROUND = 1.5 * 2.0**52  # adding it leaves the nearest integer in the low bits
TWO_52 = 2.0**52
TWO_52_BITS = np.uint64(0x4330000000000000)
MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
ONE_BITS = np.uint64(0x3FF0000000000000)
SHIFT, BIAS = np.uint64(52), np.uint64(1023)

# Chebyshev series, found in 50 digits, of (e^r - 1 - r) / r^2 on |r| <= log(2) / 2 and of
# (log((1 + s) / (1 - s)) / s - 2) / s^2 in s^2 for s <= (sqrt 2 - 1) / (sqrt 2 + 1)
EXP = (
    0.5,
    0.1666666666666667,
    0.04166666666662382,
    0.008333333333326082,
    0.0013888888917368964,
    0.00019841269875003973,
    2.4801521055364205e-05,
    2.7557255168123062e-06,
    2.76202026313159e-07,
    2.5105313423078524e-08,
)
LOG = (
    0.666666666666667,
    0.3999999999989839,
    0.2857142862645262,
    0.2222221106056441,
    0.18182894320084278,
    0.1533155474328091,
    0.14618452072714846,
)
SQRT_2 = math.sqrt(2.0)


@elementwise
def _bits(x):
    return np.float64(x).view(np.uint64)


@elementwise
def _from_bits(bits):
    return np.uint64(bits).view(np.float64)


@elementwise
def _reduced_exp(x):
    """2^k and e^r - 1, with x = k log 2 + r."""
    x = -LIMIT if x < -LIMIT else x
    x = LIMIT if x > LIMIT else x
    shifted = x * LOG2_E + ROUND
    k = shifted - ROUND
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    power = _from_bits((_bits(shifted) + BIAS) << SHIFT)
    square = r * r
    fourth = square * square
    low = (0.5 + r * EXP[1]) + square * (EXP[2] + r * EXP[3])
    high = (EXP[4] + r * EXP[5]) + square * (EXP[6] + r * EXP[7])
    q = low + fourth * (high + fourth * (EXP[8] + r * EXP[9]))
    return power, r + square * q


@elementwise
def exp(x):
    """e^x, for |x| > 700 that of +-700."""
    power, rest = _reduced_exp(x)
    return power + power * rest


@elementwise
def exp_less_one(x):
    """e^x - 1 without cancellation."""
    power, rest = _reduced_exp(x)
    return (power - 1.0) + power * rest


@elementwise
def _log_plus(u, correction):
    """log(u) + correction, for a normal u > 0 and a correction of its rounding error."""
    bits = _bits(u)
    k = _from_bits((bits >> SHIFT) | TWO_52_BITS) - (TWO_52 + 1023.0)
    m = _from_bits((bits & MANTISSA) | ONE_BITS)
    large = m > SQRT_2
    f = (0.5 * m if large else m) - 1.0
    k = k + 1.0 if large else k
    s = f / (2.0 + f)
    z = s * s
    # log(1 + f) = 2 atanh(s) = 2 s + s R(z), and 2 s = f - s f
    square = z * z
    low = (LOG[0] + z * LOG[1]) + square * (LOG[2] + z * LOG[3])
    high = (LOG[4] + z * LOG[5]) + square * LOG[6]
    R = z * (low + square * square * high)
    half_square = 0.5 * f * f
    return k * LN2_HIGH - ((half_square - (s * (half_square + R) + (k * LN2_LOW + correction))) - f)


@elementwise
def log(x):
    """log x, for a normal x > 0."""
    return _log_plus(x, 0.0)


@elementwise
def log1p(x):
    """log(1 + x), for x > -1."""
    u = 1.0 + x
    return _log_plus(u, (x - (u - 1.0)) / u)


@elementwise
def log1p_unit(x):
    """log(1 + x), for -1 < x <= 1: 1 / (1 + x) of the rounding error is near enough by a line."""
    u = 1.0 + x
    return _log_plus(u, (x - (u - 1.0)) * (1.5 - 0.5 * u))


@elementwise
def log_ratio(numerator, denominator, change):
    """log(numerator / denominator), where change = numerator / denominator - 1 is known better."""
    u = numerator / denominator
    near = abs(change) < 0.5
    return _log_plus(u, (change - (u - 1.0)) / u if near else 0.0)


@elementwise
def log1m_exp(x):
    """log(1 - e^x), for x < 0."""
    power, rest = _reduced_exp(x)
    tail = power + power * rest
    small = tail < 0.5
    u = 1.0 - tail if small else (1.0 - power) - power * rest
    return _log_plus(u, ((1.0 - u) - tail) / u if small else 0.0)
