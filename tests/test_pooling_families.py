"""Pooling beyond the Gaussian: estimates against statsmodels, scores against brute force."""

import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from made_up import table
from scipy.special import logsumexp
from scipy.stats import norm, poisson

import hiermodels as hm
from hiermodels.collapsed import gaussian_problem
from hiermodels.design import INTERCEPT
from hiermodels.disjoint import NAME, columns_apart, common_again, disjoint_levels, gaussian_apart
from hiermodels.fitting import Model
from hiermodels.numbers.comparison import fixed_groups, fixed_rows
from hiermodels.rowwise import row_problem
from hiermodels.workflows.fixed_effects import estimable, fixed_effects
from hiermodels.workflows.pooling import (
    complete_design,
    complete_fixed,
    complete_priors,
    other_factors,
    unpool,
    unpooled_coefficients,
    unpooled_fixed,
    unpooled_priors,
)
from hiermodels.workflows.pooling_report import answer, difference, outside_scores

mpl.use("Agg")


def made(n_levels=6, n=20, seed=5):
    """Rows of six levels with a predictor, and responses of several families."""
    rng = np.random.default_rng(seed)
    site = np.repeat([f"s{k}" for k in range(n_levels)], n)
    x = rng.normal(size=len(site))
    own = np.repeat(rng.normal(0, 0.5, n_levels), n)
    mu = np.exp(2.2 + own + 0.3 * x)
    share = 1 / (1 + np.exp(-(own + 0.5 * x)))
    count = rng.poisson(mu)
    return pd.DataFrame(
        {
            "site": site,
            "x": x,
            "count": count,
            "spread": rng.negative_binomial(3.0, 3.0 / (3.0 + mu)),
            "zeros": np.where(rng.random(len(site)) < 0.2, 0, count),
            "amount": rng.gamma(4.0, mu / 4.0),
            "yes": rng.binomial(1, share),
            "hits": rng.binomial(12, share),
            "tries": 12,
            "log_e": rng.normal(0, 0.3, len(site)),
            "grade": np.digitize(own + 0.5 * x + rng.logistic(size=len(site)), [-1.0, 1.0]),
        }
    )


@pytest.fixture(scope="module")
def data():
    return made()


@pytest.fixture(scope="module")
def counts(data):
    """A Poisson model with an intercept and a slope in each level."""
    return hm.pooling(
        *("count ~ x + (x | site)", data),
        family="poisson",
        random_seed=1,
        progressbar=False,
    )


def near(estimate, sd, expected):
    """Within a quarter of a posterior sd.

    A tenth is Monte Carlo error (4 MCSE at an ESS of 1,500), as much the prior, wide but proper,
    and the rest a mean beside a mode: of the log of a rate with 100 events 0.05 sds.
    """
    assert (np.abs(np.asarray(estimate) - expected) < 0.25 * np.asarray(sd)).all()


def test_fixed_effect_fits_are_those_of_statsmodels(counts, data):
    one = smf.glm("count ~ x", data, family=sm.families.Poisson()).fit()
    each = smf.glm("count ~ 0 + site + site:x", data, family=sm.families.Poisson()).fit()
    for term, name, own in ((INTERCEPT, "Intercept", "site[{}]"), ("x", "x", "site[{}]:x")):
        rows = counts[counts["term"] == term]
        names = [own.format(level) for level in rows["level"]]
        near(rows["complete"], rows["complete_sd"], one.params[name])
        near(rows["no"], rows["no_sd"], each.params[names].to_numpy())
        # two ways to the same maximum, each within its tolerance of 1e-8 in the deviance
        np.testing.assert_allclose(rows["complete_ml"], one.params[name], atol=1e-5)
        np.testing.assert_allclose(rows["no_ml"], each.params[names], atol=1e-5)
        np.testing.assert_allclose(rows["no_ml_se"], each.bse[names], rtol=1e-4)


def test_posterior_sds_are_the_standard_errors(counts):
    """Within 15 %: 2 % is Monte Carlo error, the rest the curvature of levels with few events."""
    np.testing.assert_allclose(counts["no_sd"], counts["no_ml_se"], rtol=0.15)


