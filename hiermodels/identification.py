"""A design into findings about effects that its rows cannot tell apart, whatever the response.

    sum_k a_k x_k = 0 in every row:    beta and beta + t a make the same predictions for every t

Priors make the posterior proper all the same: what the likelihood leaves open, they decide. Columns
that are correlated in one bar are looked at as common ones are. Those of ``(1 + a + b || g)`` with
a + b = 1 are not: levels with an sd for each arm and one for both are told apart by covariances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from hiermodels.columns import CELLS, Columns
from hiermodels.design import INTERCEPT, Block, Design, Predictor
from hiermodels.errors import counted, joined
from hiermodels.findings import Finding
from hiermodels.rank import in_words, relations

__all__ = ["find_unidentified"]

type Array = np.ndarray

#: Relations between columns that a message spells out.
SHOWN = 3


def find_unidentified(design: Design) -> Iterator[Finding]:
    """What was left out of the matrix, columns that are combinations of others, equal factors."""
    used: Array | slice = slice(None) if design.weights is None else design.weights > 0
    for predictor in design.predictors:
        thresholds = bool(design.n_thresholds) and not predictor.parameter
        yield from left_out(predictor.common, group="")
        yield from collinear(
            predictor.common.values[used],
            [predictor.prefix + t for t in predictor.terms],
            intercept=predictor.intercept or thresholds,
            group="",
        )
        for block in predictor.blocks:
            yield from left_out(block.columns, group=block.name)
            for part in block.parts:
                yield from of_part(block, part, used, prefix=predictor.prefix)
        yield from equal_factors(predictor, used)


def listed(names: Sequence[str]) -> str:
    """``'a', 'b' and 'c'``, the first of many."""
    return joined([repr(name) for name in names], SHOWN)


def left_out(columns: Columns, *, group: str) -> Iterator[Finding]:
    """Terms and columns of the formula that the matrix does not have."""
    dropped = columns.dropped
    if dropped.terms:
        several = len(dropped.terms) > 1
        yield Finding(
            kind="one level",
            group=group,
            certain=True,
            message=(
                f"{listed(dropped.terms)} {'have' if several else 'has'} the same label in every "
                "row, and so no effect in the model."
            ),
            repair=f"Leave {'them' if several else 'it'} out, or check that the right rows were "
            "kept.",
            counts={"terms": len(dropped.terms)},
        )
    if dropped.columns:
        cells = joined(dropped.cells, CELLS)
        yield Finding(
            kind="empty cell",
            group=group,
            certain=False,
            message=(
                f"no row is in {cells}: {listed(dropped.columns)} "
                f"{'are' if len(dropped.columns) > 1 else 'is'} left out, as R does."
            ),
            repair="Predictions are made for the other cells only.",
            counts={"cells": len(dropped.cells), "columns": len(dropped.columns)},
        )


def of_part(
    block: Block, part: tuple[int, ...], used: Array | slice, *, prefix: str
) -> Iterator[Finding]:
    """The columns of one bar that are correlated with each other."""
    names = [block.terms[k] for k in part]
    own = [k for k, name in zip(part, names, strict=True) if name != INTERCEPT]
    if len(part) > 1:
        yield from collinear(
            block.columns.values[used][:, own],
            [block.terms[k] for k in own],
            intercept=INTERCEPT in names,
            group=prefix + block.name,
        )


def collinear(
    columns: Array, names: Sequence[str], *, intercept: bool, group: str
) -> Iterator[Finding]:
    """Columns that are combinations of earlier ones, one finding for all of them."""
    n, p = columns.shape
    if not p:
        return
    coefficients = p + intercept
    if n < coefficients:
        yield Finding(
            kind="more coefficients than rows",
            group=group,
            certain=True,
            message=(
                f"{counted(n, 'row')} cannot tell {counted(coefficients, 'coefficient')} apart: "
                "their priors decide."
            ),
            repair="Fewer columns, or priors of your own for them.",
            counts={"rows": n, "coefficients": coefficients},
        )
        return
    found = relations(columns, intercept=intercept)
    if not found:
        return
    told = "; ".join(in_words(names[j], a, names) for j, a in [*found.items()][:SHOWN])
    told += f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    used = np.any([a[1:] != 0 for a in found.values()], axis=0)
    involved = [k for k in range(p) if used[k] or k in found]
    which = joined([names[k] for k in involved], 2 * SHOWN)
    what = f"the effects of {which} in {group!r}" if group else f"the coefficients of {which}"
    yield Finding(
        kind="collinear columns",
        group=group,
        certain=True,
        message=f"{told} in every row: the data cannot tell {what} apart; their priors do.",
        repair=f"Leave out {listed([names[j] for j in found])}.",
        counts={"relations": len(found), "columns": len(involved)},
    )


def equal_factors(predictor: Predictor, used: Array | slice) -> Iterator[Finding]:
    """Factors that put the rows into the same groups under other labels.

    Not where they have columns of their own, as ``(0 + arm_a | clinic) + (0 + arm_b | therapist)``.
    """
    for first, second in combinations(predictor.blocks, 2):
        pairs = same_groups(first, second, used)
        if pairs:
            yield Finding(
                kind="equal factors",
                group=predictor.prefix + second.name,
                certain=True,
                message=(
                    f"{first.name!r} and {second.name!r} put the rows into the same {pairs} groups "
                    "under other labels: the data tell only the sum of their variances, and the "
                    "priors decide on the parts."
                ),
                repair="Leave out one of them.",
                counts={"levels": pairs},
            )


def same_groups(first: Block, second: Block, used: Array | slice) -> int:
    """The number of groups where two factors are one, else 0."""
    Z, W = first.columns.values[used], second.columns.values[used]
    rows = Z.any(axis=1)
    if not np.array_equal(rows, W.any(axis=1)) or not rows.any():
        return 0
    index, other = first.index[used][rows], second.index[used][rows]
    partner, back = np.zeros(first.n_levels, int), np.zeros(second.n_levels, int)
    partner[index], back[other] = other, index
    if not (np.array_equal(partner[index], other) and np.array_equal(back[other], index)):
        return 0
    groups = int(np.count_nonzero(np.bincount(index)))
    if np.array_equal(Z[:, 0], W[:, 0]):
        return groups
    return groups if relations(np.hstack([Z, W])[rows], intercept=False) else 0
