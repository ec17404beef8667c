"""What users of R, brms and patsy type: one meaning, or one line with what to type."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.errors import ArgumentError, FormulaError
from hiermodels.formula import parse
from hiermodels.habits import translate
from hiermodels.seeds import as_seed

#: What others write: what it is here.
SAME = {
    "y ~ factor(x) + (1|g)": "y ~ C(x) + (1|g)",
    "y ~ as.factor(x)*z + (1 | as.factor(g))": "y ~ C(x)*z + (1 | g)",
    "y ~ (x | factor(a):factor(b))": "y ~ (x | a:b)",
    "y ~ C(f, Treatment('b'))": "y ~ T(f, ref='b')",
    "y ~ C(f, Treatment(reference='b'))": "y ~ T(f, ref='b')",
    "y ~ C(f, Treatment)": "y ~ C(f)",
    'y ~ relevel(f, ref = "b")': 'y ~ T(f, ref="b")',
    "y ~ relevel(factor(f), 'b') : x": "y ~ T(f, ref='b') : x",
    "y ~ C(f, Sum)": "y ~ S(f)",
    "y ~ C(factor(f), contr.sum)": "y ~ S(f)",
    "cbind(dead, alive) ~ x": "p(dead, dead + alive) ~ x",
    "cbind(dead, total - dead) ~ x": "p(dead, total) ~ x",
    "y | trials(n) ~ x": "p(y, n) ~ x",
    "y ~ x + I(x^2)": "y ~ x + I(x**2)",
    "log(y^2) ~ poly(x^3, 2)": "log(y**2) ~ poly(x**3, 2)",
    "y ~ (a + b)^2": "y ~ (a + b)**2",
    "y ~ us(1 + x | g)": "y ~ (1 + x | g)",
    "y ~ diag(1 + x | g)": "y ~ (1 + x || g)",
    "y ~ (1 | gr(g))": "y ~ (1 | g)",
    "y ~ C(x) + T(f, ref='b') + S(h) + (x || g)": "y ~ C(x) + T(f, ref='b') + S(h) + (x || g)",
    "`my y` ~ `a^b`": "`my y` ~ `a^b`",
}

#: What has another meaning, or none yet: the line to type, or the package that has it.
OTHER = {
    "y ~ x**2": "the square of a column is I(x**2)",
    "y ~ x^2*z": "the square of a column is I(x**2)",
    "y ~ C(f, Helmert)": "contrasts Helmert are not read",
    "y ~ factor(f, levels = c('b', 'a'))": "T(f, ref='b')",
    "y ~ C(f, levels=['b', 'a'])": "pandas.Categorical",
    "y ~ (1 | gr(g, cov = A))": "brms or MCMCglmm has it",
    "y ~ (1 | mm(a, b))": "multiple membership, is not here yet",
    "y ~ ar1(t + 0 | g)": "glmmTMB has it",
    "y ~ s(x)": "a spline with fixed knots is bs(x, df=4)",
    "y ~ cbind(a, b)": "cbind() stands alone before the '~'",
    "y | cens(c) ~ x": "censored responses are not here yet",
    "y | se(s, sigma = TRUE) ~ x": "the name of a column and nothing else",
    "y | weights(1 / v) ~ x": "hm.fit(..., weights=values)",
    "y | g ~ x": "a group term stands after the '~'",
}


@pytest.mark.parametrize("text", SAME)
def test_one_meaning(text: str) -> None:
    assert translate(text).text == SAME[text]
    parse(text)


@pytest.mark.parametrize("text", OTHER)
def test_another_meaning_is_told(text: str) -> None:
    with pytest.raises(FormulaError) as told:
        parse(text)
    assert OTHER[text] in str(told.value)
    assert "^" in str(told.value).splitlines()[2]


def test_columns_behind_the_bar_are_arguments() -> None:
    formula = parse("y | se(s) + weights(`my w`) ~ x + (1 | g)")
    assert (formula.text, formula.se, formula.weights) == ("y ~ x + (1 | g)", "s", "my w")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 60
    frame = pd.DataFrame({"g": np.repeat(np.arange(6), 10), "f": np.tile(["a", "b", "c"], 20)})
    frame["x"], frame["y"] = rng.normal(size=(2, n))
    frame["s"], frame["w"] = 0.5 + rng.uniform(size=n), np.tile([1, 2], 30)
    frame["total"], frame["dead"] = 10, rng.binomial(10, 0.4, n)
    frame["alive"] = frame["total"] - frame["dead"]
    return frame


def test_successes_and_failures_are_successes_of_trials(data: pd.DataFrame) -> None:
    ours = hm.Model("dead / total ~ x", data, family="binomial").design
    for text in ("cbind(dead, alive) ~ x", "dead | trials(total) ~ x"):
        theirs = hm.Model(text, data, family="binomial").design
        assert theirs.response_name == "dead"
        np.testing.assert_array_equal(theirs.response, ours.response)
        np.testing.assert_array_equal(theirs.trials, ours.trials)


def test_additions_are_the_arguments(data: pd.DataFrame) -> None:
    both = hm.Model("y | se(s) + weights(w) ~ x", data).design
    np.testing.assert_array_equal(both.se, data["s"])
    np.testing.assert_array_equal(both.weights, data["w"])
    with pytest.raises(FormulaError, match="give one"):
        hm.Model("y | weights(w) ~ x", data, weights="w")


def test_a_reference_of_ones_choice(data: pd.DataFrame) -> None:
    """Against the dummies that R's relevel() makes."""
    for text in ("y ~ relevel(f, ref = 'b')", "y ~ C(f, Treatment('b'))"):
        design = hm.Model(text, data).design
        labels = [name.rpartition("[")[2].rstrip("]") for name in design.terms]
        assert labels == ["a", "c"]
        expected = np.column_stack([data["f"] == label for label in labels])
        np.testing.assert_array_equal(design.common.values, expected)


