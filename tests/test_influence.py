"""Levels left out by weights and by refits, against fits of the rows that are left."""

import numpy as np
import pandas as pd
import pytest
from made_up_families import fit_nested_counts
from scipy import stats
from scipy.special import expit, gammaln, logsumexp

import hiermodels as hm
from hiermodels.errors import ImportanceWarning, UnknownNameError
from hiermodels.workflows.influence import Weighted, estimand_names, smoothed, weighted_quantile
from hiermodels.workflows.refits import acceptance_ratio, level_density, without_level

SETTINGS = {"random_seed": 3, "progressbar": False, "draws": 1500}
FORMULA = "y ~ x + (1 | g)"
#: None of them depends on the data, so that those of a fit to fewer rows are the same.
PRIORS = {
    "Intercept": hm.Prior("Normal", mu=0, sigma=5),
    "x": hm.Prior("Normal", mu=0, sigma=5),
    "sd_g": hm.Prior("HalfNormal", sigma=2),
    "sigma": hm.Prior("HalfNormal", sigma=2),
}
#: A chain's draws are worth fewer independent ones, and means of both fits are compared.
INEFFICIENCY = 1.5


def eight(*, far: float = 0.0) -> pd.DataFrame:
    """Eight groups with the same x, so that its mean and sd stay; the first is ``far`` higher."""
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(8), 6), np.tile(np.linspace(-1, 1, 6), 8)
    y = 3 + 0.8 * x + rng.normal(0, 1.5, 8)[g] + far * (g == 0) + rng.normal(0, 1, len(g))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{j}" for j in g]})


@pytest.fixture(scope="module")
def gaussian():
    data = eight()
    return data, hm.fit(FORMULA, data, priors=PRIORS, **SETTINGS)


@pytest.fixture(scope="module")
def far():
    data = eight(far=12.0)
    return data, hm.fit(FORMULA, data, priors=PRIORS, **SETTINGS)


def without(data, level):
    return hm.fit(FORMULA, data[data["g"] != level], priors=PRIORS, **SETTINGS)


def own_estimands(fit):
    """Of a fit of random intercepts, without the package's own variance report."""
    d = fit.draws
    group, residual = d.sd["g"][:, 0] ** 2, d.residual**2
    return {
        "Intercept": d.intercept,
        "x": d.beta[:, 0],
        "sd_g[Intercept]": d.sd["g"][:, 0],
        "sigma": d.residual,
        "icc[g]": group / (group + residual),
    }


def test_weights_are_what_refits_without_each_group_say(gaussian):
    data, fit = gaussian
    found = fit.influence("g", refit=False).set_index(["estimand", "level"])
    weighted = Weighted.of(fit, fit.design.block("g"), estimand_names(fit), seed=0)
    assert (weighted.pareto_k < 0.7).all(), "or the weights need not agree"
    full, largest = own_estimands(fit), 0.0
    assert set(full) == set(found.index.get_level_values("estimand"))
    for j, level in list(enumerate(fit.design.block("g").levels))[::2]:
        rest = own_estimands(without(data, level))
        effective = 1 / (weighted.weights[:, j] ** 2).sum()
        error = np.sqrt(INEFFICIENCY * (1 / effective + 1 / len(full["x"])))
        for name, draws in rest.items():
            row = found.loc[(name, level)]
            for end, p in (("_lower", 0.025), ("", 0.5), ("_upper", 0.975)):
                below = (draws < row[f"without{end}"]).mean()
                assert below == pytest.approx(p, abs=4 * error * np.sqrt(p * (1 - p)))
            shift = (np.median(draws) - np.median(full[name])) / full[name].std()
            largest = max(largest, abs(shift) / (4 * error))
    assert largest > 2, "or no level has an influence"


