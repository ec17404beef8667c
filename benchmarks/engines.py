"""How long a posterior takes, and what it is worth: hiermodels beside other programs.

    python -m benchmarks.engines [--quick] [--cases a,b] [--repeats 5] [--with pymc,bambi,lme4]
        [--other-repeats 2] [--seed 1] [--json FILE]

The rules are in README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from hiermodels.errors import HierModelsError, lookup

from .cases import CASES, Case, find_cases
from .processes import Workplace, find_r, time_first_use
from .programs import PROGRAMS
from .tables import OURS, CaseResult, draws_table, ratio_table, time_table, verdict
from .validity import RULE

__all__ = ["main"]

QUICK_CASES, QUICK_REPEATS = ["variance_sim", "sites"], 2
FIRST_USE_SECONDS = 30.0
PACKAGES = (
    "hiermodels",
    "numpy",
    "numba",
    "nutpie",
    "pymc",
    "pytensor",
    "bambi",
    "arviz",
    "pandas",
)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="two cases, two repeats, hiermodels")
    parser.add_argument("--cases", type=names, help=f"of {', '.join(CASES)}; all")
    parser.add_argument("--repeats", type=int, help="timed fits for each row; 5")
    parser.add_argument(
        "--other-repeats", type=int, help="of the programs of --with; as many as --repeats"
    )
    parser.add_argument(
        "--with",
        dest="others",
        type=names,
        default=[],
        help=f"of {', '.join(p for p in PROGRAMS if p != OURS)}; none",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first timed fit; 1")
    parser.add_argument("--json", type=Path, help="a file for every repetition and the machine")
    asked = parser.parse_args(arguments)
    asked.cases = asked.cases or (QUICK_CASES if asked.quick else list(CASES))
    asked.repeats = asked.repeats or (QUICK_REPEATS if asked.quick else 5)
    asked.other_repeats = asked.other_repeats or asked.repeats
    return asked


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def main(arguments: list[str] | None = None) -> None:
    asked = parse_arguments(arguments)
    try:
        cases = find_cases(asked.cases)
        for other in asked.others:
            lookup(other, PROGRAMS, what="program")
    except HierModelsError as error:
        sys.exit(str(error))
    progress = Console(stderr=True)
    before = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(
            folder=Path(folder),
            repeats=asked.repeats,
            other_repeats=asked.other_repeats,
            seed=asked.seed,
        )
        results = {}
        for name, case in cases.items():
            if why_not := case.missing():
                progress.print(f"{name}: skipped, {why_not}")
                continue
            results[name] = measure_case(
                place, name, case, programs=[OURS, *asked.others], progress=progress
            )
        first_use = None if asked.quick else time_first_use(place.folder)
    show(results, first_use, before, asked.others)
    if asked.json:
        asked.json.write_text(
            json.dumps(as_json(results, first_use, before | {"seed": asked.seed}), indent=1) + "\n"
        )


def measure_case(
    place: Workplace,
    name: str,
    case: Case,
    *,
    programs: list[str],
    progress: Console,
) -> CaseResult:
    """The long run, then each program in turn, then fresh processes."""
    progress.print(f"{name}: long run")
    if error := place.long_run(name):
        raise RuntimeError(f"the long run of {name} failed: {error}")
    measurements = {}
    for program in programs:
        if not case.runs(program):
            progress.print(f"{name}: {program} not run on a case of this size")
        elif PROGRAMS[program].fit is None and not find_r():
            progress.print(f"{name}: {program} skipped, no Rscript")
        else:
            progress.print(f"{name}: {program}")
            measurements[program] = (
                place.measure_r(name, case, program)
                if PROGRAMS[program].fit is None
                else place.measure(name, program)
            )
            progress.print(f"  {verdict(measurements[program])}")
    fresh = []
    if case.programs is None:  # at scale, reading the data would take most of the time
        progress.print(f"{name}: fresh processes")
        fresh = place.time_fresh(name, case)
    return CaseResult(case=case, measurements=measurements, fresh=fresh)


def show(
    results: dict[str, CaseResult],
    first_use: float | None,
    machine: dict[str, Any],
    others: list[str],
) -> None:
    """The tables, wide enough where the output is a file."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(RULE)
    for table in (time_table(results), draws_table(results), ratio_table(results)):
        if table.row_count:
            console.print(table)
    if first_use is not None:
        console.print(
            f"First use ever, kernels compiled: {first_use:.1f} s (at most {FIRST_USE_SECONDS:.0f})"
        )
    for program in (OURS, *others):
        console.print(f"{program}: {PROGRAMS[program].note}")
    load = f"load {machine['load'][0]:.1f} at the start"
    console.print(f"{machine['processor']}, {machine['cores']} cores, {load}")


def describe_machine() -> dict[str, Any]:
    """What a time depends on."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": list(os.getloadavg()),
        "versions": {package: package_version(package) for package in PACKAGES},
    }


def processor() -> str:
    """The name of the processor where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def package_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def as_json(
    results: dict[str, CaseResult], first_use: float | None, machine: dict[str, Any]
) -> dict[str, Any]:
    """Every repetition, valid or not, with its verdict."""
    return {
        "machine": machine,
        "end": datetime.now(UTC).isoformat(timespec="seconds"),
        "first_use_seconds": first_use,
        "cases": {
            name: {
                "formula": result.case.formula,
                "targets": {
                    "seconds": result.case.seconds,
                    "ess": result.case.ess,
                    "memory": result.case.memory,
                },
                "fresh_seconds": result.fresh,
                "programs": {
                    program: asdict(found)
                    | {"note": PROGRAMS[program].note, "refusals": found.refusals}
                    for program, found in result.measurements.items()
                },
            }
            for name, result in results.items()
        },
    }


if __name__ == "__main__":
    main()
