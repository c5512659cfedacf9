"""A folder is published only with a passing verification of these very bytes."""

import ast
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bort_convert.errors import InvalidOptionError, ModelFolderError, UnverifiedError
from bort_convert.parity.stages import tolerance
from bort_convert.parity.verify import DTYPES
from bort_convert.publishing.publication import Publication, prepare
from tests.support import DATA, run

REPORT = "verification.json"


def change_report(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    report = json.loads((folder / REPORT).read_text())
    change(report)
    (folder / REPORT).write_text(json.dumps(report))


def refused(folder: Path) -> str:
    """What is said to a folder that is refused; and it is published as unverified on request, without the reports."""
    with pytest.raises(UnverifiedError) as error:
        prepare(folder, "user/bort")
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(
        "; run: convert-bort verify CHECKPOINT MODEL_DIR --json MODEL_DIR/verification.json, or publish with "
        "--allow-unverified"
    )
    unverified = prepare(folder, "user/bort", allow_unverified=True)
    assert unverified.unverified
    assert "**Not verified.**" in unverified.card
    assert "**Verified.**" not in unverified.card
    assert not {file.name for file in unverified.files} & {REPORT, "verification.html"}
    return message


def names(publication: Publication) -> set[str]:
    return {file.name for file in publication.files}


def test_a_passing_verification(verified_once: Path) -> None:
    publication = prepare(verified_once, "user/bort")
    assert publication.unverified == ""
    assert "**Verified.**" in publication.card
    assert names(publication) == {
        "README.md",
        "LICENSE",
        "NOTICE",
        "config.json",
        "conversion.json",
        "model.safetensors",
        "verification.json",
        "verification.html",
    }


def test_reports_elsewhere(verified: Path, tmp_path: Path) -> None:
    report = (verified / REPORT).rename(tmp_path / "r.json")
    page = (verified / "verification.html").rename(tmp_path / "r.html")
    assert "no such report" in refused(verified)
    assert names(prepare(verified, "u/b", report=report)).isdisjoint({"verification.html"})
    assert {REPORT, "verification.html"} <= names(prepare(verified, "u/b", report=report, html_report=page))


def test_only_known_files_are_published(verified: Path) -> None:
    expected = names(prepare(verified, "u/b"))
    for stray in (".env", "token", "bort.params", "notes.json", "pytorch_model.bin", "training_args.bin"):
        (verified / stray).write_text("secret")
    (verified / ".git").mkdir()
    (verified / ".git" / "config").write_text("secret")
    assert names(prepare(verified, "u/b")) == expected


def test_no_report(verified: Path) -> None:
    (verified / REPORT).unlink()
    assert "verification.json: no such report" in refused(verified)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"report_version": 2}', '{"report_version": 2, "verdict": "PASSED"}', "\udcff"]
)
def test_no_such_report(verified: Path, text: str) -> None:
    (verified / REPORT).write_bytes(text.encode(errors="surrogateescape"))
    message = refused(verified)
    assert "cannot be read as a report" in message or "not a report of this version" in message


def set_failed(report: dict[str, Any]) -> None:
    report["verdict"] = "FAILED"


def set_stage_failed(report: dict[str, Any]) -> None:
    report["stages"][-1]["passed"] = False


def set_check_failed(report: dict[str, Any]) -> None:
    report["checks"][3]["passed"] = False


def set_no_stages(report: dict[str, Any]) -> None:
    report["stages"] = []


def set_no_checks(report: dict[str, Any]) -> None:
    report["checks"] = []


@pytest.mark.parametrize("change", [set_failed, set_stage_failed, set_check_failed, set_no_stages, set_no_checks])
def test_a_verification_that_did_not_pass(verified: Path, change: Callable[[dict[str, Any]], object]) -> None:
    change_report(verified, change)
    assert "the verification did not pass" in refused(verified)


@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs_that_were_compared_in_one_dtype_alone(verified: Path, dtype: str) -> None:
    """As ``--dtype`` leaves it."""
    change_report(verified, lambda report: report.update(stages=[s for s in report["stages"] if s["dtype"] != dtype]))
    assert f"the outputs were not compared in {dtype}" in refused(verified)


def test_a_tolerance_of_ones_own(verified: Path) -> None:
    reason = tolerance("float32", "embedding", None, 1e6).reason
    change_report(verified, lambda report: report["stages"][-1].update(tolerance_reason=reason))
    assert "the outputs were allowed to differ as given with --atol" in refused(verified)


KEYS = (
    "verdict",
    "checks",
    "stages",
    "model_sha256",
    "checkpoint_digest",
    "checkpoint_sha256",
    "text_files_sha256",
    "versions",
    "known_residual",
)


