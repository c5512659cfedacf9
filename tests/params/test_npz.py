"""Zip archives of arrays: what is read, and what is refused."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bort_convert.errors import CorruptFileError, TruncatedFileError, UnknownFormatError, UnsupportedArrayError
from bort_convert.params import open_params
from tests.params.builders import (
    PeakMemory,
    ZipMember,
    end_record,
    format_bytes,
    npy_bytes,
    plain_npy,
    read_all,
    sparse_members,
    stream_all,
    zip_bytes,
)

MATRIX = np.arange(6, dtype="<f4").reshape(2, 3)
A = ZipMember("a.npy", plain_npy(MATRIX))
B = ZipMember("b.0.weight.npy", npy_bytes())
PLAIN = replace(A, descriptor=False)


def write(folder: Path, content: bytes) -> Path:
    (folder / "f").write_bytes(content)
    return folder / "f"


def saved(save: Callable[..., None] = np.savez, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def test_order_names_and_offsets(tmp_path: Path) -> None:
    path = write(tmp_path, zip_bytes([B, A]))
    with open_params(path) as params:
        assert (params.container, params.named) == ("zip of NumPy arrays", True)
        assert [array.name for array in params.arrays] == ["b.0.weight", "a"]
        array = params.by_name["a"]
        assert path.read_bytes()[array.offset :][: array.nbytes] == MATRIX.tobytes()
    np.testing.assert_array_equal(read_all(path)["a"], MATRIX)


def test_the_builder_writes_what_the_standard_library_reads() -> None:
    for member in (A, PLAIN, replace(A, zip64=True), replace(PLAIN, zip64=True), replace(A, deflated=True)):
        with zipfile.ZipFile(io.BytesIO(zip_bytes([member, B]))) as archive:
            assert archive.testzip() is None
            assert archive.read("a.npy") == A.content


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_saves(tmp_path: Path, save: Callable[..., None]) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "noise": generator.standard_normal((700, 800)).astype("<f4"),
        "zeros": np.zeros((1500, 1100), "<f2"),
        "fortran": np.asfortranarray(generator.standard_normal((300, 50))),
        "scalar": np.array(7, "<i8"),
        "empty": np.zeros((0, 3), "|i1"),
    }
    found = read_all(write(tmp_path, saved(save, **arrays)))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_what_python_writes_into_a_pipe(tmp_path: Path) -> None:
    """Sizes then stand behind the data, as MXNet 2 has them."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError("a pipe")

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr("a.npy", A.content)
        archive.writestr("b.npy", B.content, zipfile.ZIP_DEFLATED)
    assert list(read_all(write(tmp_path, pipe.getvalue()))) == ["a", "b"]


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("descriptor", [False, True])
def test_headers(tmp_path: Path, deflated: bool, zip64: bool, descriptor: bool) -> None:
    member = replace(A, deflated=deflated, zip64=zip64, descriptor=descriptor)
    np.testing.assert_array_equal(
        read_all(write(tmp_path, zip_bytes([B, member, replace(B, name="c.npy")])))["a"], MATRIX
    )


def test_the_data_begin_where_the_local_header_says(tmp_path: Path) -> None:
    extra = struct.pack("<HH", 0x7777, 50) + bytes(50)
    np.testing.assert_array_equal(
        read_all(write(tmp_path, zip_bytes([replace(A, local={"extra": extra}), B])))["a"], MATRIX
    )


