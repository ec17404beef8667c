r"""The model in LaTeX: likelihood, linear predictor, group effects and every prior.

    y_i ~ Normal(mu_i, sigma)
    mu_i = Intercept + beta_x x_i + b_{Intercept, site[i]} + b_{x, site[i]} x_i
    b_{site j} ~ MultivariateNormal(0, Sigma_site),    Sigma_site = D R D,  D = diag(sigma_site)

``Normal`` has an sd, ``MultivariateNormal`` a covariance, all others have PyMC's parameters.
Priors are on the scale of the data, and what has a prior is written as what it is: the intercept
at the mean of the predictors, ``Intercept + beta_x mean(x)``, not the one at zero.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hiermodels.design import INTERCEPT, Block, Columns, Design
from hiermodels.priors import ParameterPrior, Prior, Priors

__all__ = ["Equations", "build_equations", "escape_text"]

#: Characters that LaTeX or MathJax would not print in text; they stand in mathematics.
SPECIAL = {
    **{c: f"\\{c}" for c in "_%&#${}"},
    "\\": r"{\backslash}",
    "^": r"{\wedge}",
    "~": r"{\sim}",
    "<": "{<}",
    ">": "{>}",
    "|": r"{\vert}",
    "`": r"{\prime}",
}
#: The parameters of PyMC's distributions.
SYMBOLS = {
    "mu": r"\mu",
    "sigma": r"\sigma",
    "nu": r"\nu",
    "lam": r"\lambda",
    "alpha": r"\alpha",
    "beta": r"\beta",
    "eta": r"\eta",
}
#: Distributions whose parameters need no name.
POSITIONAL = ("Normal", "HalfNormal", "StudentT", "HalfStudentT", "LKJ", "Uniform")
#: Characters of a sum that fit on a line, without the commands.
LINE = 76


@dataclass(frozen=True, slots=True, kw_only=True)
class Equations:
    """The equations of a model. Made by `build_equations`, shown by a notebook.

    Each part has lines of LaTeX with an ``&`` where they are aligned.
    """

    likelihood: tuple[str, ...]
    predictor: tuple[str, ...]
    groups: tuple[str, ...]
    priors: tuple[str, ...]

    @property
    def latex(self) -> str:
        """An ``aligned`` environment, to stand in a display: ``$$ ... $$`` or ``equation``."""
        parts = (self.likelihood, self.predictor, self.groups, self.priors)
        body = " \\\\[1ex]\n".join(" \\\\\n".join(part) for part in parts if part)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

    def __str__(self) -> str:
        return self.latex

    def __repr__(self) -> str:
        return self.latex

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex}\n$$"

    def html(self) -> str:
        # the classes are those that Sphinx lets MathJax look into
        inside = html.escape(self._repr_latex_(), quote=False)
        return f'<div class="tex2jax_process mathjax_process">{inside}</div>'


def build_equations(design: Design, priors: Priors) -> Equations:
    """Write a model as equations, with the names of the user's columns."""
    return Equations(
        likelihood=(likelihood(design),),
        predictor=tuple(linear_predictor(design)),
        groups=tuple(line for block in design.blocks for line in group_lines(block)),
        priors=tuple(prior_lines(design, priors)),
    )


def escape_text(text: object) -> str:
    r"""Any text for LaTeX's mathematics: ``\text{days}``, special characters outside of it."""
    clean = " ".join(str(text).split())
    pieces = re.split(r"([_%&#${}\\^~<>|`])", clean)
    return "".join(SPECIAL.get(p, rf"\text{{{p}}}") for p in pieces if p)


def of_row(text: str) -> str:
    """A column in row i."""
    return f"{braced(escape_text(text))}_i"


def braced(latex: str) -> str:
    r"""Braces around what is more than one ``\text``, so that a subscript belongs to all of it."""
    return latex if re.fullmatch(r"\\text\{[^{}]*\}", latex) else f"{{{latex}}}"


