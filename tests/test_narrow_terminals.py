"""At 80 columns no number and no interval is broken, and nothing is lost."""

from __future__ import annotations

import re
import sys

import pytest
from made_up import made_up_fit
from typer.testing import CliRunner

from hiermodels.command import cli
from hiermodels.printing import Table, folded

#: A summary, a table of each width and the priors, of draws made up.
FIT = made_up_fit("y ~ x + z + (x | pop)")
PAGES = {
    "summary": lambda: FIT.summary().text(),
    "variance": lambda: FIT.variance_table(common=True).text(),
    "priors": lambda: FIT.summary().priors.text(),
    "wide": lambda: FIT.variance_table(wide=True).text(),
    "ranef": lambda: FIT.ranef().text(),
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch):
    def of(width: int) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    return of


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("name", PAGES)
def test_pages_fit(name, width, terminal):
    whole = PAGES[name]()
    terminal(width)
    page = PAGES[name]()
    assert max(map(len, page.splitlines())) <= width
    interval = r"\S+ \[[^\[\]\n]*\d\]"
    assert sorted(re.findall(interval, page)) == sorted(re.findall(interval, whole))


def test_what_is_no_terminal_has_one_block(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, PAGES["priors"]().splitlines())) > 80


def test_the_names_of_rows_are_in_each_block(terminal):
    terminal(20)
    table = Table({"term": ["a", "b"], "one": ["1" * 9] * 2, "two": ["2" * 9] * 2})
    assert table.text() == (
        "term  one\na     111111111\nb     111111111\n\nterm  two\na     222222222\nb     222222222"
    )


def test_a_column_wider_than_the_terminal_is_a_block():
    assert folded([4, 90, 5, 6], 1, 80) == [[0, 1], [0, 2, 3]]


@pytest.mark.parametrize("command", ["fit", "compare", "pooling", "report", "demo"])
def test_examples_of_help_are_whole_lines(command):
    page = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "80"}).stdout
    said = {line.strip() for line in page.splitlines()}
    texts = {
        "fit": [cli.FORMULAS, cli.FIT_EXAMPLES, cli.CONFIG, cli.EXIT_CODES],
        "compare": [cli.COMPARE_EXAMPLES],
        "pooling": [cli.POOLING_EXAMPLES],
        "report": [cli.REPORT_EXAMPLES],
        "demo": [],
    }[command]
    for line in "".join(texts).replace("\\[", "[").splitlines():
        assert line.replace("\b", "").strip() in said
