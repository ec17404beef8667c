"""The energy of the sampler, as ArviZ computes it, in words."""

import arviz_stats
import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.numbers.diagnostics import diagnose


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(8), 10)
    y = rng.normal(size=8)[g] + rng.normal(size=80)
    data = pd.DataFrame({"y": y, "g": [f"g{k}" for k in g]})
    return hm.fit("y ~ 1 + (1 | g)", data, random_seed=1, progressbar=False)


def test_it_is_arvizs(fit):
    wanted = arviz_stats.bfmi(fit.idata)["energy"].to_numpy()
    np.testing.assert_allclose(fit.diagnostics.bfmi, wanted)
    assert fit.diagnostics.good
    assert not any("energy" in line for line in fit.diagnostics.words())


def test_slow_energy_is_told_with_what_to_do(fit):
    tree = fit.idata.copy()
    stats = tree["sample_stats"].to_dataset()
    steps = np.random.default_rng(0).normal(size=stats["energy"].shape)
    walk = stats["energy"].copy(data=np.cumsum(steps, axis=1))  # a random walk: BFMI near zero
    walk[1:] = stats["energy"][1:]
    tree["sample_stats"] = type(tree)(stats.assign(energy=walk))
    found = diagnose(tree, fit.design)
    assert not found.good
    (line,) = [one for one in found.words() if "energy" in one]
    assert line.startswith("The energy of 1 of 4 chains mixes slowly (BFMI 0.0")
    assert "Double tune" in line


def test_thinned_draws_say_nothing_of_it(fit):
    tree = fit.idata.copy()
    tree["posterior"].attrs["draws_made"] = 2 * fit.idata["posterior"].sizes["draw"]
    assert diagnose(tree, fit.design).bfmi.size == 0
