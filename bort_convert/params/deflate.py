"""Arrays in deflated members of a zip archive, inflated in a stream."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bort_convert.errors import CorruptFileError
from bort_convert.params.array import StoredArray
from bort_convert.params.reading import READ_SIZE, Chunk, read_chunks

_STEP = 1 << 16
"""Bytes given to zlib, and asked of it, at a time."""


@dataclass(frozen=True, slots=True)
class Deflated:
    """A deflated member: ``deflated`` bytes in the file, which must inflate to ``inflated`` bytes of checksum ``crc``.

    The array's data are what follows the first ``header`` of the inflated bytes.
    """

    deflated: int
    inflated: int
    crc: int
    header: int = 0

    def chunks(self, path: Path, descriptor: int, array: StoredArray) -> Iterator[Chunk]:
        """See `Encoding.chunks`. Raises CorruptFileError where length or checksum do not hold."""
        buffer = memoryview(bytearray(min(READ_SIZE, array.nbytes)))
        filled, header = 0, self.header
        for inflated in self.inflate(path, descriptor, array.offset):
            piece = memoryview(inflated)[header:]
            header -= len(inflated) - len(piece)
            while piece:
                count = min(len(piece), len(buffer) - filled)
                buffer[filled : filled + count] = piece[:count]
                piece, filled = piece[count:], filled + count
                if filled == len(buffer):
                    yield buffer
                    filled = 0
        if filled:
            yield buffer[:filled]

    def inflate(self, path: Path, descriptor: int, offset: int) -> Iterator[bytes]:
        """The inflated bytes of the member at ``offset``, at most ``_STEP`` of them at a time. Raises CorruptFileError."""
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        length = crc = 0
        try:
            for piece in self._pieces(inflater, path, descriptor, offset):
                length, crc = length + len(piece), zlib.crc32(piece, crc)
                if length > self.inflated:
                    raise _corrupt(path, offset, f"inflates to more than the {self.inflated} bytes that it declares")
                yield piece
        except zlib.error as error:
            raise _corrupt(path, offset, f"is not deflated data ({error})") from error
        if not inflater.eof or length != self.inflated:
            raise _corrupt(path, offset, f"inflates to {length} bytes, not the {self.inflated} that it declares")
        if crc != self.crc:
            raise _corrupt(path, offset, f"has checksum {crc:#010x}, not {self.crc:#010x}")

    def _pieces(self, inflater: "zlib._Decompress", path: Path, descriptor: int, offset: int) -> Iterator[bytes]:
        for chunk in read_chunks(path, descriptor, offset, self.deflated):
            for start in range(0, len(chunk), _STEP):
                data: Chunk = chunk[start : start + _STEP]
                while data:
                    if inflater.eof:
                        raise _corrupt(path, offset, "goes on after the end of its deflated data")
                    yield inflater.decompress(data, _STEP)
                    data = inflater.unconsumed_tail
                if inflater.unused_data:
                    raise _corrupt(path, offset, "goes on after the end of its deflated data")
        while piece := inflater.decompress(b"", _STEP):
            yield piece


def _corrupt(path: Path, offset: int, found: str) -> CorruptFileError:
    return CorruptFileError(f"{path}: the member at byte {offset} {found}; copy or download the file again")
