"""The packages of each extra, and MXNet, which breaks in ways of its own: whether they can be imported."""

import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bort_convert.diagnosis.finding import CONVERSION, PROOF, PUBLISHING, REPORT, TOKENIZER, Finding

_EXTRAS = {"": CONVERSION, "torch": PROOF, "report": REPORT}
"""What the packages of each extra are for, the empty one being those that are always installed; MXNet's are in `check_mxnet`."""
_PURPOSES = {"tokenizers": TOKENIZER, "huggingface-hub": PUBLISHING}
"""Packages that are for something else than the rest of their extra."""
_MODULES = {"transformers": "transformers.models.bert.modeling_bert"}
"""What is imported where the package's own name proves little: Transformers imports its models, and PyTorch, when asked."""

_IMPORTED = "imported"
_IMPORT = f"""
import importlib, sys
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
        print(module, {_IMPORTED!r}, flush=True)
    except Exception as error:
        print(module, type(error).__name__ + ":", *str(error).splitlines()[-1:], flush=True)
"""
_PROBE = """
import sys
def imported(name, version):
    print("imported", name, version, flush=True)
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
import regex
imported("regex", regex.__version__)
"""
"""What the proof's MXNet side does first: it gives NumPy the ``bool`` that mxnet 1.9.1 reads on import. GluonNLP's tokenizer
takes regex, which GluonNLP itself imports that late."""
_LAST = "regex"
"""What the probe imports last: without it the probe did not come to its end, whatever the exit code says."""
_CUT_SHORT = "it ended before all was imported"
_TIMEOUT = 120
_LATE = f"not imported within {_TIMEOUT} seconds"


def check_packages() -> tuple[Finding, ...]:
    """Each package that this interpreter runs: its version, and whether it can be imported; the extras side by side."""
    with ThreadPoolExecutor(len(_EXTRAS)) as pool:
        return tuple(chain.from_iterable(pool.map(check_extra, _EXTRAS)))


def check_extra(extra: str) -> tuple[Finding, ...]:
    """The packages of an extra, imported in one process: Transformers imports PyTorch, which takes seconds, in any case."""
    wanted = {each: _version(each.name) for each in requirements(extra)}
    modules = {each: _module(each.name) for each, version in wanted.items() if _will_do(each, version)}
    output, ended = _ask(sys.executable, _IMPORT, *modules.values())
    said = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)

    def check(each: Requirement, version: str) -> Finding:
        finding = partial(Finding, each.name, _PURPOSES.get(canonicalize_name(each.name), _EXTRAS[extra]))
        if each not in modules:
            found = f"{version}, must be {each.specifier}" if version else "not installed"
            return finding(found, pip_install(sys.executable, [each]))
        module = modules[each]
        error = said.get(module, ended or _CUT_SHORT)
        if error == _IMPORTED:
            return finding(version)
        if error == _LATE:
            return finding(f"{version}: {error}", shlex.join([sys.executable, "-c", f"import {module}"]))
        # What fails may be another package of the extra: an old PyTorch that a newer Transformers no longer takes.
        return finding(f"{version}: {error}", pip_install(sys.executable, wanted, "--force-reinstall"))

    return tuple(check(each, version) for each, version in wanted.items())


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _will_do(requirement: Requirement, version: str) -> bool:
    return bool(version) and requirement.specifier.contains(version, prereleases=True)


def _module(name: str) -> str:
    return _MODULES.get(name, name.replace("-", "_"))


def check_mxnet(python: str | None = None) -> Finding:
    """Imports what the MXNet side takes in a process of ``python``, this interpreter unless given, and computes a sum with it."""
    command = python or sys.executable
    output, error = _ask(command, _PROBE)
    said = [line.split() for line in output.splitlines()]
    versions = {words[1]: words[2] for words in said if len(words) == 3 and words[0] == "imported"}
    if "python" not in versions:
        other = f"{shlex.quote(command)} --version  # name a Python that works"
        return _mxnet(f"{command} is no Python that can be asked: {error or 'it says nothing'}", other)
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    if not error and _LAST in versions:
        return _mxnet(found, "")
    error = error or _CUT_SHORT
    return _mxnet(f"{error} ({found})", mxnet_remedy(error, versions, command, sys.platform, platform.machine()))


def mxnet_remedy(error: str, versions: dict[str, str], python: str, system: str, machine: str) -> str:
    """The command that mends an MXNet which fails with ``error``, the last line of the traceback.

    ``versions`` is what was imported before that; ``system`` and ``machine`` are ``sys.platform`` and ``platform.machine()``.
    """
    wanted = requirements("mxnet")
    if error == _LATE:
        return shlex.join([python, "-c", "import mxnet"])
    if "libquadmath" in error:
        return "apt-get install libquadmath0  # or your system's package of that library"
    if match := re.search(r"lib[\w.+-]+\.so[\d.]*", error):
        return f"apt-file search {match[0]}  # and install the package that has it"
    if system == "win32" or (system == "darwin" and machine == "arm64"):
        return _ELSEWHERE
    if _major_minor(versions["python"]) >= (3, 13):
        return f"{pip_install('python3.12', wanted)}  # then --mxnet-python python3.12"
    if "No module named" in error:
        return pip_install(python, wanted)
    if not versions.get("numpy", "1.").startswith("1."):
        return pip_install(python, [each for each in wanted if each.name == "numpy"])
    return pip_install(python, wanted, "--force-reinstall")


def requirements(extra: str = "") -> tuple[Requirement, ...]:
    """What the installed bort-convert requires, for itself or for an extra alone; where it is not installed, itself."""
    try:
        every = [Requirement(text) for text in metadata.requires("bort-convert") or ()]
    except metadata.PackageNotFoundError:
        extras = f"[{extra}]" if extra else ""
        return (Requirement(f"bort-convert{extras} @ {Path(__file__).parents[2].as_uri()}"),)
    return tuple(each for each in every if _applies(each, extra) and not (extra and _applies(each, "")))


def pip_install(python: str, wanted: Iterable[Requirement], *options: str) -> str:
    """The command that installs the packages for ``python``."""
    return shlex.join([python, "-m", "pip", "install", *options, *(str(each).partition(";")[0] for each in wanted)])


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _ask(python: str, code: str, *arguments: str) -> tuple[str, str]:
    """What ``python`` prints when it runs the code, and why it failed, in one line; empty where it did not."""
    try:
        process = subprocess.run(
            [python, "-W", "ignore", "-c", code, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except OSError as error:
        return "", f"cannot be run: {error.strerror}"
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode(errors="replace"), _LATE
    if process.returncode == 0:
        return process.stdout, ""
    return process.stdout, (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]


_ELSEWHERE = "convert-bort record CHECKPOINT REFERENCE  # on Linux; then verify --reference"
"""MXNet 1.9.1 has wheels for Linux and Intel Macs alone."""


def _mxnet(found: str, remedy: str) -> Finding:
    return Finding("mxnet, gluonnlp", PROOF, found, remedy)


def _major_minor(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
