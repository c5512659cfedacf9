"""Faults that a conversion could have, made on purpose, to measure what a verification finds.

Three catalogues by family, each a table from a fault's name to the function that makes it: ``weights`` changes the tensors,
``semantics`` what the loaded model computes, ``files`` what stands in the folder.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bort_convert.errors import ModelFolderError
from bort_convert.parity.mutations.files import FILE_FAULTS, load_tensors, save_tensors
from bort_convert.parity.mutations.semantics import SEMANTIC_FAULTS
from bort_convert.parity.mutations.weights import WEIGHT_FAULTS
from bort_convert.parity.verify import verify


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, and which parts of the verification found it.

    ``found_by`` has ``tensor``, ``config``, ``loading``, ``outputs``, or ``refused`` where the folder could not be read.
    """

    family: str
    fault: str
    found_by: tuple[str, ...]


def measure(checkpoint: Path, model_dir: Path, reference: Path, head: str) -> Iterator[Finding]:
    """Makes every fault that concerns ``head`` in a copy of the correct ``model_dir`` and verifies it against ``reference``."""
    for name, in_weights in WEIGHT_FAULTS.items():
        if head in in_weights.heads:
            with _copy(model_dir) as copy:
                tensors = load_tensors(copy)
                in_weights.apply(tensors)
                save_tensors(tensors, copy)
                yield Finding("weights", name, _found_by(checkpoint, copy, reference))
    for name, in_semantics in SEMANTIC_FAULTS.items():
        if head in in_semantics.heads:
            yield Finding("semantics", name, _found_by(checkpoint, model_dir, reference, in_semantics.apply))
    for name, in_files in FILE_FAULTS.items():
        if head in in_files.heads:
            with _copy(model_dir) as copy:
                in_files.apply(copy)
                yield Finding("files", name, _found_by(checkpoint, copy, reference))


def _found_by(
    checkpoint: Path, model_dir: Path, reference: Path, patch: Callable[[Any], None] = lambda model: None
) -> tuple[str, ...]:
    try:
        verification = verify(checkpoint, model_dir, reference=reference, patch=patch)
    except ModelFolderError:
        return ("refused",)
    found = {check.kind: None for check in verification.checks if not check.passed}
    if any(not result.difference.passed for result in verification.stages):
        found["outputs"] = None
    return tuple(found)


@contextmanager
def _copy(model_dir: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bort-convert-") as folder:
        yield Path(shutil.copytree(model_dir, Path(folder) / "model"))
