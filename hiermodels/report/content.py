"""A fit into the sections of its report: summary first, then what it rests on.

Every part of a fit that has no answer for this model says so in its place, and the rest is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hiermodels.design import Design
from hiermodels.errors import HierModelsError
from hiermodels.findings import Findings
from hiermodels.labels.equations import build_equations
from hiermodels.nesting import find_nesting
from hiermodels.numbers.checks import Check, Checks
from hiermodels.numbers.diagnostics import Diagnostics
from hiermodels.printing import Table, format_number, whole_numbers

from .blocks import (
    Block,
    Bullets,
    Cards,
    Code,
    Math,
    Numbers,
    Paragraph,
    Picture,
    Report,
    Section,
)
from .code import HASHING, data_hash, made_with, python_code
from .graph import draw_graph, graph_words

if TYPE_CHECKING:
    from hiermodels.results import Fit

__all__ = ["build_report"]

#: Rows above which a table is folded, and those that a report has of one at most.
UNFOLDED, MOST_ROWS = 24, 1500
#: Levels whose lines a picture of predictions can show.
LINES = 30
#: What further columns are called.
FURTHER = {"_weights_": "weights", "_se_": "standard errors"}


def build_report(fit: Fit, *, rows: str, ci_prob: float, data_file: str | None) -> Report:
    """All sections; ``rows`` is what the rows are called, in the plural."""
    design = fit.design
    findings = find_nesting(design)
    checks = answer(fit.check)
    sections = [
        summary_section(fit, findings, checks, rows=rows, ci_prob=ci_prob),
        data_section(design),
        Section(key="grouping", title="Grouping", blocks=tuple(grouping_blocks(design, findings))),
        model_section(fit),
        Section(key="effects", title="Effects", blocks=tuple(effect_blocks(fit, ci_prob))),
        Section(key="variance", title="Variance", blocks=tuple(variance_blocks(fit, ci_prob))),
        Section(key="levels", title="Levels", blocks=tuple(level_blocks(fit, ci_prob))),
        Section(key="checks", title="Checks", blocks=tuple(check_blocks(fit, checks))),
        sampler_section(fit),
        reproduction_section(fit, data_file),
    ]
    family = f"{design.family.name} model with {design.family.link} link"
    return Report(
        title=design.formula.text,
        subtitle=f"Bayesian hierarchical model: {family}, {count(design.n, 'row')}",
        sections=tuple(s for s in sections if s.blocks),
    )


def answer[T](ask: Callable[[], T]) -> T | str:
    """What is asked for, or why there is no answer for this model."""
    try:
        return ask()
    except HierModelsError as error:
        return str(error)


def numbers(ask: Callable[[], Table], *, what: str) -> Block:
    """A table, folded where it is long and cut where it is too long; or why there is none."""
    found = answer(ask)
    if isinstance(found, str):
        return Paragraph(text=f"{what}: not available. {found}")
    if len(found) <= MOST_ROWS:
        return Numbers(table=found, folded=len(found) > UNFOLDED)
    note = f"The first {MOST_ROWS} of {len(found)} rows; fit has all. {found.note}".strip()
    return Numbers(table=Table(found.iloc[:MOST_ROWS], title=found.title, note=note), folded=True)


def count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}".replace(",", "\u202f")


def percent(probability: float) -> str:
    return f"{100 * probability:g} %"


# --- summary --------------------------------------------------------------------------------------


def summary_section(
    fit: Fit, findings: Findings, checks: Checks | str, *, rows: str, ci_prob: float
) -> Section:
    sentences = answer(lambda: fit.describe(rows=rows, ci_prob=ci_prob))
    said = sentences if isinstance(sentences, str) else tuple(sentences)
    told = Paragraph(text=said) if isinstance(said, str) else Bullets(items=said)
    cards = (
        rows_card(fit.design),
        grouping_card(findings),
        sampler_card(fit),
        checks_card(checks),
    )
    intervals = (
        f"Numbers in brackets are {percent(ci_prob)} credible intervals: given the model and its "
        f"priors, the quantity lies in them with a probability of {percent(ci_prob)}."
    )
    warned = fit.diagnostics.words()[1:]
    first = Bullets(items=tuple(f"Before these results are used: {w}" for w in warned))
    blocks = (Cards(cards=cards), *([first] if warned else []), told, Paragraph(text=intervals))
    return Section(key="summary", title="Summary", blocks=blocks)


def rows_card(design: Design) -> tuple[str, str, str, str]:
    dropped = design.rows.n_dropped
    if not dropped:
        return "Rows", "good", f"{count(design.n, 'row')}, none dropped", "data"
    whole = design.n + dropped
    return "Rows", "look", f"{count(design.n, 'row')} of {whole}; {dropped} incomplete", "data"


def grouping_card(findings: Findings) -> tuple[str, str, str, str]:
    if not len(findings):
        return "Grouping", "good", "nothing to say", "grouping"
    faults = len(findings.faults)
    notes = len(findings) - faults
    told = [count(n, word) for n, word in ((faults, "warning"), (notes, "note")) if n]
    return "Grouping", "fault" if faults else "look", ", ".join(told), "grouping"


def sampler_card(fit: Fit) -> tuple[str, str, str, str]:
    found = fit.diagnostics
    worst = f"R-hat up to {found.largest_rhat:.3f}".replace("nan", "–")
    told = f"{worst}, {count(found.divergences, 'divergence')}"
    return "Sampler", "good" if found.good else "fault", told, "sampler"


def checks_card(checks: Checks | str) -> tuple[str, str, str, str]:
    if isinstance(checks, str):
        return "Checks", "look", "not available", "checks"
    verdicts = [c.verdict for c in checks]
    told = ", ".join(
        f"{verdicts.count(v)} {v}" for v in ("fault", "look", "good") if verdicts.count(v)
    )
    worst = next((v for v in ("fault", "look") if v in verdicts), "good")
    return "Checks", worst, told, "checks"


# --- data -----------------------------------------------------------------------------------------


def data_section(design: Design) -> Section:
    rows = design.rows
    whole = design.n + rows.n_dropped
    which = (
        f"{count(design.n, 'row')} of {whole}"
        if rows.n_dropped
        else f"all {count(design.n, 'row')}"
    )
    told = [f"The model uses {which} and the columns of its formula."]
    if rows.n_dropped:
        missing = ", ".join(f"{n} in {FURTHER.get(c, c)}" for c, n in rows.missing.items())
        told.append(
            f"{count(rows.n_dropped, 'row')} dropped for missing values ({missing}), which is "
            "harmless where a value is missing for no reason that has to do with the response."
        )
    else:
        told.append("None has a missing value.")
    blocks: list[Block] = [Paragraph(text=" ".join(told)), Numbers(table=columns_table(design))]
    if design.blocks:
        blocks.append(Numbers(table=factors_table(design)))
    return Section(key="data", title="Data", blocks=tuple(blocks))


def columns_table(design: Design) -> Table:
    frame, missing = design.rows.frame, design.rows.missing
    return Table(
        {
            "column": [FURTHER.get(str(name), str(name)) for name in frame.columns],
            "role": [role(design, str(name)) for name in frame.columns],
            "values": [
                values_of(frame[name], labels="grouping factor" in role(design, str(name)))
                for name in frame.columns
            ],
            "missing": [missing.get(str(name), 0) for name in frame.columns],
        },
        title="Columns",
    )


def role(design: Design, column: str) -> str:
    """What a column is in the model: several things, perhaps."""
    if column in FURTHER:
        return FURTHER[column]
    ends = len(design.formula.response)
    found = [n for n in design.formula.columns if n.name == column]
    factors = {part for p in design.predictors for b in p.blocks for part in b.factor}
    roles = ["response"] if any(n.stop <= ends for n in found) else []
    predictors = [
        n
        for p in design.predictors
        for n in p.formula.columns
        if n.name == column and (p.parameter or n.stop > ends)
    ]
    if predictors and column not in factors:
        roles.append("predictor")
    return ", ".join([*roles, *(["grouping factor"] if column in factors else [])])


def values_of(column: pd.Series, *, labels: bool) -> str:
    """The range of numbers, the commonest of ``labels``: a factor may be numbered, too."""
    number = pd.api.types.is_numeric_dtype(column.dtype)
    if number and not labels and not pd.api.types.is_bool_dtype(column.dtype):
        low, mean, high = (f"{float(f(column)):.4g}" for f in (np.min, np.mean, np.max))
        return f"{low} to {high}, mean {mean}"
    counts = column.value_counts()
    shown = [f"{label} ({n})" for label, n in counts.head(4).items()]
    more = f" and {len(counts) - 4} more" if len(counts) > 4 else ""
    return ", ".join(shown) + more


def factors_table(design: Design) -> Table:
    counts = {block.name: block.counts for block in design.blocks}
    return Table(
        {
            "factor": list(counts),
            "levels": [len(n) for n in counts.values()],
            "fewest rows": [int(n.min()) for n in counts.values()],
            "median": [round(float(np.median(n))) for n in counts.values()],
            "most": [int(n.max()) for n in counts.values()],
        },
        title="Grouping factors and the rows in their levels",
    )


def grouping_blocks(design: Design, findings: Findings) -> Iterable[Block]:
    if not any(p.blocks for p in design.predictors) and not len(findings):
        return
    if not len(findings):
        yield Paragraph(
            text="Nothing to say: no labels that recur under several parents, no factor with few "
            "levels, no slope of a column that is constant within levels, no predictor that goes "
            "with the levels."
        )
        return
    yield Paragraph(text="What may not be meant. A warning is a fault; a note is a question.")
    yield Bullets(items=tuple(findings.lines()))


# --- model ----------------------------------------------------------------------------------------


def model_section(fit: Fit) -> Section:
    design, priors = fit.design, fit.priors
    table = Table(
        priors.rows(),
        columns=["parameter", "prior (scale of the data)", "standardised", "from"],
        title="Priors",
        note="Sampled are the standardised columns; default priors follow the scale of the data.",
    )
    formulas = [("Formula", design.formula.text)]
    formulas += [(f"Formula of {n}", p.formula.text) for n, p in design.extras.items()]
    return Section(
        key="model",
        title="Model",
        blocks=(
            *(Code(text=text, language=name) for name, text in formulas),
            Math(equations=build_equations(design, priors)),
            Paragraph(
                text="Normal has a standard deviation, MultivariateNormal a covariance; priors "
                "are on the scale of the data, that of an intercept where predictors are at "
                "their means."
            ),
            Picture(
                name="graph",
                draw=lambda: draw_graph(design),
                alt=graph_words(design),
                caption="What depends on what. Ellipses are parameters, boxes follow from them, "
                "the filled one is observed; a plate is repeated.",
            ),
            Numbers(table=table, folded=len(table) > UNFOLDED),
        ),
    )


# --- results --------------------------------------------------------------------------------------


def effect_blocks(fit: Fit, ci_prob: float) -> Iterable[Block]:
    page = fit.summary(ci_prob=ci_prob)
    for table in (page.common, page.groups, page.own):
        if len(table):
            yield Numbers(table=table)
    x = numeric_predictor(fit.design)
    if x is not None:
        yield from predictions_picture(fit, x, ci_prob)


def numeric_predictor(design: Design) -> str | None:
    """The first column of the formula of the mean that is a number with more than two values."""
    frame = design.rows.frame
    after = len(design.formula.response)
    factors = {part for block in design.blocks for part in block.factor}
    for name in design.formula.columns:
        column = frame[name.name]
        numeric = pd.api.types.is_numeric_dtype(column.dtype)
        if name.stop <= after or name.name in factors or not numeric:
            continue
        inside = design.terms and any(name.name in term for term in design.terms)
        if inside and column.nunique() > 2:
            return name.name
    return None


def probabilities_picture(fit: Fit, x: str, ci_prob: float) -> Picture:
    """Of categories that are words."""
    return Picture(
        name="predictions",
        draw=lambda: fit.plot.predictions(x, ci_prob=ci_prob),
        alt=f"Probability of each category of {fit.design.response_name} along {x}, with its "
        f"{percent(ci_prob)} band.",
        caption=f"Probability of each category along {x}, group effects at zero.",
    )


def predictions_picture(fit: Fit, x: str, ci_prob: float) -> Iterable[Block]:
    blocks = fit.design.blocks
    small = len(blocks) == 1 and blocks[0].n_levels <= LINES
    group = blocks[0].name if small else None
    if not fit.design.family.has_mean:
        yield probabilities_picture(fit, x, ci_prob)
        return
    found = answer(lambda: fit.predict(fit.grid(x, n=2), ci_prob=ci_prob))
    if isinstance(found, str):
        return
    first, last = (format_number(float(found["estimate"].iloc[k])) for k in (0, -1))
    low, high = (format_number(float(found[x].iloc[k])) for k in (0, -1))
    others = [t for t in fit.design.terms if x not in t]
    held = ", the other predictors at their means or most frequent values" if others else ""
    yield Picture(
        name="predictions",
        draw=lambda: fit.plot.predictions(x, group=group, ci_prob=ci_prob),
        alt=f"Predicted mean of {fit.design.response_name} along {x}, from {first} at {low} to "
        f"{last} at {high}, with its {percent(ci_prob)} band and the data behind it.",
        caption=f"Predictions along {x}, group effects at zero{held}"
        + (f"; a thin line for each level of {group}." if group else "."),
    )


def variance_blocks(fit: Fit, ci_prob: float) -> Iterable[Block]:
    if not fit.design.blocks:
        return
    for scale in fit.scales:
        yield numbers(
            partial(fit.variance_table, scale=scale, ci_prob=ci_prob),
            what="Variance components",
        )
        yield numbers(partial(fit.icc, scale=scale, ci_prob=ci_prob), what="ICC")
    first = fit.scales[0] if fit.scales else None
    shares = answer(lambda: fit.variance_table(scale=first, ci_prob=ci_prob))
    if not isinstance(shares, str):
        yield Picture(
            name="variance",
            draw=lambda: fit.plot.variance(scale=first, ci_prob=ci_prob),
            alt=share_words(shares),
            caption="The share of each component in the variance that the common effects leave.",
        )
    yield numbers(lambda: fit.r2(scale=first, ci_prob=ci_prob), what="R²")
    yield numbers(lambda: fit.variance_left(ci_prob=ci_prob), what="Variance left to explain")
    yield numbers(lambda: fit.varcorr(ci_prob=ci_prob), what="Sds and correlations")


def share_words(shares: Table) -> str:
    parts = [
        f"{row['component']} {row['term']}".strip() + f" {row['percent']:.0f} %"
        for _, row in pd.DataFrame(shares).iterrows()
        if row["component"] != "total"
    ]
    return f"Bars of the shares of variance: {', '.join(parts)}."


def level_blocks(fit: Fit, ci_prob: float) -> Iterable[Block]:
    design = fit.design
    for k, block in enumerate(design.blocks):
        name, index = block.name, k + 1
        coef = answer(partial(fit.coef, name, ci_prob=ci_prob))
        if isinstance(coef, str):
            yield Paragraph(text=coef)
            continue
        yield Picture(
            name=f"levels_{index}",
            draw=partial(fit.plot.forest, name, ci_prob=ci_prob),
            alt=level_words(coef, block.terms[0], block.n_levels, name),
            caption=f"Coefficients of each level of {name}, sorted, with {percent(ci_prob)} "
            "intervals.",
        )
        if not isinstance(answer(partial(fit.shrinkage, name)), str):
            yield Picture(
                name=f"shrinkage_{index}",
                draw=partial(fit.plot.shrinkage, name, ci_prob=ci_prob),
                alt=f"For each of {count(block.n_levels, 'level')} of {name}: its own estimate, "
                "the one of all together, and the hierarchical model's.",
                caption=f"What partial pooling does to the levels of {name}: the less its rows say "
                "of one, the more its estimate is made of what the others say.",
            )
        yield numbers(partial(fit.coef, name, ci_prob=ci_prob), what="Coefficients")
        yield numbers(partial(fit.ranks, name, ci_prob=ci_prob), what="Ranks")


def level_words(coef: Table, term: str, levels: int, name: str) -> str:
    own = coef[coef["term"] == term]
    if own.empty:
        return f"Coefficients of {count(levels, 'level')} of {name} with their intervals, sorted."
    low, high = own.loc[own["estimate"].idxmin()], own.loc[own["estimate"].idxmax()]
    return (
        f"{term} of {count(levels, 'level')} of {name} with intervals, sorted: from "
        f"{format_number(low['estimate'])} in {low['level']} to "
        f"{format_number(high['estimate'])} in {high['level']}."
    )


# --- checks, sampler, reproduction ----------------------------------------------------------------


def check_blocks(fit: Fit, checks: Checks | str) -> Iterable[Block]:
    if isinstance(checks, str):
        yield Paragraph(text=f"Not available. {checks}")
        return
    faults = [c for c in checks if c.verdict != "good"]
    if faults:
        yield Paragraph(text="Each compares the data with data that the model makes.")
        yield Bullets(items=tuple(verdict_words(c) for c in faults))
    else:
        yield Paragraph(
            text="Each compares the data with data that the model makes; none finds them different."
        )
    yield Numbers(table=checks.table())
    yield Picture(
        name="check",
        draw=fit.plot.check,
        alt="Residual plots: quantile residuals against fitted values, their quantiles against "
        f"the normal ones, by level and along predictors. {listed_verdicts(checks)}",
        caption="Residuals of one posterior draw; if the model is true they are standard normal "
        "and without pattern.",
    )
    yield Picture(
        name="predictive",
        draw=fit.plot.ppc,
        alt=f"The distribution of {fit.design.response_name} in the data beside 50 that the model "
        "makes.",
        caption="The response as it is, and as the model makes it.",
    )


def verdict_words(check: Check) -> str:
    of = f" of {check.of}" if check.of else ""
    return (
        f"{check.verdict.capitalize()}: {check.name}{of} (observed "
        f"{format_number(check.observed)}, expected {format_number(check.expected)}). "
        f"{check.what_to_do}"
    )


def listed_verdicts(checks: Checks) -> str:
    bad = [c.name for c in checks if c.verdict != "good"]
    return f"Not good: {', '.join(bad)}." if bad else "All checks are good."


def sampler_section(fit: Fit) -> Section:
    page = fit.summary()
    found = fit.diagnostics
    order = found.fewest(10)
    table = Table(
        {
            "parameter": [found.parameters[k] for k in order],
            "ess_bulk": whole_numbers(found.ess_bulk[k] for k in order),
            "ess_tail": whole_numbers(found.ess_tail[k] for k in order),
            "r_hat": [round(float(found.rhat[k]), 3) for k in order],
        },
        title=f"The parameters with the fewest effective draws, of {len(found.parameters)}",
        note="Asked for: R-hat at most 1.01, an effective sample size of at least 400 "
        "(Vehtari et al. 2021).",
    )
    lines = [line for line in page.lines if line.startswith("engine ")]
    return Section(
        key="sampler",
        title="Sampler",
        blocks=(
            Bullets(items=(*lines[:1], *page.sampler[1:])),
            Numbers(table=table),
            Picture(
                name="trace",
                draw=fit.plot.trace,
                alt=trace_words(found),
                caption="The parameters with the fewest effective draws. Left: the draws of each "
                "chain one after another, which lie on one another where chains agree. Right: how "
                "many draws of a chain have which rank among those of all chains; the dashed line "
                "is an even spread, and a slope or a hump a chain that is elsewhere.",
            ),
        ),
    )


def trace_words(found: Diagnostics) -> str:
    told = ", ".join(
        f"{found.parameters[k]} (R-hat {found.rhat[k]:.3f}, "
        f"{found.ess_bulk[k]:.0f} effective draws)"
        for k in found.fewest(4)
    )
    return f"Draws of each chain in their order, and their ranks, of {told}."


def reproduction_section(fit: Fit, data_file: str | None) -> Section:
    attributes: dict[str, Any] = {str(k): v for k, v in fit.idata["posterior"].attrs.items()}
    given = data_file or attributes.get("data_file")
    rows = [("data, SHA-256", data_hash(fit.design.rows.frame))]
    rows += [("data file", str(given))] if given else []
    rows += [
        (name, str(attributes[key]))
        for name, key in (("seed", "random_seed"), ("fitted", "made"))
        if key in attributes
    ]
    rows += list(made_with(attributes).items())
    table = Table(rows, columns=["what", "value"], title="Made with", note=HASHING)
    return Section(
        key="reproduction",
        title="Reproduction",
        blocks=(
            Paragraph(
                text="The same seed, data and versions give the same draws on the same machine."
            ),
            Code(text=python_code(fit, data_file=given), language="python"),
            Numbers(table=table),
        ),
    )
