"""A scene as text inside its PNG file, so that an editor that can only render knows what it sees."""

import io
import json
from dataclasses import asdict

import numpy as np
from PIL import Image, PngImagePlugin

from .scene import SceneObject, View

KEY = "scene"  # of the PNG file's text chunk


def png_of_scene(pixels: np.ndarray, objects: tuple[SceneObject, ...], view: View) -> bytes:
    """A PNG file of pixels `(height, width, 3)` uint8, with what stands there and how it is seen in a text chunk."""
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, json.dumps({"objects": [asdict(obj) for obj in objects], "view": asdict(view)}))
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
