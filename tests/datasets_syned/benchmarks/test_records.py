"""A wrong record of any benchmark is one error that names the file, the record and what would be right."""

import pytest

from tests.support import layouts
from tests.support.layouts import load, write

STD = {"img_id": "1", "sentences": ["the car left"]}
IER = {"uid": "u", "img0": "a.jpg", "img1": "b.jpg", "sents": ["make it red"]}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            [STD, {**STD, "sentences": "the car left"}],
            "record 2: 'sentences' must be a list of texts, not 'the car left'",
        ),
        ([{**STD, "sentences": [None]}], "record 1: 'sentences' must be a list of texts, not [None]"),
        ([{**STD, "sentences": ["\ud800"]}], "record 1: 'sentences' has half of a character"),
        ([{**STD, "img_id": " "}], "record 1: 'img_id' must be a text, not ' '"),
        ([{"image_id": "1"}], "record 1: 'img_id' is missing; the record has 'image_id'"),
        ([{}], "record 1: 'img_id' is missing; the record has nothing"),
        (["x"], "record 1: must be an object, {...}, not 'x'"),
        ({"1": ["x"]}, " must be a list of records, [{...}, ...], not {'1': ['x']}"),
    ],
)
def test_spot_the_diff(tmp_path, records, message):
    root = layouts.spot_the_diff(tmp_path / "std", {split: [STD] for split in ("train", "val", "test")})
    write(root / "test.json", layouts.json.dumps(records))
    with pytest.raises(ValueError) as caught:
        load("spot_the_diff", root)
    assert str(root / "test.json") in str(caught.value) and message in str(caught.value)


def test_image_editing_request(tmp_path):
    root = layouts.image_editing_request(tmp_path / "ier", {split: [IER] for split in ("train", "valid", "test")})
    for key, value in {"sents": "make it red", "img0": None, "uid": ["u"]}.items():
        write(root / "valid.json", [{**IER, key: value}])
        with pytest.raises(ValueError, match=f"valid.json, record 1: '{key}' must be a "):
            load("image_editing_request", root)


def test_clevr(tmp_path):
    root = layouts.clevr_change(
        tmp_path / "cc", {"train": [0], "validation": [1], "test": [2]}, {i: "color" for i in range(3)}
    )
    assert layouts.counts(load("clevr_change", root)) == {"train": 2, "validation": 2, "test": 2}
    write(root / "splits.json", {"train": [0], "held out": [1]})
    with pytest.raises(ValueError, match=r"splits.json: 'held out' is not a split"):
        load("clevr_change", root)
    write(root / "splits.json", {"train": 0})
    with pytest.raises(ValueError, match=r"splits.json: 'train' must be a list, not 0"):
        load("clevr_change", root)
    write(root / "change_captions.json", {"CLEVR_default_000000.png": "the cube moved"})
    with pytest.raises(ValueError, match=r"'CLEVR_default_000000.png' must be a list of texts, not 'the cube moved'"):
        load("clevr_change", root)
    root = layouts.clevr_dc(tmp_path / "dc", {"a": ["it moved"]}, {"train": ["a"]})
    write(root / "captions_dc.json", {"a": "it moved"})
    with pytest.raises(ValueError, match=r"captions_dc.json: 'a' must be a list of texts, not 'it moved'"):
        load("clevr_dc", root)
