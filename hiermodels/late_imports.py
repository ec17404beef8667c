"""Nutpie, imported without what a fit does not use of it.

It imports all of ArviZ for results that it does not make here, and with it Matplotlib's pyplot: a
fifth of the time of a fresh process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["import_sampler", "imported_later"]


def import_sampler() -> None:
    """Import what a fit needs; whoever imports the rest later gets it whole."""
    with imported_later("arviz"):
        import_module("nutpie.compile_pymc")


@contextmanager
def imported_later(*names: str) -> Iterator[None]:
    """Modules imported in the block get stand-ins of these, which import them when first used.

    A stand-in of a module that is not installed raises then what importing it would have raised.
    """
    stand_ins = {name: _StandIn(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            _remove(name, module)


class _StandIn(ModuleType):
    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # asked by the import system, of every module
            raise AttributeError(attribute)
        _remove(self.__name__, self)
        return getattr(import_module(self.__name__), attribute)


def _remove(name: str, module: ModuleType) -> None:
    if sys.modules.get(name) is module:
        del sys.modules[name]
