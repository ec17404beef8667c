"""Files as people have them: the command line reads each, or refuses it with one message.

The folder ``files`` has a table of 24 dragons (score, length, site), as it comes out of
spreadsheets, instruments and other programs. `Model.fit` is replaced by a posterior made up.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from made_up import posterior
from typer.testing import CliRunner, Result

import hiermodels as hm
from hiermodels.command import cli, sources
from hiermodels.command.reading import read_table
from hiermodels.fitting import Model
from hiermodels.formula import parse
from hiermodels.report.code import python_code
from hiermodels.results import Fit
from hiermodels.roles import find_roles

FOLDER = Path(__file__).parent / "files"
FORMULA = "score ~ length + (1 | site)"
RUN = CliRunner()
C = " If the values are labels, write C(length) in the formula."
SITES = tuple(f"S{k}" for k in range(6))


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """What would be fitted, in the folder of the files."""
    made: list[Fit] = []

    def quick(self: Model, **settings: Any) -> Fit:
        tree = xr.DataTree.from_dict({"posterior": posterior(self.design)})
        made.append(Fit(design=self.design, priors=self.priors, idata=tree))
        return made[-1]

    monkeypatch.setattr(Model, "fit", quick)
    monkeypatch.chdir(FOLDER)
    return made


def run(*arguments: str, text: bytes | None = None) -> Result:
    result = RUN.invoke(cli.app, list(arguments), input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def no_number(value: str, *, na: str | None = None) -> str:
    return (
        f"'{value}' in 'length' is no number, but the other values are. Correct it, or, where it "
        f"means missing, give {na or f'--na {value!r}'}.{C}"
    )


#: A file, further options, and the message behind its name.
REFUSED: dict[str, tuple[list[str], str]] = {
    "one_dash.csv": ([], f", line 9: {no_number('-')}"),
    "windows.csv": ([], f", line 9: {no_number('-')}"),
    "lines_in_cells.csv": ([], f", line 17: {no_number('-')}"),
    "one_text.xlsx": ([], f", row 9: {no_number('n.a.')}"),
    "one_text.ndjson": ([], f", line 5: {no_number('-')}"),
    "two_words.csv": (
        [],
        f", line 9 and 1 more: {no_number('n.d.', na="--na 'n.d.' --na 'lost'")}",
    ),
    "bad_score.csv": (
        [],
        ", line 2: '?' in 'score' is no number, but the other values are. Correct it, or, where it "
        "means missing, give --na '?'.",
    ),
    "one_bound.csv": (
        [],
        ", line 9: '<0.01' in 'length' is a bound, not a number. Write a number for it, or, where "
        f"it means missing, give --na '<0.01'.{C}",
    ),
    "one_unit.csv": (
        [],
        ", line 9: '3.2 kg' in 'length' has a unit, 'kg'. Write numbers alone, and the unit into "
        f"the header.{C}",
    ),
    "one_percent.csv": (
        [],
        ", line 9: '45%' in 'length' has a unit, '%'. Write numbers alone, and the unit into "
        f"the header.{C}",
    ),
    "all_kg.csv": (
        [],
        ", line 2 and 23 more: '1.3 kg' in 'length' has a unit, 'kg'. Write numbers alone, and the "
        f"unit into the header.{C}",
    ),
    "all_percent.csv": (
        [],
        ", line 2 and 23 more: '1.3%' in 'length' has a unit, '%'. Write numbers alone, and the "
        f"unit into the header.{C}",
    ),
    "one_dash_as_minus.csv": (
        [],
        ", line 9: '−1.5' in 'length' has a dash that is not the minus of a keyboard, U+002D. "
        f"Replace it in the file.{C}",
    ),
    "one_comma.csv": (
        [],
        ", line 9: '1,5' in 'length' has a decimal comma, but numbers of 'length' have a decimal "
        "point. Write all numbers of the file with the same mark.",
    ),
    "mixed_decimals.csv": (
        [],
        ", line 2 and 23 more: '1,3' in 'length' has a decimal comma, but numbers of 'score' have "
        "a decimal point. Write all numbers of the file with the same mark.",
    ),
    "decimal_comma.csv": (
        [],
        ", line 2 and 23 more: '1,3' in 'length' has a decimal comma. Give --decimal ','.",
    ),
    "thousands.csv": (
        [],
        ", line 2 and 23 more: '7,540' in 'length' has a mark between thousands. "
        "Give --thousands ','.",
    ),
    "millions.csv": (
        [],
        ", line 2 and 23 more: '5,840,450.0' in 'length' has a mark between thousands. "
        "Give --thousands ','.",
    ),
    "swiss.csv": (
        [],
        ", line 2 and 23 more: '38’339' in 'length' has a mark between thousands. "
        "Give --thousands '’'.",
    ),
    "thousands_or_decimals.csv": (
        [],
        ", line 2 and 23 more: '7,540' in 'length' can be 7540 or 7.540. Give --thousands ',' for "
        "7540, or --decimal ',' for 7.540.",
    ),
    "german.csv": (
        ["--separator", ";", "--decimal", ","],
        ", line 2 and 23 more: '1.201,6' in 'length' has a mark between thousands. "
        "Give --thousands '.'.",
    ),
    "units_row.csv": (
        [],
        ", line 2: 'points' in 'score', 'm' in 'length', above numbers, looks like a row of units. "
        "Delete it, or write the units into the header.",
    ),
    "total_row.csv": (
        [],
        ", line 26: 'Total' in 'site' looks like a row of totals, which is none of the data. "
        "Delete it.",
    ),
    "mean_row.csv": (
        [],
        ", line 26: 'Mean' in 'score' looks like a row of totals, which is none of the data. "
        "Delete it.",
    ),
    "remark.csv": (
        [],
        ", line 26: '* measured in spring' stands alone and looks like a remark below the table. "
        "Delete it.",
    ),
    "title.csv": (
        [],
        ": line 1 looks like a title ('Table 1. Dragons of six sites'); the names of the columns "
        "stand in line 2. Delete what is above them.",
    ),
    "title_of_excel.csv": (
        [],
        ": lines 1 to 2 look like a title ('Dragons'); the names of the columns stand in line 3. "
        "Delete what is above them.",
    ),
    "title.xlsx": (
        [],
        ", row 1: 'Dragons of six sites' stands alone and looks like a title. Delete the rows "
        "above the names of the columns.",
    ),
    "instrument.csv": (
        [],
        ": lines 1 to 2 look like a title ('Device: LUX 3'); the names of the columns stand in "
        "line 4. Delete what is above them.",
    ),
    "twice_the_header.csv": (
        [],
        ", line 26: 'score' in 'score' repeats the header. Delete that line.",
    ),
    "trailing_comma.csv": (
        [],
        ": line 2 ends with ',', and so has one field more than the header. Delete the ',' at the "
        "ends of lines, or end the header with it, too.",
    ),
    "one_trailing_comma.csv": (
        [],
        ": line 5 ends with ',', and so has one field more than the header. Delete the ',' at the "
        "ends of lines, or end the header with it, too.",
    ),
    "hint_of_excel.csv": (
        [],
        ": line 1 is 'sep=;', a note for Excel above the header. Delete that line, and give "
        "--separator ';'.",
    ),
    "semicolons.csv": (
        [],
        " separates its columns by semicolons: score, length, site. Give --separator ';', and "
        "--decimal ',' if its numbers have a decimal comma.",
    ),
    "tabs.txt": (
        [],
        " separates its columns by tabs: score, length, site. Give --separator tab.",
    ),
    "aligned.txt": (
        [],
        " aligns its columns by spaces: score, length, site. Give --separator space.",
    ),
    "same_name.csv": (
        [],
        ": more than one column is called 'length'. Rename all but one in the header.",
    ),
    "no_header.csv": (
        [],
        ": line 1 (20.0, 1.3, S0) looks like a row of data. Write the names of the "
        "columns in a line above it.",
    ),
    "row_names_of_r.csv": (
        [],
        ": the header names 3 columns, the rows have 4. Name every column in the first line (R: "
        "write.csv with row.names = FALSE).",
    ),
    "broken.jsonl": (
        [],
        ", line 4: not JSON (Expecting ':' delimiter, column 22). JSON lines have one object in "
        'each line, such as {"y": 1.5, "site": "A"}.',
    ),
    "two_files.zip": (
        [],
        " is a zip archive of 2 files: a.csv, b.csv. Unpack the one with the table.",
    ),
    "two_sheets.xlsx": (
        [],
        " has 2 sheets with something in them: '2023', '2024'. Give --sheet '2023', or another.",
    ),
}


@pytest.mark.usefixtures("fits")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    options, message = REFUSED[name]
    result = run("fit", name, FORMULA, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"DataError: '{name}'{message}\n"


@pytest.mark.usefixtures("fits")
def test_text_with_as_many_levels_as_rows() -> None:
    assert run("fit", "as_many_as_rows.csv", FORMULA).stderr == (
        "DataError: the predictor 'length' is text with 24 different values in 24 rows, such as "
        "'dragon 0': each would be a coefficient, and hardly one could be told from the noise. "
        "Leave it out, or take it as a grouping factor that has several rows in each level.\n"
    )


DROPPED = "Warning: {} of 24 rows dropped, missing values: {}\n"
#: A file, further options: the rows, the levels of the site, what is said on stderr.
READ: dict[tuple[str, ...], tuple[int, tuple[Any, ...], str]] = {
    ("dragons.csv",): (24, SITES, ""),
    ("dragons.csv.gz",): (24, SITES, ""),
    ("dragons.csv.bz2",): (24, SITES, ""),
    ("dragons.csv.xz",): (24, SITES, ""),
    ("dragons.csv.zst",): (24, SITES, ""),
    ("dragons.zip",): (24, SITES, ""),
    ("dragons.xlsx",): (24, SITES, ""),
    ("dragons.jsonl",): (24, SITES, ""),
    ("list.json",): (24, SITES, ""),
    ("mac.csv",): (24, SITES, ""),
    ("doses.csv",): (24, SITES, ""),
    ("spaces_in_header.csv",): (24, SITES, ""),
    ("all_trailing_commas.csv",): (24, SITES, ""),
    ("same_unused_name.csv",): (24, SITES, ""),
    ("two_sheets.xlsx", "--sheet", "2024"): (12, SITES, ""),
    ("tabs.txt", "--separator", "tab"): (24, SITES, ""),
    ("aligned.txt", "--separator", "space"): (24, SITES, ""),
    ("semicolons.csv", "--separator", ";"): (24, SITES, ""),
    ("german.csv", "--separator", ";", "--decimal", ",", "--thousands", "."): (24, SITES, ""),
    ("thousands.csv", "--thousands", ","): (24, SITES, ""),
    ("millions.csv", "--thousands", ","): (24, SITES, ""),
    ("swiss.csv", "--thousands", "’"): (24, SITES, ""),
    ("one_dash.csv", "--na", "-"): (
        23,
        SITES,
        "Warning: taken as missing: '-' in 1 row of 'length'.\n"
        + DROPPED.format(1, "1 in 'length'"),
    ),
    ("two_words.csv", "--na", "n.d.", "--na", "lost"): (
        22,
        SITES,
        "Warning: taken as missing: 'n.d.' in 1 row of 'length'; 'lost' in 1 row of 'length'.\n"
        + DROPPED.format(2, "2 in 'length'"),
    ),
    ("zeros.csv",): (24, ("01", "010", "02", "1", "10", "2"), ""),
    ("versions.csv",): (24, ("1.1", "1.10", "1.2", "1.20", "1.3", "1.30"), ""),
    ("long_ids.csv",): (
        18,
        (12345678901234561, 12345678901234562, 12345678901234563),
        DROPPED.format(6, "6 in 'site'"),
    ),
    ("long_ids.parquet",): (
        20,
        tuple(12345678901234560 + k for k in (0, 1, 2, 4, 5)),
        DROPPED.format(4, "4 in 'site'"),
    ),
    ("long_ids.feather",): (
        20,
        tuple(12345678901234560 + k for k in (0, 1, 2, 4, 5)),
        DROPPED.format(4, "4 in 'site'"),
    ),
    ("countries.csv",): (
        12,
        ("DE", "FR", "SE"),
        "Warning: taken as missing: 'NA' in 4 rows of 'site'; 'None' in 4 rows of 'site'. If 'NA' "
        "is a label, list with --na what is missing; --na '' for empty cells alone.\n"
        + DROPPED.format(12, "12 in 'site'"),
    ),
    ("countries.csv", "--na", ""): (
        20,
        ("DE", "FR", "NA", "None", "SE"),
        DROPPED.format(4, "4 in 'site'"),
    ),
}


@pytest.mark.parametrize("case", READ, ids=" ".join)
def test_read(case: tuple[str, ...], fits: list[Fit]) -> None:
    rows, levels, said = READ[case]
    result = run("fit", case[0], FORMULA, *case[1:])
    assert (result.exit_code, result.stderr) == (0, said)
    design = fits[0].design
    assert design.n == rows
    assert set(design.blocks[0].levels) == set(levels)


def test_every_file_has_a_case() -> None:
    cases = {*REFUSED, *(case[0] for case in READ), "as_many_as_rows.csv"}
    assert {path.name for path in FOLDER.iterdir()} == cases


def test_the_numbers_are_the_same_however_they_are_packed(fits: list[Fit]) -> None:
    plain = pd.read_csv("dragons.csv")
    for name in ("dragons.csv.zst", "dragons.zip", "dragons.xlsx", "dragons.jsonl", "list.json"):
        assert run("fit", name, FORMULA).exit_code == 0
        np.testing.assert_array_equal(fits[-1].design.response, plain["score"], err_msg=name)
        np.testing.assert_array_equal(fits[-1].design.rows.frame["length"], plain["length"])
    marks = ["--separator", ";", "--decimal", ",", "--thousands", "."]
    assert run("fit", "german.csv", FORMULA, *marks).exit_code == 0
    expected = pd.read_csv("german.csv", sep=";", decimal=",", thousands=".")
    np.testing.assert_array_equal(fits[-1].design.rows.frame["length"], expected["length"])
    assert run("fit", "swiss.csv", FORMULA, "--thousands", "’").exit_code == 0
    text = pd.read_csv("swiss.csv")["length"].str.replace("’", "")
    np.testing.assert_array_equal(fits[-1].design.rows.frame["length"], text.astype(int))


# lines


def test_rows_are_the_lines_of_the_file(fits: list[Fit]) -> None:
    """Those where each begins, also behind empty lines and cells of two lines."""
    assert run("fit", "lines_in_cells.csv", FORMULA, "--na", "-").exit_code == 0
    index = fits[0].design.index
    assert index.name == "line"
    assert list(index) == [3 + 2 * k for k in range(24) if k != 7]
    text = Path("lines_in_cells.csv").read_text(encoding="utf-8").splitlines()
    scores = [float(text[line - 1].split(",")[0]) for line in index]
    np.testing.assert_array_equal(scores, fits[0].design.response)
    assert run("fit", "dragons.csv", FORMULA).exit_code == 0
    path = Path("dragons.csv").read_text(encoding="utf-8").splitlines()
    assert [float(path[line - 1].split(",")[0]) for line in fits[-1].design.index] == list(
        fits[-1].design.response
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("note", ["plain", '"two\nlines"', '5" pipe', '"a ""b"" c"', '""'])
def test_lines_with_quotes_and_other_line_ends(end: str, note: str, tmp_path: Path) -> None:
    """Against counting by hand: line 6 of one-line rows, or the sum of the lines before."""
    rows = [f"{k},{'0' if k == 3 else '2'},{note.replace(chr(10), end)}" for k in range(1, 9)]
    text = end.join(["y,x,note", "", *rows[:2], "", *rows[2:]]) + end
    (tmp_path / "a.csv").write_bytes(text.encode())
    frame = read_table(tmp_path / "a.csv", roles=find_roles([parse("y ~ log(x)")]))
    with pytest.raises(hm.DataError) as raised:
        Model("y ~ log(x)", frame)
    # the lines end before the third row: header, two empty lines, two rows
    before = 3 + 2 * (2 if "\n" in note else 1)
    assert f"not a finite number in line {before + 1}," in str(raised.value)


def test_names_that_are_no_totals(tmp_path: Path) -> None:
    """A person, and a label that several rows have."""
    people = [f"{k},{k % 3},{name}" for k, name in enumerate(["Total", "Ann", "Ben"] * 4 + ["Max"])]
    (tmp_path / "a.csv").write_text("\n".join(["y,x,who", *people]), encoding="utf-8")
    assert len(read_table(tmp_path / "a.csv")) == 13


def test_tables_without_rows(tmp_path: Path) -> None:
    empty = pd.DataFrame({"y": [], "x": []})
    empty.to_csv(tmp_path / "a.csv", index=False)
    empty.to_parquet(tmp_path / "a.parquet")
    empty.to_excel(tmp_path / "a.xlsx", index=False)
    (tmp_path / "a.json").write_text("[]", encoding="utf-8")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(hm.DataError, match=f"'{path}' has a header and no rows"):
            read_table(path, roles=find_roles([parse("y ~ x")]))


# standard input


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input(name: str, fits: list[Fit]) -> None:
    text = Path("dragons.csv").read_bytes()
    assert run("fit", name, FORMULA, text=text).exit_code == 0
    assert run("fit", name, FORMULA, text=gzip.compress(text)).exit_code == 0
    assert [fit.design.n for fit in fits] == [24, 24]
    message = run("fit", name, FORMULA, text=Path("one_dash.csv").read_bytes()).stderr
    assert message == f"DataError: standard input, line 9: {no_number('-')}\n"
    assert run("fit", name, FORMULA, text=b"").stderr == "DataError: standard input is empty\n"


@pytest.mark.skipif(os.name == "nt", reason="pipes of a POSIX shell")
def test_standard_input_and_a_pipe_of_the_shell() -> None:
    """Each can be read once; the formula has no such column, so nothing is fitted."""
    pipe = f"cat {FOLDER / 'dragons.csv'} | {sys.executable} -c '{MAIN}' fit - 'score ~ gone'"
    place = f"{sys.executable} -c '{MAIN}' fit <(cat {FOLDER / 'dragons.csv'}) 'score ~ gone'"
    for command in (pipe, place):
        done = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ),
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith("columns: score, length, site.\n")


MAIN = "from hiermodels.command.cli import main; main()"


def test_standard_input_in_a_file_of_settings(
    fits: list[Fit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text(f'data = "-"\nformula = "{FORMULA}"\nna = ["-"]\n')
    result = run(
        "fit", "--config", str(tmp_path / "a.toml"), text=Path("one_dash.csv").read_bytes()
    )
    assert result.exit_code == 0
    assert fits[0].design.n == 23
    assert "data_file" not in fits[0].idata["posterior"].attrs


@pytest.mark.usefixtures("fits")
def test_every_command_reads_the_same() -> None:
    for command in (["fit"], ["pooling"], ["compare", "-"]):
        formulas = [FORMULA, "score ~ 1 + (1 | site)"] if command[1:] else [FORMULA]
        result = run(command[0], "one_text.xlsx", *formulas)
        assert result.stderr == f"DataError: 'one_text.xlsx', row 9: {no_number('n.a.')}\n"


# sizes


@pytest.mark.parametrize("kind", ["gz", "bz2", "zip", "xlsx", "parquet"])
def test_a_small_file_cannot_fill_the_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "FEW", 1 << 20)
    monkeypatch.setattr(sources, "TIMES", 10)
    monkeypatch.setattr("hiermodels.command.typed_files.MOST", 1 << 20)
    text = b"y,x\n" + b"1,2\n" * 500_000
    packed = {"gz": gzip.compress, "bz2": bz2.compress}.get(kind, zipped)(text)
    if kind == "xlsx":
        packed = zipped(b"<row/>" * 500_000, name="xl/sheet.xml", beside="[Content_Types].xml")
    if kind == "parquet":
        target = io.BytesIO()
        pd.DataFrame({"y": np.ones(500_000)}).to_parquet(target)
        packed = target.getvalue()
    assert len(packed) < 20_000
    (tmp_path / f"a.{kind}").write_bytes(packed)
    with pytest.raises(hm.DataError, match=r"would be more than 1 MB in memory, from 0\.0\d MB"):
        read_table(tmp_path / f"a.{kind}")


def zipped(content: bytes, *, name: str = "a.csv", beside: str | None = None) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        if beside:
            archive.writestr(beside, b"")
    return target.getvalue()


def test_damaged_files(tmp_path: Path) -> None:
    text = (FOLDER / "dragons.csv").read_bytes()
    cut = {
        "a.gz": gzip.compress(text)[:-20],
        "a.bz2": bz2.compress(text)[:-20],
        "a.xz": (FOLDER / "dragons.csv.xz").read_bytes()[:-40],
        "a.zst": pa.compress(text, codec="zstd", asbytes=True)[:-20],
        "a.zip": zipped(text)[:-10],
        "a.parquet": (FOLDER / "long_ids.parquet").read_bytes()[:-20],
        "a.feather": (FOLDER / "long_ids.feather").read_bytes()[:-20],
        "a.xlsx": zipped(b"<x", name="xl/workbook.xml", beside="[Content_Types].xml"),
    }
    for name, content in cut.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(hm.DataError, match=r"damaged: .+\. Copy or download it again"):
            read_table(tmp_path / name)


OTHERS = {
    "old.xls": (b"\xd0\xcf\x11\xe0abc", "an old Excel workbook"),
    "page.csv": (b"<!DOCTYPE html><table>", "a web page"),
    "a.docx": (zipped(b"", name="word/document.xml", beside="[Content_Types].xml"), "a Word"),
    "a.ods": (zipped(b"", name="mimetype", beside="content.xml"), "an OpenDocument"),
    "a.sav": (b"$FL2@(#)", "SPSS data"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_of_files(name: str, tmp_path: Path) -> None:
    content, what = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(hm.DataError, match=f"is {what}"):
        read_table(tmp_path / name)


def test_a_workbook_without_openpyxl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(hm.DataError, match=r"needs openpyxl: pip install 'hiermodels\[excel\]'"):
        read_table(FOLDER / "dragons.xlsx")


# the code that a report shows reads the same


@pytest.mark.parametrize(
    "case",
    [
        ("zeros.csv",),
        ("long_ids.csv",),
        ("countries.csv", "--na", ""),
        ("one_dash.csv", "--na", "-"),
        ("thousands.csv", "--thousands", ","),
        ("aligned.txt", "--separator", "space"),
        ("dragons.xlsx",),
        ("two_sheets.xlsx", "--sheet", "2024"),
        ("dragons.jsonl",),
        ("long_ids.parquet",),
        ("dragons.csv.gz",),
    ],
    ids=" ".join,
)
def test_the_code_of_the_report_reads_the_same(case: tuple[str, ...], fits: list[Fit]) -> None:
    assert run("fit", case[0], FORMULA, *case[1:]).exit_code == 0
    fit = fits[0]
    assert json.loads(fit.idata["posterior"].attrs["data_reading"])["sheet"] in (None, "2024")
    names: dict[str, Any] = {}
    code = python_code(fit, data_file=case[0]).split("\n\nfit = ")[0]
    exec(code, names)  # what the user would run
    ours = fit.design.rows.frame
    theirs = names["data"][list(ours.columns)].dropna()
    for name in ours.columns:
        assert ours[name].tolist() == theirs[name].tolist(), code
