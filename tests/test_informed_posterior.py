"""Posteriors of the compiled engine against integrals by quadrature, and against engine="pymc"."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from arviz_stats.base import array_stats
from scipy import special, stats
from scipy.interpolate import CubicSpline
from test_likelihoods import reference

from hiermodels.errors import GroupingWarning
from hiermodels.fitting import Model
from hiermodels.priors import Prior

ERRORS = 5
"""Monte Carlo standard errors within which a mean must be."""


def assert_mean(draws, expected, label, other=0.0):
    """The mean of draws (chains, draws) within `ERRORS` of its own and another's errors."""
    error = np.hypot(float(array_stats.mcse(draws, chain_axis=0, draw_axis=1)), other)
    assert abs(draws.mean() - expected) < ERRORS * error, (label, draws.mean(), expected, error)


# --- exact --------------------------------------------------------------------------------------

LEVELS = np.repeat([0, 1, 2], [4, 6, 8])
RESPONSES = {
    "poisson": [0, 2, 1, 1, 3, 4, 2, 6, 3, 5, 1, 0, 0, 2, 1, 1, 0, 3],
    "zi_poisson": [0, 4, 0, 3, 3, 0, 2, 6, 0, 5, 1, 0, 0, 2, 0, 1, 0, 3],
    "negbinomial": [0, 9, 1, 1, 3, 14, 2, 6, 0, 5, 1, 0, 0, 2, 8, 1, 0, 3],
    "bernoulli": [0, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0],
    "beta": [k / 10 for k in (3, 2, 5, 1, 7, 8, 4, 6, 9, 7, 2, 3, 1, 4, 5, 2, 3, 6)],
}
#: family: link, and the prior, grid on the line, and value of its own parameter.
EXACT = {
    "poisson": ("log", None),
    "bernoulli": ("cloglog", None),
    "zi_poisson": (
        "log",
        ("zi", Prior("Beta", alpha=2, beta=3), stats.beta(2, 3), np.linspace(-9, 5, 57)),
    ),
    "negbinomial": (
        "log",
        (
            "alpha",
            Prior("LogNormal", mu=0.5, sigma=0.7),
            stats.lognorm(0.7, scale=np.exp(0.5)),
            np.linspace(-3.5, 4.5, 41),
        ),
    ),
    "beta": (
        "logit",
        (
            "phi",
            Prior("Gamma", alpha=2, beta=0.3),
            stats.gamma(2, scale=1 / 0.3),
            np.linspace(-1.5, 4.5, 41),
        ),
    ),
}


def exact_moments(family):
    """E[v] and E[v^2] of the intercept, sd, own parameter and effects, by trapezoids.

    The integrals over the three effects, given the rest, are one-dimensional. All integrands fall
    to nothing at the ends of their grids, where the trapezoid rule is accurate to many digits.
    """
    link, own = EXACT[family]
    y = np.array(RESPONSES[family], float)
    a, log_sd = np.linspace(-4, 4.5, 86), np.linspace(-9, 2, 67)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    log_prior = stats.norm(0.3, 0.8).logpdf(a)[:, None] + (
        stats.halfnorm(scale=0.9).logpdf(np.exp(log_sd)) + log_sd
    )
    values = {"Intercept": a[:, None], "sd_g": np.exp(log_sd)[None]}
    sums = dict.fromkeys([(n, k) for n in ("Intercept", "sd_g") for k in (1, 2)], 0.0)
    total, eta = 0.0, np.linspace(-60, 60, 6001)
    where = a[:, None, None] + np.exp(log_sd)[:, None] * nodes
    b = np.exp(log_sd)[:, None] * nodes
    for line in [None] if own is None else own[3]:
        extra, density = own_parameter(own, line)
        moments = []
        for level in range(3):
            rows = np.array(
                [
                    reference(
                        family,
                        link,
                        np.full(len(eta), each),
                        np.ones(len(eta)),
                        np.vstack([eta, *([np.full(len(eta), line)] if own else [])]),
                    )
                    for each in y[level == LEVELS]
                ]
            ).sum(axis=0)
            given = CubicSpline(eta, np.exp(rows))(np.clip(where, -60, 60))
            moments.append([(given * b**k) @ weights for k in (0, 1, 2)])
        prior = np.exp(log_prior) * density
        mass = prior * np.prod([m[0] for m in moments], axis=0)
        total += mass.sum()
        for name, value in (values | extra).items():
            for k in (1, 2):
                sums[name, k] = sums.get((name, k), 0.0) + (mass * value**k).sum()
        for level in range(3):
            for k in (1, 2):
                key = (f"b_g[{level}]", k)
                others = [m[0] for other, m in enumerate(moments) if other != level]
                of_level = prior * moments[level][k] * np.prod(others, axis=0)
                sums[key] = sums.get(key, 0.0) + of_level.sum()
    return {key: value / total for key, value in sums.items()}


