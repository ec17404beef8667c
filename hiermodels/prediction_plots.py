"""Pictures of predictions, residuals and checks: what the model says beside what the data say.

Nothing is computed here: the methods of `PredictionPlots` ask the fit for numbers, the functions
draw them. Every title says the target of a prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.special import ndtri

from hiermodels.checks import Checks, statistic
from hiermodels.design import Design
from hiermodels.errors import DataError, UnknownNameError, lookup, some_rows
from hiermodels.expected import mean_exists
from hiermodels.plots import (
    BLUE,
    FONT,
    GREY,
    INK,
    LIGHT_BLUE,
    RULE,
    VERMILION,
    Panels,
    percent,
    shorten,
)
from hiermodels.prediction import KINDS, LINEAR, TARGETS, predictors
from hiermodels.sampler_plots import SamplerPlots

if TYPE_CHECKING:
    from hiermodels.results import Fit

__all__ = [
    "PredictionPlots",
    "draw_checks",
    "draw_level_statistics",
    "draw_ppc",
    "draw_predictions",
    "draw_probabilities",
    "draw_qq",
    "draw_residuals",
]

type Array = np.ndarray

#: Levels beyond which each gets no panel of its own, and beyond which lines have no label.
PANELS, LABELLED = 25, 12
#: Values of a number up to which residuals stand side by side, as those of a category.
FEW_VALUES = 6
#: Points beyond which they are drawn without edges and transparent.
MANY_POINTS = 400
#: Steps of an interval of drawn responses, whose ends are uneven by chance.
STEPS = 20
#: How far beyond the median a response reaches before its axis is logarithmic.
WIDE = 20
GREEN = "#009E73"
#: Characters of a line of a title.
WIDTH = 84
#: Levels that are named beside an axis.
MOST_NAMED = 55


@dataclass(frozen=True)
class PredictionPlots(SamplerPlots):
    """All pictures of a fit: of its groups, its variance, its predictions and checks."""

    def predictions(
        self,
        x: str,
        *,
        group: str | None = None,
        target: str | None = None,
        kind: str = "mean",
        at: Mapping[str, Any] | None = None,
        panels: bool = False,
        points: bool = True,
        partial: bool = False,
        interval: bool = False,
        n: int = 60,
        ci_prob: float = 0.95,
        ax: Axes | None = None,
    ) -> Panels:
        """The prediction along ``x``: a line with its band, the data behind it.

        Parameters
        ----------
        group
            A grouping factor: one line for each level, over the range of x that it has, and
            the population beside them. ``panels=True`` gives each level a panel with its own band.
        target
            Of the line with the band: ``"population"``, or ``"marginal"``. None is the population;
            on a link that is not linear the mean over groups, which differs, is a dashed line
            beside it.
        partial
            Instead of the data partial residuals: the prediction at the row's x and group, with the
            other columns where the grid holds them, plus the row's residual.
        interval
            Add the interval of new responses.
        kind
            ``"mean"``, ``"link"``, or of an ordinal response ``"probability"``: a line for each
            category.
        """
        wide = target or "population"
        if wide not in ("population", "marginal"):
            raise UnknownNameError(
                f"the line with the band is of target 'population' or 'marginal', not {wide!r}; "
                "the levels of a factor are group='site'"
            )
        fit = self.fit
        numbers: dict[str, Any] = {"kind": kind, "ci_prob": ci_prob}
        common = fit.predict(fit.grid(x, n=n, at=at), target=wide, **numbers)
        levels = new = averaged = None
        if target is None and kind == "mean" and not panels and differs_from_marginal(fit.design):
            averaged = fit.predict(fit.grid(x, n=n, at=at), target="marginal", **numbers)
        if group is not None:
            grid = fit.grid(x, group, n=n, at=at)
            levels = fit.predict(grid, target="group", groups=group, **numbers)
        if kind == "probability":
            if group is not None and not panels:
                raise DataError(
                    "a line for each category of each level would be too many: panels=True gives "
                    "each level a panel"
                )
            return draw_probabilities(
                common,
                x=x,
                levels=levels,
                factor=() if group is None else fit.design.block(group).factor,
                response=fit.design.response_name,
                title=title_words(fit, wide, kind, group),
                ci_prob=ci_prob,
                ax=ax,
            )
        if interval and kind == "mean":
            made = fit.grid(x, n=min(n, STEPS), at=at)
            new = fit.predict(made, target="marginal", kind="response", ci_prob=ci_prob)
        shown = (
            observed_points(fit, x, group=group, kind=kind, partial=partial, at=at)
            if points
            else None
        )
        return draw_predictions(
            common,
            x=x,
            levels=levels,
            averaged=averaged,
            new=new,
            new_of_group=any(p.blocks for p in fit.design.predictors),
            points=shown,
            factor=() if group is None else fit.design.block(group).factor,
            response=fit.design.response_name,
            target=wide,
            kind=kind,
            partial=partial,
            panels=panels,
            title=title_words(fit, wide, kind, group),
            ci_prob=ci_prob,
            ax=ax,
        )

    def residuals(
        self,
        x: str | pd.Series | None = None,
        *,
        kind: str = "quantile",
        ax: Axes | None = None,
    ) -> Axes:
        """Residuals against the fitted values, or against ``x``.

        ``x`` is a column of the formula, or any column of the data as a Series with their index:
        what a model leaves out shows along what is not in it.
        """
        fit = self.fit
        found = fit.residuals(kind)
        name, against = beside_residuals(found, fit.design.rows.frame, x)
        return draw_residuals(against, found["residual"], x=name, kind=kind, ax=ax)

    def qq(
        self,
        group: str | None = None,
        *,
        term: str | None = None,
        kind: str = "quantile",
        ax: Axes | None = None,
    ) -> Axes:
        """Quantiles of residuals, or of the group effects of some draws, against the normal.

        ``kind`` is that of the residuals, ``"quantile"`` or ``"loo"``.
        """
        if group is None:
            lookup(kind, dict.fromkeys(("quantile", "loo")), what="kind of normal residual")
            values = self.fit.residuals(kind)["residual"].to_numpy()
            return draw_qq(values, what=f"{kind} residuals", ax=ax)
        block = self.fit.design.block(group)
        name = term or block.terms[0]
        effects = self.fit.check().effects
        if (block.name, name) not in effects:
            raise UnknownNameError(f"no term {name!r}. Valid: {', '.join(block.terms)}.")
        return draw_qq(effects[block.name, name], what=f"{block.name}, {name}", ax=ax)

    def ppc(
        self,
        stat: str | Callable[[Array], Any] | None = None,
        group: str | None = None,
        *,
        new_group: bool = False,
        draws: int = 50,
        ax: Axes | None = None,
    ) -> Axes:
        """The distribution of the response beside those that the model makes; or of ``stat``.

        ``group`` shows ``stat``, by default the mean, of each of its levels.
        """
        fit = self.fit
        if group is not None:
            return draw_level_statistics(
                fit.ppc(stat or "mean", group, new_group=new_group), group=group, ax=ax
            )
        made = fit.posterior_predictive(draws if stat is None else 1000, new_group=new_group)
        if stat is None:
            return draw_ppc(fit.design.response, made, name=fit.design.response_name, ax=ax)
        function, name = statistic(stat)
        return draw_statistic(
            float(function(fit.design.response)), np.asarray(function(made)), name=name, ax=ax
        )

    def check(self) -> Array:
        """One figure of `Fit.check`: residuals, quantiles, levels, predictors, group effects."""
        return draw_checks(self.fit)


def differs_from_marginal(design: Design) -> bool:
    """Whether the mean over groups is another than that of a group with effects of zero."""
    grouped = any(p.blocks for p in design.predictors)
    return grouped and design.family.name not in LINEAR and mean_exists(design)


def title_words(fit: Fit, target: str, kind: str, group: str | None) -> str:
    """What is predicted and for which target: ``mean response, target population: ...``."""
    what = (
        "mean share of successes"
        if fit.design.trials is not None and kind == "mean"
        else (KINDS[kind])
    )
    if group is None:
        return f"{what}, target {target}: {TARGETS[target]}"
    return f"{what}, target group: levels of {group}, and {target}: {TARGETS[target]}"


def observed_points(
    fit: Fit,
    x: str,
    *,
    group: str | None,
    kind: str,
    partial: bool,
    at: Mapping[str, Any] | None,
) -> pd.DataFrame | None:
    """x, y and the level of each row; None where the response is not on the scale of the axis."""
    if kind == "link" and fit.design.family.link != "identity":
        return None
    design = fit.design
    frame = design.rows.frame
    y = design.response if design.trials is None else design.response / design.trials
    labels = () if group is None else design.block(group).factor
    found = frame[list(dict.fromkeys([x, *labels]))].copy()
    if partial:
        held = {c: v for c, v in fit.grid(x, n=2, at=at).iloc[0].items() if c != x}
        moved = frame.assign(**held)
        mine = fit.predict(moved, target="population" if group is None else "group", groups=group)
        own = fit.predict(target="group")
        y = mine["estimate"].to_numpy() + y - own["estimate"].to_numpy()
    return found.assign(_y=np.asarray(y, dtype=float))


# --- predictions ----------------------------------------------------------------------------------


def draw_predictions(
    common: pd.DataFrame,
    *,
    x: str,
    levels: pd.DataFrame | None = None,
    averaged: pd.DataFrame | None = None,
    new: pd.DataFrame | None = None,
    new_of_group: bool = True,
    points: pd.DataFrame | None = None,
    factor: Sequence[str] = (),
    response: str = "y",
    target: str = "population",
    kind: str = "mean",
    partial: bool = False,
    panels: bool = False,
    title: str = "",
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Panels:
    """Lines and bands of frames that `Fit.predict` gave.

    Parameters
    ----------
    common
        ``x, estimate, lower, upper``: the line with the band.
    levels
        The same with the columns ``factor``: a line for each level.
    averaged
        The mean over groups, beside that of the population.
    new
        The interval of new responses, with ``new_of_group`` of new groups.
    points
        ``x``, the columns ``factor`` and ``_y``.
    """
    if panels:
        if levels is None:
            raise DataError("panels=True needs group=: a panel for each of its levels")
        return draw_panels(
            common,
            levels,
            x=x,
            points=points,
            factor=factor,
            response=response,
            target=target,
            title=title,
            ci_prob=ci_prob,
            partial=partial,
        )
    axis = ax if ax is not None else plt.subplots(figsize=(6.4, 4.4), layout="constrained")[1]
    place = Places.of(common[x])
    handles: dict[str, Any] = {}
    if points is not None:
        draw_points(axis, place.at(points[x], jitter=True), points["_y"], color=GREY)
        handles["partial residuals" if partial else "data"] = point_handle()
    if new is not None:
        new_group = " in a new group" if new_of_group else ""
        at = place.at(new[x])
        ends: dict[str, Any] = {
            "color": GREY,
            "linewidth": 0.9,
            "linestyle": (0, (2, 2)),
            "zorder": 2,
        }
        axis.plot(at, new["lower"], **ends)
        axis.plot(at, new["upper"], **ends)
        handles[f"new response{new_group}, {percent(ci_prob)}"] = Line2D([], [], **ends)
    if levels is not None:
        name = ":".join(factor)
        parts = [part for _, part in levels.groupby(list(factor), sort=True, observed=True)]
        color = level_colors(len(parts))
        for part, shade in zip(parts, color, strict=True):
            axis.plot(place.at(part[x]), part["estimate"], color=shade, linewidth=1.1, zorder=3)
        handles[f"each {name} ({len(parts)})"] = Line2D([], [], color=color[0], linewidth=1.1)
    draw_band(axis, place, common, x, color=INK if levels is not None else BLUE)
    shown = INK if levels is not None else BLUE
    handles[f"{target}, {percent(ci_prob)} interval"] = (
        Patch(color=shown, alpha=0.18, linewidth=0),
        Line2D([], [], color=shown, linewidth=1.8),
    )
    if averaged is not None:
        dashes: dict[str, Any] = {"color": VERMILION, "linewidth": 1.6, "linestyle": (0, (5, 2))}
        if place.categories:
            dashes |= {"linestyle": "none", "marker": "D", "ms": 5}
        axis.plot(place.at(averaged[x]), averaged["estimate"], zorder=5, **dashes)
        handles["marginal: the mean over groups"] = Line2D([], [], **dashes)
    finish_axis(axis, x, response if kind != "link" else "linear predictor", place)
    if points is not None and kind != "link":
        bend_scale(axis, points["_y"].to_numpy())
    legend(axis, handles, title=title)
    return axis


def is_wide(y: Array) -> bool:
    """Whether a response from zero up has most of its rows near zero, and some far out."""
    return bool(y.min() >= 0 and y.max() > WIDE * (np.median(y) + 1))


def bend_scale(axis: Axes, y: Array) -> None:
    """A logarithmic axis above 1 for a wide response, with zero on it; the label says so."""
    if is_wide(y):
        axis.set_yscale("symlog", linthresh=1.0)
        axis.set_ylim(bottom=-0.2)
        label = axis.get_ylabel()
        axis.set_ylabel(f"{label} (log scale above 1)" if label else "", parse_math=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the values of x stand: numbers where they are, categories side by side."""

    categories: tuple[Any, ...]

    @classmethod
    def of(cls, values: pd.Series) -> Places:
        number = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(
            values.dtype
        )
        if number:
            return cls(categories=())
        if isinstance(values.dtype, pd.CategoricalDtype):
            return cls(categories=tuple(values.cat.categories))
        return cls(categories=tuple(sorted(dict.fromkeys(values), key=str)))

    def at(self, values: pd.Series, *, jitter: bool = False) -> Array:
        if not self.categories:
            return values.to_numpy(dtype=float)
        known = {c: float(k) for k, c in enumerate(self.categories)}
        places = np.array([known[v] for v in values])
        if jitter:
            places = places + np.random.default_rng(0).uniform(-0.16, 0.16, len(places))
        return places


