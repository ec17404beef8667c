"""Residuals and checks: no alarm where the model is true, alarm where it is not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table
from scipy import stats

from hiermodels.errors import UnknownNameError
from hiermodels.fitting import fit as fit_model
from hiermodels.numbers.checks import (
    anderson,
    between,
    correlation,
    explained,
    polynomial,
    probability,
)
from hiermodels.numbers.diagnostics import diagnose, stuck

FORMULA = "y ~ x + (x | g)"


def simulated(seed, *, groups=20, each=10, change=None):
    """Rows of the model itself, or with one thing changed by ``change(rng, frame parts)``."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), each)
    parts = {
        "x": rng.uniform(-2, 2, len(g)),
        "effect": rng.normal(0, 1, groups)[g],
        "slope": rng.normal(0.5, 0.5, groups)[g],
        "noise": rng.normal(0, 1, len(g)),
    }
    if change is not None:
        change(rng, parts, g)
    y = 2 + parts["effect"] + parts["slope"] * parts["x"] + parts["noise"]
    return pd.DataFrame({"y": y, "x": parts["x"], "g": [f"g{j:03d}" for j in g]})


def quick(data, formula=FORMULA, seed=0):
    return fit_model(
        formula, data, draws=300, chains=2, cores=1, random_seed=seed, progressbar=False
    )


@pytest.fixture(scope="module")
def true_fits():
    """Many fits of data of their own model."""
    return [quick(simulated(seed), seed=seed) for seed in range(24)]


def test_quantile_residuals_of_the_true_model_are_uniform(true_fits):
    pit = np.concatenate([f.residuals("quantile")["pit"] for f in true_fits])
    assert stats.kstest(pit, "uniform").pvalue > 0.001
    each = [stats.kstest(f.residuals("quantile")["pit"], "uniform").pvalue for f in true_fits]
    # p-values of a true hypothesis are uniform themselves
    assert stats.kstest(each, "uniform").pvalue > 0.001


def test_residuals_of_posterior_means_would_look_too_good(true_fits):
    """Why one draw: a sum of squares that is too small."""
    ratio = [
        (f.residuals()["residual"] ** 2).mean() / (f.draws.residual**2).mean() for f in true_fits
    ]
    one_draw = [(f.residuals("quantile")["residual"] ** 2).mean() for f in true_fits]
    assert np.mean(ratio) < 0.9
    error = np.sqrt(2 / 200 / len(true_fits))
    assert abs(np.mean(one_draw) - 1) < 4 * error


def test_residuals_with_new_groups_are_uniform(true_fits):
    """Row by row; rows of a level go together, so one row of each level is taken."""
    pit = np.concatenate(
        [f.residuals("quantile", new_group=True)["pit"].to_numpy()[::10] for f in true_fits]
    )
    assert stats.kstest(pit, "uniform").pvalue > 0.001


def test_few_alarms_where_the_model_is_true(true_fits):
    checks = [c for f in true_fits for c in f.check()]
    looks = np.array([c.p < 0.05 for c in checks])
    faults = np.array([c.verdict == "fault" for c in checks])
    # no more than nominal; the upper ends are of binomials of 400 checks at probability 0.999
    assert looks.sum() <= stats.binom.ppf(0.999, len(checks), 0.05)
    assert faults.sum() <= stats.binom.ppf(0.999, len(checks), 0.005)


def curve(rng, parts, g):
    parts["noise"] = parts["noise"] + 0.6 * parts["x"] ** 2


def growing_spread(rng, parts, g):
    parts["noise"] = parts["noise"] * np.exp(0.6 * parts["x"])


def heavy_tails(rng, parts, g):
    parts["noise"] = rng.standard_t(1.5, len(g))


def levels_of_two_kinds(rng, parts, g):
    parts["effect"] = 4 * np.sign(rng.normal(size=g.max() + 1))[g] + 0.3 * parts["effect"]


def skewed(rng, parts, g):
    parts["noise"] = rng.exponential(1, len(g)) * 2


def noisy_levels(rng, parts, g):
    parts["noise"] = parts["noise"] * np.exp(rng.normal(0, 0.8, g.max() + 1))[g]


@pytest.mark.parametrize(
    ("change", "name", "of"),
    [
        (curve, "predictor", "x"),
        (growing_spread, "spread of predictor", "x"),
        (heavy_tails, "outliers", ""),
        (heavy_tails, "distribution", ""),
        (levels_of_two_kinds, "group effects", "g[Intercept]"),
        (skewed, "distribution", ""),
        (noisy_levels, "spread of levels", "g"),
    ],
)
def test_planted_faults_are_found(change, name, of):
    fit = quick(simulated(11, groups=60, each=12, change=change))
    found = fit.check().of(name, of)
    assert found.verdict == "fault", found
    assert found.what_to_do
    assert name in set(fit.check().table().query("verdict == 'fault'")["check"])


