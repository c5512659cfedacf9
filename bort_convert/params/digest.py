"""What identifies a parameter file bit for bit: a digest over the digests of its parts.

A SHA-256 of the whole file is one chain of blocks, which no second core shortens and which nothing else is hashed by on the
way. The parts can be hashed side by side, in the same pass that copies them.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

from bort_convert.params.array import StoredArray
from bort_convert.params.file import ParamsFile
from bort_convert.params.reading import Chunk, read_chunks, sha256


def checkpoint_digest(params: ParamsFile, known: Mapping[str, str] = MappingProxyType({})) -> str:
    """The digest of the file: the SHA-256, in hexadecimal, over these lines, each with a newline after it.

    First ``size`` in bytes; then for each array whose data are plain, by offset, ``offset nbytes sha256``; last the SHA-256 of
    all other bytes of the file, from the first to the last: its framing, and encoded arrays. So equal digests mean equal
    files. ``known`` has the SHA-256 of arrays by name, which are then not read again. Raises what `ParamsFile.chunks` raises.
    """
    plain = sorted((array for array in params.arrays if array.encoding is None), key=lambda array: array.offset)
    with ThreadPoolExecutor(max_workers=2) as pool:
        digests = list(pool.map(lambda array: known.get(array.name) or sha256(params.chunks(array)), plain))
    lines = [f"{params.size}"]
    lines += [f"{array.offset} {array.nbytes} {digest}" for array, digest in zip(plain, digests, strict=True)]
    lines += [sha256(_framing(params, plain))]
    return sha256(f"{line}\n".encode() for line in lines)


def _framing(params: ParamsFile, plain: Sequence[StoredArray]) -> Iterator[Chunk]:
    """Every byte that is not of a plain array's data."""
    end = 0
    for array in plain:
        yield from read_chunks(params.path, params.descriptor, end, max(array.offset - end, 0))
        end = max(end, array.offset + array.nbytes)
    yield from read_chunks(params.path, params.descriptor, end, params.size - end)
