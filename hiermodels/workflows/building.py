"""A null model and predictors of two strata into Hox's six steps, each with what it explains.

    1  intercepts that differ between groups      y ~ 1 + (1 | g)
    2  predictors of the rows                     y ~ x + (1 | g)
    3  predictors of the groups                   y ~ x + z + (1 | g)
    4  the slope of each x, one at a time         y ~ x + z + (x | g)
    5  all slopes that differ, together
    6  cross-level interactions                   y ~ x + z + x:z + (x | g)

A step with new coefficients is judged by the posterior of these: with posterior mean m and
covariance S of the draws d_s,

    p = mean_s 1[ (d_s - m)' S^-1 (d_s - m) >= m' S^-1 m ],

the share of draws farther from the mean than zero is. A slope is judged by its sd, which is
compared with what is too small to matter (`remaining`).

Source: Hox, Moerbeek & van de Schoot 2018, Multilevel Analysis, chapter 4, for the steps and for
the variance explained, ``1 - V / V_null``.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hiermodels.design import INTERCEPT, SE, WEIGHTS, Design
from hiermodels.errors import DataError, FormulaError, ImportanceWarning, NotAvailableError
from hiermodels.fitting import Model
from hiermodels.formula import Formula, parse
from hiermodels.labels.equations import Equations, build_equations
from hiermodels.labels.sentences import Sentences, listed
from hiermodels.labels.tables import heading, interval_columns
from hiermodels.nesting import FEW_LEVELS
from hiermodels.numbers.comparison import Elpd
from hiermodels.numbers.draws import summarise
from hiermodels.numbers.remaining import Left, remaining_variance
from hiermodels.numbers.variance import Change, change_of, explained_variance, strata_change
from hiermodels.printing import Table, format_interval
from hiermodels.results import CI_PROB, Fit
from hiermodels.seeds import as_seed
from hiermodels.workflows.pooling_report import attempt, with_error

__all__ = ["BuildUp", "Step", "build_up"]

type Array = np.ndarray

#: What each step adds, in words.
STEPS = {
    1: "intercepts",
    2: "level 1",
    3: "level 2",
    4: "slope of",
    5: "slopes",
    6: "cross-level",
}
#: Shares of variance between two fits, whose draws are not paired: without an interval.
CHANGES = ("explained_rows", "explained_groups", "explained_slopes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One model of the build-up. Made by `build_up`, read by `BuildUp`.

    ``added`` are the terms that the model before, ``before``, lacks; ``p`` is the share of
    posterior draws farther out than zero, of slopes the probability that their sd is too small
    to matter, the largest of several.
    """

    number: int
    name: str
    formula: str
    added: tuple[str, ...]
    before: str
    fit: Fit
    verdict: str
    p: float

    @property
    def equations(self) -> Equations:
        """Likelihood, linear predictor and group effects; the priors are the model's own."""
        return replace(build_equations(self.fit.design, self.fit.priors), priors=())


