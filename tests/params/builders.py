"""Parameter files byte by byte, good and bad, and what every test of the reader asks of them.

Written from the layouts in the sources of MXNet, NumPy and PKWARE, apart from the package, so that a test that uses them
holds the package against a second opinion.
"""

import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bort_convert.params import ParamsFile, StoredArray, open_params

FLOAT32, FLOAT64, UINT8, INT32, INT8, INT64 = 0, 1, 3, 4, 5, 6
MAGICS = {"V1": 0xF993FAC8, "V2": 0xF993FAC9, "V3": 0xF993FACA}
DENSE, ROW_SPARSE, CSR = 0, 1, 2

Part = tuple[int, tuple[int, ...], bytes]
"""One auxiliary array of a sparse one: dtype flag, shape, data."""


def shape_bytes(version: str, shape: Sequence[int], ndim: int | None = None) -> bytes:
    dimension = "I" if version == "V0" else "q"
    return struct.pack("<I" if version == "V0" else "<i", len(shape) if ndim is None else ndim) + struct.pack(
        f"<{len(shape)}{dimension}", *shape
    )


def array_bytes(
    version: str = "V2",
    shape: Sequence[int] = (2,),
    flag: int = UINT8,
    data: bytes = b"\1\2",
    *,
    storage_type: int = DENSE,
    context: tuple[int, int] = (1, 0),
    ndim: int | None = None,
) -> bytes:
    """One array of a list: magic, storage type, shape, context, dtype, data."""
    start = struct.pack("<I", MAGICS[version]) if version != "V0" else b""
    if version in ("V2", "V3"):
        start += struct.pack("<i", storage_type)
    return start + shape_bytes(version, shape, ndim) + struct.pack("<iii", *context, flag) + data


def sparse_bytes(
    storage_type: int, data_shape: Sequence[int], shape: Sequence[int], flag: int, data: bytes, parts: Sequence[Part]
) -> bytes:
    """One sparse V2 array of a list."""
    return b"".join(
        [
            struct.pack("<Ii", MAGICS["V2"], storage_type),
            shape_bytes("V2", data_shape),
            shape_bytes("V2", shape),
            struct.pack("<iii", 1, 0, flag),
            *(struct.pack("<i", part_flag) + shape_bytes("V2", part_shape) for part_flag, part_shape, _ in parts),
            data,
            *(content for _, _, content in parts),
        ]
    )


def indices(*values: int, dtype: str = "<i8") -> Part:
    """A sparse array's indices or row starts, as a part."""
    return {"<i8": INT64, "<i4": INT32}[dtype], (len(values),), np.array(values, dtype).tobytes()


def row_sparse(rows: Sequence[int], shape: tuple[int, ...] = (5, 2)) -> bytes:
    """A float32 array of which the given rows hold 1, 2, 3, …"""
    data = np.arange(1, 1 + len(rows) * int(np.prod(shape[1:])), dtype="<f4")
    return sparse_bytes(ROW_SPARSE, (len(rows), *shape[1:]), shape, FLOAT32, data.tobytes(), [indices(*rows)])


def csr(starts: Sequence[int], columns: Sequence[int], shape: tuple[int, ...] = (3, 4)) -> bytes:
    """A float32 matrix whose elements that are not zero are 1, 2, 3, …"""
    data = np.arange(1, 1 + len(columns), dtype="<f4")
    return sparse_bytes(
        CSR, (len(columns),), shape, FLOAT32, data.tobytes(), [indices(*starts), indices(*columns)]
    )  # fmt: skip


def list_bytes(
    arrays: Sequence[bytes],
    names: Sequence[bytes] | None = None,
    *,
    magic: int = 0x112,
    reserved: int = 0,
    count: int | None = None,
    name_count: int | None = None,
) -> bytes:
    """A list container. Without ``names`` the arrays are called ``a0``, ``a1``, …"""
    if names is None:
        names = [b"a%d" % index for index in range(len(arrays))]
    return b"".join(
        [
            struct.pack("<QQQ", magic, reserved, len(arrays) if count is None else count),
            *arrays,
            struct.pack("<Q", len(names) if name_count is None else name_count),
            *(struct.pack("<Q", len(name)) + name for name in names),
        ]
    )


def npy_bytes(
    data: bytes = b"\1\2",
    shape: str = "(2,)",
    descr: str = "'|u1'",
    fortran_order: str = "False",
    *,
    header: str | None = None,
    version: tuple[int, int] = (1, 0),
    length: int | None = None,
) -> bytes:
    """A ``.npy`` file; ``shape``, ``descr`` and ``fortran_order`` as they stand in the header."""
    if header is None:
        header = f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}, }}\n"
    text = header.encode("latin-1")
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text + data


def format_bytes(text: str) -> bytes:
    """The member that names a sparse array's storage type, with the header that MXNet 2 gives it."""
    return npy_bytes(
        text.encode(), header=f"{{'descr': '|s{len(text)}{{'descr': '<i8', 'fortran_order': False, 'shape': (), }}\n"
    )


