"""Recovered coefficients against the dense conditional normal."""

import _thread
import threading

import numpy as np
import pytest
from dense import lower_factor
from strategies import make_problem

import hiermodels as hm
from hiermodels.density import (
    combination_moments,
    cross_products,
    recover,
)
from hiermodels.density.combinations import CHUNK
from hiermodels.density.drawing import Store
from hiermodels.density.recovery import recover_thinned

STRUCTURES = {
    "single": {"factors": ((6, ((0, 1),)),)},
    "lanes": {"factors": ((70, ((0,),)),), "n_rows": 90},
    "nested": {"factors": ((10, ((0, 1),)), (4, ((0,),))), "nested": True},
    "crossed, second is larger": {"factors": ((4, ((0, 1),)), (9, ((0,),)))},
}


def dense_conditional(problem, products, theta):
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
    for block in [*priors, np.diag(problem.beta_sd**2)]:
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


WITH_LARGE_REST = STRUCTURES | {
    "large rest": {"factors": ((40, ((0,),)), (35, ((0,),))), "n_rows": 90},
}


@pytest.mark.parametrize("name", WITH_LARGE_REST)
@pytest.mark.parametrize("residual", ["sigma", "se"])
def test_moments_of_combinations_are_exact(name, residual):
    """A b_j + D beta of every level and block, mean and variance over draws of theta."""
    problem = make_problem(5, residual=residual, **WITH_LARGE_REST[name])
    products = cross_products(problem)
    rng = np.random.default_rng(0)
    theta = rng.normal(scale=0.5, size=(CHUNK + 2, products.theta.size))
    dense = [dense_conditional(problem, products, each)[:2] for each in theta]
    p, start = problem.X.shape[1], 0
    wanted = [(rng.normal(size=(2, b.n_columns)), rng.normal(size=(2, p))) for b in problem.blocks]
    found = combination_moments(products, theta, wanted, cores=2)
    for block, (A, D), (mean, variance) in zip(problem.blocks, wanted, found, strict=True):
        q = block.n_columns
        for level in range(block.n_levels):
            pick = np.zeros((2, len(dense[0][0])))
            pick[:, start + level * q : start + (level + 1) * q] = A
            pick[:, -p:] = D
            means = np.array([pick @ m for m, _ in dense])
            within = np.mean([np.diag(pick @ V @ pick.T) for _, V in dense], axis=0)
            np.testing.assert_allclose(mean[level], means.mean(axis=0), rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(variance[level], within + means.var(axis=0), rtol=1e-8)
        start += block.n_levels * q


def test_nothing_is_wanted_of_a_model_without_groups():
    """With disjoint dummies as a factor of known sd, or with no factor at all."""
    data = {"y": [1.0, 2.0, 4.0, 3.0, 5.0, 2.0], "g": list("aabbcc")}
    for formula in ("y ~ 0 + g", "y ~ g", "y ~ 1"):
        fit = hm.fit(formula, data, draws=50, tune=50, random_seed=1, progressbar=False)
        assert np.isfinite(fit.fixef()["estimate"]).all()


@pytest.mark.parametrize("name", ["nested", "large rest"])
def test_thinned_effects_are_draws_of_the_same_conditional(name):
    """beta for every draw, effects for every tenth: means within 5 Monte Carlo errors."""
    problem = make_problem(5, **WITH_LARGE_REST[name])
    products = cross_products(problem)
    theta = np.tile(np.full(products.theta.size, 0.1), (20000, 1))
    kept = np.arange(9, 20000, 10)
    found = recover_thinned(products, theta, kept=kept, rng=np.random.default_rng(1), cores=2)
    mean, covariance = dense_conditional(problem, products, theta[0])[:2]
    sd = np.sqrt(np.diag(covariance))
    p = problem.X.shape[1]
    beta, effects = found.beta, np.hstack([e.reshape(2000, -1) for e in found.effects])
    assert effects.dtype == np.float32
    assert (np.abs(beta.mean(axis=0) - mean[-p:]) < 5 * sd[-p:] / np.sqrt(20000)).all()
    assert (np.abs(effects.mean(axis=0) - mean[:-p]) < 5 * sd[:-p] / np.sqrt(2000)).all()
    joint = np.corrcoef(beta[kept, 0], effects[:, 0])[0, 1]
    expected = covariance[-p, 0] / (sd[-p] * sd[0])
    assert joint == pytest.approx(expected, abs=5 / np.sqrt(2000))


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("name", ["nested", "large rest"])
def test_draws_are_stored_on_the_users_scale(name, single):
    """The same random numbers: b = T b_std to the precision of the numbers."""
    problem = make_problem(5, **WITH_LARGE_REST[name])
    products = cross_products(problem)
    rng = np.random.default_rng(0)
    theta = rng.normal(scale=0.3, size=(600, products.theta.size))
    maps = tuple(rng.normal(size=(b.n_columns, b.n_columns)) for b in problem.blocks)
    plain = recover(products, theta, rng=np.random.default_rng(1))
    store = Store(maps=maps, single=single)
    found = recover(products, theta, rng=np.random.default_rng(1), store=store)
    np.testing.assert_array_equal(found.beta, plain.beta)
    for to_raw, one, two in zip(maps, plain.effects, found.effects, strict=True):
        assert two.dtype == (np.float32 if single else np.float64)
        expected = np.einsum("kl,sjl->sjk", to_raw, one)
        tolerance = 1e-6 if single else 1e-12  # of a number of order one
        np.testing.assert_allclose(two, expected, rtol=tolerance, atol=tolerance)


def test_an_interrupt_of_the_recovery_leaves_draws_of_every_chain():
    """All 200,000 draws of 200 effects would take several seconds."""
    products = cross_products(make_problem(5, factors=((200, ((0,),)),), n_rows=300))
    theta = np.zeros((200_000, products.theta.size))
    recover(products, theta[:10], rng=np.random.default_rng(1))
    threading.Timer(0.5, _thread.interrupt_main).start()
    found = recover(products, theta, rng=np.random.default_rng(1), cores=2, chains=4)
    assert found.interrupted
    n = found.complete(4)
    assert 0 < n < 50_000
    whole = recover(products, theta, rng=np.random.default_rng(1), cores=2, chains=4).of_chains(4)
    one, two = found.of_chains(4), whole
    np.testing.assert_array_equal(one.beta, two.beta[:, :n])
    np.testing.assert_array_equal(one.effects[0], two.effects[0][:, :n])
