"""Numbers into sentences that say what a coefficient compares, and given what.

A coefficient of a model with groups compares rows of the same group, or groups with the same
effect. On a log link it is a ratio of rates, on a logit link one of odds; so is the difference of
two groups drawn at random, whose median ratio, the larger over the smaller, is

    exp(sqrt(2) sd Phi^-1(3/4))

Source: Larsen & Merlo 2005, Am. J. Epidemiol. 161, for the median odds ratio.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from hiermodels.design import INTERCEPT, Block, Design, coarser, nested_in
from hiermodels.errors import counted
from hiermodels.numbers.draws import Draws, standard_covariance, summarise
from hiermodels.numbers.expected import is_linear
from hiermodels.numbers.remaining import Left
from hiermodels.numbers.variance import Components, intraclass, latent_words, nested_sets
from hiermodels.printing import format_interval

__all__ = ["Sentences", "describe", "median_ratio"]

type Array = np.ndarray

#: What a link makes ratios of.
RATIOS = {"log": "rate", "logit": "odds"}
#: The share of groups in the range that is told, and its quantile.
RANGE = 0.8
MOST = f"{100 * RANGE:.0f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """A description. Made by `describe`, printed by the user."""

    sentences: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.sentences)

    def __len__(self) -> int:
        return len(self.sentences)

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def __repr__(self) -> str:
        return str(self)

    def markdown(self) -> str:
        """A list for a Markdown file."""
        return "\n".join(f"- {s}" for s in self.sentences)

    def _repr_html_(self) -> str:
        return "<ul>" + "".join(f"<li>{html.escape(s)}</li>" for s in self.sentences) + "</ul>"


def median_ratio(sd: Array) -> Array:
    """exp(sqrt(2) sd Phi^-1(3/4)): the larger over the smaller of two groups at random."""
    return np.asarray(np.exp(np.sqrt(2) * sd * ndtri(0.75)))


def describe(
    design: Design,
    draws: Draws,
    parts: Components | None,
    left: Sequence[Left],
    *,
    rows: str,
    ci_prob: float,
) -> Sentences:
    """The model in sentences: each common effect, each factor, what is left to explain.

    ``rows`` is what the rows are called, in the plural; ``parts`` the components on the
    scale of the linear predictor, None where there are none.
    """
    found = [opening(design, rows)]
    for k, term in enumerate(design.terms):
        found.append(coefficient_sentence(design, draws, k, term, rows=rows, ci_prob=ci_prob))
    for block in design.blocks:
        found += list(factor_sentences(design, draws, block, ci_prob=ci_prob))
    if design.blocks and parts is not None:
        found += list(icc_sentences(design, parts, rows=rows, ci_prob=ci_prob))
    found += [one.sentence for one in left]
    return Sentences(sentences=tuple(found))


def opening(design: Design, rows: str) -> str:
    levels = listed([f"{counted(b.n_levels, 'level')} of {b.name}" for b in design.blocks])
    family = f"{design.family.name} model, {design.family.link} link"
    return f"{design.response_name} of {design.n} {rows}" + (
        f" in {levels} ({family})." if levels else f" ({family})."
    )


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def interval_of(values: Array, *, ci_prob: float) -> str:
    found = summarise(values, ci_prob=ci_prob)
    return format_interval(float(found.estimate), float(found.lower), float(found.upper))


def coefficient_sentence(
    design: Design, draws: Draws, k: int, term: str, *, rows: str, ci_prob: float
) -> str:
    """What one common coefficient says, and given what."""
    if ":" in term:
        return interaction_sentence(design, draws.beta[:, k], term, ci_prob=ci_prob)
    change = what_changes(design, k, term)
    effect = effect_words(design, draws.beta[:, k], ci_prob=ci_prob)
    text = f"{given_words(design, k, term, rows=rows)}, {change} goes with {effect}."
    slopes = [b for b in design.blocks if term in b.terms]
    return " ".join([text, *(slope_words(design, draws, b, k, term) for b in slopes)])


def interaction_sentence(design: Design, beta: Array, term: str, *, ci_prob: float) -> str:
    """How the effect of one predictor depends on others."""
    first, *others = term.split(":")
    how = direction(beta)
    if design.family.link in RATIOS:
        size = interval_of(np.exp(beta), ci_prob=ci_prob)
        what = f"multiplies the ratio of {first} by {size}"
    else:
        size = interval_of(beta, ci_prob=ci_prob)
        what = f"changes the effect of {first} by {size}"
    return f"One more of {listed(others)} {what} ({how})."


def direction(beta: Array) -> str:
    """How sure the sign is."""
    sure = max((beta > 0).mean(), (beta < 0).mean())
    told = "> 0.999" if sure > 0.999 else f"{sure:.2f}" if sure < 0.99 else f"{sure:.3f}"
    return f"probability of this direction {told}"


def reference(design: Design, term: str) -> str:
    """The label that has no column: that of the rows in which all columns of the others are 0."""
    name = term.partition("[")[0]
    own = [k for k, t in enumerate(design.terms) if t.startswith(f"{name}[") and ":" not in t]
    if name in design.rows.frame.columns and len(design.common.values) == design.n:
        rest = design.rows.frame[name][~design.common.values[:, own].any(axis=1)].unique()
        if len(rest) == 1:
            return str(rest[0])
    return "the reference"


def what_changes(design: Design, k: int, term: str) -> str:
    column = design.common.values[:, k]
    if design.common.dummy[k]:
        return f"{term} rather than {reference(design, term)}"
    if column.min() == 0 and column.max() == 1 and np.isin(column, (0.0, 1.0)).all():
        return f"{term} 1 rather than 0"
    return f"one more of {term}"


def given_words(design: Design, k: int, term: str, *, rows: str) -> str:
    """Among which rows, or between which groups, the comparison is made."""
    others = list(
        dict.fromkeys(stem(t) for t in design.terms if ":" not in t and stem(t) != stem(term))
    )
    constant = [b for b in design.blocks if is_constant(b, design.common.values[:, k])]
    inside = [b for b in design.blocks if b not in constant]
    partners = [p for t in design.terms for p in partners_of(term, t)]
    told = []
    if constant:
        # a predictor of groups compares groups, and rows only through these
        coarse = [b.name for b in constant if not any(o in constant for o in coarser(design, b))]
        start = f"Between levels of {listed(coarse)}"
        told.append("with the same group effects")
    else:
        start = f"Among {rows}"
        fine = [b for b in inside if not any(nested_in(o, b) for o in inside)]
        told += [f"of the same {listed([b.name for b in fine])}"] if fine else []
    if others:
        alike = f"the same {listed(others)}" if len(others) <= 3 else "the other predictors equal"
        told.append(f"with {alike}")
    where = f", where {listed(partners)} is 0" if partners else ""
    return " ".join([start, " and ".join(told)]).strip() + where


def stem(term: str) -> str:
    """The variable of a category's column: ``f`` of ``f[low]``."""
    return term.partition("[")[0]


