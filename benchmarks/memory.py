"""The memory of this process, as Linux counts it: exact, and without a thread that watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peak", "watch_memory"]

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Peak:
    """Megabytes above what was there before; None where the system does not tell."""

    megabytes: float | None = None


@contextmanager
def watch_memory() -> Iterator[Peak]:
    """The largest resident memory of a block of code, above that at its start."""
    peak = Peak()
    try:
        RESET.write_text("5")  # resets VmHWM to VmRSS (proc(5))
        before = resident("VmRSS")
    except OSError:
        yield peak
        return
    yield peak
    peak.megabytes = resident("VmHWM") - before


def resident(field: str) -> float:
    lines = STATUS.read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kilobytes) * 1024 / 1e6
