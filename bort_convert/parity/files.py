"""The first part of the proof, without any framework: the model folder's bytes against the checkpoint's.

It alone sees what no output depends on: a key's bias, the embedding of a token that is not in the input, a late position.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bort_convert.conversion.casting import entry_chunks
from bort_convert.conversion.config import CONFIG_NAME, config_document
from bort_convert.conversion.contents import read_json_object
from bort_convert.conversion.ledger import Entry, Ledger
from bort_convert.conversion.model_file import ModelTensor, OpenModel, open_model_file
from bort_convert.params import ParamsFile
from bort_convert.params.reading import Chunk

# What BertConfig takes a missing field for (Transformers 5.23 models/bert/configuration_bert.py, configuration_utils.py).
_DEFAULTS: Mapping[str, object] = {
    "add_cross_attention": False,
    "chunk_size_feed_forward": 0,
    "classifier_dropout": None,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "position_embedding_type": "absolute",
    "problem_type": None,
    "pruned_heads": {},
    "return_dict": True,
    "tie_encoder_decoder": False,
}
_WITHOUT_EFFECT = {"_name_or_path", "gradient_checkpointing", "torch_dtype", "transformers_version", "use_cache"}


@dataclass(frozen=True, slots=True)
class Check:
    """One fact of the model folder that was checked. ``failure`` is empty where it holds."""

    kind: str
    """``tensor``, ``config``, ``tokenizer``, ``loading`` or ``published``."""
    name: str
    failure: str

    @property
    def passed(self) -> bool:
        """Whether the fact holds."""
        return not self.failure


def check_files(params: ParamsFile, ledger: Ledger, model_dir: Path) -> tuple[Check, ...]:
    """Every tensor of the ledger and every field of the config, held against ``model_dir``.

    Raises ModelFolderError where the folder cannot be read at all.
    """
    with open_model_file(model_dir) as model:
        tensors = tuple(_check_tensors(params, ledger, model))
    return tensors + tuple(_check_config(ledger, model_dir / CONFIG_NAME))


def _check_tensors(params: ParamsFile, ledger: Ledger, model: OpenModel) -> Iterator[Check]:
    expected = {entry.target: entry for entry in ledger.written if entry.target}
    for name, entry in expected.items():
        yield Check("tensor", name, _tensor_failure(params, entry, model, model.tensors.get(name)))
    tied = {entry.target: entry.tied_to for entry in ledger.entries if entry.tied_to}
    for name in model.tensors.keys() - expected.keys():
        failure = f"written although it is tied to {tied[name]}" if name in tied else "not a tensor of this model"
        yield Check("tensor", name, failure)


def _tensor_failure(params: ParamsFile, entry: Entry, model: OpenModel, tensor: ModelTensor | None) -> str:
    if tensor is None:
        return "missing"
    if tensor.shape != entry.shape:
        return f"shape {tensor.shape}, expected {entry.shape}"
    if tensor.dtype != entry.dtype.safetensors:
        return f"dtype {tensor.dtype}, expected {entry.dtype.safetensors}"
    itemsize = entry.dtype.itemsize
    differing, first, position = 0, -1, 0
    for expected in entry_chunks(params, entry):
        found = model.read(tensor, position * itemsize, len(expected))
        if found != bytes(expected):
            elements = _differing_elements(found, expected, itemsize)
            first = position + elements[0] if first < 0 else first
            differing += len(elements)
        position += len(expected) // itemsize
    if not differing:
        return ""
    against = f"from {entry.source.name}" if entry.source else "from zero"
    return f"{differing} of {position} elements differ {against}, the first at {_index(first, entry.shape)}"


def _differing_elements(ours: bytes, theirs: Chunk, itemsize: int) -> list[int]:
    import numpy as np

    unequal = np.frombuffer(ours, np.uint8) != np.frombuffer(theirs, np.uint8)
    elements: list[int] = unequal.reshape(-1, itemsize).any(axis=1).nonzero()[0].tolist()
    return elements


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index = []
    for size in reversed(shape):
        flat, here = divmod(flat, size)
        index.append(here)
    return tuple(reversed(index))


def _check_config(ledger: Ledger, path: Path) -> Iterator[Check]:
    config = read_json_object(path)
    expected = config_document(ledger)
    for name, value in expected.items():
        found = config.get(name, "nothing")
        yield Check("config", name, "" if _same(found, value) else f"{found!r}, expected {value!r}")
    for name in config.keys() - expected.keys() - _WITHOUT_EFFECT:
        harmless = name in _DEFAULTS and _same(config[name], _DEFAULTS[name])
        yield Check("config", name, "" if harmless else f"{config[name]!r}, which is not of this model's config")


def _same(found: object, expected: object) -> bool:
    return found == expected and isinstance(found, bool) == isinstance(expected, bool)
