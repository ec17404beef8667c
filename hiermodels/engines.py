"""Which engine samples a model, and why.

- ``collapsed``: coefficients integrated out exactly, NUTS on sds, correlations and sigma; compiled
  once for all models.
- ``pymc``: the PyMC model, non-centred, compiled anew for each model.
"""

from __future__ import annotations

from dataclasses import dataclass

from hiermodels.collapsed import obstacle
from hiermodels.design import Design
from hiermodels.errors import NotAvailableError, lookup
from hiermodels.priors import Priors

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
    why_not = obstacle(design, priors)
    if requested == "collapsed" and why_not:
        raise NotAvailableError(
            f"engine='collapsed' cannot sample this model: {why_not}. engine='pymc' can."
        )
    if requested != AUTO:
        return Choice(name=requested, reason="as asked for")
    if why_not:
        return Choice(name="pymc", reason=f"not collapsed, because {why_not}")
    return Choice(name="collapsed", reason="Gaussian, with normal priors on the coefficients")
