"""`load_dataset("syned", "magicbrush")`: images inside Parquet files, from a folder and from a Hub."""

import json
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datasets_syned
from datasets_syned.benchmarks import MagicBrushConfig
from datasets_syned.common import image_cells as cells
from datasets_syned.common import pairs
from datasets_syned.common.image_cells import Cell
from tests.support import layouts
from tests.support.hub_server import HubServer, run
from tests.support.layouts import counts, png, raw

TURNS = [("100", 1, "add a béret "), ("100", 2, "make it red"), ("7", 1, "remove the dog"), ("7", 2, "a cat instead")]
TURNS += [("8", turn, f"step {turn}") for turn in range(1, 6)]
SPLITS = {"train": TURNS, "dev": [("100", 1, "day to night"), ("9", 1, " "), ("9", 2, "🎨 paint it")]}


load = partial(layouts.load, "magicbrush")


@pytest.fixture
def root(tmp_path):
    return layouts.magicbrush(tmp_path / "magicbrush", SPLITS)


def replace(path, row, column, content):
    """Puts another image into a cell."""
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = layouts.image(content, "x")
    array = pa.array(values, table[column].type)
    table = table.set_column(table.column_names.index(column), column, array)
    pq.write_table(table, path, row_group_size=2)


def test_a_turn_is_a_row(root):
    data = load(root)
    assert counts(data) == {"train": 9, "validation": 2}
    assert data["train"].features == datasets_syned.FEATURES and datasets_syned.validate(data) == 11
    rows = raw(data["train"])
    assert [row["id"] for row in rows[:4]] == ["100-1", "100-2", "7-1", "7-2"]
    for (name, turn, instruction), row in zip(TURNS, rows, strict=True):
        sides = {
            side: {"bytes": png(layouts.color_of("train", name, turn, kind)), "path": f"{name}-{kind}{turn}.png"}
            for side, kind in (("before", "source"), ("after", "target"))
        }
        assert row == {
            "id": f"{name}-{turn}",
            **sides,
            "captions": [instruction.strip()],
            "category": "edit",
            "changed": True,
            "provenance": None,
        }
    assert data["validation"]["captions"][1] == ["🎨 paint it"] and data["validation"]["id"] == ["100-1", "9-2"]


@pytest.mark.parametrize("group", [1, 3, 100])
def test_any_row_group_gives_the_same_rows(root, tmp_path, group):
    other = layouts.magicbrush(tmp_path / "other" / "x", SPLITS, files=1, group=group)
    assert raw(load(other)["train"]) == raw(load(root)["train"])


def test_streaming_and_two_processes_give_the_same_rows(root, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets_syned.loading.builder.ROWS_PER_SPAN", 2)
    data, streamed = load(root), load(root, streaming=True)
    two = load(root, num_proc=2, cache_dir=str(tmp_path / "two"))
    for split, rows in data.items():
        assert raw(rows) == raw(two[split]) == raw(streamed[split])


def test_cells_in_any_order(root):
    file = sorted((root / "data").glob("train-*.parquet"))[0]
    reader = cells.Cells()
    for row in (3, 0, 4, 1, 1):
        name, turn, _ = TURNS[row]
        for column, kind in (("source_img", "source"), ("target_img", "target")):
            assert reader.read(Cell(file, row, column))[0] == png(layouts.color_of("train", name, turn, kind))
    with pytest.raises(cells.ImageError, match=r"row 99, column 'source_img' cannot be read"):
        reader.read(Cell(file, 99, "source_img"))


def test_a_test_split_that_someone_has_made(root):
    layouts.magicbrush(root, {"test": [("1", 1, "secret")]}, files=1)
    assert counts(load(root)) == {"train": 9, "validation": 2, "test": 1}
    assert "must not be redistributed" in MagicBrushConfig.WITHHELD["test"]


def test_an_edit_of_a_file_is_seen(root):
    first = load(root)["train"]
    assert load(root)["train"].cache_files == first.cache_files
    replace(sorted((root / "data").glob("train-*"))[0], 0, "source_img", png(7, (3, 3)))
    assert load(root)["train"][0]["before"].size == (3, 3)


@pytest.mark.parametrize("processes", [None, 2])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (png(7)[:-9], "is damaged or cut off: "),
        (b"", "is empty"),
        (b"<html>not found", "is damaged, or not an image that is read here: it begins with b'<html>no'"),
    ],
)
def test_a_broken_cell_is_told_and_nothing_is_left(root, monkeypatch, processes, content, what):
    monkeypatch.setattr("datasets_syned.loading.builder.ROWS_PER_SPAN", 2)
    replace(sorted((root / "data").glob("train-*"))[1], 1, "target_img", content)
    with pytest.raises(ValueError) as caught:
        load(root, num_proc=processes)
    message = str(caught.value)
    assert f"row 1, column 'target_img' (id '8-3') {what}" in message and "train-00001-of-00002" in message
    assert "nothing was built" in message and "on_error='skip'" in message
    assert not list((root.parent / "cache").rglob("*.arrow"))
    with pytest.raises(ValueError, match="id '8-3'"):
        list(load(root, streaming=True)["train"])


