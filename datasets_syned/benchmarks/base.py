"""What the configurations that read files share: where they look, what they refuse, when a cache is stale."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import datasets

from ..common.image_cells import BenchmarkFilesError, BrokenImageError, Cell, Cells
from ..common.images import MISSING, ImageError, damage, is_inside, printable, read_file, stat_file
from ..common.pairs import Pair, first_few
from ..common.row import FEATURES
from .records import Record, first_folder, read_parquet, shards

logger = datasets.logging.get_logger(__name__)


@dataclass
class Plan:
    """What a benchmark's annotation files say, before any image is read."""

    annotations: list[Path] = field(default_factory=list)  # the files that said it
    parquet: list[Path] = field(default_factory=list)  # Parquet files that said it, or hold the images
    pairs: dict[str, list[Pair]] = field(default_factory=dict)  # by split
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)  # by split and reason: what was left out
    notes: dict[str, dict[str, int]] = field(default_factory=dict)  # likewise: what was mended, and the like
    state: str = ""  # hash of names, sizes and times of the last change of all image and Parquet files

    def add(self, split: str, pair: Pair) -> None:
        """Takes a pair in, if it has a caption."""
        if pair.captions:
            self.pairs.setdefault(split, []).append(pair)
        else:
            self.drop(split, "no caption")

    def drop(self, split: str, reason: str, count: int = 1) -> None:
        """Notes that `count` pairs or records of a split were left out."""
        if count:
            reasons = self.dropped.setdefault(split, {})
            reasons[reason] = reasons.get(reason, 0) + count

    def images(self, kind: type) -> dict[Path | Cell, None]:
        """Every image that is a file (`Path`) or in a Parquet file (`Cell`), once, in order."""
        images = (image for pairs in self.pairs.values() for pair in pairs for image in pair.images)
        return dict.fromkeys(image for image in images if isinstance(image, kind))


@dataclass
class BenchmarkConfig(datasets.BuilderConfig):
    """
    Configuration that reads a benchmark in the layout of its authors. One that has a method `pairs` needs no `read`.

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
    FILES: ClassVar[tuple[str, ...]] = ()  # annotation files
    FOLDERS: ClassVar[tuple[str, ...]] = ("",)  # where these may lie
    COUNTS: ClassVar[dict[str, int]] = {}  # published pairs by split, under the default options
    WITHHELD: ClassVar[dict[str, str]] = {}  # splits that must not be published, and why
    PLACES: ClassVar[frozenset[str]] = frozenset()  # arguments that only say where files are

    def read(self, root: Path) -> Plan:
        """Reads the annotation files under `root`; images are only named."""
        plan = self.find(root)
        for split, pair in self.pairs(root, plan.annotations or plan.parquet):
            plan.add(split, pair)
        return plan

    def find(self, root: Path) -> Plan:
        """The annotation files, which all have to be there."""
        folder = first_folder(root, *self.FOLDERS, holds=self.FILES[0])
        plan = Plan([folder / name for name in self.FILES])
        if missing := [path.name for path in plan.annotations if not path.is_file()]:
            raise self.missing(", ".join(missing), folder)
        return plan

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        """Each pair with its split, also those without a caption, which are left out and counted."""
        raise NotImplementedError

    @property
    def root(self) -> Path:
        if self.data_files:
            raise ValueError(f"config {self.name!r} takes no data_files; name its folder as data_dir")
        if self.data_dir is None:
            raise ValueError(
                f"config {self.name!r} reads the files of {self.TITLE}: give data_dir=<the folder that holds them>. "
                f"{self.sources}."
            )
        root = Path(self.data_dir).expanduser()
        if not root.is_dir():
            raise ValueError(f"data_dir={str(self.data_dir)!r} is not a folder; {self.sources}")
        return root

    def missing(self, files: str, *folders: Path) -> BenchmarkFilesError:
        """The error that files are not there."""
        where = " and ".join(map(str, folders))
        return BenchmarkFilesError(f"config {self.name!r}: {files} missing in {where}. {self.sources}.")

    @property
    def sources(self) -> str:
        """Where the files can be had, in words."""
        return f"{self.TITLE} can be had from {'; or '.join(self.SOURCES)}"

    @cached_property
    def plan(self) -> Plan:
        """The annotation files as they are now, without pairs whose images are missing."""
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"on_error={self.on_error!r} must be 'raise' or 'skip'")
        root = self.root
        plan, top = self.read(root), str(root)
        self._refuse_outside(plan, top)
        wrong, digest = {}, hashlib.sha256()
        looks = ((stat_file, path) for path in plan.images(Path))
        for look, path in (*looks, *((os.stat, path) for path in plan.parquet)):
            try:
                status = look(path)
            except ImageError as error:
                wrong[path] = error.what
            else:
                place = printable(path).removeprefix(top)
                digest.update(f"{place}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
        plan.state = digest.hexdigest()
        self._without(plan, wrong)
        return plan

    def _refuse_outside(self, plan: Plan, root: str) -> None:
        """Refuses image files not in `root`, as their paths are written: records may name any file of this machine."""
        for split, pairs in plan.pairs.items():
            for pair in pairs:
                for path in pair.images:
                    if isinstance(path, Path) and not is_inside(path, root):
                        raise BenchmarkFilesError(
                            f"config {self.name!r}, split {split!r}, id {pair.id!r}: {printable(path)!r} is not in "
                            f"{root}. A row may name images of its own folder only."
                        )

    def _without(self, plan: Plan, wrong: dict[Path | Cell, str]) -> None:
        """Refuses wrong images, or leaves out their pairs."""
        if not wrong:
            return
        shown = first_few([f"{printable(path)} {what}" for path, what in wrong.items()])
        message = "\n  ".join([f"config {self.name!r}: {len(wrong)} image files are missing or broken", *shown])
        if self.on_error == "raise":
            raise BrokenImageError(f"{message}\n{self.sources}. on_error='skip' leaves their pairs out.")
        logger.warning(f"{message}\nTheir pairs are left out.")
        for split, pairs in plan.pairs.items():
            plan.pairs[split] = []
            for pair in pairs:
                if found := [wrong[path] for path in pair.images if path in wrong]:
                    plan.drop(split, "image missing" if MISSING in found else "image broken")
                else:
                    plan.pairs[split].append(pair)
        if not any(plan.pairs.values()):
            raise BenchmarkFilesError(f"{message}\nNo pair is left. {self.sources}.")

    def check_images(self, cells: bool = False) -> None:
        """
        Reads every image file, and refuses broken ones. With `on_error="skip"` it makes sure that each can be decoded,
        and leaves out the pairs of those that cannot. `cells` adds the images in Parquet files, which are looked at
        anyway while rows are built.
        """
        reader = Cells()

        def look(image: Path | Cell) -> str | None:
            try:
                content = read_file(image) if isinstance(image, Path) else reader.read(image)[0]
            except ImageError as error:
                return error.what
            return damage(content, thorough=self.on_error == "skip")

        files, inside = self.plan.images(Path), self.plan.images(Cell) if cells else {}
        with ThreadPoolExecutor() as pool:
            found = zip((*files, *inside), (*pool.map(look, files), *map(look, inside)), strict=True)
            self._without(self.plan, {image: what for image, what in found if what})

    def create_config_id(self, config_kwargs: dict, custom_features: datasets.Features | None = None) -> str:
        # Names the cache folder by the content of the annotation files and the state of every image file, so that an
        # edit of any of them is seen.
        digest = hashlib.sha256(repr(sorted(self.options.items())).encode())
        for path in self.plan.annotations:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        digest.update(f"{self.plan.state}{custom_features or ''}".encode())
        return f"{self.name}-{digest.hexdigest()[:16]}"

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that decide which rows there are."""
        own = set(self.__dataclass_fields__) - set(datasets.BuilderConfig.__dataclass_fields__)
        return {name: getattr(self, name) for name in own - self.PLACES}

    @property
    def features(self) -> datasets.Features:
        return FEATURES


