"""What the README and docs/ tell the reader to run, run as it stands there, in that order."""

import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bort_convert.cli import COMMANDS, main
from tests.docs.support import ROOT, block, shell
from tests.publishing.hub import TOKEN, Hub, running_hub
from tests.support import Result, run_command, run_process

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [*PAGES, *sorted((ROOT / "bort_convert").rglob("*.py")), *sorted((ROOT / "scripts").glob("*.py"))]
SMALL = ("--architecture", "bort_2_16_512_1024", "--vocab-size", "99")
"""A published architecture, so that no command needs to say its heads; small by its vocabulary."""


def without(script: str, start: str) -> str:
    """A script without the lines that begin so."""
    return "".join(line for line in script.splitlines(keepends=True) if not line.startswith(start))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a reader's own file."""
    folder = tmp_path_factory.mktemp("own")
    assert run_process("sample", "bort.params", *SMALL, cwd=folder).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def readme(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder after the README's commands for an own file, and what they printed."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(sample / "bort.params", folder)
    script = block("README.md", "sh", "convert-bort inspect")
    return folder, shell(without(script, "pip "), folder)


class TestReadme:
    def test_own_file(self, readme: tuple[Path, Result]) -> None:
        folder, result = readme
        assert (result.exit_code, result.stderr) == (0, "")
        assert "PASSED" in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80
        assert (folder / "bort" / "model.safetensors").exists()

    def test_loading(self, readme: tuple[Path, Result]) -> None:
        code = block("README.md", "python", "from_pretrained")
        code += "print(type(encoder).__name__, type(masked_lm).__name__)"
        result = run_command([sys.executable, "-W", "ignore", "-c", code], cwd=readme[0])
        assert (result.exit_code, result.stdout.split()) == (0, ["BertModel", "BertForMaskedLM"]), result.stderr

    def test_back_again(self, readme: tuple[Path, Result], tmp_path: Path) -> None:
        shutil.copytree(readme[0] / "bort", tmp_path / "bort")
        (command,) = re.findall(r"`(convert-bort export [^`]*)`", PAGES[0].read_text(encoding="utf-8"))
        result = shell(command, tmp_path)
        assert (result.exit_code, result.stderr) == (0, "")
        assert (tmp_path / "bort.params").read_bytes() == (readme[0] / "bort.params").read_bytes()

    def test_completion(self, tmp_path: Path) -> None:
        (command,) = re.findall(r"`(eval [^`]*)`", PAGES[0].read_text(encoding="utf-8"))
        result = shell(f"{command}\ncomplete -p convert-bort", tmp_path)
        assert (result.exit_code, result.stderr) == (0, "")
        assert "complete" in result.stdout

    def test_what_pip_installs(self) -> None:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        lines = re.findall(r"^pip install (.*?)(?:  +#|$)", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE)
        assert len(lines) == 2
        for line in lines:
            for group in re.findall(r"\[(.*?)\]", line):
                assert set(group.split(",")) <= set(extras)
            for constraints in re.findall(r"-c (\S+)", line):
                assert (ROOT / constraints).exists()


def test_record_and_replay(readme: tuple[Path, Result]) -> None:
    """With shorter inputs than the page's, for the time."""
    script = block("docs/verification.md", "sh", "convert-bort record")
    result = shell(re.sub("(?m)^(convert-bort record .*)$", r"\1 --lengths 1", script), readme[0])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "PASSED" in result.stdout


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


def test_publishing_from_nothing_to_loading_it_back(sample: Path, hub: Hub, tmp_path: Path) -> None:
    shutil.copy(sample / "bort.params", tmp_path)
    script = block("docs/publishing.md", "sh", "convert-bort publish")
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    result = shell(without(script, "hf auth login"), tmp_path, **environment)
    assert (result.exit_code, result.stderr) == (0, "")
    (readme_command,) = re.findall(r"`(convert-bort publish [^`]*)`", PAGES[0].read_text(encoding="utf-8"))
    assert shell(readme_command, tmp_path, **environment).exit_code == 0
    card = hub.repositories["user/bort"].tree("main")
    assert card is not None
    (code,) = re.findall(r"```python\n(.*?)```", card[1]["README.md"].decode(), re.DOTALL)
    loaded = shell(
        f"{sys.executable} -W ignore - <<'END'\n{code}\nprint(model.num_parameters())\nEND", tmp_path, **environment
    )
    assert (loaded.exit_code, loaded.stdout.strip().isdigit()) == (0, True), loaded.stderr


def mentioned() -> list[tuple[str, str]]:
    """Every command that a page or a message names, and what follows it."""
    found = []
    for path in SOURCES:
        for name, rest in re.findall(r"convert-bort ([a-z]+)([^`\n;]*)", path.read_text(encoding="utf-8")):
            if name in COMMANDS:
                found.append((name, rest))
    return sorted(set(found))


def test_every_command_that_is_mentioned_has_those_options() -> None:
    context = click.Context(main)
    assert len(mentioned()) > 30
    for name, rest in mentioned():
        command = main.get_command(context, name)
        assert command is not None
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)) <= known | {"--help"}, f"convert-bort {name}{rest}"


def test_nothing_that_is_mentioned_is_no_command() -> None:
    names = {
        name
        for path in PAGES
        for code in re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", path.read_text(encoding="utf-8"), re.DOTALL)
        for name in re.findall(r"convert-bort ([a-z]+)", "".join(code))
    }
    assert len(names) > 6
    assert names <= set(COMMANDS)
