"""Rows of continuous responses on the line or the half-line: log p(y) and its slopes."""

from __future__ import annotations

import math

from ..compilation import elementwise
from .elementary import exp, exp_less_one, log, log1p
from .gammas import remainder, rising

__all__ = [
    "gamma",
    "gaussian",
    "lognormal",
    "prepare_gamma",
    "prepare_scale",
    "prepare_student",
    "student",
]

LOG_2PI = math.log(2.0 * math.pi)


@elementwise
def prepare_scale(log_sigma):
    """log sigma and 1 / sigma."""
    return log_sigma, exp(-log_sigma)


@elementwise
def gaussian(data, eta, scale):
    """-(log 2 pi + z^2) / 2 - log sigma, with z = (y - eta) / sigma"""
    y, _, _ = data
    log_sigma, inverse = scale
    z = (y - eta) * inverse
    return -0.5 * (LOG_2PI + z * z) - log_sigma, z * inverse, z * z - 1.0


@elementwise
def lognormal(data, eta, scale):
    """The Gaussian's log p of log y, minus log y."""
    y, _, _ = data
    log_y = log(y)
    value, slope, slope_sigma = gaussian((log_y, 1.0, 0.0), eta, scale)
    return value - log_y, slope, slope_sigma


@elementwise
def prepare_student(log_nu):
    """nu, and what Gamma((nu + 1) / 2) / Gamma(nu / 2) has beyond its power of nu."""
    nu = exp(log_nu)
    half, log_half = 0.5 * nu, log_nu - math.log(2.0)
    value, slope = rising(half, log_half, 0.5, *remainder(half, log_half))
    return nu, value, slope


@elementwise
def student(data, eta, tails, log_sigma):
    """log(Gamma((nu + 1) / 2) / Gamma(nu / 2)) - log(nu / 2) / 2 - log(2 pi) / 2 - log sigma
    - (nu + 1) / 2 log(1 + z^2 / nu)
    """
    y, _, _ = data
    nu, excess, excess_slope = tails
    inverse = exp(-log_sigma)
    z = (y - eta) * inverse
    w = z * z / nu
    growth = log1p(w)
    share = z * z / (nu + z * z)
    value = excess - 0.5 * LOG_2PI - log_sigma - 0.5 * (nu + 1.0) * growth
    pull = (nu + 1.0) * share
    slope_nu = excess_slope - 0.5 * nu * (growth - share) + 0.5 * share
    slope = (nu + 1.0) * z * inverse / (nu + z * z)
    return value, slope, slope_nu, pull - 1.0


@elementwise
def prepare_gamma(log_alpha):
    """alpha, and what depends on it alone."""
    alpha = exp(log_alpha)
    value, slope = remainder(alpha, log_alpha)
    return alpha, 0.5 * (log_alpha - LOG_2PI) - value, 0.5 - slope


@elementwise
def gamma(data, eta, shape):
    """log(alpha / (2 pi)) / 2 - R(alpha) - log y + alpha (1 + r - e^r), with r = log(y / mu)"""
    y, _, _ = data
    alpha, constant, constant_slope = shape
    log_y = log(y)
    r = log_y - eta
    growth = exp_less_one(r)
    loss = alpha * (r - growth)
    return constant - log_y + loss, alpha * growth, constant_slope + loss
