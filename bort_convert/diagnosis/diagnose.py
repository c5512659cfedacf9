"""All findings in order."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bort_convert.diagnosis.accounts import check_cache, check_token
from bort_convert.diagnosis.finding import CONVERSION, Finding
from bort_convert.diagnosis.machine import check_machine
from bort_convert.diagnosis.packages import check_mxnet, check_packages


def diagnose(
    mxnet_python: str | None = None, progress: Callable[[str], None] = lambda step: None
) -> tuple[Finding, ...]:
    """Looks at this machine. ``mxnet_python`` is the interpreter that MXNet is to run under."""
    progress("Importing MXNet and the other packages")
    with ThreadPoolExecutor() as pool:
        mxnet = pool.submit(check_mxnet, mxnet_python)
        packages = check_packages()
    machine = check_machine(Path.cwd(), Path(tempfile.gettempdir()))
    return (*machine, *packages, mxnet.result(), *check_cache(), check_token())


def can_convert(findings: tuple[Finding, ...]) -> bool:
    """Whether nothing that a conversion needs is wrong."""
    return all(finding.ok for finding in findings if finding.needed_for == CONVERSION)
