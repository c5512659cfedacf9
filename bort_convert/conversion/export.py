"""Back again: from a model folder to an MXNet parameter file, through the same table read in the other direction."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import index
from pathlib import Path
from typing import Any

from bort_convert.bort.architecture import LAYER_NORM_EPS, Architecture
from bort_convert.bort.detection import detect_head
from bort_convert.bort.heads import CLASSIFIER, CLASSIFIER_WITHOUT_DROPOUT, ENCODER, MLM, Head
from bort_convert.bort.inventory import SAME_AS, Origin, inventory
from bort_convert.bort.spelling import read_spelling
from bort_convert.conversion.casting import narrow, widen
from bort_convert.conversion.config import CONFIG_NAME
from bort_convert.conversion.folder import sync
from bort_convert.conversion.ledger import WEIGHT_DTYPES
from bort_convert.conversion.model_file import ModelTensor, OpenModel, open_model_file, tensor_chunks
from bort_convert.conversion.record import SourceRecord, read_source
from bort_convert.errors import DestinationError, ModelFolderError, OutputCheckError
from bort_convert.params import DTYPES, StoredArray, open_params
from bort_convert.params.digest import checkpoint_digest
from bort_convert.params.list_writer import CPU, VERSIONS, ListedArray, write_list
from bort_convert.params.reading import sha256

_FLOATS = {dtype.safetensors: dtype for dtype in DTYPES if dtype.name in WEIGHT_DTYPES}
_MUST_BE: Mapping[str, object] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": LAYER_NORM_EPS,
    "type_vocab_size": 1,
}
_WITHOUT_WEIGHTS = ("embeddings.position_ids",)


@dataclass(frozen=True, slots=True)
class Export:
    """What an export did. ``sha256`` is the new file's.

    ``identical`` is true where the file is, byte for byte, the one that the folder was made from.
    """

    checkpoint: Path
    num_tensors: int
    sha256: str
    identical: bool
    notes: tuple[str, ...]


def export(model_dir: str | os.PathLike[str], checkpoint: str | os.PathLike[str], *, force: bool = False) -> Export:
    """Writes the MXNet file of ``model_dir`` to ``checkpoint``.

    Names, their order, array versions and contexts are those of the folder's record, else structural names as GluonNLP 0.8.3
    writes them. Raises ModelFolderError for a folder that is no Bort, DestinationError where the file exists or cannot be
    written; then nothing has been written or replaced.
    """
    model_dir, checkpoint = Path(model_dir), Path(checkpoint)
    _check_destination(checkpoint, force)
    if checkpoint.exists() and checkpoint.resolve().parent == model_dir.resolve():
        raise DestinationError(f"{checkpoint}: a file of the folder that is exported; choose another name")
    source = read_source(model_dir)
    with open_model_file(model_dir) as model:
        folder = _read_folder(model_dir, model, source)
        arrays, notes = _plan(folder, source)
        digest, file_sha256 = _write(checkpoint, arrays)
    return Export(checkpoint, len(arrays), file_sha256, source is not None and digest == source.digest, tuple(notes))


def _check_destination(checkpoint: Path, force: bool) -> None:
    """Raises DestinationError where ``checkpoint`` may not be written: before any work is done."""
    try:
        if checkpoint.is_dir():
            raise DestinationError(f"{checkpoint}: is a folder; name the file to write")
        if checkpoint.exists() and not force:
            raise DestinationError(f"{checkpoint}: exists; give --force to replace it")
        _beside(checkpoint).exists()
    except OSError as error:
        raise DestinationError(f"{checkpoint}: cannot be written: {error.strerror}; choose another file") from error


def _beside(checkpoint: Path) -> Path:
    """Where the file is written until it is whole."""
    return checkpoint.absolute().with_name(f".{checkpoint.name}.partial-{os.getpid()}")


@dataclass(frozen=True)
class _Folder:
    """A model folder that was found to hold a Bort."""

    path: Path
    model: OpenModel
    architecture: Architecture
    head: Head
    tied: bool

    def stored_as(self, target: str) -> str | None:
        """The tensor that holds ``target``: itself, its alias, or what it is tied to.

        Where the folder has an alias of a bias, that is the one which Transformers computes with, and trains.
        """
        aliases = [alias for alias, owner in SAME_AS.items() if owner == target and alias.endswith(".bias")]
        return next((name for name in (*aliases, target, SAME_AS.get(target)) if name in self.model.tensors), None)


def _read_folder(path: Path, model: OpenModel, source: SourceRecord | None) -> _Folder:
    try:
        config = json.loads((path / CONFIG_NAME).read_text(encoding="utf-8"))
        found = {name: config.get(name) for name in _MUST_BE}
        tied = config.get("tie_word_embeddings", True)
        (model_class,) = config["architectures"]
        architecture = Architecture(
            num_layers=index(config["num_hidden_layers"]),
            num_heads=index(config["num_attention_heads"]),
            units=index(config["hidden_size"]),
            hidden_size=index(config["intermediate_size"]),
            max_length=index(config["max_position_embeddings"]),
            vocab_size=index(config["vocab_size"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFolderError(
            f"{path / CONFIG_NAME}: not the config of a model ({error!r}); give a model folder"
        ) from error
    for name, expected in _MUST_BE.items():
        if found[name] != expected:
            raise ModelFolderError(
                f"{path}: {name} is {found[name]!r}, where a Bort has {expected!r}; it cannot be exported"
            )
    head = _choose_head(model_class, config, source)
    if head is None:
        raise ModelFolderError(f"{path}: holds a {model_class}, which no Bort becomes; it cannot be exported")
    folder = _Folder(path, model, architecture, head, tied)
    _check_tensors(folder)
    return folder


def _choose_head(model_class: str, config: Mapping[str, Any], source: SourceRecord | None) -> Head | None:
    """The head of a model class, with the names that its checkpoint had, or those of GluonNLP's own model."""
    if source is not None:
        stored = detect_head(read_spelling([array.name for array in source.arrays]).structural.values())
        if model_class == stored.model_class:
            return stored
    if model_class == CLASSIFIER.model_class:
        dropout = config.get("classifier_dropout") or config.get("hidden_dropout_prob")
        return CLASSIFIER if dropout else CLASSIFIER_WITHOUT_DROPOUT
    return next((head for head in (ENCODER, MLM) if head.model_class == model_class), None)


