"""Reads ranges of an open file, on systems with ``pread`` and on those without."""

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from bort_convert.errors import TruncatedFileError, UnreadableFileError

READ_SIZE = 1 << 20
"""Bytes per read: long enough that a thread seldom waits for the interpreter, small enough for a core's cache."""

Chunk = bytes | bytearray | memoryview
"""A range of some data."""

_seek_lock = threading.Lock()


def read_exactly(path: Path, descriptor: int, offset: int, nbytes: int) -> bytes:
    """``nbytes`` bytes from byte ``offset``. The caller has held ``nbytes`` against the file's size.

    Raises TruncatedFileError where the file has become shorter, UnreadableFileError where the system cannot read it.
    """
    data = b""
    while len(data) < nbytes:
        at = offset + len(data)
        try:
            piece = _read(descriptor, nbytes - len(data), at)
        except OSError as error:
            raise _unreadable(path, at, error) from error
        if not piece:
            raise _cut_short(path, at)
        data += piece
    return data


def read_chunks(path: Path, descriptor: int, offset: int, nbytes: int) -> Iterator[bytearray]:
    """A range of an open file, ``READ_SIZE`` bytes at a time, in one buffer that each step overwrites.

    Reads instead of mapping: a file that another process cuts short is then a TruncatedFileError, where touching a mapping
    would end this process. Raises what `read_exactly` raises.
    """
    buffer = bytearray(min(READ_SIZE, nbytes))
    end = offset + nbytes
    while offset < end:
        if end - offset < len(buffer):  # the last; a new one, for the other may still be looked at
            buffer = bytearray(end - offset)
        _fill(path, descriptor, memoryview(buffer), offset)
        yield buffer
        offset += len(buffer)


def _fill(path: Path, descriptor: int, buffer: memoryview, offset: int) -> None:
    filled = 0
    while filled < len(buffer):
        at = offset + filled
        try:
            count = _read_into(descriptor, buffer[filled:], at)
        except OSError as error:
            raise _unreadable(path, at, error) from error
        if count == 0:
            raise _cut_short(path, at)
        filled += count


def _read(descriptor: int, nbytes: int, offset: int) -> bytes:
    """Up to ``nbytes`` bytes from ``offset``, none at the end of the file.

    Windows has no ``pread``: there, a seek and a read, between which no other thread may come.
    """
    if hasattr(os, "pread"):
        return os.pread(descriptor, nbytes, offset)
    with _seek_lock:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, nbytes)


def _read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    """As `_read`, into ``buffer`` and without a copy where the system can; gives the number of bytes."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [buffer], offset)
    data = _read(descriptor, len(buffer), offset)
    buffer[: len(data)] = data
    return len(data)


def _cut_short(path: Path, offset: int) -> TruncatedFileError:
    return TruncatedFileError(f"{path}: cut short at byte {offset} while it was being read; try again")


def _unreadable(path: Path, offset: int, error: OSError) -> UnreadableFileError:
    return UnreadableFileError(
        f"{path}: cannot be read at byte {offset}: {error.strerror}; copy the file to another disk"
    )


def sha256(chunks: Iterable[Chunk]) -> str:
    """The SHA-256 of these chunks, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
