"""Half of the kernels of a first fit, compiled by a second process while the first compiles the
others: numba compiles one kernel at a time in a process, and whoever fits a first model waits for
all of them.

Each process finds in the cache what the other has compiled by then. Where the second cannot be
started or fails, nothing is lost but time: the first then compiles these kernels itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from numba import float64, int64

from .combinations import accumulate_dense, combine_level, combine_rest, rest_distribution
from .compilation import kept_on_disk
from .recovery import draw_dense, draw_lanes
from .rest import rest_system

__all__ = ["SIGNATURES", "compile_kernels", "compiled_beside", "start"]

WORDS = float64[::1]
TABLE = float64[:, ::1]
CUBE = float64[:, :, ::1]
LABELS, TERMS = int64[:, ::1], int64[::1]
#: The argument types with which a fit calls them, dense kernels alone: large crossed designs have
#: others, compiled when the first of them is met. What the first process asks for comes first; what
#: needs its elimination of the largest factor comes last, when that is in the cache.
SIGNATURES = {
    rest_system: (WORDS, WORDS, TABLE, int64),
    rest_distribution: (WORDS, WORDS, TABLE, int64),
    combine_rest: (LABELS, int64, TABLE, TABLE, WORDS, TABLE, int64, CUBE),
    combine_level: (*[TABLE] * 2, TERMS, *[TABLE] * 3, WORDS, TABLE, int64, int64, CUBE),
    draw_lanes: (TABLE, CUBE, CUBE, WORDS, TABLE),
    accumulate_dense: (TABLE, WORDS, int64, TABLE, TABLE, CUBE),
    draw_dense: (TABLE, WORDS, TABLE, CUBE, WORDS),
}


def compile_kernels() -> None:
    """What the second process does."""
    for kernel, signature in SIGNATURES.items():
        kernel.compile(signature)


@contextmanager
def compiled_beside() -> Iterator[None]:
    """Let these kernels be compiled during the block; wait for them at its end."""
    process = start()
    try:
        yield
    except BaseException:
        if process is not None:
            process.kill()
        raise
    finally:
        if process is not None:
            process.wait()


def start() -> subprocess.Popen[bytes] | None:
    """None where there is one core, where this program is no Python that would run a module, and
    where the processes share no cache."""
    interpreter = Path(sys.executable or "")
    alone = (os.cpu_count() or 1) < 2 or not interpreter.name.lower().startswith("python")
    if alone or not kept_on_disk():
        return None
    package = Path(__file__).parents[2]
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(package), *([known] if known else [])])
    try:
        return subprocess.Popen(
            [str(interpreter), "-c", f"from {__name__} import compile_kernels; compile_kernels()"],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
