"""What is measured: a formula, its data, and what the project wants to reach.

A column is perturbed before each fit (`Perturbed`), so that no result can be cached; by so little
that the posterior stays where it is. It is the response, or where that is a count a predictor.
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

    ``perturbed`` is a column other than the response that is perturbed in its place.
    ``seconds``, ``ess`` and ``memory`` (MB above the data) are targets; ``fits`` is the number of
    fits that make the long run; ``programs`` those it is measured with, or None for all; ``needs``
    an environment variable.
    """

    formula: str
    response: str
    load: Callable[[], pd.DataFrame]
    seconds: float
    family: str = "gaussian"
    perturbed: str | None = None
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
    """The data of a case with a column that differs each time: ``y + 1e-6 sd(y) e``."""

    def __init__(self, case: Case) -> None:
        self.frame = case.load()
        self._column = case.perturbed or case.response
        self._original = self.frame[self._column].to_numpy(dtype=float, copy=True)
        self._scale = PERTURBATION * self._original.std()

    def draw(self, seed: int) -> pd.DataFrame:
        """The frame, that column written anew."""
        noise = np.random.default_rng([seed, 3]).normal(size=len(self._original))
        noise *= self._scale
        noise += self._original
        self.frame[self._column] = noise
        return self.frame


def load_complete(name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """A data set by name, the rows that are complete in the columns of the model."""
    import hiermodels as hm

    return hm.load_dataset(name)[list(columns)].dropna().reset_index(drop=True)


def load_scores() -> pd.DataFrame:
    """The dragons' test scores as shares, exact zeros and ones drawn in."""
    import hiermodels as hm

    columns = ("testScore", "bodyLength", "mountainRange", "site")
    frame = load_complete("dragons", columns)
    frame["score"] = hm.squeeze(frame["testScore"] / 100)
    return frame


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
    "variance_null": shipped("variance_sim", "y ~ 1 + (1 | groupID)", ("y", "groupID")),
    "sites_intercept": shipped("sites", "y ~ x + (1 | site)", ("y", "x", "site")),
    "blossoms_null": Case(
        formula="UBW ~ 1 + (1 | pop/patch)",
        response="UBW",
        load=partial(load_complete, "blossoms", ("UBW", "pop", "patch")),
        seconds=1.0,
        needs="HIERMODELS_DATA",
    ),
    "dragons_gauss": Case(
        formula="testScore ~ bodyLength + (bodyLength | mountainRange) + (1 | mountainRange:site)",
        response="testScore",
        load=partial(
            load_complete, "dragons", ("testScore", "bodyLength", "mountainRange", "site")
        ),
        seconds=1.0,
        needs="HIERMODELS_DATA",
    ),
    "dragons": Case(
        formula="score ~ bodyLength + (bodyLength | mountainRange) + (1 | mountainRange:site)",
        response="score",
        family="beta",
        perturbed="bodyLength",
        load=load_scores,
        seconds=3.0,
        ess=1000,
        needs="HIERMODELS_DATA",
    ),
    "bees": Case(
        formula="Eulaema_nigrita ~ MAP + (1 | SA)",
        response="Eulaema_nigrita",
        family="negbinomial",
        perturbed="MAP",
        load=partial(load_complete, "eulaema", ("Eulaema_nigrita", "MAP", "SA")),
        seconds=1.5,
        ess=1500,
        dataset="eulaema",
        needs="HIERMODELS_DATA",
    ),
    "sites_nb": Case(
        formula="y ~ x + (x | site)",
        response="y",
        family="negbinomial",
        perturbed="x",
        load=partial(load_complete, "sites_nb", ("y", "x", "site")),
        seconds=1.5,
        ess=2000,
        dataset="sites_nb",
    ),
    "rehab": Case(
        formula="incidents ~ treatment * hours + gender + (treatment | center)",
        response="incidents",
        family="poisson",
        perturbed="hours",
        load=partial(
            load_complete, "rehab", ("incidents", "treatment", "hours", "gender", "center")
        ),
        seconds=5.0,
        ess=1000,
        dataset="rehab",
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