def test_a_missing_group_is_seen_in_the_residuals():
    data = simulated(5, groups=40)
    z = quick(data, "y ~ x").residuals("quantile")["residual"].to_numpy()
    index = pd.factorize(data["g"])[0]
    assert stats.f_oneway(*[z[index == j] for j in range(40)]).pvalue < 1e-6


def test_residuals_are_what_they_say():
    fit = made_up_fit("y ~ x + (x | pop)")
    found = fit.residuals()
    mean = fit.predict(target="group", point="mean")["estimate"]
    np.testing.assert_allclose(found["fitted"], mean)
    np.testing.assert_allclose(found["residual"], table()["y"] - mean)
    pearson = fit.residuals("pearson")["residual"]
    sd = np.sqrt((fit.draws.residual**2).mean())
    np.testing.assert_allclose(pearson, found["residual"] / sd)
    assert list(found.index) == list(table().index)
    with pytest.raises(UnknownNameError, match="Valid: loo, pearson, quantile, response"):
        fit.residuals("raw")


def test_pearson_with_new_groups_has_the_variance_of_the_groups():
    fit = made_up_fit("y ~ 1 + (1 | pop)")
    total = fit.draws.sd["pop"][:, 0] ** 2 + fit.draws.residual**2 + fit.draws.intercept.var()
    found = fit.residuals("pearson", new_group=True)
    implied = ((found["observed"] - found["fitted"]) / found["residual"]) ** 2
    # new effects in 120 draws: four standard errors of a variance
    np.testing.assert_allclose(implied, total.mean(), rtol=4 * np.sqrt(2 / 120))


def test_quantile_residuals_are_those_of_the_posterior_draw():
    fit = made_up_fit("y ~ x + (x | pop)")
    pit = fit.residuals("quantile")["pit"].to_numpy()
    eta = fit.predict(target="group", kind="link", draws=True).to_numpy().reshape(120, -1)
    all_pit = stats.norm.cdf(table()["y"].to_numpy(), eta, fit.draws.residual[:, None])
    assert (np.abs(all_pit - pit).max(axis=1) < 1e-12).sum() == 1
    again = fit.residuals("quantile")["pit"].to_numpy()
    np.testing.assert_array_equal(pit, again)


def test_ppc():
    fit = made_up_fit("y ~ x + (x | pop)")
    found = fit.ppc("sd")
    assert found["observed"].iloc[0] == pytest.approx(table()["y"].std(ddof=0))
    made = fit.posterior_predictive()
    assert made.shape == (120, 120)
    assert found["expected"].iloc[0] == pytest.approx(np.median(made.std(axis=1)))
    by_pop = fit.ppc(np.max, "pop")
    assert by_pop["level"].tolist() == ["P0", "P1", "P2", "P3", "P4"]
    np.testing.assert_allclose(by_pop["observed"], table().groupby("pop")["y"].max())
    with pytest.raises(UnknownNameError, match="Valid: max, mean, median"):
        fit.ppc("kurtosis")


def test_made_responses_are_where_arviz_looks():
    data = simulated(1, groups=6, each=5)
    fit = quick(data)
    made = fit.posterior_predictive(7)
    assert made.shape == (7, len(data))
    tree = fit.idata["posterior_predictive"].to_dataset()
    every = tree["y"].to_numpy().reshape(-1, len(data))
    np.testing.assert_array_equal(every[[0, len(every) - 1]], made[[0, -1]])
    assert tree["draw"].equals(fit.idata["posterior"]["draw"])
    assert tree["chain"].equals(fit.idata["posterior"]["chain"])
    assert tree["y"].dims[2:] == fit.idata["observed_data"]["y"].dims


def test_new_groups_vary_more():
    fit = made_up_fit("y ~ 1 + (1 | pop)")
    own = fit.ppc("mean")
    new = fit.ppc("mean", new_group=True)
    assert (
        new["expected_upper"] - new["expected_lower"]
        > own["expected_upper"] - own["expected_lower"]
    ).all()


def test_many_rows_are_thinned(monkeypatch):
    fit = made_up_fit("y ~ x + (x | pop)")
    monkeypatch.setattr("hiermodels.numbers.checks.MOST_ROWS", 50)
    found = fit.check()
    assert found.residual.shape == (50,)
    assert len(np.unique(found.rows)) == 50


