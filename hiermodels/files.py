"""A file is written whole or not at all, and what prevents that is told with its name.

The target gets its content by a rename: a full disk leaves what was there before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hiermodels.errors import FileError

__all__ = ["reason", "replacing", "write_bytes", "write_text", "writing"]


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """What the system says of a target that cannot be written, told as ours.

    Raises
    ------
    FileError
        Which is an `OSError`, with the ``errno`` of its cause.
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        why = reason(error)
        if not target.parent.is_dir():
            why = f"there is no folder {str(target.parent)!r}"
        elif target.is_dir():
            why = "it is a folder"
        told = FileError(f"cannot write {str(target)!r}: {why}. Nothing in memory is lost.")
        told.errno, told.path, told.why = error.errno, str(target), why
        raise told from error


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A place beside the target that becomes it, or is gone, when the block ends."""
    with writing(target):
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        os.close(handle)
        place = Path(name)
        try:
            yield place
            place.chmod(0o666 & ~current_umask())
            os.replace(place, target)
        finally:
            place.unlink(missing_ok=True)


def current_umask() -> int:
    """A temporary file is its owner's alone; ours have the rights of other new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(target: Path, text: str) -> Path:
    return write_bytes(target, text.encode("utf-8"))


def write_bytes(target: Path, content: bytes) -> Path:
    with replacing(target) as place:
        place.write_bytes(content)
    return target


def reason(error: OSError) -> str:
    return error.strerror or str(error)
