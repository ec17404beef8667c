"""Leaving out rows and groups, against dense normal conditionals, refits and ArviZ."""

import warnings

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table
from made_up_families import family_fit, fit_nested_counts
from scipy import stats
from scipy.special import logsumexp

import hiermodels as hm
from hiermodels.collapsed import gaussian_problem
from hiermodels.errors import DataError, ImportanceWarning, NotAvailableError, UnknownNameError
from hiermodels.fitting import Model
from hiermodels.numbers import held_out
from hiermodels.numbers.checks import own_given, predictors_of_rows, some_draws, take
from hiermodels.numbers.comparison import (
    Elpd,
    held_out_groups,
    leave_out,
    not_exact,
    root_covariances,
    smoothed,
)
from hiermodels.numbers.held_out import integrated_groups
from hiermodels.numbers.predictive import log_density
from hiermodels.results import Fit


def dense_conditionals(fit, factor, s):
    """log p(y_j | y_-j, theta_s) of every level, from the covariance of all rows."""
    problem = gaussian_problem(fit.design, fit.priors)
    mean = problem.X @ problem.beta_mean
    V = (problem.X * problem.beta_sd**2) @ problem.X.T
    for block, root in zip(problem.blocks, root_covariances(fit.design, fit.draws), strict=True):
        loadings = block.Z @ root[s]
        V += (loadings @ loadings.T) * (block.index[:, None] == block.index)
    if problem.se is not None:
        V += np.diag(problem.se**2)
    else:
        V += np.eye(len(mean)) * fit.draws.residual[s] ** 2
    index = fit.design.block(factor).index
    found = []
    for j in range(index.max() + 1):
        own, rest = np.flatnonzero(index == j), np.flatnonzero(index != j)
        gain = np.linalg.solve(V[np.ix_(rest, rest)], V[np.ix_(rest, own)]).T
        m = mean[own] + gain @ (problem.y[rest] - mean[rest])
        C = V[np.ix_(own, own)] - gain @ V[np.ix_(rest, own)]
        found.append(stats.multivariate_normal(m, C).logpdf(problem.y[own]))
    return np.array(found)


@pytest.mark.parametrize(
    ("formula", "factor", "se"),
    [
        ("y ~ x + (x | pop)", "pop", None),
        ("y ~ x + f + (x || pop)", "pop", None),
        ("y ~ 1 + (1 | pop)", "pop", "error"),
        ("y ~ 0 + x + (0 + x | pop)", "pop", None),
        ("y ~ x + (x | pop) + (1 | year)", "pop", None),
        ("y ~ x + (x | pop) + (1 | year)", "year", None),
        ("y ~ x + (x | pop/patch)", "pop", None),
        ("y ~ x + (1 | pop/patch)", "pop:patch", "error"),
    ],
)
def test_a_group_left_out_is_the_normal_conditional(formula, factor, se):
    fit = made_up_fit(formula, se=se)
    found = held_out_groups(fit.design, fit.draws, fit.priors, fit.design.block(factor))
    assert found.shape == (fit.draws.n, fit.design.block(factor).n_levels)
    for s in (0, 57, 119):
        np.testing.assert_allclose(found[s], dense_conditionals(fit, factor, s), rtol=1e-7)


def test_frequencies_are_rows():
    data = table().assign(count=lambda d: 1 + (np.arange(len(d)) % 3))
    repeated = data.loc[data.index.repeat(data["count"])].reset_index(drop=True)
    # with a predictor the two would be centred, and so have priors, at other places
    one = Model("y ~ 1 + (1 | pop)", data, weights="count")
    two = Model.of(Model("y ~ 1 + (1 | pop)", repeated).design, one.priors)
    tree = made_up_fit("y ~ 1 + (1 | pop)", data).idata
    short_fit, long_fit = (Fit(design=m.design, priors=one.priors, idata=tree) for m in (one, two))
    a, b = (
        held_out_groups(f.design, f.draws, one.priors, f.design.block("pop"))
        for f in (short_fit, long_fit)
    )
    np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.fixture(scope="module")
