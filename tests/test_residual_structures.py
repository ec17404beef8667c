"""Quantile residuals at the truth: every family, three structures, given groups and new ones."""

import numpy as np
import pytest
from made_up_families import family_fit
from scipy import stats

from hiermodels.families import FAMILIES

STRUCTURES = ("y ~ x + (1 | g)", "y ~ x + f + (x || g)", "y ~ 1 + (x | g)")


@pytest.mark.parametrize("formula", STRUCTURES)
def test_quantile_residuals_are_uniform_in_every_family(formula):
    """Given the draw that made the data; with new effects one row of each level."""
    given, new = {}, {}
    for name in FAMILIES:
        fits = [family_fit(name, formula, seed=s, draws=40, spread=0.0) for s in (11, 12)]
        given[name] = np.concatenate([f.residuals("quantile")["pit"] for f in fits])
        new[name] = np.concatenate(
            [f.residuals("quantile", new_group=True)["pit"].iloc[:24] for f in fits]
        )
    for found in (given, new):
        each = {name: stats.kstest(pit, "uniform").pvalue for name, pit in found.items()}
        # some twenty families: the smallest of as many uniform numbers
        assert min(each.values()) > 0.001 / len(each) * 5, each
        assert stats.kstest(np.concatenate(list(found.values())), "uniform").pvalue > 0.001
