"""What is known of each family of responses: its links, its own parameters, where its priors lie.

A family is one entry in `FAMILIES`. Gaussian is the only one so far.

    Gaussian    y_i ~ Normal(eta_i, sigma)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hiermodels.errors import DataError, UnknownNameError, lookup

__all__ = ["ALIASES", "FAMILIES", "Family", "family"]

type Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A distribution of the response. Made here, read by every later stage.

    ``auxiliary`` names the family's own parameters; ``residual`` the one that is the residual sd.
    ``location_scale`` gives m and s of the default priors, on the scale of the link.
    """

    name: str
    link: str
    links: tuple[str, ...]
    auxiliary: tuple[str, ...]
    residual: str | None
    location_scale: Callable[[Array], tuple[float, float]]
    check_response: Callable[[Array, str], None]


def mean_and_sd(y: Array) -> tuple[float, float]:
    return float(np.mean(y)), float(np.std(y, ddof=1))


def check_spread(y: Array, name: str) -> None:
    """A constant response leaves nothing to explain, and no scale for the priors."""
    if np.ptp(y) == 0:
        raise DataError(
            f"the response {name!r} is {y[0]:g} in all {len(y)} rows: a Gaussian model has "
            "nothing to explain. Check that it is the right column."
        )


FAMILIES: dict[str, Family] = {
    "gaussian": Family(
        name="gaussian",
        link="identity",
        links=("identity",),
        auxiliary=("sigma",),
        residual="sigma",
        location_scale=mean_and_sd,
        check_response=check_spread,
    ),
}
ALIASES = {"normal": "gaussian"}


def family(name: str, *, link: str | None = None) -> Family:
    """The family of that name; ``link=None`` takes its usual link.

    Raises
    ------
    UnknownNameError
        With the valid names.
    """
    found = lookup(ALIASES.get(str(name).lower(), name), FAMILIES, what="family")
    if link is not None and link not in found.links:
        raise UnknownNameError(
            f"no link {link!r} for family {found.name!r}. Valid: {', '.join(found.links)}."
        )
    return found
