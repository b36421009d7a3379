"""What the configurations that read files share: where they look, what they refuse, when a cache is stale."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import datasets

from ..pairs import Pair, damage
from ..schema import FEATURES

SHOWN = 5  # paths that one message names
logger = datasets.logging.get_logger(__name__)


class BenchmarkFilesError(ValueError):
    """Files of a benchmark are missing or broken."""


@dataclass
class Plan:
    """
    What a benchmark's annotation files say.

    Args:
        pairs (`dict[str, list[Pair]]`): by split.
        annotations (`list[Path]`): the files that said it.
        dropped (`dict[str, dict[str, int]]`): by split, how many pairs or records were left out, by reason.
    """

    pairs: dict[str, list[Pair]]
    annotations: list[Path]
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)

    def drop(self, split: str, reason: str, count: int = 1) -> None:
        """Notes that `count` pairs or records of a split were left out."""
        if count:
            reasons = self.dropped.setdefault(split, {})
            reasons[reason] = reasons.get(reason, 0) + count


@dataclass
class BenchmarkConfig(datasets.BuilderConfig):
    """
    Configuration that reads a benchmark in the layout of its authors.

    Args:
        data_dir (`str`): the folder that holds it.
        on_error (`str`, *optional*, defaults to `"raise"`): what happens to pairs whose images are missing or broken:
            `"raise"` refuses the whole, `"skip"` leaves them out and says how many.
    """

    on_error: str = "raise"

    TITLE: ClassVar[str]
    SOURCES: ClassVar[tuple[str, ...]]  # where the files can be had
    LICENSE: ClassVar[str]
    CITATION: ClassVar[str]
    HOMEPAGE: ClassVar[str] = ""
    COUNTS: ClassVar[dict[str, int]] = {}  # published pairs by split, under the default options
    REDISTRIBUTABLE: ClassVar[str] = ""  # why it must not be published, if so

    def read(self, root: Path) -> Plan:
        """Reads the annotation files under `root`; images are only named."""
        raise NotImplementedError

    @property
    def root(self) -> Path:
        if self.data_files:
            raise ValueError(f"config {self.name!r} takes no data_files; name its folder as data_dir")
        if self.data_dir is None:
            raise ValueError(
                f"config {self.name!r} reads the files of {self.TITLE}: give data_dir=<the folder that holds them>. "
                f"They can be had from {self.sources}."
            )
        root = Path(self.data_dir).expanduser()
        if not root.is_dir():
            raise ValueError(
                f"data_dir={str(self.data_dir)!r} is no folder; {self.TITLE} can be had from {self.sources}"
            )
        return root

    @property
    def sources(self) -> str:
        """Where the files can be had, in words."""
        return "; or ".join(self.SOURCES)

    @cached_property
    def plan(self) -> Plan:
        """The annotation files as they are now, without pairs whose images are missing."""
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"on_error={self.on_error!r} must be 'raise' or 'skip'")
        plan = self.read(self.root)
        self._without(plan, {path: "is missing" for path in _images(plan) if not path.is_file()}, "image missing")
        return plan

    def _without(self, plan: Plan, wrong: dict[Path, str], reason: str) -> None:
        """Refuses wrong images, or leaves out their pairs."""
        if not wrong:
            return
        shown = [f"{path} {what}" for path, what in list(wrong.items())[:SHOWN]]
        more = ["..."] if len(wrong) > SHOWN else []
        message = "\n  ".join([f"config {self.name!r}: {len(wrong)} image files are missing or broken", *shown, *more])
        if self.on_error == "raise":
            raise BenchmarkFilesError(
                f"{message}\n{self.TITLE} can be had from {self.sources}. on_error='skip' leaves their pairs out."
            )
        logger.warning(f"{message}\nTheir pairs are left out.")
        for split, pairs in plan.pairs.items():
            kept = [pair for pair in pairs if not any(path in wrong for path in pair.images)]
            plan.drop(split, reason, len(pairs) - len(kept))
            plan.pairs[split] = kept
        if not any(plan.pairs.values()):
            raise BenchmarkFilesError(f"{message}\nNo pair is left. {self.TITLE} can be had from {self.sources}.")

    def check_images(self) -> None:
        """Looks at the beginning and the end of every image file, once, before anything is built."""
        wrong = {path: what for path in _images(self.plan) if (what := damage(path))}
        self._without(self.plan, wrong, "image broken")

    def create_config_id(self, config_kwargs: dict, custom_features: datasets.Features | None = None) -> str:
        # Names the cache folder by the content of the annotation files and the state of every image file, so that an
        # edit of any of them is seen.
        digest = hashlib.sha256(repr(sorted(self.options.items())).encode())
        for path in self.plan.annotations:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        for path in _images(self.plan):
            state = os.stat(path)
            digest.update(f"{path.relative_to(self.root)}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
        if custom_features is not None:
            digest.update(repr(custom_features).encode())
        return f"{self.name}-{digest.hexdigest()[:16]}"

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that decide which rows there are."""
        own = set(self.__dataclass_fields__) - set(datasets.BuilderConfig.__dataclass_fields__)
        return {name: getattr(self, name) for name in own}

    @property
    def features(self) -> datasets.Features:
        return FEATURES


def _images(plan: Plan) -> Iterable[Path]:
    """Every image file of a plan, once, in order."""
    return dict.fromkeys(path for pairs in plan.pairs.values() for pair in pairs for path in pair.images)


def first_folder(root: Path, names: Iterable[str], files: Iterable[str], config: BenchmarkConfig) -> Path:
    """
    The first of some folders of `root` that holds the first of some files.

    Raises:
        BenchmarkFilesError: names all files that are not there, and where they can be had.
    """
    files = list(files)
    folder = next((root / name for name in names if (root / name / files[0]).is_file()), root)
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise BenchmarkFilesError(
            f"config {config.name!r}: {', '.join(missing)} missing in {folder}. {config.TITLE} can be had from "
            f"{config.sources}."
        )
    return folder


def read_json(path: Path) -> Any:
    """
    Reads a JSON file, with or without a byte order mark.

    Raises:
        BenchmarkFilesError: names the file, and the place where it is broken.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BenchmarkFilesError(f"{path} is no UTF-8 text: {error}") from None
    except json.JSONDecodeError as error:
        raise BenchmarkFilesError(f"{path} is no JSON: {error}") from None
