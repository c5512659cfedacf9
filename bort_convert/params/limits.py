"""What every container must keep to: bounds on counts, shapes, names, and on data that grow when they are read.

With them a file of n bytes costs at most n bytes and a constant to open and to read, however its fields lie. Data that
grow (deflated members, sparse arrays) may grow to ``MAX_EXPANSION`` times the file and ``EXPANSION_ALLOWANCE``, all of a
file's together.
"""

import math

from bort_convert.errors import UnsupportedArrayError
from bort_convert.params.cursor import Cursor
from bort_convert.params.dtypes import DType

MAX_ARRAYS = 1 << 14
"""Far above any Bort (74 arrays at 4 layers); keeps the memory that a hostile count can cost constant."""
MAX_DIMENSIONS = 32
"""NumPy 1's limit."""
MAX_NAME_BYTES = 1 << 10
MAX_BYTES = 2**63 - 1
MAX_EXPANSION = 16
"""Trained weights hardly deflate at all, and nobody stores as sparse what is nearly all zeros but for embeddings."""
EXPANSION_ALLOWANCE = 64 << 20
"""For small files, which may well be all zeros."""


def check_shape(cursor: Cursor, what: str, shape: tuple[int, ...], dtype: DType, at: int) -> None:
    """Raises CorruptFileError where an array of ``shape`` cannot be addressed, its zero dimensions left out of account."""
    if len(shape) > MAX_DIMENSIONS:
        raise cursor.corrupt(f"{what} has {len(shape)} dimensions", at)
    if any(dimension < 0 for dimension in shape):
        raise cursor.corrupt(f"{what} has a negative dimension: {shape}", at)
    if math.prod(dimension or 1 for dimension in shape) * dtype.itemsize > MAX_BYTES:
        raise cursor.corrupt(f"{what} has shape {shape}, more than can be addressed", at)


def check_expansion(cursor: Cursor, nbytes: int, what: str) -> None:
    """Raises UnsupportedArrayError where ``nbytes`` is more than the data of a file of ``cursor.size`` bytes may grow to."""
    limit = MAX_EXPANSION * cursor.size + EXPANSION_ALLOWANCE
    if nbytes > limit:
        raise UnsupportedArrayError(
            f"{cursor.path}: {what} would grow to {nbytes} bytes, more than the {limit} that a file of {cursor.size} bytes "
            f"may ({MAX_EXPANSION} times its size and {EXPANSION_ALLOWANCE >> 20} MiB); save the arrays dense and "
            "uncompressed"
        )


def decode_name(cursor: Cursor, raw: bytes, what: str, at: int) -> str:
    """The name that ``raw`` is in UTF-8. Raises CorruptFileError for what is not, and what `check_name` raises."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise cursor.corrupt(f"{what} is not UTF-8: {raw!r}", at) from None
    check_name(cursor, name, what, at)
    return name


def check_name(cursor: Cursor, name: str, what: str, at: int) -> None:
    """Raises CorruptFileError for what no parameter is called.

    That is nothing, control characters, or the key under which a safetensors header keeps its metadata.
    """
    if not name or not name.isprintable() or name == "__metadata__":
        raise cursor.corrupt(f"{what} is {name!r}, which no parameter has", at)
