"""Forty kinds of hostile input, each with the exact error, and the memory that it costs.

They are of fields that MXNet trusts: some of these files make it segfault, allocate all memory, or load arrays of false
shapes.
"""

import gzip
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bort_convert.errors import (
    BortConvertError,
    CorruptFileError,
    TruncatedFileError,
    UnknownFormatError,
    UnreadableFileError,
    UnsupportedArrayError,
)
from bort_convert.params import open_params
from bort_convert.params.limits import MAX_ARRAYS
from tests.params.builders import (
    CSR,
    FLOAT32,
    INT8,
    ROW_SPARSE,
    PeakMemory,
    ZipMember,
    array_bytes,
    csr,
    indices,
    list_bytes,
    npy_bytes,
    plain_npy,
    read_all,
    row_sparse,
    sparse_bytes,
    stream_all,
    zip_bytes,
)

ONE = list_bytes([array_bytes()])
DATA_END = 24 + len(array_bytes())
A = ZipMember("a.npy", npy_bytes(), descriptor=False)


def one(array: bytes) -> bytes:
    return list_bytes([array])


def named(*names: bytes) -> bytes:
    return list_bytes([array_bytes()] * len(names), list(names))


def zip_fields(**fields: int | bytes) -> bytes:
    return zip_bytes([ZipMember("a.npy", npy_bytes(), descriptor=False, local=fields, central=fields)])


def bomb() -> bytes:
    size = 80 << 20
    return zip_bytes([ZipMember("a.npy", npy_bytes(bytes(size), f"({size},)"), deflated=True)])


def long_name_bomb() -> bytes:
    return list_bytes([array_bytes()], [b"a" * (1 << 20)])


WIDE = struct.pack("<HHQQ", 1, 16, 2**60, 2**60)

