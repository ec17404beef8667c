"""A posterior into arrays, chains stacked: the form in which every report takes it.

S draws, p common coefficients, J levels and q terms of a factor, all on the user's scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from hiermodels.design import Block, Design, Predictor
from hiermodels.errors import lookup
from hiermodels.numbers.tails import good_k, pareto_k
from hiermodels.posterior import QUANTITIES

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ENOUGH",
    "POINT",
    "POINTS",
    "Draws",
    "Interval",
    "Moments",
    "averages",
    "level_interval",
    "point_words",
    "stack_draws",
    "summarise",
]

type Array = np.ndarray

#: What can stand as the estimate of a function of the parameters, and what stands unless asked.
POINTS = {"median": "posterior median", "mean": "posterior mean"}
POINT = "median"
#: Draws from which the ends of an interval are better taken than from a normal distribution.
ENOUGH = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Posterior mean and sd of one quantity for every level and term, (J, K) each.

    ``exact``: averages of conditional moments given the sds, correlations and sigma (Rao &
    Blackwell); otherwise the moments of all draws, of which some were kept.
    """

    mean: Array
    sd: Array
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Draws of all parameters. Made by `stack_draws`, read by every module that reports.

    ``intercept`` (S,), zero where the model has none; ``beta`` (S, p); by factor ``sd`` (S, q),
    ``cor`` (S, q, q), ``effects`` (S, J, q); ``residual`` (S,) or None with known standard errors.

    Where the effects were too many to keep, ``effects`` has only those of the draws ``kept``, and
    ``moments`` the exact ones, by factor and by quantity (`QUANTITIES`).

    ``auxiliary`` are the family's own parameters that have no formula, on their natural scale:
    (S,), ``threshold`` (S, K - 1). ``extras`` are the draws of the linear predictors of the others,
    by parameter, on their links: of these ``intercept`` to ``effects`` alone.
    """

    intercept: Array
    beta: Array
    sd: dict[str, Array]
    cor: dict[str, Array]
    effects: dict[str, Array]
    residual: Array | None
    kept: Array | None = None
    moments: dict[str, dict[str, Moments]] = field(default_factory=dict)
    auxiliary: dict[str, Array] = field(default_factory=dict)
    extras: dict[str, Draws] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.intercept)

    def covariance(self, factor: str) -> Array:
        """Sigma_g of each draw: (S, q, q)."""
        sd = self.sd[factor]
        return self.cor[factor] * sd[:, :, None] * sd[:, None, :]

    @property
    def with_effects(self) -> Draws:
        """The draws that have group effects: all of them, or those that were kept."""
        if self.kept is None:
            return self
        return replace(self.without_effects(self.kept), effects=self.effects)

    def without_effects(self, keep: Array) -> Draws:
        """Some of the draws, of everything but the group effects."""
        return replace(
            self,
            intercept=self.intercept[keep],
            beta=self.beta[keep],
            sd={k: v[keep] for k, v in self.sd.items()},
            cor={k: v[keep] for k, v in self.cor.items()},
            effects={},
            residual=None if self.residual is None else self.residual[keep],
            kept=None,
            auxiliary={k: v[keep] for k, v in self.auxiliary.items()},
            extras={k: v.without_effects(keep) for k, v in self.extras.items()},
        )

    def thinned(self, at_most: int) -> Draws:
        """At most so many draws, evenly spread, without the group effects."""
        if self.n <= at_most:
            return self
        return self.without_effects(np.linspace(0, self.n - 1, at_most).astype(int))


def stack_draws(tree: xr.DataTree, design: Design) -> Draws:
    """The arrays of a fit's groups; what a model does not have is zero, or the identity."""
    posterior = tree["posterior"].to_dataset()

    def values(name: str, source: xr.Dataset = posterior) -> Array:
        found = source[name].transpose("chain", "draw", ...).to_numpy()
        return found.reshape(-1, *found.shape[2:])

    draws = posterior.sizes["draw"]
    residual = design.family.residual
    effects, kept = posterior, None
    if "effects" in tree.children:
        effects = tree["effects"].to_dataset()
        chains = np.arange(posterior.sizes["chain"])[:, None]
        kept = (chains * draws + effects["draw"].to_numpy()).ravel()
    mean = predictor_draws(design.mean, posterior, values, effects)
    return replace(
        mean,
        residual=values(residual) if residual and residual in posterior else None,
        kept=kept,
        moments=read_moments(tree, design) if kept is not None else {},
        auxiliary={p.name: values(p.name) for p in design.constants},
        extras={
            name: predictor_draws(predictor, posterior, values, posterior)
            for name, predictor in design.extras.items()
        },
    )


