"""The proof as a whole: files first, then the outputs of both frameworks, and one frozen verdict."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration, Ledger
from bort_convert.conversion.record import read_declaration
from bort_convert.conversion.safetensors_writer import MODEL_NAME
from bort_convert.conversion.ties import build_compared_ledger
from bort_convert.params import open_params
from bort_convert.params.reading import read_chunks
from bort_convert.parity import mxnet_runner, pytorch_runner
from bort_convert.parity.comparison import Difference, Tolerance, compare
from bort_convert.parity.files import Check, check_files
from bort_convert.parity.inputs import DEFAULT_LENGTHS, Batch, make_batches
from bort_convert.parity.mxnet_runner import MXNetOutputs
from bort_convert.parity.pytorch_runner import AS_SHIPPED, PyTorchOutputs
from bort_convert.parity.stages import mask, required_stages, tolerance

if TYPE_CHECKING:
    import numpy as np

DTYPES = ("float64", "float32")


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


@dataclass(frozen=True)
class Verification:
    """What a verification found. It passed where every check and every stage did, and there were some of both."""

    checkpoint: Path
    model_dir: Path
    checkpoint_sha256: str
    model_sha256: str
    ledger: Ledger
    checks: tuple[Check, ...]
    stages: tuple[StageResult, ...]
    residual: Residual | None
    versions: Mapping[str, str]

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


def verify(
    checkpoint: str | os.PathLike[str],
    model_dir: str | os.PathLike[str],
    declared: Declaration = NOTHING_DECLARED,
    *,
    dtypes: Sequence[str] = DTYPES,
    lengths: Sequence[int] = DEFAULT_LENGTHS,
    seed: int = 0,
    atol: float | None = None,
    mxnet_python: str | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Verification:
    """Proves, or refutes, that ``model_dir`` holds the model of ``checkpoint``.

    What ``declared`` leaves open is taken from the folder's record of its conversion, never from its config. ``lengths`` and
    ``seed`` choose the inputs, ``atol`` overrides every tolerance, ``mxnet_python`` is the interpreter that MXNet runs
    under, ``progress`` is told each step. Raises a BortConvertError where nothing could be verified.
    """
    checkpoint, model_dir = Path(checkpoint), Path(model_dir)
    pytorch_runner.require()
    mxnet_runner.interpreter(mxnet_python)
    progress("Bytes")
    if declared == NOTHING_DECLARED:
        declared = read_declaration(model_dir)
    with open_params(checkpoint) as params, ThreadPoolExecutor(max_workers=2) as pool:
        digests = [pool.submit(_file_digest, path) for path in (checkpoint, model_dir / MODEL_NAME)]
        ledger = build_compared_ledger(params, declared)
        checks = check_files(params, ledger, model_dir)
        checkpoint_sha256, model_sha256 = (digest.result() for digest in digests)
    batches = make_batches(ledger.architecture, lengths, seed)
    with mxnet_runner.run(checkpoint, ledger, batches, dtypes, python=mxnet_python) as reference:
        progress("Loading with Transformers, MXNet at work beside it")
        loading, model = _load(model_dir, ledger)
        stages: tuple[StageResult, ...] = ()
        residual, versions = None, {}
        if model is not None:
            actual = pytorch_runner.run(model, batches, dtypes, progress=progress)
            progress("MXNet")
            expected = reference()
            progress("Comparing")
            stages = tuple(compare_stages(ledger, batches, actual, expected, atol))
            residual = _residual(actual, expected)
            versions = {**expected.versions, **actual.versions}
    return Verification(
        checkpoint, model_dir, checkpoint_sha256, model_sha256, ledger, (*checks, *loading), stages, residual, versions
    )


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
            for name, batch in batches.items():
                key = f"{name}.{stage}"
                got, wanted = ours.get(key), theirs.get(key)
                limit = tolerance(dtype, stage, wanted, atol)
                where = mask(stage, batch, got.shape if got is not None else ())
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


def _load(model_dir: Path, ledger: Ledger) -> tuple[tuple[Check, ...], object]:
    """What loading the folder with Transformers showed, and the model where it loaded."""
    try:
        loaded = pytorch_runner.load(model_dir, ledger.head)
    except Exception as error:  # whatever Transformers raises, it is the folder that does not load
        reason = (str(error).strip().splitlines() or [repr(error)])[0]
        return (Check("loading", ledger.head.model_class, f"Transformers cannot load the folder: {reason}"),), None
    missing = f"not loaded: {', '.join(loaded.missing)}" if loaded.missing else ""
    unexpected = f"left over: {', '.join(loaded.unexpected)}" if loaded.unexpected else ""
    return (Check("loading", "missing keys", missing), Check("loading", "unexpected keys", unexpected)), loaded.model


def _distance(rounded: "np.ndarray | None", exact: "np.ndarray | None", where: "np.ndarray | None") -> float | None:
    if rounded is None or exact is None or rounded.shape != exact.shape:
        return None
    return compare(rounded, exact, Tolerance(float("inf"), 0.0, ""), where).largest


def _residual(actual: PyTorchOutputs, expected: MXNetOutputs) -> Residual | None:
    import numpy as np

    shipped = {
        key.removesuffix(AS_SHIPPED) + "mlm_logits": logits
        for key, logits in actual.outputs.get(("float64", "eager"), {}).items()
        if key.endswith(AS_SHIPPED)
    }
    pairs = [(logits, expected.outputs["float64"][key]) for key, logits in shipped.items()]
    if not pairs:
        return None
    differences = np.concatenate([np.abs(ours - theirs).ravel() for ours, theirs in pairs])
    same = np.concatenate([(ours.argmax(-1) == theirs.argmax(-1)).ravel() for ours, theirs in pairs])
    return Residual(float(differences.max()), float(differences.mean()), float(same.mean()), int(same.size))


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in read_chunks(path, file.fileno(), 0, os.fstat(file.fileno()).st_size):
            digest.update(chunk)
    return digest.hexdigest()
