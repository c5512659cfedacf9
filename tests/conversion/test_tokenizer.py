"""The model folder's tokenizer, as Transformers loads it, against GluonNLP's ids."""

import functools
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, pipeline

from bort_convert.conversion.tokenizer import build_tokenizer, load_tokenizer
from bort_convert.conversion.vocabulary import Vocabulary, check_merges, check_tokens
from bort_convert.errors import ModelFolderError
from tests import golden_tokenizer
from tests.golden_tokenizer import SIZE, SPECIAL_TOKENS, gluonnlp_encoder, golden_encoder, write_gluonnlp

EXPECTED = golden_tokenizer.expected()


@pytest.fixture(scope="module")
def tokenizer(tokenizer_model: Path) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tokenizer_model)
    return loaded


def test_every_golden_text(tokenizer: PreTrainedTokenizerBase) -> None:
    singles = EXPECTED["singles"]
    assert len(singles) == 260
    for single in singles:
        assert tokenizer(single["text"])["input_ids"] == single["input_ids"]
        assert tokenizer(single["text"], add_special_tokens=False)["input_ids"] == single["ids"]
        assert tokenizer.tokenize(single["text"]) == single["tokens"]
        assert tokenizer.decode(single["ids"]) == single["text"]


def test_every_golden_pair(tokenizer: PreTrainedTokenizerBase) -> None:
    pairs = EXPECTED["pairs"]
    assert len(pairs) == 80
    for pair in pairs:
        assert tokenizer(pair["text_a"], pair["text_b"])["input_ids"] == pair["input_ids"]


def test_the_golden_special_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    assert EXPECTED["vocab_size"] == len(tokenizer) == SIZE
    assert EXPECTED["special"] == {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    uses = ("bos", "cls", "eos", "sep", "pad", "unk", "mask")
    assert [getattr(tokenizer, f"{use}_token_id") for use in uses] == [0, 0, 2, 2, 1, 3, SIZE - 1]


def test_one_separator_between_the_texts_of_a_pair(tokenizer: PreTrainedTokenizerBase) -> None:
    a, b = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("Hello", " world"))
    assert tokenizer("Hello", " world")["input_ids"] == [0, *a, 2, *b, 2]
    assert tokenizer.num_special_tokens_to_add(pair=True) == 3
    assert tokenizer("Hello", " world", return_token_type_ids=True)["token_type_ids"] == [0] * (len(a) + len(b) + 3)


def test_what_the_model_is_given(tokenizer: PreTrainedTokenizerBase) -> None:
    assert set(tokenizer("Hello")) == {"input_ids", "attention_mask"}
    assert tokenizer.model_max_length == 40
    assert len(tokenizer("a " * 100, truncation=True)["input_ids"]) == 40
    pair = tokenizer("a " * 100, "b " * 100, truncation=True)["input_ids"]
    assert len(pair) == 40
    assert abs(pair.index(2) - 1 - (40 - 3) / 2) < 1  # cut equally


def test_padding_on_the_right(tokenizer: PreTrainedTokenizerBase) -> None:
    batch = tokenizer(["a", "a b c"], padding=True)
    assert batch["input_ids"][0] == [*tokenizer("a")["input_ids"], 1, 1]
    assert batch["attention_mask"] == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_the_mask_takes_the_space_before_it(tokenizer: PreTrainedTokenizerBase) -> None:
    with_space, without = (tokenizer(text)["input_ids"] for text in ("Hello <mask> you", "Hello<mask> you"))
    assert with_space == without
    assert with_space.count(SIZE - 1) == 1


def test_offsets_leave_spaces_out(tokenizer: PreTrainedTokenizerBase) -> None:
    offsets = tokenizer("a  self", return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    assert offsets[0] == (0, 1)
    assert offsets[-1] == (3, 7)


def test_saving_and_loading_again_changes_nothing(
    tokenizer: PreTrainedTokenizerBase, tokenizer_model: Path, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path / "once")
    again: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tmp_path / "once")
    again.save_pretrained(tmp_path / "twice")
    written, once, twice = (
        folder.joinpath("tokenizer.json").read_text().strip()
        for folder in (tokenizer_model, tmp_path / "once", tmp_path / "twice")
    )
    assert written == once == twice
    for single in EXPECTED["singles"]:
        assert again(single["text"])["input_ids"] == single["input_ids"]
    for pair in EXPECTED["pairs"]:
        assert again(pair["text_a"], pair["text_b"])["input_ids"] == pair["input_ids"]
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert again.model_max_length == 40
    assert set(again("a")) == {"input_ids", "attention_mask"}
    assert again("a <mask>")["input_ids"] == tokenizer("a <mask>")["input_ids"]


def test_fill_mask_from_the_folder_alone(tokenizer_model: Path) -> None:
    fill = pipeline("fill-mask", str(tokenizer_model), top_k=3)
    answers = fill("Hello <mask>, how are you?")
    assert len(answers) == 3
    assert all(answer["sequence"].startswith("Hello") for answer in answers)


