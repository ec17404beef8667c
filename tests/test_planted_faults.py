"""Quantile residuals: uniform after fits to the model's own data, not after planted faults.

The commands `benchmarks.uniformity` and `benchmarks.faults` do the same for many data sets.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hiermodels.workflows.calibration import every_family

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # the benchmarks are no part of the package
    sys.path.append(str(ROOT))

from benchmarks.faults import FAULTS, UNIFORM, fitted, uniform  # noqa: E402
from benchmarks.uniformity import STRUCTURES, found_in, independent_rows, judged  # noqa: E402

#: The probability that a true model fails, over all p-values of a test.
ALPHA = 1e-3
#: Where each fault is seen, in 1000 rows of 100 groups.
SEEN = {
    "overdispersion": "given",
    "zero inflation": "given",
    "wrong link": "along eta",
    "heteroscedasticity": "spread along x",
    "skewed noise": "given",
    "two kinds of groups": "effects",
}


@pytest.mark.parametrize("bars", STRUCTURES)
def test_residuals_of_fits_to_the_models_own_data_are_uniform(bars):
    """A third of the families with each structure; parameters from the priors, residuals after a
    fit: of one posterior draw, so that what was estimated from the same rows does no harm."""
    models = list(every_family(bars, rows=72, levels=18).values())
    # the fits of betabinomial are the slowest by far: in the long command only
    third = [m for m in models if m.design.family.name != "betabinomial"]
    third = third[(STRUCTURES.index(bars) + 1) % 3 :: 3]
    p_values = []
    for model in third:
        found = found_in(model, replications=2, random_seed=8)
        p_values += [judged(found.given)[0], judged(found.new)[0]]
    assert min(p_values) > ALPHA / len(STRUCTURES) / len(p_values), p_values


def test_one_row_of_each_outermost_level_shares_no_effect():
    model = every_family("(1 | h/g)", rows=72, levels=18)["gaussian (1 | h/g)"]
    rows = independent_rows(model.design)
    for block in model.design.blocks:
        assert len(set(block.index[rows])) == len(rows)
    assert len(rows) == min(block.n_levels for block in model.design.blocks)


def test_every_fault_has_its_place():
    assert set(SEEN) == {name for name, fault in FAULTS.items() if fault.check}


@pytest.mark.parametrize("name", FAULTS)
def test_residuals_are_not_uniform_under_a_planted_fault(name):
    """And uniform, by the same tests, without one."""
    found = uniform(fitted(FAULTS[name], 1, groups=100))
    if name in SEEN:
        assert found[SEEN[name]] < ALPHA, found
    else:
        assert min(found.values()) > ALPHA / len(UNIFORM) / 2, found


def test_the_tests_of_uniformity_have_their_level():
    """Of independent numbers, as residuals of a true model are: the trend's statistic is exact."""
    from benchmarks.faults import trend

    rng = np.random.default_rng(4)
    x = rng.uniform(size=100)
    found = [stats.chi2.sf(trend(rng.normal(size=100), x), 2) for _ in range(400)]
    assert stats.kstest(found, "uniform").pvalue > ALPHA
