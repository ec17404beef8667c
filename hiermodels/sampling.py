"""A model into a posterior: each engine's draws, in one layout.

The compiled engine samples the sds, correlations and sigma and draws the coefficients afterwards.
The PyMC model is sampled by nutpie as it stands: sampling takes a fraction of the compilation, and
a plain non-centred posterior is sampled with high autocorrelation, so several draws are made for
each that is kept (`THIN`), after long tuning at a high target acceptance.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.design import Design
from hiermodels.errors import SamplingError
from hiermodels.posterior import label_draws, label_moments, reported_names
from hiermodels.progress import shows_bar, tell

if TYPE_CHECKING:
    import xarray as xr

    from hiermodels.priors import Priors

__all__ = [
    "SamplerSettings",
    "compile_pymc",
    "sample_collapsed",
    "sample_noncentred",
    "sample_pymc",
    "sample_rows",
]

#: Draws made by the PyMC engine for each that is kept.
THIN = 4
#: Bytes that the draws of group effects may take in double precision; above, they are single.
MEMORY = 200_000_000
#: Bytes that they may take in single precision; above, moments and some of the draws are kept.
MOST_SINGLE = 400_000_000
#: Draws of each chain whose group effects are kept then.
KEPT = 250
#: Measured from an empty cache: 60 s of CPU in two processes, 45 s in one for the first model that
#: is read row by row, and 1 s for a further family; the machine may have other work.
FIRST_USE = "Compiling the sampler's kernels, once for this machine: about half a minute."
FIRST_OF_ITS_KIND = (
    "Compiling kernels for this kind of model, once for this machine: a second to a minute."
)
KEEPS = ("auto", "draws", "moments")
#: What is kept of the sampler's own statistics, where it has them.
STATISTICS = (
    *("accepted", "depth", "diverging", "energy", "logp", "maxdepth_reached", "mean_tree_accept"),
    *("n_steps", "step_size"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSettings:
    """How to sample. Made by `fitting`, kept with the posterior."""

    draws: int
    tune: int
    chains: int
    cores: int | None
    target_accept: float
    random_seed: int
    progressbar: bool

    def __post_init__(self) -> None:
        for name, least in (("draws", 4), ("tune", 0), ("chains", 1)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise SamplingError(f"{name}={value!r}; it is a whole number from {least}")
        if self.cores is not None and self.cores < 1:
            raise SamplingError(f"cores={self.cores!r}; it is at least 1")
        if not 0 < self.target_accept < 1:
            raise SamplingError(f"target_accept={self.target_accept!r}; it is between 0 and 1")


def sample_collapsed(
    design: Design, priors: Priors, settings: SamplerSettings, *, keep: str = "auto"
) -> xr.DataTree:
    """Sample with the compiled engine, the coefficients integrated out.

    Returns the groups ``posterior``, ``sample_stats`` and ``observed_data``. Draws of the group
    effects that take more than `MEMORY` are kept in single precision. Where they are too many for
    that (`keeps_draws`), ``posterior`` is without them and ``effects`` has those of some draws.
    ``moments`` always has the exact mean and sd of every level.
    """
    from hiermodels.collapsed import effect_maps, gaussian_problem, level_moments, user_scale
    from hiermodels.density import (
        Store,
        compiled_beside,
        cross_products,
        first_use,
        name_draws,
        sample_theta,
    )
    from hiermodels.density.drawing import AS_THEY_ARE
    from hiermodels.disjoint import common_again, gaussian_apart

    start = time.perf_counter()
    if told := first_use():
        tell(FIRST_USE, progressbar=settings.progressbar)
    with compiled_beside() if told else nullcontext():
        problem = gaussian_problem(design, priors)
        apart = gaussian_apart(problem)
        products = cross_products(problem if apart is None else apart.problem)
        del problem  # columns for every row, which the sums replace
        if not told and first_use(sparse=products.sparse):
            tell(FIRST_OF_ITS_KIND, progressbar=settings.progressbar)
        asked = settings.chains * settings.draws
        store = Store(maps=effect_maps(design), single=kept_single(design, asked, keep))
        if apart is not None:  # their draws are those of common coefficients
            store = AS_THEY_ARE
        with as_sampling_errors():
            trace = sample_theta(
                products,
                draws=settings.draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=settings.cores,
                seed=settings.random_seed,
                target_accept=settings.target_accept,
                progress=shows_bar(settings.progressbar),
                store=store if keeps_draws(design, asked, keep) else None,
            )
    chains, draws = trace.theta.shape[:2]  # fewer after an interrupt
    if trace.coefficients is None:
        store = replace(store, single=kept_single(design, chains * draws, keep))
    kept = None if keeps_draws(design, chains * draws, keep) else kept_draws(design, chains, draws)
    found = name_draws(
        products, trace, seed=settings.random_seed, cores=settings.cores, kept=kept, store=store
    )
    if apart is not None:
        found = common_again(apart, found, "beta")
    values = user_scale(design, found)
    moments = level_moments(design, products, trace.theta, cores=settings.cores)
    return finish(
        design, values, found, settings, start=start, kept=kept, moments=moments, exact=True
    )


def finish(
    design: Design,
    values: dict[str, np.ndarray],
    found: Mapping[str, Any],
    settings: SamplerSettings,
    *,
    start: float,
    kept: np.ndarray | None,
    moments: Mapping[str, tuple[np.ndarray, np.ndarray]] | None,
    exact: bool,
) -> xr.DataTree:
    """The groups of a fit of a compiled engine; with ``moments`` effects are apart."""
    values, extra = set_apart(design, values, kept, moments, exact=exact)
    posterior = label_draws(design, values)
    attributes = how_sampled(found, posterior, seconds=time.perf_counter() - start)
    stats = sampler_stats(found, posterior)
    return assemble(design, posterior, stats, settings, attributes=attributes, extra=extra)


def set_apart(
    design: Design,
    values: dict[str, np.ndarray],
    kept: np.ndarray | None,
    moments: Mapping[str, tuple[np.ndarray, np.ndarray]] | None,
    *,
    exact: bool,
) -> tuple[dict[str, np.ndarray], dict[str, xr.Dataset]]:
    """What goes to ``posterior``, and the other groups.

    ``moments`` are exact ones or those of all draws; where not all draws of the effects are
    ``kept``, ``effects`` has those that are.
    """
    if not moments:
        return values, {}
    of_levels = label_moments(design, moments).assign_attrs(exact=int(exact))
    if kept is None:
        return values, {"moments": of_levels}
    effects = {name: each for name, each in values.items() if name.startswith("b_")}
    rest = {name: each for name, each in values.items() if name not in effects}
    return rest, {
        "effects": label_draws(design, effects).assign_coords(draw=kept),
        "moments": of_levels,
    }


def sample_noncentred(
    design: Design, priors: Priors, settings: SamplerSettings, *, keep: str = "auto"
) -> xr.DataTree:
    """Sample with the compiled engine that keeps the coefficients, whatever their priors.

    Where the draws of the group effects are not kept their means and sds are those of all draws.
    """
    from hiermodels.collapsed import coefficient_priors, effect_maps, gaussian_problem, user_scale
    from hiermodels.density import Store, cross_products
    from hiermodels.density.coefficientpriors import CoefficientPrior
    from hiermodels.density.noncentred_sampling import first_use
    from hiermodels.density.noncentred_sampling import sample_noncentred as sample

    start = time.perf_counter()
    products = cross_products(gaussian_problem(design, priors))
    if first_use(products):
        tell(FIRST_OF_ITS_KIND, progressbar=settings.progressbar)
    with as_sampling_errors():
        found = sample(
            products,
            tuple(
                CoefficientPrior(name=p.inside.name, parameters=p.inside.parameters)
                for p in coefficient_priors(priors)
            ),
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=settings.cores,
            seed=settings.random_seed,
            target_accept=settings.target_accept,
            progress=shows_bar(settings.progressbar),
            store=Store(
                maps=effect_maps(design),
                single=kept_single(design, settings.chains * settings.draws, keep),
            ),
        )
    values, kept, moments = thin_effects(design, user_scale(design, found), keep)
    return finish(
        design, values, found, settings, start=start, kept=kept, moments=moments, exact=False
    )


def sample_rows(
    design: Design, priors: Priors, settings: SamplerSettings, *, keep: str = "auto"
) -> xr.DataTree:
    """Sample a model of any family with the compiled engine that reads row by row.

    Rows that are the same in all that the model uses are read once, with their count; columns that
    share no row are handled level by level (`disjoint`).
    """
    from hiermodels.density.informed_sampling import first_use, sample_informed
    from hiermodels.disjoint import columns_apart, common_again
    from hiermodels.merging import distinct_rows
    from hiermodels.rowwise import is_compiled, row_problem, row_scale

    start = time.perf_counter()
    if first_use() or not is_compiled(design):
        tell(FIRST_OF_ITS_KIND, progressbar=settings.progressbar)
    problem = row_problem(distinct_rows(design), priors)
    apart = columns_apart(problem)
    with as_sampling_errors():
        found = sample_informed(
            problem if apart is None else apart.problem,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=settings.cores,
            seed=settings.random_seed,
            target_accept=settings.target_accept,
            progress=shows_bar(settings.progressbar),
        )
    if apart is not None:
        found = common_again(apart, found)
    values, kept, moments = thin_effects(design, row_scale(design, found), keep)
    return finish(
        design, values, found, settings, start=start, kept=kept, moments=moments, exact=False
    )


def thin_effects(
    design: Design, values: dict[str, np.ndarray], keep: str
) -> tuple[
    dict[str, np.ndarray], np.ndarray | None, dict[str, tuple[np.ndarray, np.ndarray]] | None
]:
    """Where not all draws of the effects are kept: some of them, and the moments of all."""
    from hiermodels.collapsed import draw_moments

    chains, draws = next(iter(values.values())).shape[:2]
    if keeps_draws(design, chains * draws, keep) or not design.blocks:
        return values, None, None
    moments, kept = draw_moments(design, values), kept_draws(design, chains, draws)
    few = {
        name: each[:, kept].astype(np.float32) if name.startswith("b_") else each
        for name, each in values.items()
    }
    return few, kept, moments


@contextmanager
def as_sampling_errors() -> Iterator[None]:
    """The failures of nutpie, and an interrupt before the first draw, told as ours."""
    try:
        yield
    except InterruptedError as error:
        raise SamplingError(f"interrupted: {error}, so there is nothing to keep") from None
    except RuntimeError as error:
        raise SamplingError(f"the sampler stopped: {error}") from error


def sampler_stats(found: Mapping[str, Any], posterior: xr.Dataset) -> dict[str, np.ndarray]:
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    return {k: v for k, v in found.items() if k in STATISTICS and v.shape == shape}


def how_sampled(
    found: Mapping[str, Any], posterior: xr.Dataset, *, seconds: float
) -> dict[str, Any]:
    """What the compiled engines did, as attributes of the posterior."""
    return {
        "method": found["method"],
        "mended": mended(found["method"], found["thinning"]),
        "draws_made": posterior.sizes["draw"] * found["thinning"],
        "divergences": int(found["diverging"].sum()),
        "interrupted": int(found["interrupted"]),
        "modes": found["modes"],
        "mode_of_chain": " ".join(map(str, found["mode_of_chain"])),
        "sampling_seconds": seconds,
    }


def effect_count(design: Design) -> int:
    return sum(block.n_levels * len(block.terms) for block in design.blocks)


def keeps_draws(design: Design, n_draws: int, keep: str) -> bool:
    """Whether all draws of the group effects are kept: up to `MOST_SINGLE` bytes, unless asked."""
    if keep == "auto":
        return 4 * n_draws * effect_count(design) <= MOST_SINGLE
    return keep == "draws"


def kept_single(design: Design, n_draws: int, keep: str) -> bool:
    """Whether effects are kept in single precision: where all draws take more than `MEMORY`, or
    some alone are kept."""
    large = 8 * n_draws * effect_count(design) > MEMORY
    return large or not keeps_draws(design, n_draws, keep)


def kept_draws(design: Design, chains: int, draws: int) -> np.ndarray:
    """The draws within each chain whose effects are kept, as single precision, evenly spread."""
    most = max(1, MEMORY // (4 * chains * effect_count(design)))
    every = -(-draws // min(draws, most, KEPT))
    return np.arange(every - 1, draws, every)


def mended(method: str, thinning: int) -> str:
    """What the sampler did beyond one draw of NUTS for each that was asked for, in words."""
    if method == "plain":
        return "Plain non-centring: no Gaussian approximation was found at the mode."
    if method == "independence":
        return f"Sds and sigma by {method} Metropolis at the mode: a gradient costs too much here."
    if thinning > 1:
        return (
            f"Few effective draws at first, as when an sd may be zero: "
            f"made {thinning} times as many, and thinned."
        )
    return ""


def compile_pymc(model: Any, names: tuple[str, ...]) -> Any:
    """The compiled log-density and gradient of a PyMC model, by nutpie; takes 10 s to 2 min."""
    import nutpie

    return nutpie.compile_pymc_model(model, var_names=list(names))


def sample_pymc(
    compiled: Any, design: Design, settings: SamplerSettings, *, keep: str = "auto"
) -> xr.DataTree:
    """Sample a compiled PyMC model; an interrupt keeps the draws that all chains have.

    ``keep`` as in `sample_noncentred`.
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
        progress_bar=shows_bar(settings.progressbar),
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
    posterior, stats = complete_draws(tree, interrupted=interrupted)
    thinned = slice(THIN - 1, None, THIN)
    attributes = {
        "method": "nuts",
        "mended": "",
        "draws_made": int(posterior.sizes["draw"]),
        "divergences": int(stats["diverging"].sum()),
        "interrupted": int(interrupted),
        "sampling_seconds": time.perf_counter() - start,
    }
    values = {n: posterior[n].isel(draw=thinned).to_numpy() for n in reported_names(design)}
    statistics = {
        n: v.isel(draw=thinned).to_numpy() for n, v in stats.data_vars.items() if n in STATISTICS
    }
    values, extra = set_apart(design, *thin_effects(design, values, keep), exact=False)
    labelled = label_draws(design, values)
    return assemble(design, labelled, statistics, settings, attributes=attributes, extra=extra)


