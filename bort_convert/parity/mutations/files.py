"""Faults in the folder's files. Each function rewrites a file of a model folder."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bort_convert.conversion.config import CONFIG_NAME
from bort_convert.conversion.safetensors_writer import MODEL_NAME
from bort_convert.parity.mutations.fault import Fault
from bort_convert.parity.mutations.weights import Tensors, key


def load_tensors(model_dir: Path) -> Tensors:
    """The folder's tensors, by name, in memory."""
    from safetensors.numpy import load_file

    tensors: Tensors = load_file(model_dir / MODEL_NAME)
    return tensors


def save_tensors(tensors: Tensors, model_dir: Path) -> None:
    """Writes the tensors with the safetensors library, which needs them contiguous."""
    import numpy as np
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    save_file(contiguous, model_dir / MODEL_NAME, {"format": "pt"})


def _config(**fields: Any) -> Callable[[Path], None]:
    """Sets fields of the config; a function is given the old value."""

    def apply(model_dir: Path) -> None:
        path = model_dir / CONFIG_NAME
        config = json.loads(path.read_text(encoding="utf-8"))
        for name, value in fields.items():
            config[name] = value(config[name]) if callable(value) else value
        path.write_text(json.dumps(config), encoding="utf-8")

    return apply


def _without_field(name: str) -> Callable[[Path], None]:
    def apply(model_dir: Path) -> None:
        path = model_dir / CONFIG_NAME
        config = json.loads(path.read_text(encoding="utf-8"))
        del config[name]
        path.write_text(json.dumps(config), encoding="utf-8")

    return apply


def _tensors(change: Callable[[Tensors], None]) -> Callable[[Path], None]:
    def apply(model_dir: Path) -> None:
        tensors = load_tensors(model_dir)
        change(tensors)
        save_tensors(tensors, model_dir)

    return apply


def _exchange_labels(label_of: dict[str, str]) -> dict[str, str]:
    """The names of the first two classes, the other way round."""
    return label_of | {"0": label_of["1"], "1": label_of["0"]}


def _exchange_indices(index_of: dict[str, int]) -> dict[str, int]:
    first, second, *_ = index_of
    return index_of | {first: index_of[second], second: index_of[first]}


def _without_last(label_of: dict[str, str]) -> dict[str, str]:
    return dict(list(label_of.items())[:-1])


def _without_pooler(tensors: Tensors) -> None:
    for kind in ("weight", "bias"):
        del tensors[f"bert.pooler.dense.{kind}"]


def _pooler_and_classifier(tensors: Tensors) -> None:
    for kind in ("weight", "bias"):
        first, second = f"bert.pooler.dense.{kind}", f"classifier.{kind}"
        tensors[first], tensors[second] = tensors[second], tensors[first]


def _missing(tensors: Tensors) -> None:
    del tensors[key(tensors, "encoder.layer.0.attention.self.key.bias")]


def _extra(tensors: Tensors) -> None:
    tensors["bert.extra"] = tensors[key(tensors, "embeddings.LayerNorm.bias")]


def _renamed(tensors: Tensors) -> None:
    tensors["encoder.layers.0.bias"] = tensors.pop(key(tensors, "encoder.layer.0.output.dense.bias"))


def _exchanged(tensors: Tensors) -> None:
    first, second = (key(tensors, f"encoder.layer.{layer}.attention.self.value.bias") for layer in (0, 1))
    tensors[first], tensors[second] = tensors[second], tensors[first]


def _reshaped(tensors: Tensors) -> None:
    name = key(tensors, "encoder.layer.0.intermediate.dense.weight")
    tensors[name] = tensors[name].reshape(tensors[name].shape[::-1])


def _retyped(tensors: Tensors) -> None:
    name = key(tensors, "encoder.layer.0.output.dense.bias")
    tensors[name] = tensors[name].astype("float64" if tensors[name].dtype != "float64" else "float32")


def _written_although_tied(tensors: Tensors) -> None:
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"] * 1.0001


def _truncated(model_dir: Path) -> None:
    path = model_dir / MODEL_NAME
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)


def _flipped(model_dir: Path) -> None:
    path = model_dir / MODEL_NAME
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))


_CLASSIFIER_ONLY = ("classifier",)

FILE_FAULTS: Mapping[str, Fault[Path]] = {
    "config: eps 1e-12": Fault(_config(layer_norm_eps=1e-12)),
    "config: tanh GELU": Fault(_config(hidden_act="gelu_new")),
    "config: twice the heads": Fault(_config(num_attention_heads=lambda heads: 2 * heads)),
    "config: one layer less": Fault(_config(num_hidden_layers=lambda layers: layers - 1)),
    "config: two token types": Fault(_config(type_vocab_size=2)),
    "config: one position less": Fault(_config(max_position_embeddings=lambda positions: positions - 1)),
    "config: one token more": Fault(_config(vocab_size=lambda tokens: tokens + 1)),
    "config: pad id 0": Fault(_config(pad_token_id=0)),
    "config: untied": Fault(_config(tie_word_embeddings=False)),
    "config: another class": Fault(_config(architectures=["BertForPreTraining"])),
    "config: another model type": Fault(_config(model_type="roberta")),
    "config: a decoder": Fault(_config(is_decoder=True)),
    "config: relative positions": Fault(_config(position_embedding_type="relative_key")),
    "config: another dtype": Fault(_config(dtype="int8")),
    "config: no eps": Fault(_without_field("layer_norm_eps")),
    "a tensor missing": Fault(_tensors(_missing)),
    "a tensor too many": Fault(_tensors(_extra)),
    "a tensor under another name": Fault(_tensors(_renamed)),
    "two names exchanged": Fault(_tensors(_exchanged)),
    "a tensor in another shape": Fault(_tensors(_reshaped)),
    "a tensor in another dtype": Fault(_tensors(_retyped)),
    "a tied tensor written, and other": Fault(_tensors(_written_although_tied), ("mlm",)),
    "the pooler missing": Fault(_tensors(_without_pooler), _CLASSIFIER_ONLY),
    "pooler and classifier exchanged": Fault(_tensors(_pooler_and_classifier), _CLASSIFIER_ONLY),
    "config: labels exchanged": Fault(_config(id2label=_exchange_labels), _CLASSIFIER_ONLY),
    "config: indices of labels exchanged": Fault(_config(label2id=_exchange_indices), _CLASSIFIER_ONLY),
    "config: one label less": Fault(_config(id2label=_without_last), _CLASSIFIER_ONLY),
    "config: no labels": Fault(_without_field("id2label"), _CLASSIFIER_ONLY),
    "config: a regression": Fault(_config(problem_type="regression"), _CLASSIFIER_ONLY),
    "config: no problem type": Fault(_without_field("problem_type"), _CLASSIFIER_ONLY),
    "the file one byte short": Fault(_truncated),
    "the last bit flipped": Fault(_flipped),
}
