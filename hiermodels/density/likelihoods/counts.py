"""Rows of counts: log p(y) and its slopes, also zero-inflated and as hurdles.

Each count density offers `prepare` (what depends on its auxiliary predictor alone), `row` and
`zero`, the same at y = 0; the compositions take these three.
"""

from __future__ import annotations

from ..compilation import elementwise
from .elementary import exp, exp_less_one, log1m_exp, log1p, log_ratio
from .gammas import log_factorial, remainder
from .links import sigmoid

__all__ = []


@elementwise
def poisson(y, trials, eta):
    """log p = y eta - e^eta - log y!"""
    mu = exp(eta)
    return y * eta - mu - log_factorial(y), y - mu


@elementwise
def prepare_negbinomial(log_alpha):
    """log alpha, alpha, and the remainder of its gamma function."""
    alpha = exp(log_alpha)
    value, slope = remainder(alpha, log_alpha)
    return log_alpha, alpha, value, slope


@elementwise
def negbinomial(y, trials, eta, shape):
    """Poisson's log p, without its -mu, plus what vanishes for large alpha:

    y eta - y - log y! + (y + alpha) log((y + alpha) / (mu + alpha)) - log(1 + y / alpha) / 2
        + R(y + alpha) - R(alpha)
    """
    log_alpha, alpha, below, below_slope = shape
    mu = exp(eta)
    total, scale = y + alpha, 1.0 / (mu + alpha)
    change = (y - mu) * scale
    ratio = log_ratio(total, mu + alpha, change)
    growth = log1p(y / alpha)
    above, above_slope = remainder(total, log_alpha + growth)
    value = (y * eta - y - log_factorial(y)) + total * ratio - 0.5 * growth + (above - below)
    slope = alpha * (ratio - change) + (0.5 * y + alpha * above_slope) / total - below_slope
    return value, alpha * change, slope
