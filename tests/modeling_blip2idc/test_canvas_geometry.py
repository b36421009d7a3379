"""`CanvasGeometry`: where the halves lie, and maps of the canvas as maps of the images. Sizes are (height, width)."""

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_blip2idc import CanvasGeometry, make_canvas

TALL = CanvasGeometry(before_size=(300, 400), after_size=(50, 100), canvas_size=(101, 200))
WIDE = CanvasGeometry(before_size=(300, 400), after_size=(50, 100), canvas_size=(200, 101), concat_axis="horizontal")


def test_halves():
    assert (TALL.seam, TALL.half_box("before"), TALL.half_box("after")) == (50, (0, 0, 200, 50), (0, 50, 200, 101))
    assert (WIDE.seam, WIDE.half_box("before"), WIDE.half_box("after")) == (50, (0, 0, 50, 200), (50, 0, 101, 200))
    assert [TALL.half_size(which) for which in ("before", "after")] == [(50, 200), (51, 200)]
    assert [WIDE.half_size(which) for which in ("before", "after")] == [(200, 50), (200, 51)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TALL.half_box("left"), "must be 'before' or 'after'"),
        (lambda: CanvasGeometry((3, 3), (3, 3), (28, 28), "diagonal"), "concat_axis is 'diagonal'"),
        (lambda: CanvasGeometry((3, 3), (0, 3), (28, 28)), "after_size is"),
        (lambda: CanvasGeometry((3, 3), (3, 3), (1, 9)), "1x9 .height x width. has no room for two images"),
        (lambda: CanvasGeometry((3, 3), (3, 3), (9, 1), "horizontal"), "no room for two images"),
        *((lambda shape=shape: TALL.split_map(np.zeros(shape)), r"must be \(H', W'\)") for shape in [(0, 4), (3,)]),
        (lambda: TALL.split_map(np.zeros((2, 3, 4))), r"canvas_map has shape \(2, 3, 4\)"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
@pytest.mark.parametrize("side", [2, 32, 224])
def test_split_map_keeps_the_halves_apart(axis, side):
    geometry = CanvasGeometry((30, 40), (57, 13), (224, 224), axis)
    canvas_map = np.zeros((side, side), np.float32)
    (canvas_map if axis == "vertical" else canvas_map.T)[side // 2 :] = 1
    before, after = geometry.split_map(canvas_map)
    assert before.shape == (30, 40) and after.shape == (57, 13)
    assert before.dtype == after.dtype == np.float32
    assert before.max() == 0 and after.min() == after.max() == 1


def test_split_map_values():
    geometry = CanvasGeometry((2, 4), (2, 2), (28, 28))
    heat = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    before, after = geometry.split_map(heat, Image.Resampling.NEAREST)
    assert before.tolist() == [[1, 1, 2, 2], [3, 3, 4, 4]] and after.tolist() == [[5, 6], [7, 8]]
    before, _ = geometry.split_map(torch.tensor(heat, dtype=torch.bfloat16, requires_grad=False))
    assert before.tolist() == [[1, 1.25, 1.75, 2], [3, 3.25, 3.75, 4]]
    assert geometry.split_map(heat > 5, Image.Resampling.NEAREST)[1].tolist() == [[0, 1], [1, 1]]


def test_split_map_with_the_seam_inside_a_row():
    geometry = CanvasGeometry((3, 1), (3, 1), (28, 28))
    before, after = geometry.split_map(np.array([[0], [10], [20.0]]), Image.Resampling.BOX)
    # each half is one and a half rows: a full row over two pixels, half a row over one
    assert before[:, 0].tolist() == [0, 0, 10] and after[:, 0].tolist() == [10, 20, 20]


def test_split_of_the_canvas_itself_gives_the_images_back():
    before = Image.linear_gradient("L").resize((60, 40))
    after = Image.radial_gradient("L").resize((30, 80))
    canvas, geometry = make_canvas(before, after, (480, 240))
    for found, image in zip(geometry.split_map(np.asarray(canvas)[..., 0]), (before, after), strict=True):
        assert np.abs(found - np.asarray(image, float)).mean() < 0.5
