"""Priors on both scales."""

from typing import ClassVar

import numpy as np
import pymc as pm
import pytest
from made_up import table
from scipy import stats

from hiermodels.distributions import draw_correlation
from hiermodels.errors import PriorError
from hiermodels.fitting import Model
from hiermodels.priors import DISTRIBUTIONS, Prior

#: One of each distribution.
EXAMPLES = [
    Prior("Normal", mu=1, sigma=2),
    Prior("StudentT", nu=4, mu=1, sigma=2),
    Prior("Cauchy", alpha=1, beta=2),
    Prior("Laplace", mu=1, b=2),
    Prior("Logistic", mu=1, s=2),
    Prior("Uniform", lower=-1, upper=5),
    Prior("TruncatedNormal", mu=1, sigma=2, lower=0, upper=6),
    Prior("HalfNormal", sigma=2),
    Prior("HalfStudentT", nu=3, sigma=2),
    Prior("HalfCauchy", beta=2),
    Prior("Exponential", lam=2),
    Prior("Gamma", alpha=2, beta=3),
    Prior("InverseGamma", alpha=2, beta=3),
    Prior("LogNormal", mu=0.3, sigma=0.8),
    Prior("Weibull", alpha=2, beta=3),
]


def log_density(prior, value):
    parameters = {k: np.float64(v) for k, v in prior.parameters.items()}
    distribution = getattr(pm, prior.name).dist(**parameters)
    return float(pm.logp(distribution, np.asarray(value, dtype="float64")).eval())


#: Of a probability, which has no other unit.
UNIT = Prior("Beta", alpha=2, beta=3)


def test_every_distribution_has_an_example():
    assert {p.name for p in (*EXAMPLES, UNIT)} == set(DISTRIBUTIONS)


def test_a_prior_of_a_probability_has_no_other_unit():
    assert UNIT.scaled(1) == UNIT
    with pytest.raises(PriorError, match="probability"):
        UNIT.scaled(2)


