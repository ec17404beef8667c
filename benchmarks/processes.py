"""Processes that are started and timed: children, fresh ones, the first use ever, and R."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cases import Case
from .measurement import Measurement, Run

__all__ = ["Workplace", "find_r", "time_first_use"]

ROOT = Path(__file__).resolve().parents[1]
#: At most so many for each case.
FRESH_PROCESSES = 3
FRESH = """
import hiermodels as hm
{read}
fit = hm.fit({formula!r}, data, family={family!r}, random_seed=1, progressbar=False)
print(fit.summary(), flush=True)
"""
FIRST_USE = """
import hiermodels as hm
hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"), random_seed=1, progressbar=False)
"""


def start(arguments: list[str], *, environment: Mapping[str, str] | None = None) -> str:
    """Run a program from the repository; in one line what went wrong, or nothing."""
    done = subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode == 0:
        return ""
    return what_went_wrong(done.stderr) or f"ended with {done.returncode}"


def what_went_wrong(said: str) -> str:
    """The last line with an error, for R ends with others; else the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or [""])[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A folder for what the processes of one benchmark leave to one another.

    ``repeats`` timed fits for each row of hiermodels, ``other_repeats`` for one of another program;
    the first with ``seed``.
    """

    folder: Path
    repeats: int
    other_repeats: int
    seed: int

    def long_run(self, name: str) -> str:
        """Make the long run of a case; the error, or nothing."""
        request = {"case": name, "program": "long run"}
        return self._child(request, self._long_run_file(name))

    def measure(self, name: str, program: str) -> Measurement:
        """A program of Python on a case, in a process of its own."""
        out = self.folder / f"{name}-{program}.json"
        request = {
            "case": name,
            "program": program,
            "repeats": self.repeats if program == "hiermodels" else self.other_repeats,
            "seed": self.seed,
            "long_run": str(self._long_run_file(name)),
        }
        error = self._child(request, out)
        return Measurement(error=error) if error else read_measurement(out)

    def measure_r(self, name: str, case: Case, program: str) -> Measurement:
        """A program of R on a case."""
        data, out = self.folder / f"{name}.csv", self.folder / f"{name}-{program}.json"
        if not data.is_file():
            case.load().to_csv(data, index=False)
        script = Path(__file__).with_name("r_programs.R")
        counts = [str(self.other_repeats), str(self.seed)]
        column = case.perturbed or case.response
        arguments = [program, case.formula, column, str(data), *counts, str(out), case.family]
        error = start(["Rscript", str(script), *arguments])
        if error:
            return Measurement(error=error)
        return Measurement(runs=tuple(map(run_of_r, json.loads(out.read_text())["runs"])))

    def time_fresh(self, name: str, case: Case) -> list[float]:
        """Seconds of a new process until its summary is printed: import, read the data, fit."""
        code = FRESH.format(
            read=self._reading(name, case), formula=case.formula, family=case.family
        )
        return [time_process(code) for _ in range(min(self.repeats, FRESH_PROCESSES))]

    def _reading(self, name: str, case: Case) -> str:
        if case.dataset:
            return f"data = hm.load_dataset({case.dataset!r})"
        path = self.folder / f"{name}.parquet"
        if not path.is_file():
            case.load().to_parquet(path)
        return f"import pandas as pd\ndata = pd.read_parquet({str(path)!r})"

    def _child(self, request: dict[str, Any], out: Path) -> str:
        arguments = [json.dumps(request), str(out)]
        return start([sys.executable, "-m", "benchmarks.child", *arguments])

    def _long_run_file(self, name: str) -> Path:
        return self.folder / f"{name}-long_run.json"


def time_process(code: str, *, environment: Mapping[str, str] | None = None) -> float:
    """Seconds until a new process has printed its last line; until its end where it prints none."""
    begin = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        told = [time.perf_counter() for _ in process.stdout]
        if process.wait():
            said.seek(0)
            raise RuntimeError(f"a fresh process failed: {what_went_wrong(said.read())}")
        return (told or [time.perf_counter()])[-1] - begin


def time_first_use(folder: Path) -> float:
    """Seconds of a new process that finds no compiled kernel: import and first fit of `sites`."""
    return time_process(FIRST_USE, environment={"NUMBA_CACHE_DIR": str(folder / "no_kernels")})


def find_r() -> bool:
    """Whether there is an R to ask."""
    from shutil import which

    return which("Rscript") is not None


def read_measurement(path: Path) -> Measurement:
    found = json.loads(path.read_text())
    return Measurement(**found | {"runs": tuple(Run(**run) for run in found["runs"])})


def run_of_r(found: dict[str, float]) -> Run:
    """R's own R-hat and effective sample sizes; lme4 has none."""
    if "rhat" not in found:
        return Run(seconds=found["seconds"])
    said = () if found["rhat"] <= 1.01 else (f"R-hat {found['rhat']:.3f}",)
    return Run(
        seconds=found["seconds"],
        rhat=found["rhat"],
        ess=(found["ess"], None),
        ess_effects=(found["ess_effects"], None),
        refusals=said,
    )
