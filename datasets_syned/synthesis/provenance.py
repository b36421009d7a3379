"""What the provenance of a row says: how its image after the change was made. It names no place of this machine."""

import json
from collections.abc import Mapping
from typing import Any

from ..common.paths_in_text import without_paths
from ..common.row import NO_CHANGE
from .folder import RunFolder

OWN_FIELDS = ("steps", "guidance", "image_guidance")  # of the editor's settings; the others are in a list
UNCHANGED = [{"name": "unchanged", "value": "saved anew and moved"}]


def common_provenance(run: RunFolder, split: str) -> dict[str, Any]:
    """What all edited rows of a split have in common."""
    who, settings = run.record["made_by"], {"image_format": run.settings.image_format}
    editor = who.get("editor") or {"id": None, "revision": None, "parameters": {}}
    settings |= {name: value for name, value in editor["parameters"].items() if name not in OWN_FIELDS}
    if run.settings.splits[split].paraphrases:
        model = who["paraphraser"]
        settings |= {"paraphraser": model["id"], "paraphraser.revision": model["revision"]}
        settings |= {f"paraphraser.{name}": value for name, value in model["parameters"].items()}
    told = [
        {"name": name, "value": without_paths(value if isinstance(value, str) else json.dumps(value))}
        for name, value in settings.items()
        if value is not None
    ]
    own = {name: editor["parameters"].get(name) for name in OWN_FIELDS}
    return {"editor": editor["id"], "revision": editor["revision"], **own, "settings": told}


def provenance_of(row: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any] | None:
    """The provenance of a row of [`part_rows`]; `None` of the source's own pair."""
    own = {name: row[name] for name in ("seed", "instruction", "scores", "versions")}
    if row["category"] == NO_CHANGE and row["versions"] is None:  # no editor made it
        return {**dict.fromkeys(common), **own, "settings": UNCHANGED}
    settings = [*common["settings"], *(row["settings"] or ())]
    return None if row["variant"] is None else {**common, **own, "settings": settings}
