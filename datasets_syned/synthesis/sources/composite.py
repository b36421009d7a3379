"""Photographs of one's own with cut-outs on them, and instructions that ask for an edit of what they show."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from ...common.images import ImageError
from ...common.ranges import check_number, check_whole
from ...common.row import NO_CHANGE
from ...common.seeds import seed_of
from ...photos.captions import CATEGORIES, Edit
from ...photos.composer import COUNTS, NEED_OBJECTS, Composer, Scene
from ...photos.distractors import shoot
from ...photos.instructions import instructions
from ...photos.material import digest_of
from ...photos.own_material import Composed, own_material, with_composed
from ...photos.pair import MAX_ATTEMPTS
from .images import image_files
from .protocol import SourceError, SourceRow, numbered

KINDS = [category for category in CATEGORIES if category != NO_CHANGE]
BACKGROUNDS = 8  # that an editor may choose from
SIDE = 256  # pixels


class CompositeSource:
    """
    The photographs of a folder, and of those in it, with cut-outs put on them, and for each an instruction that
    [`CompositeEditor`] understands.

    Args:
        path (`str`): folder of photographs. What is in `val/`, `test/`, ... is of that split, all else to train on.
        objects (`str`): folder of named cut-outs: PNG files with alpha. See [`load_objects`].
        split (`str`, *optional*, defaults to `"train"`): see `path`.
        per_image (`int`, *optional*, defaults to 1): rows of each photograph, each with other objects on another part
            of it. All photographs have their first row before one has its second.
        categories (`dict[str, int]`, *optional*): kinds of edit (`KINDS`), each with its share as a whole number:
            `{"add": 2, "color": 1}`. By default all that the material allows, in equal parts.
        seed (`int`, *optional*, defaults to 0): of all rows.
        jitter (`float`, *optional*, defaults to 1.0): how far camera, exposure, colors and compression differ between
            the two images of a pair, 0 to 2.
        width, height (`int`, *optional*, defaults to 256): pixels of each image, 64 to 1024.

    Raises:
        ValueError: an argument is wrong, or a folder has nothing.
        ImageError: names a cut-out that cannot be used.
    """

    edited, constant = False, False

    def __init__(
        self,
        path: str,
        objects: str,
        split: str = "train",
        per_image: int = 1,
        categories: Mapping[str, int] | None = None,
        seed: int = 0,
        jitter: float = 1.0,
        width: int = SIDE,
        height: int = SIDE,
    ):
        self.title = f"source {path!r}"
        check_whole(f"{self.title}: per_image", per_image, 1)
        check_whole(f"{self.title}: seed", seed, 0)
        check_whole(f"{self.title}: width", width, 64, 1024)
        check_whole(f"{self.title}: height", height, 64, 1024)
        check_number(f"{self.title}: jitter", jitter, 0, 2)
        material, folder = own_material(path, objects), Path(path).expanduser()
        cutouts = {os.path.realpath(file) for _, file in material.objects}  # their folder may be one of these
        self.files = [name for name in image_files(folder, split) if os.path.realpath(folder / name) not in cutouts]
        if not self.files:
            raise ValueError(f"{self.title} is no folder with photographs of split {split!r} in it")
        self.material = replace(material, photographs=tuple(self.files))
        self.per_image, self.seed, self.jitter, self.size = per_image, seed, float(jitter), (width, height)
        self.turns = self._turns(categories)

    def _turns(self, categories: Mapping[str, int] | None) -> list[str]:
        """Each kind as often as its share says."""
        few = {"replace": "cut-outs of two names"} if len(self.material.names) < 2 else {}
        few |= {"background": "two photographs"} if len(self.files) < 2 else {}
        if categories is None:
            return [kind for kind in KINDS if kind not in few]
        if not isinstance(categories, Mapping):
            raise ValueError(f"{self.title}: categories={categories!r} must be like {{add: 2, color: 1}}")
        for kind, share in categories.items():
            if kind not in KINDS:
                raise ValueError(f"{self.title}: categories has {kind!r}, which is none of {', '.join(KINDS)}")
            check_whole(f"{self.title}: categories.{kind}", share, 0, 1000)
            if share and kind in few:
                raise ValueError(f"{self.title}: categories has {kind!r}, which needs {few[kind]}")
        turns = [kind for kind in KINDS for _ in range(categories.get(kind, 0))]
        if not turns:
            raise ValueError(f"{self.title}: categories={dict(categories)!r} leaves nothing to do")
        return turns

    def rows(self) -> Iterator[SourceRow]:
        """See [`Source.rows`]."""
        for index in range(self.per_image * len(self.files)):
            *_, edit, instruction = self._draw(index)
            yield SourceRow(index, self._id(index), instruction, edit.category)

    def read(self, index: int, edited: bool = False) -> bytes:
        """See [`Source.read`]. A JPEG file, with what it shows in its comment."""
        composer, scene, edit, _ = self._draw(index)
        name = scene.photograph
        try:
            path = self.material.path_of(name)
            image, mask, _ = composer.render(replace(scene, photograph=path))
            sha256 = digest_of(path)
        except ImageError as error:
            raise SourceError(f"{name} {error.what}") from error
        others = [other for other in self.files if other != name] if edit.category == "background" else []
        backgrounds = [str(other) for other in composer.rng.permutation(others)[:BACKGROUNDS]]
        image.info.clear()  # a comment of the photograph's file would be saved again
        jpeg, _ = shoot(image, mask, composer.margin, composer.rng, self.jitter)
        return with_composed(jpeg, Composed(scene, sha256, self.material.objects_digest, self.jitter, backgrounds))

    def _id(self, index: int) -> str:
        return numbered(self.files[index % len(self.files)], index // len(self.files))

    def _category(self, index: int) -> str:
        """Shares are exact in as many rows as there are turns, whose order is drawn."""
        block, place = divmod(index, len(self.turns))
        return self.turns[_order(self.seed, block, len(self.turns))[place]]

    def _draw(self, index: int) -> tuple[Composer, Scene, Edit, str]:
        """What a row shows, and an edit of it that can be made: a function of seed, index and id."""
        category, seed = self._category(index), seed_of(self.seed, self._id(index), "scene")
        for attempt in range(MAX_ATTEMPTS):
            composer = Composer(self.material, "train", np.random.default_rng([seed, attempt]), self.size, self.jitter)
            count = max(int(category in NEED_OBJECTS), int(composer.rng.choice(len(COUNTS), p=COUNTS)))
            scene = composer.sample_scene(count)
            if scene is None or not composer.visible(scene):
                continue
            scene = replace(scene, photograph=self.files[index % len(self.files)])
            if category == "background":
                return composer, scene, Edit(category), self._say(composer, Edit(category))
            scene, wanted = composer.before_edit(category, scene)
            drawn = composer.edit_scene(category, scene, wanted)
            if drawn is None or not composer.visible(drawn[0]):
                continue
            if said := self._say(composer, drawn[1]):
                return composer, scene, drawn[1], said
        raise ValueError(
            f"{self.title}: in {MAX_ATTEMPTS} draws no {category!r} could be made of {self._id(index)}: the cut-outs "
            "are too wide or too high, or their names cannot be told apart"
        )

    def _say(self, composer: Composer, edit: Edit) -> str:
        said = instructions(edit)
        return said[int(composer.rng.integers(len(said)))] if said else ""


@cache
def _order(seed: int, block: int, count: int) -> list[int]:
    return np.random.default_rng([seed, block]).permutation(count).tolist()
