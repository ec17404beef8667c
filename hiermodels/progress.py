"""What a user sees while a fit runs: a line for what takes long, and the sampler's bar."""

from __future__ import annotations

import sys

__all__ = ["shows_bar", "tell"]


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
