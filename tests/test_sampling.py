"""The sampler: seeds, settings, an interrupt, and invariance of the estimates."""

import os
import signal
import threading
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_up import table

import hiermodels as hm
from hiermodels import sampling
from hiermodels.engines import choose_engine
from hiermodels.errors import NotAvailableError, SamplingError, UnknownNameError
from hiermodels.numbers.effects import group_coefficients
from hiermodels.sampling import KEEPS

FORMULA = "y ~ x + (x | pop)"


@pytest.fixture(scope="module")
def model():
    return hm.Model(FORMULA, table())


@pytest.fixture(scope="module", params=["collapsed", "noncentred", "pymc"])
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def sample(model, engine):
    """Fit with one engine, the PyMC model compiled once."""
    return partial(model.fit, engine=engine, progressbar=False)


@pytest.fixture(scope="module")
def fit(sample):
    return sample(random_seed=1, draws=500)


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


def test_same_seed_same_draws(sample, fit):
    again = sample(random_seed=1, draws=500)
    np.testing.assert_array_equal(again.draws.beta, fit.draws.beta)
    other = sample(random_seed=2, draws=500)
    assert (other.draws.beta != fit.draws.beta).all()


def test_settings_are_kept(sample, engine):
    found = sample(random_seed=5, draws=50, tune=100, chains=2, cores=1, target_accept=0.9)
    attributes = found.idata["posterior"].attrs
    assert found.idata["posterior"].sizes["chain"] == 2
    assert attributes["tune"] == 100
    assert attributes["random_seed"] == 5
    assert attributes["target_accept"] == 0.9
    assert attributes["formula"] == FORMULA
    assert attributes["engine"] == engine


def test_a_seed_is_made_and_told(sample):
    found = sample(draws=10, tune=20)
    assert f"random_seed {found.idata['posterior'].attrs['random_seed']}" in found.summary().text()


@pytest.mark.usefixtures("fit")  # so that all is imported and compiled when the signal comes
def test_an_interrupt_keeps_the_draws(sample):
    """Ctrl-C in the middle of a long run."""
    threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    found = sample(random_seed=1, draws=10**6)
    made = found.idata["posterior"].sizes["draw"]
    assert 10 < made < 10**6
    assert not np.isnan(found.draws.beta).any()
    assert found.idata["sample_stats"].sizes["draw"] == made
    assert "Interrupted: only the draws that were made by then." in found.summary().text()


def test_estimates_do_not_depend_on_unit_and_origin(fit, engine):
    """y on 10 x + 1000: the same posterior of every reported quantity, within 4 MCSE."""
    data = table().assign(x=lambda d: 10 * d["x"] + 1000)
    other = hm.fit(FORMULA, data, random_seed=2, draws=500, engine=engine, progressbar=False)
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
        # the total, all of itself, has no interval
        assert np.nanmax(np.abs(one - two)) < 4 * scale * 0.5 * np.sqrt(2 / least)


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
def test_bad_settings(model, settings, message):
    with pytest.raises(SamplingError) as error:
        model.fit(random_seed=1, progressbar=False, **settings)
    assert str(error.value) == message


def test_unknown_engine(model):
    with pytest.raises(UnknownNameError) as error:
        model.fit(engine="stan")
    assert str(error.value) == "no engine 'stan'. Valid: auto, collapsed, noncentred, pymc."


def test_unknown_family():
    with pytest.raises(UnknownNameError) as error:
        hm.Model("y ~ x", table(), family="gausian")
    assert str(error.value).startswith("no family 'gausian'. Valid: bernoulli, beta, ")
    assert str(error.value).endswith("Did you mean 'gaussian'?")


def test_the_engine_is_chosen_and_told():
    found = hm.Model(FORMULA, table())
    choice = choose_engine(found.design, found.priors, "auto")
    assert (choice.name, choice.reason) == (
        "collapsed",
        "normal priors on the coefficients, estimated 0.1 s",
    )


