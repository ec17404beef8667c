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
    "files",
    "keywords",
    "seeds",
    "distributions",
    "tokens",
    "habits",
    "formula",
    "roles",
    "text_numbers",
    "families",
    "kinds",
    "levels",
    "names",
    "data",
    "expressions",
    "rank",
    "columns",
    "response",
    "design",
    "exactness",
    "merging",
    "printing",
    "findings",
    "identification",
    "separation",
    "nesting",
    "priors",
    "submodels",
    "posterior",
    "prior_predictive",
    "model",
    "progress",
    "threads",
    "late_imports",
    "convergence",
    "density",
    "collapsed",
    "rowwise",
    "maximum_likelihood",
    "disjoint",
    "engines",
    "sampling",
    "numbers.tails",
    "numbers.draws",
    "numbers.prior_density",
    "numbers.effects",
    "numbers.points",
    "numbers.averages",
    "numbers.expected",
    "numbers.variance",
    "numbers.icc",
    "numbers.working",
    "numbers.predictive",
    "numbers.prediction",
    "numbers.shrinkage",
    "numbers.ranks",
    "numbers.remaining",
    "numbers.diagnostics",
    "numbers.checks",
    "numbers.held_out",
    "numbers.comparison",
    "numbers.left_out",
    "labels.equations",
    "pictures.graphs",
    "labels.r_formula",
    "labels.r_code",
    "labels.bambi_model",
    "labels.tables",
    "labels.broom",
    "numbers.sensitivity",
    "labels.terms",
    "labels.sentences",
    "labels.prediction_tables",
    "labels.summary",
    "pictures.groups",
    "pictures.variance",
    "pictures.sampler",
    "pictures.predictions",
    "packing",
    "saving",
    "report",
    "results",
    "fitting",
    "workflows.refits",
    "pictures.influence",
    "workflows.influence",
    "workflows.bridge",
    "workflows.fixed_effects",
    "pictures.pooling",
    "workflows.pooling_report",
    "workflows.dropped_terms",
    "workflows.pooling",
    "workflows.building",
    "workflows.squeezing",
    "workflows.calibration",
    "simulation",
    "datasets",
    "teaching.exercise_kinds",
    "teaching.class_exercises",
    "teaching.tutorial_exercises",
    "teaching.exercise",
    "teaching.balanced",
    "teaching.play",
    "command.sources",
    "command.typed_files",
    "command.lines",
    "command.cells",
    "command.reading",
    "command.settings",
    "command.outputs",
    "command.cli",
]
FOLDER = Path(hiermodels.__file__).parent


#: Packages whose modules have a place of their own in the list.
OPEN = {name.split(".")[0] for name in ORDER if "." in name}


def files(name: str) -> list[Path]:
    """The source of a module, or of all modules of a package."""
    path = FOLDER / f"{name.replace('.', '/')}.py"
    return [path] if path.exists() else sorted((FOLDER / name).rglob("*.py"))


def modules(folder: Path) -> set[str]:
    return {module.name for module in pkgutil.iter_modules([str(folder)])}


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
        parts = (node.module or "").split(".")[1:]
        if (node.module or "").split(".")[0] != "hiermodels":
            continue
        if not parts or parts in [[name] for name in OPEN]:
            found |= {".".join([*parts, alias.name]) for alias in node.names}
        else:
            found.add(".".join(parts[: 1 + (parts[0] in OPEN)]))
    return found & set(ORDER)


def test_the_list_is_complete():
    inside = {f"{name}.{module}" for name in OPEN for module in modules(FOLDER / name)}
    assert modules(FOLDER) - OPEN | inside == set(ORDER)


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
