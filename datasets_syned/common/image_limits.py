"""What reading one image may cost: a few bytes can claim gigabytes, or keep a decoder busy for minutes."""

import re
import struct
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

MAX_PIXELS = {"WEBP": 45e6, "AVIF": 40e6, "JPEG2000": 33e6, "HEIF": 40e6, "JXL": 40e6}  # about 1 GB while decoding
MAX_DEEP_PIXELS = 60e6  # of images with more than 8 bits, which take 17 bytes for each pixel
MAX_SLOW_PIXELS = 2e6  # of formats that Pillow decodes in Python, at about 3 microseconds a pixel
MAX_SIDE = 500_000  # pixels
MAX_SCANNED_PIXELS = 2_000_000_000  # pixels times scans of a JPEG: each scan may go over all pixels again
MAX_SEGMENTS = 50_000  # of a JPEG
MAX_TILES = 4096  # of a JPEG 2000
MAX_READS = 6_000  # pieces that a file may have in front of its pixels; the pixels may have 50 times as many
TAG_BYTES = dict(enumerate((0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8)))  # of a value, by a TIFF tag's type
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # of a JPEG's segment, or its end; none is in a scan's data


class LimitError(ValueError):
    """Reading this file would take too much memory or time. The message does not name the file."""


class CountedFile(BytesIO):
    """
    A file in memory that stops whoever reads it far more often, or far more of it, than an image needs: Pillow's
    parsers follow a million empty chunks, or a thousand tags that each hold the whole file.
    """

    def __init__(self, content: bytes | memoryview):
        super().__init__(content)
        self.content = content if isinstance(content, bytes) else self.getvalue()
        self.reads, self.taken, self.most = MAX_READS, 0, 3 * len(content) + 2**24

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        if size is not None and size >= 0:  # the whole file at once is not a copy
            self.taken += len(content)
        self._count()
        return content

    def readline(self, size: int | None = -1, /) -> bytes:
        self._count()
        return super().readline(size)

    def _count(self) -> None:
        self.reads -= 1
        if self.reads < 0 or self.taken > self.most:
            raise LimitError("has too many pieces for an ordinary image; save it anew, as PNG or JPEG")


def check_before_opening(content: bytes) -> None:
    """Checks formats of which Pillow reads more than a header when it opens them."""
    if content.startswith(b"\xff\xd8\xff"):
        segments = (segment for marker, segment in _segments(content) if marker == 0xE1)
        check_exif(b"".join(segment[6:] for segment in segments if segment.startswith(b"Exif\0\0")))
    elif content[8:12] == b"WEBP":
        start, bits = {b"VP8L": (21, 14), b"VP8X": (24, 24)}.get(content[12:16], (26, 16))
        sides, most = int.from_bytes(content[start : start + 8], "little"), 2**24 - 1 if bits == 24 else 2**14 - 1
        _check_pixels((sides & most) * (sides >> bits & most), MAX_PIXELS["WEBP"])
    elif content[4:8] == b"ftyp":  # AVIF
        for number, found in enumerate(re.finditer(rb"II\*\0|MM\0\*", content)):
            check_exif(content[found.start() :])
            if number > 99:
                raise LimitError("has too many EXIF blocks; save it without EXIF")


def check_opened(image: Image.Image, file: CountedFile) -> None:
    """Refuses an image that takes too much memory or time to decode, by what its header says."""
    pixels = image.width * image.height
    if max(image.size) > MAX_SIDE:
        raise LimitError(f"is {image.width}x{image.height} pixels; the limit for a side is {MAX_SIDE}")
    _check_pixels(pixels, MAX_PIXELS.get(image.format, float("inf")))
    if image.mode[0] in "IF":
        _check_pixels(pixels, MAX_DEEP_PIXELS)
    if image.tile and image.tile[0][0] in Image.DECODERS:  # a decoder written in Python
        _check_pixels(pixels, MAX_SLOW_PIXELS)
    if image.format in ("JPEG", "MPO"):
        _check_scans(file.content, pixels)
    elif image.format == "TIFF":
        tags = image.tag_v2
        pixels = max(pixels, tags.get(322, 0) * tags.get(323, 0))  # a tile may be larger than the image
        _check_pixels(pixels, 2 * (Image.MAX_IMAGE_PIXELS or float("inf")))
        if image.info.get("compression") in ("jpeg", "tiff_jpeg"):
            starts, sizes = (tags.get(tile) or tags.get(strip) or () for tile, strip in ((324, 273), (325, 279)))
            parts = set(zip(starts, sizes, strict=False))
            if sum(size for _, size in parts) > 2 * len(file.content):
                raise LimitError("has strips that overlap; save it anew")
            for start, size in parts:
                _check_scans(file.content[start : start + size], pixels)
    elif image.format == "JPEG2000":
        for found in re.finditer(b"\xff\x4f\xff\x51", file.content):
            _check_jpeg2000(file.content, found.end())
    file.reads = 50 * MAX_READS + 4 * int(min(pixels, MAX_SLOW_PIXELS))
    file.most = 2 * file.taken + len(file.content) + 2**24


