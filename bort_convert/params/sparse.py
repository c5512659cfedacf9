"""Sparse arrays, made dense: MXNet's ``row_sparse`` and ``csr`` storage types.

The parts of one are arrays themselves. Indices must be in range, ascending and without duplicates, as MXNet's operators
expect (``python/mxnet/ndarray/sparse.py``) but its reader does not check. They are checked whenever they are read, for the
file may have changed since it was opened. A part is held in memory while it is used;
the dense array never is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import CorruptFileError
from bort_convert.params.array import StoredArray, load
from bort_convert.params.cursor import Cursor
from bort_convert.params.limits import check_shape
from bort_convert.params.reading import READ_SIZE, Chunk

if TYPE_CHECKING:
    import numpy as np

_INDEX_DTYPES = ("int64", "int32")
_LARGEST = {4: 2**31 - 1, 8: 2**63 - 1}
_BLOCK = 1 << 16
"""Elements looked at at a time; keeps what is computed of them small, and in a core's cache."""


def sparse_array(
    cursor: Cursor,
    what: str,
    storage_type: str,
    shape: tuple[int, ...],
    data: StoredArray,
    parts: Mapping[str, StoredArray],
) -> StoredArray:
    """The array of ``shape`` whose elements ``data`` stand where ``parts`` say; reads and checks the indices.

    ``data`` gives the result its name, dtype, offset and version. Raises CorruptFileError.
    """
    check_shape(cursor, what, shape, data.dtype, data.offset)
    for name, part in parts.items():
        if part.dtype.name not in _INDEX_DTYPES or len(part.shape) != 1:
            raise cursor.corrupt(f"{what} has {name} of {part.dtype.name} {part.shape}", part.offset)
    encoding: RowSparse | CompressedRows
    if storage_type == "row_sparse":
        encoding = RowSparse(data, parts["indices"])
    else:
        encoding = CompressedRows(data, parts["indptr"], parts["indices"])
    encoding.load_indices(cursor.path, cursor.descriptor, shape)
    return StoredArray(data.name, data.dtype, shape, data.offset, data.version, data.context, encoding)


