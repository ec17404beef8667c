"""An exercise and what is said to an answer: a number, a choice, an interval.

    right  <=>  |given - answer| <= within        of a number, and of both ends of an interval

The answer may be a function: it is then computed when somebody answers, by the same package and
from the same data, so that no number stands anywhere that could go stale. A wrong answer is
compared with the usual mistakes, each of which has a hint of its own.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from hiermodels.errors import DataError, lookup

__all__ = ["KINDS", "Exercise", "Verdict", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """A question whose answer can be checked. Made by a teacher or a tutorial, read by `judge`.

    ``kind`` is a key of `KINDS`. ``answer`` is the answer, or a function without arguments that
    computes it; so are the values of ``mistakes``, by the hint that each gets. ``within`` is how
    far a number may be off, on its own scale; ``options`` what a choice has. ``hint`` is for
    every other wrong answer, ``solution`` the sentence that explains the right one.

    Raises
    ------
    DataError
        A kind without what it needs.
    """

    name: str
    question: str
    answer: Any
    kind: str = "number"
    within: float = 0.0
    options: tuple[str, ...] = ()
    hint: str = ""
    mistakes: Mapping[str, Any] = field(default_factory=dict)
    solution: str = ""

    def __post_init__(self) -> None:
        lookup(self.kind, KINDS, what="kind of exercise")
        if self.kind == "choice" and len(self.options) < 2:
            raise DataError(f"exercise {self.name!r}: a choice needs two options or more")
        if self.within < 0:
            raise DataError(f"exercise {self.name!r}: within={self.within} is negative")

    def __repr__(self) -> str:
        """The question, never the answer."""
        choices = f"\n  one of: {', '.join(self.options)}" if self.options else ""
        return f"{self.name}: {self.question}{choices}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said to an answer. Made by `judge`; true where the answer is right."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        # the sign, not the colour alone, says which it is
        colour, sign = ("#1b7837", "✓") if self.right else ("#b2182b", "✗")
        return f"<p style='color:{colour}'>{sign} {html.escape(self.text)}</p>"


def judge(exercise: Exercise, given: Any) -> Verdict:
    """Whether an answer is right, and if not, what may help.

    Raises
    ------
    DataError
        An answer of another kind than the exercise asks for.
    """
    return KINDS[exercise.kind](exercise, given)


def value_of(answer: Any) -> Any:
    return answer() if callable(answer) else answer


def right(exercise: Exercise) -> Verdict:
    return Verdict(right=True, text=f"Right. {exercise.solution}".strip())


def wrong(*sentences: str) -> Verdict:
    return Verdict(right=False, text=" ".join(["Not yet.", *(s for s in sentences if s)]))


def numbers(exercise: Exercise, given: Any, *, n: int) -> list[float]:
    """The answer as n finite numbers."""
    what = "a number" if n == 1 else "an interval, (lower, upper)"
    values = [given] if n == 1 else given
    several = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
    if not several or len(values) != n or not all(map(is_number, values)):
        raise DataError(f"exercise {exercise.name!r} asks for {what}, not {given!r}")
    return [float(v) for v in values]


def is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def judge_number(exercise: Exercise, given: Any) -> Verdict:
    (found,) = numbers(exercise, given, n=1)
    answer = float(value_of(exercise.answer))
    if near(found, answer, exercise.within):
        return right(exercise)
    for hint, mistake in exercise.mistakes.items():
        if near(found, float(value_of(mistake)), exercise.within):
            return wrong(hint)
    return wrong(f"Your number is too {'large' if found > answer else 'small'}.", exercise.hint)


def near(found: float, answer: float, within: float) -> bool:
    """Equal up to ``within``, and to the rounding of floating point."""
    return abs(found - answer) <= within + 1e-12 * max(abs(found), abs(answer))


def judge_interval(exercise: Exercise, given: Any) -> Verdict:
    found = numbers(exercise, given, n=2)
    answer = [float(v) for v in value_of(exercise.answer)]
    off = [
        f"Its {which} end is too {'high' if f > a else 'low'}."
        for which, f, a in zip(("lower", "upper"), found, answer, strict=True)
        if not near(f, a, exercise.within)
    ]
    if not off:
        return right(exercise)
    for hint, mistake in exercise.mistakes.items():
        ends = [float(v) for v in value_of(mistake)]
        if all(near(f, m, exercise.within) for f, m in zip(found, ends, strict=True)):
            return wrong(hint)
    return wrong(*off, exercise.hint)


def judge_choice(exercise: Exercise, given: Any) -> Verdict:
    plain = {option.casefold(): option for option in exercise.options}
    chosen = plain.get(str(given).strip().casefold())
    if chosen is None:
        raise DataError(
            f"exercise {exercise.name!r} has the answers {', '.join(exercise.options)}; "
            f"given: {given!r}"
        )
    if chosen.casefold() == str(value_of(exercise.answer)).casefold():
        return right(exercise)
    for hint, mistake in exercise.mistakes.items():
        if chosen.casefold() == str(value_of(mistake)).casefold():
            return wrong(hint)
    return wrong(exercise.hint)


#: How each kind of answer is judged.
KINDS: dict[str, Callable[[Exercise, Any], Verdict]] = {
    "number": judge_number,
    "choice": judge_choice,
    "interval": judge_interval,
}
