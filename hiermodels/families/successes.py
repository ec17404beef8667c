"""Families of successes and failures.

bernoulli      P(y = 1) = mu                              g(mu) = eta: logit, probit, cloglog
binomial       y successes of n trials
betabinomial   the same, with a share drawn from Beta(mu phi, (1 - mu) phi) for each row
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.special import betainc

from .continuous import share_location, symbolic_shapes
from .family import Array, Auxiliary, Family, Meaning, Tensor, odds_meaning
from .supports import Observed, check_binary, check_successes

__all__ = ["Bernoulli", "BetaBinomial", "Binomial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binomial(Family):
    """E[y] = n mu, Var[y] = n mu (1 - mu)."""

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of a success, in one trial."""
        return odds_meaning(self.link, y)

    def check_response(self, observed: Observed) -> None:
        check_successes(observed)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        return share_location(y, offset, trials, self.link)

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return mu * counted(trials)

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return counted(trials) * mu * (1 - mu)

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        return rng.binomial(counted(trials).astype(np.int64), mu).astype(float)

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        """P(Y <= y) = I_{1 - mu}(n - y, y + 1)."""
        y, n = np.floor(y), counted(trials)
        some = np.clip(y, 0, n - 1)
        inside = betainc(n - some, some + 1, 1 - mu)
        return np.where(y < 0, 0.0, np.where(y >= n, 1.0, inside))

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        n = counted(trials)
        if self.link == "logit":
            return pm.Binomial.dist(n=n, logit_p=eta)
        return pm.Binomial.dist(n=n, p=self.symbolic_mean(eta))


def counted(trials: Array | None) -> Array:
    """The trials, one where there is no such thing."""
    return np.ones(()) if trials is None else np.asarray(trials, dtype=float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bernoulli(Binomial):
    """E[y] = mu, Var[y] = mu (1 - mu)."""

    def check_response(self, observed: Observed) -> None:
        check_binary(observed)

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        if self.link == "logit":
            return pm.Bernoulli.dist(logit_p=eta)
        return pm.Bernoulli.dist(p=self.symbolic_mean(eta))


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaBinomial(Binomial):
    """E[y] = n mu, Var[y] = n mu (1 - mu) (phi + n) / (phi + 1)."""

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        n, phi = counted(trials), aux["phi"]
        return n * mu * (1 - mu) * (phi + n) / (phi + 1)

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        tiny = np.finfo(float).tiny
        share = rng.beta(np.maximum(mu * aux["phi"], tiny), np.maximum((1 - mu) * aux["phi"], tiny))
        return rng.binomial(counted(trials).astype(np.int64), share).astype(float)

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        from scipy import stats

        return stats.betabinom.cdf(
            np.floor(y), counted(trials), mu * aux["phi"], (1 - mu) * aux["phi"]
        )

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        import pymc as pm

        a, b = symbolic_shapes(self, eta, aux["phi"])
        return pm.BetaBinomial.dist(alpha=a, beta=b, n=counted(trials))
