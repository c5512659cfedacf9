"""Publishing to a Hub on loopback, and loading from it; and everything that can go wrong on the way."""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import pytest

from bort_convert.errors import ModelFolderError
from bort_convert.publishing.publication import prepare
from bort_convert.publishing.upload import upload
from tests.publishing.hub import CUT, READ_ONLY_TOKEN, TOKEN, Hub
from tests.support import DATA, Result, run, run_command

NAME = "user/bort-tiny"
FILES = {
    ".gitattributes",
    "README.md",
    "LICENSE",
    "NOTICE",
    "config.json",
    "conversion.json",
    "model.safetensors",
    "verification.json",
    "verification.html",
}


def publish(folder: Path, *options: str) -> Result:
    result = run("publish", folder, NAME, *options)
    assert TOKEN not in result.stdout + result.stderr
    return result


def failure(result: Result) -> str:
    """The one line of a publication that could not be done."""
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("Error: ").rstrip("\n")


def published(hub: Hub, branch: str = "main") -> dict[str, bytes]:
    tree = hub.repositories[NAME].tree(branch)
    assert tree
    return tree[1]


LOAD = """
import sys
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM
model, report = AutoModelForMaskedLM.from_pretrained(sys.argv[1], output_loading_info=True)
assert not report["missing_keys"] and not report["unexpected_keys"], report
expected = load_file(sys.argv[2])
state = model.state_dict()
assert len(expected) > 40
for name, tensor in expected.items():
    assert state[name].dtype == tensor.dtype and state[name].equal(tensor), name
print("equal", len(expected))
"""


def test_published_and_loaded_by_a_stranger(verified_once: Path, hub: Hub, tmp_path: Path) -> None:
    """As it is used: the command in a process of its own, then ``from_pretrained`` in another, with nothing cached."""
    environment = {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
    }  # fmt: skip
    base = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | environment
    assignments = [f"{name}={value}" for name, value in base.items()]
    hub.fail("POST", "/preupload/", 500)  # retried, and not a word of it on standard error
    command = [sys.executable, "-m", "bort_convert", "publish", str(verified_once), NAME]
    result = run_command(["env", "-i", *assignments, f"HF_TOKEN={TOKEN}", *command])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Published {verified_once} → {hub.url}/{NAME}, 8 files\n")
    assert result.stdout.endswith(
        "the Hub has every file as it was sent; the tensors, downloaded again, are the card's\n"
    )
    assert max(len(line) for line in result.stdout.splitlines()[1:]) <= 88
    load = [sys.executable, "-c", LOAD, NAME, str(verified_once / "model.safetensors")]
    loaded = run_command(["env", "-i", *assignments, f"HF_HOME={tmp_path / 'stranger'}", *load])
    assert (loaded.exit_code, loaded.stdout) == (0, "equal 42\n"), loaded.stderr
    assert hub.asked("GET", f"{NAME}/resolve/.*/model.safetensors") == 2  # read back, and loaded


def test_what_is_published(verified: Path, hub: Hub) -> None:
    (verified / ".env").write_text("SECRET=1")
    (verified / "notes.txt").write_text("private")
    result = publish(verified)
    assert (result.exit_code, result.stderr) == (0, "")
    files = published(hub)
    assert set(files) == FILES
    for name in ("config.json", "conversion.json", "model.safetensors", "verification.json", "verification.html"):
        assert files[name] == (verified / name).read_bytes()
    assert hub.repositories[NAME].messages == ["initial commit", "Publish model.safetensors with bort-convert 0.1.0"]
    assert hub.asked("POST", "/commit/") == 1
    assert not any(TOKEN.encode() in content for content in files.values())


def test_publishing_again_changes_nothing(verified_once: Path, hub: Hub) -> None:
    first, second = publish(verified_once), publish(verified_once)
    assert first.exit_code == second.exit_code == 0
    assert first.stdout == second.stdout
    assert (hub.asked("PUT", "/storage/"), hub.asked("POST", "/commit/")) == (1, 1)


def test_private(verified_once: Path, hub: Hub) -> None:
    assert publish(verified_once, "--private").exit_code == 0
    assert hub.repositories[NAME].private
    assert publish(verified_once, "--private").exit_code == 0


def test_private_where_it_is_public(verified_once: Path, hub: Hub) -> None:
    assert publish(verified_once).exit_code == 0
    commits = len(hub.repositories[NAME].commits)
    assert "exists and is public, --private would not hide it" in failure(publish(verified_once, "--private"))
    assert len(hub.repositories[NAME].commits) == commits


