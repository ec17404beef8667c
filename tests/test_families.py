"""Families: each against scipy's distributions, and its moments, cdf and draws against each other.

The probabilities below are written from the definitions with scipy, none of it from the package.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from hiermodels.errors import DataError, UnknownNameError
from hiermodels.families import ALIASES, FAMILIES, LINKS, Observed, family, squeeze
from hiermodels.families.supports import check_counts

COUNTS = np.arange(0.0, 3000.0)


def nbinom(mu, alpha):
    return stats.nbinom(alpha, alpha / (alpha + mu))


def inflated(base, zi, y):
    return np.where(y == 0, zi, 0.0) + (1 - zi) * base.pmf(y)


def hurdle(base, zi, y):
    return np.where(y == 0, zi, (1 - zi) * base.pmf(y) / base.sf(0))


#: family: (mu, aux, trials, log-probability of y): at least two sets, one near an edge.
DISCRETE = {
    "bernoulli": [(0.3, {}, None, lambda y: stats.bernoulli(0.3).pmf(y))],
    "binomial": [
        (0.3, {}, 12.0, lambda y: stats.binom(12, 0.3).pmf(y)),
        (0.999, {}, 1.0, lambda y: stats.binom(1, 0.999).pmf(y)),
    ],
    "betabinomial": [
        (0.2, {"phi": 5.0}, 9.0, lambda y: stats.betabinom(9, 1.0, 4.0).pmf(y)),
        (0.5, {"phi": 0.4}, 30.0, lambda y: stats.betabinom(30, 0.2, 0.2).pmf(y)),
    ],
    "poisson": [
        (3.5, {}, None, lambda y: stats.poisson(3.5).pmf(y)),
        (0.01, {}, None, lambda y: stats.poisson(0.01).pmf(y)),
    ],
    "negbinomial": [
        (3.5, {"alpha": 0.7}, None, lambda y: nbinom(3.5, 0.7).pmf(y)),
        (20.0, {"alpha": 1e6}, None, lambda y: nbinom(20.0, 1e6).pmf(y)),
    ],
    "negbinomial1": [
        (3.5, {"phi": 2.0}, None, lambda y: nbinom(3.5, 1.75).pmf(y)),
        (30.0, {"phi": 0.1}, None, lambda y: nbinom(30.0, 300.0).pmf(y)),
    ],
    "zi_poisson": [(3.5, {"zi": 0.2}, None, lambda y: inflated(stats.poisson(3.5), 0.2, y))],
    "zi_negbinomial": [
        (3.5, {"alpha": 0.7, "zi": 0.2}, None, lambda y: inflated(nbinom(3.5, 0.7), 0.2, y))
    ],
    "zi_negbinomial1": [
        (3.5, {"phi": 2.0, "zi": 0.2}, None, lambda y: inflated(nbinom(3.5, 1.75), 0.2, y))
    ],
    "hurdle_poisson": [
        (3.5, {"zi": 0.2}, None, lambda y: hurdle(stats.poisson(3.5), 0.2, y)),
        (0.01, {"zi": 0.6}, None, lambda y: hurdle(stats.poisson(0.01), 0.6, y)),
    ],
    "hurdle_negbinomial": [
        (3.5, {"alpha": 0.7, "zi": 0.2}, None, lambda y: hurdle(nbinom(3.5, 0.7), 0.2, y)),
        (0.01, {"alpha": 2.0, "zi": 0.6}, None, lambda y: hurdle(nbinom(0.01, 2.0), 0.6, y)),
    ],
    "hurdle_negbinomial1": [
        (3.5, {"phi": 2.0, "zi": 0.2}, None, lambda y: hurdle(nbinom(3.5, 1.75), 0.2, y))
    ],
    "ordinal": [
        (
            0.4,
            {"threshold": np.array([-1.0, 0.5, 2.0])},
            None,
            lambda y: np.select(
                [y == 0, y == 1, y == 2, y == 3],
                np.diff(stats.logistic.cdf(np.array([-np.inf, -1, 0.5, 2, np.inf]) - 0.4)),
                0.0,
            ),
        )
    ],
}
#: family: (mu, aux, scipy's distribution of what is not at an end, {end: probability}).
CONTINUOUS = {
    "gaussian": [(1.5, {"sigma": 2.0}, stats.norm(1.5, 2.0), {})],
    "student": [(1.5, {"sigma": 2.0, "nu": 5.0}, stats.t(5, 1.5, 2.0), {})],
    "lognormal": [(0.5, {"sigma": 0.6}, stats.lognorm(0.6, scale=np.exp(0.5)), {})],
    "gamma": [(3.0, {"alpha": 2.5}, stats.gamma(2.5, scale=3 / 2.5), {})],
    "beta": [
        (0.3, {"phi": 8.0}, stats.beta(2.4, 5.6), {}),
        (0.95, {"phi": 40.0}, stats.beta(38, 2), {}),
    ],
    "zi_beta": [(0.3, {"phi": 8.0, "zi": 0.25}, stats.beta(2.4, 5.6), {0: 0.25})],
    "zoi_beta": [
        (0.3, {"phi": 8.0, "zoi": 0.25, "coi": 0.4}, stats.beta(2.4, 5.6), {0: 0.15, 1: 0.1})
    ],
}
DISCRETE_CASES = [(name, *case) for name, cases in DISCRETE.items() for case in cases]
CONTINUOUS_CASES = [(name, *case) for name, cases in CONTINUOUS.items() for case in cases]


def test_every_family_has_a_case():
    assert set(DISCRETE) | set(CONTINUOUS) == set(FAMILIES)
    assert {name for name, found in FAMILIES.items() if found.discrete} == set(DISCRETE)


@pytest.mark.parametrize(("name", "mu", "aux", "trials", "pmf"), DISCRETE_CASES)
def test_moments_of_whole_numbers_are_sums(name, mu, aux, trials, pmf):
    """Sums to 3000 leave out less than 1e-12 of the probability, so the rest is rounding."""
    p = pmf(COUNTS)
    assert p.sum() == pytest.approx(1, rel=1e-9)
    mean = (p * COUNTS).sum()
    found = FAMILIES[name]
    assert found.mean(np.array(mu), aux, trials) == pytest.approx(mean, rel=1e-8)
    variance = (p * (COUNTS - mean) ** 2).sum()
    assert found.variance(np.array(mu), aux, trials) == pytest.approx(variance, rel=1e-8)


@pytest.mark.parametrize(("name", "mu", "aux", "trials", "pmf"), DISCRETE_CASES)
def test_distribution_function_of_whole_numbers(name, mu, aux, trials, pmf):
    y = np.arange(-1.0, 40.0)
    expected = np.cumsum(pmf(y))
    means, found = np.full(len(y), mu), FAMILIES[name]
    np.testing.assert_allclose(found.cdf(y, means, aux, trials), expected, atol=1e-12)
    np.testing.assert_allclose(found.below(y, means, aux, trials), expected - pmf(y), atol=1e-12)


@pytest.mark.parametrize(("name", "mu", "aux", "trials", "pmf"), DISCRETE_CASES)
def test_draws_of_whole_numbers(name, mu, aux, trials, pmf):
    """Chi-square of 20,000 draws; p below 1e-4 of a fixed seed is a fault, not chance."""
    n = 20_000
    drawn = FAMILIES[name].draw(np.random.default_rng(5), np.full(n, mu), aux, trials)
    expected = n * pmf(COUNTS)
    few = expected < 5
    seen = np.bincount(drawn.astype(int), minlength=len(COUNTS))[: len(COUNTS)]
    f_obs, f_exp = seen[~few], expected[~few]
    if expected[few].sum() > 5:
        f_obs, f_exp = np.append(f_obs, seen[few].sum()), np.append(f_exp, expected[few].sum())
    assert seen[expected == 0].sum() == 0
    p = stats.chisquare(f_obs, f_exp * f_obs.sum() / f_exp.sum()).pvalue
    assert p > 1e-4


@pytest.mark.parametrize(("name", "mu", "aux", "inside", "ends"), CONTINUOUS_CASES)
def test_moments_of_continuous_responses(name, mu, aux, inside, ends):
    """Ends of known probability and scipy's distribution between them."""
    rest = 1 - sum(ends.values())
    mean = rest * inside.mean() + sum(y * p for y, p in ends.items())
    square = rest * (inside.var() + inside.mean() ** 2) + sum(y * p for y, p in ends.items())
    found = FAMILIES[name]
    assert found.mean(np.array(mu), aux) == pytest.approx(mean, rel=1e-10)
    assert found.variance(np.array(mu), aux) == pytest.approx(square - mean**2, rel=1e-9)


