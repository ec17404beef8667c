"""Is the picture that a class plays with the exact posterior, and does each slider redraw it?"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm, t

import hiermodels as hm
from hiermodels.errors import DataError, NotAvailableError
from hiermodels.teaching import play
from hiermodels.teaching.balanced import NU, RANGES, Settings, make_picture

mpl.use("Agg")

CORNERS = [
    Settings(),
    Settings(n_groups=3, group_size=1, group_sd=0, prior_scale=5),
    Settings(n_groups=40, group_size=2, prior_scale=0.1),
    Settings(n_groups=12, group_size=50, group_sd=3),
]


def test_the_package_has_it() -> None:
    assert hm.play is play


@pytest.mark.parametrize("settings", CORNERS)
def test_the_posterior_of_the_sd_is_that_of_an_integral(settings: Settings) -> None:
    """The marginal of the group means by their covariance, mu with a flat prior integrated out."""
    picture = make_picture(settings)
    raw, n, j = picture.raw, settings.group_size, settings.n_groups

    def density(sd: float) -> float:
        scatter = np.linalg.qr(np.column_stack([np.ones(j), np.eye(j)[:, 1:]]))[0][:, 1:].T @ raw
        prior = 2 * t.pdf(sd / settings.prior_scale, NU) / settings.prior_scale
        return float(norm.pdf(scatter, scale=np.sqrt(sd**2 + 1 / n)).prod() * prior)

    middle = picture.sd_points[1]
    ends = [0, middle / 4, middle, 2 * middle, 10 * middle, 1000]
    pieces = [quad(density, a, b, epsabs=0)[0] for a, b in pairwise(ends)]
    below = sum(pieces[:2]) / sum(pieces)
    # a grid of 1,000 points
    assert below == pytest.approx(0.5, abs=2e-3)
    at = np.searchsorted(picture.sd, middle)
    found = picture.posterior[at]
    assert found == pytest.approx(density(picture.sd[at]) / sum(pieces), rel=5e-3)
    np.testing.assert_allclose(
        picture.prior, 2 * t.pdf(picture.sd / settings.prior_scale, NU) / settings.prior_scale
    )


@pytest.fixture(scope="module")
def fit() -> hm.Fit:
    """The same model by the sampler: group means with known standard errors."""
    picture = make_picture(Settings())
    data = pd.DataFrame({"m": picture.raw, "g": [f"g{k}" for k in range(8)], "se": 5**-0.5})
    return hm.fit(
        "m ~ 1 + (1 | g)",
        data,
        se="se",
        priors={
            "Intercept": hm.Prior("Normal", mu=0, sigma=1000),
            "sd_g": hm.Prior("HalfStudentT", nu=3, sigma=1),
        },
        draws=4000,
        random_seed=1,
        progressbar=False,
    )


def test_it_is_the_posterior_of_the_sampler(fit: hm.Fit) -> None:
    picture = make_picture(Settings())
    sd = fit.idata["posterior"]["sd_g"].to_numpy().ravel()
    # 16,000 draws, some 5,000 of them effective: 4 errors of a median and of tail quantiles
    shares = [(sd < point).mean() for point in picture.sd_points]
    errors = 4 * np.sqrt(np.array([0.025, 0.5, 0.975]) * np.array([0.975, 0.5, 0.025]) / 5000)
    assert (np.abs(np.array(shares) - [0.025, 0.5, 0.975]) < errors).all()
    coef = fit.coef("g", point="mean")
    limit = 4 * coef["sd"] / np.sqrt(5000)
    assert (np.abs(coef["estimate"] - picture.partial) < limit).all()
    # quantiles at 2.5 % have 2.7 times the error of a mean
    assert (np.abs(coef["lower"] - picture.lower) < 3 * limit).all()
    assert (np.abs(coef["upper"] - picture.upper) < 3 * limit).all()
    shrinkage = fit.shrinkage("g", point="mean")["shrinkage"]
    np.testing.assert_allclose(shrinkage, 1 - picture.reliability, atol=0.02)


def test_shrinkage_grows_as_groups_get_smaller_and_more_alike() -> None:
    start = Settings(group_sd=1.0, n_groups=30)
    base = make_picture(start).reliability
    assert make_picture(replace(start, group_size=20)).reliability > base
    assert make_picture(replace(start, group_sd=0.1)).reliability < base
    assert make_picture(replace(start, prior_scale=0.05)).reliability < base


def test_a_slider_moves_the_picture_and_does_not_make_another() -> None:
    few, many = make_picture(Settings(n_groups=5)), make_picture(Settings(n_groups=9))
    np.testing.assert_array_equal(few.raw, many.raw[:5])
    wide = make_picture(Settings(group_sd=1.4))
    np.testing.assert_allclose(wide.truth, 2 * make_picture(Settings(group_sd=0.7)).truth)


def test_values_out_of_range_say_the_range() -> None:
    with pytest.raises(DataError, match="n_groups=2: it is from 3 to 40"):
        Settings(n_groups=2)


@pytest.mark.parametrize("settings", CORNERS)
def test_the_axes(settings: Settings) -> None:
    from matplotlib import pyplot as plt

    left, right = play.plot_shrinkage(settings)
    picture = make_picture(settings)
    low, high = left.get_ylim()
    shown = np.concatenate([picture.raw, picture.lower, picture.upper, picture.truth])
    assert low < shown.min()
    assert high > shown.max()
    assert right.get_xlim()[1] > settings.group_sd
    assert f"{picture.sd_points[1]:.2f}" in right.get_title()
    assert left.get_ylabel()
    assert right.get_xlabel()
    plt.close("all")


def test_without_ipywidgets_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(NotAvailableError, match="pip install ipywidgets"):
        play.shrinkage()


@pytest.fixture
def player() -> play.ShrinkagePlay:
    pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
    return play.shrinkage(group_sd=1.5)


def test_the_sliders_have_the_settings_and_their_ranges(player: play.ShrinkagePlay) -> None:
    assert set(player.sliders) == set(RANGES)
    for name, slider in player.sliders.items():
        assert slider.value == getattr(player.settings, name)
        assert (slider.min, slider.max) == (RANGES[name].low, RANGES[name].high)


@pytest.mark.parametrize(
    ("name", "value"),
    [("prior_scale", 0.2), ("group_size", 20), ("group_sd", 0.3), ("n_groups", 17)],
)
def test_each_slider_redraws(player: play.ShrinkagePlay, name: str, value: float) -> None:
    before = bytes(player.image.value)
    assert before.startswith(b"\x89PNG")
    player.sliders[name].value = value
    assert getattr(player.settings, name) == value
    assert player.picture.settings == player.settings
    after = bytes(player.image.value)
    assert after.startswith(b"\x89PNG")
    assert after != before


def test_other_data(player: play.ShrinkagePlay) -> None:
    before = player.picture.raw
    player.again.click()
    assert player.settings.random_seed == 2
    assert not np.array_equal(player.picture.raw, before)


def test_moves_in_quick_succession_redraw_once(player: play.ShrinkagePlay) -> None:
    drawn = []
    player._later.function = lambda: drawn.append(player.settings.group_size)
    player._later.seconds = 0.05

    async def drag() -> None:
        for size in (6, 7, 8, 9):
            player.sliders["group_size"].value = size
        assert drawn == []
        await asyncio.sleep(0.5)

    asyncio.run(drag())
    assert drawn == [9]


def test_a_notebook_shows_the_widget(
    player: play.ShrinkagePlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    player._ipython_display_()
    assert shown == [player.widget]
    controls, image = player.widget.children
    assert image is player.image
    assert list(controls.children) == [*player.sliders.values(), player.again]
