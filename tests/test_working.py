"""Raw estimates and reliability beyond the Gaussian, against statsmodels and dense algebra."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from made_up import table
from scipy.linalg import block_diag
from scipy.special import expit
from stand_in import fit_of, with_formula

from hiermodels.numbers.shrinkage import complete_pooling, no_pooling, reliability
from hiermodels.numbers.working import mean_rows, needs_working, working_response

CI = 0.95


def data_of(kind, *, seed=4, n=300):
    """Rows with a response of the kind, and the other columns of the table."""
    rng, data = np.random.default_rng(seed), table(n=n)
    effect = data["pop"].map(
        dict(zip(["P0", "P1", "P2", "P3", "P4"], [-1, 0, 0.3, 0.6, 1], strict=True))
    )
    eta = 0.3 + effect + 0.3 * data["z"]
    draw = {
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "negbinomial": lambda: rng.poisson(rng.gamma(2.0, np.exp(eta) / 2)),
        "bernoulli": lambda: rng.binomial(1, expit(eta)),
        "gamma": lambda: rng.gamma(3.0, np.exp(eta) / 3),
    }[kind]
    # the Gaussian design that the made-up fit starts from needs a spread, which these have
    return data.assign(y=np.asarray(draw(), dtype=float))


FAMILIES = {
    "poisson": (sm.families.Poisson(), {}),
    "bernoulli": (sm.families.Binomial(), {}),
    "negbinomial": (sm.families.NegativeBinomial(alpha=0.5), {"alpha": 2.0}),
    "gamma": (sm.families.Gamma(sm.families.links.Log()), {"alpha": 3.0}),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("formula", "theirs"),
    [
        ("y ~ z + (1 | pop)", "y ~ 0 + pop + z"),
        ("y ~ z + (z | pop)", "y ~ 0 + pop + pop:z"),
    ],
)
def test_raw_estimates_are_the_fixed_effect_fit_of_statsmodels(family, formula, theirs):
    other_family, auxiliary = FAMILIES[family]
    data = data_of(family)
    fit = fit_of(family, formula, data, sd={}, auxiliary=auxiliary)
    block = fit.design.block()
    raw = no_pooling(fit.design, fit.draws, block, ci_prob=CI)
    centred = data.assign(z=data["z"] - data["z"].mean())
    scale = {} if family != "gamma" else {"scale": 1 / 3}
    other = smf.glm(theirs, centred, family=other_family).fit(tol=1e-12, **scale)
    names = [f"pop[{level}]" for level in block.levels]
    np.testing.assert_allclose(raw.estimate[:, 0], other.params[names], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(raw.lower[:, 0], other.conf_int()[0][names], rtol=1e-4, atol=1e-5)
    if "pop:z" in theirs:
        slopes = [f"{name}:z" for name in names]
        np.testing.assert_allclose(raw.estimate[:, 1], other.params[slopes], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(raw.upper[:, 1], other.conf_int()[1][slopes], rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_complete_pooling_is_the_glm_of_statsmodels(family):
    other_family, auxiliary = FAMILIES[family]
    data = data_of(family)
    fit = fit_of(family, "y ~ z + (z | pop)", data, auxiliary=auxiliary)
    found = complete_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    centred = data.assign(z=data["z"] - data["z"].mean())
    other = smf.glm("y ~ z", centred, family=other_family).fit(tol=1e-12)
    np.testing.assert_allclose(found.estimate[2], other.params, rtol=1e-5, atol=1e-7)


def test_a_level_without_a_success_has_no_raw_estimate():
    data = data_of("bernoulli")
    data.loc[data["pop"] == "P0", "y"] = 0.0
    data.loc[data["pop"] == "P4", "y"] = 1.0
    fit = fit_of("bernoulli", "y ~ 1 + (1 | pop)", data)
    raw = no_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    assert np.isnan(raw.estimate[[0, 4], 0]).all()
    share = data.groupby("pop")["y"].mean()
    np.testing.assert_allclose(expit(raw.estimate[1:4, 0]), share.iloc[1:4], rtol=1e-6)
    assert "logit scale" in fit.shrinkage().title


def test_trials_and_weights_count():
    """Successes of trials as that many rows of one trial each."""
    rng = np.random.default_rng(0)
    data = table(n=60)
    trials = rng.integers(2, 6, 60)
    data["y"] = rng.binomial(trials, 0.4).astype(float)
    fit = fit_of("binomial", "y ~ 1 + (1 | pop)", data, trials=trials.astype(float))
    raw = no_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    share = data.groupby("pop")["y"].sum() / data.assign(n=trials).groupby("pop")["n"].sum()
    np.testing.assert_allclose(expit(raw.estimate[:, 0]), share, rtol=1e-6)


def test_log_normal_is_least_squares_of_the_logarithm():
    fit = fit_of("lognormal", "y ~ 1 + (1 | pop)", auxiliary={"sigma": 0.1})
    raw = no_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    data = table()
    means = np.log(data["y"]).groupby(data["pop"]).mean()
    np.testing.assert_allclose(raw.estimate[:, 0], means, rtol=1e-9)
    assert not needs_working(fit.design, fit.draws)


def test_reliability_of_a_poisson_level():
    """tau^2 W_j / (1 + tau^2 W_j), with W_j the sum of the level's expected counts at the draw."""
    fit = fit_of("poisson", "y ~ z + (1 | pop)", data_of("poisson"), sd={"pop": 0.6}, spread=0.2)
    found = reliability(fit.design, fit.draws, fit.design.block())
    draws, block = fit.draws, fit.design.block()
    for s in (0, 40):
        eta = draws.intercept[s] + fit.design.common.values @ draws.beta[s]
        mu = np.exp(eta + draws.effects["pop"][s, block.index, 0])
        w = np.bincount(block.index, mu)
        tau = draws.sd["pop"][s, 0] ** 2
        np.testing.assert_allclose(found[s, :, 0], tau * w / (1 + tau * w), rtol=1e-6)


