"""`evaluate_idc.py` with models: the embedded one on scenes, killed and continued, and folders of other runs."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from metrics.report import read_predictions
from tests.support import layouts
from tests.support.evaluation import RECORDS, quiet_place, run
from tests.support.source_tree import ROOT

SCENES = {"test": 12, "width": 48, "height": 32}


def words(out, batch_size=1):
    return ["--options", json.dumps(SCENES), "--batch_size", str(batch_size), "--device", "cpu", "--out", str(out)]


@pytest.fixture(autouse=True, scope="module")
def place(tmp_path_factory):
    yield from quiet_place(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The embedded model on 12 pairs, not interrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, run(*words(out))


def test_the_embedded_model(whole):
    out, report = whole
    assert report["about"] == {
        "model": "modeling_blip2idc/mini", "revision": None, "dtype": "float32", "num_beams": None,
        "max_new_tokens": None, "limit": None, "split": "test", "options": SCENES, "device": "cpu",
        "decoding": {"num_beams": 1, "max_new_tokens": 32, "do_sample": False},
    }  # fmt: skip
    assert (report["count"], report["no_change"]["unchanged"], len(report["by_category"])) == (12, 2, 6)
    assert report["scenes"]["by_category"].keys() == report["by_category"].keys()
    assert (out / "gallery.html").read_text().count("<article") == 12
    assert "## Scenes" in (out / "report.md").read_text(encoding="utf-8")


def test_killed_and_continued(whole, tmp_path):
    out, expected = tmp_path / "out", whole[0]
    path = out / "predictions.jsonl"
    command = [sys.executable, "evaluate_idc.py", *words(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + 120
    while not path.exists() or b"\n" not in path.read_bytes():
        assert process.poll() is None and time.monotonic() < end, process.stdout.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    there = path.read_bytes()
    assert 1 <= there.count(b"\n") < 12 and not (out / "report.json").exists()
    kept = tmp_path / "kept"
    shutil.copytree(out, kept)
    path.write_bytes(there + b'{"id": "test-0000')  # what a full disk would leave

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"{out}/report.json, {out}/report.md, {out}/gallery.html")
    for name in ("predictions.jsonl", "report.json", "report.md", "gallery.html", "settings.json"):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name

    # What is there is kept: no caption is made again.
    first = there.split(b"\n")[0]
    mark = re.sub(rb'"caption": "[^"]*"', b'"caption": "kept"', first)
    (kept / "predictions.jsonl").write_bytes(there.replace(first, mark))
    report = run(*words(kept))
    assert [pair["caption"] for pair in report["pairs"]] == ["kept", *(p["caption"] for p in whole[1]["pairs"][1:])]


def test_only_whole_batches_are_kept(whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    path = out / "predictions.jsonl"
    lines = [re.sub('"caption": "[^"]*"', '"caption": "kept"', line) for line in path.read_text().splitlines(True)]
    path.write_text("".join(lines[:9]))
    assert [pair["caption"] == "kept" for pair in run(*words(out, 5))["pairs"]] == [True] * 5 + [False] * 7
    # All there: scored again with other options, without the model.
    path.write_text("".join(lines))
    report = run(*words(out, 5), "--resamples", 10, "--gallery", 3)
    assert {pair["caption"] for pair in report["pairs"]} == {"kept"} and report["about"]["device"] == "cpu"


def test_a_broken_image_is_named_and_the_run_continues_once_it_is_mended(tiny_model_dir, tmp_path):
    root = layouts.spot_the_diff(tmp_path / "std", dict.fromkeys(("train", "val", "test"), RECORDS))
    data = ("--benchmark", "spot_the_diff", "--data_dir", root, "--model", tiny_model_dir, "--max_new_tokens", 3)
    options = ("--device", "cpu", "--batch_size", 1, "--out", tmp_path / "out")
    whole = (root / "4.png").read_bytes()
    (root / "4.png").write_bytes(whole[:30])
    with pytest.raises(ValueError, match=r"std/4\.png is damaged, or not an image"):
        run(*data, *options)
    assert [row["id"] for row in read_predictions(tmp_path / "out" / "predictions.jsonl")] == ["1", "2"]
    (root / "4.png").write_bytes(whole)
    report = run(*data, *options)
    assert [pair["id"] for pair in report["pairs"]] == ["1", "2", "4"] and report["about"]["model"] == str(
        tiny_model_dir
    )
    assert report["published"] and report["about"]["decoding"]["max_new_tokens"] == 3


@pytest.mark.parametrize(
    ("given", "key", "before", "now"),
    [
        (("--num_beams", 2), "num_beams", None, 2),
        (("--max_new_tokens", 9), "max_new_tokens", None, 9),
        (("--dtype", "bfloat16"), "dtype", None, "bfloat16"),
        (("--limit", 3), "limit", None, 3),
        (("--split", "validation", "--options", '{"validation": 12}'), "split", "test", "validation"),
        (("--options", '{"test": 12, "jitter": 2.0}'), "options", SCENES, {"test": 12, "jitter": 2.0}),
    ],
)
def test_a_folder_of_other_captions_is_refused(whole, given, key, before, now):
    out, _ = whole
    state = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ValueError) as error:
        run(*words(out), *given)
    assert str(error.value) == (
        f"{out}: holds captions of another run, with {key} {before!r} and not {now!r}; name another folder, or remove "
        "this one"
    )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == state


def test_captions_of_other_pairs_are_refused(whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    path = out / "predictions.jsonl"
    path.write_text(path.read_text().replace("test-000002", "test-000020"))
    with pytest.raises(ValueError, match="predictions.jsonl: its ids are not those of the first 12 pairs"):
        run(*words(out))
