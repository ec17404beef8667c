"""A fit into a folder: tables as CSV, pictures, a page of Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hiermodels.files import write_text

if TYPE_CHECKING:
    from hiermodels.printing import Table
    from hiermodels.results import Fit
    from hiermodels.workflows.pooling_report import Pooling

__all__ = [
    "file_names",
    "write_pictures",
    "write_pooling",
    "write_summary",
    "write_table",
    "write_tables",
]


def write_tables(found: Fit, folder: Path) -> list[Path]:
    """Every table as CSV, unrounded."""
    tables = {
        "fixef": found.fixef(),
        "varcorr": found.varcorr(),
    }
    for scale in found.scales:
        end = f"_{scale}" if scale else ""
        tables[f"variance_table{end}"] = found.variance_table(scale=scale)
        if found.design.blocks:
            tables[f"icc{end}"] = found.icc(scale=scale)
    if found.design.blocks:
        tables |= {"ranef": found.ranef(), "coef": found.coef()}
    for group, name in file_names(found.design.factors).items():
        tables[f"shrinkage_{name}"] = found.shrinkage(group)
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{name}.csv")
        table.to_csv(paths[-1], index=False)
    return paths


def write_table(table: Table, folder: Path, name: str) -> list[Path]:
    """One table as CSV, unrounded, and as it is printed in Markdown."""
    paths = [folder / f"{name}.csv", folder / f"{name}.md"]
    table.to_csv(paths[0], index=False)
    write_text(paths[1], table.markdown() + "\n")
    return paths


def write_pooling(found: Pooling, folder: Path) -> list[Path]:
    """The three estimates of each level, the scores, and the picture."""
    from hiermodels.pictures.groups import save_figure

    paths = [*write_table(found, folder, "pooling"), folder / "scores.csv"]
    found.scores.to_csv(paths[-1], index=False)
    return [*paths, save_figure(found.plot(), folder / "pooling.png")]


def write_pictures(found: Fit, folder: Path) -> list[Path]:
    """A forest and a shrinkage plot of each grouping factor."""
    if not found.design.blocks:
        return []
    from hiermodels.pictures.groups import save_figure

    paths = []
    for group, name in file_names(found.design.factors).items():
        for kind, draw in (("forest", found.plot.forest), ("shrinkage", found.plot.shrinkage)):
            paths.append(save_figure(draw(group), folder / f"{kind}_{name}.png"))
    return paths


def write_summary(found: Fit, folder: Path) -> Path:
    """``summary.md``: the summary, the variance table, the ICC and links to the pictures."""
    parts = [found.summary().markdown()]
    for scale in found.scales:
        parts.append(found.variance_table(scale=scale).markdown())
        if found.design.blocks:
            parts.append(found.icc(scale=scale).markdown())
    for group, name in file_names(found.design.factors).items():
        parts.append(f"![Coefficients of each level of {group}](forest_{name}.png)")
        parts.append(f"![Shrinkage of {group}](shrinkage_{name}.png)")
    text = "\n\n".join(part.strip("\n") for part in parts)
    return write_text(folder / "summary.md", text + "\n")


def file_names(groups: tuple[str, ...]) -> dict[str, str]:
    """A file name for each factor: ``pop:patch`` is ``pop_patch``, numbered where two are equal."""
    names: dict[str, str] = {}
    for group in groups:
        safe = re.sub(r"\W+", "_", group).strip("_") or "group"
        # compared without case, as some file systems do
        taken = {name.lower() for name in names.values()}
        free, number = safe, 2
        while free.lower() in taken:
            free, number = f"{safe}_{number}", number + 1
        names[group] = free
    return names
