"""The folder's tokenizer against GluonNLP's own, id for id."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bort_convert.bort.special_tokens import BOS, EOS, MASK, PAD, UNK
from bort_convert.conversion.tokenizer import TOKENIZER_NAME
from bort_convert.conversion.tokenizer_source import TokenizerSources, find_gluonnlp_files
from bort_convert.errors import InvalidOptionError, ModelFolderError
from bort_convert.parity.bundled_texts import TEXTS, Text
from bort_convert.parity.files import Check
from bort_convert.parity.mxnet_runner import Worker

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_USES = {"bos": BOS, "cls": BOS, "eos": EOS, "sep": EOS, "pad": PAD, "unk": UNK, "mask": MASK}
_INPUTS = ("attention_mask", "input_ids")


@dataclass(frozen=True, slots=True)
class TokenIds:
    """What GluonNLP gave: the ids of each text, special tokens included; the id of each special token; the versions."""

    ids: tuple[tuple[int, ...], ...]
    special_tokens: Mapping[str, int]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TokenReference:
    """Texts, and what GluonNLP made of them."""

    texts: tuple[Text, ...]
    expected: TokenIds

    def document(self) -> dict[str, object]:
        """For JSON; `read_token_reference` reads it."""
        return {"texts": self.texts, **asdict(self.expected)}


def read_token_reference(document: Mapping[str, Any]) -> TokenReference:
    """The reference of a document."""
    ids = TokenIds(tuple(map(tuple, document["ids"])), document["special_tokens"], document["versions"])
    return TokenReference(tuple(map(tuple, document["texts"])), ids)


def prove_tokenizer(
    model_dir: Path,
    named: TokenizerSources,
    vocab_size: int,
    lines: Sequence[str],
    *,
    recorded: TokenReference | None,
    python: str | None,
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """The checks of the folder's tokenizer, if it has one, and a warning where there is nothing to check it against.

    Against the ``recorded`` ids, else against GluonNLP with the files that are ``named`` or in its cache, on the bundled texts
    and ``lines``. Raises ModelFolderError where files are named and the folder has no tokenizer, and what `check_tokenizer`
    raises.
    """
    if not (model_dir / TOKENIZER_NAME).exists():
        if named.vocab or named.bpe_ranks:
            raise ModelFolderError(f"{model_dir}: has no tokenizer to check; leave --vocab and --bpe-ranks out")
        return (), ()
    if recorded:
        return compare_ids(model_dir, recorded.texts, recorded.expected), ()
    found, notes = find_gluonnlp_files(named, vocab_size)
    if found is None:
        return (), (*notes, "the tokenizer was not checked against GluonNLP's; give --vocab and --bpe-ranks")
    texts = (*TEXTS, *((line,) for line in lines))
    return check_tokenizer(model_dir, found.vocab, found.bpe_ranks, texts, python=python), notes


def record_tokens(named: TokenizerSources, vocab_size: int, python: str | None) -> TokenReference | None:
    """GluonNLP's ids of the bundled texts, where its files are named or in its cache."""
    found, _ = find_gluonnlp_files(named, vocab_size)
    if found is None:
        return None
    return TokenReference(tuple(TEXTS), gluonnlp_ids(found.vocab, found.bpe_ranks, TEXTS, python=python))


def check_tokenizer(
    model_dir: Path, vocab: Path, bpe_ranks: Path, texts: Sequence[Text] = TEXTS, *, python: str | None = None
) -> tuple[Check, ...]:
    """The ids of ``texts`` from the tokenizer in ``model_dir`` against those of GluonNLP with its two files.

    One check for each text, and some for what a text does not show. ``python`` is the interpreter to run GluonNLP under. Raises
    MissingDependencyError or FrameworkError where it could not be run, InvalidOptionError for a text that holds a special token.
    """
    return compare_ids(model_dir, texts, gluonnlp_ids(vocab, bpe_ranks, texts, python=python))


