"""Writes ``pytorch_model.bin``, which ``torch.load(weights_only=True)`` reads; it takes torch, and the model's memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bort_convert.conversion.casting import entry_chunks
from bort_convert.conversion.ledger import Entry
from bort_convert.errors import DestinationError, MissingDependencyError, OutputCheckError
from bort_convert.params import ParamsFile

PYTORCH_NAME = "pytorch_model.bin"


def write(params: ParamsFile, entries: Sequence[Entry], path: Path, progress: Callable[[int], None]) -> None:
    """Writes ``entries`` of ``params`` to the new file ``path``. Raises MissingDependencyError without torch."""
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            "torch is not installed, which --format pytorch needs; run: pip install 'bort-convert[torch]'"
        ) from error
    state = {}
    for entry in entries:
        data = bytearray(b"".join(entry_chunks(params, entry)))
        state[str(entry.target)] = torch.frombuffer(data, dtype=getattr(torch, entry.dtype.name)).reshape(entry.shape)
        progress(entry.nbytes)
    try:
        torch.save(state, path)
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
