"""The formats that vocabularies and merges come in."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bort_convert.conversion.tokenizer import tokenizer_texts
from bort_convert.conversion.vocabulary_files import (
    fast_tokenizer,
    gluonnlp_tokens,
    ranked_merges,
    read_input,
    roberta_tokens,
    sha1,
)
from bort_convert.errors import VocabularyError
from tests.golden_tokenizer import BPE_RANKS, VOCAB, mxnet_worker, vocab_document, vocabulary

Document = dict[str, Any]
Change = Callable[[Document], object]


def write(folder: Path, content: object) -> Path:
    path = folder / "file"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def old_special_tokens(document: Document) -> None:
    """The uses of special tokens beside the lists, as GluonNLP wrote them before it had ``identifiers_to_tokens``."""
    identifiers = document.pop("identifiers_to_tokens")
    document |= {role: identifiers[role] for role in ("padding_token", "bos_token", "eos_token")}


def set_(key: str, value: object) -> Change:
    return lambda document: document.__setitem__(key, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: None,
        old_special_tokens,
        set_("reserved_tokens", None),
        lambda document: document["identifiers_to_tokens"].pop("mask_token"),
        lambda document: document["identifiers_to_tokens"].update(cls_token="<s>", sep_token="</s>"),
        set_("token_to_idx", dict(sorted(vocab_document()["token_to_idx"].items()))),
    ],
)
def test_every_form_is_read_as_gluonnlp_reads_it(tmp_path: Path, change: Change) -> None:
    document = vocab_document()
    change(document)
    path = write(tmp_path, document)
    assert list(gluonnlp_tokens(read_input(path))) == mxnet_worker().nlp.Vocab.from_json(path.read_text()).idx_to_token
    assert len(gluonnlp_tokens(read_input(path))) == 1505


def swap(document: Document) -> None:
    listed = document["idx_to_token"]
    listed[7], listed[8] = listed[8], listed[7]


def duplicate_id(document: Document) -> None:
    document["token_to_idx"]["class"] = 5


def gap(document: Document) -> None:
    del document["token_to_idx"]["class"]


def corrupted_index(document: Document) -> None:
    """What GluonNLP before 0.7 wrote where one token had two uses."""
    document["idx_to_token"].append("<pad>")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (swap, "id 7 is 'Ġdoc' in idx_to_token and 'ory' in token_to_idx"),
        (duplicate_id, "id 5 is given to 'class' and to 'ĠValue'"),
        (gap, "no token has id 6; the next is 'ory', id 7"),
        (corrupted_index, "idx_to_token has '<pad>' twice, as id 1 and 1505"),
        (lambda document: document["idx_to_token"].pop(), "id 1504 is missing in idx_to_token and '<mask>' in"),
        (lambda document: document["idx_to_token"].append("x y"), "id 1505 is 'x y' in idx_to_token and missing in"),
        (lambda document: document["idx_to_token"].__setitem__(9, 3), "id 9 of idx_to_token is 3, which is no token"),
        (lambda document: document["token_to_idx"].update(lp="9"), "'lp' has id '9', expected a whole number"),
        (lambda document: document["token_to_idx"].update(lp=True), "'lp' has id True, expected a whole number"),
        (lambda document: document["token_to_idx"].update(lp=-1), "'lp' has id -1, expected a whole number"),
        (lambda document: document["token_to_idx"].update({"\ud800": 1505}), "id 1505, holds half a surrogate pair"),
        (lambda document: document.pop("idx_to_token"), "not a vocabulary of GluonNLP: no list 'idx_to_token'"),
        (lambda document: document.pop("token_to_idx"), "not a vocabulary of GluonNLP"),
        (set_("unknown_token", "[UNK]"), r"unknown_token is '\[UNK\]', and Bort's is '<unk>'"),
        (set_("padding_token", "<s>"), "padding_token is '<s>', and Bort's is '<pad>'"),
        (set_("identifiers_to_tokens", {"eos_token": "<eos>"}), "eos_token is '<eos>', and Bort's is '</s>'"),
    ],
)
def test_a_vocabulary_that_is_corrupt(tmp_path: Path, change: Change, found: str) -> None:
    document = vocab_document()
    change(document)
    path = write(tmp_path, document)
    with pytest.raises(VocabularyError, match=found) as caught:
        gluonnlp_tokens(read_input(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "not valid JSON: Expecting value"),
        (VOCAB.read_text()[:5000], "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"a": 0, "b": 1, "a": 2}', "gives 'a' twice"),
    ],
)
def test_json_that_is_no_object(tmp_path: Path, text: str, found: str) -> None:
    file = read_input(write(tmp_path, text))
    for reader in (gluonnlp_tokens, roberta_tokens, fast_tokenizer):
        with pytest.raises(VocabularyError, match=found) as caught:
            reader(file)
        assert "\n" not in str(caught.value)


def test_the_golden_ranks() -> None:
    merges = ranked_merges(read_input(BPE_RANKS))
    assert len(merges) == 1244
    assert merges[0] == ("Ġ", "Ġ")
    assert merges[-1] == ("Ġ", "sel")


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    path = tmp_path / "ranks"
    path.write_bytes(BPE_RANKS.read_bytes().replace(b"\n", b"\r\n"))
    assert ranked_merges(read_input(path)) == ranked_merges(read_input(BPE_RANKS))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "ends in the middle of line 1: the file is cut short"),
        ("#version: 0.2", "ends in the middle of line 1: the file is cut short"),
        ("#version: 0.2\n", "no merge after the header '#version: 0.2'"),
        ("#version: 0.2\na b\nab", "ends in the middle of line 3: the file is cut short"),
        ("#version: 0.2\na b\nab\n", "line 3 is 'ab', expected two tokens"),
        ("#version: 0.2\na b\n\nab c\n", "line 3 is '', expected two tokens"),
        ("#version: 0.2\na b c\n", "line 2 is 'a b c', expected two tokens"),
    ],
)
def test_ranks_that_are_corrupt(tmp_path: Path, text: str, found: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(VocabularyError, match=f"^{path}: {found}; "):
        ranked_merges(read_input(path))


def test_a_vocab_json(tmp_path: Path) -> None:
    assert roberta_tokens(read_input(write(tmp_path, {"b": 1, "a": 0}))) == ("a", "b")
    with pytest.raises(VocabularyError, match="no token has id 1"):
        roberta_tokens(read_input(write(tmp_path, {"b": 2, "a": 0})))


def fast_document() -> Document:
    document: Document = json.loads(tokenizer_texts(vocabulary(), 40)["tokenizer.json"])
    return document


def merges_as_text(document: Document) -> None:
    document["model"]["merges"] = [" ".join(merge) for merge in document["model"]["merges"]]


def mask_added(document: Document) -> None:
    del document["model"]["vocab"]["<mask>"]


def in_a_sequence(document: Document) -> None:
    document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [document["pre_tokenizer"]]}


@pytest.mark.parametrize("change", [lambda document: None, merges_as_text, mask_added, in_a_sequence])
def test_a_fast_tokenizer(tmp_path: Path, change: Change) -> None:
    document = fast_document()
    change(document)
    golden = vocabulary()
    assert fast_tokenizer(read_input(write(tmp_path, document))) == (golden.tokens, golden.merges)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda document: document.pop("model"), "not a byte-level BPE tokenizer"),
        (lambda document: document["model"].update(type="WordPiece"), "not a byte-level BPE tokenizer"),
        (lambda document: document["model"].update(vocab=[]), "not a byte-level BPE tokenizer"),
        (set_("pre_tokenizer", None), "not a byte-level BPE tokenizer"),
        (set_("pre_tokenizer", {"type": "Metaspace"}), "not a byte-level BPE tokenizer"),
        (lambda document: document["model"]["merges"].append("a"), "merge 1244 is 'a', expected two tokens"),
        (
            lambda document: document["model"]["merges"].append(["a", 1]),
            r"merge 1244 is \['a', 1\], expected two tokens",
        ),
        (
            lambda document: document["added_tokens"][0].update(id=9),
            "added token '<s>' has id 9, and 0 in the vocabulary",
        ),
        (lambda document: document["added_tokens"].append(4), "added token None has id None"),
        (lambda document: document["model"]["vocab"].pop("class"), "no token has id 6"),
    ],
)
def test_another_tokenizer(tmp_path: Path, change: Change, found: str) -> None:
    document = fast_document()
    change(document)
    with pytest.raises(VocabularyError, match=found):
        fast_tokenizer(read_input(write(tmp_path, document)))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="cannot be read: no such file; check the name"):
        read_input(tmp_path / "missing")
    with pytest.raises(VocabularyError, match="not a file; give the file itself"):
        read_input(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VocabularyError, match="not a file"):
        read_input(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(VocabularyError, match="not UTF-8 text, at byte 3"):
        read_input(tmp_path / "latin")


def test_digests() -> None:
    assert read_input(VOCAB).sha256 == "ef77a6073ad64b87f14f2b017aabb8aecfc79ad6c3030650ca75ee81df1b9346"
    assert sha1(BPE_RANKS) == "0808948450da6a48569d458fb10a2dd86ec54e42"
