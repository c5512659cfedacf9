"""The packages of each extra, and whether MXNet, which breaks in ways of its own, can be imported."""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

from bort_convert.diagnosis.finding import CONVERSION, PROOF, PUBLISHING, REPORT, TOKENIZER, Finding

PACKAGES = (
    ("click", CONVERSION, ""),
    ("numpy", CONVERSION, ""),
    ("rich", CONVERSION, ""),
    ("safetensors", CONVERSION, ""),
    ("tokenizers", TOKENIZER, ""),
    ("huggingface_hub", PUBLISHING, ""),
    ("torch", PROOF, "torch"),
    ("transformers", PROOF, "torch"),
    ("matplotlib", REPORT, "report"),
    ("jinja2", REPORT, "report"),
)
"""A distribution, what it is needed for, and the extra that it belongs to; the MXNet ones are in `check_mxnet`."""

_PROBE = """
import json, sys
found = {}
def imported(name, version):
    found[name] = version
    print(json.dumps(found), flush=True)
imported("python", sys.version.split()[0])
import numpy
imported("numpy", numpy.__version__)
if not hasattr(numpy, "bool"):
    numpy.bool = numpy.bool_
import mxnet
imported("mxnet", mxnet.__version__)
import gluonnlp
imported("gluonnlp", gluonnlp.__version__)
assert mxnet.nd.ones((2, 2)).sum().asscalar() == 4
"""
"""What the proof's MXNet side does first: it gives NumPy the ``bool`` that mxnet 1.9.1 reads on import."""
_TIMEOUT = 120


def check_packages() -> Iterator[Finding]:
    """Each package that is imported into this process, with its version."""
    for name, needed_for, extra in PACKAGES:
        remedy = f"pip install 'bort-convert[{extra}]'" if extra else "pip install --force-reinstall bort-convert"
        try:
            yield Finding(name, needed_for, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, needed_for, "not installed", remedy)


def check_mxnet(python: str | None = None) -> Finding:
    """Imports mxnet and gluonnlp in a process of ``python``, this interpreter unless given, and computes a sum with it."""
    command = python or sys.executable
    try:
        process = subprocess.run(
            [command, "-W", "ignore", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except OSError as error:
        return _mxnet(
            f"{command} cannot be run: {error.strerror}", f"command -v {command}  # name a Python that is there"
        )
    except subprocess.TimeoutExpired:
        return _mxnet(f"not imported within {_TIMEOUT} seconds", f"{command} -c 'import mxnet'")
    lines = [line for line in process.stdout.splitlines() if line.startswith("{")]
    versions: dict[str, str] = json.loads(lines[-1]) if lines else {}
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    if process.returncode == 0:
        return _mxnet(found, "")
    last = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    return _mxnet(
        f"{last} ({found or command})", mxnet_remedy(last, versions, command, sys.platform, platform.machine())
    )


def mxnet_remedy(error: str, versions: dict[str, str], python: str, system: str, machine: str) -> str:
    """The command that mends an MXNet which fails with ``error``, the last line of the traceback.

    ``versions`` is what was imported before that; ``system`` and ``machine`` are ``sys.platform`` and ``platform.machine()``.
    """
    pip = "pip" if python == sys.executable else f"{python} -m pip"
    if "libquadmath" in error:
        return "apt-get install libquadmath0  # or your system's package of that library"
    if match := re.search(r"lib[\w.+-]+\.so[\d.]*", error):
        return f"apt-file search {match[0]}  # and install the package that has it"
    if system == "win32" or (system == "darwin" and machine == "arm64"):
        return _ELSEWHERE
    if _major_minor(versions.get("python", "")) >= (3, 13):
        return "python3.12 -m pip install 'bort-convert[mxnet]'  # then --mxnet-python"
    if "No module named" in error:
        return f"{pip} install 'mxnet>=1.9.1,<2' 'gluonnlp>=0.8.3,<0.9' 'numpy<2'"
    if not versions.get("numpy", "1.").startswith("1."):
        return f"{pip} install 'numpy<2'"
    return f"{pip} install --force-reinstall 'mxnet>=1.9.1,<2' 'gluonnlp>=0.8.3,<0.9' 'numpy<2'"


_ELSEWHERE = "convert-bort record CHECKPOINT REFERENCE  # on Linux; then verify --reference"
"""MXNet 1.9.1 has wheels for Linux and Intel Macs alone."""


def _mxnet(found: str, remedy: str) -> Finding:
    return Finding("mxnet, gluonnlp", PROOF, found, remedy)


def _major_minor(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
