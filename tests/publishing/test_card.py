"""The card says what the folder is, for every head, and nothing that is not so."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from bort_convert.errors import CardError
from bort_convert.publishing.publication import prepare
from tests.support import DATA, run

ROOT = Path(__file__).parents[2]
CHECKPOINTS = {
    "encoder": ("bort_tiny_encoder.params", "feature-extraction"),
    "mlm": ("bort_tiny_mlm.params", "fill-mask"),
    "classifier": ("model_bort_MNLI_2.params", "text-classification"),
    "regressor": ("bort_tiny_regressor.params", "text-classification"),
}


def converted(folder: Path, name: str, *options: str) -> Path:
    result = run("convert", DATA / CHECKPOINTS[name][0], folder / "model", "--num-heads", "4", *options)
    assert result.exit_code == 0, result.stderr
    return folder / "model"


def unverified_card(folder: Path, **options: str) -> str:
    return prepare(folder, "user/tiny", allow_unverified=True, **options).card


def metadata(card: str) -> dict[str, object]:
    """Read back by huggingface_hub, as the Hub would."""
    from huggingface_hub import ModelCard

    data: dict[str, object] = ModelCard(card).data.to_dict()  # type: ignore[no-untyped-call]
    return data


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_metadata(tmp_path: Path, name: str) -> None:
    expected = {
        "license": "apache-2.0",
        "language": "en",
        "library_name": "transformers",
        "pipeline_tag": CHECKPOINTS[name][1],
        "tags": ["bort", "bert", "gluonnlp", "arxiv:2010.10499"],
    }
    assert metadata(unverified_card(converted(tmp_path, name))) == expected


def test_the_base_model_can_be_named(tmp_path: Path) -> None:
    folder = converted(tmp_path, "classifier")
    assert metadata(unverified_card(folder, base_model="user/bort"))["base_model"] == "user/bort"
    with pytest.raises(CardError, match="--base-model a b: not a model's name on the Hub, like user/name"):
        unverified_card(folder, base_model="a b")


def test_the_base_of_the_released_architecture_is_the_released_model(tmp_path: Path) -> None:
    """And of one of one's own is left out, as above."""
    folder = converted(tmp_path, "classifier")
    record = json.loads((folder / "conversion.json").read_text())
    record["architecture"]["name"] = "bort_4_8_768_1024"
    (folder / "conversion.json").write_text(json.dumps(record))
    assert metadata(unverified_card(folder))["base_model"] == "amazon/bort"


def test_only_fine_tuned_models_have_a_base(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"--base-model is for fine-tuned models, this one's head is mlm; leave it out"):
        unverified_card(converted(tmp_path, "mlm"), base_model="user/bort")


def test_metadata_that_read_back_differently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import ModelCardData

    folder = converted(tmp_path, "encoder")
    monkeypatch.setattr(ModelCardData, "to_yaml", lambda self, line_break=None: "license: mit")
    with pytest.raises(CardError, match=r"the card's metadata read back as {'license': 'mit'}, meant was"):
        unverified_card(folder)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_loading_code_runs(tmp_path: Path, name: str) -> None:
    """Run as it stands, from the folder in which the name is the model."""
    folder = converted(tmp_path, name)
    card = unverified_card(folder)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    target = tmp_path / "user" / "tiny"
    shutil.copytree(folder, target)
    namespace: dict[str, object] = {}
    exec(code.replace('"user/tiny"', repr(str(target))), namespace)
    classes = {"encoder": "BertModel", "mlm": "BertForMaskedLM"}
    assert type(namespace["model"]).__name__ == classes.get(name, "BertForSequenceClassification")


def test_the_tokenizer_is_loaded_where_there_is_one(tmp_path: Path) -> None:
    folder = converted(tmp_path, "mlm")
    assert "AutoTokenizer" not in unverified_card(folder)
    assert "There is no tokenizer here." in unverified_card(folder)
    (folder / "tokenizer.json").write_text("{}")
    assert 'AutoTokenizer.from_pretrained("user/tiny")' in unverified_card(folder)
    assert "There is no tokenizer here." not in unverified_card(folder)


PAIRS = "A pair of texts has one `</s>` between them"
NOT_CHECKED = "The tokenizer was not checked."
NOT_SHOWN = "Nobody has shown that the tokenizer is Bort's."


