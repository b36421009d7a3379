"""What the configurations that read files share: where they look, what they refuse, when a cache is stale."""

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import datasets

from ..common.image_cells import BenchmarkFilesError, BrokenImageError, Cell, Cells
from ..common.images import ImageError, damage, printable, read_file, wrong_file
from ..common.pairs import Pair, first_few
from ..common.row import FEATURES
from .plan import Plan

MISSING = "is missing"
logger = datasets.logging.get_logger(__name__)


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
    WITHHELD: ClassVar[dict[str, str]] = {}  # splits that must not be published, and why
    PLACES: ClassVar[frozenset[str]] = frozenset()  # arguments that only say where files are

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
        plan.refuse_outside(top, self.name)
        images, wrong, digest = plan.images(Path), {}, hashlib.sha256()
        for path in (*images, *plan.parquet):
            try:
                status = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                wrong[path] = MISSING
            except OSError as error:
                wrong[path] = f"cannot be read: {error.strerror}"
            except ValueError as error:  # a lone surrogate, a zero byte
                wrong[path] = f"cannot be the name of a file: {error}"
            else:
                if path in images and (what := wrong_file(status)):
                    wrong[path] = what
                place = printable(path).removeprefix(top)
                digest.update(f"{place}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
        plan.state = digest.hexdigest()
        self._without(plan, wrong)
        return plan

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

        def look(image):
            try:
                content = read_file(image) if isinstance(image, Path) else reader.read(image)[0]
                return damage(content, thorough=self.on_error == "skip")
            except ImageError as error:
                return error.what

        files = self.plan.images(Path)
        inside = self.plan.images(Cell) if cells else {}
        with ThreadPoolExecutor() as pool:
            found = zip((*files, *inside), (*pool.map(look, files), *map(look, inside)), strict=True)
            self._without(self.plan, {image: what for image, what in found if what})
        reader.close()

    def create_config_id(self, config_kwargs: dict, custom_features: datasets.Features | None = None) -> str:
        # Names the cache folder by the content of the annotation files and the state of every image file, so that an
        # edit of any of them is seen.
        digest = hashlib.sha256(repr(sorted(self.options.items())).encode())
        for path in self.plan.annotations:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        digest.update(self.plan.state.encode())
        if custom_features is not None:
            digest.update(repr(custom_features).encode())
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
    Configuration that reads Parquet files, in a local folder or on the Hub.

    Args:
        repo (`str`, *optional*): the dataset repository on the Hub from which they are downloaded, unless there is a
            `data_dir`; `"name@revision"` for a branch, a tag or a commit. (The library keeps `revision=` to itself.)
        data_dir, on_error: see [`BenchmarkConfig`].
    """

    repo: str | None = None

    HUB_FILES: ClassVar[tuple[str, ...]] = ()  # patterns of the files to download
    PLACES = frozenset({"repo"})

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

    def add(self, plan: Plan, split: str, pairs: Sequence[Pair]) -> None:
        """Takes pairs in as a split, unless two have the same id."""
        first = {}
        if twice := {pair.id: pair.before for pair in pairs if first.setdefault(pair.id, pair) is not pair}:
            shown = "\n  ".join(first_few([f"{name}: {cell}" for name, cell in twice.items()]))
            raise BenchmarkFilesError(
                f"config {self.name!r}, split {split!r}: {len(twice)} ids are there twice, again in\n  {shown}"
            )
        plan.pairs[split] = list(pairs)


def shards(root: Path, prefix: str) -> list[Path]:
    """`<prefix>-*.parquet` of a folder, or else of its `data/`, in order: as many as their names say."""
    files = sorted(root.glob(f"{prefix}-*.parquet")) or sorted((root / "data").glob(f"{prefix}-*.parquet"))
    counted = [re.match(rf"{re.escape(prefix)}-(\d+)-of-(\d+)", file.name) for file in files]
    numbers = {(int(match[1]), int(match[2])) for match in counted if match}
    totals = sorted({total for _, total in numbers})
    wanted = {(number, total) for total in totals for number in range(total)}
    if numbers and (numbers != wanted or len(numbers) != len(files)):
        raise BenchmarkFilesError(
            f"{files[0].parent}: {prefix}-*.parquet are not the files of one split: {len(files)} are there, their "
            f"names count {', '.join(map(str, totals))}"
        )
    return files
