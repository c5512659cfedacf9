"""The proof as a whole: files first, then the outputs of both frameworks, and one frozen verdict."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bort_convert.conversion.contents import text_file_digests
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration, Ledger, Operation
from bort_convert.conversion.model_file import model_file_path
from bort_convert.conversion.record import read_declaration
from bort_convert.conversion.ties import build_compared_ledger
from bort_convert.conversion.tokenizer_source import NOTHING_NAMED, TokenizerSources
from bort_convert.errors import DestinationError, InvalidOptionError, ModelFolderError, RecordedReferenceError
from bort_convert.params import open_params
from bort_convert.params.digest import checkpoint_digest
from bort_convert.params.reading import read_chunks, sha256
from bort_convert.parity import mxnet_runner, published, pytorch_runner
from bort_convert.parity.files import Check, check_files
from bort_convert.parity.generations import semantic_warnings
from bort_convert.parity.inputs import DEFAULT_INPUTS, Batch, Inputs, make_batches, text_batch
from bort_convert.parity.mxnet_runner import MXNetOutputs
from bort_convert.parity.reference import Reference, model_document, read_reference, write_reference
from bort_convert.parity.result import Verification
from bort_convert.parity.stages import compare_stages, known_residual, measure_export_rounding
from bort_convert.parity.tokenization import prove_tokenizer, record_tokens

DTYPES = ("float64", "float32")


def verify(
    checkpoint: str | os.PathLike[str],
    model_dir: str | os.PathLike[str],
    declared: Declaration = NOTHING_DECLARED,
    *,
    dtypes: Sequence[str] = DTYPES,
    inputs: Inputs = DEFAULT_INPUTS,
    reference: str | os.PathLike[str] | None = None,
    atol: float | None = None,
    mxnet_python: str | None = None,
    tokenizer: TokenizerSources = NOTHING_NAMED,
    published_values: bool = False,
    progress: Callable[[str], None] = lambda step: None,
    patch: Callable[[Any], None] = lambda model: None,
) -> Verification:
    """Proves, or refutes, that ``model_dir`` holds the model of ``checkpoint``.

    What ``declared`` leaves open is taken from the folder's record of its conversion, never from its config. ``reference`` is a
    recorded run to compare with instead of running MXNet; it has its own inputs, and ``inputs`` is left out. ``atol`` overrides
    every tolerance; ``mxnet_python`` is the interpreter that MXNet runs under; ``tokenizer`` names GluonNLP's files to hold the
    folder's tokenizer against, which are else looked for in its cache; ``published_values`` holds the released model against a
    value that others published; ``progress`` is told each step; ``patch`` is applied to the loaded PyTorch model, which serves
    to measure what a verification can see. Raises a BortConvertError where nothing could be verified.
    """
    checkpoint, model_dir = Path(checkpoint), Path(model_dir)
    if reference is not None and inputs != DEFAULT_INPUTS:
        raise InvalidOptionError("--reference has inputs of its own; leave --lengths, --seed and --texts out")
    pytorch_runner.require()
    if reference is None:
        mxnet_runner.interpreter(mxnet_python)
    progress("Bytes")
    files = _prove_files(checkpoint, model_dir, declared)
    if published_values:
        published.require_released(files.ledger.architecture)
    recorded = _read_matching(Path(reference), files, dtypes) if reference is not None else None
    progress("Tokenizer")
    tokens, notes = prove_tokenizer(
        model_dir,
        tokenizer,
        files.ledger.architecture.vocab_size,
        inputs.texts or (),
        recorded=recorded.tokens if recorded else None,
        python=mxnet_python,
    )
    with _expectation(files, recorded, dtypes, inputs, mxnet_python) as (batches, wait):
        progress("Loading with Transformers")
        loading, model = _load(model_dir, files.ledger)
        checks = (*files.checks, *tokens, *loading)
        if model is None:
            return replace(files, checks=checks)
        rounded = Operation.CAST in files.ledger.counts()
        shipped = None
        if rounded and "float64" in dtypes:
            progress("Rounded weights")
            shipped = pytorch_runner.run(model, batches, ["float64"], ["eager"])
        if rounded:
            model = _at_source_precision(files, declared)
        patch(model)
        try:
            actual = pytorch_runner.run(model, batches, dtypes, progress=progress)
        except Exception as error:  # as in loading: a model that does not run is wrong
            running = Check("loading", "running", f"Transformers cannot run the model: {_reason(error)}")
            return replace(files, checks=(*checks, running))
        if published_values:
            checks += (published.check_published_values(model),)
        progress("MXNet")
        expected = wait()
    progress("Comparing")
    ledger = files.ledger
    return replace(
        files,
        checks=checks,
        stages=tuple(compare_stages(ledger, batches, actual, expected, atol)),
        residual=known_residual(actual, expected),
        export_rounding=tuple(measure_export_rounding(ledger, batches, shipped, expected)) if shipped else (),
        versions={**expected.versions, **actual.versions},
        warnings=(*semantic_warnings(expected.versions), *notes),
    )


def record(
    checkpoint: str | os.PathLike[str],
    path: str | os.PathLike[str],
    declared: Declaration = NOTHING_DECLARED,
    *,
    dtypes: Sequence[str] = DTYPES,
    inputs: Inputs = DEFAULT_INPUTS,
    mxnet_python: str | None = None,
    tokenizer: TokenizerSources = NOTHING_NAMED,
) -> Reference:
    """Runs MXNet on ``checkpoint`` and writes inputs and outputs to the new file ``path``, for `verify` to replay.

    ``tokenizer`` names GluonNLP's vocabulary files, whose ids of the bundled texts are kept too.
    Raises DestinationError where the file exists or cannot be written, and whatever reading the checkpoint or running MXNet
    raises.
    """
    checkpoint, path = Path(checkpoint), Path(path)
    if path.exists():
        raise DestinationError(f"{path}: exists; delete it or choose another name")
    if not os.access(path.absolute().parent, os.W_OK):
        raise DestinationError(f"{path.absolute().parent}: no such folder, or no permission to write here")
    if inputs.texts is not None:
        raise InvalidOptionError("texts need a model folder's tokenizer; record random inputs only")
    with open_params(checkpoint) as params:
        ledger = build_compared_ledger(params, declared)
        digest = sha256(params.all_chunks())
    batches = make_batches(ledger.architecture, inputs.lengths, inputs.seed)
    with mxnet_runner.run(checkpoint, ledger, batches, dtypes, python=mxnet_python) as wait:
        tokens = record_tokens(tokenizer, ledger.architecture.vocab_size, mxnet_python)
        reference = Reference(digest, model_document(ledger), batches, wait(), tokens)
    write_reference(reference, path)
    return reference


def _at_source_precision(files: Verification, declared: Declaration) -> Any:
    """The model of the checkpoint's own values, which those of the folder were checked to be rounded from."""
    declared = replace(declared.completed_by(read_declaration(files.model_dir)), dtype=None)
    with tempfile.TemporaryDirectory(prefix="bort-convert-") as folder:
        kept = convert(files.checkpoint, Path(folder) / "model", declared)
        return pytorch_runner.load(kept.model_dir, files.ledger.head).model


