"""Formula text into its parts: the response, the common effects and the group terms.

    reaction ~ days + (days | subject)
    response   common  group term: columns that differ between the levels of a grouping factor

The bars are read here, because no formula library has all of lme4's: ``|``, ``||``, ``/``, ``:``.
What stands in them, and the rest, is handed to formulae in `design`. Nothing in a formula is ever
run as Python: a name is a column of the data or one of `FUNCTIONS`, and anything else is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from hiermodels.errors import FormulaError, did_you_mean, underline
from hiermodels.habits import translate
from hiermodels.tokens import CLOSING, OPENING, Token, on_one_line, split_tokens

__all__ = ["FUNCTIONS", "Formula", "GroupTerm", "Name", "parse", "parse_predictor"]

#: What formulae offers itself.
FORMULAE_FUNCTIONS = ("bs", "center", "poly", "scale", "standardize", "C", "I", "S", "T", "offset")
#: NumPy functions of one column, with or without ``np.`` before them.
NUMPY_FUNCTIONS = (
    *("abs", "cos", "exp", "expm1", "floor", "log", "log10", "log1p", "log2"),
    *("sin", "sqrt", "square", "tan", "tanh"),
)
#: Our own, defined in `columns` and `families`.
LEVEL_FUNCTIONS = ("within", "between")
SHARE_FUNCTIONS = ("squeeze",)
#: Every function that a formula may call.
FUNCTIONS = (
    *FORMULAE_FUNCTIONS,
    *LEVEL_FUNCTIONS,
    *SHARE_FUNCTIONS,
    *NUMPY_FUNCTIONS,
    *(f"np.{name}" for name in NUMPY_FUNCTIONS),
)

#: ``p(successes, trials)``, which stands as the response alone.
TRIALS = "p"
LITERALS = ("True", "False", "None")
#: What R users write, and what to write here.
REPAIRS = {
    "%": "write a:b for the cells of two columns",
    ".": "name each column; '.' for all others is not read",
    "$": "a column is named alone, without its data frame",
    "_": "put a name that begins with _ between backquotes: `_x`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A column that the formula names, and where. Made by `parse`, read by `design`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTerm:
    """One bar, ``(terms | factor)``. Made by `parse`, read by `design`.

    ``factor`` has the columns whose combinations are the levels: ``("pop", "patch")`` for
    ``pop:patch``. ``(1 | a/b)`` makes two group terms. ``correlated`` is False for ``||``.
    """

    terms: str
    factor: tuple[str, ...]
    correlated: bool
    start: int
    stop: int

    @property
    def name(self) -> str:
        return ":".join(self.factor)

    def __str__(self) -> str:
        return f"({self.terms} {'|' if self.correlated else '||'} {self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """A formula in its parts. Made by `parse`, read by `design`.

    ``quotient`` has the two sides of a response ``successes / trials`` or ``p(successes, trials)``.
    ``se`` and ``weights`` are the columns of ``y | se(s)`` and ``y | weights(w)``.
    """

    text: str
    response: str
    common: str
    groups: tuple[GroupTerm, ...]
    columns: tuple[Name, ...]
    quotient: tuple[str, str] | None = None
    se: str | None = None
    weights: str | None = None

    def __str__(self) -> str:
        return self.text

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns of the data that the formula uses, each once, in the order of the text."""
        return tuple(dict.fromkeys(c.name for c in self.columns))

    def error(self, message: str, *, start: int, stop: int, repair: str = "") -> FormulaError:
        """An error that shows the formula with ``text[start:stop]`` underlined."""
        lines = [message, underline(self.text, start, stop), repair]
        return FormulaError("\n".join(line for line in lines if line))

    def unknown_column(self, name: Name, valid: list[str]) -> FormulaError:
        """The error for a name that is no column of the data."""
        hint = did_you_mean(name.name, valid)
        return self.error(
            f"no column {name.name!r} in the data",
            start=name.start,
            stop=name.stop,
            repair=f"columns: {', '.join(valid)}.{hint}",
        )


def parse(text: str) -> Formula:
    """Read a formula.

    ``response ~ common effects + (terms | factor)``, where a bar is ``|`` (correlated) or ``||``
    (independent) and a factor is a column, the cells ``a:b`` of two, or ``a/b`` for ``a + a:b``.

    Raises
    ------
    FormulaError
        With the bad place underlined.

    Source: Bates et al. 2015, J. Stat. Softw. 67(1), table 2, for the meaning of the bars.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is text such as 'y ~ x + (x | site)', not {text!r}")
    found = translate(on_one_line(text))
    parsed = Parser(found.text).parse()
    return replace(parsed, se=found.additions.get("se"), weights=found.additions.get("weights"))


def parse_predictor(text: str) -> Formula:
    """Read the formula of a family's own parameter, ``~ x + (1 | g)``: nothing before the '~'.

    Raises
    ------
    FormulaError
        With the bad place underlined.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is text such as '~ x + (1 | site)', not {text!r}")
    return Parser(translate(on_one_line(text)).text, response=False).parse()


