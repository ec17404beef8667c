"""Draws into the mean and the variance of a response, given the group effects and averaged over.

At one draw, the linear predictor of row i among all possible groups is normal,

    eta_i ~ Normal(f_i, V_i),     V_i = sum_g z_i' Sigma_g z_i,
    f_i = offset_i + Intercept + x_i' beta

Two predictors that share the factors of a set A share V_A of their variance, and with
E[y | eta] = h(eta)

    Var(E[y | b_A]) = Cov(h(eta), h(eta'))        E[Var(y | eta)] is the noise

Three ways lead there, by what h is:

    log link     h = e^eta:  Cov = exp(2 f + V) (exp(V_A) - 1), in logarithms, at any sd
    bounded      of sds up to `STEEP` the expansion, beyond it a mixture of probits (`averages`)
    hurdle       the expansion, of sds beyond `STEEP` that of p = h / (1 + e^eta), times e^eta

The expansion is in Hermite polynomials of the standardised eta,

    h(f + sqrt(V) u) = sum_k c_k He_k(u) / sqrt(k!)
    Cov(h(eta), h(eta')) = sum_{k >= 1} c_k^2 rho_A^k,    rho_A = V_A / V        (Mehler 1866)

by one quadrature in one dimension. Nothing is simulated. rho <= 1 keeps every share in [0, 1]; what
single factors leave of the whole is not negative: their interaction.

A parameter of the family whose own predictor has group effects (zero inflation by site) is
independent of the mean's given the draw: means and covariances are those of a product.

The family is called here and nowhere else in the variance report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from scipy.special import expit

from hiermodels.design import Design
from hiermodels.errors import NotAvailableError
from hiermodels.numbers.averages import (
    BEYOND,
    MIXING,
    MIXTURES,
    Mixture,
    averaged,
    bounded_mean,
    share_covariance,
    share_mean,
)
from hiermodels.numbers.draws import Draws
from hiermodels.numbers.points import Points, extras_of, points_of, row_weights, some_points
from hiermodels.threads import one_thread

__all__ = [
    "Expansion",
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

#: Nodes of the expansion: of the mean's predictor alone, of it beside others, of the others.
NODES, NODES_BESIDE, NODES_OTHER = 48, 32, 12
#: The sd of a predictor from which the expansion no longer has the digits.
STEEP = 2.0
LOG_BEYOND = float(np.log(BEYOND))
#: Rows, draws, and rows times draws, that are worth a quadrature each.
MAX_ROWS, MAX_DRAWS, WORK = 400, 1000, 300_000
#: Values of the response's mean that a mean over rows and groups may take, and numbers in memory.
WORK_MEAN, PIECE = 1e7, 2_000_000
#: Rows, and rows times draws, of what takes the fitted values alone.
MAX_FITTED, WORK_FITTED = 50_000, 2e7


def is_logarithmic(design: Design) -> bool:
    """Whether E[y | eta] is a multiple of e^eta, and Var(y | eta) a polynomial in it."""
    family = design.family
    return family.name == "lognormal" or (family.link == "log" and "hurdle" not in family.name)


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

    def part(self, factors: Sequence[str]) -> Array:
        """V_A: (n,)."""
        shared = [self.of[f] for f in factors if f in self.of]
        return np.sum(shared, axis=0) if shared else np.zeros_like(self.fixed)

    def correlation(self, factors: Sequence[str]) -> Array:
        """rho_A = V_A / V: (n,)."""
        part, whole = self.part(factors), self.spread
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


class Expected(Protocol):
    """A response at one draw, in logarithms, (n,) each. Made by `expected_response`."""

    @property
    def log_mean(self) -> Array:
        """log E[y_i], averaged over the group effects."""
        ...

    @property
    def log_noise(self) -> Array:
        """log E[Var(y_i | eta)]."""
        ...

    def log_shared(self, factors: Sequence[str]) -> Array:
        """log Var(E[y_i | b_A]) of a set of factors."""
        ...


def logarithm(values: Array) -> Array:
    """log, minus infinity of nothing."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.maximum(values, 0.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
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

    @property
    def log_mean(self) -> Array:
        return logarithm(self.mean)

    @property
    def log_noise(self) -> Array:
        return logarithm(self.noise)

    def log_shared(self, factors: Sequence[str]) -> Array:
        return logarithm(self.shared(factors))

    def shared(self, factors: Sequence[str]) -> Array:
        """Var(E[y | b_A]) of a set of factors: (n,)."""
        power = self.coefficients**2
        power.reshape(len(power), -1)[:, 0] = 0.0
        return correlated(power, self.lines, factors)


