"""The picture of ``fit.influence()``: how far each estimate moves when a level is left out.

Nothing is computed here: the functions draw the columns of the table, a row for each level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hiermodels.errors import UnknownNameError, lookup
from hiermodels.pictures.groups import (
    BLUE,
    FONT,
    GREY,
    INK,
    LONGEST_TERM,
    RULE,
    VERMILION,
    Panels,
    Rows,
    draw_legend,
    finish,
    label_counts,
    label_levels,
    make_axes,
    row_points,
    shorten,
)
from hiermodels.printing import format_interval

__all__ = ["draw_influence"]

type Array = np.ndarray

#: Panels that are drawn unasked: the estimands that a level moves farthest.
MOST_PANELS = 4
#: The axis has at least this half-width, in posterior sds: less is of no importance.
LEAST = 0.5
#: How each way of estimation is marked.
MARKS: dict[str, dict[str, Any]] = {
    "weights": {"marker": "o", "color": BLUE, "mew": 0},
    "refit": {"marker": "D", "color": VERMILION, "mfc": "white"},
    "weights, k too high": {"marker": "X", "color": VERMILION, "mew": 0},
}
SAID = {
    "weights": "by importance weights",
    "refit": "by a fit without the level",
    "weights, k too high": "uncertain: Pareto k too high",
}


def draw_influence(
    frame: pd.DataFrame,
    *,
    factor: str,
    estimand: str | Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Panels:
    """A panel for each estimand, a row for each level: the shift of the estimate in posterior sds.

    Raises
    ------
    UnknownNameError
        No such estimand; several for one ``ax``.
    """
    names = chosen(frame, estimand, ax)
    shown = pd.DataFrame(frame).rename(columns={"estimand": "term"}).assign(group=factor)
    panels = [(name, pd.DataFrame(shown[shown["term"] == name])) for name in names]
    rows = Rows.of(panels[0][1].assign(estimate=panels[0][1]["shift"]))
    axes, figure = make_axes(len(panels), rows, ax)
    height = row_points(rows, ax)
    widest = max(float(values["shift"].abs().max()) for _, values in panels)
    for axis, (name, values) in zip(axes, panels, strict=True):
        draw_panel(axis, rows, rows.ordered(values), name, height=height)
        axis.set_xlim(-1.12 * max(widest, LEAST), 1.12 * max(widest, LEAST))
    order = f"shift of {names[0]}" if len(names) > 1 else "shift"
    label_levels(axes, rows, sorted_by=order, height=height)
    label_counts(axes[-1], rows, height=height)
    kinds = [kind for kind in MARKS if (shown["by"] == kind).any()]
    draw_legend(axes, figure, {SAID[kind]: mark(kind, 6.0) for kind in kinds})
    return finish(axes, ax)


def chosen(frame: pd.DataFrame, estimand: str | Sequence[str] | None, ax: Axes | None) -> list[str]:
    """Those asked for; else the most moved, which the frame has first."""
    known = {str(name): str(name) for name in dict.fromkeys(frame["estimand"])}
    if estimand is None:
        return list(known)[: 1 if ax is not None else MOST_PANELS]
    asked = [estimand] if isinstance(estimand, str) else list(estimand)
    found = [lookup(name, known, what="estimand") for name in asked]
    if ax is not None and len(found) > 1:
        raise UnknownNameError("ax has room for one estimand")
    return found


def draw_panel(axis: Axes, rows: Rows, values: pd.DataFrame, name: str, *, height: float) -> None:
    shift = values["shift"].to_numpy(dtype=float)
    axis.axvline(0.0, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), zorder=1)
    thick = float(np.clip(0.12 * height, 0.5, 1.6))
    axis.hlines(rows.at, 0, shift, color=GREY, linewidth=thick, zorder=2)
    size = float(np.clip(0.42 * height, 2.2, 6.0))
    for kind in MARKS:
        own = (values["by"] == kind).to_numpy()
        if own.any():
            style = mark_style(kind, size)
            axis.plot(shift[own], rows.at[own], linestyle="none", zorder=4, **style)
    first = values.iloc[0]
    ends = (float(first[c]) for c in ("with all", "with all_lower", "with all_upper"))
    lines = [
        shorten(name, LONGEST_TERM),
        f"with all {format_interval(*ends)}",
        "shift without the level, posterior sds",
    ]
    axis.set_xlabel("\n".join(lines), fontsize=FONT, color=INK, parse_math=False)
    axis.tick_params(axis="x", labelsize=FONT - 0.5, color=GREY)
    axis.locator_params(axis="x", nbins=5)
    axis.grid(axis="x", color=RULE, linewidth=0.7)
    axis.set_axisbelow(True)


def mark_style(kind: str, size: float) -> dict[str, Any]:
    edge = {"mew": float(np.clip(0.2 * size, 0.5, 1.1))} if "mfc" in MARKS[kind] else {}
    return {"ms": size, **MARKS[kind], **edge}


def mark(kind: str, size: float) -> Line2D:
    return Line2D([], [], linestyle="none", **mark_style(kind, size))
