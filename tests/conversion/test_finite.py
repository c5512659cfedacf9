"""Weights that are no numbers are kept bit for bit, and named wherever the checkpoint is looked at."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.finite import count_non_finite
from bort_convert.conversion.ledger import Declaration
from bort_convert.params import BY_NAME
from tests.support import TINY, bort_arrays, run, write_list

HEADS = Declaration(num_heads=TINY.num_heads)
PATTERNS = {
    "float16": ("<u2", [0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF]),
    "bfloat16": ("<u2", [0x7F80, 0xFF80, 0x7F81, 0x7FC0, 0xFFFF]),
    "float32": ("<u4", [0x7F800000, 0xFF800000, 0x7F800001, 0x7FC00000, 0xFFFFFFFF]),
    "float64": ("<u8", [0x7FF0 << 48, 0xFFF0 << 48, (0x7FF0 << 48) + 1, 0x7FF8 << 48, 2**64 - 1]),
}
"""Both infinities, a NaN that signals, the NaN that is quiet, and one of all bits."""
LARGEST = {"float16": 0x7BFF, "bfloat16": 0x7F7F, "float32": 0x7F7FFFFF, "float64": 0x7FEFFFFFFFFFFFFF}
NAME, TARGET = "encoder.transformer_cells.1.ffn.ffn_1.weight", "bert.encoder.layer.1.intermediate.dense.weight"
WARNING = f"{NAME}: 5 values are NaN or infinite, and kept"


@pytest.mark.parametrize("dtype", PATTERNS)
class TestCounting:
    def test_each_kind(self, dtype: str) -> None:
        bits, patterns = PATTERNS[dtype]
        for pattern in patterns:
            values = np.zeros(1000, bits)
            values[777] = pattern
            assert count_non_finite(values.tobytes(), BY_NAME[dtype]) == 1
        assert count_non_finite(np.array(patterns, bits).tobytes(), BY_NAME[dtype]) == 5

    def test_a_sum_that_overflows_is_no_false_alarm(self, dtype: str) -> None:
        values = np.full(100_000, LARGEST[dtype], PATTERNS[dtype][0])
        assert count_non_finite(values.tobytes(), BY_NAME[dtype]) == 0
        values[-1] = PATTERNS[dtype][1][0]
        assert count_non_finite(values.tobytes(), BY_NAME[dtype]) == 1

    def test_infinities_that_cancel(self, dtype: str) -> None:
        values = np.array(PATTERNS[dtype][1][:2], PATTERNS[dtype][0])
        assert count_non_finite(values.tobytes(), BY_NAME[dtype]) == 2

    def test_nothing(self, dtype: str) -> None:
        assert count_non_finite(b"", BY_NAME[dtype]) == 0

    def test_subnormals_are_numbers(self, dtype: str) -> None:
        assert count_non_finite(np.ones(9, PATTERNS[dtype][0]).tobytes(), BY_NAME[dtype]) == 0


@pytest.fixture(params=PATTERNS)
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of one dtype, with each pattern in one tensor."""
    bits, patterns = PATTERNS[str(request.param)]
    numpy_name = "float32" if request.param == "bfloat16" else str(request.param)
    arrays = {name: array.astype(numpy_name) for name, array in bort_arrays().items()}
    if request.param == "bfloat16":
        arrays = {name: array.view("uint16")[..., 1::2].copy() for name, array in arrays.items()}
    arrays[NAME].view(bits).reshape(-1)[3:8] = patterns
    return write_list(tmp_path / "bort.params", arrays, dtypes=dict.fromkeys(arrays, str(request.param)))


class TestKept:
    def test_bit_for_bit(self, checkpoint: Path, tmp_path: Path) -> None:
        from bort_convert.params import open_params

        conversion = convert(checkpoint, tmp_path / "model", HEADS)
        assert conversion.warnings == (WARNING,)
        with open_params(checkpoint) as params:
            expected = params.view(params.by_name[NAME]).tobytes()
        content = (tmp_path / "model" / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        start, end = json.loads(content[8 : 8 + length])[TARGET]["data_offsets"]
        assert content[8 + length + start : 8 + length + end] == expected

    def test_inspect_convert_and_the_record_name_it(self, checkpoint: Path, tmp_path: Path) -> None:
        heads = ("--num-heads", "4")
        assert f"  warning       {WARNING}\n" in run("inspect", checkpoint, *heads).stdout
        assert json.loads(run("inspect", checkpoint, *heads, "--json").stdout)["warnings"] == [WARNING]
        dry = run("convert", checkpoint, tmp_path / "model", *heads, "--dry-run")
        assert f"  warning       {WARNING}\n" in dry.stdout
        result = run("convert", checkpoint, tmp_path / "model", *heads)
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"  warning       {WARNING}\n" in result.stdout
        record = json.loads((tmp_path / "model" / "conversion.json").read_text())
        assert record["warnings"] == [WARNING]
        again = run("convert", checkpoint, tmp_path / "model", *heads, "--json", "--force")
        assert json.loads(again.stdout)["warnings"] == [WARNING]


def test_a_healthy_file_has_no_warning(tmp_path: Path) -> None:
    path = write_list(tmp_path / "bort.params", bort_arrays())
    assert convert(path, tmp_path / "model", HEADS).warnings == ()
    assert "warning" not in run("inspect", path, "--num-heads", "4").stdout


def test_every_tensor_is_named_by_the_files_own_name(tmp_path: Path) -> None:
    arrays = {f"arg:{name}": array.copy() for name, array in bort_arrays(head="classifier").items()}
    arrays["arg:classifier.3.bias"][0] = np.nan
    arrays["arg:bort.encoder.position_weight"][:2] = np.inf
    conversion = convert(write_list(tmp_path / "f", arrays), tmp_path / "model", HEADS)
    assert set(conversion.warnings) == {
        "arg:classifier.3.bias: 1 values are NaN or infinite, and kept",
        "arg:bort.encoder.position_weight: 32 values are NaN or infinite, and kept",
    }
