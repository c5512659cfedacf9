"""Writes ``pytorch_model.bin``, which ``torch.load(weights_only=True)`` reads; it takes torch, and the model's memory."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

from bort_convert.conversion.examination import Examination, examine
from bort_convert.conversion.folder import sync
from bort_convert.conversion.ledger import Entry
from bort_convert.errors import DestinationError, MissingDependencyError, OutputCheckError
from bort_convert.params import ParamsFile

PYTORCH_NAME = "pytorch_model.bin"


def write(
    params: ParamsFile, entries: Sequence[Entry], path: Path, pool: Executor, progress: Callable[[int], None]
) -> Mapping[Entry, Examination]:
    """As `safetensors_writer.write`, with torch.save. Raises MissingDependencyError without torch."""
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            "torch is not installed, which --format pytorch needs; run: pip install 'bort-convert[torch]'"
        ) from error
    data = {entry: bytearray() for entry in entries}
    examinations = dict(
        zip(entries, pool.map(lambda entry: examine(params, entry, data[entry].extend), entries), strict=True)
    )
    state = {}
    for entry in entries:
        dtype = getattr(torch, entry.dtype.name)
        state[str(entry.target)] = torch.frombuffer(data[entry], dtype=dtype).reshape(entry.shape)
        progress(entry.nbytes)
    try:
        torch.save(state, path)
        sync(path)
        return examinations
    except (OSError, RuntimeError) as error:
        raise DestinationError(f"{path.parent}: cannot be written: {error}; free space or choose another") from error


def check(path: Path, entries: Sequence[Entry]) -> None:
    """Reads ``path`` back and holds names, shapes and dtypes against ``entries``. Raises OutputCheckError."""
    import torch

    state = torch.load(path, weights_only=True, mmap=True)
    found = {name: (str(tensor.dtype), tuple(tensor.shape)) for name, tensor in state.items()}
    expected = {str(entry.target): (f"torch.{entry.dtype.name}", entry.shape) for entry in entries}
    if found != expected or not found:
        raise OutputCheckError(f"{path}: reads back differently from what was planned")
