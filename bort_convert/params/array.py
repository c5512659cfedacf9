"""One array of a parameter file: what it is, where its bytes are, and how they become plain."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bort_convert.params.dtypes import DType
from bort_convert.params.reading import Chunk, read_chunks

if TYPE_CHECKING:
    import numpy as np

SPARSE_PARTS = {"row_sparse": ("indices",), "csr": ("indptr", "indices")}
"""The arrays that say where the elements of each sparse storage type belong, in the order of MXNet's auxiliary data."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a parameter file: what it is and where its bytes are.

    ``name`` is empty in a file without names. Where ``encoding`` is None the data are plain: ``nbytes`` little-endian
    bytes in C order from byte ``offset`` of the file, at no particular alignment. Where it is not, ``offset`` is where the
    encoded data begin and only `ParamsFile.chunks` and `ParamsFile.view` tell the elements. ``version`` is MXNet's name
    for the array's format, or ``npy``; ``context`` the device type and number it was saved from, None where the container
    does not say.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int
    version: str
    context: tuple[int, int] | None
    encoding: "Encoding | None" = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes of the plain data."""
        return self.size * self.dtype.itemsize


class Encoding(Protocol):
    """How the data of an array that is not plain are stored. Encodings are frozen values, one module each."""

    def chunks(self, path: Path, descriptor: int, array: StoredArray) -> Iterator[Chunk]:
        """The plain data, in pieces of ``READ_SIZE`` bytes, the last one shorter. A piece may overwrite the one before."""


def array_chunks(path: Path, descriptor: int, array: StoredArray) -> Iterator[Chunk]:
    """The data of ``array``, little-endian and in C order: see `Encoding.chunks`."""
    if array.encoding is None:
        return read_chunks(path, descriptor, array.offset, array.nbytes)
    return array.encoding.chunks(path, descriptor, array)


def load(path: Path, descriptor: int, array: StoredArray) -> "np.ndarray":
    """The data of ``array`` in memory, as ``array.shape`` and ``array.dtype.numpy``."""
    import numpy as np

    result = np.empty(array.shape, array.dtype.numpy)
    target, filled = result.reshape(-1).view(np.uint8).data, 0
    for chunk in array_chunks(path, descriptor, array):
        target[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return result
