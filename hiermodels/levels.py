"""Labels of groups and categories: as they stand, in the order in which people sort them.

A label is text, a whole number, or true or false. Dates, periods, intervals and whatever else is
hashable become text, which a file, a plot and a table can all hold. Nothing here knows of a model.
"""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.errors import DataError

__all__ = [
    "INVISIBLE",
    "WAYS",
    "as_labels",
    "check_exact",
    "coded",
    "fold",
    "is_text",
    "label",
    "like_the_fit",
    "look_alikes",
    "people_key",
    "tidied",
]

type Array = np.ndarray

#: A minus stands before a number, and not between a word or a number and another.
SIGN = r"(?:(?<![^\s<>=≤≥(\[;:~])[-\u2212](?=[\d.,]))?"
#: A number with separators of thousands, one with decimals, or digits. 1.2.3 are three numbers.
NUMBER = re.compile(
    rf"({SIGN}(?:(?<![\w.,])[1-9]\d{{0,2}}(?:,\d{{3}})+(?:\.\d+)?(?![.,]?\d)"
    r"|(?<![\w.,])\d*[.,]\d+(?![.,]?\d)|\d+))"
)
#: Text without signs and decimals, whose numbers are digits: the most of all labels.
PLAIN, DIGITS = re.compile(r"[\w ]*", re.ASCII), re.compile(r"(\d+)")
#: ``<5`` precedes 5, ``>65`` follows 65.
BOUND = re.compile(r"\s*([<≤>≥])=?\s*")
#: Digits that Python's int reads.
LONGEST = 4000
RANK = {"<": -1, "≤": -1, ">": 1, "≥": 1}
#: Whole numbers as text, written as a number is printed.
NUMERAL = re.compile(r"0|-?[1-9]\d*")


# --- order ----------------------------------------------------------------------------------------


def people_key(value: Any) -> tuple[Any, ...]:
    """The key by which people sort: S1, S2, S11; 10 mg, 50 mg, 100 mg; whatever the case.

    Digits count as numbers, with sign and decimals; letters without case and accents. What is
    equal in this is sorted as plain text, so that the order is that of every machine.
    """
    text = str(value)
    rank, found = 0, (DIGITS if PLAIN.fullmatch(text) else NUMBER)
    if found is NUMBER and (bound := BOUND.match(text)):
        rank, text = RANK[bound.group(1)], text[bound.end() :]
    pieces: list[Any] = found.split(without_accents(text))
    pieces[1::2] = [as_number(digits) for digits in pieces[1::2]]
    return tuple(pieces), rank, str(value).casefold(), str(value), type(value).__name__


def without_accents(text: str) -> str:
    if text.isascii():
        return " ".join(text.lower().split())
    plain = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join("".join(plain).casefold().split())


def as_number(digits: str) -> int | Decimal:
    if digits.isdecimal() and len(digits) < LONGEST:
        return int(digits)
    text = digits.replace("\u2212", "-")
    if re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    return Decimal(text.replace(",", "."))


def is_text(column: pd.Series) -> bool:
    """Whether a column is of text, and of nothing else."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) or not pd.api.types.is_string_dtype(dtype):
        return False
    return (
        not pd.api.types.is_object_dtype(dtype)
        or pd.api.types.infer_dtype(column, skipna=True) == "string"
    )


def coded(column: pd.Series) -> pd.Series:
    """The labels of a column as ordered categories, sorted as people sort."""
    codes, values = pd.factorize(column)
    labels = [label(value) for value in values]
    # values of two types can have one label, as a date and a time at midnight
    order = sorted(dict.fromkeys(labels), key=people_key)
    place = {each: k for k, each in enumerate(order)}
    places = np.array([place[each] for each in labels], dtype=np.int64)[codes]
    categories = pd.Index(order) if all_text(order) else pd.Index(order, dtype=object)
    dtype = pd.CategoricalDtype(categories, ordered=True)
    made = pd.Categorical.from_codes(np.where(codes < 0, -1, places), dtype=dtype)
    return pd.Series(made, index=column.index, name=column.name)


def all_text(labels: Iterable[Any]) -> bool:
    return all(isinstance(each, str) for each in labels)


# --- labels ---------------------------------------------------------------------------------------


def label(value: Any) -> Any:
    """A label: text, a whole number, true or false; anything else as text."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(value, datetime.datetime):
        midnight = (
            value.tzinfo is None and value.time() == datetime.time() and not nanoseconds(value)
        )
        return value.date().isoformat() if midnight else str(value)
    if isinstance(value, float):
        return value
    text = str(value)
    return text.removesuffix(" 00:00:00") if isinstance(value, datetime.timedelta) else text


def nanoseconds(value: datetime.datetime) -> int:
    return value.nanosecond if isinstance(value, pd.Timestamp) else 0


def as_labels(column: pd.Series) -> pd.Series:
    """The column of a grouping factor: whole numbers, true and false, or categories.

    Categories of the user keep their order, everything else is sorted as people sort. Floats that
    are no whole numbers are left to the design, which says that they are no labels.

    Raises
    ------
    DataError
        Labels that are tuples, lists or the like.
    """
    dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_integer_dtype(dtype):
        return column
    if pd.api.types.is_float_dtype(dtype):
        values = column.to_numpy(dtype=float)
        return column.astype("int64") if (values == np.floor(values)).all() else column
    if isinstance(dtype, pd.CategoricalDtype):
        check_labels(str(column.name), dtype.categories)
        labels = [label(value) for value in dtype.categories]
        same = labels == dtype.categories.tolist() and not has_floats(dtype.categories)
        return column if same else column.cat.rename_categories(labels)
    if not is_text(column):
        check_labels(str(column.name), column)
    return coded(column)


