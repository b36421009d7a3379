"""An editor of composed photographs: composes them anew with the edit that it is told."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from ...common.caption_text import says_no_change
from ...common.images import ImageError
from ...common.ranges import check_whole
from ...common.row import NO_CHANGE
from ...photos.captions import OF_OBJECTS, Edit
from ...photos.composer import MIN_VISIBLE, Composer, Scene
from ...photos.distractors import shoot
from ...photos.instructions import read_instruction
from ...photos.material import digest_of
from ...photos.own_material import composed_of, own_material
from ...photos.pair import MAX_ATTEMPTS
from .protocol import EditError

OTHER_BACKGROUND = 20  # mean difference, of 255, that two photographs have at least


class CompositeEditor:
    """
    Edits photographs that this package composed (a source with `objects`), which carry what they show in their JPEG
    file: exactly what the instruction says, under other camera, exposure, colors and compression. Edits of one image
    differ in what the instruction leaves open: the place of a new object, the font of a text.

    Args:
        photographs (`str`): the folder of the source.
        objects (`str`): the folder of its cut-outs.
        batch_size (`int`, *optional*, defaults to 8): images of a call.

    Raises:
        ValueError: an argument out of its range, or no cut-outs.
        ImageError: names a cut-out that cannot be used.

    Example:
        >>> CompositeEditor("photographs/", "cutouts/").edit([image], ["add an apple"], [7])
    """

    id, revision, edits_unchanged = "composite", "1", True

    def __init__(self, photographs: str, objects: str, batch_size: int = 8):
        check_whole("batch_size", batch_size, 1)
        self.material, self.batch_size = own_material(photographs, objects), batch_size

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"objects": self.material.objects_digest[:12]}

    @property
    def versions(self) -> Mapping[str, str]:
        return {"numpy": np.__version__, "pillow": PIL.__version__}

    def load(self) -> None:
        """Nothing is to be loaded."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image | EditError]:
        """See [`Editor.edit`]."""
        found = []
        for each in zip(images, instructions, seeds, strict=True):
            try:
                found.append(self._edit(*each))
            except EditError as error:
                found.append(error)
            except ImageError as error:
                found.append(EditError(f"{Path(error.name).name} {error.what}"))
        return found

    def _edit(self, image: Image.Image, text: str, seed: int) -> Image.Image:
        told = Edit(NO_CHANGE) if says_no_change(text) else read_instruction(text)
        if told is None:
            raise EditError(f"not understood: {text!r}")
        composed = composed_of(image)
        if composed is None:
            raise EditError("the image does not say what it shows: this editor edits a source with objects alone")
        if composed.objects != self.material.objects_digest:
            raise EditError("the image was composed with other cut-outs than these")
        self._check(told, composed.scene)
        before = replace(composed.scene, photograph=self._path_of(composed.scene.photograph, composed.sha256))
        material = replace(self.material, photographs=tuple(map(self._path_of, composed.backgrounds)))
        for attempt in range(MAX_ATTEMPTS):
            composer = Composer(material, "train", np.random.default_rng([seed, attempt]), image.size, composed.jitter)
            if (after := composer.edit_scene(told.category, before, told)) is None:
                continue
            picture, mask, seen = composer.render(after[0])
            if (seen < MIN_VISIBLE).any() or told.category == "background" and _alike(picture, image):
                continue
            picture, mask = composer.edit_picture(told, picture, mask, len(after[0].objects))
            jpeg, _ = shoot(picture, mask, composer.margin, composer.rng, composed.jitter)
            result = Image.open(BytesIO(jpeg)).convert("RGB")
            result.info = {"provenance": self._provenance(told, before, after[0])}
            return result
        raise EditError("there is no place for it in the picture")

    def _check(self, told: Edit, scene: Scene) -> None:
        """Raises an error if the picture does not have what is to be edited, or the cut-outs what is to be added."""
        there, known = [placed.name for placed in scene.objects], self.material.names
        if told.category in OF_OBJECTS and told.category != "add" and told.name not in there:
            raise EditError(f"there is no {told.name} in the picture")
        if (new := {"add": told.name, "replace": told.value}.get(told.category)) is not None and new not in known:
            raise EditError(f"there is no cut-out of {new!r}")

    def _path_of(self, name: str, sha256: str | None = None) -> str:
        path = self.material.path_of(name)
        if sha256 and digest_of(path) != sha256:
            raise EditError(f"{name} is not the photograph any more that the image was composed with")
        return path

    def _provenance(self, told: Edit, before: Scene, after: Scene) -> dict[str, str]:
        """Everything that both images were composed of, as JSON."""

        def scene(one: Scene) -> dict:
            values = asdict(one) | {"photograph": str(Path(one.photograph).relative_to(self.material.folder))}
            for placed in values["objects"]:
                placed["sha256"] = digest_of(self.material.objects[placed["cutout"]][1])
            return values | {"sha256": digest_of(one.photograph)}

        said = {"edit": asdict(told), "before": scene(before), "after": scene(after)}
        return {name: json.dumps(value) for name, value in said.items()}


def _alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures, seen from afar, differ so little that their photographs may be the same."""
    small = [np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float32) for image in (one, other)]
    return float(np.abs(small[0] - small[1]).mean()) < OTHER_BACKGROUND
