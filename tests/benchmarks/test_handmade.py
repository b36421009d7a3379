"""The pairs made by hand: captions and the functions that make the pictures fit each other."""

import struct

import numpy as np
import pytest
from PIL import Image

from benchmarks.handmade.__main__ import main, pairs, read_captions
from benchmarks.handmade.packages import GCOMPRIS, Pictures
from benchmarks.handmade.tools import SIZE
from datasets_syned.photos.captions import CATEGORIES
from datasets_syned.photos.scores import of_the_grammar

OTHER_CATEGORIES = {
    "local", "multiple", "perspective", "distortion", "frame", "draw", "inset", "layout",
}  # fmt: skip
WITHOUT_IMAGEMAGICK = ("remove-heron", "resize-duck", "light-fog", "color-eyes", "draw-circle", "local-eyes")


class DrawnPictures:
    """Stands in for the packages."""

    def image(self, name):
        cells = np.random.default_rng(len(name)).integers(40, 200, (5, 7, 3), np.uint8)
        return Image.fromarray(cells).resize((600, 400), Image.Resampling.BICUBIC)


def test_every_pair_has_captions_and_a_category():
    rows = read_captions()
    assert [row["id"] for row in rows] == list(pairs())
    assert len(rows) == 40 and sum(row["in_grammar"] for row in rows) == 20
    for row in rows:
        assert 3 <= len(set(row["captions"])) == len(row["captions"]) <= 5
        assert row["category"] in CATEGORIES or not row["in_grammar"] and row["category"] in OTHER_CATEGORIES
        assert row["made"]
    assert not of_the_grammar([row["captions"] for row in rows], [row["category"] for row in rows])


@pytest.mark.parametrize("name", WITHOUT_IMAGEMAGICK)
def test_an_edit_changes_a_part_of_the_picture(name):
    before, after = pairs()[name](DrawnPictures())
    assert before.size == after.size == SIZE and before.mode == after.mode == "RGB"
    assert (np.asarray(before) != np.asarray(after)).any()
    again = pairs()[name](DrawnPictures())
    assert [image.tobytes() for image in again] == [before.tobytes(), after.tobytes()]


def test_missing_packages_are_named_with_the_command_that_brings_them(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "out"), "--packages", str(tmp_path)])
    assert ended.value.code == 1
    assert "apt-get download fonts-liberation gcompris-qt-data" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_resource_archive_is_read(tmp_path):
    def name(text):
        return struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")

    names = name("sub") + name("bee.webp")
    tree = struct.pack(">IHII", 0, 2, 1, 1) + struct.pack(">IHII", 0, 2, 1, 2)  # the root, and its folder
    tree += struct.pack(">IHHHI", len(name("sub")), 0, 0, 1, 0)
    data = struct.pack(">I", 4) + b"bees"
    head = struct.pack(">4s4I", b"qres", 1, 20, 20 + len(tree), 20 + len(tree) + len(data))
    archive = tmp_path / GCOMPRIS / "erase.rcc"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(head + tree + data + names)
    pictures = Pictures.__new__(Pictures)
    pictures.root = tmp_path
    assert pictures.content("bee") == b"bees"
