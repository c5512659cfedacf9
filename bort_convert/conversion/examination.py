"""What reading a tensor once tells of it: its digest, and whether its values are finite."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from bort_convert.conversion.casting import entry_chunks
from bort_convert.conversion.finite import count_non_finite
from bort_convert.conversion.ledger import Entry
from bort_convert.params import ParamsFile
from bort_convert.params.reading import Chunk


@dataclass(frozen=True, slots=True)
class Examination:
    """Of the bytes that an entry puts into the model file: their SHA-256, and how many values are NaN or infinite."""

    sha256: str
    non_finite: int


def examine(params: ParamsFile, entry: Entry, take: Callable[[Chunk], object] = lambda chunk: None) -> Examination:
    """Reads the bytes of ``entry`` once, and gives each buffer to ``take`` when it has been looked at.

    Raises what `entry_chunks` and ``take`` raise.
    """
    digest, non_finite = hashlib.sha256(), 0
    for chunk in entry_chunks(params, entry):
        digest.update(chunk)
        non_finite += count_non_finite(chunk, entry.dtype)
        take(chunk)
    return Examination(digest.hexdigest(), non_finite)
