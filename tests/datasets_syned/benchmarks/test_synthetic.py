"""`load_dataset("syned", "syned")`: what a synthesis pipeline wrote, and Emu Edit's test split beside it."""

import shutil
from functools import partial

import datasets
import pytest
from datasets import Dataset, load_dataset

import datasets_syned
from datasets_syned.benchmarks import references
from datasets_syned.synthesis import SplitSettings
from tests.datasets_syned.benchmarks.test_emu_edit import PARAPHRASES, TEST, counts, raw
from tests.support import layouts
from tests.support.layouts import png, write
from tests.support.runs_to_publish import SMALL, plain_run

PROVENANCE = {
    "editor": "timbrooks/instruct-pix2pix",
    "revision": "31519b5",
    "seed": 3,
    "steps": 20,
    "guidance": 7.5,
    "image_guidance": None,
    "instruction": "add a dog",
    "settings": [{"name": "resolution", "value": "512"}],
    "scores": [{"name": "clip", "value": 0.25}],
    "versions": [{"name": "diffusers", "version": "0.42.1"}],
}


load = partial(layouts.load, "syned")


def rows_of(split, count, **changes):
    return [
        {
            "id": f"{split}-{number}",
            "before": layouts.image(png(layouts.color_of(split, number, "before")), "before.png"),
            "after": layouts.image(png(layouts.color_of(split, number, "after")), None),
            "captions": [f"add dog {number}", "un chien naît"],
            "category": "add" if number % 2 else "none",
            "changed": bool(number % 2),
            "provenance": {**PROVENANCE, "seed": number} if number % 3 else None,
        }
        | changes
        for number in range(count)
    ]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "syned"
    layouts.parquet(root, "train", rows_of("train", 7), datasets_syned.FEATURES)
    layouts.parquet(root, "validation", rows_of("validation", 2), datasets_syned.FEATURES, files=1)
    return root


def emu_edit(folder):
    layouts.emu_edit(folder, {"test": TEST, "validation": TEST})
    write(folder / references.PARAPHRASES, PARAPHRASES)
    return folder


def test_rows_are_as_they_were_written(root, tmp_path, monkeypatch):
    data = load(root)
    assert counts(data) == {"train": 7, "validation": 2} and datasets_syned.validate(data) == 9
    assert raw(data["train"]) == rows_of("train", 7)
    assert raw(data["validation"]) == rows_of("validation", 2)
    monkeypatch.setattr("datasets_syned.loading.builder.ROWS_PER_SPAN", 2)
    assert raw(load(root, num_proc=2, cache_dir=str(tmp_path / "two"))["train"]) == rows_of("train", 7)
    assert raw(load(root, streaming=True)["train"]) == rows_of("train", 7)


def test_what_the_library_pushes_is_read_back(root, tmp_path):
    layouts.parquet(tmp_path / "hub" / "data", "train", raw(load(root)["train"]), datasets_syned.FEATURES)
    assert raw(load(tmp_path / "hub")["train"]) == rows_of("train", 7)


@pytest.mark.parametrize("place", ["syned/emu_edit", "syned", "elsewhere"])
def test_the_test_split_of_emu_edit(root, tmp_path, place):
    emu_edit(tmp_path / place)
    arguments = {"emu_edit": str(tmp_path / place)} if place == "elsewhere" else {}
    data = load(root, **arguments)
    assert counts(data) == {"train": 7, "validation": 2, "test": 4} and datasets_syned.validate(data) == 13
    assert data["test"]["captions"][0] == ["Add a dog", "Put a dog there.", "Place a dog"]
    assert data["test"]["id"] == ["0", "2", "7", "8"] and data["test"][0]["provenance"] is None
    untouched = load(root, references="raw", **arguments)
    assert untouched["test"]["captions"][0] == ["Add a dog", *PARAPHRASES["0 "]]
    assert raw(untouched["train"]) == raw(data["train"])


def test_two_test_splits_are_refused(root):
    emu_edit(root / "emu_edit")
    layouts.parquet(root, "test", rows_of("test", 2), datasets_syned.FEATURES)
    with pytest.raises(
        ValueError, match=r"both .*test-00000-of-00002.parquet and Emu Edit's files in .* are a test spl"
    ):
        load(root)


def test_wrong_arguments_and_files(root, tmp_path):
    with pytest.raises(ValueError, match="references='dirty' must be 'clean' or 'raw'"):
        load(root, references="dirty")
    with pytest.raises(ValueError, match="emu_edit='.*nowhere' is not a folder; https://huggingface.co"):
        load(root, emu_edit=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="give data_dir=<the folder that holds them>.*repo=<its name>"):
        load_dataset("syned", "syned")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no train-\*.parquet, validation-\*.parquet, test-\*.parquet in"):
        load(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"test-\*.parquet missing in .*huggingface.co/datasets/facebook"):
        load(root, emu_edit=str(tmp_path / "empty"))
    (emu_edit(root / "emu_edit") / references.PARAPHRASES).unlink()
    with pytest.raises(ValueError, match=r"gt_augmented_test_clean.json is missing. It can be had from"):
        load(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"captions": []}, "split 'train': row 0 .*'captions': is empty; at least one reference"),
        ({"captions": None}, "'captions': must be a list of strings"),
        ({"category": "add"}, r"row 0 \(id='train-0'\), column 'changed': is False but 'category' is 'add'"),
        ({"id": "x"}, r"row 1 \(id='x'\), column 'id': is also the id of row 0"),
    ],
)
def test_wrong_rows(tmp_path, changes, message):
    layouts.parquet(tmp_path / "s", "train", rows_of("train", 3, **changes), datasets_syned.FEATURES)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "s")


