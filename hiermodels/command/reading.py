"""A text file into a frame, or one clear sentence on why it is not a table.

Nothing is guessed: a file that is no text, in another encoding, with another separator or with rows
of unequal length is refused with the place and the repair, never read wrongly.
"""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hiermodels.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_table"]

#: The separator by the end of the file's name; a comma for all others.
SEPARATORS = {".tsv": "\t", ".tab": "\t"}

#: What can stand in a number before its decimals.
DECIMALS = (".", ",")

#: How files that are no text begin, and what to do about them.
SIGNATURES = {
    b"PK\x03\x04": "a zip archive or an Excel workbook: save the sheet as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV in UTF-8",
    b"\x1f\x8b": "compressed by gzip: unpack it, or, if it is R's, write it with write.csv",
    b"BZh": "compressed by bzip2: unpack it, or, if it is R's, write it with write.csv",
    b"\xfd7zXZ": "compressed by xz: unpack it, or, if it is R's, write it with write.csv",
    b"PAR1": "a Parquet file: read it in Python with pandas.read_parquet",
    b"%PDF": "a PDF: export the table as CSV in UTF-8",
}
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CHUNK = 1 << 20
OTHER_SEPARATORS = {
    ",": ("commas", "Give the file the ending .csv."),
    ";": (
        "semicolons",
        "Give --separator ';', and --decimal ',' if its numbers have a decimal comma.",
    ),
    "\t": ("tabs", "Give the file the ending .tsv."),
    "|": ("bars", "Give --separator '|'."),
}


def read_table(
    path: str | Path,
    *,
    encoding: str = "utf-8",
    separator: str | None = None,
    decimal: str = ".",
) -> pd.DataFrame:
    """The table in a CSV file, or in a TSV file by the end of its name.

    ``separator`` stands between columns, ``decimal`` in numbers: ``";"`` and ``","`` in files that
    Excel writes where numbers have a decimal comma.

    Raises
    ------
    DataError
        No such file, a directory, not to be opened, not text, another encoding, rows of unequal
        length, another separator or decimal mark, nothing in it.
    """
    target = Path(path)
    check_encoding(encoding)
    check_text(target, encoding)
    check_marks(separator, decimal)
    if separator is None:
        separator = SEPARATORS.get(target.suffix.lower(), ",")
    check_separator(target, separator, encoding)
    frame = parse(target, separator, encoding, decimal)
    check_decimals(target, frame, decimal)
    return frame


def check_marks(separator: str | None, decimal: str) -> None:
    if decimal not in DECIMALS:
        raise DataError(f"the decimal mark {decimal!r}; it is {' or '.join(map(repr, DECIMALS))}")
    if separator is not None and len(separator) != 1:
        raise DataError(f"the separator {separator!r}; it is one character, such as ';'")
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


def check_text(path: Path, encoding: str) -> None:
    """Refuse what is no file, no text, or text in another encoding."""
    start = opening(path)
    if not start:
        raise DataError(f"{str(path)!r} is empty")
    for signature, what in SIGNATURES.items():
        if start.startswith(signature):
            raise DataError(f"{str(path)!r} is not a text file; it is {what}.")
    wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    if start.startswith(UTF_16) and not wide:
        raise DataError(f"{str(path)!r} is text in UTF-16. Try --encoding utf-16.")
    if b"\0" in start and not wide:
        raise DataError(
            f"{str(path)!r} is not a text file: byte {start.index(0)} is zero. "
            "Export the table as CSV in UTF-8 from the program that wrote it."
        )
    check_decodes(path, encoding)


def opening(path: Path) -> bytes:
    """The first bytes of a file, or why there are none."""
    try:
        with path.open("rb") as file:
            return file.read(CHUNK)
    except FileNotFoundError:
        raise DataError(f"no file {str(path)!r}.{similar_file(path)}") from None
    except IsADirectoryError:
        raise DataError(f"{str(path)!r} is a folder; name a CSV file in it") from None
    except OSError as error:
        if path.is_dir():  # Windows refuses to open a folder in other words
            raise DataError(f"{str(path)!r} is a folder; name a CSV file in it") from None
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from None


