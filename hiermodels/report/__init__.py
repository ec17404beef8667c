"""A fit into a report: one HTML page, or Markdown or LaTeX with a folder of pictures.

    build_report(fit)  ->  Report of sections of blocks  ->  html_page, markdown_page, latex_page

`content` decides what is said, the others how it looks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hiermodels.errors import lookup
from hiermodels.files import write_bytes, write_text, writing

from .blocks import Picture, Report
from .content import build_report

if TYPE_CHECKING:
    from hiermodels.results import Fit

__all__ = ["FORMATS", "write_report"]

#: What can be written, by the end of the file's name.
FORMATS = {".html": "HTML", ".htm": "HTML", ".md": "Markdown", ".tex": "LaTeX"}


def write_report(
    fit: Fit,
    path: str | Path,
    *,
    rows: str = "rows",
    data_file: str | None = None,
    ci_prob: float = 0.95,
) -> Path:
    """Write the report in the format that the end of the path names."""
    target = Path(path)
    kind = lookup(target.suffix.lower(), FORMATS, what="format of a report")
    report = build_report(fit, rows=rows, ci_prob=ci_prob, data_file=data_file)
    text = WRITERS[kind](report, target)
    return write_text(target, text)


def as_html(report: Report, target: Path) -> str:
    from .page import html_page

    return html_page(report)


def as_markdown(report: Report, target: Path) -> str:
    from .markdown import markdown_page

    return markdown_page(report, picture=beside(target, ("svg", "png")))


def as_latex(report: Report, target: Path) -> str:
    from .latex import latex_page

    return latex_page(report, picture=beside(target, ("pdf",)))


WRITERS: dict[str, Callable[[Report, Path], str]] = {
    "HTML": as_html,
    "Markdown": as_markdown,
    "LaTeX": as_latex,
}


def beside(target: Path, suffixes: tuple[str, ...]) -> Callable[[Picture], str]:
    """Writes pictures to the folder ``name_files`` beside ``name.md``; gives their addresses."""
    from .pictures import draw_picture

    # in an address a backslash is another folder
    folder = target.parent / f"{target.stem}_files".replace("\\", "_")

    def write(picture: Picture) -> str:
        with writing(folder):
            folder.mkdir(exist_ok=True)
        drawn = draw_picture(picture.draw, suffixes=suffixes)
        name = f"{picture.name}.{drawn.suffix}"
        write_bytes(folder / name, drawn.data)
        return f"{folder.name}/{name}".replace(" ", "%20" if "svg" in suffixes else " ")

    return write
