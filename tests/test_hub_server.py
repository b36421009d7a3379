"""The Hub on localhost, through the real clients."""

import json
import time

import pytest

from tests.support.hub_server import HubServer, run

START = """
import json, time
from pathlib import Path
import huggingface_hub
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
api = HfApi()
def name_of(call, *args, **kwargs):
    try:
        return repr(call(*args, **kwargs))
    except Exception as error:
        return type(error).__name__
"""


@pytest.fixture
def hub():
    with HubServer(page=3) as server:
        yield server


def client(hub, home, code, token="ann-write"):
    """What the code puts into `out`, run in a process whose Hub is `hub`."""
    done = run(f"{START}\nout = {{}}\n{code}\nprint(json.dumps(out))", hub.env(home, token))
    return json.loads(done.stdout.splitlines()[-1])


UPLOAD = """
folder = Path("folder"); (folder / "sub").mkdir(parents=True)
(folder / "config.json").write_text("{}"); (folder / "empty.bin").touch()
(folder / "sub" / "model.safetensors").write_bytes(bytes(range(256)) * 40)
api.create_repo("ann/m")
out["again"] = name_of(api.create_repo, "ann/m")
out["ok"] = api.create_repo("ann/m", exist_ok=True).repo_id
commit = api.upload_folder(repo_id="ann/m", folder_path=folder, commit_message="first")
out["commit"] = commit.oid
"""


def test_upload_and_download(hub, tmp_path):
    code = """
out["who"] = api.whoami()["name"]
there = snapshot_download("ann/m")
out["files"] = {path.relative_to(there).as_posix(): path.read_bytes().hex() for path in Path(there).rglob("*.*")}
out["tree"] = [(item.path, type(item).__name__) for item in api.list_repo_tree("ann/m", recursive=True)]
info = api.model_info("ann/m", files_metadata=True)
out["sha"], out["sizes"] = info.sha, {item.rfilename: item.size for item in info.siblings}
paths = ["sub/model.safetensors", "sub", "nothing"]
out["paths"] = [item.path for item in api.get_paths_info("ann/m", paths, expand=True)]
api.create_tag("ann/m", tag="v1")
api.create_branch("ann/m", branch="other/branch")
api.delete_file("config.json", "ann/m", commit_message="no config")
api.delete_folder("sub", "ann/m", revision="other/branch")
out["tag"] = Path(hf_hub_download("ann/m", "config.json", revision="v1")).read_text()
out["gone"] = name_of(hf_hub_download, "ann/m", "config.json")
out["no revision"] = name_of(hf_hub_download, "ann/m", "config.json", revision="v2")
out["branch"] = api.list_repo_files("ann/m", revision="other/branch")
refs = api.list_repo_refs("ann/m")
out["refs"] = [ref.name for ref in refs.branches + refs.tags]
out["titles"] = [item.title for item in api.list_repo_commits("ann/m")]
api.delete_tag("ann/m", tag="v1")
out["models"] = [item.id for item in api.list_models(author="ann")]
api.update_repo_settings("ann/m", private=True)
api.delete_repo("ann/m")
out["deleted"] = name_of(api.model_info, "ann/m")
"""
    out = client(hub, tmp_path, UPLOAD + code)
    content = bytes(range(256)) * 40
    assert out["again"] == "HfHubHTTPError" and out["ok"] == "ann/m" and out["who"] == "ann"
    assert set(out["files"]) == {".gitattributes", "config.json", "empty.bin", "sub/model.safetensors"}
    assert out["files"]["sub/model.safetensors"] == content.hex() and out["files"]["empty.bin"] == ""
    assert dict(out["tree"])["sub"] == "RepoFolder" and len(out["tree"]) == 5  # over two pages
    assert out["sha"] == out["commit"] and len(out["sha"]) == 40
    assert out["sizes"]["sub/model.safetensors"] == len(content) and out["sizes"]["config.json"] == 2
    assert out["paths"] == ["sub/model.safetensors", "sub"]
    assert out["tag"] == "{}" and out["gone"] == "RemoteEntryNotFoundError"
    assert out["no revision"] == "RevisionNotFoundError"
    assert out["branch"] == [".gitattributes", "config.json", "empty.bin"]
    assert out["refs"] == ["main", "other/branch", "v1"]
    assert out["titles"] == ["no config", "first", "initial commit"]
    assert out["models"] == ["ann/m"] and out["deleted"] == "RepositoryNotFoundError"
    assert [request.received for request in hub.seen("^PUT /lfs/")] == [len(content)]
    assert hub.seen("^POST /lfs/.*/verify") and ("model", "ann/m") not in hub.store.repos


