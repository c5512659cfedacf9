"""What is outside of the packages: GluonNLP's cache, and the token for the Hub."""

import hashlib
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from bort_convert.bort.gluonnlp_cache import CACHED_BPE_RANKS, CACHED_VOCABULARY, CachedFile
from bort_convert.diagnosis.finding import PUBLISHING, TOKENIZER, Finding


def check_cache(files: Sequence[CachedFile] = (CACHED_VOCABULARY, CACHED_BPE_RANKS)) -> Iterator[Finding]:
    """GluonNLP's files in ``$MXNET_HOME/models``, by default ``~/.mxnet/models``."""
    folder = Path(os.environ.get("MXNET_HOME", "~/.mxnet")).expanduser() / "models"
    for cached in files:
        path, subject = folder / cached.name, f"GluonNLP's {cached.description}"
        quoted = shlex.quote(str(path))
        try:
            found = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
        except FileNotFoundError:
            yield Finding(subject, TOKENIZER, f"not in {folder}", _WITHOUT)
            continue
        except OSError as error:
            yield Finding(subject, TOKENIZER, f"{path}: cannot be read: {error.strerror}", f"ls -l {quoted}")
            continue
        if found == cached.sha1:
            yield Finding(subject, TOKENIZER, f"{path}, SHA-1 as it must be")
        else:
            yield Finding(subject, TOKENIZER, f"{path} has SHA-1 {found}, must have {cached.sha1}", f"rm {quoted}")


def check_token() -> Finding:
    """Whether there is a token for the Hub. Its value is neither kept nor shown, and it is not tried."""
    try:
        from huggingface_hub import get_token
    except Exception:  # whatever a broken package raises
        return Finding("Hub token", PUBLISHING, "not known without huggingface_hub", _LOG_IN)
    if get_token():
        return Finding("Hub token", PUBLISHING, "there is one; it was not tried")
    return Finding("Hub token", PUBLISHING, "none", _LOG_IN)


_LOG_IN = "hf auth login  # or set HF_TOKEN"
_WITHOUT = "convert-bort convert CHECKPOINT MODEL_DIR --tokenizer roberta-base"
"""RoBERTa's tokenizer has the same vocabulary; GluonNLP's own servers may be gone."""