def draw_band(axis: Axes, place: Places, frame: pd.DataFrame, x: str, *, color: str) -> None:
    at = place.at(frame[x])
    if place.categories:
        low, high = frame["estimate"] - frame["lower"], frame["upper"] - frame["estimate"]
        axis.errorbar(
            at,
            frame["estimate"],
            yerr=[low, high],
            fmt="o",
            color=color,
            ms=6,
            capsize=3,
            linewidth=1.8,
            zorder=5,
        )
        return
    axis.fill_between(at, frame["lower"], frame["upper"], color=color, alpha=0.18, lw=0, zorder=4)
    axis.plot(at, frame["estimate"], color=color, linewidth=1.8, zorder=5)


def draw_points(axis: Axes, x: Array, y: Any, *, color: str) -> None:
    many = len(x) > MANY_POINTS
    axis.scatter(
        x, y, s=7 if many else 14, color=color, alpha=0.3 if many else 0.55, linewidth=0, zorder=1
    )


def point_handle() -> Line2D:
    return Line2D([], [], color=GREY, marker="o", ms=4, linestyle="none", alpha=0.6)


def level_colors(n: int) -> list[Any]:
    """One light colour for many levels; distinct lines say more than colours of a long legend."""
    return [LIGHT_BLUE if n > LABELLED else "#6FAED1"] * n


