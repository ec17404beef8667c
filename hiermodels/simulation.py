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

__all__ = [
    "BATS",
    "BATS_SEED",
    "BEES",
    "BEES_SEED",
    "BLOSSOMS",
    "BLOSSOMS_SEED",
    "DRAGONS",
    "DRAGONS_SEED",
    "PLOTS",
    "PLOTS_SEED",
    "BatsTruth",
    "BeesTruth",
    "BlossomsTruth",
    "DragonsTruth",
    "PlotsTruth",
    "simulate_bats",
    "simulate_bees",
    "simulate_blossoms",
    "simulate_dragons",
    "simulate_plots",
]

type Array = np.ndarray

DRAGONS_SEED = 20
"""The seed of the shipped ``dragons_sim``: exact zeros, exact hundreds, and sds near the truth."""
BATS_SEED, BLOSSOMS_SEED, BEES_SEED, PLOTS_SEED = 20, 11, 13, 16
"""The seeds of the other shipped files: what lme4 and glmmTMB find in them is near the truth."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BatsTruth:
    """The parameters of :func:`simulate_bats`, made here and read by it and by the tests.

    Masses are grams, forest is the percentage of the ground that trees cover.
    """

    sites: tuple[str, ...] = (
        "Alder",
        "Birch",
        "Cedar",
        "Dogwood",
        "Elm",
        "Fir",
        "Gorse",
        "Hazel",
        "Ivy",
        "Juniper",
        "Larch",
        "Maple",
        "Oak",
        "Pine",
        "Rowan",
    )
    bats: int = 150
    species: tuple[str, ...] = ("brown", "grey", "red")
    mass: tuple[float, ...] = (34.0, 22.0, 46.0)
    """Of each species where there is no forest, at the average site."""
    slope: tuple[float, ...] = (0.02, 0.06, -0.12)
    """Grams per percent of forest, of each species at the average site."""
    site_sd: float = 5.0
    """Of the sites' intercepts, where there is no forest."""
    slope_sd: float = 0.05
    correlation: float = -0.6
    residual_sd: float = 3.0


BATS = BatsTruth()
"""The truth of the shipped ``bats_sim``."""


