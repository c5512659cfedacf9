"""Recorded references: what is recorded is replayed, and nothing else is taken for one."""

import stat
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.errors import DestinationError, InvalidOptionError, RecordedReferenceError
from bort_convert.parity.inputs import Inputs, make_batches
from bort_convert.parity.mxnet_runner import MXNetOutputs
from bort_convert.parity.reference import Reference, read_reference, write_reference
from bort_convert.parity.result import Verification
from bort_convert.parity.sample import write_sample
from bort_convert.parity.verify import record, verify
from tests.parity.support import HEADS, LENGTHS, TINY, Specimen, assert_one_line, run, run_process

DECLARED = Declaration(num_heads=HEADS)


@pytest.fixture(scope="module")
def recorded(mlm: Specimen) -> Reference:
    """What was recorded of the tiny Bort with an MLM decoder."""
    return read_reference(mlm.reference)


def test_round_trip(recorded: Reference, tmp_path: Path) -> None:
    path = tmp_path / "again.safetensors"
    write_reference(recorded, path)
    again = read_reference(path)
    assert (again.checkpoint_sha256, again.model) == (recorded.checkpoint_sha256, recorded.model)
    assert again.outputs.versions == recorded.outputs.versions
    assert set(again.outputs.outputs) == {"float32", "float64"}
    for dtype, stages in recorded.outputs.outputs.items():
        assert set(again.outputs.outputs[dtype]) == set(stages)
        assert len(stages) == 2 * 6  # two batches; embedding, two layers' states and attention, logits
        for name, array in stages.items():
            assert array.dtype == dtype
            np.testing.assert_array_equal(again.outputs.outputs[dtype][name], array)
    assert list(tmp_path.iterdir()) == [path]


def test_keeps_the_inputs(recorded: Reference) -> None:
    expected = make_batches(TINY, LENGTHS, 0)
    assert set(recorded.batches) == set(expected) == {"mixed", "longest"}
    for name, batch in expected.items():
        for field, array in vars(batch).items():
            np.testing.assert_array_equal(getattr(recorded.batches[name], field), array)
            assert getattr(recorded.batches[name], field).dtype == np.int32
    assert {0, 1, 2, 95, 96} <= set(recorded.batches["mixed"].input_ids.ravel().tolist())


def test_arrays_that_are_not_contiguous_keep_their_values(recorded: Reference, tmp_path: Path) -> None:
    transposed = np.arange(12.0).reshape(3, 4).T
    outputs = MXNetOutputs({"float64": {"mixed.embedding": transposed}}, {})
    write_reference(Reference("0", {}, recorded.batches, outputs), tmp_path / "r")
    np.testing.assert_array_equal(
        read_reference(tmp_path / "r").outputs.outputs["float64"]["mixed.embedding"], transposed
    )


