"""Exercises whose answers can be checked: those of the tutorials, and a teacher's own.

    import hiermodels as hm
    hm.exercise.show("schools.1")
    hm.exercise.check("schools.1", 5.2)

A teacher adds exercises in a notebook with `add`, or writes them with `save` into a file that
pupils `load`. The answers in such a file are packed, so that nobody reads them by accident; it is
no secret to those who want to know.
"""

from __future__ import annotations

import base64
import json
import tomllib
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hiermodels.errors import DataError, did_you_mean
from hiermodels.teaching.exercise_kinds import Exercise, Verdict, judge, value_of
from hiermodels.teaching.tutorial_exercises import EXERCISES

__all__ = ["Exercise", "Verdict", "add", "check", "load", "names", "save", "show", "solution"]

#: A teacher's own, in this session.
OWN: dict[str, Exercise] = {}


def names() -> list[str]:
    """The exercises there are: a teacher's own first, then those of the tutorials."""
    return [*OWN, *EXERCISES]


def show(name: str) -> Exercise:
    """An exercise; printed, it is its question.

    Raises
    ------
    DataError
        A name that is not among `names`.
    """
    if name in OWN:
        return OWN[name]
    if name in EXERCISES:
        return EXERCISES[name]
    raise DataError(
        f"no exercise {name!r}. There are: {', '.join(names())}.{did_you_mean(name, names())}"
    )


def check(name: str, answer: Any) -> Verdict:
    """Whether an answer is right, and if not, a hint.

    ``answer`` is a number, an interval ``(lower, upper)``, or one of the options, as the exercise
    asks. The verdict is true where the answer is right. Answers are computed from the data when
    they are asked for, which may take the time of a fit.

    Raises
    ------
    DataError
        No such exercise, or an answer of another kind.
    """
    return judge(show(name), answer)


def solution(name: str) -> str:
    """The right answer and the sentence that explains it."""
    exercise = show(name)
    return f"{readable(value_of(exercise.answer))}. {exercise.solution}".strip()


def readable(answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    values = np.ravel(answer)
    told = [f"{float(v):.4g}" for v in values]
    return told[0] if len(told) == 1 else f"({', '.join(told)})"


def add(exercise: Exercise) -> Exercise:
    """Add an exercise, or replace one of the same name, for this session."""
    OWN[exercise.name] = exercise
    return exercise


# --- files of exercises ---------------------------------------------------------------------------

#: What a file has in clear text.
PLAIN = ("name", "question", "kind", "hint")


def save(path: str | Path, exercises: Iterable[Exercise]) -> Path:
    """Write exercises into a TOML file, with the answers packed.

    Functions that compute answers are called now, and their values stored.

    Raises
    ------
    DataError
        No exercise, two of one name, or an answer that is neither numbers nor text.
    """
    every = list(exercises)
    if not every or len({e.name for e in every}) < len(every):
        raise DataError("a file of exercises has one or more of them, each with its own name")
    target = Path(path)
    target.write_text("\n".join(map(written, every)), encoding="utf-8")
    return target


def written(exercise: Exercise) -> str:
    lines = ["[[exercise]]"]
    lines += [f"{key} = {text(getattr(exercise, key))}" for key in PLAIN if getattr(exercise, key)]
    lines += [f"within = {float(exercise.within)!r}"]
    if exercise.options:
        lines.append(f"options = [{', '.join(map(text, exercise.options))}]")
    hidden = {
        "answer": plain(exercise, exercise.answer),
        "mistakes": {hint: plain(exercise, v) for hint, v in exercise.mistakes.items()},
        "solution": exercise.solution,
    }
    return "\n".join([*lines, f'packed = "{packed(hidden)}"', ""])


def text(value: str) -> str:
    """A TOML string: JSON's, which TOML reads, but for the one character that it does not allow."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def plain(exercise: Exercise, answer: Any) -> Any:
    """An answer as JSON has it."""
    found = value_of(answer)
    try:
        return found if isinstance(found, str) else np.asarray(found, dtype=float).tolist()
    except (TypeError, ValueError):
        raise DataError(
            f"the answer of exercise {exercise.name!r} is {found!r}: a file has numbers and texts"
        ) from None


def packed(hidden: dict[str, Any]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(hidden).encode())).decode()


def load(path: str | Path) -> list[Exercise]:
    """Read exercises from a file that `save` wrote, and add them for this session.

    Raises
    ------
    DataError
        A file that is none, or that was changed by hand in what is packed.
    """
    source = Path(path)
    try:
        tables = tomllib.loads(source.read_text(encoding="utf-8"))["exercise"]
        found = [unpacked(table) for table in tables]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{source} is no file of exercises: {reason}. exercise.save writes one."
        ) from error
    return [add(exercise) for exercise in found]


def unpacked(table: dict[str, Any]) -> Exercise:
    hidden = json.loads(zlib.decompress(base64.b64decode(table["packed"], validate=True)))
    return Exercise(
        **{key: table[key] for key in PLAIN if key in table},
        within=table["within"],
        options=tuple(table.get("options", ())),
        **hidden,
    )
