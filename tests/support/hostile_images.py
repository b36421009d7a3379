"""Files that look like images, and would cost a reader far more than an image: small on disk, and made by code."""

import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.support.image_bytes import (
    FLAT,
    POSTSCRIPT,
    avif_exif,
    behind_a_picture,
    blp,
    bmp,
    bomb,
    chunk,
    fits,
    gif,
    greedy_exif,
    icns,
    ico,
    jpeg2000,
    jpeg_exif,
    png,
    raw_exif,
    riff,
    scans,
    segments,
    sequential_scans,
    tiff,
    tiff_image,
    tiff_jpeg,
    webp_exif,
)
from tests.support.pictures import encode

FILES: dict[str, Callable[[], bytes]] = {
    # programs that other formats start, and formats that are none
    "postscript": lambda: POSTSCRIPT,
    "postscript_dos": lambda: (
        b"\xc5\xd0\xd3\xc6" + struct.pack("<LLLLLLH", 32, len(POSTSCRIPT), 0, 0, 0, 0, 65535) + bytes(2) + POSTSCRIPT
    ),
    "postscript_in_iptc": lambda: (
        b"".join(
            b"\x1c" + bytes(tag) + len(value).to_bytes(2) + value
            for tag, value in (((3, 60), b"\1\0"), ((3, 20), b"\0\x40"), ((3, 30), b"\0\x40"), ((3, 120), b"\5"))
        )
        + b"\x1c\x08\x0a"
        + len(POSTSCRIPT).to_bytes(2)
        + POSTSCRIPT
    ),
    "pdf": lambda: b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF\n",
    "wmf": lambda: b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhHL", 0, 0, 99, 99, 96, 0) + bytes(20) + b"\1\0\t\0",
    "emf": lambda: struct.pack("<LL8l", 1, 88, 0, 0, 99, 99, 0, 0, 99, 99) + b" EMF" + bytes(60),
    "bufr": lambda: b"BUFR" + bytes(60),
    "grib": lambda: b"GRIB\0\0\0\1" + bytes(60),
    "hdf5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(60),
    "mpeg": lambda: b"\0\0\1\xb3\x01\x00\x10" + bytes(60),
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
    "html": lambda: b"<!doctype html><title>404</title>",
    "empty": lambda: b"",
    "zeros": lambda: bytes(1000),
    # JPEG: scans, segments
    "jpeg_2000_scans": lambda: scans(2000),
    "jpeg_20000_scans": lambda: scans(20000),
    "jpeg_scans_small": lambda: scans(60_000, 8),
    "jpeg_sequential_scans": lambda: sequential_scans(20_000),
    "jpeg_scans_in_tiff": lambda: tiff_jpeg(scans(3000, mode="L"), 1500),
    "jpeg_scans_in_blp": lambda: blp(scans(20000, 1400), 1400),
    "jpegs_in_tiff": lambda: tiff_jpeg(scans(1, mode="L"), 1500, strips=500),
    "jpeg_large_in_blp": lambda: blp(encode(Image.new("L", (9000, 9000)), "JPEG"), 64),
    "jpeg_scans_behind_a_picture": lambda: behind_a_picture(scans(3000)),
    "jpeg_segments": lambda: segments(0xE5, 100_000),
    "jpeg_comments": lambda: segments(0xFE, 20_000, bytes(50)),
    "jpeg_junk": lambda: b"\xff\xd8\xff\xe0\0\2" + bytes(3_000_000) + encode(FLAT, "JPEG")[2:],
    "jpeg_exif": lambda: jpeg_exif(1_000_000),
    "jpeg_without_end": lambda: encode(FLAT, "JPEG")[:300],
    # WebP
    "webp_34_bytes": lambda: riff((b"VP8L", b"\x2f" + (13299 | 13299 << 14).to_bytes(4, "little") + bytes(9))),
    "webp_canvas": lambda: riff(
        (b"VP8X", bytes(4) + (16383).to_bytes(3, "little") * 2), *[(b"VP8L", b"\x2f" + bytes(12))]
    ),
    "webp_lossy": lambda: riff((b"VP8 ", b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(20))),
    "webp_exif": lambda: webp_exif(900_000),
    # PNG
    "png_60000": lambda: png(60000, 60000),
    "png_rgba_13000": lambda: png(13000, 13000, kind=6),
    "png_16_bit_9000": lambda: png(9000, 9000, kind=0, depth=16),
    "png_grey_alpha_13000": lambda: png(13000, 13000, kind=4),
    "png_long": lambda: png(2**30, 1, kind=0, depth=1),
    "png_side": lambda: png(600_000, 100, kind=0),
    "png_zero": lambda: png(0, 0),
    "png_text_flood": lambda: png(8, 8, *[bomb(b"zTXt")] * 200),
    "png_text_bomb": lambda: png(8, 8, bomb(b"zTXt", 20)),
    "png_itxt_bomb": lambda: png(8, 8, bomb(b"iTXt", 20, b"a\0\1\0\0\0")),
    "png_icc_bomb": lambda: png(8, 8, bomb(b"iCCP", 20)),
    "png_text_flood_behind": lambda: png(8, 8, after=[bomb(b"zTXt")] * 200),
    "png_chunks": lambda: png(8, 8, chunk(b"abCd", b"") * 300_000),
    "png_empty_idats": lambda: png(64, 64, chunk(b"IDAT", b"") * 600_000),
    "png_chunks_behind": lambda: png(8, 8, after=[chunk(b"abCd", b"") * 200_000]),
    "png_exif": lambda: png(8, 8, chunk(b"eXIf", greedy_exif(900_000))),
    "png_exif_behind": lambda: png(8, 8, after=[chunk(b"eXIf", greedy_exif(900_000))]),
    "png_exif_as_text": lambda: png(8, 8, raw_exif(400_000)),
    "png_animation": lambda: png(
        8,
        8,
        chunk(b"acTL", struct.pack(">LL", 2**31 - 1, 0)),
        chunk(b"fcTL", struct.pack(">LLLLLHHBB", 0, 60000, 60000, 0, 0, 1, 1, 0, 0)),
    ),
    # TIFF
    "tiff_greedy_tags": lambda: tiff(
        tiff_image(8, 8, {tag: (7, 500_000, 8) for tag in range(40000, 44000)}), bytes(600_000)
    ),
    "tiff_exif_folder": lambda: tiff(
        tiff_image(8, 8, {34665: (4, 1, 200), 34853: (4, 1, 200)}), bytes(54) + greedy_exif(900_000)[8:]
    ),
    "tiff_large_tile": lambda: tiff(
        {
            256: (4, 1, 16),
            257: (4, 1, 16),
            258: (3, 1, 8),
            259: (3, 1, 5),
            262: (3, 1, 1),
            277: (3, 1, 1),
            322: (4, 1, 40000),
            323: (4, 1, 40000),
            324: (4, 1, 8),
            325: (4, 1, 50),
        },
        bytes(99),
    ),
    "tiff_60000": lambda: tiff(tiff_image(60000, 60000)),
    "tiff_float_11000": lambda: tiff(tiff_image(11000, 11000, {258: (3, 1, 32), 339: (3, 1, 3)})),
    "tiff_endless_folders": lambda: struct.pack("<2sHL", b"II", 42, 8) + struct.pack("<HHHLLL", 1, 256, 4, 1, 1, 8),
    "tiff_many_values": lambda: tiff(tiff_image(8, 8, {258: (3, 2**31, 8)})),
    "tiff_lzma": lambda: tiff(
        tiff_image(8, 8, {259: (3, 1, 34925), 273: (4, 1, 122), 279: (4, 1, 40)}),
        b"\xfd7zXZ\0\0\4\xe6\xd6\xb4F\2\0\x21\1\x28\0\0\0" + bytes(40),
    ),
    "tiff_without_size": lambda: tiff({258: (3, 1, 8)}),
    # GIF
    "gif_65535": lambda: gif(65535, 65535),
    "gif_large_frame": lambda: gif(8, 8, frame=(60000, 60000)),
    "gif_comment": lambda: gif(8, 8, b"!\xfe" + b"\1a" * 2_000_000 + b"\0"),
    "gif_long_comment": lambda: gif(8, 8, b"!\xfe" + (b"\xff" + bytes(255)) * 100_000 + b"\0"),
    "gif_extensions": lambda: gif(8, 8, b"!\x01\1a\0" * 500_000),
    # icons
    "ico_large_png": lambda: ico((0, png(13000, 13000, kind=0, data=zlib.compress(bytes(13001) * 500)))),
    "ico_large_bmp": lambda: ico((0, bmp(10000, 20000)[14:])),
    "ico_entries": lambda: struct.pack("<HHH", 0, 1, 65535) + bytes(16 * 65535),
    "icns_large_png": lambda: icns(png(13000, 13000, kind=6)),
    "icns_large_jpeg2000": lambda: icns(jpeg2000(13000, 13000)),
    "cur_large": lambda: (
        b"\0\0\2\0\1\0" + struct.pack("<BBBBHHLL", 0, 0, 0, 0, 0, 0, 40, 22) + bmp(13000, 26000, bits=8)[14:]
    ),
    # formats that Pillow decodes in Python
    "bmp_rle": lambda: bmp(4000, 4000, b"\0\2\0\0" * 4_000_000, 8, 1),
    "bmp_rle_small": lambda: bmp(100, 100, b"\0\2\0\0" * 3_000_000, 8, 1),
    "qoi_large": lambda: b"qoif" + struct.pack(">LLBB", 10000, 10000, 4, 0) + b"\xfd" * 200_000,
    "xpm_large": lambda: b'/* XPM */\n"9000 9000 2 1",\n"a c #000000",\n"b c #ffffff",\n"' + b"ab" * 4500 + b'"\n',
    "xpm_palette": lambda: (
        b'/* XPM */\n"8 8 900000 4",\n' + b"".join(b'"%04x c #000000",\n' % (n % 65536) for n in range(200_000))
    ),
    "fits_gzip": lambda: fits(12000, 12000),
    "ppm_plain": lambda: b"P3 9000 9000 255\n" + b"1 " * 500_000,
    "ppm_10_bit": lambda: b"P6 9000 9000 1023\n" + bytes(999),
    "ppm_comments": lambda: b"P6 " + b"#\n" * 500_000 + b"8 8 255\n" + bytes(200),
    "dds_large": lambda: (
        b"DDS "
        + struct.pack("<7L", 124, 0x1007, 12000, 12000, 0, 0, 0)
        + bytes(44)
        + struct.pack("<8L", 32, 0x40, 0, 24, 0x7C00, 0x3E0, 0x1F, 0)
        + bytes(20)
        + bytes(99)
    ),
    "blp_large": lambda: (
        b"BLP2" + struct.pack("<lbbbb", 1, 1, 0, 0, 0) + struct.pack("<LL", 12000, 12000) + bytes(200)
    ),
    "msp_large": lambda: b"LinS" + struct.pack("<14H", 60000, 60000, *[0] * 12) + bytes(99),
    # other formats: sizes that are claimed
    "bmp_60000": lambda: bmp(60000, 60000),
    "bmp_negative": lambda: bmp(-8, 8),
    "pfm_12000": lambda: b"Pf\n12000 12000\n-1.0\n" + bytes(99),
    "pgm_long_row": lambda: b"P5 100000000 1 255\n" + bytes(99),
    "tga_65535": lambda: struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65535, 65535, 32, 8) + bytes(99),
    "psd_large": lambda: b"8BPS" + struct.pack(">H6xHLLHH", 1, 4, 16000, 16000, 8, 4) + bytes(12) + bytes(99),
    "sgi_large": lambda: struct.pack(">hBBHHHH", 474, 0, 1, 3, 60000, 60000, 4) + bytes(600),
    "pcx_65535": lambda: struct.pack("<BBBBHHHH", 10, 5, 1, 8, 0, 0, 65534, 65534) + bytes(120),
    "sun_large": lambda: struct.pack(">8L", 0x59A66A95, 60000, 60000, 24, 0, 1, 0, 0) + bytes(99),
    # JPEG 2000 and AVIF
    "avif_exif": lambda: avif_exif(900_000),
    "jpeg2000_12000": lambda: jpeg2000(12000, 12000),
    "jpeg2000_tiles": lambda: jpeg2000(250, 250, (1, 1)),
    "jpeg2000_precincts": lambda: jpeg2000(4000, 4000, precincts=b"\x11" * 5),
    "jpeg2000_blocks": lambda: jpeg2000(6000, 6000, codeblock_size=(4, 4)),
    "jpeg2000_bands": lambda: jpeg2000(16, 16)[:40] + b"\x40\0" + jpeg2000(16, 16)[42:],
}
