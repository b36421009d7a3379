"""A run: what it makes, what it refuses, what goes wrong with a row, how it goes on."""

import io
import json
import re

import fsspec
import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

import datasets_syned  # noqa: F401 (registers "syned")
from datasets_syned.common.row import validate
from datasets_syned.common.seeds import seed_of
from datasets_syned.synthesis import Settings, SplitSettings, synthesize
from datasets_syned.synthesis.editors import EditError
from datasets_syned.synthesis.editors.procedural import ProceduralEditor
from datasets_syned.synthesis.engine import EditorBrokenError
from datasets_syned.synthesis.paraphrasers.protocol import Paraphrases
from tests.support import layouts
from tests.support.synthesis_runs import FILTERS, SMALL, content, left_out, rows, settings


class Plain:
    """An editor that turns an image upside down, and fails where it is told to."""

    id, revision, parameters, versions = "plain", "1", {"steps": 3, "guidance": 7.5, "image_guidance": 1.5}, {"x": "2"}

    def __init__(self, batch_size=4, fails=lambda instruction, seed: None):
        self.batch_size, self.fails, self.calls = batch_size, fails, []

    def load(self):
        pass

    def edit(self, images, instructions, seeds):
        self.calls.append(len(images))
        results = []
        for image, instruction, seed in zip(images, instructions, seeds, strict=True):
            problem = self.fails(instruction, seed)
            if isinstance(problem, Exception) and not isinstance(problem, EditError):
                raise problem
            results.append(problem or image.rotate(180))
        return results


class Rewording:
    """A paraphraser with one good answer and one bad one."""

    id, revision, parameters, versions = "rewording", "1", {}, {}

    def load(self):
        pass

    def paraphrase(self, instructions, count, seeds):
        return [Paraphrases([f"please {text}"], [("I cannot", "refusal")], 2) for text in instructions]


class Judge:
    """A filter that keeps what a function gives more than 0."""

    name, needs_captions, parameters = "judge", False, {}

    def __init__(self, measure):
        self.measure = measure

    def load(self):
        pass

    def verdict(self, score):
        return score > 0 or (False, "judge 0 is below 1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with filters."""
    out = tmp_path_factory.mktemp("finished") / "run"
    summary = synthesize(settings(filters=FILTERS), out)
    return out, summary


def test_rows(finished):
    out, summary = finished
    made, (tally,) = rows(out), summary.splits.values()
    assert tally.rows == 24 and tally.kept == len(made) and not tally.failed
    assert tally.kept + sum(tally.dropped.values()) == 24 and set(tally.dropped) == set(FILTERS)
    assert not summary.missing and not summary.failed
    for row in made:
        source, _, variant = row["id"].rpartition("-")
        provenance = row["provenance"]
        assert row["captions"] == [provenance["instruction"]] and row["changed"]
        assert provenance["seed"] == seed_of(0, source, int(variant))
        assert (provenance["editor"], provenance["revision"]) == ("procedural", "1")
        assert {one["name"] for one in provenance["scores"]} == set(FILTERS)
        assert {one["name"] for one in provenance["versions"]} == {"numpy", "pillow", "blip2idc"}
        assert {one["name"]: one["value"] for one in provenance["settings"]} == {
            "failure_rate": "0.3",
            "image_format": "png",
        }
        assert all(Image.open(io.BytesIO(row[side]["bytes"])).size == (48, 32) for side in ("before", "after"))


def test_loads_as_a_data_set(finished, tmp_path):
    out, summary = finished
    data = load_dataset("syned", "synthetic", data_dir=str(out), cache_dir=str(tmp_path / "a"))["train"]
    assert validate(data) == len(data) == summary.splits["train"].kept
    by_card = load_dataset(str(out), cache_dir=str(tmp_path / "b"))["train"]
    assert by_card.features == data.features and by_card["id"][:] == data["id"][:]


def test_left_out_rows_are_kept_apart(finished):
    out, summary = finished
    apart, images = left_out(out), {row["id"]: row["after"] for row in rows(out, folder="edit")}
    assert len(apart) == sum(summary.splits["train"].dropped.values())
    assert not {row["id"] for row in apart} & {row["id"] for row in rows(out)}
    for one in apart:
        assert one["status"] == "dropped" and one["by"] in one["reason"] and images[one["id"]]
        assert {score["name"]: score["value"] for score in one["scores"]}[one["by"]] < FILTERS[one["by"]]


def test_summary(finished):
    out, summary = finished
    said = json.loads((out / "summary.json").read_text())
    assert said["splits"] == {"train": vars(summary.splits["train"])}
    assert said["made_by"]["editor"]["parameters"]["failure_rate"] == 0.3
    assert {name: said["planned"]["train"][name] for name in ("sources", "rows", "parts")} == {
        "sources": 6,
        "rows": 24,
        "parts": 3,
    }
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == [
        *("README.md", "contact_sheet.png", "data", "edit", "plan", "score", "select", "summary.json"),
        "synthesis.json",
    ]


def test_again_changes_nothing(finished):
    out, summary = finished
    before = content(out)
    again = synthesize(settings(filters=FILTERS), out)
    assert content(out) == before and again.splits == summary.splits


@pytest.mark.parametrize("given", [{"sources_per_part": 6}, {"sources_per_part": 1}, {"rows_per_shard": 1000}])
def test_rows_do_not_depend_on_how_they_are_bundled(finished, tmp_path, given):
    synthesize(settings(filters=FILTERS, **given), tmp_path / "run", editor=ProceduralEditor(batch_size=3))
    assert rows(tmp_path / "run") == rows(finished[0])


def test_another_seed_makes_other_images(finished, tmp_path):
    synthesize(settings(seed=1), tmp_path / "run")
    assert not {row["after"]["bytes"] for row in rows(tmp_path / "run")} & {
        row["after"]["bytes"] for row in rows(finished[0])
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"editor_options": {"failure_rate": 0.1}}, "editor.parameters.failure_rate 0.3, not 0.1"),
        ({"source": {"path": "scenes", "width": 64, "height": 32}}, "splits.train.source.jitter 0.0, not None"),
        ({"image_format": "jpeg"}, "image_format 'png', not 'jpeg'"),
    ],
)
def test_other_settings_are_refused(finished, changed, said):
    out, before = finished[0], content(finished[0])
    with pytest.raises(ValueError, match="the images in this folder were made with") as raised:
        synthesize(settings(**{"filters": FILTERS, **changed}), out)
    assert said in str(raised.value) and content(out) == before


