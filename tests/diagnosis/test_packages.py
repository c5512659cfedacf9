"""The packages, and MXNet in a process of its own: real interpreters, broken on purpose."""

import os
import shutil
import stat
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bort_convert.diagnosis.packages import (
    PACKAGES,
    check_mxnet,
    check_packages,
    mxnet_remedy,
    pip_install,
    requirements,
)
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
    assert f"mxnet {metadata.version('mxnet')}, gluonnlp {metadata.version('gluonnlp')}, regex " in finding.found


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
        ("mxnet: raise ImportError('odd')", "odd", " -m pip install --force-reinstall "),
        ("mxnet: import os; os._exit(0)", "it ended before all was imported (python 3.", "--force-reinstall"),
        ("regex: raise ImportError('No module named r')", "No module named r (python 3.", " 'mxnet<2,>=1.9.1'"),
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
    assert finding.remedy == pip_install(python, requirements("mxnet"))


def test_no_such_interpreter(tmp_path: Path) -> None:
    finding = check_mxnet(str(tmp_path / "python"))
    assert "cannot be run: No such file or directory" in finding.found
    assert not finding.ok


@pytest.mark.parametrize("program", ["true", "false", "echo"])
def test_a_program_that_is_no_interpreter(program: str) -> None:
    """One that ends well has not said that MXNet is there."""
    path = shutil.which(program)
    assert path
    finding = check_mxnet(path)
    assert f"{path} is no Python that can be asked: " in finding.found
    assert finding.remedy.startswith(f"{path} --version")


def test_an_interpreter_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bort_convert.diagnosis.packages._TIMEOUT", 3)
    python = python_that_says(tmp_path, "numpy: import time; time.sleep(30)")
    finding = check_mxnet(python)
    assert "not imported within" in finding.found
    assert "(python 3." in finding.found
    assert finding.remedy == f"{python} -c 'import mxnet'"


NO_MXNET = "ModuleNotFoundError: No module named 'mxnet'"


@pytest.mark.parametrize(
    ("python", "system", "machine", "remedy"),
    [
        ("3.11.7", "linux", "x86_64", f"{sys.executable} -m pip install "),
        ("3.13.0", "linux", "x86_64", "python3.12 -m pip install "),
        ("3.11.7", "win32", "AMD64", "convert-bort record"),
        ("3.11.7", "darwin", "arm64", "convert-bort record"),
        ("3.11.7", "darwin", "x86_64", f"{sys.executable} -m pip install "),
    ],
)
def test_where_there_are_no_wheels(python: str, system: str, machine: str, remedy: str) -> None:
    assert mxnet_remedy(NO_MXNET, {"python": python}, sys.executable, system, machine).startswith(remedy)


def test_mxnet_is_missed_before_numpy_is_blamed() -> None:
    """Where MXNet is not there at all, an older NumPy alone mends nothing."""
    remedy = mxnet_remedy(NO_MXNET, {"python": "3.11.7", "numpy": "2.4.6"}, sys.executable, "linux", "x86_64")
    assert remedy == pip_install(sys.executable, requirements("mxnet"))


def test_a_command_can_be_pasted() -> None:
    """Whatever the folder of the interpreter is called."""
    wanted = [Requirement("mxnet>=1.9.1,<2; extra == 'mxnet'"), Requirement("regex")]
    assert pip_install("/my env/python", wanted) == "'/my env/python' -m pip install 'mxnet<2,>=1.9.1' regex"


def test_requirements_of_an_extra_alone() -> None:
    assert {"click", "numpy"} <= {each.name for each in requirements()}
    assert {str(each.specifier) for each in requirements("mxnet") if each.name == "numpy"} == {"<2"}
    assert not {each.name for each in requirements("mxnet")} & {"click", "torch"}
