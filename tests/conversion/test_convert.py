"""A conversion as a whole: what the folder holds, what it costs, and that it appears whole or not at all."""

import errno
import fcntl
import hashlib
import json
import math
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bort_convert import __version__
from bort_convert.conversion import convert as convert_module
from bort_convert.conversion import safetensors_writer
from bort_convert.conversion.convert import convert
from bort_convert.conversion.folder import NewFolder
from bort_convert.conversion.ledger import Declaration, build_ledger
from bort_convert.errors import (
    DestinationError,
    OutputCheckError,
    OverflowToInfinityError,
    TensorMismatchError,
    TruncatedFileError,
)
from bort_convert.params import ParamsFile, StoredArray, open_params
from bort_convert.params.digest import checkpoint_digest
from bort_convert.params.reading import Chunk
from tests.support import (
    TINY,
    Sizes,
    bort_arrays,
    bort_shapes,
    listing,
    run_command,
    run_process,
    write_list,
    write_sparse_list,
)

HEADS = Declaration(num_heads=TINY.num_heads)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_list(tmp_path / "bort.params", bort_arrays())


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """An empty folder to convert into, apart from the checkpoint."""
    folder = tmp_path / "parent"
    folder.mkdir()
    return folder


def model_header(folder: Path) -> dict[str, dict[str, Any]]:
    content = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header: dict[str, dict[str, Any]] = json.loads(content[8 : 8 + length])
    return header


