"""Rows that are the same in all that the model uses, merged into one with a count.

    sum_i w_i log p(y_i | row i) = sum_k W_k log p(y_k | row k),    W_k = sum of w_i over equal rows

so the likelihood is the same function, of fewer rows: counts of few values in few cells, trials of
one, ordinal answers. Centres and scales stay those of all rows, and so do the priors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from hiermodels.data import Rows
from hiermodels.design import Block, Columns, Design, Predictor

__all__ = ["distinct_rows"]

type Array = np.ndarray


def distinct_rows(design: Design) -> Design:
    """The design with each different row once, its weight the sum of the weights of its equals.

    Rows of weight zero are left out. Where all rows differ the design is returned as it is, and
    its weights stay None if they were.
    """
    code = row_codes(design)
    given = np.ones(design.n) if design.weights is None else design.weights
    total = np.bincount(code, weights=given)
    if len(total) == design.n and total.all():
        return design
    first = np.full(len(total), design.n, dtype=np.int64)
    np.minimum.at(first, code, np.arange(design.n))
    first, total = first[total > 0], total[total > 0]
    order = np.argsort(first)
    return replace(rows_of(design, first[order]), weights=total[order])


def row_codes(design: Design) -> Array:
    """A number for each row, the same for rows that are the same."""
    code = np.zeros(design.n, dtype=np.int64)
    for column in columns_of(design):
        own, values = pd.factorize(column)
        if len(values) == 1:
            continue
        # at most n * n, far below 2^63
        code, distinct = pd.factorize(code * len(values) + own)
        if len(distinct) == design.n:
            break
    return code


def columns_of(design: Design) -> Iterator[Array]:
    """Every column that the log-density of a row depends on."""
    yield design.response
    for optional in (design.trials, design.se):
        if optional is not None:
            yield optional
    for predictor in design.predictors:
        yield predictor.offset
        yield from predictor.common.values.T
        for block in predictor.blocks:
            yield block.index
            yield from block.columns.values.T


def rows_of(design: Design, keep: Array) -> Design:
    """Some rows of a design, with the centres, scales and levels of all of it."""
    mean = predictor_rows(design.mean, keep)
    return replace(
        design,
        response=design.response[keep],
        offset=mean.offset,
        common=mean.common,
        blocks=mean.blocks,
        weights=None if design.weights is None else design.weights[keep],
        se=None if design.se is None else design.se[keep],
        trials=None if design.trials is None else design.trials[keep],
        extras={name: predictor_rows(own, keep) for name, own in design.extras.items()},
        rows=Rows(
            frame=design.rows.frame.iloc[keep],
            missing=design.rows.missing,
            n_dropped=design.rows.n_dropped,
        ),
    )


def predictor_rows(predictor: Predictor, keep: Array) -> Predictor:
    return replace(
        predictor,
        offset=predictor.offset[keep],
        common=column_rows(predictor.common, keep),
        blocks=tuple(block_rows(block, keep) for block in predictor.blocks),
    )


def block_rows(block: Block, keep: Array) -> Block:
    return replace(block, index=block.index[keep], columns=column_rows(block.columns, keep))


def column_rows(columns: Columns, keep: Array) -> Columns:
    return replace(columns, values=columns.values[keep])