def gluonnlp_ids(vocab: Path, bpe_ranks: Path, texts: Sequence[Text] = TEXTS, *, python: str | None = None) -> TokenIds:
    """The ids that GluonNLP's ``GPT2BPETokenizer`` and ``Vocab`` give. Raises what `check_tokenizer` raises."""
    for text in texts:
        for token in _USES.values():
            if any(token in part for part in text):
                raise InvalidOptionError(
                    f"the text {_shown(text)} holds {token}, which GluonNLP takes for ordinary characters; leave it out"
                )
    with tempfile.TemporaryDirectory(prefix="bort-convert-") as name:
        folder = Path(name)
        inputs, outputs = folder / "texts.json", folder / "ids.json"
        inputs.write_text(json.dumps(texts))
        job = {
            "command": "tokenize",
            "vocab": str(vocab.absolute()),
            "bpe_ranks": str(bpe_ranks.absolute()),
            "texts": str(inputs),
            "ids": str(outputs),
        }
        with Worker(job, folder, python) as worker:
            versions = worker.wait()
        document = json.loads(outputs.read_text())
    return TokenIds(tuple(map(tuple, document["texts"])), document["special_tokens"], versions)


def compare_ids(model_dir: Path, texts: Sequence[Text], expected: TokenIds) -> tuple[Check, ...]:
    """Holds the folder's tokenizer, loaded as a user loads it, against GluonNLP's ids of the same ``texts``."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model_dir), local_files_only=True)
    except Exception as error:  # whatever Transformers raises, it is the folder that does not load
        reason = (str(error).strip().splitlines() or [repr(error)])[0]
        return (Check("tokenizer", "AutoTokenizer", f"Transformers cannot load the tokenizer: {reason}"),)
    if not texts or len(texts) != len(expected.ids):
        failure = f"{len(texts)} texts, {len(expected.ids)} reference ids: nothing can be compared"
        return (Check("tokenizer", "texts", failure),)
    return (
        *(_special_token(tokenizer, use, token, expected.special_tokens) for use, token in _USES.items()),
        _padding(tokenizer, expected.special_tokens[PAD]),
        *(
            Check("tokenizer", _shown(text), _text_failure(tokenizer, text, ids))
            for text, ids in zip(texts, expected.ids, strict=True)
        ),
    )


def _text_failure(tokenizer: "PreTrainedTokenizerBase", text: Text, expected: Sequence[int]) -> str:
    # In lists: Transformers takes an empty second text, given alone, for none.
    encoding = tokenizer(*([part] for part in text), verbose=False)
    (ids,) = encoding["input_ids"]
    if tuple(sorted(encoding)) != _INPUTS:
        return f"gives {', '.join(sorted(encoding))}, expected {', '.join(_INPUTS)}"
    for position in range(max(len(ids), len(expected))):
        ours, theirs = _token(tokenizer, ids, position), _token(tokenizer, expected, position)
        if ours != theirs:
            return f"position {position}: {ours}, expected {theirs}"
    return ""


def _token(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], position: int) -> str:
    if position >= len(ids):
        return "no id"
    return f"{ids[position]} ({tokenizer.convert_ids_to_tokens(ids[position])})"


def _special_token(tokenizer: "PreTrainedTokenizerBase", use: str, token: str, expected: Mapping[str, int]) -> Check:
    found, id_ = getattr(tokenizer, f"{use}_token"), getattr(tokenizer, f"{use}_token_id")
    failure = ""
    if (found, id_) != (token, expected[token]):
        failure = f"{found!r} with id {id_}, expected {token!r} with id {expected[token]}"
    elif token == MASK:
        inside, alone = (tokenizer.encode(text, add_special_tokens=False) for text in (f"a {MASK}", "a"))
        if inside != [*alone, id_]:
            failure = f"ids {inside} for 'a {MASK}', expected {[*alone, id_]}: it takes the space before it"
    return Check("tokenizer", f"{use}_token", failure)


def _padding(tokenizer: "PreTrainedTokenizerBase", pad_id: int) -> Check:
    """A short text padded to a long one's length: on the right, with ``<pad>``, and masked."""
    short, long = (tokenizer(text)["input_ids"] for text in ("a", "a b c"))
    lacking = len(long) - len(short)
    padded = tokenizer(["a", "a b c"], padding=True)
    ids, mask = padded["input_ids"][0], padded["attention_mask"][0]
    if ids != short + [pad_id] * lacking or mask != [1] * len(short) + [0] * lacking:
        return Check(
            "tokenizer", "padding", f"ids {ids} and mask {mask}, expected {lacking} of id {pad_id} on the right"
        )
    return Check("tokenizer", "padding", "")


def _shown(text: Text) -> str:
    return " + ".join(ascii(part if len(part) <= _SHOWN else part[:_SHOWN] + "…") for part in text)


_SHOWN = 40