def has_floats(values: Iterable[Any]) -> bool:
    return any(isinstance(value, float) for value in values)


def check_labels(name: str, values: Iterable[Any]) -> None:
    """Refuse what has parts: how it is written is not what it is."""
    for value in values:
        if isinstance(value, tuple) or not isinstance(value, Hashable):
            raise DataError(
                f"the labels of {name!r} are of type {type(value).__name__}, such as {value!r}; a "
                "label is text or a whole number. For a group in each combination give each part a "
                "column of its own, a and b, and write (1 | a:b); or make text of them: "
                f"data[{name!r}] = data[{name!r}].map(str)"
            )


def check_exact(column: pd.Series, name: str) -> None:
    """Refuse ids beyond the whole numbers that a float has: different ones are already one.

    Float64 has all of them below 2^53, float32 below 2^24.

    Raises
    ------
    DataError
    """
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    if not pd.api.types.is_float_dtype(values.dtype):
        return
    kept = str(values.dtype).lower()
    bits = (
        11
        if "16" in kept or "half" in kept
        else 24
        if "32" in kept or kept.startswith("float[")
        else 53
    )
    size = np.abs(values.to_numpy(dtype=float, na_value=np.nan))
    largest = np.nanmax(size, initial=0.0)
    if np.isfinite(largest) and largest >= 2.0**bits:
        raise DataError(
            f"the grouping factor {name!r} has numbers such as {largest:.0f}, kept as {kept}, "
            f"which has not all whole numbers from 2^{bits} on: different ids may have become one. "
            "A gap in the column makes floats of its numbers. Read it as text: "
            f"pandas.read_csv(..., dtype={{{name!r}: 'string'}})"
        )


# --- labels of new rows ---------------------------------------------------------------------------


def like_the_fit(own: pd.Series, new: pd.Series, name: str) -> pd.Series:
    """The labels of new rows as those of the fit, where they only have another type.

    1 is the level "1", "1" the level 1, a date the level that is this date. A label that was not
    seen is left as it is, if it is of the fit's type or can be written as such.

    Raises
    ------
    DataError
        Labels of another type, of which it is not clear whether they are known.
    """
    check_exact(new, name)
    seen = own.cat.categories if isinstance(own.dtype, pd.CategoricalDtype) else own.unique()
    known = {label(value): value for value in list(seen)}
    by_text: dict[str, Any] = {}
    for each, value in known.items():
        by_text.setdefault(str(each), value)
    codes, values = pd.factorize(new)
    values = list(values)
    check_labels(name, values)
    read = [translated(label(v), known, by_text, name) for v in values]
    if all(type(a) is type(b) and a == b for a, b in zip(read, values, strict=True)):
        return new
    labels = np.empty(len(read) + 1, dtype=object)
    labels[:-1], labels[-1] = read, None
    return pd.Series(labels[codes], index=new.index, name=new.name).infer_objects()


def translated(value: Any, known: dict[Any, Any], by_text: dict[str, Any], name: str) -> Any:
    """The level that a label means, or the label."""
    if value in known:
        return known[value]
    if str(value) in by_text:
        return by_text[str(value)]
    kinds = {kind(each) for each in known}
    if kind(value) in kinds:
        return value
    if kind(value) == "text" and "number" in kinds:
        if NUMERAL.fullmatch(value):
            return int(value)
        if number(value) is None:
            return value
    if kind(value) == "number" and all(NUMERAL.fullmatch(str(each)) for each in known):
        return str(value)
    raise other_type(value, known, name)


def other_type(value: Any, known: Iterable[Any], name: str) -> DataError:
    """The error for a label that is of no type of the fit's, with what to type."""
    some = next(each for each in known if kind(each) != kind(value))
    column = f"newdata[{name!r}]"
    meant = [each for each in known if number(each) == number(value) is not None]
    repair = "Write the labels as in the fit."
    if meant and isinstance(value, str):
        repair = f"If it is {meant[0]!r}: {column} = pandas.to_numeric({column})."
    elif meant:
        repair = (
            f"If it is {meant[0]!r}: {column} = {column}.map({{{value!r}: {meant[0]!r}, ...}})."
        )
    return DataError(
        f"{name!r} is of another type in newdata than in the fit: {value!r} is "
        f"{WORDS[kind(value)]}, {some!r} in the fit is {WORDS[kind(some)]}. {repair}"
    )


WORDS = {"text": "text", "number": "a number", "truth": "true or false"}


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text"


def number(value: Any) -> float | None:
    """The number that a label reads as, if any."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


# --- labels that look alike -----------------------------------------------------------------------


#: Soft hyphens, marks of direction, joiners and the mark of byte order.
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
#: In what labels differ that look alike, and what takes it away.
WAYS: dict[str, Callable[[str], str]] = {
    "number or text": str,
    "Unicode form": lambda text: unicodedata.normalize("NFKC", text),
    "invisible characters": lambda text: INVISIBLE.sub("", text),
    "case": str.casefold,
    "blanks inside": lambda text: re.sub(r"\s+", " ", text),
    "blanks around": str.strip,
}


def tidied(value: Any, ways: Iterable[str]) -> str:
    """A label as text without some of the ways in which it can differ."""
    text = str(value)
    for way in ways:
        text = WAYS[way](text)
    return text


def fold(value: Any) -> str:
    """What labels have in common that look alike."""
    text = str(value)
    return " ".join(text.lower().split()) if text.isascii() else tidied(text, WAYS)


def look_alikes(labels: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The sets of labels that are one but for blanks, case, or how characters are kept."""
    if all(isinstance(each, int) for each in labels):
        return
    same: dict[str, list[Any]] = {}
    for each in labels:
        same.setdefault(fold(each), []).append(each)
    yield from (tuple(each) for each in same.values() if len(each) > 1)
