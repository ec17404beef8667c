"""What several test files need: the originals of the tutorials, and the reference fits."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

#: The files that take minutes. They are begun first: a process that begins one of them when the
#: others have nothing left would work alone. The first two compile what the tutorials need, which
#: should take as long here as for a reader whose kernels are compiled.
LONGEST = (
    "test_reference_families.py",
    "test_calibration.py",
    "test_tutorials.py",
    "test_residual_structures.py",
    "test_checks.py",
    "test_prediction_families.py",
    "test_informed_posterior.py",
    "test_calibration_families.py",
    "test_planted_faults.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def interrupts_are_heard() -> None:
    """A background job of a shell starts with Ctrl-C ignored; tests of interrupts would hang."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def datasets_dir() -> Path:
    """The folder with the originals, named by ``HIERMODELS_DATA``."""
    folder = os.environ.get("HIERMODELS_DATA")
    if not folder:
        pytest.skip("HIERMODELS_DATA, the folder with the original data sets, is not set")
    path = Path(folder)
    if not path.is_dir():
        pytest.skip(f"HIERMODELS_DATA names {folder}, which is no folder")
    return path


@pytest.fixture(scope="session")
def reference() -> dict[str, dict[str, Any]]:
    """The cases of ``reference.json``, by name: what lme4, glmmTMB and exact likelihoods say.

    Found in the folder named by ``HIERMODELS_REFERENCE``, or in ``reference`` beside the one named
    by ``HIERMODELS_DATA``.
    """
    folder = os.environ.get("HIERMODELS_REFERENCE")
    if not folder:
        data = os.environ.get("HIERMODELS_DATA")
        if not data:
            pytest.skip("neither HIERMODELS_REFERENCE nor HIERMODELS_DATA is set")
        folder = str(Path(data).resolve().parent / "reference")
    path = Path(folder) / "reference.json"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    found = json.loads(path.read_text(encoding="utf-8"))
    cases = [*found["exact_maximum_likelihood"].values(), *found["cases"]]
    return {case["name"]: case for case in cases if isinstance(case, dict)}


@pytest.fixture
def dot() -> str:
    """The path of graphviz's ``dot``, which draws the plate diagrams."""
    path = shutil.which("dot")
    if path is None:
        pytest.skip("graphviz's program dot is not installed")
    return path
