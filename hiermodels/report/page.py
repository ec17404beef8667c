"""A report into one HTML page that needs nothing else: no script, no font, no picture from outside.

Every text is escaped, and the page's own policy forbids whatever is not in it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files

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
    Section,
)
from .mathml import math_lines
from .pictures import draw_picture

__all__ = ["html_page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
TYPES = {"svg": "image/svg+xml", "png": "image/png"}
#: CSS pixels from which a picture scrolls on a phone rather than shrinks beyond reading.
WIDE = 700
#: Rows of a table that stands on one sheet of paper, whole.
SHORT = 18
#: Characters of a left side of an equation that stand beside the right one.
LONGEST_LEFT = 26
#: No verdict is told by its colour alone.
SIGNS = {"good": "✓", "look": "?", "fault": "!"}
VERDICTS = {"good": "good", "look": "look", "fault": "fault", "warning": "fault", "note": "look"}


def html_page(report: Report) -> str:
    """The whole page."""
    style = (files("hiermodels.report") / "style.css").read_text(encoding="utf-8")
    contents = "".join(
        f'<li><a href="#{s.key}">{escape(s.title)}</a></li>' for s in report.sections
    )
    body = "\n".join(section(s) for s in report.sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(report.title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="kind">{escape(report.subtitle)}</p>
<h1><code>{escape(report.title)}</code></h1>
</header>
<nav aria-label="Contents"><ol>{contents}</ol></nav>
<main>
{body}
</main>
<footer><p>Made with hiermodels.</p></footer>
</body>
</html>
"""


def section(one: Section) -> str:
    inside = "\n".join(block for part in one.blocks for block in rendered(part))
    return (
        f'<section id="{one.key}" aria-labelledby="{one.key}-title">\n'
        f'<h2 id="{one.key}-title">{escape(one.title)}</h2>\n{inside}\n</section>'
    )


def rendered(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield f"<p>{escape(block.text)}</p>"
        case Bullets():
            yield f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in block.items)}</ul>"
        case Cards():
            yield cards(block)
        case Numbers():
            yield table(block)
        case Picture():
            yield picture(block)
        case Math():
            yield equations(block)
        case Code():
            yield code(block)


def cards(block: Cards) -> str:
    found = "".join(
        f'<li class="{verdict}"><a href="#{to}"><span class="name">{escape(name)}</span>'
        f'<span class="verdict"><b aria-hidden="true">{SIGNS[verdict]}</b> {verdict}</span>'
        f'<span class="words">{escape(words)}</span></a></li>'
        for name, verdict, words, to in block.cards
    )
    return f'<ul class="cards">{found}</ul>'


def table(block: Numbers) -> str:
    """A table that scrolls by itself where the screen is narrow."""
    one = block.table
    head, rows = one.cells(max_rows=max(len(one), 1), repeat_keys=block.folded)
    kinds = [column_class(one, name) for name in head]
    header = "".join(
        f'<th scope="col"{kind}>{escape(c)}</th>' for c, kind in zip(head, kinds, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(cell, row, kinds))}</tr>" for row in rows)
    title = f'<p class="title">{escape(one.title)}</p>' if one.title else ""
    inside = (
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(one.title)}">'
        f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    note = f'<p class="note">{escape(one.note)}</p>' if one.note else ""
    if not block.folded:
        short = " short" if len(one) <= SHORT else ""
        return f'<div class="numbers{short}">{title}{inside}{note}</div>'
    return (
        f'<details><summary>{escape(one.title)}: <span class="rows">{len(one)} rows</span>'
        f"</summary>{inside}{note}</details>"
    )


def column_class(one: Table, name: str) -> str:
    if is_number(one, name):
        return ' class="n"'
    long = name in ("what to do", "message", "value", "values", "verdict")
    return f' class="{"v" if name == "verdict" else "long"}"' if long else ""


def cell(text: str, kind: str) -> str:
    if kind == ' class="v"' and text in VERDICTS:
        verdict = VERDICTS[text]
        return f'<td class="v {verdict}"><b aria-hidden="true">{SIGNS[verdict]}</b> {text}</td>'
    return f"<td{kind}>{escape(text)}</td>"


def picture(block: Picture) -> str:
    drawn = draw_picture(block.draw)
    wide = " wide" if drawn.width > WIDE else ""
    data = base64.b64encode(drawn.data).decode("ascii")
    return (
        f'<figure><div class="paper{wide}" tabindex="0">'
        f'<img alt="{escape(block.alt)}" width="{drawn.width}" '
        f'src="data:{TYPES[drawn.suffix]};base64,{data}"></div>'
        f"<figcaption>{escape(block.caption)}</figcaption></figure>"
    )


def equations(block: Math) -> str:
    """A grid of left and right sides, whose right sides break where the screen is narrow."""
    found = block.equations
    parts = (found.likelihood, found.predictor, found.groups, found.priors)
    body = "<hr>".join("".join(sides(*line) for line in math_lines(p)) for p in parts if p)
    return f'<div class="math" role="group" aria-label="Equations of the model">{body}</div>'


def sides(left: str, right: str) -> str:
    """One line; a long left side has a row of its own, above its right side."""
    # a column of two effects is as wide as one of them
    length = len(re.sub(r"<[^>]*>|&\w+;", "", left)) // (1 + ("<mtable>" in left))
    above = " above" if length > LONGEST_LEFT else ""
    return f'<div class="left{above}">{left}</div><div class="right">{right}</div>'


def code(block: Code) -> str:
    if block.language in ("python", "sh"):
        return f'<pre tabindex="0"><code class="{block.language}">{escape(block.text)}</code></pre>'
    label = f'<span class="label">{escape(block.language)}</span>'
    return f'<p class="formula">{label} <code>{escape(block.text)}</code></p>'
