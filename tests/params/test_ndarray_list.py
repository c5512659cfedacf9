"""The list container: what is read, as what, and what is refused."""

import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path

import hypothesis.extra.numpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bort_convert.errors import BortConvertError, CorruptFileError, TruncatedFileError, UnsupportedArrayError
from bort_convert.params import DTYPES, ParamsFile, StoredArray, open_params
from tests.support import FLAGS, array_header, list_bytes, list_header, list_names, write_list, write_sparse_list

GOLDEN_V2 = bytes.fromhex(
    "1201000000000000 0000000000000000 0200000000000000"
    # float32 (2,) on CPU 0: 1.0, -2.0
    "c9fa93f9 00000000 01000000 0200000000000000 01000000 00000000 00000000 0000803f 000000c0"
    # uint8 (1, 3): 7, 8, 255
    "c9fa93f9 00000000 02000000 0100000000000000 0300000000000000 01000000 00000000 03000000 0708ff"
    "0200000000000000 0600000000000000 612e626961 73 0100000000000000 62"
)
GOLDEN_V3 = bytes.fromhex(
    "1201000000000000 0000000000000000 0200000000000000"
    # int64 scalar: -1
    "cafa93f9 00000000 00000000 01000000 00000000 06000000 ffffffffffffffff"
    # float16 (0, 3)
    "cafa93f9 00000000 02000000 0000000000000000 0300000000000000 01000000 00000000 02000000"
    "0200000000000000 0100000000000000 78 0100000000000000 79"
)


