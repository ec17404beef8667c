"""Numbers that are text: what is refused, what stays a label, in Python and in files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hiermodels as hm
from hiermodels.command.reading import read_table
from hiermodels.formula import parse
from hiermodels.roles import Roles, find_roles
from hiermodels.text_numbers import find_text_numbers, kind_of, to_number

N = 60
NUMBERS = [f"{v:.1f}" for v in np.random.default_rng(3).uniform(1, 9, N)]


def table(x: Any) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame({"y": rng.normal(size=N), "x": x, "site": list("abcdef") * (N // 6)})


def with_one(value: str) -> list[str]:
    return [*NUMBERS[:7], value, *NUMBERS[8:]]


def repeated(*levels: str) -> list[str]:
    return [levels[k % len(levels)] for k in range(N)]


#: Text that is a factor on purpose.
FACTORS = {
    "doses and a control": ["10 mg", "20 mg", "control"],
    "doses alone": ["10 mg", "20 mg", "40 mg", "80 mg", "160 mg", "320 mg"],
    "per cent of water": ["10%", "20%", "30%", "40%"],
    "ages": ["<18", "18-25", "26-35", "36-50", ">50"],
    "ordinals": ["1st", "2nd", "3rd"],
    "seasons": ["2019/20", "2020/21", "2021/22"],
    "signs": ["+", "-", "0"],
    "depths": ["0-5 cm", "5-10 cm", "10-20 cm"],
    "plots": [f"{k}{c}" for k in range(1, 9) for c in "ab"],
    "scores with words": ["1 - low", "2 - middle", "3 - high"],
    "times of day": ["08:00", "12:00", "18:00"],
    "strains": ["N2", "CB4856", "K-12"],
    "versions": ["1.0.1", "1.0.2", "2.0.0"],
    "quarters": ["Q1", "Q2", "Q3", "Q4"],
    "none and doses": ["none", "5 mg", "50 mg"],
}


@pytest.mark.parametrize("name", FACTORS)
def test_factors_stay_factors(name: str, tmp_path: Path) -> None:
    frame = table(repeated(*FACTORS[name]))
    frame.to_csv(tmp_path / "a.csv", index=False)
    read = read_table(tmp_path / "a.csv", roles=find_roles([parse("y ~ x + (1 | site)")]))
    for data in (frame, read):
        model = hm.Model("y ~ x + (1 | site)", data)
        assert len(model.design.terms) == len(FACTORS[name]) - 1


#: One value among numbers, and what the message says of it.
ODD = {
    "-": "read the file with pandas.read_csv(..., na_values=['-'])",
    "<0.01": "na_values=['<0.01']",
    "3.2 kg": "data['x'] = pandas.to_numeric(data['x'].str.replace('kg', ''))",
    "45%": "data['x'].str.replace('%', '')",
    "−1.5": "data['x'].str.replace('−', '-')",
    "1,5": "Read the file with pandas.read_csv(..., decimal=',')",
    "5,048": "Read the file with pandas.read_csv(..., thousands=',')",
    "1 234": "thousands=' '",
    "n.d.": "na_values=['n.d.']",
    "(3.1)": "na_values=['(3.1)']",
    "typo": "Correct it",
}


@pytest.mark.parametrize("value", ODD)
def test_one_value_among_numbers(value: str) -> None:
    for formula in ("y ~ x + (1 | site)", "y ~ log(x) + (1 | site)", "y ~ 1 + (x | site)"):
        with pytest.raises(hm.DataError) as raised:
            hm.Model(formula, table(with_one(value)))
        message = str(raised.value)
        assert message.startswith("'x' is text that mostly reads as numbers, but row 7 has ")
        assert repr(value) in message
        assert ODD[value] in message
        assert message.endswith("If the values are labels, write C(x) in the formula.")


ALL = {
    "kg": [f"{v} kg" for v in NUMBERS],
    "per cent": [f"{v}%" for v in NUMBERS],
    "dollars": [f"${v}" for v in NUMBERS],
    "comma": [v.replace(".", ",") for v in NUMBERS],
    "dash": [f"\u2013{v}" for v in NUMBERS],
    "thousands": [f"{int(1000 * float(v)):,}" for v in NUMBERS],
    "numbers": NUMBERS,
    "two units": [f"{v} kg" if k % 3 else f"{v}00 g" for k, v in enumerate(NUMBERS)],
}


@pytest.mark.parametrize("name", ALL)
def test_all_values_have_a_mark(name: str) -> None:
    data = table(ALL[name])
    for frame in (data, data.astype({"x": object}), pl.from_pandas(data), pa.table(data)):
        with pytest.raises(hm.DataError, match=r"'x' is text that (mostly )?reads as numbers"):
            hm.Model("y ~ x + (1 | site)", frame)


def test_what_repairs_in_python() -> None:
    """The line of the message, as it stands."""
    for value in ("3.2 kg", "45%", "−1.5", "numbers"):
        data = table(NUMBERS if value == "numbers" else with_one(value))
        with pytest.raises(hm.DataError) as raised:
            hm.Model("y ~ x", data)
        line = str(raised.value).split(": ")[-1].split(". If the values")[0]
        exec(line, {"data": data, "pandas": pd})
        assert hm.Model("y ~ x", data).design.terms == ("x",)


def test_where_labels_are_said_to_be_labels() -> None:
    data = table(with_one("-"))
    data["kind"] = pd.Categorical(data["x"])
    levels = len(set(data["x"]))
    assert len(hm.Model("y ~ C(x) + (1 | site)", data).design.terms) == levels - 1
    assert len(hm.Model("y ~ kind + (1 | site)", data).design.terms) == levels - 1
    assert hm.Model("y ~ 1 + (1 | x)", data).design.blocks[0].n_levels == levels
    truth = table([value > "5" for value in NUMBERS])
    assert hm.Model("y ~ x", truth).design.terms == ("x",)


def test_a_response_of_text() -> None:
    data = table(NUMBERS).assign(y=with_one("?"), x=np.arange(N))
    message = "'y' is text that mostly reads as numbers, but row 7 has '\\?'"
    with pytest.raises(hm.DataError, match=message) as raised:
        hm.Model("y ~ x", data)
    assert "C(y)" not in str(raised.value)
    answers = data.assign(y=repeated("no", "yes"))
    assert hm.Model("y ~ x", answers, family="bernoulli").design.categories == ("no", "yes")


def test_weights_of_text() -> None:
    data = table(np.arange(N)).assign(w=with_one("-"))
    with pytest.raises(hm.DataError, match=r"'w' is text that mostly reads as numbers"):
        hm.Model("y ~ x", data, weights="w")
    with pytest.raises(hm.DataError, match=r"'weights' is text that mostly reads as numbers"):
        hm.Model("y ~ x", data, weights=data["w"])


def test_text_with_nearly_as_many_levels_as_rows() -> None:
    names = table([f"dragon {k // 2 if k < 10 else k}" for k in range(N)])
    with pytest.raises(hm.DataError, match="the predictor 'x' is text with 55 different values in"):
        hm.Model("y ~ x + (1 | site)", names)
    half = table([f"dragon {k // 2}" for k in range(N)])
    assert len(hm.Model("y ~ x + (1 | site)", half).design.terms) == N / 2 - 1


def test_the_share_is_of_different_values() -> None:
    """Four numbers of five values are numbers, three of four are labels."""
    assert find_text_numbers(Counter(["1", "2", "3", "4", "x"] * 9)) is not None
    assert find_text_numbers(Counter(["1", "2", "3", "x"] * 9)) is None


def test_many_different_texts_are_looked_at_in_parts() -> None:
    assert find_text_numbers(Counter(f"name {k}" for k in range(20_000))) is None
    found = find_text_numbers(Counter(["-", *(str(k / 7) for k in range(20_000))]))
    assert found is not None
    assert (found.value, found.rows) == ("-", 1)


KINDS = {
    "1.5": "number", " -2e-3 ": "number", ".5": "number", "5.": "number", "+3": "number",
    "1,5": "decimal", "1.234,5": "decimal", "0,126": "decimal", "12,34": "decimal",
    "5,048": "either", "1,234,567": "thousands", "1,234.5": "thousands", "1 234": "thousands",
    "1\u202f234": "thousands", "1'234": "thousands", "12,34,567": "text",
    "3 kg": "unit", "3kg": "unit", "5 mg/l": "unit", "3 m2": "unit", "3 m²": "unit",
    "7 °C": "unit", "€5": "unit", "1.5*": "text", "1.234.567": "decimal", "0.5 µg": "unit",
    "<1": "bound", "≥ 2.5": "bound", "~7": "bound",
    "–5": "minus", "−5,5": "minus", "-": "absent", "–": "absent", "N.D.": "absent",
    "1-2": "text", "1/2": "text", "5+": "text", "A1": "text", "0x1F": "text", "12:30": "text",
    "2020-01-05": "text", "none": "text", "1 per day": "text",
}  # fmt: skip


@pytest.mark.parametrize("text", KINDS)
def test_kinds(text: str) -> None:
    assert kind_of(text) == KINDS[text]


def test_numbers_are_read_with_their_marks_alone() -> None:
    assert to_number("1,234.5", thousands=",") == 1234.5
    assert to_number("1.234,5", decimal=",", thousands=".") == 1234.5
    assert to_number("1\u00a0234", thousands=" ") == 1234
    assert to_number("1,5", thousands=",") is None  # and not 15
    assert to_number("1,5") is None
    assert to_number("-1e3") == -1000


ROLES = {
    "y ~ x + C(f) + between(z, g) + (w | site)": Roles(
        responses=frozenset("y"),
        predictors=frozenset("xzw"),
        categories=frozenset("f"),
        labels=frozenset({"g", "site"}),
    ),
    "a / n ~ log(x):S(`f f`) + (1 | `a b`/c) + offset(e)": Roles(
        responses=frozenset("an"),
        predictors=frozenset("xe"),
        categories=frozenset({"f f"}),
        labels=frozenset({"a b", "c"}),
    ),
    "p(a, n) ~ bs(x, df=4) + (C(f) + z || g)": Roles(
        responses=frozenset("an"),
        predictors=frozenset("xz"),
        categories=frozenset("f"),
        labels=frozenset("g"),
    ),
}


@pytest.mark.parametrize("text", ROLES)
def test_roles(text: str) -> None:
    assert find_roles([parse(text)]) == ROLES[text]
