"""Changes of dtype are rounded once, to nearest, ties to even: held against exact arithmetic with fractions."""

import json
import math
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bort_convert.conversion.casting import narrow, widen
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.errors import OverflowToInfinityError
from bort_convert.params import BY_NAME
from tests.conftest import GOLDEN_HEADS
from tests.conversion.test_convert import peak_memory
from tests.support import (
    TINY,
    Sizes,
    bort_arrays,
    bort_shapes,
    listing,
    run_process,
    write_list,
    write_sparse_list,
)

FORMATS = {
    "float16": (11, -14, 15),
    "bfloat16": (8, -126, 127),
    "float32": (24, -126, 127),
    "float64": (53, -1022, 1023),
}
"""IEEE 754's bits of significand (the hidden one counted), least and greatest exponent of a normal number."""
WIDTHS = {"float16": 16, "bfloat16": 16, "float32": 32, "float64": 64}
HEADS = Declaration(num_heads=TINY.num_heads)


def exact_rounding(value: Fraction, negative: bool, dtype: str) -> int:
    """The bits of the nearest number of ``dtype``, the even one at a tie; infinity from half a unit past the largest."""
    precision, least, greatest = FORMATS[dtype]
    magnitude = abs(value)
    sign = int(negative) << (WIDTHS[dtype] - 1)
    exponent = least
    if magnitude:
        exponent = max(least, math.floor(math.log2(magnitude.numerator) - math.log2(magnitude.denominator)) - 2)
        while magnitude >= Fraction(2) ** (exponent + 1):
            exponent += 1
    scaled = magnitude / Fraction(2) ** (exponent - precision + 1)  # the significand as a number near a whole one
    whole, rest = divmod(scaled, 1)
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2):
        whole += 1
    # A significand that rounds up to the next power of two carries into the exponent, and so it does in the bits.
    bits = int(whole) + ((exponent - least) << (precision - 1)) if whole else 0
    infinity = (greatest - least + 2) << (precision - 1)
    return sign | min(bits, infinity)


def value_of(bits: int, dtype: str) -> Fraction | None:
    """The number that these bits are; None for infinity and NaN."""
    precision, least, greatest = FORMATS[dtype]
    exponent = (bits >> (precision - 1)) & ((1 << (WIDTHS[dtype] - precision)) - 1)
    significand = bits & ((1 << (precision - 1)) - 1)
    if exponent == greatest - least + 2:
        return None
    if exponent:
        significand |= 1 << (precision - 1)
    magnitude = Fraction(significand) * Fraction(2) ** (max(exponent, 1) - 1 + least - precision + 1)
    return -magnitude if bits >> (WIDTHS[dtype] - 1) else magnitude


def raw(bits: list[int], dtype: str) -> bytes:
    return np.array(bits, f"<u{WIDTHS[dtype] // 8}").tobytes()


def cast(bits: list[int], source: str, target: str) -> list[int]:
    """What the package makes of numbers of ``source``, as bits of ``target``."""
    data = narrow(widen(raw(bits, source), BY_NAME[source]), BY_NAME[target])
    found: list[int] = np.frombuffer(data, f"<u{WIDTHS[target] // 8}").tolist()
    return found


def expected_cast(bits: int, source: str, target: str) -> int | None:
    """What it should be; None for a NaN, which any NaN may become."""
    value, negative = value_of(bits, source), bool(bits >> (WIDTHS[source] - 1))
    if value is not None:
        return exact_rounding(value, negative, target)
    precision, least, greatest = FORMATS[source]
    if bits & ((1 << (precision - 1)) - 1):
        return None
    precision, least, greatest = FORMATS[target]
    return int(negative) << (WIDTHS[target] - 1) | (greatest - least + 2) << (precision - 1)


def assert_rounded(bits: list[int], source: str, target: str) -> None:
    found = cast(bits, source, target)
    assert len(found) == len(bits) > 0
    for given_bits, got in zip(bits, found, strict=True):
        expected = expected_cast(given_bits, source, target)
        if expected is None:
            assert value_of(got, target) is None, hex(given_bits)
            assert got & ((1 << (FORMATS[target][0] - 1)) - 1), f"{given_bits:#x}: a NaN became an infinity"
        else:
            assert got == expected, f"{given_bits:#x} of {source}: {got:#x}, expected {expected:#x}"


PAIRS = [(source, target) for source in FORMATS for target in FORMATS if target not in (source, "float64")]


class TestTheTestsOwnRounding:
    """It is exact arithmetic; NumPy and Python agree with it where they can tell."""

    @given(st.floats(width=32))
    def test_float32(self, value: float) -> None:
        (bits,) = struct.unpack("<I", struct.pack("<f", value))
        if math.isfinite(value):
            assert value_of(bits, "float32") == Fraction(value)
            assert exact_rounding(Fraction(value), math.copysign(1, value) < 0, "float32") == bits

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_float64_to_float32_as_the_hardware_does(self, value: float) -> None:
        with np.errstate(all="ignore"):
            (bits,) = np.array([value], "float64").astype("float32").view("uint32").tolist()
        assert exact_rounding(Fraction(value), math.copysign(1, value) < 0, "float32") == bits


