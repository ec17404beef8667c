"""From theta to the factor Lambda = diag(sd) L of a level's covariance, and gradients back.

Row i of L comes from canonical partial correlations r_ij = tanh(t_ij), s_ij = sech(t_ij):

    L_ij = r_ij s_i0 ... s_i,j-1  (j < i),      L_ii = s_i0 ... s_i,i-1.

With H = dlogp/dL the chain rule has no division, and so survives correlations of +-1:

    dlogp/dt_ij = s_i0 ... s_i,j-1 s_ij^2 H_ij - r_ij sum_{l>j} L_il H_il.

`Places` says which element of theta is which; independent columns have r = 0 and no element.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compilation import kernel
from .priors import ElementPrior, element_prior, partial_correlation_prior
from .problem import BlockData, GaussianProblem

__all__ = [
    "Places",
    "Theta",
    "add_chain_rule",
    "covariance_factor",
    "describe_theta",
    "sds_and_correlations",
]

ABSENT = -1


class Places(NamedTuple):
    """Places in theta of one factor's log sds (q,) and partial correlations (q, q), ABSENT where
    zero."""

    sd: NDArray[np.int64]
    partial: NDArray[np.int64]


class Theta(NamedTuple):
    """What the elements of theta are: by block log sds, then partial correlations; log sigma."""

    places: tuple[Places, ...]
    log_sigma: int
    priors: tuple[ElementPrior, ...]

    @property
    def size(self) -> int:
        """Number of unconstrained parameters."""
        return len(self.priors)


def describe_theta(problem: GaussianProblem) -> Theta:
    """Lay out theta and its priors."""
    priors: list[ElementPrior] = []
    places = []
    for block, sds, etas in zip(problem.blocks, problem.sd_priors, problem.lkj_eta, strict=True):
        sd = np.arange(len(priors), len(priors) + block.n_columns)
        priors += [element_prior(prior) for prior in sds]
        places.append(Places(sd, _place_partials(block, etas, priors)))
    if problem.sigma_prior is None:
        return Theta(tuple(places), ABSENT, tuple(priors))
    return Theta(tuple(places), len(priors), (*priors, element_prior(problem.sigma_prior)))


def _place_partials(
    block: BlockData, etas: tuple[float, ...], priors: list[ElementPrior]
) -> NDArray[np.int64]:
    partial = np.full((block.n_columns, block.n_columns), ABSENT)
    for part, eta in zip(block.parts, etas, strict=True):
        columns = sorted(part)
        for i, row in enumerate(columns):
            for j, column in enumerate(columns[:i]):
                partial[row, column] = len(priors)
                priors.append(partial_correlation_prior(eta, len(columns), j))
    return partial


def sds_and_correlations(draws: NDArray[np.float64], places: Places) -> tuple[NDArray, NDArray]:
    """Sds (..., q) and correlation matrices (..., q, q) of draws of theta (..., d)."""
    sd = np.exp(draws[..., places.sd])
    q = len(places.sd)
    L = np.zeros((*draws.shape[:-1], q, q))
    for i in range(q):
        rest = np.ones(draws.shape[:-1])
        for j in range(i):
            if places.partial[i, j] != ABSENT:
                t = draws[..., places.partial[i, j]]
                L[..., i, j] = np.tanh(t) * rest
                rest = rest / np.cosh(t)
        L[..., i, i] = rest
    cor = L @ np.swapaxes(L, -1, -2)
    cor[..., range(q), range(q)] = 1.0
    return sd, np.clip(cor, -1.0, 1.0)


@kernel
def covariance_factor(theta, sd_places, partial_places, factor):
    """Write Lambda (q, q), lower triangular."""
    q = len(sd_places)
    for i in range(q):
        rest = np.exp(theta[sd_places[i]])
        for j in range(q):
            factor[i, j] = 0.0
        for j in range(i):
            place = partial_places[i, j]
            if place != ABSENT:
                factor[i, j] = np.tanh(theta[place]) * rest
                rest /= np.cosh(theta[place])
        factor[i, i] = rest


@kernel
def add_chain_rule(theta, sd_places, partial_places, factor, slope, gradient):
    """Add to `gradient` what dlogp/dLambda = `slope` means for theta; returns sum_ij Lambda_ij
    slope_ij."""
    trace = 0.0
    for i in range(len(sd_places)):
        tail = factor[i, i] * slope[i, i]
        for j in range(i - 1, -1, -1):
            place = partial_places[i, j]
            if place != ABSENT:
                product = factor[i, j] * slope[i, j]
                gradient[place] += _ahead(theta, sd_places[i], partial_places[i], j) * slope[i, j]
                gradient[place] -= np.tanh(theta[place]) * tail
                tail += product
        gradient[sd_places[i]] += tail
        trace += tail
    return trace


@kernel
def _ahead(theta, sd_place, partial_row, j):
    """Return sd_i s_i0 ... s_i,j-1 s_ij^2, the derivative of Lambda_ij by t_ij."""
    product = np.exp(theta[sd_place]) / np.cosh(theta[partial_row[j]])
    for k in range(j + 1):
        if partial_row[k] != ABSENT:
            product /= np.cosh(theta[partial_row[k]])
    return product
