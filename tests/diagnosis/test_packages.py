"""The packages, and MXNet in a process of its own: real interpreters, broken on purpose."""

import os
import stat
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from bort_convert.diagnosis.packages import PACKAGES, check_mxnet, check_packages, mxnet_remedy
from tests.support import DATA

ROOT = DATA.parents[1]


def test_every_package_of_the_extras_is_looked_at() -> None:
    """Held against pyproject.toml, so that a new dependency is not forgotten."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def names(requirements: list[str]) -> set[str]:
        return {requirement.split(">")[0].split("<")[0] for requirement in requirements}

    assert {name for name, _, extra in PACKAGES if not extra} == names(project["dependencies"])
    for extra in ("torch", "report"):
        assert {name for name, _, known in PACKAGES if known == extra} == names(extras[extra])


def test_versions() -> None:
    findings = {finding.subject: finding for finding in check_packages()}
    assert set(findings) == {name for name, _, _ in PACKAGES}
    for name, finding in findings.items():
        assert finding.ok
        assert finding.found == metadata.version(name)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name in ("torch", "numpy"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    wrong = {finding.subject: finding.remedy for finding in check_packages() if not finding.ok}
    assert wrong == {
        "torch": "pip install 'bort-convert[torch]'",
        "numpy": "pip install --force-reinstall bort-convert",
    }


def test_mxnet_works_here() -> None:
    finding = check_mxnet()
    assert finding.ok
    assert f"mxnet {metadata.version('mxnet')}, gluonnlp {metadata.version('gluonnlp')}" in finding.found


def python_that_says(folder: Path, body: str) -> str:
    """An interpreter that fails as another machine's would: this one, with a module put before the others."""
    modules = folder / "modules"
    modules.mkdir()
    for line in body.splitlines():
        name, _, code = line.partition(": ")
        (modules / f"{name}.py").write_text(code + "\n")
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={modules} exec {sys.executable} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


LIBQUADMATH = "libquadmath.so.0: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("body", "found", "remedy"),
    [
        (f"mxnet: raise OSError({LIBQUADMATH!r})", "libquadmath.so.0", "apt-get install libquadmath0"),
        ("mxnet: raise OSError('libgomp.so.1: no')", "libgomp", "apt-file search libgomp.so.1"),
        ("numpy: __version__ = '2.1.0'\nmxnet: raise AttributeError('x')", "numpy 2.1.0", " -m pip install 'numpy<2'"),
        ("mxnet: raise ImportError('odd')", "odd", "--force-reinstall 'mxnet>=1.9.1,<2'"),
        ("mxnet: __version__ = '1'\ngluonnlp: raise ValueError('bad')", "mxnet 1)", "--force-reinstall"),
    ],
)
def test_an_mxnet_that_breaks(tmp_path: Path, body: str, found: str, remedy: str) -> None:
    finding = check_mxnet(python_that_says(tmp_path, body))
    assert found in finding.found
    assert remedy in finding.remedy
    assert "\n" not in finding.found + finding.remedy


def test_an_environment_without_mxnet(tmp_path: Path) -> None:
    """A real one, freshly made."""
    venv.create(tmp_path / "empty", symlinks=True)
    python = str(tmp_path / "empty" / "bin" / "python")
    path = os.environ.pop("PYTHONPATH", None)
    try:
        finding = check_mxnet(python)
    finally:
        if path is not None:
            os.environ["PYTHONPATH"] = path
    assert "No module named 'numpy'" in finding.found
    assert finding.remedy == f"{python} -m pip install 'mxnet>=1.9.1,<2' 'gluonnlp>=0.8.3,<0.9' 'numpy<2'"


def test_no_such_interpreter(tmp_path: Path) -> None:
    finding = check_mxnet(str(tmp_path / "python"))
    assert "cannot be run: No such file or directory" in finding.found
    assert not finding.ok


def test_an_interpreter_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bort_convert.diagnosis.packages._TIMEOUT", 0.2)
    assert "not imported within" in check_mxnet(python_that_says(tmp_path, "mxnet: import time; time.sleep(30)")).found


NO_MXNET = "ModuleNotFoundError: No module named 'mxnet'"


@pytest.mark.parametrize(
    ("python", "system", "machine", "remedy"),
    [
        ("3.11.7", "linux", "x86_64", "pip install 'mxnet"),
        ("3.13.0", "linux", "x86_64", "python3.12 -m pip install"),
        ("3.11.7", "win32", "AMD64", "convert-bort record"),
        ("3.11.7", "darwin", "arm64", "convert-bort record"),
        ("3.11.7", "darwin", "x86_64", "pip install 'mxnet"),
    ],
)
def test_where_there_are_no_wheels(python: str, system: str, machine: str, remedy: str) -> None:
    assert mxnet_remedy(NO_MXNET, {"python": python}, sys.executable, system, machine).startswith(remedy)


def test_mxnet_is_missed_before_numpy_is_blamed() -> None:
    """Where MXNet is not there at all, an older NumPy alone mends nothing."""
    remedy = mxnet_remedy(NO_MXNET, {"python": "3.11.7", "numpy": "2.4.6"}, sys.executable, "linux", "x86_64")
    assert remedy == "pip install 'mxnet>=1.9.1,<2' 'gluonnlp>=0.8.3,<0.9' 'numpy<2'"
