"""The model folder's ``conversion.json``: what the folder was made from, and what became of every tensor.

It holds no times and no paths: the same checkpoint gives the same bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from bort_convert import __version__
from bort_convert.bort.heads import HEADS
from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration, Entry, Ledger
from bort_convert.errors import ModelFolderError

RECORD_NAME = "conversion.json"
RECORD_VERSION = 1


def record_document(
    ledger: Ledger,
    *,
    container: str,
    size: int,
    sha256: str,
    digests: Mapping[str, str],
    tokenizer: Mapping[str, object] | None,
) -> Mapping[str, object]:
    """The record of a conversion.

    ``digests`` holds the SHA-256 of each target's bytes, by the target's name; ``tokenizer`` says where the tokenizer is from.
    """
    return {
        "record_version": RECORD_VERSION,
        "tool": {"name": "bort-convert", "version": __version__},
        "source": {"container": container, "size": size, "sha256": sha256},
        "architecture": architecture_document(ledger),
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
    }


def entry_document(entry: Entry) -> dict[str, object]:
    """One line of the ledger, for JSON."""
    return {
        "operation": entry.operation.value,
        "source": entry.source.name if entry.source else None,
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
        architecture = json.loads(path.read_text(encoding="utf-8"))["architecture"]
        return Declaration(num_heads=int(architecture["num_heads"]), head=HEADS[architecture["head"]].name)
    except FileNotFoundError:
        return NOTHING_DECLARED
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFolderError(
            f"{path}: not a record of this tool ({error!r}); convert the checkpoint again"
        ) from error


def dump(document: Mapping[str, object]) -> str:
    """The text of a JSON file in the model folder."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