def draw_panels(
    common: pd.DataFrame,
    levels: pd.DataFrame,
    *,
    x: str,
    points: pd.DataFrame | None,
    factor: Sequence[str],
    response: str,
    target: str,
    title: str,
    ci_prob: float,
    partial: bool,
) -> Array:
    """A panel for each level: its line with its band, its data, and the population."""
    names = list(factor)
    parts = list(levels.groupby(names, sort=True, observed=True))
    figure, axes = panel_grid(len(parts), ":".join(factor))
    place = Places.of(common[x])
    for axis, (label, part) in zip(axes.ravel(), parts, strict=False):
        axis.plot(place.at(common[x]), common["estimate"], color=INK, lw=1.0, ls=(0, (5, 3)))
        if points is not None:
            own = points[
                np.all([points[c] == v for c, v in zip(names, label, strict=True)], axis=0)
            ]
            draw_points(axis, place.at(own[x], jitter=True), own["_y"], color=GREY)
        draw_band(axis, place, part, x, color=BLUE)
        name = ":".join(map(str, label))
        axis.set_title(shorten(name, 24), fontsize=FONT, parse_math=False)
        finish_axis(axis, "", "", place)
        if points is not None:
            bend_scale(axis, points["_y"].to_numpy())
    wide = points is not None and is_wide(points["_y"].to_numpy())
    figure.supxlabel(shorten(x, 60), fontsize=FONT, parse_math=False)
    bent = " (log scale above 1)" if wide else ""
    figure.supylabel(shorten(response, 60) + bent, fontsize=FONT, parse_math=False)
    handles: dict[str, Any] = {
        f"each {':'.join(factor)}, {percent(ci_prob)} interval": (
            Patch(color=BLUE, alpha=0.18, linewidth=0),
            Line2D([], [], color=BLUE, linewidth=1.8),
        ),
        target: Line2D([], [], color=INK, lw=1.0, ls=(0, (5, 3))),
    }
    if points is not None:
        handles["partial residuals" if partial else "data"] = point_handle()
    panel_legend(figure, handles, title=title)
    return np.asarray(axes.ravel()[: len(parts)], dtype=object)


