"""The summary of every family: its link, its own parameters, and what has a formula."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import random_posterior
from test_response import rows

import hiermodels as hm
import hiermodels.families
from hiermodels.engines import choose_engine
from hiermodels.errors import NotAvailableError
from hiermodels.fitting import Model

MODELS = {
    "poisson": ("count ~ x", {}, []),
    "negbinomial": ("count ~ x + (1 | pop)", {}, ["alpha"]),
    "ordinal": ("rating ~ x + (1 | pop)", {}, [f"threshold[{k}|{k + 1}]" for k in (1, 2, 3)]),
    "student": ("y ~ x + (1 | pop)", {}, ["nu"]),
    "zoi_beta": ("share ~ x + (x | pop)", {}, ["phi", "zoi", "coi"]),
    "gaussian": (
        "y ~ x + (1 | pop)",
        {"dispersion": "~ z"},
        ["sigma_Intercept", "sigma_beta[z]"],
    ),
    "zi_negbinomial": (
        "count ~ x + (1 | pop)",
        {"zi": "~ x + (x | pop)"},
        [
            *("alpha", "zi_Intercept", "zi_beta[x]"),
            *("zi_sd_pop[Intercept]", "zi_sd_pop[x]", "zi_cor_pop[Intercept, x]"),
        ],
    ),
}


def made_up(family: str):
    formula, arguments, _ = MODELS[family]
    return random_posterior(Model(formula, rows(), family=family, **arguments))


@pytest.mark.parametrize("family", MODELS)
def test_own_parameters_in_the_summary(family):
    found = made_up(family).summary()
    assert list(found.own["parameter"]) == MODELS[family][-1]
    text = found.text()
    assert f"family {family}, link {hm.families.FAMILIES[family].link}" in text
    for name in MODELS[family][-1]:
        assert name in text
        assert name.replace("|", "\\|") in found.markdown()
        assert name in found.html()


def test_estimates_are_medians_and_means_of_the_draws():
    fit = made_up("zi_negbinomial")
    own = fit.summary().own.set_index("parameter")
    posterior = fit.idata["posterior"]
    assert own.loc["alpha", "estimate"] == pytest.approx(float(posterior["alpha"].median()))
    beta = posterior["zi_beta"].sel(zi_term="x")
    assert own.loc["zi_beta[x]", "estimate"] == pytest.approx(float(np.median(beta)))
    sd = posterior["zi_sd_pop"].sel(zi_pop_term="x")
    assert own.loc["zi_sd_pop[x]", "estimate"] == pytest.approx(float(sd.median()))
    assert own.loc["alpha", "scale"] == ""
    assert own.loc["zi_beta[x]", "scale"] == "logit"


@pytest.mark.parametrize("family", MODELS)
def test_tables_of_coefficients_have_no_need_of_a_residual(family):
    fit = made_up(family)
    assert len(fit.varcorr()) == 2 * (fit.draws.residual is not None) + sum(
        2 * len(b.terms) + (len(b.terms) > 1) + bool(b.columns.center.any())
        for b in fit.design.blocks
    )
    assert list(fit.fixef()["term"]) == [*(["Intercept"] * fit.design.intercept), "x"]


@pytest.mark.parametrize("family", [name for name in MODELS if name != "gaussian"])
def test_engines_that_need_a_gaussian_refuse_other_families(family):
    formula, arguments, _ = MODELS[family]
    model = Model(formula, rows(), family=family, **arguments)
    assert family in choose_engine(model.design, model.priors, "auto").reason
    with pytest.raises(NotAvailableError, match=f"the family is {family}"):
        choose_engine(model.design, model.priors, "collapsed")


def test_a_residual_sd_with_a_formula_is_not_collapsed():
    model = Model("y ~ x + (1 | pop)", rows(), dispersion="~ z")
    assert choose_engine(model.design, model.priors, "auto").name == "noncentred"


@pytest.mark.slow
def test_a_zero_inflated_model_from_formula_to_summary():
    """2,000 simulated rows: the intervals of 99.9 % have the values that they were made with."""
    rng = np.random.default_rng(12)
    n, levels = 2000, 20
    x, site = rng.normal(size=n), rng.integers(0, levels, n)
    effects = rng.normal(0, 0.5, levels)
    zero = rng.uniform(size=n) < 1 / (1 + np.exp(1.0 - 0.8 * x))
    count = np.where(zero, 0, rng.poisson(np.exp(1.2 + 0.4 * x + effects[site])))
    fit = hm.fit(
        "count ~ x + (1 | site)",
        {"count": count, "x": x, "site": site},
        family="zip",
        zi="~ x",
        engine="pymc",
        draws=250,
        chains=2,
        random_seed=1,
        progressbar=False,
    )
    own = fit.summary(ci_prob=0.999).own.set_index("parameter")
    for name, truth in {"zi_Intercept": -1.0, "zi_beta[x]": 0.8}.items():
        assert own.loc[name, "lower"] < truth < own.loc[name, "upper"]
    slope = fit.fixef(ci_prob=0.999).set_index("term").loc["x"]
    assert slope["lower"] < 0.4 < slope["upper"]
