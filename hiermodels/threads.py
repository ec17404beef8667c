"""How many cores there are, and one thread for each matrix while chains keep them busy."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController

__all__ = ["available_cores", "one_thread"]


def available_cores() -> int:
    """Cores that this process may use, as far as Python can tell."""
    count = getattr(os, "process_cpu_count", os.cpu_count)
    return count() or 1


def one_thread(user_api: str | None = None) -> AbstractContextManager[object]:
    """A block in which BLAS, and OpenMP unless ``user_api="blas"``, use one thread per call."""
    return _controller().limit(limits=1, user_api=user_api)


@cache
def _controller() -> ThreadpoolController:
    """Found once a process: to look through all loaded libraries takes 5 ms, a fit four times so.

    The libraries that our matrices meet are loaded first, as one loaded later would not be found.
    """
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()
