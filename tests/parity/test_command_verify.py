"""``convert-bort verify`` as its user meets it: what it prints, and how it ends."""

import json
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.parity.support import Specimen, assert_one_line, copy, edit_json, edit_tensors, run, run_process

NARROW = {"COLUMNS": "80"}


@pytest.fixture
def spoilt(mlm: Specimen, tmp_path: Path) -> Path:
    """A model folder with a fault that its bytes and its outputs show, and one that its bytes alone show."""

    def spoil(tensors: dict[str, object]) -> None:
        tensors["bert.encoder.layer.1.attention.self.key.weight"][3, 5] += 0.1  # type: ignore[index]
        tensors["bert.encoder.layer.0.attention.self.key.bias"][:] = 0  # type: ignore[index]

    folder = copy(mlm.model_dir, tmp_path)
    edit_tensors(folder, spoil)  # type: ignore[arg-type]
    return folder


def replay(mlm: Specimen, model_dir: Path) -> list[str | Path]:
    return ["verify", mlm.checkpoint, model_dir, "--reference", mlm.reference]


def rows(output: str) -> dict[str, list[list[str]]]:
    """The tables' rows, by stage; one for each dtype."""
    found: dict[str, list[list[str]]] = {}
    for line in output.splitlines():
        if re.match(r"(embedding|attention\.|hidden\.|mlm_logits)", line):
            found.setdefault(line.split()[0], []).append(line.split())
    return found


