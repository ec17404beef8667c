"""Common effects, group effects and their sums, per draw.

coef_gj = (Intercept, beta) + b_gj
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hiermodels.design import INTERCEPT, Block, Design
from hiermodels.numbers.draws import Draws
from hiermodels.posterior import coefficient_terms

__all__ = ["Coefficients", "common_effects", "group_coefficients", "linear_predictor"]

type Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """Named coefficients. ``values`` is (S, terms) or (S, levels, terms)."""

    terms: tuple[str, ...]
    values: Array


def common_effects(design: Design, draws: Draws) -> Coefficients:
    """Intercept and beta in one array, the intercept at x = 0: (S, 1 + p)."""
    if not design.intercept:
        return Coefficients(terms=design.terms, values=draws.beta)
    return Coefficients(
        terms=(INTERCEPT, *design.terms),
        values=np.column_stack([draws.intercept, draws.beta]),
    )


def group_coefficients(design: Design, draws: Draws, block: Block) -> Coefficients:
    """Common effects plus the group effects of one factor: (S, J, terms).

    A term that only the factor has counts from zero; one that it does not have is the same in all
    levels.
    """
    draws = draws.with_effects
    common = common_effects(design, draws)
    terms = coefficient_terms(design, block)
    values = np.zeros((draws.n, block.n_levels, len(terms)))
    values[:, :, : len(common.terms)] = common.values[:, None, :]
    for k, term in enumerate(block.terms):
        values[:, :, terms.index(term)] += draws.effects[block.name][:, :, k]
    return Coefficients(terms=terms, values=values)


def linear_predictor(design: Design, draws: Draws, *, groups: bool) -> Array:
    """eta of each draw and row, with the group effects or without: (S, rows)."""
    draws = draws.with_effects if groups else draws
    eta = design.offset + draws.intercept[:, None] + draws.beta @ design.common.values.T
    if groups:
        for block in design.blocks:
            at_rows = draws.effects[block.name][:, block.index, :]
            eta = eta + np.einsum("snq,nq->sn", at_rows, block.columns.values)
    return eta
