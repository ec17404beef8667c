"""Draws and their log-densities into how much prior and likelihood say of what is reported.

    p_a(theta | y)  ~  p(theta)^a p(y | theta)   or   p(theta) p(y | theta)^a,    a near 1,

by importance weights of the draws, and the distance of the posterior of each estimand from the one
at a = 1, per doubling of a. By ArviZ (`arviz_stats.psense`): the cumulative Jensen-Shannon
distance, Pareto-smoothed weights.

Source: Kallioinen, Paananen, Buerkner & Vehtari 2024, Stat. Comput. 34.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hiermodels.design import INTERCEPT, Design, Predictor
from hiermodels.errors import NotAvailableError
from hiermodels.labels.tables import heading, relative_variances, with_dashes
from hiermodels.names import variable_of
from hiermodels.numbers.checks import some_draws
from hiermodels.numbers.comparison import check_enough, log_likelihood
from hiermodels.numbers.draws import POINT, Draws, summarise
from hiermodels.numbers.expected import is_linear
from hiermodels.numbers.prior_density import log_priors
from hiermodels.numbers.variance import Components, components, intraclass, mean_is_meaningful
from hiermodels.printing import Table
from hiermodels.priors import Priors

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ADVICE",
    "Sensitive",
    "estimands",
    "sensitivities",
    "sensitivity_table",
    "sensitivity_tree",
    "verdict_of",
]

type Array = np.ndarray

#: Distance per doubling of the power above which ArviZ calls an estimand sensitive.
THRESHOLD = 0.05
#: Numbers of a pointwise log-likelihood that are worth it.
MOST = 50_000_000
#: What to do, by the verdict.
ADVICE = {
    "good": "",
    "prior decides": "The data say little of it beside the prior: give one that you can defend, "
    "and report it.",
    "prior and data disagree": "Both move it: the prior pulls against the data. Look at the prior "
    "on the scale of the data (prior_predictive), and widen it if it was not meant.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitive:
    """One estimand. Made by `sensitivities`, read by `tables`.

    ``values`` are its draws (S,); ``prior`` and ``likelihood`` the sensitivity to each.
    """

    name: str
    values: Array
    prior: float
    likelihood: float

    @property
    def verdict(self) -> str:
        return verdict_of(self.prior, self.likelihood)


def verdict_of(prior: float, likelihood: float) -> str:
    """ArviZ's rule, in words."""
    if prior < THRESHOLD:
        return "good"
    return "prior and data disagree" if likelihood >= THRESHOLD else "prior decides"


def estimands(design: Design, draws: Draws, *, scale: str | None) -> dict[str, Array]:
    """What users report, each (S,): coefficients, sds, correlations, ICC and CV2.

    ``scale`` is that of ICC and CV2; None leaves them out where it must be said.
    """
    found: dict[str, Array] = {}
    for predictor in design.predictors:
        own = draws.extras[predictor.parameter] if predictor.parameter else draws
        found |= dict(predictor_estimands(design, predictor, own))
    found |= {k: v for k, v in draws.auxiliary.items() if v.ndim == 1}
    if (scale is None and not is_linear(design)) or not design.blocks:
        return found
    parts = components(design, draws, scale=scale)
    icc = intraclass(design, parts)
    found |= {
        f"ICC {label}": values
        for label, kind, values in zip(icc.labels, icc.kinds, icc.adjusted.T, strict=True)
        if kind in ("single", "cumulative")
    }
    if not mean_is_meaningful(design, parts):
        found |= dict(coefficients_of_variation(design, parts))
    return found


def predictor_estimands(
    design: Design, predictor: Predictor, draws: Draws
) -> Iterator[tuple[str, Array]]:
    """Coefficients, sds and correlations of one linear predictor."""
    prefix = predictor.prefix
    if predictor.intercept:
        yield f"{prefix}{INTERCEPT}", draws.intercept
    for k, name in enumerate(design.coefficient_names(predictor)):
        yield name, draws.beta[:, k]
    for block in predictor.blocks:
        for k, term in enumerate(block.terms):
            yield f"{prefix}sd_{block.name}[{term}]", draws.sd[block.name][:, k]
            for j in range(k):
                values = draws.cor[block.name][:, k, j]
                if np.ptp(values) > 0:
                    yield f"{prefix}cor_{block.name}[{block.terms[j]}, {term}]", values


