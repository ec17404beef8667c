"""Draws into the mean and the variance of a response, given the group effects and averaged over.

At one draw, the linear predictor of row i among all possible groups is normal,

    eta_i ~ Normal(f_i, V_i),     V_i = sum_g z_i' Sigma_g z_i,
    f_i = offset_i + Intercept + x_i' beta

and E[y | eta] = h(eta) has a Hermite expansion in the standardised eta,

    h(f + sqrt(V) u) = sum_k c_k He_k(u) / sqrt(k!)

Two predictors that share the factors of a set A have correlation rho_A = V_A / V, and therefore

    Cov(h(eta), h(eta')) = Var(E[y | b_A]) = sum_{k >= 1} c_k^2 rho_A^k        (Mehler 1866)

which gives the variance that any set of factors brings to a response on a non-linear link, by one
quadrature in one dimension, without simulation. rho <= 1 keeps every share in [0, 1]; what single
factors leave of the whole, sum c_k^2 (1 - sum_g rho_g^k), is not negative: their interaction.

The family is called here and nowhere else in the variance report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hiermodels.design import Design
from hiermodels.draws import Draws
from hiermodels.errors import NotAvailableError

__all__ = [
    "Expected",
    "Points",
    "Shares",
    "expected_response",
    "few_draws",
    "fitted_variances",
    "is_linear",
    "latent_noise",
    "marginal_mean",
    "points_of",
    "residual_variance",
    "response_mean",
    "response_variance",
    "row_weights",
    "shared_variances",
]

type Array = np.ndarray

#: Nodes of the quadrature; exact for polynomials of twice that degree less one.
NODES = 64
#: Rows over which a mean is taken, draws, and both together, for what needs the quadrature.
MAX_ROWS, MAX_DRAWS, WORK = 2000, 1000, 400_000
#: The same for what takes the fitted values alone.
MAX_FITTED, WORK_FITTED = 50_000, 2e7


def is_linear(design: Design) -> bool:
    """Whether the response is the linear predictor and noise, so that there is only one scale."""
    return bool(design.family.link == "identity" and design.family.name in ("gaussian", "student"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Rows at which variances are taken. Made by `points_of`, or from new data.

    ``common`` (n, p), ``offset`` (n,), ``groups`` the columns (n, q) of each factor, ``weights``
    (n,) the share of each in a mean, ``trials`` (n,) or None, ``index`` the row of the design that
    each comes from, or None where there is none.
    """

    common: Array
    offset: Array
    groups: dict[str, Array]
    weights: Array
    trials: Array | None
    index: Array | None

    @property
    def n(self) -> int:
        return len(self.offset)


def row_weights(design: Design) -> Array:
    """The share of each row in a mean over rows."""
    weights = np.ones(design.n) if design.weights is None else design.weights
    return weights / weights.sum()


def trials_of(design: Design) -> Array | None:
    """Trials of each row, of a family that has them."""
    return getattr(design, "trials", None)


def points_of(design: Design, *, at_most: int | None = MAX_ROWS) -> Points:
    """The rows of the data; of more than ``at_most`` an evenly spread sample."""
    index = np.arange(design.n)
    if at_most is not None and design.n > at_most:
        # a random sample with a fixed seed: data are often sorted by group
        index = np.sort(np.random.default_rng(0).choice(design.n, at_most, replace=False))
    weights, trials = row_weights(design)[index], trials_of(design)
    return Points(
        common=design.common.values[index],
        offset=np.asarray(design.offset)[index],
        groups={b.name: b.columns.values[index] for b in design.blocks},
        weights=weights / weights.sum(),
        trials=None if trials is None else trials[index],
        index=index,
    )


def few_draws(draws: Draws, points: Points) -> Draws:
    """As many draws as the work allows, evenly spread."""
    return draws.thinned(int(np.clip(WORK / points.n, 200, MAX_DRAWS)))


def auxiliary(draws: Draws, points: Points, s: int) -> dict[str, Array]:
    """The family's own parameters at one draw: numbers, or one for each of the points."""
    found = {}
    for name, values in getattr(draws, "auxiliary", {}).items():
        at_draw = np.asarray(values[s])
        by_row = at_draw.ndim == 1 and name != "threshold" and points.index is not None
        found[name] = at_draw[points.index] if by_row else at_draw
    return found


