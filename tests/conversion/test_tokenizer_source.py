"""Where the tokenizer comes from, and what of it the folder keeps."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bort_convert.bort.gluonnlp_cache import CACHED_BPE_RANKS, CACHED_SIZE, CACHED_VOCABULARY, CachedFile
from bort_convert.conversion import tokenizer_source
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.tokenizer_source import TokenizerChoice, TokenizerSources, choose
from bort_convert.errors import InvalidOptionError, VocabularyError
from tests.golden_tokenizer import BPE_RANKS, SIZE, VOCAB, vocabulary, write_gluonnlp

HEADS = Declaration(num_heads=4)
FILES = TokenizerSources(VOCAB, BPE_RANKS)
TOKENIZER_FILES = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}


def digest(path: Path, kind: str = "sha256") -> str:
    return hashlib.new(kind, path.read_bytes()).hexdigest()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def gluonnlp_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """GluonNLP's cache, with the golden files as if they were the ones that it downloads."""
    folder = tmp_path / "mxnet" / "models"
    folder.mkdir(parents=True)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))
    vocab = CachedFile("vocab-12345678.vocab", digest(VOCAB, "sha1"), "vocabulary")
    ranks = CachedFile("ranks-12345678.json", digest(BPE_RANKS, "sha1"), "BPE ranks")
    monkeypatch.setattr(tokenizer_source, "CACHED_VOCABULARY", vocab)
    monkeypatch.setattr(tokenizer_source, "CACHED_BPE_RANKS", ranks)
    monkeypatch.setattr(tokenizer_source, "CACHED_SIZE", SIZE)
    (folder / vocab.name).write_bytes(VOCAB.read_bytes())
    (folder / ranks.name).write_bytes(BPE_RANKS.read_bytes())
    return folder


@pytest.fixture
def roberta(tmp_path: Path) -> Path:
    """A folder with RoBERTa's classic two files."""
    folder = tmp_path / "roberta"
    folder.mkdir()
    golden = vocabulary()
    (folder / "vocab.json").write_text(json.dumps({token: id_ for id_, token in enumerate(golden.tokens)}))
    (folder / "merges.txt").write_bytes(BPE_RANKS.read_bytes())
    return folder


@pytest.mark.parametrize("home", ["x" * 300, "/dev/null"])
def test_a_cache_that_cannot_be_looked_into_is_none(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXNET_HOME", home)
    assert choose(TokenizerSources(), CACHED_SIZE) == TokenizerChoice(None)


def test_what_gluonnlp_downloads() -> None:
    """Names and SHA-1 of gluonnlp v0.8.3 ``data/utils.py`` and ``data/transforms.py``."""
    from tests.golden_tokenizer import mxnet_worker

    nlp = mxnet_worker().nlp
    name, sha1 = nlp.data.GPT2BPETokenizer.bpe_ranks_file_hash
    assert (name, sha1) == (CACHED_BPE_RANKS.name, CACHED_BPE_RANKS.sha1)
    dataset = "openwebtext_ccnews_stories_books_cased"
    assert nlp.data.utils._vocab_sha1[dataset] == CACHED_VOCABULARY.sha1
    assert f"{dataset}-{nlp.data.utils.short_hash(dataset)}.vocab" == CACHED_VOCABULARY.name
    assert CACHED_SIZE == 50265


def test_the_two_files() -> None:
    source = choose(FILES, SIZE).source
    assert source is not None
    assert source.vocabulary == vocabulary()
    assert source.document() == {
        "source": "files",
        "size": SIZE,
        "sha256": {"vocab": digest(VOCAB), "bpe_ranks": digest(BPE_RANKS)},
    }


def test_nothing_at_all(tmp_path: Path) -> None:
    assert choose(TokenizerSources(), SIZE) == tokenizer_source.TokenizerChoice(None)


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (TokenizerSources(vocab=VOCAB), "--vocab without --bpe-ranks: .* give --bpe-ranks FILE too"),
        (TokenizerSources(bpe_ranks=BPE_RANKS), "--bpe-ranks without --vocab: .* give --vocab FILE too"),
        (TokenizerSources(VOCAB, BPE_RANKS, "roberta-base"), "--vocab and --tokenizer both name a vocabulary"),
    ],
)
def test_options_that_contradict_each_other(named: TokenizerSources, found: str) -> None:
    with pytest.raises(InvalidOptionError, match=found):
        choose(named, SIZE)


