"""The tokenizer as a part of the verification, live and replayed."""

import json
import shutil
from pathlib import Path

import pytest

from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.tokenizer_source import TokenizerSources
from bort_convert.errors import ModelFolderError
from bort_convert.parity.inputs import Inputs
from bort_convert.parity.verify import record, verify
from tests import golden_tokenizer

FILES = TokenizerSources(golden_tokenizer.VOCAB, golden_tokenizer.BPE_RANKS)


@pytest.fixture(scope="module")
def recorded(matching_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of MXNet with GluonNLP's ids of the bundled texts."""
    path = tmp_path_factory.mktemp("tokens") / "bort.reference.safetensors"
    reference = record(
        matching_checkpoint, path, Declaration(num_heads=4), inputs=Inputs(lengths=(1, 5)), tokenizer=FILES
    )
    assert reference.tokens is not None
    return path


def test_live(matching_checkpoint: Path, tokenizer_model: Path) -> None:
    inputs = Inputs(lengths=(1, 5), texts=("A line of one's own.",))
    verification = verify(matching_checkpoint, tokenizer_model, inputs=inputs, dtypes=("float64",), tokenizer=FILES)
    assert verification.passed
    checks = [check for check in verification.checks if check.kind == "tokenizer"]
    assert len(checks) > 50
    assert any("one's own" in check.name for check in checks)
    assert {result.batch for result in verification.stages} == {"longest", "mixed", "texts"}


def test_replayed(matching_checkpoint: Path, tokenizer_model: Path, recorded: Path) -> None:
    verification = verify(matching_checkpoint, tokenizer_model, reference=recorded)
    assert verification.passed
    assert sum(check.kind == "tokenizer" for check in verification.checks) > 50
    assert verification.warnings == ()


def test_another_template_is_found(
    matching_checkpoint: Path, tokenizer_model: Path, recorded: Path, tmp_path: Path
) -> None:
    """RoBERTa's pair, with two separators: every tensor is right, and the verification fails."""
    folder = Path(shutil.copytree(tokenizer_model, tmp_path / "model"))
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    template = next(each for each in document["post_processor"]["processors"] if each["type"] == "TemplateProcessing")
    pair = template["pair"]
    pair.insert(3, dict(pair[2]))
    (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    verification = verify(matching_checkpoint, folder, reference=recorded)
    assert not verification.passed
    assert {check.kind for check in verification.checks if not check.passed} == {"tokenizer"}
    assert verification.first_divergence is None


def test_nothing_to_check_against_is_said(matching_checkpoint: Path, tokenizer_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "without.safetensors"
    assert record(matching_checkpoint, path, Declaration(num_heads=4), inputs=Inputs(lengths=(1,))).tokens is None
    verification = verify(matching_checkpoint, tokenizer_model, reference=path)
    assert verification.passed
    assert any("tokenizer was not checked" in warning for warning in verification.warnings)


def test_files_for_a_folder_without_tokenizer(
    matching_checkpoint: Path, tokenizer_model: Path, recorded: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tokenizer_model, tmp_path / "model"))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFolderError, match="has no tokenizer to check"):
        verify(matching_checkpoint, folder, reference=recorded, tokenizer=FILES)
