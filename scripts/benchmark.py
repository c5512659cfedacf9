"""Measures, in one run and in pairs, what a conversion costs against a plain copy of the same checkpoint.

Each pair runs both commands one after the other, so that a change of the machine's speed meets both; ratios are taken pair
by pair. Figures are whole processes: wall-clock seconds, and peak resident memory as the kernel accounts for it. Checkpoints
are random, of the sizes given.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bort_convert.bort.architecture import Architecture
from bort_convert.bort.heads import HEADS
from bort_convert.bort.inventory import inventory
from bort_convert.params import BY_NAME
from bort_convert.params.list_writer import ListedArray, write_list

FULL_SIZE = Architecture(num_layers=4, num_heads=8, units=1024, hidden_size=768, max_length=512, vocab_size=50265)
TEN_TIMES = replace(FULL_SIZE, units=4096, hidden_size=3072, vocab_size=131072, num_heads=32)
COMMAND = str(Path(sys.executable).with_name("convert-bort"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Without what would have a checkout compiled at each start: pip compiles what it installs."""


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
        "--folder", type=Path, help="where to work; needs 20 GB [default: the system's temporary folder]"
    )
    parser.add_argument("--all", action="store_true", help="also without head, at ten times the size, and by layers")
    options = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="bort-benchmark-", dir=options.folder) as name:
        bench = Bench(Path(name), options.pairs, options.pause)
        console.print(bench.against_copy("full size, MLM head (tie compared, everything hashed)", FULL_SIZE, "mlm"))
        if options.all:
            console.print(bench.against_copy("full size, encoder alone", FULL_SIZE, "encoder"))
            console.print(replace_pairs(bench, 2).against_copy("ten times the size, MLM head", TEN_TIMES, "mlm"))
            console.print(bench.by_layers())
            console.print(bench.list_against_zip())


def replace_pairs(bench: "Bench", pairs: int) -> "Bench":
    return Bench(bench.folder, pairs, bench.pause)


