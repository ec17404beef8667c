"""Complete, no and partial pooling in one table, against statsmodels and the single fit."""

import numpy as np
import pytest
import statsmodels.formula.api as smf
from made_up import table

import hiermodels as hm
from hiermodels.design import INTERCEPT
from hiermodels.fitting import Model
from hiermodels.workflows.pooling import pooled_factor, unpool, unpooled_priors


@pytest.fixture(scope="module")
def data():
    return hm.load_dataset("sites")


@pytest.fixture(scope="module")
def pooled(data):
    return hm.pooling("y ~ x + (x | site)", data, random_seed=1, progressbar=False)


def near(estimate, lower, upper, expected):
    """Within a tenth of a posterior sd for the prior, wide but proper, and Monte Carlo error.

    Half an interval is two sds; 4 MCSE at an ESS of 1,500 are a tenth of one.
    """
    sd = (upper - lower) / 4
    assert (np.abs(estimate - expected) < 0.2 * sd).all()


def test_rows_are_aligned(pooled, data):
    assert len(pooled) == 32
    assert list(pooled.columns[:4]) == ["group", "level", "term", "n"]
    first = pooled[pooled["term"] == "x"]
    assert list(first["level"]) == sorted(data["site"].unique())
    assert list(first["n"]) == data.groupby("site").size().tolist()


def test_complete_pooling_is_least_squares(pooled, data):
    other = smf.ols("y ~ x", data).fit()
    for term, name in ((INTERCEPT, "Intercept"), ("x", "x")):
        rows = pooled[pooled["term"] == term]
        assert rows["complete"].nunique() == 1
        near(rows["complete"], rows["complete_lower"], rows["complete_upper"], other.params[name])


def test_no_pooling_is_the_fixed_effect_fit(pooled, data):
    other = smf.ols("y ~ 0 + site + site:x", data).fit()
    rows = pooled[pooled["term"] == "x"]
    expected = [other.params[f"site[{level}]:x"] for level in rows["level"]]
    near(rows["no"], rows["no_lower"], rows["no_upper"], np.array(expected))
    rows = pooled[pooled["term"] == INTERCEPT]
    expected = [other.params[f"site[{level}]"] for level in rows["level"]]
    near(rows["no"], rows["no_lower"], rows["no_upper"], np.array(expected))


def test_partial_pooling_lies_between_where_the_term_is_alone(data):
    found = hm.pooling("y ~ x + (1 | site)", data, random_seed=1, progressbar=False)
    rows = found[found["group"] == "site"]
    common = found[found["group"] == "common"]
    assert list(common["term"]) == ["x"]
    ols = smf.ols("y ~ x", data).fit()
    fixed = smf.ols("y ~ 0 + x + site", data).fit()
    near(common["complete"], common["complete_lower"], common["complete_upper"], ols.params["x"])
    near(common["no"], common["no_lower"], common["no_upper"], fixed.params["x"])
    assert (rows["partial"].std() < rows["no"].std()).all()
    assert "No pooling drops" not in found.note


def test_predictors_constant_within_levels_are_dropped_by_name():
    model = Model("y ~ x + w + x:w + (x | pop)", table())
    found = unpool(model.design, model.design.block())
    assert found.dropped == ("w", "x:w")
    assert found.kept == ()
    only = Model("y ~ x + z + w + (1 | pop)", table())
    assert unpool(only.design, only.design.block()).dropped == ("w",)


def test_levels_have_the_prior_of_the_common_coefficient():
    given = {"x": hm.Prior("Normal", mu=0, sigma=2)}
    model = Model("y ~ x + z + (x | pop)", table(), priors=given)
    found = unpool(model.design, model.design.block())
    priors = unpooled_priors(found, model)
    inside = model.priors["x"].inside
    assert [p.inside for p in priors.beta[1:10:2]] == [inside] * 5
    assert priors.beta[0].inside == model.priors["Intercept"].inside
    assert priors.beta[-1].inside == model.priors["z"].inside
    assert priors.intercept is None


def test_the_finest_of_nested_factors():
    design = Model("y ~ (1 | pop/patch)", table()).design
    assert pooled_factor(design, None).name == "pop:patch"
    assert pooled_factor(design, "pop").name == "pop"


def test_crossed_factors_must_be_named():
    design = Model("y ~ (1 | pop) + (1 | year)", table()).design
    with pytest.raises(ValueError, match="say for which grouping factor: group='pop' or 'year'"):
        pooled_factor(design, None)


def test_crossed_factors_become_sums_to_zero():
    design = Model("y ~ (1 | pop) + (1 | year)", table()).design
    found = unpool(design, design.block("pop"))
    assert len(found.design.terms) == 5 + 5
    last = found.design.common.values[design.block("year").index == 5, 5:]
    assert (last == -1).all()
    full = np.column_stack([found.design.common.values])
    assert np.linalg.matrix_rank(full) == 10
