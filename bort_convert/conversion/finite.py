"""Weights that are no numbers. They are kept, for bytes are bytes, and named in a warning."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from bort_convert.conversion.casting import widen
from bort_convert.conversion.ledger import Ledger
from bort_convert.params import DType, ParamsFile, StoredArray


def count_non_finite(data: bytes | memoryview, dtype: DType) -> int:
    """How many of these values are NaN or infinite."""
    import numpy as np

    values = widen(data, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        # One sum tells of nearly all data that they are finite, for a fraction of what looking at each value costs.
        if np.isfinite(values.sum(dtype=np.promote_types(values.dtype, np.float32))):
            return 0
    return int(np.count_nonzero(~np.isfinite(values)))


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
