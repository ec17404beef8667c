"""Weakly informative priors, each printable and each to be overridden.

On the standardised scale, with m and s the location and scale of the response:

    Intercept ~ Normal(m, 2.5 s)       beta ~ Normal(0, 2.5 s)
    sd_g ~ HalfStudentT(3, s)          cor_g ~ LKJ(1)            sigma ~ HalfStudentT(3, s)

A user writes priors on the scale of the data: a coefficient per unit of x, the intercept at the
mean of the predictors, an sd per unit of x. `Priors` keeps both scales; the factor between them is
the scale of the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hiermodels.design import INTERCEPT, Block, Design
from hiermodels.distributions import DISTRIBUTIONS, LKJ, Prior
from hiermodels.errors import PriorError, did_you_mean

__all__ = ["DISTRIBUTIONS", "ParameterPrior", "Prior", "Priors", "build_priors"]


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
class Priors:
    """The priors of a model. Made by `build_priors`, read by `model`, printed by the user.

    ``sd`` has a tuple for each block, one prior a column; ``cor`` one prior a block or None.
    """

    intercept: ParameterPrior | None
    beta: tuple[ParameterPrior, ...]
    sd: tuple[tuple[ParameterPrior, ...], ...]
    cor: tuple[ParameterPrior | None, ...]
    auxiliary: tuple[ParameterPrior, ...]

    def __iter__(self) -> Iterator[ParameterPrior]:
        if self.intercept is not None:
            yield self.intercept
        yield from self.beta
        for sds, cor in zip(self.sd, self.cor, strict=True):
            yield from sds
            if cor is not None:
                yield cor
        yield from self.auxiliary

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

    ``given`` maps ``"Intercept"``, ``"beta"`` (all coefficients), a term, ``"sd_g"`` (all sds of a
    factor), ``"sd_g[term]"``, ``"cor_g"``, ``"sigma"`` to a `Prior`.

    Raises
    ------
    PriorError
        For a name that is no parameter, or a prior that its parameter cannot have.
    """
    chosen = Chosen(given or {})
    location, scale = design.family.location_scale(design.response, design.offset)
    wide = 2.5 * scale
    half = Prior("HalfStudentT", nu=3, sigma=scale)
    priors = Priors(
        intercept=chosen.real(INTERCEPT, (), Prior("Normal", mu=location, sigma=wide), 1.0)
        if design.intercept
        else None,
        beta=tuple(
            chosen.real(term, ("beta",), Prior("Normal", mu=0, sigma=wide), column_scale)
            for term, column_scale in zip(design.terms, design.common.scale, strict=True)
        ),
        sd=tuple(tuple(sd_priors(block, chosen, half)) for block in design.blocks),
        cor=tuple(
            chosen.correlation(f"cor_{block.name}") if block.correlated else None
            for block in design.blocks
        ),
        auxiliary=tuple(
            chosen.positive(name, (), half, 1.0)
            for name in design.family.auxiliary
            if not (name == design.family.residual and design.se is not None)
        ),
    )
    chosen.check_all_used([p.parameter for p in priors])
    return priors


def sd_priors(block: Block, chosen: Chosen, default: Prior) -> Iterator[ParameterPrior]:
    for term, scale in zip(block.terms, block.columns.scale, strict=True):
        yield chosen.positive(f"sd_{block.name}[{term}]", (f"sd_{block.name}",), default, scale)


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
