"""A recorded run of MXNet: inputs, outputs, versions and the checkpoint's digest, in one safetensors file.

Replayed where MXNet cannot be installed. The metadata carry a SHA-256 over everything else, so that a file that was altered is
told from one that was recorded.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.conversion.ledger import Ledger
from bort_convert.errors import DestinationError, RecordedReferenceError
from bort_convert.parity.inputs import Batch
from bort_convert.parity.mxnet_runner import MXNetOutputs, flatten
from bort_convert.parity.tokenization import TokenReference, read_token_reference

if TYPE_CHECKING:
    import numpy as np

REFERENCE_VERSION = 1


@dataclass(frozen=True)
class Reference:
    """What MXNet computed from one checkpoint.

    ``model`` is the architecture and head it was run as; ``tokens`` what GluonNLP made of the bundled texts.
    """

    checkpoint_sha256: str
    model: Mapping[str, object]
    batches: Mapping[str, Batch]
    outputs: MXNetOutputs
    tokens: TokenReference | None = None


def model_document(ledger: Ledger) -> dict[str, object]:
    """What must be the same for a reference to speak of a model: its architecture and head."""
    return {**asdict(ledger.architecture), "head": ledger.head.name}


def write_reference(reference: Reference, path: Path) -> None:
    """Writes the new file ``path``, whole or not at all. Raises DestinationError."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors = {f"inputs/{name}": array for name, array in flatten(reference.batches).items()}
    for dtype, stages in reference.outputs.outputs.items():
        tensors |= {f"outputs/{dtype}/{stage}": array for stage, array in stages.items()}
    # safetensors 0.8 writes wrong values for arrays that are not contiguous (huggingface/safetensors#825).
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    metadata = {
        "reference_version": str(REFERENCE_VERSION),
        "checkpoint_sha256": reference.checkpoint_sha256,
        "model": json.dumps(reference.model, sort_keys=True),
        "versions": json.dumps(reference.outputs.versions, sort_keys=True),
        "tokens": json.dumps(reference.tokens.document() if reference.tokens else None),
    }
    metadata["sha256"] = _digest(tensors, metadata)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        save_file(tensors, partial, metadata)
        partial.chmod(0o666 & ~_umask())  # the library writes files that only their owner can read
        partial.rename(path)
    except (SafetensorError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise DestinationError(f"{path}: cannot be written: {error}; choose another file") from error


def read_reference(path: Path) -> Reference:
    """Reads and checks a recorded run. Raises RecordedReferenceError for a file that is missing, damaged, altered or none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise RecordedReferenceError(f"{path}: no such file; make it with 'convert-bort record'") from error
    except (SafetensorError, OSError) as error:
        raise RecordedReferenceError(f"{path}: cannot be read as a reference: {error}; record it again") from error
    if metadata.get("reference_version") != str(REFERENCE_VERSION):
        raise RecordedReferenceError(f"{path}: not a reference of this version of the tool; record it again")
    if metadata.pop("sha256", None) != _digest(tensors, metadata):
        raise RecordedReferenceError(f"{path}: altered since it was recorded (its SHA-256 differs); record it again")
    outputs: dict[str, dict[str, np.ndarray]] = {}
    fields: dict[str, dict[str, np.ndarray]] = {}
    for name, array in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "outputs":
            dtype, _, stage = rest.partition("/")
            outputs.setdefault(dtype, {})[stage] = array
        else:
            batch, _, field = rest.partition(".")
            fields.setdefault(batch, {})[field] = array
    return Reference(
        metadata["checkpoint_sha256"],
        json.loads(metadata["model"]),
        {name: Batch(**arrays) for name, arrays in fields.items()},
        MXNetOutputs(outputs, json.loads(metadata["versions"])),
        read_token_reference(tokens) if (tokens := json.loads(metadata["tokens"])) else None,
    )


def _digest(tensors: Mapping[str, "np.ndarray"], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
