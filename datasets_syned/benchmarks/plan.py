"""What a benchmark's annotation files say, before any image is read."""

from dataclasses import dataclass, field
from pathlib import Path

from ..common.image_cells import BenchmarkFilesError, Cell
from ..common.images import is_inside, printable
from ..common.pairs import Pair


@dataclass
class Plan:
    """What a benchmark's annotation files say."""

    pairs: dict[str, list[Pair]]  # by split
    annotations: list[Path]  # the files that said it
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)  # by split and reason: what was left out
    notes: dict[str, dict[str, int]] = field(default_factory=dict)  # likewise: what was mended, and the like
    parquet: list[Path] = field(default_factory=list)  # Parquet files that said it, or hold the images
    state: str = ""  # hash of names, sizes and times of the last change of all image and Parquet files

    def drop(self, split: str, reason: str, count: int = 1) -> None:
        """Notes that `count` pairs or records of a split were left out."""
        if count:
            reasons = self.dropped.setdefault(split, {})
            reasons[reason] = reasons.get(reason, 0) + count

    def images(self, kind: type) -> dict[Path | Cell, None]:
        """Every image that is a file (`Path`) or in a Parquet file (`Cell`), once, in order."""
        images = (image for pairs in self.pairs.values() for pair in pairs for image in pair.images)
        return dict.fromkeys(image for image in images if isinstance(image, kind))

    def refuse_outside(self, root: str, config: str) -> None:
        """Refuses image files not in `root`, as their paths are written: records may name any file of this machine."""
        for split, pairs in self.pairs.items():
            for pair in pairs:
                if outside := [path for path in pair.images if isinstance(path, Path) and not is_inside(path, root)]:
                    raise BenchmarkFilesError(
                        f"config {config!r}, split {split!r}, id {pair.id!r}: {printable(outside[0])!r} is not in "
                        f"{root}. A row may name images of its own folder only."
                    )
