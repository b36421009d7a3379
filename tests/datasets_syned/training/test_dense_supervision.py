"""DenseSupervision: what the labels of patches and pairs are, and that swapping and mirroring keep them true."""

import io
import json
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from datasets_syned.scenes.captions import PHRASINGS
from datasets_syned.scenes.scores import read
from datasets_syned.scenes.settings import SceneSettings
from datasets_syned.training.dense_supervision import (
    ATTRIBUTES,
    CATEGORIES,
    IGNORE,
    PAIR_CLASSES,
    PATCH_CLASSES,
    DenseSupervision,
    DenseSupervisionCollator,
    patch_labels,
    prepare_row,
    vocabulary,
)

CUBE = {"shape": "cube", "color": "red", "material": "metal", "size": "small"}
BALL = {"shape": "sphere", "color": "gray", "material": "rubber", "size": "large"}
CUBE_LABELS = [ATTRIBUTES[name].index(CUBE[name]) for name in ATTRIBUTES]
BALL_LABELS = [ATTRIBUTES[name].index(BALL[name]) for name in ATTRIBUTES]
NOTHING = [IGNORE] * len(ATTRIBUTES)


def stack(before, after, width=32, height=16):
    """A canvas as the model's: each image resized, before above after."""
    canvas = Image.new("RGB", (width, 2 * height))
    for i, image in enumerate((before, after)):
        canvas.paste(image.convert("RGB").resize((width, height)), (0, i * height))
    return canvas


ONE_PHASE = [(1.0, [0])]


def decoded(row):
    images = ("before", "after", "before_mask", "after_mask")
    return {**row, **{name: Image.open(io.BytesIO(row[name]["bytes"])) for name in images}}


@pytest.fixture(scope="module")
def rows():
    settings = SceneSettings(width=48, height=32, masks=True)
    return [decoded(settings.row("train", i)) for i in range(6)]


@pytest.fixture(scope="module")
def prepared(rows):
    return Dataset.from_list([prepare_row(row, stack, 8) for row in rows])


class TestPatchLabels:
    def test_exact_on_a_hand_made_mask(self):
        mask = np.zeros((4, 8), np.uint8)
        mask[:2, :2] = 1  # the cube fills the first patch
        mask[2:, 4:6] = 2  # the ball fills the third patch of the second row
        labels = patch_labels(mask, [CUBE, BALL], 1, "color", 2, 4)
        expected = np.array([[[0, *NOTHING, 0]] * 4] * 2)
        expected[0, 0] = [1, *CUBE_LABELS, 0]
        expected[1, 2] = [1, *BALL_LABELS, 1]
        assert labels.dtype == np.int16
        assert labels.tolist() == expected.tolist()

    @pytest.mark.parametrize(
        ("category", "label"), [("color", 1), ("texture", 2), ("move", 3), ("add", 4), ("drop", 4)]
    )
    def test_what_happened(self, category, label):
        assert patch_labels(np.ones((2, 2), np.uint8), [CUBE], 0, category, 1, 1)[0, 0, -1] == label

    def test_the_larger_object_wins_and_a_sliver_does_not_count(self):
        mask = np.zeros((10, 20), np.uint8)
        mask[:6, :10], mask[6:, :10] = 1, 2  # 60 % and 40 % of the first patch
        mask[0, 10:] = 2  # 10 % of the second
        labels = patch_labels(mask, [CUBE, BALL], 1, "move", 1, 2)
        assert labels[0, 0].tolist() == [1, *CUBE_LABELS, 3]  # its content is the cube, yet the ball moved here too
        assert labels[0, 1].tolist() == [0, *NOTHING, 0]

    def test_a_mask_that_the_patches_do_not_divide(self):
        mask = np.zeros((5, 7), np.uint8)
        mask[:, :3] = 1
        labels = patch_labels(mask, [CUBE], None, "none", 2, 3)
        assert labels[..., 0].tolist() == [[1, 0, 0]] * 2
        assert not labels[..., -1].any()


