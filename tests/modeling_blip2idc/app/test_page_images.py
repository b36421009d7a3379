"""How the page reads the images that people send: its own limits, and messages without paths of the server."""

import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from modeling_blip2idc.app.limits import read_image
from modeling_blip2idc.image_utils_blip2idc import ImageLoadError
from modeling_blip2idc.loading.examples import load_examples


def claim(path, width, height):
    """A PNG whose header says that size, without the pixels."""
    Image.new("1", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = width.to_bytes(4) + height.to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    path.write_bytes(content)


def test_limits(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(20_000_001)
    claim(tmp_path / "wide.png", 10_000, 5_001)
    claim(tmp_path / "bomb.png", 60_000, 60_000)
    Image.new("1", (10_000, 5_000)).save(tmp_path / "most.png")
    assert read_image(tmp_path / "most.png", "before").size == (1024, 512)
    for name, said in {
        "large.png": "^The after image large.png: is larger than 20 MB",
        "wide.png": "^The after image wide.png has 10000 x 5001 = 50.01 megapixels; the limit is 50.$",
        "bomb.png": "^The after image bomb.png: ",
    }.items():
        with pytest.raises(ImageLoadError, match=said) as caught:
            read_image(tmp_path / name, "after")
        assert str(tmp_path) not in str(caught.value)


def test_few_large_images_are_in_memory_at_a_time(tmp_path):
    """Of 2,000 x 2,000 pixels with transparency: 48 MB each while they are decoded."""
    Image.new("RGBA", (2000, 2000), (200, 10, 10, 120)).save(tmp_path / "large.png", compress_level=1)
    if not (status := Path("/proc/self/status")).is_file():
        pytest.skip("only Linux tells how much memory a process has")

    def megabytes():
        return int(status.read_text().split("VmRSS:")[1].split()[0]) / 1000

    before, most = megabytes(), 0
    with ThreadPoolExecutor(8) as pool:
        reading = [pool.submit(read_image, tmp_path / "large.png", "before") for _ in range(8)]
        while not all(future.done() for future in reading):
            most = max(most, megabytes())
            time.sleep(0.002)
    assert [future.result().size for future in reading] == [(1024, 1024)] * 8
    assert most - before < 200  # eight at once: more than 300


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"no image", "is damaged or not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n", "is damaged or not an image"),
        (Path(load_examples()[0]["before"]).read_bytes()[:2000], "damaged or truncated"),
        (None, "^The before image it.png is not there any more: choose it again.$"),
    ],
)
def test_what_is_not_an_image_is_refused_without_its_path(tmp_path, content, said):
    if content is not None:
        (tmp_path / "it.png").write_bytes(content)
    with pytest.raises(ImageLoadError, match=said) as caught:
        read_image(tmp_path / "it.png", "before")
    assert str(caught.value).startswith("The before image it.png") and "/" not in str(caught.value)


@pytest.mark.parametrize("path", [None, ""])
def test_a_missing_image(path):
    with pytest.raises(ImageLoadError, match="^The after image is missing: choose two images.$"):
        read_image(path, "after")


def test_an_image_is_turned_and_opaque(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg", "before").size == (20, 40)
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", "before").getpixel((0, 0)) == (255, 255, 255)
