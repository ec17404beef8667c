"""Draws from the priors: PyMC's own, identities, and whether the defaults are sensible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import stats
from test_equations_families import RESPONSES
from test_response import rows

from hiermodels.families import FAMILIES
from hiermodels.fitting import Model
from hiermodels.posterior import dimensions
from hiermodels.prior_predictive import draw_priors, draw_responses

STRUCTURES = {
    "gaussian": ("y ~ x + (x | pop) + (1 | year)", {}),
    "zi_negbinomial": ("count ~ x + (1 | pop)", {"zi": "~ z + (x | pop)", "dispersion": "~ 1"}),
    "ordinal": ("rating ~ x + z + (1 | pop)", {}),
}


def model_of(family: str) -> Model:
    formula, arguments = STRUCTURES[family]
    return Model(formula, rows(), family=family, **arguments)


@pytest.mark.parametrize("family", STRUCTURES)
def test_draws_are_distributed_as_those_of_pymc(family):
    """Kolmogorov-Smirnov of 400 against 400; below 1e-4 of a fixed seed is a fault, not chance.

    PyMC draws thresholds without their order: they have a test of their own.
    """
    model = model_of(family)
    built, size = model.to_pymc(), 400
    names = [n for n in dimensions(model.design) if "b_" not in n and n != "threshold"]
    drawn = draw_priors(model.design, model.priors, np.random.default_rng(3), size=size)
    theirs = dict(
        zip(
            names,
            pm.draw([built[n] for n in names], draws=size, random_seed=5, mode="FAST_COMPILE"),
            strict=True,
        )
    )
    for name in names:
        ours = drawn.values[name].reshape(size, -1)
        other = np.asarray(theirs[name]).reshape(size, -1)
        assert ours.shape == other.shape
        for k in range(ours.shape[1]):
            if np.ptp(ours[:, k]) > 0:
                assert stats.ks_2samp(ours[:, k], other[:, k]).pvalue > 1e-4, (name, k)


def test_responses_are_distributed_as_those_of_pymc():
    model = model_of("gaussian")
    built, size = model.to_pymc(), 400
    rng = np.random.default_rng(3)
    drawn = draw_priors(model.design, model.priors, rng, size=size)
    ours = draw_responses(model.design, drawn, rng)
    theirs = pm.draw(built["y"], draws=size, random_seed=5, mode="FAST_COMPILE")
    for row in (0, 40):
        assert stats.ks_2samp(ours[:, row], theirs[:, row]).pvalue > 1e-4
    assert stats.ks_2samp(ours.std(axis=1), theirs.std(axis=1)).pvalue > 1e-4


@pytest.mark.parametrize("family", STRUCTURES)
def test_eta_is_that_of_the_reported_parameters(family):
    """From the raw columns; of an ordinal model with the thresholds taken out of both."""
    model = model_of(family)
    design = model.design
    drawn = draw_priors(design, model.priors, np.random.default_rng(1), size=5)
    eta = design.offset + drawn.values.get("Intercept", np.zeros(5))[:, None]
    eta = eta + drawn.values["beta"] @ design.common.values.T
    for block in design.blocks:
        effects = drawn.values[f"b_{block.name}"][:, block.index]
        eta = eta + (effects * block.columns.values).sum(axis=2)
    if family == "ordinal":
        raw = drawn.values["threshold"][:, None, :] - eta[:, :, None]
        np.testing.assert_allclose(raw, drawn.aux["threshold"] - drawn.eta[:, :, None], atol=1e-9)
        assert (np.diff(drawn.values["threshold"], axis=1) > 0).all()
    else:
        np.testing.assert_allclose(eta, drawn.eta, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_groups_of_every_family(family):
    response = RESPONSES.get(family, "count")
    model = Model(f"{response} ~ x + (1 | pop)", rows(), family=family)
    tree = model.prior_predictive(draws=50, random_seed=2)
    assert set(tree.children) == {
        "prior",
        "prior_predictive",
        "prior_variance",
        "observed_data",
    }
    assert tuple(tree["prior"].data_vars) == tuple(dimensions(model.design))
    y = tree["prior_predictive"][model.design.response_name]
    assert y.sizes == {"chain": 1, "draw": 50, "row": model.design.n}
    assert not np.isnan(y).any()
    own = model.prior_predictive(draws=50, random_seed=2)["prior_predictive"]
    np.testing.assert_array_equal(own[model.design.response_name], y)


def test_at_most_so_many_rows_are_drawn():
    model = Model("count ~ x + (1 | pop)", rows(), family="poisson")
    y = model.prior_predictive(draws=10, random_seed=2, rows=20)["prior_predictive"]["count"]
    assert y.sizes["row"] == 20
    assert set(y["row"].to_numpy()) < set(model.design.index)


def test_implied_shares_of_a_random_intercept():
    """icc = sd^2 / (sd^2 + residual), with pi^2 / 3 for a logit link."""
    data = rows()
    for family, latent in {"bernoulli": np.pi**2 / 3, "gaussian": None}.items():
        response = RESPONSES[family]
        tree = Model(f"{response} ~ x + (1 | pop)", data, family=family).prior_predictive(
            draws=20, random_seed=1
        )
        prior = tree["prior"]
        group = prior["sd_pop"].to_numpy()[..., 0] ** 2
        residual = latent if latent else prior["sigma"].to_numpy() ** 2
        icc = tree["prior_variance"]["icc"].sel(factor="pop")
        np.testing.assert_allclose(icc, group / (group + residual), rtol=1e-12)
    counts = Model("count ~ x + (1 | pop)", data, family="poisson").prior_predictive(draws=20)
    assert "icc" not in counts["prior_variance"]
    assert list(counts["prior_variance"]["component"].to_numpy()) == ["pop", "common effects"]


def test_variance_of_slopes_is_the_mean_over_the_rows():
    data = rows()
    tree = Model("y ~ x + (x | pop)", data).prior_predictive(draws=30, random_seed=4)
    prior = tree["prior"]
    sd, cor = prior["sd_pop"].to_numpy()[0], prior["cor_pop"].to_numpy()[0]
    z = np.column_stack([np.ones(len(data)), data["x"]])
    sigma = cor * sd[:, :, None] * sd[:, None, :]
    expected = np.einsum("nq,sqr,nr->s", z, sigma, z) / len(z)
    found = tree["prior_variance"]["variance"].sel(component="pop").to_numpy()[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_thresholds_are_the_sorted_draws_of_their_prior():
    """Order statistics: the smallest of three is below c with 1 - (1 - F(c))^3."""
    model = Model("rating ~ 1", rows(), family="ordinal")
    drawn = draw_priors(model.design, model.priors, np.random.default_rng(9), size=2000)
    smallest, normal = drawn.values["threshold"][:, 0], stats.norm(0, 3)
    assert stats.kstest(smallest, lambda c: 1 - normal.sf(c) ** 3).pvalue > 1e-4


def simulated(kind: str) -> tuple[str, str, pd.DataFrame, dict[str, float]]:
    """Family, formula, data and the parameters that they were made with."""
    rng = np.random.default_rng(17)
    n, levels = 3000, 30
    site = rng.integers(0, levels, n)
    b, x = rng.normal(0, 0.6, levels)[site], rng.normal(size=n)
    frame = pd.DataFrame({"site": site, "x": x, "area": rng.uniform(1e4, 1e6, n)})
    truth = {"beta": 0.7, "sd_site": 0.6}
    if kind == "sparse counts":
        level = np.log(0.03) - 0.5 * (0.7**2 + 0.6**2)
        frame["n"] = rng.poisson(np.exp(level + 0.7 * x + b))
        return "poisson", "n ~ x + (1 | site)", frame, {"Intercept": level, **truth}
    if kind == "large offsets":
        level = np.log(2e-6)
        frame["n"] = rng.poisson(frame["area"] * np.exp(level + 0.7 * x + b))
        formula = "n ~ x + offset(log(area)) + (1 | site)"
        return "negbinomial", formula, frame, {"Intercept": level, **truth}
    if kind == "rare events":
        frame["n"] = rng.binomial(1, 1 / (1 + np.exp(5.0 - 0.7 * x - b)))
        return "bernoulli", "n ~ x + (1 | site)", frame, {"Intercept": -5.0, **truth}
    if kind == "shares near one":
        mu = 1 / (1 + np.exp(-3.0 - 0.7 * x - b))
        frame["n"] = np.clip(rng.beta(mu * 30, (1 - mu) * 30), 1e-9, 1 - 1e-9)
        return "beta", "n ~ x + (1 | site)", frame, {"Intercept": 3.0, "phi": 30.0, **truth}
    frame["n"] = np.where(rng.uniform(size=n) < 0.6, 0, rng.poisson(np.exp(3 + 0.7 * x + b)))
    return "zi_poisson", "n ~ x + (1 | site)", frame, {"Intercept": 3.0, "zi": 0.6, **truth}


KINDS = ["sparse counts", "large offsets", "rare events", "shares near one", "many zeros"]


@pytest.mark.parametrize("kind", KINDS)
def test_default_priors_have_the_truth_in_their_middle(kind):
    """Inside the central 95 % of 2,000 draws; the mean response, too, and the sd of the rows."""
    family, formula, frame, truth = simulated(kind)
    model = Model(formula, frame, family=family)
    tree = model.prior_predictive(draws=2000, random_seed=1, rows=300)
    for name, value in truth.items():
        lower, upper = np.quantile(tree["prior"][name].to_numpy().ravel(), [0.025, 0.975])
        assert lower < value < upper, name
    y = tree["prior_predictive"]["n"].to_numpy()[0]
    for told, of in (("mean", np.mean), ("sd", np.std)):
        lower, upper = np.quantile(of(y, axis=1), [0.025, 0.975])
        assert lower <= of(frame["n"]) <= upper, told


@pytest.mark.parametrize("kind", KINDS)
def test_default_priors_are_not_absurd(kind):
    """Half of the prior has a mean response within a factor of 30, or 0.45, of the observed."""
    family, formula, frame, _ = simulated(kind)
    tree = Model(formula, frame, family=family).prior_predictive(
        draws=1000, random_seed=1, rows=300
    )
    means = np.median(tree["prior_predictive"]["n"].to_numpy()[0], axis=1)
    middle = np.quantile(means, [0.25, 0.75])
    observed = frame["n"].mean()
    if family in ("bernoulli", "beta"):
        assert np.abs(middle - observed).min() < 0.45
    else:
        assert middle[0] <= 30 * observed
