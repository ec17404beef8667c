"""How well a model predicts what it has not seen: a row, or a whole group.

    loo    elpd = sum_i log p(y_i | y_-i)        one row left out
    logo   elpd = sum_j log p(y_j | y_-j)        one level left out with all its rows

Both by Pareto-smoothed importance sampling over the posterior draws, by ArviZ: of log p(y_i |
theta), and, for groups, of log p(y_j | y_-j, theta) with the coefficients and all group effects
integrated out exactly where the model is Gaussian (elsewhere: `held_out`). With A = [Z Lambda, X]
and, as in `density`,

    M = A'A / sigma^2 + D_0,    r = A'y / sigma^2 + D_0 m,    u = M^-1 r,    V = M^-1

the rows of level j touch few columns T of A, so that leaving them out needs V_TT alone:

    log p(y_j | y_-j, theta) = -1/2 [ n_j log 2 pi sigma^2 + y_j'y_j / sigma^2
                                      - log |I - V_TT C_j| - r'u + r_-j' u_-j ]

Source: Vehtari, Gelman & Gabry 2017, Stat. Comput. 27; Merkle, Furr & Rabe-Hesketh 2019,
Psychometrika 84, for leaving out groups; Yao et al. 2018, Bayesian Analysis 13, for stacking.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.collapsed import gaussian_problem, not_collapsed
from hiermodels.design import Block, Design, effect_columns
from hiermodels.errors import DataError, ImportanceWarning, NotAvailableError, some_rows
from hiermodels.numbers import predictive
from hiermodels.numbers.draws import Draws, standard_covariance
from hiermodels.numbers.prediction import linear_predictors, predict
from hiermodels.printing import Table
from hiermodels.priors import Priors

if TYPE_CHECKING:
    from hiermodels.density import GaussianProblem

__all__ = [
    "Elpd",
    "check_enough",
    "compare_table",
    "efficiency",
    "fixed_groups",
    "fixed_rows",
    "held_out_coefficients",
    "held_out_groups",
    "leave_out",
    "log_likelihood",
    "not_exact",
    "pareto_smoothed",
    "thinned_for_groups",
    "warn_of",
]

type Array = np.ndarray

#: Numbers of a pointwise log-likelihood, and operations of dense inverses, that are worth it.
MOST, WORK = 50_000_000, 2e10
#: Numbers of units and draws that are weighted at a time.
PIECE = 4_000_000
#: Effects beside the left-out factor's own beyond which a dense inverse takes minutes.
LARGEST = 3000
#: ArviZ fits a tail to the largest fifth of the weights, and to five of them at least.
FEWEST_WEIGHTED = 25
PACKAGE = str(Path(__file__).parents[1])


def log_likelihood(design: Design, draws: Draws) -> Array:
    """log p(y_i | theta, b) of each row and draw, (S, n); of a row that counts w times, w times."""
    full = draws.with_effects if design.blocks else draws
    if full.n * design.n > MOST:
        raise NotAvailableError(
            f"{full.n} draws of {design.n} rows are {full.n * design.n:,} numbers; leave groups "
            "out instead of rows with logo(), or make fewer draws"
        )
    ask = predict(design, full, target="group", kind="mean", seed=0)
    of = predictive.given(design, ask.draws, trials=design.trials)
    found = np.hstack(
        [
            predictive.log_density(design.response[at], etas, of.at(at))
            for at, etas in linear_predictors(ask)
        ]
    )
    return found if design.weights is None else found * design.weights


# --- one group left out ---------------------------------------------------------------------------


def thinned_for_groups(design: Design, draws: Draws) -> Draws:
    """Draws for which the inverses are affordable; with one factor all up to some 1,000 levels."""
    if len(design.blocks) == 1:
        block = design.blocks[0]
        touched = (len(block.terms) + len(design.terms) + 1) ** 2
        return draws.thinned(max(500, MOST // (block.n_levels * touched)))
    size = sum(b.n_levels * len(b.terms) for b in design.blocks)
    return draws.thinned(int(np.clip(WORK / size**3, 100, 1000)))


def not_exact(design: Design, priors: Priors) -> str:
    """Why the coefficients and group effects do not integrate out exactly, or nothing."""
    if design.family.name != "gaussian":
        return f"the family is {design.family.name!r}"
    if design.extras:
        return f"{next(iter(design.extras))} has a formula"
    size = sum(b.n_levels * len(b.terms) for b in design.blocks)
    if len(design.blocks) > 1 and size > LARGEST:
        return f"{size} group effects of several factors are more than {LARGEST}"
    return not_collapsed(design, priors)


def held_out_groups(design: Design, draws: Draws, priors: Priors, block: Block) -> Array:
    """log p(y_j | y_-j, theta) of each draw and level, (S, J); see `not_exact`."""
    return of_levels(design, draws, priors, block, held_out_density)


def held_out_coefficients(
    design: Design, draws: Draws, priors: Priors, block: Block, *, seed: int
) -> tuple[Array, Array]:
    """As `held_out_groups`, (S, J), and draws of the standardised coefficients without each level.

    beta | y_-j, theta is normal, with the mean and covariance that it has in u_-j and V_-j,
    (S, J, p).
    """
    p, rng = int(design.intercept) + len(design.terms), np.random.default_rng(seed)

    def both(left: LeftOut, sigma: Array, *, V: Array, C: Array, u: Array, r: Array) -> Array:
        density = held_out_density(left, sigma, V=V, C=C, u=u, r=r)[..., None]
        if not p:
            return density
        inner = np.eye(V.shape[-1]) - V @ C
        mean = np.linalg.solve(inner, (u - (V @ r[..., None])[..., 0])[..., None])[..., -p:, 0]
        cov = np.linalg.solve(inner, V)[..., -p:, -p:]
        lower = np.linalg.cholesky((cov + np.swapaxes(cov, -1, -2)) / 2)
        noise = lower @ rng.standard_normal((*mean.shape, 1))
        return np.concatenate([density, mean + noise[..., 0]], axis=-1)

    found = of_levels(design, draws, priors, block, both)
    return found[..., 0], found[..., 1:]


def of_levels(
    design: Design, draws: Draws, priors: Priors, block: Block, what: Callable[..., Array]
) -> Array:
    """``what`` of each draw and level, of the parts that `held_out_density` takes, (S, J, ...)."""
    problem = gaussian_problem(design, priors)
    sigma = np.ones(draws.n) if draws.residual is None else draws.residual
    number = [b.name for b in design.blocks].index(block.name)
    if len(design.blocks) == 1:
        return one_factor(problem, root_covariances(design, draws), sigma, what)
    return many_factors(problem, root_covariances(design, draws), sigma, number, what)


def root_covariances(design: Design, draws: Draws) -> list[Array]:
    """R with R R' = Sigma_g of the standardised columns, (S, q, q) each factor."""
    roots = []
    for block in design.blocks:
        values, vectors = np.linalg.eigh(standard_covariance(draws, block))
        roots.append(vectors * np.sqrt(np.maximum(values, 0))[:, None, :])
    return roots


