r"""A formula in R's words, for lme4, glmmTMB and brms.

    Reaction ~ np.log(Days) + I(x**2) + (Days | Subject)
    Reaction ~ log(Days) + I(x^2) + (Days | Subject)

Bars, ``*``, ``:`` and ``/`` mean the same in both; functions, powers and literals differ. Each
function of `formula.FUNCTIONS` has an entry in `CALLS`, which says how R writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hiermodels.errors import NotAvailableError
from hiermodels.formula import FUNCTIONS, Formula, Parser
from hiermodels.tokens import Token

__all__ = ["Call", "quoted", "r_expression", "r_predictor", "r_string"]

RESERVED = frozenset(
    "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA in".split()
)
LITERALS = {"True": "TRUE", "False": "FALSE", "None": "NULL"}
#: Operators with a space on both sides; the others stand close.
SPACED = ("+", "-", "*", "~", "|", "||", "==", "!=", "<", ">", "<=", ">=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The arguments of a function, already in R's words. Made by the translation of a call.

    ``text`` is the call as it was written, for an error.
    """

    text: str
    plain: tuple[str, ...]
    named: dict[str, str]

    def get(self, name: str, position: int, default: str) -> str:
        return self.plain[position] if len(self.plain) > position else self.named.get(name, default)

    @property
    def arguments(self) -> str:
        return ", ".join([*self.plain, *(f"{k} = {v}" for k, v in self.named.items())])

    def only(self, n: int) -> tuple[str, ...]:
        """The arguments, if there are n and no others."""
        if len(self.plain) != n or self.named:
            raise NotAvailableError(f"{self.text} has no translation to R; make a column of it")
        return self.plain


def squeezed(call: Call) -> str:
    """The shares moved off 0 and 1, as `families.squeeze` does it."""
    y, s = call.plain[0], call.get("s", 1, "0.5")
    n = call.get("n", 2, f"length({y})")
    return f"(({y} * ({n} - 2 * {s}) + {s}) / {n})"


def levels_of(call: Call) -> str:
    """``ave(x, a, b)``: the mean of x in each combination of levels."""
    return f"ave({', '.join(call.plain)})"


def relevelled(call: Call) -> str:
    if len(call.plain) == 1 and not call.named:
        return f"factor({call.plain[0]})"
    if "levels" in call.named:
        call.only(1)
    return f"relevel(factor({call.plain[0]}), ref = {call.get('ref', 1, '')})"


#: How R writes each function that a formula may call.
CALLS: dict[str, Callable[[Call], str]] = {
    **{
        name: lambda call, name=name: f"{name}({call.arguments})"  # type: ignore[misc]
        for name in (
            *("abs", "cos", "exp", "expm1", "floor", "log", "log10", "log1p", "log2"),
            *("sin", "sqrt", "tan", "tanh", "I", "offset", "poly"),
        )
    },
    "square": lambda call: f"I(({call.only(1)[0]})^2)",
    "bs": lambda call: f"splines::bs({call.arguments})",
    "center": lambda call: f"scale({call.only(1)[0]}, scale = FALSE)",
    "scale": lambda call: f"scale({call.only(1)[0]})",
    "standardize": lambda call: f"scale({call.only(1)[0]})",
    "C": lambda call: f"factor({call.only(1)[0]})",
    "T": relevelled,
    "S": lambda call: f"C(factor({call.only(1)[0]}), contr.sum)",
    "between": levels_of,
    "within": lambda call: f"I({call.plain[0]} - {levels_of(call)})",
    "squeeze": squeezed,
}
#: What R does otherwise, by the function in a formula.
NOTES = {
    "scale": "scale() divides by the sd with n - 1 in R, with n in Python: coefficients differ by "
    "a factor of sqrt((n - 1) / n).",
    "poly": "poly() of R and of Python span the same curves; single coefficients may differ.",
    "bs": "bs() of R and of Python span the same curves; single coefficients may differ.",
}
NOTES["standardize"] = NOTES["scale"]


def quoted(name: str) -> str:
    """A column's name as R reads it: between backquotes where it is not a word of R."""
    plain = re.fullmatch(r"(?:[^\W\d_]|\.(?!\d))[\w.]*", name) and name not in RESERVED
    return name if plain else f"`{name}`"


