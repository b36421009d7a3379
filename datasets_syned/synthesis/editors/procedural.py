"""An editor of rendered scenes: renders them anew with the change that it is told, and fails as editors do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import PIL
from PIL import Image

from ...common.ranges import check_number, check_whole
from ...scenes.changes import MOVE_DISTANCE
from ...scenes.instructions import Instruction, find, read_instruction
from ...scenes.pair import MIN_VISIBLE
from ...scenes.render import in_frame, render
from ...scenes.scene import COLORS, MATERIALS, SHAPES, SIZES, SceneObject, place
from ...scenes.scene_text import scene_of
from .protocol import EditError

ATTEMPTS = 60  # places that are tried for an object
LIGHT = 0.04  # how far the strength of the light drifts: no editor returns the pixels that it was given
ATTRIBUTES = SIZES, COLORS, MATERIALS, SHAPES
MISTAKES = ("nothing", "another object", "too much")


class ProceduralEditor:
    """
    Edits scenes that this package rendered (`--source scenes`), which carry what they show in their PNG file. A part
    of its edits goes wrong, in one of three ways that are equally frequent: nothing changes; another object is changed
    than the one that was named; something else changes as well. The default share is a choice, not a measurement.

    Args:
        failure_rate (`float`, *optional*, defaults to 0.3): share of edits that go wrong, 0 to 1.
        batch_size (`int`, *optional*, defaults to 8): images of a call.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> ProceduralEditor(failure_rate=0).edit([scene], ["paint the small red metal cube blue"], [7])
    """

    id, revision = "procedural", "1"

    def __init__(self, failure_rate: float = 0.3, batch_size: int = 8):
        check_number("failure_rate", failure_rate, 0, 1)
        check_whole("batch_size", batch_size, 1)
        self.failure_rate, self.batch_size = float(failure_rate), batch_size

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"steps": None, "guidance": None, "image_guidance": None, "failure_rate": self.failure_rate}

    @property
    def versions(self) -> Mapping[str, str]:
        return {"numpy": np.__version__, "pillow": PIL.__version__}

    def load(self) -> None:
        """Nothing is to be loaded."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image | EditError]:
        """See [`Editor.edit`]."""
        return [self._edit(*each) for each in zip(images, instructions, seeds, strict=True)]

    def _edit(self, image: Image.Image, text: str, seed: int) -> Image.Image | EditError:
        scene, told = scene_of(image), read_instruction(text)
        if scene is None:
            return EditError("the image does not say which scene it shows: this editor edits `--source scenes` alone")
        if told is None:
            return EditError(f"not understood: {text!r}")
        objects, view = scene
        target = None if told.category == "add" else find(told.phrase, objects)
        if target is None and told.category != "add":
            return EditError(f"there is no {told.phrase} in the scene")
        rng = np.random.default_rng(seed)
        mistake = MISTAKES[rng.integers(len(MISTAKES))] if rng.random() < self.failure_rate else None
        azimuth, elevation, strength = view.light
        view = replace(view, light=(azimuth, elevation, strength * (1 + LIGHT * rng.uniform(-1, 1))))
        others = [obj for obj in objects if obj is not target]
        for _ in range(ATTEMPTS):
            edited = objects
            if mistake == "another object":
                edited = _carry_out(rng, told, others[rng.integers(len(others))], objects)
            elif mistake != "nothing":
                edited = _carry_out(rng, told, target, objects)
            if mistake == "too much" and edited:
                edited = _recolor(rng, edited, objects)
            if edited and in_frame(edited, view, image.height / image.width):
                pixels, _, rays = render(edited, view, *image.size)
                if (rays[:, 0] >= MIN_VISIBLE * rays[:, 1]).all():
                    return Image.fromarray(pixels)
        return EditError("there is no place for it in the scene")


def _carry_out(
    rng: np.random.Generator, told: Instruction, target: SceneObject | None, objects: tuple[SceneObject, ...]
) -> tuple[SceneObject, ...] | None:
    """The objects after the change; `None` where this draw found no place."""
    if told.category == "add":
        # of a mistaken "add", another object than was asked for appears
        words = told.phrase.split() if target is None else [str(rng.choice(list(v))) for v in ATTRIBUTES]
        new = place(rng, list(objects), **dict(zip(("size", "color", "material", "shape"), words, strict=True)))
        return new and (*objects, new)
    others = [obj for obj in objects if obj is not target]
    if told.category == "drop":
        return tuple(others)
    if told.category == "move":
        keep = {name: getattr(target, name) for name in ("shape", "color", "material", "size", "angle")}
        new = place(rng, others, min_distance_to=(target.x, target.y, MOVE_DISTANCE), **keep)
    else:
        new = replace(target, **{"color" if told.category == "color" else "material": told.value})
    return new and tuple(new if obj is target else obj for obj in objects)


def _recolor(
    rng: np.random.Generator, edited: tuple[SceneObject, ...], objects: tuple[SceneObject, ...]
) -> tuple[SceneObject, ...]:
    """One of the objects that the edit left alone has another color."""
    k = int(rng.choice([i for i, obj in enumerate(edited) if any(obj is other for other in objects)]))
    colors = [color for color in COLORS if color != edited[k].color]
    return (*edited[:k], replace(edited[k], color=colors[rng.integers(len(colors))]), *edited[k + 1 :])
