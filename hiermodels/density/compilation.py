"""How every kernel is compiled: once per machine, cached on disk, and again when any source
changes.

Numba's cache watches the one file a kernel stands in, and so keeps an old callee in a cached
caller. Here every cache entry carries one stamp of all sources in the kernel's folder. Where the
package directory is read-only, numba itself moves the cache to the user's cache directory; where
that cannot be written either, or the disk is full, each process compiles what it needs.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numba
from numba.core import ccallback
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.ccallback import CFunc
from numba.core.registry import cpu_target
from numba.core.sigutils import normalize_signature

from hiermodels.errors import HierModelsWarning

__all__ = ["SUM", "Callback", "callback", "elementwise", "kept_on_disk", "kernel"]

SUM = {"reassoc", "contract", "nsz"}
"""Fast-math flags for sums: they may be reordered, and so vectorised; inf and nan keep their
meaning."""


#: What a file of the cache raises that another process, a full disk or a crash left unreadable.
UNREADABLE = (OSError, EOFError, pickle.UnpicklingError)
#: Why compiled kernels are not kept, once that is known.
_unkept: list[str] = []


def kept_on_disk() -> bool:
    """Whether what this process compiles is kept for others, as far as is known."""
    return not _unkept


def _tell_unkept(folder: str, error: OSError) -> None:
    """Once a process."""
    if _unkept:
        return
    _unkept.append(folder)
    warnings.warn(
        f"compiled kernels cannot be kept in {folder!r} ({error.strerror or error}), so each "
        "process compiles them anew. Make room, or name another folder in the environment "
        "variable NUMBA_CACHE_DIR.",
        HierModelsWarning,
        stacklevel=2,
    )


@cache
def _stamp(folder: Path) -> str:
    """One stamp of all sources in a folder and of this file.

    A sub-package reads nothing but this file from its parent, and is called through pointers, so
    that an edit of the one does not concern the other.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in [Path(__file__), *sorted(folder.glob("*.py"))]:
        digest.update(source.read_bytes())
    return digest.hexdigest()


class _CacheFile(IndexDataCacheFile):
    """Compiled code under a name of its types.

    Numba numbers the variants of a kernel: two processes that compile one each at the same moment
    would write the same file. An entry of the index that is lost so is compiled once more, as is
    one that cannot be read.
    """

    def save(self, key: Any, data: Any) -> None:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        name = self._index_name.replace(".nbi", f".{digest}.nbc")
        self._save_data(name, data)
        self._save_index(self._load_index() | {key: name})

    def load(self, key: Any) -> Any:
        try:
            return super().load(key)
        except UNREADABLE:
            return None

    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except UNREADABLE:
            return {}


class _Cache(FunctionCache):
    """The cache of one kernel. What cannot be written is of this process alone."""

    _impl: Any
    _cache_path: str

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        stamp = _stamp(Path(function.__code__.co_filename).parent)
        self._cache_file = _CacheFile(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _tell_unkept(self._cache_path, error)


def _cache_on_disk(compiled: Any, function: Callable) -> None:
    try:
        compiled._cache = _Cache(function)
    except RuntimeError:  # neither the package's folder nor the user's, told when one compiles
        _unkept.append(function.__code__.co_filename)


def kernel(
    function: Callable | None = None, *, fastmath: set[str] | bool = False, inline: str = "never"
) -> Any:
    """Compile a function on first call: cached, without the GIL, and without exceptions from 0/0.

    A function that only strings others together is inlined: as a function of its own LLVM would
    optimise all that it calls once more, which takes seconds.
    """

    def compile_lazily(function: Callable) -> Any:
        options: dict[str, Any] = {
            "error_model": "numpy",
            "nogil": True,
            "fastmath": fastmath,
            "inline": inline,
            "no_cfunc_wrapper": True,  # nobody passes kernels to kernels; a tenth of the time
        }
        compiled = numba.njit(**options)(function)
        _cache_on_disk(compiled, function)
        return compiled

    return compile_lazily if function is None else compile_lazily(function)


def elementwise(function: Callable) -> Any:
    """Compile a function of scalars into each of its callers, where a loop over it can use SIMD.

    Only multiplications and additions may be fused: sums keep their order, as compensated sums
    and the rounding by a large constant need. Callees inherit these flags where they set none.
    """
    options: dict[str, Any] = {
        "error_model": "numpy",
        "nogil": True,
        "fastmath": {"contract"},
        "forceinline": True,
        "no_cfunc_wrapper": True,
        "no_cpython_wrapper": True,
    }
    return numba.njit(**options)(function)


class _SeparateCompiler(ccallback._CFuncCompiler):  # type: ignore[name-defined]
    def _customize_flags(self, flags: Any) -> Any:
        flags = super()._customize_flags(flags)
        flags.noalias = True
        return flags


class _SeparateCFunc(CFunc):
    """A C callback of which no two pointers lead to the same memory."""

    _compiler: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        made = self._compiler
        self._compiler = _SeparateCompiler(
            made.py_func, made.targetdescr, made.targetoptions, made.locals, made.pipeline_class
        )


class Callback:
    """A C callback, compiled when it is first called for, or loaded from the cache.

    `separate` promises that its pointers lead to arrays that do not overlap, so that loops over
    them need no check before they use SIMD.
    """

    def __init__(self, function: Callable, signature: Any, *, separate: bool = False) -> None:
        self.function, self.signature = function, signature
        self.kind = _SeparateCFunc if separate else CFunc

    def _declared(self) -> CFunc:
        made = self.kind(
            self.function,
            normalize_signature(self.signature),
            locals={},
            options={"error_model": "numpy"},
        )
        _cache_on_disk(made, self.function)
        return made

    @cached_property
    def _compiled(self) -> CFunc:
        made = self._declared()
        made.compile()
        return made

    def __call__(self) -> CFunc:
        return self._compiled

    def is_cached(self) -> bool:
        """Whether it need not be compiled; reads an index, not the code."""
        if "_compiled" in self.__dict__:
            return True
        declared: Any = self._declared()
        index = getattr(declared._cache, "_cache_file", None)
        # the key is (signature, processor, code); machines may share a home folder
        processor = cpu_target.target_context.codegen().magic_tuple()
        return index is not None and any(key[1] == processor for key in index._load_index())


def callback(signature: Any) -> Callable[[Callable], Callback]:
    """Make a function a C callback."""

    def declare(function: Callable) -> Callback:
        return Callback(function, signature)

    return declare
