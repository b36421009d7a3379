"""What is in a composed pair: the edit that its caption says, and nothing else."""

import io

import numpy as np
import pytest
from PIL import Image

from datasets_syned.photos.captions import CATEGORIES, OF_OBJECTS
from datasets_syned.photos.material import load_material
from datasets_syned.photos.pair import make_pair


@pytest.fixture(scope="module")
def material(folders):
    return load_material(**folders)


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)), np.int16)


def pairs_of(material, category, count=4, **options):
    first = CATEGORIES.index(category)
    return [make_pair(material, "train", first + 14 * k, **options) for k in range(count)]


def test_a_pair_is_a_function_of_its_arguments(material):
    one, again, other = (make_pair(material, "train", 4, seed=seed) for seed in (0, 0, 1))
    assert one.before == again.before and one.after == again.after and one.edit == again.edit
    assert one.before != other.before


@pytest.mark.parametrize("category", CATEGORIES)
def test_categories_take_turns_and_masks_fit(material, category):
    for pair in pairs_of(material, category, width=120, height=96):
        assert pair.edit.category == category
        for side, (content, mask) in enumerate(((pair.before, pair.before_mask), (pair.after, pair.after_mask))):
            assert pixels(content).shape == (96, 120, 3) and mask.shape == (96, 120)
            objects = len(pair.scenes[side].objects)
            assert mask.max() <= objects + (pair.words[side] is not None)
            changed = pair.changed_object[side]
            if changed is not None:
                assert (mask == changed + 1).sum() > 60, "the changed object can be seen"
        assert (pair.changed_object != (None, None)) == (category in OF_OBJECTS)


@pytest.mark.parametrize("category", ["add", "remove", "replace", "move", "color", "resize", "text"])
def test_without_distractors_pixels_differ_at_the_edit_alone(material, category):
    for pair in pairs_of(material, category, jitter=0.0):
        differing = np.abs(pixels(pair.before) - pixels(pair.after)).max(2) > 24
        at = np.zeros_like(differing)
        for mask, changed in zip((pair.before_mask, pair.after_mask), pair.changed_object, strict=True):
            at |= mask == (0 if changed is None else changed + 1) if changed is not None else False
        if category == "text":
            at = pair.after_mask == len(pair.scenes[1].objects) + 1
        near = np.asarray(Image.fromarray(at).convert("L").resize((24, 16)).resize((240, 160), 0)) > 0
        grown = np.zeros_like(near)  # the shadow and the blocks of the JPEG file are around it
        for dy in (-30, 0, 30):
            for dx in (-30, 0, 30):
                grown |= np.roll(near, (dy, dx), (0, 1))
        assert differing[at].mean() > 0.2
        assert differing[~grown].mean() < 0.002


def test_nothing_changes_in_an_unchanged_pair_but_camera_and_light(material):
    for still, moved in zip(pairs_of(material, "none", jitter=0.0), pairs_of(material, "none"), strict=True):
        assert still.before == still.after
        assert moved.before != moved.after and moved.scenes[0] == moved.scenes[1]


def test_the_other_background_is_another_photograph_behind_the_same_objects(material):
    for pair in pairs_of(material, "background"):
        before, after = pair.scenes
        assert before.photograph != after.photograph and before.objects == after.objects


@pytest.mark.parametrize("split", ["test_views", "test_objects"])
def test_other_splits(material, split):
    pairs = [make_pair(material, split, index) for index in range(14)]
    names = {placed.name for pair in pairs for scene in pair.scenes for placed in scene.objects}
    assert names <= set(material.objects_of(split))
    turned = [abs(placed.angle) for pair in pairs for scene in pair.scenes for placed in scene.objects]
    assert min(turned) >= 15 if split == "test_views" else max(turned) <= 15


def test_a_text_on_both_pictures_leaves_the_edited_object_visible(material):
    pairs = [pair for category in ("add", "color") for pair in pairs_of(material, category, count=40)]
    written = [pair for pair in pairs if pair.words[0] is not None]
    assert 4 <= len(written) <= 30
    for pair in written:
        assert pair.words[0] == pair.words[1] != pair.edit.value
        text = len(pair.scenes[1].objects) + 1
        assert (pair.after_mask == text).any() and (pair.after_mask == pair.changed_object[1] + 1).sum() > 60


def test_objects_become_bigger_as_often_as_smaller(material):
    values = [pair.edit.value for pair in pairs_of(material, "resize", count=80, width=96, height=64)]
    assert 24 <= values.count("bigger") <= 56
