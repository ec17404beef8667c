"""Complete, no and partial pooling side by side: estimates, scores, and the answer in sentences.

Nothing is fitted here: draws of the three fits go in, and what statsmodels says of two of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from hiermodels.columns import Columns
from hiermodels.design import Block, Design
from hiermodels.errors import ImportanceWarning, NotAvailableError, counted
from hiermodels.fitting import Model
from hiermodels.labels.sentences import Sentences, listed
from hiermodels.labels.tables import heading, interval_columns, level_rows, with_dashes
from hiermodels.numbers import comparison
from hiermodels.numbers.comparison import Elpd
from hiermodels.numbers.draws import POINT, Interval, summarise
from hiermodels.numbers.held_out import integrated_groups
from hiermodels.printing import Table, format_number
from hiermodels.workflows.fixed_effects import FixedEffects

if TYPE_CHECKING:
    from hiermodels.pictures.groups import Panels
    from hiermodels.results import Fit

__all__ = [
    "Outside",
    "Pooling",
    "Scores",
    "answer",
    "outside_scores",
    "pooling_table",
    "scores_table",
]

type Array = np.ndarray

#: The three, in the order of the columns; statsmodels has the first two.
KINDS = ("complete", "no", "partial")
FIXED = ("complete", "no")
#: Differences of elpd that are within so many standard errors, or smaller than this, say nothing.
CLEAR, SMALL = 2.0, 4.0
#: Levels that are worth a fit of complete pooling without each.
REFITS = 40
#: Draws of each chain of such a fit: a mean over them has an error far below that of the score.
REFIT_DRAWS = 500


class Pooling(Table):
    """The table of `hm.pooling`: a row for each level and term, the three estimates beside it.

    ``scores`` is the table of what is left out, ``answer`` the sentences on the fixed-effect fit,
    ``fits`` the three fits by ``"complete"``, ``"no"``, ``"partial"``; ``plot()`` is its picture.
    A part of the table, as ``pooled[pooled["term"] == "x"]``, is a plain `Table`.
    """

    _metadata: ClassVar[list[str]] = [
        "title",
        "note",
        "scores",
        "answer",
        "fits",
        "point",
        "ci_prob",
    ]
    scores: Scores
    answer: Sentences
    fits: dict[str, Fit]
    point: str
    ci_prob: float

    def cells(
        self, *, max_rows: int, repeat_keys: bool = False
    ) -> tuple[tuple[str, ...], list[list[str]]]:
        """Header and rows as text: intervals in brackets, standard errors in parentheses."""
        hidden = [c for c in self.columns if c.endswith(("_sd", "_se"))]
        shown = Table(pd.DataFrame(self).drop(columns=hidden))
        head, rows = shown.cells(max_rows=max_rows, repeat_keys=repeat_keys)
        for name in (f"{kind}_ml" for kind in FIXED):
            if name not in head:
                continue
            at = head.index(name)
            pairs = zip(rows, self[name], self[f"{name}_se"], strict=False)
            for row, estimate, se in pairs:
                if row[at]:
                    row[at] = with_error(estimate, se)
        return head, rows

    def plot(self, *, term: str | None = None, ax: Any = None) -> Panels:
        """No, partial and complete pooling of each level, with their intervals; a panel a term."""
        from hiermodels.pictures.pooling import draw_pooled

        return draw_pooled(self, term=term, point=self.point, ci_prob=self.ci_prob, ax=ax)

    def text(self, *, max_rows: int = 60) -> str:
        """For a terminal: the estimates, the scores, and the answer."""
        return "\n\n".join([super().text(max_rows=max_rows), self.scores.text(), str(self.answer)])

    def markdown(self) -> str:
        return "\n\n".join([super().markdown(), self.scores.markdown(), self.answer.markdown()])

    def _repr_html_(self) -> str:
        return super()._repr_html_() + self.scores._repr_html_() + self.answer._repr_html_()


def with_error(estimate: float, se: float) -> str:
    """``0.24 (0.05)``: two digits of the standard error decide."""
    if not (np.isfinite(estimate) and np.isfinite(se) and se > 0):
        return format_number(float(estimate))
    digits = int(np.clip(1 - np.floor(np.log10(se)), 0, 8))
    return f"{estimate:.{digits}f} ({se:.{digits}f})"


class Scores(Table):
    """How well each predicts what is left out. Made by `scores_table`."""

    def cells(
        self, *, max_rows: int, repeat_keys: bool = False
    ) -> tuple[tuple[str, ...], list[list[str]]]:
        """Sums with their standard errors in parentheses; why there is none, in words."""
        names = ("loo", "loo_difference", "logo", "logo_difference")
        plain = pd.DataFrame(self).drop(columns=[*(f"{n}_se" for n in names), "logo_why"])
        head, rows = Table(plain).cells(max_rows=max_rows, repeat_keys=repeat_keys)
        for name in names:
            at = head.index(name)
            for k, row in enumerate(rows):
                row[at] = with_error(self[name].iloc[k], self[f"{name}_se"].iloc[k])
        for k, row in enumerate(rows):
            row[head.index("logo")] = self["logo_why"].iloc[k] or row[head.index("logo")]
        return head, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What one fit says of what it has not seen. Made by `outside_scores`.

    ``loo`` or ``logo`` is None where there is no such number; ``why`` then has the reason.
    ``columns`` is the rank of the common columns: the degrees of freedom of a fixed-effect fit;
    ``effective`` the number of parameters by which the rows are predicted better than when each is
    left out.
    """

    columns: int
    effective: float
    loo: Elpd | None
    logo: Elpd | None
    why: tuple[str, str]


