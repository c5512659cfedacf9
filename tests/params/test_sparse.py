"""Sparse arrays made dense, and the indices that are refused."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bort_convert.errors import CorruptFileError, UnsupportedArrayError
from bort_convert.params import open_params
from tests.params.builders import (
    CSR,
    FLOAT32,
    INT8,
    INT64,
    ROW_SPARSE,
    PeakMemory,
    csr,
    indices,
    list_bytes,
    read_all,
    row_sparse,
    sparse_bytes,
    stream_all,
)


def write(folder: Path, array: bytes) -> Path:
    (folder / "f").write_bytes(list_bytes([array]))
    return folder / "f"


def test_row_sparse(tmp_path: Path) -> None:
    path = write(tmp_path, row_sparse([1, 3]))
    assert read_all(path)["a0"].tolist() == [[0, 0], [1, 2], [0, 0], [3, 4], [0, 0]]


def test_csr(tmp_path: Path) -> None:
    path = write(tmp_path, csr([0, 2, 2, 3], [0, 3, 1]))
    assert read_all(path)["a0"].tolist() == [[1, 0, 0, 2], [0, 0, 0, 0], [0, 3, 0, 0]]


@pytest.mark.parametrize(
    "array",
    [row_sparse([]), csr([0, 0, 0, 0], []), row_sparse([], (0, 2)), csr([0], [], (0, 4)), csr([0, 0], [], (1, 0))],
    ids=["row_sparse", "csr", "row_sparse without rows", "csr without rows", "csr without columns"],
)
def test_nothing_stored(tmp_path: Path, array: bytes) -> None:
    assert not read_all(write(tmp_path, array))["a0"].any()


def test_a_vector_may_be_row_sparse(tmp_path: Path) -> None:
    data = np.array([5, 6], "i1").tobytes()
    path = write(tmp_path, sparse_bytes(ROW_SPARSE, (2,), (4,), INT8, data, [indices(0, 3)]))
    assert read_all(path)["a0"].tolist() == [5, 0, 0, 6]


def test_indices_of_32_bits(tmp_path: Path) -> None:
    data = np.array([5, 6], "i1").tobytes()
    parts = [indices(0, 1, 2, dtype="<i4"), indices(3, 0, dtype="<i4")]
    path = write(tmp_path, sparse_bytes(CSR, (2,), (2, 4), INT8, data, parts))
    assert read_all(path)["a0"].tolist() == [[0, 0, 0, 5], [6, 0, 0, 0]]


@st.composite
def dense_arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays with many zeros, some of them longer than what is read at a time."""
    dtype = draw(st.sampled_from(["<f4", "<f8", "<f2", "|i1", "<i8"]))
    rows, width = draw(
        st.one_of(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.sampled_from([(3, 600_000), (300_000, 3)]))
    )
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.0, 0.1, 0.9]))
    return (generator.integers(1, 100, (rows, width)) * (generator.random((rows, width)) < density)).astype(dtype)


FLAGS = {"<f4": 0, "<f8": 1, "<f2": 2, "|i1": 5, "<i8": 6}


@given(dense=dense_arrays(), index_dtype=st.sampled_from(["<i4", "<i8"]))
@settings(max_examples=40, deadline=None)
def test_any_array(tmp_path_factory: pytest.TempPathFactory, dense: np.ndarray, index_dtype: str) -> None:
    folder = tmp_path_factory.mktemp("sparse")
    flag = FLAGS[dense.dtype.str]
    rows = np.flatnonzero(dense.any(axis=1)) if dense.size else np.arange(0)
    starts = np.concatenate([[0], np.cumsum((dense != 0).sum(axis=1))])
    columns, values = np.nonzero(dense)[1], dense[dense != 0]

    def part(array: np.ndarray) -> tuple[int, tuple[int, ...], bytes]:
        return {"<i4": 4, "<i8": INT64}[index_dtype], array.shape, array.astype(index_dtype).tobytes()

    by_row = sparse_bytes(ROW_SPARSE, dense[rows].shape, dense.shape, flag, dense[rows].tobytes(), [part(rows)])
    by_cell = sparse_bytes(CSR, values.shape, dense.shape, flag, values.tobytes(), [part(starts), part(columns)])
    (folder / "f").write_bytes(list_bytes([by_row, by_cell]))
    for array in read_all(folder / "f").values():
        assert array.dtype == dense.dtype
        np.testing.assert_array_equal(array, dense)


