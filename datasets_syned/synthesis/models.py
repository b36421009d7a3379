"""The editor, the paraphraser, the filters and the sources that settings name."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .editors import load_editor
from .filters import describe, load_filters
from .folder import RunFolder
from .parts import PartMaker
from .settings import Settings
from .sources import Source, load_source


def open_maker(settings: Settings, sources: Mapping[str, Source] | None = None, **own: Any) -> PartMaker:
    """
    Opens what settings name. No weights are loaded yet.

    Args:
        settings ([`Settings`]): of a run.
        sources (`dict[str, Source]`, *optional*): by split, if they are open already.
        own: an `editor`, a `paraphraser` or `filters` in place of those that the settings name.

    Raises:
        ValueError: there is no such editor, source, filter, or it does not take what it is given.
    """
    if sources is None:
        sources = {name: load_source(split.source) for name, split in settings.splits.items()}
    for name, split in settings.splits.items():
        if not split.variants and not sources[name].edited:
            raise ValueError(f"splits.{name}: the source has no images after the change, so it needs variants")
    editor, paraphraser, filters = (own.get(name) for name in ("editor", "paraphraser", "filters"))
    if editor is None and settings.editor:
        editor = load_editor(settings.editor, **settings.editor_options)
    if paraphraser is None and settings.paraphraser:
        from .paraphrasers import load_paraphraser

        paraphraser = load_paraphraser(settings.paraphraser, **settings.paraphraser_options)
    if filters is None:
        filters = load_filters(settings.filters, **settings.filter_options)
    return PartMaker(settings, sources, editor, paraphraser, filters, package_version())


def package_version() -> str:
    try:
        return version("blip2idc")
    except PackageNotFoundError:  # a copy of the source that is not installed
        return "unknown"


def made_by(maker: PartMaker) -> dict[str, Any]:
    """What, besides the settings, decides the rows: ids, revisions and parameters of the models. For a JSON file."""
    models = {"editor": maker.editor, "paraphraser": maker.paraphraser}
    described = {
        name: {"id": model.id, "revision": model.revision, "parameters": dict(model.parameters)}
        for name, model in models.items()
        if model is not None
    }
    return described | {"filters": describe(maker.filters)}


def check_captions(folder: RunFolder, maker: PartMaker) -> None:
    """Refuses filters that need descriptions of whole images where the first row of a source has none."""
    needy = [judge.name for judge in maker.filters if judge.needs_captions]
    for split, wanted in folder.settings.splits.items() if needy else ():
        plan = folder.plan(split)
        first = plan.read(0)[0]
        plan.close()
        if wanted.variants and not (first["before_caption"] and first["after_caption"]):
            raise ValueError(
                f"filter {needy[0]!r} compares descriptions of the image before and after the change, and the source "
                f"of split {split!r} has none; name their columns as before_caption and after_caption"
            )