def outside_scores(kind: str, fit: Fit, block: Block, *, seed: int) -> Outside:
    """One row, and one level of the factor, left out of one of the three fits.

    Pareto k too high are counted in the table, and not warned of three times.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportanceWarning)
        loo, no_loo = attempt(lambda: row_score(kind, fit))
        if kind == "no":
            logo, no_logo = None, f"says nothing of a new level of {block.name}"
        else:
            logo, no_logo = attempt(lambda: group_score(kind, fit, block, seed=seed))
        effective = np.nan if loo is None else within_sample(fit) - loo.elpd
    return Outside(
        columns=rank(fit), effective=effective, loo=loo, logo=logo, why=(no_loo, no_logo)
    )


def within_sample(fit: Fit) -> float:
    """The log density of the rows that were fitted, ``sum_i log mean_s p(y_i | theta_s)``."""
    values = fit.log_likelihood().to_numpy().reshape(-1, fit.design.n)
    return float((logsumexp(values, axis=0) - np.log(len(values))).sum())


def attempt(score: Callable[[], Elpd]) -> tuple[Elpd | None, str]:
    try:
        return score(), ""
    except NotAvailableError as error:
        return None, str(error)


def row_score(kind: str, fit: Fit) -> Elpd:
    if kind == "partial":
        return fit.loo()
    return comparison.leave_out(
        comparison.fixed_rows(fit.design, fit.draws, fit.priors),
        labels=list(fit.design.index),
        unit="row",
        method="LOO",
        chains=fit.idata["posterior"].sizes["chain"],
    )


def group_score(kind: str, fit: Fit, block: Block, *, seed: int) -> Elpd:
    if kind == "partial":
        return fit.logo(block.name, random_seed=seed)
    own = any(b.name == block.name for extra in fit.design.extras.values() for b in extra.blocks)
    values = (
        integrated_groups(fit.design, fit.draws, block.name, seed=seed)
        if own
        else comparison.fixed_groups(fit.design, fit.draws, fit.priors, block)
    )
    whole = len(values) == fit.draws.n
    found = comparison.leave_out(
        values,
        labels=block.levels,
        unit=block.name,
        method="LOGO",
        chains=fit.idata["posterior"].sizes["chain"] if whole else 1,
    )
    slow = fit.idata["posterior"].attrs["engine"] == "pymc" or len(found.bad) > REFITS
    if slow or any(extra.blocks for extra in fit.design.extras.values()):
        return found
    return refitted(found, fit, block, seed=seed)


def refitted(found: Elpd, fit: Fit, block: Block, *, seed: int) -> Elpd:
    """Levels with a Pareto k too high are left out in earnest, of a fit without groups.

    Such a fit takes a moment, and leans on every level: without one its posterior is often another,
    which no weights reach. With ``l = log p(y_j | theta)``, on the path of posteriors that raise
    the density of the level to the power t, from without (0) to with it (1),

        log p(y_j | y_-j) = int_0^1 E_t[l] dt = (E_0[l] + E_1[l]) / 2 + (Var_0[l] - Var_1[l]) / 12

    by Hermite's rule, for the variance is the slope of the mean.

    Source: Gelman & Meng 1998, Statistical Science 13, for the path.
    """
    pointwise, pareto_k = found.pointwise.copy(), found.pareto_k.copy()
    for j in np.flatnonzero(found.pareto_k > found.good_k):
        rest = Model.of(some_rows(fit.design, block.index != j), fit.priors)
        without = rest.fit(draws=REFIT_DRAWS, random_seed=seed, progressbar=False)
        out = some_rows(fit.design, block.index == j)
        ends = [
            comparison.log_likelihood(out, draws).sum(axis=1)
            for draws in (without.draws, fit.draws)
        ]
        mean, variance = [v.mean() for v in ends], [v.var() for v in ends]
        pointwise[j] = sum(mean) / 2 + (variance[0] - variance[1]) / 12
        pareto_k[j] = -np.inf
    return replace(found, pointwise=pointwise, pareto_k=pareto_k)


def some_rows(design: Design, kept: Array) -> Design:
    """Some rows of a design without groups, its columns standardised as they were."""

    def of(values: Array | None) -> Array | None:
        return None if values is None else values[kept]

    def columns(common: Columns) -> Columns:
        return replace(common, values=common.values[kept])

    return replace(
        design,
        response=design.response[kept],
        offset=design.offset[kept],
        common=columns(design.common),
        weights=of(design.weights),
        se=of(design.se),
        trials=of(design.trials),
        rows=replace(design.rows, frame=design.rows.frame.loc[kept]),
        extras={
            name: replace(extra, offset=extra.offset[kept], common=columns(extra.common))
            for name, extra in design.extras.items()
        },
    )


def rank(fit: Fit) -> int:
    """Independent common columns; thresholds have the place of an intercept."""
    columns = fit.design.common.standardised
    if fit.design.intercept or fit.design.n_thresholds:
        columns = np.column_stack([np.ones(len(columns)), columns])
    return int(np.linalg.matrix_rank(columns)) if columns.size else 0


# --- tables ---------------------------------------------------------------------------------------


def scores_table(found: Mapping[str, Outside], block: Block) -> Scores:
    """A row for each of the three; differences are from partial pooling."""
    best = found["partial"]
    columns: dict[str, list[Any]] = {
        "pooling": list(found),
        "coefficients": [o.columns if k in FIXED else None for k, o in found.items()],
        "effective": [o.effective for o in found.values()],
    }
    for name in ("loo", "logo"):
        own = [getattr(o, name) for o in found.values()]
        gaps = [difference(e, getattr(best, name)) for e in own]
        columns[name] = [np.nan if e is None else e.elpd for e in own]
        columns[f"{name}_se"] = [np.nan if e is None else e.se for e in own]
        columns[f"{name}_difference"] = [gap for gap, _ in gaps]
        columns[f"{name}_difference_se"] = [se for _, se in gaps]
        columns[f"{name}_k"] = [None if e is None else f"{len(e.bad)}" for e in own]
    columns["coefficients"] = ["" if v is None else str(v) for v in columns["coefficients"]]
    columns |= {k: [v or "–" for v in columns[k]] for k in ("loo_k", "logo_k")}
    # a reason of more than a few words goes into the note
    reasons = {k: o.why[1] for k, o in found.items()}
    columns["logo_why"] = [r if k == "no" else ("–" if r else "") for k, r in reasons.items()]
    told = [f"No LOGO of {k}: {r}" for k, r in reasons.items() if r and k != "no"]
    told += [f"No LOO of {k}: {o.why[0]}" for k, o in found.items() if o.why[0]]
    return Scores(
        columns,
        title=f"Left out: one row (loo), one level of {block.name} (logo); "
        "log density (standard error)",
        note=" ".join(
            [
                "difference: from partial pooling. effective: number of parameters, by loo. "
                "_k: how many Pareto k are too high; their part is not to be relied on.",
                *told,
            ]
        ),
    )


def difference(one: Elpd | None, other: Elpd | None) -> tuple[float, float]:
    """The sum of the paired differences and its standard error."""
    if one is None or other is None or one is other or one.labels != other.labels:
        return np.nan, np.nan
    return total(one.pointwise - other.pointwise)


def total(gap: Array) -> tuple[float, float]:
    """A sum and its standard error."""
    return float(gap.sum()), float(np.sqrt(len(gap) * gap.var()))


def pooling_table(
    block: Block,
    found: Mapping[str, Mapping[str, Array]],
    fixed: Mapping[str, Mapping[str, FixedEffects]],
    *,
    notes: tuple[str, ...],
    point: str = POINT,
    ci_prob: float,
) -> Pooling:
    """A row for each level and term of the block, then one for each other common effect."""
    others = [t for t, values in found["partial"].items() if t not in block.terms]
    rows = level_rows(block, block.terms)
    columns: dict[str, Any] = {
        "group": rows["group"] + ["common"] * len(others),
        "level": rows["level"] + [""] * len(others),
        "term": rows["term"] + others,
        "n": [*np.repeat(block.counts, len(block.terms)), *[int(block.counts.sum())] * len(others)],
    }
    for kind in KINDS:
        intervals = aligned(found[kind], block, others, point=point, ci_prob=ci_prob)
        columns |= with_sd(kind, intervals)
        if kind in fixed:
            columns |= beside(f"{kind}_ml", fixed[kind], block, others)
    told = "complete: one for all; no: each level by itself; partial: hierarchical."
    table = Pooling(
        columns,
        title=heading(f"Pooling of {block.name}", point, ci_prob),
        note=" ".join([told, *notes]),
    )
    return with_dashes(table)


def with_sd(kind: str, found: Interval) -> dict[str, Array]:
    columns = interval_columns(kind, found)
    return {kind: columns.pop(kind), f"{kind}_sd": found.sd, **columns}


def aligned(
    values: Mapping[str, Array],
    block: Block,
    others: list[str],
    *,
    point: str = POINT,
    ci_prob: float,
) -> Interval:
    """Summaries in the order of the rows; a coefficient that a fit does not have is missing."""
    n = len(next(iter(values.values())))
    own = [values.get(t, np.full((n, block.n_levels), np.nan)) for t in block.terms]
    rest = [values.get(t, np.full(n, np.nan))[:, None] for t in others]
    draws = np.hstack([np.stack(own, axis=2).reshape(n, -1), *rest])
    return summarise(draws, point=point, ci_prob=ci_prob)


def beside(
    name: str, found: Mapping[str, FixedEffects], block: Block, others: list[str]
) -> dict[str, Array]:
    """The figures of statsmodels in the order of the rows, (J,) or one for all of each term."""

    def in_rows(part: str) -> Array:
        def of(term: str, size: int) -> Array:
            if term not in found:
                return np.full(size, np.nan)
            return np.broadcast_to(getattr(found[term], part), size)

        own = np.stack([of(t, block.n_levels) for t in block.terms], axis=1).ravel()
        return np.concatenate([own, *(of(t, 1) for t in others)])

    return {name: in_rows("estimate"), f"{name}_se": in_rows("se")}


# --- the answer -----------------------------------------------------------------------------------


def answer(
    table: Pooling, scores: Mapping[str, Outside], block: Block, *, dropped: tuple[str, ...]
) -> Sentences:
    """Why not use the factor as a fixed effect? With the numbers of these data."""
    return Sentences(
        sentences=tuple(
            [
                f"Why not use {block.name} as a fixed effect?",
                spent(scores, block),
                *([] if dropped else widths(table, block)),
                rows_words(scores),
                groups_words(scores, block),
                *(
                    [
                        f"Constant within {block.name}, and not estimable beside it as a fixed "
                        f"effect: {', '.join(dropped)}. The levels without pooling hold what it "
                        "explains, those of partial pooling do not: their widths are not compared."
                    ]
                    if dropped
                    else []
                ),
            ]
        )
    )


def spent(scores: Mapping[str, Outside], block: Block) -> str:
    """Numbers of parameters, of the three by one count: within minus left out (`Outside`)."""
    no, complete = scores["no"], scores["complete"]
    told = (
        f"As a fixed effect its {block.n_levels} levels make {no.columns} coefficients where "
        f"complete pooling has {complete.columns}; there are {int(block.counts.sum())} rows."
    )
    if any(s.loo is None for s in scores.values()):
        return told
    each = [f"{s.effective:.1f} with {kind} pooling" for kind, s in scores.items()]
    return f"{told} Effective numbers of parameters, all by loo: {listed(each)}."


def widths(table: Pooling, block: Block) -> list[str]:
    """The intervals of the levels: their mean width, and the level that gains most."""
    told = []
    frame = pd.DataFrame(table[table["group"] == block.name])
    for term in block.terms:
        rows = frame[frame["term"] == term]
        no = (rows["no_upper"] - rows["no_lower"]).to_numpy(dtype=float)
        partial = (rows["partial_upper"] - rows["partial_lower"]).to_numpy(dtype=float)
        k = int(np.argmax(no))
        told.append(
            f"The {100 * table.ci_prob:g} % intervals of {term} of each level of {block.name} are "
            f"on average {no.mean():.3g} wide with no pooling, {partial.mean():.3g} with partial; "
            f"the widest, {block.name} {rows['level'].iloc[k]} with {rows['n'].iloc[k]} rows, "
            f"{no[k]:.3g} and {partial[k]:.3g}."
        )
    return told


def rows_words(scores: Mapping[str, Outside]) -> str:
    """A row left out: partial against no pooling."""
    no, partial = scores["no"].loo, scores["partial"].loo
    if no is None or partial is None:
        return "There is no score of rows left out."
    return f"A new row of a known level: {verdict(partial, no, 'no pooling')}"


def verdict(partial: Elpd, other: Elpd, name: str) -> str:
    """Which predicts better, if that can be told."""
    gap, se = difference(partial, other)
    number = f"{gap:+.1f} in log density, standard error {se:.1f}"
    bad = set(partial.bad) | set(other.bad)
    if bad:
        kept = np.array([label not in bad for label in partial.labels])
        if kept.sum() < 2:
            return (
                f"partial pooling and {name} are not compared ({number}): Pareto k is too high for "
                f"{len(bad)} of {len(kept)}."
            )
        rest, rest_se = total(partial.pointwise[kept] - other.pointwise[kept])
        units = counted(len(bad), "row" if partial.unit == "row" else "level")
        number += (
            f"; Pareto k is too high for {units}: without {'them' if len(bad) > 1 else 'it'} "
            f"{rest:+.1f}, standard error {rest_se:.1f}"
        )
        if abs(rest) < abs(gap) or rest * gap < 0:
            gap, se = rest, rest_se
    if abs(gap) < SMALL or abs(gap) < CLEAR * se:
        return f"partial pooling and {name} cannot be told apart ({number})."
    better = "better" if gap > 0 else "worse"
    return f"partial pooling predicts it {better} than {name} ({number})."


def groups_words(scores: Mapping[str, Outside], block: Block) -> str:
    """A level left out: partial against complete pooling."""
    complete, partial = scores["complete"].logo, scores["partial"].logo
    start = f"A new level of {block.name}: no pooling says nothing of it"
    if complete is None or partial is None:
        return f"{start}."
    return f"{start}; {verdict(partial, complete, 'complete pooling')}"
