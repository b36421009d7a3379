"""Benchmarks that are folders of images and JSON: on small layouts, and with the real annotation files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset

import datasets_syned
from tests.metrics.conftest import read_annotations
from tests.support import layouts
from tests.support.layouts import counts, load, png, raw, write

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def std(tmp_path):
    records = {
        "train": [
            {"img_id": "7", "sentences": ["the car is gone ", ""]},
            {"img_id": "8", "sentences": [" "]},
            {"img_id": "7", "sentences": ["a man walks"]},
        ],
        "val": [{"img_id": "9", "sentences": ["a béret appeared"]}],
        "test": [{"img_id": "10", "sentences": ["no differences"]}, {"img_id": "11", "sentences": []}],
    }
    return layouts.spot_the_diff(tmp_path / "std", records)


def test_spot_the_diff_is_one_row_a_pair(std):
    data = load("spot_the_diff", std)
    assert counts(data) == {"train": 1, "validation": 1, "test": 1}
    assert data["train"].features == datasets_syned.FEATURES
    assert datasets_syned.validate(data) == 3
    row = raw(data["train"])[0]
    assert row == {
        "id": "7",
        "before": {"bytes": (std / "7.png").read_bytes(), "path": "7.png"},
        "after": {"bytes": (std / "7_2.png").read_bytes(), "path": "7_2.png"},
        "captions": ["the car is gone", "a man walks"],
        "category": "change",
        "changed": True,
        "provenance": None,
    }
    assert data["validation"][0]["captions"] == ["a béret appeared"]
    assert (data["test"][0]["category"], data["test"][0]["changed"]) == ("none", False)  # "no differences"
    kept = load("spot_the_diff", std, keep_empty=True)
    assert counts(kept) == {"train": 2, "validation": 1, "test": 2}
    assert kept["train"]["captions"][1] == [""] and kept["test"]["id"] == ["10", "11"]


@pytest.mark.parametrize("folder", ["original modified", "resized_images"])
def test_spot_the_diff_in_other_folders(std, folder):
    for path in list(std.glob("*.png")):
        below = "images/" + ("modified" if path.stem.endswith("_2") else "original") if " " in folder else folder
        write(std / below / path.name, path.read_bytes())
        path.unlink()
    for path in list(std.glob("*.json")):
        write(std / "annotations" / path.name, path.read_bytes())
        path.unlink()
    assert counts(load("spot_the_diff", std)) == {"train": 1, "validation": 1, "test": 1}


def edit(uid, before, after, *sentences):
    return {"img0": before, "img1": after, "sents": list(sentences), "uid": uid}


@pytest.fixture
def ier(tmp_path):
    records = {
        "train": [
            edit("a", "x.jpg", "y.jpg", "brighter"),
            edit("b", "x.jpg", "y.jpg", "brighter", "more light"),
            edit("c", "t.jpg", "t 2.jpg", "crop it"),
            edit("d", "q.jpg", "é.jpg", "remove the sign "),
        ],
        "valid": [edit("e", "t.jpg", "t 2.jpg", "cut it")],
        "test": [edit("f", "t.jpg", "t 2.jpg", "crop", "cut", "make it square")],
    }
    return layouts.image_editing_request(tmp_path / "ier", records)


def test_image_editing_request(ier):
    data = load("image_editing_request", ier)
    assert counts(data) == {"train": 4, "validation": 1, "test": 1}
    assert datasets_syned.validate(data) == 6
    assert data["train"]["id"] == ["a", "b", "c", "d"] and data["train"][3]["captions"] == ["remove the sign"]
    assert raw(data["train"])[3]["after"]["path"] == "é.jpg"

    deduped = load("image_editing_request", ier, dedupe=True)
    assert deduped["train"]["id"] == ["a", "c", "d"]
    assert deduped["train"][0]["captions"] == ["brighter", "more light"]

    clean = load("image_editing_request", ier, dedupe=True, leak_free=True)
    assert clean["train"]["id"] == ["a", "d"] and counts(clean) == {"train": 2, "test": 1}


def test_clevr_change_has_both_pairs_of_every_scene(tmp_path):
    types = {0: "color", 1: "material", 2: "move", 3: "add", 4: "drop", 12: "drop"}
    root = layouts.clevr_change(tmp_path / "clevr", {"train": [0, 1, 2], "val": [12], "test": [3, 4]}, types)
    data = load("clevr_change", root)
    assert counts(data) == {"train": 6, "validation": 2, "test": 4}
    assert datasets_syned.validate(data) == 12
    assert data["train"]["id"] == ["000000", "000000_n", "000001", "000001_n", "000002", "000002_n"]
    assert data["train"]["category"] == ["color", "none", "texture", "none", "move", "none"]
    first, second = raw(data["validation"])
    assert first["changed"] and not second["changed"]
    assert first["before"] == second["before"]
    assert first["after"]["bytes"] == (root / "sc_images" / "CLEVR_semantic_000012.png").read_bytes()
    assert second["after"]["bytes"] == (root / "nsc_images" / "CLEVR_nonsemantic_000012.png").read_bytes()
    assert second["captions"] == ["no change was made", "nothing changed"]
    assert counts(load("clevr_change", root, unchanged=False)) == {"train": 3, "validation": 1, "test": 2}


def test_clevr_change_that_does_not_fit_together(tmp_path):
    root = layouts.clevr_change(
        tmp_path / "clevr", {"train": [1], "val": [2], "test": [3]}, dict.fromkeys((1, 2, 3), "add")
    )
    write(root / "splits.json", {"train": [1], "val": [2], "test": [3, 44]})
    with pytest.raises(ValueError, match=r"change_captions.json does not know scene 44 of split 'test'"):
        load("clevr_change", root)


def test_clevr_dc_by_name_and_by_place(tmp_path):
    captions = {"000007": ["the ball left"], "000003": ["a cube came", " "], "000001": [""], "000009": ["x moved"]}
    named = {"train": ["000003", "000001"], "test": ["000009"]}
    root = layouts.clevr_dc(tmp_path / "dc", captions, named)
    data = load("clevr_dc", root)
    assert counts(data) == {"train": 1, "test": 1} and data["train"]["id"] == ["000003"]
    assert datasets_syned.validate(data) == 2
    write(root / "split_dc.json", {"train": [1, 0], "val": [3]})
    data = load("clevr_dc", root)
    assert data["train"]["id"] == ["000003", "000007"] and data["validation"]["id"] == ["000009"]
    said = {
        **captions,
        "000007": ["no change was made", "The scene remains the same."],
        "000003": ["nothing changed", "x"],
    }
    write(root / "captions_dc.json", said)
    rows = load("clevr_dc", root)["train"]
    assert rows["category"] == ["change", "none"] and rows["changed"] == [True, False]
    write(root / "split_dc.json", {"train": [1, 400]})
    with pytest.raises(ValueError, match=r"split_dc.json lists neither names .* nor places in it \(0 to 3\)"):
        load("clevr_dc", root)


def annotations(benchmark, split):
    return json.loads(read_annotations(benchmark, f"{split}.json"))


def test_spot_the_diff_of_the_real_files(tmp_path):
    records = {split: annotations("spot_the_diff", split) for split in ("train", "val", "test")}
    assert [len(rows) for rows in records.values()] == [9524, 1634, 1404]
    root = layouts.spot_the_diff(tmp_path / "std", records, image=png(size=(1, 1)))
    data = load("spot_the_diff", root)
    assert counts(data) == {"train": 8529, "validation": 1489, "test": 1263}
    assert datasets_syned.validate(data) == 11281
    assert sum(len(captions) == 1 for captions in data["test"]["captions"]) == 732
    assert {split: rows["changed"].count(False) for split, rows in data.items()} == {
        **{"train": 149, "validation": 8},
        "test": 55,
    }
    kept = load("spot_the_diff", root, keep_empty=True)
    assert counts(kept) == {"train": 8566, "validation": 1493, "test": 1270}


def test_image_editing_request_of_the_real_files(tmp_path):
    records = {split: annotations("image_editing_request", split) for split in ("train", "valid", "test")}
    root = layouts.image_editing_request(tmp_path / "ier", records, image=png(size=(1, 1)))
    assert counts(load("image_editing_request", root)) == {"train": 3061, "validation": 383, "test": 495}
    deduped = load("image_editing_request", root, dedupe=True)
    assert counts(deduped) == {"train": 2507, "validation": 357, "test": 446}
    assert datasets_syned.validate(deduped) == 3310
    clean = load("image_editing_request", root, dedupe=True, leak_free=True)
    assert counts(clean) == {"train": 2506, "validation": 302, "test": 446}


def test_streaming_gives_the_same_rows(std, ier):
    for config, root in (("spot_the_diff", std), ("image_editing_request", ier)):
        for split, rows in load(config, root).items():
            assert raw(load(config, root, streaming=True)[split]) == raw(rows)


def test_two_processes_give_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets_syned.loading.builder.ROWS_PER_SPAN", 3)
    names = [f"{n:06d}" for n in range(10)]
    captions = {name: [f"caption of {name}"] for name in names}
    root = layouts.clevr_dc(tmp_path / "dc", captions, {"train": names[:8], "test": names[8:]})
    two = load("clevr_dc", root, num_proc=2)
    assert raw(two["train"]) == raw(
        load_dataset("syned", "clevr_dc", data_dir=str(root), cache_dir=str(tmp_path))["train"]
    )
    assert two["train"]["id"] == names[:8]


def test_an_edit_of_the_files_is_seen(std):
    first = load("spot_the_diff", std)["train"]
    assert load("spot_the_diff", std)["train"].cache_files == first.cache_files
    write(std / "7.png", png(size=(9, 9)))
    assert load("spot_the_diff", std)["train"][0]["before"].size == (9, 9)
    records = json.loads((std / "train.json").read_text())
    records[0]["sentences"] = ["the van is gone"]
    write(std / "train.json", records)
    assert load("spot_the_diff", std)["train"][0]["captions"] == ["the van is gone", "a man walks"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends(std, newline):
    text = json.dumps(json.loads((std / "val.json").read_text()), indent=1).replace("\n", newline)
    (std / "val.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load("spot_the_diff", std)["validation"][0]["captions"] == ["a béret appeared"]


def test_any_size_and_mode(std):
    images = {
        "7.png": png(3, mode="P"),
        "7_2.png": png(70, (30, 20), "I;16"),
        "9_2.png": png((1, 2, 3, 4), mode="CMYK", file_format="JPEG"),
    }
    for name, content in images.items():
        write(std / name, content)
    data = load("spot_the_diff", std)
    assert [data["train"][0][side].mode for side in ("before", "after")] == ["P", "I;16"]
    assert data["validation"][0]["after"].mode == "CMYK"
    assert raw(data["train"])[0]["after"]["bytes"] == images["7_2.png"]


def test_missing_images_are_one_error(std):
    for name in ("7.png", "9.png", "10_2.png"):
        (std / name).unlink()
    with pytest.raises(ValueError) as caught:
        load("spot_the_diff", std)
    message = str(caught.value)
    assert "3 image files are missing or broken" in message and str(std / "7.png") in message
    assert "github.com/harsh19/spot-the-diff" in message and "HuggingFaceM4/the_cauldron" in message
    assert "on_error='skip'" in message
    with pytest.raises(ValueError, match="No pair is left"):
        load("spot_the_diff", std, on_error="skip")
    write(std / "7.png", png())
    assert counts(load("spot_the_diff", std, on_error="skip")) == {"train": 1}


def test_broken_images_are_found_before_anything_is_built(std):
    content = (std / "9.png").read_bytes()
    write(std / "9.png", content[:-20])
    write(std / "10.png", b"")
    write(std / "7_2.png", b"<html>not found</html>")
    with pytest.raises(ValueError) as caught:
        load("spot_the_diff", std)
    for part in (
        "9.png is damaged or cut off: ",
        "10.png is empty",
        "7_2.png is damaged, or not an image that is read here",
    ):
        assert part in str(caught.value)
    assert not list((std.parent / "cache").rglob("*.arrow"))
    write(std / "10.png", content)
    write(std / "7_2.png", content)
    assert counts(load("spot_the_diff", std, on_error="skip")) == {"train": 1, "test": 1}
    write(std / "9.png", content)
    assert counts(load("spot_the_diff", std, on_error="skip")) == {"train": 1, "validation": 1, "test": 1}


def test_a_truncated_photograph_is_found(ier):
    path = ier / "images" / "q.jpg"
    whole = png(9, (400, 300), "L", "JPEG")
    write(path, whole[:-2])
    with pytest.raises(ValueError, match=r"q.jpg is damaged or cut off"):
        load("image_editing_request", ier)
    write(path, whole + b"trailer of a camera" * 9)
    assert counts(load("image_editing_request", ier))["train"] == 4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("spot_the_diff", "train.json, val.json, test.json missing in"),
        ("image_editing_request", "train.json, valid.json, test.json missing in"),
        ("clevr_change", "change_captions.json, no_change_captions.json, splits.json, type_mapping.json missing in"),
        ("clevr_dc", "captions_dc.json, split_dc.json missing in"),
    ],
)
def test_an_empty_folder_names_what_is_missing_and_where_to_get_it(tmp_path, config, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=f"{message}.*can be had from https://"):
        load(config, tmp_path / "empty")


def test_wrong_arguments(std):
    with pytest.raises(ValueError, match="config 'spot_the_diff' reads the files of Spot-the-Diff: give data_dir"):
        load_dataset("syned", "spot_the_diff")
    with pytest.raises(ValueError, match="data_dir='.*nowhere' is not a folder"):
        load("spot_the_diff", std.parent / "nowhere")
    with pytest.raises(ValueError, match="on_error='ignore' must be 'raise' or 'skip'"):
        load("spot_the_diff", std, on_error="ignore")
    with pytest.raises(ValueError, match="dedupe"):
        load("spot_the_diff", std, dedupe=True)
    write(std / "val.json", "[{")
    with pytest.raises(ValueError, match=r"val.json is not JSON"):
        load("spot_the_diff", std)


STREAM = """
import json, sys
import datasets_syned
from datasets import Image, load_dataset
rows = load_dataset("syned", "spot_the_diff", data_dir=sys.argv[1], streaming=True, split="train")
rows = rows.cast_column("before", Image(decode=False)).cast_column("after", Image(decode=False))
def peak():
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
peaks, count, size = [], 0, 0
for row in rows:
    count += 1
    size += len(row["before"]["bytes"]) + len(row["after"]["bytes"])
    if count in (1000, 20_000):
        peaks.append(peak())
