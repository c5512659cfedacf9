"""The reader, and the tests' own writer, against real MXNet."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bort_convert.params import open_params
from tests.support import DATA, list_bytes, run_command, write_list

CHECKPOINTS = sorted(path.name for path in DATA.glob("*.params"))
WRITABLE = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64")
"""The dtypes that MXNet 1.9.1 saves from Python in either mode, bool and bfloat16 apart."""

SCRIPT = """
import json, sys
import numpy as np
if not hasattr(np, "bool"):
    np.bool = np.bool_
import mxnet as mx

folder, files = json.loads(sys.argv[1])

def load(path):
    try:
        return mx.nd.load(path)
    except mx.base.MXNetError:
        with mx.util.np_shape(True):
            return mx.nd.load(path)

for index, path in enumerate(files):
    loaded = load(path)
    if isinstance(loaded, list):
        loaded = {"list%d" % i: array for i, array in enumerate(loaded)}
    np.savez("%s/loaded%d.npz" % (folder, index), **{name: array.asnumpy() for name, array in loaded.items()})

with np.load(folder + "/to_write.npz") as arrays:
    legacy = {name: mx.nd.array(arrays[name], dtype=arrays[name].dtype) for name in arrays.files}
    mx.nd.save(folder + "/v2.params", legacy)
    mx.nd.save(folder + "/list.params", list(legacy.values()))
    mx.nd.save(folder + "/empty.params", {})
    bfloat16 = mx.nd.array([1, -2]).astype(np.dtype([("bfloat16", np.uint16)]))
    mx.nd.save(folder + "/bfloat16.params", {"a": bfloat16})
    mx.npx.set_np()
    mx.npx.save(folder + "/v3.params", {name: array.as_np_ndarray() for name, array in legacy.items()})
"""


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {dtype: (50 * generator.random((3, 5))).astype(dtype) for dtype in WRITABLE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]) -> Path:
    """Files that MXNet wrote, and what it loaded from each golden file and from two of the tests' writer."""
    folder = tmp_path_factory.mktemp("mxnet")
    np.savez(folder / "to_write.npz", **arrays)
    files = [str(DATA / name) for name in CHECKPOINTS]
    files += [str(write_list(folder / f"own_{version}", arrays, version=version)) for version in ("V2", "V3")]
    result = run_command([sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps([str(folder), files])])
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.mark.parametrize("index", range(len(CHECKPOINTS)), ids=CHECKPOINTS)
def test_golden_files_read_as_mxnet_reads_them(folder: Path, index: int) -> None:
    with open_params(DATA / CHECKPOINTS[index]) as params, np.load(folder / f"loaded{index}.npz") as expected:
        names = [array.name or f"list{position}" for position, array in enumerate(params.arrays)]
        assert names == expected.files
        assert names
        for name, array in zip(names, params.arrays, strict=True):
            view = params.view(array)
            assert (view.dtype, view.shape) == (expected[name].dtype, expected[name].shape)
            assert view.tobytes() == expected[name].tobytes()


@pytest.mark.parametrize("position", [0, 1], ids=["V2", "V3"])
def test_mxnet_loads_what_the_tests_write(folder: Path, arrays: dict[str, np.ndarray], position: int) -> None:
    with np.load(folder / f"loaded{len(CHECKPOINTS) + position}.npz") as loaded:
        assert loaded.files == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(loaded[name], array)


def test_the_tests_write_the_bytes_that_mxnet_writes(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    assert (folder / "v2.params").read_bytes() == list_bytes(arrays)
    assert (folder / "v3.params").read_bytes() == list_bytes(arrays, version="V3")
    assert (folder / "list.params").read_bytes() == list_bytes(arrays, named=False)
    assert (folder / "empty.params").read_bytes() == list_bytes({})
    bfloat16 = {"a": np.array([0x3F80, 0xC000], "uint16")}
    assert (folder / "bfloat16.params").read_bytes() == list_bytes(bfloat16, dtypes={"a": "bfloat16"})
