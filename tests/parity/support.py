"""Shared by the tests of the proof: model folders with their checkpoints, and ways to spoil them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bort_convert.bort.architecture import Architecture
from bort_convert.parity.comparison import Difference
from bort_convert.parity.result import StageResult, Verification
from tests.support import Result as Result  # noqa: PLC0414  given on to the tests
from tests.support import run as run  # noqa: PLC0414

DATA = Path(__file__).parents[1] / "data"
"""Checkpoints and outputs of the original code (MXNet 1.5.0, GluonNLP 0.8.3)."""
HEADS = 4
"""Attention heads of every golden and of `TINY`; no tensor tells them."""
TINY = Architecture(num_layers=2, num_heads=HEADS, units=32, hidden_size=24, max_length=40, vocab_size=97)
LENGTHS = (1, 2, 17)


@dataclass(frozen=True)
class Specimen:
    """A checkpoint, its correct model folder, and a recorded run of MXNet, where there is one. None is to be changed."""

    name: str
    head: str
    checkpoint: Path
    model_dir: Path
    reference: Path


def copy(model_dir: Path, folder: Path) -> Path:
    """A model folder of one's own, to be spoilt."""
    return Path(shutil.copytree(model_dir, folder / "model"))


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Changes a JSON file in place."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def edit_tensors(model_dir: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Changes the tensors of a model folder in place."""
    from safetensors.numpy import load_file, save_file

    path = model_dir / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path, {"format": "pt"})


def shifted(verification: Verification, stage: str, dtype: str) -> Verification:
    """The verification with one stage's comparison failed, in every attention and batch of a dtype."""

    def spoil(result: StageResult) -> StageResult:
        if (result.stage, result.dtype) != (stage, dtype):
            return result
        return replace(result, difference=replace(result.difference, failure="made to fail", mismatched=1, largest=0.5))

    return replace(verification, stages=tuple(spoil(result) for result in verification.stages))


def worst(verification: Verification, dtype: str) -> float:
    """The largest difference of all stages in a dtype."""
    return max(result.difference.largest for result in verification.stages if result.dtype == dtype)


def incomparable(failure: str) -> Difference:
    """What comparing gives where there are no numbers."""
    nan = float("nan")
    return Difference(0, 0, nan, nan, (), nan, nan, failure)


def run_process(
    *arguments: str | Path, without: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> Result:
    """Runs ``convert-bort`` in a process of its own, in which the modules ``without`` cannot be imported."""
    code = f"import sys; sys.modules.update(dict.fromkeys({without!r})); from bort_convert.cli import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | dict(environment or {}),
    )
    return Result(process.returncode, process.stdout, process.stderr)


def assert_one_line(result: Result, pattern: str) -> None:
    """The command could not be done, and says why in one line."""
    assert result.exit_code == 2, result
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert re.match("Error: ", lines[0])
    assert re.search(pattern, lines[0]), lines[0]
