"""A level left out of any model, its own effects integrated by importance sampling in each draw.

    p(y_j | beta, theta) = int p(y_j | b, beta, theta) Normal(b; 0, Sigma) db

Half of the points are drawn from Normal(0, Sigma), half from a normal fitted to the posterior draws
of b_j given the draw's coefficients, with a wider spread, and all are weighted by the density of
the mixture (the balance heuristic): the first keep weights bounded where a draw's sd is small or
its levels lie far out, the second put points where the rows of the level are.

The coefficients and the effects of other factors are those of the draw; importance sampling over
draws then leaves the level out of their posterior. Of a level that has levels of another factor
within it their effects would have to be integrated, too, in many dimensions; that is refused.

Source: Merkle, Furr & Rabe-Hesketh 2019, Psychometrika 84; Veach & Guibas 1995, SIGGRAPH, for the
mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hiermodels import predictive
from hiermodels.checks import own_given, predictors_of_rows, some_draws
from hiermodels.design import Block, Design, Predictor, nested_in
from hiermodels.draws import Draws
from hiermodels.errors import NotAvailableError
from hiermodels.prediction import draws_of

__all__ = ["integrated_groups"]

type Array = np.ndarray

#: Points of a level and draw, of each half; the posterior's sd is multiplied by `WIDER`.
POINTS, WIDER = 64, 1.5
#: Numbers of (draws, points, rows) that are worth it, and of those at a time.
WORK, PIECE = 150_000_000, 2_000_000
FEWEST, MOST = 200, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The effects of one factor in one linear predictor. Made by `own_effects`."""

    predictor: Predictor
    block: Block
    effects: Array
    covariance: Array


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

    Raises
    ------
    NotAvailableError
        A factor with the levels of another within its own.
    """
    most = int(np.clip(WORK / (2 * POINTS * design.n), FEWEST, MOST))
    some = some_draws(draws, most)
    own = own_effects(design, some, factor)
    block = own[0].block
    levels = range(block.n_levels) if only is None else [only]
    found = np.empty((some.n, len(levels)))
    of = own_given(design, some)
    normal = points(sum(len(o.block.terms) for o in own), seed=seed)
    for k, j in enumerate(levels):
        rows = np.flatnonzero(block.index == j)
        b, x = effects_of(own, j), covariates(some, own)
        mean, spread = conditional(b, x) if near is None else elsewhere(design, near, factor, j, x)
        found[:, k] = integrate_level(design, some, own, of.at(rows), rows, j, normal, mean, spread)
    return found


def effects_of(own: list[Own], j: int) -> Array:
    """The effects of one level in all linear predictors, (S, d)."""
    return np.concatenate([o.effects[:, j] for o in own], axis=1)


def elsewhere(
    design: Design, near: Draws, factor: str, j: int, given: Array
) -> tuple[Array, Array]:
    """As `conditional`, from the draws of another posterior, at these coefficients."""
    some = some_draws(near, MOST)
    own = own_effects(design, some, factor)
    b, x = effects_of(own, j), covariates(some, own)
    slope, left = regression(b, x)
    return b.mean(axis=0) + (given - x.mean(axis=0)) @ slope, left.T @ left / len(left)


def own_effects(design: Design, draws: Draws, factor: str) -> list[Own]:
    """The blocks of the factor in all linear predictors, with its draws."""
    blocks = [(p, b) for p in design.predictors for b in p.blocks]
    own = [(p, b) for p, b in blocks if b.name == factor]
    for _, other in blocks:
        if other.name != factor and nested_in(other, own[0][1]):
            raise NotAvailableError(
                f"{other.name!r} lies within {factor!r}: beyond the Gaussian a level can be left "
                f"out only of the finest factor, here logo({other.name!r})"
            )
    return [
        Own(
            predictor=p,
            block=b,
            effects=draws_of(draws, p).effects[b.name].astype(float),
            covariance=draws_of(draws, p).covariance(b.name),
        )
        for p, b in own
    ]


def points(dimension: int, *, seed: int) -> Array:
    """Quasi-random standard normal points, (2 POINTS, d): the halves of the mixture."""
    from scipy.stats import qmc

    engine = qmc.MultivariateNormalQMC(np.zeros(dimension), rng=np.random.default_rng(seed))
    return np.asarray(engine.random(2 * POINTS))


def integrate_level(
    design: Design,
    draws: Draws,
    own: list[Own],
    of: predictive.Given,
    rows: Array,
    j: int,
    normal: Array,
    mean: Array,
    spread: Array,
) -> Array:
    """One level in each draw, (S,); ``mean`` (S, d), ``spread`` (d, d) say where its rows are."""
    prior = blocks_of([o.covariance for o in own])
    prior_root, spread_root = root(prior), root(spread * WIDER**2)
    first, second = normal[:POINTS], normal[POINTS:]
    made = np.concatenate(
        [
            first @ np.swapaxes(prior_root, 1, 2),
            mean[:, None] + second @ spread_root.T,
        ],
        axis=1,
    )
    log_prior = log_normal(made, prior_root)
    log_own = log_normal(made - mean[:, None], spread_root[None])
    log_mixture = np.logaddexp(log_prior, log_own) - np.log(2)
    log_likelihood = at_points(design, draws, own, of, rows, j, made)
    total = log_likelihood + log_prior - log_mixture
    top = total.max(axis=1)
    return np.asarray(top + np.log(np.exp(total - top[:, None]).mean(axis=1)))


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


def covariates(draws: Draws, own: list[Own]) -> Array:
    """What the effects of a level move with: coefficients of its linear predictors, (S, c)."""
    columns = []
    for o in own:
        mine = draws_of(draws, o.predictor)
        columns += [mine.intercept[:, None], mine.beta]
    return np.concatenate(columns, axis=1)


def conditional(b: Array, given: Array) -> tuple[Array, Array]:
    """Mean (S, d) and covariance (d, d) of the draws of b given others, by least squares."""
    _, left = regression(b, given)
    return b - left, left.T @ left / len(left)


def regression(b: Array, given: Array) -> tuple[Array, Array]:
    """Slopes (c, d) and residuals (S, d) of the draws of b on those of others."""
    x = given - given.mean(axis=0)
    centred = b - b.mean(axis=0)
    slope = np.linalg.lstsq(x, centred, rcond=1e-8)[0]
    return slope, centred - x @ slope


def at_points(
    design: Design,
    draws: Draws,
    own: list[Own],
    of: predictive.Given,
    rows: Array,
    j: int,
    made: Array,
) -> Array:
    """log p(y_j | b) at every point, (S, points)."""
    etas = predictors_of_rows(design, draws, rows)
    y = design.response[rows]
    weights = np.ones(len(rows)) if design.weights is None else design.weights[rows]
    columns, starts = {}, 0
    for o in own:
        z = o.block.columns.values[rows]
        name, q = o.predictor.parameter, len(o.block.terms)
        etas[name] = etas[name] - o.effects[:, j] @ z.T
        columns[name] = (z, slice(starts, starts + q))
        starts += q
    found = np.empty(made.shape[:2])
    step = max(1, PIECE // (draws.n * len(rows)))
    for at in range(0, made.shape[1], step):
        some = made[:, at : at + step]
        moved = moved_predictors(etas, columns, some)
        value = predictive.log_density(y, moved, repeated(of, some.shape[1]))
        found[:, at : at + step] = (value @ weights).reshape(draws.n, -1)
    return found


def moved_predictors(
    etas: dict[str, Array], columns: dict[str, tuple[Array, slice]], some: Array
) -> dict[str, Array]:
    """Linear predictors at each draw and point, (S * points, rows)."""
    count = some.shape[1]
    moved = {}
    for name, eta in etas.items():
        each = np.repeat(eta, count, axis=0)
        if name in columns:
            z, at = columns[name]
            each = each + (some[..., at] @ z.T).reshape(each.shape)
        moved[name] = each
    return moved


def repeated(of: predictive.Given, count: int) -> predictive.Given:
    """The parameters of each draw, once for each point."""
    return replace(
        of,
        constants={
            k: np.repeat(v, count, axis=0) if v.shape[0] > 1 else v for k, v in of.constants.items()
        },
    )
