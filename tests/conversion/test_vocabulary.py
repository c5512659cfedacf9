"""The checks that a vocabulary is a Bort's, and this checkpoint's."""

import pytest

from bort_convert.conversion.vocabulary import Merge, Vocabulary, check_merges, check_tokens
from bort_convert.errors import VocabularyError
from tests.golden_tokenizer import SIZE, vocabulary

GOLDEN = vocabulary()
TOKENS, MERGES = GOLDEN.tokens, GOLDEN.merges


def test_the_golden_vocabulary_holds() -> None:
    check_tokens(TOKENS, SIZE, "file")
    check_merges(GOLDEN, "file")


@pytest.mark.parametrize(
    ("tokens", "vocab_size", "found"),
    [
        (("<pad>", "<s>", *TOKENS[2:]), SIZE, "id 0 is '<pad>', expected '<s>'"),
        (("<s>", "[PAD]", *TOKENS[2:]), SIZE, r"id 1 is '\[PAD\]', expected '<pad>'"),
        ((*TOKENS[:3], *TOKENS[4:], "<unk>"), SIZE, "id 3 is 'ibute', expected '<unk>'"),
        (("<s>", "<pad>"), 2, "id 2 is nothing, expected '</s>'"),
        ((), SIZE, "id 0 is nothing, expected '<s>'"),
        (TOKENS, SIZE - 1, "1505 tokens for an embedding of 1504 rows; .* id 1504: '<mask>' has no row"),
        (TOKENS, SIZE + 2, "1505 tokens for an embedding of 1507 rows; .* id 1505: the row has no token"),
        (
            (*TOKENS, "[SEP]", "[CLS]"),
            SIZE,
            r"1507 tokens for an embedding of 1505 rows; .* id 1505: '\[SEP\]' has no row",
        ),
        ((*TOKENS[:-2], "<mask>", TOKENS[-2]), SIZE, "the last id, 1504, is 'thon', expected '<mask>'"),
    ],
)
def test_tokens_that_are_wrong(tokens: tuple[str, ...], vocab_size: int, found: str) -> None:
    with pytest.raises(VocabularyError, match=f"^file: {found}; give "):
        check_tokens(tokens, vocab_size, "file")


def without(token: str) -> tuple[str, ...]:
    return tuple(other for other in TOKENS if other != token)


FIRST, SECOND, *_ = MERGES


@pytest.mark.parametrize(
    ("tokens", "merges", "found"),
    [
        (without("ĠĠ"), MERGES, "merge 0, 'Ġ Ġ': 'ĠĠ' is not in the vocabulary"),
        (without("Ġ"), MERGES, "merge 0, 'Ġ Ġ': 'Ġ' is not in the vocabulary"),
        (TOKENS, (*MERGES, ("¿", "¿")), "merge 1244, '¿ ¿': '¿¿' is not in the vocabulary"),
        (TOKENS, (FIRST, SECOND, FIRST, *MERGES[2:]), "merges 0 and 2 are the same, 'Ġ Ġ'"),
        (TOKENS, MERGES[:-1], "no merge makes 'Ġsel', id 345: the file is cut short, or another's"),
        (
            (*TOKENS[:-1], "zebra", "<mask>"),
            MERGES,
            "no merge makes 'zebra', id 1504: the file is cut short, or another's",
        ),
        # No whole character, so it can only come from merges; and one beside a letter, where its text would be split.
        ((*TOKENS[:-1], "ïĢ", "<mask>"), MERGES, "no merge makes 'ïĢ', id 1504"),
        ((*TOKENS[:-1], "zÃ", "<mask>"), MERGES, "no merge makes 'zÃ', id 1504"),
    ],
)
def test_merges_that_are_wrong(tokens: tuple[str, ...], merges: tuple[Merge, ...], found: str) -> None:
    with pytest.raises(VocabularyError, match=f"^file: {found}.*; give "):
        check_merges(Vocabulary(tokens, merges), "file")


@pytest.mark.parametrize("count", [1, 2, 10, len(MERGES) - 1])
def test_ranks_cut_short_at_the_end_of_a_line(count: int) -> None:
    with pytest.raises(VocabularyError, match="the file is cut short"):
        check_merges(Vocabulary(TOKENS, MERGES[:-count]), "file")


@pytest.mark.parametrize("filler", ["<|endoftext|>", "madeupword0000", "madeupword0002"])
def test_what_robertas_vocabulary_holds_beside_its_merges(filler: str) -> None:
    check_merges(Vocabulary((*TOKENS[:-1], filler, "<mask>"), MERGES), "file")
