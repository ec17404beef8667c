"""The table of likelihoods: (family, link) to the callback, compiled when its address is wanted."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compilation import Callback
from . import continuous, counts, probabilities
from .gammas import log_binomial, minus_log_factorial
from .links import LINKS, sigmoid
from .loops import LOOPS, assemble, compose
from .ordinals import ORDINALS, ordinal

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
        address: Any = self.callback().address
        return int(address)

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
        if self.predictors is None and np.any(trials != wanted):
            raise ValueError(f"trials must hold the number of categories, {wanted}")


COUNTS = {
    "negbinomial": (
        counts.prepare_negbinomial,
        counts.negbinomial,
        counts.negbinomial_zero,
    ),
    "negbinomial1": (
        counts.prepare_negbinomial1,
        counts.negbinomial1,
        counts.negbinomial1_zero,
    ),
}
"""Counts with an auxiliary predictor: what depends on it alone, the row, and the row at 0."""


def _of_the_line() -> Iterator[Likelihood]:
    scale = {"PREPARE": continuous.prepare_scale}
    shape = {"PREPARE": continuous.prepare_gamma}
    tails = {"PREPARE": continuous.prepare_student, "HOISTED": 2, "OTHER": 1}
    yield _entry("gaussian", "identity", 2, ROW=continuous.gaussian, **scale)
    yield _entry("lognormal", "identity", 2, ROW=continuous.lognormal, **scale)
    yield _entry("student", "identity", 3, ROW=continuous.student, **tails)
    yield _entry("gamma", "log", 2, ROW=continuous.gamma, **shape)


def _of_counts() -> Iterator[Likelihood]:
    based = {"BASED": True, "BASE": minus_log_factorial}
    yield _entry("poisson", "log", 1, ROW=counts.poisson, **based)
    yield _entry("zi_poisson", "log", 2, ROW=counts.zi_poisson, PREPARE=sigmoid, **based)
    yield _entry("hurdle_poisson", "log", 2, ROW=counts.hurdle_poisson, PREPARE=sigmoid, **based)
    for family, (prepare, row, zero) in COUNTS.items():
        yield _entry(family, "log", 2, ROW=row, PREPARE=prepare, **based)
        for kind, template in (("zi", counts.zi_two), ("hurdle", counts.hurdle_two)):
            name = f"{kind}_{family}"
            whole = compose(template, f"{name}_row", COUNT=row, ZERO=zero)
            yield _entry(name, "log", 3, ROW=whole, PREPARE=prepare, **based)


def _of_probabilities(link: str) -> Iterator[Likelihood]:
    def row(template, **parts):
        return compose(template, f"{template.__name__}_{link}_row", LINK=LINKS[link], **parts)

    beta = row(probabilities.beta)
    phi = {"PREPARE": probabilities.prepare_phi}
    successes = {"TRIALS": True, "BASED": True, "BASE": log_binomial}
    yield _entry("bernoulli", link, 1, ROW=row(probabilities.bernoulli))
    yield _entry("binomial", link, 1, ROW=row(probabilities.binomial), **successes)
    mixed = row(probabilities.betabinomial)
    yield _entry("betabinomial", link, 2, ROW=mixed, **phi, **successes)
    yield _entry("beta", link, 2, ROW=beta, **phi)
    yield _entry("zi_beta", link, 3, ROW=row(probabilities.zi_beta, BETA=beta), **phi)
    yield _entry("zoi_beta", link, 4, ROW=row(probabilities.zoi_beta, BETA=beta), **phi)


def _of_categories() -> Iterator[Likelihood]:
    for link, (inverse, between) in ORDINALS.items():
        callback = assemble(ordinal, f"ordinal_{link}", LINK=inverse, BETWEEN=between)
        yield Likelihood(family="ordinal", link=link, predictors=None, callback=callback)


def _entry(family: str, link: str, predictors: int, **parts: Any) -> Likelihood:
    callback = assemble(LOOPS[predictors], f"{family}_{link}", **parts)
    return Likelihood(family=family, link=link, predictors=predictors, callback=callback)


def _table() -> dict[tuple[str, str], Likelihood]:
    entries = [*_of_the_line(), *_of_counts(), *_of_categories()]
    for link in LINKS:
        entries += _of_probabilities(link)
    return {(entry.family, entry.link): entry for entry in entries}


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
