import datasets
import numpy as np
import pytest
from PIL import Image

from datasets_syned import FEATURES, validate


def row(**changes):
    image = Image.fromarray(np.zeros((4, 6, 3), np.uint8))
    good = {
        "id": "a",
        "before": image,
        "after": image,
        "captions": ["the dog left"],
        "category": "drop",
        "changed": True,
        "provenance": None,
    }
    return {key: value for key, value in (good | changes).items() if value is not MISSING}


MISSING = object()
PROVENANCE = {"editor": "timbrooks/instruct-pix2pix", "seed": 3, "guidance": 7.5, "scores": [], "versions": None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"category": "none", "changed": False},
        {"before": {"bytes": b"x", "path": None}, "after": {"bytes": None, "path": "a.png"}},
        {"before": "folder/a.png"},
        {"captions": ("a", "b"), "extra": 1},
        {"provenance": PROVENANCE},
    ],
)
def test_good_rows(changes):
    assert validate(row(**changes)) == 1


@pytest.mark.parametrize(
    ("changes", "column", "problem"),
    [
        ({"id": ""}, "id", "string that is not empty, not ''"),
        ({"id": 7}, "id", "not 7"),
        ({"id": MISSING}, "id", "is missing"),
        ({"before": None}, "before", "must be an image, not NoneType"),
        ({"after": {"bytes": None, "path": None}}, "after", "neither bytes nor a path"),
        ({"after": ""}, "after", "must be an image"),
        ({"captions": []}, "captions", "at least one reference"),
        ({"captions": "the dog left"}, "captions", "list of strings, not str"),
        ({"captions": None}, "captions", "list of strings, not NoneType"),
        ({"captions": ["the dog left", "  "]}, "captions", "item 1 is empty"),
        ({"captions": [None]}, "captions", "item 0 must be a string"),
        ({"category": " "}, "category", "string that is not empty"),
        ({"changed": 1}, "changed", "must be true or false, not 1"),
        ({"changed": False}, "changed", "is False but 'category' is 'drop'"),
        ({"category": "none"}, "changed", "is True but 'category' is 'none'"),
        ({"provenance": MISSING}, "provenance", "is missing (it may be None)"),
        ({"provenance": "IP2P"}, "provenance", "a dict or None, not str"),
        ({"provenance": {"model": "x"}}, "provenance", "unknown fields ['model']"),
        ({"provenance": {"seed": "3"}}, "provenance", "field 'seed': Could not convert '3'"),
        ({"provenance": {"editor": 3}}, "provenance", "field 'editor': Expected bytes"),
    ],
)
def test_a_bad_row_is_named_with_its_column(changes, column, problem):
    with pytest.raises(ValueError) as caught:
        validate(row(**changes))
    message = str(caught.value)
    assert message.startswith("row 'id=") and f"column {column!r}: " in message and problem in message
    assert "\n" not in message


def test_ids_are_unique_within_a_split():
    data = datasets.Dataset.from_list([row(), row(id="b"), row()], features=FEATURES)
    with pytest.raises(ValueError, match=r"row 2 \(id='a'\), column 'id': is also the id of row 0"):
        validate(data)
    splits = datasets.DatasetDict(train=data.select([0, 1]), test=data.select([2]))
    assert validate(splits) == 3
    with pytest.raises(ValueError, match=r"split 'test', row 1 \(id='a'\)"):
        validate(datasets.DatasetDict(train=data.select([0, 1]), test=data.select([0, 2])))


def test_datasets_lists_and_streams():
    rows = [row(id=str(i)) for i in range(3)]
    data = datasets.Dataset.from_list(rows, features=FEATURES)
    assert validate(rows) == validate(iter(rows)) == validate(data) == validate(data.to_iterable_dataset()) == 3
    assert validate(data.select([])) == 0
    assert data.features["before"].decode, "validation must not change the caller's dataset"
    assert data[0]["provenance"] is None


def test_images_are_not_decoded():
    broken = {"bytes": b"no image at all", "path": None}
    assert validate(datasets.Dataset.from_list([row(before=broken)], features=FEATURES)) == 1


def test_many_problems_in_one_message():
    with pytest.raises(ValueError) as caught:
        validate([row(id=str(i), captions=[]) for i in range(9)])
    lines = str(caught.value).splitlines()
    assert lines[0] == "row 0 (id='0'), column 'captions': is empty; at least one reference is needed"
    assert len(lines) == 6 and lines[-1] == "... 9 problems in all"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data.remove_columns("category"), "column 'category' is missing"),
        (lambda data: data.cast_column("changed", datasets.Value("string")), "column 'changed' has type"),
        (lambda data: data.rename_column("after", "b").add_column("after", ["x"]), "column 'after' has type"),
    ],
)
def test_a_dataset_with_wrong_features(change, problem):
    with pytest.raises(ValueError, match=problem):
        validate(change(datasets.Dataset.from_list([row()], features=FEATURES)))


def test_a_row_that_is_no_dict():
    with pytest.raises(ValueError, match="row 1 is a list, not a dict of columns"):
        validate([row(), ["a"]])
