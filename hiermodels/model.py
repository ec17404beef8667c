"""Design and priors into a PyMC model, non-centred. The one place with PyMC distributions.

    b_gj = diag(sd_g) L_g z_gj,    z_gj ~ Normal(0, I),    L_g L_g' = cor_g

sampling z keeps NUTS out of the funnel (Betancourt & Girolami 2013, arXiv 1312.0906). ``cor_g`` has
an LKJ prior through its canonical partial correlations, each ``2 Beta - 1`` (Lewandowski, Kurowicka
& Joe 2009, J. Multivar. Anal. 100), so that the parts of a block each have their own; why not
``LKJCholeskyCov``: docs/decisions.md.

Where a family's own parameter has a formula, its linear predictor is built as that of the mean,
with the parameter's name before every name. Names with ``_std`` are on the standardised scale,
those without are what is reported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from hiermodels.design import Block, Design, Predictor
from hiermodels.families.links import symbolic_inverse
from hiermodels.names import variable_of
from hiermodels.posterior import CUT, ROW, TERM, THRESHOLD, coordinates
from hiermodels.priors import ParameterPrior, PredictorPriors, Prior, Priors

__all__ = ["build_pymc"]

#: A symbolic array of PyTensor.
type Tensor = Any


def build_pymc(design: Design, priors: Priors) -> pm.Model:
    """The model in PyMC, with dims and coords named as the user named them."""
    with pm.Model(coords={ROW: np.arange(design.n), **coordinates(design)}) as model:
        eta = linear_predictor(design.mean, priors.mean)
        likelihood(model, design, eta, own_parameters(design, priors))
    return model


def random_variable(
    name: str, priors: tuple[ParameterPrior, ...], dims: str | None = None
) -> Tensor:
    """One vector where all priors are of one distribution, else scalars stacked."""
    inside = [p.inside for p in priors]
    first = inside[0]
    if dims is None:
        # a Python float would become a constant of single precision
        return getattr(pm, first.name)(name, **as_float64(first))
    if all(p.name == first.name and p.parameters.keys() == first.parameters.keys() for p in inside):
        values = {k: np.array([p.parameters[k] for p in inside]) for k in first.parameters}
        return getattr(pm, first.name)(name, **values, dims=dims)
    each = [getattr(pm, p.name)(f"{name}_{k}", **as_float64(p)) for k, p in enumerate(inside)]
    return pm.Deterministic(name, pt.stack(each), dims=dims)


def as_float64(prior: Prior) -> dict[str, Any]:
    return {name: np.float64(value) for name, value in prior.parameters.items()}


def linear_predictor(predictor: Predictor, priors: PredictorPriors) -> Tensor:
    """offset + Intercept + X beta + the group effects, for each row."""
    eta = common_part(predictor, priors)
    for block, sds, cor in zip(predictor.blocks, priors.sd, priors.cor, strict=True):
        eta = eta + group_part(block, sds, cor, prefix=predictor.prefix)
    return eta


def common_part(predictor: Predictor, priors: PredictorPriors) -> Tensor:
    """offset + Intercept + X beta; the reported intercept is at x = 0."""
    prefix, columns = predictor.prefix, predictor.common
    eta = pt.zeros(predictor.n)
    if predictor.offset.any():
        eta = pm.Data(f"{prefix}offset", predictor.offset)
    shift: Any = 0.0
    if predictor.terms:
        dims = f"{prefix}{TERM}"
        beta = random_variable(f"{prefix}beta_std", priors.beta, dims)
        eta = eta + pm.Data(f"{prefix}X", columns.standardised, dims=(ROW, dims)) @ beta
        raw = pm.Deterministic(f"{prefix}beta", beta / columns.scale, dims=dims)
        shift = (raw * columns.center).sum()
    if priors.intercept is not None:
        intercept = random_variable(f"{prefix}Intercept_std", (priors.intercept,))
        eta = eta + intercept
        pm.Deterministic(f"{prefix}Intercept", intercept - shift)
    return eta


def group_part(
    block: Block,
    sds: tuple[ParameterPrior, ...],
    cor: ParameterPrior | None,
    *,
    prefix: str = "",
) -> Tensor:
    """z_i' b for each row, and the sds, correlations and effects on the user's scale."""
    name, dim, term = block.key, block.dim, f"{prefix}{block.dim}_term"
    sd = random_variable(f"{prefix}sd_{name}_std", sds, term)
    z = pm.Normal(f"{prefix}z_{name}", 0, 1, dims=(dim, term))
    factor = sd[:, None] * (
        pt.eye(len(block.terms))
        if cor is None
        else correlation_factor(block, cor.inside, prefix=prefix)
    )
    b = z @ factor.T if cor is not None else z * sd
    to_raw = block.transform
    raw_factor = to_raw @ factor
    covariance = raw_factor @ raw_factor.T
    raw_sd = pm.Deterministic(f"{prefix}sd_{name}", pt.sqrt(pt.diagonal(covariance)), dims=term)
    if cor is not None:
        pm.Deterministic(
            f"{prefix}cor_{name}",
            covariance / (raw_sd[:, None] * raw_sd[None, :]),
            dims=(term, f"{term}_bis"),
        )
    pm.Deterministic(f"{prefix}b_{name}", b @ to_raw.T, dims=(dim, term))
    columns = pm.Data(f"{prefix}Z_{name}", block.columns.standardised, dims=(ROW, term))
    index = pm.Data(f"{prefix}level_{name}", block.index, dims=ROW)
    return (columns * b[index]).sum(axis=1)


def correlation_factor(block: Block, prior: Prior, *, prefix: str = "") -> Tensor:
    """Cholesky factor of ``cor_g``: LKJ in each part, no correlation between parts."""
    q = len(block.terms)
    rows: list[list[Any]] = [[0.0] * q for _ in range(q)]
    for number, part in enumerate(block.parts):
        suffix = "" if len(block.parts) == 1 else f"_{number}"
        own = partial_correlations(
            f"{prefix}cpc_{block.key}{suffix}", len(part), prior.parameters["eta"]
        )
        for i, row in enumerate(part):
            left: Any = 1.0  # what the earlier columns leave of the unit length of this row
            for j in range(i):
                rows[row][part[j]] = own[i][j] * left
                left = left * pt.sqrt(1 - own[i][j] ** 2)
            rows[row][row] = left
    return pt.stack(
        [
            pt.stack([pt.as_tensor(float(c) if isinstance(c, float) else c) for c in row])
            for row in rows
        ]
    )


def partial_correlations(name: str, size: int, eta: float) -> list[list[Any]]:
    """Row i, column j < i: the correlation of i and j given the columns before j.

    p_ij = 2 Beta(a, a) - 1 with a = eta + (size - 2 - j) / 2 makes cor ~ LKJ(eta).
    """
    if size < 2:
        return [[]]
    pairs = [(i, j) for i in range(size) for j in range(i)]
    shape = np.array([eta + (size - 2 - j) / 2 for _, j in pairs])
    free = pm.Beta(name, shape, shape)
    at = {pair: k for k, pair in enumerate(pairs)}
    return [[2 * free[at[i, j]] - 1 for j in range(i)] for i in range(size)]


def own_parameters(design: Design, priors: Priors) -> dict[str, Tensor]:
    """The family's own parameters on their natural scale: constants, or one value for each row."""
    found: dict[str, Tensor] = {}
    if design.se is not None and design.family.residual is not None:
        found[design.family.residual] = pm.Data("se", design.se, dims=ROW)
    for parameter, prior in zip(design.constants, priors.auxiliary, strict=True):
        found[parameter.name] = (
            thresholds(design, prior)
            if parameter.name == THRESHOLD
            else random_variable(parameter.name, (prior,))
        )
    for name, own in priors.extras.items():
        predictor = linear_predictor(design.extras[name], own)
        link = next(p.link for p in design.parameters if p.name == name)
        found[name] = symbolic_inverse(link, predictor)
    return found


