"""The writer of list containers, against real MXNet and against the reader."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bort_convert.params import BY_NAME, open_params
from bort_convert.params.list_writer import ListedArray, write_list
from tests.support import run_command

ARRAYS = {
    "matrix.weight": np.arange(6, dtype="float32").reshape(2, 3),
    "half": np.array([1.5, -2.0, 65504.0], "float16"),
    "double": np.array([[1e-300]], "float64"),
    "ünïcode": np.arange(4, dtype="int64"),
}

SCRIPT = """
import json, sys
import numpy as np
if not hasattr(np, "bool"):
    np.bool = np.bool_
import mxnet as mx

folder = sys.argv[1]
with np.load(folder + "/arrays.npz") as arrays:
    nd = {name: mx.nd.array(arrays[name], dtype=arrays[name].dtype) for name in arrays.files}
mx.nd.save(folder + "/V2.mxnet", nd)
with mx.util.np_shape(True):
    mx.nd.save(folder + "/V3.mxnet", nd)
for version in ("V0", "V1", "V2", "V3"):
    with mx.util.np_shape(version == "V3"):
        loaded = mx.nd.load(folder + "/" + version)
    np.savez(folder + "/" + version + ".npz", **{name: array.asnumpy() for name, array in loaded.items()})
"""


def listed(version: str) -> Iterator[ListedArray]:
    for name, array in ARRAYS.items():
        data = array.tobytes()
        # In pieces, as a large tensor comes.
        yield ListedArray(name, BY_NAME[array.dtype.name], array.shape, lambda data=data: (data[:5], data[5:]), version)  # type: ignore[misc]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each array version, and what MXNet wrote and read."""
    folder = tmp_path_factory.mktemp("lists")
    np.savez(folder / "arrays.npz", **ARRAYS)
    for version in ("V0", "V1", "V2", "V3"):
        with (folder / version).open("xb") as file:
            write_list(file, list(listed(version)))
    result = run_command([sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder)])
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.mark.parametrize("version", ["V2", "V3"])
def test_the_bytes_that_mxnet_writes(folder: Path, version: str) -> None:
    assert (folder / version).read_bytes() == (folder / f"{version}.mxnet").read_bytes()


@pytest.mark.parametrize("version", ["V0", "V1", "V2", "V3"])
def test_mxnet_reads_every_version(folder: Path, version: str) -> None:
    with np.load(folder / f"{version}.npz") as loaded:
        assert set(loaded.files) == set(ARRAYS)
        for name, array in ARRAYS.items():
            assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)
            assert loaded[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("version", ["V0", "V1", "V2", "V3"])
def test_the_reader_reads_it(folder: Path, version: str) -> None:
    with open_params(folder / version) as params:
        assert [array.name for array in params.arrays] == list(ARRAYS)
        for array in params.arrays:
            assert (array.version, array.context) == (version, (1, 0))
            np.testing.assert_array_equal(params.view(array), ARRAYS[array.name])


def test_contexts(tmp_path: Path) -> None:
    arrays = [
        ListedArray(f"a{index}", BY_NAME["float32"], (1,), lambda: [bytes(4)], "V2", context)
        for index, context in enumerate([(1, 0), (2, 3), (3, 0), (5, 1)])
    ]
    with (tmp_path / "f").open("xb") as file:
        write_list(file, arrays)
    with open_params(tmp_path / "f") as params:
        assert json.dumps([array.context for array in params.arrays]) == "[[1, 0], [2, 3], [3, 0], [5, 1]]"
