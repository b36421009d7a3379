"""Rows of `load_dataset("syned", "scenes")`: the same however they are made, and made once."""

import json
import signal
import sys

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import datasets_syned
from datasets_syned.common.chunks import render_chunks, spans_of
from datasets_syned.scenes.settings import SceneSettings
from tests.support.interruption import interrupt, needs_proc
from tests.support.layouts import raw

SMALL = {"width": 48, "height": 32}


def load(cache, **arguments):
    sizes = {"train": 0, "validation": 0, "test": 0}
    return load_dataset("syned", "scenes", cache_dir=str(cache), **{**sizes, **SMALL, **arguments})


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
