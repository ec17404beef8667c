"""A file into a frame, or one clear sentence on why it is not a table.

Nothing is guessed: a file that is no table, in another encoding, with another separator or with
rows of unequal length is refused with the place and the repair, never read wrongly. Labels of
grouping factors are read as they stand; the index of the frame has the lines of the file.
"""

from __future__ import annotations

import codecs
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiermodels.command.cells import (
    Marks,
    Taken,
    check_not_twice,
    labels_of,
    row_word,
    tell_missing,
    with_numbers,
    without_missing,
)
from hiermodels.command.lines import (
    check_footer,
    check_header,
    check_lines,
    header_of,
    long_record,
    record_lines,
    too_long,
)
from hiermodels.command.sources import Source, read_source
from hiermodels.command.typed_files import FORMATS, format_of, read_typed
from hiermodels.errors import LINE, DataError
from hiermodels.roles import Roles

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_table"]

#: The separator by the end of the file's name; a comma for all others.
SEPARATORS = {".tsv": "\t", ".tab": "\t"}
#: Separators by name, for a shell in which they are hard to type.
NAMED = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";"}

#: What can stand in a number before its decimals.
DECIMALS = (".", ",")
#: What can stand between thousands.
THOUSANDS = (",", ".", " ", "'", "_", "\u2019")

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_table(
    path: str | Path,
    *,
    encoding: str = "utf-8",
    separator: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    na: Sequence[str] | None = None,
    sheet: str | None = None,
    roles: Roles | None = None,
) -> pd.DataFrame:
    """The table in a file: text, an Excel workbook, Parquet, Feather or JSON lines.

    ``separator`` stands between columns, ``decimal`` and ``thousands`` in numbers: ``";"``,
    ``","`` and ``"."`` in files that Excel writes where numbers have a decimal comma. ``na`` are
    the texts that mean missing instead of the usual ones. ``roles`` says which columns the model
    uses and as what; without it every column may have numbers.

    Raises
    ------
    DataError
        No such file, a folder, not to be opened, no table, another encoding, rows of unequal
        length, another separator or decimal mark, numbers that are text, nothing in it.
    """
    check_encoding(encoding)
    separator = NAMED.get(separator or "", separator)
    check_marks(separator, decimal, thousands)
    marks = Marks(
        encoding=encoding,
        separator=separator,
        decimal=decimal,
        thousands=thousands,
        na=None if na is None else tuple(na),
    )
    source = read_source(path)
    kind = format_of(source)
    if sheet is not None and kind != "excel":
        raise DataError(f"--sheet {sheet!r}: {source.shown} is no Excel workbook")
    if kind in ("", "json"):
        source = replace(source, content=in_utf_8(source, encoding))
    if kind in FORMATS:
        frame = read_typed(source, kind=kind, sheet=sheet)
        # a text "NA" is typed in by somebody in a workbook; the other formats have their own word
        absent = marks.missing if kind == "excel" or na is not None else ()
        frame, taken = without_missing(frame, absent)
    else:
        frame, taken = read_text(source, marks, roles)
    if frame.empty:
        raise DataError(f"{source.shown} has a header and no rows")
    used = [str(c) for c in dict.fromkeys(frame.columns) if roles is None or c in roles.every]
    check_not_twice(source, frame, used if roles is not None else [])
    check_footer(source, frame, word=row_word(frame))
    frame = with_numbers(source, frame, marks, roles, taken=taken)
    tell_missing({name: taken[name] for name in used if taken.get(name)}, roles)
    return frame


def check_marks(separator: str | None, decimal: str, thousands: str | None) -> None:
    if decimal not in DECIMALS:
        raise DataError(f"the decimal mark {decimal!r}; it is {' or '.join(map(repr, DECIMALS))}")
    if thousands is not None and (thousands not in THOUSANDS or thousands == decimal):
        possible = ", ".join(repr(m) for m in THOUSANDS if m != decimal)
        raise DataError(f"the mark {thousands!r} between thousands; it is one of {possible}")
    if separator is not None and len(separator) != 1:
        raise DataError(
            f"the separator {separator!r}; it is one character, such as ';', or tab or space"
        )
    if separator == decimal:
        raise DataError(f"{decimal!r} cannot stand between columns and in numbers, too")


def check_encoding(encoding: str) -> None:
    try:
        b" ".decode(encoding)
    except UnicodeDecodeError:  # two or four bytes to a character
        return
    except (LookupError, ValueError):
        raise DataError(
            f"no encoding {encoding!r}. Common ones: utf-8, latin-1, cp1252, utf-16, mac-roman."
        ) from None


