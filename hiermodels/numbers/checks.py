"""A posterior and its rows into verdicts: does the model say what the data say?

Each check compares a discrepancy of the data with that of data made by the model, at the same
draws of all parameters and group effects,

    p = mean_s 1[ T(y_rep_s, theta_s) >= T(y, theta_s) ],      y_rep_s ~ p(y | theta_s)

Residuals are randomised quantile residuals of one posterior draw,

    u_i = F(y_i - 0 | theta_s) + V_i P(Y = y_i | theta_s),      V_i ~ Uniform(0, 1)

If the model is true, (y, theta_s) is distributed as (y, theta), so that these are independent and
uniform, whatever was estimated; those of posterior means are not, they look too good. The
probabilities p are conservative: the draws have seen the data, and stand where they fit them, so
that with a true model p below 0.05 is rarer than one in twenty.

With new group effects the probabilities are averaged over the effects that the same draw gives to a
level not seen,

    F_new(y | theta_s) = int F(y | theta_s, b) p(b | theta_s) db

which are uniform row by row, too; but the rows of a level go together, and only one row of each
level is an independent number.

Source: Gelman, Meng & Stern 1996, Statistica Sinica 6; Johnson 2007, Bayesian Analysis 2, for one
draw; Dunn & Smyth 1996, J. Comput. Graph. Stat. 5, for randomised residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from hiermodels.design import Block, Design, no_numbers
from hiermodels.errors import NotAvailableError, lookup
from hiermodels.numbers import predictive
from hiermodels.numbers.diagnostics import Diagnostics
from hiermodels.numbers.draws import Draws
from hiermodels.numbers.prediction import (
    draws_of,
    is_number,
    linear_predictors,
    predict,
    predictors,
)
from hiermodels.numbers.predictive import Given
from hiermodels.printing import Table

__all__ = [
    "ADVICE",
    "RESIDUALS",
    "STATISTICS",
    "Check",
    "Checks",
    "Residuals",
    "anderson",
    "check",
    "enough_draws",
    "normal_quantile",
    "posterior_predictive",
    "ppc_table",
    "probability",
    "residuals",
    "some_draws",
]

type Array = np.ndarray

RESIDUALS = {
    "response": "y - E[y]",
    "pearson": "(y - E[y]) / sd[y]",
    "quantile": "randomised quantile, standard normal if the model is true",
    "loo": "randomised quantile given all other rows (LOO-PIT)",
}
#: Probabilities below which a check is to be looked at, and is a fault.
LOOK, FAULT = 0.05, 0.005
#: Draws, rows and numbers of (draws, rows) that a check takes at most.
MOST_DRAWS, MOST_ROWS, MOST = 400, 20_000, 4_000_000
#: Copies of rows with weights that a check of the response takes at most.
MOST_COPIES = 2_000_000
#: Drawn effects of a new level over which residuals with new groups are averaged.
NEW_GROUP_DRAWS = 1000
#: Numbers of (draws, rows) that an average takes at most, but for so many draws.
AVERAGED, FEWEST = 400_000_000, 400
#: Draws of the group effects that a figure shows.
SHOWN = 20
#: Keeps the normal quantile of a probability of 0 or 1 finite.
EDGE = 1e-12


def some_draws(draws: Draws, at_most: int) -> Draws:
    """At most so many draws with their group effects, evenly spread."""
    full = draws.with_effects
    if full.n <= at_most:
        return full
    return take(full, np.linspace(0, full.n - 1, at_most).astype(int))


def enough_draws(draws: Draws, rows: int) -> Draws:
    """As many draws as are worth it for averages over them, or over rows; all up to 10^5 rows."""
    return some_draws(draws, max(FEWEST, AVERAGED // rows))


def take(draws: Draws, keep: Array) -> Draws:
    """Some of the draws that have group effects, with them."""
    return replace(
        draws.without_effects(keep),
        effects={k: v[keep] for k, v in draws.effects.items()},
        extras={k: take(v, keep) for k, v in draws.extras.items()},
    )


def normal_quantile(u: Array) -> Array:
    return np.asarray(ndtri(np.clip(u, EDGE, 1 - EDGE)))


# --- residuals ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """What the model leaves of each row. Made by `residuals`.

    ``fitted`` and ``residual`` (rows,); ``pit`` the probabilities behind quantile residuals.
    """

    fitted: Array
    residual: Array
    pit: Array | None = None


def residuals(design: Design, draws: Draws, *, kind: str, new_group: bool, seed: int) -> Residuals:
    """Residuals of the rows of the fit, given their groups or with new ones.

    ``response`` y - E[y], ``pearson`` that over sd[y]; with new groups E and sd are over them,
    too. ``quantile``: of one posterior draw given the groups; with new groups averaged over 1000
    effects of a new level at that draw: uniform row by row, but rows of a level go together.
    """
    lookup(kind, RESIDUALS, what="kind of residual")
    if kind in ("response", "pearson") and not design.family.has_mean:
        raise NotAvailableError(f"{no_numbers(design)}: kind='quantile' needs none")
    mean, variance = moments(design, draws, new_group=new_group, seed=seed)
    if kind == "response":
        return Residuals(fitted=mean, residual=design.observed - mean)
    if kind == "pearson":
        return Residuals(fitted=mean, residual=(design.observed - mean) / np.sqrt(variance))
    if new_group:
        below, upto = new_group_pit(design, draws, seed=seed)
    else:
        one = one_draw(draws, seed)
        below, upto = (v[0] for v in pit_ends(design, one))
    rng = np.random.default_rng([seed, 2])
    pit = below + rng.uniform(size=design.n) * (upto - below)
    return Residuals(fitted=mean, residual=normal_quantile(pit), pit=pit)


def one_draw(draws: Draws, seed: int) -> Draws:
    """One posterior draw, chosen by the seed."""
    full = draws.with_effects
    return take(full, np.random.default_rng([seed, 3]).integers(full.n, size=1))


def moments(design: Design, draws: Draws, *, new_group: bool, seed: int) -> tuple[Array, Array]:
    """E[y] and Var[y] of each row, averaged over the draws; over new groups, too, if asked for.

    Of categories that are words the linear predictor instead of E[y].
    """
    ask = predict(
        design,
        enough_draws(draws, design.n),
        target="new_group" if new_group and has_groups(design) else "group",
        kind="mean",
        seed=seed,
        redraw=new_group and has_groups(design),
    )
    of = own_given(design, ask.draws)
    means, variances = [], []
    for at, etas in linear_predictors(ask):
        part = of.at(at)
        mean = predictive.location(etas, part)
        spread = mean.var(axis=0) if new_group else 0.0
        means.append(mean.mean(axis=0))
        variances.append(predictive.variance(etas, part).mean(axis=0) + spread)
    return np.concatenate(means), np.concatenate(variances)


def own_given(design: Design, draws: Draws) -> Given:
    """The family's own parameters in the rows of the fit."""
    return predictive.given(design, draws, trials=design.trials)


