"""Complete, no and partial pooling of the levels of one factor, and how much each is shrunk.

    complete   one coefficient for all levels: least squares without the groups
    no         each level its own: least squares with the level's columns as common effects
    partial    the posterior of the hierarchical model

    reliability  lambda_jk = 1 - Var(b_jk | y, beta, theta) / Var(b_jk | theta)

in the balanced case tau^2 / (tau^2 + sigma^2 / n). Intercepts are at the mean of x, where a raw
estimate is an estimate and not an extrapolation; slopes are per unit of x. Shrinkage is
1 - lambda: how little the data say of the effect of a level, given the sds. It is the part of the
way from the raw estimate to the common one only where a level has a single effect: correlated
effects inform each other, and one of them can move away from the common one.

Source: Gelman & Hill 2007, chapter 12; Gelman & Pardoe 2006, Technometrics 48, pooling factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri, stdtrit

from hiermodels.design import INTERCEPT, Block, Design, coarser, effect_columns
from hiermodels.numbers.draws import Draws, standard_covariance
from hiermodels.numbers.expected import fitted_rows, is_linear, mean_parameters, spread_indices
from hiermodels.numbers.points import points_of
from hiermodels.numbers.working import mean_rows, needs_working, working_response, working_weights
from hiermodels.threads import one_thread

__all__ = [
    "Pooled",
    "Population",
    "Raw",
    "complete_pooling",
    "no_pooling",
    "partial_pooling",
    "population",
    "reliabilities",
    "reliability",
]

type Array = np.ndarray

#: Rows times draws that are worth a working weight each.
WORKING = 2e7
#: Elements of M^-1 that are worth computing for a mean over draws that hardly varies.
WORK = 2e10


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Least-squares estimates with their intervals. ``estimate``, ``lower``, ``upper`` (J, q)."""

    estimate: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """Partial pooling. ``values`` (S, J, q) coefficients, ``reliability`` (draws, J, q)."""

    values: Array
    reliability: Array


def precision(design: Design) -> Array:
    """What each row weighs: its count, or the inverse of its known variance."""
    if design.se is not None:
        return 1 / design.se**2
    return np.ones(design.n) if design.weights is None else design.weights


def user_scale(block: Block) -> Array:
    """From standardised coefficients to those per unit of x, intercepts left at the mean."""
    return np.where([t == INTERCEPT for t in block.terms], 1.0, 1 / block.columns.scale)


def has_intercept(design: Design) -> bool:
    """Whether the model has a common level: thresholds have the place of one."""
    return design.intercept or design.family.name == "ordinal"


#: Steps of the scoring at most; where it stops; on the link scale, how far out a level says
#: nothing more, and how wide an interval says nothing.
STEPS, CLOSE, FAR, WIDE = 60, 1e-9, 12.0, 100.0


def scored(
    design: Design,
    draws: Draws,
    block: Block,
    squares: Callable[[Design], tuple[Raw, Array]],
) -> Raw:
    """Fisher scoring: weighted least squares of the working response until it does not move.

    Source: McCullagh & Nelder 1989, Generalized Linear Models, chapter 2.
    """
    if design.family.name == "lognormal":
        return squares(replace(design, response=np.log(design.response)))[0]
    if is_linear(design):
        return squares(design)[0]
    eta, aux = mean_rows(design, draws)
    for _ in range(STEPS):
        working = working_response(design, eta, aux)
        known = 1 / np.sqrt(working.weights)
        raw, fitted = squares(replace(design, response=working.response, se=known, weights=None))
        # a step of more than 2 overshoots where the link is flat
        new = np.clip(eta + np.clip(fitted - eta, -2, 2), -2 * FAR, 2 * FAR)
        moved = np.abs(new - eta)[np.abs(new) < FAR].max(initial=0.0)
        eta = new
        if moved < CLOSE:
            break
    lost = ~((raw.upper - raw.lower) / user_scale(block) < WIDE)
    return Raw(
        estimate=np.where(lost, np.nan, raw.estimate),
        lower=np.where(lost, np.nan, raw.lower),
        upper=np.where(lost, np.nan, raw.upper),
    )


