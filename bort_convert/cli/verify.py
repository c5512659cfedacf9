"""``convert-bort verify``."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from bort_convert.cli import options, verdict
from bort_convert.conversion.ledger import Declaration
from bort_convert.parity.inputs import DEFAULT_LENGTHS
from bort_convert.parity.verify import DTYPES, verify


@click.command()
@options.CHECKPOINT
@options.MODEL_DIR
@options.declaration
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(sorted(DTYPES)),
    multiple=True,
    help="Compare in this dtype alone. [default: both]",
)
@click.option(
    "--lengths",
    default=",".join(map(str, DEFAULT_LENGTHS)),
    show_default=True,
    metavar="N,N,…",
    callback=lambda context, option, value: options.integers(value),
    help="Lengths of the sequences in the padded batch.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random token ids.")
@click.option("--atol", type=click.FloatRange(min=0), help="Allow this much at every stage, instead of the budgets.")
@click.option("--mxnet-python", metavar="PATH", help="Run MXNet under this Python instead.")
def command(
    declared: Declaration,
    checkpoint: str,
    model_dir: str,
    dtypes: tuple[str, ...],
    lengths: tuple[int, ...],
    seed: int,
    atol: float | None,
    mxnet_python: str | None,
) -> None:
    """Proves that MODEL_DIR holds the model of CHECKPOINT: every tensor's bytes, then the outputs of MXNet and PyTorch at every
    stage. Ends with PASSED (exit 0) or FAILED (exit 1).

    \b
    Example:
      convert-bort verify bort.params bort/
    """
    with _steps() as progress:
        verification = verify(
            checkpoint,
            model_dir,
            declared,
            dtypes=dtypes or DTYPES,
            lengths=lengths,
            seed=seed,
            atol=atol,
            mxnet_python=mxnet_python,
            progress=progress,
        )
    verdict.print_verification(verification, command=shlex.join(["convert-bort", *sys.argv[1:]]))
    sys.exit(0 if verification.passed else 1)


@contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """The step at work, on standard error where that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status("Starting") as status:
        yield status.update