@pytest.mark.parametrize(("name", "mu", "aux", "inside", "ends"), CONTINUOUS_CASES)
def test_distribution_function_and_draws_of_continuous_responses(name, mu, aux, inside, ends):
    y = np.append(inside.ppf([0.001, 0.2, 0.5, 0.9, 0.9999]), list(ends))
    rest = 1 - sum(ends.values())
    below = rest * inside.cdf(y) + sum(p * (end < y) for end, p in ends.items())
    upto = rest * inside.cdf(y) + sum(p * (end <= y) for end, p in ends.items())
    means, found = np.full(len(y), mu), FAMILIES[name]
    np.testing.assert_allclose(found.cdf(y, means, aux), upto, atol=1e-12)
    np.testing.assert_allclose(found.below(y, means, aux), below, atol=1e-12)
    drawn = found.draw(np.random.default_rng(3), np.full(20_000, mu), aux)
    at_end = np.isin(drawn, list(ends))
    # Kolmogorov-Smirnov of a fixed seed: below 1e-4 is a fault, not chance
    assert stats.kstest(drawn[~at_end], inside.cdf).pvalue > 1e-4
    for end, p in ends.items():
        assert stats.binomtest(int((drawn == end).sum()), 20_000, p).pvalue > 1e-4


def test_variance_of_student_is_infinite_with_few_degrees_of_freedom():
    aux = {"sigma": np.ones(3), "nu": np.array([1.5, 2.0, 2.5])}
    found = FAMILIES["student"].variance(np.zeros(3), aux)
    assert np.isinf(found[:2]).all()
    assert found[2] == pytest.approx(5)


