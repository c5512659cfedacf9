"""Writes ``model.safetensors``, every tensor in one pass over its bytes and several tensors at a time.

The format is a u64 header length, a JSON header, then the tensors without a hole
(https://github.com/huggingface/safetensors, "Format"). The safetensors library can only serialise tensors that are in
memory, so the file is written here; `bort_convert.conversion.model_file` reads it with the library.
"""

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Executor, wait
from contextlib import suppress
from functools import partial
from itertools import accumulate
from pathlib import Path
from threading import Event

from bort_convert.conversion.examination import Examination, examine
from bort_convert.conversion.ledger import Entry
from bort_convert.errors import DestinationError, OutputCheckError
from bort_convert.params import ParamsFile
from bort_convert.params.reading import Chunk

MODEL_NAME = "model.safetensors"

_CANNOT_RESERVE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


def header(entries: Sequence[Entry]) -> bytes:
    """The header of a file that holds ``entries`` in their order, its length in front, padded to 8 bytes."""
    document: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for entry in entries:
        document[str(entry.target)] = {
            "dtype": entry.dtype.safetensors,
            "shape": list(entry.shape),
            "data_offsets": [offset, offset + entry.nbytes],
        }
        offset += entry.nbytes
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write(
    params: ParamsFile, entries: Sequence[Entry], path: Path, pool: Executor, progress: Callable[[int], None]
) -> Mapping[Entry, Examination]:
    """Writes ``entries`` of ``params`` to the new file ``path`` and makes it durable.

    Each tensor is a task of ``pool`` that reads its bytes once, for the file and for what is told of them; ``progress`` is told
    the bytes of each step, from any thread. Memory stays constant, whatever the size. Raises DestinationError where the disk
    refuses, TruncatedFileError where the source ends early, OverflowToInfinityError.
    """
    try:
        with path.open("xb", buffering=0) as file:
            text = header(entries)
            starts = list(accumulate((entry.nbytes for entry in entries), initial=len(text)))
            _reserve(file.fileno(), starts[-1])
            _write_at(file.fileno(), text, 0)
            # The longest first, so that none is left over for one worker at the end.
            by_length = sorted(zip(entries, starts, strict=False), key=lambda placed: -placed[0].nbytes)
            writings = {
                entry: partial(_write_entry, params, entry, path, start, progress) for entry, start in by_length
            }
            examinations = _run_all(pool, writings)
            os.fsync(file.fileno())
    except OSError as error:
        raise DestinationError(
            f"{path.parent}: cannot be written: {error.strerror}; free space or choose another"
        ) from error
    return {entry: examinations[entry] for entry in entries}


def check(path: Path, entries: Sequence[Entry]) -> None:
    """Reads the header of ``path`` back and holds it and the file's length against ``entries``. Raises OutputCheckError."""
    expected = header(entries)
    with path.open("rb") as file:
        found, size = file.read(len(expected)), os.fstat(file.fileno()).st_size
    planned = len(expected) + sum(entry.nbytes for entry in entries)
    if found != expected or size != planned or not entries:
        raise OutputCheckError(f"{path}: reads back differently from what was planned; convert the checkpoint again")


def _write_entry(
    params: ParamsFile, entry: Entry, path: Path, start: int, progress: Callable[[int], None], stop: Event
) -> Examination:
    """Writes one tensor from byte ``start`` of the new file on. Raises CancelledError as soon as ``stop`` is set.

    It opens the file itself: a descriptor that another thread closes could be that of another file by the next write.
    """
    offset, end = start, start + entry.nbytes

    def take(chunk: Chunk) -> None:
        nonlocal offset
        if stop.is_set():
            raise CancelledError
        _write_at(file.fileno(), chunk, offset)
        _send_to_disk(file.fileno(), offset, len(chunk))
        offset += len(chunk)
        progress(len(chunk))

    with path.open("r+b", buffering=0) as file:
        examination = examine(params, entry, take)
    if offset != end:
        raise OutputCheckError(f"{entry.target}: written up to byte {offset} of the file, planned was {end}; report it")
    return examination


def _run_all(pool: Executor, writings: Mapping[Entry, Callable[[Event], Examination]]) -> Mapping[Entry, Examination]:
    """Runs all ``writings``; none is running afterwards.

    Raises what the first of them that failed raised, in their order; the pool begins them in that order too.
    """
    stop, tasks = Event(), {}
    try:
        for entry, writing in writings.items():
            tasks[entry] = pool.submit(writing, stop)
        wait(tasks.values(), return_when=FIRST_EXCEPTION)
    except BaseException:  # an interrupt does not wait for whole tensors
        stop.set()
        raise
    finally:
        for task in tasks.values():
            task.cancel()
        wait(tasks.values())
    return {entry: task.result() for entry, task in tasks.items()}


def _reserve(descriptor: int, size: int) -> None:
    """Takes the file's space on the disk, where the system can: a disk that is too full then says so at once."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except AttributeError:
        os.ftruncate(descriptor, size)
    except OSError as error:
        if error.errno not in _CANNOT_RESERVE:
            raise
        os.ftruncate(descriptor, size)


def _write_at(descriptor: int, data: Chunk, offset: int) -> None:
    view, end = memoryview(data), offset + len(data)
    while view:
        view = view[os.pwrite(descriptor, view, end - len(view)) :]


def _send_to_disk(descriptor: int, offset: int, nbytes: int) -> None:
    """Lets the disk begin with bytes that were just written, so that little is left for the fsync at the end.

    That is what Linux does when it is told that they are not needed; they stay in its cache until they are on the disk.
    """
    with suppress(AttributeError, OSError):  # advice, that a system need not take
        os.posix_fadvise(descriptor, offset, nbytes, os.POSIX_FADV_DONTNEED)
