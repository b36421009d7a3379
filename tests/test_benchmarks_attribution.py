"""The measures of `benchmarks/attribution.py`, on maps whose scores are known, and a small run."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from benchmarks import attribution
from benchmarks.attribution import gaussian, interval, masks, overlap, pixel_difference, points_at, rates, trials


def row_of(category, places, **images):
    blank = np.zeros((6, 8), np.uint8)
    square = blank.copy()
    square[1:3, 2:4] = 2  # object 1
    sides = {side: Image.fromarray(square) for side in ("before_mask", "after_mask")}
    return {"category": category, "scene": json.dumps({"changed_object": places}), **sides, **images}


def peak(y, x):
    relevance = np.zeros((6, 8))
    relevance[y, x] = 1
    return relevance


def test_masks_are_of_the_changed_object():
    first, second = masks(row_of("drop", [1, None]))
    assert second is None and first.sum() == 4 and first[1:3, 2:4].all()
    first, second = masks(row_of("add", [None, 0]))
    assert first is None and not second.any()


@pytest.mark.parametrize(
    ("place", "tolerance", "right"),
    [((1, 2), 0, True), ((3, 2), 0, False), ((3, 2), 1, True), ((4, 5), 2, False), ((4, 5), 3, True)],
)
def test_pointing(place, tolerance, right):
    mask = masks(row_of("drop", [1, None]))[0]
    assert points_at(peak(*place), mask, tolerance) is right


def test_overlap():
    mask = masks(row_of("drop", [1, None]))[0]
    assert overlap(mask.astype(float), mask, 2) == 1
    assert overlap(peak(1, 2), mask, 2) == 1 / 4
    assert overlap(peak(5, 7), mask, 2) == 0
    assert overlap(np.zeros((6, 8)), mask, 2) == 0


def test_only_images_with_the_object_are_tried():
    rows = [row_of("drop", [1, None]), row_of("color", [1, 1])]
    right, wrong = peak(1, 2), peak(5, 7)
    sums = trials(rows, [(right, wrong), (right, wrong)], k=2)
    assert sums.tolist() == [[1, 1, 1, 0.25], [2, 1, 1, 0.25]]
    assert rates(sums) == pytest.approx([100 * 2 / 3, 100 * 2 / 3, 100 * 0.5 / 3])


def test_intervals():
    always = np.array([[2, 2, 2, 2.0]] * 5)
    never = np.array([[2, 0, 0, 0.0]] * 5)
    assert interval(always).tolist() == [[100] * 3] * 2
    assert interval(always, never).tolist() == [[100] * 3] * 2
    half = np.concatenate([always, never] * 20)
    (low, *_), (high, *_) = interval(half)
    assert 40 <= low < 50 < high <= 60


def test_pixel_difference():
    images = [np.zeros((6, 8, 3), np.uint8) for _ in range(2)]
    images[1][2, 5] = 10, 20, 30
    row = row_of("add", [None, 1], before=Image.fromarray(images[0]), after=Image.fromarray(images[1]))
    assert np.array_equal(pixel_difference(row, 0), 60 * peak(2, 5))
    blurred = pixel_difference(row, 1)
    assert blurred[2, 5] == 60 and blurred[2, 6] == pytest.approx(60 * np.exp(-0.5))
    assert gaussian(4, 0).tolist() == np.eye(4).tolist()


def test_a_small_run(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["attribution.py", "--rows", "6", "--figure", str(tmp_path / "maps.png")])
    with pytest.raises(SystemExit):
        attribution.main()
    printed = capsys.readouterr().out
    assert printed.startswith("5 changed pairs (8 images) of test, jitter 1;")
    for name in ("relevance map", "pixel difference", "map above pixels", "map of shuffled weights", "texture"):
        assert f"\n{name} " in printed
    assert Image.open(tmp_path / "maps.png").size == (4 * 288 + 50, 5 * (192 + 36) + 10)
