"""Reading ranges of a file, with the system's calls and without them."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bort_convert.errors import TruncatedFileError, UnreadableFileError
from bort_convert.params.reading import READ_SIZE, read_chunks, read_exactly

CONTENT = os.urandom(2 * READ_SIZE + 12345)


@pytest.fixture(params=["pread and preadv", "pread", "neither"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of ``CONTENT``, on a system with the calls that the parameter names."""
    if request.param != "pread and preadv":
        monkeypatch.delattr(os, "preadv")
    if request.param == "neither":
        monkeypatch.delattr(os, "pread")
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


@pytest.fixture
def descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(("offset", "nbytes"), [(0, 0), (0, 1), (7, 1000), (len(CONTENT) - 5, 5), (0, len(CONTENT))])
def test_any_range(path: Path, descriptor: int, offset: int, nbytes: int) -> None:
    assert read_exactly(path, descriptor, offset, nbytes) == CONTENT[offset : offset + nbytes]
    pieces = [bytes(chunk) for chunk in read_chunks(path, descriptor, offset, nbytes)]
    assert b"".join(pieces) == CONTENT[offset : offset + nbytes]
    assert all(len(piece) == READ_SIZE for piece in pieces[:-1])


def test_a_file_that_has_become_shorter(path: Path, descriptor: int) -> None:
    os.truncate(path, READ_SIZE + 1)
    with pytest.raises(TruncatedFileError, match=f"cut short at byte {READ_SIZE + 1}"):
        list(read_chunks(path, descriptor, 0, len(CONTENT)))
    with pytest.raises(TruncatedFileError, match=f"cut short at byte {READ_SIZE + 1}"):
        read_exactly(path, descriptor, READ_SIZE, 10)


def test_an_error_of_the_system_is_named(path: Path) -> None:
    with path.open("wb") as write_only:
        with pytest.raises(UnreadableFileError, match="cannot be read at byte 3: Bad file descriptor"):
            read_exactly(path, write_only.fileno(), 3, 1)
        with pytest.raises(UnreadableFileError, match="cannot be read at byte 3: Bad file descriptor"):
            list(read_chunks(path, write_only.fileno(), 3, 1))


def test_short_reads_are_continued(path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pread", "preadv", "read"):
        if hasattr(os, name):
            monkeypatch.setattr(os, name, _stingy(getattr(os, name), name))
    assert read_exactly(path, descriptor, 5, 100) == CONTENT[5:105]
    assert b"".join(map(bytes, read_chunks(path, descriptor, 5, 100))) == CONTENT[5:105]


def _stingy(read: object, name: str) -> object:
    """A call that gives at most 7 bytes."""
    assert callable(read)
    if name == "preadv":
        return lambda descriptor, buffers, offset: read(descriptor, [buffers[0][:7]], offset)
    return lambda descriptor, nbytes, *offset: read(descriptor, min(nbytes, 7), *offset)


def test_threads_do_not_disturb_each_other(path: Path, descriptor: int) -> None:
    wrong: list[int] = []

    def read(start: int) -> None:
        for offset in range(start, start + 200_000, 997):
            if read_exactly(path, descriptor, offset, 64) != CONTENT[offset : offset + 64]:
                wrong.append(offset)

    threads = [threading.Thread(target=read, args=(start,)) for start in (0, 500_000, 1_000_000, 1_500_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