def _check_tensors(folder: _Folder) -> None:
    """Raises ModelFolderError where a tensor of a Bort is missing or misshapen, or there is one that it has no place for."""
    outputs = folder.model.tensors.get("classifier.bias")
    targets = inventory(folder.architecture, folder.head, outputs.shape[0] if outputs else 0)
    known = {name for target in targets for name in (target.name, folder.stored_as(target.name))}
    for target in targets:
        name = folder.stored_as(target.name)
        if name is None and target.origin is not Origin.ZERO:
            raise ModelFolderError(f"{folder.path}: {target.name} is missing; it cannot be exported")
        if name is not None and folder.model.tensors[name].shape != target.shape:
            shape = folder.model.tensors[name].shape
            raise ModelFolderError(f"{folder.path}: {name} has shape {shape}, its config says {target.shape}")
        if name is not None and folder.model.tensors[name].dtype not in _FLOATS:
            dtype = folder.model.tensors[name].dtype
            raise ModelFolderError(f"{folder.path}: {name} has dtype {dtype}, which no Bort has; it cannot be exported")
    for name in folder.model.tensors.keys() - known:
        if not (name.endswith(_WITHOUT_WEIGHTS) or _is_unused_pooler(folder, name)):
            raise ModelFolderError(f"{folder.path}: {name} has no place in a Bort; it cannot be exported")


def _is_unused_pooler(folder: _Folder, name: str) -> bool:
    """Transformers adds a pooler to a bare encoder, which Bort lacks."""
    return folder.head.name == "encoder" and name.startswith("pooler.")


