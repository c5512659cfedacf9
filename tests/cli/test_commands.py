"""What the commands print and how they exit when all is well."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bort_convert import __version__
from bort_convert.cli import COMMANDS
from tests.support import (
    DATA,
    Sizes,
    bort_arrays,
    bort_shapes,
    listing,
    run,
    run_command,
    run_process,
    write_list,
    write_sparse_list,
)

GOLDEN = DATA / "bort_tiny_mlm.params"


class TestHelp:
    @pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
    @pytest.mark.parametrize("option", ["--help", "-h"])
    def test_has_an_example_and_fits(
        self, command: tuple[str, ...], option: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        result = run(*command, option)
        assert (result.exit_code, result.stderr) == (0, "")
        assert max(map(len, result.stdout.splitlines())) <= 80
        example = result.stdout.partition("Example:")[2].strip().splitlines()[0]
        assert "convert-bort " in example
        assert command == () or example.partition("convert-bort ")[2].split()[0] == command[0]

    def test_the_examples_parse(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each example ends where its checkpoint is read, or at nothing: its options are understood."""
        monkeypatch.chdir(tmp_path)
        for name in ("convert", "inspect", "verify"):
            example = run(name, "--help").stdout.partition("Example:")[2].strip().splitlines()[0]
            result = run(*example.split()[1:])
            assert result.exit_code == 2
            assert result.stderr == "Error: bort.params: cannot be read: no such file; check the path\n"

    def test_lists_every_command(self) -> None:
        lines = run("--help").stdout.splitlines()
        for name, description in COMMANDS.items():
            assert any(line.split()[:1] == [name] and description.split()[0] in line for line in lines)
        assert any("Exit codes: 0 done or verified, 1 a comparison failed, 2" in line for line in lines)

    def test_version(self) -> None:
        result = run_process("--version")
        assert (result.exit_code, result.stdout.split()[-1]) == (0, __version__)


class TestInspect:
    def test_names_every_tensor(self) -> None:
        result = run("inspect", GOLDEN, "--num-heads", "4")
        assert (result.exit_code, result.stderr) == (0, "")
        text = result.stdout
        for name in bort_shapes(Sizes()):
            folded = name.replace("cells.0.", "cells.{0-1}.").replace("cells.1.", "cells.{0-1}.")
            assert f" {folded}\n" in text
        for target in (
            "bert.embeddings.word_embeddings.weight",
            "cls.predictions.bias",
            "cls.predictions.decoder.bias",
        ):
            assert f"→ {target}  " in text
        assert "→ bert.encoder.layer.{0-1}.attention.self.query.weight  32×32\n" in text
        facts = ("MXNet NDArray list (V2 arrays)", "2 layers, 4 heads, 32 units, hidden size 24", "BertForMaskedLM")
        assert all(fact in text for fact in (*facts, "97 tokens", "float32", "42 in the file"))

    def test_fits_80_columns(self, tmp_path: Path) -> None:
        sizes = Sizes(num_layers=4, num_heads=8, units=1024, hidden_size=768, max_length=512, vocab_size=50265)
        path = write_sparse_list(tmp_path / "full.params", bort_shapes(sizes))
        for head in ("mlm", "encoder"):
            result = run("inspect", path, "--head", head)
            assert result.exit_code == 0
            assert max(map(len, result.stdout.splitlines()[1:])) <= 80
        assert "bort_4_8_768_1024" in result.stdout
        assert "75.1 M parameters" in result.stdout
        assert "76.2 M parameters" in run("inspect", path).stdout

    def test_layers_that_differ_are_not_folded_together(self, tmp_path: Path) -> None:
        arrays = bort_arrays(Sizes(num_layers=4))
        names = {layer: f"encoder.transformer_cells.{layer}.proj.bias" for layer in range(4)}
        for layer in (1, 2):
            arrays[names[layer]] = arrays[names[layer]].astype("float16")
        text = run("inspect", write_list(tmp_path / "f", arrays), "--num-heads", "4").stdout
        assert "copy   encoder.transformer_cells.{1-2}.proj.bias\n" in text
        assert "→ bert.encoder.layer.{1-2}.attention.output.dense.bias  16\n" in text
        assert "copy   encoder.transformer_cells.{0,3}.proj.bias\n" in text
        assert "copy   encoder.transformer_cells.{0-3}.proj.weight\n" in text

    def test_one_layer(self, tmp_path: Path) -> None:
        path = write_list(tmp_path / "f", bort_arrays(Sizes(num_layers=1)))
        text = run("inspect", path, "--num-heads", "4").stdout
        assert "copy   encoder.transformer_cells.0.proj.bias\n" in text
        assert "{" not in text

    def test_json(self) -> None:
        result = run("inspect", GOLDEN, "--num-heads", "4", "--json")
        document = json.loads(result.stdout)
        assert (document["container"], document["size"], document["num_tensors"]) == ("MXNet NDArray list", 86206, 42)
        assert document["dtypes"] == ["float32"]
        assert document["architecture"]["num_heads"] == 4
        assert len(document["ledger"]) == 44
        assert result.stdout.startswith("{")

    def test_lists_every_problem(self, tmp_path: Path) -> None:
        arrays = bort_arrays()
        del arrays["decoder.0.bias"]
        arrays["other"] = np.zeros((2, 3), "float32")
        arrays["decoder.2.beta"] = np.zeros(3, "float32")
        result = run("inspect", write_list(tmp_path / "f", arrays), "--num-heads", "4")
        assert result.exit_code == 2
        assert sorted(line.split()[:2] for line in result.stdout.splitlines()) == [
            ["misshapen", "decoder.2.beta:"],
            ["missing", "decoder.0.bias:"],
            ["unexpected", "other:"],
        ]