class BuildUp(Table):
    """The table of `hm.build_up`: a row for each step, what it adds, explains and is worth.

    ``steps`` are the models by name, ``fits`` and ``equations`` those of each; ``answer`` has the
    verdicts in sentences.
    """

    _metadata: ClassVar[list[str]] = ["title", "note", "steps", "answer"]
    steps: dict[str, Step]
    answer: Sentences

    @property
    def fits(self) -> dict[str, Fit]:
        """The fit of each step."""
        return {name: step.fit for name, step in self.steps.items()}

    @property
    def equations(self) -> dict[str, Equations]:
        """The model of each step in LaTeX."""
        return {name: step.equations for name, step in self.steps.items()}

    def cells(
        self, *, max_rows: int, repeat_keys: bool = False
    ) -> tuple[tuple[str, ...], list[list[str]]]:
        """Header and rows as text: differences with their standard errors in parentheses."""
        plain = pd.DataFrame(self).drop(columns=["loo_se", "logo_se", "formula"])
        shares = [*CHANGES, "r2"]
        empty = [c for c in shares if c in plain and plain[c].isna().all()]
        ends = ["r2_lower", "r2_upper"] if "r2" in empty else []
        head, rows = Table(plain.drop(columns=empty + ends)).cells(
            max_rows=max_rows, repeat_keys=repeat_keys
        )
        for name in (c for c in CHANGES if c in head):
            for row, share in zip(rows, self[name], strict=False):
                row[head.index(name)] = format_interval(share, np.nan, np.nan)
        for kind in ("loo", "logo"):
            at = head.index(f"{kind}_difference")
            pairs = zip(rows, self[f"{kind}_difference"], self[f"{kind}_se"], strict=False)
            for row, difference, se in pairs:
                row[at] = with_error(difference, se)
        return head, rows

    def lines(self) -> list[str]:
        """The formula of each step."""
        width = max(map(len, self.steps))
        return [f"{name:<{width}}  {step.formula}" for name, step in self.steps.items()]

    def text(self, *, max_rows: int = 60) -> str:
        """For a terminal: the formulas, the table, the verdicts."""
        parts = ["\n".join(self.lines()), super().text(max_rows=max_rows), str(self.answer)]
        return "\n\n".join(parts)

    def markdown(self) -> str:
        models = "\n".join(
            f"**{name}** `{step.formula}`\n\n$$\n{step.equations.latex}\n$$\n"
            for name, step in self.steps.items()
        )
        return "\n\n".join([models, super().markdown(), self.answer.markdown()])

    def _repr_html_(self) -> str:
        models = "".join(
            f"<p><strong>{html.escape(name)}</strong> <code>{html.escape(step.formula)}</code></p>"
            f"{step.equations.html()}"
            for name, step in self.steps.items()
        )
        return models + super()._repr_html_() + self.answer._repr_html_()


def build_up(
    formula: str,
    data: Any,
    group: str | None = None,
    *,
    level1: str | Sequence[str] = (),
    level2: str | Sequence[str] = (),
    slopes: str | Sequence[str] | None = None,
    interactions: str | Sequence[str] | None = None,
    family: str = "gaussian",
    link: str | None = None,
    dispersion: str | None = None,
    zi: str | None = None,
    priors: Mapping[str, Any] | None = None,
    weights: Any = None,
    se: Any = None,
    logo: bool = True,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    engine: str = "auto",
    target_accept: float | None = None,
    missing: str = "drop",
    progressbar: bool = True,
    ci_prob: float = CI_PROB,
) -> BuildUp:
    """Build a model in Hox's six steps, from its intercepts to cross-level interactions.

    ``hm.build_up("incidents ~ 1 + (1 | center)", data, level1=["treatment", "gender"],
    level2=["hours"], family="poisson")`` fits all steps to the same rows.

    Parameters
    ----------
    formula
        The model of step 1, whose group term has intercepts alone. What else it has, such as an
        offset or another factor, stays in all steps.
    group
        The factor that ``level2`` belongs to; None is the only one.
    level1, level2
        Predictors of the rows, and of the groups: these have one value in each level.
    slopes
        The predictors whose slopes may differ between groups, tried one at a time; None is all of
        ``level1``. Those that do so go on, together.
    interactions
        Such as ``"treatment:hours"``; None is each of ``level2`` with each slope that differs.
    priors
        Those of parameters that a step does not have wait for the step that has them.
    logo
        Whether to leave each level out, too, which takes longest beyond the Gaussian.

    Returns
    -------
    BuildUp
        A row for each step: ``verdict`` with ``p``; the gain in ``loo`` and ``logo`` over the step
        before, with standard errors; the variance explained in the rows and the groups, ``1 - V /
        V_null`` against step 1 while only intercepts differ, in the slopes against step 5 (of
        posterior medians, without an interval: the draws of two fits are not paired); and the
        marginal R2. ``fits``, ``equations`` and ``answer`` are beside it.

    Raises
    ------
    FormulaError
        The formula has slopes, or several factors and no ``group``.
    DataError
        A predictor that varies within groups in ``level2``, or does not in ``level1``.

    Source: Hox, Moerbeek & van de Schoot 2018, Multilevel Analysis, chapter 4.
    """
    first, second = names_of(level1), names_of(level2)
    start = parse(formula)
    options: dict[str, Any] = {"family": family, "link": link, "dispersion": dispersion, "zi": zi}
    all_terms = [*first, *second]
    largest = Model(
        with_terms(start, all_terms),
        data,
        **options,
        weights=weights,
        se=se,
        missing=missing,
    )
    factor = chosen_factor(largest.design, group)
    check_strata(largest.design, factor, first, second)
    rows = largest.design.rows.frame
    options |= {"weights": WEIGHTS if weights is not None else None}
    options |= {"se": SE if se is not None else None}
    seed = as_seed(random_seed)
    tried = first if slopes is None else names_of(slopes)
    crossed = None if interactions is None else names_of(interactions)
    if priors:
        # a name that no step has is an error before anything is fitted
        every = crossed if crossed is not None else every_pair(tried, second)
        fullest = with_terms(start, [*all_terms, *every], factor=factor, slopes=tried)
        Model(fullest, rows, **options, priors=priors)

    def fitted(text: str) -> Fit:
        model = Model(text, rows, **options, priors=known_priors(text, rows, options, priors))
        return model.fit(
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=seed,
            engine=engine,
            target_accept=target_accept,
            progressbar=progressbar,
        )

    steps = all_steps(
        start,
        factor,
        first,
        second,
        slopes=tried,
        interactions=crossed,
        fitted=fitted,
        limit=1 - ci_prob,
    )
    return report(steps, factor, logo=logo, seed=seed, ci_prob=ci_prob)


