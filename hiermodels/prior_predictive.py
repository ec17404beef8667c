"""Draws from the priors, and of the responses and variance shares that they imply, in NumPy.

    eta_i = offset_i + Intercept + x_i' beta + sum_g z_i' b_{g, level(i)},    y_i ~ family

Nothing is compiled, so that priors can be looked at before anything is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from hiermodels.design import Block, Design, Predictor
from hiermodels.distributions import draw_correlation
from hiermodels.merging import rows_of
from hiermodels.names import variable_of
from hiermodels.posterior import ROW, THRESHOLD, label_draws
from hiermodels.priors import ParameterPrior, PredictorPriors, Priors
from hiermodels.seeds import as_seed

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PriorDraws", "draw_priors", "draw_responses", "prior_predictive"]

type Array = np.ndarray

#: The variance of the error of the latent variable that a link stands for.
LATENT = {"logit": np.pi**2 / 3, "probit": 1.0, "cloglog": np.pi**2 / 6}
#: The families that have such a latent variable, and those with a residual on the link scale.
WITH_LATENT = ("bernoulli", "binomial", "ordinal")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorDraws:
    """S draws of all parameters from their priors. Made by `draw_priors`.

    ``values`` has the names and shapes of the posterior variables, (S, ...), on the user's scale.
    ``eta`` (S, rows) is the linear predictor of the mean; ``aux`` the family's own parameters on
    their natural scale, such that they fit ``eta`` by broadcasting.
    """

    values: dict[str, Array]
    eta: Array
    aux: dict[str, Array]


def draw_priors(design: Design, priors: Priors, rng: Generator, *, size: int) -> PriorDraws:
    """Draw every parameter from its prior."""
    values, eta = draw_predictor(design.mean, priors.mean, rng, size=size)
    aux: dict[str, Array] = {}
    if design.se is not None and design.family.residual is not None:
        aux[design.family.residual] = design.se
    for parameter, prior in zip(design.constants, priors.auxiliary, strict=True):
        if parameter.name == THRESHOLD:
            inside = np.sort(prior.inside.draw(rng, (size, design.n_thresholds)), axis=1)
            values[THRESHOLD] = inside + shift(design.mean, values)[:, None]
            aux[THRESHOLD] = inside[:, None, :]
        else:
            values[parameter.name] = prior.inside.draw(rng, size)
            aux[parameter.name] = values[parameter.name][:, None]
    for parameter in design.parameters:
        if parameter.name in design.extras:
            own, predictor = draw_predictor(
                design.extras[parameter.name], priors.extras[parameter.name], rng, size=size
            )
            values |= own
            aux[parameter.name] = parameter.inverse(predictor)
    return PriorDraws(values=values, eta=eta, aux=aux)


def draw_predictor(
    predictor: Predictor, priors: PredictorPriors, rng: Generator, *, size: int
) -> tuple[dict[str, Array], Array]:
    """The coefficients of a linear predictor on the user's scale, and it itself: (S, rows)."""
    prefix, columns = predictor.prefix, predictor.common
    values: dict[str, Array] = {}
    eta = np.tile(predictor.offset, (size, 1))
    if predictor.terms:
        beta = np.column_stack([p.inside.draw(rng, size) for p in priors.beta])
        eta += beta @ columns.standardised.T
        values[f"{prefix}beta"] = beta / columns.scale
    if priors.intercept is not None:
        at_mean = priors.intercept.inside.draw(rng, size)
        eta += at_mean[:, None]
        values[f"{prefix}Intercept"] = at_mean - shift(predictor, values)
    for block, sds, cor in zip(predictor.blocks, priors.sd, priors.cor, strict=True):
        factor = draw_factor(block, sds, cor, rng, size=size)
        z = rng.standard_normal((size, block.n_levels, len(block.terms)))
        effects = z @ factor.transpose(0, 2, 1)
        standard = block.columns.standardised
        for k in range(len(block.terms)):
            eta += effects[:, block.index, k] * standard[:, k]
        values |= raw_values(block, factor, effects, prefix=prefix)
    return values, eta


def shift(predictor: Predictor, values: Mapping[str, Array]) -> Array:
    """sum_k beta_k mean(x_k), what the intercept at zero lacks of the one at the mean: (S,)."""
    if not predictor.terms:
        return np.zeros(1)
    return values[f"{predictor.prefix}beta"] @ predictor.common.center


def draw_factor(
    block: Block,
    sds: tuple[ParameterPrior, ...],
    cor: ParameterPrior | None,
    rng: Generator,
    *,
    size: int,
) -> Array:
    """diag(sd) L of the standardised columns, LKJ in each correlated part: (S, q, q)."""
    sd = np.column_stack([p.inside.draw(rng, size) for p in sds])
    factor = np.tile(np.eye(len(sds)), (size, 1, 1))
    for part in block.parts:
        if len(part) > 1 and cor is not None:
            eta = cor.inside.parameters["eta"]
            own = draw_correlation(rng, len(part), eta=eta, size=size)
            factor[np.ix_(range(size), part, part)] = own
    return sd[:, :, None] * factor


