"""Data sets that a recipe names: loaded, concatenated, with dense supervision, or refused."""

import json

import datasets
import pytest
from PIL import Image

import datasets_syned  # noqa: F401  registers "syned"
from datasets_syned.training import training_data

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
    assert len(rows) == 6 and rows[0]["before"]["bytes"].startswith(b"\x89PNG")  # not decoded


def test_missing_columns_and_split(tmp_path):
    with pytest.raises(ValueError, match="has no 'split'"):
        training_data.load({"path": "syned"})
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"id": "a", "before": "x", "text": "y"}) + "\n")
    spec = {"path": "json", "data_files": str(file), "split": "train", "cache_dir": str(tmp_path / "cache")}
    with pytest.raises(ValueError, match="no column after, captions; it has id, before, text"):
        training_data.load(spec)


def test_captions(cache):
    rows = training_data.load({**SCENES, "cache_dir": cache})
    expected = list(dict.fromkeys(caption for row in rows for caption in row["captions"]))
    assert training_data.captions_of([rows, rows.select([0])]) == expected
    stream = rows.to_iterable_dataset()
    assert set(training_data.captions_of([stream], most=1)) == set(rows[0]["captions"])
    assert training_data.captions_of([datasets.Dataset.from_dict({"captions": ["a", "b", "a"]})]) == ["a", "b"]


def test_what_has_to_be_rendered(cache, tmp_path):
    training_data.load({**SCENES, "cache_dir": cache})
    new = {**SCENES, "cache_dir": cache, "train": 40, "test": 2}
    specs = [{**SCENES, "cache_dir": cache}, new, {**new, "split": "test"}, {**new, "seed": 2, "streaming": True}]
    pairs, seconds = training_data.to_render([*specs, {"path": "json", "data_files": "no.json", "split": "train"}])
    assert pairs == 42 and 0 < seconds < 60
    assert training_data.to_render([specs[0]]) == (0, 0.0)


def test_concatenate_keeps_common_columns_and_order():
    one = datasets.Dataset.from_dict({"id": ["a"], "captions": [["x"]], "extra": [1]})
    two = datasets.Dataset.from_dict({"captions": [["y"]], "id": ["b"]})
    rows = training_data.concatenate([one, two])
    assert rows.column_names == ["id", "captions"] and list(rows["id"]) == ["a", "b"]


class TestStreams:
    @pytest.fixture
    def spec(self, cache):
        return {**SCENES, "cache_dir": cache, "streaming": True}

    def test_load(self, spec, cache):
        """The rows of the same data set that is not a stream, their images as files."""
        rows = training_data.load(spec)
        assert isinstance(rows, datasets.IterableDataset)
        for row, expected in zip(rows, training_data.load({**SCENES, "cache_dir": cache}), strict=True):
            assert {name: row[name] for name in expected} == expected

    def test_files_that_do_not_say_their_columns(self, tmp_path):
        file = tmp_path / "rows.jsonl"
        lines = [{"id": f"r{i}", "before": "b.png", "after": "a.png", "captions": ["x"], "more": i} for i in range(4)]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        spec = {"path": "json", "data_files": str(file), "split": "train", "streaming": True}
        rows = training_data.concatenate([training_data.load(spec)])
        assert sorted(row["id"] for row in rows) == ["r0", "r1", "r2", "r3"]
        file.write_text(json.dumps({"id": "a", "before": "x"}) + "\n")
        with pytest.raises(ValueError, match="no column after, captions; it has id, before"):
            training_data.load(spec)

    def parts(self, *sizes):
        names = "ab"
        return [
            datasets.Dataset.from_dict({"id": [f"{names[k]}{i}" for i in range(n)], names[k]: [0] * n})
            .to_iterable_dataset(num_shards=2)
            for k, n in enumerate(sizes)
        ]  # fmt: skip

    def test_parts_take_turns_and_are_shuffled_by_seed_and_pass(self):
        def order(epoch, **options):
            rows = training_data.concatenate(self.parts(40, 20), buffer_size=4, **options)
            assert rows.column_names == ["id"]
            rows.set_epoch(epoch)
            return [row["id"] for row in rows]

        first = order(0)
        assert sorted(first) == sorted([f"a{i}" for i in range(40)] + [f"b{i}" for i in range(20)])
        assert 5 <= sum(name[0] == "b" for name in first[:20]) <= 15, "not one part after the other"
        assert order(0) == first and order(1) != first and order(0, seed=1) != first

    def test_what_is_refused(self, spec, cache):
        stream, rows = training_data.load(spec), training_data.load({**SCENES, "cache_dir": cache})
        with pytest.raises(ValueError, match="some data sets have `streaming: true` and some have not"):
            training_data.concatenate([stream, rows])
        with pytest.raises(ValueError, match="a stream is read in its own order"):
            training_data.with_lengths(stream, str.split)


def test_with_lengths(tmp_path):
    """The mean of the references' numbers of tokens; no image is there to be read."""
    rows = datasets.Dataset.from_dict(
        {
            "id": ["a", "b", "c"],
            "captions": [["one two", "one two three four"], ["one"], ["one two"] * 3],
            "before": [str(tmp_path / "missing.png")] * 3,
        }
    ).cast_column("before", datasets.Image())
    rows = training_data.with_lengths(rows, lambda captions: [caption.split() for caption in captions])
    assert list(rows["length"]) == [3, 1, 2]
    assert rows.column_names == ["id", "captions", "before", "length"]


def test_dense_supervision(cache):
    masks = {"cache_dir": cache, "masks": True}
    hard = training_data.load({**SCENES, **masks})
    easy = training_data.load({**SCENES, **masks, "jitter": 0.0, "train": 2})
    items = training_data.Supervision([{}]).rows([hard, easy], stack, (32, 8), 30, [(0.5, [1]), (1.0, [0, 1])], seed=1)
    assert len(items) == 30
    scenes = [json.loads(row["scene"]) for row in easy]
    easy_captions = {
        c for row, scene in zip(easy, scenes, strict=True) for c in row["captions"] + scene["captions_reversed"]
    }
    assert {items[i]["caption"] for i in range(15)} <= easy_captions
    assert not {items[i]["caption"] for i in range(15, 30)} <= easy_captions
    assert items[0]["pair"][0].size == (16, 8) and items[0]["patch_labels"].shape == (4, 6)
    again = training_data.Supervision([{}]).rows([hard, easy], stack, (32, 8), 30, [(0.5, [1]), (1.0, [0, 1])], seed=1)
    assert [again[i]["caption"] for i in range(30)] == [items[i]["caption"] for i in range(30)]


def test_rows_are_prepared_again_when_their_code_changes(cache, tmp_path, monkeypatch):
    rows = training_data.load({**SCENES, "cache_dir": cache, "masks": True})
    calls = []

    def prepared():
        made = training_data.Supervision([{}]).rows([rows], stack, (32, 8), 30)
        calls.append(sorted(file["filename"] for _, phase in made.phases for file in phase.cache_files))
        return calls[-1]

    assert prepared() == prepared() != []
    edited = tmp_path / "edited.py"
    edited.write_text("# other code")
    monkeypatch.setattr(training_data.inspect, "getfile", lambda function: str(edited))
    assert prepared() != calls[0]
