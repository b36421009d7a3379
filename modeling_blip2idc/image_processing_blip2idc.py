# SPDX-License-Identifier: Apache-2.0
"""The canvas: two images, each resized to its half, on one. All sizes are `(height, width)` in pixels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL
from PIL import Image
from transformers.image_utils import SizeDict
from transformers.utils import is_torch_tensor

from .image_utils_blip2idc import ImageLoadError, ImageTypeError, load_image_and_size

HALVES = ("before", "after")
_CHOOSES_PASS_ORDER = int(PIL.__version__.split(".")[0]) >= 13


@dataclass(frozen=True)
class CanvasGeometry:
    """
    Where the two images lie on a canvas.

    Args:
        before_size (`tuple[int, int]`): `(height, width)` of the first image, upright and at full resolution.
        after_size (`tuple[int, int]`): that of the second image.
        canvas_size (`tuple[int, int]`): that of the canvas.
        concat_axis (`str`, *optional*, defaults to `"vertical"`):
            `"vertical"`: before above after; `"horizontal"`: before left of after.
    """

    before_size: tuple[int, int]
    after_size: tuple[int, int]
    canvas_size: tuple[int, int]
    concat_axis: str = "vertical"

    def __post_init__(self):
        if self.concat_axis not in ("vertical", "horizontal"):
            raise ValueError(f"concat_axis is {self.concat_axis!r}, it must be 'vertical' or 'horizontal'.")
        for name in ("before_size", "after_size", "canvas_size"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, height and width must be at least 1.")
        if self.seam < 1:
            height, width = self.canvas_size
            raise ValueError(
                f"A {self.concat_axis} canvas of {height}x{width} (height x width) has no room for two images."
            )

    @property
    def seam(self) -> int:
        """`int`: first canvas row (vertical) or column (horizontal) of the second image: half, rounded down."""
        return self.canvas_size[0 if self.concat_axis == "vertical" else 1] // 2

    def half_box(self, which: str) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the `"before"` or `"after"` image, so that `canvas.crop(box)` is the half."""
        height, width = self.canvas_size
        if which not in HALVES:
            raise ValueError(f"which is {which!r}, it must be 'before' or 'after'.")
        if which == "before":
            return (0, 0, width, self.seam) if self.concat_axis == "vertical" else (0, 0, self.seam, height)
        return (0, self.seam, width, height) if self.concat_axis == "vertical" else (self.seam, 0, width, height)

    def half_size(self, which: str) -> tuple[int, int]:
        """`tuple[int, int]`: `(height, width)` of the `"before"` or `"after"` half of the canvas."""
        left, top, right, bottom = self.half_box(which)
        return bottom - top, right - left

    def split_map(
        self, canvas_map: Any, resample: Image.Resampling = Image.Resampling.BILINEAR
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Cut a map of the whole canvas, such as a heat-map over patches, into one map per image.

        Nothing of one half reaches the other, unless the seam falls *inside* a row (or column) of the map: that row
        then belongs to both.

        Args:
            canvas_map (`np.ndarray` or `torch.Tensor` of shape `(H', W')`): any resolution, any real dtype.
            resample (`PIL.Image.Resampling`, *optional*, defaults to bilinear): `NEAREST` for labels and masks.

        Returns:
            `tuple[np.ndarray, np.ndarray]`: float32 maps of shapes `before_size` and `after_size`.

        Raises:
            `ValueError`: the map is not two-dimensional, or empty.
        """
        if is_torch_tensor(canvas_map):
            canvas_map = canvas_map.detach().float().cpu()
        array = np.asarray(canvas_map, dtype=np.float32)
        if array.ndim != 2 or array.size == 0:
            raise ValueError(f"canvas_map has shape {array.shape}, it must be (H', W') and not empty.")
        scale_y, scale_x = array.shape[0] / self.canvas_size[0], array.shape[1] / self.canvas_size[1]
        maps = []
        for which, size in zip(HALVES, (self.before_size, self.after_size), strict=True):
            left, top, right, bottom = self.half_box(which)
            left, right, top, bottom = left * scale_x, right * scale_x, top * scale_y, bottom * scale_y
            # crop first: PIL's filters read beyond `box`, which would blur one half into the other
            x0, y0, x1, y1 = math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
            part = Image.fromarray(np.ascontiguousarray(array[y0:y1, x0:x1]))
            part = part.resize(size[::-1], resample, box=(left - x0, top - y0, right - x0, bottom - y0))
            maps.append(np.asarray(part))
        return maps[0], maps[1]


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
            about 3 (much more at hard edges) where the reduced photo is hardly larger than the half. PIL images and
            arrays are already decoded and never change.
        resample (`PIL.Image.Resampling`, *optional*, defaults to bicubic): filter, anti-aliased as always in PIL.
        name (`str`, *optional*, defaults to `""`): what messages call the pair, for example `"images[3]"`.

    Returns:
        `tuple[PIL.Image.Image, CanvasGeometry]`: an RGB image of exactly `size`, and where the two images lie on it.

    Raises:
        `ImageLoadError`: an image cannot be used; the message says which, as in `images[3] after '/a/b.png': ...`.
        `ValueError`: bad `size` or `concat_axis`.
    """
    canvas_size = _height_width(size)
    layout = CanvasGeometry(canvas_size, canvas_size, canvas_size, concat_axis)  # refuses bad input before decoding
    canvas, sizes = Image.new("RGB", canvas_size[::-1]), []
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
    height, width = half
    high, wide = (2, 1) if concat_axis == "vertical" else (1, 2)
    less_high, less_wide = high * (image.height - height), wide * (image.width - width)
    vertical_first = _CHOOSES_PASS_ORDER and less_high > 0 and less_high > 2 * less_wide
    between = (image.width, height) if vertical_first else (width, image.height)
    return image.resize(between, resample).resize((width, height), resample)


def as_pair(pair: Any, name: str = "images") -> tuple[Any, Any]:
    """
    Before and after of a pair, `(before, after)` or `{"before": ..., "after": ...}`; they are not loaded.

    Raises:
        `ImageLoadError`: not exactly two images, or a key is missing; it begins with `name`. `ImageTypeError`: not a
            pair.
    """
    right = "Give (before, after) or {'before': ..., 'after': ...}."
    if isinstance(pair, Mapping):
        if missing := [key for key in HALVES if key not in pair]:
            raise ImageLoadError(f"{name}: the pair has no {' and no '.join(map(repr, missing))}. {right}")
        return pair["before"], pair["after"]
    if isinstance(pair, (tuple, list)):
        if len(pair) != 2:
            raise ImageLoadError(f"{name}: a pair is two images, but this one has {len(pair)}. {right}")
        return pair[0], pair[1]
    raise ImageTypeError(f"{name}: got {type(pair).__name__} where a pair of images is expected. {right}")


def as_pairs(images: Any) -> dict[str, tuple[Any, Any]]:
    """
    The pairs in `images`, by what messages call them: `""` for one pair (also a list of two images), `"images[i]"` for
    each pair of a list. Nothing is loaded.

    Raises:
        `ValueError`: `images` is missing, empty or something else. `ImageLoadError`: as for [`as_pair`].
    """
    if isinstance(images, (tuple, Mapping)):
        return {"": as_pair(images)}
    if not isinstance(images, list) or not images:
        what = "an empty list" if images == [] else f"a {type(images).__name__}"
        raise ValueError(f"images is {what}; give a pair (before, after), or a list of pairs.")
    if len(images) == 2 and not any(map(_looks_like_a_pair, images)):
        return {"": as_pair(images)}
    return {f"images[{i}]": as_pair(pair, f"images[{i}]") for i, pair in enumerate(images)}


def _looks_like_a_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) or (isinstance(value, Mapping) and not value.keys().isdisjoint(HALVES))


def _height_width(size: Any) -> tuple[int, int]:
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
    return int(height), int(width)