@dataclass(frozen=True, slots=True)
class RowSparse:
    """The rows of an array that are not zero: ``data`` (k, …) are its rows ``indices`` (k,)."""

    data: StoredArray
    indices: StoredArray

    def load_indices(self, path: Path, descriptor: int, shape: tuple[int, ...]) -> "np.ndarray":
        """The indices, int32 or int64 (k,). Raises CorruptFileError where they are not those of an array of ``shape``."""
        if not shape or self.data.shape != (*self.indices.shape, *shape[1:]):
            found = f"data of shape {self.data.shape} and {self.indices.size} indices"
            raise _corrupt(path, self.data, "row_sparse", shape, found)
        indices = load(path, descriptor, self.indices)
        fault = _range_fault(indices, shape[0]) or _order_fault(indices)
        if fault:
            raise _corrupt(path, self.data, "row_sparse", shape, fault)
        return indices

    def chunks(self, path: Path, descriptor: int, array: StoredArray) -> Iterator[Chunk]:
        """See `Encoding.chunks`. Holds the stored rows and their indices in memory."""
        import numpy as np

        if array.size == 0:
            return
        indices = self.load_indices(path, descriptor, array.shape)
        width = array.size // array.shape[0]

        def stored_before(position: int) -> int:
            row, column = divmod(position, width)
            index = _place(indices, row)
            return index * width + (column if index < len(indices) and indices[index] == row else 0)

        def positions(which: "np.ndarray") -> "np.ndarray":
            rows = indices[which // width].astype("<i8")
            return np.asarray(rows * width + which % width)

        yield from _dense_chunks(array, load(path, descriptor, self.data).reshape(-1), stored_before, positions)


@dataclass(frozen=True, slots=True)
class CompressedRows:
    """The elements of a matrix that are not zero, row by row.

    Row i has the elements ``indptr[i]`` to ``indptr[i + 1]`` of ``data`` (k,), in the columns that ``indices`` (k,) say.
    """

    data: StoredArray
    indptr: StoredArray
    indices: StoredArray

    def load_indices(self, path: Path, descriptor: int, shape: tuple[int, ...]) -> "tuple[np.ndarray, np.ndarray]":
        """The row starts and the column indices, int32 or int64.

        Raises CorruptFileError where they are not those of an array of ``shape``.
        """
        if len(shape) != 2 or self.data.shape != self.indices.shape or self.indptr.shape != (shape[0] + 1,):
            found = f"data of shape {self.data.shape}, {self.indices.size} indices and {self.indptr.size} row starts"
            raise _corrupt(path, self.data, "csr", shape, found)
        starts, indices = load(path, descriptor, self.indptr), load(path, descriptor, self.indices)
        if starts[0] != 0 or starts[-1] != len(indices) or any(True for _ in _descents(starts, strictly=False)):
            fault = f"row starts that do not ascend from 0 to {len(indices)}"
        else:
            fault = _range_fault(indices, shape[1]) or _row_order_fault(indices, starts)
        if fault:
            raise _corrupt(path, self.data, "csr", shape, fault)
        return starts, indices

    def chunks(self, path: Path, descriptor: int, array: StoredArray) -> Iterator[Chunk]:
        """See `Encoding.chunks`. Holds the stored elements and their indices in memory."""
        import numpy as np

        if array.size == 0:
            return
        starts, indices = self.load_indices(path, descriptor, array.shape)
        num_rows, width = array.shape

        def stored_before(position: int) -> int:
            row, column = divmod(position, width)
            if row == num_rows:
                return len(indices)
            return int(starts[row]) + _place(indices[starts[row] : starts[row + 1]], column)

        def positions(which: "np.ndarray") -> "np.ndarray":
            rows = starts.searchsorted(which.astype(starts.dtype), "right") - 1
            return np.asarray(rows * width + indices[which])

        yield from _dense_chunks(array, load(path, descriptor, self.data), stored_before, positions)


def _dense_chunks(
    array: StoredArray,
    stored: "np.ndarray",
    stored_before: Callable[[int], int],
    positions: "Callable[[np.ndarray], np.ndarray]",
) -> Iterator[Chunk]:
    """The dense data of ``array``.

    ``stored_before`` tells how many of the elements ``stored`` stand before a position of the flat dense array,
    ``positions`` where the given ones stand. They stand in ascending order.
    """
    import numpy as np

    step = READ_SIZE // array.dtype.itemsize
    for start in range(0, array.size, step):
        stop = min(start + step, array.size)
        chunk = np.zeros(stop - start, array.dtype.numpy)
        first, last = stored_before(start), stored_before(stop)
        for low in range(first, last, _BLOCK):
            which = np.arange(low, min(low + _BLOCK, last))
            chunk[positions(which) - start] = stored[low : low + len(which)]
        yield chunk.view(np.uint8).data


def _corrupt(path: Path, data: StoredArray, storage_type: str, shape: tuple[int, ...], found: str) -> CorruptFileError:
    return CorruptFileError(
        f"{path}: corrupt at byte {data.offset}: a {storage_type} array {shape} has {found}; copy or download the file again"
    )


def _place(ascending: "np.ndarray", value: int) -> int:
    """The number of elements below ``value``. Keeps the dtype, for which NumPy would copy the array otherwise."""
    dtype = ascending.dtype.type
    return int(ascending.searchsorted(dtype(value))) if value <= _LARGEST[ascending.dtype.itemsize] else len(ascending)


def _range_fault(indices: "np.ndarray", size: int) -> str:
    """Whether an index is not within 0 to ``size``."""
    for low in range(0, len(indices), _BLOCK):
        block = indices[low : low + _BLOCK]
        for index in (block.min(), block.max()):
            if not 0 <= index < size:
                return f"index {index}, where {size} is the size"
    return ""


def _order_fault(indices: "np.ndarray") -> str:
    """Whether an index is not greater than the one before."""
    for at in _descents(indices, strictly=True):
        return f"index {indices[at[0]]} after {indices[at[0] - 1]}, where they must ascend"
    return ""


def _row_order_fault(indices: "np.ndarray", starts: "np.ndarray") -> str:
    """Whether an index is not greater than the one before in its row."""
    for at in _descents(indices, strictly=True):
        rows = starts.searchsorted(at.astype(starts.dtype))
        within = at[starts[rows] != at]
        if len(within):
            return f"column {indices[within[0]]} after {indices[within[0] - 1]} in one row, where they must ascend"
    return ""


def _descents(values: "np.ndarray", *, strictly: bool) -> "Iterator[np.ndarray]":
    """Where a value does not ascend from the one before: positions, a block of the array at a time, none empty."""
    import numpy as np

    for low in range(0, len(values) - 1, _BLOCK):
        block = values[low : low + _BLOCK + 1]
        descents = np.flatnonzero(block[1:] <= block[:-1] if strictly else block[1:] < block[:-1]) + low + 1
        if len(descents):
            yield descents
