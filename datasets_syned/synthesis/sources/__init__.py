"""Where (image, instruction) pairs come from."""

from collections.abc import Mapping
from typing import Any

from .composite import CompositeSource
from .dataset import DatasetSource
from .images import ImageFolderSource
from .protocol import Source, SourceError, SourceRow
from .scenes import SceneSource
from .unchanged import WithUnchanged, no_change_captions

SCENES = "scenes"

__all__ = [
    "SCENES",
    "CompositeSource",
    "DatasetSource",
    "ImageFolderSource",
    "SceneSource",
    "Source",
    "SourceError",
    "SourceRow",
    "WithUnchanged",
    "load_source",
    "no_change_captions",
]


def load_source(spec: Mapping[str, Any]) -> Source:
    """
    Opens a source.

    Args:
        spec (`dict`): `{"path": "scenes", ...}` with the arguments of [`SceneSource`]; `{"path": <folder>,
            "instructions": "street", ...}` with those of [`ImageFolderSource`]; `{"path": <folder>, "objects":
            <folder>, ...}` with those of [`CompositeSource`]; or those of [`DatasetSource`]. Each may have
            `unchanged`, a share of rows in which nothing changes ([`WithUnchanged`]).

    Raises:
        ValueError: there is no such source, or it has no such argument.
    """
    options = {name: value for name, value in spec.items() if name != "unchanged"}
    kind = ImageFolderSource if "instructions" in spec else CompositeSource if "objects" in spec else DatasetSource
    if kind is DatasetSource and spec.get("path") == SCENES:
        kind = SceneSource
        options.pop("path")
    try:
        source = kind(**options)
    except TypeError as error:
        raise ValueError(f"source {spec.get('path')!r}: {error}") from error
    return WithUnchanged(source, spec["unchanged"]) if spec.get("unchanged") else source
