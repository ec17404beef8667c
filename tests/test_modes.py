"""Posteriors with several modes are told as such, and those with one are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import hiermodels as hm
from hiermodels.density.coefficientpriors import CoefficientPrior, compile_prior
from hiermodels.density.modes import Mode, chains_of_modes, find_modes, with_modes
from hiermodels.density.priors import element_prior, partial_correlation_prior
from hiermodels.density.problem import PositivePrior
from hiermodels.density.starts import coefficient_cdf, draw_starts, element_cdf, quantile
from hiermodels.density.trace import Trace
from hiermodels.errors import ModesWarning


def clusters(*centres, n=20, sd=0.02, seed=0):
    e = np.random.default_rng(seed).normal(scale=sd, size=n)
    # the errors are mirrored, too, so that y -> -y leaves mirrored clusters as they are
    return pd.DataFrame({"y": np.concatenate([c + np.sign(c) * e for c in centres])})


def share_near_zero(y):
    """P(|Intercept| < 2) of the student model by quadrature over (Intercept, log sigma, log nu)."""
    s = stats.median_abs_deviation(y, scale="normal")
    middle = np.unique(np.concatenate([c + np.linspace(-1, 1, 161) ** 3 for c in (-5, 0, 5)]))
    middle = np.unique(np.concatenate([middle, np.linspace(-15, 15, 121)]))
    log_sigma, log_nu = np.linspace(-6, 4, 61), np.linspace(-4, 5, 41)
    m, sigma, nu = np.meshgrid(middle, np.exp(log_sigma), np.exp(log_nu), indexing="ij")
    value = stats.norm.logpdf(m, np.median(y), 2.5 * s) + stats.t.logpdf(sigma, 3, 0, s)
    value += np.log(sigma) + stats.gamma.logpdf(nu, 2, scale=10) + np.log(nu)
    constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2)
    constant -= 0.5 * np.log(nu * np.pi) + np.log(sigma)
    for each in y:
        value += constant - (nu + 1) / 2 * np.log1p(((each - m) / sigma) ** 2 / nu)
    weight = np.exp(value - value.max()) * np.gradient(middle)[:, None, None]
    return weight[np.abs(middle) < 2].sum() / weight.sum()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mirrored_clusters_are_two_modes(seed):
    """y -> -y leaves the data as they are, so P(Intercept > 0) is 1/2 by construction."""
    data = clusters(5.0, -5.0)
    assert share_near_zero(data["y"].to_numpy()) < 1e-4
    with pytest.warns(ModesWarning, match=r"Two modes.*weights are not estimated"):
        fit = hm.fit(
            "y ~ 1", data, family="student", draws=300, random_seed=seed, progressbar=False
        )
    of_chain = fit.idata["posterior"]["Intercept"].to_numpy().mean(axis=1)
    assert sorted(np.sign(of_chain)) == [-1, -1, 1, 1]  # equal masses, so equally many chains
    assert np.abs(of_chain) == pytest.approx(np.full(4, 5.0), abs=0.1)
    found = fit.diagnostics
    assert not found.good
    assert found.modes.parameter == "Intercept"
    assert "Two modes" in fit.summary().text()
    assert any("Two modes" in line for line in fit.check().sampler)
    assert not any("double draws" in line for line in found.words())


def test_mirrored_slopes_are_two_modes():
    """Half of the rows on the line y = 3 x, half on y = -3 x: x -> -x is the same data."""
    rng = np.random.default_rng(3)
    x = rng.uniform(0.5, 2.0, size=20)
    e = rng.normal(scale=0.01, size=20)
    data = pd.DataFrame({"x": np.tile(x, 2), "y": np.concatenate([3 * x + e, -3 * x - e])})
    with pytest.warns(ModesWarning, match="modes"):
        fit = hm.fit(
            "y ~ 0 + x", data, family="student", draws=300, random_seed=1, progressbar=False
        )
    assert not fit.diagnostics.good
    slopes = fit.idata["posterior"]["beta"].to_numpy().mean(axis=(1, 2))
    assert slopes.min() < -2
    assert slopes.max() > 2


def test_a_mode_of_negligible_mass_is_none():
    """The outer ones of three clusters have less than a percent of the mass, by quadrature."""
    data = clusters(5.0, -5.0)
    data = pd.concat([data, clusters(1e-9, seed=1)], ignore_index=True)
    assert share_near_zero(data["y"].to_numpy()) > 0.99
    fit = hm.fit("y ~ 1", data, family="student", draws=300, random_seed=1, progressbar=False)
    assert fit.idata["posterior"].attrs["mode_of_chain"] == ""
    assert np.abs(fit.idata["posterior"]["Intercept"]).max() < 2


def test_a_prior_and_data_that_contradict_each_other():
    """A Gaussian model whose t prior is far from the data: coefficients are sampled (conditional).

    By quadrature there are two modes: the prior's, where sigma is large, and that of the data.
    """
    y = 10 + np.random.default_rng(4).normal(scale=0.5, size=4)
    prior = {
        "Intercept": hm.Prior("StudentT", nu=1.0, mu=0.0, sigma=0.001),
        "sigma": hm.Prior("HalfStudentT", nu=3, sigma=1.0),
    }
    grid = np.concatenate([np.linspace(-0.05, 0.05, 2001), np.linspace(0.051, 15, 3000)])
    sigma = np.exp(np.linspace(-3, 6, 400))
    value = stats.norm.logpdf(y[:, None, None], grid[:, None], sigma).sum(axis=0)
    value += stats.t.logpdf(grid, 1, 0, 0.001)[:, None] + stats.t.logpdf(sigma, 3, 0, 1.0)
    value += np.log(sigma)
    weight = np.exp(value - value.max()) * np.gradient(grid)[:, None]
    near_prior = weight[np.abs(grid) < 5].sum() / weight.sum()
    data = pd.DataFrame({"y": y})
    model = hm.Model("y ~ 1", data, priors=prior)
    if not 0.02 < near_prior < 0.98:
        pytest.fail(f"the example was to have two modes; near the prior is {near_prior:.3f}")
    with pytest.warns(ModesWarning, match="Two modes"):
        fit = model.fit(draws=300, random_seed=1, progressbar=False)
    assert not fit.diagnostics.good


def test_one_chain_is_told_that_it_sees_one_mode():
    with pytest.warns(ModesWarning, match="stay in one of them"):
        fit = hm.fit(
            "y ~ 1",
            clusters(5.0, -5.0),
            family="student",
            chains=1,
            draws=300,
            random_seed=1,
            progressbar=False,
        )
    assert not fit.diagnostics.good
    assert "Two modes" in fit.summary().text()


def test_what_was_found_is_saved(tmp_path):
    with pytest.warns(ModesWarning):
        fit = hm.fit(
            "y ~ 1",
            clusters(5.0, -5.0),
            family="student",
            draws=300,
            random_seed=1,
            progressbar=False,
        )
    fit.save(tmp_path / "fit.hm")
    assert hm.load(tmp_path / "fit.hm").diagnostics.words() == fit.diagnostics.words()


@pytest.mark.parametrize("family", ["gaussian", "student", "poisson", "negbinomial"])
@pytest.mark.parametrize("seed", range(3))
def test_no_false_alarm(family, seed):
    """Warnings are errors: these posteriors have one mode."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(8), 10), rng.normal(size=80)
    eta = 1.0 + 0.3 * x + rng.normal(scale=0.5, size=8)[g]
    draw = {
        "gaussian": lambda: eta + rng.normal(size=80),
        "student": lambda: eta + rng.standard_t(4, size=80),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "negbinomial": lambda: rng.poisson(np.exp(eta) * rng.gamma(3.0, 1 / 3.0, size=80)),
    }
    data = pd.DataFrame({"y": draw[family](), "x": x, "g": [f"g{k}" for k in g]})
    fit = hm.fit(
        "y ~ x + (1 | g)", data, family=family, draws=200, random_seed=seed, progressbar=False
    )
    assert fit.idata["posterior"].attrs["modes"] == 1


