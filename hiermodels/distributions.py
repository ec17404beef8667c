"""Prior distributions as printable values: a name and parameters, as in PyMC.

    Prior("Normal", mu=0, sigma=1),    Prior("LKJ", eta=2) for correlations

Each knows what happens to it when its parameter is multiplied, and how to draw from itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from scipy.special import ndtr, ndtri

from hiermodels.errors import PriorError, did_you_mean

__all__ = ["DISTRIBUTIONS", "LKJ", "Prior", "draw_correlation"]

type Array = np.ndarray
type Size = int | tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What happens to the parameters of ``c X`` for c > 0: which are multiplied or divided by c.

    ``shifted`` are increased by log c; ``positive`` says that X > 0, ``unit`` that X < 1, too, and
    then c is 1. ``order`` is the order of the parameters when they are printed; those in
    ``optional`` can be left out. ``draw`` is given the parameters in that order.
    """

    order: tuple[str, ...]
    draw: Callable[..., Array]
    multiplied: tuple[str, ...] = ()
    divided: tuple[str, ...] = ()
    shifted: tuple[str, ...] = ()
    positive: bool = False
    unit: bool = False
    optional: tuple[str, ...] = ()


def draw_truncated(
    rng: Generator, mu: float, sigma: float, lower: float, upper: float, size: Size
) -> Array:
    """A normal between two bounds, by its quantiles, from the side that has more digits."""
    side = -1.0 if lower > mu else 1.0
    ends = sorted(side * (bound - mu) / sigma for bound in (lower, upper))
    low, high = ndtr(ends[0]), ndtr(ends[1])
    return mu + side * sigma * ndtri(low + (high - low) * rng.uniform(size=size))


#: The distributions that a prior can have, by their names and parameters in PyMC.
DISTRIBUTIONS: dict[str, Distribution] = {
    "Normal": Distribution(
        order=("mu", "sigma"),
        multiplied=("mu", "sigma"),
        draw=lambda rng, mu, sigma, size: rng.normal(mu, sigma, size),
    ),
    "StudentT": Distribution(
        order=("nu", "mu", "sigma"),
        multiplied=("mu", "sigma"),
        draw=lambda rng, nu, mu, sigma, size: mu + sigma * rng.standard_t(nu, size),
    ),
    "Cauchy": Distribution(
        order=("alpha", "beta"),
        multiplied=("alpha", "beta"),
        draw=lambda rng, alpha, beta, size: alpha + beta * rng.standard_cauchy(size),
    ),
    "Laplace": Distribution(
        order=("mu", "b"),
        multiplied=("mu", "b"),
        draw=lambda rng, mu, b, size: rng.laplace(mu, b, size),
    ),
    "Logistic": Distribution(
        order=("mu", "s"),
        multiplied=("mu", "s"),
        draw=lambda rng, mu, s, size: rng.logistic(mu, s, size),
    ),
    "Uniform": Distribution(
        order=("lower", "upper"),
        multiplied=("lower", "upper"),
        draw=lambda rng, lower, upper, size: rng.uniform(lower, upper, size),
    ),
    "TruncatedNormal": Distribution(
        order=("mu", "sigma", "lower", "upper"),
        multiplied=("mu", "sigma", "lower", "upper"),
        optional=("lower", "upper"),
        draw=lambda rng, mu, sigma, size, lower=-math.inf, upper=math.inf: draw_truncated(
            rng, mu, sigma, lower, upper, size
        ),
    ),
    "HalfNormal": Distribution(
        order=("sigma",),
        multiplied=("sigma",),
        positive=True,
        draw=lambda rng, sigma, size: np.abs(rng.normal(0, sigma, size)),
    ),
    "HalfStudentT": Distribution(
        order=("nu", "sigma"),
        multiplied=("sigma",),
        positive=True,
        draw=lambda rng, nu, sigma, size: sigma * np.abs(rng.standard_t(nu, size)),
    ),
    "HalfCauchy": Distribution(
        order=("beta",),
        multiplied=("beta",),
        positive=True,
        draw=lambda rng, beta, size: beta * np.abs(rng.standard_cauchy(size)),
    ),
    "Exponential": Distribution(
        order=("lam",),
        divided=("lam",),
        positive=True,
        draw=lambda rng, lam, size: rng.exponential(1 / lam, size),
    ),
    "Gamma": Distribution(
        order=("alpha", "beta"),
        divided=("beta",),
        positive=True,
        draw=lambda rng, alpha, beta, size: rng.gamma(alpha, 1 / beta, size),
    ),
    "InverseGamma": Distribution(
        order=("alpha", "beta"),
        multiplied=("beta",),
        positive=True,
        draw=lambda rng, alpha, beta, size: beta / rng.gamma(alpha, 1, size),
    ),
    "LogNormal": Distribution(
        order=("mu", "sigma"),
        shifted=("mu",),
        positive=True,
        draw=lambda rng, mu, sigma, size: rng.lognormal(mu, sigma, size),
    ),
    "Weibull": Distribution(
        order=("alpha", "beta"),
        multiplied=("beta",),
        positive=True,
        draw=lambda rng, alpha, beta, size: beta * rng.weibull(alpha, size),
    ),
    "Beta": Distribution(
        order=("alpha", "beta"),
        positive=True,
        unit=True,
        draw=lambda rng, alpha, beta, size: rng.beta(alpha, beta, size),
    ),
}
LKJ = "LKJ"