HOSTILE: dict[str, tuple[bytes | Callable[[], bytes], type[BortConvertError]]] = {
    "01 empty file": (b"", TruncatedFileError),
    "02 only 8 bytes": (ONE[:8], TruncatedFileError),
    "02 only 16 bytes": (ONE[:16], TruncatedFileError),
    "02 only 24 bytes": (ONE[:24], TruncatedFileError),
    "03 list magic 0x113": (list_bytes([array_bytes()], magic=0x113), UnknownFormatError),
    "04 big-endian magic": (ONE[:8][::-1] + ONE[8:], UnknownFormatError),
    "05 reserved field not 0": (list_bytes([array_bytes()], reserved=0xDEADBEEF), CorruptFileError),
    "06 count 2^60": (list_bytes([array_bytes()], count=2**60), TruncatedFileError),
    "07 count one too many": (list_bytes([array_bytes()], count=2), TruncatedFileError),
    "07 count one too few": (list_bytes([array_bytes()] * 2, count=1), TruncatedFileError),
    "08 count 10^9 in 1 KB": (list_bytes([bytes(1000)], count=10**9), TruncatedFileError),
    "08 count of 20,000 empty arrays": (lambda: list_bytes([array_bytes("V0", (0,), data=b"")] * 20_000), CorruptFileError),
    "09 ndim 2^31 - 1": (one(array_bytes(ndim=2**31 - 1)), CorruptFileError),
    "10 ndim -1, 64 KiB follow": (one(array_bytes(ndim=-1, data=bytes(1 << 16))), CorruptFileError),
    "10 ndim -1 in V1": (one(array_bytes("V1", ndim=-1, data=bytes(1 << 16))), CorruptFileError),
    "10 ndim -1, little follows": (one(array_bytes(ndim=-1)), CorruptFileError),
    "11 ndim -2": (one(array_bytes(ndim=-2)), CorruptFileError),
    "12 dimension -1": (one(array_bytes(shape=(-1,))), CorruptFileError),
    "12 dimension -5": (one(array_bytes(shape=(-5,))), CorruptFileError),
    "12 dimensions -3 and -1": (one(array_bytes(shape=(-3, -1))), CorruptFileError),
    "13 product wraps to 0": (one(array_bytes(shape=(2**32, 2**32), data=b"")), CorruptFileError),
    "13 product of four wraps to 0": (one(array_bytes(shape=(2**33, 2**31, 4, 1), data=b"")), CorruptFileError),
    "14 bytes wrap to 4": (one(array_bytes(shape=(2**62 + 1,), flag=FLOAT32, data=bytes(4))), CorruptFileError),
    "15 2^30 elements, no data": (one(array_bytes(shape=(2**30,), flag=FLOAT32, data=b"")), TruncatedFileError),
    "15 10^12 elements, no data": (one(array_bytes(shape=(10**12,), flag=FLOAT32, data=b"")), TruncatedFileError),
    "16 cut inside the data": (ONE[: DATA_END - 1], TruncatedFileError),
    "16 cut inside the header": (ONE[: DATA_END - 8], TruncatedFileError),
    "16 cut before the names": (ONE[:DATA_END], TruncatedFileError),
    "16 cut inside a name": (ONE[:-1], TruncatedFileError),
    "17 name length 2^60": (ONE[:DATA_END] + struct.pack("<QQ", 1, 2**60) + b"a", TruncatedFileError),
    "18 name length 2^64 - 1": (ONE[:DATA_END] + struct.pack("<QQ", 1, 2**64 - 1) + b"a", TruncatedFileError),
    "19 fewer names than arrays": (list_bytes([array_bytes()] * 2, [b"a"]), CorruptFileError),
    "19 more names than arrays": (list_bytes([array_bytes()], [b"a", b"b"]), CorruptFileError),
    "19 names count 2^60": (list_bytes([array_bytes()], name_count=2**60), TruncatedFileError),
    "20 name twice": (named(b"a", b"b", b"a"), CorruptFileError),
    "21 name with NUL": (named(b"a\0b"), CorruptFileError),
    "21 name with a control character": (named(b"a\x1b[2Jb"), CorruptFileError),
    "21 name with a newline": (named(b"a\nb"), CorruptFileError),
    "21 name not UTF-8": (named(b"\xff\xfe"), CorruptFileError),
    "21 name a lone surrogate": (named(b"\xed\xa0\x80"), CorruptFileError),
    "21 name empty": (named(b""), CorruptFileError),
    "21 name of 1 MiB": (long_name_bomb, CorruptFileError),
    "22 name __metadata__": (named(b"__metadata__"), CorruptFileError),
    "22 member __metadata__": (zip_bytes([ZipMember("__metadata__.npy", npy_bytes())]), CorruptFileError),
    "23 byte after the names": (ONE + b"\0", CorruptFileError),
    "23 second list": (ONE + ONE, CorruptFileError),
    "23 zip archive after the names": (ONE + zip_bytes([A]), CorruptFileError),
    "23 list before a zip archive": (zip_bytes([A], prefix=ONE), CorruptFileError),
    "23 bytes after a zip archive": (zip_bytes([A]) + ONE, TruncatedFileError),
    "24 dtype 13": (one(array_bytes(flag=13)), CorruptFileError),
    "24 dtype 99": (one(array_bytes(flag=99)), CorruptFileError),
    "24 dtype -1": (one(array_bytes(flag=-1)), CorruptFileError),
    "24 dtype of indices 99": (
        one(sparse_bytes(ROW_SPARSE, (1, 2), (5, 2), INT8, bytes(2), [(99, (1,), bytes(8))])), CorruptFileError,
    ),
    "25 storage type 7": (one(array_bytes(storage_type=7)), CorruptFileError),
    "25 storage type -1": (one(array_bytes(storage_type=-1)), CorruptFileError),
    "25 row index out of range": (one(row_sparse([1, 99])), CorruptFileError),
    "25 row index negative": (one(row_sparse([-1, 3])), CorruptFileError),
    "25 row indices unsorted": (one(row_sparse([3, 1])), CorruptFileError),
    "25 row index twice": (one(row_sparse([3, 3])), CorruptFileError),
    "25 fewer row indices than rows": (
        one(sparse_bytes(ROW_SPARSE, (2, 2), (5, 2), INT8, bytes(4), [indices(1)])), CorruptFileError,
    ),
    "25 csr row starts past the end": (one(csr([0, 2, 2, 99], [0, 3, 1])), CorruptFileError),
    "25 csr column 222222": (one(csr([0, 2, 2, 3], [0, 222222, 1])), CorruptFileError),
    "25 csr with one row start": (one(csr([0], [0, 3, 1])), CorruptFileError),
    "25 csr columns unsorted": (one(csr([0, 2, 2, 3], [3, 0, 1])), CorruptFileError),
    "25 row_sparse of terabytes": (
        one(sparse_bytes(ROW_SPARSE, (0, 2**20), (2**20, 2**20), FLOAT32, b"", [indices()])), UnsupportedArrayError,
    ),
    "25 csr of terabytes": (
        one(sparse_bytes(CSR, (0,), (1, 2**41), FLOAT32, b"", [indices(0, 0), indices()])), UnsupportedArrayError,
    ),
    "26 first word 0x50": (one(struct.pack("<I", 0x50) + os.urandom(500)), CorruptFileError),
    "26 first word 0x7ffffff0": (one(struct.pack("<I", 0x7FFFFFF0) + bytes(500)), CorruptFileError),
    "26 first word 0xfffffff0": (one(struct.pack("<I", 0xFFFFFFF0) + bytes(500)), CorruptFileError),
    "29 none array of V0": (one(struct.pack("<I", 0)), UnsupportedArrayError),
    "29 none array of V1": (one(array_bytes("V1", ())[:8]), UnsupportedArrayError),
    "29 none array of V2": (one(array_bytes("V2", ())[:12]), UnsupportedArrayError),
    "30 empty, but (0, 2^62, 2)": (one(array_bytes(shape=(0, 2**62, 2), data=b"")), CorruptFileError),
    "31 33 dimensions": (one(array_bytes(shape=(1,) * 33, data=b"\1")), CorruptFileError),
    "31 65 dimensions": (one(array_bytes(shape=(1,) * 65, data=b"\1")), CorruptFileError),
    "32 deflate bomb": (bomb, UnsupportedArrayError),
    "33 overlapping members": (zip_bytes([A, ZipMember("b.npy", npy_bytes(), central={"offset": 0})]), CorruptFileError),
    "33 member twice": (zip_bytes([A, A]), CorruptFileError),
    "34 local name differs": (zip_bytes([ZipMember("a.npy", npy_bytes(), local={"name": b"b.npy"})]), CorruptFileError),
    "34 local method differs": (zip_bytes([ZipMember("a.npy", npy_bytes(), local={"method": 8})]), CorruptFileError),
    "34 local size differs": (zip_bytes([ZipMember("a.npy", npy_bytes(), local={"size": 7})]), CorruptFileError),
    "35 zip64 sizes past the file": (zip_fields(size=2**32 - 1, stored=2**32 - 1, extra=WIDE), CorruptFileError),
    "36 encrypted": (zip_fields(flags=0x801), UnsupportedArrayError),
    "36 unknown method": (zip_fields(method=99), UnsupportedArrayError),
    "37 npy of objects": (npy_bytes(pickle.dumps([1]), "()", "'|O'"), UnsupportedArrayError),
    "37 npy, big-endian": (npy_bytes(bytes(8), "(2,)", "'>f4'"), UnsupportedArrayError),
    "37 npy, structured": (npy_bytes(bytes(8), "(1,)", "[('a', '<f4'), ('b', '<f4')]"), UnsupportedArrayError),
    "37 npy header of 60 KB": (npy_bytes(header=" " * 60_000), CorruptFileError),
    "37 npy header, huge number": (npy_bytes(shape=f"({'9' * 4000},)"), CorruptFileError),
    "37 npy header, deep nesting": (npy_bytes(shape="(" * 3900), CorruptFileError),
    "38 member larger than its array": (zip_bytes([ZipMember("a.npy", npy_bytes(shape="(1,)"))]), CorruptFileError),
    "38 member smaller than its array": (zip_bytes([ZipMember("a.npy", npy_bytes(shape="(9,)"))]), CorruptFileError),
    "38 negative shape": (npy_bytes(shape="(-2,)"), CorruptFileError),
    "38 shape over 2^63": (npy_bytes(shape=f"({2**63 + 2},)"), CorruptFileError),
    "38 npy cut short": (npy_bytes(b"\1"), TruncatedFileError),
    "40 trainer states": (pickle.dumps({0: np.ones(2)}, protocol=4), UnknownFormatError),
    "40 gzip": (gzip.compress(ONE), UnknownFormatError),
    "40 safetensors": (struct.pack("<Q", 2) + b"{}", UnknownFormatError),
}  # fmt: skip

