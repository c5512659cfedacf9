"""GluonNLP's cache and the Hub token."""

import hashlib
import sys
from pathlib import Path

import pytest

from bort_convert.bort.gluonnlp_cache import CACHED_BPE_RANKS, CACHED_VOCABULARY, CachedFile
from bort_convert.diagnosis.accounts import check_cache, check_token


@pytest.mark.parametrize("cached", [CACHED_VOCABULARY, CACHED_BPE_RANKS], ids=lambda cached: cached.description)
def test_the_files_are_bort_s(cached: CachedFile) -> None:
    """The start of each SHA-1 is in the file's own name."""
    assert Path(cached.name).stem.rpartition("-")[2] == cached.sha1[:8]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder whose name a shell would take for two."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "my cache"))
    (tmp_path / "my cache" / "models").mkdir(parents=True)
    return tmp_path / "my cache" / "models"


def test_an_empty_cache(models: Path) -> None:
    findings = list(check_cache())
    assert [finding.subject for finding in findings] == ["GluonNLP's vocabulary", "GluonNLP's BPE ranks"]
    for finding in findings:
        assert finding.found == f"not in {models}"
        assert finding.remedy == "convert-bort convert CHECKPOINT MODEL_DIR --tokenizer roberta-base"


def test_a_whole_file_and_a_damaged_one(models: Path) -> None:
    (models / "a.vocab").write_bytes(b"whole")
    (models / "b.json").write_bytes(b"cut")
    files = [
        CachedFile("a.vocab", hashlib.sha1(b"whole").hexdigest(), "vocabulary"),
        CachedFile("b.json", hashlib.sha1(b"cut short").hexdigest(), "BPE ranks"),
    ]
    good, bad = check_cache(files)
    assert good.ok
    assert bad.found.endswith(f"must have {files[1].sha1}")
    assert bad.remedy == f"rm '{models / 'b.json'}'"


def test_what_cannot_be_read(models: Path) -> None:
    (models / "a.vocab").mkdir()
    (finding,) = check_cache([CachedFile("a.vocab", "0", "vocabulary")])
    assert finding.found == f"{models / 'a.vocab'}: cannot be read: Is a directory"
    assert finding.remedy == f"ls -l '{models / 'a.vocab'}'"


def test_the_cache_is_in_the_home_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MXNET_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert {finding.found for finding in check_cache()} == {f"not in {tmp_path / '.mxnet' / 'models'}"}


def test_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    assert (check_token().found, check_token().ok) == ("none", False)
    (tmp_path / "token").write_text("hf_from_a_file")
    assert check_token().ok
    monkeypatch.setenv("HF_TOKEN", "hf_from_the_environment")
    assert check_token().ok
    assert "hf_from" not in repr(check_token())


def test_a_token_that_nothing_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert (check_token().found, check_token().ok) == ("not known without huggingface_hub", False)
