"""`blip2idc demo`, its bundled examples and its page."""

import base64
import html
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import pipeline

from datasets_syned.scenes import CATEGORIES
from datasets_syned.scenes.export_examples import export_examples
from modeling_blip2idc.__main__ import main
from modeling_blip2idc.cli.demo_page import render_page
from modeling_blip2idc.hub.contact_sheet import contact_sheet
from modeling_blip2idc.loading.examples import EXAMPLES, caption_examples, load_examples, nearest_reference, table


def answers(captions: dict) -> list:
    """A stand-in for the pipeline: known captions by file name."""

    def pipe(pairs, **kwargs):
        for before, _ in pairs:
            name = next(name for name in captions if name in Path(before).name)
            yield [{"generated_text": captions[name], "score": 0.875, "changed": name != "none"}]

    return pipe


@pytest.fixture
def rows():
    said = {example["category"]: example["captions"][1] for example in load_examples()}
    said["color"] = said["color"].capitalize() + "."  # equal but for case and punctuation
    said["move"] = "<b>nothing</b> & more"
    return list(caption_examples(answers(said), load_examples()))


def test_there_is_one_example_of_each_category():
    examples = load_examples()
    assert [example["category"] for example in examples] == list(CATEGORIES)
    assert [example["changed"] for example in examples] == [category != "none" for category in CATEGORIES]
    for example in examples:
        assert len(example["captions"]) == 5
        sizes = {Image.open(example[side]).size for side in ("before", "after")}
        assert len(sizes) == 1 and min(sizes.pop()) >= 64


def test_the_examples_are_what_the_renderer_makes(tmp_path):
    """Pixels, not bytes: the compression depends on the version of Pillow."""
    *images, references = export_examples(tmp_path, turn=1)
    assert references.read_text() == (EXAMPLES / references.name).read_text()
    assert {path.name for path in EXAMPLES.iterdir()} == {path.name for path in (*images, references)}
    for path in images:
        bundled = np.asarray(Image.open(EXAMPLES / path.name)).astype(int)
        assert np.abs(np.asarray(Image.open(path)) - bundled).max() <= 1


def test_a_caption_equals_a_reference_but_for_case_and_punctuation(rows):
    exact = {row["category"]: row["exact_reference"] for row in rows}
    assert exact.pop("move") is None
    assert exact == {row["category"]: row["captions"][1] for row in rows if row["category"] != "move"}
    assert nearest_reference(rows[0]) == rows[0]["captions"][1]
    near = {"captions": ["a red cube moved", "the blue ball is gone"], "exact_reference": None}
    assert nearest_reference({**near, "generated_text": "the red ball is gone"}) == "the blue ball is gone"


def test_table(rows):
    heading, *lines = table(rows)
    assert len(lines) == 3 * 6
    assert lines[1] == f"color     0.88  {rows[0]['generated_text']}"
    assert lines[2] == f"{'=':>14}  {rows[0]['captions'][1]}"
    assert lines[8].split()[0] != "=" and lines[8].strip() == nearest_reference(rows[2])


def test_the_page_shows_everything_and_needs_nothing(rows):
    text = render_page(rows, "A <title>", "below & it")
    sources = re.findall(r'(?:src|href|srcset|data|poster)="([^"]*)"', text)
    files = [row[side] for row in rows for side in ("before", "after")]
    for source, file in zip(sources, files, strict=True):
        kind, data = source.split(",")
        assert kind == "data:image/png;base64"
        assert np.array_equal(Image.open(io.BytesIO(base64.b64decode(data))), Image.open(file))
    assert not re.search(r"https?://|@import|url\(|<(script|link|iframe)", text)
    assert "prefers-color-scheme: dark" in text
    for row in rows:
        for shown in (row["generated_text"], *row["captions"]):
            assert html.escape(shown) in text
    assert text.count(" equals a reference<") == 5 and text.count("not word for word a reference") == 1
    assert re.findall(r'<li class="said">\s*([^<]*?)\s*<', text) == [
        row["captions"][1] for row in rows if row["category"] != "move"
    ]


def test_the_sheet_shows_each_image_in_its_place(rows):
    sheet = contact_sheet(rows, columns=2, width=144)  # the images' own width: they are not resized
    assert sheet.mode == "RGB" and sheet.size == (2 * (298 + 24) + 24, 3 * (176 + 24) + 24)
    pixels = np.asarray(sheet)
    for i, row in enumerate(rows):
        x, y = 24 + i % 2 * 322, 24 + i // 2 * 200
        for k, side in enumerate(("before", "after")):
            left = x + k * 154
            assert np.array_equal(pixels[y : y + 96, left : left + 144], np.asarray(Image.open(row[side])))
        assert (pixels[y + 96 : y + 176, x : x + 298] < 100).any()  # text


def test_the_command_prints_a_table_and_writes_page_and_picture(tmp_path, tiny_model_dir, capsys):
    out, picture = tmp_path / "page.html", tmp_path / "sheet.png"
    options = ["--picture", str(picture), "--model", str(tiny_model_dir), "--device", "cpu"]
    assert main(["demo", "--out", str(out), *options]) == 0
    assert Image.open(picture).format == "PNG"
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines() if line[:1].isalpha()][1:] == list(CATEGORIES)
    assert f"the pairs are shown in {out}" in printed
    assert out.read_text(encoding="utf-8").count("<article") == 6


def test_the_embedded_model_says_what_changed_in_the_examples():
    rows = list(caption_examples(pipeline("image-difference-captioning", device="cpu"), load_examples()))
    assert [row["changed"] for row in rows] == [row["truly_changed"] for row in rows]
    assert sum(row["exact_reference"] is not None for row in rows) >= 4
