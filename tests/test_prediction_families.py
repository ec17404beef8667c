"""Predictions and residuals of every family, from a made-up posterior."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up_families import family_fit, with_response
from scipy import stats
from scipy.special import expit

from hiermodels.errors import DataError, NotAvailableError
from hiermodels.families import FAMILIES
from hiermodels.numbers.prediction import linear_predictors, predict
from hiermodels.numbers.predictive import cdf, given, log_density

WITH_ZI = {"zi": "~ x + (1 | g)"}
CASES = [
    *((name, {}) for name in FAMILIES),
    ("zi_negbinomial", WITH_ZI),
    ("hurdle_poisson", WITH_ZI),
    ("zoi_beta", WITH_ZI),
    ("gaussian", {"dispersion": "~ x + (1 | g)"}),
    ("negbinomial", {"dispersion": "~ f"}),
]
IDS = [f"{name}-{'-'.join(more)}" for name, more in CASES]


def flat(array):
    return array.to_numpy().reshape(-1, array.sizes["row"])


@pytest.mark.parametrize(("name", "more"), CASES, ids=IDS)
def test_new_responses_have_the_mean_that_is_predicted(name, more):
    """E[y] of a draw against the average of many responses of that draw, known groups."""
    fit = family_fit(name, draws=3, **more)
    row = fit.design.rows.frame.iloc[[4]]
    many = pd.concat([row] * 20_000, ignore_index=True)
    mean = flat(fit.predict(row, target="group", draws=True))[:, 0]
    made = flat(fit.predict(many, target="group", kind="response", draws=True))
    if fit.design.family.trials:
        made = made / row["total"].item()
    # five standard errors of the average; student's fifth moment is finite
    np.testing.assert_array_less(
        np.abs(made.mean(axis=1) - mean), 5 * made.std(axis=1) / np.sqrt(20_000) + 1e-9
    )


@pytest.mark.parametrize(("name", "more"), CASES, ids=IDS)
def test_the_marginal_mean_is_that_of_new_groups(name, more):
    """Averaged in each draw over many new levels drawn from it."""
    fit = family_fit(name, draws=3, **more)
    n = 4000
    row = fit.design.rows.frame.iloc[[4]]
    many = pd.concat([row] * n, ignore_index=True).assign(g=[f"new{j}" for j in range(n)])
    made = flat(fit.predict(many, target="new_group", draws=True))
    marginal = flat(fit.predict(row, target="marginal", draws=True))[:, 0]
    np.testing.assert_array_less(
        np.abs(made.mean(axis=1) - marginal), 5 * made.std(axis=1) / np.sqrt(n) + 1e-9
    )
    response = flat(fit.predict(many, target="marginal", kind="response", draws=True))
    if fit.design.family.trials:
        response = response / row["total"].item()
    np.testing.assert_array_less(
        np.abs(response.mean(axis=1) - marginal), 5 * response.std(axis=1) / np.sqrt(n) + 1e-9
    )


@pytest.mark.parametrize(("name", "more"), CASES, ids=IDS)
def test_quantile_residuals_of_the_draw_that_made_the_data_are_uniform(name, more):
    """And those of new groups, one row of each level."""
    pit, new = [], []
    for seed in range(6):
        fit = family_fit(name, seed=seed, draws=60, spread=0.0, **more)
        pit.append(fit.residuals("quantile")["pit"])
        new.append(fit.residuals("quantile", new_group=True)["pit"].iloc[:24])
    assert stats.kstest(np.concatenate(pit), "uniform").pvalue > 0.001
    assert stats.kstest(np.concatenate(new), "uniform").pvalue > 0.001


@pytest.mark.parametrize(("name", "more"), CASES, ids=IDS)
def test_few_alarms_at_the_truth(name, more):
    fit = family_fit(name, seed=3, draws=200, spread=0.0, **more)
    found = [c for c in fit.check() if c.name != "group effects"]
    assert all(np.isfinite([c.observed, c.expected, c.p]).all() for c in found)
    # a dozen checks of one data set at a level of 0.005 each
    assert sum(c.verdict == "fault" for c in found) <= 1
    assert np.isfinite(fit.residuals("pearson")["residual"]).all() or name == "student"


def test_zero_inflation_by_hand():
    fit = family_fit("zi_poisson", zi="~ x + (1 | g)")
    post = fit.idata["posterior"].to_dataset().isel(chain=0)
    row = fit.design.rows.frame.iloc[[7]]
    x, g = row["x"].item(), row["g"].item()
    eta = post["Intercept"] + post["beta"].sel(term="x") * x
    eta = eta + (post["b_g"].sel(g=g) * np.array([1, x])).sum("g_term")
    zi = post["zi_Intercept"] + post["zi_beta"].sel(zi_term="x") * x
    zi = zi + post["zi_b_g"].sel(g=g, zi_g_term="Intercept")
    wanted = (1 - expit(zi.to_numpy())) * np.exp(eta.to_numpy())
    np.testing.assert_allclose(flat(fit.predict(row, target="group", draws=True))[:, 0], wanted)


def test_successes_are_predicted_as_shares_and_drawn_as_counts():
    fit = family_fit("binomial")
    row = fit.design.rows.frame.iloc[:5]
    found = fit.predict(row.drop(columns="total"), target="group")
    assert found["estimate"].between(0, 1).all()
    assert "mean share of successes" in found.title
    own = fit.predict(target="group")["estimate"].iloc[:5]
    np.testing.assert_allclose(found["estimate"], own)
    made = flat(fit.predict(row, target="group", kind="response", draws=True))
    assert (made <= row["total"].to_numpy()).all()
    assert (made == np.round(made)).all()
    with pytest.raises(DataError, match="no column 'total'"):
        fit.predict(row.drop(columns="total"), target="group", kind="response")


def test_what_a_dispersion_formula_needs_is_asked_for():
    fit = family_fit("gaussian", dispersion="~ f")
    row = fit.design.rows.frame.iloc[:5].drop(columns="f")
    assert len(fit.predict(row, target="group", kind="link")) == 5
    with pytest.raises(DataError, match=r"no column 'f'. '~ f' needs here: f"):
        fit.predict(row, target="group", kind="response")


def test_the_difference_of_targets_is_told():
    fit = family_fit("poisson")
    found = fit.predict(fit.design.rows.frame.head())
    assert "not the mean over groups: that is target='marginal'" in found.note
    marginal = fit.predict(fit.design.rows.frame.head(), target="marginal")
    assert (marginal["estimate"] > found["estimate"]).all()
    assert "population" not in marginal.note
    assert "not the mean over groups" not in marginal.note


def overdispersed(rng, y):
    return rng.poisson(y * rng.gamma(1, 1, len(y)))


def more_zeros(rng, y):
    return np.where(rng.uniform(size=len(y)) < 0.3, 0, y)


@pytest.mark.parametrize(("change", "name"), [(overdispersed, "dispersion"), (more_zeros, "zeros")])
def test_planted_faults_of_counts_are_found(change, name):
    fit = family_fit("poisson", seed=5, spread=0.0, draws=400)
    wrong = with_response(fit, change(np.random.default_rng(1), fit.design.response))
    assert wrong.check().of(name).verdict == "fault"


@pytest.mark.parametrize(("name", "more"), CASES, ids=IDS)
def test_log_densities_are_those_of_the_distribution_function(name, more):
    """The step of P(Y <= y) where y has a probability of its own, else its derivative."""
    fit = family_fit(name, draws=4, **more)
    y = fit.design.response
    ask = predict(fit.design, fit.draws, target="group", kind="mean", seed=0)
    (_, etas), *_ = linear_predictors(ask)
    of = given(fit.design, fit.draws, trials=fit.design.trials)
    found = log_density(y, etas, of)
    below, upto = cdf(y, etas, of)
    jump = upto - below
    h = 1e-5 * np.abs(y).clip(1e-2)
    slope = (cdf(y + h, etas, of)[1] - cdf(y - h, etas, of)[1]) / (2 * h)
    # a central difference of a distribution function loses half of the digits
    wanted = np.where(jump > 0, jump, slope)
    clear = wanted > 1e-6
    np.testing.assert_allclose(np.exp(found)[clear], wanted[clear], rtol=2e-4)
    assert clear.mean() > 0.9


def test_a_mean_that_a_few_draws_make_is_not_printed():
    """One draw of exp(V / 2) with an sd of 12 is beyond all others; the median does not feel it."""
    fit = family_fit("poisson")
    d = fit.draws
    sd = d.sd["g"].copy()
    sd[0] = 12.0
    fit.__dict__["draws"] = replace(d, sd={"g": sd})
    rows = fit.design.rows.frame.head()
    found = fit.predict(rows, target="marginal")
    fit.__dict__["draws"] = d
    np.testing.assert_allclose(
        found["estimate"], fit.predict(rows, target="marginal")["estimate"], rtol=0.05
    )
    fit.__dict__["draws"] = replace(d, sd={"g": sd})
    mean = fit.predict(rows, target="marginal", point="mean")
    assert mean["estimate"].isna().all()
    assert "A dash stands for a mean or an sd that is infinite" in mean.note


def test_a_mean_that_is_infinite_is_refused():
    fit = family_fit("lognormal", dispersion="~ 1 + (1 | g)")
    with pytest.raises(NotAvailableError, match="the mean over all groups is infinite"):
        fit.predict(target="marginal")
    assert len(fit.predict(target="marginal", kind="link")) == fit.design.n
