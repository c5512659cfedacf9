"""A model folder that appears whole or not at all.

Everything is written into a hidden folder beside the destination, made durable, and renamed into place in one step. The
hidden folder is locked while its process lives, so that the next conversion can tell what a killed one left behind.
"""

import fcntl
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bort_convert.errors import DestinationError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_MODEL_FILES = ("config.json", "conversion.json")


def check_destination(destination: Path, force: bool) -> None:
    """Raises DestinationError where ``destination`` may not be written: before any work is done."""
    try:
        if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
            raise DestinationError(f"{destination}: exists and is not a folder; choose another MODEL_DIR")
        names = sorted(os.listdir(destination)) if destination.exists() else []
    except OSError as error:
        raise DestinationError(f"{destination}: cannot be read: {error.strerror}; choose another MODEL_DIR") from error
    if names and not force:
        raise DestinationError(
            f"{destination}: the folder is not empty (it has {names[0]}); give --force to replace it"
        )
    if names and not any(name in names for name in _MODEL_FILES):
        raise DestinationError(
            f"{destination}: --force replaces a model folder, and this one has neither {' nor '.join(_MODEL_FILES)} "
            f"but {names[0]}; choose another MODEL_DIR"
        )
    parent = _parent(destination)
    if not parent.is_dir():
        raise DestinationError(f"{parent}: no such folder; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise DestinationError(f"{parent}: no permission to write here; choose another MODEL_DIR")


class NewFolder:
    """A folder in the making: fill ``path``, then `commit`. Left without a commit, nothing of it remains."""

    def __init__(self, destination: Path, *, force: bool) -> None:
        check_destination(destination, force)
        self.destination = destination
        self.force = force
        _remove_litter(destination)
        try:
            self.path = _hidden(destination)
            self.path.mkdir()
            self._descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise DestinationError(
                f"{destination}: cannot be written: {error.strerror}; choose another MODEL_DIR"
            ) from error
        _lock(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        try:
            _remove(self.path)
        except KeyboardInterrupt:  # of a user who does not want to wait
            _remove(self.path)
            raise

    def write_text(self, name: str, text: str) -> None:
        """Writes a small UTF-8 file and makes it durable."""
        try:
            with (self.path / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DestinationError(
                f"{self.destination}: cannot be written: {error.strerror}; free space first"
            ) from error

    def commit(self) -> None:
        """Renames the folder into place, in one step where the system can exchange two folders."""
        check_destination(self.destination, self.force)
        try:
            os.fsync(self._descriptor)
            if self.destination.exists() and os.listdir(self.destination):
                _exchange(self.path, self.destination)
            else:
                os.rename(self.path, self.destination)
            sync(_parent(self.destination))
        except OSError as error:
            raise DestinationError(
                f"{self.destination}: cannot be replaced: {error.strerror}; nothing was changed"
            ) from error


def sync(path: Path) -> None:
    """Makes a file's data, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Swaps two folders: ``new`` is then the old one, for the caller to remove."""
    if sys.platform == "linux":
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        if library.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE) == 0:
            return
    aside = new.with_name(f"{new.name}-old")
    os.rename(old, aside)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(aside, old)
        raise
    os.rename(aside, new)


def _parent(destination: Path) -> Path:
    return destination.absolute().parent


def _hidden(destination: Path) -> Path:
    """This process's hidden folder for ``destination``, in the same file system."""
    return _parent(destination) / f"{_prefix(destination)}{os.getpid()}"


def _prefix(destination: Path) -> str:
    return f".{destination.absolute().name}.partial-"


def _remove_litter(destination: Path) -> None:
    """Removes what killed conversions into ``destination`` left: hidden folders that no process holds locked."""
    prefix = _prefix(destination)
    # What cannot be read, or goes away in the meantime, is not litter of ours to remove.
    with suppress(OSError):
        for entry in list(os.scandir(_parent(destination))):
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
                _remove_unlocked(Path(entry.path))


def _remove_unlocked(folder: Path) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if _lock(descriptor):
                _remove(folder)
        finally:
            os.close(descriptor)


def _remove(folder: Path) -> None:
    if os.path.exists(folder):
        import shutil  # which imports every compression there is

        shutil.rmtree(folder, ignore_errors=True)


def _lock(descriptor: int) -> bool:
    """Whether the folder could be locked, and is now until it is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