class TestFolder:
    def test_holds_three_files(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", HEADS)
        assert set(listing(parent)) == {
            "model",
            "model/config.json",
            "model/conversion.json",
            "model/model.safetensors",
        }

    def test_the_same_input_gives_the_same_bytes(self, checkpoint: Path, parent: Path, tmp_path: Path) -> None:
        convert(checkpoint, parent / "first", HEADS)
        copy = tmp_path / "other-name.params"
        copy.write_bytes(checkpoint.read_bytes())
        time.sleep(0.01)
        convert(copy, parent / "second", HEADS)
        assert listing(parent / "first") == listing(parent / "second")

    @pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
    def test_modes_follow_the_umask(self, checkpoint: Path, parent: Path, umask: int, mode: int) -> None:
        before = os.umask(umask)
        try:
            convert(checkpoint, parent / "model", HEADS)
        finally:
            os.umask(before)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (parent / "model").iterdir()}
        assert modes == {mode}
        assert stat.S_IMODE((parent / "model").stat().st_mode) == 0o777 & ~umask

    def test_safetensors_header(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", HEADS)
        header = model_header(parent / "model")
        assert header.pop("__metadata__") == {"format": "pt"}
        names = list(header)
        assert names[0] == "bert.embeddings.word_embeddings.weight"
        assert header[names[0]] == {"dtype": "F32", "shape": [23, 16], "data_offsets": [0, 23 * 16 * 4]}
        content = (parent / "model" / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        assert length % 8 == 0
        assert len(content) == 8 + length + 4 * sum(math.prod(entry["shape"]) for entry in header.values())

    def test_mixed_dtypes_are_aligned(self, tmp_path: Path, parent: Path) -> None:
        arrays = bort_arrays(Sizes(units=12, num_heads=4, hidden_size=5, max_length=7, vocab_size=9))
        types = ["float16", "float64", "float32"]
        arrays = {name: array.astype(types[index % 3]) for index, (name, array) in enumerate(arrays.items())}
        convert(write_list(tmp_path / "mixed.params", arrays), parent / "model", HEADS)
        header = model_header(parent / "model")
        del header["__metadata__"]
        widths = {"F64": 8, "F32": 4, "F16": 2}
        assert {entry["dtype"] for entry in header.values()} == set(widths)
        for entry in header.values():
            assert entry["data_offsets"][0] % widths[entry["dtype"]] == 0
        assert json.loads((parent / "model" / "config.json").read_text())["dtype"] == "float64"
        from safetensors.numpy import load_file

        loaded = load_file(parent / "model" / "model.safetensors")
        name = "encoder.transformer_cells.1.ffn.ffn_2.weight"
        assert loaded["bert.encoder.layer.1.output.dense.weight"].tobytes() == arrays[name].tobytes()

    def test_bfloat16(self, tmp_path: Path, parent: Path) -> None:
        arrays = {name: array.view("uint16")[..., 1::2] for name, array in bort_arrays().items()}
        path = write_list(tmp_path / "bf16.params", arrays, dtypes=dict.fromkeys(arrays, "bfloat16"))
        convert(path, parent / "model", HEADS)
        assert json.loads((parent / "model" / "config.json").read_text())["dtype"] == "bfloat16"
        from safetensors.torch import load_file

        loaded = load_file(parent / "model" / "model.safetensors")
        expected = (arrays["word_embed.0.weight"].astype("uint32") << 16).view("float32")
        np.testing.assert_array_equal(loaded["bert.embeddings.word_embeddings.weight"].float().numpy(), expected)


class TestConfig:
    EXPECTED = {  # noqa: RUF012
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": 23,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 10,
        "type_vocab_size": 1,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-05,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }

    def test_every_field(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", HEADS)
        assert json.loads((parent / "model" / "config.json").read_text()) == self.EXPECTED

    def test_of_an_encoder(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", Declaration(num_heads=2, head="encoder"))
        config = json.loads((parent / "model" / "config.json").read_text())
        assert config == self.EXPECTED | {"architectures": ["BertModel"], "num_attention_heads": 2}

    @pytest.mark.parametrize("dtype", ["float16", "float64"])
    def test_dtype(self, tmp_path: Path, parent: Path, dtype: str) -> None:
        convert(write_list(tmp_path / "f", bort_arrays(dtype=dtype)), parent / "model", HEADS)
        assert json.loads((parent / "model" / "config.json").read_text()) == self.EXPECTED | {"dtype": dtype}

    def test_transformers_keeps_every_field(self, checkpoint: Path, parent: Path) -> None:
        import transformers

        convert(checkpoint, parent / "model", HEADS)
        config = transformers.AutoConfig.from_pretrained(parent / "model")
        assert type(config).__name__ == "BertConfig"
        found = {name: getattr(config, name) for name in self.EXPECTED}
        assert found | {"dtype": str(found["dtype"]).removeprefix("torch.")} == self.EXPECTED


class TestRecord:
    def test_contents(self, checkpoint: Path, parent: Path) -> None:
        conversion = convert(checkpoint, parent / "model", HEADS)
        record = json.loads((parent / "model" / "conversion.json").read_text())
        with open_params(checkpoint) as params:
            digest = checkpoint_digest(params)
        assert conversion.digest == digest
        assert (conversion.source_size, conversion.checkpoint) == (checkpoint.stat().st_size, checkpoint)
        source = record.pop("source")
        assert source.pop("arrays") == [
            {"name": name, "dtype": "float32", "shape": list(shape), "version": "V2", "context": [1, 0]}
            for name, shape in bort_shapes().items()
        ]
        assert source == {
            "container": "MXNet NDArray list",
            "writer": "structural names (save_parameters)",
            "size": checkpoint.stat().st_size,
            "digest": digest,
        }
        assert record.pop("tool") == {"name": "bort-convert", "version": __version__}
        assert record.pop("architecture") == {
            "name": None, "num_layers": 2, "num_heads": 4, "units": 16, "hidden_size": 12, "max_length": 10,
            "vocab_size": 23, "head": "mlm", "tied": True,
        }  # fmt: skip
        assert record.pop("record_version") == 1
        assert record.pop("warnings") == []
        assert record.pop("tokenizer") is None
        assert record.pop("declared") == {
            "architecture": None, "num_heads": 4, "head": "mlm", "task": None, "labels": None, "dtype": None,
        }  # fmt: skip
        ledger = record.pop("ledger")
        assert record == {}
        assert len(ledger) == 44

    @pytest.mark.parametrize("change", ["nothing", "float16", "encoder", "untied", "zip", "deflated"])
    def test_the_digest_is_of_the_checkpoint_whatever_is_made_of_it(
        self, tmp_path: Path, parent: Path, change: str
    ) -> None:
        arrays, path = bort_arrays(), tmp_path / "f.npz"
        if change == "untied":
            arrays["decoder.3.weight"] = arrays["decoder.3.weight"] + 1
        if change in ("zip", "deflated"):
            (np.savez if change == "zip" else np.savez_compressed)(path, **arrays)
        else:
            write_list(path, arrays)
        declared = {"float16": replace(HEADS, dtype="float16"), "encoder": replace(HEADS, head="encoder")}
        conversion = convert(path, parent / "model", declared.get(change, HEADS))
        with open_params(path) as params:
            assert conversion.digest == checkpoint_digest(params)

    def test_digests_are_of_the_written_bytes(self, checkpoint: Path, parent: Path) -> None:
        from safetensors.numpy import load_file

        convert(checkpoint, parent / "model", HEADS)
        ledger = json.loads((parent / "model" / "conversion.json").read_text())["ledger"]
        tensors = load_file(parent / "model" / "model.safetensors")
        digests = {entry["target"]: entry["sha256"] for entry in ledger if "sha256" in entry}
        assert digests == {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in tensors.items()}
        tied = [entry for entry in ledger if entry["operation"] == "tie"]
        assert [(entry["source"], entry["tied_to"]) for entry in tied] == [
            ("decoder.3.weight", "bert.embeddings.word_embeddings.weight"),
            ("decoder.3.bias", "cls.predictions.bias"),
        ]

    def test_no_times_and_no_paths(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", HEADS)
        text = (parent / "model" / "conversion.json").read_text()
        assert "bort.params" not in text
        assert str(parent) not in text


class TestUntied:
    @pytest.fixture
    def folder(self, tmp_path: Path, parent: Path) -> Path:
        arrays = bort_arrays()
        arrays["decoder.3.weight"] = arrays["decoder.3.weight"] + np.float32(0.5)
        convert(write_list(tmp_path / "untied.params", arrays), parent / "model", HEADS)
        return parent / "model"

    def test_both_are_written(self, folder: Path) -> None:
        from safetensors.numpy import load_file

        tensors = load_file(folder / "model.safetensors")
        arrays = bort_arrays()
        embedding = arrays["word_embed.0.weight"]
        np.testing.assert_array_equal(tensors["bert.embeddings.word_embeddings.weight"], embedding)
        np.testing.assert_array_equal(tensors["cls.predictions.decoder.weight"], embedding + np.float32(0.5))
        for name in ("cls.predictions.bias", "cls.predictions.decoder.bias"):
            np.testing.assert_array_equal(tensors[name], arrays["decoder.3.bias"])
        assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is False

    def test_loads_with_both(self, folder: Path) -> None:
        import transformers

        model, report = transformers.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
        assert not report["missing_keys"]
        assert not report["unexpected_keys"]
        state = model.state_dict()
        difference = state["cls.predictions.decoder.weight"] - state["bert.embeddings.word_embeddings.weight"]
        np.testing.assert_allclose(difference.numpy(), 0.5, atol=1e-6)


class TestHeadEncoder:
    def test_of_an_mlm_file_is_the_encoder_file(self, tmp_path: Path, parent: Path) -> None:
        whole = write_list(tmp_path / "mlm.params", bort_arrays())
        bare = write_list(tmp_path / "encoder.params", bort_arrays(head="encoder"))
        convert(whole, parent / "whole", Declaration(num_heads=4, head="encoder"))
        convert(bare, parent / "bare", HEADS)
        for name in ("model.safetensors", "config.json"):
            assert (parent / "whole" / name).read_bytes() == (parent / "bare" / name).read_bytes()


class TestDestination:
    def test_an_empty_folder_is_filled(self, checkpoint: Path, parent: Path) -> None:
        (parent / "model").mkdir()
        convert(checkpoint, parent / "model", HEADS)
        assert len(listing(parent)) == 4

    def test_a_relative_path(self, checkpoint: Path, parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(parent)
        convert(checkpoint, "model", HEADS)
        assert len(listing(parent)) == 4

    @pytest.mark.parametrize("force", [False, True])
    def test_a_folder_of_other_things_is_refused(self, checkpoint: Path, parent: Path, force: bool) -> None:
        (parent / "model").mkdir()
        (parent / "model" / "thesis.txt").write_text("years")
        before = listing(parent)
        with pytest.raises(DestinationError, match=r"thesis\.txt"):
            convert(checkpoint, parent / "model", HEADS, force=force)
        assert listing(parent) == before

    def test_a_model_folder_is_refused(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", HEADS)
        before = listing(parent)
        with pytest.raises(DestinationError, match=r"is not empty .* give --force to replace it"):
            convert(checkpoint, parent / "model", HEADS)
        assert listing(parent) == before

    def test_force_replaces_a_model_folder_whole(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", Declaration(num_heads=2))
        (parent / "model" / "tokenizer.json").write_text("of the old model")
        convert(checkpoint, parent / "fresh", HEADS)
        convert(checkpoint, parent / "model", HEADS, force=True)
        assert listing(parent / "model") == listing(parent / "fresh")
        assert sorted(path.name for path in parent.iterdir()) == ["fresh", "model"]

    def test_force_on_nothing(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", HEADS, force=True)
        assert len(listing(parent)) == 4

    def test_force_where_folders_cannot_be_exchanged(
        self, checkpoint: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        convert(checkpoint, parent / "model", Declaration(num_heads=2))
        monkeypatch.setattr(sys, "platform", "darwin")
        convert(checkpoint, parent / "model", HEADS, force=True)
        assert json.loads((parent / "model" / "config.json").read_text())["num_attention_heads"] == 4
        assert len(listing(parent)) == 4

    def test_a_file(self, checkpoint: Path, parent: Path) -> None:
        (parent / "model").write_text("text")
        for force in (False, True):
            with pytest.raises(DestinationError, match="exists and is not a folder"):
                convert(checkpoint, parent / "model", HEADS, force=force)
        assert listing(parent) == {"model": b"text"}

    def test_a_link(self, checkpoint: Path, parent: Path) -> None:
        (parent / "target").mkdir()
        (parent / "model").symlink_to(parent / "target")
        with pytest.raises(DestinationError, match="exists and is not a folder"):
            convert(checkpoint, parent / "model", HEADS, force=True)

    def test_no_parent(self, checkpoint: Path, parent: Path) -> None:
        with pytest.raises(DestinationError, match="no such folder; create it first"):
            convert(checkpoint, parent / "none" / "model", HEADS)
        assert listing(parent) == {}

    def test_below_a_file(self, checkpoint: Path, parent: Path) -> None:
        (parent / "file").touch()
        with pytest.raises(DestinationError, match="no such folder"):
            convert(checkpoint, parent / "file" / "model", HEADS)

    def test_where_nobody_can_write(self, checkpoint: Path) -> None:
        with pytest.raises(DestinationError, match=r"no permission to write here|cannot be written"):
            convert(checkpoint, "/proc/bort-model", HEADS)

    def test_a_name_too_long(self, checkpoint: Path, parent: Path) -> None:
        for length in (250, 300):
            with pytest.raises(DestinationError, match="too long"):
                convert(checkpoint, parent / ("m" * length), HEADS)
        assert listing(parent) == {}

    def test_a_full_disk(self, checkpoint: Path, parent: Path) -> None:
        """A limit on the size of files stands for the disk: the kernel refuses the write in the same way."""
        script = (
            "import resource, sys\n"
            "from bort_convert.cli import main\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({checkpoint.stat().st_size // 2},) * 2)\n"
            "main(sys.argv[1:])"
        )
        arguments = ["convert", str(checkpoint), str(parent / "model"), "--num-heads", "4"]
        result = run_command([sys.executable, "-c", script, *arguments])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.count("\n") == 1
        assert "cannot be written: File too large" in result.stderr
        assert listing(parent) == {}


def replace_step(monkeypatch: pytest.MonkeyPatch, step: str, function: Callable[..., None]) -> None:
    """Puts ``function`` in the place of the step that writes or checks a safetensors file."""
    name, write, check = convert_module.FORMATS["safetensors"]
    steps = {"write": write, "check": check, step: function}
    monkeypatch.setitem(convert_module.FORMATS, "safetensors", (name, steps["write"], steps["check"]))


class TestFailure:
    def test_dry_run_writes_nothing(self, checkpoint: Path, parent: Path) -> None:
        conversion = convert(checkpoint, parent / "model", HEADS, dry_run=True)
        assert listing(parent) == {}
        assert conversion.digest is None
        assert conversion.ledger.tied

    def test_dry_run_finds_an_untied_decoder(self, tmp_path: Path, parent: Path) -> None:
        arrays = bort_arrays()
        arrays["decoder.3.weight"] = arrays["decoder.3.weight"] * 2
        path = write_list(tmp_path / "untied.params", arrays)
        assert not convert(path, parent / "model", HEADS, dry_run=True).ledger.tied

    def test_a_bad_checkpoint_leaves_nothing(self, tmp_path: Path, parent: Path) -> None:
        arrays = bort_arrays()
        del arrays["decoder.0.bias"]
        with pytest.raises(TensorMismatchError):
            convert(write_list(tmp_path / "bad.params", arrays), parent / "model", HEADS)
        assert listing(parent) == {}

    def test_a_bad_checkpoint_is_refused_before_its_data_are_read(
        self, tmp_path: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: object) -> None:
            raise AssertionError("data were read")

        arrays = bort_arrays()
        del arrays["decoder.0.bias"]
        path = write_list(tmp_path / "bad.params", arrays)
        for name in ("chunks", "all_chunks", "view"):
            monkeypatch.setattr(ParamsFile, name, refuse)
        with pytest.raises(TensorMismatchError):
            convert(path, parent / "model", HEADS)

    @pytest.mark.parametrize("step", ["check", "write"])
    def test_a_failure_on_the_way_leaves_what_was_there(
        self, checkpoint: Path, parent: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        convert(checkpoint, parent / "model", HEADS)
        before = listing(parent)

        def fail(*arguments: object) -> None:
            raise OutputCheckError("on purpose")

        replace_step(monkeypatch, step, fail)
        with pytest.raises(OutputCheckError, match="on purpose"):
            convert(checkpoint, parent / "model", HEADS, force=True)
        assert listing(parent) == before

    def test_an_interrupt_leaves_nothing(self, checkpoint: Path, parent: Path) -> None:
        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            convert(checkpoint, parent / "model", HEADS, progress=interrupt)
        assert listing(parent) == {}

    def test_a_source_cut_short_while_it_is_copied(
        self, tmp_path: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_list(tmp_path / "cut.params", bort_arrays())
        original = safetensors_writer.write

        def cut(*arguments: object) -> None:
            os.truncate(path, 5000)
            original(*arguments)  # type: ignore[arg-type]

        replace_step(monkeypatch, "write", cut)
        with pytest.raises(TruncatedFileError, match="cut short at byte"):
            convert(path, parent / "model", HEADS)
        assert listing(parent) == {}

    def test_a_name_taken_in_the_meantime(
        self, checkpoint: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = safetensors_writer.check

        def take(*arguments: object) -> None:
            (parent / "model").mkdir()
            (parent / "model" / "note.txt").write_text("mine")
            original(*arguments)  # type: ignore[arg-type]

        replace_step(monkeypatch, "check", take)
        with pytest.raises(DestinationError, match="not empty"):
            convert(checkpoint, parent / "model", HEADS)
        assert listing(parent) == {"model": None, "model/note.txt": b"mine"}

    def test_what_is_written_is_checked(self, checkpoint: Path, parent: Path) -> None:
        convert(checkpoint, parent / "model", HEADS)
        path = parent / "model" / "model.safetensors"
        with open_params(checkpoint) as params:
            written = build_ledger(params, HEADS).written
        safetensors_writer.check(path, written)
        with pytest.raises(OutputCheckError, match="reads back differently"):
            safetensors_writer.check(path, written[1:])
        with pytest.raises(OutputCheckError, match="reads back differently"):
            safetensors_writer.check(path, [])
        os.truncate(path, path.stat().st_size - 1)
        with pytest.raises(OutputCheckError, match="reads back differently"):
            safetensors_writer.check(path, written)


class TestLitter:
    @pytest.fixture
    def killed(self, checkpoint: Path, parent: Path) -> Iterator[Path]:
        """The hidden folder of a conversion that was killed, half done."""
        process = stopped_conversion(checkpoint, parent / "model")
        (hidden,) = parent.iterdir()
        process.send_signal(signal.SIGKILL)
        process.wait()
        yield hidden

    def test_of_a_killed_conversion_is_removed_by_the_next(self, checkpoint: Path, parent: Path, killed: Path) -> None:
        assert killed.name.startswith(".model.partial-")
        assert list(killed.iterdir())
        convert(checkpoint, parent / "model", HEADS)
        assert [path.name for path in parent.iterdir()] == ["model"]

    def test_of_another_destination_is_left(self, checkpoint: Path, parent: Path, killed: Path) -> None:
        convert(checkpoint, parent / "other", HEADS)
        assert sorted(path.name for path in parent.iterdir()) == sorted([killed.name, "other"])

    def test_of_a_living_conversion_is_left(self, checkpoint: Path, parent: Path) -> None:
        process = stopped_conversion(checkpoint, parent / "model")
        try:
            (hidden,) = parent.iterdir()
            convert(checkpoint, parent / "model", HEADS)
            assert {path.name for path in parent.iterdir()} == {hidden.name, "model"}
            assert (hidden / "model.safetensors").exists()
        finally:
            process.kill()
            process.wait()

    def test_files_of_a_like_name_are_left(self, checkpoint: Path, parent: Path) -> None:
        (parent / ".model.partial-notes").write_text("mine")
        (parent / ".model.partial-gone").symlink_to(parent / "nowhere")
        convert(checkpoint, parent / "model", HEADS)
        assert (parent / ".model.partial-notes").read_text() == "mine"

    def test_the_folder_in_the_making_is_locked(self, parent: Path) -> None:
        with NewFolder(parent / "model", force=False) as folder:
            descriptor = os.open(folder.path, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(descriptor)
        assert listing(parent) == {}


STOP = """
import sys, time
from bort_convert.conversion import convert as convert_module
from bort_convert.conversion.convert import FORMATS, convert
from bort_convert.conversion.ledger import Declaration
def stop(*arguments):
    print("stopped", flush=True)
    time.sleep(600)
name, write, check = FORMATS["safetensors"]
FORMATS["safetensors"] = name, write, stop
convert(sys.argv[1], sys.argv[2], Declaration(num_heads=4))
"""


def stopped_conversion(checkpoint: Path, model_dir: Path) -> "subprocess.Popen[str]":
    """A conversion in another process that has written the tensors and waits there."""
    process = subprocess.Popen(
        [sys.executable, "-c", STOP, str(checkpoint), str(model_dir)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stopped\n"
    return process


def failing(error: int) -> Callable[..., int]:
    def fail(*arguments: object) -> int:
        raise OSError(error, os.strerror(error))

    return fail


class TestSystems:
    """What a system may lack, refuse or do by halves changes nothing of the folder."""

    @pytest.fixture
    def expected(self, checkpoint: Path, parent: Path) -> dict[str, bytes | None]:
        convert(checkpoint, parent / "expected", HEADS)
        return listing(parent / "expected")

    @pytest.mark.parametrize("error", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
    def test_space_cannot_be_reserved(
        self,
        checkpoint: Path,
        parent: Path,
        expected: dict[str, bytes | None],
        monkeypatch: pytest.MonkeyPatch,
        error: int,
    ) -> None:
        monkeypatch.setattr(os, "posix_fallocate", failing(error))
        convert(checkpoint, parent / "model", HEADS)
        assert listing(parent / "model") == expected

    @pytest.mark.parametrize("function", ["posix_fallocate", "posix_fadvise"])
    def test_python_lacks_it(
        self,
        checkpoint: Path,
        parent: Path,
        expected: dict[str, bytes | None],
        monkeypatch: pytest.MonkeyPatch,
        function: str,
    ) -> None:
        monkeypatch.delattr(os, function)
        convert(checkpoint, parent / "model", HEADS)
        assert listing(parent / "model") == expected

    def test_advice_is_refused(
        self, checkpoint: Path, parent: Path, expected: dict[str, bytes | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "posix_fadvise", failing(errno.EINVAL))
        convert(checkpoint, parent / "model", HEADS)
        assert listing(parent / "model") == expected

    def test_little_is_written_at_a_time(
        self, checkpoint: Path, parent: Path, expected: dict[str, bytes | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda file, data, offset: original(file, data[:100], offset))
        convert(checkpoint, parent / "model", HEADS)
        assert listing(parent / "model") == expected

    @pytest.mark.parametrize("error", [errno.ENOSPC, errno.EFBIG, errno.EIO])
    def test_a_disk_that_is_too_full_is_not_begun_on(
        self, checkpoint: Path, parent: Path, monkeypatch: pytest.MonkeyPatch, error: int
    ) -> None:
        monkeypatch.setattr(os, "posix_fallocate", failing(error))
        monkeypatch.setattr(os, "pwrite", lambda *arguments: pytest.fail("written"))
        with pytest.raises(DestinationError, match=os.strerror(error)):
            convert(checkpoint, parent / "model", HEADS)
        assert listing(parent) == {}

    def test_the_disk_fails_half_way(self, checkpoint: Path, parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        original, calls = os.pwrite, 0

        def fail_later(file: int, data: bytes, offset: int) -> int:
            nonlocal calls
            calls += 1
            if calls > 9:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return original(file, data, offset)

        monkeypatch.setattr(os, "pwrite", fail_later)
        with pytest.raises(DestinationError, match=os.strerror(errno.EIO)):
            convert(checkpoint, parent / "model", HEADS)
        assert listing(parent) == {}

    def test_the_disk_fails_at_the_end(self, checkpoint: Path, parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        original = os.fsync

        def fail_for_the_weights(file: int) -> None:
            if Path(f"/proc/self/fd/{file}").readlink().name == "model.safetensors":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            original(file)

        monkeypatch.setattr(os, "fsync", fail_for_the_weights)
        with pytest.raises(DestinationError, match=os.strerror(errno.EIO)):
            convert(checkpoint, parent / "model", HEADS)
        assert listing(parent) == {}


class TestManyAtATime:
    """Tensors of more than one buffer, read and written by two threads."""

    WIDE = Sizes(num_layers=2, num_heads=4, units=640, hidden_size=640, max_length=700, vocab_size=900)

    @pytest.fixture
    def wide(self, tmp_path: Path) -> dict[str, np.ndarray]:
        arrays = bort_arrays(self.WIDE)
        write_list(tmp_path / "wide.params", arrays)
        return arrays

    def test_every_byte_is_where_it_belongs(self, wide: dict[str, np.ndarray], tmp_path: Path, parent: Path) -> None:
        from safetensors.numpy import load_file

        conversion = convert(tmp_path / "wide.params", parent / "model", HEADS)
        tensors = load_file(parent / "model" / "model.safetensors")
        written = [entry for entry in conversion.ledger.written if entry.source]
        assert max(entry.nbytes for entry in written) > 2 << 20
        for entry in written:
            assert entry.source is not None
            assert tensors[str(entry.target)].tobytes() == wide[entry.source.name].tobytes()

    def test_a_tensor_that_comes_out_short(
        self, wide: dict[str, np.ndarray], tmp_path: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = ParamsFile.chunks

        def cut(self: ParamsFile, array: StoredArray) -> Iterator[Chunk]:
            for chunk in original(self, array):
                yield chunk[: len(chunk) // 8 * 4]

        monkeypatch.setattr(ParamsFile, "chunks", cut)
        with pytest.raises(OutputCheckError, match="written up to byte"):
            convert(tmp_path / "wide.params", parent / "model", HEADS)
        assert listing(parent) == {}

    def test_the_first_error_is_always_the_same(
        self, wide: dict[str, np.ndarray], tmp_path: Path, parent: Path
    ) -> None:
        large = {name: np.full_like(array, 1e30) for name, array in wide.items()}
        path, messages = write_list(tmp_path / "large.params", large), set()
        for _ in range(5):
            with pytest.raises(OverflowToInfinityError) as raised:
                convert(path, parent / "model", replace(HEADS, dtype="float16"))
            messages.add(str(raised.value))
        assert len(messages) == 1

    def test_an_interrupt_does_not_wait_for_whole_tensors(
        self, wide: dict[str, np.ndarray], tmp_path: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each write takes its time, so that both workers are in their first tensors when the interrupt comes."""
        original, written = os.pwrite, 0

        def slowly(file: int, data: bytes, offset: int) -> int:
            nonlocal written
            time.sleep(0.03)
            written += 1
            return original(file, data[: 1 << 16], offset)

        monkeypatch.setattr(os, "pwrite", slowly)
        timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            convert(tmp_path / "wide.params", parent / "model", HEADS)
        timer.join()
        assert written < 60  # of over 300
        assert listing(parent) == {}


@pytest.mark.parametrize("tied", [True, False])
def test_progress_counts_every_byte_that_is_written(tmp_path: Path, parent: Path, tied: bool) -> None:
    """Where the ties do not hold all is written again, and counted again."""
    arrays = bort_arrays()
    if not tied:
        arrays["decoder.3.weight"] = arrays["decoder.3.weight"] + 1
    path = write_list(tmp_path / "f", arrays)
    steps: list[tuple[int, int]] = []
    conversion = convert(path, parent / "model", HEADS, progress=lambda done, total: steps.append((done, total)))
    assert conversion.ledger.tied == tied
    dones, totals = [done for done, _ in steps], [total for _, total in steps]
    assert (dones, totals) == (sorted(dones), sorted(totals))
    assert len(set(totals)) == (1 if tied else 2)
    assert dones[-1] == totals[-1]


PEAK = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "bort_convert", *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def peak_memory(*arguments: str) -> int:
    """Bytes of memory that a command holds at most. A small process starts it: a child begins with its parent's peak."""
    result = run_command([sys.executable, "-c", PEAK, *arguments])
    code, peak = result.stdout.split()
    assert (result.exit_code, code) == (0, "0"), result.stderr
    return int(peak)


def test_memory_is_constant(tmp_path: Path) -> None:
    peaks = []
    for vocab_size in (5_000, 50_000):
        sizes = Sizes(num_layers=1, num_heads=4, units=512, hidden_size=64, max_length=16, vocab_size=vocab_size)
        path = write_sparse_list(tmp_path / f"{vocab_size}.params", bort_shapes(sizes))
        assert path.stat().st_size > vocab_size * 4096
        peaks.append(peak_memory("convert", str(path), str(tmp_path / f"model-{vocab_size}"), "--num-heads", "4"))
        assert (tmp_path / f"model-{vocab_size}" / "model.safetensors").stat().st_size > vocab_size * 2048
    small, large = peaks
    assert large < 80e6
    assert abs(large - small) <= 0.2 * small


def test_the_command_converts_too(checkpoint: Path, parent: Path) -> None:
    result = run_process("convert", checkpoint, "model", "--num-heads", "4", cwd=parent)
    assert (result.exit_code, result.stderr) == (0, "")
    convert(checkpoint, parent / "library", HEADS)
    assert listing(parent / "model") == listing(parent / "library")
