"""The routes of the Hub that the clients use, on a [`Store`]."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

from tests.support.hub_cards import card_problems, front_matter
from tests.support.hub_store import DATE, Commit, File, HubError, Repo

ROUTES: list[tuple[str, re.Pattern, Callable]] = []
KINDS = r"(?P<kind>model|dataset|space)s"
API = rf"/api/{KINDS}/(?P<name>[^/]+/[^/]+)"
FILES = r"/(?:(?P<kind>dataset|space)s/)?(?P<name>[^/]+/[^/]+)"


@dataclass
class Answer:
    """Status, body and headers of what is sent back."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, data, status: int = 200, headers: dict[str, str] | None = None) -> "Answer":
        return cls(json.dumps(data).encode(), status, {"Content-Type": "application/json", **(headers or {})})


@dataclass
class Call:
    """A request with what its route took from the path."""

    hub: object
    query: dict[str, list[str]]
    headers: object
    body: bytes
    token: str | None
    path: str
    parts: dict[str, str]

    @property
    def data(self):
        return json.loads(self.body or b"{}")

    @property
    def store(self):
        return self.hub.store

    def repo(self, write: bool = False) -> Repo:
        return self.store.repo(self.parts["kind"], self.parts["name"], self.token, write)


def answer(hub, method: str, path: str, query: dict, headers, body: bytes, token: str | None) -> Answer:
    """Finds the route of a request and follows it."""
    for wanted, pattern, function in ROUTES:
        found = pattern.fullmatch(path)
        if found and wanted == (method if method != "HEAD" else "GET"):
            parts = {name: unquote(value) for name, value in found.groupdict().items() if value}
            parts = {"kind": "model", "revision": "main", **parts}
            return function(Call(hub, query, headers, body, token, path, parts))
    raise HubError(404, f"no such route: {method} {path}")


def route(method: str, path: str) -> Callable:
    return lambda function: ROUTES.append((method, re.compile(path), function)) or function


@route("GET", "/api/whoami-v2")
def whoami(call):
    account, role = call.store.account(call.token, needed=True)
    token = {"accessToken": {"displayName": "test", "role": role}}
    return Answer.json({"type": "user", "name": account, "fullname": account, "orgs": [], "auth": token})


@route("POST", "/api/repos/create")
def create(call):
    data = call.data
    kind, private = data.get("type") or "model", data.get("visibility") == "private"
    repo, new = call.store.create(kind, data["name"], data.get("organization"), private, call.token, data.get("sdk"))
    there = {} if new else {"error": f"You already created this {kind} repo"}
    return Answer.json({"url": f"{call.hub.url}/{repo.path}", **there}, 200 if new else 409)


@route("POST", "/api/validate-yaml")
def validate_yaml(call):
    found = dict(zip(("errors", "warnings"), card_problems(call.data["content"], call.data["repoType"]), strict=True))
    lists = {name: [{"message": text} for text in texts] for name, texts in found.items()}
    return Answer.json(lists, 400 if found["errors"] else 200)


