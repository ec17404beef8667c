"""Averages over group effects of any sd, against dense sums and closed forms."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import table
from made_up_families import family_fit
from scipy.special import expit, ndtr
from stand_in import fit_of, with_formula

import hiermodels as hm
from hiermodels.families import family
from hiermodels.numbers.expected import BEYOND, marginal_mean, shared_variances
from hiermodels.numbers.points import points_of
from hiermodels.numbers.prediction import marginal_mean as predicted_mean
from hiermodels.numbers.predictive import Given

SDS = (0.1, 1.0, 4.0, 6.0, 20.0, 60.0)
LINKS = {
    "logit": expit,
    "probit": ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(np.minimum(eta, 50))),
}
POP, YEAR, BOTH = ("pop",), ("year",), ("pop", "year")


def normal(n=20_001, high=9.0):
    """Nodes and weights of a standard normal variable: the sum is exact to 1e-10 for sds of 60."""
    u = np.linspace(-9.0, high, n)
    return u, np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) * (u[1] - u[0])


def moments(h, f, alone, rest, high=9.0):
    """E[h] and Var(E[h | the first effect]) where its variance is ``alone``, by nested sums."""
    (t, weights), (u, inner) = normal(801, high), normal(1601, high)
    given = np.array([h(f + np.sqrt(alone) * x + np.sqrt(rest) * u) @ inner for x in t])
    mean = weights @ given
    return mean, weights @ (given - mean) ** 2


def shares_at(fit, name=None, auxiliary=None, link=None):
    """The law of total variance at the first draw, also of another family."""
    design, draws = fit.design, fit.draws.without_effects(np.array([0]))
    if name is not None:
        design = replace(design, family=family(name, link=link) if link else family(name))
        own = {k: np.asarray([v]) for k, v in (auxiliary or {}).items()}
        draws = replace(draws, auxiliary=own)
    found = shared_variances(design, draws, points_of(design), [POP, YEAR, BOTH])
    return found, marginal_mean(design, draws)[0]


def two_factors(sd, intercept):
    """sds 0.6 and 0.8 of the whole: variances add up to the square of ``sd``."""
    sds = {"pop": 0.6 * sd, "year": 0.8 * sd}
    return fit_of(
        "poisson", "y ~ 1 + (1 | pop) + (1 | year)", table(n=10), sd=sds, intercept=intercept
    )


@pytest.mark.parametrize("sd", SDS)
@pytest.mark.parametrize("link", LINKS)
def test_shares_of_a_bounded_link_at_any_sd(link, sd):
    """The mixtures are within 7e-5 of their links, a variance within twice that; wanted is 1e-3."""
    h, f = LINKS[link], -0.7
    found, mean = shares_at(two_factors(sd, f), "bernoulli", link=link)
    u, weights = normal()
    values = h(f + sd * u)
    wanted, whole = weights @ values, weights @ values**2 - (weights @ values) ** 2
    assert mean == pytest.approx(wanted, abs=1e-6)
    assert found.mean[0] == pytest.approx(wanted, abs=7e-5)
    assert found.sets[BOTH][0] == pytest.approx(whole, abs=1.5e-4)
    assert found.noise[0] == pytest.approx(weights @ (values * (1 - values)), abs=1.5e-4)
    for factors, share in ((POP, 0.36), (YEAR, 0.64)):
        _, alone = moments(h, f, share * sd**2, (1 - share) * sd**2)
        assert found.sets[factors][0] == pytest.approx(alone, abs=1.5e-4)


OTHERS = {
    "binomial": ("logit", {}),
    "beta": ("logit", {"phi": 4.0}),
    "zi_beta": ("logit", {"phi": 4.0, "zi": 0.2}),
    "zoi_beta": ("logit", {"phi": 4.0, "zoi": 0.2, "coi": 0.4}),
    "ordinal": ("logit", {"threshold": np.array([-2.0, 0.0, 30.0])}),
    "negbinomial1": (None, {"phi": 2.0}),
    "zi_negbinomial": (None, {"alpha": 0.5, "zi": 0.3}),
    "gamma": (None, {"alpha": 0.5}),
    "lognormal": (None, {"sigma": 0.5}),
    "hurdle_poisson": (None, {"zi": 0.3}),
    "hurdle_negbinomial": (None, {"alpha": 0.4, "zi": 0.3}),
    "hurdle_negbinomial1": (None, {"phi": 2.0, "zi": 0.3}),
}


@pytest.mark.parametrize("sd", [1.0, 4.0])
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # of the dense sums
def test_shares_of_every_family_at_small_and_large_sds(name, sd):
    link, aux = OTHERS[name]
    if name == "binomial":
        link, aux = "logit", {}
    of, f = (family(name, link=link) if link else family(name)), -1.0
    grows = of.link == "log" or name == "lognormal"
    high = 9.0 + 2 * sd if grows else 9.0

    def h(eta):
        return of.mean(of.inverse_link(eta), aux)

    u, weights = normal(40_001, high)
    values = h(f + sd * u)
    mean, noise = weights @ values, weights @ of.variance(of.inverse_link(f + sd * u), aux)
    whole = weights @ (values - mean) ** 2
    found, over_rows = shares_at(two_factors(sd, f), name, aux, link)
    total = found.sets[BOTH][0] + found.noise[0]
    assert over_rows == pytest.approx(mean, rel=1e-6)
    # 48 nodes of a hurdle's expansion
    assert found.mean[0] == pytest.approx(mean, rel=1e-4)
    assert total == pytest.approx(whole + noise, rel=1e-4)
    assert found.noise[0] / total == pytest.approx(noise / (whole + noise), abs=1e-5)
    for factors, share in ((POP, 0.36), (YEAR, 0.64)):
        _, alone = moments(h, f, share * sd**2, (1 - share) * sd**2, high)
        assert found.sets[factors][0] / total == pytest.approx(alone / (whole + noise), abs=1e-5)


@pytest.mark.parametrize("intercept", [-20.0, 0.0])
@pytest.mark.parametrize("sd", SDS)
def test_shares_of_counts_are_right_where_the_mean_is_not_a_number(sd, intercept):
    """In logarithms: m = exp(a + V/2), V_A = m^2 (exp(V_A) - 1), V_e = m."""
    fit = two_factors(sd, intercept)
    found, mean = shares_at(fit, "poisson")
    v = sd**2
    log_m = intercept + v / 2
    log_total = np.logaddexp(2 * log_m + v + np.log(-np.expm1(-v)), log_m)
    total = found.sets[BOTH][0] + found.noise[0]
    for factors, share in ((POP, 0.36), (YEAR, 0.64), (BOTH, 1.0)):
        own = 2 * log_m + share * v + np.log(-np.expm1(-share * v))
        assert found.sets[factors][0] / total == pytest.approx(np.exp(own - log_total), abs=1e-12)
    assert found.beyond[0] == (log_total > np.log(BEYOND))
    assert mean == pytest.approx(np.exp(min(log_m, np.log(BEYOND))), rel=1e-12)
    assert found.mean[0] == pytest.approx(mean, rel=1e-12)


def nested_fit(sd):
    return fit_of(
        "bernoulli", "y ~ 1 + (1 | pop/patch)", table(n=40), sd={"pop": sd, "pop:patch": 0.5 * sd}
    )


@pytest.mark.parametrize("sd", [4.0, 20.0])
def test_nested_sets_at_large_sds(sd):
    fit = nested_fit(sd)
    names = fit.design.factors
    draws = fit.draws.without_effects(np.array([0]))
    of = shared_variances(fit.design, draws, points_of(fit.design), [names[:1], names])
    f, v = fit.draws.intercept[0], sd**2
    u, weights = normal()
    values = expit(f + np.sqrt(1.25) * sd * u)
    assert of.sets[names[:1]][0] == pytest.approx(moments(expit, f, v, v / 4)[1], abs=1e-5)
    assert of.sets[names][0] == pytest.approx(
        weights @ values**2 - (weights @ values) ** 2, abs=1e-5
    )


@pytest.mark.parametrize(
    ("name", "auxiliary", "link"),
    [("zi_poisson", {}, None), ("zi_beta", {"phi": 3.0}, "logit"), ("hurdle_poisson", {}, None)],
)
def test_zeros_with_groups_of_their_own_at_large_sds(name, auxiliary, link):
    """(1 - z) h with z and h independent: products of their moments, each by dense sums."""
    sd, f, own, g = 3.0, -1.0, 5.0, 0.4
    zi = fit_of("poisson", "y ~ 1 + (1 | year)", table(n=10), sd={"year": own}, intercept=g)
    fit = with_formula(two_factors(sd, f), "zi", zi)
    of = family(name)
    design = replace(fit.design, family=of)
    draws = fit.draws.without_effects(np.array([0]))
    draws = replace(draws, auxiliary={k: np.asarray([v]) for k, v in auxiliary.items()})
    found = shared_variances(design, draws, points_of(design), [POP, YEAR, BOTH])
    aux = {**auxiliary, "zi": np.zeros(())}

    def h(eta):
        return of.mean(of.inverse_link(eta), aux)

    high = 9.0 if link else 9.0 + 2 * sd
    u, weights = normal(40_001, high)
    square = weights @ (of.variance(of.inverse_link(f + sd * u), aux) + h(f + sd * u) ** 2)
    m, z = weights @ h(f + sd * u), 1 - expit(g + own * normal()[0])
    one, two = normal()[1] @ z, normal()[1] @ z**2
    mean, second = m * one, one * square
    total = second - mean**2
    assert found.mean[0] == pytest.approx(mean, rel=1e-4)
    assert (found.sets[BOTH][0] + found.noise[0]) / total == pytest.approx(1, rel=1e-4)
    for factors, share, squared in ((POP, 0.36, one**2), (YEAR, 0.64, two), (BOTH, 1.0, two)):
        if share < 1:
            alone = moments(h, f, share * sd**2, (1 - share) * sd**2, high)[1] + m**2
        else:
            alone = weights @ h(f + sd * u) ** 2
        wanted = (squared * alone - mean**2) / total
        assert found.sets[factors][0] / total == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("sd", SDS)
@pytest.mark.parametrize("link", LINKS)
def test_the_mean_over_groups_that_is_predicted(link, sd):
    eta = np.array([[-12.0, -2.0, 0.3, 5.0]])
    of = Given(family=family("bernoulli", link=link), constants={})
    u, weights = normal()
    wanted = [weights @ LINKS[link](f + sd * u) for f in eta[0]]
    found = predicted_mean({"": eta}, {"": np.full_like(eta, sd**2)}, of)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_narrow_and_wide_rows_are_averaged_together():
    eta, sd = np.zeros((1, 3)) + 0.5, np.array([[0.0, 1.0, 30.0]])
    of = Given(family=family("bernoulli"), constants={})
    u, weights = normal()
    wanted = [weights @ expit(0.5 + s * u) for s in sd[0]]
    np.testing.assert_allclose(predicted_mean({"": eta}, {"": sd**2}, of)[0], wanted, atol=1e-8)


@pytest.mark.parametrize("name", ["zi_negbinomial", "hurdle_poisson", "betabinomial", "lognormal"])
def test_every_draw_has_its_own_mean(name):
    """As from that draw alone; none has that of a neighbour."""
    fit = family_fit(name, draws=1100)
    every = marginal_mean(fit.design, fit.draws)
    some = np.array([0, 1, 700, 1099])
    alone = [marginal_mean(fit.design, fit.draws.without_effects(np.array([s]))) for s in some]
    # of many draws fewer rows are taken, at equal steps along the predictor; draws differ by 30 %
    np.testing.assert_allclose(every[some], np.ravel(alone), rtol=0.01)
    assert len(np.unique(every)) == fit.draws.n


def test_the_latent_scale_of_the_rehabilitation_data():
    """lambda of each draw by hand: ICC = V / (V + log(1 + 1 / lambda))."""
    fit = hm.fit(
        "incidents ~ treatment * hours + gender + (treatment | center)",
        hm.load_dataset("rehab"),
        family="poisson",
        random_seed=1,
        progressbar=False,
    )
    draws, design = fit.draws, fit.design
    z = design.block().columns.values
    v = np.einsum("nq,sqr,nr->sn", z, draws.covariance("center"), z)
    f = draws.intercept[:, None] + draws.beta @ design.common.values.T
    noise = np.log1p(1 / np.exp(f + v / 2).mean(axis=1))
    icc = v.mean(axis=1) / (v.mean(axis=1) + noise)
    found = fit.icc(scale="latent").iloc[0]
    lower, upper = np.quantile(icc, [0.025, 0.975])
    assert found["icc_lower"] == pytest.approx(lower, abs=1e-6)
    assert found["icc_upper"] == pytest.approx(upper, abs=1e-6)
    # of an independent audit; four Monte Carlo errors of the ends of 4,000 draws are 0.004
    assert (lower, upper) == pytest.approx((0.807, 0.918), abs=0.004)


def few_counts():
    """A low mean and 8 groups: the sd is mostly prior, and reaches far."""
    rng = np.random.default_rng(4)
    g = np.repeat(list("abcdefgh"), 6)
    y = np.where(np.isin(g, ["a", "e"]), rng.poisson(1.5, g.size), 0)
    return hm.fit(
        "y ~ 1 + (1 | g)",
        pd.DataFrame({"y": y, "g": g}),
        family="poisson",
        random_seed=2,
        progressbar=False,
    )


def test_few_counts_in_eight_groups():
    fit = few_counts()
    draws = fit.draws.thinned(1000)
    v = draws.sd["g"][:, 0] ** 2
    assert (v > 36).any()
    log_m = draws.intercept + v / 2
    between = 2 * log_m + v + np.log(-np.expm1(-v))
    share = np.exp(between - np.logaddexp(between, log_m))
    found = fit.icc(scale="data").iloc[0]
    lower, upper = np.quantile(share, [0.025, 0.975])
    assert (found["icc_lower"], found["icc_upper"]) == pytest.approx((lower, upper), abs=1e-9)


def test_a_number_that_is_none_is_told():
    """An sd of 60 in all draws: dashes, a sentence, and shares."""
    fit = fit_of("poisson", "y ~ 1 + (1 | pop)", sd={"pop": 60.0}, intercept=0.0, spread=0.0)
    draws, fit = fit.draws, replace(fit, design=replace(fit.design, family=family("poisson")))
    fit.__dict__["draws"] = draws
    found = fit.variance_table(scale="data")
    assert found[["variance", "sd"]].isna().all(axis=None)
    assert found["percent"].iloc[0] == pytest.approx(100)
    assert "too large for a number" in found.note
    assert "1e" not in str(found)
    latent = fit.variance_table(scale="latent")
    assert latent["percent"].notna().all()
    assert "too large for a number" in latent.note
    marginal = fit.predict(fit.design.rows.frame.iloc[:2], target="marginal")
    assert marginal["estimate"].isna().all()
    assert "too large for a number" in marginal.note


def test_contrasts_beyond_numbers_are_dashes():
    """exp(V / 2) of an sd of 40 is 10^347: nothing that is made of it is printed as a number."""
    fit = fit_of("poisson", "y ~ x + (1 | pop)", sd={"pop": 40.0}, intercept=0.0, spread=0.0)
    draws, fit = fit.draws, replace(fit, design=replace(fit.design, family=family("poisson")))
    fit.__dict__["draws"] = draws
    found = fit.contrasts("x", values=(0, 1), target="marginal")
    assert found["estimate"].isna().all()
    assert found["upper"].isna().all()
    assert "too large for a number" in found.note
