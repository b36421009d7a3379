"""What a person has at hand to edit a photograph: ImageMagick, masks drawn by hand, a brush that fills holes."""

import io
import shutil
import subprocess
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

SIZE = WIDTH, HEIGHT = 480, 320  # pixels
PROGRAMS = ("magick", "convert-im6.q16", "convert")


@cache
def program() -> str:
    """
    The command of ImageMagick.

    Raises:
        FileNotFoundError: it is not installed.
    """
    for name in PROGRAMS:
        found = shutil.which(name)
        if found and b"Version: ImageMagick" in subprocess.run([found, "-version"], capture_output=True).stdout:
            return found
    raise FileNotFoundError("ImageMagick is not installed. On Debian: `apt-get install imagemagick`")


def magick(image: Image.Image, *options) -> Image.Image:
    """An image after ImageMagick's options; it keeps its mode."""
    file = io.BytesIO()
    image.save(file, "PNG")
    command = [program(), "png:-", *map(str, options), "png:-"]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode().strip()}")
    return Image.open(io.BytesIO(done.stdout)).convert(image.mode)


def fit(image: Image.Image, y: float = 0.5) -> Image.Image:
    """The largest part of a picture of the shape of all pairs; `y` is where it lies, from 0 (top) to 1."""
    return ImageOps.fit(image.convert("RGB"), SIZE, Image.Resampling.LANCZOS, centering=(0.5, y))


def polygon(*points: tuple[int, int], soft: float = 1.5) -> Image.Image:
    """A mask that is drawn by hand."""
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(soft))


def ellipse(*box: int, soft: float = 1.5) -> Image.Image:
    """A round mask within left, top, right, bottom."""
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(soft))


def where(image: Image.Image, condition, within: Image.Image) -> Image.Image:
    """A mask of the pixels within another whose red, green and blue (0 to 255) fulfil a condition."""
    chosen = condition(*np.moveaxis(np.asarray(image, np.int16), 2, 0))
    mask = Image.fromarray((chosen * 255).astype(np.uint8)).filter(ImageFilter.MedianFilter(5))
    return ImageChops.multiply(mask.filter(ImageFilter.GaussianBlur(0.8)), within)


def cut(image: Image.Image, mask: Image.Image) -> Image.Image:
    """What a mask shows of an image, trimmed (RGBA)."""
    found = image.convert("RGBA")
    found.putalpha(mask)
    return found.crop(mask.point([0] * 64 + [255] * 192).getbbox())


def cut_from_plain(image: Image.Image, fuzz: int = 8) -> Image.Image:
    """What stands before a plain background, which is filled from the upper corners (RGBA, trimmed)."""
    image = image.convert("RGBA")
    for x in (0, image.width - 1):
        color = "rgb({},{},{})".format(*image.getpixel((x, 0))[:3])
        options = ("-fuzz", f"{fuzz}%", "-fill", "none", "-floodfill", f"+{x}+0", color)
        image = magick(image, "-alpha", "set", "-channel", "RGBA", *options)
    alpha = image.getchannel("A").filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.7))
    return cut(image, alpha)


def put(image: Image.Image, cutout: Image.Image, x: int, y: int, height: int, shade: int = 90) -> Image.Image:
    """An image with a cut-out of so many pixels in height around a point, and a flat shadow below it."""
    cutout = cutout.resize((round(height * cutout.width / cutout.height), height), Image.Resampling.LANCZOS)
    left, top = x - cutout.width // 2, y - height // 2
    image = image.copy()
    if shade:
        shadow = Image.new("L", SIZE)
        box = (left, top + round(height * 0.9), left + cutout.width, top + round(height * 1.04))
        ImageDraw.Draw(shadow).ellipse(box, fill=shade)
        image.paste((0, 0, 0), (0, 0), shadow.filter(ImageFilter.GaussianBlur(height / 25)))
    image.paste(cutout, (left, top), cutout)
    return image


def fill(image: Image.Image, mask: Image.Image, grain: float = 2.0) -> Image.Image:
    """An image in which a hole is closed smoothly from its edges, with some grain."""
    hole = np.asarray(mask.filter(ImageFilter.MaxFilter(5))) > 8
    known = image.convert("RGBA")
    known.putalpha(Image.fromarray((~hole * 255).astype(np.uint8)))
    guess = Image.new("RGBA", SIZE, (128, 128, 128, 255))
    for scale in (160, 64, 32, 16, 8, 4):  # coarse to fine
        small = known.convert("RGBa").resize((WIDTH // scale, HEIGHT // scale), Image.Resampling.BOX)
        level = small.resize(SIZE, Image.Resampling.BILINEAR).convert("RGBA")
        level.putalpha(level.getchannel("A").point([0] * 4 + [255] * 252))
        guess.alpha_composite(level)
    pixels, smooth = np.asarray(image, np.float32), np.asarray(guess.convert("RGB"), np.float32)
    smooth = np.where(hole[..., None], smooth, pixels)
    for _ in range(400):
        around = np.pad(smooth, ((1, 1), (1, 1), (0, 0)), "edge")
        mean = (around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]) / 4
        smooth[hole] = mean[hole]
    noise = np.random.default_rng(0).normal(0, grain, (HEIGHT, WIDTH, 1)).astype(np.float32)
    smooth = np.where(hole[..., None], smooth + noise, smooth)
    return Image.fromarray(np.clip(smooth, 0, 255).astype(np.uint8))


def hue(image: Image.Image, mask: Image.Image, degrees: float, saturation: float = 1.0) -> Image.Image:
    """An image that has another hue where a mask shows it."""
    _, s, v = image.convert("HSV").split()
    s = s.point([min(255, round(saturation * value)) for value in range(256)])
    other = Image.merge("HSV", (Image.new("L", SIZE, round(degrees * 255 / 360)), s, v)).convert("RGB")
    return Image.composite(other, image, mask)


def write(image: Image.Image, words: str, font: str, size: int, gravity: str, *options) -> Image.Image:
    """An image on which ImageMagick writes; `options` are its own, such as "-fill", "red"."""
    return magick(image, "-font", font, "-pointsize", size, "-gravity", gravity, *options, "-annotate", "+0+10", words)