def check_exif(block: bytes) -> None:
    """Refuses an EXIF block whose tags each hold all of it: Pillow copies what each of them holds."""
    start = 0
    while block.startswith(b"Exif\0\0", start):
        start += 6
    order, size = "<" if block.startswith(b"I", start) else ">", len(block) - start
    try:
        first = start + struct.unpack_from(order + "4xL", block, start)[0]
        count = struct.unpack_from(order + "H", block, first)[0]
    except struct.error:  # there is no such place, and nothing to copy
        return
    table = block[first + 2 : first + 2 + 12 * count]
    tags = struct.iter_unpack(order + "HHL4x", table[: len(table) // 12 * 12])
    if sum(min(values * TAG_BYTES.get(kind, 0), size) for _, kind, values in tags) > 2 * size + 2**24:
        raise LimitError("has an EXIF block that holds itself many times; save it without EXIF")


def _check_pixels(pixels: float, limit: float) -> None:
    if pixels > limit:
        raise LimitError(
            f"has {pixels / 1e6:.1f} megapixels; the limit for its format is {limit / 1e6:.0f}. Make it smaller, or "
            "save it as PNG or JPEG with 8 bits"
        )


def _check_scans(content: bytes, pixels: int) -> None:
    """A progressive JPEG has about ten scans; one more takes a few bytes, and the time of the whole image."""
    scans = sum(marker == 0xDA for marker, _ in _segments(content))
    if scans * max(pixels, 2**18) > MAX_SCANNED_PIXELS:  # a scan takes time even where there are few pixels
        raise LimitError(f"is a JPEG of {scans} scans, which takes too long to decode; save it anew")


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment of a JPEG, up to the end of its first image (ITU-T T.81, annex B)."""
    place = 2
    for _ in range(MAX_SEGMENTS):
        found = MARKER.search(content, place)
        if found is None or found[0] == b"\xff\xd9":
            return
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
        yield found[0][1], content[found.end() + 2 : place]
    raise LimitError(f"is a JPEG of more than {MAX_SEGMENTS} segments; save it anew")


def _check_jpeg2000(content: bytes, place: int) -> None:
    """
    The decoder keeps books on each tile, precinct and code block, down to one of 2 x 2 pixels. `place` is behind the
    marker of the first segment (ITU-T T.800, annex A).
    """
    length, _, right, bottom, left, top, width, height, _, _, bands = struct.unpack_from(">HH8LH", content, place)
    if length != 38 + 3 * bands:  # pixels that look like a header
        return
    if (right // max(width, 1) + 1) * (bottom // max(height, 1) + 1) > MAX_TILES:
        raise LimitError(f"is a JPEG 2000 of more than {MAX_TILES} tiles; save it anew")
    end = next_part = len(content)
    headers = 0
    while place + length + 16 <= end and headers < 16 * MAX_TILES:
        place, headers = place + length, headers + 1
        marker, length = content[place + 1], 2 + int.from_bytes(content[place + 2 : place + 4])
        if marker == 0x90:  # a part of a tile
            next_part = place + int.from_bytes(content[place + 6 : place + 10])
        elif marker == 0x93:  # its pixels
            place, length = next_part, 0
        elif marker in (0x52, 0x53):  # how pixels are coded, in all bands or in one
            start = place + (9 if marker == 0x52 else 6)
            levels, across, down = content[start], content[start + 1] & 15, content[start + 2] & 15
            given = content[place + 4 + (marker == 0x53)] & 1
            precincts = content[start + 5 : start + 6 + levels] if given else b"\xff"
            smallest = min(sides % 16 + sides // 16 for sides in precincts)  # powers of two, like `across` and `down`
            books = bands * (2**10 / 2**smallest + 2**8 / 2 ** (across + down + 4))  # bytes for each pixel
            if (right - left) * (bottom - top) * (28 + books) > 2**30:
                raise LimitError("is a JPEG 2000 of too many pieces; save it anew")
