"""MXNet's own container: a list of arrays, then a list of names.

Layout (``NDArray::Save`` and ``NDArray::Load`` in ``src/ndarray/ndarray.cc``, MXNet 1.9.1), all little-endian, nothing
aligned, no checksum::

    u64 magic 0x112, u64 reserved 0, u64 count
    count arrays: u32 version magic, i32 storage type, i32 ndim, i64 x ndim shape,
                  i32 device type, i32 device id, i32 dtype flag, data
    u64 names count (0 or count)
    names: u64 length, bytes

MXNet trusts every field and ignores what follows the names. This reader checks each against the file's length before
it acts on it, reads no tensor's data, and accepts only what MXNet writes.
"""

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from bort_convert.errors import CorruptFileError, TruncatedFileError, UnsupportedArrayError
from bort_convert.params.dtypes import BY_FLAG
from bort_convert.params.file import StoredArray
from bort_convert.params.formats import LIST_MAGIC

VERSION_MAGICS = {0xF993FAC8: "V1", 0xF993FAC9: "V2", 0xF993FACA: "V3"}
STORAGE_TYPES = {0: "dense", 1: "row_sparse", 2: "csr"}

MAX_ARRAYS = 1 << 16
"""Far above any Bort (74 arrays at 4 layers); keeps the memory that a hostile count can cost constant."""
MAX_DIMENSIONS = 32
"""NumPy 1's limit."""
MAX_NAME_BYTES = 1 << 10
MAX_BYTES = 2**63 - 1

_SMALLEST_ARRAY = 12
_SMALLEST_NAME = 8


def parse(path: Path, descriptor: int, size: int) -> tuple[tuple[StoredArray, ...], bool]:
    """The arrays of a list container of ``size`` bytes, and whether the file names them.

    Raises TruncatedFileError, CorruptFileError or UnsupportedArrayError, each naming the byte at fault.
    """
    cursor = _Cursor(path, descriptor, size)
    cursor.take(len(LIST_MAGIC), "the list magic")
    reserved = cursor.u64("the reserved field")
    if reserved:
        raise cursor.corrupt(f"the reserved field is {reserved:#x}, not 0", 8)
    count = cursor.count("arrays", _SMALLEST_ARRAY)
    arrays = [_parse_array(cursor, index) for index in range(count)]
    names_at = cursor.offset
    name_count = cursor.count("names", _SMALLEST_NAME)
    if name_count not in (0, count):
        raise cursor.corrupt(f"{count} arrays but {name_count} names", names_at)
    names = _parse_names(cursor, name_count)
    if cursor.offset != size:
        raise cursor.corrupt(f"{size - cursor.offset} bytes follow the last name", cursor.offset)
    if not names:
        return tuple(arrays), False
    return tuple(
        StoredArray(name, array.dtype, array.shape, array.offset, array.version, array.context)
        for name, array in zip(names, arrays, strict=True)
    ), True


@dataclass
class _Cursor:
    """A position in the file; every step is checked against the file's length."""

    path: Path
    descriptor: int
    size: int
    offset: int = 0

    def take(self, nbytes: int, what: str) -> bytes:
        self.require(nbytes, what)
        data = os.pread(self.descriptor, nbytes, self.offset)
        if len(data) != nbytes:
            raise TruncatedFileError(f"{self.path}: cut short at byte {self.offset} while it was being read; try again")
        self.offset += nbytes
        return data

    def skip(self, nbytes: int, what: str) -> None:
        self.require(nbytes, what)
        self.offset += nbytes

    def require(self, nbytes: int, what: str) -> None:
        left = self.size - self.offset
        if nbytes > left:
            raise TruncatedFileError(
                f"{self.path}: truncated at byte {self.size}: {what} at byte {self.offset} needs {nbytes} bytes, "
                f"{left} are left; copy or download the file again"
            )

    def u64(self, what: str) -> int:
        return int.from_bytes(self.take(8, what), "little")

    def count(self, what: str, smallest: int) -> int:
        """A u64 count of ``what``, each of which takes at least ``smallest`` bytes."""
        at = self.offset
        count = self.u64(f"the count of {what}")
        self.require(count * smallest, f"a list of {count} {what}")
        if count > MAX_ARRAYS:
            raise self.corrupt(f"{count} {what}, more than the {MAX_ARRAYS} that are accepted", at)
        return count

    def corrupt(self, found: str, at: int) -> CorruptFileError:
        return CorruptFileError(f"{self.path}: corrupt at byte {at}: {found}; copy or download the file again")


