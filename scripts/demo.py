"""Writes a full-size random Bort checkpoint, converts it, loads it with Transformers, verifies it, and sums up."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.panel import Panel

LOAD = """
import transformers
transformers.logging.disable_progress_bar()
model, report = transformers.AutoModelForMaskedLM.from_pretrained({folder!r}, output_loading_info=True)
print(f"{{type(model).__name__}}, {{model.num_parameters() / 1e6:.1f}} M parameters, "
      f"{{len(report['missing_keys'])}} missing and {{len(report['unexpected_keys'])}} unexpected keys")
"""


def main(*sizes: str) -> int:
    """Runs every step. ``sizes`` are options of ``sample`` that make a smaller Bort."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="bort-demo-") as name:
        folder = Path(name)
        steps = [
            (
                "Write a random Bort, full size, with GluonNLP on MXNet",
                command("sample", "bort.params", "--seed", "1", *sizes),
            ),
            ("Convert it to a Hugging Face folder, without MXNet", command("convert", "bort.params", "bort")),
            ("Load it with Transformers", [sys.executable, "-W", "ignore", "-c", LOAD.format(folder="bort")]),
            ("Prove that nothing changed", command("verify", "bort.params", "bort")),
        ]
        took = []
        for number, (title, arguments) in enumerate(steps, start=1):
            console.rule(f"[bold]{number}. {title}", align="left")
            start = time.perf_counter()
            code = subprocess.run(arguments, cwd=folder, check=False, env=os.environ | {"COLUMNS": "80"}).returncode
            took.append(time.perf_counter() - start)
            if code:
                console.print(f"[red]Step {number} ended with exit code {code}.")
                return code
            console.print()
        source, model = folder / "bort.params", folder / "bort" / "model.safetensors"
        lines = [f"{seconds:5.1f} s  {title}" for (title, _), seconds in zip(steps, took, strict=True)]
        lines += [
            "",
            f"{source.stat().st_size / 1e6:.0f} MB of MXNet parameters, {model.stat().st_size / 1e6:.0f} MB of safetensors:",
            "the tied embedding, stored twice, was compared and is kept once.",
            "Every tensor is the same, bit for bit, and both frameworks agree.",
            "",
            "Your own file:  .venv/bin/convert-bort convert YOUR.params YOUR_FOLDER",
        ]
        console.print(Panel("\n".join(lines), title="[bold green]It works", expand=False))
    return 0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bort_convert", *arguments]


if __name__ == "__main__":
    sys.exit(main())
