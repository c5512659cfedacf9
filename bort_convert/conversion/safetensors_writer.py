"""Writes ``model.safetensors`` by copying each tensor's bytes from file to file, inside the kernel where it can.

The format is a u64 header length, a JSON header, then the tensors without a hole
(https://github.com/huggingface/safetensors, "Format"). The safetensors library can only serialise tensors that are in
memory, so the header is written here and checked with the library afterwards.
"""

import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bort_convert.conversion.casting import entry_chunks
from bort_convert.conversion.ledger import Entry, Operation
from bort_convert.errors import DestinationError, OutputCheckError, TruncatedFileError
from bort_convert.params import ParamsFile

MODEL_NAME = "model.safetensors"

_COPY_SIZE = 1 << 26
_NO_KERNEL_COPY = {errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}


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


def write(params: ParamsFile, entries: Sequence[Entry], path: Path, progress: Callable[[int], None]) -> None:
    """Writes ``entries`` of ``params`` to the new file ``path``; ``progress`` is told the bytes of each step.

    Memory stays constant, whatever the size. Raises DestinationError where the disk refuses, TruncatedFileError where the
    source ends early.
    """
    try:
        with path.open("xb", buffering=0) as file:
            _write_all(file.fileno(), header(entries))
            for entry in entries:
                if not _copy_in_kernel(params, entry, file.fileno(), progress):
                    for chunk in entry_chunks(params, entry):
                        _write_all(file.fileno(), chunk)
                        progress(len(chunk))
    except OSError as error:
        raise DestinationError(
            f"{path.parent}: cannot be written: {error.strerror}; free space or choose another"
        ) from error


def check(path: Path, entries: Sequence[Entry]) -> None:
    """Opens ``path`` with the safetensors library and holds its header against ``entries``.

    The library refuses holes, overlaps, and a length that is not the sum of the tensors. Raises OutputCheckError.
    """
    from safetensors import SafetensorError, safe_open

    expected = {str(entry.target): (entry.dtype.safetensors, list(entry.shape)) for entry in entries}
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: (tensor.get_dtype(), tensor.get_shape()) for name, tensor in slices.items()}
    except SafetensorError as error:
        raise OutputCheckError(f"{path}: the safetensors library cannot read it back: {error}") from error
    if found != expected or not found:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise OutputCheckError(f"{path}: reads back differently from what was planned: {', '.join(wrong[:3])}")


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _copy_in_kernel(params: ParamsFile, entry: Entry, target: int, progress: Callable[[int], None]) -> bool:
    """Appends a copied tensor without its bytes entering this process; false, and nothing done, where that cannot be."""
    if entry.operation is not Operation.COPY or entry.source is None or entry.source.encoding is not None:
        return False
    array = entry.source
    offset, end = array.offset, array.offset + array.nbytes
    while offset < end:
        try:
            count = os.copy_file_range(params.descriptor, target, min(end - offset, _COPY_SIZE), offset)
        except AttributeError:
            return False
        except OSError as error:
            if error.errno in _NO_KERNEL_COPY and offset == array.offset:
                return False
            raise
        if count == 0:
            raise TruncatedFileError(f"{params.path}: cut short at byte {offset} while it was being read; try again")
        offset += count
        progress(count)
    return True
