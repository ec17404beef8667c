"""Pictures of the variance report: shares, ranks, ICC along a predictor, shrinkage in the plane.

As in `groups`, nothing statistical is computed here; the frames are those of `tables`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from hiermodels.design import INTERCEPT
from hiermodels.errors import UnknownNameError
from hiermodels.numbers.draws import POINT, point_words
from hiermodels.numbers.shrinkage import Population, population
from hiermodels.pictures.groups import (
    BLUE,
    FAR_OUT,
    FONT,
    GREY,
    INK,
    LIGHT_BLUE,
    LONGEST_LABEL,
    LONGEST_TERM,
    RULE,
    VERMILION,
    Panels,
    Plots,
    Rows,
    draw_intervals,
    draw_legend,
    finish,
    label_counts,
    label_estimate,
    label_levels,
    make_axes,
    percent,
    row_points,
    shorten,
)

__all__ = ["VariancePlots", "draw_icc", "draw_plane", "draw_ranks", "draw_shares"]

type Array = np.ndarray

#: Okabe & Ito (2008); the residual is grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
#: Shares of the levels inside the ellipses, and the radius in sds: sqrt(-2 log(1 - p)).
INSIDE = (0.5, 0.95)
#: Levels whose names stand beside their points; levels whose arrows do not hide each other.
NAMED, FEW = 20, 100
NOT_GROUPS = ("residual", "common effects", "between factors")


@dataclass(frozen=True)
class VariancePlots(Plots):
    """The pictures of a fit, those of the variance report among them. Made by `Fit.plot`."""

    def variance(
        self,
        *,
        scale: str | None = None,
        common: bool = False,
        ci_prob: float = 0.95,
        ax: Axes | None = None,
    ) -> Axes:
        """The share of each variance component, stacked, and each with its interval."""
        frame = self.fit.variance_table(scale=scale, common=common, ci_prob=ci_prob)
        return draw_shares(frame, ci_prob=ci_prob, ax=ax)

    def ranks(
        self,
        group: str | None = None,
        *,
        term: str | None = None,
        best: str = "highest",
        point: str = POINT,
        ci_prob: float = 0.95,
        ax: Axes | None = None,
    ) -> Panels:
        """Estimates of the levels and their ranks, with intervals, the best on top."""
        frame = self.fit.ranks(group, term=term, best=best, point=point, ci_prob=ci_prob)
        return draw_ranks(frame, best=best, point=point, ci_prob=ci_prob, ax=ax)

    def icc(
        self,
        x: str,
        *,
        scale: str | None = None,
        points: int = 41,
        point: str = POINT,
        ci_prob: float = 0.95,
        ax: Axes | None = None,
    ) -> Axes:
        """The intraclass correlation along a predictor, over the range that it has in the data."""
        column = self.fit.design.rows.frame.get(x)
        few = column is not None and is_category(column)
        values: Any = [None]
        if column is not None:
            values = (
                sorted(column.unique()) if few else np.linspace(column.min(), column.max(), points)
            )
        frame = self.fit.icc(scale=scale, at={x: values}, point=point, ci_prob=ci_prob)
        if few:
            frame[x] = frame[x].astype(str)
        return draw_icc(frame, x=x, point=point, ci_prob=ci_prob, ax=ax)

    def plane(
        self,
        group: str | None = None,
        *,
        terms: tuple[str, str] | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Shrinkage of two terms at once: each level's own estimate drawn towards the others.

        The ellipses hold 50 and 95 % of the estimated distribution of levels.
        """
        block = self.fit.design.block(group)
        chosen = block.terms[:2] if terms is None else terms
        if len(chosen) != 2 or not set(chosen) <= set(block.terms) or len(set(chosen)) < 2:
            raise UnknownNameError(
                f"a plane has two terms of {block.name}, which has {', '.join(block.terms)}; "
                "with one, fit.plot.shrinkage shows it"
            )
        frame = self.fit.shrinkage(block.name)
        at = [block.terms.index(t) for t in chosen]
        whole = population(self.fit.design, self.fit.draws, block)
        part = Population(mean=whole.mean[at], covariance=whole.covariance[np.ix_(at, at)])
        words = {t: f"Coefficient of {t}" for t in chosen}
        words |= {INTERCEPT: "Intercept at the mean of the predictors"}
        return draw_plane(frame, part, terms=(chosen[0], chosen[1]), words=words, ax=ax)


def is_category(column: pd.Series) -> bool:
    """Whether values are labels, or numbers as few as a switch has."""
    return not pd.api.types.is_numeric_dtype(column) or column.nunique() <= 2


