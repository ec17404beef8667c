"""Weakly informative priors, each printable and each to be overridden.

On the standardised scale, with m and s the location and scale of the response:

    Intercept ~ Normal(m, 2.5 s)       beta ~ Normal(0, 2.5 s)
    sd_g ~ HalfStudentT(3, s)          cor_g ~ LKJ(1)            sigma ~ HalfStudentT(3, s)

and the family's own parameters as in `families.parameters`. Where one of them has a formula, its
coefficients on the log or logit scale have

    Intercept ~ Normal(m, 1.5)         beta ~ Normal(0, 1.5)     sd_g ~ HalfStudentT(3, 1)

with m the middle of what its prior would be.

A user writes priors on the scale of the data: a coefficient per unit of x, the intercept at the
mean of the predictors, an sd per unit of x. `Priors` keeps both scales; the factor between them is
the scale of the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hiermodels.design import INTERCEPT, Block, Design, Predictor
from hiermodels.distributions import DISTRIBUTIONS, LKJ, Prior
from hiermodels.errors import PriorError, did_you_mean
from hiermodels.families import Parameter

__all__ = [
    "DISTRIBUTIONS",
    "ParameterPrior",
    "PredictorPriors",
    "Prior",
    "Priors",
    "build_priors",
]

#: The sd of a normal prior, in scales of the response; and that of the coefficients of a family's
#: own parameter on its log or logit scale: 95 % of exp(1.5 z) is between 1/19 and 19.
WIDE, OWN_WIDE = 2.5, 1.5
#: What a threshold can have: distributions of every number.
UNBOUNDED = ("Normal", "StudentT", "Cauchy", "Laplace", "Logistic")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterPrior:
    """The prior of one parameter on both scales. Made by `build_priors`.

    ``given`` is on the user's scale, ``inside`` on the standardised one, ``default`` False where
    the user wrote it.
    """

    parameter: str
    given: Prior
    inside: Prior
    default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorPriors:
    """The priors of a linear predictor. Made by `build_priors`, read with its `Predictor`.

    ``sd`` has a tuple for each block, one prior a column; ``cor`` one prior a block or None.
    """

    intercept: ParameterPrior | None
    beta: tuple[ParameterPrior, ...]
    sd: tuple[tuple[ParameterPrior, ...], ...]
    cor: tuple[ParameterPrior | None, ...]

    def __iter__(self) -> Iterator[ParameterPrior]:
        if self.intercept is not None:
            yield self.intercept
        yield from self.beta
        for sds, cor in zip(self.sd, self.cor, strict=True):
            yield from sds
            if cor is not None:
                yield cor


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """The priors of a model. Made by `build_priors`, read by `model`, printed by the user.

    ``intercept`` to ``cor`` are those of the mean's linear predictor, as in `PredictorPriors`;
    ``auxiliary`` those of the family's own parameters that have no formula, in their order;
    ``extras`` those of the linear predictors of the others, by parameter.
    """

    intercept: ParameterPrior | None
    beta: tuple[ParameterPrior, ...]
    sd: tuple[tuple[ParameterPrior, ...], ...]
    cor: tuple[ParameterPrior | None, ...]
    auxiliary: tuple[ParameterPrior, ...]
    extras: Mapping[str, PredictorPriors] = field(default_factory=dict)

    @property
    def mean(self) -> PredictorPriors:
        """Those of the mean's linear predictor."""
        return PredictorPriors(intercept=self.intercept, beta=self.beta, sd=self.sd, cor=self.cor)

    @property
    def predictors(self) -> tuple[PredictorPriors, ...]:
        """One for each of the design's ``predictors``."""
        return (self.mean, *self.extras.values())

    def __iter__(self) -> Iterator[ParameterPrior]:
        yield from self.mean
        yield from self.auxiliary
        for own in self.extras.values():
            yield from own

    def __getitem__(self, parameter: str) -> ParameterPrior:
        found = {p.parameter: p for p in self}
        if parameter not in found:
            raise PriorError(
                f"no parameter {parameter!r}. Parameters: {', '.join(found)}."
                f"{did_you_mean(parameter, found)}"
            )
        return found[parameter]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Parameter, prior per unit of the data, prior inside, and who chose it."""
        return [
            (p.parameter, repr(p.given), repr(p.inside), "default" if p.default else "yours")
            for p in self
        ]

    def __repr__(self) -> str:
        head = ("parameter", "on the scale of the data", "standardised", "from")
        rows = [head, *self.rows()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        from hiermodels.printing import html_table

        head = ("parameter", "on the scale of the data", "standardised", "from")
        return html_table(head, self.rows())


def build_priors(design: Design, given: Mapping[str, Any] | None = None) -> Priors:
    """The default priors of a design, with the user's in their place.

    ``given`` maps ``"Intercept"``, ``"beta"`` (all coefficients), a term or ``"beta[term]"``,
    ``"sd_g"`` (all sds of a factor), ``"sd_g[term]"``, ``"cor_g"``, and the family's own such as
    ``"sigma"``, to a `Prior`. A column that is called like one of them is ``"beta[sigma]"``.
    The coefficients of a parameter with a formula have its name before theirs:
    ``"zi_Intercept"``, ``"zi_beta"``, ``"zi_x"``, ``"zi_sd_g"``.

    Raises
    ------
    PriorError
        For a name that is no parameter, or a prior that its parameter cannot have.
    """
    chosen = Chosen(given or {})
    location, scale = design.family.location_scale(design.response, design.offset, design.trials)
    mean = predictor_priors(
        design,
        design.mean,
        chosen,
        intercept=Prior("Normal", mu=location, sigma=WIDE * scale),
        beta=Prior("Normal", mu=0, sigma=WIDE * scale),
        sd=Prior("HalfStudentT", nu=3, sigma=scale),
    )
    priors = Priors(
        intercept=mean.intercept,
        beta=mean.beta,
        sd=mean.sd,
        cor=mean.cor,
        auxiliary=tuple(chosen.own(p, p.default(scale)) for p in design.constants),
        extras={
            p.name: extra_priors(design, design.extras[p.name], chosen, middle=p.location(scale))
            for p in design.parameters
            if p.name in design.extras
        },
    )
    chosen.check_all_used([p.parameter for p in priors])
    return priors


def extra_priors(
    design: Design, predictor: Predictor, chosen: Chosen, *, middle: float
) -> PredictorPriors:
    """Of a family's own parameter: on a log or logit scale, where one unit is much."""
    return predictor_priors(
        design,
        predictor,
        chosen,
        intercept=Prior("Normal", mu=middle - float(np.mean(predictor.offset)), sigma=OWN_WIDE),
        beta=Prior("Normal", mu=0, sigma=OWN_WIDE),
        sd=Prior("HalfStudentT", nu=3, sigma=1),
    )


