"""What a user gives as the seed of random numbers, as the one number that a fit keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from hiermodels.errors import ArgumentError

__all__ = ["Seed", "as_seed", "new_seed"]

#: The types of `random_seed`: a number, several of them, or what NumPy draws from.
type Seed = Any

MOST = 2**63


def new_seed() -> int:
    """A seed from the system, told in the summary so that a fit can be repeated."""
    return int(np.random.default_rng().integers(2**31))


def as_seed(given: Seed) -> int:
    """One number from 0 that stands for the seed; None is a new one from the system.

    A whole number from 0 is itself. A list of them and a `numpy.random.SeedSequence` have the
    number that NumPy makes of them; a generator gives its next one, so that two fits from one
    generator differ.

    Raises
    ------
    ArgumentError
        Anything else.
    """
    if given is None:
        return new_seed()
    if isinstance(given, np.random.Generator):
        return int(given.integers(2**31))
    if isinstance(given, np.random.RandomState):
        return int(given.randint(2**31 - 1))
    if isinstance(given, np.random.SeedSequence):
        return int(given.generate_state(1)[0])
    if is_whole(given):
        return int(given) if int(given) < MOST else as_seed(np.random.SeedSequence(int(given)))
    if isinstance(given, (list, tuple, np.ndarray)) and len(given) and all(map(is_whole, given)):
        return as_seed(np.random.SeedSequence([int(each) for each in given]))
    raise ArgumentError(
        f"random_seed={given!r}; it is a whole number from 0, a list of them, a "
        "numpy.random.Generator, or None for a new one"
    )


def is_whole(given: Any) -> bool:
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool | np.bool_)
    return whole and int(given) >= 0
