"""Power-scaling: against refits whose prior or likelihood has the power, and densities by PyMC."""

import arviz_stats
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
from made_up import made_up_fit
from made_up_families import family_fit

import hiermodels as hm
from hiermodels.distributions import DISTRIBUTIONS
from hiermodels.errors import NotAvailableError, UnknownNameError
from hiermodels.numbers.prior_density import log_density, log_priors
from hiermodels.numbers.sensitivity import verdict_of

LOW, HIGH = 0.6, 1.6
SCALE = 2.0


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(6), 8)
    y = 5 + rng.normal(0, 1.5, 6)[g] + rng.normal(0, 1, len(g))
    return pd.DataFrame({"y": y, "g": [f"g{j}" for j in g], "one": 1.0})


def half_t(power):
    """HalfStudentT(3, SCALE) to a power is one with other degrees of freedom and scale."""
    nu = 4 * power - 1
    return hm.Prior("HalfStudentT", nu=nu, sigma=SCALE * np.sqrt(3 / nu))


def fitted(data, *, prior=1.0, likelihood=1.0, seed=11):
    """Its posterior with the prior or the likelihood to a power: frequencies are such a power."""
    return hm.fit(
        "y ~ 1 + (1 | g)",
        data.assign(w=likelihood),
        weights="w",
        priors={
            "Intercept": hm.Prior("Normal", mu=3, sigma=1 / np.sqrt(prior)),
            "sd_g": half_t(prior),
            "sigma": half_t(prior),
        },
        draws=10_000,
        random_seed=seed,
        progressbar=False,
    )


def distance(one, other):
    """Cumulative Jensen-Shannon distance of two samples, on a grid of their values."""
    grid = np.sort(np.concatenate([one, other]))
    width = np.diff(grid)
    p, q = (np.searchsorted(np.sort(v), grid[:-1], side="right") / len(v) for v in (one, other))

    def half(a, b):
        inside = (a > 0) & (a + b > 0)
        ratio = np.zeros_like(a)
        ratio[inside] = a[inside] * np.log2(2 * a[inside] / (a + b)[inside])
        return (width * ratio).sum() + ((b - a) * width).sum() / (2 * np.log(2))

    return np.sqrt(max(half(p, q) + half(q, p), 0) / ((p + q) * width).sum())


def both_ways(one, other):
    """The larger of the two directions."""
    return max(distance(one, other), distance(-one, -other))


def of_refits(base, low, high):
    """The distance per doubling, the mean of both powers."""
    powers = ((LOW, low), (HIGH, high))
    return np.mean([both_ways(base, v) / abs(np.log2(power)) for power, v in powers])


NAMES = {
    "Intercept": lambda fit: fit.draws.intercept,
    "sd_g[Intercept]": lambda fit: fit.draws.sd["g"][:, 0],
    "sigma": lambda fit: fit.draws.residual,
    "ICC g": lambda fit: fit.components().factor("g") / fit.components().total,
}


@pytest.fixture(scope="module")
def twice(data):
    """Two samples of the same posterior."""
    return fitted(data), fitted(data, seed=12)


@pytest.mark.parametrize("what", ["prior", "likelihood"])
def test_it_is_the_distance_to_refits_with_that_power(data, twice, what):
    base, again = twice
    found = base.sensitivity(alphas=(LOW, HIGH)).set_index("estimand")
    low, high = (fitted(data, **{what: power}) for power in (LOW, HIGH))
    # how far two samples of one posterior are apart, per doubling: the noise of a refit
    chance = max(both_ways(f(base), f(again)) for f in NAMES.values()) / np.log2(HIGH)
    assert chance < 0.03
    for name, draws_of in NAMES.items():
        wanted = of_refits(*(draws_of(f) for f in (base, low, high)))
        assert found.loc[name, what] == pytest.approx(wanted, abs=2.5 * chance), name
    largest = found.loc[list(NAMES), what].max()
    assert largest > 5 * chance, "something moves beyond the noise"


def test_the_estimands_and_the_verdicts():
    fit = family_fit("poisson", spread=0.1)
    found = fit.sensitivity(scale="latent")
    assert [*found["estimand"][:3]] == ["Intercept", "x", "sd_g[Intercept]"]
    assert {"ICC g", "CV² g[Intercept]", "CV² residual"} <= set(found["estimand"])
    assert "scale=" in fit.sensitivity().note
    assert not any(fit.sensitivity()["estimand"].str.startswith("ICC"))
    assert set(found["verdict"]) <= {"good", "prior decides", "prior and data disagree"}
    assert verdict_of(0.01, 0.0) == "good"
    assert verdict_of(0.2, 0.01) == "prior decides"
    assert verdict_of(0.2, 0.3) == "prior and data disagree"
    with pytest.raises(UnknownNameError, match="latent"):
        fit.sensitivity(scale="log")


