"""LICENSE and NOTICE of a published folder, as the Apache License 2.0 asks for in its section 4."""

from pathlib import Path
from typing import Any

from bort_convert.publishing.checks import ModelFolder

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
    """What the conversion changed, a sentence each."""
    tool, ledger = folder.record["tool"], folder.record["ledger"]
    stored = {array["dtype"] for array in folder.record["source"]["arrays"]}
    lines = [
        f"The container was changed from {folder.record['source']['container']} to {_container(folder.model_file)}, with "
        f"{tool['name']} {tool['version']}.",
        "The tensors were given the names that Hugging Face Transformers has for them.",
    ]
    if cast := _of(ledger, "cast"):
        rounded = ", ".join(sorted({entry["dtype"] for entry in cast}))
        lines.append(f"{len(cast)} tensors were rounded from {', '.join(sorted(stored))} to {rounded}.")
    if zero := _of(ledger, "zero"):
        lines.append(f"Tensors of zeros were added, which Transformers' BERT has and Bort lacks: {_names(zero)}.")
    if tied := _of(ledger, "tie"):
        lines.append(f"Tensors that are the same as another were left out: {_names(tied)}.")
    if unused := _of(ledger, "unused"):
        lines.append(f"{len(unused)} tensors that this model does not use were left out.")
    if not cast:
        lines.append("No value was changed.")
    return lines


def _of(ledger: list[dict[str, Any]], operation: str) -> list[dict[str, Any]]:
    return [entry for entry in ledger if entry["operation"] == operation]


def _names(entries: list[dict[str, Any]]) -> str:
    return ", ".join(str(entry["target"] or entry["source"]) for entry in entries)


def _container(model_file: str) -> str:
    return "safetensors" if model_file.endswith(".safetensors") else "a PyTorch file"
