"""The call of R that fits the same model: lme4, glmmTMB, brms, metafor.

    hm.fit("Reaction ~ Days + (Days | Subject)", data).to_r()

    library(lme4)
    fit <- lmer(Reaction ~ Days + (Days | Subject), data = data)

lme4, glmmTMB and metafor have no priors: their estimates are those that a posterior with flat
priors has its mode near. The code for brms has the priors of the model. What has no equivalent is
an error, what has a near one is said in a comment of the code.

Source: Bates et al. 2015, J. Stat. Softw. 67(1); Brooks et al. 2017, R Journal 9(2); Bürkner 2017,
J. Stat. Softw. 80(1); Viechtbauer 2010, J. Stat. Softw. 36(3).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.design import INTERCEPT, Block, Design, Predictor
from hiermodels.distributions import LKJ, Prior
from hiermodels.errors import NotAvailableError, lookup
from hiermodels.labels.r_formula import quoted, r_expression, r_predictor, r_string
from hiermodels.priors import ParameterPrior, PredictorPriors, Priors

__all__ = ["PROGRAMS", "RCode", "build_r"]

LINE = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class RCode:
    """Code of R. Made by `build_r`; printed, it is the code with its comments."""

    program: str
    code: str

    def __str__(self) -> str:
        return self.code

    def __repr__(self) -> str:
        return self.code

    def _repr_html_(self) -> str:
        return f"<pre><code class='language-r'>{html.escape(self.code)}</code></pre>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A model in R's words before a program has its own way with it.

    ``before`` are lines that change the data frame, ``notes`` comments; ``successes`` and
    ``trials`` are the two sides of a response that has them, else None.
    """

    response: str
    successes: str | None
    trials: str | None
    before: tuple[str, ...]
    notes: tuple[str, ...]
    data: str


def build_r(
    design: Design, priors: Priors, *, program: str | None = None, data: str = "data"
) -> RCode:
    """The call that fits the same model in ``program``, a key of `PROGRAMS`.

    None takes the first that has an equivalent. ``data`` is the name of R's data frame, with the
    same columns.

    Raises
    ------
    NotAvailableError
        A model that the program cannot fit, with the reason and the programs that can.
    UnknownNameError
        A program that is not among `PROGRAMS`.
    """
    if program is not None:
        write = lookup(program, PROGRAMS, what="program")
        try:
            return RCode(program=program, code=write(design, priors, data))
        except NotAvailableError as error:
            others = [name for name in PROGRAMS if possible(name, design, priors)]
            told = f" Programs that can: {', '.join(others)}." if others else ""
            raise NotAvailableError(f"{error}.{told}") from None
    reasons = []
    for name in sorted(PROGRAMS, key=lambda name: name in LATER.get(design.family.name, ())):
        try:
            return RCode(program=name, code=PROGRAMS[name](design, priors, data))
        except NotAvailableError as error:
            reasons.append(f"{name}: {error}")
    raise NotAvailableError("no program of R fits this model.\n" + "\n".join(reasons))


def possible(program: str, design: Design, priors: Priors) -> bool:
    try:
        PROGRAMS[program](design, priors, "data")
    except NotAvailableError:
        return False
    return True


# --- what all programs share ----------------------------------------------------------------------


def written(design: Design, data: str) -> Written:
    """Response and data in R's words."""
    formula = design.formula
    before, notes = [*ordered_columns(design, data)], []
    successes = trials = None
    if design.trials is not None and formula.quotient:
        (successes, first), (trials, second) = map(r_expression, formula.quotient)
        notes += [*first, *second]
    response, told = r_expression(formula.response) if successes is None else ("", ())
    notes += told
    if design.categories is not None and not design.family.categories:
        response = f"as.integer({response} == {r_string(design.categories[-1])})"
    if design.weights is not None:
        notes.append(f"{data}$w: what was given as weights=, how often each row counts.")
    if design.se is not None:
        notes.append(f"{data}$se: what was given as se=, the known standard errors.")
    return Written(
        response=response,
        successes=successes,
        trials=trials,
        before=tuple(before),
        notes=tuple(notes),
        data=data,
    )


