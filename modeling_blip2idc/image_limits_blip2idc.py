# SPDX-License-Identifier: Apache-2.0
"""
What reading one image may cost. Each check stands for files that really exist: a few bytes that claim or unfold to
gigabytes, or that keep a decoder busy for minutes.
"""

import re
import struct
from collections.abc import Iterator
from io import BytesIO

from PIL import Image, UnidentifiedImageError

MAX_MEMORY = 2**30  # bytes that reading one image may take, its file included
MAX_SIDE = 500_000  # pixels
MAX_SLOW_PIXELS = 2**21  # of formats that Pillow decodes in Python, at about 3 microseconds a pixel, and of icons
MAX_SCANNED_PIXELS = 2_000_000_000  # pixels times scans of a JPEG: each scan may go over all pixels again
MAX_SEGMENTS = 50_000  # of a JPEG
MAX_TILES = 4096  # of a JPEG 2000
MAX_READS = 6_000  # pieces that a file may have in front of its pixels; the pixels may have 50 times as many
# What decoding takes at its peak, for the formats whose decoders keep copies; measured with Pillow 12.3
BYTES_PER_PIXEL = {"WEBP": 20, "AVIF": 22, "JPEG2000": 28, "HEIF": 24, "JXL": 24}
TAG_BYTES = dict(enumerate((0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8)))  # of a value, by a TIFF tag's type


class LimitError(ValueError):
    """Reading this file would take more memory or time than an image may. The message does not name the file."""


class CountedFile(BytesIO):
    """
    A file in memory that stops whoever reads it far more often, or far more of it, than an image needs: Pillow's
    parsers follow a million empty chunks, or a thousand tags that each hold the whole file.
    """

    def __init__(self, content: bytes):
        super().__init__(content)
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
            raise LimitError("has too many pieces for an ordinary image. Save it anew, as PNG or JPEG")


def check_memory(needed: float) -> None:
    """Refuse what takes more than `MAX_MEMORY` bytes."""
    needed += 2**27  # for what does not depend on the size: threads, libraries, pieces of images
    if needed > MAX_MEMORY:
        raise LimitError(
            f"would take {needed / 2**30:.2f} GiB of memory; the limit is {MAX_MEMORY / 2**30:g} GiB. Give a "
            "smaller image"
        )


