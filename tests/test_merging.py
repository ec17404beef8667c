"""Merged rows are the same likelihood: by PyMC's log-density, with the priors of all rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_model_families import log_density, random_point
from test_response import rows

from hiermodels.fitting import Model
from hiermodels.merging import distinct_rows
from hiermodels.model import build_pymc


def few_values(n: int = 400) -> pd.DataFrame:
    """Rows of few different values, so that many are the same."""
    rng = np.random.default_rng(6)
    total = rng.integers(1, 3, n)
    return pd.DataFrame(
        {
            "count": rng.poisson(0.7, n),
            "total": total,
            "alive": rng.binomial(total, 0.5),
            "rating": rng.integers(1, 4, n),
            "x": rng.integers(0, 2, n).astype(float),
            "z": rng.integers(0, 2, n) / 3,
            "pop": rng.choice([*"abc"], n),
            "year": rng.choice([1999, 2000], n),
            "w": rng.integers(0, 3, n),
        }
    )


MODELS = {
    "poisson": ("count ~ x + (x | pop)", {}),
    "binomial": ("alive / total ~ x + (1 | pop) + (1 | year)", {}),
    "zi_poisson": ("count ~ offset(z) + (1 | pop)", {"zi": "~ x + (1 | year)"}),
    "ordinal": ("rating ~ x + z + (1 | pop)", {"weights": "w"}),
}


@pytest.mark.parametrize("family", MODELS)
def test_the_log_density_is_the_same(family):
    formula, arguments = MODELS[family]
    model = Model(formula, few_values(), family=family, **arguments)
    merged = distinct_rows(model.design)
    assert merged.n < model.design.n / 3
    total = model.design.n if model.design.weights is None else model.design.weights.sum()
    assert merged.weights.sum() == total
    assert (merged.weights > 0).all()
    full, fewer = model.to_pymc(), build_pymc(merged, model.priors)
    for seed in (1, 2):
        point = random_point(full, seed=seed)
        assert log_density(fewer, point) == pytest.approx(log_density(full, point), rel=1e-12)


def test_rows_that_differ_stay_as_they_are():
    design = Model("y ~ x + (1 | pop)", rows()).design
    assert distinct_rows(design) is design


def test_rows_that_differ_in_one_thing_alone_are_not_merged():
    """Two equal rows, and one that differs from them in the formula of a parameter."""
    data = {"n": [1, 1, 1, 4], "x": [1.0, 1, 1, 2], "z": [0.0, 0, 5, 5], "g": [*"aaab"]}
    design = Model("n ~ x + (1 | g)", data, family="zip", zi="~ z").design
    merged = distinct_rows(design)
    np.testing.assert_array_equal(merged.weights, [2, 1, 1])
    np.testing.assert_array_equal(merged.index, [0, 2, 3])
    np.testing.assert_array_equal(merged.extras["zi"].common.values.ravel(), [0, 5, 5])
    np.testing.assert_array_equal(merged.common.center, design.common.center)


def test_rows_of_weight_zero_are_left_out():
    data = {"n": [1, 1, 2, 4], "x": [1.0, 1, 1, 2], "w": [1.0, 0.5, 0, 2]}
    merged = distinct_rows(Model("n ~ x", data, family="poisson", weights="w").design)
    np.testing.assert_array_equal(merged.response, [1, 4])
    np.testing.assert_array_equal(merged.weights, [1.5, 2])
