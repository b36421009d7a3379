"""Publishing a result: a real Hub on localhost, the real client in processes of its own."""

import json

import pytest

from modeling_blip2idc.hub import publish
from modeling_blip2idc.hub.push import OWN
from tests.support.hub_server import HubServer, run
from tests.support.tiny_blip2 import tiny_pair

FILE = publish.__file__
# Makes the calls of the second argument; answers each with a line: the repository, or the error.
CALLS = """
import json, runpy, sys, time
functions = runpy.run_path(sys.argv[1])  # without the package, which takes seconds to import
time.sleep = lambda seconds: None  # the client waits for seconds between attempts
for name, arguments in json.loads(sys.argv[2]):
    try:
        print("> " + functions[name](**arguments))
    except (OSError, ValueError) as error:
        kind = "OSError" if isinstance(error, OSError) else "ValueError"
        print(f"> {kind}: {error}".replace("\\n", "|"))
"""


@pytest.fixture(scope="module")
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def final(tmp_path_factory):
    """A model, its processor and a card."""
    folder = tmp_path_factory.mktemp("run") / "final"
    for part in tiny_pair():
        part.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    return folder


def call(hub, home, *calls, token="ann-write"):
    """Makes `calls`, each a function and its arguments, in one process; what they return or raise."""
    done = run(CALLS, hub.env(home, token), FILE, json.dumps(calls, default=str))
    return [line[2:] for line in done.stdout.splitlines() if line.startswith("> ")]


def files(repo, revision="main"):
    return {path: file.content for path, file in repo.at(revision).files.items() if path != ".gitattributes"}


def test_a_folder_in_one_commit(hub, home, final):
    first, again = call(hub, home, *[("publish", {"folder": final, "repo": "idc"})] * 2)
    assert first == again == "ann/idc"
    repo = hub.repo("model", "ann/idc")
    assert files(repo) == {path.name: path.read_bytes() for path in final.iterdir()}
    assert repo.at().files["model.safetensors"].lfs and not repo.private
    # the second time there was nothing to commit
    assert [commit.title for commit in repo.history()] == ["Trained model", "initial commit"]


@pytest.mark.parametrize(
    ("replace", "old", "gone"),
    [
        (
            OWN,
            ["config.json", "a/config.json", "a/b/x.safetensors", "a/my_blip2idc.py", "a/qformer_tokenizer/vocab.txt"],
            ["model-00001-of-00002.safetensors", "old_blip2idc.py", "chat_template.jinja", "qformer_tokenizer/x.json"],
        ),
        (["package/*"], ["x.py", "data/package/x.py", "package2/x.py"], ["package/x.py", "package/a/b.json"]),
    ],
)
def test_what_goes_with_the_same_commit(hub, home, tmp_path, replace, old, gone):
    """Of the files that the folder has not, those that are ours and no others."""
    for name in (*old, *gone):
        file = tmp_path / "first" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / old[0]).write_text("new")
    where = {"repo": f"ann/replaced-{len(replace)}"}
    second = {"folder": tmp_path / "second", "replace": list(replace), **where}
    call(hub, home, ("publish", {"folder": tmp_path / "first", **where}), ("publish", second))
    repo = hub.repo("model", where["repo"])
    assert files(repo) == {name: (name if name != old[0] else "new").encode() for name in old}
    assert len(repo.history()) == 3


def test_another_branch_of_a_private_repository(hub, home, final):
    where = {"repo": "ann/hidden", "private": True, "revision": "next"}
    assert call(hub, home, ("publish", {"folder": final, **where}), ("claim_repo", where)) == ["ann/hidden"] * 2
    repo = hub.repo("model", "ann/hidden")
    assert repo.private and files(repo) == {}
    assert set(files(repo, "next")) == {path.name for path in final.iterdir()}


def test_a_claim_uploads_nothing(hub, home):
    since = len(hub.requests)
    assert call(hub, home, ("claim_repo", {"repo": "claimed"}), ("claim_repo", {"repo": "ann/claimed"})) == [
        "ann/claimed",
        "ann/claimed",
    ]
    assert files(hub.repo("model", "ann/claimed")) == {} and hub.uploaded(since) == 0
    assert hub.seen("^POST .*/commit/", since) == []


def test_nothing_private_goes_where_all_can_read(hub, home, final):
    said = call(
        hub,
        home,
        ("claim_repo", {"repo": "open"}),
        ("publish", {"folder": final, "repo": "open", "private": True}),
        ("publish", {"folder": final, "repo": "open", "private": False}),
    )
    assert said == [
        "ann/open",
        "ValueError: ann/open is there and is public: make it private, or choose another",
        "ann/open",
    ]


def test_who_may_not(hub, home):
    """Also where a repository is there, of which `create_repo` says nothing but that it is."""
    assert call(hub, home, ("claim_repo", {"repo": "theirs"})) == ["ann/theirs"]
    repos = set(hub.store.repos)
    calls = [(token, repo) for token in ("hf_unknown", "ann-read", "bob-write") for repo in ("ann/theirs", "ann/new")]
    said = call(hub, home, *(("claim_repo", {"repo": repo, "token": token}) for token, repo in calls), token=None)
    said += call(hub, home, ("claim_repo", {"repo": "theirs"}), token=None)
    reasons = {401: "the token is not accepted, or there is none; log in with `hf auth login`, or set HF_TOKEN"}
    reasons[403] = "the token may not write there; it needs the role 'write', and the repository must be yours"
    expected = [(repo, 401 if token == "hf_unknown" else 403) for token, repo in calls] + [("theirs", 401)]
    assert said == [
        f"OSError: {hub.url} refuses {repo} with HTTP status {status}: {reasons[status]}" for repo, status in expected
    ]
    assert set(hub.store.repos) == repos


def test_a_token_as_an_argument(hub, home):
    given = {"repo": "ann/given", "token": "ann-write"}
    assert call(hub, home, ("claim_repo", given), token="bob-write") == ["ann/given"]


def test_no_name_of_a_repository(hub, home):
    said = call(hub, home, ("claim_repo", {"repo": "a/b/c"}), ("claim_repo", {"repo": "run 1"}))
    assert all(text.startswith("ValueError: ") for text in said)
    assert "'a/b/c'" in said[0] and "'run 1'" in said[1]


def test_when_the_hub_fails(hub, home, final):
    hub.fail("^PUT .*/ann/down/", status=500, times=9)
    publish = ("publish", {"folder": final, "repo": "down"})
    (said,) = call(hub, home, publish)
    assert "HTTP status 500: it has a problem; the same command continues" in said
    assert files(hub.repo("model", "ann/down")) == {}
    hub.faults.clear()
    assert call(hub, home, publish) == ["ann/down"]
    env = {**hub.env(home, "ann-write"), "HF_ENDPOINT": "http://127.0.0.1:9"}  # nobody listens there
    done = run(CALLS, env, FILE, json.dumps([("claim_repo", {"repo": "x"})]))
    assert done.stdout.strip() == (
        "> OSError: the connection to http://127.0.0.1:9 failed (ConnectError); the same command continues where this "
        "one ended"
    )