def ordered_columns(design: Design, data: str) -> Iterator[str]:
    """Factors whose order is not the alphabet's, which R would not know."""
    names = dict.fromkeys(name for p in design.predictors for name in p.formula.column_names)
    groups = {name for p in design.predictors for b in p.blocks for name in b.factor}
    for name in names:
        column = design.rows.frame[name]
        # an integer response of brms has every category from 1 to its maximum
        response = design.family.categories and name == design.response_name
        categorical = isinstance(column.dtype, pd.CategoricalDtype)
        if name in groups or not (categorical or response):
            continue
        known = design.categories or () if response else column.cat.categories.tolist()
        if not response and alphabetical(known):
            continue
        labels = ", ".join(map(r_string, known))
        ordered = ", ordered = TRUE" if response else ""
        whole = f"{data}${quoted(name)}"
        yield f"{whole} <- factor({whole}, levels = c({labels}){ordered})"


def alphabetical(labels: Sequence[Any]) -> bool:
    """Whether R makes this order of text by itself, whatever its locale."""
    words = [str(label) for label in labels if isinstance(label, str)]
    plain = all(re.fullmatch("[A-Za-z][A-Za-z0-9]*", word) for word in words)
    return (
        len(words) == len(labels)
        and plain
        and words == sorted(words) == sorted(words, key=str.casefold)
    )


def independent_columns(predictor: Predictor, k: int) -> bool:
    """Whether a group term is ``(f || g)`` where f has several columns, as a factor has."""
    group = predictor.formula.groups[k]
    block = next(b for b in predictor.blocks if b.name == group.name)
    return not group.correlated and any(term.endswith("]") for term in block.terms)


def call(function: str, *arguments: str) -> str:
    """``fit <- f(a, b)``, one argument a line where it is too long for one."""
    kept = [a for a in arguments if a]
    line = f"fit <- {function}({', '.join(kept)})"
    if len(line) <= LINE:
        return line
    inside = ",\n".join("  " + a.replace("\n", "\n  ") for a in kept)
    return f"fit <- {function}(\n{inside}\n)"


def assembled(library: str, of: Written, *body: str, notes: tuple[str, ...] = ()) -> str:
    comments = [
        line
        for note in dict.fromkeys((*of.notes, *notes))
        for line in wrap(note, LINE, initial_indent="# ", subsequent_indent="#   ")
    ]
    return "\n".join([*([f"library({library})"] if library else []), *comments, *of.before, *body])


def refuse(program: str, reason: str) -> NotAvailableError:
    return NotAvailableError(f"{program} cannot fit this model: {reason}")


# --- lme4 -----------------------------------------------------------------------------------------


def lme4_code(design: Design, priors: Priors, data: str) -> str:
    """lmer, glmer, glmer.nb; lm, glm and MASS::glm.nb of a model without groups."""
    family, link = design.family.name, design.family.link
    if design.extras:
        raise refuse("lme4", f"it has no formula of {next(iter(design.extras))}")
    if design.se is not None:
        raise refuse("lme4", "it has no known standard errors")
    if family not in LME4:
        raise refuse("lme4", f"it has no family {family!r}")
    for k, group in enumerate(design.formula.groups):
        if independent_columns(design.mean, k):
            raise refuse("lme4", f"its || leaves the columns of a factor correlated: {group}")
    of = written(design, data)
    right, notes = r_predictor(design.formula)
    response = f"log({of.response})" if family == "lognormal" else of.response
    if of.successes is not None:
        response = f"cbind({of.successes}, {of.trials} - {of.successes})"
    rows = of.data
    if design.weights is not None:
        if not np.array_equal(design.weights, np.round(design.weights)):
            raise refuse("lme4", "its weights divide the variance, and these are no whole numbers")
        rows = f"{data}[rep(seq_len(nrow({data})), {data}$w), ]"
        notes = (*notes, "lme4's weights divide the variance: the rows are repeated instead.")
    grouped = bool(design.blocks)
    function, shown = LME4[family](grouped, link)
    library = "lme4" if grouped else ""
    if not grouped:
        notes = (*notes, "No group term, so this is base R.")
    elif function != "lmer" and (large := far_from_one(design)):
        notes = (*notes, f"{function} may need columns of a size near 1: scale({large}).")
    body = call(function, f"{response} ~ {right}", f"data = {rows}", shown)
    return assembled(library, of, body, notes=notes)