def draw_probabilities(
    common: pd.DataFrame,
    *,
    x: str,
    levels: pd.DataFrame | None = None,
    factor: Sequence[str] = (),
    response: str = "y",
    title: str = "",
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Panels:
    """The probability of each category along x: lines with bands, a panel for each level.

    ``common`` and ``levels`` are the frames of `Fit.predict` with ``kind="probability"``.
    """
    labels = list(dict.fromkeys(common["category"]))
    colors = dict(zip(labels, ordered_colors(len(labels)), strict=True))
    place = Places.of(common[x])
    handles = {
        shorten(f"{response} {label}", 24): Line2D([], [], color=colors[label], lw=1.8)
        for label in labels
    }
    if levels is None:
        axis = ax if ax is not None else plt.subplots(figsize=(6.4, 4.4), layout="constrained")[1]
        for label in labels:
            draw_band(axis, place, common[common["category"] == label], x, color=colors[label])
        finish_axis(axis, x, f"probability, {percent(ci_prob)} interval", place)
        axis.set_ylim(0, 1)
        axis.legend(
            list(handles.values()),
            list(handles),
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            fontsize=FONT - 0.5,
        )
        axis.set_title(fill(title, WIDTH), fontsize=FONT, loc="left", parse_math=False)
        return axis
    parts = list(levels.groupby(list(factor), sort=True, observed=True))
    figure, axes = panel_grid(len(parts), ":".join(factor))
    for axis, (name, part) in zip(axes.ravel(), parts, strict=False):
        for label in labels:
            own = part[part["category"] == label]
            draw_band(axis, place, own, x, color=colors[label])
        axis.set_title(shorten(":".join(map(str, name)), 24), fontsize=FONT, parse_math=False)
        finish_axis(axis, "", "", place)
        axis.set_ylim(0, 1)
    figure.supxlabel(shorten(x, 60), fontsize=FONT, parse_math=False)
    figure.supylabel(f"probability, {percent(ci_prob)} interval", fontsize=FONT)
    panel_legend(figure, handles, title=title)
    return np.asarray(axes.ravel()[: len(parts)], dtype=object)


def panel_legend(figure: Any, handles: Mapping[str, Any], *, title: str) -> None:
    """Above all panels, the title above it: a suptitle would lie on the legend."""
    made = figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=min(5, len(handles)),
        frameon=False,
        fontsize=FONT - 0.5,
        title=fill(title, WIDTH if len(figure.axes) > 4 else 50),
        title_fontsize=FONT,
    )
    made.get_title().set_parse_math(False)