def correlated(products: Array, lines: Sequence[Line], factors: Sequence[str]) -> Array:
    """sum_k d_k rho_A^k over every axis: (n,)."""
    for line in reversed(lines):
        degree = np.arange(products.shape[-1])
        each = line.correlation(factors)[:, None] ** degree
        products = np.einsum("n...k,nk->n...", products, each)
    return products


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """E[y | eta] = a + b mu + (c + d mu) z at one draw: mu of the mean's predictor, z zi or zoi.

    ``mean`` (2, 2, n) are these coefficients by powers of mu and z. ``log_mu`` (n,) is log E[mu],
    ``log_covariance`` of a set of factors log Cov(mu, mu'); ``share`` and ``share_covariance`` the
    same of z, without logarithms.
    """

    mean: Array
    log_noise: Array
    log_mu: Array
    log_covariance: Callable[[Sequence[str]], Array]
    share: Array
    share_covariance: Callable[[Sequence[str]], Array]

    @property
    def log_mean(self) -> Array:
        given = self.mean[:, 0] + self.mean[:, 1] * self.share
        return log_sum(given, [np.zeros_like(self.log_mu), self.log_mu])

    def log_shared(self, factors: Sequence[str]) -> Array:
        of_mu, of_z = self.log_covariance(factors), logarithm(self.share_covariance(factors))
        _, slope = self.mean[:, 0] + self.mean[:, 1] * self.share
        along_z = log_sum(self.mean[:, 1], [np.zeros_like(of_mu), self.log_mu])
        both = self.mean[1, 1]
        parts = [
            2 * logarithm(np.abs(slope)) + of_mu,
            2 * along_z + of_z,
            2 * logarithm(np.abs(both)) + of_mu + of_z,
        ]
        return np.asarray(np.logaddexp.reduce(parts))


def log_sum(coefficients: Array, logs: Sequence[Array]) -> Array:
    """log |sum_k c_k exp(l_k)|: (n,)."""
    terms = logarithm(np.abs(coefficients)) + np.array(logs)
    top = terms.max(axis=0)
    top = np.where(np.isfinite(top), top, 0.0)
    return logarithm(np.abs((np.sign(coefficients) * np.exp(terms - top)).sum(axis=0))) + top


def expected_response(design: Design, draws: Draws, points: Points) -> Iterator[Expected]:
    """Draw by draw, the mean response over the group effects and the noise."""
    sizes = node_counts(points)
    for lines, aux in each_draw(design, draws, points):
        if is_logarithmic(design) or (is_steep(lines) and "hurdle" not in design.family.name):
            yield product_form(design, points, lines, aux)
        elif is_steep(lines):
            yield tilted_form(design, points, lines, aux)
        else:
            mean, noise = at_nodes(design, points, lines, aux, sizes)
            yield Expansion(
                coefficients=expand(mean, points.n, sizes),
                noise=average(noise, points.n, sizes),
                lines=tuple(lines[name] for name in ("", *points.varying)),
            )


def is_steep(lines: Mapping[str, Line]) -> bool:
    return any(line.spread.max(initial=0.0) > STEEP**2 for line in lines.values())


def each_draw(
    design: Design, draws: Draws, points: Points
) -> Iterator[tuple[dict[str, Line], dict[str, Array]]]:
    """Draw by draw the linear predictors by parameter, and the parameters that have none."""
    rows = {"": Lines.of(points, draws)}
    rows |= {k: Lines.of(p, extra_draws(draws)[k]) for k, p in points.extras.items()}
    for s in range(draws.n):
        yield {name: of.at(s) for name, of in rows.items()}, constants_of(draws, s)


