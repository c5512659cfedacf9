"""The ledger: what becomes of every tensor of a checkpoint, and where every tensor of the model comes from.

A value, built from names, shapes and dtypes without reading data: `inspect` prints it, `convert` carries it out, `verify`
checks a folder against it, and the model folder keeps it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bort_convert.bort.architecture import Architecture, detect
from bort_convert.bort.detection import detect_head, detect_sizes
from bort_convert.bort.heads import ENCODER, HEADS, Head
from bort_convert.bort.inventory import Origin, Target, inventory
from bort_convert.errors import BortConvertError, Problem, TensorMismatchError
from bort_convert.params import DType, ParamsFile, StoredArray

WEIGHT_DTYPES = ("float16", "float32", "float64", "bfloat16")


class Operation(StrEnum):
    """What is done for one tensor."""

    COPY = "copy"
    """The source's bytes, under the target's name."""
    TIE = "tie"
    """Nothing is written: the model shares another tensor, which has the same bytes."""
    ZERO = "zero"
    """Zeros, by rule; no source."""
    UNUSED = "unused"
    """A source that the model has no place for; the note says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. ``shape`` and ``dtype`` are the target's, or the unused source's.

    ``tied_to`` is the target that a tied one shares; ``note`` says why, where the operation alone does not.
    """

    operation: Operation
    source: StoredArray | None
    target: str | None
    shape: tuple[int, ...]
    dtype: DType
    tied_to: str | None = None
    note: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes that the entry writes into the model file."""
        size = self.dtype.itemsize
        for dimension in self.shape:
            size *= dimension
        return size if self.operation in (Operation.COPY, Operation.ZERO) else 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """A whole plan: one entry for each target tensor in the inventory's order, then the unused sources."""

    architecture: Architecture
    head: Head
    tied: bool
    entries: tuple[Entry, ...]

    @property
    def written(self) -> tuple[Entry, ...]:
        """The entries that put bytes into the model file, in the file's order.

        Larger elements first, so that every tensor of a file with mixed dtypes is aligned; else the inventory's order.
        """
        return tuple(sorted((entry for entry in self.entries if entry.nbytes), key=lambda entry: -entry.dtype.itemsize))

    @property
    def num_parameters(self) -> int:
        """Number of weights that the model has of its own, zeros and tied tensors not counted."""
        return sum(entry.source.size for entry in self.entries if entry.source and entry.operation is Operation.COPY)

    def counts(self) -> Mapping[Operation, int]:
        """How many entries there are of each operation."""
        return Counter(entry.operation for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the user says of a checkpoint: what no tensor tells, or what must hold.

    ``architecture`` is a published name that the file must match, ``num_heads`` the heads of an architecture that was not
    published, ``head`` asks for less than the file holds.
    """

    architecture: str | None = None
    num_heads: int | None = None
    head: str | None = None


NOTHING_DECLARED = Declaration()


def build_ledger(params: ParamsFile, declared: Declaration = NOTHING_DECLARED, *, tied: bool = True) -> Ledger:
    """The ledger of ``params``.

    ``tied`` says whether the tensors that a tie makes equal are equal, which only their bytes tell: see
    `bort_convert.conversion.ties`. Raises TensorMismatchError with every problem of the file, UnknownArchitectureError,
    ArchitectureMismatchError or InvalidOptionError.
    """
    if not params.named:
        raise TensorMismatchError(
            f"{params.path}: the file holds {len(params.arrays)} arrays without names (saved from a list), so nothing "
            "tells which is which; save it again with save_parameters"
        )
    try:
        sizes = detect_sizes({array.name: array.shape for array in params.arrays})
        architecture = detect(sizes, name=declared.architecture, num_heads=declared.num_heads)
    except BortConvertError as error:
        raise type(error)(f"{params.path}: {error}") from error
    stored_head = detect_head(params.by_name)
    chosen_head = HEADS[declared.head] if declared.head else stored_head
    if not _holds(stored_head, chosen_head):
        raise TensorMismatchError(
            f"{params.path}: --head {chosen_head.name} asks for more than the file holds, which is a Bort of head "
            f"{stored_head.name}; leave the option out"
        )
    entries, problems = _match(params.by_name, architecture, stored_head, chosen_head, tied)
    if problems:
        raise TensorMismatchError(_summarise(params, problems), problems)
    return Ledger(architecture, chosen_head, tied, tuple(entries))


def _holds(stored: Head, chosen: Head) -> bool:
    return chosen in (stored, ENCODER)


def _match(
    arrays: Mapping[str, StoredArray], architecture: Architecture, stored_head: Head, head: Head, tied: bool
) -> tuple[list[Entry], list[Problem]]:
    renames = head.renames(architecture.num_layers)
    source_of = {target: source for source, target in renames.items()}
    results: list[Entry | Problem] = []
    for target in inventory(architecture, head):
        if target.origin is Origin.ZERO:
            embedding = arrays[source_of[f"{head.target_prefix}embeddings.word_embeddings.weight"]]
            results.append(Entry(Operation.ZERO, None, target.name, target.shape, embedding.dtype, note=_ZERO_NOTE))
        else:
            source = source_of[target.same_as if target.origin is Origin.ALIAS and target.same_as else target.name]
            results.append(_entry(arrays.get(source), source, target, tied))
    left_out = stored_head.renames(architecture.num_layers)
    for name, array in arrays.items():
        if name in renames:
            continue
        if name in left_out:
            note = f"of the {stored_head.name} head, left out by --head {head.name}"
            results.append(Entry(Operation.UNUSED, array, None, array.shape, array.dtype, note=note))
        else:
            results.append(Problem("unexpected", name, f"{array.dtype.name} {array.shape}"))
    return (
        [result for result in results if isinstance(result, Entry)],
        list(dict.fromkeys(result for result in results if isinstance(result, Problem))),
    )


def _entry(array: StoredArray | None, name: str, target: Target, tied: bool) -> Entry | Problem:
    if array is None:
        return Problem("missing", name, f"expected shape {target.shape}")
    if array.shape != target.shape:
        return Problem("misshapen", name, f"shape {array.shape}, expected {target.shape}")
    if array.dtype.name not in WEIGHT_DTYPES:
        return Problem("mistyped", name, f"dtype {array.dtype.name}, expected a floating-point one")
    if tied and target.same_as:
        return Entry(Operation.TIE, array, target.name, target.shape, array.dtype, target.same_as)
    return Entry(Operation.COPY, array, target.name, target.shape, array.dtype)


_ZERO_NOTE = "Bort has no token types; BERT adds this row to every embedding"


def _summarise(params: ParamsFile, problems: list[Problem]) -> str:
    kinds = Counter(problem.kind for problem in problems)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    first = problems[0]
    return (
        f"{params.path}: not a Bort checkpoint: {counted} of {len(params.arrays)} tensors; "
        f"first {first.kind}: {first.name} ({first.detail}); 'convert-bort inspect' lists them all"
    )
