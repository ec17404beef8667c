"""The way of the data: each module imports only from those before it."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import hiermodels

#: From the formula text to the command line. A new module has its place in this list.
ORDER = [
    "errors",
    "distributions",
    "formula",
    "families",
    "data",
    "columns",
    "response",
    "design",
    "merging",
    "printing",
    "nesting",
    "priors",
    "submodels",
    "posterior",
    "prior_predictive",
    "model",
    "progress",
    "threads",
    "late_imports",
    "density",
    "collapsed",
    "rowwise",
    "maximum_likelihood",
    "disjoint",
    "engines",
    "sampling",
    "draws",
    "prior_density",
    "effects",
    "points",
    "expected",
    "variance",
    "icc",
    "working",
    "predictive",
    "prediction",
    "shrinkage",
    "ranks",
    "remaining",
    "diagnostics",
    "checks",
    "held_out",
    "comparison",
    "left_out",
    "equations",
    "graphs",
    "r_formula",
    "r_code",
    "bambi_model",
    "tables",
    "broom",
    "sensitivity",
    "sentences",
    "prediction_tables",
    "summary",
    "plots",
    "variance_plots",
    "sampler_plots",
    "prediction_plots",
    "packing",
    "saving",
    "report",
    "results",
    "fitting",
    "refits",
    "influence_plots",
    "influence",
    "bridge",
    "fixed_effects",
    "pooling_plots",
    "pooling_report",
    "dropped_terms",
    "workflows",
    "building",
    "squeezing",
    "calibration",
    "simulation",
    "datasets",
    "exercise_kinds",
    "class_exercises",
    "tutorial_exercises",
    "exercise",
    "balanced",
    "play",
    "reading",
    "settings",
    "outputs",
    "cli",
]
FOLDER = Path(hiermodels.__file__).parent


def files(name: str) -> list[Path]:
    """The source of a module, or of all modules of a package."""
    path = FOLDER / f"{name}.py"
    return [path] if path.exists() else sorted((FOLDER / name).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports when it is run, not only for its types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level > 0:
            continue
        parts = (node.module or "").split(".")
        if parts[0] == "hiermodels":
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return {name for name in found if name in ORDER}


def test_the_list_is_complete():
    modules = {m.name for m in pkgutil.iter_modules([str(FOLDER)])}
    assert modules == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_only_what_comes_before(name):
    before = set(ORDER[: ORDER.index(name)])
    assert set().union(*map(imported, files(name))) <= before


@pytest.mark.parametrize("name", ["", *ORDER])
def test_all_is_true(name):
    module = importlib.import_module(f"hiermodels.{name}" if name else "hiermodels")
    exported = getattr(module, "__all__", [])
    assert exported, "each module says what it offers"
    for public in exported:
        assert getattr(module, public) is not None


def test_no_public_name_is_hidden_by_a_module():
    """Importing ``hiermodels.x`` sets the attribute ``x`` of the package to that module."""
    assert not set(hiermodels.__all__) & set(ORDER)
