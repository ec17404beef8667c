"""A model of any family as arrays: rows, linear predictors, priors; and the buffer made of them.

Row i, with the predictors of its family (the mean's on the link scale first, then those of the
auxiliary parameters):

    eta_ki = offset_ki + x_ki' beta_k + sum_g z_gi' b_{g, level_g(i)},    k = 1 ... K
    log p(y) = sum_i count_i log f(y_i | eta_1i ... eta_Ki)
    b_gj = diag(sd_g) L_g z_gj,    z_gj ~ Normal(0, I),    L_g L_g' = cor_g

An auxiliary parameter without a formula is a predictor of one column, the same in all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .coefficientpriors import CoefficientPrior, CompiledPrior, compile_prior
from .covariance import Theta, describe_theta
from .crossproducts import DENSE_UP_TO
from .lapack import lapack_addresses
from .layout import Section, pack
from .problem import BlockData, GaussianProblem, PositivePrior

__all__ = ["Link", "RowModel", "RowPredictor", "RowProblem", "row_model"]


class Link(IntEnum):
    """How a coefficient enters its predictor: as it is, or by its logarithm or logit."""

    IDENTITY = 0
    LOG = 1
    LOGIT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPredictor:
    """One linear predictor: offset (N,), common columns (N, p) with their priors, group effects.

    ``link`` is other than identity for an auxiliary parameter without a formula: its prior is that
    of the parameter, and the predictor its logarithm or logit. ``start`` (p,) are coefficients, on
    the scale of the priors, from which the search for the mode starts. With ``ordered`` the
    predictor is one of the thresholds c_1 < c_2 < ...: the first itself, or log(c_k - c_(k-1)).
    """

    offset: NDArray[np.float64]
    X: NDArray[np.float64]
    priors: tuple[CoefficientPrior, ...]
    start: NDArray[np.float64]
    blocks: tuple[BlockData, ...] = ()
    sd_priors: tuple[tuple[PositivePrior, ...], ...] = ()
    lkj_eta: tuple[tuple[float, ...], ...] = ()
    link: Link = Link.IDENTITY
    ordered: bool = False

    @property
    def constant(self) -> bool:
        """Whether it is the same in all rows."""
        return not self.blocks and not self.offset.any() and not np.ptp(self.X, axis=0).any()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProblem:
    """A hierarchical model of any family; made by whoever has a design and priors.

    ``likelihood`` is the address of the family's compiled log-density, ``evaluate`` the same from
    Python: (y, trials, predictors) to values (N,) and slopes (K, N). ``simulate`` draws a response
    for each row given the predictors (K, N) and the trials.
    """

    y: NDArray[np.float64]
    trials: NDArray[np.float64]
    counts: NDArray[np.float64]
    predictors: tuple[RowPredictor, ...]
    likelihood: int
    evaluate: Callable[[NDArray, NDArray, NDArray], tuple[NDArray, NDArray]]
    simulate: Callable[[np.random.Generator, NDArray, NDArray], NDArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowModel:
    """What the kernels need of a problem: made by `row_model`, read by sampling.

    Rows are sorted by the level of the eliminated factor, ``blocks[0]``. ``predictor_of`` is the
    predictor of each block; ``common_predictor`` of each common column. ``names`` are the blocks'
    in the order of the problem and ``order`` their numbers in the order used here.
    """

    problem: RowProblem
    blocks: tuple[BlockData, ...]
    names: tuple[str, ...]
    order: tuple[int, ...]
    predictor_of: NDArray[np.int64]
    common: NDArray[np.float64]
    common_predictor: NDArray[np.int64]
    offsets: NDArray[np.float64]
    theta: Theta
    priors: tuple[CompiledPrior, ...]
    links: NDArray[np.int64]
    start: NDArray[np.float64]
    n_ordered: int
    sections: dict[Section, NDArray]

    @property
    def n_theta(self) -> int:
        """d, the number of sds and correlations."""
        return self.theta.size

    @property
    def n_common(self) -> int:
        """p, the number of common coefficients of all predictors."""
        return len(self.priors)

    @property
    def n_head(self) -> int:
        """Effects of the eliminated factor."""
        return self.blocks[0].n_levels * self.blocks[0].n_columns

    @property
    def n_others(self) -> int:
        """Effects of the other factors."""
        return sum(block.n_levels * block.n_columns for block in self.blocks[1:])

    @property
    def rest_size(self) -> int:
        """n, the size of the dense Schur complement."""
        return self.n_others + self.n_common

    @property
    def sparse(self) -> bool:
        """Whether panels hold only the columns that occur."""
        return self.blocks[0].n_columns * (self.rest_size + 1) > DENSE_UP_TO

    @property
    def dimension(self) -> int:
        """D, the number of coordinates of NUTS."""
        return self.n_theta + self.rest_size + self.n_head

    def words(self, changed: dict[Section, NDArray]) -> NDArray[np.float64]:
        """The buffer, with what a freeze or a choice of coordinates adds to it."""
        return pack(self.sections | changed)


def row_model(problem: RowProblem) -> RowModel:
    """Lay out the rows; the factor with most columns is eliminated.

    A model without groups gets a factor of one level that no row sees.
    """
    owners = [(k, f) for k, part in enumerate(problem.predictors) for f in range(len(part.blocks))]
    blocks = [problem.predictors[k].blocks[f] for k, f in owners]
    sd_priors = [problem.predictors[k].sd_priors[f] for k, f in owners]
    etas = [problem.predictors[k].lkj_eta[f] for k, f in owners]
    if not blocks:
        owners, blocks, etas = [(0, 0)], [_nobody(len(problem.y))], [(1.0,)]
        sd_priors = [(PositivePrior(kind="lognormal", a=0.0, b=1.0),)]
    order = np.argsort([-b.n_levels * b.n_columns for b in blocks], kind="stable").tolist()
    rows = np.argsort(blocks[order[0]].index, kind="stable")
    sorted_problem = _sorted(problem, rows)
    in_order = tuple(_sorted_block(blocks[k], rows) for k in order)
    theta = describe_theta(_as_gaussian(blocks, tuple(sd_priors), tuple(etas)))
    priors = tuple(compile_prior(prior) for part in problem.predictors for prior in part.priors)
    counts = [part.X.shape[1] for part in problem.predictors]
    return _with_sections(
        RowModel(
            problem=sorted_problem,
            blocks=in_order,
            names=tuple(block.name for block in blocks),
            order=tuple(order),
            predictor_of=np.array([owners[k][0] for k in order], np.int64),
            common=np.ascontiguousarray(
                np.concatenate([part.X for part in sorted_problem.predictors], axis=1).T
            ),
            common_predictor=np.repeat(np.arange(len(counts)), counts),
            offsets=np.stack([part.offset for part in sorted_problem.predictors]),
            theta=theta,
            priors=priors,
            links=np.repeat([int(part.link) for part in problem.predictors], counts),
            start=np.concatenate([part.start for part in problem.predictors]),
            n_ordered=sum(part.ordered for part in problem.predictors),
            sections={},
        )
    )


def _nobody(n: int) -> BlockData:
    return BlockData(
        name="", index=np.zeros(n, np.int32), n_levels=1, Z=np.zeros((n, 1)), parts=((0,),)
    )


def _sorted(problem: RowProblem, rows: NDArray) -> RowProblem:
    from dataclasses import replace

    predictors = tuple(
        replace(part, offset=part.offset[rows], X=part.X[rows]) for part in problem.predictors
    )
    return replace(
        problem,
        y=problem.y[rows],
        trials=problem.trials[rows],
        counts=problem.counts[rows],
        predictors=predictors,
    )


def _sorted_block(block: BlockData, rows: NDArray) -> BlockData:
    from dataclasses import replace

    return replace(block, index=block.index[rows], Z=block.Z[rows])


def _as_gaussian(blocks: list, sd_priors: tuple, etas: tuple) -> GaussianProblem:
    """The groups alone, for the layout of theta."""
    n = len(blocks[0].index)
    return GaussianProblem(
        y=np.zeros(n),
        X=np.zeros((n, 0)),
        blocks=tuple(blocks),
        beta_mean=np.empty(0),
        beta_sd=np.empty(0),
        sd_priors=sd_priors,
        lkj_eta=etas,
        sigma_prior=None,
        se=np.ones(n),
    )


def _with_sections(model: RowModel) -> RowModel:
    from dataclasses import replace

    problem, d, p = model.problem, model.theta.size, len(model.priors)
    potrf, potri = lapack_addresses()
    K = len(problem.predictors)
    first = np.flatnonzero([part.ordered for part in problem.predictors])
    ordered = np.searchsorted(model.common_predictor, first[0]) if len(first) else p
    sizes = [
        d,
        p,
        -1,
        potrf,
        potri,
        model.sparse,
        False,
        len(problem.y),
        K,
        problem.likelihood,
        ordered,
    ]
    numbers = [prior[3:] for prior in model.priors]
    forms = [(*prior[:3], link) for prior, link in zip(model.priors, model.links, strict=True)]
    sections = {
        Section.SIZES: np.array(sizes, np.int64),
        Section.SCALARS: np.zeros(3),
        Section.PRIOR_FORMS: np.array([prior.form for prior in model.theta.priors], np.int64),
        Section.PRIOR_NUMBERS: np.array([prior[1:] for prior in model.theta.priors], float),
        Section.FACTORS: _factor_table(model),
        Section.PLACES: np.concatenate(
            [
                np.concatenate([model.theta.places[k].sd, model.theta.places[k].partial.ravel()])
                for k in model.order
            ]
        ),
        Section.RESPONSE: problem.y,
        Section.TRIALS: problem.trials,
        Section.COUNTS: problem.counts,
        Section.OFFSETS: model.offsets,
        Section.CONSTANT: np.array([part.constant for part in problem.predictors], np.int64),
        Section.COMMON_COLUMNS: model.common,
        Section.COMMON_PREDICTORS: model.common_predictor.astype(np.int64),
        Section.COMMON_FORMS: np.array(forms, np.int64).reshape(p, 4),
        Section.COMMON_NUMBERS: np.array(numbers, float).reshape(p, 6),
        Section.GROUP_COLUMNS: np.concatenate([block.Z.T for block in model.blocks]),
        Section.GROUP_LEVELS: np.stack([block.index for block in model.blocks]).astype(np.int64),
        Section.GROUP_PREDICTORS: model.predictor_of,
        Section.BENDS: np.zeros(d, np.int64),
        Section.KNEES: np.zeros(d),
    }
    return replace(model, sections=sections)


def _factor_table(model: RowModel) -> NDArray[np.int64]:
    """(F, 4) levels, width, first column in the rest, start in PLACES."""
    rows, column, place = [], 0, 0
    for f, block in enumerate(model.blocks):
        rows.append((block.n_levels, block.n_columns, column, place))
        column += block.n_levels * block.n_columns if f else 0
        place += block.n_columns + block.n_columns**2
    return np.array(rows, np.int64)
