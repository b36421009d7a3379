"""Publishing: a real Hub on localhost, the real clients in processes of their own."""

import io
import json
import re
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Image, load_dataset
from huggingface_hub import DatasetCard
from PIL import Image as PILImage

from datasets_syned import FEATURES
from datasets_syned.__main__ import main
from datasets_syned.benchmarks.spot_the_diff import SpotTheDiffConfig
from datasets_syned.hub.publish import PublishError, publish
from tests.support import layouts
from tests.support.hub_server import run
from tests.support.own_pairs import write_pairs

# Publishes what the lines of standard input ask for; answers each with a line: the address, or the error.
PUBLISH = """
import json, sys, time
import datasets
datasets.disable_progress_bars()
from datasets_syned.benchmarks.spot_the_diff import SpotTheDiffConfig
from datasets_syned.hub.publish import publish
time.sleep = lambda seconds: None  # the clients wait for many seconds between attempts
for config, repo, options in json.loads(sys.argv[1]):
    SpotTheDiffConfig.WITHHELD = {"test": options.pop("reason")} if "reason" in options else {}
    try:
        print("> " + publish(config, repo, **options))
    except Exception as error:
        print(f"> {type(error).__name__}: {error}")
"""
# Loads what is published: nothing of this package can be imported.
LOAD = """
import json, sys
sys.modules["datasets_syned"] = None
from datasets import Dataset, Image, load_dataset
def rows(*name, **how):
    data = load_dataset("ann/syned", *name, **how)
    for side in ("before", "after"):
        data = data.cast_column(side, Image(decode=False))
    return {split: [{**row, **{s: row[s]["bytes"].hex() for s in ("before", "after")}} for row in rows]
            for split, rows in data.items()}
names = ("spot_the_diff", "clevr_change")
loaded = {name: rows(name) for name in names}
assert all(rows(name, streaming=True) == loaded[name] for name in names)
assert rows() == loaded["spot_the_diff"]
print(json.dumps(loaded))
"""
SCENES = {"train": 2, "validation": 0, "test": 0, "width": 32, "height": 24, "revision": "next"}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("roots")
    records = {
        "train": [
            {"img_id": "7", "sentences": ["the car | is *gone* ", "a man walks"]},
            {"img_id": "8", "sentences": [" "]},
            *({"img_id": str(number), "sentences": [f"person {number} left"]} for number in range(20, 26)),
        ],
        "val": [{"img_id": "9", "sentences": ["a béret appeared"]}],
        "test": [{"img_id": "10", "sentences": ["no differences"]}],
    }
    kinds = {0: "color", 1: "material", 2: "move", 3: "add", 4: "drop"}
    return {
        "spot_the_diff": str(layouts.spot_the_diff(folder / "std", records)),
        "clevr_change": str(layouts.clevr_change(folder / "cc", {"train": [0, 1, 2], "val": [3], "test": [4]}, kinds)),
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def push(hub, home, *calls, token="ann-write"):
    """Publishes, in one process; `calls` are of a configuration, a repository and options. Their results."""
    done = run(PUBLISH, hub.env(home, token), json.dumps(calls))
    return [line[2:] for line in done.stdout.splitlines() if line.startswith("> ")]


def state(repo):
    """Files of a repository and what is in them, but for the file that the Hub itself makes."""
    return {path: file.oid for path, file in repo.at().files.items() if path != ".gitattributes"}


@pytest.fixture(scope="module")
def published(hub, roots, home):
    """A repository with two configurations, several files to a split."""
    calls = [(name, "ann/syned", {"data_dir": root, "max_shard_size": 700}) for name, root in roots.items()]
    assert push(hub, home, *calls) == [f"{hub.url}/datasets/ann/syned"] * 2
    return hub.repo("dataset", "ann/syned")


def test_both_load_by_name_without_this_package(hub, published, roots, tmp_path):
    loaded = json.loads(run(LOAD, hub.env(tmp_path)).stdout.splitlines()[-1])
    for name, root in roots.items():
        data = load_dataset("syned", name, data_dir=root, cache_dir=str(tmp_path / "cache"))
        assert list(loaded[name]) == list(data) == ["train", "validation", "test"]
        for split, rows in data.items():
            for side in ("before", "after"):
                rows = rows.cast_column(side, Image(decode=False))
            mine = [{**row, **{s: row[s]["bytes"].hex() for s in ("before", "after")}} for row in rows]
            assert loaded[name][split] == mine
    assert sum(path.startswith("clevr_change/train-") for path in published.at().files) > 2
    assert "clevr_change/train-00000-of-00003.parquet" in published.at().files


def test_the_card(published, roots):
    card = DatasetCard(published.file("README.md").content.decode())
    assert card.data.license == "unknown" and card.data.language == ["en"]
    assert card.data.task_categories == ["image-to-text"] and card.data.tags == ["image-difference-captioning"]
    assert [(config["config_name"], config.get("default")) for config in card.data.configs] == [
        ("clevr_change", None),
        ("spot_the_diff", True),
    ]
    assert [info["config_name"] for info in card.data.dataset_info] == ["clevr_change", "spot_the_diff"]
    text = card.text
    assert "| `spot_the_diff` (default) | 7 train, 1 validation, 1 test |" in text
    assert "| train | 7 | 1 to 2, mean 1.14 | change 7 |" in text
    assert "| train | 6 | 2 | color 1, move 1, none 3, texture 1 |" in text
    assert "train: 1 × no caption" in text
    assert r"> - the car \| is \*gone\*" in text
    assert "train 8,529, validation 1,489, test 1,263 published" in text and "Looked for and not found: " in text
    assert "as the source states it: none stated" in text and "@inproceedings{jhamtani2018spotthediff" in text
    assert 'load_dataset("ann/syned", "clevr_change")' in text
    pictures = re.findall(r"!\[\w+\]\((.+?)\)", text)
    assert pictures == [f"assets/{name}-{side}.jpg" for name in roots for side in ("before", "after")]
    for path in pictures:
        assert PILImage.open(io.BytesIO(published.file(path).content)).format == "JPEG"
    assert not any(place in text for place in ("/tmp", "/home", "/root", *roots.values()))


def test_a_second_configuration_leaves_the_first_alone(published):
    first, second = [commit for commit in published.history() if commit.title.startswith("Upload")][1::-1]
    assert first.title == "Upload spot_the_diff" and second.title == "Upload clevr_change"
    for path, file in first.files.items():
        assert path == "README.md" or second.files[path].oid == file.oid
    before, after = (commit.files["README.md"].content.decode() for commit in (first, second))
    section = before[before.index("<!-- syned: config spot_the_diff") :]
    assert section in after and after.index(section) < after.index("<!-- syned: config clevr_change")


def test_again_changes_nothing(hub, published, roots, home):
    before, since = state(published), len(hub.requests)
    push(hub, home, *((name, "ann/syned", {"data_dir": root, "max_shard_size": 700}) for name, root in roots.items()))
    assert state(published) == before
    assert hub.uploaded(since) == 0
    repeated = [request.path for request in hub.seen("^PUT /lfs/.*/ann/syned/")]
    assert len(repeated) == len(set(repeated))


def test_other_options_replace_a_configuration(hub, roots, home):
    call = {"data_dir": roots["spot_the_diff"], "private": True, "revision": "next"}
    push(hub, home, ("spot_the_diff", "p", {**call, "max_shard_size": 700, "reason": "ask its authors"}))
    assert (
        "Not to be passed on: ask its authors."
        in hub.repo("dataset", "ann/p").file("README.md", "next").content.decode()
    )
    push(hub, home, ("spot_the_diff", "ann/p", {**call, "keep_empty": True}), ("scenes", "ann/p", SCENES))
    repo = hub.repo("dataset", "ann/p")
    assert repo.private and repo.at("main").files.keys() == {".gitattributes", *state(repo)}
    assert sorted(path for path in repo.at("next").files if "parquet" in path) == [
        f"{config}/{split}-00000-of-00001.parquet"
        for config, splits in {"scenes": ("train",), "spot_the_diff": ("test", "train", "validation")}.items()
        for split in splits
    ]
    card = DatasetCard(repo.file("README.md", "next").content.decode())
    assert "Built with `keep_empty=True`." in card.text and "| train | 8 |" in card.text
    assert card.text.count("## Spot-the-Diff") == 1 and card.data.license == ["apache-2.0", "unknown"]
    assert "Built with `height=24`, `test=0`, `train=2`, `validation=0`, `width=32`." in card.text
    assert card.data.configs[1]["default"] is True
    load = "from datasets import load_dataset; print(load_dataset('ann/p', 'scenes', revision='next'))"
    assert "num_rows: 2" in run(load, hub.env(home, "ann-read")).stdout
    refused = run(load, hub.env(home, HF_DATASETS_CACHE=str(home / "other")), check=False)
    assert refused.returncode and "Repository Not Found" in refused.stderr


def test_killed_and_run_again(hub, roots, home):
    command = [sys.executable, "-m", "datasets_syned", "push", "spot_the_diff", "ann/killed"]
    command += ["--data_dir", roots["spot_the_diff"], "--private", "--max_shard_size", "700"]
    # in the middle of an upload; then when all is there but the commit
    for pattern, nth in (("^PUT /lfs/.*/ann/killed/", 2), ("^POST .*/ann/killed/commit/", 1)):
        since = len(hub.requests)
        hub.fail(pattern, nth=nth, pause=300)
        process = subprocess.Popen(command, env=hub.env(home, "ann-write"), stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while len(hub.seen(pattern, since)) < nth:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        hub.faults.clear()
        assert not state(hub.repo("dataset", "ann/killed"))
    done = subprocess.run(command, env=hub.env(home, "ann-write"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == f"{hub.url}/datasets/ann/killed\n", done.stderr
    repo = hub.repo("dataset", "ann/killed")
    assert repo.private and sum(path.endswith("parquet") for path in state(repo)) == 5
    assert "## Spot-the-Diff" in repo.file("README.md").content.decode()
    whole = [request.path for request in hub.seen("^PUT /lfs/.*/ann/killed/") if request.status == 200]
    assert len(whole) == len(set(whole)) == 7  # 5 of data, 2 of the example


def test_when_the_hub_fails(hub, roots, home):
    def call(repo):
        return "spot_the_diff", f"ann/{repo}", {"data_dir": roots["spot_the_diff"]}

    passing = {
        "put500": ("^PUT .*/ann/put500/", {"status": 500, "times": 3}),
        "put429": ("^PUT .*/ann/put429/", {"status": 429, "retry_after": 7}),
        "putcut": ("^PUT .*/ann/putcut/", {"cut": "request"}),
        "verify503": ("^POST .*/ann/verify503/.*/verify", {"status": 503}),
        "busy": ("^POST .*/ann/busy/commit/", {"status": 412}),
        "slow": ("^PUT .*/ann/slow/", {"pause": 0.2}),
    }
    lasting = {
        "down": ("^PUT .*/ann/down/", {"status": 500, "times": 99, "nth": 2}, "500 Internal Server Error"),
        "commit429": ("^POST .*/ann/commit429/commit/", {"status": 429}, "429 Too Many Requests"),
        "lost": ("^POST .*/ann/lost/commit/", {"cut": "answer"}, "ann/lost: RemoteProtocolError: "),
        "commit500": ("^POST .*/ann/commit500/commit/", {"status": 500}, "500 Internal Server Error"),
        "card": ("^(HEAD|GET) .*/ann/card/resolve/", {"cut": "answer", "times": 99}, "ann/card: "),
        "info": ("^GET /api/datasets/ann/info$", {"cut": "answer", "times": 9}, "RemoteProtocolError"),
    }
    for pattern, fault, *_ in [*passing.values(), *lasting.values()]:
        hub.fail(pattern, **fault)
    since = len(hub.requests)
    said = push(hub, home, *map(call, [*passing, *lasting]))
    assert said[: len(passing)] == [f"{hub.url}/datasets/ann/{repo}" for repo in passing]
    for text, (_, _, words) in zip(said[len(passing) :], lasting.values(), strict=True):
        assert text.startswith("PublishError: ") and words in text and "ann-write" not in text and "\n" not in text
    # nothing, or all of it where the answer to the commit was lost
    assert {repo for repo in lasting if state(hub.repo("dataset", f"ann/{repo}"))} == {"lost"}
    hub.faults.clear()
    assert push(hub, home, *map(call, lasting)) == [f"{hub.url}/datasets/ann/{repo}" for repo in lasting]
    whole = [request.path for request in hub.seen("^PUT /lfs/", since) if request.status == 200]
    assert len(whole) == len(set(whole))
    states = [state(hub.repo("dataset", f"ann/{repo}")) for repo in [*passing, *lasting]]
    assert all(one.keys() == states[0].keys() and len(one) == 6 for one in states)


def test_who_may_not(hub, published, roots, home):
    options = {"data_dir": roots["spot_the_diff"]}
    before = state(published)
    calls = {
        "Invalid user token": ("ann/x", {"token": "hf_secret"}),
        "ann/x: HfHubHTTPError: 403 Forbidden": ("ann/x", {"token": "ann-read"}),
        "bob/x: HfHubHTTPError: 403 Forbidden": ("bob/x", {}),
        "ann/syned: HfHubHTTPError: 403 Forbidden": ("ann/syned", {"token": "bob-write"}),
        "HFValidationError: Repo id must be in the form": ("ann/x/y", {}),
        "ann/syned is there and is public, nothing was uploaded": ("ann/syned", {"private": True, "reason": "no"}),
    }
    since = len(hub.requests)
    said = push(hub, home, *(("spot_the_diff", repo, {**options, **how}) for repo, how in calls.values()))
    for text, words in zip(said, calls, strict=True):
        assert text.startswith("PublishError: ") and words in text, text
        assert not re.search("hf_secret|ann-write|ann-read|bob-write", text) and "\n" not in text
    assert (
        "LocalTokenNotFoundError: Token is required"
        in push(hub, home, ("spot_the_diff", "ann/x", options), token=None)[0]
    )
    assert hub.uploaded(since) == 0 and state(published) == before


def test_what_must_not_be_published(roots, tmp_path, monkeypatch):
    options = {"data_dir": roots["spot_the_diff"], "cache_dir": str(tmp_path)}
    monkeypatch.setattr(SpotTheDiffConfig, "WITHHELD", {"test": "not its test split"})
    with pytest.raises(PublishError, match="'spot_the_diff' is not published, unless .*: not its test split"):
        publish("spot_the_diff", "ann/x", **options)
    assert not list(tmp_path.rglob("*.arrow"))


@pytest.fixture
def own(tmp_path):
    folder = write_pairs(tmp_path / "mine", count=5)
    return {"data_dir": str(folder), "cache_dir": str(tmp_path / "cache")}


def test_pairs_of_ones_own(hub, own, tmp_path):
    words = {"license": "odbl", "language": "fr"}
    said = push(hub, tmp_path, ("folder", "ann/own", own), ("folder", "ann/fr", {**own, **words}))
    assert said == [f"{hub.url}/datasets/ann/own", said[1]] and "odbl" in said[1]  # which this Hub does not know
    plain = DatasetCard(hub.repo("dataset", "ann/own").file("README.md").content.decode())
    assert plain.data.license == "unknown" and plain.data.language is None
    assert "Home:" not in plain.text and "bibtex" not in plain.text and "English" not in plain.text


def test_names_of_images_are_pushed_without_their_folders(hub, tmp_path):
    image = io.BytesIO()
    PILImage.new("RGB", (8, 8), "red").save(image, "PNG")
    cell = {"bytes": image.getvalue(), "path": f"{tmp_path}/private/a.png"}
    row = {"id": "1", "before": cell, "after": cell, "captions": ["x"], "category": "add", "changed": True}
    table = Dataset.from_list([{**row, "provenance": None}], features=FEATURES).data.table
    pq.write_table(table, tmp_path / "train-0.parquet")
    assert len(push(hub, tmp_path, ("synthetic", "ann/bare", {"data_dir": str(tmp_path)}))) == 1
    content = hub.repo("dataset", "ann/bare").file("synthetic/train-00000-of-00001.parquet").content
    assert pq.read_table(io.BytesIO(content))["before"].to_pylist()[0]["path"] == "a.png"
    assert str(tmp_path).encode() not in content


def test_a_dry_run_asks_nobody(own, tmp_path, capsys):
    command = ["push", "folder", "ann/x", "--data_dir", own["data_dir"], "--cache_dir", own["cache_dir"], "--dry_run"]
    assert main([*command, "--license", "cc-by-sa-4.0", "--language", "fr,en"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "To upload to ann/x, as configuration folder, with the card below:\ntrain: 5 pairs, 0.0 MB\n"
    )
    card = DatasetCard(said[said.index("---") :])
    assert card.data.license == "cc-by-sa-4.0" and card.data.language == ["en", "fr"]
    assert "- Licence: cc-by-sa-4.0.\n" in card.text and "has been added to the picture" in card.text


def test_what_the_command_cannot_do(capsys):
    assert main(["push", "nothing", "a/b"]) == 2
    assert main(["push", "spot_the_diff", "a/b", "--dedupe"]) == 2
    said = capsys.readouterr().err
    assert "config 'nothing' is none of scenes, " in said
    assert "config 'spot_the_diff' has no option 'dedupe', but on_error, keep_empty" in said
