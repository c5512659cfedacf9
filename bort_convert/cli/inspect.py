"""``convert-bort inspect``."""

import click

from bort_convert.cli import inspection, options
from bort_convert.conversion.finite import find_non_finite
from bort_convert.conversion.ledger import Declaration, build_ledger
from bort_convert.conversion.record import architecture_document, dump, entry_document
from bort_convert.errors import TensorMismatchError
from bort_convert.params import open_params


@click.command()
@options.CHECKPOINT
@options.declaration
@options.TASK
@options.LABELS
@options.JSON
def command(declared: Declaration, checkpoint: str, as_json: bool) -> None:
    """Shows what CHECKPOINT is and what becomes of each of its tensors. Tensors that are not finite are named.

    \b
    Example:
      convert-bort inspect bort.params
    """
    options.without_blas_threads()
    with open_params(checkpoint) as params:
        try:
            ledger = build_ledger(params, declared)
        except TensorMismatchError as error:
            if error.problems and not as_json:
                click.echo(inspection.problem_table(error.problems))
            raise
        warnings = find_non_finite(params, ledger)
        if as_json:
            document = {
                "container": params.container,
                "size": params.size,
                "num_tensors": len(params.arrays),
                "num_parameters": ledger.num_parameters,
                "dtypes": sorted({array.dtype.name for array in params.arrays}),
                "warnings": list(warnings),
                "architecture": architecture_document(ledger),
                "ledger": [entry_document(entry) for entry in ledger.entries],
            }
            click.echo(dump(document), nl=False)
        else:
            click.echo(inspection.inspection(params, ledger, warnings))