def partners_of(term: str, product: str) -> list[str]:
    """The other variables of a product that this one is in."""
    parts = product.split(":")
    return [p for p in parts if p != term] if len(parts) > 1 and term in parts else []


def is_constant(block: Block, column: Array) -> bool:
    """Whether a column has one value in each level."""
    low = np.full(block.n_levels, np.inf)
    high = np.full(block.n_levels, -np.inf)
    np.minimum.at(low, block.index, column)
    np.maximum.at(high, block.index, column)
    return bool((high - low <= 1e-9 * (1 + np.abs(column).max())).all())


def effect_words(design: Design, beta: Array, *, ci_prob: float) -> str:
    """The size of an effect in the words of its link and family."""
    link, y, name = design.family.link, design.response_name, design.family.name
    if link in RATIOS:
        ratio = interval_of(np.exp(beta), ci_prob=ci_prob)
        what, ratio_name = ratio_words(name, link, y)
        return f"{what} multiplied by {ratio} ({ratio_name}; {direction(beta)})"
    size = interval_of(beta, ci_prob=ci_prob)
    where = "mean" if is_linear(design) else f"{latent_words(design)} of the mean"
    if name == "lognormal":
        return f"a difference of {size} in the mean of log {y} ({direction(beta)})"
    return f"a difference of {size} in the {where} of {y} ({direction(beta)})"