def least_squares(design: Design, y: Array, x: Array) -> tuple[Array, Array, float, float]:
    """Coefficients, their unscaled covariance, residual variance and degrees of freedom."""
    root = np.sqrt(precision(design))
    xw, yw = x * root[:, None], y * root
    inverse = np.linalg.pinv(xw.T @ xw, hermitian=True)
    coefficients = inverse @ (xw.T @ yw)
    df = float(design.n - np.linalg.matrix_rank(xw))
    if design.weights is not None:
        df += float(design.weights.sum() - design.n)
    residual = yw - xw @ coefficients
    variance = 1.0 if design.se is not None else float(residual @ residual) / max(df, 1.0)
    return coefficients, inverse, variance, df


def interval(estimate: Array, variance: Array, df: float, ci_prob: float, design: Design) -> Raw:
    quantile = (
        ndtri((1 + ci_prob) / 2)
        if design.se is not None
        else stdtrit(max(df, 1.0), (1 + ci_prob) / 2)
    )
    half = quantile * np.sqrt(np.maximum(variance, 0))
    return Raw(estimate=estimate, lower=estimate - half, upper=estimate + half)


def complete_pooling(design: Design, draws: Draws, block: Block, *, ci_prob: float) -> Raw:
    """One set of coefficients for all levels; a term that is not common is zero: (J, q)."""
    return scored(design, draws, block, lambda d: complete_squares(d, block, ci_prob=ci_prob))


def complete_squares(design: Design, block: Block, *, ci_prob: float) -> tuple[Raw, Array]:
    """The same by least squares, and the fitted values."""
    x = design.common.standardised
    names = list(design.terms)
    if has_intercept(design):
        x, names = np.column_stack([np.ones(design.n), x]), [INTERCEPT, *names]
    estimate, variance = np.zeros(len(block.terms)), np.zeros(len(block.terms))
    coefficients, inverse, s2, df = least_squares(design, design.response - design.offset, x)
    for k, term in enumerate(block.terms):
        if term in names:
            at = names.index(term)
            estimate[k], variance[k] = coefficients[at], inverse[at, at] * s2
    scale = user_scale(block)
    one = interval(estimate * scale, variance * scale**2, df, ci_prob, design)
    rows = (block.n_levels, 1)
    raw = Raw(
        estimate=np.tile(one.estimate, rows),
        lower=np.tile(one.lower, rows),
        upper=np.tile(one.upper, rows),
    )
    return raw, design.offset + x @ coefficients


def outside_terms(design: Design, block: Block) -> tuple[list[str], Array]:
    """The common columns that the block does not have, standardised, the intercept among them."""
    kept = [i for i, term in enumerate(design.terms) if term not in block.terms]
    names = [design.terms[i] for i in kept]
    columns = design.common.standardised[:, kept]
    if has_intercept(design) and INTERCEPT not in block.terms:
        return [INTERCEPT, *names], np.column_stack([np.ones(design.n), columns])
    return names, columns


def no_pooling(design: Design, draws: Draws, block: Block, *, ci_prob: float) -> Raw:
    """Each level its own coefficients, on the scale of the linear predictor: (J, q).

    Least squares with one residual sd, beyond the Gaussian the quasi-likelihood of the family's
    mean and variance, its own parameters at their posterior means. NaN where the level's rows
    cannot say, such as a level without a single success.
    """
    return scored(design, draws, block, lambda d: no_squares(d, draws, block, ci_prob=ci_prob))


