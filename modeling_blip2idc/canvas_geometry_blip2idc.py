# SPDX-License-Identifier: Apache-2.0
"""Where the two images lie on the canvas, and the way back to them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from transformers.utils import is_torch_tensor

CONCAT_AXES = ("vertical", "horizontal")
HALVES = ("before", "after")

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class CanvasGeometry:
    """
    Where the two images lie on a canvas. All sizes are `(width, height)` in pixels, as in PIL.

    Coordinates are continuous, with the origin at the top left *corner*: the image spans 0..width and 0..height, and
    the centre of the pixel in column `i` and row `j` is `(i + 0.5, j + 0.5)`. A box is `(left, top, right, bottom)`.

    Args:
        before_size (`tuple[int, int]`): size of the first image, upright and at full resolution.
        after_size (`tuple[int, int]`): size of the second image.
        canvas_size (`tuple[int, int]`): size of the canvas.
        concat_axis (`str`, *optional*, defaults to `"vertical"`):
            `"vertical"`: before above after; `"horizontal"`: before left of after.
    """

    before_size: tuple[int, int]
    after_size: tuple[int, int]
    canvas_size: tuple[int, int]
    concat_axis: str = "vertical"

    def __post_init__(self):
        if self.concat_axis not in CONCAT_AXES:
            raise ValueError(f"concat_axis is {self.concat_axis!r}, it must be 'vertical' or 'horizontal'.")
        for name in ("before_size", "after_size", "canvas_size"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, width and height must be at least 1.")
        if self.canvas_size[self._axis] < 2:
            raise ValueError(
                f"A {self.concat_axis} canvas of {self.canvas_size[0]}x{self.canvas_size[1]} (width x height) has no "
                "room for two images."
            )

    @property
    def _axis(self) -> int:
        return CONCAT_AXES[::-1].index(self.concat_axis)  # of (x, y): 0 horizontal, 1 vertical

    @property
    def seam(self) -> int:
        """`int`: first canvas row (vertical) or column (horizontal) of the second image: half, rounded down."""
        return self.canvas_size[self._axis] // 2

    def half_box(self, which: str) -> tuple[int, int, int, int]:
        """
        Args:
            which (`str`): `"before"` or `"after"`.

        Returns:
            `tuple[int, int, int, int]`: the box of that image on the canvas; `canvas.crop(box)` is the half.
        """
        width, height = self.canvas_size
        if which not in HALVES:
            raise ValueError(f"which is {which!r}, it must be 'before' or 'after'.")
        if which == "before":
            return (0, 0, self.seam, height) if self._axis == 0 else (0, 0, width, self.seam)
        return (self.seam, 0, width, height) if self._axis == 0 else (0, self.seam, width, height)

    def half_size(self, which: str) -> tuple[int, int]:
        """`tuple[int, int]`: size of the `"before"` or `"after"` half of the canvas."""
        left, top, right, bottom = self.half_box(which)
        return right - left, bottom - top

    def to_image(self, x: float, y: float) -> tuple[str, float, float]:
        """
        Canvas → image. A point on the seam belongs to the second image.

        Args:
            x, y (`float`): a point on the canvas, in canvas pixels.

        Returns:
            `tuple[str, float, float]`: `"before"` or `"after"`, and the point in that image's own pixels.

        Raises:
            `ValueError`: the point is outside the canvas.
        """
        width, height = self.canvas_size
        if not (0 <= x <= width and 0 <= y <= height):
            raise ValueError(f"({x}, {y}) lies outside the canvas of {width}x{height} (width x height).")
        which = "before" if (x, y)[self._axis] < self.seam else "after"
        return which, *self._scale(which, x, y)

    def to_canvas(self, which: str, x: float, y: float) -> tuple[float, float]:
        """
        Image → canvas, the inverse of `to_image`.

        Args:
            which (`str`): `"before"` or `"after"`.
            x, y (`float`): a point in that image, in its own pixels.

        Returns:
            `tuple[float, float]`: the point in canvas pixels.

        Raises:
            `ValueError`: the point is outside the image.
        """
        left, top, right, bottom = self.half_box(which)
        width, height = self._size(which)
        if not (0 <= x <= width and 0 <= y <= height):
            raise ValueError(f"({x}, {y}) lies outside the {which} image of {width}x{height} (width x height).")
        return left + x * (right - left) / width, top + y * (bottom - top) / height

    def box_to_images(self, box: Box) -> dict[str, Box]:
        """
        Canvas box → image boxes. A box across the seam is cut there; what sticks out of the canvas is cut off.

        Args:
            box (`tuple[float, float, float, float]`): left, top, right, bottom in canvas pixels.

        Returns:
            `dict[str, tuple[float, float, float, float]]`: for each image that the box covers a part of (`"before"`,
            `"after"`, both or none), the box in that image's own pixels.

        Raises:
            `ValueError`: left is not smaller than right, or top than bottom.
        """
        if not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"{tuple(box)} is no box: give left < right and top < bottom.")
        boxes = {}
        for which in HALVES:
            half = self.half_box(which)
            left, top = max(box[0], half[0]), max(box[1], half[1])
            right, bottom = min(box[2], half[2]), min(box[3], half[3])
            if left < right and top < bottom:
                boxes[which] = (*self._scale(which, left, top), *self._scale(which, right, bottom))
        return boxes

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
            `tuple[np.ndarray, np.ndarray]`: float32 maps of shapes `(before height, before width)` and
            `(after height, after width)`.

        Raises:
            `ValueError`: the map is not two-dimensional, or empty.
        """
        if is_torch_tensor(canvas_map):
            canvas_map = canvas_map.detach().float().cpu()
        array = np.asarray(canvas_map, dtype=np.float32)
        if array.ndim != 2 or array.size == 0:
            raise ValueError(f"canvas_map has shape {array.shape}, it must be (H', W') and not empty.")
        scale_x, scale_y = array.shape[1] / self.canvas_size[0], array.shape[0] / self.canvas_size[1]
        maps = []
        for which in HALVES:
            left, top, right, bottom = self.half_box(which)
            left, right, top, bottom = left * scale_x, right * scale_x, top * scale_y, bottom * scale_y
            # crop first: PIL's filters read beyond `box`, which would blur one half into the other
            x0, y0, x1, y1 = math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
            part = Image.fromarray(np.ascontiguousarray(array[y0:y1, x0:x1]))
            part = part.resize(self._size(which), resample, box=(left - x0, top - y0, right - x0, bottom - y0))
            maps.append(np.asarray(part))
        return maps[0], maps[1]

    def _size(self, which: str) -> tuple[int, int]:
        return self.before_size if which == "before" else self.after_size

    def _scale(self, which: str, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self.half_box(which)
        width, height = self._size(which)
        return (x - left) * width / (right - left), (y - top) * height / (bottom - top)