def sparse_members(name: str, storage_type: str, shape: Sequence[int], **parts: np.ndarray) -> "list[ZipMember]":
    """The members of a sparse array as MXNet 2 writes them."""
    arrays = {**parts, "shape": np.array(shape, "<i8")}
    members = [ZipMember(f"{name}/{part}.npy", plain_npy(array)) for part, array in arrays.items()]
    return [*members, ZipMember(f"{name}/format.npy", format_bytes(storage_type))]


def plain_npy(array: np.ndarray) -> bytes:
    return npy_bytes(array.tobytes(), str(array.shape), f"'{array.dtype.str}'")


@dataclass(frozen=True)
class ZipMember:
    """One member of a zip archive; ``local`` and ``central`` replace fields of its two headers."""

    name: str
    content: bytes
    deflated: bool = False
    descriptor: bool = True
    zip64: bool = False
    local: dict[str, int | bytes] = field(default_factory=dict)
    central: dict[str, int | bytes] = field(default_factory=dict)


def zip_bytes(
    members: Sequence[ZipMember], *, prefix: bytes = b"", gap: bytes = b"", end: dict[str, int] | None = None
) -> bytes:
    """A zip archive as MXNet 2's miniz writes it; ``gap`` stands after each member, ``end`` replaces fields of the end record."""
    content, directory = prefix, b""
    for member in members:
        body = _deflate(member.content) if member.deflated else member.content
        flags = 0x800 | (8 if member.descriptor else 0)
        known = {"flags": flags, "method": 8 if member.deflated else 0, "crc": zlib.crc32(member.content)}
        sizes = {"stored": len(body), "size": len(member.content)}
        local = {**known, **({"crc": 0, "stored": 0, "size": 0} if member.descriptor else sizes)}
        central: dict[str, int | bytes] = {**known, **sizes, "offset": len(content)}
        local_extra = central_extra = b""
        if member.zip64:
            wide = struct.pack("<HHQQ", 1, 16, len(member.content), 0 if member.descriptor else len(body))
            local_extra = wide
            central_extra = struct.pack("<HHQQQ", 1, 24, len(member.content), len(body), len(content))
            local |= {"stored": 2**32 - 1, "size": 2**32 - 1}
            central |= {"stored": 2**32 - 1, "size": 2**32 - 1, "offset": 2**32 - 1}
        directory += _central_header(member.name.encode(), {**central, "extra": central_extra, **member.central})
        content += _local_header(member.name.encode(), {**local, "extra": local_extra, **member.local}) + body
        if member.descriptor:
            layout = "<4sIQQ" if member.zip64 else "<4sIII"
            content += struct.pack(layout, b"PK\7\10", known["crc"], len(body), len(member.content))
        content += gap
    fields = {"count": len(members), "length": len(directory), "offset": len(content), **(end or {})}
    return content + directory + end_record(**fields)


def end_record(
    *, count: int, length: int, offset: int, total: int | None = None, comment: int = 0, disk: int = 0
) -> bytes:
    total = count if total is None else total
    return struct.pack("<4sHHHHIIH", b"PK\5\6", disk, disk, count, total, length, offset, comment)


def _local_header(name: bytes, fields: dict[str, int | bytes]) -> bytes:
    extra, name = fields.get("extra", b""), fields.get("name", name)  # type: ignore[assignment]
    numbers = (fields["flags"], fields["method"], 0, 0, fields["crc"], fields["stored"], fields["size"])
    assert isinstance(extra, bytes)
    return struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 0, *numbers, len(name), len(extra)) + name + extra


def _central_header(name: bytes, fields: dict[str, int | bytes]) -> bytes:
    extra, name = fields.get("extra", b""), fields.get("name", name)  # type: ignore[assignment]
    numbers = (fields["flags"], fields["method"], 0, 0, fields["crc"], fields["stored"], fields["size"])
    assert isinstance(extra, bytes)
    lengths = (len(name), len(extra), 0, 0, 0, 0)
    return struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0, 0, *numbers, *lengths, fields["offset"]) + name + extra


def _deflate(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def read_array(params: ParamsFile, array: StoredArray) -> np.ndarray:
    """The array from its chunks, which are held against what `ParamsFile` promises of them, and against the view."""
    pieces = [bytes(chunk) for chunk in params.chunks(array)]
    assert all(len(piece) == 1 << 20 for piece in pieces[:-1])
    content = b"".join(pieces)
    assert len(content) == array.nbytes
    view = params.view(array)
    assert not view.flags.writeable
    assert (view.shape, view.tobytes()) == (array.shape, content)
    return np.frombuffer(content, array.dtype.numpy).reshape(array.shape)


def read_all(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file, by name, or by position where it has no names."""
    with open_params(path) as params:
        return {array.name or str(index): read_array(params, array) for index, array in enumerate(params.arrays)}


def stream_all(path: Path) -> int:
    """Opens the file and reads every array chunk by chunk, keeping none; gives the number of bytes."""
    with open_params(path) as params:
        return sum(len(chunk) for array in params.arrays for chunk in params.chunks(array))


class PeakMemory:
    """Measures the peak of what Python and NumPy allocate within a ``with`` block, in bytes."""

    peak = 0

    def __enter__(self) -> "PeakMemory":
        tracemalloc.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
