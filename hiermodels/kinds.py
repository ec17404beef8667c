"""What a column holds that a formula cannot compute with, in words, and what to make of it.

Dates, spans of time and the like are labels of a grouping factor as they are; as a predictor or a
response they need a number. Text that is dates would have a coefficient for each of them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

import pandas as pd

from hiermodels.tokens import CLOSING, OPENING, split_tokens

__all__ = ["dates_as_text", "not_numbers", "numbers_in"]

#: Functions whose arguments are labels, and those of which all but the first are.
LABELS, LABELS_BUT_FIRST = ("C", "S", "T"), ("within", "between")
#: The share of the distinct values that are dates where a text column is one of dates.
MOST = 0.8
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DATE = re.compile(
    r"\d{4}([-/.])\d{1,2}\1\d{1,2}([ T]\d.*)?"
    r"|\d{1,2}([-/.])\d{1,2}\3(\d{4}|\d{2})( \d.*)?"
    rf"|\d{{1,2}}[-. ]*({MONTHS})[a-z]*[-., ]*(\d{{4}}|\d{{2}})"
    rf"|({MONTHS})[a-z]*[. ]+\d{{1,2}},? +\d{{4}}",
    re.IGNORECASE,
)
DAYS = "data[{name!r}] = ({dates} - {dates}.min()).dt.days"
OBJECTS = {
    datetime.datetime: "dates",
    datetime.date: "dates",
    datetime.timedelta: "spans of time",
    datetime.time: "times of day",
    pd.Period: "periods",
    pd.Interval: "intervals",
    complex: "complex numbers",
    bytes: "bytes",
}
REPAIRS = {
    "dates": f"days since the first one are a number: {DAYS}",
    "periods": f"days since the first one are a number: {DAYS}",
    "spans of time": "days are a number: data[{name!r}] = {spans}.dt.total_seconds() / 86400",
    "times of day": "hours are a number: data[{name!r}] = [t.hour + t.minute / 60 for t in "
    "data[{name!r}]]",
    "intervals": "their midpoints are numbers: data[{name!r}] = [i.mid for i in data[{name!r}]]",
    "complex numbers": "their size is a number: data[{name!r}] = abs(data[{name!r}])",
    "bytes": "make text of them: data[{name!r}] = data[{name!r}].str.decode('utf-8')",
}


def numbers_in(text: str) -> Iterator[str]:
    """The names of an expression that are not labels, as those in ``C(x)`` are."""
    open_calls: list[tuple[str, int]] = []
    before = ""
    for token in split_tokens(text):
        if token.text in OPENING:
            open_calls.append((before, 0))
        elif token.text in CLOSING and open_calls:
            open_calls.pop()
        elif token.text == "," and open_calls:
            open_calls[-1] = (open_calls[-1][0], open_calls[-1][1] + 1)
        elif token.kind in ("name", "quoted") and not any(
            call in LABELS or (call in LABELS_BUT_FIRST and k) for call, k in open_calls
        ):
            yield token.text.strip("`")
        before = token.text


def not_numbers(column: pd.Series) -> tuple[str, str] | None:
    """What the column holds, and the repair; None for numbers, true and false, and labels."""
    what = kind_of(column)
    if what is None:
        return None
    repair = REPAIRS.get(what, "make a column of numbers or of labels of it first")
    return what, repair.format(name=column.name, **in_pandas(column, what))


def in_pandas(column: pd.Series, what: str) -> dict[str, str]:
    """The user's column as pandas computes with it, whatever it holds them as."""
    own = f"data[{column.name!r}]"
    dates = f"{own}.dt.to_timestamp()" if what == "periods" else f"pandas.to_datetime({own})"
    # a day of the clock's change has 23 hours
    zone = ".dt.tz_localize(None)" if getattr(column.dtype, "tz", None) is not None else ""
    return {"dates": dates + zone, "spans": f"pandas.to_timedelta({own})"}


def kind_of(column: pd.Series) -> str | None:
    types, dtype = pd.api.types, column.dtype
    if types.is_complex_dtype(dtype):
        return "complex numbers"
    if types.is_numeric_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype):
        return None
    if types.is_datetime64_any_dtype(dtype):
        return "dates"
    if types.is_timedelta64_dtype(dtype):
        return "spans of time"
    if isinstance(dtype, pd.PeriodDtype):
        return "periods"
    present = column.dropna()
    if present.empty or isinstance(dtype, pd.StringDtype):
        return None
    if all(isinstance(v, str | bool) for v in present):
        return None
    first = next(v for v in present if not isinstance(v, str | bool))
    for kind, words in OBJECTS.items():
        if isinstance(first, kind):
            return words
    return f"values of the type {type(first).__name__}, such as {str(first)[:40]}"


def dates_as_text(column: pd.Series) -> tuple[int, str] | None:
    """How many dates a text column has, and the repair; None for other text.

    Two dates can be two conditions. Categories that were declared are the user's.
    """
    if not pd.api.types.is_string_dtype(column.dtype):
        return None
    distinct = [str(v).strip() for v in column.dropna().unique()]
    found = sum(bool(DATE.fullmatch(v)) for v in distinct)
    if len(distinct) < 3 or found < MOST * len(distinct):
        return None
    dates = f"pandas.to_datetime(data[{column.name!r}])"
    return found, REPAIRS["dates"].format(name=column.name, dates=dates)