def r_string(text: object) -> str:
    """A text or a number as R writes it."""
    if isinstance(text, bool):
        return "TRUE" if text else "FALSE"
    if isinstance(text, int | float):
        return repr(text)
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def r_expression(text: str) -> tuple[str, tuple[str, ...]]:
    """An expression of a formula in R's words, and what R does otherwise.

    Raises
    ------
    NotAvailableError
        Something that R writes in no similar way.
    """
    reader = Parser(f"~ {text}", response=False)
    tokens, pairs = reader.tokens, reader.pairs()
    translation = Translation(tokens, pairs)
    return translation.text(1, len(tokens)), tuple(translation.notes)


def r_predictor(
    formula: Formula, independent: Callable[[int], str | None] | None = None
) -> tuple[str, tuple[str, ...]]:
    """The right side of a formula in R's words, and what R does otherwise.

    ``independent`` is asked about each group term by its place in ``formula.groups``: the name of
    the function that R puts around its terms, such as ``"diag"``, or None for the bars alone.
    """
    reader = Parser(formula.text, response=bool(formula.response))
    tokens, pairs = reader.tokens, reader.pairs()
    start = next(i for i, t in enumerate(tokens) if t.text == "~") + 1
    translation = Translation(tokens, pairs)
    if independent is not None:
        opening = {t.start: i for i, t in enumerate(tokens)}
        for k, group in enumerate(formula.groups):
            if word := independent(k):
                translation.wrapped[opening[group.start]] = word
    return translation.text(start, len(tokens)), tuple(translation.notes)


class Translation:
    """Writes tokens in R; lives for the time of one formula."""

    def __init__(self, tokens: Sequence[Token], pairs: dict[int, int]) -> None:
        self.tokens, self.pairs = tokens, pairs
        self.notes: dict[str, None] = {}
        self.wrapped: dict[int, str] = {}
        """The opening bracket of a group term, and the word that R puts before it."""

    def text(self, start: int, stop: int) -> str:
        return re.sub(" +", " ", "".join(self.pieces(start, stop))).strip()

    def pieces(self, start: int, stop: int) -> Iterator[str]:
        i = start
        while i < stop:
            token = self.tokens[i]
            close = self.pairs.get(i)
            if token.kind == "name" and i + 1 < stop and self.tokens[i + 1].text == "(":
                close = self.pairs[i + 1]
                yield self.call(token, i + 2, close)
            elif close is not None:
                yield self.bracket(i, close)
            else:
                yield self.single(token)
                close = i
            i = close + 1

    def bracket(self, start: int, stop: int) -> str:
        token = self.tokens[start]
        inside = self.text(start + 1, stop)
        if token.text == "{":
            return f"I({inside})"
        if token.text == "[":
            before = self.tokens[start - 1]
            if start and (before.kind in ("name", "quoted") or before.text in (")", "]")):
                raise NotAvailableError(
                    f"{before.text}[{inside}] has no translation to R; make a column of 0 and 1"
                )
            return f"c({inside})"
        if start in self.wrapped:
            return f"{self.wrapped[start]}({inside.replace('||', '|', 1)})"
        return f"({inside})"

    def single(self, token: Token) -> str:
        if token.kind in ("name", "quoted"):
            return LITERALS.get(token.text) or quoted(token.text.strip("`"))
        if token.kind == "string":
            return r_string(token.text[1:-1])
        if token.text == "**":
            return "^"
        if token.text in SPACED:
            return f" {token.text} "
        return ", " if token.text == "," else token.text

    def call(self, name: Token, start: int, stop: int) -> str:
        function = name.text.removeprefix("np.")
        if name.text not in FUNCTIONS:  # ``p(successes, trials)`` is read by the caller
            raise NotAvailableError(f"{name.text}() has no translation to R")
        plain, named = [], {}
        for first, last in self.arguments(start, stop):
            if first + 1 < last and self.tokens[first + 1].text == "=":
                named[self.tokens[first].text] = self.text(first + 2, last)
            else:
                plain.append(self.text(first, last))
        if function in NOTES:
            self.notes[NOTES[function]] = None
        source = "".join(t.text for t in self.tokens[start:stop])
        call = Call(text=f"{name.text}({source})", plain=tuple(plain), named=named)
        return CALLS[function](call)

    def arguments(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Where each argument of a call begins and ends."""
        first = i = start
        while i < stop:
            if self.tokens[i].text == ",":
                yield first, i
                first = i + 1
            i = self.pairs.get(i, i) + 1
        if first < stop:
            yield first, stop
