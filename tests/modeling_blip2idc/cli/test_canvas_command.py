"""`blip2idc canvas`: the picture for a server has the pixels that our processor feeds."""

import numpy as np
import pytest
import torch
from peft import get_peft_model
from PIL import Image
from transformers import Blip2Processor, BlipImageProcessorPil

from modeling_blip2idc import Blip2IDCProcessor, load_idc, lora_config
from modeling_blip2idc.__main__ import main
from modeling_blip2idc.cli.canvas_file import write_canvas
from modeling_blip2idc.hub.saving import name_base
from tests.support.tiny_blip2 import tiny_instructblip, tiny_pair


@pytest.fixture
def pair(tmp_path):
    """Of unequal size; a PNG with transparency and a JPEG that is large enough to be decoded at a reduced scale."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (61, 47, 4), dtype=np.uint8)).save(tmp_path / "a.png")
    smooth = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).resize((900, 600))
    smooth.save(tmp_path / "b.jpg", quality=90)
    return str(tmp_path / "a.png"), str(tmp_path / "b.jpg")


def assert_same_pixels(canvas, processor, pair):
    """Of the stock image processor as it is saved with a model, resizing included."""
    stock = BlipImageProcessorPil(**processor.image_processor.to_dict())
    assert stock.do_resize
    theirs = stock(Image.open(canvas), return_tensors="pt")["pixel_values"]
    assert torch.equal(theirs, processor(images=pair)["pixel_values"])


def test_of_the_embedded_model(pair, tmp_path, capsys):
    out = str(tmp_path / "canvas.png")
    assert main(["canvas", *pair, out]) == 0
    assert capsys.readouterr().out == f"{out}: 128x128 pixels, before above after\n"
    assert Image.open(out).size == (128, 128) and Image.open(out).mode == "RGB"
    assert_same_pixels(out, load_idc()[1], pair)


@pytest.mark.parametrize("size", [(224, 224), (56, 28), (99, 101)])
@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
def test_of_a_model(pair, tmp_path, size, axis, capsys):
    model, processor = tiny_pair(height=size[0], width=size[1])
    processor.concat_axis = axis
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    out = tmp_path / "canvas.png"
    assert main(["canvas", *pair, str(out), "--model", str(tmp_path / "model")]) == 0
    layout = "before above after" if axis == "vertical" else "before to the left of after"
    assert capsys.readouterr().out == f"{out}: {size[1]}x{size[0]} pixels, {layout}\n"
    assert_same_pixels(out, processor, pair)
    halves = [np.asarray(half) for half in np.array_split(np.asarray(Image.open(out)), 2, axis=axis == "horizontal")]
    assert halves[0].shape != halves[1].shape or not np.array_equal(*halves)


def test_full_decoding_where_the_model_says_so(pair, tmp_path):
    model, processor = tiny_pair()
    seen = {}
    for draft in (True, False):
        processor.draft = draft
        for part in (model, processor):
            part.save_pretrained(tmp_path / "model")
        write_canvas(*pair, tmp_path / "canvas.png", tmp_path / "model")
        assert_same_pixels(tmp_path / "canvas.png", processor, pair)
        seen[draft] = (tmp_path / "canvas.png").read_bytes()
    assert seen[True] != seen[False]


def test_of_a_stock_model(pair, tmp_path, plain_dir):
    write_canvas(*pair, tmp_path / "canvas.png", plain_dir)
    assert_same_pixels(tmp_path / "canvas.png", Blip2IDCProcessor.from_pretrained(plain_dir), pair)
    stock = Blip2Processor.from_pretrained(plain_dir)
    pixels = stock(images=Image.open(tmp_path / "canvas.png"), text="", return_tensors="pt")["pixel_values"]
    assert torch.equal(pixels, Blip2IDCProcessor.from_pretrained(plain_dir)(images=pair)["pixel_values"])


def test_of_an_adapter(pair, tmp_path):
    """Its own canvas, or that of its base."""
    for part in tiny_pair():
        part.save_pretrained(tmp_path / "base")
    model, _ = load_idc(tmp_path / "base")
    get_peft_model(model, lora_config()).save_pretrained(tmp_path / "adapter")
    name_base(tmp_path / "adapter", tmp_path / "base")
    assert write_canvas(*pair, tmp_path / "canvas.png", tmp_path / "adapter").canvas_size == (56, 28)
    _, own = tiny_pair(height=28, width=56)
    own.concat_axis = "horizontal"
    own.save_pretrained(tmp_path / "adapter")
    assert write_canvas(*pair, tmp_path / "canvas.png", tmp_path / "adapter").canvas_size == (28, 56)
    assert_same_pixels(tmp_path / "canvas.png", load_idc(tmp_path / "adapter")[1], pair)


def test_of_instructblip(pair, tmp_path):
    model, processor = tiny_instructblip()
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    write_canvas(*pair, tmp_path / "canvas.png", tmp_path / "model")
    assert_same_pixels(tmp_path / "canvas.png", processor, pair)


def test_what_cannot_be_used(pair, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no image")
    out = str(tmp_path / "canvas.png")
    for args, message in (
        ([pair[0], "missing.png", out], "after 'missing.png': no such file"),
        ([str(tmp_path / "text.png"), pair[1], out], "before '"),
        ([*pair, str(tmp_path / "canvas.jpg")], "is written as a .png"),
        ([*pair, str(tmp_path / "nowhere" / "canvas.png")], "No such file or directory"),
        ([*pair, out, "--model", str(tmp_path / "nothing")], "No such folder"),
    ):
        assert main(["canvas", *args]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("blip2idc: error: ") and message in captured.err and captured.out == ""
    assert not list(tmp_path.glob("canvas*"))


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    for command in ("demo", "import-adapter FOLDER", "merge MODEL OUT", "canvas BEFORE AFTER OUT.png"):
        assert f"blip2idc {command}" in text
    for command in ("demo", "import-adapter", "merge", "canvas"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0 and f"usage: blip2idc {command}" in capsys.readouterr().out