@pytest.mark.parametrize("checked", [False, True])
def test_a_tokenizer_that_was_not_checked(verified: Path, checked: bool) -> None:
    (verified / "tokenizer.json").write_text("{}")
    report = json.loads((verified / "verification.json").read_text())
    report["text_files_sha256"]["tokenizer.json"] = hashlib.sha256(b"{}").hexdigest()
    if checked:
        report["checks"].append({"kind": "tokenizer", "name": "'a'", "failure": "", "passed": True})
    (verified / "verification.json").write_text(json.dumps(report))
    card = prepare(verified, "user/tiny").card
    assert "**Verified.**" in card
    assert (PAIRS in card, NOT_CHECKED in card, NOT_SHOWN in card) == (checked, not checked, not checked)


def test_a_tokenizer_of_an_unverified_folder(verified: Path) -> None:
    (verified / "tokenizer.json").write_text("{}")
    card = unverified_card(verified)
    assert (PAIRS in card, NOT_CHECKED in card, NOT_SHOWN in card) == (False, False, True)


def test_no_tokenizer_is_no_unchecked_one(verified_once: Path) -> None:
    card = prepare(verified_once, "user/tiny").card
    assert (PAIRS in card, NOT_CHECKED in card, NOT_SHOWN in card) == (False, False, False)


def test_every_number_of_the_table_is_the_reports(verified_once: Path) -> None:
    report = json.loads((verified_once / "verification.json").read_text())
    card = prepare(verified_once, "user/tiny").card
    rows = re.findall(r"^\| (float\d\d) \| ([\w.]+) \| (\S+) \| (\S+) \| (\S+) \|$", card, re.MULTILINE)
    keys = [(dtype, stage) for dtype, stage, *_ in rows]
    assert keys == list(dict.fromkeys((stage["dtype"], stage["stage"]) for stage in report["stages"]))
    assert len(keys) == 12
    for dtype, name, largest, mean, atol in rows:
        alike = [stage for stage in report["stages"] if (stage["dtype"], stage["stage"]) == (dtype, name)]
        worst = max(alike, key=lambda stage: stage["largest"])
        assert (largest, mean, atol) == (f"{worst['largest']:.1e}", f"{worst['mean']:.1e}", f"{worst['atol']:.0e}")


def test_says_what_is_not_exact(verified_once: Path) -> None:
    report = json.loads((verified_once / "verification.json").read_text())
    card = prepare(verified_once, "user/tiny").card
    assert f"They differ from MXNet's by at most {report['known_residual']['largest']:.1e}" in card
    assert "normalises with eps 1e-12" in card


def test_an_encoder_has_no_such_residual(tmp_path: Path) -> None:
    assert "1e-12" not in unverified_card(converted(tmp_path, "encoder"))


def test_where_it_came_from(verified_once: Path) -> None:
    record = json.loads((verified_once / "conversion.json").read_text())
    publication = prepare(verified_once, "user/tiny")
    report = json.loads((verified_once / "verification.json").read_text())
    assert f"| checkpoint SHA-256 | `{report['checkpoint_sha256']}` |" in publication.card
    assert f"| checkpoint digest | `{record['source']['digest']}` |" in publication.card
    assert f"| tensor digest | `{publication.tensor_digest}` |" in publication.card


def test_outputs_of_a_classifier(tmp_path: Path) -> None:
    card = unverified_card(converted(tmp_path, "classifier"))
    assert "Fine-tuned on MNLI." in card
    for index, label in enumerate(("neutral", "entailment", "contradiction")):
        assert f"| {index} | `{label}` |" in card


def test_labels_cannot_break_the_card(tmp_path: Path) -> None:
    card = unverified_card(converted(tmp_path, "classifier", "--labels", "a|b,`c`,$d\n---"))
    assert "| 0 | `a\\|b` |" in card
    assert "| 1 | `` `c` `` |" in card
    assert "| 2 | `$d ---` |" in card


def test_a_regression(tmp_path: Path) -> None:
    assert "One output, a number: a regression." in unverified_card(converted(tmp_path, "regressor"))


def test_the_table_of_rounded_weights_is_said_to_be_of_others(verified_rounded: Path) -> None:
    report = json.loads((verified_rounded / "verification.json").read_text())
    card = prepare(verified_rounded, "user/tiny").card
    largest = max(report["export_rounding"], key=lambda each: each["largest"])
    assert "**Verified.**" in card
    assert "The weights are rounded. The table is of the model before that" in card
    assert f"moves outputs by at most {largest['largest']:.1e} ({largest['stage']}, float64)." in card


