"""Design and priors into a PyMC model, non-centred. The one place with PyMC distributions.

    b_gj = diag(sd_g) L_g z_gj,    z_gj ~ Normal(0, I),    L_g L_g' = cor_g

sampling z keeps NUTS out of the funnel (Betancourt & Girolami 2013, arXiv 1312.0906). ``cor_g`` has
an LKJ prior through its canonical partial correlations, each ``2 Beta - 1`` (Lewandowski, Kurowicka
& Joe 2009, J. Multivar. Anal. 100), so that the parts of a block each have their own; why not
``LKJCholeskyCov``: docs/decisions.md.

Names with ``_std`` are on the standardised scale, those without are what is reported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from hiermodels.design import Block, Design
from hiermodels.posterior import ROW, TERM, coordinates
from hiermodels.priors import ParameterPrior, Prior, Priors

__all__ = ["build_pymc"]

#: A symbolic array of PyTensor.
type Tensor = Any


def build_pymc(design: Design, priors: Priors) -> pm.Model:
    """The model in PyMC, with dims and coords named as the user named them."""
    with pm.Model(coords={ROW: np.arange(design.n), **coordinates(design)}) as model:
        eta = common_part(design, priors)
        for block, sds, cor in zip(design.blocks, priors.sd, priors.cor, strict=True):
            eta = eta + group_part(block, sds, cor)
        likelihood(design, priors, eta)
    return model


def random_variable(
    name: str, priors: tuple[ParameterPrior, ...], dims: str | None = None
) -> Tensor:
    """One vector where all priors are of one distribution, else scalars stacked."""
    inside = [p.inside for p in priors]
    first = inside[0]
    if dims is None:
        return getattr(pm, first.name)(name, **first.parameters)
    if all(p.name == first.name and p.parameters.keys() == first.parameters.keys() for p in inside):
        values = {k: np.array([p.parameters[k] for p in inside]) for k in first.parameters}
        return getattr(pm, first.name)(name, **values, dims=dims)
    each = [getattr(pm, p.name)(f"{name}_{k}", **p.parameters) for k, p in enumerate(inside)]
    return pm.Deterministic(name, pt.stack(each), dims=dims)


def common_part(design: Design, priors: Priors) -> Tensor:
    """offset + Intercept + X beta; the reported intercept is at x = 0."""
    eta = pt.zeros(design.n) if not design.offset.any() else pm.Data("offset", design.offset)
    shift: Any = 0.0
    if design.terms:
        beta = random_variable("beta_std", priors.beta, TERM)
        eta = eta + pm.Data("X", design.common.standardised, dims=(ROW, TERM)) @ beta
        raw = pm.Deterministic("beta", beta / design.common.scale, dims=TERM)
        shift = (raw * design.common.center).sum()
    if priors.intercept is not None:
        intercept = random_variable("Intercept_std", (priors.intercept,))
        eta = eta + intercept
        pm.Deterministic("Intercept", intercept - shift)
    return eta


def group_part(block: Block, sds: tuple[ParameterPrior, ...], cor: ParameterPrior | None) -> Tensor:
    """z_i' b for each row, and the sds, correlations and effects on the user's scale."""
    name, term = block.name, f"{block.name}_term"
    sd = random_variable(f"sd_{name}_std", sds, term)
    z = pm.Normal(f"z_{name}", 0, 1, dims=(name, term))
    factor = sd[:, None] * (
        pt.eye(len(block.terms)) if cor is None else correlation_factor(block, cor.inside)
    )
    b = z @ factor.T if cor is not None else z * sd
    to_raw = block.transform
    raw_factor = to_raw @ factor
    covariance = raw_factor @ raw_factor.T
    raw_sd = pm.Deterministic(f"sd_{name}", pt.sqrt(pt.diagonal(covariance)), dims=term)
    if cor is not None:
        pm.Deterministic(
            f"cor_{name}",
            covariance / (raw_sd[:, None] * raw_sd[None, :]),
            dims=(term, f"{term}_bis"),
        )
    pm.Deterministic(f"b_{name}", b @ to_raw.T, dims=(name, term))
    columns = pm.Data(f"Z_{name}", block.columns.standardised, dims=(ROW, term))
    index = pm.Data(f"level_{name}", block.index, dims=ROW)
    return (columns * b[index]).sum(axis=1)


def correlation_factor(block: Block, prior: Prior) -> Tensor:
    """Cholesky factor of ``cor_g``: LKJ in each part, no correlation between parts."""
    q = len(block.terms)
    rows: list[list[Any]] = [[0.0] * q for _ in range(q)]
    for number, part in enumerate(block.parts):
        suffix = "" if len(block.parts) == 1 else f"_{number}"
        own = partial_correlations(f"cpc_{block.name}{suffix}", len(part), prior.parameters["eta"])
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


def likelihood(design: Design, priors: Priors, eta: Tensor) -> None:
    """y_i ~ Normal(eta_i, sigma), or Normal(eta_i, se_i); a weight multiplies the log-density."""
    sigma: Any = (
        pm.Data("se", design.se, dims=ROW)
        if design.se is not None
        else random_variable("sigma", priors.auxiliary)
    )
    if design.weights is None:
        pm.Normal(design.response_name, eta, sigma, observed=design.response, dims=ROW)
        return
    density = pm.logp(pm.Normal.dist(eta, sigma), design.response)
    pm.Potential(design.response_name, pm.Data("weights", design.weights, dims=ROW) * density)
