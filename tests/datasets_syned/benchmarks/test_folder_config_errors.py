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
        (",b.png,x", "line 2, column 'before': is empty; right is the path of an image as seen from the folder"),
        ("/tmp/a.png,b.png,x", "line 2, column 'before': '/tmp/a.png' is an absolute path; right is a path as seen"),
        (r"C:\a.png,b.png,x", r"column 'before': 'C:\\a.png' is an absolute path"),
        ("https://host/a.png,b.png,x", "column 'before': 'https://host/a.png' is an absolute path"),
        ("a.png,x/../../b.png,x", "column 'after': 'x/../../b.png' climbs out of the folder"),
        ("a.png,b.png,", "column 'captions': is empty; a pair needs a description"),
        ('a.png,b.png,"[""x"", ""  ""]"\na.png,b.png,[]', "line 3, column 'captions': is empty"),
        ("a.png,b.png,['x'; 'y']", """column 'captions': is no JSON list: write ["one", "two"], not "['x'; 'y']\""""),
        ('a.png,b.png,"[""x"", 3]"', "column 'captions': must be a text or a list of texts, not ['x', 3]"),
        ("a.png,b.png,a car, and a van", 'line 2: 4 cells under 3 columns; a cell with a comma or a quote in it'),
        ('a.png,b.png,"never closed\na.png,b.png,y', "line 2: is no CSV: unexpected end of data"),
        ('a.png,b.png,"a "big" car"', 'line 2: is no CSV: \',\' expected after \'"\'; a quote within'),
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
        ({"before": 3.5}, "line 2, column 'before': must be a text, not 3.5"),
        ({"before": {"bytes": "x" * 99}}, "column 'before': must be a text, not {'bytes': 'xxxxxxxxxx"),
        ({"before": None}, "column 'before': is empty"),
        ({"captions": {"a": 1}}, "column 'captions': must be a text or a list of texts, not {'a': 1}"),
        ({"captions": [1]}, "column 'captions': must be a text or a list of texts, not [1]"),
        ({"captions": "\ud800"}, "column 'captions': has half of a character"),
        ({"category": ["x"]}, "column 'category': must be a text, not ['x']"),
        ({"changed": "perhaps"}, "column 'changed': must be true or false, not 'perhaps'"),
        (
            {"changed": False, "category": "move"},
            "column 'changed': changed is False and category 'move'; an unchanged",
        ),
        ({"changed": True, "category": "none"}, "column 'changed': changed is True and category 'none'; an unchanged"),
        ({"id": "1"}, "line 2, column 'id': '1' is also the id of other images, at line 1"),
        ({"split": "tets"}, "column 'split': must be train, validation (or val, valid, dev) or test, not 'tets'"),
        ({"split": ""}, "column 'split': must be train, validation (or val, valid, dev) or test, not None"),
    ],
)
def test_what_is_wrong_in_a_row_is_named(root, record, message):
    good = {"before": "a.png", "after": "b.png", "captions": "x", "id": 1, "split": "train"}
    path = write(
        root / "p.jsonl", "".join(json.dumps(r) + "\n" for r in (good, {**good, "before": "c.png", **record}))
    )
    with pytest.raises(ValueError) as caught:
        load(root)
    assert f"{path}, line 2, " in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", "before;after;captions\na;b;c\n", "but 'before;after;captions'. Cells are separated by commas."),
        ("p.csv", "before,before,after,captions\n", "p.csv, line 1: column 'before' is there twice"),
        ("p.csv", "", "p.csv has no column 'before', 'after', 'captions', but none."),
        ("p.csv", "before,after,captions\n", "p.csv: no row has a caption"),
        ("p.csv", "before,after,captions\nä".encode("utf-16"), "p.csv is no UTF-8 text"),
        ("p.csv", "name,caption\na,b\n", "There are no folders before/ and after/."),
        ("p.jsonl", '[{"before": "a.png"}]', "p.jsonl, line 1: must be an object"),
        ("p.jsonl", "\n{'before'}", "p.jsonl, line 2: is no JSON"),
        ("p.parquet", b"PAR1 no", "p.parquet is no Parquet file"),
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
        ({"../a": "x"}, "captions.json, name '../a', column 'name': '../a' climbs out of the folder"),
        ({"a": 3}, "captions.json, name 'a', column 'captions': must be a text or a list of texts, not 3"),
        ({"a": []}, "name 'a', column 'captions': is empty"),
        ({"twice": "x"}, "name 'twice', column 'name': 'twice' may be twice.jpg or twice.png in"),
        (["x"], 'captions.json must be an object, {"name": "caption"}'),
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
    with pytest.raises(ValueError, match="nowhere' is no folder"):
        load(tmp_path / "nowhere")
