"""Reads the files that vocabularies and BPE merges come in: GluonNLP's two, and those of a Hugging Face RoBERTa."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from bort_convert.bort.special_tokens import BOS, EOS, MASK, PAD, UNK
from bort_convert.conversion.vocabulary import Merge
from bort_convert.errors import VocabularyError

_ROLES = {"padding_token": PAD, "bos_token": BOS, "eos_token": EOS, "mask_token": MASK, "unknown_token": UNK}
"""What GluonNLP calls the uses of special tokens."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A text file that was read whole. Its lines end in ``\\n``; ``sha256`` is of its bytes."""

    path: Path
    text: str
    sha256: str


def read_input(path: Path) -> InputFile:
    """Reads a UTF-8 file. Raises VocabularyError where that is not possible."""
    data = _read(path)
    try:
        text = data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise VocabularyError(f"{path}: not UTF-8 text, at byte {error.start}; {_AGAIN}") from error
    return InputFile(path, text, hashlib.sha256(data).hexdigest())


def sha1(path: Path) -> str:
    """The SHA-1 of a file, by which GluonNLP tells its downloads. Raises VocabularyError where it cannot be read."""
    return hashlib.sha1(_read(path), usedforsecurity=False).hexdigest()


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise VocabularyError(f"{path}: not a file; give the file itself")
        return path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise VocabularyError(f"{path}: cannot be read: {reason}; check the name") from error


def gluonnlp_tokens(file: InputFile) -> tuple[str, ...]:
    """The tokens of a vocabulary that GluonNLP wrote, by id.

    Its JSON holds ``idx_to_token``, ``token_to_idx``, and the special tokens' uses, which older versions keep beside the two
    and newer ones in ``identifiers_to_tokens`` (gluonnlp v0.8.3 ``vocab/vocab.py``). Raises VocabularyError for any other
    JSON; where the two lists differ; where ids are not dense and unique, which GluonNLP before 0.7 could write; and where a
    special token is declared to be another than Bort's.
    """
    document = _json_object(file)
    listed, ids = document.get("idx_to_token"), document.get("token_to_idx")
    if not isinstance(listed, list) or not isinstance(ids, dict):
        raise VocabularyError(
            f"{file.path}: not a vocabulary of GluonNLP: no list 'idx_to_token' and object 'token_to_idx'; {_AGAIN}"
        )
    tokens = _dense(file, ids)
    first_ids: dict[object, int] = {}
    for id_, token in enumerate(listed):
        if not isinstance(token, str):
            raise VocabularyError(f"{file.path}: id {id_} of idx_to_token is {token!r}, which is no token; {_AGAIN}")
        if token in first_ids:
            raise VocabularyError(
                f"{file.path}: idx_to_token has {token!r} twice, as id {first_ids[token]} and {id_}; {_AGAIN}"
            )
        first_ids[token] = id_
    for id_, (here, there) in enumerate(zip_longest(listed, tokens)):
        if here != there:
            raise VocabularyError(
                f"{file.path}: id {id_} is {_shown(here)} in idx_to_token and {_shown(there)} in token_to_idx; {_AGAIN}"
            )
    identifiers = document.get("identifiers_to_tokens")
    for declared in (document, identifiers if isinstance(identifiers, dict) else {}):
        for role, expected in _ROLES.items():
            if declared.get(role) not in (None, expected):
                raise VocabularyError(
                    f"{file.path}: {role} is {declared[role]!r}, and Bort's is {expected!r}; {_AGAIN}"
                )
    return tokens


def ranked_merges(file: InputFile) -> tuple[Merge, ...]:
    """The merges of a text file that has a header line, then one merge a line: GluonNLP's BPE ranks, or ``merges.txt``.

    Raises VocabularyError for a line that is not two tokens, and for a last line without its end.
    """
    header, *lines = file.text.split("\n")
    if not lines or lines[-1]:
        raise VocabularyError(
            f"{file.path}: ends in the middle of line {len(lines) + 1}: the file is cut short; {_AGAIN}"
        )
    merges = []
    for number, line in enumerate(lines[:-1], start=2):
        parts = line.split()
        if len(parts) != 2:
            raise VocabularyError(f"{file.path}: line {number} is {line[:80]!r}, expected two tokens; {_AGAIN}")
        merges.append((parts[0], parts[1]))
    if not merges:
        raise VocabularyError(f"{file.path}: no merge after the header {header[:80]!r}; {_AGAIN}")
    return tuple(merges)


