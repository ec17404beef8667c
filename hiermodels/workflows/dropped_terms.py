"""What each term of a model is worth: the model fitted without it, and its coefficient.

    worth = elpd(with it) - elpd(without it),    se = sqrt(n var_i(difference of unit i))

of one row left out (LOO) and of one level left out with all its rows (LOGO); and how much of the
coefficient's posterior lies where it has no practical importance, P(|beta| < rope), of an sd of
group effects P(sd < rope). Which terms can be left out: `submodels`.

The likelihood-ratio table is another thing, for those who are asked for one: 2 (l - l_without) of
maxima of the likelihood without priors, against a chi-squared distribution.

Source: Vehtari, Gelman & Gabry 2017, Stat. Comput. 27; Kruschke 2018, Adv. Meth. Pract. Psychol.
Sci. 1(2), for the region of practical equivalence and its tenth of an sd.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from hiermodels.design import Block, Design, coarser
from hiermodels.errors import DataError, ImportanceWarning, NotAvailableError, UnknownNameError
from hiermodels.fitting import Model
from hiermodels.maximum_likelihood import Maximum, maximise
from hiermodels.numbers import comparison
from hiermodels.numbers.comparison import Elpd
from hiermodels.numbers.draws import POINT, Draws, point_words, summarise
from hiermodels.printing import Table
from hiermodels.progress import tell
from hiermodels.submodels import Drop, droppable, without
from hiermodels.workflows.pooling_report import group_score, total, with_error
from hiermodels.workflows.refits import fit_again

if TYPE_CHECKING:
    from hiermodels.results import Fit

__all__ = ["ROPE", "DroppedTerms", "drop_terms", "likelihood_ratios"]

type Array = np.ndarray

#: The default region of practical equivalence: a tenth of the sd of the response or, on a link, of
#: the latent error that it stands for; on a log link a tenth, a ratio of 0.9 to 1.1.
ROPE = 0.1
LATENT_SD = {"logit": np.pi / np.sqrt(3), "probit": 1.0, "cloglog": np.pi / np.sqrt(6), "log": 1.0}
#: Differences of elpd smaller than this say nothing (Sivula et al. 2025).
SMALL = 4.0


class DroppedTerms(Table):
    """The table of ``fit.drop_terms()``: a row for each coefficient of each term.

    ``fits`` are the fits without each term, ``likelihood_ratio`` the other table, or None.
    """

    _metadata: ClassVar[list[str]] = ["title", "note", "fits", "likelihood_ratio"]
    fits: dict[str, Fit]
    likelihood_ratio: Table | None

    def cells(
        self, *, max_rows: int, repeat_keys: bool = False
    ) -> tuple[tuple[str, ...], list[list[str]]]:
        """Differences with their standard errors in parentheses, once for each term."""
        scores = [name for name in self.columns if f"{name}_se" in self.columns]
        plain = pd.DataFrame(self).drop(columns=[f"{name}_se" for name in scores])
        head, rows = Table(plain).cells(max_rows=max_rows, repeat_keys=True)
        again = [False, *(self["term"].iloc[1:].to_numpy() == self["term"].iloc[:-1].to_numpy())]
        for k, (row, same) in enumerate(zip(rows[: len(self)], again, strict=False)):
            for name in scores:
                text = with_error(self[name].iloc[k], self[f"{name}_se"].iloc[k])
                row[head.index(name)] = "" if same else text
            if same and not repeat_keys:
                row[head.index("term")] = ""
        return head, rows

    def text(self, *, max_rows: int = 60) -> str:
        """For a terminal."""
        return "\n\n".join([super().text(max_rows=max_rows), *(t.text() for t in self.beside())])

    def markdown(self) -> str:
        return "\n\n".join([super().markdown(), *(t.markdown() for t in self.beside())])

    def _repr_html_(self) -> str:
        return super()._repr_html_() + "".join(t._repr_html_() for t in self.beside())

    def beside(self) -> list[Table]:
        table = getattr(self, "likelihood_ratio", None)
        return [] if table is None else [table]


def drop_terms(
    fit: Fit,
    group: str | None = None,
    *,
    rope: float | Mapping[str, float] | None = None,
    likelihood_ratio: bool = False,
    point: str = POINT,
    ci_prob: float,
    seed: int,
    progressbar: bool = True,
) -> DroppedTerms:
    """See `Fit.drop_terms`."""
    words = point_words(point)
    drops = droppable(fit.design)
    if not drops:
        raise DataError(f"{fit.design.formula} has no term that can be left out")
    widths = Rope.of(fit.design, rope)
    widths.check([name for drop in drops for name in (drop.label, *drop.columns)])
    blocks = held_out_factors(fit.design, group)
    rows: list[dict[str, Any]] = []
    fits: dict[str, Fit] = {}
    smaller: list[tuple[Drop, Model]] = []
    notes = Notes()
    whole = Scores.of_whole(fit, blocks, seed=seed, notes=notes)
    for k, drop in enumerate(drops):
        model = Model.of(*without(fit.design, fit.priors, drop))
        smaller.append((drop, model))
        tell(f"Fitting without {drop.label} ({k + 1} of {len(drops)}).", progressbar=progressbar)
        less = fits[drop.label] = fit_again(model, fit)
        own = Scores.of_part(less, fit, blocks, seed=seed, notes=notes, label=drop.label)
        worth = whole.less(own)
        rows += [
            {**row, **worth}
            for row in coefficient_rows(fit, drop, widths, point=point, ci_prob=ci_prob)
        ]
    made = DroppedTerms(
        pd.DataFrame(rows),
        title=(
            "What each term is worth: elpd with it less elpd without it (standard error), and its "
            f"coefficient ({words}, {100 * ci_prob:g} % interval)"
        ),
        note=" ".join([*explained(fit.design, blocks, widths), *notes.sentences()]),
    )
    made.fits = fits
    made.likelihood_ratio = (
        likelihood_ratios(Model.of(fit.design, fit.priors), smaller) if likelihood_ratio else None
    )
    return made


def held_out_factors(design: Design, group: str | None) -> tuple[Block, ...]:
    """The factors of LOGO: the named one, or the finest of nested ones, and each crossed one."""
    if group is not None or len(design.blocks) == 1:
        return (design.block(group),)
    within = {outer.name for block in design.blocks for outer in coarser(design, block)}
    return tuple(block for block in design.blocks if block.name not in within)


def logo_columns(blocks: Sequence[Block]) -> dict[str, Block]:
    """The columns of LOGO; of several factors each has its own."""
    if len(blocks) == 1:
        return {"logo": blocks[0]}
    return {f"logo[{block.name}]": block for block in blocks}


# --- what is left out of rows and levels ----------------------------------------------------------


class Notes:
    """What the note of the table has to say of the scores; lives for one table."""

    def __init__(self) -> None:
        self.unsure: list[str] = []
        self.missing: dict[str, list[str]] = {}
        self.refitted = 0

    def scored(self, method: str, label: str, found: Elpd) -> None:
        self.refitted += len(found.refitted)
        if found.bad:
            self.unsure.append(f"{method} {label}: {len(found.bad)} of {len(found.labels)}")

    def sentences(self) -> Iterator[str]:
        if self.refitted:
            several = "1 fit" if self.refitted == 1 else f"{self.refitted} fits"
            yield f"logo: {several} without a level whose Pareto k was too high."
        if self.unsure:
            yield f"Pareto k too high, their part is uncertain: {'; '.join(self.unsure)}."
        for reason, labels in self.missing.items():
            yield f"{', '.join(labels)}: {reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """LOO and LOGO of one fit by the column of the table; None where there is none."""

    by_column: dict[str, Elpd | None]

    @classmethod
    def of_whole(cls, fit: Fit, blocks: Sequence[Block], *, seed: int, notes: Notes) -> Scores:
        """Of the fit with all terms."""
        found = {"loo": attempt("loo", "with all", fit.loo, notes)}
        for name, block in logo_columns(blocks).items():
            score = partial(fit.logo, block.name, random_seed=seed)
            found[name] = attempt(name, "with all", score, notes)
        return cls(by_column=found)

    @classmethod
    def of_part(
        cls,
        less: Fit,
        fit: Fit,
        blocks: Sequence[Block],
        *,
        seed: int,
        notes: Notes,
        label: str,
    ) -> Scores:
        """Of a fit without a term."""
        told = f"without {label}"
        found = {"loo": attempt("loo", told, less.loo, notes)}
        for name, block in logo_columns(blocks).items():
            score = partial(level_score, less, fit, block, seed=seed)
            found[name] = attempt(name, told, score, notes)
        return cls(by_column=found)

    def less(self, other: Scores) -> dict[str, float]:
        """The differences and their standard errors, by column."""
        found: dict[str, float] = {}
        for name, one in self.by_column.items():
            two = other.by_column[name]
            gap = (np.nan, np.nan)
            if one is not None and two is not None:
                gap = total(one.pointwise - two.pointwise)
            found |= {name: gap[0], f"{name}_se": gap[1]}
        return found


def attempt(method: str, label: str, score: Any, notes: Notes) -> Elpd | None:
    """A score, or None with the reason in the notes; Pareto k too high are told there as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportanceWarning)
        try:
            found: Elpd = score()
        except NotAvailableError as error:
            notes.missing.setdefault(str(error).rstrip("."), []).append(f"{method} {label}")
            return None
    notes.scored(method, label, found)
    return found