def test_sum_contrasts(data: pd.DataFrame) -> None:
    """As R's contr.sum: the last level is minus one in every column."""
    values = hm.Model("y ~ C(f, contr.sum)", data).design.common.values
    assert {tuple(row) for row in values} == {(1.0, 0.0), (0.0, 1.0), (-1.0, -1.0)}


def test_formula_and_data_in_either_order(data: pd.DataFrame) -> None:
    assert str(hm.Model(data, "y ~ x").formula) == "y ~ x"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"iter": 2000}, "draws= are kept of each chain"),
        ({"REML": True}, "a posterior has no REML"),
        ({"randomseed": 1}, "Did you mean 'random_seed'?"),
        ({"seed": 1, "random_seed": 2}, "give one of them"),
        ({"control": {"adapt_delta": 0.9}}, "target_accept=0.95"),
    ],
    ids=str,
)
def test_arguments_of_others_are_told(
    data: pd.DataFrame, given: dict[str, object], told: str
) -> None:
    with pytest.raises(ArgumentError, match=told.replace("?", r"\?")):
        hm.fit("y ~ x", data, **given)


def test_the_same_argument_by_another_name(data: pd.DataFrame) -> None:
    quick = {"draws": 20, "chains": 1, "progressbar": False}
    ours = hm.fit("y ~ x", data, random_seed=5, tune=150, **quick)
    theirs = hm.fit("y ~ x", data, seed=5, warmup=150, **quick)
    np.testing.assert_array_equal(ours.draws.beta, theirs.draws.beta)


def test_seeds() -> None:
    assert as_seed(7) == as_seed(np.int32(7)) == 7
    assert as_seed([1, 2]) == as_seed((1, 2)) == as_seed(np.random.SeedSequence([1, 2]))
    assert as_seed([1, 2]) != as_seed([2, 1])
    generator = np.random.default_rng(3)
    assert as_seed(generator) != as_seed(generator)
    assert as_seed(np.random.default_rng(3)) == as_seed(np.random.default_rng(3))
    assert 0 <= as_seed(2**70) < 2**63
    assert as_seed(None) != as_seed(None)


@pytest.mark.parametrize("given", [-1, "1", 1.5, True, [], [1, -1], {}], ids=str)
def test_what_is_no_seed(given: object) -> None:
    with pytest.raises(ArgumentError, match="it is a whole number from 0, a list of them"):
        as_seed(given)
