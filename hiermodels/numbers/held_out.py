"""A level left out of any model, its own effects integrated in each draw.

    p(y_j | beta, theta) = int p(y_j | b, beta, theta) Normal(b; 0, Sigma) db

and where the levels k of another factor lie within level j, their effects in the same way at each
point of b,

    p(y_j | b, beta, theta) = prod_k int p(y_k | b, v, beta, theta) Normal(v; 0, Sigma_v) dv.

Where the integrand has one mode, as its logarithm is concave in b, and up to three effects, by
adaptive quadrature: with b = L z, L L' = Sigma, z^ the mode and C C' the curvature there,

    int f(L z) Normal(z; 0, I) dz = |C|^-1 sum_k v_k exp(x_k'x_k / 2 - z_k'z_k / 2) f(L z_k),
    z_k = z^ + C^-T x_k,

x_k and v_k the nodes and weights of Gauss and Hermite. Elsewhere by importance sampling: half of
the points are drawn from Normal(0, Sigma), half from a normal fitted to the posterior draws of b_j
given the draw's coefficients (and the effects around it), with a wider spread, and all are weighted
by the density of the mixture (the balance heuristic): the first keep weights bounded where a draw's
sd is small or its levels lie far out, the second put points where the rows of the level are.

The coefficients and the effects of crossed factors are those of the draw; importance sampling over
draws then leaves the level out of their posterior.

Source: Merkle, Furr & Rabe-Hesketh 2019, Psychometrika 84, for both; Pinheiro & Bates 1995, J.
Comput. Graph. Stat. 4, for the quadrature; Veach & Guibas 1995, SIGGRAPH, for the mixture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.special import logsumexp

from hiermodels.design import Block, Design, Predictor, nested_in, response_scale
from hiermodels.numbers import predictive
from hiermodels.numbers.checks import own_given, predictors_of_rows, some_draws
from hiermodels.numbers.draws import Draws
from hiermodels.numbers.prediction import draws_of

__all__ = ["integrated_groups"]

type Array = np.ndarray

#: Points of a level and draw, of each half; of one that has levels within it, and of these, fewer.
POINTS, OUTER, INNER = 64, 32, 16
#: The posterior's sd is multiplied by this.
WIDER = 1.5
#: Nodes in each direction of the quadrature, by the number of effects; about as exact in all.
NODES = {1: 11, 2: 7, 3: 5}
#: Steps to the mode, and the squared length of the last one in units of the integrand's sd.
NEWTON, CLOSE = 30, 1e-4
#: Of the differences of a slope of a row.
ROW_STEP = 1e-3
#: Families whose log density is concave in the linear predictor of the mean, by any link they have.
ONE_MODE = frozenset(
    ["gaussian", "lognormal", "gamma", "poisson", "negbinomial", "bernoulli", "binomial", "ordinal"]
)
#: Numbers of (draws, points, rows) that are worth it, of those at a time, and of those that stay in
#: the cache of a processor, where nothing is integrated within.
WORK, PIECE, CACHED = 150_000_000, 2_000_000, 60_000
FEWEST, MOST = 200, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The effects of one factor in one linear predictor. Made by `own_effects`."""

    predictor: Predictor
    block: Block
    effects: Array
    covariance: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A factor whose effects are integrated: those of the draws, and of the draws that know its
    rows, which say where the points go. Made by `layers`."""

    own: tuple[Own, ...]
    guide: tuple[Own, ...]
    points: int
    seed: int

    @property
    def index(self) -> Array:
        return self.own[0].block.index

    @property
    def dimension(self) -> int:
        return sum(len(o.block.terms) for o in self.own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What effects are predicted from: coefficients, and the effects of the layers around.

    ``value`` (N, c) are those at which they are integrated, ``guide`` (G, c) those of the draws
    that know the rows; ``draw`` (N,) says of which draw each is.
    """

    value: Array
    guide: Array
    draw: Array


