"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bort_convert.bort.architecture import PUBLISHED
from bort_convert.bort.heads import HEADS

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

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


def declaration(command: Decorated) -> Decorated:
    """``--architecture``, ``--num-heads`` and ``--head``: what the file itself cannot say."""
    return _ARCHITECTURE(_NUM_HEADS(_HEAD(command)))
