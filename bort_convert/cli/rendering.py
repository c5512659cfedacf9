"""What the commands print: values in, text out. Rich is imported where a table is printed, for it costs time."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.conversion.convert import Conversion
from bort_convert.conversion.ledger import Entry, Ledger, Operation
from bort_convert.errors import Problem
from bort_convert.params import ParamsFile

if TYPE_CHECKING:
    from rich.console import Console

_LAYER = re.compile(r"(?<=\.)\d+(?=\.(?:attention|proj|layer_norm|ffn|intermediate|output))")


def conversion_summary(conversion: Conversion, shown_dir: Path) -> str:
    """The few lines after a conversion."""
    ledger = conversion.ledger
    counts = ledger.counts()
    done = "Would convert" if conversion.sha256 is None else "Converted"
    lines = [
        f"{done} {conversion.checkpoint} → {shown_dir}",
        f"  architecture  {ledger.architecture.description}, {ledger.head.model_class}, "
        f"{ledger.num_parameters / 1e6:.1f} M parameters",
        "  tensors       " + ", ".join(f"{counts[kind]} {_PAST[kind]}" for kind in Operation if counts[kind]),
        f"  size          {_megabytes(conversion.source_size)} → {_megabytes(sum(e.nbytes for e in ledger.written))}",
    ]
    if conversion.sha256 is not None:
        lines.append(f"  source SHA-256  {conversion.sha256}")
    if ledger.head.name == "mlm" and not ledger.tied:
        lines.append("  note          the decoder's weight differs from the word embedding; both are kept, untied")
    if conversion.sha256 is not None:
        lines.append(f"Prove it: convert-bort verify {conversion.checkpoint} {shown_dir}")
    return "\n".join(lines)


def print_inspection(params: ParamsFile, ledger: Ledger) -> None:
    """What a checkpoint is, then its ledger with the layers folded."""
    console = _console()
    dtypes = sorted({array.dtype.name for array in params.arrays})
    versions = sorted({array.version for array in params.arrays})
    console.print(f"{params.path}", style="bold", highlight=False)
    for label, value in (
        ("container", f"{params.container} ({', '.join(versions)} arrays), {_megabytes(params.size)}"),
        ("architecture", ledger.architecture.description),
        ("head", f"{ledger.head.name} → {ledger.head.model_class}"),
        ("vocabulary", f"{ledger.architecture.vocab_size} tokens"),
        ("dtypes", ", ".join(dtypes)),
        ("tensors", f"{len(params.arrays)} in the file, {ledger.num_parameters / 1e6:.1f} M parameters"),
    ):
        console.print(f"  {label:<13} {value}", highlight=False)
    console.print()
    _print_ledger(console, ledger.entries)


def print_problems(problems: Sequence[Problem]) -> None:
    """Everything that keeps a file from being a Bort, in one table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for header in ("problem", "tensor", "found"):
        table.add_column(header, overflow="fold")
    for problem in problems:
        table.add_row(problem.kind, problem.name, problem.detail)
    _console().print(table)


def _print_ledger(console: "Console", entries: Sequence[Entry]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for header in ("", "source", "target", "shape"):
        table.add_column(header, overflow="fold")
    for first, count in _fold(entries):
        layers = f"{{0-{count - 1}}}" if count > 1 else r"\g<0>"
        source = first.source.name if first.source else "-"
        target = first.target or f"({first.note})"
        shape = "×".join(str(size) for size in first.shape)
        table.add_row(first.operation.value, _LAYER.sub(layers, source), _LAYER.sub(layers, target), shape)
    console.print(table)


def _fold(entries: Sequence[Entry]) -> Iterator[tuple[Entry, int]]:
    """Each entry that differs from others in more than its layer, with the number of layers it stands for."""

    def key(entry: Entry) -> tuple[object, ...]:
        name = entry.source.name if entry.source else ""
        return entry.operation, _LAYER.sub("*", name), entry.shape, entry.dtype

    first_of: dict[tuple[object, ...], Entry] = {}
    counts: dict[tuple[object, ...], int] = {}
    for entry in entries:
        identity = (*key(entry), _LAYER.sub("*", entry.target or ""))
        first_of.setdefault(identity, entry)
        counts[identity] = counts.get(identity, 0) + 1
    for identity, entry in first_of.items():
        yield entry, counts[identity]


_PAST = {
    Operation.COPY: "copied bit for bit",
    Operation.TIE: "tied",
    Operation.ZERO: "zero by rule",
    Operation.UNUSED: "not used",
}


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.1f} MB"


def _console() -> "Console":
    from rich.console import Console

    return Console()
