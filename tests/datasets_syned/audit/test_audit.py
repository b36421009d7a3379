"""The audit: exact numbers where every finding is planted once."""

import io
import json

import pytest
from datasets import Dataset, DatasetDict, load_dataset
from PIL import Image

import datasets_syned
from datasets_syned.audit.audit import audit
from datasets_syned.audit.findings import BOILERPLATE, is_quoted, same_pixels
from tests.support.layouts import pixels, png, write


def row(name, captions, category="change", before=None, after=None, **others):
    sides = {"before": before or pixels(f"{name} before"), "after": after or pixels(f"{name} after")}
    images = {side: {"bytes": content, "path": f"{name}.png"} for side, content in sides.items()}
    columns = {"id": name, "captions": captions, "category": category, "changed": category != "none"}
    return {**columns, **images, "provenance": None, **others}


def dataset(**splits):
    return DatasetDict(
        {split: Dataset.from_list(rows, features=datasets_syned.FEATURES) for split, rows in splits.items()}
    )


@pytest.fixture
def planted():
    """Every finding once."""
    same = pixels("same")
    leaked = {"before": pixels("l1"), "after": pixels("l2")}
    train = [
        row("good", ["a Red car left", "the car's gone"], "drop"),
        row("leaked", ["it moved"], **leaked),
        row("quoted", ['"a van came"', "a van came"], "add"),
        row("refusal", ["As a responsible AI language model, I must not", "it rains"]),
        row("empty", ["it snows", " "]),
        row("silent", [""]),
        row("repeats", ["a  Cube moved", "a cube moved", "it moved"]),
        row("identical", ["it is darker"], before=same, after=same),
        row("still", ["no change"], "none", before=pixels("still"), after=pixels("still")),
        row("jitter", ["no change"], "none"),
        row("cropped", ["cropped"], after=pixels("cropped", (4, 2))),
        row("cut", ["a tree"], after=pixels("cut", (40, 40))[:-900]),
        row("wrong", ["a bench"], changed=False),
        row("good", ["again"], before=pixels("other before")),
        row("again", ["it moves"], **leaked),
    ]
    test = [
        row("one", ["it moved", "a zebra came"], **leaked),
        row("two", ["a zebra left"], before=pixels("good before"), after=pixels("two", file_format="GIF")),
    ]
    return dataset(train=train, test=test)


def test_every_finding_once(planted):
    report = audit(planted, published={"train": 15, "test": 3, "validation": 1})
    found = report["findings"]
    counts = {name: kind["by_split"] for name, kind in found.items()}
    assert counts == {
        "count": {"test": 1, "validation": 1},
        "unreadable": {"train": 1},
        "leaked_pairs": {"train/test": 1},
        "leaked_sources": {"train/test": 2},
        "duplicate_pairs": {"train": 1},
        "identical": {"train": 1},
        "contradiction": {"train": 1},
        "repeated_ids": {"train": 1},
        "no_caption": {"train": 1},
        "empty": {"train": 1},
        "boilerplate": {"train": 1},
        "quoted": {"train": 1},
        "repeated": {"train": 1},
        "differing": {"train": 2},
        "unequal_size": {"train": 1},
    }
    assert [name for name, kind in found.items() if not kind["problem"]] == ["differing", "unequal_size"]
    assert report["problems"] == 13
    shown = {
        name: [(s["split"], s["row"], s["id"], s["what"]) for s in kind["samples"]] for name, kind in found.items()
    }
    assert shown["leaked_pairs"] == [("test", 0, "one", "the same files as train row 1")]
    assert shown["leaked_sources"] == [("test", 0, "one", "as train row 1"), ("test", 1, "two", "as train row 0")]
    assert shown["duplicate_pairs"] == [("train", 14, "again", "the same files as row 1")]
    assert shown["repeated_ids"] == [("train", 13, "good", "is also the id of row 0")]
    assert shown["quoted"] == [("train", 2, "quoted", '"a van came"')]
    assert shown["repeated"] == [("train", 6, "repeats", "a cube moved")]
    assert shown["unequal_size"] == [("train", 10, "cropped", "5x2 and 4x2")]
    ((_, number, _, what),) = shown["unreadable"]
    assert number == 11 and what.startswith("after: ") and "trunc" in what.lower()
    assert [number for _, number, _, _ in shown["differing"]] == [9, 12]


