"""What a response can be under a family, and what to do about one that cannot be.

Each check names the first rows at fault, the values found there, and the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from hiermodels.errors import DataError, some_rows

__all__ = [
    "Observed",
    "check_binary",
    "check_counts",
    "check_positive",
    "check_real",
    "check_successes",
    "check_unit",
    "squeeze",
]

type Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A response as it came: name, values (n,), trials (n,) or None, labels of the rows.

    Made by `design`, read by the checks here.
    """

    name: str
    values: Array
    rows: Sequence[Any]
    trials: Array | None = None

    def refuse(self, bad: Array, problem: str, remedy: str) -> NoReturn:
        """The error for the rows where ``bad`` is true."""
        at = np.flatnonzero(bad)
        labels = [self.rows[int(i)] for i in at]
        found = ", ".join(f"{v:g}" for v in np.unique(self.values[at])[:3])
        raise DataError(
            f"the response {self.name!r} {problem} in {some_rows(labels)} (such as {found}). "
            f"{remedy}"
        )

    def check(self, bad: Array, problem: str, remedy: str) -> None:
        if bad.any():
            self.refuse(bad, problem, remedy)


def squeeze(y: Array, *, s: float = 0.5, n: int | None = None) -> Array:
    """Shares between 0 and 1 moved off the ends, for the beta family.

        y' = (y (n - 2 s) + s) / n,    s = 1/2:  (y (n - 1) + 1/2) / n

    ``n`` is the number of rows where not given. 0 becomes s / n and 1 becomes 1 - s / n. How much
    the choice of s matters is told by ``fit.squeeze_sensitivity()``; where it does, the zeros and
    ones need a part of their own: family ``"zoi_beta"`` or ``"zi_beta"``.

    Raises
    ------
    DataError
        For values outside 0 to 1, or an s that leaves nothing.

    Source: Smithson & Verkuilen 2006, Psychological Methods 11(1), p. 55.
    """
    values = np.asarray(y, dtype=float)
    rows = values.size if n is None else n
    if not (0 < s < rows / 2):
        raise DataError(f"s = {s:g} of {rows} rows; it is positive and less than half of them")
    if np.nanmin(values) < 0 or np.nanmax(values) > 1:
        raise DataError(
            f"values from {np.nanmin(values):g} to {np.nanmax(values):g}; squeeze takes shares "
            "between 0 and 1. Divide a percentage by 100 first."
        )
    # the same object as came in: a pandas column stays one
    return (y * (rows - 2 * s) + s) / rows


def check_spread(observed: Observed) -> None:
    """A constant response leaves nothing to explain, and no scale for the priors."""
    y = observed.values if observed.trials is None else observed.values / observed.trials
    if np.ptp(y) == 0:
        raise DataError(
            f"the response {observed.name!r} is {y[0]:g} in all {len(y)} rows: a model has "
            "nothing to explain. Check that it is the right column."
        )


def check_real(observed: Observed) -> None:
    """Any number."""
    check_spread(observed)


def check_positive(observed: Observed) -> None:
    """y > 0."""
    observed.check(
        observed.values <= 0,
        "is not positive",
        "This family has a density above zero only: leave such rows out if they are faults, "
        "family='gaussian' or 'student' takes any number, and counts with zeros have families of "
        "their own ('negbinomial', 'hurdle_negbinomial').",
    )
    check_spread(observed)


def check_unit(observed: Observed, *, zeros: bool, ones: bool) -> None:
    """0 < y < 1, with ``zeros`` also 0, with ``ones`` also 1."""
    y = observed.values
    observed.check((y < 0) | (y > 1), "is outside 0 to 1", share_remedy(y))
    bad = ((y == 0) & (not zeros)) | ((y == 1) & (not ones))
    if bad.any():
        has_ones = bool((y == 1).any())
        which = "1" if zeros else "0 or 1" if has_ones else "0"
        own = "'zoi_beta'" if has_ones else "'zi_beta' or 'zoi_beta'"
        observed.refuse(
            bad,
            f"is exactly {which}",
            "The beta density ends before it. Either squeeze the response, "
            "data.assign(y=hm.squeeze(data.y)), that is (y (n - 1) + 1/2) / n, and see by "
            "fit.squeeze_sensitivity() whether the 1/2 matters; or give such rows a probability "
            f"of their own: family={own}.",
        )
    if not ((y > 0) & (y < 1)).any():
        binary = bool((y == 0).any() and (y == 1).any())
        raise DataError(
            f"the response {observed.name!r} has no value between 0 and 1 in its {len(y)} rows, "
            f"only {'zeros and ones' if binary else f'{y[0]:g}'}: there is nothing for the beta "
            "part of the family. "
            + (
                "Zeros and ones are family='bernoulli'."
                if binary
                else "Check that it is the right column."
            )
        )
    check_spread(observed)


def share_remedy(y: Array) -> str:
    """What numbers that are no shares may be: a percentage, or counts."""
    remedy = "It is a share between 0 and 1"
    remedy += "; divide a percentage by 100." if 0 <= y.min() and y.max() <= 100 else "."
    if np.all((y >= 0) & (y == np.floor(y))):
        remedy += (
            " All are whole numbers: counts are family='poisson' or 'negbinomial', successes of so "
            "many trials are family='binomial' with the response 'successes / trials'."
        )
    return remedy


def check_binary(observed: Observed) -> None:
    """0 or 1."""
    observed.check(
        (observed.values != 0) & (observed.values != 1),
        "is neither 0 nor 1",
        "Successes of several trials are family='binomial' with the response "
        "'successes / trials'; counts are 'poisson' or 'negbinomial'.",
    )
    check_spread(observed)


def check_counts(observed: Observed) -> None:
    """0, 1, 2, ..."""
    y = observed.values
    observed.check(
        y < 0, "is negative", "Counts are 0, 1, 2, ...; family='gaussian' takes any number."
    )
    observed.check(
        y != np.floor(y),
        "is not a whole number",
        "A rate is modelled as its count with offset(log(exposure)) in the formula; a positive "
        "measurement as family='gamma' or 'lognormal'.",
    )
    check_spread(observed)


def check_successes(observed: Observed) -> None:
    """Whole numbers from 0 to the row's trials."""
    y, trials = observed.values, observed.trials
    if trials is None:
        raise DataError(
            f"the response {observed.name!r} has no trials: write 'successes / trials' or "
            "'p(successes, trials)' before the '~'"
        )
    count = Observed(name="trials", values=trials, rows=observed.rows)
    count.check(
        (trials < 1) | (trials != np.floor(trials)),
        "are not a whole number from 1 on",
        "A row without a trial says nothing: leave it out.",
    )
    observed.check(
        (y < 0) | (y != np.floor(y)),
        "is not a whole number",
        "Successes are counted; shares without a count of trials are family='beta'.",
    )
    observed.check(
        y > trials,
        "is more than the trials",
        "The order is successes / trials, where failures count as trials, too.",
    )
    check_spread(observed)
