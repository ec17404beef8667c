"""Predictions into the frames that a user reads: their titles say of what they are predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.design import Design
from hiermodels.errors import DataError, NotAvailableError, UnknownNameError, lookup
from hiermodels.labels.tables import MEDIAN_INSTEAD, estimate_columns, heading, with_dashes
from hiermodels.levels import people_key
from hiermodels.numbers.averages import LINEAR
from hiermodels.numbers.checks import AVERAGED, enough_draws
from hiermodels.numbers.draws import POINT, Draws, averages, point_words, summarise
from hiermodels.numbers.prediction import (
    TARGETS,
    Cells,
    NewRows,
    Prediction,
    average,
    cells,
    differences,
    is_number,
    kind_words,
    known,
    means_exist,
    of_categories,
    predict,
    predictor,
    ratios,
    ratios_exist,
    summaries,
    with_column,
)
from hiermodels.printing import Table

__all__ = [
    "COMPARISONS",
    "by_category",
    "contrasts_table",
    "grid_table",
    "means_table",
    "predict_table",
    "slopes_table",
]

type Array = np.ndarray

#: How two predictions are compared.
COMPARISONS = {
    "difference": differences,
    "ratio": ratios,
}
#: Draws of a usual fit, of which many rows take fewer; the note of a table says so.
MANY_DRAWS = 4000
#: The step of a derivative, in sds of the column.
STEP = 1e-3


def titled(what: str, ask: Prediction, point: str, ci_prob: float) -> str:
    """``Predictions of the mean response, target group: effects of known levels (...)``."""
    target = f"target {ask.target}: {TARGETS[ask.target]}"
    counted = {e.block.name for e in ask.rows.effects}
    left_out = {b.name for p in ask.design.predictors for b in p.blocks} - counted
    if ask.target == "group" and left_out:
        target += f" of {', '.join(sorted(counted))}"
    kind = kind_words(ask.design, ask.kind)
    return heading(f"{what} of the {kind}, {target}", point, ci_prob)


def target_note(ask: Prediction) -> str:
    """That the mean at zero effects is not the mean over groups, where that is so."""
    family = ask.design.family
    if ask.target != "population" or ask.kind == "link" or family.name in LINEAR:
        return ""
    if not any(p.blocks for p in ask.design.predictors):
        return ""
    scale = "logarithmic scale" if family.name == "lognormal" else f"{family.link} link"
    return (
        f"On the {scale} the mean of a group with effects of zero is not the mean over groups: "
        "that is target='marginal'."
    )


def by_category(
    design: Design, kind: str, make: Callable[[int | None], Table], *, keys: int = 0
) -> Table:
    """The table, or that of each category's probability, with its label after ``keys`` columns."""
    if kind != "probability" or not design.family.categories:
        return make(None)
    parts = [make(k) for k in range(design.n_thresholds + 1)]
    for label, part in zip(design.categories or (), parts, strict=True):
        part.insert(keys, "category", label)
    whole = pd.concat(parts, ignore_index=True)
    return Table(whole, title=parts[0].title, note=parts[0].note)


