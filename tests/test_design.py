"""Formula and data into matrices, on the data of `made_up.table`."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from made_up import table

from hiermodels.data import select_rows
from hiermodels.design import build_design, coarser, nesting_chains, new_common
from hiermodels.errors import DataError, FormulaError, MissingDataWarning, UnknownNameError
from hiermodels.families import family
from hiermodels.formula import parse


def design(formula, data=None, *, missing="drop", **extra):
    parsed = parse(formula)
    rows = select_rows(
        parsed,
        table() if data is None else data,
        missing=missing,
        extra={f"_{name}_": value for name, value in extra.items()},
    )
    return build_design(parsed, rows, family("gaussian"))


#: formula: (common terms, {factor: (terms, parts)})
STRUCTURES = {
    "y ~ x + (1 | pop)": ("x", {"pop": (["Intercept"], ((0,),))}),
    "y ~ x + (x | pop)": ("x", {"pop": (["Intercept", "x"], ((0, 1),))}),
    "y ~ x + (0 + x | pop)": ("x", {"pop": (["x"], ((0,),))}),
    "y ~ x + (x || pop)": ("x", {"pop": (["Intercept", "x"], ((0,), (1,)))}),
    "y ~ (1 | pop) + (0 + x + z | pop)": (
        "",
        {"pop": (["Intercept", "x", "z"], ((0,), (1, 2)))},
    ),
    "y ~ (1 | pop/patch)": (
        "",
        {"pop": (["Intercept"], ((0,),)), "pop:patch": (["Intercept"], ((0,),))},
    ),
    "y ~ (1 | pop:patch)": ("", {"pop:patch": (["Intercept"], ((0,),))}),
    "y ~ (1 | pop) + (1 | year)": (
        "",
        {"pop": (["Intercept"], ((0,),)), "year": (["Intercept"], ((0,),))},
    ),
    "y ~ x*z + (x + z | pop)": (
        "x z x:z",
        {"pop": (["Intercept", "x", "z"], ((0, 1, 2),))},
    ),
    "y ~ f + (f | pop)": (
        "f[low] f[mid]",
        {"pop": (["Intercept", "f[low]", "f[mid]"], ((0, 1, 2),))},
    ),
    "y ~ (0 + f || pop)": (
        "",
        {"pop": (["f[high]", "f[low]", "f[mid]"], ((0,), (1,), (2,)))},
    ),
    "y ~ x*w + (x | pop)": ("x w x:w", {"pop": (["Intercept", "x"], ((0, 1),))}),
    "y ~ 0 + x + (1 | pop)": ("x", {"pop": (["Intercept"], ((0,),))}),
}


@pytest.mark.parametrize("formula", STRUCTURES)
def test_structure(formula):
    terms, factors = STRUCTURES[formula]
    found = design(formula)
    assert found.terms == tuple(terms.split())
    assert {b.name: (list(b.terms), b.parts) for b in found.blocks} == factors
    assert found.intercept == ("~ 0" not in formula)


def test_only_cells_that_occur_are_levels():
    data = table()
    data = data[~((data["pop"] == "P0") & (data["patch"] == "b"))]
    block = design("y ~ (1 | pop/patch)", data).block("pop:patch")
    cells = sorted({f"{a}:{b}" for a, b in zip(data["pop"], data["patch"], strict=True)})
    assert list(block.levels) == cells
    assert "P0:b" not in block.levels
    assert [block.levels[i] for i in block.index] == [
        f"{a}:{b}" for a, b in zip(data["pop"], data["patch"], strict=True)
    ]


def test_labels_that_would_collide_stay_apart():
    data = table()
    data["pop"] = np.where(data["pop"] == "P0", "u:v", "u")
    data["patch"] = np.where(data["pop"] == "u:v", "w", "v:w")
    assert design("y ~ (1 | pop:patch)", data).block().levels == (
        "('u', 'v:w')",
        "('u:v', 'w')",
    )


def test_labels_keep_their_type_and_rows_their_index():
    data = table().set_index(pd.Index([f"row {i}" for i in range(120)]))
    found = design("y ~ (1 | year)", data)
    assert found.block().levels == (2000, 2001, 2002, 2003, 2004, 2005)
    assert list(found.index[:2]) == ["row 0", "row 1"]


def test_categories_keep_the_order_of_the_user():
    data = table()
    data["f"] = pd.Categorical(data["f"], categories=["low", "mid", "high", "never"])
    assert design("y ~ f + (1 | pop)", data).terms == ("f[mid]", "f[high]")
    assert design("y ~ (1 | f)", data).block().levels == ("low", "mid", "high")


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, dict])
def test_other_tables_give_the_same(convert):
    data = table()
    given = convert(data)
    one, two = design("y ~ x*f + (x | pop)", data), design("y ~ x*f + (x | pop)", given)
    np.testing.assert_array_equal(one.common.values, two.common.values)
    assert one.block().levels == two.block().levels


def test_lazy_polars_is_collected():
    assert design("y ~ x + (x | pop)", pl.from_pandas(table()).lazy()).n == 120


def test_nullable_columns():
    data = table().astype({"year": "Int64", "x": "Float64"})
    data.loc[3, "x"] = pd.NA
    with pytest.warns(MissingDataWarning):
        found = design("y ~ x + (1 | year)", data)
    assert found.n == 119
    assert found.block().levels[0] == 2000


def test_centring_and_scaling():
    data = table()
    x = data["x"].to_numpy()
    both = design("y ~ x + f + (x + f | pop)", data)
    np.testing.assert_allclose(both.common.center[0], x.mean())
    np.testing.assert_allclose(both.common.scale, [x.std(), 1, 1])
    assert (both.common.center[1:] > 0).all()  # dummies are centred in X
    block = both.block()
    np.testing.assert_allclose(block.columns.center, [0, x.mean(), 0, 0])  # and not in a block
    np.testing.assert_allclose(block.columns.scale, [1, x.std(), 1, 1])
    for formula in ("y ~ x + (x || pop)", "y ~ x + (0 + x | pop)"):
        assert (design(formula, data).block().columns.center == 0).all()
    assert (design("y ~ 0 + x + (1 | pop)", data).common.center == 0).all()


def test_transform_carries_effects_to_the_scale_of_the_data():
    block = design("y ~ x + z + (x + z | pop)").block()
    b = np.random.default_rng(0).normal(size=len(block.terms))
    np.testing.assert_allclose(
        block.columns.standardised @ b, block.columns.values @ (block.transform @ b), rtol=1e-12
    )


def test_within_and_between():
    data = table()
    found = design("y ~ within(x, pop) + between(x, pop) + (1 | pop)", data)
    means = data.groupby("pop")["x"].transform("mean").to_numpy()
    np.testing.assert_allclose(found.common.values[:, 1], means)
    np.testing.assert_allclose(found.common.values[:, 0], data["x"] - means)
    new = pd.DataFrame({"x": [1.0, 2.0, 4.0], "pop": ["P1", "new", "new"]})
    columns = new_common(found, new)
    known = data.loc[data["pop"] == "P1", "x"].mean()  # remembered, not 1.0
    np.testing.assert_allclose(columns[:, 1], [known, 3, 3])
    np.testing.assert_allclose(columns[:, 0], [1 - known, -1, 1])


def test_within_cells_of_two_factors():
    data = table()
    found = design("y ~ within(x, pop, patch) + (1 | pop/patch)", data)
    means = data.groupby(["pop", "patch"])["x"].transform("mean").to_numpy()
    np.testing.assert_allclose(found.common.values[:, 0], data["x"] - means)


def test_transforms_are_remembered_for_new_data():
    data = table()
    found = design("y ~ scale(x) + poly(z, 2) + bs(x, df=4) + (1 | pop)", data)
    np.testing.assert_allclose(new_common(found, data.iloc[:5]), found.common.values[:5])


def test_transforms_on_both_sides_of_the_bar():
    found = design("np.log(y) ~ np.log(x) + (center(x) + np.log(x) | pop)")
    np.testing.assert_allclose(found.response, np.log(table()["y"]))
    assert found.block().terms == ("Intercept", "center(x)", "np.log(x)")


def test_offset_is_no_column():
    found = design("y ~ x + offset(log(count)) + (1 | pop)")
    assert found.terms == ("x",)
    np.testing.assert_allclose(found.offset, np.log(table()["count"]))


def test_nesting_is_found():
    found = design("y ~ (1 | pop/patch) + (1 | year)")
    assert [[b.name for b in chain] for chain in nesting_chains(found)] == [["pop", "pop:patch"]]
    assert [b.name for b in coarser(found, found.block("pop:patch"))] == ["pop"]
    assert coarser(found, found.block("year")) == ()


def test_unknown_factor_lists_the_valid_ones():
    found = design("y ~ (1 | pop/patch)")
    with pytest.raises(UnknownNameError) as error:
        found.block("pip")
    assert (
        str(error.value) == "no grouping factor 'pip'. Valid: pop, pop:patch. Did you mean 'pop'?"
    )
    for part in ("patch", "patch:pop"):
        with pytest.raises(UnknownNameError, match="Did you mean 'pop:patch'"):
            found.block(part)


def with_column(name, values):
    data = table()
    data[name] = values
    return data


def some_nan(name, rows):
    data = table().astype({name: float})
    data.loc[rows, name] = np.nan
    return data


#: formula, data, error, the whole message
FAULTS = {
    "unknown column": (
        "y ~ x + (1 | popp)",
        None,
        FormulaError,
        "no column 'popp' in the data\n    y ~ x + (1 | popp)\n                 ^^^^\n"
        "columns: y, x, z, w, f, pop, patch, year, count, error. Did you mean 'pop'?",
    ),
    "measurement as factor": (
        "y ~ (1 | x)",
        with_column("x", np.linspace(0, 1, 120)),
        DataError,
        "the grouping factor 'x' has values such as 0.00840336: a measurement, not a label. "
        "Use it as a predictor, or cut it into classes first.",
    ),
    "one row in every level": (
        "y ~ x + (1 | id)",
        with_column("id", np.arange(120)),
        DataError,
        "every level of 'id' has one row: the sd of 'id' and the residual sd cannot be told apart. "
        "Leave the term out, group by a column with repeats, or give known standard errors "
        "with se=.",
    ),
    "constant response": (
        "y ~ x + (1 | pop)",
        with_column("y", 3.0),
        DataError,
        "the response 'y' is 3 in all 120 rows: a model has nothing to explain. "
        "Check that it is the right column.",
    ),
    "infinite value": (
        "y ~ x + (1 | pop)",
        with_column("x", [np.inf, *range(118), -np.inf]),
        DataError,
        "infinite values in 'x', rows 0, 119. Correct them, or make them missing.",
    ),
    "nothing left": (
        "y ~ x + (1 | pop)",
        with_column("x", np.nan),
        DataError,
        "no complete row is left of 120: missing values: 120 in 'x'. "
        "Fill in or leave out a column that is mostly missing.",
    ),
    "no rows": ("y ~ x", table().iloc[:0], DataError, "the data have no rows"),
    "one level": (
        "y ~ x + (1 | pop)",
        with_column("pop", "only"),
        DataError,
        "the grouping factor 'pop' has one level in these rows, so nothing differs between "
        "levels. Leave out (1 | pop), or check that the right rows were kept.",
    ),
    "text as response": (
        "f ~ x",
        None,
        DataError,
        "the response 'f' is not a number in each row. Make a numeric column of it first.",
    ),
    "constant predictor": (
        "y ~ x + (1 | pop)",
        with_column("x", 2.0),
        DataError,
        "'x' has the same value in every row: it cannot be told from the intercept. Leave it out.",
    ),
    "logarithm of zero": (
        "y ~ log(x) + (1 | pop)",
        with_column("x", np.arange(120.0)),
        DataError,
        "'log(x)' is not a finite number in row 0, such as the logarithm of a zero",
    ),
    "intercept twice": (
        "y ~ (x | pop) + (1 | pop)",
        None,
        FormulaError,
        "Intercept of 'pop' stands in two group terms\n    y ~ (x | pop) + (1 | pop)\n"
        "        ^^^^^^^^^^^^^^^^^^^^^\n"
        "leave it out of one of them: (0 + x | site) has no intercept",
    ),
    "nothing before the bar": (
        "y ~ (0 | pop)",
        None,
        FormulaError,
        "no column is left before the bar\n    y ~ (0 | pop)\n        ^^^^^^^^^\n"
        "(1 | site) lets the intercept differ",
    ),
    "not a table": (
        "y ~ x",
        3,
        DataError,
        "data is a int; give a pandas, polars or pyarrow table, or a dictionary of columns. "
        "A file is read with pandas.read_csv first.",
    ),
    "a name of two columns": (
        "y ~ x",
        table().assign(z=1.0).rename(columns={"z": "x"}),
        DataError,
        "more than one column is called 'x': it is not clear which is meant. "
        "Rename or leave out all but one.",
    ),
}


def test_columns_that_are_not_used_may_share_a_name():
    data = table().assign(u=1.0, v=2.0).rename(columns={"v": "u"})
    assert list(design("y ~ x", data).rows.frame) == ["y", "x"]


@pytest.mark.parametrize("fault", FAULTS)
def test_message(fault):
    formula, data, kind, message = FAULTS[fault]
    with pytest.raises(kind) as error:
        design(formula, data)
    assert str(error.value) == message


def test_missing_rows_are_counted_once():
    data = some_nan("x", [1, 2, 3])
    data.loc[[3, 4], "z"] = np.nan
    with pytest.warns(MissingDataWarning) as caught:
        found = design("y ~ x + z + (1 | pop)", data)
    assert [str(w.message) for w in caught] == [
        "4 of 120 rows dropped, missing values: 3 in 'x', 2 in 'z'"
    ]
    assert found.n == 116
    assert 3 not in found.index


def test_missing_rows_can_be_refused():
    with pytest.raises(DataError) as error:
        design("y ~ x + (1 | pop)", some_nan("x", [1, 2]), missing="error")
    told = "missing values: 'x' in rows 1, 2. missing='drop' fits the complete rows."
    assert str(error.value) == told
    with pytest.raises(DataError, match="valid: 'drop', 'error'"):
        design("y ~ x", missing="ignore")


def test_weights_and_standard_errors_by_name_or_value():
    data = table()
    by_name = design("y ~ x + (1 | pop)", data, weights="count")
    np.testing.assert_array_equal(by_name.weights, data["count"])
    by_value = design("y ~ x + (1 | pop)", data, se=data["error"].to_numpy())
    np.testing.assert_array_equal(by_value.se, data["error"])


def test_one_row_per_level_is_fine_with_known_errors():
    data = with_column("id", np.arange(120))
    assert design("y ~ (1 | id)", data, se="error").block().n_levels == 120


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"weights": np.full(120, -1.0)}, "weights are counts of equal rows"),
        ({"se": np.zeros(120)}, "standard errors are positive"),
        ({"se": np.ones(3)}, r"se has shape \(3,\); it needs one value for each of 120 rows"),
        ({"weights": "nope"}, "weights='nope' is no column"),
    ],
)
def test_bad_weights_and_errors(extra, message):
    with pytest.raises(DataError, match=message):
        design("y ~ x", **extra)
