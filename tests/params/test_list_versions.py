"""Lists of V0 and V1 arrays, and lists that mix the versions."""

import struct
from pathlib import Path

import numpy as np
import pytest

from bort_convert.errors import CorruptFileError, TruncatedFileError, UnsupportedArrayError
from bort_convert.params import open_params
from tests.params.builders import FLOAT32, INT8, array_bytes, list_bytes, read_all, row_sparse

V0 = bytes.fromhex(
    "1201000000000000 0000000000000000 0100000000000000"
    # float32 (2, 1) on GPU 3: 1.0, -2.0
    "02000000 02000000 01000000 02000000 03000000 00000000 0000803f 000000c0"
    "0100000000000000 0100000000000000 61"
)
V1 = bytes.fromhex(
    "1201000000000000 0000000000000000 0100000000000000"
    "c8fa93f9 02000000 0200000000000000 0100000000000000 02000000 03000000 00000000 0000803f 000000c0"
    "0100000000000000 0100000000000000 61"
)


@pytest.mark.parametrize(("content", "version"), [(V0, "V0"), (V1, "V1")])
def test_golden(tmp_path: Path, content: bytes, version: str) -> None:
    (tmp_path / "f").write_bytes(content)
    with open_params(tmp_path / "f") as params:
        (array,) = params.arrays
        assert (array.name, array.version, array.context, array.shape) == ("a", version, (2, 3), (2, 1))
        assert params.view(array).tolist() == [[1.0], [-2.0]]


def test_all_versions_in_one_file(tmp_path: Path) -> None:
    arrays = [
        array_bytes(version, (2,), INT8, bytes([index, 7])) for index, version in enumerate(("V0", "V1", "V2", "V3"))
    ]
    (tmp_path / "f").write_bytes(list_bytes([*arrays, row_sparse([1, 3])]))
    with open_params(tmp_path / "f") as params:
        assert [array.version for array in params.arrays] == ["V0", "V1", "V2", "V3", "V2"]
    found = read_all(tmp_path / "f")
    assert [found[f"a{index}"].tolist() for index in range(4)] == [[0, 7], [1, 7], [2, 7], [3, 7]]
    assert found["a4"].tolist() == [[0, 0], [1, 2], [0, 0], [3, 4], [0, 0]]


@pytest.mark.parametrize("version", ["V0", "V1", "V2", "V3"])
def test_an_array_without_elements(tmp_path: Path, version: str) -> None:
    (tmp_path / "f").write_bytes(list_bytes([array_bytes(version, (0, 3), FLOAT32, b"")]))
    assert read_all(tmp_path / "f")["a0"].shape == (0, 3)


@pytest.mark.parametrize(
    "none", [struct.pack("<I", 0), array_bytes("V1", ())[:8], array_bytes("V2", ())[:12]], ids=["V0", "V1", "V2"]
)
def test_a_none_array(tmp_path: Path, none: bytes) -> None:
    (tmp_path / "f").write_bytes(list_bytes([array_bytes(), none]))
    with pytest.raises(UnsupportedArrayError, match=r"array 1 at byte \d+ holds no data \(a none array\)"):
        open_params(tmp_path / "f")


def test_the_largest_dimension_of_a_v0_array_is_unsigned(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(list_bytes([array_bytes("V0", (2**32 - 1, 0), INT8, b"")]))
    assert read_all(tmp_path / "f")["a0"].shape == (2**32 - 1, 0)


@pytest.mark.parametrize("ndim", [33, 80, 0x7FFFFFF0, 0xFFFFFFF0, 0xF993FACB])
def test_a_first_word_that_is_neither_magic_nor_ndim(tmp_path: Path, ndim: int) -> None:
    (tmp_path / "f").write_bytes(list_bytes([struct.pack("<I", ndim) + bytes(1000)]))
    with pytest.raises(CorruptFileError, match=f"array 0 begins with {ndim:#010x}"):
        open_params(tmp_path / "f")


@pytest.mark.parametrize("content", [V0, V1], ids=["V0", "V1"])
def test_cut_at_every_byte(tmp_path: Path, content: bytes) -> None:
    for length in range(1, len(content)):
        (tmp_path / "f").write_bytes(content[:length])
        with pytest.raises(TruncatedFileError):
            open_params(tmp_path / "f")


def test_sparse_arrays_are_v2_alone(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(list_bytes([array_bytes("V3", storage_type=1)]))
    with pytest.raises(CorruptFileError, match="array 0 has storage type 1"):
        open_params(tmp_path / "f")


def test_values_are_not_changed(tmp_path: Path) -> None:
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000, 1], "<u4")  # NaN with payload, -inf, -0, denormal
    for version in ("V0", "V1"):
        (tmp_path / "f").write_bytes(list_bytes([array_bytes(version, (4,), FLOAT32, bits.tobytes())]))
        assert read_all(tmp_path / "f")["a0"].tobytes() == bits.tobytes()
