"""Faults in the tensors. Each function changes a folder's tensors, by name, in place."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bort_convert.parity.mutations.fault import Fault

if TYPE_CHECKING:
    import numpy as np

Tensors = dict[str, "np.ndarray"]
Change = Callable[[Tensors], None]

_FIRST = "encoder.layer.0."
_SECOND = "encoder.layer.1."
_ATTENTION = f"{_FIRST}attention.self."
_MIDDLE = f"{_FIRST}attention.output."
_EMBEDDINGS = "embeddings."
_MLM = "cls.predictions."
_POOLER = "pooler.dense."


def key(tensors: Tensors, name: str) -> str:
    """The tensor's name in this folder, where a head's model puts a prefix before the backbone's."""
    return name if name in tensors else f"bert.{name}"


def _swap(first: str, second: str) -> Change:
    def apply(tensors: Tensors) -> None:
        left, right = key(tensors, first), key(tensors, second)
        tensors[left], tensors[right] = tensors[right], tensors[left]

    return apply


def _map(name: str, function: Callable[["np.ndarray"], "np.ndarray"]) -> Change:
    """Replaces the tensor by ``function`` of a copy of it, in its own dtype."""

    def apply(tensors: Tensors) -> None:
        old = tensors[key(tensors, name)]
        tensors[key(tensors, name)] = function(old.copy()).astype(old.dtype)

    return apply


def _assign(name: str, where: Any, value: Callable[["np.ndarray"], object]) -> Change:
    """Sets the elements at the index ``where`` to ``value`` of what they are."""

    def function(array: "np.ndarray") -> "np.ndarray":
        array[where] = value(array[where])
        return array

    return _map(name, function)


def _in_every_layer(change: Callable[[str], Change]) -> Change:
    def apply(tensors: Tensors) -> None:
        layers = {name.split("encoder.layer.")[1].split(".")[0] for name in tensors if "encoder.layer." in name}
        for layer in sorted(layers):
            change(f"encoder.layer.{layer}.")(tensors)

    return apply


def _swap_layers(tensors: Tensors) -> None:
    for name in [name.partition(_FIRST)[2] for name in tensors if _FIRST in name]:
        _swap(_FIRST + name, _SECOND + name)(tensors)


def _all_through(dtype: str) -> Change:
    """Rounds every tensor to ``dtype`` and back, as the old converter did with float16."""

    def apply(tensors: Tensors) -> None:
        for name, array in tensors.items():
            tensors[name] = array.astype(dtype).astype(array.dtype)

    return apply


