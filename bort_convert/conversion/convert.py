"""Carries out a conversion: checkpoint in, model folder out."""

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bort_convert.conversion import pytorch_writer, safetensors_writer
from bort_convert.conversion.casting import entry_chunks
from bort_convert.conversion.config import CONFIG_NAME, config_document
from bort_convert.conversion.finite import count_non_finite, warnings_of
from bort_convert.conversion.folder import NewFolder, check_destination, sync
from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration, Entry, Ledger, build_ledger
from bort_convert.conversion.record import RECORD_NAME, dump, record_document
from bort_convert.conversion.ties import build_compared_ledger
from bort_convert.conversion.tokenizer import tokenizer_texts
from bort_convert.conversion.tokenizer_source import NOTHING_NAMED, TokenizerChoice, TokenizerSources, choose
from bort_convert.errors import DestinationError
from bort_convert.params import ParamsFile, open_params
from bort_convert.params.reading import sha256

FORMATS = {
    "safetensors": (safetensors_writer.MODEL_NAME, safetensors_writer.write, safetensors_writer.check),
    "pytorch": (pytorch_writer.PYTORCH_NAME, pytorch_writer.write, pytorch_writer.check),
}
"""The model file's name, what writes it and what reads it back, by format."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did. ``sha256`` is the checkpoint's, None where nothing was written (``dry_run``).

    ``warnings`` names the tensors with values that are NaN or infinite.
    """

    checkpoint: Path
    model_dir: Path
    ledger: Ledger
    source_size: int
    sha256: str | None
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
    stops before anything is written; ``progress`` is called with the bytes done and the bytes in all. Raises a
    BortConvertError, and then nothing has been written or replaced.
    """
    checkpoint, model_dir = Path(checkpoint), Path(model_dir)
    if model_dir.resolve() in checkpoint.resolve().parents:
        raise DestinationError(f"{checkpoint}: lies in {model_dir}, which would be replaced; choose another MODEL_DIR")
    with open_params(checkpoint) as params:
        architecture = build_ledger(params, declared).architecture
        check_destination(model_dir, force)
        choice = choose(tokenizer, architecture.vocab_size)
        if dry_run:
            ledger = build_compared_ledger(params, declared)
            examined = {entry: _examine(params, entry) for entry in ledger.written}
            return Conversion(checkpoint, model_dir, ledger, params.size, None, _warnings(examined), choice)
        texts = tokenizer_texts(choice.source.vocabulary, architecture.max_length) if choice.source else {}
        # The digest of the whole file is one long chain of blocks; it runs beside all the rest.
        with ThreadPoolExecutor(max_workers=3) as pool:
            file_digest = pool.submit(sha256, params.all_chunks())
            ledger = build_compared_ledger(params, declared)
            with NewFolder(model_dir, force=force) as folder:
                examinations = _write_model(params, ledger, folder, model_format, pool, progress)
                warnings = _warnings(examinations)
                record = record_document(
                    params,
                    ledger,
                    declared,
                    sha256=file_digest.result(),
                    digests={entry.target: each.sha256 for entry, each in examinations.items() if entry.target},
                    warnings=warnings,
                    tokenizer=choice.source.document() if choice.source else None,
                )
                files = {**texts, CONFIG_NAME: dump(config_document(ledger)), RECORD_NAME: dump(record)}
                for name, text in files.items():
                    folder.write_text(name, text)
                folder.commit()
        return Conversion(checkpoint, model_dir, ledger, params.size, file_digest.result(), warnings, choice)


@dataclass(frozen=True, slots=True)
class _Examination:
    """What reading a tensor's bytes once tells."""

    sha256: str
    non_finite: int


def _write_model(
    params: ParamsFile,
    ledger: Ledger,
    folder: NewFolder,
    model_format: str,
    pool: ThreadPoolExecutor,
    progress: Callable[[int, int], None],
) -> dict[Entry, _Examination]:
    """Writes the model file, makes it durable and checks it; meanwhile examines every tensor."""
    name, write, check = FORMATS[model_format]
    total, done = sum(entry.nbytes for entry in ledger.written), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    write(params, ledger.written, folder.path / name, advance)
    durable = pool.submit(sync, folder.path / name)
    examinations = {entry: pool.submit(_examine, params, entry) for entry in ledger.written}
    check(folder.path / name, ledger.written)
    try:
        durable.result()
    except OSError as error:
        raise DestinationError(
            f"{folder.destination}: cannot be written: {error.strerror}; free space first"
        ) from error
    return {entry: examination.result() for entry, examination in examinations.items()}


def _examine(params: ParamsFile, entry: Entry) -> _Examination:
    digest, non_finite = hashlib.sha256(), 0
    for chunk in entry_chunks(params, entry):
        digest.update(chunk)
        non_finite += count_non_finite(chunk, entry.dtype)
    return _Examination(digest.hexdigest(), non_finite)


def _warnings(examinations: Mapping[Entry, _Examination]) -> tuple[str, ...]:
    return warnings_of({entry.source.name: each.non_finite for entry, each in examinations.items() if entry.source})
