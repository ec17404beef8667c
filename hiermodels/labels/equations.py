r"""The model in LaTeX: likelihood, linear predictor, group effects and every prior.

    y_i ~ Normal(mu_i, sigma)
    mu_i = Intercept + beta_x x_i + b_{Intercept, site[i]} + b_{x, site[i]} x_i
    b_{site j} ~ MultivariateNormal(0, Sigma_site),    Sigma_site = D R D,  D = diag(sigma_site)

With another link ``log(mu_i) = ...``; a family's own parameter that has a formula has a line of its
own, and its letters carry its name: ``b^{(zi)}``.

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

from hiermodels.design import INTERCEPT, Block, Columns, Design, Predictor
from hiermodels.families import LINKS
from hiermodels.priors import ParameterPrior, PredictorPriors, Prior, Priors

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
    "phi": r"\phi",
}
#: The distribution of each family, as it is written.
DISTRIBUTIONS = {
    "gaussian": "Normal",
    "student": "StudentT",
    "lognormal": "LogNormal",
    "gamma": "Gamma",
    "beta": "Beta",
    "zi_beta": "ZeroInflatedBeta",
    "zoi_beta": "ZeroOneInflatedBeta",
    "bernoulli": "Bernoulli",
    "binomial": "Binomial",
    "betabinomial": "BetaBinomial",
    "poisson": "Poisson",
    "negbinomial": "NegBinomial",
    "negbinomial1": "NegBinomial1",
    "zi_poisson": "ZeroInflatedPoisson",
    "zi_negbinomial": "ZeroInflatedNegBinomial",
    "zi_negbinomial1": "ZeroInflatedNegBinomial1",
    "hurdle_poisson": "HurdlePoisson",
    "hurdle_negbinomial": "HurdleNegBinomial",
    "hurdle_negbinomial1": "HurdleNegBinomial1",
}
#: Var(y_i) where a distribution's name leaves open what its parameter is.
VARIANCES = {
    "gamma": r"\mu_i^2 / {alpha}",
    "beta": r"\mu_i\left(1 - \mu_i\right) / \left(1 + {phi}\right)",
    "betabinomial": r"{n}\, \mu_i\left(1 - \mu_i\right)"
    r"\left({phi} + {n}\right) / \left({phi} + 1\right)",
    "negbinomial": r"\mu_i + \mu_i^2 / {alpha}",
    "negbinomial1": r"\mu_i\left(1 + {phi}\right)",
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
    every = [(p, left_side(design, p)) for p in design.predictors]
    return Equations(
        likelihood=(likelihood(design), *moments(design)),
        predictor=tuple(line for p, left in every for line in linear_predictor(p, left)),
        groups=tuple(
            line for p, _ in every for block in p.blocks for line in group_lines(block, p)
        ),
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
    if design.family.categories:
        return cumulative(design)
    words = DISTRIBUTIONS[design.family.name]
    inside = [
        *trials(design),
        r"\mu_i",
        *(symbol(design, name) for name in design.family.auxiliary),
    ]
    given, y = r",\ ".join(inside), of_row(design.response_name)
    if design.weights is None:
        return rf"{y} &\sim \mathrm{{{words}}}\left({given}\right)"
    density = rf"\mathrm{{{words}}}\left({y} \mid {given}\right)^{{w_i}}"
    whole = braced(escape_text(design.response_name))
    every = given.replace("_i", "")
    return rf"p\left({whole} \mid {every}\right) &= \prod_i {density}"


def cumulative(design: Design) -> str:
    """logit P(y_i <= k) = c_k - eta_i, k = 1, ..., K - 1."""
    link, last = LINKS[design.family.link].latex, design.n_thresholds
    y = of_row(design.response_name)
    every = rf",\quad k = 1, \dots, {last}" + (r",\ w_i\ \text{times}" if weighted(design) else "")
    return rf"{link}\left(P\left({y} \le k\right)\right) &= c_k - \eta_i{every}"


def weighted(design: Design) -> bool:
    return design.weights is not None


def trials(design: Design) -> list[str]:
    """The number of trials of row i."""
    if design.trials is None:
        return []
    text = design.formula.quotient[1] if design.formula.quotient else "1"
    return [text if text.isdigit() else of_row(text.strip("`"))]


def symbol(design: Design, name: str) -> str:
    """A family's own parameter, with its row where it has a formula."""
    if name == design.family.residual and design.se is not None:
        return r"\text{se}_i"
    plain = SYMBOLS.get(name, escape_text(name))
    return f"{plain}_i" if name in design.extras else plain


