"""MXNet 2's container, and NumPy's: a zip archive of ``.npy`` members.

MXNet (``src/serialization/cnpy.cc``, 2.0.0.beta1) stores a dense array as ``NAME.npy``, and a sparse one as the members
``NAME/data``, ``NAME/shape``, ``NAME/format`` and ``NAME/indices``, a csr one ``NAME/indptr`` too. The header of a
``format`` is not NumPy's, a fault of MXNet's writer; the storage type follows it as text.

Opening reads headers, and the indices of sparse arrays. Deflated members are held against their length and checksum when
they are read; the checksums of stored ones are not looked at.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bort_convert.errors import UnknownFormatError
from bort_convert.params.array import SPARSE_PARTS, StoredArray, load
from bort_convert.params.cursor import Cursor
from bort_convert.params.deflate import Deflated
from bort_convert.params.formats import NPY_MAGIC
from bort_convert.params.limits import MAX_DIMENSIONS, check_expansion, check_name
from bort_convert.params.npy import MAX_HEADER_BYTES, parse_header
from bort_convert.params.reading import read_exactly
from bort_convert.params.sparse import sparse_array
from bort_convert.params.zip_directory import Member, parse_directory

_DENSE = ""
_SUFFIX = ".npy"
_FORMAT = "/format"


def parse(path: Path, descriptor: int, size: int) -> tuple[tuple[StoredArray, ...], bool]:
    """The arrays of an archive of ``size`` bytes, and that it names them.

    Raises TruncatedFileError, CorruptFileError, UnsupportedArrayError, or UnknownFormatError where a member is no array.
    """
    cursor = Cursor(path, descriptor, size)
    members: dict[str, Member] = {}
    for member in parse_directory(path, descriptor, size):
        if not member.name.endswith(_SUFFIX):
            raise UnknownFormatError(
                f"{path}: a zip archive that holds {member.name!r}, which is no array; give the file that MXNet wrote"
            )
        members[member.name.removesuffix(_SUFFIX)] = member
    check_expansion(cursor, sum(member.size for member in members.values() if member.deflated), "the deflated members")
    sparse_bytes = 0
    arrays = []
    for name, group in _group(cursor, members).items():
        check_name(cursor, name, "the name of an array", next(iter(group.values())).offset)
        if _DENSE in group:
            array = _parse_dense(cursor, name, group[_DENSE])
        else:
            array = _parse_sparse(cursor, name, group)
            sparse_bytes += array.nbytes
            check_expansion(cursor, sparse_bytes, f"{name} and the sparse arrays before it")
        arrays.append(array)
    return tuple(arrays), True


def _group(cursor: Cursor, members: Mapping[str, Member]) -> dict[str, dict[str, Member]]:
    """The members of each array by their part: a dense array has the one part ``_DENSE``."""
    sparse = {key.removesuffix(_FORMAT) for key in members if key.endswith(_FORMAT)}
    groups: dict[str, dict[str, Member]] = {}
    for key, member in members.items():
        name, _, part = key.rpartition("/")
        if name not in sparse:
            name, part = key, _DENSE
        group = groups.setdefault(name, {})
        if (part == _DENSE and group) or _DENSE in group:
            raise cursor.corrupt(f"two arrays are called {name!r}", member.offset)
        group[part] = member
    return groups


def _parse_dense(cursor: Cursor, name: str, member: Member) -> StoredArray:
    header = parse_header(cursor, repr(name), _head(cursor, member), member.offset)
    if header.nbytes != member.size:
        raise cursor.corrupt(
            f"{name!r}, {header.dtype.name} {header.shape}, needs {header.nbytes} bytes, its member has {member.size}",
            member.offset,
        )
    if member.deflated:
        offset, encoding = member.offset, header.encoding(_deflated(member, header.size))
    else:
        offset, encoding = member.offset + header.size, header.encoding(None)
    return StoredArray(name, header.dtype, header.shape, offset, "npy", None, encoding)


def _parse_sparse(cursor: Cursor, name: str, group: Mapping[str, Member]) -> StoredArray:
    at = next(iter(group.values())).offset
    storage_type = _parse_format(cursor, name, group["format"])
    parts = SPARSE_PARTS[storage_type]
    if group.keys() != {"format", "shape", "data", *parts}:
        raise cursor.corrupt(f"{name!r} is {storage_type}, but has the parts {', '.join(group)}", at)
    arrays = {part: _parse_dense(cursor, f"{name}/{part}", group[part]) for part in ("shape", "data", *parts)}
    shape = arrays.pop("shape")
    if shape.dtype.name != "int64" or len(shape.shape) != 1 or shape.size > MAX_DIMENSIONS:
        raise cursor.corrupt(f"{name!r} has a shape of {shape.dtype.name} {shape.shape}", at)
    dimensions = tuple(load(cursor.path, cursor.descriptor, shape).tolist())
    data = replace(arrays.pop("data"), name=name)
    return sparse_array(cursor, repr(name), storage_type, dimensions, data, arrays)


def _parse_format(cursor: Cursor, name: str, member: Member) -> str:
    """The storage type, which follows a header that is skipped unread."""
    content = _head(cursor, member)
    text = content[10 + int.from_bytes(content[8:10], "little") :].decode("latin-1")
    if not content.startswith(NPY_MAGIC + b"\x01\x00") or text not in SPARSE_PARTS or len(content) != member.size:
        raise cursor.corrupt(f"{name!r} is of the format {text[:40]!r}, not {' or '.join(SPARSE_PARTS)}", member.offset)
    return text


def _head(cursor: Cursor, member: Member) -> bytes:
    """The first bytes of a member, as many as a header may have."""
    if not member.deflated:
        return read_exactly(cursor.path, cursor.descriptor, member.offset, min(member.size, MAX_HEADER_BYTES))
    head = b""
    for piece in _deflated(member, 0).inflate(cursor.path, cursor.descriptor, member.offset):
        head += piece
        if len(head) >= MAX_HEADER_BYTES:
            break
    return head[:MAX_HEADER_BYTES]


def _deflated(member: Member, header: int) -> Deflated:
    return Deflated(member.stored, member.size, member.crc, header)
