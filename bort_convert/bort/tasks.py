"""The 21 tasks that Bort was fine-tuned on, and what a classifier's outputs are called.

Labels in the order of the outputs, as ``alexa/bort``'s fine-tuning and GluonNLP's data sets give them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bort_convert.errors import TaskMismatchError

_BINARY = ("0", "1")
_ENTAILMENT = ("not_entailment", "entailment")
_THREE_WAY = ("neutral", "entailment", "contradiction")
_BOOLEAN = ("false", "true")
_CHOICE = ("0", "1", "2", "3")

TASKS: Mapping[str, tuple[str, ...] | None] = {
    "MRPC": _BINARY,
    "QQP": _BINARY,
    "RTE": _ENTAILMENT,
    "QNLI": _ENTAILMENT,
    "STS-B": None,
    "CoLA": _BINARY,
    "MNLI": _THREE_WAY,
    "WNLI": _BINARY,
    "SST": _BINARY,
    "BoolQ": _BOOLEAN,
    "CB": _THREE_WAY,
    "COPA": _BINARY,
    "MultiRC": _BINARY,
    "ReCoRD": _BINARY,
    "SuperGLUERTE": _ENTAILMENT,
    "WiC": _BOOLEAN,
    "WSC": _BOOLEAN,
    "AXb": _ENTAILMENT,
    "AXg": _ENTAILMENT,
    "RACE-H": _CHOICE,
    "RACE-M": _CHOICE,
}
"""A task's labels by its name; None for regression, one output."""

_FILE_NAME = re.compile(r"model_bort_(?P<task>.+)_\d+\.params")
"""What the fine-tuning script calls its files."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a classifier's outputs mean. ``labels`` has a name for each; a regression has one output and no class."""

    task: str | None
    labels: tuple[str, ...]
    regression: bool

    @property
    def problem_type(self) -> str:
        """Transformers' word for it, which chooses the loss."""
        return "regression" if self.regression else "single_label_classification"


def task_of_file(file_name: str) -> str | None:
    """The task that the fine-tuning script's name for a file tells."""
    match = _FILE_NAME.fullmatch(file_name)
    return match["task"] if match and match["task"] in TASKS else None


def name_outputs(num_outputs: int, task: str | None, labels: Sequence[str] | None) -> Outputs:
    """The outputs of a classifier with ``num_outputs``, of a known task, with labels of one's own, or with neither.

    One output is a regression, as in Transformers: there is nothing to classify. Raises TaskMismatchError.
    """
    if num_outputs == 0:
        raise TaskMismatchError("the classifier has no outputs; give a file that was saved with a whole one")
    if labels is not None:
        if len(labels) != num_outputs or len(set(labels)) != len(labels) or "" in labels:
            raise TaskMismatchError(
                f"--labels names {len(labels)} classes ({', '.join(labels)}), the classifier has {num_outputs} outputs; "
                "give one different name for each"
            )
        return Outputs(task, tuple(labels), regression=num_outputs == 1)
    if task is None:
        return Outputs(None, tuple(f"LABEL_{index}" for index in range(num_outputs)), regression=num_outputs == 1)
    expected = TASKS[task]
    if num_outputs != (1 if expected is None else len(expected)):
        needs = "one output" if expected is None else f"{len(expected)} ({', '.join(expected)})"
        raise TaskMismatchError(
            f"task {task} has {needs}, the classifier has {num_outputs} outputs; give the right --task, or --labels"
        )
    return Outputs(task, expected or ("LABEL_0",), regression=expected is None)
