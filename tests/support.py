"""Shared by the tests: an independent writer of parameter files, the tensors of tiny random Borts, and the command line.

The writer and the names are written here from the sources of MXNet and GluonNLP, apart from the package, so that a test that
uses them holds the package against a second opinion. `tests/params/test_against_mxnet.py` holds the writer against MXNet.
"""

import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
"""Checkpoints and outputs of the original code (MXNet 1.5.0, GluonNLP 0.8.3)."""

FLAGS: Mapping[str, int] = {
    "float32": 0,
    "float64": 1,
    "float16": 2,
    "uint8": 3,
    "int32": 4,
    "int8": 5,
    "int64": 6,
    "bool": 7,
    "int16": 8,
    "uint16": 9,
    "uint32": 10,
    "uint64": 11,
    "bfloat16": 12,
}
"""MXNet's number for each element type (``enum TypeFlag`` in ``3rdparty/mshadow/mshadow/base.h``)."""

_VERSION_MAGICS = {"V2": 0xF993FAC9, "V3": 0xF993FACA}
_CPU = (1, 0)


def list_header(count: int) -> bytes:
    """The start of a list container of ``count`` arrays."""
    return struct.pack("<QQQ", 0x112, 0, count)


def array_header(shape: tuple[int, ...], flag: int, *, version: str = "V2") -> bytes:
    """What stands before the data of one dense array."""
    return (
        struct.pack("<Ii", _VERSION_MAGICS[version], 0)
        + struct.pack(f"<i{len(shape)}q", len(shape), *shape)
        + struct.pack("<iii", *_CPU, flag)
    )


def list_names(names: list[str]) -> bytes:
    """The end of a list container: the names, none for an empty list."""
    encoded = [name.encode() for name in names]
    return struct.pack("<Q", len(names)) + b"".join(struct.pack("<Q", len(name)) + name for name in encoded)


def list_bytes(
    arrays: Mapping[str, np.ndarray],
    *,
    version: str = "V2",
    named: bool = True,
    dtypes: Mapping[str, str] | None = None,
) -> bytes:
    """A list container, as MXNet's ``save`` writes it.

    The dtype of an array is NumPy's unless ``dtypes`` gives another one of the same width for its name; bfloat16, which NumPy
    lacks, is given as uint16 so.
    """
    parts = [list_header(len(arrays))]
    for name, array in arrays.items():
        dtype = (dtypes or {}).get(name, array.dtype.name)
        parts += [array_header(array.shape, FLAGS[dtype], version=version), np.ascontiguousarray(array).tobytes()]
    return b"".join([*parts, list_names(list(arrays) if named else [])])


def write_list(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    *,
    version: str = "V2",
    named: bool = True,
    dtypes: Mapping[str, str] | None = None,
) -> Path:
    """Writes `list_bytes` to ``path``, and gives it back."""
    path.write_bytes(list_bytes(arrays, version=version, named=named, dtypes=dtypes))
    return path


def write_sparse_list(path: Path, shapes: Mapping[str, tuple[int, ...]], *, dtype: str = "float32") -> Path:
    """Writes a list container of zeros that takes no room on the disk: the data are holes."""
    with path.open("wb") as file:
        file.write(list_header(len(shapes)))
        for shape in shapes.values():
            file.write(array_header(shape, FLAGS[dtype]))
            nbytes = int(np.prod(shape, dtype=object)) * (2 if dtype == "bfloat16" else np.dtype(dtype).itemsize)
            file.seek(nbytes, 1)
        file.write(list_names(list(shapes)))
    return path


@dataclass(frozen=True)
class Sizes:
    """The sizes of a Bort. ``num_heads`` is in no tensor's shape."""

    num_layers: int = 2
    num_heads: int = 4
    units: int = 16
    hidden_size: int = 12
    max_length: int = 10
    vocab_size: int = 23


TINY = Sizes()