def test_scores_say_where_there_is_none(counts):
    scores = counts.scores.set_index("pooling")
    assert list(scores.index) == ["complete", "no", "partial"]
    assert list(scores["coefficients"]) == ["2", "12", ""]
    assert np.isnan(scores.loc["no", "logo"])
    assert np.isfinite(scores.loc[["complete", "partial"], "logo"]).all()
    assert "says nothing of a new level of site" in counts.scores.text()
    assert 2 < scores.loc["partial", "effective"] < 12.5


def test_scores_are_those_of_the_fits(counts):
    found = hm.compare({k: counts.fits[k] for k in ("complete", "partial")}).set_index("model")
    gap = found.loc["complete", "elpd"] - found.loc["partial", "elpd"]
    row = counts.scores.set_index("pooling").loc["complete"]
    # the same draws and the same function
    np.testing.assert_allclose(row["loo_difference"], gap, rtol=1e-10)
    np.testing.assert_allclose(row["loo"], found.loc["complete", "elpd"], rtol=1e-10)


def test_the_answer_has_the_numbers(counts):
    told = str(counts.answer)
    assert "Why not use site as a fixed effect?" in told
    assert "6 levels make 12 coefficients where complete pooling has 2" in told
    each = counts.scores.set_index("pooling")["effective"]
    words = [f"{each[kind]:.1f} with {kind} pooling" for kind in ("complete", "no", "partial")]
    assert f"all by loo: {words[0]}, {words[1]} and {words[2]}." in told
    assert "120 rows" in told
    rows = counts[counts["term"] == "x"]
    assert f"{(rows['no_upper'] - rows['no_lower']).mean():.3g} wide" in told
    assert f"{(rows['partial_upper'] - rows['partial_lower']).mean():.3g} with partial" in told
    gap = -counts.scores.set_index("pooling").loc["complete", "logo_difference"]
    # with six sites the standard error is about half the difference: either verdict may be told
    assert re.search(
        rf"(than complete pooling|complete pooling cannot be told apart) "
        rf"\({re.escape(f'{gap:+.1f}')} in log density",
        told,
    )


def test_levels_that_importance_sampling_cannot_leave_out(counts, data):
    """Against a grid of the two coefficients of y ~ x, fitted without each level."""
    design = counts.fits["complete"].design
    X = np.column_stack([np.ones(design.n), design.common.standardised])
    intercept, slope = (p.inside.parameters for p in list(counts.fits["complete"].priors)[:2])
    y = design.response
    at = counts.fits["complete"].draws
    middle = [at.intercept.mean() + (at.beta[:, 0] * design.common.center[0]).mean(), 0.3]
    a, b = np.meshgrid(*(m + np.linspace(-0.8, 0.8, 201) for m in middle), indexing="ij")
    prior = norm.logpdf(a, intercept["mu"], intercept["sigma"])
    prior += norm.logpdf(b, slope["mu"], slope["sigma"])
    flat = np.column_stack([a.ravel(), b.ravel()])
    rows = poisson.logpmf(y, np.exp(flat @ X.T))
    block = Model("count ~ x + (x | site)", data, family="poisson").design.block()
    found = outside_scores("complete", counts.fits["complete"], block, seed=1).logo
    assert not found.bad
    for j, level in enumerate(found.labels):
        out = (data["site"] == level).to_numpy()
        rest = prior.ravel() + rows[:, ~out].sum(axis=1)
        expected = logsumexp(rest + rows[:, out].sum(axis=1)) - logsumexp(rest)
        # log p has an sd of up to 9 over the draws: 0.3 is the error of a mean of 1,000 effective
        # ones, as much that of its variance / 12, and the rule leaves out the fourth cumulants
        assert abs(found.pointwise[j] - expected) < 1


