"""CLEVR-Change: rendered scenes with one change or none, and always another viewpoint."""

import re
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from ..common.row import NO_CHANGE
from .base import BenchmarkConfig, BenchmarkFilesError, Plan
from .records import Record, first_folder, lists_by_split, read_object

FILES = ("change_captions.json", "no_change_captions.json", "splits.json", "type_mapping.json")
TYPES = {"material": "texture"}  # the papers' word


@dataclass
class ClevrChangeConfig(BenchmarkConfig):
    """
    Configuration "clevr_change" (Park et al., "Robust Change Captioning", ICCV 2019). Every scene gives two pairs: the
    changed one (`images/` and `sc_images/`; color, texture, move, add, drop) and the unchanged one (`images/` and
    `nsc_images/`; none). 79,606 pairs of 39,803 scenes.

    Layout: `images/ sc_images/ nsc_images/ change_captions.json no_change_captions.json splits.json
    type_mapping.json` in `data_dir` or `data/`.

    Args:
        unchanged (`bool`, *optional*, defaults to `True`): whether to take the unchanged pairs as well.
        data_dir, on_error: see [`BenchmarkConfig`].
    """

    name: str = "clevr_change"
    unchanged: bool = True

    TITLE = "CLEVR-Change"
    SOURCES = ("https://github.com/Seth-Park/RobustChangeCaptioning (link to the archive in its README)",)
    HOMEPAGE = "https://github.com/Seth-Park/RobustChangeCaptioning"
    LICENSE = "none stated"
    CITATION = """@inproceedings{park2019robust,
  title={Robust Change Captioning},
  author={Park, Dong Huk and Darrell, Trevor and Rohrbach, Anna},
  booktitle={ICCV},
  year={2019}
}"""
    COUNTS = {"train": 67660, "validation": 3976, "test": 7970}

    def read(self, root: Path) -> Plan:
        folder = first_folder(root, ("", "data"), FILES, self)
        annotations = [folder / name for name in FILES]
        changed, unchanged, splits, types = map(read_object, annotations)
        changed, unchanged = (
            {_scene(file, name): file.texts(name) for name in file.values} for file in (changed, unchanged)
        )
        type_of = {_scene(types, name): TYPES.get(kind, kind) for kind in types.values for name in types.items(kind)}
        plan = Plan({}, annotations)
        for split, scenes in lists_by_split(splits).items():
            plan.pairs[split] = []
            for scene in (_scene(splits, name) for name in scenes):
                if scene not in changed or scene not in type_of:
                    where = FILES[0] if scene not in changed else FILES[3]
                    raise BenchmarkFilesError(f"{folder / where} does not know scene {scene} of split {split!r}")
                self._add(plan, split, folder, scene, "semantic", "sc_images", changed[scene], type_of[scene])
                if self.unchanged:
                    said = unchanged.get(scene, ())
                    self._add(plan, split, folder, scene, "nonsemantic", "nsc_images", said, NO_CHANGE)
        return plan

    def _add(self, plan, split, folder, scene, word, images, captions, category):
        if not captions:
            plan.drop(split, "no caption")
            return
        pair = folder / "images" / f"CLEVR_default_{scene:06d}.png", folder / images / f"CLEVR_{word}_{scene:06d}.png"
        name = f"{scene:06d}" if category != NO_CHANGE else f"{scene:06d}_n"
        plan.pairs[split].append(Pair(name, *pair, captions, category, category != NO_CHANGE))


def _scene(file: Record, name: str | int) -> int:
    """Number of a scene: 7, "000007", "CLEVR_default_000007.png", "CLEVR_semantic_000007.png"."""
    digits = re.findall(r"\d+", str(name))
    if len(digits) != 1:
        file.fail(str(name), "is not a scene of CLEVR-Change: it should have one number")
    return int(digits[0])
