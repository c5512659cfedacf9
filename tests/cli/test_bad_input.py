"""Bad input through the command line: one line that says what, where and what to do; exit 2; nothing written."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support import DATA, TINY, Result, bort_arrays, listing, run, run_process, write_list

GOLDEN = DATA / "bort_tiny_mlm.params"
HEADS = ("--num-heads", str(TINY.num_heads))


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a checkpoint, and nothing else."""
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path / "bort.params", bort_arrays())
    return tmp_path


def refused(*arguments: str | Path) -> str:
    """The one line that a refused command prints; everything else of a refusal is checked here."""
    before = listing(Path())
    result = run(*arguments)
    assert_refusal(result)
    assert result.stdout.splitlines()[:1] == (["NOT VERIFIED"] if arguments[0] == "verify" else [])
    assert listing(Path()) == before
    return result.stderr


def assert_refusal(result: Result) -> None:
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith("\n")
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr


def _torch(path: Path) -> None:
    import torch

    torch.save({"a": torch.ones(1)}, path)


def _safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.ones(1)}, path)


def _npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.ones(1))


def _without(name: str) -> Callable[[Path], object]:
    arrays = bort_arrays()
    del arrays[name]
    return lambda path: write_list(path, arrays)


def _with(name: str, array: np.ndarray) -> Callable[[Path], object]:
    return lambda path: write_list(path, bort_arrays() | {name: array})


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file; check the path"),
    "folder": (lambda path: path.mkdir(), "a folder; give the .params file itself"),
    "empty": (lambda path: path.touch(), "the file is empty; copy or download it again"),
    "truncated": (
        lambda path: path.write_bytes(GOLDEN.read_bytes()[:5000]),
        "truncated at byte 5000: the data of array 0",
    ),
    "safetensors": (_safetensors, "but a safetensors file; give the .params file"),
    "torch": (_torch, "but a PyTorch checkpoint (torch.save); give"),
    "zip": (_npz, "not a Bort checkpoint: it has no word_embed"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({})), "but a Python pickle"),
    "text": (lambda path: path.write_text("hello, world"), "an unknown format (first bytes 68 65 6c 6c"),
    "trailing bytes": (lambda path: path.write_bytes(GOLDEN.read_bytes() + b"\0"), "1 bytes follow the last name"),
    "no names": (lambda path: write_list(path, bort_arrays(), named=False), "arrays without names"),
    "another model": (lambda path: write_list(path, {"fc": np.ones(2)}), "not a Bort checkpoint: it has no word_embed"),
    "missing tensor": (_without("decoder.0.bias"), "first missing: decoder.0.bias (expected shape (16,))"),
    "unknown tensor": (
        _with("pooler.bias", np.ones(3, "float32")),
        "first unexpected: pooler.bias (float32 (3,))",
    ),
    "wrong shape": (
        _with("decoder.2.beta", np.ones(3, "float32")),
        "first misshapen: decoder.2.beta (shape (3,), expected (16,))",
    ),
    "wrong dtype": (_with("decoder.2.beta", np.ones(16, "int32")), "first mistyped: decoder.2.beta"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "message"), FILES.values(), ids=list(FILES))
class TestCheckpoint:
    def test_convert(self, write: Callable[[Path], object], message: str) -> None:
        write(Path("bad.params"))
        for options in ((), ("--dry-run",), ("--json",), ("--force",)):
            line = refused("convert", "bad.params", "model", *HEADS, *options)
            assert line.startswith("Error: bad.params: ")
            assert message in line

    def test_inspect(self, write: Callable[[Path], object], message: str) -> None:
        write(Path("bad.params"))
        assert message in refused("inspect", "bad.params", *HEADS, "--json")
        result = run("inspect", "bad.params", *HEADS)
        assert_refusal(result)
        assert message in result.stderr
        assert "bad.params" not in result.stdout  # the table of problems, or nothing


class TestArchitecture:
    @pytest.mark.parametrize("command", [("convert", "bort.params", "model"), ("inspect", "bort.params")])
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                (),
                "no tensor's shape depends on the number of heads, which changes every output; say it with --num-heads",
            ),
            (("--num-heads", "5"), "--num-heads 5 does not divide the 16 units"),
            (("--architecture", "bort_4_8_768_1024"), "--architecture bort_4_8_768_1024 contradicts the file"),
        ],
    )
    def test_contradictions(self, command: tuple[str, ...], options: tuple[str, ...], message: str) -> None:
        line = refused(*command, *options)
        assert line.startswith("Error: bort.params: ")
        assert message in line

    def test_more_head_than_there_is(self, work: Path) -> None:
        write_list(work / "encoder.params", bort_arrays(head="encoder"))
        line = refused("convert", "encoder.params", "model", *HEADS, "--head", "mlm")
        assert "--head mlm asks for what the file does not hold, which is a Bort of head encoder" in line


