"""Variances, ICC and R2 on both scales: figures of R, closed forms, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table
from scipy.special import expit, polygamma
from stand_in import fit_of

from hiermodels.errors import NotAvailableError, UnknownNameError
from hiermodels.numbers.expected import is_linear
from hiermodels.numbers.variance import (
    components,
    explained_variance,
    intraclass,
    monte_carlo_error,
    strata_change,
)

#: Names in the reference, how its lambda was made, and our family.
LATENT = {
    "rehab_null": "poisson",
    "eulaema_nbinom2": "negbinomial",
    "dragons_beta_nested_z": "beta",
    "dragons_beta_intercept_z": "beta",
    "rehab_two_predictors": "poisson",
}


@pytest.mark.parametrize("name", LATENT)
def test_latent_icc_is_that_of_the_reference(reference, name):
    """Nakagawa, Johnson & Schielzeth 2017 by hand in R, at its estimates and its own lambda."""
    case = reference[name]
    theirs, family = case["variance_by_hand"], LATENT[name]
    sds = {k: v["sd"][0] for k, v in case["random"].items()}
    formula = "y ~ 1 + (1 | pop)" if len(sds) == 1 else "y ~ 1 + (1 | pop/patch)"
    names = ["pop"] if len(sds) == 1 else ["pop:patch", "pop"]
    own = case.get("dispersion") or {}
    key = {"negbinomial": "alpha", "beta": "phi"}.get(family)
    auxiliary = {key: own["value"]} if key else {}
    fit = fit_of(
        family, formula, sd=dict(zip(names, sds.values(), strict=True)), auxiliary=auxiliary
    )
    # their lambda or mu, out of their distribution-specific variance
    if family == "beta":
        product = 1 / (theirs["var_dist"] * (1 + own["value"]))
        expected = 0.5 + np.sqrt(0.25 - product)
    else:
        expected = 1 / (np.expm1(theirs["var_dist"]) - (1 / own["value"] if own else 0))
    if name.startswith("rehab"):
        # of these the null model is in the reference: exp(b0 + V / 2)
        null = reference["rehab_null"]
        intercept = null["fixed"]["(Intercept)"]["estimate"]
        expected = np.exp(intercept + null["variance_by_hand"]["var_random"] / 2)
    found = components(fit.design, fit.draws, scale="latent", expected=expected)
    assert found.residual[0] == pytest.approx(theirs["var_dist"], rel=1e-6)
    assert found.groups[0].sum() == pytest.approx(theirs["var_random"], rel=1e-6)
    icc = intraclass(fit.design, found)
    share = icc.adjusted[0, [k == "single" for k in icc.kinds]].sum()
    assert share == pytest.approx(theirs["icc_adjusted"], rel=1e-6)
    # V_f of the made-up data put in the place of theirs
    whole = found.total[0] + theirs["var_fixed"]
    assert theirs["var_fixed"] / whole == pytest.approx(theirs["r2_marginal"], rel=1e-6, abs=1e-12)
    assert 1 - found.residual[0] / whole == pytest.approx(theirs["r2_conditional"], rel=1e-6)


@pytest.mark.parametrize(
    "name",
    ["variance_x1_ml", "sites_slope_reml", "sleepstudy_slope_reml", "penicillin_crossed_reml"],
)
def test_gaussian_shares_are_those_of_the_reference(reference, name):
    """At their estimates and on their data; R's var divides by n - 1."""
    import hiermodels as hm

    formulas = {
        "variance_x1_ml": "y ~ x1 + (1 | groupID)",
        "sites_slope_reml": "y ~ x + (x | site)",
        "sleepstudy_slope_reml": "Reaction ~ Days + (Days | Subject)",
        "penicillin_crossed_reml": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    }
    case = reference[name]
    fit = made_up_fit(formulas[name], hm.load_dataset(case["dataset"].removesuffix(".csv")))
    n, theirs = fit.draws.n, case["variance_by_hand"]
    random = {b.name: case["random"][b.name] for b in fit.design.blocks}
    fixed = [v["estimate"] for v in case["fixed"].values()]
    draws = replace(
        fit.draws,
        beta=np.tile(fixed[1:], (n, 1)).reshape(n, len(fixed) - 1),
        sd={g: np.tile(v["sd"], (n, 1)) for g, v in random.items()},
        cor={g: np.tile(np.array(v["corr"] or [[1.0]]), (n, 1, 1)) for g, v in random.items()},
        residual=np.full(n, case["sigma"]),
    )
    found = components(fit.design, draws)
    rows = fit.design.n
    assert found.groups[0].sum() == pytest.approx(theirs["var_random"], rel=1e-6)
    assert found.common[0] * rows / (rows - 1) == pytest.approx(theirs["var_fixed"], rel=1e-6)
    whole = found.total[0] + found.common[0]
    # within what n - 1 in the place of n makes
    r2 = explained_variance(fit.design, draws, found)
    assert r2.marginal[0] == pytest.approx(theirs["r2_marginal"], rel=1.01 / rows, abs=1e-12)
    assert r2.conditional[0] == pytest.approx(theirs["r2_conditional"], rel=1.01 / rows)
    assert r2.marginal[0] == pytest.approx(found.common[0] / whole)