class Parser:
    """Reads one formula; lives for the time of `parse`."""

    def __init__(self, text: str, *, response: bool = True) -> None:
        self.blank = Formula(text=text, response="", common="", groups=(), columns=())
        self.text = text
        self.response = response
        self.tokens = self.scan()

    def fail(
        self, message: str, first: Token, last: Token | None = None, repair: str = ""
    ) -> NoReturn:
        stop = (last or first).stop
        raise self.blank.error(message, start=first.start, stop=stop, repair=repair)

    def scan(self) -> tuple[Token, ...]:
        tokens = split_tokens(self.text)
        for token in tokens:
            if token.kind == "other":
                self.fail(
                    f"{token.text!r} cannot be read", token, repair=REPAIRS.get(token.text, "")
                )
        return tokens

    def parse(self) -> Formula:
        left, right = self.sides()
        pairs = self.pairs()
        bars = tuple(self.bars(right, pairs))
        return Formula(
            text=self.text,
            response=self.source(left),
            common=self.common(right, bars, pairs),
            groups=tuple(term for bar in bars for term in self.group_terms(bar, pairs[bar])),
            columns=tuple(self.columns()),
            quotient=self.quotient(left, pairs),
        )

    def quotient(self, left: range, pairs: dict[int, int]) -> tuple[str, str] | None:
        """Successes and trials, where the response is written as ``a / b`` or ``p(a, b)``."""
        whole = left
        call = len(left) > 3 and self.tokens[0].text == TRIALS and pairs.get(1) == left[-1]
        if call:
            whole = range(2, left[-1])
        at = [i for i in self.outside(whole, pairs) if self.tokens[i].text == (",", "/")[not call]]
        alone = not any(self.tokens[i].text in "+-" for i in self.outside(whole, pairs))
        if len(at) == 1 and (alone or call) and whole[0] < at[0] < whole[-1]:
            return self.source(range(whole[0], at[0])), self.source(range(at[0] + 1, whole.stop))
        if call:
            self.fail(
                "p() has successes and trials",
                *(self.tokens[0], self.tokens[left[-1]]),
                repair="such as p(dead, total) ~ x, or dead / total ~ x",
            )
        return None

    @staticmethod
    def outside(tokens: range, pairs: dict[int, int]) -> Iterator[int]:
        """The tokens that are in no bracket."""
        i = tokens.start
        while i < tokens.stop:
            yield i
            i = pairs.get(i, i) + 1

    def source(self, tokens: range) -> str:
        if not tokens:
            return ""
        return self.text[self.tokens[tokens[0]].start : self.tokens[tokens[-1]].stop]

    def sides(self) -> tuple[range, range]:
        """The tokens left and right of the tilde."""
        tildes = [i for i, t in enumerate(self.tokens) if t.text == "~"]
        if not tildes:
            whole = Token(kind="op", text=self.text, start=0, stop=len(self.text))
            self.fail(
                "a formula needs a '~' between the response and its predictors",
                whole,
                repair="such as y ~ x + (x | site)",
            )
        if len(tildes) > 1:
            self.fail("a formula has one '~', this has more", self.tokens[tildes[1]])
        tilde = tildes[0]
        if tilde == 0 and self.response:
            self.fail("no response before the '~'", self.tokens[0], repair="such as y ~ x")
        if tilde > 0 and not self.response:
            self.fail(
                "this formula has no response: it is that of a parameter",
                *(self.tokens[0], self.tokens[tilde - 1]),
                repair="such as ~ x + (1 | site)",
            )
        if tilde == len(self.tokens) - 1:
            self.fail(
                "nothing after the '~'", self.tokens[tilde], repair="an intercept alone is y ~ 1"
            )
        return range(tilde), range(tilde + 1, len(self.tokens))

    def pairs(self) -> dict[int, int]:
        """Where the bracket that each opening bracket begins is closed."""
        open_at: list[int] = []
        closed: dict[int, int] = {}
        for i, token in enumerate(self.tokens):
            if token.text in OPENING:
                open_at.append(i)
            elif token.text in CLOSING:
                if not open_at or OPENING[self.tokens[open_at[-1]].text] != token.text:
                    self.fail(f"{token.text!r} closes nothing", token)
                closed[open_at.pop()] = i
        if open_at:
            self.fail(
                f"{self.tokens[open_at[-1]].text!r} is never closed",
                self.tokens[open_at[-1]],
                self.tokens[-1],
            )
        return closed

    def bars(self, right: range, pairs: dict[int, int]) -> Iterator[int]:
        """The opening brackets of the group terms."""
        i = right.start
        while i < right.stop:
            token = self.tokens[i]
            if token.text in ("|", "||"):
                self.fail(
                    "a group term stands between parentheses", token, repair="such as (1 | site)"
                )
            stop = pairs.get(i)
            if stop is not None:
                inside = [j for j in range(i + 1, stop) if self.tokens[j].text in ("|", "||")]
                if inside:
                    self.check_place(i, stop, right)
                    yield i
                i = stop
            i += 1

    def check_place(self, start: int, stop: int, right: range) -> None:
        """A group term is added; it is neither subtracted nor part of a product or a call."""
        before = self.tokens[start - 1].text if start > right.start else "+"
        after = self.tokens[stop + 1].text if stop + 1 < right.stop else "+"
        if self.tokens[start].text != "(" or before != "+" or after not in ("+", "-"):
            self.fail(
                "a group term can only be added to the others",
                self.tokens[start],
                self.tokens[stop],
                repair="such as y ~ x + (x | site); an effect of x that differs between sites is "
                "x inside the bar",
            )

    def common(self, right: range, bars: tuple[int, ...], pairs: dict[int, int]) -> str:
        """The right side without the group terms."""
        kept = list(right)
        for bar in bars:
            first = bar - 1 if bar > right.start else bar
            kept = [i for i in kept if not first <= i <= pairs[bar]]
        while kept and self.tokens[kept[0]].text == "+":
            kept = kept[1:]
        return " ".join(self.tokens[i].text for i in kept) or "1"

    def group_terms(self, start: int, stop: int) -> Iterator[GroupTerm]:
        bars = [i for i in range(start + 1, stop) if self.tokens[i].text in ("|", "||")]
        whole = self.tokens[start], self.tokens[stop]
        if len(bars) > 1:
            self.fail(
                "a group term has one bar, this has more",
                *whole,
                repair="write (1 | a) + (1 | b) for two factors, (x || g) for independent columns",
            )
        bar = bars[0]
        terms = self.source(range(start + 1, bar))
        if not terms:
            self.fail(
                "nothing before the bar", *whole, repair="(1 | site) lets the intercept differ"
            )
        for factor in self.factors(range(bar + 1, stop), terms, whole):
            yield GroupTerm(
                terms=terms,
                factor=factor,
                correlated=self.tokens[bar].text == "|",
                start=whole[0].start,
                stop=whole[1].stop,
            )

    def factors(
        self, tokens: range, terms: str, whole: tuple[Token, Token]
    ) -> tuple[tuple[str, ...], ...]:
        """``a/b`` as ``(a,)`` and ``(a, b)``; ``a:b`` as ``(a, b)``."""
        if not tokens:
            self.fail("no grouping factor after the bar", *whole, repair="such as (1 | site)")
        parts = [self.tokens[i] for i in tokens]
        if [t.text for t in parts] == ["1"]:
            self.fail(
                "1 is not a grouping factor: every row has the same level of it",
                *whole,
                repair=self.meant_by_one(terms),
            )
        for t in parts:
            if t.text in ("+", "*", ","):
                self.fail(
                    "a group term has one grouping factor",
                    parts[0],
                    parts[-1],
                    repair="crossed: (1 | a) + (1 | b); nested: (1 | a/b); cells: (1 | a:b)",
                )
        shape = "".join("n" if t.kind in ("name", "quoted") else t.text for t in parts)
        if not re.fullmatch(r"n([/:]n)*", shape):
            self.fail(
                "a grouping factor is a column, a:b or a/b",
                parts[0],
                parts[-1],
                repair=(
                    "a name with a space in it stands in backquotes: (1 | `my site`)"
                    if "nn" in shape
                    else "make a column of anything else first"
                ),
            )
        return self.expand(parts)

    @staticmethod
    def expand(parts: list[Token]) -> tuple[tuple[str, ...], ...]:
        factors: list[tuple[str, ...]] = []
        columns: tuple[str, ...] = ()
        for token in parts:
            if token.text == "/":
                factors.append(columns)
            elif token.text != ":":
                columns = tuple(dict.fromkeys((*columns, token.text.strip("`"))))
        return (*factors, columns)

    def meant_by_one(self, terms: str) -> str:
        """What ``(x | 1)`` was probably meant to be."""
        if terms in ("1", "0"):
            return "for an intercept that differs between the levels of site: (1 | site)"
        slope = terms.removeprefix("1 + ").removeprefix("0 + ")
        return (
            f"for effects of {slope} that differ between the levels of site: ({slope} | site), "
            f"or (0 + {slope} | site) without intercepts; "
            f"for one effect of {slope}: {slope} without the bar"
        )

    def columns(self) -> Iterator[Name]:
        """The names that must be columns of the data; any call that is not allowed is an error."""
        for i, token in enumerate(self.tokens):
            after = self.tokens[i + 1].text if i + 1 < len(self.tokens) else ""
            if token.kind == "quoted":
                yield Name(name=token.text.strip("`"), start=token.start, stop=token.stop)
            elif token.kind != "name" or token.text in LITERALS or after == "=":
                continue
            elif after == "(":
                self.check_call(token)
            else:
                yield Name(name=token.text, start=token.start, stop=token.stop)

    def check_call(self, token: Token) -> None:
        if token.text not in FUNCTIONS and not (token.text == TRIALS and token.start == 0):
            valid = ", ".join(sorted(f for f in FUNCTIONS if not f.startswith("np.")))
            apart = self.text[token.stop : token.stop + 1] == " "  # a unit, as in: length (cm)
            quoted = f" A column's name with a bracket stands in backquotes: `{token.text} (...)`"
            self.fail(
                f"no function {token.text!r} in a formula",
                token,
                repair=f"functions: {valid}.{did_you_mean(token.text, FUNCTIONS)}"
                + (quoted if apart else ""),
            )
