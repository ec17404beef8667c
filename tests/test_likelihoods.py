"""The compiled densities of single observations against scipy, differences, sums and limits."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

import hiermodels
from hiermodels.density import compilation
from hiermodels.density.likelihoods import LIKELIHOODS, likelihood

N = 300
VALUE = 1e-10  # both sides lose some digits to their gamma functions
SLOPE = 1e-7  # of a five-point difference with steps of 1e-4
CATEGORIES = 5
INVERSE = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}
COMPLEMENT = {
    "logit": lambda eta: special.expit(-eta),
    "probit": lambda eta: special.ndtr(-eta),
    "cloglog": lambda eta: np.exp(-np.exp(eta)),
}
COUNTS = {
    "poisson": lambda y, mu: stats.poisson.logpmf(y, mu),
    "negbinomial": lambda y, mu, alpha: stats.nbinom.logpmf(y, alpha, alpha / (alpha + mu)),
    "negbinomial1": lambda y, mu, phi: stats.nbinom.logpmf(y, mu / phi, 1.0 / (1.0 + phi)),
}
IDS = [f"{family}-{link}" for family, link in LIKELIHOODS]


def zero_inflated(count):
    def log_density(y, mu, *aux):
        *aux, logit_zi = aux
        counted = special.log_expit(-logit_zi) + count(y, mu, *aux)
        return np.where(y == 0, np.logaddexp(special.log_expit(logit_zi), counted), counted)

    return log_density


def hurdle(count):
    def log_density(y, mu, *aux):
        *aux, logit_zi = aux
        positive = count(y, mu, *aux) - np.log(-np.expm1(count(0.0 * y, mu, *aux)))
        part = special.log_expit(-logit_zi)
        return np.where(y == 0, special.log_expit(logit_zi), part + positive)

    return log_density


def beta(y, mu, rest, phi):
    return stats.beta.logpdf(y, mu * phi, rest * phi)


def zi_beta(y, mu, rest, phi, zi):
    inside = special.log_expit(-zi) + beta(np.where(y == 0, 0.5, y), mu, rest, phi)
    return np.where(y == 0, special.log_expit(zi), inside)


def zoi_beta(y, mu, rest, phi, zoi, coi):
    edge = (y == 0) | (y == 1)
    inside = special.log_expit(-zoi) + beta(np.where(edge, 0.5, y), mu, rest, phi)
    at_edge = special.log_expit(zoi) + special.log_expit(np.where(y == 1, coi, -coi))
    return np.where(edge, at_edge, inside)


#: Each takes y, trials, the mean (eta where the link is the identity), its complement where it is
#: a probability, and the other predictors: positive parameters as such, probabilities as logits.
REFERENCE = {
    "gaussian": lambda y, m, mu, sigma: stats.norm.logpdf(y, mu, sigma),
    "student": lambda y, m, mu, sigma, nu: stats.t.logpdf(y, nu, mu, sigma),
    "lognormal": lambda y, m, mu, sigma: stats.lognorm.logpdf(y, sigma, scale=np.exp(mu)),
    "gamma": lambda y, m, mu, alpha: stats.gamma.logpdf(y, alpha, scale=mu / alpha),
    "bernoulli": lambda y, m, mu, rest: stats.bernoulli.logpmf(y, mu),
    "binomial": lambda y, m, mu, rest: stats.binom.logpmf(y, m, mu),
    "betabinomial": lambda y, m, mu, rest, phi: stats.betabinom.logpmf(y, m, mu * phi, rest * phi),
    "beta": lambda y, m, *own: beta(y, *own),
    "zi_beta": lambda y, m, *own: zi_beta(y, *own),
    "zoi_beta": lambda y, m, *own: zoi_beta(y, *own),
}
for family, log_density in COUNTS.items():
    for name, whole in (
        (family, log_density),
        (f"zi_{family}", zero_inflated(log_density)),
        (f"hurdle_{family}", hurdle(log_density)),
    ):
        REFERENCE[name] = lambda y, m, *own, _whole=whole: _whole(y, *own)


def is_probability(family, k):
    """Whether predictor k > 0 is a logit; else it is a logarithm."""
    return (family.startswith(("zi_", "hurdle_")) and k == width_of(family) - 1) or (
        family == "zoi_beta" and k > 1
    )


def width_of(family):
    return next(entry.predictors for (name, _), entry in LIKELIHOODS.items() if name == family)


def reference(family, link, y, trials, predictors):
    if family == "ordinal":
        return ordinal(link, y, predictors)
    aux = [
        row if is_probability(family, k) else np.exp(row)
        for k, row in enumerate(predictors[1:], start=1)
    ]
    mean = [means[link](predictors[0]) for means in (INVERSE, COMPLEMENT) if link in means]
    with np.errstate(under="ignore", divide="ignore"):
        return REFERENCE[family](y, trials, *mean, *aux)


def ordinal(link, y, predictors):
    """log(F(u) - F(l)) from scipy's own differences of logarithms."""
    log_cdf = {"logit": special.log_expit, "probit": special.log_ndtr}[link]
    steps = np.exp(predictors[2:])
    cuts = predictors[1] + np.vstack([np.zeros(steps.shape[1]), np.cumsum(steps, axis=0)])
    cuts = np.vstack([np.full(len(y), -np.inf), cuts, np.full(len(y), np.inf)]) - predictors[0]
    row, k = np.arange(len(y)), y.astype(int)
    lower, upper = cuts[k, row], cuts[k + 1, row]
    flip = lower + upper > 0.0
    lower, upper = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    parts = np.array([log_cdf(upper), log_cdf(lower)])
    return special.logsumexp(parts, axis=0, b=np.array([[1.0], [-1.0]]))


