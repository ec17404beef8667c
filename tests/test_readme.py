"""The README is true: its Python runs, prints what is shown, and its commands are those of CI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text.strip() for kind, text in BLOCKS if kind == language]


def words(text: str) -> list[str]:
    """Text without its numbers, which differ in the last digits between machines."""
    return re.sub(r"[-−]?\d+(\.\d+)?(e[-+]\d+)?", "#", text).split()


def test_the_test_command_is_that_of_ci() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = re.search(r'^test_command="(.*)"$', script, flags=re.MULTILINE)
    assert command is not None
    assert command[1] in blocks("sh")


def test_the_two_commands_differ_in_what_they_run() -> None:
    demo, tests = blocks("sh")
    start = "pip install uv && uvx -p 3.13 -c constraints.txt "
    assert demo == f"{start}--with-editable . hiermodels demo"
    assert tests == f"{start}--with-editable '.[test]' pytest"


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []


@pytest.mark.slow
def test_python_blocks_run_and_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = iter(blocks("text"))
    for code in blocks("python"):
        exec(compile(code, "README.md", "exec"), names)
        printed = capsys.readouterr().out
        if printed:
            assert words(next(shown)) == words(printed)
    assert list(shown) == []
    assert names["path"].is_file()
    plt.close("all")
