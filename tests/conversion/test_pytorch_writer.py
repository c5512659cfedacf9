"""``--format pytorch``: what ``torch.load(weights_only=True)`` reads is what the safetensors file holds."""

import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.pytorch_writer import check
from bort_convert.errors import OutputCheckError
from tests.conftest import GOLDEN_HEADS
from tests.support import DATA, listing, run_command, run_process

HEADS = Declaration(num_heads=GOLDEN_HEADS)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_the_same_tensors_as_safetensors(golden: Path, tmp_path: Path, dtype: str | None) -> None:
    declared = Declaration(num_heads=GOLDEN_HEADS, dtype=dtype)
    convert(golden, tmp_path / "safetensors", declared)
    convert(golden, tmp_path / "pytorch", declared, model_format="pytorch")
    assert set(listing(tmp_path / "pytorch")) == {"config.json", "conversion.json", "pytorch_model.bin"}
    expected = safetensors.torch.load_file(tmp_path / "safetensors" / "model.safetensors")
    found = torch.load(tmp_path / "pytorch" / "pytorch_model.bin", weights_only=True)
    assert list(found) == list(expected)
    for name, tensor in found.items():
        assert (tensor.dtype, tensor.shape) == (expected[name].dtype, expected[name].shape)
        assert tensor.view(torch.uint8).equal(expected[name].view(torch.uint8)), name
    for name in ("config.json", "conversion.json"):
        assert (tmp_path / "pytorch" / name).read_bytes() == (tmp_path / "safetensors" / name).read_bytes()


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        convert(DATA / "model_bort_MNLI_2.params", tmp_path / name, HEADS, model_format="pytorch")
    assert listing(tmp_path / "first") == listing(tmp_path / "second")


def test_verify_passes(tmp_path: Path) -> None:
    path = DATA / "model_bort_MNLI_2.params"
    convert(path, tmp_path / "model", HEADS, model_format="pytorch")
    result = run_process("verify", path, tmp_path / "model", "--lengths", "1,5", "--dtype", "float64")
    assert (result.exit_code, result.stderr) == (0, ""), result.stdout
    assert "PASSED" in result.stdout


def test_export_gives_the_original(tmp_path: Path) -> None:
    path = DATA / "model_bort_MNLI_2.params"
    convert(path, tmp_path / "model", HEADS, model_format="pytorch")
    assert run_process("export", tmp_path / "model", tmp_path / "back.params").exit_code == 0
    assert (tmp_path / "back.params").read_bytes() == path.read_bytes()


def test_what_is_written_is_checked(tmp_path: Path) -> None:
    from bort_convert.conversion.ledger import build_ledger
    from bort_convert.params import open_params

    path = DATA / "model_bort_MNLI_2.params"
    convert(path, tmp_path / "model", HEADS, model_format="pytorch")
    with open_params(path) as params:
        written = build_ledger(params, HEADS).written
    model = tmp_path / "model" / "pytorch_model.bin"
    check(model, written)
    for wrong in (written[1:], ()):
        with pytest.raises(OutputCheckError, match="reads back differently"):
            check(model, wrong)


WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from bort_convert.cli import main; main(sys.argv[1:])"


@pytest.mark.parametrize("command", ["convert", "verify", "export"])
def test_without_torch(tmp_path: Path, command: str) -> None:
    path = DATA / "model_bort_MNLI_2.params"
    convert(path, tmp_path / "model", HEADS, model_format="pytorch")
    before = listing(tmp_path)
    arguments = {
        "convert": ["convert", str(path), str(tmp_path / "new"), "--num-heads", "4", "--format", "pytorch"],
        "verify": ["verify", str(path), str(tmp_path / "model")],
        "export": ["export", str(tmp_path / "model"), str(tmp_path / "back.params")],
    }[command]
    result = run_command([sys.executable, "-c", WITHOUT_TORCH, *arguments])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert result.stdout.splitlines()[:1] == (["NOT VERIFIED"] if command == "verify" else [])
    assert "torch" in result.stderr
    assert "pip install 'bort-convert[torch]'" in result.stderr
    assert listing(tmp_path) == before