def similar_file(path: Path) -> str:
    """A suggestion among the files beside it."""
    if not path.parent.is_dir():
        return f" There is no folder {str(path.parent)!r} either."
    try:
        names = [p.name for p in path.parent.iterdir() if p.is_file()]
    except OSError:
        return ""
    return did_you_mean(path.name, names)


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def check_decodes(path: Path, encoding: str) -> None:
    """Refuse a byte that the encoding does not have, with its position in the file."""
    decoder = codecs.getincrementaldecoder(encoding)()
    read = 0
    kept = 0  # bytes of a character that the end of the last chunk cut in two
    try:
        for chunk in chunks(path):
            decoder.decode(chunk)
            read += len(chunk)
            kept = len(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        at = read - kept + error.start
        other = "latin-1" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else "utf-8"
        raise DataError(
            f"{str(path)!r} is not text in {encoding}: byte {at} "
            f"({error.object[error.start]:#04x}) in line {line_of(path, at)} cannot be decoded. "
            f"Try --encoding {other}, or save the file as UTF-8."
        ) from None


def line_of(path: Path, position: int) -> int:
    """The line, from 1, of a byte of the file."""
    lines, left = 1, position
    for chunk in chunks(path):
        lines += chunk[:left].count(b"\n")
        left -= len(chunk)
        if left <= 0:
            break
    return lines


def parse(path: Path, separator: str, encoding: str, decimal: str) -> pd.DataFrame:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # rows longer than the header are refused below, whichever way pandas tells of them
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path, sep=separator, encoding=encoding, decimal=decimal, low_memory=False
            )
    except pd.errors.EmptyDataError:
        raise DataError(f"{str(path)!r} is empty") from None
    except pd.errors.ParserError as error:
        raise DataError(malformed(path, str(error))) from None
    except pd.errors.ParserWarning as error:
        raise DataError(malformed(path, str(error))) from None
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas takes the first columns as row labels when the header is shorter than the rows
        named = len(frame.columns)
        raise DataError(
            f"{str(path)!r}: the header names {some(named, 'column')}, the rows have "
            f"{named + frame.index.nlevels}. Name every column in the first line (R: write.csv "
            "with row.names = FALSE)."
        )
    return frame


def malformed(path: Path, message: str) -> str:
    """pandas' words on a row that is too long or a quote that is not closed, made readable."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if found:
        expected, line, seen = found.groups()
        return (
            f"{str(path)!r}: line {line} has {seen} fields, the lines before have {expected}. "
            "A text with a comma in it must stand in double quotes."
        )
    if "EOF inside string" in message:
        return f'{str(path)!r}: a double quote (") is opened and never closed.'
    return f"{str(path)!r} is not a table: {message.strip()}"


def check_separator(path: Path, separator: str, encoding: str) -> None:
    """Refuse a header that would be read as one column because its separator is another."""
    with path.open(encoding=encoding, newline="") as file:
        header = next((line.strip("\r\n\ufeff") for line in file if line.strip()), "")
    if separator in header:
        return
    for other, (what, repair) in OTHER_SEPARATORS.items():
        if other in header:
            names = ", ".join(next(csv.reader([header], delimiter=other)))
            raise DataError(f"{str(path)!r} separates its columns by {what}: {names}. {repair}")


def check_decimals(path: Path, frame: pd.DataFrame, decimal: str) -> None:
    """Refuse numbers that were read as text, for then each were a category of its own."""
    other = DECIMALS[decimal == "."]
    number = rf"\s*[-+]?\d*(?:{re.escape(other)}\d+)?\s*"
    for name in frame.select_dtypes(exclude=["number", "bool"]).columns:
        values = frame[name].dropna().astype(str)
        marked = values[values.str.contains(other, regex=False)]
        if len(marked) and bool(values.str.fullmatch(number).all()):
            word = "comma" if other == "," else "point"
            raise DataError(
                f"{str(path)!r}: the numbers in {str(name)!r} have a decimal {word}, such as "
                f"{marked.iloc[0].strip()}. Give --decimal {other!r}."
            )


def some(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
