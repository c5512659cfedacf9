"""What `inspect` prints: values in, text out."""

import re
from collections.abc import Iterator, Sequence

from bort_convert.cli.rendering import megabytes, outputs_summary
from bort_convert.conversion.ledger import Entry, Ledger
from bort_convert.errors import Problem
from bort_convert.params import ParamsFile

_LAYER = re.compile(r"(?<=\.)\d+(?=\.(?:attention|proj|layer_norm|ffn|intermediate|output))")


def inspection(params: ParamsFile, ledger: Ledger, warnings: Sequence[str]) -> str:
    """What a checkpoint is, then its ledger with the layers folded."""
    dtypes = sorted({array.dtype.name for array in params.arrays})
    versions = sorted({array.version for array in params.arrays})
    facts: tuple[tuple[str, str], ...] = (
        ("container", f"{params.container} ({', '.join(versions)} arrays), {megabytes(params.size)}"),
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
        lines += [f"{first.operation.value:<6} {source}", f"       → {target}  {shape}"]
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
