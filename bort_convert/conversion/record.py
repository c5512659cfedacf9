"""The model folder's ``conversion.json``: what the folder was made from, and what became of every tensor.

It holds no times and no paths: the same checkpoint gives the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bort_convert import __version__
from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration, Entry, Ledger
from bort_convert.errors import ModelFolderError
from bort_convert.params import BY_NAME, ParamsFile, StoredArray

RECORD_NAME = "conversion.json"
RECORD_VERSION = 1


def record_document(
    params: ParamsFile,
    ledger: Ledger,
    declared: Declaration,
    *,
    digest: str,
    digests: Mapping[str, str],
    warnings: Sequence[str],
    tokenizer: Mapping[str, object] | None,
) -> Mapping[str, object]:
    """The record of a conversion.

    ``digest`` is the checkpoint's, see `checkpoint_digest`; ``digests`` holds the SHA-256 of each target's bytes, by the
    target's name; ``tokenizer`` says where the tokenizer is from. The source's arrays stand in the file's order with
    what only an MXNet file has, so that an export can give the file's bytes.
    """
    effective = replace(
        declared,
        num_heads=ledger.architecture.num_heads,
        head=ledger.head.name,
        task=ledger.outputs.task if ledger.outputs and declared.labels is None else declared.task,
    )
    return {
        "record_version": RECORD_VERSION,
        "tool": {"name": "bort-convert", "version": __version__},
        "source": {
            "container": params.container,
            "writer": ledger.writer,
            "size": params.size,
            "digest": digest,
            "arrays": [
                {
                    "name": array.name,
                    "dtype": array.dtype.name,
                    "shape": list(array.shape),
                    "version": array.version,
                    "context": list(array.context) if array.context else None,
                }
                for array in params.arrays
            ],
        },
        "architecture": architecture_document(ledger),
        "declared": asdict(effective),
        "warnings": list(warnings),
        "tokenizer": tokenizer,
        "ledger": [
            entry_document(entry)
            | ({"sha256": digests[entry.target]} if entry.target and entry.target in digests else {})
            for entry in ledger.entries
        ],
    }


def architecture_document(ledger: Ledger) -> dict[str, object]:
    """The architecture, head and tie of a ledger, for JSON."""
    architecture = ledger.architecture
    return {
        "name": architecture.name,
        **asdict(architecture),
        "head": ledger.head.name,
        "tied": ledger.tied,
        **({"task": ledger.outputs.task, "labels": list(ledger.outputs.labels)} if ledger.outputs else {}),
    }


def entry_document(entry: Entry) -> dict[str, object]:
    """One line of the ledger, for JSON."""
    return {
        "operation": entry.operation.value,
        "source": entry.source.name if entry.source else None,
        "structural": entry.structural,
        "target": entry.target,
        "dtype": entry.dtype.name,
        "shape": list(entry.shape),
        **({"tied_to": entry.tied_to} if entry.tied_to else {}),
        **({"note": entry.note} if entry.note else {}),
    }


def read_declaration(model_dir: Path) -> Declaration:
    """What was declared of the checkpoint when ``model_dir`` was made; nothing, where the folder has no record.

    Raises ModelFolderError for a record that cannot be read.
    """
    path = model_dir / RECORD_NAME
    try:
        declared = json.loads(path.read_text(encoding="utf-8"))["declared"]
        labels = declared.pop("labels")
        return Declaration(**declared, labels=None if labels is None else tuple(labels))
    except FileNotFoundError:
        return NOTHING_DECLARED
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFolderError(
            f"{path}: not a record of this tool ({error!r}); convert the checkpoint again"
        ) from error


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What a record keeps of the checkpoint: its digest, and its arrays in the file's order, without their data."""

    digest: str
    container: str
    arrays: tuple[StoredArray, ...]


def read_source(model_dir: Path) -> SourceRecord | None:
    """What the folder's record keeps of its checkpoint; None where the folder has no record. Raises ModelFolderError."""
    path = model_dir / RECORD_NAME
    try:
        source = json.loads(path.read_text(encoding="utf-8"))["source"]
        arrays = tuple(
            StoredArray(
                name=array["name"],
                dtype=BY_NAME[array["dtype"]],
                shape=tuple(array["shape"]),
                offset=0,
                version=array["version"],
                context=(array["context"][0], array["context"][1]) if array["context"] else None,
            )
            for array in source["arrays"]
        )
        return SourceRecord(source["digest"], source["container"], arrays)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelFolderError(
            f"{path}: not a record of this tool ({error!r}); delete it to export without it"
        ) from error


def dump(document: Mapping[str, object]) -> str:
    """The text of a JSON file in the model folder."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
