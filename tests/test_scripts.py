"""The scripts that the README names, run on something small. `scripts/test` is what runs this."""

import os
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import run_command

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
SMALL = ("--architecture", "bort_2_16_512_1024", "--vocab-size", "99")


def script(name: str) -> dict[str, Any]:
    """What a script defines, without its being run."""
    return runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="script")


def named() -> list[tuple[str, str]]:
    """Every script that a page names, and what follows it."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    return sorted(set(re.findall(r"\bscripts/([a-z]+)(?:\.py)?((?: --?[a-z-]+(?: [0-9]+)?)*)", text)))


def test_every_script_that_is_named_is_there() -> None:
    assert {name for name, _ in named()} == {
        path.stem for path in SCRIPTS.iterdir() if path.stem not in ("environment", "__pycache__")
    }
    for name, options in named():
        if name != "document":
            assert os.access(SCRIPTS / name, os.X_OK)
        if options:
            usage = run_command([sys.executable, str(SCRIPTS / f"{name}.py"), "--help"]).stdout
            assert all(option in usage for option in re.findall(r"--[a-z-]+", options))


def test_demo(capfd: pytest.CaptureFixture[str]) -> None:
    assert script("demo")["main"](*SMALL) == 0
    output = capfd.readouterr().out
    assert "PASSED" in output
    assert "It works" in output
    assert max(map(len, output.splitlines())) <= 80


def test_benchmark(tmp_path: Path) -> None:
    benchmark = script("benchmark")
    bench = benchmark["Bench"](tmp_path, pairs=1, pause=0)
    small = benchmark["replace"](benchmark["FULL_SIZE"], vocab_size=1000, num_layers=1)
    table = bench.against_copy("small", small, "mlm")
    assert [*table.columns[0].cells] == [
        "cp + sync, s", "convert, s", "convert / (cp + sync)", "convert, peak MB", "inspect, s", "--help, s",
    ]  # fmt: skip
    assert all(float(cell) > 0 for cell in table.columns[2].cells)
    assert [path.name for path in tmp_path.iterdir()] == ["bort.params"]


def test_mutations(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One fault; the whole catalogue is run by the tests of the proof."""
    main: Callable[[], int] = script("mutations")["main"]
    measure = main.__globals__["measure"]
    monkeypatch.setitem(main.__globals__, "measure", lambda *arguments: [next(iter(measure(*arguments)))])
    monkeypatch.setattr(sys, "argv", ["mutations", "--head", "encoder"])
    assert main() == 0
    assert "1 of 1 faults found" in capsys.readouterr().out


def test_fuzz(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", "--files", "200"])
    assert script("fuzz")["main"]() == 0
    assert "only documented errors, memory bounded" in capsys.readouterr().out
