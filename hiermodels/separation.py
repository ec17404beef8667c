"""A design into findings about separation: a direction in which the likelihood only ever rises.

    a_i' d >= 0 for all i,  sum_i a_i' d > 0

with a row a_i of the columns for each thing that the response says of them: x_i for a success,
-x_i for a failure, both where a row has some of each; for a count of zero -x_i, for any other both
(its mean would have an optimum); for category k of an ordinal response (-x_i, e_k) and
(x_i, -e_(k-1)), with the thresholds beside the coefficients. Along d there is no maximum, and only
the prior ends the posterior. Where all a_i' d > 0 separation is complete.

Nothing is separated where the rows that fix the predictor have all columns, or where Newton's
method ends in a maximum, for ordered categories at each cut. Otherwise the linear program

    max sum_i a_i' d,    -1 <= d <= 1

decides, with those of its rows alone that are violated without them: few do for any number of rows.

Source: Albert & Anderson 1984, Biometrika 71; Konis 2007, DPhil thesis, Oxford, for the linear
program; Correia, Guimaraes & Zylkin 2019, arXiv 1903.01633, for counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from hiermodels.columns import CELLS
from hiermodels.data import is_plain
from hiermodels.design import Design, Predictor
from hiermodels.errors import counted, joined
from hiermodels.findings import Finding
from hiermodels.rank import relations

__all__ = ["find_separation"]

type Array = np.ndarray

#: Families of successes; of counts, whose mean is zero in no row that has any.
SUCCESSES = ("bernoulli", "binomial", "betabinomial")
#: Families whose zeros (and ones) are told from the rest by a probability of their own.
APART = ("hurdle_poisson", "hurdle_negbinomial", "zi_beta", "zoi_beta")
#: A product that is rounding, of standardised columns.
NOTHING = 1e-7
#: A sum or a margin of such products that is more than rounding.
SOME = 1e-6
#: Steps of Newton's method, the change that ends them, and how far a line with a maximum may go.
STEPS, SMALL, FAR = 15, 1e-6, 12.0
#: Rows that a linear program begins with and takes up at a time; how many programs at most.
ROWS, PROGRAMS = 500, 40
#: Columns beyond which the program takes longer than the fit; beyond which none is tried alone.
MOST_COLUMNS, ALONE = 300, 30
#: Rows beyond which none is tried alone, either.
MOST_ROWS = 20_000
#: Columns that a message names.
SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a linear predictor has to tell apart. Made by `outcomes`.

    ``low`` and ``high`` (n,) say in which rows it may go down, or up, without end; a row with both
    false fixes it. ``words`` are those of the two ends, ``"0"`` and ``"1"``. ``categories`` (n,)
    numbers ordered labels, None for two ends.
    """

    low: Array
    high: Array
    words: tuple[str, str]
    categories: Array | None = None


def outcomes(design: Design, predictor: Predictor) -> Outcome | None:
    """Of the mean of successes, counts and ordered categories, and of a probability of zeros."""
    y, family = design.response, design.family.name
    name = design.response_name
    none = np.zeros(len(y), dtype=bool)
    if predictor.parameter:
        if family not in APART or predictor.parameter not in ("zi", "zoi"):
            return None
        ends = (y == 0) | ((y == 1) & (family == "zoi_beta"))
        at = f"{name} is {'0 or 1' if family == 'zoi_beta' else '0'}"
        return Outcome(low=~ends, high=ends, words=(at.replace(" is ", " is not "), at))
    if family in SUCCESSES:
        trials = np.ones(len(y)) if design.trials is None else design.trials
        all_are = "all trials succeed" if (trials > 1).any() else f"{name} is {label(design, 1)}"
        none_is = "no trial succeeds" if (trials > 1).any() else f"{name} is {label(design, 0)}"
        return Outcome(low=y == 0, high=y == trials, words=(none_is, all_are))
    if design.family.categories:
        code = np.unique(y, return_inverse=True)[1]
        top = int(code.max())
        words = (f"{name} is {label(design, 0)}", f"{name} is {label(design, top)}")
        return Outcome(low=code == 0, high=code == top, words=words, categories=code)
    if design.family.discrete:
        return Outcome(low=y == 0, high=none, words=(f"{name} is 0", ""))
    return None


def label(design: Design, k: int) -> str:
    return str(k if design.categories is None else repr(design.categories[k]))