def small():
    """Seven groups of six rows, and priors that do not depend on the data."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(7), 6)
    y = 3 + rng.normal(0, 1.5, 7)[g] + rng.normal(0, 1, len(g))
    data = pd.DataFrame({"y": y, "g": [f"g{j}" for j in g]})
    priors = {
        "Intercept": hm.Prior("Normal", mu=0, sigma=5),
        "sd_g": hm.Prior("HalfNormal", sigma=2),
        "sigma": hm.Prior("HalfNormal", sigma=2),
    }
    return data, priors


@pytest.mark.filterwarnings("ignore::hiermodels.errors.ImportanceWarning")
def test_logo_is_what_refits_without_each_group_say(small):
    data, priors = small
    settings = {"random_seed": 3, "progressbar": False, "draws": 2000}
    fit = hm.fit("y ~ 1 + (1 | g)", data, priors=priors, **settings)
    found = fit.logo("g")
    levels = fit.design.block("g").levels
    exact, error = [], []
    for level in levels:
        rest = hm.fit("y ~ 1 + (1 | g)", data[data["g"] != level], priors=priors, **settings)
        own = data.loc[data["g"] == level, "y"].to_numpy()
        d = rest.draws
        cov = d.sd["g"][:, 0, None, None] ** 2 + d.residual[:, None, None] ** 2 * np.eye(len(own))
        gap = own - d.intercept[:, None]
        log = -0.5 * (
            np.einsum("si,sij,sj->s", gap, np.linalg.inv(cov), gap)
            + np.linalg.slogdet(cov)[1]
            + len(own) * np.log(2 * np.pi)
        )
        density = np.exp(log - log.max())
        exact.append(logsumexp(log) - np.log(len(log)))
        error.append(density.std() / density.mean() / np.sqrt(len(log) / 4))
    assert fit.logo().elpd == found.elpd
    # Monte Carlo errors of the refits, and room for as large ones of the importance weights
    gap = np.abs(found.pointwise - exact)
    assert (gap < 4 * np.sqrt(2) * np.array(error)).all(), (gap, error)
    assert gap.sum() < 3 * np.sqrt(2) * np.sum(error)
    assert max(error) < 0.1, "or the comparison says nothing"


def test_loo_is_arviz_of_the_row_wise_likelihood(small):
    import arviz as az

    data, priors = small
    fit = hm.fit("y ~ 1 + (1 | g)", data, priors=priors, random_seed=3, progressbar=False)
    found = fit.loo()
    assert "log_likelihood" in fit.idata.children
    theirs = az.loo(fit.idata, pointwise=True)
    # ArviZ's own effective sample size of the posterior, ours of the densities, smooth otherwise
    assert found.elpd == pytest.approx(float(theirs.elpd), abs=0.05)
    d = fit.draws
    eta = d.intercept[:, None] + d.effects["g"][:, fit.design.block("g").index, 0]
    np.testing.assert_allclose(
        fit.log_likelihood().to_numpy().reshape(d.n, -1),
        stats.norm.logpdf(data["y"].to_numpy(), eta, d.residual[:, None]),
    )
    assert "elpd" in repr(found)
    assert list(found.table().columns) == ["row", "elpd", "pareto_k"]


def test_importance_sampling_is_that_of_arviz():
    """The same weights and sums, so the same to rounding; of a few units with heavy tails, too."""
    import arviz as az
    import xarray as xr

    values = np.random.default_rng(4).normal(size=(4, 250, 9)) * np.linspace(0.1, 3, 9) - 1
    found = smoothed(values.reshape(1000, 9), 0.8)
    dataset = xr.Dataset({"y": (("chain", "draw", "unit"), values)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        theirs = az.loo(xr.DataTree.from_dict({"log_likelihood": dataset}), reff=0.8)
    for name in ("elpd", "se", "p", "good_k", "elpd_i", "pareto_k"):
        np.testing.assert_allclose(getattr(found, name), getattr(theirs, name), rtol=1e-9)
    assert found.warning == theirs.warning


def test_a_row_far_out_is_named(small):
    data, priors = small
    data = data.set_axis([f"r{i}" for i in range(len(data))])
    data.loc["r3", "y"] = 40.0
    fit = hm.fit("y ~ 1 + (1 | g)", data, priors=priors, random_seed=3, progressbar=False)
    with pytest.warns(ImportanceWarning, match=r"Pareto k above .* \(.*r3"):
        found = fit.loo()
    assert "r3" in found.bad
    assert "fit without it" in repr(found)


@pytest.mark.filterwarnings("ignore::hiermodels.errors.ImportanceWarning")
def test_compare_finds_the_model_that_made_the_data():
    data = hm.load_dataset("sites")
    settings = {"random_seed": 3, "progressbar": False}
    fits = {
        "intercepts": hm.fit("y ~ x + (1 | site)", data, **settings),
        "slopes": hm.fit("y ~ x + (x | site)", data, **settings),
    }
    for by in ("loo", "logo"):
        found = hm.compare(fits, by=by)
        assert found["model"].tolist() == ["slopes", "intercepts"]
        assert found["difference"].iloc[0] == 0
        assert found["difference"].iloc[1] < -2 * found["difference_se"].iloc[1]
        assert found["weight"].sum() == pytest.approx(1)
    pointwise = [fits[n].loo().pointwise for n in ("intercepts", "slopes")]
    gap = pointwise[0] - pointwise[1]
    found = hm.compare(fits).set_index("model").loc["intercepts"]
    assert found["difference"] == pytest.approx(gap.sum())
    assert found["difference_se"] == pytest.approx(np.sqrt(len(gap)) * gap.std())


def test_what_cannot_be_compared():
    fit = made_up_fit("y ~ x + (1 | pop)")
    other = made_up_fit("y ~ x + (1 | pop)", table().head(90))
    log = made_up_fit("np.log(y) ~ x + (1 | pop)")
    with pytest.raises(DataError, match="'b' has 90 rows and 'a' 120"):
        hm.compare({"a": fit, "b": other})
    with pytest.raises(DataError, match="a density of log y is not one of y"):
        hm.compare({"a": fit, "b": log})
    with pytest.raises(DataError, match="at least two"):
        hm.compare({"a": fit})
    with pytest.raises(UnknownNameError, match="Valid: logo, loo"):
        hm.compare({"a": fit, "b": fit}, by="waic")


def test_other_priors_are_not_exact_and_no_groups_are_no_answer():
    model = Model(
        "y ~ x + (1 | pop)", table(), priors={"x": hm.Prior("StudentT", nu=3, mu=0, sigma=1)}
    )
    assert "the prior of 'x' is StudentT" in not_exact(model.design, model.priors)
    plain = Model("y ~ x + (1 | pop)", table())
    assert not_exact(plain.design, plain.priors) == ""
    with pytest.raises(NotAvailableError, match="no group term"):
        made_up_fit("y ~ x").logo()


@pytest.fixture(params=["quadrature", "sampling"])
def way(request, monkeypatch):
    """Both ways of integration, for families that have the first."""
    if request.param == "sampling":
        monkeypatch.setattr(held_out, "ONE_MODE", frozenset())
    return request.param


@pytest.mark.parametrize(
    ("formula", "factor"),
    [
        ("y ~ x + (1 | pop)", "pop"),
        ("y ~ x + (x | pop)", "pop"),
        ("y ~ x + (1 | pop) + (1 | year)", "year"),
        ("y ~ x + (1 | pop/patch)", "pop:patch"),
    ],
)
def test_integrated_effects_are_the_normal_marginal_of_a_gaussian_model(formula, factor, way):
    """Given coefficients and the other factors the rows of a level are normal together."""
    fit = hm.fit(formula, table(), draws=400, random_seed=2, progressbar=False)
    found = integrated_groups(fit.design, fit.draws, factor, seed=1)
    draws = some_draws(fit.draws, len(found))
    block = fit.design.block(factor)
    eta = predictors_of_rows(fit.design, draws, np.arange(fit.design.n))[""]
    for s in (0, 100, 333):
        for j in (0, 3):
            rows = np.flatnonzero(block.index == j)
            z = block.columns.values[rows]
            mean = eta[s, rows] - z @ draws.effects[factor][s, j]
            cov = z @ draws.covariance(factor)[s] @ z.T + draws.residual[s] ** 2 * np.eye(len(rows))
            wanted = stats.multivariate_normal(mean, cov).logpdf(fit.design.response[rows])
            # the quadrature of a normal density is exact, but for the curvature by differences;
            # sampling has 128 quasi-random points
            error = 1e-5 if way == "quadrature" else 0.1
            assert found[s, j] == pytest.approx(wanted, abs=error)


@pytest.mark.parametrize("name", ["poisson", "bernoulli", "binomial", "negbinomial"])
def test_integrated_effects_are_the_integral(name, way):
    from scipy.integrate import quad

    fit = family_fit(name, "y ~ x + (1 | g)", seed=2, draws=200)
    found = integrated_groups(fit.design, fit.draws, "g", seed=1)
    block = fit.design.block("g")
    for s in (0, 150):
        for j in (0, 7):
            rows = np.flatnonzero(block.index == j)
            one = take(fit.draws, np.array([s]))
            eta = predictors_of_rows(fit.design, one, rows)[""] - one.effects["g"][0, j, 0]
            of = own_given(fit.design, one).at(rows)
            sd = one.sd["g"][0, 0]

            def density(b, eta=eta, of=of, sd=sd, rows=rows):
                log = log_density(fit.design.response[rows], {"": eta + b}, of).sum()
                return np.exp(log + stats.norm.logpdf(b, 0, sd))

            wanted = np.log(quad(density, -8 * sd, 8 * sd, limit=200)[0])
            # 11 nodes around the mode are exact for a normal density times a polynomial of degree
            # 21; or 128 quasi-random points
            error = 1e-3 if way == "quadrature" else 0.03
            assert found[s, j] == pytest.approx(wanted, abs=error)


def test_effects_of_zeros_are_integrated_with_those_of_the_mean():
    """Two dimensions: against many draws of both from their distribution."""
    fit = family_fit("zi_poisson", "y ~ x + (1 | g)", zi="~ 1 + (1 | g)", seed=2, draws=200)
    found = integrated_groups(fit.design, fit.draws, "g", seed=1)
    rng = np.random.default_rng(0)
    s, j, n = 17, 4, 200_000
    one = take(fit.draws, np.array([s]))
    rows = np.flatnonzero(fit.design.block("g").index == j)
    etas = predictors_of_rows(fit.design, one, rows)
    of = own_given(fit.design, one).at(rows)
    moved = {
        name: etas[name] - d.effects["g"][0, j, 0] + d.sd["g"][0, 0] * rng.standard_normal((n, 1))
        for name, d in (("", one), ("zi", one.extras["zi"]))
    }
    density = np.exp(log_density(fit.design.response[rows], moved, of).sum(axis=1))
    error = density.std() / density.mean() / np.sqrt(n)
    assert found[s, j] == pytest.approx(np.log(density.mean()), abs=5 * error + 0.03)


def is_unbiased_noise(errors, largest):
    """Importance sampling of many draws and levels: around zero, with a spread that does no harm.

    Log densities of a level vary by some 1 between draws, which is what weights of draws rest on.
    """
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(errors.size) + errors.var()
    assert errors.std() < largest


def test_levels_within_a_level_are_the_normal_marginal_of_a_gaussian_model():
    """Slopes, too: two effects of each population, and two of each patch within it."""
    fit = hm.fit("y ~ x + (x | pop/patch)", table(), draws=400, random_seed=2, progressbar=False)
    found = integrated_groups(fit.design, fit.draws, "pop", seed=1)
    draws = some_draws(fit.draws, len(found))
    outer, inner = fit.design.block("pop"), fit.design.block("pop:patch")
    eta = predictors_of_rows(fit.design, draws, np.arange(fit.design.n))[""]
    some, errors = range(0, len(found), 20), []
    for j in range(outer.n_levels):
        rows = np.flatnonzero(outer.index == j)
        z, w, k = outer.columns.values[rows], inner.columns.values[rows], inner.index[rows]
        for s in some:
            mean = eta[s, rows] - z @ draws.effects["pop"][s, j]
            mean -= np.einsum("nq,nq->n", w, draws.effects["pop:patch"][s, k])
            cov = z @ draws.covariance("pop")[s] @ z.T + draws.residual[s] ** 2 * np.eye(len(rows))
            cov += (w @ draws.covariance("pop:patch")[s] @ w.T) * (k[:, None] == k)
            wanted = stats.multivariate_normal(mean, cov).logpdf(fit.design.response[rows])
            errors.append(found[s, j] - wanted)
    is_unbiased_noise(np.array(errors), largest=0.25)


def test_effects_of_levels_within_a_level_are_integrated():
    """Against a product of integrals at each node of another: Gauss and Hermite's, 60 x 60."""
    fit = fit_nested_counts(draws=300)
    found = integrated_groups(fit.design, fit.draws, "f", seed=1)
    outer, inner = fit.design.block("f"), fit.design.block("f:g")
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    log_weights = np.log(weights / weights.sum())
    draws, errors = some_draws(fit.draws, len(found)), []
    for s in range(0, len(found), 40):
        one = take(draws, np.array([s]))
        of, sd_f, sd_g = own_given(fit.design, one), one.sd["f"][0, 0], one.sd["f:g"][0, 0]
        for j in range(outer.n_levels):
            total = np.zeros(60)
            for k in np.unique(inner.index[outer.index == j]):
                rows = np.flatnonzero(inner.index == k)
                eta = predictors_of_rows(fit.design, one, rows)[""]
                eta = eta - one.effects["f"][0, j, 0] - one.effects["f:g"][0, k, 0]
                moved = eta + (sd_f * nodes[:, None] + sd_g * nodes).reshape(-1, 1)
                log = log_density(fit.design.response[rows], {"": moved}, of.at(rows)).sum(axis=1)
                total += logsumexp(log.reshape(60, 60) + log_weights, axis=1)
            errors.append(found[s, j] - logsumexp(total + log_weights))
    is_unbiased_noise(np.array(errors), largest=0.15)


def test_identical_densities_are_left_as_they_are():
    """Without posterior uncertainty the elpd is the density itself."""
    values = np.tile(np.array([-1.0, -2.0, -3.0]), (400, 1))
    values = values + 1e-6 * np.random.default_rng(0).standard_normal(values.shape)
    found = leave_out(values, labels=["a", "b", "c"], unit="row", method="LOO", chains=4)
    assert isinstance(found, Elpd)
    np.testing.assert_allclose(found.pointwise, [-1, -2, -3], atol=1e-5)
    assert found.se == pytest.approx(np.sqrt(3 * np.var([1, 2, 3])), abs=1e-5)
