"""Python, disk and memory."""

from pathlib import Path

import pytest

from bort_convert.diagnosis.machine import available_memory, check_machine, enough


@pytest.mark.parametrize(("available", "ok"), [(0, False), (319e6, False), (320e6, True), (5e9, True)])
def test_enough(available: float, ok: bool) -> None:
    finding = enough("disk", "conversion", available, 320e6, "df -h")
    assert finding.ok == ok
    assert finding.remedy == ("" if ok else "df -h")
    assert finding.found.endswith(", 320 MB needed")


def meminfo(root: Path, kilobytes: int) -> Path:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {kilobytes} kB\nMemFree: 1 kB\n")
    return root


def control_group(root: Path, limit: str, used: int, inactive: int = 0) -> Path:
    (root / "sys/fs/cgroup").mkdir(parents=True, exist_ok=True)
    (root / "sys/fs/cgroup/memory.max").write_text(limit + "\n")
    (root / "sys/fs/cgroup/memory.current").write_text(f"{used}\n")
    (root / "sys/fs/cgroup/memory.stat").write_text(f"anon 5\nfile 7\ninactive_file {inactive}\nactive_file 9\n")
    return root


def test_memory_as_the_kernel_says(tmp_path: Path) -> None:
    assert available_memory(meminfo(tmp_path, 1000)) == 1024000
    assert available_memory(control_group(tmp_path, "max", 5)) == 1024000


def test_memory_of_a_control_group(tmp_path: Path) -> None:
    control_group(meminfo(tmp_path, 1000), "5000", 1000)
    assert available_memory(tmp_path) == 4000
    control_group(tmp_path, "5000", 4800, inactive=3000)
    assert available_memory(tmp_path) == 3200
    control_group(tmp_path, "5000", 6000)
    assert available_memory(tmp_path) == 0


def test_memory_is_not_known(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None


def test_this_machine(tmp_path: Path) -> None:
    findings = list(check_machine(tmp_path, tmp_path))
    assert [finding.subject for finding in findings] == [
        "Python", "disk here", "disk for temporary files", "memory", "memory",
    ]  # fmt: skip
    assert findings[0].ok


def test_a_full_disk_in_a_folder_with_a_blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bort_convert.diagnosis.machine.CONVERSION_DISK", 1e18)
    folder = tmp_path / "my models"
    folder.mkdir()
    remedies = [finding.remedy for finding in check_machine(folder, tmp_path) if finding.subject == "disk here"]
    assert remedies == [f"df -h '{folder}'  # free some of it"]


def test_a_python_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bort_convert.diagnosis.machine.OLDEST_PYTHON", (99, 0))
    (python,) = (finding for finding in check_machine(tmp_path, tmp_path) if finding.subject == "Python")
    assert (python.ok, python.needed_for) == (False, "conversion")
