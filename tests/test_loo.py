"""Rows left out of several families, and comparisons, beside ArviZ on densities from scipy."""

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit

import hiermodels as hm
from hiermodels.errors import DataError

SETTINGS = {"random_seed": 1, "progressbar": False}


def negbinomial(y, mean, alpha):
    return stats.nbinom.logpmf(y, alpha, alpha / (alpha + mean))


def beta(y, mean, phi):
    return stats.beta.logpdf(y, mean * phi, (1 - mean) * phi)


#: The inverse link, the density of a row, and its parameter beside the mean.
FAMILIES = {
    "gaussian": (lambda eta: eta, stats.norm.logpdf, "sigma"),
    "poisson": (np.exp, stats.poisson.logpmf, None),
    "negbinomial": (np.exp, negbinomial, "alpha"),
    "bernoulli": (expit, stats.bernoulli.logpmf, None),
    "beta": (expit, beta, "phi"),
}


def made(family: str) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    g, x = np.repeat(np.arange(8), 10), rng.normal(0, 1, 80)
    eta = 0.3 + 0.5 * x + rng.normal(0, 0.7, 8)[g]
    mean = FAMILIES[family][0](eta)
    draw = {
        "gaussian": lambda: rng.normal(mean, 1),
        "poisson": lambda: rng.poisson(mean),
        "negbinomial": lambda: rng.negative_binomial(3, 3 / (3 + mean)),
        "bernoulli": lambda: rng.binomial(1, mean),
        "beta": lambda: rng.beta(8 * mean, 8 * (1 - mean)),
    }
    return pd.DataFrame({"y": draw[family](), "x": x, "g": [f"g{j}" for j in g]})


def densities(fit: hm.Fit, family: str) -> np.ndarray:
    """log p(y_i) of each chain, draw and row, from the posterior as it is stored."""
    inverse, density, own = FAMILIES[family]
    data, posterior = fit.design.rows.frame, fit.idata["posterior"]
    level = fit.design.block("g").index
    eta = posterior["Intercept"].to_numpy()[..., None]
    if fit.design.terms:
        eta = eta + posterior["beta"].to_numpy() * data["x"].to_numpy()
    eta = eta + posterior["b_g"].transpose("chain", "draw", "g", "g_term").to_numpy()[..., level, 0]
    given = [] if own is None else [posterior[own].to_numpy()[..., None]]
    return density(fit.design.response, inverse(eta), *given)


def as_arviz(fit: hm.Fit, family: str) -> xr.DataTree:
    rows = (("chain", "draw", "row"), densities(fit, family))
    return xr.DataTree.from_dict(
        {
            "posterior": fit.idata["posterior"].to_dataset(),
            "log_likelihood": xr.Dataset({"y": rows}),
        }
    )


@pytest.mark.filterwarnings("ignore::hiermodels.errors.ImportanceWarning")
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
@pytest.mark.parametrize("family", FAMILIES)
def test_loo_and_compare_are_those_of_arviz(family):
    data = made(family)
    fits = {
        "with x": hm.fit("y ~ x + (1 | g)", data, family=family, **SETTINGS),
        "without": hm.fit("y ~ 1 + (1 | g)", data, family=family, **SETTINGS),
    }
    trees = {name: as_arviz(fit, family) for name, fit in fits.items()}
    for name, fit in fits.items():
        found, theirs = fit.loo(), az.loo(trees[name], pointwise=True)
        # the efficiency of the draws, ours of the densities and theirs of the parameters, sets
        # how long a tail is smoothed: a few thousandths of a row's density, less in their sum
        np.testing.assert_allclose(found.pointwise, theirs.elpd_i, atol=0.01)
        assert found.elpd == pytest.approx(float(theirs.elpd), abs=0.05)
        assert found.se == pytest.approx(float(theirs.se), rel=0.01)
        assert found.p == pytest.approx(float(theirs.p), abs=0.05)
    ours = hm.compare(fits).set_index("model")
    theirs = az.compare(trees, method="stacking", round_to="none")
    assert list(ours.index) == list(theirs.index)
    for name in fits:
        gap = float(theirs.loc[name, "elpd_diff"])
        assert ours.loc[name, "difference"] == pytest.approx(gap, abs=0.05)
        assert ours.loc[name, "difference_se"] == pytest.approx(theirs.loc[name, "dse"], abs=0.05)
        # the weights follow from differences of thousandths, at a flat maximum
        assert ours.loc[name, "weight"] == pytest.approx(theirs.loc[name, "weight"], abs=0.05)


def test_fits_of_other_data_are_not_compared():
    data = made("gaussian")
    fit = hm.fit("y ~ x + (1 | g)", data, **SETTINGS)
    other = data.assign(y=data["y"] + np.where(np.arange(80) == 3, 0.1, 0.0))
    changed = hm.fit("y ~ x + (1 | g)", other, **SETTINGS)
    with pytest.raises(DataError, match="values of 'y'"):
        hm.compare({"a": fit, "b": changed})
    shuffled = hm.fit("y ~ x + (1 | g)", data.sample(frac=1, random_state=1), **SETTINGS)
    with pytest.raises(DataError, match="another order"):
        hm.compare({"a": fit, "b": shuffled})
    weighted = hm.fit("y ~ x + (1 | g)", data.assign(w=2), weights="w", **SETTINGS)
    with pytest.raises(DataError, match="other weights"):
        hm.compare({"a": fit, "b": weighted})
