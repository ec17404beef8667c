"""Variances of responses on non-linear links: closed forms, and simulation of new groups."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import made_up_fit, table
from scipy import integrate, stats
from scipy.special import expit, ndtr
from stand_in import FAMILIES, fit_of, with_formula

from hiermodels.numbers.expected import (
    expected_response,
    fitted_variances,
    quadrature_points,
    residual_variance,
    shared_variances,
)
from hiermodels.numbers.points import points_of
from hiermodels.numbers.variance import components, intraclass

#: Of one draw: the others are the same.
ONE = slice(0, 1)


def first_draw(fit):
    return fit.draws.without_effects(np.array([0]))


def shares_of(fit, *sets):
    return shared_variances(fit.design, first_draw(fit), points_of(fit.design), list(sets))


def test_coefficients_keep_the_whole_variance():
    """Parseval: the sum of squares of the expansion is the variance by adaptive quadrature."""
    fit = fit_of("bernoulli", "y ~ 1 + (1 | pop)", sd={"pop": 1.9}, intercept=-1.0)
    found = next(expected_response(fit.design, first_draw(fit), points_of(fit.design)))

    def moment(power):
        value, _ = integrate.quad(
            lambda z: expit(-1 + 1.9 * z) ** power * stats.norm.pdf(z), -9, 9, epsabs=1e-13
        )
        return value

    assert found.mean[0] == pytest.approx(moment(1), rel=1e-6)
    whole = (found.coefficients[0, 1:] ** 2).sum()
    assert whole == pytest.approx(moment(2) - moment(1) ** 2, rel=1e-5)


@pytest.mark.parametrize("sd", [0.2, 1.0, 2.0, 3.0])
def test_log_normal_poisson_is_the_closed_form(sd):
    """V_g = m^2 (exp(sd^2) - 1) and V_e = m, with m = exp(a + sd^2 / 2)."""
    fit = fit_of("poisson", "y ~ 1 + (1 | pop)", sd={"pop": sd}, intercept=0.3)
    found = shares_of(fit, ("pop",))
    m = np.exp(0.3 + sd**2 / 2)
    assert found.mean[0] == pytest.approx(m, rel=1e-9)
    assert found.sets["pop",][0] == pytest.approx(m**2 * np.expm1(sd**2), rel=1e-8)
    assert found.noise[0] == pytest.approx(m, rel=1e-9)
    assert found.relative["pop",][0] == pytest.approx(np.expm1(sd**2), rel=1e-8)


def test_crossed_factors_on_a_log_link_are_the_closed_form():
    """Var(E[y | b_A]) = m^2 (exp(V_A) - 1) for one factor and for both."""
    fit = fit_of(
        "poisson", "y ~ x + (1 | pop) + (1 | year)", sd={"pop": 0.8, "year": 0.5}, intercept=0.1
    )
    found = shares_of(fit, ("pop",), ("year",), ("pop", "year"))
    beta = fit.draws.beta[0, 0]
    m = np.exp(0.1 + beta * table()["x"].to_numpy() + (0.8**2 + 0.5**2) / 2)
    for factors, v in ((("pop",), 0.64), (("year",), 0.25), (("pop", "year"), 0.89)):
        assert found.sets[factors][0] == pytest.approx((m**2).mean() * np.expm1(v), rel=1e-8)
        assert found.relative[factors][0] == pytest.approx(np.expm1(v), rel=1e-8)
    assert found.common[0] == pytest.approx(m.var(), rel=1e-8)


def test_probit_is_the_closed_form():
    """E y = Phi(a / sqrt(1 + V)); two rows of a level are both 1 with a bivariate normal's mass."""
    sd, a = 1.3, 0.4
    fit = fit_of("bernoulli", "y ~ 1 + (1 | pop)", link="probit", sd={"pop": sd}, intercept=a)
    found = shares_of(fit, ("pop",))
    p = ndtr(a / np.sqrt(1 + sd**2))
    rho = sd**2 / (1 + sd**2)
    q = a / np.sqrt(1 + sd**2)
    both = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([q, q])
    assert found.mean[0] == pytest.approx(p, rel=1e-8)
    # the tolerance is that of scipy's bivariate integral
    assert found.sets["pop",][0] == pytest.approx(both - p**2, rel=1e-4)
    assert found.sets["pop",][0] + found.noise[0] == pytest.approx(p * (1 - p), rel=1e-8)


def test_random_slopes_count_at_each_row():
    """A log link again: the variance of row i is z_i' Sigma z_i."""
    fit = fit_of("poisson", "y ~ 1 + (z | pop)", sd={"pop": [0.5, 0.2]}, intercept=0.0)
    found = shares_of(fit, ("pop",))
    sigma = fit.draws.covariance("pop")[0]
    rows = fit.design.block().columns.values
    v = np.einsum("nq,qr,nr->n", rows, sigma, rows)
    assert found.sets["pop",][0] == pytest.approx((np.exp(v) * np.expm1(v)).mean(), rel=1e-7)


