"""MXNet parameter files, read without MXNet. Knows nothing of Bort.

`open_params` validates a whole file before it gives out anything: names, shapes, dtypes and byte ranges come without
reading data, and data as memory-mapped views. One module per container; the magic decides which, never the extension.
"""

import errno
import os
import stat
from pathlib import Path

from bort_convert.errors import TruncatedFileError, UnknownFormatError, UnreadableFileError
from bort_convert.params import formats, ndarray_list
from bort_convert.params.dtypes import BY_NAME, DTYPES, DType
from bort_convert.params.file import ParamsFile, StoredArray

__all__ = ["BY_NAME", "DTYPES", "DType", "ParamsFile", "StoredArray", "open_params"]


def open_params(path: str | os.PathLike[str]) -> ParamsFile:
    """Opens and validates the parameter file at ``path``; close it, or use it as a context manager.

    Raises UnreadableFileError, UnknownFormatError, TruncatedFileError, CorruptFileError or UnsupportedArrayError.
    """
    path = Path(path)
    descriptor = _open_regular_file(path)
    try:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, formats.HEAD_SIZE, 0)
        if not head:
            raise TruncatedFileError(f"{path}: the file is empty; copy or download it again")
        if not head.startswith(formats.LIST_MAGIC[: len(head)]):
            raise UnknownFormatError(
                f"{path}: not an MXNet parameter file but {formats.describe(head)}; "
                "give the .params file that save_parameters wrote"
            )
        arrays, named = ndarray_list.parse(path, descriptor, size)
        return ParamsFile(path, descriptor, size, "MXNet NDArray list", named, arrays)
    except BaseException:
        os.close(descriptor)
        raise


def _open_regular_file(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        reason = "no such file" if error.errno == errno.ENOENT else (error.strerror or str(error))
        raise UnreadableFileError(f"{path}: cannot be read: {reason}; check the path") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise UnreadableFileError(f"{path}: {kind}; give the .params file itself")
    return descriptor
