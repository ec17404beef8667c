"""A design into findings about its grouping: what may not be meant, before a draw is made.

Findings have counts and the term that repairs; nothing is ever repaired here. What is certainly a
fault warns; what is a question, as labels that recur under several parents, is a note, for crossed
factors look the same.

Looked at are the columns of the formula alone: a parent that it does not name is not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import stdtr

from hiermodels.data import is_plain
from hiermodels.design import INTERCEPT, Block, Design, nested_in
from hiermodels.errors import counted
from hiermodels.families import LINKS, Family
from hiermodels.findings import Finding, Findings
from hiermodels.identification import find_unidentified
from hiermodels.levels import INVISIBLE, WAYS, fold, look_alikes, people_key, tidied
from hiermodels.separation import find_separation

__all__ = ["find_nesting"]

type Array = np.ndarray

#: Levels below which an sd is little more than its prior.
FEW_LEVELS = 5
#: Levels below which a predictor with a value for each of them stands for the levels themselves.
FEW_FOR_PREDICTOR = 10
#: Probability of a difference between slopes within and between levels, for a note. Never a
#: warning: it is a test, wrong once in a hundred models, and slopes that differ between levels make
#: one, too.
NOTED = 0.01
#: A share of the variance of a column that is rounding.
ROUNDING = 1e-10
#: Steps of a quasi-likelihood at most; the change that is none; linear predictors go no farther.
STEPS, SMALL, FAR = 25, 1e-5, 30.0
#: Keeps what is divided by from zero.
EDGE = 1e-12
#: Of more rows a random part says as much of the levels, in a fraction of the time of a fit.
MOST_ROWS = 1_000_000
#: Sets of labels that a finding lists.
SHOWN = 3
#: The call of pandas for each way in which labels differ that look alike.
CALLS = {
    "number or text": ".astype('string')",
    "Unicode form": ".str.normalize('NFKC')",
    "invisible characters": f".str.replace({INVISIBLE.pattern!a}, '', regex=True)",
    "case": ".str.casefold()",
    "blanks inside": r".str.replace(r'\s+', ' ', regex=True)",
    "blanks around": ".str.strip()",
}


def find_nesting(design: Design) -> Findings:
    """Findings about the grouping factors of a design, with counts and the term that repairs."""
    found: list[Finding] = []
    for first, second in combinations(design.blocks, 2):
        found += recurring_labels(design, first, second)
    for predictor in design.predictors:
        for block in predictor.blocks:
            found += few_levels(block, prefix=predictor.prefix)
            found += constant_slopes(block)
    found += similar_labels(design)
    for block in design.blocks:
        found += group_in_common(design, block)
        found += correlated_with_levels(design, block)
    found += find_unidentified(design)
    found += find_separation(design)
    found += empty_categories(design)
    return Findings(found=tuple(found))


def empty_categories(design: Design) -> Iterator[Finding]:
    """Ordered categories that were declared and have no rows: they stay possible."""
    empty = [str(c) for c in design.empty_categories]
    if not empty:
        return
    name = design.response_name
    one = len(empty) == 1
    yield Finding(
        kind="category without rows",
        group=name,
        certain=True,
        message=(
            f"No row has {name} {', '.join(empty)}. The "
            f"{'category is' if one else 'categories are'} kept, and the prior of the thresholds "
            f"has much to say about {'its probability' if one else 'their probabilities'}."
        ),
        repair=(
            f"If no row can have {'it' if one else 'them'}: "
            f"data[{name!r}] = data[{name!r}].cat.remove_unused_categories()."
        ),
        counts={"categories": design.n_thresholds + 1, "empty": len(empty)},
    )


def similar_labels(design: Design) -> Iterator[Finding]:
    """Labels that are one but for blanks, case or Unicode: "Site A " and "site a", 1 and "1".

    Case alone can be meant, as in AA, Aa and aa of a gene: a note. Anything else never is: a
    warning.
    """
    frame = design.rows.frame
    for name in dict.fromkeys(c for p in design.predictors for c in p.formula.column_names):
        if name not in frame or is_plain(frame[name]) or name == design.formula.response:
            continue
        labels = sorted(frame[name].unique().tolist(), key=people_key)
        same = list(look_alikes(labels))
        if not same:
            continue
        ways = repairs(labels)
        shown = "; ".join(" and ".join(map(repr, each)) for each in same[:SHOWN])
        more = f"; and {len(same) - SHOWN:,} more" if len(same) > SHOWN else ""
        left = len({fold(label) for label in labels})
        yield Finding(
            kind="labels that look alike",
            group=name,
            certain=ways != ["case"],
            message=(
                f"The {len(labels):,} labels of {name!r} are {left:,} but for {listed(ways)}: "
                f"{shown}{more}."
            ),
            repair=(
                "If these are the same, before the fit: "
                f"data[{name!r}] = data[{name!r}]{''.join(CALLS[way] for way in ways)}."
            ),
            counts={"labels": len(labels), "alike": len(same), "left": left},
        )


def repairs(labels: list[Any]) -> list[str]:
    """The steps that make one of the labels that look alike, as few as do."""
    left = len({fold(label) for label in labels})
    kept = [
        way
        for way in WAYS
        if way != "number or text" or not all(isinstance(v, str) for v in labels)
    ]
    for way in list(kept):
        fewer = [other for other in kept if other != way]
        if way != "number or text" and len({tidied(label, fewer) for label in labels}) == left:
            kept = fewer
    return kept


def listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def recurring_labels(design: Design, first: Block, second: Block) -> Iterator[Finding]:
    """Labels of one factor under several levels of another: one thing, or one in each?

    Only where some cell of the two has repeats; with one row in each cell, cells could not be told
    from the residual, and the factors can only be crossed. Nothing where the formula has the cells
    beside the two, which answers the question.
    """
    if len(first.factor) > 1 or len(second.factor) > 1:
        return
    if nested_in(first, second) or nested_in(second, first):
        return
    if any({*first.factor, *second.factor} <= set(b.factor) for b in design.blocks):
        return
    parent, child = (first, second) if generic(second) >= generic(first) else (second, first)
    both = acts(first) & acts(second)
    if not both.any():  # as (0 + arm_a | clinic) + (0 + arm_b | therapist)
        return
    cells = np.unique(
        child.index[both].astype(np.int64) * parent.n_levels + parent.index[both],
        return_counts=True,
    )
    if cells[1].max() == 1:
        return
    parents = np.bincount(cells[0] // parent.n_levels, minlength=child.n_levels)
    recurring = int((parents > 1).sum())
    most = int(parents.argmax())
    if not recurring:
        return
    yield Finding(
        kind="recurring labels",
        group=child.name,
        certain=False,
        message=(
            f"{recurring:,} of the {child.n_levels:,} labels of {child.name!r} recur under several "
            f"of the {parent.n_levels:,} levels of {parent.name!r} ({child.levels[most]!r} in "
            f"{parents[most]:,}): one level of {child.name}, or another in each level of "
            f"{parent.name}?"
        ),
        repair=(
            f"Another in each, {len(cells[0]):,} in all: {nested_term(parent, child)}; "
            "one and the same: this is right."
        ),
        counts={
            "labels": child.n_levels,
            "recurring": recurring,
            "parents": parent.n_levels,
            "most": int(parents[most]),
            "cells": len(cells[0]),
        },
    )


def acts(block: Block) -> Array:
    """The rows in which a factor has an effect: not those of another arm."""
    if INTERCEPT in block.terms:
        return np.ones(len(block.index), dtype=bool)
    return np.asarray(block.columns.values.any(axis=1))


def nested_term(parent: Block, child: Block) -> str:
    """``(1 | parent/child)`` with the columns that the child's term has."""
    terms = [t for t in child.terms if t != INTERCEPT]
    inside = " + ".join(terms) if terms else "1"
    return f"({inside} | {parent.name}/{child.name})"


