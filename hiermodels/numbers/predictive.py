"""Linear predictors of a draw into the response that they say: the one place that asks a family.

    mu = g^-1(eta),    E[y], Var[y], draws of y, P(Y <= y), log p(y)  given  mu and the parameters

Linear predictors come by parameter, ``""`` for that of the mean, arrays (S, R) of draws and rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hiermodels.design import Design
from hiermodels.errors import NotAvailableError
from hiermodels.families import LINKS, Family, Parameter
from hiermodels.numbers.draws import Draws

__all__ = [
    "Given",
    "cdf",
    "draw",
    "given",
    "location",
    "log_density",
    "mean",
    "probability",
    "slope",
    "variance",
]

type Array = np.ndarray
#: Linear predictors by the name of the parameter, ``""`` for the mean.
type Predictors = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a response depends on beside linear predictors. Made by `given`.

    ``constants`` are the parameters without a formula, on their natural scale: (S, 1), known
    standard errors (1, R), thresholds (S, 1, K - 1); ``extras`` those that have a linear predictor;
    ``trials`` (R,) or None.
    """

    family: Family
    constants: dict[str, Array]
    extras: tuple[Parameter, ...] = ()
    trials: Array | None = None

    def at(self, rows: Any) -> Given:
        """Of some of the rows."""
        return replace(
            self,
            constants={k: v[:, rows] if v.shape[1] > 1 else v for k, v in self.constants.items()},
            trials=None if self.trials is None else self.trials[rows],
        )

    def parameters(self, etas: Predictors) -> dict[str, Array]:
        """All of the family's own parameters."""
        return self.constants | {p.name: p.inverse(etas[p.name]) for p in self.extras}


def given(design: Design, draws: Draws, *, trials: Array | None, same: bool = True) -> Given:
    """The constants of each draw; ``same`` says that the rows are those of the fit."""
    constants = {
        name: values[:, None] if values.ndim == 1 else values[:, None, :]
        for name, values in draws.auxiliary.items()
    }
    if design.se is not None and same and design.family.residual is not None:
        constants[design.family.residual] = design.se[None, :]
    return Given(
        family=design.family,
        constants=constants,
        extras=tuple(p for p in design.parameters if p.name in design.extras),
        trials=trials,
    )


def check_complete(design: Design, *, same: bool) -> None:
    """A new response of a model with known standard errors would need one."""
    if design.se is not None and not same:
        raise NotAvailableError(
            "a new response needs its standard error, which newdata cannot give; "
            "kind='mean' is what can be predicted"
        )


def mean(etas: Predictors, of: Given) -> Array:
    """E[y]."""
    mu = of.family.inverse_link(etas[""])
    return np.broadcast_to(of.family.mean(mu, of.parameters(etas), of.trials), etas[""].shape)


def location(etas: Predictors, of: Given) -> Array:
    """E[y], or the linear predictor where a mean says nothing to a reader: what is fitted."""
    return mean(etas, of) if of.family.has_mean else etas[""]


def variance(etas: Predictors, of: Given) -> Array:
    """Var[y]."""
    mu = of.family.inverse_link(etas[""])
    return np.broadcast_to(of.family.variance(mu, of.parameters(etas), of.trials), mu.shape)


def probability(etas: Predictors, of: Given, category: int) -> Array:
    """P(y = k) of ordered categories."""
    upto = of.family.cdf(np.array(float(category)), etas[""], of.parameters(etas), None)
    below = of.family.cdf(np.array(category - 1.0), etas[""], of.parameters(etas), None)
    return np.asarray(upto - below)


def draw(rng: np.random.Generator, etas: Predictors, of: Given) -> Array:
    """One response for each draw and row."""
    mu = of.family.inverse_link(etas[""])
    return np.asarray(of.family.draw(rng, mu, of.parameters(etas), of.trials), dtype=float)


def cdf(y: Array, etas: Predictors, of: Given) -> tuple[Array, Array]:
    """P(Y < y) and P(Y <= y), which differ where y has a probability of its own."""
    mu, aux = of.family.inverse_link(etas[""]), of.parameters(etas)
    upto = of.family.cdf(y, mu, aux, of.trials)
    return of.family.below(y, mu, aux, of.trials), upto


def log_density(y: Array, etas: Predictors, of: Given) -> Array:
    """log p(y), with all constants, by the compiled likelihoods; Gaussian ones need none."""
    if of.family.name == "gaussian":
        sigma = of.parameters(etas)["sigma"]
        return -0.5 * (((y - etas[""]) / sigma) ** 2 + np.log(2 * np.pi)) - np.log(sigma)
    return kernel(y, etas, of)[0]


def slope(y: Array, etas: Predictors, of: Given) -> Array:
    """d log p(y) / d eta, of the linear predictor of the mean."""
    if of.family.name == "gaussian":
        return np.asarray((y - etas[""]) / of.parameters(etas)["sigma"] ** 2)
    return kernel(y, etas, of)[1]


def kernel(y: Array, etas: Predictors, of: Given) -> tuple[Array, Array]:
    """log p(y) and its slope by the linear predictor of the mean, by the compiled likelihood."""
    from hiermodels.density.likelihoods import likelihood

    shape = etas[""].shape
    predictors = [np.broadcast_to(v, shape).ravel() for v in (etas[""], *unconstrained(etas, of))]
    # the kernel of ordered categories is told their number, that of its predictors, as trials
    default = float(len(predictors)) if of.family.categories else 1.0
    trials = np.full(shape[1], default) if of.trials is None else of.trials
    value, slopes = likelihood(of.family.name, of.family.link).evaluate(
        np.broadcast_to(y, shape).ravel(),
        np.broadcast_to(trials, shape).ravel(),
        np.stack(predictors),
    )
    return np.asarray(value).reshape(shape), np.asarray(slopes[0]).reshape(shape)


def unconstrained(etas: Predictors, of: Given) -> list[Array]:
    """The family's own parameters on their links, in the family's order."""
    found: list[Array] = []
    for parameter in of.family.parameters:
        if parameter.name in etas:
            found.append(etas[parameter.name])
        elif parameter.link in LINKS:
            found.append(LINKS[parameter.link].link(of.constants[parameter.name]))
        else:
            threshold = of.constants[parameter.name]
            found.append(threshold[..., 0])
            found += [np.log(s) for s in np.moveaxis(np.diff(threshold, axis=-1), -1, 0)]
    return found
