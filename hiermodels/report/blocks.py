"""What a report is made of: sections of blocks, without a word of HTML, Markdown or LaTeX.

Made by `content`, written by `page`, `markdown` and `latex`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hiermodels.labels.equations import Equations
from hiermodels.printing import Table

__all__ = [
    "Block",
    "Bullets",
    "Cards",
    "Code",
    "Math",
    "Numbers",
    "Paragraph",
    "Picture",
    "Report",
    "Section",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bullets:
    """Sentences, each by itself."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Verdicts at a glance: what was looked at, ``good``, ``look`` or ``fault``, and a few words.

    ``to`` is the key of the section that has more.
    """

    cards: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A table. A ``folded`` one is long and is opened by its reader."""

    table: Table
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure, drawn when it is written: ``draw`` gives its axes. ``alt`` says what it shows."""

    name: str
    draw: Callable[[], Any]
    alt: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Math:
    """The equations of a model."""

    equations: Equations


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Text as a program reads it; ``language`` is python or sh."""

    text: str
    language: str


type Block = Paragraph | Bullets | Cards | Numbers | Picture | Math | Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands below it; ``key`` is the end of its address."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report. Made by `build_report`, written by the renderers."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
