"""Columns of other types: dates, spans, decimals, Arrow's; and splines beyond their knots."""

import datetime
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from made_up import random_posterior
from numpy.testing import assert_allclose

import hiermodels as hm
from hiermodels.errors import DataError, ExtrapolationWarning, FormulaError

N = 60
X, NOISE = np.random.default_rng(0).normal(size=(2, N)).round(2)


def table(**columns) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"y": X + 1 + NOISE, "x": X, "g": np.repeat([f"L{k:02}" for k in range(12)], 5)}
    )
    return frame.assign(**columns)


def days() -> pd.DatetimeIndex:
    return pd.date_range("2020-02-20", periods=N, freq="D")


NOT_NUMBERS = {
    "dates": days(),
    "dates of a zone": days().tz_localize("Europe/Vienna"),
    "dates of Python": days().date,
    "dates of pyarrow": pd.Series(days().date, dtype="date32[pyarrow]"),
    "text": days().strftime("%Y-%m-%d"),
    "text with a time": days().strftime("%Y-%m-%d 12:30"),
    "datetimes of Python": pd.Series(days().to_pydatetime(), dtype=object),
    "spans": pd.to_timedelta(np.arange(N), unit="D"),
    "spans of Python": pd.Series(pd.to_timedelta(np.arange(N), unit="D")).astype(object),
    "periods": pd.period_range("2020-02-20", periods=N, freq="D"),
}


@pytest.mark.parametrize("kind", NOT_NUMBERS)
@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ 1 + (x | g)", "y ~ I(x*2) + (1 | g)"])
def test_the_repair_of_dates_makes_days(kind, formula):
    data = table(x=NOT_NUMBERS[kind])
    with pytest.raises(FormulaError, match="'x'") as error:
        hm.Model(formula, data)
    repair = str(error.value).splitlines()[-1].partition(": ")[2].partition("; or")[0]
    exec(repair, {"data": data, "pandas": pd})  # as the user types it
    assert_allclose(data["x"], np.arange(N))
    design = hm.Model("y ~ x + (1 | g)", data).design
    assert_allclose(design.common.values[:, 0], np.arange(N))


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([datetime.time(k % 24, 30) for k in range(N)], "times of day"),
        (X + 1j, "complex numbers"),
        ([b"a", b"b"] * (N // 2), "bytes"),
        ([[1, 2]] * N, "values of the type list, such as \\[1, 2\\]"),
    ],
)
@pytest.mark.parametrize("column", ["x", "y"])
def test_other_types_are_told_in_one_sentence(column, values, what):
    told = f"column '{column}' holds {what} .*; a formula takes numbers"
    with pytest.raises(FormulaError, match=told):
        hm.Model("y ~ x + (1 | g)", table(**{column: values}))


DATES = [
    "2020-01-05 2020-02-05 2021-03-11",
    "5.1.2020 17.2.2020 1.3.2020",
    "1/31/20 2/28/20 3/31/20 4/30/20",
    "2020/01/05 2020/02/05 2020/3/5",
    "5-Jan-2020 6-Feb-2020 7-Mar-2020",
    "2020-01-05 2020-02-05 2021-03-11 2021-03-12 unknown",
]


@pytest.mark.parametrize("text", DATES)
def test_text_that_is_dates_is_told(text):
    data = table(x=np.resize(text.split(" "), N))
    with pytest.raises(FormulaError, match=r"is text with [345] dates: each would have"):
        hm.Model("y ~ x + (1 | g)", data)
    assert len(hm.Model("y ~ C(x) + (1 | g)", data).design.terms) == len(text.split(" ")) - 1


