"""The command line. Each command parses, makes one library call and renders; commands are imported when they run."""

import sys
from importlib import import_module

import click

from bort_convert import __version__
from bort_convert.errors import BortConvertError

COMMANDS = {
    "convert": "converts a checkpoint into a model folder",
    "inspect": "shows what a checkpoint is, and the ledger of its tensors",
    "verify": "proves that a model folder computes what its checkpoint does",
    "tokenize": "shows the tokens and ids of a text",
    "sample": "writes a random Bort checkpoint with real GluonNLP",
}


class _Group(click.Group):
    """Imports a command's module when the command is used, and turns the package's errors into one line and exit 2."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = import_module(f"bort_convert.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except BortConvertError as error:
            if context.params["debug"]:
                raise
            click.echo(f"Error: {error}", err=True)
            sys.exit(2)


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
