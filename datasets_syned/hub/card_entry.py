"""What a section of a card is about."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets import DatasetDict

# Of the names that the Hub knows, those that benchmarks of images have.
LICENSES = re.compile(r"apache-2\.0|mit|cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-[234]\.0|openrail|cdla-permissive-[12]\.0")


@dataclass(frozen=True)
class Example:
    """
    A pair that the card shows.

    Args:
        split (`str`): where it is from.
        row (`dict`): its `id`, `captions` and `category`.
        images (`dict[str, bytes]`): JPEG files by their path in the repository: before, after.
    """

    split: str
    row: Mapping[str, Any]
    images: Mapping[str, bytes]


@dataclass(frozen=True)
class Entry:
    """
    What a section of the card is about.

    Args:
        name (`str`): of the configuration.
        data (`DatasetDict`): its rows.
        title (`str`): what people call it.
        about (`str`, *optional*): what else there is to say of it first.
        license (`str`, *optional*): as the source states it.
        homepage, citation (`str`, *optional*): of the source.
        sources (`tuple[str, ...]`, *optional*): where its files can be had; empty if there are none.
        options (`dict`, *optional*): arguments that differ from the defaults.
        dropped, notes (`dict[str, dict[str, int]]`, *optional*): by split, what was left out and what else was done.
        audit (`dict`, *optional*): result of [`audit`].
        example ([`Example`], *optional*): a pair to show.
        synthesis (`tuple[str, ...]`, *optional*): paragraphs on how synthetic pairs were made; empty for others.
        sheet (`dict[str, bytes]`, *optional*): the picture in these paragraphs, by its path in the repository.
    """

    name: str
    data: DatasetDict
    title: str
    about: str = ""
    license: str = ""
    homepage: str = ""
    citation: str = ""
    sources: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    audit: Mapping[str, Any] | None = None
    example: Example | None = None
    synthesis: tuple[str, ...] = ()
    sheet: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def images(self) -> dict[str, bytes]:
        """Every picture of the section, by its path in the repository."""
        return {**(self.example.images if self.example else {}), **self.sheet}

    @property
    def license_id(self) -> str:
        """The Hub's name of the licence."""
        name = "-".join(self.license.lower().split())
        if LICENSES.fullmatch(name):
            return name
        return "unknown" if name in ("", "none-stated") else "other"
