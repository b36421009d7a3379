"""Rows of `load_dataset("syned", "scenes")`: the same however they are made, and made once."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder
from datasets.utils._filelock import FileLock

import datasets_syned
from datasets_syned.__main__ import main
from datasets_syned.chunks import SceneSettings, render_chunks, spans_of

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"width": 48, "height": 32}


def load(cache, **arguments):
    sizes = {"train": 0, "validation": 0, "test": 0}
    return load_dataset("syned", "scenes", cache_dir=str(cache), **{**sizes, **SMALL, **arguments})


def raw(data):
    """Rows with the images as stored bytes."""
    for column, feature in data.features.items():
        if isinstance(feature, datasets.Image):
            data = data.cast_column(column, datasets.Image(decode=False))
    return list(data)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def train(cache):
    return raw(load(cache, train=110)["train"])


def test_rows_follow_the_schema(cache):
    data = load(cache, train=7, test=5)
    assert {split: len(rows) for split, rows in data.items()} == {"train": 7, "test": 5}
    assert data["train"].features == datasets_syned.FEATURES
    assert datasets_syned.validate(data) == 12
    assert data["test"][3]["before"].size == (48, 32)
    assert data["train"]["category"][:6] == ["color", "texture", "move", "add", "drop", "none"]


def test_rows_are_those_of_the_settings(train):
    settings = SceneSettings(**SMALL)
    assert train[109] == settings.row("train", 109) and train[0] == settings.row("train", 0)


def test_several_processes_make_the_same_rows(tmp_path, train):
    assert raw(load(tmp_path, train=110, num_proc=2)["train"]) == train


def test_streaming_gives_the_same_rows(tmp_path, train):
    stream = load(tmp_path, train=110, streaming=True)["train"]
    assert raw(stream.take(12)) == train[:12]
    assert stream.num_shards == 3
    assert raw(stream.shard(3, 2, contiguous=True)) == train[100:]
    assert not list(tmp_path.rglob("*.arrow")), "streaming writes nothing"


def test_a_larger_split_begins_with_the_smaller_one(tmp_path, train):
    assert raw(load(tmp_path, train=60)["train"]) == train[:60]


def test_slices(cache):
    assert load(cache, train=110, split="train[50:53]")["id"] == ["train-000050", "train-000051", "train-000052"]


def test_arguments_change_the_rows(cache, train):
    for arguments in ({"seed": 1}, {"jitter": 0}, {"width": 60}):
        other = raw(load(cache, train=2, **arguments)["train"])
        assert other[0]["before"] != train[0]["before"], arguments
    fixed = raw(load(cache, train=6, jitter=0)["train"])
    assert fixed[5]["category"] == "none" and fixed[5]["before"] == fixed[5]["after"]
    assert [len(row["captions"]) for row in raw(load(cache, test=2, references=3)["test"])] == [3, 3]


def test_masks(cache, train):
    data = load(cache, train=6, masks=True)["train"]
    assert datasets_syned.validate(data) == 6
    for row, plain in zip(data, train, strict=False):
        assert row["captions"] == plain["captions"]
        scene = json.loads(row["scene"])
        assert set(scene) == {"before_objects", "after_objects", "changed_object", "captions_reversed"}
        for side in ("before", "after"):
            mask = np.asarray(row[f"{side}_mask"])
            assert mask.shape == (32, 48) and mask.max() == len(scene[f"{side}_objects"])


def test_same_arguments_share_one_cache(cache):
    first, second = (load(cache, **arguments) for arguments in ({"train": 3}, {"train": 3, "seed": 0, "jitter": 1}))
    assert first["train"].cache_files == second["train"].cache_files


def test_sizes_are_known_before_anything_is_made(tmp_path):
    splits = load_dataset_builder("syned", cache_dir=str(tmp_path)).info.splits
    assert {name: split.num_examples for name, split in splits.items()} == {
        "train": 1000,
        "validation": 100,
        "test": 200,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": -1}, "train=-1"),
        ({"train": 1.5}, "train=1.5"),
        ({}, "train=0, validation=0, test=0: at least one split"),
        ({"test": 1, "seed": -3}, "seed=-3"),
        ({"test": 1, "jitter": "high"}, "jitter='high'"),
        ({"test": 1, "jitter": 9}, "jitter=9"),
        ({"test": 1, "width": 0}, "width=0"),
        ({"test": 1, "references": 7}, "references=7 must be a whole number from 1 to 6"),
        ({"test": 1, "masks": "yes"}, "masks='yes'"),
        ({"test": 1, "color": 3}, "color"),
        ({"test": 1, "data_dir": "somewhere"}, "rendered, not read"),
        ({"test": 1, "data_files": "a.json"}, "takes no data_files"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, **arguments)


def test_unknown_config():
    with pytest.raises(ValueError, match="'scene' not found. Available: .*'scenes'"):
        load_dataset("syned", "scene")


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def interrupt(command, chunks, enough, how):
    """Runs a command, interrupts it when `chunks()` lists `enough` files; returns it and its children's ids."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while len(chunks()) < enough:
        assert process.poll() is None and time.monotonic() < end, process.stderr.read()
        time.sleep(0.02)
    workers = children(process)
    process.send_signal(how)
    process.wait(60)
    while any(map(alive, workers)):
        assert time.monotonic() < end, "rendering processes outlive the run"
        time.sleep(0.05)
    return process, workers


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks processes up in /proc")