def made(place, mass):
    place = np.asarray(place, float)
    return Mode(coordinates=None, place=place, spread=np.ones(len(place)), log_mass=mass)


def test_modes_that_are_near_or_negligible_are_left_out():
    first = made([0.0, 0.0], 0.0)
    places = {"same": [3.9, 0.0], "other": [4.1, 0.0], "tiny": [0.0, 50.0], "gone": [9.0, 9.0]}
    masses = {"other": 1.0, "tiny": np.log(0.009) + 1.0}

    def settle(place):
        for name, mass in masses.items():
            if np.array_equal(place, places[name]):
                return made(place, mass)
        raise FloatingPointError("nowhere")

    found = find_modes(first, places, lambda name: np.array(places[name]), settle)
    assert [mode.log_mass for mode in found] == [1.0, 0.0]
    assert find_modes(first, places, lambda _: None, settle) == [first]


@pytest.mark.parametrize(
    ("masses", "chains", "counts"),
    [
        ((0.0, 0.0), 4, [2, 2]),
        ((0.0, -2.0), 4, [3, 1]),
        ((0.0, -4.0, -4.0), 4, [2, 1, 1]),
        ((0.0, -1.0), 1, [1, 0]),
    ],
)
def test_every_mode_has_a_chain_while_there_are_any(masses, chains, counts):
    assert chains_of_modes(np.array(masses), chains).tolist() == counts


