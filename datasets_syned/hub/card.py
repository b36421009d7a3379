"""The card of a published repository: a section for each configuration, and what others wrote into it left alone."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import DatasetInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs

from ..common.markdown import plain, table

if TYPE_CHECKING:
    from huggingface_hub import DatasetCard

TEMPLATES = Path(__file__).parent / "templates"
SECTION = re.compile(r"<!-- syned: config (\S+), license (\S+) -->\n.*?<!-- syned: end of \1 -->\n?", re.DOTALL)
ABOUT = re.compile(r"<!-- syned: about -->\n.*?<!-- syned: end of about -->\n?", re.DOTALL)
# Of the names that the Hub knows, those that benchmarks of images have.
LICENSES = re.compile(r"apache-2\.0|mit|cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-[234]\.0|openrail|cdla-permissive-[12]\.0")


@dataclass(frozen=True)
class Entry:
    """
    What a card says of a configuration.

    Args:
        name (`str`): of the configuration.
        info (`DatasetInfo`): its features and splits.
        fields (`dict`): of the template `section.md`.
        license_id (`str`): the Hub's name of the licence.
        languages (`Sequence[str]`): codes of those of the captions; empty if they are not known.
        synthetic (`bool`): whether a program made images of it.
        images (`dict[str, bytes]`): every picture of the section, by its path in the repository.
    """

    name: str
    info: DatasetInfo
    fields: Mapping[str, Any] = field(default_factory=dict)
    license_id: str = "unknown"
    languages: Sequence[str] = ()
    synthetic: bool = False
    images: Mapping[str, bytes] = field(default_factory=dict)

    def section(self, repo: str) -> str:
        return render("section.md", plain=plain, repo=repo, name=self.name, license_id=self.license_id, **self.fields)


def license_id(stated: str) -> str:
    """The Hub's name of a licence as a source states it."""
    name = "-".join(stated.lower().split())
    if LICENSES.fullmatch(name):
        return name
    return "unknown" if name in ("", "none-stated") else "other"


def render(template: str, **fields: Any) -> str:
    """A filled template, without runs of empty lines."""
    from jinja2 import Template

    text = Template((TEMPLATES / template).read_text(encoding="utf-8")).render(**fields)
    return re.sub(r"\n{3,}", "\n\n", text) + "\n"


def update_card(card: "DatasetCard", repo: str, entry: Entry) -> None:
    """
    Writes the section of a configuration into a card, new or in place of its last one, and what the header has to say.

    Args:
        card (`DatasetCard`): of the repository, perhaps an empty one.
        repo (`str`): name of the repository.
        entry ([`Entry`]): what the section is about.
    """
    data = card.data
    configs = MetadataConfigs.from_dataset_card_data(data)
    default = configs.get_default_config_name() if configs else entry.name
    files = [{"split": split, "path": f"{entry.name}/{split}-*"} for split in entry.info.splits]
    configs[entry.name] = {"data_files": files}
    if default:
        configs[default]["default"] = True
    configs.to_dataset_card_data(data)
    DatasetInfosDict({entry.name: entry.info}).to_dataset_card_data(data)

    card.text = _put(card.text, SECTION, entry.section(repo), entry.name, len(card.text))
    first = SECTION.search(card.text).start()  # and behind what others wrote there
    card.text = _put(card.text, ABOUT, _about(repo, data, entry.name), None, first)

    sections = {found[1]: found[2] for found in SECTION.finditer(card.text)}
    licenses = set(sections.values())
    if any(config["config_name"] not in sections for config in data.configs):
        licenses |= set(_list(data.license))  # somebody else's configuration
    data.license = sorted(licenses) if len(licenses) > 1 else licenses.pop()
    data.language = _with(data.language, entry.languages)
    data.task_categories = _with(data.task_categories, ["image-to-text"])
    tags = ["image-difference-captioning", *(["synthetic"] if entry.synthetic else [])]
    data.tags = _with(data.get("tags"), tags)


def _put(text: str, pattern: re.Pattern, new: str, name: str | None, place: int) -> str:
    """A text with a block in place of the one of that name, or at a place."""
    for found in pattern.finditer(text):
        if name is None or found[1] == name:
            return text[: found.start()] + new + text[found.end() :]
    before, after = text[:place].strip("\n"), text[place:]
    return "\n\n".join(filter(None, (before, new))) + (f"\n{after}" if after else "")


def _list(value: Any) -> list:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _with(value: Any, more: Iterable[str]) -> list[str] | None:
    return sorted({*_list(value), *more}) or None


def _about(repo: str, data: Any, name: str) -> str:
    infos, lines = DatasetInfosDict.from_dataset_card_data(data), []
    for config in data.configs:
        info = infos.get(config["config_name"])
        splits = info.splits.values() if info and info.splits else ()
        counts = ", ".join(f"{split.num_examples:,} {split.name}" for split in splits)
        name = config["config_name"] if config.get("default") else name
        lines.append([f"`{config['config_name']}`{' (default)' if config.get('default') else ''}", counts])
    configurations = table("configuration | pairs", lines)
    return render("about.md", repo=repo, title=repo.split("/")[-1], name=name, configurations=configurations)
