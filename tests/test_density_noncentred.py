"""Densities that keep coefficients: against sums over rows, the dense marginal, PyMC, the collapsed
engine."""

from dataclasses import replace

import dense
import numpy as np
import pytest
from arviz_stats.base import array_stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strategies import make_problem, problems

from hiermodels.density import GaussianProblem, cross_products, sample
from hiermodels.density.coefficientpriors import (
    CoefficientPrior,
    add_coefficient_prior,
    compile_prior,
    from_line,
    to_line,
)
from hiermodels.density.covariance import describe_theta
from hiermodels.density.noncentred_sampling import (
    conditional_log_density,
    noncentred_log_density,
    sample_noncentred,
)
from hiermodels.density.priors import add_log_prior

PRIORS = {
    "normal": ("Normal", {"mu": 0.4, "sigma": 1.5}, stats.norm(0.4, 1.5)),
    "studentt": ("StudentT", {"nu": 4.0, "mu": -0.3, "sigma": 0.8}, stats.t(4, -0.3, 0.8)),
    "cauchy": ("Cauchy", {"alpha": 0.2, "beta": 0.7}, stats.cauchy(0.2, 0.7)),
    "laplace": ("Laplace", {"mu": 0.1, "b": 0.6}, stats.laplace(0.1, 0.6)),
    "logistic": ("Logistic", {"mu": -0.2, "s": 0.5}, stats.logistic(-0.2, 0.5)),
    "uniform": ("Uniform", {"lower": -3.0, "upper": 8.0}, stats.uniform(-3, 11)),
    "truncated": (
        "TruncatedNormal",
        {"mu": 1.0, "sigma": 2.0, "lower": -2.0, "upper": 9.0},
        stats.truncnorm(-1.5, 4, 1, 2),
    ),
    "from below": (
        "TruncatedNormal",
        {"mu": 1.0, "sigma": 2.0, "lower": 5.0},
        stats.truncnorm(2, np.inf, 1, 2),
    ),
    "from above": (
        "TruncatedNormal",
        {"mu": 1.0, "sigma": 2.0, "upper": -4.0},
        stats.truncnorm(-np.inf, -2.5, 1, 2),
    ),
    "nowhere": ("TruncatedNormal", {"mu": 1.0, "sigma": 2.0}, stats.norm(1, 2)),
    "halfnormal": ("HalfNormal", {"sigma": 1.3}, stats.halfnorm(scale=1.3)),
    "halfstudentt": ("HalfStudentT", {"nu": 3.0, "sigma": 1.1}, stats.foldcauchy(0)),
    "halfcauchy": ("HalfCauchy", {"beta": 0.9}, stats.halfcauchy(scale=0.9)),
    "exponential": ("Exponential", {"lam": 0.6}, stats.expon(scale=1 / 0.6)),
    "gamma": ("Gamma", {"alpha": 2.0, "beta": 1.5}, stats.gamma(2, scale=1 / 1.5)),
    "inversegamma": ("InverseGamma", {"alpha": 3.0, "beta": 1.2}, stats.invgamma(3, scale=1.2)),
    "lognormal": ("LogNormal", {"mu": 0.2, "sigma": 0.7}, stats.lognorm(0.7, scale=np.exp(0.2))),
    "weibull": ("Weibull", {"alpha": 1.4, "beta": 1.7}, stats.weibull_min(1.4, scale=1.7)),
}
NAMES = list(PRIORS)
CORRELATED, INTERCEPT, THREE = ((0, 1),), ((0,),), ((0, 1, 2),)


def prior(name):
    kind, parameters, _ = PRIORS[name]
    return CoefficientPrior(name=kind, parameters=parameters)


def reference_log_density(name, value):
    if name == "halfstudentt":
        return np.log(2) + stats.t(3, scale=1.1).logpdf(value)
    return PRIORS[name][2].logpdf(value)


def line(names, t):
    """Coefficients and their derivatives by t."""
    compiled = [compile_prior(prior(name)) for name in names]
    pairs = [from_line(c.line, each, c.lower, c.upper) for c, each in zip(compiled, t, strict=True)]
    return np.array(pairs).reshape(-1, 2).T


def own_prior(names, t):
    """Log prior and gradient by t of the coefficients, as the kernel has them."""
    value, gradient = 0.0, np.zeros(len(t) + 1)
    for k, name in enumerate(names):
        compiled = compile_prior(prior(name))
        forms, numbers = np.array(compiled[:3]), np.array(compiled[3:])
        value += add_coefficient_prior(
            forms, numbers, t[k], line([name], t[k : k + 1])[0, 0], gradient[k:]
        )
    return value, gradient[:-1]