def thresholds(design: Design, prior: ParameterPrior) -> Tensor:
    """c_0 < c_1 < ...; as an intercept they have their prior at the mean of the columns."""
    inside, k = prior.inside, design.n_thresholds
    inner = getattr(pm, inside.name)(
        f"{THRESHOLD}_std",
        **as_float64(inside),
        dims=CUT,
        transform=pm.distributions.transforms.ordered,
        initval=np.arange(k) - (k - 1) / 2,
    )
    shift = 0.0
    if design.terms:
        beta = pm.modelcontext(None)["beta"]
        shift = (beta * design.common.center).sum()
    pm.Deterministic(THRESHOLD, inner + shift, dims=CUT)
    return inner


def likelihood(model: pm.Model, design: Design, eta: Tensor, aux: dict[str, Tensor]) -> None:
    """The family's distribution of each row; a weight multiplies the log-density."""
    name = variable_of(design.response_name)
    while name in model.named_vars or name in model.coords:
        name += "_"  # a response that is called alpha, or as a factor
    of_rows = design.family.pymc(eta, aux, design.trials)
    if design.weights is None:
        model.register_rv(of_rows, name, observed=design.response, dims=(ROW,))
        return
    density = pm.logp(of_rows, design.response)
    pm.Potential(name, pm.Data("weights", design.weights, dims=ROW) * density)