def test_members_of_4_gib_and_beyond(tmp_path: Path) -> None:
    """The layout of MXNet 2 (miniz) around 4 GiB, with a hole for the data."""
    size = 2**32 + 16
    header = npy_bytes(b"", f"({size},)")
    path = tmp_path / "f"
    sizes = (zlib.crc32(b""), len(header) + size, len(header) + size)
    with path.open("wb") as file:
        extra = struct.pack("<HHQQ", 1, 16, sizes[2], 0)
        file.write(
            struct.pack("<4s5H3L2H", b"PK\3\4", 0, 0x808, 0, 0, 0, 0, 0, 0, 5, len(extra)) + b"a.npy" + extra + header
        )
        file.seek(size, os.SEEK_CUR)
        file.write(struct.pack("<4sLQQ", b"PK\7\10", *sizes))
        second = file.tell()
        extra = struct.pack("<HHQ", 1, 8, second)
        file.write(
            struct.pack("<4s5H3L2H", b"PK\3\4", 0, 0x808, 0, 0, 0, 0, 0, 0, 5, len(extra))
            + b"b.npy"
            + extra
            + B.content
        )
        crc = zlib.crc32(B.content)
        file.write(struct.pack("<4sLQQ", b"PK\7\10", crc, len(B.content), len(B.content)))
        directory = file.tell()
        full = 2**32 - 1
        wide = struct.pack("<HHQQ", 1, 16, sizes[2], sizes[1])
        file.write(
            struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", 0, 0, 0x808, 0, 0, 0, sizes[0], full, full, 5, len(wide), 0, 0, 0, 0, 0
            )
        )
        file.write(b"a.npy" + wide)
        numbers = (crc, len(B.content), len(B.content), 5, len(extra), 0, 0, 0, 0, full)
        file.write(struct.pack("<4s6H3L5H2L", b"PK\1\2", 0, 0, 0x808, 0, 0, 0, *numbers) + b"b.npy" + extra)
        end = file.tell()
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 0x031E, 0x2D, 0, 0, 2, 2, end - directory, directory))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        file.write(end_record(count=2, length=end - directory, offset=full))
    with open_params(path) as params:
        first, last = params.arrays
        assert (first.shape, first.nbytes, params.view(last).tolist()) == ((size,), size, [1, 2])
        assert bytes(next(params.chunks(first))) == bytes(1 << 20)
        assert not params.view(first)[-100:].any()