def response_mean(
    design: Design, eta: Array, aux: Mapping[str, Array], *, trials: Array | None = None
) -> Array:
    """E[y | eta]; of trials the expected share of successes."""
    if is_linear(design):
        return eta
    family: Any = design.family
    found = family.mean(family.inverse_link(eta), aux, trials)
    return np.asarray(found if trials is None else found / trials)


def response_variance(
    design: Design, eta: Array, aux: Mapping[str, Array], *, trials: Array | None = None
) -> Array:
    """Var(y | eta); of trials that of the share of successes."""
    family: Any = design.family
    found = family.variance(family.inverse_link(eta), aux, trials)
    return np.asarray(found if trials is None else found / trials**2)


def residual_variance(design: Design, draws: Draws) -> Array:
    """Of a linear model, or of the logarithm of a log-normal response: (S,)."""
    if draws.residual is None and design.se is not None:
        return np.full(draws.n, row_weights(design) @ design.se**2)
    if draws.residual is None:
        raise NotAvailableError(f"the {design.family.name} family has no residual variance")
    variance = draws.residual**2
    if design.family.name == "student":
        nu = np.asarray(getattr(draws, "auxiliary")["nu"])  # noqa: B009
        variance = variance * np.where(nu > 2, nu / np.maximum(nu - 2, 1e-12), np.inf)
    return np.asarray(variance)


def columns(aux: Mapping[str, Array]) -> dict[str, Array]:
    """Values of rows as columns, so that they meet a matrix of rows and nodes."""
    return {
        name: v[:, None] if v.ndim == 1 and name != "threshold" else v for name, v in aux.items()
    }


@cache
def quadrature() -> tuple[Array, Array]:
    """Nodes of a standard normal (M,), and the weighted normalised polynomials (M, M).

    ``h(nodes) @ polynomials`` are the coefficients c_0, c_1, ... of h. With all M of them the sum
    of squares is that of h at the nodes, so nothing is cut off.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    basis = np.empty((NODES, NODES))
    basis[0], basis[1] = 1.0, nodes
    for k in range(2, NODES):
        basis[k] = (nodes * basis[k - 1] - np.sqrt(k - 1) * basis[k - 2]) / np.sqrt(k)
    return nodes, (basis * weights).T


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """At one draw: ``coefficients`` (n, M) of h, ``noise`` (n,) E[Var(y | eta)], ``spread`` (n,) V,
    ``of`` (n,) the part of V of each factor."""

    coefficients: Array
    noise: Array
    spread: Array
    of: dict[str, Array]

    @property
    def mean(self) -> Array:
        """E[y_i], averaged over the group effects: (n,)."""
        return self.coefficients[:, 0]

    def shared(self, factors: Sequence[str]) -> Array:
        """Var(E[y | b_A]) of a set of factors: (n,)."""
        part = np.sum([self.of[f] for f in factors], axis=0)
        rho = np.divide(part, self.spread, out=np.zeros_like(part), where=self.spread > 0)
        power = np.minimum(rho, 1.0)[:, None] ** np.arange(1, NODES)
        return np.einsum("nk,nk->n", self.coefficients[:, 1:] ** 2, power)


def expected_response(design: Design, draws: Draws, points: Points) -> Iterator[Expected]:
    """Draw by draw, the expansion of the mean response over the group effects."""
    nodes, polynomials = quadrature()
    sigma = {b.name: draws.covariance(b.name) for b in design.blocks}
    trials = None if points.trials is None else points.trials[:, None]
    for s in range(draws.n):
        f = points.offset + draws.intercept[s] + points.common @ draws.beta[s]
        of = {
            g: np.maximum(np.einsum("nq,qr,nr->n", z, sigma[g][s], z, optimize=True), 0.0)
            for g, z in points.groups.items()
        }
        spread = np.sum(list(of.values()), axis=0) if of else np.zeros(points.n)
        eta = f[:, None] + np.sqrt(spread)[:, None] * nodes
        aux = columns(auxiliary(draws, points, s))
        mean = response_mean(design, eta, aux, trials=trials)
        noise = response_variance(design, eta, aux, trials=trials)
        yield Expected(
            coefficients=np.broadcast_to(mean, eta.shape) @ polynomials,
            noise=np.broadcast_to(noise, eta.shape) @ polynomials[:, 0],
            spread=spread,
            of=of,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Variances of the response among all possible groups, each draw (S,).

    ``sets`` by the factors of the set, ``noise`` the mean of Var(y | eta), ``common`` the variance
    between the rows' means, ``mean`` their mean. ``relative`` has ``sets`` and ``noise`` over the
    square of each row's own mean: CV2, and ``relative_noise``.
    """

    sets: dict[tuple[str, ...], Array]
    noise: Array
    common: Array
    mean: Array
    relative: dict[tuple[str, ...], Array]
    relative_noise: Array


