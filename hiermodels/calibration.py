"""Simulation-based calibration: is the posterior that comes out the posterior of the model?

Parameters drawn from their priors, a response drawn from the parameters, and a fit: the rank of
each true value among M independent draws of its posterior is uniform on 0, ..., M where the
posterior is right. Uniformity is tested by chi-square on `BINS` equal bins, and the smallest of K
p-values is held against alpha / K.

Source: Talts, Betancourt, Simpson, Vehtari & Gelman 2018, arXiv 1804.06788.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from hiermodels.design import Block, Design
from hiermodels.fitting import Model
from hiermodels.priors import ParameterPrior, Prior

__all__ = ["Calibration", "Truth", "calibrate", "draw_truth", "structures"]

type Array = np.ndarray

BINS = 10
#: Draws of the posterior to which a truth is compared; BINS divides RANKED + 1.
RANKED = 99

#: How to draw from each distribution that a prior can have, by scipy.
SCIPY: dict[str, Callable[..., stats.rv_continuous]] = {
    "Normal": lambda mu, sigma: stats.norm(mu, sigma),
    "StudentT": lambda nu, mu, sigma: stats.t(nu, mu, sigma),
    "Cauchy": lambda alpha, beta: stats.cauchy(alpha, beta),
    "Laplace": lambda mu, b: stats.laplace(mu, b),
    "Logistic": lambda mu, s: stats.logistic(mu, s),
    "Uniform": lambda lower, upper: stats.uniform(lower, upper - lower),
    "TruncatedNormal": lambda mu, sigma, lower=-np.inf, upper=np.inf: stats.truncnorm(
        (lower - mu) / sigma, (upper - mu) / sigma, mu, sigma
    ),
    "HalfNormal": lambda sigma: stats.halfnorm(scale=sigma),
    "HalfStudentT": lambda nu, sigma: (
        stats.foldcauchy(0, scale=sigma) if nu == 1 else FoldedT(nu, sigma)
    ),
    "HalfCauchy": lambda beta: stats.halfcauchy(scale=beta),
    "Exponential": lambda lam: stats.expon(scale=1 / lam),
    "Gamma": lambda alpha, beta: stats.gamma(alpha, scale=1 / beta),
    "InverseGamma": lambda alpha, beta: stats.invgamma(alpha, scale=beta),
    "LogNormal": lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu)),
    "Weibull": lambda alpha, beta: stats.weibull_min(alpha, scale=beta),
    "Beta": lambda alpha, beta: stats.beta(alpha, beta),
}


class FoldedT:
    """|t| with nu degrees of freedom, times sigma."""

    def __init__(self, nu: float, sigma: float) -> None:
        self.full = stats.t(nu, scale=sigma)

    def rvs(self, random_state: np.random.Generator) -> float:
        return abs(float(self.full.rvs(random_state=random_state)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One draw of all parameters from their priors, on the user's scale, and of a response.

    ``values`` has the names and shapes of the posterior variables.
    """

    values: dict[str, Array]
    response: Array


def draw_prior(prior: Prior, rng: np.random.Generator) -> float:
    return float(SCIPY[prior.name](**prior.parameters).rvs(random_state=rng))


def draw_truth(model: Model, rng: np.random.Generator) -> Truth:
    """Parameters from the priors of a Gaussian model, and a response from them."""
    design, priors = model.design, model.priors
    values: dict[str, Array] = {}
    beta = np.array([draw_prior(p.inside, rng) for p in priors.beta])
    eta = design.offset + design.common.standardised @ beta
    raw = beta / design.common.scale
    if priors.intercept is not None:
        at_mean = draw_prior(priors.intercept.inside, rng)
        eta = eta + at_mean
        values["Intercept"] = np.asarray(at_mean - raw @ design.common.center)
    if design.terms:
        values["beta"] = raw
    for block, sds, cor in zip(design.blocks, priors.sd, priors.cor, strict=True):
        factor = draw_factor(block, sds, cor, rng)
        effects = rng.standard_normal((block.n_levels, len(block.terms))) @ factor.T
        eta = eta + (block.columns.standardised * effects[block.index]).sum(axis=1)
        values |= raw_values(block, factor, effects)
    sigma: float | Array
    if design.se is None:
        sigma = draw_prior(priors.auxiliary[0].inside, rng)
        values["sigma"] = np.asarray(sigma)
    else:
        sigma = design.se
    return Truth(values=values, response=rng.normal(eta, sigma))


def draw_factor(
    block: Block,
    sds: tuple[ParameterPrior, ...],
    cor: ParameterPrior | None,
    rng: np.random.Generator,
) -> Array:
    """diag(sd) L: sds from their priors, correlations from LKJ, by numpy's beta."""
    factor = np.eye(len(sds))
    for part in block.parts:
        for i, row in enumerate(part):
            left = 1.0
            for j, column in enumerate(part[:i]):
                assert cor is not None  # only correlated parts have more than one column
                shape = cor.inside.parameters["eta"] + (len(part) - 2 - j) / 2
                partial = 2 * rng.beta(shape, shape) - 1
                factor[row, column] = partial * left
                left *= np.sqrt(1 - partial**2)
            factor[row, row] = left
    return np.array([draw_prior(p.inside, rng) for p in sds])[:, None] * factor


