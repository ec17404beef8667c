"""Pictures: what stands where, that no text covers another, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

mpl.use("Agg")

import matplotlib.pyplot as plt

from hiermodels.errors import DataError, UnknownNameError
from hiermodels.pictures.groups import KINDS, Plots, draw_forest, draw_shrinkage, save_figure

INTERCEPT = "Intercept"


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """No figure outlives its test."""
    yield
    plt.close("all")


def levels(n: int, *, terms: tuple[str, ...] = (INTERCEPT,), seed: int = 0) -> pd.DataFrame:
    """A frame such as `Fit.shrinkage` gives, of made-up numbers."""
    rng = np.random.default_rng(seed)
    frames = []
    for k, term in enumerate(terms):
        raw = rng.normal(5 * (1 - k), 2, n)
        estimate = 0.7 * raw
        frames.append(
            pd.DataFrame(
                {
                    "group": "site",
                    "level": [f"level_{j:03d}" for j in range(n)],
                    "term": term,
                    "n": rng.integers(2, 60, n),
                    "raw": raw,
                    "complete": 0.5 - k,
                    "estimate": estimate,
                    "lower": estimate - 1,
                    "upper": estimate + 1.5,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def common(*terms: str) -> pd.DataFrame:
    """A frame such as `Fit.fixef` gives."""
    k = np.arange(len(terms), dtype=float)
    return pd.DataFrame({"term": terms, "estimate": k + 0.3, "lower": k, "upper": k + 0.6})


def dots(axis: Axes) -> np.ndarray:
    """The points of the estimates, from below: (levels, 2)."""
    (line,) = [part for part in axis.lines if part.get_marker() == "o"]
    return np.asarray(line.get_xydata())


def boxes(axis: Axes) -> list[tuple[float, float]]:
    """Bottom and top of the labels of the levels, in pixels, from below."""
    figure = axis.get_figure(root=True)
    assert figure is not None
    figure.canvas.draw()
    found = [t.get_window_extent() for t in axis.get_yticklabels() if t.get_text()]
    return sorted((box.y0, box.y1) for box in found)


DRAWERS = pytest.mark.parametrize("draw", [draw_forest, draw_shrinkage])


@DRAWERS
def test_levels_are_sorted_by_estimate_and_dots_stand_at_the_numbers(draw) -> None:
    frame = levels(8)
    axis = draw(frame)
    ordered = frame.sort_values("estimate")
    assert [t.get_text() for t in axis.get_yticklabels()] == ordered["level"].tolist()
    np.testing.assert_array_equal(dots(axis)[:, 0], ordered["estimate"])
    np.testing.assert_array_equal(dots(axis)[:, 1], np.arange(8))


@DRAWERS
def test_intervals_are_those_of_the_frame(draw) -> None:
    frame = levels(8)
    ordered = frame.sort_values("estimate")
    segments = np.array(draw(frame).collections[-1 if draw is draw_forest else 0].get_segments())
    np.testing.assert_array_equal(segments[:, :, 0], ordered[["lower", "upper"]])


@DRAWERS
def test_several_terms_share_the_order_of_the_first(draw) -> None:
    frame = levels(8, terms=(INTERCEPT, "x"))
    first, second = draw(frame)
    order = frame[frame["term"] == INTERCEPT].sort_values("estimate")["level"]
    slopes = frame[frame["term"] == "x"].set_index("level").loc[order, "estimate"]
    np.testing.assert_array_equal(dots(second)[:, 0], slopes)
    assert "sorted by Intercept" in first.get_ylabel()
    assert "x" in second.get_xlabel().splitlines()[0]


@DRAWERS
def test_a_chosen_term_is_sorted_by_itself(draw) -> None:
    axis = draw(levels(8, terms=(INTERCEPT, "x")), term="x")
    assert isinstance(axis, Axes)
    assert (np.diff(dots(axis)[:, 0]) > 0).all()


@DRAWERS
def test_given_axes_are_drawn_on_and_returned(draw) -> None:
    _, ax = plt.subplots()
    assert draw(levels(8, terms=(INTERCEPT, "x")), term="x", ax=ax) is ax


@DRAWERS
def test_given_axes_take_one_term(draw) -> None:
    _, ax = plt.subplots()
    with pytest.raises(UnknownNameError) as caught:
        draw(levels(8, terms=(INTERCEPT, "x")), ax=ax)
    assert str(caught.value) == ("ax has room for one term; say which with term=: Intercept, x")


@DRAWERS
def test_unknown_term_lists_the_terms(draw) -> None:
    with pytest.raises(UnknownNameError) as caught:
        draw(levels(8, terms=(INTERCEPT, "days")), term="day")
    assert str(caught.value) == "no term 'day'. Valid: Intercept, days. Did you mean 'days'?"


@DRAWERS
def test_several_factors_are_refused(draw) -> None:
    frame = pd.concat([levels(3), levels(3).assign(group="pop")])
    with pytest.raises(UnknownNameError, match="one grouping factor; say which: site, pop"):
        draw(frame)


@DRAWERS
def test_a_level_that_stands_twice_is_refused(draw) -> None:
    frame = pd.concat([levels(3), levels(3)])
    with pytest.raises(DataError, match="one row for each level of 'site' and term"):
        draw(frame)


def test_unknown_kind_lists_the_kinds() -> None:
    with pytest.raises(UnknownNameError, match=r"no kind 'fixef'\. Valid: coef, ranef"):
        draw_forest(levels(3), kind="fixef")


@DRAWERS
@pytest.mark.parametrize("n", [2, 5, 8, 16, 60, 100, 120])
def test_every_level_is_labelled_and_no_label_covers_another(draw, n) -> None:
    frame = levels(n, terms=(INTERCEPT, "x"))
    axis = draw(frame)[0]
    spans = boxes(axis)
    assert len(spans) == n
    assert all(below[1] <= above[0] for below, above in pairwise(spans))
    assert axis.get_yticklabels()[0].get_fontsize() >= 6


@DRAWERS
@pytest.mark.parametrize(("n", "said"), [(200, "1 in 3 labelled"), (500, "lowest and highest")])
def test_more_levels_than_labels_are_told(draw, n, said) -> None:
    axis = draw(levels(n))
    spans = boxes(axis)
    assert said in axis.get_ylabel()
    assert len(spans) < n
    assert all(below[1] <= above[0] for below, above in pairwise(spans))
    assert len(dots(axis)) == n


@DRAWERS
@pytest.mark.parametrize("n", [8, 40, 100])
def test_labels_fit_into_small_given_axes(draw, n) -> None:
    _, ax = plt.subplots(figsize=(4, 3))
    draw(levels(n), ax=ax)
    spans = boxes(ax)
    assert all(below[1] <= above[0] for below, above in pairwise(spans))


@DRAWERS
@pytest.mark.parametrize("n", [5, 100, 500])
def test_the_axis_label_and_the_legend_stay_inside_the_figure(draw, n) -> None:
    axis = draw(levels(n))
    figure = axis.get_figure(root=True)
    figure.canvas.draw()
    frame = figure.bbox
    for part in (axis.xaxis.label, axis.yaxis.label, *figure.legends):
        box = part.get_window_extent()
        assert box.x0 >= frame.x0 - 1
        assert box.x1 <= frame.x1 + 1
        assert box.y0 >= frame.y0 - 1
        assert box.y1 <= frame.y1 + 1


def test_the_legend_covers_no_point() -> None:
    axis = draw_shrinkage(levels(8))
    figure = axis.get_figure(root=True)
    figure.canvas.draw()
    (legend,) = figure.legends
    assert legend.get_window_extent().y0 >= axis.get_window_extent().y1


def test_names_are_never_mathematics() -> None:
    frame = levels(3).replace({"level_001": "$a_b$ $", "site": "$s$"})
    axis = draw_forest(frame.assign(term="$x_1$"))
    texts = [*axis.get_yticklabels(), axis.xaxis.label, axis.yaxis.label]
    assert not any(text.get_parse_math() for text in texts)
    assert "$a_b$ $" in [t.get_text() for t in axis.get_yticklabels()]
    axis.get_figure(root=True).canvas.draw()


def test_long_labels_lose_their_middle() -> None:
    name = "population_of_the_northern_valley:patch_17"
    axis = draw_forest(levels(3).replace({"level_001": name}))
    shown = [t.get_text() for t in axis.get_yticklabels() if "…" in t.get_text()]
    assert shown == ["population_of…lley:patch_17"]


def test_forest_has_its_line_at_the_common_effect() -> None:
    axes = draw_forest(levels(5, terms=(INTERCEPT, "x")), common=common(INTERCEPT, "x"))
    assert [axis.lines[0].get_xdata()[0] for axis in axes] == [0.3, 1.3]


@pytest.mark.parametrize("frame", [None, common("z")])
def test_forest_has_its_line_at_zero_without_a_common_effect(frame) -> None:
    axis = draw_forest(levels(5), common=frame)
    assert axis.lines[0].get_xdata()[0] == 0


@pytest.mark.parametrize(("kind", "word"), KINDS.items())
def test_the_axis_says_what_and_which_interval(kind, word) -> None:
    axis = draw_forest(levels(5), kind=kind, ci_prob=0.9)
    assert axis.get_xlabel() == (
        f"{word.capitalize()}: Intercept\nposterior median and 90 % interval"
    )


def raw_points(axis: Axes) -> np.ndarray:
    """The open diamonds: (levels, 2)."""
    diamonds = [part for part in axis.collections if isinstance(part, PathCollection)]
    return np.asarray(diamonds[0].get_offsets())


def test_shrinkage_shows_raw_partial_and_complete() -> None:
    frame = levels(8)
    axis = draw_shrinkage(frame)
    ordered = frame.sort_values("estimate")
    np.testing.assert_array_equal(raw_points(axis)[:, 0], ordered["raw"])
    assert axis.lines[0].get_xdata()[0] == 0.5
    joined = np.array(axis.collections[1].get_segments())[:, :, 0]
    np.testing.assert_array_equal(joined, ordered[["raw", "estimate"]])


def test_shrinkage_writes_n_where_it_differs() -> None:
    frame = levels(8)
    axis = draw_shrinkage(frame)
    beside = [text.get_text() for text in axis.texts]
    assert beside == [*frame.sort_values("estimate")["n"].astype(str), "n"]
    assert draw_shrinkage(frame.assign(n=10)).get_title(loc="right") == "n = 10 in each"
    assert draw_shrinkage(levels(300)).get_title(loc="right") == "n = 2 to 59"


def test_shrinkage_without_some_raw_estimates_says_so() -> None:
    frame = levels(8)
    frame.loc[[1, 4], "raw"] = np.nan
    axis = draw_shrinkage(frame)
    assert len(raw_points(axis)) == 6
    assert len(dots(axis)) == 8
    assert axis.get_xlabel().splitlines()[-1] == "2 without a raw estimate"


def test_shrinkage_without_any_raw_estimate_is_drawn() -> None:
    axis = draw_shrinkage(levels(8).assign(raw=np.nan))
    axis.get_figure(root=True).canvas.draw()
    assert "8 without a raw estimate" in axis.get_xlabel()


def test_a_raw_estimate_far_out_neither_squashes_the_rest_nor_disappears() -> None:
    frame = levels(8)
    before = np.diff(draw_shrinkage(frame).get_xlim())
    frame.loc[2, "raw"] = 1000.0
    axis = draw_shrinkage(frame)
    assert np.diff(axis.get_xlim()) <= before * 1.01
    assert "1 raw outside, at the edge (1e+03)" in axis.get_xlabel()
    (legend,) = axis.get_figure(root=True).legends
    assert "no pooling, outside" in [text.get_text() for text in legend.get_texts()]


def test_equal_numbers_are_drawn() -> None:
    flat = levels(4).assign(raw=2.0, estimate=2.0, lower=2.0, upper=2.0, complete=2.0)
    for draw in (draw_forest, draw_shrinkage):
        draw(flat).get_figure(root=True).canvas.draw()


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_save_figure_writes_and_closes(tmp_path: Path, suffix: str) -> None:
    axes = draw_forest(levels(5, terms=(INTERCEPT, "x")))
    path = save_figure(axes, tmp_path / f"forest{suffix}")
    assert path.stat().st_size > 1000
    assert plt.get_fignums() == []


def made_up_fit() -> SimpleNamespace:
    """What `Plots` takes from a fit."""
    frame = levels(6, terms=(INTERCEPT, "x"))
    # a term that is the same in all levels is no panel
    same = frame[frame["term"] == "x"].assign(term="w", estimate=1.0)
    block = SimpleNamespace(name="site", terms=(INTERCEPT, "x"))
    design = SimpleNamespace(intercept=True, terms=("x", "w"), block=lambda group: block)
    return SimpleNamespace(
        design=design,
        coef=lambda group, point, ci_prob: pd.concat([frame, same]),
        ranef=lambda group, point, ci_prob: frame.assign(estimate=frame["estimate"] - 1),
        fixef=lambda point, ci_prob: common(INTERCEPT, "x", "w"),
        shrinkage=lambda group, point, ci_prob: frame,
    )


def test_plots_of_a_fit() -> None:
    fit = made_up_fit()
    plots = Plots(fit)
    coefficients = plots.forest("site")
    effects = plots.forest("site", kind="ranef", term="x")
    assert len(coefficients) == 2
    assert coefficients[1].lines[0].get_xdata()[0] == 1.3
    assert effects.lines[0].get_xdata()[0] == 0
    np.testing.assert_allclose(
        dots(effects)[:, 0],
        np.sort(fit.ranef("site", "median", 0.95).query("term == 'x'")["estimate"]),
    )
    intercepts, slopes = plots.shrinkage()
    assert "Intercept at the mean of the predictors" in intercepts.get_xlabel()
    assert slopes.get_xlabel().splitlines()[0] == "x"