def test_batch_size_may_change(finished):
    synthesize(settings(filters=FILTERS, editor_options={"batch_size": 2}), finished[0])


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="holds other files .thesis.tex."):
        synthesize(settings(), tmp_path)


def test_a_source_that_changed_is_refused(tmp_path):
    folder = image_folder(tmp_path, 4)
    wanted = settings(source={"path": str(folder), "split": "train"}, sources=4)
    synthesize(wanted, tmp_path / "run", editor=Plain())
    lines = (folder / "metadata.jsonl").read_text().replace("do 2", "do it")
    (folder / "metadata.jsonl").write_text(lines)
    with pytest.raises(ValueError, match="source of split 'train' has changed"):
        synthesize(wanted, tmp_path / "run", editor=Plain())


def image_folder(tmp_path, count):
    """Images of one color each, with instructions."""
    folder = tmp_path / "images"
    lines = []
    for i in range(count):
        layouts.write(folder / f"{i}.jpg", layouts.png((40 * i, 9, 9), (24, 16), file_format="JPEG"))
        lines.append(json.dumps({"file_name": f"{i}.jpg", "instruction": f"do {i}"}))
    layouts.write(folder / "metadata.jsonl", "\n".join(lines) + "\n")
    return folder


def test_own_images(tmp_path):
    folder = image_folder(tmp_path, 3)
    summary = synthesize(
        settings(source={"path": str(folder), "split": "train"}, variants=2, image_format="jpeg"),
        tmp_path / "run",
        editor=Plain(),
    )
    made = rows(tmp_path / "run")
    assert summary.splits["train"].kept == len(made) == 6
    assert [row["id"] for row in made] == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
    assert made[2]["captions"] == ["do 1"] and made[2]["category"] == "edit"
    assert made[2]["before"]["bytes"] == (folder / "1.jpg").read_bytes(), "the source's file, byte by byte"
    assert Image.open(io.BytesIO(made[2]["after"]["bytes"])).format == "JPEG"
    assert {name: made[0]["provenance"][name] for name in ("steps", "guidance", "image_guidance")} == {
        "steps": 3,
        "guidance": 7.5,
        "image_guidance": 1.5,
    }


