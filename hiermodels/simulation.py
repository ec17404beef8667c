"""Data with known truth: what a model should find is written beside the data that it is given.

A truth is a frozen value with the parameters of one simulation; the simulation is a function of
it and of a seed. ``data/README.md`` has the commands that made the shipped files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DRAGONS", "DRAGONS_SEED", "DragonsTruth", "simulate_dragons"]

DRAGONS_SEED = 20
"""The seed of the shipped ``dragons_sim``: exact zeros, exact hundreds, and sds near the truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DragonsTruth:
    """The parameters of :func:`simulate_dragons`, made here and read by it and by the tests.

    Scores are points of a test from 0 to 100, lengths are centimetres.
    """

    ranges: tuple[str, ...] = (
        "Balkan",
        "Cairngorm",
        "Carpathian",
        "Dinaric",
        "Jura",
        "Pyrenees",
        "Tatra",
        "Vosges",
    )
    sites: tuple[str, ...] = ("a", "b", "c")
    dragons_per_site: int = 20

    length_mean: float = 200.0
    length_range_sd: float = 14.0
    length_site_sd: float = 4.0
    length_residual_sd: float = 9.0

    score_mean: float = 50.0
    score_within_slope: float = 0.0
    """Points per centimetre among the dragons of one range: length has no effect."""
    score_between_slope: float = 1.0
    """Points per centimetre of a range's mean length: ranges of long dragons score higher."""
    score_range_sd: float = 12.0
    """Of what is left between ranges, given their mean length."""
    score_site_sd: float = 5.0
    score_residual_sd: float = 15.0

    @property
    def score_range_total_sd(self) -> float:
        """Sd of the ranges in a model that does not know their mean length."""
        return float(np.hypot(self.score_range_sd, self.score_between_slope * self.length_range_sd))


DRAGONS = DragonsTruth()
"""The truth of the shipped ``dragons_sim``."""


def simulate_dragons(
    *, random_seed: int = DRAGONS_SEED, truth: DragonsTruth = DRAGONS
) -> pd.DataFrame:
    """Scores of dragons in sites within mountain ranges, whose length only seems to matter.

    With range r, site s of it, and dragon i of that site (v, t, e, and u: independent normal draws
    with the sds of ``truth``),

        length_i = length_mean + v_r + t_s + e_i
        score_i  = score_mean + between_slope * v_r + within_slope * (length_i - length_mean - v_r)
                   + u_r + u_s + u_i,   cut off at 0 and at 100

    As the within slope is zero, a regression that ignores the ranges finds an effect of length,
    and one with ``(1 | mountainRange / site)`` finds none. The cut leaves that true, puts exact
    zeros and hundreds among the scores, and makes the sds found a little smaller than ``truth``.

    Columns: ``testScore`` (points), ``bodyLength`` (cm), ``mountainRange``, and ``site`` (a, b, c
    in every range, though no two ranges share a site). Both measures have two decimals.
    """
    import pandas as pd

    rng = np.random.default_rng(random_seed)
    n_ranges, n_sites, n_rows = len(truth.ranges), len(truth.sites), truth.dragons_per_site
    of_range, of_site, of_row = (
        (n_ranges, 1, 1),
        (n_ranges, n_sites, 1),
        (n_ranges, n_sites, n_rows),
    )

    length_range = rng.normal(0, truth.length_range_sd, of_range)
    length_within = rng.normal(0, truth.length_site_sd, of_site)
    length_within = length_within + rng.normal(0, truth.length_residual_sd, of_row)
    score = (
        truth.score_mean
        + truth.score_between_slope * length_range
        + truth.score_within_slope * length_within
        + rng.normal(0, truth.score_range_sd, of_range)
        + rng.normal(0, truth.score_site_sd, of_site)
        + rng.normal(0, truth.score_residual_sd, of_row)
    )
    return pd.DataFrame(
        {
            "testScore": np.clip(score, 0, 100).round(2).ravel(),
            "bodyLength": (truth.length_mean + length_range + length_within).round(2).ravel(),
            "mountainRange": np.repeat(truth.ranges, n_sites * n_rows),
            "site": np.tile(np.repeat(truth.sites, n_rows), n_ranges),
        }
    )