def find_separation(design: Design) -> Iterator[Finding]:
    """One finding for each linear predictor whose columns separate what it has to tell."""
    used = np.ones(design.n, bool) if design.weights is None else design.weights > 0
    for predictor in design.predictors:
        outcome = outcomes(design, predictor)
        if outcome is None or not predictor.terms or len(predictor.terms) > MOST_COLUMNS:
            continue
        if not (outcome.low[used] | outcome.high[used]).any():
            continue
        intercept = predictor.intercept or outcome.categories is not None
        X = independent(predictor.common.values[used], intercept=intercept)
        kept = Outcome(
            low=outcome.low[used],
            high=outcome.high[used],
            words=outcome.words,
            categories=None if outcome.categories is None else outcome.categories[used],
        )
        if not_separated(X, kept):
            continue
        rows = signed_rows(X, kept)
        d = separating(rows)
        if d is not None:
            yield describe(design, predictor, kept, rows, d, used)


def independent(columns: Array, *, intercept: bool) -> Array:
    """Standardised columns with that of the intercept; zero where one is a combination."""
    center = columns.mean(axis=0) if intercept else np.zeros(columns.shape[1])
    spread = np.sqrt(((columns - center) ** 2).mean(axis=0))
    X = (columns - center) / np.where(spread > 0, spread, 1)
    X[:, [*relations(columns, intercept=intercept)]] = 0
    return np.column_stack([np.ones(len(X)), X]) if intercept else X


def signed_rows(X: Array, outcome: Outcome) -> Array:
    """a_i: (m, columns), or (m, columns + thresholds) of ordered categories."""
    if outcome.categories is None:
        fixed = ~(outcome.low | outcome.high)
        return np.vstack([X[outcome.high], -X[outcome.low], X[fixed], -X[fixed]])
    code = outcome.categories
    cuts = np.eye(int(code.max()))
    X = X[:, 1:]  # the thresholds are the intercept
    above, below = code > 0, code < code.max()
    return np.vstack(
        [
            np.hstack([X[above], -cuts[code[above] - 1]]),
            np.hstack([-X[below], cuts[code[below]]]),
        ]
    )


def not_separated(X: Array, outcome: Outcome) -> bool:
    """What needs no linear program: fixed rows with all columns, or a maximum."""
    if outcome.categories is not None:
        cuts = range(int(outcome.categories.max()))
        return all(has_maximum(X, (outcome.categories > k).astype(float)) for k in cuts)
    fixed = X[~(outcome.low | outcome.high)]
    if len(fixed) >= X.shape[1]:
        zero = ~X.any(axis=0)
        if not set(relations(fixed, intercept=False)) - set(np.flatnonzero(zero)):
            return True
    if not outcome.high.any() and not len(fixed):
        return False
    y = np.where(outcome.high, 1.0, np.where(outcome.low, 0.0, 0.5))
    return bool(outcome.high.any()) and has_maximum(X, y)


def has_maximum(X: Array, y: Array) -> bool:
    """Whether Newton's method for a logistic regression ends, as it cannot where y is separated."""
    b = np.zeros(X.shape[1])
    for _ in range(STEPS):
        mean = expit(X @ b)
        information = (X * (mean * (1 - mean))[:, None]).T @ X
        step = np.linalg.pinv(information, hermitian=True) @ (X.T @ (y - mean))
        b = b + step
        if not np.isfinite(b).all() or np.abs(X @ b).max() > FAR:
            return False
        if np.abs(step).max() < SMALL:
            return True
    return False


def separating(rows: Array, *, free: Array | None = None) -> Array | None:
    """The direction of the linear program, None where there is none; of ``free`` columns alone."""
    d = improving(rows, rows.sum(axis=0), free=free)
    return d if d is not None and (rows @ d).max() > SOME else None


def is_complete(rows: Array) -> bool:
    """Whether some direction has a margin: max t with a_i' d >= t."""
    margin = np.zeros(rows.shape[1] + 1)
    margin[-1] = 1
    found = improving(np.column_stack([rows, -np.ones(len(rows))]), margin)
    return found is not None and found[-1] > SOME


