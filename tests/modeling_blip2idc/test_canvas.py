"""`make_canvas` against the authors' path: paste, then resize."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from modeling_blip2idc.image_processing_blip2idc import CanvasGeometry, as_pair, make_canvas
from modeling_blip2idc.image_utils_blip2idc import ImageLoadError
from tests.support.pictures import photo

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
    assert geometry.half_size("before") == ((3, 10) if axis == "vertical" else (7, 5))
    assert geometry.seam == (3 if axis == "vertical" else 5)


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


def jpeg(image: Image.Image, orientation: int = 1) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image.save(file, "JPEG", quality=92, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
def test_draft_of_jpegs_is_close_and_keeps_the_geometry(orientation):
    before, after = jpeg(photo(1600, 1200, 8), orientation), jpeg(photo(1200, 1600, 9), orientation)
    drafted, geometry = make_canvas(before, after, {"height": 448, "width": 224}, draft=True)
    full, full_geometry = make_canvas(before, after, {"height": 448, "width": 224})
    sizes = ((1200, 1600), (1600, 1200))
    assert geometry == full_geometry == CanvasGeometry(*(sizes if orientation == 1 else sizes[::-1]), (448, 224))
    difference = np.abs(np.asarray(drafted, float) - np.asarray(full, float))
    assert 0 < difference.mean() < 2 and np.percentile(difference, 99) < 12


def test_draft_changes_nothing_but_jpegs():
    before, after = photo(800, 600, 10), np.asarray(photo(400, 300, 11))
    file = io.BytesIO()
    before.save(file, "PNG")
    drafted = make_canvas(file.getvalue(), after, 56, draft=True)[0]
    assert drafted.tobytes() == make_canvas(file.getvalue(), after, 56)[0].tobytes()


# --- errors ----------------------------------------------------------------------------------------------------------


def test_errors_say_which_image(tmp_path):
    good = Image.new("RGB", (4, 4))
    for before, after, start in [
        (good, None, "images[3] after: None is not an image"),
        (np.full((2, 2), np.nan), good, "images[3] before: 4 of 4 values are NaN"),
        (good, tmp_path / "gone.png", f"images[3] after {str(tmp_path / 'gone.png')!r}: no such file"),
    ]:
        with pytest.raises(ImageLoadError) as caught:
            make_canvas(before, after, 28, name="images[3]")
        assert str(caught.value).startswith(start)
    with pytest.raises(ImageLoadError, match="^before: None"):
        make_canvas(None, good, 28)


@pytest.mark.parametrize(
    "size", [None, 0, -4, 2.5, True, "224", (28,), (28, 0), {"shortest_edge": 224}, {"height": 28}, {}], ids=repr
)
def test_bad_size(size):
    with pytest.raises(ValueError, match="^size is .*it must be {'height'"):
        make_canvas("gone.png", "gone.png", size)  # before any file is opened


def test_as_pair():
    assert as_pair((1, 2)) == as_pair([1, 2]) == as_pair({"after": 2, "before": 1, "id": "x"}) == (1, 2)
    for pair, message in [
        ((1,), r"^images\[4\]: a pair is two images, but this one has 1\. Give \(before, after\)"),
        ([1, 2, 3], "this one has 3"),
        ({"before": 1}, "the pair has no 'after'"),
        ({}, "no 'before' and no 'after'"),
    ]:
        with pytest.raises(ImageLoadError, match=message):
            as_pair(pair, "images[4]")
    with pytest.raises(TypeError, match="got Image where a pair of images is expected"):
        as_pair(Image.new("L", (1, 1)))
