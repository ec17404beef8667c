"""Formula text into its pieces, before anything is made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CLOSING", "OPENING", "Token", "closed_by", "on_one_line", "split_tokens"]

TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
      | (?P<string>"[^"]*"|'[^']*')
      | (?P<quoted>`[^`]+`)
      | (?P<name>[^\W\d][\w.]*)
      | (?P<op>\*\*|==|!=|<=|>=|\|\||[~|()\[\]{}+\-*/:,=<>])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of the formula and where it stands. Made by `split_tokens`, read by `formula`.

    ``kind`` is ``"number"``, ``"string"``, ``"quoted"``, ``"name"``, ``"op"``, or ``"other"`` for a
    character that no formula has.
    """

    kind: str
    text: str
    start: int
    stop: int


#: What stands between quotes, or a run of blanks.
QUOTED_OR_BLANK = re.compile(r"""`[^`]*`|"[^"]*"|'[^']*'|\s+""")


def on_one_line(text: str) -> str:
    """The text with one blank for several; names and labels between quotes keep theirs."""
    return QUOTED_OR_BLANK.sub(lambda m: " " if m.group().isspace() else m.group(), text).strip()


def split_tokens(text: str) -> tuple[Token, ...]:
    """All pieces but the spaces between them."""
    return tuple(
        Token(kind=str(m.lastgroup), text=m.group(), start=m.start(), stop=m.end())
        for m in TOKEN.finditer(text)
        if m.lastgroup != "space"
    )


def closed_by(tokens: Sequence[Token]) -> dict[int, int]:
    """Where the bracket that each opening one begins is closed, of those that are closed."""
    open_at: list[int] = []
    closed: dict[int, int] = {}
    for i, token in enumerate(tokens):
        if token.text in OPENING:
            open_at.append(i)
        elif token.text in CLOSING and open_at and OPENING[tokens[open_at[-1]].text] == token.text:
            closed[open_at.pop()] = i
    return closed
