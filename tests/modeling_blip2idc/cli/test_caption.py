"""The `blip2idc` command on files, folders and tables of pairs."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from blip2idc_cli import main
from modeling_blip2idc.cli.pairs import find_pairs
from modeling_blip2idc.loading.load import load_idc
from modeling_blip2idc.pipeline_blip2idc import ImageDifferenceCaptioningPipeline
from tests.support.source_tree import ROOT

NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def model(tiny_model_dir):
    return ["--model", str(tiny_model_dir), "--device", "cpu", "--max_new_tokens", "6"]


@pytest.fixture
def folder(tmp_path):
    """Pairs as NAME_before.png and NAME_after.jpg."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in NAMES:
        for side, extension in (("before", "png"), ("after", "jpg")):
            array = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(array).save(folder / f"{name}_{side}.{extension}")
    (folder / "notes.txt").write_text("no image")
    (folder / "notes.jsonl").write_text("no table")
    (folder / "notes.csv").write_text("no,table\n1,2\n")
    return folder


@pytest.fixture
def expected(folder, tiny_model_dir):
    """What the pipeline says, pair by pair."""
    model, processor = load_idc(tiny_model_dir)
    pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu", max_new_tokens=6)
    return {name: pipe(str(folder / f"{name}_before.png"), str(folder / f"{name}_after.jpg"))[0] for name in NAMES}


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("module", ["blip2idc_cli", "modeling_blip2idc"])
def test_two_images_give_a_sentence_and_its_confidence(folder, expected, model, module):
    command = [sys.executable, "-m", module, folder / "a_before.png", folder / "a_after.jpg", *model]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    said = f"{expected['a']['generated_text']}\nconfidence {expected['a']['score']:.2f}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


@pytest.mark.parametrize("batch_size", ["2", "32"])
def test_a_folder_gives_what_the_pipeline_gives(folder, expected, model, capsys, batch_size):
    assert main([str(folder), "--json", "--batch_size", batch_size, *model]) == 0
    captured = capsys.readouterr()
    lines = json_lines(captured.out)
    assert [line["id"] for line in lines] == NAMES
    assert captured.err == ""  # no bar where nobody watches
    for line in lines:
        assert line["generated_text"] == expected[line["id"]]["generated_text"]
        assert line["score"] == pytest.approx(expected[line["id"]]["score"], rel=1e-4)
        assert line["changed"] is True
        assert line["before"] == str(folder / f"{line['id']}_before.png")


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.txt", None])
def test_bad_pairs_are_reported_and_the_others_kept(folder, expected, model, tmp_path, capsys, name):
    (folder / "b_before.png").write_text("this is text")
    (folder / "c_after.jpg").write_bytes((folder / "c_after.jpg").read_bytes()[:200])
    (folder / "d_after.jpg").unlink()
    options = ["--output", str(tmp_path / name)] if name else ["--json"]
    assert main([str(folder), "--batch_size", "2", *options, *model]) == 1
    said, errors = capsys.readouterr()
    missing, text, truncated, summary = errors.splitlines()
    assert missing == "blip2idc: d: no after image"
    assert text.startswith(f"blip2idc: b: before '{folder / 'b_before.png'}'")
    assert truncated.startswith(f"blip2idc: c: after '{folder / 'c_after.jpg'}'")
    assert summary == "blip2idc: 3 of 5 pairs failed"
    if name:
        assert said == ""
        said = (tmp_path / name).read_text(encoding="utf-8")
    if name == "out.txt":
        lines = (f"{n}  {expected[n]['score']:.2f}  {expected[n]['generated_text']}\n" for n in ("a", "e"))
        assert said == "".join(lines)
        return
    table = csv.DictReader(io.StringIO(said), dialect="excel-tab" if name == "out.tsv" else "excel")
    rows = json_lines(said) if name in ("out.jsonl", None) else list(table)
    assert [row["id"] for row in rows] == ["d", "a", "b", "c", "e"]
    failed = [f"blip2idc: {row['id']}: {row['error']}" for row in rows if row.get("error")]
    assert failed == [missing, text, truncated]
    for row in (rows[1], rows[4]):
        assert row["generated_text"] == expected[row["id"]]["generated_text"]