def own_parameter(own, line):
    """Its value by name, and its prior density on the line."""
    if own is None:
        return {}, 1.0
    name, _, prior, _ = own
    if name == "zi":
        value = special.expit(line)
        return {name: value}, prior.pdf(value) * value * (1 - value)
    return {name: np.exp(line)}, prior.pdf(np.exp(line)) * np.exp(line)


@pytest.mark.parametrize("family", EXACT)
def test_moments_are_those_of_quadrature(family):
    link, own = EXACT[family]
    priors = {
        "Intercept": Prior("Normal", mu=0.3, sigma=0.8),
        "sd_g": Prior("HalfNormal", sigma=0.9),
        **({own[0]: own[1]} if own else {}),
    }
    data = pd.DataFrame({"y": RESPONSES[family], "g": LEVELS})
    model = Model("y ~ 1 + (1 | g)", data, family=family, link=link, priors=priors)
    with pytest.warns(GroupingWarning, match="3 levels"):
        fit = model.fit(engine="noncentred", draws=3000, random_seed=3, progressbar=False)
    posterior = fit.idata["posterior"]
    for (name, k), expected in exact_moments(family).items():
        variable, _, place = name.partition("[")
        draws = posterior[variable].to_numpy().reshape(4, 3000, -1)
        assert_mean(draws[..., int(place.rstrip("]") or 0)] ** k, expected, (name, k))


# --- with PyMC ----------------------------------------------------------------------------------


def table():
    rng = np.random.default_rng(8)
    n = 72
    g = np.r_[np.arange(8), rng.integers(8, size=n - 8)]
    x = rng.normal(size=n)
    b = rng.normal(size=(8, 2)) * [0.7, 0.3]
    eta = 0.4 + 0.5 * x + b[g, 0] + b[g, 1] * x
    mean = special.expit(eta)
    count = rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta)))
    return pd.DataFrame(
        {
            "x": x,
            "g": g,
            "share": np.clip(rng.beta(9 * mean, 9 * (1 - mean)), 0.001, 0.999),
            "count": np.where(rng.random(n) < 0.25, 0, count),
            "rating": np.digitize(eta + rng.logistic(size=n), [-1.0, 0.5, 1.5]),
            "often": rng.integers(1, 3, n),
        }
    )


#: formula, arguments.
WITH_PYMC = {
    "beta": ("share ~ x + (x | g)", {}),
    "zi_negbinomial": ("count ~ x + (1 | g)", {"zi": "~ x"}),
    "ordinal": ("rating ~ x + (1 | g)", {"weights": "often"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", WITH_PYMC)
def test_posterior_is_that_of_pymc(family):
    """Means of every reported parameter; PyMC compiles for some 20 s."""
    formula, arguments = WITH_PYMC[family]
    model = Model(formula, table(), family=family, **arguments)
    ours, pymc = (
        model.fit(engine=engine, random_seed=5, progressbar=False).idata["posterior"]
        for engine in ("noncentred", "pymc")
    )
    assert set(ours.data_vars) == set(pymc.data_vars)
    for name in ours.data_vars:
        one, two = (
            each[name].transpose("chain", "draw", ...).to_numpy().reshape(4, 1000, -1)
            for each in (ours, pymc)
        )
        for k in range(one.shape[2]):
            if np.ptp(one[..., k]) < 1e-9:  # the diagonal of a correlation matrix
                continue
            error = float(array_stats.mcse(two[..., k], chain_axis=0, draw_axis=1))
            assert_mean(one[..., k], two[..., k].mean(), (name, k), error)