def integrated_groups(
    design: Design,
    draws: Draws,
    factor: str,
    *,
    seed: int,
    only: int | None = None,
    near: Draws | None = None,
) -> Array:
    """log p(y_j | beta, theta) of each draw and level, (S, J), or of one alone, (S, 1).

    ``near`` are draws of a posterior that knows the rows of the level, where these do not: its
    effects there say where the points go.
    """
    block = next(b for p in design.predictors for b in p.blocks if b.name == factor)
    inside = factors_within(design, block)
    counts = [OUTER, *[INNER] * len(inside)] if inside else [POINTS]
    at_each = np.prod([2 * n for n in counts])
    some = some_draws(draws, int(np.clip(WORK / (at_each * design.n), FEWEST, MOST)))
    guide = some if near is None else some_draws(near, MOST)
    chain = [
        Layer(
            own=own_effects(design, some, name),
            guide=own_effects(design, guide, name),
            points=count,
            seed=seed + 10_000 * depth,
        )
        for depth, (name, count) in enumerate(zip([factor, *inside], counts, strict=True))
    ]
    known = Known(
        value=covariates(some, chain), guide=covariates(guide, chain), draw=np.arange(some.n)
    )
    of = own_given(design, some)
    levels = range(block.n_levels) if only is None else [only]
    found = np.empty((some.n, len(levels)))
    for k, j in enumerate(levels):
        rows = np.flatnonzero(block.index == j)
        etas = without_effects(design, some, chain, rows)
        found[:, k] = integrated(design, chain, etas, of.at(rows), rows, known)
    return found


def factors_within(design: Design, block: Block) -> list[str]:
    """The factors whose levels lie within those of the block, the coarsest first."""
    inside = {
        b.name: b.n_levels
        for p in design.predictors
        for b in p.blocks
        if b.name != block.name and nested_in(b, block)
    }
    return sorted(inside, key=inside.__getitem__)


def own_effects(design: Design, draws: Draws, factor: str) -> tuple[Own, ...]:
    """The blocks of the factor in all linear predictors, with its draws."""
    return tuple(
        Own(
            predictor=p,
            block=b,
            effects=draws_of(draws, p).effects[b.name].astype(float),
            covariance=draws_of(draws, p).covariance(b.name),
        )
        for p in design.predictors
        for b in p.blocks
        if b.name == factor
    )


def covariates(draws: Draws, chain: Sequence[Layer]) -> Array:
    """What the effects of a level move with: coefficients of their linear predictors, (S, c)."""
    predictors = {o.predictor.parameter: o.predictor for layer in chain for o in layer.own}
    columns = []
    for predictor in predictors.values():
        mine = draws_of(draws, predictor)
        columns += [mine.intercept[:, None], mine.beta]
    return np.concatenate(columns, axis=1)


def without_effects(
    design: Design, draws: Draws, chain: Iterable[Layer], rows: Array
) -> dict[str, Array]:
    """Linear predictors of the rows, (S, rows), but for the effects that are integrated."""
    etas = predictors_of_rows(design, draws, rows)
    for layer in chain:
        for o in layer.own:
            b, z = o.effects[:, o.block.index[rows]], o.block.columns.values[rows]
            name = o.predictor.parameter
            etas[name] = etas[name] - np.einsum("snq,nq->sn", b, z)
    return etas


def integrated(
    design: Design,
    chain: Sequence[Layer],
    etas: dict[str, Array],
    of: predictive.Given,
    rows: Array,
    known: Known,
) -> Array:
    """log p(y_rows) at each of the known, (N,); the levels of a layer are independent."""
    if not chain:
        value = predictive.log_density(design.response[rows], etas, of)
        return np.asarray(
            value.sum(axis=1) if design.weights is None else value @ design.weights[rows]
        )
    total = np.zeros(len(known.draw))
    index = chain[0].index[rows]
    for j in np.unique(index):
        at = np.flatnonzero(index == j)
        mine = {name: eta[:, at] for name, eta in etas.items()}
        total += one_level(design, chain, mine, of.at(at), rows[at], int(j), known)
    return total


