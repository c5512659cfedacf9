"""The check that holds a folder's tokenizer against GluonNLP's: it passes where it should, and finds each fault."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bort_convert.errors import FrameworkError, InvalidOptionError, MissingDependencyError
from bort_convert.parity.bundled_texts import PAIRS, SINGLES, TEXTS, Text
from bort_convert.parity.files import Check
from bort_convert.parity.tokenization import TokenIds, check_tokenizer, compare_ids, gluonnlp_ids
from tests.golden_tokenizer import BPE_RANKS, SPECIAL_TOKENS, VOCAB, expected

USES = ("bos", "cls", "eos", "sep", "pad", "unk", "mask")


@pytest.fixture(scope="module")
def reference() -> TokenIds:
    return gluonnlp_ids(VOCAB, BPE_RANKS)


def failures(checks: tuple[Check, ...]) -> dict[str, str]:
    assert all(check.kind == "tokenizer" for check in checks)
    return {check.name: check.failure for check in checks if not check.passed}


def test_the_bundled_texts_agree(tokenizer_model: Path) -> None:
    checks = check_tokenizer(tokenizer_model, VOCAB, BPE_RANKS)
    assert len(checks) == len(TEXTS) + len(USES) + 1
    assert failures(checks) == {}


def test_gluonnlp_gives_the_golden_ids() -> None:
    """What the worker does is what Bort's own versions did: MXNet 1.5.0, GluonNLP 0.8.3."""
    golden = expected()
    texts: list[Text] = [(single["text"],) for single in golden["singles"]]
    texts += [(pair["text_a"], pair["text_b"]) for pair in golden["pairs"]]
    given = gluonnlp_ids(VOCAB, BPE_RANKS, texts)
    assert list(map(list, given.ids)) == [entry["input_ids"] for key in ("singles", "pairs") for entry in golden[key]]
    assert given.special_tokens == golden["special"]
    assert set(given.versions) == {"python", "mxnet", "gluonnlp", "numpy"}


def test_what_the_bundled_texts_cover() -> None:
    assert all(len(text) == 1 for text in TEXTS[: len(SINGLES)])
    assert all(len(text) == 2 for text in PAIRS)
    assert len(set(TEXTS)) == len(TEXTS)
    everything = "".join("".join(text) for text in TEXTS)
    assert not any(token in everything for token in SPECIAL_TOKENS)
    for name, first, last in (("Latin", "a", "z"), ("Cyrillic", "а", "я"), ("kana", "ぁ", "ゖ"), ("emoji", "😀", "😿")):
        assert any(first <= character <= last for character in everything), name


Fault = Callable[[Path], object]


def change(name: str, edit: Callable[[dict[str, Any]], object]) -> Fault:
    def fault(folder: Path) -> None:
        path = folder / name
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document))

    return fault


def of_roberta(document: dict[str, Any]) -> None:
    document["tokenizer_class"] = "RobertaTokenizer"


def swapped_tokens(document: dict[str, Any]) -> None:
    vocab = document["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]


def swapped_merges(document: dict[str, Any]) -> None:
    merges = document["model"]["merges"]
    here, there = merges.index(["i", "n"]), merges.index(["in", "g"])
    merges[here : there + 1] = [*merges[here + 1 : there + 1], merges[here]]


def merge_lost(document: dict[str, Any]) -> None:
    document["model"]["merges"].remove(["Ġ", "a"])


def prefix_space(document: dict[str, Any]) -> None:
    document["pre_tokenizer"]["add_prefix_space"] = True


def lower_case(document: dict[str, Any]) -> None:
    document["normalizer"] = {"type": "Lowercase"}


def normalised(document: dict[str, Any]) -> None:
    document["normalizer"] = {"type": "NFC"}


def no_template(document: dict[str, Any]) -> None:
    document["post_processor"] = document["post_processor"]["processors"][0]


def token_types(document: dict[str, Any]) -> None:
    document["model_input_names"].append("token_type_ids")


def mask_leaves_space(document: dict[str, Any]) -> None:
    document["added_tokens"][-1]["lstrip"] = False


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (change("tokenizer_config.json", of_roberta), "'Is it raining?' + 'The street is wet.'"),
        (change("tokenizer.json", swapped_tokens), "'a'"),
        (change("tokenizer.json", swapped_merges), "'   \\n\\n  \\t indented after empty lines'"),
        (change("tokenizer.json", merge_lost), "'a tab\\tand a line\\nand another\\r\\nend'"),
        (change("tokenizer.json", prefix_space), "'a'"),
        (change("tokenizer.json", lower_case), "\"IT'S WHAT WE'VE SAID; THEY'RE SURE\""),
        (change("tokenizer.json", normalised), "'e\\u0301 and \\xe9; n\\u0303 and \\xf1; a\\u0323\\u0302 stacked'"),
        (change("tokenizer.json", no_template), "'a'"),
        (change("special_tokens_map.json", lambda c: c.update(mask_token="<pad>")), "mask_token"),
        (change("special_tokens_map.json", lambda c: c.update(unk_token="[UNK]")), "unk_token"),
        (change("tokenizer_config.json", lambda c: c.update(padding_side="left")), "padding"),
        (change("special_tokens_map.json", lambda c: c.update(pad_token="</s>")), "padding"),
        (change("tokenizer_config.json", token_types), "'a'"),
        (change("tokenizer.json", mask_leaves_space), "mask_token"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "AutoTokenizer"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "AutoTokenizer"),
    ],
)
def test_a_fault_is_found(tokenizer_model: Path, tmp_path: Path, reference: TokenIds, fault: Fault, found: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tokenizer_model, folder)
    fault(folder)
    wrong = failures(compare_ids(folder, TEXTS, reference))
    assert found in wrong
    assert all("\n" not in failure for failure in wrong.values())


def test_what_a_failure_says(tokenizer_model: Path, tmp_path: Path, reference: TokenIds) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tokenizer_model, folder)
    change("tokenizer_config.json", of_roberta)(folder)
    wrong = failures(compare_ids(folder, TEXTS, reference))
    assert wrong == {name: failure for name, failure in wrong.items() if " + " in name}
    assert wrong['"\'s" + "\'t"'] == "position 3: 2 (</s>), expected 160 ('t)"


def test_nothing_compared_is_a_failure(tokenizer_model: Path, reference: TokenIds) -> None:
    nothing = dataclasses.replace(reference, ids=())
    assert failures(compare_ids(tokenizer_model, (), nothing)) != {}
    assert failures(compare_ids(tokenizer_model, TEXTS, nothing)) != {}
    assert failures(compare_ids(tokenizer_model, TEXTS[:-1], reference)) != {}


def test_a_text_with_a_special_token_is_refused() -> None:
    with pytest.raises(
        InvalidOptionError, match="'a <mask>' holds <mask>, which GluonNLP takes for ordinary characters"
    ):
        gluonnlp_ids(VOCAB, BPE_RANKS, [("fine",), ("a <mask>",)])


def test_files_that_gluonnlp_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "vocab").write_text("{}")
    with pytest.raises(FrameworkError, match="MXNet failed under"):
        gluonnlp_ids(tmp_path / "vocab", BPE_RANKS)


def test_an_interpreter_without_mxnet(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'regex'\" >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(MissingDependencyError, match="No module named 'regex'"):
        gluonnlp_ids(VOCAB, BPE_RANKS, python=str(python))
