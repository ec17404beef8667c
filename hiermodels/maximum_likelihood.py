"""The maximum of the likelihood of any family, by Laplace's approximation; without priors.

With z the standard normal coordinates of all group effects, b = Lambda(theta) z, and z^ the mode
of the integrand at common coefficients beta and the entries theta of the triangles Lambda,

    log p(y | beta, theta) is about  sum_i log f(y_i | z^) - z^'z^ / 2 - log|H| / 2
    H = I + Lambda' Z' W Z Lambda,      W_i = -d^2 log f(y_i) / d eta_i^2

which is exact where the model is Gaussian, and what lme4 and glmmTMB maximise. The family's own
parameters are part of beta, on their links. Where their formulas have group effects, these are in z
beside those of the mean, eta_i has an entry for each of the K parameters, and W_i is K x K.

Source: Bates et al. 2015, J. Stat. Softw. 67(1); Kristensen et al. 2016, J. Stat. Softw. 70(5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import splu

from hiermodels.design import Design, effect_columns, response_scale
from hiermodels.errors import NotAvailableError
from hiermodels.priors import Priors
from hiermodels.rowwise import row_problem

if TYPE_CHECKING:
    from hiermodels.density.problem import BlockData
    from hiermodels.density.rows import RowPredictor, RowProblem

__all__ = ["Maximum", "maximise"]

type Array = np.ndarray

#: Of the differences: of the slope of a row, and of the objective by a parameter, in units of its
#: curvature. Newton's steps of z end at this gain, of at most so many.
ROW_STEP, STEP = 1e-4, 1e-4
GAIN, NEWTON, HALVINGS = 1e-11, 100, 30
#: The curvature of a parameter is not taken below this: its search would step too far.
FLATTEST = 1e-2
#: An sd of group effects where the search starts, on a link; of the sd of the response, else.
START = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Maximum:
    """The highest likelihood and the number of parameters. Made by `maximise`."""

    log_likelihood: float
    n_parameters: int

    @property
    def aic(self) -> float:
        return 2 * (self.n_parameters - self.log_likelihood)


def maximise(design: Design, priors: Priors) -> Maximum:
    """The maximum over the coefficients, sds, correlations and the family's own parameters.

    Raises
    ------
    NotAvailableError
        A search that fails.
    """
    objective = Objective(row_problem(design, priors), scale=response_scale(design))
    start = objective.start()
    unit = 1 / np.sqrt(np.maximum(objective.curvatures(start), FLATTEST))
    found = minimize(
        lambda t: objective(start + unit * t),
        np.zeros(len(start)),
        method="BFGS",
        jac=None,
        options={"gtol": 1e-4, "eps": STEP},
    )
    if not np.isfinite(found.fun):
        raise NotAvailableError(
            "the search for the maximum of the likelihood failed; drop_terms() without "
            "likelihood_ratio says by the posterior what each term is worth"
        )
    return Maximum(log_likelihood=-float(found.fun), n_parameters=len(start))


class Objective:
    """Minus the log-likelihood of the parameters; keeps z^ to start from. Lives for one search."""

    def __init__(self, problem: RowProblem, *, scale: float) -> None:
        self.problem, self.scale = problem, scale
        self.blocks = tuple(b for p in problem.predictors for b in p.blocks)
        self.of_mean = len(self.blocks) == len(problem.predictors[0].blocks)
        self.offsets = np.stack([p.offset for p in problem.predictors])
        self.z = np.zeros(sum(b.n_levels * b.n_columns for b in self.blocks))
        each = [all_columns(p.blocks, len(problem.y)) for p in problem.predictors]
        self.Z = each[0] if self.of_mean else sparse.block_diag(each, format="csr")
        self.shapes = [triangle(block) for block in self.blocks]

    @property
    def n_common(self) -> int:
        return sum(p.X.shape[1] for p in self.problem.predictors)

    @property
    def units(self) -> Array:
        """Of each predictor, (K,): the family's own parameters have a link."""
        return np.array([self.scale, *[1.0] * (len(self.problem.predictors) - 1)])

    def start(self) -> Array:
        """Coefficients at the maximum without groups, and the same sd for every effect."""
        first = np.concatenate([start_of(p) for p in self.problem.predictors])
        found = minimize(self.without_groups, first, jac=True, method="BFGS")
        best = found.x if np.isfinite(found.fun) else first
        units = self.units.repeat([len(p.blocks) for p in self.problem.predictors])
        sds = [
            START * unit if row == column else 0.0
            for unit, (rows, columns) in zip(units, self.shapes, strict=True)
            for row, column in zip(rows, columns, strict=True)
        ]
        return np.concatenate([best, sds])

    def without_groups(self, beta: Array) -> tuple[float, Array]:
        values, slopes = self.rows(self.linear(beta))
        gradient = [p.X.T @ s for p, s in zip(self.problem.predictors, slopes, strict=True)]
        return -float(values.sum()), -np.concatenate(gradient)

    def curvatures(self, at: Array) -> Array:
        """The second derivative by each parameter."""
        found, middle = np.empty(len(at)), self(at)
        for k in range(len(at)):
            step = 1e-2 * self.scale * np.eye(len(at))[k]
            found[k] = (self(at + step) + self(at - step) - 2 * middle) / (1e-2 * self.scale) ** 2
        return np.nan_to_num(found, nan=1.0, posinf=1.0, neginf=1.0)

    def linear(self, beta: Array) -> Array:
        """The predictors (K, N) without group effects."""
        eta, at = self.offsets.copy(), 0
        for k, p in enumerate(self.problem.predictors):
            eta[k] += p.X @ beta[at : at + p.X.shape[1]]
            at += p.X.shape[1]
        return eta

    def rows(self, eta: Array) -> tuple[Array, Array]:
        """Log density of each row (N,), and its slopes (K, N), times the counts."""
        problem = self.problem
        values, slopes = problem.evaluate(problem.y, problem.trials, eta)
        return values * problem.counts, slopes * problem.counts

    def __call__(self, parameters: Array) -> float:
        eta = self.linear(parameters[: self.n_common])
        if not self.shapes:
            value = -float(self.rows(eta)[0].sum())
            return value if np.isfinite(value) else np.inf
        with np.errstate(all="ignore"):
            return self.laplace(eta, self.effects(parameters[self.n_common :]))

    def effects(self, theta: Array) -> OneFactor | Factors:
        """The columns of z, Z Lambda."""
        lambdas, at = [], 0
        for block, (rows, columns) in zip(self.blocks, self.shapes, strict=True):
            own = np.zeros((block.n_columns, block.n_columns))
            own[rows, columns] = theta[at : at + len(rows)]
            at += len(rows)
            lambdas.append(own)
        if len(lambdas) == 1 and self.of_mean:
            block = self.blocks[0]
            return OneFactor(columns=block.Z @ lambdas[0], index=block.index, n=block.n_levels)
        every = [
            sparse.kron(sparse.eye_array(block.n_levels), own)
            for block, own in zip(self.blocks, lambdas, strict=True)
        ]
        columns = (self.Z @ sparse.block_diag(every, format="csr")).tocsr()
        return (
            Factors(columns=columns)
            if self.of_mean
            else Parts(columns=columns, n=len(self.problem.y))
        )

    def laplace(self, eta: Array, of: OneFactor | Factors) -> float:
        """Newton's steps to z^, halved where they do not gain, and the value there."""
        z, value = self.better_start(eta, of)
        for _ in range(NEWTON):
            score, weight = self.slopes(moved(eta, of.times(z)))
            gradient = of.transposed(score) - z
            step = of.solve(not_negative(weight), gradient)
            gain, size = -1.0, 1.0
            for _ in range(HALVINGS):
                new = self.integrand(eta, of, z + size * step)
                gain = new - value
                if gain >= 0:
                    break
                size /= 2
            if gain < 0:
                break
            z, value = z + size * step, new
            if gain <= GAIN * (1 + abs(value)) and float(gradient @ step) < 1e-9:
                break
        if not np.isfinite(value):
            return np.inf
        self.z = z
        return of.half_log_determinant(self.slopes(moved(eta, of.times(z)))[1]) - value

    def better_start(self, eta: Array, of: OneFactor | Factors) -> tuple[Array, float]:
        """The last mode, or zero."""
        last, zero = (self.integrand(eta, of, z) for z in (self.z, 0 * self.z))
        return (self.z, last) if last >= zero else (0 * self.z, zero)

    def integrand(self, eta: Array, of: OneFactor | Factors, z: Array) -> float:
        value = float(self.rows(moved(eta, of.times(z)))[0].sum()) - 0.5 * float(z @ z)
        return value if np.isfinite(value) else -np.inf

    def slopes(self, eta: Array) -> tuple[Array, Array]:
        """The first derivative of each row, minus the second: by the predictor of the mean, (N,),
        or by all, (K, N) and (K, K, N)."""
        score = self.rows(eta)[1]
        if self.of_mean:
            return score[0], self.curvature(eta, 0)[0]
        weight = np.stack([self.curvature(eta, k) for k in range(len(eta))])
        return score, (weight + np.swapaxes(weight, 0, 1)) / 2

    def curvature(self, eta: Array, k: int) -> Array:
        """Minus the second derivatives by predictor k and each, (K, N)."""
        step = np.zeros((len(eta), 1))
        step[k] = ROW_STEP * self.units[k]
        up, down = (self.rows(eta + at)[1] for at in (step, -step))
        return np.asarray((down - up) / (2 * step[k]))


