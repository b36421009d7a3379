"""Birds-to-Words: photographs of two birds, and paragraphs that compare them."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from ..common.pairs import Pair
from ..common.splits import SPLITS, split_named
from .base import BenchmarkConfig, Plan
from .records import Record, first_folder, kind_of

FILE = "birds-to-words-v1.0.tsv"


@dataclass
class BirdsToWordsConfig(BenchmarkConfig):
    """
    Configuration "birds_to_words" (Forbes et al., EMNLP 2019). The paragraphs of all writers are the captions of one
    pair. Its category is how the second photograph was chosen (`img2Selection`: visual, sameSpecies, sameGenus, ...).

    Layout: `birds-to-words-v1.0.tsv`, whose columns are those of the authors' README, in `data_dir`. The authors give
    URLs instead of images: put the photographs into `images/` as `<number of the photograph>.jpg`, where the number is
    that in the URL (`.../photos/647514/large.jpg` is `images/647514.jpg`). Not verified: whether the file quotes its
    cells (they are read as they are), and the number of pairs by split (3,347 in all, says the paper).

    Args: data_dir, on_error, see [`BenchmarkConfig`].
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

    def read(self, root: Path) -> Plan:
        path = first_folder(root, ("",), [FILE], self) / FILE
        plan, found = Plan({}, [path]), {split: {} for split in SPLITS}
        with open(path, encoding="utf-8-sig", newline="") as file:
            for number, values in enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 2):
                record = Record(f"{path}, line {number}", values)
                split = split_named(record.text("split")) or record.fail("split", "must be train, val or test")
                photos = tuple(_photo(record, f"img{side}ImgURL") for side in (1, 2))
                captions = found[split].setdefault(photos, (record.text("img2Selection"), []))[1]
                captions.append(record.text("description"))
        for split, pairs in found.items():
            plan.pairs[split] = []
            for photos, (category, captions) in pairs.items():
                images = (root / "images" / f"{photo}.jpg" for photo in photos)
                pair = Pair("-".join(photos), *images, tuple(captions), *kind_of(captions, category))
                plan.pairs[split].append(pair)
        return plan


def _photo(record: Record, key: str) -> str:
    number = re.search(r"/photos/(\d+)/", record.text(key))
    return number[1] if number else record.fail(key, "must be like https://static.inaturalist.org/photos/7/large.jpg")
