"""Families of counts, log link, and what adds or replaces their zeros.

    poisson           y ~ Poisson(mu)
    negbinomial       variance mu + mu^2 / alpha              ("nbinom2")
    negbinomial1      variance mu (1 + phi)                   ("nbinom1")
    zi_f              P(0) = zi + (1 - zi) f(0),    P(y) = (1 - zi) f(y)
    hurdle_f          P(0) = zi,                    P(y) = (1 - zi) f(y) / (1 - f(0))

Source: Hilbe 2011, Negative Binomial Regression, 2nd ed., for the names; Mullahy 1986, J. Econom.
33, for the hurdle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from scipy.special import betainc, gammaincc

from .family import Array, Auxiliary, Family, Meaning, Tensor
from .supports import Observed, check_counts

__all__ = ["Hurdle", "NegBinomial", "NegBinomial1", "Poisson", "ZeroInflated"]

#: The means that are drawn from: beyond the largest, whole numbers are no longer told apart.
SMALLEST, LARGEST = 1e-200, 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisson(Family):
    """E[y] = Var[y] = mu."""

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of the expected count, or with an exposure of the rate."""
        what = f"rate of {y}" if exposure else f"expected {y}"
        return Meaning(quantity=what, multiplies=True, ratio="rate ratio")

    def check_response(self, observed: Observed) -> None:
        check_counts(observed)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        """m = log((sum y + 1/2) / sum exposure), s = max(1, sd(log(y + 1/2) - offset))."""
        largest = float(np.max(offset))
        exposure = largest + np.log(np.sum(np.exp(offset - largest)))
        spread = float(np.std(np.log(y + 0.5) - offset, ddof=1))
        return float(np.log(np.sum(y) + 0.5) - exposure), max(1.0, spread)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return np.asarray(mu, dtype=float)

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return np.asarray(mu, dtype=float)

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return rng.poisson(np.minimum(mu, LARGEST)).astype(float)

    def draw_positive(self, rng: Generator, mu: Array, aux: Auxiliary) -> Array:
        """One zero-truncated count for each mu.

        The first arrival of a Poisson process, given that there is one in [0, mu], then the rest.
        """
        mu = np.minimum(mu, LARGEST)
        first = -np.log1p(rng.uniform(size=np.shape(mu)) * np.expm1(-mu))
        return 1.0 + rng.poisson(np.maximum(mu - first, 0))

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        y = np.floor(y)
        return np.where(y < 0, 0.0, gammaincc(np.maximum(y, 0) + 1, mu))

    def log_zero(self, mu: Array, aux: Auxiliary) -> Array:
        """log P(y = 0)."""
        return -np.asarray(mu, dtype=float)

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        return pm.Poisson.dist(self.symbolic_mean(eta))

    def inflated(self, eta: Tensor, aux: Mapping[str, Tensor], zi: Tensor) -> Tensor:
        """In PyMC, with more zeros."""
        import pymc as pm

        return pm.ZeroInflatedPoisson.dist(psi=1 - zi, mu=self.symbolic_mean(eta))

    def symbolic_log_zero(self, mu: Tensor, aux: Mapping[str, Tensor]) -> Tensor:
        """log P(y = 0) in PyTensor."""
        return -mu


@dataclass(frozen=True, slots=True, kw_only=True)
class NegBinomial(Poisson):
    """E[y] = mu, Var[y] = mu + mu^2 / alpha."""

    def size(self, mu: Tensor, aux: Mapping[str, Tensor]) -> Tensor:
        """The number of successes of the negative binomial, of arrays or symbols."""
        return aux["alpha"]

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return mu + np.square(mu) / self.size(mu, aux)

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        mu = np.clip(mu, SMALLEST, LARGEST)
        size = self.size(mu, aux)
        return rng.poisson(np.minimum(rng.gamma(size, mu / size), LARGEST)).astype(float)

    def draw_positive(self, rng: Generator, mu: Array, aux: Auxiliary) -> Array:
        """By the upper quantiles, which keep their digits where positive counts are rare."""
        from scipy import stats

        mu = np.clip(mu, SMALLEST, LARGEST)
        size, positive = self.size(mu, aux), -np.expm1(self.log_zero(mu, aux))
        upper = rng.uniform(size=np.shape(positive)) * positive
        # fmax, because there is no quantile of what is zero with certainty
        return np.fmax(stats.nbinom.isf(upper, size, size / (size + mu)), 1.0)

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        y, size = np.floor(y), self.size(mu, aux)
        inside = betainc(size, np.maximum(y, 0) + 1, size / (size + mu))
        return np.where(y < 0, 0.0, inside)

    def log_zero(self, mu: Array, aux: Auxiliary) -> Array:
        size = self.size(mu, aux)
        return -size * np.log1p(mu / size)

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        mu = self.symbolic_mean(eta)
        return pm.NegativeBinomial.dist(mu=mu, alpha=self.size(mu, aux))

    def inflated(self, eta: Tensor, aux: Mapping[str, Tensor], zi: Tensor) -> Tensor:
        import pymc as pm

        mu = self.symbolic_mean(eta)
        return pm.ZeroInflatedNegativeBinomial.dist(psi=1 - zi, mu=mu, alpha=self.size(mu, aux))

    def symbolic_log_zero(self, mu: Tensor, aux: Mapping[str, Tensor]) -> Tensor:
        import pytensor.tensor as pt

        size = self.size(mu, aux)
        return -size * pt.log1p(mu / size)


