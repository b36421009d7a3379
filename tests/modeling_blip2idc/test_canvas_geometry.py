"""`CanvasGeometry`: known points, boxes and maps, and what is painted on an image found again."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_blip2idc.canvas_geometry_blip2idc import CanvasGeometry
from modeling_blip2idc.image_processing_blip2idc import make_canvas

TALL = CanvasGeometry(before_size=(400, 300), after_size=(100, 50), canvas_size=(200, 101))
WIDE = CanvasGeometry(before_size=(400, 300), after_size=(100, 50), canvas_size=(101, 200), concat_axis="horizontal")


@pytest.mark.parametrize(
    ("geometry", "point", "expected"),
    [
        (TALL, (0, 0), ("before", 0, 0)),
        (TALL, (100, 25), ("before", 200, 150)),
        (TALL, (200, 49.5), ("before", 400, 297)),
        (TALL, (0, 50), ("after", 0, 0)),  # the seam belongs to the second
        (TALL, (100, 101), ("after", 50, 50)),
        (TALL, (50, 75.5), ("after", 25, 25)),
        (WIDE, (25, 100), ("before", 200, 150)),
        (WIDE, (50, 100), ("after", 0, 25)),
        (WIDE, (101, 200), ("after", 100, 50)),
    ],
)
def test_points(geometry, point, expected):
    assert geometry.to_image(*point) == expected
    assert geometry.to_canvas(*expected) == pytest.approx(point)


def test_points_outside():
    for point in [(-1, 0), (0, 101.5), (201, 0), (math.nan, 0)]:
        with pytest.raises(ValueError, match="outside the canvas of 200x101"):
            TALL.to_image(*point)
    with pytest.raises(ValueError, match="outside the after image of 100x50"):
        TALL.to_canvas("after", 50, 51)
    with pytest.raises(ValueError, match="must be 'before' or 'after'"):
        TALL.half_box("left")


def test_boxes():
    assert TALL.box_to_images((0, 10, 100, 20)) == {"before": (0, 60, 200, 120)}
    assert TALL.box_to_images((0, 40, 100, 60.2)) == {
        "before": (0, 240, 200, 300),
        "after": pytest.approx((0, 0, 50, 10)),
    }
    assert TALL.box_to_images((-50, 50, 500, 500)) == {"after": (0, 0, 100, 50)}
    assert TALL.box_to_images((300, 0, 400, 9)) == {}
    assert WIDE.box_to_images((25, 0, 60.2, 100)) == {
        "before": (200, 0, 400, 150),
        "after": pytest.approx((0, 0, 20, 25)),
    }
    with pytest.raises(ValueError, match="is no box"):
        TALL.box_to_images((5, 5, 5, 9))


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
def test_a_spot_found_on_the_canvas_is_where_it_was_painted(axis):
    images = [Image.new("RGB", (300, 200)), Image.new("RGB", (120, 260))]
    boxes = [(210, 40, 240, 70), (12, 130, 36, 182)]
    for image, box in zip(images, boxes, strict=True):
        image.paste((255, 255, 255), box)
    canvas, geometry = make_canvas(*images, {"height": 224, "width": 224}, axis)
    bright = np.asarray(canvas.convert("L")) > 127
    for which, box in zip(("before", "after"), boxes, strict=True):
        left, top, right, bottom = geometry.half_box(which)
        rows, columns = np.nonzero(bright[top:bottom, left:right])
        found = (left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1)
        assert geometry.box_to_images(found)[which] == pytest.approx(box, abs=3)


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
@pytest.mark.parametrize("side", [2, 16, 32, 224])
def test_split_map_keeps_the_halves_apart(axis, side):
    geometry = CanvasGeometry((40, 30), (13, 57), (224, 224), axis)
    canvas_map = np.zeros((side, side), np.float32)
    if axis == "vertical":
        canvas_map[side // 2 :] = 1
    else:
        canvas_map[:, side // 2 :] = 1
    before, after = geometry.split_map(canvas_map)
    assert before.shape == (30, 40) and after.shape == (57, 13)
    assert before.dtype == after.dtype == np.float32
    assert before.max() == 0 and after.min() == after.max() == 1


def test_split_map_values():
    geometry = CanvasGeometry((4, 2), (2, 2), (28, 28))
    heat = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    before, after = geometry.split_map(heat, Image.Resampling.NEAREST)
    assert before.tolist() == [[1, 1, 2, 2], [3, 3, 4, 4]] and after.tolist() == [[5, 6], [7, 8]]
    before, _ = geometry.split_map(torch.tensor(heat, dtype=torch.bfloat16, requires_grad=False))
    assert before.tolist() == [[1, 1.25, 1.75, 2], [3, 3.25, 3.75, 4]]
    mask = geometry.split_map(heat > 5, Image.Resampling.NEAREST)[1]
    assert mask.tolist() == [[0, 1], [1, 1]]


def test_split_map_with_the_seam_inside_a_row():
    before, after = CanvasGeometry((1, 3), (1, 3), (28, 28)).split_map(
        np.array([[0], [10], [20.0]]), Image.Resampling.BOX
    )
    # each half is one and a half rows: a full row over two pixels, half a row over one
    assert before[:, 0].tolist() == [0, 0, 10] and after[:, 0].tolist() == [10, 20, 20]


def test_split_of_the_canvas_itself_gives_the_images_back():
    before = Image.linear_gradient("L").resize((60, 40))
    after = Image.radial_gradient("L").resize((30, 80))
    canvas, geometry = make_canvas(before, after, {"height": 480, "width": 240})
    for found, image in zip(geometry.split_map(np.asarray(canvas)[..., 0]), (before, after), strict=True):
        assert np.abs(found - np.asarray(image, float)).mean() < 0.5


@pytest.mark.parametrize("shape", [(0, 4), (3,), (2, 3, 4)])
def test_bad_map(shape):
    with pytest.raises(ValueError, match=r"canvas_map has shape .* must be \(H', W'\)"):
        TALL.split_map(np.zeros(shape))


def test_geometry_is_a_frozen_value():
    assert hash(TALL) == hash(dataclasses.replace(TALL)) and TALL == CanvasGeometry(**dataclasses.asdict(TALL))
    with pytest.raises(dataclasses.FrozenInstanceError):
        TALL.canvas_size = (1, 2)
