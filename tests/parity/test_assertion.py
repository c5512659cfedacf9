"""`assert_parity`, as a stranger's test suite uses it: with a recorded reference, and no MXNet."""

import inspect
import shutil
import sys
from pathlib import Path

import pytest

from bort_convert import TokenizerSources, assert_parity, verify
from bort_convert.errors import BortConvertError, InvalidOptionError, ModelFolderError
from tests.support import DATA, run, run_command, run_process

CHECKPOINT = DATA / "bort_tiny_mlm.params"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, ``model``, and a recorded reference, ``reference``. Not to be changed."""
    folder = tmp_path_factory.mktemp("recorded")
    assert run("convert", CHECKPOINT, folder / "model", "--num-heads", "4").exit_code == 0
    record = run_process("record", CHECKPOINT, folder / "reference", "--num-heads", "4", "--lengths", "1,4")
    assert (record.exit_code, record.stderr) == (0, "")
    return folder


@pytest.fixture
def broken(recorded: Path, tmp_path: Path) -> Path:
    """The folder with one bias of the second layer changed."""
    from safetensors.numpy import load_file, save_file

    model = Path(shutil.copytree(recorded / "model", tmp_path / "broken"))
    tensors = load_file(model / "model.safetensors")
    tensors["bert.encoder.layer.1.output.dense.bias"][5] += 1e-3
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    return model


def test_parity_holds(recorded: Path) -> None:
    verification = assert_parity(CHECKPOINT, recorded / "model", reference=recorded / "reference")
    assert verification.passed
    assert len(verification.stages) > 20


def test_the_message_shows_the_table(recorded: Path, broken: Path) -> None:
    with pytest.raises(AssertionError) as error:
        assert_parity(CHECKPOINT, broken, reference=recorded / "reference")
    lines = str(error.value).splitlines()
    assert lines[0] == f"FAILED: {CHECKPOINT} against {broken}"
    assert lines[1].endswith(" checks of the folder failed")
    assert lines[1].startswith("1 of ")
    assert lines[2].startswith("  tensor bert.encoder.layer.1.output.dense.bias: 1 of 32 elements differ")
    assert lines[4].split() == ["dtype", "stage", "largest", "allowed"]
    rows = [line.split(maxsplit=4) for line in lines[5:]]
    assert [row[:2] for row in rows] == [
        [dtype, stage]
        for dtype in ("float64", "float32")
        for stage in ("embedding", "attention.0", "hidden.0", "attention.1", "hidden.1", "mlm_logits")
    ]
    states = {(row[0], row[1]): row[4] for row in rows}
    assert states["float64", "hidden.0"] == "ok"
    assert states["float64", "hidden.1"].startswith("FAILED: ")
    assert "\x1b" not in str(error.value)


def test_options_reach_the_verification(recorded: Path) -> None:
    verification = assert_parity(CHECKPOINT, recorded / "model", reference=recorded / "reference", dtypes=("float64",))
    assert {result.dtype for result in verification.stages} == {"float64"}
    with pytest.raises(AssertionError, match="FAILED"):
        assert_parity(CHECKPOINT, recorded / "model", reference=recorded / "reference", atol=0.0)


def test_it_has_the_options_of_verify() -> None:
    ours, theirs = inspect.signature(assert_parity).parameters, inspect.signature(verify).parameters
    assert {*ours} == {*theirs} - {"progress", "patch"}
    assert all(ours[name].default == theirs[name].default for name in ours)


def test_tokenizer_and_published_values_reach_the_verification(recorded: Path) -> None:
    model, reference = recorded / "model", recorded / "reference"
    with pytest.raises(InvalidOptionError, match="--published-values"):
        assert_parity(CHECKPOINT, model, reference=reference, published_values=True)
    with pytest.raises(ModelFolderError, match="has no tokenizer to check"):
        assert_parity(CHECKPOINT, model, reference=reference, tokenizer=TokenizerSources(Path("a"), Path("b")))


def test_what_cannot_be_compared_is_another_error(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(BortConvertError, match="no such file"):
        assert_parity(CHECKPOINT, recorded / "model", reference=tmp_path / "nowhere")


def test_holds_under_optimisation(recorded: Path, broken: Path) -> None:
    code = "import sys; from bort_convert import assert_parity; assert_parity(*sys.argv[1:3], reference=sys.argv[3])"
    result = run_command([sys.executable, "-O", "-c", code, str(CHECKPOINT), str(broken), str(recorded / "reference")])
    assert result.exit_code == 1
    assert "AssertionError: FAILED: " in result.stderr


def test_in_pytest(recorded: Path, broken: Path, tmp_path: Path) -> None:
    """The example of docs/ci.md: the failure that a developer reads has the table in it."""
    (tmp_path / "test_model.py").write_text(
        "from bort_convert import assert_parity\n\n\ndef test_parity():\n"
        f"    assert_parity({str(CHECKPOINT)!r}, {str(broken)!r}, reference={str(recorded / 'reference')!r})\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_model.py")]
    result = run_command(command, cwd=tmp_path)
    assert result.exit_code == 1
    assert "hidden.1" in result.stdout
    assert "tensor bert.encoder.layer.1.output.dense.bias: 1 of 32 elements differ" in result.stdout
