"""Options that several commands share. Those of a run of the frameworks are in `input_options`: `convert` starts without."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click

from bort_convert.bort.architecture import PUBLISHED
from bort_convert.bort.heads import HEADS
from bort_convert.bort.tasks import TASKS
from bort_convert.conversion.ledger import Declaration

CHECKPOINT = click.argument("checkpoint", type=click.Path())
MODEL_DIR = click.argument("model_dir", type=click.Path())
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")

_ARCHITECTURE = click.option(
    "--architecture",
    type=click.Choice(["auto", *PUBLISHED]),
    default="auto",
    show_default=True,
    callback=lambda context, option, value: None if value == "auto" else value,
    help="The published architecture that the checkpoint must be.",
)
_NUM_HEADS = click.option(
    "--num-heads", type=click.IntRange(min=1), help="Attention heads of an architecture that was not published."
)
_HEAD = click.option("--head", type=click.Choice(list(HEADS)), help="Take less than the checkpoint holds.")


def without_blas_threads() -> None:
    """Keeps NumPy from starting threads that a command without matrix products has no use for; they cost half its import."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def declaration(command: Callable[..., None]) -> Callable[..., None]:
    """``--architecture``, ``--num-heads`` and ``--head``, given to the command as its first argument, a Declaration.

    So are `TASK`, `LABELS` and `DTYPE` where the command has them, below this decorator.
    """

    @functools.wraps(command)
    def gather(
        *,
        architecture: str | None,
        num_heads: int | None,
        head: str | None,
        task: str | None = None,
        labels: tuple[str, ...] | None = None,
        dtype: str | None = None,
        **others: object,
    ) -> None:
        command(Declaration(architecture, num_heads, head, task, labels, dtype), **others)

    return _ARCHITECTURE(_NUM_HEADS(_HEAD(gather)))


def tokenizer_files(command: Callable[..., None]) -> Callable[..., None]:
    """``--vocab`` and ``--bpe-ranks``, given to the command as ``tokenizer``."""

    @functools.wraps(command)
    def gather(*arguments: object, vocab: Path | None, bpe_ranks: Path | None, **others: object) -> None:
        from bort_convert.conversion.tokenizer_source import TokenizerSources

        command(*arguments, tokenizer=TokenizerSources(vocab, bpe_ranks), **others)

    return VOCAB(BPE_RANKS(gather))


VOCAB = click.option(
    "--vocab", type=click.Path(path_type=Path), metavar="FILE", help="GluonNLP's vocabulary, for a tokenizer."
)
BPE_RANKS = click.option(
    "--bpe-ranks", type=click.Path(path_type=Path), metavar="FILE", help="GluonNLP's BPE ranks; with --vocab."
)
TASK = click.option(
    "--task", type=click.Choice(list(TASKS)), metavar="NAME", help="The task a classifier was fine-tuned on, like MNLI."
)
LABELS = click.option(
    "--labels",
    metavar="A,B,…",
    callback=lambda context, option, value: None if value is None else tuple(value.split(",")),
    help="The names of a classifier's outputs, in order.",
)
DTYPE = click.option(
    "--dtype",
    type=click.Choice(["keep", "float32", "float16", "bfloat16"]),
    default="keep",
    show_default=True,
    callback=lambda context, option, value: None if value == "keep" else value,
    help="Round every tensor to this dtype.",
)


MXNET_PYTHON = click.option("--mxnet-python", metavar="PATH", help="Run MXNet under this Python instead.")
