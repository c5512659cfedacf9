"""The token ids that both frameworks are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.bort.architecture import BOS_ID, EOS_ID, PAD_ID, Architecture
from bort_convert.errors import InvalidOptionError, ModelFolderError

if TYPE_CHECKING:
    import numpy as np

DEFAULT_LENGTHS = (1, 2, 17, 128)
MASKED_POSITIONS = 8
"""Positions of each sequence at which MLM logits are compared; the decoder treats every position alike."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Which token ids both frameworks are given: random ones of these lengths, and lines of text where there are any."""

    lengths: tuple[int, ...] = DEFAULT_LENGTHS
    seed: int = 0
    texts: tuple[str, ...] | None = None


DEFAULT_INPUTS = Inputs()


@dataclass(frozen=True)
class Batch:
    """Token ids, padded on the right.

    ``input_ids`` (batch, length), ``valid_length`` (batch,) and ``masked_positions`` (batch, n), all int32.
    """

    input_ids: "np.ndarray"
    valid_length: "np.ndarray"
    masked_positions: "np.ndarray"

    @property
    def valid(self) -> "np.ndarray":
        """True at the positions that are no padding: (batch, length)."""
        import numpy as np

        valid: np.ndarray = np.arange(self.input_ids.shape[1]) < self.valid_length[:, None]
        return valid


def make_batches(
    architecture: Architecture, lengths: Sequence[int] = DEFAULT_LENGTHS, seed: int = 0
) -> Mapping[str, Batch]:
    """Random batches for a model: ``mixed``, one padded batch of ``lengths``, and ``longest``, one sequence as long as it goes.

    Between them they hold the special tokens and the first and the last ids of the vocabulary. Lengths past the model's
    maximum are cut to it. Raises InvalidOptionError for a length below 1.
    """
    import numpy as np

    if not lengths or min(lengths) < 1:
        raise InvalidOptionError(f"--lengths {','.join(map(str, lengths))}: every length must be at least 1")
    generator = np.random.default_rng(seed)
    longest = [min(length, architecture.max_length) for length in lengths]
    return {
        "mixed": _random_batch(generator, architecture, longest),
        "longest": _random_batch(generator, architecture, [architecture.max_length]),
    }


def text_batch(lines: Sequence[str], model_dir: Path, architecture: Architecture) -> Batch:
    """The batch of these lines of text, as the folder's own tokenizer reads them, cut to the model's maximum length.

    Raises ModelFolderError where the folder has no tokenizer that can be read, InvalidOptionError where there are no lines, or
    where one gives no tokens.
    """
    path = model_dir / "tokenizer.json"
    if not path.is_file():
        raise ModelFolderError(
            f"{model_dir}: has no tokenizer.json, which --texts needs; convert with --vocab and --bpe-ranks"
        )
    if not lines:
        raise InvalidOptionError("--texts: the file has no lines of text")
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library has no class of its own for this
        raise ModelFolderError(f"{path}: not a tokenizer: {error}; convert the checkpoint again") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(architecture.max_length)
    sequences = [encoding.ids for encoding in tokenizer.encode_batch(list(lines))]
    for number, sequence in enumerate(sequences, start=1):
        if not sequence:  # MXNet gives zeros for it, BERT an average over padding
            raise InvalidOptionError(f"--texts: line {number} has no tokens; take it out")
    return make_batch(sequences, architecture)


def make_batch(sequences: Sequence[Sequence[int]], architecture: Architecture) -> Batch:
    """The padded batch of these sequences of ids. Raises InvalidOptionError for an id that the vocabulary lacks."""
    import numpy as np

    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int32)
    input_ids = np.full((len(sequences), int(lengths.max())), PAD_ID, dtype=np.int32)
    for row, sequence in enumerate(sequences):
        input_ids[row, : len(sequence)] = sequence
    # MXNet clips an id outside the vocabulary to its last row without a word; both sides would then agree on nonsense.
    outside = input_ids[(input_ids < 0) | (input_ids >= architecture.vocab_size)]
    if outside.size:
        raise InvalidOptionError(f"token id {outside[0]} is outside the vocabulary of {architecture.vocab_size} tokens")
    positions = np.linspace(0, lengths - 1, MASKED_POSITIONS, axis=1).round().astype(np.int32)
    return Batch(input_ids, lengths, positions)


def _random_batch(generator: "np.random.Generator", architecture: Architecture, lengths: Sequence[int]) -> Batch:
    last = architecture.vocab_size - 1
    notable = [id_ for id_ in (BOS_ID, EOS_ID, PAD_ID, 3, last, last - 1) if 0 <= id_ <= last]
    sequences = []
    for length in lengths:
        sequence = generator.integers(0, architecture.vocab_size, length)
        sequence[: len(notable)] = notable[:length]
        sequences.append(sequence.tolist())
    return make_batch(sequences, architecture)