def test_variants_of_the_latent_scale():
    """Poisson at lambda = 3: log(1 + 1/3), 1/3, psi1(3)."""
    fit = fit_of("poisson", "y ~ 1 + (1 | pop)", sd={"pop": 0.5})
    for variant, value in {
        "lognormal": np.log(4 / 3),
        "delta": 1 / 3,
        "trigamma": polygamma(1, 3.0),
    }.items():
        found = components(fit.design, fit.draws, scale="latent", variant=variant, expected=3.0)
        np.testing.assert_allclose(found.residual, value, rtol=1e-9)
    with pytest.raises(UnknownNameError, match="Valid: delta, lognormal, trigamma"):
        fit.icc(scale="latent", variant="logdelta")


def test_gamma_does_not_depend_on_its_mean():
    fit = fit_of("gamma", "y ~ 1 + (1 | pop)", sd={"pop": 0.5}, auxiliary={"alpha": 4.0})
    for variant, value in {"delta": 0.25, "trigamma": polygamma(1, 4.0)}.items():
        found = components(fit.design, fit.draws, scale="latent", variant=variant)
        np.testing.assert_allclose(found.residual, value, rtol=1e-9)


def test_lambda_is_the_mean_of_the_model_itself():
    """mean_i exp(f_i + V_i / 2), each draw."""
    fit = fit_of("poisson", "y ~ z + (1 | pop)", sd={"pop": 0.5}, spread=0.1)
    found = components(fit.design, fit.draws, scale="latent")
    draws, z = fit.draws, fit.design.common.values
    f = draws.intercept[:, None] + draws.beta @ z.T
    m = np.exp(f + draws.sd["pop"] ** 2 / 2).mean(axis=1)
    np.testing.assert_allclose(found.mean, m, rtol=1e-9)
    np.testing.assert_allclose(found.residual, np.log1p(1 / m), rtol=1e-9)


@pytest.mark.parametrize(
    ("link", "value"), [("logit", np.pi**2 / 3), ("probit", 1.0), ("cloglog", np.pi**2 / 6)]
)
def test_residual_of_a_threshold_is_that_of_the_link(link, value):
    fit = fit_of("bernoulli", "y ~ 1 + (1 | pop)", link=link, sd={"pop": 0.5})
    found = components(fit.design, fit.draws, scale="latent")
    np.testing.assert_allclose(found.residual, value)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_beta_by_the_slope_of_its_link(link):
    """Var(y) / (d mu / d eta)^2 with the slope by finite differences."""
    from scipy.special import ndtr

    inverse = {"logit": expit, "probit": ndtr, "cloglog": lambda e: -np.expm1(-np.exp(e))}[link]
    fit = fit_of("beta", "y ~ 1 + (1 | pop)", link=link, sd={"pop": 0.5}, auxiliary={"phi": 4.0})
    eta = 0.3
    mu, slope = inverse(eta), (inverse(eta + 1e-5) - inverse(eta - 1e-5)) / 2e-5
    found = components(fit.design, fit.draws, scale="latent", expected=mu)
    np.testing.assert_allclose(found.residual, mu * (1 - mu) / 5 / slope**2, rtol=1e-6)