def own_predictors(
    design: Design, draws: Draws, *, redraw: bool = False, seed: int = 0
) -> dict[str, Array]:
    """The linear predictors of the rows of the fit at each draw, (S, n), with their groups or new
    ones."""
    redraw = redraw and has_groups(design)
    target = "new_group" if redraw else "group"
    ask = predict(design, draws, target=target, kind="mean", seed=seed, redraw=redraw)
    found = [etas for _, etas in linear_predictors(ask)]
    return {name: np.hstack([etas[name] for etas in found]) for name in found[0]}


def has_groups(design: Design) -> bool:
    return any(p.blocks for p in design.predictors)


def pit_ends(design: Design, draws: Draws) -> tuple[Array, Array]:
    """P(Y < y_i) and P(Y <= y_i) at each draw, (S, n)."""
    etas = own_predictors(design, draws)
    return predictive.cdf(design.response, etas, own_given(design, draws))


def new_group_pit(design: Design, draws: Draws, *, seed: int) -> tuple[Array, Array]:
    """The same of one draw, averaged over new group effects: (n,).

    One draw and not all: averaged over the posterior, which has seen y_i, they would be too even.
    """
    one = one_draw(draws, seed)
    if not has_groups(design):
        below, upto = (v[0] for v in pit_ends(design, one))
        return below, upto
    many = one.without_effects(np.zeros(NEW_GROUP_DRAWS, dtype=int))
    ask = predict(design, many, target="new_group", kind="mean", seed=seed, redraw=True)
    of = own_given(design, ask.draws)
    below, upto = np.empty(design.n), np.empty(design.n)
    for at, etas in linear_predictors(ask):
        ends = predictive.cdf(design.response[at], etas, of.at(at))
        below[at], upto[at] = (e.mean(axis=0) for e in ends)
    return below, upto


