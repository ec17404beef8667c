"""Ranks of levels: sorting by hand, known orders, and what a league table needs."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import made_up_fit, table
from scipy import stats

from hiermodels.errors import UnknownNameError
from hiermodels.numbers.draws import Moments
from hiermodels.numbers.ranks import close_normal, close_pairs, default_top, rank_levels
from hiermodels.numbers.shrinkage import partial_pooling


@pytest.fixture(scope="module")
def fit():
    return made_up_fit("y ~ x + (x | pop) + (1 | year)")


def with_effects(fit, values):
    """The fit with these effects of the first term of pop: (S, J)."""
    effects = fit.draws.effects["pop"].copy()
    effects[:, :, 0] = values
    draws = replace(fit.draws, effects={**fit.draws.effects, "pop": effects})
    fit.__dict__["draws"] = draws
    return fit


def test_ranks_are_those_of_sorting(fit):
    block = fit.design.block("pop")
    found = rank_levels(
        fit.design, fit.draws, block, fit._reliability["pop"], term="x", best="lowest"
    )
    values = partial_pooling(fit.design, fit.draws, block)[:, :, 1]
    by_hand = np.array([stats.rankdata(row) for row in values])
    np.testing.assert_array_equal(found.rank, by_hand)
    np.testing.assert_allclose(found.p_best, (by_hand == 1).mean(axis=0))
    highest = rank_levels(fit.design, fit.draws, block, fit._reliability["pop"], term="x")
    np.testing.assert_array_equal(highest.rank, 6 - by_hand)


def test_the_table(fit):
    found = fit.ranks("pop", top=2)
    assert found["rank"].is_monotonic_increasing
    assert found["rank"].sum() == pytest.approx(15)
    assert found["p_best"].sum() == pytest.approx(1)
    assert found["p_top_2"].sum() == pytest.approx(2)
    assert found.title == (
        "Ranks of pop by Intercept, 1 is highest (posterior median, 95 % interval)"
    )
    row = found[found["level"] == "P3"].iloc[0]
    values = partial_pooling(fit.design, fit.draws, fit.design.block("pop"))[:, 3, 0]
    assert row["estimate"] == pytest.approx(np.median(values))
    assert row["n"] == (table()["pop"] == "P3").sum()


def test_pairs_too_close_are_counted_one_by_one():
    values = np.random.default_rng(0).normal([0, 0.2, 3, 3.1, 9], 1, (300, 5))
    by_hand = np.zeros(5, dtype=int)
    for a in range(5):
        for b in range(5):
            p = (values[:, a] > values[:, b]).mean()
            by_hand[a] += a != b and max(p, 1 - p) < 0.95
    np.testing.assert_array_equal(close_pairs(values), by_hand)
    assert by_hand.tolist() == [1, 1, 1, 1, 0]


def test_of_many_levels_normal_distributions_are_compared():
    rng = np.random.default_rng(1)
    mean = rng.normal(0, 1, 60)
    values = rng.normal(mean, 0.4, (4000, 60))
    exact = close_pairs(values)
    normal = close_normal(mean, np.full(60, 0.16))
    # pairs whose probability is within Monte Carlo error of 0.95 fall on either side
    assert np.abs(exact - normal).max() <= 4
    assert abs(exact.sum() - normal.sum()) <= 0.05 * exact.sum()


def test_levels_far_apart_make_a_league_table():
    fit = made_up_fit("y ~ x + (1 | pop)")
    rng = np.random.default_rng(2)
    values = np.arange(5) * 10 + rng.normal(size=(fit.draws.n, 5))
    found = with_effects(fit, values).ranks()
    assert found["level"].tolist() == ["P4", "P3", "P2", "P1", "P0"]
    assert (found["too_close"] == 0).all()
    assert "0 of 10 pairs" in found.note
    assert "do not support" not in found.note


def test_levels_alike_are_warned_of():
    fit = made_up_fit("y ~ x + (1 | pop)")
    rng = np.random.default_rng(3)
    found = with_effects(fit, rng.normal(size=(fit.draws.n, 5))).ranks()
    assert "do not support a league table of pop" in found.note
    assert found["too_close"].tolist() == [4] * 5


def test_some_draws_and_exact_moments():
    """Where few draws of the effects are kept, ranks are of normal draws with the exact moments."""
    fit = made_up_fit("y ~ x + (1 | pop)")
    draws, block = fit.draws, fit.design.block()
    values = partial_pooling(fit.design, draws, block)
    moments = Moments(mean=values.mean(axis=0), sd=values.std(axis=0))
    keep = np.arange(0, draws.n, 3)
    thinned = replace(
        draws,
        effects={"pop": draws.effects["pop"][keep]},
        kept=keep,
        moments={"pop": {"pooled": moments}},
    )
    found = rank_levels(fit.design, thinned, block, fit._reliability["pop"])
    assert found.approximate
    assert "normal draws" in found.words("pop")[-1]
    # the means of 2,000 normal draws
    np.testing.assert_allclose(
        found.values.mean(axis=0), moments.mean[:, 0], atol=4 * moments.sd.max() / np.sqrt(2000)
    )
    without = rank_levels(fit.design, replace(thinned, moments={}), block, fit._reliability["pop"])
    assert not without.approximate
    assert len(without.rank) == len(keep)


def test_what_cannot_be(fit):
    with pytest.raises(UnknownNameError, match="Valid: Intercept, x"):
        fit.ranks("pop", term="z")
    with pytest.raises(UnknownNameError, match="Valid: highest, lowest"):
        fit.ranks("pop", best="top")
    with pytest.raises(UnknownNameError, match="top=6: pop has 5 levels"):
        fit.ranks("pop", top=6)
    assert [default_top(j) for j in (2, 5, 16, 95, 500)] == [1, 1, 4, 10, 10]
