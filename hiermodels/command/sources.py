"""The bytes that a table is read from: of a file or of standard input, unpacked, each read once.

What is compressed is unpacked up to a limit, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hiermodels.errors import DataError, did_you_mean

__all__ = ["STANDARD_INPUT", "Source", "check_size", "is_standard_input", "read_source"]

STANDARD_INPUT = "standard input"
#: What a user may call it.
INPUTS = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")

#: A table in text is a few to some fifty times its size when it is compressed. Unpacked bytes:
#: so many at all, and so many times those of the file, once they are more than a few.
MOST, TIMES, FEW = 4 << 30, 200, 64 << 20

ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The content of a file. Made by `read_source`.

    ``shown`` is what messages call it, ``name`` its name without the ending of a compression.
    """

    shown: str
    name: str
    content: bytes

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix.lower()


def is_standard_input(path: str | Path) -> bool:
    return str(path) in INPUTS


def read_source(path: str | Path) -> Source:
    """The unpacked content of a file.

    Raises
    ------
    DataError
        No such file, a folder, not to be opened, empty, damaged, or far too large once unpacked.
    """
    if is_standard_input(path):
        packed = Source(shown=STANDARD_INPUT, name="", content=sys.stdin.buffer.read())
    else:
        target = Path(path)
        packed = Source(shown=repr(str(target)), name=target.name, content=content_of(target))
    if not packed.content:
        raise DataError(f"{packed.shown} is empty")
    return unpacked(packed)


def content_of(path: Path) -> bytes:
    """The bytes of a file, or why there are none."""
    try:
        with path.open("rb") as file:
            return file.read()
    except FileNotFoundError:
        raise DataError(f"no file {str(path)!r}.{similar_file(path)}") from None
    except IsADirectoryError:
        raise DataError(f"{str(path)!r} is a folder; name a file in it") from None
    except OSError as error:
        if path.is_dir():  # Windows refuses to open a folder in other words
            raise DataError(f"{str(path)!r} is a folder; name a file in it") from None
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from None


def similar_file(path: Path) -> str:
    """A suggestion among the files beside it."""
    if not path.parent.is_dir():
        return f" There is no folder {str(path.parent)!r} either."
    try:
        names = [p.name for p in path.parent.iterdir() if p.is_file()]
    except OSError:
        return ""
    return did_you_mean(path.name, names)


def unpacked(source: Source) -> Source:
    """The source itself, or what is in it if it is compressed."""
    for signature, (what, opened) in COMPRESSIONS.items():
        if source.content.startswith(signature):
            with damage_told(source, what):
                content = limited(opened(source.content), source)
            return replace(source, name=without_ending(source.name), content=content)
    if source.content.startswith(b"PK\x03\x04"):
        with damage_told(source, "a zip archive"):
            return from_archive(source)
    return source


def without_ending(name: str) -> str:
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in ENDINGS else name


@contextmanager
def damage_told(source: Source, what: str) -> Iterator[None]:
    """The failures of the libraries that unpack, as one message."""
    try:
        yield
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        raise DataError(f"{source.shown} is encrypted: unpack it with its password") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{source.shown} is {what} and damaged: {error}. Copy or download it again."
        ) from None


def limit_of(source: Source) -> int:
    """How many bytes the source may have when it is unpacked."""
    return min(MOST, max(FEW, TIMES * len(source.content)))


def limited(file: Any, source: Source) -> bytes:
    """All that a file has, unless it is more than the limit."""
    content: bytes = file.read(limit_of(source) + 1)
    check_size(len(content), source)
    return content


def check_size(n_bytes: int, source: Source, *, limit: int | None = None) -> None:
    """Refuse what would be larger in memory than a table of such a file can be."""
    most = limit_of(source) if limit is None else limit
    if n_bytes > most:
        raise DataError(
            f"{source.shown} would be more than {most / (1 << 20):,.0f} MB in memory, from "
            f"{max(len(source.content) / (1 << 20), 0.01):,.2f} MB: that is hardly a table. If it "
            "is, unpack it first, or read it in Python."
        )


def from_archive(source: Source) -> Source:
    """The one file of a zip archive; a workbook is such an archive, and is left as it is."""
    with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
        entries = [e for e in archive.infolist() if not e.is_dir() and is_own(e.filename)]
        names = [entry.filename for entry in entries]
        if "[Content_Types].xml" in names or "mimetype" in names:
            check_size(sum(entry.file_size for entry in entries), source)
            return source
        if len(entries) != 1:
            raise DataError(
                f"{source.shown} is a zip archive of {len(entries)} files"
                f"{': ' * bool(names)}{', '.join(names[:5])}. Unpack the one with the table."
            )
        check_size(entries[0].file_size, source)
        with archive.open(entries[0]) as file:
            return replace(source, name=Path(names[0]).name, content=limited(file, source))


def is_own(name: str) -> bool:
    """Whether a file of an archive is the user's; a Mac adds some."""
    return not (name.startswith("__MACOSX/") or Path(name).name.startswith("."))


def open_zstandard(content: bytes) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.BufferReader(content), "zstd")


#: How compressed files begin, what they are, and what opens their content.
COMPRESSIONS: dict[bytes, tuple[str, Callable[[bytes], Any]]] = {
    b"\x1f\x8b": ("compressed by gzip", lambda c: gzip.GzipFile(fileobj=io.BytesIO(c))),
    b"BZh": ("compressed by bzip2", lambda c: bz2.BZ2File(io.BytesIO(c))),
    b"\xfd7zXZ": ("compressed by xz", lambda c: lzma.LZMAFile(io.BytesIO(c))),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", open_zstandard),
}
