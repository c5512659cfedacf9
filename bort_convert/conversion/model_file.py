"""Reads back a folder's model file: what each tensor is, and its bytes on demand."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bort_convert.conversion.pytorch_writer import PYTORCH_NAME
from bort_convert.conversion.safetensors_writer import MODEL_NAME
from bort_convert.errors import MissingDependencyError, ModelFolderError
from bort_convert.params import DTYPES
from bort_convert.params.reading import READ_SIZE, read_exactly

_SAFETENSORS_NAMES = {f"torch.{dtype.name}": dtype.safetensors for dtype in DTYPES}


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

    def read(self, tensor: ModelTensor, start: int, nbytes: int) -> bytes:
        """A range of the tensor's bytes. Raises TruncatedFileError where the file is cut short meanwhile."""
        return read_exactly(self.path, self.descriptor, tensor.offset + start, nbytes)


@dataclass(frozen=True)
class PyTorchModelFile:
    """A model file of torch.save, its tensors mapped into memory."""

    path: Path
    tensors: Mapping[str, ModelTensor]
    data: Mapping[str, Any]

    def read(self, tensor: ModelTensor, start: int, nbytes: int) -> bytes:
        """A range of the tensor's bytes."""
        import torch

        name = next(name for name, known in self.tensors.items() if known is tensor)
        flat = self.data[name].contiguous().flatten().view(torch.uint8)
        return bytes(flat[start : start + nbytes].numpy().tobytes())


OpenModel = ModelFile | PyTorchModelFile


def tensor_chunks(model: OpenModel, tensor: ModelTensor) -> Iterator[bytes]:
    """The tensor's bytes, ``READ_SIZE`` at a time. Raises what `ModelFile.read` raises."""
    for start in range(0, tensor.nbytes, READ_SIZE):
        yield model.read(tensor, start, min(READ_SIZE, tensor.nbytes - start))


def model_file_path(model_dir: Path) -> Path:
    """The folder's model file: the safetensors one, which Transformers prefers, or PyTorch's."""
    path = model_dir / MODEL_NAME
    return model_dir / PYTORCH_NAME if not path.exists() and (model_dir / PYTORCH_NAME).exists() else path


@contextmanager
def open_model_file(model_dir: Path) -> Iterator[OpenModel]:
    """Opens the model file of a folder.

    Raises ModelFolderError where it is missing, cannot be read, or is not valid (a name given twice is not), and
    MissingDependencyError for a file of torch.save where torch is not installed.
    """
    path = model_file_path(model_dir)
    if path.name == PYTORCH_NAME:
        yield _open_pytorch(path)
    else:
        with _open_safetensors(path) as model:
            yield model


def _open_pytorch(path: Path) -> PyTorchModelFile:
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: reading it needs torch; run: pip install 'bort-convert[torch]'"
        ) from error
    try:
        data = torch.load(path, weights_only=True, mmap=True)
        tensors = {
            name: ModelTensor(_SAFETENSORS_NAMES[str(tensor.dtype)], tuple(tensor.shape), 0, tensor.nbytes)
            for name, tensor in data.items()
        }
    except Exception as error:  # torch.load raises whatever its pickle and its zip reader raise
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise ModelFolderError(f"{path}: not a valid model file: {reason}; convert the checkpoint again") from error
    return PyTorchModelFile(path, tensors, data)


@contextmanager
def _open_safetensors(path: Path) -> Iterator[ModelFile]:
    from safetensors import SafetensorError, safe_open

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
