"""Which image files of a benchmark become rows: whole ones, in any format, that lie in its folder."""

import json
import os

import pytest

from datasets_syned import load
from datasets_syned.benchmarks.base import BenchmarkFilesError
from tests.support import layouts
from tests.support.image_bytes import POSTSCRIPT, png, scans
from tests.support.layouts import raw, write
from tests.support.pictures import encode, noise, photo


@pytest.fixture
def rows(tmp_path):
    """`rows(name, content)`: the pairs of a folder with one good pair, and one whose second image that is."""

    def build(name, content=None, **options):
        root = tmp_path / "mine"
        for good in ("a.png", "b.png", "c.png"):
            write(root / good, encode(noise()))
        if content is not None:
            write(root / name, content)
        lines = [{"before": "a.png", "after": "b.png"}, {"before": "c.png", "after": name}]
        lines = [json.dumps({**line, "id": str(i), "captions": "x"}) for i, line in enumerate(lines)]
        write(root / "pairs.jsonl", "\n".join(lines))
        cache = str(tmp_path / "cache")
        return raw(load("folder", data_dir=str(root), cache_dir=cache, split="train", **options))

    return build


@pytest.mark.parametrize(
    ("end", "content"),
    [
        (".avif", encode(photo(64, 48, 0), "AVIF")),
        (".jp2", encode(photo(64, 48, 0), "JPEG2000")),
        (".ppm", encode(photo(64, 48, 0), "PPM")),
        (".tga", encode(photo(64, 48, 0), "TGA")),
        (".tif", encode(photo(64, 48, 0), "TIFF", big_tiff=True)),
        (".jpg", encode(photo(64, 48, 0), "JPEG") + b"\0\0\0\x18ftypmp42" + bytes(60_000)),
        (".png", encode(photo(64, 48, 0)) + bytes(5000)),
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_what_pillow_opens_is_an_image(rows, end, content, on_error):
    assert [row["after"]["bytes"] for row in rows(f"it{end}", content, on_error=on_error)][1] == content


def flipped():
    content = bytearray(encode(noise(300, 200)))
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("b_flipped.png", flipped()),
        ("cut.tif", encode(photo(160, 120, 0), "TIFF")[:-5000]),
        ("cut.bmp", encode(photo(160, 120, 0), "BMP")[:-5000]),
        ("cut.gif", encode(photo(160, 120, 0), "GIF")[:-3000]),
        ("large.png", png(14_000, 14_000, kind=0, depth=1)),
        ("scans.jpg", scans(2000)),
        ("eps.png", POSTSCRIPT),
    ],
)
def test_skip_leaves_out_what_cannot_be_decoded(rows, name, content):
    assert [row["id"] for row in rows(name, content, on_error="skip")] == ["0"]


@pytest.mark.skipif(os.name != "posix", reason="has no such files")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipe.png", "pipe.png is not a regular file"),
        ("zero.png", "zero.png is not a regular file"),
        ("sparse.png", r"sparse.png has 6442 MB; the limit is 537 MB"),
        ("circle.png", "circle.png cannot be read: Too many levels of symbolic links"),
        ("memory.png", "memory.png (is empty|cannot be read)"),
        ("x" * 300 + ".png", "x.png cannot be read: File name too long"),
        ("gone.png", "gone.png is missing"),
    ],
)
def test_what_is_not_a_file_that_can_be_read(rows, tmp_path, name, message):
    root = tmp_path / "mine"
    root.mkdir()
    os.mkfifo(root / "pipe.png")
    (root / "zero.png").symlink_to("/dev/zero")
    (root / "circle.png").symlink_to("circle.png")
    (root / "memory.png").symlink_to("/proc/self/mem")  # reading it is an I/O error
    with (root / "sparse.png").open("wb") as file:
        file.truncate(6 * 2**30)
    with pytest.raises(ValueError, match=message):
        rows(name)
    assert [row["id"] for row in rows(name, on_error="skip")] == ["0"]


@pytest.mark.parametrize("name", ["\ud800.png", "a\0.png"])
def test_names_that_no_file_can_have(tmp_path, name):
    edits = [{"img0": "a.png", "img1": "b.png", "sents": ["x"], "uid": "u"}]
    root = layouts.image_editing_request(tmp_path / "edits", {split: edits for split in ("train", "valid", "test")})
    (root / "train.json").write_text(json.dumps([{**edits[0], "img1": name}]))
    with pytest.raises(ValueError, match="surrogate|null byte") as caught:
        load("image_editing_request", data_dir=str(root), cache_dir=str(tmp_path / "cache"))
    str(caught.value).encode()  # can be printed


OUTSIDE = ["/private.png", "{parent}/private.png", "../../private.png", "../private.png"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_no_row_reaches_outside_its_folder(tmp_path, name, on_error):
    """In one place for all benchmarks; here those whose records name images."""
    name = name.format(parent=tmp_path)
    write(tmp_path / "private.png", encode(noise()))
    edits = [{"img0": "a.png", "img1": "b.png", "sents": ["x"], "uid": "u"}]
    request = layouts.image_editing_request(tmp_path / "edits", {"train": edits, "valid": edits, "test": edits})
    write(request / "train.json", [{**edits[0], "img1": f"../{name}" if name[0] == "." else name}])
    records = {split: [{"img_id": "1", "sentences": ["x"]}] for split in ("train", "val", "test")}
    spot = layouts.spot_the_diff(tmp_path / "spot", records)
    write(spot / "test.json", [{"img_id": name.removesuffix(".png"), "sentences": ["x"]}])
    clevr = layouts.clevr_dc(tmp_path / "clevr", {"1": ["x"]}, {"train": ["1"]})
    stem = f"../{name}"[:-4] if name[0] == "." else name[:-4]
    write(clevr / "captions_dc.json", {stem: ["x"]})
    write(clevr / "split_dc.json", {"train": [stem]})
    write(tmp_path / "private_2.png", encode(noise()))
    for config, root in (("image_editing_request", request), ("spot_the_diff", spot), ("clevr_dc", clevr)):
        with pytest.raises(BenchmarkFilesError, match=rf"config '{config}', split .* is not in {root}\."):
            load(config, data_dir=str(root), on_error=on_error, cache_dir=str(tmp_path / "cache"))


def test_a_link_inside_the_folder_is_followed(tmp_path):
    edits = [{"img0": "a.png", "img1": "there/b.png", "sents": ["x"], "uid": "u"}]
    root = layouts.image_editing_request(tmp_path / "edits", {split: edits for split in ("train", "valid", "test")})
    (root / "images" / "there").rename(tmp_path / "elsewhere")
    (root / "images" / "there").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(root)
    for folder in (root, tmp_path / "link"):
        assert len(load("image_editing_request", data_dir=str(folder), split="train")) == 1
