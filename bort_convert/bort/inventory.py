"""The tensors that each Hugging Face model must have, with their shapes, in the order they are written.

Written from ``models/bert/modeling_bert.py`` of Transformers 5.23, apart from the table of names, so that the two check
each other. A shape is given in the architecture's terms; a literal size stands for itself.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from bort_convert.bort.architecture import Architecture
from bort_convert.bort.heads import Head


class Origin(StrEnum):
    """Where a tensor of the model comes from."""

    STORED = "stored"
    """A tensor of the checkpoint."""
    TIED = "tied"
    """The word embedding, which the checkpoint stores a second time."""
    ALIAS = "alias"
    """A second name of a stored tensor. Transformers ties it with the weights, and misses it where tying is off."""
    ZERO = "zero"
    """Zeros: Bort has no token types, BERT adds a row of them to every embedding."""


@dataclass(frozen=True, slots=True)
class Target:
    """A tensor that the model must have."""

    name: str
    shape: tuple[int, ...]
    origin: Origin

    @property
    def same_as(self) -> str | None:
        """The tensor that a tied one or an alias shares."""
        return SAME_AS.get(self.name)


_Row = tuple[str, tuple[str | int, ...], Origin]

_EMBEDDINGS: tuple[_Row, ...] = (
    ("embeddings.word_embeddings.weight", ("vocab_size", "units"), Origin.STORED),
    ("embeddings.position_embeddings.weight", ("max_length", "units"), Origin.STORED),
    ("embeddings.token_type_embeddings.weight", (1, "units"), Origin.ZERO),
    ("embeddings.LayerNorm.weight", ("units",), Origin.STORED),
    ("embeddings.LayerNorm.bias", ("units",), Origin.STORED),
)

_LAYER: tuple[_Row, ...] = (
    ("attention.self.query.weight", ("units", "units"), Origin.STORED),
    ("attention.self.query.bias", ("units",), Origin.STORED),
    ("attention.self.key.weight", ("units", "units"), Origin.STORED),
    ("attention.self.key.bias", ("units",), Origin.STORED),
    ("attention.self.value.weight", ("units", "units"), Origin.STORED),
    ("attention.self.value.bias", ("units",), Origin.STORED),
    ("attention.output.dense.weight", ("units", "units"), Origin.STORED),
    ("attention.output.dense.bias", ("units",), Origin.STORED),
    ("attention.output.LayerNorm.weight", ("units",), Origin.STORED),
    ("attention.output.LayerNorm.bias", ("units",), Origin.STORED),
    ("intermediate.dense.weight", ("hidden_size", "units"), Origin.STORED),
    ("intermediate.dense.bias", ("hidden_size",), Origin.STORED),
    ("output.dense.weight", ("units", "hidden_size"), Origin.STORED),
    ("output.dense.bias", ("units",), Origin.STORED),
    ("output.LayerNorm.weight", ("units",), Origin.STORED),
    ("output.LayerNorm.bias", ("units",), Origin.STORED),
)

_HEADS: dict[str, tuple[_Row, ...]] = {
    "encoder": (),
    "mlm": (
        ("cls.predictions.bias", ("vocab_size",), Origin.STORED),
        ("cls.predictions.transform.dense.weight", ("units", "units"), Origin.STORED),
        ("cls.predictions.transform.dense.bias", ("units",), Origin.STORED),
        ("cls.predictions.transform.LayerNorm.weight", ("units",), Origin.STORED),
        ("cls.predictions.transform.LayerNorm.bias", ("units",), Origin.STORED),
        ("cls.predictions.decoder.weight", ("vocab_size", "units"), Origin.TIED),
        ("cls.predictions.decoder.bias", ("vocab_size",), Origin.ALIAS),
    ),
    "classifier": (
        ("bert.pooler.dense.weight", ("units", "units"), Origin.STORED),
        ("bert.pooler.dense.bias", ("units",), Origin.STORED),
        ("classifier.weight", ("num_outputs", "units"), Origin.STORED),
        ("classifier.bias", ("num_outputs",), Origin.STORED),
    ),
}

SAME_AS = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""A tied tensor or an alias, and the tensor that it shares."""


def inventory(architecture: Architecture, head: Head, num_outputs: int = 0) -> tuple[Target, ...]:
    """Every tensor of ``head``'s model class at this architecture; ``num_outputs`` is a classifier's."""
    sizes = {**asdict(architecture), "num_outputs": num_outputs}
    return tuple(
        Target(name, tuple(size if isinstance(size, int) else sizes[size] for size in shape), origin)
        for name, shape, origin in _rows(architecture.num_layers, head)
    )


def _rows(num_layers: int, head: Head) -> Iterator[_Row]:
    for name, shape, origin in _EMBEDDINGS:
        yield head.target_prefix + name, shape, origin
    for layer in range(num_layers):
        for name, shape, origin in _LAYER:
            yield f"{head.target_prefix}encoder.layer.{layer}.{name}", shape, origin
    yield from _HEADS[head.name]
