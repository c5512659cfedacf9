"""``convert-bort tokenize``."""

import sys
from pathlib import Path

import click

from bort_convert.cli import options
from bort_convert.conversion.tokenizer import load_tokenizer
from bort_convert.errors import UnreadableTextError


@click.command()
@options.MODEL_DIR
@click.option("--pair", is_flag=True, help="Each line is two texts with a tab between.")
def command(model_dir: str, pair: bool) -> None:
    """Shows the tokens and ids that the tokenizer of MODEL_DIR gives for each line of standard input: a line of tokens, a
    line of ids, an empty line. Nothing is cut to the model's length.

    \b
    Example:
      echo 'Hello <mask>!' | convert-bort tokenize bort/
    """
    tokenizer = load_tokenizer(Path(model_dir))
    for number, line in enumerate(sys.stdin.buffer, start=1):
        ids = tokenizer.encode(*_texts(line, number, pair)).ids
        click.echo(" ".join(str(tokenizer.id_to_token(id_)) for id_ in ids))
        click.echo(" ".join(map(str, ids)) + "\n")


def _texts(line: bytes, number: int, pair: bool) -> tuple[str, str | None]:
    """The text of a line of standard input, and the second of a pair."""
    try:
        text = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UnreadableTextError(
            f"standard input, line {number}: not UTF-8, at byte {error.start}; give the text in UTF-8"
        ) from error
    if not pair:
        return text, None
    texts = text.split("\t")
    if len(texts) != 2:
        raise UnreadableTextError(
            f"standard input, line {number}: {len(texts) - 1} tabs; --pair takes two texts with one tab between"
        )
    return texts[0], texts[1]