def far_from_one(design: Design) -> str:
    """The first column whose size glmer's optimiser stumbles over, or nothing."""
    scales = zip(design.terms, design.common.scale, strict=True)
    return next((term for term, scale in scales if not 0.01 < scale < 100), "")


def gaussian_call(grouped: bool, link: str) -> tuple[str, str]:
    return ("lmer" if grouped else "lm"), ""


def generalised(family: str) -> Callable[[bool, str], tuple[str, str]]:
    return lambda grouped, link: (
        "glmer" if grouped else "glm",
        f"family = {with_link(family, link)}",
    )


def with_link(family: str, link: str) -> str:
    """``poisson``, ``binomial("probit")``: the link where it is not R's own."""
    return family if DEFAULT_LINK.get(family) == link else f'{family}("{link}")'


DEFAULT_LINK = {"binomial": "logit", "poisson": "log", "beta_family": "logit"}
DEFAULT_LINK["betabinomial"] = "logit"


#: The function of lme4 and its family, of each family of ours that lme4 has.
LME4: dict[str, Callable[[bool, str], tuple[str, str]]] = {
    "gaussian": gaussian_call,
    "lognormal": gaussian_call,
    "gamma": generalised("Gamma"),
    "bernoulli": generalised("binomial"),
    "binomial": generalised("binomial"),
    "poisson": generalised("poisson"),
    "negbinomial": lambda grouped, link: ("glmer.nb" if grouped else "MASS::glm.nb", ""),
}


# --- glmmTMB --------------------------------------------------------------------------------------

#: The family of glmmTMB of each of ours that it has.
GLMMTMB = {
    "gaussian": "",
    "lognormal": "",
    "gamma": "Gamma",
    "beta": "beta_family",
    "zi_beta": "beta_family",
    "bernoulli": "binomial",
    "binomial": "binomial",
    "betabinomial": "betabinomial",
    "poisson": "poisson",
    "negbinomial": "nbinom2",
    "negbinomial1": "nbinom1",
    "zi_poisson": "poisson",
    "zi_negbinomial": "nbinom2",
    "zi_negbinomial1": "nbinom1",
    "hurdle_poisson": "truncated_poisson",
    "hurdle_negbinomial": "truncated_nbinom2",
    "hurdle_negbinomial1": "truncated_nbinom1",
}
LINKED = ("Gamma", "beta_family", "binomial", "betabinomial")
#: What glmmTMB's dispersion is in ours, where its coefficients are others.
DISPERSIONS = {
    "gaussian": "glmmTMB's dispersion has been log(sigma^2), twice that of log(sigma), and is "
    "log(sigma) in its later versions: see ?sigma.glmmTMB.",
    "gamma": "glmmTMB's dispersion is 1 / alpha: the coefficients of alpha with the other sign.",
}
DISPERSIONS["lognormal"] = DISPERSIONS["gaussian"]