def row_precision(problem: GaussianProblem) -> Array:
    """omega: counts, or inverse known variances."""
    if problem.se is not None:
        return 1 / problem.se**2
    return np.ones(len(problem.y)) if problem.weights is None else problem.weights.astype(float)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What the rows of each left-out level bring, whatever the draw. Made by `left_out`.

    ``n`` sum of counts, ``square`` y'Omega y, ``constant`` the log of known precisions, (J,) each.
    """

    n: Array
    square: Array
    constant: Array

    def level(self, j: int) -> LeftOut:
        return LeftOut(n=self.n[j], square=self.square[j], constant=self.constant[j])


def left_out(problem: GaussianProblem, block: Any) -> LeftOut:
    omega = row_precision(problem)

    def summed(values: Array) -> Array:
        return np.bincount(block.index, weights=values, minlength=block.n_levels)

    known = problem.se is not None
    return LeftOut(
        n=summed(np.ones_like(omega) if known else omega),
        square=summed(omega * problem.y**2),
        constant=summed(0.5 * np.log(omega)) if known else np.zeros(block.n_levels),
    )


def held_out_density(
    left: LeftOut, sigma: Array, *, V: Array, C: Array, u: Array, r: Array
) -> Array:
    """The formula above. V, C (..., k, k), u = u_T and r = r_j (..., k); sigma is (...)."""
    k = V.shape[-1]
    inner = np.eye(k) - V @ C
    _, log_det = np.linalg.slogdet(inner)
    u_without = u - (V @ r[..., None])[..., 0]
    solved = np.linalg.solve(inner, u_without[..., None])
    quadratic = (
        -2 * np.einsum("...k,...k->...", u, r)
        + np.einsum("...k,...kl,...l->...", r, V, r)
        + np.einsum("...k,...kl,...l->...", u_without, C, solved[..., 0])
    )
    n_log = left.n * np.log(2 * np.pi * sigma**2)
    return np.asarray(left.constant - 0.5 * (n_log + left.square / sigma**2 - log_det + quadratic))


def one_factor(
    problem: GaussianProblem,
    roots: list[Array],
    sigma: Array,
    what: Callable[..., Array] = held_out_density,
) -> Array:
    """One factor: each level touches its own effects and the coefficients, (S, J)."""
    block, root = problem.blocks[0], roots[0]
    omega, q, p = row_precision(problem), problem.blocks[0].Z.shape[1], problem.X.shape[1]
    W = np.column_stack([block.Z, problem.X])
    products = np.zeros((block.n_levels, q + p, q + p))
    np.add.at(products, block.index, omega[:, None, None] * W[:, :, None] * W[:, None, :])
    onto_y = np.zeros((block.n_levels, q + p))
    np.add.at(onto_y, block.index, W * (omega * problem.y)[:, None])
    left = left_out(problem, block)
    step = max(1, int(2_000_000 / (block.n_levels * (q + p) ** 2)))
    found = [
        one_factor_piece(
            problem, products, onto_y, left, root[s : s + step], sigma[s : s + step, None], what
        )
        for s in range(0, len(sigma), step)
    ]
    return np.concatenate(found)


def one_factor_piece(
    problem: GaussianProblem,
    products: Array,
    onto_y: Array,
    left: LeftOut,
    root: Array,
    sigma: Array,
    what: Callable[..., Array],
) -> Array:
    """Some of the draws: B_j and F_j the blocks of M of a level, G the rest of M without them."""
    q, p = root.shape[1], problem.X.shape[1]
    scale = np.zeros((len(root), q + p, q + p))
    scale[:, :q, :q] = root
    scale[:, range(q, q + p), range(q, q + p)] = 1
    scale = scale[:, None]
    C = np.swapaxes(scale, -1, -2) @ products @ scale / sigma[..., None, None] ** 2
    r = (np.swapaxes(scale, -1, -2) @ onto_y[..., None])[..., 0] / sigma[..., None] ** 2
    B_inverse = np.linalg.inv(C[..., :q, :q] + np.eye(q))
    F = C[..., :q, q:]
    carried = B_inverse @ F
    prior = 1 / problem.beta_sd**2
    G = (C[..., q:, q:] - np.swapaxes(F, -1, -2) @ carried).sum(axis=1) + np.diag(prior)
    rest = (r[..., q:] - np.einsum("sjqp,sjq->sjp", carried, r[..., :q])).sum(axis=1)
    V_X = np.linalg.inv(G) if p else G
    beta = np.einsum("spr,sr->sp", V_X, rest + prior * problem.beta_mean)
    effects = np.einsum("sjqr,sjr->sjq", B_inverse, r[..., :q]) - np.einsum(
        "sjqp,sp->sjq", carried, beta
    )
    V = np.empty(C.shape)
    V_X = V_X[:, None]
    V[..., q:, q:] = V_X
    V[..., :q, q:] = -carried @ V_X
    V[..., q:, :q] = np.swapaxes(V[..., :q, q:], -1, -2)
    V[..., :q, :q] = B_inverse - V[..., :q, q:] @ np.swapaxes(carried, -1, -2)
    u = np.concatenate([effects, np.broadcast_to(beta[:, None], (*effects.shape[:2], p))], axis=-1)
    return what(left, sigma, V=V, C=C, u=u, r=r)


def many_factors(
    problem: GaussianProblem,
    roots: list[Array],
    sigma: Array,
    number: int,
    what: Callable[..., Array] = held_out_density,
) -> Array:
    """Several factors: a dense V in each draw, of which each level takes what it touches."""
    from scipy import sparse

    omega, block = row_precision(problem), problem.blocks[number]
    columns = [effect_columns(b.Z, b.index, b.n_levels) for b in problem.blocks]
    W = sparse.hstack([*columns, sparse.csr_array(problem.X)]).tocsr()
    weighted = W * omega[:, None]
    C, c = (W.T @ weighted).toarray(), W.T @ (omega * problem.y)
    levels = list(touched(W, weighted, problem.y, block, n_common=problem.X.shape[1]))
    left = left_out(problem, block)
    prior = np.concatenate([np.ones(sum(m.shape[1] for m in columns)), 1 / problem.beta_sd**2])
    start = prior * np.concatenate([np.zeros(len(prior) - problem.X.shape[1]), problem.beta_mean])
    found = []
    step = max(1, int(4_000_000 / len(prior) ** 2))
    for at in (slice(i, i + step) for i in range(0, len(sigma), step)):
        scale = dense_scale(problem, [root[at] for root in roots])
        V, u = dense_inverse(scale, C, c, prior, start, sigma[at])
        each = [
            held_out_level(
                scale, V, u, sigma[at], columns_of, products, onto_y, left.level(j), what
            )
            for j, (columns_of, products, onto_y) in enumerate(levels)
        ]
        found.append(np.stack(each, axis=1))
    return np.concatenate(found)


def dense_scale(problem: GaussianProblem, roots: list[Array]) -> Array:
    """Lambda: the root covariance of every level, and ones for the coefficients, (S, d, d)."""
    size = sum(b.n_levels * b.Z.shape[1] for b in problem.blocks) + problem.X.shape[1]
    scale = np.zeros((len(roots[0]), size, size))
    start = 0
    for block, root in zip(problem.blocks, roots, strict=True):
        q = root.shape[1]
        for j in range(block.n_levels):
            own = slice(start + j * q, start + (j + 1) * q)
            scale[:, own, own] = root
        start += block.n_levels * q
    scale[:, range(start, size), range(start, size)] = 1
    return scale


def dense_inverse(
    scale: Array, C: Array, c: Array, prior: Array, start: Array, sigma: Array
) -> tuple[Array, Array]:
    """V = M^-1 and u = V r, (S, d, d) and (S, d)."""
    back = np.swapaxes(scale, 1, 2)
    M = back @ C @ scale / sigma[:, None, None] ** 2
    M[:, range(len(prior)), range(len(prior))] += prior
    V = np.linalg.inv(M)
    r = back @ c / sigma[:, None] ** 2 + start
    return V, (V @ r[..., None])[..., 0]


def held_out_level(
    scale: Array,
    V: Array,
    u: Array,
    sigma: Array,
    at: Array,
    products: Array,
    onto_y: Array,
    left: LeftOut,
    what: Callable[..., Array],
) -> Array:
    """One level in each draw, (S, ...)."""
    own = scale[:, at[:, None], at]
    back = np.swapaxes(own, 1, 2)
    return what(
        left,
        sigma,
        V=V[:, at[:, None], at],
        C=back @ products @ own / sigma[:, None, None] ** 2,
        u=u[:, at],
        r=back @ onto_y / sigma[:, None] ** 2,
    )


def touched(
    W: Any, weighted: Any, y: Array, block: Any, *, n_common: int
) -> Iterator[tuple[Array, Array, Array]]:
    """For each level: the columns of its rows, and all coefficients, and their products."""
    common = np.arange(W.shape[1] - n_common, W.shape[1])
    for j in range(block.n_levels):
        rows = np.flatnonzero(block.index == j)
        own, own_weighted = W[rows], weighted[rows]
        at = np.union1d(own.indices, common)
        yield at, (own[:, at].T @ own_weighted[:, at]).toarray(), own_weighted[:, at].T @ y[rows]


# --- models without group effects -----------------------------------------------------------------


def fixed_rows(design: Design, draws: Draws, priors: Priors) -> Array:
    """log p(y_i | y_-i, theta) of each draw and row of a model without groups, (S, n).

    Gaussian, the coefficients integrated out, with the covariance K of all rows given sigma,

        y_i | y_-i ~ Normal(y_i - (K^-1 r)_i / K^-1_ii,  1 / K^-1_ii),    r = y - X m_0
        K = sigma^2 I + A A',    A = X diag(s_0) = U diag(s) W'

    so that a fixed-effect fit with few rows a coefficient is scored as well as any. Elsewhere
    log p(y_i | theta), which importance sampling has to correct.
    """
    known = design.weights is not None or design.se is not None
    if known or not_exact(design, priors) or draws.n * design.n > MOST:
        return log_likelihood(design, draws)
    problem = gaussian_problem(design, priors)
    r = problem.y - problem.X @ problem.beta_mean
    U, s, _ = np.linalg.svd(problem.X * problem.beta_sd, full_matrices=False)
    variance = np.asarray(draws.residual)[:, None] ** 2
    # K^-1 = I / sigma^2 - U diag(s^2 / (sigma^2 (sigma^2 + s^2))) U'
    taken = s**2 / (variance * (variance + s**2))
    precision = 1 / variance - taken @ (U**2).T
    solved = r / variance - (taken * (U.T @ r)) @ U.T
    return np.asarray(0.5 * np.log(precision / (2 * np.pi)) - 0.5 * solved**2 / precision)


def fixed_groups(design: Design, draws: Draws, priors: Priors, block: Block) -> Array:
    """log p(y_j | y_-j, theta) of a model without groups, its rows left out level by level, (S, J).

    Gaussian, exactly: a factor whose covariance is zero. Elsewhere, and with known standard errors,
    where nothing but the coefficients has draws, the sum of log p(y_i | theta).
    """
    if design.se is not None or not_exact(design, priors):
        rows = log_likelihood(design, draws)
        return np.stack([rows[:, block.index == j].sum(axis=1) for j in range(block.n_levels)], 1)
    problem = gaussian_problem(design, priors)
    kept = slice(None) if design.weights is None else design.weights > 0
    levels = replace(
        problem.blocks[0],
        name=block.name,
        index=block.index[kept].astype(np.int32),
        n_levels=block.n_levels,
    )
    sigma = np.ones(draws.n) if draws.residual is None else draws.residual
    return one_factor(replace(problem, blocks=(levels,)), [np.zeros((draws.n, 1, 1))], sigma)


# --- importance sampling --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Elpd:
    """Expected log predictive density of what is left out. Made by `leave_out`.

    ``unit`` is ``"row"`` or the grouping factor; ``labels`` of what is left out, ``pointwise`` and
    ``pareto_k`` (units,). ``data`` is ArviZ's own result. ``refitted`` are the labels whose part is
    that of a fit without them, whatever their ``pareto_k``.
    """

    method: str
    unit: str
    labels: tuple[Any, ...]
    pointwise: Array
    pareto_k: Array
    good_k: float
    p: float
    n_draws: int
    data: Any
    refitted: tuple[Any, ...] = ()

    @property
    def elpd(self) -> float:
        return float(self.pointwise.sum())

    @property
    def se(self) -> float:
        return float(np.sqrt(len(self.pointwise) * self.pointwise.var()))

    @property
    def bad(self) -> tuple[Any, ...]:
        """What has too few effective draws: Pareto k above the limit, and no fit without it."""
        return tuple(
            label
            for label, k in zip(self.labels, self.pareto_k, strict=True)
            if k > self.good_k and label not in self.refitted
        )

    def with_parts(self, pointwise: Array, *, refitted: tuple[Any, ...]) -> Elpd:
        """With other figures of some units, in ArviZ's result as well."""
        data = copy(self.data)
        data.elpd_i = data.elpd_i.copy(data=pointwise)
        data.elpd = float(pointwise.sum())
        data.se = float(np.sqrt(len(pointwise) * pointwise.var()))
        return replace(self, pointwise=pointwise, refitted=refitted, data=data)

    @property
    def one(self) -> str:
        """What is left out, whatever the number of the factor's name."""
        return self.unit if self.unit == "row" else f"level of {self.unit}"

    def words(self) -> list[str]:
        """What was found, and whether it can be trusted."""
        lines = [
            f"{self.method}: one {self.one} left out of {len(self.labels)}, {self.n_draws} draws",
            f"elpd {self.elpd:.1f} (standard error {self.se:.1f}), "
            f"effective number of parameters {self.p:.1f}.",
        ]
        if self.refitted:
            lines.append(
                f"Pareto k above {self.good_k:.2f} for {self.count(self.refitted)}: refitted "
                + ("without it." if len(self.refitted) == 1 else "without each of them.")
            )
        if self.bad:
            return [*lines, self.complaint()]
        rest = "All other" if self.refitted else "All"
        return [*lines, f"{rest} Pareto k below {self.good_k:.2f}: the estimate can be trusted."]

    def count(self, some: Sequence[Any]) -> str:
        """How many, and which."""
        shown = ", ".join(map(str, some[:5])) + (", …" if len(some) > 5 else "")
        return f"{len(some)} of {len(self.labels)} ({shown})"

    def complaint(self) -> str:
        them, part = ("it", "its part") if len(self.bad) == 1 else ("them", "their part")
        repair = (
            f"Look at {them}, or fit without {'it' if len(self.bad) == 1 else 'each'}."
            if self.unit == "row"
            else f"logo({self.unit!r}, refit=True) fits without each."
        )
        return (
            f"Pareto k above {self.good_k:.2f} for {self.count(self.bad)}: without {them} the "
            f"posterior is another, and {part} is too uncertain. {repair}"
        )

    def table(self) -> Table:
        """What each unit left out contributes."""
        columns = {self.unit: list(self.labels), "elpd": self.pointwise, "pareto_k": self.pareto_k}
        if self.refitted:
            columns["refitted"] = [label in self.refitted for label in self.labels]
        return Table(columns, title=self.words()[0], note=" ".join(self.words()[1:]))

    def __repr__(self) -> str:
        return "\n".join(self.words())


