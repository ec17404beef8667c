"""LOO-PIT against refits without each row, and against ArviZ's own from drawn responses."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats import loo_pit
from made_up import made_up_fit, table
from made_up_families import family_fit, with_response
from scipy import stats

import hiermodels as hm
from hiermodels.errors import NotAvailableError, UnknownNameError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(6), 7)
    x = rng.uniform(-1, 1, len(g))
    y = 3 + rng.normal(0, 1, 6)[g] + x + rng.normal(0, 1, len(g))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{j}" for j in g]})


def near_the_truth(name, *, seed=0, draws=300):
    """Draws close to the one that made the response, as a posterior of many rows has."""
    fit = family_fit(name, seed=seed, draws=draws)
    post = fit.idata["posterior"].to_dataset()
    fit.idata["posterior"] = xr.DataTree(
        0.95 * post.isel(draw=[0] * draws).assign_coords(draw=post["draw"]) + 0.05 * post
    )
    fit.idata["posterior"].attrs.update(post.attrs)
    return with_response(fit, fit.design.response)


def fitted(rows, seed=1):
    return hm.fit("y ~ x + (1 | g)", rows, random_seed=seed, progressbar=False)


def test_it_is_that_of_refits_without_the_row(data):
    found = fitted(data).residuals("loo")["pit"].to_numpy()
    for i in (0, 11, 12, 40):
        without = fitted(data.drop(index=i))
        row = data.iloc[[i]]
        mean = without.predict(row, target="group", draws=True).to_numpy().ravel()
        each = stats.norm.cdf(row["y"].item(), mean, without.draws.residual)
        # 4 errors of a mean of 4,000 draws, and as much again for the weighted one
        error = 8 * each.std() / np.sqrt(1000)
        assert found[i] == pytest.approx(each.mean(), abs=error)


@pytest.mark.parametrize("name", ["gaussian", "poisson", "bernoulli", "beta"])
def test_it_is_arvizs(name):
    """Theirs is made of drawn responses, so that it has their noise."""
    fit = near_the_truth(name, draws=1000)
    ours = fit.residuals("loo", random_seed=1)
    size = fit.draws.n
    made = fit.posterior_predictive(size, random_seed=2).reshape(1, size, -1)
    density = fit.log_likelihood().to_numpy().reshape(1, size, -1)
    dims = ("chain", "draw", "row")
    tree = xr.DataTree.from_dict(
        {
            "posterior": fit.idata["posterior"].to_dataset(),
            "posterior_predictive": xr.Dataset({"y": (dims, made)}),
            "log_likelihood": xr.Dataset({"y": (dims, density)}),
            "observed_data": xr.Dataset({"y": (("row",), fit.design.response)}),
        }
    )
    theirs = loo_pit(tree)["y"].to_numpy()
    discrete = name in ("poisson", "bernoulli")
    # a share of draws has an error of at most 1/2 sqrt(1/S); of discrete responses each has a
    # uniform number of its own within the step, so that the averages are compared
    gap = ours["pit"].to_numpy() - theirs
    if discrete:
        assert abs(gap.mean()) < 4 * np.sqrt(1 / 6 / len(gap))
    else:
        assert np.abs(gap).max() < 5 * 0.5 / np.sqrt(size) * 2


def test_the_table_and_what_it_refuses():
    fit = made_up_fit("y ~ x + (1 | pop)")
    found = fit.residuals("loo")
    # a probability of 0 or 1 has a finite residual
    np.testing.assert_allclose(
        found["residual"], stats.norm.ppf(found["pit"].clip(1e-12, 1 - 1e-12))
    )
    assert list(found.index) == list(table().index)
    assert "LOO-PIT" in found.title
    assert "Pareto k too high for" in found.note  # a posterior that these rows did not make
    with pytest.raises(NotAvailableError, match="logo"):
        fit.residuals("loo", new_group=True)
    with pytest.raises(UnknownNameError, match="Valid: loo, quantile"):
        fit.plot.qq(kind="response")
    assert fit.plot.qq(kind="loo").get_ylabel() == "loo residuals"


def test_few_alarms_where_the_model_is_true():
    p = np.array([near_the_truth("poisson", seed=s).check().of("left out").p for s in range(10)])
    assert (p < 0.005).sum() <= stats.binom.ppf(0.999, 10, 0.005)
    assert (p < 0.05).sum() <= stats.binom.ppf(0.999, 10, 0.05)


def test_responses_of_another_spread_are_an_alarm():
    fit = family_fit("poisson", seed=5, spread=0.0, draws=300)
    rng = np.random.default_rng(1)
    wrong = with_response(fit, rng.poisson(fit.design.response * rng.gamma(1, 1, fit.design.n)))
    found = wrong.check().of("left out")
    assert found.verdict == "fault"
    assert found.what_to_do
