"""Inverse links of probabilities, with both tails as logarithms.

Each turns eta into (mu, 1 - mu, log mu, log(1 - mu), d log mu / d eta, d log(1 - mu) / d eta), to
full relative precision.
"""

from __future__ import annotations

import math

from ..compilation import elementwise
from .elementary import exp, exp_less_one, log, log1m_exp, log1p

__all__ = ["LINKS", "mills_ratio", "sigmoid"]

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@elementwise
def mills_ratio(z):
    """Phi(-z) / phi(z) for z >= 0: a polynomial in t = (z - 5) / (z + 5), divided by 1 + z.

    Its coefficients are of the Chebyshev series of (1 + z) Phi(-z) / phi(z), found in 40 digits (as
    Shepherd & Laframboise 1981, Math. Comp. 36, do for erfc); error 4e-16.
    """
    t = (z - 5.0) / (z + 5.0)
    p = 1.7327578943235103e-10 + t * 5.013226273740375e-12
    p = -9.910078628955561e-10 + t * (-2.039456977423449e-09 + t * (3.029780777567433e-11 + t * p))
    p = -8.232321223515427e-08 + t * (9.926075661884747e-09 + t * (1.4010248782442869e-08 + t * p))
    p = 3.218479730994642e-07 + t * (4.968188503341836e-07 + t * (-6.721394035045607e-08 + t * p))
    p = 2.271112294988288e-05 + t * (-1.7717271036053674e-07 + t * (-3.280567012895583e-06 + t * p))
    p = 4.570438230350707e-04 + t * (-1.343747460125513e-04 + t * (-2.480547954535769e-05 + t * p))
    p = 1.63482312692141e-02 + t * (-4.201290311374602e-03 + t * (1.953073289303005e-05 + t * p))
    p = -6.617760077899622e-02 + t * (6.150504584101356e-02 + t * (-3.802659218770015e-02 + t * p))
    p = 7.778159886873558e-02 + t * (2.5072179301611947e-02 + t * p)
    return (1.1568486282918946 + t * (-0.2294875382521129 + t * p)) / (1.0 + z)


@elementwise
def sigmoid(x):
    """p, 1 - p, log p and log(1 - p), for logit p = x."""
    positive = x >= 0.0
    e = exp(-abs(x))
    major = 1.0 / (1.0 + e)
    minor = e * major
    log_major = -log1p(e)
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
    log_major = log1p(-minor)
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
