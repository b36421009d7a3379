"""Birds-to-Words: photographs of two birds, and paragraphs that compare them."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from ..common.splits import SPLITS
from .base import BenchmarkConfig
from .records import Record, kind_of


@dataclass
class BirdsToWordsConfig(BenchmarkConfig):
    """
    Configuration "birds_to_words" (Forbes et al., EMNLP 2019). The paragraphs of all writers are the captions of one
    pair. Its category is how the second photograph was chosen (`img2Selection`: visual, sameSpecies, sameGenus, ...).

    Layout: `birds-to-words-v1.0.tsv`, whose columns are those of the authors' README, in `data_dir`. The authors give
    URLs instead of images: put the photographs into `images/` as `<number of the photograph>.jpg`, where the number is
    that in the URL (`.../photos/647514/large.jpg` is `images/647514.jpg`). Not verified: whether the file quotes its
    cells (they are read as they are), and the number of pairs by split (3,347 in all, says the paper).
    """

    name: str = "birds_to_words"

    TITLE = "Birds-to-Words"
    SOURCES = ("https://github.com/google-research-datasets/birds-to-words (texts, and the URLs of the images)",)
    HOMEPAGE = "https://github.com/google-research-datasets/birds-to-words"
    LICENSE = "cc-by-sa-4.0"  # of the texts; each photograph has its own
    CITATION = """@inproceedings{forbes2019neural,
  title={Neural Naturalist: Generating Fine-Grained Image Comparisons},
  author={Forbes, Maxwell and Kaeser-Chen, Christine and Sharma, Piyush and Belongie, Serge},
  booktitle={EMNLP},
  year={2019}
}"""

    FILES = ("birds-to-words-v1.0.tsv",)

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        found = {split: {} for split in SPLITS}
        with open(files[0], encoding="utf-8-sig", newline="") as file:
            for number, values in enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 2):
                record = Record(f"{files[0]}, line {number}", values)
                photos = tuple(_photo(record, f"img{side}ImgURL") for side in (1, 2))
                captions = found[record.split()].setdefault((*photos, record.text("img2Selection")), [])
                captions.append(record.text("description"))
        for split, paragraphs in found.items():
            for (*photos, kind), captions in paragraphs.items():
                sides = (root / "images" / f"{photo}.jpg" for photo in photos)
                yield split, Pair("-".join(photos), *sides, captions, *kind_of(captions, kind))


def _photo(record: Record, key: str) -> str:
    number = re.search(r"/photos/(\d+)/", record.text(key))
    return number[1] if number else record.fail(key, "must be like https://static.inaturalist.org/photos/7/large.jpg")
