"""The worker, run as the process that it is, by real MXNet."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from bort_convert.conversion.ledger import Declaration, Ledger, build_ledger
from bort_convert.errors import FrameworkError, MissingDependencyError
from bort_convert.params import open_params
from bort_convert.parity import mxnet_runner
from bort_convert.parity.inputs import make_batch, make_batches
from bort_convert.parity.mxnet_runner import MXNetOutputs
from bort_convert.parity.verify import verify
from tests.parity.support import HEADS, TINY, Specimen
from tests.support import Sizes, bort_arrays, write_list

BATCHES = make_batches(TINY, (1, 5), 0)


@pytest.fixture(scope="module")
def ledger(mlm: Specimen) -> Ledger:
    with open_params(mlm.checkpoint) as params:
        return build_ledger(params, Declaration(num_heads=HEADS))


def outputs(checkpoint: Path, ledger: Ledger, python: str | None = None) -> MXNetOutputs:
    with mxnet_runner.run(checkpoint, ledger, BATCHES, ("float64", "float32"), python=python) as wait:
        return wait()


def test_shapes_dtypes_and_versions(mlm: Specimen, ledger: Ledger) -> None:
    result = outputs(mlm.checkpoint, ledger)
    assert set(result.versions) == {"python", "mxnet", "gluonnlp", "numpy"}
    assert result.versions["python"] == sys.version.split()[0]
    shapes: dict[str, tuple[int, ...]] = {"embedding": (2, 5, 32), "mlm_logits": (2, 8, 97)}
    shapes |= {f"hidden.{layer}": (2, 5, 32) for layer in (0, 1)}
    shapes |= {f"attention.{layer}": (2, 4, 5, 5) for layer in (0, 1)}
    for dtype in ("float32", "float64"):
        arrays = result.outputs[dtype]
        assert {name: array.shape for name, array in arrays.items() if name.startswith("mixed.")} == {
            f"mixed.{stage}": shape for stage, shape in shapes.items()
        }
        assert {array.dtype.name for array in arrays.values()} == {dtype}
        # Probabilities over the valid keys, and none for padding.
        attention = arrays["mixed.attention.1"]
        np.testing.assert_allclose(attention[1].sum(-1), 1, atol=1e-6)
        assert (attention[0, :, 0, 1:] == 0).all()
        assert (arrays["mixed.hidden.1"][0, 1:] == 0).all()  # GluonNLP's padding
    gap = result.outputs["float64"]["longest.hidden.1"] - result.outputs["float32"]["longest.hidden.1"]
    assert 1e-9 < np.abs(gap).max() < 2e-5


def test_an_id_outside_the_vocabulary_would_go_unseen(mlm: Specimen, ledger: Ledger) -> None:
    """Why `make_batch` refuses such ids: MXNet takes them for the last one."""
    batches = {name: make_batch([[0, 96, 2]], TINY) for name in ("inside", "outside")}
    batches["outside"].input_ids[0, 1] = 5000
    with mxnet_runner.run(mlm.checkpoint, ledger, batches, ("float32",)) as wait:
        arrays = wait().outputs["float32"]
    np.testing.assert_array_equal(arrays["inside.hidden.1"], arrays["outside.hidden.1"])


def test_a_run_that_is_left_is_ended(mlm: Specimen, ledger: Ledger) -> None:
    class LeftError(Exception):
        pass

    with pytest.raises(LeftError), mxnet_runner.run(mlm.checkpoint, ledger, BATCHES, ("float32",)):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert children
        raise LeftError
    remaining = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert not set(children[-1:]) & set(remaining)


def test_what_mxnet_says_reaches_the_user(mlm: Specimen, ledger: Ledger, tmp_path: Path) -> None:
    other = Sizes(num_layers=1, units=8, hidden_size=4, num_heads=HEADS)
    broken = write_list(tmp_path / "broken.params", bort_arrays(other))
    with pytest.raises(FrameworkError, match="MXNet failed under") as caught:
        outputs(broken, ledger)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with nothing in it."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return str(folder / "bin" / "python")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "python"
    path.touch(mode=0o755)
    return path


_HIDING = """
import sys


