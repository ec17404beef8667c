"""Inverse links of probabilities, with both tails as logarithms.

Each turns eta into (mu, 1 - mu, log mu, log(1 - mu), d log mu / d eta, d log(1 - mu) / d eta), to
full relative precision.
"""

from __future__ import annotations

import math

from ..compilation import elementwise
from .elementary import exp, exp_less_one, log, log1m_exp, log1p_unit

__all__ = ["LINKS", "mills_ratio", "sigmoid"]

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
MILLS = (
    1.1568486282918946,
    -0.2294875382521129,
    0.07778159886873558,
    0.025072179301611947,
    -0.06617760077899622,
    0.061505045841013566,
    -0.03802659218770015,
    0.0163482312692141,
    -0.004201290311374602,
    1.953073289303005e-05,
    0.0004570438230350707,
    -0.0001343747460125513,
    -2.480547954535769e-05,
    2.271112294988288e-05,
    -1.7717271036053674e-07,
    -3.280567012895583e-06,
    3.218479730994642e-07,
    4.968188503341836e-07,
    -6.721394035045607e-08,
    -8.232321223515427e-08,
    9.926075661884747e-09,
    1.4010248782442869e-08,
    -9.910078628955561e-10,
    -2.039456977423449e-09,
    3.029780777567433e-11,
    1.7327578943235103e-10,
    5.013226273740375e-12,
)


@elementwise
def mills_ratio(z):
    """Phi(-z) / phi(z) for z >= 0: a polynomial in t = (z - 5) / (z + 5), divided by 1 + z.

    Its coefficients are of the Chebyshev series of (1 + z) Phi(-z) / phi(z), found in 40 digits (as
    Shepherd & Laframboise 1981, Math. Comp. 36, do for erfc); error 4e-16.
    """
    t = (z - 5.0) / (z + 5.0)
    square = t * t
    fourth = square * square
    total = MILLS[24] + t * MILLS[25] + square * MILLS[26]
    for k in (20, 16, 12, 8, 4, 0):
        pair, next_pair = MILLS[k] + t * MILLS[k + 1], MILLS[k + 2] + t * MILLS[k + 3]
        total = (pair + square * next_pair) + fourth * total
    return total / (1.0 + z)


@elementwise
def sigmoid(x):
    """p, 1 - p, log p and log(1 - p), for logit p = x."""
    positive = x >= 0.0
    e = exp(-abs(x))
    major = 1.0 / (1.0 + e)
    minor = e * major
    log_major = -log1p_unit(e)
    log_minor = log_major - abs(x)
    if positive:
        return major, minor, log_major, log_minor
    return minor, major, log_minor, log_major


@elementwise
def logit(eta):
    """mu = 1 / (1 + e^-eta)."""
    mu, rest, log_mu, log_rest = sigmoid(eta)
    return mu, rest, log_mu, log_rest, rest, -mu


@elementwise
def probit(eta):
    """mu = Phi(eta)."""
    z = abs(eta)
    ratio = mills_ratio(z)
    log_minor = log(ratio) - 0.5 * z * z - HALF_LOG_2PI
    minor = exp(log_minor)
    major = 1.0 - minor
    log_major = log1p_unit(-minor)
    minor_slope = 1.0 / ratio
    major_slope = minor_slope * minor / major
    if eta >= 0.0:
        return major, minor, log_major, log_minor, major_slope, -minor_slope
    return minor, major, log_minor, log_major, minor_slope, -major_slope


@elementwise
def cloglog(eta):
    """mu = 1 - exp(-e^eta)."""
    t = exp(eta)
    rest = exp(-t)
    mu = -exp_less_one(-t)
    return mu, rest, log1m_exp(-t), -t, t * rest / mu, -t


LINKS = {"logit": logit, "probit": probit, "cloglog": cloglog}
