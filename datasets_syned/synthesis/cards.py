"""
What cards say of synthetic pairs, as the templates beside it word it: what made them, what was left out. From the
record of the run that made them; or, where there is none, from the provenance of the rows alone.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from jinja2 import Environment, FileSystemLoader

from ..common.markdown import code, plain
from ..common.paths_in_text import without_paths
from ..loading.registration import NAME

TEMPLATES = Path(__file__).parent / "templates"
EDITORS = 20  # shown at most
SETTINGS = ("steps", "guidance", "image_guidance")  # of an editor, that rows tell
# Of the arguments of a source, those that decide rows: these, and numbers. Others may say where files are.
SOURCE_NAMES, SOURCE_PLACES = ("name", "revision", "split"), ("num_proc", "keep_in_memory", "token")
OURS = (NAME, "scenes")  # sources that are not files
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def run_card(run: Mapping[str, Any], sheet: str | None) -> str:
    """
    The card of a run's folder, with the header that lets `load_dataset` and the Hub find the splits.

    Args:
        run (`dict`): content of `summary.json`.
        sheet (`str`, *optional*): path of the contact sheet.
    """
    return render("run.md", run=run, sheet=sheet, mark="##")


def synthesis_section(run: Mapping[str, Any] | None, data: DatasetDict, sheet: str | None) -> str:
    """
    How synthetic pairs were made, for a section of a card; empty if no row is synthetic. It names no place on a
    machine.

    Args:
        run (`dict`, *optional*): content of the run's `summary.json`; without it, the provenance of the rows tells.
        data (`DatasetDict`): the rows, as `load_dataset` gives them.
        sheet (`str`, *optional*): path of the contact sheet from the card.
    """
    made, versions = Counter(), {}
    for split, rows in data.items():
        for row in rows.select_columns(["provenance"]) if "provenance" in rows.column_names else ():
            if told := row["provenance"]:
                made[(split, *(told[name] for name in ("editor", "revision", *SETTINGS)))] += 1
                for one in told.get("versions") or ():
                    versions.setdefault(one["name"], set()).add(one["version"] or "unknown")
    versions = {name: sorted(found) for name, found in sorted(versions.items())}
    if run:
        return render("made_by_run.md", run=run, versions=versions, sheet=sheet, mark="###")
    return render("made_by_rows.md", made=made.most_common(EDITORS), versions=versions, mark="###") if made else ""


def render(template: str, folders: Iterable[Path] = (), **fields: Any) -> str:
    """A template of these folders, or else of this package, filled; without runs of empty lines."""
    env = Environment(loader=FileSystemLoader([*folders, TEMPLATES]), trim_blocks=True, lstrip_blocks=True)
    env.filters |= {"plain": plain, "code": code, "number": "{:,}".format, "without_paths": without_paths}
    env.filters |= {"source": _source, "name": _name, "given": _given}
    return re.sub(r"\n{3,}", "\n\n", env.get_template(template).render(**fields)).strip("\n") + "\n"


def _source(source: Mapping[str, Any]) -> str:
    """A source without the places of its files."""
    path, title = source["path"], code(source["path"])
    if path not in OURS and ("/" not in path or _is_path(path)):  # a way to read files, or a folder
        title = "files of their own"
    told = [f"{name} {code(source[name])}" for name in SOURCE_NAMES if isinstance(source.get(name), str)]
    told += [
        code(f"{name}={value}")
        for name, value in source.items()
        if isinstance(value, int | float) and name not in SOURCE_PLACES
    ]
    return without_paths(f"{title} ({', '.join(told)})" if told else title)


def _is_path(name: str) -> bool:
    """Whether something is a folder of this machine, or looks like one of another, and is not a name on the Hub."""
    return HUB_NAME.fullmatch(name) is None or name.startswith(".") or Path(name).exists()


def _name(model: str) -> str:
    """Of a model on the Hub, or of a folder without the way to it."""
    return re.split(r"[\\/]", model)[-1] if _is_path(model) else model


def _given(parameters: Mapping[str, Any]) -> str:
    given = [code(without_paths(f"{name}={value}")) for name, value in parameters.items() if value not in (None, {})]
    return f", with {', '.join(given)}" if given else ""