def ordered_colors(n: int) -> list[Any]:
    """From dark to light in an order that every eye sees."""
    return [plt.get_cmap("viridis")(v) for v in np.linspace(0, 0.88, n)]


def panel_grid(n: int, name: str) -> tuple[Any, Array]:
    """Axes for n panels, as square as may be; the rest of them is hidden."""
    if n > PANELS:
        raise DataError(
            f"{name!r} has {n} levels, more than {PANELS} panels; "
            "without panels=True they share one"
        )
    columns = int(np.ceil(np.sqrt(n)))
    rows = int(np.ceil(n / columns))
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.1 * columns + 0.7, 1.75 * rows + 1.1),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.ravel()[n:]:
        axis.set_visible(False)
    for axis in axes.ravel()[n - columns : n]:
        axis.tick_params(labelbottom=True)
    return figure, axes


def finish_axis(axis: Axes, x: str, y: str, place: Places | None = None) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=FONT - 0.5, color=GREY)
    axis.grid(color=RULE, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_xlabel(shorten(x, 60), fontsize=FONT, color=INK, parse_math=False)
    axis.set_ylabel(shorten(y, 60), fontsize=FONT, color=INK, parse_math=False)
    if place is not None and place.categories:
        labels = [shorten(c, 16) for c in place.categories]
        axis.set_xticks(range(len(labels)))
        axis.set_xticklabels(labels, parse_math=False)
        if len(labels) * max(map(len, labels)) > ACROSS:
            axis.tick_params(axis="x", labelrotation=90 if len(labels) > 12 else 35)


def legend(axis: Axes, handles: Mapping[str, Any], *, title: str = "") -> None:
    """Above the panel, where it covers nothing, and the title above it."""
    if title:
        lines = int(np.ceil(len(handles) / 2))
        axis.set_title(
            fill(title, WIDTH),
            fontsize=FONT,
            loc="left",
            pad=8 + 1.55 * FONT * lines,
            parse_math=False,
        )
    axis.legend(
        list(handles.values()),
        list(handles),
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncols=2,
        frameon=False,
        fontsize=FONT - 0.5,
        borderaxespad=0.2,
        columnspacing=1.4,
    )


# --- residuals ------------------------------------------------------------------------------------


def beside_residuals(
    found: pd.DataFrame, frame: pd.DataFrame, x: str | pd.Series | None
) -> tuple[str, pd.Series]:
    """The name and the values, row by row, of what residuals are drawn against."""
    if x is None:
        return "fitted", found["fitted"]
    if isinstance(x, str):
        if x not in frame.columns:
            raise UnknownNameError(
                f"the formula has no column {x!r}; it has {', '.join(map(str, frame.columns))}. "
                f"Another column of the data is given as such: residuals(data[{x!r}])"
            )
        return x, frame[x]
    absent = [label for label in found.index if label not in x.index]
    if absent or not x.index.is_unique:
        raise DataError(
            f"{x.name!r} has no value, or several, for {some_rows(absent or list(found.index))} "
            "of the fit: it needs the index of the data that were fitted"
        )
    return str(x.name or "x"), x.loc[found.index]


def draw_residuals(
    against: pd.Series, residual: Any, *, x: str, kind: str, ax: Axes | None = None
) -> Axes:
    """Residuals along a column; of categories side by side, with their means."""
    axis = ax if ax is not None else plt.subplots(figsize=(5.4, 3.8), layout="constrained")[1]
    values = np.asarray(residual, dtype=float)
    if against.nunique() <= FEW_VALUES:
        against = as_categories(against)
    place = Places.of(against)
    at = place.at(against, jitter=True)
    axis.axhline(0, color=INK, lw=1.0, linestyle=(0, (5, 3)), zorder=2)
    draw_points(axis, at, values, color=BLUE)
    if not place.categories and len(values) >= 30:
        middle, mean = running_mean(at, values)
        axis.plot(middle, mean, color=VERMILION, linewidth=1.6, zorder=4)
    finish_axis(axis, x, f"{kind} residual", place)
    if x == "fitted" and is_wide(at):
        axis.set_xscale("symlog", linthresh=1.0)
        axis.set_xlabel("fitted (log scale above 1)")
    return axis


def as_categories(values: pd.Series) -> pd.Series:
    """Few numbers as text, in their order."""
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return values
    codes = pd.Categorical(values.map("{:g}".format), [f"{v:g}" for v in sorted(values.unique())])
    return pd.Series(codes, index=values.index)


def running_mean(x: Array, y: Array) -> tuple[Array, Array]:
    """Means of y in bins of equal counts along x."""
    order = np.argsort(x, kind="stable")
    bins = np.array_split(order, int(np.clip(len(x) / 15, 4, 25)))
    return np.array([x[b].mean() for b in bins]), np.array([y[b].mean() for b in bins])


def draw_qq(values: Array, *, what: str, ax: Axes | None = None) -> Axes:
    """Ordered values against normal quantiles, with the pointwise 95 % band of a normal sample.

    ``values`` (n,), or (draws, n): the first as points, the others as lines.
    """
    from scipy.special import betaincinv

    axis = ax if ax is not None else plt.subplots(figsize=(4.2, 4.0), layout="constrained")[1]
    z, *others = np.sort(np.atleast_2d(np.asarray(values, dtype=float)), axis=1)
    n = len(z)
    rank = np.arange(1, n + 1)
    expected = ndtri((rank - 0.5) / n)
    # the order statistics of uniforms are beta
    lower, upper = (ndtri(betaincinv(rank, n + 1 - rank, q)) for q in (0.025, 0.975))
    axis.fill_between(expected, lower, upper, color=GREY, alpha=0.2, linewidth=0, zorder=1)
    for other in others:
        axis.plot(expected, other, color=LIGHT_BLUE, linewidth=0.6, zorder=2)
    axis.plot(expected, expected, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), zorder=2)
    axis.plot(expected, z, "o", color=BLUE, ms=3.5 if n <= MANY_POINTS else 2, mew=0, zorder=3)
    finish_axis(axis, "normal quantile", shorten(what, 40))
    return axis


