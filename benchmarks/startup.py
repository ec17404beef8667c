"""How long a fresh process takes to import, and what it loads.

    python benchmarks/startup.py [--repeats 5]

Each line is a process of its own; the times are medians, beside their ratio to that of `python -c
pass`, which is what to compare between machines. Standard library alone.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

HEAVY = ("numpy", "pandas", "scipy", "numba", "matplotlib", "arviz", "pytensor", "pymc", "nutpie")

PROGRAMS = {
    "python -c pass": "pass",
    "import hiermodels": "import hiermodels",
    "hiermodels --help": "import sys; from hiermodels.command.cli import app; app(['--help'])",
    "hiermodels.fit, not called": "import hiermodels; hiermodels.fit",
    "a model, not fitted": (
        "import hiermodels as hm; hm.Model('y ~ x + (x | site)', hm.load_dataset('sites'))"
    ),
    "import pymc": "import pymc",
}
ROOT = Path(__file__).resolve().parents[1]
#: Run at the end of the process, also when the program leaves by SystemExit.
TELL = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"


def seconds(code: str) -> float:
    """The time of one fresh process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def loaded(code: str) -> list[str]:
    """The heavy modules that a fresh process has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", f"{TELL}\n{code}"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    modules = set(done.stderr.splitlines()[-1].split())
    return [name for name in HEAVY if name in modules]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="processes for each line")
    repeats = parser.parse_args().repeats
    # the first process of each program also fills the caches of the disk: it asks for the modules
    modules = {name: loaded(code) for name, code in PROGRAMS.items()}
    # in turn, so that a busy moment of the machine does not fall on one program
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(repeats):
        for name, code in PROGRAMS.items():
            times[name].append(seconds(code))
    base = statistics.median(times["python -c pass"])
    print("| program | seconds | ratio | loads |\n|---|---:|---:|---|")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"| `{name}` | {median:.2f} | {median / base:.1f} | {', '.join(modules[name])} |")


if __name__ == "__main__":
    main()
