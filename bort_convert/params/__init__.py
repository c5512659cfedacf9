"""MXNet parameter files, read without MXNet. Knows nothing of Bort.

`open_params` validates a whole file before it gives out anything: names, shapes, dtypes and byte ranges come without
reading data, and data as memory-mapped views. One module per container; the magic decides which, never the extension.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from bort_convert.errors import TruncatedFileError, UnknownFormatError, UnreadableFileError
from bort_convert.params import formats
from bort_convert.params.array import StoredArray
from bort_convert.params.dtypes import BY_NAME, DTYPES, DType
from bort_convert.params.file import ParamsFile
from bort_convert.params.reading import read_exactly

__all__ = ["BY_NAME", "DTYPES", "LIST_CONTAINER", "DType", "ParamsFile", "StoredArray", "open_params"]


LIST_CONTAINER = "MXNet NDArray list"


def open_params(path: str | os.PathLike[str]) -> ParamsFile:
    """Opens and validates the parameter file at ``path``; close it, or use it as a context manager.

    Raises UnreadableFileError, UnknownFormatError, TruncatedFileError, CorruptFileError or UnsupportedArrayError.
    """
    path = Path(path)
    descriptor = _open_regular_file(path)
    try:
        size = os.fstat(descriptor).st_size
        head = read_exactly(path, descriptor, 0, min(size, formats.HEAD_SIZE))
        if not head:
            raise TruncatedFileError(f"{path}: the file is empty; copy or download it again")
        container, parse = _container(path, head)
        arrays, named = parse(path, descriptor, size)
        return ParamsFile(path, descriptor, size, container, named, arrays)
    except BaseException:
        os.close(descriptor)
        raise


_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_Parse = Callable[[Path, int, int], tuple[tuple[StoredArray, ...], bool]]


def _container(path: Path, head: bytes) -> tuple[str, _Parse]:
    """The name of the container of a file that begins with ``head``, and the function that reads it, imported for it alone."""
    if head.startswith(formats.LIST_MAGIC[: len(head)]):
        from bort_convert.params import ndarray_list

        return LIST_CONTAINER, ndarray_list.parse
    if formats.is_zip_of_arrays(head):
        from bort_convert.params import npz

        return "zip of NumPy arrays", npz.parse
    if head.startswith(formats.NPY_MAGIC):
        from bort_convert.params import npy

        return "NumPy array", npy.parse
    raise UnknownFormatError(
        f"{path}: not an MXNet parameter file but {formats.describe(head)}; "
        "give the .params file that save_parameters wrote"
    )


def _open_regular_file(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (
            "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or str(error)
        )
        raise UnreadableFileError(f"{path}: cannot be read: {reason}; check the path") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise UnreadableFileError(f"{path}: {kind}; give the .params file itself")
    return descriptor
