"""Priors of the common coefficients, where they are not all normal.

A coefficient b is reached from the whole line by a map, PyMC's own:

    LINE      b = t
    ABOVE     b = lower + exp(t)
    BELOW     b = upper - exp(t)
    BETWEEN   b = lower + (upper - lower) / (1 + exp(-t))

and its log density in t is that of b plus log |db/dt|:

    GAUSS     const - ((b - a)/s)^2 / 2                       Normal, TruncatedNormal
    T         const - (nu + 1)/2 log(1 + ((b - a)/s)^2 / nu)  StudentT, Cauchy
    LAPLACE   const - |b - a|/s
    LOGISTIC  const - d - 2 log(1 + exp(-d)),  d = |b - a|/s
    FLAT      const                                           Uniform
    SHARE     const + a log b + c log(1 - b), of t itself     Beta
    POSITIVE  the forms of `priors`, which are densities of t = log b already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, expit, gammaln, log_ndtr

from .compilation import kernel
from .priors import POSITIVE_PRIORS, add_log_prior

__all__ = [
    "COEFFICIENT_PRIORS",
    "CoefficientPrior",
    "CompiledPrior",
    "add_coefficient_prior",
    "compile_prior",
    "from_line",
    "from_line_many",
    "to_line",
]

LINE, ABOVE, BELOW, BETWEEN = range(4)
POSITIVE, GAUSS, T, LAPLACE, LOGISTIC, FLAT, SHARE = range(7)
HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientPrior:
    """The prior of a common coefficient, by its name and parameters in PyMC.

    Anything else with a ``name`` and ``parameters`` in PyMC's order will do as well.
    """

    name: str
    parameters: Mapping[str, float]


class CompiledPrior(NamedTuple):
    """A prior as the kernel reads it; `inner` is the form in `priors` of a POSITIVE one."""

    line: int
    form: int
    inner: int
    constant: float
    a: float = 0.0
    b: float = 1.0
    c: float = 0.0
    lower: float = 0.0
    upper: float = 0.0


def compile_prior(prior: CoefficientPrior) -> CompiledPrior:
    """The kernel's form of a prior.

    Raises ValueError, listing those that there are, for another name, and for parameters outside
    their range.
    """
    if prior.name not in COEFFICIENT_PRIORS:
        raise ValueError(
            f"no prior {prior.name!r} of a coefficient; there are {sorted(COEFFICIENT_PRIORS)}"
        )
    parameters = {name: float(value) for name, value in prior.parameters.items()}
    with np.errstate(all="ignore"):
        compiled = COEFFICIENT_PRIORS[prior.name](parameters)
    if not np.all(np.isfinite(compiled)):
        raise ValueError(f"{prior.name} has no density with {parameters}")
    return compiled


def _normal(given: Mapping[str, float]) -> CompiledPrior:
    return CompiledPrior(
        LINE, GAUSS, 0, -HALF_LOG_2PI - np.log(given["sigma"]), given["mu"], given["sigma"]
    )


def _t(nu: float, mean: float, scale: float) -> CompiledPrior:
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi) - np.log(scale)
    return CompiledPrior(LINE, T, 0, constant, mean, scale, nu)


def _laplace(given: Mapping[str, float]) -> CompiledPrior:
    return CompiledPrior(LINE, LAPLACE, 0, -np.log(2.0 * given["b"]), given["mu"], given["b"])


def _logistic(given: Mapping[str, float]) -> CompiledPrior:
    return CompiledPrior(LINE, LOGISTIC, 0, -np.log(given["s"]), given["mu"], given["s"])


def _uniform(given: Mapping[str, float]) -> CompiledPrior:
    lower, upper = given["lower"], given["upper"]
    return CompiledPrior(BETWEEN, FLAT, 0, -np.log(upper - lower), lower=lower, upper=upper)


def _beta(given: Mapping[str, float]) -> CompiledPrior:
    a, b = given["alpha"], given["beta"]
    return CompiledPrior(BETWEEN, SHARE, 0, -betaln(a, b), a=a, c=b, upper=1.0)


def _truncated_normal(given: Mapping[str, float]) -> CompiledPrior:
    mean, sd = given["mu"], given["sigma"]
    lower, upper = given.get("lower", -np.inf), given.get("upper", np.inf)
    mass = _log_normal_mass((lower - mean) / sd, (upper - mean) / sd)
    line = {(False, False): LINE, (True, False): ABOVE, (False, True): BELOW, (True, True): BETWEEN}
    bounds = {
        "lower": lower if np.isfinite(lower) else 0.0,
        "upper": upper if np.isfinite(upper) else 0.0,
    }
    constant = -HALF_LOG_2PI - np.log(sd) - mass
    return CompiledPrior(
        line[bool(np.isfinite(lower)), bool(np.isfinite(upper))],
        GAUSS,
        0,
        constant,
        mean,
        sd,
        **bounds,
    )


def _log_normal_mass(low: float, high: float) -> float:
    """Log of Phi(high) - Phi(low), in the tail where it loses no digits."""
    if low > 0:
        low, high = -high, -low
    below, above = log_ndtr(low), log_ndtr(high)
    return float(above + np.log1p(-np.exp(below - above)))


def _positive(name: str) -> Callable[[Mapping[str, float]], CompiledPrior]:
    def compiled(given: Mapping[str, float]) -> CompiledPrior:
        first, *rest = (given[each] for each in POSITIVE_PARAMETERS[name])
        prior = POSITIVE_PRIORS[name.lower()](first, rest[0] if rest else 0.0)
        return CompiledPrior(ABOVE, POSITIVE, *prior)

    return compiled


POSITIVE_PARAMETERS = {
    "HalfNormal": ("sigma",),
    "HalfStudentT": ("nu", "sigma"),
    "HalfCauchy": ("beta",),
    "Exponential": ("lam",),
    "Gamma": ("alpha", "beta"),
    "InverseGamma": ("alpha", "beta"),
    "LogNormal": ("mu", "sigma"),
    "Weibull": ("alpha", "beta"),
}

COEFFICIENT_PRIORS: dict[str, Callable[[Mapping[str, float]], CompiledPrior]] = {
    "Normal": _normal,
    "StudentT": lambda given: _t(given["nu"], given["mu"], given["sigma"]),
    "Cauchy": lambda given: _t(1.0, given["alpha"], given["beta"]),
    "Laplace": _laplace,
    "Logistic": _logistic,
    "Uniform": _uniform,
    "Beta": _beta,
    "TruncatedNormal": _truncated_normal,
} | {name: _positive(name) for name in POSITIVE_PARAMETERS}
"""Parameters in PyMC to the kernel's form, by the name in PyMC."""