def test_chains_that_go_between_modes_are_not_apart():
    modes = [made([0.0], 0.0), made([10.0], 0.0)]

    def trace(theta):
        return Trace(
            theta=np.asarray(theta, float)[:, :, None],
            statistics={},
            method="nuts",
            tuning_steps=0,
            interrupted=False,
        )

    both = np.tile([0.0, 10.0], (2, 50))
    assert with_modes(trace(both), modes).mode_of_chain == ()
    assert with_modes(trace(both), modes).modes == 2
    assert with_modes(trace(np.zeros((2, 100))), modes).modes == 1  # a peak that was left
    apart = with_modes(trace(np.repeat([[0.0], [10.0]], 100, axis=1)), modes)
    assert (apart.modes, apart.mode_of_chain) == (2, (0, 1))
    alone = with_modes(trace(np.zeros((1, 100))), modes)
    assert (alone.modes, alone.mode_of_chain) == (2, (0,))


@pytest.mark.parametrize("u", [0.1, 0.5, 0.9])
def test_quantiles_of_priors(u):
    """Against scipy; the grid is coarse, as a start need not be exact."""
    half_t = element_cdf(element_prior(PositivePrior(kind="halfstudentt", a=3.0, b=1.0)))
    exact = np.log(stats.t.ppf(0.5 + u / 2, 3))
    assert quantile(u, half_t) == pytest.approx(exact, abs=0.2)
    partial = quantile(u, element_cdf(partial_correlation_prior(1.0, 2, 0)))
    assert np.tanh(partial) == pytest.approx(2 * u - 1, abs=0.1)
    normal = compile_prior(CoefficientPrior(name="Normal", parameters={"mu": 50.0, "sigma": 4.0}))
    assert quantile(u, coefficient_cdf(normal)) == pytest.approx(stats.norm.ppf(u, 50, 4), abs=0.4)


def test_starts_are_mirrored_pairs_and_repeat():
    normal = compile_prior(CoefficientPrior(name="Normal", parameters={"mu": 1.0, "sigma": 2.0}))
    sd = element_prior(PositivePrior(kind="lognormal", a=0.0, b=1.0))
    one, other, *_ = draw_starts((sd,), (normal,), effects=3, seed=1)
    assert one.t + other.t == pytest.approx([2.0], abs=1e-6)
    assert one.theta + other.theta == pytest.approx([0.0], abs=1e-6)
    assert one.z == pytest.approx(-other.z)
    again = draw_starts((sd,), (normal,), effects=3, seed=1)[0]
    assert np.array_equal(again.z, one.z)
    assert not np.array_equal(draw_starts((sd,), (normal,), effects=3, seed=2)[0].z, one.z)
