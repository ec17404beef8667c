"""Files into frames, and every refusal with its whole message."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hiermodels import DataError
from hiermodels.command.reading import read_table

UTF_8, LATIN_1 = "y,site\n1,Malmö\n".encode(), "y,site\n1,Malmö\n".encode("latin-1")

#: name of the file: its bytes, encoding, and the message without the folder.
REFUSED = {
    "empty.csv": (b"", "utf-8", "'empty.csv' is empty"),
    "blank.csv": (b"\n\n", "utf-8", "'blank.csv' is empty"),
    "picture.csv": (
        b"\x89PNG\r\n\x00",
        "utf-8",
        "'picture.csv' is not a text file: byte 6 is zero. "
        "Export the table as CSV in UTF-8 from the program that wrote it.",
    ),
    "book.xlsx": (
        b"PK\x03\x04abc",
        "utf-8",
        "'book.xlsx' is a zip archive and damaged: File is not a zip file. "
        "Copy or download it again.",
    ),
    "data.rda": (
        gzip.compress(b"RDX3\nX\n"),
        "utf-8",
        "'data.rda' is R's data: write it with write.csv, or with arrow::write_parquet.",
    ),
    "latin.csv": (
        LATIN_1,
        "utf-8",
        "'latin.csv' is not text in utf-8: byte 13 (0xf6) in line 2 cannot be decoded. "
        "Try --encoding latin-1, or save the file as UTF-8.",
    ),
    "not_16.csv": (
        b"y,x\n1,2\n",
        "utf-16",
        "'not_16.csv' is not text in utf-16: byte 0 (0x79) in line 1 cannot be decoded. "
        "Try --encoding utf-8, or save the file as UTF-8.",
    ),
    "wide.csv": (
        UTF_8.decode().encode("utf-16"),
        "utf-8",
        "'wide.csv' is text in UTF-16. Try --encoding utf-16.",
    ),
    "klingon.csv": (
        UTF_8,
        "klingon",
        "no encoding 'klingon'. Common ones: utf-8, latin-1, cp1252, utf-16, mac-roman.",
    ),
    "long_row.csv": (
        b"y,x\n1,2\n1,2,3\n",
        "utf-8",
        "'long_row.csv': line 3 has 3 fields, the header has 2. "
        "A text with a comma in it must stand in double quotes.",
    ),
    "row_names.csv": (
        b"y,x\na,1,2\nb,3,4\n",
        "utf-8",
        "'row_names.csv': the header names 2 columns, the rows have 3. Name every column in the "
        "first line (R: write.csv with row.names = FALSE).",
    ),
    "quote.csv": (
        b'y,x\n1,"2\n3,4\n',
        "utf-8",
        "'quote.csv': a double quote (\") is opened and never closed.",
    ),
    "semicolons.csv": (
        b"y;x\n1,5;2\n",
        "utf-8",
        "'semicolons.csv' separates its columns by semicolons: y, x. "
        "Give --separator ';', and --decimal ',' if its numbers have a decimal comma.",
    ),
    "decimals.csv": (
        b'y,x,d\n"1,5","2",1.1.24\n,"3",2.1.24\n',
        "utf-8",
        "'decimals.csv', line 2: '1,5' in 'y' has a decimal comma. Give --decimal ','.",
    ),
    "tabs.csv": (
        b"y\tx\n1\t2\n",
        "utf-8",
        "'tabs.csv' separates its columns by tabs: y, x. Give --separator tab.",
    ),
    "commas.tsv": (
        b"y,x\n1,2\n",
        "utf-8",
        "'commas.tsv' separates its columns by commas: y, x. Give --separator ','.",
    ),
}


def message_of(path: Path, encoding: str = "utf-8") -> str:
    with pytest.raises(DataError) as raised:
        read_table(path, encoding=encoding)
    return str(raised.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_place_and_the_repair(name: str, tmp_path: Path) -> None:
    content, encoding, message = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    assert message_of(tmp_path / name, encoding) == message


def test_no_such_file(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_bytes(b"y\n1\n")
    assert message_of(tmp_path / "site.csv") == "no file 'site.csv'. Did you mean 'sites.csv'?"
    gone = tmp_path / "no" / "sites.csv"
    assert message_of(gone) == f"no file 'sites.csv'. There is no folder '{gone.parent}' either."


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    assert message_of(folder) == "'data' is a folder; name a file in it"


def test_a_file_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert message_of(tmp_path / "a.csv") == "cannot read 'a.csv': Permission denied"


@pytest.mark.parametrize(
    ("name", "content", "encoding"),
    [
        ("a.csv", UTF_8, "utf-8"),
        ("a.csv", b"\xef\xbb\xbf" + UTF_8, "utf-8"),
        ("a.csv", LATIN_1, "latin-1"),
        ("a.csv", UTF_8.decode().encode("utf-16"), "utf-16"),
        ("a.TSV", UTF_8.replace(b",", b"\t"), "utf-8"),
    ],
)
def test_read(name: str, content: bytes, encoding: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    frame = read_table(tmp_path / name, encoding=encoding)
    assert frame.to_dict("list") == {"y": [1], "site": ["Malmö"]}


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    """As Excel writes them, with labels and dates that are no numbers."""
    path = tmp_path / "a.csv"
    path.write_bytes("Höhe;Ort;Tag\n1,5;A,1;1.2.2024\n-2;B;3.2.2024\n;;\n".encode("cp1252"))
    frame = read_table(path, encoding="cp1252", separator=";", decimal=",").dropna()
    expected = {"Höhe": [1.5, -2.0], "Ort": ["A,1", "B"], "Tag": ["1.2.2024", "3.2.2024"]}
    assert frame.to_dict("list") == expected
    path.write_text("y;x\n1.5;1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"'1.5' in 'y' has a decimal point. Give --decimal '\.'"):
        read_table(path, separator=";", decimal=",")


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({"separator": ";;"}, "it is one character"),
        ({"decimal": ";"}, "it is '.' or ','"),
        ({"separator": ",", "decimal": ","}, "in numbers, too"),
    ],
)
def test_marks_that_cannot_be(marks: dict[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(UTF_8)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "a.csv", **marks)  # type: ignore[arg-type]