def test_thinned_effects():
    fit = made_up_fit("y ~ x + (x | pop)")
    keep = np.arange(0, 120, 2)
    draws = replace(
        fit.draws, effects={k: v[keep] for k, v in fit.draws.effects.items()}, kept=keep
    )
    fit.__dict__["draws"] = draws
    assert fit.check().n_draws == 60
    assert len(fit.residuals("quantile", new_group=True)) == 120


def test_without_groups_and_with_known_errors():
    assert "levels" not in {c.name for c in made_up_fit("y ~ x").check()}
    found = made_up_fit("y ~ x + (1 | pop)", se="error")
    assert len(found.residuals("pearson")) == 120
    assert found.check().of("dispersion").expected == pytest.approx(1, abs=0.1)


def test_a_saturated_model_is_checked_without_a_warning():
    """As many coefficients as rows: what is left is nothing, and so is each share of it."""
    data = pd.DataFrame({"y": [0.3, -1.2, 0.8], "g": ["a", "b", "c"]})
    few = {"draws": 50, "tune": 50, "chains": 2}  # trees are deep where sigma may be zero
    found = fit_model("y ~ g", data, **few, random_seed=0, progressbar=False).check()
    assert all(np.isfinite([c.observed, c.expected, c.p]).all() for c in found)
    nothing = np.zeros((2, 3))
    assert not explained(nothing, polynomial(np.arange(3.0), 1)).any()
    assert not between(nothing, np.arange(3)).any()
    assert not correlation(nothing, polynomial(np.arange(3.0), 1)).any()


def test_a_chain_that_never_moved_is_no_good_sign():
    """R-hat of two chains that stand still is 0 / 0 where they stand as far from their middle."""
    rng = np.random.default_rng(2)
    moving = rng.normal(size=(2, 50))
    still = np.repeat([[-1.0], [1.0]], 50, axis=1)
    half = moving.copy()
    half[1, 25:] = 0.3
    fixed = np.ones((2, 50))
    assert stuck(np.stack([moving, still, half, fixed])).tolist() == [False, True, True, False]
    tree = made_up_fit("y ~ x + (1 | pop)").idata
    found = diagnose(tree, made_up_fit("y ~ x + (1 | pop)").design)
    told = replace(found, rhat=np.where(np.arange(len(found.rhat)) == 0, np.inf, found.rhat))
    assert not told.good
    assert "never moved" in " ".join(told.words())


def test_far_rows_are_named():
    data = table()
    data.index = [f"row{i}" for i in range(len(data))]
    fit = quick(data.assign(y=data["y"].where(data.index != "row7", 60)), "y ~ x + (1 | pop)")
    assert fit.check().far == ("row7",)


# --- the discrepancies ----------------------------------------------------------------------------


@pytest.fixture
def z():
    return np.random.default_rng(0).standard_normal((4, 37))


def test_anderson_is_scipys_for_a_known_normal(z):
    # the definition as an integral: n int (F_n - F)^2 / (F (1 - F)) dF
    grid = (np.arange(400_000) + 0.5) / 400_000
    for row, found in zip(z, anderson(z), strict=True):
        empirical = np.searchsorted(np.sort(stats.norm.cdf(row)), grid, side="right") / len(row)
        integral = len(row) * np.mean((empirical - grid) ** 2 / (grid * (1 - grid)))
        assert found == pytest.approx(integral, rel=1e-4)


def test_explained_is_the_r2_of_a_regression(z):
    x = np.random.default_rng(1).uniform(size=37)
    basis = polynomial(x, 3)
    np.testing.assert_allclose(basis[0].T @ basis[0], np.eye(3), atol=1e-12)
    for row, found in zip(z, explained(z, basis), strict=True):
        left = row - np.polyval(np.polyfit(x, row, 3), x)
        assert found == pytest.approx(1 - left @ left / ((row - row.mean()) ** 2).sum())
    np.testing.assert_allclose(
        np.abs(correlation(z, basis[..., :1])), [abs(np.corrcoef(x, row)[0, 1]) for row in z]
    )
    assert not polynomial(np.ones(5), 2).any()


def test_between_is_the_r2_of_an_analysis_of_variance(z):
    index = np.random.default_rng(2).integers(0, 5, 37)
    for row, found in zip(z, between(z, index), strict=True):
        f = stats.f_oneway(*[row[index == j] for j in range(5)]).statistic
        assert found == pytest.approx(4 * f / (4 * f + 32))


def test_probability():
    made = np.arange(99.0)
    assert probability(np.array([200.0]), made, two_sided=False) == pytest.approx(0.005)
    assert probability(np.array([49.0]), made, two_sided=True) == pytest.approx(1.0)
    assert probability(np.array([-1.0]), made, two_sided=False) == pytest.approx(0.995)
    one = np.ones(10)
    assert probability(one, one, two_sided=False) == pytest.approx(0.5)