# --- posterior predictive -------------------------------------------------------------------------


def posterior_predictive(
    design: Design,
    draws: Draws,
    *,
    at_most: int,
    new_group: bool,
    seed: int,
    rows: Array | None = None,
) -> Array:
    """Responses of the rows of the fit made by the model, as the family numbers them: (S, n).

    Of ``rows``, which may recur, where they are given.
    """
    some = some_draws(draws, at_most)
    etas = own_predictors(design, some, redraw=new_group, seed=seed)
    of = own_given(design, some)
    if rows is not None:
        etas, of = {name: eta[:, rows] for name, eta in etas.items()}, of.at(rows)
    rng = np.random.default_rng([seed, 4])
    return predictive.draw(rng, etas, of)


def repeated(design: Design) -> Array | None:
    """Each row as often as it counts, each time with a response of its own; None without weights.

    Raises
    ------
    NotAvailableError
        For weights that are no whole numbers, or more copies than are worth it.
    """
    if design.weights is None:
        return None
    if (design.weights != np.round(design.weights)).any():
        raise NotAvailableError(
            "weights that are no whole numbers: how often a row counts, and so what data the "
            "model would make, is not known. Fit with whole weights, or without."
        )
    total = float(design.weights.sum())
    if total > MOST_COPIES:
        raise NotAvailableError(
            f"the weights are {total:,.0f} rows in all, more than the {MOST_COPIES:,} that can be "
            "made. Fit a sample of the rows."
        )
    return np.repeat(np.arange(design.n), design.weights.astype(int))


#: Numbers of a response, over the last axis.
STATISTICS: dict[str, Callable[[Array], Array]] = {
    "mean": lambda y: y.mean(axis=-1),
    "sd": lambda y: y.std(axis=-1),
    "median": lambda y: np.median(y, axis=-1),
    "min": lambda y: y.min(axis=-1),
    "max": lambda y: y.max(axis=-1),
    "range": lambda y: np.ptp(y, axis=-1),
    "zeros": lambda y: (y == 0).sum(axis=-1),
    "ones": lambda y: (y == 1).sum(axis=-1),
}


def ppc_table(
    design: Design,
    draws: Draws,
    stat: str | Callable[[Array], Any] | None,
    group: str | None,
    *,
    new_group: bool,
    seed: int,
    ci_prob: float,
) -> Table:
    """A number of the response and what the model makes of it, in all rows or in each level.

    With weights of the data with each row so many times, as the likelihood has them.
    """
    named = statistics(design, stat)
    copies = repeated(design)
    most = int(np.clip(MOST / (design.n if copies is None else len(copies)), 100, 1000))
    made = posterior_predictive(
        design, draws, at_most=most, new_group=new_group, seed=seed, rows=copies
    )
    which = np.arange(design.n) if copies is None else copies
    y, made = design.observed[which], design.in_users_words(made)
    parts = [("all rows", np.arange(len(which)))]
    if group is not None:
        block = design.block(group)
        index = block.index[which]
        parts = [(label, np.flatnonzero(index == j)) for j, label in enumerate(block.levels)]
    tail = (1 - ci_prob) / 2
    rows = []
    for (label, at), (function, name) in product(parts, named):
        observed = float(function(y[at]))
        values = np.asarray(function(made[:, at]), dtype=float)
        lower, middle, upper = np.quantile(values, [tail, 0.5, 1 - tail])
        p = probability(np.array([observed]), values, two_sided=True)
        rows.append((label, len(at), name, observed, middle, lower, upper, p))
    columns = ["level", "n", "statistic", "observed"]
    columns += ["expected", "expected_lower", "expected_upper", "p"]
    groups = "new groups" if new_group else "the groups of the data"
    return Table(
        rows,
        columns=columns,
        title=f"Posterior predictive check, {groups} ({100 * ci_prob:g} % interval)",
    )


