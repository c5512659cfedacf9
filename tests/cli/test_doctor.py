"""``convert-bort doctor``."""

import json
from pathlib import Path

import pytest

from bort_convert.diagnosis import diagnose as module
from bort_convert.diagnosis.finding import CONVERSION, PROOF, Finding
from tests.support import run

TOKEN = "hf_never_to_be_shown"


@pytest.fixture(autouse=True)
def set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))


def test_fits_80_columns_and_names_every_purpose() -> None:
    result = run("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= 80
    for purpose in ("conversion", "tokenizer", "proof", "HTML report", "publishing"):
        assert f"\n{purpose} (" in "\n" + result.stdout
    assert result.stdout.endswith("A checkpoint can be converted here.\n")
    assert "\x1b" not in result.stdout
    assert TOKEN not in result.stdout


def test_json() -> None:
    result = run("doctor", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert document["can_convert"] is True
    subjects = {finding["subject"]: finding for finding in document["findings"]}
    assert {"Python", "memory", "mxnet, gluonnlp", "torch", "GluonNLP's vocabulary", "Hub token"} <= set(subjects)
    assert subjects["mxnet, gluonnlp"]["ok"] is True
    assert subjects["GluonNLP's vocabulary"]["ok"] is False
    assert all(bool(finding["remedy"]) != finding["ok"] for finding in document["findings"])
    assert TOKEN not in result.stdout


def test_what_conversion_lacks_is_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check_mxnet", lambda python: Finding("mxnet, gluonnlp", PROOF, "fine"))
    numpy = Finding("numpy", CONVERSION, "not installed", "pip install numpy")
    monkeypatch.setattr(module, "check_packages", lambda: [numpy])
    result = run("doctor")
    assert result.exit_code == 2
    assert "conversion (convert, inspect, export): 1 to mend\n" in result.stdout
    assert "  NO  numpy: not installed\n      run: pip install numpy\n" in result.stdout
    assert result.stdout.endswith("Nothing can be converted here yet.\n")
    assert run("doctor", "--json").exit_code == 2


def test_what_only_the_proof_lacks_is_exit_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check_packages", tuple)
    result = run("doctor", "--mxnet-python", tmp_path / "python")
    assert result.exit_code == 0
    assert "proof (verify, record, sample): 1 to mend\n" in result.stdout