def product_form(
    design: Design, points: Points, lines: Mapping[str, Line], aux: dict[str, Array]
) -> Expected:
    """Without an expansion: a log link, or a bounded one as a mixture."""
    aux = aux | {
        name: typical_parameter(design, name, line) for name, line in lines.items() if name
    }
    everything = all_factors_of(lines)
    if design.family.name == "ordinal":
        return ordered_form(design, lines[""], aux, everything)
    if is_logarithmic(design):
        log_mu, log_covariance = exponential_moments(design, lines[""], aux)
    else:
        mu, covariance = mixture_moments(MIXTURES[design.family.link], lines[""])
        log_mu = logarithm(mu)

        def log_covariance(factors: Sequence[str]) -> Array:
            return logarithm(covariance(factors))

    mean, variance = polynomials(design, points, aux, mixing_parameter(points))
    share, shares = mixing_moments(points, lines)
    square = np.logaddexp(2 * log_mu, log_covariance(everything))
    by_mu = np.einsum(
        "ijn,jn->in", variance, [np.ones(points.n), share, share**2 + shares(everything)]
    )
    return Product(
        mean=mean,
        log_noise=log_sum(by_mu, [np.zeros(points.n), log_mu, square]),
        log_mu=log_mu,
        log_covariance=log_covariance,
        share=share,
        share_covariance=shares,
    )


def mixing_parameter(points: Points) -> str | None:
    """Which of zi and zoi has group effects."""
    return next((name for name in points.varying if name in MIXING), None)


def mixing_moments(
    points: Points, lines: Mapping[str, Line]
) -> tuple[Array, Callable[[Sequence[str]], Array]]:
    """E[z] and Cov(z, z'); nothing where neither has group effects."""
    name, zero = mixing_parameter(points), np.zeros(points.n)
    if name is None:
        return zero, lambda factors: zero
    return mixture_moments(MIXTURES["logit"], lines[name])


#: What grows as a power of e^eta is taken to grow exactly so beyond this.
FARTHEST = 300.0


def tilted_form(
    design: Design, points: Points, lines: Mapping[str, Line], aux: Mapping[str, Array]
) -> Expected:
    """A hurdle at a large sd: y > 0 has moments that grow as powers of 1 + e^eta.

    With g = (1 + e^eta) p and l = f + V / 2,

        E[g g'] = E[p p'] + 2 e^l E_1[p p'] + e^(2 l + V_A) E_2[p p']

    where E_1 moves the two means by V and V_A, and E_2 both by V + V_A.
    """
    main, name = lines[""], mixing_parameter(points)
    varying = [n for n in points.varying if n not in MIXING]
    sizes = (NODES_BESIDE, *[NODES_OTHER] * len(varying)) if varying else (NODES,)
    shape = (points.n, *[1] * len(sizes))
    given = {**aux} | parameters_at_nodes(design, points, lines, sizes, varying=varying)
    fixed_zeros = np.broadcast_to(0.0 if name else given["zi"], shape).reshape(points.n)
    positive, axes = given | {"zi": np.zeros(shape)}, [main, *(lines[n] for n in varying)]
    log_mu, everything = main.fixed + main.spread / 2, all_factors_of(lines)

    def bounded(shift: Array, power: int) -> Array:
        moved = Line(fixed=main.fixed + shift, of=main.of)
        eta = np.clip(spread_out(moved, 0, sizes), -FARTHEST, FARTHEST)
        values = response_mean(design, eta, positive)
        if power == 2:
            values = values**2 + response_variance(design, eta, positive)
        return expand(values * expit(-eta) ** power, points.n, sizes)

    def start(values: Array) -> Array:
        return logarithm(values.reshape(points.n, -1)[:, 0])

    plain, whole = bounded(np.zeros(points.n), 1), bounded(main.spread, 1)
    log_g = np.logaddexp(start(plain), log_mu + start(whole))

    def log_covariance(factors: Sequence[str]) -> Array:
        part = main.part(factors)
        once, both = bounded(part, 1), bounded(part + main.spread, 1)
        terms = [
            logarithm(correlated(plain * plain, axes, factors)),
            np.log(2) + log_mu + logarithm(correlated(once * whole, axes, factors)),
            2 * log_mu + part + logarithm(correlated(both * both, axes, factors)),
        ]
        together = np.logaddexp.reduce(terms)
        return together + logarithm(-np.expm1(np.minimum(2 * log_g - together, 0.0)))

    zero = np.zeros(points.n)
    log_square = np.logaddexp.reduce(
        [
            start(bounded(zero, 2)),
            np.log(2) + log_mu + start(bounded(main.spread, 2)),
            2 * log_mu + main.spread + start(bounded(2 * main.spread, 2)),
        ]
    )
    share, shares = mixing_moments(points, lines)
    share = share if name else fixed_zeros
    below = (1 - share) ** 2 + shares(everything)
    log_mean_square = np.logaddexp(2 * log_g, log_covariance(everything))
    return Product(
        mean=np.array([[0.0, 0.0], [1.0, -1.0]])[:, :, None] * np.ones(points.n),
        log_noise=log_sum(np.array([1 - share, -below]), [log_square, log_mean_square]),
        log_mu=log_g,
        log_covariance=log_covariance,
        share=share,
        share_covariance=shares,
    )


