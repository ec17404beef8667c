"""Links between the mean of a response and its linear predictor: eta = g(mu), mu = g^-1(eta)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

__all__ = ["LINKS", "Link", "symbolic_inverse"]

type Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link and its inverse on arrays. An entry of `LINKS`, read by families and reports.

    ``latex`` is the link as it is written in an equation.
    """

    name: str
    link: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    latex: str


def complementary_log_log(mu: Array) -> Array:
    return np.log(-np.log1p(-np.asarray(mu, dtype=float)))


def inverse_complementary_log_log(eta: Array) -> Array:
    with np.errstate(over="ignore"):
        return -np.expm1(-np.exp(eta))


def exponential(eta: Array) -> Array:
    """exp, infinite without a warning where a draw of a prior is beyond all numbers."""
    with np.errstate(over="ignore"):
        return np.exp(eta)


def unchanged(value: Array) -> Array:
    return np.asarray(value, dtype=float)


LINKS: dict[str, Link] = {
    "identity": Link(name="identity", link=unchanged, inverse=unchanged, latex=""),
    "log": Link(name="log", link=np.log, inverse=exponential, latex=r"\log"),
    "logit": Link(name="logit", link=logit, inverse=expit, latex=r"\mathrm{logit}"),
    "probit": Link(name="probit", link=ndtri, inverse=ndtr, latex=r"\Phi^{-1}"),
    "cloglog": Link(
        name="cloglog",
        link=complementary_log_log,
        inverse=inverse_complementary_log_log,
        latex=r"\mathrm{cloglog}",
    ),
}


def symbolic_inverse(link: str, eta: Any) -> Any:
    """g^-1 of a symbolic array of PyTensor."""
    import pytensor.tensor as pt

    inverses: dict[str, Callable[[Any], Any]] = {
        "identity": lambda value: value,
        "log": pt.exp,
        "logit": pt.sigmoid,
        # PyMC's invprobit has the square root of 2 in single precision
        "probit": lambda value: pt.erfc(-value * pt.constant(np.sqrt(0.5), dtype="float64")) / 2,
        "cloglog": lambda value: -pt.expm1(-pt.exp(value)),
    }
    return inverses[link](eta)
