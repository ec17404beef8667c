"""A fit into the code that makes it again, and the hash by which its data are known."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from hiermodels.data import Rows, has_text, is_plain
from hiermodels.design import SE, WEIGHTS, Design
from hiermodels.families import family as find_family
from hiermodels.priors import Priors

if TYPE_CHECKING:
    from hiermodels.results import Fit

__all__ = ["HASHING", "data_hash", "made_with", "python_code", "user_priors"]

#: The rows that are put into text at once.
CHUNK = 100_000
#: How a reader computes the hash.
HASHING = (
    "SHA-256 of the rows and columns that the model used, as CSV: "
    'hashlib.sha256(rows.to_csv(index=False, lineterminator="\\n").encode()).hexdigest()'
)


def data_hash(frame: pd.DataFrame) -> str:
    """The SHA-256 of a frame as CSV, in hexadecimal digits."""
    found = hashlib.sha256()
    for start in range(0, max(len(frame), 1), CHUNK):
        part = frame.iloc[start : start + CHUNK]
        text = part.to_csv(index=False, header=start == 0, lineterminator="\n")
        found.update(text.encode("utf-8", errors="surrogatepass"))
    return found.hexdigest()


def made_with(attributes: Mapping[str, Any]) -> dict[str, str]:
    """The versions that made a fit; where they were not kept, as from Bambi, nothing."""
    return dict(json.loads(attributes["versions"])) if "versions" in attributes else {}


def literal(text: str) -> str:
    """Text as Python, between double quotes where that needs no escape."""
    plain_text = repr(text) == f"'{text}'" and '"' not in text
    return f'"{text}"' if plain_text else repr(text)


def user_priors(priors: Priors) -> dict[str, str]:
    """The priors that the user wrote, each as Python."""
    found = {}
    for prior in priors:
        if not prior.default:
            values = ", ".join(f"{k}={plain(v)}" for k, v in prior.given.parameters.items())
            found[prior.parameter] = f"hm.Prior({literal(prior.given.name)}, {values})"
    return found


def plain(value: float) -> str:
    """``1`` rather than ``1.0``; infinity has no literal."""
    if value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def python_code(fit: Fit, *, data_file: str | None) -> str:
    """Imports, data, the fit with all that is not the default, and this report."""
    attributes = fit.idata["posterior"].attrs
    if "Bambi" in str(attributes.get("engine_reason", "")):
        return (
            "# fitted by Bambi: with its model and what model.fit() returned\n"
            "import hiermodels as hm\n\nfit = hm.from_bambi(model, idata)\n"
            'fit.report("report.html")'
        )
    marks = json.loads(str(attributes.get("data_reading", "{}")))
    lines = ["import hiermodels as hm", *reading(data_file, marks, labels=read_as(fit.design))]
    lines += ["", "fit = hm.fit("]
    lines += [f"    {line}," for line in arguments(fit)]
    return "\n".join([*lines, ")", 'fit.report("report.html")'])


def reading(
    data_file: str | None,
    marks: Mapping[str, Any],
    *,
    labels: Mapping[str, str] | None = None,
) -> list[str]:
    """Imports and data; ``marks`` are the encoding and the marks that the file was read with,
    ``labels`` the types of columns that pandas would read otherwise."""
    if data_file is None:
        return [
            "import pandas as pd",
            "",
            'data = pd.read_csv("your_file.csv")  # or your own frame',
        ]
    others: dict[str, str] = {}
    ending = next((end for end in READERS if data_file.lower().endswith(end)), "")
    if ending == ".xlsx" and marks.get("sheet"):
        others["sheet_name"] = literal(marks["sheet"])
    if ending == ".jsonl":
        # as it stands: no label as a number
        others = {"lines": "True", "dtype": "False", "precise_float": "True"}
    if not ending:
        others = csv_arguments(data_file, marks, labels or {})
    given = "".join(f", {name}={value}" for name, value in others.items())
    reader = READERS.get(ending, "read_csv")
    return ["import pandas as pd", "", f"data = pd.{reader}({literal(data_file)}{given})"]


#: What reads a file of this ending; all others are text.
READERS = {
    ".xlsx": "read_excel",
    ".parquet": "read_parquet",
    ".feather": "read_feather",
    ".jsonl": "read_json",
}


def csv_arguments(
    data_file: str, marks: Mapping[str, Any], labels: Mapping[str, str]
) -> dict[str, str]:
    """The arguments of ``read_csv`` that are not the usual ones."""
    named = {"tab": "\t", "space": r"\s+", "comma": ",", "semicolon": ";", " ": r"\s+"}
    tabs = "\t" if re.search(r"\.(tsv|tab)(\.\w+)?$", data_file.lower()) else ","
    separator = marks.get("separator") or tabs
    given = {
        "sep": (named.get(separator, separator), ","),
        "decimal": (marks.get("decimal"), "."),
        "thousands": (marks.get("thousands"), None),
        "encoding": (marks.get("encoding"), "utf-8"),
    }
    found = {n: mark(v) for n, (v, usual) in given.items() if v not in (None, usual)}
    if marks.get("na") is not None:
        found["na_values"] = repr(["", *marks["na"]])
        found["keep_default_na"] = "False"
    if labels:
        types = (f"{literal(name)}: {dtype}" for name, dtype in labels.items())
        found["dtype"] = f"{{{', '.join(types)}}}"
    return found


def read_as(design: Design) -> dict[str, str]:
    """The types of grouping columns that pandas would read as numbers, or with a gap as floats."""
    frame = design.rows.frame
    found = {}
    for name in dict.fromkeys(c for p in design.predictors for b in p.blocks for c in b.factor):
        labels = pd.Series(frame[name].unique().tolist())
        if is_plain(labels) and labels.dtype.kind == "i" and name in design.rows.missing:
            found[name] = '"Int64"'
        elif has_text(labels) and all(is_number(str(value)) for value in labels):
            found[name] = "str"
    return found


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def mark(value: str | None) -> str:
    return '"\\t"' if value == "\t" else literal(str(value))


def arguments(fit: Fit) -> list[str]:
    """The arguments of `hm.fit`, those that are the defaults left out."""
    design = fit.design
    lines = [literal(design.formula.text), "data"]
    if design.family.name != "gaussian":
        lines.append(f"family={literal(design.family.name)}")
    if design.family.link != find_family(design.family.name).link:
        lines.append(f"link={literal(design.family.link)}")
    lines += own_formulas(design)
    if chosen := user_priors(fit.priors):
        lines.append("priors={")
        lines[-1] += (
            "\n" + "".join(f"        {literal(k)}: {v},\n" for k, v in chosen.items()) + "    }"
        )
    lines += [*further_columns(design.rows), *sampler(fit)]
    return lines


def own_formulas(design: Design) -> list[str]:
    found = []
    for role in ("dispersion", "zi"):
        parameter = design.family.with_role(role)
        if parameter is not None and parameter.name in design.extras:
            found.append(f"{role}={literal(design.extras[parameter.name].formula.text)}")
    return found


def further_columns(rows: Rows) -> list[str]:
    """Weights and standard errors by the name that they had, or as values."""
    found = []
    for name in (WEIGHTS, SE):
        if name in rows.frame.columns:
            word = name.strip("_")
            given = literal(rows.sources[name]) if name in rows.sources else f"{word}_of_the_rows"
            found.append(f"{word}={given}")
    return found


def sampler(fit: Fit) -> list[str]:
    posterior = fit.idata["posterior"]
    attributes = posterior.attrs
    found = [f"draws={posterior.sizes['draw']}", f"chains={posterior.sizes['chain']}"]
    for name in ("tune", "random_seed"):
        if name in attributes:
            found.append(f"{name}={int(attributes[name])}")
    if "target_accept" in attributes:
        found.append(f"target_accept={float(attributes['target_accept']):g}")
    found.append(f"engine={literal(str(attributes['engine']))}")
    return found