def complete_draws(tree: xr.DataTree, *, interrupted: bool) -> tuple[xr.Dataset, xr.Dataset]:
    """The draws that every chain has; chains that an interrupt left without any are dropped."""
    posterior, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    posterior = posterior.transpose("chain", "draw", ...)
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


def assemble(
    design: Design,
    posterior: xr.Dataset,
    stats: Mapping[str, Any],
    settings: SamplerSettings,
    *,
    attributes: Mapping[str, Any],
    extra: Mapping[str, xr.Dataset] | None = None,
) -> xr.DataTree:
    """The groups of a fit, with how it was made as attributes of the posterior."""
    import xarray as xr

    posterior.attrs = {
        "formula": design.formula.text,
        "chains": posterior.sizes["chain"],
        "random_seed": settings.random_seed,
        "tune": settings.tune,
        "target_accept": settings.target_accept,
        **attributes,
    }
    sample_stats = xr.Dataset(
        {name: (("chain", "draw"), values) for name, values in stats.items()},
        coords={"chain": posterior.chain, "draw": posterior.draw},
    )
    # a tree has "/" between its groups, so a response such as score / 100 has another stroke
    observed = xr.Dataset({design.response_name.replace("/", "∕"): ("row", design.response)})
    return xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": sample_stats,
            "observed_data": observed,
            **(extra or {}),
        }
    )
