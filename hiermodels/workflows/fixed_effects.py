"""The fixed-effect fit that others would make of the same columns, by statsmodels.

    g(E[y_i]) = offset_i + x_i' beta

by maximum likelihood: least squares for the Gaussian (and the log of a lognormal response), else a
generalised linear model. It has no prior, and shares no code with ours. The dispersion alpha of the
negative binomial, variance ``mu + mu^2 / alpha``, is at its maximum, and taken as known by the
standard errors, as in R's ``glm.nb``.

Source: McCullagh & Nelder 1989, Generalized Linear Models; Venables & Ripley 2002, chapter 7.4.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hiermodels.design import Design

__all__ = ["FixedEffects", "estimable", "fixed_effects", "not_in_statsmodels"]

type Array = np.ndarray

#: A standard error of so many units of the link, for an sd of the column, says that there is none.
WIDE = 100.0
#: What of a coefficient may lie in the null space of the columns; between 1/alpha, logarithms.
NONE_OF_IT, INVERSE_ALPHA = 1e-6, (-9.0, 7.0)
#: Below which a column is a combination of others, and a mean is certain after so many steps: each
#: takes a mean without events down by a factor e. Rounds of taking such rows out.
RANK, CLOSE, STEPS, ROUNDS = 1e-9, 1e-4, 12, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedEffects:
    """Maximum-likelihood estimates, NaN where there is none: (p,) each. Made by `fixed_effects`."""

    estimate: Array
    se: Array


def gaussian(sm: Any, link: Any) -> Any:
    return sm.families.Gaussian()


#: Our families, by the constructor of statsmodels' own.
FAMILIES: dict[str, Callable[[Any, Any], Any]] = {
    "gaussian": gaussian,
    "lognormal": gaussian,
    "poisson": lambda sm, link: sm.families.Poisson(),
    "gamma": lambda sm, link: sm.families.Gamma(link),
    "bernoulli": lambda sm, link: sm.families.Binomial(link),
    "binomial": lambda sm, link: sm.families.Binomial(link),
    "negbinomial": lambda sm, link: sm.families.NegativeBinomial(alpha=1.0),
}
COUNTS = ("poisson", "negbinomial")
#: Those whose likelihood can have its maximum at infinity.
CERTAIN = (*COUNTS, "bernoulli", "binomial")
LINKS = {"log": "Log", "logit": "Logit", "probit": "Probit", "cloglog": "CLogLog"}


def not_in_statsmodels(design: Design) -> str:
    """Why there are no figures of statsmodels, or nothing."""
    if design.family.name not in FAMILIES:
        return f"statsmodels has no generalised linear model of family {design.family.name!r}"
    if design.extras:
        return f"statsmodels has no formula of {next(iter(design.extras))}"
    return ""


def fixed_effects(design: Design, columns: Array) -> FixedEffects:
    """The coefficients of these columns, (rows, p), for the response of the design.

    NaN is a coefficient that the columns do not determine, or that the likelihood drives to
    infinity, as that of a level without an event.
    """
    if not columns.shape[1]:
        return FixedEffects(estimate=np.zeros(0), se=np.zeros(0))
    nothing = np.full(columns.shape[1], np.nan)
    with warnings.catch_warnings():
        # separation, and steps on the way there: such a coefficient is reported as missing
        warnings.simplefilter("ignore")
        try:
            used = not_separated(design, columns)
            kept = independent(columns[used])
            found = maximum(design, columns[:, kept], used)
        except (ValueError, np.linalg.LinAlgError):
            return FixedEffects(estimate=nothing, se=nothing)
    estimate, se = nothing.copy(), nothing.copy()
    estimate[kept], se[kept] = found.params, found.bse
    spread = columns.std(axis=0)
    sound = se * np.where(spread > 0, spread, 1.0) < limit(design)
    sound &= np.isfinite(estimate) & (se > 0) & estimable(columns[used])
    return FixedEffects(estimate=np.where(sound, estimate, np.nan), se=np.where(sound, se, np.nan))


def not_separated(design: Design, columns: Array) -> Array:
    """The rows that are left once those that the likelihood predicts with certainty are out.

    A level without an event has its maximum at minus infinity, where its rows have the likelihood
    one and say nothing of the other coefficients. A few steps of scoring tell which they are.
    """
    used = np.ones(design.n, dtype=bool) if design.weights is None else design.weights > 0
    if design.family.name not in CERTAIN:
        return used
    for _ in range(ROUNDS):
        found = maximum(design, columns[:, independent(columns[used])], used, steps=STEPS)
        mean = np.asarray(found.fittedvalues)
        y = np.asarray(found.model.endog)
        certain = (np.abs(y - mean) < CLOSE) & ((mean < CLOSE) | (mean > 1 - CLOSE) & (y == 1))
        if design.family.name in COUNTS:
            certain &= y == 0
        if not certain.any():
            break
        used[np.flatnonzero(used)[certain]] = False
    return used


def independent(columns: Array) -> Array:
    """The positions of as many columns as are independent, in their order."""
    from scipy.linalg import qr

    norms = np.linalg.norm(columns, axis=0)
    triangle, order = qr(columns / np.where(norms > 0, norms, 1.0), mode="r", pivoting=True)
    size = np.abs(np.diag(triangle))
    return np.sort(order[: int((size > RANK).sum())])


def limit(design: Design) -> float:
    """The widest standard error that says something; that of a least-squares fit always does."""
    return np.inf if FAMILIES[design.family.name] is gaussian else WIDE


def maximum(design: Design, columns: Array, used: Array, *, steps: int = 100) -> Any:
    """The fit of statsmodels, after so many steps of scoring at most."""
    import statsmodels.api as sm

    name = design.family.name
    link = getattr(sm.families.links, LINKS[design.family.link])() if name in LINKED else None
    y = np.log(design.response) if name == "lognormal" else design.response
    trials = design.trials if name == "binomial" else None
    given: dict[str, Any] = {"offset": design.offset[used]}
    if design.weights is not None:
        given["freq_weights"] = design.weights[used]
    if trials is not None:
        y = np.divide(y, trials, out=np.zeros(len(y)), where=trials > 0)
        given["var_weights"] = trials[used]
    if design.se is not None:
        given["var_weights"] = 1 / design.se[used] ** 2

    def fitted(family: Any) -> Any:
        model = sm.GLM(y[used], columns[used], family=family, **given)
        return model.fit(scale=1.0 if design.se is not None else None, maxiter=steps)

    if name == "negbinomial":
        return best_dispersion(lambda a: fitted(sm.families.NegativeBinomial(alpha=a)))
    return fitted(FAMILIES[name](sm, link))


#: Families with a choice of link.
LINKED = ("gamma", "bernoulli", "binomial")


def best_dispersion(fitted: Callable[[float], Any]) -> Any:
    """The fit at the 1/alpha of the highest likelihood."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_a: -fitted(float(np.exp(log_a))).llf,
        bounds=INVERSE_ALPHA,
        method="bounded",
        options={"xatol": 1e-4},
    )
    return fitted(float(np.exp(found.x)))


def estimable(columns: Array) -> Array:
    """Which coefficients the columns determine: those without a part in their null space, (p,)."""
    norms = np.linalg.norm(columns, axis=0)
    scaled = columns / np.where(norms > 0, norms, 1.0)
    triangle = np.linalg.qr(scaled, mode="r")
    _, singular, rotation = np.linalg.svd(triangle, full_matrices=True)
    rank = int((singular > RANK * singular.max(initial=1.0)).sum())
    return np.asarray(np.abs(rotation[rank:]).max(axis=0, initial=0.0) < NONE_OF_IT)
