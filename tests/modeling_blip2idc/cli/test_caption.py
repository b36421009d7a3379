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
import torch
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
    return folder


@pytest.fixture
def expected(folder, tiny_model_dir):
    """What the pipeline says, pair by pair."""
    model, processor = load_idc(tiny_model_dir)
    pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu", max_new_tokens=6)
    return {name: pipe(str(folder / f"{name}_before.png"), str(folder / f"{name}_after.jpg"))[0] for name in NAMES}


def run(*args, module="blip2idc_cli", **env) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=300)


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def damage(folder):
    """The pairs b and c have a broken image, d lacks one."""
    (folder / "b_before.png").write_text("this is text")
    (folder / "c_after.jpg").write_bytes((folder / "c_after.jpg").read_bytes()[:200])
    (folder / "d_after.jpg").unlink()


@pytest.mark.parametrize("module", ["blip2idc_cli", "modeling_blip2idc"])
def test_two_images_give_a_sentence_and_its_confidence(folder, expected, model, module):
    done = run(folder / "a_before.png", folder / "a_after.jpg", *model, module=module)
    said = f"{expected['a']['generated_text']}\nconfidence {expected['a']['score']:.2f}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_two_images_as_json(folder, expected, model, capsys):
    paths = [str(folder / "b_before.png"), str(folder / "b_after.jpg")]
    assert main(["caption", *paths, "--json", *model]) == 0
    (line,) = json_lines(capsys.readouterr().out)
    assert line == {"before": paths[0], "after": paths[1], **expected["b"]}


@pytest.mark.parametrize("batch_size", ["1", "2", "32"])
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


def test_a_folder_as_a_table(folder, expected, model, capsys):
    assert main([str(folder), *model]) == 0
    table = capsys.readouterr().out
    assert table == "".join(f"{n}  {expected[n]['score']:.2f}  {expected[n]['generated_text']}\n" for n in NAMES)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".txt"])
