"""The sampler on every model that is compared with lme4: both engines, three seeds.

    python -m benchmarks.reference [--cases a,b] [--engines collapsed,pymc] [--seeds 3]

The cases are those of ``tests/test_reference.py``. ``seconds`` is one fit in a warm process; a
model is compiled once for all seeds, in ``first fit``. Where an original data set is missing, the
case is left out with a line.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import hiermodels as hm
from hiermodels.errors import DatasetError, HierModelsError, MissingDataWarning, lookup

__all__ = ["main"]

TESTS = Path(__file__).resolve().parents[1] / "tests" / "test_reference.py"
RHAT, ESS = 1.01, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fit. Made by `measure`, read by `show`."""

    case: str
    engine: str
    seed: int
    rhat: float
    ess_bulk: float
    divergences: int
    seconds: float
    first_seconds: float

    @property
    def good(self) -> bool:
        return self.rhat <= RHAT and self.ess_bulk >= ESS and self.divergences == 0


def load_tests() -> Any:
    """The module with the table of cases; it needs pytest."""
    spec = importlib.util.spec_from_file_location("reference_cases", TESTS)
    if spec is None or spec.loader is None:
        raise ImportError(f"no tests at {TESTS}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def measure(name: str, case: Any, engine: str, *, seeds: int) -> Iterator[Row]:
    """Fits of one model with one engine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingDataWarning)
        model = hm.Model(case.formula, hm.load_dataset(case.data))
    begin = time.perf_counter()
    model.fit(engine=engine, random_seed=0, progressbar=False)
    first = time.perf_counter() - begin
    for seed in range(1, seeds + 1):
        begin = time.perf_counter()
        fitted = model.fit(engine=engine, random_seed=seed, progressbar=False)
        seconds = time.perf_counter() - begin
        diagnostics = fitted.diagnostics
        yield Row(
            case=name,
            engine=engine,
            seed=seed,
            rhat=float(np.nanmax(diagnostics.rhat)),
            ess_bulk=float(np.nanmin(diagnostics.ess_bulk)),
            divergences=diagnostics.divergences,
            seconds=seconds,
            first_seconds=first,
        )


def table_of(rows: list[Row]) -> Table:
    """One line for each fit; what the tests would not accept is marked."""
    table = Table(title="Every reported parameter, group effects included", title_justify="left")
    for column in ("case", "engine"):
        table.add_column(column)
    for column in ("seed", "R-hat", "bulk ESS", "divergences", "seconds", "first fit", ""):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(row.case, row.engine, str(row.seed), f"{row.rhat:.3f}", f"{row.ess_bulk:,.0f}"),
            *(str(row.divergences), f"{row.seconds:.2f}", f"{row.first_seconds:.2f}"),
            "" if row.good else "[red]not good[/red]",
        )
    return table


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reference", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--cases", help="names with commas between; all")
    parser.add_argument("--engines", help="collapsed,pymc", default="collapsed,pymc")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    asked = parse_arguments(arguments)
    cases: dict[str, Any] = load_tests().CASES
    progress = Console(stderr=True)
    rows: list[Row] = []
    for name in asked.cases.split(",") if asked.cases else cases:
        for engine in asked.engines.split(","):
            progress.print(f"{name}: {engine}")
            try:
                rows += measure(name, lookup(name, cases, what="case"), engine, seeds=asked.seeds)
            except DatasetError as error:
                progress.print(f"{name}: left out, {str(error).splitlines()[0]}")
            except HierModelsError as error:
                sys.exit(str(error))
    Console(width=None if sys.stdout.isatty() else 120).print(table_of(rows))


if __name__ == "__main__":
    main()
