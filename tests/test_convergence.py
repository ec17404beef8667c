"""R-hat and effective sample sizes of many parameters at once are ArviZ's, one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy.stats import norm, rankdata

from hiermodels.convergence import BLOCK, average_ranks, bulk_ess, rank_rhat, tail_ess
from hiermodels.density.trace import least_effective

#: Chains and draws: of odd lengths, the shortest that have figures, and more chains than draws.
SHAPES = ((4, 1000), (3, 999), (4, 101), (1, 100), (8, 8), (4, 7), (2, 6), (4, 5), (4, 4))


def autoregressive(shape: tuple[int, ...], phi: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    values = noise.copy()
    for t in range(1, shape[-1]):
        values[..., t] += phi * values[..., t - 1]
    return values


def of_arviz(values: np.ndarray) -> list[np.ndarray]:
    def each(figure, **settings):
        axes = {"chain_axis": 0, "draw_axis": 1}
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.array([figure(one, **axes, **settings) for one in values], dtype=float)

    return [
        each(array_stats.rhat),
        each(array_stats.ess),
        each(array_stats.ess, method="tail", prob=(0.05, 0.95)),
    ]


def ours(values: np.ndarray) -> list[np.ndarray]:
    return [rank_rhat(values), bulk_ess(values), tail_ess(values)]


def assert_same(values: np.ndarray) -> None:
    for found, wanted in zip(ours(values), of_arviz(values), strict=True):
        if values.shape[1] == 1 and np.isnan(wanted).all():  # ArviZ has no R-hat of one chain
            continue
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("phi", [0, 0.95, 0.999, -0.5, -0.95])
def test_they_are_arvizs(shape, phi):
    values = autoregressive((2, *shape), phi)
    apart = np.arange(shape[0])[:, None]
    assert_same(values)
    assert_same(values + apart)
    assert_same(np.round(values, 1))  # equal values
    assert_same(np.round(values) + 100 * apart)


def test_more_parameters_than_are_looked_at_together():
    values = autoregressive((2 * BLOCK + 5, 4, 50), 0.3)
    assert_same(values)
    assert least_effective(np.moveaxis(values, 0, 2)) == pytest.approx(bulk_ess(values).min())


def test_a_value_that_is_no_number_leaves_the_other_parameters():
    values = autoregressive((3, 4, 50), 0.3)
    values[1, 2, 3] = np.nan
    for figure, whole in zip(ours(values), ours(values[[0, 2]]), strict=True):
        assert np.isnan(figure[1])
        np.testing.assert_array_equal(figure[[0, 2]], whole)


@pytest.mark.parametrize("shape", [(4, 3), (4, 0)])
def test_too_few_draws_have_no_figures(shape):
    assert all(np.isnan(figure).all() for figure in ours(np.ones((2, *shape))))


def textbook(chains: np.ndarray) -> float:
    """R-hat (m, n) of normal scores as Vehtari et al. 2021 write it, without splitting."""
    n = chains.shape[1]
    z = norm.ppf((rankdata(chains).reshape(chains.shape) - 3 / 8) / (chains.size + 1 / 4))
    within = z.var(axis=1, ddof=1).mean()
    between = n * z.mean(axis=1).var(ddof=1)
    return np.sqrt(((n - 1) / n * within + between / n) / within)


@pytest.mark.parametrize("shape", [(1, 100), (1, 8)])
@pytest.mark.parametrize("drift", [0, 0.05])
def test_rhat_of_one_chain_is_that_of_its_halves(shape, drift):
    (chain,) = autoregressive(shape, 0.5) + drift * np.arange(shape[1])
    halves = chain.reshape(2, -1)
    wanted = max(textbook(halves), textbook(np.abs(halves - np.median(halves))))
    assert rank_rhat(chain[None, None]) == pytest.approx(wanted)


def test_chains_that_stand_still():
    """Each elsewhere, R-hat is infinite; all in one place, it is 0 / 0, as ArviZ has it."""
    elsewhere = np.repeat(np.arange(4.0)[:, None], 50, axis=1)
    values = np.stack([elsewhere, np.ones((4, 50))])
    found = rank_rhat(values)
    assert np.isinf(found[0])
    assert np.isnan(found[1])
    assert bulk_ess(values)[1] == 200


def test_ranks_are_those_of_scipy():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.integers(0, 9, size=(3, 40)), rng.normal(size=(2, 40))])
    np.testing.assert_array_equal(average_ranks(values), rankdata(values, axis=1))