def statistics(
    design: Design, stat: str | Callable[[Array], Any] | None
) -> list[tuple[Callable[[Array], Any], str]]:
    """What to compare: the mean where nothing is asked for, of words the share of each category."""
    if not design.family.has_mean:
        if isinstance(stat, str):
            raise NotAvailableError(
                f"{no_numbers(design)}: stat=None compares the share of each category, and a "
                "function is given their labels"
            )
        if stat is None:
            return [(share_of(label), f"share of {label}") for label in design.categories or ()]
    return [statistic("mean" if stat is None else stat)]


def share_of(label: Any) -> Callable[[Array], Any]:
    return lambda y: (y == label).mean(axis=-1)


def statistic(stat: str | Callable[[Array], Any]) -> tuple[Callable[[Array], Any], str]:
    """A function over the last axis and its name, from a name or a function of a vector."""
    if isinstance(stat, str):
        return lookup(stat, STATISTICS, what="statistic"), stat
    name = str(getattr(stat, "__name__", "statistic"))
    return lambda y: np.apply_along_axis(stat, -1, y), name


def probability(observed: Array, made: Array, *, two_sided: bool) -> float:
    """The share of made numbers as far out as the observed ones, of all pairs.

    Counted with half a tie; never zero, for the made ones are finitely many.
    """
    ordered = np.sort(made)
    above = len(made) - np.searchsorted(ordered, observed, side="right")
    ties = len(made) - above - np.searchsorted(ordered, observed, side="left")
    upper = float(((above + 0.5 * ties + 0.5) / (len(made) + 1)).mean())
    return min(1.0, 2 * min(upper, 1 - upper)) if two_sided else upper


# --- checks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One verdict. Made by `check`, read by `Checks`.

    ``observed`` is the discrepancy of the data, its median over the draws; ``expected`` the median,
    ``lower`` and ``upper`` the central 95 % of what the model makes.
    """

    name: str
    of: str
    observed: float
    expected: float
    lower: float
    upper: float
    p: float
    advice: str

    @property
    def verdict(self) -> str:
        return "fault" if self.p < FAULT else "look" if self.p < LOOK else "good"

    @property
    def what_to_do(self) -> str:
        return "" if self.verdict == "good" else self.advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """All verdicts of a fit, and what its figure draws. Made by `check`.

    ``fitted``, ``residual`` (rows,) are of one posterior draw; the standardised ``effects`` by
    factor and term are of some, (draws, J), the first of them the same one; ``far`` the labels of
    the rows with the largest residuals; ``left_out`` the normal quantiles of LOO-PIT, or None.
    """

    checks: tuple[Check, ...]
    sampler: tuple[str, ...]
    sampler_good: bool
    fitted: Array
    residual: Array
    rows: Array
    effects: dict[tuple[str, str], Array]
    far: tuple[Any, ...]
    n_draws: int
    left_out: Array | None = None

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def of(self, name: str, of: str = "") -> Check:
        """The check of that name, of that group or column."""
        found = {(c.name, c.of): c for c in self.checks}
        if of or (name, "") in found:
            return found[name, of]
        return next(c for c in self.checks if c.name == name)

    @property
    def faults(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if c.verdict == "fault")

    def table(self) -> Table:
        """A row for each check: what was found, what the model makes, the verdict, what to do."""
        rows: list[tuple[Any, ...]] = [
            (c.name, c.of, c.verdict, c.observed, c.expected, c.lower, c.upper, c.p, c.what_to_do)
            for c in self.checks
        ]
        sampler = "good" if self.sampler_good else "fault"
        rows.append(("sampler", "", sampler, *[np.nan] * 5, " ".join(self.sampler)))
        columns = ["check", "of", "verdict", "observed"]
        columns += ["expected", "expected_lower", "expected_upper", "p", "what to do"]
        return Table(
            rows,
            columns=columns,
            title=f"Checks at {self.n_draws} posterior draws (95 % of what the model makes)",
            note=(
                f"look: p < {LOOK}, to be expected in one of {round(1 / LOOK)} checks of a true "
                f"model; fault: p < {FAULT}. With many rows small deviations are faults, too: "
                "compare observed with expected."
            ),
        )

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


#: What to do, by the name of the check.
ADVICE = {
    "distribution": "Residuals are not of this family: look at the QQ plot; another family, a "
    "transformation of the response, or student for heavy tails.",
    "dispersion": "More or less spread than the family has: negbinomial for poisson, betabinomial "
    "for binomial, a dispersion formula, or a missing predictor or group.",
    "trend": "The mean bends with the fitted values: a missing curve or product, or another link.",
    "spread": "The spread goes with the fitted values: a dispersion formula, another family, or "
    "the logarithm of the response.",
    "levels": "Levels differ beyond their effects: a slope that differs between levels, or a "
    "missing group.",
    "spread of levels": "Levels differ in spread: a dispersion formula with this group.",
    "predictor": "A curve is left along this predictor: bs(x, df=4) or a power of it.",
    "spread of predictor": "The spread goes with this predictor: a dispersion formula with it.",
    "zeros": "Not as many zeros as the model makes: a zi_ or hurdle_ family, or zoi_beta.",
    "ones": "Not as many ones as the model makes: a zi_ or hurdle_ family, or zoi_beta.",
    "outliers": "Rows farther out than the family allows: look at them; student for heavy tails.",
    "left out": "Rows are not predicted from the others as they fall: too narrow or too wide, or "
    "off; look at the other checks for where.",
    "group effects": "Group effects are not normal: look for kinds of levels, an outlying level, "
    "or a group-level predictor.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the checks of rows have in common. Made by `gather`.

    ``z`` and ``made_z`` (S, n) are normal residuals of the data and of the model's own data;
    ``fitted``, ``y``, ``made_y`` likewise; ``rows`` which rows of the fit.
    """

    design: Design
    rows: Array
    y: Array
    fitted: Array
    variance: Array
    z: Array
    made_y: Array
    made_z: Array

    def compare(
        self, name: str, of: str, observed: Array, made: Array, *, two_sided: bool = False
    ) -> Check:
        lower, middle, upper = np.quantile(made, [0.025, 0.5, 0.975])
        return Check(
            name=name,
            of=of,
            observed=float(np.median(observed)),
            expected=float(middle),
            lower=float(lower),
            upper=float(upper),
            p=probability(observed, made, two_sided=two_sided),
            advice=ADVICE[name],
        )