ELSEWHERE = {
    "27": "test_lists_of_mixed_versions_are_read",
    "28": "test_scalars_and_empty_arrays_are_read",
    "37": "test_fortran_order_is_read",
    "39": "TestPaths",
    "40": "test_a_torch_checkpoint_is_named",
}
"""Entries that are no error, or no bytes."""


def test_all_forty_entries_have_a_test() -> None:
    assert {name[:2] for name in HOSTILE} | set(ELSEWHERE) == {f"{number:02}" for number in range(1, 41)}
    assert set(ELSEWHERE.values()) <= set(globals())


@pytest.mark.parametrize(("content", "expected"), HOSTILE.values(), ids=list(HOSTILE))
def test_hostile(tmp_path: Path, content: bytes | Callable[[], bytes], expected: type[BortConvertError]) -> None:
    path = tmp_path / "bort.params"
    path.write_bytes(content() if callable(content) else content)
    with PeakMemory() as memory, pytest.raises(BortConvertError) as caught:
        open_params(path)
    message = str(caught.value)
    assert type(caught.value) is expected, message
    assert str(path) in message
    assert message.isprintable(), "one line, and nothing that a terminal would obey"
    assert memory.peak < path.stat().st_size + (1 << 20)


@pytest.mark.parametrize(
    "array",
    [array_bytes("V0", (0,) + (2**30,) + (1,) * 30, INT8, b""), row_sparse([1, 3])],
    ids=["32 dimensions", "sparse"],
)
def test_as_many_arrays_as_are_accepted_cost_a_constant(tmp_path: Path, array: bytes) -> None:
    (tmp_path / "f").write_bytes(list_bytes([array] * MAX_ARRAYS, []))
    with PeakMemory() as memory, open_params(tmp_path / "f") as params:
        assert len(params.arrays) == MAX_ARRAYS
    assert memory.peak < (tmp_path / "f").stat().st_size + (32 << 20)


