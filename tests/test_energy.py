"""The energy of the sampler, as ArviZ computes it, in words."""

import re

import arviz_stats
import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.errors import NotAvailableError
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


def test_one_chain_is_told_what_its_rhat_is_of(fit):
    """Otherwise the figures are those of the chain; R-hat is tested in `test_convergence`."""
    found = diagnose(fit.idata.isel(chain=[0]), fit.design)
    assert found.chains == 1
    assert found.largest_rhat == pytest.approx(found.rhat.max())
    assert 1 < found.largest_rhat < 1.05
    assert found.words()[0].startswith(f"largest R-hat {found.rhat.max():.3f} (")
    assert any(line.startswith("One chain: its R-hat compares its two") for line in found.words())
    assert not found.good


def test_a_chain_whose_halves_differ(fit):
    tree = fit.idata.isel(chain=[0])
    drift = tree["posterior"]["sigma"] + np.linspace(0, 3, tree["posterior"].sizes["draw"])
    tree["posterior"] = type(tree)(tree["posterior"].to_dataset().assign(sigma=drift))
    words = diagnose(tree, fit.design).words()
    assert "(sigma)" in words[0]
    told = [line for line in words if line.startswith("The halves of the chain do not agree")]
    assert len(told) == 1


def test_too_few_draws_for_figures(fit):
    """As few as no fit has; those of another program may be."""
    tree = fit.idata.isel(draw=slice(0, 3))
    few = hm.results.Fit(design=fit.design, priors=fit.priors, idata=tree)
    assert not few.diagnostics.good
    assert few.diagnostics.words() == [
        "R-hat –, ESS –, divergences 0",
        "Too few draws to say whether the chains agree: sample again.",
    ]
    assert re.search(r"^Intercept .* –  +–$", few.summary().text(), flags=re.MULTILINE)
    assert np.isnan(few.glance()["rhat_max"][0])


@pytest.mark.parametrize("report", ["loo", "logo", "influence", "sensitivity"])
def test_too_few_draws_to_leave_something_out(fit, report):
    few = hm.results.Fit(
        design=fit.design, priors=fit.priors, idata=fit.idata.isel(draw=slice(0, 6))
    )
    with pytest.raises(NotAvailableError, match="need at least 25 draws, and these are 24"):
        getattr(few, report)()
    assert few.check().left_out is None  # the other checks are there


def test_thinned_draws_say_nothing_of_it(fit):
    tree = fit.idata.copy()
    tree["posterior"].attrs["draws_made"] = 2 * fit.idata["posterior"].sizes["draw"]
    assert diagnose(tree, fit.design).bfmi.size == 0
