"""How the page reads the images that people send: its limits, damaged files, and what is meant to cost much."""

import io
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modeling_blip2idc.app.limits import jpeg_scans, read_image
from modeling_blip2idc.image_utils_blip2idc import ImageLoadError
from modeling_blip2idc.loading.examples import load_examples


def claim(path, width, height):
    """A PNG whose header says that size, without the pixels."""
    Image.new("1", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = width.to_bytes(4) + height.to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    path.write_bytes(content)
    return path


def test_limits_are_checked_before_decoding(tmp_path):
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(20_000_001)
    with pytest.raises(ImageLoadError, match="^The after image large.png has 20.00 MB; the limits are 20 MB and"):
        read_image(large, "after")
    with pytest.raises(ImageLoadError, match="wide.png has 10000 x 5001 = 50.01 megapixels; the limits are 20 MB"):
        read_image(claim(tmp_path / "wide.png", 10_000, 5_001), "before")
    with pytest.raises(ImageLoadError, match="bomb.png has far too many pixels; the limits are"):
        read_image(claim(tmp_path / "bomb.png", 60_000, 60_000), "before")


def test_just_below_the_limit_is_read(tmp_path):
    Image.new("1", (10_000, 5_000)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", "before").size == (1024, 512)


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path):
    """Half a megabyte that a decoder is busy with for minutes."""
    buffer = io.BytesIO()
    Image.new("RGB", (7000, 7000)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    (tmp_path / "many.jpg").write_bytes(content[:-2] + 2000 * last + content[-2:])
    with pytest.raises(ImageLoadError, match="^The after image many.jpg is a JPEG of 2010 scans, and would take min"):
        read_image(tmp_path / "many.jpg", "after")
    # what cameras put before and behind the image does not count
    exif = Image.Exif()
    exif[0x010E] = 50 * "\xff\xda"
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 99).save(
        buffer, "JPEG", progressive=True, exif=exif, quality=95, restart_marker_rows=1
    )
    content = buffer.getvalue() + 50 * b"\xff\xda\0\2"
    assert content.count(b"\xff\xda") > 50 and 5 < jpeg_scans(content) < 12 and jpeg_scans(b"") == 0
    (tmp_path / "camera.jpg").write_bytes(content)
    assert read_image(tmp_path / "camera.jpg", "before").size == (64, 64)
    assert jpeg_scans(content[:-400]) in range(13)


def test_few_large_images_are_in_memory_at_a_time(tmp_path):
    """Of 2,000 x 2,000 pixels with transparency: 64 MB each while they are decoded."""
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
    assert 32 < most - before < 300  # eight at once: 390 and more


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n1234", b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n"]
)
def test_what_is_no_image_is_refused_without_its_path(tmp_path, content):
    (tmp_path / "it.png").write_bytes(content)
    with pytest.raises(ImageLoadError) as caught:
        read_image(tmp_path / "it.png", "before")
    assert str(caught.value) == (
        "The before image it.png is damaged, or not an image: choose a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file."
    )


def test_a_truncated_image_is_refused_without_its_path(tmp_path):
    content = Path(load_examples()[0]["before"]).read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageLoadError, match="^The before image half.png.*damaged or truncated") as caught:
        read_image(tmp_path / "half.png", "before")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("path", [None, ""])
def test_a_missing_image(path):
    with pytest.raises(ImageLoadError, match="^The after image is missing: choose two images.$"):
        read_image(path, "after")


def test_a_deleted_upload(tmp_path):
    with pytest.raises(ImageLoadError, match="^The before image gone.png is not there any more: choose it again.$"):
        read_image(tmp_path / "gone.png", "before")


def test_unusual_images_are_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg", "before").size == (20, 40)
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    assert read_image(tmp_path / "cmyk.jpg", "before").mode == "RGB"
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", "before").getpixel((0, 0)) == (255, 255, 255)
    Image.fromarray(np.full((8, 8), 65535 // 2, np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", "before").getpixel((0, 0)) == (127, 127, 127)
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "moving.gif", "before").getpixel((0, 0)) == (255, 0, 0)
