"""Each family's distribution in PyMC against scipy's densities, at the edges, too.

The densities below are written with scipy from the definitions; eta is the linear predictor.
"""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from scipy import special, stats

from hiermodels.families import FAMILIES, family

ETA = np.array([-30.0, -8.0, -2.0, -0.3, 0.0, 1.0, 3.0, 9.0])
COUNTS = np.array([0.0, 1, 2, 7, 40, 1000, 100_000])
SHARES = np.array([1e-9, 0.01, 0.5, 0.9, 1 - 1e-9])
NUMBERS = np.array([-40.0, -1.0, 0.2, 3.0, 1e4])
INVERSE = {
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}
#: What is left of 1 - mu, with all its digits.
REST = {
    "logit": lambda eta: special.expit(-eta),
    "probit": lambda eta: special.ndtr(-eta),
    "cloglog": lambda eta: np.exp(-np.exp(eta)),
}


def nbinom(y, mu, alpha):
    """The negative binomial by logarithms of gamma functions."""
    return (
        special.gammaln(y + alpha)
        - special.gammaln(alpha)
        - special.gammaln(y + 1)
        - alpha * np.log1p(mu / alpha)
        + special.xlogy(y, mu / (mu + alpha))
    )


def with_zeros(log_f, log_f0, y, zi):
    zero = np.logaddexp(np.log(zi), np.log1p(-zi) + log_f0)
    return np.where(y == 0, zero, np.log1p(-zi) + log_f)


def hurdle(log_f, log_f0, y, zi):
    return np.where(y == 0, np.log(zi), np.log1p(-zi) + log_f - np.log(-np.expm1(log_f0)))


def beta(y, mu, rest, phi):
    a, b = mu * phi, rest * phi
    inside = np.where((y == 0) | (y == 1), 0.5, y)
    return (a - 1) * np.log(inside) + (b - 1) * np.log1p(-inside) - special.betaln(a, b)


def successes(y, n, eta, link):
    choose = special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)
    return choose + special.xlogy(y, INVERSE[link](eta)) + special.xlogy(n - y, REST[link](eta))


def ordinal(y, eta, cuts, link):
    cdf = {"logit": stats.logistic, "probit": stats.norm}[link]
    edges = np.array([-np.inf, *cuts, np.inf])
    k = y.astype(int)
    return np.log(cdf.cdf(edges[k + 1] - eta) - cdf.cdf(edges[k] - eta))


#: family: (values of y, own parameters, trials, log-density of (y, eta, link)).
AUX = {"sigma": 1.7, "nu": 3.5, "alpha": 0.8, "phi": 6.0, "zi": 0.15, "zoi": 0.3, "coi": 0.6}
AUX["threshold"] = np.array([-1.0, 0.4, 2.5])
POISSON = (lambda y, mu: stats.poisson.logpmf(y, mu), lambda mu: -mu)
NBINOM = (
    lambda y, mu: nbinom(y, mu, 0.8),
    lambda mu: -0.8 * np.log1p(mu / 0.8),
)
NBINOM1 = (
    lambda y, mu: nbinom(y, mu, mu / 6),
    lambda mu: -mu / 6 * np.log1p(6.0),
)
BASES = {"poisson": POISSON, "negbinomial": NBINOM, "negbinomial1": NBINOM1}


