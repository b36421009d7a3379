"""CLEVR-Change: rendered scenes with one change or none, and always another viewpoint."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from ..common.row import NO_CHANGE
from .base import BenchmarkConfig, BenchmarkFilesError
from .records import Record, read_object

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

    FILES = ("change_captions.json", "no_change_captions.json", "splits.json", "type_mapping.json")
    FOLDERS = ("", "data")

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        changed, unchanged, splits, types = map(read_object, files)
        type_of = {
            _scene(types, name): TYPES.get(kind, kind)
            for kind in types.values
            for name in types.value(kind, list, "a list")
        }
        changed, unchanged = (
            {_scene(file, name): file.texts(name) for name in file.values} for file in (changed, unchanged)
        )
        folder = files[0].parent
        for split, scenes in splits.lists_by_split().items():
            for scene in (_scene(splits, name) for name in scenes):
                for path, known in ((files[0], changed), (files[3], type_of)):
                    if scene not in known:
                        raise BenchmarkFilesError(f"{path} does not know scene {scene} of split {split!r}")
                before = folder / "images" / f"CLEVR_default_{scene:06d}.png"
                after = folder / "sc_images" / f"CLEVR_semantic_{scene:06d}.png"
                yield split, Pair(f"{scene:06d}", before, after, changed[scene], type_of[scene])
                if self.unchanged:
                    after = folder / "nsc_images" / f"CLEVR_nonsemantic_{scene:06d}.png"
                    said = unchanged.get(scene, ())
                    yield split, Pair(f"{scene:06d}_n", before, after, said, NO_CHANGE, changed=False)


def _scene(file: Record, name: str | int) -> int:
    """Number of a scene: 7, "000007", "CLEVR_default_000007.png", "CLEVR_semantic_000007.png"."""
    digits = re.findall(r"\d+", str(name))
    if len(digits) != 1:
        file.fail(str(name), "is not a scene of CLEVR-Change: it should have one number")
    return int(digits[0])
