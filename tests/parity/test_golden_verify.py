"""The whole proof, with real MXNet, on every checkpoint of the original code, as it is and rounded."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.parity.inputs import Inputs
from bort_convert.parity.result import Verification
from bort_convert.parity.verify import record, verify
from tests.conftest import GOLDEN_HEADS
from tests.conversion.test_golden import head_of
from tests.support import DATA, bort_arrays, write_list

INPUTS = Inputs(lengths=(1, 9))
LOGITS = {"encoder": set(), "mlm": {"mlm_logits"}, "classifier": {"logits"}}


def assert_proven(verification: Verification, head: str) -> None:
    assert [check for check in verification.checks if not check.passed] == []
    assert [result for result in verification.stages if not result.difference.passed] == []
    assert verification.passed
    stages = {result.stage for result in verification.stages}
    assert stages == {"embedding", "hidden.0", "hidden.1", "attention.0", "attention.1"} | LOGITS[head]


def test_passes(golden: Path, golden_model: Path) -> None:
    """Every spelling, every head; what was declared comes from the folder's record."""
    assert_proven(verify(golden, golden_model, inputs=INPUTS, dtypes=["float64"]), head_of(golden))


ROUNDED = [
    ("bort_tiny_mlm.collect_params", "bfloat16"),
    ("bort_tiny_mlm_fp16", "float32"),
    ("model_bort_MNLI_2", "float16"),
]


@pytest.mark.parametrize(("name", "dtype"), ROUNDED)
def test_rounded_folders_pass(tmp_path: Path, name: str, dtype: str) -> None:
    """The checkpoint's own values are compared; what the rounding costs is stated beside it."""
    checkpoint = DATA / f"{name}.params"
    convert(checkpoint, tmp_path / "model", Declaration(num_heads=GOLDEN_HEADS, dtype=dtype))
    verification = verify(checkpoint, tmp_path / "model", inputs=INPUTS, dtypes=["float64"])
    assert_proven(verification, head_of(checkpoint))
    losses = [rounding.largest for rounding in verification.export_rounding]
    assert losses
    assert (max(losses) > 1e-4) == (dtype != "float32")


@pytest.mark.parametrize("name", ["bort_tiny_mlm.arg", "model_bort_MNLI_2"])
def test_an_encoder_taken_from_more_passes(tmp_path: Path, name: str) -> None:
    checkpoint = DATA / f"{name}.params"
    convert(checkpoint, tmp_path / "model", Declaration(num_heads=GOLDEN_HEADS, head="encoder"))
    assert_proven(verify(checkpoint, tmp_path / "model", inputs=INPUTS, dtypes=["float64"]), "encoder")


def test_a_float64_file_rounded_passes(tmp_path: Path) -> None:
    """Values that float32 cannot hold: MXNet must compute from the file's own, not from the folder's."""
    generator = np.random.default_rng(0)
    arrays = {
        name: array + 1e-9 * generator.standard_normal(array.shape)
        for name, array in bort_arrays(head="classifier", dtype="float64").items()
    }
    checkpoint = write_list(tmp_path / "f.params", arrays)
    convert(checkpoint, tmp_path / "model", Declaration(num_heads=4, dtype="float32"))
    assert_proven(verify(checkpoint, tmp_path / "model", inputs=INPUTS), "classifier")


def test_a_mixed_file_passes(tmp_path: Path) -> None:
    """As AMP leaves it: norms in float32, matrices in float16."""
    arrays = {
        name: array if name.endswith(("gamma", "beta")) else array.astype("float16")
        for name, array in bort_arrays().items()
    }
    checkpoint = write_list(tmp_path / "amp.params", arrays)
    convert(checkpoint, tmp_path / "model", Declaration(num_heads=4))
    assert_proven(verify(checkpoint, tmp_path / "model", inputs=INPUTS, dtypes=["float64"]), "mlm")


CLASSIFIER = DATA / "model_bort_MNLI_2.params"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What MXNet computes from the classifier, kept: it proves folders without running MXNet again."""
    path = tmp_path_factory.mktemp("recorded") / "reference"
    record(CLASSIFIER, path, Declaration(num_heads=GOLDEN_HEADS), inputs=INPUTS)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The classifier's model folder, to spoil."""
    convert(CLASSIFIER, tmp_path / "model", Declaration(num_heads=GOLDEN_HEADS))
    return tmp_path / "model"


def test_a_recorded_classifier_is_replayed(folder: Path, recorded: Path) -> None:
    verification = verify(CLASSIFIER, folder, reference=recorded)
    assert_proven(verification, "classifier")
    assert {result.dtype for result in verification.stages} == {"float64", "float32"}


@pytest.mark.parametrize("tensor", ["classifier.weight", "classifier.bias", "bert.pooler.dense.weight"])
def test_one_changed_classifier_weight_fails(folder: Path, recorded: Path, tensor: str) -> None:
    """Off by 1e-3: the bytes tell, and so do the logits and nothing before them."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors[tensor].reshape(-1)[0] += 1e-3
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    verification = verify(CLASSIFIER, folder, reference=recorded)
    assert not verification.passed
    assert {check.name for check in verification.checks if not check.passed} == {tensor}
    assert {result.stage for result in verification.stages if not result.difference.passed} == {"logits"}
    assert {result.dtype for result in verification.stages if not result.difference.passed} == {"float64", "float32"}


def test_the_checkpoint_may_be_renamed(folder: Path, recorded: Path, tmp_path: Path) -> None:
    """Its name told the task when it was converted; the record keeps it."""
    copy = shutil.copy(CLASSIFIER, tmp_path / "mine.params")
    assert_proven(verify(copy, folder, reference=recorded), "classifier")
