"""A report into Markdown, its pictures in a folder beside it.

The user's text is escaped both for Markdown and for the HTML that it becomes; equations stand
between dollar signs, as GitHub, Pandoc and notebooks set them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

from hiermodels.printing import Table, is_number

from .blocks import (
    Block,
    Bullets,
    Cards,
    Code,
    Math,
    Numbers,
    Paragraph,
    Picture,
    Report,
)

__all__ = ["markdown_page"]

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|$~^])")


def plain(text: str) -> str:
    """Text that Markdown prints as it stands."""
    return SPECIAL.sub(r"\\\1", escape(" ".join(str(text).split()), quote=False))


def code_span(text: str) -> str:
    """Between as many backquotes as the text does not have."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{space}{text}{space}{marks}"


def markdown_page(report: Report, *, picture: Callable[[Picture], str]) -> str:
    """The whole file; ``picture`` writes one and gives its address."""
    parts = [f"# {code_span(report.title)}", plain(report.subtitle)]
    for section in report.sections:
        parts.append(f"## {plain(section.title)}")
        for block in section.blocks:
            parts += rendered(block, picture)
    return "\n\n".join(parts) + "\n"


def rendered(block: Block, picture: Callable[[Picture], str]) -> Iterator[str]:
    match block:
        case Paragraph():
            yield plain(block.text)
        case Bullets():
            yield "\n".join(f"- {plain(item)}" for item in block.items)
        case Cards():
            yield "\n".join(
                f"- **{plain(name)}**: {verdict} ({plain(words)})"
                for name, verdict, words, _ in block.cards
            )
        case Numbers():
            yield table(block.table)
        case Picture():
            yield f"![{plain(block.alt)}]({picture(block)})\n\n*{plain(block.caption)}*"
        case Math():
            yield f"$$\n{block.equations.latex}\n$$"
        case Code() if block.language in ("python", "sh"):
            fence = "`" * (3 if "```" not in block.text else 8)
            yield f"{fence}{block.language}\n{block.text}\n{fence}"
        case Code():
            yield f"{plain(block.language)}: {code_span(block.text)}"


def table(one: Table) -> str:
    head, rows = one.cells(max_rows=max(len(one), 1), repeat_keys=True)
    rule = ["---:" if is_number(one, name) else "---" for name in head]
    lines = [[plain(c) for c in head], rule, *([plain(c) for c in row] for row in rows)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    title = f"**{plain(one.title)}**\n\n" if one.title else ""
    return title + body + (f"\n\n*{plain(one.note)}*" if one.note else "")
