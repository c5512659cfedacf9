"""The check of the released model against a value that others published."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bort_convert.bort.architecture import PUBLISHED, Architecture
from bort_convert.errors import InvalidOptionError
from bort_convert.parity import published
from bort_convert.parity.published import compare_with_published, require_released
from tests.support import DATA, run, run_command

PUBLISHED_CORNER = np.array([[-0.0349, 0.0436, -1.8654], [-0.6964, 0.0835, -1.7393], [-0.9819, 0.2956, -0.2868]])


@pytest.mark.parametrize("off", [0, 9.9e-3, -9.9e-3])
def test_near_enough(off: float) -> None:
    check = compare_with_published((PUBLISHED_CORNER + off).astype("float32"))
    assert check.passed
    assert check.kind == "published"
    assert "within 1e-02" in check.name


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.7393 + 1.1e-2, -1.7393 - 1.1e-2, 1.7393])
def test_one_value_off(value: float) -> None:
    values = PUBLISHED_CORNER.astype("float32")
    values[1, 2] = value
    check = compare_with_published(values)
    assert not check.passed
    assert "at position 1, unit 2, published -1.7393: these are not the released weights" in check.failure


def test_float16_rounding_alone_is_not_enough_for_their_tolerance() -> None:
    """Why it is not theirs, 1e-4: the last value's own rounding to float16 is larger."""
    assert np.abs(PUBLISHED_CORNER.astype("float16") - PUBLISHED_CORNER).max() > 1e-4


def model(vocab_size: int = 20000) -> Any:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocab_size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=32, type_vocab_size=1,
    )  # fmt: skip
    bert: Any = BertModel(config, add_pooling_layer=False)
    return bert.double().eval()


def test_runs_the_published_input_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    bert = model()
    ids = [0, 18077, 4082, 7804, 8606, 6195, 2457, 3321, 11, 10489, 16, 269, 2579, 328, 2]
    with torch.inference_mode():
        expected = bert(torch.tensor([ids])).last_hidden_state[0, :3, :3].numpy()
    assert not published.check_published_values(bert).passed
    monkeypatch.setattr(published, "LAST_HIDDEN_STATE", tuple(map(tuple, expected.tolist())))
    monkeypatch.setattr(published, "ATOL", 1e-5)
    assert published.check_published_values(bert).passed
    assert bert.dtype == torch.float32


def test_the_value_is_of_the_released_model_alone() -> None:
    sizes = {"num_layers": 4, "num_heads": 8, "hidden_size": 768, "units": 1024, "max_length": 512}
    require_released(Architecture(**sizes, vocab_size=50265))
    for changed in ({"vocab_size": 50267}, {"num_heads": 16, "vocab_size": 50265}):
        with pytest.raises(InvalidOptionError, match="--published-values: a value was published for bort_4_8_768_1024"):
            require_released(Architecture(**sizes | changed))
    assert "bort_4_8_768_1024" in PUBLISHED


def test_another_model_is_refused_in_one_line(tmp_path: Path) -> None:
    checkpoint = DATA / "bort_tiny_encoder.params"
    assert run("convert", checkpoint, tmp_path / "m", "--num-heads", "4").exit_code == 0
    result = run("verify", checkpoint, tmp_path / "m", "--published-values")
    assert result.exit_code == 2
    assert result.stdout.startswith("NOT VERIFIED\n")
    assert "--published-values: a value was published for bort_4_8_768_1024 with 50265 tokens only" in result.stderr
    assert result.stderr.count("\n") == 1


def test_decides_the_verdict(tmp_path: Path) -> None:
    """Everything else passes; the model is not the released one; so it fails, and says why."""
    checkpoint = DATA / "bort_tiny_mlm.params"
    assert run("convert", checkpoint, tmp_path / "m", "--num-heads", "4").exit_code == 0
    code = (
        "import sys; from bort_convert.parity import published as p; p.require_released = lambda architecture: None;"
        "p.INPUT_IDS = tuple(i % 97 for i in p.INPUT_IDS); from bort_convert.cli import main; main(sys.argv[1:])"
    )
    report = tmp_path / "report.json"
    common = ("verify", str(checkpoint), str(tmp_path / "m"), "--lengths", "3", "--dtype", "float64")
    command = [sys.executable, "-c", code, *common, "--json", str(report), "--published-values"]
    result = run_command(command)
    assert (result.exit_code, result.stderr) == (1, "")
    text = " ".join(result.stdout.split())
    assert "1 published value 1 wrong" in text
    assert "these are not the released weights" in text
    document = json.loads(report.read_text())
    assert [check["kind"] for check in document["checks"] if not check["passed"]] == ["published"]
    assert all(stage["passed"] for stage in document["stages"])
