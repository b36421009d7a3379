"""Config "folder": what is wrong in a table, a row, or two folders is named, with what would be right."""

import json
from functools import partial

import pytest
from datasets import load_dataset

import datasets_syned  # noqa: F401  registers "syned"
from tests.support import layouts
from tests.support.layouts import images, write

load = partial(layouts.load, "folder")


@pytest.fixture
def root(tmp_path):
    return images(tmp_path / "mine", [f"{name}.png" for name in "abcd"])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (",b.png,x", "line 2: 'before' is empty; right is the path of an image in the folder"),
        ("/tmp/a.png,b.png,x", "line 2: 'before' is '/tmp/a.png', which leads out of the folder; copy or link"),
        (r"C:\a.png,b.png,x", r"'before' is 'C:\\a.png'; right is a path in the folder"),
        ("https://host/a.png,b.png,x", "'before' is 'https://host/a.png'; right is a path in the folder"),
        ("a.png,x/../../b.png,x", "'after' is 'x/../../b.png', which leads out of the folder"),
        ("a.png,b.png,", "'captions' is empty; a pair needs a description"),
        ('a.png,b.png,"[""x"", ""  ""]"\na.png,b.png,[]', "line 3: 'captions' is empty"),
        ("a.png,b.png,['x'; 'y']", """'captions' is not a list: write ["one", "two"], not "['x'; 'y']\""""),
        ('a.png,b.png,"[""x"", 3]"', "'captions' must be a text or a list of texts, not ['x', 3]"),
        ("a.png,b.png,a car, and a van", "line 2: 4 cells under 3 columns; a cell with a ',' or a quote in it"),
        ('a.png,b.png,"never closed\na.png,b.png,y', "line 2: is not CSV: unexpected end of data"),
        ('a.png,b.png,"a "big" car"', 'line 2: is not CSV: \',\' expected after \'"\'; a quote within'),
        ("a.png,e.png,x", "1 image files are missing or broken"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table_is_named(root, cells, message):
    path = write(root / "pairs.csv", f"before,after,captions\n{cells}\n")
    with pytest.raises(ValueError) as caught:
        load(root)
    assert message in str(caught.value)
    assert str(path) in str(caught.value) or str(root / "e.png") in str(caught.value)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"before": 3.5}, "line 2: 'before' must be a text, not 3.5"),
        ({"before": {"bytes": "x" * 99}}, "'before' must be a text, not {'bytes': 'xxxxxxxxxx"),
        ({"before": None}, "'before' is empty"),
        ({"captions": {"a": 1}}, "'captions' must be a text or a list of texts, not {'a': 1}"),
        ({"captions": [1]}, "'captions' must be a text or a list of texts, not [1]"),
        ({"captions": "\ud800"}, "'captions' has half of a character"),
        ({"category": ["x"]}, "'category' must be a text, not ['x']"),
        ({"changed": "perhaps"}, "'changed' must be true or false, not 'perhaps'"),
        (
            {"changed": False, "category": "move"},
            "'changed' is False and the category 'move'; an unchanged",
        ),
        ({"changed": True, "category": "none"}, "'changed' is True and the category 'none'; an unchanged"),
        ({"id": "1"}, "line 2: 'id' '1' is also the id of other images, in"),
        ({"split": "tets"}, "'split' must be train, validation (or val, valid, dev) or test, not 'tets'"),
        ({"split": ""}, "'split' must be train, validation (or val, valid, dev) or test, not None"),
    ],
)
def test_what_is_wrong_in_a_row_is_named(root, record, message):
    good = {"before": "a.png", "after": "b.png", "captions": "x", "id": 1, "split": "train"}
    path = write(
        root / "p.jsonl", "".join(json.dumps(r) + "\n" for r in (good, {**good, "before": "c.png", **record}))
    )
    with pytest.raises(ValueError) as caught:
        load(root)
    assert f"{path}, line 2: " in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", "before,before,after,captions\n", "p.csv, line 1: column 'before' is there twice"),
        ("p.csv", "", "p.csv has no rows"),
        ("p.csv", "before,after,captions\n", "p.csv has no rows"),
        ("p.csv", "before,after,captions\nä".encode("utf-16"), "p.csv is not UTF-8 text"),
        (
            "p.csv",
            "name,caption\na,b\n",
            "p.csv, line 2: 'name' has no images: there are no folders before and after, nor A and B",
        ),
        ("p.jsonl", '[{"before": "a.png"}]', "p.jsonl, line 1: must be an object"),
        ("p.jsonl", "\n{'before'}", "p.jsonl, line 2: is not JSON"),
        ("p.parquet", b"PAR1 no", "p.parquet is not a Parquet file"),
        ("p.txt", "x", "holds no pairs that are understood. Right would be a table"),
    ],
)
def test_files_that_are_no_tables(root, name, content, message):
    write(root / name, content)
    with pytest.raises(ValueError) as caught:
        load(root)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"e": "x"}, "before/e is missing"),
        ({"only": "x"}, "after/only is missing"),
        ({"../a": "x"}, "captions.json, name '../a': 'name' is '../a', which leads out of the folder"),
        ({"a": 3}, "captions.json, name 'a': 'captions' must be a text or a list of texts, not 3"),
        ({"a": []}, "name 'a': 'captions' is empty"),
        ({"twice": "x"}, "name 'twice': 'name' may be twice.jpg or twice.png in"),
        (["x"], "captions.json, record 1: must be an object, {...}, not 'x'"),
    ],
)
def test_what_is_wrong_in_two_folders_is_named(tmp_path, said, message):
    root = tmp_path / "two"
    images(root / "before", ["a.png", "only.png", "twice.jpg", "twice.png"])
    images(root / "after", ["a.png", "twice.png"])
    write(root / "captions.json", said)
    with pytest.raises(ValueError) as caught:
        load(root)
    assert message in str(caught.value)


def test_no_folder_is_an_error_in_words(tmp_path):
    with pytest.raises(ValueError, match="config 'folder' reads pairs of your own: give data_dir="):
        load_dataset("syned", "folder")
    with pytest.raises(ValueError, match="nowhere' is not a folder"):
        load(tmp_path / "nowhere")