class TestPrepare:
    def test_a_row(self, rows, prepared):
        for row, ready in zip(rows, prepared, strict=True):
            assert (ready["height"], ready["width"]) == (32, 32)
            assert ready["canvas"] == stack(row["before"], row["after"]).tobytes()
            assert ready["captions"] == row["captions"]
            patches = np.frombuffer(ready["patch_labels"], np.int16).reshape(2, 2, 4, len(PATCH_CLASSES))
            assert patches[..., 0].any(axis=(1, 2)).all(), "objects in both images"
            pair = dict(zip(PAIR_CLASSES, ready["pair_labels"], strict=True))
            assert CATEGORIES[pair["category"]] == row["category"]
            changes = [0 if row["category"] in absent else 1 for absent in (("add", "none"), ("drop", "none"))]
            for side, index, present in zip(
                ("before", "after"), json.loads(row["scene"])["changed_object"], changes, strict=True
            ):
                said = [pair[f"{name}_{side}"] for name in ATTRIBUTES]
                if not present:
                    assert index is None and said == NOTHING
                    continue
                changed = json.loads(row["scene"])[f"{side}_objects"][index]
                assert said == [ATTRIBUTES[name].index(changed[name]) for name in ATTRIBUTES]

    def test_labels_are_in_range(self, prepared):
        for ready in prepared:
            patches = np.frombuffer(ready["patch_labels"], np.int16).reshape(-1, len(PATCH_CLASSES))
            for column, (name, classes) in zip(patches.T, PATCH_CLASSES.items(), strict=True):
                assert set(column) <= {IGNORE, *range(classes)}, name
            for label, (name, classes) in zip(ready["pair_labels"], PAIR_CLASSES.items(), strict=True):
                assert label in {IGNORE, *range(classes)}, name


def marked(swapped_caption="reversed", category="add"):
    """A prepared row in which each patch of 8 x 8 pixels has a colour of its own, and that colour as its labels."""
    number = np.arange(2 * 2 * 4).reshape(2, 2, 4)  # half, row, column
    pixels = np.repeat(np.repeat(number, 8, 1), 8, 2)[..., None].repeat(3, -1).astype(np.uint8)
    return {
        "canvas": pixels.tobytes(),
        "height": 32,
        "width": 32,
        "columns": 4,
        "patch_labels": np.repeat(number[..., None], len(PATCH_CLASSES), -1).astype(np.int16).tobytes(),
        "pair_labels": [CATEGORIES.index(category), 1, 2, 3, 4, 5, 6, 7, 8],
        "captions": ["forward"],
        "captions_reversed": [swapped_caption],
    }


@pytest.fixture(scope="module")
def items():
    items = DenseSupervision([Dataset.from_list([marked()])], ONE_PHASE, 64)
    return [items[i] for i in range(64)]