ROW = sparse_bytes(ROW_SPARSE, (1, 2), (5, 2), INT8, b"\1\2", [indices(1)])
FAULTS = {
    "row index past the end": (row_sparse([1, 5]), "index 5, where 5 is the size"),
    "row index 99": (row_sparse([99]), "index 99, where 5 is the size"),
    "negative row index": (row_sparse([-1, 3]), "index -1, where 5 is the size"),
    "row indices that descend": (row_sparse([3, 1]), "index 1 after 3, where they must ascend"),
    "row index twice": (row_sparse([3, 3]), "index 3 after 3, where they must ascend"),
    "fewer row indices than rows": (
        sparse_bytes(ROW_SPARSE, (2, 2), (5, 2), INT8, bytes(4), [indices(1)]),
        "data of shape (2, 2) and 1 indices",
    ),
    "rows of another width": (
        sparse_bytes(ROW_SPARSE, (1, 3), (5, 2), INT8, bytes(3), [indices(1)]),
        "data of shape (1, 3) and 1 indices",
    ),
    "row indices of floats": (
        sparse_bytes(ROW_SPARSE, (1, 2), (5, 2), INT8, bytes(2), [(FLOAT32, (1,), bytes(4))]),
        "indices of float32 (1,)",
    ),
    "row indices in two dimensions": (
        sparse_bytes(ROW_SPARSE, (1, 2), (5, 2), INT8, bytes(2), [(INT64, (1, 1), bytes(8))]),
        "indices of int64 (1, 1)",
    ),
    "row starts past the end": (csr([0, 2, 2, 99], [0, 3, 1]), "row starts that do not ascend from 0 to 3"),
    "row starts that descend": (csr([0, 3, 2, 3], [0, 1, 2]), "row starts that do not ascend from 0 to 3"),
    "row starts not from 0": (csr([1, 2, 2, 3], [0, 3, 1]), "row starts that do not ascend from 0 to 3"),
    "negative row start": (csr([0, -1, 2, 3], [0, 3, 1]), "row starts that do not ascend from 0 to 3"),
    "one row start": (csr([0], [0, 3, 1]), "3 indices and 1 row starts"),
    "column 222222": (csr([0, 2, 2, 3], [0, 222222, 1]), "index 222222, where 4 is the size"),
    "negative column": (csr([0, 2, 2, 3], [0, 3, -1]), "index -1, where 4 is the size"),
    "columns that descend": (csr([0, 2, 2, 3], [3, 0, 1]), "column 0 after 3 in one row"),
    "column twice": (csr([0, 2, 2, 3], [3, 3, 1]), "column 3 after 3 in one row"),
    "fewer columns than elements": (
        sparse_bytes(CSR, (2,), (1, 4), INT8, bytes(2), [indices(0, 2), indices(1)]),
        "data of shape (2,), 1 indices and 2 row starts",
    ),
    "csr of three dimensions": (
        sparse_bytes(CSR, (1,), (1, 4, 1), INT8, bytes(1), [indices(0, 1), indices(1)]),
        "a csr array (1, 4, 1) has data",
    ),
}


@pytest.mark.parametrize(("array", "message"), FAULTS.values(), ids=list(FAULTS))
def test_faults(tmp_path: Path, array: bytes, message: str) -> None:
    with pytest.raises(CorruptFileError) as caught:
        open_params(write(tmp_path, array))
    assert message in str(caught.value)


@pytest.mark.parametrize("array", [row_sparse([1, 3]), csr([0, 2, 2, 3], [0, 3, 1])], ids=["row_sparse", "csr"])
def test_indices_that_change_while_the_file_is_open(tmp_path: Path, array: bytes) -> None:
    path = write(tmp_path, array)
    with open_params(path) as params:
        with path.open("r+b") as file:
            file.seek(-26, os.SEEK_END)  # the last index, before the name
            file.write(struct.pack("<q", 25769803812))
        with pytest.raises(CorruptFileError, match="index 25769803812"):
            list(params.chunks(params.arrays[0]))


def test_what_follows_a_sparse_array_is_found(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(list_bytes([ROW, csr([0, 0, 0, 1], [2]), ROW]))
    assert [array.any() for array in read_all(tmp_path / "f").values()] == [True] * 3


def test_a_small_file_that_would_be_terabytes(tmp_path: Path) -> None:
    path = write(tmp_path, sparse_bytes(ROW_SPARSE, (0, 1 << 20), (1 << 20, 1 << 20), FLOAT32, b"", [indices()]))
    with pytest.raises(UnsupportedArrayError, match="would grow to 4398046511104 bytes, more than the 671"):
        open_params(path)


def test_many_arrays_that_would_be_terabytes_together(tmp_path: Path) -> None:
    array = sparse_bytes(ROW_SPARSE, (0, 1 << 12), (1 << 12, 1 << 12), INT8, b"", [indices()])
    (tmp_path / "f").write_bytes(list_bytes([array] * 4))
    assert len(read_all(tmp_path / "f")) == 4
    (tmp_path / "f").write_bytes(list_bytes([array] * 5))
    with pytest.raises(
        UnsupportedArrayError, match="array 4 and the sparse ones before it would grow to 83886080 bytes"
    ):
        open_params(tmp_path / "f")


@pytest.mark.parametrize("index_dtype", ["<i4", "<i8"])
def test_the_dense_array_is_never_in_memory(tmp_path: Path, index_dtype: str) -> None:
    rows = np.arange(0, 1 << 14, 16)
    part = ({"<i4": 4, "<i8": INT64}[index_dtype], rows.shape, rows.astype(index_dtype).tobytes())
    data = bytes(len(rows) << 12)
    path = write(tmp_path, sparse_bytes(ROW_SPARSE, (len(rows), 1 << 12), (1 << 14, 1 << 12), INT8, data, [part]))
    with PeakMemory() as memory:
        assert stream_all(path) == 1 << 26
    assert memory.peak < path.stat().st_size + (8 << 20)


@pytest.mark.parametrize("index_dtype", ["<i4", "<i8"])
def test_csr_costs_its_own_size(tmp_path: Path, index_dtype: str) -> None:
    count, flag = 1 << 20, {"<i4": 4, "<i8": INT64}[index_dtype]
    starts, columns = np.arange(0, count + 1, 2).astype(index_dtype), np.tile([3, 5], count // 2).astype(index_dtype)
    parts = [(flag, starts.shape, starts.tobytes()), (flag, columns.shape, columns.tobytes())]
    path = write(tmp_path, sparse_bytes(CSR, (count,), (count // 2, 8), INT8, bytes(count), parts))
    with PeakMemory() as memory:
        assert stream_all(path) == count * 4
    assert memory.peak < path.stat().st_size + (8 << 20)
