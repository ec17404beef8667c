"""Complete, no and partial pooling, and reliability, against what others compute."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from made_up import made_up_fit, table
from scipy import stats

from hiermodels.numbers.shrinkage import (
    complete_pooling,
    no_pooling,
    partial_pooling,
    pooling_factor,
    reliabilities,
    reliability,
)

CI = 0.95


def test_raw_estimates_are_the_fixed_effect_fit_of_statsmodels():
    """(1 | pop): y ~ x + pop; intercepts at the mean of x."""
    fit = made_up_fit("y ~ x + (1 | pop)")
    raw = no_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    data = table().assign(x=lambda d: d["x"] - d["x"].mean())
    other = smf.ols("y ~ 0 + pop + x", data).fit()
    names = [f"pop[{level}]" for level in fit.design.block().levels]
    np.testing.assert_allclose(raw.estimate[:, 0], other.params[names], rtol=1e-9)
    np.testing.assert_allclose(raw.lower[:, 0], other.conf_int()[0][names], rtol=1e-9)


def test_raw_slopes_are_the_interaction_fit_of_statsmodels():
    """(x | pop): y ~ x * pop, with z common to all."""
    fit = made_up_fit("y ~ x + z + (x | pop)")
    raw = no_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    data = table().assign(x=lambda d: d["x"] - d["x"].mean(), z=lambda d: d["z"] - d["z"].mean())
    other = smf.ols("y ~ 0 + pop + pop:x + z", data).fit()
    levels = fit.design.block().levels
    slopes = [f"pop[{level}]:x" for level in levels]
    np.testing.assert_allclose(raw.estimate[:, 1], other.params[slopes], rtol=1e-8)
    np.testing.assert_allclose(raw.upper[:, 1], other.conf_int()[1][slopes], rtol=1e-8)
    intercepts = [f"pop[{level}]" for level in levels]
    np.testing.assert_allclose(raw.estimate[:, 0], other.params[intercepts], rtol=1e-9)


def test_complete_pooling_is_least_squares_of_statsmodels():
    fit = made_up_fit("y ~ x + (x | pop)")
    found = complete_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    data = table().assign(x=lambda d: d["x"] - d["x"].mean())
    other = smf.ols("y ~ x", data).fit()
    np.testing.assert_allclose(found.estimate[0], other.params, rtol=1e-9)
    np.testing.assert_allclose(found.lower[3], other.conf_int()[0], rtol=1e-9)


def test_a_level_that_cannot_say_is_missing():
    """A slope from a single row, or from rows of one x, is not estimable; the level's mean is."""
    data = table()
    data.loc[data["pop"] == "P0", "x"] = 7.0
    fit = made_up_fit("y ~ x + (x | pop)", data)
    raw = no_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    assert np.isnan(raw.estimate[0]).all()
    assert np.isfinite(raw.estimate[1:]).all()


def test_group_level_predictors_take_their_posterior_mean():
    """w is constant within pop: the raw intercept is what the rows leave after w."""
    fit = made_up_fit("y ~ w + (1 | pop)")
    raw = no_pooling(fit.design, fit.draws, fit.design.block(), ci_prob=CI)
    data = table()
    slope = fit.draws.beta[:, 0].mean()
    left = data["y"] - slope * (data["w"] - data["w"].mean())
    np.testing.assert_allclose(raw.estimate[:, 0], left.groupby(data["pop"]).mean(), rtol=1e-9)


def test_partial_pooling_is_the_coefficient_at_the_mean():
    fit = made_up_fit("y ~ x + z + (x | pop)")
    found = partial_pooling(fit.design, fit.draws, fit.design.block())
    draws, data = fit.draws, table()
    slope = draws.beta[:, None, 0] + draws.effects["pop"][:, :, 1]
    np.testing.assert_allclose(found[:, :, 1], slope, rtol=1e-9)
    at_mean = (
        draws.intercept[:, None]
        + draws.effects["pop"][:, :, 0]
        + slope * data["x"].mean()
        + draws.beta[:, None, 1] * data["z"].mean()
    )
    np.testing.assert_allclose(found[:, :, 0], at_mean, rtol=1e-9)


def test_nested_levels_include_the_effects_of_their_parents():
    fit = made_up_fit("y ~ (1 | pop/patch)")
    block = fit.design.block("pop:patch")
    found = partial_pooling(fit.design, fit.draws, block)
    parents = [list(fit.design.block("pop").levels).index(c.split(":")[0]) for c in block.levels]
    expected = (
        fit.draws.intercept[:, None]
        + fit.draws.effects["pop"][:, parents, 0]
        + fit.draws.effects["pop:patch"][:, :, 0]
    )
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-9)