class TestDealing:
    def test_labels_move_with_the_pixels(self, items):
        seen = set()
        for item in items:
            canvas = np.concatenate([np.asarray(half) for half in item["pair"]])[..., 0]
            of_patches = canvas.reshape(4, 8, 4, 8)[:, 0, :, 0]  # one pixel of each patch, in reading order
            assert (canvas == np.repeat(np.repeat(of_patches, 8, 0), 8, 1)).all()
            assert item["patch_labels"].shape == (16, len(PATCH_CLASSES)) and item["patch_labels"].dtype == np.int64
            assert (item["patch_labels"] == of_patches.reshape(16, 1)).all()
            seen.add(tuple(of_patches.ravel()))
        rows = np.arange(16).reshape(2, 2, 4)
        views = [rows, rows[..., ::-1], rows[::-1], rows[::-1, :, ::-1]]
        assert seen == {tuple(view.ravel()) for view in views}

    def test_a_swapped_pair_is_that_of_the_reversed_change(self, items):
        for item in items:
            swapped = np.asarray(item["pair"][0])[0, 0, 0] >= 8
            assert item["caption"] == ("reversed" if swapped else "forward")
            category, *attributes = item["pair_labels"].tolist()
            assert CATEGORIES[category] == ("drop" if swapped else "add")
            assert attributes == ([5, 6, 7, 8, 1, 2, 3, 4] if swapped else [1, 2, 3, 4, 5, 6, 7, 8])

    def test_other_categories_stay_when_swapped(self):
        for category in ("color", "texture", "move", "none"):
            items = DenseSupervision([Dataset.from_list([marked(category=category)])], ONE_PHASE, 8)
            assert {CATEGORIES[items[i]["pair_labels"][0]] for i in range(8)} == {category}

    def test_captions_of_real_rows_say_their_labels(self, prepared):
        items = DenseSupervision([prepared], ONE_PHASE, 200)
        for i in range(200):
            item = items[i]
            category, words = read(item["caption"])
            pair = dict(zip(PAIR_CLASSES, item["pair_labels"], strict=True))
            assert CATEGORIES[pair["category"]] == category
            if category != "none":
                side = "after" if category == "add" else "before"
                named = [ATTRIBUTES[name][pair[f"{name}_{side}"]] for name in ("size", "color", "material", "shape")]
                assert list(words[:4]) == named
            if category in ("color", "texture"):
                name = {"color": "color", "texture": "material"}[category]
                assert words[4] == ATTRIBUTES[name][pair[f"{name}_after"]]

    def test_an_item_depends_on_seed_and_number_only(self, prepared):
        def deal(order, **kwargs):
            items = DenseSupervision([prepared], ONE_PHASE, 40, **kwargs)
            return {i: items[i] for i in order}

        forward, backward = deal(range(40), seed=3), deal(reversed(range(40)), seed=3)
        longer = DenseSupervision([prepared], ONE_PHASE, 1000, seed=3)
        for i in range(40):
            for other in (backward[i], longer[i]):
                assert forward[i]["caption"] == other["caption"]
                assert (forward[i]["patch_labels"] == other["patch_labels"]).all()
                assert [p.tobytes() for p in forward[i]["pair"]] == [p.tobytes() for p in other["pair"]]
        others = deal(range(40), seed=4)
        assert sum(forward[i]["caption"] == others[i]["caption"] for i in range(40)) < 20
        assert len({forward[i]["caption"] for i in range(40)}) > 10

    def test_phases_draw_from_their_parts(self):
        parts = [Dataset.from_list([{**marked(name), "captions": [name]}] * 3) for name in ("hard", "easy")]
        items = DenseSupervision(parts, [(0.25, [1]), (0.5, [0, 1]), (1.0, [0])], 400)
        said = [items[i]["caption"] for i in range(400)]
        assert len(items) == 400
        assert set(said[:100]) == {"easy"} and set(said[200:]) == {"hard"}
        assert 30 < said[100:200].count("easy") < 70

    @pytest.mark.parametrize(
        ("curriculum", "message"),
        [
            ([], "the last one at 1.0"),
            ([(0.5, [0])], "the last one at 1.0"),
            ([(0.6, [0]), (0.5, [0]), (1.0, [0])], "rising order"),
            ([(1.0, [2])], "phase until 1.0: .* parts from 0 to 1"),
            ([(1.0, [])], "phase until 1.0"),
        ],
    )
    def test_a_curriculum_that_does_not_fit(self, prepared, curriculum, message):
        with pytest.raises(ValueError, match=message):
            DenseSupervision([prepared, prepared], curriculum, 10)

    def test_items_have_names(self, items):
        assert [item["id"] for item in items[:2]] == ["item-0", "item-1"]


def test_collator(prepared):
    def processor(images, captions):
        return {"count": len(images), "captions": captions, "input_ids": torch.zeros(len(images), 5, dtype=torch.long)}

    items = DenseSupervision([prepared], ONE_PHASE, 4)
    batch = DenseSupervisionCollator(processor)([items[i] for i in range(4)])
    assert batch["count"] == 4 and batch["captions"] == [items[i]["caption"] for i in range(4)]
    assert batch["patch_labels"].shape == (4, 16, len(PATCH_CLASSES))
    assert batch["pair_labels"].shape == (4, len(PAIR_CLASSES))
    assert batch["pair_labels"].dtype == batch["patch_labels"].dtype == torch.long
    assert batch["pair_labels"][1].tolist() == items[1]["pair_labels"].tolist()


def test_vocabulary_holds_every_word_of_the_grammar(rows):
    words = vocabulary()
    assert words == sorted(set(words))
    said = {word for row in rows for caption in row["captions"] for word in caption.split()}
    said |= {w for row in rows for c in json.loads(row["scene"])["captions_reversed"] for w in c.split()}
    patterns = {w for several in PHRASINGS.values() for p in several for w in p.split()} - {"{object}", "{value}"}
    attributes = {value for values in ATTRIBUTES.values() for value in values}
    relations = {"closest", "to", "behind", "in", "front", "of", "the"}
    assert said <= set(words)
    assert set(words) == patterns | attributes | relations


def test_the_canvas_maker_can_be_sent_to_a_process(rows):
    job = partial(prepare_row, make_canvas=partial(stack, width=16, height=8), patch_size=8)
    assert pickle.loads(pickle.dumps(job))(rows[0])["width"] == 16
