"""The audit: exact numbers where every finding is planted once."""

import json

import pytest
from datasets import Dataset, DatasetDict, load_dataset

import datasets_syned
from datasets_syned.audit.audit import audit
from datasets_syned.audit.findings import BOILERPLATE, is_quoted
from tests.support.layouts import pixels, png, write
from tests.support.pictures import encode, photo


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
        row("again", ["it moves"], before=pixels("l1", file_format="BMP"), after=pixels("l2")),
        row("denied", ["There are no differences.", "no change"]),
    ]
    test = [
        row("one", ["it moved", "a zebra came"], **leaked),
        row("two", ["a zebra left"], before=pixels("good before"), after=pixels("two", file_format="GIF")),
    ]
    return dataset(train=train, test=test)


def test_every_finding_once(planted):
    report = audit(planted, published={"train": 16, "test": 3, "validation": 1})
    found = report["findings"]
    counts = {name: kind["by_split"] for name, kind in found.items()}
    assert counts == {
        "count": {"test": 1, "validation": 1},
        "unreadable": {"train": 1},
        "leaked_pairs": {"train/test": 1},
        "leaked_sources": {"train/test": 2},
        "duplicate_pairs": {"train": 1},
        "identical": {"train": 1},
        "denied": {"train": 1},
        "contradiction": {"train": 1},
        "repeated_ids": {"train": 1},
        "no_caption": {"train": 1},
        "empty": {"train": 1},
        "boilerplate": {"train": 1},
        "quoted": {"train": 1},
        "repeated": {"train": 1},
        "near_leaks": {},
        "near_duplicates": {},
        "differing": {"train": 2},
        "unequal_size": {"train": 1},
    }
    assert [name for name, kind in found.items() if not kind["problem"]] == [
        *("near_leaks", "near_duplicates"),
        *("differing", "unequal_size"),
    ]
    assert report["problems"] == 14
    shown = {
        name: [(s["split"], s["row"], s["id"], s["what"]) for s in kind["samples"]] for name, kind in found.items()
    }
    assert shown["leaked_pairs"] == [("test", 0, "one", "the same pixels as train row 1")]
    assert shown["leaked_sources"] == [("test", 0, "one", "as train row 1"), ("test", 1, "two", "as train row 0")]
    assert shown["duplicate_pairs"] == [("train", 14, "again", "the same pixels as row 1")]
    assert shown["repeated_ids"] == [("train", 13, "good", "is also the id of row 0")]
    assert shown["quoted"] == [("train", 2, "quoted", '"a van came"')]
    assert shown["repeated"] == [("train", 6, "repeats", "a cube moved")]
    assert shown["unequal_size"] == [("train", 10, "cropped", "5x2 and 4x2")]
    ((_, number, _, what),) = shown["unreadable"]
    assert number == 11 and what.startswith("after: ") and "trunc" in what.lower()
    assert [number for _, number, _, _ in shown["differing"]] == [9, 12]


def test_the_numbers(planted):
    report = audit(
        planted, published={"train": 16}, dropped={"train": {"no caption": 3}}, notes={"test": {"mended": 2}}
    )
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert (train["rows"], train["published"], train["dropped"]) == (16, 16, {"no caption": 3})
    assert (test["rows"], test["published"], test["dropped"], test["notes"]) == (2, None, {}, {"mended": 2})
    assert (train["changed"], train["unchanged"]) == (13, 3)
    assert train["categories"] == {"change": 12, "none": 2, "add": 1, "drop": 1}
    assert train["references"] == {"total": 21, "mean": 1.3125, "histogram": {"0": 1, "1": 10, "2": 4, "3": 1}}
    assert report["images"]["modes"] == {"RGB": 34, "P": 1}
    assert report["images"]["sizes"] == {"5x2": 34, "4x2": 1}
    assert report["images"]["formats"] == {"PNG": 33, "BMP": 1, "GIF": 1}
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
    report = audit(linked, folders=[str(tmp_path)])
    assert report["findings"]["identical"]["count"] == 1 and report["across"] == {}
    (sample,) = audit(linked)["findings"]["unreadable"]["samples"]
    assert "before: is only a path, " in sample["what"] and "not followed" in sample["what"]
    (tmp_path / "gone.png").unlink()
    (sample,) = audit(linked, folders=[str(tmp_path)])["findings"]["unreadable"]["samples"]
    assert "before: is missing" in sample["what"]
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


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"color": (9, 9, 9)}, {"color": (9, 9, 9), "file_format": "BMP"}, True),
        ({"color": 9, "mode": "L"}, {"color": (9, 9, 9)}, True),
        ({"color": (9, 9, 9)}, {"color": (9, 9, 8)}, False),
        ({"color": 9}, {"color": 9, "size": (6, 8)}, False),
        ({"color": 900, "mode": "I;16"}, {"color": 901, "mode": "I;16"}, False),
    ],
)
def test_the_same_pixels_in_other_files(one, other, same):
    found = audit(dataset(train=[row("a", ["x"], before=png(**one), after=png(**other))]))["findings"]
    assert found["identical"]["count"] == same


def test_pictures_that_were_saved_again():
    """Compressed again, resized, or in another format: near repeats in a split and in two, which are not problems."""
    pictures = [photo(120, 80, seed) for seed in range(6)]
    saved = [encode(picture) for picture in pictures]
    again = [encode(pictures[0], "JPEG", quality=60), encode(pictures[1].resize((60, 40)), "WEBP")]
    train = [
        row("a", ["x"], before=saved[0], after=saved[1]),
        row("b", ["y"], before=saved[2], after=saved[3]),
        row("c", ["z"], before=again[0], after=again[1]),
        row("d", ["z"], before=again[0], after=saved[4]),
    ]
    test = [row("e", ["x"], before=saved[0], after=again[1]), row("f", ["x"], before=saved[4], after=saved[5])]
    report = audit(dataset(train=train, test=test))
    found = report["findings"]
    assert found["near_duplicates"]["by_split"] == {"train": 1}
    assert [(s["id"], s["what"]) for s in found["near_duplicates"]["samples"]] == [("c", "looks like row 0")]
    assert found["near_leaks"]["by_split"] == {"train/test": 1}
    assert [(s["id"], s["what"]) for s in found["near_leaks"]["samples"]] == [("e", "looks like train row 0")]
    assert found["leaked_sources"]["count"] == 1 and found["duplicate_pairs"]["count"] == 0


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
