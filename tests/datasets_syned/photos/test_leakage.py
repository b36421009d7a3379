"""No photograph is seen in two splits: the pairs say which ones they show."""

import json
from itertools import combinations

import pytest

from datasets_syned.photos.settings import PhotoSettings

ROWS = 200
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def shown(folders):
    settings = PhotoSettings(**folders, masks=True, width=64, height=64)
    rows = {split: [settings.row(split, index) for index in range(ROWS)] for split in SPLITS}
    return {
        split: {digest for row in found for digest in json.loads(row["scene"])["photographs"]}
        for split, found in rows.items()
    }


def test_no_photograph_is_in_two_splits(shown):
    assert all(len(digests) >= 2 for digests in shown.values())
    for one, other in combinations(SPLITS, 2):
        assert not shown[one] & shown[other], f"{one} and {other} share photographs"