def level_score(less: Fit, fit: Fit, block: Block, *, seed: int) -> Elpd:
    """Levels left out of a fit that may no longer have effects of them."""
    if block.name in less.design.factors:
        return less.logo(block.name, random_seed=seed)
    if not less.design.blocks:
        return group_score("complete", less, block, seed=seed)
    if comparison.not_exact(fit.design, fit.priors):
        values = comparison.fixed_groups(less.design, less.draws, less.priors, block)
    else:
        draws = comparison.thinned_for_groups(fit.design, no_effects(less.draws, block))
        values = comparison.held_out_groups(fit.design, draws, fit.priors, block)
    return comparison.leave_out(
        values, labels=block.levels, unit=block.name, method="LOGO", chains=1
    )


def no_effects(draws: Draws, block: Block) -> Draws:
    """Draws of a model without a factor as those of one in which its sds are zero."""
    q = len(block.terms)
    unit = np.broadcast_to(np.eye(q), (draws.n, q, q))
    return replace(
        draws,
        sd={**draws.sd, block.name: np.zeros((draws.n, q))},
        cor={**draws.cor, block.name: unit},
    )


# --- the coefficients -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """Half the width of the region of practical equivalence.

    ``unit`` is that on the linear predictor for one sd of a numeric column, or for a category;
    ``given`` those of single terms, in the unit of their coefficients; ``reason`` says where the
    default is from.
    """

    unit: float
    given: Mapping[str, float]
    reason: str

    @classmethod
    def of(cls, design: Design, rope: float | Mapping[str, float] | None) -> Rope:
        given = dict(rope) if isinstance(rope, Mapping) else {}
        chosen = rope is not None and not isinstance(rope, Mapping)
        unit = float(rope) if chosen else default_rope(design)  # type: ignore[arg-type]
        for value in (unit, *given.values()):
            if not (np.isfinite(value) and value > 0):
                raise DataError(f"rope={value:g}: half the width of a region is above 0")
        return cls(unit=unit, given=given, reason="" if chosen else reason(design))

    def check(self, names: list[str]) -> None:
        for name in self.given:
            if name not in names:
                raise UnknownNameError(
                    f"rope: no term {name!r} that can be left out. Terms: "
                    f"{', '.join(dict.fromkeys(names))}"
                )

    def words(self) -> str:
        """What the region is on the linear predictor."""
        own = f"; of {', '.join(self.given)} as given" if self.given else ""
        return f"then moves the linear predictor by less than {self.unit:.3g}{self.reason}{own}"

    def width(self, drop: Drop, column: str, scale: float) -> float:
        names = [drop.label] if drop.factor else [column, drop.label]
        return next((float(self.given[n]) for n in names if n in self.given), self.unit / scale)


def default_rope(design: Design) -> float:
    """A tenth of the sd of the response, or of what a link stands for."""
    if design.family.link in LATENT_SD:
        return ROPE * LATENT_SD[design.family.link]
    _, scale = design.family.location_scale(design.response, design.offset, design.trials)
    return ROPE * float(scale)


def reason(design: Design) -> str:
    """Where the default is from, in words."""
    link = design.family.link
    if link == "log":
        return ", a ratio of 0.9 to 1.1"
    if link in LATENT_SD:
        return f", a tenth of the sd that a {link} link stands for"
    return f", a tenth of the sd of {design.response_name}"


def coefficient_rows(
    fit: Fit, drop: Drop, widths: Rope, *, point: str = POINT, ci_prob: float
) -> Iterator[dict[str, Any]]:
    """A row for each column that the term has."""
    for column in drop.columns:
        name, values, scale = coefficient(fit, drop, column)
        width = widths.width(drop, column, scale)
        found = summarise(values, point=point, ci_prob=ci_prob)
        yield {
            "term": drop.label,
            "coefficient": name,
            "estimate": float(found.estimate),
            "lower": float(found.lower),
            "upper": float(found.upper),
            "rope": width,
            "P(in rope)": float((np.abs(values) < width).mean()),
        }


def coefficient(fit: Fit, drop: Drop, column: str) -> tuple[str, Array, float]:
    """Its name, draws (S,), and the scale of its column."""
    if not drop.factor:
        k = fit.design.terms.index(column)
        return column, fit.draws.beta[:, k], float(fit.design.common.scale[k])
    block = fit.design.block(drop.factor)
    k = block.terms.index(column)
    name = f"sd_{block.name}[{column}]"
    return name, fit.draws.sd[block.name][:, k], float(block.columns.scale[k])


def explained(design: Design, blocks: Sequence[Block], widths: Rope) -> Iterator[str]:
    """How to read the table."""
    levels = "".join(
        f"; {name}: one level of {block.name} with all its rows"
        for name, block in logo_columns(blocks).items()
    )
    yield (
        f"loo: one row left out{levels}. Positive: the term helps to predict what is left out; "
        f"below {SMALL:g} a difference is small, and its standard error not to be relied on."
    )
    yield (
        "P(in rope): probability that the coefficient is nearer to zero than rope, where it has no "
        f"practical importance. One sd of a numeric column, or one category, {widths.words()}."
    )
    if outer := [name for name in design.factors if name not in {b.name for b in blocks}]:
        named = " or ".join(f"drop_terms({name!r})" for name in outer)
        yield f"To leave out others: {named}."
    if design.extras:
        yield f"Terms of the mean alone; those of {', '.join(design.extras)} stay."


# --- likelihood ratios ----------------------------------------------------------------------------


class LikelihoodRatios(Table):
    """A row for each term. Made by `likelihood_ratios`."""

    @staticmethod
    def column_text(frame: pd.DataFrame, name: str, lower: str, upper: str) -> list[str]:
        """Two decimals where differences between rows are what is read."""
        if name in ("log_likelihood", "AIC"):
            return [f"{value:.2f}" for value in frame[name]]
        return Table.column_text(frame, name, lower, upper)


def likelihood_ratios(model: Model, smaller: list[tuple[Drop, Model]]) -> Table:
    """2 (l - l_without) of each term, with its chi-squared probability; no priors.

    Raises
    ------
    NotAvailableError
        Where there is no maximum of the likelihood; see `maximum_likelihood.maximise`.
    """
    whole = maximise(model.design, model.priors)
    found = [(drop, maximise(less.design, less.priors)) for drop, less in smaller]
    rows = [ratio_row(drop, whole, less) for drop, less in found]
    how = "" if model.design.family.name == "gaussian" else " by Laplace's approximation"
    boundary = any(drop.factor for drop, _ in found)
    return LikelihoodRatios(
        pd.DataFrame(rows),
        title=f"Likelihood-ratio tests: maximum likelihood{how}, without priors",
        note=(
            f"With all terms: log-likelihood {whole.log_likelihood:.2f}, AIC {whole.aic:.2f}."
            + (
                " An sd of zero is at the edge of what is possible: the p of group terms is too "
                "large, for one sd alone twice."
                if boundary
                else ""
            )
        ),
    )


def ratio_row(drop: Drop, whole: Maximum, less: Maximum) -> dict[str, Any]:
    """One term; a maximum without it that is a rounding error higher is the same."""
    df = whole.n_parameters - less.n_parameters
    chisq = max(2 * (whole.log_likelihood - less.log_likelihood), 0.0)
    return {
        "term": drop.label,
        "df": df,
        "log_likelihood": less.log_likelihood,
        "AIC": less.aic,
        "chisq": chisq,
        "p": float(stats.chi2.sf(chisq, df)),
    }
