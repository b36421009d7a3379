"""A process that reads a folder of hostile images, one by one, with limits on memory and time."""

import faulthandler
import json
import os
import resource
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

from PIL import Image

from tests.support.hostile_images import FILES
from tests.support.image_bytes import EXIF, png
from tests.support.pictures import encode, noise
from tests.support.source_tree import ROOT


def damaged() -> Iterator[tuple[str, bytes]]:
    """Ordinary files that were cut, or in which some bits have changed: they may be read, or not."""
    for format in ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP"):
        content = encode(noise(60, 40), format)
        yield f"cut_{format}", content[: len(content) * 2 // 3]
        random = Random(format)
        for number in range(6):
            changed = bytearray(content)
            for _ in range(4):
                changed[random.randrange(min(len(content), 400))] ^= 1 << random.randrange(8)
            yield f"changed_{format}_{number}", bytes(changed)


def write_all(folder: Path) -> None:
    """Each of `FILES` and of `damaged()` as a file that says it is a PNG."""
    for name, content in [*((name, make()) for name, make in FILES.items()), *damaged()]:
        (folder / f"{name}.png").write_bytes(content)


def write_large(folder: Path) -> None:
    """Images that take nearly as much memory as one may."""
    for format, mode, side, options in (
        ("PNG", "RGBA", 10700, {"compress_level": 1}),
        ("JPEG", "RGB", 9600, {"progressive": True, "subsampling": 0}),
        ("JPEG", "RGB", 10700, {"exif": EXIF}),
        ("WEBP", "RGBA", 6600, {"method": 0}),
        ("TIFF", "RGB", 9500, {}),
    ):
        image = Image.linear_gradient("L").resize((side, side)).convert(mode)
        image.save(folder / f"{format}_{mode}_{side}", format, **options)


def write_special(folder: Path) -> None:
    """What is at a path, and is not an ordinary file."""
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.png"))
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "terminal.png").symlink_to("/dev/tty")
    (folder / "circle.png").symlink_to("circle.png")
    for name, start, size in (
        ("sparse", b"", 2**33),
        ("sparse_png", png(8, 8), 2**30),
        ("sparse_ppm", b"P6 8 8 255 ", 2**26),
    ):
        with (folder / f"{name}.png").open("wb") as file:
            file.write(start)
            file.truncate(size)


def report(folder: str, read: Callable[[str], object]) -> None:
    """Read each file of a folder with 1 GiB more than this process has; print what came of each as a line of JSON."""
    status = Path("/proc/self/status")
    kilobytes = {line.split(":")[0]: line.split()[1] for line in status.read_text().splitlines() if "kB" in line}
    limit = int(kilobytes["VmSize"]) * 1024 + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for path in sorted(Path(folder).iterdir()):
        faulthandler.dump_traceback_later(10, exit=True)
        start = time.monotonic()
        try:
            read(str(path))
            outcome = "read"
        except Exception as error:
            outcome = f"{type(error).__name__} from {type(error.__cause__).__name__}: {error}"
        except MemoryError:
            outcome = "MemoryError"
        print(json.dumps([path.stem, outcome, time.monotonic() - start]), flush=True)
        faulthandler.cancel_dump_traceback_later()


def outcomes(how: str, folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """What came of each file of a folder, in a process of its own."""
    command = [sys.executable, "-m", "tests.support.hostile_runs", how, str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]  # a file that takes more than ten seconds ends the process
    return {name: outcome for name, outcome, _ in map(json.loads, done.stdout.splitlines())}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    how, where = sys.argv[1:]
    if how == "load_image":
        from modeling_blip2idc import load_image

        report(where, load_image)
    elif how == "to_rgb":
        from datasets_syned.common.images import load_image, read_file, to_rgb

        report(where, lambda path: to_rgb(load_image(read_file(path), path), path))
    elif how == "collator":
        from datasets_syned import BlurJPEG, IDCCollator

        collator = IDCCollator(lambda **_: {}, augment=BlurJPEG(), folders=[where])
        row = {"id": "it", "captions": ["x"], "after": noise()}
        report(where, lambda path: collator([{**row, "before": {"bytes": None, "path": path}}]))
    elif how == "audit":
        from datasets_syned.audit.pictures import Picture
        from datasets_syned.common.images import ImageError

        def audit(path):
            picture = Picture({"bytes": None, "path": path}, [where])
            if picture.thumbnail() is None:
                raise ImageError(path, picture.problem)

        report(where, audit)
    elif how == "source":
        from datasets_syned.common.images import read_file
        from datasets_syned.synthesis.images import opened

        report(where, lambda path: opened(read_file(path)))
    else:
        from modeling_blip2idc.loading.load import load_idc
        from modeling_blip2idc.pipeline_blip2idc import ImageDifferenceCaptioningPipeline

        model, processor = load_idc()
        pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu")
        report(where, lambda path: "changed_" in path or pipe(noise(), path))