@pytest.mark.parametrize("name", LINKS)
def test_links_and_their_inverses(name):
    mu = np.array([1e-12, 0.01, 0.4, 0.5, 0.97])
    link = LINKS[name]
    np.testing.assert_allclose(link.inverse(link.link(mu)), mu, rtol=1e-9)
    assert (np.diff(link.link(mu)) > 0).all()


def test_cloglog_by_its_definition():
    eta = np.array([-3.0, 0.0, 1.0])
    np.testing.assert_allclose(LINKS["cloglog"].inverse(eta), stats.gumbel_l.cdf(eta), rtol=1e-12)


def test_thresholds_from_the_unconstrained_scale():
    parameter = family("ordinal").parameters[0]
    found = parameter.inverse(np.array([[-1.0, np.log(1.5), np.log(0.25)]]))
    np.testing.assert_allclose(found, [[-1, 0.5, 0.75]])


def test_ordinal_probit_is_a_cut_normal_variable():
    aux = {"threshold": np.array([-0.5, 1.0])}
    p = integrate.quad(stats.norm(0.3).pdf, -0.5, 1.0)[0]
    found = family("ordinal", link="probit")
    assert found.cdf(1.0, np.array(0.3), aux) - found.cdf(0.0, np.array(0.3), aux) == (
        pytest.approx(p, abs=1e-10)
    )


@pytest.mark.parametrize(
    ("alias", "name"),
    {
        "normal": "gaussian",
        "Gaussian": "gaussian",
        "Gamma": "gamma",
        "nbinom2": "negbinomial",
        "nbinom": "negbinomial",
        "negative_binomial": "negbinomial",
        "NegativeBinomial": "negbinomial",
        "nbinom1": "negbinomial1",
        "zinb": "zi_negbinomial",
        "zip": "zi_poisson",
        "student_t": "student",
        "StudentT": "student",
        "t": "student",
        "beta_binomial": "betabinomial",
        "cumulative": "ordinal",
        "Hurdle-Poisson": "hurdle_poisson",
        "zero_inflated_beta": "zi_beta",
    }.items(),
)
def test_aliases(alias, name):
    assert family(alias).name == name


def test_aliases_lead_to_families():
    assert set(ALIASES.values()) <= set(FAMILIES)


def test_names_and_links_that_do_not_exist():
    with pytest.raises(UnknownNameError, match="Did you mean 'negbinomial'"):
        family("negbinomal")
    with pytest.raises(UnknownNameError, match="Valid: logit, probit, cloglog"):
        family("binomial", link="log")


#: family, response, trials: what the message must have.
BAD = [
    ("beta", [0.2, 0.0, 1.0, 0.5], None, ["rows 1, 2", "squeeze", "zoi_beta", "sensitivity"]),
    ("beta", [0.2, 0.0, 0.3, 0.5], None, ["row 1", "exactly 0", "zi_beta"]),
    ("beta", [20, 30, 40, 50], None, ["divide a percentage by 100"]),
    (
        "beta",
        [0, 3, 1, 250],
        None,
        ["share between 0 and 1. All are whole", "'poisson'", "'binomial'"],
    ),
    ("zi_beta", [0.2, 0.0, 1.0, 0.5], None, ["row 2", "exactly 1", "zoi_beta"]),
    ("zoi_beta", [0.2, 0.0, -1.0, 0.5], None, ["row 2", "outside 0 to 1"]),
    ("poisson", [1, 2, -1, 4], None, ["row 2", "negative"]),
    ("negbinomial", [1, 2, 2.5, 4], None, ["row 2", "2.5", "whole number", "offset"]),
    ("hurdle_poisson", [1, 2, 2.5, 4], None, ["row 2", "whole number"]),
    ("bernoulli", [0, 1, 2, 0], None, ["row 2", "neither 0 nor 1", "binomial"]),
    ("gamma", [1, 0, 2, 3], None, ["row 1", "not positive", "hurdle"]),
    ("lognormal", [1, -2, 2, 3], None, ["row 1", "-2"]),
    ("binomial", [1, 5, 2, 3], [4, 4, 4, 4], ["row 1", "more than the trials"]),
    ("binomial", [1, 0, 2, 3], [4, 0, 4, 4], ["row 1", "trials", "leave it out"]),
    ("betabinomial", [1, 0.5, 2, 3], [4, 4, 4, 4], ["row 1", "whole number"]),
    ("binomial", [1, 0, 1, 1], None, ["successes / trials"]),
    ("gaussian", [2, 2, 2, 2], None, ["is 2 in all 4 rows"]),
    ("poisson", [0, 0, 0, 0], None, ["is 0 in all 4 rows"]),
]


