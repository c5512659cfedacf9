"""Whether record and report, which may have been changed by hand, have what the card and the notices show of them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from reprlib import repr as shortened
from typing import Any

from bort_convert.bort.architecture import Architecture
from bort_convert.bort.heads import HEADS

_Shape = Mapping[str, "_Shape"] | list["_Shape"] | Callable[[Any], bool]
"""An object with these keys among others, a list whose elements all have the one shape, or what must hold of a value."""


def require_record(record: Any) -> None:
    """Raises KeyError or TypeError, naming the part, where a record lacks something or has something else in its place."""
    _require(record, _RECORD, "record")
    if record["architecture"]["head"] == "classifier":
        _require(record["architecture"], _OUTPUTS, "architecture")
    _require(record["ledger"], bool, "ledger")
    stored = {array["name"] for array in record["source"]["arrays"]}
    for entry in record["ledger"]:
        if entry["operation"] == "cast":
            _require(entry["source"], stored.__contains__, "source")
        if "sha256" in entry:
            _require(entry["sha256"], _is_sha256, "sha256")


def require_report(report: Any) -> None:
    """The same for the report of a verification that passed."""
    _require(report, _REPORT, "report")
    if report["known_residual"] is not None:
        _require(report["known_residual"], _RESIDUAL, "known_residual")


def _require(value: Any, shape: _Shape, name: str) -> None:
    if isinstance(shape, Mapping):
        _require(value, lambda value: isinstance(value, dict), name)
        for key, part in shape.items():
            _require(value[key], part, key)
    elif isinstance(shape, list):
        _require(value, lambda value: isinstance(value, list), name)
        for each in value:
            _require(each, shape[0], name)
    elif not shape(value):
        raise TypeError(f"{name} is {shortened(value)}")


def _optional(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


def _is_number(value: Any) -> bool:
    """Python reads NaN, infinity and integers of any size from JSON."""
    return isinstance(value, int | float) and abs(value) < 1e300


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)  # which no file can hold


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_cell(value: Any) -> bool:
    return _is_line(value) and "|" not in value


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[\w.+-]+", value))


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))


_RECORD: _Shape = {
    "tool": {"name": _is_line, "version": _is_line},
    "source": {
        "container": _is_cell,
        "writer": _is_cell,
        "size": _is_count,
        "digest": _is_sha256,
        "arrays": [{"name": _is_text, "dtype": _is_word}],
    },
    "architecture": {
        "name": _optional(_is_word),
        **{field.name: _is_count for field in fields(Architecture)},
        "head": lambda head: head in HEADS,
    },
    "warnings": [_is_line],
    "ledger": [
        {
            "operation": _is_word,
            "source": _optional(_is_text),
            "target": _optional(_is_text),
            "dtype": _is_word,
            "shape": [_is_count],
        }
    ],
}
_OUTPUTS: _Shape = {"task": _optional(_is_text), "labels": [_is_text]}
_REPORT: _Shape = {
    "checkpoint_digest": _is_sha256,
    "checkpoint_sha256": _is_sha256,
    "model_sha256": _is_sha256,
    "text_files_sha256": lambda digests: isinstance(digests, dict) and all(map(_is_sha256, digests.values())),
    "checks": [{"kind": _is_word}],
    "stages": [
        {
            "stage": _is_word,
            "dtype": _is_word,
            "largest": _is_number,
            "mean": _is_number,
            "atol": _is_number,
            "tolerance_reason": _is_line,
        }
    ],
    "versions": lambda versions: isinstance(versions, dict) and all(map(_is_word, (*versions, *versions.values()))),
    "warnings": [_is_line],
    "known_residual": lambda residual: True,
    "export_rounding": [{"stage": _is_word, "largest": _is_number}],
}
_RESIDUAL: _Shape = {
    "largest": _optional(_is_number),
    "mean": _optional(_is_number),
    "same_top1": _is_number,
    "positions": _is_count,
}