def generic(block: Block) -> float:
    """The share of labels that name nothing by themselves: a letter, or a number of two digits."""
    labels = [str(label) for label in block.levels]
    return float(np.mean([len(t) == 1 or (len(t) == 2 and t.isdigit()) for t in labels]))


def few_levels(block: Block, *, prefix: str) -> Iterator[Finding]:
    """Fewer than five levels say little about an sd."""
    levels = int(np.count_nonzero(np.bincount(block.index[acts(block)])))
    if levels < FEW_LEVELS:
        yield Finding(
            kind="few levels",
            group=block.name,
            certain=True,
            message=(
                f"{block.name!r} has {counted(levels, 'level')}: its sd rests on "
                f"{counted(levels - 1, 'difference')} and its prior."
            ),
            repair=(
                f"As a common effect: {block.name} outside the bars; "
                f"or a prior of your own for {prefix}sd_{block.name}."
            ),
            counts={"levels": levels},
        )


def level_means(block: Block, values: Array) -> Array:
    """The mean of a column in each level."""
    return np.bincount(block.index, weights=values, minlength=block.n_levels) / block.counts


def within_share(block: Block, values: Array) -> float:
    """The share of a column's variance that lies within levels; 0 of a constant column."""
    centred = values - values.mean()
    total = float(centred @ centred)
    means = level_means(block, centred)
    inside = total - float(block.counts @ means**2)
    return max(inside, 0.0) / total if total > 0 else 0.0