def roberta_tokens(file: InputFile) -> tuple[str, ...]:
    """The tokens of a ``vocab.json``, by id. Raises VocabularyError where it is not one object of dense and unique ids."""
    return _dense(file, _json_object(file))


def fast_tokenizer(file: InputFile) -> tuple[tuple[str, ...], tuple[Merge, ...]]:
    """The tokens by id, added ones included, and the merges of a ``tokenizer.json``.

    Raises VocabularyError where it is not a byte-level BPE tokenizer with dense and unique ids.
    """
    document = _json_object(file)
    model = document.get("model")
    pre_tokenizers = _with_parts(document.get("pre_tokenizer"), "pretokenizers")
    if (
        not isinstance(model, dict)
        or model.get("type", "BPE") != "BPE"
        or not isinstance(model.get("vocab"), dict)
        or not isinstance(model.get("merges"), list)
        or all(part.get("type") != "ByteLevel" for part in pre_tokenizers)
    ):
        raise VocabularyError(f"{file.path}: not a byte-level BPE tokenizer, so not one of RoBERTa; name another")
    ids: dict[str, object] = dict(model["vocab"])
    added = document.get("added_tokens")
    for entry in added if isinstance(added, list) else []:
        token, id_ = (entry.get("content"), entry.get("id")) if isinstance(entry, dict) else (None, None)
        if not isinstance(token, str) or ids.setdefault(token, id_) != id_:
            raise VocabularyError(
                f"{file.path}: added token {token!r} has id {id_}, and {ids.get(str(token))} in the vocabulary; {_AGAIN}"
            )
    merges = []
    for rank, merge in enumerate(model["merges"]):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise VocabularyError(f"{file.path}: merge {rank} is {merge!r}, expected two tokens; {_AGAIN}")
        merges.append((parts[0], parts[1]))
    return _dense(file, ids), tuple(merges)


def _json_object(file: InputFile) -> Mapping[str, object]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        document = dict(pairs)
        if len(document) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for position, name in enumerate(names) if name in names[:position])
            raise VocabularyError(f"{file.path}: gives {twice!r} twice; {_AGAIN}")
        return document

    try:
        document = json.loads(file.text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"{file.path}: not valid JSON: {error}; {_AGAIN}") from error
    if not isinstance(document, dict):
        raise VocabularyError(f"{file.path}: not a JSON object; {_AGAIN}")
    return document


def _dense(file: InputFile, ids: Mapping[str, object]) -> tuple[str, ...]:
    """The tokens by id, where the ids are 0, 1, 2, … and each is given once."""
    numbered: dict[int, str] = {}
    for token, id_ in ids.items():
        if not isinstance(id_, int) or isinstance(id_, bool) or id_ < 0:
            raise VocabularyError(f"{file.path}: {token!r} has id {id_!r}, expected a whole number; {_AGAIN}")
        if id_ in numbered:
            raise VocabularyError(f"{file.path}: id {id_} is given to {numbered[id_]!r} and to {token!r}; {_AGAIN}")
        try:
            token.encode()
        except UnicodeEncodeError as error:
            raise VocabularyError(f"{file.path}: {token!r}, id {id_}, holds half a surrogate pair; {_AGAIN}") from error
        numbered[id_] = token
    for id_ in range(len(numbered)):
        if id_ not in numbered:
            following = min(other for other in numbered if other > id_)
            raise VocabularyError(
                f"{file.path}: no token has id {id_}; the next is {numbered[following]!r}, id {following}; {_AGAIN}"
            )
    return tuple(numbered[id_] for id_ in range(len(numbered)))


def _with_parts(node: object, parts: str) -> list[dict[str, object]]:
    """A node of ``tokenizer.json``, and what it is a sequence of."""
    if not isinstance(node, dict):
        return []
    inner = node.get(parts)
    return [node, *(part for part in (inner if isinstance(inner, list) else []) if isinstance(part, dict))]


def _shown(token: str | None) -> str:
    return "missing" if token is None else repr(token)


_AGAIN = "get the file again"