def _parse_array(cursor: _Cursor, index: int) -> StoredArray:
    start = cursor.offset
    what = f"array {index}"
    magic, storage_type = struct.unpack("<Ii", cursor.take(8, what))
    version = VERSION_MAGICS.get(magic)
    if version is None or version == "V1":
        found = "a V1 array (MXNet 0.11)" if version else f"magic {magic:#010x}"
        raise UnsupportedArrayError(
            f"{cursor.path}: {what} at byte {start} is no V2 or V3 array: {found}; "
            "load the file in MXNet 1.9 and save it again"
        )
    if storage_type not in STORAGE_TYPES:
        raise cursor.corrupt(f"{what} has storage type {storage_type}", start + 4)
    if storage_type:
        raise UnsupportedArrayError(
            f"{cursor.path}: {what} at byte {start} is {STORAGE_TYPES[storage_type]}; "
            "make it dense in MXNet (tostype('default')) and save it again"
        )
    shape = _parse_shape(cursor, what)
    if version == "V2" and not shape:
        raise UnsupportedArrayError(f"{cursor.path}: {what} at byte {start} holds no data (a none array)")
    flag_at = cursor.offset + 8
    device_type, device_id, flag = struct.unpack("<iii", cursor.take(12, what))
    dtype = BY_FLAG.get(flag)
    if dtype is None:
        raise cursor.corrupt(f"{what} has dtype flag {flag}", flag_at)
    if math.prod(dimension or 1 for dimension in shape) * dtype.itemsize > MAX_BYTES:
        raise cursor.corrupt(f"{what} has shape {shape}, more than can be addressed", start + 12)
    array = StoredArray("", dtype, shape, cursor.offset, version, (device_type, device_id))
    cursor.skip(array.nbytes, f"the data of {what}, {dtype.name} {shape},")
    return array


def _parse_shape(cursor: _Cursor, what: str) -> tuple[int, ...]:
    at = cursor.offset
    (ndim,) = struct.unpack("<i", cursor.take(4, what))
    if not 0 <= ndim <= MAX_DIMENSIONS:
        raise cursor.corrupt(f"{what} has {ndim} dimensions", at)
    shape: tuple[int, ...] = struct.unpack(f"<{ndim}q", cursor.take(8 * ndim, what))
    if any(dimension < 0 for dimension in shape):
        raise cursor.corrupt(f"{what} has a negative dimension: {shape}", at + 4)
    return shape


def _parse_names(cursor: _Cursor, count: int) -> list[str]:
    names: dict[str, int] = {}
    for index in range(count):
        at = cursor.offset
        length = cursor.u64(f"the length of name {index}")
        cursor.require(length, f"name {index}")
        if length > MAX_NAME_BYTES:
            raise cursor.corrupt(f"name {index} has {length} bytes, more than {MAX_NAME_BYTES}", at)
        raw = cursor.take(length, f"name {index}")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise cursor.corrupt(f"name {index} is not UTF-8: {raw!r}", at) from None
        if not name or not name.isprintable() or name == "__metadata__":
            raise cursor.corrupt(f"name {index} is {name!r}, which no parameter has", at)
        if name in names:
            raise cursor.corrupt(f"names {names[name]} and {index} are both {name!r}", at)
        names[name] = index
    return list(names)
