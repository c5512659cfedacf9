"""An open parameter file: its arrays as facts, and their bytes on demand."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bort_convert.errors import TruncatedFileError
from bort_convert.params.array import StoredArray, array_chunks, load
from bort_convert.params.reading import Chunk, read_chunks

if TYPE_CHECKING:
    import mmap

    import numpy as np


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
        """The array's data, read-only, as ``array.shape`` and ``array.dtype.numpy``.

        Plain data are mapped: the view may be unaligned, as the file is, and a file that shrinks while a view is in use ends
        the process (`chunks` raises instead). Other data are made plain in memory. bfloat16 comes as its raw bits, in
        ``uint16``. Raises TruncatedFileError, CorruptFileError or UnreadableFileError.
        """
        import numpy as np

        if array.encoding is None and array.nbytes:
            return np.ndarray(array.shape, array.dtype.numpy, self._mapping, array.offset)
        result = load(self.path, self.descriptor, array)
        result.flags.writeable = False
        return result

    def chunks(self, array: StoredArray) -> Iterator[Chunk]:
        """The array's data, little-endian and in C order, in constant memory but for the encodings that say otherwise.

        Raises TruncatedFileError for a file that has become shorter, CorruptFileError for compressed data that are not
        what their container declares, UnreadableFileError. See `read_chunks`.
        """
        return array_chunks(self.path, self.descriptor, array)

    def all_chunks(self) -> Iterator[Chunk]:
        """The whole file: see `read_chunks`."""
        return read_chunks(self.path, self.descriptor, 0, self.size)

    def same_bytes(self, first: StoredArray, second: StoredArray) -> bool:
        """Whether two arrays have the same data, byte for byte."""
        if first.nbytes != second.nbytes:
            return False
        pairs = zip(self.chunks(first), self.chunks(second), strict=True)
        # bytearray compares with memcmp, memoryview element by element.
        return all((ours if isinstance(ours, bytearray) else bytearray(ours)) == theirs for ours, theirs in pairs)

    @cached_property
    def _mapping(self) -> "mmap.mmap":
        import mmap

        try:
            return mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ)
        except ValueError as error:  # the file has become shorter than it was when it was validated
            raise TruncatedFileError(f"{self.path}: cut short while it was being read; try again") from error
