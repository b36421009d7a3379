"""What is said of a pair that did not change, and the names of splits."""

from pathlib import Path

import pytest

from datasets_syned.common.caption_text import says_no_change
from datasets_syned.common.splits import split_named, split_of_path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no change has occurred", True),
        ("The scene is the same as before.", True),
        ("I don't see any differences between the two images", True),
        ("i could not find any differnces", True),
        ("no-diff", True),
        ("no difference except for the red car", False),
        ("the people in the images are not the same", False),
        ("there is none in the first picture", False),
        ("the images are not identical", False),
        ("the images are different", False),
        ("change", False),
        ("", False),
    ],
)
def test_no_change(text, says):
    assert says_no_change(text) is says


def test_splits():
    found = [split_named(word) for word in ("val", " Dev ", "training", "eval", "tets")]
    assert found == ["validation", "validation", "train", "test", None]
    paths = (
        "val-00000-of-00002.csv",
        "train/metadata.csv",
        "a/test/train.csv",
        "train_val.json",
        "constrain/pairs.csv",
    )
    assert [split_of_path(Path(path)) for path in paths] == ["validation", "train", "train", None, None]
