"""`syned audit`: real annotation files, pairs of one's own, what it refuses, and how much memory it takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

import datasets_syned
from datasets_syned.__main__ import main
from datasets_syned.audit.audit import audit
from datasets_syned.audit.findings import BOILERPLATE, is_quoted
from tests.support import layouts
from tests.support.interruption import needs_proc
from tests.support.layouts import pixels, write

ROOT = Path(__file__).resolve().parents[3]
ANNOTATIONS = ROOT.parent / "shared" / "annotations"


def real(*parts):
    path = ANNOTATIONS.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no annotation file {'/'.join(parts)} beside the project")
    return json.loads(path.read_text(encoding="utf-8"))


def command(tmp_path, *arguments):
    """Runs the command; returns its status and the numbers that it wrote."""
    file = tmp_path / "report.json"
    status = main(["audit", *map(str, arguments), "--cache_dir", str(tmp_path / "cache"), "--json", str(file)])
    return status, json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def test_spot_the_diff_of_the_real_files(tmp_path):
    root = tmp_path / "std"
    for split in ("train", "val", "test"):
        records = real("spot_the_diff", f"{split}.json")
        write(root / f"{split}.json", records)
        for name in {record["img_id"] for record in records}:
            for file in (f"{name}.png", f"{name}_2.png"):
                write(root / file, pixels(file))
    status, report = command(tmp_path, "spot_the_diff", "--data_dir", root, "--strict", "--streaming")
    rows = {split: (part["rows"], part["published"]) for split, part in report["splits"].items()}
    assert rows == {"train": (8529, 8529), "validation": (1489, 1489), "test": (1263, 1263)}
    assert [sum(part["dropped"].values()) for part in report["splits"].values()] == [37, 4, 7]
    assert report["splits"]["test"]["references"]["histogram"]["1"] == 732
    for name in ("count", "leaked_pairs", "leaked_sources", "duplicate_pairs", "no_caption", "boilerplate", "quoted"):
        assert report["findings"][name]["count"] == 0, name
    repeated = report["findings"]["repeated"]["count"]
    assert status == int(repeated > 0) and report["problems"] == status
    status, kept = command(tmp_path, "spot_the_diff", "--data_dir", root, "--keep_empty", "--streaming")
    assert status == 0 and kept["findings"]["no_caption"]["by_split"] == {"train": 37, "validation": 4, "test": 7}
    assert kept["published"] == {} and kept["findings"]["count"]["count"] == 0


def test_image_editing_request_of_the_real_files(tmp_path, capsys):
    root = tmp_path / "ier"
    for split in ("train", "valid", "test"):
        records = real("image_editing_request", f"{split}.json")
        write(root / f"{split}.json", records)
        for name in {record[side] for record in records for side in ("img0", "img1")}:
            write(root / "images" / name, pixels(name))
    status, report = command(tmp_path, "image_editing_request", "--data_dir", root, "--strict")
    assert status == 1
    assert [part["rows"] for part in report["splits"].values()] == [3061, 383, 495]
    valid, train = report["across"]["validation/test"], report["across"]["train/test"]
    assert valid["pairs"]["shared"] == 55 and valid["pairs"]["times"]["validation"] == 58
    assert train["pairs"]["shared"] == 1 and train["pairs"]["times"]["train"] == 1
    assert valid["sources"]["shared"] == 105 and valid["sources"]["times"]["validation"] == 130
    assert report["findings"]["duplicate_pairs"]["by_split"] == {"train": 554, "validation": 26, "test": 49}
    assert "validation/test 55" in capsys.readouterr().out
    _, clean = command(tmp_path, "image_editing_request", "--data_dir", root, "--dedupe", "--leak_free", "true")
    assert clean["splits"]["validation"]["dropped"]["pair is in test"] == 58
    assert clean["findings"]["duplicate_pairs"]["count"] == 0
    assert clean["findings"]["leaked_pairs"]["by_split"].get("validation/test", 0) == 0
    assert clean["published"] == {}


def test_captions_of_syned_of_the_real_file():
    said = [caption for captions in real("syned", "gt_augmented_test_clean.json").values() for caption in captions]
    assert len(said) == 8031 and sum(map(is_quoted, said)) == 3825
    assert sum(bool(BOILERPLATE.search(caption)) for caption in said) == 53
    assert sum(not caption.strip() for caption in said) == 2


def test_the_command_on_pairs_of_ones_own(tmp_path, capsys):
    root = layouts.images(tmp_path / "mine", ["a.png", "b.png", "c.png"])
    lines = ['a.png,b.png,"""a car left""",train', "b.png,c.png,it rains,test", "b.png,gone.png,x,test"]
    write(root / "pairs.csv", "img,after,captions,part\n" + "\n".join(lines) + "\n")
    names = json.dumps({"before": "img", "split": "part"})
    arguments = ("folder", "--data_dir", root, "--columns", names, "--on_error", "skip", "--file", "pairs.csv")
    status, report = command(tmp_path, *arguments)
    assert status == 0 and report["splits"]["test"]["dropped"] == {"image missing": 1}
    out, err = capsys.readouterr()
    assert out.startswith("Audit of folder with on_error='skip', file='pairs.csv', columns={'before': 'img', 'split")
    for part in ("Captions in quotes: 1 caption (train 1)", "1 (image missing)", "1 kind of problems: captions in"):
        assert part in out
    assert "Auditing" in err and "Auditing" not in out
    assert command(tmp_path, *arguments, "--strict")[0] == 1
    assert capsys.readouterr().out == out


def test_the_command_on_a_folder_from_anywhere(tmp_path):
    image = {"bytes": pixels("a"), "path": "a.png"}
    row = {"before": image, "after": image, "category": "add", "changed": True, "provenance": None}
    rows = [{**row, "id": name, "captions": [f"{name} came"]} for name in ("one", "two")]
    data = DatasetDict(
        {split: Dataset.from_list(rows, features=datasets_syned.FEATURES) for split in ("train", "test")}
    )
    for split in data:
        data[split].to_parquet(tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet")
    for arguments in ([], ["--streaming"]):
        status, report = command(tmp_path, "--path", tmp_path / "hub", *arguments)
        assert status == 0 and report == audit(data) and report["problems"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit"], "name a config, one of scenes, "),
        (["audit", "spot_the_dif"], "config 'spot_the_dif' is none of scenes, "),
        (["audit", "spot_the_diff"], "give data_dir="),
        (["audit", "spot_the_diff", "--dedupe"], "config 'spot_the_diff' has no option 'dedupe', but on_error"),
        (["audit", "scenes", "--train", "many"], "--train many must be like 1000"),
        (["audit", "scenes", "--samples", "-1"], "--samples -1 must not be negative"),
        (["audit", "--path", "x/y", "--dedupe"], "--dedupe is an option of a configuration"),
        (["audit", "--path", "missing_folder/"], "missing_folder"),
    ],
)
def test_what_the_command_refuses(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == (1 if message in ("give data_dir=", "missing_folder") else 2)
    assert message in capsys.readouterr().err


def test_scenes_have_no_problem(tmp_path):
    sizes = ("--train", 20, "--validation", 0, "--test", 12, "--width", 48, "--height", 32)
    status, report = command(tmp_path, "scenes", *sizes, "--strict")
    assert status == 0 and report["problems"] == 0
    assert report["splits"]["train"]["rows"] == 20 and report["findings"]["differing"]["count"] > 0


# Over what `datasets` takes with torch, of which a build for GPUs takes much more. Not getrusage: a process inherits
# that peak from the one that started it.
MEASURE = """
import re, sys
import datasets, torch
from datasets_syned.__main__ import main