class TestConvert:
    def test_says_what_it_did(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        result = run("convert", GOLDEN, "model", "--num-heads", "4")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith(f"Converted {GOLDEN} → model\n")
        assert "41 copied bit for bit, 2 tied, 1 zero by rule" in result.stdout
        assert result.stdout.endswith(f"Prove it: convert-bort verify {GOLDEN} model\n")
        assert len(listing(tmp_path)) == 4

    def test_json(self, tmp_path: Path) -> None:
        result = run("convert", GOLDEN, tmp_path / "model", "--num-heads", "4", "--json")
        assert (result.exit_code, result.stderr) == (0, "")
        document = json.loads(result.stdout)
        assert document["model_dir"] == str(tmp_path / "model")
        assert len(document["source"]["digest"]) == 64
        record = json.loads((tmp_path / "model" / "conversion.json").read_text())
        assert record["architecture"] == document["architecture"]
        for written, printed in zip(record["ledger"], document["ledger"], strict=True):
            assert {key: value for key, value in written.items() if key != "sha256"} == printed

    def test_dry_run(self, tmp_path: Path) -> None:
        result = run("convert", GOLDEN, tmp_path / "model", "--num-heads", "4", "--dry-run")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith("Would convert ")
        document = json.loads(
            run("convert", GOLDEN, tmp_path / "model", "--num-heads", "4", "--dry-run", "--json").stdout
        )
        assert document["model_dir"] is None
        assert listing(tmp_path) == {}

    def test_says_that_a_decoder_is_untied(self, tmp_path: Path) -> None:
        arrays = bort_arrays()
        arrays["decoder.3.weight"] = arrays["decoder.3.weight"] * 2
        result = run("convert", write_list(tmp_path / "f", arrays), tmp_path / "model", "--num-heads", "4")
        assert "the decoder's weight differs from the word embedding; both are kept, untied" in result.stdout

    def test_no_progress_without_a_terminal(self, tmp_path: Path) -> None:
        result = run_process("convert", GOLDEN, tmp_path / "model", "--num-heads", "4")
        assert (result.exit_code, result.stderr) == (0, "")
        assert "\x1b" not in result.stdout


def test_a_terminal_that_cannot_show_an_arrow(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "bort_convert",
        "convert",
        str(GOLDEN),
        str(tmp_path / "model"),
        "--num-heads",
        "4",
    ]
    result = run_command(["env", "PYTHONIOENCODING=latin-1", *command])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Converted {GOLDEN} ? {tmp_path}")
