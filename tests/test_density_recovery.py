"""Recovered coefficients against the dense conditional normal."""

import numpy as np
import pytest
from dense import lower_factor
from strategies import make_problem

from hiermodels.density import conditional_variances, cross_products, level_moments, recover

STRUCTURES = {
    "single": {"factors": ((6, ((0, 1),)),)},
    "lanes": {"factors": ((70, ((0,),)),), "n_rows": 90},
    "nested": {"factors": ((10, ((0, 1),)), (4, ((0,),))), "nested": True},
    "crossed, second is larger": {"factors": ((4, ((0, 1),)), (9, ((0,),)))},
}


def dense_conditional(problem, products, theta, *, given_beta=False):
    """Mean and covariance of (effects by block, beta)."""
    designs, priors = [], []
    for block, places in zip(problem.blocks, products.theta.places, strict=True):
        columns = np.eye(block.n_levels)[block.index][:, :, None] * block.Z[:, None, :]
        designs.append(columns.reshape(len(problem.y), -1))
        Lambda = lower_factor(theta, places)
        priors.append(np.kron(np.eye(block.n_levels), Lambda @ Lambda.T))
    p = problem.X.shape[1]
    W = np.column_stack([*designs, problem.X])
    prior = np.zeros((W.shape[1], W.shape[1]))
    start = 0
    for block in [*priors, np.diag(problem.beta_sd**2 * (0 if given_beta else 1))]:
        prior[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    mean = np.r_[np.zeros(W.shape[1] - p), problem.beta_mean]
    noise = np.exp(2 * theta[-1]) if problem.se is None else problem.se**2
    weights = 1.0 if problem.weights is None else problem.weights
    V = W @ prior @ W.T + np.diag(noise / weights * np.ones(len(problem.y)))
    gain = np.linalg.solve(V, W @ prior).T
    return mean + gain @ (problem.y - W @ mean), prior - gain @ W @ prior, prior


def cases():
    return [(name, residual) for name in STRUCTURES for residual in ("sigma", "weights", "se")]


@pytest.mark.parametrize(("name", "residual"), cases())
def test_moments_are_exact(name, residual):
    problem = make_problem(5, residual=residual, **STRUCTURES[name])
    products = cross_products(problem)
    theta = np.random.default_rng(0).normal(scale=0.5, size=(3, products.theta.size))
    dense = [dense_conditional(problem, products, each) for each in theta]
    means = np.array([each[0] for each in dense])
    variance = np.mean([np.diag(each[1]) for each in dense], axis=0) + means.var(axis=0)
    found = level_moments(products, theta)
    q = problem.X.shape[1]
    np.testing.assert_allclose(flat(found.mean), means.mean(axis=0)[:-q], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(flat(found.variance), variance[:-q], rtol=1e-9)
    given = [dense_conditional(problem, products, each, given_beta=True) for each in theta]
    share = np.mean([np.diag(each[1])[:-q] / np.diag(each[2])[:-q] for each in given], axis=0)
    np.testing.assert_allclose(flat(conditional_variances(products, theta)), share, rtol=1e-9)


def flat(blocks):
    return np.concatenate([block.ravel() for block in blocks])


@pytest.mark.parametrize(("name", "residual"), cases())
def test_draws_have_the_conditional_mean_and_covariance(name, residual):
    problem = make_problem(5, residual=residual, **STRUCTURES[name])
    products = cross_products(problem)
    theta = np.random.default_rng(0).normal(scale=0.3, size=products.theta.size)
    mean, covariance, _ = dense_conditional(problem, products, theta)
    n = 20_000
    drawn = recover(products, np.tile(theta, (n, 1)), rng=np.random.default_rng(1), cores=2)
    draws = np.column_stack([*[effects.reshape(n, -1) for effects in drawn.effects], drawn.beta])
    standardised = np.linalg.solve(np.linalg.cholesky(covariance), (draws - mean).T)
    d = len(mean)
    # If exact, n |mean|^2 is chi-squared with d degrees of freedom, and so is the sum over pairs.
    assert abs(n * np.sum(standardised.mean(axis=1) ** 2) - d) < 5 * np.sqrt(2 * d)
    products_of_pairs = standardised @ standardised.T / np.sqrt(n)
    pairs = products_of_pairs[np.tril_indices(d, -1)]
    assert abs(np.sum(pairs**2) - len(pairs)) < 5 * np.sqrt(2 * len(pairs)) * 1.5
    variances = (np.mean(standardised**2, axis=1) - 1) * np.sqrt(n / 2)
    assert np.abs(variances).max() < 5


def test_draws_do_not_depend_on_cores():
    problem = make_problem(5, **STRUCTURES["nested"])
    products = cross_products(problem)
    theta = np.random.default_rng(0).normal(scale=0.3, size=(600, products.theta.size))
    one, two = (
        recover(products, theta, rng=np.random.default_rng(1), cores=cores) for cores in (1, 2)
    )
    np.testing.assert_array_equal(one.beta, two.beta)
    np.testing.assert_array_equal(flat(one.effects), flat(two.effects))
