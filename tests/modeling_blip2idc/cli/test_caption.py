"""The `blip2idc` command on files and folders."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from modeling_blip2idc.__main__ import main
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


def run(*args) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "modeling_blip2idc", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_two_images_give_a_sentence_and_its_confidence(folder, expected, model):
    done = run(folder / "a_before.png", folder / "a_after.jpg", *model)
    assert done.returncode == 0
    assert done.stdout == f"{expected['a']['generated_text']}\nconfidence {expected['a']['score']:.2f}\n"
    assert done.stderr == ""


def test_two_images_as_json(folder, expected, model, capsys):
    paths = [str(folder / "b_before.png"), str(folder / "b_after.jpg")]
    assert main([*paths, "--json", *model]) == 0
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


def test_options_reach_generate(folder, expected, model, capsys):
    args = [str(folder / "a_before.png"), str(folder / "a_after.jpg"), "--json", *model]
    assert main([*args, "--max_new_tokens", "2", "--num_beams", "2"]) == 0
    assert main([*args, "--prompt", "the small"]) == 0
    short, prompted = json_lines(capsys.readouterr().out)
    assert len(short["generated_text"]) < len(expected["a"]["generated_text"])
    assert prompted["generated_text"] != expected["a"]["generated_text"]


def test_bad_pairs_are_reported_and_the_others_kept(folder, expected, model):
    (folder / "b_before.png").write_text("this is text")
    (folder / "c_after.jpg").write_bytes((folder / "c_after.jpg").read_bytes()[:200])
    (folder / "d_after.jpg").unlink()
    done = run(folder, "--json", "--batch_size", 2, *model)
    assert done.returncode == 1
    lines = json_lines(done.stdout)
    assert [(line["id"], line["generated_text"]) for line in lines] == [
        (name, expected[name]["generated_text"]) for name in ("a", "e")
    ]
    missing, text, truncated, summary = done.stderr.splitlines()
    assert missing == "blip2idc: d: no after image"
    assert text.startswith(f"blip2idc: b: before '{folder / 'b_before.png'}'")
    assert truncated.startswith(f"blip2idc: c: after '{folder / 'c_after.jpg'}'")
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
    ("args", "message"),
    [
        (["{folder}/a_before.png"], "give two images or a folder, not"),
        (["{folder}/nothing"], "no such folder"),
        (["{folder}/a_before.png", "{folder}"], "give two images or two folders"),
        (["{folder}/a_before.png"] * 3, "give two images or a folder"),
        (["{empty}"], "NAME_before.png + folder/NAME_after.png"),
        (["{folder}", "--model", "{empty}"], "No model in"),
        (["{folder}", "--model", "{folder}/a_before.png"], "is a file; name the folder"),
        (["{folder}", "--model", "{model}", "--device", "abacus"], "--device abacus: "),
    ],
)
def test_what_cannot_be_used_ends_with_status_2(args, message, folder, tmp_path, tiny_model_dir, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    args = [arg.format(folder=folder, empty=empty, model=tiny_model_dir) for arg in args]
    assert main(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("blip2idc: error: ") and message in captured.err


@pytest.mark.parametrize("args", [[], ["x", "y", "--batch_size", "0"], ["x", "y", "--num_beams", "two"], ["--colour"]])
def test_wrong_usage_ends_with_status_2(args, capsys):
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 2
    assert "usage: blip2idc" in capsys.readouterr().err


def test_demo_is_a_subcommand_and_its_folder_is_not(folder, expected, model, capsys, monkeypatch):
    shutil.copytree(folder, folder.parent / "demo")
    monkeypatch.chdir(folder.parent)
    assert main(["./demo", "--json", *model]) == 0
    assert [line["id"] for line in json_lines(capsys.readouterr().out)] == NAMES
    with pytest.raises(SystemExit):
        main(["demo", "--json"])
    assert "usage: blip2idc demo" in capsys.readouterr().err


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
        return short, problems

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
