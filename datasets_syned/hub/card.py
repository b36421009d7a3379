"""The card of a published repository: a section for each configuration, and what others wrote into it left alone."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import DatasetInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs

from ..synthesis.cards import render

if TYPE_CHECKING:
    from huggingface_hub import DatasetCard

TEMPLATES = (Path(__file__).parent / "templates",)
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
        images (`dict[str, bytes]`): every picture of the section, by its path in the repository.
    """

    name: str
    info: DatasetInfo
    fields: Mapping[str, Any] = field(default_factory=dict)
    license_id: str = "unknown"
    languages: Sequence[str] = ()
    images: Mapping[str, bytes] = field(default_factory=dict)

    def section(self, repo: str) -> str:
        return render("section.md", TEMPLATES, repo=repo, name=self.name, license_id=self.license_id, **self.fields)


def license_id(stated: str) -> str:
    """The Hub's name of a licence as a source states it."""
    name = "-".join(stated.lower().split())
    if LICENSES.fullmatch(name):
        return name
    return "unknown" if name in ("", "none-stated") else "other"


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

    section, there = entry.section(repo), {found[1]: found[0] for found in SECTION.finditer(card.text)}
    if entry.name in there:
        card.text = card.text.replace(there[entry.name], section)
    else:
        card.text = "\n\n".join(filter(None, (card.text.strip("\n"), section)))
    infos = DatasetInfosDict.from_dataset_card_data(data)
    splits = {name: list((info.splits or {}).values()) for name, info in infos.items()}
    about = render("about.md", TEMPLATES, repo=repo, configs=data.configs, splits=splits, name=default or entry.name)
    if found := ABOUT.search(card.text):
        card.text = card.text.replace(found[0], about)
    else:  # before our first section, and behind what others wrote there
        before, after = card.text[: (first := SECTION.search(card.text).start())], card.text[first:]
        card.text = "\n\n".join(filter(None, (before.strip("\n"), about))) + f"\n{after}"

    sections = {found[1]: found[2] for found in SECTION.finditer(card.text)}
    licenses = set(sections.values())
    if any(config["config_name"] not in sections for config in data.configs):
        licenses |= _with(data.license)  # somebody else's configuration
    data.license = sorted(licenses) if len(licenses) > 1 else licenses.pop()
    data.language = sorted(_with(data.language, entry.languages)) or None
    data.task_categories = sorted(_with(data.task_categories, ["image-to-text"]))
    tags = ["image-difference-captioning", *(["synthetic"] if entry.fields.get("synthesis") else [])]
    data.tags = sorted(_with(data.get("tags"), tags))


def _with(value: str | list[str] | None, more: Iterable[str] = ()) -> set[str]:
    """What a field of the header holds, and more."""
    return {*([value] if isinstance(value, str) else value or ()), *more}