@pytest.mark.parametrize("prior", [*EXAMPLES, UNIT], ids=lambda p: p.name)
def test_draws_have_the_density_of_pymc(prior):
    """Shares of 20,000 draws in ten equal parts against PyMC's cdf; p below 1e-4 is a fault."""
    drawn = prior.draw(np.random.default_rng(11), 20_000)
    parameters = {k: np.float64(v) for k, v in prior.parameters.items()}
    distribution = getattr(pm, prior.name).dist(**parameters)
    if prior.name == "HalfStudentT":
        cdf = 2 * stats.t(prior.parameters["nu"], scale=prior.parameters["sigma"]).cdf(drawn) - 1
    else:
        cdf = np.exp(pm.logcdf(distribution, drawn).eval(mode="FAST_COMPILE"))
    assert stats.kstest(cdf, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("eta", [0.7, 1.0, 4.0])
def test_draws_of_correlations_have_the_lkj_margins(eta):
    """Each correlation of LKJ(eta) of q variables is 2 Beta(a, a) - 1, a = eta - 1 + q / 2.

    Source: Lewandowski, Kurowicka & Joe 2009, section 3.
    """
    factor = draw_correlation(np.random.default_rng(2), 3, eta=eta, size=20_000)
    cor = factor @ factor.transpose(0, 2, 1)
    np.testing.assert_allclose(cor[:, range(3), range(3)], 1, rtol=1e-12)
    a = eta + 0.5
    for i, j in [(1, 0), (2, 0), (2, 1)]:
        margin = (cor[:, i, j] + 1) / 2
        assert stats.kstest(margin, stats.beta(a, a).cdf).pvalue > 1e-4


@pytest.mark.parametrize("prior", EXAMPLES, ids=lambda p: p.name)
def test_scaled_is_the_prior_of_a_multiple(prior):
    """p(c x) of the scaled prior is p(x) / c: the change of variables, by PyMC's densities."""
    for factor in (0.1, 7.0):
        assert log_density(prior.scaled(factor), factor * 1.3) == pytest.approx(
            log_density(prior, 1.3) - np.log(factor), rel=1e-10
        )


def test_defaults_lie_where_the_response_is():
    data = table()
    priors = Model("y ~ x + f + (x | pop)", data).priors
    m, s = data["y"].mean(), data["y"].std()
    assert priors["Intercept"].inside == Prior("Normal", mu=m, sigma=2.5 * s)
    assert priors["x"].inside == Prior("Normal", mu=0, sigma=2.5 * s)
    per_unit = priors["x"].given.parameters["sigma"]
    assert per_unit == pytest.approx(2.5 * s / data["x"].std(ddof=0))
    assert priors["sd_pop[Intercept]"].inside == Prior("HalfStudentT", nu=3, sigma=s)
    assert priors["cor_pop"].inside == Prior("LKJ", eta=1)
    assert priors["sigma"].given == Prior("HalfStudentT", nu=3, sigma=s)
    assert all(p.default for p in priors)


def test_a_given_prior_is_per_unit_of_the_data():
    data = table()
    given = {
        "x": Prior("Normal", mu=0, sigma=1),
        "sd_pop[x]": Prior("Exponential", lam=2),
        "sd_pop[Intercept]": Prior("HalfNormal", sigma=3),
        "cor_pop": Prior("LKJ", eta=2),
    }
    priors = Model("y ~ x + (x | pop)", data, priors=given).priors
    scale = data["x"].std(ddof=0)
    assert priors["x"].inside.parameters["sigma"] == pytest.approx(scale)
    assert priors["sd_pop[x]"].inside.parameters["lam"] == pytest.approx(2 / scale)
    assert priors["sd_pop[Intercept]"].inside == given["sd_pop[Intercept]"]
    assert priors["cor_pop"].inside == given["cor_pop"]
    assert not priors["x"].default
    assert priors["sigma"].default


def test_one_prior_for_all_coefficients_or_sds():
    given = {"beta": Prior("Normal", mu=0, sigma=1), "sd_pop": Prior("HalfNormal", sigma=1)}
    priors = Model("y ~ x + z + (x | pop)", table(), priors=given).priors
    assert [p.given for p in priors.beta] == [given["beta"]] * 2
    assert [p.given for p in priors.sd[0]] == [given["sd_pop"]] * 2


#: priors, the whole message
FAULTS = {
    "unknown parameter": (
        {"q": Prior("Normal", mu=0, sigma=1)},
        "no parameter 'q'. Parameters: Intercept, x, sd_pop[Intercept], sd_pop[x], cor_pop, sigma.",
    ),
    "near miss": (
        {"sigmaa": Prior("HalfNormal", sigma=1)},
        "no parameter 'sigmaa'. Parameters: Intercept, x, sd_pop[Intercept], sd_pop[x], cor_pop, "
        "sigma. Did you mean 'sigma'?",
    ),
    "sd below zero": (
        {"sd_pop": Prior("Normal", mu=0, sigma=1)},
        "'sd_pop[Intercept]' is positive, and Normal(mu=0, sigma=1) has mass below zero. Valid: "
        "HalfNormal, HalfStudentT, HalfCauchy, Exponential, Gamma, InverseGamma, LogNormal, "
        "Weibull.",
    ),
    "correlation": (
        {"cor_pop": Prior("Normal", mu=0, sigma=1)},
        "'cor_pop' is a correlation: give hm.Prior('LKJ', eta=2)",
    ),
    "LKJ elsewhere": (
        {"x": Prior("LKJ", eta=2)},
        "'x' is not a correlation: LKJ is not for it",
    ),
    "no prior": (
        {"x": 3},
        "the prior of 'x' is 3; give hm.Prior('Normal', mu=0, sigma=1) or a PreliZ distribution",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_message(fault):
    given, message = FAULTS[fault]
    with pytest.raises(PriorError) as error:
        Model("y ~ x + (x | pop)", table(), priors=given)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("Normall", {"mu": 0}, "no prior 'Normall'. Valid: .* Did you mean 'Normal'?"),
        ("Normal", {"mu": 0}, "Normal has the parameters mu, sigma; given: mu"),
        ("Normal", {"mu": 0, "sd": 1}, "Normal has the parameters mu, sigma; given: mu, sd"),
        ("Normal", {"mu": 0, "sigma": "a"}, "the parameters of Normal are numbers"),
    ],
)
def test_bad_prior(name, parameters, message):
    with pytest.raises(PriorError, match=message):
        Prior(name, **parameters)


def test_priors_of_other_libraries_are_read():
    import bambi

    class HalfNormal:  # PreliZ's distributions have their parameters in params_dict
        params_dict: ClassVar[dict[str, float]] = {"sigma": 2.0}

    given = {"x": bambi.Prior("Normal", mu=0, sigma=1), "sigma": HalfNormal()}
    priors = Model("y ~ x + (x | pop)", table(), priors=given).priors
    assert priors["x"].given == Prior("Normal", mu=0, sigma=1)
    assert priors["sigma"].given == Prior("HalfNormal", sigma=2)


def test_printed_on_both_scales():
    text = repr(Model("y ~ x + (x | pop)", table()).priors)
    assert text.splitlines()[0].split("  ")[0] == "parameter"
    assert len(text.splitlines()) == 7
    assert "sd_pop[x]" in text
    assert "default" in text


def test_correlations_have_an_lkj_prior():
    """The product of betas is the LKJ density, up to the Jacobian of the partial correlations.

    At size 3 with eta: log p = (eta - 1) log|R| + const in R; partial correlations p_12, p_13,
    p_23.1 have R_23 = p_23.1 sqrt((1-p_12^2)(1-p_13^2)) + p_12 p_13 and dR/dp = the root.
    """
    rng = np.random.default_rng(3)
    for eta in (1.0, 2.5):
        differences = []
        for _ in range(5):
            p12, p13, p23 = rng.uniform(-0.9, 0.9, 3)
            root = np.sqrt((1 - p12**2) * (1 - p13**2))
            r = np.array([[1, p12, p13], [p12, 1, p23 * root + p12 * p13], [p13, 0, 1]])
            r[2, 1] = r[1, 2]
            lkj = (eta - 1) * np.log(np.linalg.det(r)) + np.log(root)
            ours = sum(
                stats.beta(eta + (3 - 2 - j) / 2, eta + (3 - 2 - j) / 2).logpdf((1 + p) / 2)
                for p, j in ((p12, 0), (p13, 0), (p23, 1))
            )
            differences.append(ours - lkj)
        assert np.ptp(differences) < 1e-10