@pytest.mark.parametrize(("name", "values", "trials", "told"), BAD)
def test_a_response_outside_the_support(name, values, trials, told):
    observed = Observed(
        name="score",
        values=np.array(values, dtype=float),
        rows=range(4),
        trials=None if trials is None else np.array(trials, dtype=float),
    )
    with pytest.raises(DataError) as error:
        family(name).check_response(observed)
    assert "'score'" in str(error.value) or "'trials'" in str(error.value)
    for part in told:
        assert part in str(error.value)


def test_rows_are_named_by_their_labels():
    observed = Observed(name="n", values=np.array([1.0, -1, -2]), rows=["a", "b", "c"])
    with pytest.raises(DataError, match="rows b, c"):
        check_counts(observed)


def test_squeeze_is_that_of_smithson_and_verkuilen():
    y = np.array([0.0, 0.25, 1.0, 0.5])
    np.testing.assert_allclose(squeeze(y), (y * 3 + 0.5) / 4)
    np.testing.assert_allclose(squeeze(y, s=0.1, n=100)[[0, 2]], [0.001, 0.999])
    with pytest.raises(DataError, match="percentage"):
        squeeze(100 * y)
    with pytest.raises(DataError, match="less than half"):
        squeeze(y, s=2)


#: family, response, offset, trials -> (m, s) by hand.
LOCATIONS = [
    ("gaussian", [1.0, 2, 6], [0.0, 0, 3], None, (2.0, 1.0)),
    ("student", [1.0, 2, 3, 4, 1000], [0.0] * 5, None, (3.0, 1 / stats.norm.ppf(0.75))),
    ("gamma", list(np.exp([1.0, 2, 3])), [0.0] * 3, None, (2.0, 1.0)),
    ("poisson", [3.0, 3, 4], list(np.log([10.0, 10, 1])), None, (np.log(10.5 / 21), None)),
    ("negbinomial", [0.0] * 99 + [3], [0.0] * 100, None, (np.log(3.5 / 100), 1.0)),
    ("hurdle_poisson", [0.0, 0, 3, 5], [0.0] * 4, None, (np.log(8.5 / 2), 1.0)),
    ("bernoulli", [0.0] * 999 + [1], [0.0] * 1000, None, (np.log(1.5 / 999.5), 1.0)),
    ("binomial", [3.0, 4], [0.0, 0], [10.0, 20], (np.log(7.5 / 23.5), 1.0)),
    ("zi_beta", [0.0, 0.5, 0.6], [0.0] * 3, None, (np.log(1.6 / 1.4), 1.0)),
]


@pytest.mark.parametrize(("name", "y", "offset", "trials", "expected"), LOCATIONS)
def test_location_and_scale_of_the_default_priors(name, y, offset, trials, expected):
    found = family(name).location_scale(
        np.array(y), np.array(offset), None if trials is None else np.array(trials)
    )
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    if expected[1] is not None:
        assert found[1] == pytest.approx(expected[1], rel=1e-12)


def test_extreme_predictors_give_numbers_without_warnings():
    """mu from e^-30 to e^30, or within 1e-13 of 0 and 1: draws and moments are no NaN."""
    rng = np.random.default_rng(0)
    aux = {"sigma": 1.0, "nu": 4.0, "alpha": 2.0, "phi": 3.0, "zi": 0.3, "zoi": 0.2, "coi": 0.5}
    aux["threshold"] = np.array([-1.0, 1.0])
    eta = np.array([-30.0, 0.0, 30.0])
    for found in FAMILIES.values():
        trials = np.full(3, 7.0) if found.trials else None
        mu = found.inverse_link(eta)
        own = {name: aux[name] for name in found.auxiliary}
        for values in (
            found.mean(mu, own, trials),
            found.variance(mu, own, trials),
            found.draw(rng, mu, own, trials),
        ):
            assert values.shape == (3,)
            assert np.isfinite(values).all()