def own_theta_prior(problem, theta):
    priors, gradient = describe_theta(problem).priors, np.zeros(len(theta))
    numbers = np.array([each[1:] for each in priors], dtype=float)
    return add_log_prior(
        theta, np.array([each.form for each in priors]), numbers, gradient
    ), gradient


def split(problem, values):
    """theta, coefficients on the line, and z (J, q) by block in the order of the problem."""
    products = cross_products(problem)
    d, p = products.theta.size, products.n_common
    z, start = {}, d + p
    for block in products.order:
        levels, width = products.shapes[block]
        z[block] = values[start : start + levels * width].reshape(levels, width)
        start += levels * width
    assert start == len(values)
    return values[:d], values[d : d + p], [z[block] for block in range(len(products.shapes))]


def size_of(problem):
    products = cross_products(problem)
    return (
        products.theta.size
        + products.n_common
        + sum(levels * width for levels, width in products.shapes)
    )


def rows(problem, theta, beta, z):
    """Log density of y by rows, and of z, for complex arguments."""
    layout = describe_theta(problem)
    mean = problem.X @ beta
    value = 0.0
    for block, places, each in zip(problem.blocks, layout.places, z, strict=True):
        b = each @ dense.lower_factor(theta, places).T
        mean = mean + np.sum(block.Z * b[block.index], axis=1)
        value = value - 0.5 * np.sum(each**2) - 0.5 * each.size * np.log(2 * np.pi)
    sigma = (
        problem.se
        if problem.se is not None
        else np.exp(theta[layout.log_sigma]) * np.ones(len(mean))
    )
    weights = 1.0 if problem.weights is None else problem.weights
    each_row = -0.5 * ((problem.y - mean) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    return value + np.sum(weights * each_row)


def complex_gradient(function, values):
    steps = values.astype(complex)[None] + 1e-30j * np.eye(len(values))
    return np.array([function(step).imag / 1e-30 for step in steps])


def check_noncentred(problem, names, values):
    theta, t, _ = split(problem, values)
    p = len(t)

    def likelihood(values):
        theta, beta, z = split(problem, values)
        return rows(problem, theta, beta, z)

    beta, slope = line(names, t)
    natural = values.copy()
    natural[len(theta) : len(theta) + p] = beta
    expected = likelihood(natural) + dense.log_prior(problem, theta) + own_prior(names, t)[0]
    slopes = complex_gradient(likelihood, natural)
    slopes[len(theta) : len(theta) + p] *= slope
    slopes[: len(theta) + p] += np.r_[own_theta_prior(problem, theta)[1], own_prior(names, t)[1]]
    value, gradient = noncentred_log_density(problem, tuple(map(prior, names)), values)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(
        gradient, slopes, rtol=1e-6, atol=1e-6 * max(1, np.abs(slopes).max() * 1e-3)
    )


def check_conditional(problem, names, values):
    d = describe_theta(problem).size
    empty = np.empty(0)

    def likelihood(values):
        residual = problem.y - problem.X @ values[d:]
        without = replace(problem, y=residual, X=problem.X[:, :0], beta_mean=empty, beta_sd=empty)
        return dense.log_likelihood(without, values[:d])

    theta, t = values[:d], values[d:]
    beta, slope = line(names, t)
    natural = np.r_[theta, beta]
    expected = likelihood(natural).real + dense.log_prior(problem, theta) + own_prior(names, t)[0]
    slopes = complex_gradient(likelihood, natural) * np.r_[np.ones(d), slope]
    slopes += np.r_[own_theta_prior(problem, theta)[1], own_prior(names, t)[1]]
    value, gradient = conditional_log_density(problem, tuple(map(prior, names)), values)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6)


def some_names(rng, p):
    return [str(name) for name in rng.choice(NAMES, size=p)]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(problems(), st.integers(0, 10**6))
def test_noncentred_is_the_sum_over_rows(problem, seed):
    rng = np.random.default_rng(seed)
    check_noncentred(
        problem, some_names(rng, problem.X.shape[1]), rng.normal(scale=0.8, size=size_of(problem))
    )


@settings(max_examples=80, deadline=None, derandomize=True)
@given(problems(), st.integers(0, 10**6))
def test_conditional_is_the_dense_marginal_given_the_coefficients(problem, seed):
    rng = np.random.default_rng(seed)
    p = problem.X.shape[1]
    values = rng.normal(scale=0.8, size=describe_theta(problem).size + p)
    check_conditional(problem, some_names(rng, p), values)


