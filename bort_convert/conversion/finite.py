"""Weights that are no numbers. They are kept, for bytes are bytes, and named in a warning."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from bort_convert.conversion.casting import widen
from bort_convert.conversion.ledger import Ledger
from bort_convert.params import DType, ParamsFile, StoredArray
from bort_convert.params.reading import Chunk

_EXPONENT_TOPS = {
    "float16": [sign | 0x7C | mantissa for sign in (0, 0x80) for mantissa in range(4)],
    "bfloat16": [0x7F, 0xFF],
    "float32": [0x7F, 0xFF],
    "float64": [0x7F, 0xFF],
}
"""The last bytes, little-endian, that a value which is not finite can have: all bits of the exponent there are set."""


def count_non_finite(data: Chunk, dtype: DType) -> int:
    """How many of these values are NaN or infinite."""
    # Of trained weights no last byte is one of these, and then neither NumPy nor its import is needed.
    plain = bytearray(data) if isinstance(data, memoryview) else data  # a memoryview takes steps slowly
    last = plain[dtype.itemsize - 1 :: dtype.itemsize]
    if not any(top in last for top in _EXPONENT_TOPS[dtype.name]):
        return 0
    import numpy as np

    return int(np.count_nonzero(~np.isfinite(widen(data, dtype))))


def find_non_finite(params: ParamsFile, ledger: Ledger) -> tuple[str, ...]:
    """The warnings of a checkpoint: a line for each tensor that the model takes from it and that is not finite."""
    sources = [entry.source for entry in ledger.written if entry.source]
    with ThreadPoolExecutor(max_workers=2) as pool:
        counts = pool.map(lambda array: _count(params, array), sources)
        return warnings_of(dict(zip((array.name for array in sources), counts, strict=True)))


def _count(params: ParamsFile, array: StoredArray) -> int:
    return sum(count_non_finite(chunk, array.dtype) for chunk in params.chunks(array))


def warnings_of(counts: Mapping[str, int]) -> tuple[str, ...]:
    """A line for each tensor, by the checkpoint's name for it, that has values which are not finite."""
    return tuple(f"{name}: {count} values are NaN or infinite, and kept" for name, count in counts.items() if count)
