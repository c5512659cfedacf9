"""A position in a file under validation: every step is checked against the file's length before it is taken."""

from dataclasses import dataclass
from pathlib import Path

from bort_convert.errors import CorruptFileError, TruncatedFileError, UnsupportedArrayError
from bort_convert.params.reading import read_exactly


@dataclass
class Cursor:
    """A position in the first ``size`` bytes of a file."""

    path: Path
    descriptor: int
    size: int
    offset: int = 0

    def take(self, nbytes: int, what: str) -> bytes:
        """The next ``nbytes`` bytes. Raises TruncatedFileError where fewer are left."""
        self.require(nbytes, what)
        data = read_exactly(self.path, self.descriptor, self.offset, nbytes)
        self.offset += nbytes
        return data

    def skip(self, nbytes: int, what: str) -> None:
        """Steps over ``nbytes`` bytes. Raises TruncatedFileError where fewer are left."""
        self.require(nbytes, what)
        self.offset += nbytes

    def require(self, nbytes: int, what: str) -> None:
        """Raises TruncatedFileError where fewer than ``nbytes`` bytes are left."""
        left = self.size - self.offset
        if nbytes > left:
            raise TruncatedFileError(
                f"{self.path}: truncated at byte {self.size}: {what} at byte {self.offset} needs {nbytes} bytes, "
                f"{left} are left; copy or download the file again"
            )

    def u64(self, what: str) -> int:
        """The next 8 bytes, as an unsigned number."""
        return int.from_bytes(self.take(8, what), "little")

    def corrupt(self, found: str, at: int) -> CorruptFileError:
        """The error for a field at byte ``at`` that no writer produces."""
        return CorruptFileError(f"{self.path}: corrupt at byte {at}: {found}; copy or download the file again")

    def unsupported(self, found: str, at: int, advice: str) -> UnsupportedArrayError:
        """The error for a well-formed array at byte ``at`` that is not read."""
        return UnsupportedArrayError(f"{self.path}: at byte {at}: {found}; {advice}")
