"""What must hold before a folder is published: it is whole, and a verification of these very bytes passed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bort_convert.conversion.config import CONFIG_NAME
from bort_convert.conversion.contents import read_json_object, text_file_digests
from bort_convert.conversion.model_file import model_file_path
from bort_convert.conversion.record import RECORD_NAME
from bort_convert.errors import ModelFolderError, UnverifiedError
from bort_convert.parity.report import REPORT_VERSION
from bort_convert.parity.stages import AS_GIVEN
from bort_convert.parity.verify import DTYPES
from bort_convert.publishing.digest import tensor_digests
from bort_convert.publishing.documents import require_record, require_report

REPORT_NAME = "verification.json"
HTML_REPORT_NAME = "verification.html"
_PASSED = '<span class="verdict passed">PASSED</span>'
"""The verdict of a page as ``report.html.jinja`` has it: names on the page are escaped, so none of them looks like this."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder that `convert` wrote, hashed.

    ``sha256`` has every file that is published of it, by name; ``record`` is its ``conversion.json``. ``changed`` names the
    tensors that are not as the record has them: changed, added or taken out since.
    """

    path: Path
    model_file: str
    sha256: Mapping[str, str]
    tensor_digest: str
    record: Mapping[str, Any]
    changed: tuple[str, ...]

    @property
    def head(self) -> str:
        """``encoder``, ``mlm`` or ``classifier``."""
        return str(self.record["architecture"]["head"])

    @property
    def checkpoint_digest(self) -> str:
        """Of the MXNet file that the folder was made from: see `bort_convert.params.digest`."""
        return str(self.record["source"]["digest"])


def read_folder(model_dir: Path) -> ModelFolder:
    """Reads and hashes a folder. Raises ModelFolderError where it is not one that `convert` wrote."""
    text_files = text_file_digests(model_dir)
    for name in (CONFIG_NAME, RECORD_NAME):
        if name not in text_files:
            raise ModelFolderError(f"{model_dir}: has no {name}; give a folder that 'convert' wrote")
    record = read_json_object(model_dir / RECORD_NAME)
    model_file = model_file_path(model_dir)
    digests = tensor_digests(model_dir)  # before the file's own digest: it tells best what is wrong with the file
    with model_file.open("rb") as file:
        model_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        require_record(record)
        recorded = {entry["target"]: entry["sha256"] for entry in record["ledger"] if "sha256" in entry}
    except (KeyError, TypeError) as error:
        raise ModelFolderError(
            f"{model_dir / RECORD_NAME}: not a record of this tool ({error!r}); convert the checkpoint again"
        ) from error
    return ModelFolder(
        path=model_dir,
        model_file=model_file.name,
        sha256={**text_files, model_file.name: model_sha256},
        tensor_digest=digests.total,
        record=record,
        changed=tuple(sorted({name for name, _ in recorded.items() ^ digests.sha256.items()})),
    )


def read_report(path: Path) -> Mapping[str, Any]:
    """A report that `verify` wrote as JSON. Raises UnverifiedError where it cannot be read or is of another version."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnverifiedError(f"{path}: no such report; {_VERIFY}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UnverifiedError(f"{path}: cannot be read as a report: {error}; {_VERIFY}") from error
    if not isinstance(report, dict) or report.get("report_version") != REPORT_VERSION:
        raise UnverifiedError(f"{path}: not a report of this version of the tool; {_VERIFY}")
    return report


def check_report(report: Mapping[str, Any], path: Path, folder: ModelFolder) -> None:
    """Raises UnverifiedError unless ``report`` tells of a verification of these very bytes that passed.

    The verdict alone is not believed: every check and every stage must be there and have passed, in each of `DTYPES` and within
    the budgets, and the digests of the checkpoint, the model file and all other files must be the folder's now.
    """
    try:
        passed = all(part["passed"] is True for kind in ("checks", "stages") for part in report[kind])
        if report["verdict"] != "PASSED" or not passed or not (report["checks"] and report["stages"]):
            raise UnverifiedError(f"{path}: the verification did not pass; {_VERIFY}")
        require_report(report)
    except (KeyError, TypeError) as error:
        raise UnverifiedError(f"{path}: not a whole report ({error!r}); {_VERIFY}") from error
    verified = {**report["text_files_sha256"], folder.model_file: report["model_sha256"]}
    checkpoint_digest = report["checkpoint_digest"]
    lacking = [dtype for dtype in DTYPES if dtype not in {stage["dtype"] for stage in report["stages"]}]
    if lacking:
        raise UnverifiedError(f"{path}: the outputs were not compared in {lacking[0]}; {_VERIFY}")
    if any(stage["tolerance_reason"] == AS_GIVEN for stage in report["stages"]):
        raise UnverifiedError(f"{path}: the outputs were allowed to differ {AS_GIVEN}; {_VERIFY}")
    if checkpoint_digest != folder.checkpoint_digest:
        raise UnverifiedError(
            f"{path}: speaks of another checkpoint (digest {checkpoint_digest[:12]}…) than {folder.path} was made from "
            f"({folder.checkpoint_digest[:12]}…); {_VERIFY}"
        )
    for name, sha256 in folder.sha256.items():
        if name not in verified:
            raise UnverifiedError(f"{path}: says nothing of {name}; {_VERIFY}")
        if verified[name] != sha256:
            raise UnverifiedError(
                f"{path}: {folder.path / name} has changed since it was verified (SHA-256 {sha256[:12]}…, verified was "
                f"{verified[name][:12]}…); {_VERIFY}"
            )


def check_html_report(path: Path, report: Mapping[str, Any], folder: ModelFolder) -> None:
    """Raises UnverifiedError unless the page tells of a passed verification of ``report``'s checkpoint and this model file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UnverifiedError(f"{path}: cannot be read as a report: {error}; {_VERIFY}") from error
    if not all(part in text for part in (_PASSED, report["checkpoint_sha256"], folder.sha256[folder.model_file])):
        raise UnverifiedError(f"{path}: not the report of a passed verification of {folder.path}; {_VERIFY}")


_VERIFY = f"run: convert-bort verify CHECKPOINT MODEL_DIR --json MODEL_DIR/{REPORT_NAME}"
