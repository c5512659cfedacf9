"""NumPy's container for one array, ``.npy``, alone or as a member of a zip archive.

Layout (``numpy/lib/format.py``): the magic, two bytes of version, the header's length (u16, from version 2 on u32), the
header, the data. The header is a dictionary in Python's notation. Its writers, NumPy and MXNet 2
(``src/serialization/cnpy.cc``), know one form of it, and that form is what is accepted here: nothing is evaluated, and
nothing unpickled.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from bort_convert.errors import TruncatedFileError
from bort_convert.params.array import Encoding, StoredArray
from bort_convert.params.cursor import Cursor
from bort_convert.params.dtypes import DTYPES, DType
from bort_convert.params.formats import NPY_MAGIC
from bort_convert.params.fortran import FortranOrder
from bort_convert.params.limits import check_shape

MAX_HEADER_BYTES = 1 << 12
"""NumPy pads its headers to 64 bytes; 32 dimensions need less than 1 KiB."""

_HEADER = re.compile(
    r"\{'descr': (?P<descr>[ -~]+), 'fortran_order': (?P<fortran>True|False), 'shape': \((?P<shape>[0-9, ]*)\), \} *\n",
    re.ASCII,
)
_SHAPE = re.compile(r"|\d{1,19},|\d{1,19}(, \d{1,19})+")
_BFLOAT16 = "[('bfloat16', '<u2')]"
_DTYPES = {f"'{dtype.numpy}'": dtype for dtype in DTYPES if dtype.name != "bfloat16"} | {_BFLOAT16: DTYPES[12]}
_ADVICE = "save it as one of MXNet's dtypes, little-endian"


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an array says; ``size`` is the number of bytes before the data."""

    dtype: DType
    shape: tuple[int, ...]
    fortran_order: bool
    size: int

    @property
    def nbytes(self) -> int:
        """Bytes of header and data."""
        return self.size + math.prod(self.shape) * self.dtype.itemsize

    def encoding(self, inner: Encoding | None) -> Encoding | None:
        """How the data are stored, where ``inner`` is how the bytes after the header are."""
        return FortranOrder(inner) if self.fortran_order and len(self.shape) > 1 else inner


def parse(path: Path, descriptor: int, size: int) -> tuple[tuple[StoredArray, ...], bool]:
    """The one array, nameless, of a file of ``size`` bytes, and that it is not named.

    Raises TruncatedFileError, CorruptFileError or UnsupportedArrayError.
    """
    cursor = Cursor(path, descriptor, size)
    header = parse_header(cursor, "the array", cursor.take(min(size, MAX_HEADER_BYTES), "the header"), 0)
    cursor.offset = header.size
    cursor.skip(header.nbytes - header.size, f"the data of the array, {header.dtype.name} {header.shape},")
    if cursor.offset != size:
        raise cursor.corrupt(f"{size - cursor.offset} bytes follow the array", cursor.offset)
    return (StoredArray("", header.dtype, header.shape, header.size, "npy", None, header.encoding(None)),), False


def parse_header(cursor: Cursor, what: str, head: bytes, at: int) -> Header:
    """The header of the array that begins with ``head``: the whole array, or its first ``MAX_HEADER_BYTES`` bytes.

    ``what`` and ``at`` say in messages which array it is, and where. Raises what `parse` raises.
    """
    if not head.startswith(NPY_MAGIC) and not NPY_MAGIC.startswith(head):
        raise cursor.corrupt(f"{what} does not begin as a NumPy array does", at)
    width = 2 if head[6:7] == b"\x01" else 4
    start = len(NPY_MAGIC) + 2 + width
    length = int.from_bytes(head[8:start], "little")
    if head[6:8] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00") and len(head) >= 8:
        raise cursor.corrupt(f"{what} has NumPy format version {head[6]}.{head[7]}", at + 6)
    if start + length > MAX_HEADER_BYTES:
        raise cursor.corrupt(f"{what} has a header of {length} bytes, more than {MAX_HEADER_BYTES - start}", at + 8)
    if len(head) < start or len(head) < start + length:
        raise TruncatedFileError(
            f"{cursor.path}: truncated: {what} ends within its header, after {len(head)} bytes from byte {at}; "
            "copy or download the file again"
        )
    text = head[start : start + length].decode("latin-1")
    match = _HEADER.fullmatch(text)
    if match is None or not _SHAPE.fullmatch(match["shape"]):
        raise cursor.corrupt(f"{what} has no header that NumPy or MXNet write: {text[:80]!r}", at + start)
    dtype = _DTYPES.get(match["descr"])
    if dtype is None:
        kind = (
            "Python objects, which only unpickling reads" if "O" in match["descr"] else f"dtype {match['descr'][:40]}"
        )
        raise cursor.unsupported(f"{what} holds {kind}", at + start, _ADVICE)
    shape = tuple(int(size) for size in match["shape"].replace(",", " ").split())
    check_shape(cursor, what, shape, dtype, at + start)
    return Header(dtype, shape, match["fortran"] == "True", start + length)
