"""What a user sees while a fit runs: a line for what takes long, and the sampler's bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["counting_bar", "shows_bar", "tell"]


def tell(message: str, *, progressbar: bool) -> None:
    """One line on stderr, where the progress bar would stand, too."""
    if progressbar:
        print(message, file=sys.stderr, flush=True)


def shows_bar(progressbar: bool) -> bool:
    """Whether a bar can be drawn: in a terminal and in a notebook, not in a file or a pipe."""
    return progressbar and (sys.stderr.isatty() or in_notebook())


def in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def counting_bar(total: int, what: str, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that grows to ``total``; what it gives is told each step's size."""
    if not shown:
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda step: progress.update(task, advance=step)
