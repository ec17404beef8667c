"""Pictures of the variance report: what stands where, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from made_up import made_up_fit, table
from matplotlib.patches import Ellipse, Rectangle
from stand_in import fit_of

mpl.use("Agg")

import matplotlib.pyplot as plt

from hiermodels.errors import DataError, UnknownNameError
from hiermodels.numbers.shrinkage import Population, population
from hiermodels.pictures.variance import draw_plane, ellipse


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fit():
    return made_up_fit("y ~ x + (x | pop) + (1 | year)")


def test_stacked_shares_fill_the_bar(fit):
    axis = fit.plot.variance(common=True)
    frame = fit.variance_table(common=True).iloc[:-1]
    whole = [p for p in axis.patches if isinstance(p, Rectangle) and p.get_height() == 0.8]
    scaled = 100 * frame["percent"] / frame["percent"].sum()
    np.testing.assert_allclose([p.get_width() for p in whole], scaled)
    ends = np.cumsum([0, *scaled])
    np.testing.assert_allclose([p.get_x() for p in whole], ends[:-1], atol=1e-9)
    assert frame["percent"].sum() < 99
    assert axis.get_xlabel().endswith("stacked bar: scaled to add up to 100")
    parts = [p for p in axis.patches if isinstance(p, Rectangle) and p.get_height() == 0.5]
    np.testing.assert_allclose([p.get_width() for p in parts], frame["percent"])
    names = [t.get_text() for t in axis.get_yticklabels()]
    assert names == ["all", "common effects", "pop", "pop: x", "year", "residual"]
    lines = axis.collections[0].get_segments()
    np.testing.assert_allclose([s[0][0] for s in lines], frame["percent_lower"])


def test_two_shares_add_up_by_themselves():
    """The medians of a share and of the rest: nothing is scaled, and nothing is said."""
    axis = made_up_fit("y ~ 1 + (1 | pop)").plot.variance()
    assert "scaled" not in axis.get_xlabel()


def test_names_leave_room_for_the_bars():
    """Of 3.9 inches, a phone's 390 points of 0.01, the bars have more than a third."""
    data = table().assign(measurement_campaign_of_the_station=table()["pop"])
    fit = made_up_fit("y ~ x + (x | measurement_campaign_of_the_station) + (1 | year)", data)
    figure, axis = plt.subplots(figsize=(3.9, 2.4), dpi=100, layout="constrained")
    fit.plot.variance(ax=axis)
    figure.draw_without_rendering()
    assert axis.get_window_extent().width > 390 / 3
    words = axis.xaxis.label.get_window_extent()
    assert words.x0 >= 0
    assert words.x1 <= 390


def test_shares_on_the_data_scale_have_their_interaction():
    fit = fit_of("poisson", "y ~ x + (1 | pop) + (1 | year)", sd={"pop": 0.5, "year": 0.4})
    axis = fit.plot.variance(scale="data")
    assert "between factors" in [t.get_text() for t in axis.get_yticklabels()]
    with pytest.raises(UnknownNameError, match="scale='data'"):
        fit.plot.variance()


def test_the_best_is_on_top(fit):
    value, rank = fit.plot.ranks("year")
    frame = fit.ranks("year")
    drawn = [t.get_text() for t in value.get_yticklabels()]
    assert drawn == [str(v) for v in frame["level"]][::-1]
    dots = next(line for line in rank.lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xdata(), frame["rank"][::-1])
    assert rank.get_xlim()[0] < 1 < len(frame) < rank.get_xlim()[1]
    axis = plt.subplots()[1]
    assert fit.plot.ranks("year", ax=axis) is axis
    assert "Rank, 1 is the highest" in axis.get_xlabel()


@pytest.mark.parametrize("n", [2, 5, 16, 95])
def test_ranks_of_few_and_many(n):
    data = table(n=4 * n).assign(site=np.tile(np.arange(n), 4))
    made = made_up_fit("y ~ x + (1 | site)", data)
    _, rank = made.plot.ranks()
    ticks = rank.get_xticks()
    assert all(t == int(t) for t in ticks[(ticks >= 1) & (ticks <= n)])


