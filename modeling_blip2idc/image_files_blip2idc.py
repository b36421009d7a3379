# SPDX-License-Identifier: Apache-2.0
"""The one place where image files are opened: from where, which formats, and one error for all that goes wrong."""

import os
import stat
import threading
import time
import traceback
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead
from io import BytesIO
from typing import Any
from urllib import request

from PIL import ExifTags, Image, UnidentifiedImageError

from .image_limits_blip2idc import (
    BYTES_PER_PIXEL,
    CountedFile,
    LimitError,
    check_before_opening,
    check_exif,
    check_memory,
    check_opened,
    rgb_bytes,
    stored_bytes,
)

MAX_BYTES = 2**29  # of a file, or of the body of an HTTP response
MAX_SECONDS = 10.0  # for a download, from the first connection to the last byte
MAX_REDIRECTS = 5
URL_PREFIXES = ("http://", "https://", "data:image/")
# What Pillow reads by itself. Left out: EPS starts Ghostscript; IPTC opens what it contains as any format; WMF, BUFR,
# GRIB, HDF5 and MPEG have no decoder here. The first six are those that Pillow has always imported.
FORMATS = (
    *("BMP", "DIB", "GIF", "JPEG", "PPM", "PNG", "BLP", "CUR", "PCX", "DCX", "DDS", "FITS", "FLI", "FTEX"),
    *("GBR", "JPEG2000", "ICNS", "ICO", "IM", "IMT", "MCIDAS", "TIFF", "MSP", "PCD", "PIXAR", "PSD", "QOI", "SGI"),
    *("SPIDER", "SUN", "TGA", "WEBP", "XBM", "XPM", "XVTHUMB", "AVIF"),  # AVIF is not in Pillow 11.0
)
PLUGINS = ("HEIF", "JXL")  # of pillow-heif and pillow-jxl-plugin, where the user has registered them


class ImageLoadError(ValueError):
    """An image cannot be used. The message names the image and says what would be right.

    `ImageFileNotFoundError` is also a `FileNotFoundError`, `ImageIsADirectoryError` an `IsADirectoryError`,
    `ImageTypeError` a `TypeError`.
    """


class ImageFileNotFoundError(ImageLoadError, FileNotFoundError):
    """There is no file at the path."""


class ImageIsADirectoryError(ImageLoadError, IsADirectoryError):
    """The path is a folder."""


class ImageTypeError(ImageLoadError, TypeError):
    """The object is not an image, such as `None` or a list."""


def is_image_error(error: Exception) -> bool:
    """Whether an image is to blame: it cannot be opened, or a decoder of Pillow failed, with whatever error."""
    if isinstance(error, ImageLoadError | OSError | Image.DecompressionBombError):
        return True
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    decoding = any(name == "PIL.ImageFile" or name.endswith("ImagePlugin") for name in modules)
    return decoding and not isinstance(error, MemoryError)


