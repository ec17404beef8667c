"""Data on which a model has no answer: an error that says so, at once."""

import time

import numpy as np
import pandas as pd
import pytest
from made_up import table

import hiermodels as hm
from hiermodels.fitting import Model


def exact_rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": np.arange(60) % 17 * 1.0, "g": np.tile(list("pqrstu"), 10)})
    own = data.g.map(dict(zip("pqrstu", rng.normal(size=6), strict=True)))
    data["line"] = 2 * data.x + 1
    data["whole"] = (3 * data.x - 7).astype(int)
    data["of_groups"] = data.line + own
    data["slopes"] = data.x * own
    data["power"] = np.exp(data.line / 10)
    data["share"] = 1 / (1 + np.exp(2 - data.line / 10))
    data["with_zeros"] = np.where(data.index % 4 == 0, 0, data.share)
    data["far"] = 1e6 + 0.1 * data.x
    data["noise"] = rng.normal(size=60)
    data["near"] = data.line + 1e-6 * data.noise
    data["pair"] = np.repeat(np.arange(30), 2)
    return data


EXACT = [
    ("line ~ x", "gaussian"),
    ("whole ~ x + noise", "gaussian"),
    ("line ~ x + (1 | g)", "gaussian"),
    ("of_groups ~ x + (1 | g)", "gaussian"),
    ("slopes ~ 1 + (x | g)", "gaussian"),
    ("far ~ x", "gaussian"),
    ("log(power) ~ x", "gaussian"),
    ("line ~ x", "student"),
    ("power ~ x", "lognormal"),
    ("power ~ x + (1 | g)", "gamma"),
    ("share ~ x", "beta"),
    ("with_zeros ~ x", "zi_beta"),
    ("with_zeros ~ x", "zoi_beta"),
]


@pytest.mark.parametrize(("formula", "family"), EXACT)
def test_a_response_that_is_an_exact_function_is_refused_at_once(formula, family):
    start = time.perf_counter()
    with pytest.raises(hm.DataError, match=r"an exact function of .*x"):
        hm.fit(formula, exact_rows(), family=family)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    "formula",
    [
        "near ~ x",  # the sampler ends, with sigma of 1e-6
        "of_groups ~ x",
        "line ~ 0 + x",  # no line through zero
        "slopes ~ (1 | g)",
        "noise ~ (x | pair)",  # as many effects as rows, and sds of them: no likelihood without end
    ],
)
def test_a_response_that_is_not_exact_is_fitted(formula):
    Model(formula, exact_rows())


def test_known_errors_need_no_residual():
    Model("line ~ x", exact_rows().assign(error=0.5), se="error")


def test_rows_that_count_decide():
    data = exact_rows().assign(w=1)
    data.loc[0, ["line", "w"]] = [99, 0]
    Model("line ~ x", data)
    with pytest.raises(hm.DataError, match="exact function of x"):
        Model("line ~ x", data, weights="w")


@pytest.mark.parametrize("family", ["gaussian", "student", "lognormal", "gamma"])
@pytest.mark.parametrize("formula", ["y ~ x", "y ~ 1"])
def test_two_rows_are_refused(formula, family):
    with pytest.raises(hm.DataError, match="2 rows of the response 'y'"):
        hm.fit(formula, {"y": [1.0, 2.5], "x": [0.0, 1.0]}, family=family)


def test_many_rows_of_crossed_factors_are_looked_at_in_parts():
    """More effects than least squares by singular values take."""
    rng = np.random.default_rng(1)
    n = 6000
    data = pd.DataFrame(
        {"x": rng.normal(size=n), "u": rng.integers(0, 500, n), "v": rng.integers(0, 300, n)}
    )
    data["y"] = 2 * data.x + rng.normal(size=500)[data.u] + rng.normal(size=300)[data.v]
    with pytest.raises(hm.DataError, match="exact function of x, u and v"):
        Model("y ~ x + (1 | u) + (1 | v)", data)
    data["y"] += 1e-4 * rng.normal(size=n)
    Model("y ~ x + (1 | u) + (1 | v)", data)


@pytest.mark.parametrize("family", ["zi_beta", "zoi_beta"])
def test_a_beta_without_a_share_is_about_the_data(family):
    y = [0.0, 0.0, 0.0, 0.0] if family == "zi_beta" else [0.0, 1.0, 1.0, 0.0]
    with pytest.raises(hm.DataError, match="no value between 0 and 1 in its 4 rows"):
        Model("y ~ 1", {"y": y}, family=family)


# --- weights --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weighted_fits():
    """The same data with weights, of which some are zero, and with the rows repeated."""
    data = table(n=60)
    data["w"] = np.arange(60) % 4
    options = {"draws": 500, "random_seed": 3, "progressbar": False, "cores": 1}
    one = hm.fit("y ~ x + (1 | pop)", data, weights="w", **options)
    other = hm.fit("y ~ x + (1 | pop)", data.loc[data.index.repeat(data.w)], **options)
    return one, other, data


def test_a_row_of_weight_zero_is_no_row(weighted_fits):
    one, _, data = weighted_fits
    assert one.design.n == int((data.w > 0).sum())
    assert list(one.design.index) == list(data.index[data.w > 0])
    loo = one.loo()
    assert len(loo.labels) == one.design.n
    assert np.isfinite(loo.pointwise).all()


@pytest.mark.parametrize("stat", ["mean", "sd", "median", "zeros", "max"])
@pytest.mark.parametrize("group", [None, "pop"])
def test_statistics_of_weights_are_those_of_rows_repeated(weighted_fits, stat, group):
    """Observed ones exactly; intervals to the error of a quantile of 1,000 made data sets."""
    one, other, _ = (f.ppc(stat, group) if hasattr(f, "ppc") else f for f in weighted_fits)
    np.testing.assert_array_equal(one["n"], other["n"])
    np.testing.assert_allclose(one["observed"], other["observed"], rtol=1e-12)
    width = np.asarray(other["expected_upper"]) - np.asarray(other["expected_lower"])
    # a 2.5 % quantile of 1,000 normal draws has an error of some 0.08 sd, 0.02 widths: 6 of them
    for column in ("expected", "expected_lower", "expected_upper"):
        assert (np.abs(np.asarray(one[column]) - other[column]) <= 0.12 * width + 1e-12).all()


def test_checks_heed_weights(weighted_fits):
    one, other, _ = weighted_fits
    found = [f.check(random_seed=1).of("dispersion") for f in (one, other)]
    # p of 400 draws has an error of 0.025, of either
    assert abs(found[0].p - found[1].p) < 6 * 0.035
    assert found[0].upper - found[0].lower == pytest.approx(
        found[1].upper - found[1].lower, rel=0.35
    )


def test_weights_that_are_no_counts_have_no_data_to_make():
    data = table(n=60).assign(w=lambda d: d["count"] / 2)
    fit = hm.fit(
        "y ~ x", data, weights="w", draws=100, tune=100, random_seed=1, progressbar=False, cores=1
    )
    with pytest.raises(hm.NotAvailableError, match="no whole numbers"):
        fit.ppc("mean")
    fit.check()