@pytest.mark.parametrize("processes", [None, 2])
def test_a_broken_cell_is_skipped(root, processes, monkeypatch, caplog):
    monkeypatch.setattr("datasets_syned.loading.builder.ROWS_PER_SPAN", 2)
    monkeypatch.setattr(pairs.logger, "handlers", [caplog.handler])
    whole = raw(load(root)["train"])
    replace(sorted((root / "data").glob("train-*"))[1], 1, "target_img", b"")
    data = load(root, on_error="skip", num_proc=processes)
    assert raw(data["train"]) == [row for row in whole if row["id"] != "8-3"]
    assert raw(load(root, on_error="skip", streaming=True)["train"]) == raw(data["train"])
    assert "1 images are broken; their pairs are left out:" in caplog.text and "(id '8-3') is empty" in caplog.text


def test_broken_cells_are_known_before_pairs_are_scored(root):
    """As `evaluate_idc.py` reads them, which builds nothing."""
    file = sorted((root / "data").glob("train-*"))[1]
    flipped = bytearray(png(7, (300, 200)))
    flipped[-30] ^= 0xFF
    replace(file, 1, "target_img", bytes(flipped))
    config = MagicBrushConfig(data_dir=str(root), on_error="skip")
    config.check_images(cells=True)
    assert config.plan.dropped["train"] == {"image broken": 1}
    assert "8-3" not in [pair.id for pair in config.plan.pairs["train"]]


def test_a_split_with_nothing_left(root):
    for path in (root / "data").glob("dev-*"):
        for row in range(pq.read_metadata(path).num_rows):
            replace(path, row, "source_img", b"")
    with pytest.raises(ValueError, match="validation"):
        load(root, on_error="skip")


def test_files_that_are_missing_or_broken(root, tmp_path):
    shards = sorted((root / "data").glob("train-*"))
    content = shards[1].read_bytes()
    shards[1].unlink()
    with pytest.raises(ValueError, match=r"train-\*.parquet are not the files of one split: 1 are there.* count 2"):
        load(root)
    shards[1].write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"train-00001-of-00002.parquet is not a Parquet file, or is cut off"):
        load(root)
    shards[1].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ValueError, match=r"train-00001-of-00002.parquet is not a Parquet file, or is cut off"):
        load(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"train-\*.parquet, dev-\*.parquet missing in .*huggingface.co/datasets/osunlp"
    ):
        load(tmp_path / "empty")


def columns_of(path):
    group = pq.read_metadata(path).row_group(0)
    return [group.column(number) for number in range(group.num_columns)]