@route("POST", f"{API}/preupload/(?P<revision>[^/]+)")
def preupload(call):
    repo = call.repo(write=True)
    there, modes = repo.at(call.parts["revision"]).files, []
    for file in call.data["files"]:
        path, sample = file["path"], base64.b64decode(file["sample"])
        lfs = repo.wants_lfs(path, file["size"], sample)
        oid = {"oid": there[path].etag} if path in there else {}
        modes.append({"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, **oid})
    return Answer.json({"files": modes})


@route("POST", rf"{FILES}\.git/info/lfs/objects/batch")
def lfs_batch(call):
    repo, objects = call.repo(write=True), []
    for wanted in call.data["objects"]:
        entry = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in repo.objects:
            href = f"{call.hub.url}/lfs/{repo.type}s/{repo.id}/{wanted['oid']}"
            entry["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        objects.append(entry)
    return Answer.json({"transfer": "basic", "objects": objects})


LFS = rf"/lfs/{KINDS}/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{{64}})"


@route("PUT", LFS)
def lfs_put(call):
    # No token: its address is the permission, as that of a storage service.
    repo = call.store.repos[call.parts["kind"], call.parts["name"]]
    if hashlib.sha256(call.body).hexdigest() != call.parts["oid"]:
        raise HubError(400, f"the content is not that of {call.parts['oid']}")
    repo.objects[call.parts["oid"]] = call.body
    return Answer()


@route("POST", f"{LFS}/verify")
def lfs_verify(call):
    there = call.repo(write=True).objects.get(call.data["oid"])
    if there is None or len(there) != call.data["size"]:
        raise HubError(404, "the object is not there, or has another size")
    return Answer.json({})


@route("POST", f"{API}/commit/(?P<revision>[^/]+)")
def commit(call):
    repo = call.repo(write=True)
    if "create_pr" in call.query:
        raise HubError(501, "no pull requests here")
    operations = [json.loads(line) for line in call.body.splitlines()]
    for value in (operation["value"] for operation in operations if operation["key"] == "file"):
        value["content"] = base64.b64decode(value["content"])
    made = repo.commit(call.parts["revision"], operations, call.store.account(call.token)[0])
    url = f"{call.hub.url}/{repo.path}/commit/{made.id}"
    return Answer.json({"success": True, "commitUrl": url, "commitOid": made.id, "pullRequestUrl": None})


def _entry(repo: Repo, path: str, commit: Commit, expand: bool) -> dict | None:
    """How a listing shows a file or a folder."""
    file = commit.files.get(path)
    if file is None:
        folder = {"type": "directory", "path": path, "oid": commit.id, "size": 0}
        return folder if path in repo.folders(commit) else None
    entry = {"type": "file", "path": path, "oid": file.oid, "size": len(file.content)}
    last = {"id": file.commit, "title": repo.commits[file.commit].title, "date": DATE}
    lfs = {"lfs": {"oid": file.sha256, **file.sizes}} if file.lfs else {}
    return entry | lfs | ({"lastCommit": last} if expand else {})


@route("GET", f"{API}(?:/revision/(?P<revision>[^/]+))?")
def info(call):
    repo = call.repo()
    head = repo.at(call.parts["revision"])
    siblings = [
        {"rfilename": path, **({"size": len(file.content), "blobId": file.oid} if "blobs" in call.query else {})}
        | ({"lfs": {"sha256": file.sha256, **file.sizes}} if file.lfs and "blobs" in call.query else {})
        for path, file in sorted(head.files.items())
    ]
    card = front_matter(head.files.get("README.md", File(b"", False)).content.decode())
    fields = {"id": repo.id, "author": repo.owner, "sha": head.id, "private": repo.private, "gated": False}
    fields |= {"createdAt": DATE, "lastModified": DATE, "downloads": 0, "likes": 0, "disabled": False}
    fields |= {"tags": card.get("tags", []), "cardData": card, "siblings": siblings}
    return Answer.json(fields | {"model": {"modelId": repo.id}, "space": {"sdk": repo.sdk}}.get(repo.type, {}))


@route("GET", f"{API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
def tree(call):
    repo = call.repo()
    head, folder = repo.at(call.parts["revision"]), call.parts.get("folder")
    prefix = f"{folder}/" if folder else ""
    flag = {name: call.query.get(name, [""])[0].lower() in ("true", "1") for name in ("recursive", "expand")}
    paths = [path for path in sorted({*head.files, *repo.folders(head)}) if path.startswith(prefix)]
    if folder and not paths:
        raise HubError(404, f"{folder} does not exist on {call.parts['revision']!r}", "EntryNotFound")
    paths = [path for path in paths if flag["recursive"] or "/" not in path[len(prefix) :]]
    return Answer.json([_entry(repo, path, head, flag["expand"]) for path in paths])


@route("POST", f"{API}/paths-info/(?P<revision>[^/]+)")
def paths_info(call):
    repo, form = call.repo(), parse_qs(call.body.decode())
    expand = form.get("expand", ["false"])[0].lower() == "true"
    entries = [_entry(repo, path, repo.at(call.parts["revision"]), expand) for path in form.get("paths", [])]
    return Answer.json(list(filter(None, entries)))


@route("POST", f"{API}/branch/(?P<new>[^/]+)")
def branch(call):
    repo, new = call.repo(write=True), call.parts["new"]
    if new in repo.branches:
        raise HubError(409, f"Reference already exists: {new}")
    repo.branches[new] = repo.at(call.data.get("startingPoint") or "main").id
    return Answer.json({})


@route("GET", f"{FILES}/resolve/(?P<revision>[^/]+)/(?P<in_repo>.+)")
def resolve(call):
    repo = call.repo()
    head = repo.at(call.parts["revision"])
    file = repo.file(call.parts["in_repo"], head.id)
    size = len(file.content)
    headers = {"ETag": f'"{file.etag}"', "X-Repo-Commit": head.id, "Content-Type": "application/octet-stream"}
    headers |= {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": str(size)} if file.lfs else {}
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range", ""))
    if wanted is None:
        return Answer(file.content, 200, headers)
    start, stop = int(wanted[1]), min(size, int(wanted[2] or size) + 1)
    return Answer(file.content[start:stop], 206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"})
