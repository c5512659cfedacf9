"""An open parameter file: its arrays as facts, and their bytes on demand."""

import hashlib
import math
import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bort_convert.errors import TruncatedFileError
from bort_convert.params.dtypes import DType

if TYPE_CHECKING:
    import numpy as np

READ_SIZE = 1 << 20
"""Bytes per read: long enough that a thread seldom waits for the interpreter, small enough for a core's cache."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a parameter file: what it is and where its bytes are.

    ``name`` is empty in a file without names. The data are ``nbytes`` little-endian bytes in C order from byte
    ``offset`` of the file, at no particular alignment.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int
    version: str
    context: tuple[int, int]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes of data."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class ParamsFile:
    """A validated parameter file, held open so that a rename or a deletion cannot change what is read.

    Use it as a context manager. ``container`` names the format, ``named`` is false where the writer kept no names.
    """

    path: Path
    descriptor: int
    size: int
    container: str
    named: bool
    arrays: tuple[StoredArray, ...]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; views that were given out stay valid."""
        os.close(self.descriptor)

    @cached_property
    def by_name(self) -> dict[str, StoredArray]:
        """The arrays by name, in the file's order."""
        return {array.name: array for array in self.arrays}

    def view(self, array: StoredArray) -> "np.ndarray":
        """The array's data as a read-only, memory-mapped view of ``array.shape`` and ``array.dtype.numpy``.

        The view may be unaligned, as the file is. bfloat16 comes as its raw bits, in ``uint16``.
        """
        import numpy as np

        if array.nbytes == 0:
            empty = np.zeros(array.shape, array.dtype.numpy)
            empty.flags.writeable = False
            return empty
        return np.ndarray(array.shape, array.dtype.numpy, self._mapping, array.offset)

    def chunks(self, array: StoredArray) -> Iterator[memoryview]:
        """The array's data, little-endian and in C order: see `read_chunks`."""
        return read_chunks(self.path, self.descriptor, array.offset, array.nbytes)

    def all_chunks(self) -> Iterator[memoryview]:
        """The whole file: see `read_chunks`."""
        return read_chunks(self.path, self.descriptor, 0, self.size)

    def same_bytes(self, first: StoredArray, second: StoredArray) -> bool:
        """Whether two arrays have the same data, byte for byte."""
        if first.nbytes != second.nbytes:
            return False
        pairs = zip(self.chunks(first), self.chunks(second), strict=True)
        # bytearray compares with memcmp, memoryview element by element.
        return all(bytearray(ours) == theirs for ours, theirs in pairs)

    @cached_property
    def _mapping(self) -> mmap.mmap:
        return mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ)


def read_chunks(path: Path, descriptor: int, offset: int, nbytes: int) -> Iterator[memoryview]:
    """A range of an open file, ``READ_SIZE`` bytes at a time, in one buffer that each step overwrites.

    Reads instead of mapping: a file that another process cuts short is then a TruncatedFileError, where touching a mapping
    would end this process.
    """
    buffer = memoryview(bytearray(min(READ_SIZE, nbytes)))
    end = offset + nbytes
    while offset < end:
        chunk = buffer[: end - offset]
        filled = 0
        while filled < len(chunk):
            count = os.preadv(descriptor, [chunk[filled:]], offset + filled)
            if count == 0:
                raise TruncatedFileError(f"{path}: cut short at byte {offset + filled} while it was read; try again")
            filled += count
        yield chunk
        offset += len(chunk)


def sha256(chunks: Iterable[bytes | memoryview]) -> str:
    """The SHA-256 of these chunks, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
