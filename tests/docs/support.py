"""Code out of a page, and a shell to run it in."""

import os
import re
import sys
from pathlib import Path

from tests.support import Result, run_command

ROOT = Path(__file__).parent.parent.parent


def blocks(page: str, language: str, containing: str = "") -> list[str]:
    """The blocks of code of one language in a page, those that contain a text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [block for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if containing in block]


def block(page: str, language: str, containing: str = "") -> str:
    """The one such block."""
    (found,) = blocks(page, language, containing)
    return found


def shell(script: str, cwd: Path, **environment: str) -> Result:
    """Runs a script as GitHub does, with the ``convert-bort`` of this environment unless a PATH is given."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = [f"{name}={value}" for name, value in ({"PATH": path} | environment).items()]
    return run_command(["env", *variables, "bash", "-e", "-o", "pipefail", "-c", script], cwd=cwd)