def test_widths_are_compared_where_the_levels_mean_the_same(counts):
    block = counts.fits["partial"].design.block()
    found = {k: outside_scores("no", fit, block, seed=1) for k, fit in counts.fits.items()}
    told = str(answer(counts, found, block, dropped=("w",)))
    assert "not estimable beside it as a fixed effect: w." in told
    assert "wide with no pooling" not in told
    assert "wide with no pooling" in str(answer(counts, found, block, dropped=()))


def test_it_prints_in_one_piece(counts):
    text = counts.text()
    assert "no_ml" in text
    assert "_sd" not in text
    assert counts.answer.sentences[1] in text
    first = counts.iloc[0]
    digits = int(1 - np.floor(np.log10(first["no_ml_se"])))
    assert f"{first['no_ml']:.{digits}f} ({first['no_ml_se']:.{digits}f})" in text
    assert "<li>" in counts._repr_html_()
    assert "**Left out" in counts.to_markdown()


def test_the_picture_has_a_row_a_level(counts):
    axes = counts.plot()
    assert len(axes) == 2
    assert len(axes[0].get_yticklabels()) == 6
    one = counts.plot(term="x")
    assert one.get_xlabel().startswith("x\n")
    shown = {tuple(np.round(line.get_xdata(), 9)) for line in one.get_lines()}
    rows = counts[counts["term"] == "x"].set_index("level")
    order = counts[counts["term"] == "x"].sort_values("partial")["level"]
    assert tuple(np.round(rows.loc[order, "partial"], 9)) in shown
    plt.close("all")


#: Formula, family, and the same by statsmodels; all without a draw.
FITS = {
    "gaussian": ("count ~ x + (x | site)", "count", sm.families.Gaussian()),
    "gamma": ("amount ~ x + (x | site)", "amount", sm.families.Gamma(sm.families.links.Log())),
    "bernoulli": ("yes ~ x + (x | site)", "yes", sm.families.Binomial()),
    "binomial": ("hits / tries ~ x + (x | site)", "hits", sm.families.Binomial()),
    "poisson": ("count ~ x + offset(log_e) + (x | site)", "count", sm.families.Poisson()),
}


@pytest.mark.parametrize("name", FITS)
def test_columns_of_the_levels_are_those_of_patsy(name, data):
    text, y, family = FITS[name]
    design = Model(text, data, family=name).design
    left = "hits + I(tries - hits)" if name == "binomial" else y
    offset = data["log_e"] if "offset" in text else None
    each = smf.glm(f"{left} ~ 0 + site + site:x", data, family=family, offset=offset).fit()
    one = smf.glm(f"{left} ~ x", data, family=family, offset=offset).fit()
    found = unpooled_fixed(unpool(design, design.block()))
    levels = design.block().levels
    for term, own in ((INTERCEPT, "site[{}]"), ("x", "site[{}]:x")):
        names = [own.format(level) for level in levels]
        # the tolerance of the scoring, 1e-8 in the deviance, is some 1e-5 in a coefficient
        np.testing.assert_allclose(found[term].estimate, each.params[names], atol=1e-4)
        np.testing.assert_allclose(found[term].se, each.bse[names], rtol=1e-3)
    whole = complete_fixed(design)
    np.testing.assert_allclose(whole["x"].estimate, one.params["x"], atol=1e-4)


def test_the_dispersion_is_at_its_maximum(data):
    design = Model("spread ~ x + (1 | site)", data, family="negbinomial").design
    exog = pd.get_dummies(data["site"]).to_numpy(dtype=float)
    other = sm.NegativeBinomial(data["spread"], np.column_stack([exog, data["x"]])).fit(disp=False)
    found = unpooled_fixed(unpool(design, design.block()))
    # a flat maximum: 1e-4 in log alpha, and the stopping rule of the other optimiser
    np.testing.assert_allclose(found[INTERCEPT].estimate, other.params[:6], atol=2e-3)
    np.testing.assert_allclose(found["x"].estimate, other.params.iloc[6], atol=2e-3)


