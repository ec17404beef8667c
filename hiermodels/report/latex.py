"""A report into a LaTeX document, its pictures as PDF in a folder beside it.

Every text is escaped. Tables are of booktabs and as wide as the page at most; of long ones the
first rows are set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from hiermodels.printing import Table, is_number, latex_text

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

__all__ = ["latex_page"]

#: Rows of a table that stand on a page.
MOST_ROWS = 36
#: Columns of sentences, and how wide they are.
LONG = {"what to do": 5.5, "message": 6.5, "values": 6.5, "value": 9.5, "verdict": 1.3}
HEAD = r"""\documentclass[11pt,a4paper]{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[T1]{fontenc}
  \usepackage{lmodern}
\else % LuaLaTeX and XeLaTeX have every character that their font has
  \usepackage{fontspec}
\fi
\usepackage[margin=24mm]{geometry}
\usepackage{amsmath,amssymb,booktabs,graphicx,array}
\usepackage[hidelinks]{hyperref}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
% what is wider than the page is made as wide as the page
\newsavebox{\contentbox}
\newcommand{\fitted}[1]{\sbox{\contentbox}{#1}%
  \ifdim\wd\contentbox>\linewidth\resizebox{\linewidth}{!}{\usebox{\contentbox}}%
  \else\usebox{\contentbox}\fi}
\begin{document}
"""
#: A word that no line is long enough for, and where it may be broken.
HASH, EIGHT = re.compile(r"\b[0-9a-f]{64}\b"), re.compile(r".{8}")
MORE = {"\u202f": r"\,", "−": "$-$", "η": r"$\eta$", "μ": r"$\mu$", "≤": r"$\le$"}


def plain(text: str) -> str:
    escaped = latex_text(" ".join(str(text).split()))
    for character, latex in MORE.items():
        escaped = escaped.replace(character, latex)
    escaped = escaped.replace('"', r"\textquotedbl{}")
    return HASH.sub(lambda found: "\\allowbreak ".join(EIGHT.findall(found[0])), escaped)


def typewriter(text: str) -> str:
    r"""Lines as they stand; ``verbatim`` could be ended by what a user wrote."""
    lines = (
        latex_text(line).replace(" ", "~").replace('"', r"\textquotedbl{}")
        for line in text.splitlines()
    )
    return "\\\\\n".join(rf"\texttt{{{line}}}" if line else r"\strut" for line in lines)


def latex_page(report: Report, *, picture: Callable[[Picture], str]) -> str:
    """The whole document; ``picture`` writes one and gives its path."""
    parts = [
        rf"{{\Large\bfseries {typewriter(report.title)}\par}}",
        plain(report.subtitle),
        r"\tableofcontents",
    ]
    for section in report.sections:
        parts.append(rf"\section{{{plain(section.title)}}}")
        for block in section.blocks:
            parts += rendered(block, picture)
    return HEAD + "\n\n".join(parts) + "\n\n\\end{document}\n"


def rendered(block: Block, picture: Callable[[Picture], str]) -> Iterator[str]:
    match block:
        case Paragraph():
            yield plain(block.text)
        case Bullets():
            yield items(plain(item) for item in block.items)
        case Cards():
            yield items(
                rf"\textbf{{{plain(name)}}}: {verdict} ({plain(words)})"
                for name, verdict, words, _ in block.cards
            )
        case Numbers():
            yield table(block.table)
        case Picture():
            size = r"width=\linewidth,height=0.72\textheight,keepaspectratio"
            yield (
                f"\\begin{{figure}}[htbp]\n\\centering\n"
                f"\\includegraphics[{size}]{{{picture(block)}}}\n"
                f"\\caption{{{plain(block.caption)}}}\n\\end{{figure}}"
            )
        case Math():
            shown = f"\\fitted{{$\\displaystyle\n{block.equations.latex}\n$}}"
            yield f"\\begin{{center}}\n{shown}\n\\end{{center}}"
        case Code() if block.language in ("python", "sh"):
            yield f"{{\\small\\raggedright\n{typewriter(block.text)}\\par}}"
        case Code():
            yield f"{plain(block.language)}: {typewriter(block.text)}"


def items(texts: Iterable[str]) -> str:
    return "\\begin{itemize}\n" + "\n".join(rf"\item {t}" for t in texts) + "\n\\end{itemize}"


def table(one: Table) -> str:
    head, rows = one.cells(max_rows=min(MOST_ROWS, max(len(one), 1)))
    columns = "".join(column(one, name) for name in head)
    line = [" & ".join(plain(c) for c in row) + r" \\" for row in [list(head), *rows]]
    body = "\n".join([r"\toprule", line[0], r"\midrule", *line[1:], r"\bottomrule"])
    title = rf"\textbf{{{plain(one.title)}}}\\[0.4em]" + "\n" if one.title else ""
    note = "\n\\\\[0.3em]{\\footnotesize " + plain(one.note) + "}" if one.note else ""
    return (
        "\\begin{center}\\small\n\\begin{minipage}{\\linewidth}\n"
        f"{title}\\fitted{{\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}}}{note}\n"
        "\\end{minipage}\n\\end{center}"
    )


def column(one: Table, name: str) -> str:
    if is_number(one, name):
        return "r"
    width = LONG.get(name)
    return rf">{{\raggedright\arraybackslash}}p{{{width}cm}}" if width else "l"
