"""The picture of `hm.pooling`: three estimates of each level, with their intervals.

Nothing is computed here: the functions draw the columns of the table, a row for each level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hiermodels.numbers.draws import POINT
from hiermodels.pictures.groups import (
    BAND,
    BLUE,
    GREY,
    INK,
    LONGEST_TERM,
    VERMILION,
    Panels,
    Rows,
    draw_legend,
    finish,
    label_counts,
    label_estimate,
    label_levels,
    make_axes,
    percent,
    row_points,
    shorten,
    sorted_by,
    split_terms,
)

__all__ = ["draw_pooled"]

type Array = np.ndarray

#: How far, in widths of all that partial and complete pooling show, no pooling may widen the axis.
REACH = 0.5
#: Where in its row a level has no pooling and partial pooling.
ABOVE, BELOW = 0.2, -0.2


def draw_pooled(
    frame: pd.DataFrame,
    *,
    term: str | None = None,
    point: str = POINT,
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Panels:
    """A row for each level, a panel for each term: no pooling above partial pooling, as intervals.

    The dashed line with its band is complete pooling. What lies outside the axis, which follows
    partial pooling, is cut: an arrow at the edge stands for an estimate, and the axis counts them.
    """
    levels = pd.DataFrame(frame[frame["group"] != "common"]).rename(columns={"partial": "estimate"})
    panels = split_terms(levels, term=term, ax=ax)
    rows = Rows.of(panels[0][1])
    axes, figure = make_axes(len(panels), rows, ax)
    height = row_points(rows, ax)
    for axis, (name, values) in zip(axes, panels, strict=True):
        ordered = rows.ordered(values)
        notes = draw_panel(axis, rows, ordered, height=height)
        label_estimate(axis, shorten(name, LONGEST_TERM), ci_prob, point=point, notes=notes)
    label_levels(axes, rows, sorted_by=sorted_by(panels), height=height)
    label_counts(axes[-1], rows, height=height)
    draw_legend(axes, figure, handles(ci_prob))
    return finish(axes, ax)


def draw_panel(axis: Axes, rows: Rows, values: pd.DataFrame, *, height: float) -> list[str]:
    """One term; what could not be shown, in words."""
    limits = axis_limits(values)
    line, lower, upper = (
        float(values[name].iloc[0]) for name in ("complete", "complete_lower", "complete_upper")
    )
    axis.axvspan(lower, upper, color=BAND, linewidth=0, zorder=0)
    axis.axvline(line, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), zorder=1)
    thick = float(np.clip(0.11 * height, 0.5, 1.8))
    size = float(np.clip(0.32 * height, 1.4, 5.5))
    kinds: list[tuple[str, str, float, dict[str, Any]]] = [
        ("no", "no", ABOVE, {"marker": "D", "color": VERMILION, "mfc": "white", "ms": 0.9 * size}),
        ("estimate", "partial", BELOW, {"marker": "o", "color": BLUE, "mew": 0, "ms": size}),
    ]
    for name, ends, shift, style in kinds:
        at, estimate = rows.at + shift, values[name].to_numpy(dtype=float)
        inside = (estimate >= limits[0]) & (estimate <= limits[1])
        span = [values[f"{ends}_{end}"].clip(*limits) for end in ("lower", "upper")]
        axis.hlines(at, *span, color=style["color"], linewidth=thick, zorder=2)
        if name == "no":
            style["mew"] = float(np.clip(0.09 * height, 0.4, 1.0))
        axis.plot(estimate[inside], at[inside], linestyle="none", zorder=4, **style)
    no = values["no"].to_numpy(dtype=float)
    outside = {"<": no < limits[0], ">": no > limits[1]}
    for marker, mask in ((m, far) for m, far in outside.items() if far.any()):
        edge = limits[0] if marker == "<" else limits[1]
        axis.plot(
            np.full(mask.sum(), edge),
            rows.at[mask] + ABOVE,
            marker,
            color=VERMILION,
            ms=max(size, 3.0),
            zorder=6,
            clip_on=False,
        )
    axis.set_xlim(*limits)
    axis.spines["bottom"].set_color(GREY)
    count = int(sum(mask.sum() for mask in outside.values()))
    return [f"{count} of no pooling outside, at the edge"] if count else []


def axis_limits(values: pd.DataFrame) -> tuple[float, float]:
    """All of partial and complete pooling, and of no pooling what is not far from them."""
    names = ("estimate", "partial_lower", "partial_upper", "complete_lower", "complete_upper")
    core = values[list(names)].to_numpy(dtype=float)
    lower, upper = float(np.nanmin(core)), float(np.nanmax(core))
    reach = REACH * (upper - lower)
    ends = values[["no_lower", "no_upper"]].to_numpy(dtype=float)
    lower = max(lower - reach, min(lower, float(np.nanmin(ends))))
    upper = min(upper + reach, max(upper, float(np.nanmax(ends))))
    room = 0.03 * (upper - lower) or 1.0
    return lower - room, upper + room


def handles(ci_prob: float) -> dict[str, Any]:
    """The legend."""
    line: dict[str, Any] = {"lw": 1.6, "ms": 5.5}
    said = f"{percent(ci_prob)} interval"
    return {
        f"no pooling, {said}": Line2D([], [], color=VERMILION, marker="D", mfc="white", **line),
        f"partial pooling, {said}": Line2D([], [], color=BLUE, marker="o", **line),
        f"complete pooling, {said}": (
            Patch(color="#DDDDDD"),
            Line2D([], [], color=INK, lw=1.0, linestyle=(0, (5, 3))),
        ),
    }
