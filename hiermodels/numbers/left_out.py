"""Each row left out, by importance weights: probabilities that no row has helped to make.

    u_i = sum_s w_is [F(y_i - 0 | theta_s) + V_i P(Y = y_i | theta_s)],    V_i ~ Uniform(0, 1),
    w_is ~ 1 / p(y_i | theta_s)

LOO-PIT: uniform if the model predicts new rows of the known groups well. The weights are Pareto
smoothed by ArviZ; the distribution function is that of the family, so that no draw of a response
is needed.

Source: Gelfand, Dey & Chang 1992, Bayesian Statistics 4; Vehtari et al. 2024, J. Mach. Learn. Res.
25, for the smoothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hiermodels.design import Design
from hiermodels.errors import some_rows
from hiermodels.numbers import predictive
from hiermodels.numbers.checks import (
    ADVICE,
    Check,
    anderson,
    normal_quantile,
    probability,
    some_draws,
)
from hiermodels.numbers.comparison import efficiency, log_likelihood, pareto_smoothed
from hiermodels.numbers.draws import Draws
from hiermodels.numbers.prediction import linear_predictors, predict
from hiermodels.numbers.predictive import given

__all__ = ["LeftOut", "check_left_out", "leave_rows_out"]

type Array = np.ndarray

#: Numbers of (draws, rows), and draws, that are worth it.
MOST, MOST_DRAWS = 20_000_000, 1000
#: Samples of uniform numbers with which those of the rows are compared.
SAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """LOO-PIT of the rows of the fit. Made by `leave_rows_out`.

    ``pit`` (rows,), ``residual`` its normal quantile, ``fitted`` the mean of a row given the
    others; ``bad`` says where Pareto k is above ArviZ's limit.
    """

    pit: Array
    residual: Array
    fitted: Array
    bad: Array

    def words(self, design: Design) -> str:
        """Which rows the weights do not reach."""
        if not self.bad.any():
            return ""
        return (
            f"Pareto k too high for {int(self.bad.sum())} ({some_rows(design.index[self.bad])}): "
            "their probabilities are uncertain."
        )


def leave_rows_out(design: Design, draws: Draws, *, chains: int, seed: int) -> LeftOut:
    """Probabilities of each row given all others."""
    full = draws.with_effects if design.blocks else draws
    some = some_draws(full, int(np.clip(MOST // design.n, 100, MOST_DRAWS)))
    density = log_likelihood(design, some)
    whole = chains if some.n == full.n else 1
    weights, k = smoothed_weights(density, efficiency(density, whole))
    ask = predict(design, some, target="group", kind="mean", seed=0)
    of = given(design, ask.draws, trials=design.trials)
    below, upto, fitted = (np.empty(design.n) for _ in range(3))
    for at, etas in linear_predictors(ask):
        part, own = of.at(at), weights[:, at]
        ends = predictive.cdf(design.response[at], etas, part)
        below[at], upto[at] = ((own * end).sum(axis=0) for end in ends)
        fitted[at] = (own * predictive.location(etas, part)).sum(axis=0)
    rng = np.random.default_rng([seed, 6])
    # weights sum to 1 but for rounding
    pit = np.clip(below + rng.uniform(size=design.n) * (upto - below), 0, 1)
    limit = min(1 - 1 / np.log10(some.n), 0.7)
    return LeftOut(pit=pit, residual=normal_quantile(pit), fitted=fitted, bad=k > limit)


def smoothed_weights(density: Array, efficient: float) -> tuple[Array, Array]:
    """Weights of the draws, (S, n), that sum to 1, and Pareto k of each row."""
    weights, k = np.full_like(density, 1 / len(density)), np.full(density.shape[1], -np.inf)
    # a row whose density is the same in all draws needs no weights, and ArviZ refuses it
    differ = np.ptp(density, axis=0) > 1e-10
    if differ.any():
        # what is given to it are log-likelihoods, whose sign it turns itself
        own = density[:, differ].T
        log_weights, k[differ] = pareto_smoothed(own, efficient)
        found = np.exp(log_weights - log_weights.max(axis=1, keepdims=True)).T
        weights[:, differ] = found / found.sum(axis=0)
    return weights, k


def check_left_out(found: LeftOut, *, seed: int) -> Check:
    """Whether the probabilities are uniform: Anderson and Darling's distance.

    Rows that are left out one at a time share the others, so that theirs are a little more even
    than independent ones.
    """
    rng = np.random.default_rng([seed, 7])
    n = min(len(found.residual), 20_000)
    made = anderson(rng.standard_normal((SAMPLES, n)))
    observed = anderson(found.residual[None, :])
    lower, middle, upper = np.quantile(made, [0.025, 0.5, 0.975])
    return Check(
        name="left out",
        of="",
        observed=float(observed[0]),
        expected=float(middle),
        lower=float(lower),
        upper=float(upper),
        p=probability(observed, made, two_sided=False),
        advice=ADVICE["left out"],
    )
