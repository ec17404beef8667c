"""A fit into the code that makes it again, and the hash by which its data are known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hiermodels.data import Rows
from hiermodels.design import SE, WEIGHTS, Design
from hiermodels.families import family as find_family
from hiermodels.priors import Priors

if TYPE_CHECKING:
    import pandas as pd

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
    lines = ["import hiermodels as hm", *reading(data_file, marks)]
    lines += ["", "fit = hm.fit("]
    lines += [f"    {line}," for line in arguments(fit)]
    return "\n".join([*lines, ")", 'fit.report("report.html")'])


def reading(data_file: str | None, marks: Mapping[str, str | None]) -> list[str]:
    """Imports and data; ``marks`` are the encoding and the marks that the file was read with."""
    if data_file is None:
        return [
            "import pandas as pd",
            "",
            'data = pd.read_csv("your_file.csv")  # or your own frame',
        ]
    tabs = "\t" if data_file.lower().endswith((".tsv", ".tab")) else ","
    given = {
        "sep": (marks.get("separator") or tabs, ","),
        "decimal": (marks.get("decimal"), "."),
        "encoding": (marks.get("encoding"), "utf-8"),
    }
    others = [
        f", {name}={mark(value)}"
        for name, (value, usual) in given.items()
        if value not in (None, usual)
    ]
    return ["import pandas as pd", "", f"data = pd.read_csv({literal(data_file)}{''.join(others)})"]


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