def coefficients_of_variation(design: Design, parts: Components) -> Iterator[tuple[str, Array]]:
    """CV2 of each component and of the residual, as the variance table has them."""
    names = [name for name, _ in parts.labels]
    labels = [g if names.count(g) == 1 else f"{g}[{t}]" for g, t in parts.labels]
    variances = np.column_stack([parts.groups, parts.residual])
    relative = relative_variances(design, parts, variances, [*names, "residual"])
    for label, values in zip([*labels, "residual"], relative.T, strict=True):
        yield f"CV² {label}", values


def sensitivity_tree(
    design: Design, priors: Priors, draws: Draws, *, chains: int, scale: str | None
) -> xr.DataTree:
    """Groups ``posterior`` (the estimands), ``log_prior`` and ``log_likelihood``, for ArviZ.

    The log-likelihood is the sum over the rows of a draw, at its group effects.
    """
    import xarray as xr

    full = draws.with_effects if design.blocks else draws
    check_enough(full.n)
    some = some_draws(full, max(100, MOST // design.n))
    chains = chains if some.n == full.n and full.n % chains == 0 else 1

    def shaped(values: Array, name: str = "") -> tuple[tuple[str, str], Array, dict[str, str]]:
        numbers = np.asarray(values, dtype=float).reshape(chains, -1)
        return ("chain", "draw"), numbers, {"name": name}

    total = log_likelihood(design, some).sum(axis=1)
    prior = {k: v for k, v in log_priors(design, priors, some).items() if np.ptp(v) > 0}
    if not prior:
        raise NotAvailableError("every prior is flat: there is nothing to scale")
    values = {k: v for k, v in estimands(design, some, scale=scale).items() if np.ptp(v) > 0}
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({variable_of(k): shaped(v, k) for k, v in values.items()}),
            "log_prior": xr.Dataset({variable_of(k): shaped(v, k) for k, v in prior.items()}),
            "log_likelihood": xr.Dataset({"y": shaped(total)}),
        }
    )


def sensitivities(tree: xr.DataTree, *, alphas: tuple[float, float]) -> tuple[Sensitive, ...]:
    """Of each estimand to prior and likelihood, by ArviZ."""
    from arviz_stats import psense

    prior, likelihood = (psense(tree, group=g, alphas=alphas) for g in ("prior", "likelihood"))
    posterior = tree["posterior"].to_dataset()
    return tuple(
        Sensitive(
            name=str(posterior[name].attrs["name"]),
            values=posterior[name].to_numpy().ravel(),
            prior=float(prior[name]),
            likelihood=float(likelihood[name]),
        )
        for name in posterior.data_vars
    )


def sensitivity_table(
    found: tuple[Sensitive, ...],
    *,
    alphas: tuple[float, float],
    note: str,
    point: str = POINT,
    ci_prob: float,
) -> Table:
    """A row for each estimand: its posterior, its sensitivities, the verdict, what to do."""
    values = np.column_stack([one.values for one in found])
    each = summarise(values, point=point, ci_prob=ci_prob)
    told = (
        f"Distance of the posterior per doubling of the power of prior or likelihood, from powers "
        f"{alphas[0]:g} and {alphas[1]:g}; from {THRESHOLD} on it is sensitive. The distribution "
        "of group effects belongs to the likelihood."
    )
    table = Table(
        {
            "estimand": [one.name for one in found],
            "estimate": each.estimate,
            "lower": each.lower,
            "upper": each.upper,
            "prior": [one.prior for one in found],
            "likelihood": [one.likelihood for one in found],
            "verdict": [one.verdict for one in found],
            "what to do": [ADVICE[one.verdict] for one in found],
        },
        title=heading("Power-scaling sensitivity", point, ci_prob),
        note=f"{told} {note}".strip(),
    )
    return with_dashes(table)
