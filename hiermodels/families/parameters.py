"""The families' own parameters with their default priors, on the natural scale.

    sigma ~ HalfStudentT(3, s)        nu ~ Gamma(2, 0.1)         zi, zoi, coi ~ Beta(1, 1)
    alpha ~ LogNormal(1, 1.5)         phi ~ LogNormal(2, 1.5) of beta, LogNormal(0, 1.5) of nbinom1
    threshold ~ Normal(0, 3), increasing

s is the scale of the response. 95 % of LogNormal(1, 1.5) is between 0.14 and 51: a variance from
1 + mu / 51 to 1 + 7 mu times the mean. Source of that
of nu: Juárez & Steel 2010, J. Bus. Econ. Stat. 28.
"""

from __future__ import annotations

import math

from hiermodels.distributions import Prior

from .family import ORDERED, Parameter

__all__ = [
    "ALPHA",
    "COI",
    "EXCESS",
    "NU",
    "PRECISION",
    "SIGMA",
    "THRESHOLD",
    "ZI",
    "ZOI",
]


def positive(name: str, *, middle: float, role: str = "dispersion") -> Parameter:
    """A positive parameter, LogNormal with this mean of its logarithm."""
    return Parameter(
        name=name,
        link="log",
        role=role,
        prior=lambda scale: Prior("LogNormal", mu=middle, sigma=1.5),
        location=lambda scale: middle,
    )


def probability(name: str, *, role: str) -> Parameter:
    return Parameter(
        name=name,
        link="logit",
        role=role,
        prior=lambda scale: Prior("Beta", alpha=1, beta=1),
        location=lambda scale: 0.0,
    )


SIGMA = Parameter(
    name="sigma",
    link="log",
    role="dispersion",
    prior=lambda scale: Prior("HalfStudentT", nu=3, sigma=scale),
    location=math.log,
)
NU = Parameter(
    name="nu",
    link="log",
    role="other",
    prior=lambda scale: Prior("Gamma", alpha=2, beta=0.1),
    location=lambda scale: math.log(20),
)
#: The shape of gamma and of negbinomial.
ALPHA = positive("alpha", middle=1.0)
#: The precision of beta and betabinomial.
PRECISION = positive("phi", middle=2.0)
#: What the variance of negbinomial1 has beyond the mean, as a multiple of it.
EXCESS = positive("phi", middle=0.0)
ZI = probability("zi", role="zi")
ZOI = probability("zoi", role="zi")
COI = probability("coi", role="other")
THRESHOLD = Parameter(
    name="threshold",
    link=ORDERED,
    role="other",
    prior=lambda scale: Prior("Normal", mu=0, sigma=3),
    location=lambda scale: 0.0,
)