def test_lists_of_mixed_versions_are_read(tmp_path: Path) -> None:
    arrays = [array_bytes(version) for version in ("V0", "V1", "V2", "V3")]
    (tmp_path / "f").write_bytes(list_bytes(arrays))
    assert [array.tolist() for array in read_all(tmp_path / "f").values()] == [[1, 2]] * 4


def test_scalars_and_empty_arrays_are_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(list_bytes([array_bytes("V3", (), data=b"\7"), array_bytes("V3", (0, 3), data=b"")]))
    scalar, empty = read_all(tmp_path / "f").values()
    assert (scalar.shape, int(scalar), empty.shape) == ((), 7, (0, 3))


def test_fortran_order_is_read(tmp_path: Path) -> None:
    matrix = np.arange(6, dtype="|u1").reshape(2, 3)
    content = plain_npy(matrix).replace(b"False", b"True").replace(b"}\n", b"} \n")
    (tmp_path / "f").write_bytes(content[:-6] + matrix.tobytes("F"))
    np.testing.assert_array_equal(read_all(tmp_path / "f")["0"], matrix)


def test_a_torch_checkpoint_is_named(tmp_path: Path) -> None:
    import torch

    for zipped in (True, False):
        torch.save({"a": torch.ones(2)}, tmp_path / "bort.params", _use_new_zipfile_serialization=zipped)
        with pytest.raises(UnknownFormatError, match=r"torch\.save"):
            open_params(tmp_path / "bort.params")