def test_arviz_says_the_same_of_the_groups_of_the_fit(twice):
    """Its own summary reads ``log_prior`` and ``log_likelihood`` from ``idata``."""
    fit = twice[0]
    fit.log_prior()
    fit.log_likelihood()
    theirs = arviz_stats.psense_summary(fit.idata, var_names=["sd_g", "sigma"], round_to=8)
    ours = fit.sensitivity().set_index("estimand")
    for mine, name in (("sd_g[Intercept]", "sd_g[Intercept]"), ("sigma", "sigma")):
        for what in ("prior", "likelihood"):
            assert ours.loc[mine, what] == pytest.approx(theirs.loc[name, what], abs=1e-6)


def test_a_prior_that_decides_is_told(data):
    """Two levels say next to nothing of an sd."""
    some = data[data["g"].isin(["g0", "g1"])]
    with pytest.warns(hm.GroupingWarning, match="2 levels"):
        fit = hm.fit("y ~ 1 + (1 | g)", some, random_seed=1, progressbar=False)
    found = fit.sensitivity().set_index("estimand")
    assert found.loc["sd_g[Intercept]", "verdict"] != "good"
    assert found.loc["sigma", "verdict"] == "good"
    assert found.loc["sd_g[Intercept]", "what to do"]


def test_nested_cv2_is_that_of_the_variance_table():
    fit = made_up_fit("y ~ 1 + (1 | pop/patch)")
    found = fit.sensitivity().set_index("estimand")["estimate"]
    table = fit.variance_table().set_index("component")["cv2"]
    for name in ("pop", "pop:patch", "residual"):
        assert found[f"CV² {name}"] == pytest.approx(table[name])
    assert found["ICC pop + pop:patch"] < 1


PARAMETERS = {
    "Normal": {"mu": 0.3, "sigma": 2.0},
    "StudentT": {"nu": 4.0, "mu": 0.3, "sigma": 2.0},
    "Cauchy": {"alpha": 0.3, "beta": 2.0},
    "Laplace": {"mu": 0.3, "b": 2.0},
    "Logistic": {"mu": 0.3, "s": 2.0},
    "Uniform": {"lower": -1.0, "upper": 3.0},
    "TruncatedNormal": {"mu": 0.3, "sigma": 2.0, "lower": 0.0, "upper": 3.0},
    "HalfNormal": {"sigma": 2.0},
    "HalfStudentT": {"nu": 4.0, "sigma": 2.0},
    "HalfCauchy": {"beta": 2.0},
    "Exponential": {"lam": 0.7},
    "Gamma": {"alpha": 2.0, "beta": 1.5},
    "InverseGamma": {"alpha": 2.0, "beta": 1.5},
    "LogNormal": {"mu": 0.3, "sigma": 0.8},
    "Weibull": {"alpha": 2.0, "beta": 1.5},
    "Beta": {"alpha": 2.0, "beta": 3.0},
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_densities_are_those_of_pymc(name):
    x = np.array([0.1, 0.4, 0.9])
    theirs = pm.logp(getattr(pm, name).dist(**PARAMETERS[name]), x)
    function = pytensor.function([], theirs, mode=pytensor.compile.mode.Mode(linker="py"))
    found = log_density(hm.Prior(name, **PARAMETERS[name]), x)
    # PyMC's own constants are of single precision
    np.testing.assert_allclose(found, function(), rtol=1e-7, atol=1e-7)


def test_every_parameter_has_a_density_once():
    fit = made_up_fit("y ~ x + f + (x | pop) + (1 | year)")
    found = log_priors(fit.design, fit.priors, fit.draws)
    assert set(found) == {p.parameter for p in fit.priors}
    # the intercept has its prior at the mean of the predictors, a coefficient per sd of its own
    inside = fit.priors["x"].inside.parameters
    scaled = fit.draws.beta[:, 0] * fit.design.common.scale[0]
    assert fit.design.terms[0] == "x"
    wanted = -0.5 * (scaled / inside["sigma"]) ** 2 - np.log(inside["sigma"] * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found["x"], wanted)
    assert not found["cor_pop"].any()  # LKJ(1) is flat
    two = hm.Prior("LKJ", eta=2)
    r = fit.draws.cor["pop"]
    np.testing.assert_allclose(log_density(two, r), np.log(1 - r[:, 0, 1] ** 2))
    thresholds = family_fit("ordinal")
    own = log_priors(thresholds.design, thresholds.priors, thresholds.draws)
    assert set(own) == {p.parameter for p in thresholds.priors}


def test_flat_priors_have_nothing_to_scale(data):
    flat = hm.Prior("Uniform", lower=0, upper=50)
    fit = hm.fit(
        "y ~ 0 + (1 | g)",
        data,
        priors={"sd_g": flat, "sigma": flat},
        draws=100,
        random_seed=1,
        progressbar=False,
    )
    with pytest.raises(NotAvailableError, match="flat"):
        fit.sensitivity()
