"""``convert-bort sample``."""

from dataclasses import asdict, replace

import click

from bort_convert.bort.architecture import PUBLISHED, Architecture
from bort_convert.bort.heads import HEADS, MLM
from bort_convert.cli import options
from bort_convert.parity.sample import write_sample

_SIZES = {
    "num_layers": "Number of layers.",
    "units": "Width of the hidden states.",
    "hidden_size": "Width of the feed-forward layers.",
    "num_heads": "Number of attention heads.",
    "max_length": "Number of positions.",
}


@click.command()
@click.argument("checkpoint", type=click.Path())
@click.option(
    "--architecture",
    "name",
    type=click.Choice(list(PUBLISHED)),
    default="bort_4_8_768_1024",
    show_default=True,
    help="The architecture whose sizes hold where no option says otherwise.",
)
@click.option(
    "--head", type=click.Choice(list(HEADS)), default=MLM.name, show_default=True, help="What to put on the encoder."
)
@click.option(
    "--num-classes", type=click.IntRange(min=1), default=2, show_default=True, help="Outputs of a classifier."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random weights.")
@click.option("--vocab-size", type=click.IntRange(min=1), default=50265, show_default=True, help="Number of tokens.")
@options.MXNET_PYTHON
def command(
    checkpoint: str,
    name: str,
    head: str,
    num_classes: int,
    seed: int,
    vocab_size: int,
    mxnet_python: str | None,
    **sizes: int | None,
) -> None:
    """Writes the new file CHECKPOINT, a random Bort checkpoint, with real GluonNLP on real MXNet.

    \b
    Example:
      convert-bort sample random.params --seed 1
    """
    architecture = Architecture(**asdict(PUBLISHED[name]), vocab_size=vocab_size)
    architecture = replace(architecture, **{size: value for size, value in sizes.items() if value is not None})
    path = write_sample(checkpoint, architecture, head=head, num_classes=num_classes, seed=seed, python=mxnet_python)
    click.echo(
        f"Wrote {checkpoint}: {architecture.description}, head {head}, {path.stat().st_size / 1e6:,.1f} MB of random weights"
    )


for _size, _help in reversed(_SIZES.items()):
    command = click.option(f"--{_size.replace('_', '-')}", type=click.IntRange(min=1), help=_help)(command)