def test_gluonnlps_cache(gluonnlp_cache: Path) -> None:
    choice = choose(TokenizerSources(), SIZE)
    assert choice.source is not None
    assert (choice.source.kind, choice.notes) == ("gluonnlp-cache", ())
    assert choice.source.vocabulary == vocabulary()


def test_gluonnlps_cache_comes_before_a_roberta(gluonnlp_cache: Path, roberta: Path) -> None:
    choice = choose(TokenizerSources(tokenizer=str(roberta)), SIZE)
    assert choice.source is not None
    assert choice.source.kind == "gluonnlp-cache"


def test_named_files_come_before_gluonnlps_cache(gluonnlp_cache: Path) -> None:
    choice = choose(FILES, SIZE)
    assert choice.source is not None
    assert choice.source.kind == "files"


def test_the_cache_is_in_the_home_folder_by_default(
    gluonnlp_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MXNET_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert choose(TokenizerSources(), SIZE).source is None
    (tmp_path / "mxnet").rename(tmp_path / ".mxnet")
    assert choose(TokenizerSources(), SIZE).source is not None


def test_a_cache_for_another_size_is_not_looked_at(gluonnlp_cache: Path) -> None:
    for path in gluonnlp_cache.iterdir():
        path.write_bytes(b"rubbish")
    assert choose(TokenizerSources(), 97) == tokenizer_source.TokenizerChoice(None)


@pytest.mark.parametrize(
    ("wrong", "note"),
    [
        (["vocab-12345678.vocab"], "vocabulary"),
        (["ranks-12345678.json"], "BPE ranks"),
        (["vocab-12345678.vocab", "ranks-12345678.json"], "vocabulary and BPE ranks"),
    ],
)
def test_a_cached_file_with_a_wrong_sha1(gluonnlp_cache: Path, roberta: Path, wrong: list[str], note: str) -> None:
    for name in wrong:
        with (gluonnlp_cache / name).open("ab") as file:
            file.write(b" ")
    notes = (f"GluonNLP's cached {note} not used: wrong SHA-1",)
    assert choose(TokenizerSources(), SIZE) == tokenizer_source.TokenizerChoice(None, notes)
    choice = choose(TokenizerSources(tokenizer=str(roberta)), SIZE)
    assert choice.source is not None
    assert (choice.source.kind, choice.notes) == ("folder", notes)


@pytest.mark.parametrize("missing", ["vocab-12345678.vocab", "ranks-12345678.json"])
def test_half_a_cache_is_none(gluonnlp_cache: Path, missing: str) -> None:
    (gluonnlp_cache / missing).unlink()
    assert choose(TokenizerSources(), SIZE) == tokenizer_source.TokenizerChoice(None)


def test_a_folder_of_roberta(roberta: Path) -> None:
    choice = choose(TokenizerSources(tokenizer=str(roberta)), SIZE)
    assert choice.source is not None
    assert choice.source.vocabulary == vocabulary()
    assert choice.source.document() == {
        "source": "folder",
        "size": SIZE,
        "sha256": {"vocab": digest(roberta / "vocab.json"), "merges": digest(BPE_RANKS)},
    }


def test_a_folder_that_transformers_saved_of_a_roberta(roberta: Path, tmp_path: Path) -> None:
    from transformers import RobertaTokenizer

    saved = tmp_path / "saved"
    RobertaTokenizer.from_pretrained(str(roberta)).save_pretrained(str(saved))
    assert "tokenizer.json" in names(saved)
    choice = choose(TokenizerSources(tokenizer=str(saved)), SIZE)
    assert choice.source is not None
    assert choice.source.vocabulary == vocabulary()
    assert dict(choice.source.sha256) == {"tokenizer": digest(saved / "tokenizer.json")}


def test_a_folder_of_our_own(tokenizer_model: Path) -> None:
    choice = choose(TokenizerSources(tokenizer=str(tokenizer_model)), SIZE)
    assert choice.source is not None
    assert choice.source.vocabulary == vocabulary()


@pytest.fixture
def hub_cache(tmp_path: Path, roberta: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hugging Face cache, holding ``someone/roberta``."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    snapshot = cache / "models--someone--roberta" / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    refs = cache / "models--someone--roberta" / "refs"
    refs.mkdir()
    (refs / "main").write_text(snapshot.name)
    for path in roberta.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def test_the_hugging_face_cache(hub_cache: Path) -> None:
    choice = choose(TokenizerSources(tokenizer="someone/roberta"), SIZE)
    assert choice.source is not None
    assert choice.source.kind == "hub"
    assert choice.source.vocabulary == vocabulary()


def test_a_cached_fast_tokenizer_comes_first(hub_cache: Path, tokenizer_model: Path) -> None:
    (hub_cache / "tokenizer.json").write_bytes((tokenizer_model / "tokenizer.json").read_bytes())
    choice = choose(TokenizerSources(tokenizer="someone/roberta"), SIZE)
    assert choice.source is not None
    assert set(choice.source.sha256) == {"tokenizer"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("someone/missing", "it is not in the cache, and the hub cannot be reached or HF_HUB_OFFLINE is set"),
        ("./missing", "Repo id must "),
        ("a/b/c", "Repo id must "),
        ("x" * 5000, "Repo id must "),
        ("/", "neither tokenizer.json nor vocab.json and merges.txt"),
    ],
)
def test_a_name_that_leads_nowhere(hub_cache: Path, name: str, found: str) -> None:
    with pytest.raises(VocabularyError, match=f"{found}.*; name a tokenizer's folder$"):
        choose(TokenizerSources(tokenizer=name), SIZE)


@pytest.fixture
def hub(roberta: Path) -> Iterator[tuple[str, list[str]]]:
    """A hub on this machine that has the two files of `roberta` in every repository: its address, and what it was asked for."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(f"{self.command} {self.path}")
            file = roberta / self.path.rpartition("/")[2]
            found = file.is_file()
            self.content = file.read_bytes() if found else b""
            self.send_response(200 if found else 404)
            for header, value in (
                ("X-Repo-Commit", "0" * 40),
                ("X-Error-Code", "" if found else "EntryNotFound"),
                ("ETag", f'"{hashlib.sha1(self.content).hexdigest()}"'),
                ("Content-Length", str(len(self.content))),
            ):
                self.send_header(header, value)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(self.content)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_download_is_made_once_and_only_when_asked_for(
    matching_checkpoint: Path, tmp_path: Path, hub: tuple[str, list[str]]
) -> None:
    address, asked = hub

    def convert_with(*options: str, offline: str = "0") -> subprocess.CompletedProcess[str]:
        arguments = [str(matching_checkpoint), str(tmp_path / "model"), "--num-heads", "4", "--force"]
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": offline}
        return subprocess.run(
            [sys.executable, "-m", "bort_convert", "convert", *arguments, *options],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert convert_with().returncode == 0
    assert convert_with("--tokenizer", "some/roberta", offline="1").returncode == 2
    assert asked == []
    done = convert_with("--tokenizer", "some/roberta")
    assert done.returncode == 0, done.stderr
    assert "1505 tokens, from the Hugging Face hub" in done.stdout
    assert [request for request in asked if request.startswith("GET /some")] == [
        "GET /some/roberta/resolve/main/vocab.json",
        "GET /some/roberta/resolve/main/merges.txt",
    ]
    asked.clear()
    for offline in ("0", "1"):
        assert convert_with("--tokenizer", "some/roberta", offline=offline).returncode == 0
    assert asked == []


def test_a_vocabulary_of_another_size(roberta: Path) -> None:
    for named in (FILES, TokenizerSources(tokenizer=str(roberta))):
        with pytest.raises(VocabularyError, match=r"1505 tokens for an embedding of 97 rows; .* id 97: .* has no row"):
            choose(named, 97)


def test_what_the_folder_holds(tokenizer_model: Path, matching_checkpoint: Path, tmp_path: Path) -> None:
    assert names(tokenizer_model) == {"config.json", "conversion.json", "model.safetensors"} | TOKENIZER_FILES
    record = json.loads((tokenizer_model / "conversion.json").read_text())
    source = choose(FILES, SIZE).source
    assert source is not None
    assert record["tokenizer"] == source.document()
    assert str(VOCAB.parent) not in (tokenizer_model / "conversion.json").read_text()
    convert(matching_checkpoint, tmp_path / "again", HEADS, tokenizer=FILES)
    for name in names(tokenizer_model):
        assert (tmp_path / "again" / name).read_bytes() == (tokenizer_model / name).read_bytes()


def test_a_folder_without_a_tokenizer(matching_checkpoint: Path, tmp_path: Path) -> None:
    conversion = convert(matching_checkpoint, tmp_path / "model", HEADS)
    assert conversion.tokenizer.source is None
    assert not names(tmp_path / "model") & TOKENIZER_FILES
    assert json.loads((tmp_path / "model" / "conversion.json").read_text())["tokenizer"] is None


def drop_last_rank(folder: Path) -> TokenizerSources:
    golden = vocabulary()
    return TokenizerSources(*write_gluonnlp(folder, golden.tokens, golden.merges[:-1]))


def cut_ranks(folder: Path) -> TokenizerSources:
    sources = write_gluonnlp(folder, vocabulary().tokens, vocabulary().merges)
    sources[1].write_bytes(sources[1].read_bytes()[:-3])
    return TokenizerSources(*sources)


def duplicate(folder: Path) -> TokenizerSources:
    golden = vocabulary()
    return TokenizerSources(*write_gluonnlp(folder, (*golden.tokens[:9], *golden.tokens[8:]), golden.merges))


def gap(folder: Path) -> TokenizerSources:
    vocab, ranks = write_gluonnlp(folder, vocabulary().tokens, vocabulary().merges)
    document = json.loads(vocab.read_text())
    document["token_to_idx"]["<mask>"] += 1
    vocab.write_text(json.dumps(document))
    return TokenizerSources(vocab, ranks)


def wrong_size(folder: Path) -> TokenizerSources:
    golden = vocabulary()
    return TokenizerSources(*write_gluonnlp(folder, golden.tokens[:-1], golden.merges))


def missing_special(folder: Path) -> TokenizerSources:
    golden = vocabulary()
    return TokenizerSources(*write_gluonnlp(folder, (*golden.tokens[:-1], "<msk>"), golden.merges))


def invalid_json(folder: Path) -> TokenizerSources:
    vocab, ranks = write_gluonnlp(folder, vocabulary().tokens, vocabulary().merges)
    vocab.write_text(vocab.read_text()[:-10])
    return TokenizerSources(vocab, ranks)


def absent(folder: Path) -> TokenizerSources:
    return TokenizerSources(folder / "absent", BPE_RANKS)


FAULTS = [drop_last_rank, cut_ranks, duplicate, gap, wrong_size, missing_special, invalid_json, absent]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_corrupt_vocabulary_writes_nothing(
    matching_checkpoint: Path, tmp_path: Path, fault: Callable[[Path], TokenizerSources], dry_run: bool
) -> None:
    sources = fault(tmp_path)
    before = names(tmp_path)
    with pytest.raises(VocabularyError) as caught:
        convert(matching_checkpoint, tmp_path / "model", HEADS, tokenizer=sources, dry_run=dry_run)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == before


def test_a_corrupt_vocabulary_replaces_nothing(matching_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    convert(matching_checkpoint, folder, HEADS, tokenizer=FILES)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(VocabularyError):
        convert(matching_checkpoint, folder, HEADS, tokenizer=missing_special(tmp_path), force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