def raw_values(
    block: Block, factor: Array, effects: Array, *, prefix: str = ""
) -> dict[str, Array]:
    """sd_g, cor_g and b_g on the user's scale."""
    raw = block.transform @ factor
    covariance = raw @ raw.transpose(0, 2, 1)
    sd = np.sqrt(np.einsum("sqq->sq", covariance))
    name = block.key
    found = {
        f"{prefix}sd_{name}": sd,
        f"{prefix}b_{name}": effects @ block.transform.T,
    }
    if block.correlated:
        found[f"{prefix}cor_{name}"] = covariance / (sd[:, :, None] * sd[:, None, :])
    return found


def draw_responses(design: Design, drawn: PriorDraws, rng: Generator) -> Array:
    """A response of each row for each draw of the parameters: (S, rows)."""
    family = design.family
    return family.draw(rng, family.inverse_link(drawn.eta), drawn.aux, design.trials)


def prior_predictive(
    design: Design,
    priors: Priors,
    *,
    draws: int = 500,
    random_seed: int | None = None,
    rows: int = 2000,
) -> xr.DataTree:
    """Groups ``prior``, ``prior_predictive``, ``prior_variance`` and ``observed_data``.

    ``prior_variance`` has the variance of each factor on the scale of the link, ``mean_i z_i'
    Sigma_g z_i``, of the common effects and of the residual or latent error, and ``icc``, each
    factor's share of factors and residual; both lack what the family does not have. At most
    ``rows`` rows are drawn, evenly spread over the data.
    """
    import xarray as xr

    rng = np.random.default_rng(as_seed(random_seed))
    some = design
    if design.n > rows:
        some = rows_of(design, np.linspace(0, design.n - 1, rows).astype(int))
    drawn = draw_priors(some, priors, rng, size=draws)
    scale = some.family.on_scale
    y = scale(draw_responses(some, drawn, rng))
    name, labels = variable_of(design.response_name), some.index.to_numpy()
    place = {"chain": [0], "draw": np.arange(draws), ROW: labels}
    return xr.DataTree.from_dict(
        {
            "prior": label_draws(design, {k: v[None] for k, v in drawn.values.items()}),
            "prior_predictive": xr.Dataset({name: (("chain", "draw", ROW), y[None])}, coords=place),
            "prior_variance": implied_variances(some, drawn),
            "observed_data": xr.Dataset({name: (ROW, scale(some.response))}, coords={ROW: labels}),
        }
    )


def implied_variances(design: Design, drawn: PriorDraws) -> xr.Dataset:
    """Variances on the scale of the link by component, and each factor's share."""
    import xarray as xr

    factors = [factor_variance(block, drawn.values) for block in design.blocks]
    residual = residual_variance(design, drawn)
    parts = dict(zip(design.factors, factors, strict=True))
    if design.terms:
        fitted = drawn.values["beta"] @ design.common.values.T
        parts["common effects"] = fitted.var(axis=1)
    if residual is not None:
        parts["residual"] = residual
    size = len(drawn.eta)
    place = {"chain": [0], "draw": np.arange(size)}
    stacked = np.column_stack(list(parts.values())) if parts else np.empty((size, 0))
    found = xr.Dataset(
        {"variance": (("chain", "draw", "component"), stacked[None])},
        coords={**place, "component": list(parts)},
    )
    if residual is None or not factors:
        return found
    shares = np.column_stack(factors)
    icc = shares / (shares.sum(axis=1) + residual)[:, None]
    labelled = xr.DataArray(
        icc[None],
        dims=("chain", "draw", "factor"),
        coords={**place, "factor": list(design.factors)},
    )
    return found.assign(icc=labelled)


def factor_variance(block: Block, values: Mapping[str, Array]) -> Array:
    """mean_i z_i' Sigma_g z_i of each draw: (S,)."""
    z, sd = block.columns.values, values[f"sd_{block.key}"]
    moments = z.T @ z / len(z)
    outer = sd[:, :, None] * sd[:, None, :]
    if block.correlated:
        outer = outer * values[f"cor_{block.key}"]
        return (outer * moments).sum(axis=(1, 2))
    return (outer * np.diag(np.diag(moments))).sum(axis=(1, 2))


def residual_variance(design: Design, drawn: PriorDraws) -> Array | None:
    """Of the residual, or of the latent variable of a link; None where there is neither."""
    family, size = design.family, len(drawn.eta)
    if family.name in WITH_LATENT:
        return np.full(size, LATENT[family.link])
    if family.name not in ("gaussian", "student", "lognormal"):
        return None
    squares = np.square(drawn.aux["sigma"])
    found = np.broadcast_to(np.atleast_2d(squares), (size, np.shape(squares)[-1])).mean(axis=1)
    if family.name != "student":
        return found
    nu = drawn.aux["nu"][:, 0]
    return found * np.divide(nu, nu - 2, out=np.full(size, np.nan), where=nu > 2)