def draw_ppc(observed: Array, made: Array, *, name: str, ax: Axes | None = None) -> Axes:
    """Histograms of the response and of made ones, on the same bins."""
    axis = ax if ax is not None else plt.subplots(figsize=(5.6, 3.8), layout="constrained")[1]
    edges = shared_edges(observed, made)
    steps = np.array([np.histogram(row, edges)[0] for row in made])
    for row in steps[:50]:
        axis.stairs(row, edges, baseline=None, color=LIGHT_BLUE, linewidth=0.7, zorder=1)
    shape = np.histogram(observed, edges)[0]
    axis.stairs(shape, edges, baseline=None, color=INK, linewidth=1.8, zorder=3)
    axis.set_ylim(bottom=0)
    finish_axis(axis, name, "rows")
    if is_wide(observed):
        axis.set_xscale("symlog", linthresh=1.0)
        axis.set_xlim(left=edges[0])  # a margin would reach far below zero on this scale
        axis.set_xlabel(f"{shorten(name, 60)} (log scale above 1)", parse_math=False)
    legend(
        axis,
        {
            "data": Line2D([], [], color=INK, lw=1.8),
            f"{min(len(made), 50)} made by the model": Line2D([], [], color=LIGHT_BLUE, lw=0.9),
        },
    )
    return axis


