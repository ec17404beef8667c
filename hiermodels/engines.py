"""Which engine samples a model, and why.

- ``collapsed``: coefficients integrated out exactly, NUTS on sds, correlations and sigma; compiled
  once for all models.
- ``noncentred``: every family, and any prior on the coefficients; these and the group effects are
  sampled in coordinates that a Gaussian approximation has made nearly independent, or of a Gaussian
  model the effects are drawn from their exact conditional; compiled once.
- ``pymc``: the PyMC model, non-centred, compiled anew for each model.
"""

from __future__ import annotations

from dataclasses import dataclass

from hiermodels.collapsed import estimated_seconds, not_collapsed, not_compiled
from hiermodels.design import Design
from hiermodels.errors import NotAvailableError, lookup
from hiermodels.priors import Priors
from hiermodels.rowwise import not_rowwise

__all__ = ["ENGINES", "Choice", "Engine", "choose_engine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What an engine is, in words, and how it samples unless told otherwise."""

    words: str
    tune: int
    target_accept: float


ENGINES: dict[str, Engine] = {
    "collapsed": Engine(
        words="coefficients integrated out exactly, NUTS on the rest, compiled once",
        tune=200,
        target_accept=0.8,
    ),
    "noncentred": Engine(
        words="NUTS on informed non-centred coordinates, compiled once",
        tune=200,
        target_accept=0.8,
    ),
    "pymc": Engine(
        words="PyMC, non-centred, sampled by NUTS (nutpie)", tune=1000, target_accept=0.95
    ),
}
AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An engine and the reason for it. Made by `choose_engine`, told in the summary."""

    name: str
    reason: str

    @property
    def engine(self) -> Engine:
        return ENGINES[self.name]


def choose_engine(design: Design, priors: Priors, requested: str) -> Choice:
    """The engine that was asked for, or with ``"auto"`` the cheapest that has the model exactly.

    Raises
    ------
    UnknownNameError
        For a name that is no engine.
    NotAvailableError
        For an engine that cannot sample this model, with the reason.
    """
    lookup(requested, {AUTO: None, **ENGINES}, what="engine")
    if rows := row_by_row(design):
        refusals = {"collapsed": rows, "noncentred": not_rowwise(design, priors), "pymc": ""}
    else:
        refusals = {
            "collapsed": not_collapsed(design, priors),
            "noncentred": not_compiled(design, priors),
            "pymc": "",
        }
    first = next(name for name in ENGINES if not refusals[name])
    if requested == AUTO:
        return cheapest(design, first, refusals["collapsed"])
    if refusals[requested]:
        raise NotAvailableError(
            f"engine={requested!r} cannot sample this model: {refusals[requested]}. "
            f"engine={first!r} can."
        )
    return Choice(name=requested, reason="as asked for")


def row_by_row(design: Design) -> str:
    """Why the likelihood is not a quadratic form of the coefficients, or nothing."""
    if design.family.name != "gaussian":
        return f"the family is {design.family.name}, not gaussian"
    if design.extras:
        return f"{', '.join(design.extras)} differs between rows"
    return ""


def cheapest(design: Design, first: str, why_not: str) -> Choice:
    """Of the engines that can, the one with the least estimated time; told in the summary.

    A non-centred draw is worth less than half a collapsed one, so it must be that much cheaper.
    """
    if row_by_row(design):
        return Choice(name=first, reason=why_not)
    if why_not:
        return Choice(name=first, reason=f"not collapsed, because {why_not}")
    seconds = estimated_seconds(design)
    if 2 * seconds["noncentred"] < seconds["collapsed"]:
        times = {name: f"{estimate:.0f} s" for name, estimate in seconds.items()}
        return Choice(
            name="noncentred",
            reason=f"estimated {times['noncentred']}, collapsed {times['collapsed']}",
        )
    return Choice(
        name="collapsed",
        reason=f"normal priors on the coefficients, estimated {seconds['collapsed']:.1f} s",
    )
