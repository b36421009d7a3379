"""Rendered scenes with instructions: a source that needs no download."""

from collections.abc import Iterator

import numpy as np

from ...common.ranges import check_number, check_whole
from ...common.splits import SPLITS
from ...scenes.captions import refer
from ...scenes.changes import CATEGORIES, sample_change
from ...scenes.instructions import instruct
from ...scenes.pair import HEIGHT, MAX_ATTEMPTS, MIN_VISIBLE, WIDTH
from ...scenes.render import in_frame, render
from ...scenes.scene import sample_view
from ...scenes.scene_text import png_of_scene
from .protocol import SourceRow

KINDS = [category for category in CATEGORIES if category != "none"]
OTHER_THAN_PAIRS = 1  # in the seed: these are not the scenes of `load_dataset("syned", "scenes")`


class SceneSource:
    """
    Scenes like those of the embedded benchmark, but not the same, and for each an instruction that
    [`ProceduralEditor`] understands. The kinds of change take turns.

    Args:
        split (`str`, *optional*, defaults to `"train"`): "train", "validation" or "test"; they share no scene.
        rows (`int`, *optional*, defaults to 1000): how many.
        seed (`int`, *optional*, defaults to 0): of the whole source.
        jitter (`float`, *optional*, defaults to 1.0): how far camera and light differ from scene to scene.
        width, height (`int`, *optional*, defaults to 144 and 96): pixels.

    Raises:
        ValueError: an argument out of its range.
    """

    edited, constant = False, True

    def __init__(
        self,
        split: str = "train",
        rows: int = 1000,
        seed: int = 0,
        jitter: float = 1.0,
        width: int = WIDTH,
        height: int = HEIGHT,
    ):
        if split not in SPLITS:
            raise ValueError(f"source 'scenes': split={split!r} must be one of {', '.join(SPLITS)}")
        check_whole("source 'scenes': rows", rows, 1)
        check_whole("source 'scenes': seed", seed, 0)
        check_whole("source 'scenes': width", width, 16, 2048)
        check_whole("source 'scenes': height", height, 16, 2048)
        check_number("source 'scenes': jitter", jitter, 0, 2)
        self.split, self.count, self.seed, self.jitter = split, rows, seed, float(jitter)
        self.width, self.height = width, height

    def rows(self) -> Iterator[SourceRow]:
        """See [`Source.rows`]."""
        for index in range(self.count):
            _, _, instruction, category = self._scene(index)
            yield SourceRow(index, f"{self.split}-{index:06d}", instruction, category)

    def read(self, index: int, edited: bool = False) -> bytes:
        """See [`Source.read`]."""
        objects, view, *_ = self._scene(index)
        pixels, *_ = render(objects, view, self.width, self.height)
        return png_of_scene(pixels, objects, view)

    def _scene(self, index: int):
        category = KINDS[index % len(KINDS)]
        for attempt in range(MAX_ATTEMPTS):
            rng = np.random.default_rng([self.seed, OTHER_THAN_PAIRS, SPLITS.index(self.split), index, attempt])
            change, view, phrasing = sample_change(rng, category), sample_view(rng, self.jitter), int(rng.integers(3))
            if change is None or not in_frame(change.before, view, self.height / self.width):
                continue
            instruction = instruct(change, phrasing)
            if instruction is None or any(refer(obj, change.before) is None for obj in change.before):
                continue
            *_, rays = render(change.before, view, self.width, self.height)
            if (rays[:, 0] >= MIN_VISIBLE * rays[:, 1]).all():
                return change.before, view, instruction, category
        raise RuntimeError(f"no valid scene for seed={self.seed} split={self.split!r} index={index}")