def test_a_level_that_weights_do_not_reach_is_fitted_without(far):
    data, fit = far
    found = fit.influence()
    rows = found[found["level"] == "g0"].set_index("estimand")
    assert (rows["by"] == "refit").all()
    assert (rows["pareto_k"] > 0.7).all()
    assert "Refitted without each of 1 of 8 levels." in found.note
    assert found["level"].iloc[0] == "g0"
    error = np.sqrt(2 * INEFFICIENCY / fit.draws.n)
    for name, draws in own_estimands(without(data, "g0")).items():
        below = (draws < rows.loc[name, "without"]).mean()
        assert below == pytest.approx(0.5, abs=4 * error / 2), name
    told = fit.influence(refit=False)
    assert "refit=True fits without each" in told.note
    assert set(told.loc[told["level"] == "g0", "by"]) == {"weights, k too high"}


def log_evidence(data):
    """log p(y) with the coefficients integrated out in a normal, sd and sigma on a grid."""
    y, x = data["y"].to_numpy(), data["x"].to_numpy()
    same = (data["g"].to_numpy()[:, None] == data["g"].to_numpy()).astype(float)
    known = 25 * (1 + np.outer(x, x))
    sds, sigmas = 10 * (np.arange(70) + 0.5) / 70, 0.4 + 2 * (np.arange(40) + 0.5) / 40
    sd, sigma = (v.ravel() for v in np.meshgrid(sds, sigmas))
    found = []
    for s, e in zip(sd, sigma, strict=True):
        lower = np.linalg.cholesky(known + s**2 * same + e**2 * np.eye(len(y)))
        white = np.linalg.solve(lower, y)
        found.append(-0.5 * white @ white - np.log(np.diag(lower)).sum())
    prior = stats.halfnorm(scale=2).logpdf(sd) + stats.halfnorm(scale=2).logpdf(sigma)
    step = np.log((sds[1] - sds[0]) * (sigmas[1] - sigmas[0]))
    return logsumexp(np.array(found) + prior) + step - 0.5 * len(y) * np.log(2 * np.pi)


def bennett_error(with_it, without, r):
    """The standard error of the acceptance ratio (Bennett 1976, equation 10)."""
    parts = [expit(r - with_it), expit(without - r)]
    each = [INEFFICIENCY * p.var() / p.mean() ** 2 / len(p) for p in parts]
    return np.sqrt(sum(each))


def test_logo_of_a_level_that_weights_do_not_reach(far):
    """Its part is the ratio of the evidence of all rows to that of the others, by quadrature."""
    data, fit = far
    found = fit.logo("g")
    assert found.refitted == ("g0",)
    assert found.bad == ()
    assert "0.70 for 1 of 8 (g0): refitted without it." in repr(found)
    assert found.table()["refitted"].tolist() == [True] + [False] * 7
    assert float(found.data.elpd_i.sum()) == pytest.approx(found.elpd)
    rest = data[data["g"] != "g0"]
    block, less = fit.design.block("g"), without_level(fit, fit.design.block("g"), 0)
    ends = [level_density(fit, one, block, 0, seed=0) for one in (fit, less)]
    error = bennett_error(*ends, found.pointwise[0])
    wanted = log_evidence(data) - log_evidence(rest)
    assert found.pointwise[0] == pytest.approx(wanted, abs=4 * error)
    assert error < 0.15, "or the comparison says nothing"
    with pytest.warns(ImportanceWarning, match=r"logo\('g', refit=True\)"):
        weights = fit.logo("g", refit=False)
    assert weights.bad == ("g0",)
    np.testing.assert_array_equal(weights.pointwise[1:], found.pointwise[1:])


