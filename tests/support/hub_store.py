"""What a Hub for tests knows: accounts, repositories, commits, large files. No HTTP here."""

import hashlib
import json
import re
from dataclasses import dataclass, field

from tests.support.hub_cards import SDKS

TYPES = ("model", "dataset", "space")
DATE = "2026-01-02T03:04:05.000Z"  # of everything: nothing that a client does depends on it
REGULAR_BYTES = 10_000_000  # the Hub takes larger files as LFS only
LFS_SUFFIXES = {
    "model": ("bin", "safetensors", "onnx", "pt", "pth", "pkl", "npz", "npy", "parquet", "arrow", "zip", "gz"),
    "dataset": ("parquet", "arrow", "png", "jpg", "jpeg", "webp", "gif", "zip", "gz", "tar", "npy", "npz", "bin"),
}
LFS_SUFFIXES["space"] = LFS_SUFFIXES["model"]


class HubError(Exception):
    """An answer that is an error, as the Hub words it."""

    def __init__(self, status: int, message: str, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class File:
    """One version of a file, the commit that wrote it, and whether git only knows a pointer to it."""

    content: bytes
    lfs: bool
    commit: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return text.encode()

    @property
    def oid(self) -> str:
        """The name git has for it."""
        blob = self.pointer if self.lfs else self.content
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()

    @property
    def sizes(self) -> dict[str, int]:
        return {"size": len(self.content), "pointerSize": len(self.pointer)}

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    """A state of a repository, and how it came about."""

    id: str
    parent: str | None
    title: str
    message: str
    author: str
    files: dict[str, File]


@dataclass
class Repo:
    """A repository "owner/name"; `sdk` is what a Space runs on."""

    id: str
    type: str
    private: bool
    sdk: str | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # uploaded large files by sha256, committed or not

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def path(self) -> str:
        """Where it lies below the address of the Hub."""
        return self.id if self.type == "model" else f"{self.type}s/{self.id}"

    def at(self, revision: str = "main") -> Commit:
        """The commit that a branch or a commit's id names."""
        name = self.branches.get(revision, revision)
        if name not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[name]

    def file(self, path: str, revision: str = "main") -> File:
        if path not in (files := self.at(revision).files):
            raise HubError(404, "Entry not found", "EntryNotFound")
        return files[path]

    def wants_lfs(self, path: str, size: int, sample: bytes) -> bool:
        """Whether git only gets a pointer: by the name, the size, or because it is not text."""
        large = path.endswith(tuple(f".{suffix}" for suffix in LFS_SUFFIXES[self.type])) or size > REGULAR_BYTES
        return bool(size) and (large or b"\0" in sample[:512])

    def start(self, author: str) -> None:
        """Makes the first commit, as the Hub does."""
        lines = [f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES[self.type]]
        self._write(None, {".gitattributes": File("".join(lines).encode(), False)}, "initial commit", "", author)

    def commit(self, branch: str, operations: list[dict], author: str) -> Commit:
        """Applies the lines of a commit, all of them or none."""
        if branch not in self.branches:
            raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        head = self.at(branch)
        files, header = dict(head.files), {}
        for operation in operations:
            key, value = operation["key"], operation["value"]
            if key == "header":
                header = value
                if value.get("parentCommit") not in (None, head.id):
                    raise HubError(412, "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                if self.wants_lfs(value["path"], len(value["content"]), value["content"]):
                    raise HubError(400, f"{value['path']} must be stored with LFS")
                files[value["path"]] = File(value["content"], False)
            elif key == "lfsFile":
                if value["oid"] not in self.objects:
                    raise HubError(422, f"LFS pointer pointed to a file that does not exist: {value['path']}")
                files[value["path"]] = File(self.objects[value["oid"]], True)
            elif key == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
            else:
                raise HubError(400, f"unknown operation {key!r}")
        return self._write(head.id, files, header["summary"], header.get("description", ""), author, branch)

    def _write(self, parent, files, title, message, author, branch="main") -> Commit:
        names = sorted((path, file.oid) for path, file in files.items())
        seed = json.dumps([self.type, self.id, parent, names, title, len(self.commits)])
        name = hashlib.sha1(seed.encode()).hexdigest()
        files = {path: file if file.commit else File(file.content, file.lfs, name) for path, file in files.items()}
        commit = Commit(name, parent, title, message, author, files)
        self.commits[name] = commit
        self.branches[branch] = name
        return commit

    def history(self, revision: str = "main") -> list[Commit]:
        """The commits of a branch, newest first."""
        found = [self.at(revision)]
        while found[-1].parent:
            found.append(self.commits[found[-1].parent])
        return found

    def folders(self, commit: Commit) -> set[str]:
        parts = [path.split("/") for path in commit.files]
        return {"/".join(names[:depth]) for names in parts for depth in range(1, len(names))}


class Store:
    """All repositories and accounts of a Hub; of these the tokens by name, and what each allows: "read" or "write"."""

    def __init__(self, accounts: dict[str, dict[str, str]]):
        self.accounts = accounts
        self.repos: dict[tuple[str, str], Repo] = {}

    def account(self, token: str | None, needed: bool = False) -> tuple[str | None, str | None]:
        """Whose token it is and what it allows."""
        if token is None and not needed:
            return None, None
        for name, tokens in self.accounts.items():
            if token in tokens:
                return name, tokens[token]
        raise HubError(401, "Invalid credentials in Authorization header")

    def repo(self, kind: str, name: str, token: str | None, write: bool = False) -> Repo:
        """A repository, if the bearer of the token may see it, or write to it."""
        account, role = self.account(token)
        repo = self.repos.get((kind, name))
        if repo is None or repo.private and account != repo.owner:
            # to somebody unknown the Hub does not say whether there is such a repository
            raise HubError(404 if account else 401, "Repository not found", "RepoNotFound")
        if write and account is None:
            raise HubError(401, "Invalid username or password.")
        if write and (account != repo.owner or role != "write"):
            raise HubError(403, "Forbidden: you must use a write token to write to a repository of yours")
        return repo

    def create(
        self, kind: str, name: str, owner: str | None, private: bool, token: str | None, sdk: str | None = None
    ) -> tuple[Repo, bool]:
        """The new repository, or the one that is there; and whether it is new."""
        account, role = self.account(token, needed=True)
        if role != "write" or owner not in (None, account):
            raise HubError(403, f"You don't have the rights to create a {kind} under the namespace {owner!r}")
        if kind not in TYPES or not re.fullmatch(r"[\w.-]{1,96}", name):
            raise HubError(400, "Invalid repo type or name")
        if kind == "space" and sdk not in SDKS:
            raise HubError(400, f'"sdk" must be one of [{", ".join(SDKS)}]')
        key = kind, f"{account}/{name}"
        if key in self.repos:
            return self.repos[key], False
        self.repos[key] = repo = Repo(key[1], kind, private, sdk)
        repo.start(account)
        return repo, True
