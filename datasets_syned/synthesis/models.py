"""The editor, the filters and the paraphraser that settings name, and the stages that they do."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .captioning import Captioning
from .editing import Editing
from .editors import load_editor
from .filters import describe, load_filters
from .folder import CAPTION, EDIT, SCORE, SELECT, RunFolder
from .scoring import Scoring
from .settings import Settings
from .sources import Source, load_source
from .stage import Stage

USES = {EDIT: "editor", SCORE: "filters", CAPTION: "paraphraser", SELECT: "filters"}


def open_model(kind: str, settings: Settings, own: Mapping[str, Any]) -> Any:
    """
    Opens what settings name; no weights are loaded.

    Raises:
        ValueError: there is no such model, or it does not take what it is given.
    """
    if own.get(kind) is not None:
        return own[kind]
    if kind == "filters":
        return load_filters(settings.filters, **settings.filter_options)
    name, options = getattr(settings, kind), getattr(settings, f"{kind}_options")
    if not name:
        return None
    if kind == "editor":
        return load_editor(name, **options)
    from .paraphrasers import load_paraphraser

    return load_paraphraser(name, **options)


def open_source(settings: Settings, split: str) -> Source:
    """Opens the source of a split. Raises a `ValueError` if it cannot be had, or has no images after the change."""
    wanted = settings.splits[split]
    source = load_source(wanted.source)
    if not wanted.variants and not source.edited:
        raise ValueError(f"splits.{split}: the source has no images after the change, so it needs variants")
    return source


def made_by(
    models: Mapping[str, Any], settings: Settings, record: Mapping[str, Any] | None, own: Mapping[str, Any]
) -> dict[str, Any]:
    """
    What a record says of the models that settings name. Those that a run does not use, and are not in `models`, are
    as the record has them, unless the settings name others.
    """
    found, now = {}, json.loads(json.dumps(settings.as_dict(), default=str))
    for kind, options in (("editor",) * 2, ("paraphraser",) * 2, ("filters", "filter")):
        names = (kind, f"{options}_options")
        if kind not in models and record and all(record["settings"][name] == now[name] for name in names):
            if kind in record["made_by"]:
                found[kind] = record["made_by"][kind]
            continue
        model = models[kind] if kind in models else open_model(kind, settings, own)
        if kind == "filters":
            found[kind] = describe(model)
        elif model is not None:
            looks = {"from_images": True} if getattr(model, "from_images", False) else {}
            found[kind] = {"id": model.id, "revision": model.revision, "parameters": dict(model.parameters), **looks}
    return found


def stages_of(run: RunFolder, models: dict[str, Any], source: Callable[[str], Source]) -> list[Stage]:
    """
    All stages of a run between the plan and the selection, in order. Each takes its model, if it is open, out of
    `models`, so that it can be freed.
    """
    who = run.record["made_by"]
    filters = {one.name: one for one in models.pop("filters", ())}
    found: list[Stage] = [Editing(models.pop("editor", None), source, run.settings.image_format, package_version())]
    found += [Scoring(name, filters.get(name), told) for name, told in who["filters"].items()]
    if "paraphraser" in who:
        found.append(Captioning(models.pop("paraphraser", None), who["paraphraser"], run.settings))
    return found


def package_version() -> str:
    try:
        return version("blip2idc")
    except PackageNotFoundError:  # a copy of the source that is not installed
        return "unknown"
