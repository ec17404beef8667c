"""A PyMC model into a posterior. The one place that knows NUTS.

nutpie samples the model that PyMC compiles. Sampling takes a fraction of the compilation, and a
plain non-centred posterior is sampled with high autocorrelation: so several draws are made for
each that is kept (`THIN`), after long tuning at a high target acceptance.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.design import Design
from hiermodels.errors import SamplingError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SamplerSettings", "compile_pymc", "sample_pymc"]

#: Draws made for each that is kept.
THIN = 4
TUNE = 1000
TARGET_ACCEPT = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSettings:
    """How to sample. Made by `fitting`, kept with the posterior."""

    draws: int = 1000
    tune: int = TUNE
    chains: int = 4
    cores: int | None = None
    target_accept: float = TARGET_ACCEPT
    random_seed: int
    progressbar: bool = True

    def __post_init__(self) -> None:
        for name, least in (("draws", 4), ("tune", 0), ("chains", 1)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise SamplingError(f"{name}={value!r}; it is a whole number from {least}")
        if self.cores is not None and self.cores < 1:
            raise SamplingError(f"cores={self.cores!r}; it is at least 1")
        if not 0 < self.target_accept < 1:
            raise SamplingError(f"target_accept={self.target_accept!r}; it is between 0 and 1")


def compile_pymc(model: Any, names: tuple[str, ...]) -> Any:
    """The compiled log-density and gradient of a PyMC model, by nutpie; takes 10 s to 2 min."""
    import nutpie

    return nutpie.compile_pymc_model(model, var_names=list(names))


def sample_pymc(
    compiled: Any, design: Design, names: tuple[str, ...], settings: SamplerSettings
) -> xr.DataTree:
    """Sample a compiled model; an interrupt keeps the draws that all chains have.

    Returns the groups ``posterior`` (``names`` alone), ``sample_stats`` and ``observed_data``.
    """
    import nutpie

    start = time.perf_counter()
    sampler = nutpie.sample(
        compiled,
        draws=settings.draws * THIN,
        tune=settings.tune,
        chains=settings.chains,
        cores=settings.cores,
        seed=settings.random_seed,
        target_accept=settings.target_accept,
        save_warmup=False,
        progress_bar=settings.progressbar,
        blocking=False,
    )
    interrupted = False
    with warnings.catch_warnings():
        # a user's factor may be named "sample", which ArviZ suspects to be a mistake
        warnings.filterwarnings("ignore", message="Found dimension named 'sample'")
        try:
            tree = sampler.wait()
        except KeyboardInterrupt:
            tree, interrupted = sampler.abort(), True
        except Exception as error:
            raise SamplingError(f"the sampler stopped: {error}") from error
    return assemble(
        tree,
        design,
        names,
        settings,
        interrupted=interrupted,
        seconds=time.perf_counter() - start,
    )


def assemble(
    tree: xr.DataTree,
    design: Design,
    names: tuple[str, ...],
    settings: SamplerSettings,
    *,
    interrupted: bool,
    seconds: float,
) -> xr.DataTree:
    import xarray as xr

    posterior, stats = complete_draws(tree, interrupted=interrupted)
    keep = slice(THIN - 1, None, THIN)
    kept = posterior[list(names)].isel(draw=keep)
    kept = kept.assign_coords(draw=np.arange(kept.sizes["draw"]))
    observed = xr.Dataset(
        {design.response_name: ("row", design.response)}, coords={"row": np.arange(design.n)}
    )
    kept.attrs = {
        "engine": "pymc",
        "formula": design.formula.text,
        "random_seed": settings.random_seed,
        "tune": settings.tune,
        "target_accept": settings.target_accept,
        "draws_made": int(posterior.sizes["draw"]),
        "divergences": int(stats["diverging"].sum()),
        "interrupted": int(interrupted),
        "sampling_seconds": seconds,
    }
    return xr.DataTree.from_dict(
        {
            "posterior": kept,
            "sample_stats": numeric_only(stats).isel(draw=keep).assign_coords(draw=kept.draw),
            "observed_data": observed,
        }
    )


def complete_draws(tree: xr.DataTree, *, interrupted: bool) -> tuple[xr.Dataset, xr.Dataset]:
    """The draws that every chain has; chains that an interrupt left without any are dropped."""
    posterior, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    if not interrupted:
        return posterior, stats
    made = (~np.isnan(stats["logp"].transpose("chain", "draw").to_numpy())).sum(axis=1)
    chains = [c for c, n in enumerate(made) if n >= 2 * THIN]
    if not chains:
        raise SamplingError("interrupted before the first draw after tuning: nothing to keep")
    at_most = slice(0, int(min(made[c] for c in chains)))
    return (
        posterior.isel(chain=chains, draw=at_most),
        stats.isel(chain=chains, draw=at_most),
    )


def numeric_only(stats: xr.Dataset) -> xr.Dataset:
    """What a netCDF file can hold."""
    return stats[[name for name, values in stats.data_vars.items() if values.dtype != object]]
