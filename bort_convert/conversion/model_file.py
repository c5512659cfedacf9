"""Reads back ``model.safetensors``: what each tensor is and where its bytes are, without loading any."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bort_convert.conversion.safetensors_writer import MODEL_NAME
from bort_convert.errors import ModelFolderError
from bort_convert.params.reading import read_chunks, read_exactly


@dataclass(frozen=True, slots=True)
class ModelTensor:
    """A tensor of the model file. ``dtype`` is safetensors' name for it; the data start at byte ``offset`` of the file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True)
class ModelFile:
    """An open model file, validated by the safetensors library."""

    path: Path
    descriptor: int
    size: int
    tensors: Mapping[str, ModelTensor]

    def chunks(self, tensor: ModelTensor) -> Iterator[memoryview]:
        """The tensor's bytes, a buffer at a time."""
        return read_chunks(self.path, self.descriptor, tensor.offset, tensor.nbytes)


@contextmanager
def open_model_file(model_dir: Path) -> Iterator[ModelFile]:
    """Opens the safetensors file of a model folder.

    Raises ModelFolderError where it is missing, cannot be read, or is no valid safetensors file, a name given twice included.
    """
    from safetensors import SafetensorError, safe_open

    path = model_dir / MODEL_NAME
    try:
        with safe_open(path, framework="numpy"):  # the library checks every bound and offset
            pass
        descriptor = os.open(path, os.O_RDONLY)
    except SafetensorError as error:
        raise ModelFolderError(
            f"{path}: not a valid safetensors file: {error}; convert the checkpoint again"
        ) from error
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise ModelFolderError(f"{path}: cannot be read: {reason}; give a folder that 'convert' wrote") from error
    try:
        length = int.from_bytes(read_exactly(path, descriptor, 0, 8), "little")
        header = read_exactly(path, descriptor, 8, length)
        document = json.loads(header, object_pairs_hook=lambda pairs: _unique(path, pairs))
        document.pop("__metadata__", None)
        tensors = {
            name: ModelTensor(
                entry["dtype"],
                tuple(entry["shape"]),
                8 + length + entry["data_offsets"][0],
                entry["data_offsets"][1] - entry["data_offsets"][0],
            )
            for name, entry in document.items()
        }
        yield ModelFile(path, descriptor, os.fstat(descriptor).st_size, tensors)
    finally:
        os.close(descriptor)


def _unique(path: Path, pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ModelFolderError(f"{path}: the header gives a name twice; convert the checkpoint again")
    return document
