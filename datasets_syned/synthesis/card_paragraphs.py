"""
What the card of synthetic pairs says of them: what made them, what was left out. From the record of the run that made
them; or, where there is none, from the provenance of the rows alone.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from ..common.markdown import code, plain, table
from ..common.paths_in_text import without_paths
from ..loading.registration import NAME

REASONS, EDITORS = 20, 20  # shown at most
SETTINGS = ("steps", "guidance", "image_guidance")  # of an editor, that rows tell
# Of the arguments of a source, those that decide rows: these, and numbers. Others may say where files are.
SOURCE_NAMES, SOURCE_PLACES = ("name", "revision", "split"), ("num_proc", "keep_in_memory", "token")
OURS = (NAME, "scenes")  # sources that are not files
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
LEGEND = (
    "Sources, and to the right of each what the editor made of it by the instruction above them. Crossed out: left "
    "out, with the reason; red by a filter, brown because something failed."
)
Versions = Mapping[str, Iterable[str]]


def sheet_paragraphs(path: str) -> list[str]:
    """The contact sheet, by its path from the card, and what it shows."""
    return [f"![Sources and their edits]({path})", f"*{LEGEND}*"]


def run_paragraphs(run: Mapping[str, Any], versions: Versions | None = None, level: int = 2) -> list[str]:
    """
    How pairs were made and what was left out, as the run that made them tells it. No places on a machine are named.

    Args:
        run (`dict`): content of `summary.json`: "splits" as [`Tally.as_dict`] has them, "settings", "made_by" and
            "planned".
        versions (`dict[str, Iterable[str]]`, *optional*): of the packages, by name, as the rows tell them.
        level (`int`, *optional*, defaults to 2): of the headings.

    Returns:
        `list[str]`: paragraphs in Markdown.
    """
    marks = "#" * level
    return [
        f"{marks} How the pairs were made",
        "\n".join(f"- {line}" for line in [*_sources(run), *_makers(run), *_packages(versions)]),
        f"{marks} What was left out",
        _counts(run),
        *_left_out(run["splits"]),
        *_paraphrases(run["splits"]),
    ]


def row_paragraphs(data: DatasetDict, level: int = 2) -> list[str]:
    """
    How synthetic pairs were made, as far as their provenance tells.

    Args:
        data (`DatasetDict`): rows, as `load_dataset` gives them.
        level (`int`, *optional*, defaults to 2): of the heading.

    Returns:
        `list[str]`: paragraphs in Markdown; none if no row is synthetic.
    """
    made = Counter()
    for split, provenance in _provenances(data):
        if provenance:
            made[(split, *(provenance[name] for name in ("editor", "revision", *SETTINGS)))] += 1
    if not made:
        return []
    lines = [
        [split, *("" if value is None else code(value) for value in (_name(editor), *how)), count]
        for (split, editor, *how), count in made.most_common(EDITORS)
    ]
    said = [
        *_packages(package_versions(data)),
        "How many rows were left out is not known: there is no record of the run",
    ]
    header = f"split | editor | revision | {' | '.join(name.replace('_', ' ') for name in SETTINGS)} | pairs:"
    return [
        f"{'#' * level} How the pairs were made",
        table(header, lines),
        "\n".join(f"- {line}" for line in said),
    ]


def package_versions(data: DatasetDict) -> dict[str, list[str]]:
    """Versions of the packages that made the images, by name, as the provenance of the rows tells them."""
    found: dict[str, set[str]] = {}
    for _, provenance in _provenances(data):
        for one in (provenance or {}).get("versions") or ():
            found.setdefault(one["name"], set()).add(one["version"] or "unknown")
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def _provenances(data: DatasetDict) -> Iterable[tuple[str, Mapping[str, Any] | None]]:
    for split, rows in data.items():
        if "provenance" in rows.column_names:
            for row in rows.select_columns(["provenance"]):
                yield split, row["provenance"]


def _sources(run: Mapping[str, Any]) -> list[str]:
    lines = []
    for split, wanted in run["settings"]["splits"].items():
        count = _times(run["planned"][split]["sources"], "image")
        made = _times(wanted["variants"], "edit") + " of each" if wanted["variants"] else "as the source edited them"
        line = f"{split}: {count} with instructions, from {_source(wanted['source'])}; {made}"
        if wanted["paraphrases"]:
            line += f"; {_times(wanted['paraphrases'], 'paraphrase')} of each instruction asked for"
        lines.append(line)
    return lines


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


def _is_path(name: str | None) -> bool:
    """Whether something is a folder of this machine, or looks like one of another, and is not a name on the Hub."""
    return name is not None and (HUB_NAME.fullmatch(name) is None or name.startswith(".") or Path(name).exists())


def _makers(run: Mapping[str, Any]) -> list[str]:
    lines, made_by = [], run["made_by"]
    for name in ("editor", "paraphraser"):
        if model := made_by.get(name):
            what = f"{code(_name(model['id']))}, revision {code(model['revision'])}"
            lines.append(f"{name.capitalize()}: {what}{_given(model['parameters'])}")
    lines += [f"Filter {code(name)}{_given(options)}" for name, options in made_by["filters"].items()]
    if not made_by["filters"]:
        lines.append("No filter was on")
    lines.append(f"Seed: {run['settings']['seed']}; that of a row is a hash of it, the source's id and the variant")
    return lines


def _name(model: str | None) -> str | None:
    """Of a model on the Hub, or of a folder without the way to it."""
    return re.split(r"[\\/]", model)[-1] if _is_path(model) else model


def _given(parameters: Mapping[str, Any]) -> str:
    given = [code(without_paths(f"{name}={value}")) for name, value in parameters.items() if value not in (None, {})]
    return f", with {', '.join(given)}" if given else ""


def _packages(versions: Versions | None) -> list[str]:
    said = [f"{plain(name)} {' and '.join(map(plain, found))}" for name, found in (versions or {}).items()]
    return [f"Packages: {', '.join(said)}"] if said else []


def _counts(run: Mapping[str, Any]) -> str:
    lines = []
    for split, counts in run["splits"].items():
        left_out = [sum(counts[kind].values()) for kind in ("dropped", "failed")]
        lines.append([split, run["planned"][split]["sources"], counts["rows"], counts["kept"], *left_out])
    return table("split | sources: | made: | kept: | dropped: | failed:", lines)


def _left_out(splits: Mapping[str, Any]) -> list[str]:
    lines = []
    for split, counts in splits.items():
        lines += [[split, f"dropped by {code(name)}", count] for name, count in counts["dropped"].items()]
        failed = Counter()
        for why, count in counts["failed"].items():
            failed[without_paths(why)] += count
        lines += [[split, f"failed, {plain(why)}", count] for why, count in failed.most_common(REASONS)]
        if len(failed) > REASONS:
            rest = sum(count for _, count in failed.most_common()[REASONS:])
            lines.append([split, f"failed, for {len(failed) - REASONS} other reasons", rest])
    if not lines:
        return ["Nothing was left out."]
    return [table("split | left out | rows:", lines)]


def _paraphrases(splits: Mapping[str, Any]) -> list[str]:
    said, rules = Counter(), Counter()
    for counts in splits.values():
        if of_split := counts.get("paraphrases"):
            said.update({name: of_split[name] for name in ("asked", "kept")})
            rules.update(of_split["rejected"])
    if not said:
        return []
    text = f"Of {said['asked']:,} paraphrases that were asked for, {said['kept']:,} were kept."
    if not rules:
        return [f"{text} No answer was rejected."]
    why = ", ".join(f"{plain(rule)} {count:,}" for rule, count in rules.most_common())
    return [f"{text} Answers that were rejected, by the rule that they broke: {why}."]


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
