"""Where the model folder's tokenizer comes from: files that were named, GluonNLP's cache, or a RoBERTa tokenizer.

What reads vocabularies is imported where there is one: most conversions have none.
"""

import os
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.bort.gluonnlp_cache import CACHED_BPE_RANKS, CACHED_SIZE, CACHED_VOCABULARY
from bort_convert.errors import InvalidOptionError, VocabularyError

if TYPE_CHECKING:
    from bort_convert.conversion.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class TokenizerSources:
    """What the user says of the tokenizer: GluonNLP's two files, or a folder or Hugging Face name of a RoBERTa tokenizer."""

    vocab: Path | None = None
    bpe_ranks: Path | None = None
    tokenizer: str | None = None


NOTHING_NAMED = TokenizerSources()


@dataclass(frozen=True, slots=True)
class TokenizerSource:
    """A checked vocabulary, and where it was found."""

    kind: str
    """``files``, ``gluonnlp-cache``, ``folder`` or ``hub``."""
    vocabulary: "Vocabulary"
    sha256: Mapping[str, str]
    """Of each file that was read, by what it is: ``vocab``, ``bpe_ranks``, ``merges``, ``tokenizer``."""

    def document(self) -> dict[str, object]:
        """For JSON; no paths."""
        return {"source": self.kind, "size": len(self.vocabulary.tokens), "sha256": dict(self.sha256)}


@dataclass(frozen=True, slots=True)
class TokenizerChoice:
    """The source that was chosen, None where there is none; ``notes`` say what was passed over, and why."""

    source: TokenizerSource | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GluonNLPFiles:
    """GluonNLP's two files. ``kind`` is ``files`` where the user named them, ``gluonnlp-cache`` where GluonNLP fetched them."""

    kind: str
    vocab: Path
    bpe_ranks: Path


def choose(named: TokenizerSources, vocab_size: int) -> TokenizerChoice:
    """The tokenizer of a checkpoint with ``vocab_size`` embedding rows, checked.

    The two files come first, then GluonNLP's cache, then ``named.tokenizer``; nothing is downloaded unless that is a name of
    the Hugging Face hub. Raises VocabularyError where a named source cannot be read or does not fit, InvalidOptionError where
    the options contradict each other.
    """
    if named.vocab and named.tokenizer:
        raise InvalidOptionError("--vocab and --tokenizer both name a vocabulary; give one of them")
    found, notes = find_gluonnlp_files(named, vocab_size)
    if found:
        return TokenizerChoice(_gluonnlp(found, vocab_size), notes)
    if named.tokenizer:
        return TokenizerChoice(_roberta(named.tokenizer, vocab_size), notes)
    return TokenizerChoice(None, notes)


def find_gluonnlp_files(named: TokenizerSources, vocab_size: int) -> tuple[GluonNLPFiles | None, tuple[str, ...]]:
    """The files that are named, or those in GluonNLP's cache if they are whole and of this size; and what was passed over.

    Raises InvalidOptionError where one of the two is named without the other.
    """
    if named.vocab and named.bpe_ranks:
        return GluonNLPFiles("files", named.vocab, named.bpe_ranks), ()
    if named.vocab or named.bpe_ranks:
        given, missing = ("--vocab", "--bpe-ranks") if named.vocab else ("--bpe-ranks", "--vocab")
        raise InvalidOptionError(f"{given} without {missing}: a tokenizer takes both files; give {missing} FILE too")
    folder = Path(os.environ.get("MXNET_HOME", "~/.mxnet")).expanduser() / "models"
    vocab, bpe_ranks = folder / CACHED_VOCABULARY.name, folder / CACHED_BPE_RANKS.name
    if vocab_size != CACHED_SIZE or not all(map(os.path.exists, (vocab, bpe_ranks))):
        return None, ()
    from bort_convert.conversion import vocabulary_files as files

    try:
        found = {CACHED_VOCABULARY: files.sha1(vocab), CACHED_BPE_RANKS: files.sha1(bpe_ranks)}
    except VocabularyError:
        return None, ()
    wrong = [cached.description for cached, sha1 in found.items() if sha1 != cached.sha1]
    if wrong:
        return None, (f"GluonNLP's cached {' and '.join(wrong)} not used: wrong SHA-1",)
    return GluonNLPFiles("gluonnlp-cache", vocab, bpe_ranks), ()


