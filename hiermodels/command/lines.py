"""The lines of a table in text: which is the header, which are no rows, where each row begins."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from hiermodels.command.sources import Source
from hiermodels.errors import DataError, counted
from hiermodels.text_numbers import to_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "check_footer",
    "check_header",
    "check_lines",
    "header_of",
    "long_record",
    "record_lines",
    "too_long",
]

type Array = np.ndarray
#: A record and the line in which it begins.
type Record = tuple[int, list[str]]

#: Bytes in which a header and the first rows stand, and how many of these are looked at.
OPENING, FIRST = 1 << 16, 10
CHUNK = 1 << 24

OTHER_SEPARATORS = {
    ",": ("commas", "Give --separator ','."),
    ";": (
        "semicolons",
        "Give --separator ';', and --decimal ',' if its numbers have a decimal comma.",
    ),
    "\t": ("tabs", "Give --separator tab."),
    "|": ("bars", "Give --separator '|'."),
}
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", " ": "space"}
#: What rows are called that sum up those above them. Max and SD may be a person and a place.
TOTALS = re.compile(
    r"((grand|sub|column|row)[ -]?)?totals?\b.*|sums?|summe|gesamt|insgesamt|somme|totaal|"
    r"means?|averages?|avg\.?|mittelwert",
    re.IGNORECASE,
)
#: So many rows at the end may be some: totals, means and what follows them.
LAST = 6
#: How a remark below a table begins.
REMARK = re.compile(r"([*†‡]|source|note|quelle|anmerkung|remark|data from)", re.IGNORECASE)


def records(source: Source, separator: str) -> list[Record]:
    """The first records, without empty lines."""
    part = source.content[:OPENING]
    if len(part) < len(source.content):
        part = part[: part.rfind(b"\n") + 1] or part
    found = all_records(part.decode("utf-8", errors="ignore"), separator)
    return [record for record, _ in zip(found, range(FIRST), strict=False)]


def all_records(text: str, separator: str) -> Iterator[Record]:
    aligned = separator == " "
    reader = csv.reader(
        io.StringIO(text.replace("\t", " ") if aligned else text, newline=""),
        delimiter=separator,
        skipinitialspace=aligned,
    )
    line = 1
    try:
        for row in reader:
            if aligned:
                row = " ".join(row).split() if '"' not in text else [f for f in row if f]
            if len(row) > 1 or (row and row[0].strip()):
                yield line, row
            line = reader.line_num + 1
    except csv.Error:  # pandas says what it is
        return


def header_of(source: Source, separator: str) -> list[str]:
    return records(source, separator)[0][1]


def check_lines(source: Source, separator: str) -> None:
    """Refuse another separator, lines above the header, and commas at the ends of lines."""
    rows = records(source, separator)
    if not rows:
        raise DataError(f"{source.shown} is empty")
    check_hint(source, rows[0])
    check_separator(source, separator, rows)
    check_title(source, rows)
    width = len(rows[0][1])
    long = next((record for record in rows[1:] if len(record[1]) > width), None)
    if long is None:
        return
    if len({len(row) for _, row in rows[1:]}) == 1 and long[1][-1].strip():
        # pandas would take the first columns as the labels of the rows
        raise DataError(
            f"{source.shown}: the header names {counted(width, 'column')}, the rows have "
            f"{len(long[1])}. Name every column in the first line (R: write.csv with "
            "row.names = FALSE)."
        )
    raise DataError(too_long(source, separator, long, width=width))


def too_long(source: Source, separator: str, record: Record, *, width: int) -> str:
    """What is wrong with a record that has more fields than the header."""
    line, row = record
    if len(row) == width + 1 and not row[-1].strip():
        return (
            f"{source.shown}: line {line} ends with {separator!r}, and so has one field more than "
            f"the header. Delete the {separator!r} at the ends of lines, or end the header with "
            "it, too."
        )
    return (
        f"{source.shown}: line {line} has {len(row)} fields, the header has {width}. "
        f"A text with a {NAMES.get(separator, repr(separator))} in it must stand in double quotes."
    )


def check_hint(source: Source, first: Record) -> None:
    """``sep=;``, by which Excel knows the separator."""
    line, row = first
    hint = re.fullmatch(r"sep=(.)?", row[0].strip(), re.IGNORECASE)
    if hint:
        mark = hint[1] or ","
        raise DataError(
            f"{source.shown}: line {line} is 'sep={mark}', a note for Excel above the header. "
            f"Delete that line, and give --separator {'tab' if mark == chr(9) else repr(mark)}."
        )


def check_separator(source: Source, separator: str, rows: list[Record]) -> None:
    """Refuse a table that would be read as one column because its separator is another."""
    header = rows[0][1]
    if len(header) > 1 and one_width(rows):
        return
    first_lines = source.content[:OPENING].decode("utf-8", errors="ignore").splitlines()
    first_lines = [line for line in first_lines if line.strip()][:FIRST]
    for other, (what, repair) in OTHER_SEPARATORS.items():
        if other == separator:
            continue
        found = records(source, other)
        often = 2 * sum(other in line for line in first_lines) > len(first_lines)
        if len(header) > 1 and not (found and one_width(found)):
            continue
        if len(header) > 1 or other in first_lines[0] or often:
            names = ", ".join(name.strip() for name in max(found, key=lambda r: len(r[1]))[1])
            if other in first_lines[0]:
                names = ", ".join(name.strip() for name in found[0][1])
            raise DataError(f"{source.shown} separates its columns by {what}: {names}. {repair}")
    if len(header) == 1 and separator != " " and len(rows) > 1:
        aligned = records(source, " ")
        if one_width(aligned):
            raise DataError(
                f"{source.shown} aligns its columns by spaces: {', '.join(aligned[0][1])}. "
                "Give --separator space."
            )


def one_width(rows: list[Record]) -> bool:
    """Whether all records have the same number of fields, of which there are several."""
    return len({len(row) for _, row in rows}) == 1 and len(rows[0][1]) > 1


def check_title(source: Source, rows: list[Record]) -> None:
    """Refuse what stands above the names of the columns."""
    filled = [sum(bool(field.strip()) for field in row) for _, row in rows]
    widest = max(filled)
    at = filled.index(widest)
    names = [field.strip() for field in rows[at][1]]
    above = rows[:at]
    if not above or widest < 2 or has_number(names):
        return  # numbers are no names: the header is only too short
    below = rows[at + 1][1] if at + 1 < len(rows) else []
    if 2 * max(filled[:at]) > widest and not (len(below) == widest and has_number(below)):
        return
    lines = (
        f"line {above[0][0]} looks" if at == 1 else f"lines {above[0][0]} to {above[-1][0]} look"
    )
    title = next(field.strip() for field in above[0][1] if field.strip())
    raise DataError(
        f"{source.shown}: {lines} like a title ({title!r}); the names of the columns stand in line "
        f"{rows[at][0]}. Delete what is above them."
    )


def has_number(row: list[str]) -> bool:
    return any(to_number(field) is not None for field in row)


def check_header(source: Source, names: list[str], used: Iterable[str]) -> None:
    """Refuse a file without a header, whose first row would be taken for it."""
    if has_number(names) and not set(used) & set(names):
        raise DataError(
            f"{source.shown}: line 1 ({', '.join(names[:4])}) looks like a row of data. "
            "Write the names of the columns in a line above it."
        )


def long_record(source: Source, separator: str) -> Record | None:
    """The first record with more fields than the header."""
    found = all_records(source.content.decode("utf-8"), separator)
    width = len(next(found)[1])
    return next((record for record in found if len(record[1]) > width), None)


def check_footer(source: Source, frame: pd.DataFrame, *, word: str) -> None:
    """Refuse a last row that sums up the others, or that is a remark below the table."""
    last = frame.iloc[-LAST:]
    for k, name in enumerate(frame.columns):
        for row, value in last.iloc[:, k].items():
            text = value.strip().rstrip(":") if isinstance(value, str) else ""
            if TOTALS.fullmatch(text) and int((frame.iloc[:, k] == value).sum()) == 1:
                raise DataError(
                    f"{source.shown}, {word} {row}: {value.strip()!r} in {str(name)!r} looks like "
                    "a row of totals, which is none of the data. Delete it."
                )
    row, cells = frame.index[-1], frame.iloc[-1]
    first = cells.iloc[0]
    alone = isinstance(first, str) and len(cells) > 1 and bool(cells.iloc[1:].isna().all())
    if alone and (REMARK.match(first.strip()) or len(first.split()) > 2):
        raise DataError(
            f"{source.shown}, {word} {row}: {first.strip()!r} stands alone and looks like a "
            "remark below the table. Delete it."
        )


# the line of each record


def record_lines(content: bytes, separator: str, *, n: int) -> Array | None:
    """The lines, from 1, in which the ``n`` records begin; None where they cannot be told."""
    found = quick_lines(content)
    if len(found) != n:
        text = content.decode("utf-8")
        found = np.array([line for line, _ in all_records(text, separator)], dtype=np.int64)
    return found if len(found) == n else None


def quick_lines(content: bytes) -> Array:
    """Of tables whose quotes are in pairs: a line end between two is inside a field."""
    end = 10 if b"\n" in content else 13
    ends = places(content, end)
    if not content.endswith(bytes([end])):
        ends = np.append(ends, len(content))
    lines = np.arange(1, len(ends) + 1)
    closing = ends
    if b'"' in content:
        outside = np.searchsorted(places(content, 34), ends) % 2 == 0
        closing, lines = ends[outside], lines[outside]
    begins = np.append(0, closing[:-1] + 1)
    first = np.append(1, lines[:-1] + 1)
    # an empty line, or one that has nothing but the other half of a line end
    length = closing - begins
    empty = length == 0
    short = np.flatnonzero(length == 1)
    empty[short] = [content[k] in b"\r \t" for k in begins[short]]
    return np.asarray(first[~empty])


def places(content: bytes, byte: int) -> Array:
    """Where a byte stands, without a mask of the size of the content."""
    buffer = np.frombuffer(content, dtype=np.uint8)
    parts = [
        np.flatnonzero(buffer[start : start + CHUNK] == byte) + start
        for start in range(0, len(buffer), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
