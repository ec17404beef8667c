"""The collapsed density against the dense normal marginal, everywhere and at the boundaries."""

import dense
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import PRIORS, make_problem, problems

from hiermodels.density import cross_products
from hiermodels.density.coordinates import PLAIN, PROBIT, SOFT, Coordinates, evaluate
from hiermodels.density.priors import add_log_prior
from hiermodels.density.problem import PositivePrior

CORRELATED, INTERCEPT, THREE = ((0, 1),), ((0,),), ((0, 1, 2),)


def prior_gradient(products, theta):
    gradient = np.zeros_like(theta)
    priors = products.theta.priors
    add_log_prior(
        theta,
        np.array([prior.form for prior in priors]),
        np.array([prior[1:] for prior in priors]),
        gradient,
    )
    return gradient


def check(problem, theta):
    products = cross_products(problem)
    value, gradient = evaluate(theta, products.words)
    expected = dense.log_density(problem, theta)
    slopes = dense.likelihood_gradient(problem, theta) + prior_gradient(products, theta)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(problems(), st.integers(0, 10**6))
def test_value_and_gradient_are_those_of_the_dense_marginal(problem, seed):
    size = cross_products(problem).theta.size
    check(problem, np.random.default_rng(seed).normal(scale=0.8, size=size))


STRUCTURES = {
    "single": {"factors": ((6, CORRELATED),)},
    "many levels": {"factors": ((130, CORRELATED),), "n_rows": 150},
    "three columns": {"factors": ((6, THREE),)},
    "one row per level": {"factors": ((30, INTERCEPT),), "n_rows": 30},
    "nested": {"factors": ((12, CORRELATED), (4, CORRELATED)), "nested": True},
    "crossed": {"factors": ((9, INTERCEPT), (6, THREE))},
    "large rest": {"factors": ((40, INTERCEPT), (35, INTERCEPT)), "n_rows": 90},
    "collinear": {"factors": ((6, CORRELATED), (4, INTERCEPT)), "collinear": True},
}


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.parametrize("residual", ["sigma", "weights", "se"])
@pytest.mark.parametrize("log_sd", [np.log(1e-12), -3.0, 4.0])
def test_sds_near_zero_and_far_from_it(structure, residual, log_sd):
    problem = make_problem(7, residual=residual, **structure)
    products = cross_products(problem)
    theta = np.random.default_rng(3).normal(scale=0.5, size=products.theta.size)
    theta[products.theta.places[0].sd] = log_sd
    check(problem, theta)


@pytest.mark.parametrize("structure", ["single", "three columns", "nested", "crossed"])
@pytest.mark.parametrize("t", [-18.0, -12.0, 6.0, 12.0])
def test_correlations_near_one(structure, t):
    problem = make_problem(11, **STRUCTURES[structure])
    products = cross_products(problem)
    theta = np.random.default_rng(3).normal(scale=0.5, size=products.theta.size)
    for places in products.theta.places:
        theta[places.partial[places.partial >= 0]] = t
    value, gradient = evaluate(theta, products.words)
    slopes = dense.likelihood_gradient(problem, theta) + prior_gradient(products, theta)
    reference = dense.log_likelihood(problem, theta).real
    own = value - add_log_prior_value(products, theta)
    assert own == pytest.approx(reference, rel=1e-9)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6)


def add_log_prior_value(products, theta):
    priors = products.theta.priors
    numbers = np.array([prior[1:] for prior in priors])
    return add_log_prior(
        theta, np.array([prior.form for prior in priors]), numbers, np.zeros_like(theta)
    )


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.kind)
@pytest.mark.parametrize("t", [-2.0, 0.1, 1.5])
def test_slopes_of_the_priors(prior, t):
    from hiermodels.density.priors import element_prior

    element = element_prior(prior)
    forms, numbers = np.array([element.form]), np.array([element[1:]], dtype=float)

    def at(t):
        slope = np.zeros(1)
        return add_log_prior(np.array([t]), forms, numbers, slope), slope[0]

    h = 1e-5
    assert at(t)[0] == pytest.approx(
        dense.POSITIVE[prior.kind](prior.a, prior.b)(np.exp(t)) + t, rel=1e-10, abs=1e-10
    )
    assert at(t)[1] == pytest.approx((at(t + h)[0] - at(t - h)[0]) / (2 * h), rel=1e-6, abs=1e-7)


def test_a_uniform_prior_excludes():
    problem = make_problem(1, factors=((6, INTERCEPT),))
    object.__setattr__(problem, "sd_priors", ((PositivePrior(kind="uniform", a=0.0, b=1.0),),))
    assert evaluate(np.array([0.5, 0.0]), cross_products(problem).words)[0] == -np.inf


@pytest.mark.parametrize("seed", range(5))
def test_coordinates_carry_their_jacobian(seed):
    problem = make_problem(seed, factors=((6, THREE), (4, INTERCEPT)))
    products = cross_products(problem)
    d = products.theta.size
    rng = np.random.default_rng(seed)
    bends = rng.permutation(np.r_[[SOFT, PROBIT, PLAIN], rng.integers(3, size=d - 3)])
    scale = np.eye(d) + 0.1 * rng.normal(size=(d, d))
    words = Coordinates(
        centre=rng.normal(size=d), scale=scale, bends=bends, knees=rng.normal(size=d)
    ).write(products.words)
    x, h = 0.5 * rng.normal(size=d), 1e-5
    numeric = [
        (evaluate(x + h * e, words)[0] - evaluate(x - h * e, words)[0]) / (2 * h) for e in np.eye(d)
    ]
    np.testing.assert_allclose(evaluate(x, words)[1], numeric, rtol=1e-5, atol=1e-5)
    plain = evaluate(expand(x, words), products.words)[0]
    jacobian = [(expand(x + h * e, words) - expand(x - h * e, words)) / (2 * h) for e in np.eye(d)]
    expected = plain + np.linalg.slogdet(jacobian)[1] - np.linalg.slogdet(scale)[1]
    assert evaluate(x, words)[0] == pytest.approx(expected, abs=1e-5)


def expand(x, words):
    from hiermodels.density.coordinates import to_theta

    theta = np.empty_like(x)
    to_theta(x, words, theta, np.empty_like(x), np.empty_like(x))
    return theta
