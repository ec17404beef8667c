"""Whether the constant of a squeeze matters: a beta model fitted at several of them.

    y' = (y (n - 2 s) + s) / n

The exact zeros and ones of a response are moved by s / n, so where they are many the estimates
depend on s. The usual s is 1/2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hiermodels.design import Design
from hiermodels.errors import DataError, NotAvailableError
from hiermodels.families import squeeze
from hiermodels.fitting import Model
from hiermodels.labels.tables import heading, with_dashes
from hiermodels.numbers.draws import POINT, Draws, point_words, summarise
from hiermodels.printing import Table
from hiermodels.results import CI_PROB, Fit

__all__ = ["squeeze_sensitivity", "unsqueeze"]

type Array = np.ndarray

#: Constants that are tried beside the one of the fit.
CONSTANTS = (0.05, 0.25, 0.5, 1.0)


def unsqueeze(y: Array, *, s: float, n: int) -> Array:
    """The shares that `squeeze` was given, exact zeros and ones exactly.

    Raises
    ------
    DataError
        Where no share becomes 0 or 1, because this was not how they were squeezed.
    """
    shares = (y * n - s) / (n - 2 * s)
    # the division of squeeze and the product here round by a few units of the last place of y n
    exact = np.abs(shares - np.round(shares)) < 1e-9
    shares = np.where(exact, np.round(shares), shares)
    if shares.min() < 0 or shares.max() > 1 or not exact.any():
        raise DataError(
            f"the response was not squeezed with s = {s:g} of {n} rows: no value of it belongs to "
            "an exact 0 or 1. Say how it was: fit.squeeze_sensitivity(s=, n=), where n is the "
            "number of rows that squeeze was given."
        )
    return shares


def squeeze_sensitivity(
    fit: Fit,
    constants: Sequence[float] = CONSTANTS,
    *,
    s: float = 0.5,
    n: int | None = None,
    draws: int = 1000,
    chains: int = 4,
    random_seed: int | None = None,
    point: str = POINT,
    ci_prob: float = CI_PROB,
    progressbar: bool = True,
) -> Table:
    """Refit a beta model with other constants in the squeeze of its response.

    ``s`` and ``n`` say how the response was squeezed, with ``hm.squeeze(y)`` where not given. A row
    for each parameter and constant: common effects, precision, and sds of the groups. Priors and
    engine are those of the fit. Estimates that move by more than a small part of their interval
    say that zeros and ones need a part of their own: ``family="zoi_beta"``.

    Raises
    ------
    NotAvailableError
        For another family than beta.
    DataError
        For a response that was not squeezed so.

    Source: Smithson & Verkuilen 2006, Psychological Methods 11(1).
    """
    point_words(point)
    design = fit.design
    if design.family.name != "beta":
        raise NotAvailableError(
            f"family {design.family.name!r} has no squeezed response; that is for 'beta'"
        )
    attributes = fit.idata["posterior"].attrs
    rows = squeezed_rows(design, s=s) if n is None else n
    shares = unsqueeze(design.response, s=s, n=rows)
    found = []
    for constant in constants:
        other = replace(design, response=np.asarray(squeeze(shares, s=constant, n=rows)))
        refit = Model.of(other, fit.priors).fit(
            draws=draws,
            chains=chains,
            random_seed=attributes["random_seed"] if random_seed is None else random_seed,
            engine=str(attributes["engine"]),
            progressbar=progressbar,
        )
        found.append((constant, dict(quantities(design, refit.draws))))
    return sensitivity_table(found, point=point, ci_prob=ci_prob)


def squeezed_rows(design: Design, *, s: float) -> int:
    """How many rows squeeze was given: those of the fit, or those before some were dropped."""
    every = design.n + design.rows.n_dropped
    for n in (every, design.n):
        try:
            unsqueeze(design.response, s=s, n=n)
        except DataError:
            continue
        return n
    return design.n


def quantities(design: Design, draws: Draws) -> Iterator[tuple[str, Array]]:
    """Label and draws of the common effects, the precision and the sds of the groups."""
    if design.intercept:
        yield "Intercept", draws.intercept
    yield from ((f"beta[{term}]", draws.beta[:, k]) for k, term in enumerate(design.terms))
    yield from draws.auxiliary.items()
    for block in design.blocks:
        for k, term in enumerate(block.terms):
            yield f"sd_{block.name}[{term}]", draws.sd[block.name][:, k]


def sensitivity_table(
    found: Sequence[tuple[float, dict[str, Array]]], *, point: str = POINT, ci_prob: float
) -> Table:
    rows: list[dict[str, Any]] = []
    for parameter in found[0][1]:
        for constant, values in found:
            one = summarise(values[parameter], point=point, ci_prob=ci_prob)
            rows.append(
                {
                    "parameter": parameter,
                    "s": constant,
                    "estimate": float(one.estimate),
                    "sd": float(one.sd),
                    "lower": float(one.lower),
                    "upper": float(one.upper),
                }
            )
    table = Table(
        rows,
        title=heading("Sensitivity to the squeeze (y (n - 2 s) + s) / n", point, ci_prob),
        note="The usual constant is s = 0.5.",
    )
    return with_dashes(table)
