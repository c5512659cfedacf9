"""Carries out a conversion: checkpoint in, model folder out."""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bort_convert.bort.architecture import Architecture
from bort_convert.conversion import pytorch_writer, safetensors_writer
from bort_convert.conversion.config import CONFIG_NAME, config_document
from bort_convert.conversion.examination import Examination, examine
from bort_convert.conversion.finite import warnings_of
from bort_convert.conversion.folder import NewFolder, check_destination
from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration, Entry, Ledger, Operation, build_ledger
from bort_convert.conversion.record import RECORD_NAME, dump, record_document
from bort_convert.conversion.ties import build_compared_ledger, ties_hold
from bort_convert.conversion.tokenizer_source import NOTHING_NAMED, TokenizerChoice, TokenizerSources, choose
from bort_convert.errors import DestinationError
from bort_convert.params import ParamsFile, open_params
from bort_convert.params.digest import checkpoint_digest

FORMATS = {
    "safetensors": (safetensors_writer.MODEL_NAME, safetensors_writer.write, safetensors_writer.check),
    "pytorch": (pytorch_writer.PYTORCH_NAME, pytorch_writer.write, pytorch_writer.check),
}
"""The model file's name, what writes it and what reads it back, by format."""

_WORKERS = 2
"""Threads that read, hash and write. Two already keep up with a disk."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did. ``digest`` is the checkpoint's, None where nothing was written (``dry_run``).

    ``warnings`` names the tensors with values that are NaN or infinite.
    """

    checkpoint: Path
    model_dir: Path
    ledger: Ledger
    source_size: int
    digest: str | None
    warnings: tuple[str, ...]
    tokenizer: TokenizerChoice


def convert(
    checkpoint: str | os.PathLike[str],
    model_dir: str | os.PathLike[str],
    declared: Declaration = NOTHING_DECLARED,
    *,
    model_format: str = "safetensors",
    tokenizer: TokenizerSources = NOTHING_NAMED,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Conversion:
    """Converts ``checkpoint`` into the new model folder ``model_dir``.

    ``tokenizer`` names the vocabulary; where it names none, GluonNLP's cache is looked into, and where that has none either, the
    folder is written without a tokenizer. ``model_format`` is one of `FORMATS`; ``force`` replaces a model folder; ``dry_run``
    stops before anything is written; ``progress`` is called with the bytes done and the bytes in all, from any thread. Raises a
    BortConvertError, and then nothing has been written or replaced.
    """
    checkpoint, model_dir = Path(checkpoint), Path(model_dir)
    if model_dir.resolve() in checkpoint.resolve().parents:
        raise DestinationError(f"{checkpoint}: lies in {model_dir}, which would be replaced; choose another MODEL_DIR")
    with open_params(checkpoint) as params:
        ledger = build_ledger(params, declared)
        check_destination(model_dir, force)
        choice = choose(tokenizer, ledger.architecture.vocab_size)
        if dry_run:
            ledger = build_compared_ledger(params, declared)
            examined = {entry: examine(params, entry) for entry in ledger.written}
            return Conversion(checkpoint, model_dir, ledger, params.size, None, _warnings(examined), choice)
        texts = _tokenizer_texts(choice, ledger.architecture)
        with NewFolder(model_dir, force=force) as folder:
            ledger, examinations = _write_model(params, ledger, declared, folder.path, model_format, progress)
            digest = checkpoint_digest(params, _source_digests(ledger, examinations))
            warnings = _warnings(examinations)
            record = record_document(
                params,
                ledger,
                declared,
                digest=digest,
                digests={entry.target: each.sha256 for entry, each in examinations.items() if entry.target},
                warnings=warnings,
                tokenizer=choice.source.document() if choice.source else None,
            )
            files = {**texts, CONFIG_NAME: dump(config_document(ledger)), RECORD_NAME: dump(record)}
            for name, text in files.items():
                folder.write_text(name, text)
            folder.commit()
        return Conversion(checkpoint, model_dir, ledger, params.size, digest, warnings, choice)


def _write_model(
    params: ParamsFile,
    ledger: Ledger,
    declared: Declaration,
    folder: Path,
    model_format: str,
    progress: Callable[[int, int], None],
) -> tuple[Ledger, Mapping[Entry, Examination]]:
    """Writes the model file, makes it durable and checks it; the ledger that it was written by, and what its tensors are."""
    name, write, check = FORMATS[model_format]
    path = folder / name
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        # Nearly every file's ties hold, so the model is written as if they did while they are compared.
        comparison = pool.submit(ties_hold, params, ledger)
        steps = _Progress(progress)
        examinations = write(params, ledger.written, path, pool, steps.of(ledger))
        if not comparison.result():
            ledger = build_ledger(params, declared, tied=False)
            path.unlink()
            examinations = write(params, ledger.written, path, pool, steps.of(ledger))
    check(path, ledger.written)
    return ledger, examinations


def _tokenizer_texts(choice: TokenizerChoice, architecture: Architecture) -> Mapping[str, str]:
    if choice.source is None:
        return {}
    from bort_convert.conversion.tokenizer import tokenizer_texts

    return tokenizer_texts(choice.source.vocabulary, architecture.max_length)


class _Progress:
    """Adds up the steps of several threads."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self._report, self._lock = report, threading.Lock()
        self._done = self._total = 0

    def of(self, ledger: Ledger) -> Callable[[int], None]:
        """What is to be called with each step of writing ``ledger``, after all that was written before."""
        self._total = self._done + sum(entry.nbytes for entry in ledger.written)
        return self._step

    def _step(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._report(self._done, self._total)


def _source_digests(ledger: Ledger, examinations: Mapping[Entry, Examination]) -> dict[str, str]:
    """The SHA-256 of the checkpoint's arrays, by name, that are known because their bytes are the model's."""
    written = {
        entry.target: each.sha256 for entry, each in examinations.items() if entry.operation is not Operation.CAST
    }
    owners = {entry.source.name: entry.tied_to or entry.target for entry in ledger.entries if entry.source}
    return {name: written[owner] for name, owner in owners.items() if owner in written}


def _warnings(examinations: Mapping[Entry, Examination]) -> tuple[str, ...]:
    return warnings_of({entry.source.name: each.non_finite for entry, each in examinations.items() if entry.source})
