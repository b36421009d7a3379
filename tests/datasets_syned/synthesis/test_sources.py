"""Where images and instructions come from."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from datasets_syned.scenes.changes import sample_change
from datasets_syned.scenes.instructions import PHRASINGS, find, instruct, read_instruction
from datasets_syned.scenes.scene_text import scene_of
from datasets_syned.synthesis.sources import DatasetSource, SceneSource, SourceError, SourceRow, load_source
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
        assert rows == list(SceneSource(rows=10, seed=3).rows()) and rows[:4] == list(source.rows(limit=4))
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
            ({"seed": -1}, "seed=-1 must be a whole number, not negative"),
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

    def test_an_image_that_is_not_there(self, tmp_path):
        layouts.write(tmp_path / "1.png", layouts.png())
        rows = [{"image": None, "instruction": "x"}, {"image": str(tmp_path / "1.png"), "instruction": "y"}]
        table = Dataset.from_list(rows, features=Features({"image": ImageFeature(), "instruction": Value("string")}))
        (tmp_path / "data").mkdir()
        pq.write_table(table.data.table, tmp_path / "data" / "train.parquet")  # with the path of the image
        source = DatasetSource(path=str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
        with pytest.raises(SourceError, match="there is no image"):
            source.read(0)
        assert source.read(1) == layouts.png()
        (tmp_path / "1.png").unlink()
        with pytest.raises(SourceError, match="the image cannot be read: .*1.png"):
            source.read(1)

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