def check_exif(file: bytes, start: int = 0) -> None:
    """Refuse an EXIF block (at `start`) whose tags each hold all of it: Pillow copies what each of them holds."""
    while file.startswith(b"Exif\0\0", start):
        start += 6
    order, size = "<" if file.startswith(b"I", start) else ">", len(file) - start
    try:
        first = start + struct.unpack_from(order + "4xL", file, start)[0]
        count = struct.unpack_from(order + "H", file, first)[0]
    except struct.error:  # there is no such place, and nothing to copy
        return
    table = file[first + 2 : first + 2 + 12 * count]
    tags = struct.iter_unpack(order + "HHL4x", table[: len(table) // 12 * 12])
    if sum(min(values * TAG_BYTES.get(kind, 0), size) for _, kind, values in tags) > 2 * size + 2**24:
        raise LimitError("has an EXIF block that holds itself many times. Save it without EXIF")


def check_before_opening(content: bytes) -> None:
    """Check formats of which Pillow reads more than a header when it opens them."""
    if content.startswith(b"\xff\xd8\xff"):
        segments = (segment for marker, segment in _segments(content) if marker == 0xE1)
        check_exif(b"".join(segment[6:] for segment in segments if segment.startswith(b"Exif\0\0")))
    elif content[8:12] == b"WEBP":
        start, bits = {b"VP8L": (21, 14), b"VP8X": (24, 24)}.get(content[12:16], (26, 16))
        sides, most = int.from_bytes(content[start : start + 8], "little"), 2**24 - 1 if bits == 24 else 2**14 - 1
        check_memory(((sides & most) + 1) * ((sides >> bits & most) + 1) * BYTES_PER_PIXEL["WEBP"])
    elif content[4:8] == b"ftyp":  # AVIF
        for number, found in enumerate(re.finditer(rb"II\*\0|MM\0\*", content)):
            check_exif(content, found.start())
            if number > 99:
                raise LimitError("has too many EXIF blocks. Save it without EXIF")
    elif content.startswith(b"\0\0\1\0"):  # ICO: PNGs and BMPs, one of which is decoded
        for place in range(6, 6 + 16 * int.from_bytes(content[4:6], "little"), 16):
            start = int.from_bytes(content[place + 12 : place + 16], "little")
            head = content[start : start + 24].ljust(24, b"\0")
            width, height = struct.unpack(">16x2L" if head.startswith(b"\x89PNG") else "<4x2l12x", head)
            _check_slow(abs(width * height))


def check_opened(opened: Image.Image, file: CountedFile) -> None:
    """Refuse an image that takes too much memory or time to decode, by what its header says."""
    content, format, mode = file.getvalue(), opened.format, opened.mode
    pixels = opened.width * opened.height
    if max(opened.size) > MAX_SIDE:
        raise LimitError(f"is {opened.width}x{opened.height} pixels; the limit for a side is {MAX_SIDE}. Cut it up")
    if opened.tile and opened.tile[0][0] in Image.DECODERS:  # a decoder written in Python
        _check_slow(pixels)
    stored = stored_bytes(mode)
    decoding = BYTES_PER_PIXEL.get(format, stored)
    if format in ("JPEG", "MPO"):
        scans = jpeg_scans(content)
        _check_scans(scans, pixels)
        decoding += 2 * len(opened.getbands()) if scans > 1 else 0
    elif format == "TIFF":
        tags = opened.tag_v2
        pixels = max(pixels, tags.get(322, 0) * tags.get(323, 0))  # a tile may be larger than the image
        if opened.info.get("compression") != "raw":  # the library decodes a strip, which may be the image
            decoding += max(4, sum(tags.get(258, (1,))) / 8)
        if opened.info.get("compression") in ("jpeg", "tiff_jpeg"):
            starts, sizes = (tags.get(tile) or tags.get(strip) or () for tile, strip in ((324, 273), (325, 279)))
            parts = set(zip(starts, sizes, strict=False))
            if sum(size for _, size in parts) > 2 * len(content):
                raise LimitError("has strips that overlap. Save it anew")
            for start, size in parts:
                _check_scans(jpeg_scans(content[start : start + size]), pixels)
    elif format == "JPEG2000":
        for found in re.finditer(b"\xff\x4f\xff\x51", content):
            _check_jpeg2000(content, found.end())
    elif format == "ICNS":
        for start, size in opened.icns.dct.values():
            _check_nested(content[start : start + size], ("PNG", "JPEG2000"))
    elif format == "BLP" and opened.tile[0][3][0] == 0:  # a JPEG in two parts
        start, size, header = (struct.unpack_from("<L", content, at)[0] for at in (28, 92, 156))
        _check_nested(content[160 : 160 + header] + content[start : start + size], ("JPEG",))
    check_memory(len(content) + 2 * file.taken + pixels * max(decoding, rgb_bytes(opened)))
    file.reads = 50 * MAX_READS + 4 * min(pixels, MAX_SLOW_PIXELS)
    file.most = 2 * file.taken + len(content) + 2**24


def stored_bytes(mode: str) -> int:
    """Bytes that Pillow keeps for a pixel."""
    return 1 if mode in ("1", "L", "P") else 2 if mode.startswith("I;16") else 4


def rgb_bytes(image: Image.Image) -> int:
    """Bytes that a pixel takes while an image is converted to RGB; numpy scales 16 bits and floats."""
    if image.mode.startswith("I") or image.mode == "F":
        return 15 if image.mode.startswith("I;16") else 17
    return stored_bytes(image.mode) + 4 * (image.mode != "RGB" or "transparency" in image.info)


def _check_slow(pixels: int) -> None:
    if pixels > MAX_SLOW_PIXELS:
        raise LimitError(
            f"has {pixels / 1e6:.1f} megapixels; the limit for its format, which is read slowly, is "
            f"{MAX_SLOW_PIXELS / 1e6:.1f}. Save it as PNG or JPEG"
        )


def _check_scans(scans: int, pixels: int) -> None:
    if scans * max(pixels, 2**18) > MAX_SCANNED_PIXELS:  # a scan takes time even where there are few pixels
        raise LimitError(f"is a JPEG of {scans} scans, and would take too long to decode. Save it anew")


def _check_jpeg2000(content: bytes, place: int) -> None:
    """
    The decoder keeps books on each tile, precinct and code block, down to one of 2 x 2 pixels. `place` is behind the
    marker of the first segment (ITU-T T.800, annex A).
    """
    length, _, right, bottom, left, top, width, height, _, _, bands = struct.unpack_from(">HH8LH", content, place)
    if length != 38 + 3 * bands:  # pixels that look like a header
        return
    if (right // max(width, 1) + 1) * (bottom // max(height, 1) + 1) > MAX_TILES:
        raise LimitError(f"is a JPEG 2000 of more than {MAX_TILES} tiles. Save it anew")
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
            pieces = 2**10 / 2**smallest + 2**8 / 2 ** (across + down + 4)
            check_memory((right - left) * (bottom - top) * (BYTES_PER_PIXEL["JPEG2000"] + bands * pieces))


def _check_nested(content: bytes, formats: tuple[str, ...]) -> None:
    try:
        with CountedFile(content) as file, Image.open(file, formats=formats) as nested:
            _check_slow(nested.width * nested.height)
            check_opened(nested, file)
    except UnidentifiedImageError:  # an icon in a form of its own
        pass


def jpeg_scans(content: bytes) -> int:
    """
    Number of passes over its pixels that a JPEG consists of. A progressive one has about ten. The standard sets no
    limit, one more takes a few bytes, and each costs the time of the whole image (ITU-T T.81, annexes B and G).
    """
    return sum(marker == 0xDA for marker, _ in _segments(content))


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment of a JPEG, up to the end of its first image."""
    place = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(content, place)
        if found is None or found[0] == b"\xff\xd9":
            return
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
        yield found[0][1], content[found.end() + 2 : place]
    raise LimitError(f"is a JPEG of more than {MAX_SEGMENTS} segments. Save it anew")


_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # of a segment, or the end; none occurs in a scan's data
