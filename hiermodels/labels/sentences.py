"""Numbers into sentences that say what a coefficient compares, and given what.

A coefficient of a model with groups compares rows of the same level, or levels with the same
effect; what it is a difference or a ratio of, the family knows (`Family.meaning`). Of two levels at
random, one has on a log or logit link so many times what the other has, in the median,

    exp(sqrt(2) sd Phi^-1(3/4))

Every number is a posterior median with its equal-tailed interval, ranges of levels included: their
ends are beta -+ Phi^-1(0.9) sd of each draw.

Source: Larsen & Merlo 2005, Am. J. Epidemiol. 161, for the median odds ratio.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from hiermodels.design import INTERCEPT, Block, Design, Predictor, nested_in
from hiermodels.errors import counted
from hiermodels.families import Meaning
from hiermodels.labels.terms import NUMBER, Term, Terms, listed, split_product
from hiermodels.numbers.draws import Draws, summarise
from hiermodels.numbers.variance import Components, intraclass, latent_words
from hiermodels.printing import format_interval

__all__ = ["Sentences", "describe", "listed", "median_ratio"]

type Array = np.ndarray

#: The share of levels in the range that is told, and its quantile.
RANGE = 0.8
MOST = f"{100 * RANGE:.0f} %"
REACH = float(ndtri((1 + RANGE) / 2))
#: What rows are called where the user has no word for them.
ROWS = "rows"


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
    design: Design, draws: Draws, parts: Components | None, *, rows: str, ci_prob: float
) -> Sentences:
    """The model in sentences: one of each coefficient and of each factor.

    ``rows`` is what the rows are called, in the plural; ``parts`` the components on the
    scale of the linear predictor, None where there are none.
    """
    found = [opening(design, rows)]
    for predictor in design.predictors:
        own = draws.extras[predictor.parameter] if predictor.parameter else draws
        told = Telling(
            design=design,
            predictor=predictor,
            draws=own,
            meaning=meaning_of(design, predictor),
            rows=rows,
            ci_prob=ci_prob,
        )
        found += told.coefficients()
        found += [told.factor(b, parts) for b in predictor.blocks if INTERCEPT in b.terms]
    return Sentences(sentences=tuple(found))


def opening(design: Design, rows: str) -> str:
    levels = listed([f"{counted(b.n_levels, 'level')} of {b.name}" for b in design.blocks])
    family = f"{design.family.name} model, {design.family.link} link"
    return f"{design.response_name} of {design.n} {rows}" + (
        f" in {levels} ({family})." if levels else f" ({family})."
    )


def meaning_of(design: Design, predictor: Predictor) -> Meaning:
    """What a linear predictor is of; a success has its label where it has one."""
    y, labels = design.response_name, design.categories
    if predictor.parameter:
        return next(p for p in design.parameters if p.name == predictor.parameter).meaning(y)
    if labels and not design.family.categories and labels[-1] is not True:
        y = f"{y} = {labels[-1]}"
    return design.family.meaning(y, exposure=bool(design.offset.any()))


@dataclass(frozen=True, kw_only=True)
class Telling:
    """One linear predictor with its draws, about to be told. Made by `describe`."""

    design: Design
    predictor: Predictor
    draws: Draws
    meaning: Meaning
    rows: str
    ci_prob: float

    def size(self, values: Array) -> str:
        """Median and interval."""
        found = summarise(values, ci_prob=self.ci_prob)
        return format_interval(float(found.estimate), float(found.lower), float(found.upper))

    def ratio(self, values: Array) -> str:
        return self.size(np.exp(values))

    # --- coefficients ---

    def coefficients(self) -> list[str]:
        """A sentence for each; one for all that make a curve."""
        terms = Terms(self.design, self.predictor.terms, self.predictor.common.values)
        found: dict[str, None] = {}
        for name in terms.names:
            curve = terms.curve(name)
            told = curve_words(curve) if curve else self.coefficient(terms.read(name), terms)
            found[told] = None
        for block in self.predictor.blocks:
            found |= dict.fromkeys(self.lone_slopes(block))
        return list(found)

    def coefficient(self, term: Term, terms: Terms) -> str:
        """What one common coefficient says, and given what."""
        values = self.draws.beta @ term.weights
        if not term.parts:
            return f"{self.level(values, term)}."
        column = self.predictor.common.values[:, terms.names.index(term.name)]
        constant = [b for b in self.predictor.blocks if is_constant(b, column)]
        if len(term.parts) == 1:
            change = term.parts[0].change(between=bool(constant))
            among = self.among(term, constant, self.others(term, terms))
            text = f"{among}, {change} {self.goes_with(values, term)}"
        else:
            text = self.interaction(values, term)
        ranges = [self.slopes(b, values, term) for b in self.predictor.blocks]
        return "".join([text, *ranges]) + "."

    def lone_slopes(self, block: Block) -> Iterator[str]:
        """Effects that differ between levels, and have no common coefficient."""
        terms = block_terms(self.design, block)
        common = {frozenset(split_product(t)) for t in self.predictor.terms}
        for name in block.terms:
            if name == INTERCEPT or terms.sets[name] in common:
                continue
            term = terms.read(name)
            if len(term.parts) == 1 and not terms.curve(name):
                change = term.parts[0].change(between=False)
                yield (
                    f"{self.among(term, [], [])}, {change} goes with no difference on average, for "
                    f"the formula has none{self.slopes(block, np.zeros(self.draws.n), term)}."
                )

    def level(self, values: Array, term: Term) -> str:
        """Of a category that no other is compared with."""
        size = self.ratio(values) if self.meaning.multiplies else self.size(values)
        names = " and ".join(b.name for b in self.finest)
        who = f"a typical level of {names} has" if names else f"{self.rows} have"
        return f"Where {term.where}, {who} {size} as {'its' if names else 'their'} {self.quantity}"

    @property
    def quantity(self) -> str:
        """With the rows that it is of."""
        return f"{self.meaning.quantity} {self.meaning.where}".strip()

    @property
    def the_quantity(self) -> str:
        """``mean y``, but ``the probit of mean y``."""
        return f"the {self.quantity}" if " of " in self.meaning.quantity else self.quantity

    def goes_with(self, values: Array, term: Term) -> str:
        """The size of an effect, and how sure its sign is."""
        average = "goes on average with" if self.differs(term) else "goes with"
        if self.meaning.multiplies:
            named = f"{self.meaning.ratio}; " if self.meaning.ratio else ""
            return (
                f"{average} {self.ratio(values)} times the {self.quantity} "
                f"({named}{direction(values)})"
            )
        way, signed = ("higher", values) if np.median(values) >= 0 else ("lower", -values)
        size = self.size(signed)
        return f"{average} {article(size)} {size} {way} {self.quantity} ({direction(values)})"

    def interaction(self, values: Array, term: Term) -> str:
        """How the effect of one variable depends on the others."""
        *first, last = sorted(term.parts, key=lambda p: p.kind != NUMBER)
        effects = listed([p.effect for p in first])
        effect = f"{'effect' if len(first) == 1 else 'interaction'} of {effects}"
        if self.meaning.multiplies and self.meaning.ratio and len(first) == 1:
            how = f"the {self.meaning.ratio} of {effects} is multiplied by {self.ratio(values)}"
        elif self.meaning.multiplies:
            how = f"the {effect}, as a ratio, is multiplied by {self.ratio(values)}"
        else:
            on = "on" if len(first) == 1 else "in"
            how = f"the {effect} {on} {self.the_quantity} changes by {self.size(values)}"
        given = last.moderation
        if term.where:
            given += f"{', where' if last.kind == NUMBER else ' and'} {term.where}"
        return f"{given[0].upper()}{given[1:]}, {how} ({direction(values)})"

    # --- among which rows ---

    def among(self, term: Term, constant: list[Block], others: list[str]) -> str:
        """Among which rows, or between which levels, the comparison is made, and given what.

        ``constant`` are the factors whose levels have one value each.
        """
        told = [f"with the same {listed(others)}"] if 0 < len(others) <= 3 else []
        told += ["with the other predictors equal"] if len(others) > 3 else []
        if constant:
            # a predictor of levels compares levels, and rows only through these
            coarse = [b for b in constant if not any(o in constant for o in self.coarser(b))]
            start = f"Between levels of {listed([b.name for b in coarse])}"
            start += " with the same group effects"
        else:
            start = self.within()
        return " and ".join([start, *told]) + (f", where {term.where}" if term.where else "")

    @property
    def finest(self) -> list[Block]:
        """The factors that no other is nested in."""
        blocks = self.predictor.blocks
        return [b for b in blocks if not any(nested_in(o, b) for o in blocks)]

    def within(self) -> str:
        """Rows of the same finest levels."""
        levels = listed([f"of {b.name}" for b in self.finest])
        if not levels:
            return f"Among {self.rows}"
        return (
            f"Within a level {levels}"
            if self.rows == ROWS
            else f"Among {self.rows} of a level {levels}"
        )

    def others(self, term: Term, terms: Terms) -> list[str]:
        """The other variables, but for those whose value is told."""
        own = terms.sets[term.name]
        told = {p.variable for t in terms.names if own <= terms.sets[t] for p in terms.parts[t]}
        every = dict.fromkeys(p for parts in terms.parts.values() for p in parts)
        nouns = dict.fromkeys(p.noun for p in every if p.variable not in told)
        offset = self.predictor.offset.any() and not self.meaning.quantity.startswith("rate of")
        return [*nouns, *(["offset"] if offset else [])]

    def coarser(self, block: Block) -> list[Block]:
        """Those that a factor is nested in, coarsest first."""
        outer = [b for b in self.predictor.blocks if nested_in(block, b)]
        return sorted(outer, key=lambda b: b.n_levels)

    # --- levels ---

    def weights(self, block: Block, term: Term) -> Array:
        """The same combination of coefficients, of those that differ between levels."""
        own = frozenset(split_product(term.name))
        return block_terms(self.design, block).typical(own, every=False)[0]

    def differs(self, term: Term) -> bool:
        return any(self.weights(b, term).any() for b in self.predictor.blocks)

    def slopes(self, block: Block, values: Array, term: Term) -> str:
        """The range of a coefficient that differs between levels."""
        weights = self.weights(block, term)
        if not weights.any():
            return ""
        reach = REACH * self.spread(block, weights)
        low, high = values - reach, values + reach
        what = "difference" if len(term.parts) == 1 else "change"
        if self.meaning.multiplies:
            low, high = np.exp(low), np.exp(high)
            what = self.meaning.ratio if self.meaning.ratio and what == "difference" else "ratio"
        return (
            f"; in {MOST} of all levels of {block.name} the {what} is between {self.size(low)} "
            f"and {self.size(high)}"
        )

    def spread(self, block: Block, weights: Array) -> Array:
        """The sd between levels of a weighted sum of their effects, each draw: (S,)."""
        covariance = self.draws.covariance(block.name)
        variance = np.einsum("q,sqr,r->s", weights, covariance, weights)
        return np.asarray(np.sqrt(np.maximum(variance, 0)))

    def factor(self, block: Block, parts: Components | None) -> str:
        """How far the levels of a factor lie apart, where its predictors are typical."""
        weights, places = block_terms(self.design, block).typical(frozenset(), every=True)
        sd = self.spread(block, weights)
        outer = self.coarser(block)
        among = f"levels of {block.name}" + (f" in a level of {outer[-1].name}" if outer else "")
        start = f"Of all {among}, {MOST}"
        if places:
            start = f"Where {listed(places)}, {MOST} of all {among}"
        share, where = self.share(block, parts), comma(self.meaning.where)
        if not self.meaning.multiplies:
            return (
                f"{start} lie within {self.size(REACH * sd)} of the typical one in "
                f"{self.the_quantity} (sd {self.size(sd)}){share}."
            )
        name = self.meaning.ratio if self.meaning.ratio.endswith("ratio") else "ratio"
        return (
            f"{start} have between {self.ratio(-REACH * sd)} and {self.ratio(REACH * sd)} times "
            f"the {self.meaning.quantity} of the typical one{where}; of two at random one has "
            f"{self.size(median_ratio(sd))} times that of the other (median {name}){share}."
        )

    def share(self, block: Block, parts: Components | None) -> str:
        """The intraclass correlation."""
        if parts is None or self.predictor.parameter:
            return ""
        icc = intraclass(self.design, parts)
        k = icc.labels.index(block.name)
        scale = "" if parts.scale == "linear" else f" on the {latent_words(self.design)} scale"
        if scale and self.design.family.link == "identity":
            scale = f" of log {self.design.response_name}"
        return (
            f"; their differences are {self.size(100 * icc.adjusted[:, k])} % of the "
            f"variance{scale} that the common effects leave"
        )


def curve_words(variables: tuple[str, ...]) -> str:
    """Coefficients that are not read one by one."""
    return (
        f"The coefficients of {listed(variables)} say only together how the response changes: "
        "fit.plot.predictions() shows it."
    )


def block_terms(design: Design, block: Block) -> Terms:
    return Terms(design, block.terms, block.columns.values)


def direction(values: Array) -> str:
    """How sure the sign is."""
    sure = max((values > 0).mean(), (values < 0).mean())
    told = "> 0.999" if sure > 0.999 else f"{sure:.2f}" if sure < 0.99 else f"{sure:.3f}"
    return f"probability of this direction {told}"


def article(number: str) -> str:
    """``a 0.64``, ``an 8.1``, ``an 11``."""
    whole = number.partition(" ")[0].partition(".")[0]
    return "an" if whole.startswith("8") or whole in ("11", "18") else "a"


def comma(words: str) -> str:
    return f", {words}" if words else ""


def is_constant(block: Block, column: Array) -> bool:
    """Whether a column has one value in each level."""
    low = np.full(block.n_levels, np.inf)
    high = np.full(block.n_levels, -np.inf)
    np.minimum.at(low, block.index, column)
    np.maximum.at(high, block.index, column)
    return bool((high - low <= 1e-9 * (1 + np.abs(column).max())).all())
