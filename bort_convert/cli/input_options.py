"""Options for the token ids that the frameworks are given."""

import functools
from collections.abc import Callable

import click

from bort_convert.parity.inputs import DEFAULT_LENGTHS, Inputs

_LENGTHS = click.option(
    "--lengths",
    default=",".join(map(str, DEFAULT_LENGTHS)),
    show_default=True,
    metavar="N,N,…",
    callback=lambda context, option, value: _integers(value),
    help="Lengths of the sequences in the padded batch.",
)
_SEED = click.option("--seed", default=0, show_default=True, help="Seed of the random token ids.")


def inputs(command: Callable[..., None]) -> Callable[..., None]:
    """``--lengths`` and ``--seed``, given to the command as ``inputs``."""

    @functools.wraps(command)
    def gather(*arguments: object, lengths: tuple[int, ...], seed: int, **others: object) -> None:
        command(*arguments, inputs=Inputs(lengths, seed), **others)

    return _LENGTHS(_SEED(gather))


def _integers(text: str) -> tuple[int, ...]:
    """The value of an option that lists whole numbers."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers like 1,2,17") from None
