"""The card of a published repository: a section for each configuration, and what others wrote into it left alone."""

import re
from collections import Counter
from collections.abc import Mapping
from statistics import mean
from typing import TYPE_CHECKING, Any

from datasets import DatasetDict

from ..common.markdown import plain, table
from .card_entry import Entry

if TYPE_CHECKING:
    from huggingface_hub import DatasetCard

SECTION = re.compile(r"<!-- syned: config (\S+), license (\S+) -->\n.*?<!-- syned: end of \1 -->\n?", re.DOTALL)
ABOUT = re.compile(r"<!-- syned: about -->\n.*?<!-- syned: end of about -->\n?", re.DOTALL)
DEFAULT = re.compile(r"^\| `(\S+)` \(default\) \|", re.MULTILINE)
SHOWN_CATEGORIES, SHOWN_CAPTIONS = 12, 5
COLUMNS = """| column | type | meaning |
|---|---|---|
| `id` | string | unique within a configuration and split |
| `before`, `after` | image | the pair, of any size |
| `captions` | list of strings | what differs, as one or more people or programs say it |
| `category` | string | kind of change, in the source's words; `none` for an unchanged pair |
| `changed` | bool | false for an unchanged pair |
| `provenance` | struct | how a synthetic image was made; null for any other |"""


def default_config(card: "DatasetCard | None", new: str) -> str | None:
    """
    Which configuration of a repository is the one that is loaded without a name, once `new` is in it; `None` if
    nothing says. `push_to_hub` (datasets 5.2) forgets this of a configuration that it writes again.
    """
    configs = (card.data.get("configs") if card else None) or []
    names = [config["config_name"] for config in configs]
    marked = [config["config_name"] for config in configs if config.get("default")]
    if marked or "default" in names:
        return (marked or ["default"])[0]
    if len(names) <= 1:
        return (names or [new])[0]
    # forgotten, and what followed was interrupted: the last card that was whole knows
    noted = DEFAULT.search(card.text)
    return noted[1] if noted and noted[1] in names else None


def update_card(card: "DatasetCard", repo: str, entry: Entry, default: str | None) -> None:
    """
    Writes the section of a configuration into a card, new or in place of its last one, and what the header has to say.

    Args:
        card (`DatasetCard`): as `push_to_hub` left it.
        repo (`str`): name of the repository.
        entry ([`Entry`]): what the section is about.
        default (`str`, *optional*): the configuration that is loaded without a name.
    """
    section = _section(repo, entry)
    there = [found for found in SECTION.finditer(card.text) if found[1] == entry.name]
    if there:
        card.text = card.text[: there[0].start()] + section + card.text[there[0].end() :]
    else:
        card.text = "\n\n".join(filter(None, (card.text.strip("\n"), section)))
    data, about = card.data, None
    for config in data.configs:
        config.pop("default", None)
        if config["config_name"] == default:
            config["default"] = True
    about = _about(repo, data, default or entry.name)
    found = ABOUT.search(card.text)
    if found:
        card.text = card.text[: found.start()] + about + card.text[found.end() :]
    else:  # before the first section, and behind what others wrote there
        start = SECTION.search(card.text).start()
        card.text = card.text[:start] + about + "\n" + card.text[start:]
    _header(data, card.text, entry)


def _header(data, text: str, entry: Entry) -> None:
    sections = {found[1]: found[2] for found in SECTION.finditer(text)}
    licenses = set(sections.values())
    if any(config["config_name"] not in sections for config in data.configs):
        licenses |= set(_list(data.license))  # somebody else's configuration
    data.license = sorted(licenses) if len(licenses) > 1 else licenses.pop()
    if entry.name != "folder":  # whose captions may be in any language
        data.language = sorted({*_list(data.language), "en"})
    data.task_categories = sorted({*_list(data.task_categories), "image-to-text"})
    kinds = {"image-difference-captioning"} | ({"synthetic"} if entry.synthesis else set())
    data.tags = sorted({*_list(data.get("tags")), *kinds})


def _list(value: Any) -> list:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _about(repo: str, data, name: str) -> str:
    infos = data.get("dataset_info") or []
    infos = {info.get("config_name", "default"): info for info in ([infos] if isinstance(infos, dict) else infos)}
    rows = []
    for config in data.configs:
        splits = infos.get(config["config_name"], {}).get("splits", [])
        counts = ", ".join(f"{split['num_examples']:,} {split['name']}" for split in splits)
        rows.append(f"| `{config['config_name']}`{' (default)' if config.get('default') else ''} | {counts} |")
    lines = [
        "<!-- syned: about -->",
        f"# {repo.split('/')[-1]}",
        "Pairs of images and what differs between the two, in words: data for image difference captioning.",
        "\n".join(["| configuration | pairs |", "|---|---|", *rows]),
        f"""```python
from datasets import load_dataset

data = load_dataset("{repo}", "{name}")  # or with streaming=True
```""",
        "Parquet files with the images inside; no code but the `datasets` library is needed. A row:",
        COLUMNS,
        "<!-- syned: end of about -->\n",
    ]
    return "\n\n".join(lines)


