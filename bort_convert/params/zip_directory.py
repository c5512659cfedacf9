"""The members of a zip archive, as MXNet 2 and NumPy write them.

Layout (PKWARE's APPNOTE.TXT, sections 4.3 to 4.5), all little-endian: the members, each a local header, data, and for some a
descriptor that repeats checksum and sizes; the central directory, one header for each member; the end records. A member's
data begin where its *local* header says.

Accepted is only an archive that reads the same however it is read: local and central headers agree, the members stand one
after the other without gap or overlap from the first byte to the directory, no name comes twice, nothing follows the end.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from bort_convert.errors import TruncatedFileError
from bort_convert.params.cursor import Cursor
from bort_convert.params.limits import MAX_NAME_BYTES, decode_name

MAX_MEMBERS = 1 << 14

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_LOCATOR = struct.Struct("<4sLQL")
_ZIP64_EXTRA = 1
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
"""What a field holds whose value stands in a zip64 record."""
_DESCRIPTOR_FOLLOWS = 1 << 3
_FLAGS = _DESCRIPTOR_FOLLOWS | 1 << 1 | 1 << 2 | 1 << 11
"""Deflate's two hints, the descriptor, UTF-8 names. The others mean encryption, patches, masked headers."""
_STORED, _DEFLATED = 0, 8
_ADVICE = "save the arrays again with numpy.savez"


@dataclass(frozen=True, slots=True)
class Member:
    """One member: ``stored`` bytes from byte ``offset`` of the file, ``size`` bytes once they are inflated."""

    name: str
    offset: int
    stored: int
    size: int
    crc: int
    deflated: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    """One header of the central directory."""

    name: bytes
    flags: int
    method: int
    crc: int
    stored: int
    size: int
    header: int


def parse_directory(path: Path, descriptor: int, size: int) -> tuple[Member, ...]:
    """The members of an archive of ``size`` bytes, in the directory's order.

    Raises TruncatedFileError, CorruptFileError or UnsupportedArrayError.
    """
    cursor = Cursor(path, descriptor, size)
    count, start, end = _locate_directory(cursor)
    cursor.offset = start
    entries: dict[bytes, _Entry] = {}
    for index in range(count):
        at = cursor.offset
        entry = _parse_entry(cursor, f"directory entry {index}")
        if cursor.offset > end:
            raise cursor.corrupt(f"directory entry {index} runs past the directory's end at {end}", at)
        if entry.name in entries:
            raise cursor.corrupt(f"the directory has two members {entry.name!r}", at)
        entries[entry.name] = entry
    if cursor.offset != end:
        raise cursor.corrupt(f"{end - cursor.offset} bytes follow the last directory entry", cursor.offset)
    members: dict[bytes, Member] = {}
    cursor.offset = 0
    for entry in sorted(entries.values(), key=lambda entry: entry.header):
        if entry.header != cursor.offset:
            kind = "overlaps the one before" if entry.header < cursor.offset else "leaves a gap before it"
            raise cursor.corrupt(f"member {entry.name!r} {kind}", entry.header)
        members[entry.name] = _parse_member(cursor, entry, start)
    if cursor.offset != start:
        raise cursor.corrupt(f"{start - cursor.offset} bytes lie between the members and the directory", cursor.offset)
    return tuple(members[name] for name in entries)


def _locate_directory(cursor: Cursor) -> tuple[int, int, int]:
    """The number of members, and where the directory begins and ends."""
    at = cursor.size - _END.size
    cursor.offset = max(at, 0)
    signature, disk, first_disk, count, total, length, start, comment = _END.unpack(
        cursor.take(_END.size, "the end record")
    )
    if signature != b"PK\x05\x06":
        raise TruncatedFileError(
            f"{cursor.path}: truncated at byte {cursor.size}, or not a whole zip archive: the last {_END.size} bytes are no "
            "end record; copy or download the file again"
        )
    end = at
    if at >= _END64_LOCATOR.size:
        cursor.offset = at - _END64_LOCATOR.size
        locator, locator_disk, at64, disks = _END64_LOCATOR.unpack(
            cursor.take(_END64_LOCATOR.size, "the zip64 locator")
        )
        if locator == b"PK\x06\x07":
            end = cursor.offset - _END64_LOCATOR.size - _END64.size
            if at64 != end or end < 0 or locator_disk or disks != 1:
                raise cursor.corrupt(f"the zip64 locator points to byte {at64}, not {end}", at - _END64_LOCATOR.size)
            small = (disk, first_disk, count, total, length, start)
            disk, first_disk, count, total, length, start = _parse_end64(cursor, end, small)
    whole = start + length == end and count == total and not (comment or disk or first_disk)
    if not whole or count > MAX_MEMBERS or count * _CENTRAL.size > length:
        raise cursor.corrupt(
            f"the end record tells of a directory of {total} members in {length} bytes from byte {start}, "
            f"where one of up to {MAX_MEMBERS} must end at byte {end}",
            at,
        )
    return count, start, end


