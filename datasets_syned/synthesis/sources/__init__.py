"""Where (image, instruction) pairs come from."""

from collections.abc import Mapping
from typing import Any

from .dataset import DatasetSource
from .protocol import Source, SourceError, SourceRow
from .scenes import SceneSource

SCENES = "scenes"

__all__ = ["SCENES", "DatasetSource", "SceneSource", "Source", "SourceError", "SourceRow", "load_source"]


def load_source(spec: Mapping[str, Any]) -> Source:
    """
    Opens a source.

    Args:
        spec (`dict`): `{"path": "scenes", ...}` with the arguments of [`SceneSource`], or arguments of
            `datasets.load_dataset` with `columns` as [`DatasetSource`] takes them.

    Raises:
        ValueError: there is no such source, or it has no such argument.
    """
    spec = dict(spec)
    if spec.get("path") != SCENES:
        return DatasetSource(columns=spec.pop("columns", None), **spec)
    del spec["path"]
    try:
        return SceneSource(**spec)
    except TypeError as error:
        raise ValueError(f"source 'scenes': {error}") from None