def check(design: Design, draws: Draws, diagnostics: Diagnostics, *, seed: int) -> Checks:
    """Every check that the model has."""
    rng = np.random.default_rng([seed, 5])
    some = some_draws(draws, int(np.clip(MOST / min(design.n, MOST_ROWS), 50, MOST_DRAWS)))
    material = gather(design, some, rng)
    found = [*row_checks(material), *effect_checks(design, some, rng)]
    which = rng.permutation(some.n)[:SHOWN]
    shown = int(which[0])
    return Checks(
        checks=tuple(found),
        sampler=tuple(diagnostics.words()),
        sampler_good=diagnostics.good,
        fitted=material.fitted[shown],
        residual=material.z[shown],
        rows=material.rows,
        effects={
            (p.prefix + b.name, t): standardised(draws_of(some, p), b, k)[which]
            for p in design.predictors
            for b in p.blocks
            for k, t in enumerate(b.terms)
        },
        far=far_rows(material),
        n_draws=some.n,
    )


def gather(design: Design, draws: Draws, rng: np.random.Generator) -> Material:
    """Residuals of the data and of the model's own data, at the same draws."""
    rows = np.arange(design.n) if design.weights is None else counted_times(design)
    if len(rows) > MOST_ROWS:
        rows = np.sort(rng.choice(rows, MOST_ROWS, replace=False))
    etas = predictors_of_rows(design, draws, rows)
    of = own_given(design, draws).at(rows)
    y, scale = design.response[rows], design.family.on_scale
    shape = (draws.n, len(rows))
    return Material(
        design=design,
        rows=rows,
        y=scale(y),
        fitted=predictive.location(etas, of),
        variance=predictive.variance(etas, of),
        z=randomised(y, etas, of, rng),
        made_y=scale(predictive.draw(rng, etas, of)),
        made_z=rng.standard_normal(shape),
    )


def counted_times(design: Design) -> Array:
    """Each row as often as it counts; once where that is not known."""
    try:
        copies = repeated(design)
    except NotAvailableError:
        copies = None
    return np.arange(design.n) if copies is None else copies


