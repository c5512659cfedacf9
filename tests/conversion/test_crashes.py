"""What a conversion leaves when its process is killed, its disk is full, or another conversion comes in between."""

import subprocess
import sys
from pathlib import Path

import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from tests.support import TINY, Sizes, bort_arrays, listing, run_process, write_list

HEADS = Declaration(num_heads=TINY.num_heads)
KILLS = 200

KILL = """
import os, random, signal, sys, time
from pathlib import Path
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration

first, second, destination, kills, num_heads = *map(Path, sys.argv[1:4]), *map(int, sys.argv[4:])
declared = Declaration(num_heads=num_heads)

def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else None

def fork(checkpoint):
    process = os.fork()
    if process == 0:
        convert(checkpoint, destination, declared, force=True)
        os._exit(0)
    return process

whole = []
for checkpoint in (first, second):
    convert(checkpoint, destination, declared, force=True)
    whole.append(content(destination))
start = time.perf_counter()
os.waitpid(fork(first), 0)
duration = time.perf_counter() - start
generator = random.Random(1)
killed = changed = 0
before = content(destination)
for number in range(kills):
    process = fork((first, second)[number % 2])
    time.sleep(generator.uniform(0, 1.2 * duration))
    os.kill(process, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(process, 0)[1])
    after = content(destination)
    if after not in whole:
        sys.exit(f"after kill {number}: the folder is neither the old one nor the new one: {sorted(after or ())}")
    changed += after != before
    before = after
convert(first, destination, declared, force=True)
litter = [path.name for path in destination.parent.iterdir() if path != destination]
print(killed, changed, *litter)
"""


@pytest.fixture
def two_checkpoints(tmp_path: Path) -> tuple[Path, Path]:
    """Two models of the same sizes and other weights, large enough for a kill to meet every step."""
    sizes = Sizes(num_layers=2, units=64, hidden_size=64, num_heads=TINY.num_heads, vocab_size=4000, max_length=40)
    return tuple(write_list(tmp_path / f"{seed}.params", bort_arrays(sizes, seed=seed)) for seed in (1, 2))  # type: ignore[return-value]


def test_a_killed_conversion_leaves_the_old_folder_or_the_new_one(
    tmp_path: Path, two_checkpoints: tuple[Path, Path]
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    arguments = [*two_checkpoints, parent / "model", KILLS, TINY.num_heads]
    process = subprocess.run(
        [sys.executable, "-c", KILL, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr
    killed, changed, *litter = process.stdout.split()
    assert not litter
    # Kills before and after the folder was exchanged, or the test would show nothing.
    assert int(killed) > KILLS // 10
    assert int(changed) > KILLS // 20


def test_a_file_that_the_disk_refuses(tmp_path: Path, two_checkpoints: tuple[Path, Path]) -> None:
    """A limit on the size of files stands in for a full disk: both are refused by write and by the kernel's copy."""
    first, second = two_checkpoints
    parent = tmp_path / "parent"
    parent.mkdir()
    convert(first, parent / "model", HEADS)
    before = listing(parent)
    limited = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.argv = ['convert-bort', *sys.argv[1:]]\n"
        "runpy.run_module('bort_convert', run_name='__main__')\n"
    )
    arguments = ["convert", str(second), str(parent / "model"), "--num-heads", str(TINY.num_heads), "--force"]
    process = subprocess.run(
        [sys.executable, "-c", limited, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 2
    assert process.stderr.startswith("Error: ")
    assert "cannot be written: File too large" in process.stderr
    assert len(process.stderr.splitlines()) == 1
    assert listing(parent) == before


def test_two_conversions_into_one_folder(tmp_path: Path, two_checkpoints: tuple[Path, Path]) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    whole = []
    for number, checkpoint in enumerate(two_checkpoints):
        convert(checkpoint, tmp_path / str(number), HEADS)
        whole.append(listing(tmp_path / str(number)))
    for number in range(5):
        destination = parent / f"model-{number}"
        processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "bort_convert",
                    "convert",
                    checkpoint,
                    destination,
                    "--num-heads",
                    str(TINY.num_heads),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for checkpoint in two_checkpoints
        ]
        errors = [process.communicate(timeout=60)[1] for process in processes]
        codes = [process.returncode for process in processes]
        assert 0 in codes
        assert listing(destination) in whole
        for code, error in zip(codes, errors, strict=True):
            assert code == 0 or (code == 2 and error.startswith("Error: ") and len(error.splitlines()) == 1)
    assert {path.name for path in parent.iterdir()} == {f"model-{number}" for number in range(5)}


def test_a_source_deleted_meanwhile(tmp_path: Path, two_checkpoints: tuple[Path, Path]) -> None:
    """An open file outlives its name."""
    first, _ = two_checkpoints
    convert(first, tmp_path / "expected", HEADS)
    copy = tmp_path / "copy.params"
    copy.write_bytes(first.read_bytes())

    def delete(done: int, total: int) -> None:
        copy.unlink(missing_ok=True)

    convert(copy, tmp_path / "model", HEADS, progress=delete)
    assert not copy.exists()
    assert listing(tmp_path / "model") == listing(tmp_path / "expected")


def test_a_folder_that_cannot_be_written(tmp_path: Path, two_checkpoints: tuple[Path, Path]) -> None:
    result = run_process("convert", two_checkpoints[0], "/proc/model", "--num-heads", str(TINY.num_heads))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
