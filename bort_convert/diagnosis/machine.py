"""Python, disk and memory, against what the released checkpoint takes."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from bort_convert.diagnosis.finding import CONVERSION, PROOF, Finding

OLDEST_PYTHON = (3, 11)
CONVERSION_DISK = 320e6
"""Bytes that a conversion writes: 305 MB, float32, decoder included (measured)."""
CONVERSION_MEMORY = 80e6
"""Bytes that a conversion takes, whatever the checkpoint's size."""
PROOF_DISK = 600e6
"""Bytes that a verification keeps in a temporary folder: 213 MB of MXNet's outputs in both dtypes (measured), and for a rounded
folder the model at the checkpoint's own precision."""
PROOF_MEMORY = 3.0e9
"""Bytes that both frameworks take at once; 1.5 GB the larger of the two (measured)."""


def check_machine(folder: Path, temporary: Path) -> Iterator[Finding]:
    """The findings, for a conversion into ``folder`` and a verification with its files in ``temporary``."""
    yield _python()
    for path, what, needed, purpose in (
        (folder, "disk here", CONVERSION_DISK, CONVERSION),
        (temporary, "disk for temporary files", PROOF_DISK, PROOF),
    ):
        yield enough(
            what, purpose, shutil.disk_usage(path).free, needed, f"df -h {shlex.quote(str(path))}  # free some of it"
        )
    available = available_memory()
    for needed, purpose in ((CONVERSION_MEMORY, CONVERSION), (PROOF_MEMORY, PROOF)):
        if available is not None:
            yield enough("memory", purpose, available, needed, "free -h  # stop what takes most")


def enough(subject: str, needed_for: str, available: float, needed: float, remedy: str) -> Finding:
    """Whether of ``needed`` bytes as many are ``available``."""
    found = f"{_size(available)} free, {_size(needed)} needed"
    return Finding(subject, needed_for, found, "" if available >= needed else remedy)


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes of memory that can be had: what the kernel says, or less where a control group sets a limit; None if unknown.

    A file's pages that nothing reads any more count as used in a control group, and are given back where memory is short.
    """
    amounts = []
    try:
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                amounts.append(int(line.split()[1]) * 1024)
    except OSError:
        if sys.platform != "linux":
            amounts.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        group = root / "sys/fs/cgroup"
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        kinds = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        if limit != "max":
            amounts.append(max(0, int(limit) - used + int(kinds.get("inactive_file", 0))))
    except OSError:
        pass  # no control groups of version 2
    return min(amounts, default=None)


def _python() -> Finding:
    version = sys.version_info
    remedy = "" if version >= OLDEST_PYTHON else "python3.11 -m pip install .  # in a checkout of bort-convert"
    return Finding("Python", CONVERSION, f"{version.major}.{version.minor}.{version.micro}, {sys.executable}", remedy)


def _size(nbytes: float) -> str:
    return f"{nbytes / 1e9:,.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:,.0f} MB"