def _plan(folder: _Folder, source: SourceRecord | None) -> tuple[list[ListedArray], list[str]]:
    """The arrays to write, in order, and what the user should know of them."""
    renames = folder.head.renames(folder.architecture.num_layers)
    notes = []
    if source is None or not _speaks_of(source, renames, folder.tied):
        originals: dict[str, tuple[str, StoredArray | None]] = {
            name: (target, None) for name, target in renames.items()
        }
        notes.append(
            "the folder has no record of this model's source; names are those of GluonNLP 0.8.3's save_parameters"
        )
    else:
        structural = read_spelling([array.name for array in source.arrays]).structural
        pairs = [(array, renames.get(structural[array.name])) for array in source.arrays]
        originals = {array.name: (target, array) for array, target in pairs if target is not None}
        left_out = len(pairs) - len(originals)
        if left_out:
            notes.append(f"{left_out} tensors of the source are not in the folder, and not in the file")
    segment_note = ""
    arrays = []
    for name, (target, array) in originals.items():
        stored = folder.stored_as(target)
        assert stored is not None
        tensor = folder.model.tensors[stored]
        chunks = partial(tensor_chunks, folder.model, tensor)
        if target.endswith("embeddings.position_embeddings.weight") and (rows := _with_segment_row(folder, tensor)):
            chunks = partial(_once, rows)
            segment_note = (
                "the segment row is not zero (trained in PyTorch); Bort has none, so it was added to every position, "
                "rounded to their dtype"
            )
        listed = array is not None and array.version in VERSIONS
        version, context = (array.version, array.context or CPU) if array and listed else ("V2", CPU)
        dtype = _FLOATS[tensor.dtype]
        arrays.append(ListedArray(name, dtype, tensor.shape, chunks, version, context))
    if any(_is_unused_pooler(folder, name) for name in folder.model.tensors):
        notes.append("the pooler was left out; Bort's encoder has none")
    return arrays, notes + ([segment_note] if segment_note else [])


def _speaks_of(source: SourceRecord, renames: Mapping[str, str], tied: bool) -> bool:
    """Whether the recorded names cover the model that is in the folder now: a weight that is tied may be stored once."""
    structural = set(read_spelling([array.name for array in source.arrays]).structural.values())
    return renames.keys() - ({"decoder.3.weight"} if tied else set()) <= structural


def _with_segment_row(folder: _Folder, positions: ModelTensor) -> bytes | None:
    """The position embeddings with the segment row added, where that is not zero."""
    segment = folder.model.tensors.get(f"{folder.head.target_prefix}embeddings.token_type_embeddings.weight")
    if segment is None:
        return None
    import numpy as np

    row = widen(b"".join(tensor_chunks(folder.model, segment)), _FLOATS[segment.dtype]).astype(np.float64)
    if not row.any():
        return None
    dtype = _FLOATS[positions.dtype]
    rows = widen(b"".join(tensor_chunks(folder.model, positions)), dtype).astype(np.float64).reshape(positions.shape)
    return narrow((rows + row).ravel(), dtype)


def _once(data: bytes) -> Iterator[bytes]:
    yield data


def _write(path: Path, arrays: list[ListedArray]) -> tuple[str, str]:
    """Writes beside ``path``, makes durable, reads back, renames; the file's digest and its SHA-256."""
    partial_path = _beside(path)
    try:
        with partial_path.open("xb") as file:
            write_list(file, arrays)
        sync(partial_path)
        with open_params(partial_path) as params:
            digest, file_sha256 = checkpoint_digest(params), sha256(params.all_chunks())
            if [_facts(array) for array in params.arrays] != [_facts(array) for array in arrays]:
                raise OutputCheckError(f"{path}: reads back differently from what was planned")
        partial_path.replace(path)
        sync(path.absolute().parent)
    except OSError as error:
        raise DestinationError(f"{path}: cannot be written: {error.strerror}; choose another file") from error
    finally:
        partial_path.unlink(missing_ok=True)
    return digest, file_sha256


def _facts(array: StoredArray | ListedArray) -> tuple[object, ...]:
    return array.name, array.dtype, array.shape, array.version, array.context