def in_utf_8(source: Source, encoding: str) -> bytes:
    """The text in UTF-8, or why it is no text in this encoding."""
    content = source.content
    name = encoding.lower().replace("_", "-")
    wide = name.startswith(("utf-16", "utf-32"))
    if content.startswith(UTF_16) and not wide:
        raise DataError(f"{source.shown} is text in UTF-16. Try --encoding utf-16.")
    if b"\0" in content and not wide:
        raise DataError(
            f"{source.shown} is not a text file: byte {content.index(0)} is zero. "
            "Export the table as CSV in UTF-8 from the program that wrote it."
        )
    narrow = name in ("utf-8", "utf8")
    try:
        # unlike bytes.decode, it misses the byte order mark of UTF-16
        text = codecs.getincrementaldecoder(encoding)().decode(content, final=True)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{source.shown} is not text in {encoding}: byte {error.start} "
            f"({content[error.start]:#04x}) in line {line} cannot be decoded. "
            f"Try --encoding {'latin-1' if narrow else 'utf-8'}, or save the file as UTF-8."
        ) from None
    found = content if narrow else text.encode("utf-8")
    return found.removeprefix(codecs.BOM_UTF8)


def read_text(source: Source, marks: Marks, roles: Roles | None) -> tuple[pd.DataFrame, Taken]:
    """The frame of a table in text, and by column what was taken as missing, and how often."""
    separator = marks.separator or SEPARATORS.get(source.suffix, ",")
    check_lines(source, separator)
    names = [name.strip() for name in header_of(source, separator)]
    if roles is not None:
        check_header(source, names, roles.every)
    as_text = set() if roles is None else roles.labels | roles.categories
    dtype = {k: str for k, name in enumerate(names) if name in as_text}
    frame = parse(source, separator, marks, dtype=dtype, na=marks.missing)
    frame.columns = names[: len(frame.columns)]
    lines = record_lines(source.content, separator, n=len(frame) + 1)
    frame.index = line_index(lines, len(frame))
    taken = taken_as_missing(source, separator, marks, frame, roles)
    frame = frame[frame.notna().any(axis=1)]
    if roles is not None:
        once = {name for name in as_text if names.count(name) == 1}
        columns = {n: labels_of(frame[n], label=n in roles.labels) for n in once}
        frame = frame.assign(**columns)
    return frame, taken


def line_index(lines: Any, n: int) -> pd.Index:
    """The line of each row; where it cannot be told, the rows from 1."""
    import pandas as pd

    if lines is None:
        return pd.RangeIndex(1, n + 1)
    return pd.Index(lines[1:], name=LINE, dtype="int64")


def parse(
    source: Source,
    separator: str,
    marks: Marks,
    *,
    dtype: Mapping[int, type] | type,
    na: Iterable[str],
    usecols: list[int] | None = None,
) -> pd.DataFrame:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # rows longer than the header are refused below, whichever way pandas tells of them
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.BytesIO(source.content),
                sep=r"\s+" if separator == " " else separator,
                decimal=marks.decimal,
                dtype=dtype,
                keep_default_na=False,
                na_values=["", *na],
                usecols=usecols,
                low_memory=False,
            )
    except pd.errors.EmptyDataError:
        raise DataError(f"{source.shown} is empty") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(malformed(source, separator, str(error))) from None
    return frame


def malformed(source: Source, separator: str, message: str) -> str:
    """pandas' words on a row that is too long or a quote that is not closed, made readable."""
    if "EOF inside string" in message:
        return f'{source.shown}: a double quote (") is opened and never closed.'
    long = long_record(source, separator)
    if long is None:
        return f"{source.shown} is not a table: {message.strip()}"
    return too_long(source, separator, long, width=len(header_of(source, separator)))


def taken_as_missing(
    source: Source, separator: str, marks: Marks, frame: pd.DataFrame, roles: Roles | None
) -> Taken:
    """By column the texts that were taken as missing, empty ones apart, and their rows."""
    at = [
        k
        for k, name in enumerate(frame.columns)
        if (roles is None or name in roles.every) and frame.iloc[:, k].isna().any()
    ]
    if not at:
        return {}
    raw = parse(source, separator, marks, dtype=str, na=(), usecols=at)
    found = {}
    for place, k in enumerate(at):
        gone = raw.iloc[:, place][frame.iloc[:, k].isna().to_numpy()].dropna()
        found[str(frame.columns[k])] = {str(t): int(n) for t, n in gone.value_counts().items()}
    return found
