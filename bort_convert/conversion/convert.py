"""Carries out a conversion: checkpoint in, model folder out."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bort_convert.conversion import safetensors_writer
from bort_convert.conversion.config import CONFIG_NAME, config_document
from bort_convert.conversion.folder import NewFolder, check_destination, sync
from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration, Entry, Ledger, build_ledger
from bort_convert.conversion.record import RECORD_NAME, dump, record_document
from bort_convert.conversion.ties import build_compared_ledger
from bort_convert.conversion.tokenizer import tokenizer_texts
from bort_convert.conversion.tokenizer_source import NOTHING_NAMED, TokenizerChoice, TokenizerSources, choose
from bort_convert.params import ParamsFile, open_params


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did. ``sha256`` is the checkpoint's, None where nothing was read (``dry_run``)."""

    checkpoint: Path
    model_dir: Path
    ledger: Ledger
    source_size: int
    sha256: str | None
    tokenizer: TokenizerChoice


def convert(
    checkpoint: str | os.PathLike[str],
    model_dir: str | os.PathLike[str],
    declared: Declaration = NOTHING_DECLARED,
    *,
    tokenizer: TokenizerSources = NOTHING_NAMED,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Conversion:
    """Converts ``checkpoint`` into the new model folder ``model_dir``.

    ``tokenizer`` names the vocabulary; where it names none, GluonNLP's cache is looked into, and where that has none either, the
    folder is written without a tokenizer. ``force`` replaces a model folder; ``dry_run`` stops before anything is written;
    ``progress`` is called with the bytes done and the bytes in all. Raises a BortConvertError, and then nothing has been
    written or replaced.
    """
    checkpoint, model_dir = Path(checkpoint), Path(model_dir)
    with open_params(checkpoint) as params:
        architecture = build_ledger(params, declared).architecture
        check_destination(model_dir, force)
        choice = choose(tokenizer, architecture.vocab_size)
        if dry_run:
            return Conversion(checkpoint, model_dir, build_compared_ledger(params, declared), params.size, None, choice)
        texts = tokenizer_texts(choice.source.vocabulary, architecture.max_length) if choice.source else {}
        # The digest of the whole file is one long chain of blocks; it runs beside all the rest.
        with ThreadPoolExecutor(max_workers=3) as pool:
            file_digest = pool.submit(_sha256, params.all_chunks())
            ledger = build_compared_ledger(params, declared)
            with NewFolder(model_dir, force=force) as folder:
                for name, text in texts.items():
                    folder.write_text(name, text)
                _write(params, ledger, folder, pool, file_digest, choice, progress)
        return Conversion(checkpoint, model_dir, ledger, params.size, file_digest.result(), choice)


def _write(
    params: ParamsFile,
    ledger: Ledger,
    folder: NewFolder,
    pool: ThreadPoolExecutor,
    file_digest: "Future[str]",
    choice: TokenizerChoice,
    progress: Callable[[int, int], None],
) -> None:
    model = folder.path / safetensors_writer.MODEL_NAME
    total, done = sum(entry.nbytes for entry in ledger.written), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    safetensors_writer.write(params, ledger.written, model, advance)
    durable = pool.submit(sync, model)
    digests = {str(entry.target): pool.submit(_entry_digest, params, entry) for entry in ledger.written}
    safetensors_writer.check(model, ledger.written)
    folder.write_text(CONFIG_NAME, dump(config_document(ledger)))
    record = record_document(
        ledger,
        container=params.container,
        size=params.size,
        sha256=file_digest.result(),
        digests={target: digest.result() for target, digest in digests.items()},
        tokenizer=choice.source.document() if choice.source else None,
    )
    folder.write_text(RECORD_NAME, dump(record))
    durable.result()
    folder.commit()


def _entry_digest(params: ParamsFile, entry: Entry) -> str:
    return _sha256(params.chunks(entry.source) if entry.source else [bytes(entry.nbytes)])


def _sha256(chunks: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