def improving(rows: Array, goal: Array, *, free: Array | None = None) -> Array | None:
    """max goal' d, where rows' d >= 0 and -1 <= d <= 1; None where it is zero."""
    from scipy.optimize import linprog

    bounds = np.column_stack([-np.ones(len(goal)), np.ones(len(goal))])
    if free is not None:
        bounds[~free] = 0
    taken = np.unique(np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int))
    scale = max(float(np.abs(goal).max()), 1e-300)
    for _ in range(PROGRAMS):
        found = linprog(-goal / scale, A_ub=-rows[taken], b_ub=np.zeros(len(taken)), bounds=bounds)
        if found.x is None or -found.fun <= SOME:
            return None
        d = np.asarray(found.x)
        value = rows @ d
        violated = np.flatnonzero(value < -NOTHING)
        more = np.union1d(taken, violated[np.argsort(value[violated])[:ROWS]])
        if len(more) == len(taken):
            # what the program leaves of its own rows is its tolerance
            return d if value.min() > -SOME else None
        taken = more
    return None


def describe(
    design: Design,
    predictor: Predictor,
    outcome: Outcome,
    rows: Array,
    d: Array,
    used: Array,
) -> Finding:
    """In the words of a category where that is all, else by the columns involved."""
    complete = is_complete(rows)
    names = predictor.terms
    first = (
        0 if outcome.categories is not None or not predictor.intercept else 1
    )  # thresholds stand behind the columns, the intercept before them
    involved = [n for n, a in zip(names, d[first:], strict=False) if abs(a) > SOME]
    if len(names) <= ALONE and len(rows) <= MOST_ROWS:
        alone = [
            n
            for k, n in enumerate(names)
            if separating(rows, free=one_column(rows, first, len(names), k)) is not None
        ]
        involved = alone or involved
    told = [predictor.prefix + n for n in involved]
    listed = joined(told, SHOWN)
    kind = "complete separation" if complete else "quasi-complete separation"
    cells = "; ".join(one_sided(design, predictor, outcome, used)[:CELLS])
    several = len(told) > 1
    where = cells or by_columns(listed, outcome, several=several, complete=complete)
    bound = "their priors bound the coefficients" if several else "its prior bounds the coefficient"
    return Finding(
        kind=kind,
        group="",
        certain=True,
        message=f"{where} ({kind}): the likelihood has no maximum, and only {bound} of {listed}.",
        repair=(
            f"{'Priors' if several else 'A prior'} of your own that {'say' if several else 'says'} "
            "how large an effect can be; or fewer columns."
        ),
        counts={"rows": int((rows @ d > NOTHING).sum()), "columns": len(involved)},
    )


def by_columns(listed: str, outcome: Outcome, *, several: bool, complete: bool) -> str:
    """``x separates the rows where y is 0 from those where y is 1``."""
    ends = [w for w in outcome.words if w]
    if outcome.categories is not None and outcome.categories.max() > 1:
        what = "the categories of the response"
    elif len(ends) == 2:
        what = f"the rows where {ends[0]} from those where {ends[1]}"
    else:
        what = f"rows where {ends[0]} from the others"
    ties = "" if complete else ", but for ties at the border"
    return f"{listed} {'together separate' if several else 'separates'} {what}{ties}"


def one_column(rows: Array, first: int, p: int, k: int) -> Array:
    """Intercept or thresholds, and one column."""
    free = np.ones(rows.shape[1], dtype=bool)
    free[first : first + p] = False
    free[first + k] = True
    return free


def one_sided(design: Design, predictor: Predictor, outcome: Outcome, used: Array) -> list[str]:
    """Labels whose rows are all at one end: ``y is 1 in all 8 rows with f = 'a'``."""
    found = []
    frame = design.rows.frame
    for name in predictor.formula.column_names:
        if name not in frame or (is_plain(frame[name]) and frame[name].nunique() > 2):
            continue
        if name == design.response_name or not in_terms(name, predictor):
            continue
        column = pd.Series(np.asarray(frame[name])[used])
        for value, at in column.groupby(column, observed=True).indices.items():
            for end, word in zip((outcome.low, outcome.high), outcome.words, strict=True):
                if end[at].all() and word:
                    found.append(f"{word} in {every(len(at))} with {name} = {plain(value)}")
    return found


def every(n: int) -> str:
    return "the one row" if n == 1 else f"all {counted(n, 'row')}"


def in_terms(name: str, predictor: Predictor) -> bool:
    """Whether a column is among the common effects."""
    return any(re.search(rf"\b{re.escape(name)}\b", term) for term in predictor.terms)


def plain(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
