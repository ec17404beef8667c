"""Common columns of which no two share a row, for the density, as the effects of a factor.

The fixed-effect fit of a grouping factor has a column for each level. With normal priors of known
sds these coefficients are group effects whose sd is known,

    eta_i = offset_i + sum_k z_ik (m_kj + s_kj b_kj),    b_kj ~ Normal(0, 1),    j = level(i)

which both densities eliminate level by level: a gradient costs O(rows), or O(levels), instead of
the cube of the number of columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hiermodels.density import BlockData, GaussianProblem, PositivePrior
    from hiermodels.density.rows import RowProblem

__all__ = ["Apart", "columns_apart", "common_again", "disjoint_levels", "gaussian_apart"]

type Array = np.ndarray

#: Columns from which it is worth the while.
FEWEST = 24
#: The sd is one to a thousandth, wide enough for the differences of the pilot: p coefficients pull
#: it by p times the square of that at most, by less than a thousandth where p is 1000.
NARROW = 1e-3
NAME = "/columns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart[Problem]:
    """A problem with its disjoint columns as a factor. Made here, read by `sampling`.

    Column ``columns[k]`` is now term ``term[k]`` of level ``level[k]``, its coefficient
    ``mean[k] + sd[k] b``; the others are still common.
    """

    problem: Problem
    columns: Array
    level: Array
    term: Array
    mean: Array
    sd: Array


def disjoint_levels(X: Array, usable: Array) -> tuple[Array, Array]:
    """For each usable column its level, or -1, and for each row the level that sees it, or -1.

    A column opens a level where no other has a row of it, and joins one that has all of its rows.
    """
    owner, level, n_levels = np.full(len(X), -1), np.full(X.shape[1], -1), 0
    for k in np.flatnonzero(usable):
        rows = np.flatnonzero(X[:, k])
        seen = np.unique(owner[rows])
        if len(seen) != 1 or len(rows) == len(X):
            continue
        if seen[0] < 0:
            seen, n_levels = np.array([n_levels]), n_levels + 1
            owner[rows] = seen
        level[k] = seen[0]
    return level, owner


def columns_apart(problem: RowProblem) -> Apart[RowProblem] | None:
    """The same density with the disjoint columns of the mean as a factor; None where few are."""
    mean = problem.predictors[0]
    if mean.blocks or mean.ordered:
        return None
    normal = np.array([prior.name == "Normal" for prior in mean.priors], bool)
    given = [prior.parameters if prior.name == "Normal" else {} for prior in mean.priors]
    mu, sd = (np.array([p.get(name, 0.0) for p in given]) for name in ("mu", "sigma"))
    more = any(part.priors for part in problem.predictors[1:])
    found = split(mean.X, normal, mu, sd, keep_one=not more)
    if found is None:
        return None
    part, block, sd_priors = found
    others = np.setdiff1d(np.arange(mean.X.shape[1]), part.columns)
    made = replace(
        mean,
        offset=mean.offset + mean.X[:, part.columns] @ part.mean,
        X=mean.X[:, others],
        priors=tuple(mean.priors[k] for k in others),
        start=mean.start[others],
        blocks=(block,),
        sd_priors=(sd_priors,),
        lkj_eta=((1.0,) * len(sd_priors),),
    )
    return replace(part, problem=replace(problem, predictors=(made, *problem.predictors[1:])))


def gaussian_apart(problem: GaussianProblem) -> Apart[GaussianProblem] | None:
    """As `columns_apart`, of a Gaussian model without groups."""
    if len(problem.blocks) > 1 or problem.blocks[0].Z.any():
        return None
    X, usable = problem.X, np.ones(problem.X.shape[1], bool)
    found = split(X, usable, problem.beta_mean, problem.beta_sd, keep_one=True)
    if found is None:
        return None
    part, block, sd_priors = found
    others = np.setdiff1d(np.arange(X.shape[1]), part.columns)
    made = replace(
        problem,
        y=problem.y - X[:, part.columns] @ part.mean,
        X=X[:, others],
        beta_mean=problem.beta_mean[others],
        beta_sd=problem.beta_sd[others],
        blocks=(block,),
        sd_priors=(sd_priors,),
        lkj_eta=((1.0,) * len(sd_priors),),
    )
    return replace(part, problem=made)


def split(
    X: Array, usable: Array, mu: Array, sd: Array, *, keep_one: bool
) -> tuple[Apart[Any], BlockData, tuple[PositivePrior, ...]] | None:
    """Which columns go, the factor that they make, and the priors of its sds.

    With ``keep_one`` a level stays common where no other column does: the density wants one.
    """
    level, owner = disjoint_levels(X, usable)
    if keep_one and np.all(level >= 0):
        level[level == owner.max()] = -1
        owner[owner == owner.max()] = -1
    columns = np.flatnonzero(level >= 0)
    if len(columns) < FEWEST:
        return None
    level, term = level[columns], places_within(level[columns])
    part: Apart[Any] = Apart(
        problem=None, columns=columns, level=level, term=term, mean=mu[columns], sd=sd[columns]
    )
    return part, *factor_of(X, part, owner)


def places_within(level: Array) -> Array:
    """0, 1, ... for the first, second, ... column of each level."""
    seen: dict[int, int] = {}
    places = []
    for j in level.tolist():
        places.append(seen.get(j, 0))
        seen[j] = places[-1] + 1
    return np.array(places)


def factor_of(
    X: Array, part: Apart[Any], owner: Array
) -> tuple[BlockData, tuple[PositivePrior, ...]]:
    """The columns in units of their prior, as a factor of sd one."""
    from hiermodels.density import BlockData, PositivePrior

    q = int(part.term.max()) + 1
    Z = np.zeros((len(X), q))
    for column, k, s in zip(part.columns, part.term, part.sd, strict=True):
        Z[:, k] += s * X[:, column]  # zero outside the rows of its level
    block = BlockData(
        name=NAME,
        index=np.maximum(owner, 0).astype(np.int32),  # a row that none sees has zeros in Z
        n_levels=int(owner.max()) + 1,
        Z=Z,
        parts=tuple((k,) for k in range(q)),
    )
    return block, (PositivePrior(kind="lognormal", a=0.0, b=NARROW),) * q


def common_again(apart: Apart[Any], found: dict[str, Any], name: str = "common") -> dict[str, Any]:
    """Draws of the problem without the factor: its coefficients, (chains, draws, p)."""
    rest, b = found[name], found[f"b_{NAME}"]
    common = np.empty((*rest.shape[:2], rest.shape[2] + len(apart.columns)))
    kept = np.setdiff1d(np.arange(common.shape[2]), apart.columns)
    common[..., kept] = rest
    common[..., apart.columns] = apart.mean + apart.sd * b[..., apart.level, apart.term]
    own = {f"{what}_{NAME}" for what in ("sd", "cor", "b")}
    return {key: each for key, each in found.items() if key not in own} | {name: common}