def test_icc_curve_is_the_table(fit):
    axis = fit.plot.icc("x", points=5)
    frame = fit.icc(at={"x": np.linspace(table()["x"].min(), table()["x"].max(), 5)})
    curves = [line for line in axis.lines if len(line.get_xdata()) == 5]
    for line, name in zip(curves, ("pop", "year"), strict=True):
        part = frame[frame["component"] == name]
        np.testing.assert_allclose(line.get_ydata(), part["icc"])
    assert [t.get_text() for t in axis.get_legend().get_texts()] == ["pop", "year"]
    with pytest.raises(DataError, match="no column 'xx'"):
        fit.plot.icc("xx")


def test_icc_of_categories_is_points():
    fit = made_up_fit("y ~ f + (f | pop)")
    axis = fit.plot.icc("f")
    assert [t.get_text() for t in axis.get_xticklabels()] == ["high", "low", "mid"]
    frame = fit.icc(at={"f": ["high", "low", "mid"]})
    np.testing.assert_allclose(axis.lines[0].get_ydata(), frame["icc"])


def test_icc_of_a_switch_is_two_points():
    data = table().assign(treated=lambda d: (d["x"] > 10).astype(int))
    fit = made_up_fit("y ~ treated + (treated | pop)", data)
    axis = fit.plot.icc("treated")
    assert [t.get_text() for t in axis.get_xticklabels()] == ["0", "1"]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), fit.icc(at={"treated": [0, 1]})["icc"])


def test_ellipse_holds_its_share():
    """The points of a normal distribution inside the drawn contour."""
    distribution = Population(
        mean=np.array([1.0, -2.0]), covariance=np.array([[4.0, -1.2], [-1.2, 1.0]])
    )
    points = np.random.default_rng(0).multivariate_normal(
        distribution.mean, distribution.covariance, 20_000
    )
    for share in (0.5, 0.95):
        patch = ellipse(distribution, share, linestyle="-")
        inside = patch.get_path().contains_points(
            patch.get_patch_transform().inverted().transform(points)
        )
        # the standard error is 0.0035
        assert inside.mean() == pytest.approx(share, abs=0.015)


def test_plane_has_arrows_from_raw_to_partial(fit):
    axis = fit.plot.plane("pop")
    frame = fit.shrinkage("pop")
    raw, estimate = (
        frame.pivot(index="level", columns="term", values=c) for c in ("raw", "estimate")
    )
    arrows = next(c for c in axis.collections if hasattr(c, "U"))
    np.testing.assert_allclose(arrows.get_offsets()[:, 0], raw["Intercept"])
    np.testing.assert_allclose(arrows.get_offsets()[:, 1] + arrows.V, estimate["x"])
    assert sum(isinstance(p, Ellipse) for p in axis.patches) == 2
    assert axis.get_ylabel() == "Coefficient of x"


def test_plane_needs_two_terms(fit):
    with pytest.raises(
        UnknownNameError, match="a plane has two terms of year, which has Intercept"
    ):
        fit.plot.plane("year")
    with pytest.raises(UnknownNameError, match="a plane has two terms of pop"):
        fit.plot.plane("pop", terms=("x", "x"))


def test_plane_tells_what_it_leaves_out(fit):
    frame = fit.shrinkage("pop")
    frame.loc[frame["level"] == "P0", "raw"] = np.nan
    frame.loc[(frame["level"] == "P1") & (frame["term"] == "x"), "raw"] = 1e4
    part = population(fit.design, fit.draws, fit.design.block("pop"))
    axis = draw_plane(frame, part, terms=("Intercept", "x"))
    assert "1 raw outside the picture\n1 without a raw estimate" in axis.get_xlabel()
    assert axis.get_ylim()[1] < 1e3


def test_population_is_the_level_distribution(fit):
    """A made-up level: common coefficients at the mean of x, and Sigma there."""
    part = population(fit.design, fit.draws, fit.design.block("pop"))
    draws, center = fit.draws, table()["x"].mean()
    assert part.mean[1] == pytest.approx(draws.beta[:, 0].mean())
    assert part.mean[0] == pytest.approx((draws.intercept + center * draws.beta[:, 0]).mean())
    sigma = draws.covariance("pop")
    at = np.array([[1.0, center], [0.0, 1.0]])
    moved = at @ sigma @ at.T
    assert np.sqrt(part.covariance[0, 0]) == pytest.approx(np.median(np.sqrt(moved[:, 0, 0])))
    assert np.sqrt(part.covariance[1, 1]) == pytest.approx(np.median(np.sqrt(moved[:, 1, 1])))
