"""What would be published: the files with their digests, and the card. Made offline, shown by a dry run, then uploaded."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bort_convert.errors import InvalidOptionError, UnverifiedError
from bort_convert.publishing import notices
from bort_convert.publishing.card import model_card
from bort_convert.publishing.checks import (
    HTML_REPORT_NAME,
    REPORT_NAME,
    ModelFolder,
    check_html_report,
    check_report,
    read_folder,
    read_report,
)

CARD_NAME = "README.md"
_NO_REVISION = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-./]|[./]$|^@?$")
"""What no name of a branch has, as git check-ref-format has it."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of the repository: the text that was made for it, or the path of the file that it is."""

    name: str
    content: str | Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Publication:
    """Everything that is published, and nothing else is.

    ``unverified`` says why there is no verification; it is empty where there is one.
    """

    repo_id: str
    revision: str | None
    files: tuple[PublishedFile, ...]
    card: str
    model_file: str
    tensor_digest: str
    unverified: str


def prepare(
    model_dir: str | os.PathLike[str],
    repo_id: str,
    *,
    report: str | os.PathLike[str] | None = None,
    html_report: str | os.PathLike[str] | None = None,
    allow_unverified: bool = False,
    base_model: str | None = None,
    revision: str | None = None,
) -> Publication:
    """Checks ``model_dir`` and its verification, and makes everything that is to be published. Touches no network.

    ``report`` is the JSON file that `verify` wrote, by default ``verification.json`` in the folder; ``html_report`` the page, by
    default ``verification.html`` in the folder if there is one. Raises UnverifiedError without a passing verification of these
    very bytes, unless ``allow_unverified``; ModelFolderError, CardError, or InvalidOptionError for an impossible name or branch.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    model_dir = Path(model_dir)
    try:
        validate_repo_id(repo_id)
        namespaced = repo_id.count("/") == 1
    except HFValidationError:
        namespaced = False
    if not namespaced:
        raise InvalidOptionError(f"{repo_id!r} is not a repository's name on the Hub; give user/name")
    if revision is not None and _NO_REVISION.search(revision):
        raise InvalidOptionError(f"--revision {revision!r} is not a branch's name in Git; give one like v1")
    folder = read_folder(model_dir)
    report_path = Path(report) if report else model_dir / REPORT_NAME
    html_path = Path(html_report) if html_report else model_dir / HTML_REPORT_NAME
    verification: Mapping[str, Any] | None = None
    unverified = ""
    try:
        verification = read_report(report_path)
        check_report(verification, report_path, folder)
        if html_report or html_path.exists():
            check_html_report(html_path, verification, folder)
    except UnverifiedError as error:
        if not allow_unverified:
            raise UnverifiedError(f"{error}, or publish with --allow-unverified") from error
        verification, unverified = None, str(error)
    card = model_card(folder, repo_id, verification, base_model=base_model, revision=revision)
    files = [
        _made(CARD_NAME, card),
        _made("LICENSE", notices.license_text()),
        _made("NOTICE", notices.notice_text(folder)),
    ]
    files += [_copied(name, folder) for name in folder.sha256]
    if verification:
        files.append(_made(REPORT_NAME, report_path.read_text(encoding="utf-8")))
        if html_report or html_path.exists():
            files.append(_made(HTML_REPORT_NAME, html_path.read_text(encoding="utf-8")))
    return Publication(
        repo_id=repo_id,
        revision=revision,
        files=tuple(sorted(files, key=lambda file: file.name)),
        card=card,
        model_file=folder.model_file,
        tensor_digest=folder.tensor_digest,
        unverified=unverified,
    )


def _made(name: str, text: str) -> PublishedFile:
    data = text.encode()
    return PublishedFile(name, text, len(data), hashlib.sha256(data).hexdigest())


def _copied(name: str, folder: ModelFolder) -> PublishedFile:
    path = folder.path / name
    return PublishedFile(name, path, path.stat().st_size, folder.sha256[name])
