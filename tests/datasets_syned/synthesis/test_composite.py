"""Pairs of somebody's own photographs and cut-outs, as the command makes them."""

import io
import json

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from datasets_syned.__main__ import main
from datasets_syned.photos.captions import OF_OBJECTS, VALUES, Edit, read
from datasets_syned.photos.instructions import PHRASINGS, instructions, read_instruction
from datasets_syned.photos.lettering import PLACES
from datasets_syned.photos.own_material import composed_of
from datasets_syned.synthesis.editors import EditError, load_editor
from datasets_syned.synthesis.sources import load_source
from tests.support.photo_material import draw_objects, draw_photographs
from tests.support.synthesis_runs import content, rows

NAMES = ("apple", "orange ball", "grapes", "kite with a tail", "äpfel", "蘋果")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    photographs, objects = draw_photographs(folder / "photographs", 13), draw_objects(folder / "objects", NAMES)
    return {"photographs": str(photographs), "objects": str(objects)}


def synthesize(folders, *words, capsys=None, size=96):
    """Exit status and what was printed."""
    own = ["--source", folders["photographs"], "--objects", folders["objects"], "--editor", "composite"]
    size = ["--width", size, "--height", size] if size else []
    status = main(["synthesize", *map(str, [*own, *size, *words])])
    return status, capsys.readouterr() if capsys else None


def source_of(folders, **options):
    small = {"width": 96, "height": 96, **options}
    return load_source({"path": folders["photographs"], "objects": folders["objects"], **small})


def image_of(source, row):
    return Image.open(io.BytesIO(source.read(row.index)))


def edits(category):
    """Every kind of edit of a category."""
    for name in NAMES if category in OF_OBJECTS else (None,):
        others = [other for other in NAMES if other != name] if category == "replace" else [None]
        for value in VALUES.get(category, others):
            for place in PLACES if category == "text" else (None,):
                yield Edit(category, name, value, place)


@pytest.mark.parametrize("category", list(PHRASINGS))
def test_instructions_are_read_back(category):
    for edit in edits(category):
        said = instructions(edit)
        assert len(said) >= 2 and len(set(said)) == len(said)
        assert all(read_instruction(text) == edit for text in said)
        assert read_instruction(f"{said[0][0].upper()}{said[0][1:]}.") == edit


def test_instructions_of_two_meanings_and_of_none():
    assert "replace the kite with a tail with an apple" not in instructions(
        Edit("replace", "kite with a tail", "apple")
    )
    for text in ("replace the kite with a tail with an apple", "make it nice", "", "paint the apple plaid"):
        assert read_instruction(text) is None
    assert read_instruction("make it night") == Edit("global", value="like night")
    assert read_instruction("write SALE at the top") == Edit("text", value="SALE", place="at the top")


