"""Families with moments and draws written out here, and made-up fits of them.

They stand for those of the package where a report is tested by itself: the formulas are from the
textbooks of the distributions, not from the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, make_dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from made_up import made_up_fit
from scipy.special import expit, ndtr

from hiermodels.numbers.draws import Draws
from hiermodels.results import Fit


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """As much of a family as the variance report asks for."""

    name: str
    link: str
    mean: Callable[..., Any]
    variance: Callable[..., Any]
    draw: Callable[..., Any]
    trials: bool = False
    residual: str | None = None
    auxiliary: tuple[str, ...] = ()
    has_mean: bool = True
    scores: tuple[float, ...] | None = None

    @property
    def parameters(self):
        """As much of a parameter as is asked for: zi on the logit, the others on the log."""
        return [
            SimpleNamespace(name=name, inverse=expit if name == "zi" else np.exp)
            for name in self.auxiliary
        ]

    def inverse_link(self, eta):
        return INVERSE[self.link](eta)

    def on_scale(self, y):
        return y


INVERSE = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logit": expit,
    "probit": ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}


def first(mu, aux, trials):
    return mu


FAMILIES = {
    f.name: f
    for f in (
        StandIn(
            name="poisson",
            link="log",
            mean=first,
            variance=lambda mu, aux, trials: mu,
            draw=lambda rng, mu, aux, trials: rng.poisson(mu),
        ),
        StandIn(
            name="negbinomial",
            link="log",
            mean=first,
            variance=lambda mu, aux, trials: mu + mu**2 / aux["alpha"],
            draw=lambda rng, mu, aux, trials: rng.poisson(
                rng.gamma(aux["alpha"], mu / aux["alpha"])
            ),
            auxiliary=("alpha",),
        ),
        StandIn(
            name="zi_poisson",
            link="log",
            mean=lambda mu, aux, trials: (1 - aux["zi"]) * mu,
            variance=lambda mu, aux, trials: (1 - aux["zi"]) * mu * (1 + aux["zi"] * mu),
            draw=lambda rng, mu, aux, trials: np.where(
                rng.uniform(size=mu.shape) < aux["zi"], 0, rng.poisson(mu)
            ),
            auxiliary=("zi",),
        ),
        StandIn(
            name="gamma",
            link="log",
            mean=first,
            variance=lambda mu, aux, trials: mu**2 / aux["alpha"],
            draw=lambda rng, mu, aux, trials: rng.gamma(aux["alpha"], mu / aux["alpha"]),
            auxiliary=("alpha",),
        ),
        StandIn(
            name="bernoulli",
            link="logit",
            mean=first,
            variance=lambda mu, aux, trials: mu * (1 - mu),
            draw=lambda rng, mu, aux, trials: rng.binomial(1, mu),
        ),
        StandIn(
            name="binomial",
            link="logit",
            mean=lambda mu, aux, trials: trials * mu,
            variance=lambda mu, aux, trials: trials * mu * (1 - mu),
            draw=lambda rng, mu, aux, trials: rng.binomial(np.asarray(trials, dtype=int), mu),
            trials=True,
        ),
        StandIn(
            name="beta",
            link="logit",
            mean=first,
            variance=lambda mu, aux, trials: mu * (1 - mu) / (1 + aux["phi"]),
            draw=lambda rng, mu, aux, trials: rng.beta(mu * aux["phi"], (1 - mu) * aux["phi"]),
            auxiliary=("phi",),
        ),
        StandIn(
            name="lognormal",
            link="identity",
            mean=lambda mu, aux, trials: np.exp(mu + aux["sigma"] ** 2 / 2),
            variance=lambda mu, aux, trials: (
                np.expm1(aux["sigma"] ** 2) * np.exp(2 * mu + aux["sigma"] ** 2)
            ),
            draw=lambda rng, mu, aux, trials: rng.lognormal(mu, aux["sigma"]),
            auxiliary=("sigma",),
            residual="sigma",
        ),
    )
}


def extended(value: Any, **more: Any) -> Any:
    """The value with these fields, also where its class does not have them yet."""
    have = {f.name: getattr(value, f.name) for f in fields(value)}
    names = {f.name for f in fields(value)}
    if set(more) <= names:
        return replace(value, **more)
    kind = type(value)

    def without_effects(self, keep):
        cut = {f.name: getattr(self, f.name) for f in fields(kind)}
        plain = kind.without_effects(kind(**cut), keep)
        return extended(
            plain,
            auxiliary={k: v[keep] for k, v in getattr(self, "auxiliary", {}).items()},
            extras={k: v.without_effects(keep) for k, v in getattr(self, "extras", {}).items()},
        )

    new = [(name, object) for name in more if name not in names]
    body = {"without_effects": without_effects} if kind is Draws else {}
    made = make_dataclass("Extended", new, bases=(kind,), namespace=body, frozen=True, kw_only=True)
    return made(**{**have, **more})


def with_auxiliary(draws: Draws, auxiliary: dict[str, np.ndarray]) -> Draws:
    return extended(draws, auxiliary=auxiliary)


def with_formula(fit: Fit, parameter: str, other: Fit) -> Fit:
    """The fit with a parameter whose linear predictor is that of another fit's mean."""
    design = extended(fit.design, extras={parameter: other.design})
    left = {k: v for k, v in getattr(fit.draws, "auxiliary", {}).items() if k != parameter}
    draws = extended(fit.draws, auxiliary=left, extras={parameter: other.draws})
    new = Fit(design=design, priors=fit.priors, idata=fit.idata)
    new.__dict__["draws"] = draws
    return new


def fit_of(
    family: str,
    formula: str,
    data: pd.DataFrame | None = None,
    *,
    link: str | None = None,
    sd: dict[str, Any] | None = None,
    auxiliary: dict[str, float] | None = None,
    intercept: float = 0.5,
    trials: np.ndarray | None = None,
    spread: float = 0.0,
) -> Fit:
    """A fit whose draws are all near the given values; with ``spread`` they differ."""
    gaussian = made_up_fit(formula, data)
    chosen = FAMILIES[family]
    chosen = replace(chosen, link=link) if link else chosen
    design = replace(gaussian.design, family=chosen)
    if trials is not None:
        design = extended(design, trials=trials)
    n, rng = gaussian.draws.n, np.random.default_rng(3)
    own = {k: v * np.exp(spread * rng.normal(size=n)) for k, v in (auxiliary or {}).items()}
    wanted = {k: np.broadcast_to(v, gaussian.draws.sd[k].shape) for k, v in (sd or {}).items()}
    wanted = {k: v * np.exp(spread * rng.normal(size=v.shape)) for k, v in wanted.items()}
    ratio = {k: wanted.get(k, v) / v for k, v in gaussian.draws.sd.items()}
    draws = replace(
        gaussian.draws,
        intercept=intercept + spread * rng.normal(size=n),
        sd={k: wanted.get(k, v) for k, v in gaussian.draws.sd.items()},
        effects={k: v * ratio[k][:, None, :] for k, v in gaussian.draws.effects.items()},
        residual=own.get("sigma"),
    )
    fit = Fit(design=design, priors=gaussian.priors, idata=gaussian.idata)
    fit.__dict__["draws"] = with_auxiliary(draws, own)
    return fit