@pytest.mark.parametrize(
    ("rows", "one", "other", "engine"),
    [
        (73_000, 3_000, 1_100, "collapsed"),
        (20_000, 8_000, 6_000, "noncentred"),
        (40_000, 20_000, 18_000, "pymc"),
    ],
)
def test_the_engine_of_crossed_factors_is_chosen_by_cost(rows, one, other, engine):
    """A dense factorisation grows as the cube of the smaller factor, a gradient as the rows."""
    rng = np.random.default_rng(0)
    data = {
        "y": rng.normal(size=rows),
        "a": np.arange(rows) % one,
        "b": rng.permutation(np.arange(rows) % other),
    }
    found = hm.Model("y ~ 1 + (1 | a) + (1 | b)", data)
    assert choose_engine(found.design, found.priors, "auto").name == engine


@pytest.mark.parametrize(
    ("priors", "engine", "reason"),
    [
        (
            {"x": hm.Prior("StudentT", nu=3, mu=0, sigma=1)},
            "noncentred",
            "the prior of 'x' is StudentT, not Normal",
        ),
        (
            {"sd_pop": hm.Prior("TruncatedNormal", mu=1, sigma=1, lower=0, upper=2)},
            "pymc",
            "the prior of 'sd_pop[Intercept]', TruncatedNormal(mu=1, sigma=1, lower=0, upper=2), "
            "is not a compiled one",
        ),
    ],
)
def test_a_prior_that_cannot_be_integrated_out(priors, engine, reason):
    found = hm.Model("y ~ x + (1 | pop)", table(), priors=priors)
    choice = choose_engine(found.design, found.priors, "auto")
    assert (choice.name, choice.reason) == (engine, f"not collapsed, because {reason}")
    with pytest.raises(NotAvailableError) as error:
        found.fit(engine="collapsed")
    assert str(error.value) == (
        f"engine='collapsed' cannot sample this model: {reason}. engine={engine!r} can."
    )


@pytest.fixture(scope="module", params=["y ~ x + z + (x | pop)", "y ~ x + (1 | pop/patch)"])
def both(request):
    """The same posterior, with all draws of the group effects and with their moments."""
    found = hm.Model(request.param, table())
    return tuple(found.fit(random_seed=1, keep=keep, progressbar=False) for keep in KEEPS[1:])


@pytest.mark.parametrize("report", ["ranef", "coef"])
def test_moments_give_the_report_of_the_draws(both, report):
    """Means, sds and intervals within 5 Monte Carlo errors of 2,000 effective draws.

    The variance of a variance is that of a normal, times 3 for the heavy tails of five groups; the
    end of an interval from 1,000 draws has the binomial error of its probability.
    """
    draws, moments = (getattr(fit, report)(point="mean") for fit in both)
    assert (abs(draws["estimate"] - moments["estimate"]) < 5 * draws["sd"] / 2000**0.5).all()
    assert (abs(draws["sd"] / moments["sd"] - 1) < 5 * (3 / (2 * 2000)) ** 0.5).all()
    values = level_draws(both[0], report)
    error = 5 * (0.025 * 0.975 * (1 / 1000 + 1 / 2000)) ** 0.5
    for end, sign in (("lower", -1), ("upper", 1)):
        beyond = (sign * values > sign * moments[end].to_numpy()).mean(axis=0)
        assert (abs(beyond - 0.025) < error).all()
    assert moments.note == (
        "Means and sds are exact; medians and intervals have the shape of 1000 draws."
    )
    assert draws.note == ""


def level_draws(fit, report):
    """Draws of a report's rows, (S, rows)."""
    design, draws = fit.design, fit.draws
    each = [
        draws.effects[block.name]
        if report == "ranef"
        else group_coefficients(design, draws, block).values
        for block in design.blocks
    ]
    return np.hstack([values.reshape(draws.n, -1) for values in each])


def test_every_report_works_from_moments(both):
    draws, moments = both
    assert "b_pop" not in moments.idata["posterior"]
    assert moments.idata["effects"]["b_pop"].dtype == np.float32
    for name in ("fixef", "varcorr", "variance_table", "icc"):
        one, two = getattr(draws, name)(), getattr(moments, name)()
        assert list(one.columns) == list(two.columns)
    for factor in draws.design.factors:
        np.testing.assert_allclose(
            draws.shrinkage(factor)["shrinkage"], moments.shrinkage(factor)["shrinkage"]
        )
        for picture in (moments.plot.forest(factor), moments.plot.shrinkage(factor)):
            plt.close(np.atleast_1d(picture)[0].figure)
    assert moments.summary().text().startswith(moments.design.formula.text)
    assert abs(draws.draws.intercept - moments.draws.intercept).max() > 0  # other noise


