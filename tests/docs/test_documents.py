"""What docs/ci.md and docs/publishing.md tell the reader to paste, pasted."""

import json
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import yaml

from bort_convert.publishing.digest import tensor_digest
from tests.docs.support import ROOT, block, shell
from tests.support import DATA, run, run_command, run_process


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as docs/ci.md has it: a checkpoint of a published architecture, small by its vocabulary, and its reference."""
    folder = tmp_path_factory.mktemp("repository")
    sample = ("--architecture", "bort_2_16_512_1024", "--head", "encoder", "--vocab-size", "99", "--max-length", "512")
    assert run_process("sample", "bort.params", *sample, cwd=folder).exit_code == 0
    (record,) = re.findall(r"^convert-bort (record .*)$", block("docs/ci.md", "sh"), re.MULTILINE)
    result = run_process(*record.split(), "--lengths", "1,4", cwd=folder)
    assert (result.exit_code, result.stderr) == (0, "")
    return folder


@pytest.fixture
def path_without_mxnet(tmp_path: Path) -> str:
    """A PATH with ``convert-bort`` and ``pytest`` under which mxnet and gluonnlp cannot be imported."""
    modules = tmp_path / "modules"
    modules.mkdir()
    for name in ("mxnet", "gluonnlp"):
        (modules / f"{name}.py").write_text("raise ImportError('not in this job')\n")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, module in (("convert-bort", "bort_convert"), ("pytest", "pytest")):
        paths = f"{modules}:{ROOT}"
        (folder / name).write_text(f'#!/bin/sh\nPYTHONPATH={paths} exec {sys.executable} -m {module} "$@"\n')
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def workflow_steps() -> dict[str, str]:
    workflow = yaml.safe_load(block("docs/ci.md", "yaml"))
    assert set(workflow) == {"name", True, "jobs"}  # YAML 1.1 reads the key "on" as true, as GitHub knows
    steps = workflow["jobs"]["parity"]["steps"]
    assert not any("mxnet" in json.dumps(step) for step in steps)
    return {step["name"]: step["run"] for step in steps if "run" in step}


def test_the_workflow(repository: Path, path_without_mxnet: str, tmp_path: Path) -> None:
    job = Path(shutil.copytree(repository, tmp_path / "job"))
    steps = workflow_steps()
    assert list(steps) == ["Install", "Convert", "Verify"]
    for name in ("Convert", "Verify"):
        result = shell(steps[name], job, PATH=path_without_mxnet)
        assert (result.exit_code, result.stderr) == (0, ""), result.stdout
    suite = ElementTree.parse(job / "parity.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert int(str(suite.get("tests"))) > 20
    assert json.loads((job / "parity.json").read_text())["verdict"] == "PASSED"

    data = bytearray((job / "model" / "model.safetensors").read_bytes())
    data[-3] ^= 0x40
    (job / "model" / "model.safetensors").write_bytes(data)
    (job / "test_model.py").write_text(block("docs/ci.md", "python"))
    failed = shell("pytest -q test_model.py", job, PATH=path_without_mxnet)
    assert failed.exit_code == 1
    assert "FAILED: bort.params against model" in failed.stdout
    assert "hidden.1" in failed.stdout


def test_the_job_has_no_mxnet(path_without_mxnet: str, tmp_path: Path) -> None:
    """The job above passes for the reference it replays: MXNet itself cannot be imported there."""
    (tmp_path / "test_import.py").write_text("import mxnet")
    result = shell("pytest -q test_import.py", tmp_path, PATH=path_without_mxnet)
    assert result.exit_code != 0
    assert "not in this job" in result.stdout


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_digest_that_anyone_can_compute(tmp_path: Path, dtype: str) -> None:
    options = ("--num-heads", "4", "--dtype", dtype)
    assert run("convert", DATA / "bort_tiny_mlm.params", tmp_path / "m", *options).exit_code == 0
    assert_anyone_computes_the_digest(tmp_path / "m")


def test_the_digest_of_tensors_that_are_no_matrices(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"scalar": torch.tensor(3.0), "empty": torch.zeros(0, 4), "double": torch.ones(2, dtype=torch.float64)}
    save_file(tensors, tmp_path / "model.safetensors")
    assert_anyone_computes_the_digest(tmp_path)


def assert_anyone_computes_the_digest(folder: Path) -> None:
    result = run_command([sys.executable, "-c", block("docs/publishing.md", "python")], cwd=folder)
    assert (result.exit_code, result.stdout.strip()) == (0, tensor_digest(folder)), result.stderr


def test_every_option_that_publishing_names_exists() -> None:
    known = run("publish", "--help").stdout + run("verify", "--help").stdout
    named = set(re.findall(r"--[a-z-]+[a-z]", (ROOT / "docs" / "publishing.md").read_text()))
    assert len(named) > 5
    assert {option for option in named if option not in known} == set()
