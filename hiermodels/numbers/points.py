"""Rows at which variances are taken: those of the data, or others.

A point has the columns of every linear predictor: of the mean, and of those of the family's own
parameters that have a formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hiermodels.design import Design

__all__ = ["Points", "extras_of", "points_of", "row_weights", "some_points", "trials_of"]

type Array = np.ndarray

#: Rows that are compared with each other, to find those that are the same.
COMPARED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Rows of one linear predictor. Made by `points_of`, or from new data.

    ``common`` (n, p), ``offset`` (n,), ``groups`` the columns (n, q) of each factor, ``weights``
    (n,) the share of each row in a mean, ``trials`` (n,) or None, ``index`` the row of the design
    that each comes from, or None where there is none; ``extras`` the same rows of the predictors of
    the family's own parameters.
    """

    common: Array
    offset: Array
    groups: dict[str, Array]
    weights: Array
    trials: Array | None = None
    index: Array | None = None
    extras: Mapping[str, Points] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.offset)

    @property
    def varying(self) -> tuple[str, ...]:
        """The parameters whose predictors have group effects."""
        return tuple(name for name, extra in self.extras.items() if extra.groups)


def row_weights(design: Design) -> Array:
    """The share of each row in a mean over rows."""
    weights = np.ones(design.n) if design.weights is None else design.weights
    return weights / weights.sum()


def trials_of(design: Design) -> Array | None:
    """Trials of each row, of a family that has them."""
    return design.trials


def extras_of(design: Design) -> Mapping[str, Any]:
    """The linear predictors of the family's own parameters, of those that have a formula."""
    return design.extras


def points_of(design: Design, index: Array | None = None, weights: Array | None = None) -> Points:
    """The rows of the data, or some of them with the share of each in a mean."""
    index = np.arange(design.n) if index is None else index
    weights = row_weights(design)[index] if weights is None else weights
    weights, trials = weights / weights.sum(), trials_of(design)
    return Points(
        **columns_at(design, index),
        weights=weights,
        trials=None if trials is None else trials[index],
        index=index,
        extras={
            name: Points(**columns_at(predictor, index), weights=weights, index=index)
            for name, predictor in extras_of(design).items()
        },
    )


def some_points(design: Design, at_most: int, *, along: Array) -> Points:
    """Rows for a mean that is costly: each different row once, or a spread of them.

    Where the rows that differ are more than ``at_most``, so many are taken at equal steps of the
    cumulative weight in the order of ``along`` (n,), a linear predictor: what is averaged is a
    smooth function of it, so that they say almost what all rows say.
    """
    if design.n <= COMPARED:
        columns = np.column_stack([c for c in different(design)])
        _, first, code = np.unique(columns, axis=0, return_index=True, return_inverse=True)
        if len(first) <= at_most:
            weights = np.bincount(code.ravel(), row_weights(design))
            kept = weights > 0
            return points_of(design, first[kept], weights[kept])
    order = np.argsort(along, kind="stable")
    reached = np.cumsum(row_weights(design)[order])
    steps = (np.arange(at_most) + 0.5) / at_most
    chosen = order[np.minimum(np.searchsorted(reached, steps), design.n - 1)]
    return points_of(design, chosen, np.full(at_most, 1 / at_most))


def different(design: Design) -> Iterator[Array]:
    """All columns in which rows can differ."""
    for predictor in (design, *extras_of(design).values()):
        yield predictor.common.values
        yield np.broadcast_to(predictor.offset, (design.n,))
        yield from (b.columns.values for b in predictor.blocks)
    if (trials := trials_of(design)) is not None:
        yield trials


def columns_at(predictor: Any, index: Array) -> dict[str, Any]:
    """Columns and offset of some rows of one linear predictor."""
    return {
        "common": predictor.common.values[index],
        "offset": np.asarray(predictor.offset)[index],
        "groups": {b.name: b.columns.values[index] for b in predictor.blocks},
    }
