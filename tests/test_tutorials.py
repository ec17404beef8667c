"""The tutorials run from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "tutorials"


def warnings_of(notebook: nbformat.NotebookNode) -> list[str]:
    """What a reader would see in red."""
    return [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stderr"
    ]


NUMBERED = sorted(FOLDER.glob("[0-9]*.ipynb"))


def shown(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    """What the code cells show, as text of one kind; what is printed is plain text."""
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    printed = [o.text for o in outputs if o.output_type == "stream" and kind == "text/plain"]
    return [*printed, *(o.data[kind] for o in outputs if kind in o.get("data", {}))]


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_it_has_what_a_class_needs(path: Path) -> None:
    """What is assumed; equation, graph and R call of every model; exercises with a verdict."""
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    models = re.findall(r"^\w+ = hm\.Model\(", code, flags=re.MULTILINE)
    assert models
    assert re.search(r"\b[Aa]ssume", prose)
    # that of 16 fixed sites is written by hand: 32 coefficients
    by_hand = prose.count(r"\sim \mathrm{Normal}(\mu_i")
    assert len(shown(notebook, "text/latex")) + by_hand >= len(models)
    assert len(shown(notebook, "image/svg+xml")) >= len(models)
    calls = [text for text in shown(notebook, "text/plain") if "fit <- " in text]
    assert len(calls) >= len(models)
    assert "## Exercises" in prose
    assert "hm.exercise.check(" in code


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter_client and zmq
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIERMODELS_DATA", raising=False)  # with what is shipped
    notebook = nbformat.read(path, as_version=4)
    assert all(
        cell.get("outputs") or not cell.source.strip()
        for cell in notebook.cells
        if cell.cell_type == "code"
    ), "a tutorial is shown with its outputs"
    assert not warnings_of(notebook)
    context = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=context).execute()
    assert not warnings_of(notebook)
