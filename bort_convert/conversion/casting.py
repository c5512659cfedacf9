"""Correctly rounded changes of dtype: to the nearest value, ties to even, whatever the source is.

NumPy rounds so between its own types. bfloat16, which NumPy lacks, is rounded here.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bort_convert.conversion.ledger import Entry, Operation
from bort_convert.errors import OverflowToInfinityError
from bort_convert.params import DType, ParamsFile, StoredArray
from bort_convert.params.reading import Chunk

if TYPE_CHECKING:
    import numpy as np


def entry_chunks(params: ParamsFile, entry: Entry) -> Iterator[Chunk]:
    """The bytes that ``entry`` puts into the model file, a buffer at a time.

    Raises OverflowToInfinityError, naming the tensor, where a finite value is too large for the entry's dtype.
    """
    if entry.source is None:
        yield bytes(entry.nbytes)
    elif entry.operation is Operation.CAST:
        for chunk in params.chunks(entry.source):
            yield _cast(chunk, entry.source, entry.dtype, params)
    else:
        yield from params.chunks(entry.source)


def widen(data: Chunk, dtype: DType) -> "np.ndarray":
    """The values of raw ``data``, in a NumPy type that holds each of them: bfloat16 becomes float32."""
    import numpy as np

    if dtype.name == "bfloat16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, dtype.numpy)


def narrow(values: "np.ndarray", dtype: DType) -> bytes:
    """The bytes of these floating-point values, correctly rounded to ``dtype``."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        rounded = _to_bfloat16(values) if dtype.name == "bfloat16" else values.astype(dtype.numpy)
    return rounded.tobytes()


def _cast(data: Chunk, source: StoredArray, dtype: DType, params: ParamsFile) -> bytes:
    import numpy as np

    values = widen(data, source.dtype)
    result = narrow(values, dtype)
    overflowed = np.isinf(widen(result, dtype)) & np.isfinite(values)
    if overflowed.any():
        raise OverflowToInfinityError(
            f"{params.path}: {source.name}: {values[overflowed][0]:g} is too large for {dtype.name}; "
            "choose a --dtype of a wider range, or keep the file's"
        )
    return result


def _to_bfloat16(values: "np.ndarray") -> "np.ndarray":
    """The upper halves of float32 values, rounded to nearest, ties to even, as ``uint16``."""
    import numpy as np

    single = values.astype(np.float32)
    bits = single.view(np.uint32)
    if values.dtype == np.float64:
        # Rounding twice can go wrong at a tie. Rounding to odd first keeps what the second rounding must know.
        inexact = np.isfinite(values) & (single.astype(np.float64) != values)
        away = inexact & (np.abs(single.astype(np.float64)) > np.abs(values))
        bits = np.where(inexact, (bits - away.astype(np.uint32)) | np.uint32(1), bits)
    rounding = np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))
    rounded = ((bits + rounding) >> 16).astype(np.uint16)
    quiet = ((bits >> 16) | np.uint32(0x0040)).astype(np.uint16)
    return np.where(np.isnan(single), quiet, rounded)
