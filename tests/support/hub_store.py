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
    """
    One version of a file.

    Args:
        content (`bytes`): what is in it.
        lfs (`bool`): whether it is a large file, of which git only knows a pointer.
        commit (`str`, *optional*, defaults to `""`): the commit that wrote it.
    """

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
    """
    A repository.

    Args:
        id (`str`): "owner/name".
        type (`str`): "model", "dataset" or "space".
        private (`bool`): whether only its owner sees it.
        sdk (`str`, *optional*): what a Space runs on.
    """

    id: str
    type: str
    private: bool
    sdk: str | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # uploaded large files by sha256, committed or not

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def path(self) -> str:
        """Where it lies below the address of the Hub."""
        return self.id if self.type == "model" else f"{self.type}s/{self.id}"

    def visible_to(self, account: "Account | None") -> bool:
        return not self.private or self.owned_by(account)

    def owned_by(self, account: "Account | None") -> bool:
        return account is not None and account.name == self.owner

    def at(self, revision: str = "main") -> Commit:
        """The commit that a branch, a tag or a commit's id names."""
        name = self.branches.get(revision) or self.tags.get(revision) or revision
        if name not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[name]

    def file(self, path: str, revision: str = "main") -> File:
        files = self.at(revision).files
        if path not in files:
            raise HubError(404, "Entry not found", "EntryNotFound")
        return files[path]

    def wants_lfs(self, path: str, size: int, sample: bytes) -> bool:
        """Whether git only gets a pointer: by the name, the size, or because it is no text."""
        large = path.endswith(tuple(f".{suffix}" for suffix in LFS_SUFFIXES[self.type])) or size > REGULAR_BYTES
        return bool(size) and (large or b"\0" in sample[:512])

    def put(self, oid: str, content: bytes, size: int | None = None) -> None:
        """Takes a large file, if it is what it is said to be."""
        if hashlib.sha256(content).hexdigest() != oid or size not in (None, len(content)):
            raise HubError(400, f"the content is not that of {oid}")
        self.objects[oid] = content

    def start(self, author: str) -> None:
        """The first commit, as the Hub makes it."""
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
            elif key in ("deletedFile", "deletedFolder"):
                folder = value["path"].rstrip("/") + "/"
                gone = [p for p in files if p == value["path"] or key == "deletedFolder" and p.startswith(folder)]
                if not gone:
                    raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
                files = {path: file for path, file in files.items() if path not in gone}
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


@dataclass
class Account:
    """Somebody: a name, and tokens with what they allow, "read" or "write"."""

    name: str
    tokens: dict[str, str]


class Store:
    """
    All repositories and accounts of a Hub.

    Args:
        accounts (`list[Account]`): who may come.
    """

    def __init__(self, accounts: list[Account]):
        self.accounts = accounts
        self.repos: dict[tuple[str, str], Repo] = {}

    def account(self, token: str | None) -> tuple[Account | None, str | None]:
        """Whose token it is and what it allows."""
        if token is None:
            return None, None
        for account in self.accounts:
            if token in account.tokens:
                return account, account.tokens[token]
        raise HubError(401, "Invalid credentials in Authorization header")

    def known(self, token: str | None) -> tuple[Account, str]:
        """The same of a token that has to be there."""
        if token is None:
            raise HubError(401, "Invalid username or password.")
        return self.account(token)

    def repo(self, kind: str, name: str, token: str | None, write: bool = False) -> Repo:
        """A repository, if the bearer of the token may see it, or write to it."""
        account, role = self.account(token)
        repo = self.repos.get((kind, name))
        if repo is None or not repo.visible_to(account):
            # to somebody unknown the Hub does not say whether there is such a repository
            raise HubError(404 if account else 401, "Repository not found", "RepoNotFound")
        if write and account is None:
            raise HubError(401, "Invalid username or password.")
        if write and not (repo.owned_by(account) and role == "write"):
            raise HubError(403, "Forbidden: you must use a write token to write to a repository of yours")
        return repo

    def create(
        self, kind: str, name: str, owner: str | None, private: bool, token: str | None, sdk: str | None = None
    ) -> tuple[Repo, bool]:
        """The new repository, or the one that is there; and whether it is new."""
        account, role = self.known(token)
        if role != "write" or owner not in (None, account.name):
            raise HubError(403, f"You don't have the rights to create a {kind} under the namespace {owner!r}")
        if kind not in TYPES or not re.fullmatch(r"[\w.-]{1,96}", name):
            raise HubError(400, "Invalid repo type or name")
        if kind == "space" and sdk not in SDKS:
            raise HubError(400, f'"sdk" must be one of [{", ".join(SDKS)}]')
        key = kind, f"{account.name}/{name}"
        if key in self.repos:
            return self.repos[key], False
        self.repos[key] = repo = Repo(key[1], kind, private, sdk)
        repo.start(account.name)
        return repo, True
