"""A model of ours as a Bambi model, with the same priors, where Bambi has such a model.

    (x || g)   is Bambi's (x | g), whose columns are independent
    zi         is 1 - psi

Bambi has no correlation between the columns of a group, and no weights or known standard errors.
Its priors stand on the scale of the data, the intercept's at the mean of the predictors, as here,
so that the posterior is the same. Nested factors have the cells without rows, too, there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.columns import namespace
from hiermodels.design import INTERCEPT, Design
from hiermodels.distributions import Prior
from hiermodels.errors import NotAvailableError
from hiermodels.numbers.prediction import columns_in, is_number, predictor_text, predictors
from hiermodels.priors import ParameterPrior, Priors

__all__ = ["build_bambi"]

#: Bambi's families, and its names of our parameters.
FAMILIES: dict[str, tuple[str, dict[str, str]]] = {
    "gaussian": ("gaussian", {"sigma": "sigma"}),
    "student": ("t", {"sigma": "sigma", "nu": "nu"}),
    "gamma": ("gamma", {"alpha": "alpha"}),
    "beta": ("beta", {"phi": "kappa"}),
    "bernoulli": ("bernoulli", {}),
    "binomial": ("binomial", {}),
    "betabinomial": ("beta_binomial", {"phi": "kappa"}),
    "poisson": ("poisson", {}),
    "negbinomial": ("negativebinomial", {"alpha": "alpha"}),
    "zi_poisson": ("zero_inflated_poisson", {"zi": "psi"}),
    "zi_negbinomial": ("zero_inflated_negativebinomial", {"alpha": "alpha", "zi": "psi"}),
}


def build_bambi(design: Design, priors: Priors) -> Any:
    """A `bambi.Model` with the same posterior.

    Raises
    ------
    NotAvailableError
        What Bambi does not have, with the nearest that it has.
    """
    import bambi

    check(design)
    family, names = FAMILIES[design.family.name]
    model = bambi.Model(
        formula(design),
        in_float64(design),
        family=family,
        link=design.family.link,
        auto_scale=False,
        extra_namespace=dict(namespace()),
    )
    component = model.parameters[model.family.likelihood.parent]
    chosen = common_priors(design, priors, component)
    chosen |= group_priors(design, priors, component)
    for prior in priors.auxiliary:
        name = names[prior.parameter]
        chosen[name] = bambi_prior([mirrored(prior) if name == "psi" else prior.given])
    model.set_priors(chosen)
    return model


def in_float64(design: Design) -> pd.DataFrame:
    """The rows with the numbers that predict as float64, for Bambi computes in what it is given.

    Labels stay as they are: grouping factors, and what stands in ``C(x)``.
    """
    frame = design.rows.frame
    labels = {part for b in design.blocks for part in b.factor}
    text = predictor_text(design)
    labels |= set(columns_in(design, " ".join(re.findall(r"\b[CST]\s*\(([^()]*)", text))))
    numbers = [c for c in predictors(design) if is_number(frame[c]) and c not in labels]
    return frame.astype(dict.fromkeys(numbers, "float64"))


def check(design: Design) -> None:
    """Nothing, or what Bambi lacks."""
    if design.family.name not in FAMILIES:
        raise NotAvailableError(f"Bambi has no family {design.family.name!r} with these parameters")
    for block in design.blocks:
        if block.correlated:
            terms = next(g.terms for g in design.formula.groups if g.name == block.name)
            raise NotAvailableError(
                f"Bambi has no correlation between the columns of {block.name}; the nearest it "
                f"has is ({terms} || {block.name})"
            )
    lacking = {
        "formulas of other parameters": bool(design.extras),
        "weights as frequencies": design.weights is not None,
        "known standard errors (se=)": design.se is not None,
        "a response of labels here: make it 0 and 1": design.categories is not None,
    }
    for what, lacks in lacking.items():
        if lacks:
            raise NotAvailableError(f"Bambi has no {what}")


def formula(design: Design) -> str:
    """The formula with ``|`` alone, the only bar that Bambi reads."""
    response = design.formula.response
    if design.trials is not None:
        if not design.formula.quotient:
            raise NotAvailableError("Bambi wants the trials: p(successes, trials)")
        response = f"p({', '.join(design.formula.quotient)})"
    groups = [f"({g.terms} | {':'.join(g.factor)})" for g in design.formula.groups]
    return f"{response} ~ {' + '.join([design.formula.common, *groups])}"


def common_priors(design: Design, priors: Priors, component: Any) -> dict[str, Any]:
    found = {}
    if priors.intercept is not None:
        found[INTERCEPT] = bambi_prior([priors.intercept.given])
    of = dict(zip(design.terms, priors.beta, strict=True))
    for name in component.common_terms:
        labels = component.design.common.terms[name].labels
        found[name] = bambi_prior([of[label].given for label in labels])
    return found


def group_priors(design: Design, priors: Priors, component: Any) -> dict[str, Any]:
    """``{"x|g": Normal(0, sd)}`` with the prior of the sd inside."""
    import bambi

    found = {}
    for name in component.group_specific_terms:
        expression, _, factor = name.partition("|")
        block, sds = next(
            (b, own) for b, own in zip(design.blocks, priors.sd, strict=True) if b.name == factor
        )
        own = INTERCEPT if expression == "1" else expression
        columns = [
            prior.given
            for term, prior in zip(block.terms, sds, strict=True)
            if own in (term, term.partition("[")[0])
        ]
        found[name] = bambi.Prior("Normal", mu=0, sigma=bambi_prior(columns))
    return found


def bambi_prior(columns: Sequence[Prior]) -> Any:
    """One prior, or that of the columns of a term, whose parameters are arrays."""
    import bambi

    first = columns[0]
    if len({prior.name for prior in columns}) > 1:
        raise NotAvailableError(
            f"Bambi has one distribution for the columns of a term, not {columns}"
        )
    values = {name: np.array([p.parameters[name] for p in columns]) for name in first.parameters}
    return bambi.Prior(first.name, **{k: v if len(v) > 1 else v.item() for k, v in values.items()})


def mirrored(prior: ParameterPrior) -> Prior:
    """The prior of psi = 1 - zi."""
    given = prior.given
    if given.name != "Beta":
        raise NotAvailableError(f"{given} of zi has no counterpart for Bambi's psi = 1 - zi")
    return Prior("Beta", alpha=given.parameters["beta"], beta=given.parameters["alpha"])
