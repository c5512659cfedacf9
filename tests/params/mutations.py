"""Damages parameter files with an eye for their structure, and holds the reader to its promises on what comes out.

Used by the test suite with Hypothesis and by ``scripts/fuzz`` for as long as one likes.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

from bort_convert.errors import (
    CorruptFileError,
    TruncatedFileError,
    UnknownFormatError,
    UnsupportedArrayError,
)
from bort_convert.params import open_params
from tests.params.builders import (
    INT8,
    ROW_SPARSE,
    PeakMemory,
    ZipMember,
    array_bytes,
    csr,
    indices,
    list_bytes,
    npy_bytes,
    sparse_bytes,
    zip_bytes,
)

DATA = Path(__file__).parents[1] / "data"
DOCUMENTED = (UnknownFormatError, TruncatedFileError, CorruptFileError, UnsupportedArrayError)
"""What `open_params` and `ParamsFile.chunks` may raise for a file whose bytes alone are at fault."""

CONSTANT = 8 << 20
"""Memory beyond the file's size that any file may cost: buffers, and the facts of as many arrays as are accepted."""

_ANCHORS = re.compile(
    rb"\x12\x01\0\0\0\0\0\0|[\xc8-\xca]\xfa\x93\xf9|PK\x01\x02|PK\x03\x04|PK\x05\x06|PK\x06[\x06\x07]|PK\x07\x08|\x93NUMPY",
    re.DOTALL,
)
_TOKENS = re.compile(rb"'[<|>][a-zA-Z]\d+'|True|False|\d+|[a-z_]{4,}|[(),{}]")
_NUMBERS = (
    *(*range(9), 12, 13, 16, 255, 0xFFFF),
    *(
        (1 << bits) + change
        for bits in (5, 6, 10, 14, 15, 16, 20, 24, 30, 31, 32, 33, 40, 60, 62, 63)
        for change in (-1, 0, 1)
    ),
    *((1 << 64) - change for change in (1, 2, 5)),
    *(0xF993FAC8, 0xF993FAC9, 0xF993FACA, 0x112),
)
_WORDS = [
    b"'|O'",
    b"'>f4'",
    b"'<f8'",
    b"'|b1'",
    b"True",
    b"False",
    b"-1",
    b"9" * 30,
    b"0",
    b"(",
    b")",
    b"csr",
    b"row_sparse",
    b"\\x",
]


def seeds() -> list[bytes]:
    """Whole files of real writers and of the builders: every container, version and encoding, each small."""
    real = sorted(path for path in (DATA / "containers").glob("mxnet-*.params"))
    numpy = sorted((DATA / "containers").glob("numpy-*.params"))
    built = [
        list_bytes([array_bytes(version) for version in ("V0", "V1", "V2", "V3")]),
        list_bytes(
            [
                sparse_bytes(ROW_SPARSE, (2, 2), (5, 2), INT8, bytes(4), [indices(1, 3, dtype="<i4")]),
                csr([0, 2, 2, 3], [0, 3, 1]),
            ]
        ),
        zip_bytes([ZipMember(f"{name}.npy", npy_bytes(), zip64=name == "a", deflated=name == "c") for name in "abc"]),
        npy_bytes(),
    ]
    files = [path.read_bytes() for path in (*real, *numpy)] + built
    assert len(files) > 20
    return files


def corpus() -> list[bytes]:
    """What the coverage-guided fuzzer has found worth keeping."""
    return [path.read_bytes() for path in sorted((DATA / "corpus").iterdir())]


def mutate(random: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """``content`` with one to four damages."""
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        random.choice(
            (_set_field, _set_field, _set_field, _nudge_field, _flip, _cut, _insert, _repeat, _remove, _splice, _reword)
        )(random, damaged, others)
    return bytes(damaged)


def _anchor(random: Random, content: bytearray) -> int:
    """Where a structure begins, or any place."""
    anchors = [match.start() for match in _ANCHORS.finditer(content)]
    return random.choice(anchors) if anchors and random.random() < 0.9 else random.randrange(len(content) + 1)


def _field(random: Random, content: bytearray) -> tuple[int, int]:
    """Offset and width of what may be a field: a short way after the beginning of a structure, or before the end."""
    width = random.choice((1, 2, 4, 4, 8, 8))
    if random.random() < 0.1:
        return max(0, len(content) - random.randrange(1, 120)), width
    return _anchor(random, content) + random.randrange(0, 72, random.choice((1, 2, 4))), width


def _set_field(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    at, width = _field(random, content)
    number = random.choice((*_NUMBERS, len(content), len(content) - at, max(0, len(content) - at - 8)))
    if at + width <= len(content):
        content[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")


def _nudge_field(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    at, width = _field(random, content)
    if at + width <= len(content):
        number = int.from_bytes(content[at : at + width], "little") + random.choice((-8, -4, -2, -1, 1, 2, 4, 8))
        content[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")


def _flip(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def _cut(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    del content[random.choice((_anchor(random, content), random.randrange(len(content) + 1))) :]


def _insert(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    at = _anchor(random, content)
    content[at:at] = random.randbytes(random.choice((1, 2, 4, 8, 100)))


def _repeat(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    first, last = sorted((_anchor(random, content), _anchor(random, content)))
    content[last:last] = content[first:last]


def _remove(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    first, last = sorted((_anchor(random, content), _anchor(random, content)))
    del content[first : min(last, first + random.choice((1, 4, 8, 1 << 20)))]


def _splice(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    other = bytearray(random.choice(others))
    first, last = sorted((_anchor(random, other), _anchor(random, other)))
    at = _anchor(random, content)
    content[at : at + random.choice((0, last - first))] = other[first:last]


def _reword(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    """Another word in the text of a header or a name, mostly of the same length: lengths stand before the text."""
    tokens = [match.span() for match in _TOKENS.finditer(content)]
    if tokens:
        first, last = random.choice(tokens)
        word = random.choice(_WORDS)
        content[first:last] = word[: last - first].ljust(last - first) if random.random() < 0.7 else word


def check(path: Path) -> str:
    """Opens the file and reads all of it; gives what came of it: ``read``, or the name of a documented error.

    Raises whatever else the reader raises, and AssertionError where it costs more memory than it may.
    """
    size, grows = path.stat().st_size, False
    with PeakMemory() as memory:
        try:
            with open_params(path) as params:
                grows = any(_grows(array.encoding) for array in params.arrays)
                assert len({array.name for array in params.arrays}) == len(params.arrays) or not params.named
                for array in params.arrays:
                    assert sum(len(chunk) for chunk in params.chunks(array)) == array.nbytes
            outcome = "read"
        except DOCUMENTED as error:
            assert str(path) in str(error)
            assert str(error).isprintable(), "one line, and nothing that a terminal would obey"
            outcome = type(error).__name__
    limit = size + CONSTANT + (16 * size + (64 << 20) if grows else 0)
    assert memory.peak <= limit, f"a file of {size} bytes costs {memory.peak}"
    return outcome


def _grows(encoding: object) -> bool:
    """Whether reading holds inflated data in memory, for which the documented ceiling is higher than the file."""
    return "Deflated" in repr(encoding)
