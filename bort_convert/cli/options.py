"""Options that several commands share."""

import functools
from collections.abc import Callable

import click

from bort_convert.bort.architecture import PUBLISHED
from bort_convert.bort.heads import HEADS
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


def declaration(command: Callable[..., None]) -> Callable[..., None]:
    """``--architecture``, ``--num-heads`` and ``--head``, given to the command as its first argument, a Declaration."""

    @functools.wraps(command)
    def gather(*, architecture: str | None, num_heads: int | None, head: str | None, **others: object) -> None:
        command(Declaration(architecture, num_heads, head), **others)

    return _ARCHITECTURE(_NUM_HEADS(_HEAD(gather)))


def integers(text: str) -> tuple[int, ...]:
    """The value of an option that lists whole numbers."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers like 1,2,17") from None
