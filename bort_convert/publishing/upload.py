"""The upload: one commit through huggingface_hub, then what the Hub has is held against what was meant."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bort_convert import __version__
from bort_convert.conversion.contents import TEXT_FILES
from bort_convert.conversion.pytorch_writer import PYTORCH_NAME
from bort_convert.conversion.safetensors_writer import MODEL_NAME
from bort_convert.errors import BortConvertError, HubError, ModelFolderError
from bort_convert.publishing.checks import HTML_REPORT_NAME, REPORT_NAME
from bort_convert.publishing.digest import tensor_digest
from bort_convert.publishing.publication import Publication, PublishedFile

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

_HTTP_LIBRARIES = ("httpx", "httpx2", "requests")
"""What huggingface_hub speaks HTTP with, by its version."""
_REPLACED = {
    *TEXT_FILES,
    *(name + suffix for name in (MODEL_NAME, PYTORCH_NAME) for suffix in ("", ".index.json")),
    REPORT_NAME,
    HTML_REPORT_NAME,
}
"""What says something of the weights, and is deleted where this publication has no such file of its own. Of weights in several
files the index is what Transformers looks for."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A commit on the Hub.

    ``warnings`` is what the Hub said of the card's metadata; ``differences`` says in what the Hub's files are not those that
    were sent, and is empty where all is well.
    """

    url: str
    commit: str
    warnings: tuple[str, ...]
    differences: tuple[str, ...]


def upload(
    publication: Publication, *, private: bool = False, progress: Callable[[str], None] = lambda step: None
) -> Upload:
    """Creates the repository where it does not exist, commits all files at once, and compares what the Hub then has.

    The token is that of ``HF_TOKEN`` or ``hf auth login``. What an interrupted upload had sent is not sent again. Raises
    HubError, whose message says what was done and what was not, and ModelFolderError where a file is not the one of the
    ``publication`` any more.
    """
    from huggingface_hub import HfApi

    repo_id, revision = publication.repo_id, publication.revision
    state = _State("nothing was done")
    with _quiet() as warnings, _one_line(state), tempfile.TemporaryDirectory(prefix="bort-convert-") as temporary:
        api = HfApi(token=_token(), library_name="bort-convert", library_version=__version__)
        additions = [_addition(publication, file) for file in publication.files]
        progress("Creating the repository")
        url = api.create_repo(repo_id, private=private or None, exist_ok=True)
        state.done = f"{repo_id} exists, no commit to it was confirmed"
        if private and not api.repo_info(repo_id).private:
            raise HubError(f"{repo_id} exists and is public, --private would not hide it; choose another; {state.done}")
        if revision and not revision.startswith("refs/"):
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        progress("Uploading")
        commit = api.create_commit(
            repo_id,
            [*additions, *_deletions(api, publication)],
            revision=revision,
            commit_message=f"Publish {publication.model_file} with bort-convert {__version__}",
        )
        state.done = f"everything was committed ({commit.oid}), but not compared with what was sent"
        progress("Comparing")
        differences = (
            *_compare_files(api, publication, additions, commit.oid),
            *_compare_tensors(api, publication, Path(temporary), commit.oid),
        )
    return Upload(str(url), commit.oid, tuple(warnings), differences)


def _token() -> str:
    """The user's token. One that no header can hold is refused here: the HTTP library's error would show it."""
    from huggingface_hub import get_token

    token = get_token()
    if token is None:
        raise HubError("no token for the Hub; run: hf auth login, or set HF_TOKEN; nothing was done")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise HubError("the Hub token has characters that no token has; set HF_TOKEN again; nothing was done")
    return token


@dataclass
class _State:
    """How far the upload came, in words."""

    done: str


def _addition(publication: Publication, file: PublishedFile) -> "CommitOperationAdd":
    """A file as it is sent, held against what was checked: its bytes, which nobody can change any more, or, for the weights,
    its path and the SHA-256 that the Hub will hold the bytes against."""
    from huggingface_hub import CommitOperationAdd

    content = file.content.encode() if isinstance(file.content, str) else file.content
    try:
        if isinstance(content, Path) and file.name != publication.model_file:
            content = content.read_bytes()
        addition = CommitOperationAdd(file.name, content)
    except (OSError, ValueError) as error:  # a path that is no file any more is a ValueError
        raise ModelFolderError(f"{file.content}: cannot be read any more; publish again; nothing was done") from error
    if addition.upload_info.sha256.hex() != file.sha256:
        raise ModelFolderError(f"{file.content}: has changed since it was checked; publish again; nothing was done")
    return addition


def _deletions(api: "HfApi", publication: Publication) -> list["CommitOperationDelete"]:
    """What an earlier publication, or another model, left there and this one does not replace: it would be of other weights."""
    from huggingface_hub import CommitOperationDelete

    present = api.list_repo_files(publication.repo_id, revision=publication.revision)
    stale = _REPLACED - {file.name for file in publication.files}
    return [CommitOperationDelete(name) for name in present if name in stale]


def _compare_files(
    api: "HfApi", publication: Publication, additions: Sequence["CommitOperationAdd"], commit: str
) -> Iterator[str]:
    """The Hub's own account of the commit: SHA-256 and size of files in large storage, Git's hash of the others."""
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils.sha import git_hash

    names = [file.name for file in publication.files]
    infos = api.get_paths_info(publication.repo_id, names, revision=commit)
    found = {info.path: info for info in infos if isinstance(info, RepoFile)}
    for file, addition in zip(publication.files, additions, strict=True):
        info = found.get(file.name)
        if info is None:
            yield f"{file.name} is not in the commit"
        elif info.lfs:
            if info.lfs.sha256 != file.sha256:
                yield f"{file.name} has SHA-256 {info.lfs.sha256}, sent was {file.sha256}"
        else:
            with addition.as_file() as sent:
                if info.blob_id != git_hash(sent.read()):
                    yield f"{file.name} is not the file that was sent"


def _compare_tensors(api: "HfApi", publication: Publication, folder: Path, commit: str) -> Iterator[str]:
    """The model file as anyone gets it, downloaded again: the digest of its tensors against the card's."""
    # Forced, for huggingface_hub would else copy it from its cache.
    name = publication.model_file
    api.hf_hub_download(publication.repo_id, name, revision=commit, local_dir=folder, force_download=True)
    try:
        digest = tensor_digest(folder)
    except BortConvertError as error:
        yield f"{publication.model_file} does not read back: {error}"
    else:
        if digest != publication.tensor_digest:
            yield f"the tensors' digest is {digest}, the card says {publication.tensor_digest}"


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keeps huggingface_hub from writing to standard error; what it warns of the metadata is put into the list."""
    import warnings

    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    verbosity, bars = logging.get_verbosity(), not are_progress_bars_disabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    disable_progress_bars()
    texts: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield texts
            texts += [" ".join(str(each.message).split()) for each in caught if each.category is UserWarning]
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            enable_progress_bars()


@contextmanager
def _one_line(state: _State) -> Iterator[None]:
    """Turns whatever huggingface_hub and its transports raise into one HubError."""
    try:
        yield
    except BortConvertError:
        raise
    except Exception as error:  # the client, its HTTP library and its storage back ends each have their own
        raise HubError(f"{_reason(error)}; {state.done}") from error


def _reason(error: BaseException) -> str:
    """What went wrong and what to do. The cause of an error that only says which file it was is looked for."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    chain: list[Any] = [error]
    while cause := chain[-1].__cause__:
        chain.append(cause)
    for each in chain:
        if isinstance(each, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set, which forbids to use the network; unset it"
        if isinstance(each, HfHubHTTPError) and each.response is not None:
            return _refusal(each.response.status_code, each)
        if isinstance(each, ConnectionError) or type(each).__module__.partition(".")[0] in _HTTP_LIBRARIES:
            return f"the connection to the Hub failed ({_first_line(each)}); run the command again, only what is missing is sent"
    return f"the Hub's client failed: {_first_line(error)}"


def _refusal(status: int, error: Any) -> str:
    advice = {
        401: "the Hub does not accept the token (401); run: hf auth login",
        403: "the token may not write there (403); give it write access at https://huggingface.co/settings/tokens, or choose "
        "another REPO_ID",
        404: "no such repository or revision, or the token may not see it (404); check REPO_ID and --revision",
        409: "the repository was changed at the same time (409); run the command again",
        429: "the Hub has had too many requests (429); wait, then run the command again",
    }
    if status in advice:
        return advice[status]
    if status >= 500:
        return f"the Hub failed ({status}); run the command again, only what is missing is sent"
    return f"the Hub refused ({status}): {error.server_message or _first_line(error)}"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
