"""What a run is to make: read from a recipe and the command line, checked before anything is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..benchmarks import CONFIGS
from ..common.ranges import check_whole
from ..common.splits import SPLITS
from ..loading.registration import NAME
from ..loading.specs import place_spec
from .editors import COMPOSITE
from .paraphrasers import GRAMMAR

SECTION = "synthesis"  # of a recipe that also says how to train on what was made
FORMATS = ("png", "jpeg")
BALANCES = ("category",)
STAGES = ("plan", "edit", "score", "caption", "select")
OF_FILTERS = ("clip_model", "dino_model", "device")


@dataclass(frozen=True)
class SplitSettings:
    """
    One split of what is made.

    Args:
        source (`dict`): see [`load_source`].
        variants (`int`, *optional*, defaults to 8): edited images per source image, by default as many as in the
            paper; 0 takes the source's own pairs.
        paraphrases (`int`, *optional*, defaults to 0): further captions per pair, besides the instruction.
        limit (`int`, *optional*): how many rows of the source are taken, of those that can be used.
        balance (`str`, *optional*): "category" takes the rows of all categories in turn.
        published (`int`, *optional*): rows that the source has according to who published it, for a dry run without
            the source's files.
    """

    source: Mapping[str, Any]
    variants: int = 8
    paraphrases: int = 0
    limit: int | None = None
    balance: str | None = None
    published: int | None = None

    def __post_init__(self):
        if not isinstance(self.source, Mapping) or not isinstance(self.source.get("path"), str):
            raise ValueError(f"source={self.source!r} must name a source, such as {{path: scenes}}")
        check_whole("variants", self.variants, 0, 1000)
        check_whole("paraphrases", self.paraphrases, 0, 20)
        for name in ("limit", "published"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)
        if self.balance not in (None, *BALANCES):
            raise ValueError(f"balance={self.balance!r} must be one of {', '.join(BALANCES)}")


@dataclass(frozen=True)
class Settings:
    """
    What decides which rows a run makes.

    Args:
        splits (`dict[str, SplitSettings]`): by name: train, validation, test.
        editor (`str`, *optional*): see [`load_editor`]; needed if any split has variants.
        editor_options (`dict`, *optional*): its arguments.
        paraphraser (`str`, *optional*): see [`load_paraphraser`]; needed if any split has paraphrases.
        paraphraser_options (`dict`, *optional*): its arguments.
        filters (*optional*): see [`load_filters`]; none by default, as in the paper.
        filter_options (`dict`, *optional*): its other arguments: `clip_model`, `dino_model`, `device`.
        seed (`int`, *optional*, defaults to 0): of the whole run.
        image_format (`str`, *optional*, defaults to `"png"`): of the edited images; "jpeg" takes less place and
            leaves traces that the source image does not have.
        sources_per_part (`int`, *optional*, defaults to 8): source images of a part: what an interrupted run may have
            to do again, per process. Batches do not reach over it. A run keeps that with which it began.
        rows_per_shard (`int`, *optional*, defaults to 1024): of a Parquet file of the result, before rows are dropped.
    """

    splits: Mapping[str, SplitSettings]
    editor: str | None = None
    editor_options: Mapping[str, Any] = field(default_factory=dict)
    paraphraser: str | None = None
    paraphraser_options: Mapping[str, Any] = field(default_factory=dict)
    filters: Any = None
    filter_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    image_format: str = "png"
    sources_per_part: int = 8
    rows_per_shard: int = 1024

    def __post_init__(self):
        if not self.splits:
            raise ValueError("no split is to be made: name a source")
        if unknown := [name for name in self.splits if name not in SPLITS]:
            raise ValueError(f"splits: {unknown[0]!r} is none of {', '.join(SPLITS)}")
        check_whole("seed", self.seed, 0, 2**63 - 1)
        check_whole("sources_per_part", self.sources_per_part, 1)
        check_whole("rows_per_shard", self.rows_per_shard, 1)
        if self.image_format not in FORMATS:
            raise ValueError(f"image_format={self.image_format!r} must be one of {', '.join(FORMATS)}")
        for model, needs in (("editor", "variants"), ("paraphraser", "paraphrases")):
            wanted = [name for name, split in self.splits.items() if getattr(split, needs)]
            if wanted and not getattr(self, model):
                raise ValueError(f"{model} is missing: split {wanted[0]!r} has {needs}")
            if not wanted and getattr(self, model):
                raise ValueError(f"{model}={getattr(self, model)!r} has nothing to do: no split has {needs}")
        if unknown := sorted(set(self.filter_options) - set(OF_FILTERS)):
            raise ValueError(f"filter_options has {unknown[0]!r}, which is none of {', '.join(OF_FILTERS)}")

    def as_dict(self) -> dict[str, Any]:
        """All of it, for a file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """Of what [`as_dict`] gave."""
        return cls(**{**values, "splits": {name: SplitSettings(**split) for name, split in values["splits"].items()}})


