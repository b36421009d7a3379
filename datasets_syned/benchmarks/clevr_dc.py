"""CLEVR-DC: rendered scenes under extreme changes of viewpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from .base import BenchmarkConfig, BenchmarkFilesError, Plan
from .records import kind_of, read_object


@dataclass
class ClevrDCConfig(BenchmarkConfig):
    """
    Configuration "clevr_dc" (Kim et al., "Viewpoint-Agnostic Change Captioning with Cycle Consistency", ICCV 2021).
    48,000 pairs, 8,000 of each of five kinds of change and as many without one. Its files do not name the kind: a pair
    is "none" if all of its captions say that nothing changed, and "change" otherwise.

    Layout: `bef/<name>.png aft/<name>.png captions_dc.json split_dc.json` in `data_dir`; the last one may be called
    `split.json`, as its first authors do. A split lists names; or places in `captions_dc.json`, as the code of
    BLIP2IDC reads it, if not all that it lists are names.
    """

    name: str = "clevr_dc"

    TITLE = "CLEVR-DC"
    SOURCES = ("https://github.com/hsgkim/clevr-dc",)
    HOMEPAGE = "https://github.com/hsgkim/clevr-dc"
    LICENSE = "none stated"
    CITATION = """@inproceedings{kim2021agnostic,
  title={Viewpoint-Agnostic Change Captioning with Cycle Consistency},
  author={Kim, Hoeseong and Kim, Jongseok and Lee, Hyungseok and Park, Hyunsung and Kim, Gunhee},
  booktitle={ICCV},
  year={2021}
}"""

    FILES = ("captions_dc.json", "split_dc.json")

    def read(self, root: Path) -> Plan:
        if (root / "split.json").is_file():
            self.FILES = ("captions_dc.json", "split.json")
        return super().read(root)

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        said = read_object(files[0])
        splits, names = read_object(files[1]).lists_by_split(), list(said.values)
        if not all(str(entry) in said.values for entries in splits.values() for entry in entries):
            try:
                splits = {split: [names[entry] for entry in entries] for split, entries in splits.items()}
            except (IndexError, TypeError):
                raise BenchmarkFilesError(
                    f"{files[1]} lists neither names of {files[0].name} nor places in it (0 to {len(names) - 1})"
                ) from None
        for split, entries in splits.items():
            for name in map(str, entries):
                captions, sides = said.texts(name), (root / side / f"{name}.png" for side in ("bef", "aft"))
                yield split, Pair(name, *sides, captions, *kind_of(captions))