def expected(name: str, link: str, y, eta, trials):
    mu = np.exp(eta)
    for base, (log_f, log_f0) in BASES.items():
        if name == base:
            return log_f(y, mu)
        if name == f"zi_{base}":
            return with_zeros(log_f(y, mu), log_f0(mu), y, 0.15)
        if name == f"hurdle_{base}":
            return hurdle(log_f(y, mu), log_f0(mu), y, 0.15)
    if name == "gaussian":
        return stats.norm.logpdf(y, eta, 1.7)
    if name == "student":
        return stats.t.logpdf(y, 3.5, eta, 1.7)
    if name == "lognormal":
        return stats.norm.logpdf(np.log(y), eta, 1.7) - np.log(y)
    if name == "gamma":
        return stats.gamma.logpdf(y, 0.8, scale=mu / 0.8)
    if name == "ordinal":
        return ordinal(y, eta, AUX["threshold"], link)
    share, rest = INVERSE[link](eta), REST[link](eta)
    if name == "betabinomial":
        choose = -np.log1p(trials) - special.betaln(y + 1, trials - y + 1)
        a, b = 6 * share, 6 * rest
        return choose + special.betaln(y + a, trials - y + b) - special.betaln(a, b)
    if name in ("bernoulli", "binomial"):
        return successes(y, trials, eta, link)
    inside = beta(y, share, rest, 6.0)
    if name == "beta":
        return inside
    if name == "zi_beta":
        return np.where(y == 0, np.log(0.15), np.log(0.85) + inside)
    assert name == "zoi_beta"
    end = np.log(0.3) + np.where(y == 1, np.log(0.6), np.log(0.4))
    return np.where((y == 0) | (y == 1), end, np.log(0.7) + inside)


#: What y can be, and the eta where scipy's formulas above keep their digits.
VALUES = {
    **dict.fromkeys(("gaussian", "student"), (NUMBERS, ETA)),
    **dict.fromkeys(("lognormal", "gamma"), (np.array([1e-6, 0.1, 2.0, 1e5]), ETA)),
    "beta": (SHARES, ETA[2:-1]),
    "zi_beta": (np.append(SHARES, 0.0), ETA[2:-1]),
    "zoi_beta": (np.append(SHARES, [0.0, 1.0]), ETA[2:-1]),
    "bernoulli": (np.array([0.0, 1.0]), ETA[1:-1]),
    **dict.fromkeys(("binomial", "betabinomial"), (np.array([0.0, 1.0, 6.0, 9.0]), ETA[2:-1])),
    "ordinal": (np.arange(4.0), ETA[2:-1]),
}
CASES = [(name, link) for name, found in FAMILIES.items() for link in found.links]


@pytest.mark.parametrize(("name", "link"), CASES)
def test_density_in_pymc_is_that_of_scipy(name, link):
    """Relative 1e-9, and 1e-9 absolute where the logarithm is near zero."""
    found = family(name, link=link)
    values, etas = VALUES.get(name, (COUNTS, ETA[1:]))
    y, eta = (grid.ravel() for grid in np.meshgrid(values, etas))
    if link == "cloglog":  # 1 - mu is exp(-exp(eta)): PyMC has it as a difference from 1
        y, eta = y[eta < 2], eta[eta < 2]
    trials = np.full(len(y), 9.0 if found.trials else 1.0)
    own = {parameter: np.asarray(AUX[parameter]) for parameter in found.auxiliary}
    distribution = found.pymc(pm.math.constant(eta), own, trials)
    density = pm.logp(distribution, y).eval(mode="FAST_COMPILE")
    np.testing.assert_allclose(density, expected(name, link, y, eta, trials), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["zi_beta", "zoi_beta", "hurdle_poisson", "hurdle_negbinomial"])
def test_draws_of_our_own_distributions_in_pymc(name):
    """What has no distribution in PyMC draws with the moments of the family."""
    found = FAMILIES[name]
    own = {parameter: np.asarray(AUX[parameter]) for parameter in found.auxiliary}
    eta = np.full(20_000, 0.4)
    drawn = pm.draw(found.pymc(pm.math.constant(eta), own), random_seed=4, mode="FAST_COMPILE")
    mean = found.mean(found.inverse_link(eta[:1]), own)[0]
    variance = found.variance(found.inverse_link(eta[:1]), own)[0]
    # four Monte Carlo standard errors
    assert drawn.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / len(eta)))
    assert drawn.var() == pytest.approx(variance, rel=0.2)
