"""`load_dataset("syned", "photos")`."""

import json

import datasets
import pytest

import datasets_syned  # noqa: F401
from datasets_syned.photos.settings import PhotoSettings

SIZES = {"train": 16, "validation": 3, "test": 14, "test_views": 2, "test_objects": 2, "width": 96, "height": 64}


def test_rows_are_those_of_the_settings(folders, tmp_path):
    made = datasets.load_dataset(
        "syned", "photos", masks=True, cache_dir=str(tmp_path), num_proc=2, **SIZES, **folders
    )
    assert {split: len(rows) for split, rows in made.items()} == {name: SIZES[name] for name in made}
    settings = PhotoSettings(masks=True, width=96, height=64, **folders)
    raw = made["test"].with_format(None)
    for name in ("before", "after", "before_mask", "after_mask"):
        raw = raw.cast_column(name, datasets.Image(decode=False))
    assert raw[5] == settings.row("test", 5)
    row = made["test"][3]
    scene = json.loads(row["scene"])
    assert row["category"] == "move" and row["changed"] and len(set(row["captions"])) == 5
    assert scene["edit"]["name"] == scene["after_objects"][scene["changed_object"][1]]["name"]
    assert row["before"].size == row["before_mask"].size == (96, 64)
    stream = datasets.load_dataset(
        "syned", "photos", split="test", streaming=True, masks=True, cache_dir=str(tmp_path), **SIZES, **folders
    )
    assert [item["captions"] for item in stream] == made["test"]["captions"]


def test_the_cache_is_named_by_the_content_of_the_material(folders, tmp_path):
    builder = datasets.load_dataset_builder("syned", "photos", cache_dir=str(tmp_path), **folders)
    assert PhotoSettings(**folders).material.digest in builder.cache_dir
    assert "200test" in builder.cache_dir and "test_views" not in builder.cache_dir


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 32}, "width=32"),
        ({"references": 7}, "references=7"),
        ({"jitter": 3}, "jitter=3"),
        ({"masks": 1}, "masks=1 must be true or false"),
        ({"train": 0, "validation": 0, "test": 0}, "at least one split needs rows"),
        ({"data_dir": "folder"}, "config 'photos' is rendered, not read"),
        ({"photographs": "nowhere"}, "photographs: there is no folder 'nowhere'"),
    ],
)
def test_wrong_arguments(folders, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load_dataset("syned", "photos", cache_dir=str(tmp_path), **{**folders, **options})
