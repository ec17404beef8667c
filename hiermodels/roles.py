"""What each column of a formula is there for: a number, the label of a group, a category.

y ~ x + C(f) + between(x, g) + (x | site)
response: y    predictors: x    categories: f    labels: g, site
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hiermodels.formula import LEVEL_FUNCTIONS, Formula
from hiermodels.tokens import CLOSING, OPENING, split_tokens

__all__ = ["Roles", "find_roles"]

#: Calls that make categories of a column.
CATEGORY_CALLS = ("C", "S", "T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The columns of one or several formulas by what they are used as. Made by `find_roles`.

    A column can have several roles: in ``y ~ year + (1 | year)`` it is a number and a label.
    """

    responses: frozenset[str] = frozenset()
    predictors: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    @property
    def values(self) -> frozenset[str]:
        """The columns that may be numbers: what is not said to be a label or a category."""
        return (self.responses | self.predictors) - self.categories - self.labels

    @property
    def every(self) -> frozenset[str]:
        return self.responses | self.predictors | self.categories | self.labels


@dataclass(slots=True)
class Bracket:
    """An open bracket while the tokens are read: its call, the argument, the side of its bar."""

    call: str = ""
    argument: int = 0
    after_bar: bool = False


@dataclass(slots=True, kw_only=True)
class Found:
    """The roles that are found so far."""

    responses: set[str] = field(default_factory=set)
    predictors: set[str] = field(default_factory=set)
    categories: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


def find_roles(formulas: Iterable[Formula], *, numbers: Iterable[str] = ()) -> Roles:
    """The roles of the columns of all these formulas; ``numbers`` are further columns of numbers,
    such as weights."""
    found = Found(responses=set(numbers))
    for formula in formulas:
        add_roles(formula, found)
    return Roles(
        responses=frozenset(found.responses),
        predictors=frozenset(found.predictors),
        categories=frozenset(found.categories),
        labels=frozenset(found.labels),
    )


def add_roles(formula: Formula, found: Found) -> None:
    names = {name.start: name.name for name in formula.columns}
    open_brackets: list[Bracket] = []
    before, left = "", True
    for token in split_tokens(formula.text):
        text = token.text
        if token.start in names:
            role_of(open_brackets, left=left, found=found).add(names[token.start])
        elif text in OPENING:
            open_brackets.append(Bracket(call=before))
        elif text in CLOSING and open_brackets:
            open_brackets.pop()
        elif text == "~":
            left = False
        elif open_brackets and text == ",":
            open_brackets[-1].argument += 1
        elif open_brackets and text in ("|", "||"):
            open_brackets[-1].after_bar = True
        before = text if token.kind == "name" else ""


def role_of(open_brackets: list[Bracket], *, left: bool, found: Found) -> set[str]:
    """Where a name belongs that stands inside these brackets."""
    for bracket in open_brackets:
        if bracket.after_bar or (bracket.call in LEVEL_FUNCTIONS and bracket.argument > 0):
            return found.labels
        if bracket.call in CATEGORY_CALLS and bracket.argument == 0:
            return found.categories
    return found.responses if left else found.predictors
