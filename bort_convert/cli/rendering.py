"""What `convert` prints, and what `inspect` says in the same words: values in, text out."""

from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.bort.tasks import Outputs
from bort_convert.conversion.ledger import Operation

if TYPE_CHECKING:  # inspect need not pay for what only convert imports
    from bort_convert.conversion.convert import Conversion
    from bort_convert.conversion.tokenizer_source import TokenizerSource


def conversion_summary(conversion: "Conversion", shown_dir: Path) -> str:
    """The few lines after a conversion."""
    ledger = conversion.ledger
    counts = ledger.counts()
    done = "Would convert" if conversion.digest is None else "Converted"
    lines = [
        f"{done} {conversion.checkpoint} → {shown_dir}",
        f"  architecture  {ledger.architecture.description}, {ledger.head.model_class}, "
        f"{ledger.num_parameters / 1e6:.1f} M parameters",
        "  tensors       " + ", ".join(f"{counts[kind]} {_PAST[kind]}" for kind in Operation if counts[kind]),
        f"  size          {megabytes(conversion.source_size)} → {megabytes(sum(e.nbytes for e in ledger.written))}",
        f"  tokenizer     {_tokenizer(conversion.tokenizer.source)}",
    ]
    if ledger.outputs:
        lines.append(f"  outputs       {outputs_summary(ledger.outputs)}")
    if conversion.digest is not None:
        lines.append(f"  digest        {conversion.digest}")
    lines += [f"  note          {note}" for note in conversion.tokenizer.notes]
    if ledger.head.name == "mlm" and not ledger.tied:
        lines.append("  note          the decoder's weight differs from the word embedding; both are kept, untied")
    lines += [f"  warning       {warning}" for warning in conversion.warnings]
    if conversion.digest is not None:
        lines.append(f"Prove it: convert-bort verify {conversion.checkpoint} {shown_dir}")
    return "\n".join(lines)


def outputs_summary(outputs: Outputs) -> str:
    """What a classifier's outputs mean, in a few words."""
    task = f"{outputs.task}: " if outputs.task else ""
    return task + ("regression, one output" if outputs.regression else ", ".join(outputs.labels))


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


def megabytes(nbytes: int) -> str:
    """A size for people."""
    return f"{nbytes / 1e6:,.1f} MB"
