"""Which photographs and cut-outs are used, under which names, and in which split."""

import numpy as np
import pytest
from PIL import Image

from datasets_syned.photos.material import SPLITS, load_material, open_cutout, read_objects, read_photographs
from tests.support.photo_material import NAMES, draw_objects, draw_photographs


@pytest.fixture(scope="module")
def material(folders):
    return load_material(**folders)


def cutout(path, size=(40, 40), mode="RGBA", color=(200, 30, 30, 255)):
    """Writes a disc on nothing, or a plain picture."""
    image = Image.new(mode, size, color if mode == "RGBA" else color[: len(mode)])
    if mode == "RGBA":
        y, x = np.mgrid[: size[1], : size[0]]
        inside = (x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2 < (min(size) / 2.2) ** 2
        image.putalpha(Image.fromarray((inside * 255).astype(np.uint8)))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def test_splits_share_neither_photographs_nor_new_objects(material):
    parts = {split: set(material.photographs_of(split)) for split in SPLITS}
    assert parts["train"] | parts["validation"] | parts["test"] == set(material.photographs)
    assert not parts["train"] & parts["test"] and not parts["validation"] & parts["test"]
    assert not parts["train"] & parts["validation"]
    assert parts["test"] == parts["test_views"] == parts["test_objects"]
    known, new = material.objects_of("train"), material.objects_of("test_objects")
    assert set(known) | set(new) == set(material.names) == set(NAMES) and not set(known) & set(new)
    assert material.objects_of("test_views") == material.objects_of("test") == known


def test_the_content_of_a_photograph_decides_its_split(material, tmp_path):
    renamed = draw_photographs(tmp_path / "a")
    for path in list(renamed.iterdir()):
        path.rename(path.with_name(f"z{path.name}"))
    other = load_material(str(renamed), str(draw_objects(tmp_path / "o")))
    digests = [{m.digests[path] for path in m.photographs_of("test")} for m in (material, other)]
    assert digests[0] == digests[1]


def test_the_same_picture_is_used_once(tmp_path):
    folder = draw_photographs(tmp_path, 6)
    Image.open(folder / "3.jpg").save(folder / "copy.png")
    Image.open(folder / "4.jpg").resize((450, 300)).save(folder / "larger.jpg", quality=60)
    assert len(read_photographs(folder)) == 6


@pytest.mark.parametrize(
    "file, text, name",
    [
        ("red_apple-2.png", None, "red apple"),
        ("APPLE.png", None, "apple"),
        ("stamp12.png", "A sliced apple.\nde.utf8=Ein Apfel\n", "sliced apple"),
        ("x.png", "An  Owl!\n", "owl"),
        ("Äpfel.png", None, "äpfel"),
        ("蘋果.png", None, "蘋果"),
    ],
)
def test_names(tmp_path, file, text, name):
    path = cutout(tmp_path / file)
    if text is not None:
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
    assert read_objects(tmp_path) == ((name, str(path)),)


def test_names_of_a_table_and_pictures_that_share_one(tmp_path):
    for name in ("1.png", "2.png", "3.png"):
        cutout(tmp_path / name)
    (tmp_path / "metadata.csv").write_text("file_name,name\n1.png,Pear\n2.png,apple\n3.png,pear\n")
    found = [(name, path.rsplit("/", 1)[1]) for name, path in read_objects(tmp_path)]
    assert found == [("pear", "1.png"), ("apple", "2.png"), ("pear", "3.png")]


def test_a_cutout_is_trimmed_and_reduced(tmp_path):
    path = cutout(tmp_path / "apple.png", (1000, 600))
    image = open_cutout(str(path))
    assert image.mode == "RGBA" and max(image.size) == 224 and image.getbbox() == (0, 0, *image.size)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda folder: None, "there is no folder"),
        (lambda folder: folder.mkdir(), "has no images"),
        (lambda folder: cutout(folder / "apple.png", mode="RGB"), "apple.png has no transparent part"),
        (lambda folder: cutout(folder / "apple.png", (10, 10)), "apple.png shows an object of"),
        (lambda folder: cutout(folder / "1.png"), "1.png: the file name does not say what"),
    ],
)
def test_objects_that_cannot_be_used(tmp_path, make, message):
    make(tmp_path / "objects")
    with pytest.raises(ValueError, match=message):
        read_objects(tmp_path / "objects")


def test_a_row_of_the_table_without_a_name(tmp_path):
    cutout(tmp_path / "1.png")
    (tmp_path / "metadata.csv").write_text("file_name,name\n1.png,\n")
    with pytest.raises(ValueError, match=r"metadata.csv, line 2: a row has the columns file_name and name"):
        read_objects(tmp_path)


def test_photographs_that_cannot_be_used(tmp_path):
    Image.new("RGB", (300, 50)).save(tmp_path / "strip.jpg")
    with pytest.raises(ValueError, match=r"strip.jpg has 300 x 50 pixels; a photograph needs 96 on each side"):
        read_photographs(tmp_path)
    (tmp_path / "strip.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"strip.jpg"):
        read_photographs(tmp_path)


def test_too_few(tmp_path, folders):
    few = load_material(str(draw_photographs(tmp_path / "p", 5)), str(draw_objects(tmp_path / "o", NAMES[:9])))
    with pytest.raises(ValueError, match="5 photographs are too few: three splits need 6"):
        few.photographs_of("train")
    with pytest.raises(ValueError, match="cut-outs of 9 names are too few: 'photos' needs 10"):
        few.objects_of("train")


def test_what_to_do_without_debians_packages(monkeypatch):
    monkeypatch.setattr("datasets_syned.photos.material.Path.is_file", lambda path: path.name == "debian.json")
    with pytest.raises(
        ValueError, match=r"no photographs are installed. On Debian: `apt-get download .*mate-backgrounds"
    ):
        load_material.__wrapped__()