@pytest.mark.parametrize("key", KEYS)
def test_a_report_that_lacks_something(verified: Path, key: str) -> None:
    change_report(verified, lambda report: report.pop(key))
    assert f"not a whole report (KeyError('{key}'))" in refused(verified)


@pytest.mark.parametrize("key", ["largest", "mean", "atol", "stage", "dtype"])
def test_a_stage_that_lacks_something(verified: Path, key: str) -> None:
    change_report(verified, lambda report: report["stages"][1].pop(key))
    assert f"not a whole report (KeyError('{key}'))" in refused(verified)


def test_a_number_that_is_none(verified: Path) -> None:
    change_report(verified, lambda report: report["stages"][1].update(largest=None))
    assert "not a whole report (TypeError(" in refused(verified)


def set_largest(value: object) -> Callable[[dict[str, Any]], object]:
    return set_stage(largest=value)


DEEP = "[" * 100_000 + "]" * 100_000


def set_stage(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda report: report["stages"][1].update(values)


@pytest.mark.parametrize(
    "change",
    [
        *map(set_largest, ("abc", "0.5", math.nan, math.inf, 10**400, [])),
        *(set_stage(stage=value) for value in ("a|b\n\n# c", "", 3, "a b")),
        set_stage(dtype="float64|"),
        set_stage(tolerance_reason=None),
        lambda report: report.update(checkpoint_digest=5),
        lambda report: report.update(checkpoint_sha256="`"),
        lambda report: report.update(model_sha256=None),
        lambda report: report.update(text_files_sha256=[]),
        lambda report: report.update(text_files_sha256={"config.json": 1}),
        lambda report: report.update(versions=[]),
        lambda report: report.update(versions={"torch": "2\n\n# c"}),
        lambda report: report.update(warnings="abc"),
        lambda report: report.update(warnings=["a\nb"]),
        lambda report: report.update(known_residual="x"),
        lambda report: report["known_residual"].update(same_top1="x"),
        lambda report: report["known_residual"].update(mean="x"),
        lambda report: report.update(export_rounding=[{}]),
        lambda report: report.update(export_rounding=[{"stage": "embedding", "largest": None}]),
        lambda report: report.update(stages={"a": 1}),
        lambda report: report.update(checks="abc"),
        lambda report: report["checks"].append({"passed": True, "kind": ["tensor"]}),
    ],
)
def test_a_report_with_something_else(verified: Path, change: Callable[[dict[str, Any]], object]) -> None:
    change_report(verified, change)
    assert "not a whole report (" in refused(verified)


def test_a_report_that_is_too_deep(verified: Path) -> None:
    (verified / REPORT).write_text(DEEP)
    assert "cannot be read as a report" in refused(verified)


def test_another_checkpoint(verified: Path) -> None:
    change_report(verified, lambda report: report.update(checkpoint_digest="0" * 64))
    assert "speaks of another checkpoint (digest 000000000000…)" in refused(verified)


def test_one_bit_of_the_model(verified: Path) -> None:
    path = verified / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "model.safetensors has changed since it was verified" in refused(verified)


@pytest.mark.parametrize("name", ["config.json", "conversion.json"])
def test_another_file(verified: Path, name: str) -> None:
    (verified / name).write_text((verified / name).read_text() + "\n")
    assert f"{name} has changed since it was verified" in refused(verified)


def test_a_tokenizer_that_came_later(verified: Path) -> None:
    (verified / "tokenizer.json").write_text("{}")
    assert "says nothing of tokenizer.json" in refused(verified)


def test_a_page_that_failed_of_a_folder_called_passed(verified: Path) -> None:
    page = verified / "verification.html"
    assert page.read_text().count("PASSED") == 2
    page.write_text(
        page.read_text().replace("PASSED", "FAILED").replace("passed", "failed").replace("model", "bort_PASSED")
    )
    assert "not the report of a passed verification" in refused(verified)


@pytest.mark.parametrize("key", ["checkpoint_sha256", "model_sha256"])
def test_a_page_of_other_files(verified: Path, key: str) -> None:
    page = verified / "verification.html"
    sha256 = json.loads((verified / REPORT).read_text())[key]
    page.write_text(page.read_text().replace(sha256, "0" * 64))
    assert "not the report of a passed verification" in refused(verified)


@pytest.mark.parametrize("text", ["<p>PASSED</p>", "FAILED"])
def test_a_page_of_another_verification(verified: Path, text: str) -> None:
    (verified / "verification.html").write_text(text)
    assert "not the report of a passed verification" in refused(verified)


def test_a_page_that_is_not_there(verified: Path) -> None:
    with pytest.raises(UnverifiedError, match=r"nowhere.html: cannot be read as a report"):
        prepare(verified, "u/b", html_report=verified / "nowhere.html")


@pytest.mark.parametrize("name", ["config.json", "conversion.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file(verified: Path, name: str) -> None:
    (verified / name).unlink()
    for allow in (False, True):
        with pytest.raises(ModelFolderError, match=name):
            prepare(verified, "u/b", allow_unverified=allow)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"architecture": {"head": "mlm"}}', '{"architecture": 1}'])
def test_a_record_that_is_none(verified: Path, text: str) -> None:
    (verified / "conversion.json").write_text(text)
    with pytest.raises(ModelFolderError, match=r"conversion\.json: "):
        prepare(verified, "u/b", allow_unverified=True)


def without(*keys: str) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        without("tool"),
        without("tool", "version"),
        without("source", "size"),
        without("source", "arrays"),
        without("warnings"),
        without("architecture", "units"),
        lambda record: record.update(ledger="abc"),
        lambda record: record.update(ledger=[]),
        lambda record: record.update(ledger=[[]]),
        lambda record: record["ledger"][0].update(shape=3),
        lambda record: record["ledger"][0].update(sha256=[]),
        lambda record: record["ledger"][0].update(operation="cast", source="unknown"),
        lambda record: record["architecture"].update(units="32"),
        lambda record: record["architecture"].update(head=[]),
        lambda record: record["architecture"].update(head="classifier"),
        lambda record: record["architecture"].update(head="classifier", task=None, labels=["\ud800"]),
        lambda record: record["source"].update(writer="a | b"),
        lambda record: record["source"].update(digest=5),
    ],
)
def test_a_record_with_something_else(verified: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = verified / "conversion.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(
        ModelFolderError, match=r"conversion\.json: not a record of this tool \(.*; convert the checkpoint again$"
    ):
        prepare(verified, "u/b", allow_unverified=True)


