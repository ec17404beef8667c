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
from dataclasses import replace

from hiermodels.distributions import Prior

from .family import ORDERED, Parameter

__all__ = [
    "ALPHA",
    "COI",
    "EXCESS",
    "NU",
    "PRECISION",
    "SIGMA",
    "STRUCTURAL",
    "THRESHOLD",
    "ZI",
    "ZOI",
]


def positive(name: str, *, middle: float, quantity: str, role: str = "dispersion") -> Parameter:
    """A positive parameter, LogNormal with this mean of its logarithm."""
    return Parameter(
        name=name,
        link="log",
        role=role,
        prior=lambda scale: Prior("LogNormal", mu=middle, sigma=1.5),
        location=lambda scale: middle,
        quantity=quantity,
    )


def probability(name: str, *, role: str, event: str) -> Parameter:
    return Parameter(
        name=name,
        link="logit",
        role=role,
        prior=lambda scale: Prior("Beta", alpha=1, beta=1),
        location=lambda scale: 0.0,
        quantity=event,
    )


SIGMA = Parameter(
    name="sigma",
    link="log",
    role="dispersion",
    prior=lambda scale: Prior("HalfStudentT", nu=3, sigma=scale),
    location=math.log,
    quantity="residual sd of {y}",
)
NU = Parameter(
    name="nu",
    link="log",
    role="other",
    prior=lambda scale: Prior("Gamma", alpha=2, beta=0.1),
    location=lambda scale: math.log(20),
    quantity="degrees of freedom of {y}",
)
#: The shape of gamma and of negbinomial.
ALPHA = positive("alpha", middle=1.0, quantity="shape of {y}")
#: The precision of beta and betabinomial.
PRECISION = positive("phi", middle=2.0, quantity="precision of {y}")
#: What the variance of negbinomial1 has beyond the mean, as a multiple of it.
EXCESS = positive("phi", middle=0.0, quantity="excess variance of {y}")
#: Of a hurdle and of shares; a zero-inflated count has others beside it.
ZI = probability("zi", role="zi", event="{y} = 0")
STRUCTURAL = replace(ZI, quantity="a structural zero of {y}")
ZOI = probability("zoi", role="zi", event="{y} being 0 or 1")
COI = probability("coi", role="other", event="a 1 where {y} is 0 or 1")
THRESHOLD = Parameter(
    name="threshold",
    link=ORDERED,
    role="other",
    prior=lambda scale: Prior("Normal", mu=0, sigma=3),
    location=lambda scale: 0.0,
    quantity="thresholds of {y}",
)
