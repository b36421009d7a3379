"""A run that is extended: it ends as a run that was asked for all of it at once, and makes nothing twice."""

import json

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

import datasets_syned  # noqa: F401 (registers "syned")
from datasets_syned.synthesis import Settings, SplitSettings, synthesize
from datasets_syned.synthesis.editors import Editor
from datasets_syned.synthesis.filters.pixel_filters import ChangedArea
from datasets_syned.synthesis.paraphrasers.protocol import Paraphrases
from tests.support import layouts
from tests.support.candidates import with_patch
from tests.support.synthesis_runs import FILTERS, SMALL, content, rows, settings


class Counting(Editor):
    """Paints a patch whose place and size depend on the seed; counts the images that it makes."""

    id = "counting"
    made = 0

    def edit(self, images, instructions, seeds):
        self.made += len(images)
        boxes = [(seed % 20, seed % 7, seed % 20 + seed % 19, seed % 7 + seed % 11) for seed in seeds]
        return [with_patch(image, box) for image, box in zip(images, boxes, strict=True)]


class Rewording:
    """A paraphraser that counts the instructions that it gets."""

    id, revision, parameters, versions = "rewording", "1", {}, {}
    asked = 0

    def load(self):
        pass

    def paraphrase(self, instructions, count, seeds):
        self.asked += len(instructions)
        return [Paraphrases([f"{text}, way {k}" for k in range(count)], [], 1) for text in instructions]


def two_splits():
    splits = {"train": SplitSettings(SMALL, variants=4, limit=6)}
    splits["test"] = SplitSettings({**SMALL, "split": "test"}, variants=4, limit=6)
    return Settings(splits, editor="procedural", sources_per_part=2, rows_per_shard=16)


@pytest.mark.parametrize(
    ("before", "after", "images"),
    [
        (settings(), settings(sources=9), 12),
        (settings(sources=5), settings(sources=6), 4),
        (settings(variants=2, filters=FILTERS), settings(variants=4, filters=FILTERS), 12),
        (settings(filters={"changed_area": 0.003}), settings(filters=FILTERS), 0),
        (settings(filters=FILTERS), settings(filters={**FILTERS, "changed_area": 0.02}), 0),
        (settings(filters=FILTERS), settings(filters={"near_duplicates": {"threshold": 30.0}}), 0),
        (settings(filters=FILTERS), settings(), 0),
        (settings(filters=FILTERS), settings(filters=FILTERS, rows_per_shard=7), 0),
        (settings(), two_splits(), 24),
        (settings(filters=FILTERS), settings(sources=9, variants=6, filters=FILTERS, rows_per_shard=10), 30),
    ],
    ids=[
        *("rows", "rows of the last part", "variants", "a filter", "a limit", "what a filter measures"),
        *("no filter", "rows of a file", "a split", "rows and variants"),
    ],
)
def test_extended(tmp_path, before, after, images):
    synthesize(before, tmp_path / "run", editor=Counting())
    editor = Counting()
    summary = synthesize(after, tmp_path / "run", editor=editor)
    fresh = synthesize(after, tmp_path / "fresh", editor=Counting())
    assert editor.made == images and summary.splits == fresh.splits
    there, expected = content(tmp_path / "run"), content(tmp_path / "fresh")
    assert {name: there[name] for name in expected} == expected
    assert all(name.startswith("score/") for name in there.keys() - expected.keys()), "of filters that are off"
    assert len(load_dataset("syned", "synthetic", data_dir=str(tmp_path / "run"), cache_dir=str(tmp_path / "cache")))


def test_fewer_rows_and_variants_and_all_of_them_again(tmp_path):
    synthesize(settings(), tmp_path / "run", editor=Counting())
    whole = content(tmp_path / "run")
    editor = Counting()
    synthesize(settings(sources=3, variants=2), tmp_path / "run", editor=editor)
    synthesize(settings(sources=3, variants=2), tmp_path / "fresh", editor=Counting())
    assert rows(tmp_path / "run") == rows(tmp_path / "fresh")
    synthesize(settings(), tmp_path / "run", editor=editor)
    assert content(tmp_path / "run") == whole and not editor.made


