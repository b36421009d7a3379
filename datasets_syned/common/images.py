"""The one place where this package opens images: which files, which formats, and one error for all that goes wrong."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from .image_limits import CountedFile, LimitError, check_before_opening, check_exif, check_opened

MAX_BYTES = 2**29  # of a file
# What Pillow reads by itself. Not EPS, which starts Ghostscript, nor what contains other files, such as ICO.
FORMATS = (
    *("BMP", "DIB", "GIF", "JPEG", "PPM", "PNG", "DDS", "JPEG2000", "TIFF", "PCX", "PSD", "QOI", "SGI", "SUN", "TGA"),
    *("WEBP", "AVIF"),  # AVIF is last: Pillow 11.0 does not know it, and stops there
)
PLUGINS = ("HEIF", "JXL")  # of pillow-heif and pillow-jxl-plugin, where the user has registered them
MISSING = "is missing"
TAIL = 4096  # bytes in which an ordinary file has its end
UPRIGHT = dict(enumerate((0, 3, 1, 5, 4, 6, 2), 2))  # the `Image.Transpose` that undoes an EXIF orientation
DO_NOT_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
BITS = (8, 10, 12, 14, 16)  # of grey values in a file of 16 bits


class ImageError(ValueError):
    """
    An image cannot be used.

    Args:
        name (`str`): the file, or the row.
        what (`str`): what is wrong with it, as the rest of a sentence: "is empty".
    """

    def __init__(self, name: str, what: str):
        super().__init__(name, what)
        self.name, self.what = name, what

    def __str__(self) -> str:
        return f"{self.name} {self.what}"


def read_file(path: str | Path, name: str | None = None) -> bytes:
    """
    The content of an image file.

    Args:
        path (`str` or `Path`): a file, not a URL.
        name (`str`, *optional*, defaults to the path): what messages call the image.

    Raises:
        ImageError: there is no such file, it cannot be read, it is a pipe or a device, or has more than `MAX_BYTES`.
    """
    name = printable(path) if name is None else name
    try:
        # opening a pipe does not wait; what is open is looked at, for another file may be at the path by then
        with open(path, "rb", opener=lambda path, flags: os.open(path, flags | DO_NOT_WAIT)) as file:
            size = check_status(os.fstat(file.fileno()), name).st_size
            return file.read(size)
    except (OSError, ValueError) as error:
        raise unreadable(error, name) from error


def stat_file(path: Path) -> os.stat_result:
    """The status of an image file, with the errors of [`read_file`]."""
    try:
        return check_status(os.stat(path), path)
    except (OSError, ValueError) as error:
        raise unreadable(error, path) from error


def check_status(status: os.stat_result, name: str | Path) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(printable(name), "is not a regular file")
    if wrong := too_large(status.st_size):
        raise ImageError(printable(name), wrong)
    return status


def unreadable(error: OSError | ValueError, name: str | Path) -> "ImageError":
    """What went wrong with a file, as an error of its image."""
    if isinstance(error, ImageError):
        return error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ImageError(printable(name), MISSING)
    if isinstance(error, OSError):
        return ImageError(printable(name), f"cannot be read: {error.strerror or error}")
    return ImageError(printable(name), f"cannot be the name of a file: {error}")  # a lone surrogate, a zero byte


def too_large(size: int) -> str | None:
    """Why a file of `size` bytes is not read, `None` if it is."""
    return f"has {size / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB" if size > MAX_BYTES else None


def is_inside(path: str | Path, folder: str | Path) -> bool:
    """Whether a path is in a folder, as it is written: a link inside the folder may lead elsewhere."""
    path, folder = os.fspath(path), os.fspath(folder)
    if path.startswith(f"{folder}{os.sep}") and ".." not in path:  # nearly always; the other way takes longer
        return True
    return os.path.abspath(path).startswith(os.path.join(os.path.abspath(folder), ""))


def printable(path: str | Path) -> str:
    """A path as a message can show it, whatever bytes are in it."""
    text = str(path)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def open_image(content: bytes | memoryview, name: str) -> Image.Image:
    """
    Opens an image file that nobody has looked at yet. Its pixels are not decoded: do that inside `decoding(name)`.

    Args:
        content (`bytes`): of the file; see [`read_file`].
        name (`str`): what messages call the image.

    Raises:
        ImageError: it is empty, not in one of `FORMATS`, damaged, or beyond the limits of docs/data.md.
    """
    if not content:
        raise ImageError(name, "is empty")
    with decoding(name):
        if wrong := too_large(len(content)):
            raise LimitError(wrong)
        file = CountedFile(content)
        check_before_opening(file.content)
        try:
            image = Image.open(file, formats=(*(one for one in PLUGINS if one in Image.OPEN), *FORMATS))
        except UnidentifiedImageError as error:
            head = bytes(content[:12])
            if head[4:11] in (b"ftyphei", b"ftyphev"):
                raise ImageError(name, "is HEIC: save it as JPEG, or register pillow-heif in Python first") from error
            raise ImageError(
                name, f"is damaged, or not an image that is read here: it begins with {head[:8]!r}"
            ) from error
        check_opened(image, file)
    return image


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Pillow's decoders raise nearly anything on bad input; makes it one error that names the image."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(name, f"is too large: {error} PIL.Image.MAX_IMAGE_PIXELS sets this limit.") from error
    except LimitError as error:
        raise ImageError(name, str(error)) from error
    except MemoryError as error:
        raise ImageError(name, "takes more memory than there is") from error
    except Exception as error:
        raise ImageError(name, f"is damaged or cut off: {error}") from error


def load_image(content: bytes | memoryview, name: str) -> Image.Image:
    """Opens and decodes an image file, in its own mode. Arguments and errors are those of [`open_image`]."""
    image = open_image(content, name)
    with decoding(name):
        image.load()
    return image


def damage(content: bytes | memoryview, thorough: bool = False) -> str | None:
    """
    What is wrong with an image file.

    Args:
        content (`bytes`): of the file.
        thorough (`bool`, *optional*, defaults to `False`): makes sure that it can be decoded. Otherwise a JPEG, PNG or
            WebP that begins and ends as one is not opened, and others are only opened.

    Returns:
        `str`, or `None` if nothing is wrong.
    """
    if not thorough and _has_its_end(content):
        return None
    try:
        image = open_image(content, "")
        with decoding(""):
            if image.format == "PNG":
                image.verify()  # the checksums of all pieces
            elif image.format in ("JPEG", "MPO"):
                image.draft("L", (1, 1))  # reads all of the file, and computes few pixels
                image.load()
            elif thorough or image.format == "WEBP":
                image.load()
    except ImageError as error:
        return error.what
    return None


def _has_its_end(content: bytes | memoryview) -> bool:
    head = bytes(content[:12])
    if head.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" in bytes(content[-TAIL:])
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" in bytes(content[-TAIL:])
    return head[:4] + head[8:] == b"RIFFWEBP" and int.from_bytes(head[4:8], "little") + 8 <= len(content)


def to_rgb(image: Image.Image, name: str, by_range: bool = False) -> Image.Image:
    """
    An image in RGB with 8 bits, upright, and over white where it is transparent: what a captioner is shown.

    Args:
        image (`PIL.Image.Image`): in any mode. Greys of 16 bits are divided by 257; where the mode does not say what
            white is (I, F), the largest value decides between 1 (F), 255 and 65535.
        name (`str`): what messages call the image.
        by_range (`bool`, *optional*, defaults to `False`): the largest grey value also decides whether 16 bits are
            used or only 8, 10, 12 or 14 of them, as cameras and scanners do. Otherwise such an image is nearly black.

    Raises:
        ImageError: it is empty or damaged, has values that are not finite, or such that do not say what white is.
    """
    with decoding(name):
        if 0 in image.size:
            raise ImageError(name, "has no pixels")
        image.load()  # before the EXIF: PNG may store it behind the pixels, and TIFF turns itself on loading
        if (turn := UPRIGHT.get(_orientation(image))) is not None:
            image = image.transpose(turn)
            image.info = {key: image.info[key] for key in image.info if key == "transparency"}  # not turned again
        if image.mode.startswith("I") or image.mode == "F":
            values = np.asarray(image)  # (H, W)
            grey = _to_uint8(values, name, by_range)
            if (key := image.info.get("transparency")) is not None and image.mode.startswith("I;16"):
                grey = np.where(values == key, np.uint8(255), grey)
            return Image.fromarray(grey).convert("RGB")
        image = image.convert("LA") if image.mode == "La" else image  # the only conversion that it has
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none, or a damaged one."""
    try:
        text = image.info.get("Raw profile type exif", "")
        check_exif(image.info.get("exif") or bytes.fromhex("".join(text.split("\n")[3:])))
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except LimitError:
        raise
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def _to_uint8(values: np.ndarray, name: str, by_range: bool) -> np.ndarray:
    """Grey values of mode I or F in 8 bits."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError(name, "has values that are NaN or infinite")
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        white, slack = (1, 1 / 510) if high <= 1 else (255, 0.5)  # half a grey level: what rounds into the range
        if low < -slack or high > white + slack:
            raise ImageError(name, f"has values from {low:.4g} to {high:.4g}; right are 0 to 1, or 0 to 255")
        return np.rint(values * (255 / white)).clip(0, 255).astype(np.uint8)
    if low < 0 or high > 65535:
        raise ImageError(name, f"has values from {low} to {high}; right are 0 to 255, or 0 to 65535")
    bits = 16 if values.dtype == np.uint16 or high > 255 else 8
    if by_range:
        bits = next(bits for bits in BITS if high < 2**bits)
    white = 2**bits - 1
    return ((values.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)
