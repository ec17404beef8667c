"""Gamma functions by what Stirling's formula leaves over, so that large arguments cost no digits.

    log Gamma(x) = (x - 1/2) log x - x + log(2 pi) / 2 + R(x)

Densities are written in R and x R'(x): what would cancel between large gamma functions, and between
them and powers, is cancelled on paper. R is about 1 / (12 x) for large x and -log(x) / 2 near 0.
"""

from __future__ import annotations

import math

import numpy as np

from ..compilation import elementwise
from .elementary import log, log1p

__all__ = [
    "log_binomial",
    "minus_log_factorial",
    "open_remainder",
    "open_rising",
    "remainder",
    "rising",
]

SHIFT = 8.0
SERIES = (  # Bernoulli numbers B_2k / (2 k (2 k - 1))
    1.0 / 12.0,
    -1.0 / 360.0,
    1.0 / 1260.0,
    -1.0 / 1680.0,
    1.0 / 1188.0,
    -691.0 / 360360.0,
    1.0 / 156.0,
    -3617.0 / 122400.0,
    43867.0 / 244188.0,
)
SLOPES = tuple(-(2.0 * k + 1.0) * term for k, term in enumerate(SERIES))
TABLE = np.array([math.lgamma(k + 1.0) for k in range(256)])
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
TINY, LOG_TINY = 1e-200, math.log(1e-200)


@elementwise
def _series(i):
    """R(z) and z R'(z) at z = 1 / i by their asymptotic series, to 1e-16 for z >= 8."""
    w = i * i
    square = w * w
    fourth = square * square
    value = (SERIES[0] + w * SERIES[1]) + square * (SERIES[2] + w * SERIES[3])
    high = (SERIES[4] + w * SERIES[5]) + square * (SERIES[6] + w * SERIES[7])
    value += fourth * (high + fourth * SERIES[8])
    slope = (SLOPES[0] + w * SLOPES[1]) + square * (SLOPES[2] + w * SLOPES[3])
    high = (SLOPES[4] + w * SLOPES[5]) + square * (SLOPES[6] + w * SLOPES[7])
    slope += fourth * (high + fourth * SLOPES[8])
    return i * value, i * slope


@elementwise
def open_remainder(x, log_x):
    """P, R(x) + log P and x R'(x) for x >= 0; log x is finite also where x underflows to 0.

    Below 8 from R(x + 8), with P = (x + 1) ... (x + 7) <= 4e7; errors 1e-14. The caller takes one
    logarithm of all its P.
    """
    small = x < SHIFT
    s = x if small else 1.0
    z = s + SHIFT
    product = 5040.0 + s * (13068.0 + s * (13132.0 + s * (6769.0 + s * 1960.0)))
    product += s * s * s * s * s * (322.0 + s * (28.0 + s))
    change = 13068.0 + s * (26264.0 + s * (20307.0 + s * (7840.0 + s * 1610.0)))
    change += s * s * s * s * s * (168.0 + s * 7.0)
    # one division for two
    both = 1.0 / ((z if small else x) * product)
    i, log_z = product * both, log(z)
    series, series_slope = _series(i)
    value = series + ((s + 7.5) * log_z - SHIFT - (s + 0.5) * log_x)
    slope = s * ((series_slope - 0.5) * i + log_z - change * z * both - log_x) - 0.5
    if small:
        return product, value, slope
    return 1.0, series, series_slope


@elementwise
def remainder(x, log_x):
    """R(x) and x R'(x)."""
    product, value, slope = open_remainder(x, log_x)
    return value - log(product), slope


@elementwise
def rising(x, log_x, k, below, below_slope):
    """log(Gamma(x + k) / Gamma(x)) - k log x, and its derivative by log x; for x, k >= 0.

    Both vanish as k^2 / x for large x. R(x) and x R'(x) are given: x may be constant.
    """
    product, value, slope = open_rising(x, log_x, k, below, below_slope)
    return value - log(product), slope


@elementwise
def open_rising(x, log_x, k, below, below_slope):
    """As `rising`, with the value as value - log P and P in front."""
    safe = x if x > TINY else TINY
    growth = log1p(k / safe)
    growth += LOG_TINY - log_x if (x < TINY) & (k > 0.0) else 0.0
    total = safe + k
    product, above, above_slope = open_remainder(total, log_x + growth)
    value = (x * growth - k) + (k - 0.5) * growth + (above - below)
    slope = (x * growth - k) + (0.5 * k + safe * above_slope) / total - below_slope
    return product, value, slope


@elementwise
def log_factorial(k):
    """log k! for an integer k >= 0."""
    if k < 255.5:
        return TABLE[int(k)]
    x = k + 1.0
    series, _ = _series(1.0 / x)
    return (x - 0.5) * log(x) - x + HALF_LOG_2PI + series


@elementwise
def minus_log_factorial(y, trials):
    """-log y!, what counts have of the data alone."""
    return -log_factorial(y)


@elementwise
def log_binomial(y, trials):
    """log of m over y, what successes have of the data alone."""
    return log_factorial(trials) - log_factorial(y) - log_factorial(trials - y)
