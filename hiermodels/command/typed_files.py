"""Files whose cells have types: Parquet, Feather, Excel workbooks, JSON lines, into a frame.

Whole numbers stay whole where a cell is empty, for they may be labels of seventeen digits.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hiermodels.command.sources import MOST, Source, check_size
from hiermodels.errors import LINE, DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "format_of", "read_typed"]

#: How files begin that are refused, and what they are.
REFUSED = {
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls): save it as .xlsx or CSV",
    b"FEA1": "a Feather file of the first version: write it anew, or as Parquet",
    b"RDX": "R's data: write it with write.csv, or with arrow::write_parquet",
    b"RDA": "R's data: write it with write.csv, or with arrow::write_parquet",
    b"X\n\x00": "R's data: write it with write.csv, or with arrow::write_parquet",
    b"%PDF": "a PDF: export the table as CSV in UTF-8",
    b"$FL": "SPSS data: save them as CSV, or read them with pandas.read_spss in Python",
    b"<stata_dta>": "Stata data: read them with pandas.read_stata in Python",
    b"SQLite format 3\0": "an SQLite database: export its table as CSV",
    b"<!DOCTYPE html": "a web page: download the table itself",
    b"<html": "a web page: download the table itself",
    b"{\\rtf": "a text document (RTF): save its table as CSV",
}
JSON_LINES = (".jsonl", ".ndjson", ".json")


def format_of(source: Source) -> str:
    """The key of `FORMATS`, or ``""`` for a table in text.

    Raises
    ------
    DataError
        A file of another kind, with what it is and what to do about it.
    """
    start = source.content[:64]
    for signature, what in REFUSED.items():
        if start.startswith(signature):
            raise DataError(f"{source.shown} is {what}.")
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"ARROW1"):
        return "feather"
    if start.startswith(b"PK\x03\x04"):
        return workbook_of(source)
    if source.suffix in JSON_LINES or start.lstrip(b"\xef\xbb\xbf \r\n").startswith(b'{"'):
        return "json"
    return ""


def workbook_of(source: Source) -> str:
    with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
        names = archive.namelist()
    if any(name.startswith("xl/") and not name.endswith(".bin") for name in names):
        return "excel"
    kinds = {"word/": "a Word document", "ppt/": "a presentation", "mimetype": "an OpenDocument"}
    what = next((w for k, w in kinds.items() for n in names if n.startswith(k)), "an archive")
    raise DataError(f"{source.shown} is {what}: save its table as .xlsx or CSV.")


def read_typed(source: Source, *, kind: str, sheet: str | None) -> pd.DataFrame:
    """The table; its index has the numbers of the rows as the file counts them."""
    return READERS[kind](source, sheet)


def read_parquet(source: Source, sheet: str | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(source.content))
        metadata = file.metadata
        groups = [metadata.row_group(k).total_byte_size for k in range(metadata.num_row_groups)]
        cells = 8 * metadata.num_rows * metadata.num_columns
        check_size(max(cells, sum(groups)), source, limit=MOST)
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise damaged(source, "a Parquet file", error) from None
    return from_arrow(table)


def read_feather(source: Source, sheet: str | None) -> pd.DataFrame:
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.BufferReader(source.content)) as file:
            batches, size = [], 0
            for k in range(file.num_record_batches):
                batches.append(file.get_batch(k))
                size += batches[-1].nbytes
                check_size(size, source, limit=MOST)
            table = pa.Table.from_batches(batches, schema=file.schema)
    except (pa.ArrowException, OSError) as error:
        raise damaged(source, "a Feather file", error) from None
    return from_arrow(table)


def damaged(source: Source, what: str, error: Exception) -> DataError:
    return DataError(f"{source.shown} is {what} and damaged: {error}. Copy or download it again.")


def from_arrow(table: Any) -> pd.DataFrame:
    import pandas as pd

    whole = {
        dtype.lower(): getattr(pd, f"{dtype}Dtype")()
        for dtype in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
    }
    # whole numbers with a gap would be floats, which have fifteen digits
    frame = table.to_pandas(
        types_mapper=lambda t: whole.get(str(t)), ignore_metadata=True, date_as_object=False
    )
    return numbered(pd.DataFrame(frame), range(1, len(frame) + 1))


def numbered(
    frame: pd.DataFrame, labels: Iterable[int], *, name: str | None = None
) -> pd.DataFrame:
    import pandas as pd

    return frame.set_axis(pd.Index(list(labels), name=name, dtype="int64"), axis="index")


def read_excel(source: Source, sheet: str | None) -> pd.DataFrame:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(
            f"{source.shown} is an Excel workbook, which needs openpyxl: "
            "pip install 'hiermodels[excel]'. Or save the sheet as CSV in UTF-8."
        ) from None
    try:
        with warnings.catch_warnings():
            # of styles and drop-down lists, which are not read
            warnings.simplefilter("ignore", UserWarning)
            book = load_workbook(io.BytesIO(source.content), read_only=True, data_only=True)
            sheets = {page.title: filled_rows(page) for page in book.worksheets}
    # the errors of XML are SyntaxErrors
    except (KeyError, ValueError, OSError, SyntaxError, zipfile.BadZipFile) as error:
        raise damaged(source, "an Excel workbook", error) from None
    rows = sheets[chosen_sheet(source, sheets, sheet)]
    return from_cells(source, rows)


def filled_rows(page: Any) -> list[tuple[int, tuple[Any, ...]]]:
    """The number and the cells of each row that is not empty."""
    return [
        (number, tuple(blank_as_none(cell) for cell in row))
        for number, row in enumerate(page.iter_rows(values_only=True), 1)
        if any(blank_as_none(cell) is not None for cell in row)
    ]


def blank_as_none(cell: Any) -> Any:
    return None if isinstance(cell, str) and not cell.strip() else cell


def chosen_sheet(source: Source, sheets: dict[str, Any], wanted: str | None) -> str:
    """The sheet of this name, or the only one that has something in it."""
    filled = [name for name, rows in sheets.items() if rows]
    if wanted is not None:
        if wanted not in sheets:
            raise DataError(
                f"{source.shown} has no sheet {wanted!r}. Sheets: "
                f"{', '.join(map(repr, sheets))}.{did_you_mean(wanted, sheets)}"
            )
        if wanted not in filled:
            raise DataError(f"the sheet {wanted!r} of {source.shown} is empty")
        return wanted
    if not filled:
        raise DataError(f"{source.shown} is empty")
    if len(filled) > 1:
        raise DataError(
            f"{source.shown} has {len(filled)} sheets with something in them: "
            f"{', '.join(map(repr, filled))}. Give --sheet {filled[0]!r}, or another."
        )
    return filled[0]


def from_cells(source: Source, rows: Sequence[tuple[int, tuple[Any, ...]]]) -> pd.DataFrame:
    """A frame of the rows, of which the first has the names."""
    import pandas as pd

    first, header = rows[0]
    width = max((k + 1 for _, row in rows for k, cell in enumerate(row) if cell is not None))
    given = [*header, *[None] * width][:width]
    names = ["" if cell is None else str(cell).strip() for cell in given]
    if sum(name != "" for name in names) == 1 and width > 1:
        raise DataError(
            f"{source.shown}, row {first}: {next(n for n in names if n)!r} stands alone and looks "
            f"like a title. Delete the rows above the names of the columns."
        )
    cells = [[*row, *[None] * width][:width] for _, row in rows[1:]]
    columns = [column_of([row[k] for row in cells]) for k in range(width)]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    return numbered(frame.set_axis(names, axis="columns"), [number for number, _ in rows[1:]])


def column_of(values: list[Any]) -> pd.Series:
    """Cells of any type, None where there is nothing: numbers as numbers, the rest as it is."""
    import pandas as pd

    types = {type(value) for value in values if value is not None}
    if types == {int}:
        try:
            return pd.Series(pd.array(values, dtype="Int64"))
        except OverflowError:  # labels of twenty digits
            return pd.Series([None if v is None else str(v) for v in values], dtype=object)
    if types and types <= {int, float}:
        return pd.Series(values, dtype=float)
    if types == {bool}:
        return pd.Series(values, dtype="boolean")
    return pd.Series(values, dtype=object).infer_objects()


def read_json(source: Source, sheet: str | None) -> pd.DataFrame:
    """An object in each line; or one list of all of them, whose rows are counted."""
    import pandas as pd

    text = source.content.decode("utf-8-sig")
    if text.lstrip().startswith("["):
        rows = list(enumerate(parsed_json(source, text, 1), 1))
        name = None
    else:
        rows = [
            (k, parsed_json(source, line, k))
            for k, line in enumerate(text.split("\n"), 1)
            if line.strip()
        ]
        name = LINE
    word = name or "row"
    for k, row in rows:
        check_object(source, row, f"{word} {k}")
    names = list(dict.fromkeys(key for _, row in rows for key in row))
    frame = pd.DataFrame({key: column_of([row.get(key) for _, row in rows]) for key in names})
    return numbered(frame, [k for k, _ in rows], name=name)


def parsed_json(source: Source, text: str, line: int) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{source.shown}, line {line}: {twice!r} stands twice in one object")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{source.shown}, line {line + error.lineno - 1}: not JSON ({error.msg}, column "
            f"{error.colno}). JSON lines have one object in each line, such as "
            '{"y": 1.5, "site": "A"}.'
        ) from None


def check_object(source: Source, row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise DataError(f'{source.shown}, {where}: no object, such as {{"y": 1.5}}')
    for key, value in row.items():
        if isinstance(value, (dict, list)):
            raise DataError(f"{source.shown}, {where}: {key!r} has several values, not one")


READERS: dict[str, Callable[[Source, str | None], pd.DataFrame]] = {
    "parquet": read_parquet,
    "feather": read_feather,
    "excel": read_excel,
    "json": read_json,
}
#: The formats whose cells have types.
FORMATS = tuple(READERS)