CASES = {
    "poisson": dict(sd={"pop": 0.7, "year": 0.4}, intercept=0.5),
    "negbinomial": dict(sd={"pop": 0.6, "year": 0.5}, intercept=1.0, auxiliary={"alpha": 2.0}),
    "zi_poisson": dict(sd={"pop": 0.6, "year": 0.3}, intercept=1.0, auxiliary={"zi": 0.3}),
    "bernoulli": dict(sd={"pop": 1.5, "year": 1.0}, intercept=-0.7),
    "binomial": dict(sd={"pop": 1.0, "year": 0.5}, intercept=0.3, trials=True),
    "beta": dict(sd={"pop": 0.8, "year": 0.6}, intercept=0.2, auxiliary={"phi": 5.0}),
    "lognormal": dict(sd={"pop": 0.5, "year": 0.4}, intercept=0.2, auxiliary={"sigma": 0.5}),
}


@pytest.mark.parametrize("family", CASES)
def test_shares_of_simulated_groups(family):
    """10^6 new levels of each factor: covariances of pairs that share a factor, per row of x.

    Two responses share the effect of a factor and nothing else; their covariance is its variance.
    The tolerance is four standard errors of that covariance.
    """
    case = dict(CASES[family])
    data = table(n=40)
    if case.pop("trials", False):
        case["trials"] = np.full(40, 7.0)
    fit = fit_of(family, "y ~ 1 + (1 | pop) + (1 | year)", data, **case)
    found = shares_of(fit, ("pop",), ("year",), ("pop", "year"))
    rng, size = np.random.default_rng(11), 10**6
    stand_in, link = FAMILIES[family], fit.design.family.link
    inverse = {"log": np.exp, "logit": expit, "identity": lambda v: v}[link]
    aux = case.get("auxiliary", {})
    trials = case["trials"][0] if "trials" in case else None

    def response(pop, year):
        mu = inverse(case["intercept"] + case["sd"]["pop"] * pop + case["sd"]["year"] * year)
        y = stand_in.draw(rng, mu, aux, None if trials is None else np.full(mu.shape, trials))
        return y / (trials or 1.0)

    new = [rng.normal(size=size) for _ in range(4)]
    y = response(new[0], new[1])
    same = {
        ("pop",): response(new[0], new[2]),
        ("year",): response(new[3], new[1]),
        ("pop", "year"): response(new[0], new[1]),
    }
    for factors, other in same.items():
        products = (y - y.mean()) * (other - other.mean())
        error = products.std() / np.sqrt(size)
        assert found.sets[factors][0] == pytest.approx(products.mean(), abs=4 * error)
    square = (y - y.mean()) ** 2
    total = found.sets["pop", "year"][0] + found.noise[0]
    assert total == pytest.approx(square.mean(), abs=4 * square.std() / np.sqrt(size))
    assert found.mean[0] == pytest.approx(y.mean(), abs=4 * y.std() / np.sqrt(size))


@pytest.mark.parametrize("family", CASES)
def test_shares_on_the_data_scale_are_shares(family):
    case = dict(CASES[family], spread=0.2)
    if case.pop("trials", False):
        case["trials"] = np.full(120, 7.0)
    fit = fit_of(family, "y ~ x + (1 | pop/patch) + (1 | year)", **case)
    icc = fit.icc(scale="data")
    single = icc[icc["kind"].isin(["single", "interaction"])]
    assert (icc["icc_lower"] >= 0).all()
    assert (icc["icc_upper"] <= 1).all()
    # of each draw: medians of shares need not add up
    parts = components(fit.design, fit.draws, scale="data")
    share = dict(zip(icc.index, intraclass(fit.design, parts).adjusted.T, strict=True))
    rest = 1 - parts.residual / parts.total
    np.testing.assert_allclose(sum(share[k] for k in single.index), rest, rtol=1e-9)
    cumulative, sequential = (
        share[icc.index[icc["kind"] == kind][0]] for kind in ("cumulative", "sequential")
    )
    coarse = share[icc.index[icc["component"] == "pop"][0]]
    np.testing.assert_allclose(coarse + sequential, cumulative, rtol=1e-9)
    assert "Monte Carlo error" in icc.note


def test_fitted_variances_are_those_of_the_rows():
    fit = fit_of("poisson", "y ~ z + (1 | pop)", sd={"pop": 0.4}, spread=0.1)
    between, noise = fitted_variances(fit.design, fit.draws)
    design, draws = fit.design, fit.draws
    s = 7
    eta = draws.intercept[s] + design.common.values @ draws.beta[s]
    mu = np.exp(eta + draws.effects["pop"][s, design.block().index, 0])
    assert between[s] == pytest.approx(mu.var(), rel=1e-9)
    assert noise[s] == pytest.approx(mu.mean(), rel=1e-9)


