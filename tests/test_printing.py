"""Tables on their way out: the same cells everywhere, user text escaped."""

import html
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pandas as pd
import pytest
from made_up import made_up_fit, table

import hiermodels as hm
from hiermodels.printing import Table

NASTY = "50% & <b>_x_</b> $y$ #1 {~^\\|}"


@pytest.fixture(scope="module")
def nasty():
    data = table().assign(pop=lambda d: NASTY + d["pop"])
    return made_up_fit("y ~ x + (1 | pop)", data).coef()


class Cells(HTMLParser):
    """The texts of the cells of a table."""

    def __init__(self):
        super().__init__()
        self.rows, self.inside = [], False

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th")
        if self.inside:
            self.rows[-1].append("")
        assert tag != "b"

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self.inside = False


def test_html_has_the_cells(nasty):
    reader = Cells()
    reader.feed(nasty.to_html())
    head, rows = nasty.cells(max_rows=99, repeat_keys=True)
    assert reader.rows == [list(head), *rows]
    assert any("[" in cell for cell in rows[0])


def test_markdown_has_the_cells(nasty):
    head, rows = nasty.cells(max_rows=99, repeat_keys=True)
    lines = [line for line in nasty.to_markdown().splitlines() if line.startswith("|")]
    assert len(lines) == len(rows) + 2
    assert "\\|" in lines[2]
    assert nasty.to_markdown() == nasty.markdown()
    assert lines[0] == "| " + " | ".join(head) + " |"


def test_latex_escapes(nasty):
    text = nasty.to_latex()
    assert r"50\% \& \textless{}b\textgreater{}\_x\_" in text
    assert r"\$y\$ \#1 \{\textasciitilde{}\textasciicircum{}\textbackslash{}\textbar{}\}" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert {line.count(" & ") for line in body} == {len(nasty.cells(max_rows=9)[0]) - 1}
    assert r"\begin{tabular}{lllrrrr}" in text


def test_latex_compiles(nasty, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    page = (
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}"
        rf"\begin{{document}}{nasty.to_latex()}\end{{document}}"
    )
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "page.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


def test_a_great_table_has_the_cells(nasty):
    pytest.importorskip("great_tables", reason="the extra 'tables' is not installed")
    made = Table(nasty, title=NASTY, note="V_g of *all* levels, " + NASTY).gt()
    page = made.as_raw_html()
    reader = Cells()
    reader.feed(page[page.index("<table") :])
    head, rows = nasty.cells(max_rows=99, repeat_keys=True)
    (title,), *body, _ = reader.rows
    assert title == NASTY
    assert body == [list(head), *rows]
    assert (
        html.escape("V_g of *all* levels, " + NASTY, quote=False) in page
    )  # in a span of its cell
    heads = re.findall(r'gt_right"[^>]*id="(\w+)"', page)
    assert heads == ["estimate", "sd", "n", "shrinkage"]
    assert r"50\% \& \textless{}b\textgreater{}\_x\_" in made.as_latex()


def test_without_great_tables_it_says_what_else(nasty, monkeypatch):
    monkeypatch.setitem(sys.modules, "great_tables", None)
    with pytest.raises(hm.NotAvailableError, match=r"pip install .*to_latex"):
        nasty.gt()


def test_files_are_written(nasty, tmp_path):
    for method, name in ((nasty.to_markdown, "a.md"), (nasty.to_latex, "a.tex")):
        text = method(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == text + "\n"


def test_long_tables_are_whole_outside_the_terminal():
    data = table(n=900).assign(plot=[i // 2 for i in range(900)])
    found = made_up_fit("y ~ 1 + (1 | plot)", data).coef()
    assert "… " in found.text()
    assert found.to_html().count("<tr>") == 451
    assert found.to_latex().count(r"\\") == 451


def test_what_pandas_makes_of_a_table_prints():
    fixef = made_up_fit("y ~ x + (1 | pop)", table()).fixef()
    by_term = fixef.set_index("term")
    assert by_term.cells(max_rows=9)[0] == ("term", "estimate", "sd")
    assert [row[0] for row in by_term.cells(max_rows=9)[1]] == ["Intercept", "x"]
    assert by_term.text().splitlines()[1:] == fixef.text().splitlines()[1:]
    beside = pd.concat({"a": by_term, "b": by_term}, axis=1)
    assert beside.cells(max_rows=9)[0] == tuple(
        ["term", *(f"{m} {c}" for m in "ab" for c in ("estimate", "sd", "lower", "upper"))]
    )
    assert "b upper" in beside.to_markdown()
    below = pd.concat({"a": fixef, "b": fixef}, names=["model", None])
    assert below.cells(max_rows=9)[0] == ("model", "term", "estimate", "sd")


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((131_000.0, 9_000.0, 1_200_000.0), "131000 [9000, 1200000]"),
        ((440.0, 40.0, 7.123e13), "440 [40, 7.12e13]"),
        ((1.5e-9, 1e-9, 2e-9), "1.5e-9 [1e-9, 2e-9]"),
        ((3.12, 3.0, 4.0), "3.12 [3, 4]"),
        ((1.993, 2.0, 2.0), "1.993 [2, 2]"),
    ],
)
def test_numbers_are_plain_up_to_a_billion(interval, text):
    names = ("estimate", "lower", "upper")
    shown = Table([interval], columns=names).text().splitlines()
    assert shown[1].strip() == text


def test_probabilities_have_the_same_digits():
    shown = Table({"p_best": [1.0, 0.0123, 0.0004], "sd": [1.0, 0.0123, 0.0004]})
    _, rows = shown.cells(max_rows=9)
    assert [row[0] for row in rows] == ["1.0000", "0.0123", "0.0004"]
    assert [row[1] for row in rows] == ["1.000", "0.01230", "0.0004000"]
