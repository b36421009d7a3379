"""Config "folder" on the folders that people have: as "imagefolder" reads them, as LEVIR-CC is, as pandas writes."""

import datetime
import json
from functools import partial

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datasets_syned
from tests.support import layouts
from tests.support.layouts import images, write

load = partial(layouts.load, "folder")


def ids_and_captions(data):
    return {split: list(zip(rows["id"], rows["captions"], strict=True)) for split, rows in data.items()}


def files(rows):
    return [(row["before"]["path"], row["after"]["path"]) for row in layouts.raw(rows)]


@pytest.fixture
def root(tmp_path):
    return images(tmp_path / "mine", [f"{name}.png" for name in "abcd"])


def test_metadata_as_imagefolder_wants_it(tmp_path):
    root = images(tmp_path / "mine", [f"{split}/{name}.png" for split in ("train", "test") for name in "ab"])
    header = "before_file_name,after_file_name,caption\n"
    write(root / "train" / "metadata.csv", f"{header}a.png,b.png,one\n")
    write(root / "test" / "metadata.csv", f"{header}b.png,a.png,two\n")
    write(root / "test" / ".ipynb_checkpoints" / "metadata.csv", f"{header}b.png,a.png,old\n")
    assert ids_and_captions(load(root)) == {"train": [("2", ["one"])], "test": [("2", ["two"])]}
    for split in ("train", "test"):
        (root / split / "metadata.csv").unlink()
    write(root / "notes.csv", "not,a,table\n1,2,3\n")
    write(root / "metadata.csv", f"{header}train/a.png,train/b.png,one\ntest/a.png,test/b.png,two\n")
    assert ids_and_captions(load(root)) == {"train": [("2", ["one"])], "test": [("3", ["two"])]}


def test_several_metadata_files_without_splits(tmp_path):
    root = images(tmp_path / "mine", [f"{place}/{name}.png" for place in ("oslo", "rome") for name in "ab"])
    for place in ("oslo", "rome"):
        record = {"before_file_name": "a.png", "after_file_name": "b.png", "caption": f"a car left {place}"}
        write(root / place / "metadata.jsonl", json.dumps(record))
    data = load(root)["train"]
    assert data["id"] == ["oslo/metadata:1", "rome/metadata:1"]
    assert data["captions"] == [["a car left oslo"], ["a car left rome"]]
    assert layouts.raw(data)[1]["before"]["bytes"] == (root / "rome" / "a.png").read_bytes()


def test_shards_of_a_table_and_a_pattern(root):
    for split, count in (("train", 2), ("val", 1)):
        for number in range(count):
            row = {"before": "a.png", "after": "bcd"[number] + ".png", "captions": ["x"]}
            name = f"data/{split}-{number:05d}-of-{count:05d}.parquet"
            (root / "data").mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist([row]), root / name)
    data = load(root)
    assert files(data["train"]) == [("a.png", "b.png"), ("a.png", "c.png")] and len(data["validation"]) == 1
    assert data["train"]["id"] == ["data/train-00000-of-00002:1", "data/train-00001-of-00002:1"]
    assert layouts.counts(load(root, file="data/train-*.parquet")) == {"train": 2}


def test_tables_in_a_folder_of_their_own(tmp_path):
    root = images(tmp_path / "mine", ["images/a.png", "images/b.png"])
    write(root / "tables" / "train.tsv", "before\tafter\tcaptions\nimages/a.png\t../images/b.png\tx, y\n")
    data = load(root)["train"]
    assert files(data) == [("a.png", "b.png")] and data["captions"] == [["x, y"]]
    write(root / "tables" / "train.tsv", "before\tafter\tcaptions\na.png\tb.png\tx\n")
    assert files(load(root)["train"]) == [("a.png", "b.png")]
    write(root / "tables" / "train.tsv", "before\tafter\tcaptions\n../../a.png\tb.png\tx\n")
    with pytest.raises(ValueError, match="line 2: 'before' is '../../a.png', which leads out of the folder"):
        load(root)


def test_other_json_files_and_older_tables_do_not_disturb(root):
    row = {"before": "a.png", "after": "b.png", "captions": "x"}
    write(root / "pairs.jsonl", json.dumps(row))
    write(root / "settings.json", {"any": "thing"})
    write(root / "older" / "pairs_2024.csv", "before,after,captions\nc.png,d.png,y\n")
    assert files(load(root)["train"]) == [("a.png", "b.png")]


def test_an_absolute_path_inside_the_folder(root):
    record = {"before": str(root / "a.png"), "after": str(root / "x" / ".." / "b.png"), "captions": "x"}
    write(root / "pairs.json", [record])
    assert files(load(root)["train"]) == [("a.png", "b.png")]
    write(root / "pairs.json", [{**record, "before": str(root.parent / "mine2" / "a.png")}])
    with pytest.raises(ValueError, match=r"pairs.json, record 1: 'before' is .*, which leads out of the folder"):
        load(root)


@pytest.mark.parametrize("name", ["pairs.json", "pairs.jsonl"])
def test_json_as_it_comes(root, name):
    records = [{"before": "a.png", "after": "b.png", "captions": "x"}, {"before": "c.png", "after": "d.png"}]
    records[1]["captions"] = ["y", None, "z"]
    array = name == "pairs.json"
    write(root / name, records if array else "\n".join(map(json.dumps, records)))
    expected = {"train": [("1", ["x"]), ("2", ["y", "z"])]}
    assert ids_and_captions(load(root)) == expected
    (root / name).rename(root / "pairs.json")  # lines under the name of an array
    assert ids_and_captions(load(root)) == expected