def one_level(
    design: Design,
    chain: Sequence[Layer],
    etas: dict[str, Array],
    of: predictive.Given,
    rows: Array,
    j: int,
    known: Known,
) -> Array:
    """log int p(y_j | b) Normal(b; 0, Sigma) db at each of the known, (N,)."""
    layer, deeper = chain[0], chain[1:]
    guide = effects_of(layer.guide, j)
    slope, left = regression(guide, known.guide)
    mean = guide.mean(axis=0) + (known.value - known.guide.mean(axis=0)) @ slope
    prior = root(blocks_of([o.covariance for o in layer.own]))[known.draw]
    found = None if deeper else quadrature(design, layer, etas, of, rows, prior, mean)
    if found is None:
        spread = root(left.T @ left / len(left) * WIDER**2)
        found = mixture(layer, j, prior, mean, spread)
    made, log_weight = found
    value = np.empty(log_weight.shape)
    below = int(np.prod([2 * each.points for each in deeper]))
    step = max(1, (PIECE if deeper else CACHED) // (len(mean) * len(rows) * below))
    for start in range(0, made.shape[1], step):
        some = made[:, start : start + step]
        inner = inner_known(known, some, guide) if deeper else known
        moved = moved_predictors(etas, layer, rows, some)
        own = integrated(design, deeper, moved, repeated(of, some.shape[1]), rows, inner)
        value[:, start : start + step] = own.reshape(-1, some.shape[1])
    return np.asarray(logsumexp(value + log_weight, axis=1))


def inner_known(known: Known, some: Array, guide: Array) -> Known:
    """What the effects within a level are predicted from at each of its points."""
    count = some.shape[1]
    return Known(
        value=np.hstack([np.repeat(known.value, count, axis=0), some.reshape(-1, some.shape[2])]),
        guide=np.hstack([known.guide, guide]),
        draw=np.repeat(known.draw, count),
    )


# --- the points -----------------------------------------------------------------------------------


def quadrature(
    design: Design,
    layer: Layer,
    etas: dict[str, Array],
    of: predictive.Given,
    rows: Array,
    prior: Array,
    near: Array,
) -> tuple[Array, Array] | None:
    """Nodes around the mode (N, points, d), and their log weights (N, points).

    None where the integrand may have several modes, has too many dimensions, or its mode is not
    found. ``prior`` (N, d, d) are lower factors, ``near`` (N, d) effects close to the mode.
    """
    only_mean = [o.predictor.parameter for o in layer.own] == [""]
    if not only_mean or design.family.name not in ONE_MODE or layer.dimension not in NODES:
        return None
    with np.errstate(all="ignore"):
        found = mode(design, layer.own[0].block.columns.values[rows], etas, of, rows, prior, near)
    if found is None:
        return None
    z, curvature = found
    nodes, log_weight = hermite_nodes(layer.dimension)
    lower = np.linalg.cholesky(curvature)
    at = z[:, None] + nodes @ np.linalg.inv(lower)
    log_det = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    gauss = 0.5 * np.square(nodes).sum(axis=1) - 0.5 * np.square(at).sum(axis=2)
    return at @ np.swapaxes(prior, 1, 2), log_weight + gauss - log_det[:, None]


def mode(
    design: Design,
    Z: Array,
    etas: dict[str, Array],
    of: predictive.Given,
    rows: Array,
    prior: Array,
    near: Array,
) -> tuple[Array, Array] | None:
    """Newton's steps to z^ (N, d), shorter where they are long, and the curvature there."""
    q = Z.shape[1]
    back, squares = np.swapaxes(prior, 1, 2), (Z[:, :, None] * Z[:, None, :]).reshape(-1, q * q)
    # a draw with a small sd is farther from the guide than its own effects are
    z = np.clip(np.linalg.solve(prior, near[..., None])[..., 0], -3, 3)
    for _ in range(NEWTON):
        eta = etas[""] + (prior @ z[..., None])[..., 0] @ Z.T
        score, weight = slopes(design, etas | {"": eta}, of, rows)
        curvature = np.eye(q) + back @ (weight @ squares).reshape(-1, q, q) @ prior
        gradient = (back @ (score @ Z)[..., None])[..., 0] - z
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        length = np.einsum("nq,nq->n", step, gradient)
        if not np.isfinite(length).all():
            return None
        z = z + step / np.where(length > 1, 1 + np.sqrt(length), 1)[:, None]
        if length.max() < CLOSE:
            return z, curvature
    return None


def slopes(
    design: Design, etas: dict[str, Array], of: predictive.Given, rows: Array
) -> tuple[Array, Array]:
    """The first derivative of the log density of each row, minus the second, (N, rows)."""
    y, eta = design.response[rows], etas[""]
    unit = ROW_STEP * response_scale(design)
    up, down = (predictive.slope(y, etas | {"": eta + e}, of) for e in (unit, -unit))
    score, weight = (up + down) / 2, np.maximum((down - up) / (2 * unit), 0)
    if design.weights is None:
        return score, weight
    return score * design.weights[rows], weight * design.weights[rows]


@cache
def hermite_nodes(dimension: int) -> tuple[Array, Array]:
    """Nodes (points, d) and log weights (points,) of a standard normal distribution."""
    x, v = np.polynomial.hermite_e.hermegauss(NODES[dimension])
    grid = np.meshgrid(*[x] * dimension, indexing="ij")
    each = np.meshgrid(*[np.log(v / v.sum())] * dimension, indexing="ij")
    return np.stack([g.ravel() for g in grid], axis=1), np.sum([w.ravel() for w in each], axis=0)


def effects_of(own: Sequence[Own], j: int) -> Array:
    """The effects of one level in all linear predictors, (S, d)."""
    return np.concatenate([o.effects[:, j] for o in own], axis=1)


def mixture(layer: Layer, j: int, prior: Array, mean: Array, spread: Array) -> tuple[Array, Array]:
    """Points (N, points, d), and the log of the prior's density by that of the mixture and number.

    ``prior`` (N, d, d) and ``spread`` (d, d) are lower factors; a level has points of its own.
    """
    normal = normal_points(layer.dimension, 2 * layer.points, seed=layer.seed + j)
    first, second = normal[: layer.points], normal[layer.points :]
    made = np.concatenate(
        [first @ np.swapaxes(prior, 1, 2), mean[:, None] + second @ spread.T], axis=1
    )
    log_prior = log_normal(made, prior)
    log_own = log_normal(made - mean[:, None], spread[None])
    by_mixture = log_prior - np.logaddexp(log_prior, log_own) + np.log(2)
    return made, by_mixture - np.log(made.shape[1])


def normal_points(dimension: int, n: int, *, seed: int) -> Array:
    """Quasi-random standard normal points, (n, d); n is a power of two."""
    from scipy.stats import qmc

    engine = qmc.MultivariateNormalQMC(np.zeros(dimension), rng=np.random.default_rng(seed))
    return np.asarray(engine.random(n))


def moved_predictors(
    etas: dict[str, Array], layer: Layer, rows: Array, some: Array
) -> dict[str, Array]:
    """Linear predictors at each of the known and point, (N * points, rows)."""
    count, start = some.shape[1], 0
    moved = {name: np.repeat(eta, count, axis=0) for name, eta in etas.items()}
    for o in layer.own:
        z, name = o.block.columns.values[rows], o.predictor.parameter
        at = slice(start, start + z.shape[1])
        moved[name] = moved[name] + (some[..., at] @ z.T).reshape(moved[name].shape)
        start += z.shape[1]
    return moved


def blocks_of(parts: list[Array]) -> Array:
    """Covariances side by side, (S, d, d)."""
    size = sum(p.shape[1] for p in parts)
    found, at = np.zeros((len(parts[0]), size, size)), 0
    for part in parts:
        q = part.shape[1]
        found[:, at : at + q, at : at + q] = part
        at += q
    return found


def root(covariance: Array) -> Array:
    """A lower factor; a little is added, as an sd may be zero."""
    size = covariance.shape[-1]
    scale = np.sqrt(np.maximum(np.diagonal(covariance, axis1=-2, axis2=-1), 1e-16))
    correlation = covariance / (scale[..., :, None] * scale[..., None, :])
    correlation = correlation + 1e-8 * np.eye(size)
    return np.asarray(scale[..., :, None] * np.linalg.cholesky(correlation))


def log_normal(x: Array, lower: Array) -> Array:
    """log Normal(x; 0, L L') over the last axis of x (S, n, d), L (S or 1, d, d)."""
    z = x @ np.swapaxes(np.linalg.inv(lower), 1, 2)
    log_det = np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(axis=-1)
    size = x.shape[-1]
    return -0.5 * np.einsum("snq,snq->sn", z, z) - log_det[:, None] - 0.5 * size * np.log(2 * np.pi)


def regression(b: Array, given: Array) -> tuple[Array, Array]:
    """Slopes (c, d) and residuals (S, d) of the draws of b on those of others."""
    x = given - given.mean(axis=0)
    centred = b - b.mean(axis=0)
    slope = np.linalg.lstsq(x, centred, rcond=1e-8)[0]
    return slope, centred - x @ slope


def repeated(of: predictive.Given, count: int) -> predictive.Given:
    """The parameters of each draw, once for each point."""
    return replace(
        of,
        constants={
            k: np.repeat(v, count, axis=0) if v.shape[0] > 1 else v for k, v in of.constants.items()
        },
    )