def shared_edges(observed: Array, made: Array) -> Array:
    """Bins over the data and all but the outermost of what was made; whole numbers apart."""
    low = min(observed.min(), np.quantile(made, 0.001))
    high = max(observed.max(), np.quantile(made, 0.999)) + 1e-9
    whole = np.array_equal(observed, np.round(observed)) and np.array_equal(made, np.round(made))
    if is_wide(observed):
        edges = np.expm1(np.linspace(0, np.log1p(high), 28))
        return np.unique([*np.floor(edges), np.floor(high) + 1]) - 0.5 if whole else edges
    if whole:
        step = max(1, int(np.ceil((high - low) / 40)))
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + step, step)
    return np.linspace(low, high, int(np.clip(2 * len(observed) ** 0.5, 12, 50)))


def draw_statistic(observed: float, made: Array, *, name: str, ax: Axes | None = None) -> Axes:
    """One number of the data among those that the model makes."""
    axis = ax if ax is not None else plt.subplots(figsize=(5.0, 3.4), layout="constrained")[1]
    axis.hist(made, bins=30, color=LIGHT_BLUE, zorder=2)
    axis.axvline(observed, color=VERMILION, linewidth=2.0, zorder=3)
    finish_axis(axis, shorten(name, 40), "made by the model")
    legend(axis, {"data": Line2D([], [], color=VERMILION, lw=2.0)})
    return axis


def draw_level_statistics(frame: pd.DataFrame, *, group: str, ax: Axes | None = None) -> Axes:
    """The number of each level, beside the interval of what the model makes; sorted by the data."""
    n = len(frame)
    height = float(np.clip(0.9 + 0.2 * n, 2.4, 12)) if n <= MOST_NAMED else 7.0
    axis = ax if ax is not None else plt.subplots(figsize=(5.4, height), layout="constrained")[1]
    rows = frame.sort_values("observed", kind="stable")
    at = np.arange(n)
    axis.hlines(
        at,
        rows["expected_lower"],
        rows["expected_upper"],
        color=LIGHT_BLUE,
        linewidth=2.4,
        zorder=2,
    )
    axis.plot(rows["expected"], at, "|", color=BLUE, ms=7, mew=1.4, zorder=3)
    outside = (rows["observed"] < rows["expected_lower"]) | (
        rows["observed"] > rows["expected_upper"]
    )
    for mask, color in ((~outside, INK), (outside, VERMILION)):
        axis.plot(rows["observed"][mask], at[mask.to_numpy()], "o", color=color, ms=4, zorder=4)
    name = str(frame["statistic"].iloc[0])
    finish_axis(axis, f"{shorten(name, 40)} of each {shorten(group, 30)}", "")
    few = n <= MOST_NAMED
    axis.set_yticks(at if few else [])
    axis.set_yticklabels(
        [shorten(str(v), 20) for v in rows["level"]] if few else [], parse_math=False
    )
    axis.set_ylim(-0.7, n - 0.3)
    legend(
        axis,
        {
            "data": Line2D([], [], color=INK, marker="o", ms=4, linestyle="none"),
            "made by the model, 95 %": Line2D([], [], color=LIGHT_BLUE, lw=2.4),
            "data outside": Line2D([], [], color=VERMILION, marker="o", ms=4, linestyle="none"),
        },
    )
    return axis


