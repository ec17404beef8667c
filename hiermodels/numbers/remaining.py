"""Is there variance left to explain? The sd of each factor beside its prior and a threshold.

For each term of a factor the sd of what it adds to a row whose predictor is one sd from its mean;
the threshold is by default a tenth of the residual sd, on the scale of the linear predictor. Where
the sd is almost surely above it, predictors of the levels have something to explain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hiermodels.design import INTERCEPT, Design
from hiermodels.errors import DataError, NotAvailableError
from hiermodels.numbers.draws import Draws, standard_covariance
from hiermodels.priors import Prior, Priors

if TYPE_CHECKING:
    from scipy.stats import rv_continuous

__all__ = ["Left", "remaining_variance"]

type Array = np.ndarray

#: The default threshold, as a share of the residual sd.
TENTH = 0.1
SURE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One sd: its draws, its prior, and the threshold (S,). Made by `remaining_variance`."""

    factor: str
    term: str
    levels: int
    sd: Array
    prior: Prior
    threshold: Array

    @property
    def p_below(self) -> float:
        return float((self.sd < self.threshold).mean())

    @property
    def prior_p_below(self) -> float:
        """The same before the data, at the median threshold."""
        return float(frozen(self.prior).cdf(np.median(self.threshold)))

    def prior_quantile(self, probability: float) -> float:
        return float(frozen(self.prior).ppf(probability))

    @property
    def verdict(self) -> str:
        if self.p_below >= SURE:
            return "no"
        return "yes" if self.p_below <= 1 - SURE else "undecided"

    @property
    def sentence(self) -> str:
        """What to do about it."""
        what = (
            f"the intercepts of {self.factor}"
            if self.term == INTERCEPT
            else f"the effect of {self.term} between the levels of {self.factor}"
        )
        small = f"(probability of an sd below {np.median(self.threshold):.2g}: {self.p_below:.2f})"
        if self.verdict == "yes":
            return (
                f"There is variance left in {what} {small}: predictors measured on "
                f"{self.factor} are worth collecting."
            )
        if self.verdict == "no":
            return (
                f"Next to no variance is left in {what} {small}: predictors measured on "
                f"{self.factor} would have nothing to explain."
            )
        return (
            f"Whether there is variance left in {what} these {self.levels} levels cannot say "
            f"{small}: more levels would."
        )


def remaining_variance(
    design: Design,
    priors: Priors,
    draws: Draws,
    residual: Array | None,
    *,
    threshold: float | None = None,
) -> tuple[Left, ...]:
    """Each factor and term, in the order of the formula.

    ``threshold`` is an sd on the scale of the linear predictor, None a tenth of the root of the
    variance ``residual`` (S,), beyond the Gaussian the latent one.
    """
    if threshold is not None and not threshold > 0:
        raise DataError(f"threshold={threshold:g}: an sd that is too small to matter is above 0")
    below = np.full(draws.n, np.nan if threshold is None else float(threshold))
    if threshold is None and residual is not None:
        below = TENTH * np.sqrt(residual)
    return tuple(each_term(design, priors, draws, below))


def each_term(design: Design, priors: Priors, draws: Draws, below: Array) -> Iterator[Left]:
    for block, own in zip(design.blocks, priors.sd, strict=True):
        covariance = standard_covariance(draws, block)
        for k, term in enumerate(block.terms):
            yield Left(
                factor=block.name,
                term=term,
                levels=block.n_levels,
                sd=np.sqrt(covariance[:, k, k]),
                prior=own[k].inside,
                threshold=below,
            )


def frozen(prior: Prior) -> rv_continuous:
    """The distribution in scipy, of the positive ones that an sd can have."""
    from scipy import stats  # slow to import

    p = prior.parameters
    match prior.name:
        case "HalfStudentT":
            return Half(stats.t(p["nu"], scale=p["sigma"]))
        case "HalfNormal":
            return stats.halfnorm(scale=p["sigma"])
        case "HalfCauchy":
            return stats.halfcauchy(scale=p["beta"])
        case "Exponential":
            return stats.expon(scale=1 / p["lam"])
        case "Gamma":
            return stats.gamma(p["alpha"], scale=1 / p["beta"])
        case "InverseGamma":
            return stats.invgamma(p["alpha"], scale=p["beta"])
        case "LogNormal":
            return stats.lognorm(p["sigma"], scale=np.exp(p["mu"]))
        case "Weibull":
            return stats.weibull_min(p["alpha"], scale=p["beta"])
        case "Uniform":
            return stats.uniform(p["lower"], p["upper"] - p["lower"])
        case "TruncatedNormal":
            ends = [p.get("lower", -np.inf), p.get("upper", np.inf)]
            a, b = ((e - p["mu"]) / p["sigma"] for e in ends)
            return stats.truncnorm(a, b, p["mu"], p["sigma"])
    raise NotAvailableError(f"{prior!r} is no prior of an sd")


@dataclass(frozen=True, slots=True)
class Half:
    """|X| of a symmetric distribution around zero."""

    whole: rv_continuous

    def cdf(self, x: float) -> float:
        return float(2 * self.whole.cdf(x) - 1)

    def ppf(self, probability: float) -> float:
        return float(self.whole.ppf((1 + probability) / 2))