def _bfloat16(tensors: Tensors) -> None:
    """Cuts every float32 to bfloat16's 16 bits, and back."""
    import numpy as np

    for name, array in tensors.items():
        tensors[name] = (
            (array.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(array.dtype)
        )


def _one_ulp(array: "np.ndarray") -> object:
    import numpy as np

    return np.nextafter(array, array.dtype.type(np.inf))


def _permute_hidden_units(tensors: Tensors) -> None:
    """Exchanges two hidden units of a feed-forward layer with all their weights: the function stays the same."""
    for name, axis in (("intermediate.dense.weight", 0), ("intermediate.dense.bias", 0), ("output.dense.weight", 1)):
        _map(_FIRST + name, partial(_exchange, axis=axis))(tensors)


def _shift_rows(array: "np.ndarray") -> "np.ndarray":
    return array.take([-1, *range(len(array) - 1)], 0)


def _exchange(array: "np.ndarray", axis: int) -> "np.ndarray":
    import numpy as np

    order = np.arange(array.shape[axis])
    order[:2] = 1, 0
    return array.take(order, axis)


def _exchange_classes(tensors: Tensors) -> None:
    for name in ("classifier.weight", "classifier.bias"):
        _map(name, partial(_exchange, axis=0))(tensors)


def _random(array: "np.ndarray") -> "np.ndarray":
    import numpy as np

    return np.random.default_rng(0).normal(0, 0.02, array.shape)


def _random_head(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.startswith(_MLM)]:
        tensors[name] = _random(tensors[name]).astype(tensors[name].dtype)


def _drop_decoder_norm(tensors: Tensors) -> None:
    _map(f"{_MLM}transform.LayerNorm.weight", lambda array: array * 0 + 1)(tensors)
    _map(f"{_MLM}transform.LayerNorm.bias", lambda array: array * 0)(tensors)


_ZERO: Callable[["np.ndarray"], "np.ndarray"] = lambda array: array * 0  # noqa: E731
_MLM_ONLY = ("mlm",)
_CLASSIFIER_ONLY = ("classifier",)

WEIGHT_FAULTS: Mapping[str, Fault[Tensors]] = {
    "query and key weights exchanged": Fault(_swap(f"{_ATTENTION}query.weight", f"{_ATTENTION}key.weight")),
    "query and value weights exchanged": Fault(_swap(f"{_ATTENTION}query.weight", f"{_ATTENTION}value.weight")),
    "key and value weights exchanged": Fault(_swap(f"{_ATTENTION}key.weight", f"{_ATTENTION}value.weight")),
    "query and key biases exchanged": Fault(_swap(f"{_ATTENTION}query.bias", f"{_ATTENTION}key.bias")),
    "key and value biases exchanged": Fault(_swap(f"{_ATTENTION}key.bias", f"{_ATTENTION}value.bias")),
    "two layers exchanged": Fault(_swap_layers),
    "one weight exchanged between layers": Fault(
        _swap(f"{_FIRST}output.dense.weight", f"{_SECOND}output.dense.weight")
    ),
    "two LayerNorms of a layer exchanged": Fault(
        _swap(f"{_MIDDLE}LayerNorm.weight", f"{_FIRST}output.LayerNorm.weight")
    ),
    "LayerNorm of embeddings and layer exchanged": Fault(
        _swap(f"{_EMBEDDINGS}LayerNorm.bias", f"{_MIDDLE}LayerNorm.bias")
    ),
    "LayerNorm scale and shift exchanged": Fault(_swap(f"{_MIDDLE}LayerNorm.weight", f"{_MIDDLE}LayerNorm.bias")),
    "biases of proj and ffn_2 exchanged": Fault(_swap(f"{_MIDDLE}dense.bias", f"{_FIRST}output.dense.bias")),
    "query transposed": Fault(_map(f"{_ATTENTION}query.weight", lambda array: array.T)),
    "proj transposed": Fault(_map(f"{_MIDDLE}dense.weight", lambda array: array.T)),
    "key biases dropped": Fault(_in_every_layer(lambda layer: _map(f"{layer}attention.self.key.bias", _ZERO))),
    "query bias zeroed": Fault(_map(f"{_ATTENTION}query.bias", _ZERO)),
    "value bias zeroed": Fault(_map(f"{_ATTENTION}value.bias", _ZERO)),
    "one weight scaled by 1.001": Fault(_map(f"{_FIRST}intermediate.dense.weight", lambda array: array * 1.001)),
    "one weight negated": Fault(_map(f"{_FIRST}intermediate.dense.bias", lambda array: -array)),
    "everything rounded to float16": Fault(_all_through("float16")),
    "everything cut to bfloat16": Fault(_bfloat16),
    "one element off by one unit in the last place": Fault(_assign(f"{_ATTENTION}query.weight", (3, 5), _one_ulp)),
    "one element off by 0.001": Fault(_assign(f"{_MIDDLE}dense.weight", (1, 2), lambda value: value + 1e-3)),
    "one element NaN": Fault(
        _assign(f"{_EMBEDDINGS}word_embeddings.weight", (-2, 1), lambda value: value * float("nan"))
    ),
    "one embedding row zeroed": Fault(_assign(f"{_EMBEDDINGS}word_embeddings.weight", 7, lambda value: value * 0)),
    "embedding rows shifted by one": Fault(_map(f"{_EMBEDDINGS}word_embeddings.weight", _shift_rows)),
    "late positions zeroed": Fault(
        _assign(f"{_EMBEDDINGS}position_embeddings.weight", slice(15, None), lambda value: value * 0)
    ),
    "last position zeroed": Fault(_assign(f"{_EMBEDDINGS}position_embeddings.weight", -1, lambda value: value * 0)),
    "positions shifted by one": Fault(_map(f"{_EMBEDDINGS}position_embeddings.weight", _shift_rows)),
    "segment row not zero": Fault(_map(f"{_EMBEDDINGS}token_type_embeddings.weight", _random)),
    "segment row of negative zeros": Fault(_map(f"{_EMBEDDINGS}token_type_embeddings.weight", lambda array: -array)),
    "two hidden units exchanged, the function kept": Fault(_permute_hidden_units),
    "MLM head random": Fault(_random_head, _MLM_ONLY),
    "MLM bias zeroed": Fault(_map(f"{_MLM}bias", _ZERO), _MLM_ONLY),
    "MLM transform transposed": Fault(_map(f"{_MLM}transform.dense.weight", lambda array: array.T), _MLM_ONLY),
    "MLM LayerNorm dropped": Fault(_drop_decoder_norm, _MLM_ONLY),
    "pooler random": Fault(_map(f"{_POOLER}weight", _random), _CLASSIFIER_ONLY),
    "pooler transposed": Fault(_map(f"{_POOLER}weight", lambda array: array.T), _CLASSIFIER_ONLY),
    "pooler bias zeroed": Fault(_map(f"{_POOLER}bias", _ZERO), _CLASSIFIER_ONLY),
    "pooler and proj of the last layer exchanged": Fault(
        _swap(f"{_POOLER}weight", f"{_SECOND}attention.output.dense.weight"), _CLASSIFIER_ONLY
    ),
    "classifier random": Fault(_map("classifier.weight", _random), _CLASSIFIER_ONLY),
    "classifier bias zeroed": Fault(_map("classifier.bias", _ZERO), _CLASSIFIER_ONLY),
    "classes exchanged": Fault(_exchange_classes, _CLASSIFIER_ONLY),
    "one classifier weight off by 0.001": Fault(
        _assign("classifier.weight", (1, 2), lambda value: value + 1e-3), _CLASSIFIER_ONLY
    ),
}