def test_a_branch(verified_once: Path, hub: Hub) -> None:
    for _ in range(2):
        assert publish(verified_once, "--revision", "v1").exit_code == 0
    assert set(published(hub)) == {".gitattributes"}
    assert set(published(hub, "v1")) == FILES
    assert b'from_pretrained("user/bort-tiny", revision="v1")' in published(hub, "v1")["README.md"]


def test_other_weights_are_replaced(verified_once: Path, hub: Hub) -> None:
    assert publish(verified_once).exit_code == 0
    repository = hub.repositories[NAME]
    others = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.safetensors.index.json")
    repository.commit("main", published(hub) | dict.fromkeys(others, b"old") | {"eval.txt": b"kept"}, "by hand")
    assert publish(verified_once).exit_code == 0
    assert set(published(hub)) == FILES | {"eval.txt"}


class TestWhatTheHubHasIsCompared:
    @pytest.mark.parametrize("name", ["model.safetensors", "README.md", "config.json"])
    def test_a_file_that_came_out_differently(self, verified_once: Path, hub: Hub, name: str) -> None:
        hub.tamper = lambda path, content: content[:-1] + bytes([content[-1] ^ 1]) if path == name else content
        result = publish(verified_once)
        assert (result.exit_code, result.stderr) == (1, "")
        assert f"  DIFFERENT      {name} " in result.stdout
        assert ("the tensors' digest is " in result.stdout) == (name == "model.safetensors")
        assert "as it was sent" not in result.stdout

    def test_a_download_that_is_not_what_the_hub_says(self, verified_once: Path, hub: Hub) -> None:
        hub.tamper_download = lambda path, content: content[:-1] + bytes([content[-1] ^ 1])
        result = publish(verified_once)
        assert result.exit_code == 1
        (line,) = (line for line in result.stdout.splitlines() if "DIFFERENT" in line)
        assert "the tensors' digest is " in line

    def test_a_download_that_is_no_model(self, verified_once: Path, hub: Hub) -> None:
        hub.tamper_download = lambda path, content: bytes(len(content))
        result = publish(verified_once)
        assert result.exit_code == 1
        assert "  DIFFERENT      model.safetensors does not read back: " in result.stdout

    def test_a_file_that_is_missing(self, verified_once: Path, hub: Hub) -> None:
        hub.lose = "NOTICE"
        result = publish(verified_once)
        assert result.exit_code == 1
        assert "  DIFFERENT      NOTICE is not in the commit\n" in result.stdout

    def test_it_cannot_be_read_back(self, verified_once: Path, hub: Hub) -> None:
        hub.fail("POST", "/paths-info/", 403)
        assert "everything was committed (" in failure(publish(verified_once))

    def test_what_is_in_the_cache_is_downloaded_again(
        self, verified_once: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from huggingface_hub import constants, hf_hub_download

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        assert publish(verified_once).exit_code == 0
        hf_hub_download(NAME, "model.safetensors")
        hub.tamper_download = lambda path, content: content[:-1] + bytes([content[-1] ^ 1])
        result = publish(verified_once)
        assert result.exit_code == 1
        assert "the tensors' digest is " in result.stdout


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_changes_between_the_checks_and_the_upload(verified: Path, hub: Hub, name: str) -> None:
    (verified / "tokenizer.json").write_text("{}")
    publication = prepare(verified, NAME, allow_unverified=True)
    path = verified / name
    path.write_bytes(path.read_bytes() + b"\n")
    message = re.escape(f"{path}: has changed since it was checked; publish again; nothing was done")
    with pytest.raises(ModelFolderError, match=message):
        upload(publication)
    path.unlink()
    message = re.escape(f"{path}: cannot be read any more; publish again; nothing was done")
    with pytest.raises(ModelFolderError, match=message):
        upload(publication)
    assert hub.requests == []


class TestFailures:
    def test_no_token(self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HF_TOKEN")
        message = failure(publish(verified_once))
        assert message == "no token for the Hub; run: hf auth login, or set HF_TOKEN; nothing was done"
        assert hub.requests == []

    @pytest.mark.parametrize("token", ["hf_SECRET\x0cSECRET", "hf_SECRET\u201d", "hf_SECRET SECRET", "hf_SECRET\x7f"])
    def test_a_token_that_is_none_is_not_shown(
        self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        message = failure(publish(verified_once))
        assert message == "the Hub token has characters that no token has; set HF_TOKEN again; nothing was done"
        assert hub.requests == []

    def test_the_token_is_sent_where_it_is_not_sent_by_default(
        self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
        assert publish(verified_once, "--private").exit_code == 0

    def test_offline(self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub import constants
        from huggingface_hub.utils import _http

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        _http.close_session()
        message = failure(publish(verified_once))
        assert message == "HF_HUB_OFFLINE is set, which forbids to use the network; unset it; nothing was done"

    def test_401(self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_expired_secret")
        result = publish(verified_once)
        assert failure(result) == "the Hub does not accept the token (401); run: hf auth login; nothing was done"
        assert "hf_expired_secret" not in result.stderr

    def test_403(self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", READ_ONLY_TOKEN)
        message = failure(publish(verified_once))
        assert message.startswith("the token may not write there (403); give it write access at ")
        assert message.endswith("; nothing was done")
        assert hub.repositories == {}

    def test_403_where_the_repository_exists(
        self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert publish(verified_once).exit_code == 0
        monkeypatch.setenv("HF_TOKEN", READ_ONLY_TOKEN)
        message = failure(publish(verified_once))
        assert message.startswith("the token may not write there (403)")
        assert message.endswith(f"; {NAME} exists, no commit to it was confirmed")

    def test_409(self, verified_once: Path, hub: Hub) -> None:
        hub.fail("POST", "/commit/", 409)
        message = failure(publish(verified_once))
        assert message == (
            "the repository was changed at the same time (409); run the command again; "
            f"{NAME} exists, no commit to it was confirmed"
        )
        assert publish(verified_once).exit_code == 0

    @pytest.mark.parametrize("path", ["/preupload/", "/objects/batch", "/storage/"])
    def test_500_then_success(self, verified_once: Path, hub: Hub, path: str) -> None:
        hub.fail("PUT" if path == "/storage/" else "POST", path, 500, times=2)
        result = publish(verified_once)
        assert (result.exit_code, result.stderr) == (0, "")
        assert set(published(hub)) == FILES

    @pytest.mark.parametrize("path", ["/repos/create", "/preupload/", "/objects/batch", "/storage/", "/commit/"])
    @pytest.mark.parametrize("status", [500, 503])
    def test_5xx_for_good(self, verified_once: Path, hub: Hub, path: str, status: int) -> None:
        hub.fail("PUT" if path == "/storage/" else "POST", path, status, times=100)
        message = failure(publish(verified_once))
        assert message.startswith(f"the Hub failed ({status}); run the command again, only what is missing is sent; ")
        done = "nothing was done" if path == "/repos/create" else f"{NAME} exists, no commit to it was confirmed"
        assert message.endswith(done)
        hub.faults.clear()
        assert publish(verified_once).exit_code == 0
        assert set(published(hub)) == FILES

    def test_cut_in_the_middle_of_the_weights_once(self, verified_once: Path, hub: Hub) -> None:
        hub.fail("PUT", "/storage/", CUT)
        assert publish(verified_once).exit_code == 0
        assert hub.asked("PUT", "/storage/") == 2
        assert set(published(hub)) == FILES

    def test_cut_in_the_middle_of_the_weights_for_good(self, verified_once: Path, hub: Hub) -> None:
        hub.fail("PUT", "/storage/", CUT, times=100)
        message = failure(publish(verified_once))
        assert message.startswith("the connection to the Hub failed (")
        assert message.endswith(f"; {NAME} exists, no commit to it was confirmed")
        assert set(published(hub)) == {".gitattributes"}
        hub.faults.clear()
        assert publish(verified_once).exit_code == 0
        assert set(published(hub)) == FILES

    def test_cut_at_the_commit_sends_the_weights_once(self, verified_once: Path, hub: Hub) -> None:
        hub.fail("POST", "/commit/", CUT)
        message = failure(publish(verified_once))
        assert message.startswith("the connection to the Hub failed (")
        assert message.endswith(f"; {NAME} exists, no commit to it was confirmed")
        assert publish(verified_once).exit_code == 0
        assert hub.asked("PUT", "/storage/") == 1
        assert set(published(hub)) == FILES

    def test_nobody_there(self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whichever HTTP library huggingface_hub has, which this package does not ask for."""
        from huggingface_hub import constants

        for library in ("httpx", "httpx2", "requests"):
            monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        message = failure(publish(verified_once))
        assert message.startswith("the connection to the Hub failed (")
        assert message.endswith("; nothing was done")

    def test_a_refusal_of_another_kind(self, verified_once: Path, hub: Hub) -> None:
        hub.fail("POST", "/commit/", 413)
        assert failure(publish(verified_once)).startswith("the Hub refused (413): a fault; ")

    def test_a_branch_that_the_hub_will_not_make(self, verified_once: Path, hub: Hub) -> None:
        hub.fail("POST", "/branch/", 404)
        message = failure(publish(verified_once, "--revision", "v1"))
        assert message.startswith("no such repository or revision, or the token may not see it (404)")

    def test_an_answer_that_is_none(self, verified_once: Path, hub: Hub) -> None:
        hub.fail("POST", "/preupload/", 200)
        assert failure(publish(verified_once)).startswith("the Hub's client failed: ")


BLOCKED = """
import socket, sys
def refuse(*arguments, **options):
    raise SystemError("the network was touched")
for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse
from bort_convert.cli import main
main(sys.argv[1:])
"""


class TestDryRun:
    def test_touches_no_network(self, verified_once: Path, hub: Hub) -> None:
        """Every way to the network is blocked; that the block blocks is seen where the dry run is left out."""
        environment = ["env", f"HF_ENDPOINT={hub.url}", "HF_HUB_OFFLINE=0", f"HF_TOKEN={TOKEN}", "HF_HUB_DISABLE_XET=1"]
        command = [*environment, sys.executable, "-c", BLOCKED, "publish", str(verified_once), NAME]
        dry = run_command([*command, "--dry-run"])
        assert (dry.exit_code, dry.stderr) == (0, "")
        assert dry.stdout.startswith("Would publish 8 files as user/bort-tiny\n")
        wet = run_command(command)
        assert wet.exit_code != 0
        assert "the network was touched" in wet.stderr
        assert hub.requests == []

    def test_needs_no_token(self, verified_once: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HF_TOKEN")
        assert publish(verified_once, "--dry-run").exit_code == 0
        assert hub.requests == []

    def test_shows_what_is_then_published(self, verified_once: Path, hub: Hub) -> None:
        text = publish(verified_once, "--dry-run").stdout
        assert publish(verified_once).exit_code == 0
        for name, content in published(hub).items():
            if name != ".gitattributes":
                digest = hashlib.sha256(content).hexdigest()
                assert f"\n  {name}  {len(content):,} bytes\n    SHA-256 {digest}\n" in text
        assert text.endswith(published(hub)["README.md"].decode())


def test_unverified_is_published_as_such(hub: Hub, tmp_path: Path) -> None:
    assert run("convert", DATA / "bort_tiny_encoder.params", tmp_path / "m", "--num-heads", "4").exit_code == 0
    assert publish(tmp_path / "m").exit_code == 2
    assert hub.requests == []
    result = publish(tmp_path / "m", "--allow-unverified")
    assert result.exit_code == 0
    assert result.stderr.startswith("Not verified: ")
    assert b"**Not verified.**" in published(hub)["README.md"]
    assert "verification.json" not in published(hub)


def test_nothing_of_an_earlier_publication_stays(verified: Path, hub: Hub) -> None:
    """A proof of what is there no more, a tokenizer beside "There is no tokenizer here"."""
    assert publish(verified).exit_code == 0
    (verified / "tokenizer.json").write_text("{}")
    assert publish(verified, "--allow-unverified").exit_code == 0
    proof = {"verification.json", "verification.html"}
    assert set(published(hub)) == (FILES | {"tokenizer.json"}) - proof
    (verified / "tokenizer.json").unlink()
    assert publish(verified).exit_code == 0
    assert set(published(hub)) == FILES


def test_what_the_hub_warns_of_is_shown(verified_once: Path, hub: Hub) -> None:
    hub.warnings = ["base_model is not known"]
    result = publish(verified_once)
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: ")
    assert "base_model is not known" in result.stderr


def test_the_report_names_what_was_sent(verified_once: Path, hub: Hub) -> None:
    """What a stranger can check without this tool: the report's digests are those of the published files."""
    assert publish(verified_once).exit_code == 0
    files = published(hub)
    report = json.loads(files["verification.json"])
    assert report["model_sha256"] == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert set(report["text_files_sha256"]) == {"config.json", "conversion.json"}
    for name, digest in report["text_files_sha256"].items():
        assert hashlib.sha256(files[name]).hexdigest() == digest