def open_image(
    source: Any,
    name: str,
    formats: tuple[str, ...] = FORMATS,
    max_bytes: int = MAX_BYTES,
    timeout: float = MAX_SECONDS,
) -> Image.Image:
    """
    Open an image file that nobody has looked at yet. What passes takes at most `MAX_MEMORY` to decode.

    Args:
        source (`str`, `os.PathLike`, `bytes` or binary file):
            A path, an `http(s)://` URL, a `data:image/...` URI, the file's content, or a file that is open.
        name (`str`): what messages call the image.
        formats (`tuple[str, ...]`, *optional*, defaults to `FORMATS`): Pillow's names of the formats to accept.
        max_bytes (`int`, *optional*, defaults to `MAX_BYTES`): size of the file.
        timeout (`float`, *optional*, defaults to `MAX_SECONDS`): seconds that a download may take in all.

    Returns:
        `PIL.Image.Image`: open, its pixels not decoded yet. Decode it inside `decoding(name)`.

    Raises:
        `ImageLoadError`: no such file, not a regular file, too large, not an image, damaged, or a URL that fails.
    """
    content = _read(source, name, max_bytes, timeout)
    with decoding(name):
        check_before_opening(content)
        file = CountedFile(content)
        try:
            opened = Image.open(file, formats=formats + tuple(one for one in PLUGINS if one in Image.OPEN))
        except UnidentifiedImageError as error:
            head = content[:16]
            what = f"starts with {head!r}, and is damaged or not an image format that is read here"
            what = what if head else "is empty"
            raise ImageLoadError(f"{name}: {what}. Give an image file, such as PNG or JPEG.") from error
        check_opened(opened, file)
    return opened


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Pillow's decoders raise nearly anything on bad input; make it one error that names the image."""
    try:
        yield
    except (ImageLoadError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageLoadError(
            f"{name}: {error} If you trust this image, raise PIL.Image.MAX_IMAGE_PIXELS (now "
            f"{Image.MAX_IMAGE_PIXELS}); otherwise give a smaller one."
        ) from error
    except LimitError as error:
        raise ImageLoadError(f"{name}: {error}.") from error
    except Exception as error:
        raise ImageLoadError(
            f"{name}: cannot be decoded ({error}). The image is damaged or truncated; give an intact copy."
        ) from error


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image, 1 to 8; 1 if it has none, or a damaged one."""
    try:
        text = image.info.get("Raw profile type exif", "")
        exif = image.info.get("exif") or bytes.fromhex("".join(text.split("\n")[3:]))
        check_exif(exif)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1)
    except LimitError:
        raise
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1
    if turned in range(2, 9):  # what is turned is there twice
        needed = max(rgb_bytes(image), BYTES_PER_PIXEL.get(image.format, 0)) + stored_bytes(image.mode)
        check_memory(image.width * image.height * needed)
    return turned


def _read(source: Any, name: str, max_bytes: int, timeout: float) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        _check_size(len(source), max_bytes, name)
        return bytes(source)
    if callable(getattr(source, "read", None)):
        return _drain(source.read, name, max_bytes)
    path = os.fspath(source)
    if isinstance(path, str) and path.lower().startswith(URL_PREFIXES):
        return _download(path, name, max_bytes, timeout)
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        raise ImageIsADirectoryError(f"{name}: is a folder. Give the path of one image file.")
    if not os.path.exists(path):
        raise ImageFileNotFoundError(f"{name}: no such file (working folder {os.getcwd()!r}).")
    if not os.path.isfile(path):  # a device may do something when it is opened
        raise ImageLoadError(f"{name}: is not a regular file. Give the path of an image file.")
    try:
        # another file may be there by now: what is open is looked at, and opening a pipe does not wait
        with open(path, "rb", opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageLoadError(f"{name}: is not a regular file. Give the path of an image file.")
            _check_size(status.st_size, max_bytes, name)
            return _drain(file.read, name, max_bytes)
    except OSError as error:
        raise ImageLoadError(f"{name}: cannot be read ({error.strerror}).") from error


def _check_size(size: int, max_bytes: int, name: str) -> None:
    if size > max_bytes:
        raise ImageLoadError(f"{name}: is larger than {max_bytes / 1e6:.0f} MB, which is the limit for an image file.")


def _drain(read: Callable[[int], bytes], name: str, max_bytes: int, deadline: float = float("inf")) -> bytes:
    content = BytesIO()
    while chunk := read(2**20):
        if not isinstance(chunk, bytes):
            raise ImageTypeError(f"{name}: the file is open in text mode. Open it with mode 'rb'.")
        content.write(chunk)
        _check_size(content.tell(), max_bytes, name)
        if time.monotonic() > deadline:
            raise TimeoutError
    return content.getvalue()


def _download(url: str, name: str, max_bytes: int, timeout: float) -> bytes:
    answer = Future()

    def fetch():
        try:
            answer.set_result(_fetch(url, name, max_bytes, timeout))
        except BaseException as error:
            answer.set_exception(error)

    # urllib limits the time of each step; a server that sends a byte now and then takes any number of steps
    threading.Thread(target=fetch, daemon=True, name="blip2idc download").start()
    try:
        return answer.result(timeout)
    except ImageLoadError:
        raise
    except TimeoutError as error:
        raise ImageLoadError(
            f"{name}: cannot be downloaded (it is not complete after {timeout:g} s). Download it yourself, and give "
            "the path of the file."
        ) from error
    except urllib.error.HTTPError as error:
        reason = f"{error.code} {_printable(error.reason)}"
        raise ImageLoadError(f"{name}: the server answered {reason}. Check the URL.") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = _printable(getattr(error, "reason", None) or error)
        raise ImageLoadError(f"{name}: cannot be downloaded ({reason}). Check the URL.") from error


def _printable(reason: Any) -> str:
    """On one line, and without what a server may say to a terminal."""
    return "".join(letter for letter in " ".join(str(reason).split())[:300] if letter.isprintable())


def _fetch(url: str, name: str, max_bytes: int, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    redirects = request.HTTPRedirectHandler()  # to http and https
    redirects.max_redirections = MAX_REDIRECTS
    opener = request.OpenerDirector()  # unlike urllib's own, it knows nothing of ftp:// and file://
    for handler in (request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.DataHandler):
        opener.add_handler(handler())
    for handler in (request.HTTPDefaultErrorHandler, request.HTTPErrorProcessor, request.UnknownHandler):
        opener.add_handler(handler())
    opener.add_handler(redirects)
    # urllib wants plain ASCII; "%" stays, so that a URL that is already quoted is not quoted twice
    url = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    headers = {"User-Agent": "blip2idc"}  # several hosts refuse urllib's own
    with opener.open(request.Request(url, headers=headers), timeout=timeout) as response:
        _check_size(getattr(response, "length", None) or 0, max_bytes, name)
        content = _drain(response.read1, name, max_bytes, deadline)
        if getattr(response, "length", None):
            raise IncompleteRead(content[:0], response.length)
    return content
