"""One digest for all tensors of a model, whatever order and container a file keeps them in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bort_convert.conversion.model_file import open_model_file, tensor_chunks
from bort_convert.errors import ModelFolderError
from bort_convert.params.reading import sha256


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
        digests = {name: sha256(tensor_chunks(model, tensor)) for name, tensor in model.tensors.items()}
        lines = sorted(
            f"{name} {tensor.dtype} {','.join(map(str, tensor.shape))} {digests[name]}\n"
            for name, tensor in model.tensors.items()
        )
    return TensorDigests(sha256(line.encode() for line in lines), digests)
