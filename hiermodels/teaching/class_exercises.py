"""The exercises of the first four tutorials: each answer is computed from the shipped data.

A fit is made once for all exercises that need it, when somebody answers. ``within`` of a
posterior's number allows for the Monte Carlo error of another seed, and for rounding.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.datasets import load_dataset
from hiermodels.fitting import fit
from hiermodels.teaching.exercise_kinds import Exercise

__all__ = ["CLASS_EXERCISES"]

SEED = 1


@cache
def made(formula: str, name: str, family: str = "gaussian", rows: int | None = None) -> Any:
    """The fit of a formula to a shipped data set, or to the first rows of each site of it."""
    data = load_dataset(name)
    if rows is not None:
        data = data.groupby("site").head(rows)
    if name == "rehab":
        data["cHours"] = data["hours"] - data["hours"].mean()
    return fit(formula, data, family=family, random_seed=SEED, progressbar=False)


def effect(table: pd.DataFrame, term: str, column: str = "estimate") -> float:
    return float(table.set_index("term").loc[term, column])


# --- dragons --------------------------------------------------------------------------------------

NESTED = "testScore ~ bodyLength + (1 | mountainRange/site)"


def jura_slope() -> float:
    """Least squares: the prior of the slope is far wider than what 60 dragons say."""
    jura = load_dataset("dragons_sim").query("mountainRange == 'Jura'")
    return float(np.polyfit(jura["bodyLength"], jura["testScore"], 1)[0])


def dinaric(target: str) -> float:
    dragon = pd.DataFrame({"bodyLength": [195.0], "mountainRange": ["Dinaric"], "site": ["new"]})
    return float(made(NESTED, "dragons_sim").predict(dragon, target=target)["estimate"].iloc[0])


# --- variance components --------------------------------------------------------------------------


def three_rows() -> tuple[float, float]:
    """The variance of the group means of three rows each, and its sampling variance."""
    groups = load_dataset("variance_sim").groupby("groupID").head(3).groupby("groupID")["y"]
    return float(groups.mean().var()), float(groups.var().mean() / 3)


def bees_widths() -> float:
    """The sd of the effect of MAP without areas, relative to that with them."""
    naive = made("Eulaema_nigrita ~ MAP", "bees_sim", "negbinomial")
    areas = made("Eulaema_nigrita ~ MAP + (1 | SA)", "bees_sim", "negbinomial")
    return effect(naive.fixef(), "MAP", "sd") / effect(areas.fixef(), "MAP", "sd")


def left_to_samples(*, years: bool) -> float:
    """The median percentage of the residual, in a total with the years or without."""
    formula = "biomass ~ 1 + (1 | plot) + (1 | year) + (1 | plot:year)"
    parts = made(formula, "plots_sim").components()
    total = parts.total if years else parts.total - parts.factor("year")
    return float(100 * np.median(parts.residual / total))


# --- fixed or random sites ------------------------------------------------------------------------


def slope_shrinkage(rows: int | None) -> float:
    table = made("y ~ x + (x | site)", "sites", rows=rows).shrinkage("site")
    return float(table.loc[table["term"] == "x", "shrinkage"].mean())


def unknown_wood(kind: str) -> tuple[float, float]:
    bat = pd.DataFrame({"species": ["red"], "forest": [80.0], "sites": ["Unknown Wood"]})
    model = made("mass ~ species * forest + (forest | sites)", "bats_sim")
    table = model.predict(bat, target="new_group", kind=kind)
    return float(table["lower"].iloc[0]), float(table["upper"].iloc[0])


def icc_at(x: float) -> float:
    model = made("y ~ x + (x | site)", "sites_nb", "negbinomial")
    return float(model.icc(scale="latent", at={"x": [x]})["icc"].iloc[0])


# --- rehabilitation centres -----------------------------------------------------------------------

PATIENTS = "incidents ~ treatment + gender + (1 | center)"
CENTRES = "incidents ~ treatment + gender + cHours + (1 | center)"
CROSS = "incidents ~ treatment * cHours + gender + (treatment | center)"


def rate_ratio(formula: str, term: str) -> float:
    return float(np.exp(effect(made(formula, "rehab", "poisson").fixef(), term)))


def unknown_centre(target: str) -> float:
    hours = 5.2 - float(load_dataset("rehab")["hours"].mean())
    patient = pd.DataFrame({"treatment": [1], "gender": [1], "cHours": [hours]})
    found = made(CROSS, "rehab", "poisson").predict(patient, target=target)
    return float(found["estimate"].iloc[0])


CLASS_EXERCISES = (
    Exercise(
        name="dragons.1",
        question=(
            "Take the dragons of the Jura alone. What is the slope of testScore on bodyLength, in "
            "points per cm?"
        ),
        answer=jura_slope,
        within=0.03,
        hint="dragons.query(\"mountainRange == 'Jura'\"), and a formula without groups.",
        solution="A steep fall, of 60 dragons; in the model of all ranges it is flatter.",
    ),
    Exercise(
        name="dragons.2",
        question="With (1 | mountainRange) + (1 | site), where does the variance of sites go?",
        kind="choice",
        options=("into the residual", "into the ranges", "it stays with the sites"),
        answer="into the residual",
        hint="Compare varcorr() of the two fits.",
        mistakes={
            "Each label stands for 8 places, and their mean says little of any.": (
                "it stays with the sites"
            )
        },
        solution="What distinguishes the 24 sites is noise to a model that knows three labels.",
    ),
    Exercise(
        name="dragons.3",
        question=(
            "What mean score do you expect of dragons of 195 cm in a site of the Dinaric that "
            "nobody has visited?"
        ),
        answer=lambda: dinaric("new_group"),
        within=1.0,
        hint='target="new_group", with a label for the site that is not in the data.',
        mistakes={
            "That is a dragon of an average range; the Dinaric is known, and keeps its effect.": (
                lambda: dinaric("population")
            )
        },
        solution="The range keeps its effect, the site gets a new one.",
    ),
    Exercise(
        name="dragons.4",
        question="With family='zoi_beta', does length have an effect within ranges?",
        kind="choice",
        options=("yes", "no sign of one"),
        answer="no sign of one",
        hint="Look at the interval of the coefficient of length.",
        solution="Whatever the family: the simulation gave length no effect within ranges.",
    ),
    Exercise(
        name="components.1",
        question=(
            "With the first three rows of each group of variance_sim: what is the variance among "
            "groups, corrected for sampling variance, by hand?"
        ),
        answer=lambda: three_rows()[0] - three_rows()[1],
        within=0.1,
        hint="The variance of the means less the mean variance within, over three.",
        mistakes={
            "The variance of the means has a part of the variance within: take it off.": (
                lambda: three_rows()[0]
            ),
            "The sampling variance of a mean is the variance within, over the rows in the mean.": (
                lambda: three_rows()[0] - 3 * three_rows()[1]
            ),
        },
        solution="var(means) - mean(variances) / 3.",
    ),
    Exercise(
        name="components.2",
        question="What is the slope of UBW on LBW when the blossoms' groups are forgotten?",
        answer=lambda: effect(made("UBW ~ LBW", "blossoms_sim").fixef(), "LBW"),
        within=0.01,
        hint='hm.fit("UBW ~ LBW", blossoms).',
        solution="Nearly that of the nested model: bracts vary in size within every patch.",
    ),
    Exercise(
        name="components.3",
        question=(
            "The sd of the effect of MAP on the bees without areas in the model, divided by that "
            "with them?"
        ),
        answer=bees_widths,
        within=0.06,
        hint="The column sd of fixef() of the two fits.",
        mistakes={"The other way round: without areas over with areas.": lambda: 1 / bees_widths()},
        solution="The naive model takes the sampling units of one area for independent.",
    ),
    Exercise(
        name="components.4",
        question=(
            "Of the variance of biomass within one and the same year, what percentage is between "
            "the samples of a plot?"
        ),
        answer=lambda: left_to_samples(years=False),
        within=1.5,
        hint="components() has the draws of every variance; the years are not in the total.",
        mistakes={
            "That is the share of a total with the years in it.": (
                lambda: left_to_samples(years=True)
            )
        },
        solution="residual / (total - years), in each draw, and then the median.",
    ),
    Exercise(
        name="sites.1",
        question=(
            "With the first three rows of each site: what is the mean shrinkage of the slopes in "
            "y ~ x + (x | site)?"
        ),
        answer=lambda: slope_shrinkage(3),
        within=0.03,
        hint='fit.shrinkage("site"), the rows of x, the column shrinkage.',
        mistakes={"That is of all rows.": lambda: slope_shrinkage(None)},
        solution="Three rows settle less of a slope; the other sites say the rest.",
    ),
    Exercise(
        name="sites.2",
        question="Which coefficient of the bats is less certain with sites in the model?",
        kind="choice",
        options=("forest", "species[red]:forest"),
        answer="forest",
        hint="Is it seen within every site, or only between the sites' own slopes?",
        mistakes={
            "The difference of two species is seen within every site.": "species[red]:forest"
        },
        solution="Its slope differs between sites, and there are only fifteen.",
    ),
    Exercise(
        name="sites.3",
        question=(
            "A wood that nobody has visited, 80 % forest: the 95 % interval of the mean mass of "
            "red bats there?"
        ),
        kind="interval",
        answer=lambda: unknown_wood("mean"),
        within=1.0,
        hint='target="new_group".',
        mistakes={
            "That is the interval of a single bat, kind='response'.": (
                lambda: unknown_wood("response")
            )
        },
        solution="The wood's own intercept and slope are drawn anew.",
    ),
    Exercise(
        name="sites.4",
        question="The ICC of the counts of sites_nb on the latent scale, at x = 10?",
        answer=lambda: icc_at(10.0),
        within=0.01,
        hint='fit.icc(scale="latent", at={"x": [10]}) of the negative binomial model.',
        mistakes={"That is at x = 0.": lambda: icc_at(0.0)},
        solution="With random slopes it depends on x: intercepts and slopes add up.",
    ),
    Exercise(
        name="rehab.1",
        question=(
            "Of two patients of one centre and the same treatment: by what is the rate of "
            "incidents multiplied for gender 1?"
        ),
        answer=lambda: rate_ratio(PATIENTS, "gender"),
        within=0.02,
        hint="The exponential of the coefficient of step 2.",
        mistakes={
            "That is the coefficient, a difference of logs: take its exponential.": (
                lambda: float(np.log(rate_ratio(PATIENTS, "gender")))
            )
        },
        solution="exp of the coefficient, given the centre and the treatment.",
    ),
    Exercise(
        name="rehab.2",
        question="Does the effect of gender differ between the centres?",
        kind="choice",
        options=("yes", "no", "these data cannot say"),
        answer="these data cannot say",
        hint="variance_left() of (treatment + gender | center), the row of gender.",
        solution="Its sd may be zero and may matter: more centres would tell.",
    ),
    Exercise(
        name="rehab.3",
        question=(
            "How many incidents do you expect of a treated patient of gender 1 in a centre of 5.2 "
            "hours that you do not know?"
        ),
        answer=lambda: unknown_centre("marginal"),
        within=0.3,
        hint="By the model of step 5, averaged over the centres that it could be.",
        mistakes={
            "That is the middle centre; the mean over centres is larger on a log link.": (
                lambda: unknown_centre("population")
            )
        },
        solution='predict(..., target="marginal").',
    ),
    Exercise(
        name="rehab.4",
        question="In step 3, by what is the rate of incidents multiplied for each hour more?",
        answer=lambda: rate_ratio(CENTRES, "cHours"),
        within=0.04,
        hint="The exponential of the coefficient.",
        mistakes={
            "The coefficient is positive: more hours, more incidents.": (
                lambda: 1 / rate_ratio(CENTRES, "cHours")
            )
        },
        solution="More incidents; not because of the hours, which were not assigned by lot.",
    ),
)
"""In the order of the tutorials: dragons, components, sites, rehab."""