def predictors_of_rows(design: Design, draws: Draws, rows: Array) -> dict[str, Array]:
    """The linear predictors of some rows of the fit, (S, rows)."""
    found = {}
    for predictor in design.predictors:
        own = draws_of(draws, predictor)
        eta = predictor.offset[rows] + own.intercept[:, None]
        eta = eta + own.beta @ predictor.common.values[rows].T
        for block in predictor.blocks:
            b = own.effects[block.name][:, block.index[rows]]
            eta = eta + np.einsum("snq,nq->sn", b, block.columns.values[rows], optimize=True)
        found[predictor.parameter] = eta
    return found


def randomised(y: Array, etas: dict[str, Array], of: Given, rng: np.random.Generator) -> Array:
    """Normal quantiles of randomised probabilities, (S, n)."""
    below, upto = predictive.cdf(y, etas, of)
    return normal_quantile(below + rng.uniform(size=below.shape) * (upto - below))


def row_checks(m: Material) -> Iterator[Check]:
    yield m.compare("distribution", "", anderson(m.z), anderson(m.made_z))
    yield dispersion(m)
    basis = polynomial(m.fitted, 2)
    yield m.compare("trend", "", explained(m.z, basis), explained(m.made_z, basis))
    line = basis[..., :1]
    yield m.compare(
        "spread",
        "",
        correlation(np.abs(m.z), line),
        correlation(np.abs(m.made_z), line),
        two_sided=True,
    )
    for block in m.design.blocks:
        yield from level_checks(m, block)
    for name in predictors(m.design):
        yield from predictor_checks(m, name)
    for value, name in ((0.0, "zeros"), (1.0, "ones")):
        if counts_matter(m, value):
            observed = np.full(len(m.made_y), float((m.y == value).sum()))
            made = (m.made_y == value).sum(axis=1).astype(float)
            yield m.compare(name, "", observed, made, two_sided=True)
    yield m.compare("outliers", "", np.abs(m.z).max(axis=1), np.abs(m.made_z).max(axis=1))


def counts_matter(m: Material, value: float) -> bool:
    """Whether the rows with a value are to be counted: the model makes some, or data end there."""
    if m.design.family.name in ("bernoulli", "ordinal") or m.y.min() < 0:
        return False
    ends = value in (m.y.min(), m.y.max())
    return bool((m.made_y == value).any() or (ends and (m.y == value).sum() > 1))


def dispersion(m: Material) -> Check:
    """Sum of squared Pearson residuals over rows; of quantile residuals without a variance."""
    moments = m.design.family.has_mean and np.isfinite(m.variance).all()
    if moments and (m.variance > 0).all():
        observed = ((m.y - m.fitted) ** 2 / m.variance).mean(axis=1)
        made = ((m.made_y - m.fitted) ** 2 / m.variance).mean(axis=1)
    else:
        observed, made = (m.z**2).mean(axis=1), (m.made_z**2).mean(axis=1)
    return m.compare("dispersion", "", observed, made, two_sided=True)


