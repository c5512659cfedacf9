"""MXNet's own container: a list of arrays, then a list of names.

Layout (``NDArray::Save`` and ``NDArray::Load`` in ``src/ndarray/ndarray.cc``, MXNet 0.10 to 2.0), all little-endian,
nothing aligned, no checksum::

    u64 magic 0x112, u64 reserved 0, u64 count
    count arrays, each of its own version:
        V0 (to 0.10)   u32 ndim, u32 x ndim shape
        V1 (0.11)      u32 version magic, u32 ndim, i64 x ndim shape
        V2 (0.12 on)   u32 version magic, i32 storage type, [shape of the data if sparse], i32 ndim, i64 x ndim shape
        V3 (1.5 on, NumPy semantics)                        as V2, always dense
        i32 device type, i32 device id, i32 dtype flag,
        [for each part of a sparse array: i32 dtype flag, i32 ndim, i64 x ndim shape], data, [data of each part]
    u64 names count (0 or count)
    names: u64 length, bytes

Only V3 knows scalars: before it, an array without dimensions is a none array, which ends there. It holds nothing that
could be converted, so it is refused by name.

MXNet trusts every field and ignores what follows the names. This reader checks each against the file's length before
it acts on it, reads no tensor's data but the indices of sparse ones, and accepts only what MXNet writes.
"""

import struct
from dataclasses import replace
from pathlib import Path

from bort_convert.errors import UnsupportedArrayError
from bort_convert.params.array import SPARSE_PARTS, StoredArray
from bort_convert.params.cursor import Cursor
from bort_convert.params.dtypes import BY_FLAG, DType
from bort_convert.params.formats import LIST_MAGIC
from bort_convert.params.limits import (
    MAX_ARRAYS,
    MAX_DIMENSIONS,
    MAX_NAME_BYTES,
    check_expansion,
    check_shape,
    decode_name,
)

VERSION_MAGICS = {0xF993FAC8: "V1", 0xF993FAC9: "V2", 0xF993FACA: "V3"}
STORAGE_TYPES = {0: "dense", 1: "row_sparse", 2: "csr"}

_SMALLEST_ARRAY = 4
_SMALLEST_NAME = 8


def parse(path: Path, descriptor: int, size: int) -> tuple[tuple[StoredArray, ...], bool]:
    """The arrays of a list container of ``size`` bytes, and whether the file names them.

    Raises TruncatedFileError, CorruptFileError or UnsupportedArrayError, each naming the byte at fault.
    """
    cursor = Cursor(path, descriptor, size)
    cursor.take(len(LIST_MAGIC), "the list magic")
    reserved = cursor.u64("the reserved field")
    if reserved:
        raise cursor.corrupt(f"the reserved field is {reserved:#x}, not 0", 8)
    arrays: list[StoredArray] = []
    sparse_bytes = 0
    for index in range(_parse_count(cursor, "arrays", _SMALLEST_ARRAY)):
        array = _parse_array(cursor, f"array {index}")
        if array.encoding is not None:
            sparse_bytes += array.nbytes
            check_expansion(cursor, sparse_bytes, f"array {index} and the sparse ones before it")
        arrays.append(array)
    names_at = cursor.offset
    name_count = _parse_count(cursor, "names", _SMALLEST_NAME)
    if name_count not in (0, len(arrays)):
        raise cursor.corrupt(f"{len(arrays)} arrays but {name_count} names", names_at)
    names = _parse_names(cursor, name_count)
    if cursor.offset != size:
        raise cursor.corrupt(f"{size - cursor.offset} bytes follow the last name", cursor.offset)
    if not names:
        return tuple(arrays), False
    return tuple(replace(array, name=name) for name, array in zip(names, arrays, strict=True)), True


def _parse_count(cursor: Cursor, what: str, smallest: int) -> int:
    """A u64 count of ``what``, each of which takes at least ``smallest`` bytes."""
    at = cursor.offset
    count = cursor.u64(f"the count of {what}")
    cursor.require(count * smallest, f"a list of {count} {what}")
    if count > MAX_ARRAYS:
        raise cursor.corrupt(f"{count} {what}, more than the {MAX_ARRAYS} that are accepted", at)
    return count