STRUCTURES = {
    "single": {"factors": ((6, CORRELATED),)},
    "many levels": {"factors": ((130, CORRELATED),), "n_rows": 150},
    "three columns": {"factors": ((6, THREE),)},
    "nested": {"factors": ((12, CORRELATED), (4, CORRELATED)), "nested": True},
    "crossed, second is larger": {"factors": ((6, THREE), (9, THREE))},
    "large rest": {"factors": ((90, INTERCEPT), (70, INTERCEPT)), "n_rows": 180},
}


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.parametrize("residual", ["sigma", "weights", "se"])
@pytest.mark.parametrize("log_sd", [np.log(1e-12), 4.0])
@pytest.mark.parametrize("check", [check_noncentred, check_conditional])
def test_boundaries(structure, residual, log_sd, check):
    problem = make_problem(7, residual=residual, **structure)
    layout = describe_theta(problem)
    size = size_of(problem) if check is check_noncentred else layout.size + 2
    values = np.random.default_rng(3).normal(scale=0.5, size=size)
    for places in layout.places:
        values[places.partial[places.partial >= 0]] = 5.0
    values[layout.places[0].sd] = log_sd
    check(problem, ["studentt", "gamma"], values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [-2.0, 0.3, 1.7])
def test_priors_of_coefficients(name, t):
    compiled = compile_prior(prior(name))
    value, gradient = own_prior([name], np.array([t]))
    beta, slope = line([name], np.array([t]))[:, 0]
    assert value == pytest.approx(
        float(reference_log_density(name, beta)) + np.log(abs(slope)), rel=1e-10
    )
    h = 1e-5
    ends = [own_prior([name], np.array([t + step]))[0] for step in (h, -h)]
    assert gradient[0] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6, abs=1e-7)
    moved = [line([name], np.array([t + step]))[0, 0] for step in (h, -h)]
    assert slope == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-6)
    assert to_line(beta, compiled) == pytest.approx(t)


@pytest.mark.parametrize("name", NAMES)
def test_far_along_the_line_nothing_is_nan(name):
    for t in (-800.0, -40.0, 40.0, 800.0):
        value, gradient = own_prior([name], np.array([t]))
        assert not np.isnan(value)
        if abs(t) < 100:
            assert np.isfinite(gradient[0])


def test_an_unknown_prior_lists_those_there_are():
    with pytest.raises(ValueError, match=r"Cauchy.*Weibull"):
        compile_prior(CoefficientPrior(name="Wald", parameters={}))
    with pytest.raises(ValueError, match="no density"):
        compile_prior(CoefficientPrior(name="Uniform", parameters={"lower": 1.0, "upper": 1.0}))


def test_as_many_priors_as_coefficients():
    problem = make_problem(1)
    with pytest.raises(ValueError, match="2 common coefficients, but 1 priors"):
        noncentred_log_density(problem, (prior("normal"),), np.zeros(size_of(problem)))


# With PyMC ------------------------------------------------------------------------------------


def table(seed=0, n=36):
    rng = np.random.default_rng(seed)
    columns = {f"x{k}": rng.normal(2, 3, size=n) for k in range(len(NAMES))}
    g = np.r_[np.arange(6), rng.integers(6, size=n - 6)]
    h = np.r_[np.arange(4), rng.integers(4, size=n - 4)]
    labels = {"g": [f"g{k}" for k in g], "h": [f"h{k}" for k in h]}
    weights, se = rng.integers(1, 4, size=n).astype(float), rng.uniform(0.5, 2, size=n)
    return {"y": rng.normal(3, 2, size=n), "w": weights, "s": se, **columns, **labels}


