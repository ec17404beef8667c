"""NUTS on a compiled density: the one place of this package that knows nutpie.

Nutpie calls compiled C functions at addresses; it gets ours, with the buffer as their data, through
the class it makes for PyMC models. Chains run in threads without the GIL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core.ccallback import CFunc
from numpy.typing import NDArray

from hiermodels.convergence import FEWEST_DRAWS

from ..late_imports import import_sampler
from .trace import Trace, most_draws

__all__ = ["run_nuts"]

STATISTICS = ("diverging", "n_steps", "step_size", "depth", "energy", "logp")


def run_nuts(
    words: NDArray[np.float64],
    *,
    density: CFunc,
    expansion: CFunc,
    dimension: int,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    seed: int,
    target_accept: float,
    progress: bool = False,
    progress_callback: Callable | None = None,
) -> Trace:
    """Sample; Ctrl-C returns the draws made so far, as many in each chain that is kept."""
    import_sampler()
    import nutpie

    sampler = nutpie.sample(
        _compiled_model(words, density, expansion, dimension),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        seed=seed,
        target_accept=target_accept,
        progress_bar=progress,
        progress_callback=progress_callback,
        blocking=False,
        return_raw_trace=True,
    )
    interrupted = False
    try:
        raw = sampler.wait()
    except KeyboardInterrupt:
        raw, interrupted = sampler.abort(), True
    except BaseException:
        sampler.cancel()
        raise
    return read_trace(*raw.get_arrow_trace(), interrupted=interrupted)


def _compiled_model(words: NDArray[np.float64], density: CFunc, expansion: CFunc, d: int) -> Any:
    from nutpie.compile_pymc import CompiledPyMCModel

    def first_point(seed: int) -> NDArray[np.float64]:
        return np.random.default_rng(seed).standard_normal(d)

    return CompiledPyMCModel(
        _n_dim=d,
        dims={},
        _coords={},
        _shapes={"theta": (d,)},
        compiled_logp_func=density,
        compiled_expand_func=expansion,
        initial_point_func=first_point,
        shared_data={},
        shared_var_keys={},
        user_data=words,
        n_expanded=d,
        shape_info=(["theta"], [slice(0, d)], [(d,)]),
        logp_func=None,
        expand_func=None,
    )


def read_trace(draw_batches: list, stat_batches: list, *, interrupted: bool) -> Trace:
    tuned = [int(np.sum(_column(batch, "tuning"))) for batch in stat_batches]
    made = [batch.num_rows - n for batch, n in zip(stat_batches, tuned, strict=True)]
    chains, kept = most_draws(made, least=FEWEST_DRAWS if interrupted else 1)
    draw_batches = [draw_batches[chain] for chain in chains]
    stat_batches = [stat_batches[chain] for chain in chains]
    tuned = [tuned[chain] for chain in chains]
    stats = {
        name: np.stack(
            [_column(b, name)[n : n + kept] for b, n in zip(stat_batches, tuned, strict=True)]
        )
        for name in STATISTICS
        if name in stat_batches[0].column_names
    }
    theta = [
        _column(batch, "theta").reshape(batch.num_rows, -1)[n : n + kept]
        for batch, n in zip(draw_batches, tuned, strict=True)
    ]
    steps = sum(
        int(_column(batch, "n_steps")[:n].sum())
        for batch, n in zip(stat_batches, tuned, strict=True)
    )
    return Trace(
        theta=np.stack(theta),
        statistics=stats,
        method="nuts",
        tuning_steps=steps,
        interrupted=interrupted,
    )


def _column(batch: Any, name: str) -> NDArray:
    import pyarrow

    column = pyarrow.array(batch.column(name))
    return (column.flatten() if name == "theta" else column).to_numpy(zero_copy_only=False)
