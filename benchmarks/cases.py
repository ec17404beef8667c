"""What is measured: a formula, its data, and what the project wants to reach.

A response is perturbed before each fit (`Perturbed`), so that no result can be cached; by so little
that the posterior stays where it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hiermodels.errors import lookup

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CASES", "Case", "Perturbed", "find_cases"]

#: The sd of what is added to a response, in its own sds.
PERTURBATION = 1e-6
#: What can be measured on a large case in reasonable time.
SCALABLE = frozenset({"hiermodels", "lme4"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the benchmark. Written in `CASES`, read by every module here.

    ``seconds``, ``ess`` and ``memory`` (MB above the data) are targets; ``fits`` is the number of
    fits that make the long run; ``programs`` those it is measured with, or None for all; ``needs``
    an environment variable.
    """

    formula: str
    response: str
    load: Callable[[], pd.DataFrame]
    seconds: float
    ess: int | None = None
    memory: float | None = None
    dataset: str | None = None
    fits: int = 10
    programs: frozenset[str] | None = None
    needs: str | None = None

    def missing(self) -> str:
        """Why this case cannot be run here, or nothing."""
        if self.needs and not os.environ.get(self.needs):
            return f"{self.needs}, the folder with the original data sets, is not set"
        return ""

    def runs(self, program: str) -> bool:
        return self.programs is None or program in self.programs


class Perturbed:
    """The data of a case with a response that differs each time: ``y + 1e-6 sd(y) e``."""

    def __init__(self, case: Case) -> None:
        self.frame = case.load()
        self._response = case.response
        self._original = self.frame[case.response].to_numpy(dtype=float, copy=True)
        self._scale = PERTURBATION * self._original.std()

    def draw(self, seed: int) -> pd.DataFrame:
        """The frame, its response written anew."""
        noise = np.random.default_rng([seed, 3]).normal(size=len(self._original))
        noise *= self._scale
        noise += self._original
        self.frame[self._response] = noise
        return self.frame


def load_complete(name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """A data set by name, the rows that are complete in the columns of the model."""
    import hiermodels as hm

    return hm.load_dataset(name)[list(columns)].dropna().reset_index(drop=True)


def simulate_slopes(*, rows: int, levels: int) -> pd.DataFrame:
    """``y ~ x + (x | g)``: intercepts and slopes correlated, levels of nearly equal size."""
    import pandas as pd

    rng = np.random.default_rng([rows, levels])
    effects = rng.normal(size=(levels, 2)) @ np.array([[1.0, 0.2], [0.0, 0.5]])
    x = rng.normal(size=rows)
    g = rng.integers(levels, size=rows)
    y = 2.0 + 0.7 * x + rng.normal(scale=2.0, size=rows)
    y += effects[g, 0] + effects[g, 1] * x
    return pd.DataFrame({"y": y, "x": x, "g": g})


def simulate_ratings(*, rows: int, students: int, lecturers: int) -> pd.DataFrame:
    """``y ~ 1 + (1 | student) + (1 | lecturer)`` with the sizes and sds of lme4's InstEval."""
    import pandas as pd

    rng = np.random.default_rng([rows, students, lecturers])
    student = rng.integers(students, size=rows)
    lecturer = rng.integers(lecturers, size=rows)
    y = 3.2 + rng.normal(scale=1.2, size=rows)
    y += rng.normal(scale=0.3, size=students)[student]
    y += rng.normal(scale=0.5, size=lecturers)[lecturer]
    return pd.DataFrame({"y": y, "student": student, "lecturer": lecturer})


def shipped(name: str, formula: str, columns: tuple[str, ...]) -> Case:
    """A small data set; the first column is the response."""
    return Case(
        formula=formula,
        response=columns[0],
        load=partial(load_complete, name, columns),
        seconds=0.3,
        ess=2000,
        dataset=name,
    )


CASES: dict[str, Case] = {
    "variance_sim": shipped("variance_sim", "y ~ x1 + (1 | groupID)", ("y", "x1", "groupID")),
    "sites": shipped("sites", "y ~ x + (x | site)", ("y", "x", "site")),
    "sleepstudy": shipped(
        "sleepstudy", "Reaction ~ Days + (Days | Subject)", ("Reaction", "Days", "Subject")
    ),
    "penicillin": shipped(
        "penicillin",
        "diameter ~ 1 + (1 | plate) + (1 | sample)",
        ("diameter", "plate", "sample"),
    ),
    "blossoms": Case(
        formula="UBW ~ LBW + (1 | pop/patch)",
        response="UBW",
        load=partial(load_complete, "blossoms", ("UBW", "LBW", "pop", "patch")),
        seconds=1.0,
        ess=1500,
        dataset="blossoms",
        needs="HIERMODELS_DATA",
    ),
    "million": Case(
        formula="y ~ x + (x | g)",
        response="y",
        load=partial(simulate_slopes, rows=10**6, levels=1000),
        seconds=2.0,
        fits=4,
        programs=SCALABLE,
    ),
    "ten_million": Case(
        formula="y ~ x + (x | g)",
        response="y",
        load=partial(simulate_slopes, rows=10**7, levels=10_000),
        seconds=15.0,
        memory=1000.0,
        fits=4,
        programs=SCALABLE,
    ),
    "ratings": Case(
        formula="y ~ 1 + (1 | student) + (1 | lecturer)",
        response="y",
        load=partial(simulate_ratings, rows=73_000, students=3000, lecturers=1100),
        seconds=90.0,
        ess=400,
        fits=4,
        programs=SCALABLE,
    ),
}
"""By name, in the order in which they are run."""


def find_cases(names: list[str]) -> dict[str, Case]:
    """Cases by name, an unknown one refused."""
    return {name: lookup(name, CASES, what="case") for name in names}