MODELS = {
    "single": ("y ~ x0 + (x0 | g)", {}, {}),
    "independent": ("y ~ x0 + (x0 || g)", {}, {}),
    "three columns": ("y ~ x0 + x1 + (x0 + x1 | g)", {}, {}),
    "nested": ("y ~ x0 + (1 | h/g)", {}, {}),
    "crossed": ("y ~ x0 + (x0 | g) + (1 | h)", {}, {}),
    "weights": ("y ~ x0 + (1 | g)", {"weights": "w"}, {}),
    "known errors": ("y ~ x0 + (1 | g)", {"se": "s"}, {}),
    "no intercept": ("y ~ 0 + x0 + (1 | g)", {}, {}),
    "intercept": ("y ~ x0 + (1 | g)", {}, {"Intercept": "cauchy"}),
} | {
    f"every prior, {half}": (
        "y ~ " + " + ".join(f"x{k}" for k in range(len(NAMES)) if k % 2 == half) + " + (1 | g)",
        {},
        {f"x{k}": name for k, name in enumerate(NAMES) if k % 2 == half},
    )
    for half in (0, 1)
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_log_density_is_that_of_pymc(name):
    fitting = pytest.importorskip("hiermodels.fitting")
    hm_priors = pytest.importorskip("hiermodels.priors")
    collapsed = pytest.importorskip("hiermodels.collapsed")
    formula, extra, given_priors = MODELS[name]
    chosen = {
        term: hm_priors.Prior(PRIORS[kind][0], **PRIORS[kind][1])
        for term, kind in given_priors.items()
    }
    data = table()
    model = fitting.Model(formula, data, priors=chosen, **extra)
    normal = fitting.Model(formula, data, **extra)
    problem = collapsed.gaussian_problem(normal.design, normal.priors)
    common = tuple(each.inside for each in collapsed.coefficient_priors(model.priors))
    pymc_model = model.to_pymc()
    function = pymc_model.compile_logp(mode="FAST_COMPILE")
    for seed in range(3):
        values = np.random.default_rng(seed).normal(scale=0.6, size=size_of(problem))
        found, _ = noncentred_log_density(problem, common, values)
        point, n_partial = pymc_point(pymc_model, problem, values)
        # Our partial correlation is tanh(t), PyMC's 2 / (1 + exp(-x)) - 1: x = 2 t.
        assert found == pytest.approx(float(function(point)) + n_partial * np.log(2), rel=1e-9)


def pymc_point(model, problem, values):
    """The same point by the names of PyMC's value variables."""
    theta, t, z = split(problem, values)
    layout = describe_theta(problem)
    named, n_partial = {}, 0
    for block, places, each in zip(problem.blocks, layout.places, z, strict=True):
        named[f"sd_{block.name}_std"] = theta[places.sd]
        named |= {f"sd_{block.name}_std_{k}": theta[place] for k, place in enumerate(places.sd)}
        named[f"z_{block.name}"] = each
        partial = places.partial[places.partial >= 0]
        named[f"cpc_{block.name}"] = 2 * theta[partial]
        n_partial += len(partial)
    named["sigma"] = theta[layout.log_sigma]
    first = int(any(rv.name == "Intercept_std" for rv in model.free_RVs))
    named["Intercept_std"] = t[:first]
    named["beta_std"] = t[first:]
    named |= {f"beta_std_{k}": value for k, value in enumerate(t[first:])}
    point = {}
    for rv in model.free_RVs:
        value = model.rvs_to_values[rv]
        known = np.asarray(named[rv.name])
        point[value.name] = known.reshape(known.shape[known.ndim - value.ndim :])
    return point, n_partial


# Posteriors -----------------------------------------------------------------------------------


def normal_priors(problem):
    return tuple(
        CoefficientPrior(name="Normal", parameters={"mu": mean, "sigma": sd})
        for mean, sd in zip(problem.beta_mean, problem.beta_sd, strict=True)
    )


def moments(values):
    return values.mean(), float(array_stats.mcse(values, chain_axis=0, draw_axis=1))


def assert_same_posterior(first, second):
    """Means and second moments within four Monte Carlo standard errors."""
    for name in [name for name in first if name[:2] in ("be", "b_", "sd", "co", "si")]:
        one, two = (np.reshape(each[name], (*each[name].shape[:2], -1)) for each in (first, second))
        for k in range(one.shape[2]):
            if np.ptp(one[..., k]) < 1e-9:
                continue
            for power in (1, 2):
                mean, error = moments(one[..., k] ** power)
                other, other_error = moments(two[..., k] ** power)
                assert mean == pytest.approx(other, abs=4 * np.hypot(error, other_error)), (
                    name,
                    k,
                    power,
                )


SAMPLED = {
    "single": {"factors": ((12, CORRELATED),), "n_rows": 120},
    "crossed": {"factors": ((15, INTERCEPT), (5, CORRELATED)), "n_rows": 150},
    "large rest": {"factors": ((90, INTERCEPT), (70, INTERCEPT)), "n_rows": 500},
}


@pytest.mark.parametrize(
    ("structure", "method"),
    [(name, method) for name in SAMPLED for method in ("conditional", "noncentred")],
)
def test_posterior_is_that_of_the_collapsed_engine(method, structure):
    problem: GaussianProblem = make_problem(4, **SAMPLED[structure])
    found = sample_noncentred(problem, normal_priors(problem), draws=2000, seed=1, method=method)
    assert not found["interrupted"]
    assert_same_posterior(found, sample(problem, draws=2000, seed=2))


def test_both_methods_agree_where_priors_are_not_normal():
    problem = make_problem(5, factors=((10, CORRELATED), (4, INTERCEPT)), n_rows=80)
    common = (prior("from below"), prior("laplace"))
    found = [
        sample_noncentred(problem, common, draws=2000, seed=3, method=m)
        for m in ("conditional", "noncentred")
    ]
    assert found[0]["beta"][..., 0].min() > 5
    assert_same_posterior(*found)


def test_seed_decides():
    problem = make_problem(3)
    first, second = (
        sample_noncentred(
            problem, (prior("cauchy"), prior("laplace")), draws=50, tune=50, chains=2, seed=9
        )
        for _ in range(2)
    )
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
