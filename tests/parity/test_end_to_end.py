"""The whole way with real MXNet and real PyTorch: sample, convert, verify, through the command line."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bort_convert.params import open_params
from tests.support import DATA, Sizes, bort_shapes, run_process

SIZES = Sizes(num_layers=2, num_heads=4, units=32, hidden_size=24, max_length=20, vocab_size=50)
OPTIONS = (
    "--num-layers", "2", "--num-heads", "4", "--units", "32", "--hidden-size", "24", "--max-length", "20",
    "--vocab-size", "50",
)  # fmt: skip


@pytest.fixture(scope="module", params=["mlm", "encoder"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that GluonNLP wrote, ``bort.params``, and its model folder, ``model``. Not to be changed."""
    folder = tmp_path_factory.mktemp(str(request.param))
    sample = run_process("sample", "bort.params", "--head", request.param, "--seed", "3", *OPTIONS, cwd=folder)
    assert (sample.exit_code, sample.stderr) == (0, "")
    assert sample.stdout.startswith("Wrote bort.params: 2 layers, 4 heads, 32 units, hidden size 24, head")
    convert = run_process("convert", "bort.params", "model", "--num-heads", "4", cwd=folder)
    assert (convert.exit_code, convert.stderr) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["bort.params", "model"]
    return folder


@pytest.fixture(scope="module")
def head(folder: Path) -> str:
    with open_params(folder / "bort.params") as params:
        return "mlm" if "decoder.0.bias" in params.by_name else "encoder"


def test_the_sample_is_a_bort_of_which_every_tensor_matters(folder: Path, head: str) -> None:
    with open_params(folder / "bort.params") as params:
        assert {array.name: array.shape for array in params.arrays} == bort_shapes(SIZES, head)
        for array in params.arrays:
            values = params.view(array)
            assert array.dtype.name == "float32"
            assert np.isfinite(values).all()
            assert values.std() > 0.01, array.name
        if head == "mlm":
            assert params.same_bytes(params.by_name["word_embed.0.weight"], params.by_name["decoder.3.weight"])


def test_passes(folder: Path, head: str) -> None:
    result = run_process("verify", "bort.params", "model", "--lengths", "1,2,9", cwd=folder)
    assert (result.exit_code, result.stderr) == (0, ""), result.stdout
    assert "PASSED" in result.stdout
    assert "FAILED" not in result.stdout
    for stage in ("embedding", "hidden.0", "hidden.1", "attention.0", "attention.1"):
        assert stage in result.stdout
    assert ("mlm_logits" in result.stdout) == (head == "mlm")
    assert "float64" in result.stdout
    assert "float32" in result.stdout


def test_one_changed_weight_fails(folder: Path, tmp_path: Path) -> None:
    """One weight of the second layer, off by 1e-3: the bytes tell, and so does the layer's output."""
    from safetensors.numpy import load_file, save_file

    model = tmp_path / "model"
    shutil.copytree(folder / "model", model)
    tensors = load_file(model / "model.safetensors")
    (name,) = (name for name in tensors if name.endswith("encoder.layer.1.output.dense.bias"))
    tensors[name][5] += 1e-3
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    result = run_process("verify", folder / "bort.params", model, "--lengths", "3", "--dtype", "float64")
    assert (result.exit_code, result.stderr) == (1, ""), result.stdout
    assert "FAILED" in result.stdout
    assert "PASSED" not in result.stdout
    text = " ".join(result.stdout.split())
    assert f"{name}: 1 of 32 elements differ" in text
    verdicts = {line.split()[0]: line.split()[-1] for line in result.stdout.splitlines() if line.endswith(("ok", "no"))}
    assert (verdicts["hidden.0"], verdicts["hidden.1"]) == ("ok", "no")


@pytest.mark.parametrize("name", ["bort_tiny_mlm.np_shape", "bort_tiny_mlm_fp16"])
def test_golden_files_pass(tmp_path: Path, name: str) -> None:
    """Files of the original code: arrays of NumPy shape, and float16."""
    checkpoint = DATA / f"{name}.params"
    assert run_process("convert", checkpoint, tmp_path / "model", "--num-heads", "4").exit_code == 0
    result = run_process("verify", checkpoint, tmp_path / "model", "--lengths", "1,7", "--dtype", "float64")
    assert (result.exit_code, result.stderr) == (0, ""), result.stdout
    assert "PASSED" in result.stdout


def test_the_seed_decides_the_sample(tmp_path: Path) -> None:
    for name, seed in (("first", "3"), ("again", "3"), ("other", "4")):
        assert run_process("sample", tmp_path / name, "--seed", seed, *OPTIONS).exit_code == 0
    first, again, other = ((tmp_path / name).read_bytes() for name in ("first", "again", "other"))
    assert first == again
    assert first != other
