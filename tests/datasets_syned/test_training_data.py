"""Data sets that a recipe names: loaded, concatenated, made into lessons, or refused."""

import json

import datasets
import pytest
from PIL import Image

import datasets_syned  # noqa: F401  registers "syned"
from datasets_syned import training_data

SCENES = {"path": "syned", "name": "scenes", "split": "train", "train": 6, "validation": 0, "test": 0}
SCENES |= {"width": 48, "height": 32}


def stack(before, after):
    canvas = Image.new("RGB", (16, 16))
    canvas.paste(before.resize((16, 8)), (0, 0))
    canvas.paste(after.resize((16, 8)), (0, 8))
    return canvas


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


def test_load(cache):
    rows = training_data.load({**SCENES, "cache_dir": cache})
    assert len(rows) == 6 and rows[0]["before"].size == (48, 32)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"split": "train"}, "has no 'path'"),
        ({"path": "syned"}, "has no 'split'"),
        ({"path": "syned", "split": None}, "has no 'split'"),
        ("syned", "'syned' must be a dict of arguments of datasets.load_dataset"),
    ],
)
def test_a_spec_that_names_no_rows(spec, message):
    with pytest.raises(ValueError, match=message):
        training_data.load(spec)
    with pytest.raises(ValueError, match=r"^train_data\[1\]: .*" + message):
        training_data.check("train_data", [SCENES, spec])


def test_masks_are_asked_for_before_anything_is_rendered():
    training_data.check("train_data", [{**SCENES, "masks": True}], masks=True)
    with pytest.raises(ValueError, match=r"^train_data\[0\]: .*`masks: true`"):
        training_data.check("train_data", [SCENES], masks=True)


def test_missing_columns(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"id": "a", "before": "x", "text": "y"}) + "\n")
    spec = {"path": "json", "data_files": str(file), "split": "train", "cache_dir": str(tmp_path / "cache")}
    with pytest.raises(ValueError, match="no column after, captions; it has id, before, text"):
        training_data.load(spec)


def test_concatenate_keeps_common_columns_and_order():
    one = datasets.Dataset.from_dict({"id": ["a"], "captions": [["x"]], "extra": [1]})
    two = datasets.Dataset.from_dict({"captions": [["y"]], "id": ["b"]})
    rows = training_data.concatenate([one, two])
    assert rows.column_names == ["id", "captions"] and list(rows["id"]) == ["a", "b"]


def test_lessons(cache):
    masks = {"cache_dir": cache, "masks": True}
    hard = training_data.load({**SCENES, **masks})
    easy = training_data.load({**SCENES, **masks, "jitter": 0.0, "train": 2})
    lessons = training_data.lessons([hard, easy], stack, 8, 30, [(0.5, [1]), (1.0, [0, 1])], seed=1)
    assert len(lessons) == 30
    scenes = [json.loads(row["scene"]) for row in easy]
    easy_captions = {
        c for row, scene in zip(easy, scenes, strict=True) for c in row["captions"] + scene["captions_reversed"]
    }
    assert {lessons[i]["caption"] for i in range(15)} <= easy_captions
    assert not {lessons[i]["caption"] for i in range(15, 30)} <= easy_captions
    assert lessons[0]["pair"][0].size == (16, 8) and lessons[0]["patch_labels"].shape == (4, 6)
    again = training_data.lessons([hard, easy], stack, 8, 30, [(0.5, [1]), (1.0, [0, 1])], seed=1)
    assert [again[i]["caption"] for i in range(30)] == [lessons[i]["caption"] for i in range(30)]


def test_lessons_are_prepared_again_when_their_code_changes(cache, tmp_path, monkeypatch):
    rows = training_data.load({**SCENES, "cache_dir": cache, "masks": True})
    calls = []

    def prepared():
        made = training_data.lessons([rows], stack, 8, 30, [(1.0, [0])])
        calls.append(sorted(file["filename"] for _, phase in made.phases for file in phase.cache_files))
        return calls[-1]

    assert prepared() == prepared() != []
    edited = tmp_path / "lessons.py"
    edited.write_text("# other code")
    monkeypatch.setattr(training_data.inspect, "getfile", lambda function: str(edited))
    assert prepared() != calls[0]


def test_lessons_need_masks(cache):
    with pytest.raises(ValueError, match="`masks: true`"):
        training_data.lessons([training_data.load({**SCENES, "cache_dir": cache})], stack, 8, 30, [(1.0, [0])])
