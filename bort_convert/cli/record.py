"""``convert-bort record``."""

import click

from bort_convert.cli import input_options, options
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.tokenizer_source import TokenizerSources
from bort_convert.parity.inputs import Inputs
from bort_convert.parity.verify import record


@click.command()
@options.CHECKPOINT
@click.argument("reference", type=click.Path())
@options.declaration
@input_options.inputs
@options.tokenizer_files
@options.MXNET_PYTHON
def command(
    declared: Declaration,
    inputs: Inputs,
    tokenizer: TokenizerSources,
    checkpoint: str,
    reference: str,
    mxnet_python: str | None,
) -> None:
    """Runs MXNet once on CHECKPOINT and keeps inputs and outputs in the new file REFERENCE, so that verify --reference needs
    no MXNet.

    \b
    Example:
      convert-bort record bort.params bort.reference.safetensors
      convert-bort verify bort.params bort/ --reference bort.reference.safetensors
    """
    recorded = record(checkpoint, reference, declared, inputs=inputs, mxnet_python=mxnet_python, tokenizer=tokenizer)
    stages = sum(len(outputs) for outputs in recorded.outputs.outputs.values())
    click.echo(f"Recorded {stages} outputs of {checkpoint} in {reference}")
