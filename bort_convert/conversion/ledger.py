"""The ledger: what becomes of every tensor of a checkpoint, and where every tensor of the model comes from.

A value, built from names, shapes and dtypes without reading data: `inspect` prints it, `convert` carries it out, `verify`
checks a folder against it, and the model folder keeps it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from bort_convert.bort.architecture import Architecture, detect
from bort_convert.bort.detection import detect_head, detect_sizes
from bort_convert.bort.heads import Head
from bort_convert.bort.inventory import Origin, Target, inventory
from bort_convert.bort.spelling import Spelling, read_spelling
from bort_convert.bort.tasks import Outputs, name_outputs, task_of_file
from bort_convert.errors import BortConvertError, Problem, TaskMismatchError, TensorMismatchError
from bort_convert.params import BY_NAME, DType, ParamsFile, StoredArray

WEIGHT_DTYPES = ("float16", "float32", "float64", "bfloat16")


class Operation(StrEnum):
    """What is done for one tensor."""

    COPY = "copy"
    """The source's bytes, under the target's name."""
    CAST = "cast"
    """The source's values, correctly rounded to the target's dtype."""
    TIE = "tie"
    """Nothing is written: the model shares another tensor, which has the same bytes."""
    ZERO = "zero"
    """Zeros, by rule; no source."""
    UNUSED = "unused"
    """A source that the model has no place for; the note says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. ``shape`` and ``dtype`` are the target's, or the unused source's.

    ``structural`` is the source's structural name, whatever the file spells it as; ``tied_to`` is the target that a tied one
    shares; ``note`` says why, where the operation alone does not. A tied target has no source where the file stores the
    tie once.
    """

    operation: Operation
    source: StoredArray | None
    target: str | None
    shape: tuple[int, ...]
    dtype: DType
    structural: str | None = None
    tied_to: str | None = None
    note: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes that the entry writes into the model file."""
        size = self.dtype.itemsize
        for dimension in self.shape:
            size *= dimension
        return size if self.operation in _WRITTEN else 0


_WRITTEN = (Operation.COPY, Operation.CAST, Operation.ZERO)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A whole plan: one entry for each target tensor in the inventory's order, then the unused sources.

    ``outputs`` says what a classifier's outputs mean; ``writer`` in words what wrote the file's names.
    """

    architecture: Architecture
    head: Head
    tied: bool
    outputs: Outputs | None
    writer: str
    entries: tuple[Entry, ...]

    @property
    def written(self) -> tuple[Entry, ...]:
        """The entries that put bytes into the model file, in the file's order.

        Larger elements first, so that every tensor of a file with mixed dtypes is aligned; else the inventory's order.
        """
        written = (entry for entry in self.entries if entry.operation in _WRITTEN)
        return tuple(sorted(written, key=lambda entry: -entry.dtype.itemsize))

    @property
    def num_parameters(self) -> int:
        """Number of weights that the model has of its own, zeros and tied tensors not counted."""
        own = (Operation.COPY, Operation.CAST)
        return sum(entry.source.size for entry in self.entries if entry.source and entry.operation in own)

    def counts(self) -> Mapping[Operation, int]:
        """How many entries there are of each operation."""
        return Counter(entry.operation for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the user says of a checkpoint that no tensor tells, and asks of the model.

    ``architecture`` is a published name that the file must match, ``num_heads`` the heads of an architecture that was not
    published, ``head`` asks for less than the file holds, ``task`` and ``labels`` name a classifier's outputs, ``dtype`` casts
    every tensor; None keeps them as they are.
    """

    architecture: str | None = None
    num_heads: int | None = None
    head: str | None = None
    task: str | None = None
    labels: tuple[str, ...] | None = None
    dtype: str | None = None

    def completed_by(self, other: "Declaration") -> "Declaration":
        """This declaration, with what it leaves open taken from another."""
        missing = {name.name: getattr(other, name.name) for name in fields(self) if getattr(self, name.name) is None}
        return replace(self, **missing)


NOTHING_DECLARED = Declaration()


