"""A bare ``.npy`` file: what is read, and what is refused."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from bort_convert.errors import CorruptFileError, TruncatedFileError, UnsupportedArrayError
from bort_convert.params import DTYPES, open_params
from tests.params.builders import PeakMemory, npy_bytes, read_all, stream_all

NUMPY_DTYPES = [dtype.name for dtype in DTYPES if dtype.name != "bfloat16"]


def write(folder: Path, content: bytes) -> Path:
    (folder / "f").write_bytes(content)
    return folder / "f"


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (2, 3), (2, 1, 3)], ids=str)
def test_what_numpy_saves(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    path = write(tmp_path, saved(array))
    with open_params(path) as params:
        assert (params.container, params.named, len(params.arrays)) == ("NumPy array", False, 1)
        found = params.arrays[0]
        assert (found.name, found.dtype.name, found.shape, found.context) == ("", dtype, shape, None)
    np.testing.assert_array_equal(read_all(path)["0"], array)


@pytest.mark.parametrize("shape", [(3,), (4, 5), (2, 3, 4), (1, 7), (0, 3), (2000, 900)], ids=str)
def test_fortran_order(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.asfortranarray(np.arange(np.prod(shape), dtype="<f4").reshape(shape))
    np.testing.assert_array_equal(read_all(write(tmp_path, saved(array)))["0"], array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_format_versions(tmp_path: Path, version: tuple[int, int]) -> None:
    assert read_all(write(tmp_path, npy_bytes(version=version)))["0"].tolist() == [1, 2]


def test_bfloat16_as_mxnet_writes_it(tmp_path: Path) -> None:
    path = write(tmp_path, npy_bytes(b"\x80\x3f", "(1,)", "[('bfloat16', '<u2')]"))
    with open_params(path) as params:
        assert params.arrays[0].dtype.name == "bfloat16"
        assert params.view(params.arrays[0]).tolist() == [0x3F80]


def test_fortran_order_costs_the_size_of_the_array(tmp_path: Path) -> None:
    path = write(tmp_path, npy_bytes(bytes(32 << 20), "(4, 8388608)", fortran_order="True"))
    with PeakMemory() as memory:
        assert stream_all(path) == 32 << 20
    assert memory.peak < path.stat().st_size + (8 << 20)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, npy_bytes(bytes(1 << 20), "(1024, 1024)", fortran_order="True"))
    with open_params(path) as params:
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(TruncatedFileError, match="cut short at byte 5000"):
            list(params.chunks(params.arrays[0]))
        with pytest.raises(TruncatedFileError, match="cut short at byte 5000"):
            params.view(params.arrays[0])


UNSUPPORTED = {
    "objects": ("'|O'", "holds Python objects, which only unpickling reads"),
    "big-endian": ("'>f4'", "holds dtype '>f4'"),
    "structured": ("[('a', '<f4'), ('b', '<f4')]", "holds dtype [('a'"),
    "structured of objects": ("[('a', '|O')]", "holds Python objects"),
    "text": ("'<U2'", "holds dtype '<U2'"),
    "complex": ("'<c8'", "holds dtype '<c8'"),
    "another name for bfloat16": ("[('bfloat16', '<u4')]", "holds dtype"),
    "dates": ("'<M8[s]'", "holds dtype"),
}


@pytest.mark.parametrize(("descr", "message"), UNSUPPORTED.values(), ids=list(UNSUPPORTED))
def test_unsupported_dtypes(tmp_path: Path, descr: str, message: str) -> None:
    with pytest.raises(UnsupportedArrayError) as caught:
        open_params(write(tmp_path, npy_bytes(descr=descr)))
    assert message in str(caught.value)


CORRUPT = {
    "version 4": (npy_bytes(version=(4, 0)), "NumPy format version 4.0"),
    "version 1.1": (npy_bytes(version=(1, 1)), "NumPy format version 1.1"),
    "header of 60 KB": (npy_bytes(header=" " * 60_000), "a header of 60000 bytes"),
    "header of 4 GB": (npy_bytes(version=(2, 0), length=2**32 - 1), "a header of 4294967295 bytes"),
    "empty header": (npy_bytes(header=""), "no header that NumPy or MXNet write"),
    "no dictionary": (npy_bytes(header="[1, 2]\n"), "no header that"),
    "no newline": (npy_bytes(header="{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }"), "no header that"),
    "another key": (
        npy_bytes(header="{'descr': '|u1', 'fortran_order': False, 'shape': (2,), 'x': 1, }\n"),
        "no header",
    ),
    "a call": (npy_bytes(header="{'descr': '|u1', 'fortran_order': exit(), 'shape': (2,), }\n"), "no header that"),
    "a call for a shape": (npy_bytes(shape="(exit(),)"), "no header that"),
    "negative dimension": (npy_bytes(shape="(-1,)"), "no header that"),
    "dimension of 2^63": (npy_bytes(shape=f"({2**63},)"), "more than can be addressed"),
    "dimension of 5000 digits": (npy_bytes(shape=f"({'9' * 3900},)"), "no header that"),
    "bytes wrap to 4": (npy_bytes(bytes(4), f"({2**62 + 1},)", "'<f4'"), "more than can be addressed"),
    "product wraps to 0": (npy_bytes(b"", f"({2**32}, {2**32})"), "more than can be addressed"),
    "empty, but not addressable": (npy_bytes(b"", f"(0, {2**62}, 2)"), "more than can be addressed"),
    "33 dimensions": (npy_bytes(b"\1", "(" + "1, " * 32 + "1)"), "33 dimensions"),
    "nested 2000 deep": (npy_bytes(shape="(" * 2000), "no header that"),
    "bytes after the array": (npy_bytes(bytes(3)), "1 bytes follow the array"),
}


@pytest.mark.parametrize(("content", "message"), CORRUPT.values(), ids=list(CORRUPT))
def test_corrupt(tmp_path: Path, content: bytes, message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(CorruptFileError) as caught:
        warnings.simplefilter("error")
        open_params(write(tmp_path, content))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_cut_at_every_byte(tmp_path: Path) -> None:
    content = npy_bytes(bytes(24), "(2, 3)", "'<f4'")
    for length in range(6, len(content)):
        with pytest.raises(TruncatedFileError):
            open_params(write(tmp_path, content[:length]))


def test_a_shape_larger_than_the_data(tmp_path: Path) -> None:
    with pytest.raises(TruncatedFileError, match="needs 1099511627776 bytes, 2 are left"):
        open_params(write(tmp_path, npy_bytes(shape=f"({2**40},)")))


def test_the_expected_layout_is_numpys() -> None:
    """The builder writes what NumPy reads."""
    assert np.load(io.BytesIO(npy_bytes(struct.pack("<2f", 1, 2), "(2,)", "'<f4'"))).tolist() == [1, 2]
