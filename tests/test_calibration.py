"""Simulation-based calibration of the collapsed engine, short; the long one is a benchmark."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hiermodels.workflows.calibration import (
    BINS,
    RANKED,
    Calibration,
    calibrate,
    draw_truth,
    structures,
)

MODELS = structures()
#: The probability that a right posterior fails, over all four structures.
ALPHA = 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_ranks_are_uniform(name):
    found = calibrate(MODELS[name], replications=150, random_seed=1)
    assert found.uniform(ALPHA / len(MODELS)), dict(
        zip(found.quantities, found.p_values, strict=True)
    )


def test_a_planted_error_is_found():
    """A response with 1.3 times the noise that its truth says."""

    def wrong(model, rng):
        truth = draw_truth(model, rng)
        sigma = float(truth.values["sigma"])
        noise = rng.normal(0, sigma * np.sqrt(1.3**2 - 1), len(truth.response))
        return replace(truth, response=truth.response + noise)

    found = calibrate(MODELS["(1 | g)"], replications=150, random_seed=1, simulate=wrong)
    at = found.quantities.index("sigma")
    assert found.p_values[at] < 1e-6
    assert not found.uniform(ALPHA / len(MODELS))


def test_the_test_has_its_false_alarm_rate():
    """Of uniform ranks one in twenty fails at 0.05: 400 trials, within 4 binomial errors."""
    rng = np.random.default_rng(0)
    fails = sum(
        not Calibration(quantities=("a",), ranks=rng.integers(0, RANKED + 1, (150, 1))).uniform(
            0.05
        )
        for _ in range(400)
    )
    assert abs(fails - 20) < 4 * np.sqrt(400 * 0.05 * 0.95)
    assert (RANKED + 1) % BINS == 0


def test_truths_are_draws_from_the_priors():
    """Kolmogorov-Smirnov of 2,000 draws of each parameter's prior, alpha 1e-4 each."""
    model, rng = MODELS["(x | g)"], np.random.default_rng(4)
    truths = [draw_truth(model, rng) for _ in range(2000)]
    sd = np.array([t.values["sd_g"][1] for t in truths])
    # per unit of x: |t_3| times the scale that the prior has on the scale of the data
    expected = abs(stats.t(3, scale=0.3).rvs(200_000, random_state=1))
    assert stats.ks_2samp(sd, expected).pvalue > 1e-4
    beta = np.array([t.values["beta"][0] for t in truths])
    assert stats.kstest(beta, stats.norm(0, 0.5).cdf).pvalue > 1e-4
    sigma = np.array([float(t.values["sigma"]) for t in truths])
    assert stats.kstest(sigma, stats.halfnorm(scale=1).cdf).pvalue > 1e-4