@functools.cache
def golden_tokens() -> Tokenizer:
    return build_tokenizer(golden_tokenizer.vocabulary())


def ids(text: str) -> list[int]:
    """The ids from the tokenizer of the golden vocabulary, which is the one that the tests above read from a folder."""
    encoded: list[int] = golden_tokens().encode(text, add_special_tokens=False).ids
    return encoded


ANY_CHARACTER = st.characters(exclude_categories=("Cs", "Cn"))
"""Surrogates are no text; what this Python's Unicode does not know, the libraries' versions of Unicode may class apart."""
FRAGMENTS = st.sampled_from(
    [
        "'s",
        "'t",
        "'re",
        "'ve",
        "'m",
        "'ll",
        "'d",
        "'S",
        "self",
        " the",
        "  ",
        *" \n\t\u00a0\u3000\x1c\x85",
        *"aBéßе漢1٣²Ⅷ_-.'’€👍🏽\u200d\u0301Ġ<>",
    ]
)
TEXTS = st.one_of(
    st.text(ANY_CHARACTER), st.lists(FRAGMENTS).map("".join), st.lists(st.one_of(FRAGMENTS, ANY_CHARACTER)).map("".join)
)


@settings(max_examples=1000, deadline=None)
@given(TEXTS)
@example("")
def test_any_text_has_gluonnlps_ids(text: str) -> None:
    assume(not any(token in text for token in SPECIAL_TOKENS))
    assert ids(text) == golden_encoder()(text)


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS)
def test_any_pair_has_gluonnlps_ids(tokenizer: PreTrainedTokenizerBase, first: str, second: str) -> None:
    assume(not any(token in text for token in SPECIAL_TOKENS for text in (first, second)))
    encode = golden_encoder()
    expected = [0, *encode(first), 2, *encode(second), 2]
    assert tokenizer([first], [second], verbose=False)["input_ids"] == [expected]


def test_every_assigned_character_is_split_as_gluonnlp_splits_it() -> None:
    """Each one beside letters, digits, punctuation and spaces: between them they show its class."""
    encode = golden_encoder()
    for characters in batches(size=64):
        text = "".join(f"a{character}1{character}!{character} {character}\n" for character in characters)
        if ids(text) != encode(text):
            differing = [character for character in characters if ids(f"a{character}1") != encode(f"a{character}1")]
            pytest.fail(f"split otherwise: {[f'U+{ord(character):04X}' for character in differing or characters]}")


def batches(size: int) -> Iterator[list[str]]:
    """All characters that this Python's Unicode knows, private ones left out but for the first and last of each plane."""
    known = [
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character) not in ("Cs", "Cn", "Co")
    ]
    known += ["\ue000", "\uf8ff", "\U000f0000", "\U000ffffd", "\U00100000", "\U0010fffd"]
    assert len(known) > 140_000
    for start in range(0, len(known), size):
        yield known[start : start + size]


@st.composite
def small_vocabularies(draw: st.DrawFn) -> Vocabulary:
    """A few letters, not all bytes, and random merges of them: most characters are unknown, and ranks compete."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *draw(st.permutations("abcĠ'!"))]
    parts, merges = tokens[4:], []
    for _ in range(draw(st.integers(1, 15))):
        merge = draw(st.sampled_from(parts)), draw(st.sampled_from(parts))
        if "".join(merge) not in tokens:
            merges.append(merge)
            tokens.append("".join(merge))
            parts.append("".join(merge))
    return Vocabulary((*tokens, "<mask>"), tuple(merges))


@settings(max_examples=150, deadline=None)
@given(small_vocabularies(), st.lists(st.text("abc '!x1é", max_size=40), min_size=1, max_size=8))
def test_any_vocabulary_gives_gluonnlps_ids(vocabulary: Vocabulary, texts: list[str]) -> None:
    assume(vocabulary.merges)
    check_tokens(vocabulary.tokens, len(vocabulary.tokens), "drawn")
    check_merges(vocabulary, "drawn")
    ours = build_tokenizer(vocabulary)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encode = gluonnlp_encoder(*write_gluonnlp(Path(folder), vocabulary.tokens, vocabulary.merges))
    for text in texts:
        assert ours.encode(text, add_special_tokens=False).ids == encode(text)


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"tokenizer\.json: no such file; convert the checkpoint with --vocab"):
        load_tokenizer(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(
        ModelFolderError, match=r"tokenizer\.json: cannot be read: .*; give a folder that 'convert' wrote"
    ):
        load_tokenizer(tmp_path / "file")


def test_a_folder_with_a_broken_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelFolderError, match=r"tokenizer\.json: not a tokenizer: .*; convert the checkpoint again"):
        load_tokenizer(tmp_path)
