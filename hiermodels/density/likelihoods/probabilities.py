"""Rows whose mean is a probability: log p(y) and its slopes, for any link.

`LINK` is filled in for each link; beta densities are written in the remainders R of Stirling's
formula, with a = mu phi, b = (1 - mu) phi.
"""

from __future__ import annotations

import math
from typing import Any

from ..compilation import elementwise
from .elementary import exp, log, log1p_unit
from .gammas import open_remainder, open_rising, remainder
from .links import sigmoid

__all__ = [
    "bernoulli",
    "beta",
    "betabinomial",
    "binomial",
    "prepare_phi",
    "zi_beta",
    "zoi_beta",
]

LOG_2PI = math.log(2.0 * math.pi)
LINK: Any = None  # filled in by `loops.compose`
BETA: Any = None


def bernoulli(data, eta):
    """y log mu + (1 - y) log(1 - mu)"""
    y, _, _ = data
    _, _, log_mu, log_rest, up, down = LINK(eta)
    return y * log_mu + (1.0 - y) * log_rest, y * up + (1.0 - y) * down


def binomial(data, eta):
    """log C(m, y) + y log mu + (m - y) log(1 - mu)"""
    y, trials, base = data
    _, _, log_mu, log_rest, up, down = LINK(eta)
    value = base + y * log_mu + (trials - y) * log_rest
    return value, y * up + (trials - y) * down


@elementwise
def prepare_phi(log_phi):
    """log phi, phi, and the remainder of its gamma function."""
    phi = exp(log_phi)
    value, slope = remainder(phi, log_phi)
    return log_phi, phi, value, slope


def beta(data, eta, precision):
    """a log(y / mu) + b log((1 - y) / (1 - mu)) + log(phi mu (1 - mu) / (2 pi)) / 2
    - log(y (1 - y)) + R(phi) - R(a) - R(b)
    """
    y, _, _ = data
    log_phi, phi, whole, whole_slope = precision
    mu, rest, log_mu, log_rest, up, down = LINK(eta)
    a, b = mu * phi, rest * phi
    P, left, left_slope = open_remainder(a, log_phi + log_mu)
    Q, right, right_slope = open_remainder(b, log_phi + log_rest)
    log_y, log_y_rest = log(y), log1p_unit(-y)
    excess, excess_rest = log_y - log_mu, log_y_rest - log_rest
    value = a * excess + b * excess_rest + 0.5 * (log_phi - LOG_2PI + log_mu + log_rest)
    value += (whole - left - right + log(P * Q)) - (log_y + log_y_rest)
    slope = a * up * (excess - excess_rest)
    slope += (0.5 - left_slope) * up + (0.5 - right_slope) * down
    slope_phi = a * excess + b * excess_rest + 0.5 + (whole_slope - left_slope - right_slope)
    return value, slope, slope_phi


def betabinomial(data, eta, precision):
    """The binomial's log p, plus what vanishes for large phi."""
    y, trials, base = data
    log_phi, phi, below, below_slope = precision
    mu, rest, log_mu, log_rest, up, down = LINK(eta)
    a, b, log_a, log_b = mu * phi, rest * phi, log_phi + log_mu, log_phi + log_rest
    left_0, of_left, of_left_slope = open_remainder(a, log_a)
    right_0, of_right, of_right_slope = open_remainder(b, log_b)
    left_1, left, left_slope = open_rising(a, log_a, y, of_left, of_left_slope)
    right_1, right, right_slope = open_rising(b, log_b, trials - y, of_right, of_right_slope)
    whole_1, whole, whole_slope = open_rising(phi, log_phi, trials, below, below_slope)
    value = base + y * log_mu + (trials - y) * log_rest
    value += left + right - whole + log(left_0 * right_0 * whole_1 / (left_1 * right_1))
    slope = (y + left_slope) * up + (trials - y + right_slope) * down
    return value, slope, left_slope + right_slope - whole_slope


def zi_beta(data, eta, precision, logit_zi):
    """P(y = 0) = zi, else beta."""
    y, _, _ = data
    p, rest, log_p, log_rest = sigmoid(logit_zi)
    zero = y == 0.0
    value, slope, slope_phi = BETA((0.5 if zero else y, 1.0, 0.0), eta, precision)
    return (
        log_p if zero else log_rest + value,
        0.0 if zero else slope,
        0.0 if zero else slope_phi,
        rest if zero else -p,
    )


def zoi_beta(data, eta, precision, logit_zoi, logit_coi):
    """P(y = 0 or 1) = zoi, of these P(y = 1) = coi, else beta."""
    y, _, _ = data
    p, rest, log_p, log_rest = sigmoid(logit_zoi)
    one, zero, log_one, log_zero = sigmoid(logit_coi)
    upper = y == 1.0
    edge = (y == 0.0) | upper
    value, slope, slope_phi = BETA((0.5 if edge else y, 1.0, 0.0), eta, precision)
    at_edge = log_p + (log_one if upper else log_zero)
    slope_coi = zero if upper else -one
    return (
        at_edge if edge else log_rest + value,
        0.0 if edge else slope,
        0.0 if edge else slope_phi,
        rest if edge else -p,
        slope_coi if edge else 0.0,
    )
