"""A Gaussian approximation of the likelihood, frozen at one point: its information and its mode.

At coefficients a (group effects b and common ones, on the line of their priors) with predictors
eta, scores s_i = dlog f(y_i)/deta_i (K,) and expected information I_i = E[s_i s_i'] (K, K),

    log p(y | a + d)  is about  log p(y | a) + (W's)'d - d'C d / 2,    C = sum_i W_i' I_i W_i.

The information is estimated from responses drawn by the model itself, so it is the same few lines
for every family, and C is positive semidefinite. It is used for coordinates alone: its error costs
speed and changes no posterior.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .coefficientpriors import ABOVE, BETWEEN, add_coefficient_prior, from_line
from .compilation import kernel
from .crossproducts import make_dense
from .layout import Section
from .rows import Link, RowModel, RowProblem

__all__ = ["Point", "freeze", "not_frozen"]

SIMULATED, FEWEST, MOST = 100_000, 8, 100
"""Responses drawn in all, and between how many and how many for each row."""
LEAST_PRECISION = 1e-3
"""Of the prior of a common coefficient, in units of its column: keeps C + D0 positive definite."""
STEP = 1e-4


class Point:
    """A value of every coefficient: t (p,) of the common ones on the line, b of each block (J, q).

    Blocks are in the order of the model.
    """

    def __init__(self, model: RowModel, t: NDArray, effects: tuple[NDArray, ...]) -> None:
        self.t, self.effects = np.asarray(t, float), effects
        with np.errstate(all="ignore"):  # `freeze` asks what is finite
            found = [coefficient(model, k, value) for k, value in enumerate(self.t)]
        self.common = np.array([value for value, _ in found])
        self.slopes = np.array([slope for _, slope in found])

    @classmethod
    def without_effects(cls, model: RowModel, t: NDArray) -> Point:
        shapes = [(block.n_levels, block.n_columns) for block in model.blocks]
        return cls(model, t, tuple(np.zeros(shape) for shape in shapes))

    def predictors(self, model: RowModel) -> NDArray[np.float64]:
        """eta (K, N)."""
        return model.offsets + self.linear(model, self.common)

    def linear(self, model: RowModel, common: NDArray) -> NDArray[np.float64]:
        """The predictors (K, N) without offsets, with other common coefficients."""
        eta = np.zeros_like(model.offsets)
        np.add.at(eta, model.common_predictor, common[:, None] * model.common)
        for block, owner, b in zip(model.blocks, model.predictor_of, self.effects, strict=True):
            eta[owner] += np.einsum("ik,ik->i", block.Z, b[block.index])
        return eta


def coefficient(model: RowModel, k: int, t: float) -> tuple[float, float]:
    """What coefficient k at t adds to its predictor, for a column of 1, and the derivative by t."""
    prior, link = model.priors[k], model.links[k]
    if (link, prior.line, prior.lower) == (Link.LOG, ABOVE, 0.0):
        return t, 1.0
    if (link, prior.line, prior.lower, prior.upper) == (Link.LOGIT, BETWEEN, 0.0, 1.0):
        return t, 1.0
    value, slope = from_line.py_func(prior.line, t, prior.lower, prior.upper)
    if link == Link.LOG:
        return float(np.log(value)), float(slope / value)
    if link == Link.LOGIT:
        return float(np.log(value / (1.0 - value))), float(slope / (value * (1.0 - value)))
    return float(value), float(slope)


def freeze(
    model: RowModel,
    at: Point,
    *,
    seed: int = 0,
    simulated: int = SIMULATED,
    stay: bool = False,
) -> dict[Section, NDArray]:
    """The sections of the buffer with C, W's + C a, and the normal approximation of the priors.

    To ``stay`` leaves out the score W's: the approximation is then highest near a itself, not at
    the end of a step of Newton's from there. About as many responses are drawn as ``simulated``.

    Raises
    ------
    FloatingPointError
        At a point where the density of the rows, its slopes, or a response cannot be computed.
    """
    with np.errstate(all="ignore"):  # what comes of numbers too large is asked for, not told
        return _freeze(model, at, np.random.default_rng(seed), simulated, stay)


def _freeze(
    model: RowModel, at: Point, rng: np.random.Generator, simulated: int, stay: bool
) -> dict[Section, NDArray]:
    eta = at.predictors(model)
    problem = model.problem
    values, slopes = problem.evaluate(problem.y, problem.trials, eta)
    all_finite(at.t, at.slopes, eta, values, slopes)
    score = np.zeros_like(slopes) if stay else slopes * problem.counts
    information = expected_information(model, eta, rng, simulated)
    # In the units of t a common column is worth its slope.
    target = score + np.einsum("nkl,ln->kn", information, at.linear(model, at.slopes * at.t))
    mean, precision = approximate_priors(model, at.t)
    sections = assemble(model, at, information, target)
    all_finite(mean, precision, *(sections[s] for s in (Section.OWN, Section.PANELS, Section.REST)))
    return sections | {
        Section.COMMON_MEAN: at.t if stay else mean,
        Section.COMMON_PRECISION: precision,
    }


def all_finite(*arrays: NDArray) -> None:
    if not all(np.all(np.isfinite(each)) for each in arrays):
        raise FloatingPointError("the density is not finite where it is to be approximated")


def not_frozen(model: RowModel, at: Point) -> dict[Section, NDArray]:
    """The sections of nothing known: coordinates are then z and the common coefficients."""
    K, n = model.offsets.shape
    mean, precision = approximate_priors(model, at.t)
    # their prior is as wide as a common coefficient is before anything is known of it
    return assemble(model, at, np.zeros((n, K, K)), np.zeros((K, n))) | {
        Section.COMMON_MEAN: mean,
        Section.COMMON_PRECISION: precision,
    }


def expected_information(
    model: RowModel, eta: NDArray, rng: np.random.Generator, simulated: int = SIMULATED
) -> NDArray[np.float64]:
    """E[s s'] (N, K, K) of each row, times its count, over responses of the model."""
    problem, (K, n) = model.problem, eta.shape
    repeats = int(np.clip(simulated // n, FEWEST, MOST))
    total = np.zeros((K, K, n))
    for _ in range(repeats):
        drawn = responses(problem, rng, eta)
        slope = problem.evaluate(drawn, problem.trials, eta)[1]
        total += np.nan_to_num(slope[:, None] * slope[None, :], posinf=0.0)
    return np.ascontiguousarray(np.moveaxis(total * (problem.counts / repeats), 2, 0))


def responses(problem: RowProblem, rng: np.random.Generator, eta: NDArray) -> NDArray[np.float64]:
    try:
        return problem.simulate(rng, eta, problem.trials)
    except ValueError as error:  # NumPy refuses parameters beyond its range
        raise FloatingPointError(f"no response can be drawn: {error}") from error


def approximate_priors(model: RowModel, t: NDArray) -> tuple[NDArray, NDArray]:
    """Means and precisions of normal distributions like the priors of t near that point."""

    def slope(k: int, at: float) -> float:
        prior, gradient = model.priors[k], np.zeros(1)
        value = from_line.py_func(prior.line, at, prior.lower, prior.upper)[0]
        forms, numbers = np.array(prior[:3]), np.array(prior[3:], float)
        add_coefficient_prior(forms, numbers, at, float(value), gradient)
        return float(gradient[0])

    precision = np.array(
        [(slope(k, v - STEP) - slope(k, v + STEP)) / (2 * STEP) for k, v in enumerate(t)]
    )
    precision = np.maximum(precision, LEAST_PRECISION)
    gradient = np.array([slope(k, v) for k, v in enumerate(t)])
    return t + gradient / precision, precision


def assemble(
    model: RowModel, at: Point, information: NDArray, target: NDArray
) -> dict[Section, NDArray]:
    """C and W'target, as the cross-products of `panels` with the target in the place of y."""
    head, others = model.blocks[0], model.blocks[1:]
    n, q, size = model.rest_size, head.n_columns, model.rest_size + 1
    starts = np.cumsum([0, *(block.n_levels * block.n_columns for block in others)])
    columns = [
        block.index.astype(np.int64) * block.n_columns + start
        for block, start in zip(others, starts[:-1], strict=True)
    ]
    at_column = np.array(
        [c + k for block, c in zip(others, columns, strict=True) for k in range(block.n_columns)]
        + [np.full(len(target[0]), model.n_others + k) for k in range(model.n_common)],
        np.int64,
    ).reshape(-1, len(target[0]))
    values = np.concatenate(
        [block.Z.T for block in others] + [at.slopes[:, None] * model.common]
    ).reshape(at_column.shape)
    owners = np.concatenate(
        [
            np.repeat(model.predictor_of[1:], [block.n_columns for block in others]),
            model.common_predictor,
        ]
    ).astype(np.int64)
    pointers, occurring = occurring_columns(head.index, head.n_levels, at_column, n)
    own = np.zeros((head.n_levels, q, q))
    panels, rest = np.zeros(q * len(occurring)), np.zeros((size, size))
    add_rows(
        head.index.astype(np.int64), np.ascontiguousarray(head.Z), int(model.predictor_of[0]),
        at_column, np.ascontiguousarray(values), owners, information, target,
        pointers, occurring, own, panels, rest,
    )  # fmt: skip
    sections = {
        Section.OWN: own,
        Section.PANELS: panels,
        Section.POINTERS: pointers,
        Section.COLUMNS: occurring,
        Section.REST: rest + np.tril(rest, -1).T,
    }
    return sections if model.sparse else make_dense(sections)


def occurring_columns(
    index: NDArray, n_levels: int, at_column: NDArray, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns of the rest that occur with each level, ascending; the target's, n, with all."""
    size = n + 1
    keys = [np.unique(index.astype(np.int64) * size + column) for column in at_column]
    levels = np.arange(n_levels) * size
    # a level without rows still has the common columns: its panel is zero there
    found = np.unique(np.concatenate([*keys, levels + n]))
    pointers = np.searchsorted(found, np.arange(n_levels + 1) * size)
    columns = np.concatenate([found[a:b] - j * size for j, (a, b) in enumerate(pairwise(pointers))])
    return pointers.astype(np.int64), columns.astype(np.int64)


@kernel
def add_rows(
    index, Z, owner, at_column, values, owners, information, target,
    pointers, occurring, own, panels, rest,
):  # fmt: skip
    """Sum over the rows, which are sorted by the level of the eliminated factor."""
    q, n_entries, last = Z.shape[1], len(values), rest.shape[0] - 1
    position = np.zeros(last + 1, np.int64)
    level = -1
    for i in range(len(index)):
        j = index[i]
        if j != level:
            level = j
            for c in range(pointers[j], pointers[j + 1]):
                position[occurring[c]] = c - pointers[j]
        width = pointers[j + 1] - pointers[j]
        panel = panels[q * pointers[j] : q * pointers[j + 1]].reshape((q, width))
        for k in range(q):
            for m in range(q):
                own[j, k, m] += information[i, owner, owner] * Z[i, k] * Z[i, m]
            panel[k, width - 1] += Z[i, k] * target[owner, i]
            for e in range(n_entries):
                panel[k, position[at_column[e, i]]] += (
                    information[i, owner, owners[e]] * Z[i, k] * values[e, i]
                )
        for e in range(n_entries):
            a, value = at_column[e, i], values[e, i]
            rest[last, a] += value * target[owners[e], i]
            for f in range(n_entries):
                b = at_column[f, i]
                if b <= a:
                    rest[a, b] += information[i, owners[e], owners[f]] * value * values[f, i]