print(json.dumps([count, size, peaks]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_twenty_thousand_pairs_stream_in_constant_memory(tmp_path):
    """900 MB of images; the peak after 20,000 pairs is that after 1,000, within the noise of the allocator."""
    image = os.urandom(22_000)
    image = png()[:8] + image + png()[-12:]
    records = [{"img_id": str(number), "sentences": ["the car is gone"]} for number in range(20_000)]
    splits = {"train": records, "val": records[:1], "test": records[:1]}
    root = layouts.spot_the_diff(tmp_path / "std", splits, image=image)
    done = subprocess.run([sys.executable, "-c", STREAM, str(root)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, size, (early, late) = json.loads(done.stdout)
    assert count == 20_000 and size == 40_000 * len(image)
    print(f"peak {early} MB after 1,000 pairs, {late} MB after 20,000")
    assert late - early < 100 and late < 700


BUILD = """
import json, sys
import datasets_syned
from datasets import load_dataset
data = load_dataset("syned", "spot_the_diff", data_dir=sys.argv[1], cache_dir=sys.argv[2], split="train")
print(json.dumps([data["category"][0], data.cache_files[0]["filename"]]))
"""


def test_an_edit_of_the_builder_is_seen(std, tmp_path):
    code = tmp_path / "code"
    shutil.copytree(ROOT / "datasets_syned", code / "datasets_syned", ignore=shutil.ignore_patterns("__pycache__"))

    def build():
        command = [sys.executable, "-P", "-c", BUILD, str(std), str(tmp_path / "built")]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(code)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    first = build()
    reader = code / "datasets_syned" / "benchmarks" / "records.py"
    reader.write_text(reader.read_text().replace('kind: str = "change"', 'kind: str = "difference"'))
    second = build()
    assert (first[0], second[0]) == ("change", "difference") and first[1] != second[1]
