"""Labels as people have them: ids, types, dates, order, and what looks alike."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from made_up import made_up_fit, posterior, table

import hiermodels as hm
from hiermodels.data import Rows
from hiermodels.design import build_design
from hiermodels.errors import DataError, GroupingWarning, MissingDataWarning
from hiermodels.families import family
from hiermodels.findings import warn_of
from hiermodels.fitting import Model
from hiermodels.formula import parse
from hiermodels.levels import people_key
from hiermodels.nesting import find_nesting
from hiermodels.results import Fit

BIG = 2**60


def levels(labels, *, formula="y ~ 1 + (1 | g)"):
    n = len(labels)
    y = np.random.default_rng(0).normal(size=n)
    return Model(formula, pd.DataFrame({"y": y, "g": labels})).design.block().levels


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start", [2**53, BIG, 2**63, 2**64 - 5], ids=["2^53", "2^60", "2^63", "the largest"]
)
def test_ids_of_many_digits_stay_apart(start):
    ids = np.array([start + k for k in range(5)], dtype=np.uint64)
    assert levels(np.repeat(ids, 4)) == tuple(start + k for k in range(5))


def test_they_are_exact_in_the_posterior_and_the_file(tmp_path):
    data = table().assign(g=np.repeat(np.array([1, 2**63, 2**63 + 1], dtype=np.uint64), 40))
    fit = made_up_fit("y ~ x + (1 | g)", data)
    assert fit.idata["posterior"]["g"].to_numpy().tolist() == [1, 2**63, 2**63 + 1]
    with xr.open_datatree(fit.save_posterior(tmp_path / "posterior.nc")) as tree:
        assert tree["posterior"]["g"].to_numpy().tolist() == [1, 2**63, 2**63 + 1]
    fit.save(tmp_path / "fit.hm")
    assert hm.load(tmp_path / "fit.hm").ranef()["level"].tolist() == [1, 2**63, 2**63 + 1]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "Float64", "double[pyarrow]"])
def test_floats_that_have_lost_digits_are_refused(dtype):
    first = {"float32": 2**24, "float16": 2**11}.get(dtype, 2**53)
    last = [first - k for k in range(1, 6)]
    assert levels(pd.array(last * 4, dtype="float64").astype(dtype)) == tuple(sorted(last))
    with pytest.raises(DataError, match=r"'g' has numbers .* dtype=\{'g': 'string'\}"):
        levels(pd.array([first, *last] * 4, dtype="float64").astype(dtype))


@pytest.mark.parametrize("library", [pl.DataFrame, pa.table], ids=["polars", "pyarrow"])
def test_a_gap_in_another_library_leaves_ids_as_they_are(library):
    ids = [None, *(BIG + k % 5 for k in range(39))]
    data = library({"y": np.random.default_rng(0).normal(size=40).tolist(), "g": ids})
    with pytest.warns(MissingDataWarning):
        found = Model("y ~ 1 + (1 | g)", data).design.block().levels
    assert found == tuple(BIG + k for k in range(5))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([1.0, 2.0, 10.0], (1, 2, 10)),
        (["01", "1", "001"], ("001", "01", "1")),
        ([1, "1", "b"], (1, "1", "b")),
        (pd.Categorical([2.0, 1.0], categories=[2.0, 1.0]), (2, 1)),
    ],
    ids=["whole floats", "zeros in front", "a number and its text", "categories"],
)
def test_labels_are_read_as_they_stand(labels, expected):
    found = levels(pd.concat([pd.Series(labels)] * 4, ignore_index=True))
    assert found == expected
    assert [type(v) for v in found] == [type(v) for v in expected]


def test_a_number_and_its_text_are_two_in_the_posterior(tmp_path):
    data = table().assign(g=np.resize(np.array([1, "1", "b"], dtype=object), 120))
    fit = made_up_fit("y ~ x + (1 | g)", data)
    assert fit.idata["posterior"]["g"].to_numpy().tolist() == [1, "1", "b"]
    with xr.open_datatree(fit.save_posterior(tmp_path / "posterior.nc")) as tree:
        assert tree["posterior"]["g"].to_numpy().tolist() == ["1", "'1'", "'b'"]


# --- labels that are no text ----------------------------------------------------------------------

DAYS = [datetime.date(2020, 1, day) for day in (1, 2, 10)]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pd.DatetimeIndex(DAYS).as_unit("ns"), ("2020-01-01", "2020-01-02", "2020-01-10")),
        (pd.DatetimeIndex(DAYS).as_unit("s"), ("2020-01-01", "2020-01-02", "2020-01-10")),
        (DAYS, ("2020-01-01", "2020-01-02", "2020-01-10")),
        (
            pd.DatetimeIndex(["2020-01-01 12:00", "2020-01-02"]),
            ("2020-01-01 12:00:00", "2020-01-02"),
        ),
        (pd.PeriodIndex(["2020-02", "2019-11"], freq="M"), ("2019-11", "2020-02")),
        (pd.IntervalIndex.from_breaks([-10, 2, 10]), ("(-10, 2]", "(2, 10]")),
        (pd.cut([1, 50, 200], [0, 9, 99, 999]), ("(0, 9]", "(9, 99]", "(99, 999]")),
        (pd.to_timedelta([10, 2], unit="D"), ("2 days", "10 days")),
    ],
    ids=["ns", "s", "dates", "times", "periods", "intervals", "cut", "durations"],
)
def test_dates_and_intervals_are_written_as_text(labels, expected, tmp_path):
    own = pd.concat([pd.Series(labels)] * (120 // len(labels)), ignore_index=True)
    data = table().iloc[: len(own)].assign(g=own)
    fit = made_up_fit("y ~ x + (1 | g)", data)
    assert fit.design.block().levels == expected
    # the label as it was, and its text, are the level
    for column in (own, np.array(expected)[fit.design.block().index]):
        found = fit.predict(data.assign(g=column), target="group")["estimate"]
        np.testing.assert_array_equal(found, fit.predict(target="group")["estimate"])
    fit.save(tmp_path / "fit.hm")
    assert hm.load(tmp_path / "fit.hm").design.block().levels == expected
    with xr.open_datatree(fit.save_posterior(tmp_path / "posterior.nc")) as tree:
        assert tuple(tree["posterior"]["g"].to_numpy()) == expected


@pytest.mark.parametrize(("one", "other"), [((1, "a"), (1, "b")), ([1], [2])])
def test_labels_with_parts_are_refused(one, other):
    with pytest.raises(DataError, match=rf"labels of 'g' are of type {type(one).__name__}"):
        levels([one, other] * 5)


# --- labels of another type in new rows -----------------------------------------------------------


def numbered(kind):
    """A fit with groups 1, 2, 10 of one type."""
    return made_up_fit(
        "y ~ x + (1 | g)", table().assign(g=np.resize([kind(k) for k in (1, 2, 10)], 120))
    )


@pytest.mark.parametrize(
    ("fitted", "new"),
    [(int, str), (str, int), (int, float), (str, float), (str, np.int8)],
)
def test_one_is_one_whatever_its_type(fitted, new):
    fit = numbered(fitted)
    rows = table().iloc[:3]
    given = rows.assign(g=pd.Series([new(k) for k in (1, 2, 10)]))
    right = rows.assign(g=pd.Series([fitted(k) for k in (1, 2, 10)]))
    np.testing.assert_array_equal(
        fit.predict(given, target="group")["estimate"],
        fit.predict(right, target="group")["estimate"],
    )
    with pytest.raises(DataError, match="every level of g in newdata is known"):
        fit.predict(given, target="new_group")
    # a label that was not seen is a new group under both types, and the same
    unseen = [rows.assign(g=pd.Series([kind(k) for k in (1, 2, 11)])) for kind in (fitted, new)]
    np.testing.assert_array_equal(
        *(fit.predict(each, target="new_group")["estimate"] for each in unseen)
    )


@pytest.mark.parametrize(
    ("fitted", "new", "words"),
    [
        (int, "01", "'01' is text, 1 in the fit is a number.* pandas.to_numeric"),
        (int, "1.0", "'1.0' is text"),
        (lambda k: f"{k:02d}", 1, r"1 is a number, '01' in the fit is text.*map\(\{1: '01'"),
        (lambda k: f"S{k}", 1, "1 is a number, 'S1' in the fit is text"),
        (lambda k: f"S{k}", True, "True is true or false"),
    ],
)
@pytest.mark.parametrize("target", ["group", "new_group"])
def test_what_is_not_clear_is_an_error_that_says_type(fitted, new, words, target):
    fit = numbered(fitted)
    with pytest.raises(DataError, match=f"'g' is of another type .*{words}"):
        fit.predict(table().iloc[:1].assign(g=[new]), target=target)


def test_categories_of_predictors_likewise():
    data = table().assign(f=pd.Categorical(np.resize(["1", "2", "10"], 120)))
    fit = made_up_fit("y ~ f + (1 | pop)", data)
    np.testing.assert_array_equal(
        fit.predict(data.assign(f=data["f"].astype(int)), target="population")["estimate"],
        fit.predict(target="population")["estimate"],
    )
    with pytest.raises(DataError, match="'f' is '3' in newdata, which the fit has not seen"):
        fit.predict(data.iloc[:1].assign(f=3), target="population")


def test_ids_of_new_rows_that_have_lost_digits_are_refused():
    fit = made_up_fit("y ~ x + (1 | g)", table().assign(g=np.resize([BIG, BIG + 1], 120)))
    with pytest.raises(DataError, match="kept as float64"):
        fit.predict(table().iloc[:1].assign(g=[float(BIG)]), target="group")


# --- order ----------------------------------------------------------------------------------------

SORTED = [
    ["S1", "S2", "S11"],
    ["10 mg", "50 mg", "100 mg", "1,000 mg"],
    ["0.25 mg", "0.5 mg", "1 mg"],
    ["0,5 ml", "2 ml", "10,25 ml"],
    ["-10 °C", "-5 °C", "0 °C", "5 °C"],
    ["\u221210", "-2", "0.5", "3"],
    ["a-1", "a-2", "a-10"],
    ["0-4", "5-9", "10-14", "65+"],
    ["<18", "18-65", ">65"],
    ["2020-01-09", "2020-01-10", "2020-12-01"],
    ["1.2.9", "1.2.10"],
    ["v1.9", "v1.10"],
    ["apple", "Banana", "cherry"],
    ["Nuss", "Öl", "Pilz"],
    ["001", "01", "1", "2"],
    ["A", "a", "B", "b"],
    ["9" * 5000, "1" + "0" * 5000],
]


@pytest.mark.parametrize("order", SORTED, ids=lambda order: order[0][:9])
def test_labels_sort_as_people_sort(order):
    rng = np.random.default_rng(3)
    for _ in range(5):
        assert sorted(rng.permutation(np.array(order, dtype=object)), key=people_key) == order


def test_levels_and_categories_have_this_order():
    names = np.resize(["S11", "S2", "S1"], 120)
    dose = np.repeat(["100 mg", "50 mg", "10 mg"], 40)
    fit = made_up_fit("y ~ dose + (1 | site)", table().assign(site=names, dose=dose))
    assert fit.design.block().levels == ("S1", "S2", "S11")
    assert fit.design.terms == ("dose[50 mg]", "dose[100 mg]")
    assert fit.fixef().note == "Reference: dose = 10 mg."
    assert "Reference: dose = 10 mg." in str(fit.summary())
    assert fit.marginal_means("dose")["dose"].tolist() == ["10 mg", "50 mg", "100 mg"]
    # the columns are those of the categories, by hand
    np.testing.assert_array_equal(
        fit.design.common.values,
        np.column_stack([dose == "50 mg", dose == "100 mg"]),
    )


def test_an_order_of_the_user_is_kept():
    given = pd.Categorical(np.resize(["S11", "S2", "S1"], 120), categories=["S2", "S11", "S1"])
    fit = made_up_fit("y ~ dose + (1 | site)", table().assign(site=given, dose=given))
    assert fit.design.block().levels == ("S2", "S11", "S1")
    assert fit.fixef().note == "Reference: dose = S2."


@pytest.mark.parametrize(
    ("formula", "note"),
    [
        ("y ~ f + (1 | pop)", "Reference: f = high."),
        ("y ~ T(f, ref='mid') + C(count) + (1 | pop)", "References: f = mid; count = 1."),
        ("y ~ x*f + (1 | pop)", "Reference: f = high."),
        ("y ~ 0 + f + (1 | pop)", ""),
        ("y ~ S(f) + x + (1 | pop)", ""),
        ("y ~ x + (1 | pop)", ""),
    ],
)
def test_the_reference_is_told_where_there_is_one(formula, note):
    assert made_up_fit(formula).fixef().note == note


def test_words_of_a_response_keep_their_meaning():
    data = table().assign(yes=np.resize(["S10", "S9"], 120))
    design = Model("yes ~ x + (1 | pop)", data, family="bernoulli").design
    assert design.categories == ("S10", "S9")


def test_a_file_of_before_keeps_its_order(tmp_path):
    """Files have the rows of the fit, which had text then, and categories with an order now."""
    data = table().assign(site=np.resize(["S11", "S2", "S1"], 120), f=np.repeat(["b10", "b9"], 60))
    formula = parse("y ~ f + (1 | site)")
    frame = data[["y", "f", "site"]]
    old = build_design(formula, Rows(frame=frame, missing={}, n_dropped=0), family("gaussian"))
    assert old.block().levels == ("S1", "S11", "S2")
    made = made_up_fit(formula.text, data)
    tree = xr.DataTree.from_dict({"posterior": posterior(old)})
    Fit(design=old, priors=made.priors, idata=tree).save(tmp_path / "old.hm")
    found = hm.load(tmp_path / "old.hm")
    assert found.design.block().levels == ("S1", "S11", "S2")
    assert found.design.terms == ("f[b9]",)


# --- labels that look alike -----------------------------------------------------------------------


def alike(data, formula="y ~ 1 + (1 | site)"):
    return [
        f for f in find_nesting(Model(formula, data).design) if f.kind == "labels that look alike"
    ]


CHANGES = {
    "blanks and case": lambda s: s.lower() + " ",
    "no-break space": lambda s: s.replace(" ", "\u00a0"),
    "two blanks": lambda s: s.replace(" ", "  "),
    "decomposed": lambda s: s.replace("é", "e\u0301"),
    "full width": lambda s: s.replace("S", "\uff33"),
    "byte order mark": lambda s: "\ufeff" + s,
    "soft hyphen": lambda s: s.replace("é", "\u00adé"),
    "tab": lambda s: s + "\t",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("categorical", [False, True], ids=["text", "categories"])
def test_eight_sites_that_are_sixteen(change, categorical):
    sites = np.resize([f"Sité {k}" for k in range(8)], 120).astype(object)
    sites[1::9] = [CHANGES[change](s) for s in sites[1::9]]
    data = table().assign(site=pd.Categorical(sites) if categorical else sites)
    (finding,) = alike(data)
    assert finding.certain
    assert finding.counts == {"labels": 16, "alike": 8, "left": 8}
    assert repr(sorted({s for s in sites if "0" in s}, key=people_key)[0]) in finding.message
    exec(finding.repair.split(": ", 1)[1].removesuffix("."), {"data": data})
    assert alike(data) == []
    assert data["site"].nunique() == 8


def test_case_alone_is_a_question():
    (finding,) = alike(table().assign(site=np.resize(["AA", "Aa", "aa"], 120)))
    assert not finding.certain
    assert "are 1 but for case: 'AA' and 'Aa' and 'aa'" in finding.message


def test_a_number_and_its_text_are_alike():
    data = table().assign(site=np.resize(np.array([1, "1", 2, "b"], dtype=object), 120))
    (finding,) = alike(data)
    assert "1 and '1'" in finding.message
    assert finding.certain
    exec(finding.repair.split(": ", 1)[1].removesuffix("."), {"data": data})
    assert alike(data) == []


def test_so_are_categories_of_a_predictor():
    data = table().assign(f=np.resize(["low", "Low ", "high"], 120))
    (finding,) = alike(data, "y ~ f + (1 | pop)")
    assert finding.group == "f"


@pytest.mark.parametrize(
    "labels", [["01", "1"], ["Site 1", "Site 11"], ["ss", "s"], ["a b", "ab"], ["-1", "1"]]
)
def test_labels_that_differ_are_not_alike(labels):
    assert alike(table().assign(site=np.resize(labels, 120))) == []


def test_it_warns_before_a_fit():
    data = table().assign(site=np.resize([f"S{k}" for k in range(6)] + ["S0 "], 120))
    with pytest.warns(GroupingWarning, match="The 7 labels of 'site' are 6 but for blanks around"):
        warn_of(Model("y ~ 1 + (1 | site)", data).nesting())
