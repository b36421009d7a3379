"""The canvas: `make_canvas` against the authors' path (paste, then resize), and `CanvasGeometry`."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from modeling_blip2idc.image_processing_blip2idc import CanvasGeometry, make_canvas
from tests.support.pictures import encode, photo

RED, BLUE = (255, 0, 0), (0, 0, 255)


def authors_pixels(before, after, height, width, axis) -> np.ndarray:
    """Paste both at native size, then the stock BLIP processor: (height, width, 3) in grey levels."""
    if axis == "vertical":
        pasted = Image.new("RGB", (before.width, before.height + after.height))
        pasted.paste(after, (0, before.height))
    else:
        pasted = Image.new("RGB", (before.width + after.width, before.height))
        pasted.paste(after, (before.width, 0))
    pasted.paste(before, (0, 0))
    return stock_pixels(pasted, height, width)


def stock_pixels(image, height, width) -> np.ndarray:
    processor = BlipImageProcessorPil(size={"height": height, "width": width})
    pixels = processor(image, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)  # (H, W, 3), normalised
    return (pixels * np.array(processor.image_std) + np.array(processor.image_mean)) * 255


SIZES = [(640, 480), (480, 320), (1024, 768), (1600, 1200), (224, 224), (500, 375), (96, 64), (50, 41)]
SIZES += [(333, 251), (400, 300), (300, 400), (100, 251), (251, 100)]  # where Pillow 13 changes its pass order


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("canvas", [(224, 224), (448, 224)], ids=str)
def test_equals_paste_then_resize_outside_the_seam(size, canvas, axis):
    before, after = photo(*size, seed=1), photo(*size, seed=2)
    height, width = canvas if axis == "vertical" else canvas[::-1]
    theirs = authors_pixels(before, after, height, width, axis)
    made, geometry = make_canvas(before, after, {"height": height, "width": width}, axis)
    ours = stock_pixels(made, height, width)  # the stock processor leaves a finished canvas as it is
    assert np.abs(ours - np.asarray(made)).max() < 0.01
    along = 0 if axis == "vertical" else 1
    half = (height, width)[along] // 2
    rows = math.ceil(2 * max(1.0, half / size[1 - along]))  # reach of the bicubic filter, in canvas rows
    assert rows <= (2 if size[1 - along] >= half else 11)
    near = np.zeros(ours.shape[along], bool)
    near[half - rows : half + rows] = True
    difference = np.abs(ours - theirs).max(axis=(2, 1 - along))
    assert difference[~near].max() <= 2
    if size[1 - along] == half:
        assert difference.max() == 0  # nothing to resample across the seam
    else:
        assert difference[near].max() > 2  # the two ways are not the same thing
    assert geometry == CanvasGeometry(size[::-1], size[::-1], (height, width), axis)


@pytest.mark.parametrize(("axis", "box"), [("vertical", (0, 3, 10, 7)), ("horizontal", (5, 0, 10, 7))])
def test_odd_canvas_gives_the_rest_to_the_second(axis, box):
    canvas, geometry = make_canvas(Image.new("RGB", (9, 4), RED), Image.new("RGB", (5, 8), BLUE), (7, 10), axis)
    expected = Image.new("RGB", (10, 7), RED)
    expected.paste(BLUE, box)
    assert canvas.mode == "RGB" and canvas.size == (10, 7)
    assert canvas.tobytes() == expected.tobytes()
    assert geometry.half_box("after") == box


def test_unequal_images_get_one_half_each_as_a_whole():
    before, after = photo(300, 200, 3), photo(90, 400, 4)
    canvas, geometry = make_canvas(before, after, 224)
    for image, which in ((before, "before"), (after, "after")):
        expected = image.resize((224, 112), Image.Resampling.BICUBIC)
        difference = np.abs(np.asarray(canvas.crop(geometry.half_box(which)), float) - np.asarray(expected, float))
        assert difference.mean() < 0.5  # not 0: the order of Pillow's two passes is that of the whole canvas
    assert (geometry.before_size, geometry.after_size) == ((200, 300), (400, 90))


def test_size_in_every_form_and_resample():
    before, after = photo(60, 40, 5), photo(60, 40, 6)
    processor = BlipImageProcessorPil(size={"height": 28, "width": 56})
    reference = make_canvas(before, after, {"height": 28, "width": 56})[0]
    assert reference.size == (56, 28)
    for size in (processor.size, (28, 56), [28, 56]):
        assert make_canvas(before, after, size)[0].tobytes() == reference.tobytes()
    assert make_canvas(before, after, 30)[0].size == (30, 30)
    nearest = make_canvas(before, after, (28, 56), resample=Image.Resampling.NEAREST)[0]
    assert nearest.crop((0, 0, 56, 14)).tobytes() == before.resize((56, 14), Image.Resampling.NEAREST).tobytes()


def test_inputs_are_not_changed():
    array = np.asarray(photo(30, 20, 7)).copy()
    image, kept = Image.fromarray(array), array.copy()
    canvas, _ = make_canvas(image, array, {"height": 40, "width": 30})
    canvas.paste((0, 0, 0), (0, 0, 30, 40))
    assert image.tobytes() == kept.tobytes() and np.array_equal(array, kept)


@pytest.mark.parametrize("orientation", [1, 6])
def test_draft_of_jpegs_is_close_and_keeps_the_geometry(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"format": "JPEG", "quality": 92, "exif": exif}
    before, after = encode(photo(1600, 1200, 8), **options), encode(photo(1200, 1600, 9), **options)
    drafted, geometry = make_canvas(before, after, {"height": 448, "width": 224}, draft=True)
    full, full_geometry = make_canvas(before, after, {"height": 448, "width": 224})
    sizes = ((1200, 1600), (1600, 1200))
    assert geometry == full_geometry == CanvasGeometry(*(sizes if orientation == 1 else sizes[::-1]), (448, 224))
    difference = np.abs(np.asarray(drafted, float) - np.asarray(full, float))
    assert 0 < difference.mean() < 2 and np.percentile(difference, 99) < 12


@pytest.mark.parametrize(
    "size", [None, 0, -4, 2.5, True, "224", (28,), (28, 0), {"shortest_edge": 224}, {"height": 28}, {}], ids=repr
)
def test_bad_size(size):
    with pytest.raises(ValueError, match="^size is .*it must be {'height'"):
        make_canvas("gone.png", "gone.png", size)  # before any file is opened


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
