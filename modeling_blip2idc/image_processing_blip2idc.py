# SPDX-License-Identifier: Apache-2.0
"""The canvas: two images, each resized to its half, on one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL
from PIL import Image
from transformers.image_utils import SizeDict

from .canvas_geometry_blip2idc import HALVES, CanvasGeometry
from .image_errors_blip2idc import ImageLoadError, ImageTypeError
from .image_utils_blip2idc import load_image_and_size

_CHOOSES_PASS_ORDER = int(PIL.__version__.split(".")[0]) >= 13


def make_canvas(
    before: Any,
    after: Any,
    size: Mapping[str, int] | SizeDict | tuple[int, int] | int,
    concat_axis: str = "vertical",
    draft: bool = False,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
    name: str = "",
) -> tuple[Image.Image, CanvasGeometry]:
    """
    Put two images on one canvas: each is resized to its half, then they are stacked.

    For two images of equal size and an even canvas these are the pixels of pasting both at native size onto one image
    and resizing that (what the released BLIP2IDC training code does, `code_release/IDC_datasets.py` of
    github.com/gautierevn/BLIP2IDC), except beside the seam, where the resampling filter there mixes the two images:
    two rows on either side when shrinking, `2 * half / image` when enlarging.

    Images of unequal size, in any proportion, get one half each, as a whole. (The released code pastes them at native
    size on a canvas as wide as the *first* image, which cuts off or pads the second; for Image Editing Request it
    first resizes the first image to the second one's size.) Of an odd canvas the first image gets the half rounded
    down, the second the rest.

    Args:
        before, after (image): anything that `load_image` reads, of any size.
        size (`dict`, `tuple[int, int]` or `int`):
            The canvas in pixels: `{"height": H, "width": W}` as in `image_processor.size`, `(height, width)`, or the
            side of a square.
        concat_axis (`str`, *optional*, defaults to `"vertical"`):
            `"vertical"`: before above after; `"horizontal"`: before left of after.
        draft (`bool`, *optional*, defaults to `False`):
            Decode JPEG files at the smallest of 1, 1/2, 1/4, 1/8 of their size that still covers the half: several
            times faster for photos. Pixels then differ from a full decoding, by 0.2 to 1 grey level on average, and by
            about 3 (much more at hard edges) where the reduced photo is hardly larger than the half. PIL
            images and arrays are already decoded and never change.
        resample (`PIL.Image.Resampling`, *optional*, defaults to bicubic): filter, anti-aliased as always in PIL.
        name (`str`, *optional*, defaults to `""`): what messages call the pair, for example `"images[3]"`.

    Returns:
        `tuple[PIL.Image.Image, CanvasGeometry]`: an RGB image of exactly `size`, and where the two images lie on it.

    Raises:
        `ImageLoadError`: an image cannot be used; the message says which, as in `images[3] after '/a/b.png': ...`.
        `ValueError`: bad `size` or `concat_axis`.
    """
    canvas_size = _width_height(size)
    layout = CanvasGeometry(canvas_size, canvas_size, canvas_size, concat_axis)  # refuses bad input before decoding
    canvas, sizes = Image.new("RGB", canvas_size), []
    for which, source in zip(HALVES, (before, after), strict=True):
        half = layout.half_size(which)
        image, original_size = load_image_and_size(source, f"{name} {which}".strip(), half if draft else None)
        canvas.paste(_resize(image, half, resample, concat_axis), layout.half_box(which)[:2])
        sizes.append(original_size)
    return canvas, CanvasGeometry(*sizes, canvas_size, concat_axis)


def _resize(image: Image.Image, half: tuple[int, int], resample: Image.Resampling, concat_axis: str) -> Image.Image:
    """One half, with the two passes in the order in which Pillow would take them for the whole pasted image.

    Pillow rounds and clips to 8 bits between the passes, so at hard edges the order is worth up to 12 grey levels. Up
    to Pillow 12 the horizontal pass always comes first; Pillow 13 decides by the sizes (`ImagingResampleInner` in its
    src/libImaging/Resample.c), and half an image is another size than the whole.
    """
    stacked = (1, 2) if concat_axis == "vertical" else (2, 1)
    less_wide, less_high = (n * (image.size[axis] - half[axis]) for axis, n in enumerate(stacked))
    vertical_first = _CHOOSES_PASS_ORDER and less_high > 0 and less_high > 2 * less_wide
    between = (image.width, half[1]) if vertical_first else (half[0], image.height)
    return image.resize(between, resample).resize(half, resample)


def as_pair(pair: Any, name: str = "images") -> tuple[Any, Any]:
    """
    Take a pair apart without loading it.

    Args:
        pair (`tuple`, `list` or `dict`): two images, or `{"before": ..., "after": ...}` (other keys are ignored).
        name (`str`, *optional*, defaults to `"images"`): what messages call the pair, for example `"images[3]"`.

    Returns:
        `tuple[Any, Any]`: before and after, untouched.

    Raises:
        `ImageLoadError`: not exactly two images, or a key is missing. `ImageTypeError` if it is no pair at all.
    """
    right = "Give (before, after) or {'before': ..., 'after': ...}."
    if isinstance(pair, Mapping):
        missing = [key for key in ("before", "after") if key not in pair]
        if missing:
            raise ImageLoadError(f"{name}: the pair has no {' and no '.join(map(repr, missing))}. {right}")
        return pair["before"], pair["after"]
    if isinstance(pair, (tuple, list)):
        if len(pair) != 2:
            raise ImageLoadError(f"{name}: a pair is two images, but this one has {len(pair)}. {right}")
        return pair[0], pair[1]
    raise ImageTypeError(f"{name}: got {type(pair).__name__} where a pair of images is expected. {right}")


def as_pairs(images: Any) -> dict[str, tuple[Any, Any]]:
    """
    Sort out one pair from many, without loading anything.

    Args:
        images (`tuple`, `dict` or `list`):
            A pair, as for [`as_pair`]; a list of two images, which is one, too; or a list of pairs.

    Returns:
        `dict[str, tuple[Any, Any]]`: the pairs, by what messages call them: `""` for one pair, else `"images[i]"`.

    Raises:
        `ValueError`: `images` is missing, empty or something else. `ImageLoadError` as for [`as_pair`].
    """
    if isinstance(images, (tuple, Mapping)):
        return {"": as_pair(images)}
    if not isinstance(images, list) or not images:
        what = f"a {type(images).__name__}" if images or images is None else "an empty list"
        raise ValueError(f"images is {what}; give a pair (before, after), or a list of pairs.")
    if len(images) == 2 and not any(map(_looks_like_a_pair, images)):
        return {"": as_pair(images)}
    return {f"images[{i}]": as_pair(pair, f"images[{i}]") for i, pair in enumerate(images)}


def _looks_like_a_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) or (isinstance(value, Mapping) and bool({"before", "after"} & set(value)))


def _width_height(size: Any) -> tuple[int, int]:
    height = width = None
    if isinstance(size, (Mapping, SizeDict)):
        height, width = size.get("height"), size.get("width")
    elif isinstance(size, (tuple, list)) and len(size) == 2:
        height, width = size
    elif isinstance(size, int):
        height = width = size
    for side in (height, width):
        if not isinstance(side, (int, np.integer)) or isinstance(side, bool) or side < 1:
            raise ValueError(
                f"size is {size!r}, it must be {{'height': ..., 'width': ...}}, (height, width) or one side, in whole "
                "pixels."
            )
    return int(width), int(height)
