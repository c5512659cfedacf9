"""The model folder's tokenizer: the files that Transformers loads, and the ids that Bort was trained on.

One text is ``<s> A </s>``, a pair ``<s> A </s> B </s>``: one ``</s>`` between, where RoBERTa has two. The ids are those of
GluonNLP's ``GPT2BPETokenizer`` and ``Vocab`` for every text, but for these:

- A special token that is written out in the text is recognised, as filling a mask needs; GluonNLP takes it for ordinary
  characters.
- Which characters are letters or digits is for the Unicode version of each library to say. Characters that came into
  Unicode after version 16 may be split otherwise.
- A lone surrogate is no text, and has no ids.
- Transformers takes an empty second text for none, unless it is called with lists.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.bort.special_tokens import BOS, EOS, MASK, PAD, SPECIAL_TOKENS, UNK
from bort_convert.conversion.record import dump
from bort_convert.conversion.vocabulary import Vocabulary
from bort_convert.errors import ModelFolderError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_NAME = "tokenizer.json"
TOKENIZER_CONFIG_NAME = "tokenizer_config.json"
SPECIAL_TOKENS_NAME = "special_tokens_map.json"

_USES = {
    "bos_token": BOS,
    "cls_token": BOS,
    "eos_token": EOS,
    "sep_token": EOS,
    "unk_token": UNK,
    "pad_token": PAD,
    "mask_token": MASK,
}
"""What Transformers calls the uses of special tokens."""


def build_tokenizer(vocabulary: Vocabulary) -> "Tokenizer":
    """The byte-level BPE tokenizer of ``vocabulary``, which must have been checked, with Bort's templates."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    ids = {token: id_ for id_, token in enumerate(vocabulary.tokens)}
    tokenizer = Tokenizer(models.BPE(ids, list(vocabulary.merges), unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    template = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        pair=f"{BOS} $A {EOS} $B:0 {EOS}:0",  # Bort has one token type
        special_tokens=[(BOS, ids[BOS]), (EOS, ids[EOS])],
    )
    offsets = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)
    tokenizer.post_processor = processors.Sequence([offsets, template])
    tokenizer.add_special_tokens([_added_token(token) for token in SPECIAL_TOKENS])
    return tokenizer


def tokenizer_texts(vocabulary: Vocabulary, max_length: int) -> Mapping[str, str]:
    """The texts of the tokenizer's files, by name, for a model with ``max_length`` positions."""
    config = {
        # Any class of a model would bring a template of its own: RoBERTa's has two </s> between the texts of a pair.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
        "truncation_side": "right",
        **_USES,
    }
    mask = {"content": MASK, "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    return {
        TOKENIZER_NAME: build_tokenizer(vocabulary).to_str(pretty=True) + "\n",
        TOKENIZER_CONFIG_NAME: dump(config),
        SPECIAL_TOKENS_NAME: dump({**_USES, "mask_token": mask}),
    }


def load_tokenizer(model_dir: Path) -> "Tokenizer":
    """The tokenizer of a model folder. Raises ModelFolderError where there is none, or none that can be read."""
    from tokenizers import Tokenizer

    path = model_dir / TOKENIZER_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ModelFolderError(
            f"{path}: no such file; convert the checkpoint with --vocab FILE --bpe-ranks FILE or --tokenizer NAME_OR_DIR"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path}: cannot be read: {error}; give a folder that 'convert' wrote") from error
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        reason = (str(error).strip().splitlines() or [repr(error)])[0]
        raise ModelFolderError(f"{path}: not a tokenizer: {reason}; convert the checkpoint again") from error


def _added_token(token: str) -> "object":
    from tokenizers import AddedToken

    return AddedToken(token, lstrip=token == MASK, normalized=False, special=True)  # the mask takes the space before it
