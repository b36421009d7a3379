"""How the page reads what people send, with limits of its own and messages without paths, and how long it keeps it."""

import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from modeling_blip2idc.app.limits import delete_old_files, read_image
from modeling_blip2idc.image_utils_blip2idc import ImageLoadError
from modeling_blip2idc.loading.examples import load_examples


def test_limits(tmp_path):
    Image.new("1", (10_000, 5_000)).save(tmp_path / "most.png")
    assert read_image(tmp_path / "most.png", "before").size == (1024, 512)
    content = bytearray((tmp_path / "most.png").read_bytes())
    content[20:24] = (5_001).to_bytes(4)  # a header that says more, without the pixels
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    (tmp_path / "wide.png").write_bytes(content)
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(20_000_001)
    with pytest.raises(ImageLoadError, match="^The after image large.png: is larger than 20 MB"):
        read_image(tmp_path / "large.png", "after")
    said = "^The after image wide.png has 10000 x 5001 = 50.01 megapixels; the limit is 50.$"
    with pytest.raises(ImageLoadError, match=said):
        read_image(tmp_path / "wide.png", "after")


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="asks Linux how much memory a process has")
def test_few_large_images_are_in_memory_at_a_time(tmp_path):
    """Of 2,000 x 2,000 pixels with transparency: 48 MB each while they are decoded."""
    Image.new("RGBA", (2000, 2000), (200, 10, 10, 120)).save(tmp_path / "large.png", compress_level=1)

    def megabytes():
        return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1000

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


def test_files_go_when_they_are_old(tmp_path):
    def write(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("it")
        return str(path)

    other, known = write("other/hash/other server's.png"), set()
    old = [write(f"folder/hash/{number}.png") for number in range(300)]
    known.update(old)
    old.append(write("folder/broken off"))
    delete_old_files(tmp_path / "folder", 1, [known])
    end = time.monotonic() + 20
    while any(map(os.path.exists, old)) and time.monotonic() < end:
        known.add(write(f"folder/new/{time.monotonic_ns()}.png"))  # as a busy server does
    assert os.path.exists(write("folder/new/last.png")) and known and known.isdisjoint(old)
    while os.listdir(tmp_path / "folder"):  # an hour later, so to speak, its folders, too
        assert time.monotonic() < end
        time.sleep(0.05)
    assert os.path.exists(other)
    (tmp_path / "folder").rmdir()
