"""The table of likelihoods: (family, link) to the callback, compiled when its address is wanted."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..compilation import Callback
from . import counts, loops, probabilities
from .links import LINKS
from .loops import assemble, compose

__all__ = ["LIKELIHOODS", "Likelihood", "likelihood"]

_DOUBLES, _INTEGERS = ctypes.POINTER(ctypes.c_double), ctypes.POINTER(ctypes.c_int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """log p(y_i) and its slopes by the predictors of row i; made by `likelihood`."""

    family: str
    link: str
    predictors: int | None
    """How many predictors a row has; None where it depends on the data (ordinal)."""
    callback: Callback

    @property
    def address(self) -> int:
        """Address of the C callback; compiles it if need be."""
        return self.callback().address

    def is_cached(self) -> bool:
        """Whether the callback need not be compiled on this machine."""
        return self.callback.is_cached()

    def evaluate(
        self,
        y: NDArray[np.float64],
        trials: NDArray[np.float64],
        predictors: NDArray[np.float64],
        constant: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values (n,) and slopes (K, n), for y (n,), trials (n,) and predictors (K, n).

        `constant` (K,) is 1 for each predictor that has one value in all rows.
        """
        y, trials, predictors = (
            np.ascontiguousarray(given, dtype=np.float64) for given in (y, trials, predictors)
        )
        flags = np.zeros(len(predictors)) if constant is None else constant
        flags = np.ascontiguousarray(flags, dtype=np.int64)
        self._check(y, trials, predictors, flags)
        value, slope = np.empty(len(y)), np.empty(predictors.shape)
        inputs = (array.ctypes.data_as(_DOUBLES) for array in (y, trials, predictors))
        outputs = (array.ctypes.data_as(_DOUBLES) for array in (value, slope))
        self.callback().ctypes(len(y), *inputs, flags.ctypes.data_as(_INTEGERS), *outputs)
        return value, slope

    def _check(self, y: NDArray, trials: NDArray, predictors: NDArray, flags: NDArray) -> None:
        wanted = len(predictors) if self.predictors is None else self.predictors
        shapes = (y.shape, trials.shape, predictors.shape, flags.shape)
        if shapes != ((len(y),), (len(y),), (wanted, len(y)), (wanted,)):
            raise ValueError(
                f"{self.family} wants y (n,), trials (n,), predictors ({wanted}, n) and "
                f"constant ({wanted},), not {shapes}"
            )


def _linked(row, family, **parts):
    """The row of a family for each link of a probability."""
    return {link: compose(row, f"{family}_{link}_row", LINK=LINKS[link], **parts) for link in LINKS}


def _table() -> dict[tuple[str, str], Likelihood]:
    found: dict[tuple[str, str], Likelihood] = {}

    def add(family, link, predictors, loop, **parts):
        callback = assemble(loop, f"{family}_{link}", **parts)
        found[family, link] = Likelihood(
            family=family, link=link, predictors=predictors, callback=callback
        )

    add("poisson", "log", 1, loops.one, ROW=counts.poisson)
    add(
        "negbinomial",
        "log",
        2,
        loops.two,
        ROW=counts.negbinomial,
        PREPARE=counts.prepare_negbinomial,
    )
    for link, row in _linked(probabilities.bernoulli, "bernoulli").items():
        add("bernoulli", link, 1, loops.one, ROW=row)
    for link, row in _linked(probabilities.binomial, "binomial").items():
        add("binomial", link, 1, loops.one, ROW=row, TRIALS=True)
    for link, row in _linked(probabilities.beta, "beta").items():
        add("beta", link, 2, loops.two, ROW=row, PREPARE=probabilities.prepare_phi)
    for link, row in _linked(probabilities.betabinomial, "betabinomial").items():
        prepare = probabilities.prepare_log_phi
        add("betabinomial", link, 2, loops.two, ROW=row, PREPARE=prepare, TRIALS=True)
    return found


LIKELIHOODS = _table()
"""All likelihoods by (family, link)."""


@cache
def likelihood(family: str, link: str) -> Likelihood:
    """The compiled likelihood of a family and link."""
    try:
        return LIKELIHOODS[family, link]
    except KeyError:
        known = ", ".join(f"{f} ({k})" for f, k in LIKELIHOODS)
        raise KeyError(f"no compiled likelihood for {family} ({link}); there are {known}") from None