@needs_proc
def test_a_killed_build_continues(tmp_path, monkeypatch):
    code = (
        "import datasets_syned; from datasets import load_dataset; "
        f"load_dataset('syned', train=400, validation=0, test=0, num_proc=2, cache_dir={str(tmp_path)!r}, **{SMALL})"
    )

    def chunks():
        return list(tmp_path.glob("syned/*/*/*.chunks/train-*.arrow"))

    process, workers = interrupt([sys.executable, "-c", code], chunks, 2, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and len(workers) == 2
    kept = len(chunks())
    assert 2 <= kept < 8

    rendered, row = [], SceneSettings.row

    def counted(self, split, index):
        rendered.append(index)
        return row(self, split, index)

    monkeypatch.setattr(SceneSettings, "row", counted)
    data = load(tmp_path, train=400)["train"]
    assert len(rendered) == len(set(rendered)) == 400 - 50 * kept
    assert data["id"] == [f"train-{i:06d}" for i in range(400)]
    monkeypatch.undo()
    assert raw(data.select([0, 399])) == [SceneSettings(**SMALL).row("train", i) for i in (0, 399)]
    assert not list(tmp_path.glob("syned/*/*/*.chunks")), "the chunks are removed once the dataset is there"


def command(out, rows):
    return ["scenes", "--out", str(out), "--train", str(rows), "--num_proc", "2", "--width", "48", "--height", "32"]


@needs_proc
def test_a_killed_command_continues(tmp_path, capsys):
    out = tmp_path / "scenes"

    def files():
        return sorted(out.glob("data/train-*.parquet"))

    interrupt([sys.executable, "-m", "datasets_syned", *command(out, 600)], files, 1, signal.SIGKILL)
    kept = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files()}
    assert 1 <= len(kept) < 3
    assert main(command(out, 600)) == 0
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in kept} == kept
    assert [path.stem for path in files()] == [
        "train-00000000-00000250",
        "train-00000250-00000500",
        "train-00000500-00000600",
    ]
    assert not list(out.glob("data/.*")), "half-written files are left"
    assert "600 train" in capsys.readouterr().out


@needs_proc
def test_ctrl_c_stops_the_command_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "scenes"
    process, workers = interrupt(
        [sys.executable, "-m", "datasets_syned", *command(out, 600)],
        lambda: list(out.glob("data/.train-*")),  # files in the making
        2,
        signal.SIGINT,
    )
    assert process.returncode == 130 and len(workers) == 2
    message = process.stderr.read()
    assert "the same command continues" in message and "Traceback" not in message


def test_the_folder_is_read_without_this_package(tmp_path, train, capsys):
    out = tmp_path / "scenes"
    common = ["scenes", "--out", str(out), "--width", "48", "--height", "32"]
    assert main([*common, "--train", "20"]) == 0
    assert main([*common, "--train", "110", "--test", "4", "--num_proc", "2"]) == 0, "a folder can grow"
    capsys.readouterr()
    code = (
        "import sys; from datasets import load_dataset, Image; "
        f"data = load_dataset({str(out)!r}, cache_dir={str(tmp_path / 'cache')!r}); "
        "assert load_dataset.__module__ == 'datasets.load' and 'datasets_syned' not in sys.modules; "
        "assert {s: len(d) for s, d in data.items()} == {'train': 110, 'test': 4}; "
        "row = data['train'].cast_column('after', Image(decode=False))[109]; "
        "print(row['id'], row['captions'][0], row['after']['bytes'].hex(), row['before'].size, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    last = train[109]
    assert done.stdout.strip().split("|") == [
        last["id"],
        last["captions"][0],
        last["after"]["bytes"].hex(),
        "(48, 32)",
    ]
    data = load_dataset(str(out), "scenes", cache_dir=str(tmp_path / "cache"))
    assert data["train"].features == datasets_syned.FEATURES and datasets_syned.validate(data) == 114


def test_the_command_refuses_what_would_mix(tmp_path, capsys):
    out = tmp_path / "scenes"
    common = ["scenes", "--out", str(out), "--width", "48", "--height", "32", "--train", "9"]
    assert main(common) == 0
    assert main([*common, "--jitter", "0"]) == 1
    assert "was rendered with jitter 1.0, not 0.0" in capsys.readouterr().err
    assert main([*common, "--train", "5"]) == 1
    assert "holds 9 train rows, more than 5" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("mine")
    assert main([*common[:2], str(tmp_path), "--train", "5"]) == 1
    assert "holds other files" in capsys.readouterr().err
    assert main([*common[:2], str(tmp_path / "notes.txt"), "--train", "5"]) == 1
    assert "is a file; name a folder" in capsys.readouterr().err
    assert main([*common[:2], str(tmp_path / "new"), "--train", "0"]) == 1
    assert "at least one split" in capsys.readouterr().err


def test_two_commands_do_not_write_into_one_folder(tmp_path, capsys):
    with FileLock(str(tmp_path / ".lock")):
        assert main(["scenes", "--out", str(tmp_path), "--train", "1"]) == 1
    assert f"another process is writing into {tmp_path}" in capsys.readouterr().err


def test_a_failing_rendering_process_is_reported(tmp_path):
    done = tmp_path / "data"
    settings = SceneSettings(**SMALL)
    with pytest.raises(RuntimeError, match="2 of 2 rendering processes failed") as caught:
        render_chunks(done, settings, "no such split", spans_of(4, 2), ".arrow", num_proc=2)
    assert "no such split" in str(caught.value) or "ValueError" in str(caught.value)
    assert list(done.iterdir()) == []


def test_one_failing_process_keeps_the_others_work(tmp_path):
    # the process that renders the second chunk finds a folder where its file should go
    (tmp_path / "train-00000002-00000004.arrow" / "x").mkdir(parents=True)
    with pytest.raises(RuntimeError, match="1 of 2 rendering processes failed"):
        render_chunks(tmp_path, SceneSettings(**SMALL), "train", spans_of(8, 2), ".arrow", num_proc=2)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "train-00000000-00000002.arrow",
        "train-00000004-00000006.arrow",
    ]