def all_factors_of(lines: Mapping[str, Line]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f for line in lines.values() for f in line.of))


def typical_parameter(design: Design, name: str, line: Line) -> Array:
    """The parameter at which Var(y | eta) is its mean over the parameter's own groups.

    The variance is linear in 1/alpha, in phi, and in 1/(1 + phi) of shares; zi and zoi stay out.
    """
    if name in MIXING or not line.of:
        return inverse_parameter(design, name, line.fixed)
    if name == "alpha":
        return np.exp(line.fixed - line.spread / 2)
    if is_logarithmic(design):
        return np.exp(line.fixed + line.spread / 2)
    return 1 / bounded_mean(expit, -line.fixed, line.spread) - 1


def mixture_moments(h: Mixture, line: Line) -> tuple[Array, Callable[[Sequence[str]], Array]]:
    """E[h(eta)], and Cov(h(eta), h(eta')) of a set of factors."""
    found: dict[tuple[str, ...], Array] = {}

    def covariance(factors: Sequence[str]) -> Array:
        own = tuple(f for f in line.of if f in factors)
        if own not in found:
            found[own] = share_covariance(h, line.fixed, line.spread, line.part(own))
        return found[own]

    return share_mean(h, line.fixed, line.spread), covariance


def exponential_moments(
    design: Design, line: Line, aux: Mapping[str, Array]
) -> tuple[Array, Callable[[Sequence[str]], Array]]:
    """log E[mu] and log Cov(mu, mu') of mu = e^eta, of a log-normal response of its mean."""
    log_mean = line.fixed + line.spread / 2
    if design.family.name == "lognormal":
        log_mean = log_mean + np.square(aux["sigma"]) / 2

    def log_covariance(factors: Sequence[str]) -> Array:
        part = line.part(factors)
        return 2 * log_mean + part + logarithm(-np.expm1(-part))

    return log_mean, log_covariance


def polynomials(
    design: Design, points: Points, aux: Mapping[str, Array], name: str | None
) -> tuple[Array, Array]:
    """Coefficients of E[y | eta] (2, 2, n) and Var(y | eta) (3, 3, n) by powers of mu and of z."""
    mean, variance = np.zeros((2, 2, points.n)), np.zeros((3, 3, points.n))
    if design.family.name == "lognormal":
        mean[1, 0] = 1.0
        variance[2, 0] = np.expm1(np.minimum(np.square(aux["sigma"]), LOG_BEYOND))
        return mean, variance
    # a multiple of e^eta has no constant term, and some variances have no value at zero
    lowest = 1 if is_logarithmic(design) else 0
    for of, degree, into in ((mean_at, 1, mean), (variance_at, 2, variance)):
        at_mu, solve_mu = interpolation(lowest, degree)
        at_z, solve_z = interpolation(0, degree if name else 0)
        for p, mu in enumerate(at_mu):
            for q, z in enumerate(at_z):
                value = of(design, mu, {**aux, name: z} if name else aux, points)
                weights = np.outer(solve_mu[:, p], solve_z[:, q])[:, :, None]
                into[lowest : degree + 1, : len(at_z)] += weights * value
    return mean, variance


