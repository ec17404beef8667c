"""The log-density of the priors at each draw, by parameter: what power-scaling weighs.

    log p(theta) = sum_k log p_k(theta_k)

over the intercept at the mean of the predictors, coefficients, sds, correlations and the family's
own parameters, each on the standardised scale on which it has its prior. Group effects are not
among them: their normal distribution belongs to the model, and is not a prior to be doubted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hiermodels.design import Block, Design, Predictor
from hiermodels.distributions import Prior
from hiermodels.numbers.draws import Draws, standard_covariance
from hiermodels.posterior import THRESHOLD
from hiermodels.priors import ParameterPrior, PredictorPriors, Priors

__all__ = ["log_density", "log_priors"]

type Array = np.ndarray


def log_priors(design: Design, priors: Priors, draws: Draws) -> dict[str, Array]:
    """log p of each parameter at each draw, (S,); a matrix of correlations is one parameter."""
    found: dict[str, Array] = {}
    for name, prior, values in parameter_values(design, priors, draws):
        found[name] = found.get(name, 0.0) + log_density(prior, values)
    return found


def parameter_values(
    design: Design, priors: Priors, draws: Draws
) -> Iterator[tuple[str, Prior, Array]]:
    """Name, prior and standardised draws of every parameter."""
    yield from predictor_values(design.mean, priors.mean, draws)
    for parameter, prior in zip(design.constants, priors.auxiliary, strict=True):
        values = draws.auxiliary[parameter.name]
        if parameter.name == THRESHOLD:
            values = values - shift(design.mean, draws)[:, None]
        yield parameter.name, prior.inside, values
    for name, own in priors.extras.items():
        yield from predictor_values(design.extras[name], own, draws.extras[name])


def predictor_values(
    predictor: Predictor, priors: PredictorPriors, draws: Draws
) -> Iterator[tuple[str, Prior, Array]]:
    """Those of one linear predictor."""
    prefix = predictor.prefix
    if priors.intercept is not None:
        at_mean = draws.intercept + shift(predictor, draws)
        yield f"{prefix}Intercept", priors.intercept.inside, at_mean
    for k, one in enumerate(priors.beta):
        yield one.parameter, one.inside, draws.beta[:, k] * predictor.common.scale[k]
    for block, sds, cor in zip(predictor.blocks, priors.sd, priors.cor, strict=True):
        yield from block_values(block, sds, cor, draws)


def shift(predictor: Predictor, draws: Draws) -> Array:
    """What an intercept at zero lacks of the one at the mean of the predictors, (S,)."""
    return np.asarray(draws.beta @ predictor.common.center)


def block_values(
    block: Block, sds: tuple[ParameterPrior, ...], cor: ParameterPrior | None, draws: Draws
) -> Iterator[tuple[str, Prior, Array]]:
    """Sds of the standardised columns, and the correlations of each part."""
    covariance = standard_covariance(draws, block)
    sd = np.sqrt(np.einsum("sqq->sq", covariance))
    for k, one in enumerate(sds):
        yield one.parameter, one.inside, sd[:, k]
    if cor is None:
        return
    safe = np.where(sd > 0, sd, 1.0)
    matrix = covariance / (safe[:, :, None] * safe[:, None, :])
    for part in block.parts:
        if len(part) > 1:
            yield cor.parameter, cor.inside, matrix[:, part][:, :, part]


def log_density(prior: Prior, values: Array) -> Array:
    """log p of values (S,), summed over (S, K); of correlation matrices (S, q, q) up to a constant.

    LKJ: (eta - 1) log det R. Ordered thresholds: up to a constant, too.
    """
    p = prior.parameters
    if prior.name == "LKJ":
        if p["eta"] == 1:
            return np.zeros(len(values))
        _, log_determinant = np.linalg.slogdet(values)
        return np.asarray((p["eta"] - 1) * log_determinant)
    found = np.asarray(distribution_log_density(prior, values))
    return found.sum(axis=1) if found.ndim > 1 else found


def distribution_log_density(prior: Prior, x: Array) -> Array:
    """By scipy, in the parameters of PyMC."""
    from scipy import stats  # slow to import

    p = prior.parameters
    match prior.name:
        case "Normal":
            return stats.norm.logpdf(x, p["mu"], p["sigma"])
        case "StudentT":
            return stats.t.logpdf(x, p["nu"], p["mu"], p["sigma"])
        case "Cauchy":
            return stats.cauchy.logpdf(x, p["alpha"], p["beta"])
        case "Laplace":
            return stats.laplace.logpdf(x, p["mu"], p["b"])
        case "Logistic":
            return stats.logistic.logpdf(x, p["mu"], p["s"])
        case "Uniform":
            return stats.uniform.logpdf(x, p["lower"], p["upper"] - p["lower"])
        case "TruncatedNormal":
            ends = [p.get("lower", -np.inf), p.get("upper", np.inf)]
            a, b = ((end - p["mu"]) / p["sigma"] for end in ends)
            return stats.truncnorm.logpdf(x, a, b, p["mu"], p["sigma"])
        case "HalfNormal":
            return stats.halfnorm.logpdf(x, scale=p["sigma"])
        case "HalfStudentT":
            return np.log(2) + stats.t.logpdf(x, p["nu"], scale=p["sigma"])
        case "HalfCauchy":
            return stats.halfcauchy.logpdf(x, scale=p["beta"])
        case "Exponential":
            return stats.expon.logpdf(x, scale=1 / p["lam"])
        case "Gamma":
            return stats.gamma.logpdf(x, p["alpha"], scale=1 / p["beta"])
        case "InverseGamma":
            return stats.invgamma.logpdf(x, p["alpha"], scale=p["beta"])
        case "LogNormal":
            return stats.lognorm.logpdf(x, p["sigma"], scale=np.exp(p["mu"]))
        case "Weibull":
            return stats.weibull_min.logpdf(x, p["alpha"], scale=p["beta"])
        case _:
            return stats.beta.logpdf(x, p["alpha"], p["beta"])
