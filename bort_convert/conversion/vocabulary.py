"""A byte-level BPE vocabulary, and the checks that it is a Bort's and this checkpoint's."""

from collections.abc import Sequence
from dataclasses import dataclass

from bort_convert.bort.special_tokens import FIRST_TOKENS, MASK, SPECIAL_TOKENS
from bort_convert.errors import VocabularyError

Merge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """``tokens`` in the order of their ids, each once, and ``merges`` in the order of their ranks, the first applied first.

    Tokens are written in the byte alphabet of GPT-2, in which every byte is a visible character.
    """

    tokens: tuple[str, ...]
    merges: tuple[Merge, ...]


def check_tokens(tokens: Sequence[str], vocab_size: int, where: str) -> None:
    """Holds the tokens of the file ``where`` against a checkpoint with ``vocab_size`` embedding rows.

    Raises VocabularyError that names the first entry which is wrong: a special token that is not where Bort has it, a token
    without a row, a row without a token.
    """
    for id_, expected in enumerate(FIRST_TOKENS):
        found = repr(tokens[id_]) if id_ < len(tokens) else "nothing"
        if found != repr(expected):
            raise VocabularyError(f"{where}: id {id_} is {found}, expected {expected!r}; {_GIVE}")
    if len(tokens) != vocab_size:
        first = min(len(tokens), vocab_size)
        lacking = f"{tokens[first]!r} has no row" if first < len(tokens) else "the row has no token"
        raise VocabularyError(
            f"{where}: {len(tokens)} tokens for an embedding of {vocab_size} rows; "
            f"the first difference is id {first}: {lacking}; {_GIVE}"
        )
    if tokens[-1] != MASK:
        raise VocabularyError(f"{where}: the last id, {vocab_size - 1}, is {tokens[-1]!r}, expected {MASK!r}; {_GIVE}")


def check_merges(vocabulary: Vocabulary, where: str) -> None:
    """Holds the merges of the file ``where`` and the tokens against each other.

    Each merge stands once, and its two parts and its result are tokens; each token that can come about is made by a merge,
    which is how a file that was cut short shows. Raises VocabularyError that names the first merge or token which is wrong.
    """
    tokens = set(vocabulary.tokens)
    ranks: dict[Merge, int] = {}
    for rank, merge in enumerate(vocabulary.merges):
        for token in (*merge, "".join(merge)):
            if token not in tokens:
                raise VocabularyError(
                    f"{where}: merge {rank}, {' '.join(merge)!r}: {token!r} is not in the vocabulary; {_GIVE}"
                )
        if merge in ranks:
            raise VocabularyError(
                f"{where}: merges {ranks[merge]} and {rank} are the same, {' '.join(merge)!r}; {_GIVE}"
            )
        ranks[merge] = rank
    made = {first + second for first, second in vocabulary.merges}.union(SPECIAL_TOKENS)
    for id_, token in enumerate(vocabulary.tokens):
        if token not in made and len(token) > 1 and _can_be_made(token):
            raise VocabularyError(
                f"{where}: no merge makes {token!r}, id {id_}: the file is cut short, or another's; {_GIVE}"
            )


def _can_be_made(token: str) -> bool:
    """Whether the pre-tokenizer leaves the token whole, so that merges could make it.

    It does not with what RoBERTa's vocabulary holds beside the results of its merges: ``<|endoftext|>`` is three pieces,
    ``madeupword0000`` two. A token that is no whole character can come from merges alone.
    """
    from tokenizers import decoders, pre_tokenizers

    text = decoders.ByteLevel().decode([token])
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return len(pieces) == 1 or "\N{REPLACEMENT CHARACTER}" in text


_GIVE = "give the files that the checkpoint was trained with"
