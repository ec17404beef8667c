"""The exercises of the tutorials: each answer is computed from the data when it is asked for.

A fit is made once for all exercises that need it. ``within`` of a posterior's number allows for
the Monte Carlo error of another seed, and for rounding.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from hiermodels.teaching.class_exercises import CLASS_EXERCISES
from hiermodels.teaching.exercise_kinds import Exercise

__all__ = ["EXERCISES", "schools_table"]

#: Rubin 1981, J. Educ. Stat. 6: effect of coaching in eight schools, and its standard error.
SCHOOLS = ("A", "B", "C", "D", "E", "F", "G", "H")
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
SEED = 1


def schools_table() -> Any:
    """The eight schools as a frame: ``school``, ``effect`` and ``se`` (points of a test)."""
    import pandas as pd

    return pd.DataFrame({"school": list(SCHOOLS), "effect": EFFECTS, "se": ERRORS})


@cache
def schools_fit() -> Any:
    from hiermodels.fitting import fit

    return fit(
        "effect ~ 1 + (1 | school)",
        schools_table(),
        se="se",
        draws=4000,
        random_seed=SEED,
        progressbar=False,
    )


def complete_pooling() -> tuple[float, float]:
    """Mean and standard error of the effects weighted by 1 / se^2."""
    weight = 1 / ERRORS**2
    return float(weight @ EFFECTS / weight.sum()), float(weight.sum() ** -0.5)


def better_of(a: str, c: str) -> float:
    """P(the effect of school a is larger than that of school c)."""
    effects = schools_fit().draws.effects["school"][:, :, 0]
    return float(np.mean(effects[:, SCHOOLS.index(a)] > effects[:, SCHOOLS.index(c)]))


def reliability(tau: float, se: float) -> float:
    return tau**2 / (tau**2 + se**2)


_ALL = (
    Exercise(
        name="schools.1",
        question="What is the effect of coaching if all eight schools have the same?",
        answer=lambda: complete_pooling()[0],
        within=0.05,
        hint="Weight each school by one over the square of its standard error.",
        mistakes={
            "That is the plain mean: it counts school H, which knows little, as much as E.": (
                lambda: float(EFFECTS.mean())
            )
        },
        solution="It is sum(effect / se²) / sum(1 / se²).",
    ),
    Exercise(
        name="schools.2",
        question="And the 95 % interval of that effect (normal distribution)?",
        kind="interval",
        answer=lambda: tuple(
            complete_pooling()[0] + 1.96 * np.array([-1, 1]) * complete_pooling()[1]
        ),
        within=0.1,
        hint="The standard error is the square root of one over the sum of the weights.",
        solution="Its standard error is 1 / sqrt(sum(1 / se²)), 4.1 points.",
    ),
    Exercise(
        name="schools.3",
        question=(
            "If the sd between schools is 5 points, which part of the way does school A, whose "
            "standard error is 15, keep of its own estimate (its reliability)?"
        ),
        answer=lambda: reliability(5.0, 15.0),
        within=0.005,
        hint="tau² / (tau² + se²).",
        mistakes={
            "That is how much it is shrunk; the reliability is one minus it.": (
                lambda: 1 - reliability(5.0, 15.0)
            ),
            "Variances, not sds: square both.": lambda: 5.0 / 20.0,
        },
        solution="25 / (25 + 225): a tenth of its own estimate, nine tenths of the mean.",
    ),
    Exercise(
        name="schools.4",
        question=(
            "What is the posterior probability that coaching has a larger effect in school A than "
            "in school C?"
        ),
        answer=lambda: better_of("A", "C"),
        within=0.03,
        hint="Compare the two effects draw by draw, in fit.idata['posterior']['b_school'].",
        solution="The raw estimates are 31 points apart, and still it is far from certain.",
    ),
    Exercise(
        name="schools.5",
        question="Where in the funnel does the centred form fail to go?",
        kind="choice",
        options=("small sd", "large sd", "large effects"),
        answer="small sd",
        hint="Look at where the draws with divergences are, and where the other form has draws.",
        mistakes={
            "There the effects are far apart, and steps of the same length suit.": "large sd"
        },
        solution=(
            "As the sd goes to zero the effects are squeezed together, and the step that suits "
            "the wide part is too long for the neck."
        ),
    ),
    Exercise(
        name="rows.1",
        question=(
            "A model y ~ x + (1 | g) has 1,000 levels of g. How many numbers does the sampler "
            "move in, when the coefficients and group effects are integrated out?"
        ),
        answer=2,
        hint="What is left are the sds.",
        mistakes={"The coefficients and group effects are integrated out.": 1004},
        solution="The sd of g and the residual sd, whatever the number of rows and levels.",
    ),
    Exercise(
        name="rows.2",
        question=(
            "The posterior sd of the slope of x within levels is 0.001 with 10⁶ rows. About what "
            "is it with 10⁸?"
        ),
        answer=1e-4,
        within=1e-6,
        hint="It goes with one over the square root of the number of rows.",
        mistakes={"It goes with the square root of the number of rows.": 1e-5},
        solution="A hundred times the rows, a tenth of the sd.",
    ),
    Exercise(
        name="rows.3",
        question="Which sd has a posterior that hardly narrows with more rows in the same levels?",
        kind="choice",
        options=("residual", "between levels"),
        answer="between levels",
        hint="Of what does each sd have a sample, and how large is it?",
        solution="It is an sd of as many numbers as there are levels; more rows make none more.",
    ),
)

#: Every exercise of the tutorials by name.
EXERCISES: dict[str, Exercise] = {e.name: e for e in (*CLASS_EXERCISES, *_ALL)}