def ratio_words(family: str, link: str, y: str) -> tuple[str, str]:
    """What is multiplied, and what the factor is called."""
    if link == "log":
        counted = f"expected {y}"
        if family.startswith("hurdle"):
            counted = f"expected {y}, were it not for the hurdle,"
        return counted, "ratio of means" if family == "gamma" else "rate ratio"
    if family == "ordinal":
        return f"odds of a higher {y}", "odds ratio"
    return f"odds of {y}", "odds ratio"


def slope_words(design: Design, draws: Draws, block: Block, k: int, term: str) -> str:
    """The range of a coefficient that differs between groups."""
    sd = np.median(draws.sd[block.name][:, block.terms.index(term)])
    reach = float(ndtri((1 + RANGE) / 2)) * sd
    low, high = draws.beta[:, k].mean() - reach, draws.beta[:, k].mean() + reach
    if design.family.link in RATIOS:
        low, high = np.exp(low), np.exp(high)
    return (
        f"It differs between levels of {block.name}: in {MOST} of all such levels it lies between "
        f"{low:.2g} and {high:.2g}."
    )


def factor_sentences(
    design: Design, draws: Draws, block: Block, *, ci_prob: float
) -> Iterator[str]:
    """How far the levels of a factor lie apart, where every predictor is at its mean."""
    if INTERCEPT not in block.terms:
        return
    k = block.terms.index(INTERCEPT)
    sd = np.sqrt(standard_covariance(draws, block)[:, k, k])
    told = interval_of(sd, ci_prob=ci_prob)
    reach = float(ndtri((1 + RANGE) / 2)) * float(np.median(sd))
    outer = coarser(design, block)
    among = f"levels of {block.name}" + (f" in one {outer[-1].name}" if outer else "")
    at = " (at the mean of the predictors)" if len(block.terms) > 1 else ""
    link = design.family.link
    on = "" if is_linear(design) else f" on the {latent_words(design)} scale"
    if link not in RATIOS:
        yield (
            f"{MOST} of all such {among}{at} lie within {reach:.2g} of the typical one{on} "
            f"(sd {told})."
        )
        return
    what = {"rate": "a rate", "odds": "odds"}[RATIOS[link]]
    yield (
        f"{MOST} of all such {among}{at} have {what} between {np.exp(-reach):.2g} and "
        f"{np.exp(reach):.2g} times that of the typical one (sd {told}{on})."
    )
    ratio = interval_of(median_ratio(sd), ci_prob=ci_prob)
    yield (
        f"Of two such {among} at random, with the same predictors, one has {ratio} times the "
        f"{RATIOS[link]} of the other (median {RATIOS[link]} ratio)."
    )


def icc_sentences(design: Design, parts: Components, *, rows: str, ci_prob: float) -> Iterator[str]:
    """Shares of the variance that the common effects leave."""
    icc = intraclass(design, parts)
    scale = "" if parts.scale == "linear" else f" on the {latent_words(design)} scale"
    chains = iter(nested_sets(design))
    for k, kind in enumerate(icc.kinds):
        told = interval_of(100 * icc.adjusted[:, k], ci_prob=ci_prob)
        if kind == "single":
            yield (
                f"Differences between levels of {icc.labels[k]} are {told} % of the variance"
                f"{scale} that the common effects leave."
            )
        elif kind == "cumulative":
            yield f"Together with those it is nested in, {next(chains)[-1]} makes {told} % of it."
