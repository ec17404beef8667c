"""What sampling promises beside the posterior: agreement of samplers, thinning, interrupts, fresh
kernels."""

import _thread
import threading

import numpy as np
import pytest
from arviz_stats.base import array_stats
from strategies import make_problem

from hiermodels.density import Trace, cross_products, sample, sample_theta
from hiermodels.density.compilation import _stamp
from hiermodels.density.coordinates import to_theta
from hiermodels.density.independence import run_independence
from hiermodels.density.pilot import choose_coordinates

INTERCEPT = ((0,),)
CROSSED = {"factors": ((90, INTERCEPT), (70, INTERCEPT)), "n_rows": 400}


def moments(values):
    error = float(array_stats.mcse(values, chain_axis=0, draw_axis=1))
    return values.mean(), error


def test_independence_and_nuts_agree():
    products = cross_products(make_problem(4, **CROSSED))
    assert products.sparse
    words = choose_coordinates(products).write(products.words)
    independent = run_independence(
        words, dimension=products.theta.size, draws=8000, chains=4, cores=2, seed=1
    )
    nuts = sample_theta(products, draws=2000, seed=2)
    for k in range(products.theta.size):
        for power in (1, 2):
            first, first_error = moments(independent.theta[..., k] ** power)
            second, second_error = moments(nuts.theta[..., k] ** power)
            assert first == pytest.approx(second, abs=4 * np.hypot(first_error, second_error))


def test_thinning_keeps_count_of_steps_and_divergences():
    steps = np.arange(14).reshape(2, 7)
    trace = Trace(
        theta=steps[..., None] * 1.0,
        statistics={"n_steps": steps, "diverging": steps == 3, "logp": steps},
        method="nuts",
        tuning_steps=0,
        interrupted=False,
    ).thin(3)
    np.testing.assert_array_equal(trace.theta[..., 0], [[2, 5], [9, 12]])
    np.testing.assert_array_equal(trace.statistics["n_steps"], [[3, 12], [24, 33]])
    np.testing.assert_array_equal(trace.statistics["diverging"], [[False, True], [False, False]])
    assert trace.thinning == 3


def test_an_interrupt_returns_the_draws_so_far():
    problem = make_problem(4, **CROSSED)
    sample(problem, draws=10, tune=10, chains=2)
    threading.Timer(1.0, _thread.interrupt_main).start()
    result = sample(problem, draws=1_000_000, tune=100, chains=2, cores=2)
    assert result["interrupted"]
    n = result["sigma"].shape[1]
    assert 0 < n < 1_000_000
    assert result["b_g0"].shape == (2, n, 90, 1)
    assert np.all(np.isfinite(result["beta"]))


def test_cached_kernels_carry_the_stamp_of_all_sources():
    assert to_theta._cache._cache_file._source_stamp == _stamp()