def constant_slopes(block: Block) -> Iterator[Finding]:
    """A slope of a column that is constant within the levels is an effect on the level alone.

    Without an intercept beside it there is one effect for each level all the same, as where a
    factor belongs to one arm: ``(0 + arm_a | clinic)``. A dummy that is not correlated with the
    intercept gives the levels of its arm an sd of their own.
    """
    if INTERCEPT not in block.terms:
        return
    at = block.terms.index(INTERCEPT)
    for k, term in enumerate(block.terms):
        values = block.columns.values[:, k]
        if term == INTERCEPT or np.ptp(values) == 0 or block.columns.dummy[k]:
            continue
        if not any({at, k} <= set(part) for part in block.parts) and is_dummy(values):
            continue
        if within_share(block, values) <= ROUNDING:
            yield Finding(
                kind="constant slope",
                group=block.name,
                certain=True,
                message=(
                    f"{term!r} is constant within each of the {block.n_levels:,} levels of "
                    f"{block.name!r}: no level says what its slope is."
                ),
                repair=f"Leave it out of the bar: {term} + (1 | {block.name}).",
                counts={"levels": block.n_levels},
            )


def is_dummy(values: Array) -> bool:
    """A number that is 0 or 1."""
    return bool(np.isin(values, (0, 1)).all())


