"""An image of a row, opened once: what is wrong with it, and by what it is known again."""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from ..common.image_paths import content_of
from ..common.images import ImageError, load_image, to_rgb

THUMBNAIL = (360, 360)  # pixels at most
FLAT = 8  # grey levels between the darkest and the brightest cell, below which a picture looks like any other


@dataclass
class Picture:
    """An image as it is stored."""

    value: Mapping[str, Any] | None  # of bytes and path
    folders: Sequence[str] = ()  # where paths may lead, see `content_of`
    problem: str | None = None  # why it cannot be used; known once it was opened

    @cached_property
    def image(self) -> Image.Image | None:
        """The decoded image in its own mode, `None` if it has a problem."""
        return self._try(lambda: load_image(content_of(self.value or {}, "", self.folders), ""))

    @cached_property
    def shown(self) -> Image.Image | None:
        """The image as a captioner is shown it, in RGB."""
        return self.image and self._try(lambda: to_rgb(self.image, "", by_range=True))

    def _try(self, make):
        try:
            return make()
        except ImageError as error:
            self.problem = error.what
            return None

    @cached_property
    def digest(self) -> bytes | None:
        """Of the pixels: equal for the same picture in files of other formats."""
        if self.shown is None:
            return None
        deep = self.image.mode.startswith(("I", "F"))  # more than the 8 bits that are shown
        pixels = self.image if deep else self.shown
        return hashlib.sha256(f"{pixels.mode} {pixels.size}".encode() + pixels.tobytes()).digest()[:16]

    @cached_property
    def look(self) -> np.uint64 | None:
        """
        Difference hash: 64 bits that say which of 8x8 cells are brighter than the cell to their right. Few of them
        change when a picture is compressed or resized. `None` if the picture is flat.
        """
        if self.shown is None:
            return None
        cells = np.asarray(self.shown.resize((9, 8), Image.Resampling.BOX).convert("L"), np.int16)  # (8, 9)
        return None if np.ptp(cells) < FLAT else np.packbits(cells[:, :-1] > cells[:, 1:]).view(np.uint64)[0]

    def thumbnail(self) -> dict[str, Any] | None:
        """A small JPEG, as a data URI with its size."""
        if self.shown is None:
            return None
        image, buffer = self.shown.copy(), io.BytesIO()
        image.thumbnail(THUMBNAIL)
        image.save(buffer, "JPEG", quality=80)
        uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        return {"uri": uri, "width": image.width, "height": image.height}