def probabilities_table(ask: Prediction, *, ci_prob: float) -> Table:
    """A row for each row and category: its label, then mean, sd, lower, upper."""
    parts = [predict_table(one, ci_prob=ci_prob) for one in of_categories(ask)]
    labels = ask.design.categories or ()
    order = np.arange(len(parts) * len(parts[0])).reshape(len(parts), -1).T.ravel()
    at = list(parts[0].columns).index("mean")
    for label, part in zip(labels, parts, strict=True):
        part.insert(at, "category", label)
    return Table(pd.concat(parts).iloc[order], title=parts[0].title, note=parts[0].note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Which point stands in a table of predictions, and the name of its column."""

    point: str
    expected: bool

    @property
    def name(self) -> str:
        return "mean" if self.expected else "estimate"

    @classmethod
    def of(cls, ask: Prediction, point: str, *, ratio: bool = False) -> Shown:
        """An expectation by definition is a ``mean``; a ratio of two is not an expectation."""
        point_words(point)
        expected = ask.expected and not ratio
        return cls(point="mean" if expected else point, expected=expected)

    def averaged(
        self, into: Cells, values: Array, *, exists: Array, ci_prob: float
    ) -> dict[str, Any]:
        """The labels of the averages (S, K) and their intervals; ``exists`` is by row."""
        every = np.ones(values.shape[1], dtype=bool)
        np.logical_and.at(every, into.index, exists)
        found = (
            averages(values, ci_prob=ci_prob, exists=every)
            if self.expected
            else summarise(values, point=self.point, ci_prob=ci_prob, exists=every)
        )
        labels = {c: into.labels[c] for c in into.labels}
        return {**labels, **estimate_columns(known(found), self.name)}


#: What a dash without an upper end is.
BEYOND_NUMBERS = (
    "A dash stands for a mean over groups that is too large for a number: their sds are large on "
    "the log scale."
)


def finished(table: Table, *asks: Prediction) -> Table:
    """With the reason for each dash."""
    instead = MEDIAN_INSTEAD
    if "mean" in table:
        instead = "kind='mean' has the median of the mean response"
    heavy = {} if all(means_exist(ask).all() for ask in asks) else asks[0].heavy
    if table["upper"].isna().any():
        note = f"{table.note} {BEYOND_NUMBERS}".strip()
        table = Table(table, title=table.title, note=note)
    return with_dashes(table, heavy, instead=instead)


def predict_table(ask: Prediction, *, point: str = POINT, ci_prob: float) -> Table:
    """A row for each row: the columns that predict, then estimate, sd, lower, upper."""
    if ask.kind == "probability" and ask.category is None:
        return probabilities_table(ask, ci_prob=ci_prob)
    shown, frame = Shown.of(ask, point), ask.rows.frame
    found = summaries(ask, point=shown.point, ci_prob=ci_prob)
    columns = estimate_columns(found, shown.name)
    table = Table(
        {**{c: frame[c] for c in frame.columns if c not in columns}, **columns},
        index=frame.index,
        title=titled("Predictions", ask, shown.point, ci_prob),
        note=target_note(ask),
    )
    return finished(table, ask)


def averages_note(ask: Prediction, newdata: Any, x: str | None = None) -> str:
    """What the averages are over, and what the target leaves out."""
    n = len(ask.rows)
    over = f"Averages over {n:,} rows"
    if newdata is None and ask.design.weights is not None:
        over += ", each as often as its weight says"
    if n > AVERAGED // MANY_DRAWS:
        over += f", at {ask.draws.n} draws"
    if x is not None:
        over += f", {x} set to each value in all of them"
    return f"{over}. {target_note(ask)}".strip()


def slopes_table(
    design: Design,
    draws: Draws,
    x: str,
    newdata: Any = None,
    *,
    by: str | Sequence[str] | None,
    target: str,
    kind: str,
    seed: int,
    point: str = POINT,
    ci_prob: float,
    category: int | None = None,
    heavy: Mapping[str, str] | None = None,
) -> Table:
    """d prediction / d x, averaged over rows: (f(x + h) - f(x - h)) / 2h in each row and draw."""
    column = predictor(design, x)
    if kind == "response":
        raise NotAvailableError("a new response has no slope; kind='mean' or 'link' has")
    if not is_number(column):
        raise DataError(f"{x!r} is not a number, so it has no slope; use contrasts({x!r})")
    h = STEP * float(column.std()) or STEP
    base = with_column(design, newdata, {})
    draws = enough_draws(draws, len(base))
    if x not in base.columns:
        raise DataError(f"newdata has no column {x!r}")
    low, high = (
        request(
            design,
            draws,
            base.assign(**{x: base[x] + d}),
            target=target,
            kind=kind,
            seed=seed,
            category=category,
            heavy=heavy,
        )
        for d in (-h, h)
    )
    into = cells(low.rows if newdata is not None else own(low), design, by)
    values = average([low, high], into, lambda pair: differences(pair[1], pair[0]) / (2 * h))
    shown = Shown.of(low, point)
    table = Table(
        {"term": x, **shown.averaged(into, values, exists=means_exist(low), ci_prob=ci_prob)},
        title=titled(f"Slopes of {x}", low, shown.point, ci_prob),
        note=averages_note(low, newdata),
    )
    return finished(table, low)


def request(
    design: Design,
    draws: Draws,
    frame: pd.DataFrame,
    *,
    target: str,
    kind: str,
    seed: int,
    category: int | None = None,
    heavy: Mapping[str, str] | None = None,
) -> Prediction:
    """A prediction for changed rows."""
    return predict(
        design, draws, frame, target=target, kind=kind, seed=seed, category=category, heavy=heavy
    )


def own(ask: Prediction) -> NewRows:
    """The rows of the fit with a changed column: its frequencies count."""
    return replace(ask.rows, same=True)


def chosen_values(design: Design, x: str, values: Sequence[Any] | None) -> list[Any]:
    """The values of a column to compare: those given, or all categories, or few numbers."""
    column = predictor(design, x)
    if values is not None:
        return list(values)
    seen = sorted(column.unique().tolist(), key=None if is_number(column) else people_key)
    if is_number(column) and len(seen) > 6:
        raise DataError(f"{x!r} has {len(seen)} values; say which to set it to: values=(low, high)")
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [c for c in column.cat.categories if c in seen]
    return seen


def set_to(
    design: Design,
    draws: Draws,
    x: str,
    value: Any,
    newdata: Any,
    *,
    target: str,
    kind: str,
    seed: int,
    category: int | None = None,
    heavy: Mapping[str, str] | None = None,
) -> Prediction:
    """All rows with x at one value."""
    frame = with_column(design, newdata, {x: value})
    return request(
        design, draws, frame, target=target, kind=kind, seed=seed, category=category, heavy=heavy
    )


def means_table(
    design: Design,
    draws: Draws,
    x: str,
    newdata: Any = None,
    *,
    values: Sequence[Any] | None,
    by: str | Sequence[str] | None,
    target: str,
    kind: str,
    seed: int,
    point: str = POINT,
    ci_prob: float,
    category: int | None = None,
    heavy: Mapping[str, str] | None = None,
) -> Table:
    """The average prediction with x set to each value in all rows."""
    chosen = chosen_values(design, x, values)
    draws = enough_draws(draws, len(with_column(design, newdata, {})))
    asks = [
        set_to(
            design,
            draws,
            x,
            v,
            newdata,
            target=target,
            kind=kind,
            seed=seed,
            category=category,
            heavy=heavy,
        )
        for v in chosen
    ]
    into = cells(asks[0].rows if newdata is not None else own(asks[0]), design, by)
    shown = Shown.of(asks[0], point)
    frames = [
        pd.DataFrame(
            {
                x: value,
                **shown.averaged(
                    into,
                    average([a], into, lambda v: v[0]),
                    exists=means_exist(a),
                    ci_prob=ci_prob,
                ),
            }
        )
        for value, a in zip(chosen, asks, strict=True)
    ]
    table = Table(
        pd.concat(frames, ignore_index=True),
        title=titled(f"Means by {x}", asks[0], shown.point, ci_prob),
        note=averages_note(asks[0], newdata, x),
    )
    return finished(table, *asks)


def contrasts_table(
    design: Design,
    draws: Draws,
    x: str,
    newdata: Any = None,
    *,
    values: Sequence[Any] | None,
    pairs: str,
    comparison: str,
    by: str | Sequence[str] | None,
    target: str,
    kind: str,
    seed: int,
    point: str = POINT,
    ci_prob: float,
    category: int | None = None,
    heavy: Mapping[str, str] | None = None,
) -> Table:
    """Differences or ratios of the average predictions with x set to two values in all rows."""
    compare = lookup(comparison, COMPARISONS, what="comparison")
    chosen = chosen_values(design, x, values)
    if len(chosen) < 2:
        raise UnknownNameError(f"a contrast needs two values of {x!r}; there is {chosen}")
    draws = enough_draws(draws, len(with_column(design, newdata, {})))
    asks = [
        set_to(
            design,
            draws,
            x,
            v,
            newdata,
            target=target,
            kind=kind,
            seed=seed,
            category=category,
            heavy=heavy,
        )
        for v in chosen
    ]
    into = cells(asks[0].rows if newdata is not None else own(asks[0]), design, by)
    found = [average([a], into, lambda v: v[0]) for a in asks]
    sign = "−" if comparison == "difference" else "/"
    ratio = comparison == "ratio"
    shown = Shown.of(asks[0], point, ratio=ratio)
    frames = [
        pd.DataFrame(
            {
                "contrast": f"{chosen[high]} {sign} {chosen[low]}",
                **shown.averaged(
                    into,
                    compare(found[high], found[low]),
                    exists=ratios_exist(asks[high], asks[low])
                    if ratio
                    else means_exist(asks[high]) & means_exist(asks[low]),
                    ci_prob=ci_prob,
                ),
            }
        )
        for high, low in pairs_of(len(chosen), pairs)
    ]
    table = Table(
        pd.concat(frames, ignore_index=True),
        title=titled(f"Contrasts of {x}", asks[0], shown.point, ci_prob),
        note=averages_note(asks[0], newdata, x),
    )
    return finished(table, *asks)


def pairs_of(n: int, which: str) -> list[tuple[int, int]]:
    """Each value against the first, against the one before, or all pairs."""
    table = {
        "reference": [(k, 0) for k in range(1, n)],
        "sequential": [(k, k - 1) for k in range(1, n)],
        "all": [(k, j) for k in range(n) for j in range(k)],
    }
    return lookup(which, table, what="pairs")


def grid_table(made: pd.DataFrame, held: dict[str, Any]) -> Table:
    """The rows of a grid, with what is held where below."""
    told = ", ".join(
        f"{c} = {v:.4g}" if isinstance(v, float) else f"{c} = {v}" for c, v in held.items()
    )
    return Table(made, title="Grid", note=f"Held: {told}." if told else "")