def test_more_paraphrases(tmp_path):
    def wanted(count):
        split = SplitSettings(SMALL, variants=2, limit=4, paraphrases=count)
        return Settings({"train": split}, editor="procedural", paraphraser="rewording" if count else None)

    synthesize(wanted(0), tmp_path / "run", editor=Counting())
    editor, paraphraser = Counting(), Rewording()
    for count in (2, 3):
        synthesize(wanted(count), tmp_path / "run", editor=editor, paraphraser=paraphraser)
    assert not editor.made and paraphraser.asked == 8
    synthesize(wanted(3), tmp_path / "fresh", paraphraser=Rewording(), editor=Counting())
    assert content(tmp_path / "run") == content(tmp_path / "fresh")
    assert all(len(row["captions"]) == 4 for row in rows(tmp_path / "run"))


def test_images_that_were_added_to_a_folder(tmp_path):
    source = {"path": str(tmp_path / "pictures"), "split": "train", "cache_dir": str(tmp_path / "cache")}

    def pictures(count):
        for k in range(count):
            layouts.write(tmp_path / "pictures" / f"{k}.png", layouts.png((40 * k, 9, 9), (24, 16)))
        lines = [json.dumps({"file_name": f"{k}.png", "instruction": f"do {k}"}) for k in range(count)]
        layouts.write(tmp_path / "pictures" / "metadata.jsonl", "\n".join(lines) + "\n")

    editor = Counting()
    for count in (3, 5):
        pictures(count)
        synthesize(settings(source=source, sources=None), tmp_path / "run", editor=editor)
    assert editor.made == 20 and len(rows(tmp_path / "run")) == 20


