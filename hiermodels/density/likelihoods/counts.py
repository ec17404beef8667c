"""Rows of counts: log p(y) and its slopes, also zero-inflated and as hurdles.

Each density has what depends on its auxiliary predictor alone (`prepare_...`), its row, and the row
at y = 0 (`..._zero`). Zero inflation and hurdles are written once, for any of them.
"""

from __future__ import annotations

from typing import Any

from ..compilation import elementwise
from .elementary import exp, exp_less_one, log1m_exp, log1p, log_ratio
from .gammas import remainder
from .links import sigmoid

__all__ = [
    "hurdle_poisson",
    "hurdle_two",
    "negbinomial",
    "negbinomial1",
    "negbinomial1_zero",
    "negbinomial_zero",
    "poisson",
    "prepare_negbinomial",
    "prepare_negbinomial1",
    "zi_poisson",
    "zi_two",
]

COUNT: Any = None  # filled in by `loops.compose`
ZERO: Any = None


@elementwise
def poisson(data, eta):
    """log p = y eta - e^eta - log y!"""
    y, _, base = data
    mu = exp(eta)
    return y * eta - mu + base, y - mu


@elementwise
def prepare_negbinomial(log_alpha):
    """log alpha, alpha, and the remainder of its gamma function."""
    alpha = exp(log_alpha)
    value, slope = remainder(alpha, log_alpha)
    return log_alpha, alpha, value, slope


@elementwise
def negbinomial(data, eta, shape):
    """Poisson's log p, without its -mu, plus what vanishes for large alpha:

    y eta - y - log y! + (y + alpha) log((y + alpha) / (mu + alpha)) - log(1 + y / alpha) / 2
        + R(y + alpha) - R(alpha)
    """
    y, _, base = data
    log_alpha, alpha, below, below_slope = shape
    mu = exp(eta)
    total, scale = y + alpha, 1.0 / (mu + alpha)
    change = (y - mu) * scale
    ratio = log_ratio(total, mu + alpha, change)
    growth = log1p(y / alpha)
    above, above_slope = remainder(total, log_alpha + growth)
    value = (y * eta - y + base) + total * ratio - 0.5 * growth + (above - below)
    slope = alpha * (ratio - change) + (0.5 * y + alpha * above_slope) / total - below_slope
    return value, alpha * change, slope


@elementwise
def negbinomial_zero(eta, shape):
    """log p(0) = -alpha log(1 + mu / alpha)"""
    _, alpha, _, _ = shape
    mu = exp(eta)
    ratio = log1p(mu / alpha)
    share = mu / (mu + alpha)
    return -alpha * ratio, -alpha * share, alpha * (share - ratio)


@elementwise
def prepare_negbinomial1(log_phi):
    """Nothing: alpha = mu / phi depends on the mean."""
    return log_phi


@elementwise
def negbinomial1(data, eta, log_phi):
    """The negative binomial with alpha = mu / phi."""
    value, slope, slope_alpha = negbinomial(data, eta, prepare_negbinomial(eta - log_phi))
    return value, slope + slope_alpha, -slope_alpha


@elementwise
def negbinomial1_zero(eta, log_phi):
    """log p(0) = -mu log(1 + phi) / phi"""
    phi = exp(log_phi)
    growth = log1p(phi)
    value = -exp(eta - log_phi) * growth
    return value, value, -value - exp(eta) / (1.0 + phi)


@elementwise
def poisson_zero(eta):
    """log p(0) = -mu"""
    mu = exp(eta)
    return -mu, -mu


@elementwise
def _inflate(y, zi, value):
    """log p, its slope by the count's log p, and by logit zi."""
    p, _, log_p, log_rest = zi
    extra = log_p - log_rest - value
    count, no_count, _, log_no_count = sigmoid(-extra)
    zero = y == 0.0
    return (
        log_p - log_no_count if zero else log_rest + value,
        count if zero else 1.0,
        no_count - p if zero else -p,
    )


@elementwise
def zi_poisson(data, eta, zi):
    """P(0) = zi + (1 - zi) f(0)"""
    y, _, _ = data
    value, slope = poisson(data, eta)
    value, weight, slope_zi = _inflate(y, zi, value)
    return value, weight * slope, slope_zi


def zi_two(data, eta, shape, logit_zi):
    """P(0) = zi + (1 - zi) f(0), where f has an auxiliary predictor."""
    y, _, _ = data
    value, slope, slope_shape = COUNT(data, eta, shape)
    value, weight, slope_zi = _inflate(y, sigmoid(logit_zi), value)
    return value, weight * slope, weight * slope_shape, slope_zi


@elementwise
def _truncate(y, zi, value, value_zero):
    """log p, its slopes by log f(y) and log f(0), and by logit zi.

    log p(y) = log(1 - zi) + log f(y) - log(1 - f(0)) for y > 0.
    """
    p, rest, log_p, log_rest = zi
    zero = y == 0.0
    return (
        log_p if zero else log_rest + value - log1m_exp(value_zero),
        0.0 if zero else 1.0,
        0.0 if zero else 1.0 / exp_less_one(-value_zero),
        rest if zero else -p,
    )


@elementwise
def hurdle_poisson(data, eta, zi):
    """P(0) = zi; positive counts are Poisson without 0."""
    y, _, _ = data
    value, slope = poisson(data, eta)
    value_zero, slope_zero = poisson_zero(eta)
    value, weight, weight_zero, slope_zi = _truncate(y, zi, value, value_zero)
    return value, weight * slope + weight_zero * slope_zero, slope_zi


def hurdle_two(data, eta, shape, logit_zi):
    """P(0) = zi; positive counts are of f without 0, where f has an auxiliary predictor."""
    y, _, _ = data
    value, slope, slope_shape = COUNT(data, eta, shape)
    value_zero, slope_zero, slope_shape_zero = ZERO(eta, shape)
    value, weight, weight_zero, slope_zi = _truncate(y, sigmoid(logit_zi), value, value_zero)
    return (
        value,
        weight * slope + weight_zero * slope_zero,
        weight * slope_shape + weight_zero * slope_shape_zero,
        slope_zi,
    )