def to_line(value: float, prior: CompiledPrior) -> float:
    """The t of a coefficient; one outside the support, or at its edge, goes inside."""
    if prior.line == LINE:
        return value
    if prior.line == BETWEEN:
        share = np.clip((value - prior.lower) / (prior.upper - prior.lower), 0.01, 0.99)
        return float(np.log(share) - np.log1p(-share))
    distance = value - prior.lower if prior.line == ABOVE else prior.upper - value
    return float(np.log(distance)) if distance > 0 else 0.0


def from_line_many(prior: CompiledPrior, t: NDArray) -> NDArray[np.float64]:
    """Coefficients of many t."""
    if prior.line == ABOVE:
        return prior.lower + np.exp(t)
    if prior.line == BELOW:
        return prior.upper - np.exp(t)
    if prior.line == BETWEEN:
        return prior.lower + (prior.upper - prior.lower) * expit(t)
    return t


@kernel
def from_line(line, t, lower, upper):
    """The coefficient and its derivative by t."""
    if line == LINE:
        return t, 1.0
    if line == BETWEEN:
        share, other = 1.0 / (1.0 + np.exp(-t)), 1.0 / (1.0 + np.exp(t))
        return lower + (upper - lower) * share, (upper - lower) * share * other
    distance = np.exp(t)
    return (lower + distance, distance) if line == ABOVE else (upper - distance, -distance)


@kernel
def _log_jacobian(line, t, lower, upper):
    """Value and derivative of log |db/dt|."""
    if line == LINE:
        return 0.0, 0.0
    if line == BETWEEN:
        return np.log(upper - lower) - abs(t) - 2.0 * np.log1p(np.exp(-abs(t))), -np.tanh(0.5 * t)
    return t, 1.0


@kernel
def add_coefficient_prior(forms, numbers, t, coefficient, gradient):
    """Log prior of t; its derivative is added to gradient[0].

    `forms` are line, form, inner; `numbers` the other fields of `CompiledPrior`.
    """
    if forms[1] == POSITIVE:
        return add_log_prior(np.full(1, t), forms[2:3], numbers[:4].reshape((1, 4)), gradient[:1])
    if forms[1] == SHARE:
        share, other = 1.0 / (1.0 + np.exp(-t)), 1.0 / (1.0 + np.exp(t))
        gradient[0] += numbers[1] * other - numbers[3] * share
        softplus = np.log1p(np.exp(-abs(t)))
        log_share, log_other = min(t, 0.0) - softplus, min(-t, 0.0) - softplus
        return numbers[0] + numbers[1] * log_share + numbers[3] * log_other
    lower, upper = numbers[4], numbers[5]
    density, by_value = _log_density(forms[1], coefficient, numbers[1], numbers[2], numbers[3])
    log_jacobian, log_slope = _log_jacobian(forms[0], t, lower, upper)
    gradient[0] += by_value * from_line(forms[0], t, lower, upper)[1] + log_slope
    return numbers[0] + density + log_jacobian


@kernel
def _log_density(form, value, a, b, c):
    """Log density of the coefficient but for its constant, and the derivative."""
    deviation = (value - a) / b
    sign = 1.0 if deviation > 0.0 else -1.0
    if form == GAUSS:
        return -0.5 * deviation**2, -deviation / b
    if form == T:
        return -0.5 * (c + 1.0) * np.log1p(deviation**2 / c), -(c + 1.0) * deviation / (
            b * (c + deviation**2)
        )
    if form == LAPLACE:
        return -abs(deviation), -sign / b
    if form == LOGISTIC:
        decay = np.exp(-abs(deviation))
        return -abs(deviation) - 2.0 * np.log1p(decay), -sign * (1.0 - decay) / (b * (1.0 + decay))
    return 0.0, 0.0