class Prior:
    """A prior distribution, by its name and parameters in PyMC.

    ``hm.Prior("Normal", mu=0, sigma=1)``; ``hm.Prior("LKJ", eta=2)`` for correlations.

    Raises
    ------
    PriorError
        For a distribution or a parameter that does not exist, listing those that do.
    """

    __slots__ = ("name", "parameters")

    def __init__(self, name: str, **parameters: float) -> None:
        valid = {**{k: d.order for k, d in DISTRIBUTIONS.items()}, LKJ: ("eta",)}
        if name not in valid:
            raise PriorError(
                f"no prior {name!r}. Valid: {', '.join(sorted(valid))}.{did_you_mean(name, valid)}"
            )
        optional = () if name == LKJ else DISTRIBUTIONS[name].optional
        missing = [p for p in valid[name] if p not in parameters and p not in optional]
        unknown = [p for p in parameters if p not in valid[name]]
        if missing or unknown:
            raise PriorError(
                f"{name} has the parameters {', '.join(valid[name])}; given: "
                f"{', '.join(parameters) or 'none'}"
            )
        if not all(np.isscalar(v) and np.isreal(v) and v == v for v in parameters.values()):
            raise PriorError(f"the parameters of {name} are numbers, not {parameters}")
        self.name = name
        self.parameters = {p: float(parameters[p]) for p in valid[name] if p in parameters}

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v:.4g}" for k, v in self.parameters.items())
        return f"{self.name}({inside})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Prior)
            and self.name == other.name
            and self.parameters == other.parameters
        )

    def __hash__(self) -> int:
        return hash((self.name, *self.parameters.items()))

    @property
    def positive(self) -> bool:
        """Whether only positive values are possible."""
        if self.name == "Uniform":
            return self.parameters["lower"] >= 0
        if self.name == "TruncatedNormal":
            return self.parameters.get("lower", -math.inf) >= 0
        return self.name != LKJ and DISTRIBUTIONS[self.name].positive

    @property
    def unit(self) -> bool:
        """Whether only values between 0 and 1 are possible."""
        if self.name in ("Uniform", "TruncatedNormal"):
            return self.positive and self.parameters.get("upper", math.inf) <= 1
        return self.name != LKJ and DISTRIBUTIONS[self.name].unit

    def scaled(self, factor: float) -> Prior:
        """The prior of ``factor`` times the parameter; ``factor`` > 0."""
        if self.name == LKJ or factor == 1:
            return self
        how = DISTRIBUTIONS[self.name]
        if how.unit:
            raise PriorError(f"{self} is a prior of a probability, which has no other unit")
        new = dict(self.parameters)
        for name in new:
            if name in how.multiplied:
                new[name] *= factor
            elif name in how.divided:
                new[name] /= factor
            elif name in how.shifted:
                new[name] += math.log(factor)
        return Prior(self.name, **new)

    def draw(self, rng: Generator, size: Size = ()) -> Array:
        """Draws from the prior; correlations are drawn by `draw_correlation`."""
        if self.name == LKJ:
            raise PriorError("LKJ is a prior of a matrix: draw_correlation draws it")
        return np.asarray(DISTRIBUTIONS[self.name].draw(rng, **self.parameters, size=size))

    @classmethod
    def of(cls, given: Any, *, parameter: str) -> Self:
        """A prior from ours, from Bambi's or from PreliZ's, which have a name and parameters."""
        if isinstance(given, cls):
            return given
        if hasattr(given, "params_dict"):  # PreliZ
            return cls(type(given).__name__, **given.params_dict)
        if hasattr(given, "args") and hasattr(given, "name"):  # Bambi
            return cls(given.name, **{k: float(v) for k, v in given.args.items()})
        raise PriorError(
            f"the prior of {parameter!r} is {given!r}; give hm.Prior('Normal', mu=0, sigma=1) "
            "or a PreliZ distribution"
        )


def draw_correlation(rng: Generator, q: int, *, eta: float, size: int) -> Array:
    """Cholesky factors of correlation matrices with an LKJ prior: (size, q, q).

    Canonical partial correlations ``p_ij = 2 Beta(a, a) - 1``, ``a = eta + (q - 2 - j) / 2``
    (Lewandowski, Kurowicka & Joe 2009, J. Multivar. Anal. 100).
    """
    factor = np.zeros((size, q, q))
    for i in range(q):
        left = np.ones(size)
        for j in range(i):
            shape = eta + (q - 2 - j) / 2
            partial = 2 * rng.beta(shape, shape, size) - 1
            factor[:, i, j] = partial * left
            left = left * np.sqrt(1 - partial**2)
        factor[:, i, i] = left
    return factor
