"""The whole posterior of a Gaussian hierarchical model: cross-products, pilot, NUTS, recovery."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..threads import available_cores, one_thread
from .coordinates import density_callback, expansion_callback
from .covariance import sds_and_correlations
from .crossproducts import CrossProducts, cross_products
from .drawing import AS_THEY_ARE, Coefficients, Store
from .independence import run_independence
from .modes import sample_modes
from .nuts import run_nuts
from .pilot import modes_of_theta
from .problem import GaussianProblem
from .recovery import recover, recover_thinned
from .starts import PAIRS
from .trace import Trace, sample_enough

__all__ = ["label", "name_draws", "sample", "sample_theta"]

LARGEST_FOR_NUTS = 400
"""Columns of the dense Schur complement; beyond, a gradient costs more than it brings (DESIGN
section 5)."""
LEAST_ACCEPTED = 0.5
"""Below this the posterior is not like its approximation at the mode, and NUTS is better."""
ENOUGH = 0.5
"""Effective draws wanted per draw."""


def sample_theta(
    products: CrossProducts,
    *,
    draws: int = 1000,
    tune: int = 200,
    chains: int = 4,
    cores: int | None = None,
    seed: int = 0,
    target_accept: float = 0.8,
    progress: bool = False,
    progress_callback: Callable | None = None,
    store: Store | None = None,
) -> Trace:
    """Draws of theta = (sds, correlations, sigma), the coefficients integrated out.

    With a `store` a sampler that has coefficients on its way keeps them. One thread of BLAS per
    chain: chains already use the cores.
    """
    cores = cores or available_cores()
    large = products.sparse and products.rest_size > LARGEST_FOR_NUTS

    def run(words: NDArray[np.float64], *, chains: int, seed: int) -> Trace:
        settings: dict[str, Any] = {
            "chains": chains,
            "cores": min(chains, cores),
            "progress": progress,
        }
        if large:
            trace = run_independence(
                products, words, draws=draws, store=store, seed=seed, **settings
            )
            if trace.interrupted or trace.statistics["accepted"].mean() > LEAST_ACCEPTED:
                return trace
        return sample_enough(
            partial(
                run_nuts,
                words,
                density=density_callback(words),
                expansion=expansion_callback(),
                dimension=products.theta.size,
                tune=tune,
                target_accept=target_accept,
                progress_callback=progress_callback,
                **settings,
            ),
            draws=draws,
            seed=seed,
            enough=ENOUGH,
        )

    with one_thread():
        modes = modes_of_theta(products, seed=seed, pairs=1 if large else PAIRS)
        return sample_modes(modes, run, chains=chains, seed=seed)


def sample(
    problem: GaussianProblem,
    *,
    draws: int = 1000,
    tune: int = 200,
    chains: int = 4,
    cores: int | None = None,
    seed: int = 0,
    target_accept: float = 0.8,
    progress: bool = False,
    progress_callback: Callable | None = None,
) -> dict[str, Any]:
    """Arrays (chains, draws, ...): ``beta``, ``sigma``, by block ``sd_g``, ``cor_g``, ``b_g``, and
    statistics."""
    products = cross_products(problem)
    trace = sample_theta(
        products,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        seed=seed,
        target_accept=target_accept,
        progress=progress,
        progress_callback=progress_callback,
        store=AS_THEY_ARE,
    )
    return name_draws(products, trace, seed=seed, cores=cores)


def name_draws(
    products: CrossProducts,
    trace: Trace,
    *,
    seed: int,
    cores: int | None = None,
    kept: NDArray[np.int64] | None = None,
    store: Store = AS_THEY_ARE,
) -> dict[str, Any]:
    """Coefficients drawn given theta, and everything by its name, as in `sample`.

    With `kept`, numbers of draws within each chain, ``b_g`` is of those draws alone; otherwise the
    `store` is that of `sample_theta`. Ctrl-C leaves the draws that have coefficients.
    """
    chains, draws, d = trace.theta.shape
    flat = trace.theta.reshape(-1, d)
    rng, cores = np.random.default_rng([seed, 1]), cores or available_cores()
    if kept is not None:
        rows = (np.arange(chains)[:, None] * draws + kept).ravel()
        found = recover_thinned(
            products, flat, kept=rows, rng=rng, cores=cores, store=store
        ).of_chains(chains)
    elif trace.coefficients is not None:
        found = trace.coefficients
    else:
        found = recover(products, flat, rng=rng, cores=cores, chains=chains, store=store).of_chains(
            chains
        )
    return label(products, trace, found)


def label(products: CrossProducts, trace: Trace, found: Coefficients) -> dict[str, Any]:
    """Draws of theta and coefficients by name, those that have both."""
    if found.interrupted:
        trace = trace.first(found.beta.shape[1])
    result: dict[str, Any] = {"beta": found.beta}
    for name, places, effects in zip(
        products.names, products.theta.places, found.effects, strict=True
    ):
        result[f"sd_{name}"], result[f"cor_{name}"] = sds_and_correlations(trace.theta, places)
        result[f"b_{name}"] = effects
    if products.theta.log_sigma >= 0:
        result["sigma"] = np.exp(trace.theta[..., products.theta.log_sigma])
    return result | trace.statistics | trace.how_made