class TestRounding:
    @pytest.mark.parametrize("target", ["bfloat16", "float32"])
    def test_every_float16(self, target: str) -> None:
        assert_rounded(list(range(1 << 16)), "float16", target)

    @pytest.mark.parametrize("target", ["float16", "float32"])
    def test_every_bfloat16(self, target: str) -> None:
        assert_rounded(list(range(1 << 16)), "bfloat16", target)

    @pytest.mark.parametrize(("source", "target"), PAIRS)
    def test_any_bits(self, source: str, target: str) -> None:
        @given(st.lists(st.integers(0, (1 << WIDTHS[source]) - 1), min_size=1, max_size=50))
        def check(bits: list[int]) -> None:
            assert_rounded(bits, source, target)

        check()

    @pytest.mark.parametrize(
        ("source", "target"),
        [(s, t) for s, t in PAIRS if FORMATS[s][0] > FORMATS[t][0] or FORMATS[s][2] > FORMATS[t][2]],
    )
    def test_near_every_kind_of_tie(self, source: str, target: str) -> None:
        """Halfway between two neighbours of the target, and one unit of the source beside it."""

        @given(st.integers(0, expected_infinity(target) - 1), st.booleans(), st.sampled_from([-1, 0, 1]))
        def check(lower: int, negative: bool, beside: int) -> None:
            first = value_of(lower, target)
            assert first is not None
            upper = value_of(lower + 1, target)
            after = upper if upper is not None else Fraction(2) ** (FORMATS[target][2] + 1)
            tie = exact_rounding((first + after) / 2, negative, source)
            bits = tie + beside
            if 0 <= bits < 1 << WIDTHS[source]:
                assert_rounded([bits], source, target)

        check()

    @pytest.mark.parametrize(
        ("value", "target", "expected"),
        [
            # Each lies beyond a tie of the target by less than float32 can tell: rounded by way of float32, it falls to even.
            (1 + 2**-8 + 2**-40, "bfloat16", 0x3F81),
            (-(1 + 2**-8 + 2**-40), "bfloat16", 0xBF81),
            (1 + 3 * 2**-8 - 2**-40, "bfloat16", 0x3F81),
            (2.0**-134 + 2.0**-170, "bfloat16", 0x0001),
            (1 + 2**-11 + 2**-40, "float16", 0x3C01),
            (1 + 3 * 2**-11 - 2**-40, "float16", 0x3C01),
            (2.0**-25 + 2.0**-60, "float16", 0x0001),
            # Ties themselves, at the ends of the range.
            (1 + 2**-8, "bfloat16", 0x3F80),
            (2.0**-134, "bfloat16", 0x0000),
            (-(2.0**-134), "bfloat16", 0x8000),
            (2.0**-25, "float16", 0x0000),
            (-(2.0**-25), "float16", 0x8000),
            (65519.99, "float16", 0x7BFF),
            (65520.0, "float16", 0x7C00),
            (-0.0, "float16", 0x8000),
            (-0.0, "bfloat16", 0x8000),
            (1e-320, "bfloat16", 0x0000),
            (-1e-320, "float32", 0x80000000),
            ((2 - 2**-8) * 2.0**127, "bfloat16", 0x7F80),
            ((2 - 2**-8 - 2**-40) * 2.0**127, "bfloat16", 0x7F7F),
        ],
    )
    def test_traps(self, value: float, target: str, expected: int) -> None:
        (bits,) = struct.unpack("<Q", struct.pack("<d", value))
        assert exact_rounding(Fraction(value), math.copysign(1, value) < 0, target) == expected
        assert cast([bits], "float64", target) == [expected]

    @pytest.mark.parametrize("bits", [0x7F800001, 0xFF800001, 0x7FC00000, 0x7F80FFFF, 0x7FFFFFFF])
    @pytest.mark.parametrize("target", ["bfloat16", "float16"])
    def test_nan_stays_nan(self, bits: int, target: str) -> None:
        """The lowest bits of a NaN are all that tells it from an infinity, and a cut would take them."""
        assert_rounded([bits], "float32", target)


def expected_infinity(dtype: str) -> int:
    precision, least, greatest = FORMATS[dtype]
    return (greatest - least + 2) << (precision - 1)