def test_output_to_a_file(folder, expected, model, tmp_path, capsys, suffix):
    damage(folder)
    out = tmp_path / f"captions{suffix}"
    assert main([str(folder), "--output", str(out), *model]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 4
    text = out.read_text(encoding="utf-8")
    if suffix == ".txt":
        assert [line.split()[0] for line in text.splitlines()] == ["a", "e"]
        return
    dialect = "excel-tab" if suffix == ".tsv" else "excel"
    rows = json_lines(text) if suffix == ".jsonl" else list(csv.DictReader(io.StringIO(text), dialect=dialect))
    assert [row["id"] for row in rows] == ["d", "a", "b", "c", "e"]
    assert rows[0]["error"] == "no after image" and rows[2]["error"].startswith("before '")
    for row in (rows[1], rows[4]):
        assert row["generated_text"] == expected[row["id"]]["generated_text"] and not row.get("error")


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
    assert main([*args, "--max_new_tokens", "2", "--num_beams", "2"]) == 0
    assert main([*args, "--prompt", "the small"]) == 0
    assert main([str(folder / "one.jsonl"), *args[2:]]) == 0
    short, prompted, by_row = json_lines(capsys.readouterr().out)
    assert len(short["generated_text"]) < len(expected["a"]["generated_text"])
    assert prompted["generated_text"] == by_row["generated_text"] != expected["a"]["generated_text"]


def test_dtype(folder, tiny_model_dir, monkeypatch, model):
    seen = []
    forward = ImageDifferenceCaptioningPipeline._forward

    def watched(self, *args, **kwargs):
        seen.append(self.model.dtype)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(ImageDifferenceCaptioningPipeline, "_forward", watched)
    for option in ([], ["--dtype", "bfloat16"]):
        assert main([str(folder / "a_before.png"), str(folder / "a_after.jpg"), *model, *option]) == 0
    assert seen == [torch.float32, torch.bfloat16]


def test_bad_pairs_are_reported_and_the_others_kept(folder, expected, model):
    damage(folder)
    done = run(folder, "--json", "--batch_size", 2, *model)
    assert done.returncode == 1
    lines = json_lines(done.stdout)
    good = {line["id"]: line["generated_text"] for line in lines if "error" not in line}
    assert good == {name: expected[name]["generated_text"] for name in ("a", "e")}
    missing, text, truncated, summary = done.stderr.splitlines()
    assert missing == "blip2idc: d: no after image"
    assert text.startswith(f"blip2idc: b: before '{folder / 'b_before.png'}'")
    assert truncated.startswith(f"blip2idc: c: after '{folder / 'c_after.jpg'}'")
    assert [f"blip2idc: {line['id']}: {line['error']}" for line in lines if "error" in line] == [
        missing, text, truncated
    ]  # fmt: skip
    assert summary == "blip2idc: 3 of 5 pairs failed"


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


def test_one_bad_image_fails(folder, model, capsys):
    assert main([str(folder / "a_before.png"), "missing.png", *model]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("blip2idc: after 'missing.png': no such file")


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["{folder}/a_before.png"], 2, "a_before.png is one image: give two, or a folder"),
        (["{folder}/nothing"], 2, "nothing: no such file or folder"),
        (["{folder}/a_before.png", "{folder}"], 2, "give two images, one or two folders"),
        (["{folder}/a_before.png"] * 3, 2, "give two images, one or two folders"),
        (["{empty}"], 2, "or NAME_before.png and NAME_after.png"),
        (["{empty}/no.csv"], 2, "no.csv: [Errno 2] No such file"),
        (["{folder}/notes.jsonl"], 2, "notes.jsonl: Expecting value"),
        (["{folder}/notes.csv"], 2, "notes.csv is not a table of pairs: it needs the columns before and after"),
        (["{folder}", "--heatmap", "where.png"], 2, "--heatmap draws one pair"),
        (["{folder}", "--model", "{empty}"], 1, "No model in"),
        (["{folder}", "--model", "{folder}/a_before.png"], 1, "is a file; name the folder"),
        (["{folder}", "--model", "{model}", "--device", "abacus"], 2, "--device abacus: "),
        ([], 2, "Missing command. See `blip2idc --help`."),
        (["dmo"], 2, "dmo: no such file or folder; did you mean `blip2idc demo`?"),
        (["x", "y", "--batch_size", "0"], 2, "Invalid value for '--batch_size'"),
        (["x", "y", "--num_beams", "two"], 2, "Invalid value for '--num_beams'"),
        (["x", "y", "--batch", "2"], 2, "No such option: --batch (Possible options: --batch_size)"),
        (["--colour"], 2, "No such option: --colour See `blip2idc caption --help`."),
        (["demo", "--js"], 2, "No such option: --js See `blip2idc demo --help`."),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_used(args, status, message, as_json, folder, tmp_path, tiny_model_dir, capsys):
    """One line on stderr; with `--json`, stdout is JSON, too."""
    empty = tmp_path / "empty"
    empty.mkdir()
    (folder / "notes.jsonl").write_text("no table")
    (folder / "notes.csv").write_text("no,table\n1,2\n")
    args = [arg.format(folder=folder, empty=empty, model=tiny_model_dir) for arg in args]
    as_json = as_json and len(args) > 1
    assert main([*args, "--json"] if as_json else args) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("blip2idc: error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    said = captured.err.removeprefix("blip2idc: error: ").rstrip("\n")
    assert json_lines(captured.out) == ([{"error": said}] if as_json else [])


def test_a_folder_that_is_called_like_a_command(folder, model, capsys, monkeypatch):
    shutil.copytree(folder, folder.parent / "demo")
    monkeypatch.chdir(folder.parent)
    assert main(["./demo", "--json", *model]) == 0
    assert [line["id"] for line in json_lines(capsys.readouterr().out)] == NAMES


def test_layouts_of_a_folder(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    make("one/before/x.png", "one/after/x.PNG", "one/before/y.jpeg", "one/after/y.webp", "one/before/.hidden.png")
    make("one/z_before.png", "one/z_after.png")  # subfolders win
    make("two/x_before.png", "two/x_after.png", "two/y.z_before.tif", "two/y.z_after.bmp", "two/other.png")
    make("three/x.png", "three/y.png", "three/y.jpg", "four/x.png", "four/y.png", "four/w.png")

    def files(folder, *more):
        pairs, problems = find_pairs(tmp_path / folder, *(tmp_path / name for name in more))
        short = [(p["id"], *(p[s].removeprefix(f"{tmp_path}/") for s in ("before", "after"))) for p in pairs]
        return short, [f"{problem['id']}: {problem['error']}" for problem in problems]

    assert files("one") == (
        [("x", "one/before/x.png", "one/after/x.PNG"), ("y", "one/before/y.jpeg", "one/after/y.webp")],
        [],
    )
    assert files("two") == (
        [("x", "two/x_before.png", "two/x_after.png"), ("y.z", "two/y.z_before.tif", "two/y.z_after.bmp")],
        [],
    )
    assert files("three", "four") == (
        [("x", "three/x.png", "four/x.png")],
        ["w: no before image", "y: several before images (y.jpg and y.png)"],
    )
    assert files("three") == ([], [])