class TestSparse:
    ROWS = sparse_members("r", "row_sparse", (5, 2), data=MATRIX[:, :2].copy(), indices=np.array([1, 3]))
    CELLS = sparse_members(
        "c.1",
        "csr",
        (3, 4),
        data=np.array([1, 2, 3], "<f8"),
        indptr=np.array([0, 2, 2, 3]),
        indices=np.array([0, 3, 1]),
    )

    def test_both(self, tmp_path: Path) -> None:
        found = read_all(write(tmp_path, zip_bytes([A, *self.ROWS, B, *self.CELLS])))
        assert list(found) == ["a", "r", "b.0.weight", "c.1"]
        assert found["r"].tolist() == [[0, 0], [0, 1], [0, 0], [3, 4], [0, 0]]
        assert found["c.1"].tolist() == [[1, 0, 0, 2], [0, 0, 0, 0], [0, 3, 0, 0]]

    def test_deflated(self, tmp_path: Path) -> None:
        members = [replace(member, deflated=True) for member in self.ROWS]
        assert read_all(write(tmp_path, zip_bytes(members)))["r"].tolist()[3] == [3, 4]

    def test_a_dense_array_may_have_such_a_name(self, tmp_path: Path) -> None:
        members = [ZipMember(f"r/{part}.npy", npy_bytes()) for part in ("data", "indices", "shape")]
        assert list(read_all(write(tmp_path, zip_bytes(members)))) == ["r/data", "r/indices", "r/shape"]

    @pytest.mark.parametrize("missing", range(4))
    def test_a_part_is_missing(self, tmp_path: Path, missing: int) -> None:
        members = [member for index, member in enumerate(self.ROWS) if index != missing]
        if missing == 3:  # without the format, nothing says that they belong together
            assert "r/data" in read_all(write(tmp_path, zip_bytes(members)))
            return
        with pytest.raises(CorruptFileError, match="'r' is row_sparse, but has the parts"):
            open_params(write(tmp_path, zip_bytes(members)))

    def test_a_part_too_many(self, tmp_path: Path) -> None:
        with pytest.raises(CorruptFileError, match="'r' is row_sparse, but has the parts"):
            open_params(write(tmp_path, zip_bytes([*self.ROWS, ZipMember("r/more.npy", npy_bytes())])))

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_dense_array_of_the_same_name(self, tmp_path: Path, order: int) -> None:
        members = [*self.ROWS, ZipMember("r.npy", npy_bytes())][::order]
        with pytest.raises(CorruptFileError, match="two arrays are called 'r'"):
            open_params(write(tmp_path, zip_bytes(members)))

    @pytest.mark.parametrize("text", ["", "coo", "csr ", "default"])
    def test_an_unknown_format(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(CorruptFileError, match="'r' is of the format"):
            open_params(write(tmp_path, zip_bytes([*self.ROWS[:3], ZipMember("r/format.npy", format_bytes(text))])))

    @pytest.mark.parametrize(
        "shape", [np.array([5.0, 2]), np.array([[5, 2]]), np.array([1] * 33), np.array([5, 2], "<i4")]
    )
    def test_a_shape_that_is_none(self, tmp_path: Path, shape: np.ndarray) -> None:
        members = [self.ROWS[0], self.ROWS[1], ZipMember("r/shape.npy", plain_npy(shape)), self.ROWS[3]]
        with pytest.raises(CorruptFileError, match="'r' has a shape of"):
            open_params(write(tmp_path, zip_bytes(members)))

    def test_a_negative_shape(self, tmp_path: Path) -> None:
        members = sparse_members("r", "row_sparse", (-5, 2), data=MATRIX[:, :2].copy(), indices=np.array([1, 3]))
        with pytest.raises(CorruptFileError, match="negative dimension"):
            open_params(write(tmp_path, zip_bytes(members)))

    def test_a_shape_of_terabytes(self, tmp_path: Path) -> None:
        members = sparse_members("r", "row_sparse", (2**40, 2), data=MATRIX[:, :2].copy(), indices=np.array([1, 3]))
        with pytest.raises(UnsupportedArrayError, match="r and the sparse arrays before it would grow to"):
            open_params(write(tmp_path, zip_bytes(members)))


class TestDeflated:
    def test_a_bomb_is_refused_before_it_is_inflated(self, tmp_path: Path) -> None:
        size = 100 << 20
        path = write(tmp_path, zip_bytes([ZipMember("a.npy", npy_bytes(bytes(size), f"({size},)"), deflated=True)]))
        assert path.stat().st_size < 200_000
        with (
            PeakMemory() as memory,
            pytest.raises(UnsupportedArrayError, match="the deflated members would grow to 104857"),
        ):
            open_params(path)
        assert memory.peak < 1 << 20

    def test_a_bomb_that_lies(self, tmp_path: Path) -> None:
        content = npy_bytes(bytes(64 << 20), "(1000,)")
        size = len(npy_bytes(bytes(1000), "(1000,)"))
        path = write(tmp_path, zip_bytes([ZipMember("a.npy", content, deflated=True, descriptor=False,
                                                    local={"size": size}, central={"size": size})]))  # fmt: skip
        with (
            PeakMemory() as memory,
            pytest.raises(CorruptFileError, match=f"more than the {size} bytes that it declares"),
        ):
            stream_all(path)
        assert memory.peak < 4 << 20

    def test_inflated_in_constant_memory(self, tmp_path: Path) -> None:
        content = npy_bytes(np.random.default_rng(0).bytes(1 << 20) * 20, f"({20 << 20},)")
        path = write(tmp_path, zip_bytes([ZipMember("a.npy", content, deflated=True)]))
        with PeakMemory() as memory:
            assert stream_all(path) == 20 << 20
        assert memory.peak < 4 << 20

    def test_fewer_bytes_than_declared(self, tmp_path: Path) -> None:
        content = npy_bytes(bytes(3_000_000), "(3000000,)")
        long = {"size": len(npy_bytes(b"", "(3000001,)")) + 3_000_001}
        content = content.replace(b"(3000000,)", b"(3000001,)")
        member = ZipMember("a.npy", content, deflated=True, descriptor=False, local=dict(long), central=dict(long))
        with pytest.raises(CorruptFileError, match=r"inflates to \d+ bytes, not the"):
            stream_all(write(tmp_path, zip_bytes([member])))

    def test_a_wrong_checksum(self, tmp_path: Path) -> None:
        member = replace(PLAIN, deflated=True, local={"crc": 1}, central={"crc": 1})
        with pytest.raises(CorruptFileError, match=r"has checksum 0x[0-9a-f]{8}, not 0x00000001"):
            stream_all(write(tmp_path, zip_bytes([member])))

    def test_data_that_are_not_deflated(self, tmp_path: Path) -> None:
        member = ZipMember("a.npy", b"\xff" * 100, local={"method": 8}, central={"method": 8})
        with pytest.raises(CorruptFileError, match="is not deflated data"):
            open_params(write(tmp_path, zip_bytes([member])))

    @pytest.mark.parametrize("at", ["the end", "the end, few", "a step", "a chunk"])
    def test_bytes_after_the_deflated_data(self, tmp_path: Path, at: str) -> None:
        content = npy_bytes(bytes(10), "(10,)")
        deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = deflater.compress(content) + deflater.flush()
        # Empty stored blocks do not end the data: they move the end to where the reader's buffers meet.
        empty = b"\x00\x00\x00\xff\xff"
        room = {"the end": 0, "the end, few": 0, "a step": 1 << 16, "a chunk": 1 << 20}[at]
        body = empty * ((room - len(body)) // len(empty)) + body + bytes(3 if at == "the end, few" else 1 << 17)
        fields: dict[str, int | bytes] = {
            "method": 8,
            "crc": zlib.crc32(content),
            "stored": len(body),
            "size": len(content),
        }
        member = ZipMember("a.npy", body, descriptor=False, local=fields, central=fields)
        with pytest.raises(CorruptFileError, match="goes on after the end of its deflated data"):
            stream_all(write(tmp_path, zip_bytes([member])))

    def test_a_file_that_shrinks_while_it_is_read(self, tmp_path: Path) -> None:
        content = npy_bytes(np.random.default_rng(0).bytes(4 << 20), f"({4 << 20},)")
        path = write(tmp_path, zip_bytes([ZipMember("a.npy", content, deflated=True)]))
        with open_params(path) as params:
            os.truncate(path, 2 << 20)
            with pytest.raises(TruncatedFileError, match="cut short at byte 2097152"):
                list(params.chunks(params.arrays[0]))


def central(**fields: int | bytes) -> bytes:
    return zip_bytes([replace(A, central=fields), B])


def local(**fields: int | bytes) -> bytes:
    return zip_bytes([B, replace(A, local=fields)])


def overlapping(by: int) -> bytes:
    """An archive of which the first member claims ``by`` bytes more than it has."""
    size = len(PLAIN.content) + by
    return zip_bytes([replace(PLAIN, local={"stored": size, "size": size}, central={"stored": size, "size": size}), B])


WIDE = struct.pack("<HHQQQ", 1, 24, 2**60, 2**60, 0)
CORRUPT = {
    "local name differs": (local(name=b"x.npy"), "has no local header, or one of another name"),
    "local name shorter": (local(name=b"a.np"), "has no local header, or one of another name"),
    "local method differs": (local(method=8), "differs from the directory's"),
    "local flags differ": (local(flags=0x80A), "differs from the directory's"),
    "local size differs": (local(size=5), "differs from the directory's"),
    "local size differs, no descriptor": (zip_bytes([replace(PLAIN, local={"size": 5})]), "differs from the directory's"),
    "local checksum differs": (zip_bytes([replace(PLAIN, local={"crc": 5})]), "differs from the directory's"),
    "stored of two sizes": (central(size=5), "is stored, but has"),
    "descriptor differs": (central(crc=5), "the descriptor of b'a.npy' differs"),
    "two members of a name": (zip_bytes([A, A]), "two members b'a.npy'"),
    "two headers of a member": (zip_bytes([A, replace(B, central={"offset": 0, "name": b"b.npy"})]), "overlaps"),
    "data over the next member": (central(stored=200, size=200), "the descriptor of b'a.npy' differs"),
    "data over the next header": (overlapping(10), "member b'b.0.weight.npy' overlaps the one before"),
    "data short of the next header": (overlapping(-10), "member b'b.0.weight.npy' leaves a gap before it"),
    "member past the directory": (central(stored=2**20, size=2**20), "runs into the directory"),
    "zip64 sizes past the file": (central(stored=2**32 - 1, size=2**32 - 1, extra=WIDE), "runs into the directory"),
    "zip64 without its field": (central(stored=2**32 - 1, size=2**32 - 1), "has no zip64 field"),
    "zip64 field too short": (central(size=2**32 - 1, stored=2**32 - 1, extra=WIDE[:12]), "has no zip64 field"),
    "local header past the file": (central(offset=2**31), "leaves a gap"),
    "bytes between members": (zip_bytes([A, B], gap=b"?"), "leaves a gap before it"),
    "bytes before the directory": (zip_bytes([A], gap=b"?"), "1 bytes lie between"),
    "bytes after the directory's entries": (zip_bytes([A, B], end={"count": 1}), "bytes follow the last directory entry"),
    "more members than entries": (zip_bytes([A, B], end={"count": 3}), "a directory of 3 members in"),
    "directory of 65535 members": (zip_bytes([A, B], end={"count": 65535}), "of up to 16384"),
    "directory elsewhere": (zip_bytes([A, B], end={"offset": 7}), "must end at byte"),
    "counts differ": (zip_bytes([A, B], end={"total": 1}), "tells of a directory of 1 members"),
    "two disks": (zip_bytes([A, B], end={"disk": 1}), "tells of a directory"),
    "comment": (zip_bytes([A, B], end={"comment": 5}), "tells of a directory"),
    "name not UTF-8": (zip_bytes([replace(A, local={"name": b"\xff.npy"}, central={"name": b"\xff.npy"})]), "is not UTF-8"),
    "name with NUL": (zip_bytes([replace(A, name="a\0.npy")]), "which no parameter has"),
    "name empty": (zip_bytes([replace(A, name=".npy")]), "the name of an array is ''"),
    "name __metadata__": (zip_bytes([replace(A, name="__metadata__.npy")]), "the name of an array is '__metadata__'"),
    "name of 2 KiB": (zip_bytes([replace(B), replace(A, name="a" * 2048 + ".npy")]), "is none that MXNet or NumPy write"),
    "shape larger than the member": (zip_bytes([ZipMember("a.npy", npy_bytes(shape="(3,)"))]), "its member has"),
    "shape smaller than the member": (zip_bytes([ZipMember("a.npy", npy_bytes(shape="(1,)"))]), "its member has"),
    "no array": (zip_bytes([ZipMember("a.npy", b"text, no array")]), "does not begin as a NumPy array does"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), CORRUPT.values(), ids=list(CORRUPT))
def test_corrupt(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CorruptFileError) as caught:
        open_params(write(tmp_path, content))
    assert message in str(caught.value)


UNSUPPORTED = {
    "encrypted": (zip_bytes([replace(A, local={"flags": 0x809}, central={"flags": 0x809})]), "is encrypted"),
    "masked headers": (zip_bytes([replace(A, local={"flags": 0x2808}, central={"flags": 0x2808})]), "of flags 0x2808"),
    "bzip2": (zip_bytes([replace(A, local={"method": 12}, central={"method": 12})]), "compressed with method 12"),
    "pickled objects": (zip_bytes([ZipMember("a.npy", npy_bytes(descr="'|O'"))]), "which only unpickling reads"),
    "big-endian": (zip_bytes([ZipMember("a.npy", npy_bytes(descr="'>f4'"))]), "dtype '>f4'"),
    "scipy's sparse matrix": (zip_bytes([ZipMember("format.npy", npy_bytes(b"csr", "()", "'|S3'"))]), "dtype '|S3'"),
}


@pytest.mark.parametrize(("content", "message"), UNSUPPORTED.values(), ids=list(UNSUPPORTED))
def test_unsupported(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UnsupportedArrayError) as caught:
        open_params(write(tmp_path, content))
    assert message in str(caught.value)


def test_other_members(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"a zip archive that holds 'data\.pkl', which is no array"):
        open_params(write(tmp_path, zip_bytes([A, ZipMember("data.pkl", b"\x80\x02.")])))


def test_an_archive_without_members(tmp_path: Path) -> None:
    with open_params(write(tmp_path, zip_bytes([]))) as params:
        assert params.arrays == ()


@pytest.mark.parametrize("content", [zip_bytes([A, B]), saved(a=MATRIX)], ids=["MXNet", "NumPy"])
def test_cut_at_every_byte(tmp_path: Path, content: bytes) -> None:
    for length in range(4, len(content)):
        with pytest.raises(TruncatedFileError):
            open_params(write(tmp_path, content[:length]))


@pytest.mark.parametrize("prefix", [b"PK\3\4", b"\0" * 100])
def test_bytes_before_the_first_member(tmp_path: Path, prefix: bytes) -> None:
    with pytest.raises((UnknownFormatError, CorruptFileError)):
        open_params(write(tmp_path, zip_bytes([A], prefix=prefix)))


def test_bytes_after_the_end(tmp_path: Path) -> None:
    with pytest.raises(TruncatedFileError, match="or not a whole zip archive"):
        open_params(write(tmp_path, zip_bytes([A]) + b"\0"))