def glmmtmb_code(design: Design, priors: Priors, data: str) -> str:
    family = design.family.name
    if design.se is not None:
        raise refuse("glmmTMB", "it has no known standard errors")
    if family not in GLMMTMB:
        raise refuse("glmmTMB", f"it has no family {family!r}")
    roles = {p.name: p.role for p in design.family.parameters}
    for name, predictor in design.extras.items():
        if predictor.blocks and roles[name] == "dispersion":
            raise refuse("glmmTMB", f"not all its versions have group terms of {name}")
    of = written(design, data)
    right, notes = r_predictor(design.formula, diagonal(design.mean))
    response = f"log({of.response})" if family == "lognormal" else of.response
    if of.successes is not None:
        response = f"cbind({of.successes}, {of.trials} - {of.successes})"
    shown = f"family = {glmmtmb_family(design)}" if GLMMTMB[family] else ""
    arguments = [f"{response} ~ {right}", f"data = {data}", shown]
    if design.weights is not None:
        arguments.append("weights = w")
    for parameter in design.family.parameters:
        own = design.extras.get(parameter.name)
        if parameter.role == "zi":
            arguments.append(f"ziformula = ~ {side(own)}" if own else "ziformula = ~ 1")
        elif own is not None:
            arguments.append(f"dispformula = ~ {side(own)}")
            notes = (*notes, *([DISPERSIONS[family]] if family in DISPERSIONS else []))
    return assembled("glmmTMB", of, call("glmmTMB", *arguments), notes=notes)


def glmmtmb_family(design: Design) -> str:
    """The family, with the link where families of R have several."""
    name = GLMMTMB[design.family.name]
    return with_link(name, design.family.link) if name in LINKED else name


def side(predictor: Predictor) -> str:
    return r_predictor(predictor.formula, diagonal(predictor))[0]


def diagonal(predictor: Predictor) -> Callable[[int], str | None]:
    """``diag(f | g)`` for ``(f || g)`` of a factor, whose columns bars leave correlated."""
    return lambda k: "diag" if independent_columns(predictor, k) else None


# --- metafor --------------------------------------------------------------------------------------


def metafor_code(design: Design, priors: Priors, data: str) -> str:
    """rma.mv of effects with known standard errors in groups of random intercepts."""
    if design.se is None or design.family.name != "gaussian":
        raise refuse("metafor", "it is for a gaussian response with known standard errors (se=)")
    if design.weights is not None:
        raise refuse("metafor", "its weights are no frequencies")
    if any(block.terms != (INTERCEPT,) for block in design.blocks):
        raise refuse("metafor", "this code is for random intercepts alone")
    if design.offset.any():
        raise refuse("metafor", "it has no offset")
    of = written(design, data)
    common, notes = r_expression(design.formula.common)
    random = ", ".join(
        "~ 1 | " + (quoted(b.name) if len(b.factor) == 1 else crossed(b)) for b in design.blocks
    )
    body = call(
        "rma.mv",
        of.response,
        "V = se^2",
        f"mods = ~ {common}" if common != "1" else "",
        f"random = list({random})" if len(design.blocks) > 1 else f"random = {random}",
        f"data = {data}",
    )
    return assembled("metafor", of, body, notes=notes)


def crossed(block: Block) -> str:
    return f"interaction({', '.join(map(quoted, block.factor))})"


# --- brms -----------------------------------------------------------------------------------------

