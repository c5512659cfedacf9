"""The command line. Each command parses, makes one library call and renders; commands are imported when they run."""

import gc
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from bort_convert import __version__
from bort_convert.errors import BortConvertError

COMMANDS = {
    "convert": "converts a checkpoint into a model folder",
    "inspect": "shows what a checkpoint is, and the ledger of its tensors",
    "verify": "proves that a model folder computes what its checkpoint does",
    "export": "writes a model folder back to an MXNet parameter file",
    "record": "keeps MXNet's outputs, to verify where MXNet cannot be installed",
    "tokenize": "shows the tokens and ids of a text",
    "publish": "puts a verified model folder on the Hugging Face Hub",
    "doctor": "says what of this machine's set-up works, and how to mend the rest",
    "sample": "writes a random Bort checkpoint with real GluonNLP",
}


class _Group(click.Group):
    """Imports a command's module when the command is used, and turns the package's errors into one line and exit 2."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        # Modules are no garbage: looking for some among them, now and at the exit, would cost a short command 20 ms.
        gc.disable()
        try:
            command = import_module(f"bort_convert.cli.{name}").command
        finally:
            gc.freeze()
            gc.enable()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if context.params["debug"]:
                import traceback

                click.echo(traceback.format_exc(), err=True, nl=False)
            if isinstance(error, BortConvertError):
                raise click.ClickException(str(error)) from error
            # A fault of this program must not look like a comparison that failed, which exits with 1.
            found = f"{type(error).__name__}: {error}"
            raise click.ClickException(f"unexpected {found}; run again with --debug, and report it") from error

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs the command line; every error, click's own included, is one line and exit code 2."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(
                stream, TextIOWrapper
            ):  # an arrow that a terminal cannot show is no reason to fail after the work
                stream.reconfigure(errors="replace")
        try:
            result = super().main(*arguments, **options | {"standalone_mode": False})
        except click.ClickException as error:
            click.echo(f"Error: {' '.join(error.format_message().split())}", err=True)
            sys.exit(2)
        except click.Abort:
            sys.exit(130)
        sys.exit(result if isinstance(result, int) else 0)


@click.command(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done or verified, 1 a comparison failed, 2 could not be done.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Converts Amazon Alexa's Bort checkpoints (MXNet, GluonNLP) to Hugging Face BERT folders, and proves that nothing
    changed.

    \b
    Example:
      convert-bort convert bort.params bort/
      convert-bort verify bort.params bort/
    """