@cache
def interpolation(lowest: int, degree: int) -> tuple[Array, Array]:
    """Points in [0, 1], and what gives the coefficients of a polynomial from its values there."""
    at = np.linspace(0, 1, degree + 1)[lowest:]
    return at, np.linalg.inv(at[:, None] ** np.arange(lowest, degree + 1))


def mean_at(design: Design, mu: Array, aux: Mapping[str, Any], points: Points) -> Array:
    """E[y | mu], of trials the expected share."""
    family: Any = design.family
    found = family.mean(mu, aux, points.trials)
    return np.asarray(found if points.trials is None else found / points.trials)


def variance_at(design: Design, mu: Array, aux: Mapping[str, Any], points: Points) -> Array:
    """Var(y | mu), of trials that of the share."""
    family: Any = design.family
    found = family.variance(mu, aux, points.trials)
    return np.asarray(found if points.trials is None else found / points.trials**2)


def ordered_form(
    design: Design, line: Line, aux: Mapping[str, Array], everything: tuple[str, ...]
) -> Expected:
    """E[y | eta] = sum_k F(eta - c_k), E[y^2 | eta] = sum_k (2 k + 1) F(eta - c_k)."""
    link, cuts = MIXTURES[design.family.link], aux["threshold"]
    above = [share_mean(link, line.fixed - cut, line.spread) for cut in cuts]
    square = np.einsum("k,kn->n", 2.0 * np.arange(len(cuts)) + 1, np.array(above))
    mean, covariance = mixture_moments(link.shifted(cuts), line)
    return Simple(
        mean=mean,
        noise=np.maximum(square - mean**2 - covariance(everything), 0.0),
        covariance=covariance,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Simple:
    """At one draw, without logarithms: ``mean``, ``noise`` (n,), and ``covariance`` of a set."""

    mean: Array
    noise: Array
    covariance: Callable[[Sequence[str]], Array]

    @property
    def log_mean(self) -> Array:
        return logarithm(self.mean)

    @property
    def log_noise(self) -> Array:
        return logarithm(self.noise)

    def log_shared(self, factors: Sequence[str]) -> Array:
        return logarithm(self.covariance(factors))


def node_counts(points: Points) -> tuple[int, ...]:
    others = len(points.varying)
    return (NODES_BESIDE, *[NODES_OTHER] * others) if others else (NODES,)


def at_nodes(
    design: Design,
    points: Points,
    lines: Mapping[str, Line],
    aux: Mapping[str, Array],
    sizes: Sequence[int],
) -> tuple[Array, Array]:
    """Mean and variance of the response at the nodes of every predictor with group effects."""
    shape = (points.n, *[1] * len(sizes))
    trials = None if points.trials is None else points.trials.reshape(shape)
    eta = spread_out(lines[""], 0, sizes)
    given = {**aux} | parameters_at_nodes(design, points, lines, sizes, varying=points.varying)
    mean = response_mean(design, eta, given, trials=trials)
    return mean, response_variance(design, eta, given, trials=trials)


def parameters_at_nodes(
    design: Design,
    points: Points,
    lines: Mapping[str, Line],
    sizes: Sequence[int],
    *,
    varying: Sequence[str],
) -> dict[str, Array]:
    """The family's own parameters that have a formula: (n, 1, ...), or with an axis of nodes."""
    found = {}
    for name in points.extras:
        predictor = lines[name].fixed.reshape(points.n, *[1] * len(sizes))
        if name in varying:
            predictor = spread_out(lines[name], 1 + list(varying).index(name), sizes)
        found[name] = inverse_parameter(design, name, predictor)
    return found


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

    ``beyond`` (S,) are the draws whose variances are beyond `BEYOND`: they are in a unit of their
    own there, in which their shares are right.
    """

    sets: dict[tuple[str, ...], Array]
    noise: Array
    common: Array
    mean: Array
    relative: dict[tuple[str, ...], Array]
    relative_noise: Array
    beyond: Array


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
    noise, common, mean, relative_noise, unit = (np.empty(draws.n) for _ in range(5))
    for s, found in enumerate(expected_response(design, draws, points)):
        parts = [found.log_shared(factors) for factors in sets]
        log_mean, log_noise = found.log_mean, found.log_noise
        top = np.max([2 * log_mean, log_noise, *parts])
        # shares do not depend on the unit: it is one, unless there is no such number
        unit[s] = max(0.0, top - LOG_BEYOND)
        for k, part in enumerate(parts):
            variance[k, s] = w @ np.exp(part - unit[s])
            relative[k, s] = w @ relative_to(part, log_mean)
        each = np.exp(log_mean - unit[s] / 2)
        common[s] = w @ (each - w @ each) ** 2
        noise[s] = w @ np.exp(log_noise - unit[s])
        mean[s] = min(w @ np.exp(np.minimum(log_mean, 2 * LOG_BEYOND)), BEYOND)
        relative_noise[s] = w @ relative_to(log_noise, log_mean)
    return Shares(
        sets=dict(zip(sets, variance, strict=True)),
        noise=noise,
        common=common,
        mean=mean,
        relative=dict(zip(sets, relative, strict=True)),
        relative_noise=relative_noise,
        beyond=unit > 0,
    )


def relative_to(log_variance: Array, log_mean: Array) -> Array:
    """variance / mean^2; nothing where there is no mean either."""
    some = np.isfinite(log_mean)
    ratio = np.where(some, log_variance, -np.inf) - 2 * np.where(some, log_mean, 0.0)
    return np.asarray(np.exp(np.minimum(ratio, LOG_BEYOND)))


def marginal_mean(design: Design, draws: Draws) -> Array:
    """mean_i E[y_i], averaged over all possible groups, each draw: (S,); at most `BEYOND`."""
    # of a hurdle two means are taken
    nodes = 1 if is_logarithmic(design) else 100 if "hurdle" in design.family.name else 50
    at_most = int(np.clip(WORK_MEAN / (draws.n * nodes), 50, MAX_FITTED))
    along = design.offset + design.common.values @ draws.beta.mean(axis=0)
    points = some_points(design, at_most, along=along)
    step = max(1, PIECE // points.n)
    found = [
        row_means(
            design, draws.without_effects(np.arange(start, min(start + step, draws.n))), points
        )
        @ points.weights
        for start in range(0, draws.n, step)
    ]
    return np.minimum(np.concatenate(found), BEYOND)


def row_means(design: Design, draws: Draws, points: Points) -> Array:
    """E[y_i], averaged over all possible groups: (S, n)."""
    rows = {"": (points, draws)}
    rows |= {name: (p, extra_draws(draws)[name]) for name, p in points.extras.items()}
    etas = {
        name: own.intercept[:, None] + own.beta @ p.common.T + p.offset
        for name, (p, own) in rows.items()
    }
    spreads = {name: spread_of(p, own) for name, (p, own) in rows.items()}
    constants = {k: np.asarray(v)[:, None] for k, v in getattr(draws, "auxiliary", {}).items()}

    def moment(etas: Mapping[str, Array]) -> Array:
        aux = constants | {k: inverse_parameter(design, k, eta) for k, eta in etas.items() if k}
        return response_mean(design, etas[""], aux, trials=points.trials)

    return averaged(moment, etas, spreads, design.family, cuts=constants.get("threshold"))


def spread_of(points: Points, draws: Draws) -> Array:
    """V of each draw and row: (S, n)."""
    total = np.zeros((draws.n, points.n))
    for g, z in points.groups.items():
        total += np.einsum("nq,sqr,nr->sn", z, draws.covariance(g), z, optimize=True)
    return np.maximum(total, 0.0)


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
    low, high = np.full(len(mean), -LOG_BEYOND), np.full(len(mean), LOG_BEYOND)
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