@dataclass
class HubConfig(BenchmarkConfig):
    """
    Configuration that reads Parquet files, in a local folder or on the Hub. One whose rows are a pair each needs a
    method `pair` alone.

    Args:
        repo (`str`, *optional*): the dataset repository on the Hub from which they are downloaded, unless there is a
            `data_dir`; `"name@revision"` for a branch, a tag or a commit. (The library keeps `revision=` to itself.)
        data_dir, on_error: see [`BenchmarkConfig`].
    """

    repo: str | None = None

    HUB_FILES: ClassVar[tuple[str, ...]] = ()  # patterns of the files to download
    SHARDS: ClassVar[dict[str, str]] = {}  # how the names of a split's Parquet files begin
    ABSENT: ClassVar[tuple[str, ...]] = ()  # splits that need not be there
    COLUMNS: ClassVar[tuple[str, ...]] = ()  # of the files, but the images
    IMAGES: ClassVar[tuple[str, ...]] = ()
    PLACES = frozenset({"repo"})

    def read(self, root: Path) -> Plan:
        plan = super().read(root)
        for split, pairs in plan.pairs.items():
            first = {}
            if twice := [pair for pair in pairs if first.setdefault(pair.id, pair) is not pair]:
                shown = "\n  ".join(first_few([f"{pair.id}: {pair.before}" for pair in twice]))
                raise BenchmarkFilesError(
                    f"config {self.name!r}, split {split!r}: {len(twice)} ids are there twice, again in\n  {shown}"
                )
        return plan

    def find(self, root: Path) -> Plan:
        files = {split: shards(root, prefix) for split, prefix in self.SHARDS.items()}
        if needed := [split for split in files if not files[split] and split not in self.ABSENT]:
            names = ", ".join(f"{self.SHARDS[split]}-*.parquet" for split in needed)
            raise self.missing(names, root, root / "data")
        return Plan(parquet=sum(files.values(), []), pairs={split: [] for split in files if files[split]})

    def by_split(self, files: Sequence[Path]) -> dict[str, list[Path]]:
        """Parquet files by the split that their names say."""
        return {
            split: [file for file in files if file.name.startswith(f"{prefix}-")]
            for split, prefix in self.SHARDS.items()
        }

    def pairs(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Pair]]:
        for split, some in self.by_split(files).items():
            for record, images in read_parquet(some, self.COLUMNS, self.IMAGES):
                yield split, self.pair(record, *images)

    def pair(self, record: Record, *images: Cell) -> Pair:
        """The pair of a row."""
        raise NotImplementedError

    @property
    def root(self) -> Path:
        return super().root if self.data_dir is not None or self.data_files or not self.repo else self._snapshot

    @cached_property
    def _snapshot(self) -> Path:
        # imported here: a local copy needs no client
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        name, _, revision = self.repo.partition("@")
        where = {"repo_type": "dataset", "revision": revision or None, "allow_patterns": list(self.HUB_FILES)}
        try:
            return Path(snapshot_download(name, **where))
        except (OSError, HfHubHTTPError, HFValidationError) as error:
            raise BenchmarkFilesError(
                f"config {self.name!r}: repo={self.repo!r} cannot be had from the Hub: "
                f"{error}\nA local copy is read with data_dir=<its folder>."
            ) from error
