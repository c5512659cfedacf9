"""Writes MXNet's list container, byte for byte as MXNet writes it; see `bort_convert.params.ndarray_list` for the layout."""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from bort_convert.params.dtypes import DType
from bort_convert.params.formats import LIST_MAGIC
from bort_convert.params.reading import Chunk

_DENSE = 0
_MAGICS = {"V1": 0xF993FAC8, "V2": 0xF993FAC9, "V3": 0xF993FACA}
VERSIONS = ("V0", *_MAGICS)
CPU = (1, 0)
"""The context that GluonNLP's files have: device type CPU, device 0."""


@dataclass(frozen=True)
class ListedArray:
    """An array to write. ``chunks`` gives its little-endian bytes in C order; ``version`` is V0 to V3."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    chunks: Callable[[], Iterable[Chunk]]
    version: str = "V2"
    context: tuple[int, int] = CPU


def write_list(file: BinaryIO, arrays: Sequence[ListedArray]) -> None:
    """Writes the whole container to ``file``."""
    file.write(LIST_MAGIC + struct.pack("<QQ", 0, len(arrays)))
    for array in arrays:
        file.write(_header(array))
        for chunk in array.chunks():
            file.write(chunk)
    file.write(struct.pack("<Q", len(arrays)))
    for array in arrays:
        name = array.name.encode()
        file.write(struct.pack("<Q", len(name)) + name)


def _header(array: ListedArray) -> bytes:
    ndim = len(array.shape)
    tail = struct.pack("<iii", *array.context, array.dtype.flag)
    if array.version == "V0":
        return struct.pack(f"<I{ndim}I", ndim, *array.shape) + tail
    shape = struct.pack(f"<i{ndim}q", ndim, *array.shape)
    storage = b"" if array.version == "V1" else struct.pack("<i", _DENSE)
    return struct.pack("<I", _MAGICS[array.version]) + storage + shape + tail
