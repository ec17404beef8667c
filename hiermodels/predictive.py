"""The linear predictor and a family's own parameters into its response, per draw.

    mu = g^-1(eta),    E[y], Var[y], draws of y, P(Y <= y), log p(y)  given  mu and the parameters

The one place that asks a family for anything of its response. Arrays are (S, R): draws, rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, ndtr

from hiermodels.design import Design
from hiermodels.draws import Draws
from hiermodels.errors import NotAvailableError, lookup
from hiermodels.families import Family

__all__ = ["INVERSE_LINKS", "Given", "cdf", "draw", "given", "log_density", "mean", "variance"]

type Array = np.ndarray


def inverse_cloglog(eta: Array) -> Array:
    return -np.expm1(-np.exp(eta))


#: mu of eta.
INVERSE_LINKS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logit": expit,
    "probit": ndtr,
    "cloglog": inverse_cloglog,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a response depends on beside eta. Made by `given`, read by the functions below.

    ``parameters`` by name, each (S, 1) or (S, R), on their natural scale; ``trials`` (R,) or None.
    """

    family: Family
    parameters: dict[str, Array]
    trials: Array | None = None

    def part(self, at: slice) -> Given:
        """Of some of the rows."""
        return Given(
            family=self.family,
            parameters={k: v[:, at] if v.shape[1] > 1 else v for k, v in self.parameters.items()},
            trials=None if self.trials is None else self.trials[at],
        )

    def draws(self, which: Any) -> Given:
        """Of some of the draws."""
        return Given(
            family=self.family,
            parameters={k: v[which] if v.shape[0] > 1 else v for k, v in self.parameters.items()},
            trials=self.trials,
        )


def given(design: Design, draws: Draws, *, new_rows: bool = False) -> Given:
    """The family's own parameters in each draw, for the rows of the design or for new ones.

    Raises
    ------
    NotAvailableError
        New rows of a model with known standard errors: nothing says what theirs are.
    """
    if design.se is None:
        found = {} if draws.residual is None else {"sigma": draws.residual[:, None]}
        return Given(family=design.family, parameters=found)
    if new_rows:
        raise NotAvailableError(
            "a new response needs its standard error, which newdata cannot give; "
            "kind='mean' is what can be predicted"
        )
    return Given(family=design.family, parameters={"sigma": design.se[None, :]})


def mu_of(family: Family, eta: Array) -> Array:
    return lookup(family.link, INVERSE_LINKS, what="link")(eta)


def mean(eta: Array, of: Given) -> Array:
    """E[y]."""
    return np.broadcast_to(mu_of(of.family, eta), eta.shape)


def variance(eta: Array, of: Given) -> Array:
    """Var[y]."""
    return np.broadcast_to(of.parameters["sigma"] ** 2, eta.shape)


def draw(rng: np.random.Generator, eta: Array, of: Given) -> Array:
    """One response for each draw and row."""
    return mu_of(of.family, eta) + of.parameters["sigma"] * rng.standard_normal(eta.shape)


def cdf(y: Array, eta: Array, of: Given) -> tuple[Array, Array]:
    """P(Y < y) and P(Y <= y), which differ where y has a probability of its own."""
    below = ndtr((y - mu_of(of.family, eta)) / of.parameters["sigma"])
    return below, below


def log_density(y: Array, eta: Array, of: Given) -> Array:
    """log p(y), with all constants."""
    sigma = of.parameters["sigma"]
    return -0.5 * (((y - eta) / sigma) ** 2 + np.log(2 * np.pi)) - np.log(sigma)