def balanced(n=8, groups=6):
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(groups), n)
    return pd.DataFrame({"y": 30 + group + rng.normal(size=n * groups), "g": group})


def test_reliability_of_a_balanced_design():
    """tau^2 / (tau^2 + sigma^2 / n), each draw."""
    fit = made_up_fit("y ~ 1 + (1 | g)", balanced())
    found = reliability(fit.design, fit.draws, fit.design.block())
    tau2, sigma2 = fit.draws.sd["g"][:, 0] ** 2, fit.draws.residual**2
    np.testing.assert_allclose(
        found[:, :, 0], np.tile(tau2 / (tau2 + sigma2 / 8), (6, 1)).T, rtol=1e-9
    )


@pytest.mark.parametrize("extra", [None, "error"])
@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | pop)", "y ~ (1 | pop/patch)", "y ~ (x || pop) + (1 | year)"]
)
def test_reliability_is_what_a_dense_conditional_says(formula, extra):
    """1 - Var(b | y, beta, theta) / Var(b | theta), from the joint normal of b and y."""
    fit = made_up_fit(formula, se=extra)
    design, draws = fit.design, fit.draws
    every = {b.name: reliabilities(design, draws, b) for b in design.blocks}
    for s in (0, 11):
        z, prior = [], []
        for block in design.blocks:
            hot = np.eye(block.n_levels)[block.index]
            raw = block.columns.standardised
            z.append(np.einsum("nj,nq->njq", hot, raw).reshape(design.n, -1))
            back = np.linalg.inv(block.transform)
            sigma = back @ draws.covariance(block.name)[s] @ back.T
            prior.append(np.kron(np.eye(block.n_levels), sigma))
        zs = np.hstack(z)
        full = np.zeros((zs.shape[1], zs.shape[1]))
        at = 0
        for p in prior:
            full[at : at + len(p), at : at + len(p)] = p
            at += len(p)
        noise = design.se**2 if design.se is not None else np.full(design.n, draws.residual[s] ** 2)
        cover = zs @ full @ zs.T + np.diag(noise)
        known = full @ zs.T @ np.linalg.solve(cover, zs @ full)
        at = 0
        for block in design.blocks:
            size = block.n_levels * len(block.terms)
            own = slice(at, at + size)
            # intercepts at the mean of x, and where x is 0, as `ranef` and `coef` have them
            for kind, effects in enumerate((np.eye(len(block.terms)), block.transform)):
                t = np.kron(np.eye(block.n_levels), effects)
                share = np.diag(t @ known[own, own] @ t.T) / np.diag(t @ full[own, own] @ t.T)
                np.testing.assert_allclose(
                    every[block.name][kind][s], share.reshape(block.n_levels, -1), rtol=1e-6
                )
            at += size


def test_no_variance_means_full_shrinkage():
    fit = made_up_fit("y ~ 1 + (1 | pop)")
    posterior = fit.idata["posterior"].to_dataset()
    fit.idata["posterior"] = posterior.assign(sd_pop=0 * posterior["sd_pop"])
    assert (reliability(fit.design, fit.draws, fit.design.block()) == 0).all()


def test_pooling_factor_is_one_without_information():
    """Effects drawn from their prior, whatever the data: all means are near zero."""
    fit = made_up_fit("y ~ 1 + (1 | pop)")
    factor = pooling_factor(fit.draws, fit.design.block())
    n = fit.draws.n
    # Var_j of five means of n draws, over the variance of a draw: 1/n on average, chi2_4
    assert 1 - factor[0] < stats.chi2(4).ppf(1 - 1e-6) / 4 / n * 2


def test_shrinkage_table_has_all_three():
    found = made_up_fit("y ~ x + (x | pop)").shrinkage()
    assert list(found.columns[:4]) == ["group", "level", "term", "n"]
    for name in ("raw", "complete", "shrinkage"):
        assert (found[f"{name}_lower"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_upper"]).all()
    assert found["shrinkage"].between(0, 1).all()
    assert "Pooling factor of pop" in found.note


def test_shrinkage_stands_beside_the_effect_that_it_belongs_to():
    """The intercept of `coef` and `ranef` is at 0, that of `shrinkage` at the mean of x."""
    fit = made_up_fit("y ~ x + (x | pop)")
    at_mean, at_zero = reliabilities(fit.design, fit.draws, fit.design.block())
    for table_of, values in ((fit.coef, at_zero), (fit.ranef, at_zero), (fit.shrinkage, at_mean)):
        found = table_of("pop")
        np.testing.assert_allclose(
            found["shrinkage"].to_numpy(dtype=float).reshape(5, 2),
            np.median(1 - values, axis=0),
            rtol=1e-9,
        )
    assert np.abs((at_zero - at_mean).mean(axis=0)[:, 0]).max() > 5e-3