def leave_out(
    values: Array,
    *,
    labels: Sequence[Any],
    unit: str,
    method: str,
    chains: int,
    told: bool = True,
) -> Elpd:
    """PSIS by ArviZ of log predictive densities, (S, units); ``told`` warns.

    Warns
    -----
    ImportanceWarning
        Pareto k above ArviZ's limit for this number of draws.
    """
    found = smoothed(values, efficiency(values, chains))
    made = Elpd(
        method=method,
        unit=unit,
        labels=tuple(labels),
        pointwise=np.asarray(found.elpd_i),
        pareto_k=np.asarray(found.pareto_k),
        good_k=float(found.good_k),
        p=float(found.p),
        n_draws=len(values),
        data=found,
    )
    if told:
        warn_of(made)
    return made


def warn_of(found: Elpd) -> None:
    """A warning of what is left with a Pareto k too high."""
    if found.bad:
        warnings.warn(found.complaint(), ImportanceWarning, skip_file_prefixes=(PACKAGE,))


def pareto_smoothed(log_density: Array, relative: Any) -> tuple[Array, Array]:
    """ArviZ's log weights of the draws without each unit, (units, S), and their Pareto k.

    Where one draw has all the weight its fit of the tail overflows: k is infinite then.
    """
    from arviz_stats.base import array_stats

    check_enough(log_density.shape[1])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        weights, k = array_stats.psislw(log_density, r_eff=relative)
    return weights, np.where(np.isnan(k), np.inf, k)