def group_in_common(design: Design, block: Block) -> Iterator[Finding]:
    """Common columns that leave nothing to the group's intercepts.

    With the columns that are constant within levels, one row a level: as many independent ones as
    levels explain every intercept; so does a numeric one with a value for each of few levels, but
    for a line through them.
    """
    if INTERCEPT not in block.terms:
        return
    columns = design.common.values
    constant = [
        k for k in range(len(design.terms)) if within_share(block, columns[:, k]) <= ROUNDING
    ]
    if not constant:
        return
    means = np.column_stack(
        [
            np.ones(block.n_levels),
            *(
                (level_means(block, columns[:, k]) - design.common.center[k])
                / design.common.scale[k]
                for k in constant
            ),
        ]
    )
    names = [design.terms[k] for k in constant]
    told = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    if np.linalg.matrix_rank(means) >= block.n_levels:
        yield Finding(
            kind="collinear with the group",
            group=block.name,
            certain=True,
            message=(
                f"the common effects that are constant within {block.name!r} ({told}) already "
                f"give each of its {block.n_levels:,} levels a value of its own."
            ),
            repair=f"Leave out either them or (1 | {block.name}).",
            counts={"levels": block.n_levels, "columns": len(constant)},
        )
        return
    for k, name in zip(constant, names, strict=True):
        values = len(np.unique(np.round(means[:, 1 + names.index(name)], 9)))
        numeric = not design.common.dummy[k]
        if numeric and values == block.n_levels and block.n_levels < FEW_FOR_PREDICTOR:
            yield Finding(
                kind="predictor of few levels",
                group=block.name,
                certain=True,
                message=(
                    f"{name!r} has another value in each of the {block.n_levels:,} levels of "
                    f"{block.name!r} and none within: its slope rests on {block.n_levels} points."
                ),
                repair=f"More levels of {block.name}; or read its interval with that in mind.",
                counts={"levels": block.n_levels, "values": values},
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A regression without group effects, linearised. Made by `line_of`, read by `contextual`.

    ``columns`` (n, p) with that of the intercept; ``weights`` (n,); ``left`` (n,) what the line
    leaves of the working response.
    """

    columns: Array
    weights: Array
    left: Array


def chosen_rows(n: int) -> Array | slice:
    """All rows, or some `MOST_ROWS` of them: not at equal distances, which data may have, too."""
    if n <= MOST_ROWS:
        return slice(None)
    return np.flatnonzero(np.random.default_rng(0).random(n) < MOST_ROWS / n)


def line_of(design: Design, rows: Array | slice = slice(None)) -> Line | None:
    """The common effects by quasi-likelihood, on the scale of the link; None without a spread.

    Counts have Var y = mu + k mu^2, k by moments of what the line leaves: otherwise the levels with
    high means would be all that counts, though they scatter as much as the others.
    """
    trials = np.ones(1) if design.trials is None else design.trials[rows]
    y, offset = design.response[rows] / trials, design.offset[rows]
    family = design.family
    columns = np.column_stack([np.ones(len(y)), design.common.values[rows]])
    if np.ptp(y) == 0:
        return None
    if family.name == "lognormal":
        y = np.log(y)
    if family.name == "lognormal" or family.link == "identity" or family.categories:
        z = y - offset
        return Line(columns=columns, weights=np.ones(len(y)), left=z - columns @ least(columns, z))
    link = LINKS[family.link]
    middle = float(y.mean())
    eta = link.link((y + middle) / 2)
    excess = 0.0
    for _ in range(STEPS):
        mean = link.inverse(eta)
        # a row that is predicted with certainty says nothing more
        slope = (link.inverse(eta + SMALL) - link.inverse(eta - SMALL)).clip(EDGE) / (2 * SMALL)
        weights = slope**2 / spread(design.family, trials, mean, excess)
        z = eta + (y - mean) / slope - offset
        root = np.sqrt(weights)
        line = columns @ least(columns * root[:, None], z * root)
        before, eta = eta, np.clip(line + offset, -FAR, FAR)
        excess = max(0.0, float(((y - mean) ** 2 - mean).sum() / (mean**2).sum()))
        if np.abs(eta - before).max() < SMALL:
            break
    if not np.isfinite(z).all():
        return None
    return Line(columns=columns, weights=weights, left=z - line)


def least(columns: Array, y: Array) -> Array:
    """Coefficients of least squares; of columns that go together the shortest."""
    return np.linalg.pinv(columns.T @ columns, hermitian=True) @ (columns.T @ y)


def spread(family: Family, trials: Array, mean: Array, excess: float) -> Array:
    """The variance of a response as it goes with its mean, but for a factor."""
    if family.link == "log":
        continuous = family.name == "gamma"
        return np.asarray(mean**2 if continuous else mean + excess * mean**2)
    return np.asarray((mean * (1 - mean)).clip(EDGE) / trials)


def correlated_with_levels(design: Design, block: Block) -> Iterator[Finding]:
    """A predictor whose level means go with the levels' intercepts: its slopes differ within and
    between.

    The coefficient of its level means beside the predictor itself is the difference of the two
    slopes. Source: Mundlak 1978, Econometrica 46.
    """
    if INTERCEPT not in block.terms or block.n_levels < FEW_LEVELS:
        return
    columns = design.common.values
    inside = [
        k
        for k in range(len(design.terms))
        if design.terms[k].isidentifier()
        and not design.common.dummy[k]
        and 1e-6 < within_share(block, columns[:, k]) < 1 - 1e-6
    ]
    if not inside or any(t.startswith(("within(", "between(")) for t in design.terms):
        return
    rows = chosen_rows(design.n)
    line = line_of(design, rows)
    if line is None:
        return
    index = block.index[rows]
    for k in inside:
        p = contextual_probability(line, level_means(block, columns[:, k])[index], index)
        if p < NOTED:
            yield between_finding(design.terms[k], block, p)


def contextual_probability(line: Line, column: Array, index: Array) -> float:
    """Two-sided, of a coefficient of zero of one more column, by the scores of the levels.

        t = sum_j s_j / sqrt(sum_j (s_j / (1 - h_j))^2),    s_j = sum_(i in j) w_i m_i r_i

    with what the line leaves of the column, m, and of the response and it, r; h_j the share of
    level j in sum w m^2. What goes with a level (intercepts, slopes, overdispersion) is in the
    scores, whatever its distribution; 1 / sum h_j^2 levels are as good as count, and are the
    degrees of freedom. Source: Bell & McCaffrey 2002, Survey Methodology 28.
    """
    root = np.sqrt(line.weights)
    wide = line.columns * root[:, None]
    m = column * root
    m = m - wide @ least(wide, m)
    total = float(m @ m)
    if total <= ROUNDING * float(((column - column.mean()) * root) @ (column * root)):
        return 1.0
    left = line.left * root
    slope = float(m @ left) / total
    scores = np.bincount(index, weights=m * (left - slope * m))
    shares = np.bincount(index, weights=m**2) / total
    df = 1 / float(shares @ shares) - 1
    error = float(np.sqrt(((scores / (1 - shares).clip(SMALL)) ** 2).sum())) / total
    if df <= 0 or error == 0:
        return 1.0
    return float(2 * stdtr(df, -abs(slope) / error))


def between_finding(term: str, block: Block, p: float) -> Finding:
    levels = ", ".join(block.factor)
    return Finding(
        kind="slopes differ within and between",
        group=block.name,
        certain=False,
        message=(
            f"the level means of {term!r} go with the intercepts of the {block.n_levels:,} levels "
            f"of {block.name!r} (p = {p:.1g}): its slopes within and between levels differ, and "
            "one slope mixes them."
        ),
        repair=f"Both: within({term}, {levels}) + between({term}, {levels}).",
        counts={"levels": block.n_levels},
    )
