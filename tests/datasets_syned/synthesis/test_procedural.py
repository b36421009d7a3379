"""The editor of rendered scenes."""

import io
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from datasets_syned.scenes.instructions import find, read_instruction
from datasets_syned.scenes.render import render
from datasets_syned.scenes.scene_text import scene_of
from datasets_syned.synthesis.editors import EditError, load_editor
from datasets_syned.synthesis.editors.procedural import LIGHT, ProceduralEditor
from datasets_syned.synthesis.sources import SceneSource


@pytest.fixture(scope="module")
def scenes():
    """Ten scenes with their instructions, two of each kind."""
    source = SceneSource(rows=10)
    return [(Image.open(io.BytesIO(source.read(row.index))), row.instruction) for row in source.rows()]


def difference(one: Image.Image, other: Image.Image) -> np.ndarray:
    """Largest difference of a pixel's channels, `(height, width)`."""
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).max(-1)


def test_an_edit_changes_what_it_is_told_to(scenes):
    images, instructions = zip(*scenes, strict=True)
    edited = ProceduralEditor(failure_rate=0).edit(images, instructions, range(10))
    for image, text, after in zip(images, instructions, edited, strict=True):
        assert isinstance(after, Image.Image) and after.size == image.size and after.mode == "RGB"
        (objects, view), told = scene_of(image), read_instruction(text)
        changed = difference(image, after)
        drift = 255 * LIGHT * 2  # what the light alone may do
        if told.category in ("color", "texture", "drop"):
            *_, mask, _ = render(objects, view, *image.size)[:2], None
            mask = render(objects, view, *image.size)[1] == objects.index(find(told.phrase, objects)) + 1
            assert changed[mask].mean() > 8, text
            far = changed[np.asarray(Image.fromarray(mask).resize((9, 6)).resize(image.size)) == 0]
            assert np.median(far) < drift
        assert (changed > 12).any(), text


def test_colors(scenes):
    """A sphere that is painted has, in the middle, the color that was named."""
    image, text = scenes[0]
    objects, view = scene_of(image)
    told = read_instruction(text)
    (after,) = ProceduralEditor(failure_rate=0).edit([image], [text], [3])
    target = find(told.phrase, objects)
    wanted = tuple(type(obj)(**{**asdict(obj), "color": told.value}) if obj is target else obj for obj in objects)
    assert difference(Image.fromarray(render(wanted, view, *image.size)[0]), after).max() < 255 * LIGHT * 2


def test_a_result_is_a_function_of_image_instruction_and_seed(scenes):
    editor = ProceduralEditor()
    images, instructions = zip(*scenes, strict=True)
    together = editor.edit(images, instructions, range(10))
    backwards = editor.edit(images[::-1], instructions[::-1], range(9, -1, -1))[::-1]
    assert [one.tobytes() for one in together] == [one.tobytes() for one in backwards]
    other = editor.edit(images, instructions, range(10, 20))
    assert all(one.tobytes() != another.tobytes() for one, another in zip(together, other, strict=True))


def test_how_often_it_fails(scenes):
    """A third of the failures leave the scene as it is, which can be seen from outside."""
    image, text = scenes[4]
    assert read_instruction(text).category == "drop"
    results = ProceduralEditor(failure_rate=0.6).edit([image] * 200, [text] * 200, range(200))
    unchanged = Counter((difference(image, one) > 255 * LIGHT * 2).any() for one in results)[False]
    assert 25 <= unchanged <= 57  # 200 draws at 0.2: mean 40, three standard deviations are 17
    assert load_editor("procedural", failure_rate=1.0).parameters["failure_rate"] == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("make it snow", "not understood: 'make it snow'"),
        ("remove the large cyan rubber teapot", "there is no large cyan rubber teapot in the scene"),
    ],
)
def test_what_it_cannot_do(scenes, text, said):
    results = ProceduralEditor().edit([scenes[0][0]] * 2, [text, scenes[0][1]], [1, 2])
    assert isinstance(results[0], EditError) and str(results[0]) == said and isinstance(results[1], Image.Image)


def test_photographs_are_not_for_it():
    (result,) = ProceduralEditor().edit([Image.new("RGB", (8, 8))], ["remove the large red metal cube"], [1])
    assert "does not say which scene it shows" in str(result)


@pytest.mark.parametrize("rate", [-0.1, 1.5, True, "half"])
def test_a_rate_that_is_none(rate):
    with pytest.raises(ValueError, match="failure_rate=.* must be a number from 0 to 1"):
        ProceduralEditor(failure_rate=rate)
