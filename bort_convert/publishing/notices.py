"""LICENSE and NOTICE of a published folder, as the Apache License 2.0 asks for in its section 4."""

from collections import Counter
from pathlib import Path
from typing import Any

from bort_convert.publishing.checks import ModelFolder

_WIDER = {"float16": ("float32", "float64"), "bfloat16": ("float32", "float64"), "float32": ("float64",)}
"""The dtypes that hold every value of another."""
_SHOWN = 5
_LICENSE = Path(__file__).with_name("LICENSE")


def license_text() -> str:
    """The Apache License 2.0, under which Bort was released."""
    return _LICENSE.read_text(encoding="utf-8")


def notice_text(folder: ModelFolder) -> str:
    """Bort's own notice, and the prominent note of what was changed (section 4 b)."""
    return (
        "Bort\n"
        "Copyright Amazon.com, Inc. or its affiliates.\n\n"
        "Licensed under the Apache License, Version 2.0; see LICENSE.\n\n"
        "Note of changes\n\n"
        f"{folder.model_file} was changed from the file that Bort was released or fine-tuned as:\n\n"
        + "\n".join(f"- {change}" for change in changes(folder))
        + "\n\nThe other files were written for this folder. None of them is part of Bort as Amazon published it, and\n"
        "Amazon has no part in this conversion.\n"
    )


def changes(folder: ModelFolder) -> list[str]:
    """What was changed, by the conversion and after it, a sentence each."""
    tool, ledger = folder.record["tool"], folder.record["ledger"]
    lines = [
        f"The container was changed from {folder.record['source']['container']} to {_container(folder.model_file)}, with "
        f"{tool['name']} {tool['version']}.",
        "The tensors were given the names that Hugging Face Transformers has for them.",
    ]
    casts = _casts(folder)
    for (stored, dtype), count in sorted(casts.items()):
        how = "widened" if dtype in _WIDER.get(stored, ()) else "rounded"
        lines.append(f"{count} tensors were {how} from {stored} to {dtype}{', exactly' if how == 'widened' else ''}.")
    if zero := _of(ledger, "zero"):
        lines.append(f"Tensors of zeros were added, which Transformers' BERT has and Bort lacks: {_names(zero)}.")
    if tied := _of(ledger, "tie"):
        lines.append(f"Tensors that are the same as another were left out: {_names(tied)}.")
    if unused := _of(ledger, "unused"):
        lines.append(f"{len(unused)} tensors that this model does not use were left out.")
    if folder.changed:
        shown = ", ".join(folder.changed[:_SHOWN]) + (", …" if len(folder.changed) > _SHOWN else "")
        lines.append(f"Tensors were changed, added or taken out after the conversion ({len(folder.changed)}): {shown}.")
    if not (is_rounded(folder) or folder.changed):
        lines.append("No value was changed.")
    return lines


def is_rounded(folder: ModelFolder) -> bool:
    """Whether a tensor was given a dtype that does not hold every value of its own."""
    return any(dtype not in _WIDER.get(stored, ()) for stored, dtype in _casts(folder))


def _casts(folder: ModelFolder) -> Counter[tuple[str, str]]:
    """How many tensors were cast from one dtype to another."""
    stored = {array["name"]: array["dtype"] for array in folder.record["source"]["arrays"]}
    return Counter((stored[entry["source"]], entry["dtype"]) for entry in _of(folder.record["ledger"], "cast"))


def _of(ledger: list[dict[str, Any]], operation: str) -> list[dict[str, Any]]:
    return [entry for entry in ledger if entry["operation"] == operation]


def _names(entries: list[dict[str, Any]]) -> str:
    return ", ".join(str(entry["target"] or entry["source"]) for entry in entries)


def _container(model_file: str) -> str:
    return "safetensors" if model_file.endswith(".safetensors") else "a PyTorch file"