def test_wider_weights_are_not_rounded(tmp_path: Path) -> None:
    options = ("--num-heads", "4", "--dtype", "float32")
    assert run("convert", DATA / "bort_tiny_mlm_fp16.params", tmp_path / "m", *options).exit_code == 0
    publication = prepare(tmp_path / "m", "user/tiny", allow_unverified=True)
    (notice,) = (str(file.content) for file in publication.files if file.name == "NOTICE")
    for text in (notice, publication.card):
        assert "41 tensors were widened from float16 to float32, exactly." in text
        assert "No value was changed." in text
        assert "rounded" not in text


@pytest.mark.parametrize("container", ["safetensors", "pytorch"])
def test_tensors_that_were_changed_after_the_conversion(tmp_path: Path, container: str) -> None:
    folder = converted(tmp_path, "mlm", "--format", container)
    every = "`conversion.json` says of every tensor where it came from and what its SHA-256 is."
    assert every in unverified_card(folder)
    name = "bert.embeddings.LayerNorm.weight"
    change_tensor(folder, name)
    publication = prepare(folder, "user/tiny", allow_unverified=True)
    (notice,) = (str(file.content) for file in publication.files if file.name == "NOTICE")
    for text in (notice, publication.card):
        assert f"- Tensors were changed, added or taken out after the conversion (1): {name}.\n" in text
        assert "No value was changed." not in text
    assert every not in publication.card


def test_many_changed_tensors_are_not_all_named(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = converted(tmp_path, "mlm")
    tensors = {name: array for name, array in load_file(folder / "model.safetensors").items() if "query" not in name}
    save_file(tensors | {"a": tensors["bert.embeddings.LayerNorm.bias"], "b c": tensors["bert.embeddings.LayerNorm.bias"]},
              folder / "model.safetensors")  # fmt: skip
    names = ("weight", "bias")
    lost = [f"bert.encoder.layer.{layer}.attention.self.query.{name}" for layer in (0, 1) for name in sorted(names)]
    card = unverified_card(folder)
    assert (
        f"Tensors were changed, added or taken out after the conversion (6): {', '.join(['a', 'b c', *lost][:5])}, …."
        in card
    )


def change_tensor(folder: Path, name: str) -> None:
    """Multiplies a tensor of the model file by 3."""
    import torch
    from safetensors.torch import load_file, save_file

    if (path := folder / "model.safetensors").exists():
        state = load_file(path)
        save_file(state | {name: state[name] * 3}, path)
    else:
        path = folder / "pytorch_model.bin"
        state = torch.load(path)
        torch.save(state | {name: state[name] * 3}, path)


def test_rounding_is_told(tmp_path: Path) -> None:
    folder = converted(tmp_path, "mlm", "--dtype", "float16")
    publication = prepare(folder, "user/tiny", allow_unverified=True)
    (notice,) = (str(file.content) for file in publication.files if file.name == "NOTICE")
    assert "tensors were rounded from float32 to float16." in notice
    assert "tensors were rounded from float32 to float16." in publication.card
    assert "No value was changed." not in notice + publication.card
    assert "The weights are rounded." in publication.card


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_papers_licence_and_notice(tmp_path: Path, name: str) -> None:
    publication = prepare(converted(tmp_path, name), "user/tiny", allow_unverified=True)
    for number, title in (
        ("2010.10499", "Optimal Subarchitecture Extraction For BERT"),
        ("2010.08512", "An Approximation Algorithm for Optimal Subarchitecture Extraction"),
        ("2010.07990", "An Algorithm for Learning Smaller Representations of Models With Scarce Data"),
    ):
        assert f"eprint = {{{number}}}" in publication.card
        assert f"title = {{{title}}}" in publication.card
    texts = {file.name: str(file.content) for file in publication.files}
    assert texts["LICENSE"] == (ROOT / "LICENSE").read_text()
    assert "Copyright Amazon.com, Inc. or its affiliates.\n" in texts["NOTICE"]
    assert "Note of changes" in texts["NOTICE"]
    assert "model.safetensors was changed from the file" in texts["NOTICE"]
    assert "No value was changed." in texts["NOTICE"]


def test_the_same_folder_gives_the_same_card(verified_once: Path) -> None:
    assert prepare(verified_once, "user/tiny") == prepare(verified_once, "user/tiny")


def test_no_path_of_this_machine_is_published(verified_once: Path) -> None:
    for file in prepare(verified_once, "user/tiny").files:
        content = file.content.read_bytes() if isinstance(file.content, Path) else file.content.encode()
        assert str(verified_once.parent).encode() not in content, file.name
        assert str(DATA).encode() not in content, file.name