def test_the_file_can_be_read_by_others(mlm: Specimen) -> None:
    """safetensors writes files for their owner alone; a reference follows the umask, as other files do."""
    ordinary = mlm.reference.with_name("ordinary")
    ordinary.touch()
    assert stat.S_IMODE(mlm.reference.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_replay_gives_the_same_verdict_as_a_live_run(mlm: Specimen, passed: Verification) -> None:
    live = verify(mlm.checkpoint, mlm.model_dir, inputs=Inputs(lengths=LENGTHS))
    assert live.passed
    assert passed.passed
    assert [(s.stage, s.dtype, s.attention, s.batch) for s in live.stages] == [
        (s.stage, s.dtype, s.attention, s.batch) for s in passed.stages
    ]
    assert (live.checks, live.versions, live.ledger) == (passed.checks, passed.versions, passed.ledger)
    assert all(s.difference.compared == t.difference.compared for s, t in zip(live.stages, passed.stages, strict=True))
    assert live.residual is not None
    assert passed.residual is not None
    assert live.residual.largest == pytest.approx(passed.residual.largest, rel=1e-6)


def test_replay_needs_no_mxnet(mlm: Specimen) -> None:
    arguments = ("verify", mlm.checkpoint, mlm.model_dir)
    without = ("mxnet", "gluonnlp")
    result = run_process(*arguments, "--reference", mlm.reference, without=without)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "PASSED" in result.stdout
    # The control: the same process, asked to run MXNet, cannot.
    assert_one_line(
        run_process(*arguments, without=without), r"mxnet is not installed; run: pip install 'bort-convert\[mxnet\]'"
    )


def cut(length: Callable[[bytes], int]) -> Callable[[bytes], bytes]:
    return lambda data: data[: length(data)]


def header_length(data: bytes) -> int:
    return int(struct.unpack("<Q", data[:8])[0])


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        assert len(old) == len(new)
        assert old in data
        return data.replace(old, new, 1)

    return change


def flipped(place: Callable[[bytes], int]) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = place(data)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return change


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (cut(lambda data: 0), "cannot be read as a reference"),
    "cut in the length": (cut(lambda data: 7), "cannot be read as a reference"),
    "cut in the header": (cut(lambda data: 8 + header_length(data) // 2), "cannot be read as a reference"),
    "cut after the header": (cut(lambda data: 8 + header_length(data)), "cannot be read as a reference"),
    "cut in the middle": (cut(lambda data: len(data) // 2), "cannot be read as a reference"),
    "one byte short": (cut(lambda data: len(data) - 1), "cannot be read as a reference"),
    "one byte long": (lambda data: data + b"\0", "cannot be read as a reference"),
    "first bit of the data": (flipped(lambda data: 8 + header_length(data)), "altered since it was recorded"),
    "a bit in the middle": (
        flipped(lambda data: (8 + header_length(data) + len(data)) // 2),
        "altered since it was recorded",
    ),
    "the last bit": (flipped(lambda data: len(data) - 1), "altered since it was recorded"),
    "another MXNet's version": (
        replaced(b'\\"mxnet\\": \\"1.', b'\\"mxnet\\": \\"2.'),
        "altered since it was recorded",
    ),
    "other heads": (replaced(b'\\"num_heads\\": 4', b'\\"num_heads\\": 8'), "altered since it was recorded"),
    "another tensor's name": (
        replaced(b"float64/mixed.hidden.0", b"float64/mixed.hidden.7"),
        "altered since it was recorded",
    ),
    "another version": (
        replaced(b'"reference_version":"1"', b'"reference_version":"9"'),
        "not a reference of this version",
    ),
    "a checkpoint": (lambda data: b"\x12\x01\0\0\0\0\0\0" + data, "cannot be read as a reference"),
    "a text": (
        lambda data: b"this is no reference at all, and not a short one",
        "cannot be read as a reference",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_reference_is_refused(
    mlm: Specimen, tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damage(mlm.reference.read_bytes()))
    with pytest.raises(RecordedReferenceError, match=message) as caught:
        verify(mlm.checkpoint, mlm.model_dir, reference=path)
    assert str(path) in str(caught.value)
    assert "record it again" in str(caught.value)


def test_a_model_is_no_reference(mlm: Specimen) -> None:
    with pytest.raises(RecordedReferenceError, match="not a reference"):
        verify(mlm.checkpoint, mlm.model_dir, reference=mlm.model_dir / "model.safetensors")


@pytest.mark.parametrize("name", ["nothing", "."])
def test_no_file(mlm: Specimen, tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordedReferenceError):
        verify(mlm.checkpoint, mlm.model_dir, reference=tmp_path / name)
    assert_one_line(
        run("verify", mlm.checkpoint, mlm.model_dir, "--reference", tmp_path / name),
        "convert-bort record|record it again",
    )


def test_of_another_checkpoint(mlm: Specimen, tmp_path: Path) -> None:
    """The same sizes, other weights: nothing but the digest tells them apart."""
    other = write_sample(tmp_path / "other.params", TINY, seed=1)
    convert(other, tmp_path / "model", DECLARED)
    with pytest.raises(RecordedReferenceError, match="recorded from another checkpoint"):
        verify(other, tmp_path / "model", reference=mlm.reference)
    result = run("verify", other, tmp_path / "model", "--reference", mlm.reference)
    assert_one_line(result, f"recorded from another checkpoint .*; record one from {other}")


@pytest.mark.parametrize("declared", [Declaration(num_heads=8), Declaration(num_heads=HEADS, head="encoder")])
def test_of_other_heads(mlm: Specimen, declared: Declaration) -> None:
    with pytest.raises(RecordedReferenceError, match="recorded with other heads or another head"):
        verify(mlm.checkpoint, mlm.model_dir, declared, reference=mlm.reference)


def test_without_a_dtype(mlm: Specimen, tmp_path: Path) -> None:
    path = tmp_path / "half"
    record(mlm.checkpoint, path, DECLARED, dtypes=("float32",), inputs=Inputs(lengths=(3,)))
    with pytest.raises(RecordedReferenceError, match="has no outputs in float64"):
        verify(mlm.checkpoint, mlm.model_dir, reference=path)
    assert_one_line(run("verify", mlm.checkpoint, mlm.model_dir, "--reference", path), "verify with --dtype")
    result = run("verify", mlm.checkpoint, mlm.model_dir, "--reference", path, "--dtype", "float32")
    assert (result.exit_code, result.stderr) == (0, "")


class TestRecord:
    """What can be told before MXNet has run, is."""

    def test_an_existing_file_is_kept(self, mlm: Specimen, tmp_path: Path) -> None:
        path = tmp_path / "there"
        path.write_text("mine")
        result = run("record", mlm.checkpoint, path, "--num-heads", "4")
        assert_one_line(result, "exists; delete it or choose another name")
        assert path.read_text() == "mine"

    def test_a_folder_that_does_not_exist(self, mlm: Specimen, tmp_path: Path) -> None:
        result = run("record", mlm.checkpoint, tmp_path / "nowhere" / "reference", "--num-heads", "4")
        assert_one_line(result, "nowhere")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_goes_away(self, recorded: Reference, tmp_path: Path) -> None:
        with pytest.raises(DestinationError, match="cannot be written"):
            write_reference(recorded, tmp_path / "nowhere" / "reference")

    def test_texts(self, mlm: Specimen, tmp_path: Path) -> None:
        with pytest.raises(InvalidOptionError, match="tokenizer"):
            record(mlm.checkpoint, tmp_path / "reference", DECLARED, inputs=Inputs(texts=("a",)))

    def test_needs_mxnet(self, mlm: Specimen, tmp_path: Path) -> None:
        path = tmp_path / "reference"
        result = run_process("record", mlm.checkpoint, path, "--num-heads", "4", without=("gluonnlp",))
        assert_one_line(result, "gluonnlp is not installed; run: pip install")
        assert list(tmp_path.iterdir()) == []

    def test_says_what_it_did(self, mlm: Specimen, tmp_path: Path) -> None:
        path = tmp_path / "reference"
        result = run("record", mlm.checkpoint, path, "--num-heads", "4", "--lengths", "2,5", "--seed", "7")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"Recorded 24 outputs of {mlm.checkpoint} in {path}\n"
        batch = read_reference(path).batches["mixed"]
        assert batch.valid_length.tolist() == [2, 5]
        np.testing.assert_array_equal(batch.input_ids, make_batches(TINY, (2, 5), 7)["mixed"].input_ids)