class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            raise ModuleNotFoundError("No module named '{module}'", name=name)


sys.meta_path.insert(0, Hiding())
"""


class TestInterpreters:
    """--mxnet-python"""

    def test_named_by_its_path(self, mlm: Specimen, ledger: Ledger) -> None:
        assert outputs(mlm.checkpoint, ledger, sys.executable).versions["mxnet"].startswith("1.")

    def test_without_numpy(self, mlm: Specimen, ledger: Ledger, bare_python: str) -> None:
        with pytest.raises(MissingDependencyError, match=r"No module named 'numpy'; run: pip install"):
            outputs(mlm.checkpoint, ledger, bare_python)

    @pytest.mark.parametrize("module", ["mxnet", "gluonnlp"])
    def test_without_a_framework(self, mlm: Specimen, ledger: Ledger, script: Path, module: str) -> None:
        """A Python with everything but this module, which a site's own start-up file hides."""
        (script.parent / "sitecustomize.py").write_text(_HIDING.format(module=module))
        script.write_text(f'#!/bin/sh\nPYTHONPATH="{script.parent}" exec "{sys.executable}" "$@"\n')
        with pytest.raises(MissingDependencyError, match=f"No module named '{module}'; run: pip install"):
            outputs(mlm.checkpoint, ledger, str(script))

    def test_that_does_not_exist(self, mlm: Specimen, tmp_path: Path) -> None:
        with pytest.raises(FrameworkError, match=r"nothing: cannot be run: No such file .*--mxnet-python"):
            verify(mlm.checkpoint, mlm.model_dir, mxnet_python=str(tmp_path / "nothing"))

    def test_that_is_no_program(self, mlm: Specimen) -> None:
        with pytest.raises(FrameworkError, match="cannot be run"):
            verify(mlm.checkpoint, mlm.model_dir, mxnet_python=str(mlm.model_dir / "config.json"))

    @pytest.mark.parametrize("text", ["exit 0", "echo '{}'", "echo '[1]'; echo '{'"])
    def test_that_is_no_python(self, mlm: Specimen, ledger: Ledger, script: Path, text: str) -> None:
        script.write_text(f"#!/bin/sh\n{text}\n")
        with pytest.raises(FrameworkError, match=r"is no Python that runs the worker.*--mxnet-python"):
            outputs(mlm.checkpoint, ledger, str(script))

    def test_that_is_killed(self, mlm: Specimen, ledger: Ledger, script: Path) -> None:
        script.write_text("#!/bin/sh\nkill -9 $$\n")
        with pytest.raises(FrameworkError, match="exit code -9"):
            outputs(mlm.checkpoint, ledger, str(script))


def test_the_events(mlm: Specimen, ledger: Ledger, tmp_path: Path) -> None:
    """The worker by hand, as its docstring describes it: a sample, told in lines of JSON."""
    job = {"command": "sample", "checkpoint": str(tmp_path / "s.params"), "seed": 3, "head": "encoder"}
    architecture = {"num_layers": 1, "num_heads": 1, "units": 2, "hidden_size": 3, "max_length": 4, "vocab_size": 5}
    (tmp_path / "job.json").write_text(json.dumps(job | {"architecture": architecture}))
    worker = Path(mxnet_runner.__file__).with_name("mxnet_worker.py")
    process = subprocess.run(
        [sys.executable, "-W", "ignore", str(worker), str(tmp_path / "job.json")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    events = [json.loads(line) for line in process.stdout.splitlines()]
    assert [list(event) for event in events] == [["versions"], ["done"]]
    with open_params(tmp_path / "s.params") as params:
        shapes = {array.name: array.shape for array in params.arrays}
    assert shapes["word_embed.0.weight"] == (5, 2)
    assert len(shapes) == 1 + 3 + 16
