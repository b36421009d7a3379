"""Where (image, instruction) pairs come from."""

from collections.abc import Mapping
from typing import Any

from .dataset import DatasetSource
from .images import ImageFolderSource, WithUnchanged, no_change_captions
from .protocol import Source, SourceError, SourceRow
from .scenes import SceneSource

SCENES = "scenes"

__all__ = [
    "SCENES",
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
            "instructions": "street", ...}` with those of [`ImageFolderSource`]; or arguments of
            `datasets.load_dataset` with `columns` as [`DatasetSource`] takes them. Each may have `unchanged`, a share
            of rows in which nothing changes ([`WithUnchanged`]).

    Raises:
        ValueError: there is no such source, or it has no such argument.
    """
    spec = dict(spec)
    share = spec.pop("unchanged", None)
    source = _load(spec)
    return WithUnchanged(source, share) if share else source


def _load(spec: dict[str, Any]) -> Source:
    path = spec.get("path")
    try:
        if "instructions" in spec:
            return ImageFolderSource(**spec)
        if path == SCENES:
            return SceneSource(**{name: value for name, value in spec.items() if name != "path"})
    except TypeError as error:
        raise ValueError(f"source {path!r}: {error}") from error
    return DatasetSource(columns=spec.pop("columns", None), **spec)