def raw_values(block: Block, factor: Array, effects: Array) -> dict[str, Array]:
    """sd_g, cor_g and b_g on the user's scale."""
    raw = block.transform @ factor
    covariance = raw @ raw.T
    sd = np.sqrt(np.diag(covariance))
    found = {f"sd_{block.name}": sd, f"b_{block.name}": effects @ block.transform.T}
    if block.correlated:
        found[f"cor_{block.name}"] = covariance / np.outer(sd, sd)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Ranks of the truth, (replications, K), by quantity. Made by `calibrate`."""

    quantities: tuple[str, ...]
    ranks: Array

    @property
    def p_values(self) -> Array:
        """Chi-square of each quantity's ranks in `BINS` bins against uniform: (K,)."""
        counts = np.stack(
            [np.bincount(r * BINS // (RANKED + 1), minlength=BINS) for r in self.ranks.T]
        )
        return np.array([stats.chisquare(c).pvalue for c in counts])

    def uniform(self, alpha: float) -> bool:
        """Whether no quantity is off; a right posterior fails with a probability of ``alpha``."""
        return bool(self.p_values.min() >= alpha / len(self.quantities))


def calibrate(
    model: Model,
    *,
    replications: int,
    random_seed: int,
    engine: str = "auto",
    simulate: Callable[[Model, np.random.Generator], Truth] = draw_truth,
) -> Calibration:
    """Ranks of parameters drawn from their priors among the draws of their posteriors.

    The priors of ``model`` must not depend on its response: give each of them. Of the group
    effects the first level is ranked.
    """
    rng = np.random.default_rng(random_seed)
    rows: list[list[int]] = []
    names: list[str] = []
    for number in range(replications):
        truth = simulate(model, rng)
        design = replace(model.design, response=truth.response)
        fit = Model.of(design, model.priors).fit(
            random_seed=number, engine=engine, draws=500, progressbar=False
        )
        posterior = fit.idata["posterior"]
        pairs = list(ranked_quantities(design, truth.values))
        names = [name for name, _, _ in pairs]
        rows.append(
            [
                rank(posterior[variable].transpose("chain", "draw", ...).to_numpy(), at, value)
                for name, (variable, at), value in pairs
            ]
        )
    return Calibration(quantities=tuple(names), ranks=np.array(rows))


def ranked_quantities(
    design: Design, values: dict[str, Array]
) -> Iterator[tuple[str, tuple[str, tuple[int, ...]], float]]:
    """Label, variable and place of every parameter; of b the first level, of cor one half."""
    for name, value in values.items():
        for at in np.ndindex(value.shape):
            if name.startswith("b_") and at[0] > 0:
                continue
            if name.startswith("cor_") and at[0] <= at[1]:
                continue
            yield f"{name}{list(at) if at else ''}", (name, at), float(value[at])


def rank(draws: Array, at: tuple[int, ...], value: float) -> int:
    """How many of `RANKED` evenly spread draws (chains, draws, ...) lie below a value."""
    flat = np.moveaxis(draws, (0, 1), (-2, -1))[at].ravel()
    some = flat[np.linspace(0, len(flat) - 1, RANKED).astype(int)]
    return int((some < value).sum())


def structures() -> dict[str, Model]:
    """Small unbalanced designs with priors that do not depend on the response."""
    import pandas as pd

    rng = np.random.default_rng(2026)
    n = 60
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(2, 3, n),
            "g": rng.choice(8, n, p=rng.dirichlet(np.full(8, 5.0))),
            "h": rng.choice(5, n, p=rng.dirichlet(np.full(5, 5.0))),
        }
    )
    one = {
        "Intercept": Prior("Normal", mu=1, sigma=2),
        "sigma": Prior("HalfNormal", sigma=1),
    }
    slope = {"x": Prior("Normal", mu=0, sigma=0.5)}
    half = Prior("HalfNormal", sigma=1)
    return {
        "(1 | g)": Model("y ~ x + (1 | g)", data, priors=one | slope | {"sd_g": half}),
        "(x | g)": Model(
            "y ~ x + (x | g)",
            data,
            priors=one
            | slope
            | {
                "sd_g[Intercept]": half,
                "sd_g[x]": Prior("HalfStudentT", nu=3, sigma=0.3),
                "cor_g": Prior("LKJ", eta=2),
            },
        ),
        "(1 | g/h)": Model("y ~ 1 + (1 | g/h)", data, priors=one | {"sd_g": half, "sd_g:h": half}),
        "(1 | g) + (x | h)": Model(
            "y ~ x + (1 | g) + (x | h)",
            data,
            priors=one | slope | {"sd_g": half, "sd_h": Prior("Exponential", lam=2)},
        ),
    }