def no_squares(design: Design, draws: Draws, block: Block, *, ci_prob: float) -> tuple[Raw, Array]:
    """The same by least squares, and the fitted values.

    Common columns outside the block are estimated within levels; those that do not vary within
    any level have their posterior mean, as nothing else is known of them. NaN where the level's
    own rows cannot say.
    """
    names, other = outside_terms(design, block)
    y = design.response - design.offset
    z, weights = block.columns.standardised, precision(design)
    own = [np.flatnonzero(block.index == j) for j in range(block.n_levels)]
    inside = np.array([within_level(z, other[:, k], weights, own) for k in range(len(names))])
    for k in np.flatnonzero(inside <= 1e-9 * (1 + np.abs(other).max(axis=0, initial=0.0))):
        y = y - other[:, k] * posterior_mean(design, draws, names[k])
    varying = other[:, inside > 1e-9 * (1 + np.abs(other).max(axis=0, initial=0.0))]
    projected = np.column_stack([project(z, c, weights, own) for c in [*varying.T, y]])
    x, target = projected[:, :-1], projected[:, -1]
    root = np.sqrt(weights)
    gamma_covariance = np.linalg.pinv((x * root[:, None]).T @ (x * root[:, None]), hermitian=True)
    gamma = gamma_covariance @ (x.T @ (weights * target))
    rank = sum(np.linalg.matrix_rank(z[rows]) for rows in own) + x.shape[1]
    n = design.weights.sum() if design.weights is not None else design.n
    residual = target - x @ gamma
    df = float(n - rank)
    s2 = 1.0 if design.se is not None else float(weights @ residual**2) / max(df, 1.0)
    estimate = np.full((block.n_levels, len(block.terms)), np.nan)
    variance, whole = np.full_like(estimate, np.nan), np.zeros_like(estimate)
    for j, rows in enumerate(own):
        zw = z[rows] * root[rows, None]
        known = estimable(zw)
        pseudo = np.linalg.pinv(zw)
        carried = pseudo @ (varying[rows] * root[rows, None])
        value = pseudo @ (root[rows] * (y[rows] - varying[rows] @ gamma))
        spread = np.diag(pseudo @ pseudo.T) + np.diag(carried @ gamma_covariance @ carried.T)
        whole[j] = value
        estimate[j, known], variance[j, known] = value[known], (spread * s2)[known]
    if df < 1 and design.se is None:
        variance[:] = np.nan
    own_fit = np.einsum("nq,nq->n", z, whole[block.index])
    scale = user_scale(block)
    raw = interval(estimate * scale, variance * scale**2, df, ci_prob, design)
    return raw, design.response - y + varying @ gamma + own_fit


def posterior_mean(design: Design, draws: Draws, term: str) -> float:
    """Of one standardised common coefficient; the intercept is at the mean of x."""
    if term == INTERCEPT:
        return float((draws.intercept + draws.beta @ design.common.center).mean())
    at = design.terms.index(term)
    return float(draws.beta[:, at].mean() * design.common.scale[at])


def estimable(z: Array) -> Array:
    """Which coefficients the rows of one level determine: those outside the null space of z."""
    _, s, vt = np.linalg.svd(z, full_matrices=True)
    rank = int((s > 1e-9 * max(s.max(initial=0.0), 1e-300)).sum())
    return np.abs(vt[rank:]).max(axis=0, initial=0.0) < 1e-7


def project(z: Array, column: Array, weights: Array, own: list[Array]) -> Array:
    """What the columns of each level leave of a column."""
    left = np.empty_like(column)
    for rows in own:
        root = np.sqrt(weights[rows])
        zw = z[rows] * root[:, None]
        left[rows] = column[rows] - z[rows] @ (np.linalg.pinv(zw) @ (root * column[rows]))
    return left


def within_level(z: Array, column: Array, weights: Array, own: list[Array]) -> float:
    return float(np.abs(project(z, column, weights, own)).max(initial=0.0))


def partial_pooling(design: Design, draws: Draws, block: Block) -> Array:
    """Coefficients of each level and draw, intercepts at the mean of x: (S, J, q).

    Common effect, plus the effects of the factors that this one is nested in, plus its own: the
    quantity that the rows of the level estimate.
    """
    draws = draws.with_effects
    back = np.linalg.inv(block.transform)
    values = draws.effects[block.name] @ back.T
    for outer in coarser(design, block):
        parent = np.zeros(block.n_levels, dtype=int)
        parent[block.index] = outer.index
        outer_effects = draws.effects[outer.name] @ np.linalg.inv(outer.transform).T
        for k, term in enumerate(block.terms):
            if term in outer.terms:
                values[:, :, k] += outer_effects[:, parent, outer.terms.index(term)]
    for k, term in enumerate(block.terms):
        if term == INTERCEPT and has_intercept(design):
            values[:, :, k] += (draws.intercept + draws.beta @ design.common.center)[:, None]
        elif term in design.terms:
            at = design.terms.index(term)
            values[:, :, k] += draws.beta[:, at, None] * block.columns.scale[k]
    return values * user_scale(block)


