"""When a time may be shown: the chains agree, and with a long run of the same model.

A row is valid if R-hat <= 1.01 for every parameter, and if every posterior mean is within 4 Monte
Carlo standard errors of the long run's, |m - m_long| <= 4 sqrt(mcse^2 + mcse_long^2). Of K means of
a good row one exceeds that by chance in K * 6e-5 of the fits; so that K stays in the hundreds, of a
factor with many levels some are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["RULE", "Estimates", "LongRun", "estimate", "largest_distance", "pool", "refusals"]

type Array = np.ndarray

RHAT, ERRORS = 1.01, 4.0
#: Of a factor with more levels, so many are looked at, evenly spread.
MOST_LEVELS = 100
RULE = """\
A time is shown if in every timed fit R-hat <= 1.01 for every reported parameter, group effects
included, all 1000 draws of a chain of every effect are there when the clock stops, and every
posterior mean is within 4 Monte Carlo errors of a long run's. Of a factor with more than 100
levels, 100 are looked at. CPU is the time of all cores together: other work on the machine makes a
fit take longer, but hardly more CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What the draws of one fit say, (K,) each. Made by `estimate`, read by `refusals`.

    ``effect`` tells the group effects from the other parameters.
    """

    names: tuple[str, ...]
    effect: Array
    mean: Array
    mcse: Array
    rhat: Array
    ess_bulk: Array
    ess_tail: Array

    def least(self, *, effects: bool) -> tuple[float, float]:
        """Smallest bulk and tail ESS, of the group effects too or without them."""
        chosen = self.effect | True if effects else ~self.effect
        return float(self.ess_bulk[chosen].min()), float(self.ess_tail[chosen].min())


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRun:
    """Posterior means and their Monte Carlo errors, by name. Made by `pool`."""

    mean: dict[str, float]
    mcse: dict[str, float]


def estimate(tree: xr.DataTree) -> Estimates:
    """Means and diagnostics of every reported parameter of a posterior."""
    import xarray as xr
    from arviz_stats.sampling_diagnostics import ess, mcse, rhat

    found = list(scalars(tree))
    groups = [[f for f in found if f[1] == effect] for effect in (False, True)]
    parts = []
    for group in groups:  # the effects may have fewer draws than the others
        if not group:
            continue
        values = np.stack([v for _, _, v in group], axis=-1)
        data = xr.Dataset({"x": (("chain", "draw", "k"), values)})
        measured = (
            mcse(data, method="mean"),
            rhat(data),
            ess(data, method="bulk"),
            ess(data, method="tail"),
        )
        parts.append((values.mean(axis=(0, 1)), *(m["x"].to_numpy() for m in measured)))
    mean, error, r_hat, bulk, tail = (np.concatenate(p) for p in zip(*parts, strict=True))
    ordered = [f for group in groups for f in group]
    return Estimates(
        names=tuple(name for name, _, _ in ordered),
        effect=np.array([effect for _, effect, _ in ordered]),
        mean=mean,
        mcse=error,
        rhat=r_hat,
        ess_bulk=bulk,
        ess_tail=tail,
    )


def scalars(tree: xr.DataTree) -> Iterator[tuple[str, bool, Array]]:
    """Name, whether it is a group effect, and (chains, draws), of each scalar of a posterior."""
    posterior = tree["posterior"].to_dataset()
    variables = dict(posterior.data_vars)
    if "effects" in tree.children:  # too many effects for all draws: those that were kept
        variables |= dict(tree["effects"].to_dataset().data_vars)
    for key, variable in variables.items():
        name = str(key)
        values = variable.transpose("chain", "draw", ...)
        if name.startswith("cor_"):
            yield from below_diagonal(name, values)
            continue
        effect = is_effect(name)
        if effect and values.shape[2] > MOST_LEVELS:
            chosen = np.linspace(0, values.shape[2] - 1, MOST_LEVELS).astype(int)
            values = values.isel({values.dims[2]: chosen})
        labels = [values[d].to_numpy() for d in values.dims[2:]]
        flat = values.to_numpy().astype(float)
        for cell in np.ndindex(*flat.shape[2:]):
            label = ", ".join(str(labels[d][i]) for d, i in enumerate(cell))
            yield f"{name}[{label}]" if cell else name, effect, flat[:, :, *cell]


def is_effect(name: str) -> bool:
    """``b_site`` here; ``1|site`` in Bambi, where ``1|site_sigma`` is an sd."""
    return name.startswith("b_") or ("|" in name and not name.endswith("_sigma"))


def below_diagonal(name: str, values: xr.DataArray) -> Iterator[tuple[str, bool, Array]]:
    """The correlations of a matrix; one that is fixed at zero is none."""
    terms = values[values.dims[2]].to_numpy()
    matrix = values.to_numpy()
    for i, j in zip(*np.tril_indices(len(terms), -1), strict=True):
        if np.ptp(matrix[:, :, i, j]) > 0:
            yield f"{name}[{terms[j]}, {terms[i]}]", False, matrix[:, :, i, j]


def pool(fits: Sequence[Estimates]) -> LongRun:
    """Independent fits as one long run: the mean of means, mcse = sqrt(sum mcse^2) / n."""
    mean = np.mean([f.mean for f in fits], axis=0)
    error = np.sqrt(np.sum([f.mcse**2 for f in fits], axis=0)) / len(fits)
    names = fits[0].names
    return LongRun(
        mean=dict(zip(names, mean.tolist(), strict=True)),
        mcse=dict(zip(names, error.tolist(), strict=True)),
    )


def distances(found: Estimates, long_run: LongRun) -> Array:
    """How far each mean is from the long run's, in Monte Carlo standard errors of both."""
    mean = np.array([long_run.mean[name] for name in found.names])
    error = np.array([long_run.mcse[name] for name in found.names])
    return np.abs(found.mean - mean) / np.hypot(found.mcse, error)


def largest_distance(found: Estimates, long_run: LongRun) -> float:
    return float(distances(found, long_run).max())


def refusals(found: Estimates, long_run: LongRun | None) -> tuple[str, ...]:
    """Why a row may not be shown; nothing for a valid one.

    ``long_run`` is None for a program with priors of its own, whose means differ rightly.
    """
    said = []
    worst = int(np.argmax(np.nan_to_num(found.rhat, nan=np.inf)))
    if not found.rhat[worst] <= RHAT:
        said.append(f"R-hat {found.rhat[worst]:.3f} ({found.names[worst]})")
    if long_run is None:
        return tuple(said)
    missing = set(long_run.mean) ^ set(found.names)
    if missing:
        return (*said, f"not the parameters of the long run: {', '.join(sorted(missing)[:3])}")
    distance = distances(found, long_run)
    at = int(np.argmax(np.nan_to_num(distance, nan=np.inf)))
    if not distance[at] <= ERRORS:
        said.append(f"mean {distance[at]:.1f} Monte Carlo errors off ({found.names[at]})")
    return tuple(said)
