"""The tokenizer on the command line: the options of ``convert``, and ``tokenize``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bort_convert.cli import main
from tests.golden_tokenizer import BPE_RANKS, SIZE, VOCAB, expected, vocab_document

NONE = "  tokenizer     none; --vocab FILE --bpe-ranks FILE or --tokenizer NAME adds it"


def run(*arguments: str | Path, text: str | bytes = "") -> Result:
    return CliRunner(catch_exceptions=False).invoke(main, [str(argument) for argument in arguments], input=text)


def convert(checkpoint: Path, folder: Path, *options: str | Path) -> Result:
    return run("convert", checkpoint, folder, "--num-heads", "4", *options)


def test_convert_with_the_two_files(matching_checkpoint: Path, tmp_path: Path) -> None:
    result = convert(matching_checkpoint, tmp_path / "model", "--vocab", VOCAB, "--bpe-ranks", BPE_RANKS)
    assert result.exit_code == 0, result.stderr
    assert "  tokenizer     1505 tokens, from --vocab and --bpe-ranks\n" in result.stdout
    assert (tmp_path / "model" / "tokenizer.json").is_file()


def test_convert_without_any(matching_checkpoint: Path, tmp_path: Path) -> None:
    result = convert(matching_checkpoint, tmp_path / "model")
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if "tokenizer" in line]
    assert lines == [NONE]
    assert len(NONE) <= 80
    assert not (tmp_path / "model" / "tokenizer.json").exists()


def test_convert_with_a_folder(matching_checkpoint: Path, tokenizer_model: Path, tmp_path: Path) -> None:
    result = convert(matching_checkpoint, tmp_path / "model", "--tokenizer", tokenizer_model)
    assert "  tokenizer     1505 tokens, from the folder that --tokenizer names\n" in result.stdout
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        assert (tmp_path / "model" / name).read_bytes() == (tokenizer_model / name).read_bytes()


def test_convert_says_what_it_passed_over(
    matching_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bort_convert.bort.gluonnlp_cache import CACHED_BPE_RANKS, CACHED_VOCABULARY
    from bort_convert.conversion import tokenizer_source

    monkeypatch.setattr(tokenizer_source, "CACHED_SIZE", SIZE)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    for cached in (CACHED_VOCABULARY, CACHED_BPE_RANKS):
        (tmp_path / "models" / cached.name).write_text("another")
    result = convert(matching_checkpoint, tmp_path / "model")
    assert result.exit_code == 0
    note = "  note          GluonNLP's cached vocabulary and BPE ranks not used: wrong SHA-1"
    assert result.stdout.splitlines().count(note) == 1
    assert len(note) <= 80
    assert NONE in result.stdout
    document = json.loads(convert(matching_checkpoint, tmp_path / "model", "--force", "--json").stdout)
    assert (document["tokenizer"], document["notes"]) == (None, [note.removeprefix("  note").strip()])


def test_convert_as_json(matching_checkpoint: Path, tmp_path: Path) -> None:
    files = ("--vocab", VOCAB, "--bpe-ranks", BPE_RANKS)
    result = convert(matching_checkpoint, tmp_path / "model", *files, "--json")
    document = json.loads(result.stdout)
    assert document["tokenizer"]["source"] == "files"
    assert document["tokenizer"]["size"] == SIZE
    assert set(document["tokenizer"]["sha256"]) == {"vocab", "bpe_ranks"}


def test_a_dry_run_checks_the_vocabulary(matching_checkpoint: Path, tmp_path: Path) -> None:
    good = convert(matching_checkpoint, tmp_path / "model", "--vocab", VOCAB, "--bpe-ranks", BPE_RANKS, "--dry-run")
    assert good.exit_code == 0
    assert "1505 tokens" in good.stdout
    bad = convert(matching_checkpoint, tmp_path / "model", "--vocab", BPE_RANKS, "--bpe-ranks", VOCAB, "--dry-run")
    assert bad.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_one_line(matching_checkpoint: Path, tmp_path: Path) -> None:
    document = vocab_document()
    document["idx_to_token"][6] = "ibute"
    vocab = tmp_path / "bad.vocab"
    vocab.write_text(json.dumps(document))
    result = convert(matching_checkpoint, tmp_path / "model", "--vocab", vocab, "--bpe-ranks", BPE_RANKS)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (f"Error: {vocab}: idx_to_token has 'ibute' twice, as id 4 and 6; get the file again\n")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.vocab"]


def test_a_vocabulary_without_ranks(matching_checkpoint: Path, tmp_path: Path) -> None:
    result = convert(matching_checkpoint, tmp_path / "model", "--vocab", VOCAB)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --vocab without --bpe-ranks")


def test_tokenize(tokenizer_model: Path) -> None:
    result = run("tokenize", tokenizer_model, text="Hello <mask> you\n\n self")
    assert result.exit_code == 0
    assert result.stdout == (
        "<s> H el lo <mask> Ġyou </s>\n0 850 1267 1149 1504 555 2\n\n<s> </s>\n0 2\n\n<s> Ġself </s>\n0 592 2\n\n"
    )


def test_tokenize_every_golden_text_of_one_line(tokenizer_model: Path) -> None:
    singles = [s for s in expected()["singles"] if "\n" not in s["text"] and not s["text"].endswith("\r")]
    assert len(singles) > 100
    result = run("tokenize", tokenizer_model, text="".join(single["text"] + "\n" for single in singles).encode())
    ids = [[int(id_) for id_ in line.split()] for line in result.stdout.split("\n")[1::3]]
    assert ids == [single["input_ids"] for single in singles]


def test_tokenize_pairs(tokenizer_model: Path) -> None:
    pairs = [p for p in expected()["pairs"] if not any(c in p["text_a"] + p["text_b"] for c in "\n\t\r")]
    assert len(pairs) >= 3
    text = "".join(f"{pair['text_a']}\t{pair['text_b']}\r\n" for pair in pairs)
    result = run("tokenize", tokenizer_model, "--pair", text=text.encode())
    ids = [[int(id_) for id_ in line.split()] for line in result.stdout.split("\n")[1::3]]
    assert ids == [pair["input_ids"] for pair in pairs]


def test_tokenize_a_pair_with_an_empty_text(tokenizer_model: Path) -> None:
    result = run("tokenize", tokenizer_model, "--pair", text="\t\n")
    assert result.stdout == "<s> </s> </s>\n0 2 2\n\n"


@pytest.mark.parametrize(
    ("options", "text", "found"),
    [
        ([], b"ok\ncaf\xe9\n", "standard input, line 2: not UTF-8, at byte 3; give the text in UTF-8"),
        (["--pair"], b"a\tb\nab\n", "standard input, line 2: 0 tabs; --pair takes two texts with one tab between"),
        (["--pair"], b"a\tb\tc\n", "standard input, line 1: 2 tabs; --pair takes two texts with one tab between"),
    ],
)
def test_text_that_cannot_be_read(tokenizer_model: Path, options: list[str], text: bytes, found: str) -> None:
    result = run("tokenize", tokenizer_model, *options, text=text)
    assert (result.exit_code, result.stderr) == (2, f"Error: {found}\n")


def test_tokenize_without_a_tokenizer(tmp_path: Path) -> None:
    result = run("tokenize", tmp_path, text="a\n")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "tokenizer.json: no such file; convert the checkpoint with --vocab FILE --bpe-ranks FILE" in result.stderr