def test_without_a_scale_an_error_that_explains_both():
    fit = fit_of("poisson", "y ~ 1 + (1 | pop)", sd={"pop": 0.5})
    assert not is_linear(fit.design)
    for report in (fit.icc, fit.variance_table, fit.r2, fit.repeatability):
        with pytest.raises(UnknownNameError, match="scale='latent'") as caught:
            report()
        assert "scale='data'" in str(caught.value)
    with pytest.raises(UnknownNameError, match="Valid: data, latent"):
        fit.icc(scale="link")


def test_a_linear_model_has_one_scale():
    fit = made_up_fit("y ~ x + (1 | pop)")
    for scale in ("latent", "data"):
        np.testing.assert_array_equal(
            fit.icc().select_dtypes("number"), fit.icc(scale=scale).select_dtypes("number")
        )


def test_repeatability_of_one_row_is_the_icc():
    fit = made_up_fit("y ~ x + (1 | pop/patch) + (1 | year)")
    icc, one = fit.icc(), fit.repeatability()
    np.testing.assert_allclose(one["repeatability"], icc["icc"])
    fit = made_up_fit("y ~ x + (1 | pop)")
    tau, sigma = fit.draws.sd["pop"][:, 0] ** 2, fit.draws.residual**2
    found = fit.repeatability(5)["repeatability"].iloc[0]
    assert found == pytest.approx(np.median(tau / (tau + sigma / 5)))
    with pytest.raises(ValueError, match="n=0"):
        fit.repeatability(0)


def test_bayesian_r2_of_the_rows():
    fit = made_up_fit("y ~ x + (x | pop)")
    design, draws = fit.design, fit.draws
    found = fit.r2()
    by_hand = np.empty(draws.n)
    block = design.block()
    for s in range(draws.n):
        eta = draws.intercept[s] + design.common.values @ draws.beta[s]
        eta = eta + (block.columns.values * draws.effects["pop"][s][block.index]).sum(axis=1)
        by_hand[s] = eta.var() / (eta.var() + draws.residual[s] ** 2)
    row = found[found["r2"] == "Bayesian"].iloc[0]
    assert row["estimate"] == pytest.approx(np.median(by_hand), rel=1e-9)
    assert row["upper"] == pytest.approx(np.quantile(by_hand, 0.975), rel=1e-9)


def test_r2_without_groups():
    found = made_up_fit("y ~ x").r2()
    marginal, conditional, _ = found["estimate"]
    assert marginal == pytest.approx(conditional)


def test_change_of_each_stratum():
    fit, null = (
        made_up_fit("y ~ x + (1 | pop/patch)"),
        made_up_fit("y ~ 1 + (1 | pop/patch)", seed=5),
    )
    found = fit.r2(null=null)
    row = found[found["r2"] == "change of pop:patch"].iloc[0]
    own, other = (np.median(f.draws.sd["pop:patch"][:, 0] ** 2) for f in (fit, null))
    assert row["estimate"] == pytest.approx(1 - own / other)
    assert np.isnan(row["lower"])
    assert np.isnan(row["upper"])
    assert "negative" in found.note
    slopes = made_up_fit("y ~ x + (x | pop)")
    with pytest.raises(NotAvailableError, match="random slopes"):
        slopes.r2(null=null)
    with pytest.raises(NotAvailableError, match="same factors and rows"):
        made_up_fit("y ~ x + (1 | pop)").r2(null=null)


def test_strata_change_of_fits_with_unequal_draws():
    fit = made_up_fit("y ~ x + (1 | pop)")
    parts = components(fit.design, fit.draws)
    short = replace(parts, groups=parts.groups[:11], residual=parts.residual[:11])
    found = strata_change(fit.design, parts, fit.design, short)
    # every draw of both counts, whichever of them there are more of
    wanted = 1 - np.median(parts.groups) / np.median(parts.groups[:11])
    assert found["pop"].estimate == pytest.approx(wanted)
    same = strata_change(fit.design, parts, fit.design, parts)
    assert [change.estimate for change in same.values()] == [0.0, 0.0]


