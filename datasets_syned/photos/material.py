"""The photographs and the named cut-outs from which pairs are composed, and which of them belong to which split."""

import csv
import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..common.images import ImageError, decoding, open_image, read_file, to_rgb

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".jp2", ".ppm")
PHOTOGRAPH_SIDE, CUTOUT_SIDE = 640, 224  # pixels of the longer side that are kept in memory
SMALLEST = 96  # pixels of the shorter side of a photograph
DEBIAN = Path(__file__).parent / "debian.json"  # which files of which packages are photographs and cut-outs
SPLITS = ("train", "validation", "test", "test_views", "test_objects")
SHARES = {"test": 0.20, "validation": 0.08, "test_objects": 0.12}  # about: of the photographs, and of the names
FEWEST, FEWEST_NAMES = 2, 5  # in each split: another background; the most objects of a picture, one more and another


@dataclass(frozen=True)
class Material:
    """
    What pairs are made of.

    Args:
        photographs (`tuple[str, ...]`): image files.
        objects (`tuple[tuple[str, str], ...]`): name and file of each cut-out. Several may have one name.
    """

    photographs: tuple[str, ...]
    objects: tuple[tuple[str, str], ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name of an object, sorted."""
        return tuple(sorted({name for name, _ in self.objects}))

    @cached_property
    def numbers(self) -> dict[str, list[int]]:
        """Numbers of the cut-outs by name, sorted."""
        found = {name: [] for name in self.names}
        for number, (name, _) in enumerate(self.objects):
            found[name].append(number)
        return found

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the files of the photographs."""
        return {path: digest_of(path) for path in self.photographs}

    @cached_property
    def digest(self) -> str:
        """Names the content of all files."""
        cutouts = (name + digest_of(path) for name, path in self.objects)
        return hashlib.sha256(" ".join([*self.digests.values(), *cutouts]).encode()).hexdigest()[:12]

    @cached_property
    def _photographs(self):
        ordered = sorted(self.photographs, key=self.digests.get)
        at = [int(self.digests[path][:16], 16) / 2**64 for path in ordered]
        test = max(FEWEST, sum(x < SHARES["test"] for x in at))
        validation = max(FEWEST, sum(x < SHARES["test"] + SHARES["validation"] for x in at) - test)
        end = test + validation
        return {"test": ordered[:test], "validation": ordered[test:end], "train": ordered[end:]}

    @cached_property
    def _objects(self):
        ordered = sorted(self.names, key=_digest_of_name)
        new = max(
            FEWEST_NAMES, sum(int(_digest_of_name(name)[:16], 16) / 2**64 < SHARES["test_objects"] for name in ordered)
        )
        return {
            new: {name: self.numbers[name] for name in sorted(part)}
            for new, part in ((True, ordered[:new]), (False, ordered[new:]))
        }

    def photographs_of(self, split: str) -> list[str]:
        """
        The photographs of a split; all test splits have the same ones. A photograph's content decides, so that others
        beside it change little, or nothing where there are dozens.

        Raises:
            ValueError: there are too few for splits of two each.
        """
        found = self._photographs["test" if split.startswith("test") else split]
        if len(found) < FEWEST:
            raise ValueError(f"{len(self.photographs)} photographs are too few: three splits need {3 * FEWEST}")
        return found

    def objects_of(self, split: str) -> dict[str, list[int]]:
        """
        Numbers of the cut-outs of a split by name, sorted: of the names that "test_objects" keeps for itself, or of
        all others. The name decides, as the content of a photograph does.

        Raises:
            ValueError: there are too few names.
        """
        found = self._objects[split == "test_objects"]
        if len(found) < FEWEST_NAMES:
            raise ValueError(f"cut-outs of {len(self.names)} names are too few: 'photos' needs {2 * FEWEST_NAMES}")
        return found


@lru_cache(maxsize=100_000)
def digest_of(path: str) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(read_file(path)).hexdigest()


def _digest_of_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@lru_cache(maxsize=512)  # about 400 MB
def open_photograph(path: str) -> Image.Image:
    """
    A photograph in RGB, its longer side at most 640 pixels; the last 512 stay in memory.

    Raises:
        ImageError: names the file that cannot be used.
    """
    image = open_image(read_file(path), path)
    if min(image.size) < SMALLEST:
        raise ImageError(
            path, f"has {image.width} x {image.height} pixels; a photograph needs {SMALLEST} on each side"
        )
    with decoding(path):
        image.draft("RGB", (PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE))
    image = to_rgb(image, path)
    image.thumbnail((PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return image


@cache
def open_cutout(path: str) -> Image.Image:
    """
    A cut-out in RGBA, trimmed to what it shows, its longer side at most 224 pixels; decoded once in a process.

    Raises:
        ImageError: names the file that cannot be used.
    """
    with decoding(path):
        image = open_image(read_file(path), path)
        image = image.convert("RGBA") if image.mode != "RGBA" else image
        image.load()
    alpha = image.getchannel("A").point([0 if a < 16 else a for a in range(256)])
    image.putalpha(alpha)
    box = alpha.getbbox()
    if box is None or alpha.getextrema()[0] == 255:
        raise ImageError(path, "has no transparent part: a cut-out is a PNG with alpha, transparent around the object")
    image = image.crop(box)
    if min(image.size) < 12:
        raise ImageError(
            path, f"shows an object of {image.width} x {image.height} pixels, which nobody would recognise"
        )
    premultiplied = image.convert("RGBa")
    premultiplied.thumbnail((CUTOUT_SIDE, CUTOUT_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return premultiplied.convert("RGBA")


def name_of(path: Path) -> str:
    """
    What a cut-out shows, by the first line of a `.txt` file beside it ("An apple." as Tux Paint's stamps have it), or
    by its file name: `red_apple-2.png` is a "red apple".

    Raises:
        ValueError: neither says a name.
    """
    text = path.with_suffix(".txt")
    said = _text_of(text).partition("\n")[0] if text.is_file() else re.sub(r"[\W_]+|\d+$", " ", path.stem)
    name = unicodedata.normalize("NFC", said).strip(" .!").lower()
    name = re.sub(r"^(an?|the) ", "", re.sub(r"[\s\d]+$", "", name)).strip()
    if not any(letter.isalpha() for letter in name):
        raise ValueError(f"{path}: the file name does not say what the cut-out shows; call it apple.png, for example")
    return name


@cache
def load_material(photographs: str | None = None, objects: str | None = None) -> Material:
    """
    Finds photographs and cut-outs; once in a process.

    Args:
        photographs (`str`, *optional*, defaults to `"/"`): a folder of photographs ([`read_photographs`]), or one in
            which packages of Debian are installed or unpacked: then those of their files that are photographs.
        objects (`str`, *optional*, defaults to `"/"`): a folder of named cut-outs ([`read_objects`]), or one with
            Debian's package `tuxpaint-stamps-default`.

    Raises:
        ValueError: a folder has nothing, or the packages are not installed.
        ImageError: names a file that cannot be used.
    """
    return Material(
        _of_debian("photographs", photographs) or read_photographs(photographs),
        load_objects(objects),
    )


def load_objects(folder: str | None = None) -> tuple[tuple[str, str], ...]:
    """Names and files of cut-outs; see [`load_material`]."""
    return _of_debian("objects", folder) or read_objects(folder)


def _of_debian(what: str, folder: str | None) -> tuple:
    """What a folder has of the photographs, or names and cut-outs, that are known to be in Debian's packages."""
    known, root = json.loads(DEBIAN.read_text(encoding="utf-8"))[what], Path(folder or "/")
    if what == "photographs":
        found = [(path,) for paths in known.values() for path in paths]
    else:
        found = [(name, path) for names in known.values() for name, paths in names.items() for path in paths]
    there = [(*name, str(root / path)) for *name, path in found if (root / path).is_file()]
    if folder is None and not there:
        raise ValueError(
            f"no {what} are installed. On Debian: `apt-get download {' '.join(known)} && for file in *.deb; do "
            f"dpkg-deb -x $file debian; done`, and {what}='debian'; or name a folder of your own"
        )
    return tuple(there if what == "objects" else (path for (path,) in there))


def read_photographs(folder: str | Path) -> tuple[str, ...]:
    """
    The photographs below a folder, sorted, without those that look like one before them.

    Raises:
        ValueError: there are none.
        ImageError: names the file that cannot be used.
    """
    found, looks = [], []
    for path in _images(folder, "photographs"):
        look = _look(open_photograph(str(path)))
        if all(np.count_nonzero(look != other) > 6 for other in looks):
            found.append(str(path))
            looks.append(look)
    return tuple(found)


def read_objects(folder: str | Path) -> tuple[tuple[str, str], ...]:
    """
    The cut-outs below a folder, with their names: of the columns `file_name,name` of a `metadata.csv`, where there is
    one, else see [`name_of`]. Several pictures may have one name.

    Raises:
        ValueError: there are none, or a name is missing.
        ImageError: names the file that cannot be used.
    """
    folder = Path(folder)
    table = folder / "metadata.csv"
    if table.is_file():
        lines = _text_of(table).splitlines(keepends=True)
        rows = [(row.get("name"), row.get("file_name")) for row in csv.DictReader(lines)]
        for number, (name, file_name) in enumerate(rows, start=2):
            if not (name or "").strip() or not (file_name or "").strip():
                raise ValueError(f"{table}, line {number}: a row has the columns file_name and name")
        found = [(unicodedata.normalize("NFC", name).strip().lower(), str(folder / path)) for name, path in rows]
    else:
        found = [(name_of(path), str(path)) for path in _images(folder, "cut-outs")]
    if not found:
        raise ValueError(f"{table} has no cut-outs: a row has the columns file_name and name")
    for _, path in found:
        open_cutout(path)
    return tuple(found)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8; save it anew as that") from error


def _images(folder: str | Path, what: str) -> Sequence[Path]:
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{what}: there is no folder {str(folder)!r}")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"{what}: the folder {str(folder)!r} has no images ({', '.join(SUFFIXES)})")
    return found


def _look(image):
    """A perceptual hash: signs of the differences between neighbours of an 8 x 9 thumbnail."""
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return (np.diff(small, axis=1) > 0).ravel()
