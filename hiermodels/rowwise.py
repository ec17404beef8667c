"""A design of any family and its priors for the compiled density that reads row by row, and back.

The linear predictors are those of the family: of the mean, then of its own parameters in their
order; one without a formula is a predictor that is the same in all rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.collapsed import (
    block_data,
    block_values,
    common_columns,
    compiled_prior,
    positive_prior,
)
from hiermodels.design import Block, Design, Predictor
from hiermodels.families.family import ORDERED
from hiermodels.priors import ParameterPrior, PredictorPriors, Prior, Priors

if TYPE_CHECKING:
    from hiermodels.density.rows import RowPredictor, RowProblem
    from hiermodels.families import Parameter

__all__ = ["LARGEST_RESTS", "is_compiled", "not_rowwise", "row_problem", "row_scale"]

type Array = np.ndarray

#: Effects beside the largest factor, and common coefficients, that are eliminated densely in every
#: gradient; with more it is slower than PyMC's plain coordinates.
LARGEST_RESTS = 1_000


def not_rowwise(design: Design, priors: Priors) -> str:
    """Why the kernels cannot have this model, or nothing."""
    for own in priors.predictors:
        for sds in own.sd:
            for prior in sds:
                if not compiled_prior(prior.inside):
                    return f"the prior of {prior.parameter!r}, {prior.given}, is not a compiled one"
    sizes = sorted(b.n_levels * len(b.terms) for p in design.predictors for b in p.blocks)
    if (rest := sum(sizes[:-1])) > LARGEST_RESTS:
        return f"the factors beside the largest have {rest} effects, more than {LARGEST_RESTS}"
    return ""


def is_compiled(design: Design) -> bool:
    """Whether the family's density has been compiled on this machine."""
    from hiermodels.density.likelihoods import likelihood

    return likelihood(design.family.name, design.family.link).is_cached()


def row_problem(design: Design, priors: Priors) -> RowProblem:
    """The arrays that the density needs, standardised; rows of weight zero are left out."""
    from hiermodels.density.likelihoods import likelihood
    from hiermodels.density.rows import RowProblem

    kept: Any = slice(None) if design.weights is None else design.weights > 0
    trials = np.ones(design.n) if design.trials is None else design.trials.astype(float)
    if design.family.categories:  # the compiled density takes their number from here
        trials = np.full(design.n, float(design.n_thresholds + 1))
    compiled = likelihood(design.family.name, design.family.link)
    parts = [predictor_rows(design.mean, priors.mean, kept)]
    parts += own_predictors(design, priors, kept)
    return RowProblem(
        y=design.response[kept].astype(float),
        trials=trials[kept],
        counts=(np.ones(design.n) if design.weights is None else design.weights)[kept],
        predictors=tuple(parts),
        likelihood=compiled.address,
        evaluate=compiled.evaluate,
        simulate=simulator(design),
    )


def simulator(design: Design) -> Any:
    """Draws of a response for each row from its predictors (K, N) and trials."""
    family = design.family

    def simulate(rng: np.random.Generator, predictors: Array, trials: Array) -> Array:
        first, own = family.inverse_link(predictors[0]), predictors[1:]
        if family.categories:
            aux = {p.name: p.inverse(own.T) for p in family.parameters}
        else:
            aux = {p.name: p.inverse(own[k]) for k, p in enumerate(family.parameters)}
        return np.asarray(family.draw(rng, first, aux, trials), dtype=float)

    return simulate


def own_predictors(design: Design, priors: Priors, kept: Any) -> list[RowPredictor]:
    """Those of the family's own parameters, in their order."""
    constant = {p.name: prior for p, prior in zip(design.constants, priors.auxiliary, strict=True)}
    found: list[RowPredictor] = []
    for parameter in design.family.parameters:
        if parameter.name in design.extras:
            own = priors.extras[parameter.name]
            found.append(predictor_rows(design.extras[parameter.name], own, kept))
        elif parameter.name in constant:
            found += constant_rows(design, parameter, constant[parameter.name], kept)
        else:
            found.append(known_errors(design, kept))
    return found


def predictor_rows(predictor: Predictor, priors: PredictorPriors, kept: Any) -> RowPredictor:
    from hiermodels.density.rows import RowPredictor

    common = [*([priors.intercept] if priors.intercept is not None else []), *priors.beta]
    etas = tuple(
        (1.0 if cor is None else cor.inside.parameters["eta"],) * len(block.parts)
        for block, cor in zip(predictor.blocks, priors.cor, strict=True)
    )
    return RowPredictor(
        offset=np.array(predictor.offset[kept], dtype=float),
        X=common_columns(predictor)[kept],
        priors=tuple(coefficient_prior(prior) for prior in common),
        start=np.array([middle(prior.inside) for prior in common]),
        blocks=tuple(
            replace(block_data(block, kept), name=name_within(predictor.prefix, block))
            for block in predictor.blocks
        ),
        sd_priors=tuple(tuple(positive_prior(p.inside) for p in sds) for sds in priors.sd),
        lkj_eta=etas,
    )


