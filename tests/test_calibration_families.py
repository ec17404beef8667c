"""Simulation-based calibration of the engine that reads row by row, short; the long one is a
benchmark."""

from dataclasses import replace

import numpy as np
import pytest

from hiermodels.families import FAMILIES
from hiermodels.workflows.calibration import calibrate, draw_truth, every_family, family_structures

MODELS = family_structures()
EVERY = every_family()
#: The probability that a right posterior fails, over all models of a test.
ALPHA = 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_ranks_are_uniform(name):
    found = calibrate(MODELS[name], replications=40, random_seed=2)
    assert found.uniform(ALPHA / len(MODELS)), dict(
        zip(found.quantities, found.p_values, strict=True)
    )


@pytest.mark.parametrize("name", EVERY)
def test_every_family_in_short(name):
    found = calibrate(EVERY[name], replications=15, random_seed=2)
    assert found.uniform(ALPHA / len(EVERY)), dict(
        zip(found.quantities, found.p_values, strict=True)
    )


def test_a_planted_error_is_found():
    """Shares pulled to their mean, so that they scatter less than their truth says."""

    def wrong(model, rng):
        truth = draw_truth(model, rng)
        middle = truth.response.mean()
        return replace(truth, response=middle + (truth.response - middle) / np.sqrt(2))

    found = calibrate(MODELS["beta (1 | g)"], replications=25, random_seed=2, simulate=wrong)
    at = found.quantities.index("phi")
    assert found.p_values[at] < 1e-6
    assert not found.uniform(ALPHA / len(MODELS))


def test_the_long_calibration_has_every_family():
    assert {model.design.family.name for model in every_family().values()} == set(FAMILIES)
    rng = np.random.default_rng(4)
    for model in every_family().values():
        assert np.isfinite(draw_truth(model, rng).response).all()


@pytest.mark.parametrize("name", MODELS)
def test_responses_are_of_the_family(name):
    """No share of exactly 0 or 1, which beta does not have, and no count beyond exact integers."""
    rng = np.random.default_rng(3)
    model = MODELS[name]
    drawn = np.concatenate([draw_truth(model, rng).response for _ in range(300)])
    if model.design.family.name == "beta":
        assert ((drawn > 0) & (drawn < 1)).all()
    else:
        assert (drawn == np.round(drawn)).all()
        assert 0 < drawn.max() < 2**53
