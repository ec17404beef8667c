"""Variance components, per draw, so that every share of them has an interval.

    V_g = mean_i z_i' Sigma_g z_i        the variance that factor g brings (Johnson 2014)
    V_f = var_i (x_i' beta)              of the common effects
    V_e = sigma^2                        residual
    ICC_g = V_g / (sum V_g + V_e)        CV2 = V / (mean response)^2

Source: Johnson 2014, Methods Ecol. Evol. 5; Nakagawa, Johnson & Schielzeth 2017, J. R. Soc.
Interface 14; Houle 1992, Genetics 130, for CV2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hiermodels.design import INTERCEPT, Block, Design, nesting_chains
from hiermodels.draws import Draws, standard_covariance
from hiermodels.errors import NotAvailableError

__all__ = ["ICC", "Components", "components", "cv2", "intraclass", "mean_is_meaningful"]

type Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The variances of a model. Made by `components`, read by `intraclass`, `cv2` and `tables`.

    ``labels`` are (factor, term); ``groups`` (S, K) their variances; ``residual``, ``common`` and
    ``mean`` (S,) the residual variance, V_f, and the mean response over the rows.
    """

    labels: tuple[tuple[str, str], ...]
    groups: Array
    residual: Array
    common: Array
    mean: Array

    @property
    def total(self) -> Array:
        """Groups and residual, without the common effects."""
        return self.groups.sum(axis=1) + self.residual

    def factor(self, name: str) -> Array:
        """V_g of one factor, all its terms: (S,)."""
        at = [k for k, (factor, _) in enumerate(self.labels) if factor == name]
        return self.groups[:, at].sum(axis=1)


def row_weights(design: Design) -> Array:
    """The share of each row in a mean over rows."""
    weights = np.ones(design.n) if design.weights is None else design.weights
    return weights / weights.sum()


def term_variances(block: Block, draws: Draws, weights: Array) -> Array:
    """V_g split between the terms of a factor: (S, q), with the sum V_g.

    The intercept has the variance where every column is at its mean, a' Sigma a with
    a = mean_i z_i; a slope has V_gk = sum_l Sigma_kl cov(z_k, z_l): its variance times that of its
    column, and half of what it shares with the other slopes, which can be negative. Without an
    intercept mean squares take the place of the covariances.
    """
    z, sigma = block.columns.standardised, standard_covariance(draws, block)
    moments = (z * weights[:, None]).T @ z
    if INTERCEPT not in block.terms:
        return (sigma * moments).sum(axis=2)
    mean = weights @ z
    split = (sigma * (moments - np.outer(mean, mean))).sum(axis=2)
    split[:, block.terms.index(INTERCEPT)] = np.einsum("q,sqr,r->s", mean, sigma, mean)
    return split


def components(design: Design, draws: Draws) -> Components:
    """All variances of a model with a residual, from its draws."""
    weights = row_weights(design)
    groups = [term_variances(b, draws, weights) for b in design.blocks]
    fitted = draws.beta @ (design.common.values - weights @ design.common.values).T
    return Components(
        labels=tuple((b.name, t) for b in design.blocks for t in b.terms),
        groups=np.hstack(groups) if groups else np.zeros((draws.n, 0)),
        residual=residual_variance(design, draws, weights),
        common=(fitted**2) @ weights,
        mean=mean_response(design, draws, weights),
    )


def mean_response(design: Design, draws: Draws, weights: Array) -> Array:
    """The mean over the rows of eta, each draw: (S,).

    Where only some draws have group effects, theirs are repeated: the mean hardly varies, and
    hardly depends on the variances it is compared with.
    """
    full = draws.with_effects
    level = weights @ design.offset + full.beta @ (weights @ design.common.values)
    effects = sum((effect_means(b, full, weights) for b in design.blocks), np.zeros(full.n))
    return np.resize(full.intercept + level + effects, draws.n)


def effect_means(block: Block, draws: Draws, weights: Array) -> Array:
    """mean_i z_i' b_level(i), each draw: (S,)."""
    sums = np.zeros((block.n_levels, len(block.terms)))
    np.add.at(sums, block.index, block.columns.values * weights[:, None])
    return np.einsum("sjq,jq->s", draws.effects[block.name], sums)


def residual_variance(design: Design, draws: Draws, weights: Array) -> Array:
    if draws.residual is not None:
        return draws.residual**2
    if design.se is None:
        raise NotAvailableError("the model has no residual variance")
    return np.full(draws.n, weights @ design.se**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ICC:
    """Intraclass correlations. Made by `intraclass`, read by `tables`.

    ``labels`` say which factors count, ``kinds`` whether alone or cumulative along a nesting;
    ``adjusted`` and ``unadjusted`` are (S, K).
    """

    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    adjusted: Array
    unadjusted: Array


def intraclass(design: Design, draws: Draws) -> ICC:
    """V_g / total for each factor, and for nested factors the sum from the coarsest down.

    The cumulative one is the correlation of two rows that share all those levels: of one patch,
    (V_pop + V_patch) / total. Adjusted for the common effects: V_f is not in the total;
    unadjusted: it is.
    """
    parts = components(design, draws)
    rows = [(name, "single", parts.factor(name)) for name in design.factors]
    for chain in nesting_chains(design):
        for depth in range(2, len(chain) + 1):
            names = [block.name for block in chain[:depth]]
            variance = np.sum([parts.factor(n) for n in names], axis=0)
            rows.append((" + ".join(names), "cumulative", variance))
    variances = np.array([v for *_, v in rows]).reshape(len(rows), draws.n).T
    return ICC(
        labels=tuple(label for label, *_ in rows),
        kinds=tuple(kind for _, kind, _ in rows),
        adjusted=variances / parts.total[:, None],
        unadjusted=variances / (parts.total + parts.common)[:, None],
    )


def mean_is_meaningful(design: Design, parts: Components) -> str:
    """Why a CV2 means nothing here, or nothing: it needs a ratio scale with a mean off zero."""
    if design.response.min() < 0:
        return "the response has negative values, so its zero is not the absence of the quantity"
    if np.abs(parts.mean).min() < 1e-6 * np.abs(parts.mean).max():
        return "the mean response is near zero"
    return ""


def cv2(variance: Array, mean: Array) -> Array:
    """Squared coefficient of variation, variance / mean^2, unchanged when the unit changes."""
    return variance / mean**2
