"""Common columns of which no two share a row, for the density, as the effects of a factor.

The fixed-effect fit of a grouping factor has a column for each level. With normal priors of known
sds these coefficients are group effects whose sd is known,

    eta_i = offset_i + sum_k z_ik (m_kj + s_kj b_kj),    b_kj ~ Normal(0, 1),    j = level(i)

which the density eliminates level by level: a gradient costs O(rows) instead of the cube of the
number of columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hiermodels.density.rows import RowPredictor, RowProblem

__all__ = ["Apart", "columns_apart", "common_again", "disjoint_levels"]

type Array = np.ndarray

#: Columns from which it is worth the while.
FEWEST = 24
#: The sd is one to a thousandth, wide enough for the differences of the pilot: p coefficients pull
#: it by p times the square of that at most, by less than a thousandth where p is 1000.
NARROW = 1e-3
NAME = "columns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """A problem with its disjoint columns as a factor. Made by `columns_apart`.

    Column ``columns[k]`` is now term ``term[k]`` of level ``level[k]``, its coefficient
    ``mean[k] + sd[k] b``; the others are still common.
    """

    problem: RowProblem
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


def columns_apart(problem: RowProblem) -> Apart | None:
    """The same density with the disjoint columns of the mean as a factor; None where few are."""
    mean = problem.predictors[0]
    if mean.blocks or mean.ordered:
        return None
    normal = np.array([prior.name == "Normal" for prior in mean.priors], bool)
    level, owner = disjoint_levels(mean.X, normal)
    if np.all(level >= 0) and not any(part.priors for part in problem.predictors[1:]):
        level[level == owner.max()] = -1  # the density wants something in common
        owner[owner == owner.max()] = -1
    columns = np.flatnonzero(level >= 0)
    if len(columns) < FEWEST:
        return None
    level = level[columns]
    term = places_within(level)
    given = [mean.priors[k].parameters for k in columns]
    mu, sd = (np.array([p[name] for p in given]) for name in ("mu", "sigma"))
    made = with_factor(mean, columns, term, owner, mu, sd)
    return Apart(
        problem=replace(problem, predictors=(made, *problem.predictors[1:])),
        **{"columns": columns, "level": level, "term": term, "mean": mu, "sd": sd},
    )


def places_within(level: Array) -> Array:
    """0, 1, ... for the first, second, ... column of each level."""
    seen: dict[int, int] = {}
    places = []
    for j in level.tolist():
        places.append(seen.get(j, 0))
        seen[j] = places[-1] + 1
    return np.array(places)


def with_factor(
    mean: RowPredictor, columns: Array, term: Array, owner: Array, mu: Array, sd: Array
) -> RowPredictor:
    """The predictor with these columns, in units of their prior, as a factor of sd one."""
    from hiermodels.density import BlockData, PositivePrior

    q = int(term.max()) + 1
    Z = np.zeros((len(mean.X), q))
    for k, (column, s) in enumerate(zip(columns, sd, strict=True)):
        Z[:, term[k]] += s * mean.X[:, column]  # zero outside the rows of its level
    others = np.setdiff1d(np.arange(mean.X.shape[1]), columns)
    block = BlockData(
        name=NAME,
        index=np.maximum(owner, 0).astype(np.int32),  # a row that none sees has zeros in Z
        n_levels=int(owner.max()) + 1,
        Z=Z,
        parts=tuple((k,) for k in range(q)),
    )
    return replace(
        mean,
        offset=mean.offset + mean.X[:, columns] @ mu,
        X=mean.X[:, others],
        priors=tuple(mean.priors[k] for k in others),
        start=mean.start[others],
        blocks=(block,),
        sd_priors=((PositivePrior(kind="lognormal", a=0.0, b=NARROW),) * q,),
        lkj_eta=((1.0,) * q,),
    )


def common_again(apart: Apart, found: dict[str, Any]) -> dict[str, Any]:
    """Draws of the problem as they were without the factor: ``common`` (chains, draws, p)."""
    rest, b = found["common"], found[f"b_{NAME}"]
    common = np.empty((*rest.shape[:2], rest.shape[2] + len(apart.columns)))
    kept = np.setdiff1d(np.arange(common.shape[2]), apart.columns)
    common[..., kept] = rest
    common[..., apart.columns] = apart.mean + apart.sd * b[..., apart.level, apart.term]
    own = {f"{what}_{NAME}" for what in ("sd", "cor", "b")}
    return {name: each for name, each in found.items() if name not in own} | {"common": common}
