"""Pairs from somebody's own photographs and cut-outs, and what a composed photograph says of itself in its file."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from ..common.images import is_inside
from .composer import Scene
from .material import Material, digest_of, load_objects
from .objects import Placement

KEY = "composed"  # begins the comment of the JPEG file


@dataclass(frozen=True)
class OwnMaterial(Material):
    """
    Photographs and cut-outs that all belong to one split.

    Args:
        photographs, objects: as of [`Material`].
        folder (`str`): that the names of photographs begin at.
    """

    folder: str

    def photographs_of(self, split: str) -> Sequence[str]:
        return self.photographs

    def objects_of(self, split: str) -> dict[str, list[int]]:
        return self.numbers

    @cached_property
    def objects_digest(self) -> str:
        """Names the content of the cut-outs, wherever they are."""
        return hashlib.sha256(
            " ".join(f"{name} {digest_of(path)}" for name, path in self.objects).encode()
        ).hexdigest()

    def path_of(self, photograph: str) -> str:
        """Where a photograph is that a scene names."""
        path = str(Path(self.folder) / photograph)
        if not is_inside(path, self.folder):
            raise ValueError(f"{photograph!r} is outside of the folder of photographs")
        return path


def own_material(folder: str, objects: str, photographs: Sequence[str] = ()) -> OwnMaterial:
    """
    Reads the cut-outs of a folder.

    Args:
        folder (`str`): of photographs.
        objects (`str`): of cut-outs; see [`load_objects`].
        photographs (`Sequence[str]`, *optional*): names of photographs, as seen from their folder.

    Raises:
        ValueError: there are no cut-outs, or one has no name.
        ImageError: names the cut-out that cannot be used.
    """
    folder = str(Path(folder).expanduser())
    found = load_objects(str(Path(objects).expanduser()))
    return OwnMaterial(tuple(str(Path(folder) / name) for name in photographs), found, folder)


@dataclass(frozen=True)
class Composed:
    """
    What a composed photograph shows.

    Args:
        scene ([`Scene`]): its photograph is named as seen from the folder.
        sha256 (`str`): of the file of the photograph.
        objects (`str`): `objects_digest` of the cut-outs.
        jitter (`float`): of the camera.
        backgrounds (`list[str]`): photographs that may take the place of this one.
    """

    scene: Scene
    sha256: str
    objects: str
    jitter: float
    backgrounds: list[str]


def with_composed(jpeg: bytes, composed: Composed) -> bytes:
    """A JPEG file with what it shows in its comment."""
    said = f"{KEY} {json.dumps(asdict(composed))}".encode("ascii")
    end = 4 + int.from_bytes(jpeg[4:6])  # of the segment JFIF, which comes first
    return jpeg[:end] + b"\xff\xfe" + (len(said) + 2).to_bytes(2) + said + jpeg[end:]


def composed_of(image: Image.Image) -> Composed | None:
    """What an image says that it shows; `None` if it says nothing."""
    key, _, said = image.info.get("comment", b"").partition(b" ")
    if key != KEY.encode():
        return None
    values = json.loads(said)
    scene = values.pop("scene")
    placed = tuple(Placement(**{**one, "tint": tuple(one["tint"])}) for one in scene.pop("objects"))
    return Composed(Scene(**{**scene, "part": tuple(scene["part"])}, objects=placed), **values)
