"""The intraclass correlation as a function of a predictor, where slopes differ between groups.

    V_g(x) = z(x)' Sigma_g z(x)        ICC_g(x) = V_g(x) / (sum V_g(x) + V_e)

Two rows of one group at the same x. Columns that are not named have their mean, or the value that
occurs most.

Source: Goldstein, Browne & Rasbash 2002, Understanding Statistics 1, on partitioning at x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.design import Design, new_common
from hiermodels.errors import DataError, did_you_mean
from hiermodels.levels import like_the_fit
from hiermodels.numbers.draws import Draws
from hiermodels.numbers.expected import few_draws
from hiermodels.numbers.points import Points, extras_of, trials_of
from hiermodels.numbers.variance import ICC, components, intraclass

__all__ = ["Curves", "icc_curves", "points_at", "typical_rows"]

type Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """ICCs at values of predictors. Made by `icc_curves`, read by `tables` and `plots`.

    ``at`` a row for each of ``found``; ``scale`` of the response or of the linear predictor.
    """

    at: pd.DataFrame
    found: tuple[ICC, ...]
    scale: str


def icc_curves(
    design: Design,
    draws: Draws,
    at: Mapping[str, Any],
    *,
    scale: str | None = None,
    variant: str = "lognormal",
    expected: float | Array | None = None,
) -> Curves:
    """The ICC of each factor at each of the given values.

    Raises
    ------
    DataError
        A name that is no column of the model, values of unequal numbers.
    """
    frame = typical_rows(design, at)
    some = few_draws(draws, points_at(design, frame))
    if scale != "data":
        some = draws
    found = []
    for k in range(len(frame)):
        points = points_at(design, frame.iloc[[k]])
        parts = components(
            design, some, scale=scale, variant=variant, expected=expected, points=points
        )
        found.append(intraclass(design, parts))
    return Curves(at=frame[list(at)], found=tuple(found), scale=parts.scale)


def typical_rows(design: Design, at: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each value, the other columns at their mean or most frequent value."""
    used = design.rows.frame[[c for c in design.formula.column_names if c in design.rows.frame]]
    values = {name: np.atleast_1d(v) for name, v in at.items()}
    for name in values:
        if name not in used.columns:
            raise DataError(
                f"no column {name!r} in {design.formula}. Columns: {', '.join(used.columns)}."
                f"{did_you_mean(name, used.columns)}"
            )
    lengths = {len(v) for v in values.values() if len(v) != 1}
    if len(lengths) > 1 or not values:
        raise DataError("at= takes columns with as many values each, such as {'x': [0, 5, 10]}")
    n = max(lengths, default=1)
    typical = {name: values.get(name, typical_value(used[name])) for name in used.columns}
    rows = {name: np.resize(v, n) for name, v in typical.items()}
    frame = pd.DataFrame(rows)
    for name in used.columns:
        if isinstance(used[name].dtype, pd.CategoricalDtype):
            given = like_the_fit(used[name], frame[name], name)
            known = used[name].cat.categories
            if unknown := [v for v in given if v not in known]:
                raise DataError(
                    f"{name!r} has no category {unknown[0]!r}. Known: {', '.join(map(str, known))}."
                )
            frame[name] = pd.Categorical(given, dtype=used[name].dtype)
    return frame


def typical_value(column: pd.Series) -> Array:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return np.atleast_1d(column.mean())
    return np.array([column.mode().iloc[0]], dtype=object)


def points_at(design: Design, frame: pd.DataFrame) -> Points:
    """New rows as points of equal weight; offset and trials are the data's means."""
    trials, n = trials_of(design), len(frame)
    weights = np.full(n, 1 / n)
    return Points(
        **new_columns(design, frame),
        weights=weights,
        trials=None if trials is None else np.full(n, float(np.mean(trials))),
        extras={
            name: Points(**new_columns(predictor, frame), weights=weights)
            for name, predictor in extras_of(design).items()
        },
    )


def new_columns(predictor: Any, frame: pd.DataFrame) -> dict[str, Any]:
    """Columns of one linear predictor on new rows."""
    n = len(frame)
    return {
        "common": new_common(predictor, frame) if predictor.terms else np.zeros((n, 0)),
        "offset": np.full(n, float(np.mean(predictor.offset))),
        "groups": {
            b.name: np.hstack([encode(frame) for encode in b.columns.encoders])
            for b in predictor.blocks
        },
    }
