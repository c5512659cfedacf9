"""A folder with a real verification, and a Hub to publish it to."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publishing.hub import TOKEN, Hub, running_hub
from tests.support import DATA, run_process

CHECKPOINT = DATA / "bort_tiny_mlm.params"


@pytest.fixture(scope="session")
def verified_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of the golden MLM checkpoint, with the reports of its verification in it. Not to be changed."""
    return _verified(tmp_path_factory.mktemp("verified") / "model")


@pytest.fixture(scope="session")
def verified_rounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in float16. Not to be changed."""
    return _verified(tmp_path_factory.mktemp("rounded") / "model", "--dtype", "float16")


def _verified(folder: Path, *options: str) -> Path:
    assert run_process("convert", CHECKPOINT, folder, "--num-heads", "4", *options).exit_code == 0
    reports = ("--json", folder / "verification.json", "--html", folder / "verification.html")
    result = run_process("verify", CHECKPOINT, folder, "--lengths", "1,5", *reports)
    assert (result.exit_code, result.stderr) == (0, ""), result.stdout
    return folder


@pytest.fixture
def verified(verified_once: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(verified_once, tmp_path / "verified"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub on loopback, which huggingface_hub in this process talks to by plain LFS; waiting before a retry takes no time."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with running_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        _http.close_session()  # a session that was made offline stays so
        yield hub
        _http.close_session()