def moments(design: Design) -> Iterator[str]:
    """What is not to be seen from the distribution's name: how its variance follows the mean."""
    if found := VARIANCES.get(design.family.name):
        own = {name: symbol(design, name) for name in design.family.auxiliary}
        variance = found.format(n=(trials(design) or [""])[0], **own)
        yield rf"\mathrm{{Var}}\left({of_row(design.response_name)}\right) &= {variance}"


def left_side(design: Design, predictor: Predictor) -> str:
    """What the linear predictor is of: ``mu_i``, or ``log(mu_i)``."""
    if predictor.parameter:
        link = next(p.link for p in design.parameters if p.name == predictor.parameter)
        inside = symbol(design, predictor.parameter)
    else:
        link, inside = design.family.link, r"\mu_i"
    if design.family.categories:
        return r"\eta_i"
    return inside if link == "identity" else rf"{LINKS[link].latex}\left({inside}\right)"


def marked(letter: str, predictor: Predictor) -> str:
    """A letter with the parameter it belongs to above, none for the mean."""
    if not predictor.parameter:
        return letter
    name = SYMBOLS.get(predictor.parameter, escape_text(predictor.parameter))
    return rf"{letter}^{{({name})}}"


def linear_predictor(predictor: Predictor, left: str) -> Iterator[str]:
    """mu_i as a sum, broken where it is too long for a line."""
    summands = [marked(r"\text{offset}", predictor) + "_i"] if predictor.offset.any() else []
    summands += [intercept(predictor)] if predictor.intercept else []
    summands += [rf"{beta(term, predictor)}\, {of_row(term)}" for term in predictor.terms]
    for block in predictor.blocks:
        summands += [group_summand(block, term, predictor) for term in block.terms]
    lines = wrapped(summands or ["0"])
    yield rf"{left} &= {lines[0]}"
    for line in lines[1:]:
        yield rf"&\quad + {line}"


def intercept(predictor: Predictor) -> str:
    return marked(r"\text{Intercept}", predictor)


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


def beta(term: str, predictor: Predictor) -> str:
    return rf"{marked(r'\beta', predictor)}_{{{escape_text(term)}}}"


def subscripted(letter: str, block: Block, term: str, where: str) -> str:
    """A letter with its place; the term is told where the factor has several or no intercept."""
    told = "" if block.terms == (INTERCEPT,) else rf"{escape_text(term)},\,"
    return f"{letter}_{{{told}{where}}}"


def effect(block: Block, term: str, of: Predictor) -> str:
    """The group effect of level j."""
    return subscripted(marked("b", of), block, term, rf"{escape_text(block.name)}\,j")


def sd_of(block: Block, term: str, of: Predictor) -> str:
    return subscripted(marked(r"\sigma", of), block, term, escape_text(block.name))


def group_summand(block: Block, term: str, of: Predictor) -> str:
    b = subscripted(marked("b", of), block, term, f"{escape_text(block.name)}[i]")
    return b if term == INTERCEPT else rf"{b}\, {of_row(term)}"


def correlated_parts(block: Block) -> list[tuple[int, ...]]:
    return [part for part in block.parts if len(part) > 1]


def matrix_of(letter: str, block: Block, part: tuple[int, ...], of: Predictor) -> str:
    """Sigma_g, R_g or D_g, numbered where a factor has several correlated parts."""
    parts = correlated_parts(block)
    number = rf",\,{parts.index(part) + 1}" if len(parts) > 1 else ""
    return f"{marked(letter, of)}_{{{escape_text(block.name)}{number}}}"


