"""Which Bort a file holds, told from the names and shapes of its tensors."""

from collections.abc import Collection, Mapping

from bort_convert.bort.architecture import Sizes
from bort_convert.bort.heads import CLASSIFIER, CLASSIFIER_WITHOUT_DROPOUT, ENCODER, MLM, Head
from bort_convert.errors import TensorMismatchError

_WORD_EMBEDDING = "word_embed.0.weight"
_POSITIONS = "encoder.position_weight"
_CELLS = "encoder.transformer_cells."
_FEED_FORWARD = f"{_CELLS}0.ffn.ffn_1.weight"


def detect_head(names: Collection[str]) -> Head:
    """The largest head whose tensors are among these structural names."""
    if any(name.startswith(CLASSIFIER.source_prefix) for name in names):
        return CLASSIFIER if "classifier.3.weight" in names else CLASSIFIER_WITHOUT_DROPOUT
    return MLM if any(name.startswith("decoder.") for name in names) else ENCODER


def detect_sizes(shapes: Mapping[str, tuple[int, ...]]) -> Sizes:
    """The sizes of the Bort whose backbone's tensors have these structural names and shapes.

    Raises TensorMismatchError where a tensor that tells a size is missing, or is no matrix.
    """
    for name in (_WORD_EMBEDDING, _POSITIONS, _FEED_FORWARD):
        if name not in shapes:
            some = ", ".join(list(shapes)[:3]) or "nothing"
            raise TensorMismatchError(f"not a Bort checkpoint: it has no {name} (it has {some}, …)")
        if len(shapes[name]) != 2 or 0 in shapes[name]:
            raise TensorMismatchError(f"not a Bort checkpoint: {name} has shape {shapes[name]}, expected a matrix")
    vocab_size, units = shapes[_WORD_EMBEDDING]
    layers = {name.removeprefix(_CELLS).split(".")[0] for name in shapes if name.startswith(_CELLS)}
    return Sizes(
        num_layers=sum(layer.isdigit() for layer in layers),
        units=units,
        hidden_size=shapes[_FEED_FORWARD][0],
        max_length=shapes[_POSITIONS][0],
        vocab_size=vocab_size,
    )
