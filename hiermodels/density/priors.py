"""Log prior density of the unconstrained parameters, Jacobians and constants included.

The prior of theta is a product over its elements. With t = log x for a standard deviation x > 0,

    POWER      const + a t - b exp(c t)                           halfnormal, exponential, gamma,
    ... STUDENT    const + t - (a + 1)/2 log(1 + (x/b)^2 / a)         halfstudentt, halfcauchy
    LOGNORMAL  const - ((t - a) / b)^2 / 2 NORMAL     const + t - ((x - a) / b)^2 / 2, x > 0
    truncatednormal UNIFORM    const + t,  a <= x <= b

where t or 1 t is the Jacobian dx/dt = x; and for a canonical partial correlation tanh(t),

    LKJ        const + a log(1 - tanh(t)^2).

A correlation matrix of K columns is LKJ(eta) when the partial correlation of columns i > j given
columns 0..j-1 is 2 Beta(a, a) - 1 with a = eta + (K - 2 - j)/2, independently (Lewandowski,
Kurowicka & Joe 2009, doi:10.1016/j.jmva.2009.04.008).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import betaln, gammaln, log_ndtr

from .compilation import kernel
from .problem import PositivePrior

__all__ = [
    "POSITIVE_PRIORS",
    "ElementPrior",
    "add_log_prior",
    "element_prior",
    "log_element_prior",
    "partial_correlation_prior",
]

POWER, STUDENT, LOGNORMAL, NORMAL, UNIFORM, LKJ = range(6)
HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


class ElementPrior(NamedTuple):
    """The prior of one element of theta, as the kernel reads it."""

    form: int
    constant: float
    a: float
    b: float = 0.0
    c: float = 0.0


def _half_student(nu: float, scale: float) -> ElementPrior:
    constant = (
        np.log(2.0 / scale) + gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    )
    return ElementPrior(STUDENT, constant, nu, scale)


def _power(constant: float, exponent: float, rate: float, power: float) -> ElementPrior:
    return ElementPrior(POWER, constant, exponent, rate, power)


POSITIVE_PRIORS: dict[str, Callable[[float, float], ElementPrior]] = {
    "halfstudentt": _half_student,
    "halfcauchy": lambda scale, _: _half_student(1.0, scale),
    "halfnormal": lambda sd, _: _power(np.log(2 / sd) - HALF_LOG_2PI, 1.0, 0.5 / sd**2, 2.0),
    "exponential": lambda rate, _: _power(np.log(rate), 1.0, rate, 1.0),
    "gamma": lambda a, rate: _power(a * np.log(rate) - gammaln(a), a, rate, 1.0),
    "inversegamma": lambda a, scale: _power(a * np.log(scale) - gammaln(a), -a, scale, -1.0),
    "weibull": lambda a, scale: _power(np.log(a) - a * np.log(scale), a, scale**-a, a),
    "lognormal": lambda mean, sd: ElementPrior(LOGNORMAL, -HALF_LOG_2PI - np.log(sd), mean, sd),
    "truncatednormal": lambda mean, sd: ElementPrior(
        NORMAL, -HALF_LOG_2PI - np.log(sd) - log_ndtr(mean / sd), mean, sd
    ),
    "uniform": lambda lower, upper: ElementPrior(UNIFORM, -np.log(upper - lower), lower, upper),
}
"""Kinds of prior of a standard deviation: (a, b) to the kernel's form. `a` is the scale of
halfnormal and halfcauchy, the rate of exponential, the degrees of freedom of halfstudentt."""


def element_prior(prior: PositivePrior) -> ElementPrior:
    """The kernel's form of a prior of a standard deviation."""
    if prior.kind not in POSITIVE_PRIORS:
        raise ValueError(
            f"no prior {prior.kind!r} of a standard deviation; there are {sorted(POSITIVE_PRIORS)}"
        )
    return POSITIVE_PRIORS[prior.kind](float(prior.a), float(prior.b))


def partial_correlation_prior(eta: float, size: int, column: int) -> ElementPrior:
    """The prior of a partial correlation with `column`, in LKJ(eta) over `size` columns."""
    a = eta + (size - 2 - column) / 2
    return ElementPrior(LKJ, -betaln(a, a) - (2 * a - 1) * np.log(2.0), a)


@kernel
def add_log_prior(theta, forms, numbers, gradient):
    """Log prior density of theta; its derivative is added to `gradient`."""
    total = 0.0
    for k in range(len(theta)):
        a, b, c = numbers[k, 1], numbers[k, 2], numbers[k, 3]
        value, slope = log_element_prior(forms[k], theta[k], a, b, c)
        total += value + numbers[k, 0]
        gradient[k] += slope
    return total


@kernel
def log_element_prior(form, t, a, b, c):
    """Log prior density of one element, without its constant, and its derivative."""
    x = np.exp(t)
    if form == POWER:
        decay = b * np.exp(c * t)
        return a * t - decay, a - c * decay
    if form == STUDENT:
        square = (x / b) ** 2
        return t - 0.5 * (a + 1.0) * np.log1p(square / a), 1.0 - (a + 1.0) * square / (a + square)
    if form == LOGNORMAL:
        deviation = (t - a) / b
        return -0.5 * deviation**2, -deviation / b
    if form == NORMAL:
        deviation = (x - a) / b
        return t - 0.5 * deviation**2, 1.0 - x * deviation / b
    if form == UNIFORM:
        return (t, 1.0) if a <= x <= b else (-np.inf, 0.0)
    log_sech = np.log(2.0) - abs(t) - np.log1p(np.exp(-2.0 * abs(t)))
    return 2.0 * a * log_sech, -2.0 * a * np.tanh(t)