def build_ledger(params: ParamsFile, declared: Declaration = NOTHING_DECLARED, *, tied: bool = True) -> Ledger:
    """The ledger of ``params``.

    ``tied`` says whether the tensors that a tie makes equal are equal, which only their bytes tell: see
    `bort_convert.conversion.ties`. Raises TensorMismatchError with every problem of the file, MixedNamesError,
    UnknownArchitectureError, ArchitectureMismatchError, TaskMismatchError or InvalidOptionError.
    """
    if not params.named:
        raise TensorMismatchError(
            f"{params.path}: the file holds {len(params.arrays)} arrays without names (saved from a list), so nothing "
            "tells which is which; save it again with save_parameters"
        )
    try:
        spelling = read_spelling([array.name for array in params.arrays])
        stored = _Stored(spelling, {spelling.structural[array.name]: array for array in params.arrays})
        sizes = detect_sizes(stored.backbone_shapes)
        architecture = detect(sizes, name=declared.architecture, num_heads=declared.num_heads)
        head = _choose_head(stored.head, declared.head)
        entries, problems = _match(stored, architecture, head, declared, tied)
        if problems:
            raise TensorMismatchError(_summarise(problems, len(params.arrays)), problems)
        outputs = _outputs(head, entries, declared, params.path.name)
    except TensorMismatchError as error:
        raise TensorMismatchError(f"{params.path}: {error}", error.problems) from error
    except BortConvertError as error:
        raise type(error)(f"{params.path}: {error}") from error
    return Ledger(architecture, head, tied, outputs, spelling.writer, tuple(entries))


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the file holds, by structural name."""

    spelling: Spelling
    arrays: Mapping[str, StoredArray]

    @property
    def head(self) -> Head:
        return detect_head(self.arrays.keys())

    @property
    def backbone_shapes(self) -> Mapping[str, tuple[int, ...]]:
        prefix = self.head.source_prefix
        return {
            name.removeprefix(prefix): array.shape for name, array in self.arrays.items() if name.startswith(prefix)
        }


def _choose_head(stored: Head, asked: str | None) -> Head:
    if asked in (None, stored.name):
        return stored
    if asked == "encoder":
        return stored.without()
    raise TensorMismatchError(
        f"--head {asked} asks for what the file does not hold, which is a Bort of head {stored.name}; leave the option out"
    )


def _match(
    stored: _Stored, architecture: Architecture, head: Head, declared: Declaration, tied: bool
) -> tuple[list[Entry], list[Problem]]:
    renames = head.renames(architecture.num_layers)
    source_of = {target: source for source, target in renames.items()}
    bias = stored.arrays.get(source_of.get("classifier.bias", ""))
    results: list[Entry | Problem] = []
    for target in inventory(architecture, head, bias.size if bias else 0):
        if target.origin is Origin.ZERO:
            embedding = stored.arrays[f"{head.source_prefix}word_embed.0.weight"]
            dtype = _target_dtype(embedding, declared)
            results.append(Entry(Operation.ZERO, None, target.name, target.shape, dtype, note=_ZERO_NOTE))
        else:
            owner = target.same_as if target.origin is Origin.ALIAS and target.same_as else target.name
            results.append(_entry(stored, source_of[owner], target, declared, tied))
    left_out = stored.head.renames(architecture.num_layers)
    for name, array in stored.arrays.items():
        if name in left_out and name not in renames:
            note = f"of the {stored.head.name} head, left out by --head {head.name}"
            results.append(Entry(Operation.UNUSED, array, None, array.shape, array.dtype, name, note=note))
        elif name not in renames:
            results.append(Problem("unexpected", array.name, f"{array.dtype.name} {array.shape}"))
    return (
        [result for result in results if isinstance(result, Entry)],
        list(dict.fromkeys(result for result in results if isinstance(result, Problem))),
    )


def _entry(stored: _Stored, name: str, target: Target, declared: Declaration, tied: bool) -> Entry | Problem:
    array = stored.arrays.get(name)
    if array is None and target.origin is Origin.TIED and stored.spelling.stored_once:
        dtype = _target_dtype(stored.arrays["word_embed.0.weight"], declared)
        return Entry(
            Operation.TIE, None, target.name, target.shape, dtype, None, target.same_as, "stored once in the file"
        )
    if array is None:
        return Problem("missing", name, f"expected shape {target.shape}")
    if array.shape != target.shape:
        return Problem("misshapen", array.name, f"shape {array.shape}, expected {target.shape}")
    if array.dtype.name not in WEIGHT_DTYPES:
        return Problem("mistyped", array.name, f"dtype {array.dtype.name}, expected a floating-point one")
    dtype = _target_dtype(array, declared)
    if tied and target.same_as:
        return Entry(Operation.TIE, array, target.name, target.shape, dtype, name, target.same_as)
    operation = Operation.COPY if dtype == array.dtype else Operation.CAST
    return Entry(operation, array, target.name, target.shape, dtype, name)


def _target_dtype(array: StoredArray, declared: Declaration) -> DType:
    return BY_NAME[declared.dtype] if declared.dtype else array.dtype


_ZERO_NOTE = "Bort has no token types; BERT adds this row to every embedding"


def _outputs(head: Head, entries: list[Entry], declared: Declaration, file_name: str) -> Outputs | None:
    if head.name != "classifier":
        if declared.task or declared.labels:
            raise TaskMismatchError(
                f"--task and --labels name a classifier's outputs, and this is a Bort of head {head.name}"
            )
        return None
    (num_outputs,) = next(entry.shape for entry in entries if entry.target == "classifier.bias")
    task = declared.task or (task_of_file(file_name) if declared.labels is None else None)
    return name_outputs(num_outputs, task, declared.labels)


def _summarise(problems: list[Problem], num_tensors: int) -> str:
    kinds = Counter(problem.kind for problem in problems)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    first = problems[0]
    return (
        f"not a Bort checkpoint: {counted} of {num_tensors} tensors; first {first.kind}: {first.name} ({first.detail}); "
        "'convert-bort inspect' lists them all"
    )