def test_cv2_of_a_log_link_is_that_of_the_response():
    """exp(V_g) - 1 on both scales, exactly."""
    fit = fit_of("poisson", "y ~ z + (1 | pop) + (1 | year)", sd={"pop": 0.6, "year": 0.4})
    latent, data = fit.variance_table(scale="latent"), fit.variance_table(scale="data")
    for found in (latent, data):
        by_factor = found.set_index("component")["cv2"]
        assert by_factor["pop"] == pytest.approx(np.expm1(0.36), rel=1e-7)
        assert by_factor["year"] == pytest.approx(np.expm1(0.16), rel=1e-7)
    parts = data.set_index("component")["cv2"]
    left = np.exp(0.52) - np.exp(0.36) - np.exp(0.16) + 1
    assert parts["between factors"] == pytest.approx(left, rel=1e-6)
    single = parts[["pop", "year", "between factors", "residual"]].sum()
    assert parts["total"] == pytest.approx(single, rel=1e-6)


@pytest.mark.parametrize("scale", ["latent", "data"])
def test_cv2_of_a_share_is_refused(scale):
    fit = fit_of("bernoulli", "y ~ 1 + (1 | pop)", sd={"pop": 0.6})
    found = fit.variance_table(scale=scale)
    assert "cv2" not in found.columns
    assert "No CV²:" in found.note


def test_icc_as_a_function_of_x():
    """z(x)' Sigma z(x) over itself and the residual variance, by hand."""
    fit = made_up_fit("y ~ x + z + (x | pop)")
    found = fit.icc(at={"x": [0.0, 8.0, 20.0]})
    assert list(found["x"]) == [0.0, 8.0, 20.0]
    for x, value in zip(found["x"], found["icc"], strict=True):
        z = np.array([1.0, x])
        v = np.einsum("q,sqr,r->s", z, fit.draws.covariance("pop"), z)
        assert value == pytest.approx(np.median(v / (v + fit.draws.residual**2)), rel=1e-9)
    with pytest.raises(ValueError, match="no column 'xx'"):
        fit.icc(at={"xx": [1]})


def test_icc_at_of_two_columns_and_a_category():
    fit = made_up_fit("y ~ f + x + (f | pop)", table())
    found = fit.icc(at={"f": ["low", "high", "mid"]})
    assert list(found["f"]) == ["low", "high", "mid"]
    sigma = fit.draws.covariance("pop")
    first = sigma[:, 0, 0]
    by_level = found.set_index("f")["icc"]
    reference = sorted(table()["f"].unique())[0]
    expected = np.median(first / (first + fit.draws.residual**2))
    assert by_level[reference] == pytest.approx(expected, rel=1e-9)


def test_icc_at_on_the_data_scale():
    """A log link: each row's own closed form, with the other predictors at their means."""
    fit = fit_of("poisson", "y ~ z + (z | pop)", sd={"pop": [0.5, 0.2]}, intercept=0.2)
    found = fit.icc(scale="data", at={"z": [-1.0, 2.0]})
    draws = fit.draws
    for z, value in zip((-1.0, 2.0), found["icc"], strict=True):
        row = np.array([1.0, z])
        v = np.einsum("q,sqr,r->s", row, draws.covariance("pop"), row)
        m = np.exp(0.2 + z * draws.beta[:, 0] + v / 2)
        group = m**2 * np.expm1(v)
        assert value == pytest.approx(np.median(group / (group + m)), rel=1e-6)


def test_monte_carlo_error_is_that_of_a_chain():
    """Of an autoregressive series with known spectrum: sd sqrt((1 + r) / (1 - r) / n)."""
    rng, r, n = np.random.default_rng(0), 0.5, 20_000
    errors = []
    for _ in range(30):
        noise = rng.normal(size=n)
        x = np.empty(n)
        x[0] = noise[0]
        for i in range(1, n):
            x[i] = r * x[i - 1] + noise[i]
        errors.append(monte_carlo_error(x)[0])
    truth = np.sqrt(1 / (1 - r**2) * (1 + r) / (1 - r) / n)
    # the mean of 30 sds of 20 means each: 3 %
    assert np.mean(errors) == pytest.approx(truth, rel=0.1)


def test_mean_response_is_in_the_table():
    fit = fit_of("poisson", "y ~ 1 + (1 | pop)", sd={"pop": 0.6}, intercept=1.0)
    found = fit.variance_table(scale="data")
    assert found.attrs["mean"]["estimate"] == pytest.approx(np.exp(1.18), rel=1e-7)
    assert found.note.startswith("Mean of y over all possible groups: 3.25")
    assert found.title.startswith("Variance components, data scale (y)")
    assert isinstance(found, pd.DataFrame)