NO_DATES = [
    ("2020-01-05", "2021-01-05"),  # two conditions
    ("2008-09", "2009-10", "2010-11"),  # seasons
    ("1-2", "3-4", "5-6"),
    ("1.2.1", "1.2.2", "1.3.0"),  # versions
    ("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    ("may", "march", "august"),
    ("10 mg", "20 mg", "control"),
    ("A-01-1", "A-02-1", "B-01-1"),
    ("0664-12-3456", "0664-12-3457", "0664-12-3458"),
    ("12/24", "11/24", "10/24"),
    ("may 5", "may 6", "may 7"),
    ("12-34-567", "12-34-568", "12-34-569"),
]


@pytest.mark.parametrize("labels", NO_DATES)
def test_other_text_is_labels(labels):
    design = hm.Model("y ~ x + (1 | g)", table(x=np.resize(labels, N))).design
    assert len(design.terms) == len(labels) - 1


@pytest.mark.parametrize(
    "kind", ["dates", "dates of Python", "text", "spans", "periods", "dates of pyarrow"]
)
def test_dates_are_labels_of_a_grouping_factor_and_in_C(kind):
    values = pd.Series(NOT_NUMBERS[kind])
    data = table(d=values.iloc[np.repeat(np.arange(12), 5)].reset_index(drop=True))
    assert hm.Model("y ~ x + (1 | d)", data).design.blocks[0].n_levels == 12
    within = hm.Model("y ~ within(x, d) + (1 | g)", data).design.common.values[:, 0]
    means = pd.Series(X).groupby(np.repeat(np.arange(12), 5)).transform("mean")
    assert_allclose(within, X - means, atol=1e-12)


EXACT = {
    "decimals": [Decimal(str(v)) for v in X],
    "fractions": [Fraction(str(v)) for v in X],
    "a mixture": [Decimal(str(v)) if k % 2 else float(v) for k, v in enumerate(X)],
}


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("column", ["x", "y"])
def test_exact_numbers_are_numbers(kind, column):
    other = {"y": "x", "x": "y"}[column]
    data = table(**{column: EXACT[kind], other: NOISE})
    design = hm.Model("y ~ x + (1 | g)", data).design
    found = design.common.values[:, 0] if column == "x" else design.response
    assert_allclose(found, X, atol=1e-12)
    new = random_posterior(hm.Model("y ~ x + (1 | g)", data)).predict(data.head(3))
    assert len(new) == 3


def test_missing_decimals_are_missing():
    values = [*EXACT["decimals"]]
    values[3], values[7], values[9] = None, Decimal("NaN"), pd.NA
    with pytest.warns(hm.MissingDataWarning, match="3 in 'x'"):
        design = hm.Model("y ~ x + (1 | g)", table(x=values)).design
    assert_allclose(design.common.values[:, 0], np.delete(X, [3, 7, 9]))


def test_ids_that_are_decimals_keep_all_digits():
    """Beyond 2^53 two would become one as floats."""
    ids = [Decimal(2**60 + k) for k in np.repeat(range(12), 5).tolist()]
    block = hm.Model("y ~ x + (1 | g)", table(g=ids)).design.blocks[0]
    assert block.levels == tuple(2**60 + k for k in range(12))
    pa = pytest.importorskip("pyarrow")
    arrow = pd.array(ids, dtype=pd.ArrowDtype(pa.decimal128(38, 0)))
    block = hm.Model("y ~ x + (1 | g)", table(g=arrow)).design.blocks[0]
    assert block.levels == tuple(2**60 + k for k in range(12))


def arrow_dictionary(values) -> pd.Series:
    pa = pytest.importorskip("pyarrow")
    array = pa.array(list(values)).dictionary_encode()
    return pd.Series(array, dtype=pd.ArrowDtype(array.type))


def test_dictionaries_of_arrow_are_labels():
    pa = pytest.importorskip("pyarrow")
    plain = table(x=np.resize(["a", "b"], N))
    wanted = hm.Model("y ~ x + (1 | g)", plain).design
    coded = plain.assign(x=arrow_dictionary(plain["x"]), g=arrow_dictionary(plain["g"]))
    arrow = pa.table(
        {
            "y": plain["y"],
            "x": pa.array(plain["x"].tolist()).dictionary_encode(),
            "g": pa.array(plain["g"].tolist()).cast(pa.large_string()).dictionary_encode(),
        }
    )
    for data in (coded, arrow):
        design = hm.Model("y ~ x + (1 | g)", data).design
        assert design.terms == wanted.terms
        assert design.blocks[0].levels == wanted.blocks[0].levels
        assert_allclose(design.common.values, wanted.common.values)
    fit = random_posterior(hm.Model("y ~ x + (1 | g)", coded))
    asked = [fit.predict(rows.head(3), target="group") for rows in (coded, plain)]
    assert_allclose(asked[0]["estimate"], asked[1]["estimate"])


def test_a_dictionary_of_fractional_numbers_is_numbers():
    pa = pytest.importorskip("pyarrow")
    arrow = pa.table(
        {"y": X + NOISE, "x": pa.array(X.tolist()).dictionary_encode(), "g": table()["g"].tolist()}
    )
    for data in (table(x=arrow_dictionary(X)), arrow):
        assert_allclose(hm.Model("y ~ x + (1 | g)", data).design.common.values[:, 0], X)


@pytest.mark.parametrize("kind", ["Categorical", "Enum", "Decimal", "String"])
def test_types_of_polars(kind):
    pl = pytest.importorskip("polars")
    frame = pl.from_pandas(table())
    types = {"Categorical": pl.Categorical, "Enum": pl.Enum(sorted(set(table()["g"])))}
    if kind == "Decimal":
        frame = frame.with_columns(pl.col("x").cast(pl.Decimal(10, 2)))
    elif kind in types:
        frame = frame.with_columns(pl.col("g").cast(types[kind]))
    design = hm.Model("y ~ x + (1 | g)", frame).design
    assert_allclose(design.common.values[:, 0], X, atol=1e-12)
    assert list(design.blocks[0].levels) == list(dict.fromkeys(table()["g"]))


def test_durations_of_polars_are_told():
    pl = pytest.importorskip("polars")
    frame = pl.from_pandas(table()).with_columns(pl.duration(days=pl.int_range(N)).alias("x"))
    with pytest.raises(FormulaError, match="spans of time"):
        hm.Model("y ~ x + (1 | g)", frame)


@pytest.mark.parametrize(
    "values",
    [
        [1.0, pd.NA, 2.0],
        pd.array([1.0, None, 2.0], dtype="Float64"),
        pd.array([1, None, 2], dtype="Int64"),
        [Decimal(1), None, Decimal(2)],
        pd.array([1.0, None, 2.0], dtype="double[pyarrow]"),
    ],
)
@pytest.mark.parametrize("column", ["x", "w", "z"])
def test_a_missing_value_in_new_data_is_told(values, column):
    """Of a predictor, an offset, a slope that differs between groups."""
    data = table(w=np.abs(X) + 1, z=X**2)
    fit = random_posterior(hm.Model("y ~ x + offset(log(w)) + (z | g)", data))
    new = data.head(3).assign(**{column: values})
    with pytest.raises(DataError, match=f"newdata misses '{column}' in row 1"):
        fit.predict(new, target="group")


OFFSETS = {
    "offset(a) + offset(log(b))": lambda a, b: a + np.log(b),
    "offset(log(b)) + offset(a)": lambda a, b: a + np.log(b),
    "offset(log(a)) + offset(log(b))": lambda a, b: np.log(a) + np.log(b),
    "offset(log(a*b)) + offset(b) + offset(2)": lambda a, b: np.log(a * b) + b + 2,
}


@pytest.mark.parametrize("text", OFFSETS)
def test_offsets_are_summed_whatever_they_are_made_of(text):
    rng = np.random.default_rng(1)
    data = table(a=rng.uniform(1, 2, N), b=rng.uniform(1, 2, N))
    design = hm.Model(f"y ~ x + {text} + (1 | g)", data).design
    wanted = OFFSETS[text](data["a"], data["b"])
    assert_allclose(design.offset, wanted, rtol=1e-12)
    assert_allclose(design.offset_encoder(data.tail(4)), wanted[-4:], rtol=1e-12)


def test_a_call_of_a_call_stands_beside_one_of_a_column():
    data = table(p=np.abs(X) + 1)
    values = hm.Model("y ~ I(log(p)) + I(p) + (1 | g)", data).design.common.values
    assert_allclose(values, np.column_stack([np.log(data["p"]), data["p"]]))


def test_a_dictionary_of_unequal_lengths_is_told():
    with pytest.raises(DataError, match="'y' has 3, 'x' has 2, 'g' has 3"):
        hm.Model("y ~ x + (1 | g)", {"y": [1.0, 2, 3], "x": [1.0, 2], "g": [1, 1, 2]})
    with pytest.raises(DataError, match="'x' has shape \\(3, 2\\)"):
        hm.Model("y ~ x", {"y": [1.0, 2, 3], "x": np.ones((3, 2))})


def test_a_dictionary_of_new_rows():
    fit = random_posterior(hm.Model("y ~ x + (1 | g)", table()))
    with pytest.raises(DataError, match="'x' has 2, 'g' has 1"):
        fit.predict({"x": [1.0, 2.0], "g": ["L00"]}, target="group")
    with pytest.raises(DataError, match="'x' is one value, not a column"):
        fit.predict({"x": 1.0, "g": "L00"}, target="group")
    assert len(fit.predict({"x": [1.0, 2.0], "g": "L00"}, target="group")) == 2


SPLINES = {
    "y ~ bs(x, df=4) + (1 | g)": ([-9.0, 0.0, 9.0], 2),
    "y ~ bs(exp(x), df=4) + (1 | g)": ([-9.0, 0.0, 9.0], 2),
    "y ~ x + (bs(x, df=4) | g)": ([9.0, 0.0, 0.1], 1),
    "y ~ bs(x, df=5, lower_bound=-20, upper_bound=20) + (1 | g)": ([-19.0, 0.0, 21.0], 1),
}


@pytest.mark.parametrize("formula", SPLINES)
def test_rows_beyond_the_knots_of_a_spline_are_told(formula):
    values, beyond = SPLINES[formula]
    fit = random_posterior(hm.Model(formula, table()))
    new = table().head(3).assign(x=values)
    told = f"x.* is beyond the boundary knots of bs.*, in {beyond} of 3 rows of newdata"
    with pytest.warns(ExtrapolationWarning, match=told):
        fit.predict(new, target="group")


def test_the_warning_has_the_range_of_the_fit():
    fit = random_posterior(hm.Model("y ~ bs(x, df=4) + (1 | g)", table()))
    with pytest.warns(ExtrapolationWarning, match=f"{X.min():.4g} to {X.max():.4g}, in 1 of 1 row"):
        fit.predict({"x": [X.max() + 1], "g": ["L00"]}, target="population")


def test_nothing_is_told_within_the_knots():
    fit = random_posterior(hm.Model("y ~ bs(x, df=4) + (1 | g)", table()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.predict(fit.grid("x"), target="population")
        fit.predict(table(), target="group")
        fit.slopes("x")  # steps a little beyond the last row
