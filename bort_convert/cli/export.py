"""``convert-bort export``."""

import click

from bort_convert.cli import options
from bort_convert.conversion.export import export


@click.command()
@options.MODEL_DIR
@click.argument("checkpoint", type=click.Path())
@click.option("--force", is_flag=True, help="Replace CHECKPOINT if it exists.")
def command(model_dir: str, checkpoint: str, force: bool) -> None:
    """Writes the MXNet parameter file CHECKPOINT from MODEL_DIR: the original's bytes where the folder has its record and its
    weights were not changed, else the folder's weights under names that GluonNLP's load_parameters reads.

    \b
    Example:
      convert-bort export bort/ bort.params
    """
    exported = export(model_dir, checkpoint, force=force)
    click.echo(f"Exported {model_dir} → {checkpoint}, {exported.num_tensors} tensors")
    if exported.identical:
        click.echo("  identical to the file that the folder was converted from")
    click.echo(f"  SHA-256  {exported.sha256}")
    for note in exported.notes:
        click.echo(f"  note     {note}")