def test_an_editor_gets_the_variants_of_a_source_as_one_object_in_its_batches(tmp_path):
    seen = []

    class Looking(Plain):
        def edit(self, images, instructions, seeds):
            seen.append([id(image) for image in images])
            return super().edit(images, instructions, seeds)

    synthesize(settings(sources=2, variants=4), tmp_path / "run", editor=Looking(batch_size=4))
    assert [len(batch) for batch in seen] == [4, 4] and all(len(set(batch)) == 1 for batch in seen)


class TestFailures:
    def test_a_broken_source_image(self, tmp_path):
        folder = image_folder(tmp_path, 3)
        data = (folder / "1.jpg").read_bytes()
        (folder / "1.jpg").write_bytes(data[: len(data) // 2])
        wanted = settings(source={"path": str(folder), "split": "train"}, variants=2)
        summary = synthesize(wanted, tmp_path / "run", editor=Plain())
        assert [row["id"] for row in rows(tmp_path / "run")] == ["0-0", "0-1", "2-0", "2-1"]
        assert summary.failed == 2 and next(iter(summary.splits["train"].failed)).startswith(
            "source: the image is damaged or cut off: "
        )
        said = left_out(tmp_path / "run")
        assert [(row["id"], row["status"], row["by"]) for row in said] == [
            ("1-0", "failed", "source"),
            ("1-1", "failed", "source"),
        ]

    @pytest.mark.parametrize(
        ("error", "reason", "calls"),
        [
            (OverflowError("no"), "editor: OverflowError: no", [4, 4, 4, 1, 1, 1, 1, 4, 4, 4]),  # its batch one by one
            (EditError("unsafe"), "editor: unsafe", [4] * 6),
        ],
    )
    def test_an_editor_that_fails_with_one_row(self, tmp_path, error, reason, calls):
        bad = seed_of(0, "train-000002", 1)
        editor = Plain(fails=lambda text, seed: error if seed == bad else None)
        (tally,) = synthesize(settings(), tmp_path / "run", editor=editor).splits.values()
        assert tally.failed == {reason: 1} and tally.kept == 23 and editor.calls == calls
        assert [row["id"] for row in left_out(tmp_path / "run")] == ["train-000002-1"]

    def test_a_filter_that_raises_for_one_row(self, tmp_path):
        def measure(rows):
            if any(row.variant == 3 and row.source_id == "train-000000" for row in rows):
                raise ZeroDivisionError("no")
            return [row.variant for row in rows]

        (tally,) = synthesize(settings(), tmp_path / "run", filters=[Judge(measure)]).splits.values()
        assert tally.failed == {"judge: ZeroDivisionError: no": 1} and tally.dropped == {"judge": 6}
        assert tally.kept == 24 - 1 - 6

    @pytest.mark.parametrize("answer", [[], ["good"] * 8])
    def test_a_filter_that_gives_no_scores(self, tmp_path, answer):
        judge = Judge(lambda rows: answer[: len(rows)])
        (tally,) = synthesize(settings(), tmp_path / "run", filters=[judge]).splits.values()
        assert tally.kept == 0 and sum(tally.failed.values()) == 24 and "judge: " in next(iter(tally.failed))

    def test_an_editor_that_is_broken(self, tmp_path):
        editor = Plain(fails=lambda text, seed: RuntimeError("CUDA error: device-side assert"))
        with pytest.raises(EditorBrokenError, match=r"all rows of 3 parts.*device-side assert.*retry_failed"):
            synthesize(settings(sources=12), tmp_path / "run", editor=editor)
        summary = synthesize(settings(sources=12), tmp_path / "run", editor=Plain(), retry_failed=True)
        assert summary.splits["train"].kept == 48

    def test_reasons_that_differ_in_details_are_one(self, tmp_path):
        def fails(text, seed):
            return RuntimeError(f"no place for /data/{seed}.png, cat_{seed}.png, {seed:#x}") if seed % 2 else None

        summary = synthesize(settings(), tmp_path / "run", editor=Plain(fails=fails))
        (tally,) = summary.splits.values()
        ((reason, count),) = tally.failed.items()
        assert count == sum(seed_of(0, f"train-{i:06d}", k) % 2 for i in range(6) for k in range(4)) > 1
        assert re.fullmatch(r"editor: RuntimeError: no place for …, cat_(\d+)\.png, 0x[0-9a-f]+", reason)
        assert f"failed: {count} rows, such as: {reason}\n" in summary.text("run")
        assert len({one["reason"] for one in left_out(tmp_path / "run")}) == count

    @pytest.mark.parametrize("world", [1, 2])
    def test_failed_rows_can_be_made_again(self, tmp_path, monkeypatch, world):
        """They alone; and the result is as if none had failed."""
        bad = seed_of(0, "train-000001", 2)
        broken = Plain(fails=lambda text, seed: OSError("flaky") if seed == bad else None)
        synthesize(settings(filters=FILTERS), tmp_path / "run", editor=broken)
        sound = Plain()
        monkeypatch.setenv("WORLD_SIZE", str(world))
        for rank in range(world):
            monkeypatch.setenv("RANK", str(rank))
            summary = synthesize(settings(filters=FILTERS), tmp_path / "run", editor=sound, retry_failed=True)
        assert summary.failed == 0 and sum(sound.calls) == 1
        monkeypatch.delenv("WORLD_SIZE")
        monkeypatch.delenv("RANK")
        synthesize(settings(filters=FILTERS), tmp_path / "fresh", editor=Plain())
        assert content(tmp_path / "run") == content(tmp_path / "fresh")


def test_a_shard_and_a_split_without_rows(tmp_path):
    late = Judge(lambda rows: [float(row.source_id >= "train-000004") for row in rows])
    synthesize(settings(), tmp_path / "run", filters=[late])
    assert len(list((tmp_path / "run" / "data").glob("*"))) == 2
    data = load_dataset("syned", "synthetic", data_dir=str(tmp_path / "run"), cache_dir=str(tmp_path / "cache"))
    assert len(data["train"]) == 8


class TestParaphrases:
    def test_of_the_source_s_own_pairs(self, tmp_path):
        pairs = [(3, "Add a hat.", "add"), (5, "Remove it.", "remove")]
        root = layouts.emu_edit(tmp_path / "ee", {"validation": pairs, "test": pairs})
        source = {"path": "syned", "name": "emu_edit", "split": "test", "data_dir": str(root)}
        source["cache_dir"] = str(tmp_path / "cache")
        split = SplitSettings(source, variants=0, paraphrases=2)
        wanted = Settings({"test": split}, paraphraser="rewording")
        summary = synthesize(wanted, tmp_path / "run", paraphraser=Rewording())
        made = rows(tmp_path / "run", "test")
        assert [row["captions"] for row in made] == [
            ["Add a hat.", "please Add a hat."],
            ["Remove it.", "please Remove it."],
        ]
        said = [(row["id"], row["category"], row["provenance"]) for row in made]
        assert said == [("3", "add", None), ("5", "remove", None)]
        said = {"asked": 4, "kept": 2, "rejected": {"refusal": 2}}
        assert summary.splits["test"].paraphrases == said
        (said, _) = rows(tmp_path / "run", "test", folder="caption")
        assert said["id"] == "3" and said["rejected"] == [{"text": "I cannot", "rule": "refusal"}]

    def test_of_a_model_that_looks_at_the_images(self, tmp_path):
        """Each pair gets captions of its own."""

        class Describing(Rewording):
            from_images = True

            def describe(self, pairs, instructions, count, seeds):
                shown = [np.abs(np.asarray(after).astype(int) - before).sum() for before, after in pairs]
                return [Paraphrases([f"{value} differs"], [("no", "length")], 1) for value in shown]

        split = SplitSettings(SMALL, variants=2, paraphrases=1, limit=2)
        wanted = Settings({"train": split}, editor="procedural", paraphraser="describing", sources_per_part=1)
        summary = synthesize(wanted, tmp_path / "run", paraphraser=Describing())
        made = rows(tmp_path / "run")
        assert len({row["captions"][1] for row in made}) == 4 and summary.splits["train"].paraphrases["rejected"] == {
            "length": 4
        }
        assert [row["id"] for row in rows(tmp_path / "run", folder="caption")] == [row["id"] for row in made]

    def test_variants_of_a_source_have_the_same(self, tmp_path):
        split = SplitSettings({"path": "scenes", "width": 48, "height": 32}, variants=2, paraphrases=1, limit=2)
        wanted = Settings({"train": split}, editor="procedural", paraphraser="rewording")
        synthesize(wanted, tmp_path / "run", paraphraser=Rewording())
        made = rows(tmp_path / "run")
        told = {one["name"]: one["value"] for one in made[0]["provenance"]["settings"]}
        assert (told["paraphraser"], told["paraphraser.revision"]) == ("rewording", "1")
        assert made[0]["captions"] == made[1]["captions"] and len(made[0]["captions"]) == 2


def test_any_filesystem(finished):
    """The same rows in a store that is not a folder of this machine."""
    summary = synthesize(settings(filters=FILTERS), "memory://run")
    files = fsspec.filesystem("memory")
    try:
        with files.open("/run/data/train-00000-of-00002.parquet") as file:
            assert file.read() == (finished[0] / "data" / "train-00000-of-00002.parquet").read_bytes()
        assert summary.splits == finished[1].splits and files.exists("/run/contact_sheet.png")
    finally:
        files.rm("/run", recursive=True)


def test_no_such_filesystem():
    with pytest.raises(ValueError, match=r"out='nowhere://x': cannot be written to"):
        synthesize(settings(), "nowhere://x")


def test_what_is_not_upright_rgb_becomes_so(tmp_path):
    folder = tmp_path / "images"
    layouts.write(folder / "0.png", layouts.png((200, 0, 0, 0), (10, 6), "RGBA"))
    image = Image.new("RGB", (10, 6), (0, 0, 200))
    exif = image.getexif()
    exif[0x0112] = 6  # lies on its side
    image.save(folder / "1.jpg", exif=exif)
    lines = [{"file_name": name, "instruction": "do it"} for name in ("0.png", "1.jpg")]
    layouts.write(folder / "metadata.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    wanted = settings(source={"path": str(folder), "split": "train"}, variants=1)
    synthesize(wanted, tmp_path / "run", editor=Plain())
    before = [Image.open(io.BytesIO(row["before"]["bytes"])) for row in rows(tmp_path / "run")]
    assert [(image.mode, image.size) for image in before] == [("RGB", (10, 6)), ("RGB", (6, 10))]
    assert (np.asarray(before[0]) == 255).all(), "what is transparent is white"


@pytest.mark.parametrize("variants", [0, 2])
def test_unchanged_pairs(tmp_path, variants):
    source = {**SMALL, "unchanged": 0.5}
    if not variants:
        pairs = [(k, f"Add {k}.", "add") for k in range(3)]
        root = layouts.emu_edit(tmp_path / "ee", {"validation": pairs, "test": pairs}, layouts.png((9, 99, 200)))
        source = {"path": "syned", "name": "emu_edit", "split": "test", "data_dir": str(root), "unchanged": 0.5}
        source["cache_dir"] = str(tmp_path / "cache")
    split = SplitSettings(source, variants=variants, paraphrases=1, limit=6)
    models = {"editor": "plain"} if variants else {}
    editor = Plain()
    wanted = Settings({"train": split}, paraphraser="rewording", filters=FILTERS, **models)
    (tally,) = synthesize(wanted, tmp_path / "run", editor=editor, paraphraser=Rewording()).splits.values()
    same = [row for row in rows(tmp_path / "run") if not row["changed"]]
    assert len(same) == 3 * max(1, variants) and sum(editor.calls) == 3 * variants
    for row in same:
        assert row["category"] == "none" and len(row["captions"]) == 2 and row["provenance"]["editor"] is None
        before, after = (np.asarray(Image.open(io.BytesIO(row[side]["bytes"]))) for side in ("before", "after"))
        assert before.shape == after.shape and np.abs(before.astype(int) - after).mean() < 40
    data = load_dataset("syned", "synthetic", data_dir=str(tmp_path / "run"), cache_dir=str(tmp_path / "cache"))
    assert validate(data) == len(rows(tmp_path / "run"))