class TestDeletedRows:
    def drop(self, folder, name):
        (path,) = [path for path in (folder / "data").iterdir() if name in pq.read_table(path)["id"].to_pylist()]
        table = pq.read_table(path)
        pq.write_table(table.filter([one != name for one in table["id"].to_pylist()]), path)

    def test_stay_deleted(self, tmp_path):
        out = tmp_path / "run"
        synthesize(settings(), out, editor=Counting())
        self.drop(out, "train-000001-2")
        data = load_dataset("syned", "synthetic", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
        assert len(data["train"]) == 23
        for wanted in (settings(), settings(rows_per_shard=10), settings(sources=8), settings(variants=5)):
            summary = synthesize(wanted, out, editor=Counting())
            assert summary.splits["train"].dropped == {"deleted by hand": 1}
            assert "train-000001-2" not in [row["id"] for row in rows(out)]
            (split,) = wanted.splits.values()
            assert len(rows(out)) == split.limit * split.variants - 1
        data = load_dataset("syned", "synthetic", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
        assert len(data["train"]) == 29
        assert json.loads((out / "deleted.json").read_text()) == {"train": ["train-000001-2"]}
        (out / "deleted.json").write_text("{}")
        (out / "summary.json").unlink()
        synthesize(settings(variants=5), out, editor=Counting())
        assert len(rows(out)) == 30, "what is not named in the file is there again"

    def test_by_a_rewritten_data_set(self, tmp_path):
        out = tmp_path / "run"
        synthesize(settings(), out, editor=Counting())
        table = pq.read_table(out / "data")
        for path in (out / "data").iterdir():
            path.unlink()
        pq.write_table(table.slice(5), out / "data" / "train-00000-of-00001.parquet")
        assert synthesize(settings(), out, editor=Counting()).splits["train"].dropped == {"deleted by hand": 5}
        assert [row["id"] for row in rows(out)] == table["id"].to_pylist()[5:]

    def test_what_a_deleted_row_dropped_stays_dropped(self, tmp_path):
        synthesize(settings(filters=FILTERS), tmp_path / "run", editor=Counting())
        there = [row["id"] for row in rows(tmp_path / "run")]
        self.drop(tmp_path / "run", there[0])
        synthesize(settings(filters=FILTERS), tmp_path / "run", editor=Counting())
        assert [row["id"] for row in rows(tmp_path / "run")] == there[1:]


def test_what_a_limit_drops_is_not_deleted_by_hand(tmp_path):
    """A run that is ended while it selects by another limit has files of both."""

    class Ended(BaseException):
        pass

    class Strict(ChangedArea):
        judged = 0

        def verdict(self, score):
            self.judged += 1
            if self.judged > 15:
                raise Ended
            return super().verdict(score)

    def wanted(limit):
        return settings(filters={"changed_area": limit}, rows_per_shard=4)

    synthesize(wanted(0.003), tmp_path / "run", editor=Counting())
    whole = content(tmp_path / "run")
    with pytest.raises(Ended):
        synthesize(wanted(0.3), tmp_path / "run", editor=Counting(), filters=[Strict(min=0.3)])
    synthesize(wanted(0.003), tmp_path / "run", editor=Counting())
    assert content(tmp_path / "run") == whole


class TestStages:
    def test_one_after_the_other(self, tmp_path):
        wanted = settings(filters=FILTERS)
        synthesize(wanted, tmp_path / "whole", editor=Counting())
        for stage in ("plan", "edit", "score", "caption", "select"):
            summary = synthesize(wanted, tmp_path / "run", stages=[stage], editor=Counting())
            assert bool(summary.splits) == (stage == "select") and not summary.missing
        assert content(tmp_path / "run") == content(tmp_path / "whole")

    def test_each_needs_those_before(self, tmp_path):
        wanted = settings(filters=FILTERS)
        for stage, before in (("score", "plan"), ("select", "plan")):
            with pytest.raises(ValueError, match=f"run stage {before!r}"):
                synthesize(wanted, tmp_path / "run", stages=[stage], editor=Counting())
        synthesize(wanted, tmp_path / "run", stages=["plan"], editor=Counting())
        with pytest.raises(ValueError, match="24 results of 'edit' are missing: run stage 'edit' first"):
            synthesize(wanted, tmp_path / "run", stages=["score"], editor=Counting())
        synthesize(wanted, tmp_path / "run", stages=["edit"], editor=Counting())
        with pytest.raises(ValueError, match="24 results of 'score/changed_area' are missing: run stage 'score'"):
            synthesize(wanted, tmp_path / "run", stages=["select"], editor=Counting())
        with pytest.raises(ValueError, match="there is no plan of split 'train' by these settings: run stage 'plan'"):
            synthesize(settings(sources=9, filters=FILTERS), tmp_path / "run", stages=["score"], editor=Counting())
        with pytest.raises(ValueError, match="stages: 'judge' must be one of plan, edit, score, caption, select"):
            synthesize(wanted, tmp_path / "run", stages=["judge"], editor=Counting())

    def test_one_model_is_there_at_a_time(self, tmp_path):
        alive = []

        class Alive:
            def load(self):
                alive.append(self)

        class Edits(Alive, Counting):
            pass

        class Chat(Alive, Rewording):
            def paraphrase(self, instructions, count, seeds):
                assert [type(model) for model in alive[:1]] == [Edits], "in this order"
                return super().paraphrase(instructions, count, seeds)

        split = SplitSettings(SMALL, variants=2, limit=2, paraphrases=1)
        wanted = Settings({"train": split}, editor="procedural", paraphraser="chat")
        synthesize(wanted, tmp_path / "run", editor=Edits(), paraphraser=Chat())
        assert [type(model) for model in alive] == [Edits, Chat]
        alive.clear()
        synthesize(wanted, tmp_path / "run", editor=Edits(), paraphraser=Chat())
        assert not alive, "nothing is loaded where nothing is to be made"


def test_balanced_categories(tmp_path):
    """Kinds of change take turns in the source: every fifth is 'color'. Of a source without 'color' rows but three."""
    source = {"path": str(tmp_path / "pictures"), "split": "train", "cache_dir": str(tmp_path / "cache")}
    categories = ["color"] * 7 + ["add"] * 2 + ["move"] * 3
    for k in range(12):
        layouts.write(tmp_path / "pictures" / f"{k}.png", layouts.png((9 * k, 9, 9), (24, 16)))
    lines = [json.dumps({"file_name": f"{k}.png", "instruction": "x", "category": categories[k]}) for k in range(12)]
    layouts.write(tmp_path / "pictures" / "metadata.jsonl", "\n".join(lines) + "\n")

    for limit, expected in (
        (4, ["color", "add", "move", "color"]),
        (8, ["color", "add", "move"] * 2 + ["color", "move"]),
    ):
        split = SplitSettings(source, variants=1, limit=limit, balance="category")
        synthesize(Settings({"train": split}, editor="x"), tmp_path / "run", editor=Counting())
        assert [row["category"] for row in rows(tmp_path / "run")] == expected