def test_counts_are_refitted_with_their_effects_integrated():
    """A Poisson model, its far group integrated on a grid over the fit without it."""
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(8), 5)
    data = pd.DataFrame({"g": [f"g{j}" for j in g]})
    data["y"] = rng.poisson(np.exp(1 + rng.normal(0, 0.3, 8)[g] + 2.5 * (g == 0)))
    priors = {
        "Intercept": hm.Prior("Normal", mu=1, sigma=2),
        "sd_g": hm.Prior("HalfNormal", sigma=1),
    }
    settings = {"family": "poisson", "priors": priors, "random_seed": 1, "progressbar": False}
    fit = hm.fit("y ~ 1 + (1 | g)", data, **settings)
    found = fit.logo()
    assert found.refitted == ("g0",)
    d = hm.fit("y ~ 1 + (1 | g)", data[data["g"] != "g0"], **settings).draws
    y, grid = data.loc[data["g"] == "g0", "y"].to_numpy(), np.linspace(-8, 8, 201)
    b = grid * d.sd["g"]
    mean = np.exp(d.intercept[:, None] + b)
    rows = sum(k * np.log(mean) - mean - gammaln(k + 1) for k in y)
    log = logsumexp(rows + stats.norm.logpdf(grid), axis=1) + np.log(grid[1] - grid[0])
    density = np.exp(log - log.max())
    error = np.sqrt(INEFFICIENCY / len(log)) * density.std() / density.mean()
    assert error < 0.2, "or the comparison says nothing"
    wanted = logsumexp(log) - np.log(len(log))
    assert found.pointwise[0] == pytest.approx(wanted, abs=5 * error)
    moved = fit.influence()
    row = moved[(moved["level"] == "g0") & (moved["estimand"] == "sd_g[Intercept]")].iloc[0]
    sd = d.sd["g"][:, 0]
    allowed = 4 * np.sqrt(2 * INEFFICIENCY / d.n) / 2
    assert row["by"] == "refit"
    assert (sd < row["without"]).mean() == pytest.approx(0.5, abs=allowed)


def test_the_acceptance_ratio_is_the_ratio_of_normalisers():
    """Normal(0, 1) times exp(a x) is Normal(a, 1) times exp(a^2 / 2)."""
    rng = np.random.default_rng(0)
    a = 2.0
    found = acceptance_ratio(a * rng.normal(a, 1, 20_000), a * rng.normal(0, 1, 10_000))
    # the error of the ratio at an overlap as this is below 2 / sqrt(10,000)
    assert found == pytest.approx(a**2 / 2, abs=0.08)


def test_weights_and_their_quantiles():
    """Weights 1 / exp(l) turn Normal(0, 1) into Normal(-a, 1)."""
    rng = np.random.default_rng(1)
    x, a = rng.normal(0, 1, (40_000, 1)), 0.5
    weights, k = smoothed(a * x, chains=4)
    assert k[0] < 0.5
    assert weights.sum() == pytest.approx(1)
    wanted = stats.norm(-a, 1)
    assert weights[:, 0] @ x[:, 0] == pytest.approx(-a, abs=0.03)
    for p in (0.025, 0.5, 0.975):
        # 4 standard errors of the quantile of some 30,000 effective draws
        allowed = 4 * np.sqrt(p * (1 - p) / 30_000) / wanted.pdf(wanted.ppf(p))
        assert weighted_quantile(x, weights[:, 0], p)[0] == pytest.approx(
            wanted.ppf(p), abs=allowed
        )


def test_levels_within_a_level():
    fit = fit_nested_counts(draws=300)
    table = fit.influence("f", refit=False)
    assert set(table["level"]) == set(fit.design.block("f").levels)
    assert np.isfinite(table["shift"]).all()


def test_the_picture(gaussian, far):
    import matplotlib.pyplot as plt

    _, fit = far
    table = fit.influence()
    axes = table.plot()
    assert len(axes) == 4
    assert [a.get_text() for a in axes[0].get_yticklabels()][::-1][0] in {f"g{j}" for j in range(8)}
    one = table.plot("x")
    shown = {float(v) for line in one.lines for v in line.get_xdata()} - {0.0}
    assert set(table.loc[table["estimand"] == "x", "shift"]) <= shown
    with pytest.raises(UnknownNameError, match="estimand"):
        table.plot("z")
    _, ax = plt.subplots()
    with pytest.raises(UnknownNameError, match="ax has room for one"):
        table.plot(["x", "sigma"], ax=ax)
    plt.close("all")
    assert "more" in table.text()
    assert "<caption>Influence of each level of g" in table._repr_html_()
