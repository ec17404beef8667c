"""The sampler: seeds, settings, an interrupt, and invariance of the estimates."""

import os
import signal
import threading

import numpy as np
import pytest
from made_up import table

import hiermodels as hm
from hiermodels.errors import SamplingError, UnknownNameError
from hiermodels.sampling import SamplerSettings

FORMULA = "y ~ x + (x | pop)"


@pytest.fixture(scope="module")
def model():
    return hm.Model(FORMULA, table())


@pytest.fixture(scope="module")
def fit(model):
    return model.fit(random_seed=1, draws=500, progressbar=False)


def test_posterior_has_the_documented_layout(fit):
    posterior = fit.idata["posterior"]
    assert set(posterior.data_vars) == {"Intercept", "beta", "sd_pop", "cor_pop", "b_pop", "sigma"}
    assert posterior["b_pop"].dims == ("chain", "draw", "pop", "pop_term")
    assert posterior["cor_pop"].dims == ("chain", "draw", "pop_term", "pop_term_bis")
    assert list(posterior["term"].to_numpy()) == ["x"]
    assert posterior.sizes["chain"] == 4
    assert posterior.sizes["draw"] == 500
    assert not any(np.isnan(v).any() for v in posterior.data_vars.values())
    np.testing.assert_array_equal(fit.idata["observed_data"]["y"], table()["y"])
    assert fit.idata["sample_stats"]["diverging"].sizes["draw"] == 500


def test_same_seed_same_draws(model, fit):
    again = model.fit(random_seed=1, draws=500, progressbar=False)
    np.testing.assert_array_equal(again.draws.beta, fit.draws.beta)
    other = model.fit(random_seed=2, draws=500, progressbar=False)
    assert (other.draws.beta != fit.draws.beta).all()


def test_settings_are_kept(model):
    found = model.fit(
        random_seed=5, draws=50, tune=100, chains=2, cores=1, target_accept=0.9, progressbar=False
    )
    attributes = found.idata["posterior"].attrs
    assert found.idata["posterior"].sizes["chain"] == 2
    assert attributes["tune"] == 100
    assert attributes["random_seed"] == 5
    assert attributes["target_accept"] == 0.9
    assert attributes["formula"] == FORMULA


def test_a_seed_is_made_and_told(model):
    found = model.fit(draws=10, tune=20, progressbar=False)
    assert f"random_seed {found.idata['posterior'].attrs['random_seed']}" in found.summary().text()


def test_an_interrupt_keeps_the_draws(model):
    """Ctrl-C in the middle of a long run."""
    threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    found = model.fit(random_seed=1, draws=10**6, progressbar=False)
    made = found.idata["posterior"].sizes["draw"]
    assert 10 < made < 10**6
    assert not np.isnan(found.draws.beta).any()
    assert found.idata["sample_stats"].sizes["draw"] == made
    assert "Interrupted: only the draws that were made by then." in found.summary().text()


def test_estimates_do_not_depend_on_unit_and_origin(fit):
    """y on 10 x + 1000: the same posterior of every reported quantity, within 4 MCSE."""
    data = table().assign(x=lambda d: 10 * d["x"] + 1000)
    other = hm.fit(FORMULA, data, random_seed=2, draws=500, progressbar=False)
    pairs = [
        (fit.draws.beta[:, 0], 10 * other.draws.beta[:, 0]),
        (fit.draws.intercept, other.draws.intercept + 1000 * other.draws.beta[:, 0]),
        (fit.draws.sd["pop"][:, 1], 10 * other.draws.sd["pop"][:, 1]),
        (fit.draws.effects["pop"][:, 2, 1], 10 * other.draws.effects["pop"][:, 2, 1]),
        (fit.draws.residual, other.draws.residual),
    ]
    for here, there in pairs:
        least = min(fit.diagnostics.ess_bulk.min(), other.diagnostics.ess_bulk.min())
        allowed = 4 * np.sqrt((here.var() + there.var()) / least)
        assert abs(here.mean() - there.mean()) < allowed
    for name in ("variance_table", "icc"):
        one = getattr(fit, name)().filter(regex="percent|icc$").to_numpy(float)
        two = getattr(other, name)().filter(regex="percent|icc$").to_numpy(float)
        scale = 100 if name == "variance_table" else 1
        # a share lies in [0, 1]: its sd is below 1/2
        assert np.abs(one - two).max() < 4 * scale * 0.5 * np.sqrt(2 / least)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"draws": 0}, "draws=0; it is a whole number from 4"),
        ({"draws": 10.5}, "draws=10.5; it is a whole number from 4"),
        ({"tune": -1}, "tune=-1; it is a whole number from 0"),
        ({"chains": 0}, "chains=0; it is a whole number from 1"),
        ({"cores": 0}, "cores=0; it is at least 1"),
        ({"target_accept": 1.0}, "target_accept=1.0; it is between 0 and 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(SamplingError) as error:
        SamplerSettings(random_seed=1, **settings)
    assert str(error.value) == message


def test_unknown_engine(model):
    with pytest.raises(UnknownNameError) as error:
        model.fit(engine="stan")
    assert str(error.value) == "no engine 'stan'. Valid: auto, pymc."


def test_unknown_family():
    with pytest.raises(UnknownNameError) as error:
        hm.Model("y ~ x", table(), family="gausian")
    assert str(error.value) == "no family 'gausian'. Valid: gaussian. Did you mean 'gaussian'?"
