"""Labels of the patches of composed photographs, which are composed as a run goes."""

import numpy as np
import pytest

from datasets_syned.photos.captions import CATEGORIES, read
from datasets_syned.photos.settings import PhotoSettings
from datasets_syned.training.photo_supervision import CHANGES, IGNORE, WHOLE, PhotoSupervision, classes
from datasets_syned.training.training_data import Supervision

LENGTH = 56


@pytest.fixture(scope="module")
def rows(folders):
    parts = [
        PhotoSettings(width=120, height=80, **folders),
        PhotoSettings(width=120, height=80, jitter=0.0, **folders),
    ]
    return PhotoSupervision(parts, [(0.5, [1]), (1.0, [0])], canvas_size=64, patch_size=8, length=LENGTH, seed=3)


def test_an_item_is_a_function_of_its_number(rows):
    one, again = rows[7], rows[7]
    assert one["caption"] == again["caption"]
    assert [side.tobytes() for side in one["pair"]] == [side.tobytes() for side in again["pair"]]
    assert len(rows) == LENGTH


def test_phases_take_turns(rows):
    none = CATEGORIES.index("none")
    still, moved = rows[none], rows[none + 28]
    assert still["pair"][0].tobytes() == still["pair"][1].tobytes()
    assert moved["pair"][0].tobytes() != moved["pair"][1].tobytes()


def test_labels_say_what_the_caption_says(rows):
    patch_classes, pair_classes, weights = classes(rows.names)
    assert len(weights["change"]) == patch_classes["change"] == len(CHANGES)
    for i in range(LENGTH):
        item, edit = rows[i], read(rows[i]["caption"])
        patches = item["patch_labels"].reshape(2, 4, 8, len(patch_classes))
        pair = dict(zip(pair_classes, item["pair_labels"], strict=True))
        assert CATEGORIES[pair["category"]] == edit.category
        for name, values in ((n, patches[..., k]) for k, n in enumerate(patch_classes)):
            kept = values[values != IGNORE]
            assert kept.size == 0 or 0 <= kept.min() and kept.max() < patch_classes[name]
        present, name, change, whole, word = (patches[..., k] for k in range(5))
        assert ((name == IGNORE) == (present == 0)).all()
        if edit.category in ("add", "remove"):
            side = edit.category == "add"
            assert rows.names[pair["name_after" if side else "name_before"]] == edit.name
            assert pair["name_before" if side else "name_after"] == IGNORE
            assert (change[int(side)] == CHANGES.index("add")).any() and not change[int(not side)].any()
        elif edit.category in ("replace", "move", "color", "resize"):
            assert all((change[side] == CHANGES.index(edit.category)).any() for side in (0, 1))
        elif edit.category == "text":
            assert (word[1][change[1] == CHANGES.index("text")] == pair["word"]).all() and (word[0] == IGNORE).all()
            assert set(np.unique(word[1])) == {IGNORE, pair["word"]}
        elif edit.category == "background":
            assert (change == CHANGES.index("background") * (present == 0)).all()
        else:
            assert not change.any()
        said = edit.value if edit.category in ("style", "global") else edit.category
        assert np.unique(whole).tolist() == [WHOLE.index(said) if said in WHOLE else 0]


def test_the_run_of_a_recipe(folders):
    spec = {
        "path": "syned",
        "name": "photos",
        "split": "train",
        "streaming": True,
        "width": 64,
        "height": 64,
        **folders,
    }
    supervision = Supervision([spec, {**spec, "jitter": 0.0}])
    rows = supervision.rows([None, None], None, (64, 8), 14, [[0.5, [1]], [1.0, [0]]])
    assert supervision.classes == classes(rows.names)
    said = {word for item in map(rows.__getitem__, range(14)) for word in item["caption"].split()}
    assert said <= set(supervision.words) and "nothing changed" in supervision.no_change_captions
    with pytest.raises(ValueError, match="must name parts from 0 to 1"):
        supervision.rows([None, None], None, (64, 8), 14, [[1.0, [2]]])