def test_a_run(folders, tmp_path, capsys):
    """All stages; the result loads, its captions are of the grammar, and its rows tell what they are made of."""
    out = tmp_path / "run"
    words = ["--variants", 2, "--paraphrases", 3, "--unchanged", 0.2, "--out", out]
    status, printed = synthesize(folders, *words, capsys=capsys)
    assert status == 0 and "0 rejected" in printed.out, printed
    made = rows(out)
    changed = [row for row in made if row["changed"]]
    assert len(changed) == 26 and {row["category"] for row in changed} == set(PHRASINGS) and len(made) > 26
    for row in made:
        before, after = (Image.open(io.BytesIO(row[side]["bytes"])) for side in ("before", "after"))
        assert before.size == after.size == (96, 96) and row["before"]["bytes"] != row["after"]["bytes"]
        assert np.any(np.asarray(before) != np.asarray(after)), "unchanged pairs have another camera, too"
        provenance = row["provenance"]
        told = {one["name"]: one["value"] for one in provenance["settings"]}
        assert provenance["editor"] == "composite" and provenance["seed"] >= 0 and provenance["versions"]
        edit, scene = json.loads(told["edit"]), json.loads(told["after"])
        assert edit["category"] == row["category"] and len(scene["sha256"]) == 64
        assert all(len(one["sha256"]) == 64 and 0 < one["y"] < 1 for one in scene["objects"])
        assert str(tmp_path.parent) not in json.dumps(provenance) and len(row["captions"]) == 4
        if row["changed"]:
            assert read_instruction(row["captions"][0]) == Edit(**edit)
            assert all(read(text) == Edit(**edit) for text in row["captions"][1:])
    assert len({row["after"]["bytes"] for row in made}) == len(made)
    data = load_dataset("syned", "synthetic", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
    assert len(data["train"]) == len(made)
    assert main(["audit", "synthetic", "--data_dir", str(out)]) == 0
    assert main(["push", "synthetic", "ann/own", "--data_dir", str(out), "--license", "mit", "--dry_run"]) == 0
    assert "composite" in capsys.readouterr().out

    before = content(out)
    assert synthesize(folders, *words, "--retry_failed")[0] == 0 and content(out) == before


def test_a_run_grows_into_what_it_would_have_been(folders, tmp_path):
    ways = {"at once": [(3, 5)], "grown": [(1, 2), (3, 2), (3, 5)]}
    for name, steps in ways.items():
        for variants, limit in steps:
            words = ["--variants", variants, "--limit", limit, "--out", tmp_path / name]
            assert synthesize(folders, *words, size=64)[0] == 0
    assert content(tmp_path / "at once") == content(tmp_path / "grown")


def test_other_cutouts_do_not_continue_a_run(folders, tmp_path, capsys):
    objects = draw_objects(tmp_path / "objects", NAMES[:3])
    own = {**folders, "objects": str(objects)}
    words = ["--variants", 1, "--limit", 2, "--out", tmp_path / "run"]
    assert synthesize(own, *words)[0] == 0
    draw_objects(objects, NAMES[:4])
    status, printed = synthesize(own, *words, "--limit", 3, capsys=capsys)
    assert status == 1 and "the images in this folder were made with" in printed.err and "objects" in printed.err


def test_rows_are_a_function_of_seed_index_and_id(folders):
    some, again = (source_of(folders, per_image=2) for _ in range(2))
    assert list(some.rows()) == list(again.rows()) and some.read(7) == again.read(7)
    others = (source_of(folders, per_image=2, seed=1), source_of(folders, per_image=2, jitter=0.5))
    assert all(other.read(7) != some.read(7) for other in others)
    assert [row.id for row in some.rows()][12:14] == ["9.jpg", "0.jpg#1"]


def test_shares_of_categories_are_exact(folders, tmp_path, capsys):
    source = source_of(folders, per_image=6, categories={"add": 2, "color": 1, "crop": 0})
    said = [row.category for row in source.rows()]
    assert (said.count("add"), said.count("color")) == (52, 26)
    assert len({tuple(said[turn : turn + 3]) for turn in range(0, 78, 3)}) == 3, "their order is drawn"
    status, _ = synthesize(folders, "--categories", "text", "--limit", 2, "--variants", 1, "--out", tmp_path / "run")
    assert status == 0 and {row["category"] for row in rows(tmp_path / "run")} == {"text"}


def test_objects_become_bigger_as_often_as_smaller(folders):
    source = source_of(folders, per_image=8, categories={"resize": 1})
    said = [read_instruction(row.instruction).value for row in source.rows()]
    assert 35 <= said.count("bigger") <= 69, "of 104"


@pytest.mark.parametrize("category", ["remove", "color", "add", "replace", "move", "resize"])
def test_an_edit_changes_its_object_alone(folders, category):
    """Without jitter the two images differ by JPEG and the edit."""
    source = source_of(folders, categories={category: 1}, jitter=0.0, width=128, height=128)
    editor = load_editor("composite", **folders)
    for row in list(source.rows())[:6]:
        image = image_of(source, row)
        (after,) = editor.edit([image], [row.instruction], [5])
        said = {name: json.loads(text) for name, text in after.info["provenance"].items()}
        told = read_instruction(row.instruction)
        old, new = ({one["name"]: one for one in said[side]["objects"]} for side in ("before", "after"))
        differing = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        assert differing == {told.name, told.value} - {None} if category == "replace" else differing == {told.name}
        pixels = np.abs(np.asarray(image, int) - np.asarray(after, int)).max(-1) > 24
        assert 0 < pixels.mean() < 0.6


def test_a_background_gives_way_to_another_photograph(folders):
    source, editor = source_of(folders, categories={"background": 1}), load_editor("composite", **folders)
    for row in list(source.rows())[:6]:
        (after,) = editor.edit([image_of(source, row)], [row.instruction], [1])
        old, new = (json.loads(after.info["provenance"][side]) for side in ("before", "after"))
        assert old["photograph"] == row.id != new["photograph"] and old["objects"] == new["objects"]


def test_what_the_editor_cannot_do(folders, tmp_path):
    source, editor = source_of(folders, categories={"remove": 1}), load_editor("composite", **folders)
    row = next(source.rows())
    image = image_of(source, row)
    texts = ["make it nice", "remove the car", "add a car", row.instruction]
    *said, done = editor.edit([image] * 4, texts, range(4))
    assert [str(one) for one in said] == [
        "not understood: 'make it nice'",
        "there is no car in the picture",
        "there is no cut-out of 'car'",
    ] and not isinstance(done, EditError)
    (said,) = editor.edit([Image.new("RGB", (96, 96))], ["add an apple"], [1])
    assert "does not say what it shows" in str(said)
    other = load_editor("composite", photographs=str(tmp_path), objects=folders["objects"])
    assert f"{row.id} is missing" in str(other.edit([image], [row.instruction], [1])[0])
    other = load_editor("composite", **{**folders, "objects": str(draw_objects(tmp_path / "o", NAMES[:2]))})
    assert "composed with other cut-outs" in str(other.edit([image], [row.instruction], [1])[0])


def test_odd_photographs(tmp_path, folders, capsys):
    """Those that cannot be used fail alone; huge, upright and grey ones, and names in any language, are used."""
    folder = tmp_path / "pictures"
    draw_photographs(folder, 2)
    picture = Image.open(folder / "0.jpg")
    picture.resize((4000, 2500)).save(folder / "größe.jpg", comment="by a camera")
    picture.convert("L").resize((100, 700)).save(folder / "写真.png")
    picture.resize((40, 30)).save(folder / "tiny.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    own = {**folders, "photographs": str(folder)}
    status, printed = synthesize(
        own, "--categories", "text", "--variants", 1, "--out", tmp_path / "run", capsys=capsys
    )
    assert status == 1 and "train: 4 of 6 rows kept" in printed.out
    assert "tiny.png has 40 x 30 pixels; a photograph needs 96 on each side" in printed.out
    assert "broken.jpg is damaged" in printed.out
    assert {row["id"] for row in rows(tmp_path / "run")} >= {"größe.jpg-0", "写真.png-0"}


def test_two_cutouts_of_one_name_and_one_name_alone(tmp_path, folders):
    objects = draw_objects(tmp_path / "objects", ["apple", "pear"])
    (objects / "pear.png").rename(objects / "apple_2.png")
    source = source_of({**folders, "objects": str(objects)}, per_image=5)
    assert {row.category for row in source.rows()} == set(PHRASINGS) - {"replace"}
    shown = [composed_of(image_of(source, row)).scene.objects for row in source.rows()]
    assert {one.cutout for objects in shown for one in objects} == {0, 1}
    assert {one.name for objects in shown for one in objects} == {"apple"}
    assert max(map(len, shown)) == 1, "a name in a picture means one object"


def test_cutouts_inside_of_the_folder_of_photographs(tmp_path):
    photographs = draw_photographs(tmp_path, 3)
    source = source_of({"photographs": str(photographs), "objects": str(draw_objects(tmp_path / "cutouts", NAMES))})
    assert source.files == ["0.jpg", "1.jpg", "2.jpg"]


def plain(folder):
    Image.new("RGB", (40, 40), "red").save(folder / "apple.png")


@pytest.mark.parametrize(
    "objects, message",
    [
        (lambda folder: folder.rmdir(), "there is no folder"),
        (lambda folder: None, "has no images"),
        (plain, "apple.png has no transparent part"),
        (lambda folder: draw_objects(folder, ["1"]), "1.png: the file name does not say what"),
        (lambda folder: (draw_objects(folder) / "apple.txt").write_bytes(b"\xff\xfe\xe9"), "apple.txt is not UTF-8"),
        (lambda folder: (folder / "metadata.csv").write_text("file_name,name\n"), "has no cut-outs"),
        (lambda folder: (folder / "metadata.csv").write_text("file_name,name\na.png,a"), "a.png is missing"),
    ],
)
def test_cutouts_that_cannot_be_used(tmp_path, folders, capsys, objects, message):
    folder = tmp_path / "objects"
    folder.mkdir()
    objects(folder)
    status, printed = synthesize({**folders, "objects": str(folder)}, "--out", tmp_path / "run", capsys=capsys)
    assert status in (1, 2) and printed.err.startswith("syned: error: ") and message in printed.err, printed.err
    assert not (tmp_path / "run" / "edit").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--source", "{empty}"], "is no folder with photographs of split 'train'"),
        (["--categories", "add=2,glow=1"], "categories has 'glow', which is none of add, remove"),
        (["--categories", "add=two"], "must be like add=2,color=1"),
        (["--categories", "add=0"], "leaves nothing to do"),
        (["--width", "8"], "width=8 must be a whole number from 64 to 1024"),
        (["--jitter", "3"], "jitter=3.0 must be a number from 0 to 2"),
    ],
)
def test_refused(tmp_path, folders, capsys, words, message):
    (tmp_path / "empty").mkdir()
    words = [word.format(empty=tmp_path / "empty") for word in words]
    try:
        status = synthesize(folders, *words, "--out", tmp_path / "run")[0]
    except SystemExit as stop:
        status = stop.code
    assert status in (1, 2) and message in capsys.readouterr().err


def test_one_photograph_has_no_other_background(tmp_path, folders, capsys):
    own = {**folders, "photographs": str(draw_photographs(tmp_path / "p", 1))}
    assert {row.category for row in source_of(own, per_image=12).rows()} == set(PHRASINGS) - {"background"}
    status, printed = synthesize(own, "--categories", "background", "--out", tmp_path / "run", capsys=capsys)
    assert status in (1, 2) and "categories has 'background', which needs two photographs" in printed.err
