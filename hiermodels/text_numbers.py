"""Numbers that are text: what keeps a column from being numbers, and what repairs it.

A column of text becomes a category for each of its values. Where at least 80 % of the different
values are numbers once their marks are taken off (a unit, a per cent sign, a decimal comma, a minus
that is no hyphen), that was hardly meant. Labels such as "10 mg" and "20 mg" all have the unit, and
are few: they stay what they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["MINUSES", "TextNumbers", "find_text_numbers", "kind_of", "to_number"]

type Kind = Literal[
    "number", "decimal", "thousands", "either", "minus", "unit", "bound", "absent", "text"
]

#: The share of different values that have to be numbers for the column to be meant as numbers.
MOSTLY = 0.8
#: So many levels, or so many for the rows, that have a unit are measurements and not doses.
MANY_LEVELS, SOME_LEVELS = 10, 5
#: Values that are looked at to see whether it is worth looking at all.
SAMPLE = 1000

#: Marks that stand where there is no value, in lower case; words such as "none" may be a label.
ABSENT = frozenset(
    "- -- --- – — . .. ? * / na n/a n.a. n.a #n/a <na> nan null nd n.d. n.d k.a. "
    "#div/0! #value! #ref! #num! #name? #null!".split()
)
MINUSES = "\u2212\u2013\u2012\u2010\u2011\ufe63\uff0d"
#: Between the thousands of numbers, beside the mark that is not the decimal one.
SPACES = " \u00a0\u202f\u2009"
GROUPING = f"{SPACES}'\u2019_"
CURRENCY = "$€£¥"
BOUNDS = "<>≤≥~≈"
UNIT = r"[^\W\d_]+[²³]?|[%‰°µ$€£¥][^\W\d_]*"
COMPOSED = rf"(?:{UNIT})(?:[/·^-](?:{UNIT}|\d))*\d?"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNumbers:
    """Why a column that is mostly numbers is not all numbers. Made by `find_text_numbers`.

    ``value`` is the first text that is no number, as it stands; ``rows`` counts the rows that have
    none. ``kind`` says what it is, ``mark`` what stands between thousands, or the unit; ``absent``
    lists the texts that may stand for a missing value.
    """

    kind: Kind
    value: Any
    rows: int
    mark: str = ""
    absent: tuple[str, ...] = ()


def find_text_numbers(
    counts: Mapping[Any, int], *, decimal: str = ".", decimals_seen: bool = False
) -> TextNumbers | None:
    """What is wrong with the values of a column, None where nothing is.

    ``counts`` has the different values in the order in which they come, and the rows of each;
    ``decimals_seen`` says that other columns of the table have numbers with the decimal mark, so
    that the other mark separates thousands.
    """
    if not may_be_numbers(list(counts), decimal):
        return None
    kinds: dict[Any, Kind] = {value: kind_of(value, decimal) for value in counts}
    if not is_meant_as_numbers(kinds, n_rows=sum(counts.values())):
        return None
    odd = [value for value, kind in kinds.items() if kind != "number"]
    if not odd:
        return TextNumbers(kind="number", value=next(iter(counts)), rows=sum(counts.values()))
    kind = kinds[odd[0]]
    if kind in ("decimal", "either", "thousands"):
        kind = settled(kinds, kind, decimals_seen=decimals_seen)
    return TextNumbers(
        kind=kind,
        value=odd[0],
        rows=sum(counts[value] for value in odd),
        mark=mark_of(str(odd[0]).strip(), kind, decimal),
        absent=tuple(
            dict.fromkeys(str(v).strip() for v in odd if kinds[v] in ("absent", "text", "bound"))
        ),
    )


def may_be_numbers(values: list[Any], decimal: str) -> bool:
    """Of very many different values, whether a thousand of them look like it."""
    if len(values) <= 5 * SAMPLE:
        return True
    some = values[:: len(values) // SAMPLE]
    return sum(kind_of(v, decimal) != "text" for v in some) > (MOSTLY - 0.2) * len(some)


def is_meant_as_numbers(kinds: dict[Any, Kind], *, n_rows: int) -> bool:
    """Whether a column of these different values was meant to have numbers."""
    there = {value: kind for value, kind in kinds.items() if kind != "absent"}
    numeric = {value: kind for value, kind in there.items() if kind != "text"}
    if not numeric or len(numeric) < MOSTLY * len(there):
        return False
    marked = [str(v).strip() for v, kind in numeric.items() if kind in ("unit", "bound")]
    if 2 * len(marked) <= len(numeric):
        return True
    many = len(there) > MANY_LEVELS or (len(there) >= SOME_LEVELS and 2 * len(there) > n_rows)
    return many and is_measured(marked)


def is_measured(values: list[str]) -> bool:
    """Whether values with units are measurements: one unit for nearly all, or decimals."""
    units = Counter(unit_of(value) for value in values)
    common = units.most_common(1)[0][1] >= MOSTLY * len(values)
    return common or sum(bool(re.search(r"\d[.,]\d", value)) for value in values) > len(values) / 4


def kind_of(value: Any, decimal: str = ".") -> Kind:
    """What a value is: a number as it stands, one after a repair, nothing, or text."""
    if not isinstance(value, str):
        return "number" if isinstance(value, (int, float)) else "text"
    text = value.strip()
    if re.fullmatch(number_pattern(decimal), text):
        return "number"
    if text.lower() in ABSENT or not text:
        return "absent"
    kind = marked_kind(text, decimal)
    if kind != "text":
        return kind
    plain = text.translate(dict.fromkeys(map(ord, MINUSES), "-"))
    if plain != text and (re.fullmatch(number_pattern(decimal), plain) or one_mark(plain, decimal)):
        return "minus"
    if text[0] in BOUNDS and kind_of(text.lstrip(BOUNDS + "= "), decimal) not in ("text", "absent"):
        return "bound"
    if text[0] in CURRENCY and number_or_mark(text[1:].strip(), decimal):
        return "unit"
    if unit_of(text) and number_or_mark(text[: -len(unit_of(text))].strip(), decimal):
        return "unit"
    return "text"


def marked_kind(text: str, decimal: str) -> Kind:
    """Of numbers with a mark that is not the decimal one."""
    other = "," if decimal == "." else "."
    with_other = re.fullmatch(number_pattern(other), text) is not None
    grouped = any(re.fullmatch(thousands_pattern(m, decimal), text) for m in (other, *GROUPING))
    if with_other and grouped:
        return "either" if text.count(other) == 1 else "thousands"
    if grouped:
        return "thousands"
    # the other way round, as in 1.234,5
    turned = re.fullmatch(thousands_pattern(decimal, other), text)
    return "decimal" if with_other or turned else "text"


def one_mark(text: str, decimal: str) -> bool:
    return marked_kind(text, decimal) != "text"


def number_or_mark(text: str, decimal: str) -> bool:
    return bool(re.fullmatch(number_pattern(decimal), text)) or one_mark(text, decimal)


def settled(kinds: dict[Any, Kind], kind: Kind, *, decimals_seen: bool) -> Kind:
    """Of 5,048 alone one cannot say whether the comma is decimal; its column or table may."""
    found = set(kinds.values())
    if "decimal" in found:
        return "decimal"
    if "thousands" in found or decimals_seen or has_decimals(kinds):
        return "thousands"
    return kind


def has_decimals(kinds: dict[Any, Kind]) -> bool:
    """Whether plain numbers of the column have a decimal mark."""
    return any(k == "number" and re.search(r"\d[.,]\d", str(v)) for v, k in kinds.items())


def mark_of(value: str, kind: Kind, decimal: str) -> str:
    if kind in ("thousands", "either"):
        other = "," if decimal == "." else "."
        return next((m for m in (other, *GROUPING) if m in value.strip()), other)
    if kind == "decimal":  # as in 1.234,5
        return decimal if decimal in value else ""
    return unit_of(value) or value[:1] if kind == "unit" else ""


def unit_of(text: str) -> str:
    """The unit behind a number, without the space before it."""
    found = re.fullmatch(rf"[^A-Za-z%]*?[\d.]\s*(?P<unit>{COMPOSED})", text)
    return found["unit"] if found else ""


def number_pattern(decimal: str) -> str:
    point = re.escape(decimal)
    return rf"[-+]?(?:\d+(?:{point}\d*)?|{point}\d+)(?:[eE][-+]?\d+)?"


def thousands_pattern(mark: str, decimal: str) -> str:
    """Whole groups of three digits, so that 1,5 is never read as 15."""
    between = f"[{SPACES}]" if mark in SPACES else re.escape(mark)
    return rf"[-+]?[1-9]\d{{0,2}}(?:{between}\d{{3}})+(?:{re.escape(decimal)}\d*)?"


def to_number(text: str, *, decimal: str = ".", thousands: str | None = None) -> float | None:
    """The number that a text is, with these marks and no others; None where it is none."""
    bare = text.strip()
    if thousands and re.fullmatch(thousands_pattern(thousands, decimal), bare):
        bare = re.sub(f"[{SPACES}]" if thousands in SPACES else re.escape(thousands), "", bare)
    if not re.fullmatch(number_pattern(decimal), bare):
        return None
    return int(bare) if re.fullmatch(r"[-+]?\d+", bare) else float(bare.replace(decimal, "."))