def test_the_numbers(planted):
    report = audit(
        planted, published={"train": 15}, dropped={"train": {"no caption": 3}}, notes={"test": {"mended": 2}}
    )
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert (train["rows"], train["published"], train["dropped"]) == (15, 15, {"no caption": 3})
    assert (test["rows"], test["published"], test["dropped"], test["notes"]) == (2, None, {}, {"mended": 2})
    assert (train["changed"], train["unchanged"]) == (12, 3)
    assert train["categories"] == {"change": 11, "none": 2, "add": 1, "drop": 1}
    assert train["references"] == {"total": 19, "mean": 1.2667, "histogram": {"0": 1, "1": 10, "2": 3, "3": 1}}
    assert report["images"]["modes"] == {"RGB": 32, "P": 1}
    assert report["images"]["sizes"] == {"5x2": 32, "4x2": 1}
    assert report["images"]["formats"] == {"PNG": 32, "GIF": 1}
    both = report["across"]["train/test"]
    assert both["pairs"] == {"shared": 1, "times": {"train": 2, "test": 1}, "share": {"train": 0.1333, "test": 0.5}}
    assert both["sources"]["shared"] == 2 and both["sources"]["times"] == {"train": 3, "test": 2}
    assert both["captions"]["shared"] == 1 and both["captions"]["times"] == {"train": 2, "test": 1}
    words = report["vocabulary"]
    assert words["unseen_in_train"] == {
        "test": {"words": 1, "times": 2, "share": 0.25, "most_frequent": ["zebra"]},
    }
    assert json.loads(json.dumps(report)) == report


def test_two_audits_say_the_same_and_so_does_streaming(planted, tmp_path):
    assert audit(planted) == audit(planted)
    for split, rows in planted.items():
        rows.to_parquet(tmp_path / f"{split}.parquet")
    files = {split: str(tmp_path / f"{split}.parquet") for split in planted}
    streamed = load_dataset("parquet", data_files=files, streaming=True, cache_dir=str(tmp_path / "cache"))
    assert audit(streamed) == audit(planted)


def test_samples_are_bounded_and_first_come():
    rows = [row(str(number), ['"x"', "“y”"], before=png(number)) for number in range(9)]
    found = audit(dataset(train=rows), samples=3)["findings"]["quoted"]
    assert found["count"] == 18 and [sample["row"] for sample in found["samples"]] == [0, 1, 2]
    assert audit(dataset(train=rows), samples=0)["findings"]["quoted"]["samples"] == []


def test_one_split_and_images_that_are_files(tmp_path):
    data = dataset(train=[row("a", ["x"]), row("b", ["y"])])["train"]
    write(tmp_path / "gone.png", png())
    paths = {"bytes": None, "path": str(tmp_path / "gone.png")}
    linked = Dataset.from_list([row("c", ["z"]) | {"before": paths, "after": paths}], features=data.features)
    report = audit(linked)
    assert report["findings"]["identical"]["count"] == 1 and report["across"] == {}
    (tmp_path / "gone.png").unlink()
    found = audit(linked)["findings"]
    assert (
        found["unreadable"]["count"] == 2 and "before: cannot be opened: " in found["unreadable"]["samples"][0]["what"]
    )
    assert list(audit(data)["splits"]) == ["train"]
    with pytest.raises(ValueError, match="split 'train' has no column captions, but id, category"):
        audit(data.remove_columns("captions"))


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", png()[:30], pixels("x")[:-30], png(file_format="JPEG")[:-40], png(file_format="GIF")[:20]],
)
def test_images_that_do_not_open(content):
    data = dataset(train=[row("a", ["x"]) | {"after": {"bytes": content, "path": "a.png"}}])
    (sample,) = audit(data, thumbnails=True)["findings"]["unreadable"]["samples"]
    assert sample["what"].startswith("after: ") and " at 0x" not in sample["what"]
    assert sample["thumbnails"][0]["uri"].startswith("data:image/jpeg;base64,") and sample["thumbnails"][1] is None


def test_same_pixels_in_other_files():
    def opened(**arguments):
        return Image.open(io.BytesIO(png(**arguments)))

    assert same_pixels(opened(color=(9, 9, 9)), opened(color=(9, 9, 9), file_format="BMP"))
    assert same_pixels(opened(color=9, mode="L"), opened(color=(9, 9, 9)))
    assert not same_pixels(opened(color=(9, 9, 9)), opened(color=(9, 9, 8)))
    assert not same_pixels(opened(color=9), opened(color=9, size=(6, 8)))
    assert not same_pixels(opened(color=900, mode="I;16"), opened(color=901, mode="I;16"))


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("As an AI language model, I can describe", True),
        ("as a helpful AI I see two images", True),
        ("I cannot provide a caption", True),
        ("Sorry, but I can’t help", True),
        ("Here are four variations", True),
        ("Here is a caption: the car left", True),
        ("Sure, the car left", True),
        ("Sure! Here you go", True),
        ("{Dadaist variation}", True),
        ("Add <INSTRUCT> a car", True),
        ("i cannot find any difference", False),
        ("here are two cars on the road making left turns", False),
        ("a car that was not here is there", False),
        ("make sure, that the dog is visible", False),
        ("the AI robot left", False),
    ],
)
def test_words_of_a_language_model(caption, found):
    assert bool(BOILERPLATE.search(caption)) is found


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ('"a car left"', True),
        (' "a car left".', True),
        ("“a car left”", True),
        ("'a car left'", True),
        ('"a car le', True),
        ('"Stop" is written on the sign', False),
        ('the sign says "Stop"', False),
        ("'70s car left", False),
        ("a 5\" pipe", False),
        ('"', False),
    ],
)  # fmt: skip
def test_quotes(caption, found):
    assert is_quoted(caption) is found
