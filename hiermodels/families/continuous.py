"""Families of continuous responses.

gaussian    y ~ Normal(mu, sigma)                          mu = eta
student     y ~ StudentT(nu, mu, sigma)                    mu = eta
lognormal   log y ~ Normal(eta, sigma)
gamma       y ~ Gamma(alpha, alpha / mu)                   log mu = eta
beta        y ~ Beta(mu phi, (1 - mu) phi)                 logit mu = eta
zi_beta     0 with probability zi, else beta
zoi_beta    with probability zoi: 1 with probability coi, else 0; and beta otherwise
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from scipy.special import betainc, gammainc, ndtr, stdtr

from .family import Array, Auxiliary, Family, Meaning, Tensor
from .links import LINKS
from .supports import Observed, check_positive, check_real, check_unit

__all__ = ["Beta", "Gamma", "Gaussian", "LogNormal", "Student", "ZeroInflatedBeta", "ZeroOneBeta"]

#: A size as PyMC asks for it.
type Size = tuple[int, ...] | None

#: The median of |x| / sd of a normal distribution.
NORMAL_MAD = 0.6744897501960817


def mean_and_sd(y: Array) -> tuple[float, float]:
    return float(np.mean(y)), float(np.std(y, ddof=1))


def median_and_mad(y: Array) -> tuple[float, float]:
    """Median, and the sd of a normal distribution with the same median absolute deviation."""
    median = float(np.median(y))
    spread = float(np.median(np.abs(y - median))) / NORMAL_MAD
    return median, spread or float(np.std(y, ddof=1))


def share_location(y: Array, offset: Array, trials: Array | None, link: str) -> tuple[float, float]:
    """m = g((sum y + 1/2) / (sum trials + 1)) less the mean offset, s = 1."""
    total = len(y) if trials is None else float(np.sum(trials))
    share = (float(np.sum(y)) + 0.5) / (total + 1)
    return float(LINKS[link].link(share)) - float(np.mean(offset)), 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian(Family):
    """E[y] = mu, Var[y] = sigma^2."""

    def check_response(self, observed: Observed) -> None:
        check_real(observed)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        return mean_and_sd(y - offset)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return np.asarray(mu, dtype=float)

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return np.square(aux["sigma"]) + np.zeros_like(mu, dtype=float)

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return rng.normal(mu, aux["sigma"])

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return ndtr((y - mu) / aux["sigma"])

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        return pm.Normal.dist(eta, aux["sigma"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Student(Gaussian):
    """E[y] = mu, Var[y] = sigma^2 nu / (nu - 2), infinite for nu <= 2."""

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of the median, for with nu <= 1 there is no mean."""
        return Meaning(quantity=f"median {y}")

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        return median_and_mad(y - offset)

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        nu = np.asarray(aux["nu"], dtype=float)
        more = np.divide(nu, nu - 2, out=np.full_like(nu, np.inf), where=nu > 2)
        return np.square(aux["sigma"]) * more + np.zeros_like(mu, dtype=float)

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        shape = np.broadcast_shapes(*(np.shape(v) for v in (mu, aux["nu"], aux["sigma"])))
        return mu + aux["sigma"] * rng.standard_t(aux["nu"], shape)

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return stdtr(aux["nu"], (y - mu) / aux["sigma"])

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        return pm.StudentT.dist(nu=aux["nu"], mu=eta, sigma=aux["sigma"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal(Family):
    """E[y] = exp(eta + sigma^2 / 2), Var[y] = E[y]^2 (exp(sigma^2) - 1); mu is eta."""

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of the median, exp(eta), whatever sigma depends on."""
        return Meaning(quantity=f"median {y}", multiplies=True, ratio="ratio of medians")

    def check_response(self, observed: Observed) -> None:
        check_positive(observed)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        return mean_and_sd(np.log(y) - offset)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return LINKS["log"].inverse(mu + np.square(aux["sigma"]) / 2)

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        with np.errstate(over="ignore"):
            return np.square(self.mean(mu, aux)) * np.expm1(np.square(aux["sigma"]))

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return LINKS["log"].inverse(rng.normal(mu, aux["sigma"]))

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return ndtr((np.log(y) - mu) / aux["sigma"])

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        return pm.LogNormal.dist(eta, aux["sigma"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Gamma(Family):
    """E[y] = mu, Var[y] = mu^2 / alpha."""

    def check_response(self, observed: Observed) -> None:
        check_positive(observed)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        return mean_and_sd(np.log(y) - offset)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return np.asarray(mu, dtype=float)

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return np.square(mu) / aux["alpha"]

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return rng.gamma(aux["alpha"], np.divide(mu, aux["alpha"]))

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return gammainc(aux["alpha"], aux["alpha"] * y / mu)

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        mu = self.symbolic_mean(eta)
        return pm.Gamma.dist(alpha=aux["alpha"], beta=aux["alpha"] / mu)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beta(Family):
    """E[y] = mu, Var[y] = mu (1 - mu) / (1 + phi)."""

    def check_response(self, observed: Observed) -> None:
        check_unit(observed, zeros=False, ones=False)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        return share_location(y, offset, trials, self.link)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return np.asarray(mu, dtype=float)

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return mu * (1 - mu) / (1 + aux["phi"])

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        # a shape that has become zero is a mean that has become 0 or 1
        tiny = np.finfo(float).tiny
        return rng.beta(np.maximum(mu * aux["phi"], tiny), np.maximum((1 - mu) * aux["phi"], tiny))

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return betainc(mu * aux["phi"], (1 - mu) * aux["phi"], np.clip(y, 0, 1))

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        return pm.Beta.dist(*symbolic_shapes(self, eta, aux["phi"]))


def symbolic_shapes(family: Family, eta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """mu phi and (1 - mu) phi, where 1 - mu keeps its digits near 1."""
    mu = family.symbolic_mean(eta)
    rest = family.symbolic_mean(-eta) if family.link in ("logit", "probit") else 1 - mu
    return mu * phi, rest * phi


def drawn_shape(size: Size, *given: Array) -> tuple[int, ...]:
    """What PyMC asks for, or None for the shape of the parameters."""
    return tuple(size) if size is not None else np.broadcast_shapes(*map(np.shape, given))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroInflatedBeta(Beta):
    """0 with probability zi, else beta.

    E[y] = (1 - zi) mu,    Var[y] = (1 - zi) (V + zi mu^2),    V = mu (1 - mu) / (1 + phi)
    """

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of the shares that are no zeros."""
        found = Beta.meaning(self, y, exposure=exposure)
        return replace(found, where=f"where {y} is not 0")

    def check_response(self, observed: Observed) -> None:
        check_unit(observed, zeros=True, ones=False)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        inside = (y > 0) & (y < 1)
        return share_location(y[inside], offset[inside], None, self.link)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return (1 - aux["zi"]) * mu

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        zi, within = aux["zi"], mu * (1 - mu) / (1 + aux["phi"])
        return (1 - zi) * (within + zi * np.square(mu))

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        positive = Beta.draw(self, rng, mu, aux)
        return np.where(rng.uniform(size=positive.shape) < aux["zi"], 0.0, positive)

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        zi = aux["zi"]
        return np.where(np.less(y, 0), 0.0, zi + (1 - zi) * Beta.cdf(self, y, mu, aux))

    def below(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return np.where(np.equal(y, 0), 0.0, self.cdf(y, mu, aux))

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm
        import pytensor.tensor as pt

        def log_density(value: Tensor, a: Tensor, b: Tensor, zi: Tensor) -> Tensor:
            return pt.switch(pt.eq(value, 0), pt.log(zi), pt.log1p(-zi) + beta_log(value, a, b))

        def random(a: Array, b: Array, zi: Array, rng: Generator, size: Size) -> Array:
            inside = rng.beta(a, b, drawn_shape(size, a, b, zi))
            return np.where(rng.uniform(size=inside.shape) < zi, 0.0, inside)

        a, b = symbolic_shapes(self, eta, aux["phi"])
        return pm.CustomDist.dist(a, b, aux["zi"], logp=log_density, random=random)


def beta_log(value: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The log-density of a beta inside 0 and 1; finite, and not to be used, at the ends."""
    import pytensor.tensor as pt

    inside = pt.switch(pt.eq(value, 0) | pt.eq(value, 1), 0.5, value)
    constant = pt.gammaln(a + b) - pt.gammaln(a) - pt.gammaln(b)
    return constant + (a - 1) * pt.log(inside) + (b - 1) * pt.log1p(-inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroOneBeta(ZeroInflatedBeta):
    """0 or 1 with probability zoi, of these 1 with probability coi, else beta.

    E[y] = zoi coi + (1 - zoi) mu,    E[y^2] = zoi coi + (1 - zoi) (V + mu^2)
    """

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of the shares that are neither 0 nor 1."""
        found = Beta.meaning(self, y, exposure=exposure)
        return replace(found, where=f"where {y} is neither 0 nor 1")

    def check_response(self, observed: Observed) -> None:
        check_unit(observed, zeros=True, ones=True)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return aux["zoi"] * aux["coi"] + (1 - aux["zoi"]) * mu

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        zoi, within = aux["zoi"], mu * (1 - mu) / (1 + aux["phi"])
        square = zoi * aux["coi"] + (1 - zoi) * (within + np.square(mu))
        return square - np.square(self.mean(mu, aux))

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        inside = Beta.draw(self, rng, mu, aux)
        at_end = rng.uniform(size=inside.shape) < aux["zoi"]
        end = rng.uniform(size=inside.shape) < aux["coi"]
        return np.where(at_end, end, inside)

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        zoi, coi = aux["zoi"], aux["coi"]
        smooth = zoi * (1 - coi) + (1 - zoi) * Beta.cdf(self, y, mu, aux)
        return np.where(np.less(y, 0), 0.0, np.where(np.less(y, 1), smooth, 1.0))

    def below(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        below_one = 1 - aux["zoi"] * aux["coi"]
        smooth = np.where(np.equal(y, 0), 0.0, self.cdf(y, mu, aux))
        return np.where(np.equal(y, 1), below_one, smooth)

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm
        import pytensor.tensor as pt

        def log_density(value: Tensor, a: Tensor, b: Tensor, zoi: Tensor, coi: Tensor) -> Tensor:
            at_end = pt.log(zoi) + pt.switch(pt.eq(value, 1), pt.log(coi), pt.log1p(-coi))
            inside = pt.log1p(-zoi) + beta_log(value, a, b)
            return pt.switch(pt.eq(value, 0) | pt.eq(value, 1), at_end, inside)

        def random(a: Array, b: Array, zoi: Array, coi: Array, rng: Generator, size: Size) -> Array:
            inside = rng.beta(a, b, drawn_shape(size, a, b, zoi, coi))
            end = (rng.uniform(size=inside.shape) < coi).astype(float)
            return np.where(rng.uniform(size=inside.shape) < zoi, end, inside)

        a, b = symbolic_shapes(self, eta, aux["phi"])
        return pm.CustomDist.dist(a, b, aux["zoi"], aux["coi"], logp=log_density, random=random)
