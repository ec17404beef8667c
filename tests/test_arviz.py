"""The tree of a fit is one that ArviZ takes as it is."""

from __future__ import annotations

import arviz_plots as azp
import arviz_stats as azs
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import hiermodels as hm
from hiermodels.numbers.comparison import efficiency
from hiermodels.results import Fit

#: Two scalars, the coefficient and an sd: of `cor_g` the diagonal is constant, and of group effects
#: there are more than ArviZ draws panels for.
SOME = {"var_names": ["Intercept", "beta", "sd_g", "sigma"]}


@pytest.fixture(scope="module", params=["y", "score / 10"])
def fit(request: pytest.FixtureRequest) -> Fit:
    """A response by its name, and one that is an expression with a stroke."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(10), 12)
    x = rng.normal(size=len(g))
    y = 2 + 0.5 * x + rng.normal(size=10)[g] + rng.normal(size=len(g))
    data = pd.DataFrame({"y": y, "score": 10 * y, "x": x, "g": [f"g{k}" for k in g]})
    settings = {"draws": 250, "chains": 2, "random_seed": 1, "progressbar": False}
    response = request.param if request.param == "y" else "I(score / 10)"
    found = hm.fit(f"{response} ~ x + (1 | g)", data, **settings)
    found.posterior_predictive(50)
    found.log_likelihood()
    found.log_prior()
    return found


PLOTS = {
    "plot_loo_pit": {},
    "plot_ppc_dist": {},
    "plot_ppc_pit": {},
    "plot_ppc_tstat": {},
    "plot_trace": SOME,
    "plot_trace_dist": SOME,
    "plot_rank": SOME,
    "plot_dist": SOME,
    "plot_forest": {},
    "plot_energy": {},
    "plot_ess": SOME,
    "plot_psense_dist": SOME,
}


@pytest.mark.parametrize("name", PLOTS)
def test_plots(fit, name):
    getattr(azp, name)(fit.idata, backend="matplotlib", **PLOTS[name])
    plt.close("all")


def test_summaries(fit):
    found = azs.summary(fit.idata)  # of all variables, group effects included
    assert found["r_hat"].astype(float).max() < 1.1
    assert "b_g[g3, Intercept]" in found.index
    assert "sigma" in azs.psense_summary(fit.idata).index


def test_loo_and_comparison(fit):
    values = fit.log_likelihood().to_numpy().reshape(-1, fit.design.n)
    theirs = azs.loo(fit.idata, reff=efficiency(values, 2))
    assert theirs.elpd == pytest.approx(fit.loo().elpd, rel=1e-9)
    # twice the same: no difference
    both = azs.compare({"a": fit.idata, "b": fit.idata})
    assert np.abs(both["elpd_diff"]).max() == 0


def test_loo_pit_is_that_of_the_weighted_draws(fit):
    """ArviZ's, from responses made, beside P(y_new < y_i | y_-i) by the same weights and Phi.

    Of 500 responses with weights that are nearly even the share below y_i has an sd of at most
    1 / (2 sqrt(500 / 2)), in 120 rows, so that five of them are a limit.
    """
    found = next(iter(azs.loo_pit(fit.idata).data_vars.values())).to_numpy()
    eta = fit.predict(target="group", kind="link", draws=True).to_numpy()
    eta = eta.reshape(-1, fit.design.n)
    below = norm.cdf(fit.design.response, eta, fit.draws.residual[:, None])
    weights = np.exp(-fit.log_likelihood().to_numpy().reshape(-1, fit.design.n))
    wanted = (below * weights).sum(axis=0) / weights.sum(axis=0)
    assert np.abs(found - wanted).max() < 5 / (2 * np.sqrt(250))


def test_many_rows_have_some_of_the_draws(fit, monkeypatch):
    monkeypatch.setattr("hiermodels.results.MOST_MADE", 1000)
    other = Fit(design=fit.design, priors=fit.priors, idata=fit.idata.copy())
    made = other.posterior_predictive(30)
    (values,) = other.idata["posterior_predictive"].data_vars.values()
    assert values.sizes["chain"] == 1
    np.testing.assert_array_equal(values.to_numpy()[0], made)