def settings_from(recipe: Mapping[str, Any], given: Mapping[str, Any], roots: Sequence[str] = ()) -> Settings:
    """
    Settings of a recipe, with what was given on the command line in its place.

    Args:
        recipe (`dict`): fields of [`Settings`], perhaps under "synthesis"; empty for none.
        given (`dict`): fields of [`Settings`]; options are added to those of the recipe. "splits" holds fields of
            [`SplitSettings`] for all splits. Without a recipe, "source" has the arguments of a source, and "split"
            names what is made of it, "train" by default. The editor "composite" has the folders of the first source
            with `objects`, and its captions are of the grammar unless there is another paraphraser.
        roots (`Sequence[str]`): folders of benchmarks, as [`place_spec`] takes them.

    Raises:
        ValueError: names the field, and what would be right.
    """
    recipe = recipe.get(SECTION, recipe)
    for name in ("splits", "editor_options", "paraphraser_options", "filter_options"):
        if not isinstance(recipe.get(name) or {}, Mapping):
            raise ValueError(f"{name} must be a dict, not {recipe[name]!r}")
    values, splits = {**recipe, **given}, recipe.get("splits") or {}
    source, split = values.pop("source", {}), values.pop("split", None)
    for model in ("editor", "paraphraser", "filter"):
        same = given.get(model) in (None, recipe.get(model))  # another model has options of its own
        options = f"{model}_options"
        values[options] = {**(same and recipe.get(options) or {}), **given.get(options, {})}
    if "path" in source and splits:
        raise ValueError(f"source={source['path']!r}: the recipe names its own sources")
    if "path" in source:
        name = split or "train"
        splits = {name: {"source": {**source, **_named(source["path"], source.get("split", name))}}}
    elif split or source:
        raise ValueError(f"{', '.join([*filter(None, [split]), *source])}: goes with a source; the recipe has its own")
    values["splits"] = {name: _split(name, split, given.get("splits", {}), roots) for name, split in splits.items()}
    composed = [split.source for split in values["splits"].values() if "objects" in split.source]
    if values.get("editor") == COMPOSITE and composed:
        folders = {"photographs": composed[0]["path"], "objects": composed[0]["objects"]}
        values["editor_options"] = {**folders, **values["editor_options"]}
        if any(split.paraphrases for split in values["splits"].values()) and not values.get("paraphraser"):
            values["paraphraser"] = GRAMMAR
    return _filled(Settings, "settings", values)


def _split(name: str, split: Any, given: Mapping[str, Any], roots: Sequence[str]) -> SplitSettings:
    if not isinstance(split, Mapping) or "source" not in split:
        raise ValueError(f"splits.{name} has no source: {split!r}")
    source = _named(split["source"], name) if isinstance(split["source"], str) else split["source"]
    if isinstance(source, Mapping) and source.get("path") == NAME:
        source = dict(place_spec(source, roots))
    return _filled(SplitSettings, f"splits.{name}", {**split, **given, "source": source})


def _filled(settings: type, where: str, values: Mapping[str, Any]) -> Any:
    if unknown := sorted(set(values) - (known := {one.name for one in fields(settings)})):
        raise ValueError(f"{where}: unknown {unknown[0]!r}; there are {', '.join(sorted(known))}")
    try:
        return settings(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _named(source: str, split: str) -> dict[str, str]:
    """What a name means: the scenes, a benchmark, or whatever `load_dataset` finds."""
    if source in {config.name for config in CONFIGS} and not Path(source).is_dir():
        return {"path": NAME, "name": source, "split": split}
    return {"path": source, "split": split}
