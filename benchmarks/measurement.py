"""One program on one case: the runs, each with its time, its memory and its verdict.

Called by `child` in a process of its own, so that no program pays for, or profits from, another.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import hiermodels as hm

from .cases import Case, Perturbed
from .memory import watch_memory
from .programs import Program
from .validity import Estimates, LongRun, estimate, largest_distance, pool, refusals

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Measurement", "Run", "make_long_run", "measure"]

#: Seeds of the long run stay clear of those of the timed runs.
FIRST_SEED = 1_000_000
#: Of each chain.
DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One timed fit; None is what a program does not tell. Read by `tables`, written as JSON.

    ``ess`` over all but the group effects, ``ess_effects`` over these too: (bulk, tail).
    ``cpu_seconds`` is the time of all threads and children, which other work on the machine does
    not lengthen much. ``effect_draws`` are those of each chain whose group effects were kept.
    """

    seconds: float
    cpu_seconds: float | None = None
    rhat: float | None = None
    ess: tuple[float, float | None] | None = None
    ess_effects: tuple[float, float | None] | None = None
    sampling_seconds: float | None = None
    gradients_per_draw: float | None = None
    divergences: int | None = None
    effect_draws: int | None = None
    largest_distance: float | None = None
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All runs of one program on one case. Made by `measure`, or from R by `processes`.

    ``first_seconds`` is the untimed fit before them: loading, and compilation where there is any.
    ``error`` is what stopped it.
    """

    runs: tuple[Run, ...] = ()
    first_seconds: float | None = None
    memory: float | None = None
    error: str = ""

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why no time is shown: one invalid run refuses the row."""
        if self.error:
            return (self.error,)
        bad = [run.refusals for run in self.runs if run.refusals]
        if not bad:
            return ()
        return (f"{len(bad)} of {len(self.runs)} runs refused", *bad[0])

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def ess_per_second(self) -> float | None:
        """Smallest bulk ESS but of the group effects, by the time from end to end; the median."""
        rates = [run.ess[0] / run.seconds for run in self.runs if run.ess is not None]
        return statistics.median(rates) if rates else None


def measure(
    case: Case, program: Program, *, repeats: int, seed: int, long_run: LongRun | None
) -> Measurement:
    """The untimed first fit, then the timed ones, with ``seed`` and those after it."""
    if program.fit is None:
        raise ValueError("a program of R is not run from here")
    load_everything()
    data = Perturbed(case)
    with watch_memory() as peak:
        start = time.perf_counter()
        program.fit(case, data.draw(seed - 1), seed - 1)
        first = time.perf_counter() - start
    memory, runs = [peak.megabytes], []
    for own_seed in range(seed, seed + repeats):
        frame = data.draw(own_seed)
        with watch_memory() as peak:
            start, worked = time.perf_counter(), processor_seconds()
            tree = program.fit(case, frame, own_seed)
            seconds, worked = time.perf_counter() - start, processor_seconds() - worked
        memory.append(peak.megabytes)
        found = describe(tree, seconds, long_run if program.same_model else None)
        runs.append(replace(found, cpu_seconds=worked))
        del tree
        gc.collect()  # a DataTree points at itself, and would count as memory of the next run
    known = [m for m in memory if m is not None]
    return Measurement(runs=tuple(runs), first_seconds=first, memory=max(known) if known else None)


def processor_seconds() -> float:
    """What this process and its children have used of all cores."""
    return sum(os.times()[:4])


def load_everything() -> None:
    """Modules and kernels are no part of a model's memory."""
    hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"), draws=10, progressbar=False)


def describe(tree: xr.DataTree, seconds: float, long_run: LongRun | None) -> Run:
    """A finished posterior, outside the clock."""
    found = estimate(tree)
    attributes = tree["posterior"].attrs
    stats = tree["sample_stats"]
    effect_draws = int(
        (tree["effects"] if "effects" in tree.children else tree["posterior"]).sizes["draw"]
    )
    few = () if effect_draws >= DRAWS else (f"effects of {effect_draws} draws alone",)
    return Run(
        seconds=seconds,
        rhat=float(found.rhat.max()),
        ess=found.least(effects=False),
        ess_effects=found.least(effects=True),
        sampling_seconds=attributes.get("sampling_seconds", attributes.get("sampling_time")),
        gradients_per_draw=gradients_per_draw(tree),
        divergences=int(stats["diverging"].sum()) if "diverging" in stats else None,
        effect_draws=effect_draws,
        largest_distance=None if long_run is None else largest_distance(found, long_run),
        refusals=few + refusals(found, long_run),
    )


def gradients_per_draw(tree: xr.DataTree) -> float | None:
    """Gradient evaluations for each draw that is kept; None where none were made."""
    if "n_steps" not in tree["sample_stats"]:
        return None
    steps = float(tree["sample_stats"]["n_steps"].mean())
    attributes = tree["posterior"].attrs
    if attributes.get("engine") != "pymc":  # the collapsed engine has added up what it thinned
        return steps
    return steps * attributes["draws_made"] / tree["posterior"].sizes["draw"]


def make_long_run(case: Case, *, fits: int) -> LongRun:
    """Independent fits of the unperturbed data with the compiled engine, taken together."""
    data = case.load()
    engine = "collapsed" if case.family == "gaussian" else "noncentred"

    def one(seed: int) -> Estimates:
        fitted = hm.fit(
            case.formula,
            data,
            family=case.family,
            random_seed=seed,
            progressbar=False,
            engine=engine,
        )
        return estimate(fitted.idata)

    return pool([one(FIRST_SEED + i) for i in range(fits)])
