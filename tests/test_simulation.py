"""Does a simulation hold the truth that it says, and does its command make the shipped file?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from hiermodels.simulation import DRAGONS, simulate_dragons

ROOT = Path(__file__).parent.parent


def test_the_shipped_dragons_are_what_the_command_makes(tmp_path: Path) -> None:
    made = tmp_path / "dragons_sim.csv"
    simulate_dragons().to_csv(made, index=False, lineterminator="\n")
    assert made.read_bytes() == (ROOT / "data" / "dragons_sim.csv").read_bytes()


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


def test_the_same_seed_makes_the_same_dragons() -> None:
    pd.testing.assert_frame_equal(simulate_dragons(random_seed=3), simulate_dragons(random_seed=3))
    assert not simulate_dragons(random_seed=3).equals(simulate_dragons(random_seed=4))


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
