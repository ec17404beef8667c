"""Exponentials, logarithms and normal tails as plain arithmetic, so that loops over rows use SIMD.

A call of the C library in a loop keeps LLVM from vectorising it. Arguments are reduced in the bits
of the double (Tang 1989, ACM TOMS 15; 1990, ACM TOMS 16), then a polynomial does the rest; errors
are about one unit in the last place. Exponents saturate at +-700, so that nothing overflows.
"""

from __future__ import annotations

import math

import numpy as np

from ..compilation import elementwise

__all__ = ["exp", "exp_less_one", "log", "log1m_exp", "log1p", "log_ratio"]

LIMIT = 700.0
LOG2_E = math.log2(math.e)
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # high: 32 bits
ROUND = 1.5 * 2.0**52  # adding it leaves the nearest integer in the low bits
TWO_52 = 2.0**52
TWO_52_BITS = np.uint64(0x4330000000000000)
MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
ONE_BITS = np.uint64(0x3FF0000000000000)
SHIFT, BIAS = np.uint64(52), np.uint64(1023)
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
    tail = 1.0 / 39916800.0 + r * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0))
    tail = 1.0 / 40320.0 + r * (1.0 / 362880.0 + r * (1.0 / 3628800.0 + r * tail))
    tail = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0 + r * tail))
    return power, r + r * r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * tail)))


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
    R = 2.0 / 15.0 + z * (2.0 / 17.0 + z * (2.0 / 19.0 + z * (2.0 / 21.0)))
    R = 2.0 / 9.0 + z * (2.0 / 11.0 + z * (2.0 / 13.0 + z * R))
    R = z * (2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * R)))
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
