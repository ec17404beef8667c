"""A fit as the frames of R's broom.mixed: one row a parameter, one a model, one an observation.

    tidy      effect, component, group, term, estimate, std.error, conf.low, conf.high
    glance    engine, pss, nobs, sigma, R-hat, ESS, divergences, and elpd_loo if asked for
    augment   the rows, with .fitted, .se.fit, .conf.low, .conf.high, .fixed, .resid

Names are those of broom.mixed for brms' fits, so that code that reads one can read the other.
Estimates are those of this package: posterior medians. The intercept is ``(Intercept)``, as there.

Source: Bolker & Robinson, broom.mixed 0.2.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.design import INTERCEPT, SE, WEIGHTS, Block, Design, Predictor
from hiermodels.errors import lookup
from hiermodels.labels.tables import coef_table, ranef_table
from hiermodels.numbers.draws import POINT, Draws, summarise
from hiermodels.posterior import CUT, coordinates

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EFFECTS", "augment_frame", "glance_frame", "plain_names", "tidy_frame"]

type Array = np.ndarray
type Reliability = dict[str, Array]

#: What `tidy_frame` can list.
EFFECTS = {
    "fixed": "common effects",
    "ran_pars": "sds and correlations of the groups, and of the residual",
    "auxiliary": "the family's own parameters",
    "ran_vals": "group effects of each level",
    "ran_coefs": "coefficients of each level",
}
COLUMNS = {"estimate": "estimate", "sd": "std.error", "lower": "conf.low", "upper": "conf.high"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A parameter and its draws (S,). Made here, read by `tidy_frame`."""

    effect: str
    component: str
    group: str | None
    term: str
    values: Array


def tidy_frame(
    design: Design,
    draws: Draws,
    reliability: Reliability,
    *,
    effects: Sequence[str],
    point: str = POINT,
    ci_prob: float,
) -> pd.DataFrame:
    """One row a parameter, in the order of ``effects``, keys of `EFFECTS`.

    Raises
    ------
    UnknownNameError
        An effect that is not among `EFFECTS`.
    """
    import pandas as pd

    parts = []
    for effect in effects:
        lookup(effect, EFFECTS, what="effect")
        if effect in ("ran_vals", "ran_coefs"):
            parts += [
                of_levels(design, draws, block, reliability[block.name], effect, point, ci_prob)
                for block in design.blocks
            ]
        else:
            rows = [r for r in every_row(design, draws) if r.effect == effect]
            parts.append(of_rows(rows, point, ci_prob))
    kept = [p for p in parts if len(p)]
    whole = pd.concat(kept, ignore_index=True) if kept else of_rows([], point, ci_prob)
    leveled = "level" in whole
    first = ["effect", "component", "group", *(["level"] if leveled else []), "term"]
    return whole[[*first, *COLUMNS.values()]]


def of_rows(rows: list[Row], point: str, ci_prob: float) -> pd.DataFrame:
    import pandas as pd

    found = [summarise(r.values[:, None], point=point, ci_prob=ci_prob) for r in rows]
    return pd.DataFrame(
        {
            "effect": [r.effect for r in rows],
            "component": [r.component for r in rows],
            "group": [r.group for r in rows],
            "term": [r.term for r in rows],
            **{
                theirs: [float(getattr(f, ours)[0]) for f in found]
                for ours, theirs in COLUMNS.items()
            },
        }
    )


def of_levels(
    design: Design,
    draws: Draws,
    block: Block,
    reliability: Array,
    effect: str,
    point: str,
    ci_prob: float,
) -> pd.DataFrame:
    """The group effects of a factor, or the coefficients of its levels."""
    import pandas as pd

    if effect == "ran_vals":
        table = ranef_table(draws, block, reliability, point=point, ci_prob=ci_prob)
    else:
        table = coef_table(design, draws, block, reliability, point=point, ci_prob=ci_prob)
    return pd.DataFrame(
        {
            "effect": effect,
            "component": "cond",
            "group": table["group"],
            "level": table["level"],
            "term": [named(t) for t in table["term"]],
            **{theirs: table[ours] for ours, theirs in COLUMNS.items()},
        }
    )


def every_row(design: Design, draws: Draws) -> Iterator[Row]:
    """Every parameter that is no group effect: of the mean, then of what has a formula."""
    yield from predictor_rows(design.mean, draws, "cond")
    if draws.residual is not None:
        yield Row(
            effect="ran_pars",
            component="cond",
            group="Residual",
            term="sd__Observation",
            values=draws.residual,
        )
    for parameter in design.constants:
        if parameter.name == design.family.residual:
            continue
        values = draws.auxiliary[parameter.name]
        labels = [parameter.name]
        if values.ndim > 1:
            labels = [f"{parameter.name}[{cut}]" for cut in coordinates(design)[CUT]]
        for label, own in zip(labels, np.atleast_2d(values.T), strict=True):
            yield Row(
                effect="auxiliary",
                component="cond",
                group=None,
                term=label,
                values=own,
            )
    for name, predictor in design.extras.items():
        yield from predictor_rows(predictor, draws.extras[name], name)


def predictor_rows(predictor: Predictor, draws: Draws, component: str) -> Iterator[Row]:
    """The coefficients, sds and correlations of a linear predictor."""
    fixed: list[tuple[str, Array]] = []
    if predictor.intercept:
        fixed.append((named(INTERCEPT), draws.intercept))
    fixed += [(term, draws.beta[:, k]) for k, term in enumerate(predictor.terms)]
    for term, values in fixed:
        yield Row(
            effect="fixed",
            component=component,
            group=None,
            term=term,
            values=values,
        )
    for block in predictor.blocks:
        for term, values in covariance_terms(block, draws):
            yield Row(
                effect="ran_pars",
                component=component,
                group=block.name,
                term=term,
                values=values,
            )


def covariance_terms(block: Block, draws: Draws) -> Iterator[tuple[str, Array]]:
    """``sd__(Intercept)``, ``sd__x``, ``cor__(Intercept).x``."""
    for k, term in enumerate(block.terms):
        yield f"sd__{named(term)}", draws.sd[block.name][:, k]
    for part in block.parts:
        for i, j in combinations(part, 2):
            names = f"cor__{named(block.terms[i])}.{named(block.terms[j])}"
            yield names, draws.cor[block.name][:, j, i]


def named(term: str) -> str:
    return f"({INTERCEPT})" if term == INTERCEPT else term


def glance_frame(columns: dict[str, Any]) -> pd.DataFrame:
    """One row for the whole model."""
    import pandas as pd

    return pd.DataFrame({name: [value] for name, value in columns.items()})


def augment_frame(
    rows: pd.DataFrame, fitted: pd.DataFrame, fixed: Array, observed: Array | None
) -> pd.DataFrame:
    """The rows with what the model says of each; ``observed`` None for rows without a response."""
    columns = {
        ".fitted": fitted["estimate"].to_numpy(),
        ".se.fit": fitted["sd"].to_numpy(),
        ".conf.low": fitted["lower"].to_numpy(),
        ".conf.high": fitted["upper"].to_numpy(),
        ".fixed": fixed,
    }
    if observed is not None:
        columns[".resid"] = observed - columns[".fitted"]
    return rows.assign(**columns)


def plain_names(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of the fit, ``(weights)`` and ``(se)`` as R's model frames have them."""
    return rows.rename(columns={WEIGHTS: "(weights)", SE: "(se)"})
