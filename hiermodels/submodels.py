"""A model without one of its terms: which terms can be left out, and the design that is left.

A term can be left out when no other contains it (marginality): ``x`` not beside ``x:z``, the
intercept of a group not beside its slopes. A factor is left out with all its columns. The rows, the
priors of the other parameters and the family stay.

Source: Venables & Ripley 2002, Modern Applied Statistics with S, chapter 6.8, for marginality.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hiermodels.columns import INTERCEPT
from hiermodels.design import Design, build_design
from hiermodels.formula import Formula, GroupTerm, parse
from hiermodels.priors import Priors, build_priors

__all__ = ["Drop", "droppable", "without"]

OFFSET = "offset("


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A term that can be left out. Made by `droppable`.

    ``factor`` is the grouping factor of a term of groups, ``""`` of a common one; ``columns`` the
    names of the columns that go; ``formula`` the formula that is left.
    """

    term: str
    factor: str
    columns: tuple[str, ...]
    formula: str

    @property
    def label(self) -> str:
        """As the formula has it: ``x``, or ``x | site``."""
        term = "1" if self.factor and self.term == INTERCEPT else self.term
        return f"({term} | {self.factor})" if self.factor else term


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """The terms of one side of a bar, or of the common effects. Made by `expression`.

    ``parts`` of each term are the variables that it is a product of; the intercept has none.
    """

    terms: tuple[str, ...]
    parts: tuple[frozenset[str], ...]
    offsets: tuple[str, ...] = ()

    def maximal(self) -> Iterator[int]:
        """The terms that no other contains."""
        for k, own in enumerate(self.parts):
            if not any(own < other for other in self.parts):
                yield k

    def text(self, *, leave_out: int | None = None) -> str:
        kept = [t for k, t in enumerate(self.terms) if k != leave_out]
        intercept = "1" if INTERCEPT in kept else "0"
        return " + ".join([intercept, *(t for t in kept if t != INTERCEPT), *self.offsets])


def expression(text: str, columns: tuple[str, ...]) -> Expression:
    """Read an expression; ``columns`` are those of the data, of which some need backquotes."""
    from formulae import model_description

    quoted = {c: c if c.isidentifier() else f"`{c}`" for c in columns}
    terms: list[str] = []
    parts: list[frozenset[str]] = []
    offsets: list[str] = []
    for term in model_description(f"y ~ {text}").common_terms:
        names = [c.name for c in getattr(term, "components", ())]
        own = ":".join(quoted.get(name, name) for name in names) or INTERCEPT
        if own.startswith(OFFSET):
            offsets.append(own)
            continue
        terms.append(own)
        parts.append(frozenset(names))
    return Expression(terms=tuple(terms), parts=tuple(parts), offsets=tuple(offsets))


def droppable(design: Design) -> tuple[Drop, ...]:
    """Every term of the mean's formula that can be left out, common ones first."""
    return (*common_drops(design), *group_drops(design))


def common_drops(design: Design) -> Iterator[Drop]:
    formula = design.formula
    own = expression(formula.common, names_of(design))
    for k in own.maximal():
        if own.terms[k] == INTERCEPT:
            continue
        text = written(formula, own.text(leave_out=k), group_texts(design))
        left = parse(text)
        yield Drop(
            term=own.terms[k],
            factor="",
            columns=lost(design, left, ""),
            formula=text,
        )


def group_drops(design: Design) -> Iterator[Drop]:
    """Slopes first lost to intercepts alone, and these to nothing, bar by bar."""
    formula = design.formula
    texts = group_texts(design)
    for at, group in enumerate(formula.groups):
        own = expression(group.terms, names_of(design))
        same = [g for g in formula.groups if set(g.factor) == set(group.factor)]
        alone = len(same) == 1
        for k in own.maximal():
            if own.terms[k] == INTERCEPT and not alone:
                continue
            rest = [t for j, t in enumerate(own.terms) if j != k]
            less = group_text(group, own.text(leave_out=k)) if rest else ""
            kept = [t for t in (*texts[:at], less, *texts[at + 1 :]) if t]
            text = written(formula, common_text(design), kept)
            block = next(b for b in design.blocks if set(b.factor) == set(group.factor))
            yield Drop(
                term=own.terms[k],
                factor=block.name,
                columns=lost(design, parse(text), block.name),
                formula=text,
            )


def names_of(design: Design) -> tuple[str, ...]:
    return tuple(map(str, design.rows.frame.columns))


def common_text(design: Design) -> str:
    return design.formula.common


def group_texts(design: Design) -> list[str]:
    return [group_text(group, group.terms) for group in design.formula.groups]


def group_text(group: GroupTerm, terms: str) -> str:
    factor = ":".join(c if c.isidentifier() else f"`{c}`" for c in group.factor)
    terms = re.sub(r"^1 \+ 0$|^1$", "1", terms)
    return f"({terms} {'|' if group.correlated else '||'} {factor})"


def written(formula: Formula, common: str, groups: list[str]) -> str:
    return f"{formula.response} ~ {' + '.join([common, *groups])}"


def lost(design: Design, left: Formula, factor: str) -> tuple[str, ...]:
    """The columns that a formula without a term no longer has."""
    smaller = rebuilt(design, left)
    if not factor:
        return tuple(t for t in design.terms if t not in smaller.terms)
    had = design.block(factor).terms
    kept = {b.name: b.terms for b in smaller.blocks}.get(factor, ())
    return tuple(t for t in had if t not in kept)


def rebuilt(design: Design, formula: Formula) -> Design:
    """The design of another formula on the same rows."""
    extras = {name: own.formula for name, own in design.extras.items()}
    return build_design(formula, design.rows, design.family, extras=extras)


def without(design: Design, priors: Priors, drop: Drop) -> tuple[Design, Priors]:
    """The design without a term, and the priors: the user's own for all parameters that are left.

    Raises
    ------
    FormulaError
        A formula that cannot be evaluated without the term.
    """
    smaller = rebuilt(design, parse(drop.formula))
    default = {p.parameter for p in build_priors(smaller)}
    given: Mapping[str, object] = {
        p.parameter: p.given for p in priors if not p.default and p.parameter in default
    }
    return smaller, build_priors(smaller, given)