TABLES = {
    "pairs.csv": "id,before,after\nx,a_before.png,a_after.jpg\n,{folder}/b_before.png,b_after.jpg\n,c.png,\n",
    "pairs.tsv": "before\tafter\tid\na_before.png\ta_after.jpg\tx\n{folder}/b_before.png\tb_after.jpg\t\nc.png\t\t\n",
    "pairs.jsonl": '{{"before": "a_before.png", "after": "a_after.jpg", "id": "x", "captions": 7}}\n\n'
    '{{"before": "{folder}/b_before.png", "after": "b_after.jpg"}}\n{{"before": "c.png"}}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_pairs(folder, expected, model, capsys, name):
    (folder / name).write_text(TABLES[name].format(folder=folder), encoding="utf-8-sig")
    assert main([str(folder / name), "--json", *model]) == 1
    captured = capsys.readouterr()
    missing, *lines = json_lines(captured.out)
    assert missing == {"id": "3", "error": "no after image"}
    assert captured.err == "blip2idc: 3: no after image\nblip2idc: 1 of 3 pairs failed\n"
    assert [(line["id"], line["generated_text"]) for line in lines] == [
        ("x", expected["a"]["generated_text"]),
        ("2", expected["b"]["generated_text"]),
    ]
    assert lines[1]["before"] == str(folder / "b_before.png")


def test_options_reach_generate(folder, expected, model, capsys):
    args = [str(folder / "a_before.png"), str(folder / "a_after.jpg"), "--json", *model]
    row = {"before": "a_before.png", "after": "a_after.jpg", "prompt": "the small"}
    (folder / "one.jsonl").write_text(json.dumps(row))
    assert main(args) == 0
    assert main([*args, "--max_new_tokens", "2", "--num_beams", "2"]) == 0
    assert main([*args, "--prompt", "the small"]) == 0
    assert main([str(folder / "one.jsonl"), *args[2:]]) == 0
    plain, short, prompted, by_row = json_lines(capsys.readouterr().out)
    assert plain == {"before": args[0], "after": args[1], **expected["a"]}
    assert len(short["generated_text"]) < len(expected["a"]["generated_text"])
    assert prompted["generated_text"] == by_row["generated_text"] != expected["a"]["generated_text"]


def test_results_are_written_as_they_come(folder, model, capsys, monkeypatch):
    """The first batch is on stdout before the last pair is opened."""
    seen = []
    preprocess = ImageDifferenceCaptioningPipeline.preprocess

    def watched(self, row, **kwargs):
        seen.append(len(capsys.readouterr().out.splitlines()))
        return preprocess(self, row, **kwargs)

    monkeypatch.setattr(ImageDifferenceCaptioningPipeline, "preprocess", watched)
    assert main([str(folder), "--batch_size", "1", *model]) == 0
    assert len(seen) == len(NAMES) and sum(seen) >= len(NAMES) - 2


def test_layouts_of_a_folder(tmp_path):
    for name in (
        *("one/before/x.png", "one/after/x.PNG", "one/before/y.jpeg", "one/after/y.webp", "one/before/.hidden.png"),
        *("one/z_before.png", "one/z_after.png"),  # subfolders win
        *("two/x_before.png", "two/x_after.png", "two/y.z_before.tif", "two/y.z_after.bmp", "two/other.png"),
        *("three/x.png", "three/y.png", "three/y.jpg", "four/x.png", "four/y.png", "four/w.png"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(*folders):
        pairs, problems = find_pairs(*(tmp_path / folder for folder in folders))
        short = [[p["id"], *(p[s].removeprefix(f"{tmp_path}/") for s in ("before", "after"))] for p in pairs]
        return short, [f"{problem['id']}: {problem['error']}" for problem in problems]

    one = [["x", "one/before/x.png", "one/after/x.PNG"], ["y", "one/before/y.jpeg", "one/after/y.webp"]]
    two = [["x", "two/x_before.png", "two/x_after.png"], ["y.z", "two/y.z_before.tif", "two/y.z_after.bmp"]]
    problems = ["w: no before image", "y: several before images (y.jpg and y.png)"]
    assert (found("one"), found("two"), found("three")) == ((one, []), (two, []), ([], []))
    assert found("three", "four") == ([["x", "three/x.png", "four/x.png"]], problems)


ODD = {
    b"caf\xe9": r"caf\udce9",
    b"a\x1b[31mb": r"a\x1b[31mb",
    b"line\nor\rtwo": r"line\nor\rtwo",
    b"\xc3\xa9": r"\xe9",
}


def test_names_that_a_terminal_must_not_see(folder, model, tmp_path):
    """Bytes that are not UTF-8, control characters, letters that it does not know: shown, and in JSON and tables."""
    odd = os.fsencode(tmp_path / "odd")
    os.makedirs(odd)
    for name in ODD:
        for side, source in ((b"before", "a_before.png"), (b"after", "a_after.jpg")):
            shutil.copy(folder / source, os.path.join(odd, name + b"_" + side + b".png"))
    os.truncate(os.path.join(odd, b"a\x1b[31mb_after.png"), 100)
    env = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}

    def output(*options):
        command = [sys.executable, "-m", "blip2idc_cli", odd, *model, *options]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=300)
        assert done.returncode == 1 and not {0x1B, 0x0D} & {*done.stdout, *done.stderr}
        complaint, count = done.stderr.decode("ascii").splitlines()
        assert complaint.startswith(r"blip2idc: a\x1b[31mb: after '") and count.endswith("1 of 4 pairs failed")
        return done.stdout.decode("ascii").splitlines()

    assert {line.split("  ")[0].strip() for line in output()} == {*ODD.values()} - {r"a\x1b[31mb"}
    ids = {r"caf\udce9", "a\x1b[31mb", "line\nor\rtwo", "é"}
    assert {json.loads(line)["id"] for line in output("--json")} == ids
    assert output("--output", str(tmp_path / "out.csv")) == []
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as table:
        assert {row["id"] for row in csv.DictReader(table)} == ids