def _gluonnlp(found: GluonNLPFiles, vocab_size: int) -> TokenizerSource:
    from bort_convert.conversion import vocabulary_files as files
    from bort_convert.conversion.vocabulary import Vocabulary, check_merges, check_tokens

    vocab, ranks = files.read_input(found.vocab), files.read_input(found.bpe_ranks)
    vocabulary = Vocabulary(files.gluonnlp_tokens(vocab), files.ranked_merges(ranks))
    check_tokens(vocabulary.tokens, vocab_size, str(found.vocab))
    check_merges(vocabulary, str(found.bpe_ranks))
    return TokenizerSource(found.kind, vocabulary, {"vocab": vocab.sha256, "bpe_ranks": ranks.sha256})


def _roberta(name: str, vocab_size: int) -> TokenizerSource:
    from bort_convert.conversion import vocabulary_files as files
    from bort_convert.conversion.vocabulary import Vocabulary, check_merges, check_tokens

    try:
        present = set(os.listdir(name))
    except OSError:  # no folder: then it is a name
        kind, found = "hub", _in_hub(name)
    else:
        kind, found = "folder", _in_folder(Path(name), present)
    read = {what: files.read_input(path) for what, path in found.items()}
    if "tokenizer" in read:
        tokens, merges = files.fast_tokenizer(read["tokenizer"])
    else:
        tokens, merges = files.roberta_tokens(read["vocab"]), files.ranked_merges(read["merges"])
    vocabulary = Vocabulary(tokens, merges)
    check_tokens(tokens, vocab_size, str(found.get("vocab", found.get("tokenizer"))))
    check_merges(vocabulary, str(found.get("merges", found.get("tokenizer"))))
    return TokenizerSource(kind, vocabulary, {what: file.sha256 for what, file in read.items()})


_FAST, _CLASSIC = {"tokenizer": "tokenizer.json"}, {"vocab": "vocab.json", "merges": "merges.txt"}


def _in_folder(folder: Path, present: Set[str]) -> Mapping[str, Path]:
    for names in (_FAST, _CLASSIC):
        if present >= set(names.values()):
            return {what: folder / name for what, name in names.items()}
    raise VocabularyError(f"{folder}: neither tokenizer.json nor vocab.json and merges.txt; name a tokenizer's folder")


def _in_hub(name: str) -> Mapping[str, Path]:
    """The files in the Hugging Face cache, or else downloaded into it; the library honours ``HF_HUB_OFFLINE``."""
    import logging

    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
    from huggingface_hub.utils import logging as hub_logging

    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)  # what fails is said in one line, below
    try:
        for names in (_FAST, _CLASSIC):
            cached = {what: try_to_load_from_cache(name, file) for what, file in names.items()}
            paths = {what: Path(path) for what, path in cached.items() if isinstance(path, str)}
            if len(paths) == len(names):
                return paths
        for names in (_FAST, _CLASSIC):
            with suppress(RemoteEntryNotFoundError):
                return {what: Path(hf_hub_download(name, file)) for what, file in names.items()}
        reason = "it has neither tokenizer.json nor vocab.json and merges.txt there"
    except LocalEntryNotFoundError:
        reason = "it is not in the cache, and the hub cannot be reached or HF_HUB_OFFLINE is set"
    except Exception as error:  # whatever the library raises: not a name, no such repository, no permission
        reason = (str(error).strip().splitlines() or [repr(error)])[0].rstrip(".")
    finally:
        hub_logging.set_verbosity(verbosity)
    raise VocabularyError(
        f"--tokenizer {name}: no such folder, and none from the Hugging Face hub: {reason}; name a tokenizer's folder"
    )