def mean_of(term: str) -> str:
    return rf"\overline{{{escape_text(term)}}}"


def likelihood(design: Design) -> str:
    """y_i ~ Normal(mu_i, sigma); a weight is a power, known standard errors replace sigma."""
    sd = r"\sigma" if design.se is None else r"\text{se}_i"
    y = of_row(design.response_name)
    if design.weights is None:
        return rf"{y} &\sim \mathrm{{Normal}}\left(\mu_i,\ {sd}\right)"
    density = rf"\mathrm{{Normal}}\left({y} \mid \mu_i,\ {sd}\right)^{{w_i}}"
    whole = braced(escape_text(design.response_name))
    return rf"p\left({whole} \mid \mu,\ {sd.replace('_i', '')}\right) &= \prod_i {density}"


def linear_predictor(design: Design) -> Iterator[str]:
    """mu_i as a sum, broken where it is too long for a line."""
    summands = [r"\text{offset}_i"] if design.offset.any() else []
    summands += [r"\text{Intercept}"] if design.intercept else []
    summands += [rf"{beta(term)}\, {of_row(term)}" for term in design.terms]
    for block in design.blocks:
        summands += [group_summand(block, term) for term in block.terms]
    lines = wrapped(summands or ["0"])
    yield rf"\mu_i &= {lines[0]}"
    for line in lines[1:]:
        yield rf"&\quad + {line}"


def wrapped(summands: Sequence[str]) -> list[str]:
    """Summands joined by plus into lines of about `LINE` printed characters."""
    lines: list[list[str]] = [[]]
    length = 0
    for summand in summands:
        width = len(re.sub(r"\\[a-z]+|[{}\\_^]", "", summand)) + 3
        if lines[-1] and length + width > LINE:
            lines.append([])
            length = 0
        lines[-1].append(summand)
        length += width
    return [" + ".join(line) for line in lines]


def beta(term: str) -> str:
    return rf"\beta_{{{escape_text(term)}}}"


def subscripted(letter: str, block: Block, term: str, where: str) -> str:
    """A letter with its place; the term is told where the factor has several or no intercept."""
    told = "" if block.terms == (INTERCEPT,) else rf"{escape_text(term)},\,"
    return f"{letter}_{{{told}{where}}}"


def effect(block: Block, term: str) -> str:
    """The group effect of level j."""
    return subscripted("b", block, term, rf"{escape_text(block.name)}\,j")


def sd_of(block: Block, term: str) -> str:
    return subscripted(r"\sigma", block, term, escape_text(block.name))


def group_summand(block: Block, term: str) -> str:
    b = subscripted("b", block, term, f"{escape_text(block.name)}[i]")
    return b if term == INTERCEPT else rf"{b}\, {of_row(term)}"


def correlated_parts(block: Block) -> list[tuple[int, ...]]:
    return [part for part in block.parts if len(part) > 1]


def matrix_of(letter: str, block: Block, part: tuple[int, ...]) -> str:
    """Sigma_g, R_g or D_g, numbered where a factor has several correlated parts."""
    parts = correlated_parts(block)
    number = rf",\,{parts.index(part) + 1}" if len(parts) > 1 else ""
    return f"{letter}_{{{escape_text(block.name)}{number}}}"


def group_lines(block: Block) -> Iterator[str]:
    """The distribution of each part of a block, and its covariance in sds and correlations."""
    every = rf",\quad j = 1, \dots, {block.n_levels}"
    for part in block.parts:
        terms = [block.terms[k] for k in part]
        if len(part) == 1:
            sd = sd_of(block, terms[0])
            yield rf"{effect(block, terms[0])} &\sim \mathrm{{Normal}}\left(0,\ {sd}\right){every}"
            continue
        vector = r" \\ ".join(effect(block, term) for term in terms)
        covariance, cor = matrix_of(r"\Sigma", block, part), matrix_of("R", block, part)
        yield (
            rf"\begin{{pmatrix}} {vector} \end{{pmatrix}} &\sim "
            rf"\mathrm{{MultivariateNormal}}\left(0,\ {covariance}\right){every}"
        )
        sds = r",\ ".join(sd_of(block, term) for term in terms)
        d = matrix_of("D", block, part)
        yield (rf"{covariance} &= {d}\, {cor}\, {d},\quad {d} = \mathrm{{diag}}\left({sds}\right)")


