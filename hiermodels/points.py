"""Rows at which variances are taken: those of the data, or others.

A point has the columns of every linear predictor: of the mean, and of those of the family's own
parameters that have a formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hiermodels.design import Design

__all__ = ["MAX_ROWS", "Points", "points_of", "row_weights", "trials_of"]

type Array = np.ndarray

#: Rows over which a mean is taken where every row costs a quadrature.
MAX_ROWS = 2000


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


def points_of(design: Design, *, at_most: int | None = MAX_ROWS) -> Points:
    """The rows of the data; of more than ``at_most`` a sample."""
    index = np.arange(design.n)
    if at_most is not None and design.n > at_most:
        # a random sample with a fixed seed: data are often sorted by group
        index = np.sort(np.random.default_rng(0).choice(design.n, at_most, replace=False))
    weights, trials = row_weights(design)[index], trials_of(design)
    weights = weights / weights.sum()
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


def columns_at(predictor: Any, index: Array) -> dict[str, Any]:
    """Columns and offset of some rows of one linear predictor."""
    return {
        "common": predictor.common.values[index],
        "offset": np.asarray(predictor.offset)[index],
        "groups": {b.name: b.columns.values[index] for b in predictor.blocks},
    }
