"""``convert-bort verify``."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import click

from bort_convert.cli import input_options, options, verdict
from bort_convert.cli.progress import steps
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.tokenizer_source import TokenizerSources
from bort_convert.errors import BortConvertError, InvalidOptionError
from bort_convert.parity import html
from bort_convert.parity.inputs import Inputs
from bort_convert.parity.report import report_json, report_junit, write_report
from bort_convert.parity.verify import DTYPES, verify


@click.command()
@options.CHECKPOINT
@options.MODEL_DIR
@options.declaration
@options.TASK
@options.LABELS
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(sorted(DTYPES)),
    multiple=True,
    help="Compare in this dtype alone. [default: both]",
)
@input_options.inputs
@options.tokenizer_files
@click.option("--texts", type=click.File(encoding="utf-8"), help="Compare these lines of text too.")
@click.option("--reference", metavar="FILE", help="Compare with a recorded run instead of running MXNet.")
@click.option("--atol", type=click.FloatRange(min=0), help="Allow this much at every stage, instead of the budgets.")
@options.MXNET_PYTHON
@click.option("--published-values", is_flag=True, help="Hold the released model against a value that others published.")
@click.option("--json", "json_file", type=click.Path(), help="Write the report as JSON.")
@click.option("--junit", "junit_file", type=click.Path(), help="Write the report as JUnit XML.")
@click.option("--html", "html_file", type=click.Path(), help="Write the report as one page of HTML.")
def command(
    declared: Declaration,
    checkpoint: str,
    model_dir: str,
    inputs: Inputs,
    tokenizer: TokenizerSources,
    dtypes: tuple[str, ...],
    texts: TextIO | None,
    reference: str | None,
    atol: float | None,
    mxnet_python: str | None,
    published_values: bool,
    json_file: str | None,
    junit_file: str | None,
    html_file: str | None,
) -> None:
    """Proves that MODEL_DIR holds the model of CHECKPOINT: every tensor's bytes, then the outputs of MXNet and PyTorch at every
    stage. Ends with PASSED (exit 0), FAILED (exit 1) or NOT VERIFIED (exit 2).

    \b
    Example:
      convert-bort verify bort.params bort/
    """
    line = shlex.join(["convert-bort", *sys.argv[1:]])
    try:
        if html_file:
            html.require()
        with steps() as progress:
            verification = verify(
                checkpoint,
                model_dir,
                declared,
                dtypes=dtypes or DTYPES,
                inputs=replace(inputs, texts=_lines(texts) if texts else None),
                reference=reference,
                atol=atol,
                mxnet_python=mxnet_python,
                tokenizer=tokenizer,
                published_values=published_values,
                progress=progress,
            )
    except BortConvertError:
        click.echo(f"NOT VERIFIED\n{line}")
        raise
    for path, render in ((json_file, report_json), (junit_file, report_junit), (html_file, html.report_html)):
        if path:
            write_report(Path(path), render(verification))
    verdict.print_verification(verification, command=line)
    sys.exit(0 if verification.passed else 1)


def _lines(texts: TextIO) -> tuple[str, ...]:
    try:
        return tuple(texts.read().splitlines())
    except UnicodeDecodeError as error:
        raise InvalidOptionError(
            f"--texts {texts.name}: not UTF-8 text ({error.reason} at byte {error.start})"
        ) from error