def _parse_end64(cursor: Cursor, at: int, small: tuple[int, ...]) -> tuple[int, ...]:
    """The fields of the zip64 end record at byte ``at`` that stand in for those of the end record, ``small``."""
    cursor.offset = at
    signature, length, _, _, *fields = _END64.unpack(cursor.take(_END64.size, "the zip64 end record"))
    full = (_FULL16, _FULL16, _FULL16, _FULL16, _FULL32, _FULL32)
    agree = all(old in (new, limit) for old, new, limit in zip(small, fields, full, strict=True))
    if signature != b"PK\x06\x06" or length != _END64.size - 12 or not agree:
        raise cursor.corrupt("the zip64 end record does not agree with the end record", at)
    return tuple(fields)


def _parse_entry(cursor: Cursor, what: str) -> _Entry:
    at = cursor.offset
    fields = _CENTRAL.unpack(cursor.take(_CENTRAL.size, what))
    signature, _, _, flags, method, _, _, crc, stored, size, name_length, extra_length, comment, disk, _, _, header = (
        fields
    )
    if signature != b"PK\x01\x02" or comment or name_length > MAX_NAME_BYTES + 16:
        raise cursor.corrupt(f"{what} is none that MXNet or NumPy write", at)
    name = cursor.take(name_length, what)
    extra = cursor.take(extra_length, what)
    size, stored, header = _widen(cursor, what, extra, (size, stored, header), at)
    if disk:
        raise cursor.corrupt(f"{what} lies on disk {disk}", at)
    if flags & ~_FLAGS:
        kind = "encrypted" if flags & 1 else f"of flags {flags:#06x}"
        raise cursor.unsupported(f"member {name!r} is {kind}", at, _ADVICE)
    if method not in (_STORED, _DEFLATED):
        raise cursor.unsupported(f"member {name!r} is compressed with method {method}", at, _ADVICE)
    if method == _STORED and stored != size:
        raise cursor.corrupt(f"member {name!r} is stored, but has {stored} bytes for {size}", at)
    return _Entry(name, flags, method, crc, stored, size, header)


def _parse_member(cursor: Cursor, entry: _Entry, directory: int) -> Member:
    """The member whose local header is at ``cursor``, which steps to the end of its data and descriptor."""
    at, what = cursor.offset, f"member {entry.name!r}"
    fields = _LOCAL.unpack(cursor.take(_LOCAL.size, what))
    signature, _, flags, method, _, _, crc, stored, size, name_length, extra_length = fields
    if signature != b"PK\x03\x04" or name_length != len(entry.name) or cursor.take(name_length, what) != entry.name:
        raise cursor.corrupt(f"{what} has no local header, or one of another name", at)
    extra = cursor.take(extra_length, what)
    found, expected = [crc, size, stored], [entry.crc, entry.size, entry.stored]
    described = bool(flags & _DESCRIPTOR_FOLLOWS)
    if described:  # then the local header may leave them out
        agree = all(value in (0, _FULL32, other) for value, other in zip(found, expected, strict=True))
    else:
        agree = [crc, *_widen(cursor, what, extra, (size, stored), at)] == expected
    if not agree or flags != entry.flags or method != entry.method:
        raise cursor.corrupt(f"the local header of {what} differs from the directory's", at)
    data = cursor.offset
    if data + entry.stored > directory:
        raise cursor.corrupt(f"{what} has {entry.stored} bytes and runs into the directory at byte {directory}", at)
    cursor.offset = data + entry.stored
    if described:
        _skip_descriptor(cursor, entry)
    name = decode_name(cursor, entry.name, "the name of a member", at)
    return Member(name, data, entry.stored, entry.size, entry.crc, entry.method == _DEFLATED)


def _skip_descriptor(cursor: Cursor, entry: _Entry) -> None:
    """Steps over the descriptor, which has sizes of 8 bytes where the archive is zip64, and of 4 where not."""
    at, what = cursor.offset, f"the descriptor of {entry.name!r}"
    values = (b"PK\x07\x08", entry.crc, entry.stored, entry.size)
    short = struct.pack("<4s3L", *values) if max(entry.stored, entry.size) <= _FULL32 else None
    found = cursor.take(16, what)
    if found == short:
        return
    if found + cursor.take(8, what) != struct.pack("<4sL2Q", *values):
        raise cursor.corrupt(f"{what} differs from the directory", at)


def _widen(cursor: Cursor, what: str, extra: bytes, values: tuple[int, ...], at: int) -> list[int]:
    """``values`` with those that are full replaced, in their order, by the zip64 field of ``extra``."""
    wide = b""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == _ZIP64_EXTRA:
            wide = extra[4 : 4 + length]
            break
        extra = extra[4 + length :]
    widened = []
    for value in values:
        if value != _FULL32:
            widened.append(value)
            continue
        if len(wide) < 8:
            raise cursor.corrupt(f"{what} has no zip64 field", at)
        widened.append(int.from_bytes(wide[:8], "little"))
        wide = wide[8:]
    return widened