def simulate_bats(*, random_seed: int = BATS_SEED, truth: BatsTruth = BATS) -> pd.DataFrame:
    """Masses of bats of three species in 15 sites, whose effect of forest differs between sites.

    For bat i of species k in site j, in ``forest_i`` = 100 Beta(1/2, 1/2) percent,

        mass_i = mass_k + b_0j + (slope_k + b_1j) * forest_i + e_i,
        (b_0j, b_1j) ~ Normal(0, D R D),  D = diag(site_sd, slope_sd),  e_i ~ Normal(0, residual_sd)

    Sites and species are drawn evenly for each bat, so the sites have unequal numbers.

    Columns: ``mass`` (g), ``species``, ``forest`` (percent), ``sites``.
    """
    import pandas as pd

    rng = np.random.default_rng(random_seed)
    sds = np.array([truth.site_sd, truth.slope_sd])
    correlation = np.array([[1, truth.correlation], [truth.correlation, 1]])
    effects = rng.multivariate_normal(
        np.zeros(2), correlation * np.outer(sds, sds), len(truth.sites)
    )
    site = rng.integers(len(truth.sites), size=truth.bats)
    kind = rng.integers(len(truth.species), size=truth.bats)
    forest = (100 * rng.beta(0.5, 0.5, truth.bats)).round(1)
    mass = (
        np.take(truth.mass, kind)
        + effects[site, 0]
        + (np.take(truth.slope, kind) + effects[site, 1]) * forest
        + rng.normal(0, truth.residual_sd, truth.bats)
    )
    return pd.DataFrame(
        {
            "mass": mass.round(2),
            "species": np.take(truth.species, kind),
            "forest": forest,
            "sites": np.take(truth.sites, site),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlossomsTruth:
    """The parameters of :func:`simulate_blossoms`, made here and read by it and by the tests.

    Widths are millimetres.
    """

    populations: tuple[str, ...] = tuple(f"P{k}" for k in range(1, 10))
    patches: tuple[int, ...] = (16, 16, 5, 13, 3, 10, 9, 19, 5)
    """Patches of each population, lettered from A in every one."""
    blossoms: int = 205

    lower_mean: float = 19.0
    lower_population_sd: float = 1.2
    lower_patch_sd: float = 1.9
    lower_residual_sd: float = 2.1

    slope: float = 0.8
    """Upper width per lower width, the same among populations, among patches and within them."""
    upper_mean: float = 18.6
    """Where the lower bract has its mean width."""
    upper_population_sd: float = 0.4
    upper_patch_sd: float = 0.6
    upper_residual_sd: float = 1.0

    @property
    def intercept(self) -> float:
        """Of the regression on the lower width."""
        return self.upper_mean - self.slope * self.lower_mean

    @property
    def total_sds(self) -> tuple[float, float, float]:
        """Sds of the upper width in a model without the lower: population, patch, residual."""
        return (
            float(np.hypot(self.slope * self.lower_population_sd, self.upper_population_sd)),
            float(np.hypot(self.slope * self.lower_patch_sd, self.upper_patch_sd)),
            float(np.hypot(self.slope * self.lower_residual_sd, self.upper_residual_sd)),
        )


BLOSSOMS = BlossomsTruth()
"""The truth of the shipped ``blossoms_sim``."""


def simulate_blossoms(
    *, random_seed: int = BLOSSOMS_SEED, truth: BlossomsTruth = BLOSSOMS
) -> pd.DataFrame:
    """Widths of the bracts of blossoms in patches within populations, many patches of one blossom.

    With population p, patch s of it, and blossom i of that patch (v, u: independent normal draws
    with the sds of ``truth``),

        LBW_i = lower_mean + v_p + v_s + v_i
        UBW_i = upper_mean + slope * (LBW_i - lower_mean) + u_p + u_s + u_i

    Every patch has a blossom, the others fall on patches by chance. The letters of the patches
    recur in every population, though no two populations share a patch.

    Columns: ``pop``, ``patch``, ``LBW`` and ``UBW``, the lower and upper bract's width (mm).
    """
    import pandas as pd

    rng = np.random.default_rng(random_seed)
    of_patch = np.repeat(np.arange(len(truth.populations)), truth.patches)
    letter = np.concatenate([np.arange(n) for n in truth.patches])
    n_patches = len(of_patch)
    favour = rng.dirichlet(np.full(n_patches, 0.8))
    more = rng.choice(n_patches, truth.blossoms - n_patches, p=favour)
    patch = np.sort(np.concatenate([np.arange(n_patches), more]))
    population = of_patch[patch]

    def scattered(populations: float, patches: float, blossoms: float) -> Array:
        return (
            rng.normal(0, populations, len(truth.populations))[population]
            + rng.normal(0, patches, n_patches)[patch]
            + rng.normal(0, blossoms, truth.blossoms)
        )

    lower = scattered(truth.lower_population_sd, truth.lower_patch_sd, truth.lower_residual_sd)
    upper = truth.slope * lower + scattered(
        truth.upper_population_sd, truth.upper_patch_sd, truth.upper_residual_sd
    )
    return pd.DataFrame(
        {
            "pop": np.take(truth.populations, population),
            "patch": [chr(ord("A") + k) for k in letter[patch]],
            "LBW": (truth.lower_mean + lower).round(2),
            "UBW": (truth.upper_mean + upper).round(2),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BeesTruth:
    """The parameters of :func:`simulate_bees`, made here and read by it and by the tests."""

    areas: int = 72
    units: int = 178
    rain_mean: float = 1450.0
    """Mean annual precipitation, mm."""
    rain_area_sd: float = 420.0
    rain_unit_sd: float = 25.0

    log_mean: float = 3.7
    """Of an area with average rain: some 40 bees."""
    slope: float = -0.0018
    """On the log scale, per millimetre of rain."""
    area_sd: float = 1.1
    """On the log scale."""
    size: float = 2.0
    """The variance of a count is mean + mean^2 / size."""

    @property
    def intercept(self) -> float:
        """Where there is no rain."""
        return self.log_mean - self.slope * self.rain_mean


BEES = BeesTruth()
"""The truth of the shipped ``bees_sim``."""


def simulate_bees(*, random_seed: int = BEES_SEED, truth: BeesTruth = BEES) -> pd.DataFrame:
    """Counts of bees in sampling units within study areas, fewer where there is more rain.

    For unit i of area j,

        bees_i ~ NegBinomial(mu_i, size),   log mu_i = intercept + slope * MAP_i + b_j,
        b_j ~ Normal(0, area_sd)

    Every area has a unit, the others fall on areas by chance; the rain differs much between areas
    and little within them.

    Columns: ``Eulaema_nigrita`` (a count), ``SA`` (study area), ``MAP`` (mm).
    """
    import pandas as pd

    rng = np.random.default_rng(random_seed)
    favour = rng.dirichlet(np.full(truth.areas, 1.5))
    more = rng.choice(truth.areas, truth.units - truth.areas, p=favour)
    area = np.sort(np.concatenate([np.arange(truth.areas), more]))
    # shape and scale of a gamma, so that no area has rain below zero
    shape, scale = (
        (truth.rain_mean / truth.rain_area_sd) ** 2,
        truth.rain_area_sd**2 / truth.rain_mean,
    )
    rain = rng.gamma(shape, scale, truth.areas)[area]
    rain = (rain + rng.normal(0, truth.rain_unit_sd, truth.units)).round()
    effect = rng.normal(0, truth.area_sd, truth.areas)[area]
    mean = np.exp(truth.intercept + truth.slope * rain + effect)
    counts = rng.poisson(rng.gamma(truth.size, mean / truth.size))
    return pd.DataFrame(
        {
            "Eulaema_nigrita": counts,
            "SA": [f"SA{k + 1:02d}" for k in area],
            "MAP": rain.astype(int),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotsTruth:
    """The parameters of :func:`simulate_plots`, made here and read by it and by the tests.

    Biomass is grams per square metre.
    """

    plots: int = 20
    years: tuple[int, ...] = tuple(range(2011, 2021))
    samples: int = 2
    """In each plot and year."""
    mean: float = 300.0
    plot_sd: float = 45.0
    year_sd: float = 30.0
    plot_year_sd: float = 15.0
    residual_sd: float = 20.0


PLOTS = PlotsTruth()
"""The truth of the shipped ``plots_sim``."""


def simulate_plots(*, random_seed: int = PLOTS_SEED, truth: PlotsTruth = PLOTS) -> pd.DataFrame:
    """Biomass of plots that are all harvested in every year: two factors, crossed.

    For sample k of plot p in year t,

        biomass_ptk = mean + b_p + b_t + b_pt + e_ptk

    with independent normal effects. All cells have equally many samples, so that the mean squares
    of an analysis of variance estimate the same variances.

    Columns: ``biomass`` (g per square metre), ``plot``, ``year``.
    """
    import pandas as pd

    rng = np.random.default_rng(random_seed)
    n_plots, n_years = truth.plots, len(truth.years)
    biomass = (
        truth.mean
        + rng.normal(0, truth.plot_sd, (n_plots, 1, 1))
        + rng.normal(0, truth.year_sd, (1, n_years, 1))
        + rng.normal(0, truth.plot_year_sd, (n_plots, n_years, 1))
        + rng.normal(0, truth.residual_sd, (n_plots, n_years, truth.samples))
    )
    return pd.DataFrame(
        {
            "biomass": biomass.round(1).ravel(),
            "plot": np.repeat([f"p{k + 1:02d}" for k in range(n_plots)], n_years * truth.samples),
            "year": np.tile(np.repeat(truth.years, truth.samples), n_plots),
        }
    )
