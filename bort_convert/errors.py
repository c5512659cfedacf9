"""What can go wrong, one class per cause.

Every message is one line that says what was found, where, and what to do. The command line prints it after
``Error:`` and exits with 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class BortConvertError(Exception):
    """Base of every error that this package raises on purpose."""


class UnreadableFileError(BortConvertError):
    """A path that cannot be read as a checkpoint: missing, a folder, a device, no permission."""


class UnknownFormatError(BortConvertError):
    """A readable file that is no MXNet parameter file; the message names what it is, where that is known."""


class TruncatedFileError(BortConvertError):
    """A parameter file that ends before the data it declares."""


class CorruptFileError(BortConvertError):
    """A parameter file with a field that no writer of MXNet produces."""


class UnsupportedArrayError(BortConvertError):
    """A well-formed parameter file that holds an array this version does not read."""


class UnknownArchitectureError(BortConvertError):
    """Tensors from which the architecture, above all the number of heads, cannot be told."""


class ArchitectureMismatchError(BortConvertError):
    """A declared architecture that contradicts the file."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A tensor that keeps a file from being a Bort: ``missing``, ``unexpected``, ``misshapen`` or ``mistyped``."""

    kind: str
    name: str
    detail: str


class TensorMismatchError(BortConvertError):
    """Tensors that are missing, unexpected, or of a wrong shape or dtype for a Bort.

    ``problems`` lists every one of them; it is empty where the file is too far from a Bort to be matched at all.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class MixedNamesError(BortConvertError):
    """Parameter names of two writers in one file."""


class TaskMismatchError(BortConvertError):
    """A task or labels that do not fit the file's number of classes."""


class OverflowToInfinityError(BortConvertError):
    """A weight that is too large for the dtype it was to be cast to."""


class DestinationError(BortConvertError):
    """A destination that cannot be written, or that holds something that would be lost."""


class OutputCheckError(BortConvertError):
    """A written file that does not read back as it was planned."""


class ModelFolderError(BortConvertError):
    """A model folder that lacks a file, or whose record cannot be read."""


class RecordedReferenceError(BortConvertError):
    """A recorded reference that is damaged, altered, or speaks of another checkpoint."""


class MissingDependencyError(BortConvertError):
    """An optional dependency that is not installed; the message names the command that installs it."""


class FrameworkError(BortConvertError):
    """MXNet or PyTorch ran and failed; the message carries the last line of what it printed."""


class InvalidOptionError(BortConvertError):
    """An option whose value cannot be honoured."""


class VocabularyError(BortConvertError):
    """A vocabulary or its BPE merges that cannot be read, or that are not those of the checkpoint."""


class UnreadableTextError(BortConvertError):
    """Text to tokenize that is not UTF-8, or a line that is not the pair that was asked for."""


class UnverifiedError(BortConvertError):
    """A model folder without a passing verification of these very bytes."""


class CardError(BortConvertError):
    """A model card whose metadata would not say what was meant."""


class HubError(BortConvertError):
    """The Hub refused or could not be reached; the message says what was done before and what was not."""