def shared_variances(
    design: Design, draws: Draws, points: Points, sets: Sequence[tuple[str, ...]]
) -> Shares:
    """The law of total variance at each draw, averaged over the points."""
    w = points.weights
    variance = np.empty((len(sets), draws.n))
    relative = np.empty_like(variance)
    noise, common, mean, relative_noise = (np.empty(draws.n) for _ in range(4))
    for s, found in enumerate(expected_response(design, draws, points)):
        for k, factors in enumerate(sets):
            part = found.shared(factors)
            variance[k, s] = w @ part
            relative[k, s] = w @ (part / found.mean**2)
        mean[s], noise[s] = w @ found.mean, w @ found.noise
        common[s] = w @ (found.mean - mean[s]) ** 2
        relative_noise[s] = w @ (found.noise / found.mean**2)
    return Shares(
        sets=dict(zip(sets, variance, strict=True)),
        noise=noise,
        common=common,
        mean=mean,
        relative=dict(zip(sets, relative, strict=True)),
        relative_noise=relative_noise,
    )


def marginal_mean(design: Design, draws: Draws) -> Array:
    """mean_i E[y_i], averaged over all possible groups, each draw: (S,).

    Of many draws some, the others interpolated by repeating: it is compared with variances whose
    own posterior is far wider.
    """
    points = points_of(design)
    some = few_draws(draws, points)
    found = np.array([points.weights @ e.mean for e in expected_response(design, some, points)])
    at = np.round(np.linspace(0, some.n - 1, draws.n)).astype(int)
    return found[at]


def latent_noise(
    design: Design, draws: Draws, mean: Array, *, single: bool = False
) -> tuple[Array, Array]:
    """Var(y | eta) where E[y | eta] has the given value, and that value: (S,), (S,).

    ``single`` takes a family of trials at infinitely many of them: the variance of the chance of
    success itself. Parameters that differ between rows are averaged.
    """
    aux = {
        name: np.asarray(v) if np.ndim(v) == 1 or name == "threshold" else np.mean(v, axis=1)
        for name, v in getattr(draws, "auxiliary", {}).items()
    }
    many = np.full(draws.n, 1e12) if single and getattr(design.family, "trials", False) else None
    eta = solve_mean(design, mean, aux, trials=many)
    return response_variance(design, eta, aux, trials=many), mean


def solve_mean(
    design: Design, mean: Array, aux: Mapping[str, Array], *, trials: Array | None
) -> Array:
    """eta with E[y | eta] = mean, by bisection; the mean rises with eta in every family."""
    low, high = np.full(len(mean), -40.0), np.full(len(mean), 40.0)
    for _ in range(60):
        middle = (low + high) / 2
        above = response_mean(design, middle, aux, trials=trials) > mean
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def fitted_variances(design: Design, draws: Draws) -> tuple[Array, Array]:
    """Of the data's own groups: variance of the fitted means, mean of Var(y | eta): (S,), (S,)."""
    points = points_of(design, at_most=MAX_FITTED)
    full = draws.with_effects
    chosen = spread_indices(full.n, int(np.clip(WORK_FITTED / points.n, 200, MAX_DRAWS)))
    some = full.without_effects(chosen)
    between, noise = np.empty(some.n), np.empty(some.n)
    for s in range(some.n):
        eta = points.offset + some.intercept[s] + points.common @ some.beta[s]
        for block in design.blocks:
            effects = full.effects[block.name][chosen[s]][block.index[points.index]]
            eta = eta + np.einsum("nq,nq->n", points.groups[block.name], effects)
        aux = auxiliary(some, points, s)
        mean = response_mean(design, eta, aux, trials=points.trials)
        between[s] = points.weights @ (mean - points.weights @ mean) ** 2
        if not is_linear(design):
            variance = response_variance(design, eta, aux, trials=points.trials)
            noise[s] = points.weights @ np.broadcast_to(variance, mean.shape)
    return between, residual_variance(design, some) if is_linear(design) else noise


def spread_indices(n: int, at_most: int) -> Array:
    """At most so many of n, evenly spread."""
    return np.linspace(0, n - 1, min(n, at_most)).astype(int)
