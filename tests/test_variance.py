"""Identities of the variance report, on made-up draws."""

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table

from hiermodels.numbers.variance import components, intraclass

FORMULAS = [
    "y ~ 1 + (1 | pop)",
    "y ~ x + (x | pop)",
    "y ~ x + z + (x + z || pop)",
    "y ~ x + z + (x + z | pop) + (1 | year)",
    "y ~ f + (f | pop)",
    "y ~ x + (1 | pop/patch)",
    "y ~ (1 | pop/patch) + (x | year)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_group_variance_is_the_mean_over_the_rows(formula):
    """V_g = mean_i z_i' Sigma_g z_i with raw columns, one draw and one row at a time."""
    fit = made_up_fit(formula)
    parts = components(fit.design, fit.draws)
    for block in fit.design.blocks:
        sigma = fit.draws.covariance(block.name)
        z = block.columns.values
        for s in (0, 7, 100):
            by_hand = np.mean([row @ sigma[s] @ row for row in z])
            assert parts.factor(block.name)[s] == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize("formula", FORMULAS)
def test_shares_add_up(formula):
    """Each draw; the medians of their shares need not."""
    fit = made_up_fit(formula)
    icc = intraclass(fit.design, components(fit.design, fit.draws))
    single = [k for k, kind in enumerate(icc.kinds) if kind == "single"]
    parts = components(fit.design, fit.draws)
    rest = 1 - parts.residual / parts.total
    np.testing.assert_allclose(icc.adjusted[:, single].sum(axis=1), rest, rtol=1e-12)


def test_common_variance_and_mean_are_those_of_the_rows():
    fit = made_up_fit("y ~ x + z + (x | pop) + offset(w)")
    parts, design, draws = components(fit.design, fit.draws), fit.design, fit.draws
    for s in (0, 50):
        common = design.common.values @ draws.beta[s]
        assert parts.common[s] == pytest.approx(common.var(), rel=1e-9)
        block = design.block()
        effects = (block.columns.values * draws.effects["pop"][s][block.index]).sum(axis=1)
        eta = design.offset + draws.intercept[s] + common + effects
        assert parts.mean[s] == pytest.approx(eta.mean(), rel=1e-9)


def test_cumulative_icc_is_the_correlation_of_two_rows_of_one_cell():
    fit = made_up_fit("y ~ (1 | pop/patch)")
    icc = intraclass(fit.design, components(fit.design, fit.draws))
    assert icc.labels == ("pop", "pop:patch", "pop + pop:patch")
    assert icc.kinds == ("single", "single", "cumulative")
    sd, sigma = fit.draws.sd, fit.draws.residual
    pop, patch = sd["pop"][:, 0] ** 2, sd["pop:patch"][:, 0] ** 2
    np.testing.assert_allclose(icc.adjusted[:, 2], (pop + patch) / (pop + patch + sigma**2))


def scaled(fit, factor):
    """The same posterior for ``factor * y``."""
    data = table().assign(y=lambda d: factor * d["y"])
    other = made_up_fit(fit.design.formula.text, data)
    posterior = fit.idata["posterior"].to_dataset()
    same = [name for name in posterior.data_vars if str(name).startswith("cor_")]
    changed = (factor * posterior.drop_vars(same)).assign({n: posterior[n] for n in same})
    other.idata["posterior"] = changed.assign_attrs(posterior.attrs)
    return other


@pytest.mark.parametrize("formula", FORMULAS)
def test_shares_and_cv2_do_not_depend_on_the_unit_of_the_response(formula):
    one = made_up_fit(formula)
    ten = scaled(one, 10.0)
    columns = ["percent", "percent_lower", "percent_upper", "cv2", "cv2_lower", "cv2_upper"]
    np.testing.assert_allclose(
        one.variance_table()[columns].to_numpy(float),
        ten.variance_table()[columns].to_numpy(float),
        rtol=1e-9,
    )
    numbers = one.icc().select_dtypes("number").to_numpy()
    np.testing.assert_allclose(numbers, ten.icc().select_dtypes("number").to_numpy(), rtol=1e-9)


def test_cv2_depends_on_the_origin_of_the_response():
    one = made_up_fit("y ~ 1 + (1 | pop)")
    shifted = made_up_fit("y ~ 1 + (1 | pop)", table().assign(y=lambda d: d["y"] + 100))
    posterior = one.idata["posterior"].to_dataset()
    shifted.idata["posterior"] = posterior.assign(Intercept=posterior["Intercept"] + 100)
    assert (shifted.variance_table()["cv2"] < one.variance_table()["cv2"]).all()
    np.testing.assert_allclose(shifted.icc()["icc"], one.icc()["icc"])


def test_cv2_is_refused_where_zero_is_no_zero():
    found = made_up_fit("y ~ 1 + (1 | pop)", table().assign(y=lambda d: d["y"] - 20))
    printed = found.variance_table()
    assert "cv2" not in printed.columns
    assert printed.note.endswith(
        "No CV²: the response has negative values, so its zero is not the absence of the quantity."
    )


def test_varcorr_has_sds_variances_and_correlations():
    fit = made_up_fit("y ~ x + z + (x + z | pop) + (1 | year)")
    found = fit.varcorr()
    quantities = found.groupby(["group", "quantity"]).size()
    assert quantities["pop", "sd"] == 3
    assert quantities["pop", "correlation"] == 3
    assert quantities["residual", "sd"] == 1
    row = found[(found["term"] == "x") & (found["term_bis"] == "z")].iloc[0]
    assert row["estimate"] == pytest.approx(np.median(fit.draws.cor["pop"][:, 2, 1]))
    at_mean = found[found["quantity"] == "sd at the mean"].iloc[0]
    block = fit.design.block("pop")
    center = np.array([1, *table()[["x", "z"]].mean()])
    by_hand = np.sqrt(np.einsum("q,sqr,r->s", center, fit.draws.covariance("pop"), center))
    assert block.columns.center.any()
    assert at_mean["estimate"] == pytest.approx(np.median(by_hand), rel=1e-9)


def test_weights_are_frequencies():
    """A row of weight 2 counts as the row twice."""
    data = table(n=60)
    weights = np.random.default_rng(0).integers(1, 4, 60)
    repeated = data.loc[data.index.repeat(weights)]
    from hiermodels.fitting import Model

    one = Model("y ~ x + (1 | pop)", data, weights=weights).design
    twice = Model("y ~ x + (1 | pop)", repeated).design
    draws = made_up_fit("y ~ x + (1 | pop)", repeated).draws
    a, b = components(one, draws), components(twice, draws)
    np.testing.assert_allclose(a.common, b.common, rtol=1e-9)
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-9)


def test_known_errors_are_the_residual_variance():
    fit = made_up_fit("y ~ 1 + (1 | pop)", se="error")
    parts = components(fit.design, fit.draws)
    np.testing.assert_allclose(parts.residual, (table()["error"] ** 2).mean())
    assert "residual" not in set(fit.varcorr()["group"])


def test_the_chapters_simulation_by_hand():
    """Percent among and CV2 from given estimates, as the chapter computes them."""
    from hiermodels.numbers.variance import cv2

    among, within, mean = 9.2049116605, 11.8685591421, 38.7678886726
    assert 100 * among / (among + within) == pytest.approx(43.680, abs=5e-4)
    expected = pd.Series([0.006, 0.008, 0.014])
    variances = np.array([among, within, among + within])
    np.testing.assert_allclose(cv2(variances, mean).round(3), expected)