class TestPaths:
    def test_a_fifo(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "f")
        with pytest.raises(UnreadableFileError, match="not a regular file"):
            open_params(tmp_path / "f")

    @pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
    def test_a_device(self, path: str) -> None:
        with pytest.raises(UnreadableFileError, match="not a regular file"):
            open_params(path)

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFileError, match="a folder"):
            open_params(tmp_path)

    def test_a_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "f").symlink_to(tmp_path / "f")
        with pytest.raises(UnreadableFileError, match="cannot be read"):
            open_params(tmp_path / "f")

    def test_a_link_to_a_device(self, tmp_path: Path) -> None:
        (tmp_path / "f").symlink_to("/dev/zero")
        with pytest.raises(UnreadableFileError, match="not a regular file"):
            open_params(tmp_path / "f")

    def test_a_link_to_a_file_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(ONE)
        (tmp_path / "f").symlink_to("file")
        assert read_all(tmp_path / "f")["a0"].tolist() == [1, 2]

    def test_a_path_with_nul(self) -> None:
        with pytest.raises(UnreadableFileError, match="null"):
            open_params("bort\0.params")

    @pytest.mark.parametrize("content", [
        list_bytes([array_bytes(shape=(3 << 20,), data=bytes(3 << 20))]),
        list_bytes([sparse_bytes(ROW_SPARSE, (3, 1 << 20), (9, 1 << 20), INT8, bytes(3 << 20), [indices(1, 2, 3)])]),
        zip_bytes([ZipMember("a.npy", npy_bytes(bytes(3 << 20), f"({3 << 20},)"))]),
        zip_bytes([ZipMember("a.npy", npy_bytes(os.urandom(3 << 20), f"({3 << 20},)"), deflated=True)]),
        npy_bytes(bytes(3 << 20), "(1024, 3072)", fortran_order="True"),
    ], ids=["list", "sparse", "zip", "deflated", "fortran"])  # fmt: skip
    def test_a_file_cut_short_by_another_process(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "f"
        path.write_bytes(content)
        with open_params(path) as params:
            os.truncate(path, 2 << 20)
            with pytest.raises(TruncatedFileError, match=r"cut short at byte \d+ while"):
                list(params.chunks(params.arrays[0]))

    def test_a_file_cut_short_before_it_is_mapped(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(ONE)
        with open_params(tmp_path / "f") as params:
            os.truncate(tmp_path / "f", 10)
            with pytest.raises(TruncatedFileError, match="cut short while it was being read"):
                params.view(params.arrays[0])


def test_a_bomb_that_lies_of_its_size(tmp_path: Path) -> None:
    """32 again: the size is declared small, so only inflating tells."""
    content = npy_bytes(bytes(64 << 20), "(1000,)")
    fields: dict[str, int | bytes] = {"size": len(content) - (64 << 20) + 1000}
    member = ZipMember("a.npy", content, deflated=True, descriptor=False, local=fields, central=fields)
    (tmp_path / "f").write_bytes(zip_bytes([member]))
    with PeakMemory() as memory, pytest.raises(CorruptFileError, match="inflates to more than"):
        stream_all(tmp_path / "f")
    assert memory.peak < 1 << 21