# --- checks ---------------------------------------------------------------------------------------


def draw_checks(fit: Fit) -> Array:
    """Panels of the checks with their verdicts."""
    found: Checks = fit.check()
    design = fit.design
    frame = design.rows.frame.iloc[found.rows]
    columns = [c for c in predictors(design)][:3]
    blocks = list(design.blocks)[:2]
    effects = list(found.effects)[:3]
    count = 2 + (found.left_out is not None) + len(blocks) + len(columns) + len(effects)
    across = min(4, count)
    down = int(np.ceil(count / across))
    _, axes = plt.subplots(
        down, across, figsize=(3.1 * across, 2.9 * down), squeeze=False, layout="constrained"
    )
    left = iter(axes.ravel())

    axis = next(left)
    draw_residuals(pd.Series(found.fitted), found.residual, x="fitted", kind="quantile", ax=axis)
    title(axis, "residuals along the fit", found, "trend", "spread", "outliers")
    axis = next(left)
    draw_qq(found.residual, what="quantile residual", ax=axis)
    title(axis, "distribution", found, "distribution", "dispersion", "zeros", "ones")
    if found.left_out is not None:
        axis = next(left)
        draw_qq(found.left_out, what="LOO-PIT, normal quantile", ax=axis)
        title(axis, "each row left out", found, "left out")
    for block in blocks:
        axis = next(left)
        index = block.index[found.rows]
        draw_level_residuals(axis, found.residual, index)
        title(axis, f"levels of {block.name}", found, "levels", "spread of levels", of=block.name)
    for name in columns:
        axis = next(left)
        draw_residuals(frame[name], found.residual, x=name, kind="quantile", ax=axis)
        title(axis, f"along {name}", found, "predictor", "spread of predictor", of=name)
    for group, term in effects:
        axis = next(left)
        draw_qq(found.effects[group, term], what="standardised effect", ax=axis)
        only = sum(g == group for g, _ in found.effects) == 1
        of = group if only else f"{group}[{term}]"
        title(
            axis,
            f"effects of {group}" if only else f"effects of {group}, {term}",
            found,
            "group effects",
            of=of,
        )
    for axis in left:
        axis.set_visible(False)
    return np.asarray(axes.ravel()[:count], dtype=object)


COLORS = {"good": GREEN, "look": "#B8860B", "fault": VERMILION}
#: Characters that fit side by side below a panel.
ACROSS = 60
#: Characters that fit above a panel of the checks.
TITLE = 30


def title(axis: Axes, text: str, found: Checks, *names: str, of: str = "") -> None:
    """What the panel shows, and the worst verdict on it."""
    own = [c for c in found if c.name in names and (not of or c.of == of)]
    worst = max(own, key=lambda c: list(COLORS).index(c.verdict), default=None)
    told = "" if worst is None else worst.verdict
    if worst is not None and told != "good" and len(names) > 1:
        told = f"{told}: {worst.name}"
    text = shorten(text, 34)
    if len(text) + len(told) > TITLE:
        text += "\n"  # the verdict is on the line below
    axis.set_title(text, fontsize=FONT, loc="left", parse_math=False)
    if worst is None:
        return
    axis.set_title(
        told, fontsize=FONT - 1, loc="right", color=COLORS[worst.verdict], fontweight="bold"
    )


def draw_level_residuals(axis: Axes, residual: Array, index: Array) -> None:
    """Residuals of each level, sorted by their mean, with the mean."""
    levels, inverse = np.unique(index, return_inverse=True)
    counts = np.bincount(inverse)
    means = np.bincount(inverse, weights=residual) / counts
    rank = np.empty(len(levels))
    rank[np.argsort(means)] = np.arange(len(levels))
    axis.axhline(0, color=INK, lw=1.0, linestyle=(0, (5, 3)), zorder=2)
    draw_points(axis, rank[inverse], residual, color=BLUE)
    size = float(np.clip(220 / len(levels), 1.5, 5))
    axis.plot(rank, means, "_", color=VERMILION, ms=2.2 * size, mew=1.6, zorder=4)
    finish_axis(axis, f"{len(levels)} levels, sorted by mean", "quantile residual")
    axis.set_xticks([])