def test_a_level_without_events_is_missing_and_the_rest_is_not(data):
    empty = data.assign(count=np.where(data["site"] == "s2", 0, data["count"]))
    design = Model("count ~ x + (1 | site)", empty, family="poisson").design
    found = unpooled_fixed(unpool(design, design.block()))
    rest = empty[empty["site"] != "s2"]
    other = smf.glm("count ~ 0 + site + x", rest, family=sm.families.Poisson()).fit()
    assert list(np.isnan(found[INTERCEPT].estimate)) == [k == 2 for k in range(6)]
    np.testing.assert_allclose(found["x"].estimate, other.params["x"], atol=1e-4)
    np.testing.assert_allclose(found["x"].se, other.bse["x"], rtol=1e-3)


def test_a_slope_that_does_not_vary_in_a_level_is_missing(data):
    flat = data.assign(x=np.where(data["site"] == "s1", 1.0, data["x"]))
    design = Model("count ~ x + (x | site)", flat, family="poisson").design
    found = unpooled_fixed(unpool(design, design.block()))
    for term in (INTERCEPT, "x"):
        assert list(np.isnan(found[term].estimate)) == [k == 1 for k in range(6)]


def test_what_columns_determine():
    a, b = np.eye(4)[:, 0], np.eye(4)[:, 1]
    assert list(estimable(np.column_stack([a, b, a + b]))) == [False, False, False]
    assert list(estimable(np.column_stack([a, 2 * a, b]))) == [False, False, True]
    assert list(estimable(np.column_stack([a, b]))) == [True, True]


def test_no_columns_no_coefficients(data):
    design = Model("count ~ (1 | site)", data, family="poisson").design
    assert fixed_effects(design, np.zeros((design.n, 0))).estimate.shape == (0,)


# --- a Gaussian model without groups, rows and levels left out ------------------------------------


