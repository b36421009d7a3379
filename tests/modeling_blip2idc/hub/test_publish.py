"""Publishing a folder: a real Hub on localhost, the real client in a process of its own."""

import pytest

from modeling_blip2idc.hub.push import OWN
from tests.support.hub_client import PUBLISH, Client
from tests.support.tiny_blip2 import tiny_pair


@pytest.fixture(scope="module")
def call(hub, tmp_path_factory):
    """Makes calls, each a function and its arguments, as Ann; what they return, or the error."""
    client = Client(hub, tmp_path_factory.mktemp("home"), PUBLISH)

    def make(*calls):
        answers = [client(name=name, **arguments) for name, arguments in calls]
        return [answer.get("done") or answer["error"].replace("\n", "|") for answer in answers]

    yield make
    client.close()


@pytest.fixture(scope="module")
def final(tmp_path_factory):
    """A model, its processor and a card."""
    folder = tmp_path_factory.mktemp("run") / "final"
    for part in tiny_pair():
        part.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    return folder


def files(repo, revision="main"):
    return {path: file.content for path, file in repo.at(revision).files.items() if path != ".gitattributes"}


def test_a_folder_in_one_commit(hub, call, final):
    first, again = call(*[("publish", {"folder": final, "repo": "idc"})] * 2)
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
def test_what_goes_with_the_same_commit(hub, call, tmp_path, replace, old, gone):
    """Of the files that the folder has not, those that are ours and no others."""
    for name in (*old, *gone):
        file = tmp_path / "first" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / old[0]).write_text("new")
    where = {"repo": f"ann/replaced-{len(replace)}"}
    second = {"folder": tmp_path / "second", "replace": list(replace), **where}
    call(("publish", {"folder": tmp_path / "first", **where}), ("publish", second))
    repo = hub.repo("model", where["repo"])
    assert files(repo) == {name: (name if name != old[0] else "new").encode() for name in old}
    assert len(repo.history()) == 3


def test_another_branch_of_a_private_repository(hub, call, final):
    where = {"repo": "ann/hidden", "private": True, "revision": "next"}
    assert call(("publish", {"folder": final, **where}), ("claim_repo", where)) == ["ann/hidden"] * 2
    repo = hub.repo("model", "ann/hidden")
    assert repo.private and files(repo) == {}
    assert set(files(repo, "next")) == {path.name for path in final.iterdir()}


def test_a_claim_uploads_nothing(hub, call):
    since = len(hub.requests)
    assert call(("claim_repo", {"repo": "claimed"}), ("claim_repo", {"repo": "ann/claimed"})) == [
        "ann/claimed",
        "ann/claimed",
    ]
    assert files(hub.repo("model", "ann/claimed")) == {} and hub.uploaded(since) == 0
    assert hub.seen("^POST .*/commit/", since) == []


def test_nothing_private_goes_where_all_can_read(hub, call, final):
    said = call(
        ("claim_repo", {"repo": "open"}),
        ("publish", {"folder": final, "repo": "open", "private": True}),
        ("publish", {"folder": final, "repo": "open", "private": False}),
    )
    assert said == ["ann/open", "ann/open exists and is public: make it private, or choose another", "ann/open"]


def test_who_may_not(hub, call):
    """Also where a repository is there, of which `create_repo` says nothing but that it is."""
    assert call(("claim_repo", {"repo": "theirs"})) == ["ann/theirs"]
    repos = set(hub.store.repos)
    calls = [(token, repo) for token in ("hf_unknown", "ann-read", "bob-write") for repo in ("ann/theirs", "ann/new")]
    said = call(*(("claim_repo", {"repo": repo, "token": token}) for token, repo in calls))
    said += call(("claim_repo", {"repo": "ann/theirs", "token": False}))
    reasons = {401: "the token is not accepted, or there is none; log in with `hf auth login`, or set HF_TOKEN"}
    reasons[403] = "the token may not write there; it needs the role 'write', and the repository must be yours"
    expected = [(repo, 401 if token == "hf_unknown" else 403) for token, repo in calls] + [("ann/theirs", 401)]
    assert said == [
        f"{hub.url} refuses {repo} with HTTP status {status}: {reasons[status]}" for repo, status in expected
    ]
    assert set(hub.store.repos) == repos


def test_a_token_as_an_argument(hub, call):
    given = {"repo": "bob/given", "token": "bob-write"}
    assert call(("claim_repo", given)) == ["bob/given"]


def test_no_name_of_a_repository(hub, call):
    said = call(("claim_repo", {"repo": "a/b/c"}), ("claim_repo", {"repo": "run 1"}))
    assert "'a/b/c'" in said[0] and "'run 1'" in said[1]


def test_when_the_hub_fails(hub, call, final):
    hub.fail("^PUT .*/ann/down/", status=500, times=9)
    publish = ("publish", {"folder": final, "repo": "down"})
    (said,) = call(publish)
    assert "HTTP status 500: it has a problem; the same command continues" in said
    assert files(hub.repo("model", "ann/down")) == {}
    hub.faults.clear()
    hub.fail("", cut="answer", times=99)
    (said,) = call(("claim_repo", {"repo": "x"}))
    end = "failed (RemoteProtocolError); the same command continues where this one ended"
    assert said == f"the connection to {hub.url} {end}"
    hub.faults.clear()
    assert call(publish) == ["ann/down"]
