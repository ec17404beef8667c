"""Squeezed shares found again, and the table of refits at other constants."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import random_posterior
from test_response import rows

import hiermodels as hm
from hiermodels.errors import DataError, NotAvailableError
from hiermodels.fitting import Model
from hiermodels.workflows import squeezing
from hiermodels.workflows.squeezing import unsqueeze


def shares(n: int = 90) -> np.ndarray:
    rng = np.random.default_rng(8)
    y = rng.uniform(0, 1, n)
    y[:5], y[5:8] = 0, 1
    return y


@pytest.mark.parametrize("s", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("n", [90, 100_000])
def test_unsqueeze_is_the_inverse(s, n):
    y = shares()
    found = unsqueeze(hm.squeeze(y, s=s, n=n), s=s, n=n)
    # y n is rounded to its last place, so an error of n ulp at most
    np.testing.assert_allclose(found, y, atol=4e-16 * n)
    np.testing.assert_array_equal(found[:8], y[:8])


@pytest.mark.parametrize("wrong", [{"s": 0.25, "n": 90}, {"s": 0.5, "n": 91}])
def test_another_squeeze_is_refused(wrong):
    with pytest.raises(DataError, match="was not squeezed"):
        unsqueeze(hm.squeeze(shares()), **wrong)


def test_squeeze_in_the_formula_and_in_the_data_are_the_same():
    data = rows().assign(share=shares(), squeezed=lambda d: hm.squeeze(d["share"]))
    inside = Model("squeeze(share) ~ x", data, family="beta").design.response
    np.testing.assert_array_equal(
        inside, Model("squeezed ~ x", data, family="beta").design.response
    )
    np.testing.assert_allclose(inside, (data["share"] * 89 + 0.5) / 90)


def test_each_constant_is_fitted_with_the_priors_of_the_fit(monkeypatch):
    """The refits are made up: what is given to the sampler, and how its draws are told."""
    data = rows().assign(share=hm.squeeze(shares()))
    fit = random_posterior(Model("share ~ x + (x | pop)", data, family="beta"))
    seen = []

    def refit(model, **settings):
        seen.append((model, settings))
        return random_posterior(model, seed=len(seen))

    monkeypatch.setattr(squeezing.Model, "fit", refit)
    table = fit.squeeze_sensitivity((0.1, 0.5))
    for (model, settings), s in zip(seen, (0.1, 0.5), strict=True):
        np.testing.assert_allclose(model.design.response, hm.squeeze(shares(), s=s), atol=1e-13)
        assert model.priors is fit.priors
        assert settings["engine"] == "pymc"
    assert list(table["parameter"].unique()) == [
        *("Intercept", "beta[x]", "phi", "sd_pop[Intercept]", "sd_pop[x]"),
    ]
    assert list(table["s"][:2]) == [0.1, 0.5]
    again = random_posterior(seen[1][0], seed=2).idata["posterior"]
    row = table[(table["parameter"] == "phi") & (table["s"] == 0.5)].iloc[0]
    assert row["estimate"] == pytest.approx(float(again["phi"].median()))


@pytest.mark.filterwarnings("ignore::hiermodels.errors.MissingDataWarning")
def test_rows_that_were_dropped_after_the_squeeze_count():
    data = rows().assign(share=hm.squeeze(shares()))
    data.loc[50, "x"] = np.nan
    design = Model("share ~ x", data, family="beta").design
    assert squeezing.squeezed_rows(design, s=0.5) == 90


def test_only_beta_has_it():
    fit = random_posterior(Model("count ~ x", rows(), family="poisson"))
    with pytest.raises(NotAvailableError, match="'poisson'"):
        fit.squeeze_sensitivity()