@pytest.fixture
def parameter_file(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes bytes to a file and gives its path."""

    def write(content: bytes) -> Path:
        path = tmp_path / "file.params"
        path.write_bytes(content)
        return path

    return write


class TestReading:
    def test_golden_v2(self, parameter_file: Callable[[bytes], Path]) -> None:
        with open_params(parameter_file(GOLDEN_V2)) as params:
            first, second = params.arrays
            assert (params.named, params.size, params.container) == (True, len(GOLDEN_V2), "MXNet NDArray list")
            assert [first.name, first.dtype.name, first.shape, first.offset, first.nbytes] == [
                "a.bias", "float32", (2,), 56, 8,
            ]  # fmt: skip
            assert [second.name, second.dtype.name, second.shape, second.offset, second.nbytes] == [
                "b", "uint8", (1, 3), 104, 3,
            ]  # fmt: skip
            assert (first.version, first.context, first.size) == ("V2", (1, 0), 2)
            assert params.view(first).tolist() == [1.0, -2.0]
            assert params.view(second).tolist() == [[7, 8, 255]]
            assert params.by_name == {"a.bias": first, "b": second}

    def test_golden_v3(self, parameter_file: Callable[[bytes], Path]) -> None:
        with open_params(parameter_file(GOLDEN_V3)) as params:
            scalar, empty = params.arrays
            assert (scalar.shape, scalar.size, empty.shape, empty.size) == ((), 1, (0, 3), 0)
            assert (scalar.version, empty.version) == ("V3", "V3")
            assert params.view(scalar).shape == ()
            assert params.view(scalar)[()] == -1
            assert (params.view(empty).shape, params.view(empty).dtype) == ((0, 3), np.dtype("float16"))

    @pytest.mark.parametrize("version", ["V2", "V3"])
    def test_all_thirteen_dtypes(self, tmp_path: Path, version: str) -> None:
        values = {
            "float32": np.array([1.5, -np.inf, np.nan, -0.0], "float32"),
            "float64": np.array([1e300, 5e-324], "float64"),
            "float16": np.array([65504, 6e-8], "float16"),
            "uint8": np.array([0, 255], "uint8"),
            "int32": np.array([-(2**31), 2**31 - 1], "int32"),
            "int8": np.array([-128, 127], "int8"),
            "int64": np.array([-(2**63), 2**63 - 1], "int64"),
            "bool": np.array([True, False, True], "bool"),
            "int16": np.array([-(2**15), 2**15 - 1], "int16"),
            "uint16": np.array([0, 2**16 - 1], "uint16"),
            "uint32": np.array([0, 2**32 - 1], "uint32"),
            "uint64": np.array([0, 2**64 - 1], "uint64"),
            "bfloat16": np.array([0x3F80, 0xC000], "uint16"),
        }
        assert set(values) == set(FLAGS) == {dtype.name for dtype in DTYPES}
        path = write_list(tmp_path / "f", values, version=version, dtypes={"bfloat16": "bfloat16"})
        with open_params(path) as params:
            assert [array.name for array in params.arrays] == list(values)
            for array in params.arrays:
                assert array.dtype.name == array.name
                assert array.dtype.flag == FLAGS[array.name]
                assert array.nbytes == values[array.name].nbytes
                assert params.view(array).dtype == values[array.name].dtype
                np.testing.assert_array_equal(params.view(array), values[array.name])

    @pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
    def test_names_of_a_dtype_agree_on_its_width(self, dtype: object) -> None:
        from bort_convert.params import DType

        assert isinstance(dtype, DType)
        digits = "".join(character for character in dtype.safetensors if character.isdigit())
        assert dtype.itemsize == np.dtype(dtype.numpy).itemsize == (int(digits) // 8 if digits else 1)

    def test_names_keep_their_order(self, tmp_path: Path) -> None:
        names = ["z", "a", "m.0.weight", "arg:β", "a" * 1024]
        arrays = {name: np.full(1, index, "float32") for index, name in enumerate(names)}
        with open_params(write_list(tmp_path / "f", arrays)) as params:
            assert [array.name for array in params.arrays] == names
            assert [float(params.view(array)[0]) for array in params.arrays] == [0, 1, 2, 3, 4]

    def test_a_file_without_names(self, tmp_path: Path) -> None:
        arrays = {"a": np.ones(2, "float32"), "b": np.zeros(3, "int8")}
        with open_params(write_list(tmp_path / "f", arrays, named=False)) as params:
            assert not params.named
            assert [array.name for array in params.arrays] == ["", ""]
            assert params.view(params.arrays[1]).tolist() == [0, 0, 0]

    def test_an_empty_list(self, parameter_file: Callable[[bytes], Path]) -> None:
        with open_params(parameter_file(list_bytes({}))) as params:
            assert (params.arrays, params.named) == ((), False)

    def test_versions_may_be_mixed(self, parameter_file: Callable[[bytes], Path]) -> None:
        content = list_header(2) + array_header((1,), 5) + b"\x01" + array_header((), 5, version="V3") + b"\x02"
        with open_params(parameter_file(content + list_names(["a", "b"]))) as params:
            assert [array.version for array in params.arrays] == ["V2", "V3"]
            assert [int(params.view(array).sum()) for array in params.arrays] == [1, 2]

    def test_any_device_is_read(self, parameter_file: Callable[[bytes], Path]) -> None:
        array = struct.pack("<Iiiqiii", 0xF993FAC9, 0, 1, 1, 2, 3, 5) + b"\x07"
        with open_params(parameter_file(list_header(1) + array + list_names(["a"]))) as params:
            assert params.arrays[0].context == (2, 3)


class TestViews:
    def test_read_only_and_mapped(self, tmp_path: Path) -> None:
        path = write_list(tmp_path / "f", {"a": np.arange(4, dtype="float32")})
        with open_params(path) as params:
            view = params.view(params.arrays[0])
            assert not view.flags.writeable
            base: object = view.base
            assert isinstance(base, mmap.mmap)
            with pytest.raises(ValueError, match="read-only"):
                view[0] = 1
            # A mapping shows what the file holds now, a copy would not.
            with path.open("r+b") as file:
                file.seek(params.arrays[0].offset)
                file.write(np.float32(9).tobytes())
            assert view[0] == 9

    def test_right_at_unaligned_offsets(self, tmp_path: Path) -> None:
        expected = np.linspace(-1, 1, 6).reshape(2, 3)
        remainders = set()
        for padding in range(1, 9):
            path = write_list(tmp_path / "f", {"padding": np.zeros(padding, "uint8"), "a": expected})
            with open_params(path) as params:
                array = params.by_name["a"]
                remainders.add(array.offset % 8)
                np.testing.assert_array_equal(params.view(array), expected)
                assert b"".join(bytes(chunk) for chunk in params.chunks(array)) == expected.tobytes()
        assert remainders == set(range(8))

    def test_survive_the_file_being_closed_and_replaced(self, tmp_path: Path) -> None:
        path = write_list(tmp_path / "f", {"a": np.arange(4, dtype="float32")})
        with open_params(path) as params:
            view = params.view(params.arrays[0])
            path.unlink()
            assert b"".join(map(bytes, params.chunks(params.arrays[0]))) == view.tobytes()
        assert view.tolist() == [0, 1, 2, 3]

    def test_chunks_of_a_large_array_are_small(self, tmp_path: Path) -> None:
        content = np.random.default_rng(0).integers(0, 256, 2_500_001, dtype="uint8")
        path = write_list(tmp_path / "f", {"a": content})
        with open_params(path) as params:
            chunks = [bytes(chunk) for chunk in params.chunks(params.arrays[0])]
            assert max(map(len, chunks)) <= 1 << 20
            assert b"".join(chunks) == content.tobytes()
            assert b"".join(bytes(chunk) for chunk in params.all_chunks()) == path.read_bytes()

    def test_a_file_cut_short_after_opening(self, tmp_path: Path) -> None:
        path = write_list(tmp_path / "f", {"a": np.zeros(3_000_000, "uint8")})
        with open_params(path) as params:
            os.truncate(path, 2_000_000)
            with pytest.raises(TruncatedFileError, match="cut short at byte 2000000"):
                list(params.chunks(params.arrays[0]))

    def test_same_bytes(self, tmp_path: Path) -> None:
        ones = np.ones(1_500_000, "uint8")
        other = ones.copy()
        other[-1] = 2
        arrays = {"a": ones, "b": ones, "c": other, "d": ones[:-1]}
        with open_params(write_list(tmp_path / "f", arrays)) as params:
            a, b, c, d = params.arrays
            assert params.same_bytes(a, b)
            assert not params.same_bytes(a, c)
            assert not params.same_bytes(a, d)


def test_opening_reads_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = {"a": (2**31, 2), "b": (2**32,)}
    path = write_sparse_list(tmp_path / "f", shapes, dtype="int8")
    read = 0

    def counting_pread(descriptor: int, count: int, offset: int) -> bytes:
        nonlocal read
        data = os_pread(descriptor, count, offset)
        read += len(data)
        return data

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("data were read")

    os_pread = os.pread
    monkeypatch.setattr(os, "pread", counting_pread)
    for module, name in ((os, "read"), (os, "preadv"), (os, "readv"), (mmap, "mmap")):
        monkeypatch.setattr(module, name, refuse)
    with open_params(path) as params:
        assert params.size > 8 * 2**30
        assert {array.name: array.shape for array in params.arrays} == shapes
    assert 0 < read < 2000


def _element_types() -> st.SearchStrategy[np.dtype]:
    return st.sampled_from([np.dtype(dtype.numpy) for dtype in DTYPES])


_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda name: name.isprintable() and name != "__metadata__"
)
_SHAPES = hypothesis.extra.numpy.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
_ARRAYS = st.dictionaries(_NAMES, hypothesis.extra.numpy.arrays(_element_types(), _SHAPES), min_size=1, max_size=4)


class TestRoundTrips:
    @given(arrays=_ARRAYS, version=st.sampled_from(["V2", "V3"]))
    @settings(max_examples=150, deadline=None)
    def test_any_arrays(
        self, tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray], version: str
    ) -> None:
        path = write_list(tmp_path_factory.getbasetemp() / "round-trip", arrays, version=version)
        with open_params(path) as params:
            assert [array.name for array in params.arrays] == list(arrays)
            for (name, expected), array in zip(arrays.items(), params.arrays, strict=True):
                view = params.view(array)
                assert (array.name, array.shape, view.shape) == (name, expected.shape, expected.shape)
                assert (view.dtype, view.tobytes()) == (expected.dtype, expected.tobytes())

    @given(data=st.data())
    @settings(max_examples=300, deadline=None)
    def test_a_damaged_file_opens_or_is_refused_by_an_error_of_this_package(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        content = bytearray(data.draw(st.sampled_from([GOLDEN_V2, GOLDEN_V3])))
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        content += data.draw(st.binary(max_size=3))
        path = tmp_path_factory.getbasetemp() / "damaged"
        path.write_bytes(content)
        try:
            with open_params(path) as params:
                for array in params.arrays:
                    assert params.view(array).nbytes == array.nbytes <= len(content)
        except BortConvertError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)


def _array(shape: tuple[int, ...] = (1,), flag: int = 5, data: bytes = b"\x01") -> bytes:
    return array_header(shape, flag) + data


def _one(array: bytes) -> bytes:
    return list_header(1) + array + list_names(["a"])


def _named(*names: bytes) -> bytes:
    """A file of as many arrays as there are names."""
    return (
        list_header(len(names))
        + _array() * len(names)
        + struct.pack("<Q", len(names))
        + b"".join(struct.pack("<Q", len(name)) + name for name in names)
    )


def _ndim(ndim: int, tail: bytes = b"") -> bytes:
    return _one(struct.pack("<Iii", 0xF993FAC9, 0, ndim) + tail)


CORRUPT = {
    "reserved field": (struct.pack("<QQQ", 0x112, 1, 0) + list_names([]), "the reserved field is 0x1"),
    "more arrays than accepted": (list_header(65537) + bytes(12 * 65537), "65537 arrays, more than"),
    "fewer names than arrays": (list_header(2) + _array() * 2 + list_names(["a"]), "2 arrays but 1 names"),
    "more names than arrays": (list_header(1) + _array() + list_names(["a", "b"]), "1 arrays but 2 names"),
    "names without arrays": (list_header(0) + list_names(["a"]), "0 arrays but 1 names"),
    "ndim -1": (_ndim(-1, bytes(1 << 16)), "array 0 has -1 dimensions"),
    "ndim -2": (_ndim(-2), "array 0 has -2 dimensions"),
    "ndim 33": (_one(array_header((1,) * 33, 5) + b"\x01"), "array 0 has 33 dimensions"),
    "ndim 2^31 - 1": (_ndim(2**31 - 1), "array 0 has 2147483647 dimensions"),
    "dimension -1": (_one(_array((-1,))), "a negative dimension: (-1,)"),
    "two negative dimensions": (_one(_array((-3, -1))), "a negative dimension: (-3, -1)"),
    "product wraps to 0": (_one(_array((2**32, 2**32))), "more than can be addressed"),
    "bytes wrap to 4": (_one(_array((2**62 + 1,), 0, bytes(4))), "more than can be addressed"),
    "empty, but not addressable": (_one(_array((0, 2**62, 2), 5, b"")), "more than can be addressed"),
    "dtype flag 13": (_one(_array(flag=13)), "array 0 has dtype flag 13"),
    "dtype flag -1": (_one(_array(flag=-1)), "array 0 has dtype flag -1"),
    "storage type 7": (_one(struct.pack("<Ii", 0xF993FAC9, 7) + bytes(40)), "array 0 has storage type 7"),
    "storage type -1": (_one(struct.pack("<Ii", 0xF993FAC9, -1) + bytes(40)), "array 0 has storage type -1"),
    "name twice": (_named(b"a", b"b", b"a"), "names 0 and 2 are both 'a'"),
    "name with NUL": (_named(b"a\0b"), "name 0 is 'a\\x00b'"),
    "name with a control character": (_named(b"a\x1b[2J"), "name 0 is 'a\\x1b[2J'"),
    "name with a newline": (_named(b"a\nb"), "name 0 is 'a\\nb'"),
    "name not UTF-8": (_named(b"a", b"\xff\xfe"), "name 1 is not UTF-8"),
    "name a lone surrogate": (_named(b"\xed\xa0\x80"), "name 0 is not UTF-8"),
    "name empty": (_named(b""), "name 0 is ''"),
    "name __metadata__": (_named(b"__metadata__"), "name 0 is '__metadata__'"),
    "name too long": (_named(b"a" * 1025), "name 0 has 1025 bytes, more than 1024"),
    "trailing byte": (_one(_array()) + b"\0", "1 bytes follow the last name"),
    "second list": (_one(_array()) * 2, "bytes follow the last name"),
}

TRUNCATED = {
    "count 2^60": list_header(2**60),
    "count 10^9": list_header(10**9) + bytes(1000),
    "2^30 elements, no data": _one(_array((2**30,), 0, b"")),
    "10^12 elements, no data": _one(_array((10**12,), 0, b"")),
    "names count 2^60": list_header(0) + struct.pack("<Q", 2**60),
    "name length 2^60": list_header(1) + _array() + struct.pack("<QQ", 1, 2**60) + b"a",
    "name length 2^64 - 1": list_header(1) + _array() + struct.pack("<QQ", 1, 2**64 - 1) + b"a",
}


class TestRefusals:
    @pytest.mark.parametrize(("content", "message"), CORRUPT.values(), ids=list(CORRUPT))
    def test_corrupt(self, parameter_file: Callable[[bytes], Path], content: bytes, message: str) -> None:
        path = parameter_file(content)
        with pytest.raises(CorruptFileError) as caught:
            open_params(path)
        assert str(caught.value).startswith(f"{path}: corrupt at byte ")
        assert message in str(caught.value)
        assert str(caught.value).endswith("copy or download the file again")

    @pytest.mark.parametrize("content", TRUNCATED.values(), ids=list(TRUNCATED))
    def test_truncated(self, parameter_file: Callable[[bytes], Path], content: bytes) -> None:
        path = parameter_file(content)
        with pytest.raises(TruncatedFileError) as caught:
            open_params(path)
        assert str(caught.value).startswith(f"{path}: truncated at byte {len(content)}: ")

    def test_none_array(self, parameter_file: Callable[[bytes], Path]) -> None:
        path = parameter_file(list_header(1) + struct.pack("<Iii", 0xF993FAC9, 0, 0) + list_names(["a"]))
        with pytest.raises(UnsupportedArrayError, match="array 0 at byte 24 holds no data"):
            open_params(path)

    @pytest.mark.parametrize(
        "content",
        [_one(struct.pack("<I", 0xDEADBEEF) + bytes(40)), list_header(2) + _array() + list_names(["a"])],
        ids=["unknown magic", "one array fewer than counted"],
    )
    def test_no_array_where_one_should_be(self, parameter_file: Callable[[bytes], Path], content: bytes) -> None:
        with pytest.raises((UnsupportedArrayError, CorruptFileError, TruncatedFileError), match=r"array [01]"):
            open_params(parameter_file(content))

    @pytest.mark.parametrize("content", [GOLDEN_V2, GOLDEN_V3], ids=["V2", "V3"])
    def test_cut_at_every_byte(self, parameter_file: Callable[[bytes], Path], content: bytes) -> None:
        path = parameter_file(content)
        for length in reversed(range(len(content))):
            os.truncate(path, length)
            with pytest.raises(TruncatedFileError) as caught:
                open_params(path)
            assert str(path) in str(caught.value)

    def test_the_byte_at_fault_is_named(self, parameter_file: Callable[[bytes], Path]) -> None:
        content = bytearray(GOLDEN_V2)
        flag_of_second = 100
        assert content[flag_of_second] == FLAGS["uint8"]
        content[flag_of_second] = 99
        with pytest.raises(CorruptFileError, match="corrupt at byte 100: array 1 has dtype flag 99"):
            open_params(parameter_file(bytes(content)))

    def test_a_refused_file_is_closed(self, parameter_file: Callable[[bytes], Path]) -> None:
        path = parameter_file(GOLDEN_V2[:-1])
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            with pytest.raises(TruncatedFileError):
                open_params(path)
        assert len(os.listdir("/proc/self/fd")) == before


def test_values_are_frozen(parameter_file: Callable[[bytes], Path]) -> None:
    with open_params(parameter_file(GOLDEN_V2)) as params:
        assert isinstance(params, ParamsFile)
        assert isinstance(params.arrays[0], StoredArray)
        with pytest.raises(AttributeError):
            params.arrays[0].offset = 0  # type: ignore[misc]