def test_the_layout_of_levir_cc(tmp_path):
    names = [f"images/{split}/{side}/{split}_1.png" for split in ("train", "val") for side in "AB"]
    root = images(tmp_path / "levir", names)
    records = [
        {
            "filename": f"{split}_1.png",
            "filepath": split,
            "split": split,
            "changeflag": flag,
            "sentences": [{"raw": " a house was built .", "tokens": ["a"]}, {"raw": "a road appears"}],
        }
        for split, flag in (("train", 1), ("val", 0))
    ]
    write(root / "LevirCCcaptions.json", {"dataset": "LEVIR", "images": records})
    data = load(root)
    assert ids_and_captions(data)["train"] == [("train_1", ["a house was built .", "a road appears"])]
    assert data["train"]["changed"] == [True] and data["validation"]["category"] == ["none"]
    assert layouts.raw(data["validation"])[0]["after"]["bytes"] == (root / names[3]).read_bytes()
    del records[0]["sentences"][1]["raw"]
    write(root / "LevirCCcaptions.json", {"images": records})
    with pytest.raises(ValueError, match=r"json, record 1, sentence 2: 'raw' is missing; the record has nothing"):
        load(root)


def test_what_pandas_writes(root):
    lines = [
        ",ID,Before,AFTER,Captions,changed,Patient,split",
        """0,7.0,a.png,b.png,"[""it's gone"", 'a ""stop"" sign']",1.0,007,train""",
        "1,,b.png,c.png,['same'],0.0,,train",
    ]
    write(root / "pairs.csv", "\n".join(lines) + "\n")
    data = load(root)["train"]
    assert data["id"] == ["7", "3"] and data["changed"] == [True, False]
    assert data["captions"] == [["it's gone", 'a "stop" sign'], ["same"]]
    assert data["Patient"] == ["007", None] and set(data.column_names) - set(datasets_syned.FEATURES) == {"Patient"}
    write(root / "pairs.csv", "before,after,captions\na.png,b.png,\"['one' 'two']\"\n")
    with pytest.raises(ValueError, match="'captions' is not a list"):
        load(root)


@pytest.mark.parametrize("word", ["nan", "NaN", "<NA>", " null "])
def test_an_empty_cell_that_became_text_is_empty(root, word):
    write(root / "pairs.csv", f"before,after,captions\na.png,b.png,{word}\na.png,c.png,\"['{word}', 'a car']\"\n")
    with pytest.raises(ValueError, match="line 2: 'captions' is empty"):
        load(root)
    assert load(root, on_error="skip")["train"]["captions"] == [["a car"]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spaces_behind_separators(root, separator):
    cells = [["before", "after", "captions"], ["a.png", '"b.png"', f'"the car{separator} a red one"']]
    write(root / "pairs.csv", "\n".join(f"{separator} ".join(line) for line in cells))
    assert load(root)["train"]["captions"] == [[f"the car{separator} a red one"]]


def test_further_columns_keep_their_types(root):
    day = datetime.date(2026, 1, 2)
    records = [{"patient": 12, "date": day, "score": 0.5, "boxes": [[1, 2]]}, {"patient": 13, "date": None}]
    pairs = [
        {"before": "a.png", "after": f"{b}.png", "captions": ["x"], **r} for b, r in zip("bc", records, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(pairs), root / "pairs.parquet")
    data = load(root)["train"]
    assert data.column_names == [*datasets_syned.FEATURES, "patient", "date", "score", "boxes"]
    assert data["patient"] == [12, 13] and data["date"] == [day, None] and data["boxes"][0] == [[1, 2]]
    assert datasets_syned.validate(data) == 2
    assert list(load(root, streaming=True)["train"])[1]["patient"] == 13
    assert load(root, num_proc=2, cache_dir=str(root.parent / "other"))["train"]["score"] == [0.5, None]
    (root / "pairs.parquet").unlink()
    mixed = [{**pair, "date": None, "note": note} for pair, note in zip(pairs, (1, {"by": "us"}), strict=True)]
    write(root / "pairs.json", mixed)
    assert load(root)["train"]["note"] == ["1", '{"by": "us"}']


@pytest.mark.parametrize("word", ["none", "No change", "no_change", "unchanged", "no-diff", "identical"])
def test_a_category_that_means_no_change(root, word):
    write(root / "pairs.csv", f"before,after,captions,category\na.png,b.png,x,{word}\nb.png,c.png,y,color\n")
    data = load(root)["train"]
    assert data["category"] == ["none", "color"] and data["changed"] == [False, True]


def test_two_folders_in_each_split(tmp_path):
    root = tmp_path / "mine"
    for split in ("train", "test"):
        images(root / split, ["before/1.png", "after/1.png"])
        write(root / split / "captions.json", {"1": f"{split} it"})
    assert ids_and_captions(load(root)) == {"train": [("1", ["train it"])], "test": [("1", ["test it"])]}
    builder = datasets.load_dataset_builder("syned", "folder", data_dir=str(root), cache_dir=str(tmp_path))
    assert builder.config.plan.dropped == {}


def test_linked_folders(tmp_path):
    images(tmp_path / "disk", ["before/x/1.png", "after/x/1.png"])
    root = tmp_path / "mine"
    for side in ("before", "after"):
        (root / side).mkdir(parents=True)
        (root / side / "linked").symlink_to(tmp_path / "disk" / side / "x")
        (root / side / "back").symlink_to(root)
    write(root / "captions.json", {"linked/1": "a car left"})
    assert ids_and_captions(load(root)) == {"train": [("linked/1", ["a car left"])]}
