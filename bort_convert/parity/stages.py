"""The stages at which the frameworks are compared: which there must be, how near they must come, and how near they do."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bort_convert.conversion.ledger import Ledger
from bort_convert.parity.comparison import Tolerance, compare
from bort_convert.parity.inputs import Batch
from bort_convert.parity.mxnet_runner import MXNetOutputs
from bort_convert.parity.pytorch_runner import AS_SHIPPED, PyTorchOutputs
from bort_convert.parity.result import ExportRounding, Residual, StageResult

if TYPE_CHECKING:
    import numpy as np

AS_GIVEN = "as given with --atol"
"""The reason of a tolerance that is none of the budgets below."""

FLOAT64_ATOL, FLOAT64_MAGNITUDE = 1e-12, 100.0
FLOAT32_ATOL, FLOAT32_MAGNITUDE = 2e-5, 5.0
FLOAT32_MLM_FACTOR = 5
"""By how much the MLM decoder magnifies the rounding of the hidden states: it has a projection and a LayerNorm of its own,
whose eps of 1e-12 does nothing to dampen units that are almost alike."""
_BUDGETS = {
    "float64": (
        FLOAT64_ATOL,
        FLOAT64_MAGNITUDE,
        "unit roundoff 1.1e-16 times magnitude 100, times 90 for sums of about 1000 terms in a row of layers",
    ),
    "float32": (
        FLOAT32_ATOL,
        FLOAT32_MAGNITUDE,
        "unit roundoff 6.0e-8 times magnitude 5, times 67 for sums of about 1000 terms in a row of layers",
    ),
}


def required_stages(ledger: Ledger, attention: str) -> Iterator[str]:
    """The stages that a model must give, in the order in which data flows through them."""
    yield "embedding"
    for layer in range(ledger.architecture.num_layers):
        if attention == "eager":
            yield f"attention.{layer}"
        yield f"hidden.{layer}"
    if ledger.head.name == "mlm":
        yield "mlm_logits"
    if ledger.head.name == "classifier":
        yield "logits"


def tolerance(dtype: str, stage: str, expected: "np.ndarray | None", atol: float | None = None) -> Tolerance:
    """How near the two frameworks must come in ``dtype``, at a stage where MXNet gave ``expected``.

    The tolerances are absolute. They are those of values up to `FLOAT64_MAGNITUDE` or `FLOAT32_MAGNITUDE`, which normalised
    states and probabilities keep; logits can be larger, and theirs grow in proportion. ``atol`` overrides the rest.
    """
    import numpy as np

    if atol is not None:
        return Tolerance(atol, 0.0, AS_GIVEN)
    base, magnitude, reason = _BUDGETS[dtype]
    if stage.endswith("logits") and expected is not None and expected.size:
        base *= max(1.0, float(np.abs(expected).max()) / magnitude)
        if dtype == "float32" and stage == "mlm_logits":
            base *= FLOAT32_MLM_FACTOR
            reason += f", times {FLOAT32_MLM_FACTOR} for the decoder's own layers"
    return Tolerance(base, 0.0, reason)


def mask(stage: str, batch: Batch) -> "np.ndarray | None":
    """True where a stage's values mean something: rows of valid positions. GluonNLP zeroes the others, BERT does not.

    (batch, length), or (batch, 1, length) for attention, over all heads; None where all values count.
    """
    kind = stage.split(".", maxsplit=1)[0]
    if kind == "attention":
        valid: np.ndarray = batch.valid[:, None, :]
        return valid
    return batch.valid if kind in ("embedding", "hidden") else None


def compare_stages(
    ledger: Ledger,
    batches: Mapping[str, Batch],
    actual: PyTorchOutputs,
    expected: MXNetOutputs,
    atol: float | None = None,
) -> Iterator[StageResult]:
    """Every stage that the model must give, in every dtype, attention and batch; float64 first."""
    for dtype, attention in sorted(actual.outputs, key=lambda key: (key[0] != "float64", key)):
        ours, theirs = actual.outputs[dtype, attention], expected.outputs.get(dtype, {})
        exact = dtype == "float64"
        for stage in required_stages(ledger, attention):
            for name, batch in sorted(batches.items()):  # a recorded run's come in this order
                key = f"{name}.{stage}"
                got, wanted = ours.get(key), theirs.get(key)
                limit = tolerance(dtype, stage, wanted, atol)
                where = mask(stage, batch)
                yield StageResult(
                    dtype,
                    attention,
                    name,
                    stage,
                    limit,
                    compare(got, wanted, limit, where),
                    None if exact else _distance(wanted, expected.outputs.get("float64", {}).get(key), where),
                    None if exact else _distance(got, actual.outputs.get(("float64", attention), {}).get(key), where),
                )


def _distance(rounded: "np.ndarray | None", exact: "np.ndarray | None", where: "np.ndarray | None") -> float | None:
    if rounded is None or exact is None or rounded.shape != exact.shape:
        return None
    return compare(rounded, exact, Tolerance(float("inf"), 0.0, ""), where).largest


def measure_export_rounding(
    ledger: Ledger, batches: Mapping[str, Batch], actual: PyTorchOutputs, expected: MXNetOutputs
) -> Iterator[ExportRounding]:
    """How far the outputs of rounded weights are from the checkpoint's, in float64, at every stage."""
    ours, theirs = actual.outputs["float64", "eager"], expected.outputs["float64"]
    for stage in required_stages(ledger, "eager"):
        for name, batch in batches.items():
            key = f"{name}.{stage}"
            difference = compare(ours.get(key), theirs.get(key), Tolerance(float("inf"), 0.0, ""), mask(stage, batch))
            yield ExportRounding(name, stage, difference.largest, difference.mean)


def known_residual(actual: PyTorchOutputs, expected: MXNetOutputs) -> Residual | None:
    """The logits as shipped against MXNet's, where both have them in float64."""
    import numpy as np

    shipped = {
        key.removesuffix(AS_SHIPPED) + "mlm_logits": logits
        for key, logits in actual.outputs.get(("float64", "eager"), {}).items()
        if key.endswith(AS_SHIPPED)
    }
    exact = expected.outputs.get("float64", {})
    pairs = [
        (logits, exact[key]) for key, logits in shipped.items() if key in exact and exact[key].shape == logits.shape
    ]
    if not pairs:
        return None
    differences = np.concatenate([np.abs(ours - theirs).ravel() for ours, theirs in pairs])
    same = np.concatenate([(ours.argmax(-1) == theirs.argmax(-1)).ravel() for ours, theirs in pairs])
    return Residual(float(differences.max()), float(differences.mean()), float(same.mean()), int(same.size))