def test_a_record_that_is_too_deep(verified: Path) -> None:
    (verified / "conversion.json").write_text(DEEP)
    with pytest.raises(ModelFolderError, match=r"conversion\.json: cannot be read"):
        prepare(verified, "u/b", allow_unverified=True)


@pytest.mark.parametrize("repo_id", ["", "bort", "a/b/c", "-x", "a b", "user/", "../x", "a//b"])
def test_impossible_names(verified_once: Path, repo_id: str) -> None:
    with pytest.raises(InvalidOptionError, match="not a repository's name on the Hub; give user/name"):
        prepare(verified_once, repo_id)


REVISIONS = ("", "a b", "a\nb", "..", "a..b", "a~", "a^", "a:b", "a?", "a*", "[a", "a\\b", "-a", ".a", "a/.b", "/a", "a/", "a//b",
             "a.", "a.lock", "a.lock/b", "a@{b", "@", "a\x7f")  # fmt: skip
POSSIBLE_REVISIONS = ("v1", 'v"1', "v'1", "refs/pr/1", "a.b/c-d_e", "a@b", "@a", "ä", "a{b", "a.locker")


@pytest.mark.parametrize("revision", REVISIONS)
def test_impossible_branches(verified_once: Path, revision: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"^--revision .* is not a branch's name in Git; give one like v1$"):
        prepare(verified_once, "user/bort", revision=revision)


@pytest.mark.parametrize("revision", POSSIBLE_REVISIONS)
def test_the_card_loads_the_branch(verified_once: Path, revision: str) -> None:
    code = prepare(verified_once, "user/bort", revision=revision).card.split("```python\n")[1].split("```")[0]
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    assert {each.arg: ast.literal_eval(each.value) for each in call.keywords} == {"revision": revision}


def test_git_agrees_on_branches() -> None:
    for revision in {*REVISIONS, *POSSIBLE_REVISIONS} - {"@"}:  # which --branch reads as HEAD
        known = subprocess.run(["git", "check-ref-format", "--branch", revision], capture_output=True, check=False)
        assert (known.returncode == 0) == (revision in POSSIBLE_REVISIONS), revision


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    assert run("convert", DATA / "bort_tiny_encoder.params", tmp_path / "m", "--num-heads", "4").exit_code == 0
    result = run("publish", tmp_path / "m", "user/bort", "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    allowed = run("publish", tmp_path / "m", "user/bort", "--dry-run", "--allow-unverified")
    assert allowed.exit_code == 0
    assert allowed.stderr.startswith("Not verified: ")
    assert "**Not verified.**" in allowed.stdout


def test_a_dry_run_writes_nothing(verified: Path) -> None:
    before = shutil.copytree(verified, verified.with_name("before"))
    assert run("publish", verified, "user/bort", "--dry-run").exit_code == 0
    assert {path.name: path.read_bytes() for path in verified.iterdir()} == {
        path.name: path.read_bytes() for path in before.iterdir()
    }