@dataclass(frozen=True)
class Bench:
    """Where and how to measure."""

    folder: Path
    pairs: int
    pause: float

    def against_copy(self, title: str, architecture: Architecture, head: str) -> Table:
        checkpoint = write_checkpoint(self.folder / "bort.params", architecture, head)
        copy, model = self.folder / "copy.params", self.folder / "model"
        copies, conversions = self.measure(
            ["sh", "-c", 'cp "$0" "$1" && sync "$1"', str(checkpoint), str(copy)],
            [COMMAND, "convert", str(checkpoint), str(model), "--num-heads", str(architecture.num_heads)],
        )
        inspect = [COMMAND, "inspect", str(checkpoint), "--num-heads", str(architecture.num_heads)]
        inspections, helps = self.measure(inspect, [COMMAND, "--help"])
        table = new_table(f"{title}: {checkpoint.stat().st_size / 1e6:,.0f} MB, {self.pairs} pairs", "bound")
        ratios = [ours.seconds / theirs.seconds for ours, theirs in zip(conversions, copies, strict=True)]
        add(table, "cp + sync, s", [run.seconds for run in copies])
        add(table, "convert, s", [run.seconds for run in conversions])
        add(table, "convert / (cp + sync)", ratios, "1.0")
        add(table, "convert, peak MB", [run.megabytes for run in conversions], "80")
        add(table, "inspect, s", [run.seconds for run in inspections], "0.35")
        add(table, "--help, s", [run.seconds for run in helps], "0.2")
        return table

    def by_layers(self) -> Table:
        """Convert and inspect with more and more layers: both should grow as the file does."""
        table = new_table("by number of layers: seconds to convert", "MB")
        for layers in (1, 4, 16, 64):
            architecture = replace(FULL_SIZE, num_layers=layers, vocab_size=1000)
            checkpoint = write_checkpoint(self.folder / "bort.params", architecture, "mlm")
            arguments = [str(checkpoint), str(self.folder / "model"), "--num-heads", "8"]
            runs, _ = self.measure([COMMAND, "convert", *arguments], ["true"])
            add(table, f"{layers} layers", [run.seconds for run in runs], f"{checkpoint.stat().st_size / 1e6:.0f}")
        return table

    def list_against_zip(self) -> Table:
        """The same arrays as MXNet 1's list and as MXNet 2's zip of npy members."""
        checkpoint = write_checkpoint(self.folder / "bort.params", FULL_SIZE, "mlm")
        zipped = self.folder / "zip.params"
        with zipped.open("wb") as file:
            np.savez(file, **{name: np.memmap(checkpoint, dtype="u1")[: 4 * size].view("<f4").reshape(shape)
                              for name, shape, size in shapes_of(FULL_SIZE, "mlm")})  # fmt: skip
        lists, zips = self.measure(
            [COMMAND, "convert", str(checkpoint), str(self.folder / "model"), "--force"],
            [COMMAND, "convert", str(zipped), str(self.folder / "model"), "--force"],
        )
        table = new_table("containers: seconds to convert", "")
        add(table, "V2 list", [run.seconds for run in lists])
        add(table, "zip of npy", [run.seconds for run in zips])
        add(table, "zip / list", [second.seconds / first.seconds for first, second in zip(lists, zips, strict=True)])
        zipped.unlink()
        return table

    def measure(self, first: Sequence[str], second: Sequence[str]) -> tuple[list[Run], list[Run]]:
        """Runs two commands in turn; the first pair warms the page cache and is not counted."""
        results: tuple[list[Run], list[Run]] = ([], [])
        for _ in range(self.pairs + 1):
            for command, runs in zip((first, second), results, strict=True):
                self.clean()
                runs.append(finish(command))
        self.clean()
        return results[0][1:], results[1][1:]

    def clean(self) -> None:
        (self.folder / "copy.params").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "model", ignore_errors=True)
        os.sync()
        time.sleep(self.pause)


def finish(command: Sequence[str]) -> Run:
    """Runs a command to its end. Exits where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return Run(seconds, usage.ru_maxrss / 1024)


def write_checkpoint(path: Path, architecture: Architecture, head: str) -> Path:
    """A random float32 checkpoint, written without MXNet; the decoder's weight is the word embedding, as GluonNLP stores it."""
    block = np.random.default_rng(0).standard_normal(1 << 20, dtype=np.float32)

    def chunks(size: int, seed: int) -> Callable[[], Iterator[bytes]]:
        def generate() -> Iterator[bytes]:
            for start in range(0, size, block.size):
                rolled = np.roll(block, seed + start // block.size)
                yield rolled[: size - start].tobytes()

        return generate

    arrays = []
    for seed, (name, shape, size) in enumerate(shapes_of(architecture, head)):
        shared = -1 if name in ("word_embed.0.weight", "decoder.3.weight") else seed
        arrays.append(ListedArray(name, BY_NAME["float32"], shape, chunks(size, shared)))
    with path.open("wb") as file:
        write_list(file, arrays)
    os.sync()
    return path


def shapes_of(architecture: Architecture, head: str) -> list[tuple[str, tuple[int, ...], int]]:
    """The structural name, shape and number of elements of every tensor of a checkpoint."""
    shapes = {target.name: target.shape for target in inventory(architecture, HEADS[head])}
    renames = HEADS[head].renames(architecture.num_layers)
    return [(source, shapes[target], int(np.prod(shapes[target]))) for source, target in renames.items()]


def new_table(title: str, last: str) -> Table:
    table = Table(title=title)
    for header in ("", "min", "median", "max", last):
        table.add_column(header, justify="right" if header else "left")
    return table


def add(table: Table, label: str, values: Sequence[float], last: str = "") -> None:
    table.add_row(label, *(f"{value:.2f}" for value in (min(values), statistics.median(values), max(values))), last)


if __name__ == "__main__":
    main()
