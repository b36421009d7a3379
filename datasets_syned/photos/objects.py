"""Cut-outs on a photograph: where they stand, and how they are put there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

HUES = {"red": 0, "orange": 25, "yellow": 52, "green": 120, "blue": 220, "purple": 280, "pink": 325}  # degrees
COLORS = tuple(HUES)
MIN_COLOR_DISTANCE = 70  # between the mean colors of an object before and after it is recolored, of 442
SHADOW = (0.3, 0.5)  # its strength
SATURATION = [min(255, round(110 + 0.7 * s)) for s in range(256)]  # of a recolored object: vivid, by its own
VALUE = [round(60 + 0.76 * v) for v in range(256)]  # and not too dark to have a color
MATCH = 0.35  # how far the brightness of an object follows that of the place where it stands


@dataclass(frozen=True)
class Placement:
    """
    An object on a photograph. Lengths are parts of the picture's height, so that they hold at any size.

    Args:
        name (`str`): what it is.
        cutout (`int`): number of its picture, in the material.
        x, y (`float`): its center.
        height (`float`): of the picture of the object, before it is turned.
        angle (`float`, *optional*, defaults to 0): degrees, counterclockwise.
        mirrored (`bool`, *optional*, defaults to `False`).
        color (`str`, *optional*): one of `COLORS`, by default its own.
        stretch (`float`, *optional*, defaults to 1): width by height, of the picture's own.
        tint (`tuple[float, float, float]`, *optional*, defaults to (1, 1, 1)): gains of red, green and blue.
    """

    name: str
    cutout: int
    x: float
    y: float
    height: float
    angle: float = 0.0
    mirrored: bool = False
    color: str | None = None
    stretch: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


def scale_channels(image: Image.Image, gains: Sequence[float]) -> Image.Image:
    """An image whose channels are multiplied by these gains, clipped at white."""
    table = np.clip(np.rint(np.outer(gains, np.arange(256))), 0, 255).astype(int)
    return image.point(table.ravel().tolist())


def recolor(cutout: Image.Image, color: str) -> Image.Image:
    """A cut-out (RGBA) in another of `COLORS`: its hue is replaced, its shades are kept."""
    hue, saturation, value = cutout.convert("RGB").convert("HSV").split()
    hue = Image.new("L", hue.size, round(HUES[color] * 255 / 360))
    saturation = saturation.point(SATURATION)
    value = value.point(VALUE)
    image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    image.putalpha(cutout.getchannel("A"))
    return image


def mean_color(cutout: Image.Image) -> np.ndarray:
    """Mean red, green and blue of what a cut-out (RGBA) shows."""
    pixels = np.asarray(cutout.resize((16, 16), Image.Resampling.BOX), np.float32).reshape(-1, 4)
    return (pixels[:, :3] * pixels[:, 3:]).sum(0) / max(1.0, pixels[:, 3].sum())


def sized(cutout: Image.Image, placement: Placement, frame_height: int) -> Image.Image:
    """The picture of a placed object (RGBA), for a frame of so many pixels in height."""
    height = max(2, round(placement.height * frame_height))
    width = max(2, round(height * placement.stretch * cutout.width / cutout.height))
    image = cutout.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if placement.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if placement.color is not None:
        image = recolor(image, placement.color)
    if placement.angle:
        image = image.rotate(placement.angle, Image.Resampling.BILINEAR, expand=True)
    return image


def paste_objects(
    background: Image.Image, cutouts: Sequence[Image.Image], placements: Sequence[Placement], light: float
) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """
    Puts objects on a photograph, each with a shadow and its brightness matched to the place.

    Args:
        background (`PIL.Image.Image`): RGB.
        cutouts (`Sequence[PIL.Image.Image]`): RGBA, one for each placement.
        placements (`Sequence[Placement]`): the later ones stand in front.
        light (`float`): from where it comes, -1 (left) to 1 (right).

    Returns:
        `tuple`: the picture; `(height, width)` uint8, 0 for the photograph and `i + 1` for object `i`; and the share
        of each object's pixels that can be seen.
    """
    image = background.copy()
    width, height = image.size
    mask = np.zeros((height, width), np.uint8)
    areas = []
    for number, (cutout, placement) in enumerate(zip(cutouts, placements, strict=True), start=1):
        picture = sized(cutout, placement, height)
        left = round(placement.x * height - picture.width / 2)
        top = round(placement.y * height - picture.height / 2)
        alpha = picture.getchannel("A")
        box = (left, top, left + picture.width, top + picture.height)
        gains = _match(background, box, picture) * np.array(placement.tint)
        picture = scale_channels(picture.convert("RGB"), gains)
        _cast_shadow(image, alpha, left, top, light)
        image.paste(picture, (left, top), alpha)
        solid = np.asarray(alpha) > 127
        areas.append(max(1, int(solid.sum())))
        y, x = max(0, top), max(0, left)
        part = mask[y : max(0, box[3]), x : max(0, box[2])]
        part[solid[y - top :, x - left :][: part.shape[0], : part.shape[1]]] = number
    seen = np.bincount(mask.ravel(), minlength=len(areas) + 1)[1:] / np.array(areas)
    return image, mask, seen


def _match(background, box, picture):
    """Gains that bring the colors of a picture nearer to those of the place where it is put."""
    width, height = background.size
    left, top = min(max(0, box[0]), width - 1), min(max(0, box[1]), height - 1)
    right, bottom = max(left + 1, min(box[2], width)), max(top + 1, min(box[3], height))
    place = background.crop((left, top, right, bottom))
    there = np.asarray(place.resize((1, 1), Image.Resampling.BOX), np.float32).ravel() + 1
    here = mean_color(picture) + 1
    brightness = np.clip((there.mean() / here.mean()) ** MATCH, 0.7, 1.25)
    cast = np.clip((there / there.mean()) ** 0.15, 0.9, 1.1)
    return brightness * cast


def _cast_shadow(image, alpha, left, top, light):
    radius = max(1, alpha.height // 14)
    shade = Image.new("L", (alpha.width + 4 * radius, alpha.height + 4 * radius))
    strength = SHADOW[0] + (SHADOW[1] - SHADOW[0]) * abs(light)
    shade.paste(scale_channels(alpha, [strength]), (2 * radius, 2 * radius))
    shade = shade.filter(ImageFilter.BoxBlur(radius))
    image.paste((0, 0, 0), (left - 2 * radius - round(light * 2 * radius), top - radius), shade)