def new_axes(ax: Axes | None, *, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def draw_shares(frame: pd.DataFrame, *, ci_prob: float = 0.95, ax: Axes | None = None) -> Axes:
    """A stacked bar of the shares, and below it each share with its interval.

    ``frame`` has a row for each component: ``component, term, percent, percent_lower,
    percent_upper``; a row ``total`` is left out.
    """
    shown = frame[frame["component"] != "total"]
    names = [component_name(c, t) for c, t in zip(shown["component"], shown["term"], strict=True)]
    colours = component_colours(list(shown["component"]))
    axis = new_axes(ax, width=6.4, height=1.5 + 0.36 * len(names))
    at = -np.arange(1, len(names) + 1, dtype=float) - 0.35
    left = 0.0
    for name, colour, share, y in zip(names, colours, shown["percent"], at, strict=True):
        width = max(float(share), 0.0)
        axis.barh(0, width, left=left, height=0.8, color=colour, edgecolor="white", linewidth=1.2)
        axis.barh(y, width, height=0.5, color=colour, alpha=0.45, linewidth=0)
        if width >= 7:
            axis.text(
                *(left + width / 2, 0, f"{share:.0f}"),
                ha="center",
                va="center",
                fontsize=FONT,
                color=INK if name in NOT_GROUPS or colour in ("#F0E442", "#E69F00") else "white",
            )
        left += width
    axis.hlines(at, shown["percent_lower"], shown["percent_upper"], color=INK, linewidth=1.4)
    axis.plot(shown["percent"], at, "o", color=INK, ms=4.5, mew=0)
    axis.set_yticks([0, *at])
    labels = ["all", *(shorten(n, LONGEST_TERM) for n in names)]
    axis.set_yticklabels(labels, fontsize=FONT, parse_math=False)
    axis.set_ylim(at[-1] - 0.6, 0.6)
    axis.set_xlim(min(0.0, float(shown["percent_lower"].min())), 100.5)
    plain(axis)
    axis.set_xlabel(
        f"Share of the variance, %\nposterior median and {percent(ci_prob)} interval", fontsize=FONT
    )
    return axis


def component_name(component: str, term: str) -> str:
    return f"{component}: {term}" if term and term != INTERCEPT else component


def component_colours(components: Sequence[str]) -> list[str]:
    fixed = {"residual": "#BBBBBB", "common effects": "#DDDDDD", "between factors": "#999999"}
    groups = (COLOURS[k % len(COLOURS)] for k in range(len(components)))
    return [fixed[c] if c in fixed else next(groups) for c in components]


def plain(axis: Axes) -> None:
    """No frame but the line below, a light grid."""
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(GREY)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=FONT - 0.5, color=GREY)
    axis.grid(axis="x", color=RULE, linewidth=0.7)
    axis.set_axisbelow(True)


