"""Pictures that the command writes: a canvas has the pixels that our processor feeds, a heat map shows the change."""

import os

import numpy as np
import pytest
import torch
from peft import get_peft_model
from PIL import Image
from transformers import Blip2Processor, BlipImageProcessorPil

from blip2idc_cli import main
from datasets_syned.scenes import make_pair
from modeling_blip2idc import load_idc, lora_config
from modeling_blip2idc.cli.pictures import GAP, write_canvas
from tests.support.tiny_blip2 import tiny_pair


@pytest.fixture
def pair(tmp_path):
    """Of unequal size; a PNG with transparency and a JPEG that is large enough to be decoded at a reduced scale."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (61, 47, 4), dtype=np.uint8)).save(tmp_path / "a.png")
    smooth = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).resize((900, 600))
    smooth.save(tmp_path / "b.jpg", quality=90)
    return str(tmp_path / "a.png"), str(tmp_path / "b.jpg")


def save(folder, *parts):
    for part in parts:
        part.save_pretrained(folder)
    return str(folder)


def assert_same_pixels(canvas, processor, pair):
    """Of the stock image processor as it is saved with a model, resizing included."""
    stock = BlipImageProcessorPil(**processor.image_processor.to_dict())
    assert stock.do_resize
    theirs = stock(Image.open(canvas), return_tensors="pt")["pixel_values"]
    assert torch.equal(theirs, processor(images=pair)["pixel_values"])


def test_the_canvas_of_the_embedded_model(pair, tmp_path, capsys):
    out = str(tmp_path / "canvas.png")
    assert main(["canvas", *pair, out]) == 0
    assert capsys.readouterr().out == f"{out}: 128x128 pixels, before above after\n"
    assert_same_pixels(out, load_idc()[1], pair)


@pytest.mark.parametrize(
    ("size", "axis", "layout"),
    [
        ((56, 28), "vertical", "before above after"),
        ((99, 101), "vertical", "before above after"),
        ((224, 224), "horizontal", "before to the left of after"),
    ],
)
def test_the_canvas_of_a_model(pair, tmp_path, size, axis, layout, capsys):
    model, processor = tiny_pair(height=size[0], width=size[1])
    processor.concat_axis = axis
    out = str(tmp_path / "canvas.png")
    assert main(["canvas", *pair, out, "--model", save(tmp_path / "model", model, processor)]) == 0
    assert capsys.readouterr().out == f"{out}: {size[1]}x{size[0]} pixels, {layout}\n"
    assert_same_pixels(out, processor, pair)


def test_a_canvas_is_decoded_as_the_model_says(pair, tmp_path):
    model, processor = tiny_pair()
    seen = {}
    for draft in (True, False):
        processor.draft = draft
        write_canvas(*pair, tmp_path / "canvas.png", save(tmp_path / "model", model, processor))
        assert_same_pixels(tmp_path / "canvas.png", processor, pair)
        seen[draft] = (tmp_path / "canvas.png").read_bytes()
    assert seen[True] != seen[False]


def test_the_canvas_of_a_stock_model(pair, tmp_path, plain_dir):
    write_canvas(*pair, tmp_path / "canvas.png", plain_dir)
    stock = Blip2Processor.from_pretrained(plain_dir)
    pixels = stock(images=Image.open(tmp_path / "canvas.png"), text="", return_tensors="pt")["pixel_values"]
    assert torch.equal(pixels, load_idc(plain_dir)[1](images=pair)["pixel_values"])


def test_the_canvas_of_an_adapter(pair, tmp_path):
    """Its own canvas, or that of its base."""
    base = save(tmp_path / "base", *tiny_pair())
    adapter, model = tmp_path / "adapter", load_idc(base)[0]
    save(adapter, get_peft_model(model, lora_config()))
    assert write_canvas(*pair, tmp_path / "canvas.png", adapter)[0].size == (28, 56)
    _, own = tiny_pair(height=28, width=56)
    own.concat_axis = "horizontal"
    save(adapter, own)
    canvas, axis = write_canvas(*pair, tmp_path / "canvas.png", adapter)
    assert (canvas.size, axis) == ((56, 28), "horizontal")
    assert_same_pixels(tmp_path / "canvas.png", load_idc(adapter)[1], pair)


@pytest.mark.parametrize("index", [0, 5])
def test_a_heat_map(tmp_path, capsys, index):
    """The images are changed most where the object is that the caption is about; not at all where nothing changed."""
    pair = make_pair(0, "test", index)
    paths = [str(tmp_path / f"{side}.png") for side in ("before", "after")]
    for side, path in zip(("before", "after"), paths, strict=True):
        Image.fromarray(getattr(pair, side)).save(path)
    assert main([*paths, "--heatmap", str(tmp_path / "where.png")]) == 0
    assert capsys.readouterr().out.count("\n") == 2
    sheet = np.asarray(Image.open(tmp_path / "where.png"), int)
    assert sheet.shape == (96, 2 * 144 + GAP, 3)
    if pair.category == "none":
        assert (sheet[:, :144] == pair.before).all() and (sheet[:, 144 + GAP :] == pair.after).all()
        return
    for k, (side, place) in enumerate(zip(("before", "after"), pair.changed_object, strict=True)):
        drawn = np.abs(sheet[:, k * (144 + GAP) :][:, :144] - getattr(pair, side)).sum(-1)
        mask = getattr(pair, f"{side}_mask") == place + 1
        assert drawn[mask].mean() > 5 * drawn[~mask].mean()


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (["demo", "--out", "out.html"], "out.html"),
        (["demo", "--out", os.devnull, "--picture", "out.png"], "out.png"),
        (["a.png", "b.jpg", "--heatmap", "out.png"], "out.png"),
        (["canvas", "a.png", "b.jpg", "out.png"], "out.png"),
        (["pairs.csv", "--output", "out.jsonl"], "out.jsonl"),
    ],
)
def test_a_full_disk_leaves_no_truncated_file(pair, tmp_path, monkeypatch, capsys, args, name):
    resource = pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text("before,after\na.png,b.jpg\n")
    (tmp_path / name).write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))
    try:
        assert main(args) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capsys.readouterr().err.startswith("blip2idc: error: ")
    assert (tmp_path / name).read_text() == "old"
    assert [path.name for path in tmp_path.glob("*.partial.*")] == ["out.partial.jsonl"] * (name == "out.jsonl")
    assert main(args) == 0 and (tmp_path / name).stat().st_size > 50