@dataclass(frozen=True, slots=True, kw_only=True)
class NegBinomial1(NegBinomial):
    """E[y] = mu, Var[y] = mu (1 + phi)."""

    def size(self, mu: Tensor, aux: Mapping[str, Tensor]) -> Tensor:
        return mu / aux["phi"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroInflated(Family):
    """A count, or with probability zi a zero that is none.

    E[y] = (1 - zi) mu,    Var[y] = (1 - zi) (V + zi mu^2)
    """

    base: Poisson

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of mu: E[y] changes with zi, too."""
        found = self.base.meaning(y, exposure=exposure)
        return replace(found, where="where there is no structural zero")

    def check_response(self, observed: Observed) -> None:
        check_counts(observed)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        return self.base.location_scale(y, offset)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return (1 - aux["zi"]) * mu

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        zi = aux["zi"]
        return (1 - zi) * (self.base.variance(mu, aux) + zi * np.square(mu))

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        counts = self.base.draw(rng, mu, aux)
        return np.where(rng.uniform(size=counts.shape) < aux["zi"], 0.0, counts)

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        zi = aux["zi"]
        return np.where(np.less(y, 0), 0.0, zi + (1 - zi) * self.base.cdf(y, mu, aux))

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        return self.base.inflated(eta, aux, aux["zi"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hurdle(ZeroInflated):
    """Zero with probability zi, else a zero-truncated count.

    E[y] = (1 - zi) mu / (1 - f(0)),    E[y^2] = (1 - zi) (V + mu^2) / (1 - f(0))
    """

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of mu, the mean of the count before it is truncated; a count above 0 has a larger one."""
        found = self.base.meaning(y, exposure=exposure)
        return replace(found, quantity=f"{found.quantity} before truncation at zero")

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        """Of the positive counts alone, where there are some."""
        some = y > 0 if np.count_nonzero(y) > 1 else np.ones(len(y), dtype=bool)
        return self.base.location_scale(y[some], offset[some])

    def positive(self, mu: Array, aux: Auxiliary) -> Array:
        """1 - f(0)."""
        return -np.expm1(self.base.log_zero(mu, aux))

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        # one, the smallest positive count, where mu is too small for the quotient
        positive = self.positive(mu, aux)
        ratio = np.divide(mu, positive, out=np.ones_like(positive), where=positive > 0)
        return (1 - aux["zi"]) * ratio

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        positive = self.positive(mu, aux)
        second = self.base.variance(mu, aux) + np.square(mu)
        ratio = np.divide(second, positive, out=np.ones_like(positive), where=positive > 0)
        return (1 - aux["zi"]) * ratio - np.square(self.mean(mu, aux))

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        shape = np.broadcast_shapes(*(np.shape(v) for v in (mu, *aux.values())))
        counts = self.base.draw_positive(rng, np.broadcast_to(mu, shape), aux)
        return np.where(rng.uniform(size=shape) < aux["zi"], 0.0, counts)

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        zi, zero = aux["zi"], np.exp(self.base.log_zero(mu, aux))
        truncated = (self.base.cdf(y, mu, aux) - zero) / self.positive(mu, aux)
        inside = zi + (1 - zi) * np.where(np.less(y, 1), 0.0, truncated)
        return np.where(np.less(y, 0), 0.0, inside)

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        """PyMC's own hurdles take f(0) from a distribution function; this is its closed form."""
        import pymc as pm
        import pytensor.tensor as pt

        base, names = self.base, self.base.auxiliary

        def log_density(value: Tensor, eta: Tensor, zi: Tensor, *own: Tensor) -> Tensor:
            given = dict(zip(names, own, strict=True))
            zero = base.symbolic_log_zero(base.symbolic_mean(eta), given)
            # at zero the density of a one is computed and not used
            count = pm.logp(base.pymc(eta, given), pt.maximum(value, 1))
            positive = pt.log1p(-zi) + count - pt.log(-pt.expm1(zero))
            return pt.switch(
                pt.lt(value, 0), -np.inf, pt.switch(pt.eq(value, 0), pt.log(zi), positive)
            )

        def random(
            eta: Array, zi: Array, *own: Array, rng: Generator, size: tuple[int, ...] | None
        ) -> Array:
            given = {"zi": zi, **dict(zip(names, own, strict=True))}
            shape = np.broadcast_shapes(*map(np.shape, (eta, zi, *own)), size or ())
            return self.draw(rng, np.broadcast_to(self.inverse_link(eta), shape), given)

        given = [aux[name] for name in names]
        return pm.CustomDist.dist(
            eta, aux["zi"], *given, logp=log_density, random=random, dtype="float64"
        )