def prior_lines(design: Design, priors: Priors) -> Iterator[str]:
    """Every prior on the scale of the data, in the order of `Priors`."""
    if priors.intercept is not None:
        yield distributed(intercept_at_mean(design), priors.intercept)
    for term, prior in zip(design.terms, priors.beta, strict=True):
        yield distributed(beta(term), prior)
    for block, sds, cor in zip(design.blocks, priors.sd, priors.cor, strict=True):
        for term, prior in zip(block.terms, sds, strict=True):
            yield distributed(sd_with_prior(block, term), prior)
        if cor is not None:
            for part in correlated_parts(block):
                yield distributed(cor_with_prior(block, part), cor)
    for prior in priors.auxiliary:
        yield distributed(SYMBOLS.get(prior.parameter, escape_text(prior.parameter)), prior)


def distributed(parameter: str, prior: ParameterPrior) -> str:
    return rf"{parameter} &\sim {distribution(prior.given)}"


def intercept_at_mean(design: Design) -> str:
    """Intercept + sum_k beta_k mean(x_k), the quantity that has the prior."""
    terms = centred_terms(design.common)
    if len(terms) > 2:
        columns = r"\textstyle\sum_k \beta_k\, \overline{x_k}"
        return rf"\text{{Intercept}} + {columns}"
    return " + ".join([r"\text{Intercept}", *(rf"{beta(t)}\, {mean_of(t)}" for t in terms)])


def centred_terms(columns: Columns) -> list[str]:
    """The columns that are centred inside, and whose mean is more than a rounding error."""
    moved = np.abs(columns.center) > 1e-9 * columns.scale
    return [name for name, far in zip(columns.names, moved, strict=True) if far]


def intercept_effect_at_mean(block: Block) -> str:
    slopes = [rf"{effect(block, t)}\, {mean_of(t)}" for t in centred_terms(block.columns)]
    return " + ".join([effect(block, INTERCEPT), *slopes])


def sd_with_prior(block: Block, term: str) -> str:
    """sigma_g, or for an intercept with centred slopes the sd at their mean."""
    if term == INTERCEPT and centred_terms(block.columns):
        return rf"\mathrm{{sd}}\left({intercept_effect_at_mean(block)}\right)"
    return sd_of(block, term)


def cor_with_prior(block: Block, part: tuple[int, ...]) -> str:
    """R_g, or with centred slopes the correlations where the intercept is at their mean."""
    terms = [block.terms[k] for k in part]
    if INTERCEPT not in terms or not centred_terms(block.columns):
        return matrix_of("R", block, part)
    inside = [
        intercept_effect_at_mean(block) if t == INTERCEPT else effect(block, t) for t in terms
    ]
    return rf"\mathrm{{cor}}\left({r',\ '.join(inside)}\right)"


def distribution(prior: Prior) -> str:
    r"""``\mathrm{Normal}(0,\ 2.5)``, with the names of parameters that have no usual order."""
    values = {name: number(value) for name, value in prior.parameters.items()}
    if prior.name in POSITIONAL:
        inside = list(values.values())
    else:
        inside = [f"{SYMBOLS.get(k, escape_text(k))} = {v}" for k, v in values.items()]
    return rf"\mathrm{{{prior.name}}}\left({r',\ '.join(inside)}\right)"


def number(value: float) -> str:
    r"""Four digits, as `Prior` prints them; ``1e-05`` becomes ``10^{-5}``."""
    text = f"{value:.4g}"
    if text.endswith("inf"):
        return text.replace("inf", r"\infty")
    mantissa, _, exponent = text.partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa
