"""Where images and instructions come from."""

import io
import json
from itertools import islice

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from datasets_syned.scenes.changes import sample_change
from datasets_syned.scenes.instructions import PHRASINGS, find, instruct, read_instruction
from datasets_syned.scenes.scene_text import scene_of
from datasets_syned.synthesis.sources import (
    DatasetSource,
    SceneSource,
    SourceError,
    SourceRow,
    WithUnchanged,
    load_source,
    no_change_captions,
)
from datasets_syned.synthesis.sources.templates import Templates
from tests.support import layouts


def parquet(tmp_path, rows, **features):
    """A folder with a Parquet file, as an argument of `load_dataset`."""
    kinds = {"picture": ImageFeature(), "image": ImageFeature(), "after": ImageFeature(), "changed": Value("bool")}
    names = list(rows[0])
    features = {name: features.get(name, kinds.get(name, Value("string"))) for name in names}
    table = Dataset.from_list(rows, features=Features(features))
    (tmp_path / "data").mkdir()
    table.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    return {"path": str(tmp_path / "data"), "split": "train", "cache_dir": str(tmp_path / "cache")}


class TestScenes:
    def test_rows_are_a_function_of_the_arguments(self):
        source = SceneSource(rows=10, seed=3)
        rows = list(source.rows())
        assert rows == list(SceneSource(rows=10, seed=3).rows()) and rows[:4] == list(islice(source.rows(), 4))
        assert [row.category for row in rows[:5]] == ["color", "texture", "move", "add", "drop"]
        assert [row.id for row in rows[:2]] == ["train-000000", "train-000001"]
        others = (SceneSource(rows=10, seed=4), SceneSource("test", rows=10, seed=3))
        assert all(source.read(0) != other.read(0) for other in others)

    def test_an_image_says_which_scene_it_shows(self):
        source = SceneSource(rows=3, width=96, height=64)
        image = Image.open(io.BytesIO(source.read(2)))
        objects, view = scene_of(image)
        assert image.size == (96, 64) and 3 <= len(objects) <= 6 and isinstance(view.light, tuple)
        told = read_instruction(list(source.rows())[2].instruction)
        assert told.category == "move" and find(told.phrase, objects) is not None
        assert scene_of(Image.new("RGB", (4, 4))) is None

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"split": "dev"}, "split='dev' must be one of train, validation, test"),
            ({"rows": 0}, "rows=0 must be a whole number from 1"),
            ({"width": 4}, "width=4 must be a whole number from 16 to 2048"),
            ({"jitter": 3}, "jitter=3 must be a number from 0 to 2"),
            ({"seed": -1}, "seed=-1 must be a whole number from 0"),
            ({"colour": 1}, "unexpected keyword argument 'colour'"),
        ],
    )
    def test_wrong_arguments(self, arguments, said):
        with pytest.raises(ValueError, match="source 'scenes': ") as raised:
            load_source({"path": "scenes", **arguments})
        assert said in str(raised.value)


@pytest.mark.parametrize("category", list(PHRASINGS))
def test_instructions_are_read_back(category):
    seen = set()
    for seed in range(60):
        change = sample_change(np.random.default_rng(seed), category)
        if change is None or (text := instruct(change, seed)) is None:
            continue
        told = read_instruction(text.capitalize() + ".")
        seen.add(seed % 3)
        assert told.category == category
        if category == "add":
            assert told.phrase == " ".join(change.new.attributes)
        else:
            assert find(told.phrase, change.before) is change.old
        wanted = {"color": "color", "texture": "material"}.get(category)
        assert told.value == (getattr(change.new, wanted) if wanted else None)
    assert seen == {0, 1, 2}


def test_what_is_no_instruction_of_the_grammar():
    assert read_instruction("paint the cube") is None and read_instruction("") is None


class TestDatasets:
    def test_a_folder_of_images(self, tmp_path):
        layouts.write(tmp_path / "mine" / "a.png", layouts.png(9))
        line = {"file_name": "a.png", "instruction": " make  it red ", "task": "Color"}
        line |= {"input_caption": "a dog", "output_caption": "a red dog"}
        layouts.write(tmp_path / "mine" / "metadata.jsonl", json.dumps(line) + "\n")
        source = DatasetSource(path=str(tmp_path / "mine"), split="train", cache_dir=str(tmp_path / "cache"))
        assert list(source.rows()) == [SourceRow(0, "0", "make it red", "color", ("a dog", "a red dog"))]
        assert source.read(0) == (tmp_path / "mine" / "a.png").read_bytes() and not source.edited

    def test_names_of_columns(self, tmp_path):
        spec = parquet(tmp_path, [{"picture": layouts.image(layouts.png(1)), "wish": "make it red", "key": "k"}])
        with pytest.raises(ValueError, match=r"none of the columns picture, wish, key is known as the image; name it"):
            DatasetSource(**spec)
        source = load_source({**spec, "columns": {"image": "picture", "instruction": "wish", "id": "key"}})
        assert list(source.rows()) == [SourceRow(0, "k", "make it red", "edit")]
        with pytest.raises(ValueError, match="has no column 'pic', but picture, wish, key"):
            DatasetSource({"image": "pic"}, **spec)
        with pytest.raises(ValueError, match="columns has 'img', which is none of image, edited, instruction"):
            DatasetSource({"img": "picture"}, **spec)
        with pytest.raises(ValueError, match="column 'key' holds no images"):
            DatasetSource({"image": "key", "instruction": "wish"}, **spec)

    def test_ids_that_repeat_are_told_apart(self, tmp_path):
        image = layouts.image(layouts.png(1))
        rows = [{"id": name, "image": image, "instruction": f"do {i}"} for i, name in enumerate("aab")]
        source = DatasetSource(**parquet(tmp_path, rows))
        assert [row.id for row in source.rows()] == ["a-0", "a-1", "b-2"]

    def test_rows_with_nothing_to_do_are_left_out(self, tmp_path):
        given = [(["one", "two"], True), ([], True), (["same"], False), ([" "], True)]
        rows = [
            {"id": str(i), "image": layouts.image(layouts.png(i)), "captions": captions, "changed": changed}
            for i, (captions, changed) in enumerate(given)
        ]
        source = DatasetSource(**parquet(tmp_path, rows, captions=List(Value("string"))))
        assert list(source.rows()) == [SourceRow(0, "0", "one", "edit")]

    def test_all_instructions_of_an_image_are_used(self, tmp_path):
        image = layouts.image(layouts.png(1))
        rows = [{"id": name, "image": image, "edit": texts} for name, texts in (("a", ["x", " ", "y"]), ("b", ["z"]))]
        source = DatasetSource(**parquet(tmp_path, rows, edit=List(Value("string"))))
        assert [(row.index, row.id, row.instruction) for row in source.rows()] == [
            (0, "a", "x"),
            (0, "a#1", "y"),
            (1, "b", "z"),
        ]

    def test_a_limit_counts_usable_rows(self, tmp_path):
        image = layouts.image(layouts.png(1))
        rows = [{"id": str(i), "image": image, "instruction": "" if i < 3 else "x"} for i in range(6)]
        source = DatasetSource(**parquet(tmp_path, rows))
        assert [row.id for row in islice(source.rows(), 2)] == ["3", "4"]

    def test_an_image_that_is_only_a_path(self, tmp_path):
        for place in (tmp_path / "data" / "1.img", tmp_path / "private.png"):
            layouts.write(place, layouts.png())
        paths = (None, str(tmp_path / "data" / "1.img"), str(tmp_path / "private.png"), "https://host/1.png")
        rows = [{"image": path, "instruction": "x"} for path in paths]
        table = Dataset.from_list(rows, features=Features({"image": ImageFeature(), "instruction": Value("string")}))
        pq.write_table(table.data.table, tmp_path / "data" / "train.parquet")  # with the paths of the images
        source = DatasetSource(path=str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
        assert source.read(1) == layouts.png()
        (tmp_path / "data" / "1.img").unlink()
        said = (
            "there is no image",
            "the image '.*1.img' is missing",
            "is only a path",
            "is missing",  # an address, too, is only a path
        )
        for index, why in enumerate(said):
            with pytest.raises(SourceError, match=why):
                source.read(index)

    def test_images_after_the_change(self, tmp_path):
        rows = [{"image": layouts.image(b"1"), "after": layouts.image(b"2"), "instruction": "x"}]
        source = DatasetSource(**parquet(tmp_path, rows))
        assert source.edited and (source.read(0), source.read(0, edited=True)) == (b"1", b"2")

    def test_a_stream_is_refused(self, tmp_path):
        spec = parquet(tmp_path, [{"image": layouts.image(b"1"), "instruction": "x"}])
        with pytest.raises(ValueError, match="a stream has no places to return to"):
            DatasetSource(**spec, streaming=True)

    def test_a_split_is_needed(self):
        with pytest.raises(ValueError, match="source: .* has no 'split'"):
            load_source({"path": "somewhere"})


@pytest.fixture
def folder(tmp_path):
    """Pictures in formats that phones and cameras write, and what else lies there."""
    image = Image.open(io.BytesIO(layouts.png(5)))
    for name in ("b.png", "street/a.jpg", "c.avif", "d.jp2", "e.tiff", ".hidden.png", ".cache/f.png"):
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)
    for name in ("notes.txt", "paper.pdf", "drawing.eps"):
        layouts.write(tmp_path / "pictures" / name, b"no image")
    return tmp_path / "pictures"


class TestImageFolder:
    def test_rows_are_a_function_of_seed_and_id(self, folder):
        spec = {"path": str(folder), "instructions": "street", "per_image": 3}
        rows = list(load_source(spec).rows())
        assert rows == list(load_source(spec).rows()) and rows[:4] == list(islice(load_source(spec).rows(), 4))
        names = ["b.png", "c.avif", "d.jp2", "e.tiff", "street/a.jpg"]
        assert [row.id for row in rows] == [f"{name}{end}" for name in names for end in ("", "#1", "#2")]
        assert len({row.instruction for row in rows}) > 10 and len({row.category for row in rows[:3]}) == 3
        fewer = list(load_source({**spec, "per_image": 1}).rows())
        assert fewer == rows[::3], "more instructions are added behind those that were there"
        (folder / "b.png").unlink()
        assert list(load_source(spec).rows())[0].instruction == rows[3].instruction
        assert [row.instruction for row in load_source({**spec, "seed": 1}).rows()] != [
            row.instruction for row in rows
        ]

    def test_images_are_read(self, folder):
        source = load_source({"path": str(folder), "instructions": "household"})
        assert source.read(4) == (folder / "street" / "a.jpg").read_bytes() and not source.edited
        (folder / "b.png").unlink()
        with pytest.raises(SourceError, match="b.png is missing"):
            source.read(0)

    def test_folders_of_splits(self, folder):
        layouts.write(folder / "val" / "v.png", layouts.png())
        layouts.write(folder / "test" / "phone.HEIC", b"needs a plugin")
        files = {
            split: [
                row.id for row in load_source({"path": str(folder), "instructions": "street", "split": split}).rows()
            ]
            for split in ("train", "validation", "test")
        }
        assert files["test"] == ["test/phone.HEIC"], "planned, and told if it cannot be read"
        assert files["validation"] == ["val/v.png"] and len(files["train"]) == 5 and "b.png" in files["train"]

    def test_instructions_of_a_file(self, folder, tmp_path, caplog):
        lines = [
            {"file_name": "b.png", "instruction": ["make it  snow", "", "add a dog"], "category": "weather"},
            {"file_name": "gone.png", "instruction": "add a cat"},
            {"file_name": "street/a.jpg", "instruction": "add a bus"},
        ]
        file = tmp_path / "mine.jsonl"
        file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        spec = {"path": str(folder), "instructions": str(file)}
        rows = list(load_source(spec).rows())
        assert "pictures: 1, such as 'gone.png'" in caplog.text
        assert rows == [
            SourceRow(0, "b.png", "make it snow", "weather"),
            SourceRow(0, "b.png#1", "add a dog", "weather"),
            SourceRow(4, "street/a.jpg", "add a bus", "edit"),
        ]
        texts = {row.id: row.instruction for row in rows}
        lines[1]["instruction"] += "\u2028"  # a line break to Python, and none to JSON
        written = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
        file.write_text(f"\ufeff{written}\n", encoding="utf-8")
        assert {row.id: row.instruction for row in load_source({**spec, "instructions": str(file)}).rows()} == texts
        file.write_text('{"file_name": "b.png"}', encoding="utf-8")
        with pytest.raises(ValueError, match="mine.jsonl, line 1: 'instruction' is missing"):
            load_source({"path": str(folder), "instructions": str(file)})

    @pytest.mark.parametrize(
        "name", ["street\\é.jpg", "./street/é.jpg", "street/e\u0301.jpg", "{folder}/street/é.jpg"]
    )
    def test_names_as_other_machines_write_them(self, folder, tmp_path, name):
        (folder / "street" / "a.jpg").rename(folder / "street" / "é.jpg")
        line = {"file_name": name.format(folder=folder), "instruction": "add a bus"}
        (tmp_path / "mine.jsonl").write_text(json.dumps(line), encoding="utf-8")
        rows = list(load_source({"path": str(folder), "instructions": str(tmp_path / "mine.jsonl")}).rows())
        assert rows == [SourceRow(4, "street/é.jpg", "add a bus", "edit")]

    def test_linked_folders_and_what_macos_leaves(self, folder, tmp_path):
        (tmp_path / "disk").mkdir()
        (folder / "b.png").rename(tmp_path / "disk" / "b.png")
        (folder / "linked").symlink_to(tmp_path / "disk")
        (folder / "linked" / "back").symlink_to(folder)
        layouts.write(folder / "__MACOSX" / "b.png", b"no image")
        source = load_source({"path": str(folder), "instructions": "street"})
        assert source.files == ["c.avif", "d.jp2", "e.tiff", "linked/b.png", "street/a.jpg"]

    @pytest.mark.parametrize("name", ["satellite", "street", "household", "medical"])
    def test_every_list_of_words_makes_sentences(self, name):
        templates = Templates(name)
        found = [each for image in range(200) for each in templates.write(str(image), 4)]
        assert len({category for _, category in found}) == len(templates.templates) >= 4
        assert len({text for text, _ in found}) > 100
        assert not [text for text, _ in found if "{" in text or "  " in text or " a a" in text or " a o" in text]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (
                "templates: {add: ['add {a thing}']}\nwords: {object: [dog]}",
                "the templates need a list of words 'thing'",
            ),
            ("words: {object: [dog]}", "'templates' must be there"),
            (
                "templates: {add: add a dog}\nwords: {object: [dog]}",
                "'templates' must be .* lists of texts",
            ),
            ("templates: [", "cannot be read as YAML"),
        ],
    )
    def test_wrong_lists_of_words(self, tmp_path, content, said):
        (tmp_path / "own.yaml").write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            Templates(str(tmp_path / "own.yaml"))

    def test_wrong_arguments(self, folder, tmp_path):
        for spec, said in (
            ({"instructions": "garden"}, "neither a YAML file nor one of household, medical, satellite, street"),
            ({"instructions": "street", "per_image": 0}, "per_image=0 must be a whole number from 1"),
            ({"instructions": "street", "path": str(tmp_path / "gone")}, "is no folder with images"),
            ({"instructions": "street", "columns": {}}, "unexpected keyword argument 'columns'"),
            ({"instructions": "street", "unchanged": 0.9}, "unchanged=0.9 must be a number from 0 to 0.5"),
        ):
            with pytest.raises(ValueError, match=said):
                load_source({"path": str(folder), **spec})
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="is no folder with images of split 'train' in it"):
            load_source({"path": str(tmp_path / "empty"), "instructions": "street"})


class TestUnchanged:
    def test_a_share_of_the_rows(self):
        plain = [SourceRow(i, f"p{i}", "add a dog", "add") for i in range(400)]

        class Plain(SceneSource):
            def rows(self):
                return iter(plain)

        source = WithUnchanged(Plain(rows=4), 0.25)
        rows = list(source.rows())
        same = [row for row in rows if row.category == "none"]
        assert [row for row in rows if row.category != "none"] == plain and 0.2 < len(same) / len(rows) < 0.3
        assert all(row.id == f"{rows[i - 1].id}#same" for i, row in enumerate(rows) if row in same)
        assert source.read(2) == source.source.read(2)
        assert rows[:30] == list(islice(source.rows(), 30)) and not source.edited and source.constant
        assert len({row.instruction for row in same}) == 6
        assert isinstance(load_source({"path": "scenes", "unchanged": 0.25}), WithUnchanged)

    def test_captions(self):
        captions = no_change_captions("a#same", 4)
        assert len(set(captions)) == 4 and captions[:1] == no_change_captions("a", 1)
        assert {caption for name in "abcdefghij" for caption in no_change_captions(name, 1)} > {"nothing has changed"}
