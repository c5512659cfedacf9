"""What is outside of the packages: GluonNLP's cache, and the token for the Hub."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from bort_convert.diagnosis.finding import PUBLISHING, TOKENIZER, Finding

CACHED_FILES = {
    "openwebtext_ccnews_stories_books_cased-2b804f8f.vocab": "2b804f8f90f9f93c07994b703ce508725061cf43",
    "openai_webtext_bpe_ranks-396d4d8e.json": "396d4d8ec90cb02f4d56e049e0e4add868bcd943",
}
"""Bort's vocabulary and BPE ranks as GluonNLP 0.8.3 caches them, and their SHA-1 (``data/utils.py``, ``data/transforms.py``)."""


def check_cache(files: dict[str, str] = CACHED_FILES) -> Iterator[Finding]:
    """GluonNLP's files in ``$MXNET_HOME/models``, by default ``~/.mxnet/models``; ``files`` has the SHA-1 of each."""
    folder = Path(os.environ.get("MXNET_HOME", "~/.mxnet")).expanduser() / "models"
    for name, sha1 in files.items():
        path = folder / name
        subject = "GluonNLP's " + ("vocabulary" if name.endswith(".vocab") else "BPE ranks")
        try:
            found = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
        except FileNotFoundError:
            yield Finding(subject, TOKENIZER, f"not in {folder}", _WITHOUT)
            continue
        except OSError as error:
            yield Finding(subject, TOKENIZER, f"{path}: cannot be read: {error.strerror}", f"ls -l {path}")
            continue
        if found == sha1:
            yield Finding(subject, TOKENIZER, f"{path}, SHA-1 as it must be")
        else:
            yield Finding(subject, TOKENIZER, f"{path} has SHA-1 {found}, must have {sha1}", f"rm {path}")


def check_token() -> Finding:
    """Whether there is a token for the Hub. Its value is neither kept nor shown, and it is not tried."""
    from huggingface_hub import get_token

    if get_token():
        return Finding("Hub token", PUBLISHING, "there is one; it was not tried")
    return Finding("Hub token", PUBLISHING, "none", "hf auth login  # or set HF_TOKEN")


_WITHOUT = "convert-bort convert CHECKPOINT MODEL_DIR --tokenizer roberta-base"
"""RoBERTa's tokenizer has the same vocabulary; GluonNLP's own servers may be gone."""
