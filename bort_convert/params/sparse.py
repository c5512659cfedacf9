"""Sparse arrays, made dense: MXNet's ``row_sparse`` and ``csr`` storage types.

The parts of one are arrays themselves. Indices must be in range, ascending and without duplicates, as MXNet's operators
expect (``python/mxnet/ndarray/sparse.py``) but its reader does not check. A part is held in memory while it is used;
the dense array never is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.params.array import StoredArray, load
from bort_convert.params.cursor import Cursor
from bort_convert.params.limits import check_shape
from bort_convert.params.reading import READ_SIZE

if TYPE_CHECKING:
    import numpy as np

PARTS = {"row_sparse": ("indices",), "csr": ("indptr", "indices")}
"""The arrays that say where the elements of each storage type belong, in the order of MXNet's auxiliary data."""

_INDEX_DTYPES = ("int64", "int32")
_BLOCK = 1 << 16
"""Elements placed at a time; keeps their positions in a core's cache."""


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
    fault = encoding.fault(cursor.path, cursor.descriptor, shape)
    if fault:
        raise cursor.corrupt(f"{what}, {storage_type} {shape}, has {fault}", data.offset)
    return StoredArray(data.name, data.dtype, shape, data.offset, data.version, data.context, encoding)


@dataclass(frozen=True, slots=True)
class RowSparse:
    """The rows of an array that are not zero: ``data`` (k, …) are its rows ``indices`` (k,)."""

    data: StoredArray
    indices: StoredArray

    def fault(self, path: Path, descriptor: int, shape: tuple[int, ...]) -> str:
        """What keeps this from being the sparse form of an array of ``shape``; empty where nothing does."""
        if not shape or self.data.shape != (*self.indices.shape, *shape[1:]):
            return f"data of shape {self.data.shape} and {self.indices.size} indices"
        indices = _load_indices(path, descriptor, self.indices)
        return _index_fault(indices, shape[0]) or _order_fault(indices)

    def chunks(self, path: Path, descriptor: int, array: StoredArray) -> Iterator[memoryview]:
        """See `Encoding.chunks`. Holds the stored rows and their indices in memory."""
        if array.size == 0:
            return
        indices = _load_indices(path, descriptor, self.indices)
        width = array.size // array.shape[0]

        def stored_before(position: int) -> int:
            row, column = divmod(position, width)
            index = int(indices.searchsorted(row))
            return index * width + (column if index < len(indices) and indices[index] == row else 0)

        def positions(which: "np.ndarray") -> "np.ndarray":
            rows: np.ndarray = indices[which // width]
            return rows * width + which % width

        yield from _dense_chunks(array, load(path, descriptor, self.data).reshape(-1), stored_before, positions)


@dataclass(frozen=True, slots=True)
class CompressedRows:
    """The elements of a matrix that are not zero, row by row.

    Row i has the elements ``indptr[i]`` to ``indptr[i + 1]`` of ``data`` (k,), in the columns that ``indices`` (k,) say.
    """

    data: StoredArray
    indptr: StoredArray
    indices: StoredArray

    def fault(self, path: Path, descriptor: int, shape: tuple[int, ...]) -> str:
        """What keeps this from being the sparse form of an array of ``shape``; empty where nothing does."""
        if len(shape) != 2 or self.data.shape != self.indices.shape or self.indptr.shape != (shape[0] + 1,):
            return f"data of shape {self.data.shape}, {self.indices.size} indices and {self.indptr.size} row starts"
        starts = _load_indices(path, descriptor, self.indptr)
        if starts[0] != 0 or starts[-1] != self.data.size or (starts[1:] < starts[:-1]).any():
            return f"row starts that do not ascend from 0 to {self.data.size}"
        indices = _load_indices(path, descriptor, self.indices)
        return _index_fault(indices, shape[1]) or _order_fault(indices, starts)

    def chunks(self, path: Path, descriptor: int, array: StoredArray) -> Iterator[memoryview]:
        """See `Encoding.chunks`. Holds the stored elements and their indices in memory."""
        if array.size == 0:
            return
        starts = _load_indices(path, descriptor, self.indptr)
        indices = _load_indices(path, descriptor, self.indices)
        num_rows, width = array.shape

        def stored_before(position: int) -> int:
            row, column = divmod(position, width)
            if row == num_rows:
                return len(indices)
            return int(starts[row] + indices[starts[row] : starts[row + 1]].searchsorted(column))

        def positions(which: "np.ndarray") -> "np.ndarray":
            rows: np.ndarray = starts.searchsorted(which, "right") - 1
            return rows * width + indices[which]

        yield from _dense_chunks(array, load(path, descriptor, self.data), stored_before, positions)


def _dense_chunks(
    array: StoredArray,
    stored: "np.ndarray",
    stored_before: Callable[[int], int],
    positions: "Callable[[np.ndarray], np.ndarray]",
) -> Iterator[memoryview]:
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


def _load_indices(path: Path, descriptor: int, indices: StoredArray) -> "np.ndarray":
    return load(path, descriptor, indices).astype("<i8", copy=False)


def _index_fault(indices: "np.ndarray", size: int) -> str:
    outside = indices[(indices < 0) | (indices >= size)]
    return f"index {outside[0]}, where {size} is the size" if len(outside) else ""


def _order_fault(indices: "np.ndarray", starts: "np.ndarray | None" = None) -> str:
    """Whether ``indices`` ascend without duplicates, within each row where ``starts`` tell the rows apart."""
    ascends = indices[1:] > indices[:-1]
    if starts is not None:
        inner = starts[(starts > 0) & (starts < len(indices))]
        ascends[inner - 1] = True
    if ascends.all():
        return ""
    at = int(ascends.argmin())
    return f"index {indices[at + 1]} after {indices[at]}, where they must ascend"
