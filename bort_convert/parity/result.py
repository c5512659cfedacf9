"""What a verification found: frozen values, for a report to show and a test suite to assert on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bort_convert.conversion.ledger import Ledger
from bort_convert.parity.comparison import Difference, Tolerance
from bort_convert.parity.files import Check


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage of one batch, compared in one dtype, with one attention implementation.

    ``mxnet_rounding`` and ``pytorch_rounding`` are each framework's largest distance from its own float64 result, None in
    float64 itself or where that was not computed.
    """

    dtype: str
    attention: str
    batch: str
    stage: str
    tolerance: Tolerance
    difference: Difference
    mxnet_rounding: float | None
    pytorch_rounding: float | None


@dataclass(frozen=True, slots=True)
class Residual:
    """What is known not to be exact: the MLM decoder's LayerNorm has eps 1e-12 in GluonNLP and the config's in BERT.

    The float64 logits as shipped, against MXNet's; ``same_top1`` is the share of positions with the same best token.
    """

    largest: float
    mean: float
    same_top1: float
    positions: int


@dataclass(frozen=True, slots=True)
class ExportRounding:
    """What rounding the weights to the folder's dtype does to one stage: float64 outputs of the folder against MXNet's."""

    batch: str
    stage: str
    largest: float
    mean: float


@dataclass(frozen=True)
class Verification:
    """What a verification found. It passed where every check and every stage did, and there were some of both.

    For a folder whose dtype was changed, ``stages`` compares the model at the checkpoint's own precision, every tensor of the
    folder having been checked to be that one's, correctly rounded; ``export_rounding`` tells what the rounding does.
    """

    checkpoint: Path
    model_dir: Path
    checkpoint_digest: str
    checkpoint_sha256: str
    model_sha256: str
    ledger: Ledger
    checks: tuple[Check, ...]
    stages: tuple[StageResult, ...]
    residual: Residual | None
    export_rounding: tuple[ExportRounding, ...]
    versions: Mapping[str, str]
    warnings: tuple[str, ...]
    text_files_sha256: Mapping[str, str] = field(default_factory=dict)
    """The digests of the folder's other files: config, record, tokenizer."""

    @property
    def passed(self) -> bool:
        """Whether everything that was to be compared was, and agreed."""
        return (
            bool(self.checks)
            and bool(self.stages)
            and all(check.passed for check in self.checks)
            and all(result.difference.passed for result in self.stages)
        )

    @property
    def first_divergence(self) -> StageResult | None:
        """The first stage, in the order of the data's flow, at which the frameworks part; float64 before float32."""
        return next((result for result in self.stages if not result.difference.passed), None)


def worst_by_stage(results: Sequence[StageResult], dtype: str) -> list[StageResult]:
    """For each stage, in order, the batch and attention that came nearest to its tolerance, or failed."""
    worst: dict[str, StageResult] = {}
    for result in results:
        if result.dtype == dtype and (result.stage not in worst or _severity(result) > _severity(worst[result.stage])):
            worst[result.stage] = result
    return list(worst.values())


def _severity(result: StageResult) -> tuple[bool, float]:
    used = result.difference.largest / result.tolerance.atol if result.tolerance.atol else result.difference.largest
    return not result.difference.passed, math.inf if math.isnan(used) else used