def constant_rows(
    design: Design, parameter: Parameter, prior: ParameterPrior, kept: Any
) -> list[RowPredictor]:
    """A parameter without a formula; of thresholds one predictor each."""
    from hiermodels.density.rows import Link, RowPredictor

    n = len(design.response[kept])
    if parameter.link != ORDERED:
        start = float(parameter.inverse(np.array(parameter.location(1.0))))
        link = {"log": Link.LOG, "logit": Link.LOGIT}[parameter.link]
        starts, ordered = [start], False
    else:
        k = design.n_thresholds
        starts, link, ordered = [(1 - k) / 2, *[0.0] * (k - 1)], Link.IDENTITY, True
    return [
        RowPredictor(
            offset=np.zeros(n),
            X=np.ones((n, 1)),
            priors=(coefficient_prior(prior),),
            start=np.array([start]),
            link=link,
            ordered=ordered,
        )
        for start in starts
    ]


def known_errors(design: Design, kept: Any) -> RowPredictor:
    """Log of the known standard errors, in the place of log sigma."""
    from hiermodels.density.rows import RowPredictor

    assert design.se is not None
    log_se = np.log(design.se[kept])
    return RowPredictor(offset=log_se, X=np.empty((len(log_se), 0)), priors=(), start=np.empty(0))


def coefficient_prior(prior: ParameterPrior) -> Any:
    from hiermodels.density.coefficientpriors import CoefficientPrior

    return CoefficientPrior(name=prior.inside.name, parameters=prior.inside.parameters)


def middle(prior: Prior) -> float:
    """Where a normal prior has its mean; any other starts at zero or inside its support."""
    return prior.parameters["mu"] if prior.name == "Normal" else 0.0


def row_scale(design: Design, found: dict[str, Any]) -> dict[str, Array]:
    """Draws of the standardised parameters, (chains, draws, ...), on the scale of the data.

    As `collapsed.user_scale`, of every linear predictor; a parameter without a formula is on its
    own scale already.
    """
    common, start = found["common"], 0
    values: dict[str, Array] = {}

    def take(size: int) -> Array:
        nonlocal start
        start += size
        return common[..., start - size : start]

    def of_predictor(predictor: Predictor) -> dict[str, Array]:
        own = take(predictor.intercept + len(predictor.terms))
        return predictor_values(predictor, own, found)

    values |= of_predictor(design.mean)
    for parameter in design.parameters:
        if parameter.name in design.extras:
            values |= of_predictor(design.extras[parameter.name])
        elif parameter.link == ORDERED:
            cuts = parameter.inverse(take(design.n_thresholds))
            shift = values["beta"] @ design.common.center if design.terms else np.zeros(1)
            values[parameter.name] = cuts + shift[..., None]
        else:
            values[parameter.name] = take(1)[..., 0]
    return values


def predictor_values(predictor: Predictor, own: Array, found: dict[str, Any]) -> dict[str, Array]:
    """Intercept, beta, sd_g, cor_g and b_g of a linear predictor, with its prefix."""
    prefix, first = predictor.prefix, int(predictor.intercept)
    values: dict[str, Array] = {}
    beta = own[..., first:] / predictor.common.scale
    if predictor.intercept:
        values["Intercept"] = own[..., 0] - beta @ predictor.common.center
    if predictor.terms:
        values["beta"] = beta
    for block in predictor.blocks:
        values |= block_values(block, own_block(block, prefix, found))
    return {f"{prefix}{name}": draws for name, draws in values.items()}


def name_within(prefix: str, block: Block) -> str:
    """A block's name among those of all predictors: no key has a "/", so that none has it twice."""
    return f"{prefix}/{block.key}" if prefix else block.key


def own_block(block: Block, prefix: str, found: dict[str, Any]) -> dict[str, Any]:
    """The block's draws by the names that `block_values` reads, b = T b_std."""
    name, theirs = block.key, name_within(prefix, block)
    return {
        f"sd_{name}": found[f"sd_{theirs}"],
        f"cor_{name}": found[f"cor_{theirs}"],
        f"b_{name}": found[f"b_{theirs}"] @ block.transform.T,
    }