def test_columns_that_are_missing_or_unknown(root):
    (path,) = root.glob("validation-*")
    rows = Dataset.from_parquet(str(path))
    rows.remove_columns(["captions", "after"]).to_parquet(path)
    with pytest.raises(ValueError, match="validation-00000-of-00001.parquet has no column captions, after; it has id"):
        load(root)
    odd = [{**row, "provenance": {"editor": "x", "model": "y"}} for row in raw(rows)]
    Dataset.from_list(
        odd,
        features=datasets.Features(
            {**rows.features, "provenance": {n: datasets.Value("string") for n in ("editor", "model")}}
        ),
    ).to_parquet(path)
    with pytest.raises(ValueError, match=r"'provenance' has unknown fields \['model'\]"):
        load(root)


def test_a_broken_image_is_told_or_skipped(root):
    rows = rows_of("train", 7)
    rows[3]["after"] = layouts.image(png(1)[:-8])
    layouts.parquet(root, "train", rows, datasets_syned.FEATURES)
    with pytest.raises(ValueError, match=r"column 'after' \(id 'train-3'\) is damaged or cut off"):
        load(root)
    assert raw(load(root, on_error="skip")["train"]) == rows[:3] + rows[4:]


NOTHING_STAYS = [{"changed_area": "0.89:0.9"}]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two splits; train has two files."""
    splits = {name: SplitSettings({**SMALL, "split": name}, variants=2, limit=4) for name in ("train", "test")}
    return plain_run(tmp_path_factory.mktemp("finished") / "run", splits=splits, sources_per_part=2, rows_per_shard=4)


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_a_run_that_is_not_finished_is_refused(run):
    assert counts(load(run)) == {"train": 8, "test": 8}
    (run / "summary.json").unlink()
    for shard in (run / "data" / "train-00001-of-00002.parquet", None):  # with and without all files
        with pytest.raises(ValueError, match="run: this run is not finished: run the same `syned synthesize` again"):
            load(run)
        shard and shard.unlink()


def test_files_and_rows_of_a_run_that_are_gone_are_told(run):
    train, test = ([run / "data" / f"{s}-0000{n}-of-00002.parquet" for n in (0, 1)] for s in ("train", "test"))
    shutil.copy(train[0], run / "one")
    train[0].unlink()
    with pytest.raises(ValueError, match="train-.*: 1 are there, their names count 2; this run is not finished"):
        load(run)
    shutil.copy(run / "one", train[0])
    for path in test:
        path.unlink()
    with pytest.raises(ValueError, match="the files of split 'test' are missing; this run is not finished: run the"):
        load(run)
    for broken in ("{", "[]", "{}", '{"splits": 1, "settings": 1, "made_by": 1, "planned": 1}'):
        write(run / "summary.json", broken)
        with pytest.raises(ValueError, match="summary.json is not a summary of a run"):
            load(run)
    (run / "synthesis.json").unlink()  # somebody else's summary
    assert counts(load(run)) == {"train": 8}


def test_files_and_splits_without_rows(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(datasets.logging.get_logger("datasets"), "propagate", True)
    splits = {"train": SplitSettings(SMALL, variants=2, limit=2)}
    empty = plain_run(tmp_path / "empty", splits=splits, filters=NOTHING_STAYS)
    with pytest.raises(ValueError, match=r"the files in .*empty have no rows: left out were 4 × changed_area"):
        load(empty)
    layouts.parquet(tmp_path / "part", "test", rows_of("test", 2), datasets_syned.FEATURES, files=1)
    shutil.copy(next(empty.glob("data/train-*")), tmp_path / "part")
    data = load(tmp_path / "part")
    assert counts(data) == {"test": 2} and raw(data["test"]) == rows_of("test", 2)
    assert "config 'syned': no split 'train', its files have no rows" in caplog.text
    shutil.copy(tmp_path / "part" / "train-00000-of-00001.parquet", tmp_path / "part" / "train-00000-of-00002.parquet")
    (tmp_path / "part" / "train-00000-of-00001.parquet").unlink()
    layouts.parquet(tmp_path / "more", "train", rows_of("train", 3), datasets_syned.FEATURES, files=1)
    shutil.copy(next((tmp_path / "more").iterdir()), tmp_path / "part" / "train-00001-of-00002.parquet")
    assert raw(load(tmp_path / "part")["train"]) == rows_of("train", 3)
