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

from hiermodels.design import Design, no_numbers
from hiermodels.errors import (
    DataError,
    NotAvailableError,
    UnknownNameError,
    lookup,
    some_rows,
)
from hiermodels.levels import people_key
from hiermodels.numbers.averages import LINEAR
from hiermodels.numbers.checks import Checks, statistics
from hiermodels.numbers.draws import POINT
from hiermodels.numbers.expected import mean_exists
from hiermodels.numbers.prediction import (
    FEW_VALUES,
    TARGETS,
    axis_values,
    block_constant,
    chosen_kind,
    is_number,
    is_several,
    kind_words,
    predict,
    predictor,
    predictors,
    row_averages,
)
from hiermodels.pictures.groups import (
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
from hiermodels.pictures.sampler import SamplerPlots

if TYPE_CHECKING:
    from hiermodels.results import Fit

__all__ = [
    "PredictionPlots",
    "draw_categories",
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
#: Points beyond which they are drawn without edges and transparent.
MANY_POINTS = 400
#: Steps of an interval of drawn responses, whose ends are uneven by chance.
STEPS = 20
#: How far beyond the median a response reaches before its axis is logarithmic.
WIDE = 20
#: Levels up to which each has a colour and a ribbon without being asked, in a panel that is so many
#: inches wide: its legend takes the place of the picture in a small one.
RIBBONS, BROAD = 8, 4.5
#: Colours of levels that have no order, after Okabe & Ito and Tol, and dashes beside them.
LINE_COLORS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#7A7A00",
)  # fmt: skip
MARKERS = "os^Dv"
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))
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
        by: str | None = None,
        target: str | None = None,
        kind: str | None = None,
        at: Mapping[str, Any] | None = None,
        panels: bool = False,
        ribbons: bool | None = None,
        points: bool = True,
        partial: bool = False,
        interval: bool = False,
        n: int = 60,
        point: str = POINT,
        ci_prob: float = 0.95,
        ax: Axes | None = None,
    ) -> Panels:
        """The prediction along ``x``: a line with its band, the data behind it.

        Parameters
        ----------
        group
            A grouping factor: one line for each level, over the range of x that it has, and
            the population beside them. ``panels=True`` gives each level a panel with its own band.
        by
            Another predictor: a line with its band for each of its values if it is a category or
            has few, else for its mean and one sd to either side; ``at={"z": [0, 10]}`` says others.
        ribbons
            Whether each level of ``group`` has its colour and band in the one panel. None gives
            them to 8 levels or fewer, unless ``ax`` is too narrow for their legend; True is
            possible up to 25.
        target
            Of the line with the band: ``"population"``, or ``"marginal"``. None is the population;
            on a link that is not linear the mean over groups, which differs, is a dashed line
            beside it, and with ``panels`` or ``by`` named in the title.
        at
            Values at which other columns are held, as in `Fit.grid`.
        partial
            Instead of the data partial residuals: the prediction at the row's x, ``by`` and group,
            with the other columns where the grid holds them, plus the row's residual.
        interval
            Add the interval of new responses.
        kind
            ``"mean"``, ``"link"``, or of an ordinal response ``"probability"``: a line for each
            category. None is the mean, of categories that are words the probabilities, with a
            panel for each level of ``group``.
        """
        wide = target or "population"
        if wide not in ("population", "marginal"):
            raise UnknownNameError(
                f"the line with the band is of target 'population' or 'marginal', not {wide!r}; "
                "the levels of a factor are group='site'"
            )
        fit, design = self.fit, self.fit.design
        panels = panels or (kind is None and not design.family.has_mean and group is not None)
        kind = chosen_kind(design, kind)
        held = held_values(design, x, group=group, by=by, kind=kind, panels=panels, at=at)
        ribbons = with_ribbons(design, group, ribbons=ribbons, panels=panels, ax=ax)
        numbers: dict[str, Any] = {"kind": kind, "point": point, "ci_prob": ci_prob}
        differs = target is None and kind == "mean" and differs_from_marginal(design)
        factor = () if group is None else design.block(group).factor
        axes = [x] if by is None else [x, by]
        grid = fit.grid(axes, n=n, at=held)
        common = fit.predict(grid, target=wide, **numbers)
        levels = averaged = new = None
        if differs and not panels and by is None:
            averaged = fit.predict(grid, target="marginal", **numbers)
            averaged = None if averaged["estimate"].isna().all() else averaged
        if group is not None:
            own = fit.grid(x, group, n=n, at=held)
            levels = fit.predict(own, target="group", groups=group, **numbers)
        words = title_words(fit, wide, kind, group, told=differs and averaged is None)
        if kind == "probability":
            return draw_probabilities(
                common,
                x=x,
                levels=levels,
                factor=factor,
                response=design.response_name,
                held=held_words(design, grid.note, group),
                title=words,
                ci_prob=ci_prob,
                ax=ax,
            )
        if interval and kind == "mean":
            made = fit.grid(axes, n=min(n, STEPS), at=held)
            new = fit.predict(made, target="marginal", kind="response", ci_prob=ci_prob)
        shown = (
            observed_points(fit, x, group=group, by=by, kind=kind, partial=partial, at=held)
            if points
            else None
        )
        return draw_predictions(
            common if by is None else None,
            x=x,
            levels=levels if by is None else common,
            averaged=averaged,
            new=new,
            new_of_group=any(p.blocks for p in design.predictors),
            points=shown,
            factor=factor if by is None else (by,),
            words=value_words(design, by, held),
            held=held_words(design, grid.note, group),
            response=design.response_name,
            target=wide,
            kind=kind,
            partial=partial,
            panels=panels,
            ribbons=ribbons or by is not None,
            title=words,
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
        if x is None and not fit.design.family.has_mean:
            name = "linear predictor"
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
        fit, design = self.fit, self.fit.design
        if group is not None:
            if stat is None and not design.family.has_mean:
                raise NotAvailableError(
                    f"{no_numbers(design)}: stat= takes a function of their labels, and "
                    "fit.ppc(group=) has the share of each"
                )
            return draw_level_statistics(
                fit.ppc(stat, group, new_group=new_group), group=group, ax=ax
            )
        observed, made = fit.made_as_counted(draws if stat is None else 1000, new_group=new_group)
        if stat is None and design.categories and design.family.categories:
            return draw_categories(
                *(in_positions(design, y) for y in (observed, made)),
                labels=design.categories,
                name=design.response_name,
                ax=ax,
            )
        if stat is None:
            return draw_ppc(observed, made, name=design.response_name, ax=ax)
        ((function, name),) = statistics(design, stat)
        return draw_statistic(
            float(function(observed)), np.asarray(function(made)), name=name, ax=ax
        )

    def check(self) -> Array:
        """One figure of `Fit.check`: residuals, quantiles, levels, predictors, group effects."""
        return draw_checks(self.fit)


def differs_from_marginal(design: Design) -> bool:
    """Whether the mean over groups is another than that of a group with effects of zero."""
    grouped = any(p.blocks for p in design.predictors)
    return grouped and design.family.name not in LINEAR and mean_exists(design)


def with_ribbons(
    design: Design, group: str | None, *, ribbons: bool | None, panels: bool, ax: Axes | None
) -> bool:
    """Whether each level has its band in the one panel."""
    if group is None:
        if ribbons:
            raise DataError("ribbons=True needs group=: a band for each of its levels")
        return False
    n = design.block(group).n_levels
    if ribbons and n > PANELS:
        raise DataError(
            f"{group!r} has {n} levels, and more than {PANELS} ribbons hide each other; "
            "without ribbons=True each level is a line, fit.plot.forest() has their intervals"
        )
    by_itself = n <= RIBBONS and (ax is None or inches_across(ax) >= BROAD)
    return not panels and (by_itself if ribbons is None else ribbons)


def held_values(
    design: Design,
    x: str,
    *,
    group: str | None,
    by: str | None,
    kind: str,
    panels: bool,
    at: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the grid holds: what the user says, and the values of ``by``."""
    if kind == "probability" and (by is not None or (group is not None and not panels)):
        raise DataError(
            "a line for each category of each level would be too many: panels=True gives each "
            "level of group= a panel, at= holds another predictor at one value"
        )
    held = dict(at or {})
    several = [c for c, v in held.items() if is_several(v) and c != by]
    if several:
        raise DataError(
            f"at= has several values of {several[0]!r}; by={several[0]!r} draws a line for each"
        )
    if by is None:
        return held
    if group is not None or panels:
        raise DataError(
            f"by={by!r} has one panel and no group=: give one of the two, "
            f"such as group= with at={{{by!r}: ...}}"
        )
    if by in design.factors and by not in predictors(design):
        raise UnknownNameError(f"{by!r} is a grouping factor: group={by!r} draws its levels")
    column = predictor(design, by)
    if by == x:
        raise UnknownNameError(f"by={by!r} is x itself; it is another predictor")
    if by not in held:
        held[by] = chosen_lines(column)
    held[by] = list(held[by]) if is_several(held[by]) else [held[by]]
    if len(held[by]) > PANELS:
        raise DataError(
            f"{by!r} has {len(held[by])} values, more than {PANELS} lines; "
            f"at={{{by!r}: [...]}} says which"
        )
    return held


def held_words(design: Design, note: str, group: str | None) -> str:
    """``held: gender = 0.503``, for below the axis; nothing where no column is held."""
    told = shorten(note.removesuffix(".").replace("Held", "held", 1), 150)
    block = None if group is None else design.block(group)
    own = block is not None and any(
        block_constant(design, block, c) for c in predictors(design) if f"{c} = " in note
    )
    return f"{told} (of a level its own, where it has one)" if own else told


def chosen_lines(column: pd.Series) -> list[Any]:
    """All values of a category or of few numbers, else the mean and an sd to either side."""
    if not is_number(column) or column.nunique() <= FEW_VALUES:
        return axis_values(column, n=0, whole=column)
    digits = 1 - int(np.floor(np.log10(float(column.std(ddof=0)))))
    return [round(v, digits) for v in axis_values(column, n=0, whole=column)]


def value_words(design: Design, by: str | None, held: Mapping[str, Any]) -> dict[Any, str]:
    """``hours = 3.3 (mean - sd)``: what the legend calls each value of ``by``."""
    if by is None:
        return {}
    values = held[by]
    words = {
        v: f"{shorten(by, 24)} = {v:.6g}" if isinstance(v, float) else f"{shorten(by, 24)} = {v}"
        for v in values
    }
    column = design.rows.frame[by]
    if is_number(column) and column.nunique() > FEW_VALUES and values == chosen_lines(column):
        named = zip(values, ("mean \N{MINUS SIGN} sd", "mean", "mean + sd"), strict=True)
        words |= {v: f"{words[v]} ({name})" for v, name in named}
    return words


def title_words(fit: Fit, target: str, kind: str, group: str | None, *, told: bool = False) -> str:
    """What is predicted and for which target: ``mean response, target population: ...``.

    ``told`` adds that the mean over groups, which is not drawn, is another.
    """
    what = kind_words(fit.design, kind)
    more = " (the mean over groups differs: target='marginal')" if told else ""
    if group is None:
        return f"{what}, target {target}: {TARGETS[target]}{more}"
    return f"{what}, target group: levels of {group}, and {target}: {TARGETS[target]}{more}"


def observed_points(
    fit: Fit,
    x: str,
    *,
    group: str | None,
    kind: str,
    partial: bool,
    at: Mapping[str, Any] | None,
    by: str | None = None,
) -> pd.DataFrame | None:
    """x, y and the level of each row; None where the response is not on the scale of the axis.

    ``_data`` is the response also where ``_y`` is a partial residual.
    """
    if kind == "link" and fit.design.family.link != "identity":
        return None
    design = fit.design
    frame = design.rows.frame
    y = design.observed if design.trials is None else design.response / design.trials
    labels = () if group is None else design.block(group).factor
    names = [x, *labels] if by is None else [x, by]
    found = frame[list(dict.fromkeys(names))].copy()
    data = y
    if partial:
        held = {c: v for c, v in fit.grid(x, n=2, at=at).iloc[0].items() if c not in (x, by)}
        moved = frame.assign(**held)
        here = "population" if group is None else "group"
        mine = predict(design, fit.draws, moved, target=here, kind="mean", seed=0, groups=group)
        own = predict(design, fit.draws, target="group", kind="mean", seed=0)
        # a residual is from the mean: the shift is that of the moved columns alone
        y = row_averages(mine) + y - row_averages(own)
    return found.assign(_y=np.asarray(y, dtype=float), _data=np.asarray(data, dtype=float))


# --- predictions ----------------------------------------------------------------------------------


def draw_predictions(
    common: pd.DataFrame | None,
    *,
    x: str,
    levels: pd.DataFrame | None = None,
    averaged: pd.DataFrame | None = None,
    new: pd.DataFrame | None = None,
    new_of_group: bool = True,
    points: pd.DataFrame | None = None,
    factor: Sequence[str] = (),
    words: Mapping[Any, str] | None = None,
    held: str = "",
    response: str = "y",
    target: str = "population",
    kind: str = "mean",
    partial: bool = False,
    panels: bool = False,
    ribbons: bool = False,
    title: str = "",
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Panels:
    """Lines and bands of frames that `Fit.predict` gave.

    Parameters
    ----------
    common
        ``x, estimate, lower, upper``: the line with the band; None where only levels are drawn.
    levels
        The same with the columns ``factor``: a line for each level, with ``ribbons`` a band.
    averaged
        The mean over groups, beside that of the population.
    new
        The interval of new responses, with ``new_of_group`` of new groups; where it has the columns
        ``factor``, one for each level.
    points
        ``x``, the columns ``factor``, ``_y``, and ``_data``, the response that ``_y`` may differ
        from.
    words
        What the legend calls the levels, where not by their labels.
    held
        What the other columns are, for below the axis.
    """
    if panels:
        if levels is None or common is None:
            raise DataError("panels=True needs group=: a panel for each of its levels")
        return draw_panels(
            common,
            levels,
            x=x,
            points=points,
            factor=factor,
            held=held,
            response=response,
            target=target,
            title=title,
            ci_prob=ci_prob,
            partial=partial,
        )
    lines = level_lines(levels, factor, words=words or {}) if levels is not None else []
    named = len(lines) if ribbons else min(len(lines), 1)
    figure_height = 4.4 + 0.08 * max(0, named - 3)
    axis = (
        ax
        if ax is not None
        else plt.subplots(figsize=(6.4, figure_height), layout="constrained")[1]
    )
    whole = common if common is not None else levels
    assert whole is not None  # one of the two is given
    place = Places.of(whole[x])
    handles: dict[str, Any] = {}
    if points is not None:
        own = lines if ribbons else []
        handles |= draw_data(axis, place, points, x=x, factor=factor, lines=own, partial=partial)
    if new is not None:
        group_words = " in a new group" if new_of_group else ""
        each = bool(factor) and set(factor) <= set(new.columns)
        parts = level_lines(new, factor, words=words or {}) if each else [Line(part=new)]
        for line in parts:
            draw_ends(axis, place.at(line.part[x]), line.part, color=line.color)
        ends = Line2D([], [], **ENDS, color=GREY)
        handles[f"new response{group_words}, {percent(ci_prob)}"] = ends
    # side by side, the population to the right of the levels
    aside = 0.4 if ribbons and common is not None else 0.0
    if ribbons:
        right = 0.3 - aside / 4
        handles |= draw_ribbons(axis, place, lines, x=x, ci_prob=ci_prob, right=right)
    elif levels is not None:
        shade = level_color(len(lines))
        for line in lines:
            at = place.at(line.part[x])
            # of a predictor of levels each has one value: a dot is seen, a line is not
            dot = "o" if len(at) == 1 else None
            axis.plot(
                at, line.part["estimate"], color=shade, lw=1.1, marker=dot, ms=4, mew=0, zorder=3
            )
        name = f"levels of {':'.join(factor)} ({len(lines)})"
        dots = all(len(line.part) == 1 for line in lines)
        marks: dict[str, Any] = {"marker": "o", "ms": 4, "ls": "none"} if dots else {"lw": 1.1}
        handles[name] = Line2D([], [], color=shade, **marks)
    if common is not None:
        shown = INK if levels is not None else BLUE
        alpha = 0.1 if ribbons else 0.18
        draw_band(axis, place, common, x, color=shown, alpha=alpha, shift=aside)
        handles[f"{target}, {percent(ci_prob)} interval"] = (
            Patch(color=shown, alpha=alpha, linewidth=0),
            Line2D([], [], color=shown, linewidth=1.8),
        )
    finish_axis(axis, x, response if kind != "link" else "linear predictor", place)
    label_held(axis, x, held)
    if points is not None and kind != "link":
        bend_scale(axis, points)
    if averaged is not None:
        handles |= draw_averaged(axis, place, averaged, x=x, shift=aside)
    # short names stand three in a row, where the panel is as wide as it is by itself
    columns = 3 if named > 4 and inches_across(axis) >= BROAD else 2
    legend(axis, handles, title=title, columns=columns)
    return axis


#: The ends of an interval of new responses.
ENDS: dict[str, Any] = {"linewidth": 0.9, "linestyle": (0, (2, 2)), "zorder": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One of several lines and how it is drawn. Made by `level_lines`, read by the drawers."""

    part: pd.DataFrame
    label: tuple[Any, ...] = ()
    name: str = ""
    color: Any = GREY
    dash: Any = "-"
    marker: str = "o"


def level_lines(
    frame: pd.DataFrame, factor: Sequence[str], *, words: Mapping[Any, str]
) -> list[Line]:
    """The rows of each level in the order of the frame, with a look of its own.

    No two of 32 have the same colour and dashes; three numbers or more go from dark to light.
    """
    parts = list(frame.groupby(list(factor), sort=False, observed=True))
    ordered = len(factor) == 1 and len(parts) > 2 and is_number(frame[factor[0]]) and bool(words)
    colors = ordered_colors(len(parts)) if ordered else LINE_COLORS
    lines = []
    for k, (label, part) in enumerate(parts):
        text = ":".join(map(str, label))
        if all(isinstance(v, int | float | np.number) for v in label):
            text = f"{':'.join(factor)} {text}"  # a bare number says nothing in a legend
        turn = k // len(colors)
        lines.append(
            Line(
                part=part,
                label=label,
                name=words.get(label[0], shorten(text, 24)),
                color=colors[k % len(colors)],
                dash=DASHES[(k + turn) % len(DASHES)],
                marker=MARKERS[(k + turn) % len(MARKERS)],
            )
        )
    return lines


def draw_data(
    axis: Axes,
    place: Places,
    points: pd.DataFrame,
    *,
    x: str,
    factor: Sequence[str],
    lines: Sequence[Line],
    partial: bool,
) -> dict[str, Any]:
    """The points, in the colours of their levels where every row has one."""
    at = place.at(points[x], jitter=True)
    colors: Any = GREY
    if lines:
        known = {line.label: line.color for line in lines}
        labels = list(points[list(factor)].itertuples(index=False, name=None))
        if all(label in known for label in labels):
            colors = [known[label] for label in labels]
    draw_points(axis, at, points["_y"], color=colors)
    return {"partial residuals" if partial else "data": point_handle()}


def draw_ends(axis: Axes, at: Array, frame: pd.DataFrame, *, color: Any) -> None:
    for end in ("lower", "upper"):
        axis.plot(at, frame[end], color=color, **ENDS)


def draw_ribbons(
    axis: Axes, place: Places, lines: Sequence[Line], *, x: str, ci_prob: float, right: float
) -> dict[str, Any]:
    """A line and a band for each level; of categories, intervals side by side, to ``right``."""
    # bands pale with their number, so that many on one place are not opaque
    alpha = float(np.clip(1.0 / max(1, len(lines)), 0.06, 0.2))
    shifts = np.linspace(-0.3, right, len(lines)) if len(lines) > 1 else np.zeros(1)
    handles: dict[str, Any] = {}
    for line, shift in zip(lines, shifts, strict=True):
        draw_band(
            axis,
            place,
            line.part,
            x,
            color=line.color,
            alpha=alpha,
            dash=line.dash,
            marker=line.marker,
            shift=float(shift),
        )
        drawn = Line2D([], [], color=line.color, linewidth=1.6, linestyle=line.dash)
        if place.categories:
            drawn.set(linestyle="-", marker=line.marker, markersize=5)
        handles[line.name] = (Patch(color=line.color, alpha=0.18, linewidth=0), drawn)
    kind = "interval" if place.categories else "band"
    handles[f"each with its {percent(ci_prob)} {kind}"] = (
        Line2D([], [], color=GREY, linewidth=1.6)
        if place.categories
        else Patch(color=GREY, alpha=0.25, linewidth=0)
    )
    return handles


def draw_averaged(
    axis: Axes, place: Places, averaged: pd.DataFrame, *, x: str, shift: float = 0.0
) -> dict[str, Any]:
    """The mean over groups; where it grows out of all proportion it leaves the picture.

    On a log link it grows as exp(variance / 2): its scale would flatten everything else.
    """
    dashes: dict[str, Any] = {"color": VERMILION, "linewidth": 1.6, "linestyle": (0, (5, 2))}
    if place.categories:
        dashes |= {"linestyle": "none", "marker": "D", "ms": 5}
    low, high = axis.get_ylim()
    at = place.at(averaged[x]) + (shift if place.categories else 0.0)
    axis.plot(at, averaged["estimate"], zorder=5, **dashes)
    scale = axis.transData.transform
    bottom, top, reached = (
        float(scale((0.0, v))[1]) for v in (low, high, float(averaged["estimate"].max()))
    )
    beyond = reached > top + 0.5 * (top - bottom)
    if beyond:
        axis.set_ylim(low, high)
    elif reached > top:
        axis.set_ylim(low, float(averaged["estimate"].max()) * 1.05)
    name = "marginal: the mean over groups" + ("\n(leaves the picture)" if beyond else "")
    return {name: Line2D([], [], **dashes)}


def with_held(x: str, held: str, width: int) -> str:
    """The name of x, and below it where the other columns are held."""
    return "\n".join(part for part in (shorten(x, 60), fill(held, width)) if part)


def label_held(axis: Axes, x: str, held: str) -> None:
    width = int(np.clip(15 * inches_across(axis), 30, WIDTH))
    axis.set_xlabel(with_held(x, held, width), parse_math=False)


def is_wide(y: Array) -> bool:
    """Whether a response from zero up has most of its rows near zero, and some far out."""
    return bool(y.min() >= 0 and y.max() > WIDE * (np.median(y) + 1))


def bend_scale(axis: Axes, points: pd.DataFrame) -> None:
    """A logarithmic axis above 1 for a wide response, with zero on it; the label says so."""
    if is_wide(points["_data"].to_numpy()):
        axis.set_yscale("symlog", linthresh=1.0)
        if points["_y"].min() >= 0:
            _, top = axis.get_ylim()
            axis.set_ylim(-0.2, top)
        label = axis.get_ylabel()
        axis.set_ylabel(f"{label} (log scale above 1)" if label else "", parse_math=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the values of x stand: numbers where they are, categories side by side.

    ``ticks`` are those of few numbers, between which points may be moved by a part of ``gap``.
    """

    categories: tuple[Any, ...]
    ticks: tuple[float, ...] = ()
    gap: float = 0.0

    @classmethod
    def of(cls, values: pd.Series) -> Places:
        number = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(
            values.dtype
        )
        if number:
            seen = np.unique(values.to_numpy(dtype=float))
            if not 1 < len(seen) <= FEW_VALUES:
                return cls(categories=())
            return cls(categories=(), ticks=tuple(seen), gap=float(np.diff(seen).min()))
        if isinstance(values.dtype, pd.CategoricalDtype):
            return cls(categories=tuple(values.cat.categories))
        return cls(categories=tuple(sorted(dict.fromkeys(values), key=people_key)))

    def at(self, values: pd.Series, *, jitter: bool = False) -> Array:
        if not self.categories:
            numbers = values.to_numpy(dtype=float)
            if not (jitter and self.gap):
                return numbers
            return numbers + np.random.default_rng(0).uniform(-0.06, 0.06, len(values)) * self.gap
        known = {c: float(k) for k, c in enumerate(self.categories)}
        places = np.array([known[v] for v in values])
        if jitter:
            places = places + np.random.default_rng(0).uniform(-0.16, 0.16, len(places))
        return places


def draw_band(
    axis: Axes,
    place: Places,
    frame: pd.DataFrame,
    x: str,
    *,
    color: Any,
    alpha: float = 0.18,
    dash: Any = "-",
    marker: str = "o",
    shift: float = 0.0,
) -> None:
    """A line in its band; of categories points with intervals, ``shift`` aside."""
    at = place.at(frame[x])
    if place.categories or len(at) == 1:
        shift = shift if place.categories else 0.0
        low, high = frame["estimate"] - frame["lower"], frame["upper"] - frame["estimate"]
        axis.errorbar(
            at + shift,
            frame["estimate"],
            yerr=[low, high],
            fmt=marker,
            color=color,
            ms=6,
            capsize=3,
            linewidth=1.8,
            zorder=5,
        )
        return
    axis.fill_between(at, frame["lower"], frame["upper"], color=color, alpha=alpha, lw=0, zorder=4)
    axis.plot(at, frame["estimate"], color=color, linewidth=1.8, linestyle=dash, zorder=5)


def draw_points(axis: Axes, x: Array, y: Any, *, color: Any) -> None:
    many = len(x) > MANY_POINTS
    axis.scatter(
        x, y, s=7 if many else 14, color=color, alpha=0.3 if many else 0.55, linewidth=0, zorder=1
    )


def point_handle() -> Line2D:
    return Line2D([], [], color=GREY, marker="o", ms=4, linestyle="none", alpha=0.6)


def level_color(n: int) -> str:
    """One light colour for many levels; distinct lines say more than colours of a long legend."""
    return LIGHT_BLUE if n > LABELLED else "#6FAED1"


def draw_panels(
    common: pd.DataFrame,
    levels: pd.DataFrame,
    *,
    x: str,
    points: pd.DataFrame | None,
    factor: Sequence[str],
    held: str,
    response: str,
    target: str,
    title: str,
    ci_prob: float,
    partial: bool,
) -> Array:
    """A panel for each level: its line with its band, its data, and the population."""
    names = list(factor)
    parts = list(levels.groupby(names, sort=False, observed=True))
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
    if points is not None:  # the axis is shared: of its bends the last one counts
        for axis in axes.ravel()[: len(parts)]:
            bend_scale(axis, points)
    wide = points is not None and is_wide(points["_data"].to_numpy())
    figure.supxlabel(with_held(x, held, 60), fontsize=FONT, parse_math=False)
    bent = " (log scale above 1)" if wide else ""
    figure.supylabel(shorten(response, 60) + bent, fontsize=FONT, parse_math=False)
    handles: dict[str, Any] = {
        f"each level of {':'.join(factor)}, {percent(ci_prob)} interval": (
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
    held: str = "",
    response: str = "y",
    title: str = "",
    ci_prob: float = 0.95,
    ax: Axes | None = None,
) -> Panels:
    """The probability of each category along x: lines with bands, a panel for each level.

    ``common`` and ``levels`` are the frames of `Fit.predict` with ``kind="probability"``.
    """
    common, levels = (
        None if frame is None else frame.rename(columns={"mean": "estimate"})
        for frame in (common, levels)
    )
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
        label_held(axis, x, held)
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
    parts = list(levels.groupby(list(factor), sort=False, observed=True))
    figure, axes = panel_grid(len(parts), ":".join(factor))
    for axis, (name, part) in zip(axes.ravel(), parts, strict=False):
        for label in labels:
            own = part[part["category"] == label]
            draw_band(axis, place, own, x, color=colors[label])
        axis.set_title(shorten(":".join(map(str, name)), 24), fontsize=FONT, parse_math=False)
        finish_axis(axis, "", "", place)
        axis.set_ylim(0, 1)
    figure.supxlabel(with_held(x, held, 60), fontsize=FONT, parse_math=False)
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
    return [plt.get_cmap("viridis")(v) for v in np.linspace(0, 0.82, n)]


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
    if place is not None and place.ticks:
        axis.set_xticks(place.ticks)
        axis.set_xticklabels([f"{v:.6g}" for v in place.ticks])
    if place is not None and place.categories:
        labels = [shorten(c, 16) for c in place.categories]
        axis.set_xticks(range(len(labels)))
        axis.set_xticklabels(labels, parse_math=False)
        if len(labels) * max(map(len, labels)) > ACROSS:
            axis.tick_params(axis="x", labelrotation=90 if len(labels) > 12 else 35)


def inches_across(axis: Axes) -> float:
    """The width of a panel, before a layout has moved it."""
    figure = axis.get_figure(root=True)
    assert figure is not None  # an Axes that is drawn on has one
    return float(axis.get_position().width * figure.get_figwidth())


def legend(axis: Axes, handles: Mapping[str, Any], *, title: str = "", columns: int = 2) -> None:
    """Above the panel, where it covers nothing, and the title above it."""
    if title:
        lines = int(np.ceil(len(handles) / columns)) + "".join(handles).count("\n")
        axis.set_title(
            fill(title, int(np.clip(17 * inches_across(axis), 30, WIDTH))),
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
        ncols=columns,
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


def in_positions(design: Design, y: Array) -> Array:
    """Ordered categories as the user has them by their positions."""
    labels = design.in_users_words(np.arange(design.n_thresholds + 1))
    return np.sum([k * (y == label) for k, label in enumerate(labels)], axis=0)


def draw_categories(
    observed: Array, made: Array, *, labels: Sequence[Any], name: str, ax: Axes | None = None
) -> Axes:
    """Rows in each category, and in the data that the model makes: a bar, median and 95 %."""
    axis = ax if ax is not None else plt.subplots(figsize=(5.6, 3.8), layout="constrained")[1]
    k = len(labels)
    at = np.arange(k)
    counts = np.array([np.bincount(row, minlength=k) for row in made])
    lower, middle, upper = np.quantile(counts, [0.025, 0.5, 0.975], axis=0)
    axis.bar(at, np.bincount(observed, minlength=k), width=0.6, color=LIGHT_BLUE, zorder=2)
    axis.vlines(at, lower, upper, color=INK, linewidth=1.8, zorder=3)
    axis.plot(at, middle, "o", color=INK, markersize=4, zorder=4)
    axis.set_xticks(at, [shorten(label, 16) for label in labels], parse_math=False)
    axis.set_ylim(bottom=0)
    finish_axis(axis, name, "rows")
    legend(
        axis,
        {
            "data": Patch(color=LIGHT_BLUE),
            f"made by the model, {len(made)} draws (median, 95 %)": Line2D(
                [], [], color=INK, marker="o", markersize=4, lw=1.8
            ),
        },
    )
    return axis


def draw_ppc(observed: Array, made: Array, *, name: str, ax: Axes | None = None) -> Axes:
    """Histograms of the response and of made ones, on the same bins."""
    axis = ax if ax is not None else plt.subplots(figsize=(5.6, 3.8), layout="constrained")[1]
    edges = shared_edges(observed, made)
    steps = np.array([np.histogram(row, edges)[0] for row in made])
    shape = np.histogram(observed, edges)[0]
    # steps of equal bins lie on each other like bricks; lines through their middles do not
    middle = (edges[:-1] + edges[1:]) / 2
    smooth = len(middle) >= 10 and not is_wide(observed)
    for counts, look in (*((row, FAINT) for row in steps[:50]), (shape, STRONG)):
        if smooth:
            axis.plot(middle, counts, **look)
        else:
            axis.stairs(counts, edges, baseline=None, **look)
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


FAINT: dict[str, Any] = {"color": LIGHT_BLUE, "linewidth": 0.7, "zorder": 1}
STRONG: dict[str, Any] = {"color": INK, "linewidth": 1.8, "zorder": 3}


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
    whole = np.array_equal(made, np.round(made))
    # bins that are not whole would hold now one number, now two: a comb
    bins = shared_edges(made, made) if whole else np.histogram_bin_edges(made, 30)
    axis.hist(made, bins=bins.tolist(), color=LIGHT_BLUE, zorder=2)
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
    finish_axis(axis, f"{shorten(name, 40)} of each level of {shorten(group, 30)}", "")
    few = n <= MOST_NAMED
    axis.set_yticks(at if few else [])
    axis.set_yticklabels(
        [shorten(str(v), 20) for v in rows["level"]] if few else [], parse_math=False
    )
    axis.set_ylim(-0.7, n - 0.3)
    if is_wide(rows["observed"].to_numpy()):
        axis.set_xscale("symlog", linthresh=1.0)
        axis.set_xlabel(f"{axis.get_xlabel()} (log scale above 1)", parse_math=False)
        if rows[["observed", "expected_lower"]].to_numpy().min() >= 0:
            axis.set_xlim(left=-0.2)  # a margin would reach far below zero on this scale
    handles = {
        "data": Line2D([], [], color=INK, marker="o", ms=4, linestyle="none"),
        "made by the model, 95 %": Line2D([], [], color=LIGHT_BLUE, lw=2.4),
    }
    if outside.any():
        handles["data outside"] = Line2D([], [], color=VERMILION, marker="o", ms=4, ls="none")
    legend(axis, handles)
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