def _prove_files(checkpoint: Path, model_dir: Path, declared: Declaration) -> Verification:
    """The part of a verification that needs no framework."""
    declared = declared.completed_by(read_declaration(model_dir))
    with open_params(checkpoint) as params, ThreadPoolExecutor(max_workers=2) as pool:
        checkpoint_sha256 = pool.submit(lambda: sha256(params.all_chunks()))
        model_sha256 = pool.submit(_file_digest, model_file_path(model_dir))
        ledger = build_compared_ledger(params, declared)
        checks = check_files(params, ledger, model_dir)
        return Verification(
            checkpoint=checkpoint,
            model_dir=model_dir,
            checkpoint_digest=checkpoint_digest(params),
            checkpoint_sha256=checkpoint_sha256.result(),
            model_sha256=model_sha256.result(),
            ledger=ledger,
            checks=checks,
            stages=(),
            residual=None,
            export_rounding=(),
            versions={},
            warnings=(),
            text_files_sha256=text_file_digests(model_dir),
        )


@contextmanager
def _expectation(
    files: Verification, recorded: Reference | None, dtypes: Sequence[str], inputs: Inputs, mxnet_python: str | None
) -> Iterator[tuple[Mapping[str, Batch], Callable[[], MXNetOutputs]]]:
    """The inputs, and a function that waits for what MXNet makes of them: at work in the background, or recorded."""
    if recorded is not None:
        yield dict(sorted(recorded.batches.items())), lambda: recorded.outputs
        return
    architecture = files.ledger.architecture
    batches = dict(make_batches(architecture, inputs.lengths, inputs.seed))
    if inputs.texts is not None:
        batches["texts"] = text_batch(inputs.texts, files.model_dir, architecture)
    batches = dict(sorted(batches.items()))
    with mxnet_runner.run(files.checkpoint, files.ledger, batches, dtypes, python=mxnet_python) as wait:
        yield batches, wait


def _read_matching(path: Path, files: Verification, dtypes: Sequence[str]) -> Reference:
    recorded = read_reference(path)
    _check_reference(recorded, files, path, dtypes)
    return recorded


def _check_reference(recorded: Reference, files: Verification, path: Path, dtypes: Sequence[str]) -> None:
    if recorded.checkpoint_sha256 != files.checkpoint_sha256:
        raise RecordedReferenceError(
            f"{path}: recorded from another checkpoint (SHA-256 {recorded.checkpoint_sha256[:12]}…, this one has "
            f"{files.checkpoint_sha256[:12]}…); record one from {files.checkpoint}"
        )
    if recorded.model != model_document(files.ledger):
        raise RecordedReferenceError(
            f"{path}: recorded with other heads or another head than is verified; record it again"
        )
    lacking = [dtype for dtype in dtypes if dtype not in recorded.outputs.outputs]
    if lacking:
        raise RecordedReferenceError(f"{path}: has no outputs in {lacking[0]}; record it again, or verify with --dtype")


def _load(model_dir: Path, ledger: Ledger) -> tuple[tuple[Check, ...], object]:
    """What loading the folder with Transformers showed, and the model where it loaded."""
    try:
        loaded = pytorch_runner.load(model_dir, ledger.head)
    except Exception as error:  # whatever Transformers raises, it is the folder that does not load
        failure = f"Transformers cannot load the folder: {_reason(error)}"
        return (Check("loading", ledger.head.model_class, failure),), None
    missing = f"not loaded: {', '.join(loaded.missing)}" if loaded.missing else ""
    unexpected = f"left over: {', '.join(loaded.unexpected)}" if loaded.unexpected else ""
    return (Check("loading", "missing keys", missing), Check("loading", "unexpected keys", unexpected)), loaded.model


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0]


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return sha256(read_chunks(path, file.fileno(), 0, os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise ModelFolderError(
            f"{path}: cannot be read: {error.strerror}; give a folder that 'convert' wrote"
        ) from error
