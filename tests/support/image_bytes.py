"""Image files, written byte by byte: what no image library would write."""

import gzip
import struct
import zlib

from PIL import Image

from tests.support.pictures import encode, noise

FLAT = Image.new("RGB", (64, 64), (10, 60, 200))
EXIF = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"  # to be turned
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n0 0 64 64 rectfill\nshowpage\n%%EOF\n"


def png(width: int, height: int, *before: bytes, kind: int = 2, depth: int = 8, data: bytes = b"", after=()) -> bytes:
    """A PNG with chunks before and behind its pixels, of colour type `kind`; without `data`, of zeros where small."""
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind] * depth
    if not data and width * height < 10**6:
        data = zlib.compress(bytes((width * bits + 7) // 8 + 1) * height)
    header = struct.pack(">LLBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *before, chunk(b"IDAT", data or zlib.compress(bytes(99)))]
    return b"".join([b"\x89PNG\r\n\x1a\n", *chunks, *after, chunk(b"IEND", b"")])


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)


def tiff(tags: dict[int, tuple[int, int, int]], data: bytes = b"", version: int = 42) -> bytes:
    """A TIFF of one folder of tags, `{tag: (type, count, value or offset)}`; `data` starts behind them."""
    entries = b"".join(struct.pack("<HHLL", tag, *value) for tag, value in sorted(tags.items()))
    return struct.pack("<2sHLH", b"II", version, 8, len(tags)) + entries + bytes(4) + data


def tiff_image(width: int, height: int, more: dict | None = None) -> dict[int, tuple[int, int, int]]:
    """Tags of a grey image of one strip, without compression."""
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    return tags | {273: (4, 1, 0), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, width * height)} | (more or {})


def greedy_exif(size: int) -> bytes:
    """An EXIF block each of whose tags holds all of it."""
    count = min(size // 12 - 2, 65535)
    entries = b"".join(struct.pack("<HHLL", tag, 7, size, 0) for tag in range(count))
    return (struct.pack("<2sHLH", b"II", 42, 8, count) + entries).ljust(size, b"\0")


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def scans(count: int, side: int = 1500, mode: str = "RGB") -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    content = encode(Image.new(mode, (side, side)), "JPEG", progressive=True)
    return content[:-2] + count * content[content.rindex(b"\xff\xda") : -2] + content[-2:]


def sequential_scans(count: int, side: int = 64) -> bytes:
    """A baseline JPEG of three bands, the first of which comes again and again in a scan of its own."""
    content = encode(Image.new("L", (side, side)), "JPEG")
    frame, scan = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
    three = struct.pack(">HBHHB", 17, 8, side, side, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    length = int.from_bytes(content[frame + 2 : frame + 4])
    head = content[: frame + 2] + three + content[frame + 2 + length : scan]
    one = content[scan:-2]
    others = b"".join(one[:5] + bytes([band]) + one[6:] for band in (2, 3))
    return head + one * count + others + b"\xff\xd9"


def segments(marker: int, count: int, data: bytes = b"") -> bytes:
    """A JPEG with many segments in front of its image."""
    return b"\xff\xd8" + count * (bytes([255, marker]) + (len(data) + 2).to_bytes(2) + data) + encode(FLAT, "JPEG")[2:]


def behind_a_picture(jpeg: bytes) -> bytes:
    """A JPEG with another in a segment in front of it, as cameras put thumbnails there."""
    small = b"http://small\0" + encode(FLAT, "JPEG")
    return b"\xff\xd8\xff\xe1" + (len(small) + 2).to_bytes(2) + small + jpeg[2:]


def tiff_jpeg(jpeg: bytes, side: int, strips: int = 1) -> bytes:
    """A TIFF of one JPEG; or of many, each of which has all the others in it."""
    tags = tiff_image(side, side) | {259: (3, 1, 7), 278: (4, 1, side // strips)}
    start = len(tiff(tags))
    if strips == 1:
        return tiff(tags | {273: (4, 1, start), 279: (4, 1, len(jpeg))}, jpeg)
    jpeg = jpeg.ljust(200_000, b"\0")
    places = struct.pack(f"<{strips}L", *range(start, start + strips))
    sizes = struct.pack(f"<{strips}L", *[len(jpeg) - strips] * strips)
    tags |= {273: (4, strips, start + len(jpeg)), 279: (4, strips, start + len(jpeg) + 4 * strips)}
    return tiff(tags, jpeg + places + sizes)


def blp(jpeg: bytes, side: int) -> bytes:
    places = struct.pack("<16L", 160, *[0] * 15) + struct.pack("<16L", len(jpeg), *[0] * 15)
    return b"BLP1" + struct.pack("<lLLLll", 0, 0, side, side, 4, 1) + places + bytes(4) + jpeg


def ico(*images: tuple[int, bytes]) -> bytes:
    place, entries = 6 + 16 * len(images), b""
    for side, content in images:
        entries += struct.pack("<BBBBHHLL", side % 256, side % 256, 0, 0, 1, 32, len(content), place)
        place += len(content)
    return struct.pack("<HHH", 0, 1, len(images)) + entries + b"".join(content for _, content in images)


def icns(content: bytes, kind: bytes = b"ic10") -> bytes:
    return b"icns" + (len(content) + 16).to_bytes(4) + kind + (len(content) + 8).to_bytes(4) + content


def gif(width: int, height: int, extensions: bytes = b"", frame: tuple[int, int] | None = None) -> bytes:
    frame = frame or (width, height)
    image = b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x4c\1\0;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(3) + b"\xff" * 3 + extensions + image


def bmp(width: int, height: int, data: bytes = b"", bits: int = 24, compression: int = 0) -> bytes:
    palette = bytes(4 * 256) if bits == 8 else b""
    start = 54 + len(palette)
    head = struct.pack("<2sLHHL", b"BM", start + len(data), 0, 0, start)
    return head + struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0) + palette + data


def fits(width: int, height: int) -> bytes:
    table = {"XTENSION": "'BINTABLE'", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 1, "ZIMAGE": "T"}
    table |= {"ZCMPTYPE": "'GZIP_1  '", "ZBITPIX": 8, "ZNAXIS": 2, "ZNAXIS1": width, "ZNAXIS2": height}

    def unit(**cards):
        text = "".join(f"{key:8}= {value!s:>20}".ljust(80) for key, value in cards.items()) + "END".ljust(80)
        return text.encode().ljust(-(-len(text) // 2880) * 2880)

    return unit(SIMPLE="T", BITPIX=8, NAXIS=0) + unit(**table) + bytes(8) + gzip.compress(bytes(10**6), mtime=0)


def jpeg2000(width: int, height: int, tile: tuple[int, int] | None = None, precincts: bytes = b"", **options) -> bytes:
    """The codestream of a small image whose header claims another size."""
    content = bytearray(encode(noise(16, 16), "JPEG2000", no_jp2=True, **options))
    content[8:16] = struct.pack(">LL", width, height)
    content[24:32] = struct.pack(">LL", *(tile or (width, height)))
    coding = content.index(b"\xff\x52")
    if precincts:
        content[coding + 2 : coding + 5] = (12 + len(precincts)).to_bytes(2) + b"\1"
        content[coding + 14 : coding + 14] = precincts
    return bytes(content)


def webp_exif(size: int) -> bytes:
    content, block = encode(FLAT, "WEBP", exif=EXIF), greedy_exif(size)
    return (
        b"RIFF"
        + (len(content) - 8 + size - len(EXIF)).to_bytes(4, "little")
        + content[8:].replace(len(EXIF).to_bytes(4, "little") + EXIF, size.to_bytes(4, "little") + block)
    )


def avif_exif(size: int) -> bytes:
    block = EXIF.replace(b"\x12\1\3", b"\x31\1\3").ljust(size, b"\0")  # not an orientation, which AVIF has itself
    return encode(FLAT, "AVIF", exif=block).replace(block[6:], greedy_exif(size - 6))


def jpeg_exif(size: int) -> bytes:
    """A JPEG whose EXIF block fills many segments."""
    block = greedy_exif(size)
    parts = b"".join(
        b"\xff\xe1" + (len(part) + 8).to_bytes(2) + b"Exif\0\0" + part
        for part in (block[at : at + 65000] for at in range(0, size, 65000))
    )
    return b"\xff\xd8" + parts + encode(FLAT, "JPEG")[20:]


def bomb(name: bytes, megabytes: int = 1, before: bytes = b"a\0\0") -> bytes:
    packer = zlib.compressobj(9)
    zeros = bytes(2**20)
    return chunk(name, before + b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush())


def raw_exif(size: int) -> bytes:
    text = b"\nexif\n%8d\n" % size + greedy_exif(size).hex().encode()
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text, 9))