def _parse_array(cursor: Cursor, what: str) -> StoredArray:
    start = cursor.offset
    (magic,) = struct.unpack("<I", cursor.take(4, what))
    version = VERSION_MAGICS.get(magic, "V0")
    if version == "V0" and magic > MAX_DIMENSIONS:
        raise cursor.corrupt(
            f"{what} begins with {magic:#010x}, which is neither the magic of a version nor a number of dimensions",
            start,
        )
    storage_type = _parse_storage_type(cursor, what, version)
    parts = SPARSE_PARTS.get(storage_type, ())
    data_shape = _parse_shape(cursor, what) if parts else None
    shape_at = cursor.offset
    shape = _unpack_shape(cursor, what, magic, "I") if version == "V0" else _parse_shape(cursor, what)
    if not shape and version != "V3":
        raise UnsupportedArrayError(
            f"{cursor.path}: {what} at byte {start} holds no data (a none array); leave it out in MXNet and save again"
        )
    device_type, device_id = struct.unpack("<ii", cursor.take(8, what))
    array = StoredArray("", _parse_dtype(cursor, what), shape, 0, version, (device_type, device_id))
    check_shape(cursor, what, shape, array.dtype, shape_at)
    if data_shape is None:
        return _skip_data(cursor, what, array)
    from bort_convert.params.sparse import sparse_array  # few files have any

    headers = {part: (_parse_dtype(cursor, what), _parse_shape(cursor, what)) for part in parts}
    data = _skip_data(cursor, what, replace(array, shape=data_shape))
    indices = {
        part: _skip_data(cursor, f"the {part} of {what}", replace(array, dtype=dtype, shape=part_shape))
        for part, (dtype, part_shape) in headers.items()
    }
    return sparse_array(cursor, what, storage_type, shape, data, indices)


def _parse_storage_type(cursor: Cursor, what: str, version: str) -> str:
    if version in ("V0", "V1"):
        return "dense"
    at = cursor.offset
    (number,) = struct.unpack("<i", cursor.take(4, what))
    if number not in STORAGE_TYPES or (version == "V3" and number):
        raise cursor.corrupt(f"{what} has storage type {number}", at)
    return STORAGE_TYPES[number]


def _parse_shape(cursor: Cursor, what: str) -> tuple[int, ...]:
    (ndim,) = struct.unpack("<i", cursor.take(4, what))
    return _unpack_shape(cursor, what, ndim, "q")


def _unpack_shape(cursor: Cursor, what: str, ndim: int, dimension: str) -> tuple[int, ...]:
    """A shape of ``ndim`` dimensions, each of the ``struct`` format ``dimension``."""
    at = cursor.offset
    if not 0 <= ndim <= MAX_DIMENSIONS:
        raise cursor.corrupt(f"{what} has {ndim} dimensions", at - 4)
    layout = f"<{ndim}{dimension}"
    shape: tuple[int, ...] = struct.unpack(layout, cursor.take(struct.calcsize(layout), what))
    if any(size < 0 for size in shape):
        raise cursor.corrupt(f"{what} has a negative dimension: {shape}", at)
    return shape


def _parse_dtype(cursor: Cursor, what: str) -> DType:
    at = cursor.offset
    (flag,) = struct.unpack("<i", cursor.take(4, what))
    if flag not in BY_FLAG:
        raise cursor.corrupt(f"{what} has dtype flag {flag}", at)
    return BY_FLAG[flag]


def _skip_data(cursor: Cursor, what: str, array: StoredArray) -> StoredArray:
    """``array`` with its data where ``cursor`` stands, which steps over them."""
    check_shape(cursor, what, array.shape, array.dtype, cursor.offset)
    located = replace(array, offset=cursor.offset)
    cursor.skip(array.nbytes, f"the data of {what}, {array.dtype.name} {array.shape},")
    return located


def _parse_names(cursor: Cursor, count: int) -> list[str]:
    names: dict[str, int] = {}
    for index in range(count):
        at = cursor.offset
        length = cursor.u64(f"the length of name {index}")
        cursor.require(length, f"name {index}")
        if length > MAX_NAME_BYTES:
            raise cursor.corrupt(f"name {index} has {length} bytes, more than {MAX_NAME_BYTES}", at)
        name = decode_name(cursor, cursor.take(length, f"name {index}"), f"name {index}", at)
        if name in names:
            raise cursor.corrupt(f"names {names[name]} and {index} are both {name!r}", at)
        names[name] = index
    return list(names)
