"""The configurations whose rows are made on this machine: "scenes" and "photos"."""

from dataclasses import dataclass, fields
from typing import ClassVar

import datasets
from datasets.fingerprint import Hasher

from ..common.chunks import Settings
from ..common.ranges import check_whole
from ..photos import pair as photos
from ..photos.material import SPLITS as PHOTO_SPLITS
from ..photos.settings import PhotoSettings
from ..scenes import pair as scenes
from ..scenes.settings import SceneSettings


@dataclass
class RenderedConfig(datasets.BuilderConfig):
    """A configuration whose rows depend on its settings, and on nothing that is read from a folder of pairs."""

    SPLITS: ClassVar[tuple[str, ...]]
    SETTINGS: ClassVar[type[Settings]]
    LICENSE: ClassVar[str]

    train: int = 1000
    validation: int = 100
    test: int = 200
    seed: int = 0
    jitter: float = 1.0
    masks: bool = False
    references: int = 5

    @property
    def settings(self) -> Settings:
        """What a row depends on, besides its split and index."""
        return self.SETTINGS(**{field.name: getattr(self, field.name) for field in fields(self.SETTINGS)})

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by split, for those splits that have any."""
        return {split: getattr(self, split) for split in self.SPLITS if getattr(self, split)}

    def create_config_id(self, config_kwargs: dict, custom_features: datasets.Features | None = None) -> str:
        # Names the cache folder by what the rows are, so that spelling out a default makes no second copy. This is
        # also the first place that sees the arguments together: it refuses the wrong ones.
        check_sizes({split: getattr(self, split) for split in self.SPLITS})
        settings = self.settings
        if self.data_dir is not None or self.data_files:
            raise ValueError(f"config {self.name!r} is rendered, not read: leave out data_dir and data_files")
        parts = [
            f"{getattr(self, split)}{split}" for split in self.SPLITS if getattr(self, split) or split in scenes.SPLITS
        ]
        parts.append(settings.label)
        if custom_features is not None:
            parts.append(Hasher.hash(custom_features))
        return "-".join([self.name, *parts])


@dataclass
class ScenesConfig(RenderedConfig):
    """
    Pairs of rendered scenes in the style of CLEVR-Change, with the difference in words: color, texture, move, add,
    drop, or none, under a moving camera and light. Rendered on this machine; nothing is downloaded. The defaults take
    about half a minute.

    Args:
        train (`int`, *optional*, defaults to 1000): rows of the train split. A larger split begins with the rows of
            a smaller one; 0 leaves the split out.
        validation (`int`, *optional*, defaults to 100): rows of the validation split.
        test (`int`, *optional*, defaults to 200): rows of the test split.
        seed, jitter, width, height, masks, references: see [`SceneSettings`].
    """

    SPLITS, SETTINGS, LICENSE = scenes.SPLITS, SceneSettings, "apache-2.0"

    name: str = "scenes"
    width: int = scenes.WIDTH
    height: int = scenes.HEIGHT


@dataclass
class PhotosConfig(RenderedConfig):
    """
    Real photographs with an exactly known edit each: an object that was added, removed, replaced, moved, recolored or
    resized, another background, text, a style, light and weather, reframing, or none, under small differences of
    camera, exposure, colors and compression. Composed on this machine; nothing is downloaded.

    Args:
        train, validation, test (`int`, *optional*, defaults to 1000, 100 and 200): rows of these splits. "test" has
            photographs that no row of the other two has.
        test_views (`int`, *optional*, defaults to 0): rows with the photographs of "test" and other views of the
            objects.
        test_objects (`int`, *optional*, defaults to 0): rows with the photographs of "test" and objects of names that
            no other split has.
        photographs, objects, seed, jitter, width, height, masks, references: see [`PhotoSettings`].
    """

    SPLITS, SETTINGS, LICENSE = PHOTO_SPLITS, PhotoSettings, "other"

    name: str = "photos"
    test_views: int = 0
    test_objects: int = 0
    photographs: str | None = None
    objects: str | None = None
    width: int = photos.WIDTH
    height: int = photos.HEIGHT


def check_sizes(sizes: dict[str, int]) -> None:
    """Raises a `ValueError` unless the numbers of rows by split are whole, not negative, and not all 0."""
    for split, rows in sizes.items():
        check_whole(split, rows, 0, 10**8 - 1)
    if not any(sizes.values()):
        raise ValueError(f"{', '.join(f'{split}=0' for split in sizes)}: at least one split needs rows")
