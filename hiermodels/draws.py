"""A posterior into arrays, chains stacked: the form in which every report takes it.

S draws, p common coefficients, J levels and q terms of a factor, all on the user's scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.design import Block, Design

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Draws", "Interval", "stack_draws", "summarise"]

type Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Draws of all parameters. Made by `stack_draws`, read by every module that reports.

    ``intercept`` (S,), zero where the model has none; ``beta`` (S, p); by factor ``sd`` (S, q),
    ``cor`` (S, q, q), ``effects`` (S, J, q); ``residual`` (S,) or None with known standard errors.
    """

    intercept: Array
    beta: Array
    sd: dict[str, Array]
    cor: dict[str, Array]
    effects: dict[str, Array]
    residual: Array | None

    @property
    def n(self) -> int:
        return len(self.intercept)

    def covariance(self, factor: str) -> Array:
        """Sigma_g of each draw: (S, q, q)."""
        sd = self.sd[factor]
        return self.cor[factor] * sd[:, :, None] * sd[:, None, :]

    def thinned(self, at_most: int) -> Draws:
        """At most so many draws, evenly spread."""
        if self.n <= at_most:
            return self
        keep = np.linspace(0, self.n - 1, at_most).astype(int)
        return Draws(
            intercept=self.intercept[keep],
            beta=self.beta[keep],
            sd={k: v[keep] for k, v in self.sd.items()},
            cor={k: v[keep] for k, v in self.cor.items()},
            effects={k: v[keep] for k, v in self.effects.items()},
            residual=None if self.residual is None else self.residual[keep],
        )


def stack_draws(posterior: xr.Dataset, design: Design) -> Draws:
    """The arrays of a posterior; what a model does not have is zero, or the identity."""

    def values(name: str) -> Array:
        found = posterior[name].transpose("chain", "draw", ...).to_numpy()
        return found.reshape(-1, *found.shape[2:])

    n = posterior.sizes["chain"] * posterior.sizes["draw"]
    residual = design.family.residual
    return Draws(
        intercept=values("Intercept") if design.intercept else np.zeros(n),
        beta=values("beta") if design.terms else np.zeros((n, 0)),
        sd={b.name: values(f"sd_{b.name}") for b in design.blocks},
        cor={
            b.name: values(f"cor_{b.name}")
            if b.correlated
            else np.broadcast_to(np.eye(len(b.terms)), (n, len(b.terms), len(b.terms)))
            for b in design.blocks
        },
        effects={b.name: values(f"b_{b.name}") for b in design.blocks},
        residual=values(residual) if residual and residual in posterior else None,
    )


def standard_covariance(draws: Draws, block: Block) -> Array:
    """Sigma_g of the standardised columns: T^-1 Sigma_g T^-T, (S, q, q)."""
    back = np.linalg.inv(block.transform)
    return back @ draws.covariance(block.name) @ back.T


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Summaries of draws over the first axis. Made by `summarise`, read by `tables`."""

    estimate: Array
    sd: Array
    lower: Array
    upper: Array


def summarise(values: Any, *, center: str, ci_prob: float) -> Interval:
    """Posterior mean or median, sd, and the equal-tailed interval of probability ``ci_prob``."""
    values = np.asarray(values)
    tail = (1 - ci_prob) / 2
    lower, median, upper = np.quantile(values, [tail, 0.5, 1 - tail], axis=0)
    return Interval(
        estimate=values.mean(axis=0) if center == "mean" else median,
        sd=values.std(axis=0, ddof=1),
        lower=lower,
        upper=upper,
    )