def test_who_may_what(hub, tmp_path):
    code = """
api.create_repo("ann/p", private=True, repo_type="dataset")
api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="ann/p", repo_type="dataset")
def attempts(token):
    api, kind = HfApi(token=token), {"repo_type": "dataset"}
    yield name_of(hf_hub_download, "ann/p", "x.txt", token=token, cache_dir=str(token), **kind)
    yield name_of(lambda: api.dataset_info("ann/p").private)
    yield name_of(api.upload_file, path_or_fileobj=b"y", path_in_repo="y.txt", repo_id="ann/p", **kind)
    yield name_of(api.create_repo, "ann/new")
    yield name_of(lambda: api.whoami()["name"])
for token in ("ann-read", "bob-write", "wrong", False):
    out[str(token)] = list(attempts(token))
"""
    out = client(hub, tmp_path, code)
    assert out["ann-read"][0].endswith("x.txt'")
    assert out["ann-read"][1:] == ["True", "HfHubHTTPError", "HfHubHTTPError", "'ann'"]
    assert out["bob-write"] == ["RepositoryNotFoundError"] * 3 + ["HfHubHTTPError", "'bob'"]
    assert out["wrong"] == ["HfHubHTTPError"] * 5
    assert out["False"] == ["RepositoryNotFoundError"] * 3 + ["HfHubHTTPError", "ValueError"]
    assert sorted(hub.repo("dataset", "ann/p").at().files) == [".gitattributes", "x.txt"]


def test_what_it_refuses(hub, tmp_path):
    code = """
from huggingface_hub import CommitOperationAdd as Add, get_session, DatasetCard
api.create_repo("ann/d", repo_type="dataset")
d = {"repo_id": "ann/d", "repo_type": "dataset"}
def put(content, oid, size):
    return get_session().put(f"{api.endpoint}/lfs/datasets/ann/d/{oid}?size={size}", content=content).status_code
import hashlib
right = hashlib.sha256(b"1234").hexdigest()
out["put"] = [put(b"1235", right, 4), put(b"1234", right, 5), put(b"1234", right, 4)]
def commit(*lines):
    body = "".join(json.dumps(line) + chr(10) for line in lines)
    answer = get_session().post(f"{api.endpoint}/api/datasets/ann/d/commit/main", content=body,
                                headers={"Authorization": "Bearer ann-write"})
    return answer.status_code
head = {"key": "header", "value": {"summary": "s"}}
lfs = {"path": "x.parquet", "algo": "sha256", "size": 4}
out["missing"] = commit(head, {"key": "file", "value": {"path": "a", "content": "YQ=="}},
                        {"key": "lfsFile", "value": {**lfs, "oid": "0" * 64}})
out["regular"] = commit(head, {"key": "file", "value": {"path": "x.parquet", "content": "YQ=="}})
out["parent"] = name_of(api.upload_file, path_or_fileobj=b"x", path_in_repo="x", parent_commit="0" * 40, **d)
out["delete"] = name_of(api.delete_file, "nothing", **d)
out["files"] = api.list_repo_files(**d)
cards = ["license: none stated", "license: mit", "a: [", "language: English"]
for text in cards:
    content = f"---\\n{text}\\n---\\n# x\\n".encode()
    out[text] = name_of(api.upload_file, path_or_fileobj=content, path_in_repo="README.md", **d)
out["card"] = DatasetCard.load("ann/d").data.license
"""
    out = client(hub, tmp_path, code)
    assert out["put"] == [400, 400, 200]
    assert out["missing"] == 422 and out["regular"] == 400
    assert out["parent"] == "HfHubHTTPError" and out["delete"] == "RemoteEntryNotFoundError"
    assert out["files"] == [".gitattributes"]
    assert out["license: none stated"] == out["a: ["] == out["language: English"] == "ValueError"
    assert out["license: mit"].startswith("CommitInfo") and out["card"] == "mit"


SPACE = """
s = {"repo_id": "ann/page", "repo_type": "space"}
out["no sdk"] = name_of(api.create_repo, **s)
out["url"] = str(api.create_repo(**s, space_sdk="gradio", private=True))
out["again"] = api.create_repo(**s, space_sdk="gradio", exist_ok=True).repo_id
folder = Path("space"); (folder / "sub").mkdir(parents=True)
(folder / "app.py").write_text("print('hello')")
(folder / "sub" / "model.safetensors").write_bytes(bytes(range(256)) * 40)
(folder / "picture.png").write_bytes(bytes(range(256)))
card = folder / "README.md"
for text in ("license: mit", "sdk: gradio\\ncolorFrom: black", "sdk: gradio\\nshort_description: " + "x" * 61,
             "sdk: gradio\\nsdk_version: 6.10"):
    card.write_text(f"---\\n{text}\\n---\\n# x")
    out.setdefault("cards", []).append(name_of(api.upload_folder, folder_path=folder, **s))
card.write_text("---\\nsdk: gradio\\nsdk_version: 6.10.0\\nmodels: [ann/m]\\n---\\n# x")
out["commit"] = api.upload_folder(folder_path=folder, commit_message="page", **s).oid
api.create_branch(**s, branch="next")
api.create_tag(**s, tag="v1")
info = api.space_info("ann/page", files_metadata=True)
out["info"] = [info.sha, info.sdk, info.private, info.card_data["models"], info.siblings[-1].lfs is not None]
out["tree"] = [item.path for item in api.list_repo_tree(recursive=True, **s)]
refs = api.list_repo_refs(**s)
out["refs"] = [ref.name for ref in refs.branches + refs.tags]
there = Path(snapshot_download(revision="next", **s))
out["same"] = all((there / path.relative_to(folder)).read_bytes() == path.read_bytes() for path in folder.rglob("*.*"))
out["listed"] = [[item.id for item in listing(author="ann")] for listing in (api.list_spaces, api.list_models)]
out["stranger"] = name_of(hf_hub_download, filename="app.py", token="bob-write", **s)
api.delete_file("picture.png", **s)
out["titles"] = [item.title for item in api.list_repo_commits(**s)]
"""


