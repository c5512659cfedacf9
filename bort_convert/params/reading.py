"""Reads ranges of an open file, on systems with ``pread`` and on those without."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from bort_convert.errors import TruncatedFileError, UnreadableFileError

READ_SIZE = 1 << 20
"""Bytes per read: long enough that a thread seldom waits for the interpreter, small enough for a core's cache."""

_seek_lock = threading.Lock()


def read_exactly(path: Path, descriptor: int, offset: int, nbytes: int) -> bytes:
    """``nbytes`` bytes from byte ``offset``. The caller has held ``nbytes`` against the file's size.

    Raises TruncatedFileError where the file has become shorter, UnreadableFileError where the system cannot read it.
    """
    data = bytearray(nbytes)
    _fill(path, descriptor, offset, memoryview(data))
    return bytes(data)


def read_chunks(path: Path, descriptor: int, offset: int, nbytes: int) -> Iterator[memoryview]:
    """A range of an open file, ``READ_SIZE`` bytes at a time, in one buffer that each step overwrites.

    Reads instead of mapping: a file that another process cuts short is then a TruncatedFileError, where touching a mapping
    would end this process. Raises what `read_exactly` raises.
    """
    buffer = memoryview(bytearray(min(READ_SIZE, nbytes)))
    end = offset + nbytes
    while offset < end:
        chunk = buffer[: end - offset]
        _fill(path, descriptor, offset, chunk)
        yield chunk
        offset += len(chunk)


def _fill(path: Path, descriptor: int, offset: int, buffer: memoryview) -> None:
    filled = 0
    while filled < len(buffer):
        try:
            count = _read_into(descriptor, buffer[filled:], offset + filled)
        except OSError as error:
            raise UnreadableFileError(
                f"{path}: cannot be read at byte {offset + filled}: {error.strerror}; copy the file to another disk"
            ) from error
        if count == 0:
            raise TruncatedFileError(f"{path}: cut short at byte {offset + filled} while it was being read; try again")
        filled += count


def _read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Reads at ``offset`` into ``buffer`` and gives the number of bytes, 0 at the end of the file.

    Windows has no ``preadv``: there, a seek and a read of which no other thread may come between.
    """
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [buffer], offset)
    with _seek_lock:
        os.lseek(descriptor, offset, os.SEEK_SET)
        data = os.read(descriptor, len(buffer))
    buffer[: len(data)] = data
    return len(data)
