"""Random Bort checkpoints, written by real GluonNLP on real MXNet."""

import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from bort_convert.bort.architecture import Architecture
from bort_convert.bort.heads import MLM
from bort_convert.errors import DestinationError, InvalidOptionError
from bort_convert.parity.mxnet_runner import Worker


def write_sample(
    checkpoint: str | os.PathLike[str],
    architecture: Architecture,
    *,
    head: str = MLM.name,
    num_classes: int = 2,
    seed: int = 0,
    python: str | None = None,
) -> Path:
    """Writes a random float32 checkpoint of this architecture with ``save_parameters``; no tensor of it is trivial.

    ``num_classes`` is the number of a classifier's outputs; ``python`` is the interpreter to run MXNet under. Raises
    DestinationError where the file exists or cannot be written, InvalidOptionError for impossible sizes,
    MissingDependencyError or FrameworkError.
    """
    path = Path(checkpoint).absolute()
    if path.exists():
        raise DestinationError(f"{checkpoint}: exists; delete it or choose another name")
    if not os.access(path.parent, os.W_OK):
        raise DestinationError(f"{path.parent}: no such folder, or no permission to write here")
    if architecture.units % architecture.num_heads:
        raise InvalidOptionError(f"--num-heads {architecture.num_heads} does not divide {architecture.units} units")
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="bort-convert-") as folder:
        job = {
            "command": "sample",
            "checkpoint": str(partial),
            "architecture": asdict(architecture),
            "head": head,
            "num_outputs": num_classes,
            "classifier_dropout": True,
            "seed": seed,
        }
        try:
            with Worker(job, Path(folder), python) as worker:
                worker.wait()
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
    return path