#: The family of brms of each of ours that it has.
BRMS = {
    "gaussian": "gaussian()",
    "student": "student()",
    "lognormal": "lognormal()",
    "gamma": 'Gamma("{link}")',
    "beta": 'Beta("{link}")',
    "zi_beta": 'zero_inflated_beta("{link}")',
    "zoi_beta": 'zero_one_inflated_beta("{link}")',
    "bernoulli": 'bernoulli("{link}")',
    "binomial": 'binomial("{link}")',
    "betabinomial": 'beta_binomial("{link}")',
    "poisson": "poisson()",
    "negbinomial": "negbinomial()",
    "zi_poisson": "zero_inflated_poisson()",
    "zi_negbinomial": "zero_inflated_negbinomial()",
    "hurdle_poisson": "hurdle_poisson()",
    "hurdle_negbinomial": "hurdle_negbinomial()",
    "ordinal": 'cumulative("{link}")',
}
#: Our distributions in Stan's words, half distributions as brms writes them.
STAN = {
    "Normal": "normal({mu}, {sigma})",
    "StudentT": "student_t({nu}, {mu}, {sigma})",
    "Cauchy": "cauchy({alpha}, {beta})",
    "Laplace": "double_exponential({mu}, {b})",
    "Logistic": "logistic({mu}, {s})",
    "Uniform": "uniform({lower}, {upper})",
    "TruncatedNormal": "normal({mu}, {sigma})",
    "HalfNormal": "normal(0, {sigma})",
    "HalfStudentT": "student_t({nu}, 0, {sigma})",
    "HalfCauchy": "cauchy(0, {beta})",
    "Exponential": "exponential({lam})",
    "Gamma": "gamma({alpha}, {beta})",
    "InverseGamma": "inv_gamma({alpha}, {beta})",
    "LogNormal": "lognormal({mu}, {sigma})",
    "Weibull": "weibull({alpha}, {beta})",
    "Beta": "beta({alpha}, {beta})",
    LKJ: "lkj({eta})",
}
BOUNDED = ("Uniform", "TruncatedNormal")
#: brms' renaming of what R calls a coefficient.
RENAMED = {"+": "P", "-": "M", "*": "MU", "/": "D", "^": "E", "=": "EQ"}


def brms_code(design: Design, priors: Priors, data: str) -> str:
    family = design.family.name
    if family not in BRMS:
        raise refuse("brms", f"it has no family {family!r}")
    of = written(design, data)
    right, notes = r_predictor(design.formula)
    terms = additional(design, of)
    response = of.successes or of.response
    left = f"{response} | {' + '.join(terms)}" if terms else response
    formulas = [f"{left} ~ {right}"]
    for name, own in design.extras.items():
        formulas.append(f"{brms_name(design, name)} ~ {r_predictor(own.formula)[0]}")
    formula = formulas[0]
    if len(formulas) > 1:
        formula = "bf(\n" + ",\n".join(f"  {f}" for f in formulas) + "\n)"
    body = call(
        "brm",
        formula,
        f"data = {data}",
        f"family = {BRMS[family].format(link=design.family.link)}",
        "prior = priors",
        "drop_unused_levels = FALSE" if design.empty_categories else "",
    )
    lines = [*brms_priors(design, priors)]
    chosen = "priors <- c(\n" + ",\n".join(f"  {line}" for line in lines) + "\n)"
    return assembled("brms", of, chosen, body, notes=(*notes, *brms_notes(design)))


def additional(design: Design, of: Written) -> list[str]:
    """What brms writes between the response and the tilde."""
    terms = []
    if design.trials is not None:
        terms.append(f"trials({of.trials or '1'})")
    if design.se is not None:
        terms.append("se(se)")
    if design.weights is not None:
        terms.append("weights(w)")
    return terms


def brms_name(design: Design, parameter: str) -> str:
    """A family's own parameter in brms."""
    if parameter == "alpha":
        return "shape"
    return "hu" if parameter == "zi" and design.family.name.startswith("hurdle") else parameter


def brms_notes(design: Design) -> Iterator[str]:
    sloped = [
        b.name
        for p in design.predictors
        for b in p.blocks
        if INTERCEPT in b.terms and np.any(b.columns.center != 0)
    ]
    if sloped:
        yield (
            f"Here the prior of the sd of intercepts of {', '.join(sloped)} is that at the mean of "
            "the slopes' columns, in brms at their zero: centre them for the same."
        )
    if design.family.name == "student":
        yield "nu is greater than 1 in brms."


def brms_priors(design: Design, priors: Priors) -> Iterator[str]:
    """A line for each prior, on the scale of the data."""
    for predictor, own in zip(design.predictors, priors.predictors, strict=True):
        dpar = brms_name(design, predictor.parameter) if predictor.parameter else ""
        yield from predictor_lines(predictor, own, dpar)
    for prior in priors.auxiliary:
        if design.family.categories:
            yield prior_line(prior, "class = Intercept")
        else:
            name = brms_name(design, prior.parameter)
            yield prior_line(prior, f"class = {name}", own=True)


