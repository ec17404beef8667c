"""Groups of equal size into their exact posterior: what a class plays with.

    y_ij = mu + b_j + e_ij,   b_j ~ Normal(0, tau),   e_ij ~ Normal(0, 1),   i = 1..n,  j = 1..J

The residual sd is known and is the unit. With a flat prior of mu and tau ~ HalfStudentT(3, s), the
posterior of tau has one dimension and no sampler is needed: with the group means m_j, their mean m,
S = sum_j (m_j - m)^2 and v = tau^2 + 1 / n,

    p(tau | y)     ~  p(tau) v^(-(J - 1) / 2) exp(-S / 2v)
    mu + b_j | tau ~  Normal(m + lambda (m_j - m),  lambda / n + (1 - lambda)^2 v / J)

with the reliability ``lambda = tau^2 / v``. Both are averaged over a grid of tau.

Source: Gelman et al. 2013, Bayesian Data Analysis, 3rd ed., section 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from hiermodels.errors import DataError

__all__ = ["RANGES", "Picture", "Range", "Settings", "make_picture"]

type Array = np.ndarray

#: Points of the grid of tau, and degrees of freedom of its prior.
POINTS, NU = 1000, 3
#: Halvings of the interval in which the end of an interval is sought.
HALVINGS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a setting can be. An entry of `RANGES`, read by `Settings` and by the sliders."""

    label: str
    low: float
    high: float
    step: float


RANGES = {
    "prior_scale": Range(label="prior scale", low=0.05, high=5.0, step=0.05),
    "group_size": Range(label="group size", low=1, high=50, step=1),
    "group_sd": Range(label="group sd", low=0.0, high=3.0, step=0.05),
    "n_groups": Range(label="groups", low=3, high=40, step=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the sliders say, sds in residual sds. Made by the widget, read by `make_picture`.

    Raises
    ------
    DataError
        A value outside of `RANGES`.
    """

    prior_scale: float = 1.0
    group_size: int = 5
    group_sd: float = 0.7
    n_groups: int = 8
    random_seed: int = 1

    def __post_init__(self) -> None:
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if not allowed.low <= value <= allowed.high:
                raise DataError(f"{name}={value}: it is from {allowed.low:g} to {allowed.high:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that is drawn. Made by `make_picture`, read by `play`.

    Of the groups (J,): ``truth``, ``raw`` means, ``partial`` pooling with ``lower`` and ``upper``;
    ``pooled`` is the mean of all. ``reliability`` is the posterior mean of lambda. Of the sd
    between groups a grid (K,) with ``prior`` and ``posterior`` densities, and its 2.5, 50 and 97.5
    percent points.
    """

    settings: Settings
    truth: Array
    raw: Array
    partial: Array
    lower: Array
    upper: Array
    pooled: float
    reliability: float
    sd: Array
    prior: Array
    posterior: Array
    sd_points: tuple[float, float, float]


def make_picture(settings: Settings) -> Picture:
    """Make up the data and find their posterior; the same settings give the same picture.

    The random numbers do not depend on the settings, so that a slider moves the picture and does
    not make another one.
    """
    truth, raw = make_up(settings)
    pooled = float(raw.mean())
    sd, weight = sd_posterior(settings, raw)
    variance = sd**2 + 1 / settings.group_size
    reliability = sd**2 / variance
    centre = pooled + reliability * (raw[:, None] - pooled)  # (J, K)
    spread = np.sqrt(
        reliability / settings.group_size + (1 - reliability) ** 2 * variance / len(raw)
    )
    density = weight / np.gradient(sd)
    return Picture(
        settings=settings,
        truth=truth,
        raw=raw,
        partial=centre @ weight,
        lower=mixture_quantile(centre, spread, weight, 0.025),
        upper=mixture_quantile(centre, spread, weight, 0.975),
        pooled=pooled,
        reliability=float(reliability @ weight),
        sd=sd,
        prior=half_student(sd, settings.prior_scale),
        posterior=density,
        sd_points=points_of(sd, weight),
    )


def make_up(settings: Settings) -> tuple[Array, Array]:
    """The true means of the groups, and those of their rows."""
    most = int(RANGES["n_groups"].high)
    standard = np.random.default_rng(settings.random_seed).normal(size=(2, most))
    effects, noise = standard[:, : settings.n_groups]
    truth = settings.group_sd * effects
    return truth, truth + noise / np.sqrt(settings.group_size)


def sd_posterior(settings: Settings, raw: Array) -> tuple[Array, Array]:
    """A grid of tau and the posterior probability of each point: (K,), (K,)."""
    middle = settings.prior_scale + raw.std()
    share = (np.arange(POINTS) + 0.5) / POINTS
    sd = middle * share / (1 - share)  # from zero to as good as infinity
    step = middle / (1 - share) ** 2
    variance = sd**2 + 1 / settings.group_size
    squares = np.square(raw - raw.mean()).sum()
    log = -0.5 * (len(raw) - 1) * np.log(variance) - 0.5 * squares / variance
    log += np.log(half_student(sd, settings.prior_scale) * step)
    weight = np.exp(log - log.max())
    return sd, weight / weight.sum()


def half_student(sd: Array, scale: float) -> Array:
    """The density of HalfStudentT(3, scale): 4 / (pi sqrt(3) s) (1 + sd^2 / 3 s^2)^-2."""
    return 4 / (np.pi * np.sqrt(NU) * scale) * (1 + (sd / scale) ** 2 / NU) ** -2


def points_of(sd: Array, weight: Array) -> tuple[float, float, float]:
    """The 2.5, 50 and 97.5 percent points; half of a grid point's weight is below it."""
    low, median, high = np.interp([0.025, 0.5, 0.975], np.cumsum(weight) - weight / 2, sd)
    return float(low), float(median), float(high)


def mixture_quantile(centre: Array, spread: Array, weight: Array, p: float) -> Array:
    """The p-quantile of each row's mixture of normals, (J,), by bisection."""
    low = (centre - 8 * spread).min(axis=1)
    high = (centre + 8 * spread).max(axis=1)
    kept = weight > 1e-9 * weight.max()
    centre, spread, weight = centre[:, kept], spread[kept], weight[kept]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = ndtr((middle[:, None] - centre) / spread) @ weight < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