def check_enough(n_draws: int) -> None:
    """Refuse importance weights of draws too few for a tail to be fitted."""
    if n_draws < FEWEST_WEIGHTED:
        raise NotAvailableError(
            f"importance weights need at least {FEWEST_WEIGHTED} draws, and these are {n_draws}"
        )


def smoothed(values: Array, relative: float) -> Any:
    """ArviZ's own result, from its smoothed weights ``w_su``, which sum to one over the draws:

        elpd_u = log sum_s w_su p(y_u | theta_s),    p_u = log mean_s p(y_u | theta_s) - elpd_u

    As `arviz_stats.loo`, which takes most of its time over these sums, unit by unit.
    """
    import xarray as xr
    from arviz_stats.utils import ELPDDataLOO

    n_draws, n_units = values.shape
    elpd, shape, within = np.empty(n_units), np.empty(n_units), np.empty(n_units)
    step = max(1, PIECE // n_draws)
    for at in (slice(k, k + step) for k in range(0, n_units, step)):
        some = np.ascontiguousarray(values[:, at].T)
        weights, shape[at] = pareto_smoothed(some, relative)
        elpd[at] = log_sum(weights + some)
        within[at] = log_sum(some) - np.log(n_draws)
    good_k = min(1 - 1 / np.log10(n_draws), 0.7)
    return ELPDDataLOO(
        elpd=float(elpd.sum()),
        se=float(np.sqrt(n_units * elpd.var(ddof=min(1, n_units - 1)))),
        p=float((within - elpd).sum()),
        n_samples=n_draws,
        n_data_points=n_units,
        scale="log",
        warning=bool((shape > good_k).any()),
        good_k=good_k,
        elpd_i=xr.DataArray(elpd, dims="unit"),
        pareto_k=xr.DataArray(shape, dims="unit"),
    )


def log_sum(values: Array) -> Array:
    """log sum_s exp of (units, S)."""
    top = values.max(axis=1, keepdims=True)
    return np.asarray(top[:, 0] + np.log(np.exp(values - top).sum(axis=1)))


def efficiency(values: Array, chains: int) -> float:
    """Effective draws per draw of the predictive densities, the mean over some units."""
    from arviz_stats.base import array_stats

    if len(values) % chains:
        return 1.0
    some = values[:, np.linspace(0, values.shape[1] - 1, min(values.shape[1], 50)).astype(int)]
    shaped = np.exp(some - some.max(axis=0)).reshape(chains, -1, some.shape[1])
    if shaped.shape[1] < 4 or np.ptp(shaped, axis=(0, 1)).min() == 0:
        return 1.0
    effective = array_stats.ess(shaped, chain_axis=0, draw_axis=1, method="mean")
    return float(np.clip(np.nanmean(effective) / len(values), 0.01, 1.0))


def check_comparable(designs: Mapping[str, Design]) -> None:
    """The same response in the same rows: densities of other data say nothing of these."""
    first_name, first = next(iter(designs.items()))
    for name, design in designs.items():
        if design.n != first.n:
            raise DataError(
                f"{name!r} has {design.n} rows and {first_name!r} {first.n}: fit both to the same "
                "rows, those that are complete for all formulas: data.dropna(subset=[...])"
            )
        if not np.array_equal(design.response, first.response):
            raise DataError(f"{name!r} and {first_name!r} {other_response(design, first)}")
        for what, own, theirs in (
            ("trials", design.trials, first.trials),
            ("weights", design.weights, first.weights),
        ):
            if not same(own, theirs):
                raise DataError(
                    f"{name!r} and {first_name!r} have other {what}: a row is not the same row in "
                    "both, and their densities cannot be compared"
                )


def same(one: Array | None, other: Array | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def other_response(design: Design, first: Design) -> str:
    """In what two responses of as many rows differ."""
    if design.response_name != first.response_name:
        return (
            f"have other responses, {design.response_name!r} and {first.response_name!r}; "
            "a density of log y is not one of y"
        )
    y, other = design.response, first.response
    if np.array_equal(np.sort(y), np.sort(other)):
        return "have the same rows in another order: sort the data before both fits"
    rows = some_rows(design.index[y != other])
    return f"have other values of {design.response_name!r}, in {rows}: fit both to the same data"


def compare_table(found: Mapping[str, Elpd]) -> Table:
    """Best first: elpd, difference from the best with its paired standard error, stacking weight.

    ``weight`` are those of the mixture of all models with the best predictions together.
    """
    from arviz_stats import compare

    units = {e.unit for e in found.values()}
    labels = {e.labels for e in found.values()}
    if len(units) > 1 or len(labels) > 1:
        raise DataError("compare models by the same units left out: all rows, or one factor")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Estimated shape parameter")
        made = compare({k: e.data for k, e in found.items()}, method="stacking", round_to="none")
    first = next(iter(found.values()))
    best = found[str(made.index[0])].pointwise
    gaps = {name: found[str(name)].pointwise - best for name in made.index}
    return Table(
        {
            "model": list(map(str, made.index)),
            "elpd": [found[str(n)].elpd for n in made.index],
            "se": [found[str(n)].se for n in made.index],
            "difference": [float(g.sum()) for g in gaps.values()],
            "difference_se": [float(np.sqrt(len(g) * g.var())) for g in gaps.values()],
            "p": [found[str(n)].p for n in made.index],
            # the optimiser's last digits are noise: 1e-12 is zero
            "weight": made["weight"].to_numpy(dtype=float).round(6),
            "k too high": [len(found[str(n)].bad) for n in made.index],
        },
        title=f"{first.method}, one {first.one} left out of {len(first.labels)}",
        note=(
            "Differences are from the best, with the standard error of their sum over what is left "
            "out; one below 4 is small, and its standard error is then not to be relied on. "
            "weight: stacking."
        ),
    )
