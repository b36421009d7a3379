"""Pictures and fonts of Debian packages, where these are installed or unpacked."""

import io
import struct
import zlib
from functools import cache
from pathlib import Path

from PIL import Image

SKIMAGE = "usr/lib/python3/dist-packages/skimage/data"
SKLEARN = "usr/lib/python3/dist-packages/sklearn/datasets/images"
GCOMPRIS = "usr/share/gcompris-qt/rcc"  # archives of Qt
COLORBOX = "usr/share/doc/libjs-jquery-colorbox/examples/content"
LIBERATION = "usr/share/fonts/truetype/liberation"
PACKAGES = {
    "fonts-liberation": LIBERATION,
    "gcompris-qt-data": GCOMPRIS,
    "libjs-jquery-colorbox": COLORBOX,
    "python3-skimage": SKIMAGE,
    "python3-sklearn": SKLEARN,
    "sddm-theme-maldives": "usr/share/sddm/themes/maldives",
}
FOLDERS = {
    SKIMAGE: "astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg",
    SKLEARN: "china.jpg flower.jpg",
    COLORBOX: "daisy@2x.jpg marylou.jpg",
    PACKAGES["sddm-theme-maldives"]: "background.jpg",
    LIBERATION: "LiberationSans-Bold.ttf LiberationSerif-BoldItalic.ttf LiberationMono-Bold.ttf",
    f"{GCOMPRIS}/categorization.rcc": "hammer8.webp scissors1.webp spray.webp volleyball.webp wrench.webp",
    f"{GCOMPRIS}/details.rcc": "Chenonceau_background.webp EgeskovSlotSpejling_background.webp",
    f"{GCOMPRIS}/erase.rcc": (
        "bee.webp crab.webp flying_fox.webp heron.webp kingfisher.webp kitten.webp penguin.webp red_panda.webp "
        "rhinoceros.webp swans.webp"
    ),
    f"{GCOMPRIS}/explore_farm_animals.rcc": "cat.webp duck.webp sheep.webp",
    f"{GCOMPRIS}/explore_world_animals.rcc": "scarlet_macaw.webp",
    f"{GCOMPRIS}/explore_monuments.rcc": (
        "berlinCathedral.webp brandenburgGate.webp colosseum.webp eiffelTower.webp greatWallofChina.webp "
        "lincolnMemorial.webp redPyramid.webp tajMahal.webp"
    ),
}
FILES = {Path(name).stem: (folder, name) for folder, names in FOLDERS.items() for name in names.split()}


class Pictures:
    """
    Files of the packages by their names without extension.

    Args:
        root (`Path`): the folder in which the packages are installed ("/") or unpacked.

    Raises:
        FileNotFoundError: names the packages that are missing, and how to get them.
    """

    def __init__(self, root: Path):
        self.root = root
        folders = {
            package: [folder for folder in FOLDERS if folder.startswith(begin)] for package, begin in PACKAGES.items()
        }
        missing = [name for name, paths in folders.items() if not all((root / path).exists() for path in paths)]
        if missing:
            raise FileNotFoundError(
                f"{root} has no {', '.join(missing)}. On Debian: `apt-get download {' '.join(missing)} && for file in "
                "*.deb; do dpkg-deb -x $file debian; done`, and --packages debian"
            )

    def content(self, name: str) -> bytes:
        """Bytes of a file."""
        folder, file = FILES[name]
        if folder.endswith(".rcc"):
            return _archive(self.root / folder)[file]
        return (self.root / folder / file).read_bytes()

    def image(self, name: str) -> Image.Image:
        """A picture in RGB, or in RGBA where it has alpha."""
        image = Image.open(io.BytesIO(self.content(name)))
        return image.convert("RGBA" if "A" in image.mode else "RGB")

    def font(self, name: str) -> str:
        """Path of a font."""
        return str(self.root.joinpath(*FILES[name]))


@cache
def _archive(path):
    """Files of a resource archive of Qt (`.rcc`) by their names without folders."""
    content = path.read_bytes()
    magic, version, tree, data, names = struct.unpack_from(">4s4I", content)
    if magic != b"qres":
        raise ValueError(f"{path} is no resource archive of Qt")
    size, files, folders = 14 if version < 2 else 22, {}, [0]
    while folders:
        count, first = struct.unpack_from(">II", content, tree + size * folders.pop() + 6)
        for node in range(first, first + count):
            name_at, flags = struct.unpack_from(">IH", content, tree + size * node)
            if flags & 2:
                folders.append(node)
                continue
            (length,) = struct.unpack_from(">H", content, names + name_at)
            name = content[names + name_at + 6 :][: 2 * length].decode("utf-16-be")
            (at,) = struct.unpack_from(">I", content, tree + size * node + 10)
            (length,) = struct.unpack_from(">I", content, data + at)
            packed = content[data + at + 4 :][:length]
            files[name] = zlib.decompress(packed[4:]) if flags & 1 else packed
    return files