def polynomial(x: Array, degree: int) -> Array:
    """Orthonormal powers of x, without the constant: (S, n, degree); zero where x is constant."""
    x = np.atleast_2d(x)
    spread = x.std(axis=1, keepdims=True)
    scaled = (x - x.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    powers = np.stack([scaled**k for k in range(degree + 1)], axis=-1)
    q, r = np.linalg.qr(powers)
    kept = np.abs(np.diagonal(r, axis1=1, axis2=2)) > 1e-8 * np.sqrt(x.shape[1])
    return np.asarray((q * kept[:, None, :])[..., 1:])


def explained(z: Array, basis: Array) -> Array:
    """The share of the variance of z that the columns of the basis explain, (S,)."""
    z = z - z.mean(axis=1, keepdims=True)
    along = np.einsum("sn,snk->sk", z, np.broadcast_to(basis, (len(z), *basis.shape[1:])))
    return share((along**2).sum(axis=1), (z**2).sum(axis=1))


def correlation(values: Array, line: Array) -> Array:
    """With one column of a basis, (S,)."""
    centred = values - values.mean(axis=1, keepdims=True)
    along = np.einsum("sn,sn->s", centred, np.broadcast_to(line[..., 0], centred.shape))
    return share(along, np.sqrt((centred**2).sum(axis=1)))


def between(z: Array, index: Array) -> Array:
    """The share of the variance of z between levels, (S,)."""
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    counts = np.diff(np.append(starts, len(index)))
    z = z - z.mean(axis=1, keepdims=True)
    sums = np.add.reduceat(z[:, order], starts, axis=1)
    return share((sums**2 / counts).sum(axis=1), (z**2).sum(axis=1))


def share(part: Array, whole: Array) -> Array:
    """A part of the whole; none of nothing, as where residuals are all equal."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def level_checks(m: Material, block: Block) -> Iterator[Check]:
    index = block.index[m.rows]
    if np.bincount(index).max() < 2:
        return
    yield m.compare("levels", block.name, between(m.z, index), between(m.made_z, index))
    yield m.compare(
        "spread of levels",
        block.name,
        between(np.abs(m.z), index),
        between(np.abs(m.made_z), index),
    )


def predictor_checks(m: Material, name: str) -> Iterator[Check]:
    column = m.design.rows.frame[name].iloc[m.rows]
    if is_number(column):
        degree = min(3, column.nunique() - 1)
        if degree < 1:
            return
        basis = polynomial(column.to_numpy(dtype=float), degree)
        yield m.compare("predictor", name, explained(m.z, basis), explained(m.made_z, basis))
        wide, made = (explained(np.abs(v), basis[..., :2]) for v in (m.z, m.made_z))
        yield m.compare("spread of predictor", name, wide, made)
        return
    index = pd.factorize(column)[0]
    yield m.compare("predictor", name, between(m.z, index), between(m.made_z, index))
    wide, made = (between(np.abs(v), index) for v in (m.z, m.made_z))
    yield m.compare("spread of predictor", name, wide, made)


def far_rows(m: Material, most: int = 5) -> tuple[Any, ...]:
    """The labels of rows whose residual, its median over draws, is beyond what n rows have."""
    typical = np.median(np.abs(m.z), axis=0)
    limit = np.quantile(np.abs(m.made_z).max(axis=1), 0.95)
    order = np.argsort(-typical)
    # a row that counts several times is one row
    far = dict.fromkeys(m.rows[order[typical[order] > limit]].tolist())
    return tuple(m.design.index[list(far)[:most]])


def standardised(draws: Draws, block: Block, k: int) -> Array:
    """b_k / sd_k of each level and draw, (S, J): standard normal if the model is true."""
    sd = draws.sd[block.name][:, k]
    return np.asarray(draws.effects[block.name][:, :, k] / np.where(sd > 0, sd, 1)[:, None])


def effect_checks(design: Design, draws: Draws, rng: np.random.Generator) -> Iterator[Check]:
    """Whether standardised group effects are standard normal."""
    for predictor in design.predictors:
        for block in predictor.blocks:
            own = draws_of(draws, predictor)
            yield from effects_of_block(own, block, rng, prefix=predictor.prefix)


def effects_of_block(
    draws: Draws, block: Block, rng: np.random.Generator, *, prefix: str
) -> Iterator[Check]:
    made = anderson(rng.standard_normal((draws.n, min(block.n_levels, MOST_ROWS))))
    lower, middle, upper = np.quantile(made, [0.025, 0.5, 0.975])
    for k, term in enumerate(block.terms):
        observed = anderson(standardised(draws, block, k)[:, :MOST_ROWS])
        name = prefix + block.name
        yield Check(
            name="group effects",
            of=name if len(block.terms) == 1 else f"{name}[{term}]",
            observed=float(np.median(observed)),
            expected=float(middle),
            lower=float(lower),
            upper=float(upper),
            p=probability(observed, made, two_sided=False),
            advice=ADVICE["group effects"],
        )


def anderson(z: Array) -> Array:
    """Anderson and Darling's distance from the standard normal, which heeds the tails, each draw.

    A^2 = -n - mean_i (2i - 1) [log u_(i) + log(1 - u_(n+1-i))],    u = Phi(z)
    """
    z = np.sort(z, axis=1)
    n = z.shape[1]
    weights = 2 * np.arange(1, n + 1) - 1
    lower, upper = np.log(ndtr(z).clip(1e-300)), np.log(ndtr(-z).clip(1e-300))
    return np.asarray(-n - ((lower + upper[:, ::-1]) * weights).mean(axis=1))
