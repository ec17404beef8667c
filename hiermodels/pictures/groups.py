"""Pictures of frames: group estimates with intervals, and what partial pooling does to them.

Nothing statistical is computed here: the functions draw the columns of the frames of `tables`, a
row per level, in the order of the estimates. Level labels shrink with the number of levels, are
then thinned, and at last left to the lowest and the highest; the axis says so.

Colours are those of Okabe & Ito (2008), and no two things differ in colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hiermodels.design import INTERCEPT
from hiermodels.errors import DataError, UnknownNameError, lookup
from hiermodels.numbers.draws import POINT, point_words

if TYPE_CHECKING:
    from hiermodels.results import Fit

__all__ = ["KINDS", "Panels", "Plots", "draw_forest", "draw_shrinkage", "save_figure"]

type Array = np.ndarray
#: One panel, or an array of them, one for each term.
type Panels = Axes | np.ndarray

#: What a forest can show of each level, by the name of the method of `Fit` that has the numbers.
KINDS = {"coef": "coefficient", "ranef": "group effect"}

BLUE, LIGHT_BLUE, VERMILION = "#0072B2", "#A9CFE5", "#D55E00"
INK, GREY, RULE, BAND = "#222222", "#666666", "#E9E9E9", "#F0F0F0"

#: Inches and points. A row is not lower than `ROW_MIN` as long as every level has its label.
ROW, ROW_MIN, FONT, FONT_MIN, LINE = 0.27, 0.125, 9.0, 6.0, 1.3
PANEL_WIDTH, PANEL_HEIGHT_MAX, MARGIN = 3.7, 15.0, 1.15
ALL_LABELLED, THINNED = 120, 250
LONGEST_LABEL, LONGEST_TERM = 28, 44
#: Raw estimates farther out than so many widths of all the rest are shown at the edge.
FAR_OUT = 0.75


@dataclass(frozen=True)
class Plots:
    """The pictures of a fit. Made by `Fit.plot`.

    Each method draws one factor, ``group=None`` the only one; a panel for every term of it, or for
    ``term``. It returns the `Axes`, or an array of them, one a term. ``ax`` takes one panel.
    """

    fit: Fit

    def forest(
        self,
        group: str | None = None,
        *,
        term: str | None = None,
        kind: str = "coef",
        point: str = POINT,
        ci_prob: float = 0.95,
        ax: Axes | None = None,
    ) -> Panels:
        """Coefficients of each level, or its deviations with ``kind="ranef"``, sorted."""
        block = self.fit.design.block(group)
        lookup(kind, KINDS, what="kind")
        source = self.fit.coef if kind == "coef" else self.fit.ranef
        common = self.fit.fixef(point=point, ci_prob=ci_prob) if kind == "coef" else None
        frame = source(block.name, point=point, ci_prob=ci_prob)
        frame = frame[frame["term"].isin(block.terms)]
        return draw_forest(
            frame, common=common, term=term, kind=kind, point=point, ci_prob=ci_prob, ax=ax
        )

    def shrinkage(
        self,
        group: str | None = None,
        *,
        term: str | None = None,
        point: str = POINT,
        ci_prob: float = 0.95,
        ax: Axes | None = None,
    ) -> Panels:
        """Raw, completely pooled and partially pooled estimates of each level."""
        design = self.fit.design
        frame = self.fit.shrinkage(design.block(group).name, point=point, ci_prob=ci_prob)
        at_mean = {INTERCEPT: "Intercept at the mean of the predictors"}
        words = at_mean if design.intercept and design.terms else None
        return draw_shrinkage(frame, words=words, term=term, point=point, ci_prob=ci_prob, ax=ax)


def draw_forest(
    frame: pd.DataFrame,
    *,
    common: pd.DataFrame | None = None,
    term: str | None = None,
    kind: str = "coef",
    point: str = POINT,
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Panels:
    """Estimates with intervals of the levels of one factor, sorted; a panel for each term.

    Parameters
    ----------
    frame
        A row per level and term: ``group, level, term, estimate, lower, upper``.
    common
        The common effects, ``term, estimate, lower, upper``: a line and a band behind the levels.
        None draws the line at zero, as does a term that is not among them.

    Raises
    ------
    UnknownNameError
        No such term or kind; several terms for one ``ax``.
    """
    what = lookup(kind, KINDS, what="kind")
    panels = split_terms(frame, term=term, ax=ax)
    rows = Rows.of(panels[0][1])
    axes, figure = make_axes(len(panels), rows, ax)
    height = row_points(rows, ax)
    handles: dict[str, Any] = {}
    for axis, (name, values) in zip(axes, panels, strict=True):
        ordered = rows.ordered(values)
        line = reference_row(common, name)
        handles |= draw_reference(axis, line, ci_prob)
        draw_intervals(axis, rows, ordered, height=height)
        label_estimate(
            axis, f"{what.capitalize()}: {shorten(name, LONGEST_TERM)}", ci_prob, point=point
        )
    label_levels(axes, rows, sorted_by=sorted_by(panels), height=height)
    estimate = Line2D([], [], color=BLUE, marker="o", markersize=5, linewidth=1.6)
    handles = {f"each level, with {percent(ci_prob)} interval": estimate, **handles}
    draw_legend(axes, figure, handles)
    return finish(axes, ax)


def draw_shrinkage(
    frame: pd.DataFrame,
    *,
    words: Mapping[str, str] | None = None,
    term: str | None = None,
    point: str = POINT,
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Panels:
    """No, partial and complete pooling of the levels of one factor; a panel for each term.

    A line joins the raw estimate of a level (open diamond, its area the number of rows where that
    differs) to its partially pooled one (dot, with interval); the dashed line is complete pooling.
    Raw estimates far outside are put at the edge as triangles, and those that a level's own rows
    do not determine left out; both are counted below the axis.

    Parameters
    ----------
    frame
        A row per level and term: ``group, level, term, n, raw, complete, estimate, lower, upper``.
    words
        What the axis calls a term, where that is not its name.

    Raises
    ------
    UnknownNameError
        No such term; several terms for one ``ax``.
    """
    panels = split_terms(frame, term=term, ax=ax)
    rows = Rows.of(panels[0][1])
    axes, figure = make_axes(len(panels), rows, ax)
    height = row_points(rows, ax)
    outside = False
    for axis, (name, values) in zip(axes, panels, strict=True):
        ordered = rows.ordered(values)
        limits = limits_without_far(ordered)
        notes = draw_pooling(axis, rows, ordered, limits, height=height)
        outside |= any("outside" in note for note in notes)
        spoken = (words or {}).get(name, name)
        label_estimate(axis, shorten(spoken, LONGEST_TERM), ci_prob, point=point, notes=notes)
    label_levels(axes, rows, sorted_by=sorted_by(panels), height=height)
    label_counts(axes[-1], rows, height=height)
    draw_legend(axes, figure, pooling_handles(rows, ci_prob, outside=outside))
    return finish(axes, ax)


def save_figure(axes: Panels, path: str | Path, *, dpi: int = 150) -> Path:
    """Write the figure of these axes as a PNG, PDF or SVG, and close it."""
    figure = np.ravel(np.asarray(axes, dtype=object))[0].get_figure(root=True)
    target = Path(path)
    figure.savefig(target, dpi=dpi)
    plt.close(figure)
    return target


def split_terms(
    frame: pd.DataFrame, *, term: str | None, ax: Axes | None
) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each term that is to be drawn."""
    factors = list(dict.fromkeys(frame["group"]))
    if len(factors) != 1:
        raise UnknownNameError(
            f"a picture shows one grouping factor; say which: {', '.join(map(str, factors))}"
            if factors
            else "there is no level to draw"
        )
    terms = {str(name): str(name) for name in dict.fromkeys(frame["term"])}
    if term is not None:
        terms = {term: lookup(term, terms, what="term")}
    elif ax is not None and len(terms) > 1:
        raise UnknownNameError(
            f"ax has room for one term; say which with term=: {', '.join(terms)}"
        )
    return [(name, pd.DataFrame(frame[frame["term"] == name])) for name in terms]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Which level stands in which row of a picture, the lowest estimate in row 0."""

    factor: str
    levels: tuple[Any, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: pd.DataFrame) -> Rows:
        ordered = values.sort_values("estimate", kind="stable")
        return cls(
            factor=str(ordered["group"].iloc[0]),
            levels=tuple(ordered["level"]),
            counts=tuple(ordered["n"].astype(int)) if "n" in ordered else (),
        )

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def at(self) -> Array:
        return np.arange(len(self))

    @property
    def equal_counts(self) -> bool:
        return len(set(self.counts)) <= 1

    def ordered(self, values: pd.DataFrame) -> pd.DataFrame:
        """The rows of a frame in the order of the picture."""
        found = values.set_index("level")
        if not found.index.is_unique or len(found) != len(self):
            raise DataError(f"the frame needs one row for each level of {self.factor!r} and term")
        return found.loc[list(self.levels)]


def panel_height(n: int) -> float:
    """Inches for n rows: roomy for few, `ROW_MIN` a row up to `ALL_LABELLED`, then no more."""
    if n > ALL_LABELLED:
        return 9.0
    row = float(np.interp(n, [20, 100], [ROW, ROW_MIN]))
    return min(max(n * row, 1.1), PANEL_HEIGHT_MAX)


def make_axes(count: int, rows: Rows, ax: Axes | None) -> tuple[list[Axes], Figure | None]:
    """The panels, and the figure where it is ours."""
    if ax is not None:
        return [ax], None
    longest = max(len(shorten(level, LONGEST_LABEL)) for level in rows.levels)
    width = PANEL_WIDTH * count + (2.1 if count == 1 else 0.6) + 0.055 * longest
    figure, axes = plt.subplots(
        1,
        count,
        figsize=(width, panel_height(len(rows)) + MARGIN),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    return list(axes[0]), figure


def row_points(rows: Rows, ax: Axes | None) -> float:
    """The height of a row in points; of our own figures before the layout is made."""
    if ax is None:
        return 72 * panel_height(len(rows)) / len(rows)
    figure = ax.get_figure(root=True)
    inches = ax.get_window_extent().height / (figure.dpi if figure is not None else 72.0)
    return 72 * inches / len(rows)


def sorted_by(panels: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """What orders the rows: the first of several terms."""
    return panels[0][0] if len(panels) > 1 else "estimate"


def reference_row(common: pd.DataFrame | None, term: str) -> tuple[float, float, float] | None:
    """Estimate, lower and upper of a common effect."""
    if common is None:
        return None
    found = common[common["term"] == term]
    if found.empty:
        return None
    first = found.iloc[0]
    return float(first["estimate"]), float(first["lower"]), float(first["upper"])


def draw_reference(
    axis: Axes, common: tuple[float, float, float] | None, ci_prob: float
) -> dict[str, Any]:
    """The line at the common effect with its interval, or at zero; and its entry in the legend."""
    estimate, lower, upper = common if common is not None else (0.0, 0.0, 0.0)
    dashes = (0, (5, 3))
    axis.axvline(estimate, color=INK, linewidth=1.0, linestyle=dashes, zorder=1)
    line = Line2D([], [], color=INK, linewidth=1.0, linestyle=dashes)
    if common is None:
        return {"zero": line}
    axis.axvspan(lower, upper, color=BAND, linewidth=0, zorder=0)
    return {f"common effect, with {percent(ci_prob)} interval": (Patch(color="#DDDDDD"), line)}


def draw_intervals(axis: Axes, rows: Rows, values: pd.DataFrame, *, height: float) -> None:
    """A dot and a line for each row, which is ``height`` points high."""
    axis.hlines(
        rows.at,
        values["lower"],
        values["upper"],
        color=BLUE if height > 4 else LIGHT_BLUE,
        linewidth=float(np.clip(0.16 * height, 0.6, 1.8)),
        zorder=2,
    )
    size = float(np.clip(0.42 * height, 1.6, 6.0))
    axis.plot(values["estimate"], rows.at, "o", color=BLUE, ms=size, mew=0, zorder=4)


def limits_without_far(values: pd.DataFrame) -> tuple[float, float]:
    """The range of the axis: intervals, complete pooling, and raw estimates not far from them."""
    core = values[["estimate", "lower", "upper", "complete"]].to_numpy(dtype=float)
    lower, upper = float(np.nanmin(core)), float(np.nanmax(core))
    reach = FAR_OUT * (upper - lower)
    raw = values["raw"].to_numpy(dtype=float)
    near = raw[(raw >= lower - reach) & (raw <= upper + reach)]
    lower, upper = min([lower, *near]), max([upper, *near])
    room = 0.05 * (upper - lower) or max(abs(lower), 1.0) * 0.05
    return lower - room, upper + room


def draw_pooling(
    axis: Axes,
    rows: Rows,
    values: pd.DataFrame,
    limits: tuple[float, float],
    *,
    height: float,
) -> list[str]:
    """One panel of raw, partial and complete pooling; what it could not show, in words."""
    raw = values["raw"].to_numpy(dtype=float)
    estimate = values["estimate"].to_numpy(dtype=float)
    shown = np.clip(raw, *limits)
    below, above = raw < limits[0], raw > limits[1]
    inside = np.isfinite(raw) & ~below & ~above
    known = np.isfinite(raw)
    axis.axvline(
        float(values["complete"].iloc[0]), color=INK, lw=1.1, linestyle=(0, (5, 3)), zorder=1
    )
    axis.hlines(
        rows.at,
        values["lower"],
        values["upper"],
        color=LIGHT_BLUE,
        linewidth=float(np.clip(0.34 * height, 0.6, 5.0)),
        zorder=2,
    )
    axis.hlines(
        rows.at[known],
        shown[known],
        estimate[known],
        color=VERMILION,
        linewidth=float(np.clip(0.09 * height, 0.3, 1.1)),
        zorder=3,
    )
    size = float(np.clip(0.4 * height, 1.6, 6.0))
    areas = raw_areas(rows, size)
    edge = float(np.clip(0.09 * height, 0.4, 1.2))
    axis.scatter(
        *(shown[inside], rows.at[inside]),
        s=areas[inside],
        marker="D",
        facecolor="white",
        edgecolor=VERMILION,
        linewidth=edge,
        zorder=4,
    )
    for mask, marker in ((below, "<"), (above, ">")):
        axis.scatter(
            *(shown[mask], rows.at[mask]),
            s=max(1.6 * size**2, 12.0),
            marker=marker,
            color=VERMILION,
            linewidth=0,
            zorder=6,
            clip_on=False,
        )
    axis.plot(estimate, rows.at, "o", color=BLUE, ms=size, mew=0, zorder=5)
    axis.set_xlim(*limits)
    return pooling_notes(values, below | above)


def raw_areas(rows: Rows, size: float) -> Array:
    """The areas of the raw markers: proportional to n where it differs, within a visible range."""
    if rows.equal_counts:
        return np.full(len(rows), (0.95 * size) ** 2)
    n = np.asarray(rows.counts, dtype=float)
    return (1.3 * size) ** 2 * np.clip(n / n.max(), 0.12, 1)


def pooling_notes(values: pd.DataFrame, far: Array) -> list[str]:
    """How many raw estimates do not stand where they are, or at all."""
    notes = []
    if far.any():
        ends = [f"{v:.3g}" for v in values["raw"].to_numpy(dtype=float)[far]]
        told = f" ({', '.join(ends)})" if len(ends) <= 3 else ""
        notes.append(f"{far.sum()} raw outside, at the edge{told}")
    missing = int(values["raw"].isna().sum())
    if missing:
        notes.append(f"{missing} without a raw estimate")
    return notes


def pooling_handles(rows: Rows, ci_prob: float, *, outside: bool) -> dict[str, Any]:
    """The legend of a picture of shrinkage."""
    raw = Line2D([], [], color=VERMILION, marker="D", mfc="white", ms=5.5, lw=1.0)
    dot = Line2D([], [], color=BLUE, marker="o", ms=6, linestyle="none")
    band = Line2D([], [], color=LIGHT_BLUE, lw=5, solid_capstyle="butt")
    size = "" if rows.equal_counts else " (area: n)"
    handles: dict[str, Any] = {
        f"no pooling{size}": raw,
        f"partial pooling, {percent(ci_prob)} interval": (band, dot),
        "complete pooling": Line2D([], [], color=INK, lw=1.1, linestyle=(0, (5, 3))),
    }
    if outside:
        edge = Line2D([], [], color=VERMILION, marker=">", ms=6, linestyle="none")
        handles["no pooling, outside"] = edge
    return handles


def percent(ci_prob: float) -> str:
    return f"{100 * ci_prob:g} %"


def shorten(label: Any, longest: int) -> str:
    """A label in one line, the middle of a long one left out."""
    text = " ".join(str(label).split())
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def label_estimate(
    axis: Axes, what: str, ci_prob: float, *, point: str = POINT, notes: Sequence[str] = ()
) -> None:
    """What the numbers are, and what is not shown."""
    lines = [what, f"{point_words(point)} and {percent(ci_prob)} interval", *notes]
    # a dollar in a column's name is not mathematics
    axis.set_xlabel("\n".join(lines), fontsize=FONT, color=INK, parse_math=False)
    axis.tick_params(axis="x", labelsize=FONT - 0.5, color=GREY)
    axis.locator_params(axis="x", nbins=6)
    axis.grid(axis="x", color=RULE, linewidth=0.7)
    axis.set_axisbelow(True)


def label_levels(axes: Sequence[Axes], rows: Rows, *, sorted_by: str, height: float) -> None:
    """The labels of the rows on the first panel, as many as there is room for."""
    step = label_step(len(rows), height)
    shown = [0, len(rows) - 1] if step is None else list(range(0, len(rows), step))
    font = float(np.clip(0.78 * height * (step or 99), FONT_MIN, FONT))
    for axis in axes:
        axis.set_ylim(-0.7, len(rows) - 0.3)
        axis.set_yticks(shown)
        axis.tick_params(axis="y", length=0, labelsize=font)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.spines["bottom"].set_color(GREY)
        if step == 1:
            axis.grid(axis="y", color=RULE, linewidth=0.6)
    labels = [shorten(rows.levels[k], LONGEST_LABEL) for k in shown]
    axes[0].set_yticklabels(labels, parse_math=False)
    which = f"{len(rows)} levels sorted by {shorten(sorted_by, LONGEST_LABEL)}"
    if step is None:
        which += ", lowest and highest labelled"
    elif step > 1:
        which += f", 1 in {step} labelled"
    short = f"{shorten(rows.factor, LONGEST_LABEL)} ({which})"
    two_lines = len(short) * 5 > height * len(rows)
    text = short.replace(" (", "\n(", 1) if two_lines and len(rows) < ALL_LABELLED else short
    axes[0].set_ylabel(text, fontsize=FONT, color=INK, parse_math=False)


def label_step(n: int, height: float) -> int | None:
    """1: all levels are labelled; k: one in k; None: only the lowest and the highest."""
    step = math.ceil(FONT_MIN * LINE / max(height, 1e-9))
    return None if n > THINNED or step > max(n // 3, 1) else step


def label_counts(axis: Axes, rows: Rows, *, height: float) -> None:
    """The rows of each level at the right, where every level has its label; else in one line."""
    if not rows.counts:
        return
    across = axis.get_yaxis_transform()
    if rows.equal_counts:
        text = f"n = {rows.counts[0]} in each"
        axis.set_title(text, loc="right", fontsize=FONT - 1, color=GREY)
        return
    if label_step(len(rows), height) != 1:
        text = f"n = {min(rows.counts)} to {max(rows.counts)}"
        axis.set_title(text, loc="right", fontsize=FONT - 1, color=GREY)
        return
    font = float(np.clip(0.78 * height, FONT_MIN, FONT)) - 0.5
    for at, n in zip([*rows.at, len(rows) - 0.3], [*rows.counts, "n"], strict=True):
        axis.text(
            *(1.035, float(at), str(n)),
            transform=across,
            fontsize=font,
            color=GREY,
            ha="left",
            va="bottom" if n == "n" else "center_baseline",
        )


def draw_legend(axes: Sequence[Axes], figure: Figure | None, handles: Mapping[str, Any]) -> None:
    """Above the panels, where it covers nothing."""
    shared: dict[str, Any] = {
        "handles": list(handles.values()),
        "labels": list(handles),
        "frameon": False,
        "fontsize": FONT - 0.5,
        "handler_map": {tuple: HandlerTuple(ndivide=1)},
        "columnspacing": 1.4,
        "handlelength": 2.2,
    }
    wide = len(axes) > 1
    columns = len(handles) if wide else min(len(handles), 2)
    if figure is not None:
        figure.legend(loc="outside upper center", ncols=columns, **shared)
    else:
        axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1.04), ncols=columns, **shared)


def finish(axes: Sequence[Axes], ax: Axes | None) -> Panels:
    """One panel as itself, several as an array."""
    if ax is not None or len(axes) == 1:
        return axes[0]
    return np.asarray(axes, dtype=object)
