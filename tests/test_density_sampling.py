"""What sampling promises beside the posterior: agreement of samplers, thinning, interrupts, fresh
kernels."""

import _thread
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from arviz_stats.base import array_stats
from strategies import make_problem

from hiermodels import density
from hiermodels.density import Trace, cross_products, independence, recover, sample, sample_theta
from hiermodels.density.compilation import _stamp
from hiermodels.density.coordinates import to_theta
from hiermodels.density.drawing import AS_THEY_ARE
from hiermodels.density.independence import run_independence
from hiermodels.density.pilot import choose_coordinates
from hiermodels.density.trace import most_draws, sample_enough

INTERCEPT = ((0,),)
CROSSED = {"factors": ((90, INTERCEPT), (70, INTERCEPT)), "n_rows": 400}


def moments(values):
    error = float(array_stats.mcse(values, chain_axis=0, draw_axis=1))
    return values.mean(), error


def test_independence_and_nuts_agree():
    products = cross_products(make_problem(4, **CROSSED))
    assert products.sparse
    words = choose_coordinates(products).write(products.words)
    independent = run_independence(products, words, draws=8000, chains=4, cores=2, seed=1)
    nuts = sample_theta(products, draws=2000, seed=2)
    for k in range(products.theta.size):
        for power in (1, 2):
            first, first_error = moments(independent.theta[..., k] ** power)
            second, second_error = moments(nuts.theta[..., k] ** power)
            assert first == pytest.approx(second, abs=4 * np.hypot(first_error, second_error))


def test_coefficients_of_independence_are_those_of_the_conditional():
    """Drawn with the proposals, and anew where these are rejected: as drawn from theta later."""
    products = cross_products(make_problem(4, **CROSSED))
    words = choose_coordinates(products).write(products.words)
    trace = run_independence(
        products, words, draws=8001, chains=2, cores=2, seed=1, store=AS_THEY_ARE
    )
    found = trace.coefficients
    accepted = trace.statistics["accepted"]
    assert 0.05 < (~accepted).mean() < 0.5
    flat = trace.theta.reshape(-1, products.theta.size)
    later = recover(products, flat, rng=np.random.default_rng(5), chains=2, cores=2).of_chains(2)
    assert found.beta.shape == later.beta.shape == (2, 8001, products.n_common)
    for one, two in zip((*found.effects, found.beta), (*later.effects, later.beta), strict=True):
        assert one.shape == two.shape
        for where in (accepted, ~accepted):
            first, second = one[where], two[where]
            error = second.std(axis=0) * np.sqrt(2 / len(first))
            assert (np.abs(first.mean(axis=0) - second.mean(axis=0)) < 6 * error).all()
            assert (np.abs(first.std(axis=0) - second.std(axis=0)) < 6 * error).all()
    # No two draws of the same theta have the same coefficients.
    assert len(np.unique(found.beta[..., 0])) == found.beta[..., 0].size


def test_an_interrupt_of_independence_keeps_complete_states(monkeypatch):
    """Ctrl-C after the tenth batch: the main thread is told of each."""
    products = cross_products(make_problem(4, **CROSSED))
    words = choose_coordinates(products).write(products.words)

    @contextmanager
    def interrupted_bar(total, what, *, shown):
        assert (total, shown) == (2 * 10_002, True)
        told = []

        def advance(step):
            told.append(step)
            if len(told) == 10:
                raise KeyboardInterrupt

        yield advance

    settings = {"draws": 20_002, "chains": 2, "cores": 2, "seed": 1, "store": AS_THEY_ARE}
    whole = run_independence(products, words, **settings)
    monkeypatch.setattr(independence, "counting_bar", interrupted_bar)
    trace = run_independence(products, words, progress=True, **settings)
    n = trace.theta.shape[1]
    assert trace.interrupted
    assert not whole.interrupted
    assert 70 < n < 20_002
    assert trace.coefficients.effects[0].shape == (2, n, 90, 1)
    assert trace.coefficients.beta.shape == (2, n, products.n_common)
    # the proposals and their coefficients are those of the whole run
    same = trace.statistics["accepted"] & whole.statistics["accepted"][:, :n]
    assert same.mean() > 0.2  # proposals that both runs accepted
    np.testing.assert_array_equal(trace.theta[same], whole.theta[:, :n][same])
    np.testing.assert_array_equal(
        trace.coefficients.effects[1][same], whole.coefficients.effects[1][:, :n][same]
    )


