"""Which files of a model folder say what the model is, apart from its weights."""

import hashlib
import json
from pathlib import Path
from typing import Any

from bort_convert.conversion.config import CONFIG_NAME
from bort_convert.conversion.record import RECORD_NAME
from bort_convert.errors import ModelFolderError

TEXT_FILES = (
    CONFIG_NAME,
    RECORD_NAME,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
"""What a folder may hold beside its model file: the config, the record, and all that Transformers reads of a tokenizer."""


def text_file_digests(model_dir: Path) -> dict[str, str]:
    """The SHA-256 of each of `TEXT_FILES` that ``model_dir`` has, by name. Raises ModelFolderError."""
    digests = {}
    for name in TEXT_FILES:
        try:
            digests[name] = hashlib.sha256((model_dir / name).read_bytes()).hexdigest()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ModelFolderError(f"{model_dir / name}: cannot be read: {error.strerror}; check the folder") from error
    return digests


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder. Raises ModelFolderError where it cannot be read or holds no object."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path}: cannot be read: {error}; convert the checkpoint again") from error
    if not isinstance(document, dict):
        raise ModelFolderError(f"{path}: not a JSON object; convert the checkpoint again")
    return document
