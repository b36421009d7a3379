"""The dataset builder behind `load_dataset("syned")`."""

import hashlib
import re
import shutil
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.builder import Key

from ..benchmarks import CONFIGS
from ..common.chunks import chunk_path, render_chunks, spans_of
from ..common.image_cells import BrokenImageError
from ..common.pairs import tables
from .rendered import PhotosConfig, RenderedConfig, ScenesConfig

DEFAULT = "scenes"
ROWS_PER_SPAN = 500  # of the configurations that read files: what a process is handed at a time
NOT_IN_ROWS = ("export_examples", "instructions", "scores", "scene_text")  # files beside those that make a row
ROWS_PER_CHUNK = 50  # what an interrupted build may have to render again, per process
RENDERED = {config.name: config for config in (ScenesConfig, PhotosConfig)}


def fingerprint(config: str | None = None) -> str:
    """Hash of the code that decides what the rows of a configuration are, comments aside, or those of all of them."""
    here = Path(__file__).parents[1]
    files = [here / "loading" / "builder.py", here / "common" / "row.py", here / "common" / "splits.py"]
    for name in RENDERED:
        if config in (None, name):
            files.append(here / "common" / "rendered.py")
            files += sorted(path for path in (here / name).glob("*.py") if path.stem not in NOT_IN_ROWS)
    if config not in RENDERED:
        files += [
            here / "common" / f"{name}.py"
            for name in ("caption_text", "image_cells", "image_limits", "images", "pairs")
        ]
        files += sorted((here / "benchmarks").rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(here).as_posix().encode())
        code = re.sub(r"#.*|^\s*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        digest.update(re.sub(r"\s+\n", "\n", code).encode())
    return digest.hexdigest()[:16]


class Syned(datasets.ArrowBasedBuilder):
    """
    Builder of the configurations of `load_dataset("syned", ...)`.

    Rows of "scenes" are first rendered into chunk files beside the cache folder, by `num_proc` processes, then copied
    into the dataset's own files, and the chunks are removed. A build that was interrupted finds the chunks again. Rows
    of the other configurations are the bytes of image files.
    """

    BUILDER_CONFIG_CLASS = ScenesConfig
    BUILDER_CONFIGS = [config(version="1.0.0") for config in (*RENDERED.values(), *CONFIGS)]
    DEFAULT_CONFIG_NAME = DEFAULT

    def __init__(self, *args, config_name: str | None = None, hash: str | None = None, **kwargs):
        # Not the hash of everything: an edit of a benchmark does not make anybody render scenes again.
        name = config_name or DEFAULT
        hash = fingerprint(name) if name in self.builder_configs else hash
        super().__init__(*args, config_name=config_name, hash=hash, **kwargs)

    def _info(self):
        config = self.config
        if not self.renders:
            return datasets.DatasetInfo(
                description=config.__doc__,
                features=config.features,
                homepage=config.HOMEPAGE,
                license=config.LICENSE,
                citation=config.CITATION,
            )
        splits = datasets.SplitDict(dataset_name=self.dataset_name)
        for split, rows in config.sizes.items():
            splits.add(datasets.SplitInfo(split, num_examples=rows))
        return datasets.DatasetInfo(
            description=config.__doc__, features=config.settings.features, splits=splits, license=config.LICENSE
        )

    def _split_generators(self, dl_manager):
        if self.renders:
            return [
                datasets.SplitGenerator(split, gen_kwargs={"split": split, "spans": spans_of(rows, ROWS_PER_CHUNK)})
                for split, rows in self.config.sizes.items()
            ]
        if self.skips_broken:
            self.config.check_images()  # which splits are left has to be known before they are built
        return [
            datasets.SplitGenerator(split, gen_kwargs={"split": split, "spans": spans_of(len(pairs), ROWS_PER_SPAN)})
            for split, pairs in self.config.plan.pairs.items()
            if pairs
        ]

    def _generate_tables(self, split: str, spans: list[tuple[int, int]], folder: Path | None = None):
        schema = self.info.features.arrow_schema
        for shard, span in enumerate(spans):
            if not self.renders:
                parts = self._tables(self.config.plan.pairs[split][slice(*span)])
            elif folder is not None:
                parts = [datasets.Dataset.from_file(str(chunk_path(folder, split, span, ".arrow"))).data.table]
            else:  # streaming
                parts = (
                    pa.Table.from_pylist([self.config.settings.row(split, index)], schema) for index in range(*span)
                )
            for number, part in enumerate(parts):
                yield Key(shard, number), part

    @property
    def renders(self) -> bool:
        """Whether rows are rendered, and not read."""
        return isinstance(self.config, RenderedConfig)

    @property
    def skips_broken(self) -> bool:
        return self.config.on_error == "skip"

    def _tables(self, pairs):
        try:
            yield from tables(pairs, self.skips_broken, self.config.features)
        except BrokenImageError:
            self.config.check_images()  # says it of all files at once
            raise

    @property
    def _chunks(self) -> Path:
        # `_output_dir` is "<folder>.incomplete" while the library builds and holds that folder's lock; it removes it
        # on any interruption, so the chunks lie beside it.
        local = "://" not in self._output_dir
        return Path((self._output_dir if local else self._cache_dir).removesuffix(".incomplete") + ".chunks")

    def _prepare_split(self, split_generator, num_proc=None, **kwargs):
        if self.renders:
            split, spans = split_generator.gen_kwargs["split"], split_generator.gen_kwargs["spans"]
            render_chunks(self._chunks, self.config.settings, split, spans, ".arrow", num_proc)
            split_generator.gen_kwargs["folder"] = self._chunks
            num_proc = None  # the work is done
        super()._prepare_split(split_generator, num_proc=num_proc, **kwargs)

    def _download_and_prepare(self, *args, **kwargs):
        super()._download_and_prepare(*args, **kwargs)
        if self.renders:
            shutil.rmtree(self._chunks)
