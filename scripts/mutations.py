"""Measures the verification's power: makes every fault of the catalogue, verifies, and prints what was found and by what."""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bort_convert.bort.architecture import Architecture
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.parity.inputs import Inputs
from bort_convert.parity.mutations import Finding, measure
from bort_convert.parity.sample import write_sample
from bort_convert.parity.verify import record

TINY = Architecture(num_layers=2, num_heads=4, units=32, hidden_size=24, max_length=40, vocab_size=97)
FULL_SIZE = Architecture(num_layers=4, num_heads=8, units=1024, hidden_size=768, max_length=512, vocab_size=50265)
PARTS = ("tensor", "config", "loading", "outputs", "refused")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--head", action="append", help="measure this head [default: all of them]")
    parser.add_argument("--full-size", action="store_true", help="use a full-size Bort; takes many minutes")
    options = parser.parse_args()
    architecture = FULL_SIZE if options.full_size else TINY
    console = Console(highlight=False)
    findings: list[Finding] = []
    for head in options.head or ("encoder", "mlm", "classifier"):
        with tempfile.TemporaryDirectory(prefix="bort-mutations-") as name:
            folder = Path(name)
            checkpoint = write_sample(folder / "bort.params", architecture, head=head, num_classes=3)
            declared = Declaration(num_heads=architecture.num_heads)
            convert(checkpoint, folder / "model", declared)
            record(checkpoint, folder / "reference", declared, inputs=Inputs(lengths=(1, 2, 17)))
            found = track(measure(checkpoint, folder / "model", folder / "reference", head), f"Faults, {head}",
                          console=Console(stderr=True))  # fmt: skip
            findings += found
    for finding in findings:
        state = ", ".join(finding.found_by) or "[bold red]NOT FOUND"
        console.print(f"{finding.family:<10} {finding.fault:<50} {state}", soft_wrap=True)
    table = Table(title="Faults found")
    for header in ("family", "tried", "found", *PARTS):
        table.add_column(header, justify="left" if header == "family" else "right")
    for family in dict.fromkeys(finding.family for finding in findings):
        alike = [finding for finding in findings if finding.family == family]
        parts = Counter(part for finding in alike for part in finding.found_by)
        found_count = sum(bool(finding.found_by) for finding in alike)
        table.add_row(family, str(len(alike)), str(found_count), *(str(parts[part]) for part in PARTS))
    console.print(table)
    missed = sum(not finding.found_by for finding in findings)
    console.print(f"{len(findings) - missed} of {len(findings)} faults found")
    return 1 if missed or not findings else 0


if __name__ == "__main__":
    sys.exit(main())
