"""The sampled posterior against quadrature, for one grouping factor."""

import numpy as np
import pytest
from strategies import make_problem

from hiermodels.density import cross_products, sample
from hiermodels.density.coordinates import evaluate


@pytest.mark.parametrize("seed", [1, 2])
def test_posterior_of_both_sds_is_that_of_a_grid(seed):
    problem = make_problem(seed, factors=((8, ((0,),)),), n_rows=60)
    products = cross_products(problem)
    grid = np.stack(
        np.meshgrid(np.linspace(-9, 4, 400), np.linspace(-0.5, 2, 150), indexing="ij"), axis=-1
    )
    log = np.array([[evaluate(theta, products.words)[0] for theta in row] for row in grid])
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    draws = sample(problem, draws=2000, chains=4, seed=seed)
    from arviz_stats.base import array_stats

    for column, name in enumerate(("sd_g0", "sigma")):
        values = draws[name].reshape(4, -1)
        for power in (1, 2):
            expected = np.sum(weight * np.exp(power * grid[..., column]))
            error = float(array_stats.mcse(values**power, chain_axis=0, draw_axis=1))
            assert np.mean(values**power) == pytest.approx(expected, abs=4 * error)


def test_the_same_seed_gives_the_same_draws():
    problem = make_problem(3)
    first, second = (sample(problem, draws=50, tune=50, chains=2, seed=9) for _ in range(2))
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
