"""The documentation names what exists: every call in its code can be made as it is written."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.numbers import prediction
from hiermodels.pictures.predictions import PredictionPlots

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("*/*.md")])
#: What else a page may start a name with, and the class that has it.
OBJECTS: dict[str, Any] = {"hm": hm, "fit": hm.Fit, "model": hm.Model}
#: Attributes of an object that its class does not have.
OWN = {
    "fit": {field.name for field in dataclasses.fields(hm.Fit)},
    "model": {"design", "priors"},
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
#: A name; `fit.hm` and `model.hm` are files with a saved fit.
NAME = re.compile(r"\b(hm|fit|model)((?:\.(?!hm\b)[A-Za-z_]\w*)+)")


def ours(line: str) -> str:
    """A line; of a table all but the first cell, which can be of another package."""
    if not line.startswith("|"):
        return line
    return " | ".join(re.split(r"(?<!\\)\|", line)[2:]).replace("\\|", "|")


def code(page: Path) -> list[str]:
    """The Python of a page: fenced blocks and code in the text."""
    text = page.read_text(encoding="utf-8")
    blocks = [body for kind, body in FENCE.findall(text) if kind == "python"]
    plain = "\n".join(ours(line) for line in FENCE.sub("", text).splitlines())
    return [*blocks, *SPAN.findall(plain)]


def resolve(root: str, path: list[str]) -> Any:
    """What ``fit.plot.forest`` is; None for a value that only an object has."""
    if path[0] in OWN.get(root, ()):
        return None
    found = getattr(OBJECTS[root], path[0])
    if root == "fit" and path[0] == "plot" and len(path) > 1:
        found = getattr(PredictionPlots, path[1])
    return found


def dotted(node: ast.expr) -> tuple[str, list[str]] | None:
    """``("fit", ["plot", "forest"])`` of a name that starts with one of `OBJECTS`."""
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in OBJECTS and path:
        return node.id, path
    return None


def calls(page: Path) -> Iterator[tuple[ast.Call, str, list[str]]]:
    for text in code(page):
        try:
            tree = ast.parse(text)
        except SyntaxError:  # part of an expression, a formula, a command
            continue
        for node in ast.walk(tree):
            found = dotted(node.func) if isinstance(node, ast.Call) else None
            if isinstance(node, ast.Call) and found:
                yield node, *found


def constants(node: ast.Call) -> dict[str, Any]:
    return {
        k.arg: k.value.value
        for k in node.keywords
        if k.arg and isinstance(k.value, ast.Constant) and k.value.value is not ...
    }


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_name_exists(page: Path) -> None:
    for text in code(page):
        for root, path in NAME.findall(text):
            resolve(root, path.strip(".").split("."))


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_call_has_arguments_that_exist(page: Path) -> None:
    for node, root, path in calls(page):
        function = resolve(root, path)
        if not callable(function) or any(k.arg is None for k in node.keywords):
            continue
        given = [0 for a in node.args if not (isinstance(a, ast.Constant) and a.value is ...)]
        method = [] if root == "hm" else [object()]
        named = {str(k.arg): k.value for k in node.keywords}
        try:
            inspect.signature(function).bind_partial(*method, *given, **named)
        except TypeError as error:
            raise AssertionError(f"{ast.unparse(node)}: {error}") from None


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_target_and_kind_of_prediction_exists(page: Path) -> None:
    for node, root, path in calls(page):
        if (root, path) not in (("fit", ["predict"]), ("fit", ["contrasts"])):
            continue
        given = constants(node)
        assert given.get("target", "group") in prediction.TARGETS
        assert given.get("kind", "mean") in prediction.KINDS


def made_up(family: str) -> pd.DataFrame:
    """Rows with the columns that the tables of the how-to pages name, and a fitting response."""
    rng = np.random.default_rng(1)
    n = 120
    share = rng.beta(2, 2, n)
    response = {
        "beta": share,
        "bernoulli": rng.integers(0, 2, n),
        "zoi_beta": np.where(share < 0.2, 0.0, np.where(share > 0.8, 1.0, share)),
        "ordinal": rng.integers(1, 4, n),
    }
    counts = ("poisson", "negbinomial")
    y = rng.poisson(2, n) if family.endswith((*counts, "negbinomial1")) else rng.normal(size=n)
    return pd.DataFrame(
        {
            "y": response.get(family, y),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "t": rng.uniform(1, 2, n),
            "w": rng.integers(1, 3, n),
            "se": rng.uniform(1, 2, n),
            "n": np.full(n, 9),
            "s": rng.integers(1, 9, n),
            "g": rng.choice(list("abcdefghij"), n),
            "site": rng.choice(list("abcdefghij"), n),
            "a": np.repeat([f"a{k}" for k in range(6)], n // 6),
            "b": np.tile([f"b{k}" for k in range(10)], n // 10),
            "study": rng.choice(list("abcdefghij"), n),
            "f": rng.choice(list("abc"), n),
        }
    )


HOW_TO = sorted((DOCS / "how_to").glob("*.md"))
FORMULAS = [
    (page.stem, node)
    for page in HOW_TO
    for node, root, path in calls(page)
    if root == "hm" and path in (["fit"], ["Model"]) and isinstance(node.args[0], ast.Constant)
]


@pytest.mark.parametrize(("page", "node"), FORMULAS, ids=lambda v: v if isinstance(v, str) else "")
def test_every_model_of_the_tables_can_be_built(page: str, node: ast.Call) -> None:
    given = constants(node)
    wanted = inspect.signature(hm.Model.__init__).parameters
    arguments = {k: v for k, v in given.items() if k in wanted}
    formula = node.args[0]
    assert isinstance(formula, ast.Constant)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.GroupingWarning)
        model = hm.Model(formula.value, made_up(given.get("family", "gaussian")), **arguments)
    assert str(model.formula)


PRIORS = [
    text for page in HOW_TO for text in code(page) if text.startswith("{") and "hm.Prior" in text
]


@pytest.mark.parametrize("text", PRIORS)
def test_every_prior_of_the_tables_has_a_parameter(text: str) -> None:
    priors = eval(text, {"hm": hm})
    zeros = any(name.startswith("zi_") for name in priors)
    more: dict[str, Any] = {"family": "zi_poisson", "zi": "~ x"} if zeros else {}
    data = made_up(more.get("family", "gaussian"))
    model = hm.Model("y ~ x + (x | g)", data, priors=priors, **more)
    assert [p for p in model.priors if not p.default]


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [t for t in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in t]
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = set()
    for page in DOCS.rglob("*.md"):
        for _, body in re.findall(r"^```(\{toctree\})\n(.*?)^```", page.read_text(), re.M | re.S):
            for line in body.splitlines():
                name = re.sub(r"^.*<(.*)>$", r"\1", line.strip())
                if name and not name.startswith(":"):
                    listed.add((page.parent / f"{name}.md").resolve())
    assert set(DOCS.rglob("*.md")) - listed == {DOCS / "index.md"}


def test_every_public_name_is_in_the_reference() -> None:
    listed = set(re.findall(r"^   (\w+)$", (DOCS / "api.md").read_text(), flags=re.MULTILINE))
    assert listed == set(hm.__all__)


def test_every_picture_has_words_for_those_who_cannot_see_it() -> None:
    for page in PAGES:
        for words in re.findall(r"!\[([^\]]*)\]\(", page.read_text(encoding="utf-8")):
            assert len(words) > 30, page
