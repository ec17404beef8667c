"""What a term of a formula compares: its variables, and what it means beside products with it.

A coefficient beside a product is that of its variable where the others are 0. It is told where they
are typical instead: with P the terms that contain term t, and m the values of what they have beyond
t, the mean of a number, 0 of a switch, and the reference of a category,

    beta_t + sum_{p in P} m_p beta_p .

Source: Aiken & West 1991, Multiple Regression: Testing and Interpreting Interactions, chapter 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from hiermodels.design import INTERCEPT, Design
from hiermodels.printing import format_number

__all__ = ["NUMBER", "Part", "Term", "Terms", "listed", "split_product"]

type Array = np.ndarray

#: Functions of a formula that make categories of their argument.
CATEGORICAL = ("C(", "T(", "S(")
NUMBER, SWITCH, CATEGORY, CURVE = "number", "switch", "category", "curve"
CALL = re.compile(r"(within|between)\((.+?), *(.+)\)")


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One variable of a term. Made by `Terms`.

    ``name`` is as in the term, ``f[low]``; ``variable`` without the label, ``f``. ``label`` is the
    category that the column is one in, ``reference`` the one without a column, None where every
    category has one.
    """

    name: str
    variable: str
    kind: str
    label: str = ""
    reference: str | None = None

    @property
    def noun(self) -> str:
        """The variable as it is read: ``between(x, g)`` is a mean of x."""
        call = CALL.fullmatch(self.variable)
        if call is None:
            return self.variable
        kind, x, factors = call.groups()
        level = ":".join(f.strip() for f in factors.split(","))
        mean = f"mean of {x} in {level}"
        return mean if kind == "between" else f"deviation from the {mean}"

    @property
    def moved(self) -> str:
        """What is one more: of a deviation, the variable itself."""
        call = CALL.fullmatch(self.variable)
        return call.group(2) if call is not None and call.group(1) == "within" else self.noun

    def change(self, *, between: bool) -> str:
        """What is compared; ``between`` levels nothing increases."""
        if self.kind in (CATEGORY, SWITCH):
            return self.contrast
        return f"a one-unit {'higher' if between else 'increase in'} {self.moved}"

    @property
    def contrast(self) -> str:
        """``f = low rather than high``."""
        if self.kind == SWITCH:
            return f"{self.variable} = 1 rather than 0"
        rest = "the reference" if self.reference is None else self.reference
        return f"{self.variable} = {self.label} rather than {rest}"

    @property
    def moderation(self) -> str:
        """Where, or with what, another effect changes."""
        if self.kind in (CATEGORY, SWITCH):
            return f"where {self.contrast}"
        return f"for each one-unit increase in {self.moved}"

    @property
    def effect(self) -> str:
        """What has the effect: ``x``, or ``f (low rather than high)``."""
        if self.kind == NUMBER:
            return self.moved
        return f"{self.variable} ({self.contrast.removeprefix(f'{self.variable} = ')})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A coefficient as it is read. Made by `Terms.read`, read by `sentences`.

    ``parts`` are the variables whose effect it is, none for the level of a category itself;
    ``conditions`` the categories in which it is that effect, because each has a coefficient of its
    own. ``weights`` (p,) make the coefficient where the others of its products have the values that
    ``places`` says.
    """

    name: str
    parts: tuple[Part, ...]
    conditions: tuple[Part, ...]
    weights: Array
    places: tuple[str, ...]

    @property
    def variables(self) -> set[str]:
        return {p.variable for p in (*self.parts, *self.conditions)}

    @property
    def where(self) -> str:
        """``f = low and z is at its mean (2.3)``, or nothing."""
        told = [f"{c.variable} = {c.label}" for c in self.conditions]
        return listed(list(dict.fromkeys([*told, *self.places])))


@dataclass(frozen=True)
class Terms:
    """The terms of a linear predictor, or of a factor. Made by `sentences`.

    ``values`` (rows, p) are their columns.
    """

    design: Design
    names: tuple[str, ...]
    values: Array

    @property
    def frame(self) -> pd.DataFrame:
        return self.design.rows.frame

    @cached_property
    def split(self) -> dict[str, tuple[tuple[str, str | None], ...]]:
        """Each term's variables with the label of the column, None of a number."""
        return {t: tuple(self.split_label(n) for n in split_product(t)) for t in self.names}

    @cached_property
    def parts(self) -> dict[str, tuple[Part, ...]]:
        """Each term's variables; the intercept has none."""
        return {
            t: ()
            if t == INTERCEPT
            else tuple(
                self.part(name, variable, label, self.coded(t, variable))
                for name, (variable, label) in zip(split_product(t), split, strict=True)
            )
            for t, split in self.split.items()
        }

    @cached_property
    def sets(self) -> dict[str, frozenset[str]]:
        return {t: frozenset(p.name for p in parts) for t, parts in self.parts.items()}

    # --- variables ---

    def split_label(self, name: str) -> tuple[str, str | None]:
        """``f[low]`` is f and low; of a call the last brackets hold the label."""
        if name in self.frame.columns or not name.endswith("]"):
            return name, None
        before, _, label = name[:-1].partition("[")
        if "(" in before:
            before, _, label = name[:-1].rpartition("[")
        return before, label

    def coded(self, term: str, variable: str) -> set[str | None]:
        """The categories that have a column in terms of the same variables."""
        same = [v for v, _ in self.split[term]]
        each = [s for s in self.split.values() if [v for v, _ in s] == same]
        return {label for s in each for v, label in s if v == variable}

    def part(self, name: str, variable: str, label: str | None, coded: set[str | None]) -> Part:
        if label is None:
            kind = SWITCH if is_switch(self.column(name)) else NUMBER
            return Part(name=name, variable=name, kind=kind)
        if "(" in variable and not variable.startswith(CATEGORICAL):
            return Part(name=name, variable=variable, kind=CURVE)
        return Part(
            name=name,
            variable=variable,
            kind=CATEGORY,
            label=label,
            reference=self.reference(variable, coded),
        )

    def column(self, name: str) -> Array | None:
        """The values of a variable that is a term or a column by itself."""
        if name in self.names:
            return np.asarray(self.values[:, self.names.index(name)])
        if name in self.frame.columns and pd.api.types.is_numeric_dtype(self.frame[name]):
            return self.frame[name].to_numpy(dtype=float)
        return None

    def reference(self, variable: str, coded: set[str | None]) -> str | None:
        """The category that has no column."""
        if "Sum" in variable:
            return "their mean"
        name = variable
        for function in CATEGORICAL:
            if variable.startswith(function):
                name = variable.removeprefix(function).removesuffix(")").partition(",")[0]
        if name not in self.frame.columns:
            return "the reference"
        rest = [v for v in map(str, self.frame[name].unique()) if v not in coded]
        return rest[0] if len(rest) == 1 else "the reference" if rest else None

    # --- terms ---

    def read(self, term: str) -> Term:
        """A term where its partners are typical; a category that nothing is compared with, all."""
        conditions = tuple(self.conditions(term))
        parts = tuple(p for p in self.parts[term] if p not in conditions)
        weights, places = self.typical(self.sets[term], every=not parts)
        return Term(name=term, parts=parts, conditions=conditions, weights=weights, places=places)

    def conditions(self, term: str) -> Iterator[Part]:
        """Categories that all have this coefficient, so that it is no difference between them."""
        own = self.sets[term]
        for part in self.parts[term]:
            if part.kind != CATEGORY:
                continue
            rest = own - {part.name}
            if part.reference is None if not rest else rest not in self.sets.values():
                yield part

    def typical(self, own: frozenset[str], *, every: bool) -> tuple[Array, tuple[str, ...]]:
        """The weights of the coefficients where the partners are typical, and where that is.

        Of the terms that contain all of ``own``; with ``every`` of all terms.
        """
        weights = np.zeros(len(self.names))
        places: dict[str, None] = {}
        known = {p.variable for parts in self.parts.values() for p in parts if p.name in own}
        for k, (name, parts) in enumerate(self.parts.items()):
            if not (every or own <= self.sets[name]):
                continue
            value = 1.0
            for part in parts:
                if part.name in own:
                    continue
                mean, words = self.typical_value(part)
                value *= mean
                if part.variable not in known:
                    places[words] = None
            weights[k] = value
        return weights, tuple(places)

    def typical_value(self, part: Part) -> tuple[float, str]:
        if part.kind == CATEGORY:
            return 0.0, f"{part.variable} = {part.reference or 'the reference'}"
        values = self.column(part.name) if part.kind == NUMBER else None
        if values is None:
            return 0.0, f"{part.variable} = 0"
        mean = float(np.average(values, weights=self.design.weights))
        return mean, f"{part.noun} is at its mean ({format_number(mean)})"

    # --- curves ---

    def curve(self, term: str) -> tuple[str, ...]:
        """The variables of the terms that only together say how the response goes with one."""
        of = {p.variable for p in self.parts[term]}
        if any(p.kind == CURVE for p in self.parts[term]):
            return tuple(dict.fromkeys(p.variable for p in self.parts[term]))
        if len(of) > 1:
            return ()
        variable = next(iter(of))
        own = self.inputs(variable)
        others = dict.fromkeys(p.variable for parts in self.parts.values() for p in parts)
        shared = [v for v in others if v == variable or own & self.inputs(v)]
        return tuple(shared) if len(shared) > 1 else ()

    def inputs(self, variable: str) -> set[str]:
        """The columns that are read; a mean and the deviations from it are of two variables."""
        if variable in self.frame.columns or CALL.fullmatch(variable):
            return {variable}
        found = set(re.findall(r"[^\W\d]\w*", variable)) & set(map(str, self.frame.columns))
        return found


def is_switch(values: Array | None) -> bool:
    return values is not None and set(np.unique(values)) == {0.0, 1.0}


def split_product(term: str) -> tuple[str, ...]:
    """``x:f[a:b]`` is x and f[a:b]: colons within brackets belong to a label or a call."""
    parts, depth = [""], 0
    for char in term:
        depth += (char in "([{") - (char in ")]}")
        if char == ":" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return tuple(parts)
