"""The command line on every kind of checkpoint: what is refused, in one line with exit 2 and nothing written, and what works."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_bad_input import assert_refusal, refused
from tests.support import DATA, TINY, bort_arrays, listing, run, run_process, write_list

HEADS = ("--num-heads", str(TINY.num_heads))
MNLI = DATA / "model_bort_MNLI_2.params"
REGRESSOR = DATA / "bort_tiny_regressor.params"
MLM = DATA / "bort_tiny_mlm.params"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


REFUSED = {
    "a task of fewer classes": ((MNLI, "--task", "CoLA"), "task CoLA has 2 (0, 1), the classifier has 3 outputs"),
    "a task of more classes": ((MNLI, "--task", "RACE-H"), "task RACE-H has 4 (0, 1, 2, 3)"),
    "a regression of three": ((MNLI, "--task", "STS-B"), "task STS-B has one output, the classifier has 3 outputs"),
    "classes of one output": ((REGRESSOR, "--task", "MNLI"), "the classifier has 1 outputs"),
    "a label too few": ((MNLI, "--labels", "a,b"), "--labels names 2 classes (a, b), the classifier has 3 outputs"),
    "a label too many": ((MNLI, "--labels", "a,b,c,d"), "--labels names 4 classes"),
    "a label twice": ((MNLI, "--labels", "a,b,a"), "give one different name for each"),
    "an empty label": ((MNLI, "--labels", "a,,c"), "give one different name for each"),
    "no label": ((MNLI, "--labels", ""), "give one different name for each"),
    "a task for an MLM": ((MLM, "--task", "MNLI"), "name a classifier's outputs, and this is a Bort of head mlm"),
    "labels for an MLM": ((MLM, "--labels", "a,b"), "name a classifier's outputs, and this is a Bort of head mlm"),
    "a task for the encoder alone": ((MNLI, "--task", "MNLI", "--head", "encoder"), "of head encoder"),
    "a decoder of a classifier": ((MNLI, "--head", "mlm"), "which is a Bort of head classifier"),
    "a classifier of an MLM": ((MLM, "--head", "classifier"), "which is a Bort of head mlm"),
    "another architecture": (
        (MNLI, "--architecture", "bort_2_16_512_1024"),
        "--architecture bort_2_16_512_1024 contradicts the file",
    ),
    "a file without names": ((DATA / "bort_tiny_mlm.list.params",), "42 arrays without names (saved from a list)"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "reason"), REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("command", ["convert", "inspect"])
def test_is_refused(command: str, arguments: tuple[str | Path, ...], reason: str) -> None:
    checkpoint, *options = arguments
    heads = () if "--architecture" in options else HEADS
    destination = ("model",) if command == "convert" else ()
    line = refused(command, checkpoint, *destination, *heads, *options)
    assert reason in line
    assert line.startswith(f"Error: {checkpoint}: ")


def test_an_unknown_task() -> None:
    result = run("convert", MNLI, "model", *HEADS, "--task", "MNLI2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'MNLI2' is not one of 'MRPC', 'QQP'" in result.stderr
    assert listing(Path()) == {}


def test_no_heads() -> None:
    assert "no tensor's shape depends on the number of heads" in refused("convert", MNLI, "model")


def test_names_of_two_writers() -> None:
    arrays = bort_arrays(head="classifier")
    arrays["bertencoder0_position_weight"] = arrays.pop("bort.encoder.position_weight")
    write_list(Path("mixed.params"), arrays)
    line = refused("convert", "mixed.params", "model", *HEADS)
    assert line.startswith("Error: mixed.params: names of two writers in one file (bort.encoder.layer_norm.gamma and ")


@pytest.mark.parametrize("name", ["classifier.1.weight", "classifier.3.bias", "bort.encoder.layer_norm.beta"])
@pytest.mark.parametrize("change", ["missing", "misshapen"])
def test_a_classifier_that_is_not_whole(name: str, change: str) -> None:
    arrays = bort_arrays(head="classifier")
    if change == "missing":
        del arrays[name]
    else:
        arrays[name] = np.zeros((7, 3), "float32")
    write_list(Path("f.params"), arrays)
    before = listing(Path())
    result = run("convert", "f.params", "model", *HEADS)
    assert_refusal(result)
    assert "not a Bort checkpoint" in result.stderr
    assert listing(Path()) == before


def test_a_weight_too_large_for_its_new_dtype() -> None:
    arrays = bort_arrays(head="classifier")
    arrays["classifier.3.weight"][1, 1] = 1e5
    write_list(Path("f.params"), arrays)
    line = refused("convert", "f.params", "model", *HEADS, "--dtype", "float16")
    assert line.startswith("Error: f.params: classifier.3.weight: 100000 is too large for float16")


class TestWorks:
    def test_the_file_says_enough(self) -> None:
        """A fine-tuned file under the script's name needs no option but the heads of a shape of its own."""
        result = run("convert", MNLI, "model", *HEADS)
        assert (result.exit_code, result.stderr) == (0, "")
        assert "BertForSequenceClassification" in result.stdout
        assert "  outputs       MNLI: neutral, entailment, contradiction\n" in result.stdout

    def test_inspect(self) -> None:
        result = run("inspect", REGRESSOR, *HEADS)
        assert result.exit_code == 0
        assert "classifier, becomes BertForSequenceClassification" in result.stdout
        assert "regression, one output" in result.stdout
        document = json.loads(run("inspect", MNLI, *HEADS, "--labels", "x,y,z", "--json").stdout)
        assert document["architecture"]["labels"] == ["x", "y", "z"]

    def test_inspect_names_the_writer(self) -> None:
        for name, writer in (
            ("collect_params", "flat names of GluonNLP 0.8"),
            ("arg", "flat names of GluonNLP 0.8, behind arg: (export or Module)"),
            ("deduplicated", "structural names, deduplicated"),
        ):
            assert f"  names         {writer}\n" in run("inspect", DATA / f"bort_tiny_mlm.{name}.params", *HEADS).stdout

    @pytest.mark.parametrize("architecture", ["bort_4_8_768_1024", "bort_2_16_512_1024"])
    def test_both_published_architectures(self, architecture: str) -> None:
        """Of few tokens. Their heads need no option."""
        from tests.support import Sizes, bort_shapes, write_sparse_list

        layers, heads, hidden, units = map(int, architecture.split("_")[1:])
        sizes = Sizes(layers, heads, units, hidden, max_length=512, vocab_size=9)
        write_sparse_list(Path("f.params"), bort_shapes(sizes, "encoder"))
        result = run("inspect", "f.params")
        assert result.exit_code == 0, result.stderr
        assert f"  architecture  {architecture}\n" in result.stdout
        refusal = refused("inspect", "f.params", "--architecture", architecture, "--num-heads", str(heads * 2))
        assert f"has {heads} heads" in refusal

    def test_sample_convert_verify_a_classifier(self, work: Path) -> None:
        sizes = [
            "--num-layers=1",
            "--num-heads=2",
            "--units=16",
            "--hidden-size=8",
            "--max-length=12",
            "--vocab-size=30",
        ]
        sample = ("sample", "model_bort_RACE-H_3.params", "--head", "classifier", "--num-classes", "4", *sizes)
        assert run_process(*sample, cwd=work).exit_code == 0
        result = run("convert", "model_bort_RACE-H_3.params", "model", "--num-heads", "2")
        assert "RACE-H: 0, 1, 2, 3" in result.stdout
        # A folder without its record is told the rest by the file's name, or by an option.
        (work / "model" / "conversion.json").unlink()
        (work / "model_bort_RACE-H_3.params").rename(work / "mine.params")
        lengths = ("--lengths", "1,5", "--dtype", "float64", "--num-heads", "2")
        plain = run_process("verify", "mine.params", "model", *lengths, cwd=work)
        assert (plain.exit_code, plain.stderr) == (1, "")
        assert "id2label" in plain.stdout
        told = run_process("verify", "mine.params", "model", *lengths, "--task", "RACE-H", cwd=work)
        assert (told.exit_code, told.stderr) == (0, ""), told.stdout
        assert "PASSED" in told.stdout
        assert "logits" in told.stdout
