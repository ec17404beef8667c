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

A parameter of the family whose own predictor has group effects (zero inflation by site) adds a
dimension to the expansion, and its rho to each term.

The family is called here and nowhere else in the variance report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hiermodels.design import Design
from hiermodels.errors import NotAvailableError
from hiermodels.numbers.draws import Draws
from hiermodels.numbers.points import Points, extras_of, points_of, row_weights, some_points
from hiermodels.threads import one_thread

__all__ = [
    "Expected",
    "Shares",
    "expected_response",
    "few_draws",
    "fitted_rows",
    "fitted_variances",
    "is_linear",
    "latent_noise",
    "marginal_mean",
    "mean_exists",
    "mean_parameters",
    "quadrature_points",
    "residual_variance",
    "response_mean",
    "response_variance",
    "shared_variances",
    "spread_indices",
]

type Array = np.ndarray

#: Nodes of the quadrature: of the mean's predictor alone, of it beside others, of the others; and
#: where a mean is all that is asked for.
NODES, NODES_BESIDE, NODES_OTHER, NODES_MEAN = 48, 32, 12, 24
#: Rows, draws, and rows times draws, that are worth a quadrature each.
MAX_ROWS, MAX_DRAWS, WORK = 400, 1000, 300_000
#: Rows, and rows times draws, of what takes the fitted values alone.
MAX_FITTED, WORK_FITTED = 50_000, 2e7


def is_linear(design: Design) -> bool:
    """Whether the response is the linear predictor and noise, so that there is only one scale."""
    return bool(design.family.link == "identity" and design.family.name in ("gaussian", "student"))