def moved(eta: Array, by: Array) -> Array:
    """With another predictor of the mean, by (N,), or others of all, by (K, N)."""
    if by.ndim == 2:
        return eta + by
    new = eta.copy()
    new[0] += by
    return new


def not_negative(weight: Array) -> Array:
    """The nearest curvature of each row, (N,) or (K, K, N), along which a step goes up."""
    if weight.ndim == 1:
        return np.maximum(weight, 0)
    values, vectors = np.linalg.eigh(np.moveaxis(weight, -1, 0))
    kept = (vectors * np.maximum(values, 0)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.moveaxis(kept, 0, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneFactor:
    """The columns of z of one factor, (N, q): H is a block of each level."""

    columns: Array
    index: Array
    n: int

    def times(self, z: Array) -> Array:
        return np.einsum("iq,iq->i", self.columns, z.reshape(self.n, -1)[self.index])

    def transposed(self, score: Array) -> Array:
        return self.sums(self.columns * score[:, None]).ravel()

    def sums(self, values: Array) -> Array:
        """Of the rows of each level, (J, k)."""
        each = [np.bincount(self.index, weights=v, minlength=self.n) for v in values.T]
        return np.stack(each, axis=1)

    def information(self, weight: Array) -> Array:
        """H of each level, (J, q, q)."""
        q = self.columns.shape[1]
        products = self.columns[:, :, None] * self.columns[:, None, :] * weight[:, None, None]
        return np.eye(q) + self.sums(products.reshape(-1, q * q)).reshape(self.n, q, q)

    def solve(self, weight: Array, right: Array) -> Array:
        q = self.columns.shape[1]
        found = np.linalg.solve(self.information(weight), right.reshape(self.n, q, 1))
        return np.asarray(found).ravel()

    def half_log_determinant(self, weight: Array) -> float:
        """log|H| / 2; infinite where H is not positive definite: there is no maximum of z there."""
        values = np.linalg.eigvalsh(self.information(weight))
        return 0.5 * float(np.log(values).sum()) if (values > 0).all() else np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """The columns of z of several factors, (N, m), sparse."""

    columns: sparse.csr_array

    def times(self, z: Array) -> Array:
        return np.asarray(self.columns @ z)

    def transposed(self, score: Array) -> Array:
        return np.asarray(self.columns.T @ score)

    def weighted(self, weight: Array) -> sparse.csr_array:
        """W Z Lambda."""
        return self.columns * weight[:, None]

    def factored(self, weight: Array) -> Any:
        U = self.columns
        H = (U.T @ self.weighted(weight) + sparse.eye_array(U.shape[1])).tocsc()
        symmetric = {"SymmetricMode": True}
        return splu(H, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)

    def solve(self, weight: Array, right: Array) -> Array:
        return np.asarray(self.factored(weight).solve(right))

    def half_log_determinant(self, weight: Array) -> float:
        """As of `OneFactor`."""
        diagonal = self.factored(weight).U.diagonal()
        return 0.5 * float(np.log(diagonal).sum()) if (diagonal > 0).all() else np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(Factors):
    """The columns of z of the factors of several predictors, (K N, m), predictor by predictor."""

    n: int

    def times(self, z: Array) -> Array:
        return np.asarray(self.columns @ z).reshape(-1, self.n)

    def transposed(self, score: Array) -> Array:
        return np.asarray(self.columns.T @ score.ravel())

    def weighted(self, weight: Array) -> sparse.csr_array:
        rows = [[sparse.diags_array(w) for w in own] for own in weight]
        return (sparse.block_array(rows) @ self.columns).tocsr()


def triangle(block: BlockData) -> tuple[list[int], list[int]]:
    """The rows and columns of the entries of Lambda that are free."""
    places = [
        (row, column)
        for part in block.parts
        for i, row in enumerate(part)
        for column in part[: i + 1]
    ]
    return [row for row, _ in places], [column for _, column in places]


def all_columns(blocks: tuple[BlockData, ...], n: int) -> sparse.csr_array:
    """Z of all factors of one predictor, (N, m)."""
    if not blocks:
        return sparse.csr_array((n, 0))
    each = [effect_columns(b.Z, b.index, b.n_levels) for b in blocks]
    return sparse.hstack(each, format="csr")


def start_of(predictor: RowPredictor) -> Array:
    """Where the coefficients start, on the scale on which they are added."""
    from hiermodels.density.rows import Link

    values = predictor.start
    if predictor.link == Link.LOG:
        return np.log(values)
    if predictor.link == Link.LOGIT:
        return np.log(values / (1 - values))
    return np.asarray(values, dtype=float)