def test_a_file_whose_pages_are_damaged(root):
    path = sorted((root / "data").glob("train-*"))[1]
    content = bytearray(path.read_bytes())
    column = next(column for column in columns_of(path) if column.path_in_schema == "source_img.bytes")
    content[column.data_page_offset : column.data_page_offset + 30] = b"\xff" * 30
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"train-00001-of-00002.parquet, row 0, column 'source_img' .* cannot be read"
    ):
        load(root)
    kept = load(root, on_error="skip")["train"]["id"]  # the other row groups
    assert list(kept) == [f"{name}-{turn}" for name, turn, _ in TURNS if (name, turn) not in (("8", 2), ("8", 3))]


def test_other_columns_and_ids_that_are_there_twice(tmp_path):
    root = layouts.emu_edit(tmp_path / "ee", {"train": [(1, "x", "add")], "dev": [(1, "x", "add")]}, files=1)
    with pytest.raises(ValueError, match=r"has no column img_id, turn_index, source_img, target_img; it has idx, "):
        load(root)
    twice = layouts.magicbrush(tmp_path / "mb", {**SPLITS, "train": [*TURNS, ("7", 2, "again")]})
    with pytest.raises(ValueError, match=r"split 'train': 1 ids are there twice.*\n  7-2: .*column 'source_img'"):
        load(twice)


LOAD = """
import json, sys
import datasets_syned
from datasets import load_dataset
try:
    data = load_dataset("syned", "magicbrush", **json.loads(sys.argv[1]))
    print(json.dumps({"ids": data["train"]["id"][:], "file": data["train"].cache_files[0]["filename"]}))
except ValueError as error:
    print(json.dumps(str(error)))
"""
UPLOAD = """
import sys
from huggingface_hub import HfApi
repo = {"repo_id": "osunlp/MagicBrush", "repo_type": "dataset"}
HfApi().create_repo(**repo)
HfApi().upload_folder(folder_path=sys.argv[1], **repo)
"""


@pytest.fixture
def hub(root, tmp_path):
    layouts.write(root / "README.md", "not needed")
    with HubServer({"osunlp": {"token": "write"}}) as server:
        run(UPLOAD, server.env(tmp_path, "token"), root)
        yield server


def load_from(hub, home, variables=None, **arguments):
    home.mkdir(exist_ok=True)
    done = run(LOAD, hub.env(home, **(variables or {})), json.dumps(arguments))
    return json.loads(done.stdout.splitlines()[-1])


def test_from_a_hub(hub, root, tmp_path):
    ids = [f"{name}-{turn}" for name, turn, _ in TURNS]
    start = len(hub.requests)
    first = load_from(hub, tmp_path / "home")
    assert first["ids"] == ids
    assert not hub.seen("README", start) and hub.seen("train-00001-of-00002", start)
    # offline: the same files, and the same cache whatever the revision is called
    start = len(hub.requests)
    offline, commit = {"HF_HUB_OFFLINE": "1"}, hub.repo("dataset", "osunlp/MagicBrush").at().id
    assert load_from(hub, tmp_path / "home", offline) == first
    assert load_from(hub, tmp_path / "home", offline, repo=f"osunlp/MagicBrush@{commit}") == first
    message = load_from(hub, tmp_path / "other home", offline)
    assert "repo='osunlp/MagicBrush' cannot be had from the Hub" in message and "data_dir=" in message
    assert load_from(hub, tmp_path / "other home", offline, data_dir=str(root))["ids"] == ids
    assert not hub.requests[start:]


@pytest.mark.parametrize("repo", ["osunlp/MagicBrush@nowhere", "x/y", "a b"])
def test_what_a_hub_does_not_have(tmp_path, repo):
    with HubServer({"osunlp": {"token": "write"}}) as server:
        server.store.create("dataset", "MagicBrush", None, False, "token")
        assert f"repo={repo!r} cannot be had from the Hub" in load_from(server, tmp_path / "home", repo=repo)
    assert "cannot be had" in load_from(server, tmp_path / "home", repo=repo)  # nobody is there
