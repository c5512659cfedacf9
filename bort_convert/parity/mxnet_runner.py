"""Runs the MXNet worker as a process, under this interpreter or another one."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bort_convert.conversion.ledger import Ledger, Operation
from bort_convert.errors import FrameworkError, MissingDependencyError
from bort_convert.params import LIST_CONTAINER, open_params
from bort_convert.params.list_writer import ListedArray, write_list
from bort_convert.parity.inputs import Batch

if TYPE_CHECKING:
    import numpy as np

_HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""For glibc from 2.35 on: MXNet's many large arrays then cost a fraction of the page faults."""
_WORKER = Path(__file__).with_name("mxnet_worker.py")


@dataclass(frozen=True)
class MXNetOutputs:
    """What MXNet computed: for each dtype, the stages by ``batch.stage`` name; and the versions that did it."""

    outputs: Mapping[str, Mapping[str, "np.ndarray"]]
    versions: Mapping[str, str]


class Worker:
    """A worker process at its job, in a folder of its own. Left early, it is killed."""

    def __init__(self, job: Mapping[str, object], folder: Path, python: str | None) -> None:
        self._python = interpreter(python)
        path = folder / "job.json"
        path.write_text(json.dumps(job))
        try:
            self._process = subprocess.Popen(
                [self._python, "-W", "ignore", str(_WORKER), str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=_HUGE_PAGES | os.environ,
            )
        except OSError as error:
            raise FrameworkError(f"{self._python}: cannot be run: {error.strerror}; check --mxnet-python") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def wait(self) -> Mapping[str, str]:
        """Waits for the end; the versions that the worker reported. Raises FrameworkError where it failed."""
        output, errors = self._process.communicate()
        if self._process.returncode:
            last = (errors.strip().splitlines() or [f"exit code {self._process.returncode}"])[-1]
            if "No module named" in last:
                raise MissingDependencyError(f"{self._python}: {last.partition(': ')[2]}; {_INSTALL}")
            raise FrameworkError(f"MXNet failed under {self._python}: {last}")
        try:
            events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
            versions: dict[str, str] = events[0]["versions"]
        except (ValueError, LookupError) as error:
            raise FrameworkError(
                f"{self._python}: is no Python that runs the worker (it reported no versions); check --mxnet-python"
            ) from error
        return versions


@contextmanager
def run(
    checkpoint: Path,
    ledger: Ledger,
    batches: Mapping[str, Batch],
    dtypes: Sequence[str],
    *,
    python: str | None = None,
) -> Iterator[Callable[[], MXNetOutputs]]:
    """MXNet computing the outputs of ``checkpoint`` in the background; the function that this yields waits for them.

    ``python`` is the interpreter to run it under. Raises MissingDependencyError or FrameworkError.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="bort-convert-") as name:
        folder = Path(name)
        np.savez(folder / "inputs.npz", **flatten(batches))
        # The first dtype must hold the checkpoint without rounding; the narrower one is quicker to load.
        widest_first = any(entry.source and entry.source.dtype.name == "float64" for entry in ledger.entries)
        paths = {dtype: folder / f"{dtype}.npz" for dtype in sorted(dtypes, reverse=widest_first)}
        job = {
            "command": "run",
            "checkpoint": str(_readable_by_mxnet(checkpoint, folder).absolute()),
            "architecture": asdict(ledger.architecture),
            "head": ledger.head.name,
            "num_outputs": len(ledger.outputs.labels) if ledger.outputs else 0,
            "classifier_dropout": "classifier.3.weight" in ledger.head.table,
            "ignore_extra": Operation.UNUSED in ledger.counts(),
            "within_classifier": ledger.head.name == "encoder" and bool(ledger.head.source_prefix),
            "inputs": str(folder / "inputs.npz"),
            "outputs": {dtype: str(path) for dtype, path in paths.items()},
        }
        with Worker(job, folder, python) as worker:

            def result() -> MXNetOutputs:
                versions = worker.wait()
                return MXNetOutputs({dtype: _load(path) for dtype, path in paths.items()}, versions)

            yield result


def _readable_by_mxnet(checkpoint: Path, folder: Path) -> Path:
    """The checkpoint itself where it is a list of plain arrays; else such a list of the same arrays, under the same names.

    MXNet 1 reads no zip of MXNet 2, and GluonNLP loads no sparse parameters.
    """
    with open_params(checkpoint) as params:
        if params.container == LIST_CONTAINER and not any(array.encoding for array in params.arrays):
            return checkpoint
        path = folder / "checkpoint.params"
        with path.open("wb") as file:
            write_list(
                file,
                [
                    ListedArray(array.name, array.dtype, array.shape, partial(params.chunks, array))
                    for array in params.arrays
                ],
            )
        return path


def _load(path: Path) -> Mapping[str, "np.ndarray"]:
    import numpy as np

    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def flatten(batches: Mapping[str, Batch]) -> dict[str, "np.ndarray"]:
    """The batches' arrays, by ``batch.field``."""
    return {f"{name}.{field}": array for name, batch in batches.items() for field, array in vars(batch).items()}


def interpreter(python: str | None) -> str:
    """The interpreter that runs MXNet. Raises MissingDependencyError where this one should and lacks MXNet."""
    if python is not None:
        return python
    for module in ("mxnet", "gluonnlp"):
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(f"{module} is not installed; {_INSTALL}")
    return sys.executable


_INSTALL = (
    "run: pip install 'bort-convert[mxnet]' (Python 3.11 or 3.12), or name an interpreter that has it (--mxnet-python)"
)
