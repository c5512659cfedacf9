"""A Hub on loopback: the endpoints that huggingface_hub's upload and Transformers' loading use, and faults on demand.

It keeps what it is sent in memory and checks it as the Hub does: tokens, the SHA-256 of large files, one commit at a time.
Written from what huggingface_hub 2.4 sends and reads (``hf_api.py``, ``_commit_api.py``, ``lfs.py``, ``file_download.py``).
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopback_secret"
READ_ONLY_TOKEN = "hf_loopback_read"
CUT = 0
"""In place of a status: the connection is closed in the middle, without an answer."""


@dataclass
class Repository:
    """Branches by name and commits by id, each a whole tree: path to content."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        """A new commit with these files."""
        oid = hashlib.sha1(repr((len(self.commits), branch, message)).encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.messages.append(message)
        return oid

    def tree(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit and files of a branch or commit."""
        oid = self.branches.get(revision, revision)
        return (oid, self.commits[oid]) if oid in self.commits else None


@dataclass
class Fault:
    """``status`` instead of an answer to the next ``times`` requests that match; `CUT` for none."""

    method: str
    path: str
    status: int
    times: int


class Hub:
    """What the server has, what it was asked, and what it is to do wrong."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.tamper: Callable[[str, bytes], bytes] = lambda path, content: content
        """What the Hub makes of a file when it is committed."""
        self.tamper_download: Callable[[str, bytes], bytes] = lambda path, content: content
        """What it gives out instead of the file that it says it has."""
        self.lose = ""
        """A file that it leaves out of a commit."""
        self.warnings: list[str] = []
        """What it warns of in a card's metadata."""
        self.url = ""

    def fail(self, method: str, path: str, status: int, times: int = 1) -> None:
        """Lets requests fail whose path the regular expression ``path`` is found in."""
        self.faults.append(Fault(method, path, status, times))

    def asked(self, method: str, path: str) -> int:
        """How often a request was made whose path the regular expression is found in."""
        return sum(bool(re.search(f"^{method} .*{path}", request)) for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        fault = next(
            (f for f in self.hub.faults if f.times and f.method == self.command and re.search(f.path, path)), None
        )
        if fault:
            fault.times -= 1
            if fault.status == CUT:
                self.rfile.read(min(1000, int(self.headers.get("Content-Length") or 0)))
                self.close_connection = True
                self.connection.close()
                return
        body = self._body()
        if fault:
            self._json({"error": "a fault"}, fault.status)
            return
        for method, pattern, handle in _ROUTES:
            match = re.fullmatch(pattern, path)
            if method == self.command and match:
                handle(self, body, *match.groups())
                return
        self._json({"error": f"no such endpoint: {self.command} {path}"}, 404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _json(self, document: object, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._send(json.dumps(document).encode(), status, {"Content-Type": "application/json", **named})

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _may_write(self) -> bool:
        if self._token() == TOKEN:
            return True
        if self._token() == READ_ONLY_TOKEN:
            self._json({"error": "the token is for reading"}, 403)
        else:
            self._json({"error": "Invalid username or password."}, 401)
        return False

    def _tree(self, repo_id: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The files to answer with; None where an error was answered."""
        repository = self.hub.repositories.get(repo_id)
        if repository is None or (repository.private and self._token() not in (TOKEN, READ_ONLY_TOKEN)):
            self._json({"error": "Repository not found"}, 401, X_Error_Code="RepoNotFound")
            return None
        tree = repository.tree(revision)
        if tree is None:
            self._json({"error": "Revision not found"}, 404, X_Error_Code="RevisionNotFound")
        return tree

    def create(self, body: bytes) -> None:
        if not self._may_write():
            return
        asked = json.loads(body)
        repo_id = f"{asked['organization']}/{asked['name']}"
        answer = {"url": f"{self.hub.url}/{repo_id}", "name": repo_id}
        if repo_id in self.hub.repositories:
            self._json(answer | {"error": "You already created this model repo"}, 409)
            return
        repository = Repository(private=asked.get("visibility") == "private")
        repository.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"}, "initial commit")
        self.hub.repositories[repo_id] = repository
        self._json(answer)

    def branch(self, body: bytes, repo_id: str, branch: str) -> None:
        if self._may_write():
            repository = self.hub.repositories[repo_id]
            if branch in repository.branches:
                self._json({"error": "Reference already exists"}, 409)
            else:
                repository.branches[branch] = repository.branches["main"]
                self._json({})

    def validate(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        warnings = self.hub.warnings + ([] if content.startswith("---\n") else ["empty or missing yaml metadata"])
        self._json({"errors": [], "warnings": [{"message": warning} for warning in warnings]})

    def info(self, body: bytes, repo_id: str, revision: str = "main") -> None:
        if tree := self._tree(repo_id, revision):
            siblings = [{"rfilename": path} for path in tree[1]]
            private = self.hub.repositories[repo_id].private
            self._json({"id": repo_id, "sha": tree[0], "private": private, "siblings": siblings, "tags": []})

    def preupload(self, body: bytes, repo_id: str, revision: str) -> None:
        if self._may_write() and (tree := self._tree(repo_id, revision)):
            files = []
            for file in json.loads(body)["files"]:
                known = tree[1].get(file["path"])
                mode = "lfs" if _is_large(file["path"]) else "regular"
                oid = None if known is None else hashlib.sha256(known).hexdigest() if mode == "lfs" else _blob_id(known)
                files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
            self._json({"files": files})

    def batch(self, body: bytes, repo_id: str) -> None:
        if not self._may_write():
            return
        objects = []
        for each in json.loads(body)["objects"]:
            answer = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.hub.objects:
                answer["actions"] = {"upload": {"href": f"{self.hub.url}/storage/{each['oid']}"}}
            objects.append(answer)
        self._json({"transfer": "basic", "objects": objects})

    def store(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            self._json({"error": "the SHA-256 is another"}, 400)
        else:
            self.hub.objects[oid] = body
            self._json({})

    def commit(self, body: bytes, repo_id: str, revision: str) -> None:
        if not (self._may_write() and (tree := self._tree(repo_id, revision))):
            return
        files, message = dict(tree[1]), ""
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                message = value["summary"]
            elif item["key"] == "file":
                files[value["path"]] = self.hub.tamper(value["path"], base64.b64decode(value["content"]))
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.tamper(value["path"], self.hub.objects[value["oid"]])
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        files.pop(self.hub.lose, None)
        oid = self.hub.repositories[repo_id].commit(revision, files, message)
        self._json({"commitUrl": f"{self.hub.url}/{repo_id}/commit/{oid}", "commitOid": oid, "success": True})

    def listing(self, body: bytes, repo_id: str, revision: str, folder: str | None = None) -> None:
        if tree := self._tree(repo_id, revision):
            if folder:  # no folder here has anything in it
                self._json({"error": "no such folder"}, 404, X_Error_Code="EntryNotFound")
            else:
                self._json([_entry(path, content) for path, content in tree[1].items()])

    def paths(self, body: bytes, repo_id: str, revision: str) -> None:
        if tree := self._tree(repo_id, revision):
            asked = parse_qs(body.decode())["paths"]
            self._json([_entry(path, tree[1][path]) for path in asked if path in tree[1]])

    def resolve(self, body: bytes, repo_id: str, revision: str, path: str) -> None:
        if tree := self._tree(repo_id, revision):
            if path not in tree[1]:
                self._json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=tree[0])
                return
            content = tree[1][path]
            etag = hashlib.sha256(content).hexdigest() if _is_large(path) else _blob_id(content)
            content = self.hub.tamper_download(path, content)
            self._send(content, 200, {"ETag": f'"{etag}"', "X-Repo-Commit": tree[0], "Accept-Ranges": "bytes"})


_REPO = r"([\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", f"/api/models/{_REPO}", _Handler.info),
    ("GET", f"/api/models/{_REPO}/revision/(.+)", _Handler.info),
    ("POST", f"/api/models/{_REPO}/branch/(.+)", _Handler.branch),
    ("POST", f"/api/models/{_REPO}/preupload/(.+)", _Handler.preupload),
    ("POST", f"/{_REPO}\\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/storage/([0-9a-f]{64})", _Handler.store),
    ("POST", f"/api/models/{_REPO}/commit/(.+)", _Handler.commit),
    ("GET", f"/api/models/{_REPO}/tree/([^/]+)(?:/(.+))?", _Handler.listing),
    ("POST", f"/api/models/{_REPO}/paths-info/(.+)", _Handler.paths),
    ("GET", f"/{_REPO}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("HEAD", f"/{_REPO}/resolve/([^/]+)/(.+)", _Handler.resolve),
]


def _is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".bin"))


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": _blob_id(content)}
    if _is_large(path):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A Hub that answers on loopback."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
