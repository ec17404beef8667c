"""The family of ordered categories, numbered 0, 1, ..., K - 1: cumulative, K - 1 thresholds.

    P(y <= k) = F(c_k - eta),    c_0 < c_1 < ... < c_{K-2},    F logistic (logit) or normal (probit)

The thresholds take the place of the intercept. On the unconstrained scale they are c_0 and the
logarithms of the steps, log(c_k - c_{k-1}). Moments are of the scores s_k, the numbers that the
user's categories are:

    E[s] = s_0 + sum_k (s_{k+1} - s_k) P(y > k)

Source: McCullagh 1980, J. R. Stat. Soc. B 42(2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from .family import Array, Auxiliary, Family, Meaning, Tensor, odds_meaning
from .links import LINKS, symbolic_inverse
from .supports import Observed, check_spread

__all__ = ["Ordinal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinal(Family):
    """mu is eta; ``threshold`` (..., K - 1). Responses, draws and cdf are of 0 to K - 1, moments of
    the scores; where categories are words these are 0 to K - 1, for checks that need some."""

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """Of a category above any of the thresholds, the same for each."""
        return odds_meaning(self.link, f"a higher {y}")

    def inverse_link(self, eta: Array) -> Array:
        return np.asarray(eta, dtype=float)

    def check_response(self, observed: Observed) -> None:
        check_spread(observed)

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        """The thresholds have the location; the scale is that of the latent errors."""
        return 0.0, 1.0

    def cumulative(self, mu: Array, aux: Auxiliary) -> Array:
        """P(y <= k) for k = 0, ..., K - 2: (..., K - 1)."""
        return LINKS[self.link].inverse(aux["threshold"] - np.asarray(mu, dtype=float)[..., None])

    def probabilities(self, mu: Array, aux: Auxiliary) -> Array:
        """P(y = k) for k = 0, ..., K - 1: (..., K)."""
        return np.diff(self.cumulative(mu, aux), axis=-1, prepend=0.0, append=1.0)

    def values(self, k: int) -> Array:
        """The scores of k categories."""
        return np.arange(float(k)) if self.scores is None else np.array(self.scores)

    def on_scale(self, y: Array) -> Array:
        y = np.asarray(y, dtype=float)
        return y if self.scores is None else np.array(self.scores)[y.astype(int)]

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        """sum_k s_k P(y = k), without the rounding of the probabilities' differences."""
        above = 1 - self.cumulative(mu, aux)
        scores = self.values(above.shape[-1] + 1)
        return scores[0] + above @ np.diff(scores)

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        """sum_k (s_k - E[s])^2 P(y = k)."""
        p = self.probabilities(mu, aux)
        away = self.values(p.shape[-1]) - self.mean(mu, aux)[..., None]
        return (p * away**2).sum(axis=-1)

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        cumulative = self.cumulative(mu, aux)
        return (rng.uniform(size=cumulative.shape[:-1])[..., None] > cumulative).sum(
            axis=-1, dtype=float
        )

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        cumulative = self.cumulative(mu, aux)
        last = cumulative.shape[-1]
        k = np.floor(np.broadcast_to(y, cumulative.shape[:-1])).astype(int)
        found = np.take_along_axis(cumulative, np.clip(k, 0, last - 1)[..., None], axis=-1)[..., 0]
        return np.where(k < 0, 0.0, np.where(k >= last, 1.0, found))

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        """P(y = k) as differences of F on the side of zero where it is small."""
        import pymc as pm
        import pytensor.tensor as pt

        edges = aux["threshold"] - eta[..., None]
        below = symbolic_inverse(self.link, edges)
        above = symbolic_inverse(self.link, -edges)
        lower, upper = edges[..., :-1], edges[..., 1:]
        inner = pt.switch(
            pt.gt(lower + upper, 0),
            above[..., :-1] - above[..., 1:],
            below[..., 1:] - below[..., :-1],
        )
        p = pt.concatenate([below[..., :1], inner, above[..., -1:]], axis=-1)
        return pm.Categorical.dist(p=p)
