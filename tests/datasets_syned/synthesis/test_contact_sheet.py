"""The picture of a run."""

import io

import pytest
from PIL import Image, ImageColor

from datasets_syned.synthesis import synthesize
from datasets_syned.synthesis.contact_sheet import GAP, MARGIN, MARKS, SOURCES, TEXT, TILE
from datasets_syned.synthesis.editors import EditError
from datasets_syned.synthesis.editors.procedural import ProceduralEditor
from tests.support.synthesis_runs import left_out, rows, settings

TOP = MARGIN + 3 * TEXT + TEXT + GAP  # of the first line of images
HEIGHT = TILE * 32 // 48  # of an image in it


class Clumsy(ProceduralEditor):
    """Refuses every fourth edit."""

    def edit(self, images, instructions, seeds):
        edited = super().edit(images, instructions, seeds)
        return [EditError("no") if k % 4 == 3 else image for k, image in enumerate(edited)]


class Second:
    """Drops the second variant of a source."""

    name, needs_captions, parameters = "second", False, {}

    def load(self):
        pass

    def measure(self, rows):
        return [row.variant for row in rows]

    def verdict(self, score):
        return score != 1 or (False, "second is enough")


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    out = tmp_path_factory.mktemp("sheet") / "run"
    synthesize(settings(sources=12), out, editor=Clumsy(batch_size=4), filters=[Second()])
    return out, Image.open(out / "contact_sheet.png")


def tile(image, column):
    """A tile of the first line."""
    x = MARGIN + column * (TILE + GAP)
    return image.crop((x, TOP, x + TILE, TOP + HEIGHT))


def corner(image, column):
    return tile(image, column).getpixel((0, 0))


def test_a_source_stands_before_its_variants(sheet):
    out, image = sheet
    assert image.size[0] == 2 * MARGIN + 5 * TILE + 4 * GAP
    first = rows(out)[0]
    for column, side in enumerate(("before", "after")):
        shown = Image.open(io.BytesIO(first[side]["bytes"])).convert("RGB").resize((TILE, HEIGHT), Image.BICUBIC)
        assert tile(image, column).tobytes() == shown.tobytes()


def test_what_was_left_out_is_marked(sheet):
    _, image = sheet
    dropped, failed = (ImageColor.getrgb(color) for color in MARKS.values())
    assert [corner(image, column) == dropped for column in range(5)] == [False, False, True, False, False]
    assert [corner(image, column) == failed for column in range(5)] == [False, False, False, False, True]
    # the line through the middle of what is marked
    middle = [tile(image, column).getpixel((TILE // 2, HEIGHT // 2)) for column in range(5)]
    assert [color in (dropped, failed) for color in middle] == [False, False, True, False, True]


def test_no_local_file_is_named(tmp_path):
    """The picture is published; the list of what was left out, which is not, says which file it was."""
    pictures = []
    for name in ("a", "another folder"):

        class Lost(ProceduralEditor):
            def edit(self, images, instructions, seeds, name=name):
                return [EditError(f"No such file: '{tmp_path / name}'")] * len(images)

        synthesize(settings(sources=1), tmp_path / name, editor=Lost())
        assert str(tmp_path / name) in left_out(tmp_path / name)[0]["reason"]
        pictures.append((tmp_path / name / "contact_sheet.png").read_bytes())
        assert str(tmp_path) not in (tmp_path / name / "summary.json").read_text()
    assert pictures[0] == pictures[1]


def test_ten_sources_are_shown(sheet):
    """A line above each, across the whole."""
    _, image = sheet
    column = [image.getpixel((MARGIN + TILE + GAP // 2, y)) for y in range(image.size[1])]
    lines = sum(ImageColor.getrgb("#dde1e7") == color for color in column)
    assert lines == SOURCES
