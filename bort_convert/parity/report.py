"""A verification as documents that others read: JSON, and JUnit XML for any CI."""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bort_convert import __version__
from bort_convert.conversion.record import architecture_document
from bort_convert.errors import DestinationError
from bort_convert.parity.result import ExportRounding, Residual, StageResult, Verification

REPORT_VERSION = 1
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, and the name of a stray tensor can."""


def report_document(verification: Verification) -> Mapping[str, Any]:
    """The report for JSON. Keys are only ever added; ``report_version`` grows where one changes its meaning.

    Numbers that do not exist, as of stages that could not be compared, are null.
    """
    first = verification.first_divergence
    return {
        "report_version": REPORT_VERSION,
        "tool": {"name": "bort-convert", "version": __version__},
        "verdict": "PASSED" if verification.passed else "FAILED",
        "checkpoint_digest": verification.checkpoint_digest,
        "checkpoint_sha256": verification.checkpoint_sha256,
        "model_sha256": verification.model_sha256,
        "text_files_sha256": dict(verification.text_files_sha256),
        "architecture": architecture_document(verification.ledger),
        "versions": dict(verification.versions),
        "warnings": list(verification.warnings),
        "checks": [asdict(check) | {"passed": check.passed} for check in verification.checks],
        "stages": [_stage_document(result) for result in verification.stages],
        "first_divergence": _stage_document(first) if first else None,
        "export_rounding": [_rounding_document(rounding) for rounding in verification.export_rounding],
        "known_residual": _residual_document(verification.residual) if verification.residual else None,
    }


def report_json(verification: Verification) -> str:
    """The report as JSON text."""
    return json.dumps(report_document(verification), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def report_junit(verification: Verification) -> str:
    """The report as JUnit XML: one case for each kind of check, one for each stage, dtype, attention and batch."""
    cases: list[tuple[str, str, str]] = []
    for kind in dict.fromkeys(check.kind for check in verification.checks):
        failed = [check for check in verification.checks if check.kind == kind and not check.passed]
        cases.append(("files", kind, "\n".join(f"{check.name}: {check.failure}" for check in failed)))
    for result in verification.stages:
        name = f"{result.stage} ({result.dtype}, {result.attention}, {result.batch})"
        cases.append(("outputs", name, _failure(result)))
    if not verification.stages:
        cases.append(("outputs", "all stages", "nothing was compared"))
    failures = sum(bool(failure) for _, _, failure in cases)
    suite = ElementTree.Element(
        "testsuite", name="convert-bort verify", tests=str(len(cases)), failures=str(failures), errors="0", skipped="0"
    )
    for group, name, failure in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=f"bort_convert.{group}", name=name)
        if failure:
            text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", failure)
            ElementTree.SubElement(case, "failure", message=text.splitlines()[0]).text = text
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def write_report(path: Path, text: str) -> None:
    """Writes a report, whole or not at all; an older one is replaced. Raises DestinationError."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DestinationError(f"{path}: cannot be written: {error.strerror}; choose another file") from error


def _failure(result: StageResult) -> str:
    if result.difference.passed:
        return ""
    return (
        f"{result.difference.failure}; largest difference {result.difference.largest:.3e} at {result.difference.location}, "
        f"allowed {result.tolerance.atol:.0e}"
    )


def _stage_document(result: StageResult) -> dict[str, Any]:
    difference = result.difference
    return {
        "stage": result.stage,
        "dtype": result.dtype,
        "attention": result.attention,
        "batch": result.batch,
        "passed": difference.passed,
        "failure": difference.failure,
        "compared": difference.compared,
        "mismatched": difference.mismatched,
        "largest": _number(difference.largest),
        "mean": _number(difference.mean),
        "location": list(difference.location),
        "atol": result.tolerance.atol,
        "rtol": result.tolerance.rtol,
        "tolerance_reason": result.tolerance.reason,
        "sufficient_atol": _number(difference.sufficient_atol),
        "mxnet_rounding": _number(result.mxnet_rounding),
        "pytorch_rounding": _number(result.pytorch_rounding),
    }


def _residual_document(residual: Residual) -> dict[str, Any]:
    return asdict(residual) | {"largest": _number(residual.largest), "mean": _number(residual.mean)}


def _rounding_document(rounding: ExportRounding) -> dict[str, Any]:
    return asdict(rounding) | {"largest": _number(rounding.largest), "mean": _number(rounding.mean)}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