def draw_ranks(
    frame: pd.DataFrame,
    *,
    best: str = "highest",
    point: str = POINT,
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Panels:
    """Two panels, estimates and ranks of the levels, the best on top; ``ax`` takes the ranks.

    ``frame`` has a row for each level: ``group, level, term, rank, rank_lower, rank_upper,
    estimate, lower, upper, n``.
    """
    term = str(frame["term"].iloc[0])
    rank = pd.DataFrame(
        {
            "group": frame["group"],
            "level": frame["level"],
            "n": frame["n"],
            "estimate": frame["rank"],
            "lower": frame["rank_lower"],
            "upper": frame["rank_upper"],
        }
    )
    # the last of equal ranks below, as in the table
    rows = Rows.of(rank.assign(estimate=-rank["estimate"]).iloc[::-1])
    axes, _ = make_axes(1 if ax is not None else 2, rows, ax)
    height = row_points(rows, ax)
    if ax is None:
        value = pd.DataFrame(frame[["group", "level", "n", "estimate", "lower", "upper"]])
        draw_intervals(axes[0], rows, rows.ordered(value), height=height)
        label_estimate(
            axes[0], f"Partial pooling: {shorten(term, LONGEST_TERM)}", ci_prob, point=point
        )
    draw_intervals(axes[-1], rows, rows.ordered(rank), height=height)
    label_estimate(axes[-1], f"Rank, 1 is the {best}", ci_prob, point=point)
    axes[-1].set_xticks(rank_ticks(len(rows)))
    axes[-1].set_xlim(1 - 0.03 * len(rows), 1.03 * len(rows))
    label_levels(axes, rows, sorted_by="rank", height=height)
    label_counts(axes[-1], rows, height=height)
    return finish(axes, ax)


def rank_ticks(n: int) -> list[int]:
    """The first rank and round ones."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10 ** len(str(n))) if n <= 8 * s)
    return [1, *(t for t in range(step, n + 1, step) if t > 1 + step / 2)]


def draw_icc(
    frame: pd.DataFrame,
    *,
    x: str,
    point: str = POINT,
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Curves of the ICC along a column ``x`` of the frame, or points where it has categories.

    ``frame`` has a row for each value and component: ``x, component, icc, icc_lower, icc_upper``.
    """
    axis = new_axes(ax, width=6.0, height=3.8)
    components = list(dict.fromkeys(frame["component"]))
    numeric = pd.api.types.is_numeric_dtype(frame[x])
    labels = list(dict.fromkeys(frame[x]))
    handles: dict[str, Any] = {}
    for k, name in enumerate(components):
        part = frame[frame["component"] == name]
        colour, dash = COLOURS[k % len(COLOURS)], DASHES[k % len(DASHES)]
        if numeric:
            at = part[x].to_numpy(dtype=float)
            axis.fill_between(
                at, part["icc_lower"], part["icc_upper"], color=colour, alpha=0.18, linewidth=0
            )
            axis.plot(at, part["icc"], color=colour, linestyle=dash, linewidth=1.8)
            handles[name] = Line2D([], [], color=colour, linestyle=dash, linewidth=1.8)
        else:
            shift = 0.12 * (k - (len(components) - 1) / 2)
            at = np.array([labels.index(v) for v in part[x]]) + shift
            axis.vlines(at, part["icc_lower"], part["icc_upper"], color=colour, linewidth=1.6)
            axis.plot(at, part["icc"], "osD^"[k % 4], color=colour, ms=5.5, mew=0)
            handles[name] = Line2D([], [], color=colour, marker="osD^"[k % 4], ms=5.5)
    if not numeric:
        axis.set_xticks(range(len(labels)))
        axis.set_xticklabels([shorten(v, LONGEST_LABEL) for v in labels], parse_math=False)
        axis.set_xlim(-0.5, len(labels) - 0.5)
    axis.set_ylim(0, 1)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.grid(axis="y", color=RULE, linewidth=0.7)
    axis.set_xlabel(shorten(x, LONGEST_TERM), fontsize=FONT, parse_math=False)
    axis.set_ylabel(
        f"Intraclass correlation\n{point_words(point)} and {percent(ci_prob)} interval",
        fontsize=FONT,
    )
    axis.tick_params(labelsize=FONT - 0.5, color=GREY)
    if len(handles) > 1:
        draw_legend([axis], None, handles)
    return axis


#: Where a name may stand beside its point: offset in points, and how the text is aligned to it.
PLACES = (
    ((4, 3), "left", "bottom"),
    ((4, -3), "left", "top"),
    ((-4, 3), "right", "bottom"),
    ((-4, -3), "right", "top"),
)


def dots(axis: Axes, points: Array) -> list[Any]:
    """The places of points on the canvas."""
    size = axis.figure.dpi / 72 * 2.5
    at = axis.transData.transform(points)
    return [Bbox([point - size, point + size]) for point in at]


def name_points(axis: Axes, names: Sequence[str], points: Array, others: Array) -> None:
    """Names beside their points, at the first place that is free; none where there is no room.

    ``others``, (n, 2), are points that a name must not hide.
    """
    taken: list[Any] = dots(axis, others)
    for name, point in zip(names, points, strict=True):
        for offset, across, along in PLACES:
            text = axis.annotate(
                name,
                tuple(point),
                xytext=offset,
                textcoords="offset points",
                ha=across,
                va=along,
                fontsize=FONT - 2,
                color=GREY,
                parse_math=False,
                zorder=7,
                path_effects=[withStroke(linewidth=2.2, foreground="white")],
            )
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def draw_plane(
    frame: pd.DataFrame,
    distribution: Population,
    *,
    terms: tuple[str, str],
    words: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Two terms of each level in a plane: no pooling (diamond), partial pooling (dot), an arrow.

    ``frame`` has a row for each level and term: ``level, term, raw, estimate``; ``distribution``
    the mean (2,) and covariance (2, 2) of the levels.
    """
    axis = new_axes(ax, width=6.2, height=5.4)
    raw, estimate = (
        frame.pivot(index="level", columns="term", values=c)[list(terms)].to_numpy(dtype=float)
        for c in ("raw", "estimate")
    )
    levels = list(frame.pivot(index="level", columns="term", values="raw").index)
    n = len(levels)
    for inside, style in zip(INSIDE, ("-", (0, (4, 2))), strict=True):
        axis.add_patch(ellipse(distribution, inside, linestyle=style))
    limits = plane_limits(raw, estimate, distribution)
    size = float(np.interp(np.log10(n), [1, 3], [6.0, 2.6]))
    width = float(np.interp(np.log10(n), [1, 3], [1.1, 0.35]))
    known = np.isfinite(raw).all(axis=1)
    axis.quiver(
        *(raw[known, 0], raw[known, 1]),
        *(estimate[known] - raw[known]).T,
        angles="xy",
        scale_units="xy",
        scale=1,
        color=VERMILION,
        alpha=0.8 if n <= FEW else 0.4,
        width=0.0028 * width,
        headwidth=4.5,
        headlength=6,
        headaxislength=5,
        zorder=3,
    )
    axis.plot(
        *raw[known].T,
        "D",
        color=VERMILION,
        mfc="white",
        ms=0.85 * size,
        mew=width,
        zorder=4,
        clip_on=True,
    )
    axis.plot(*estimate.T, "o", color=BLUE, ms=size, mew=0, zorder=5)
    axis.plot(*distribution.mean, "+", color=INK, ms=11, mew=1.4, zorder=6)
    axis.set_xlim(*limits[0])
    axis.set_ylim(*limits[1])
    if n <= NAMED:
        marks = np.vstack([estimate, raw[known]])
        name_points(axis, [shorten(name, 14) for name in levels], estimate, marks)
    outside = ((raw[known] < limits[:, 0]) | (raw[known] > limits[:, 1])).any(axis=1).sum()
    label_plane(axis, terms, words or {}, outside=int(outside), missing=int((~known).sum()))
    handles = {
        "no pooling": Line2D([], [], color=VERMILION, marker="D", mfc="white", ms=5, lw=0),
        "partial pooling": Line2D([], [], color=BLUE, marker="o", ms=6, lw=0),
        "50 % and 95 % of levels": Patch(facecolor="none", edgecolor=INK),
        "common effects": Line2D([], [], color=INK, marker="+", ms=9, mew=1.4, lw=0),
    }
    draw_legend([axis], None, handles)
    return axis


def ellipse(distribution: Population, inside: float, *, linestyle: Any) -> Ellipse:
    """The contour of a normal distribution with this share inside."""
    values, vectors = np.linalg.eigh(distribution.covariance)
    radius = np.sqrt(-2 * np.log1p(-inside)) * np.sqrt(np.maximum(values, 0))
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    return Ellipse(
        (float(distribution.mean[0]), float(distribution.mean[1])),
        width=2 * radius[1],
        height=2 * radius[0],
        angle=angle,
        facecolor=LIGHT_BLUE,
        alpha=1.0,
        fill=False,
        edgecolor=INK,
        linewidth=1.0,
        linestyle=linestyle,
        zorder=1,
    )


def plane_limits(raw: Array, estimate: Array, distribution: Population) -> Array:
    """The range of both axes, (2, 2): estimates, the wide ellipse, and raw ones not far off."""
    sd = np.sqrt(np.diag(distribution.covariance)) * np.sqrt(-2 * np.log1p(-INSIDE[1]))
    core = np.vstack([estimate, distribution.mean - sd, distribution.mean + sd])
    low, high = core.min(axis=0), core.max(axis=0)
    reach = FAR_OUT * (high - low)
    near = raw[np.isfinite(raw).all(axis=1)]
    near = near[((near >= low - reach) & (near <= high + reach)).all(axis=1)]
    both = np.vstack([low, high, near])
    room = 0.05 * np.maximum(both.max(axis=0) - both.min(axis=0), 1e-12)
    return np.column_stack([both.min(axis=0) - room, both.max(axis=0) + room])


def label_plane(
    axis: Axes,
    terms: tuple[str, str],
    words: Mapping[str, str],
    *,
    outside: int,
    missing: int,
) -> None:
    """Names of the axes, and what is not shown."""
    notes = []
    if outside:
        notes.append(f"{outside} raw outside the picture")
    if missing:
        notes.append(f"{missing} without a raw estimate")
    names = [shorten(words.get(t, t), LONGEST_TERM) for t in terms]
    axis.set_xlabel("\n".join([names[0], *notes]), fontsize=FONT, parse_math=False)
    axis.set_ylabel(names[1], fontsize=FONT, parse_math=False)
    axis.tick_params(labelsize=FONT - 0.5, color=GREY)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.grid(color=RULE, linewidth=0.7)
    axis.set_axisbelow(True)
