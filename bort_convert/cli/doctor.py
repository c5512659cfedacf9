"""``convert-bort doctor``."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap

import click

from bort_convert.cli import options
from bort_convert.cli.progress import steps
from bort_convert.conversion.record import dump
from bort_convert.diagnosis.diagnose import can_convert, diagnose
from bort_convert.diagnosis.finding import CONVERSION, PROOF, PUBLISHING, REPORT, TOKENIZER, Finding

_WIDTH = 80
_COMMANDS = {
    CONVERSION: "convert, inspect, export",
    TOKENIZER: "a tokenizer in the folder",
    PROOF: "verify, record, sample",
    REPORT: "verify --html",
    PUBLISHING: "publish",
}


@click.command()
@options.MXNET_PYTHON
@options.JSON
def command(mxnet_python: str | None, as_json: bool) -> None:
    """Says what of this machine's set-up works, what does not, and the command that mends it. Exits with 0 where conversion can
    be done, whatever else is missing, and with 2 where it cannot.

    \b
    Example:
      convert-bort doctor
    """
    with steps() as progress:
        findings = diagnose(mxnet_python, progress)
    able = can_convert(findings)
    if as_json:
        document = {
            "can_convert": able,
            "findings": [asdict(finding) | {"ok": finding.ok} for finding in findings],
        }
        click.echo(dump(document), nl=False)
    else:
        click.echo("\n".join(_lines(findings)))
    sys.exit(0 if able else 2)


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A block for each thing that one may want to do."""
    for purpose, commands in _COMMANDS.items():
        concerned = [finding for finding in findings if finding.needed_for == purpose]
        faults = sum(not finding.ok for finding in concerned)
        yield f"{purpose} ({commands}): " + (f"{faults} to mend" if faults else "ok")
        for finding in concerned:
            label = f"  {'ok ' if finding.ok else 'NO '} {finding.subject}: "
            yield from wrap(finding.found, _WIDTH, initial_indent=label, subsequent_indent=" " * 6)
            if finding.remedy:
                yield f"      run: {finding.remedy}"
        yield ""
    yield (
        "A checkpoint can be converted here." if can_convert(tuple(findings)) else "Nothing can be converted here yet."
    )