class TestOutput:
    """Without a terminal, 80 columns wide."""

    def test_passed(self, mlm: Specimen) -> None:
        arguments = replay(mlm, mlm.model_dir)
        result = run_process(*arguments, environment=NARROW)
        assert (result.exit_code, result.stderr) == (0, "")
        lines = result.stdout.splitlines()
        assert lines[-2] == "PASSED"
        assert lines[-1] == "convert-bort " + " ".join(map(str, arguments))
        assert [line for line in lines[:-1] if len(line) > 80] == []
        assert "\x1b" not in result.stdout
        found = rows(result.stdout)
        assert list(found) == ["embedding", "attention.0", "hidden.0", "attention.1", "hidden.1", "mlm_logits"]
        for float64, float32 in found.values():
            assert (float64[7], float32[7]) == ("ok", "ok")
            assert len(float32) == len(float64) + 2  # the frameworks' own rounding
        assert "Known residual" in result.stdout
        assert re.search(r"42 tensors +ok", result.stdout)
        for name, version in (("mxnet", "1"), ("gluonnlp", "0.8"), ("torch", "2"), ("transformers", "5")):
            assert re.search(rf"{name}\s+{version}\.", result.stdout)

    def test_failed(self, mlm: Specimen, spoilt: Path) -> None:
        result = run_process(*replay(mlm, spoilt), environment=NARROW)
        assert (result.exit_code, result.stderr) == (1, "")
        lines = result.stdout.splitlines()
        assert [line for line in lines[:-1] if len(line) > 80] == []
        assert lines[-1].startswith("convert-bort verify ")
        assert "PASSED" not in result.stdout
        verdict = " ".join(result.stdout[result.stdout.index("FAILED") :].split())
        assert "FAILED tensor bert.encoder.layer.0.attention.self.key.bias: 32 of 32 elements differ" in verdict
        assert "FAILED first divergence: attention.1 in float64" in verdict
        found = rows(result.stdout)
        assert {stage: [row[7] for row in both] for stage, both in found.items()} == {
            "embedding": ["ok", "ok"],
            "attention.0": ["ok", "ok"],
            "hidden.0": ["ok", "ok"],
            "attention.1": ["no", "no"],
            "hidden.1": ["no", "no"],
            "mlm_logits": ["no", "no"],
        }

    def test_paths_are_shown_as_they_are(self, mlm: Specimen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Square brackets are markup to the library that prints."""
        folder = tmp_path / "[bold]model[/x]"
        shutil.copytree(mlm.model_dir, folder)
        monkeypatch.setattr(sys, "argv", ["convert-bort", *map(str, replay(mlm, folder))])
        result = run(*replay(mlm, folder))
        assert result.exit_code == 0
        assert "[bold]model[/x]" in "".join(result.stdout.split("\n")[:3])
        assert "[bold]model[/x]" in result.stdout.splitlines()[-1]

    def test_one_dtype(self, mlm: Specimen) -> None:
        result = run(*replay(mlm, mlm.model_dir), "--dtype", "float32")
        assert result.exit_code == 0
        assert all(len(both) == 1 for both in rows(result.stdout).values())
        assert "float64, the judge" not in result.stdout

    def test_a_folder_that_does_not_load(self, mlm: Specimen, tmp_path: Path) -> None:
        folder = copy(mlm.model_dir, tmp_path)
        edit_json(folder / "config.json", lambda config: config.update(hidden_act="[no] such activation"))
        result = run(*replay(mlm, folder))
        assert (result.exit_code, result.stderr) == (1, "")
        assert "Traceback" not in result.stdout
        assert "FAILED" in result.stdout
        assert "no outputs were compared" in result.stdout
        assert "Transformers cannot load the folder" in result.stdout
        assert "[no] such activation" in result.stdout

    def test_live(self, mlm: Specimen) -> None:
        result = run(
            "verify", mlm.checkpoint, mlm.model_dir, "--lengths", "1,3", "--seed", "5", "--mxnet-python", sys.executable
        )
        assert (result.exit_code, result.stderr) == (0, "")


class TestReports:
    def test_are_written_together(self, mlm: Specimen, spoilt: Path, tmp_path: Path) -> None:
        files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
        options = [part for kind, path in files.items() for part in (f"--{kind}", path)]
        assert run(*replay(mlm, mlm.model_dir), *options).exit_code == 0
        assert json.loads(files["json"].read_text())["verdict"] == "PASSED"
        assert run(*replay(mlm, spoilt), *options).exit_code == 1
        assert json.loads(files["json"].read_text())["verdict"] == "FAILED"
        assert int(ElementTree.parse(files["junit"]).getroot().attrib["failures"]) > 0
        assert "FAILED" in files["html"].read_text()

    @pytest.mark.parametrize("option", ["--json", "--junit", "--html"])
    def test_that_cannot_be_written(self, mlm: Specimen, tmp_path: Path, option: str) -> None:
        path = tmp_path / "nowhere" / "report"
        assert_one_line(run(*replay(mlm, mlm.model_dir), option, path), f"{path}: cannot be written: No such file")

    @pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
    def test_html_needs_its_extra(
        self, mlm: Specimen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)  # as if it could not be imported
        path = tmp_path / "report.html"
        result = run(*replay(mlm, mlm.model_dir), "--html", path)
        assert_one_line(result, rf"{module} is not installed; run: pip install 'bort-convert\[report\]'")
        assert result.stdout.startswith("NOT VERIFIED\n")
        assert not path.exists()


class TestErrors:
    @pytest.mark.parametrize("module", ["torch", "transformers"])
    def test_pytorch_is_missing(self, mlm: Specimen, module: str) -> None:
        result = run_process(*replay(mlm, mlm.model_dir), without=(module,))
        assert_one_line(result, rf"{module} is not installed; run: pip install 'bort-convert\[torch\]'")

    @pytest.mark.parametrize("module", ["mxnet", "gluonnlp"])
    def test_mxnet_is_missing(self, mlm: Specimen, module: str) -> None:
        result = run_process("verify", mlm.checkpoint, mlm.model_dir, without=(module,))
        assert_one_line(result, rf"{module} is not installed; run: pip install 'bort-convert\[mxnet\]'.*--mxnet-python")

    def test_a_bad_interpreter(self, mlm: Specimen, tmp_path: Path) -> None:
        result = run("verify", mlm.checkpoint, mlm.model_dir, "--mxnet-python", tmp_path / "python")
        assert_one_line(result, "cannot be run: No such file or directory; check --mxnet-python")

    @pytest.mark.parametrize("lengths", ["0", "1,-2", "", "one", "1,,2"])
    def test_bad_lengths(self, mlm: Specimen, lengths: str) -> None:
        assert_one_line(
            run("verify", mlm.checkpoint, mlm.model_dir, "--lengths", lengths), "--lengths|list of whole numbers"
        )

    @pytest.mark.parametrize(("option", "value"), [("--lengths", "1,2"), ("--seed", "1"), ("--texts", __file__)])
    def test_inputs_beside_a_reference(self, mlm: Specimen, option: str, value: str) -> None:
        assert_one_line(run(*replay(mlm, mlm.model_dir), option, value), "--reference has inputs of its own")


class TestTexts:
    def verify(self, mlm: Specimen, folder: Path, content: bytes, tmp_path: Path) -> tuple[int, str]:
        texts = tmp_path / "texts.txt"
        texts.write_bytes(content)
        result = run("verify", mlm.checkpoint, folder, "--texts", texts)
        return result.exit_code, result.stderr

    @pytest.fixture
    def folder(self, mlm: Specimen, tmp_path: Path) -> Path:
        folder = copy(mlm.model_dir, tmp_path)
        (folder / "tokenizer.json").write_text("{}")
        return folder

    def test_without_a_tokenizer(self, mlm: Specimen, tmp_path: Path) -> None:
        exit_code, message = self.verify(mlm, mlm.model_dir, b"a line\n", tmp_path)
        assert exit_code == 2
        assert re.fullmatch(r"Error: .*has no tokenizer\.json, which --texts needs; convert with .*\n", message)

    def test_an_empty_file(self, mlm: Specimen, folder: Path, tmp_path: Path) -> None:
        assert self.verify(mlm, folder, b"", tmp_path) == (2, "Error: --texts: the file has no lines of text\n")

    def test_a_file_that_is_no_text(self, mlm: Specimen, folder: Path, tmp_path: Path) -> None:
        exit_code, message = self.verify(mlm, folder, b"a\n\xff\xfe\n", tmp_path)
        assert exit_code == 2
        assert re.fullmatch(
            r"Error: --texts .*texts\.txt: not UTF-8 text \(invalid start byte at byte 2\).*\n", message
        )

    def test_no_file(self, mlm: Specimen, tmp_path: Path) -> None:
        assert_one_line(run("verify", mlm.checkpoint, mlm.model_dir, "--texts", tmp_path / "none"), "No such file")