def quadrature_points(design: Design, draws: Draws) -> Points:
    """The rows of the data, or a spread of them; fewer where each costs more nodes."""
    varying = [name for name, p in extras_of(design).items() if p.blocks]
    along = design.offset + design.common.values @ draws.beta.mean(axis=0)
    return some_points(design, MAX_ROWS // (4 ** len(varying)), along=along)


def mean_exists(design: Design) -> bool:
    """Whether E[y] over all possible groups is finite: not that of exp(sigma_j^2 / 2)."""
    varying = [name for name, p in extras_of(design).items() if p.blocks]
    return not (design.family.name == "lognormal" and "sigma" in varying)


def few_draws(draws: Draws, points: Points) -> Draws:
    """As many draws as the work allows, evenly spread."""
    return draws.thinned(int(np.clip(WORK / points.n, 200, MAX_DRAWS)))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One linear predictor at one draw: ``fixed`` (n,), and of each factor its variance (n,)."""

    fixed: Array
    of: dict[str, Array]

    @property
    def spread(self) -> Array:
        """V: (n,)."""
        return np.sum(list(self.of.values()), axis=0) if self.of else np.zeros_like(self.fixed)

    def correlation(self, factors: Sequence[str]) -> Array:
        """rho_A = V_A / V: (n,)."""
        shared = [self.of[f] for f in factors if f in self.of]
        part = np.sum(shared, axis=0) if shared else np.zeros_like(self.fixed)
        whole = self.spread
        rho = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
        return np.minimum(rho, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The draws of one linear predictor at the points; ``at(s)`` is one of them."""

    points: Points
    draws: Draws
    sigma: dict[str, Array]

    @classmethod
    def of(cls, points: Points, draws: Draws) -> Lines:
        return cls(
            points=points, draws=draws, sigma={g: draws.covariance(g) for g in points.groups}
        )

    def fixed(self, s: int) -> Array:
        points, draws = self.points, self.draws
        return np.asarray(points.offset + draws.intercept[s] + points.common @ draws.beta[s])

    def at(self, s: int) -> Line:
        of = {
            g: np.maximum(((z @ self.sigma[g][s]) * z).sum(axis=1), 0.0)
            for g, z in self.points.groups.items()
        }
        return Line(fixed=self.fixed(s), of=of)


def inverse_parameter(design: Design, name: str, predictor: Array) -> Array:
    """A parameter of the family from its linear predictor."""
    parameters: Any = getattr(design.family, "parameters", ())
    return np.asarray(next(p for p in parameters if p.name == name).inverse(predictor))


def constants_of(draws: Draws, s: int) -> dict[str, Array]:
    """The family's own parameters that are the same in all rows, at one draw."""
    return {k: np.asarray(v[s]) for k, v in getattr(draws, "auxiliary", {}).items()}


def extra_draws(draws: Draws) -> Mapping[str, Draws]:
    return getattr(draws, "extras", {})


@cache
def quadrature(size: int) -> tuple[Array, Array]:
    """Nodes of a standard normal (M,), and the weighted normalised polynomials (M, M).

    ``h(nodes) @ polynomials`` are the coefficients c_0, c_1, ... of h. With all M of them the sum
    of squares is that of h at the nodes, so nothing is cut off.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(size)
    weights = weights / weights.sum()
    basis = np.empty((size, size))
    basis[0], basis[1] = 1.0, nodes
    for k in range(2, size):
        basis[k] = (nodes * basis[k - 1] - np.sqrt(k - 1) * basis[k - 2]) / np.sqrt(k)
    return nodes, (basis * weights).T


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """At one draw: ``coefficients`` (n, M, ...) of h, ``noise`` (n,) E[Var(y | eta)].

    ``lines`` are the linear predictors with group effects, one for each axis but the first.
    """

    coefficients: Array
    noise: Array
    lines: tuple[Line, ...]

    @property
    def mean(self) -> Array:
        """E[y_i], averaged over the group effects: (n,)."""
        return np.asarray(self.coefficients.reshape(len(self.coefficients), -1)[:, 0])

    def shared(self, factors: Sequence[str]) -> Array:
        """Var(E[y | b_A]) of a set of factors: (n,)."""
        power = self.coefficients**2
        power.reshape(len(power), -1)[:, 0] = 0.0
        for line in reversed(self.lines):
            degree = np.arange(power.shape[-1])
            each = line.correlation(factors)[:, None] ** degree
            power = np.einsum("n...k,nk->n...", power, each)
        return power


def expected_response(design: Design, draws: Draws, points: Points) -> Iterator[Expected]:
    """Draw by draw, the expansion of the mean response over the group effects."""
    sizes = node_counts(points)
    for lines, mean, noise in at_nodes(design, draws, points, sizes):
        yield Expected(
            coefficients=expand(mean, points.n, sizes),
            noise=average(noise, points.n, sizes),
            lines=lines,
        )


def node_counts(points: Points) -> tuple[int, ...]:
    others = len(points.varying)
    return (NODES_BESIDE, *[NODES_OTHER] * others) if others else (NODES,)


def at_nodes(
    design: Design, draws: Draws, points: Points, sizes: Sequence[int]
) -> Iterator[tuple[tuple[Line, ...], Array, Array]]:
    """Draw by draw, the linear predictors, and mean and variance of the response at the nodes."""
    main = Lines.of(points, draws)
    others = {k: Lines.of(p, extra_draws(draws)[k]) for k, p in points.extras.items()}
    shape = (points.n, *[1] * len(sizes))
    trials = None if points.trials is None else points.trials.reshape(shape)
    for s in range(draws.n):
        lines = [main.at(s)]
        aux = constants_of(draws, s)
        for name, other in others.items():
            line = other.at(s)
            predictor = line.fixed.reshape(shape)
            if name in points.varying:
                lines.append(line)
                predictor = spread_out(line, len(lines) - 1, sizes)
            aux[name] = inverse_parameter(design, name, predictor)
        eta = spread_out(lines[0], 0, sizes)
        mean = response_mean(design, eta, aux, trials=trials)
        noise = response_variance(design, eta, aux, trials=trials)
        yield tuple(lines), mean, noise


def spread_out(line: Line, axis: int, sizes: Sequence[int]) -> Array:
    """A predictor at the nodes of its own axis: (n, 1, ..., M, ..., 1)."""
    nodes, _ = quadrature(sizes[axis])
    values = line.fixed[:, None] + np.sqrt(line.spread)[:, None] * nodes
    shape = [len(values), *[1] * len(sizes)]
    shape[axis + 1] = sizes[axis]
    return values.reshape(shape)


def expand(values: Array, n: int, sizes: Sequence[int]) -> Array:
    """Coefficients of the polynomials along each axis: (n, M, ...)."""
    out = np.broadcast_to(values, (n, *sizes))
    for axis, size in enumerate(sizes):
        _, polynomials = quadrature(size)
        out = np.moveaxis(np.moveaxis(out, axis + 1, -1) @ polynomials, -1, axis + 1)
    return np.ascontiguousarray(out)


def average(values: Array, n: int, sizes: Sequence[int]) -> Array:
    """Averaged over the nodes: (n,)."""
    out = np.broadcast_to(values, (n, *sizes))
    for size in reversed(sizes):
        _, polynomials = quadrature(size)
        out = out @ polynomials[:, 0]
    return out


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
    # two threads wait for each other over matrices as small as these
    with one_thread("blas"):
        return total_variances(design, draws, points, sets)


def total_variances(
    design: Design, draws: Draws, points: Points, sets: Sequence[tuple[str, ...]]
) -> Shares:
    w = points.weights
    variance = np.empty((len(sets), draws.n))
    relative = np.empty_like(variance)
    noise, common, mean, relative_noise = (np.empty(draws.n) for _ in range(4))
    for s, found in enumerate(expected_response(design, draws, points)):
        for k, factors in enumerate(sets):
            part = found.shared(factors)
            variance[k, s] = w @ part
            relative[k, s] = w @ relative_to(part, found.mean)
        mean[s], noise[s] = w @ found.mean, w @ found.noise
        common[s] = w @ (found.mean - mean[s]) ** 2
        relative_noise[s] = w @ relative_to(found.noise, found.mean)
    return Shares(
        sets=dict(zip(sets, variance, strict=True)),
        noise=noise,
        common=common,
        mean=mean,
        relative=dict(zip(sets, relative, strict=True)),
        relative_noise=relative_noise,
    )


def relative_to(variance: Array, mean: Array) -> Array:
    """variance / mean^2; nothing where there is no mean either."""
    square = mean**2
    return np.divide(variance, square, out=np.zeros_like(variance), where=square > 0)


def marginal_mean(design: Design, draws: Draws) -> Array:
    """mean_i E[y_i], averaged over all possible groups, each draw: (S,).

    Of many draws some, the others having that of the nearest: it is compared with variances whose
    own posterior is far wider.
    """
    points = quadrature_points(design, draws)
    some, sizes = few_draws(draws, points), (NODES_MEAN, *node_counts(points)[1:])
    found = np.array(
        [
            points.weights @ average(mean, points.n, sizes)
            for _, mean, _ in at_nodes(design, some, points, sizes)
        ]
    )
    at = np.round(np.linspace(0, some.n - 1, draws.n)).astype(int)
    return found[at]


def mean_parameters(design: Design, draws: Draws) -> dict[str, Array]:
    """The family's own parameters, (S,); those with a formula averaged over the rows."""
    found = {k: np.asarray(v) for k, v in getattr(draws, "auxiliary", {}).items()}
    points = fitted_points(design)
    for name, extra in points.extras.items():
        lines = Lines.of(extra, extra_draws(draws)[name])
        found[name] = np.array(
            [
                points.weights @ inverse_parameter(design, name, lines.fixed(s))
                for s in range(draws.n)
            ]
        )
    return found


def residual_variance(design: Design, draws: Draws) -> Array:
    """Of a linear model, or of the logarithm of a log-normal response: (S,).

    With a formula for sigma the mean of sigma_i^2 over the rows and all possible groups,
    mean_i exp(2 f_i + 2 V_i).
    """
    name = design.family.residual
    if draws.residual is not None:
        variance = np.asarray(draws.residual**2)
    elif design.se is not None:
        variance = np.full(draws.n, row_weights(design) @ design.se**2)
    elif name is not None and name in extras_of(design):
        points = fitted_points(design)
        lines = Lines.of(points.extras[name], extra_draws(draws)[name])
        each = (lines.at(s) for s in range(draws.n))
        variance = np.array([points.weights @ np.exp(2 * (e.fixed + e.spread)) for e in each])
    else:
        raise NotAvailableError(f"the {design.family.name} family has no residual variance")
    if design.family.name == "student":
        nu = mean_parameters(design, draws)["nu"]
        # for nu <= 2 there is no variance: it is beyond all bounds
        variance = variance * nu / np.maximum(nu - 2, 1e-9)
    return variance


def latent_noise(
    design: Design, draws: Draws, mean: Array, *, single: bool = False
) -> tuple[Array, Array]:
    """Var(y | eta) where E[y | eta] has the given value, and that value: (S,), (S,).

    ``single`` takes a family of trials at infinitely many of them: the variance of the chance of
    success itself. Parameters that differ between rows are averaged.
    """
    aux = mean_parameters(design, draws)
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
    points = fitted_points(design)
    full = draws.with_effects
    chosen = spread_indices(full.n, int(np.clip(WORK_FITTED / points.n, 200, MAX_DRAWS)))
    some = full.without_effects(chosen)
    between, noise = np.empty(some.n), np.empty(some.n)
    for s in range(some.n):
        eta, aux = fitted_rows(design, full, points, chosen[s])
        mean = response_mean(design, eta, aux, trials=points.trials)
        between[s] = points.weights @ (mean - points.weights @ mean) ** 2
        if not is_linear(design):
            variance = response_variance(design, eta, aux, trials=points.trials)
            noise[s] = points.weights @ np.broadcast_to(variance, mean.shape)
    return between, residual_variance(design, some) if is_linear(design) else noise


def fitted_points(design: Design) -> Points:
    """All rows, or a sample where they are many."""
    if design.n <= MAX_FITTED:
        return points_of(design)
    # a random sample with a fixed seed: data are often sorted by group
    chosen = np.random.default_rng(0).choice(design.n, MAX_FITTED, replace=False)
    return points_of(design, np.sort(chosen))


def fitted_rows(
    design: Design, draws: Draws, points: Points, s: int
) -> tuple[Array, dict[str, Array]]:
    """eta (n,) and the family's own parameters at one draw, with the data's own groups."""
    aux = constants_of(draws, s)
    for name, extra in points.extras.items():
        predictor = fitted_line(extras_of(design)[name], extra_draws(draws)[name], extra, s)
        aux[name] = inverse_parameter(design, name, predictor)
    return fitted_line(design, draws, points, s), aux


def fitted_line(predictor: Any, draws: Draws, points: Points, s: int) -> Array:
    """A linear predictor with the effects of the data's own groups, at one draw: (n,)."""
    eta = points.offset + draws.intercept[s] + points.common @ draws.beta[s]
    for block in predictor.blocks:
        effects = draws.effects[block.name][s][block.index[points.index]]
        eta = eta + np.einsum("nq,nq->n", points.groups[block.name], effects)
    return np.asarray(eta)


def spread_indices(n: int, at_most: int) -> Array:
    """At most so many of n, evenly spread."""
    return np.linspace(0, n - 1, min(n, at_most)).astype(int)
