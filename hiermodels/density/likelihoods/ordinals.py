"""Ordered categories: the callbacks of cumulative models.

    P(y <= k) = F(c_k - eta),    c_k = c_0 + sum_{j=1..k} exp(d_j)

The predictors are eta, c_0, d_1, ..., d_{K-2}; `trials` holds the number of categories K. With
l < u the cuts around y minus eta, a density gives log(F(u) - F(l)), its slope by a shift of both
cuts, and by log(u - l) with either cut held fixed. An open side is given by its own function.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from ..compilation import elementwise
from .elementary import exp, exp_less_one, log, log1m_exp, log1p
from .links import logit, mills_ratio, probit

__all__ = ["ORDINALS", "ordinal"]

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
LINK: Any = None  # filled in by `loops.assemble`
BETWEEN: Any = None


@elementwise
def between_logistic(lower, upper, log_gap):
    """F(u) - F(l) = F(u) (1 - F(l)) (1 - e^(l - u)) holds for the logistic F."""
    gap = exp(log_gap)
    below, _, _, log_rest, _, _ = logit(lower)
    _, rest_upper, log_upper, _, _, _ = logit(upper)
    pull = gap / exp_less_one(gap)
    value = log_upper + log_rest + log1m_exp(-gap)
    return value, rest_upper - below, gap * rest_upper + pull


@elementwise
def _narrow_normal(middle, gap):
    """log of w phi(m) (1 + w^2 (m^2 - 1) / 24 + ...), for a small w max(1, |m|)."""
    g, m = gap * gap, middle * middle
    sum_ = g * ((m - 1.0) / 24.0 + g * (m * m - 6.0 * m + 3.0) / 1920.0)
    slope = g * middle * (1.0 / 12.0 + g * (m - 3.0) / 480.0)
    slope_gap = g * ((m - 1.0) / 12.0 + g * (m * m - 6.0 * m + 3.0) / 480.0)
    total = 1.0 + sum_
    value = log1p(sum_) - 0.5 * m - HALF_LOG_2PI
    shift = slope / total - middle
    return value, shift, 1.0 + slope_gap / total


@elementwise
def between_normal(lower, upper, log_gap):
    """Phi(u) - Phi(l), both tails measured outwards; by a series if the cuts are close."""
    gap = exp(log_gap)
    middle = 0.5 * (lower + upper)
    if gap * max(1.0, abs(middle)) < 0.01:
        value, shift, slope_gap = _narrow_normal(middle, gap)
        return value + log_gap, shift, slope_gap + 0.5 * gap * shift
    flip = middle < 0.0
    inner, outer = (-upper, -lower) if flip else (lower, upper)
    log_inner, log_outer = _log_density(inner), _log_density(outer)
    inner_ratio, outer_ratio = mills_ratio(abs(inner)), mills_ratio(outer)
    if inner >= 0.0:
        value = log_inner + log(inner_ratio - outer_ratio * exp(-gap * abs(middle)))
    else:
        value = log1p(-exp(log_inner) * inner_ratio - exp(log_outer) * outer_ratio)
    at_inner, at_outer = exp(log_inner - value), exp(log_outer - value)
    if flip:
        return value, at_inner - at_outer, gap * at_inner
    return value, at_outer - at_inner, gap * at_outer


@elementwise
def _log_density(z):
    return -0.5 * z * z - HALF_LOG_2PI


def ordinal(n, y, trials, predictors, constant, value, slope):
    """Loop over rows; thresholds are summed per row, up to the row's category."""
    rows = int(n)
    if rows == 0:
        return 0
    y, value, trials = carray(y, (rows,)), carray(value, (rows,)), carray(trials, (rows,))
    k = int(trials[0])
    predictors, slope = carray(predictors, (k, rows)), carray(slope, (k, rows))
    steps, cuts = np.empty(k), np.empty(k)
    same = True
    for j in range(1, k):
        same &= constant[j] != 0
    for i in range(rows):
        if i == 0 or not same:
            _cut(predictors, i, steps, cuts)
        eta, category = predictors[0, i], int(y[i])
        for j in range(k):
            slope[j, i] = 0.0
        if category < 0 or category >= k:
            value[i] = -np.inf
            continue
        if category == 0:
            _, _, value[i], _, shift, _ = LINK(cuts[0] - eta)
            top = 0
        elif category == k - 1:
            _, _, _, value[i], _, shift = LINK(cuts[k - 2] - eta)
            top = k - 1
        else:
            lower, upper = cuts[category - 1] - eta, cuts[category] - eta
            value[i], shift, gap = BETWEEN(lower, upper, predictors[category + 1, i])
            slope[category + 1, i] = gap
            top = category
        slope[0, i] = -shift
        slope[1, i] = shift
        for j in range(2, top + 1):
            slope[j, i] = steps[j] * shift
    return 0


@elementwise
def _cut(predictors, i, steps, cuts):
    """The cuts c_0, c_1, ... of row i, and exp(d_j) at the places of their predictors."""
    cuts[0] = predictors[1, i]
    for j in range(2, len(cuts)):
        steps[j] = exp(predictors[j, i])
        cuts[j - 1] = cuts[j - 2] + steps[j]


ORDINALS = {"logit": (logit, between_logistic), "probit": (probit, between_normal)}
"""By link: its inverse, and the probability between two cuts."""