def test_draws_that_take_too_much_memory_are_not_kept(monkeypatch):
    monkeypatch.setattr(sampling, "MEMORY", 10_000)
    monkeypatch.setattr(sampling, "MOST_SINGLE", 10_000)
    fit = hm.fit(FORMULA, table(), random_seed=1, progressbar=False)
    effects = fit.idata["effects"]["b_pop"]
    assert effects.nbytes <= 10_000
    assert effects.sizes["draw"] > 1
    assert hm.fit(FORMULA, table(), keep="draws", progressbar=False).draws.kept is None


def test_draws_that_take_much_memory_are_single(monkeypatch):
    """The same draws, to the precision of their numbers."""
    double = hm.fit(FORMULA, table(), random_seed=1, progressbar=False).idata["posterior"]
    monkeypatch.setattr(sampling, "MEMORY", 10_000)
    single = hm.fit(FORMULA, table(), random_seed=1, progressbar=False).idata["posterior"]
    assert double["b_pop"].dtype == np.float64
    assert single["b_pop"].dtype == np.float32
    np.testing.assert_allclose(single["b_pop"], double["b_pop"], rtol=1e-6)
    np.testing.assert_array_equal(single["beta"], double["beta"])


def test_every_engine_keeps_what_is_asked_for(sample):
    found = sample(random_seed=1, draws=500, keep="moments")
    assert "b_pop" not in found.idata["posterior"]
    assert found.idata["effects"]["b_pop"].sizes["draw"] == 250
    assert found.draws.moments["pop"]["effects"].exact == (
        found.idata["posterior"].attrs["engine"] == "collapsed"
    )
    assert "Means and sds are" in found.ranef("pop").note


@pytest.mark.parametrize("formula", ["y ~ x + z + (x | pop)", "y ~ x + (1 | pop/patch)"])
def test_moments_of_an_engine_that_samples_effects_are_those_of_its_draws(formula):
    model = hm.Model(formula, table())
    draws, moments = (
        model.fit(engine="noncentred", random_seed=1, keep=keep, progressbar=False)
        for keep in KEEPS[1:]
    )
    assert moments.draws.with_effects.n == 1000
    assert moments.idata["effects"]["b_pop"].dtype == np.float32
    for report in ("ranef", "coef"):
        one, two = (getattr(fit, report)(point="mean") for fit in (draws, moments))
        for column in ("estimate", "sd"):
            # the draws behind them are of single precision
            np.testing.assert_allclose(two[column], one[column], rtol=1e-7, atol=1e-7)
        assert two.note == (
            "Means and sds are those of all draws; medians and intervals have the shape of "
            "1000 draws."
        )
    for factor in model.design.factors:
        for picture in (moments.plot.forest(factor), moments.plot.shrinkage(factor)):
            plt.close(np.atleast_1d(picture)[0].figure)


def test_unknown_keep(model):
    with pytest.raises(UnknownNameError) as error:
        model.fit(keep="all")
    assert str(error.value) == "no keep 'all'. Valid: auto, draws, moments."


def test_the_moments_of_every_level_are_exact_beside_all_draws():
    """Of the collapsed engine always: the means of the draws, within 5 Monte Carlo errors."""
    data = hm.load_dataset("sites")
    found = hm.fit("y ~ x + (x | site)", data, random_seed=1, keep="draws", progressbar=False)
    moments = found.idata["moments"].to_dataset()["effects_site"]
    effects = found.idata["posterior"]["b_site"]
    mean, sd = effects.mean(("chain", "draw")), effects.std(("chain", "draw"))
    errors = 5 * sd / np.sqrt(found.diagnostics.ess_bulk.min())
    assert (np.abs(moments.sel(moment="mean") - mean) <= errors).all()
    # an sd from that many draws, and 200 of the variances in the exact one
    np.testing.assert_allclose(moments.sel(moment="sd"), sd, rtol=0.15)
