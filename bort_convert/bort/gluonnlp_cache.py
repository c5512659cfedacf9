"""What GluonNLP 0.8.3 keeps in its cache for Bort, under ``models`` (``data/utils.py``, ``data/transforms.py``)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file that GluonNLP downloads, and the SHA-1 that it must have."""

    name: str
    sha1: str
    description: str


CACHED_VOCABULARY = CachedFile(
    "openwebtext_ccnews_stories_books_cased-2b804f8f.vocab", "2b804f8f90f9f93c07994b703ce508725061cf43", "vocabulary"
)
CACHED_BPE_RANKS = CachedFile(
    "openai_webtext_bpe_ranks-396d4d8e.json", "396d4d8ec90cb02f4d56e049e0e4add868bcd943", "BPE ranks"
)
CACHED_SIZE = 50265
"""Tokens of the vocabulary."""
