"""Responses of each family read from the formula, and formulas of the family's own parameters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up import table

from hiermodels.errors import DataError, FormulaError
from hiermodels.fitting import Model
from hiermodels.formula import parse, parse_predictor


def rows(*, seed: int = 3, n: int = 90) -> pd.DataFrame:
    """`made_up.table` with responses of all kinds."""
    rng = np.random.default_rng(seed)
    data = table(n=n)
    total = rng.integers(3, 9, n)
    return data.assign(
        total=total,
        alive=rng.binomial(total, 0.4),
        dead=lambda d: d["total"] - d["alive"],
        seen=rng.integers(0, 2, n),
        share=rng.uniform(0.01, 0.99, n),
        percent=lambda d: 100 * d["share"],
        effort=rng.uniform(0.5, 20, n),
        rating=rng.integers(1, 5, n),
        grade=pd.Categorical(
            np.array(["low", "mid", "high"])[rng.integers(0, 3, n)],
            categories=["low", "mid", "high", "never"],
            ordered=True,
        ),
        outcome=np.array(["no", "yes"])[rng.integers(0, 2, n)],
    )


#: response: successes and trials, or None.
QUOTIENTS = {
    "y": None,
    "a / b": ("a", "b"),
    "p(a, b)": ("a", "b"),
    "p(a, 10)": ("a", "10"),
    "a / (a + b)": ("a", "(a + b)"),
    "(a - b) / c": ("(a - b)", "c"),
    "a + b / c": None,
    "log(a / b)": None,
    "a / b / c": None,
    "`my a` / `my b`": ("`my a`", "`my b`"),
}


@pytest.mark.parametrize("response", QUOTIENTS)
def test_successes_and_trials_in_the_formula(response):
    assert parse(f"{response} ~ x").quotient == QUOTIENTS[response]


@pytest.mark.parametrize(
    "formula", ["p(a) ~ x", "p(a, b, c) ~ x", "y ~ p(a, b)", "p(a, b) + y ~ x"]
)
def test_p_has_two_arguments_and_stands_alone(formula):
    with pytest.raises(FormulaError):
        Model(formula, {"a": [1.0, 2], "b": [3.0, 4], "c": [1.0, 1], "y": [1.0, 2], "x": [1.0, 2]})


@pytest.mark.parametrize("response", ["alive / total", "p(alive, total)", "alive / (alive + dead)"])
@pytest.mark.parametrize("family", ["binomial", "betabinomial"])
def test_trials(response, family):
    data = rows()
    design = Model(f"{response} ~ x + (1 | pop)", data, family=family).design
    np.testing.assert_array_equal(design.response, data["alive"])
    np.testing.assert_array_equal(design.trials, data["total"])
    assert design.response_name == "alive"


def test_one_number_of_trials_for_all_rows():
    design = Model("p(alive, 10) ~ x", rows(), family="binomial").design
    assert (design.trials == 10).all()


def test_a_quotient_is_a_number_for_other_families():
    data = rows()
    design = Model("percent / 100 ~ x", data, family="beta").design
    np.testing.assert_allclose(design.response, data["share"])
    assert design.response_name == "percent / 100"
    assert design.trials is None


def test_p_is_for_families_with_trials():
    with pytest.raises(FormulaError, match="family 'poisson' has no trials"):
        Model("p(alive, total) ~ x", rows(), family="poisson")


def test_binomial_of_zeros_and_ones_has_one_trial():
    design = Model("seen ~ x", rows(), family="binomial").design
    assert (design.trials == 1).all()
    with pytest.raises(DataError, match="successes / trials"):
        Model("alive ~ x", rows(), family="binomial")


@pytest.mark.parametrize("family", ["bernoulli", "binomial"])
def test_two_labels_are_failure_and_success(family):
    data = rows()
    design = Model("outcome ~ x", data, family=family).design
    assert design.categories == ("no", "yes")
    np.testing.assert_array_equal(design.response, data["outcome"] == "yes")
    design = Model("outcome ~ x", data.assign(outcome=data["seen"] == 1), family=family).design
    assert design.categories == (False, True)
    np.testing.assert_array_equal(design.response, data["seen"])


def test_three_labels_are_no_success():
    with pytest.raises(DataError, match="3 labels: low, mid, high"):
        Model("grade ~ x", rows(), family="bernoulli")


def test_ordered_categories_keep_their_order():
    data = rows()
    design = Model("grade ~ x + (1 | pop)", data, family="ordinal").design
    assert design.categories == ("low", "mid", "high", "never")
    np.testing.assert_array_equal(design.response, data["grade"].cat.codes)
    assert not design.intercept
    assert design.n_thresholds == 3
    np.testing.assert_allclose(design.common.center, data["x"].mean())


def test_whole_numbers_are_categories():
    data = rows()
    design = Model("rating ~ x", data, family="ordinal", link="probit").design
    assert design.categories == (1, 2, 3, 4)
    np.testing.assert_array_equal(design.response, data["rating"] - 1)


@pytest.mark.parametrize(
    ("formula", "told"),
    [("f ~ x", "labels without an order"), ("y ~ x", "a measurement")],
)
def test_what_is_no_ordinal_response(formula, told):
    with pytest.raises(DataError, match=told):
        Model(formula, rows(), family="ordinal")


def test_an_ordinal_model_keeps_its_intercept():
    with pytest.raises(FormulaError, match="thresholds"):
        Model("rating ~ 0 + x", rows(), family="ordinal")


def test_formulas_of_own_parameters():
    data = rows()
    model = Model(
        "count ~ x + (1 | pop)",
        data,
        family="zi_negbinomial",
        zi="~ z + offset(w) + (x | pop) + (1 | year)",
        dispersion="~ 0 + f",
    )
    zi, alpha = model.design.extras["zi"], model.design.extras["alpha"]
    assert list(model.design.extras) == ["alpha", "zi"]
    assert (zi.parameter, zi.prefix, zi.terms) == ("zi", "zi_", ("z",))
    assert [b.name for b in zi.blocks] == ["pop", "year"]
    assert zi.blocks[0].levels == model.design.blocks[0].levels
    np.testing.assert_array_equal(zi.blocks[0].index, model.design.blocks[0].index)
    np.testing.assert_allclose(zi.offset, data["w"])
    np.testing.assert_allclose(zi.common.center, data["z"].mean())
    assert not alpha.intercept
    assert alpha.terms == ("f[high]", "f[low]", "f[mid]")
    assert model.design.constants == ()
    assert [p.parameter for p in model.design.predictors] == ["", "alpha", "zi"]


@pytest.mark.parametrize(
    ("family", "parameter"),
    {"gaussian": "sigma", "student": "sigma", "gamma": "alpha", "negbinomial1": "phi"}.items(),
)
def test_what_dispersion_describes(family, parameter):
    data = rows().assign(y=lambda d: np.round(d["y"]))
    design = Model("y ~ x", data, family=family, dispersion="~ z").design
    assert list(design.extras) == [parameter]
    assert parameter not in [p.name for p in design.constants]


#: family, arguments, what is told.
REFUSED = [
    ("poisson", {"dispersion": "~ x"}, "no parameter that dispersion='~ x'"),
    ("negbinomial", {"zi": "~ x"}, "'zi_poisson'"),
    ("negbinomial", {"dispersion": "alpha ~ x"}, "no response"),
    ("negbinomial", {"dispersion": "~ nothing"}, "no column 'nothing'"),
    ("negbinomial", {"dispersion": "x"}, "needs a '~'"),
    ("poisson", {"se": "error"}, "se= is for the families gaussian and student"),
    ("gaussian", {"se": "error", "dispersion": "~ x"}, "nothing to describe"),
]


@pytest.mark.parametrize(("family", "arguments", "told"), REFUSED)
def test_formulas_that_have_no_parameter(family, arguments, told):
    with pytest.raises((FormulaError, DataError)) as error:
        Model("count ~ x + (1 | pop)", rows(), family=family, **arguments)
    assert told in str(error.value)


def test_a_parameters_formula_has_no_response():
    assert parse_predictor("~ x + (1 | g)").common == "x"
    with pytest.raises(FormulaError) as error:
        parse_predictor("zi ~ x")
    assert str(error.value) == (
        "this formula has no response: it is that of a parameter\n"
        "    zi ~ x\n"
        "    ^^\n"
        "such as ~ x + (1 | site)"
    )


@pytest.mark.filterwarnings("ignore::hiermodels.errors.MissingDataWarning")
def test_rows_that_miss_a_value_of_any_formula_are_dropped():
    data = rows()
    data.loc[4, "z"] = np.nan
    model = Model("count ~ x", data, family="zi_poisson", zi="~ z")
    assert model.design.n == len(data) - 1
    assert model.design.extras["zi"].n == model.design.n
    assert model.design.rows.missing == {"z": 1}


def test_known_errors_replace_the_scale_of_student_alone():
    design = Model("y ~ x + (1 | pop)", rows(), family="student", se="error").design
    assert [p.name for p in design.parameters] == ["nu"]


def test_offset_and_weights_with_counts():
    data = rows()
    design = Model(
        "count ~ x + offset(log(effort)) + (1 | pop)", data, family="poisson", weights="total"
    ).design
    np.testing.assert_allclose(design.offset, np.log(data["effort"]))
    np.testing.assert_array_equal(design.weights, data["total"])
