"""All findings in order."""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

from bort_convert.diagnosis.accounts import check_cache, check_token
from bort_convert.diagnosis.finding import CONVERSION, PUBLISHING, Finding
from bort_convert.diagnosis.machine import check_machine
from bort_convert.diagnosis.packages import check_mxnet, check_packages


def diagnose(
    mxnet_python: str | None = None, progress: Callable[[str], None] = lambda step: None
) -> tuple[Finding, ...]:
    """Looks at this machine. ``mxnet_python`` is the interpreter that MXNet is to run under."""
    progress("Machine and packages")
    findings = [*check_machine(Path.cwd(), Path(tempfile.gettempdir())), *check_packages()]
    progress("MXNet")
    findings.append(check_mxnet(mxnet_python))
    findings += check_cache()
    if importlib.util.find_spec("huggingface_hub"):
        findings.append(check_token())
    else:
        findings.append(
            Finding("Hub token", PUBLISHING, "not known without huggingface_hub", "pip install huggingface_hub")
        )
    return tuple(findings)


def can_convert(findings: tuple[Finding, ...]) -> bool:
    """Whether nothing that a conversion needs is wrong."""
    return all(finding.ok for finding in findings if finding.needed_for == CONVERSION)
