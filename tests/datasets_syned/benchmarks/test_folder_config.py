"""Config "folder": tables and folders of pairs that anyone may have, and every way in which they may be wrong."""

import json
import unicodedata
from functools import partial

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datasets_syned
from tests.support import layouts
from tests.support.layouts import images, png, write

load = partial(layouts.load, "folder")


def rows(data, *columns):
    return [tuple(row[column] for column in columns) for row in data.remove_columns(["before", "after"])]


def files(data):
    return [(row["before"]["path"], row["after"]["path"]) for row in layouts.raw(data)]


@pytest.fixture
def root(tmp_path):
    """A folder with the images a.png to d.png, each of another color, and no table."""
    return images(tmp_path / "mine", [f"{name}.png" for name in "abcd"])


def table(root, name, records):
    if name.endswith(".csv"):
        header = list(records[0])
        cells = [[json.dumps(r[c]) if isinstance(r[c], list) else str(r[c]) for c in header] for r in records]
        quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in [header, *cells]]
        return write(root / name, "\n".join(quoted) + "\n")
    if name.endswith(".jsonl"):
        return write(root / name, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    pq.write_table(pa.Table.from_pylist(records), root / name)
    return root / name


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table(root, kind):
    records = [
        {"before": "a.png", "after": "b.png", "captions": ["a car left", "one car fewer "]},
        {"before": "c.png", "after": "d.png", "captions": ["it is darker"]},
    ]
    table(root, f"pairs.{kind}", records)
    data = load(root)
    assert datasets_syned.validate(data) == 2 and list(data) == ["train"]
    assert data["train"].features == datasets_syned.FEATURES
    first = data["train"].cast_column("after", datasets.Image(decode=False))[0]
    assert first["after"] == {"bytes": (root / "b.png").read_bytes(), "path": "b.png"}
    said = ["a car left", "one car fewer"]
    one, two = ("1", "2") if kind != "csv" else ("2", "3")  # lines; the first of a CSV file is the header
    assert rows(data["train"], "id", "captions", "category", "changed") == [
        (one, said, "change", True),
        (two, ["it is darker"], "change", True),
    ]
    assert list(load(root, streaming=True)["train"])[1]["captions"] == ["it is darker"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_all_columns_under_other_names(root, kind):
    header = ("img_a", "img_b", "text", "kind", "key", "part", "differs")
    cells = [("a.png", "b.png", "moved", "move", 7, "dev", True), ("c.png", "c.png", "same", "none", 8, "Test", False)]
    records = [dict(zip(header, line, strict=True)) for line in cells]
    table(root, f"p.{kind}", records)
    names = {"before": "img_a", "after": "img_b", "captions": "text", "category": "kind", "id": "key"}
    data = load(root, columns={**names, "split": "part", "changed": "differs"})
    assert rows(data["validation"], "id", "captions", "category", "changed") == [("7", ["moved"], "move", True)]
    assert rows(data["test"], "id", "captions", "category", "changed") == [("8", ["same"], "none", False)]
    with pytest.raises(
        ValueError, match=r"p.* has no column 'before', 'after', 'captions', but 'img_a', 'img_b', 'te"
    ):
        load(root)
    with pytest.raises(ValueError, match=r"has no column 'parts', but .*columns={...} takes other names"):
        load(root, columns={**names, "split": "parts"})


def test_files_named_like_splits(root):
    pair = {"before": "a.png", "after": "b.png", "caption": "x"}
    table(root, "train.csv", [pair])
    table(root, "val.jsonl", [pair, {**pair, "before": "c.png"}])
    table(root, "test.parquet", [{**pair, "split": "test"}])
    write(root / "notes.csv", "anything")
    assert {split: len(part) for split, part in load(root).items()} == {"train": 1, "validation": 2, "test": 1}
    assert {split: len(part) for split, part in load(root, file="val.jsonl").items()} == {"train": 2}
    table(root, "test.parquet", [{**pair, "split": "train"}])
    with pytest.raises(ValueError, match=r"test.parquet, row 1: 'split' is 'train' in the file of split test"):
        load(root)
    table(root, "dev.csv", [pair])
    with pytest.raises(ValueError, match="holds dev.csv, val.jsonl, all of split validation: say which one to read"):
        load(root)


def test_rows_of_the_same_images_are_one_pair(root):
    pair = {"before": "a.png", "after": "b.png", "category": "", "changed": "", "split": "train"}
    records = [
        {**pair, "captions": "one"},
        {**pair, "before": "c.png", "captions": "other"},
        {**pair, "before": "./x/../a.png", "captions": ["two", "one"], "category": "color"},
        {**pair, "captions": "three", "split": "test"},
        {**pair, "before": "b.png", "after": "a.png", "captions": "back", "changed": "no"},
    ]
    table(root, "pairs.csv", records)
    data = load(root)
    assert rows(data["train"], "id", "captions", "category", "changed") == [
        ("2", ["one", "two"], "color", True),
        ("3", ["other"], "change", True),
        ("6", ["back"], "none", False),
    ]
    assert rows(data["test"], "id", "captions") == [("5", ["three"])]
    table(root, "pairs.csv", [*records, {**pair, "captions": "four", "category": "move"}])
    with pytest.raises(ValueError, match=r"line 7: 'category' is 'move', but 'color' for the same two images"):
        load(root)


def test_csv_as_people_write_it(root):
    write(root / "Ünïcode 1.png", png(9))
    name = unicodedata.normalize("NFD", "Ünïcode 1.png")  # as macOS writes names
    lines = [
        "before, after ,captions",
        'a.png,b.png,"He said ""stop"", then\r\nleft, it seems"',
        ",,",
        "",
        f"{name},c.png,日本語 é",
        'c.png,sub\\..\\d.png,"[""one"", ""two""]"',
        "d.png,a.png,[sic] the car",
        "d.png,b.png,[unclear]",
    ]
    (root / "pairs.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    data = load(root)["train"]
    assert rows(data, "id", "captions") == [
        ("2", ['He said "stop", then\r\nleft, it seems']),
        ("6", ["日本語 é"]),
        ("7", ["one", "two"]),
        ("8", ["[sic] the car"]),
        ("9", ["[unclear]"]),
    ]
    assert files(data)[1:3] == [("Ünïcode 1.png", "c.png"), ("c.png", "d.png")]


def test_parquet_with_images_inside_is_for_another_config(root):
    image = {"bytes": png(), "path": "a.png"}
    table(root, "train.parquet", [{"before": image, "after": image, "captions": ["x"]}])
    with pytest.raises(
        ValueError, match=r"train.parquet, column 'before' holds images.* are read by config 'synthetic'"
    ):
        load(root)


def test_several_tables_need_a_choice(root):
    for name in ("one.csv", "two.jsonl"):
        table(root, name, [{"before": "a.png", "after": "b.png", "captions": name}])
    with pytest.raises(ValueError, match=r"holds one.csv, two.jsonl: say which one to read, as in file='one.csv'"):
        load(root)
    assert load(root, file="two.jsonl")["train"]["captions"] == [["two.jsonl"]]
    for wrong in ("three.csv", "../mine/one.csv", str(root / "one.csv")):
        with pytest.raises(ValueError, match="must be a file in .*, named as seen from there"):
            load(root, file=wrong)
    with pytest.raises(ValueError, match="file='a.png' must end in .csv, .tsv, .json, .jsonl, .parquet"):
        load(root, file="a.png")
    with pytest.raises(ValueError, match=r"columns={'befor': 'x'}: 'befor' is none of before, after, name, captions"):
        load(root, file="one.csv", columns={"befor": "x"})
    with pytest.raises(ValueError, match=r"columns=.* must be names by name"):
        load(root, file="one.csv", columns={"before": 3})


def test_missing_images_and_captions_can_be_skipped(root):
    write(root / "d.png", png()[:-20])
    lines = ["a.png,b.png,kept", "a.png,e.png,gone", "c.png,a.png,", "d.png,a.png,cut off"]
    write(root / "p.csv", "before,after,captions\n" + "\n".join(lines))
    builder = datasets.load_dataset_builder(
        "syned", "folder", data_dir=str(root), cache_dir=str(root.parent / "cache"), on_error="skip"
    )
    builder.download_and_prepare()
    assert rows(builder.as_dataset()["train"], "captions") == [(["kept"],)]
    assert builder.config.plan.dropped == {"train": {"no caption": 1, "image missing": 1, "image broken": 1}}


def test_an_edit_of_the_table_or_an_image_is_seen(root):
    path = write(root / "p.csv", "before,after,captions\na.png,b.png,first\n")
    first = load(root)["train"]
    assert load(root)["train"].cache_files == first.cache_files
    write(path, "before,after,captions\na.png,b.png,second\n")
    write(root / "b.png", png(size=(3, 2)))
    second = load(root)["train"]
    assert second["captions"] == [["second"]] and second[0]["after"].size == (3, 2)


@pytest.fixture
def folders(tmp_path):
    root = tmp_path / "two"
    images(root / "before", ["a.png", "b.v2.png", "deep/c.png", "unsaid.png", "only.png"])
    return images(root / "after", ["a.jpg", "b.v2.png", "deep/c.PNG", "unsaid.png"])


def test_two_folders(folders):
    root = folders.parent
    write(root / "captions.json", {"a": "one", "b.v2.png": ["two", "zwei"], "deep/c.png": "three"})
    data = load(root)["train"]
    assert rows(data, "id", "captions") == [("a", ["one"]), ("b.v2", ["two", "zwei"]), ("deep/c", ["three"])]
    assert files(data) == [("a.png", "a.jpg"), ("b.v2.png", "b.v2.png"), ("c.png", "c.PNG")]
    builder = datasets.load_dataset_builder("syned", "folder", data_dir=str(root), cache_dir=str(root.parent))
    assert builder.config.plan.dropped == {"train": {"no caption": 1}}


def test_two_folders_under_other_names_and_a_table(folders):
    root = folders.parent
    for old, new in (("before", "left"), ("after", "right")):
        (root / old).rename(root / new)
    records = [
        {"name": "a.png", "caption": "one", "split": "test"},
        {"name": "b.v2", "caption": "two", "split": "dev"},
    ]
    for name in ("captions.csv", "captions.jsonl"):
        path = table(root, name, records)
        data = load(root, columns={"before": "left", "after": "right"})
        assert rows(data["test"], "id", "captions") == [("a", ["one"])]
        assert rows(data["validation"], "id", "captions") == [("b.v2", ["two"])]
        path.unlink()
    table(root, "captions.csv", [{"file": "a", "text": "one"}])
    data = load(root, columns={"before": "left", "after": "right", "name": "file", "captions": "text"})
    assert rows(data["train"], "id", "captions") == [("a", ["one"])]


def test_a_table_beside_the_folders_of_its_images(folders):
    root = folders.parent
    table(root, "pairs.csv", [{"before": "before/a.png", "after": "after/a.jpg", "captions": "x", "name": "ignored"}])
    assert files(load(root)["train"]) == [("a.png", "a.jpg")]


class TestHoldout:
    @pytest.fixture
    def many(self, tmp_path):
        """Twenty pairs, of which the first four have one image before."""
        root = images(tmp_path / "many", [f"{i}.png" for i in range(40)])
        pairs = [(0 if i < 4 else i, 20 + i) for i in range(20)]
        table(root, "pairs.jsonl", [{"before": f"{a}.png", "after": f"{b}.png", "captions": ["x"]} for a, b in pairs])
        return root

    def test_splits_that_are_missing(self, many):
        assert layouts.counts(load(many)) == {"train": 20}
        data = load(many, holdout=0.1)
        assert layouts.counts(data) == {"train": 16, "validation": 2, "test": 2}
        ids = [set(rows["id"]) for rows in data.values()]
        assert set.union(*ids) == {str(i) for i in range(1, 21)}
        assert list(data["train"]["id"]) == sorted(data["train"]["id"], key=int)

    def test_drawn_by_the_seed(self, many):
        drawn = [load(many, holdout=0.1, seed=seed)["test"]["id"][:] for seed in range(6)]
        assert len({tuple(ids) for ids in drawn}) > 1
        moved = many.rename(many.with_name("moved"))
        assert load(moved, holdout=0.1, seed=3)["test"]["id"][:] == drawn[3]

    @pytest.mark.parametrize("seed", range(4))
    def test_pairs_of_one_image_stay_together(self, many, seed):
        data = load(many, holdout=0.2, seed=seed)
        assert sum(not {"1", "2", "3", "4"}.isdisjoint(rows["id"]) for rows in data.values()) == 1

    def test_a_split_that_is_there(self, many):
        table(many, "test.jsonl", [{"before": "1.png", "after": "2.png", "captions": ["x"]}])
        (many / "pairs.jsonl").rename(many / "train.jsonl")
        assert layouts.counts(load(many, holdout=0.1)) == {"train": 18, "validation": 2, "test": 1}

    @pytest.mark.parametrize("share", [0.5, -0.1, "0.1", True])
    def test_no_share(self, many, share):
        with pytest.raises(ValueError, match=f"holdout={share!r} must be a share of the train pairs"):
            load(many, holdout=share)

    def test_too_few(self, root):
        table(root, "pairs.jsonl", [{"before": "a.png", "after": f"{b}.png", "captions": ["x"]} for b in "bcd"])
        with pytest.raises(ValueError, match="holdout=0.1 leaves none of its 3 pairs for train.* or a column split"):
            load(root, holdout=0.1)
