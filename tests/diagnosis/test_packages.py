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

from bort_convert.diagnosis.finding import CONVERSION, PROOF, PUBLISHING, REPORT, TOKENIZER, Finding
from bort_convert.diagnosis.packages import (
    check_extra,
    check_mxnet,
    check_packages,
    mxnet_remedy,
    pip_install,
    requirements,
)
from tests.support import DATA

ROOT = DATA.parents[1]


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


@pytest.fixture(scope="module")
def here() -> tuple[Finding, ...]:
    """This environment, which has everything."""
    return check_packages()


def test_every_extra_is_looked_at(here: tuple[Finding, ...]) -> None:
    """Held against pyproject.toml, so that a new extra is not forgotten; the packages of each are read from the metadata."""
    import tomllib

    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    assert extras - {"all", "test", "dev"} == {"mxnet", "torch", "report"}
    assert {finding.needed_for for finding in here} == {
        CONVERSION, TOKENIZER, PUBLISHING, PROOF, REPORT,
    }  # fmt: skip


def test_versions(here: tuple[Finding, ...]) -> None:
    assert {"numpy", "tokenizers", "huggingface-hub", "torch", "transformers", "jinja2"} <= {
        finding.subject for finding in here
    }
    for finding in here:
        assert finding.ok
        assert finding.found == metadata.version(finding.subject)


def faults(extra: str) -> dict[str, tuple[str, str]]:
    return {finding.subject: (finding.found, finding.remedy) for finding in check_extra(extra) if not finding.ok}


def test_a_package_that_is_missing_and_one_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return "4.20.0"

    monkeypatch.setattr(metadata, "version", version)
    assert faults("torch") == {
        "torch": ("not installed", f"{sys.executable} -m pip install 'torch>=2.6'"),
        "transformers": ("4.20.0, must be >=5.0", f"{sys.executable} -m pip install 'transformers>=5.0'"),
    }


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("raise OSError('first line\\nlibcudart.so.13: cannot open')", "OSError: libcudart.so.13: cannot open"),
        ("raise ValueError", "ValueError:"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import os; os._exit(0)", "it ended before all was imported"),
    ],
)
def test_a_package_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, found: str
) -> None:
    """It is installed, in a version that will do, and what imports it fails with it."""
    python = python_that_says(tmp_path, f"torch: {code}")
    monkeypatch.setattr(sys, "executable", python)
    wrong = faults("torch")
    remedy = f"{python} -m pip install --force-reinstall 'torch>=2.6' 'transformers>=5.0'"
    assert wrong["torch"] == (f"{metadata.version('torch')}: {found}", remedy)
    assert wrong["transformers"][1] == remedy


def test_one_broken_package_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", python_that_says(tmp_path, "click: raise ImportError('odd')"))
    assert list(faults("")) == ["click"]


def test_a_package_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bort_convert.diagnosis.packages._TIMEOUT", 1)
    python = python_that_says(tmp_path, "torch: import time; time.sleep(30)")
    monkeypatch.setattr(sys, "executable", python)
    found, remedy = faults("torch")["torch"]
    assert "not imported within" in found
    assert remedy == f"{python} -c 'import torch'"


def test_a_checkout_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it requires is not known; installing it mends that."""

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    monkeypatch.setattr(metadata, "version", missing)
    remedy = f"{sys.executable} -m pip install 'bort-convert[torch] @ {ROOT.as_uri()}'"
    assert faults("torch") == {"bort-convert": ("not installed", remedy)}
    assert pip_install("python", requirements()) == f"python -m pip install 'bort-convert @ {ROOT.as_uri()}'"


def test_mxnet_works_here() -> None:
    finding = check_mxnet()
    assert finding.ok
    assert f"mxnet {metadata.version('mxnet')}, gluonnlp {metadata.version('gluonnlp')}, regex " in finding.found


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
