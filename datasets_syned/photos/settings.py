"""What the rows of composed photographs depend on, and one such row."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from ..common.rendered import RenderedSettings, png
from .captions import PHRASINGS, captions
from .composer import PhotoPair
from .material import Material, load_material
from .pair import HEIGHT, WIDTH, make_pair

MOST_REFERENCES = min(map(len, PHRASINGS.values()))


@dataclass(frozen=True, kw_only=True)
class PhotoSettings(RenderedSettings):
    """
    What, besides split and index, a composed row depends on.

    Args:
        photographs (`str`, *optional*): folder of photographs; see [`load_material`] for what is read without it.
        objects (`str`, *optional*): folder of named cut-outs.
        seed (`int`, *optional*, defaults to 0): of the whole data set.
        jitter (`float`, *optional*, defaults to 1.0): scale of the differences of camera, exposure, colors and
            compression between the two images, from 0 (none) to 2.
        width, height (`int`, *optional*, defaults to 240 and 160): pixels of each image, 64 to 1024.
        masks (`bool`, *optional*, defaults to `False`): adds the columns `before_mask`, `after_mask` (8-bit images, 0
            for the photograph, `i + 1` for object `i`; a text comes after the last object) and `scene`
            (JSON: `photographs`, `before_objects`, `after_objects`, `changed_object`, `edit`).
        references (`int`, *optional*, defaults to 5): captions per pair, 1 to 6.

    Raises:
        ValueError: an argument of the wrong type or out of its range.
    """

    photographs: str | None = None
    objects: str | None = None
    SIDES, MOST_REFERENCES = (64, 1024), MOST_REFERENCES

    width: int = WIDTH
    height: int = HEIGHT

    @property
    def label(self) -> str:
        """Names the settings, and the content of the material, in a folder's name."""
        return f"{self.material.digest}-{super().label}"

    @property
    def material(self) -> Material:
        """The photographs and cut-outs; read once in a process."""
        return load_material(self.photographs, self.objects)

    def pair(self, split: str, index: int) -> PhotoPair:
        """Composes one pair; see [`make_pair`]."""
        return make_pair(self.material, split, index, self.seed, self.jitter, self.width, self.height)

    def row(self, split: str, index: int) -> dict:
        """
        Composes one row, images as `{"bytes": <JPEG>, "path": None}`. Equal arguments give equal bytes under equal
        versions of numpy and Pillow.
        """
        pair = self.pair(split, index)
        said = captions(pair.edit)
        order = np.random.default_rng([self.seed, index]).permutation(len(said))[: self.references]
        row = {
            "id": f"{split}-{index:06d}",
            "before": {"bytes": pair.before, "path": None},
            "after": {"bytes": pair.after, "path": None},
            "captions": [said[i] for i in order],
            "category": pair.edit.category,
            "changed": pair.edit.category != "none",
            "provenance": None,
        }
        if self.masks:
            row |= {"before_mask": png(pair.before_mask), "after_mask": png(pair.after_mask)}
            row["scene"] = json.dumps(
                {
                    "photographs": [self.material.digests[scene.photograph] for scene in pair.scenes],
                    "before_objects": [asdict(placed) for placed in pair.scenes[0].objects],
                    "after_objects": [asdict(placed) for placed in pair.scenes[1].objects],
                    "changed_object": pair.changed_object,
                    "edit": asdict(pair.edit),
                }
            )
        return row
