"""Coefficients into linear predictors and the log-density of all rows, and gradients back.

    eta_ki = offset_ki + x_ki' beta_k + sum_g z_gi' b_{g, level_g(i)}
    log p(y) = sum_i count_i log f(y_i | eta_1i ... eta_Ki)

A coefficient is reached from the line of its prior (`coefficientpriors`), increasing thresholds
from the first and the logarithms of the steps.
"""

from __future__ import annotations

import numpy as np

from .coefficientpriors import ABOVE, BETWEEN, add_coefficient_prior, from_line
from .compilation import kernel
from .layout import COLUMN_START, WIDTH, Section, Size, floats, integers
from .likelihoodcall import call_likelihood
from .rest import factor_table
from .vectors import add_scaled, copy, dot, multiply

__all__ = ["common_prior", "likelihood", "predictors", "predictors_back"]

SIZES, CONSTANT = np.int64(Section.SIZES), np.int64(Section.CONSTANT)
RESPONSE, TRIALS = np.int64(Section.RESPONSE), np.int64(Section.TRIALS)
COUNTS, OFFSETS = np.int64(Section.COUNTS), np.int64(Section.OFFSETS)
COMMON_COLUMNS = np.int64(Section.COMMON_COLUMNS)
COMMON_PREDICTORS = np.int64(Section.COMMON_PREDICTORS)
COMMON_FORMS, COMMON_NUMBERS = np.int64(Section.COMMON_FORMS), np.int64(Section.COMMON_NUMBERS)
GROUP_COLUMNS, GROUP_LEVELS = np.int64(Section.GROUP_COLUMNS), np.int64(Section.GROUP_LEVELS)
GROUP_PREDICTORS = np.int64(Section.GROUP_PREDICTORS)
LIKELIHOOD, ORDERED = int(Size.LIKELIHOOD), int(Size.ORDERED)
LINK_LOG, LINK_LOGIT = 1, 2


@kernel
def _coefficient(form, link, t, lower, upper):
    """What a coefficient adds to its predictor, and the derivative by t."""
    if link == LINK_LOG and form == ABOVE and lower == 0.0:
        return t, 1.0
    if link == LINK_LOGIT and form == BETWEEN and lower == 0.0 and upper == 1.0:
        return t, 1.0
    value, slope = from_line(form, t, lower, upper)
    if link == LINK_LOG:
        return np.log(value), slope / value
    if link == LINK_LOGIT:
        return np.log(value / (1.0 - value)), slope / (value * (1.0 - value))
    return value, slope


@kernel
def common_prior(t, words, value, slope, gradient):
    """Log prior of t (p,); writes what each adds to its predictor, the slopes, and the gradient."""
    forms, numbers = integers(words, COMMON_FORMS), floats(words, COMMON_NUMBERS)
    ordered = integers(words, SIZES)[ORDERED]
    total = 0.0
    for k in range(len(t)):
        gradient[k] = 0.0
        own, limits = forms[4 * k : 4 * k + 3], numbers[6 * k + 4 : 6 * k + 6]
        value[k], slope[k] = _coefficient(own[0], forms[4 * k + 3], t[k], limits[0], limits[1])
        if k < ordered:
            natural = from_line(own[0], t[k], limits[0], limits[1])[0]
            total += add_coefficient_prior(
                own, numbers[6 * k : 6 * k + 6], t[k], natural, gradient[k : k + 1]
            )
    return total + _ordered_prior(t, words, ordered, gradient)


@kernel
def _ordered_prior(t, words, first, gradient):
    """Log prior of thresholds c_1 = t_1, c_k = c_(k-1) + exp(t_k), with the Jacobian."""
    forms, numbers = integers(words, COMMON_FORMS), floats(words, COMMON_NUMBERS)
    total, threshold, slopes = 0.0, 0.0, np.zeros(len(t))
    for k in range(first, len(t)):
        threshold = t[k] if k == first else threshold + np.exp(t[k])
        total += add_coefficient_prior(
            forms[4 * k : 4 * k + 3],
            numbers[6 * k : 6 * k + 6],
            threshold,
            threshold,
            slopes[k : k + 1],
        )
        total += 0.0 if k == first else t[k]
    tail = 0.0
    for k in range(len(t) - 1, first - 1, -1):
        tail += slopes[k]
        gradient[k] += tail if k == first else tail * np.exp(t[k]) + 1.0
    return total


@kernel
def predictors(head, others, common, words, eta):
    """Write eta (K, N)."""
    n_rows = eta.shape[1]
    offsets = floats(words, OFFSETS)
    for k in range(len(eta)):
        copy(eta[k], offsets[k * n_rows : (k + 1) * n_rows])
    columns, owners = floats(words, COMMON_COLUMNS), integers(words, COMMON_PREDICTORS)
    for k in range(len(common)):
        add_scaled(eta[owners[k]], common[k], columns[k * n_rows : (k + 1) * n_rows])
    table, place = factor_table(words), 0
    columns, levels = floats(words, GROUP_COLUMNS), integers(words, GROUP_LEVELS)
    owners = integers(words, GROUP_PREDICTORS)
    for f in range(len(table)):
        q = table[f, WIDTH]
        b = head if f == 0 else others[table[f, COLUMN_START] :]
        level = levels[f * n_rows : (f + 1) * n_rows]
        for k in range(q):
            _gather(eta[owners[f]], columns[place : place + n_rows], b[k:], level, q)
            place += n_rows


@kernel
def _gather(eta, column, b, level, q):
    for i in range(len(eta)):
        eta[i] += column[i] * b[level[i] * q]


@kernel
def predictors_back(slope, words, by_head, by_rest):
    """Add the gradient by effects, and by what common coefficients add to their predictors."""
    n_rows = slope.shape[1]
    columns, owners = floats(words, COMMON_COLUMNS), integers(words, COMMON_PREDICTORS)
    first = len(by_rest) - len(owners)
    for k in range(len(owners)):
        by_rest[first + k] += dot(columns[k * n_rows : (k + 1) * n_rows], slope[owners[k]])
    table, place = factor_table(words), 0
    columns, levels = floats(words, GROUP_COLUMNS), integers(words, GROUP_LEVELS)
    owners = integers(words, GROUP_PREDICTORS)
    for f in range(len(table)):
        q = table[f, WIDTH]
        target = by_head if f == 0 else by_rest[table[f, COLUMN_START] :]
        level = levels[f * n_rows : (f + 1) * n_rows]
        for k in range(q):
            _scatter(slope[owners[f]], columns[place : place + n_rows], target[k:], level, q)
            place += n_rows


@kernel
def _scatter(slope, column, target, level, q):
    """Add to each level; rows of one level that follow each other are summed first."""
    total, current = 0.0, level[0]
    for i in range(len(slope)):
        if level[i] != current:
            target[current * q] += total
            total, current = 0.0, level[i]
        total += column[i] * slope[i]
    target[current * q] += total


@kernel
def likelihood(eta, words, slope):
    """Sum of counts times log f, and its slopes (K, N)."""
    sizes, counts = integers(words, SIZES), floats(words, COUNTS)
    n = eta.shape[1]
    value = np.empty(n)
    code: int = call_likelihood(
        sizes[LIKELIHOOD],
        n,
        floats(words, RESPONSE),
        floats(words, TRIALS),
        eta,
        integers(words, CONSTANT),
        value,
        slope,
    )
    for k in range(eta.shape[0]):
        multiply(slope[k], counts)
    return dot(counts, value) if code == 0 else np.nan