def predictor_lines(predictor: Predictor, priors: PredictorPriors, dpar: str) -> Iterator[str]:
    of = (f"dpar = {dpar}",) if dpar else ()
    if priors.intercept is not None:
        yield prior_line(priors.intercept, "class = Intercept", *of)
    yield from coefficient_lines(predictor, priors, of)
    for block, sds, cor in zip(predictor.blocks, priors.sd, priors.cor, strict=True):
        group = f"group = {r_name(block.name)}"
        for term, prior in zip(block.terms, sds, strict=True):
            coef = f"coef = {r_name(brms_coefficient(term))}"
            yield prior_line(prior, "class = sd", group, coef, *of)
        if cor is not None:
            yield prior_line(cor, "class = cor", group)


def coefficient_lines(
    predictor: Predictor, priors: PredictorPriors, of: tuple[str, ...]
) -> Iterator[str]:
    """One line for all coefficients where all have the same prior, else one for each."""
    if len({prior.given for prior in priors.beta}) == 1 and not any(
        prior.given.name in BOUNDED for prior in priors.beta
    ):
        yield prior_line(priors.beta[0], "class = b", *of)
        return
    for term, prior in zip(predictor.terms, priors.beta, strict=True):
        if prior.given.name in BOUNDED:
            raise refuse("brms", f"bounds are there for all coefficients at once, not for {term}")
        yield prior_line(prior, "class = b", f"coef = {r_name(brms_coefficient(term))}", *of)


def prior_line(prior: ParameterPrior, *where: str, own: bool = False) -> str:
    bounds = bounds_of(prior.given) if own else ()
    if prior.given.name in BOUNDED and not own:
        raise refuse("brms", f"no bounds are written for {prior.parameter}")
    return f"prior({stan(prior.given)}, {', '.join((*where, *bounds))})"


def bounds_of(prior: Prior) -> Iterator[str]:
    if prior.name not in BOUNDED:
        return
    for name, word in (("lower", "lb"), ("upper", "ub")):
        if np.isfinite(prior.parameters.get(name, np.inf)):
            yield f"{word} = {prior.parameters[name]:.6g}"


def stan(prior: Prior) -> str:
    return STAN[prior.name].format(**{k: f"{v:.6g}" for k, v in prior.parameters.items()})


def r_name(name: str) -> str:
    """A name as an argument of prior(): bare where it is a word, else a string."""
    return name if quoted(name) == name else r_string(name)


def brms_coefficient(term: str) -> str:
    """What brms calls a coefficient: R's name without brackets, operators in letters."""
    if term == INTERCEPT:
        return term
    return ":".join(map(brms_part, split_product(term)))


def split_product(term: str) -> list[str]:
    """The parts of ``a:f[b]``, colons within brackets left alone."""
    parts, depth = [""], 0
    for char in term:
        depth += (char in "([{") - (char in ")]}")
        if char == ":" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def brms_part(part: str) -> str:
    """``species[grey]`` as ``speciesgrey``, ``np.log(x)`` as ``logx``, ``bs(x)[0]`` as ``bsx1``."""
    found = re.fullmatch(r"(.*)\[([^\[\]]*)\]", part)
    expression, label = found.groups() if found else (part, "")
    expression = r_expression(expression)[0]
    if found and "(" in expression and label.isdigit():
        label = str(int(label) + 1)  # R counts columns from 1
    name = "".join(RENAMED.get(c, c) for c in f"{expression}{label}")
    return re.sub(r"[^\w.]", "", name)


#: What writes the code for each program of R, the first that can being the default.
PROGRAMS: dict[str, Callable[[Design, Priors, str], str]] = {
    "lme4": lme4_code,
    "glmmTMB": glmmtmb_code,
    "metafor": metafor_code,
    "brms": brms_code,
}
#: Programs that others are better at: glmer.nb often stops at columns of different sizes.
LATER = {"negbinomial": ("lme4",)}