def test_many_rows_are_spread_along_the_predictor():
    fit = fit_of("poisson", "y ~ z + (z | pop)", table(n=5000), sd={"pop": [0.4, 0.1]})
    parts = components(fit.design, fit.draws, scale="data")
    whole = shares_of(fit, ("pop",))
    # 400 of 5,000 rows: the step of a sum that is smooth along the predictor
    assert parts.groups[0, 0] == pytest.approx(whole.sets["pop",][0], rel=0.01)
    assert parts.residual[0] == pytest.approx(whole.noise[0], rel=0.01)


def test_equal_rows_count_together():
    """Of whole numbers each different row once, with its share: the same as all rows."""
    data = table(n=900).assign(z=lambda d: d["z"].round())
    fit = fit_of("poisson", "y ~ z + (1 | pop)", data, sd={"pop": 0.4})
    few = quadrature_points(fit.design, fit.draws)
    assert few.n == data["z"].nunique()
    found = shared_variances(fit.design, first_draw(fit), few, [("pop",)])
    whole = shares_of(fit, ("pop",))
    assert found.sets["pop",][0] == pytest.approx(whole.sets["pop",][0], rel=1e-12)
    assert found.common[0] == pytest.approx(whole.common[0], rel=1e-10)


def test_zero_inflation_with_groups_of_its_own():
    """zi has (1 | year), the mean (1 | pop) + (1 | year): 10^6 new levels of each, as above."""
    own = {"sd": {"pop": 0.5, "year": 0.4}, "intercept": 1.0}
    fit = fit_of("zi_poisson", "y ~ 1 + (1 | pop) + (1 | year)", table(n=40), **own)
    zi = fit_of("poisson", "y ~ 1 + (1 | year)", table(n=40), sd={"year": 1.2}, intercept=-0.5)
    fit = with_formula(fit, "zi", zi)
    found = shares_of(fit, ("pop",), ("year",), ("pop", "year"))
    rng, size = np.random.default_rng(12), 10**6

    def response(pop, year, zero):
        mu, p = np.exp(1.0 + 0.5 * pop + 0.4 * year), expit(-0.5 + 1.2 * zero)
        return np.where(rng.uniform(size=size) < p, 0, rng.poisson(mu)).astype(float)

    a, b, c, d, e, f = (rng.normal(size=size) for _ in range(6))
    y = response(a, b, c)
    same = {
        ("pop",): response(a, d, e),
        ("year",): response(f, b, c),
        ("pop", "year"): response(a, b, c),
    }
    for factors, other in same.items():
        products = (y - y.mean()) * (other - other.mean())
        error = products.std() / np.sqrt(size)
        assert found.sets[factors][0] == pytest.approx(products.mean(), abs=4 * error)
    square = (y - y.mean()) ** 2
    total = found.sets["pop", "year"][0] + found.noise[0]
    assert total == pytest.approx(square.mean(), abs=4 * square.std() / np.sqrt(size))


def test_a_factor_of_zero_inflation_alone_is_reported():
    fit = fit_of("zi_poisson", "y ~ z + (1 | pop)", sd={"pop": 0.5}, intercept=0.5)
    zi = fit_of("poisson", "y ~ x + (1 | year)", sd={"year": 1.0}, intercept=-1.0)
    fit = with_formula(fit, "zi", zi)
    found = fit.variance_table(scale="data")
    assert list(found["component"])[:2] == ["pop", "year"]
    assert (found["percent"].iloc[:3] > 0).all()
    assert len(fit.icc(scale="latent")) == 1
    assert fit.r2(scale="data")["estimate"].between(0, 1).all()


def test_dispersion_with_a_formula_is_averaged():
    """Var(y) = mu + mu^2 / alpha_i with alpha_i = exp(x_i' gamma)."""
    own = {"sd": {"pop": 0.5}, "intercept": 1.0, "auxiliary": {"alpha": 2.0}}
    fit = fit_of("negbinomial", "y ~ 1 + (1 | pop)", **own)
    other = fit_of("poisson", "y ~ z", intercept=0.4)
    found = shares_of(with_formula(fit, "alpha", other), ("pop",))
    alpha = np.exp(0.4 + table()["z"] * other.draws.beta[0, 0])
    m, square = np.exp(1.125), np.exp(2 + 2 * 0.25)
    assert found.noise[0] == pytest.approx(m + (square / alpha).mean(), rel=1e-8)


def test_residual_sd_with_groups_is_averaged():
    """mean_i E[sigma_i^2] = mean_i exp(2 f_i + 2 V_i), by simulation of the groups."""
    fit = made_up_fit("y ~ x + (1 | pop)")
    other = fit_of("poisson", "y ~ z + (1 | pop)", sd={"pop": 0.3}, intercept=0.2)
    fit = with_formula(fit, "sigma", other)
    found = residual_variance(fit.design, replace(fit.draws, residual=None))
    f = 0.2 + other.draws.beta[0, 0] * table()["z"].to_numpy()
    u = np.random.default_rng(0).normal(0, 0.3, (10**5, 1))
    sample = np.exp(2 * (f + u)).mean(axis=1)
    error = sample.std() / np.sqrt(len(sample))
    assert found[0] == pytest.approx(sample.mean(), abs=4 * error)