def reliability(design: Design, draws: Draws, block: Block) -> Array:
    """lambda_jk of each draw, given beta: (draws, J, q), in [0, 1].

    Var(b | y, beta, theta) is a diagonal block of (Lambda' C Lambda + I)^-1 over all factors, with
    C the cross-products of their columns, each row by the inverse of its variance; beyond the
    Gaussian by its working weight at the draw. With several factors fewer draws are taken: lambda
    hardly varies between them.
    """
    return reliabilities(design, draws, block)[0]


def reliabilities(design: Design, draws: Draws, block: Block) -> tuple[Array, Array]:
    """The same, and that of the coefficients as they are written, with the intercept at x = 0.

    Of an effect t'b it is ``1 - t' Var(b | y) t / t' Sigma t``, with t a row of T (`Block`).
    """
    q = len(block.terms)
    # two threads wait for each other over matrices as small as these
    with one_thread("blas"):
        found = reliability_of(design, draws, block, np.vstack([np.eye(q), block.transform]))
    return found[:, :, :q], found[:, :, q:]


def reliability_of(design: Design, draws: Draws, block: Block, effects: Array) -> Array:
    """Of combinations ``effects`` (K, q) of the standardised ones, (draws, J, K)."""
    size = sum(b.n_levels * len(b.terms) for b in design.blocks)
    if len(design.blocks) == 1:
        some = Weighted.of(design, draws, int(np.clip(WORK / (1e4 * size), 20, 1000)))
        return reliability_one(design, some, block, effects)
    some = Weighted.of(design, draws, int(np.clip(WORK / size**3, 20, 400)))
    return reliability_many(design, some, block, effects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Some draws with what the rows weigh at each: ``rows`` (n,) or (S, n) times ``tau`` (S,)."""

    draws: Draws
    rows: Array
    tau: Array

    @classmethod
    def of(cls, design: Design, draws: Draws, at_most: int) -> Weighted:
        if not needs_working(design, draws):
            some = draws.thinned(at_most)
            return cls(draws=some, rows=precision(design), tau=residual_precision(design, some))
        full = draws.with_effects
        at_most = min(at_most, int(np.clip(WORKING / design.n, 20, 400)))
        chosen, points = spread_indices(full.n, at_most), points_of(design)
        rows = np.array(
            [working_weights(design, *fitted_rows(design, full, points, s)) for s in chosen]
        )
        return cls(draws=full.without_effects(chosen), rows=rows, tau=np.ones(len(chosen)))

    def at(self, s: int) -> Array:
        """The weights of the rows at one draw: (n,)."""
        return np.asarray(self.rows if self.rows.ndim == 1 else self.rows[s])


def root_covariance(draws: Draws, block: Block) -> Array:
    """Lambda with Lambda Lambda' = Sigma_g, standardised: (S, q, q); an sd of zero is allowed."""
    values, vectors = np.linalg.eigh(standard_covariance(draws, block))
    return vectors * np.sqrt(np.maximum(values, 0))[:, None, :]


def residual_precision(design: Design, draws: Draws) -> Array:
    """Of the response, or what it says of its location: (S,)."""
    if draws.residual is None:
        return np.ones(draws.n)
    if design.family.name == "student":
        nu = mean_parameters(design, draws)["nu"]
        return np.asarray((nu + 1) / (nu + 3) / draws.residual**2)
    return np.asarray(1 / draws.residual**2)


def reliability_one(design: Design, some: Weighted, block: Block, effects: Array) -> Array:
    z, q = block.columns.standardised, len(block.terms)
    outer = (z[:, :, None] * z[:, None, :]).reshape(design.n, q * q)
    root = root_covariance(some.draws, block)

    def products(weights: Array) -> Array:
        each = [np.bincount(block.index, weights * c, block.n_levels) for c in outer.T]
        return np.stack(each, axis=-1).reshape(block.n_levels, q, q)

    if some.rows.ndim == 1:
        inner = np.einsum("sak,jab,sbl->sjkl", root, products(some.rows), root, optimize=True)
    else:
        inner = np.stack([r.T @ products(w) @ r for r, w in zip(root, some.rows, strict=True)])
    inverse = np.linalg.inv(inner * some.tau[:, None, None, None] + np.eye(q))
    return explained(effects @ root, inverse)


def explained(root: Array, inverse: Array) -> Array:
    """1 - diag(Lambda V_j Lambda') / diag(Lambda Lambda'); zero variance leaves nothing known."""
    left = np.einsum("ska,sjab,skb->sjk", root, inverse, root, optimize=True)
    prior = (root**2).sum(axis=2)[:, None, :]
    return np.where(prior > 0, 1 - left / np.where(prior > 0, prior, 1), 0.0)


def reliability_many(design: Design, some: Weighted, block: Block, effects: Array) -> Array:
    """With several factors: the inverse over all their effects, of which the factor's blocks."""
    from scipy import sparse

    z = sparse.hstack(
        [effect_columns(b.columns.standardised, b.index, b.n_levels) for b in design.blocks]
    ).tocsr()
    products = (z.T @ (z * some.at(0)[:, None])).toarray()
    roots = [root_covariance(some.draws, b) for b in design.blocks]
    here, q = design.factors.index(block.name), len(block.terms)
    starts = np.cumsum([0, *(b.n_levels * len(b.terms) for b in design.blocks)])
    own, each = slice(starts[here], starts[here + 1]), np.arange(block.n_levels)
    inverses = np.empty((some.draws.n, block.n_levels, q, q))
    for s in range(some.draws.n):
        if some.rows.ndim == 2:
            products = (z.T @ (z * some.at(s)[:, None])).toarray()
        scale = sparse.block_diag(
            [
                sparse.kron(sparse.eye_array(b.n_levels), root[s])
                for b, root in zip(design.blocks, roots, strict=True)
            ]
        ).tocsr()
        m = np.asarray(scale.T @ (scale.T @ products).T) * some.tau[s]
        m[np.diag_indices_from(m)] += 1
        inverse = np.linalg.inv(m)[own, own].reshape(block.n_levels, q, block.n_levels, q)
        inverses[s] = inverse[each, :, each, :]
    return explained(effects @ roots[here], inverses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The estimated distribution of the coefficients of the levels. Made by `population`.

    ``mean`` (q,) and ``covariance`` (q, q), per unit of x, intercepts at the mean of x.
    """

    mean: Array
    covariance: Array


def population(design: Design, draws: Draws, block: Block) -> Population:
    """Normal(common coefficients, Sigma_g): medians of sds and correlations, means of the rest."""
    scale = user_scale(block)
    sigma = standard_covariance(draws, block) * scale[:, None] * scale
    sd = np.sqrt(np.einsum("sqq->sq", sigma))
    spread = np.where(sd > 0, sd, 1.0)
    correlation = np.median(sigma / spread[:, :, None] / spread[:, None, :], axis=0)
    middle = np.median(sd, axis=0)
    mean = np.array([common_at_mean(design, draws, term) for term in block.terms])
    return Population(mean=mean, covariance=correlation * middle[:, None] * middle)


def common_at_mean(design: Design, draws: Draws, term: str) -> float:
    """The common coefficient of a term per unit of x, the intercept at the mean of x."""
    if term == INTERCEPT:
        return posterior_mean(design, draws, term)
    return float(draws.beta[:, design.terms.index(term)].mean()) if term in design.terms else 0.0


def pooling_factor(draws: Draws, block: Block) -> Array:
    """1 - Var_j(E[b_jk]) / E[Var_j(b_jk)], each term: (q,). 1 pools completely, 0 not at all."""
    effects = draws.effects[block.name] @ np.linalg.inv(block.transform).T
    return 1 - effects.mean(axis=0).var(axis=0, ddof=1) / effects.var(axis=1, ddof=1).mean(axis=0)