def bort_shapes(sizes: Sizes = TINY, head: str = "mlm", num_outputs: int = 3) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint as GluonNLP 0.8.3's ``save_parameters`` writes them, in its order.

    A classifier is built with dropout, and has ``num_outputs``.
    """
    units, hidden = sizes.units, sizes.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.position_weight": (sizes.max_length, units),
        "encoder.layer_norm.gamma": (units,),
        "encoder.layer_norm.beta": (units,),
    }
    for layer in range(sizes.num_layers):
        cell = f"encoder.transformer_cells.{layer}"
        for projection in ("proj_query", "proj_key", "proj_value"):
            shapes[f"{cell}.attention_cell.{projection}.weight"] = (units, units)
            shapes[f"{cell}.attention_cell.{projection}.bias"] = (units,)
        shapes |= {
            f"{cell}.proj.weight": (units, units),
            f"{cell}.proj.bias": (units,),
            f"{cell}.ffn.ffn_1.weight": (hidden, units),
            f"{cell}.ffn.ffn_1.bias": (hidden,),
            f"{cell}.ffn.ffn_2.weight": (units, hidden),
            f"{cell}.ffn.ffn_2.bias": (units,),
            f"{cell}.ffn.layer_norm.gamma": (units,),
            f"{cell}.ffn.layer_norm.beta": (units,),
            f"{cell}.layer_norm.gamma": (units,),
            f"{cell}.layer_norm.beta": (units,),
        }
    shapes["word_embed.0.weight"] = (sizes.vocab_size, units)
    if head == "mlm":
        shapes |= {
            "decoder.0.weight": (units, units),
            "decoder.0.bias": (units,),
            "decoder.2.gamma": (units,),
            "decoder.2.beta": (units,),
            "decoder.3.weight": (sizes.vocab_size, units),
            "decoder.3.bias": (sizes.vocab_size,),
        }
    elif head == "classifier":
        shapes = {f"bort.{name}": shape for name, shape in shapes.items()} | {
            "classifier.1.weight": (units, units),
            "classifier.1.bias": (units,),
            "classifier.3.weight": (num_outputs, units),
            "classifier.3.bias": (num_outputs,),
        }
    elif head != "encoder":
        raise ValueError(f"no shapes for head {head}")
    return shapes


def bort_arrays(
    sizes: Sizes = TINY, head: str = "mlm", *, num_outputs: int = 3, seed: int = 0, dtype: str = "float32"
) -> dict[str, np.ndarray]:
    """Random tensors of a Bort by their structural names, the word embedding and the decoder's weight the same."""
    generator = np.random.default_rng(seed)
    arrays = {}
    for name, shape in bort_shapes(sizes, head, num_outputs).items():
        values = 0.1 * generator.standard_normal(shape)
        arrays[name] = np.asarray(1 + values if name.endswith("gamma") else values, dtype=dtype)
    if "decoder.3.weight" in arrays:
        arrays["decoder.3.weight"] = arrays["word_embed.0.weight"]
    return arrays


@dataclass(frozen=True)
class Result:
    """What a command did."""

    exit_code: int
    stdout: str
    stderr: str


def run(*arguments: str | Path) -> Result:
    """Runs ``convert-bort`` in this process. An exception that reaches the user as a traceback is raised here."""
    from click.testing import CliRunner

    from bort_convert.cli import main

    result = CliRunner(catch_exceptions=False).invoke(main, [str(argument) for argument in arguments])
    return Result(result.exit_code, result.stdout, result.stderr)


def run_process(
    *arguments: str | Path, cwd: Path | None = None, interpreter: tuple[str, ...] = (), timeout: float = 300
) -> Result:
    """Runs ``convert-bort`` in a process of its own; ``interpreter`` are options of Python."""
    command = [sys.executable, *interpreter, "-m", "bort_convert", *map(str, arguments)]
    return run_command(command, cwd=cwd, timeout=timeout)


def run_command(command: list[str], *, cwd: Path | None = None, timeout: float = 300) -> Result:
    """Runs any command, without a terminal."""
    process = subprocess.run(
        command, cwd=cwd, timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Result(process.returncode, process.stdout, process.stderr)


def listing(folder: Path) -> dict[str, bytes | None]:
    """Everything under ``folder``: relative path to content, None for a folder. What two moments are compared by."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
