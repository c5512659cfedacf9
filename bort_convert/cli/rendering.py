"""What `convert` and `inspect` print: values in, text out."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.bort.tasks import Outputs
from bort_convert.conversion.ledger import Entry, Ledger, Operation
from bort_convert.errors import Problem
from bort_convert.params import ParamsFile

if TYPE_CHECKING:  # inspect need not pay for what only convert imports
    from bort_convert.conversion.convert import Conversion
    from bort_convert.conversion.tokenizer_source import TokenizerSource

_LAYER = re.compile(r"(?<=\.)\d+(?=\.(?:attention|proj|layer_norm|ffn|intermediate|output))")


def conversion_summary(conversion: "Conversion", shown_dir: Path) -> str:
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
        f"  tokenizer     {_tokenizer(conversion.tokenizer.source)}",
    ]
    if ledger.outputs:
        lines.append(f"  outputs       {outputs_summary(ledger.outputs)}")
    if conversion.sha256 is not None:
        lines.append(f"  SHA-256       {conversion.sha256}")
    lines += [f"  note          {note}" for note in conversion.tokenizer.notes]
    if ledger.head.name == "mlm" and not ledger.tied:
        lines.append("  note          the decoder's weight differs from the word embedding; both are kept, untied")
    lines += [f"  warning       {warning}" for warning in conversion.warnings]
    if conversion.sha256 is not None:
        lines.append(f"Prove it: convert-bort verify {conversion.checkpoint} {shown_dir}")
    return "\n".join(lines)


def outputs_summary(outputs: Outputs) -> str:
    """What a classifier's outputs mean, in a few words."""
    task = f"{outputs.task}: " if outputs.task else ""
    return task + ("regression, one output" if outputs.regression else ", ".join(outputs.labels))


def inspection(params: ParamsFile, ledger: Ledger, warnings: Sequence[str]) -> str:
    """What a checkpoint is, then its ledger with the layers folded."""
    dtypes = sorted({array.dtype.name for array in params.arrays})
    versions = sorted({array.version for array in params.arrays})
    facts: tuple[tuple[str, str], ...] = (
        ("container", f"{params.container} ({', '.join(versions)} arrays), {_megabytes(params.size)}"),
        ("architecture", ledger.architecture.description),
        ("head", f"{ledger.head.name}, becomes {ledger.head.model_class}"),
        ("vocabulary", f"{ledger.architecture.vocab_size} tokens"),
        ("names", ledger.writer),
        ("dtypes", ", ".join(dtypes)),
        ("tensors", f"{len(params.arrays)} in the file, {ledger.num_parameters / 1e6:.1f} M parameters"),
    )
    if ledger.outputs:
        facts += (("outputs", outputs_summary(ledger.outputs)),)
    facts += tuple(("warning", warning) for warning in warnings)
    lines = [str(params.path), *(f"  {label:<13} {value}" for label, value in facts), ""]
    for first, layers in _fold(ledger.entries):
        source = _LAYER.sub(layers, first.source.name) if first.source else "-"
        target = _LAYER.sub(layers, first.target) if first.target else first.note
        shape = "×".join(str(size) for size in first.shape)
        lines += [f"{first.operation.value:<6} {source}  {shape}", f"       → {target}"]
    return "\n".join(lines)


def problem_table(problems: Sequence[Problem]) -> str:
    """Everything that keeps a file from being a Bort, one line each."""
    return "\n".join(f"{problem.kind:<10} {problem.name}: {problem.detail}" for problem in problems)


def _fold(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Each entry that differs from others in more than its layer, with the layers it stands for."""
    folded: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        source = _LAYER.sub("*", entry.source.name if entry.source else "")
        key = (entry.operation, source, _LAYER.sub("*", entry.target or ""), entry.shape, entry.dtype)
        folded.setdefault(key, []).append(entry)
    for alike in folded.values():
        yield alike[0], _layers([entry.target or "" for entry in alike])


def _layers(targets: Sequence[str]) -> str:
    """The layers of targets that differ in nothing else: ``{0-3}``, or ``{0,2}`` where some between are otherwise."""
    found = [int(match[0]) for target in targets if (match := _LAYER.search(target))]
    if len(found) < 2:
        return r"\g<0>"
    whole = found == list(range(found[0], found[-1] + 1))
    return f"{{{found[0]}-{found[-1]}}}" if whole else f"{{{','.join(map(str, found))}}}"


_PAST = {
    Operation.COPY: "copied bit for bit",
    Operation.CAST: "rounded",
    Operation.TIE: "tied",
    Operation.ZERO: "zero by rule",
    Operation.UNUSED: "not used",
}


_FROM = {
    "files": "--vocab and --bpe-ranks",
    "gluonnlp-cache": "GluonNLP's cache",
    "folder": "the folder that --tokenizer names",
    "hub": "the Hugging Face hub",
}


def _tokenizer(source: "TokenizerSource | None") -> str:
    if source is None:
        return "none; --vocab FILE --bpe-ranks FILE or --tokenizer NAME adds it"
    return f"{len(source.vocabulary.tokens)} tokens, from {_FROM[source.kind]}"


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.1f} MB"
