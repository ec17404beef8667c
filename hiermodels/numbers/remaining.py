"""Is there variance left to explain? The sd of each factor beside its prior and a threshold.

For each term of a factor the sd of what it adds to a row whose predictor is one sd from its mean;
the threshold t is by default a tenth of the residual sd, on the scale of the linear predictor. With
p = P(sd < t | y), q = P(sd < t) before the data, and a limit of 0.05,

    yes   p <= 0.05                                       the sd matters
    no    p >= 0.8  and  p (1 - q) / (q (1 - p)) >= 20    it does not, by the data

and neither of fewer than five levels, whose sd rests on its prior. The posterior of an sd keeps a
tail that 95 % below t hardly ever cut off: the Bayes factor says what the data add. How often each
is the verdict: `docs/decisions.md`.

Source: Kass & Raftery 1995, J. Am. Stat. Assoc. 90(430), for a Bayes factor of 20 as strong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hiermodels.design import INTERCEPT, Design
from hiermodels.errors import DataError, NotAvailableError, counted
from hiermodels.nesting import FEW_LEVELS
from hiermodels.numbers.draws import Draws, standard_covariance
from hiermodels.priors import Prior, Priors

if TYPE_CHECKING:
    from scipy.stats import rv_continuous

__all__ = ["Left", "remaining_variance"]

type Array = np.ndarray

#: The default threshold, as a share of the residual sd.
TENTH = 0.1
#: The default limit: of a probability, and the inverse of a Bayes factor.
LIMIT = 0.05
#: How likely an sd below the threshold is at least, where the verdict is no.
PROBABLE = 0.8


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
    def evidence(self) -> float:
        """The Bayes factor of an sd below the threshold, NaN where the prior rules one out.

        Half a draw on each side, for draws are finitely many.
        """
        before = self.prior_p_below
        if not 0 < before < 1:
            return float("nan")
        below, n = float((self.sd < self.threshold).sum()) + 0.5, len(self.sd) + 1
        return below / (n - below) * (1 - before) / before

    def verdict_at(self, limit: float) -> str:
        """``"yes"``, ``"no"`` or ``"undecided"``."""
        if self.levels < FEW_LEVELS:
            return "undecided"
        if self.p_below <= limit:
            return "yes"
        return "no" if self.p_below >= PROBABLE and self.evidence >= 1 / limit else "undecided"

    @property
    def verdict(self) -> str:
        return self.verdict_at(LIMIT)

    @property
    def sentence(self) -> str:
        """What the sd says of what is left to explain."""
        what = "the intercepts" if self.term == INTERCEPT else f"the effects of {self.term}"
        small = f"probability of an sd below {np.median(self.threshold):.2g}: {self.p_below:.2f}"
        before = f"before the data {self.prior_p_below:.2f}"
        differ = f"{what} differ between levels of {self.factor}"
        if self.verdict == "yes":
            return (
                f"{differ[0].upper()}{differ[1:]} ({small}): there is variance for predictors "
                "of the levels to explain."
            )
        if self.verdict == "no":
            return (
                f"{what[0].upper()}{what[1:]} hardly differ between levels of {self.factor} "
                f"({small}, {before}): next to nothing is left for predictors of the levels to "
                "explain."
            )
        who = f"{counted(self.levels, 'level')} of {self.factor}"
        if self.levels < FEW_LEVELS:
            return f"{who} are too few to tell whether {what} differ: their sd rests on its prior."
        return f"{who} do not tell whether {what} differ ({small}, {before})."


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
