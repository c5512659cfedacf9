"""The golden vocabulary and BPE ranks in GluonNLP's formats, the ids that GluonNLP gave for them, and GluonNLP itself."""

import functools
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bort_convert.conversion.vocabulary import Vocabulary
from bort_convert.conversion.vocabulary_files import gluonnlp_tokens, ranked_merges, read_input

DATA = Path(__file__).parent / "data" / "tokenizer"
VOCAB, BPE_RANKS = DATA / "bort_tiny.vocab", DATA / "bort_tiny.bpe_ranks.json"
SIZE = 1505
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def expected() -> dict[str, Any]:
    """``singles``: text, tokens, ids and input_ids; ``pairs``: text_a, text_b and input_ids."""
    document: dict[str, Any] = json.loads((DATA / "bort_tiny.expected.json").read_text(encoding="utf-8"))
    return document


def vocabulary() -> Vocabulary:
    """The golden vocabulary, as the package reads it."""
    return Vocabulary(gluonnlp_tokens(read_input(VOCAB)), ranked_merges(read_input(BPE_RANKS)))


def vocab_document() -> dict[str, Any]:
    """The golden vocabulary's JSON, to be changed."""
    document: dict[str, Any] = json.loads(VOCAB.read_text(encoding="utf-8"))
    return document


def write_gluonnlp(folder: Path, tokens: Sequence[str], merges: Sequence[tuple[str, str]]) -> tuple[Path, Path]:
    """Writes a vocabulary and BPE ranks in GluonNLP's formats."""
    document = {
        "idx_to_token": list(tokens),
        "token_to_idx": {token: id_ for id_, token in enumerate(tokens)},
        "reserved_tokens": ["<mask>", "<pad>", "<s>", "</s>"],
        "unknown_token": "<unk>",
        "identifiers_to_tokens": {
            "mask_token": "<mask>",
            "padding_token": "<pad>",
            "bos_token": "<s>",
            "eos_token": "</s>",
        },
    }
    vocab, ranks = folder / "written.vocab", folder / "written.json"
    vocab.write_text(json.dumps(document), encoding="utf-8")
    ranks.write_text("\n".join(["#version: 0.2", *(" ".join(merge) for merge in merges), ""]), encoding="utf-8")
    return vocab, ranks


def mxnet_worker() -> ModuleType:
    """The worker's module, which imports MXNet and GluonNLP the way today's NumPy needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from bort_convert.parity import mxnet_worker
    return mxnet_worker


def gluonnlp_encoder(vocab: Path, bpe_ranks: Path) -> Callable[[str], list[int]]:
    """Real GluonNLP, in this process: text to ids, no special tokens around them."""
    tokenizer, vocabulary = mxnet_worker().load_tokenizer(str(vocab), str(bpe_ranks))
    return lambda text: list(vocabulary[tokenizer(text)])


@functools.cache
def golden_encoder() -> Callable[[str], list[int]]:
    """`gluonnlp_encoder` of the golden files."""
    return gluonnlp_encoder(VOCAB, BPE_RANKS)