@pytest.fixture(scope="module")
def straight():
    """A fixed-effect fit with informative priors, so that they count in what is left out."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"g": np.repeat(list("abcd"), 4), "x": rng.normal(size=16)})
    frame["y"] = 3 + 2 * frame["x"] + rng.normal(size=16)
    priors = {
        "Intercept": hm.Prior("Normal", mu=1, sigma=2),
        "x": hm.Prior("Normal", mu=0.5, sigma=1.5),
    }
    model = Model("y ~ x + (1 | g)", frame, priors=priors)
    complete = complete_design(model.design)
    one = Model.of(complete, complete_priors(model))
    return one.fit(draws=20, random_seed=1, progressbar=False), model.design.block(), frame


def brute(fit, frame, out):
    """log p(y_out | y_rest, sigma) of each draw, from the covariance of all the rows."""
    x = frame["x"].to_numpy()
    X = np.column_stack([np.ones(16), x - x.mean()])
    sd, mean = np.array([2.0, 1.5]), np.array([1.0, 0.5])
    r = frame["y"].to_numpy() - X @ mean
    found = []
    for sigma in fit.draws.residual:
        K = (X * sd**2) @ X.T + sigma**2 * np.eye(16)
        rest = ~out
        A = K[np.ix_(out, rest)] @ np.linalg.inv(K[np.ix_(rest, rest)])
        cov = K[np.ix_(out, out)] - A @ K[np.ix_(rest, out)]
        L = np.linalg.cholesky(cov)
        z = np.linalg.solve(L, r[out] - A @ r[rest])
        found.append(norm.logpdf(z).sum() - np.log(np.diag(L)).sum())
    return np.array(found)


def test_rows_left_out_of_a_fixed_effect_fit(straight):
    fit, _, frame = straight
    found = fixed_rows(fit.design, fit.draws, fit.priors)
    expected = [brute(fit, frame, np.arange(16) == i) for i in range(16)]
    np.testing.assert_allclose(found.T, expected, rtol=1e-8)


def test_levels_left_out_of_a_fixed_effect_fit(straight):
    fit, block, frame = straight
    found = fixed_groups(fit.design, fit.draws, fit.priors, block)
    expected = [brute(fit, frame, block.index == j) for j in range(4)]
    np.testing.assert_allclose(found.T, expected, rtol=1e-8)


def test_known_errors_and_counted_rows_have_scores(data):
    few = data[::2].assign(y=np.log1p(data["count"][::2]), known=0.4, times=2)
    for more in ({"se": "known"}, {"weights": "times"}):
        found = hm.pooling(
            *("y ~ x + (1 | site)", few), draws=200, random_seed=1, progressbar=False, **more
        )
        scores = found.scores.set_index("pooling")
        assert np.isfinite(scores["loo"]).all()
        assert np.isfinite(scores.loc[["complete", "partial"], "logo"]).all()
        assert found["no_ml"].notna().all()
        # 4 MCSE of the mean of 800 draws, at an ESS of 400 at least, and the wide prior
        assert (abs(found["no"] - found["no_ml"]) < 0.3 * found["no_sd"]).all()


def test_differences_are_paired(straight):
    fit, block, _ = straight
    found = outside_scores("complete", fit, block, seed=1)
    assert found.columns == 2
    assert np.isnan(difference(found.loo, found.logo)).all()
    assert np.isnan(difference(found.loo, None)).all()


# --- other designs --------------------------------------------------------------------------------


def test_factors_within_this_one_sum_to_zero_in_each_of_its_levels():
    design = Model("y ~ (1 | pop/patch)", table()).design
    pop, patch = design.block("pop"), design.block("pop:patch")
    found = unpool(design, pop)
    assert np.linalg.matrix_rank(found.design.common.values) == patch.n_levels
    assert found.design.common.values.shape[1] == patch.n_levels
    ((_, within),) = other_factors(design, pop)
    assert list(np.unique(within)) == list(range(pop.n_levels))


#: Families that statsmodels does not have, one of each kind of response, and what it says.
OTHERS = {
    "ordinal": ("grade ~ x + (1 | site)", {}),
    "zi_poisson": ("zeros ~ x + (1 | site)", {"zi": "~ (1 | site)"}),
    "student": ("amount ~ x + (1 | site)", {}),
    "betabinomial": ("hits / tries ~ x + (1 | site)", {}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_kind_of_family(name, data):
    text, more = OTHERS[name]
    # every other row: what costs here is a pass over the rows, and the integrals of the levels
    # means, for those of effects that sum to zero in each draw do so, too
    found = hm.pooling(
        *(text, data[::2]),
        family=name,
        draws=150,
        random_seed=1,
        point="mean",
        progressbar=False,
        **more,
    )
    assert "no_ml" not in found
    assert "statsmodels has no" in found.note
    rows = found[found["term"] == INTERCEPT]
    # pooling draws the levels together
    assert rows["partial"].std() < rows["no"].std()
    assert rows["partial_sd"].mean() < rows["no_sd"].mean() * 1.1
    scores = found.scores.set_index("pooling")
    assert np.isfinite(scores.loc[["complete", "partial"], "logo"]).all()
    assert np.isfinite(scores["loo"]).all()
    if name == "ordinal":
        assert abs(rows["partial"].sum()) < 1e-9
        assert (rows["complete"] == 0).all()
        # each draw sums to zero, and so do the means
        assert abs(rows["no"].sum()) < 1e-9
        assert list(scores["coefficients"]) == ["2", "7", ""]


# --- many levels ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    """Thirty levels and a predictor that differs within them, with and without a slope each."""
    return made(n_levels=30, n=8, seed=11)


def test_columns_of_many_levels_are_a_factor_of_known_sd(many):
    """The same density: against the sum of the priors and the likelihood, up to a constant."""
    model = Model("count ~ x + (x | site)", many, family="poisson")
    unpooled = unpool(model.design, model.design.block())
    priors = unpooled_priors(unpooled, model)
    problem = row_problem(unpooled.design, priors)
    apart = columns_apart(problem)
    assert apart is not None
    factor = apart.problem.predictors[0].blocks[0]
    assert factor.n_levels == 29  # where nothing else is common, one level is
    assert factor.n_columns == 2
    rng = np.random.default_rng(1)
    b = rng.normal(size=(2, 3, 29, 2))
    rest = rng.normal(size=(2, 3, 2))
    common = common_again(apart, {"common": rest, f"b_{NAME}": b})["common"]
    X = problem.predictors[0].X
    for c, d in np.ndindex(2, 3):
        by_factor = np.einsum("iq,iq->i", factor.Z, b[c, d][factor.index])
        by_factor += apart.problem.predictors[0].offset
        by_factor += apart.problem.predictors[0].X @ rest[c, d]
        np.testing.assert_allclose(X @ common[c, d], by_factor, atol=1e-12)
    mu, sd = (
        np.array([p.parameters[name] for p in problem.predictors[0].priors])
        for name in ("mu", "sigma")
    )
    first = norm.logpdf(common, mu, sd).sum(axis=-1)
    kept = [k for k in range(len(mu)) if k not in apart.columns]
    second = norm.logpdf(b).sum(axis=(-1, -2)) + norm.logpdf(rest, mu[kept], sd[kept]).sum(axis=-1)
    np.testing.assert_allclose(first - first[0, 0], second - second[0, 0], atol=1e-9)


def test_many_levels_without_pooling_are_where_the_likelihood_is(many):
    """As `near`, of 60 coefficients of levels with 8 rows each."""
    model = Model("count ~ x + (x | site)", many, family="poisson")
    unpooled = unpool(model.design, model.design.block())
    fit = Model.of(unpooled.design, unpooled_priors(unpooled, model)).fit(
        random_seed=1, progressbar=False
    )
    found = unpooled_coefficients(unpooled, fit.draws, model.design.block())
    other = unpooled_fixed(unpooled)
    for term in (INTERCEPT, "x"):
        near(found[term].mean(axis=0), found[term].std(axis=0), other[term].estimate)
        # 4 MCSE of an sd of 2,000 effective draws are 6 %; the rest as where levels are few
        np.testing.assert_allclose(found[term].std(axis=0), other[term].se, rtol=0.15)
    assert set(fit.idata.posterior.data_vars) == {"beta"}


def test_columns_that_share_rows_stay_common():
    rng = np.random.default_rng(3)
    X = np.zeros((40, 6))
    X[np.arange(40), np.repeat([0, 1, 2, 3], 10)] = 1.0
    X[:10, 4] = rng.normal(size=10)  # within the first level
    X[5:15, 5] = 1.0  # across two
    level, owner = disjoint_levels(X, np.array([True, True, True, False, True, True]))
    assert list(level) == [0, 1, 2, -1, 0, -1]
    assert list(np.unique(owner)) == [-1, 0, 1, 2]


def test_gaussian_columns_of_many_levels_are_a_factor_of_known_sd(many):
    """The same posterior given sigma: mean and covariance of the coefficients in closed form."""
    data = many.assign(y=np.log1p(many["count"]))
    model = Model("y ~ x + (x | site)", data)
    unpooled = unpool(model.design, model.design.block())
    priors = unpooled_priors(unpooled, model)
    fit = Model.of(unpooled.design, priors).fit(random_seed=1, progressbar=False)
    assert fit.idata.posterior.attrs["engine"] == "collapsed"
    problem = gaussian_problem(unpooled.design, priors)
    assert gaussian_apart(problem) is not None
    sigma = np.median(fit.draws.residual)
    precision = problem.X.T @ problem.X / sigma**2 + np.diag(problem.beta_sd**-2.0)
    onto = problem.X.T @ problem.y / sigma**2 + problem.beta_mean / problem.beta_sd**2
    mean, sd = np.linalg.solve(precision, onto), np.sqrt(np.diag(np.linalg.inv(precision)))
    # 4 MCSE of 4,000 nearly independent draws, and as much because sigma is not known
    np.testing.assert_allclose(fit.draws.beta.mean(axis=0), mean, atol=0.12 * sd.max())
    np.testing.assert_allclose(fit.draws.beta.std(axis=0), sd, rtol=0.1)
