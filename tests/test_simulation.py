"""Does a simulation hold the truth that it says, and does its command make the shipped file?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from hiermodels.simulation import (
    BATS,
    BEES,
    BLOSSOMS,
    DRAGONS,
    PLOTS,
    simulate_bats,
    simulate_bees,
    simulate_blossoms,
    simulate_dragons,
    simulate_plots,
)

ROOT = Path(__file__).parent.parent


SIMULATIONS = {
    "dragons": simulate_dragons,
    "bats": simulate_bats,
    "blossoms": simulate_blossoms,
    "bees": simulate_bees,
    "plots": simulate_plots,
}


@pytest.mark.parametrize("name", SIMULATIONS)
def test_the_shipped_data_are_what_the_command_makes(name: str, tmp_path: Path) -> None:
    made = tmp_path / f"{name}_sim.csv"
    SIMULATIONS[name]().to_csv(made, index=False, lineterminator="\n")
    assert made.read_bytes() == (ROOT / "data" / f"{name}_sim.csv").read_bytes()


@pytest.mark.parametrize("name", SIMULATIONS)
def test_the_seed_decides(name: str) -> None:
    simulate = SIMULATIONS[name]
    pd.testing.assert_frame_equal(simulate(random_seed=3), simulate(random_seed=3))
    assert not simulate(random_seed=3).equals(simulate(random_seed=4))


def test_dragons_layout() -> None:
    dragons = simulate_dragons()
    assert list(dragons) == ["testScore", "bodyLength", "mountainRange", "site"]
    cells = dragons.groupby(["mountainRange", "site"]).size()
    assert len(cells) == 24
    assert set(cells) == {20}
    assert set(dragons["site"]) == {"a", "b", "c"}


def test_dragons_have_the_exact_zeros_and_hundreds_that_the_readme_counts() -> None:
    score = simulate_dragons()["testScore"]
    assert score.between(0, 100).all()
    assert ((score == 0).sum(), (score == 100).sum()) == (7, 11)


def test_complete_pooling_finds_an_effect_of_length_that_sites_remove() -> None:
    dragons = simulate_dragons()
    pooled = smf.ols("testScore ~ bodyLength", dragons).fit()
    within = smf.ols("testScore ~ bodyLength + C(mountainRange) * C(site)", dragons).fit()
    assert pooled.tvalues["bodyLength"] > 8
    assert abs(within.tvalues["bodyLength"]) < 1


def test_the_within_slope_is_zero_on_average_over_seeds() -> None:
    slopes, errors = [], []
    for seed in range(40):
        dragons = simulate_dragons(random_seed=seed)
        fit = smf.ols("testScore ~ bodyLength + C(mountainRange) * C(site)", dragons).fit()
        slopes.append(fit.params["bodyLength"])
        errors.append(fit.bse["bodyLength"])
    # 4 standard errors of the mean of 40 independent estimates
    assert abs(np.mean(slopes)) < 4 * np.sqrt(np.mean(np.square(errors)) / len(slopes))


def test_another_truth_shows_in_the_data() -> None:
    truth = dataclasses.replace(
        DRAGONS, score_within_slope=2.0, score_residual_sd=1e-6, score_site_sd=0.0, score_mean=50
    )
    dragons = simulate_dragons(truth=truth)
    inside = dragons[dragons["testScore"].between(0, 100, inclusive="neither")]
    fit = smf.ols("testScore ~ bodyLength + C(mountainRange)", inside).fit()
    # both columns are rounded to 0.01, which is all that is left of the noise
    assert fit.params["bodyLength"] == pytest.approx(2, abs=1e-3)


def test_the_total_sd_of_the_ranges() -> None:
    assert DRAGONS.score_range_total_sd == pytest.approx((12**2 + 14**2) ** 0.5)


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def test_bats_layout() -> None:
    bats = simulate_bats()
    assert set(bats["sites"]) == set(BATS.sites)
    assert len(BATS.sites) == 15
    assert bats["sites"].value_counts().agg(["min", "max"]).tolist() == [4, 17]
    assert bats["mass"].min() > 0
    assert bats["forest"].between(0, 100).all()


def test_bats_without_sites_have_the_coefficients_of_the_truth() -> None:
    truth = dataclasses.replace(BATS, site_sd=0.0, slope_sd=0.0, residual_sd=1e-6, bats=60)
    fit = smf.ols("mass ~ 0 + species + species:forest", simulate_bats(truth=truth)).fit()
    # masses are rounded to 0.01 g
    assert fit.params.to_numpy() == pytest.approx([*truth.mass, *truth.slope], abs=5e-3)


def test_the_sites_of_bats_have_the_covariance_of_the_truth() -> None:
    truth = dataclasses.replace(
        BATS,
        sites=tuple(f"s{k}" for k in range(400)),
        bats=20_000,
        residual_sd=1e-6,
        slope=(0,) * 3,
    )
    truth = dataclasses.replace(truth, mass=(100.0,) * 3)
    bats = simulate_bats(truth=truth)
    lines = np.array(
        [np.polyfit(rows["forest"], rows["mass"], 1) for _, rows in bats.groupby("sites")]
    )
    slopes, intercepts = lines.T
    # 4 standard errors of an sd and of a correlation of 400 sites
    assert intercepts.std() == pytest.approx(BATS.site_sd, rel=4 / np.sqrt(800))
    assert slopes.std() == pytest.approx(BATS.slope_sd, rel=4 / np.sqrt(800))
    found = np.arctanh(np.corrcoef(intercepts, slopes)[0, 1])
    assert found == pytest.approx(np.arctanh(BATS.correlation), abs=4 / np.sqrt(400))


def test_blossoms_layout() -> None:
    blossoms = simulate_blossoms()
    cells = blossoms.groupby(["pop", "patch"]).size()
    assert (len(blossoms), len(cells), blossoms["pop"].nunique()) == (205, 96, 9)
    assert blossoms.groupby("pop")["patch"].nunique().tolist() == list(BLOSSOMS.patches)
    assert (cells == 1).mean() == pytest.approx(0.5, abs=0.1)


def test_the_widths_of_blossoms_have_the_sds_that_the_truth_gives_without_the_lower() -> None:
    within, among = [], []
    for seed in range(40):
        blossoms = simulate_blossoms(random_seed=seed)
        cells = blossoms.groupby(["pop", "patch"])["UBW"]
        within.append((cells.var() * (cells.size() - 1)).sum() / (cells.size() - 1).sum())
        singles = cells.first().groupby("pop")
        among.append(singles.var().mean())
    population, patch, residual = BLOSSOMS.total_sds
    mean, error = mean_and_error(within)
    assert mean == pytest.approx(residual**2, abs=4 * error)
    # one blossom of each patch: patches and residual together
    mean, error = mean_and_error(among)
    assert mean == pytest.approx(patch**2 + residual**2, abs=4 * error)
    assert population == pytest.approx(np.hypot(0.8 * 1.2, 0.4))


def test_blossoms_have_the_slope_of_the_truth_within_patches() -> None:
    slopes = []
    for seed in range(40):
        blossoms = simulate_blossoms(random_seed=seed)
        cells = blossoms.groupby(["pop", "patch"])[["LBW", "UBW"]]
        inside = blossoms[["LBW", "UBW"]] - cells.transform("mean")
        slopes.append((inside["LBW"] * inside["UBW"]).sum() / (inside["LBW"] ** 2).sum())
    mean, error = mean_and_error(slopes)
    assert mean == pytest.approx(BLOSSOMS.slope, abs=4 * error)


def test_bees_layout() -> None:
    bees = simulate_bees()
    assert (len(bees), bees["SA"].nunique()) == (178, 72)
    assert bees.groupby("SA").size().agg(["min", "max"]).tolist() == [1, 10]
    assert bees["MAP"].min() > 0


def test_bees_without_areas_have_the_variance_and_slope_of_the_truth() -> None:
    truth = dataclasses.replace(BEES, areas=2000, units=20_000, area_sd=0.0)
    bees = simulate_bees(truth=truth)
    mean = np.exp(truth.intercept + truth.slope * bees["MAP"])
    scaled = (bees["Eulaema_nigrita"] / mean).to_numpy()
    assert scaled.mean() == pytest.approx(1, abs=4 * scaled.std() / np.sqrt(len(bees)))
    # E (y - mu)^2 / (mu + mu^2 / size) = 1
    ratio = (bees["Eulaema_nigrita"] - mean) ** 2 / (mean + mean**2 / truth.size)
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(len(bees)))


def test_plots_are_balanced_and_their_mean_squares_estimate_the_truth() -> None:
    found = []
    for seed in range(40):
        plots = simulate_plots(random_seed=seed)
        y = plots["biomass"].to_numpy().reshape(PLOTS.plots, len(PLOTS.years), PLOTS.samples)
        cell, plot, year = y.mean(2), y.mean((1, 2)), y.mean((0, 2))
        rest = cell - plot[:, None] - year + y.mean()
        degrees = (len(plot) - 1) * (len(year) - 1)
        interaction = PLOTS.samples * (rest**2).sum() / degrees
        residual = y.var(2, ddof=1).mean()
        found.append(
            (
                plot.var(ddof=1) - interaction / (PLOTS.samples * len(year)),
                year.var(ddof=1) - interaction / (PLOTS.samples * len(plot)),
                (interaction - residual) / PLOTS.samples,
                residual,
            )
        )
    truth = (PLOTS.plot_sd, PLOTS.year_sd, PLOTS.plot_year_sd, PLOTS.residual_sd)
    for values, sd in zip(zip(*found, strict=True), truth, strict=True):
        mean, error = mean_and_error(list(values))
        assert mean == pytest.approx(sd**2, abs=4 * error)