@pytest.mark.parametrize(
    ("made", "chains", "draws"),
    [
        ([1000, 1000, 1000, 900], [0, 1, 2, 3], 900),
        ([1000, 1000, 3, 0], [0, 1], 1000),  # one after another, the third hardly begun
        ([1000, 17, 0, 0], [0], 1000),
        ([5, 10], [0, 1], 5),  # as many either way: more chains say more
        ([3, 3, 3, 4], [3], 4),
    ],
)
def test_an_interrupt_keeps_the_most_draws(made, chains, draws):
    assert most_draws(made, least=4) == (chains, draws)


def test_an_interrupt_of_the_first_draws_leaves_nothing():
    with pytest.raises(InterruptedError, match="no chain had 4 draws"):
        most_draws([3, 0], least=4)


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


def slow_walk(*, draws: int, seed: int, interrupted: bool = False) -> Trace:
    """Autoregressive with coefficient 0.9, one effective draw in 19; two chains."""
    rng = np.random.default_rng(seed)
    theta = np.zeros((2, draws, 1))
    for i in range(1, draws):
        theta[:, i, 0] = 0.9 * theta[:, i - 1, 0] + rng.normal(size=2)
    statistics = {"n_steps": np.ones((2, draws), int), "diverging": np.zeros((2, draws), bool)}
    return Trace(
        theta=theta, statistics=statistics, method="nuts", tuning_steps=5, interrupted=interrupted
    )


def test_too_few_effective_draws_are_joined_by_a_second_run():
    asked = []

    def run(**settings):
        asked.append(settings)
        return slow_walk(**settings)

    trace = sample_enough(run, draws=1000, seed=3, enough=0.2)
    first = slow_walk(**asked[0])
    every = trace.thinning
    assert [a["draws"] for a in asked] == [1000, 1000 * (every - 1)]
    assert asked[0]["seed"] == 3 != asked[1]["seed"]
    assert trace.theta.shape == (2, 1000, 1)
    n = 1000 // every
    np.testing.assert_array_equal(trace.theta[:, :n], first.theta[:, every - 1 : n * every : every])
    np.testing.assert_array_equal(trace.theta[:, -1], slow_walk(**asked[1]).theta[:, -1])
    assert trace.statistics["n_steps"].sum() == 2 * 1000 * every
    assert trace.tuning_steps == 10
    assert not trace.interrupted


@pytest.mark.parametrize("stopped", ["before a draw", "in the first chain", "later"])
def test_an_interrupt_of_the_second_run_keeps_the_first(stopped):
    first = slow_walk(draws=1000, seed=3)

    def run(*, draws, seed):
        if seed == 3:
            return first
        if stopped == "before a draw":
            raise InterruptedError
        more = slow_walk(draws=500, seed=seed, interrupted=True)
        return replace(more, theta=more.theta[:1]) if stopped == "in the first chain" else more

    trace = sample_enough(run, draws=1000, seed=3, enough=0.2)
    assert trace.interrupted
    if stopped == "later":
        assert trace.theta.shape == (2, 1500 // trace.thinning, 1)
    else:
        np.testing.assert_array_equal(trace.theta, first.theta)


def test_an_interrupt_returns_the_draws_so_far():
    problem = make_problem(4, **CROSSED)
    told = []

    def interrupt(chains):
        if not told and min(chain.finished_draws for chain in chains) > 200:
            told.append(True)
            _thread.interrupt_main()

    result = sample(
        problem, draws=1_000_000, tune=100, chains=2, cores=2, progress_callback=interrupt
    )
    assert result["interrupted"]
    # of chains that are apart, those are kept that have most draws
    chains, n = result["sigma"].shape
    assert chains in (1, 2)
    assert 0 < n < 1_000_000
    assert result["b_g0"].shape == (chains, n, 90, 1)
    assert np.all(np.isfinite(result["beta"]))


FOLDER = Path(density.__file__).parent


def test_cached_kernels_carry_the_stamp_of_all_sources():
    assert to_theta._cache._cache_file._source_stamp == _stamp(FOLDER)