class TestConversion:
    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
    def test_every_golden_file(self, golden: Path, tmp_path: Path, dtype: str) -> None:
        """Every stored tensor is rounded, the config says so, and Transformers loads it in that dtype."""
        import safetensors.torch
        import torch

        convert(golden, tmp_path / "kept", Declaration(num_heads=GOLDEN_HEADS))
        convert(golden, tmp_path / "cast", Declaration(num_heads=GOLDEN_HEADS, dtype=dtype))
        kept = safetensors.torch.load_file(tmp_path / "kept" / "model.safetensors")
        rounded = safetensors.torch.load_file(tmp_path / "cast" / "model.safetensors")
        assert rounded.keys() == kept.keys()
        for name, tensor in rounded.items():
            assert tensor.dtype == getattr(torch, dtype)
            assert torch.equal(tensor, kept[name].to(tensor.dtype)), name
        assert json.loads((tmp_path / "cast" / "config.json").read_text())["dtype"] == dtype
        operations = {
            entry["operation"] for entry in json.loads((tmp_path / "cast" / "conversion.json").read_text())["ledger"]
        }
        assert ("cast" in operations) == (dtype != str(kept[name].dtype).removeprefix("torch."))

    def test_mixed_precision(self, tmp_path: Path) -> None:
        """AMP keeps norms in float32 beside matrices of float16: both are kept, and one dtype casts both."""
        from safetensors.numpy import load_file

        arrays = {
            name: array if name.endswith(("gamma", "beta")) else array.astype("float16")
            for name, array in bort_arrays().items()
        }
        path = write_list(tmp_path / "amp.params", arrays)
        convert(path, tmp_path / "kept", HEADS)
        assert json.loads((tmp_path / "kept" / "config.json").read_text())["dtype"] == "float32"
        tensors = load_file(tmp_path / "kept" / "model.safetensors")
        assert tensors["bert.embeddings.LayerNorm.weight"].tobytes() == arrays["encoder.layer_norm.gamma"].tobytes()
        assert tensors["cls.predictions.bias"].dtype == np.float16
        convert(path, tmp_path / "cast", Declaration(num_heads=4, dtype="float16"))
        assert {tensor.dtype for tensor in load_file(tmp_path / "cast" / "model.safetensors").values()} == {
            np.dtype("float16")
        }
        ledger = json.loads((tmp_path / "cast" / "conversion.json").read_text())["ledger"]
        assert {entry["operation"] for entry in ledger} == {"copy", "cast", "tie", "zero"}

    def test_the_config_of_two_dtypes_of_16_bits(self, tmp_path: Path) -> None:
        arrays = bort_arrays(head="encoder", dtype="float16")
        path = write_list(tmp_path / "f.params", arrays, dtypes={"encoder.layer_norm.beta": "bfloat16"})
        convert(path, tmp_path / "model", HEADS)
        assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == "float32"


class TestOverflow:
    @pytest.mark.parametrize("dry_run", [False, True])
    @pytest.mark.parametrize(
        ("source", "target", "value"),
        [
            ("float32", "float16", 65520.0),
            ("float32", "float16", -1e10),
            ("float64", "float16", 65520.0),
            ("float64", "float32", 3.5e38),
            ("float32", "bfloat16", 3.4e38),
            ("float64", "bfloat16", -1e300),
        ],
    )
    def test_is_an_error_that_names_the_tensor(
        self, tmp_path: Path, source: str, target: str, value: float, dry_run: bool
    ) -> None:
        arrays = bort_arrays(dtype=source)
        arrays["decoder.2.beta"][5] = value
        path = write_list(tmp_path / "f.params", arrays)
        before = listing(tmp_path)
        with pytest.raises(OverflowToInfinityError) as caught:
            convert(path, tmp_path / "model", Declaration(num_heads=4, dtype=target), dry_run=dry_run)
        assert str(caught.value).startswith(f"{path}: decoder.2.beta: {value:g} is too large for {target}; choose")
        assert "\n" not in str(caught.value)
        assert listing(tmp_path) == before

    @pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 65519.0])
    def test_what_was_infinite_before_is_none(self, tmp_path: Path, value: float) -> None:
        arrays = bort_arrays()
        arrays["decoder.2.beta"][5] = value
        path = write_list(tmp_path / "f.params", arrays)
        conversion = convert(path, tmp_path / "model", Declaration(num_heads=4, dtype="float16"))
        assert len(conversion.warnings) == (0 if math.isfinite(value) else 1)

    def test_through_the_command_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        arrays = bort_arrays()
        arrays["encoder.position_weight"][-1, -1] = 1e6
        write_list(tmp_path / "f.params", arrays)
        result = run_process("convert", "f.params", "model", "--num-heads", "4", "--dtype", "float16", cwd=tmp_path)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert result.stderr.startswith("Error: f.params: encoder.position_weight: 1e+06 is too large for float16")
        assert [path.name for path in tmp_path.iterdir()] == ["f.params"]


def test_memory_of_a_cast_is_constant(tmp_path: Path) -> None:
    peaks = []
    for vocab_size in (5_000, 50_000):
        sizes = Sizes(num_layers=1, num_heads=4, units=512, hidden_size=64, max_length=16, vocab_size=vocab_size)
        path = write_sparse_list(tmp_path / f"{vocab_size}.params", bort_shapes(sizes, "encoder"))
        model = tmp_path / f"model-{vocab_size}"
        peaks.append(peak_memory("convert", str(path), str(model), "--num-heads", "4", "--dtype", "bfloat16"))
        assert (model / "model.safetensors").stat().st_size > vocab_size * 512 * 2
    small, large = peaks
    assert large < 120e6
    assert abs(large - small) <= 0.2 * small