def memory(name):
    return int(re.search(name + r":\\s*(\\d+) kB", open("/proc/self/status").read())[1]) // 1024

before = memory("VmRSS")
assert main(["audit", "folder", "--data_dir", sys.argv[1], "--cache_dir", sys.argv[2], *sys.argv[3:]]) == 0
print(memory("VmHWM") - before)
"""


def peak(tmp_path, rows, *arguments):
    """MiB more that an audit of so many pairs of 32x24 pixels takes at most, in a process of its own."""
    root = tmp_path / str(rows)
    if not root.exists():
        for name in (f"{side}/{number}" for number in range(rows) for side in ("before", "after")):
            write(root / f"{name}.png", pixels(name, (32, 24)))
        write(root / "captions.json", {str(number): f"object {number} moved" for number in range(rows)})
    command = [sys.executable, "-c", MEASURE, str(root), str(tmp_path / "cache"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"image sizes:               32x24: {2 * rows:,}" in done.stdout
    return int(done.stdout.split()[-1])


@needs_proc
@pytest.mark.parametrize("arguments", [[], ["--streaming"]])
def test_memory_of_few_pairs(tmp_path, arguments):
    assert peak(tmp_path, 200, *arguments, "--html", str(tmp_path / "page.html")) < 60


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--streaming"]])
def test_memory_does_not_grow_with_the_pairs(tmp_path, arguments):
    few, many = (peak(tmp_path, rows, *arguments) for rows in (1000, 10_000))
    print(f"peak with 1,000 pairs {few} MiB, with 10,000 pairs {many} MiB")
    # digests and words; the pairs before they are read; and the file of 50 MB in the cache, which is mapped
    assert many < 200 and many - few < 120
