"""Files of real writers: MXNet 0.10 to 2.0 and NumPy, read to the arrays that their writer reads back."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.errors import UnsupportedArrayError
from bort_convert.params import DTYPES, open_params
from tests.params.builders import read_all, read_array

DATA = Path(__file__).parents[1] / "data"
CONTAINERS = DATA / "containers"
WITH_ARRAYS = sorted(path.name.removesuffix(".expected.npz") for path in CONTAINERS.glob("*.expected.npz"))
EMPTY = sorted(path.name for path in CONTAINERS.glob("*.no_arrays.params"))
NONE = sorted(path.name for path in CONTAINERS.glob("*.none.params"))
WRITERS = (
    "mxnet-0.10.0",
    "mxnet-0.11.0",
    "mxnet-0.12.0",
    "mxnet-1.5.0",
    "mxnet-1.9.1",
    "mxnet-2.0.0b1",
    "numpy-1.26.4",
)
GOLDEN = (
    DATA / "bort_tiny_mlm.params",
    DATA / "bort_tiny_mlm.np_shape.params",
    CONTAINERS / "bort_tiny_mlm.mxnet2.params",
)


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_reads_to_the_arrays_that_the_writer_reads_back(name: str) -> None:
    with open_params(CONTAINERS / name) as params, np.load(CONTAINERS / f"{name}.expected.npz") as expected:
        assert expected.files
        found = {f"{array.name or index}|{array.dtype.name}": array for index, array in enumerate(params.arrays)}
        assert sorted(found) == sorted(expected.files)
        for key, array in found.items():
            values = read_array(params, array)
            assert values.shape == expected[key].shape
            assert values.tobytes() == expected[key].tobytes(), key


def test_every_writer_and_every_kind_of_array_is_among_them() -> None:
    assert {name.rsplit(".", 2)[0] for name in WITH_ARRAYS} == set(WRITERS)
    versions, dtypes, encodings, containers, shapes = set(), set(), set(), set(), set()
    for name in WITH_ARRAYS:
        with open_params(CONTAINERS / name) as params:
            containers.add((params.container, params.named))
            for array in params.arrays:
                versions.add(array.version)
                dtypes.add(array.dtype.name)
                encodings.add(type(array.encoding).__name__)
                shapes.add(array.shape)
    assert versions == {"V0", "V1", "V2", "V3", "npy"}
    assert dtypes == {dtype.name for dtype in DTYPES}
    assert encodings == {"NoneType", "RowSparse", "CompressedRows", "Deflated", "FortranOrder"}
    assert {(), (0, 3)} <= shapes
    assert containers == {
        ("MXNet NDArray list", True),
        ("MXNet NDArray list", False),
        ("zip of NumPy arrays", True),
        ("NumPy array", False),
    }


LISTS = [name for name in WITH_ARRAYS if name.startswith(("mxnet-0.", "mxnet-1."))]
LOAD = """
import sys
import numpy
numpy.bool = numpy.bool_
import mxnet
for path, target in zip(sys.argv[1::2], sys.argv[2::2]):
    with mxnet.util.np_shape("np_shape" in path):
        loaded = mxnet.nd.load(path)
        arrays = loaded.items() if isinstance(loaded, dict) else ((str(i), array) for i, array in enumerate(loaded))
        numpy.savez(target, **{name: array.tostype("default").asnumpy() for name, array in arrays})
"""


class TestAgainstTheInstalledMXNet:
    def test_it_writes_the_fixtures_that_bear_its_name(self, tmp_path: Path) -> None:
        run([str(CONTAINERS / "make_fixtures.py"), str(tmp_path)])
        written = sorted(path.name for path in tmp_path.glob("*.params"))
        assert written == sorted(path.name for path in CONTAINERS.glob("mxnet-1.9.1.*.params"))
        for name in written:
            assert (tmp_path / name).read_bytes() == (CONTAINERS / name).read_bytes(), name

    def test_it_loads_the_same_arrays(self, tmp_path: Path) -> None:
        assert len(LISTS) > 10
        targets = [tmp_path / f"{index}.npz" for index in range(len(LISTS))]
        pairs = zip(LISTS, targets, strict=True)
        run(["-c", LOAD, *(str(part) for name, target in pairs for part in (CONTAINERS / name, target))])
        for name, target in zip(LISTS, targets, strict=True):
            with np.load(target) as expected:
                found = read_all(CONTAINERS / name)
                assert list(found) == expected.files
                for key, array in found.items():
                    assert (array.shape, array.tobytes()) == (expected[key].shape, expected[key].tobytes()), (name, key)


def run(arguments: list[str]) -> None:
    """Runs Python in a process of its own: MXNet and the other frameworks do not share one."""
    result = subprocess.run([sys.executable, "-W", "ignore", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", EMPTY)
def test_no_arrays_at_all(name: str) -> None:
    with open_params(CONTAINERS / name) as params:
        assert params.arrays == ()


def test_none_arrays_are_refused_by_name() -> None:
    assert len(NONE) == 2
    for name in NONE:
        with pytest.raises(UnsupportedArrayError, match="array 0 at byte 24 holds no data"):
            open_params(CONTAINERS / name)


def test_the_goldens_of_the_same_weights_hold_the_same_arrays() -> None:
    first, *others = (read_all(path) for path in GOLDEN)
    assert len(first) == 42
    for other in others:
        assert other.keys() == first.keys()
        for name, values in first.items():
            assert (other[name].dtype, other[name].shape) == (values.dtype, values.shape)
            assert other[name].tobytes() == values.tobytes()


def test_the_goldens_of_the_same_weights_become_the_same_model_file(tmp_path: Path) -> None:
    models = []
    for path in (*GOLDEN, _compressed(tmp_path), _transposed(tmp_path), _sparse(tmp_path)):
        convert(path, tmp_path / "model", Declaration(num_heads=4), force=True)
        models.append((tmp_path / "model" / "model.safetensors").read_bytes())
    assert len(models) == 6
    assert set(models) == {models[0]}


def _compressed(folder: Path) -> Path:
    with (folder / "compressed.params").open("wb") as file:
        np.savez_compressed(file, **read_all(GOLDEN[0]))
    return folder / "compressed.params"


def _transposed(folder: Path) -> Path:
    with (folder / "transposed.params").open("wb") as file:
        np.savez(file, **{name: np.asfortranarray(array) for name, array in read_all(GOLDEN[0]).items()})
    return folder / "transposed.params"


def _sparse(folder: Path) -> Path:
    """Every matrix as row_sparse, with all its rows."""
    from tests.params.builders import FLOAT32, ROW_SPARSE, array_bytes, indices, list_bytes, sparse_bytes

    arrays = []
    for array in read_all(GOLDEN[0]).values():
        if array.ndim == 1:
            arrays.append(array_bytes(shape=array.shape, flag=FLOAT32, data=array.tobytes()))
        else:
            rows = [indices(*range(len(array)))]
            arrays.append(sparse_bytes(ROW_SPARSE, array.shape, array.shape, FLOAT32, array.tobytes(), rows))
    path = folder / "sparse.params"
    path.write_bytes(list_bytes(arrays, [name.encode() for name in read_all(GOLDEN[0])]))
    return path
