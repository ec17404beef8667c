"""What a family is: the distribution of a response given its linear predictors.

The first linear predictor, eta, is that of the mean: mu = g^-1(eta). The family's own parameters
follow it, each with a linear predictor on its own link: log sigma, log phi, logit zi. A subclass
has the arithmetic of one distribution, always in the same order: support, location and scale of
the response, mean, variance, draws, distribution function, PyMC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.random import Generator

from hiermodels.distributions import Prior

from .links import LINKS, symbolic_inverse
from .supports import Observed

__all__ = ["Family", "Meaning", "Parameter", "odds_meaning"]

type Array = np.ndarray
#: The family's own parameters by name, on their natural scale; each fits mu by broadcasting.
type Auxiliary = Mapping[str, Array]
#: A symbolic array of PyTensor, and a distribution of PyMC.
type Tensor = Any

#: The link of thresholds: the first, and the logarithms of the steps to the next.
ORDERED = "ordered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a linear predictor is of, in words. Made by `Family.meaning`, read by `sentences`.

    ``quantity`` is a noun without its article, "odds of y". If it ``multiplies``, one more of the
    linear predictor is exp(1) times it, and ``ratio`` is what the quotient of two is called, ``""``
    where it has no name; else one more of the one is one more of the other. ``where`` says of which
    rows the quantity is, where it is not of all.
    """

    quantity: str
    multiplies: bool = False
    ratio: str = ""
    where: str = ""


#: Links whose scale has a name of its own.
LINK_NAMES = {"cloglog": "complementary log-log"}


def link_meaning(link: str, mean: str, **exact: Meaning) -> Meaning:
    """The mean itself, what ``exact`` says of the link, or the mean on the link's scale."""
    if link == "identity":
        return Meaning(quantity=mean)
    return exact.get(link) or Meaning(quantity=f"{LINK_NAMES.get(link, link)} of {mean}")


def odds_meaning(link: str, event: str) -> Meaning:
    """Odds of an event on a logit link, else its probability on the link's scale."""
    odds = Meaning(quantity=f"odds of {event}", multiplies=True, ratio="odds ratio")
    return link_meaning(link, f"the probability of {event}", logit=odds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A family's own parameter: a linear predictor on ``link``, constant unless it has a formula.

    ``name`` is that in the posterior. The link ``"ordered"`` is that of increasing thresholds.
    ``role`` says which formula reaches it: ``"dispersion"``, ``"zi"``, or ``"other"`` for none.
    ``prior`` makes the default from the scale of the response; ``location`` the middle of that
    prior on the link, for the intercept of a formula. ``quantity`` is what a reader calls it, of a
    response ``{y}``; of a probability the event.
    """

    name: str
    link: str
    role: str
    prior: Callable[[float], Prior]
    location: Callable[[float], float]
    quantity: str

    def meaning(self, y: str) -> Meaning:
        """What its linear predictor is of, of the response called ``y``."""
        event = self.quantity.format(y=y)
        if self.link == "logit":
            return Meaning(quantity=f"odds of {event}", multiplies=True, ratio="odds ratio")
        return Meaning(quantity=event, multiplies=True)

    def default(self, scale: float) -> Prior:
        """The prior of the parameter itself, where it has no formula."""
        return self.prior(scale)

    def inverse(self, predictor: Array) -> Array:
        """The parameter from its linear predictor; of thresholds over the last axis."""
        if self.link != ORDERED:
            return LINKS[self.link].inverse(predictor)
        steps = np.concatenate([predictor[..., :1], np.exp(predictor[..., 1:])], axis=-1)
        return np.cumsum(steps, axis=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A distribution of the response. An entry of `FAMILIES`, read by every later stage.

    ``links`` are those it can have, ``link`` the one it has; ``parameters`` its own, in the order
    of their linear predictors; ``residual`` the one that is the residual sd. ``trials`` says that
    the response is a count of successes, ``discrete`` that it is a whole number. ``categories``
    says that it is one of ordered labels; it has thresholds instead of an intercept then, and
    ``scores`` are the numbers that the labels are, None where they are words.

    Of the methods, ``mu`` is g^-1(eta), of any shape, and the parameters in ``aux`` fit it by
    broadcasting; of the thresholds of an ordinal response the last axis is the thresholds'.
    """

    name: str
    link: str
    links: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    residual: str | None = None
    trials: bool = False
    discrete: bool = False
    categories: bool = False
    scores: tuple[float, ...] | None = None

    def with_link(self, link: str) -> Self:
        """The same family with another of its links."""
        return replace(self, link=link)

    @property
    def has_mean(self) -> bool:
        """Whether E[y] is a number for a reader: not that of categories that are words."""
        return not self.categories or self.scores is not None

    def on_scale(self, y: Array) -> Array:
        """Responses as the family numbers them, in the numbers that its moments are of."""
        return np.asarray(y, dtype=float)

    @property
    def auxiliary(self) -> tuple[str, ...]:
        """The names of the family's own parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    def with_role(self, role: str) -> Parameter | None:
        """The parameter that a formula of this role reaches."""
        return next((p for p in self.parameters if p.role == role), None)

    def inverse_link(self, eta: Array) -> Array:
        """mu = g^-1(eta)."""
        return LINKS[self.link].inverse(eta)

    def symbolic_mean(self, eta: Tensor) -> Tensor:
        """mu = g^-1(eta) in PyTensor."""
        return symbolic_inverse(self.link, eta)

    def meaning(self, y: str, *, exposure: bool = False) -> Meaning:
        """What the linear predictor of the mean is of, of the response, or success, called ``y``.

        ``exposure`` says that the model has an offset.
        """
        return link_meaning(
            self.link,
            f"mean {y}",
            log=Meaning(quantity=f"mean {y}", multiplies=True, ratio="ratio of means"),
            logit=Meaning(quantity=f"ratio of mean {y} to 1 − mean {y}", multiplies=True),
        )

    def check_response(self, observed: Observed) -> None:
        """Nothing, or a `DataError` that names the rows outside the support and the remedy."""
        raise NotImplementedError

    def location_scale(
        self, y: Array, offset: Array, trials: Array | None = None
    ) -> tuple[float, float]:
        """m and s of the default priors, on the scale of the link, with the offset taken out."""
        raise NotImplementedError

    def mean(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        """E[y], of all of the distribution: with its zeros, and of all trials."""
        raise NotImplementedError

    def variance(self, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        """Var[y]."""
        raise NotImplementedError

    def draw(self, rng: Generator, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        """One response for each mu."""
        raise NotImplementedError

    def cdf(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        """P(Y <= y)."""
        raise NotImplementedError

    def below(self, y: Array, mu: Array, aux: Auxiliary, trials: Array | None = None) -> Array:
        """P(Y < y), for randomised quantile residuals: the cdf, less what y itself has."""
        return self.cdf(y - 1, mu, aux, trials) if self.discrete else self.cdf(y, mu, aux, trials)

    def pymc(self, eta: Tensor, aux: Mapping[str, Tensor], trials: Array | None = None) -> Tensor:
        """The distribution in PyMC, unnamed: ``pm.Normal.dist(...)``."""
        raise NotImplementedError
