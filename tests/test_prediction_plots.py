"""Pictures of predictions and checks: what stands where, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table
from made_up_families import family_fit

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb

from hiermodels.errors import DataError, UnknownNameError
from hiermodels.pictures.predictions import (
    as_categories,
    draw_predictions,
    draw_qq,
    level_lines,
    shared_edges,
)

FORMULA = "y ~ x + f + (x | pop)"


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fit():
    return made_up_fit(FORMULA)


def labels(axis):
    return [t.get_text() for t in axis.get_legend().get_texts()]


def drawn(figure):
    """Draws it, so that what matplotlib only then finds is an error here."""
    figure.canvas.draw()


def test_lines_are_the_predictions(fit):
    axis = fit.plot.predictions("x", group="pop")
    drawn(axis.figure)
    lines = axis.get_lines()
    assert len(lines) == 5 + 1
    grid = fit.grid("x", "pop", n=60)
    wanted = fit.predict(grid, target="group", groups="pop")
    for line, (_, part) in zip(lines, wanted.groupby("pop"), strict=False):
        np.testing.assert_allclose(line.get_ydata(), part["estimate"])
        np.testing.assert_allclose(line.get_xdata(), part["x"])
    common = fit.predict(fit.grid("x", n=60))
    np.testing.assert_allclose(lines[-1].get_ydata(), common["estimate"])
    levels = ["P0", "P1", "P2", "P3", "P4", "each with its 95 % band"]
    assert labels(axis) == ["data", *levels, "population, 95 % interval"]


def bands(axis):
    """Lowest and highest y of each band."""
    found = [c for c in axis.collections if isinstance(c, PolyCollection)]
    extents = [c.get_paths()[0].get_extents() for c in found]
    return np.array([[e.ymin, e.ymax] for e in extents])


def test_each_level_has_its_ribbon_in_one_panel(fit):
    axis = fit.plot.predictions("x", group="pop")
    wanted = fit.predict(fit.grid("x", "pop", n=60), target="group", groups="pop")
    ends = wanted.groupby("pop").agg({"lower": "min", "upper": "max"})
    np.testing.assert_allclose(bands(axis)[:5], ends)
    # the points have the colours of their lines
    color = {
        level: to_rgb(line.get_color())
        for level, line in zip(ends.index, axis.get_lines(), strict=False)
    }
    assert len(set(color.values())) == 5
    shown = axis.collections[0].get_facecolors()[:, :3]
    np.testing.assert_allclose(shown, [color[level] for level in table()["pop"]])
    plain = fit.plot.predictions("x", group="pop", ribbons=False)
    assert labels(plain) == ["data", "levels of pop (5)", "population, 95 % interval"]
    assert len(bands(plain)) == 1
    _, (narrow, _) = plt.subplots(1, 2, figsize=(8, 4))
    assert len(bands(fit.plot.predictions("x", group="pop", ax=narrow))) == 1
    with pytest.raises(DataError, match="ribbons=True needs group="):
        fit.plot.predictions("x", ribbons=True)


def test_many_levels_have_no_ribbons():
    many = made_up_fit("y ~ x + (1 | g)", table().assign(g=np.arange(120) % 30))
    assert labels(many.plot.predictions("x", group="g"))[1] == "levels of g (30)"
    with pytest.raises(DataError, match="'g' has 30 levels, and more than 25 ribbons"):
        many.plot.predictions("x", group="g", ribbons=True)
    some = made_up_fit("y ~ x + (1 | g)", table().assign(g=np.arange(120) % 25))
    assert labels(some.plot.predictions("x", group="g"))[1] == "levels of g (25)"
    axis = some.plot.predictions("x", group="g", ribbons=True)
    drawn(axis.figure)
    assert labels(axis)[1:26] == [f"g {k}" for k in range(25)]
    lines = level_lines(pd.DataFrame({"g": np.arange(32)}), ["g"], words={})
    looks = {(line.color, line.dash) for line in lines}
    assert len(looks) == 32


def test_a_line_for_each_category_of_another_predictor():
    order = ["low", "mid", "high"]
    data = table().assign(f=pd.Categorical(table()["f"], order, ordered=True))
    fit = made_up_fit("y ~ x * f + (x | pop)", data)
    axis = fit.plot.predictions("x", by="f")
    drawn(axis.figure)
    assert labels(axis)[1:4] == ["f = low", "f = mid", "f = high"]
    for line, f in zip(axis.get_lines(), order, strict=True):
        wanted = fit.predict(fit.grid("x", n=60, at={"f": f}))
        np.testing.assert_allclose(line.get_ydata(), wanted["estimate"])
    looks = [(line.get_color(), line.get_linestyle()) for line in axis.get_lines()]
    assert len({color for color, _ in looks}) == 3
    assert len({dash for _, dash in looks}) > 1
    # side by side along the categories, in their order
    beside = fit.plot.predictions("f", by="x", interval=True)
    drawn(beside.figure)
    assert [t.get_text() for t in beside.get_xticklabels()] == order


def test_a_line_at_the_mean_of_a_number_and_one_sd_beside_it():
    fit = made_up_fit("y ~ x * z + (x | pop)")
    z = table()["z"]
    wanted = [z.mean() - z.std(ddof=0), z.mean(), z.mean() + z.std(ddof=0)]
    values = np.round(wanted, 1)
    axis = fit.plot.predictions("x", by="z")
    words = ("mean \N{MINUS SIGN} sd", "mean", "mean + sd")
    assert labels(axis)[1:4] == [f"z = {v:g} ({w})" for v, w in zip(values, words, strict=True)]
    for line, v in zip(axis.get_lines(), values, strict=True):
        found = fit.predict(fit.grid("x", n=60, at={"z": v}))
        np.testing.assert_allclose(line.get_ydata(), found["estimate"])
    said = fit.plot.predictions("x", by="z", at={"z": [0, 3]})
    assert labels(said)[1:3] == ["z = 0", "z = 3"]
    # partial residuals stay at their own z: here nothing else is held
    partial = fit.plot.predictions("x", by="z", partial=True)
    found = np.asarray(partial.collections[0].get_offsets())[:, 1]
    own, typical = (fit.predict(target=t, point="mean") for t in ("group", "population"))
    np.testing.assert_allclose(found, table()["y"] - (own["estimate"] - typical["estimate"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "f", "group": "pop"}, "by='f' has one panel and no group="),
        ({"by": "x"}, "by='x' is x itself"),
        ({"by": "pop"}, "'pop' is a grouping factor: group='pop' draws its levels"),
        ({"by": "ff"}, "no predictor 'ff'"),
        ({"at": {"f": ["low", "high"]}}, "by='f' draws a line for each"),
    ],
)
def test_lines_that_cannot_be_drawn(fit, arguments, message):
    with pytest.raises((DataError, UnknownNameError), match=message):
        fit.plot.predictions("x", **arguments)


def test_a_predictor_of_levels_is_a_dot_of_each():
    fit = made_up_fit(
        "y ~ w + (1 | g)",
        table()
        .assign(g=np.arange(120) % 24)
        .assign(w=np.random.default_rng(0).normal(size=24)[np.arange(120) % 24]),
    )
    grid = fit.grid("w", "g")
    assert len(grid) == 24
    axis = fit.plot.predictions("w", group="g")
    wanted = fit.predict(grid, target="group")["estimate"]
    dots = [line for line in axis.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose([d.get_ydata()[0] for d in dots], wanted)
    ribbons = fit.plot.predictions("w", group="g", ribbons=True)
    assert len(ribbons.containers) == 24
    drawn(axis.figure)
    drawn(ribbons.figure)


def test_what_is_held_stands_below_the_axis(fit):
    mode = table()["f"].mode()[0]
    assert fit.plot.predictions("x").get_xlabel() == f"x\nheld: f = {mode}"
    assert fit.plot.predictions("x", at={"f": "low"}).get_xlabel() == "x\nheld: f = low"
    assert fit.plot.predictions("x", by="f").get_xlabel() == "x"
    axes = fit.plot.predictions("x", group="pop", panels=True, at={"f": "low"})
    assert axes[0].figure.get_supxlabel() == "x\nheld: f = low"
    # w has one value in each pop, which its line has
    own = made_up_fit("y ~ x + w + (x | pop)")
    label = own.plot.predictions("x", group="pop").get_xlabel()
    assert "(of a level its own, where it has one)" in " ".join(label.split())
    drawn(axes[0].figure)


def test_a_mean_over_groups_that_explodes_leaves_the_picture():
    x = np.linspace(0, 1, 20)
    common = pd.DataFrame({"x": x, "estimate": 2 + x, "lower": 1 + x, "upper": 3 + x})
    near = common.assign(estimate=2.2 + x)
    axis = draw_predictions(common, x="x", averaged=near)
    assert "marginal: the mean over groups" in labels(axis)
    assert axis.get_ylim()[1] >= 3.2
    axis = draw_predictions(common, x="x", averaged=common.assign(estimate=np.exp(20 * x)))
    assert "marginal: the mean over groups\n(leaves the picture)" in labels(axis)
    assert axis.get_ylim()[1] < 6
    drawn(axis.figure)


def test_data_and_partial_residuals(fit):
    axis = fit.plot.predictions("x")
    shown = axis.collections[0].get_offsets()
    np.testing.assert_allclose(shown, table()[["x", "y"]])
    axis = fit.plot.predictions("x", group="pop", partial=True)
    found = np.asarray(axis.collections[0].get_offsets())[:, 1]
    # with the other column where the grid holds it: the shift of its effect alone
    held = fit.grid("x", n=2)["f"].iloc[0]
    effects = {"high": 0.0} | {
        t[2:-1]: fit.draws.beta[:, k].mean() for k, t in enumerate(fit.design.terms) if k
    }
    shift = effects[held] - table()["f"].map(effects)
    np.testing.assert_allclose(found, table()["y"] + shift)


def test_intervals_of_new_responses_are_wider(fit):
    axis = fit.plot.predictions("x", interval=True, target="marginal")
    assert "new response in a new group, 95 %" in labels(axis)
    assert "marginal, 95 % interval" in labels(axis)
    lower, upper = axis.get_lines()[:2]
    band = axis.collections[-1].get_paths()[0].get_extents()
    assert lower.get_ydata().min() < band.ymin
    assert upper.get_ydata().max() > band.ymax


def test_a_panel_for_each_level(fit):
    axes = fit.plot.predictions("x", group="pop", panels=True)
    assert [a.get_title() for a in axes] == ["P0", "P1", "P2", "P3", "P4"]
    for axis, level in zip(axes, axes, strict=True):
        own = table().query(f"pop == '{level.get_title()}'")
        assert len(axis.collections[0].get_offsets()) == len(own)
    drawn(axes[0].figure)
    with pytest.raises(DataError, match="needs group="):
        fit.plot.predictions("x", panels=True)


def test_categories_stand_side_by_side(fit):
    axis = fit.plot.predictions("f", group="pop")
    drawn(axis.figure)
    assert [t.get_text() for t in axis.get_xticklabels()] == ["high", "low", "mid"]


def test_targets_of_the_band(fit):
    with pytest.raises(UnknownNameError, match="the levels of a factor are group='site'"):
        fit.plot.predictions("x", target="group")


def test_an_axes_is_taken(fit):
    _, ax = plt.subplots()
    assert fit.plot.predictions("x", ax=ax) is ax
    assert fit.plot.residuals(ax=ax) is ax
    assert fit.plot.qq(ax=ax) is ax
    assert fit.plot.ppc(ax=ax) is ax


def test_residuals(fit):
    axis = fit.plot.residuals("x")
    found = np.asarray(axis.collections[0].get_offsets())
    np.testing.assert_allclose(found[:, 0], table()["x"])
    np.testing.assert_allclose(found[:, 1], fit.residuals("quantile")["residual"])
    assert axis.get_ylabel() == "quantile residual"
    assert fit.plot.residuals(kind="pearson").get_ylabel() == "pearson residual"


def test_residuals_along_a_column_that_is_not_in_the_formula(fit):
    other = pd.Series(np.arange(fit.design.n)[::-1] * 1.0, fit.design.index, name="order")
    axis = fit.plot.residuals(other.sample(frac=1, random_state=1))
    assert axis.get_xlabel() == "order"
    found = np.asarray(axis.collections[0].get_offsets())
    np.testing.assert_allclose(found[:, 0], other)
    np.testing.assert_allclose(found[:, 1], fit.residuals("quantile")["residual"])
    with pytest.raises(UnknownNameError, match=r"no column 'order'; it has .*data\['order'\]"):
        fit.plot.residuals("order")
    with pytest.raises(DataError, match="index of the data"):
        fit.plot.residuals(other.iloc[1:])


def test_few_numbers_are_categories_in_their_order():
    found = as_categories(pd.Series([10.0, 2.0, 10.0, 2.5]))
    assert list(found.cat.categories) == ["2", "2.5", "10"]


def test_quantiles_against_the_normal(fit):
    values = np.random.default_rng(0).normal(size=200)
    axis = draw_qq(values, what="z")
    points = axis.get_lines()[-1]
    np.testing.assert_allclose(points.get_ydata(), np.sort(values))
    assert np.corrcoef(points.get_xdata(), points.get_ydata())[0, 1] > 0.98
    assert fit.plot.qq("pop", term="x").get_ylabel() == "pop, x"
    with pytest.raises(UnknownNameError, match="Valid: Intercept, x"):
        fit.plot.qq("pop", term="z")


def test_ppc(fit):
    axis = fit.plot.ppc()
    assert "data" in labels(axis)
    assert isinstance(fit.plot.ppc("max"), Axes)
    counts = np.array([0.0, 3.0, 7.0])
    edges = shared_edges(counts, np.tile(counts, (4, 1)))
    np.testing.assert_allclose(edges % 1, 0.5)


def test_a_number_of_each_level(fit):
    axis = fit.plot.ppc("sd", group="pop")
    drawn(axis.figure)
    found = fit.ppc("sd", "pop").sort_values("observed")
    assert [t.get_text() for t in axis.get_yticklabels()] == found["level"].tolist()
    shown = np.concatenate([line.get_xdata() for line in axis.get_lines()[1:]])
    np.testing.assert_allclose(np.sort(shown), found["observed"])
    assert axis.get_xlabel() == "sd of each level of pop"
    outside = (found["observed"] < found["expected_lower"]) | (
        found["observed"] > found["expected_upper"]
    )
    assert ("data outside" in labels(axis)) == outside.any()


def test_the_figure_of_the_checks(fit):
    axes = fit.plot.check()
    titles = [a.get_title(loc="left").strip() for a in axes]
    assert titles == [
        "residuals along the fit",
        "distribution",
        "each row left out",
        "levels of pop",
        "along x",
        "along f",
        "effects of pop, Intercept",
        "effects of pop, x",
    ]
    verdicts = {a.get_title(loc="right").split(":")[0] for a in axes}
    assert verdicts <= {"good", "look", "fault"}
    drawn(axes[0].figure)


def test_wide_counts_have_a_logarithmic_axis():
    rng = np.random.default_rng(0)
    data = table().assign(y=np.floor(np.exp(rng.normal(0, 3, 120))))
    fit = made_up_fit(FORMULA, data)
    axis = fit.plot.predictions("x", group="pop")
    assert axis.get_yscale() == "symlog"
    assert axis.get_ylabel() == "y (log scale above 1)"
    drawn(axis.figure)
    assert -1 < fit.plot.ppc().get_xlim()[0] <= 0
    made = np.tile(data["y"].to_numpy(), (3, 1))
    edges = shared_edges(data["y"].to_numpy(), made)
    counts = np.histogram(data["y"], edges)[0]
    assert counts.sum() == len(data)
    assert made_up_fit(FORMULA).plot.predictions("x").get_yscale() == "linear"
    # panels share their axis: the highest row of the last is still in the picture
    axes = fit.plot.predictions("x", group="pop", panels=True)
    drawn(axes[0].figure)
    assert all(a.get_ylim()[1] > data["y"].max() for a in axes)
    # partial residuals below zero do not undo the logarithmic axis
    axis = fit.plot.predictions("x", partial=True)
    assert axis.get_yscale() == "symlog"
    assert axis.get_ylim()[0] < np.asarray(axis.collections[0].get_offsets())[:, 1].min()


def test_whole_numbers_are_one_a_bin():
    """Thirty bins over 40 whole numbers would be a comb."""
    axis = family_fit("poisson").plot.ppc("max")
    edges = np.unique([e for p in axis.patches for e in (p.get_x(), p.get_x() + p.get_width())])
    np.testing.assert_allclose(edges % 1, 0.5)
