"""``convert-bort convert``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bort_convert.cli import options, rendering
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.record import architecture_document, dump, entry_document
from bort_convert.conversion.tokenizer_source import TokenizerSources


@click.command()
@options.CHECKPOINT
@options.MODEL_DIR
@options.declaration
@options.TASK
@options.LABELS
@options.DTYPE
@options.VOCAB
@options.BPE_RANKS
@click.option(
    "--tokenizer",
    metavar="NAME_OR_DIR",
    help="A RoBERTa tokenizer: its folder, or its name on the Hugging Face hub. Used where GluonNLP's own cache "
    "($MXNET_HOME/models) does not hold the vocabulary.",
)
@click.option(
    "--format",
    "model_format",
    type=click.Choice(["safetensors", "pytorch"]),
    default="safetensors",
    show_default=True,
    help="The format of the model file.",
)
@click.option("--force", is_flag=True, help="Replace MODEL_DIR if it holds a model.")
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@options.JSON
def command(
    declared: Declaration,
    checkpoint: str,
    model_dir: str,
    model_format: str,
    vocab: Path | None,
    bpe_ranks: Path | None,
    tokenizer: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Converts CHECKPOINT, an MXNet parameter file, into the new folder MODEL_DIR, which
    transformers.AutoModel.from_pretrained loads.

    \b
    Example:
      convert-bort convert bort.params bort/
      convert-bort convert bort.params bort/ --vocab v.vocab --bpe-ranks r.json
    """
    options.without_blas_threads()
    sources = TokenizerSources(vocab, bpe_ranks, tokenizer)
    with _progress_bar() as progress:
        conversion = convert(
            checkpoint,
            model_dir,
            declared,
            tokenizer=sources,
            model_format=model_format,
            force=force,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        document = {
            "model_dir": None if dry_run else str(conversion.model_dir),
            "source": {"size": conversion.source_size, "digest": conversion.digest},
            "architecture": architecture_document(conversion.ledger),
            "warnings": list(conversion.warnings),
            "tokenizer": conversion.tokenizer.source.document() if conversion.tokenizer.source else None,
            "notes": list(conversion.tokenizer.notes),
            "ledger": [entry_document(entry) for entry in conversion.ledger.entries],
        }
        click.echo(dump(document), nl=False)
    else:
        click.echo(rendering.conversion_summary(conversion, shown_dir=Path(model_dir)))


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error where that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("Copying"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("copy", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