def predictor_priors(
    design: Design,
    predictor: Predictor,
    chosen: Chosen,
    *,
    intercept: Prior,
    beta: Prior,
    sd: Prior,
) -> PredictorPriors:
    """The priors of a linear predictor; those given here are the standardised defaults."""
    prefix, blocks = predictor.prefix, predictor.blocks
    names = design.coefficient_names(predictor)
    return PredictorPriors(
        intercept=chosen.real(f"{prefix}{INTERCEPT}", (), intercept, 1.0)
        if predictor.intercept
        else None,
        beta=tuple(
            chosen.real(name, (f"{prefix}beta[{term}]", f"{prefix}beta"), beta, column_scale)
            for name, term, column_scale in zip(
                names, predictor.terms, predictor.common.scale, strict=True
            )
        ),
        sd=tuple(tuple(sd_priors(prefix, block, chosen, sd)) for block in blocks),
        cor=tuple(
            chosen.correlation(f"{prefix}cor_{block.name}") if block.correlated else None
            for block in blocks
        ),
    )


def sd_priors(
    prefix: str, block: Block, chosen: Chosen, default: Prior
) -> Iterator[ParameterPrior]:
    name = f"{prefix}sd_{block.name}"
    for term, scale in zip(block.terms, block.columns.scale, strict=True):
        yield chosen.positive(f"{name}[{term}]", (name,), default, scale)


class Chosen:
    """What the user gave, and which of it was used; lives for the time of `build_priors`."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = {name: Prior.of(prior, parameter=name) for name, prior in given.items()}
        self.used: set[str] = set()

    def real(
        self, name: str, also: tuple[str, ...], default: Prior, scale: float
    ) -> ParameterPrior:
        """``default`` is standardised; a given prior is per unit of the data."""
        for key in (name, *also):
            if key in self.given:
                self.used.add(key)
                prior = self.given[key]
                if prior.name == LKJ:
                    raise PriorError(f"{name!r} is not a correlation: LKJ is not for it")
                return ParameterPrior(
                    parameter=name, given=prior, inside=prior.scaled(scale), default=False
                )
        return ParameterPrior(
            parameter=name, given=default.scaled(1 / scale), inside=default, default=True
        )

    def positive(
        self, name: str, also: tuple[str, ...], default: Prior, scale: float
    ) -> ParameterPrior:
        prior = self.real(name, also, default, scale)
        if not prior.given.positive:
            half = ", ".join(k for k, d in DISTRIBUTIONS.items() if d.positive and not d.unit)
            raise PriorError(
                f"{name!r} is positive, and {prior.given} has mass below zero. Valid: {half}."
            )
        return prior

    def own(self, parameter: Parameter, default: Prior) -> ParameterPrior:
        """The prior of a family's own parameter: positive, a probability, or any number."""
        if parameter.link == "log":
            return self.positive(parameter.name, (), default, 1.0)
        prior = self.real(parameter.name, (), default, 1.0)
        if parameter.link == "ordered" and prior.given.name not in UNBOUNDED:
            raise PriorError(
                f"{parameter.name!r} can be any number, and {prior.given} has bounds. "
                f"Valid: {', '.join(UNBOUNDED)}."
            )
        if parameter.link == "logit" and not prior.given.unit:
            raise PriorError(
                f"{parameter.name!r} is a probability, and {prior.given} has mass outside 0 to 1. "
                "Valid: hm.Prior('Beta', alpha=2, beta=5), and a Uniform or TruncatedNormal "
                "within 0 and 1."
            )
        return prior

    def correlation(self, name: str) -> ParameterPrior:
        prior = self.given.get(name, Prior(LKJ, eta=1))
        self.used.add(name)
        if prior.name != LKJ:
            raise PriorError(f"{name!r} is a correlation: give hm.Prior('LKJ', eta=2)")
        return ParameterPrior(
            parameter=name, given=prior, inside=prior, default=name not in self.given
        )

    def check_all_used(self, parameters: list[str]) -> None:
        for name in self.given:
            if name not in self.used:
                raise PriorError(
                    f"no parameter {name!r}. Parameters: {', '.join(parameters)}."
                    f"{did_you_mean(name, parameters)}"
                )