def group_lines(block: Block, of: Predictor) -> Iterator[str]:
    """The distribution of each part of a block, and its covariance in sds and correlations."""
    every = rf",\quad j = 1, \dots, {block.n_levels}"
    for part in block.parts:
        terms = [block.terms[k] for k in part]
        if len(part) == 1:
            b, sd = effect(block, terms[0], of), sd_of(block, terms[0], of)
            yield rf"{b} &\sim \mathrm{{Normal}}\left(0,\ {sd}\right){every}"
            continue
        vector = r" \\ ".join(effect(block, term, of) for term in terms)
        covariance, cor = (matrix_of(letter, block, part, of) for letter in (r"\Sigma", "R"))
        yield (
            rf"\begin{{pmatrix}} {vector} \end{{pmatrix}} &\sim "
            rf"\mathrm{{MultivariateNormal}}\left(0,\ {covariance}\right){every}"
        )
        sds = r",\ ".join(sd_of(block, term, of) for term in terms)
        d = matrix_of("D", block, part, of)
        yield (rf"{covariance} &= {d}\, {cor}\, {d},\quad {d} = \mathrm{{diag}}\left({sds}\right)")


def prior_lines(design: Design, priors: Priors) -> Iterator[str]:
    """Every prior on the scale of the data, in the order of `Priors`."""
    yield from predictor_priors(design.mean, priors.mean)
    for prior in priors.auxiliary:
        name = prior.parameter
        if design.family.categories:
            yield rf"{distributed(threshold_at_mean(design), prior)},\quad c_1 < c_2 < \dots"
        else:
            yield distributed(SYMBOLS.get(name, escape_text(name)), prior)
    for name, own in priors.extras.items():
        yield from predictor_priors(design.extras[name], own)


def predictor_priors(predictor: Predictor, priors: PredictorPriors) -> Iterator[str]:
    if priors.intercept is not None:
        yield distributed(at_mean(intercept(predictor), predictor), priors.intercept)
    for term, prior in zip(predictor.terms, priors.beta, strict=True):
        yield distributed(beta(term, predictor), prior)
    for block, sds, cor in zip(predictor.blocks, priors.sd, priors.cor, strict=True):
        for term, prior in zip(block.terms, sds, strict=True):
            yield distributed(sd_with_prior(block, term, predictor), prior)
        if cor is not None:
            for part in correlated_parts(block):
                yield distributed(cor_with_prior(block, part, predictor), cor)


def distributed(parameter: str, prior: ParameterPrior) -> str:
    return rf"{parameter} &\sim {distribution(prior.given)}"


def at_mean(of: str, predictor: Predictor, *, sign: str = "+") -> str:
    """Intercept + sum_k beta_k mean(x_k), the quantity that has the prior."""
    terms = centred_terms(predictor.common)
    if len(terms) > 2:
        columns = rf"\textstyle\sum_k {marked(r'\beta', predictor)}_k\, \overline{{x_k}}"
        return rf"{of} {sign} {columns}"
    return f" {sign} ".join([of, *(rf"{beta(t, predictor)}\, {mean_of(t)}" for t in terms)])


def threshold_at_mean(design: Design) -> str:
    """c_k - sum_k beta_k mean(x_k)."""
    return at_mean("c_k", design.mean, sign="-")


def centred_terms(columns: Columns) -> list[str]:
    """The columns that are centred inside, and whose mean is more than a rounding error."""
    moved = np.abs(columns.center) > 1e-9 * columns.scale
    return [name for name, far in zip(columns.names, moved, strict=True) if far]


def intercept_effect_at_mean(block: Block, of: Predictor) -> str:
    slopes = [rf"{effect(block, t, of)}\, {mean_of(t)}" for t in centred_terms(block.columns)]
    return " + ".join([effect(block, INTERCEPT, of), *slopes])


def sd_with_prior(block: Block, term: str, of: Predictor) -> str:
    """sigma_g, or for an intercept with centred slopes the sd at their mean."""
    if term == INTERCEPT and centred_terms(block.columns):
        return rf"\mathrm{{sd}}\left({intercept_effect_at_mean(block, of)}\right)"
    return sd_of(block, term, of)


def cor_with_prior(block: Block, part: tuple[int, ...], of: Predictor) -> str:
    """R_g, or with centred slopes the correlations where the intercept is at their mean."""
    terms = [block.terms[k] for k in part]
    if INTERCEPT not in terms or not centred_terms(block.columns):
        return matrix_of("R", block, part, of)
    inside = [
        intercept_effect_at_mean(block, of) if t == INTERCEPT else effect(block, t, of)
        for t in terms
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