class TestDestination:
    def test_not_empty(self, work: Path) -> None:
        (work / "model").mkdir()
        (work / "model" / "thesis.txt").write_text("years")
        line = refused("convert", "bort.params", "model", *HEADS)
        assert line == "Error: model: the folder is not empty (it has thesis.txt); give --force to replace it\n"
        assert "--force replaces a model folder" in refused("convert", "bort.params", "model", *HEADS, "--force")
        assert "not empty" in refused("convert", "bort.params", "model", *HEADS, "--dry-run")

    def test_a_model_already(self) -> None:
        assert run("convert", "bort.params", "model", *HEADS).exit_code == 0
        assert "give --force to replace it" in refused("convert", "bort.params", "model", *HEADS)
        assert run("convert", "bort.params", "model", *HEADS, "--force").exit_code == 0

    def test_a_file(self) -> None:
        assert "exists and is not a folder" in refused("convert", "bort.params", "bort.params", *HEADS)

    def test_no_parent(self) -> None:
        assert "none: no such folder; create it first" in refused("convert", "bort.params", "none/model", *HEADS)

    def test_unwritable(self, tmp_path: Path) -> None:
        assert "/proc" in refused("convert", "bort.params", "/proc/model", *HEADS)

    def test_impossible_name(self) -> None:
        assert "too long" in refused("convert", "bort.params", "m" * 300, *HEADS)


class TestSample:
    def test_exists(self) -> None:
        assert "bort.params: exists; delete it or choose another name" in refused("sample", "bort.params")

    def test_no_folder(self) -> None:
        assert "no such folder" in refused("sample", "none/new.params")

    def test_sizes(self) -> None:
        line = refused("sample", "new.params", "--units", "10", "--num-heads", "4")
        assert "--num-heads 4 does not divide 10 units" in line

    def test_no_such_python(self) -> None:
        line = refused("sample", "new.params", "--mxnet-python", "/no/such/python")
        assert "/no/such/python: cannot be run: No such file or directory; check --mxnet-python" in line


class TestMissingDependencies:
    @pytest.mark.parametrize("module", ["mxnet", "gluonnlp"])
    def test_mxnet_is_not_installed(self, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
        run("convert", "bort.params", "model", *HEADS)
        monkeypatch.setitem(sys.modules, module, None)
        for arguments in (("sample", "new.params"), ("verify", "bort.params", "model")):
            line = refused(*arguments)
            assert line.startswith(f"Error: {module} is not installed; run: pip install 'bort-convert[mxnet]'")

    @pytest.mark.parametrize("module", ["torch", "transformers"])
    def test_torch_is_not_installed(self, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
        run("convert", "bort.params", "model", *HEADS)
        monkeypatch.setitem(sys.modules, module, None)
        line = refused("verify", "bort.params", "model")
        assert line == f"Error: {module} is not installed; run: pip install 'bort-convert[torch]'\n"

    def test_the_other_python_lacks_mxnet(self, work: Path) -> None:
        bare = work / "bare-python"
        bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
        bare.chmod(0o755)
        line = refused("sample", "new.params", "--mxnet-python", str(bare))
        assert "No module named 'numpy'; run: pip install 'bort-convert[mxnet]'" in line

    def test_convert_needs_neither(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("mxnet", "gluonnlp", "torch", "transformers"):
            monkeypatch.setitem(sys.modules, module, None)
        assert run("convert", "bort.params", "model", *HEADS).exit_code == 0
        assert run("inspect", "bort.params", *HEADS).exit_code == 0


class TestVerify:
    def test_no_folder(self) -> None:
        line = refused("verify", "bort.params", "none", *HEADS)
        assert "model.safetensors" in line
        assert "no such file" in line.lower()

    def test_a_record_that_is_none(self) -> None:
        run("convert", "bort.params", "model", *HEADS)
        Path("model/conversion.json").write_text("{}")
        assert "conversion.json: not a record of this tool" in refused("verify", "bort.params", "model")

    def test_no_record_and_no_heads(self) -> None:
        run("convert", "bort.params", "model", *HEADS)
        Path("model/conversion.json").unlink()
        assert "say it with --num-heads N" in refused("verify", "bort.params", "model")

    def test_no_length(self) -> None:
        run("convert", "bort.params", "model", *HEADS)
        assert "every length must be at least 1" in refused("verify", "bort.params", "model", "--lengths", "0")


USAGE = {
    "no arguments": ("convert",),
    "one argument": ("convert", "bort.params"),
    "too many": ("convert", "bort.params", "model", "other"),
    "unknown option": ("convert", "bort.params", "model", "--fast"),
    "unknown command": ("transmute", "bort.params"),
    "no heads": ("convert", "bort.params", "model", "--num-heads", "0"),
    "heads in words": ("convert", "bort.params", "model", "--num-heads", "four"),
    "unknown architecture": ("convert", "bort.params", "model", "--architecture", "bert"),
    "unknown head": ("inspect", "bort.params", "--head", "pooler"),
    "no layers": ("sample", "new.params", "--num-layers", "0"),
    "lengths in words": ("verify", "bort.params", "model", "--lengths", "1,two"),
    "negative tolerance": ("verify", "bort.params", "model", "--atol", "-1"),
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=list(USAGE))
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    before = listing(Path())
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr.splitlines()[-1]
    assert listing(Path()) == before


class TestDebug:
    def test_shows_the_traceback(self, work: Path) -> None:
        result = run_process("--debug", "inspect", "none.params", cwd=work)
        *trace, error, line = result.stderr.splitlines()
        assert (result.exit_code, result.stdout) == (2, "")
        assert trace[0].startswith("Traceback")
        assert error.startswith("bort_convert.errors.UnreadableFileError: none.params: cannot be read")
        assert line == "Error: none.params: cannot be read: no such file; check the path"

    def test_is_off_by_default(self, work: Path) -> None:
        assert_refusal(run_process("inspect", "none.params", cwd=work))