def predictor_draws(
    predictor: Predictor,
    posterior: xr.Dataset,
    values: Callable[..., Array],
    effects: xr.Dataset,
) -> Draws:
    """The coefficients of one linear predictor."""
    n, prefix = posterior.sizes["chain"] * posterior.sizes["draw"], predictor.prefix
    blocks = predictor.blocks
    return Draws(
        intercept=values(f"{prefix}Intercept") if predictor.intercept else np.zeros(n),
        beta=values(f"{prefix}beta") if predictor.terms else np.zeros((n, 0)),
        sd={b.name: values(f"{prefix}sd_{b.key}") for b in blocks},
        cor={
            b.name: values(f"{prefix}cor_{b.key}")
            if b.correlated
            else np.broadcast_to(np.eye(len(b.terms)), (n, len(b.terms), len(b.terms)))
            for b in blocks
        },
        effects={b.name: values(f"{prefix}b_{b.key}", effects) for b in blocks},
        residual=None,
    )


def read_moments(tree: xr.DataTree, design: Design) -> dict[str, dict[str, Moments]]:
    """The group ``moments`` of a tree: variables ``effects_g``, ``coef_g``, ``pooled_g``."""
    found = tree["moments"].to_dataset()
    return {
        block.name: {
            quantity: Moments(
                mean=found[f"{quantity}_{block.key}"].sel(moment="mean").to_numpy(),
                sd=found[f"{quantity}_{block.key}"].sel(moment="sd").to_numpy(),
                exact=bool(found.attrs.get("exact", 1)),
            )
            for quantity in QUANTITIES
            if f"{quantity}_{block.key}" in found
        }
        for block in design.blocks
    }


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


def point_words(point: str) -> str:
    """A key of `POINTS` in words.

    Raises
    ------
    UnknownNameError
        For another, listing those that there are.
    """
    return lookup(point, POINTS, what="point")


def summarise(
    values: Any, *, point: str = POINT, ci_prob: float, exists: bool | Array = True
) -> Interval:
    """Point estimate, sd, and the equal-tailed interval of probability ``ci_prob``.

    ``exists`` says of which there is a posterior mean. A mean that does not exist, or that these
    draws cannot average (Pareto k above `good_k`), is NaN; so is the sd of what has no mean, where
    the draws show it (k > 1/2).
    """
    point_words(point)
    values = np.asarray(values)
    tail = (1 - ci_prob) / 2
    lower, median, upper = np.quantile(values, [tail, 0.5, 1 - tail], axis=0)
    known = np.broadcast_to(exists, values.shape[1:])
    sd = values.std(axis=0, ddof=1)
    if point == "median" and known.all():
        return Interval(estimate=median, sd=sd, lower=lower, upper=upper)
    k = pareto_k(values)
    mean = np.where(known & (k <= good_k(len(values))), values.mean(axis=0), np.nan)
    return Interval(
        estimate=median if point == "median" else mean,
        sd=np.where(known | (k <= 0.5), sd, np.nan),
        lower=lower,
        upper=upper,
    )


def averages(values: Any, *, ci_prob: float, exists: bool | Array = True) -> Interval:
    """The same of what is an expectation by definition: its average, where there is one."""
    found = summarise(values, ci_prob=ci_prob, exists=exists)
    return replace(found, estimate=np.where(exists, np.mean(values, axis=0), np.nan))


def level_interval(
    draws: Draws,
    factor: str,
    quantity: str,
    values: Callable[[], Array],
    *,
    point: str = POINT,
    ci_prob: float,
) -> Interval:
    """Estimate, sd and interval of a quantity of every level, (J, K).

    From the draws ``values()``. Where exact moments were kept and the draws of some: mean and sd
    are exact, and median and ends have the distance from the mean, in sds, that they have in those
    draws, or in a normal distribution where the draws are fewer than `ENOUGH`.
    """
    if quantity not in draws.moments.get(factor, {}):
        return summarise(values(), point=point, ci_prob=ci_prob)
    found = draws.moments[factor][quantity]
    quantile = float(ndtri((1 + ci_prob) / 2))
    lower, middle, upper = -quantile * found.sd, np.zeros_like(found.sd), quantile * found.sd
    if draws.with_effects.n >= ENOUGH:
        kept = values()
        some, mean = summarise(kept, ci_prob=ci_prob), kept.mean(axis=0)
        stretch = np.divide(found.sd, some.sd, out=np.ones_like(found.sd), where=some.sd > 0)
        lower, middle, upper = (
            (end - mean) * stretch for end in (some.lower, some.estimate, some.upper)
        )
    return Interval(
        estimate=found.mean + (middle if point == "median" else 0.0),
        sd=found.sd,
        lower=found.mean + lower,
        upper=found.mean + upper,
    )
