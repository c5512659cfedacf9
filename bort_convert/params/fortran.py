"""Arrays in Fortran order, where the first index varies fastest, as NumPy saves a transposed matrix."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bort_convert.params.array import Encoding, StoredArray, load
from bort_convert.params.reading import READ_SIZE, Chunk


@dataclass(frozen=True, slots=True)
class FortranOrder:
    """The array's elements in Fortran order; ``inner`` says how those bytes are stored, None that they are plain."""

    inner: Encoding | None

    def chunks(self, path: Path, descriptor: int, array: StoredArray) -> Iterator[Chunk]:
        """See `Encoding.chunks`. Holds the array in memory while it turns it round."""
        import numpy as np

        reversed_axes = replace(array, shape=array.shape[::-1], encoding=self.inner)
        elements = load(path, descriptor, reversed_axes).T.flat
        step = READ_SIZE // array.dtype.itemsize
        for start in range(0, array.size, step):
            yield elements[start : start + step].view(np.uint8).data
