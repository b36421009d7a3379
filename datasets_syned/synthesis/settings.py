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
from .sources import SCENES

SECTION = "synthesis"  # of a recipe that also says how to train on what was made
FORMATS = ("png", "jpeg")
BALANCES = ("category",)
STAGES = ("plan", "edit", "score", "caption", "select")
VARIANTS = 8  # of the paper
MODELS = ("editor", "paraphraser")
OF_SOURCE = ("columns", "instructions", "per_image", "unchanged")
OPTIONS = ("editor_options", "paraphraser_options", "filter_options")
OF_FILTERS = ("clip_model", "dino_model", "device")


@dataclass(frozen=True)
class SplitSettings:
    """
    One split of what is made.

    Args:
        source (`dict`): see [`load_source`].
        variants (`int`, *optional*, defaults to 8): edited images per source image; 0 takes the source's own pairs.
        paraphrases (`int`, *optional*, defaults to 0): further captions per pair, besides the instruction.
        limit (`int`, *optional*): how many rows of the source are taken, of those that can be used.
        balance (`str`, *optional*): "category" takes the rows of all categories in turn.
        published (`int`, *optional*): rows that the source has according to who published it, for a dry run without
            the source's files.
    """

    source: Mapping[str, Any]
    variants: int = VARIANTS
    paraphrases: int = 0
    limit: int | None = None
    balance: str | None = None
    published: int | None = None

    def check(self, name: str) -> None:
        if not isinstance(self.source, Mapping) or not isinstance(self.source.get("path"), str):
            raise ValueError(f"{name}.source={self.source!r} must name a source, such as {{path: scenes}}")
        ranges = {"variants": (0, 1000), "paraphrases": (0, 20), "limit": (1, 10**9), "published": (1, 10**9)}
        for key, limits in ranges.items():
            if getattr(self, key) is not None or key in ("variants", "paraphrases"):
                check_whole(f"{name}.{key}", getattr(self, key), *limits)
        if self.balance not in (None, *BALANCES):
            raise ValueError(f"{name}.balance={self.balance!r} must be one of {', '.join(BALANCES)}")


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
        for name, split in self.splits.items():
            if name not in SPLITS:
                raise ValueError(f"splits: {name!r} is none of {', '.join(SPLITS)}")
            split.check(f"splits.{name}")
        for name, low, high in (("seed", 0, 2**63 - 1), ("sources_per_part", 1, 10**6), ("rows_per_shard", 1, 10**7)):
            check_whole(name, getattr(self, name), low, high)
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


def settings_from(recipe: Mapping[str, Any], given: Mapping[str, Any], roots: Sequence[str] = ()) -> Settings:
    """
    Settings of a recipe, with what was given on the command line in its place.

    Args:
        recipe (`dict`): fields of [`Settings`], perhaps under "synthesis"; empty for none.
        given (`dict`): fields of [`Settings`] and, for all splits, of [`SplitSettings`]. Options of models and
            filters are added to those of the recipe. Without a recipe: the name of a `source`, the
            `split` to make ("train" by default), `source_split` where that of the source has another name, and what
            [`load_source`] takes of `OF_SOURCE`.
        roots (`Sequence[str]`): folders of benchmarks, as [`place_spec`] takes them.

    Raises:
        ValueError: names the field, and what would be right.
    """
    recipe = recipe.get(SECTION, recipe)
    if not isinstance(recipe, Mapping):
        raise ValueError(f"{SECTION} must be a dict of settings")
    known = {one.name for one in fields(Settings)}
    if unknown := sorted(set(recipe) - known):
        raise ValueError(f"unknown setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
    of_splits = {one.name for one in fields(SplitSettings)}
    for name in (*OPTIONS, "splits"):
        if not isinstance(recipe.get(name) or {}, Mapping):
            raise ValueError(f"{name} must be a dict, not {recipe[name]!r}")
    values = {**recipe, **{name: value for name, value in given.items() if name in known}}
    for model in MODELS:
        options = f"{model}_options"
        if given.get(model) in (None, recipe.get(model)):  # another model has options of its own
            values[options] = {**(recipe.get(options) or {}), **(given.get(options) or {})}
    values["filter_options"] = {**(recipe.get("filter_options") or {}), **(given.get("filter_options") or {})}
    own = {name: value for name, value in given.items() if name in of_splits}
    splits = dict(recipe.get("splits") or {})
    if "source" in own and splits:
        raise ValueError(f"source={own['source']!r}: the recipe names its own sources")
    if "source" in own:
        split = given.get("split", "train")
        source = _named(own["source"], given.get("source_split", split))
        splits = {split: {**own, "source": source | {name: given[name] for name in OF_SOURCE if name in given}}}
    else:
        if useless := [name for name in ("split", "source_split", *OF_SOURCE) if name in given]:
            raise ValueError(f"{useless[0]}={given[useless[0]]!r} goes with a source; the recipe has its own")
        splits = {name: {**_split(name, split), **own} for name, split in splits.items()}
    values["splits"] = {name: _read_split(name, split, roots) for name, split in splits.items()}
    return Settings(**values)


def _split(name: str, split: Any) -> Mapping[str, Any]:
    if not isinstance(split, Mapping):
        raise ValueError(f"splits.{name} must be a dict, not {split!r}")
    return split


def _read_split(name: str, split: Any, roots: Sequence[str]) -> SplitSettings:
    known = {one.name for one in fields(SplitSettings)}
    if unknown := sorted(set(_split(name, split)) - known):
        raise ValueError(f"splits.{name}: unknown {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if "source" not in split:
        raise ValueError(f"splits.{name} has no source")
    source = _named(split["source"], name)
    if isinstance(source, Mapping) and source.get("path") == NAME:
        source = place_spec(source, roots)
    return SplitSettings(**{**split, "source": dict(source) if isinstance(source, Mapping) else source})


def _named(source: Any, split: str) -> Any:
    """What a name means: the scenes, a benchmark, or whatever `load_dataset` finds."""
    if not isinstance(source, str):
        return source
    if source == SCENES:
        return {"path": SCENES, "split": split}
    if source in {config.name for config in CONFIGS} and not Path(source).is_dir():
        return {"path": NAME, "name": source, "split": split}
    return {"path": source, "split": split}
