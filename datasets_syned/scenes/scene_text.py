"""A scene as text inside its PNG file, so that an editor that can only render knows what it sees."""

import io
import json
from dataclasses import asdict, fields

import numpy as np
from PIL import Image, PngImagePlugin

from .scene import SceneObject, View

KEY = "scene"  # of the PNG file's text chunk


def png_of_scene(pixels: np.ndarray, objects: tuple[SceneObject, ...], view: View) -> bytes:
    """
    Args:
        pixels (`np.ndarray` of shape `(height, width, 3)`, uint8): the rendered scene.
        objects (`tuple[SceneObject, ...]`): what stands there.
        view ([`View`]): how it is seen.

    Returns:
        `bytes`: a PNG file with the scene in its text chunk "scene".
    """
    shown = {field.name: getattr(view, field.name) for field in fields(view)}
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, json.dumps({"objects": [asdict(obj) for obj in objects], "view": shown}))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=text, compress_level=6)
    return buffer.getvalue()


def scene_of(image: Image.Image) -> tuple[tuple[SceneObject, ...], View] | None:
    """The objects and the view that an image says of itself, `None` if it says nothing."""
    try:
        said = json.loads(image.info[KEY])
        objects = tuple(SceneObject(**obj) for obj in said["objects"])
        view = {name: tuple(value) if isinstance(value, list) else value for name, value in said["view"].items()}
        return objects, View(**view)
    except (KeyError, TypeError, ValueError):
        return None