def test_a_space(hub, tmp_path):
    out = client(hub, tmp_path, SPACE)
    assert out["no sdk"] == "ValueError" and out["cards"] == ["ValueError"] * 4
    assert out["url"] == f"{hub.url}/spaces/ann/page" and out["again"] == "ann/page"
    assert out["info"] == [out["commit"], "gradio", True, ["ann/m"], True] and out["same"]
    files = [".gitattributes", "README.md", "app.py", "picture.png", "sub/model.safetensors"]
    assert sorted(out["tree"]) == sorted([*files, "sub"]) and out["refs"] == ["main", "next", "v1"]
    assert out["listed"] == [["ann/page"], []] and out["stranger"] == "RepositoryNotFoundError"
    assert out["titles"][1:] == ["page", "initial commit"]
    repo = hub.repo("space", "ann/page")
    assert repo.sdk == "gradio" and sorted(repo.at("next").files) == files and len(repo.at().files) == 4
    assert sorted(request.received for request in hub.seen("^PUT /lfs/spaces/")) == [256, 10240]  # in parallel
    assert hub.seen("^GET /spaces/ann/page/resolve/") and ("model", "ann/page") not in hub.store.repos


def test_ranges(hub, tmp_path):
    code = """
from huggingface_hub import HfFileSystem, get_session
url = f"{api.endpoint}/ann/m/resolve/main/sub/model.safetensors"
for wanted in ("bytes=0-3", "bytes=10238-", "bytes=-2", "bytes=5-99999", "bytes=10240-"):
    answer = get_session().get(url, headers={"Range": wanted})
    out[wanted] = [answer.status_code, len(answer.content), answer.headers["content-range"]]
with HfFileSystem().open("ann/m/sub/model.safetensors", block_size=64) as file:
    file.seek(250)
    out["seek"] = file.read(12).hex()
head = get_session().head(url)
out["head"] = [head.headers["x-repo-commit"], head.headers["content-length"], head.headers["x-linked-size"], head.text]
"""
    out = client(hub, tmp_path, UPLOAD + code)
    assert out["bytes=0-3"] == [206, 4, "bytes 0-3/10240"]
    assert out["bytes=10238-"] == out["bytes=-2"] == [206, 2, "bytes 10238-10239/10240"]
    assert out["bytes=5-99999"][:2] == [206, 10235]
    assert out["bytes=10240-"] == [416, 0, "bytes */10240"]
    assert out["seek"] == bytes([250, 251, 252, 253, 254, 255, 0, 1, 2, 3, 4, 5]).hex()
    assert out["head"] == [hub.repo("model", "ann/m").at().id, "10240", "10240", ""]


def test_faults(hub, tmp_path):
    hub.fail("^PUT /lfs/", status=500)
    hub.fail("^POST .*/preupload/", status=429, retry_after=0)
    hub.fail("^POST .*/commit/", nth=2, status=503)
    hub.fail("^POST .*/commit/", nth=3, cut="answer")
    hub.fail("^GET .*/resolve/.*/sub/model.safetensors", cut="body")
    hub.fail("^GET .*/resolve/main/config.json", pause=0.4)
    code = """
def upload(content):
    return name_of(api.upload_file, path_or_fileobj=content, path_in_repo="new.txt", repo_id="ann/m")
out["refused"] = upload(b"1"), api.file_exists("ann/m", "new.txt")
out["lost"] = upload(b"1"), api.file_exists("ann/m", "new.txt")
out["size"] = Path(hf_hub_download("ann/m", "sub/model.safetensors")).stat().st_size
start = time.monotonic()
hf_hub_download("ann/m", "config.json")
out["slow"] = time.monotonic() - start
"""
    out = client(hub, tmp_path, UPLOAD + code)
    assert out["refused"] == ["HfHubHTTPError", False] and out["lost"] == ["RemoteProtocolError", True]
    assert out["size"] == 10240
    assert out["slow"] >= 0.4
    assert [request.status for request in hub.seen("^PUT /lfs/")] == [500, 200]
    assert [request.status for request in hub.seen("/preupload/")][:2] == [429, 200]
    assert [request.sent for request in hub.seen("^GET .*safetensors")] == [5120, 10240]


def test_an_upload_that_is_cut(hub, tmp_path):
    hub.fail("^PUT /lfs/", cut="request")
    client(hub, tmp_path, UPLOAD)
    cut, whole = hub.seen("^PUT /lfs/")
    assert cut.received < whole.received == 10240 and cut.status is None


def test_closing_does_not_wait_for_a_slow_request(tmp_path):
    with HubServer() as hub:
        hub.fail("^GET", pause=60)
        start = time.monotonic()
    assert time.monotonic() - start < 5
