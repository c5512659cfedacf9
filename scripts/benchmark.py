"""Measures, in one run and in pairs, what a conversion costs against a plain copy of the same checkpoint.

Each pair runs both commands one after the other, so that a change of the machine's speed meets both; ratios are taken pair
by pair. Figures are whole processes: wall-clock seconds, and peak resident memory as the kernel accounts for it.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Run:
    """One finished process: seconds of wall-clock time, and peak resident memory in MB."""

    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="pairs that are counted, after one that is not")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds of rest before each run, for the disk")
    parser.add_argument(
        "--folder", type=Path, help="where to work; needs 2 GB [default: the system's temporary folder]"
    )
    parser.add_argument("--checkpoint", type=Path, help="measure this file [default: a random full-size Bort]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bort-benchmark-", dir=options.folder) as name:
        folder = Path(name)
        checkpoint = options.checkpoint or write_sample(folder / "bort.params")
        measure_conversion(checkpoint, folder, options.pairs, options.pause)


def write_sample(path: Path) -> Path:
    finish([sys.executable, "-m", "bort_convert", "sample", str(path)])
    return path


def measure_conversion(checkpoint: Path, folder: Path, count: int, pause: float) -> None:
    copy, model_dir = folder / "copy.params", folder / "model"

    def clean() -> None:
        copy.unlink(missing_ok=True)
        shutil.rmtree(model_dir, ignore_errors=True)
        os.sync()
        time.sleep(pause)

    python = [sys.executable, "-m", "bort_convert"]
    rows = {
        "cp + sync": ["sh", "-c", 'cp "$0" "$1" && sync "$1"', str(checkpoint), str(copy)],
        "convert": [*python, "convert", str(checkpoint), str(model_dir)],
    }
    copies, conversions = pairs(*rows.values(), count, clean)
    inspections = [finish([*python, "inspect", str(checkpoint)]) for _ in range(count)]
    helps = [finish([*python, "--help"]) for _ in range(count)]
    console = Console(highlight=False)
    table = Table(title=f"{checkpoint.stat().st_size / 1e6:.0f} MB, {count} pairs, {pause} s of rest before each run")
    for header in ("", "min", "median", "max", "bound"):
        table.add_column(header, justify="left" if not header else "right")
    ratios = [ours.seconds / theirs.seconds for ours, theirs in zip(conversions, copies, strict=True)]
    add(table, "cp + sync, s", [run.seconds for run in copies])
    add(table, "convert, s", [run.seconds for run in conversions])
    add(table, "convert / (cp + sync)", ratios, "1.0")
    add(table, "convert, peak MB", [run.megabytes for run in conversions], "80")
    add(table, "inspect, s", [run.seconds for run in inspections], "0.35")
    add(table, "--help, s", [run.seconds for run in helps], "0.2")
    console.print(table)


def pairs(
    first: Sequence[str], second: Sequence[str], count: int, clean: Callable[[], None]
) -> tuple[list[Run], list[Run]]:
    """Runs the two commands in turn; the first pair warms the page cache and is not counted."""
    results: tuple[list[Run], list[Run]] = ([], [])
    for _ in range(count + 1):
        for command, runs in zip((first, second), results, strict=True):
            clean()
            runs.append(finish(command))
    clean()
    return results[0][1:], results[1][1:]


def finish(command: Sequence[str]) -> Run:
    """Runs a command to its end. Exits where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return Run(seconds, usage.ru_maxrss / 1024)


def add(table: Table, label: str, values: Sequence[float], bound: str = "") -> None:
    table.add_row(label, *(f"{value:.2f}" for value in (min(values), statistics.median(values), max(values))), bound)


if __name__ == "__main__":
    main()