def predictors_of(family, rng, n=N, *, spread=1.0):
    k = CATEGORIES if family == "ordinal" else width_of(family)
    return spread * rng.normal(size=(k, n))


def response(family, rng, n=N):
    """Any values of the support, not draws: the density must be right where data are unlikely."""
    if family in {"gaussian", "student"}:
        return 3.0 * rng.standard_t(2, n), np.ones(n)
    if family in {"lognormal", "gamma"}:
        return np.exp(2.0 * rng.normal(size=n)), np.ones(n)
    if family == "ordinal":
        return rng.integers(0, CATEGORIES, n).astype(float), np.full(n, float(CATEGORIES))
    if family == "bernoulli":
        return rng.integers(0, 2, n).astype(float), np.ones(n)
    if family in {"binomial", "betabinomial"}:
        trials = rng.choice([1, 2, 7, 40, 255, 256, 1000], n).astype(float)
        return rng.binomial(trials.astype(int), rng.random(n)).astype(float), trials
    if "beta" in family:
        y = np.clip(rng.beta(0.5, 0.5, n), 1e-12, 1.0 - 1e-9)
        y[: n // 4] = 0.0 if family != "beta" else 0.25
        y[: n // 8] = 1.0 if family == "zoi_beta" else 0.75
        return y, np.ones(n)
    return rng.choice([0, 0, 0, 1, 2, 3, 10, 60, 254, 255, 256, 3000], n).astype(float), np.ones(n)


def close(actual, expected, tolerance):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("family", "link"), LIKELIHOODS, ids=IDS)
def test_value_is_scipys(family, link):
    rng = np.random.default_rng(1)
    (y, trials), predictors = response(family, rng), predictors_of(family, rng)
    value, _ = likelihood(family, link).evaluate(y, trials, predictors)
    close(value, reference(family, link, y, trials, predictors), VALUE)


def test_value_is_pymcs():
    """Where scipy has no such distribution and the definition above is ours."""
    import pymc as pm
    import pytensor

    rng = np.random.default_rng(6)
    y = rng.choice([0, 0, 1, 3, 9, 40], N)
    category = rng.integers(0, 4, N)
    eta, log_alpha, logit_zi = rng.normal(size=(3, N))
    mu, alpha, psi = np.exp(eta), np.exp(log_alpha), special.expit(-logit_zi)
    cuts, steps = np.array([-1.0, 0.3, 1.0]), np.log([1.3, 0.7])
    counts, shaped = [eta, logit_zi], [eta, log_alpha, logit_zi]
    thresholds = [eta, *(np.full(N, value) for value in (cuts[0], *steps))]
    ordered = {"eta": eta, "cutpoints": cuts}
    cases = [
        ("zi_poisson", "log", y, counts, pm.ZeroInflatedPoisson.dist(psi=psi, mu=mu)),
        ("hurdle_poisson", "log", y, counts, pm.HurdlePoisson.dist(psi=psi, mu=mu)),
        (
            "zi_negbinomial",
            "log",
            y,
            shaped,
            pm.ZeroInflatedNegativeBinomial.dist(psi=psi, mu=mu, alpha=alpha),
        ),
        (
            "hurdle_negbinomial",
            "log",
            y,
            shaped,
            pm.HurdleNegativeBinomial.dist(psi=psi, mu=mu, alpha=alpha),
        ),
        ("ordinal", "logit", category, thresholds, pm.OrderedLogistic.dist(**ordered)),
        ("ordinal", "probit", category, thresholds, pm.OrderedProbit.dist(**ordered)),
    ]
    log_densities = [pm.logp(dist, given) for *_, given, _, dist in cases]
    expected = pytensor.function([], log_densities, mode="FAST_COMPILE")()
    for (family, link, given, predictors, _), wanted in zip(cases, expected, strict=True):
        value, _ = likelihood(family, link).evaluate(given, np.full(N, 4.0), np.array(predictors))
        # PyMC's differences of normal probabilities are 2e-7 from scipy's, ours 2e-15
        close(value, wanted, 1e-6 if link == "probit" else VALUE)


@pytest.mark.parametrize("spread", [1.0, 5.0])
@pytest.mark.parametrize(("family", "link"), LIKELIHOODS, ids=IDS)
def test_slope_is_the_values(family, link, spread):
    rng = np.random.default_rng(2)
    (y, trials), predictors = response(family, rng), predictors_of(family, rng, spread=spread)
    entry = likelihood(family, link)
    value, slope = entry.evaluate(y, trials, predictors)
    for k in range(len(predictors)):
        step = np.zeros((len(predictors), 1))
        step[k] = 1e-4
        outer, inner = (
            entry.evaluate(y, trials, predictors + h * step)[0]
            - entry.evaluate(y, trials, predictors - h * step)[0]
            for h in (2, 1)
        )
        size = 1.0 + abs(value) + abs(slope[k])  # what a difference rounds to
        close((8.0 * inner - outer) / 12e-4 / size, slope[k] / size, SLOPE)


@pytest.mark.parametrize(("family", "link"), LIKELIHOODS, ids=IDS)
def test_constant_predictors_are_only_faster(family, link):
    rng = np.random.default_rng(3)
    (y, trials), predictors = response(family, rng), predictors_of(family, rng)
    predictors[1:] = predictors[1:, :1]
    entry = likelihood(family, link)
    expected = entry.evaluate(y, trials, predictors)
    flags = np.ones(len(predictors), dtype=np.int64)
    flags[0] = 0
    for got, wanted in zip(entry.evaluate(y, trials, predictors, flags), expected, strict=True):
        close(got, wanted, 1e-13)  # the two loops may fuse products differently


@pytest.mark.parametrize(("family", "link"), LIKELIHOODS, ids=IDS)
def test_far_tails_are_finite(family, link):
    """Up to +-30 on every scale, densities and slopes are numbers."""
    rng = np.random.default_rng(4)
    y, trials = response(family, rng, 2000)
    k = len(predictors_of(family, rng, 1))
    predictors = rng.choice([-30.0, -20.0, -8.0, 0.0, 8.0, 20.0, 30.0], (k, 2000))
    value, slope = likelihood(family, link).evaluate(y, trials, predictors)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_tails_of_links(link):
    eta = np.array([-30.0, -20.0, -9.0, -1.0, 0.0, 1.0, 3.0, 9.0, 20.0, 30.0])
    ones = np.ones(len(eta))
    success, up = likelihood("bernoulli", link).evaluate(ones, ones, eta[None])
    failure, down = likelihood("bernoulli", link).evaluate(0 * ones, ones, eta[None])
    with np.errstate(all="ignore"):
        small = np.exp(eta)
        expected = {
            "logit": (special.log_expit(eta), special.log_expit(-eta)),
            "probit": (special.log_ndtr(eta), special.log_ndtr(-eta)),
            "cloglog": (
                np.where(eta < 0, np.log(-np.expm1(-small)), np.log1p(-np.exp(-small))),
                -small,
            ),
        }[link]
        hazards = {
            "logit": (special.expit(-eta), -special.expit(eta)),
            "probit": np.exp(stats.norm.logpdf(eta) - expected) * [[1.0], [-1.0]],
            "cloglog": (small / np.expm1(small), -small),
        }[link]
    # relative, as long as they are normal numbers; exp(-450) costs a factor of 450
    np.testing.assert_allclose([success, failure], expected, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose([up[0], down[0]], hazards, rtol=1e-12, atol=1e-280)


@pytest.mark.parametrize("family", [f for f in REFERENCE if f.endswith(tuple(COUNTS))])
def test_counts_sum_to_one(family):
    y = np.arange(4000.0)
    predictors = np.repeat([[0.7], [-0.4], [-0.9]], len(y), axis=1)
    predictors = predictors[: width_of(family)]
    value, _ = likelihood(family, "log").evaluate(y, np.ones_like(y), predictors)
    assert np.exp(value).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("family", ["bernoulli", "binomial", "betabinomial"])
def test_successes_sum_to_one(family, link):
    m = 1.0 if family == "bernoulli" else 300.0
    y = np.arange(m + 1.0)
    predictors = np.repeat([[0.7], [-0.4]], len(y), axis=1)[: width_of(family)]
    value, _ = likelihood(family, link).evaluate(y, np.full_like(y, m), predictors)
    assert np.exp(value).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit"])
@pytest.mark.parametrize("categories", [2, 3, 9])
def test_categories_sum_to_one(link, categories):
    y = np.arange(float(categories))
    own = np.random.default_rng(5).normal(size=(categories, 1))
    value, _ = likelihood("ordinal", link).evaluate(
        y, np.full_like(y, categories), np.repeat(own, categories, axis=1)
    )
    assert np.exp(value).sum() == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize(
    ("family", "link", "support"),
    [
        ("gaussian", "identity", (-np.inf, np.inf)),
        ("student", "identity", (-np.inf, np.inf)),
        ("lognormal", "identity", (0.0, np.inf)),
        ("gamma", "log", (0.0, np.inf)),
        *(("beta", link, (0.0, 1.0)) for link in ("logit", "probit", "cloglog")),
    ],
)
def test_densities_integrate_to_one(family, link, support):
    own = np.array([[0.2], [0.9], [1.1]])[: width_of(family)]

    def density(y):
        value, _ = likelihood(family, link).evaluate(np.array([y]), np.ones(1), own)
        return float(np.exp(value[0]))

    total, _ = integrate.quad(density, *support, epsabs=1e-9, limit=200)
    assert total == pytest.approx(1.0, abs=1e-7)  # the error that quad aims at, with a margin


@pytest.mark.parametrize("alpha", [1e8, 1e12])
def test_negative_binomial_near_the_poisson_keeps_its_digits(alpha):
    """log p - log Poisson = ((y - mu)^2 - y) / (2 alpha) + O(1 / alpha^2)."""
    y = np.array([0.0, 1.0, 5.0, 40.0, 300.0])
    mu = np.array([0.1, 3.0, 5.0, 80.0, 280.0])
    predictors = np.array([np.log(mu), np.full(5, np.log(alpha))])
    value, slope = likelihood("negbinomial", "log").evaluate(y, np.ones(5), predictors)
    poisson, _ = likelihood("poisson", "log").evaluate(y, np.ones(5), predictors[:1])
    expected = ((y - mu) ** 2 - y) / (2.0 * alpha)
    np.testing.assert_allclose(value - poisson, expected, rtol=1e-5, atol=2e-12)  # log 300!
    np.testing.assert_allclose(slope[1], -expected, rtol=1e-3, atol=1e-13)


def test_student_near_the_gaussian_keeps_its_digits():
    """log p - log Normal = (z^4 - 2 z^2 - 1) / (4 nu) + O(1 / nu^2)."""
    z, nu = np.linspace(-4.0, 4.0, 9), 1e9
    own = np.array([np.zeros(9), np.zeros(9), np.full(9, np.log(nu))])
    value, slope = likelihood("student", "identity").evaluate(z, np.ones(9), own)
    expected = (z**4 - 2.0 * z**2 - 1.0) / (4.0 * nu)
    np.testing.assert_allclose(value - stats.norm.logpdf(z), expected, atol=1e-14)
    np.testing.assert_allclose(slope[2], -expected, rtol=1e-5, atol=1e-14)


def test_betabinomial_near_the_binomial_keeps_its_digits():
    y, trials = np.array([0.0, 3.0, 40.0]), np.array([4.0, 7.0, 90.0])
    own = np.array([[-1.0, 0.0, 2.0], [27.0, 27.0, 27.0]])
    value, _ = likelihood("betabinomial", "logit").evaluate(y, trials, own)
    binomial, _ = likelihood("binomial", "logit").evaluate(y, trials, own[:1])
    # m^2 / phi = 1.5e-8 is how far they are apart
    np.testing.assert_allclose(value, binomial, atol=2e-8)


def test_a_category_that_does_not_exist_has_no_probability():
    value, slope = likelihood("ordinal", "logit").evaluate(
        np.array([-1.0, 3.0]), np.full(2, 3.0), np.zeros((3, 2))
    )
    assert (value == -np.inf).all()
    assert (slope == 0.0).all()


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_close_cuts_far_out(link):
    """A narrow category has probability (u - l) f(m), also in the tail."""
    eta = np.array([0.0, 3.0, -12.0, 30.0])
    own = np.array([eta, np.zeros(4), np.full(4, -25.0)])
    value, slope = likelihood("ordinal", link).evaluate(np.ones(4), np.full(4, 3.0), own)
    density = {"logit": stats.logistic.logpdf, "probit": stats.norm.logpdf}[link]
    np.testing.assert_allclose(value, density(-eta) - 25.0, rtol=1e-9)
    np.testing.assert_allclose(slope[2], 1.0, rtol=1e-9)


def test_empty_and_wrong_shapes():
    poisson = likelihood("poisson", "log")
    value, slope = poisson.evaluate(np.empty(0), np.empty(0), np.empty((1, 0)))
    assert value.shape == (0,)
    assert slope.shape == (1, 0)
    with pytest.raises(ValueError, match=r"poisson wants .* predictors \(1, n\)"):
        poisson.evaluate(np.ones(3), np.ones(3), np.ones((2, 3)))
    with pytest.raises(ValueError, match="number of categories, 3"):
        likelihood("ordinal", "logit").evaluate(np.ones(2), np.ones(2), np.ones((3, 2)))
    with pytest.raises(KeyError, match="no compiled likelihood for poisson"):
        likelihood("poisson", "logit")


SOURCES = Path(hiermodels.__file__).parent / "density" / "likelihoods"


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.py")), ids=lambda path: path.stem)
def test_stamp_covers_all_that_a_likelihood_is_made_of(path):
    """Of the parent package only `compilation` is in the stamp of this folder's kernels."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    above = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.level > 1}
    assert above <= {"compilation"}


def test_stamps_are_those_of_one_folder(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / "kernels.py").write_text("x = 1", encoding="utf-8")
    stamp = compilation._stamp.__wrapped__
    before = stamp(tmp_path), stamp(inner)
    (inner / "kernels.py").write_text("x = 2", encoding="utf-8")
    assert stamp(tmp_path) == before[0]
    assert stamp(inner) != before[1]


USE = """
from hiermodels.density.likelihoods import likelihood
entry = likelihood("poisson", "log")
before = entry.is_cached()
assert entry.address > 0
print(before, entry.is_cached(), likelihood("gamma", "log").callback._compiled.cache_hits)
"""


def test_callbacks_come_from_the_cache_of_an_earlier_process():
    for family, link in (("poisson", "log"), ("gamma", "log")):
        assert likelihood(family, link).address > 0
        assert likelihood(family, link).is_cached()
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=Path(hiermodels.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "True", "1"]