def test_reliability_of_crossed_factors_by_dense_algebra():
    fit = fit_of(
        "poisson", "y ~ z + (z | pop) + (1 | year)", data_of("poisson"), sd={}, intercept=0.1
    )
    design, draws = fit.design, fit.draws
    found = reliability(design, draws, design.block("pop"))
    z, prior = [], []
    for block in design.blocks:
        q = len(block.terms)
        wide = np.zeros((design.n, block.n_levels, q))
        wide[np.arange(design.n), block.index] = block.columns.standardised
        z.append(wide.reshape(design.n, -1))
        back = np.linalg.inv(block.transform)
        prior.append(back @ draws.covariance(block.name)[0] @ back.T)
    eta = draws.intercept[0] + design.common.values @ draws.beta[0]
    for block in design.blocks:
        own = draws.effects[block.name][0][block.index]
        eta = eta + (block.columns.values * own).sum(axis=1)
    stacked = np.hstack(z)
    precision = stacked.T @ (stacked * np.exp(eta)[:, None])
    counts = [b.n_levels for b in design.blocks]
    whole = block_diag(
        *[p for n, p in zip(counts, prior, strict=True) for p in [np.linalg.inv(p)] * n]
    )
    left = np.diag(np.linalg.inv(precision + whole))[: 2 * counts[0]].reshape(-1, 2)
    np.testing.assert_allclose(found[0], 1 - left / np.diag(prior[0]), rtol=1e-5)


def test_a_formula_for_sigma_weighs_each_row():
    fit = fit_of("lognormal", "y ~ 1 + (1 | pop)", auxiliary={"sigma": 0.5})
    other = fit_of("poisson", "y ~ z", intercept=0.2)
    fit = with_formula(fit, "sigma", other)
    fit.__dict__["draws"] = replace(fit.draws, residual=None)
    found = reliability(fit.design, fit.draws, fit.design.block())
    sigma = np.exp(0.2 + fit.draws.extras["sigma"].beta[0, 0] * table()["z"])
    w = np.bincount(fit.design.block().index, 1 / sigma**2)
    tau = fit.draws.sd["pop"][0, 0] ** 2
    np.testing.assert_allclose(found[0, :, 0], tau * w / (1 + tau * w), rtol=1e-9)


def test_the_working_response_of_a_normal_mean_is_the_response():
    """With slope 1 and the variance of a Gaussian, z = y: the identity of the definition."""
    fit = fit_of("poisson", "y ~ z + (1 | pop)", data_of("poisson"), sd={"pop": 0.5})
    eta, aux = mean_rows(fit.design, fit.draws)
    found = working_response(fit.design, eta, aux)
    np.testing.assert_allclose(found.weights, np.exp(eta), rtol=1e-6)
    np.testing.assert_allclose(
        found.response, eta + fit.design.response / np.exp(eta) - 1, rtol=1e-6, atol=1e-6
    )
