"""One digest for all tensors of a model, whatever order and container a file keeps them in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bort_convert.conversion.model_file import ModelTensor, OpenModel, open_model_file
from bort_convert.errors import ModelFolderError

_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True)
class TensorDigests:
    """The digest of all tensors, and the SHA-256 of each one's bytes, by its name."""

    total: str
    sha256: Mapping[str, str]


def tensor_digest(model_dir: Path) -> str:
    """The digest of all tensors, see `tensor_digests`."""
    return tensor_digests(model_dir).total


def tensor_digests(model_dir: Path) -> TensorDigests:
    """The SHA-256 over one line for each tensor, sorted: ``name dtype shape sha256``, the shape as ``2,3``.

    ``dtype`` is safetensors' name; ``sha256`` is that of the tensor's bytes, little-endian, row by row. Raises ModelFolderError.
    """
    with open_model_file(model_dir) as model:
        if not model.tensors:
            raise ModelFolderError(f"{model.path}: holds no tensors; convert the checkpoint again")
        sha256 = {name: _digest(model, tensor) for name, tensor in model.tensors.items()}
        lines = sorted(
            f"{name} {tensor.dtype} {','.join(map(str, tensor.shape))} {sha256[name]}\n"
            for name, tensor in model.tensors.items()
        )
    return TensorDigests(hashlib.sha256("".join(lines).encode()).hexdigest(), sha256)


def _digest(model: OpenModel, tensor: ModelTensor) -> str:
    digest = hashlib.sha256()
    for start in range(0, tensor.nbytes, _CHUNK):
        digest.update(model.read(tensor, start, min(_CHUNK, tensor.nbytes - start)))
    return digest.hexdigest()
