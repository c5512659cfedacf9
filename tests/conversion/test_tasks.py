"""Fine-tuned checkpoints of the 21 tasks, and of one's own: what the folder's config says of the outputs."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.errors import TaskMismatchError
from tests.bort.test_tasks import EXPECTED
from tests.conversion.test_golden import load
from tests.support import TINY, bort_arrays, listing, write_list

transformers: Any = importlib.import_module("transformers")


def classifier(path: Path, num_outputs: int) -> Path:
    return write_list(path, bort_arrays(head="classifier", num_outputs=num_outputs))


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


@pytest.mark.parametrize(("task", "labels"), EXPECTED.items())
@pytest.mark.parametrize("told_by", ["option", "file name"])
def test_every_task(tmp_path: Path, task: str, labels: tuple[str, ...] | None, told_by: str) -> None:
    declared = Declaration(num_heads=TINY.num_heads, task=task if told_by == "option" else None)
    name = "mine.params" if told_by == "option" else f"model_bort_{task}_7.params"
    convert(classifier(tmp_path / name, len(labels or ("score",))), tmp_path / "model", declared)
    config = config_of(tmp_path / "model")
    names = labels or ("LABEL_0",)
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {str(index): label for index, label in enumerate(names)}
    assert config["label2id"] == {label: index for index, label in enumerate(names)}
    assert config["problem_type"] == ("single_label_classification" if labels else "regression")
    record = json.loads((tmp_path / "model" / "conversion.json").read_text())
    assert (record["architecture"]["task"], record["declared"]["task"]) == (task, task)
    assert record["architecture"]["labels"] == list(names)
    read = transformers.AutoConfig.from_pretrained(tmp_path / "model")
    assert read.id2label == dict(enumerate(names))
    assert read.label2id == config["label2id"]
    assert (read.num_labels, read.problem_type) == (len(names), config["problem_type"])


@pytest.mark.parametrize("num_outputs", [1, 2, 6])
def test_neither_task_nor_labels(tmp_path: Path, num_outputs: int) -> None:
    path = classifier(tmp_path / "mine.params", num_outputs)
    convert(path, tmp_path / "model", Declaration(num_heads=TINY.num_heads))
    config = config_of(tmp_path / "model")
    assert list(config["id2label"].values()) == [f"LABEL_{index}" for index in range(num_outputs)]
    assert config["problem_type"] == ("regression" if num_outputs == 1 else "single_label_classification")


def test_labels_come_before_what_the_file_name_tells(tmp_path: Path) -> None:
    path = classifier(tmp_path / "model_bort_MNLI_2.params", 2)
    convert(path, tmp_path / "model", Declaration(num_heads=TINY.num_heads, labels=("no", "yes")))
    config = config_of(tmp_path / "model")
    assert config["id2label"] == {"0": "no", "1": "yes"}
    assert json.loads((tmp_path / "model" / "conversion.json").read_text())["architecture"]["task"] is None


def test_a_file_name_that_its_classes_contradict(tmp_path: Path) -> None:
    path = classifier(tmp_path / "model_bort_MNLI_2.params", 2)
    before = listing(tmp_path)
    with pytest.raises(TaskMismatchError, match=r"task MNLI has 3 \(neutral.* the classifier has 2 outputs"):
        convert(path, tmp_path / "model", Declaration(num_heads=TINY.num_heads))
    assert listing(tmp_path) == before
    convert(path, tmp_path / "encoder", Declaration(num_heads=TINY.num_heads, head="encoder"))
    assert config_of(tmp_path / "encoder")["architectures"] == ["BertModel"]


@pytest.mark.parametrize("dropout", [True, False])
def test_the_model_is_a_classifier(tmp_path: Path, dropout: bool) -> None:
    """Whatever the indices in its names: the first Dense is the pooler, and row 0 gives the logits."""
    import torch

    arrays = bort_arrays(head="classifier")
    stored = {
        name if dropout else name.replace("classifier.1.", "classifier.0.").replace("classifier.3.", "classifier.1."): a
        for name, a in arrays.items()
    }
    convert(write_list(tmp_path / "f", stored), tmp_path / "model", Declaration(num_heads=TINY.num_heads))
    model, report, messages = load("AutoModelForSequenceClassification", tmp_path / "model")
    assert (set(report["missing_keys"]), set(report["unexpected_keys"]), messages) == (set(), set(), [])
    ids = torch.tensor([[0, 5, 7, 2]])
    with torch.no_grad():
        logits = model.eval()(ids).logits.numpy()
        row = model.bert(ids).last_hidden_state[:, 0].numpy()
    pooled = np.tanh(row @ arrays["classifier.1.weight"].T + arrays["classifier.1.bias"])
    expected = pooled @ arrays["classifier.3.weight"].T + arrays["classifier.3.bias"]
    np.testing.assert_allclose(logits, expected, atol=1e-6)  # float32 sums of 16 terms of size 1
    assert np.abs(expected).max() > 0.05


def test_a_saved_classifier_trains_by_its_problem_type(tmp_path: Path) -> None:
    """Transformers chooses the loss by it: a regression has one, whose target is a number."""
    import torch

    convert(classifier(tmp_path / "f", 1), tmp_path / "model", Declaration(num_heads=4, task="STS-B"))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        outputs = model(torch.tensor([[0, 5, 2]]), labels=torch.tensor([2.5]))
    assert float(outputs.loss) == pytest.approx((float(outputs.logits) - 2.5) ** 2, rel=1e-5)