def names_of(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def every_pair(slopes: Sequence[str], level2: Sequence[str]) -> tuple[str, ...]:
    """Each slope with each predictor of the groups."""
    return tuple(f"{x}:{z}" for x in slopes for z in level2)


# --- the formulas ---------------------------------------------------------------------------------


def with_terms(
    start: Formula, terms: Sequence[str], *, factor: str = "", slopes: Sequence[str] = ()
) -> str:
    """The formula with more common terms, and with slopes of a factor."""
    left = start.text.partition("~")[0].strip()
    common = start.common.strip() or "1"
    if terms and common == "1":
        common = ""
    inside = " + ".join(slopes)
    bars = [
        f"({inside} | {g.name})" if slopes and g.name == factor else str(g) for g in start.groups
    ]
    return f"{left} ~ {' + '.join([*([common] if common else []), *terms, *bars])}"


def chosen_factor(design: Design, group: str | None) -> str:
    """The factor whose steps these are; it has intercepts alone."""
    if not design.blocks:
        raise FormulaError(f"{design.formula} has no group term: step 1 is y ~ 1 + (1 | group)")
    block = design.block(group)
    if block.terms != (INTERCEPT,):
        raise FormulaError(
            f"{design.formula}: the steps begin with intercepts alone, (1 | {block.name}); "
            "slopes= says which slopes to try"
        )
    return block.name


def check_strata(design: Design, factor: str, level1: Sequence[str], level2: Sequence[str]) -> None:
    """Predictors of groups have one value in each level, those of rows do not."""
    block = design.block(factor)
    for given, name, within in [
        *((p, "level1", True) for p in level1),
        *((p, "level2", False) for p in level2),
    ]:
        # an interaction is within where it varies, whatever its parts are called
        columns = design.common.values[
            :, [k for k in range(len(design.terms)) if belongs(design.terms[k], given)]
        ]
        varies = np.zeros(block.n_levels, dtype=bool)
        for column in columns.T:
            low = np.full(block.n_levels, np.inf)
            high = np.full(block.n_levels, -np.inf)
            np.minimum.at(low, block.index, column)
            np.maximum.at(high, block.index, column)
            varies |= high - low > 1e-9 * (1 + np.abs(column).max())
        if within and columns.size and not varies.any():
            raise DataError(
                f"level1: {given!r} has one value in each level of {factor!r}; it belongs to level2"
            )
        if not within and varies.any():
            raise DataError(
                f"{name}: {given!r} varies within {int(varies.sum())} of {block.n_levels} levels "
                f"of {factor!r}; it belongs to level1, or take between({given}, {factor})"
            )


def belongs(term: str, predictor: str) -> bool:
    """Whether a column is of a predictor: itself, or ``f[low]`` of ``f``."""
    squeezed = predictor.replace(" ", "")
    parts, wanted = term.replace(" ", "").split(":"), squeezed.split(":")
    return len(parts) == len(wanted) and all(
        any(p == w or p.startswith(f"{w}[") for p in parts) for w in wanted
    )


def known_priors(
    text: str, rows: pd.DataFrame, options: Mapping[str, Any], priors: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """The priors of the parameters that a model has; those of later steps wait."""
    if not priors:
        return None
    model = Model(text, rows, **options)
    names = set(model.design.terms) | {p.parameter for p in model.priors}
    stems = {name.partition("[")[0] for name in names}
    return {k: v for k, v in priors.items() if k in names | stems}


# --- the steps ------------------------------------------------------------------------------------


def all_steps(
    start: Formula,
    factor: str,
    level1: tuple[str, ...],
    level2: tuple[str, ...],
    *,
    slopes: tuple[str, ...],
    interactions: tuple[str, ...] | None,
    fitted: Callable[[str], Fit],
    limit: float,
) -> dict[str, Step]:
    """The models, each judged by what it adds."""
    found: dict[str, Step] = {}

    def add(number: int, name: str, text: str, added: tuple[str, ...], before: str) -> Step:
        same = [s.fit for s in found.values() if s.formula == text]
        fit = same[0] if same else fitted(text)
        judge = judge_slopes if number in (1, 4, 5) else judge_terms
        verdict, p = judge(fit, factor, added, limit)
        step = Step(
            number=number,
            name=f"{number} {name}",
            formula=text,
            added=added,
            before=before,
            fit=fit,
            verdict=verdict,
            p=p,
        )
        found[step.name] = step
        return step

    terms: tuple[str, ...] = ()
    last = add(1, STEPS[1], with_terms(start, ()), (INTERCEPT,), "")
    for number, more in ((2, level1), (3, level2)):
        if more:
            terms += more
            last = add(number, STEPS[number], with_terms(start, terms), more, last.name)
    differ: list[str] = []
    for slope in slopes:
        text = with_terms(start, terms, factor=factor, slopes=(slope,))
        if add(4, f"{STEPS[4]} {slope}", text, (slope,), last.name).verdict == "yes":
            differ.append(slope)
    if differ:
        text = with_terms(start, terms, factor=factor, slopes=differ)
        last = add(5, STEPS[5], text, tuple(differ), last.name)
    crossed = interactions
    if crossed is None:
        crossed = every_pair(differ, level2)
    if crossed:
        text = with_terms(start, (*terms, *crossed), factor=factor, slopes=differ)
        add(6, STEPS[6], text, crossed, last.name)
    return found


def judge_terms(fit: Fit, factor: str, added: Sequence[str], limit: float) -> tuple[str, float]:
    """Whether zero is inside the region of the new coefficients."""
    p = share_beyond_zero(coefficients(fit, added))
    return ("yes" if p < limit else "undecided"), p


def coefficients(fit: Fit, added: Sequence[str]) -> Array:
    """The draws of the coefficients of some predictors, (S, k)."""
    terms = fit.design.terms
    at = [k for k, t in enumerate(terms) if any(belongs(t, a) for a in added)]
    return fit.draws.beta[:, at]


def share_beyond_zero(draws: Array) -> float:
    """The share of draws (S, k) farther from their mean than zero is, by their covariance."""
    if not draws.shape[1]:
        return float("nan")
    mean = draws.mean(axis=0)
    root = np.linalg.cholesky(np.atleast_2d(np.cov(draws.T)))
    far = np.square(np.linalg.solve(root, (draws - mean).T)).sum(axis=0)
    zero = float(np.square(np.linalg.solve(root, mean)).sum())
    # never zero, for the draws are finitely many
    return float((np.sum(far >= zero) + 0.5) / (len(far) + 1))


def judge_slopes(fit: Fit, factor: str, added: Sequence[str], limit: float) -> tuple[str, float]:
    """Whether the sds of the intercepts or slopes are more than too small to matter."""
    left = left_of(fit, factor)
    each = [[one for one in left if belongs(one.term, a)] for a in added]
    # a category has a slope for each of its columns: one of them is enough
    p = max((min((one.p_below for one in own), default=np.nan) for own in each), default=np.nan)
    verdicts = [{one.verdict_at(limit) for one in own} for own in each]
    if verdicts and all("yes" in own for own in verdicts):
        return "yes", p
    return ("no" if any(own == {"no"} for own in verdicts) else "undecided"), p


def left_of(fit: Fit, factor: str) -> list[Left]:
    """The sds of a factor beside their thresholds; none where the scale has no residual."""
    parts = fit._latent()
    if parts is None:
        return []
    every = remaining_variance(fit.design, fit.priors, fit.draws, parts.residual)
    return [one for one in every if one.factor == factor]


# --- the report -----------------------------------------------------------------------------------


def report(
    steps: dict[str, Step], factor: str, *, logo: bool, seed: int, ci_prob: float
) -> BuildUp:
    """The steps into the table and its sentences."""
    scores: Scores = {kind: {} for kind in ("loo", "logo")}
    done: dict[str, dict[str, tuple[Elpd | None, str]]] = {}
    for name, step in steps.items():
        if step.formula not in done:
            done[step.formula] = outside(step.fit, factor, logo=logo, seed=seed)
        for kind in scores:
            scores[kind][name] = done[step.formula][kind]
    rows = [row(step, steps, scores, factor, ci_prob=ci_prob) for step in steps.values()]
    made = BuildUp(
        rows,
        title=heading(f"Build-up in {factor}", "median", ci_prob),
        note=" ".join(notes(steps, scores, factor, logo=logo)),
    )
    made.steps = steps
    made.answer = Sentences(sentences=tuple(sentences(steps, scores, factor, ci_prob=ci_prob)))
    return made


def outside(fit: Fit, factor: str, *, logo: bool, seed: int) -> dict[str, tuple[Elpd | None, str]]:
    """One row, and one level, left out; Pareto k are told in the note, not warned of six times."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportanceWarning)
        return {
            "loo": attempt(fit.loo),
            "logo": attempt(lambda: fit.logo(factor, random_seed=seed)) if logo else (None, ""),
        }


type Scores = dict[str, dict[str, tuple[Elpd | None, str]]]


def row(
    step: Step, steps: dict[str, Step], scores: Scores, factor: str, *, ci_prob: float
) -> dict[str, Any]:
    """One step: what it adds, its verdict, its gain, what it explains."""
    found: dict[str, Any] = {
        "step": step.name,
        "formula": step.formula,
        "added": ", ".join(step.added),
        "verdict": step.verdict,
        "p": step.p,
    }
    for kind, by_step in scores.items():
        difference, se = gain(by_step, step)
        found |= {f"{kind}_difference": difference, f"{kind}_se": se}
    changes = changed(step, steps, factor)
    found |= {name: changes[name].estimate if name in changes else np.nan for name in CHANGES}
    return {**found, **marginal_r2(step.fit, ci_prob=ci_prob)}


def gain(by_step: dict[str, tuple[Elpd | None, str]], step: Step) -> tuple[float, float]:
    """The difference from the step before, with its paired standard error."""
    now = by_step[step.name][0]
    before = by_step[step.before][0] if step.before else None
    if now is None or before is None:
        return float("nan"), float("nan")
    each = now.pointwise - before.pointwise
    return float(each.sum()), float(np.sqrt(len(each) * each.var()))


def changed(step: Step, steps: dict[str, Step], factor: str) -> dict[str, Change]:
    """Shares of variance explained: of rows and groups since step 1, of slopes since step 5."""
    null = next(iter(steps.values()))
    found: dict[str, Change] = {}
    parts, null_parts = step.fit._latent(), null.fit._latent()
    if parts is None or null_parts is None or step is null:
        return found
    try:
        change = strata_change(step.fit.design, parts, null.fit.design, null_parts)
    except NotAvailableError:
        change = {}
    if change:
        found["explained_groups"] = change[factor]
        if step.fit.design.family.residual is not None:
            found["explained_rows"] = change["residual"]
    if step.number == 6 and steps[step.before].number == 5:
        own, before = (slope_variance(s.fit, factor) for s in (step, steps[step.before]))
        found["explained_slopes"] = change_of(own, before)
    return found


def marginal_r2(fit: Fit, *, ci_prob: float) -> dict[str, float]:
    """The share of the common effects, and its interval."""
    parts = fit._latent()
    if parts is None:
        return dict.fromkeys(("r2", "r2_lower", "r2_upper"), np.nan)
    marginal = explained_variance(fit.design, fit.draws, parts).marginal
    found = interval_columns("r2", summarise(marginal, ci_prob=ci_prob))
    return {name: float(value) for name, value in found.items()}


def slope_variance(fit: Fit, factor: str) -> Array:
    """The sum of the variances of the standardised slopes, (S,)."""
    return np.asarray(
        sum(np.square(one.sd) for one in left_of(fit, factor) if one.term != INTERCEPT)
    )


def notes(steps: dict[str, Step], scores: Scores, factor: str, *, logo: bool) -> list[str]:
    """What the columns are, and what cannot be said."""
    last = next(reversed(steps.values()))
    told = [
        "Differences of elpd are from the step before (steps 4 and 5 from the last without slopes)"
        ", with their standard error.",
        "p: of coefficients the share of draws farther out than zero; of intercepts and slopes the "
        "probability that their sd is less than a tenth of the residual one; yes: it is below the "
        "limit; no: it is 0.8 or more, by a Bayes factor of one over the limit; neither of "
        f"fewer than {FEW_LEVELS} levels.",
        *change_notes(steps, factor),
    ]
    if any(s.number in (4, 5, 6) for s in steps.values()):
        told.append("With slopes the variance of groups has no one value, so no share of it.")
    if last.fit.design.family.residual is None:
        told.append(
            "The variance of a row given its mean follows from the mean in this family: none of it "
            "is explained, and r2 is the share of the common effects on the scale of the link."
        )
    bad = {
        (kind, name): len(elpd.bad)
        for kind, by_step in scores.items()
        for name, (elpd, _) in by_step.items()
        if elpd is not None and elpd.bad
    }
    if bad:
        each = "; ".join(f"{kind.upper()} of {name}: {n}" for (kind, name), n in bad.items())
        told.append(f"Pareto k too high ({each}).")
    told += sorted({why for by in scores.values() for _, why in by.values() if why})
    return told


def change_notes(steps: dict[str, Step], factor: str) -> list[str]:
    """What the shares of variance explained are, and how far they are off by Monte Carlo."""
    errors = [c.error for step in steps.values() for c in changed(step, steps, factor).values()]
    if not errors:
        return []
    return [
        "explained: 1 - V / V of step 1, of the slopes of step 5, from the posterior medians of V; "
        "without an interval, because the draws of two fits are not paired (Monte Carlo error at "
        f"most {max(errors):.1g}). Negative where predictors bring out a difference that others "
        "had hidden."
    ]


def sentences(steps: dict[str, Step], scores: Scores, factor: str, *, ci_prob: float) -> list[str]:
    """The verdict of each step, and whether predictors of groups are still worth collecting."""
    told = [
        f"{step.name}: {verdict_words(step, steps, scores, factor, ci_prob=ci_prob)}"
        for step in steps.values()
    ]
    numbers = {s.number for s in steps.values()}
    if 4 in numbers and 5 not in numbers:
        told.append(
            f"5 slopes: none that surely differs between levels of {factor}, so that predictors of "
            "groups have no slope to explain."
        )
    last = next(reversed(steps.values()))
    best = last if last.number in (5, 6) or 4 not in numbers else steps[last.before]
    told.append(last_words(best, ci_prob=ci_prob))
    told += [f"What is left: {one.sentence}" for one in left_of(best.fit, factor)]
    return told


def verdict_words(
    step: Step, steps: dict[str, Step], scores: Scores, factor: str, *, ci_prob: float
) -> str:
    """What a step found, and what it is worth for prediction."""
    worth = gains_words(step, scores, factor)
    if step.number == 1:
        return f"{share_words(step, factor, ci_prob=ci_prob)}{worth}"
    same = [s.name for s in steps.values() if s.formula == step.formula and s is not step]
    if step.number == 5 and same:
        return f"that of {listed(step.added)} alone, as before."
    if step.number in (4, 5):
        what = "slopes" if len(step.added) > 1 else "slope"
        names = listed(step.added)
        how = {
            "yes": f"the {what} of {names} differ{'s' if what == 'slope' else ''} between levels "
            f"of {factor}",
            "no": f"the slope of {names} is the same in all levels of {factor}, or nearly",
            "undecided": f"whether the slope of {names} differs between levels of {factor} the "
            "data do not decide",
        }[step.verdict]
        return (
            f"{how} (probability of an sd too small to matter {probability_words(step.p)}){worth}"
        )
    each = ", ".join(coefficient_words(step.fit, a, ci_prob=ci_prob) for a in step.added)
    how = "beyond chance" if step.verdict == "yes" else "not told from zero"
    joint = "" if len(step.added) == 1 else " together"
    return f"{each};{joint} {how} (probability {probability_words(step.p)}){worth}"


def last_words(step: Step, *, ci_prob: float) -> str:
    """Each coefficient where the build-up ends, given all others."""
    each = [
        f"{coefficient_words(step.fit, t, ci_prob=ci_prob)} "
        f"(probability {probability_words(share_beyond_zero(coefficients(step.fit, (t,))))})"
        for t in step.fit.design.terms
    ]
    return f"All together, in {step.formula}: {', '.join(each) or 'no predictors'}."


def probability_words(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}"


def share_words(step: Step, factor: str, *, ci_prob: float) -> str:
    """The intraclass correlation of the null model."""
    parts = step.fit._latent()
    if parts is None:
        return f"intercepts of {factor}"
    found = summarise(parts.factor(factor) / parts.total, ci_prob=ci_prob)
    icc = format_interval(float(found.estimate), float(found.lower), float(found.upper))
    how = {"yes": "groups differ", "no": "groups hardly differ"}.get(
        step.verdict, "whether groups differ is open"
    )
    scale = "" if step.fit.design.family.link == "identity" else ", latent scale"
    return f"{how}: intraclass correlation {icc}{scale}"


def coefficient_words(fit: Fit, added: str, *, ci_prob: float) -> str:
    """``hours 0.27 [0.05, 0.49]``, of each column of the predictor."""
    terms = [t for t in fit.design.terms if belongs(t, added)]
    values = coefficients(fit, (added,))
    found = summarise(values, ci_prob=ci_prob)
    return ", ".join(
        f"{t} {format_interval(float(e), float(a), float(b))}"
        for t, e, a, b in zip(terms, found.estimate, found.lower, found.upper, strict=True)
    )


def gains_words(step: Step, scores: Scores, factor: str) -> str:
    """How much better rows and levels that are left out are predicted."""
    told = []
    for kind, what in (("loo", "row"), ("logo", f"level of {factor}")):
        difference, se = gain(scores[kind], step)
        if np.isfinite(difference):
            told.append(
                f"{kind.upper()} of a {what} {'+' if difference >= 0 else ''}"
                f"{with_error(difference, se)}"
            )
    return f". {', '.join(told)}." if told else "."
