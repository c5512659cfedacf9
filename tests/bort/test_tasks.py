"""The 21 tasks, and what a classifier's outputs are called."""

import pytest

from bort_convert.bort.tasks import TASKS, Outputs, name_outputs, task_of_file
from bort_convert.errors import TaskMismatchError

EXPECTED: dict[str, tuple[str, ...] | None] = {
    "MRPC": ("0", "1"),
    "QQP": ("0", "1"),
    "WNLI": ("0", "1"),
    "COPA": ("0", "1"),
    "MultiRC": ("0", "1"),
    "ReCoRD": ("0", "1"),
    "CoLA": ("0", "1"),
    "SST": ("0", "1"),
    "RTE": ("not_entailment", "entailment"),
    "QNLI": ("not_entailment", "entailment"),
    "SuperGLUERTE": ("not_entailment", "entailment"),
    "AXb": ("not_entailment", "entailment"),
    "AXg": ("not_entailment", "entailment"),
    "MNLI": ("neutral", "entailment", "contradiction"),
    "CB": ("neutral", "entailment", "contradiction"),
    "BoolQ": ("false", "true"),
    "WiC": ("false", "true"),
    "WSC": ("false", "true"),
    "RACE-H": ("0", "1", "2", "3"),
    "RACE-M": ("0", "1", "2", "3"),
    "STS-B": None,
}
"""By name, the labels in the order of the outputs as the original fine-tuning has them; None for its one regression."""


def test_there_are_21() -> None:
    assert len(EXPECTED) == 21
    assert dict(TASKS) == EXPECTED


@pytest.mark.parametrize(("task", "labels"), EXPECTED.items())
class TestEveryTask:
    def test_labels_and_problem_type(self, task: str, labels: tuple[str, ...] | None) -> None:
        outputs = name_outputs(len(labels or ("score",)), task, None)
        assert outputs.task == task
        if labels is None:
            assert (outputs.labels, outputs.problem_type) == (("LABEL_0",), "regression")
        else:
            assert (outputs.labels, outputs.problem_type) == (labels, "single_label_classification")

    @pytest.mark.parametrize("num_outputs", [1, 2, 3, 4, 5])
    def test_another_number_of_classes(self, task: str, labels: tuple[str, ...] | None, num_outputs: int) -> None:
        if num_outputs == (len(labels) if labels else 1):
            return
        with pytest.raises(TaskMismatchError, match=rf"^task {task} has .*, the classifier has {num_outputs} outputs"):
            name_outputs(num_outputs, task, None)

    def test_the_file_names_it(self, task: str, labels: tuple[str, ...] | None) -> None:
        for epoch in ("0", "2", "19"):
            assert task_of_file(f"model_bort_{task}_{epoch}.params") == task

    def test_labels_of_ones_own(self, task: str, labels: tuple[str, ...] | None) -> None:
        own = tuple(f"own {index}" for index in range(len(labels or ("score",))))
        outputs = name_outputs(len(own), task, own)
        assert (outputs.task, outputs.labels) == (task, own)
        assert outputs.problem_type == ("single_label_classification" if labels else "regression")


@pytest.mark.parametrize(
    "name",
    [
        "bort.params",
        "0044100.params",
        "model_bort_MNLI.params",
        "model_bort_MNLI_.params",
        "model_bort_MNLI_x.params",
        "model_bort_mnli_2.params",
        "model_bort_Mine_2.params",
        "model_bort_STS_3.params",
        "model_bort_RACE_3.params",
        "model_bort_MNLI_2.params.bak",
        "my_model_bort_MNLI_2.params",
        "model_bort_MNLI_2xparams",
        "model_bort_MNLI_2.params\n",
    ],
)
def test_other_file_names_tell_nothing(name: str) -> None:
    assert task_of_file(name) is None


class TestWithoutATask:
    @pytest.mark.parametrize("num_outputs", [2, 3, 7])
    def test_classes(self, num_outputs: int) -> None:
        labels = tuple(f"LABEL_{index}" for index in range(num_outputs))
        outputs = name_outputs(num_outputs, None, None)
        assert outputs == Outputs(None, labels, regression=False)
        assert outputs.problem_type == "single_label_classification"

    def test_one_output_is_a_regression(self) -> None:
        assert name_outputs(1, None, None) == Outputs(None, ("LABEL_0",), regression=True)
        assert name_outputs(1, None, ("score",)) == Outputs(None, ("score",), regression=True)

    @pytest.mark.parametrize(
        "labels", [(), ("",), ("a",), ("a", "b"), ("a", "b", "c", "d"), ("a", "b", "a"), ("a", "", "c"), ("", "", "")]
    )
    def test_wrong_labels(self, labels: tuple[str, ...]) -> None:
        with pytest.raises(TaskMismatchError, match=rf"^--labels names {len(labels)} classes .* has 3 outputs"):
            name_outputs(3, None, labels)

    @pytest.mark.parametrize("labels", [None, ()])
    def test_a_classifier_without_outputs_is_none(self, labels: tuple[str, ...] | None) -> None:
        with pytest.raises(TaskMismatchError, match=r"^the classifier has no outputs"):
            name_outputs(0, None, labels)
