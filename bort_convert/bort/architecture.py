"""The sizes that make a Bort, the two that were published, and how a file tells which it is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bort_convert.errors import ArchitectureMismatchError, InvalidOptionError, UnknownArchitectureError

LAYER_NORM_EPS = 1e-5
"""Of the embeddings and the encoder (``alexa/bort`` ``bort/bort.py``)."""
DECODER_LAYER_NORM_EPS = 1e-12
"""Of the MLM decoder: BERTLayerNorm's default, whatever the encoder has (GluonNLP 0.8.3 ``model/bert.py``)."""
DROPOUT = 0.1
PAD_ID, BOS_ID, EOS_ID = 1, 0, 2


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the tensors' shapes tell of a Bort: everything but the number of heads."""

    num_layers: int
    units: int
    hidden_size: int
    max_length: int
    vocab_size: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A Bort's hyperparameters, in GluonNLP's terms.

    ``units`` is the width of the embeddings and hidden states, ``hidden_size`` that of the feed-forward layers
    (``hidden_size`` and ``intermediate_size`` of a Hugging Face config).
    """

    num_layers: int
    num_heads: int
    units: int
    hidden_size: int
    max_length: int
    vocab_size: int

    @property
    def name(self) -> str | None:
        """The published name, or None for an architecture of one's own."""
        return next((name for name, published in PUBLISHED.items() if published.matches(self)), None)

    @property
    def description(self) -> str:
        """The published name, or the sizes."""
        return self.name or (
            f"{self.num_layers} layers, {self.num_heads} heads, {self.units} units, hidden size {self.hidden_size}"
        )


@dataclass(frozen=True, slots=True)
class Published:
    """A published architecture. The vocabulary is the checkpoint's own."""

    num_layers: int
    num_heads: int
    hidden_size: int
    units: int
    max_length: int

    def matches_shapes(self, sizes: Sizes | Architecture) -> bool:
        """Whether a file of these sizes has the shapes of this architecture."""
        return (self.num_layers, self.hidden_size, self.units, self.max_length) == (
            sizes.num_layers,
            sizes.hidden_size,
            sizes.units,
            sizes.max_length,
        )

    def matches(self, architecture: Architecture) -> bool:
        """Whether this is the architecture, heads included."""
        return self.matches_shapes(architecture) and self.num_heads == architecture.num_heads


PUBLISHED: Mapping[str, Published] = {
    "bort_4_8_768_1024": Published(num_layers=4, num_heads=8, hidden_size=768, units=1024, max_length=512),
    "bort_2_16_512_1024": Published(num_layers=2, num_heads=16, hidden_size=512, units=1024, max_length=512),
}
"""By name, which reads layers_heads_hidden_units (``alexa/bort`` ``bort/bort.py``)."""


def detect(sizes: Sizes, *, name: str | None = None, num_heads: int | None = None) -> Architecture:
    """The architecture of a file with these ``sizes``, given what the user declares of it.

    Heads come from the declaration or from the published architecture of the same shapes; they are never guessed.
    Raises UnknownArchitectureError where neither says, ArchitectureMismatchError where the declaration contradicts the
    file, InvalidOptionError for a number of heads that does not divide the units.
    """
    if name is not None:
        published = PUBLISHED[name]
        if not published.matches_shapes(sizes):
            raise ArchitectureMismatchError(
                f"--architecture {name} contradicts the file, which has {_describe(sizes)}; leave the option out"
            )
        if num_heads not in (None, published.num_heads):
            raise ArchitectureMismatchError(
                f"--architecture {name} has {published.num_heads} heads, --num-heads says {num_heads}; give one of them"
            )
        num_heads = published.num_heads
    if num_heads is None:
        num_heads = next((known.num_heads for known in PUBLISHED.values() if known.matches_shapes(sizes)), None)
    if num_heads is None:
        raise UnknownArchitectureError(
            f"not a published architecture ({_describe(sizes)}), and no tensor's shape depends on the number of heads, "
            "which changes every output; say it with --num-heads N"
        )
    if num_heads < 1 or sizes.units % num_heads:
        raise InvalidOptionError(f"--num-heads {num_heads} does not divide the {sizes.units} units")
    return Architecture(num_heads=num_heads, **asdict(sizes))


def _describe(sizes: Sizes) -> str:
    return (
        f"{sizes.num_layers} layers, {sizes.units} units, hidden size {sizes.hidden_size}, {sizes.max_length} positions"
    )