def _section(repo: str, entry: Entry) -> str:
    parts = [
        f"<!-- syned: config {entry.name}, license {entry.license_id} -->\n\n## {entry.title}",
        f'`load_dataset("{repo}", "{entry.name}")`',
        *([plain(entry.about)] if entry.about else []),
        *_example(entry),
        _counts(entry.data),
        *_built(entry),
        *entry.synthesis,
        *_audit(entry.audit),
        *_source(entry),
        "### Limits\n\n" + "\n".join(f"- {text}" for text in _limits(entry)),
        f"<!-- syned: end of {entry.name} -->\n",
    ]
    return "\n\n".join(parts)


def _example(entry: Entry) -> list[str]:
    if entry.example is None:
        return []
    row, images = entry.example.row, list(entry.example.images)
    captions = [f"> - {plain(caption)}" for caption in row["captions"][:SHOWN_CAPTIONS]]
    if len(row["captions"]) > SHOWN_CAPTIONS:
        captions.append(f"> - … {len(row['captions'])} in all")
    where = f"Row {plain(str(row['id']))} of {entry.example.split}, category {plain(row['category'])}, here in small:"
    pictures = " | ".join(f"![{side}]({path})" for side, path in zip(("before", "after"), images, strict=True))
    return [where, f"| before | after |\n|---|---|\n| {pictures} |", "\n".join(captions)]


def _counts(data: DatasetDict) -> str:
    lines = []
    for split, rows in data.items():
        references = [len(captions) for captions in rows["captions"]]
        least, most = min(references), max(references)
        said = str(least) if least == most else f"{least} to {most}, mean {mean(references):.2f}"
        categories = Counter(rows["category"]).most_common()
        shown = [f"{plain(name)} {count:,}" for name, count in sorted(categories[:SHOWN_CATEGORIES])]
        if len(categories) > SHOWN_CATEGORIES:
            shown.append(f"and {len(categories) - SHOWN_CATEGORIES} more")
        lines.append([split, len(rows), said, ", ".join(shown)])
    return table("split | pairs: | references per pair | categories", lines)


def _built(entry: Entry) -> list[str]:
    """How the rows came about: arguments, what was left out, what else was done."""
    lines = []
    if entry.options:
        lines.append("Built with " + ", ".join(f"`{name}={value!r}`" for name, value in entry.options.items()) + ".")
    for what, found in (("Left out when it was built", entry.dropped), ("Noted when it was built", entry.notes)):
        said = [f"{split}: {count:,} × {plain(why)}" for split, of in found.items() for why, count in of.items()]
        if said:
            lines.append(f"{what}: {'; '.join(said)}.")
    return lines


def _audit(result: Mapping[str, Any] | None) -> list[str]:
    if result is None:
        return []
    found = [kind for kind in result["findings"].values() if kind["count"]]
    absent = [
        kind["title"].lower()
        for name, kind in result["findings"].items()
        if not kind["count"] and (name != "count" or result["published"])
    ]
    parts = ["### Audit", "Every row was read and every image opened."]
    if found:
        lines = []
        for kind in found:
            where = ", ".join(f"{plain(split)} {count:,}" for split, count in kind["by_split"].items() if count)
            where = f"{kind['count']:,} {kind['unit']}: {where}"
            if kind is result["findings"].get("count"):
                where = ", ".join(f"{split} {count:,}" for split, count in result["published"].items()) + " published"
            title = kind["title"] if kind["problem"] else f"{kind['title']} (may be meant so)"
            lines.append([title, where, kind["about"]])
        parts.append(table("finding | where | what it means", lines))
    if absent:
        parts.append(f"Looked for and not found: {'; '.join(absent)}.")
    return parts


def _source(entry: Entry) -> list[str]:
    stated = plain(entry.license) if entry.license else "none stated"
    lines = [f"Licence{', as the source states it' if entry.sources else ''}: {stated}."]
    if entry.homepage:
        lines.append(f"Home: <{entry.homepage}>.")
    if entry.sources:
        lines.append(f"Files: {'; '.join(entry.sources)}.")
    parts = ["### Source, licence, citation", "\n".join(f"- {line}" for line in lines)]
    return parts + ([f"```bibtex\n{entry.citation.strip()}\n```"] if entry.citation else [])


def _limits(entry: Entry) -> list[str]:
    """What can be said of the rows without knowing more than the rows."""
    changed = [value for rows in entry.data.values() for value in rows["changed"]]
    categories = {name for rows in entry.data.values() for name in rows.unique("category")}
    lines = []
    if entry.sources:
        lines.append("The images are the source's files, byte by byte; spaces around captions were removed.")
    if entry.synthesis:
        lines.append("An edit may have done less, more or something else than its caption says.")
    if all(changed):
        lines.append("No pair is marked as unchanged: whether a model sees that nothing changed cannot be measured.")
    if len(categories) == 1:
        lines.append(f"All pairs have the category {plain(categories.pop())}: kinds of change are not told apart.")
    single = {split: sum(len(said) == 1 for said in rows["captions"]) for split, rows in entry.data.items()}
    if any(single.values()):
        said = ", ".join(f"{count:,} of {len(entry.data[split]):,} in {split}" for split, count in single.items())
        lines.append(f"Pairs with a single reference, where a score depends on its wording: {said}.")
    if entry.name != "folder":
        lines.append("The captions are in English.")
    return lines or ["None are known."]
